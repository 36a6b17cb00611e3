// SPDX-License-Identifier: Apache-2.0
//
// Cuts, evaluates, and sums in a fixed order, so that the figure does not
// depend on the number of threads.
#include "runtime/Evaluate.h"

#include "runtime/Session.h"
#include "runtime/Status.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace fairy2 {
namespace {

void checkOptions(const Model &model, const EvaluationOptions &options) {
  const Manifest &manifest = model.manifest();
  if (options.chunk < 1 || options.chunk > manifest.maxPositions)
    throw StatusError(
        FAIRY2_BAD_ARGUMENT,
        "chunk: expected 1 to " + std::to_string(manifest.maxPositions) +
            ", the model's positions, found " + std::to_string(options.chunk));
  if (options.maxChunks < 0)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "number of chunks: expected at least 0, found " +
                          std::to_string(options.maxChunks));
  if (!manifest.bosToken)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      model.path() + ": manifest.model.bos_token: expected one "
                                     "to start each piece with, found none");
}

/// -log softmax(logits)[target], in double.
double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(double(logit) - largest);
  return std::log(sum) + largest - double(logits[size_t(target)]);
}

/// Adds up the predictions of one piece; `inputs` is BOS and all of the piece's
/// tokens but the last, `targets` the piece.
double scorePiece(Session &session, std::span<const int32_t> inputs,
                  std::span<const int32_t> targets,
                  std::vector<float> &logits) {
  const auto vocab = size_t(session.vocabSize());
  const auto batch = size_t(session.model().manifest().batch);
  std::vector<double> scores(targets.size());
  session.reset(0);
  for (size_t begin = 0; begin < inputs.size(); begin += batch) {
    const size_t size = std::min(batch, inputs.size() - begin);
    logits.resize(batch * vocab);
    session.eval(0, inputs.subspan(begin, size), Session::Logits::All,
                 logits.data());
    session.threads().run([&](int thread, int threads) {
      for (size_t row = size_t(thread); row < size; row += size_t(threads))
        scores[begin + row] =
            negativeLogLikelihood(std::span(logits).subspan(row * vocab, vocab),
                                  targets[begin + row]);
    });
  }
  double sum = 0;
  for (const double score : scores)
    sum += score;
  return sum;
}

} // namespace

Evaluation evaluate(std::shared_ptr<const Model> model, std::string_view text,
                    const EvaluationOptions &options) {
  checkOptions(*model, options);
  const int32_t bos = *model->manifest().bosToken;
  const std::vector<int32_t> ids =
      model->tokenizer().encode(text, /*addSpecial=*/false);
  if (ids.empty())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "text: expected at least one token, found none");
  const auto chunk = size_t(options.chunk);
  auto pieces = int64_t((ids.size() + chunk - 1) / chunk);
  if (options.maxChunks > 0)
    pieces = std::min(pieces, options.maxChunks);

  SessionOptions sessionOptions;
  sessionOptions.threads = options.threads;
  sessionOptions.context = int32_t(std::min(chunk, ids.size()));
  Session session(std::move(model), sessionOptions);
  Evaluation result;
  std::vector<float> logits;
  double sum = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const size_t begin = size_t(piece) * chunk;
    const auto targets =
        std::span(ids).subspan(begin, std::min(chunk, ids.size() - begin));
    std::vector<int32_t> inputs = {bos};
    inputs.insert(inputs.end(), targets.begin(), targets.end() - 1);
    sum += scorePiece(session, inputs, targets, logits);
    result.tokens += int64_t(targets.size());
    if (options.onProgress)
      options.onProgress(piece + 1, pieces);
  }
  result.nllPerToken = sum / double(result.tokens);
  if (!std::isfinite(result.nllPerToken))
    throw StatusError(FAIRY2_INTERNAL,
                      session.model().path() +
                          ": logits: expected finite values, found NaN or "
                          "infinity");
  result.perplexity = std::exp(result.nllPerToken);
  return result;
}

} // namespace fairy2
