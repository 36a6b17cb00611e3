// SPDX-License-Identifier: Apache-2.0
//
// The forward pass against the compiler's own, and what is refused.
#include "trainer/model/Model.h"

#include "frontend/Checkpoint.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/TensorData.h"
#include "trainer/model/Export.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

/// Logits of the model for one sequence of tokens, [tokens, vocab].
at::Tensor logitsOf(const Model &model, const std::vector<int32_t> &tokens) {
  const at::NoGradGuard noGradients;
  Recipe::Data data;
  data.sequenceLength = int64_t(tokens.size());
  data.separator = "none";
  const BatchMaker maker(model.config(), data, {});
  const Weights weights = model.weights({});
  const at::Tensor logits =
      model.hidden(weights, maker.make({tokens}, data.sequenceLength))
          .matmul(weights.head.t());
  const std::optional<double> cap = model.config().finalSoftCap;
  return cap ? logits.div(*cap).tanh().mul(*cap) : logits;
}

const std::filesystem::path kStories =
    FAIRY2_SOURCE_DIR "/../shared/data/stories260K-hf";

TEST(ModelTest, LogitsOfStories260KAreThoseOfTransformers) {
  if (!std::filesystem::exists(kStories))
    GTEST_SKIP() << "../shared/data is not here";
  const nlohmann::json reference = readJson(kStories / "reference.json");
  const auto tokens = reference["prompt_ids"].get<std::vector<int32_t>>();
  const auto expected = reference["logits_last"].get<std::vector<float>>();
  const at::Tensor logits = logitsOf(Model::load(kStories), tokens);
  const float *last = floatsOf(logits) + (logits.size(0) - 1) * logits.size(1);
  for (size_t v = 0; v < expected.size(); ++v)
    EXPECT_NEAR(last[v], expected[v], 1e-4);
  const at::Tensor best = logits.argmax(1);
  EXPECT_EQ(
      std::vector<int64_t>(integersOf(best), integersOf(best) + best.numel()),
      reference["argmax_all"].get<std::vector<int64_t>>());
}

/// The values of a float32 matrix in a .npy file.
std::vector<float> readNpy(const std::filesystem::path &file) {
  const std::string content = readWholeFile(file);
  const size_t begin =
      10 + size_t(uint8_t(content.at(8))) + 256 * size_t(uint8_t(content[9]));
  std::vector<float> values((content.size() - begin) / sizeof(float));
  std::memcpy(values.data(), content.data() + begin,
              values.size() * sizeof(float));
  return values;
}

/// The checkpoints whose logits test/frontend/golden/make_golden.py computed
/// with transformers, at least one of each architecture.
std::vector<std::filesystem::path> goldenFolders() {
  std::vector<std::filesystem::path> folders;
  for (const auto &entry : std::filesystem::directory_iterator(
           FAIRY2_SOURCE_DIR "/test/frontend/golden/Inputs"))
    folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

TEST(ModelTest, GoldenLogitsAreThoseOfTransformers) {
  std::set<std::string> seen;
  for (const std::filesystem::path &folder : goldenFolders()) {
    const std::string name = folder.filename();
    seen.insert(HFConfig::read(folder).architecture);
    const auto tokens =
        readJson(folder / "golden.json")["prompt"].get<std::vector<int32_t>>();
    const std::vector<float> expected = readNpy(folder / "logits.npy");
    const at::Tensor logits = logitsOf(Model::load(folder), tokens);
    ASSERT_EQ(size_t(logits.numel()), expected.size()) << name;
    float most = 0;
    for (size_t i = 0; i < expected.size(); ++i)
      most = std::max(most, std::fabs(floatsOf(logits)[i] - expected[i]));
    EXPECT_LE(most, 1e-4f) << name;
  }
  const auto all = HFConfig::knownArchitectures();
  EXPECT_EQ(seen, std::set<std::string>(all.begin(), all.end()));
}

/// Beside a config.json that calls it the embedding, as trainers leave it. One
/// whose rows are turned by one turns the logits by one. The export says so.
TEST(ModelTest, AStoredHeadThatDiffersIsTheHead) {
  const std::filesystem::path golden =
      FAIRY2_SOURCE_DIR "/test/frontend/golden/Inputs/llama";
  const Model tied = Model::load(golden);
  const TemporaryFolder folder;
  folder.write("config.json", readWholeFile(golden / "config.json"));
  std::vector<NamedShape> tensors;
  std::vector<at::Tensor> values;
  for (const Parameter &parameter : tied.parameters()) {
    tensors.push_back({parameter.name, parameter.shape});
    values.push_back(parameter.latent);
  }
  tensors.push_back({kHeadName, tensors[0].shape});
  values.push_back(values[0].roll(1, 0));
  const auto valuesOf = [&](size_t i) { return values[i]; };
  writeSafetensors(folder / "model.safetensors", tensors, valuesOf,
                   DType::BF16);
  const Model own = Model::load(folder.path());
  EXPECT_EQ(own.parameters().size(), tensors.size());
  const std::vector<int32_t> tokens = {0, 30, 11, 7, 30, 3, 1, 2};
  const at::Tensor expected = logitsOf(tied, tokens).roll(1, 1);
  EXPECT_LE((logitsOf(own, tokens) - expected).abs().max().item<float>(), 1e-5);

  writeCheckpoint(
      own, [&](size_t i) { return own.parameters()[i].latent; }, Numerics(),
      ExportForm::Latents, DType::BF16, folder.path(), folder / "out");
  EXPECT_EQ(readJson(folder / "out/config.json")["tie_word_embeddings"], false);
  EXPECT_LE((logitsOf(Model::load(folder / "out"), tokens) - expected)
                .abs()
                .max()
                .item<float>(),
            1e-5);

  // The head alone serves as both.
  std::filesystem::create_directory(folder / "head");
  folder.write("head/config.json", readWholeFile(golden / "config.json"));
  tensors[0].name = kHeadName;
  tensors.pop_back();
  writeSafetensors(folder / "head/model.safetensors", tensors, valuesOf,
                   DType::BF16);
  EXPECT_LE(
      (logitsOf(Model::load(folder / "head"), tokens) - logitsOf(tied, tokens))
          .abs()
          .max()
          .item<float>(),
      1e-5);
}

/// Fused projections, norms of 1 + weight, scaled embeddings, norms of whole
/// rows.
TEST(ModelTest, EveryArchitectureGrows) {
  for (const std::filesystem::path &small : goldenFolders()) {
    const TemporaryFolder folder;
    nlohmann::json config = readJson(small / "config.json");
    const HFConfig before = HFConfig::read(small);
    config["head_dim"] = before.headDim;
    config["hidden_size"] = 3 * before.hiddenSize;
    config["num_attention_heads"] = 2 * before.heads;
    config["num_key_value_heads"] = 2 * before.kvHeads;
    config["intermediate_size"] = before.intermediateSize + 5;
    config["torch_dtype"] = "float32";
    const HFConfig wider =
        HFConfig::readFile(folder.write("config.json", config.dump()));
    Model narrow = Model::load(small);
    // Roots of both sizes that nothing rounds.
    narrow.setStoredType(DType::F32);
    const Model large =
        Model::filled(wider, Model::fromSmaller(wider, small, /*seed=*/1));
    const std::vector<int32_t> tokens = {0, 30, 11, 7, 30, 3, 1, 2, 3, 4, 5, 6};
    const at::Tensor a = logitsOf(narrow, tokens), b = logitsOf(large, tokens);
    EXPECT_LE((a - b).abs().max().item<float>(),
              2e-4 * a.abs().max().item<float>())
        << small.filename();
  }
}

TEST(ModelTest, AGrownModelComputesTheSame) {
  for (const char *tied : {"true", "false"}) {
    const TemporaryFolder folder;
    writeTinyModel(folder / "small",
                   std::string(", \"tie_word_embeddings\": ") + tied);
    nlohmann::json config = readJson(folder / "small" / "config.json");
    config["hidden_size"] = 96;
    config["num_attention_heads"] = 8;
    config["num_key_value_heads"] = 4;
    config["intermediate_size"] = 100;
    const std::string wide = folder.write("config.json", config.dump());
    const Model small = Model::load(folder / "small");
    const HFConfig wider = HFConfig::readFile(wide);
    const Model large = Model::filled(
        wider, Model::fromSmaller(wider, folder / "small", /*seed=*/1));
    EXPECT_GT(large.parameterCount(), 3 * small.parameterCount());
    const std::vector<int32_t> tokens = {0, 100, 101, 7, 100, 3};
    const at::Tensor a = logitsOf(small, tokens), b = logitsOf(large, tokens);
    EXPECT_LE((a - b).abs().max().item<float>(), 1e-5);
  }
}

TEST(ModelTest, ModelsThatCannotGrowSayWhy) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "small");
  nlohmann::json config = readJson(folder / "small" / "config.json");
  config["hidden_size"] = 40;
  const std::string file = folder.write("config.json", config.dump());
  EXPECT_EQ(errorOf([&] {
              Model::fromSmaller(HFConfig::readFile(file), folder / "small", 1);
            }),
            "initialize: cannot grow the model: expected hidden_size to be a "
            "multiple of 32, found 40");
}

TEST(ModelTest, WrongShapesAreNamed) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "m");
  nlohmann::json config = readJson(folder / "m" / "config.json");
  config["intermediate_size"] = 50;
  std::filesystem::rename(folder / "m" / "config.json", folder / "old.json");
  folder.write("m/config.json", config.dump());
  EXPECT_EQ(errorOf([&] { Model::load(folder / "m"); }),
            (folder / "m/model.safetensors").string() +
                ": tensor 'model.layers.0.mlp.gate_proj.weight': "
                "expected shape [50, 32] as config.json says, found [48, 32]");
}

/// Of each architecture: every parameter gets a gradient, and that of the dense
/// model is the slope of its loss.
TEST(ModelTest, EveryParameterOfEveryArchitectureTrains) {
  for (const std::filesystem::path &folder : goldenFolders()) {
    const Model model = Model::load(folder);
    const std::string label = folder.filename();
    Recipe::Data data;
    data.sequenceLength = 24;
    data.separator = "none";
    std::vector<int32_t> row;
    for (int32_t i = 0; i < 24; ++i)
      row.push_back((7 * i + i * i) % 40);
    const Batch batch = BatchMaker(model.config(), data, {}).make({row}, 24);
    const auto lossOf = [&](const Weights &weights) {
      return linearCrossEntropy(model.hidden(weights, batch), weights.head,
                                batch.targets, nullptr, nullptr,
                                model.config().finalSoftCap);
    };
    const auto method = makeMethod("complex_phase_v2");
    for (const bool quantized : {true, false}) {
      Numerics numerics;
      if (quantized)
        numerics = {method.get(), true, true};
      const Weights weights = model.weights(numerics);
      lossOf(weights).backward();
      for (size_t i = 0; i < model.parameters().size(); ++i) {
        const Parameter &parameter = model.parameters()[i];
        // A quantized head is a leaf of its own.
        const bool isHead = quantized && i == model.headParameter();
        const at::Tensor &leaf = isHead ? weights.head : weights.tensors[i];
        ASSERT_TRUE(leaf.grad().defined()) << label << " " << parameter.name;
        const double norm = leaf.grad().norm().item<double>();
        EXPECT_TRUE(std::isfinite(norm)) << label << " " << parameter.name;
        // Softmax does not see what is added to all keys.
        const bool isKeyBias =
            parameter.name.find("k_proj.bias") != std::string::npos;
        if (!isKeyBias)
          EXPECT_GT(norm, 0) << label << " " << parameter.name;
        if (quantized || isKeyBias)
          continue;
        // The gradient's own direction has the steepest slope.
        const at::NoGradGuard noGradients;
        const at::Tensor before = weights.tensors[i].detach().clone(),
                         direction = leaf.grad().div(norm);
        const auto lossAt = [&](double step) {
          weights.tensors[i].copy_(before.add(direction, step));
          return lossOf(weights).item<double>();
        };
        const double step = 2e-3;
        const double slope = (lossAt(step) - lossAt(-step)) / (2 * step);
        weights.tensors[i].copy_(before);
        EXPECT_NEAR(slope, norm, 0.02 * norm + 0.02)
            << label << " " << parameter.name;
      }
    }
  }
}

TEST(ModelTest, WhatDevicesDoNotComputeIsNamed) {
  std::map<std::string, std::string> errors;
  for (const std::filesystem::path &folder : goldenFolders())
    errors[folder.filename()] =
        errorOf([&] { Model::refuseOnDevice(HFConfig::read(folder)); });
  const auto refused = [](const std::string &field) {
    return "config.json: field '" + field +
           "': is not supported with train.device=cuda";
  };
  for (const auto &[name, error] : errors)
    EXPECT_EQ(error, name == "gemma2" ? refused("attn_logit_softcapping")
                     : name == "phi3" ? refused("partial_rotary_factor")
                                      : "no error")
        << name;
}

/// A checkpoint that is not the config's, or damaged, is no start.
TEST(ModelTest, WhatDoesNotFitIsNamed) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "m");
  nlohmann::json config = readJson(folder / "m/config.json");
  config["num_hidden_layers"] = 1;
  folder.write("m/config.json", config.dump());
  EXPECT_NE(errorOf([&] {
              Model::load(folder / "m");
            }).find("m/model.safetensors: tensor 'model.layers.1."),
            std::string::npos);
  writeTinyModel(folder / "nan");
  const Checkpoint checkpoint = Checkpoint::open(folder / "nan");
  std::string bytes = readWholeFile(folder / "nan/model.safetensors");
  bytes.replace(size_t(checkpoint.tensor("model.norm.weight").offset) + 8, 4,
                std::string("\0\0\xc0\x7f", 4));
  folder.write("nan/model.safetensors", bytes);
  EXPECT_NE(errorOf([&] { Model::load(folder / "nan"); })
                .find("nan/model.safetensors: tensor 'model.norm.weight': "
                      "expected finite values, found NaN at row 0, column 2"),
            std::string::npos);
}

/// The gradient of the loss as a function of the effective weights is what
/// reaches the latents.
TEST(ModelTest, TheGradientPassesTheQuantizerUnchanged) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "m");
  const Model model = Model::load(folder / "m");
  Recipe::Data data;
  data.sequenceLength = 8;
  const std::vector<int32_t> row = {1, 2, 3, 4, 5, 6, 7, 8};
  const Batch batch = BatchMaker(model.config(), data, {1, 2}).make({row}, 8);
  const auto method = makeMethod("complex_phase_v2");
  const auto lossOf = [&](const Weights &weights) {
    return linearCrossEntropy(model.hidden(weights, batch), weights.head,
                              batch.targets);
  };
  const Weights weights = model.weights({method.get()});
  lossOf(weights).backward();
  // A step along one weight of the quantized matrix, in the dense model.
  size_t index = 0;
  while (model.parameters()[index].name != "model.layers.1.mlp.up_proj.weight")
    ++index;
  const at::NoGradGuard noGradients;
  Weights moved = weights;
  const auto lossAt = [&](float step) {
    moved.tensors[index] = weights.tensors[index].detach().clone();
    moved.tensors[index].mutable_data_ptr<float>()[37] += step;
    return lossOf(moved).item<double>();
  };
  const double slope = (lossAt(0.02f) - lossAt(-0.02f)) / 0.04;
  EXPECT_NEAR(floatsOf(weights.tensors[index].grad())[37], slope,
              0.02 * std::abs(slope) + 1e-4);
}

} // namespace
