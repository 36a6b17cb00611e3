// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train's command line, data and bad input.
#include "test/unit/trainer/CommandLine.h"
#include "frontend/Synthesize.h"
#include "trainer/run/Plan.h"
#include "trainer/run/SourceVersion.h"

#include <zstd.h>

#include <pty.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class CommandLineTest : public CommandLine {};

/// What --dry-run says of memory is what a run takes.
TEST_F(CommandLineTest, MemoryIsAsPlanned) {
#if defined(__has_feature) && __has_feature(address_sanitizer)
  GTEST_SKIP() << "a sanitizer's memory is not planned";
#endif
  const std::string config = folder.write("large.json", R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 4,
    "num_attention_heads": 12, "num_key_value_heads": 12, "vocab_size": 4096,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2})");
  SynthesizeOptions synthesis;
  synthesis.byteTokenizer = true;
  synthesizeCheckpoint(config, folder / "large", synthesis);
  Recipe recipe;
  recipe.data.sequenceLength = 48;
  recipe.train.batchSequences = 2;
  for (const char *sharding : {"none", "zero1", "zero3"}) {
    recipe.train.sharding = sharding;
    const auto planned = double(
        planMemory(HFConfig::readFile(config), recipe, /*ranks=*/2).total());
    const Outcome outcome = run(
        output(sharding) + " --nproc 2 data.validation= train.tokens=400 " +
        "model=" + (folder / "large").string() + " train.sharding=" + sharding);
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    const double peak =
        lastLineWith("peak_memory", sharding)["peak_memory"].get<double>();
    EXPECT_NEAR(peak / planned, 1, 0.15)
        << sharding << ": " << peak / 1e6 << " MB";
  }
}

/// Text tokenized before trains what the text itself does.
TEST_F(CommandLineTest, TokenizedTextTrainsTheSame) {
  const std::string tokens = (folder / "tokens").string();
  const Outcome tokenized =
      call(std::string(FAIRY2_TRAIN) + " tokenize --model " +
           (folder / "model").string() + " -o " + tokens + " " +
           (folder / "train.txt").string());
  EXPECT_EQ(tokenized.status, 0) << tokenized.text;
  EXPECT_NE(tokenized.text.find("tokens of 1 documents in 1 shards in"),
            std::string::npos)
      << tokenized.text;
  EXPECT_EQ(run(output("text")).status, 0);
  const Outcome outcome = run(output("shards") + " data.train=" + tokens);
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_TRUE(weights("text") == weights("shards"));
  EXPECT_TRUE(std::filesystem::exists(folder / "shards/report.html"));
}

/// What is validated may be the same files as what is trained on, and nothing
/// that is no text is taken for one.
TEST_F(CommandLineTest, ValidationReadsDocuments) {
  const std::string a = tinyText(9, 4), b = tinyText(9, 5);
  folder.write("val.jsonl",
               "{\"text\": \"" + a + "\"}\n{\"text\": \"" + b + "\"}\n");
  folder.write("joined.txt", a + "\n\n" + b);
  for (const std::string name : {"val.jsonl", "joined.txt"}) {
    const std::string plain = readWholeFile(folder / name);
    std::string packed(ZSTD_compressBound(plain.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(),
                                plain.size(), 1));
    folder.write(name + ".zst", packed);
  }
  std::vector<double> losses;
  for (const char *name :
       {"joined.txt", "val.jsonl", "val.jsonl.zst", "joined.txt.zst"}) {
    const std::string out = std::string("of-") + name;
    const Outcome outcome =
        run(output(out.c_str()) +
            " --smoke data.validation=" + (folder / name).string());
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    losses.push_back(lastLineWith("validation_loss",
                                  (out + "/smoke").c_str())["validation_loss"]);
    EXPECT_EQ(losses.back(), losses.front()) << name;
  }
  folder.write("text.gz", "\x1f\x8b\x08");
  const Outcome packed =
      run(output("bad") + " data.validation=" + (folder / "text.gz").string());
  EXPECT_EQ(packed.status, 1);
  EXPECT_NE(packed.text.find("text.gz: expected text, found a compressed file"),
            std::string::npos)
      << packed.text;
  folder.write("shard.bin", "x");
  const Outcome tokens = run(
      output("bad") + " data.validation=" + (folder / "shard.bin").string());
  EXPECT_EQ(tokens.status, 1);
  EXPECT_NE(tokens.text.find("shard.bin: expected text, found tokens"),
            std::string::npos)
      << tokens.text;
}

/// What a model's folder may do is said by who starts the run; what the export
/// would not copy is told before the training.
TEST_F(CommandLineTest, ModelFoldersNeedPermissions) {
  const std::string link = (folder / "model/chat_template.jinja").string();
  folder.write("template", "{{ messages }}");
  std::filesystem::create_symlink(folder / "template", link);
  const std::string shards = " tokenize " + (folder / "train.txt").string() +
                             " --model " + (folder / "model").string() +
                             " -o " + (folder / "shards").string();
  Outcome outcome = run(output("linked"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.text, "fairy2-train: error: " + link +
                              ": is a symbolic link to " +
                              folder.file("template") +
                              ", outside of the model's folder; "
                              "--follow-links reads it\n");
  EXPECT_FALSE(std::filesystem::exists(folder / "linked"));
  outcome = run(output("linked") + " --follow-links");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(readWholeFile(folder / "linked/chat_template.jinja"),
            "{{ messages }}");

  std::filesystem::remove(link);
  const std::string config = (folder / "model/config.json").string();
  nlohmann::json fields = nlohmann::json::parse(readWholeFile(config));
  fields["made_up"] = 1;
  writeTextFile(config, fields.dump());
  for (const std::string &command :
       {run(output("unknown")).text, run(output("unknown") + " --dry-run").text,
        call(FAIRY2_TRAIN + shards).text})
    EXPECT_EQ(command,
              "fairy2-train: error: " + config +
                  ": field 'made_up': is not known, so it might change the "
                  "computation; if it does not, remove it, or have it read "
                  "past with --allow-unknown-fields\n");
  outcome = run(output("unknown") + " --allow-unknown-fields");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find(" --allow-unknown-fields\n"), std::string::npos)
      << outcome.text;
  EXPECT_EQ(lastLineWith("recipe", "unknown")["unknown_fields"],
            std::vector<std::string>{"made_up"});
  EXPECT_EQ(call(FAIRY2_TRAIN + shards + " --allow-unknown-fields").status, 0);
}

/// On a terminal of 30 columns each step is drawn over the one before.
TEST_F(CommandLineTest, ProgressFitsTheTerminal) {
  winsize size = {24, 30, 0, 0};
  int terminal = -1;
  const std::string recipe = (folder / "r.yaml").string();
  const std::string out = output("tty");
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    ::execl(FAIRY2_TRAIN, FAIRY2_TRAIN, recipe.c_str(), out.c_str(), nullptr);
    std::_Exit(127);
  }
  std::string shown;
  char buffer[4096];
  for (ssize_t got; (got = ::read(terminal, buffer, sizeof buffer)) > 0;)
    shown.append(buffer, size_t(got));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(status, 0) << shown;
  EXPECT_NE(shown.find("\r\033[Kstep 20/20  loss"), std::string::npos) << shown;
  size_t lines = 0;
  const std::string clear = "\r\033[K";
  for (size_t at = 0; (at = shown.find(clear, at)) != std::string::npos;
       ++lines) {
    at += clear.size();
    EXPECT_LT(shown.find('\r', at) - at, 30u) << shown;
  }
  EXPECT_GT(lines, 0u);
  EXPECT_EQ(shown.find("\n\r\n"), std::string::npos) << "an empty line";
}

/// A build of changed files says so when it starts, and any other does not.
TEST_F(CommandLineTest, ADirtyTreeIsTold) {
  EXPECT_EQ(dirtyTreeNote("0123456789ab"), "");
  const std::string note = dirtyTreeNote("0123456789ab-dirty");
  EXPECT_NE(note.find("uncommitted changes (0123456789ab-dirty)"),
            std::string::npos)
      << note;
  const Outcome outcome = run(output("dirty") + " --smoke");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  const auto source =
      lastLineWith("source", "dirty/smoke")["source"].get<std::string>();
  EXPECT_EQ(outcome.text.find("uncommitted changes (") != std::string::npos,
            source.ends_with("-dirty"))
      << outcome.text;
}

TEST_F(CommandLineTest, SmokeIsTenSteps) {
  const Outcome outcome = run(output("smoke") + " train.tokens=1e12 --smoke");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find("step 10/10"), std::string::npos);
}

TEST_F(CommandLineTest, DryRunWritesNothing) {
  const Outcome outcome = run(output("dry") + " --dry-run");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find("steps                  20 of 96 tokens"),
            std::string::npos)
      << outcome.text;
  EXPECT_FALSE(std::filesystem::exists(folder / "dry"));
}

/// Bad training data, as a table: what the file holds, and what is said.
TEST_F(CommandLineTest, BadDataIsOneSentence) {
  std::string manyLines;
  for (int i = 1; i < 1000; ++i)
    manyLines += "{\"text\": \"a\"}\n";
  std::vector<int32_t> header(256);
  header[0] = 20240520;
  header[2] = 60;
  std::string shard(reinterpret_cast<const char *>(header.data()), 1024);
  for (int i = 0; i < 60; ++i)
    shard += std::string("\x0a\x01", 2); // 266, and the model has 264
  const std::filesystem::path loop = folder / "loop.txt";
  std::filesystem::create_symlink(loop, loop);
  // 1 GB of zeros, without taking room on the disk.
  folder.write("d8.jsonl", "{\"text\": \"");
  std::filesystem::resize_file(folder / "d8.jsonl", int64_t(1) << 30);
  struct Case {
    const char *name;
    std::string content, expected;
  };
  const Case cases[] = {
      {"d1.txt", "", "d1.txt: expected text, found none"},
      {"d1.jsonl", "", "d1.jsonl: expected text, found none"},
      {"d2.jsonl", manyLines + "{\"text\": \"a\n", "d2.jsonl:1000: "},
      {"d3.jsonl", "{\"words\": \"a\"}\n", "d3.jsonl:1: field 'text'"},
      {"d4.bin", shard,
       "d4.bin: token 266 does not fit the model's "
       "vocabulary of 264"},
      {"d5.bin", shard.substr(0, 1100), "d5.bin: the file ends before its"},
      {"long.bin", shard + "abc",
       "long.bin: expected 60 tokens as its header says, found 3 more bytes"},
      {"d6.jsonl", "{\"text\": \"\xff\xfe\"}\n",
       "d6.jsonl: line 1: byte 10 (0xFF) is not UTF-8"},
      {"d6.txt", "one\ntwo\xff\xfe",
       "d6.txt: line 2: byte 7 (0xFF) is not UTF-8"},
      {"d7.jsonl", "{\"text\": \"" + std::string(17 << 20, 'a'),
       "d7.jsonl:1: expected lines of at most 16 MiB"},
      {"d8.jsonl", "", "d8.jsonl: line 1: byte 10 is zero"},
      {"loop.txt", "", "loop.txt: cannot open: Too many levels of symbolic"},
      {"short.txt", "ab", "data.train[0]: expected at least 48 tokens"},
  };
  for (const Case &c : cases) {
    if (!std::filesystem::exists(
            std::filesystem::symlink_status(folder / c.name)))
      folder.write(c.name, c.content);
    const Outcome outcome =
        run(output("bad") + " data.train=" + (folder / c.name).string());
    EXPECT_EQ(outcome.status, 1) << c.name << " " << outcome.text;
    EXPECT_NE(outcome.text.find(c.expected), std::string::npos)
        << "found: " << outcome.text << "\nexpected: " << c.expected;
    EXPECT_FALSE(std::filesystem::exists(folder / "bad")) << c.name;
  }
  // A condition that cannot be met is not passed over.
  const Outcome where =
      run(output("bad") + " 'data.train=[{path: " +
          (folder / "train.txt").string() + ", where: {a: b}}]'");
  EXPECT_EQ(where.status, 1);
  EXPECT_NE(where.text.find("train.txt: 'where' chooses records of .jsonl"),
            std::string::npos)
      << where.text;
  // A tokenizer of more tokens than the model has.
  std::filesystem::create_directory(folder / "small");
  std::filesystem::copy_file(folder / "model/tokenizer.json",
                             folder / "small/tokenizer.json");
  nlohmann::json config =
      nlohmann::json::parse(readWholeFile(folder / "model/config.json"));
  config["vocab_size"] = 100;
  folder.write("small/config.json", config.dump());
  const Outcome outcome = run(output("bad") + " initialize=random model=" +
                              (folder / "small").string());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find("does not fit the model's vocabulary of 100: is "
                              "this the model's tokenizer?"),
            std::string::npos)
      << outcome.text;
}

TEST_F(CommandLineTest, BadInputIsOneSentence) {
  struct Case {
    const char *arguments, *environment, *expected;
    int status;
  };
  const std::string out = output("bad");
  const Case cases[] = {
      {"train.tokns=3", "",
       "unknown key 'train.tokns'; did you mean "
       "'train.tokens'?",
       1},
      {"data.train=absent.txt", "", "absent.txt: cannot open", 1},
      {"model=absent", "", "absent", 1},
      {"--nproc 0", "", "--nproc", 2},
      {"", "WORLD_SIZE=0", "WORLD_SIZE: expected an integer from 1", 1},
      {"", "WORLD_SIZE=2", "neither RANK nor SLURM_PROCID is set", 1},
      {"", "WORLD_SIZE=2 RANK=1", "MASTER_ADDR or MASTER_PORT is not set", 1},
      {"", "WORLD_SIZE=2 RANK=2", "RANK: expected an integer from 0 to 1", 1},
      {"", "WORLD_SIZE=2 RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=x",
       "MASTER_PORT: expected an integer from 1 to 65535, found 'x'", 1},
  };
  for (const Case &c : cases) {
    const Outcome outcome = run(out + " " + c.arguments, c.environment);
    EXPECT_EQ(outcome.status, c.status) << outcome.text;
    EXPECT_NE(outcome.text.find(c.expected), std::string::npos)
        << "found: " << outcome.text << "\nexpected: " << c.expected;
  }
}

/// Each thing that a GPU run needs, missing in turn. What this machine lacks
/// decides how far the last run comes.
TEST_F(CommandLineTest, AMissingGpuIsToldInASentence) {
  const std::string recipe = output("gpu") + " train.device=cuda";
  const Outcome absent =
      run(recipe, "FAIRY2_CUDA_PLUGIN=" + (folder / "no.so").string());
  EXPECT_EQ(absent.status, 1);
  EXPECT_NE(absent.text.find("train.device: cuda: " +
                             (folder / "no.so").string() + " does not exist"),
            std::string::npos)
      << absent.text;
  const std::string damaged = folder.write("damaged.so", "no library");
  const Outcome broken = run(recipe, "FAIRY2_CUDA_PLUGIN=" + damaged);
  EXPECT_EQ(broken.status, 1);
  EXPECT_NE(broken.text.find("train.device: cuda: cannot load " + damaged),
            std::string::npos)
      << broken.text;
  const Outcome unknown = run(output("gpu") + " train.device=tpu");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.text.find("expected one of cpu, cuda, found 'tpu'"),
            std::string::npos)
      << unknown.text;
  // What is planned needs no device.
  const Outcome plan = run(recipe + " --dry-run", "FAIRY2_CUDA_PLUGIN=/no");
  EXPECT_EQ(plan.status, 0) << plan.text;
}

/// The plugin as built, on a machine without a GPU.
TEST_F(CommandLineTest, ThePluginLoadsAndLooksForAGpu) {
  const std::filesystem::path plugin =
      std::filesystem::path(FAIRY2_TRAIN).parent_path() / "libfairy2_cuda.so";
  if (!std::filesystem::exists(plugin))
    GTEST_SKIP() << "built without nvcc";
  if (std::filesystem::exists("/dev/nvidiactl"))
    GTEST_SKIP() << "this machine may have a GPU";
  const Outcome outcome = run(output("gpu") + " train.device=cuda");
  EXPECT_EQ(outcome.status, 1);
  if (outcome.text.find("cannot load") != std::string::npos) {
    EXPECT_NE(outcome.text.find("libtorch_cuda.so: cannot open shared object"),
              std::string::npos)
        << outcome.text;
    GTEST_SKIP() << "without LibTorch's CUDA libraries";
  }
  EXPECT_NE(outcome.text.find("train.device: cuda: this machine has no NVIDIA "
                              "GPU with a driver that works"),
            std::string::npos)
      << outcome.text;
}

} // namespace
