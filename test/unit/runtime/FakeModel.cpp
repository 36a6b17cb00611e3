// SPDX-License-Identifier: Apache-2.0
//
// The fake model's manifest, weights and tokenizer.
#include "test/unit/runtime/FakeModel.h"

#include "codegen/ArtifactWriter.h"

#include <algorithm>

namespace fairy2::test {
namespace {

using nlohmann::json;

template <typename T> std::span<const uint8_t> bytesOf(const T &container) {
  return {reinterpret_cast<const uint8_t *>(container.data()),
          container.size() * sizeof(container[0])};
}

json fakeManifest() {
  return json::parse(R"({
    "producer": "fake 1.0",
    "variants": [
      {"name": "fancy", "symbol": "fake_forward_fancy",
       "features": ["no-such-feature"], "kernels": [], "steps": []},
      {"name": "plain", "symbol": "fake_forward_plain", "features": [],
       "kernels": [], "steps": []}],
    "model": {"architecture": "FakeForCausalLM", "hidden_size": 4, "layers": 1,
              "heads": 1, "kv_heads": 1, "head_dim": 4, "vocab_size": 32,
              "max_positions": 100, "bos_token": 1, "eos_tokens": [2]},
    "scheme": {"method": "none", "stages": 0, "activations": "float",
               "lm_head": "keep"},
    "cache": {"bytes_per_position": 16, "layers": 1, "planes": [[1, 16]]},
    "batch": 8,
    "workspace_bytes": 4096,
    "layers": [{"name": "head", "op": "fake", "shape": [32, 1],
                "bits_per_parameter": 32, "offset": 0, "bytes": 128,
                "bytes_per_token": 128,
                "kernels": {"plain": "loop", "fancy": "loop"}}]})");
}

} // namespace

std::vector<uint8_t> fakeImage() {
  const std::string content = readFile(FAIRY2_FAKE_MODULE);
  return {content.begin(), content.end()};
}

std::vector<int32_t> fakeWeights() {
  std::vector<int32_t> weights(kFakeVocab);
  for (int32_t v = 0; v < kFakeVocab; ++v)
    weights[size_t(v)] = 7 * v * v + 3 * v + 1;
  return weights;
}

std::string fakeTokenizer() {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  int32_t id = 3;
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyz .\n"))
    vocabulary[std::string(1, c)] = id++;
  json added = json::array();
  for (const char *token : {"<unk>", "<s>", "</s>"})
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const json start = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto sequence = [](const char *name) -> json {
    return {{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  return json{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {start, sequence("A")}},
        {"pair", {start, sequence("A"), start, sequence("B")}},
        {"special_tokens",
         {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
      {"decoder", {{"type", "Fuse"}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", "<unk>"},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocabulary},
        {"merges", json::array()}}}}
      .dump();
}

std::string writeFakeModel(const std::string &path, const Edit &edit) {
  return writeFakeModel(path, fakeImage(), edit);
}

std::string writeFakeModel(const std::string &path,
                           const std::vector<uint8_t> &image, const Edit &edit,
                           const std::string &tokenizer) {
  ArtifactWriter writer(path, image);
  writer.append(bytesOf(fakeWeights()));
  const int64_t offset = writer.append(bytesOf(tokenizer));
  json manifest = fakeManifest();
  manifest["tokenizer"] = {{"offset", offset}, {"bytes", tokenizer.size()}};
  manifest["chat_template"] = kFakeChatTemplate;
  if (edit)
    edit(manifest);
  writer.finish(manifest);
  return path;
}

std::vector<float> fakeLogits(const std::vector<int32_t> &tokens) {
  int64_t sum = 0;
  for (size_t p = 0; p < tokens.size(); ++p)
    sum += int64_t(tokens[p] + 1) * int64_t(p + 1);
  std::vector<float> logits;
  for (const int32_t weight : fakeWeights())
    logits.push_back(float(sum * weight % 1009));
  return logits;
}

std::vector<int32_t> fakeGreedy(std::vector<int32_t> tokens, size_t count) {
  std::vector<int32_t> ids;
  while (ids.size() < count) {
    const std::vector<float> logits = fakeLogits(tokens);
    const auto best = std::max_element(logits.begin(), logits.end());
    ids.push_back(int32_t(best - logits.begin()));
    tokens.push_back(ids.back());
  }
  return ids;
}

} // namespace fairy2::test
