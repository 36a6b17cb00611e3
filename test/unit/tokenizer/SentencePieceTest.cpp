// SPDX-License-Identifier: Apache-2.0
//
// SentencePiece files: models written here byte by byte, each field honoured,
// and the real ones against the tokenizer.json of the same model.
#include "runtime/support/Error.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace fairy2;
using namespace fairy2::test;

namespace {

/// With a type of its own, since damaged files hold other values too.
enum PieceType : int {
  Normal = 1,
  Unknown,
  Control,
  UserDefined,
  Unused,
  Byte
};

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7)
    out += char(value | 0x80);
  return out + char(value);
}
std::string number(int field, uint64_t value) {
  return varint(uint64_t(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string &value) {
  return varint(uint64_t(field) << 3 | 2) + varint(value.size()) + value;
}
std::string piece(const std::string &text, float score, PieceType type) {
  std::string real(sizeof score, '\0');
  std::memcpy(real.data(), &score, sizeof score);
  return bytes(1, bytes(1, text) + varint(2 << 3 | 5) + real + number(3, type));
}

constexpr int unigram = 1, bpe = 2;

/// A model of a few pieces: ids 0 <unk>, 1 <s>, 2 </s>, then `more`.
std::string model(int type, const std::string &more,
                  const std::string &normalizer = "",
                  const std::string &trainer = "") {
  return piece("<unk>", 0, Unknown) + piece("<s>", 0, Control) +
         piece("</s>", 0, Control) + more +
         bytes(2, number(3, uint64_t(type)) + trainer) + bytes(3, normalizer);
}
const std::string letters = piece("\u2581", -9, Normal) +
                            piece("a", -9, Normal) + piece("b", -9, Normal) +
                            piece("ab", -1, Normal) +
                            piece("\u2581a", -2, Normal);
enum { Space = 3, A, B, AB, SpaceA, Next };

std::vector<int32_t> encode(const std::string &file, const std::string &text) {
  return fromSentencePiece(file, "tokenizer.model")->encode(text, false);
}
using Ids = std::vector<int32_t>;

TEST(SentencePieceTest, MergesByScore) {
  const std::string file = model(bpe, letters);
  EXPECT_EQ(encode(file, "ab a"), (Ids{Space, AB, SpaceA}));
  EXPECT_EQ(encode(file, "xya"), (Ids{Space, 0, A}));
  EXPECT_EQ(encode(file, ""), Ids{});
}

TEST(SentencePieceTest, UnigramTakesTheBestSum) {
  const std::string file = model(unigram, letters);
  EXPECT_EQ(encode(file, "ab a"), (Ids{Space, AB, SpaceA}));
  EXPECT_EQ(encode(file, "aba"), (Ids{Space, AB, A}));
  EXPECT_EQ(encode(file, "<s>xb"), (Ids{1, Space, 0, B}));
}

TEST(SentencePieceTest, WhitespaceFieldsAreHonoured) {
  const auto spaces = [&](bool prefix, bool extra) {
    return model(bpe, letters, number(3, prefix) + number(4, extra));
  };
  EXPECT_EQ(encode(spaces(true, true), "  b  b "), (Ids{Space, B, Space, B}));
  EXPECT_EQ(encode(spaces(true, false), " b  b "),
            (Ids{Space, Space, B, Space, Space, B, Space}));
  EXPECT_EQ(encode(spaces(false, true), "  b  b "), (Ids{B, Space, B}));
  EXPECT_EQ(encode(spaces(false, false), " b "), (Ids{Space, B, Space}));
  const std::string plain =
      model(bpe, letters + piece(" ", -9, Normal), number(3, 1) + number(5, 0));
  EXPECT_EQ(encode(plain, "b b"), (Ids{Next, B, Next, B}));
}

TEST(SentencePieceTest, BytesStandForUnknownCharacters) {
  std::string tokens;
  for (int i = 0; i < 256; ++i) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", i);
    tokens += piece(name, 0, Byte);
  }
  for (int type : {unigram, bpe}) {
    const auto tokenizer = fromSentencePiece(
        model(type, letters + tokens, "", number(35, 1)), "tokenizer.model");
    const Ids ids = {1, SpaceA, Next + 0xc3, Next + 0xa9};
    EXPECT_EQ(tokenizer->encode("a\u00e9", true), ids);
    EXPECT_EQ(tokenizer->decode(ids), "a\u00e9");
  }
}

TEST(SentencePieceTest, UsersOwnPiecesStayWhole) {
  for (int type : {unigram, bpe}) {
    const std::string file = model(type, letters + piece("ba", 0, UserDefined));
    EXPECT_EQ(encode(file, "aba"), (Ids{SpaceA, Next})) << type;
  }
}

TEST(SentencePieceTest, BadFilesAreRefused) {
  const std::string good = model(bpe, letters);
  const auto message = [](const std::string &file) {
    return errorOf([&] { fromSentencePiece(file, "tokenizer.model"); });
  };
  const std::string cut = "tokenizer.model: expected a SentencePiece model, "
                          "found a field that is cut off or of another type";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::pair<std::string, std::string> cases[] = {
      {good, "no error"},
      {"", "tokenizer.model: expected a SentencePiece model, found no pieces"},
      {good.substr(0, 20), cut},
      {"{\"version\": \"1.0\"}", cut},
      {std::string(20, '\xff'), cut},
      {bytes(1, number(1, 5)), cut},
      {varint(1 << 3 | 2) + varint(~uint64_t(0)), cut},
      {model(bpe, piece("a", nan, Normal)),
       "tokenizer.model: pieces[3]: expected a finite score"},
      {model(bpe, piece("\xff", 0, Normal)),
       "tokenizer.model: pieces[3]: expected valid UTF-8 of 1 to 1024 bytes, "
       "found 1 bytes"},
      {model(bpe, piece("", 0, Normal)),
       "tokenizer.model: pieces[3]: expected valid UTF-8 of 1 to 1024 bytes, "
       "found 0 bytes"},
      {model(bpe, piece("<s>", 0, Normal)),
       "tokenizer.model: pieces[3]: expected each piece once, found \"<s>\" "
       "again"},
      {model(bpe, piece("a", 0, PieceType(9))),
       "tokenizer.model: pieces[3]: expected a type from 1 to 6, found 9"},
      {model(bpe, piece("a", 0, Unused)),
       "tokenizer.model: a BPE model with unused pieces is not supported"},
      {model(3, letters),
       "tokenizer.model: trainer_spec.model_type: expected 1 (unigram) or 2 "
       "(bpe), found 3"},
      {piece("a", 0, Normal) + bytes(2, number(3, bpe)),
       "tokenizer.model: expected one piece of the type unknown, found 0"},
      {model(bpe, letters, bytes(2, "map")),
       "tokenizer.model: normalizer_spec.precompiled_charsmap: a character map "
       "is not supported, expected the normalizer \"identity\""},
      {model(bpe, letters, "", number(24, 1)),
       "tokenizer.model: trainer_spec.treat_whitespace_as_suffix is not "
       "supported"},
  };
  for (const auto &[file, expected] : cases)
    EXPECT_EQ(message(file), expected);
}

/// No prefix and no altered byte of a file may do worse than an Error.
TEST(SentencePieceTest, DamagedFilesAreErrorsOrModels) {
  const std::string good =
      model(unigram, letters + piece("c", 0, UserDefined), number(3, 0));
  std::mt19937 random(1);
  for (size_t i = 0; i < 2000; ++i) {
    std::string damaged = good.substr(0, random() % (good.size() + 1));
    for (size_t j = random() % 4; j > 0 && !damaged.empty(); --j)
      damaged[random() % damaged.size()] = char(random());
    try {
      fromSentencePiece(damaged, "tokenizer.model")
          ->encode("ab c <s> x\n", true);
    } catch (const Error &e) {
      EXPECT_NE(std::string(e.what()).find("tokenizer.model: "),
                std::string::npos);
    }
  }
}

/// Llama-2's two files are one tokenizer. Stories260K's differ on whitespace
/// other than spaces at the ends, which only the JSON file strips.
TEST(SentencePieceTest, RealFilesEqualTheirJson) {
  if (!exists(sharedData()))
    GTEST_SKIP() << "skipped: no ../shared/data";
  const std::string text = readFile(sharedData() / "corpora" / "tinystories" /
                                    "tinystories_val.txt");
  ASSERT_GT(text.size(), 100'000u);
  for (const char *folder : {"tokenizers/llama2", "stories260K-hf"}) {
    const auto path = sharedData() / folder;
    const auto fromModel = fromSentencePiece(readFile(path / "tokenizer.model"),
                                             "tokenizer.model");
    const auto fromJson = Tokenizer::fromJson(readFile(path / "tokenizer.json"),
                                              "tokenizer.json");
    EXPECT_EQ(fromModel->vocabSize(), fromJson->vocabSize());
    size_t lines = 0;
    for (size_t at = 0, end; at < text.size(); at = end + 1, ++lines) {
      end = std::min(text.find('\n', at), text.size());
      const std::string_view line = std::string_view(text).substr(at, end - at);
      const Ids ids = fromJson->encode(line, true);
      ASSERT_EQ(fromModel->encode(line, true), ids) << line;
      ASSERT_EQ(fromModel->decode(ids), fromJson->decode(ids));
    }
    EXPECT_GT(lines, 1000u);
  }
}

} // namespace
