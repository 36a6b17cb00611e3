// SPDX-License-Identifier: Apache-2.0
//
// What `fairy2-quantize -o OUT` has done so far, in OUT.partial, until all of
// it takes the name OUT.
#pragma once

#include "dialect/phase/PhaseCoder.h"
#include "trainer/model/Model.h"
#include "trainer/run/Folders.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// A coded matrix, and what coding it told.
struct CodedMatrix {
  PhaseMatrix phases;
  CodingReport report;
};
/// By the parameter's index.
using CodedLayer = std::map<size_t, CodedMatrix>;

class WorkFolder {
public:
  /// Makes the folder, or goes on with one that the same command left:
  /// `identity` tells the commands apart. Throws Error when OUT exists, another
  /// process works on it, or another command has begun it.
  WorkFolder(const std::filesystem::path &output,
             const nlohmann::ordered_json &identity);

  /// Throws Error when OUT exists or lies in the model's folder.
  static void requireFree(const std::filesystem::path &output,
                          const std::filesystem::path &model);

  bool has(const std::string &name) const;
  void remove(const std::string &name) const;
  /// Floats under a name; nothing when there are none.
  std::optional<std::vector<float>> floats(const std::string &name,
                                           size_t count) const;
  void saveFloats(const std::string &name, std::span<const float> values) const;

  bool hasLayer(size_t layer) const;
  CodedLayer layer(const Model &model, size_t layer) const;
  /// Of one of its matrices.
  PhaseMatrix phases(const Model &model, size_t layer, size_t index) const;
  void saveLayer(const Model &model, size_t layer,
                 const CodedLayer &coded) const;

  /// Where to write what becomes OUT.
  std::filesystem::path result() const { return folder / "result"; }
  /// Gives the result the name OUT and removes the rest.
  void finish();

private:
  std::filesystem::path layerFolder(size_t layer) const;

  std::filesystem::path output, folder;
  std::optional<FolderLock> lock;
};

} // namespace fairy2::trainer
