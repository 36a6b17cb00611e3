// SPDX-License-Identifier: Apache-2.0
//
// --huge-pages, of every program that runs a model.
#pragma once

#include "runtime/WeightMapping.h"
#include "tools/Validators.h"

#include <CLI/CLI.hpp>

#include <string>

namespace fairy2 {

inline void addHugePages(CLI::App &app, HugePages &mode) {
  app.add_option_function<std::string>(
         "--huge-pages",
         [&mode](const std::string &name) {
           checkUsage([&] { mode = hugePagesOf(name); });
         },
         "Weights in memory: auto (the file's pages, huge where the kernel "
         "can), copy (a private copy), off")
      ->default_str(nameOf(mode));
}

} // namespace fairy2
