// SPDX-License-Identifier: Apache-2.0
//
// What a signal must not leave behind, in child processes that get one.
#include "runtime/support/Unfinished.h"

#include "runtime/support/File.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include <sys/wait.h>
#include <unistd.h>

using namespace fairy2;
namespace fs = std::filesystem;

namespace {

class UnfinishedTest : public testing::Test {
protected:
  /// Runs `action` in a process and returns the signal that ended it, or 0.
  static int signalOf(const std::function<void()> &action) {
    const pid_t child = fork();
    if (child == 0) {
      cleanUpOnSignals();
      action();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  bool isEmpty() const { return fs::is_empty(folder.path()); }

  const TemporaryFolder folder;
};

TEST_F(UnfinishedTest, GoesWithItsOwner) {
  {
    const Unfinished file(folder.write("file", "x"));
    fs::create_directory(folder / "sub");
    Unfinished sub(folder / "sub"), moved(std::move(sub));
    folder.write("sub/file", "x");
    EXPECT_EQ(sub.path(), "");
    Unfinished kept(folder.write("kept", "x"));
    kept.keep();
    EXPECT_EQ(kept.path(), "");
  }
  EXPECT_FALSE(fs::exists(folder / "file"));
  EXPECT_FALSE(fs::exists(folder / "sub"));
  EXPECT_TRUE(fs::exists(folder / "kept"));
}

TEST_F(UnfinishedTest, GoesWithASignal) {
  for (const int signal :
       {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ}) {
    EXPECT_EQ(signalOf([&] {
                fs::create_directory(folder / "sub");
                const Unfinished sub(folder / "sub");
                for (int i = 0; i < 500; ++i) // of several reads of a folder
                  folder.write("sub/file" + std::to_string(i), "x");
                const Unfinished file(folder.write("file", "x"));
                const Unfinished gone(folder / "gone");
                raise(signal);
              }),
              signal);
    EXPECT_TRUE(isEmpty()) << strsignal(signal);
  }
}

/// Also where file systems have no files without names.
TEST_F(UnfinishedTest, AnOutputIsWholeOrNotThere) {
  EXPECT_EQ(signalOf([&] {
              OutputFile file(folder / "out");
              raise(SIGTERM);
            }),
            SIGTERM);
  EXPECT_TRUE(isEmpty());
  EXPECT_EQ(signalOf([&] {
              const SignalDelay together;
              raise(SIGTERM);
              writeTextFile(folder / "out", "all");
            }),
            SIGTERM);
  EXPECT_EQ(readFile(folder / "out"), "all");
}

TEST_F(UnfinishedTest, SignalsThatAreIgnoredStayIgnored) {
  EXPECT_EQ(signalOf([&] {
              // As nohup does, before the program begins.
              std::signal(SIGTERM, SIG_DFL);
              std::signal(SIGHUP, SIG_IGN);
              cleanUpOnSignals();
              raise(SIGHUP);
            }),
            0);
}

TEST_F(UnfinishedTest, AForkedProcessRemovesNothing) {
  const std::string file = folder.write("file", "x");
  EXPECT_EQ(signalOf([&] {
              Unfinished ours(file);
              if (const pid_t child = fork()) {
                waitpid(child, nullptr, 0);
                ours.keep();
                return;
              }
              raise(SIGTERM);
            }),
            0);
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(UnfinishedTest, ChildrenGoToo) {
  const std::string file = folder.file("pid");
  EXPECT_EQ(signalOf([&] {
              const pid_t child = fork();
              if (child == 0) {
                sleep(60);
                _exit(0);
              }
              const UnfinishedChild guard(child);
              writeTextFile(file, std::to_string(child));
              raise(SIGINT);
            }),
            SIGINT);
  const pid_t child = std::stoi(readFile(file));
  EXPECT_EQ(kill(child, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

} // namespace
