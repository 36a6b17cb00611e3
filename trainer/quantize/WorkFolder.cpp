// SPDX-License-Identifier: Apache-2.0
//
// A packed checkpoint for each layer, with its reports beside it.
#include "trainer/quantize/WorkFolder.h"

#include "frontend/PackedCheckpoint.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "trainer/run/Fingerprint.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char *kCommand = "command.json";
constexpr const char *kReports = "reports.json";
constexpr const char *kWeights = "model.safetensors";

fs::path partialOf(const fs::path &output) {
  return output.string() + ".partial";
}

/// A path that does not end in a separator, so that one can be put behind it.
fs::path trimmed(const fs::path &path) {
  return path.has_filename() ? path : path.parent_path();
}

} // namespace

WorkFolder::WorkFolder(const fs::path &output,
                       const nlohmann::ordered_json &identity)
    : output(trimmed(output)), folder(partialOf(this->output)) {
  makeFolder(folder);
  lock.emplace(folder);
  const fs::path command = folder / kCommand;
  if (fs::exists(command)) {
    const std::string different = differences(readJson(command), identity);
    if (!different.empty())
      throw Error(folder.string() + ": holds what another command began (" +
                  different + "); repeat that one, or remove the folder");
    return;
  }
  if (!fs::is_empty(folder))
    throw Error(folder.string() +
                ": exists and is no folder of this program; expected a name "
                "for -o beside which this one is free");
  writeJson(command, identity);
}

void WorkFolder::requireFree(const fs::path &output, const fs::path &model) {
  if (fs::symlink_status(trimmed(output)).type() != fs::file_type::not_found)
    throw Error(output.string() +
                ": exists already; expected the name of a new folder");
  fs::path place = fs::weakly_canonical(fs::absolute(trimmed(output)));
  const fs::path source = fs::weakly_canonical(fs::absolute(trimmed(model)));
  for (; place.has_relative_path(); place = place.parent_path())
    if (place == source)
      throw Error(output.string() +
                  ": expected a folder outside of the "
                  "model's, " +
                  model.string());
}

bool WorkFolder::has(const std::string &name) const {
  return fs::exists(folder / name);
}

void WorkFolder::remove(const std::string &name) const {
  fs::remove(folder / name);
}

std::optional<std::vector<float>> WorkFolder::floats(const std::string &name,
                                                     size_t count) const {
  const fs::path file = folder / name;
  if (!fs::exists(file))
    return std::nullopt;
  const InputFile input = InputFile::open(file.string());
  std::vector<float> values(count);
  if (input.bytes != count * sizeof(float))
    throw Error(file.string() + ": expected " +
                std::to_string(count * sizeof(float)) + " bytes, found " +
                std::to_string(input.bytes));
  input.read(0, writableBytesOf(values));
  return values;
}

void WorkFolder::saveFloats(const std::string &name,
                            std::span<const float> values) const {
  OutputFile file(folder / name);
  file.append(bytesOf(values));
  file.commit();
}

fs::path WorkFolder::layerFolder(size_t layer) const {
  return folder / ("layer-" + std::to_string(layer));
}

bool WorkFolder::hasLayer(size_t layer) const {
  return fs::exists(layerFolder(layer) / kWeights);
}

PhaseMatrix WorkFolder::phases(const Model &model, size_t layer,
                               size_t index) const {
  const Checkpoint checkpoint = Checkpoint::open(layerFolder(layer));
  return PackedCheckpoint::find(checkpoint)
      ->read(model.parameters()[index].name);
}

CodedLayer WorkFolder::layer(const Model &model, size_t layer) const {
  const Checkpoint checkpoint = Checkpoint::open(layerFolder(layer));
  const auto packed = PackedCheckpoint::find(checkpoint);
  const nlohmann::json reports = readJson(layerFolder(layer) / kReports);
  CodedLayer coded;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const std::string &name = model.parameters()[i].name;
    if (!packed || !packed->weights().contains(name))
      continue;
    const auto values = reports.at(name).get<std::vector<double>>();
    coded[i] = {packed->read(name),
                {values.at(0), values.at(1), {values.at(2), values.at(3)}}};
  }
  return coded;
}

void WorkFolder::saveLayer(const Model &model, size_t layer,
                           const CodedLayer &coded) const {
  makeFolder(layerFolder(layer));
  nlohmann::ordered_json reports;
  std::vector<PackedItem> items;
  std::vector<const PhaseMatrix *> matrices;
  for (const auto &[index, matrix] : coded) {
    const Parameter &parameter = model.parameters()[index];
    const CodingReport &report = matrix.report;
    reports[parameter.name] = {report.loss, report.norm, report.weights.norm,
                               report.weights.error};
    items.push_back({parameter.name, parameter.shape, true, DType::F32,
                     matrix.phases.scheme.stages});
    matrices.push_back(&matrix.phases);
  }
  writeJson(layerFolder(layer) / kReports, reports);
  // With it the layer is there.
  writePackedCheckpoint(
      layerFolder(layer) / kWeights, matrices[0]->scheme, items,
      [&](size_t i) { return *matrices[i]; },
      [](size_t) { return std::vector<uint8_t>(); });
}

void WorkFolder::finish() {
  makeDurable(result());
  if (std::rename(result().c_str(), output.c_str()) != 0)
    throw Error(output.string() +
                ": cannot take this name: " + std::strerror(errno));
  lock.reset();
  fs::remove_all(folder);
}

} // namespace fairy2::trainer
