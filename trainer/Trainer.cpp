// SPDX-License-Identifier: Apache-2.0
#include "trainer/Trainer.h"

#include "dialect/Error.h"
#include "runtime/File.h"
#include "trainer/Export.h"
#include "trainer/Fingerprint.h"
#include "trainer/LoadTokenizer.h"
#include "trainer/Schedule.h"

#include <ATen/ops/cat.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

SpecialTokens specialTokens(const HFConfig &config) {
  SpecialTokens special;
  if (config.bosToken)
    special.bos = int32_t(*config.bosToken);
  if (!config.eosTokens.empty())
    special.eos = int32_t(config.eosTokens.front());
  return special;
}

Model makeModel(const Recipe &recipe) {
  if (recipe.initialize == "checkpoint")
    return Model::load(recipe.model);
  const HFConfig config = HFConfig::read(recipe.model, Model::architectures());
  const auto seed = uint64_t(recipe.seed);
  if (recipe.initialize == "random")
    return Model::random(config, seed);
  if (!fs::is_directory(recipe.initialize))
    throw Error("initialize: expected checkpoint, random or a folder with a "
                "smaller model, found '" +
                recipe.initialize + "'");
  return Model::grow(config, recipe.initialize, seed);
}

/// The teacher must cut and place tokens as the student does.
Model loadTeacher(const Recipe &recipe, const Model &student) {
  Model teacher = Model::load(recipe.teacher.model);
  const HFConfig &a = teacher.config(), &b = student.config();
  if (a.vocabSize != b.vocabSize)
    throw Error(recipe.teacher.model +
                ": expected a teacher with the model's " +
                std::to_string(b.vocabSize) + " tokens, found " +
                std::to_string(a.vocabSize));
  if (a.headDim != b.headDim || a.rope.inverseFrequencies(a.headDim) !=
                                    b.rope.inverseFrequencies(b.headDim))
    throw Error(recipe.teacher.model +
                ": expected a teacher with the model's head_dim and rotary "
                "embedding");
  return teacher;
}

DType exportType(const Recipe &recipe) {
  return *dtypeFromName(recipe.exportOptions.type);
}

} // namespace

Trainer::Trainer(Recipe recipe, std::unique_ptr<Communicator> communicator)
    : settings(std::move(recipe)), ranks(std::move(communicator)),
      method(makeMethod(settings.method)) {
  network = std::make_unique<Model>(makeModel(settings));
  if (!settings.teacher.model.empty())
    teacher = std::make_unique<Model>(loadTeacher(settings, *network));
  batches = std::make_unique<BatchMaker>(network->config(), settings.data,
                                         specialTokens(network->config()));
  loadData(settings.model);
  optimizer = std::make_unique<AdamW>(network->parameters(), settings.train);
}

Trainer::~Trainer() = default;

void Trainer::loadData(const std::string &tokenizerFolder) {
  const std::unique_ptr<Tokenizer> tokenizer = loadTokenizer(tokenizerFolder);
  const HFConfig &config = network->config();
  std::vector<Corpus> corpora;
  std::vector<double> weights;
  for (const DataSource &source : settings.data.train) {
    corpora.push_back(Corpus::read(source.path, settings.data, *tokenizer,
                                   specialTokens(config), config.vocabSize));
    weights.push_back(source.weight);
  }
  mixture = std::make_unique<Mixture>(std::move(corpora), std::move(weights),
                                      settings.data.sequenceLength,
                                      uint64_t(settings.seed));
  if (settings.data.validation.empty())
    return;
  validation = tokenizer->encode(readWholeFile(settings.data.validation),
                                 /*addSpecial=*/false);
  const int64_t pieces = settings.data.validationPieces;
  const auto most = size_t(pieces * settings.data.sequenceLength);
  if (pieces > 0 && validation.size() > most)
    validation.resize(most);
  if (validation.empty())
    throw Error(settings.data.validation + ": expected text, found none");
}

int64_t Trainer::tokensPerStep() const {
  return settings.tokensPerStep() * ranks->size();
}

int64_t Trainer::steps() const {
  return std::max<int64_t>(1, settings.train.tokens / tokensPerStep());
}

Numerics Trainer::numerics() const {
  Numerics numerics;
  numerics.method = method.get();
  numerics.quantizeActivations = settings.quantizeActivations;
  numerics.quantizeHead = !settings.skipLmHead;
  if (done < settings.train.quantizeWarmup)
    numerics.lambda = double(done + 1) / double(settings.train.quantizeWarmup);
  return numerics;
}

Distillation Trainer::teach(const Batch &batch) const {
  if (!teacher)
    return {};
  const at::NoGradGuard noGradients;
  const Weights weights = teacher->weights({});
  return {teacher->hidden(weights, batch), weights.head,
          settings.teacher.weight, settings.teacher.temperature};
}

StepResult Trainer::accumulate(const Weights &weights) {
  StepResult result;
  int64_t predictions = 0;
  for (int64_t pass = 0; pass < settings.train.accumulation; ++pass) {
    std::vector<std::span<const int32_t>> rows;
    for (int rank = 0; rank < ranks->size(); ++rank)
      for (int64_t s = 0; s < settings.train.batchSequences; ++s)
        if (const auto row = mixture->next(); rank == ranks->rank())
          rows.push_back(row);
    const Batch batch = batches->make(rows, settings.data.sequenceLength);
    const Distillation distillation = teach(batch);
    double entropy = 0;
    const at::Tensor loss = linearCrossEntropy(
        network->hidden(weights, batch), weights.head, batch.targets,
        teacher ? &distillation : nullptr, &entropy);
    torch::autograd::backward({loss}, {});
    // Beside a teacher, what is told is still the text's own loss.
    result.loss += std::isfinite(loss.item<double>()) ? entropy : NAN;
    predictions += batch.predictions;
  }
  const std::vector<double> sums =
      ranks->sums({result.loss, double(predictions)});
  result.loss = sums[0] / sums[1];
  sumGradients();
  optimizer->scaleGradients(1 / sums[1]);
  return result;
}

void Trainer::sumGradients() {
  if (ranks->size() == 1)
    return;
  const at::NoGradGuard noGradients;
  std::vector<at::Tensor> parts;
  for (const Parameter &parameter : network->parameters())
    parts.push_back(parameter.latent.grad().reshape({-1}));
  at::Tensor all = at::cat(parts);
  ranks->sum(all);
  int64_t offset = 0;
  for (Parameter &parameter : network->parameters()) {
    const int64_t count = parameter.latent.numel();
    parameter.latent.mutable_grad().copy_(
        all.narrow(0, offset, count).view(parameter.latent.sizes()));
    offset += count;
  }
}

StepResult Trainer::step() {
  const Weights weights = network->weights(numerics());
  StepResult result = accumulate(weights);
  result.gradientNorm = optimizer->gradientNorm();
  result.skipped =
      !std::isfinite(result.loss) || !std::isfinite(result.gradientNorm);
  if (!result.skipped) {
    if (settings.train.clip > 0 && result.gradientNorm > settings.train.clip)
      optimizer->scaleGradients(settings.train.clip / result.gradientNorm);
    optimizer->step(settings.train.learningRate *
                    learningRateFactor(settings.train, done, steps()));
  }
  optimizer->clearGradients();
  badSteps = result.skipped ? badSteps + 1 : 0;
  ++done;
  if (badSteps >= settings.train.maxBadSteps)
    throw Error("step " + std::to_string(done) +
                ": the loss or its gradient "
                "was not finite in " +
                std::to_string(badSteps) +
                " steps in a row; try a smaller train.learning_rate");
  return result;
}

std::optional<double> Trainer::validate() {
  if (validation.empty())
    return std::nullopt;
  const at::NoGradGuard noGradients;
  Numerics whole = numerics();
  whole.lambda = 1;
  const Weights weights = network->weights(whole);
  const auto length = size_t(settings.data.sequenceLength);
  double sum = 0;
  int64_t predictions = 0;
  int turn = 0;
  for (size_t begin = 0; begin < validation.size(); ++turn) {
    std::vector<std::span<const int32_t>> rows;
    for (int64_t s = 0;
         s < settings.train.batchSequences && begin < validation.size(); ++s) {
      const size_t size = std::min(length, validation.size() - begin);
      rows.push_back(std::span(validation).subspan(begin, size));
      begin += size;
    }
    if (turn % ranks->size() != ranks->rank())
      continue;
    const Batch batch = batches->make(rows, settings.data.sequenceLength);
    sum += linearCrossEntropy(network->hidden(weights, batch), weights.head,
                              batch.targets)
               .item<double>();
    predictions += batch.predictions;
  }
  const std::vector<double> sums = ranks->sums({sum, double(predictions)});
  return sums[0] / sums[1];
}

void Trainer::report(const StepResult &result, double tokensPerSecond) {
  if (!leads())
    return;
  const double rate = settings.train.learningRate *
                      learningRateFactor(settings.train, done - 1, steps());
  metrics->progress(done, steps(), result.loss, rate, tokensPerSecond);
  nlohmann::ordered_json line = {
      {"step", done},          {"tokens", done * tokensPerStep()},
      {"loss", result.loss},   {"gradient_norm", result.gradientNorm},
      {"learning_rate", rate}, {"tokens_per_second", tokensPerSecond}};
  if (ranks->size() > 1)
    line["bytes_reduced"] = ranks->bytesReduced();
  if (result.skipped) {
    line["skipped"] = true;
    std::fprintf(stderr,
                 "\nstep %lld: the loss or its gradient is not finite: "
                 "skipped\n",
                 (long long)done);
  }
  metrics->write(line);
}

std::optional<double> Trainer::reportValidation() {
  const std::optional<double> loss = validate();
  if (loss && leads()) {
    metrics->write({{"step", done}, {"validation_loss", *loss}});
    std::fprintf(stderr, "\nstep %lld: validation loss %.4f\n", (long long)done,
                 *loss);
  }
  return loss;
}

std::string Trainer::compileCommand() const {
  const std::string name = method ? method->compilerMethod() : "none";
  return "fairy2-compile " + settings.output +
         " -o model.so --method=" + (name.empty() ? "none" : name) +
         (method && !settings.quantizeActivations ? " --activations=float"
                                                  : "") +
         (method && !settings.skipLmHead ? " --lm-head=quantize" : "");
}

void Trainer::exportModel() {
  writeCheckpoint(*network, numerics(), exportType(settings), settings.model,
                  settings.output);
}

void Trainer::resume() {
  fingerprint = fingerprintOf(settings, ranks->size());
  state = std::make_unique<TrainingState>(fs::path(settings.output) / "state");
  const std::optional<RunPosition> position =
      state->load(*network, *optimizer, fingerprint);
  if (!position)
    return;
  done = position->step;
  badSteps = position->badSteps;
  mixture->skipTo(done * tokensPerStep() / settings.data.sequenceLength);
  if (leads())
    std::fprintf(stderr, "going on after step %lld\n", (long long)done);
}

void Trainer::save() {
  if (leads())
    state->save(*network, *optimizer, {done, badSteps, fingerprint});
}

RunResult Trainer::run(const std::function<bool()> &shouldStop) {
  using Clock = std::chrono::steady_clock;
  fs::create_directories(settings.output);
  resume();
  // Nobody saves before all have looked for what was saved.
  ranks->barrier();
  if (leads()) {
    metrics = std::make_unique<Metrics>(fs::path(settings.output),
                                        /*append=*/done > 0);
    metrics->write({{"recipe", settings.toJson()},
                    {"fingerprint", fingerprint},
                    {"parameters", network->parameterCount()},
                    {"training_tokens", mixture->tokens()},
                    {"processes", ranks->size()},
                    {"first_step", done + 1},
                    {"steps", steps()}});
  }
  while (done < steps()) {
    const Clock::time_point begin = Clock::now();
    const StepResult result = step();
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    report(result, double(tokensPerStep()) / seconds.count());
    if (done < steps() && done % settings.train.validateEvery == 0)
      reportValidation();
    if (ranks->sums({double(shouldStop())})[0] > 0) {
      save();
      return {};
    }
    if (done < steps() && settings.train.saveEvery > 0 &&
        done % settings.train.saveEvery == 0)
      save();
  }
  roundLatents(*network, exportType(settings));
  const std::optional<double> loss = reportValidation();
  if (leads()) {
    exportModel();
    state->clear();
  }
  ranks->barrier();
  return {true, loss};
}

} // namespace fairy2
