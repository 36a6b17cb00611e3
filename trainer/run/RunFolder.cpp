// SPDX-License-Identifier: Apache-2.0
//
// A run's files by name: its export, metrics, events, report, and run.json,
// which says that the run has ended.
#include "trainer/run/RunFolder.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "trainer/model/Export.h"
#include "trainer/run/Folders.h"
#include "trainer/run/Metrics.h"
#include "trainer/run/Report.h"
#include "trainer/run/TensorBoard.h"
#include "trainer/run/TrainingState.h"

#include <optional>
#include <vector>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char *kRun = "run.json";
constexpr const char *kWeights = "model.safetensors";

/// Removes a file of ours, or a folder of ours that has become empty.
void removeOwn(const fs::path &path) {
  std::error_code kept; // a folder that others use too, say
  fs::remove(path, kept);
}

} // namespace

bool RunFolder::isFinished(const std::string &fingerprint) const {
  if (!fs::exists(output / kRun) || !fs::exists(output / kWeights))
    return false;
  const std::string file = (output / kRun).string();
  const nlohmann::json json = readJson(file);
  return JsonObject(json, file).string("fingerprint") == fingerprint;
}

void RunFolder::markFinished(const std::string &fingerprint,
                             int64_t steps) const {
  writeJson(output / kRun,
            {{"format", 1}, {"steps", steps}, {"fingerprint", fingerprint}});
  makeDurable(output / kWeights);
  makeDurable(output / kRun);
  makeDurable(output);
}

bool RunFolder::isOfARun() const {
  return fs::exists(output / kRun) || Metrics::areThere(output);
}

void RunFolder::requireFree() const {
  std::error_code absent; // a folder that is not there holds nothing
  for (const auto &entry : fs::directory_iterator(output, absent))
    if (entry.path().extension() == ".safetensors")
      throw Error("output: " + output.string() +
                  " holds a model already; remove it, or choose another "
                  "output");
  if (isOfARun())
    return;
  std::vector<std::string> names = exportedFiles();
  names.insert(names.end(), {kMetricsFile, kReportFile});
  for (const std::string &name : names)
    if (fs::exists(output / name, absent) &&
        fs::file_size(output / name, absent) > 0)
      throw Error("output: " + (output / name).string() +
                  " is a file that no run wrote and this one would replace; "
                  "choose another output");
}

void RunFolder::removeEarlierRun() const {
  if (!isOfARun())
    return;
  const fs::path states = output / kStateFolder;
  std::optional<FolderLock> lock;
  if (fs::exists(states))
    lock.emplace(states);
  removeStates(states);
  TensorBoard::removeEvents(output / kEventsFolder);
  for (const std::string &name : exportedFiles())
    removeOwn(output / name);
  for (const char *name : {kReportFile, kMetricsFile, kRun})
    removeOwn(output / name);
}

void requireSpace(const fs::path &folder, int64_t bytes,
                  const std::string &what) {
  std::error_code unknown;
  const fs::space_info space = fs::space(folder, unknown);
  if (unknown || bytes <= 0 || space.available >= uint64_t(bytes))
    return;
  const auto mebibytes = [](uint64_t bytes) {
    return std::to_string(bytes >> 20) + " MiB";
  };
  throw Error("output: the disk of " + folder.string() + " has " +
              mebibytes(space.available) + " left, expected " +
              mebibytes(uint64_t(bytes)) + " for " + what);
}

} // namespace fairy2::trainer
