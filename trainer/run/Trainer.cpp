// SPDX-License-Identifier: Apache-2.0
//
// One step at a time: batches, losses, backward, clipping, the optimizer; then
// validation, saved states and the export.
#include "trainer/run/Trainer.h"

#include "frontend/DecoderCheckpoint.h"
#include "frontend/TokenizerFolder.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Words.h"
#include "trainer/Device.h"
#include "trainer/data/LoadTokenizer.h"
#include "trainer/data/TokenShards.h"
#include "trainer/optimize/Schedule.h"
#include "trainer/run/Folders.h"
#include "trainer/run/Memory.h"
#include "trainer/run/Plan.h"
#include "trainer/run/Report.h"
#include "trainer/run/RunFolder.h"
#include "trainer/run/SourceVersion.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>
#include <utility>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

FillParameter initialValues(const Recipe &recipe, const HFConfig &config) {
  const auto seed = uint64_t(recipe.seed);
  if (recipe.initialize == "checkpoint")
    return Model::fromCheckpoint(config, {recipe.model, recipe.folderRules});
  if (recipe.initialize == "random")
    return Model::fromRandom(config, seed);
  if (!fs::is_directory(recipe.initialize))
    throw Error("initialize: expected checkpoint, random or a folder with a "
                "smaller model, found '" +
                recipe.initialize + "'");
  return Model::fromSmaller(config, {recipe.initialize, recipe.folderRules},
                            seed);
}

Model loadTeacher(const Recipe &recipe, const Model &student) {
  Model teacher = Model::load({recipe.teacher.model, recipe.folderRules});
  const int64_t tokens = student.config().vocabSize;
  if (teacher.config().vocabSize != tokens)
    throw Error(recipe.teacher.model +
                ": expected a teacher with the model's " +
                std::to_string(tokens) + " tokens, found " +
                std::to_string(teacher.config().vocabSize));
  return teacher;
}

/// As many tokens may be others, and what their logits teach is nonsense. Files
/// that differ may hold the same ones, so all are compared that both have; each
/// twice, as a decoder drops the space that begins a text. Special ones are
/// often renamed by who tunes a model.
void requireSameTokens(const std::string &folder, const Tokenizer &own,
                       int64_t vocabSize) {
  const TokenizerFolder files = readTokenizerFolder(folder);
  if (files.json.empty())
    return;
  const auto other = Tokenizer::fromJson(files.json, files.origin);
  for (int32_t id = 0; id < vocabSize; ++id) {
    if (own.isSpecial(id) || other->isSpecial(id))
      continue;
    const std::vector<int32_t> twice = {id, id};
    const std::string found = other->decode(twice, false),
                      expected = own.decode(twice, false);
    if (found != expected && !found.empty() && !expected.empty())
      throw Error(files.origin +
                  ": expected a teacher with the model's tokens, found " +
                  quoteName(found) + " where token " + std::to_string(id) +
                  " twice is " + quoteName(expected));
  }
}

/// With `initialize` of its own the folder may hold no weights.
HFConfig configOf(const Recipe &recipe) {
  const ModelFolder folder(recipe.model, recipe.folderRules);
  requireCopyable(folder);
  return recipe.initialize == "checkpoint"
             ? DecoderCheckpoint::open(folder).config
             : HFConfig::read(folder);
}

DType exportType(const Recipe &recipe) {
  return *dtypeFromName(recipe.exportOptions.type);
}

} // namespace

Trainer::Trainer(Recipe recipe, std::unique_ptr<Communicator> communicator)
    : settings(std::move(recipe)), ranks(std::move(communicator)),
      device(openDevice(settings.train.device,
                        Communicator::localRankFromEnvironment())),
      method(settings.quantizationMethod()) {
  const HFConfig config = configOf(settings);
  if (deviceKernels(device.type()))
    Model::refuseOnDevice(config);
  form = exportFormOf(settings.exportOptions.form, numerics(), config);
  network = std::make_unique<Model>(config);
  network->setStoredType(exportType(settings));
  latents = std::make_unique<ShardedWeights>(
      *network, *ranks, shardingOf(settings.train.sharding),
      settings.train.recompute, initialValues(settings, config), device);
  if (!settings.teacher.model.empty()) {
    teacher = std::make_unique<Model>(loadTeacher(settings, *network));
    if (deviceKernels(device.type()))
      Model::refuseOnDevice(teacher->config());
    for (Parameter &parameter : teacher->parameters())
      parameter.latent = parameter.latent.to(device);
    const at::NoGradGuard noGradients;
    Numerics plain;
    plain.bf16 = numerics().bf16;
    teacherWeights = teacher->weights(plain);
  }
  batches = std::make_unique<BatchMaker>(
      network->config(), settings.data, specialTokensOf(network->config()),
      device, teacher ? &teacher->config() : nullptr);
  loadData();
  optimizer = makeOptimizer(*latents, settings.train);
}

Trainer::~Trainer() = default;

void Trainer::loadData() {
  const auto [tokenizer, sha256] =
      loadTokenizer({settings.model, settings.folderRules});
  const HFConfig &config = network->config();
  const Vocabulary vocabulary{*tokenizer, sha256, specialTokensOf(config),
                              config.vocabSize};
  if (teacher)
    requireSameTokens(settings.teacher.model, *tokenizer, config.vocabSize);
  std::vector<Corpus> corpora;
  std::vector<double> weights;
  for (const DataSource &source : settings.data.train) {
    corpora.push_back(
        Corpus::read(source, settings.data, vocabulary, settings.output));
    weights.push_back(source.weight);
  }
  mixture = std::make_unique<Mixture>(std::move(corpora), std::move(weights),
                                      settings.data.sequenceLength,
                                      uint64_t(settings.seed));
  if (settings.data.validation.empty())
    return;
  const std::string &path = settings.data.validation;
  if (isTokenShard(path) || TokenizedText::isFolder(path))
    throw Error(path + ": expected text, found tokens");
  validation = Corpus::readWhole(
      path, settings.data, vocabulary, settings.output,
      settings.data.validationPieces * settings.data.sequenceLength);
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
  numerics.bf16 = settings.train.compute == "bfloat16";
  return numerics;
}

Numerics Trainer::stepNumerics() {
  Numerics numerics = this->numerics();
  const double temperature =
      annealingTemperature(settings.train, done, steps());
  softened = temperature > 0 ? method->softened(temperature) : nullptr;
  if (softened)
    numerics.method = softened.get();
  if (done < settings.train.quantizeWarmup)
    numerics.lambda = double(done + 1) / double(settings.train.quantizeWarmup);
  return numerics;
}

Distillation Trainer::teach(const Batch &batch) const {
  if (!teacher)
    return {};
  const at::NoGradGuard noGradients;
  return {teacher->hidden(teacherWeights, batch), teacherWeights.head,
          settings.teacher.weight, settings.teacher.temperature,
          teacher->config().finalSoftCap};
}

Batch Trainer::nextBatch() {
  std::vector<std::vector<int32_t>> rows;
  for (int rank = 0; rank < ranks->size(); ++rank)
    for (int64_t s = 0; s < settings.train.batchSequences; ++s) {
      if (rank == ranks->rank())
        rows.push_back(mixture->next());
      else
        mixture->skip();
    }
  return batches->make({rows.begin(), rows.end()},
                       settings.data.sequenceLength);
}

StepResult Trainer::accumulate(Batch batch) {
  StepResult result;
  int64_t predictions = 0;
  const int64_t passes = settings.train.accumulation;
  for (int64_t pass = 0; pass < passes; ++pass) {
    if (pass > 0)
      batch = nextBatch();
    const Distillation distillation = teach(batch);
    double entropy = 0;
    latents->beginPass(/*training=*/true, /*last=*/pass + 1 == passes);
    const at::Tensor loss = linearCrossEntropy(
        network->hidden(*latents, batch), latents->weights().head,
        batch.targets, teacher ? &distillation : nullptr, &entropy,
        network->config().finalSoftCap);
    torch::autograd::backward({loss}, {});
    latents->endPass();
    // Beside a teacher, what is told is still the text's own loss.
    result.loss += std::isfinite(loss.item<double>()) ? entropy : NAN;
    predictions += batch.predictions;
  }
  const std::vector<double> sums =
      ranks->sums({result.loss, double(predictions)});
  result.loss = sums[0] / sums[1];
  optimizer->scaleGradients(1 / sums[1]);
  return result;
}

double Trainer::gradientNorm() {
  const double own = optimizer->squaredNorm();
  return std::sqrt(latents->divides() ? ranks->sums({own})[0] : own);
}

StepResult Trainer::step() {
  // While a GPU still works on the last step.
  Batch batch = nextBatch();
  latents->clearGradients();
  latents->quantize(stepNumerics());
  StepResult result = accumulate(std::move(batch));
  result.gradientNorm = gradientNorm();
  result.skipped =
      !std::isfinite(result.loss) || !std::isfinite(result.gradientNorm);
  if (!result.skipped) {
    if (settings.train.clip > 0 && result.gradientNorm > settings.train.clip)
      optimizer->scaleGradients(settings.train.clip / result.gradientNorm);
    const double rate = settings.train.learningRate *
                        learningRateFactor(settings.train, done, steps());
    if (settings.train.dampening > 0)
      latents->dampen(std::min(1.0, settings.train.dampening * rate));
    optimizer->step(rate);
    latents->publish();
  }
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
  if (!validation)
    return std::nullopt;
  const at::NoGradGuard noGradients;
  latents->quantize(numerics());
  const auto length = size_t(settings.data.sequenceLength);
  const int64_t batchTokens =
      settings.data.sequenceLength * settings.train.batchSequences;
  const int64_t turns = (validation->size() + batchTokens - 1) / batchTokens;
  const int64_t size = ranks->size(), rank = ranks->rank();
  double sum = 0;
  int64_t predictions = 0;
  // Each rank does as many passes as the others, whose gathers need it; the
  // last one may be over a batch that is not its own and does not count.
  for (int64_t turn = rank; turn < (turns + size - 1) / size * size;
       turn += size) {
    const bool counts = turn < turns;
    const int64_t first = std::min(turn, turns - 1) * batchTokens;
    const std::vector<int32_t> text = validation->window(
        first, std::min(batchTokens, validation->size() - first));
    std::vector<std::span<const int32_t>> rows;
    for (size_t begin = 0; begin < text.size(); begin += length)
      rows.push_back(std::span(text).subspan(
          begin, std::min(length, text.size() - begin)));
    const Batch batch = batches->make(rows, settings.data.sequenceLength);
    latents->beginPass(/*training=*/false, /*last=*/false);
    const double loss =
        linearCrossEntropy(network->hidden(*latents, batch),
                           latents->weights().head, batch.targets, nullptr,
                           nullptr, network->config().finalSoftCap)
            .item<double>();
    latents->endPass();
    if (counts) {
      sum += loss;
      predictions += batch.predictions;
    }
  }
  const std::vector<double> sums = ranks->sums({sum, double(predictions)});
  return sums[0] / sums[1];
}

void Trainer::report(const StepResult &result, double tokensPerSecond) {
  const int64_t bytesBefore = std::exchange(bytesTold, ranks->bytesSent());
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
    line["bytes_sent"] = ranks->bytesSent() - bytesBefore;
  if (result.skipped) {
    line["skipped"] = true;
    metrics->tell("step " + std::to_string(done) +
                  ": the loss or its gradient is not finite: skipped");
  }
  metrics->write(line);
}

std::optional<double> Trainer::reportValidation() {
  const std::optional<double> loss = validate();
  if (loss && leads()) {
    metrics->write({{"step", done}, {"validation_loss", *loss}});
    char text[40];
    std::snprintf(text, sizeof text, ": validation loss %.4f", *loss);
    metrics->tell("step " + std::to_string(done) + text);
  }
  return loss;
}

std::string Trainer::compileCommand() const {
  std::string options = compilerOptions(form, numerics());
  if (!network->config().unknownFields.empty())
    options +=
        std::string(options.empty() ? "" : " ") + "--allow-unknown-fields";
  return "fairy2-compile " + shellWord(settings.output) + " -o model.so" +
         (options.empty() ? "" : " " + options);
}

void Trainer::exportModel() {
  const auto latentOf = [&](size_t i) { return latents->latent(i); };
  if (leads())
    writeCheckpoint(*network, latentOf, numerics(), form, exportType(settings),
                    {settings.model, settings.folderRules}, settings.output);
  else
    for (size_t i = 0; i < network->parameters().size(); ++i)
      latentOf(i);
}

bool Trainer::resume() {
  bool over = false;
  ranks->together("rank 0 cannot read what the run reads", [&] {
    if (!leads())
      return;
    identity =
        identityOf(settings, ranks->size(), hashCacheIn(settings.output));
    over = RunFolder(settings.output).isFinished(identity.fingerprint);
  });
  identity.fingerprint = ranks->ofRankZero(identity.fingerprint);
  state = std::make_unique<TrainingState>(settings.output, *ranks,
                                          settings.train.keepLast);
  if (ranks->sums({double(over)})[0] > 0)
    return true;
  state->prepare(latents->divides());
  const std::optional<RunPosition> position =
      state->load(*latents, *optimizer, identity, steps());
  ranks->together("rank 0 has too little space on its disk", [&] {
    if (!leads())
      return;
    writeJson(hashCacheIn(settings.output), identity.hashes);
    const DiskPlan plan = planDisk(network->config(), settings, steps());
    requireSpace(settings.output, plan.total() - state->bytes(),
                 std::to_string(plan.states) +
                     (plan.states == 1 ? " saved state" : " saved states") +
                     " and the export; train.keep_last and "
                     "export.type make it less");
  });
  if (!position)
    return false;
  done = position->step;
  badSteps = position->badSteps;
  mixture->skipTo(done * tokensPerStep() / settings.data.sequenceLength);
  if (leads())
    std::fprintf(stderr, "going on after step %lld\n", (long long)done);
  return false;
}

void Trainer::save() {
  state->save(*latents, *optimizer, {done, badSteps}, identity);
}

std::optional<double> Trainer::finish() {
  // Whatever ends the run from here on, its training is not lost.
  save();
  try {
    for (const OwnPart &part : latents->ownParts())
      roundTo(exportType(settings), part.latents);
    latents->publish();
    const std::optional<double> loss = reportValidation();
    exportModel();
    if (leads()) {
      metrics->write({{"step", done}, {"peak_memory", peakResidentBytes()}});
      writeReport(settings.output);
      RunFolder(settings.output).markFinished(identity.fingerprint, done);
    }
    return loss;
  } catch (const std::exception &error) {
    throw Error(std::string(error.what()) +
                "; the state after the last step is saved, and the same "
                "command exports it");
  }
}

RunResult Trainer::run(const std::function<bool()> &shouldStop) {
  using Clock = std::chrono::steady_clock;
  if (const std::string note = dirtyTreeNote(sourceVersion());
      leads() && !note.empty())
    std::fprintf(stderr, "%s\n", note.c_str());
  if (resume())
    return {.finished = true, .before = true, .validationLoss = {}};
  // Nobody saves before all have looked for what was saved.
  ranks->barrier();
  if (leads()) {
    metrics = std::make_unique<Metrics>(settings.output, done);
    metrics->write({{"recipe", settings.toJson()},
                    {"unknown_fields", network->config().unknownFields},
                    {"fingerprint", identity.fingerprint},
                    {"source", sourceVersion()},
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
      if (leads())
        metrics->tell("stopped; the same command goes on from here");
      return {};
    }
    if (done < steps() && settings.train.saveEvery > 0 &&
        done % settings.train.saveEvery == 0)
      save();
  }
  const std::optional<double> loss = finish();
  state->clear();
  ranks->barrier();
  return {.finished = true, .before = false, .validationLoss = loss};
}

} // namespace fairy2::trainer
