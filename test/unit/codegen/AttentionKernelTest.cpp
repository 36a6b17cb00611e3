// SPDX-License-Identifier: Apache-2.0
//
// Attention and its cache against the formula in double precision, on every CPU
// level of this machine.
#include "test/unit/codegen/KernelRuns.h"

#include <algorithm>
#include <cmath>

using namespace fairy2;

namespace {

struct AttentionShape {
  int64_t heads, kvHeads, dim, layers;
  int64_t window = 0;          ///< 0: all positions
  double cap = 0;              ///< 0: none
  std::string element = "f32"; ///< of the cache
};

/// What the cache gives back for keys or values with heads of `dim` numbers.
Floats throughCache(Floats values, int64_t dim, const std::string &element) {
  if (element == "f16")
    denseAttribute(values, {int64_t(values.size())}, "f16"); // Rounds.
  if (element == "i8")
    for (size_t head = 0; head < values.size(); head += size_t(dim)) {
      float largest = 0;
      for (int64_t d = 0; d < dim; ++d)
        largest = std::max(largest, std::abs(values[head + d]));
      for (int64_t d = 0; d < dim; ++d)
        values[head + d] = std::nearbyint(values[head + d] * (127 / largest)) *
                           (largest / 127);
    }
  return values;
}

/// Two conversations, tokens interleaved, the first one longer than a block of
/// 16 positions; positions of a slot ascend.
Step conversations(int32_t tokens) {
  Step step;
  int32_t next[2] = {0, 0};
  for (int32_t t = 0; t < tokens; ++t) {
    const int32_t slot = t % 3 == 1 ? 1 : 0;
    step.tokens.push_back(t);
    step.slots.push_back(slot);
    step.positions.push_back(next[slot]++);
    step.rows.push_back(t);
  }
  return step;
}

Step slice(const Step &step, size_t begin, size_t end) {
  Step part;
  for (size_t i = begin; i < end; ++i) {
    part.tokens.push_back(step.tokens[i]);
    part.slots.push_back(step.slots[i]);
    part.positions.push_back(step.positions[i]);
    part.rows.push_back(int32_t(i - begin));
  }
  return part;
}

Doubles attentionReference(const AttentionShape &shape, const Step &step,
                           const Floats &q, const Floats &k, const Floats &v,
                           double scale) {
  const int64_t dim = shape.dim, n = shape.heads * dim,
                kv = shape.kvHeads * dim;
  Doubles y(step.tokens.size() * n, 0.0);
  for (size_t t = 0; t < step.tokens.size(); ++t)
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t kvHead = h / (shape.heads / shape.kvHeads);
      Doubles weights(step.tokens.size(), 0.0);
      double largest = -1e300, total = 0;
      auto visible = [&](size_t s) {
        const int32_t distance = step.positions[t] - step.positions[s];
        return step.slots[s] == step.slots[t] && distance >= 0 &&
               (!shape.window || distance < shape.window);
      };
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s)) {
          for (int64_t d = 0; d < dim; ++d)
            weights[s] +=
                double(q[t * n + h * dim + d]) * k[s * kv + kvHead * dim + d];
          weights[s] *= scale;
          if (shape.cap)
            weights[s] = shape.cap * std::tanh(weights[s] / shape.cap);
          largest = std::max(largest, weights[s]);
        }
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s))
          total += weights[s] = std::exp(weights[s] - largest);
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s))
          for (int64_t d = 0; d < dim; ++d)
            y[t * n + h * dim + d] +=
                weights[s] / total * v[s * kv + kvHead * dim + d];
    }
  return y;
}

/// A module that attends with `shape`, whose tokens are rows of q, k and v.
std::string attentionModule(const AttentionShape &shape, int32_t tokens,
                            const Floats &q, const Floats &k, const Floats &v) {
  const int64_t n = shape.heads * shape.dim, kv = shape.kvHeads * shape.dim;
  std::string more;
  if (shape.window)
    more += ", window = " + std::to_string(shape.window) + " : i64";
  if (shape.cap)
    more += ", soft_cap = " + std::to_string(shape.cap) + " : f32";
  const std::string cache =
      "!fairy2.kv_cache<layers = " + std::to_string(shape.layers) +
      ", heads = " + std::to_string(shape.kvHeads) +
      ", dim = " + std::to_string(shape.dim) + ", element = " + shape.element +
      ">";
  std::string body = embed("q", n) + embed("k", kv) + embed("v", kv);
  // Other layers' entries must not disturb the last one's.
  for (int64_t layer = 0; layer < shape.layers; ++layer)
    body +=
        std::string(layer + 1 == shape.layers ? "%z" : "%other") +
        (layer + 1 == shape.layers ? "" : std::to_string(layer)) +
        " = fairy2.attention %q, %k, " +
        (layer + 1 == shape.layers ? "%v" : "%k") +
        " cache %cache[%slots, %positions] {layer = " + std::to_string(layer) +
        " : i64, scale = 0.7 : f32" + more + "} : " + tensor(n) + ", " +
        tensor(kv) + ", " + cache + ", tensor<?xi32>\n";
  return moduleWithIdentityHead(weight("q", q, {tokens, n}) +
                                    weight("k", k, {tokens, kv}) +
                                    weight("v", v, {tokens, kv}),
                                body, n, cache);
}

/// Runs `shape` over `tokens` tokens, in several splits, on every level.
void checkAttention(const AttentionShape &shape, int32_t tokens,
                    int64_t context) {
  const int64_t n = shape.heads * shape.dim, kv = shape.kvHeads * shape.dim;
  const Floats q = randomFloats(tokens * n, 1),
               k = randomFloats(tokens * kv, 2),
               v = randomFloats(tokens * kv, 3);
  const std::string module = attentionModule(shape, tokens, q, k, v);
  const Step all = conversations(tokens);
  std::vector<Step> oneByOne, uneven;
  for (size_t i = 0; i < size_t(tokens); ++i)
    oneByOne.push_back(slice(all, i, i + 1));
  const int32_t sizes[] = {5, 11, 1, 12};
  for (int32_t begin = 0, end, i = 0; begin < tokens; begin = end, ++i) {
    end = std::min(tokens, begin + sizes[i % 4]);
    uneven.push_back(slice(all, begin, end));
  }
  const Floats y = runEverywhere(module, {oneByOne, uneven}, 2, context);
  expectNear(y,
             attentionReference(shape, all, q,
                                throughCache(k, shape.dim, shape.element),
                                throughCache(v, shape.dim, shape.element), 0.7),
             1e-5);
}

TEST(AttentionKernelTest, SlotsGroupsAndSplitBatches) {
  for (const AttentionShape &shape :
       {AttentionShape{1, 1, 4, 1}, AttentionShape{4, 2, 8, 2},
        AttentionShape{3, 1, 10, 1}, AttentionShape{6, 3, 16, 3},
        AttentionShape{2, 2, 48, 1}})
    checkAttention(shape, 29, 32); // 20 tokens in one slot, 9 in the other.
}

/// Windows of every relation to the blocks of 16 positions.
TEST(AttentionKernelTest, WindowsAndSoftCaps) {
  for (int64_t window : {1, 5, 16, 17, 40})
    checkAttention({4, 2, 8, 2, window}, 90, 64); // 60 tokens and 30.
  checkAttention({2, 1, 16, 1, 0, 1.5}, 90, 64);
  checkAttention({2, 2, 10, 1, 23, 0.8}, 90, 64);
}

/// Segments of 256 positions, three of them, and windows that begin in the same
/// and in the one before.
TEST(AttentionKernelTest, Segments) {
  const int32_t tokens = 780; // 520 in one slot, 260 in the other.
  checkAttention({1, 1, 4, 1}, tokens, 528);
  checkAttention({2, 1, 4, 1, 257}, tokens, 528);
  checkAttention({1, 1, 8, 1, 30, 1.5, "i8"}, tokens, 528);
}

/// With queries of 0 every weight is 1, so what is left are the sums of values:
/// in order of position within 256 positions, then segment after segment.
TEST(AttentionKernelTest, OrderOfSums) {
  const AttentionShape shape{2, 2, 20, 1};
  const int32_t tokens = 600, context = 608;
  const int64_t n = shape.heads * shape.dim;
  const Floats zeros(tokens * n, 0.0f), v = randomFloats(tokens * n, 3);
  std::vector<Step> steps;
  for (int32_t begin = 0; begin < tokens; begin += 15)
    steps.push_back(slice(Step::range(0, tokens), begin, begin + 15));
  const Floats y = runEverywhere(
      attentionModule(shape, tokens, zeros, zeros, v), {steps}, 1, context);
  for (int64_t i = 0; i < n; ++i) {
    float before = 0, segment = 0;
    for (int32_t t = 0; t < tokens; ++t) {
      if (t % 256 == 0) {
        before += segment;
        segment = 0;
      }
      segment += v[t * n + i];
      ASSERT_EQ(y[t * n + i], (before + segment) / float(t + 1)) << t;
    }
  }
}

TEST(AttentionKernelTest, CachesOfHalvesAndBytes) {
  for (const char *element : {"f16", "i8"}) {
    checkAttention({4, 2, 8, 2, 0, 0, element}, 29, 32);
    checkAttention({3, 1, 10, 1, 0, 0, element}, 29, 32);
    checkAttention({6, 3, 16, 3, 17, 0, element}, 90, 64);
    checkAttention({2, 2, 48, 1, 0, 1.5, element}, 90, 64);
  }
}

/// A slot's start in another slot, taken as the module says that it lies, is
/// as good as written there.
TEST(AttentionKernelTest, SlotsCanBeCopied) {
  for (const char *element : {"f32", "f16", "i8"}) {
    const AttentionShape shape{6, 3, 16, 3, 0, 0, element};
    const int32_t tokens = 40, most = 37, context = 48;
    const int64_t n = shape.heads * shape.dim, kv = shape.kvHeads * shape.dim;
    CompiledModule compiled(attentionModule(shape, tokens,
                                            randomFloats(tokens * n, 4),
                                            randomFloats(tokens * kv, 5),
                                            randomFloats(tokens * kv, 6)),
                            *runnableTargets().front());
    compiled.resetCache(3, context);
    const Step all = Step::range(0, tokens);
    for (int32_t i = 0; i < most; ++i)
      compiled.run(slice(all, i, i + 1));
    compiled.copySlot(0, 2, 48);
    Step last = slice(all, most, tokens);
    const Floats expected = compiled.run(last);
    std::ranges::fill(last.slots, 2);
    EXPECT_EQ(compiled.run(last), expected) << element;
  }
}

/// With one position the softmax is 1, so values come back as they were stored.
TEST(AttentionKernelTest, HalvesAreRoundedToNearestEvenAndSaturate) {
  Floats values = {
      0,          -0.0f,        1,           65504,      65519.99f,
      65520,      -1e30f,       0x1p-14f,    0x1p-24f,   0x1p-25f,
      3e-8f,      0x1.8p-24f,   0x1.003p0f,  0x1.001p0f, 0x1.002p0f,
      0x1.006p0f, 0x1.ffep-15f, -0x1.5p-20f, 1e-20f,     2049};
  const Floats more = randomFloats(236, 7, 1e-4f);
  values.insert(values.end(), more.begin(), more.end());
  const int64_t n = int64_t(values.size());
  const std::string cache =
      "!fairy2.kv_cache<layers = 1, heads = 1, dim = " + std::to_string(n) +
      ", element = f16>";
  const Floats y = runEverywhere(
      moduleWithIdentityHead(
          weight("v", values, {1, n}),
          embed("v", n) +
              "%z = fairy2.attention %v, %v, %v cache %cache[%slots, "
              "%positions] {layer = 0 : i64, scale = 0.0 : f32} : " +
              tensor(n) + ", " + tensor(n) + ", " + cache + ", tensor<?xi32>\n",
          n, cache),
      {{Step::of({0})}});
  for (float &value : values)
    value = std::clamp(value, -65504.0f, 65504.0f);
  EXPECT_EQ(y, throughCache(values, n, "f16"));
}

} // namespace
