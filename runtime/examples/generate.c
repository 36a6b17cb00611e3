/* SPDX-License-Identifier: Apache-2.0
 *
 * usage: generate MODEL.so PROMPT
 *
 * Writes the 16 tokens that are likeliest after a prompt, with libfairy2 alone:
 *   cc generate.c $(pkg-config --cflags --libs fairy2) -o generate */
#include <fairy2/fairy2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_PROMPT = 256, ANSWER = 16 };

static void check(Fairy2Status status) {
  if (status == FAIRY2_OK)
    return;
  fprintf(stderr, "error: %s\n", fairy2_last_error());
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  Fairy2Model *model;
  check(fairy2_open(argv[1], &model));
  Fairy2Session *session;
  check(fairy2_session_new(model, &(Fairy2SessionOptions){0}, &session));

  int32_t tokens[LONGEST_PROMPT + ANSWER];
  size_t count;
  check(fairy2_tokenize(model, argv[2], strlen(argv[2]), 1, 0, tokens,
                        LONGEST_PROMPT, &count));
  if (count > LONGEST_PROMPT) {
    fprintf(stderr, "error: the prompt has over %d tokens\n", LONGEST_PROMPT);
    return 1;
  }
  const int32_t vocab = fairy2_vocab_size(model);
  float *logits = malloc(sizeof(float) * (size_t)vocab);
  const Fairy2Sampling greedy = {.top_p = 1, .repetition_penalty = 1};
  size_t known = 0; /* tokens that the session has seen */
  for (uint64_t step = 0; step < ANSWER; ++step) {
    check(fairy2_eval(session, 0, tokens + known, (int32_t)(count - known), 0,
                      logits));
    known = count;
    check(fairy2_sample(&greedy, logits, vocab, NULL, 0, step, &tokens[count]));
    ++count;
  }

  char text[4096];
  size_t length;
  check(fairy2_detokenize(model, tokens, count, text, sizeof text, &length));
  printf("%.*s\n", (int)(length < sizeof text ? length : sizeof text), text);
  free(logits);
  fairy2_session_free(session);
  fairy2_close(model);
  return 0;
}
