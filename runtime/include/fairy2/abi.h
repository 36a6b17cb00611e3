/* SPDX-License-Identifier: Apache-2.0
 *
 * What a compiled model.so and the runtime promise each other. The library
 * exports one forward function per instruction-set level; its manifest (see
 * runtime/README.md) names them and every size used below. Every thread of the
 * pool calls the function with the same arguments except `thread`; the threads
 * split each step among themselves and meet in `barrier` between steps. */
#ifndef FAIRY2_ABI_H
#define FAIRY2_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever the signature below, the manifest's meaning or the layout of
 * the data behind the pointers changes. */
#define FAIRY2_ABI_VERSION 3

/* Pointers to weights, cache and workspace are aligned to 64 bytes. */
#define FAIRY2_ALIGNMENT 64

/* Blocks until all threads of the pool have called it. All writes made before
 * are visible after. */
typedef void (*Fairy2Barrier)(void *pool);

/* Runs `count` tokens (at most the manifest's `batch`) through the model.
 *
 *   weights    the weight section, read only
 *   cache      slots x context positions; a slot takes context times the
 *              manifest's cache.bytes_per_position bytes; context is a multiple
 *              of 16
 *   workspace  workspace_bytes bytes, contents undefined before and after
 *   tokens, slots, positions   [count]: token i is written to position
 *              positions[i] < context of slot slots[i] and attends to all
 *              positions up to its own; those must have been written, in this
 *              call or before
 *   rows       [row_count]: which tokens' logits are wanted
 *   logits     float32 [row_count][vocab_size]
 *   prefetch_l1, prefetch_l2
 *              bytes of weights between what is read and what is asked for in
 *              the first and second level of cache; they change no result
 *   products_from
 *              tokens of a call from which layers that hold both forms of
 *              their sums multiply; others look up. It changes no result
 */
typedef void (*Fairy2Forward)(const uint8_t *weights, uint8_t *cache,
                              uint8_t *workspace, const int32_t *tokens,
                              const int32_t *slots, const int32_t *positions,
                              int64_t count, const int32_t *rows,
                              int64_t row_count, float *logits, int64_t context,
                              int64_t prefetch_l1, int64_t prefetch_l2,
                              int64_t products_from, int64_t thread,
                              int64_t threads, Fairy2Barrier barrier,
                              void *pool);

#ifdef __cplusplus
}
#endif
#endif
