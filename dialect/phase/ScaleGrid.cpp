// SPDX-License-Identifier: Apache-2.0
//
// The search for units, and the checks of what is stored.
#include "dialect/phase/ScaleGrid.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

/// What U's and W's stages add up to at most: sets alternate between the two.
template <typename Axes> auto largestEntry(std::span<const Axes> sets) {
  decltype(sets[0].re + sets[0].re) sum = 0;
  for (const Axes &set : sets)
    sum += std::max(set.re, set.im);
  return sum;
}

int gridInteger(float scale, double unit) {
  return std::max(1, int(std::lround(double(scale) / unit)));
}

double squaredDistance(std::span<const AxisScales> scales, double unit) {
  double sum = 0;
  for (const AxisScales &scale : scales)
    for (float s : {scale.re, scale.im}) {
      const double left = s - gridInteger(s, unit) * unit;
      sum += left * left;
    }
  return sum;
}

std::vector<AxisIntegers> gridIntegers(std::span<const AxisScales> scales,
                                       double unit) {
  std::vector<AxisIntegers> integers;
  for (const AxisScales &scale : scales)
    integers.push_back({uint8_t(gridInteger(scale.re, unit)),
                        uint8_t(gridInteger(scale.im, unit))});
  return integers;
}

} // namespace

int largestGridEntry(std::span<const AxisIntegers> integers) {
  return largestEntry(integers);
}

std::string gridFault(float unit, std::span<const AxisIntegers> integers,
                      StageScales stageScales) {
  if (!(unit > 0 && std::isfinite(unit)))
    return "expected a positive unit, found " + std::to_string(unit);
  const size_t stages = integers.size() / 2;
  for (size_t set = 0; set < integers.size(); ++set)
    for (const int c : {integers[set].re, integers[set].im}) {
      if (c < 1 || c > kLargestGridEntry)
        return "expected integers from 1 to " +
               std::to_string(kLargestGridEntry) + ", found " +
               std::to_string(c);
      const int power = 1 << (stages - 1 - set / 2);
      if (stageScales == StageScales::Binary && c != power)
        return "expected " + std::to_string(power) + " at stage " +
               std::to_string(set / 2) + " of binary stages, found " +
               std::to_string(c);
    }
  if (const int entry = largestGridEntry(integers); entry > kLargestGridEntry)
    return "expected integers whose matrix has entries of at most " +
           std::to_string(kLargestGridEntry) + ", found " +
           std::to_string(entry);
  return "";
}

void setGridScales(PhaseMatrix &q) {
  q.scales.resize(q.integers.size());
  for (size_t i = 0; i < q.scales.size(); ++i) {
    const float unit = q.units[i / size_t(q.sets())];
    q.scales[i] = {unit * float(q.integers[i].re),
                   unit * float(q.integers[i].im)};
  }
}

void roundScalesToGrid(PhaseMatrix &q) {
  const size_t sets = size_t(q.sets());
  q.units.clear();
  q.integers.clear();
  for (size_t first = 0; first < q.scales.size(); first += sets) {
    const std::span<const AxisScales> scales(&q.scales[first], sets);
    const double smallest = double(largestEntry(scales)) / kLargestGridEntry;
    constexpr int kSteps = 1024;
    float best = 0;
    double bestDistance = 0;
    for (int step = 0; step <= kSteps; ++step) {
      const float unit = float(smallest * (1 + double(step) / kSteps));
      const double distance = squaredDistance(scales, unit);
      // Rounding up may lead beyond the byte; at twice the smallest unit
      // it cannot.
      if ((best == 0 || distance < bestDistance) &&
          largestGridEntry(gridIntegers(scales, unit)) <= kLargestGridEntry) {
        best = unit;
        bestDistance = distance;
      }
    }
    q.units.push_back(best);
    const std::vector<AxisIntegers> integers = gridIntegers(scales, best);
    q.integers.insert(q.integers.end(), integers.begin(), integers.end());
  }
  setGridScales(q);
}

} // namespace fairy2
