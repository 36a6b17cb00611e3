// SPDX-License-Identifier: Apache-2.0
//
// Options that choose matrices by name.
#include "tools/fairy2-quantize/StagesForOption.h"

#include "runtime/support/Error.h"

#include <string>

namespace fairy2 {

void addStagesFor(CLI::App &app, std::vector<trainer::StagesFor> &choices) {
  const auto add = [&](const char *name, const char *type, const char *text,
                       trainer::StagesFor (*parse)(const std::string &)) {
    app.add_option_function<std::string>(
           name,
           [&choices, name, parse](const std::string &word) {
             try {
               choices.push_back(parse(word));
             } catch (const Error &error) {
               throw CLI::ValidationError(name, error.what());
             }
           },
           text)
        ->type_name(type)
        ->trigger_on_parse()
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  add("--stages-for", "REGEX=T",
      "T stages for matrices in whose names REGEX is found; may be repeated",
      trainer::parseStagesFor);
  add("--keep", "REGEX",
      "Leave matrices dense in whose names REGEX is found; may be repeated",
      trainer::parseKeep);
}

} // namespace fairy2
