// SPDX-License-Identifier: Apache-2.0
#include "trainer/TrainingState.h"

#include "dialect/Error.h"
#include "frontend/Checkpoint.h"
#include "frontend/Json.h"
#include "runtime/File.h"
#include "trainer/Export.h"
#include "trainer/Fingerprint.h"

#include <charconv>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

constexpr const char *kKinds[] = {"latents", "means", "squares"};

at::Tensor tensorOf(const char *kind, const OwnPart &part,
                    const AdamW::Moments &moments) {
  return kind == kKinds[0]   ? part.latents
         : kind == kKinds[1] ? moments.means
                             : moments.squares;
}

/// The name of a rank's part of a unit, which says where the part begins.
std::string partName(size_t unit, const char *kind, int64_t begin) {
  return "unit-" + std::to_string(unit) + "." + kind + "@" +
         std::to_string(begin);
}

std::string rankFile(int rank) {
  return "rank-" + std::to_string(rank) + ".safetensors";
}

void writeJson(const fs::path &path, const nlohmann::ordered_json &json) {
  const std::string text = json.dump(2) + "\n";
  OutputFile file(path);
  file.append({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  file.commit();
}

/// Copies what the saved tensor and [begin, begin + to.numel()) have in common.
void copyOverlap(const Checkpoint &saved, const TensorInfo &tensor,
                 int64_t savedBegin, int64_t begin, const at::Tensor &to) {
  const int64_t first = std::max(begin, savedBegin);
  const int64_t last =
      std::min(begin + to.numel(), savedBegin + tensor.shape.at(0));
  if (first < last)
    saved.readFloats(tensor, first - savedBegin, last - savedBegin,
                     static_cast<float *>(to.data_ptr()) + first - begin);
}

/// Throws Error naming the first file whose content is not what was saved.
void checkHashes(const fs::path &folder, const nlohmann::json &state) {
  const std::string file = (folder / "state.json").string();
  const auto hashes = state.find("sha256");
  if (hashes == state.end() || !hashes->is_object() || hashes->empty())
    throw Error(file + ": field 'sha256': expected the files' hashes");
  for (const auto &[name, hash] : hashes->items()) {
    if (fs::path(name).filename() != name || !hash.is_string())
      throw Error(file + ": field 'sha256': expected names of files and their "
                         "hashes");
    if (sha256OfFile(folder / name) != hash.get<std::string>())
      throw Error((folder / name).string() +
                  ": damaged: its SHA-256 is not the one in state.json; remove " +
                  folder.string() + " to start anew");
  }
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

void TrainingState::writeOwn(const fs::path &target, ShardedWeights &weights,
                             AdamW &optimizer) const {
  const std::vector<OwnPart> parts = weights.ownParts();
  std::vector<NamedShape> shapes;
  std::vector<at::Tensor> tensors;
  for (size_t u = 0; u < parts.size(); ++u)
    for (const char *kind : kKinds) {
      tensors.push_back(tensorOf(kind, parts[u], optimizer.moments()[u]));
      shapes.push_back(
          {partName(u, kind, parts[u].begin), tensors.back().sizes().vec()});
    }
  writeSafetensors(
      target / rankFile(ranks.rank()), shapes,
      [&](size_t i) { return tensors[i]; }, DType::F32);
}

void TrainingState::writeIndex(const fs::path &target, ShardedWeights &weights,
                               const RunPosition &position,
                               int64_t optimizerSteps) const {
  nlohmann::ordered_json map;
  const std::vector<OwnPart> parts = weights.ownParts();
  for (int rank = 0; rank < (weights.divides() ? ranks.size() : 1); ++rank)
    for (size_t u = 0; u < parts.size(); ++u)
      for (const char *kind : kKinds)
        map[partName(u, kind, rank * parts[u].latents.numel())] =
            rankFile(rank);
  writeJson(target / "model.safetensors.index.json", {{"weight_map", map}});
  nlohmann::ordered_json hashes;
  for (const auto &entry : fs::directory_iterator(target))
    hashes[entry.path().filename().string()] =
        sha256OfFile(entry.path());
  writeJson(target / "state.json", {{"step", position.step},
                                    {"bad_steps", position.badSteps},
                                    {"optimizer_steps", optimizerSteps},
                                    {"fingerprint", position.fingerprint},
                                    {"sha256", hashes}});
}

void TrainingState::save(ShardedWeights &weights, AdamW &optimizer,
                         const RunPosition &position) {
  const fs::path target = folder / ("step-" + std::to_string(position.step));
  const fs::path temporary = target.string() + ".tmp";
  const bool leads = ranks.rank() == 0;
  std::string failure;
  const auto together = [&](const auto &action) {
    try {
      if (failure.empty())
        action();
    } catch (const std::exception &error) {
      failure = error.what();
    }
    if (ranks.sums({double(!failure.empty())})[0] > 0)
      throw Error(failure.empty() ? "another rank could not save its state"
                                  : failure);
  };
  together([&] {
    if (!leads)
      return;
    fs::remove_all(temporary);
    fs::create_directories(temporary);
  });
  together([&] {
    if (leads || weights.divides())
      writeOwn(temporary, weights, optimizer);
  });
  together([&] {
    if (!leads)
      return;
    writeIndex(temporary, weights, position, optimizer.stepsDone());
    fs::remove_all(target);
    fs::rename(temporary, target);
    for (const auto &entry : fs::directory_iterator(folder))
      if (entry.path() != target)
        fs::remove_all(entry.path());
  });
}

std::optional<RunPosition>
TrainingState::load(ShardedWeights &weights, AdamW &optimizer,
                    const std::string &fingerprint) const {
  fs::path newest;
  int64_t most = -1;
  if (fs::is_directory(folder))
    for (const auto &entry : fs::directory_iterator(folder))
      if (const int64_t step = stepOf(entry.path()); step > most) {
        most = step;
        newest = entry.path();
      }
  if (most < 0)
    return std::nullopt;
  const fs::path file = newest / "state.json";
  const nlohmann::json json = readJson(file);
  const JsonObject fields(json, file.string());
  constexpr int64_t kMany = int64_t(1) << 50;
  RunPosition position{fields.integer("step", 0, kMany),
                       fields.integer("bad_steps", 0, kMany),
                       fields.string("fingerprint")};
  if (position.fingerprint != fingerprint)
    throw Error(newest.string() +
                " is the state of a run with another recipe, model, data or "
                "program; remove it to start anew, or choose another output");
  // One rank reads all for the others.
  std::string damage;
  if (ranks.rank() == 0)
    try {
      checkHashes(newest, json);
    } catch (const std::exception &error) {
      damage = error.what();
    }
  if (ranks.sums({double(!damage.empty())})[0] > 0)
    throw Error(damage.empty() ? "rank 0 found the saved state damaged"
                               : damage);
  optimizer.setStepsDone(fields.integer("optimizer_steps", 0, kMany));
  const Checkpoint saved = Checkpoint::open(newest);
  const std::vector<OwnPart> parts = weights.ownParts();
  for (size_t u = 0; u < parts.size(); ++u)
    for (const char *kind : kKinds) {
      const at::Tensor own = tensorOf(kind, parts[u], optimizer.moments()[u]);
      const at::Tensor to = own.cpu(); // itself, where it is there
      // Parts are equally long, so the first one's length leads to the others.
      int64_t begin = 0;
      while (begin < parts[u].total) {
        const TensorInfo &tensor = saved.tensor(partName(u, kind, begin));
        if (tensor.shape.size() != 1 || tensor.shape[0] < 1)
          throw Error(newest.string() + ": tensor '" + tensor.name +
                      "': expected a row of values");
        copyOverlap(saved, tensor, begin, parts[u].begin, to);
        begin += tensor.shape[0];
      }
      if (!own.is_cpu())
        own.copy_(to);
    }
  weights.publish();
  return position;
}

void TrainingState::clear() {
  if (ranks.rank() == 0)
    fs::remove_all(folder);
}

} // namespace fairy2
