// SPDX-License-Identifier: Apache-2.0
//
// A state is written to a folder of another name, and renamed when every rank
// has written its part.
#include "trainer/run/TrainingState.h"

#include "dialect/phase/Quantization.h"
#include "frontend/Checkpoint.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "trainer/model/Export.h"

#include <cerrno>
#include <charconv>

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

void writeJson(const fs::path &path, const nlohmann::ordered_json &json) {
  writeTextFile(path, json.dump(2) + "\n");
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
                               const Sha256Sums &hashes) const {
  nlohmann::ordered_json map;
  const std::vector<OwnPart> parts = weights.ownParts();
  for (int rank = 0; rank < (weights.divides() ? ranks.size() : 1); ++rank)
    for (size_t u = 0; u < parts.size(); ++u)
      for (const auto &[kind, tensor] : savedOf(parts[u], u, optimizer))
        map[partName(u, kind, rank * parts[u].latents.numel())] =
            rankFile(rank);
  writeJson(target / "model.safetensors.index.json", {{"weight_map", map}});
  writeJson(target / "state.json", {{"format", kFormat},
                                    {"step", position.step},
                                    {"bad_steps", position.badSteps},
                                    {"optimizer_steps", optimizer.stepsDone()},
                                    {"fingerprint", position.fingerprint}});
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

void TrainingState::together(const char *otherRanksFailure,
                             const std::function<void()> &action) const {
  std::string failure;
  try {
    action();
  } catch (const std::exception &error) {
    failure = error.what();
  }
  if (ranks.sums({double(!failure.empty())})[0] > 0)
    throw Error(failure.empty() ? otherRanksFailure : failure);
}

void TrainingState::prepare() {
  together("rank 0 cannot write its state", [&] {
    if (ranks.rank() != 0)
      return;
    if (!newest())
      requireNoModel(output);
    std::error_code error;
    fs::create_directories(folder, error);
    if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0)
      error = {errno, std::generic_category()};
    if (error)
      throw Error("output: cannot write to " + folder.string() + ": " +
                  error.message());
    lock.emplace(folder);
  });
}

void TrainingState::save(ShardedWeights &weights, Optimizer &optimizer,
                         const RunPosition &position) {
  const fs::path target = folder / ("step-" + std::to_string(position.step));
  const fs::path temporary = target.string() + ".tmp";
  const bool leads = ranks.rank() == 0;
  constexpr const char *kFailure = "another rank could not save its state";
  together(kFailure, [&] {
    if (!leads)
      return;
    fs::remove_all(temporary);
    fs::create_directories(temporary);
  });
  std::string hash;
  together(kFailure, [&] {
    if (leads || weights.divides())
      hash = writeOwn(temporary, weights, optimizer);
  });
  const Sha256Sums hashes = exchanged(hash);
  together(kFailure, [&] {
    if (!leads)
      return;
    writeIndex(temporary, weights, optimizer, position, hashes);
    fs::remove_all(target);
    fs::rename(temporary, target);
    for (const auto &entry : fs::directory_iterator(folder))
      if (entry.path() != target)
        fs::remove_all(entry.path());
  });
}

std::optional<fs::path> TrainingState::newest() const {
  std::optional<fs::path> path;
  int64_t most = -1;
  std::error_code absent;
  for (const auto &entry : fs::directory_iterator(folder, absent))
    if (const int64_t step = stepOf(entry.path()); step > most) {
      most = step;
      path = entry.path();
    }
  return path;
}

std::optional<RunPosition>
TrainingState::load(ShardedWeights &weights, Optimizer &optimizer,
                    const std::string &fingerprint) const {
  const std::optional<fs::path> from = newest();
  if (!from)
    return std::nullopt;
  const fs::path file = *from / "state.json";
  const nlohmann::json json = readJson(file);
  const JsonObject fields(json, file.string());
  constexpr int64_t kMany = int64_t(1) << 50;
  if (fields.integer("format", 1, kMany) != kFormat)
    fields.fail("format", "expected " + std::to_string(kFormat) +
                              ", found what a newer fairy2-train saved");
  // One rank reads all for the others.
  together("rank 0 found the saved state damaged", [&] {
    if (ranks.rank() != 0)
      return;
    try {
      checkSha256Sums(*from);
    } catch (const Error &error) {
      throw Error(std::string(error.what()) + "; remove " + from->string() +
                  " to start anew");
    }
  });
  const RunPosition position{fields.integer("step", 0, kMany),
                             fields.integer("bad_steps", 0, kMany),
                             fields.string("fingerprint")};
  if (position.fingerprint != fingerprint)
    throw Error(from->string() +
                " is the state of a run with another recipe, model, data or "
                "program; remove it to start anew, or choose another output");
  optimizer.setStepsDone(fields.integer("optimizer_steps", 0, kMany));
  together("another rank cannot use the saved state",
           [&] { restore(*from, weights, optimizer); });
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
    fs::remove_all(folder);
}

} // namespace fairy2::trainer
