// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train as a user starts it: several processes, signals, bad input.
#include "frontend/Synthesize.h"
#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/run/Folders.h"
#include "trainer/run/Plan.h"
#include "trainer/run/SourceVersion.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zstd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

struct Outcome {
  int status;
  std::string text;
};

class CommandLineTest : public testing::Test {
protected:
  CommandLineTest() {
    writeTinyModel(folder / "model");
    folder.write("train.txt", tinyText(400, 1));
    folder.write("val.txt", tinyText(60, 2));
    folder.write("r.yaml",
                 "model: " + (folder / "model").string() +
                     "\ndata:\n  train: " + (folder / "train.txt").string() +
                     "\n  validation: " + (folder / "val.txt").string() +
                     "\n  sequence_length: 48\ntrain:\n  tokens: 2000"
                     "\n  batch_sequences: 2\n");
  }

  Outcome run(const std::string &arguments,
              const std::string &environment = "") const {
    return call(environment + " " + FAIRY2_TRAIN + " " +
                (folder / "r.yaml").string() + " " + arguments);
  }
  /// A file of /proc, whose size is not known.
  static std::string readAll(const std::string &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// A run in a process of its own.
  pid_t start(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {FAIRY2_TRAIN, (folder / "r.yaml").string()});
    std::vector<char *> pointers;
    for (std::string &argument : arguments)
      pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execv(FAIRY2_TRAIN, pointers.data());
      std::_Exit(127);
    }
    return child;
  }
  static void await(const std::function<bool()> &happened) {
    for (int i = 0; i < 1200; ++i) {
      if (happened())
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ADD_FAILURE() << "did not happen in a minute";
  }
  /// Until a run is about to do its first step.
  void awaitMetrics(const char *name) const {
    await([&] {
      std::error_code absent;
      const auto size =
          std::filesystem::file_size(folder / name / "metrics.jsonl", absent);
      return !absent && size > 0;
    });
  }
  static Outcome call(const std::string &command) {
    Outcome outcome;
    FILE *pipe = popen(("(" + command + ") 2>&1").c_str(), "r");
    char buffer[4096];
    while (const size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
      outcome.text.append(buffer, size);
    const int status = pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  std::string output(const char *name) const {
    return "output=" + (folder / name).string();
  }
  /// The last line of a run's metrics that has `field`.
  nlohmann::json lastLineWith(const char *field, const char *name) const {
    std::ifstream file(folder / name / "metrics.jsonl");
    nlohmann::json last;
    for (std::string line; std::getline(file, line);)
      if (nlohmann::json values = nlohmann::json::parse(line);
          values.contains(field))
        last = std::move(values);
    return last;
  }
  nlohmann::json lastStep(const char *name) const {
    return lastLineWith("loss", name);
  }
  double lastLoss(const char *name) const {
    return lastStep(name)["loss"].get<double>();
  }
  std::string weights(const char *name) const {
    return readWholeFile(folder / name / "model.safetensors");
  }

  TemporaryFolder folder;
};

/// Two ranks sum two gradients, and so does one rank that accumulates: even
/// the bits are the same. ZeRO adds up norms in another order, so its losses
/// after 20 steps may differ by rounding.
TEST_F(CommandLineTest, TwoProcessesTrainWhatOneDoes) {
  const std::string dampened = " train.dampening=3";
  const Outcome one = run(output("one") + dampened + " train.accumulation=2");
  EXPECT_EQ(one.status, 0) << one.text;
  const double expected = lastLoss("one");
  for (const char *sharding : {"none", "zero1", "zero3"}) {
    const Outcome two = run(output(sharding) + dampened +
                            " --nproc 2 train.sharding=" + sharding);
    EXPECT_EQ(two.status, 0) << two.text;
    EXPECT_NEAR(lastLoss(sharding), expected, 1e-5) << sharding;
    EXPECT_GT(lastStep(sharding)["bytes_sent"].get<int64_t>(), 0);
  }
  EXPECT_TRUE(weights("one") == weights("none"));
}

/// What two ranks saved is enough for one, three or two ranks that divide
/// otherwise, when the step has as many sequences.
TEST_F(CommandLineTest, AStateServesAnyNumberOfRanks) {
  const std::string size = " method=none train.tokens=2304 ";
  const Outcome whole = run(output("whole") + size + "train.batch_sequences=6");
  EXPECT_EQ(whole.status, 0) << whole.text;
  for (const char *first : {"none", "zero1", "zero3"})
    for (const char *second :
         {"--nproc 3 train.batch_sequences=2 train.sharding=zero1",
          "--nproc 2 train.batch_sequences=3 train.sharding=zero3",
          "train.batch_sequences=6"}) {
      std::filesystem::remove_all(folder / "parts");
      const Outcome stopped =
          run(output("parts") + size + "--nproc 2 train.batch_sequences=3 " +
              "train.save_every=5 --stop-after 5 train.sharding=" + first);
      EXPECT_EQ(stopped.status, 3) << stopped.text;
      const Outcome rest = run(output("parts") + size + second);
      EXPECT_EQ(rest.status, 0) << rest.text;
      EXPECT_NE(rest.text.find("going on after step 5"), std::string::npos);
      EXPECT_NEAR(lastLoss("parts"), lastLoss("whole"), 1e-4)
          << first << ", then " << second;
    }
}

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

/// When a rank dies the others end soon, and the output names it.
TEST_F(CommandLineTest, ADeadRankIsNamed) {
  const pid_t launcher = ::fork();
  const std::string log = (folder / "log").string();
  const std::string recipe = (folder / "r.yaml").string();
  if (launcher == 0) {
    if (!std::freopen(log.c_str(), "w", stderr))
      std::_Exit(126);
    ::execl(FAIRY2_TRAIN, FAIRY2_TRAIN, recipe.c_str(), "--nproc", "2",
            "train.tokens=1e9", output("dead").c_str(), nullptr);
    std::_Exit(127);
  }
  // The second child of the launcher is rank 1.
  const std::string children = "/proc/" + std::to_string(launcher) + "/task/" +
                               std::to_string(launcher) + "/children";
  const std::filesystem::path metrics = folder / "dead" / "metrics.jsonl";
  for (int i = 0; i < 600 && (!std::filesystem::exists(metrics) ||
                              std::filesystem::file_size(metrics) == 0);
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(std::filesystem::exists(metrics));
  FILE *list = std::fopen(children.c_str(), "r");
  ASSERT_NE(list, nullptr);
  int first = 0, second = 0;
  ASSERT_EQ(std::fscanf(list, "%d %d", &first, &second), 2);
  std::fclose(list);
  ::kill(second, SIGKILL);
  int status = 0;
  ::waitpid(launcher, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
  const std::string text = readWholeFile(log);
  EXPECT_NE(text.find("rank 1 was ended by signal 9"), std::string::npos)
      << text;
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

/// A write that fails, as on a full disk, is one sentence, and what was saved
/// before is still good. The limit on a file's size stands for the disk's.
TEST_F(CommandLineTest, AFullDiskKeepsTheStateBefore) {
  const Outcome first = run(output("full") + " --stop-after 3");
  EXPECT_EQ(first.status, 3) << first.text;
  const std::string full = "trap '' XFSZ; ulimit -f 16; ";
  const Outcome failed = run(output("full") + " --stop-after 2", full);
  EXPECT_EQ(failed.status, 1) << failed.text;
  EXPECT_NE(failed.text.find("rank-0.safetensors: cannot write: File too "
                             "large"),
            std::string::npos)
      << failed.text;
  const Outcome rest = run(output("full"));
  EXPECT_EQ(rest.status, 0) << rest.text;
  EXPECT_NE(rest.text.find("going on after step 3"), std::string::npos);
  EXPECT_EQ(run(output("whole")).status, 0);
  EXPECT_TRUE(weights("full") == weights("whole"));
  // The same while tokenizing: no index, so nobody takes it for complete.
  const Outcome tokens =
      call(full + FAIRY2_TRAIN + " tokenize --model " +
           (folder / "model").string() + " -o " + (folder / "tokens").string() +
           " " + (folder / "train.txt").string());
  EXPECT_EQ(tokens.status, 1) << tokens.text;
  EXPECT_NE(tokens.text.find("cannot write: File too large"), std::string::npos)
      << tokens.text;
  EXPECT_FALSE(std::filesystem::exists(folder / "tokens/index.json"));
}

/// Said before the first step, not when there is something to save.
TEST_F(CommandLineTest, AFolderThatCannotBeWrittenIsNamed) {
  // Root may write anywhere but for this.
  const std::string plain = "setpriv --bounding-set -dac_override";
  if (call(plain + " true").status != 0)
    GTEST_SKIP() << "setpriv does not work here";
  using std::filesystem::perms;
  const auto refuse = [&](const char *path, const char *expected) {
    const Outcome outcome = run(output(path), plain);
    EXPECT_EQ(outcome.status, 1) << outcome.text;
    EXPECT_NE(outcome.text.find(expected), std::string::npos) << outcome.text;
    EXPECT_EQ(outcome.text.find("step 1"), std::string::npos) << outcome.text;
  };
  const perms reading = perms::owner_read | perms::owner_exec;
  std::filesystem::create_directories(folder / "kept/state");
  std::filesystem::permissions(folder / "kept/state", reading);
  refuse("kept", "kept/state: Permission denied");
  std::filesystem::create_directory(folder / "closed");
  std::filesystem::permissions(folder / "closed", reading);
  refuse("closed/new", "output: cannot write to ");
  refuse("train.txt", "train.txt/state: Not a directory");
}

/// Hours of training are not lost to a command given again, nor the model that
/// a run begins with.
TEST_F(CommandLineTest, AModelIsNotOverwritten) {
  EXPECT_EQ(run(output("one") + " --smoke").status, 0);
  const std::string before = weights("one");
  const Outcome again = run(output("one"));
  EXPECT_EQ(again.status, 1) << again.text;
  EXPECT_NE(again.text.find("output: " + (folder / "one").string() +
                            " holds a model already; remove it, or choose "
                            "another output"),
            std::string::npos)
      << again.text;
  EXPECT_TRUE(weights("one") == before);
  EXPECT_EQ(run(output("model")).status, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "model/state"));
}

/// Two runs in one folder would remove each other's states.
TEST_F(CommandLineTest, OneRunAtATimeWritesToAFolder) {
  std::filesystem::create_directories(folder / "two/state");
  {
    const FolderLock other(folder / "two/state");
    const Outcome refused = run(output("two") + " --smoke");
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.text.find("two/state: another run is writing there"),
              std::string::npos)
        << refused.text;
    EXPECT_FALSE(std::filesystem::exists(folder / "two/metrics.jsonl"));
  }
  EXPECT_EQ(run(output("two") + " --smoke --nproc 2").status, 0);
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
    losses.push_back(
        lastLineWith("validation_loss", out.c_str())["validation_loss"]);
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

/// While there is nothing to save, a signal ends the program as any other: here
/// one that waits for its data.
TEST_F(CommandLineTest, ASignalBeforeTheFirstStepEndsAtOnce) {
  const std::string pipe = (folder / "pipe.txt").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const pid_t child = start({output("early"), "data.train=" + pipe});
  int writer = -1;
  await([&] {
    writer = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK);
    return writer >= 0; // somebody reads
  });
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  ::close(writer);
}

/// The first Ctrl-C waits for the end of the step, to save; a later one does
/// not. Two that come together are one.
TEST_F(CommandLineTest, AnotherInterruptEndsAStep) {
  const pid_t child = start({output("long"), "train.accumulation=65536"});
  awaitMetrics("long");
  ::kill(child, SIGINT);
  ::kill(child, SIGINT);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, WNOHANG), 0);
  ::kill(child, SIGINT);
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

/// Nobody could tell the ranks to stop when the launcher is gone, so they save
/// their state.
TEST_F(CommandLineTest, AKilledLauncherStopsItsRanks) {
  const pid_t launcher =
      start({output("orphans"), "train.tokens=1e9", "--nproc", "2"});
  awaitMetrics("orphans");
  // A process list shows the ranks by the program's name.
  const std::string id = std::to_string(launcher);
  const int rank =
      std::stoi(readAll("/proc/" + id + "/task/" + id + "/children"));
  EXPECT_EQ(readAll("/proc/" + std::to_string(rank) + "/comm"),
            "fairy2-train\n");
  ::kill(launcher, SIGKILL);
  ::waitpid(launcher, nullptr, 0);
  await([&] {
    std::error_code absent;
    for (const auto &entry :
         std::filesystem::directory_iterator(folder / "orphans/state", absent))
      if (entry.path().extension().empty())
        return true;
    return false;
  });
}

/// A state of two ranks of which one's file is gone serves nobody.
TEST_F(CommandLineTest, HalfOfAStateIsRefused) {
  for (const char *sharding : {"zero1", "zero3"}) {
    const std::string arguments =
        output(sharding) + " train.sharding=" + sharding + " --nproc 2 ";
    EXPECT_EQ(run(arguments + "--stop-after 3").status, 3);
    const std::filesystem::path gone =
        folder / sharding / "state/step-3/rank-1.safetensors";
    EXPECT_TRUE(std::filesystem::remove(gone));
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(
        outcome.text.find("rank-1.safetensors: cannot open: No such file"),
        std::string::npos)
        << outcome.text;
  }
}

/// The first rank listens; where somebody else does, it says so.
TEST_F(CommandLineTest, ATakenPortIsNamed) {
  const int taken = ::socket(AF_INET6, SOCK_STREAM, 0);
  ASSERT_GE(taken, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  socklen_t size = sizeof address;
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  ASSERT_EQ(::bind(taken, generic, size), 0);
  ASSERT_EQ(::listen(taken, 1), 0);
  ASSERT_EQ(::getsockname(taken, generic, &size), 0);
  const std::string port = std::to_string(ntohs(address.sin6_port));
  const Outcome outcome =
      run(output("port"), "WORLD_SIZE=2 RANK=0 MASTER_ADDR=127.0.0.1 "
                          "MASTER_PORT=" +
                              port);
  ::close(taken);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find(
                "rank 0: cannot meet the others at 127.0.0.1:" + port + ": "),
            std::string::npos)
      << outcome.text;
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
      lastLineWith("source", "dirty")["source"].get<std::string>();
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
  // A line of 1 GB, without taking room on the disk.
  folder.write("d7.jsonl", "");
  std::filesystem::resize_file(folder / "d7.jsonl", int64_t(1) << 30);
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
      {"d6.jsonl", "{\"text\": \"\xff\xfe\"}\n", "d6.jsonl:1"},
      {"d7.jsonl", "", "d7.jsonl:1: expected lines of at most 256 MiB"},
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
  // In plain text, broken UTF-8 counts as U+FFFD, as the runtime reads it.
  folder.write("d6.txt", tinyText(400, 1) + "\xff\xfe");
  EXPECT_EQ(run(output("bytes") +
                " --stop-after 1 data.train=" + (folder / "d6.txt").string())
                .status,
            3);
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
