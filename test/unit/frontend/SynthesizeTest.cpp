// SPDX-License-Identifier: Apache-2.0
//
// Random checkpoints: read back by our own reader, equal for equal seeds at any
// sharding, with the right moments, and never half written.
#include "frontend/Synthesize.h"

#include "frontend/Checkpoint.h"
#include "frontend/DecoderPlan.h"
#include "test/unit/frontend/TestFiles.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

#include <sys/wait.h>

using namespace fairy2;
namespace fs = std::filesystem;

namespace {

constexpr char kConfig[] = R"({"architectures": ["LlamaForCausalLM"],
  "hidden_size": 48, "intermediate_size": 130, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300})";

class SynthesizeTest : public testing::Test {
protected:
  SynthesizeTest() { folder.write("source.json", kConfig); }

  SynthesizeResult synthesize(const char *name,
                              const SynthesizeOptions &options) const {
    return synthesizeCheckpoint(folder / "source.json", folder / name, options);
  }
  std::set<std::string> namesIn(const fs::path &directory) const {
    std::set<std::string> names;
    for (const fs::directory_entry &entry : fs::directory_iterator(directory))
      names.insert(entry.path().filename().string());
    return names;
  }
  const TemporaryFolder folder;
};

TEST_F(SynthesizeTest, WritesWhatTheReaderExpects) {
  int64_t last = 0, total = 0;
  SynthesizeOptions options;
  options.progress = [&](int64_t done, int64_t all) {
    EXPECT_GT(done, last);
    last = done;
    total = all;
  };
  const SynthesizeResult result = synthesize("out", options);
  EXPECT_EQ(namesIn(folder / "out"),
            (std::set<std::string>{"config.json", "model.safetensors"}));
  EXPECT_EQ(readFile(folder / "out/config.json"), kConfig);

  const HFConfig config = HFConfig::read(folder / "out");
  const Checkpoint checkpoint = Checkpoint::open(folder / "out");
  int64_t bytes = 0;
  for (const DecoderParameter &tensor : DecoderPlan(config).parameters) {
    EXPECT_EQ(checkpoint.tensor(tensor.name).shape, tensor.shape);
    EXPECT_EQ(checkpoint.tensor(tensor.name).type, DType::BF16);
    bytes += checkpoint.tensor(tensor.name).bytes;
  }
  EXPECT_EQ(checkpoint.tensors().size(), 3u + 2 * 9);
  EXPECT_EQ(result.bytes, bytes);
  EXPECT_EQ(result.parameters, bytes / 2);
  EXPECT_EQ(result.files, 1);
  EXPECT_EQ(last, bytes);
  EXPECT_EQ(total, bytes);
}

TEST_F(SynthesizeTest, SeedAndNameDecideTheValues) {
  synthesize("a", {.seed = 5, .type = DType::F32});
  synthesize("b", {.seed = 5, .type = DType::F32});
  synthesize("c", {.seed = 6, .type = DType::F32});
  const std::string file = "model.safetensors";
  EXPECT_EQ(readFile(folder / "a" / file), readFile(folder / "b" / file));
  EXPECT_NE(readFile(folder / "a" / file), readFile(folder / "c" / file));
  const Checkpoint checkpoint = Checkpoint::open(folder / "a");
  EXPECT_NE(floatsOf(checkpoint, "model.layers.0.mlp.up_proj.weight"),
            floatsOf(checkpoint, "model.layers.1.mlp.up_proj.weight"));
}

TEST_F(SynthesizeTest, ShardingChangesNoValue) {
  synthesize("one", {.type = DType::F16});
  const SynthesizeResult result =
      synthesize("many", {.type = DType::F16, .shardBytes = 30'000});
  EXPECT_GT(result.files, 2);
  const std::string count = std::to_string(result.files);
  EXPECT_TRUE(namesIn(folder / "many")
                  .count("model-00001-of-" +
                         std::string(5 - count.size(), '0') + count +
                         ".safetensors"));
  const Checkpoint one = Checkpoint::open(folder / "one");
  const Checkpoint many = Checkpoint::open(folder / "many");
  ASSERT_EQ(one.tensors().size(), many.tensors().size());
  std::set<std::string> files;
  for (const auto &[name, tensor] : one.tensors()) {
    EXPECT_EQ(floatsOf(one, name), floatsOf(many, name));
    files.insert(many.tensor(name).file);
  }
  EXPECT_EQ(int(files.size()), result.files);
}

TEST_F(SynthesizeTest, ValuesAreNormal) {
  synthesize("out", {.type = DType::F32});
  const Checkpoint checkpoint = Checkpoint::open(folder / "out");
  const std::vector<float> values =
      floatsOf(checkpoint, "model.embed_tokens.weight");
  double sum = 0, squares = 0, cubes = 0, fourth = 0;
  int within = 0;
  for (float value : values) {
    const double x = value / 0.02;
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourth += x * x * x * x;
    within += std::fabs(x) < 1;
  }
  const double count = double(values.size()); // 14,400: tolerances of 4 sigma
  EXPECT_NEAR(sum / count, 0, 0.034);
  EXPECT_NEAR(squares / count, 1, 0.048);
  EXPECT_NEAR(cubes / count, 0, 0.13);
  EXPECT_NEAR(fourth / count, 3, 0.33);
  EXPECT_NEAR(within / count, 0.6827, 0.016);

  for (float value : floatsOf(checkpoint, "model.norm.weight")) {
    EXPECT_NEAR(value, 1, 0.1);
    EXPECT_NE(value, 1);
  }
}

/// Element i comes from block i / 4: neighbours must not be correlated.
TEST_F(SynthesizeTest, NeighboursAreIndependent) {
  synthesize("out", {.type = DType::F32});
  const std::vector<float> values =
      floatsOf(Checkpoint::open(folder / "out"), "model.embed_tokens.weight");
  for (size_t lag : {1, 2, 3, 4, 8, 48}) {
    double product = 0;
    for (size_t i = lag; i < values.size(); ++i)
      product += double(values[i]) * values[i - lag] / (0.02 * 0.02);
    EXPECT_NEAR(product / double(values.size()), 0, 0.034) << lag;
  }
}

TEST_F(SynthesizeTest, NamesFollowTheArchitecture) {
  HFConfig config;
  config.hiddenSize = 8;
  config.intermediateSize = 12;
  config.layers = 1;
  config.heads = 2;
  config.kvHeads = 1;
  config.headDim = 6;
  config.vocabSize = 10;
  const auto names = [&] {
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const DecoderParameter &tensor : DecoderPlan(config).parameters)
      shapes[tensor.name] = tensor.shape;
    return shapes;
  };
  using Shape = std::vector<int64_t>;
  const std::string layer = "model.layers.0.";
  auto shapes = names();
  EXPECT_EQ(shapes.size(), 12u);
  EXPECT_EQ(shapes[layer + "self_attn.q_proj.weight"], (Shape{12, 8}));
  EXPECT_EQ(shapes[layer + "self_attn.k_proj.weight"], (Shape{6, 8}));
  EXPECT_EQ(shapes[layer + "self_attn.o_proj.weight"], (Shape{8, 12}));
  EXPECT_EQ(shapes[layer + "mlp.down_proj.weight"], (Shape{8, 12}));
  EXPECT_EQ(shapes["lm_head.weight"], (Shape{10, 8}));

  config.tieWordEmbeddings = true;
  EXPECT_EQ(names().count("lm_head.weight"), 0u);
  config.attentionBias = true; // as in Qwen2
  EXPECT_EQ(names().size(), 11u + 3);
  EXPECT_EQ(names()[layer + "self_attn.v_proj.bias"], Shape{6});
  config.attentionOutputBias = config.mlpBias = true;
  EXPECT_EQ(names().size(), 11u + 7);
  config.block.qkNorm = QkNorm::Heads; // as in Qwen3
  EXPECT_EQ(names()[layer + "self_attn.q_norm.weight"], Shape{6});
  config.block.qkNorm = QkNorm::Rows; // as in OLMo 2
  EXPECT_EQ(names()[layer + "self_attn.q_norm.weight"], Shape{12});
  config.block.fusedProjections = true; // as in Phi-3
  EXPECT_EQ(names()[layer + "self_attn.qkv_proj.weight"], (Shape{24, 8}));
  EXPECT_EQ(names()[layer + "self_attn.qkv_proj.bias"], Shape{24});
  EXPECT_EQ(names()[layer + "mlp.gate_up_proj.weight"], (Shape{24, 8}));
  config.block.beforeMlp = "pre_feedforward_layernorm"; // as in Gemma 2
  config.block.afterMlp = "post_feedforward_layernorm";
  EXPECT_EQ(names()[layer + "post_feedforward_layernorm.weight"], Shape{8});
  EXPECT_EQ(names().count(layer + "post_attention_layernorm.weight"), 0u);
}

TEST_F(SynthesizeTest, RefusesToOverwriteUnlessTold) {
  fs::create_directory(folder / "out");
  SynthesizeOptions options;
  options.shardBytes = 30'000;
  synthesize("out", options); // an empty folder is fine
  folder.write("out/model.safetensors.index.json", "{}");
  // A tokenizer, too, that the new checkpoint has none in place of.
  const std::set<std::string> others = {"tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "generation_config.json",
                                        "notes.txt",
                                        "model.safetensors.bak",
                                        "model_old.safetensors",
                                        "my-model.safetensors",
                                        "config.json.orig"};
  for (const std::string &name : others)
    folder.write("out/" + name, "mine");
  options.shardBytes = 1'000'000;
  EXPECT_EQ(folder.errorOf([&] { synthesize("out", options); }),
            "DIR/out: exists and is not empty; --force replaces the "
            "checkpoint in it");
  EXPECT_EQ(folder.errorOf([&] { synthesize("source.json", options); }),
            "DIR/source.json: exists and is not a directory");
  options.overwrite = true;
  synthesize("out", options);
  std::set<std::string> expected = others;
  expected.insert({"config.json", "model.safetensors"});
  EXPECT_EQ(namesIn(folder / "out"), expected);
  EXPECT_EQ(readFile(folder / "out/tokenizer.json"), "mine");
  options.byteTokenizer = true;
  synthesize("out", options);
  EXPECT_EQ(namesIn(folder / "out"), expected);
  EXPECT_NE(readFile(folder / "out/tokenizer.json").find("<0xFF>"),
            std::string::npos);
}

/// The rule of links is for files that nobody named: this one is named.
TEST_F(SynthesizeTest, ReadsTheConfigThatALinkNames) {
  fs::create_directory(folder / "model");
  fs::create_symlink(folder / "source.json", folder / "model/config.json");
  synthesizeCheckpoint(folder / "model/config.json", folder / "out", {});
  EXPECT_EQ(readFile(folder / "out/config.json"),
            readFile(folder / "source.json"));
  EXPECT_FALSE(fs::is_symlink(folder / "out/config.json"));
}

/// Also when the config to copy is the one about to be replaced.
TEST_F(SynthesizeTest, OverwritesItsOwnSource) {
  fs::create_directory(folder / "out");
  folder.write("out/config.json", kConfig);
  SynthesizeOptions options;
  options.overwrite = true;
  synthesizeCheckpoint(folder / "out/config.json", folder / "out/", options);
  EXPECT_EQ(readFile(folder / "out/config.json"), kConfig);
  EXPECT_FALSE(Checkpoint::open(folder / "out").tensors().empty());
}

TEST_F(SynthesizeTest, LeavesNothingAfterAnError) {
  const std::set<std::string> before = namesIn(folder.path());
  SynthesizeOptions options;
  options.progress = [](int64_t, int64_t) {
    throw Error("test: stopped in the middle");
  };
  EXPECT_EQ(folder.errorOf([&] { synthesize("out", options); }),
            "test: stopped in the middle");
  EXPECT_EQ(namesIn(folder.path()), before);

  EXPECT_EQ(folder.errorOf([&] { synthesize("none/out", {}); }),
            "DIR/none/out: cannot be created: No such file or directory");
  folder.write("source.json", R"({"architectures": ["LlamaForCausalLM"],
    "hidden_size": 1048576, "intermediate_size": 16777216,
    "num_hidden_layers": 10000, "num_attention_heads": 16384, "head_dim": 16384,
    "vocab_size": 300})");
  EXPECT_EQ(folder.errorOf([&] { synthesize("out", {}); }),
            "DIR/source.json: the model would have more than 2^63 bytes");
  folder.write("source.json", R"({"architectures": ["LlamaForCausalLM"],
    "hidden_size": 1048576, "intermediate_size": 16777216,
    "num_hidden_layers": 10, "num_attention_heads": 4096,
    "vocab_size": 300})");
  const std::string error = folder.errorOf([&] { synthesize("out", {}); });
  EXPECT_EQ(error.substr(0, error.find(" of disk")),
            "DIR/out: needs 1143493395218432 bytes");
  EXPECT_EQ(namesIn(folder.path()), before);
}

TEST_F(SynthesizeTest, ByteTokenizerNamesAllBytes) {
  SynthesizeOptions options;
  options.byteTokenizer = true;
  synthesize("out", options);
  const auto tokenizer =
      nlohmann::json::parse(readFile(folder / "out/tokenizer.json"));
  const auto &vocab = tokenizer["model"]["vocab"];
  EXPECT_EQ(vocab.size(), 259u);
  EXPECT_EQ(vocab["<0x00>"], 3);
  EXPECT_EQ(vocab["<0xFF>"], 258);
  EXPECT_EQ(tokenizer["model"]["byte_fallback"], true);
  EXPECT_EQ(tokenizer["added_tokens"][2]["content"], "</s>");

  std::string small = kConfig;
  small.replace(small.find("300"), 3, "258");
  folder.write("source.json", small);
  EXPECT_EQ(folder.errorOf([&] { synthesize("out2", options); }),
            "DIR/source.json: field 'vocab_size': expected at least 259 for a "
            "tokenizer of bytes, found 258");
}

class SynthToolTest : public SynthesizeTest {
protected:
  struct Outcome {
    int code;
    std::string text;
  };
  Outcome run(const std::string &arguments) const {
    const std::string command = FAIRY2_BINARY_DIR "/bin/fairy2-synth " +
                                arguments + " > '" + (folder / "log").string() +
                                "' 2>&1";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            readFile(folder / "log")};
  }
  std::string quoted(const char *name) const {
    return "'" + (folder / name).string() + "'";
  }
};

TEST_F(SynthToolTest, WritesACheckpoint) {
  const Outcome outcome =
      run("--config " + quoted("source.json") + " -o " + quoted("out") +
          " --seed 3 --dtype F16 --shard-gb 0.00003 --tokenizer bytes");
  EXPECT_EQ(outcome.code, 0) << outcome.text;
  SynthesizeOptions options{.seed = 3,
                            .type = DType::F16,
                            .shardBytes = 30'000,
                            .byteTokenizer = true};
  synthesize("same", options);
  ASSERT_EQ(namesIn(folder / "out"), namesIn(folder / "same"));
  for (const std::string &name : namesIn(folder / "same"))
    EXPECT_EQ(readFile(folder / "out" / name),
              readFile(folder / "same" / name));
  // No bar where nobody watches.
  EXPECT_EQ(outcome.text.find('\r'), std::string::npos);
}

TEST_F(SynthToolTest, ExitCodesTellUsageFromBadInput) {
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_EQ(run("--version").text, "fairy2-synth 0.1.0\n");
  EXPECT_EQ(run("").code, 2);
  EXPECT_EQ(run("--config a -o b --dtype F64").code, 2);
  EXPECT_EQ(run("--config a -o b --shard-gb 0").code, 2);
  EXPECT_EQ(run("--no-such-flag").code, 2);
  const Outcome outcome =
      run("--config " + quoted("none.json") + " -o " + quoted("out"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.text,
            "fairy2-synth: error: " + (folder / "none.json").string() +
                ": no such file\n");
}

} // namespace
