// SPDX-License-Identifier: Apache-2.0
#include "trainer/Optimizer.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>

namespace fairy2 {

AdamW::AdamW(std::vector<Parameter> &parameters, const Recipe::Train &settings)
    : settings(settings) {
  groups[0].weightDecay = settings.weightDecay;
  groups[1].weightDecay = 0;
  for (Parameter &parameter : parameters) {
    Group &group = groups[parameter.latent.dim() == 2 ? 0 : 1];
    group.parameters.push_back(&parameter);
    const at::Tensor like = parameter.latent.detach();
    group.means.push_back(at::zeros_like(like));
    group.squares.push_back(at::zeros_like(like));
    group.steps.push_back(at::zeros({}, at::kFloat));
  }
}

double AdamW::gradientNorm() const {
  double sum = 0;
  for (const Group &group : groups)
    for (const Parameter *parameter : group.parameters)
      if (const at::Tensor &gradient = parameter->latent.grad();
          gradient.defined()) {
        const at::Tensor flat = gradient.reshape({-1});
        sum += at::dot(flat, flat).item<float>();
      }
  return std::sqrt(sum);
}

void AdamW::scaleGradients(double factor) {
  for (Group &group : groups)
    for (Parameter *parameter : group.parameters)
      if (at::Tensor &gradient = parameter->latent.mutable_grad();
          gradient.defined())
        gradient.mul_(factor);
}

void AdamW::step(double learningRate) {
  const at::NoGradGuard noGradients;
  for (Group &group : groups) {
    std::vector<at::Tensor> latents, gradients;
    for (Parameter *parameter : group.parameters) {
      latents.push_back(parameter->latent);
      gradients.push_back(parameter->latent.grad().defined()
                              ? parameter->latent.grad()
                              : at::zeros_like(parameter->latent));
    }
    if (latents.empty())
      continue;
    for (at::Tensor &step : group.steps)
      step.add_(1);
    at::_fused_adamw_(latents, gradients, group.means, group.squares, {},
                      group.steps, learningRate, settings.beta1, settings.beta2,
                      group.weightDecay, settings.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
}

void AdamW::clearGradients() {
  for (Group &group : groups)
    for (Parameter *parameter : group.parameters)
      parameter->latent.mutable_grad().reset();
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (Group &group : groups)
    for (size_t i = 0; i < group.parameters.size(); ++i) {
      const std::string &name = group.parameters[i]->name;
      all.emplace_back(name + ".mean", group.means[i]);
      all.emplace_back(name + ".square", group.squares[i]);
      all.emplace_back(name + ".step", group.steps[i]);
    }
  return all;
}

} // namespace fairy2
