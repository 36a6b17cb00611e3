// SPDX-License-Identifier: Apache-2.0
//
// The plan's names and shapes beside those that transformers stored.
#include "frontend/DecoderPlan.h"

#include "frontend/Checkpoint.h"
#include "test/unit/frontend/TestFiles.h"

#include <map>
#include <set>

using namespace fairy2;

namespace {

const std::filesystem::path kGolden =
    FAIRY2_SOURCE_DIR "/test/frontend/golden/Inputs";

TEST(DecoderPlanTest, NamesAndShapesAreThoseOfTransformers) {
  std::set<std::string> seen;
  for (const auto &entry : std::filesystem::directory_iterator(kGolden)) {
    const HFConfig config = HFConfig::read(entry.path());
    seen.insert(config.architecture);
    std::map<std::string, std::vector<int64_t>> planned, stored;
    for (const DecoderParameter &parameter : DecoderPlan(config).parameters)
      planned[parameter.name] = parameter.shape;
    const Checkpoint checkpoint = Checkpoint::open(entry.path());
    for (const auto &[name, tensor] : checkpoint.tensors())
      stored[name] = tensor.shape;
    EXPECT_EQ(planned, stored) << entry.path();
  }
  const auto all = HFConfig::knownArchitectures();
  EXPECT_EQ(seen, std::set<std::string>(all.begin(), all.end()));
}

/// By hand, of a Llama with biases and of a Phi-3, whose projections are fused.
TEST(DecoderPlanTest, RolesAndAxesAreThoseOfTheNames) {
  using enum ParameterRole;
  const HFConfig llama = HFConfig::read(kGolden / "llama-biased");
  const DecoderPlan plan(llama);
  EXPECT_EQ(plan.parameters[plan.embedding].role, Embedding);
  EXPECT_EQ(plan.parameters[plan.finalNorm].name, "model.norm.weight");
  EXPECT_EQ(plan.parameters[plan.head].role, Head);
  const PlannedLayer &layer = plan.layers[1];
  const DecoderParameter &keys =
      plan.parameters[layer.attentionInputs[1].weight];
  EXPECT_EQ(keys.name, "model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(keys.role, Matrix);
  EXPECT_EQ(keys.layer, 1);
  EXPECT_EQ(keys.rows, std::vector{Axis::Keys});
  EXPECT_EQ(keys.columns, Axis::Hidden);
  EXPECT_FALSE(keys.endsBranch());
  EXPECT_TRUE(plan.parameters[layer.mlpOutput.weight].endsBranch());
  EXPECT_EQ(plan.parameters[*layer.mlpOutput.bias].role, Bias);
  EXPECT_FALSE(layer.afterMlp || layer.queryNorm);
  for (const DecoderParameter &parameter : plan.parameters)
    EXPECT_EQ(parameter.name.ends_with(".bias"), parameter.role == Bias);

  const DecoderPlan phi3(HFConfig::read(kGolden / "phi3"));
  ASSERT_EQ(phi3.layers[0].attentionInputs.size(), 1u);
  const DecoderParameter &fused =
      phi3.parameters[phi3.layers[0].attentionInputs[0].weight];
  EXPECT_EQ(fused.rows, (std::vector{Axis::Queries, Axis::Keys, Axis::Keys}));
}

} // namespace
