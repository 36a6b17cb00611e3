// SPDX-License-Identifier: Apache-2.0
#include "trainer/TrainingState.h"

#include "dialect/Error.h"
#include "frontend/Checkpoint.h"
#include "frontend/Json.h"
#include "runtime/File.h"
#include "trainer/Export.h"

#include <charconv>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

NamedTensors allTensors(const Model &model, AdamW &optimizer) {
  NamedTensors all;
  for (const Parameter &parameter : model.parameters())
    all.emplace_back(parameter.name, parameter.latent);
  for (auto &entry : optimizer.state())
    all.push_back(std::move(entry));
  return all;
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

void TrainingState::save(const Model &model, AdamW &optimizer,
                         const RunPosition &position) {
  const fs::path target = folder / ("step-" + std::to_string(position.step));
  const fs::path temporary = target.string() + ".tmp";
  fs::remove_all(temporary);
  fs::create_directories(temporary);
  writeSafetensors(temporary / "model.safetensors",
                   allTensors(model, optimizer), DType::F32);
  const std::string text =
      nlohmann::ordered_json{{"step", position.step},
                             {"bad_steps", position.badSteps},
                             {"fingerprint", position.fingerprint}}
          .dump(2) +
      "\n";
  OutputFile file(temporary / "state.json");
  file.append({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  file.commit();
  fs::remove_all(target);
  fs::rename(temporary, target);
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.path() != target)
      fs::remove_all(entry.path());
}

std::optional<RunPosition>
TrainingState::load(Model &model, AdamW &optimizer,
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
  const Checkpoint saved = Checkpoint::open(newest);
  for (const auto &[name, tensor] : allTensors(model, optimizer)) {
    const TensorInfo &info = saved.tensor(name);
    if (info.shape != tensor.sizes().vec())
      throw Error(newest.string() + ": tensor '" + name +
                  "' has another shape than the model's");
    saved.readFloats(info, 0, tensor.numel(),
                     static_cast<float *>(tensor.data_ptr()));
  }
  return position;
}

void TrainingState::clear() { fs::remove_all(folder); }

} // namespace fairy2
