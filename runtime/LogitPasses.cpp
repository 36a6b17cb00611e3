// SPDX-License-Identifier: Apache-2.0
//
// Vectors of a fixed width, compiled for several levels. A cut is found without
// sorting: a few passes that only sum halve the range of keys in which it lies,
// then the few keys that are left are sorted.
#include "runtime/LogitPasses.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

namespace fairy2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// Passes over everything before keys are picked out again. Each halves the
/// range that is left.
constexpr int kPassesAtOnce = 6;
/// Keys are picked out when they are at most this part of all, or so few.
constexpr size_t kPickedPart = 32, kPickedKeys = 1024;
/// So few keys are sorted.
constexpr size_t kSortedKeys = 128;

/// Functions that call passes are compiled for each of these, and everything
/// they call into them. They give equal bits: nothing is fused, and the lanes
/// are those of the source.
#if defined(__x86_64__)
#define FAIRY2_PASSES [[gnu::target_clones("arch=x86-64-v3", "default")]]
#else
#define FAIRY2_PASSES
#endif
#define FAIRY2_INLINE [[gnu::always_inline]] inline

/// Calls body(begin, size) for whole blocks, with a constant size, and for the
/// rest.
template <typename Body>
FAIRY2_INLINE void forBlocks(size_t count, const Body &body) {
  size_t begin = 0;
  for (; begin + kPassBlock <= count; begin += kPassBlock)
    body(begin, std::integral_constant<size_t, kPassBlock>());
  if (begin < count)
    body(begin, count - begin);
}

/// 2 to the power of x <= 0, by the series of exp: the order of its operations
/// is fixed, while a C library's may differ between machines.
FAIRY2_INLINE float powerOfTwo(float x) {
  const float clamped = x > -125.0f ? x : -125.0f;
  const auto whole = int32_t(clamped - 0.5f);
  const float f = clamped - float(whole); // -0.5 to 0.5
  float y = 1.5403530394e-4f;
  y = y * f + 1.3333558146e-3f;
  y = y * f + 9.6181291076e-3f;
  y = y * f + 5.5504108665e-2f;
  y = y * f + 2.4022650696e-1f;
  y = y * f + 6.9314718056e-1f;
  y = y * f + 1.0f;
  const float power = std::bit_cast<float>((whole + 127) << 23);
  return x > -125.0f ? y * power : 0.0f;
}

/// Sums in double have these lanes.
using Doubles = double __attribute__((vector_size(32)));
using Words = int64_t __attribute__((vector_size(32)));
using Halves = float __attribute__((vector_size(16)));

/// x becomes exp(x) for x <= 0, to within 3e-16 of the value, and 0 below -700:
/// the series of exp about the nearest multiple of log(2), in a fixed order. Of
/// NaN nothing is promised.
FAIRY2_INLINE void exponentialOf(Doubles &x) {
  // 1/12!, .., 1/2!, 1, 1
  constexpr double series[] = {2.08767569878681e-9,
                               2.505210838544172e-8,
                               2.755731922398589e-7,
                               2.7557319223985893e-6,
                               2.48015873015873e-5,
                               1.984126984126984e-4,
                               1.3888888888888889e-3,
                               8.333333333333333e-3,
                               4.1666666666666664e-2,
                               1.6666666666666666e-1,
                               0.5,
                               1,
                               1};
  // Adding it rounds to a whole number, which the lowest bits then hold.
  constexpr double shift = 0x1.8p52;
  constexpr double logOfTwoHigh =
      0x1.62e42feep-1; // 32 bits: products are exact
  constexpr double logOfTwoLow = 0x1.a39ef35793c76p-33;
  const Words inside = x > -700.0;
  const Doubles clamped = inside ? x : Doubles{} - 700.0;
  const Doubles shifted = clamped * 0x1.71547652b82fep+0 + shift;
  const Doubles whole = shifted - shift;
  const Doubles f = (clamped - whole * logOfTwoHigh) - whole * logOfTwoLow;
  Doubles y = Doubles{} + series[0];
  for (size_t i = 1; i < std::size(series); ++i)
    y = y * f + series[i];
  Words bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + 1023) << 52;
  Doubles power;
  std::memcpy(&power, &bits, sizeof(power));
  x = inside ? y * power : Doubles{};
}

/// What a pass takes at once: every lane has a running value of its own.
/// Vectors are handed on by reference alone, since how they are passed differs
/// between the clones.
using Floats = float __attribute__((vector_size(32)));
using Masks = int32_t __attribute__((vector_size(32)));
struct Group {
  Floats part[4];
};
constexpr size_t kLanes = sizeof(Group) / sizeof(float);
static_assert(kPassBlock % kLanes == 0);

/// Calls body(group, index of its first) for all values; `neutral` fills the
/// last group up.
template <typename Body>
FAIRY2_INLINE void forGroups(std::span<const float> values, float neutral,
                             const Body &body) {
  Group group;
  size_t begin = 0;
  for (; begin + kLanes <= values.size(); begin += kLanes) {
    std::memcpy(&group, values.data() + begin, sizeof(group));
    body(group);
  }
  if (begin == values.size())
    return;
  float rest[kLanes];
  std::ranges::fill(rest, neutral);
  std::ranges::copy(values.subspan(begin), rest);
  std::memcpy(&group, rest, sizeof(group));
  body(group);
}

/// The least key above `bound` and not above `high`, which is one of them.
FAIRY2_INLINE float leastAbove(std::span<const float> keys, float bound,
                               float high) {
  Group least;
  for (Floats &part : least.part)
    part = Floats{} + high;
  forGroups(keys, high, [&](const Group &group) __attribute__((always_inline)) {
    for (size_t i = 0; i < std::size(group.part); ++i) {
      const Floats key = group.part[i];
      least.part[i] =
          ((key > bound) & (key < least.part[i])) ? key : least.part[i];
    }
  });
  float result = high;
  for (const Floats &part : least.part)
    for (size_t lane = 0; lane < sizeof(part) / sizeof(float); ++lane)
      result = std::min(result, part[lane]);
  return result;
}

/// The largest key that is not above `bound`; -infinity when there is none.
FAIRY2_INLINE float largestUpTo(std::span<const float> keys, float bound) {
  Group largest;
  for (Floats &part : largest.part)
    part = Floats{} - kInfinity;
  forGroups(keys, -kInfinity,
            [&](const Group &group) __attribute__((always_inline)) {
              for (size_t i = 0; i < std::size(group.part); ++i) {
                const Floats key = group.part[i];
                largest.part[i] = ((key <= bound) & (key > largest.part[i]))
                                      ? key
                                      : largest.part[i];
              }
            });
  float result = -kInfinity;
  for (const Floats &part : largest.part)
    for (size_t lane = 0; lane < sizeof(part) / sizeof(float); ++lane)
      result = std::max(result, part[lane]);
  return result;
}

/// The masses of keys: the keys themselves, or 1 each.
struct AsIs {
  FAIRY2_INLINE void operator()(Floats &key) const {}
  FAIRY2_INLINE float operator()(float key) const { return key; }
};
struct One {
  FAIRY2_INLINE void operator()(Floats &key) const { key = Floats{} + 1.0f; }
  FAIRY2_INLINE float operator()(float) const { return 1; }
};

/// The masses of keys that are not below a bound: in float within a block, and
/// in double from block to block.
template <typename Mass>
FAIRY2_INLINE double sumFrom(std::span<const float> keys, float bound,
                             Mass mass) {
  double sum = 0;
  for (size_t begin = 0; begin < keys.size(); begin += kPassBlock) {
    Group sums = {};
    forGroups(keys.subspan(begin, std::min(kPassBlock, keys.size() - begin)),
              -kInfinity,
              [&](const Group &group) __attribute__((always_inline)) {
                for (size_t i = 0; i < std::size(group.part); ++i) {
                  Floats value = group.part[i];
                  const Masks inside = value >= bound;
                  mass(value);
                  sums.part[i] += inside ? value : Floats{};
                }
              });
    const Floats lanes =
        (sums.part[0] + sums.part[1]) + (sums.part[2] + sums.part[3]);
    sum += double(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                  ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])));
  }
  return sum;
}

/// A key in (low, high], about the middle. Of weights, which span many orders
/// of magnitude, by their bits; of logits by their values.
float between(float low, float high, AsIs) {
  const auto bits = std::bit_cast<int32_t>(low);
  return std::bit_cast<float>(bits +
                              (std::bit_cast<int32_t>(high) - bits + 1) / 2);
}
float between(float low, float high, One) {
  const float middle = low / 2 + high / 2;
  return middle > low && middle <= high ? middle : high;
}

/// The index of the nth key (from 1) that equals `key`.
FAIRY2_INLINE size_t nthEqual(std::span<const float> keys, float key,
                              size_t n) {
  size_t last = 0;
  size_t begin = 0;
  for (; begin + kPassBlock <= keys.size(); begin += kPassBlock) {
    uint32_t count = 0;
    for (size_t i = 0; i < kPassBlock; ++i)
      count += keys[begin + i] == key;
    if (count >= n)
      break;
    n -= count;
  }
  for (size_t i = begin; i < keys.size() && n > 0; ++i)
    if (keys[i] == key) {
      last = i;
      --n;
    }
  return last;
}

/// Lists the indices of the keys in [low, high]; false when they are many.
FAIRY2_INLINE bool pick(std::span<const float> keys, float low, float high,
                        std::vector<size_t> &indices) {
  const size_t most = std::max(kPickedKeys, keys.size() / kPickedPart);
  indices.resize(most + kLanes);
  size_t count = 0, begin = 0;
  forGroups(keys, -kInfinity,
            [&](const Group &group) __attribute__((always_inline)) {
              Masks any = {};
              for (const Floats &key : group.part)
                any |= (key >= low) & (key <= high);
              uint64_t words[sizeof(any) / sizeof(uint64_t)];
              std::memcpy(words, &any, sizeof(any));
              if ((words[0] | words[1] | words[2] | words[3]) && count <= most)
                for (size_t i = begin;
                     i < std::min(begin + kLanes, keys.size()); ++i) {
                  indices[count] = i;
                  count += keys[i] >= low && keys[i] <= high;
                }
              begin += kLanes;
            });
  indices.resize(std::min(count, most));
  return count <= most;
}

/// Finds the cut that keeps the fewest first whose masses reach `wanted`.
template <typename Mass>
FAIRY2_INLINE Cut findCut(std::span<const float> keys, double wanted, float low,
                          float high, Mass mass) {
  // The cut lies in [low, high]; `above` is the sum of what is higher.
  double above = 0;
  const auto halve = [&](std::span<const float> among,
                         double base) __attribute__((always_inline)) {
    const float middle = between(low, high, mass);
    const double sum = base + sumFrom(among, middle, mass);
    if (sum >= wanted) {
      low = middle;
    } else {
      // The next lower key; no other lies between.
      high = std::nextafter(middle, -kInfinity);
      above = sum;
    }
  };
  thread_local std::vector<size_t> indices;
  thread_local std::vector<float> picked;
  for (int round = 0; low < high && !pick(keys, low, high, indices); ++round) {
    // Many equal keys keep the range full, unless it ends at keys.
    if (round > 0) {
      high = largestUpTo(keys, high);
      low = leastAbove(keys, std::nextafter(low, -kInfinity), high);
    }
    for (int pass = 0; pass < kPassesAtOnce && low < high; ++pass)
      halve(keys, 0);
  }
  while (low < high && indices.size() > kSortedKeys) {
    picked.clear();
    for (const size_t index : indices)
      picked.push_back(keys[index]);
    low = std::ranges::min(picked);
    high = std::ranges::max(picked);
    if (low == high)
      break;
    halve(picked, above);
    std::erase_if(indices, [&](size_t index) {
      return keys[index] < low || keys[index] > high;
    });
  }
  if (low < high) {
    if (indices.empty()) // rounding; all are kept
      return {low, keys.size()};
    std::ranges::sort(indices, [&](size_t a, size_t b) {
      return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
    });
    for (const size_t index : indices) {
      above += double(mass(keys[index]));
      if (above >= wanted)
        return {keys[index], index};
    }
    // Rounding; all that were picked are kept.
    return {keys[indices.back()], indices.back()};
  }
  // Equal keys alone: as many as are missing.
  const double missing = std::ceil((wanted - above) / double(mass(low)));
  return {low, nthEqual(keys, low,
                        size_t(std::clamp(missing, 1.0, double(keys.size()))))};
}

/// Makes the weights 0 whose keys are less.
FAIRY2_INLINE void dropLess(std::span<const float> keys, float bound,
                            std::span<float> weights) {
  forBlocks(keys.size(), [&](size_t begin,
                             auto size) __attribute__((always_inline)) {
    // Apart, since the weights may be the keys.
    float kept[kPassBlock];
    const float *key = keys.data() + begin, *weight = weights.data() + begin;
    for (size_t i = 0; i < size; ++i)
      kept[i] = key[i] >= bound ? weight[i] : 0.0f;
    std::copy_n(kept, size_t(size), weights.data() + begin);
  });
}

} // namespace

FAIRY2_PASSES bool hasBrokenLogit(std::span<const float> logits) {
  Masks broken = {};
  forGroups(logits, 0, [&](const Group &group) __attribute__((always_inline)) {
    for (const Floats &logit : group.part)
      broken |= ~(logit < kInfinity);
  });
  bool any = false;
  for (size_t lane = 0; lane < sizeof(broken) / sizeof(int32_t); ++lane)
    any |= broken[lane] != 0;
  return any;
}

FAIRY2_PASSES size_t firstLargest(std::span<const float> values) {
  return nthEqual(values, largestUpTo(values, kInfinity), 1);
}

FAIRY2_PASSES double sumOfExp(std::span<const float> logits, float best) {
  constexpr size_t parts = sizeof(Group) / sizeof(Halves);
  if (best == kInfinity || hasBrokenLogit(logits))
    return std::numeric_limits<double>::quiet_NaN();
  Doubles sums[parts] = {};
  forGroups(logits, -kInfinity,
            [&](const Group &group) __attribute__((always_inline)) {
              Halves values[parts];
              std::memcpy(values, &group, sizeof(values));
              for (size_t i = 0; i < parts; ++i) {
                Doubles x = __builtin_convertvector(values[i], Doubles);
                x -= double(best);
                exponentialOf(x);
                sums[i] += x;
              }
            });
  static_assert(parts == 8);
  const Doubles sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
                      ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

FAIRY2_PASSES void weigh(std::span<const float> logits, float best,
                         float temperature, std::span<float> weights) {
  // A reciprocal that is finite, and so are halves of the logits' difference.
  const float scale = 2.0f * 1.44269504089f / std::max(temperature, 1e-37f);
  forBlocks(logits.size(),
            [&](size_t begin, auto size) __attribute__((always_inline)) {
              const float *from = logits.data() + begin;
              float *to = weights.data() + begin;
              for (size_t i = 0; i < size; ++i)
                to[i] = powerOfTwo((from[i] * 0.5f - best * 0.5f) * scale);
            });
  std::ranges::fill(weights.subspan(logits.size()), 0.0f);
}

FAIRY2_PASSES Cut cutAtCount(std::span<const float> keys, size_t count) {
  const float high = largestUpTo(keys, kInfinity);
  // The largest in each part of the keys: the count-th of these is reached by
  // `count` keys.
  thread_local std::vector<float> largest;
  largest.clear();
  for (size_t begin = 0; begin + kPassBlock <= keys.size(); begin += kPassBlock)
    largest.push_back(largestUpTo(keys.subspan(begin, kPassBlock), kInfinity));
  float low = -kInfinity;
  if (largest.size() > count) {
    const auto nth = largest.begin() + ptrdiff_t(count) - 1;
    std::ranges::nth_element(largest, nth, std::greater());
    low = *nth;
  }
  if (low == -kInfinity)
    low = leastAbove(keys, low, high);
  return findCut(keys, double(count), low, high, One());
}

FAIRY2_PASSES Cut cutAtSum(std::span<const float> weights, double share) {
  const double total = sumFrom(weights, 0, AsIs());
  const double wanted = share * total;
  float low = std::numeric_limits<float>::min();
  // All lighter ones together are too light to be needed.
  const auto bound = float((total - wanted) / double(weights.size()));
  if (bound > low && sumFrom(weights, bound, AsIs()) >= wanted)
    low = bound;
  return findCut(weights, wanted, low, 1, AsIs());
}

FAIRY2_PASSES void dropBehind(const Cut &cut, std::span<const float> keys,
                              std::span<float> weights) {
  const size_t equal = std::min(cut.index + 1, keys.size());
  dropLess(keys.first(equal), cut.key, weights);
  dropLess(keys.subspan(equal), std::nextafter(cut.key, kInfinity),
           weights.subspan(equal));
}

FAIRY2_PASSES void dropBelow(float least, std::span<float> weights) {
  dropLess(weights, least, weights);
}

FAIRY2_PASSES size_t drawAt(std::span<const float> weights, double share) {
  thread_local std::vector<double> sums;
  sums.resize(weights.size() / kPassBlock);
  double total = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] = sumFrom(weights.subspan(i * kPassBlock, kPassBlock), 0, AsIs());
    total += sums[i];
  }
  const double target = share * total;
  size_t block = 0;
  double before = 0, reached = 0;
  for (size_t i = 0; i < sums.size() && reached <= target; ++i) {
    if (sums[i] == 0)
      continue;
    block = i;
    before = reached;
    reached += sums[i];
  }
  size_t last = block * kPassBlock;
  const size_t end = last + kPassBlock;
  // Rounding may leave the sum just below the target.
  for (size_t i = last; i < end && before <= target; ++i) {
    if (weights[i] == 0)
      continue;
    last = i;
    before += double(weights[i]);
  }
  return last;
}

} // namespace fairy2
