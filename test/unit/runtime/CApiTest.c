/* SPDX-License-Identifier: Apache-2.0
 *
 * The C interface from C99, with nothing but fairy2.h. The argument is the fake
 * model. Prints what failed and exits with 1. */
#include <fairy2/fairy2.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

#define CHECK(CONDITION)                                                       \
  do {                                                                         \
    if (!(CONDITION)) {                                                        \
      ++failures;                                                              \
      fprintf(stderr, "line %d: expected %s; last error: %s\n", __LINE__,      \
              #CONDITION, fairy2_last_error());                                \
    }                                                                          \
  } while (0)

enum { VOCAB = 32 };

static void checkModel(Fairy2Model *model) {
  CHECK(strstr(fairy2_info(model), "FakeForCausalLM"));
  CHECK(fairy2_vocab_size(model) == VOCAB);

  int32_t ids[8];
  size_t length = 0;
  CHECK(fairy2_tokenize(model, "abc", 3, 1, 1, NULL, 0, &length) == FAIRY2_OK);
  CHECK(length == 4);
  CHECK(fairy2_tokenize(model, "abc", 3, 1, 1, ids, 8, &length) == FAIRY2_OK);
  CHECK(length == 4 && ids[0] == 1 && ids[1] == 3 && ids[3] == 5);
  CHECK(fairy2_tokenize(model, NULL, 0, 0, 1, ids, 8, &length) == FAIRY2_OK);
  CHECK(length == 0);
  CHECK(fairy2_tokenize(model, NULL, 3, 0, 1, ids, 8, &length) ==
        FAIRY2_BAD_ARGUMENT);
  /* Only with parse_special does "</s>" become its token, 2. */
  CHECK(fairy2_tokenize(model, "</s>", 4, 0, 1, ids, 8, &length) == FAIRY2_OK);
  CHECK(length == 1 && ids[0] == 2);
  CHECK(fairy2_tokenize(model, "</s>", 4, 0, 0, ids, 8, &length) == FAIRY2_OK);
  CHECK(length == 4 && ids[0] != 2 && ids[1] != 2 && ids[2] == 21);
  CHECK(fairy2_tokenize(model, "abc", 3, 1, 1, ids, 8, &length) == FAIRY2_OK);
  char text[3] = "??";
  CHECK(fairy2_detokenize(model, ids, 4, text, 2, &length) == FAIRY2_OK);
  CHECK(length == 3 && memcmp(text, "ab", 3) == 0);
  CHECK(fairy2_detokenize(model, ids, 4, text, 2, NULL) == FAIRY2_BAD_ARGUMENT);
}

/* <s>user.a</s>assistant. */
static void checkChat(Fairy2Model *model) {
  const char *one = "[{\"role\": \"user\", \"content\": \"a\"}]";
  int32_t ids[64];
  size_t length = 0, closed = 0;
  CHECK(fairy2_tokenize_chat(model, one, strlen(one), 1, NULL, 0, &length) ==
        FAIRY2_OK);
  CHECK(length == 1 + 6 + 1 + 10);
  CHECK(fairy2_tokenize_chat(model, one, strlen(one), 1, ids, 64, &length) ==
        FAIRY2_OK);
  CHECK(ids[0] == 1 && ids[6] == 3 && ids[7] == 2 && ids[8] == 3);
  CHECK(fairy2_tokenize_chat(model, one, strlen(one), 0, ids, 64, &closed) ==
        FAIRY2_OK);
  CHECK(closed == 8);
  /* Text that spells </s> does not become the token. */
  const char *typed = "[{\"role\": \"user\", \"content\": \"</s>\"}]";
  CHECK(fairy2_tokenize_chat(model, typed, strlen(typed), 0, ids, 64,
                             &length) == FAIRY2_OK);
  CHECK(length == 1 + 5 + 4 + 1);
  for (size_t i = 1; i + 1 < length; ++i)
    CHECK(ids[i] != 2);
  CHECK(fairy2_tokenize_chat(model, one, 5, 1, ids, 64, &length) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(strcmp(fairy2_last_error(),
               "messages: expected JSON, found other text") == 0);
  CHECK(fairy2_tokenize_chat(model, "{}", 2, 1, ids, 64, &length) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(strcmp(fairy2_last_error(), "chat template: messages: expected a list, "
                                    "found object") == 0);
  CHECK(fairy2_tokenize_chat(model, NULL, 0, 1, ids, 64, &length) ==
        FAIRY2_BAD_ARGUMENT);
  static char deep[400000];
  memset(deep, '[', sizeof(deep) / 2);
  memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
  CHECK(fairy2_tokenize_chat(model, deep, sizeof(deep), 1, ids, 64, &length) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(strstr(fairy2_last_error(), "nested at most 100 deep"));
}

static void checkSession(Fairy2Model *model) {
  const Fairy2SessionOptions options = {1, 16, 2, 0};
  Fairy2Session *session = NULL;
  CHECK(fairy2_session_new(model, &options, &session) == FAIRY2_OK);
  const int32_t tokens[3] = {1, 4, 9};
  float all[3 * VOCAB], last[VOCAB], batch[2 * VOCAB];
  CHECK(fairy2_eval(session, 0, tokens, 3, 1, all) == FAIRY2_OK);
  CHECK(fairy2_session_length(session, 0) == 3);
  CHECK(fairy2_session_length(session, 1) == 0);
  CHECK(fairy2_session_length(session, 2) == -1);
  CHECK(fairy2_eval(session, 1, tokens, 2, 0, NULL) == FAIRY2_OK);
  CHECK(fairy2_eval(session, 1, tokens + 2, 1, 0, last) == FAIRY2_OK);
  CHECK(memcmp(last, all + 2 * VOCAB, sizeof(last)) == 0);
  /* (1 + 1) * 1 + (4 + 1) * 2 + (9 + 1) * 3 = 42, times the weight 11 of id 1
   */
  CHECK(last[1] == 42 * 11);

  CHECK(fairy2_session_reset(session, 0, 2) == FAIRY2_OK);
  CHECK(fairy2_session_reset(session, 1, 2) == FAIRY2_OK);
  const int32_t slots[2] = {1, 0}, next[2] = {9, 9};
  CHECK(fairy2_eval_batch(session, slots, next, 2, batch) == FAIRY2_OK);
  CHECK(memcmp(batch, last, sizeof(last)) == 0);
  CHECK(memcmp(batch + VOCAB, last, sizeof(last)) == 0);

  const int32_t bad[1] = {VOCAB};
  CHECK(fairy2_eval(session, 0, bad, 1, 0, last) == FAIRY2_BAD_ARGUMENT);
  CHECK(strcmp(fairy2_last_error(), "tokens[0]: expected 0 to 31, found 32") ==
        0);
  CHECK(fairy2_eval(session, 0, tokens, -1, 0, last) == FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_eval(session, 0, NULL, 2, 0, last) == FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_eval(NULL, 0, tokens, 2, 0, last) == FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_session_reset(session, 0, 9) == FAIRY2_BAD_ARGUMENT);
  int32_t many[20] = {0};
  CHECK(fairy2_eval(session, 0, many, 20, 0, last) == FAIRY2_OUT_OF_CONTEXT);
  fairy2_session_free(session);

  Fairy2Session *none = session;
  const Fairy2SessionOptions wide = {1, 1000, 1, 0};
  CHECK(fairy2_session_new(model, &wide, &none) == FAIRY2_BAD_ARGUMENT);
  CHECK(none == NULL);
}

static void checkSampling(void) {
  const float logits[4] = {0, 3, 3, -1}, broken[2] = {0, NAN};
  Fairy2Sampling sampling = {0, 0, 1, 0, 1, 7};
  int32_t token = -1, again = -1;
  CHECK(fairy2_sample(&sampling, logits, 4, NULL, 0, 0, &token) == FAIRY2_OK);
  CHECK(token == 1);
  sampling.repetition_penalty = 2;
  CHECK(fairy2_sample(&sampling, logits, 4, &token, 1, 0, &token) == FAIRY2_OK);
  CHECK(token == 2);
  sampling.temperature = 1;
  CHECK(fairy2_sample(&sampling, logits, 4, NULL, 0, 3, &token) == FAIRY2_OK);
  CHECK(fairy2_sample(&sampling, logits, 4, NULL, 0, 3, &again) == FAIRY2_OK);
  CHECK(token == again);
  CHECK(fairy2_sample(&sampling, broken, 2, NULL, 0, 0, &token) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_sample(&sampling, logits, -4, NULL, 0, 0, &token) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_sample(NULL, logits, 4, NULL, 0, 0, &token) ==
        FAIRY2_BAD_ARGUMENT);
}

typedef struct {
  int32_t tokens[64];
  int count, calls, limit; /* cancels after `limit` calls; 0: never */
  char text[256];
  size_t bytes;
} Heard;

static int32_t hear(void *user, int32_t token, const char *text, size_t bytes) {
  Heard *heard = user;
  if (token >= 0)
    heard->tokens[heard->count++] = token;
  memcpy(heard->text + heard->bytes, text, bytes);
  heard->bytes += bytes;
  return ++heard->calls == heard->limit;
}

static void checkGeneration(Fairy2Model *model) {
  const Fairy2SessionOptions shape = {1, 0, 2, 0};
  Fairy2Session *session = NULL;
  CHECK(fairy2_session_new(model, &shape, &session) == FAIRY2_OK);
  const int32_t prompt[10] = {1, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  Fairy2GenerateOptions options = {12, NULL, NULL, 0, 1};
  Fairy2Finish finish = FAIRY2_FINISH_EOS;
  Heard heard = {{0}, 0, 0, 0, "", 0};
  CHECK(fairy2_generate(session, 1, prompt, 10, &options, hear, &heard,
                        &finish) == FAIRY2_OK);
  CHECK(finish == FAIRY2_FINISH_LENGTH);
  CHECK(heard.count == 12);
  CHECK(heard.calls == 13); /* a batch of 8 tokens, then one call a token */
  CHECK(fairy2_session_length(session, 0) == 0);
  CHECK(fairy2_session_length(session, 1) == 21);
  /* By hand, with the same calls as before there was fairy2_generate. */
  float logits[VOCAB];
  int32_t token = 0;
  const Fairy2Sampling greedy = {0, 0, 1, 0, 1, 0};
  CHECK(fairy2_eval(session, 0, prompt, 10, 0, logits) == FAIRY2_OK);
  for (int i = 0; i < 12; ++i) {
    CHECK(fairy2_sample(&greedy, logits, VOCAB, NULL, 0, 0, &token) ==
          FAIRY2_OK);
    CHECK(token == heard.tokens[i]);
    CHECK(fairy2_eval(session, 0, &token, 1, 0, logits) == FAIRY2_OK);
  }
  char text[64];
  size_t length = 0;
  CHECK(fairy2_detokenize(model, heard.tokens, 12, text, 64, &length) ==
        FAIRY2_OK);
  CHECK(length == heard.bytes && memcmp(text, heard.text, length) == 0);

  /* A stop text of two tokens. */
  char stop[3] = {text[4], text[5], 0};
  const char *stops[2] = {"never", stop};
  Heard stopped = {{0}, 0, 0, 0, "", 0};
  options.stops = stops;
  options.stop_count = 2;
  CHECK(fairy2_generate(session, 1, prompt, 10, &options, hear, &stopped,
                        &finish) == FAIRY2_OK);
  CHECK(finish == FAIRY2_FINISH_STOP);
  CHECK(stopped.calls == stopped.count); /* the slot held the prompt */
  CHECK(stopped.bytes <= 4 && memcmp(stopped.text, text, stopped.bytes) == 0);

  /* Cancelled in the prompt, after some tokens, and with the defaults. */
  options.stop_count = 0;
  for (int limit = 1; limit < 5; ++limit) {
    Heard cancelled = {{0}, 0, 0, limit, "", 0};
    CHECK(fairy2_session_reset(session, 1, 0) == FAIRY2_OK);
    CHECK(fairy2_generate(session, 1, prompt, 10, &options, hear, &cancelled,
                          &finish) == FAIRY2_OK);
    CHECK(finish == FAIRY2_FINISH_CANCELLED);
    CHECK(cancelled.calls == limit && cancelled.count == limit - 1);
  }
  options.max_tokens = 0;
  CHECK(fairy2_generate(session, 1, prompt, 10, &options, NULL, NULL,
                        &finish) == FAIRY2_OK);
  CHECK(finish == FAIRY2_FINISH_CONTEXT);
  CHECK(fairy2_session_length(session, 1) == 100);
  CHECK(fairy2_generate(session, 1, prompt, 10, NULL, NULL, NULL, NULL) ==
        FAIRY2_OK);

  CHECK(fairy2_generate(session, 2, prompt, 10, NULL, hear, &heard, &finish) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(strcmp(fairy2_last_error(), "slot: expected 0 to 1, found 2") == 0);
  CHECK(fairy2_generate(session, 0, prompt, 0, NULL, hear, &heard, &finish) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_generate(session, 0, NULL, 3, NULL, hear, &heard, &finish) ==
        FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_generate(NULL, 0, prompt, 3, NULL, hear, &heard, &finish) ==
        FAIRY2_BAD_ARGUMENT);
  options.max_tokens = -1;
  CHECK(fairy2_generate(session, 0, prompt, 3, &options, hear, &heard,
                        &finish) == FAIRY2_BAD_ARGUMENT);
  options.max_tokens = 1;
  options.stops = NULL;
  options.stop_count = 1;
  CHECK(fairy2_generate(session, 0, prompt, 3, &options, hear, &heard,
                        &finish) == FAIRY2_BAD_ARGUMENT);
  fairy2_session_free(session);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  CHECK(strlen(fairy2_version()) > 0);
  Fairy2Model *model = NULL;
  CHECK(fairy2_open("/nonexistent/model.so", &model) == FAIRY2_BAD_FILE);
  CHECK(model == NULL);
  CHECK(strcmp(fairy2_last_error(), "/nonexistent/model.so: cannot open: No "
                                    "such file or directory") == 0);
  CHECK(fairy2_open(argv[0], &model) == FAIRY2_BAD_FILE);
  CHECK(fairy2_open(NULL, &model) == FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_open(argv[1], NULL) == FAIRY2_BAD_ARGUMENT);
  CHECK(fairy2_open(argv[1], &model) == FAIRY2_OK);
  if (model) {
    checkModel(model);
    checkChat(model);
    checkSession(model);
    checkGeneration(model);
    /* A session may outlive its model's handle. */
    Fairy2Session *session = NULL;
    CHECK(fairy2_session_new(model, NULL, &session) == FAIRY2_OK);
    fairy2_close(model);
    const int32_t token = 3;
    float logits[VOCAB];
    CHECK(fairy2_eval(session, 0, &token, 1, 0, logits) == FAIRY2_OK);
    CHECK(logits[1] == 4 * 11);
    fairy2_session_free(session);
  }
  checkSampling();
  fairy2_close(NULL);
  fairy2_session_free(NULL);
  return failures ? 1 : 0;
}
