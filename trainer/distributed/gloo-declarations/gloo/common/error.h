// SPDX-License-Identifier: Apache-2.0
//
// The wheel has no headers of gloo, but ProcessGroupGloo.hpp of LibTorch 2.11
// includes some. It only holds pointers to gloo types; these declarations are
// enough to name them, and no object of a class here is ever made by us.
#pragma once
