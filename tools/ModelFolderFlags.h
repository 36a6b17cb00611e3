// SPDX-License-Identifier: Apache-2.0
//
// What a user lets a model's folder do, as flags of the programs that read one.
#pragma once

#include "frontend/ModelFolder.h"

#include <CLI/CLI.hpp>

namespace fairy2 {

inline void addModelFolderFlags(CLI::App &app, ModelFolderRules &rules) {
  app.add_flag("--follow-links", rules.followsLinks,
               "Read files of the model that are links to other folders");
  app.add_flag("--allow-unknown-fields", rules.allowsUnknownFields,
               "Read past fields of config.json that are not known; what is "
               "made lists them");
}

} // namespace fairy2
