// SPDX-License-Identifier: Apache-2.0
//
// The perplexity of the fake model, worked out again from its formula.
#include "runtime/Evaluate.h"

#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class EvaluateTest : public testing::Test {
protected:
  EvaluateTest() : model(Model::open(writeFakeModel(folder.file("m.so")))) {}

  /// Sum of -log p over the pieces of `chunk` tokens, and their number.
  std::pair<double, int64_t> expected(size_t chunk, size_t maxPieces) const {
    const std::vector<int32_t> ids = model->tokenizer().encode(text, false);
    double sum = 0;
    int64_t count = 0;
    for (size_t begin = 0, piece = 0; begin < ids.size() && piece < maxPieces;
         begin += chunk, ++piece) {
      std::vector<int32_t> context = {kFakeBos};
      for (size_t i = begin; i < std::min(begin + chunk, ids.size()); ++i) {
        const std::vector<float> logits = fakeLogits(context);
        double total = 0;
        for (const float logit : logits)
          total += std::exp(double(logit) - 1000);
        sum += std::log(total) + 1000 - double(logits[size_t(ids[i])]);
        ++count;
        context.push_back(ids[i]);
      }
    }
    return {sum, count};
  }

  TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  const std::string text = "the quick brown fox jumps over the lazy dog. it "
                           "was not amused by this, said <s> the dog.\n";
};

TEST_F(EvaluateTest, MeanOverAllPredictions) {
  for (const int32_t chunk : {1, 7, 8, 31, 100})
    for (const int64_t most : {int64_t(0), int64_t(2)}) {
      EvaluationOptions options;
      options.chunk = chunk;
      options.maxChunks = most;
      options.threads = 1;
      const auto [sum, count] =
          expected(size_t(chunk), most ? size_t(most) : 1000);
      const Evaluation result = evaluate(model, text, options);
      EXPECT_EQ(result.tokens, count);
      EXPECT_NEAR(result.nllPerToken, sum / double(count), 1e-9 * sum);
      EXPECT_EQ(result.perplexity, std::exp(result.nllPerToken));
    }
}

TEST_F(EvaluateTest, ThreadsDoNotChangeTheFigure) {
  EvaluationOptions options;
  options.chunk = 31;
  options.threads = 1;
  const double alone = evaluate(model, text, options).nllPerToken;
  options.threads = 0;
  EXPECT_EQ(evaluate(model, text, options).nllPerToken, alone);
}

TEST_F(EvaluateTest, ProgressCountsPieces) {
  EvaluationOptions options;
  options.chunk = 40;
  std::vector<std::pair<int64_t, int64_t>> calls;
  options.onProgress = [&](int64_t done, int64_t total) {
    calls.emplace_back(done, total);
  };
  evaluate(model, text, options);
  EXPECT_EQ(calls,
            (std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {2, 3}, {3, 3}}));
}

TEST_F(EvaluateTest, BadRequestsAreNamed) {
  const auto messageOf = [&](const std::string &what, auto edit) {
    EvaluationOptions options;
    options.chunk = 10;
    edit(options);
    return errorOf([&] { evaluate(model, what, options); });
  };
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.chunk = 101; }),
            "chunk: expected 1 to 100, the model's positions, found 101");
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.chunk = 0; }),
            "chunk: expected 1 to 100, the model's positions, found 0");
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.maxChunks = -1; }),
            "number of chunks: expected at least 0, found -1");
  EXPECT_EQ(messageOf("", [](EvaluationOptions &) {}),
            "text: expected at least one token, found none");
}

TEST_F(EvaluateTest, BosIsNeeded) {
  const std::string path = folder.file("nobos.so");
  writeFakeModel(path, [](nlohmann::json &manifest) {
    manifest["model"].erase("bos_token");
  });
  EvaluationOptions options;
  options.chunk = 10;
  EXPECT_EQ(errorOf([&] { evaluate(Model::open(path), text, options); }),
            path + ": manifest.model.bos_token: expected one to start each "
                   "piece with, found none");
}

} // namespace
