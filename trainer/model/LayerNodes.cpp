// SPDX-License-Identifier: Apache-2.0
//
// Autograd nodes that ask for a layer's weights when it begins and give them
// back when it ends; one kind computes the layer again in backward.
#include "trainer/model/LayerNodes.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

size_t unitOf(size_t layer) { return layer + 1; }

struct BeginLayer : torch::autograd::Function<BeginLayer> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x,
                            int64_t sourceAddress, int64_t index) {
    context->saved_data["source"] = sourceAddress;
    context->saved_data["layer"] = index;
    return x.view(x.sizes());
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    auto &source = *reinterpret_cast<WeightSource *>(
        context->saved_data["source"].toInt());
    source.gradientsDone(unitOf(size_t(context->saved_data["layer"].toInt())));
    return {gradients[0], at::Tensor(), at::Tensor()};
  }
};

/// What a node needs to run its layer.
struct LayerCall {
  const Model &model;
  WeightSource &source;
  const Batch &batch;
  size_t index;

  at::Tensor run(const at::Tensor &x) const {
    return model.layer(index, source.weights(), batch, x);
  }
};

struct RecomputedLayer : torch::autograd::Function<RecomputedLayer> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x,
                            int64_t model, int64_t source, int64_t batch,
                            int64_t index) {
    context->save_for_backward({x});
    context->saved_data["model"] = model;
    context->saved_data["source"] = source;
    context->saved_data["batch"] = batch;
    context->saved_data["layer"] = index;
    const LayerCall call = callOf(context);
    call.source.acquire(unitOf(call.index), /*forBackward=*/false);
    at::Tensor y = call.run(x);
    call.source.release(unitOf(call.index));
    return y;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const LayerCall call = callOf(context);
    const size_t unit = unitOf(call.index);
    const at::Tensor x =
        context->get_saved_variables()[0].detach().requires_grad_(true);
    call.source.acquire(unit, /*forBackward=*/true);
    at::Tensor y;
    {
      const at::AutoGradMode withGradients(true);
      y = call.run(x);
    }
    torch::autograd::backward({y}, {gradients[0]});
    call.source.gradientsDone(unit);
    call.source.release(unit);
    return {x.grad(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }

private:
  static LayerCall callOf(AutogradContext *context) {
    const auto address = [&](const char *name) {
      return context->saved_data[name].toInt();
    };
    return {*reinterpret_cast<const Model *>(address("model")),
            *reinterpret_cast<WeightSource *>(address("source")),
            *reinterpret_cast<const Batch *>(address("batch")),
            size_t(address("layer"))};
  }
};

} // namespace

at::Tensor beginLayer(WeightSource &source, size_t index, const at::Tensor &x) {
  return BeginLayer::apply(x, reinterpret_cast<int64_t>(&source),
                           int64_t(index));
}

at::Tensor recomputedLayer(const Model &model, WeightSource &source,
                           const Batch &batch, size_t index,
                           const at::Tensor &x) {
  return RecomputedLayer::apply(
      x, reinterpret_cast<int64_t>(&model), reinterpret_cast<int64_t>(&source),
      reinterpret_cast<int64_t>(&batch), int64_t(index));
}

} // namespace fairy2::trainer
