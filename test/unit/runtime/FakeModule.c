/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for generated code: a "model" of integer arithmetic that depends on
 * every earlier token, splits each step among the threads and needs the barrier
 * between steps. Its constructor leaves a trace, so that a test can prove that
 * refused files were never executed. */
#include "runtime/include/fairy2/abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 32, POSITION_BYTES = 16, MODULUS = 1009 };

__attribute__((constructor)) static void leaveTrace(void) {
  const char *path = getenv("FAIRY2_FAKE_TRACE");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (file)
    fclose(file);
}

static int64_t *entryOf(uint8_t *cache, int64_t context, int32_t slot,
                        int64_t position) {
  return (int64_t *)(cache + (slot * context + position) * POSITION_BYTES);
}

/* logits[row][v] = (sum over positions p of (token + 1) * (p + 1)) * weight[v]
 * modulo a prime, plus `offset`. weight is int32 [vocab]. */
static void run(const uint8_t *weights, uint8_t *cache, uint8_t *workspace,
                const int32_t *tokens, const int32_t *slots,
                const int32_t *positions, int64_t count, const int32_t *rows,
                int64_t row_count, float *logits, int64_t context,
                int64_t thread, int64_t threads, Fairy2Barrier barrier,
                void *pool, float offset) {
  for (int64_t i = thread; i < count; i += threads)
    entryOf(cache, context, slots[i], positions[i])[0] =
        (int64_t)(tokens[i] + 1) * (positions[i] + 1);
  barrier(pool);

  /* Partial sums [thread][row]: each thread takes its share of positions. */
  int64_t *sums = (int64_t *)workspace;
  for (int64_t r = 0; r < row_count; ++r) {
    int64_t sum = 0;
    for (int64_t p = thread; p <= positions[rows[r]]; p += threads)
      sum += entryOf(cache, context, slots[rows[r]], p)[0];
    sums[thread * row_count + r] = sum;
  }
  barrier(pool);

  const int32_t *weight = (const int32_t *)weights;
  for (int64_t r = 0; r < row_count; ++r)
    for (int64_t v = thread; v < VOCAB; v += threads) {
      int64_t sum = 0;
      for (int64_t t = 0; t < threads; ++t)
        sum += sums[t * row_count + r];
      logits[r * VOCAB + v] = (float)(sum * weight[v] % MODULUS) + offset;
    }
  /* The workspace's contents are nobody's afterwards. */
  barrier(pool);
  if (thread == 0)
    memset(workspace, 0xa5, sizeof(int64_t));
}

#define FORWARD(NAME, OFFSET)                                                  \
  __attribute__((visibility("default"))) void NAME(                            \
      const uint8_t *weights, uint8_t *cache, uint8_t *workspace,              \
      const int32_t *tokens, const int32_t *slots, const int32_t *positions,   \
      int64_t count, const int32_t *rows, int64_t row_count, float *logits,    \
      int64_t context, int64_t prefetch_l1, int64_t prefetch_l2,               \
      int64_t products_from, int64_t thread, int64_t threads,                  \
      Fairy2Barrier barrier, void *pool) {                                     \
    run(weights, cache, workspace, tokens, slots, positions, count, rows,      \
        row_count, logits, context, thread, threads, barrier, pool, OFFSET);   \
  }

FORWARD(fake_forward_fancy, 0.25f)
FORWARD(fake_forward_plain, 0.0f)
