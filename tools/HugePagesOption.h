// SPDX-License-Identifier: Apache-2.0
//
// --huge-pages, of every program that runs a model.
#pragma once

#include "runtime/Status.h"
#include "runtime/WeightMapping.h"

#include <CLI/CLI.hpp>

#include <string>

namespace fairy2 {

inline void addHugePages(CLI::App &app, HugePages &mode) {
  app.add_option_function<std::string>(
         "--huge-pages",
         [&mode](const std::string &name) {
           try {
             mode = hugePagesOf(name);
           } catch (const StatusError &error) {
             throw CLI::ValidationError(error.what());
           }
         },
         "Weights in memory: auto (the file's pages, huge where the kernel "
         "can), copy (a private copy), off")
      ->default_str(nameOf(mode));
}

} // namespace fairy2
