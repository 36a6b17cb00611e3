// SPDX-License-Identifier: Apache-2.0
//
// Cuts, evaluates, and sums in a fixed order, so that the figure does not
// depend on the number of threads.
#include "runtime/measure/Evaluate.h"

#include "runtime/Session.h"
#include "runtime/Status.h"
#include "runtime/support/Documents.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <sstream>

namespace fairy2 {
namespace {

void checkOptions(const Model &model, const EvaluationOptions &options) {
  const Manifest &manifest = model.manifest();
  // The first token of a sequence is BOS, or is not predicted.
  const int32_t least = options.protocol == Protocol::Chunks ? 1 : 2;
  if (options.chunk < least || options.chunk > manifest.maxPositions)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "chunk: expected " + std::to_string(least) + " to " +
                          std::to_string(manifest.maxPositions) +
                          ", the model's positions, found " +
                          std::to_string(options.chunk));
  if (options.maxChunks < 0)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "number of chunks: expected at least 0, found " +
                          std::to_string(options.maxChunks));
  if (options.protocol == Protocol::Chunks && !manifest.bosToken)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      model.path() + ": manifest.model.bos_token: expected one "
                                     "to start each piece with, found none");
  if (options.protocol == Protocol::Reference && manifest.eosTokens.empty())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      model.path() +
                          ": manifest.model.eos_tokens: expected one "
                          "to end each document with, found none");
}

using Sequence = std::vector<int32_t>;

std::vector<Sequence> cutAfterBos(const Model &model, const std::string &text,
                                  size_t chunk) {
  const std::vector<int32_t> ids = model.tokenizer().encode(text, false);
  std::vector<Sequence> sequences;
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    const auto part =
        std::span(ids).subspan(begin, std::min(chunk, ids.size() - begin));
    sequences.push_back({*model.manifest().bosToken});
    sequences.back().insert(sequences.back().end(), part.begin(), part.end());
  }
  return sequences;
}

std::vector<Sequence> cutIntoWindows(const Model &model,
                                     const std::string &text, size_t chunk) {
  const std::vector<int32_t> ids = model.tokenizer().encode(text, true);
  if (ids.size() < chunk)
    throw StatusError(FAIRY2_BAD_ARGUMENT, "text: expected at least " +
                                               std::to_string(chunk) +
                                               " tokens, one chunk, found " +
                                               std::to_string(ids.size()));
  std::vector<Sequence> sequences;
  for (auto begin = ids.begin(); size_t(ids.end() - begin) >= chunk;
       begin += ptrdiff_t(chunk))
    sequences.emplace_back(begin, begin + ptrdiff_t(chunk));
  return sequences;
}

/// As the reference does it, down to its ends: the last sequence is dropped
/// when its single document and BOS together are longer than `chunk`.
std::vector<Sequence> packDocuments(const Model &model,
                                    const std::vector<std::string> &documents,
                                    size_t chunk) {
  const Manifest &manifest = model.manifest();
  Sequence start;
  if (manifest.bosToken)
    start.push_back(*manifest.bosToken);
  std::vector<Sequence> sequences;
  Sequence open = start;
  const auto close = [&] {
    if (open.size() > 1) // otherwise it predicts nothing
      sequences.push_back(std::move(open));
  };
  for (const std::string &document : documents) {
    if (document.empty())
      continue;
    Sequence ids = model.tokenizer().encode(document, false);
    ids.push_back(manifest.eosTokens.front());
    if (ids.size() > chunk)
      continue;
    if (open.size() + ids.size() > chunk) {
      close();
      open = start;
    }
    open.insert(open.end(), ids.begin(), ids.end());
  }
  if (open.size() <= chunk)
    close();
  return sequences;
}

std::vector<Sequence> cut(const Model &model,
                          const std::vector<std::string> &documents,
                          const EvaluationOptions &options) {
  const auto chunk = size_t(options.chunk);
  switch (options.protocol) {
  case Protocol::Chunks:
    return cutAfterBos(model, joinDocuments(documents), chunk);
  case Protocol::Gptq:
    return cutIntoWindows(model, joinDocuments(documents), chunk);
  case Protocol::Reference:
    return packDocuments(model, documents, chunk);
  }
  return {};
}

/// -log softmax(logits)[target], in double.
double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(double(logit) - largest);
  return std::log(sum) + largest - double(logits[size_t(target)]);
}

/// Adds up the predictions of all of a sequence but its first token; those
/// that follow `silent`, if any, add nothing.
double score(Session &session, const Sequence &sequence,
             std::optional<int32_t> silent, std::vector<float> &logits) {
  const auto vocab = size_t(session.vocabSize());
  const auto batch = size_t(session.model().manifest().batch);
  const auto inputs = std::span(sequence).first(sequence.size() - 1);
  std::vector<double> scores(inputs.size());
  session.reset(0);
  for (size_t begin = 0; begin < inputs.size(); begin += batch) {
    const size_t size = std::min(batch, inputs.size() - begin);
    logits.resize(batch * vocab);
    session.eval(0, inputs.subspan(begin, size), Session::Logits::All,
                 logits.data());
    session.threads().run([&](int thread, int threads) {
      for (size_t row = size_t(thread); row < size; row += size_t(threads))
        if (sequence[begin + row] != silent)
          scores[begin + row] = negativeLogLikelihood(
              std::span(logits).subspan(row * vocab, vocab),
              sequence[begin + row + 1]);
    });
  }
  double sum = 0;
  for (const double score : scores)
    sum += score;
  return sum;
}

} // namespace

const char *nameOf(Protocol protocol) {
  switch (protocol) {
  case Protocol::Chunks:
    return "chunks";
  case Protocol::Gptq:
    return "gptq";
  case Protocol::Reference:
    return "reference";
  }
  return "";
}

std::vector<std::string> documentsOf(const std::string &path,
                                     Protocol protocol) {
  std::vector<std::string> documents;
  if (holdsRecords(path)) {
    readDocuments(path, "text", {}, [&](std::string text) {
      documents.push_back(std::move(text));
    });
    return documents;
  }
  std::string text = readText(path);
  if (protocol != Protocol::Reference)
    return {std::move(text)};
  std::istringstream lines(std::move(text));
  for (std::string line; std::getline(lines, line);)
    documents.push_back(std::move(line));
  return documents;
}

Evaluation evaluate(std::shared_ptr<const Model> model,
                    const std::vector<std::string> &documents,
                    const EvaluationOptions &options) {
  checkOptions(*model, options);
  std::vector<Sequence> sequences = cut(*model, documents, options);
  if (options.maxChunks > 0 && sequences.size() > size_t(options.maxChunks))
    sequences.resize(size_t(options.maxChunks));
  if (sequences.empty())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      options.protocol == Protocol::Reference
                          ? "text: expected a document of at most " +
                                std::to_string(options.chunk) +
                                " tokens, found none"
                          : "text: expected at least one token, found none");
  std::optional<int32_t> silent;
  if (options.protocol == Protocol::Reference)
    silent = model->manifest().eosTokens.front();

  SessionOptions sessionOptions;
  sessionOptions.threads = options.threads;
  sessionOptions.hugePages = options.hugePages;
  sessionOptions.context = options.chunk;
  Session session(std::move(model), sessionOptions);
  Evaluation result;
  std::vector<float> logits;
  double sum = 0;
  for (const Sequence &sequence : sequences) {
    sum += score(session, sequence, silent, logits);
    result.tokens += std::ssize(sequence) - 1;
    ++result.chunks;
    if (options.onProgress)
      options.onProgress(result.chunks, std::ssize(sequences));
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
