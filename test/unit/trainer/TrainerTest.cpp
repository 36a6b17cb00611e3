// SPDX-License-Identifier: Apache-2.0
//
// Whole runs of a tiny model, to the compiled export.
#include "dialect/phase/Phase.h"
#include "frontend/Checkpoint.h"
#include "frontend/Synthesize.h"
#include "runtime/support/Json.h"
#include "test/unit/trainer/SerialKernels.h"
#include "test/unit/trainer/TrainerRun.h"
#include "trainer/Device.h"

#include <torch/csrc/autograd/grad_mode.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

using namespace fairy2;
using namespace fairy2::trainer;
namespace fs = std::filesystem;

namespace {

class TrainerTest : public TrainerRun {};

TEST_F(TrainerTest, TheLossFallsAndTheCompiledModelAgrees) {
  Trainer trainer(recipe);
  const double before = trainer.validate().value();
  const double after = trainer.run().validationLoss.value();
  EXPECT_NEAR(before, std::log(264.0), 0.3);
  EXPECT_LT(after, 3.2);

  compiled(trainer);
  EXPECT_NEAR(compiledLoss(), after, 0.005 * after);
}

/// What the compiler reads from the export has exactly the codes and scales
/// that the last training step would have used.
TEST_F(TrainerTest, TheExportHasEqualCodes) {
  for (const auto &[type, options] :
       {std::pair{"F32", ScaleOptions{}},
        {"BF16", ScaleOptions{}},
        {"BF16", ScaleOptions{"row", "binary"}}}) {
    recipe.exportOptions.type = type;
    recipe.output = (folder / type).string() + options.stageScales;
    recipe.scales = options.scales;
    recipe.stageScales = options.stageScales;
    recipe.train.tokens = 5 * 4 * 48;
    Trainer trainer(recipe);
    trainer.run();
    const at::NoGradGuard noGradients;
    const auto method = recipe.quantizationMethod();
    const Weights weights = trainer.model().weights({method.get(), true});
    const Checkpoint checkpoint = Checkpoint::open(recipe.output);
    const auto &parameters = trainer.model().parameters();
    EXPECT_EQ(checkpoint.tensors().size(), parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].isMatrix())
        continue;
      const TensorInfo &tensor = checkpoint.tensor(parameters[i].name);
      std::vector<float> stored(size_t(parameters[i].count()));
      checkpoint.readFloats(tensor, 0, int64_t(stored.size()), stored.data());
      const std::vector<float> expected = dequantizePhases(
          quantizePhases(stored.data(), tensor.shape[0], tensor.shape[1],
                         *method->phaseScheme(), tensor.name));
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                             floatsOf(weights.tensors[i])))
          << type << " " << tensor.name;
    }
  }
}

TEST_F(TrainerTest, RunsRepeatBitForBit) {
  Trainer a(recipe), b(recipe);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(a.step().loss, b.step().loss);
  EXPECT_EQ(latentsOf(a), latentsOf(b));
}

/// With a decay of all that is between them and their quantized values, what is
/// left is AdamW's first step, which is at most as long as its rate.
TEST_F(TrainerTest, DampenedLatentsDecayTowardsTheirQuantizedValues) {
  recipe.train.warmup = 0;
  recipe.train.learningRate = 1e-3;
  recipe.train.dampening = 1 / recipe.train.learningRate;
  Trainer trainer(recipe);
  std::vector<at::Tensor> expected;
  const auto method = makeMethod(recipe.method);
  for (const Parameter &parameter : trainer.model().parameters())
    expected.push_back(
        Model::isQuantized(parameter, method.get())
            ? quantizedWeight(parameter.latent, *method, parameter.name)
            : parameter.latent.clone());
  trainer.step();
  for (size_t i = 0; i < expected.size(); ++i) {
    const Parameter &parameter = trainer.model().parameters()[i];
    EXPECT_LE(parameter.latent.sub(expected[i]).abs().max().item<float>(),
              1.001e-3)
        << parameter.name;
  }
}

TEST_F(TrainerTest, AccumulationIsOneLargeBatch) {
  Trainer large(recipe);
  recipe.train.batchSequences = 2;
  recipe.train.accumulation = 2;
  Trainer split(recipe);
  for (int i = 0; i < 3; ++i) {
    const StepResult a = large.step(), b = split.step();
    EXPECT_NEAR(a.loss, b.loss, 1e-5);
    EXPECT_NEAR(a.gradientNorm, b.gradientNorm, 1e-4);
  }
}

TEST_F(TrainerTest, AStepThatIsNotFiniteIsSkipped) {
  recipe.method = "none";
  recipe.train.maxBadSteps = 3;
  Trainer trainer(recipe);
  trainer.step();
  auto *value =
      static_cast<float *>(trainer.model().parameters()[0].latent.data_ptr());
  std::fill(value, value + 256, std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> before = latentsOf(trainer);
  EXPECT_TRUE(trainer.step().skipped);
  EXPECT_TRUE(trainer.step().skipped);
  const std::vector<float> after = latentsOf(trainer);
  EXPECT_EQ(std::vector<float>(before.begin() + 256, before.end()),
            std::vector<float>(after.begin() + 256, after.end()));
  EXPECT_EQ(errorOf([&] { trainer.step(); }),
            "step 4: the loss or its gradient was not finite in 3 steps in a "
            "row; try a smaller train.learning_rate");
}

/// Layers that are computed again give the bits of layers that are kept, and so
/// does a division of everything over one rank.
TEST_F(TrainerTest, RecomputedLayersGiveTheSameBits) {
  const auto run = [&] {
    Trainer trainer(recipe);
    std::vector<double> losses;
    for (int i = 0; i < 4; ++i)
      losses.push_back(trainer.step().loss);
    losses.push_back(trainer.validate().value());
    return losses;
  };
  recipe.skipLmHead = false;
  const std::vector<double> kept = run();
  recipe.train.recompute = true;
  EXPECT_EQ(run(), kept);
  recipe.train.recompute = false;
  recipe.train.sharding = "zero3";
  EXPECT_EQ(run(), kept);
}

/// Products in bfloat16 cost little accuracy, and the latents stay float32.
TEST_F(TrainerTest, Bfloat16ProductsTrainFloatLatents) {
  recipe.method = "none";
  Trainer exact(recipe);
  recipe.train.compute = "bfloat16";
  Trainer coarse(recipe);
  for (int i = 0; i < 10; ++i) {
    const double a = exact.step().loss, b = coarse.step().loss;
    EXPECT_NEAR(a, b, 0.02);
    EXPECT_NE(a, b);
  }
  bool fine = false; // bits that bfloat16 does not have
  for (const float value : latentsOf(coarse))
    fine |= (std::bit_cast<uint32_t>(value) & 0xffff) != 0;
  EXPECT_TRUE(fine);
}

/// Latents that stand still show the weights of each step: soft at first, and
/// with the hard codes' bits from the given share of the run on. What is
/// measured and exported is hard at any time.
TEST_F(TrainerTest, AnnealedCodesHarden) {
  recipe.train.learningRate = 0;
  recipe.train.tokens = 8 * 4 * 48;
  for (const char *sharding : {"none", "zero3"}) {
    recipe.train.sharding = sharding;
    recipe.train.anneal = 0;
    Trainer hard(recipe);
    recipe.train.anneal = 0.5;
    Trainer soft(recipe);
    EXPECT_EQ(soft.validate(), hard.validate());
    for (int step = 0; step < 8; ++step) {
      const StepResult a = hard.step(), b = soft.step();
      EXPECT_EQ(a.loss == b.loss, step >= 4) << sharding << " " << step;
      EXPECT_EQ(a.gradientNorm == b.gradientNorm, step >= 4) << step;
      if (step == 1) {
        EXPECT_EQ(soft.validate(), hard.validate());
      }
    }
  }
}

/// A student that begins far from its teacher comes nearer to it.
TEST_F(TrainerTest, DistillationFollowsTheTeacher) {
  recipe.method = "none";
  Trainer teacher(recipe);
  const double taught = teacher.run().validationLoss.value();
  recipe.teacher = {recipe.output, 1, 2};
  recipe.output = (folder / "student").string();
  Trainer student(recipe);
  EXPECT_NEAR(student.run().validationLoss.value(), taught, 0.4);
}

/// Logits of other tokens teach nonsense, however many there are. A file that
/// is written otherwise may hold the same ones.
TEST_F(TrainerTest, ATeacherHasTheTokensOfTheModel) {
  std::filesystem::copy(folder / "model", folder / "other");
  recipe.teacher = {(folder / "other").string(), 1, 1};
  nlohmann::json tokenizer = readJson(folder / "other/tokenizer.json");
  const auto error = [&] {
    folder.write("other/tokenizer.json", tokenizer.dump());
    return folder.errorOf([&] { Trainer trainer(recipe); });
  };
  EXPECT_EQ(error(), "no error");
  nlohmann::json &vocabulary = tokenizer["model"]["vocab"];
  std::swap(vocabulary["<0x41>"], vocabulary["<0x42>"]);
  EXPECT_EQ(error(), "DIR/other/tokenizer.json: expected a teacher with the "
                     "model's tokens, found 'BB' where token " +
                         vocabulary["<0x42>"].dump() + " twice is 'AA'");
}

/// Each model attends by its own plan: a teacher with a window, another width
/// of heads and another rotary embedding. By itself it gives the logits that
/// the student learns from.
TEST_F(TrainerTest, ATeacherAttendsInItsOwnWay) {
  nlohmann::json config = readJson(folder / "model/config.json");
  config.update({{"architectures", {"MistralForCausalLM"}},
                 {"model_type", "mistral"},
                 {"sliding_window", 5},
                 {"head_dim", 12},
                 {"rope_theta", 77}});
  synthesizeCheckpoint(folder.write("other.json", config.dump()),
                       folder / "other", {});
  recipe.teacher = {(folder / "other").string(), 1, 1};
  recipe.train.tokens = 2 * 4 * 48;
  recipe.method = "none";
  Trainer trainer(recipe), again(recipe);
  EXPECT_EQ(trainer.step().loss, again.step().loss);
  EXPECT_EQ(trainer.step().loss, again.step().loss);
  EXPECT_EQ(latentsOf(trainer), latentsOf(again));
}

/// Where a student's numbers and its teacher's are the same there is nothing to
/// learn, whatever their configs say; where the teacher's rotary embedding or
/// window is another there is, the same in every run. A window of more than a
/// sequence limits nothing.
TEST_F(TrainerTest, ATeacherWithEqualNumbersTeachesNothing) {
  recipe.method = "none";
  recipe.quantizeActivations = false;
  // The same weights under another config.
  const auto make = [&](const char *name, const nlohmann::json &fields) {
    fs::copy(folder / "model", folder / name);
    auto config = nlohmann::json::parse(
        readWholeFile(folder / (std::string(name) + "/config.json")));
    config.update(fields);
    folder.write(std::string(name) + "/config.json", config.dump());
    return (folder / name).string();
  };
  const auto windowed = [&](const char *name, int window) {
    return make(name, {{"architectures", {"MistralForCausalLM"}},
                       {"model_type", "mistral"},
                       {"sliding_window", window}});
  };
  const std::string plain = (folder / "model").string();
  const std::string wide = windowed("wide", 64), near = windowed("near", 7);
  const std::string turned = make("turned", {{"rope_theta", 77}});
  const auto norm = [&](const std::string &student,
                        const std::string &teacher) {
    recipe.model = student;
    recipe.teacher = {teacher, 1, 1};
    return Trainer(recipe).step().gradientNorm;
  };
  for (const std::string &model : {plain, wide, near, turned})
    EXPECT_LT(norm(model, model), 1e-5) << model;
  EXPECT_LT(norm(plain, wide), 1e-5);
  EXPECT_LT(norm(wide, plain), 1e-5);
  for (const std::string &other : {near, turned}) {
    EXPECT_GT(norm(plain, other), 5e-5) << other;
    EXPECT_EQ(norm(plain, other), norm(plain, other)) << other;
    EXPECT_EQ(norm(plain, other), norm(wide, other)) << other;
  }
}

/// Latents and packed codes of the same run compile to the same library, byte
/// for byte, so their codes, scales and factors are equal; and its loss is what
/// training said. The up and gate matrices have two tiles.
TEST_F(TrainerTest, PackedExportsCompileToTheLibraryOfTheirLatents) {
  writeTinyModel(folder / "wide", "", /*intermediateSize=*/160);
  recipe.model = (folder / "wide").string();
  recipe.train.tokens = 15 * 4 * 48;
  recipe.skipLmHead = false;
  std::set<std::string> libraries;
  for (const ScaleOptions &options : {ScaleOptions{"tensor"},
                                      {"row"},
                                      {"tile"},
                                      {"tensor", "binary"},
                                      {"row", "binary"},
                                      {"row", "binary", "float"},
                                      {"tile", "binary"},
                                      {"row", "mean", "int8"}}) {
    recipe.scales = options.scales;
    recipe.stageScales = options.stageScales;
    recipe.scaleGrid = options.scaleGrid;
    const std::string scales =
        options.scales + "-" + options.stageScales + "-" + options.scaleGrid;
    std::string bytes[2];
    double losses[2];
    for (const bool packed : {false, true}) {
      recipe.exportOptions.form = packed ? "packed" : "latents";
      recipe.output =
          (folder / (recipe.exportOptions.form + "-" + scales)).string();
      Trainer trainer(recipe);
      losses[packed] = trainer.run().validationLoss.value();
      bytes[packed] = compiled(trainer);
      EXPECT_TRUE(compiledByItself() == bytes[packed]) << recipe.output;
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_TRUE(bytes[0] == bytes[1]) << scales;
    EXPECT_NEAR(compiledLoss(), losses[1], 0.005 * losses[1]) << scales;
    libraries.insert(bytes[1]);
    // Codes of 2 bits in place of 32; the embedding and its tokens stay.
    EXPECT_LT(
        fs::file_size(folder / ("packed-" + scales) / "model.safetensors"),
        fs::file_size(folder / ("latents-" + scales) / "model.safetensors") /
            3);
  }
  EXPECT_EQ(libraries.size(), 8u);
}

/// What was trained and packed can be trained further: it begins at the loss
/// that it had.
TEST_F(TrainerTest, TrainingGoesOnFromAPackedExport) {
  for (const ScaleOptions &options :
       {ScaleOptions{"tensor"}, {"row"}, {"row", "binary"}}) {
    recipe.model = (folder / "model").string();
    recipe.scales = options.scales;
    recipe.stageScales = options.stageScales;
    const std::string scales = options.scales + options.stageScales;
    recipe.exportOptions.form = "packed";
    recipe.output = (folder / "packed").string() + scales;
    const double loss = Trainer(recipe).run().validationLoss.value();
    recipe.model = recipe.output;
    Trainer further(recipe);
    EXPECT_NEAR(further.validate().value(), loss, 0.02 * loss) << scales;
  }
}

TEST_F(TrainerTest, SignsCompileToTheLossOfTraining) {
  recipe.train.tokens = 10 * 4 * 48;
  for (const auto &[method, scales] :
       {std::pair{"bitnet", "row"}, std::pair{"ternary", "tensor"},
        std::pair{"sign2", "row"}, std::pair{"int2", "tensor"}}) {
    recipe.method = method;
    recipe.scales = scales;
    recipe.output = (folder / method).string();
    Trainer trainer(recipe);
    const double loss = trainer.run().validationLoss.value();
    EXPECT_NE(trainer.compileCommand().find(method), std::string::npos);
    const std::string library = compiled(trainer);
    EXPECT_TRUE(compiledByItself() == library) << method;
    EXPECT_NEAR(compiledLoss(), loss, 0.005 * loss) << method;
  }
}

TEST_F(TrainerTest, ExportsThatCannotBeAreRefused) {
  const auto refusal = [&] {
    return errorOf([&] { Trainer trainer(recipe); });
  };
  recipe.method = "ternary";
  recipe.exportOptions.form = "packed";
  EXPECT_EQ(refusal(), "export.form: expected packed with a method of complex "
                       "phases alone");
  recipe.exportOptions.form = "dense";
  recipe.skipLmHead = false;
  EXPECT_EQ(refusal(), "skip_lm_head: expected true for an export with dense "
                       "quantized weights where the head is the embedding");
}

/// Under the name that the model's config has for it.
TEST_F(TrainerTest, AnExportHasOneDtype) {
  recipe.train.tokens = 4 * 48;
  recipe.exportOptions.type = "BF16";
  for (const nlohmann::json &fields :
       {nlohmann::json{{"dtype", "float32"}, {"torch_dtype", "float16"}},
        nlohmann::json{{"dtype", "float32"}},
        nlohmann::json{{"torch_dtype", "float32"}}, nlohmann::json::object()}) {
    auto config =
        nlohmann::json::parse(readWholeFile(folder / "model/config.json"));
    config.erase("dtype");
    config.erase("torch_dtype");
    config.update(fields);
    folder.write("model/config.json", config.dump());
    fs::remove_all(recipe.output);
    Trainer(recipe).run();
    const auto exported =
        nlohmann::json::parse(readWholeFile(folder / "out/config.json"));
    const char *name = fields.contains("dtype") ? "dtype" : "torch_dtype";
    EXPECT_EQ(exported[name], "bfloat16") << fields;
    EXPECT_EQ(exported.contains("dtype") + exported.contains("torch_dtype"), 1)
        << fields;
  }
}

TEST_F(TrainerTest, DenseExportsHoldQuantizedWeights) {
  recipe.method = "ternary";
  recipe.exportOptions.form = "dense";
  recipe.train.tokens = 3 * 4 * 48;
  Trainer trainer(recipe);
  trainer.run();
  const Checkpoint checkpoint = Checkpoint::open(recipe.output);
  const TensorInfo &tensor =
      checkpoint.tensor("model.layers.0.mlp.up_proj.weight");
  std::vector<float> stored(48 * 32);
  checkpoint.readFloats(tensor, 0, 48 * 32, stored.data());
  EXPECT_EQ(std::set<float>(stored.begin(), stored.end()).size(), 3u);
  EXPECT_NE(trainer.compileCommand().find("--method=none"), std::string::npos);
}

TEST_F(TrainerTest, MetricsHoldEveryStep) {
  recipe.train.tokens = 6 * 4 * 48;
  recipe.train.validateEvery = 3;
  Trainer(recipe).run();
  std::ifstream file(folder / "out" / "metrics.jsonl");
  int steps = 0, validations = 0;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json values = nlohmann::json::parse(line);
    steps += values.contains("loss");
    validations += values.contains("validation_loss");
  }
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(validations, 2);
}

TEST_F(TrainerTest, MissingInputFailsBeforeTheFirstStep) {
  recipe.data.train[0].path = (folder / "absent.txt").string();
  EXPECT_NE(errorOf([&] { Trainer trainer(recipe); }).find("absent.txt"),
            std::string::npos);
  recipe.initialize = "nowhere";
  EXPECT_EQ(errorOf([&] { Trainer trainer(recipe); }),
            "initialize: expected checkpoint, random or a folder with a "
            "smaller model, found 'nowhere'");
}

/// The path of a GPU, with its kernels run serially on the CPU: equal weights
/// give equal losses, up to rounding, and keep doing so while they are trained.
TEST_F(TrainerTest, ADeviceTrainsWhatTheCpuDoes) {
  recipe.data.documentMask = true;
  recipe.skipLmHead = false;
  recipe.train.learningRate = 1e-3;
  for (const char *sharding : {"none", "zero1", "zero3"})
    for (const char *scales : {"tensor", "row"}) {
      recipe.train.sharding = sharding;
      recipe.scales = scales;
      Trainer cpu(recipe);
      std::vector<StepResult> expected;
      for (int i = 0; i < 4; ++i)
        expected.push_back(cpu.step());
      setDeviceKernels(at::kCPU, &kSerialKernels);
      Trainer device(recipe);
      for (const StepResult &step : expected) {
        const StepResult found = device.step();
        EXPECT_NEAR(found.loss, step.loss, 2e-3) << sharding << " " << scales;
        EXPECT_NEAR(found.gradientNorm, step.gradientNorm,
                    0.02 * step.gradientNorm);
      }
      setDeviceKernels(at::kCPU, nullptr);
    }
}

/// Stages that a device has no kernel for are quantized as on the CPU.
TEST_F(TrainerTest, ADeviceTrainsBinaryStages) {
  recipe.scales = "row";
  recipe.stageScales = "binary";
  const StepResult expected = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, &kSerialKernels);
  const StepResult found = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, nullptr);
  EXPECT_NEAR(found.loss, expected.loss, 1e-5);
  EXPECT_NEAR(found.gradientNorm, expected.gradientNorm,
              1e-3 * expected.gradientNorm);
}

/// Of a model with one step's weights, without the rounding of codes.
TEST_F(TrainerTest, ADeviceHasTheCpusLossAndGradient) {
  recipe.quantizeActivations = false;
  const StepResult expected = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, &kSerialKernels);
  const StepResult found = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, nullptr);
  EXPECT_NEAR(found.loss, expected.loss, 1e-5);
  EXPECT_NEAR(found.gradientNorm, expected.gradientNorm, 1e-4);
}

/// Roundings to bfloat16 move a loss little, and the wrong weights much.
TEST_F(TrainerTest, ADeviceTrainsInBFloat16) {
  recipe.data.documentMask = true;
  recipe.skipLmHead = false;
  for (const char *sharding : {"none", "zero3"}) {
    recipe.train.sharding = sharding;
    recipe.train.compute = "float32";
    Trainer plain(recipe);
    recipe.train.compute = "bfloat16";
    setDeviceKernels(at::kCPU, &kSerialKernels);
    Trainer rounded(recipe);
    setDeviceKernels(at::kCPU, nullptr);
    for (int i = 0; i < 4; ++i) {
      const StepResult expected = plain.step();
      setDeviceKernels(at::kCPU, &kSerialKernels);
      const StepResult found = rounded.step();
      setDeviceKernels(at::kCPU, nullptr);
      EXPECT_NEAR(found.loss, expected.loss, 0.02) << sharding;
      EXPECT_NE(found.loss, expected.loss);
      EXPECT_NEAR(found.gradientNorm, expected.gradientNorm,
                  0.05 * expected.gradientNorm);
    }
  }
}

TEST_F(TrainerTest, ADeviceDistillsAsTheCpuDoes) {
  recipe.teacher.model = recipe.model;
  recipe.teacher.temperature = 2;
  const StepResult expected = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, &kSerialKernels);
  const StepResult found = Trainer(recipe).step();
  setDeviceKernels(at::kCPU, nullptr);
  EXPECT_NEAR(found.loss, expected.loss, 1e-4);
  EXPECT_NEAR(found.gradientNorm, expected.gradientNorm,
              1e-3 * expected.gradientNorm);
}

} // namespace
