// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints as programs really leave them: heads that are tied or are not,
// names, buffers and types. Made from a golden case, whose head is tied.
#include "frontend/DecoderCheckpoint.h"

#include "frontend/CheckpointWeights.h"
#include "frontend/Safetensors.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "test/unit/frontend/TestFiles.h"

#include <cstring>
#include <utility>

using namespace fairy2;

namespace {

struct Tensor {
  std::string type;
  std::vector<int64_t> shape;
  std::string bytes;
};

class DecoderCheckpointTest : public testing::Test {
protected:
  DecoderCheckpointTest() {
    const std::filesystem::path golden =
        FAIRY2_SOURCE_DIR "/test/frontend/golden/Inputs/llama";
    config = readJson(golden / "config.json");
    const Checkpoint checkpoint = Checkpoint::open(golden);
    for (const auto &[name, tensor] : checkpoint.tensors()) {
      std::string bytes(size_t(tensor.bytes), '\0');
      checkpoint.readBytes(static_cast<const StoredTensor &>(tensor), 0,
                           tensor.bytes,
                           reinterpret_cast<uint8_t *>(bytes.data()));
      tensors[name] = {nameOf(tensor.type), tensor.shape, bytes};
    }
  }

  DecoderCheckpoint open() const {
    folder.write("config.json", config.dump());
    std::vector<SafetensorsEntry> entries;
    std::string data;
    for (const auto &[name, tensor] : tensors) {
      const auto begin = int64_t(data.size());
      data += tensor.bytes;
      entries.push_back(
          {name, tensor.type, tensor.shape, begin, int64_t(data.size())});
    }
    folder.write("model.safetensors", formatSafetensorsHeader(entries) + data);
    DecoderCheckpoint model = DecoderCheckpoint::open(folder.path());
    requireNoOthers(model.checkpoint, nullptr, model.config);
    return model;
  }
  std::string error() const {
    return folder.errorOf([&] { open(); });
  }
  static std::vector<float> valuesOf(const Checkpoint &checkpoint,
                                     const char *name) {
    const TensorInfo &tensor = checkpoint.tensor(name);
    int64_t count = 1;
    for (const int64_t extent : tensor.shape)
      count *= extent;
    std::vector<float> values(static_cast<size_t>(count));
    checkpoint.readFloats(tensor, 0, count, values.data());
    return values;
  }
  /// The embedding with its rows turned by one.
  Tensor otherHead() const {
    Tensor head = tensors.at(kTableName);
    const auto row = int64_t(head.bytes.size()) / head.shape[0];
    head.bytes =
        head.bytes.substr(size_t(row)) + head.bytes.substr(0, size_t(row));
    return head;
  }

  const TemporaryFolder folder;
  nlohmann::json config;
  std::map<std::string, Tensor> tensors;
};

TEST_F(DecoderCheckpointTest, WhatIsStoredDecidesAboutTheHead) {
  EXPECT_TRUE(open().config.tieWordEmbeddings);
  // Stored twice.
  tensors[kHeadName] = tensors[kTableName];
  EXPECT_TRUE(open().config.tieWordEmbeddings);
  // A head of its own, whatever config.json says.
  tensors[kHeadName] = otherHead();
  const DecoderCheckpoint untied = open();
  EXPECT_FALSE(untied.config.tieWordEmbeddings);
  EXPECT_EQ(DecoderPlan(untied.config).parameters.back().name, kHeadName);
  // The head alone serves as the embedding.
  const std::vector<float> head = valuesOf(untied.checkpoint, kHeadName);
  tensors.erase(kTableName);
  const DecoderCheckpoint shared = open();
  EXPECT_TRUE(shared.config.tieWordEmbeddings);
  EXPECT_EQ(valuesOf(shared.checkpoint, kTableName), head);
  // Nobody says that one may serve for the other.
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(open().config.tieWordEmbeddings);
  EXPECT_THROW(open().checkpoint.tensor(kTableName), Error);
  // One of another shape is no embedding, and the model says so by its name.
  config["tie_word_embeddings"] = true;
  tensors[kTableName] = tensors[kHeadName];
  tensors[kHeadName].shape = {20, 48};
  EXPECT_FALSE(open().config.tieWordEmbeddings);
}

/// DeepSpeed leaves a tied tensor without values; which of the two is chance.
TEST_F(DecoderCheckpointTest, AnEmptyTensorIsNoHead) {
  const std::vector<float> table = valuesOf(open().checkpoint, kTableName);
  const Tensor empty = {"F32", {0}, ""};
  tensors[kHeadName] = empty;
  const DecoderCheckpoint headless = open();
  EXPECT_TRUE(headless.config.tieWordEmbeddings);
  EXPECT_EQ(valuesOf(headless.checkpoint, kTableName), table);
  tensors[kHeadName] = std::exchange(tensors[kTableName], empty);
  const DecoderCheckpoint shared = open();
  EXPECT_TRUE(shared.config.tieWordEmbeddings);
  EXPECT_EQ(valuesOf(shared.checkpoint, kTableName), table);
}

TEST_F(DecoderCheckpointTest, ATypeDoesNotUntieTheHead) {
  const std::vector<float> table = valuesOf(open().checkpoint, kTableName);
  Tensor &head = tensors[kHeadName];
  head = tensors[kTableName];
  head.type = "F32";
  head.bytes.assign(reinterpret_cast<const char *>(table.data()),
                    table.size() * sizeof(float));
  EXPECT_TRUE(open().config.tieWordEmbeddings);
}

TEST_F(DecoderCheckpointTest, BuffersAndEmptyTensorsHoldNothing) {
  const std::string buffer(16, '\1');
  for (const char *name : {"model.rotary_emb.inv_freq",
                           "model.layers.0.self_attn.rotary_emb."
                           "inv_freq",
                           "model.rotary_emb.original_inv_freq",
                           "model.layers.1.self_attn.rotary_emb.cos_cached"})
    tensors[name] = {"F32", {4}, buffer};
  tensors["model.layers.0.self_attn.q_proj.bias"] = {"F32", {0}, ""};
  tensors["model.position_ids"] = {"I64", {2}, buffer};
  EXPECT_EQ(error(), "no error");
  tensors["model.layers.0.self_attn.q_proj.bias"] = {"F32", {4}, buffer};
  EXPECT_EQ(error(), "DIR/model.safetensors: tensor "
                     "'model.layers.0.self_attn.q_proj.bias' is not part of a "
                     "LlamaForCausalLM with this config.json");
}

TEST_F(DecoderCheckpointTest, AModelWithoutItsHeadHasShorterNames) {
  const std::vector<float> norm =
      valuesOf(open().checkpoint, "model.layers.1.input_layernorm.weight");
  std::map<std::string, Tensor> shorter;
  for (const auto &[name, tensor] : tensors)
    shorter[name.substr(std::string("model.").size())] = tensor;
  tensors = shorter;
  EXPECT_EQ(
      valuesOf(open().checkpoint, "model.layers.1.input_layernorm.weight"),
      norm);
  // With the head in the embedding's place.
  tensors[kHeadName] = std::exchange(tensors["embed_tokens.weight"], {});
  tensors.erase("embed_tokens.weight");
  EXPECT_EQ(
      valuesOf(open().checkpoint, "model.layers.1.input_layernorm.weight"),
      norm);
  tensors = shorter;
  tensors["model.norm.weight"] = tensors["norm.weight"];
  EXPECT_EQ(error(), "DIR: tensor 'norm.weight': stands beside "
                     "'model.norm.weight'");
}

/// Values that float32 holds, and one that it rounds.
TEST_F(DecoderCheckpointTest, DoublesAreReadAsFloats) {
  std::vector<float> expected =
      valuesOf(open().checkpoint, "model.norm.weight");
  std::vector<double> doubles(expected.begin(), expected.end());
  doubles[3] = 1.0 / 3;
  expected[3] = 1.0f / 3;
  Tensor &norm = tensors["model.norm.weight"];
  norm.type = "F64";
  norm.bytes.assign(reinterpret_cast<const char *>(doubles.data()),
                    doubles.size() * sizeof(double));
  const DecoderCheckpoint model = open();
  EXPECT_EQ(model.checkpoint.tensor("model.norm.weight").type, DType::F32);
  EXPECT_EQ(valuesOf(model.checkpoint, "model.norm.weight"), expected);
  // As the compiler copies them, from the middle of one to that of another.
  std::vector<uint8_t> bytes(17);
  CheckpointWeights(model.checkpoint)
      .readBytes("model.norm.weight", 10, 27, bytes.data());
  EXPECT_EQ(std::memcmp(bytes.data(),
                        reinterpret_cast<const char *>(expected.data()) + 10,
                        17),
            0);
}

} // namespace
