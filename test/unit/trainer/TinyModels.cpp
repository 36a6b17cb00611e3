// SPDX-License-Identifier: Apache-2.0
//
// Config, tokenizer and random weights of a Llama, and English-like text from a
// seed.
#include "test/unit/trainer/TinyModels.h"

#include "frontend/Synthesize.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>

namespace fairy2::trainer {

void writeTinyModel(const std::filesystem::path &folder,
                    const std::string &fields, int intermediateSize) {
  const TemporaryFolder scratch;
  const std::string config = scratch.write("config.json", R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "vocab_size": 264, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
    "intermediate_size": )" + std::to_string(intermediateSize) +
                                                              fields + "}");
  SynthesizeOptions options;
  options.type = DType::F32;
  options.byteTokenizer = true;
  synthesizeCheckpoint(config, folder, options);
}

std::string tinyText(int sentences, unsigned seed) {
  constexpr const char *kWho[] = {"The cat", "A dog", "Lily", "Tom"};
  constexpr const char *kDid[] = {"saw", "found", "liked", "took"};
  constexpr const char *kWhat[] = {"a ball", "the sun", "a big tree", "a cake"};
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < sentences; ++i)
    text += std::string(kWho[random() % 4]) + " " + kDid[random() % 4] + " " +
            kWhat[random() % 4] + ". ";
  return text;
}

std::string outputOf(const std::string &command) {
  std::string output;
  FILE *pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (const size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, size);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

} // namespace fairy2::trainer
