// SPDX-License-Identifier: Apache-2.0
//
// The perplexity of the fake model, worked out again from its formula.
#include "runtime/measure/Evaluate.h"

#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <cmath>

#include <sys/resource.h>

using namespace fairy2;
using namespace fairy2::test;

namespace {

using Texts = std::vector<std::string>;

Documents documentsOf(const Texts &texts) {
  return [texts](const UsePiece &use) {
    for (const std::string &text : texts)
      // In pieces, as a file is read.
      if (!use(text.substr(0, 3), false) ||
          !use(text.size() > 3 ? text.substr(3) : "", true))
        return;
  };
}

Texts textsOf(const std::string &path, Protocol protocol) {
  Texts texts;
  std::string open;
  fairy2::documentsOf(path, protocol)([&](std::string_view piece, bool ends) {
    open += piece;
    if (ends)
      texts.push_back(std::exchange(open, ""));
    return true;
  });
  return texts;
}

class EvaluateTest : public testing::Test {
protected:
  EvaluateTest() : model(Model::open(writeFakeModel(folder.file("m.so")))) {}

  /// -log p of a token after `context`, from the fake model's formula.
  static double lossOf(const std::vector<int32_t> &context, int32_t target) {
    const std::vector<float> logits = fakeLogits(context);
    double total = 0;
    for (const float logit : logits)
      total += std::exp(double(logit) - 1000);
    return std::log(total) + 1000 - double(logits[size_t(target)]);
  }

  /// Sum over the pieces of `chunk` tokens, each after BOS, and their number.
  std::pair<double, int64_t> expected(size_t chunk, size_t maxPieces) const {
    const std::vector<int32_t> ids = model->tokenizer().encode(text, false);
    double sum = 0;
    int64_t count = 0;
    for (size_t begin = 0, piece = 0; begin < ids.size() && piece < maxPieces;
         begin += chunk, ++piece) {
      std::vector<int32_t> context = {kFakeBos};
      for (size_t i = begin; i < std::min(begin + chunk, ids.size()); ++i) {
        sum += lossOf(context, ids[i]);
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
      const Evaluation result =
          evaluate(model, documentsOf(Texts{text}), options);
      EXPECT_EQ(result.tokens, count);
      EXPECT_NEAR(result.nllPerToken, sum / double(count), 1e-9 * sum);
      EXPECT_EQ(result.perplexity, std::exp(result.nllPerToken));
    }
}

TEST_F(EvaluateTest, GptqPredictsAllButTheFirstOfEachWindow) {
  const std::vector<std::string> documents = {text, "", "and more"};
  const std::vector<int32_t> ids =
      model->tokenizer().encode(text + "\n\n\n\nand more", true);
  ASSERT_EQ(ids[0], kFakeBos);
  for (const int32_t chunk : {2, 7, 33, 100}) {
    double sum = 0;
    int64_t windows = 0;
    for (size_t end = size_t(chunk); end <= ids.size(); end += size_t(chunk)) {
      std::vector<int32_t> context = {ids[end - size_t(chunk)]};
      for (size_t i = end - size_t(chunk) + 1; i < end; ++i) {
        sum += lossOf(context, ids[i]);
        context.push_back(ids[i]);
      }
      ++windows;
    }
    EvaluationOptions options;
    options.protocol = Protocol::Gptq;
    options.chunk = chunk;
    const Evaluation result = evaluate(model, documentsOf(documents), options);
    EXPECT_EQ(result.chunks, windows);
    EXPECT_EQ(result.tokens, windows * (chunk - 1));
    EXPECT_NEAR(result.nllPerToken, sum / double(result.tokens), 1e-9 * sum);
  }
}

/// The sequences are written out by hand, by the reference's rules.
TEST_F(EvaluateTest, ReferencePacksWholeDocuments) {
  const auto ids = [&](const std::string &chat) {
    return model->tokenizer().encode(chat, false);
  };
  struct Case {
    std::vector<std::string> documents, sequences;
  };
  const Case cases[] = {
      // Eight tokens hold BOS, three letters, EOS, two letters, EOS.
      {{"abc", "", "de", "f"}, {"<s>abc</s>de</s>", "<s>f</s>"}},
      {{"abc", "def", "g"}, {"<s>abc</s>", "<s>def</s>g</s>"}},
      // Nine tokens with EOS: dropped.
      {{"ab", "abcdefgh", "cd"}, {"<s>ab</s>cd</s>"}},
      // Eight with EOS: fit, but not beside BOS. The last such is dropped.
      {{"abcdefg", "h"}, {"<s>abcdefg</s>", "<s>h</s>"}},
      {{"h", "abcdefg"}, {"<s>h</s>"}},
  };
  for (const Case &one : cases) {
    double sum = 0;
    int64_t count = 0;
    for (const std::string &sequence : one.sequences) {
      std::vector<int32_t> context;
      for (const int32_t id : ids(sequence)) {
        if (!context.empty() && context.back() != kFakeEos)
          sum += lossOf(context, id);
        context.push_back(id);
      }
      count += std::ssize(context) - 1;
    }
    EvaluationOptions options;
    options.protocol = Protocol::Reference;
    options.chunk = 8;
    const Evaluation result =
        evaluate(model, documentsOf(one.documents), options);
    EXPECT_EQ(result.chunks, std::ssize(one.sequences));
    EXPECT_EQ(result.tokens, count);
    EXPECT_NEAR(result.nllPerToken, sum / double(count), 1e-9 * sum);
  }
}

TEST_F(EvaluateTest, DocumentsOfAFile) {
  const std::string lines = folder.file("a.txt");
  writeFile(lines, "one\n\n two\n");
  EXPECT_EQ(textsOf(lines, Protocol::Gptq), Texts{"one\n\n two\n"});
  EXPECT_EQ(textsOf(lines, Protocol::Reference), (Texts{"one", "", " two"}));
  const std::string records = folder.file("a.jsonl");
  writeFile(records, "{\"text\": \"a\\nb\", \"id\": 3}\r\n\n{\"text\": \"\"}");
  for (const Protocol protocol : {Protocol::Chunks, Protocol::Reference})
    EXPECT_EQ(textsOf(records, protocol), (Texts{"a\nb", ""}));
  for (const auto &[bad, expected] :
       {std::pair("{\"text\": 3}",
                  ": field 'text': expected a string, found 3"),
        std::pair("[]", ": expected an object, found a list of 0 values"),
        std::pair("{\"text\"", ": not valid JSON: at line 1, column 8: syntax "
                               "error while parsing object separator - "
                               "unexpected end of input; expected ':'"),
        std::pair("{}", ": field 'text': is missing")}) {
    writeFile(records, std::string("{\"text\": \"a\"}\n") + bad + "\n");
    EXPECT_EQ(errorOf([&] { textsOf(records, Protocol::Gptq); }),
              records + ":2" + expected);
  }
  for (const char *magic : {"\x1f\x8b\x08", "\x28\xb5\x2f\xfd\x04"}) {
    writeFile(lines, magic);
    EXPECT_EQ(errorOf([&] { textsOf(lines, Protocol::Gptq); }),
              lines + ": expected text, found a compressed file");
  }
}

TEST_F(EvaluateTest, ThreadsDoNotChangeTheFigure) {
  EvaluationOptions options;
  options.chunk = 31;
  options.threads = 1;
  const double alone =
      evaluate(model, documentsOf(Texts{text}), options).nllPerToken;
  options.threads = 0;
  EXPECT_EQ(evaluate(model, documentsOf(Texts{text}), options).nllPerToken,
            alone);
}

TEST_F(EvaluateTest, ProgressCountsPieces) {
  EvaluationOptions options;
  options.chunk = 40;
  std::vector<std::pair<int64_t, int64_t>> calls;
  options.onProgress = [&](int64_t done, int64_t total) {
    calls.emplace_back(done, total);
  };
  evaluate(model, documentsOf(Texts{text}), options);
  EXPECT_EQ(calls,
            (std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {2, 3}, {3, 3}}));
}

TEST_F(EvaluateTest, BadRequestsAreNamed) {
  const auto messageOf = [&](const std::string &what, auto edit) {
    EvaluationOptions options;
    options.chunk = 10;
    edit(options);
    return errorOf([&] { evaluate(model, documentsOf(Texts{what}), options); });
  };
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.chunk = 101; }),
            "chunk: expected 1 to 100, the model's positions, found 101");
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.chunk = -1; }),
            "chunk: expected 1 to 100, the model's positions, found -1");
  EXPECT_EQ(messageOf(text, [](EvaluationOptions &o) { o.maxChunks = -1; }),
            "number of chunks: expected at least 0, found -1");
  EXPECT_EQ(messageOf("", [](EvaluationOptions &) {}),
            "text: expected at least one token, found none");
  EXPECT_EQ(
      messageOf("abc",
                [](EvaluationOptions &o) { o.protocol = Protocol::Gptq; }),
      "text: expected at least 10 tokens, one chunk, found 4");
  EXPECT_EQ(
      messageOf(text,
                [](EvaluationOptions &o) { o.protocol = Protocol::Reference; }),
      "text: expected a document of at most 10 tokens, found none");
  for (const Protocol protocol : {Protocol::Gptq, Protocol::Reference})
    EXPECT_EQ(messageOf(text,
                        [&](EvaluationOptions &o) {
                          o.protocol = protocol;
                          o.chunk = 1;
                        }),
              "chunk: expected 2 to 100, the model's positions, found 1");
}

TEST_F(EvaluateTest, BosIsNeeded) {
  const std::string path = folder.file("nobos.so");
  writeFakeModel(path, [](nlohmann::json &manifest) {
    manifest["model"].erase("bos_token");
  });
  EvaluationOptions options;
  options.chunk = 10;
  EXPECT_EQ(errorOf([&] {
              evaluate(Model::open(path), documentsOf(Texts{text}), options);
            }),
            path + ": manifest.model.bos_token: expected one to start each "
                   "piece with, found none");
  // The others do without.
  options.protocol = Protocol::Gptq;
  EXPECT_GT(
      evaluate(Model::open(path), documentsOf(Texts{text}), options).tokens, 0);
}

/// A document of 24 MB is read to its end, encoded, and not held.
TEST_F(EvaluateTest, MemoryDoesNotGrowWithTheText) {
  EvaluationOptions options;
  options.protocol = Protocol::Reference;
  options.chunk = 100;
  const Documents documents = [&](const UsePiece &use) {
    for (int i = 0; i < 256'000; ++i)
      use(text, false);
    use("", true);
  };
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss; // in KiB
  };
  const long before = peak();
  EXPECT_EQ(errorOf([&] { evaluate(model, documents, options); }),
            "text: expected a document of at most 100 tokens, found none");
  EXPECT_LT(peak() - before, 12 << 10);
}

} // namespace
