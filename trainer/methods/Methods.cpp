// SPDX-License-Identifier: Apache-2.0
#include "trainer/methods/Methods.h"
#include "trainer/TensorData.h"

#include "dialect/Error.h"
#include "trainer/Words.h"
#include "trainer/methods/MethodTable.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <map>

namespace fairy2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using MakeMethod = std::unique_ptr<Method> (*)();

const std::map<std::string, MakeMethod> kMethods = {
    {"none", [] { return std::unique_ptr<Method>(); }},
    {"complex_phase_v1", [] { return makeComplexPhase(1); }},
    {"complex_phase_v2", [] { return makeComplexPhase(2); }},
    {"complex_phase_v3", [] { return makeComplexPhase(3); }},
    {"complex_phase_v4", [] { return makeComplexPhase(4); }},
    {"bitnet", [] { return makeBitNet(); }},
    {"ternary", [] { return makeTernary(); }},
    {"sign2", [] { return makeTwoSigns(); }},
    {"int2", [] { return makeFourLevels(); }},
};

struct QuantizeStraightThrough
    : torch::autograd::Function<QuantizeStraightThrough> {
  static at::Tensor forward(AutogradContext *, const at::Tensor &latent,
                            int64_t methodAddress, const std::string &name,
                            double lambda) {
    const auto &method = *reinterpret_cast<const Method *>(methodAddress);
    at::Tensor out = at::empty_like(latent);
    method.quantize(floatsOf(latent), latent.size(0), latent.size(1), name,
                    out.mutable_data_ptr<float>());
    if (lambda != 1)
      out.mul_(lambda).add_(latent, 1 - lambda);
    return out;
  }

  static tensor_list backward(AutogradContext *, tensor_list gradients) {
    return {gradients[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

} // namespace

std::vector<std::string> methodNames() {
  std::vector<std::string> names;
  for (const auto &[name, make] : kMethods)
    names.push_back(name);
  return names;
}

std::unique_ptr<Method> makeMethod(const std::string &name) {
  const auto found = kMethods.find(name);
  if (found == kMethods.end())
    throw Error("method: expected one of " + joined(methodNames()) +
                ", found '" + name + "'" + didYouMean(name, methodNames()));
  return found->second();
}

at::Tensor quantizeStraightThrough(const at::Tensor &latent,
                                   const Method &method,
                                   const std::string &name, double lambda) {
  return QuantizeStraightThrough::apply(
      latent, reinterpret_cast<int64_t>(&method), name, lambda);
}

} // namespace fairy2
