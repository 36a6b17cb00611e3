// SPDX-License-Identifier: Apache-2.0
//
// How fast tokenizers load, encode and decode:
//   TokenizerBenchmark TOKENIZER TEXT [BYTES_PER_CALL]
// prints one line of JSON; times are CPU time, rates MB (1e6 bytes) of text per
// second.
#include "runtime/support/Error.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

using namespace fairy2;
using fairy2::test::fromSentencePiece;

namespace {

/// CPU time of this process, so that other work on the machine counts little.
double seconds() { return double(std::clock()) / CLOCKS_PER_SEC; }

int run(const char *path, const char *textPath, size_t step) {
  const std::string file = readFile(path);
  const std::string text = readFile(textPath);
  if (text.empty()) {
    std::fprintf(stderr, "%s: expected text, found none\n", textPath);
    return 1;
  }
  double start = seconds();
  const auto tokenizer = std::string_view(path).ends_with(".model")
                             ? fromSentencePiece(file, path)
                             : Tokenizer::fromJson(file, path);
  const double load = seconds() - start;

  // Long enough for the clock, and the first round warms up.
  size_t encoded = 0, tokens = 0;
  std::vector<int32_t> ids;
  double encode = 0;
  for (int round = 0; round < 2 || encode < 1; ++round) {
    ids.clear();
    start = seconds();
    for (size_t at = 0; at < text.size(); at += step) {
      const auto part =
          tokenizer->encode(std::string_view(text).substr(at, step), false);
      ids.insert(ids.end(), part.begin(), part.end());
    }
    if (round) {
      encode += seconds() - start;
      encoded += text.size();
    }
  }
  tokens = ids.size();
  start = seconds();
  const std::string decoded = tokenizer->decode(ids, false);
  const double decode = seconds() - start;
  std::printf("{\"tokenizer\": \"%s\", \"load_ms\": %.1f, \"bytes\": %zu, "
              "\"tokens\": %zu, \"encode_mb_per_s\": %.2f, "
              "\"decode_mb_per_s\": %.2f}\n",
              path, load * 1e3, text.size(), tokens,
              double(encoded) / encode / 1e6,
              double(decoded.size()) / decode / 1e6);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: TokenizerBenchmark TOKENIZER TEXT "
                         "[BYTES_PER_CALL]\n");
    return 2;
  }
  try {
    const long long step = argc == 4 ? std::atoll(argv[3]) : 1 << 30;
    return run(argv[1], argv[2], step > 0 ? size_t(step) : 1);
  } catch (const Error &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
