// SPDX-License-Identifier: Apache-2.0
//
// Rotary embedding and causal attention over packed documents as one node. The
// unit of work is a key-value head of a sequence, so gradients of shared heads
// are summed in one order at any number of threads.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Formulas.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/AttentionOnDevice.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Rotates pairs (x[j], x[turned/2 + j]) of one head; `sign` -1 rotates back.
/// Features from `turned` on stay.
void rotate(const float *x, const float *angles, int64_t turned, int64_t dim,
            float sign, float *y) {
  std::copy(x + turned, x + dim, y + turned);
  const int64_t half = turned / 2;
  for (int64_t j = 0; j < half; ++j) {
    const float c = angles[j], s = sign * angles[half + j];
    const RotatedPair pair = rotated(x[j], x[half + j], c, s);
    y[j] = pair.a;
    y[half + j] = pair.b;
  }
}

/// Where one key-value head of one sequence lies, and room for its copies.
class HeadWork {
public:
  HeadWork(const AttentionPlan &plan, const AttentionHead &form, int64_t heads,
           int64_t kvHeads)
      : plan(plan), head(form), dim(form.dim), heads(heads), kvHeads(kvHeads),
        turned(plan.angles.size(1)), angles(floatsOf(plan.angles)),
        stride(roundUpToLanes(plan.positions)), row(size_t(dim)),
        kT(size_t(dim * stride)), vT(kT.size()),
        q(size_t(plan.positions * dim)),
        scratch(size_t(attentionScratch(plan.positions))) {}

  void start(int64_t unit) {
    firstToken = unit / kvHeads * plan.positions;
    kvHead = unit % kvHeads;
    head.first = plan.first.data() + firstToken;
  }

  const float *anglesOf(int64_t position) const {
    return angles + plan.places[size_t(firstToken + position)] * turned;
  }
  int64_t groupHeads() const { return heads / kvHeads; }
  int64_t queryHead(int64_t g) const { return kvHead * groupHeads() + g; }

  /// Element offset of a token's head in a matrix of `count` heads.
  int64_t place(int64_t position, int64_t index, int64_t count) const {
    return ((firstToken + position) * count + index) * dim;
  }

  /// Fills kT (rotated) and vT.
  void loadKeys(const float *k, const float *v) {
    for (int64_t i = 0; i < plan.positions; ++i) {
      const int64_t from = place(i, kvHead, kvHeads);
      rotate(k + from, anglesOf(i), turned, dim, 1, row.data());
      for (int64_t d = 0; d < dim; ++d) {
        kT[d * stride + i] = row[d];
        vT[d * stride + i] = v[from + d];
      }
    }
  }
  /// Fills q, rotated, with one query head.
  void loadQueries(const float *from, int64_t index) {
    for (int64_t i = 0; i < plan.positions; ++i)
      rotate(from + place(i, index, heads), anglesOf(i), turned, dim, 1,
             q.data() + i * dim);
  }
  void loadRows(const float *from, int64_t index, float *to) const {
    for (int64_t i = 0; i < plan.positions; ++i)
      for (int64_t d = 0; d < dim; ++d)
        to[i * dim + d] = from[place(i, index, heads) + d];
  }
  void storeRows(const float *from, int64_t index, float *to) const {
    for (int64_t i = 0; i < plan.positions; ++i)
      for (int64_t d = 0; d < dim; ++d)
        to[place(i, index, heads) + d] = from[i * dim + d];
  }
  /// Undoes the rotation and stores one query head's gradient.
  void storeQueryGradient(const float *from, int64_t index, float *to) const {
    for (int64_t i = 0; i < plan.positions; ++i)
      rotate(from + i * dim, anglesOf(i), turned, dim, -1,
             to + place(i, index, heads));
  }
  void storeKeyGradients(const float *dkT, const float *dvT, float *dk,
                         float *dv) {
    for (int64_t i = 0; i < plan.positions; ++i) {
      const int64_t to = place(i, kvHead, kvHeads);
      for (int64_t d = 0; d < dim; ++d) {
        row[d] = dkT[d * stride + i];
        dv[to + d] = dvT[d * stride + i];
      }
      rotate(row.data(), anglesOf(i), turned, dim, -1, dk + to);
    }
  }

  const AttentionPlan &plan;
  AttentionHead head;
  const int64_t dim, heads, kvHeads, turned;
  const float *angles;
  const int64_t stride;
  int64_t firstToken = 0, kvHead = 0;
  std::vector<float> row, kT, vT, q, scratch;
};

struct RotaryAttention : torch::autograd::Function<RotaryAttention> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &q,
                            const at::Tensor &k, const at::Tensor &v,
                            int64_t dim, int64_t planAddress, double scale,
                            double softCap) {
    const auto &plan = *reinterpret_cast<const AttentionPlan *>(planAddress);
    const AttentionHead form{plan.positions, dim, float(scale), float(softCap)};
    const int64_t heads = q.size(1) / dim, kvHeads = k.size(1) / dim;
    at::Tensor out = at::empty_like(q);
    at::Tensor logSums =
        at::empty({plan.sequences, heads, plan.positions}, q.options());
    const float *qs = floatsOf(q);
    const float *ks = floatsOf(k);
    const float *vs = floatsOf(v);
    float *outs = out.mutable_data_ptr<float>();
    float *sums = logSums.mutable_data_ptr<float>();
    parallelFor(plan.sequences * kvHeads, 1, [&](int64_t begin, int64_t end) {
      HeadWork work(plan, form, heads, kvHeads);
      std::vector<float> result(work.q.size());
      for (int64_t unit = begin; unit < end; ++unit) {
        work.start(unit);
        work.loadKeys(ks, vs);
        for (int64_t g = 0; g < work.groupHeads(); ++g) {
          const int64_t index = work.queryHead(g);
          work.loadQueries(qs, index);
          kernels().attentionForward(work.head, work.q.data(), work.kT.data(),
                                     work.vT.data(), result.data(),
                                     sums + (unit / kvHeads * heads + index) *
                                                plan.positions,
                                     work.scratch.data());
          work.storeRows(result.data(), index, outs);
        }
      }
    });
    context->save_for_backward({q, k, v, out, logSums});
    context->saved_data["dim"] = dim;
    context->saved_data["plan"] = planAddress;
    context->saved_data["scale"] = scale;
    context->saved_data["cap"] = softCap;
    return out;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1];
    const int64_t dim = context->saved_data["dim"].toInt();
    const auto &plan = *reinterpret_cast<const AttentionPlan *>(
        context->saved_data["plan"].toInt());
    const AttentionHead form{plan.positions, dim,
                             float(context->saved_data["scale"].toDouble()),
                             float(context->saved_data["cap"].toDouble())};
    const int64_t heads = q.size(1) / dim, kvHeads = k.size(1) / dim;
    const at::Tensor dOut = gradients[0].contiguous();
    at::Tensor dq = at::empty_like(q), dk = at::empty_like(k);
    at::Tensor dv = at::empty_like(k);
    const float *qs = floatsOf(q);
    const float *ks = floatsOf(k);
    const float *vs = floatsOf(saved[2]);
    const float *outs = floatsOf(saved[3]);
    const float *sums = floatsOf(saved[4]);
    const float *dOuts = floatsOf(dOut);
    float *dqs = dq.mutable_data_ptr<float>();
    float *dks = dk.mutable_data_ptr<float>();
    float *dvs = dv.mutable_data_ptr<float>();
    parallelFor(plan.sequences * kvHeads, 1, [&](int64_t begin, int64_t end) {
      HeadWork work(plan, form, heads, kvHeads);
      std::vector<float> out(work.q.size()), up(work.q.size()),
          down(work.q.size()), dkT(work.kT.size()), dvT(work.kT.size());
      for (int64_t unit = begin; unit < end; ++unit) {
        work.start(unit);
        work.loadKeys(ks, vs);
        std::fill(dkT.begin(), dkT.end(), 0.f);
        std::fill(dvT.begin(), dvT.end(), 0.f);
        for (int64_t g = 0; g < work.groupHeads(); ++g) {
          const int64_t index = work.queryHead(g);
          work.loadQueries(qs, index);
          work.loadRows(outs, index, out.data());
          work.loadRows(dOuts, index, up.data());
          kernels().attentionBackward(work.head, work.q.data(), work.kT.data(),
                                      work.vT.data(), out.data(),
                                      sums + (unit / kvHeads * heads + index) *
                                                 plan.positions,
                                      up.data(), down.data(), dkT.data(),
                                      dvT.data(), work.scratch.data());
          work.storeQueryGradient(down.data(), index, dqs);
        }
        work.storeKeyGradients(dkT.data(), dvT.data(), dks, dvs);
      }
    });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

} // namespace

at::Tensor rotaryAttention(const at::Tensor &q, const at::Tensor &k,
                           const at::Tensor &v, int64_t headDim,
                           const AttentionPlan &plan, const ScoreForm &scores) {
  if (deviceKernels(q))
    return attentionOnDevice(q, k, v, headDim, plan, scores);
  return RotaryAttention::apply(
      q, k, v, headDim, reinterpret_cast<int64_t>(&plan),
      scores.scale.value_or(1 / std::sqrt(double(headDim))),
      scores.softCap.value_or(0));
}

} // namespace fairy2::trainer
