// SPDX-License-Identifier: Apache-2.0
//
// The wheel has no headers of gloo, but ProcessGroupGloo.hpp of LibTorch 2.11
// includes some. It only holds pointers to gloo types; these declarations are
// enough to name them, and no object of a class here is ever made by us.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo::rendezvous {
class Store {
public:
  virtual ~Store() = default;
  virtual void set(const std::string &key, const std::vector<char> &value) = 0;
  virtual std::vector<char> get(const std::string &key) = 0;
  virtual void wait(const std::vector<std::string> &keys) = 0;
  virtual void wait(const std::vector<std::string> &keys,
                    const std::chrono::milliseconds &timeout) = 0;
};
} // namespace gloo::rendezvous
