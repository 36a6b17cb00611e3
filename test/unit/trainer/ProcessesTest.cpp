// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train in several processes, and with signals.
#include "test/unit/trainer/CommandLine.h"

#include <chrono>
#include <csignal>
#include <sstream>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class ProcessesTest : public CommandLine {
protected:
  using Clock = std::chrono::steady_clock;

  /// A launcher's processes, in the order of ranks, once all run.
  static std::vector<pid_t> ranksOf(pid_t launcher) {
    const std::string id = std::to_string(launcher);
    std::istringstream list(
        readAll("/proc/" + id + "/task/" + id + "/children"));
    std::vector<pid_t> ranks;
    for (pid_t rank; list >> rank;)
      ranks.push_back(rank);
    return ranks;
  }
  static double secondsSince(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  /// A process of others; a zombie is gone too.
  static bool isGone(pid_t process) {
    const std::string status =
        readAll("/proc/" + std::to_string(process) + "/status");
    return status.empty() || status.find("State:\tZ") != std::string::npos;
  }
  static void expectOneSentence(const std::string &text,
                                const std::string &sentence) {
    EXPECT_NE(text.find(sentence), std::string::npos) << text;
    for (const char *noise : {"frame #", "Exception raised", "[W", "[E"})
      EXPECT_EQ(text.find(noise), std::string::npos) << text;
    size_t errors = 0;
    for (size_t at = 0; (at = text.find("error:", at)) != text.npos; ++at)
      ++errors;
    EXPECT_EQ(errors, 1u) << text;
  }
};

/// Two ranks sum two gradients, and so does one rank that accumulates: even
/// the bits are the same. ZeRO adds up norms in another order, so its losses
/// after 20 steps may differ by rounding.
TEST_F(ProcessesTest, TwoProcessesTrainWhatOneDoes) {
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
TEST_F(ProcessesTest, AStateServesAnyNumberOfRanks) {
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

/// When a rank dies the others end soon, and the output names it.
TEST_F(ProcessesTest, ADeadRankIsNamed) {
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

/// A process that is stopped stands for a machine that hangs. All end within
/// the time that README.md promises, and nobody stays behind.
TEST_F(ProcessesTest, AFrozenRankIsNamed) {
  const char *const kSentences[] = {
      "rank 1: rank 0, where the ranks meet, has died or cannot be reached",
      "rank 0: rank 1 has died or stood still for 10 seconds"};
  for (const size_t frozen : {0, 1}) {
    const std::string name = "frozen" + std::to_string(frozen);
    const std::string log = folder.file(name + ".log");
    const pid_t launcher =
        start({output(name.c_str()), "train.tokens=1e9", "--nproc", "2"}, log);
    awaitMetrics(name.c_str());
    const std::vector<pid_t> ranks = ranksOf(launcher);
    ASSERT_EQ(ranks.size(), 2u);
    ::kill(ranks[frozen], SIGSTOP);
    const Clock::time_point begin = Clock::now();
    int status = 0;
    ::waitpid(launcher, &status, 0);
    EXPECT_LT(secondsSince(begin), 20);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
    expectOneSentence(readAll(log), kSentences[frozen]);
    for (const pid_t rank : ranks)
      EXPECT_TRUE(isGone(rank));
  }
}

/// Ranks whose launcher stands still save what they have and end.
TEST_F(ProcessesTest, AFrozenLauncherStopsItsRanks) {
  const std::string log = folder.file("log");
  const pid_t launcher =
      start({output("alone"), "train.tokens=1e9", "--nproc", "2"}, log);
  awaitMetrics("alone");
  const std::vector<pid_t> ranks = ranksOf(launcher);
  ::kill(launcher, SIGSTOP);
  const Clock::time_point begin = Clock::now();
  for (const pid_t rank : ranks)
    await([&] { return isGone(rank); });
  EXPECT_LT(secondsSince(begin), 20);
  const std::string text = readAll(log);
  EXPECT_NE(text.find("the process that started the ranks, " +
                      std::to_string(launcher) +
                      ", has stood still for 10 seconds"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("stopped; the same command goes on from here"),
            std::string::npos)
      << text;
  ::kill(launcher, SIGCONT);
  int status = 0;
  ::waitpid(launcher, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
}

/// What a terminal that is closed sends.
TEST_F(ProcessesTest, AHangUpSavesTheState) {
  for (const char *processes : {"1", "2"}) {
    const std::string name = std::string("hup") + processes;
    const pid_t child =
        start({output(name.c_str()), "train.tokens=1e9",
               "train.batch_sequences=1", "--nproc", processes});
    awaitMetrics(name.c_str());
    ::kill(child, SIGHUP);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
    const Outcome rest =
        run(output(name.c_str()) + " train.batch_sequences=1 " +
            "train.tokens=1e9 --stop-after 1 --nproc " + processes);
    EXPECT_EQ(rest.status, 3) << rest.text;
    EXPECT_NE(rest.text.find("going on after step"), std::string::npos)
        << rest.text;
  }
}

/// While there is nothing to save, a signal ends the program as any other: here
/// one that is still busy with its data.
TEST_F(ProcessesTest, ASignalBeforeTheFirstStepEndsAtOnce) {
  std::string text;
  while (text.size() < (64 << 20)) // takes many times what await() sleeps
    text += "Once upon a time there was a little dog.\n";
  const std::string path = folder.write("long.txt", text);
  const pid_t child = start({output("early"), "data.train=" + path});
  const std::string open = "/proc/" + std::to_string(child) + "/fd";
  await([&] {
    std::error_code gone;
    for (const auto &file : std::filesystem::directory_iterator(open, gone))
      if (std::filesystem::read_symlink(file, gone) == path)
        return true;
    return false;
  });
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

/// The first Ctrl-C waits for the end of the step, to save; a later one does
/// not. Two that come together are one.
TEST_F(ProcessesTest, AnotherInterruptEndsAStep) {
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
TEST_F(ProcessesTest, AKilledLauncherStopsItsRanks) {
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
TEST_F(ProcessesTest, HalfOfAStateIsRefused) {
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
TEST_F(ProcessesTest, ATakenPortIsNamed) {
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

} // namespace
