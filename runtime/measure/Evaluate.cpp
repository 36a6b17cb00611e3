// SPDX-License-Identifier: Apache-2.0
//
// Cuts, evaluates, and sums in a fixed order, so that the figure does not
// depend on the number of threads. The text is read twice, to count sequences
// and to evaluate them, and never held.
#include "runtime/measure/Evaluate.h"

#include "runtime/Likelihood.h"
#include "runtime/Session.h"
#include "runtime/Status.h"
#include "runtime/support/File.h"
#include "runtime/text/TextEncoder.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <utility>

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

int32_t usualChunk(const Model &model, Protocol protocol) {
  return std::min(protocol == Protocol::Chunks ? 511 : 2048,
                  model.manifest().maxPositions);
}

using Sequence = std::vector<int32_t>;

/// Takes a sequence; returns whether to go on.
using UseSequence = std::function<bool(Sequence sequence)>;

/// Makes sequences of documents as a protocol does.
class Cutter {
public:
  Cutter(const Model &model, const EvaluationOptions &options, UseSequence use)
      : use(std::move(use)), chunk(size_t(options.chunk)),
        encoder(model.tokenizer(), options.source, /*parseSpecial=*/true,
                /*threads=*/1, [this](std::span<const int32_t> ids, bool ends) {
                  if (!stopped)
                    stopped = !take(ids, ends);
                }) {}
  virtual ~Cutter() = default;

  /// Cuts all documents, or stops when `use` says so.
  virtual void run(const Documents &documents) = 0;

protected:
  /// Of a document; returns whether to go on.
  virtual bool take(std::span<const int32_t> ids, bool ends) = 0;

  /// Encodes the documents, joined by blank lines.
  void encodeJoined(const Documents &documents) {
    documents(joined([&](std::string_view piece, bool) {
      encoder.append(piece);
      return !stopped;
    }));
    if (!stopped)
      encoder.endDocument();
    if (!stopped)
      encoder.finish();
  }

  const UseSequence use;
  const size_t chunk;
  TextEncoder encoder;
  bool stopped = false;
};

/// Of one text: `start` and the next tokens, up to `length` in all.
class TextCutter : public Cutter {
public:
  TextCutter(const Model &model, const EvaluationOptions &options,
             Sequence start, size_t length, UseSequence use)
      : Cutter(model, options, std::move(use)), start(std::move(start)),
        length(length), open(this->start) {}

  void run(const Documents &documents) override { encodeJoined(documents); }

protected:
  bool take(std::span<const int32_t> ids, bool) override {
    for (const int32_t id : ids) {
      open.push_back(id);
      if (open.size() == length && !use(std::exchange(open, start)))
        return false;
    }
    return true;
  }

  const Sequence start;
  const size_t length;
  Sequence open;
};

class ChunkCutter final : public TextCutter {
public:
  ChunkCutter(const Model &model, const EvaluationOptions &options,
              UseSequence use)
      : TextCutter(model, options, {*model.manifest().bosToken},
                   size_t(options.chunk) + 1, std::move(use)) {}

  void run(const Documents &documents) override {
    encodeJoined(documents);
    if (!stopped && open.size() > 1)
      use(std::move(open));
  }
};

class WindowCutter final : public TextCutter {
public:
  WindowCutter(const Model &model, const EvaluationOptions &options,
               UseSequence use)
      : TextCutter(model, options, {}, size_t(options.chunk), std::move(use)),
        frame(model.tokenizer().frame()), source(options.source) {}

  void run(const Documents &documents) override {
    stopped = !take(frame.before, false);
    encodeJoined(documents);
    if (!stopped)
      take(frame.after, true);
    if (tokens < chunk)
      throw StatusError(FAIRY2_BAD_ARGUMENT, source + ": expected at least " +
                                                 std::to_string(chunk) +
                                                 " tokens, one chunk, found " +
                                                 std::to_string(tokens));
  }

private:
  bool take(std::span<const int32_t> ids, bool ends) override {
    tokens += ids.size();
    return TextCutter::take(ids, ends);
  }

  const Tokenizer::Frame &frame;
  const std::string source;
  size_t tokens = 0;
};

/// As the reference does it, down to its ends: the last sequence is dropped
/// when its single document and BOS together are longer than `chunk`.
class DocumentCutter final : public Cutter {
public:
  DocumentCutter(const Model &model, const EvaluationOptions &options,
                 UseSequence use)
      : Cutter(model, options, std::move(use)),
        end(model.manifest().eosTokens.front()) {
    if (model.manifest().bosToken)
      start.push_back(*model.manifest().bosToken);
    open = start;
  }

  void run(const Documents &documents) override {
    documents([&, isEmpty = true](std::string_view piece, bool ends) mutable {
      isEmpty = isEmpty && piece.empty();
      encoder.append(piece);
      if (ends && !std::exchange(isEmpty, true))
        encoder.endDocument();
      return !stopped;
    });
    if (!stopped)
      encoder.finish();
    if (!stopped && open.size() <= chunk)
      close();
  }

private:
  bool take(std::span<const int32_t> ids, bool ends) override {
    // One too many tells as much as all.
    const size_t room = chunk + 1 - std::min(document.size(), chunk + 1);
    document.insert(document.end(), ids.begin(),
                    ids.begin() + ptrdiff_t(std::min(room, ids.size())));
    if (!ends)
      return true;
    document.push_back(end);
    const Sequence whole = std::exchange(document, {});
    if (whole.size() > chunk)
      return true;
    if (open.size() + whole.size() > chunk) {
      if (!close())
        return false;
      open = start;
    }
    open.insert(open.end(), whole.begin(), whole.end());
    return true;
  }

  bool close() {
    // Otherwise it predicts nothing.
    return open.size() <= 1 || use(std::move(open));
  }

  const int32_t end;
  Sequence start, open, document;
};

/// Hands on the sequences of a text, `options.maxChunks` at most.
void cut(const Model &model, const Documents &documents,
         const EvaluationOptions &options, const UseSequence &use) {
  int64_t left = options.maxChunks > 0 ? options.maxChunks
                                       : std::numeric_limits<int64_t>::max();
  const auto take = [&](Sequence sequence) {
    return use(std::move(sequence)) && --left > 0;
  };
  switch (options.protocol) {
  case Protocol::Chunks:
    return ChunkCutter(model, options, take).run(documents);
  case Protocol::Gptq:
    return WindowCutter(model, options, take).run(documents);
  case Protocol::Reference:
    return DocumentCutter(model, options, take).run(documents);
  }
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

Documents documentsOf(const std::string &path, Protocol protocol) {
  InputFile::open(path); // what cannot be read is told at once
  if (holdsRecords(path))
    return
        [path](const UsePiece &use) { readDocuments(path, "text", {}, use); };
  if (protocol != Protocol::Reference)
    return [path](const UsePiece &use) { readText(path, "text", use); };
  return [path](const UsePiece &use) {
    bool inLine = false;
    const auto cutLines = [&](std::string_view piece, bool) {
      for (size_t end; (end = piece.find('\n')) != piece.npos;) {
        if (!use(piece.substr(0, end), true))
          return false;
        piece.remove_prefix(end + 1);
        inLine = false;
      }
      inLine = inLine || !piece.empty();
      return piece.empty() || use(piece, false);
    };
    if (readText(path, "text", cutLines) && inLine)
      use("", true);
  };
}

Evaluation evaluate(std::shared_ptr<const Model> model,
                    const Documents &documents,
                    const EvaluationOptions &asked) {
  EvaluationOptions options = asked;
  if (options.chunk == 0)
    options.chunk = usualChunk(*model, options.protocol);
  checkOptions(*model, options);
  int64_t sequences = 0;
  cut(*model, documents, options, [&](const Sequence &) {
    ++sequences;
    return true;
  });
  if (sequences == 0)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      options.source +
                          (options.protocol == Protocol::Reference
                               ? ": expected a document of at most " +
                                     std::to_string(options.chunk) +
                                     " tokens, found none"
                               : ": expected at least one token, found none"));
  std::optional<int32_t> silent;
  if (options.protocol == Protocol::Reference)
    silent = model->manifest().eosTokens.front();

  SessionOptions sessionOptions;
  sessionOptions.threads = options.threads;
  sessionOptions.hugePages = options.hugePages;
  sessionOptions.context = options.chunk;
  Session session(model, sessionOptions);
  Evaluation result;
  result.chunk = options.chunk;
  std::vector<float> logits;
  double sum = 0;
  cut(*model, documents, options, [&](const Sequence &sequence) {
    sum += score(session, sequence, silent, logits);
    result.tokens += std::ssize(sequence) - 1;
    ++result.chunks;
    if (options.onProgress)
      options.onProgress(result.chunks, sequences);
    return true;
  });
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
