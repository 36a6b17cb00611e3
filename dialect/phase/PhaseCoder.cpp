// SPDX-License-Identifier: Apache-2.0
//
// The coder of PhaseCoder.h. Blocks of G do not know of each other, so kLanes
// of them are coded side by side, one in each lane of a vector.
//
// With E = diag(f) A' - A* the descent needs E H. What is kept is A' H, which
// follows the codes as they change (fewer and fewer do), and A* H, which stays:
// new factors cost no product with H.
#include "dialect/phase/PhaseCoder.h"

#include "dialect/phase/BinaryStages.h"
#include "dialect/phase/CoderProducts.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

constexpr int kFactorSteps = 16; ///< of row factors in an octave
constexpr int kFactorCycles = 8; ///< over the rows of a block, in a fit
/// Columns whose changes reach the rest together, a multiple of kPanel, and
/// columns of the rest that they reach at a time: what a core's cache holds.
constexpr int64_t kSpan = 128, kReached = 256;

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

/// The changes of a row's codes in a span of columns.
struct Changes {
  int64_t count = 0;
  float values[kSpan];
  int32_t places[kSpan];

  void add(float value, int64_t place) {
    values[count] = value;
    places[count++] = int32_t(place);
  }
};

/// Blocks of G, from `firstBlock` on. A row of a block is r: complex row r of
/// it, then n + r.
class BlockGroup {
public:
  BlockGroup(const CodingTask &task, const CodingOptions &options,
             int64_t firstBlock, int64_t blocks)
      : task(task), options(options),
        kernels(options.kernels ? *options.kernels : coderKernels()),
        firstBlock(firstBlock), blocks(blocks), pairs(task.outputs->pairs()),
        blockRows(2 * pairs), columns(task.columns),
        unit(kNormalUnits[size_t(options.stages - 1)]),
        target(size_t(blocks * blockRows * columns)), pulls(target.size()),
        error(target.size()), coded(target.size()), products(target.size()),
        outputs(size_t(blockRows * blockRows * kLanes)),
        factors(size_t(blocks * blockRows)) {
    for (int64_t lane = 0; lane < blocks; ++lane)
      for (int64_t k = 0; k < blockRows * blockRows; ++k)
        outputs[size_t(k * kLanes + lane)] = outputBlock(lane)[k];
    setTarget();
  }

  void code() {
    findFactors();
    start();
    if (options.rounds)
      multiply(coded, products);
    for (int round = 0; round < options.rounds; ++round) {
      const bool isLast = round + 1 == options.rounds;
      for (int k = 0; k < (isLast ? options.lastSweeps : options.sweeps); ++k)
        sweep();
      if (!isLast)
        fitFactors();
    }
    if (!options.rounds)
      multiply(coded, products);
  }

  /// Of each block the loss and that of the target alone.
  void report(CodingReport *reports) {
    for (int64_t r = 0; r < rowCount(); ++r)
      for (int64_t c = 0; c < columns; ++c)
        error[place(r, c)] =
            stepOf(r) * coded[place(r, c)] - target[place(r, c)];
    for (int64_t lane = 0; lane < blocks; ++lane) {
      const std::vector<float> withCoded = formOf(lane, error, products);
      const std::vector<float> withTarget = formOf(lane, error, pulls);
      const std::vector<float> norms = formOf(lane, target, pulls);
      for (int64_t k = 0; k < blockRows * blockRows; ++k) {
        const double g = outputBlock(lane)[k] / 2;
        const float step = stepOf(lane * blockRows + k % blockRows);
        reports[lane].loss +=
            g * (double(step) * withCoded[size_t(k)] - withTarget[size_t(k)]);
        reports[lane].norm += g * norms[size_t(k)];
      }
    }
  }

  void write(PhaseMatrix &q) const {
    std::vector<uint8_t> levels(size_t(4 * q.columns));
    for (int64_t r = 0; r < rowCount(); ++r) {
      const int64_t row = realRow(r);
      if (row < 0)
        continue;
      q.rowFactors[size_t(row)] = factors[size_t(r)];
      if (r % blockRows >= pairs)
        continue;
      for (int64_t k = 0; k < q.columns; ++k)
        setLevels(&coded[place(r, 2 * k)], &coded[place(r + pairs, 2 * k)],
                  levels.data() + task.inputs->columnAt(2 * k), q.columns);
      setRowCodes(q, row, levels.data());
    }
  }

private:
  int64_t rowCount() const { return blocks * blockRows; }
  size_t place(int64_t r, int64_t c) const { return size_t(r * columns + c); }
  /// The row of A at a row of the group, or -1.
  int64_t realRow(int64_t row) const {
    const int64_t block = firstBlock + row / blockRows, r = row % blockRows;
    if (r % pairs >= task.outputs->pairsOf(block))
      return -1;
    return r / pairs * (task.rows / 2) + block * pairs + r % pairs;
  }
  const float *outputBlock(int64_t lane) const {
    return task.outputs->block(firstBlock + lane);
  }
  float stepOf(int64_t row) const { return 2 * unit * factors[size_t(row)]; }
  Rows rowsOf(std::vector<float> &of) const {
    return {of.data(), rowCount(), columns};
  }

  /// r0 .. r3 of an entry, of which `top` and `bottom` are the rows, as levels.
  void setLevels(const float *top, const float *bottom, uint8_t *to,
                 int64_t stride) const {
    const float a11 = top[0], a12 = top[1], a21 = bottom[0], a22 = bottom[1];
    const float r[] = {a11 + a12 - a21 + a22, a11 - a12 + a21 + a22,
                       a11 - a12 - a21 - a22, a11 + a12 + a21 - a22};
    for (int k = 0; k < 4; ++k)
      to[k * stride] =
          uint8_t(int(r[k] / 2 + float(1 << (options.stages - 1))));
  }

  /// to += of H.
  void multiply(std::vector<float> &of, std::vector<float> &to) const {
    addProduct(kernels, rowsOf(of), {task.inputs->moments(), columns, 1},
               columns, columns, rowsOf(to));
  }

  void setTarget() {
    // Until their columns are put in order, `error` is A and `products` D.
    for (int64_t r = 0; r < rowCount(); ++r)
      if (const int64_t row = realRow(r); row >= 0) {
        std::copy_n(task.weights + row * columns, columns, &error[place(r, 0)]);
        if (task.residual)
          std::copy_n(task.residual + row * columns, columns,
                      &products[place(r, 0)]);
      }
    if (task.drift)
      addProduct(kernels, rowsOf(error), {task.drift, columns, 1}, columns,
                 columns, rowsOf(products));
    for (int64_t r = 0; r < rowCount(); ++r)
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t from = task.inputs->columnAt(c);
        target[place(r, c)] = error[place(r, from)];
        pulls[place(r, c)] = products[place(r, from)];
      }
    if (task.drift || task.residual) {
      divideByMoments(kernels, *task.inputs, rowsOf(pulls));
      for (size_t k = 0; k < target.size(); ++k)
        target[k] += pulls[k];
      std::fill(pulls.begin(), pulls.end(), 0.f);
    }
    multiply(target, pulls);
    std::fill(error.begin(), error.end(), 0.f);
    std::fill(products.begin(), products.end(), 0.f);
  }

  /// The factors of rows with which plain rounding does least harm: first both
  /// of a pair by one multiple of their root mean squares, then each in turn. A
  /// row with one giant weight is ruined by its root mean square, and no fit
  /// finds its way from there.
  void findFactors() {
    std::vector<float> rows[2];
    float rms[2][kLanes] = {}, multiples[2][kLanes] = {};
    for (int64_t i = 0; i < pairs; ++i) {
      for (int64_t part = 0; part < 2; ++part) {
        rows[part].resize(size_t(columns * kLanes));
        for (int64_t lane = 0; lane < blocks; ++lane) {
          const float *row =
              &target[place(lane * blockRows + part * pairs + i, 0)];
          float sum = 0;
          for (int64_t c = 0; c < columns; ++c) {
            rows[part][size_t(c * kLanes + lane)] = row[c];
            sum += row[c] * row[c];
          }
          rms[part][lane] = std::sqrt(sum / float(columns));
        }
      }
      kernels.searchFactors({{rows[0].data(), rows[1].data()},
                             columns,
                             columns,
                             task.inputs->moments(),
                             options.stages,
                             unit,
                             {rms[0], rms[1]},
                             kScaleMultiples.data(),
                             int64_t(kScaleMultiples.size()),
                             {multiples[0], multiples[1]}});
      for (int64_t part = 0; part < 2; ++part)
        for (int64_t lane = 0; lane < blocks; ++lane)
          factors[size_t(lane * blockRows + part * pairs + i)] =
              nearestRowFactor(rms[part][lane] * multiples[part][lane]);
    }
  }

  /// Panels of the group's rows, as kernels take them.
  struct Lanes {
    explicit Lanes(int64_t rows)
        : target(size_t(rows * kPanel * kLanes)), coded(target.size()),
          error(target.size()), products(target.size()),
          steps(size_t(rows * kLanes)) {}
    std::vector<float> target, coded, error, products, steps;
  };
  Lanes makeLanes() const {
    Lanes lanes(blockRows);
    for (int64_t r = 0; r < rowCount(); ++r)
      lanes.steps[size_t(r % blockRows * kLanes + r / blockRows)] = stepOf(r);
    return lanes;
  }
  CoderPanel panelOf(Lanes &lanes, int64_t width, const float *square) const {
    return {pairs,
            width,
            options.stages,
            outputs.data(),
            lanes.steps.data(),
            lanes.target.data(),
            lanes.coded.data(),
            lanes.error.data(),
            lanes.products.data(),
            square,
            columns};
  }
  static float *lanesOf(std::vector<float> &panel, int64_t r, int64_t rows) {
    return &panel[size_t(r % rows * kPanel * kLanes + r / rows)];
  }
  void gather(const Rows &from, int64_t width, std::vector<float> &to) const {
    for (int64_t r = 0; r < rowCount(); ++r) {
      float *lane = lanesOf(to, r, blockRows);
      for (int64_t p = 0; p < width; ++p)
        lane[p * kLanes] = from.row(r)[p];
    }
  }
  void scatter(std::vector<float> &from, int64_t width, const Rows &to) const {
    for (int64_t r = 0; r < rowCount(); ++r) {
      const float *lane = lanesOf(from, r, blockRows);
      for (int64_t p = 0; p < width; ++p)
        to.row(r)[p] = lane[p * kLanes];
    }
  }

  /// body(first column, end) for the spans, or a span's panels, from the last
  /// on.
  template <typename Body>
  static void backwards(int64_t begin, int64_t end, int64_t size,
                        const Body &body) {
    for (int64_t k = (end - begin - 1) / size; k >= 0; --k)
      body(begin + k * size, std::min(begin + (k + 1) * size, end));
  }

  /// Codes column pairs from the last to the first; each takes back what those
  /// before it have done to outputs, as far as its inputs tell (GPTQ, Frantar
  /// et al., arXiv 2210.17323, for pairs).
  void start() {
    const float *lower = task.inputs->factor();
    std::vector<float> room(size_t(rowCount() * kSpan)); // of error times L
    Lanes lanes = makeLanes();
    backwards(0, columns, kSpan, [&](int64_t begin, int64_t end) {
      std::fill(room.begin(), room.end(), 0.f);
      const Rows sums = {room.data(), rowCount(), kSpan};
      addProduct(kernels, rowsOf(error).columnsFrom(end),
                 {lower + end * columns + begin, columns, 1}, columns - end,
                 end - begin, sums);
      backwards(begin, end, kPanel, [&](int64_t first, int64_t last) {
        const int64_t width = last - first;
        gather(rowsOf(target).columnsFrom(first), width, lanes.target);
        gather(sums.columnsFrom(first - begin), width, lanes.products);
        kernels.startPanel(
            panelOf(lanes, width, lower + first * (columns + 1)));
        scatter(lanes.coded, width, rowsOf(coded).columnsFrom(first));
        scatter(lanes.error, width, rowsOf(error).columnsFrom(first));
        addProduct(kernels, rowsOf(error).columnsFrom(first),
                   {lower + first * columns + begin, columns, 1}, width,
                   first - begin, sums);
      });
    });
  }

  /// One pass over all entries; each takes the best code for all others.
  void sweep() {
    const float *moments = task.inputs->moments();
    std::vector<float> room(size_t(rowCount() * kSpan)); // of error times H
    std::vector<Changes> changes(static_cast<size_t>(rowCount()));
    Lanes lanes = makeLanes();
    backwards(0, columns, kSpan, [&](int64_t begin, int64_t end) {
      const Rows errors = {room.data(), rowCount(), kSpan};
      for (int64_t r = 0; r < rowCount(); ++r) {
        changes[size_t(r)].count = 0;
        for (int64_t c = begin; c < end; ++c)
          errors.row(r)[c - begin] =
              stepOf(r) * products[place(r, c)] - pulls[place(r, c)];
      }
      backwards(begin, end, kPanel, [&](int64_t first, int64_t last) {
        const int64_t width = last - first;
        gather(rowsOf(coded).columnsFrom(first), width, lanes.coded);
        gather(errors.columnsFrom(first - begin), width, lanes.products);
        kernels.sweepPanel(
            panelOf(lanes, width, moments + first * (columns + 1)));
        takeChanges(lanes, begin, first, width, errors, changes);
      });
      for (int64_t c = 0; c < columns; c += kReached)
        for (int64_t r = 0; r < rowCount(); ++r) {
          const Changes &own = changes[size_t(r)];
          if (own.count)
            kernels.addSelected(own.values, own.places, own.count,
                                moments + begin * columns + c, columns,
                                &products[place(r, c)],
                                std::min(kReached, columns - c));
        }
    });
  }

  /// Writes a panel's codes, and lets the columns of the span before it know.
  void takeChanges(Lanes &lanes, int64_t begin, int64_t first, int64_t width,
                   const Rows &errors, std::vector<Changes> &changes) {
    const float *moments = task.inputs->moments();
    for (int64_t r = 0; r < rowCount(); ++r) {
      Changes &own = changes[size_t(r)];
      const int64_t before = own.count;
      const float *lane = lanesOf(lanes.coded, r, blockRows);
      float moved[kPanel];
      for (int64_t p = 0; p < width; ++p) {
        float &value = coded[place(r, first + p)];
        const float change = lane[p * kLanes] - value;
        if (change == 0)
          continue;
        value = lane[p * kLanes];
        moved[own.count - before] = stepOf(r) * change;
        own.add(change, first + p - begin);
      }
      if (own.count > before)
        kernels.addSelected(moved, own.places + before, own.count - before,
                            moments + begin * columns + begin, columns,
                            errors.row(r), first - begin);
    }
  }

  /// a b^T of a block's rows of both.
  std::vector<float> formOf(int64_t lane, std::vector<float> &a,
                            const std::vector<float> &b) const {
    std::vector<float> form(size_t(blockRows * blockRows));
    const size_t first = place(lane * blockRows, 0);
    addProduct(kernels, {&a[first], blockRows, columns},
               {&b[first], 1, columns}, columns, blockRows,
               {form.data(), blockRows, blockRows});
    return form;
  }

  /// The factors' least squares on their grid, row by row: the loss is
  /// quadratic in them.
  void fitFactors() {
    for (int64_t lane = 0; lane < blocks; ++lane) {
      const float *g = outputBlock(lane);
      float *own = &factors[size_t(lane * blockRows)];
      std::vector<float> form = formOf(lane, coded, products);
      const std::vector<float> wanted = formOf(lane, coded, pulls);
      std::vector<float> slopes(static_cast<size_t>(blockRows));
      for (int64_t r = 0; r < blockRows; ++r)
        for (int64_t other = 0; other < blockRows; ++other) {
          const auto k = size_t(r * blockRows + other);
          slopes[size_t(r)] +=
              g[k] * (2 * unit * own[other] * form[k] - wanted[k]);
          form[k] *= g[k];
        }
      std::vector<float> changes(static_cast<size_t>(blockRows)); // of steps
      for (int cycle = 0; cycle < kFactorCycles; ++cycle)
        for (int64_t r = 0; r < blockRows; ++r) {
          const float *row = &form[size_t(r * blockRows)];
          float slope = slopes[size_t(r)];
          for (int64_t other = 0; other < blockRows; ++other)
            slope += row[other] * changes[size_t(other)];
          const float best =
              row[r] > 0 ? own[r] - slope / row[r] / (2 * unit) : own[r];
          const float fitted = fittedFactor(best, own[r]);
          changes[size_t(r)] += 2 * unit * (fitted - own[r]);
          own[r] = fitted;
        }
    }
  }

  const CodingTask &task;
  const CodingOptions &options;
  const CoderKernels &kernels;
  const int64_t firstBlock, blocks, pairs, blockRows, columns;
  const float unit;
  /// [row of the group][column in the order of coding]: A*, A* H, the error
  /// while it is begun, A' over twice its unit, and that times H.
  std::vector<float> target, pulls, error, coded, products;
  std::vector<float> outputs; ///< G, [row][row][kLanes]
  std::vector<float> factors; ///< of the group's rows
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
  // Two threads have something to do; which blocks share a group tells nothing.
  const int64_t blocks = task.outputs->blocks();
  const int64_t groups =
      std::min(blocks, std::max<int64_t>(2, (blocks + kLanes - 1) / kLanes));
  std::vector<CodingReport> reports(static_cast<size_t>(blocks));
  parallelFor(groups, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * blocks / groups;
      BlockGroup group(task, options, first, (g + 1) * blocks / groups - first);
      group.code();
      group.write(q);
      if (report)
        group.report(&reports[size_t(first)]);
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
