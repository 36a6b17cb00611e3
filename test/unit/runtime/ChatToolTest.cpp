// SPDX-License-Identifier: Apache-2.0
//
// fairy2-run --chat as a user meets it: in a pipe, and on a terminal with
// Ctrl-C and Ctrl-D.
#include "test/unit/runtime/RunTool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include <poll.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class ChatToolTest : public testing::Test {
protected:
  ChatToolTest() {
    unsetenv("FAIRY2_ISA");
    writeFakeModel(model);
  }

  Outcome chat(const std::string &input, const std::string &arguments = "") {
    return runTool(folder, "fairy2-run",
                   "model.so --chat -n 6 --ignore-eos " + arguments, input);
  }
  /// The text that the model continues `prompt` with, from another run.
  std::string continued(const std::string &prompt) {
    const Outcome outcome = runTool(
        folder, "fairy2-run",
        "model.so --no-bos -n 6 --ignore-eos --json -p '" + prompt + "'");
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output)["text"];
  }

  TemporaryFolder folder;
  const std::string model = folder.file("model.so");
};

TEST_F(ChatToolTest, PipeGivesAnswersWithoutPrompts) {
  const std::string first = continued("<s>user.hello</s>assistant.");
  const std::string second = continued("<s>user.hello</s>assistant." + first +
                                       "</s>user.more</s>assistant.");
  const Outcome outcome = chat("hello\n\nmore\n");
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, first + "\n" + second + "\n");
  const std::string note = "[cut after 6 tokens, as -n asks]\n";
  EXPECT_EQ(outcome.errors, note + note);
}

TEST_F(ChatToolTest, SystemAndReset) {
  const std::string alone = continued("<s>user.hi</s>assistant.");
  const std::string kind =
      continued("<s>system.be kind</s>user.hi</s>assistant.");
  const std::string brief =
      continued("<s>system.be brief</s>user.hi</s>assistant.");
  EXPECT_EQ(chat("/system be kind\nhi\n/system be brief\n/reset\nhi\n/system\n"
                 "/reset\nhi\n/exit\nhi\n")
                .output,
            kind + "\n" + brief + "\n" + alone + "\n");
  EXPECT_EQ(chat("hi", "--system 'be kind'").output, kind + "\n");
}

TEST_F(ChatToolTest, MessagesOfSeveralLines) {
  const std::string expected = continued("<s>user.a\n\nb</s>assistant.") + "\n";
  for (const std::string input :
       {"a\\\n\\\nb\n", "\"\"\"a\n\nb\"\"\"\n", "\"\"\"\na\n\nb\n\"\"\"\n",
        "\"\"\"\na\n\nb", "a\\\r\n\\\r\nb\r\n"})
    EXPECT_EQ(chat(input).output, expected) << input;
  EXPECT_EQ(chat("\"\"\"a\"\"\"\n").output, chat("a").output);
  EXPECT_EQ(chat("\"\"\"\"\"\"\n").output, "");
}

TEST_F(ChatToolTest, WhatIsWrongIsSaid) {
  struct Bad {
    std::string input, message;
  };
  const Bad cases[] = {
      {"/what now\n",
       "error: command: expected one of /system, /reset, /help, /exit, found "
       "/what; text in \"\"\" may start with a slash\n"},
      {std::string(90, 'a') + "\n",
       "error: conversation: expected at most 100 tokens, the context, found "
       "107 with this message\n"},
      {std::string(9 << 20, 'a'),
       "error: standard input: expected messages of at most 8 MiB, found a "
       "longer one\n"},
  };
  for (const Bad &bad : cases) {
    const Outcome outcome = chat(bad.input);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.errors, "fairy2-run: " + bad.message);
  }
  const Outcome full = chat("a\n/help\n", "--context 20");
  EXPECT_EQ(full.code, 0);
  EXPECT_NE(full.errors.find("[cut: the context of 20 tokens is full; /reset "
                             "starts anew]"),
            std::string::npos);
  EXPECT_NE(full.errors.find("/system TEXT"), std::string::npos);
  std::filesystem::remove(model);
  writeFakeModel(
      model, [](nlohmann::json &manifest) { manifest.erase("chat_template"); });
  EXPECT_EQ(chat("a").errors,
            "fairy2-run: error: model.so: chat template: expected one, found a "
            "model that was compiled without\n");
}

/// fairy2-run --chat on a terminal of its own.
class Terminal {
public:
  explicit Terminal(const std::string &model,
                    const std::string &context = "100000000",
                    const char *kind = "dumb") {
    winsize size = {24, 200, 0, 0};
    child = forkpty(&descriptor, nullptr, nullptr, &size);
    if (child == 0) {
      // As terminals set it: what is typed before libedit takes over is erased
      // by characters.
      termios modes = {};
      tcgetattr(STDIN_FILENO, &modes);
      modes.c_iflag |= IUTF8;
      tcsetattr(STDIN_FILENO, TCSANOW, &modes);
      setenv("TERM", kind, 1);
      const std::string tool = FAIRY2_BINARY_DIR "/bin/fairy2-run";
      execl(tool.c_str(), tool.c_str(), model.c_str(), "--chat", "--context",
            context.c_str(), "--threads", "1", nullptr);
      _exit(127);
    }
  }
  ~Terminal() {
    if (child > 0) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    close(descriptor);
  }

  void type(const std::string &text) {
    EXPECT_EQ(write(descriptor, text.data(), text.size()),
              ssize_t(text.size()));
  }
  /// Types much, and reads what that shows, as a terminal does.
  void paste(const std::string &text) {
    for (size_t at = 0; at < text.size();) {
      pollfd wanted = {descriptor, POLLIN | POLLOUT, 0};
      ASSERT_GT(poll(&wanted, 1, 60000), 0);
      if (wanted.revents & POLLIN)
        readSome();
      if (!(wanted.revents & POLLOUT))
        continue;
      const std::string piece = text.substr(at, 256);
      const ssize_t count = write(descriptor, piece.data(), piece.size());
      ASSERT_GT(count, 0);
      at += size_t(count);
    }
  }
  termios modes() const {
    termios modes = {};
    tcgetattr(descriptor, &modes);
    return modes;
  }
  void signal(int number) { kill(child, number); }
  /// Waits until `text` has appeared after all that was awaited before.
  bool await(const std::string &text) {
    const auto deadline = patience();
    while (std::chrono::steady_clock::now() < deadline) {
      const size_t at = shown.find(text, seen);
      if (at != std::string::npos) {
        seen = at + text.size();
        return true;
      }
      pollfd wanted = {descriptor, POLLIN, 0};
      if (poll(&wanted, 1, 100) > 0 && !readSome())
        break;
    }
    ADD_FAILURE() << "expected " << text << ", found "
                  << shown.substr(std::min(seen, shown.size())).substr(0, 500);
    return false;
  }
  const std::string &everything() const { return shown; }
  /// -1 after a signal; a program that does not end is a failure.
  int exitCode() {
    int status = 0;
    const auto deadline = patience();
    while (waitpid(child, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "expected the program to end, shown so far: " << shown;
        return -2;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    child = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

private:
  static std::chrono::steady_clock::time_point patience() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
  }
  bool readSome() {
    char bytes[4096];
    const ssize_t count = read(descriptor, bytes, sizeof(bytes));
    shown.append(bytes, size_t(std::max<ssize_t>(count, 0)));
    return count > 0;
  }

  int descriptor = -1;
  pid_t child = -1;
  std::string shown;
  size_t seen = 0;
};

class ChatTerminalTest : public ChatToolTest {
protected:
  /// A model whose answers only end when they are stopped.
  ChatTerminalTest() { writeEndless(fakeTokenizer()); }

  void writeEndless(const std::string &tokenizer) {
    std::filesystem::remove(model);
    writeFakeModel(
        model, fakeImage(),
        [](nlohmann::json &manifest) {
          manifest["model"]["max_positions"] = 100'000'000;
          manifest["model"]["eos_tokens"] = nlohmann::json::array();
          manifest["chat_template"] = "{{ messages[-1].content }}";
        },
        tokenizer);
  }
};

TEST_F(ChatTerminalTest, InterruptStopsTheAnswerAndNotTheProgram) {
  Terminal terminal(model);
  for (const char *message : {"abc", "def"}) {
    ASSERT_TRUE(terminal.await("> "));
    terminal.type(std::string(message) + "\n");
    // The echo, and some of the answer.
    ASSERT_TRUE(terminal.await(std::string(message) + "\r\n"));
    ASSERT_TRUE(terminal.await("a"));
    terminal.type("\x03");
    ASSERT_TRUE(terminal.await("[stopped]"));
  }
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.exitCode(), 0);
}

/// A model that says ESC in place of "a" does not reach the terminal with it.
TEST_F(ChatTerminalTest, ControlCharactersOfTheModelAreShown) {
  std::string tokenizer = fakeTokenizer();
  const size_t at = tokenizer.find("\"a\":");
  ASSERT_NE(at, std::string::npos);
  tokenizer.replace(at, 3, "\"\\u001b\"");
  writeEndless(tokenizer);
  Terminal terminal(model);
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("bcd\n");
  ASSERT_TRUE(terminal.await("bcd\r\n"));
  ASSERT_TRUE(terminal.await("\\x1b"));
  terminal.type("\x03");
  ASSERT_TRUE(terminal.await("[stopped]"));
  EXPECT_EQ(terminal.everything().find('\x1b'), std::string::npos);
  // Into a pipe goes what the model said.
  const Outcome piped = runTool(folder, "fairy2-run",
                                "model.so --chat -n 60 --context 100", "bcd\n");
  EXPECT_NE(piped.output.find('\x1b'), std::string::npos) << piped.errors;
}

TEST_F(ChatTerminalTest, InterruptTwiceAtThePromptEnds) {
  Terminal terminal(model);
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("typed\x03"); // takes the line back
  ASSERT_TRUE(terminal.await("(Ctrl-C again ends)"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("one \\\n");
  ASSERT_TRUE(terminal.await(". "));
  terminal.type("\x03"); // takes the message back, after another line
  ASSERT_TRUE(terminal.await("(Ctrl-C again ends)"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("/help\n"); // in between
  ASSERT_TRUE(terminal.await("/exit"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("\x03");
  ASSERT_TRUE(terminal.await("(Ctrl-C again ends)"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("\x03");
  EXPECT_EQ(terminal.exitCode(), 0);
}

/// A terminal's usual mode keeps 4,095 bytes of a line.
TEST_F(ChatToolTest, LongLinesArePastedWhole) {
  Terminal terminal(model, "100");
  ASSERT_TRUE(terminal.await("> "));
  // Each but the first while the answer to another is under way, or may be.
  terminal.paste(std::string(4096, 'a') + "\n" + std::string(9000, 'b') + "\n" +
                 std::string(30000, 'c') + "\n");
  for (const char *count : {"4113", "9017", "30017"})
    ASSERT_TRUE(terminal.await("found " + std::string(count) + " with"));
}

TEST_F(ChatToolTest, LinesAreEditedAndRemembered) {
  Terminal terminal(model, "100", "xterm");
  ASSERT_TRUE(terminal.await("> "));
  const std::string up = "\x1b[A", left = "\x1b[D";
  terminal.type("/none a\tb\n");
  ASSERT_TRUE(terminal.await("found /none;"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("/helx\x7fp\n");
  ASSERT_TRUE(terminal.await("Ctrl-C stops"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("\xc3\xa9\x7f" + up + up + "\x01" + "\x1b[C" + "non\n");
  ASSERT_TRUE(terminal.await("found /nonnone;"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("it/ex" + left + left + left + left + left + "\x0b");
  terminal.type("\x15/ex" + left + left + "\x05" + "it\n");
  EXPECT_EQ(terminal.exitCode(), 0);
}

TEST_F(ChatTerminalTest, WhatIsTypedDuringAnAnswerWaits) {
  Terminal terminal(model);
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("abc\n");
  ASSERT_TRUE(terminal.await("abc\r\n"));
  ASSERT_TRUE(terminal.await("a"));
  EXPECT_FALSE(terminal.modes().c_lflag & (ICANON | ECHO));
  terminal.type("\x03"); // flushes what was typed before
  ASSERT_TRUE(terminal.await("[stopped]"));
  terminal.type("/help\n");
  ASSERT_TRUE(terminal.await("/exit"));
}

/// Whatever ends the program.
TEST_F(ChatTerminalTest, TheTerminalIsLeftAsItWas) {
  for (const int number : {0, SIGTERM, SIGHUP}) {
    Terminal terminal(model);
    const tcflag_t before = terminal.modes().c_lflag;
    EXPECT_TRUE(before & ICANON);
    ASSERT_TRUE(terminal.await("> "));
    EXPECT_FALSE(terminal.modes().c_lflag & ICANON);
    if (number)
      terminal.signal(number);
    else
      terminal.type("/exit\n");
    EXPECT_EQ(terminal.exitCode(), number ? -1 : 0);
    EXPECT_EQ(terminal.modes().c_lflag, before);
  }
}

TEST_F(ChatTerminalTest, EndOfInputEndsAndErrorsDoNot) {
  Terminal terminal(model);
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("/nothing\n");
  ASSERT_TRUE(terminal.await("error: command: expected one of"));
  ASSERT_TRUE(terminal.await("> "));
  terminal.type("\x04");
  EXPECT_EQ(terminal.exitCode(), 0);
}

} // namespace
