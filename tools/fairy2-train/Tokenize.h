// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Runs `fairy2-train tokenize ..`; argv[0] is "tokenize". Returns the exit
/// status.
int tokenizeMain(int argc, char **argv);
