// SPDX-License-Identifier: Apache-2.0
//
// The levels this machine runs, random and adversarial inputs, and calls of
// kernels with them.
#include "test/unit/codegen/KernelRuns.h"

#include <random>

namespace fairy2 {

Floats randomFloats(int64_t count, uint32_t seed, float deviation) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Floats values(count);
  for (float &v : values)
    v = normal(random);
  return values;
}

std::string tensor(int64_t features, const char *element) {
  return "tensor<?x" + std::to_string(features) + "x" + element + ">";
}

std::string embed(const std::string &name, int64_t features) {
  return "%" + name + " = fairy2.embedding %tokens, @" + name +
         " : tensor<?xi32> -> " + tensor(features) + "\n";
}

Floats runEverywhere(const std::string &module,
                     const std::vector<std::vector<Step>> &splits,
                     int64_t slots, int64_t context) {
  Floats first;
  for (const CpuTarget *target : runnableTargets()) {
    CompiledModule compiled(module, *target);
    // Both forms, of any number of tokens, where the level has them.
    std::vector<int64_t> forms = {CompiledModule::kNoProducts};
    if (target->productsFrom)
      forms.push_back(1);
    for (int64_t productsFrom : forms)
      for (size_t i = 0; i < splits.size(); ++i)
        for (int threads : {1, i % 2 ? 2 : 3}) {
          compiled.resetCache(slots, context);
          Floats all;
          for (const Step &step : splits[i]) {
            const Floats y = compiled.run(step, threads, productsFrom);
            all.insert(all.end(), y.begin(), y.end());
          }
          if (first.empty())
            first = all;
          EXPECT_EQ(all, first)
              << target->name.str() << ", " << threads << " threads, "
              << splits[i].size() << " steps, products from " << productsFrom;
        }
  }
  return first;
}

Floats runEverywhere(const std::string &module, int64_t tokens) {
  std::vector<Step> oneByOne, uneven;
  for (int64_t t = 0; t < tokens; ++t)
    oneByOne.push_back(Step::range(t, t + 1));
  for (int64_t begin = 0, end; begin < tokens; begin = end) {
    end = std::min(tokens, begin + (begin == 0 ? 3 : 7));
    uneven.push_back(Step::range(begin, end));
  }
  return runEverywhere(module, {{Step::range(0, tokens)}, oneByOne, uneven});
}

void expectNear(const Floats &got, const Doubles &expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance) << "element " << i;
}

} // namespace fairy2
