// SPDX-License-Identifier: Apache-2.0
//
// Runs that go on from what they saved, and states that serve nobody.
#include "test/unit/trainer/TrainerRun.h"

#include "frontend/Checkpoint.h"
#include "trainer/run/Sha256Sums.h"

#include <ATen/ops/from_blob.h>

#include <fstream>
#include <limits>

using namespace fairy2;
using namespace fairy2::trainer;
namespace fs = std::filesystem;

namespace {

class StoppedRunTest : public TrainerRun {};

/// Stopped after any step, by a signal or by the last save before a crash, a
/// run ends with the same bits as one that was left alone.
TEST_F(StoppedRunTest, AStoppedRunGoesOnBitForBit) {
  recipe.train.tokens = 12 * 4 * 48;
  recipe.train.quantizeWarmup = 6;
  recipe.train.anneal = 0.75;
  Trainer whole(recipe);
  const RunResult expected = whole.run();
  recipe.output = (folder / "stopped").string();
  for (const int64_t stopAfter : {4, 3}) {
    int64_t steps = 0;
    Trainer part(recipe);
    EXPECT_FALSE(part.run([&] { return ++steps == stopAfter; }).finished);
    EXPECT_TRUE(std::filesystem::exists(folder / "stopped/state"));
  }
  Trainer rest(recipe);
  const RunResult result = rest.run();
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.validationLoss, expected.validationLoss);
  EXPECT_EQ(latentsOf(rest), latentsOf(whole));
  EXPECT_FALSE(std::filesystem::exists(folder / "stopped/state"));
}

TEST_F(StoppedRunTest, TheStateOfAnotherRunIsRefused) {
  recipe.train.saveEvery = 2;
  int64_t steps = 0;
  Trainer(recipe).run([&] { return ++steps == 3; });
  recipe.train.clip = 0.5;
  EXPECT_NE(
      errorOf([&] { Trainer(recipe).run(); })
          .find("step-3 is the state of a run with another recipe, model, "
                "data or program: train.clip was 1.0 and is 0.5; "),
      std::string::npos);
  // How often to save does not change the result.
  recipe.train.clip = 1;
  recipe.train.saveEvery = 7;
  steps = 0;
  EXPECT_FALSE(Trainer(recipe).run([&] { return ++steps == 1; }).finished);
}

/// An export that fails costs no training: the state after the last step is
/// there, and the same command ends as a run that was left alone.
TEST_F(StoppedRunTest, AFailedExportKeepsTheTraining) {
  recipe.train.tokens = 6 * 4 * 48;
  recipe.exportOptions.type = "BF16";
  Trainer whole(recipe);
  const RunResult expected = whole.run();
  recipe.output = (folder / "blocked").string();
  const fs::path inTheWay = folder / "blocked/model.safetensors";
  const std::string failure = errorOf([&] {
    Trainer(recipe).run([&] {
      fs::create_directories(inTheWay);
      return false;
    });
  });
  EXPECT_NE(failure.find("model.safetensors: expected a regular file"),
            std::string::npos)
      << failure;
  EXPECT_NE(failure.find("; the state after the last step is saved, and the "
                         "same command exports it"),
            std::string::npos)
      << failure;
  EXPECT_TRUE(fs::exists(folder / "blocked/state/step-6"));
  fs::remove(inTheWay);
  Trainer rest(recipe);
  int64_t steps = 0;
  const RunResult result = rest.run([&] { return ++steps > 0; });
  EXPECT_EQ(steps, 0);
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.validationLoss, expected.validationLoss);
  EXPECT_EQ(latentsOf(rest), latentsOf(whole));
  EXPECT_TRUE(Trainer(recipe).run().before);
}

/// A run that was stopped after its second step, and its state's files.
class SavedStateTest : public TrainerRun {
protected:
  SavedStateTest() { stopAfter(2); }

  bool stopAfter(int64_t most) {
    int64_t steps = 0;
    return !Trainer(recipe).run([&] { return ++steps == most; }).finished;
  }
  std::string content(const char *name) const {
    return readWholeFile(state / name);
  }
  void write(const char *name, const std::string &content) const {
    std::ofstream(state / name, std::ios::binary) << content;
  }
  /// Sets a field of state.json, with hashes that are right again.
  void setField(const char *field, const nlohmann::json &value) const {
    nlohmann::json json = nlohmann::json::parse(content("state.json"));
    json[field] = value;
    write("state.json", json.dump());
    writeSha256Sums(state);
  }
  /// Writes rank 0's tensors as `change` leaves them, in elements of `type`,
  /// with hashes that are right again.
  void
  rewrite(const std::function<void(NamedShape &, std::vector<float> &)> &change,
          DType type = DType::F32) const {
    std::vector<NamedShape> shapes;
    std::vector<std::vector<float>> values;
    {
      const Checkpoint saved = Checkpoint::open(state);
      for (const auto &[name, tensor] : saved.tensors()) {
        shapes.push_back({name, tensor.shape});
        values.emplace_back(size_t(tensor.shape[0]));
        saved.readFloats(tensor, 0, tensor.shape[0], values.back().data());
        change(shapes.back(), values.back());
      }
    }
    writeSafetensors(
        state / "rank-0.safetensors", shapes,
        [&](size_t i) {
          return at::from_blob(values[i].data(), shapes[i].shape, at::kFloat);
        },
        type);
    writeSha256Sums(state);
  }
  void expectRefusal(const std::string &expected) {
    const std::string found = errorOf([&] { Trainer(recipe).run(); });
    EXPECT_NE(found.find(expected), std::string::npos)
        << "found: " << found << "\nexpected: " << expected;
  }

  const fs::path state = folder / "out/state/step-2";
};

/// Each damaged file is named, even where one bit differs.
TEST_F(SavedStateTest, DamagedFilesAreNamed) {
  for (const char *name :
       {"rank-0.safetensors", "model.safetensors.index.json", "state.json"}) {
    const std::string good = content(name);
    std::string flipped = good;
    // A digit of the fingerprint, where it is the JSON that has one.
    flipped[good.size() - 9] ^= 1;
    write(name, flipped);
    expectRefusal(std::string(name) + ": damaged: its SHA-256 is not the one "
                                      "in SHA256SUMS; remove ");
    write(name, good.substr(0, good.size() / 2));
    expectRefusal(name);
    write(name, good);
  }
  std::string position = content("state.json");
  const std::string good = position;
  position[position.find("\"step\": 2") + 8] = '1';
  write("state.json", position);
  expectRefusal("state.json: damaged: its SHA-256");
  write("state.json", good);
  EXPECT_TRUE(stopAfter(1));
}

TEST_F(SavedStateTest, HashesCoverAllFiles) {
  const std::string good = content("SHA256SUMS");
  std::string dropped = good;
  const size_t at = dropped.find("  state.json") - 64;
  dropped.erase(at, dropped.find('\n', at) + 1 - at);
  write("SHA256SUMS", dropped);
  expectRefusal("state.json: not listed in SHA256SUMS");
  write("SHA256SUMS", good.substr(0, good.size() / 2));
  expectRefusal("SHA256SUMS:");
  fs::remove(state / "SHA256SUMS");
  expectRefusal("SHA256SUMS: no such file");
  write("SHA256SUMS", good);
  fs::remove(state / "rank-0.safetensors");
  expectRefusal("rank-0.safetensors: cannot open: No such file");
  // What the coreutils say of a folder as it was saved.
  EXPECT_TRUE(fs::remove_all(folder / "out/state"));
  EXPECT_TRUE(stopAfter(2));
  outputOf("cd " + state.string() +
           " && sha256sum --strict --check SHA256SUMS");
}

/// Files that are whole, with values that no run goes on with.
TEST_F(SavedStateTest, WrongContentIsNamed) {
  const std::string good = content("state.json");
  setField("step", -1);
  expectRefusal("state.json: field 'step'");
  write("state.json", good);
  setField("format", 2);
  expectRefusal("state.json: field 'format': expected 1, found what a newer "
                "fairy2-train saved");
  write("state.json", good);
  setField("step", 41);
  expectRefusal("state.json: field 'step': expected at most the run's 40 "
                "steps, found 41");
  write("state.json", good);
  const std::string tensors = content("rank-0.safetensors");
  const auto nothing = [](NamedShape &, std::vector<float> &) {};
  rewrite([](NamedShape &tensor, std::vector<float> &values) {
    if (tensor.name == "unit-0.squares@0")
      values[5] = std::numeric_limits<float>::quiet_NaN();
  });
  expectRefusal(
      "rank-0.safetensors: tensor 'unit-0.squares@0': expected finite "
      "values, found NaN at row 0, column 5");
  for (const int64_t more : {-64, 64}) {
    write("rank-0.safetensors", tensors);
    rewrite([&](NamedShape &tensor, std::vector<float> &values) {
      if (tensor.name == "unit-1.latents@0")
        values.resize(size_t(tensor.shape[0] += more));
    });
    expectRefusal("rank-0.safetensors: tensor 'unit-1.latents@0': expected a "
                  "part of the model's ");
  }
  write("rank-0.safetensors", tensors);
  rewrite(nothing, DType::BF16);
  expectRefusal("rank-0.safetensors: tensor 'unit-0.latents@0': expected F32, "
                "found BF16");
  write("rank-0.safetensors", tensors);
  rewrite(nothing);
  EXPECT_TRUE(stopAfter(1));
}

/// The state of another model, even where all its shapes fit.
TEST_F(SavedStateTest, AnotherModelsStateIsRefused) {
  writeTinyModel(folder / "other", ", \"tie_word_embeddings\": true, "
                                   "\"rope_theta\": 77");
  recipe.model = (folder / "other").string();
  expectRefusal("step-2 is the state of a run with another recipe, model");
}

} // namespace
