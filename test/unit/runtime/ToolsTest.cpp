// SPDX-License-Identifier: Apache-2.0
//
// fairy2-run and fairy2-eval as a user meets them: output, exit codes 0, 1, 2,
// and one sentence for everything that is wrong.
#include "test/unit/runtime/RunTool.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class ToolsTest : public testing::Test {
protected:
  ToolsTest() {
    unsetenv("FAIRY2_ISA");
    writeFakeModel(model);
  }

  /// Runs a tool in the temporary folder, where the model is model.so.
  Outcome run(const std::string &tool, const std::string &arguments) {
    return runTool(folder, tool, arguments);
  }

  TemporaryFolder folder;
  const std::string model = folder.file("model.so");
};

TEST_F(ToolsTest, RunPrintsTextAndTiming) {
  const Outcome text = run("fairy2-run", "model.so -p abc -n 12 --ignore-eos");
  EXPECT_EQ(text.code, 0) << text.errors;
  EXPECT_NE(text.errors.find("prompt: 4 tokens, "), std::string::npos);
  EXPECT_NE(text.errors.find("generated: 12 tokens, "), std::string::npos);
  const Outcome json =
      run("fairy2-run", "--prompt-ids 1,3,4,5 model.so -n 12 --ignore-eos "
                        "--json");
  EXPECT_EQ(json.code, 0) << json.errors;
  EXPECT_EQ(json.errors, "");
  const auto object = nlohmann::json::parse(json.output);
  EXPECT_EQ(object["prompt_ids"], (std::vector<int>{1, 3, 4, 5}));
  EXPECT_EQ(object["ids"].size(), 12u);
  EXPECT_EQ(object["text"].get<std::string>() + "\n", text.output);
  EXPECT_EQ(object["finish_reason"], "length");
  EXPECT_GT(object["prompt_tok_s"], 0.0);
  EXPECT_GT(object["gen_tok_s"], 0.0);
}

TEST_F(ToolsTest, RunTakesEverySamplingOption) {
  const std::string options =
      "-p abc -n 20 --temperature 300 --top-k 20 --top-p 0.95 "
      "--min-p 0.01 --repetition-penalty 1.1 --presence-penalty 0.5 "
      "--frequency-penalty 1 --logit-bias 5=-3,6=0.5 --ignore-eos --stop qqq "
      "--threads 1 --context 64 --json --stop '#' model.so";
  const auto idsWith = [&](const std::string &seed) {
    const Outcome outcome = run("fairy2-run", options + " --seed " + seed);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output)["ids"];
  };
  EXPECT_EQ(idsWith("9"), idsWith("9"));
  EXPECT_NE(idsWith("9"), idsWith("10"));
  EXPECT_EQ(idsWith("0010"), idsWith("10"));
  EXPECT_NE(idsWith("010"), idsWith("8"));
}

TEST_F(ToolsTest, RunBansTokens) {
  const auto idsWith = [&](const std::string &options) {
    const Outcome outcome = run(
        "fairy2-run", "model.so -p abc -n 5 --ignore-eos --json " + options);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output)["ids"].get<std::vector<int>>();
  };
  const std::vector<int> free = idsWith("");
  // The fake model's logits reach 1000 and are 1 apart.
  const std::vector<int> banned =
      idsWith("--logit-bias " + std::to_string(free[0]) + "=-100");
  EXPECT_EQ(std::ranges::count(banned, free[0]), 0);
  // Words behind a list are not of it.
  EXPECT_EQ(run("fairy2-run", "--logit-bias 5=1 model.so -p abc -n 1").code, 0);
  for (const std::string bad :
       {"5", "5=", "=5", "5=x", "x=5", "5=1=2", "5=1,"}) {
    const Outcome outcome =
        run("fairy2-run", "model.so -p a --logit-bias " + bad);
    EXPECT_EQ(outcome.code, 2);
    const std::string word = bad == "5=1," ? "" : bad;
    EXPECT_NE(outcome.errors.find("--logit-bias: expected ID=BIAS, found '" +
                                  word + "'"),
              std::string::npos)
        << outcome.errors;
  }
  EXPECT_NE(run("fairy2-run", "model.so -p a --logit-bias 99=1")
                .errors.find("logit_bias: expected ids from 0 to 31, found 99"),
            std::string::npos);
}

/// As `seq -w` writes them, and not in base 8.
TEST_F(ToolsTest, PaddedNumbersAreDecimal) {
  const Outcome outcome = run("fairy2-run", "model.so --prompt-ids 010,0,09 "
                                            "-n 011 --ignore-eos --json");
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto object = nlohmann::json::parse(outcome.output);
  EXPECT_EQ(object["prompt_ids"], (std::vector<int>{10, 0, 9}));
  EXPECT_EQ(object["ids"].size(), 11u);
}

TEST_F(ToolsTest, RunWritesLogits) {
  const Outcome outcome =
      run("fairy2-run", "model.so --prompt-ids 1,4,9 -n 1 --logits-out l.npy");
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(std::filesystem::file_size(folder.file("l.npy")),
            128 + 3 * kFakeVocab * 4u);
}

TEST_F(ToolsTest, EvalPrintsTheFigures) {
  writeFile(folder.file("text.txt"), "the quick brown fox jumps over the dog");
  const Outcome json =
      run("fairy2-eval", "model.so --text text.txt --chunk 10 --json");
  EXPECT_EQ(json.code, 0) << json.errors;
  EXPECT_EQ(json.errors, "");
  const auto object = nlohmann::json::parse(json.output);
  EXPECT_EQ(object["tokens"], 38);
  EXPECT_GT(object["nll_per_token"], 0.0);
  EXPECT_TRUE(object.contains("perplexity"));
  const Outcome text = run("fairy2-eval", "model.so --text text.txt --chunk 10 "
                                          "--max-chunks 2 --threads 1");
  EXPECT_EQ(text.code, 0) << text.errors;
  EXPECT_TRUE(text.output.ends_with("tokens: 20\n")) << text.output;
}

/// A model of 100 positions: the usual 511 and 2048 are too many for it.
TEST_F(ToolsTest, EvalsUsualChunkFitsTheModel) {
  std::string words;
  for (int i = 0; i < 100; ++i)
    words += "word ";
  writeFile(folder.file("text.txt"), words);
  for (const std::string protocol : {"chunks", "gptq"}) {
    const std::string call = "model.so --text text.txt --json --protocol=";
    const Outcome usual = run("fairy2-eval", call + protocol);
    ASSERT_EQ(usual.code, 0) << usual.errors;
    EXPECT_EQ(nlohmann::json::parse(usual.output)["chunk"], 100);
    EXPECT_EQ(usual.output,
              run("fairy2-eval", call + protocol + " --chunk 100").output);
    EXPECT_EQ(run("fairy2-eval", call + protocol + " --chunk 101").errors,
              "fairy2-eval: error: chunk: expected " +
                  std::string(protocol == "chunks" ? "1" : "2") +
                  " to 100, the model's positions, found 101\n");
  }
}

TEST_F(ToolsTest, EvalTakesEveryProtocol) {
  writeFile(folder.file("text.txt"), "the quick brown\nfox jumps\nover");
  const auto figures = [&](const std::string &arguments) {
    const Outcome outcome =
        run("fairy2-eval", "model.so --text text.txt --json " + arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    const auto object = nlohmann::json::parse(outcome.output);
    return std::vector<int>{object["tokens"], object["chunks"]};
  };
  // 30 characters; BOS once; or 16 + 10 + 5 tokens of documents, BOS twice.
  EXPECT_EQ(figures("--protocol=chunks --chunk 8"), (std::vector{30, 4}));
  EXPECT_EQ(figures("--protocol=gptq --chunk 8"), (std::vector{21, 3}));
  EXPECT_EQ(figures("--protocol=reference --chunk 20"), (std::vector{31, 2}));
}

TEST_F(ToolsTest, HelpAndVersion) {
  for (const std::string tool : {"fairy2-run", "fairy2-eval"}) {
    const Outcome help = run(tool, "--help");
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.output.find("Example: " + tool + " model.so"),
              std::string::npos);
    const Outcome version = run(tool, "--version");
    EXPECT_EQ(version.code, 0);
    EXPECT_TRUE(version.output.starts_with(tool + " ")) << version.output;
  }
}

struct BadCall {
  const char *tool, *arguments;
  int code;
  const char *message; ///< part of stderr
};

TEST_F(ToolsTest, BadCallsAreNamed) {
  writeFile(folder.file("empty.txt"), "");
  writeFile(folder.file("text.txt"), "a text");
  const BadCall calls[] = {
      {"fairy2-run", "", 2, "model is required"},
      {"fairy2-run", "model.so", 2,
       "[-p,--prompt,--file,--prompt-ids,--chat] is required"},
      {"fairy2-run", "model.so --chat -p a", 2, "2 were given"},
      {"fairy2-run", "model.so --chat --json", 2, "--json excludes --chat"},
      {"fairy2-run", "model.so --system a -p a", 2, "--system requires --chat"},
      {"fairy2-run", "model.so -p a --prompt-ids 1", 2, "2 were given"},
      {"fairy2-run", "model.so -p a -n x", 2, "--tokens"},
      {"fairy2-run", "model.so -p a --nonsense", 2, "--nonsense"},
      {"fairy2-run", "model.so -p a --seed -1", 2,
       "--seed: expected a whole number from 0 to 18446744073709551615, found "
       "'-1'"},
      {"fairy2-run", "model.so -p a --seed 18446744073709551616", 2,
       "found '18446744073709551616'"},
      {"fairy2-run", "model.so -p a -n 9223372036854775808", 2,
       "--tokens: expected a whole number from 1 to 9223372036854775807, found "
       "'9223372036854775808'"},
      {"fairy2-run", "model.so -p a -n 2.5", 2, "found '2.5'"},
      {"fairy2-run", "model.so -p a --threads 4294967297", 2, "--threads"},
      {"fairy2-run", "model.so --file absent", 1,
       "error: absent: cannot open: No such file or directory\n"},
      {"fairy2-run", "model.so --file .", 1,
       "error: .: cannot read: Is a directory\n"},
      {"fairy2-run", "model.so -p a --logits-out ''", 2,
       "--logits-out: expected the name of a file, found nothing"},
      {"fairy2-bench", "model.so --html ''", 2,
       "--html: expected the name of a file, found nothing"},
      {"fairy2-run", "model.so --prompt-ids 1,x", 2, "--prompt-ids"},
      {"fairy2-run", "model.so --prompt-ids ''", 2, "--prompt-ids"},
      {"fairy2-run", "model.so --prompt-ids 99999999999", 2, "--prompt-ids"},
      {"fairy2-run", "model.so --prompt-ids 1,32", 1,
       "error: tokens[1]: expected 0 to 31, found 32\n"},
      {"fairy2-run", "model.so --prompt-ids=-1,2", 2,
       "--prompt-ids: expected a whole number from 0 to 2147483647, found "
       "'-1'\n"},
      {"fairy2-run", "model.so -p a -n 0", 2,
       "--tokens: expected a whole number from 1 to "},
      {"fairy2-run", "model.so -p a -n -1", 2, "found '-1'"},
      {"fairy2-run", "model.so -p '' --no-bos", 1,
       "error: prompt: expected at least one token, found none\n"},
      {"fairy2-run", "model.so -p 'abc abc abc abc abc' --context 16", 1,
       "error: prompt: expected at most 16 tokens, the context, found 20\n"},
      {"fairy2-run", "model.so -p a --context 101", 1,
       "error: context: expected 1 to 100, found 101\n"},
      {"fairy2-run", "model.so -p a --threads 9999", 2,
       "threads: expected 0 to "},
      {"fairy2-run", "model.so -p a --temperature nan", 2,
       "temperature: expected a number of at least 0, found nan\n"},
      {"fairy2-run", "model.so -p a --stop ''", 1,
       "error: stop: expected text, found an empty string\n"},
      {"fairy2-run", "model.so -p a -n 1 --logits-out no/x.npy", 1,
       "no/x.npy: cannot create: No such file or directory\n"},
      {"fairy2-run", "absent.so -p a", 1,
       "error: absent.so: cannot open: No such file or directory\n"},
      {"fairy2-run", "empty.txt -p a", 1,
       "error: empty.txt: expected an ELF shared library, found a file of 0 "
       "bytes\n"},
      {"fairy2-run", "model.so -p a --huge-pages on", 2,
       "--huge-pages: expected auto, copy or off, found 'on'\n"},
      {"fairy2-eval", "model.so --text text.txt --huge-pages on", 2,
       "--huge-pages: expected auto, copy or off, found 'on'\n"},
      {"fairy2-eval", "model.so", 2, "--text or --task is required"},
      {"fairy2-eval",
       "model.so --text text.txt --max-chunks 9223372036854775808", 2,
       "--max-chunks: expected a whole number"},
      {"fairy2-eval", "model.so --text text.txt --protocol=other", 2,
       "--protocol"},
      {"fairy2-eval", "model.so --text text.txt --protocol=gptq", 1,
       "error: text.txt: expected at least 100 tokens, one chunk, found "},
      {"fairy2-eval", "model.so --text absent", 1,
       "error: absent: cannot open: No such file or directory\n"},
      {"fairy2-eval", "model.so --text empty.txt --chunk 9", 1,
       "error: empty.txt: expected at least one token, found none\n"},
      {"fairy2-eval", "model.so --text text.txt --chunk 101", 1,
       "error: chunk: expected 1 to 100, the model's positions, found 101\n"},
      {"fairy2-eval", "model.so --text text.txt --chunk 9 --max-chunks -2", 2,
       "--max-chunks: expected a whole number from 0 to "},
  };
  for (const BadCall &call : calls) {
    const Outcome outcome = run(call.tool, call.arguments);
    EXPECT_EQ(outcome.code, call.code) << call.arguments;
    EXPECT_EQ(outcome.output, "") << call.arguments;
    EXPECT_NE(outcome.errors.find(call.message), std::string::npos)
        << call.arguments << ": " << outcome.errors;
  }
}

TEST_F(ToolsTest, LostOutputIsReported) {
  if (!std::filesystem::exists("/dev/full"))
    GTEST_SKIP() << "there is no /dev/full here";
  writeFile(folder.file("text.txt"), "a text");
  const std::string calls[][2] = {
      {"fairy2-run", "-p a -n 3"},
      {"fairy2-run", "-p a -n 3 --json"},
      {"fairy2-eval", "--text text.txt --chunk 9"},
      {"fairy2-eval", "--text text.txt --chunk 9 --json"},
      {"fairy2-bench", "--prompt 2 --gen 2 --repeat 1"}};
  for (const auto &[tool, arguments] : calls)
    for (const std::string output : {">/dev/full", ">&-"}) {
      const int code = std::system(
          ("cd " + folder.path().string() + " && " FAIRY2_BINARY_DIR "/bin/" +
           tool + " model.so " + arguments + " 2>err " + output)
              .c_str());
      EXPECT_EQ(WEXITSTATUS(code), 1) << tool << arguments << output;
      const std::string reason = output == ">/dev/full"
                                     ? ": No space left on device"
                                     : ": Bad file descriptor";
      const std::string told = readFile(folder.file("err")),
                        lost = tool + ": error: standard output: cannot write";
      // What streams is lost before the end asks for the reason.
      if (arguments != "-p a -n 3" || told != lost + "\n")
        EXPECT_EQ(told, lost + reason + "\n") << arguments << output;
    }
}

/// The event descriptor of --chat once took the number of the missing input.
TEST_F(ToolsTest, ClosedInputIsAnEmptyInput) {
  for (const std::string arguments : {"--chat", "-p -"}) {
    const int code = std::system(("cd " + folder.path().string() +
                                  " && timeout 60 " FAIRY2_BINARY_DIR
                                  "/bin/fairy2-run model.so -n 3 " +
                                  arguments + " >out 2>err <&-")
                                     .c_str());
    EXPECT_EQ(WEXITSTATUS(code), 0) << readFile(folder.file("err"));
  }
}

TEST_F(ToolsTest, PromptsComeFromFilesAndPipes) {
  const std::string most(60, 'a');
  writeFile(folder.file("prompt.txt"), most + "\n");
  const std::string options = "model.so -n 5 --ignore-eos --json ";
  const auto idsOf = [](const Outcome &outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output)["prompt_ids"];
  };
  const auto expected = idsOf(run("fairy2-run", options + "-p " + most));
  EXPECT_EQ(expected.size(), 61u);
  EXPECT_EQ(idsOf(run("fairy2-run", options + "--file prompt.txt")), expected);
  EXPECT_EQ(idsOf(runTool(folder, "fairy2-run", options + "-p -", most + "\n")),
            expected);
  EXPECT_EQ(idsOf(runTool(folder, "fairy2-run", options + "-p -", most)),
            expected);
  EXPECT_EQ(
      idsOf(runTool(folder, "fairy2-run", options + "--file /dev/stdin", most)),
      expected);
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  std::thread writer([&] { writeFile(folder.file("pipe"), most + "\n"); });
  EXPECT_EQ(idsOf(run("fairy2-run", options + "--file pipe")), expected);
  writer.join();
}

TEST_F(ToolsTest, EvalReadsPipes) {
  const std::string text = "the quick brown fox jumps over the dog";
  writeFile(folder.file("text.txt"), text);
  writeFile(folder.file("good.jsonl"), "{\"text\": \"" + text + "\"}\n");
  const std::string command = "model.so --chunk 10 --json --text ";
  const Outcome plain = run("fairy2-eval", command + "text.txt");
  EXPECT_EQ(plain.code, 0) << plain.errors;
  const Outcome piped =
      runTool(folder, "fairy2-eval", command + "/dev/stdin", text);
  EXPECT_EQ(piped.output, plain.output) << piped.errors;
  ASSERT_EQ(mkfifo(folder.file("pipe.jsonl").c_str(), 0600), 0);
  for (const std::string content : {"good.jsonl", "text.txt"}) {
    std::thread writer([&] {
      writeFile(folder.file("pipe.jsonl"), readFile(folder.file(content)));
    });
    const Outcome named = run("fairy2-eval", command + "pipe.jsonl");
    writer.join();
    if (content == "good.jsonl")
      EXPECT_EQ(named.output, plain.output) << named.errors;
    else
      EXPECT_TRUE(named.errors.starts_with(
          "fairy2-eval: error: pipe.jsonl:1: not valid JSON"))
          << named.errors;
  }
  // What is there without end, and what is no text.
  EXPECT_EQ(run("fairy2-eval", command + "/dev/zero").errors,
            "fairy2-eval: error: /dev/zero: line 1: byte 0 is zero, expected "
            "plain UTF-8\n");
}

/// Nothing is lost, under whatever name.
TEST_F(ToolsTest, AnOutputThatIsAnInputIsRefused) {
  const std::string before = readFile(model);
  std::filesystem::create_symlink("model.so", folder.file("soft"));
  std::filesystem::create_hard_link(model, folder.file("hard"));
  writeFile(folder.file("prompt"), "a");
  for (const std::string name : {"model.so", "./model.so", "soft", "hard"}) {
    const std::string message = "error: " + name +
                                ": expected another file than the input "
                                "model.so, found the same\n";
    for (const Outcome &outcome :
         {run("fairy2-run", "model.so -p a -n 1 --logits-out " + name),
          run("fairy2-bench", "model.so --html " + name)}) {
      EXPECT_EQ(outcome.code, 1);
      EXPECT_TRUE(outcome.errors.ends_with(message)) << outcome.errors;
    }
  }
  EXPECT_EQ(
      run("fairy2-run", "model.so --file prompt --logits-out prompt").errors,
      "fairy2-run: error: prompt: expected another file than the input "
      "prompt, found the same\n");
  EXPECT_EQ(readFile(model), before);
  EXPECT_EQ(readFile(folder.file("prompt")), "a");
}

/// Ctrl-C ends the text, not the report.
TEST_F(ToolsTest, InterruptKeepsTheText) {
  // A context so long that only the signal can end the run in time.
  writeFakeModel(model, [](nlohmann::json &manifest) {
    manifest["model"]["max_positions"] = 100'000'000;
  });
  const std::string out = folder.file("out");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int file = open(out.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(file, STDOUT_FILENO);
    const std::string tool = FAIRY2_BINARY_DIR "/bin/fairy2-run";
    execl(tool.c_str(), tool.c_str(), model.c_str(), "-p", "abc", "-n",
          "100000000", "--context", "100000000", "--ignore-eos", "--threads",
          "1", nullptr);
    _exit(127);
  }
  // Once text flows, the handler is in place.
  for (int i = 0; i < 6000 && readFile(out).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(readFile(out).ends_with("\n"));
}

} // namespace
