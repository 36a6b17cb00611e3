/* SPDX-License-Identifier: Apache-2.0
 *
 * The C interface of the Fairy2 runtime (libfairy2): open a compiled model,
 * feed it tokens, read logits, sample. Functions that can fail return a status;
 * fairy2_last_error() then holds one sentence for the user. A model may be
 * used by many threads at once, a session by one at a time and only in the
 * process that made it: after fork() the child's calls fail. */
#ifndef FAIRY2_H
#define FAIRY2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define FAIRY2_API __declspec(dllexport)
#else
#define FAIRY2_API __attribute__((visibility("default")))
#endif

typedef struct Fairy2Model Fairy2Model;
typedef struct Fairy2Session Fairy2Session;

typedef enum {
  FAIRY2_OK = 0,
  FAIRY2_BAD_ARGUMENT = 1, /* the caller's values are out of range */
  FAIRY2_BAD_FILE = 2,     /* not a model.so, truncated, altered, other ABI */
  FAIRY2_UNSUPPORTED = 3,  /* this machine cannot run the file */
  FAIRY2_OUT_OF_CONTEXT = 4,
  FAIRY2_NO_TOKENIZER = 5,
  FAIRY2_INTERNAL = 6,
  FAIRY2_NO_CHAT_TEMPLATE = 7
} Fairy2Status;

/* How a session holds the weights: as the file's pages, huge ones where the
 * kernel has them, as a private copy in huge pages, or as small pages. */
typedef enum {
  FAIRY2_HUGE_PAGES_AUTO = 0,
  FAIRY2_HUGE_PAGES_COPY = 1,
  FAIRY2_HUGE_PAGES_OFF = 2
} Fairy2HugePages;

typedef struct {
  int32_t threads; /* 0: as many cores of those allowed as pay */
  int32_t context; /* positions per slot; 0: min(model's maximum, 4096) */
  int32_t slots;   /* independent sequences; 0: 1 */
  Fairy2HugePages huge_pages;
} Fairy2SessionOptions;

typedef struct {
  float temperature;        /* 0: greedy */
  int32_t top_k;            /* 0: off */
  float top_p;              /* 1: off */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 1: off */
  uint64_t seed;
} Fairy2Sampling;

typedef struct {
  int64_t max_tokens;             /* 0: until the context is full */
  const Fairy2Sampling *sampling; /* NULL: greedy */
  const char *const *stops;       /* texts to end before, UTF-8 */
  size_t stop_count;
  int32_t ignore_eos; /* not 0: go on when the model ends its text */
} Fairy2GenerateOptions;

typedef enum {
  FAIRY2_FINISH_EOS = 0,     /* the model ended its text */
  FAIRY2_FINISH_STOP = 1,    /* a stop text appeared */
  FAIRY2_FINISH_LENGTH = 2,  /* max_tokens were generated */
  FAIRY2_FINISH_CONTEXT = 3, /* the context is full */
  FAIRY2_FINISH_CANCELLED = 4
} Fairy2Finish;

/* The message of the calling thread's last failure, never NULL. */
FAIRY2_API const char *fairy2_last_error(void);
FAIRY2_API const char *fairy2_version(void);

/* Checks the whole file, then loads it. */
FAIRY2_API Fairy2Status fairy2_open(const char *path, Fairy2Model **model);
FAIRY2_API void fairy2_close(Fairy2Model *model);
/* The manifest as JSON text, valid until fairy2_close. */
FAIRY2_API const char *fairy2_info(const Fairy2Model *model);
FAIRY2_API int32_t fairy2_vocab_size(const Fairy2Model *model);

FAIRY2_API Fairy2Status fairy2_session_new(Fairy2Model *model,
                                           const Fairy2SessionOptions *options,
                                           Fairy2Session **session);
FAIRY2_API void fairy2_session_free(Fairy2Session *session);
/* How many positions of the slot are filled; reset keeps the first `length`. */
FAIRY2_API int32_t fairy2_session_length(const Fairy2Session *session,
                                         int32_t slot);
FAIRY2_API Fairy2Status fairy2_session_reset(Fairy2Session *session,
                                             int32_t slot, int32_t length);

/* Appends tokens to a slot. logits: float32 [vocab] of the last token, or
 * [count][vocab] when all_logits is not 0; may be NULL when unwanted. */
FAIRY2_API Fairy2Status fairy2_eval(Fairy2Session *session, int32_t slot,
                                    const int32_t *tokens, int32_t count,
                                    int32_t all_logits, float *logits);
/* One token for each of `count` different slots; logits [count][vocab]. */
FAIRY2_API Fairy2Status fairy2_eval_batch(Fairy2Session *session,
                                          const int32_t *slots,
                                          const int32_t *tokens, int32_t count,
                                          float *logits);

/* Both return the full length through `length` and write at most `capacity`
 * entries, so a call with capacity 0 measures. Detokenized text is UTF-8.
 * add_special: let the tokenizer add its tokens, such as BOS. parse_special:
 * text that spells a special token becomes it; 0 for what a user typed. */
FAIRY2_API Fairy2Status fairy2_tokenize(Fairy2Model *model, const char *text,
                                        size_t bytes, int32_t add_special,
                                        int32_t parse_special, int32_t *tokens,
                                        size_t capacity, size_t *length);
FAIRY2_API Fairy2Status fairy2_detokenize(Fairy2Model *model,
                                          const int32_t *tokens, size_t count,
                                          char *text, size_t capacity,
                                          size_t *length);

/* A conversation as the model's chat template writes it, for fairy2_eval.
 * messages_json: a list of {"role": .., "content": ..} objects, UTF-8. The
 * template alone writes special tokens, BOS included; text of a message that
 * spells one stays text. add_generation_prompt: end where the assistant's turn
 * begins. `length` and `capacity` as above. */
FAIRY2_API Fairy2Status fairy2_tokenize_chat(Fairy2Model *model,
                                             const char *messages_json,
                                             size_t bytes,
                                             int32_t add_generation_prompt,
                                             int32_t *tokens, size_t capacity,
                                             size_t *length);

/* Draws a token from logits [vocab]. `history` feeds the repetition penalty;
 * the draw depends on seed and `step` alone, so runs repeat exactly. */
FAIRY2_API Fairy2Status fairy2_sample(const Fairy2Sampling *sampling,
                                      const float *logits, int32_t vocab,
                                      const int32_t *history, size_t count,
                                      uint64_t step, int32_t *token);

/* Called after every pass of fairy2_generate: `token` is the new one, or -1
 * while the prompt is computed; `text` (not zero-terminated, maybe empty) is
 * what has become certain, whole characters, without stop texts. Return 0 to go
 * on; anything else cancels, after which only text that was held back may
 * follow. */
typedef int32_t (*Fairy2OnToken)(void *user, int32_t token, const char *text,
                                 size_t bytes);
/* Makes the slot hold `tokens` and continues them. What it holds already of
 * their start is not computed again, so a conversation passes all of its tokens
 * every time. options, on_token and finish may be NULL; a model without
 * tokenizer gives no text. */
FAIRY2_API Fairy2Status fairy2_generate(Fairy2Session *session, int32_t slot,
                                        const int32_t *tokens, int32_t count,
                                        const Fairy2GenerateOptions *options,
                                        Fairy2OnToken on_token, void *user,
                                        Fairy2Finish *finish);

#ifdef __cplusplus
}
#endif
#endif
