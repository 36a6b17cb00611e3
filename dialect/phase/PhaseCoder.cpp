// SPDX-License-Identifier: Apache-2.0
//
// The coder of PhaseCoder.h. Blocks of G do not know of each other, so four of
// them are coded side by side, one in each lane of a vector.
#include "dialect/phase/PhaseCoder.h"

#include "dialect/phase/BinaryStages.h"
#include "dialect/phase/BlockChoice.h"
#include "dialect/phase/PanelProducts.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

constexpr int kFactorSteps = 16; ///< of row factors in an octave
constexpr int kFactorCycles = 8; ///< over the rows of a block, in a fit
constexpr int kSearchedFactors[] = {0, 1, 0, 1}; ///< parts of a pair, in turn

float onFactorGrid(double steps) {
  return float(std::exp2(steps / kFactorSteps));
}

/// Of the grid's neighbours of `wanted` and `present` the nearest; a row that
/// is zero stays so, and none changes its sign.
float fittedFactor(float wanted, float present) {
  if (!(wanted > 0) || !std::isfinite(wanted) || present == 0)
    return present;
  const double place = std::floor(kFactorSteps * std::log2(wanted));
  float best = present;
  for (const double steps : {place, place + 1}) {
    const float tried = onFactorGrid(steps);
    if (tried > 0 && std::isfinite(tried) &&
        std::fabs(tried - wanted) < std::fabs(best - wanted))
      best = tried;
  }
  return best;
}

/// kLanes blocks of G, from `firstBlock` on. A row of a block is r: complex row
/// r of it, then n + r.
class LaneGroup {
public:
  LaneGroup(const CodingTask &task, const CodingOptions &options,
            int64_t firstBlock)
      : task(task), options(options), firstBlock(firstBlock),
        pairs(task.outputs->pairs()), rows(2 * pairs), columns(task.columns),
        unit(kNormalUnits[size_t(options.stages - 1)]), grid(options.stages),
        target(size_t(rows * columns)), error(target.size()),
        coded(target.size()), outputs(size_t(rows * rows)),
        factors(size_t(rows)) {
    loadOutputs();
    setTarget();
  }

  void code() {
    findFactors();
    start();
    for (int round = 0; round < options.rounds; ++round) {
      const bool isLast = round + 1 == options.rounds;
      for (int k = 0; k < (isLast ? options.lastSweeps : options.sweeps); ++k)
        sweep();
      if (!isLast)
        fitFactors();
    }
  }

  /// Sums of the loss and of that of the target alone.
  void addTo(CodingReport &report) const {
    report.loss += lossOf(error) / 2;
    report.norm += lossOf(target) / 2;
  }

  void write(PhaseMatrix &q) const {
    std::vector<uint8_t> levels(size_t(4 * q.columns));
    for (int64_t lane = 0; lane < kLanes; ++lane)
      for (int64_t i = 0; i < pairs; ++i) {
        if (realRow(i, lane) < 0)
          continue;
        for (int64_t k = 0; k < q.columns; ++k) {
          const BlockLevels x = grid.levelsOf(entry(coded, i, k));
          for (int64_t part = 0; part < 4; ++part)
            levels[size_t(part * q.columns + task.inputs->columnAt(2 * k))] =
                uint8_t(grid.levelAt(x.r[part][lane]));
        }
        setRowCodes(q, realRow(i, lane), levels.data());
        for (const int64_t r : {i, pairs + i})
          q.rowFactors[size_t(realRow(r, lane))] = factors[size_t(r)][lane];
      }
  }

private:
  /// The row of A at row r of a lane's block, or -1.
  int64_t realRow(int64_t r, int64_t lane) const {
    const int64_t block = firstBlock + lane, i = r % pairs;
    if (block >= task.outputs->blocks() || i >= task.outputs->pairsOf(block))
      return -1;
    return r / pairs * (task.rows / 2) + block * pairs + i;
  }

  void loadOutputs() {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      if (const int64_t b = firstBlock + lane; b < task.outputs->blocks())
        for (int64_t k = 0; k < rows * rows; ++k)
          outputs[size_t(k)][lane] = task.outputs->block(b)[k];
  }

  /// Adds rows of a matrix of A's shape, columns in the order of coding.
  void addRows(const float *values, std::vector<Lanes> &to) const {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      for (int64_t r = 0; r < rows; ++r)
        if (const int64_t row = realRow(r, lane); row >= 0)
          for (int64_t c = 0; c < columns; ++c)
            to[size_t(r * columns + c)][lane] +=
                values[row * columns + task.inputs->columnAt(c)];
  }

  void setTarget() {
    addRows(task.weights, target);
    if (!task.drift && !task.residual)
      return;
    const InputMetric &inputs = *task.inputs;
    std::vector<Lanes> d(target.size());
    if (task.residual)
      addRows(task.residual, d);
    Lanes sums[kPanel];
    if (task.drift)
      forPanels(columns, false, [&](int64_t begin, int64_t width) {
        const PackedPanel drift(columns, width, [&](int64_t c, int64_t p) {
          return task
              .drift[inputs.columnAt(c) * columns + inputs.columnAt(begin + p)];
        });
        for (int64_t r = 0; r < rows; ++r) {
          drift.times(&target[size_t(r * columns)], sums);
          for (int64_t p = 0; p < width; ++p)
            d[size_t(r * columns + begin + p)] += sums[p];
        }
      });
    divideByMoments(inputs, rows, d);
    for (size_t k = 0; k < target.size(); ++k)
      target[k] += d[k];
  }

  /// Complex entry (i, k) of rows in the order of coding.
  Block entry(const std::vector<Lanes> &of, int64_t i, int64_t k) const {
    const Lanes *top = &of[size_t(i * columns + 2 * k)];
    const Lanes *bottom = &of[size_t((pairs + i) * columns + 2 * k)];
    return {top[0], top[1], bottom[0], bottom[1]};
  }
  void setEntry(std::vector<Lanes> &of, int64_t i, int64_t k, const Block &to) {
    Lanes *top = &of[size_t(i * columns + 2 * k)];
    Lanes *bottom = &of[size_t((pairs + i) * columns + 2 * k)];
    top[0] = to.a[0];
    top[1] = to.a[1];
    bottom[0] = to.a[2];
    bottom[1] = to.a[3];
  }

  Lanes stepOf(int64_t r) const { return 2 * unit * factors[size_t(r)]; }

  /// The squared error of rounding rows i and n + i, weighted by the diagonal
  /// of H.
  Lanes roundingError(int64_t i, Lanes top, Lanes bottom) const {
    const Lanes steps[2] = {2 * unit * top, 2 * unit * bottom};
    const Lanes over[2] = {inverse(steps[0]), inverse(steps[1])};
    Lanes sums[2] = {};
    for (int64_t k = 0; k < columns / 2; ++k) {
      const Block wanted = entry(target, i, k).scaled(over[0], over[1]);
      const Block found = grid.nearest(wanted);
      const float *h = task.inputs->moments() + 2 * k * (columns + 1);
      const float weights[2] = {h[0], h[columns + 1]};
      for (int part = 0; part < 4; ++part) {
        const Lanes e = found.a[part] - wanted.a[part];
        sums[part / 2] += weights[part % 2] * e * e;
      }
    }
    return sums[0] * steps[0] * steps[0] + sums[1] * steps[1] * steps[1];
  }

  /// The factors of rows with which plain rounding does least harm: first both
  /// of a pair by one multiple of their root mean squares, then each in turn. A
  /// row with one giant weight is ruined by its root mean square, and no fit
  /// finds its way from there.
  void findFactors() {
    for (int64_t i = 0; i < pairs; ++i) {
      Lanes rms[2], multiples[2] = {};
      for (const int part : {0, 1}) {
        const Lanes *row = &target[size_t((part * pairs + i) * columns)];
        Lanes sum = {};
        for (int64_t c = 0; c < columns; ++c)
          sum += row[c] * row[c];
        for (int64_t lane = 0; lane < kLanes; ++lane)
          rms[part][lane] = std::sqrt(sum[lane] / float(columns));
      }
      Lanes best = multiples[0] + HUGE_VALF;
      const auto attempt = [&](Lanes top, Lanes bottom) {
        const Lanes found = roundingError(i, top * rms[0], bottom * rms[1]);
        const LaneMask better = found < best;
        best = better ? found : best;
        multiples[0] = better ? top : multiples[0];
        multiples[1] = better ? bottom : multiples[1];
      };
      for (const float multiple : kScaleMultiples)
        attempt(Lanes{} + multiple, Lanes{} + multiple);
      for (const int part : kSearchedFactors)
        for (const float multiple : kScaleMultiples)
          attempt(part == 0 ? Lanes{} + multiple : multiples[0],
                  part == 1 ? Lanes{} + multiple : multiples[1]);
      for (const int part : {0, 1})
        for (int64_t lane = 0; lane < kLanes; ++lane)
          factors[size_t(part * pairs + i)][lane] =
              nearestRowFactor(rms[part][lane] * multiples[part][lane]);
    }
  }

  /// G of rows i and n + i, times their steps where A' changes by one.
  RowForm rowForm(int64_t i) const {
    const auto at = [&](int64_t a, int64_t b) {
      return outputs[size_t(a * rows + b)];
    };
    return {at(i, i), at(i, pairs + i), at(pairs + i, pairs + i), stepOf(i),
            stepOf(pairs + i)};
  }

  /// Makes `change` of the coded entry, and of its error.
  void move(int64_t i, int64_t k, const Block &change) {
    setEntry(coded, i, k, entry(coded, i, k).plus(change));
    setError(i, k);
  }
  void setError(int64_t i, int64_t k) {
    setEntry(error, i, k,
             entry(coded, i, k)
                 .scaled(stepOf(i), stepOf(pairs + i))
                 .minus(entry(target, i, k)));
  }

  /// Codes column pairs from the last to the first; each takes back what those
  /// before it have done to outputs, as far as its inputs tell (GPTQ, Frantar
  /// et al., arXiv 2210.17323, for pairs). Rows other than i and n + i do not
  /// count here.
  void start() {
    const float *lower = task.inputs->factor();
    std::vector<Lanes> sums(size_t(rows * kPanel)); // of error times L
    forPanels(columns, true, [&](int64_t begin, int64_t width) {
      const int64_t end = begin + width;
      const PackedPanel behind(columns - end, width, [&](int64_t c, int64_t p) {
        return lower[(end + c) * columns + begin + p];
      });
      for (int64_t r = 0; r < rows; ++r)
        behind.times(&error[size_t(r * columns + end)],
                     &sums[size_t(r * kPanel)]);
      for (int64_t p = width - 2; p >= 0; p -= 2) {
        const int64_t k = (begin + p) / 2;
        const float *first = lower + (begin + p) * columns + begin;
        const float *second = first + columns;
        const float l00 = first[p], l10 = second[p], l11 = second[p + 1];
        const ColumnForm column(l00 * l00, l00 * l10, l10 * l10 + l11 * l11);
        for (int64_t i = 0; i < pairs; ++i) {
          const Lanes over[2] = {inverse(stepOf(i)),
                                 inverse(stepOf(pairs + i))};
          setEntry(coded, i, k,
                   grid.nearest(entry(target, i, k).scaled(over[0], over[1])));
          setError(i, k);
          const RowForm row = rowForm(i);
          const Block e = entry(error, i, k);
          Lanes pulls[4]; // (e L + sums) L^T
          for (const int part : {0, 1}) {
            const Lanes *sum = &sums[size_t((part * pairs + i) * kPanel + p)];
            const Lanes a =
                e.a[2 * part] * l00 + e.a[2 * part + 1] * l10 + sum[0];
            const Lanes b = e.a[2 * part + 1] * l11 + sum[1];
            pulls[2 * part] = a * l00;
            pulls[2 * part + 1] = a * l10 + b * l11;
          }
          const Block slope = {row.top * pulls[0] + row.both * pulls[2],
                               row.top * pulls[1] + row.both * pulls[3],
                               row.both * pulls[0] + row.bottom * pulls[2],
                               row.both * pulls[1] + row.bottom * pulls[3]};
          move(i, k, grid.choose(entry(coded, i, k), slope, row, column));
        }
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t before = 0; before < p; ++before)
            sums[size_t(r * kPanel + before)] +=
                error[size_t(r * columns + begin + p)] * first[before] +
                error[size_t(r * columns + begin + p + 1)] * second[before];
      }
    });
  }

  PackedPanel momentsOf(int64_t begin, int64_t width) const {
    return PackedPanel(columns, width, [&](int64_t c, int64_t p) {
      return task.inputs->moments()[c * columns + begin + p];
    });
  }

  /// One pass over all entries; each takes the best code for all others.
  void sweep() {
    std::vector<Lanes> products(size_t(rows * kPanel)); // of error times H
    forPanels(columns, true, [&](int64_t begin, int64_t width) {
      const PackedPanel moments = momentsOf(begin, width);
      for (int64_t r = 0; r < rows; ++r)
        moments.times(&error[size_t(r * columns)],
                      &products[size_t(r * kPanel)]);
      for (int64_t p = width - 2; p >= 0; p -= 2) {
        const float *h = task.inputs->moments() + (begin + p) * columns + begin;
        const ColumnForm column(h[p], h[p + 1], h[columns + p + 1]);
        for (int64_t i = 0; i < pairs; ++i) {
          const int64_t k = (begin + p) / 2;
          const Block before = entry(error, i, k);
          move(i, k,
               grid.choose(entry(coded, i, k), slopeOf(i, p, products),
                           rowForm(i), column));
          const Block change = entry(error, i, k).minus(before);
          for (const int part : {0, 1})
            for (int64_t j = 0; j < width; ++j)
              products[size_t((part * pairs + i) * kPanel + j)] +=
                  change.a[2 * part] * h[j] +
                  change.a[2 * part + 1] * h[columns + j];
        }
      }
    });
  }

  /// Rows i and n + i of G times two columns of the products.
  Block slopeOf(int64_t i, int64_t p,
                const std::vector<Lanes> &products) const {
    Block sum = {};
    for (int64_t r = 0; r < rows; ++r) {
      const Lanes top = outputs[size_t(i * rows + r)];
      const Lanes bottom = outputs[size_t((pairs + i) * rows + r)];
      const Lanes *product = &products[size_t(r * kPanel + p)];
      sum.a[0] += top * product[0];
      sum.a[1] += top * product[1];
      sum.a[2] += bottom * product[0];
      sum.a[3] += bottom * product[1];
    }
    return sum;
  }

  /// The factors' least squares on their grid, row by row: the loss is
  /// quadratic in them.
  void fitFactors() {
    std::vector<Lanes> slopes(static_cast<size_t>(rows)), form(outputs.size());
    std::vector<Lanes> errors(size_t(rows * kPanel)), values(errors.size());
    forPanels(columns, false, [&](int64_t begin, int64_t width) {
      const PackedPanel moments = momentsOf(begin, width);
      for (int64_t r = 0; r < rows; ++r) {
        moments.times(&error[size_t(r * columns)], &errors[size_t(r * kPanel)]);
        moments.times(&coded[size_t(r * columns)], &values[size_t(r * kPanel)]);
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t other = 0; other < rows; ++other) {
          Lanes withErrors = {}, withValues = {};
          for (int64_t p = 0; p < width; ++p) {
            const Lanes value = coded[size_t(r * columns + begin + p)];
            withErrors += value * errors[size_t(other * kPanel + p)];
            withValues += value * values[size_t(other * kPanel + p)];
          }
          slopes[size_t(r)] += outputs[size_t(r * rows + other)] * withErrors;
          form[size_t(r * rows + other)] += withValues;
        }
    });
    for (size_t k = 0; k < form.size(); ++k)
      form[k] *= outputs[k];
    std::vector<Lanes> changes(static_cast<size_t>(rows)); // of steps
    for (int cycle = 0; cycle < kFactorCycles; ++cycle)
      for (int64_t r = 0; r < rows; ++r) {
        Lanes slope = slopes[size_t(r)];
        for (int64_t other = 0; other < rows; ++other)
          slope += form[size_t(r * rows + other)] * changes[size_t(other)];
        const Lanes wanted =
            factors[size_t(r)] -
            slope * inverse(form[size_t(r * rows + r)]) / (2 * unit);
        Lanes fitted;
        for (int64_t lane = 0; lane < kLanes; ++lane)
          fitted[lane] = fittedFactor(wanted[lane], factors[size_t(r)][lane]);
        changes[size_t(r)] += 2 * unit * (fitted - factors[size_t(r)]);
        factors[size_t(r)] = fitted;
      }
    for (int64_t i = 0; i < pairs; ++i)
      for (int64_t k = 0; k < columns / 2; ++k)
        setError(i, k);
  }

  /// tr(G of H of^T) over all lanes.
  double lossOf(const std::vector<Lanes> &of) const {
    Lanes sum = {};
    std::vector<Lanes> products(size_t(rows * kPanel));
    forPanels(columns, false, [&](int64_t begin, int64_t width) {
      const PackedPanel moments = momentsOf(begin, width);
      for (int64_t r = 0; r < rows; ++r)
        moments.times(&of[size_t(r * columns)], &products[size_t(r * kPanel)]);
      for (int64_t p = 0; p < width; p += 2)
        for (int64_t i = 0; i < pairs; ++i) {
          const Block slope = slopeOf(i, p, products);
          const Block value = entry(of, i, (begin + p) / 2);
          for (int part = 0; part < 4; ++part)
            sum += slope.a[part] * value.a[part];
        }
    });
    double total = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane)
      total += sum[lane];
    return total;
  }

  const CodingTask &task;
  const CodingOptions &options;
  const int64_t firstBlock, pairs, rows, columns;
  const float unit;
  const BlockGrid grid;
  /// [row of the block][column in the order of coding]: what shall be coded,
  /// the error, and A' over twice its unit.
  std::vector<Lanes> target, error, coded;
  std::vector<Lanes> outputs; ///< G, [row][row]
  std::vector<Lanes> factors; ///< of the rows
};

} // namespace

float nearestRowFactor(float factor) {
  return factor > 0 ? onFactorGrid(std::round(kFactorSteps * std::log2(factor)))
                    : 0;
}

PhaseMatrix codePhases(const CodingTask &task, const CodingOptions &options,
                       const ParallelFor &parallelFor, CodingReport *report) {
  if (task.rows % 2 || task.columns % 2)
    throw Error(task.name + ": expected even extents, found " +
                std::to_string(task.rows) + " x " +
                std::to_string(task.columns));
  for (int64_t row = 0; row < task.rows; ++row)
    requireFinite(task.name, row, task.columns,
                  task.weights + row * task.columns);
  PhaseMatrix q;
  q.rows = task.rows / 2;
  q.columns = task.columns / 2;
  q.scheme = {options.stages, ScaleGranularity::Row, QuantizeMode::Canonical,
              StageScales::Binary, options.grid};
  q.codes.resize(size_t(q.sets() * q.rows * q.columns));
  q.scales.resize(size_t(q.sets()));
  q.rowFactors.resize(size_t(task.rows));
  setBinaryScales(q, {&kNormalUnits[size_t(options.stages - 1)], 1});
  const int64_t groups = (task.outputs->blocks() + kLanes - 1) / kLanes;
  std::vector<CodingReport> reports(static_cast<size_t>(groups));
  parallelFor(groups, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      LaneGroup group(task, options, g * kLanes);
      group.code();
      group.write(q);
      if (report)
        group.addTo(reports[size_t(g)]);
    }
  });
  if (report) {
    *report = {};
    for (const CodingReport &part : reports) {
      report->loss += part.loss;
      report->norm += part.norm;
    }
    const std::vector<float> dense = dequantizePhases(q);
    for (int64_t i = 0; i < task.rows * task.columns; ++i) {
      const double value = task.weights[i], lost = value - dense[size_t(i)];
      report->weights.norm += value * value;
      report->weights.error += lost * lost;
    }
  }
  return q;
}

} // namespace fairy2
