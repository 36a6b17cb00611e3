/* SPDX-License-Identifier: Apache-2.0
 *
 * usage: generate MODEL.so PROMPT
 *
 * Writes a prompt and the 16 tokens that are likeliest after it, as they come,
 * with libfairy2 alone:
 *   cc generate.c $(pkg-config --cflags --libs fairy2) -o generate */
#include <fairy2/fairy2.h>
#include <stdio.h>
#include <string.h>

static int32_t print(void *user, int32_t token, const char *text,
                     size_t bytes) {
  (void)user, (void)token;
  fwrite(text, 1, bytes, stdout);
  return fflush(stdout); /* not 0, where nobody reads any more, cancels */
}

int main(int argc, char **argv) {
  Fairy2Model *model = NULL;
  Fairy2Session *session = NULL;
  int32_t tokens[256];
  size_t count = 0;
  if (argc != 3)
    return fprintf(stderr, "usage: generate MODEL.so PROMPT\n"), 2;
  int failed =
      fairy2_open(argv[1], &model) ||
      fairy2_session_new(model, &(Fairy2SessionOptions){0}, &session) ||
      fairy2_tokenize(model, argv[2], strlen(argv[2]), 1, 0, tokens, 256,
                      &count);
  if (!failed && count > 256)
    return fprintf(stderr, "error: the prompt has over 256 tokens\n"), 1;
  if (!failed) {
    printf("%s", argv[2]);
    failed = fairy2_generate(session, 0, tokens, (int32_t)count,
                             &(Fairy2GenerateOptions){.max_tokens = 16}, print,
                             NULL, NULL);
    printf("\n");
  }
  if (failed)
    fprintf(stderr, "error: %s\n", fairy2_last_error());
  fairy2_session_free(session);
  fairy2_close(model);
  return failed;
}
