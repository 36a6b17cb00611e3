// SPDX-License-Identifier: Apache-2.0
//
// The C interface: checks the caller's pointers, translates exceptions into
// status codes, and leaves the work to the classes behind.
#include "runtime/Status.h"

#include "runtime/Conversation.h"
#include "runtime/Model.h"
#include "runtime/Sampler.h"
#include "runtime/Scheduler.h"
#include "runtime/Session.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <string>

using namespace fairy2;

struct Fairy2Model {
  std::shared_ptr<const Model> model;
};

struct Fairy2Session {
  Session session;
};

namespace {

std::string &lastError() {
  thread_local std::string message;
  return message;
}

Fairy2Status report(Fairy2Status status, const char *message) noexcept {
  try {
    lastError() = message;
  } catch (...) {
    lastError().clear();
  }
  return status;
}

/// Runs `body`; an Error without a status of its own becomes `otherwise`.
template <typename Body>
Fairy2Status guarded(Fairy2Status otherwise, const Body &body) noexcept {
  try {
    body();
    return FAIRY2_OK;
  } catch (const StatusError &error) {
    return report(error.status, error.what());
  } catch (const Error &error) {
    return report(otherwise, error.what());
  } catch (const std::bad_alloc &) {
    return report(FAIRY2_INTERNAL, "out of memory");
  } catch (const std::exception &error) {
    return report(FAIRY2_INTERNAL, error.what());
  } catch (...) {
    return report(FAIRY2_INTERNAL, "unknown failure");
  }
}

void require(bool condition, const char *message) {
  if (!condition)
    throw StatusError(FAIRY2_BAD_ARGUMENT, message);
}

void requirePointer(const void *pointer, const char *name) {
  if (!pointer)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      std::string(name) + ": expected a pointer, found NULL");
}

/// A caller's array: NULL is fine when it is empty.
template <typename T>
std::span<const T> arrayOf(const T *data, int64_t count, const char *name) {
  require(count >= 0, "count: expected at least 0, found a negative number");
  if (count > 0)
    requirePointer(data, name);
  return {data, size_t(count)};
}

/// Gives the length, and as many entries as there is room for.
template <typename Container, typename T>
void copyOut(const Container &from, T *to, size_t capacity, size_t *length) {
  requirePointer(length, "length");
  const size_t copied = std::min(capacity, from.size());
  if (copied > 0)
    requirePointer(to, "output");
  std::copy_n(from.begin(), copied, to);
  *length = from.size();
}

Sampling samplingOf(const Fairy2Sampling &sampling) {
  return {sampling.temperature,
          sampling.top_k,
          sampling.top_p,
          sampling.min_p,
          sampling.repetition_penalty,
          sampling.seed,
          /*presencePenalty=*/0,
          /*frequencyPenalty=*/0,
          /*logitBias=*/{}};
}

GenerationOptions generationOf(const Fairy2GenerateOptions *options) {
  GenerationOptions chosen;
  chosen.maxTokens = std::numeric_limits<int64_t>::max();
  if (!options)
    return chosen;
  if (options->max_tokens != 0)
    chosen.maxTokens = options->max_tokens;
  if (options->sampling)
    chosen.sampling = samplingOf(*options->sampling);
  if (options->stop_count > 0)
    requirePointer(options->stops, "stops");
  for (size_t i = 0; i < options->stop_count; ++i) {
    requirePointer(options->stops[i], "stops");
    chosen.stops.emplace_back(options->stops[i]);
  }
  chosen.ignoreEos = options->ignore_eos != 0;
  return chosen;
}

Fairy2Finish finishOf(FinishReason reason) {
  switch (reason) {
  case FinishReason::Eos:
    return FAIRY2_FINISH_EOS;
  case FinishReason::Stop:
    return FAIRY2_FINISH_STOP;
  case FinishReason::Length:
    return FAIRY2_FINISH_LENGTH;
  case FinishReason::Context:
    return FAIRY2_FINISH_CONTEXT;
  case FinishReason::Interrupted:
    return FAIRY2_FINISH_CANCELLED;
  }
  return FAIRY2_FINISH_CANCELLED;
}

} // namespace

extern "C" {

const char *fairy2_last_error(void) { return lastError().c_str(); }

const char *fairy2_version(void) { return FAIRY2_VERSION; }

Fairy2Status fairy2_open(const char *path, Fairy2Model **model) {
  return guarded(FAIRY2_BAD_FILE, [&] {
    requirePointer(model, "model");
    *model = nullptr;
    requirePointer(path, "path");
    *model = new Fairy2Model{Model::open(path)};
  });
}

void fairy2_close(Fairy2Model *model) { delete model; }

const char *fairy2_info(const Fairy2Model *model) {
  return model ? model->model->manifest().text.c_str() : nullptr;
}

int32_t fairy2_vocab_size(const Fairy2Model *model) {
  return model ? model->model->manifest().vocabSize : 0;
}

static HugePages hugePagesOf(Fairy2HugePages mode) {
  switch (mode) {
  case FAIRY2_HUGE_PAGES_AUTO:
    return HugePages::Auto;
  case FAIRY2_HUGE_PAGES_COPY:
    return HugePages::Copy;
  case FAIRY2_HUGE_PAGES_OFF:
    return HugePages::Off;
  }
  throw StatusError(FAIRY2_BAD_ARGUMENT, "huge_pages: expected 0 to 2, found " +
                                             std::to_string(int(mode)));
}

Fairy2Status fairy2_session_new(Fairy2Model *model,
                                const Fairy2SessionOptions *options,
                                Fairy2Session **session) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    *session = nullptr;
    requirePointer(model, "model");
    SessionOptions chosen;
    if (options) {
      chosen.threads = options->threads;
      chosen.context = options->context;
      chosen.slots = options->slots == 0 ? 1 : options->slots;
      chosen.hugePages = hugePagesOf(options->huge_pages);
    }
    *session = new Fairy2Session{Session(model->model, chosen)};
  });
}

void fairy2_session_free(Fairy2Session *session) { delete session; }

int32_t fairy2_session_length(const Fairy2Session *session, int32_t slot) {
  int32_t length = -1;
  guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    length = session->session.length(slot);
  });
  return length;
}

Fairy2Status fairy2_session_reset(Fairy2Session *session, int32_t slot,
                                  int32_t length) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    session->session.reset(slot, length);
  });
}

Fairy2Status fairy2_eval(Fairy2Session *session, int32_t slot,
                         const int32_t *tokens, int32_t count,
                         int32_t all_logits, float *logits) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    session->session.eval(slot, arrayOf(tokens, count, "tokens"),
                          !logits      ? Session::Logits::None
                          : all_logits ? Session::Logits::All
                                       : Session::Logits::Last,
                          logits);
  });
}

Fairy2Status fairy2_eval_batch(Fairy2Session *session, const int32_t *slots,
                               const int32_t *tokens, int32_t count,
                               float *logits) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    session->session.evalBatch(arrayOf(slots, count, "slots"),
                               arrayOf(tokens, count, "tokens"), logits);
  });
}

Fairy2Status fairy2_tokenize(Fairy2Model *model, const char *text, size_t bytes,
                             int32_t add_special, int32_t parse_special,
                             int32_t *tokens, size_t capacity, size_t *length) {
  return guarded(FAIRY2_BAD_FILE, [&] {
    requirePointer(model, "model");
    if (bytes > 0)
      requirePointer(text, "text");
    copyOut(model->model->tokenizer().encode({text, bytes}, add_special != 0,
                                             parse_special != 0),
            tokens, capacity, length);
  });
}

Fairy2Status fairy2_detokenize(Fairy2Model *model, const int32_t *tokens,
                               size_t count, char *text, size_t capacity,
                               size_t *length) {
  return guarded(FAIRY2_BAD_FILE, [&] {
    requirePointer(model, "model");
    if (count > 0)
      requirePointer(tokens, "tokens");
    copyOut(model->model->tokenizer().decode({tokens, count}), text, capacity,
            length);
  });
}

Fairy2Status fairy2_tokenize_chat(Fairy2Model *model, const char *messages_json,
                                  size_t bytes, int32_t add_generation_prompt,
                                  int32_t *tokens, size_t capacity,
                                  size_t *length) {
  return guarded(FAIRY2_BAD_FILE, [&] {
    requirePointer(model, "model");
    requirePointer(messages_json, "messages");
    RenderOptions options;
    options.addGenerationPrompt = add_generation_prompt != 0;
    const auto messages = nlohmann::ordered_json::parse(
        std::string_view(messages_json, bytes), nullptr,
        /*allow_exceptions=*/false);
    require(!messages.is_discarded(),
            "messages: expected JSON, found other text");
    copyOut(encodeChat(*model->model, messages, options), tokens, capacity,
            length);
  });
}

Fairy2Status fairy2_sample(const Fairy2Sampling *sampling, const float *logits,
                           int32_t vocab, const int32_t *history, size_t count,
                           uint64_t step, int32_t *token) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(sampling, "sampling");
    requirePointer(token, "token");
    if (count > 0)
      requirePointer(history, "history");
    *token =
        sampleToken(samplingOf(*sampling), arrayOf(logits, vocab, "logits"),
                    {history, count}, step);
  });
}

Fairy2Status fairy2_generate(Fairy2Session *session, int32_t slot,
                             const int32_t *tokens, int32_t count,
                             const Fairy2GenerateOptions *options,
                             Fairy2OnToken on_token, void *user,
                             Fairy2Finish *finish) {
  return guarded(FAIRY2_INTERNAL, [&] {
    requirePointer(session, "session");
    session->session.length(slot); // whether there is such a slot
    const auto prompt = arrayOf(tokens, count, "tokens");
    GenerationOptions chosen = generationOf(options);
    std::string text;
    std::atomic<bool> cancelled = false;
    chosen.onText = [&](std::string_view piece) { text += piece; };
    chosen.interrupted = &cancelled;
    const auto sequence = std::make_shared<Sequence>(
        session->session, std::vector<int32_t>(prompt.begin(), prompt.end()),
        chosen);
    Scheduler scheduler(session->session, {slot});
    scheduler.add(sequence);
    for (bool more = true; more;) {
      const size_t before = sequence->tokens().size();
      more = scheduler.step();
      const auto all = sequence->tokens();
      const int32_t token = all.size() > before ? all.back() : -1;
      const bool tells = !cancelled || !text.empty();
      if (on_token && tells && on_token(user, token, text.data(), text.size()))
        cancelled = true;
      text.clear();
    }
    const Generation result = sequence->result();
    if (finish)
      *finish = finishOf(result.reason);
  });
}

} // extern "C"
