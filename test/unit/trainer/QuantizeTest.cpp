// SPDX-License-Identifier: Apache-2.0
//
// fairy2-quantize as a user starts it, and the parts whose results have another
// way to them.
#include "frontend/Synthesize.h"
#include "test/unit/ErrorForm.h"
#include "test/unit/trainer/CommandLine.h"
#include "trainer/Random.h"
#include "trainer/model/Export.h"
#include "trainer/quantize/FoldColumns.h"
#include "trainer/quantize/Gradients.h"
#include "trainer/quantize/StagePlan.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>
#include <csignal>
#include <map>

namespace fairy2::trainer {
namespace {

namespace fs = std::filesystem;

#ifdef __x86_64__
constexpr const char *kLevel = " --target=x86-64-v2";
#else
constexpr const char *kLevel = "";
#endif

class QuantizeTest : public CommandLine {
protected:
  std::string command(const std::string &arguments,
                      const char *model = "model") const {
    return std::string(FAIRY2_QUANTIZE) + " " + (folder / model).string() +
           " --calibration " + (folder / "train.txt").string() + " " +
           arguments;
  }
  Outcome quantized(const char *output, const std::string &arguments = "",
                    const char *model = "model") const {
    return call(
        command("-o " + (folder / output).string() + " " + arguments, model));
  }
  std::string pathOf(const char *name) const {
    return (folder / name).string();
  }

  /// NLL per token of a checkpoint's library on text that nobody has seen.
  double compiledLoss(const std::string &model,
                      const std::string &options = "") const {
    outputOf(std::string(FAIRY2_COMPILE) + " " + model + " -o " +
             pathOf("m.so") + " " + options + kLevel);
    return nlohmann::json::parse(outputOf(
        std::string(FAIRY2_EVAL) + " " + pathOf("m.so") + " --json --text " +
        pathOf("val.txt") + " --chunk 48"))["nll_per_token"]
        .get<double>();
  }
  /// Trains `model` in place a little, without quantization, so that there is
  /// something to lose.
  void train(const char *model) const {
    outputOf(std::string(FAIRY2_TRAIN) + " " + pathOf("r.yaml") +
             " model=" + pathOf(model) +
             " method=none train.tokens=40000 train.learning_rate=1e-2"
             " output=" +
             pathOf("trained"));
  }
};

/// A Qwen3 of the tests' size: heads have norms, and a dimension of their own.
void writeTinyQwen3(const fs::path &folder, const TemporaryFolder &scratch) {
  nlohmann::json config = nlohmann::json::parse(
      readWholeFile(FAIRY2_SOURCE_DIR "/test/Inputs/tiny-qwen3.config.json"));
  config["bos_token_id"] = 1;
  config["eos_token_id"] = 2;
  SynthesizeOptions options;
  options.type = DType::F32;
  options.byteTokenizer = true;
  synthesizeCheckpoint(scratch.write("config.json", config.dump()), folder,
                       options);
}

TEST_F(QuantizeTest, LosesLittleAtFourBitsAndLessThanRoundingAtTwo) {
  writeTinyQwen3(folder / "qwen", folder);
  train("qwen");
  const double exact = compiledLoss(pathOf("trained"), "--method=none");
  EXPECT_LT(exact, 1.5); // it has learned: that of no model is 5.7
  const double rounded =
      compiledLoss(pathOf("trained"), "--method=complex_phase_v2 --scales=row");
  for (const auto &[stages, lost] : {std::pair(4, 0.02), {2, 0.3}}) {
    const std::string name = "q" + std::to_string(stages);
    const Outcome outcome = quantized(
        name.c_str(), "--stages=" + std::to_string(stages), "trained");
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    const double coded = compiledLoss(pathOf(name.c_str()));
    EXPECT_LT(coded, exact + lost) << stages;
    if (stages == 2)
      EXPECT_LT(coded - exact, 0.5 * (rounded - exact));
  }
  // Rows with outlier weights, and neurons that stand out.
  Model model = Model::load(folder / "trained");
  for (const PlannedLayer &layer : model.decoderPlan().layers) {
    const auto weight = [&](const PlannedLinear &map) {
      return model.parameters()[map.weight].latent;
    };
    for (const int64_t k : {1, 5, 9}) {
      weight(layer.mlpOutput).select(0, k).slice(0, k, k + 3).mul_(30);
      weight(layer.mlpInputs.back()).select(0, k).div_(30);
      weight(layer.mlpOutput).select(1, k).mul_(30);
    }
  }
  writeCheckpoint(
      model, [&](size_t i) { return model.parameters()[i].latent; }, {},
      ExportForm::Latents, DType::F32, folder / "trained", folder / "outliers");
  const Outcome outcome = quantized("odd", "", "outliers");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_LT(compiledLoss(pathOf("odd")),
            compiledLoss(pathOf("outliers"), "--method=none") + 0.02);

  // At one bit there is something to gain back.
  ASSERT_EQ(quantized("q1", "--stages=1", "trained").status, 0);
  const Outcome tuned = quantized(
      "tuned", "--stages=1 --tune=8192 --json 2>/dev/null", "trained");
  const auto summary = nlohmann::json::parse(tuned.text)["tuning"];
  EXPECT_LT(summary["last_divergence"], summary["first_divergence"]);
  EXPECT_LT(compiledLoss(pathOf("tuned")), compiledLoss(pathOf("q1")));
}

TEST_F(QuantizeTest, TheDemoModelKeepsItsLoss) {
  const std::string demo = FAIRY2_SOURCE_DIR "/trainer/recipes/demo";
  const Outcome outcome =
      call(std::string(FAIRY2_QUANTIZE) + " " + demo + " --calibration " +
           pathOf("train.txt") + " --tokens=2048 --gradient-tokens=2048 -o " +
           pathOf("coded"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find("mlp.down_proj"), outcome.text.npos);
  EXPECT_NE(outcome.text.find("4 stages, 4.0"), outcome.text.npos);
  EXPECT_LT(compiledLoss(pathOf("coded")),
            compiledLoss(demo, "--method=none") + 0.02);
}

TEST_F(QuantizeTest, MatricesMayHaveStagesOfTheirOwn) {
  const Outcome outcome = quantized(
      "coded", "--stages=2 '--stages-for=mlp\\.=3' "
               "'--stages-for=layers.1.*down_proj=5' --keep=k_proj --json "
               "2>/dev/null");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const auto kinds = nlohmann::json::parse(outcome.text)["kinds"];
  EXPECT_EQ(kinds["self_attn.q_proj"]["stages"], 2);
  EXPECT_FALSE(kinds.contains("self_attn.k_proj"));
  EXPECT_EQ(kinds["mlp.up_proj"]["stages"], 3);
  EXPECT_EQ(kinds["mlp.down_proj"]["stages"], 4); // 3 and 5
  const double exact = compiledLoss(pathOf("model"), "--method=none");
  EXPECT_NEAR(compiledLoss(pathOf("coded")), exact, 0.01 * exact);
}

TEST_F(QuantizeTest, BitsGoWhereTheyLowerTheLoss) {
  // Losses of two matrices of layer 0, up and down, and of a third.
  Model model = Model::load(folder / "model");
  const PlannedLayer &layer = model.decoderPlan().layers[0];
  const size_t up = layer.mlpInputs.back().weight;
  const size_t down = layer.mlpOutput.weight;
  StagePlan plan(model.parameters().size());
  plan[up] = plan[down] = 4;
  const std::map<size_t, StageLosses> losses = {
      {up, {8, 4, 2, 1, 0.5, 0.25}}, {down, {80, 20, 5, 1, 0.5, 0.25}}};
  // Of as many weights each; 8 bits and more for a row of 32 or of 48.
  const double factors = bitsPerWeight(model, plan) - 4;
  spendBits(model, 2.5 + factors, losses, plan);
  EXPECT_EQ(plan[down], 3); // gains 60, 15, then 4 like the other's first
  EXPECT_EQ(plan[up], 2);
  spendBits(model, 6 + factors, losses, plan);
  EXPECT_EQ(plan[down] + plan[up], 12);
  spendBits(model, 1, losses, plan);
  EXPECT_EQ(plan[down] + plan[up], 2);

  const Outcome outcome =
      quantized("coded", "--bits=3 --json --tokens=2048 2>/dev/null");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const auto all = nlohmann::json::parse(outcome.text)["all"];
  EXPECT_LE(all["bits_per_weight"], 3);
  EXPECT_GT(all["bits_per_weight"], 2.8);
}

TEST_F(QuantizeTest, OddExtentsStayDense) {
  writeTinyModel(folder / "odd", "", 49);
  const Outcome outcome = quantized("coded", "", "odd");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find("model.layers.1.mlp.down_proj.weight stays "
                              "dense: its extents are odd"),
            outcome.text.npos);
  const double exact = compiledLoss(pathOf("odd"), "--method=none");
  EXPECT_NEAR(compiledLoss(pathOf("coded")), exact, 0.01 * exact);
}

TEST_F(QuantizeTest, ResultIsTheSameOnAnyNumberOfThreads) {
  const std::string more = "--stages=2 --tune=4096 --threads=";
  ASSERT_EQ(quantized("one", more + "1").status, 0);
  ASSERT_EQ(quantized("two", more + "2").status, 0);
  EXPECT_EQ(weights("one"), weights("two"));
  EXPECT_FALSE(fs::exists(folder / "one.partial"));
  ASSERT_EQ(quantized("other", "--stages=2 --seed=1").status, 0);
  EXPECT_NE(weights("one"), weights("other"));
}

TEST_F(QuantizeTest, GoesOnToTheSameBytesAfterBeingKilled) {
  const std::string more = "--stages=3 --tokens=8192 --threads=1";
  ASSERT_EQ(quantized("whole", more).status, 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string all = "exec " + command("-o " + pathOf("killed") + " " +
                                              more + " >/dev/null 2>&1");
    ::execl("/bin/sh", "sh", "-c", all.c_str(), nullptr);
    std::_Exit(127);
  }
  // Wherever it is when it ends, what comes of it is the same.
  await([&] {
    return fs::exists(folder / "killed.partial/layer-0/model.safetensors") ||
           fs::exists(folder / "killed");
  });
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!fs::exists(folder / "killed")) {
    const Outcome other = quantized("killed", more + " --seed=5");
    EXPECT_EQ(other.status, 1);
    EXPECT_NE(other.text.find("killed.partial: holds what another command "
                              "began ("),
              other.text.npos)
        << other.text;
    const Outcome outcome = quantized("killed", more);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_NE(outcome.text.find("layer 1 of 2: done before"), outcome.text.npos)
        << outcome.text;
  }
  EXPECT_EQ(weights("killed"), weights("whole"));
}

TEST_F(QuantizeTest, TrainingGoesOnFromTheResult) {
  ASSERT_EQ(quantized("coded", "--stages=2").status, 0);
  const Outcome outcome =
      run("model=" + pathOf("coded") + " scales=row " + output("run"));
  EXPECT_EQ(outcome.status, 0) << outcome.text;
}

TEST_F(QuantizeTest, JsonTellsErrorsAndBits) {
  const Outcome dry =
      quantized("coded", "--json --dry-run --tokens=100 2>/dev/null");
  const nlohmann::json plan = nlohmann::json::parse(dry.text);
  EXPECT_EQ(plan["matrices"], 14);
  EXPECT_EQ(plan["tokens"], 128); // sequences of 64
  // What grows with the work is planned, and not what a run of seconds needs.
  EXPECT_GT(plan["seconds"], 0);
  EXPECT_LT(plan["seconds"], 60);
  const nlohmann::json more = nlohmann::json::parse(
      quantized("coded", "--json --dry-run --tokens=4000 2>/dev/null").text);
  EXPECT_GE(more["memory_bytes"], plan["memory_bytes"]);
  EXPECT_LT(more["memory_bytes"], int64_t(400) << 20);
  EXPECT_GE(more["disk_bytes"], plan["disk_bytes"]);
  EXPECT_FALSE(fs::exists(folder / "coded.partial"));
  const Outcome outcome = quantized("coded", "--json --tokens=100 2>/dev/null");
  const nlohmann::json summary = nlohmann::json::parse(outcome.text);
  EXPECT_EQ(summary["kinds"]["mlp.down_proj"]["matrices"], 2);
  EXPECT_LT(summary["all"]["metric_error"], 0.02);
  // Codes, and 8 bits for each row of 32 or 48 columns.
  EXPECT_NEAR(summary["all"]["bits_per_weight"].get<double>(), 4.25, 0.06);
}

TEST_F(QuantizeTest, BadInputIsNamed) {
  folder.write("empty.txt", "");
  folder.write("short.txt", "The cat.");
  folder.write("latin.txt", "caf\xe9 " + tinyText(100, 1));
  fs::create_directory(folder / "there");
  ASSERT_EQ(quantized("coded", "--stages=2").status, 0);
  fs::copy(folder / "model", folder / "nan");
  {
    // The last value of the file, whatever tensor that is.
    std::fstream file(folder / "nan/model.safetensors",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-4, std::ios::end);
    const float nan = NAN;
    file.write(reinterpret_cast<const char *>(&nan), 4);
  }
  const std::string program = FAIRY2_QUANTIZE, model = " " + pathOf("model"),
                    text = " --calibration " + pathOf("train.txt"),
                    out = " -o " + pathOf("new");
  const std::map<std::string, std::string> faults = {
      {model + " --calibration " + pathOf("empty.txt") + out,
       "empty.txt: expected text, found none"},
      {model + " --calibration " + pathOf("short.txt") + out,
       "short.txt: expected at least 64 tokens, one sequence, found 8"},
      {model + " --calibration " + pathOf("latin.txt") + out, "latin.txt: "},
      {model + " --calibration " + pathOf("absent.txt") + out, "absent.txt: "},
      {" " + pathOf("coded") + text + out,
       "coded: expected weights that are not quantized, found phases"},
      {" " + pathOf("nan") + text + out, "found NaN at row "},
      {" " + pathOf("absent") + text + out, "absent/config.json: "},
      {model + text + out + " --stages-for=nothing=3",
       "'nothing=3': expected to match a layer's matrix, such as "
       "'model.layers.0.mlp.down_proj.weight', found none"},
      {model + text + " -o " + pathOf("there"),
       "there: exists already; expected the name of a new folder"},
      {model + text + " -o " + pathOf("model") + "/new",
       "new: expected a folder outside of the model's, "},
  };
  for (const auto &[arguments, message] : faults) {
    const Outcome outcome = call(program + arguments + " 2>&1 >/dev/null");
    EXPECT_EQ(outcome.status, 1) << arguments;
    const std::string prefix = "fairy2-quantize: error: ";
    const size_t place = outcome.text.find(prefix);
    ASSERT_NE(place, outcome.text.npos) << outcome.text;
    std::string found = outcome.text.substr(place + prefix.size());
    found.pop_back();
    EXPECT_NE(found.find(message), found.npos) << found;
    EXPECT_EQ(formFault(found), "") << found;
  }
  EXPECT_FALSE(fs::exists(folder / "new"));
  for (const char *wrong :
       {"--stages=0", "--stages=9", "--tokens=0", "--seed=-1", "--threads=0",
        "--tune=-1", "--bits=0.5", "--bits=9", "--bits=3 --stages=3",
        "--stages-for=up", "--stages-for=up=9", "'--stages-for=(=2'",
        "'--keep=['"})
    EXPECT_EQ(quantized("new", wrong).status, 2) << wrong;
  const Outcome few = quantized("few", "--stages=2 --tokens=1000000");
  EXPECT_EQ(few.status, 0) << few.text;
  EXPECT_NE(few.text.find("less than asked for; all are used"), few.text.npos);
}

TEST_F(QuantizeTest, FoldedColumnsLeaveTheFunction) {
  const at::NoGradGuard noGradients;
  // Heads that share keys, fused projections, and biases.
  for (const char *name : {"llama", "phi3", "qwen2"}) {
    const bool isQwen2 = std::string(name) == "qwen2";
    nlohmann::json json = nlohmann::json::parse(
        readWholeFile(std::string(FAIRY2_SOURCE_DIR "/test/Inputs/tiny-") +
                      (isQwen2 ? "llama" : name) + ".config.json"));
    if (isQwen2)
      json["attention_bias"] = true;
    const HFConfig config =
        HFConfig::readFile(folder.write("config.json", json.dump()));
    Model model = Model::filled(config, Model::fromRandom(config, 3));
    const auto batches = batchesOf(
        config, {std::vector<int32_t>(
                    size_t(std::min<int64_t>(config.maxPositions, 512)), 7)});
    for (Parameter &parameter : model.parameters())
      if (parameter.role == ParameterRole::Bias)
        parameter.latent.fill_(0.25);
    const at::Tensor before = model.hidden(model.latents(), batches[0]);
    const at::Tensor down =
        model.parameters()[model.decoderPlan().layers[0].mlpOutput.weight]
            .latent;
    down.select(1, 3).mul_(30);
    at::Tensor changed = model.hidden(model.latents(), batches[0]);
    EXPECT_GT(changed.sub(before).abs().max().item<float>(), 1e-3) << name;
    for (size_t layer = 0; layer < model.decoderPlan().layers.size(); ++layer)
      foldColumns(model, layer,
                  std::vector<bool>(model.parameters().size(), true));
    EXPECT_LT(model.hidden(model.latents(), batches[0])
                  .sub(changed)
                  .abs()
                  .max()
                  .item<float>(),
              1e-5)
        << name;
    const at::Tensor norms = down.square().sum(0);
    EXPECT_NEAR(norms.max().item<float>(), norms.min().item<float>(),
                1e-3 * norms.max().item<float>())
        << name;
  }
}

TEST_F(QuantizeTest, GradientMomentsFollowFromLoss) {
  // Of the mean loss of labels that the model draws, G of an output is the
  // curvature: moved by a little noise e there, the predictions' KL divergence
  // is e^T G e / 2.
  const at::NoGradGuard noGradients;
  auto [empty, read] = Model::opened(folder / "model");
  std::vector<bool> isCoded(empty.parameters().size());
  const size_t index = empty.decoderPlan().layers[1].mlpOutput.weight;
  isCoded[index] = true;
  LayeredModel source(
      std::move(empty),
      [read](Parameter &parameter) {
        read(parameter);
        if (parameter.isMatrix())
          parameter.latent.mul_(4); // so that outputs matter
      },
      isCoded);
  const HFConfig &config = source.model().config();
  Sequences sequences;
  for (int k = 0; k < 60; ++k) {
    sequences.emplace_back();
    RandomStream stream(1, std::to_string(k));
    for (int t = 0; t < 64; ++t)
      sequences.back().push_back(int32_t(stream.uniform() * 250));
  }
  std::map<size_t, std::vector<at::Tensor>> saved;
  std::optional<OutputMetric> metric;
  gradientMoments(source, batchesOf(config, sequences), 2, 2,
                  {[&](size_t layer, const std::vector<at::Tensor> &inputs) {
                     saved[layer] = inputs;
                   },
                   [&](size_t layer, const std::vector<at::Tensor> &) {
                     return saved.at(layer);
                   }},
                  [&](size_t layer, const GradientMoments &moments) {
                    EXPECT_EQ(moments.size(),
                              layer); // layer 1 has the one matrix
                    if (layer == 1)
                      metric = moments.at(index);
                  });
  ASSERT_EQ(metric->blocks(), 1);
  const int64_t size = config.hiddenSize;
  ASSERT_EQ(2 * metric->pairs(), size);
  const Weights whole = source.loadAll();
  for (const int64_t feature : {3, 20}) {
    const double expected =
        metric->block(0)[feature * size + feature] / 2 * 1e-2 * 1e-2;
    double divergence = 0;
    int64_t tokens = 0;
    for (const Batch &batch : batchesOf(config, sequences)) {
      Weights weights = whole;
      const auto probabilities = [&] {
        return source.model()
            .hidden(weights, batch)
            .matmul(weights.head.t())
            .to(at::kDouble)
            .log_softmax(-1);
      };
      const at::Tensor before = probabilities();
      weights.tap = [&](size_t which, const at::Tensor &y) {
        if (which == index)
          y.select(1, feature).add_(1e-2);
      };
      const at::Tensor after = probabilities();
      divergence += before.exp().mul(before.sub(after)).sum().item<double>();
      tokens += batch.tokens.size(0);
    }
    EXPECT_NEAR(divergence / double(tokens), expected, 0.15 * expected)
        << feature;
  }
}

} // namespace
} // namespace fairy2::trainer
