// SPDX-License-Identifier: Apache-2.0
//
// Saved states: written by all ranks, checked, read by any number of them.
#include "trainer/run/TrainingState.h"

#include "dialect/phase/Quantization.h"
#include "frontend/Checkpoint.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "trainer/model/Export.h"
#include "trainer/run/RunFolder.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <thread>

#include <unistd.h>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// Of the folder's files, in state.json.
constexpr int64_t kFormat = 1;

constexpr const char *kLatents = "latents";

/// What is saved of a unit's part, by name: latents and the optimizer's states.
std::vector<std::pair<std::string, at::Tensor>>
savedOf(const OwnPart &part, size_t unit, const Optimizer &optimizer) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {kLatents, part.latents}};
  for (size_t i = 0; i < optimizer.stateNames().size(); ++i)
    tensors.emplace_back(optimizer.stateNames()[i], optimizer.state(unit, i));
  return tensors;
}

/// The name of a rank's part of a unit, which says where the part begins.
std::string partName(size_t unit, const std::string &kind, int64_t begin) {
  return "unit-" + std::to_string(unit) + "." + kind + "@" +
         std::to_string(begin);
}

std::string rankFile(int rank) {
  return "rank-" + std::to_string(rank) + ".safetensors";
}

/// The part of a unit of `total` values that begins at `begin`. Throws Error
/// when it is not as writeOwn() writes it.
const TensorInfo &savedPart(const Checkpoint &saved, size_t unit,
                            const std::string &kind, int64_t begin,
                            int64_t total) {
  const TensorInfo &tensor = saved.tensor(partName(unit, kind, begin));
  const auto fail = [&](const std::string &text) {
    throw Error((saved.directory() / tensor.file).string() + ": tensor '" +
                tensor.name + "': expected " + text);
  };
  if (tensor.type != DType::F32)
    fail(std::string("F32, found ") + nameOf(tensor.type));
  // So many parts hold a value, and they are equally long.
  const int64_t length = tensor.shape.size() == 1 ? tensor.shape[0] : 0;
  const int64_t parts = length > 0 ? (total + length - 1) / length : 1;
  if (length != partLength(total, parts))
    fail("a part of the model's " + std::to_string(total) + " values");
  return tensor;
}

/// Copies what the saved tensor and [begin, begin + to.numel()) have in common.
void copyOverlap(const Checkpoint &saved, const TensorInfo &tensor,
                 int64_t savedBegin, int64_t begin, const at::Tensor &to) {
  const int64_t first = std::max(begin, savedBegin);
  const int64_t last =
      std::min(begin + to.numel(), savedBegin + tensor.shape.at(0));
  if (first >= last)
    return;
  float *values = static_cast<float *>(to.data_ptr()) + first - begin;
  saved.readFloats(tensor, first - savedBegin, last - savedBegin, values);
  requireFinite((saved.directory() / tensor.file).string() + ": tensor '" +
                    tensor.name + "'",
                /*row=*/0, last - first, values);
}

constexpr const char *kTemporary = ".tmp";
constexpr const char *kPosition = "state.json";
constexpr const char *kHashes = "hashes.json"; ///< of the run's input
constexpr const char *kProbe = ".shared-";

/// The step of a folder named step-N; -1 for any other name.
int64_t stepOf(const fs::path &path) {
  const std::string name = path.filename().string();
  int64_t step = -1;
  if (!name.starts_with("step-"))
    return -1;
  const char *end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + 5, end, step);
  return error == std::errc() && last == end ? step : -1;
}

/// The steps that are saved in `folder`, rising.
std::vector<int64_t> stepsIn(const fs::path &folder) {
  std::vector<int64_t> steps;
  std::error_code absent;
  for (const auto &entry : fs::directory_iterator(folder, absent))
    if (const int64_t step = stepOf(entry.path());
        step >= 0 && fs::exists(entry.path() / kPosition, absent))
      steps.push_back(step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

bool isOfAState(const std::string &name) {
  return name == kPosition || name == "model.safetensors.index.json" ||
         name == "SHA256SUMS" ||
         (name.starts_with("rank-") && name.ends_with(".safetensors"));
}

/// Removes a state's files, what was written of them, and its folder, unless
/// something else is there.
void removeState(const fs::path &state) {
  std::error_code absent;
  if (!fs::exists(state, absent))
    return;
  std::vector<fs::path> files;
  for (const auto &entry : fs::directory_iterator(state, absent)) {
    // A temporary file of OutputFile is .NAME.PROCESS.NUMBER.tmp.
    std::string name = entry.path().filename().string();
    if (name.starts_with(".") && name.ends_with(kTemporary))
      for (int part = 0; part < 3; ++part)
        name.resize(std::min(name.rfind('.'), name.size()));
    if (isOfAState(name.starts_with(".") ? name.substr(1) : name))
      files.push_back(entry.path());
  }
  // Without its position it is no state, whatever comes between.
  fs::remove(state / kPosition, absent);
  for (const fs::path &file : files)
    fs::remove(file, absent);
  fs::remove(state, absent);
}

/// A network file system may show a new file late.
bool appears(const fs::path &path) {
  for (int i = 0; i < 20; ++i) {
    std::error_code absent;
    if (fs::exists(path, absent))
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

} // namespace

std::string TrainingState::writeOwn(const fs::path &target,
                                    ShardedWeights &weights,
                                    Optimizer &optimizer) const {
  const std::vector<OwnPart> parts = weights.ownParts();
  std::vector<NamedShape> shapes;
  std::vector<at::Tensor> tensors;
  for (size_t u = 0; u < parts.size(); ++u)
    for (const auto &[kind, tensor] : savedOf(parts[u], u, optimizer)) {
      tensors.push_back(tensor);
      shapes.push_back(
          {partName(u, kind, parts[u].begin), tensors.back().sizes().vec()});
    }
  return writeSafetensors(
      target / rankFile(ranks.rank()), shapes,
      [&](size_t i) { return tensors[i]; }, DType::F32);
}

void TrainingState::writeIndex(const fs::path &target, ShardedWeights &weights,
                               const Optimizer &optimizer,
                               const RunPosition &position,
                               const RunIdentity &run,
                               const Sha256Sums &hashes) const {
  nlohmann::ordered_json map;
  const std::vector<OwnPart> parts = weights.ownParts();
  for (int rank = 0; rank < (weights.divides() ? ranks.size() : 1); ++rank)
    for (size_t u = 0; u < parts.size(); ++u)
      for (const auto &[kind, tensor] : savedOf(parts[u], u, optimizer))
        map[partName(u, kind, rank * parts[u].latents.numel())] =
            rankFile(rank);
  writeJson(target / "model.safetensors.index.json", {{"weight_map", map}});
  writeJson(target / kPosition, {{"format", kFormat},
                                 {"step", position.step},
                                 {"bad_steps", position.badSteps},
                                 {"optimizer_steps", optimizer.stepsDone()},
                                 {"run", run.parts},
                                 {"fingerprint", run.fingerprint}});
  writeSha256Sums(target, hashes);
}

Sha256Sums TrainingState::exchanged(const std::string &ownHash) const {
  constexpr size_t kDigits = 64;
  std::vector<double> digits(size_t(ranks.size()) * kDigits);
  std::copy(ownHash.begin(), ownHash.end(),
            digits.begin() + ptrdiff_t(size_t(ranks.rank()) * kDigits));
  digits = ranks.sums(digits);
  Sha256Sums hashes;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto begin = digits.begin() + ptrdiff_t(size_t(rank) * kDigits);
    if (*begin != 0) // a rank that wrote a file
      hashes[rankFile(rank)] = std::string(begin, begin + kDigits);
  }
  return hashes;
}

TrainingState::TrainingState(const fs::path &output, Communicator &ranks,
                             int64_t keepLast)
    : output(output), folder(output / kStateFolder), ranks(ranks),
      keepLast(keepLast) {}

fs::path TrainingState::folderOf(int64_t step) const {
  return folder / ("step-" + std::to_string(step));
}

void TrainingState::prepare(bool everyRankWrites) {
  ranks.together("rank 0 cannot write its state", [&] {
    if (ranks.rank() != 0)
      return;
    if (const auto steps = stepsIn(folder); !steps.empty())
      newest = steps.back();
    if (!exists())
      RunFolder(output).requireFree();
    std::error_code error;
    fs::create_directories(folder, error);
    if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0)
      error = {errno, std::generic_category()};
    if (error)
      throw Error("output: cannot write to " + folder.string() + ": " +
                  error.message());
    lock.emplace(folder);
    makeDurable(output);
  });
  newest = int64_t(ranks.sums({ranks.rank() == 0 ? double(newest) : 0})[0]);
  if (ranks.size() > 1 && (everyRankWrites || exists()))
    requireShared(everyRankWrites);
}

void TrainingState::requireShared(bool everyRankWrites) const {
  const bool leads = ranks.rank() == 0;
  const std::string name = ranks.ofRankZero(
      kProbe + std::to_string(::getpid()) + "-" +
      std::to_string(
          std::chrono::system_clock::now().time_since_epoch().count()));
  const fs::path probe = folder / name;
  ranks.together("rank 0 cannot write its state", [&] {
    if (leads)
      OutputFile(probe).commit();
  });
  const auto finish = [&] {
    std::error_code absent;
    if (leads)
      fs::remove(probe, absent);
  };
  try {
    ranks.together(
        "another rank does not see what rank 0 writes to " + folder.string(),
        [&] {
          if (!leads && !appears(probe))
            throw Error("output: rank " + std::to_string(ranks.rank()) +
                        " does not see what rank 0 writes to " +
                        folder.string() +
                        ": expected a file system that all ranks share, " +
                        (everyRankWrites ? "for states of which each rank "
                                           "writes a part"
                                         : "to go on from a saved state"));
        });
  } catch (...) {
    finish();
    throw;
  }
  finish();
}

int64_t TrainingState::bytes() const {
  int64_t sum = 0;
  std::error_code gone;
  for (const int64_t step : stepsIn(folder))
    for (const auto &entry : fs::directory_iterator(folderOf(step), gone))
      sum += int64_t(entry.file_size(gone));
  return sum;
}

void TrainingState::save(ShardedWeights &weights, Optimizer &optimizer,
                         const RunPosition &position, const RunIdentity &run) {
  if (position.step == newest)
    return;
  const fs::path temporary = folderOf(position.step).string() + kTemporary;
  const bool leads = ranks.rank() == 0;
  constexpr const char *kFailure = "another rank could not save its state";
  ranks.together(kFailure, [&] {
    if (!leads)
      return;
    removeState(temporary);
    fs::create_directories(temporary);
  });
  std::string hash;
  ranks.together(kFailure, [&] {
    if (!leads && !weights.divides())
      return;
    hash = writeOwn(temporary, weights, optimizer);
    makeDurable(temporary / rankFile(ranks.rank()));
  });
  const Sha256Sums hashes = exchanged(hash);
  ranks.together(kFailure, [&] {
    if (!leads)
      return;
    writeIndex(temporary, weights, optimizer, position, run, hashes);
    publish(temporary, position.step);
  });
  newest = position.step;
}

void TrainingState::publish(const fs::path &temporary, int64_t step) {
  for (const auto &entry : fs::directory_iterator(temporary))
    makeDurable(entry.path());
  makeDurable(temporary);
  const fs::path target = folderOf(step);
  removeState(target);
  if (fs::exists(target))
    throw Error(target.string() +
                ": something that is no state of this run has that name");
  fs::rename(temporary, target);
  makeDurable(folder);
  // Nothing older goes before the new one is sure to stay.
  std::vector<int64_t> steps = stepsIn(folder);
  for (size_t i = 0; i + size_t(keepLast) < steps.size(); ++i)
    removeState(folderOf(steps[i]));
  std::vector<fs::path> unfinished;
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.path().extension() == kTemporary &&
        stepOf(entry.path().stem()) >= 0)
      unfinished.push_back(entry.path());
  for (const fs::path &path : unfinished)
    removeState(path);
}

std::optional<RunPosition> TrainingState::load(ShardedWeights &weights,
                                               Optimizer &optimizer,
                                               const RunIdentity &run,
                                               int64_t steps) const {
  if (!exists())
    return std::nullopt;
  const fs::path from = folderOf(newest);
  const fs::path file = from / kPosition;
  const nlohmann::json json = readJson(file);
  const JsonObject fields(json, file.string());
  constexpr int64_t kMany = int64_t(1) << 50;
  if (fields.integer("format", 1, kMany) != kFormat)
    fields.fail("format", "expected " + std::to_string(kFormat) +
                              ", found what a newer fairy2-train saved");
  // One rank reads all for the others.
  ranks.together("rank 0 found the saved state damaged", [&] {
    if (ranks.rank() != 0)
      return;
    try {
      checkSha256Sums(from);
    } catch (const Error &error) {
      const auto saved = stepsIn(folder);
      throw Error(std::string(error.what()) + "; remove " + from.string() +
                  (saved.size() > 1
                       ? " to go on after step " +
                             std::to_string(saved[saved.size() - 2])
                       : " to start anew"));
    }
  });
  const RunPosition position{fields.integer("step", 0, kMany),
                             fields.integer("bad_steps", 0, kMany)};
  ranks.together("rank 0 found the state of another run", [&] {
    if (ranks.rank() != 0 || fields.string("fingerprint") == run.fingerprint)
      return;
    const nlohmann::json before = json.value("run", nlohmann::json::object());
    throw Error(from.string() +
                " is the state of a run with another recipe, model, data or "
                "program" +
                (before.empty() ? "" : ": " + differences(before, run.parts)) +
                "; remove it to start anew, or choose another output");
  });
  if (position.step > steps)
    fields.fail("step", "expected at most the run's " + std::to_string(steps) +
                            " steps, found " + std::to_string(position.step));
  optimizer.setStepsDone(fields.integer("optimizer_steps", 0, kMany));
  ranks.together("another rank cannot use the saved state",
                 [&] { restore(from, weights, optimizer); });
  weights.publish();
  return position;
}

void TrainingState::restore(const fs::path &from, ShardedWeights &weights,
                            Optimizer &optimizer) const {
  const Checkpoint saved = Checkpoint::open(from);
  const std::vector<OwnPart> parts = weights.ownParts();
  for (size_t u = 0; u < parts.size(); ++u)
    for (const auto &[kind, own] : savedOf(parts[u], u, optimizer)) {
      const at::Tensor to = own.cpu(); // itself, where it is there
      // Parts are equally long, so the first one's length leads to the others.
      int64_t begin = 0;
      while (begin < parts[u].total) {
        const TensorInfo &tensor =
            savedPart(saved, u, kind, begin, parts[u].total);
        copyOverlap(saved, tensor, begin, parts[u].begin, to);
        begin += tensor.shape[0];
      }
      if (!own.is_cpu())
        own.copy_(to);
    }
}

void TrainingState::clear() {
  if (ranks.rank() == 0)
    removeStates(folder);
}

void removeStates(const fs::path &folder) {
  std::error_code absent;
  std::vector<fs::path> entries;
  for (const auto &entry : fs::directory_iterator(folder, absent))
    entries.push_back(entry.path());
  for (const fs::path &path : entries) {
    const std::string name = path.filename().string();
    if (stepOf(path) >= 0 ||
        (path.extension() == kTemporary && stepOf(path.stem()) >= 0))
      removeState(path);
    else if (name == kHashes || name.starts_with(kProbe))
      fs::remove(path, absent);
  }
  fs::remove(folder, absent); // when nothing of others is there
}

fs::path hashCacheIn(const fs::path &output) {
  return output / kStateFolder / kHashes;
}

} // namespace fairy2::trainer
