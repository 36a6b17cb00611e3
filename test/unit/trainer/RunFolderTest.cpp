// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-train writes, keeps and refuses in a run's folder.
#include "trainer/run/RunFolder.h"

#include "test/unit/trainer/CommandLine.h"
#include "trainer/run/Folders.h"

#include <algorithm>
#include <set>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class RunFolderTest : public CommandLine {};

/// A write that fails, as on a full disk, is one sentence, and what was saved
/// before is still good. The limit on a file's size stands for the disk's.
TEST_F(RunFolderTest, AFullDiskKeepsTheStateBefore) {
  const Outcome first = run(output("full") + " --stop-after 3");
  EXPECT_EQ(first.status, 3) << first.text;
  const auto limited = [](int kibibytes) {
    return "trap '' XFSZ; ulimit -f " + std::to_string(kibibytes) + "; ";
  };
  // Less than a state takes, and more than the tokens of the text.
  const Outcome failed = run(output("full") + " --stop-after 2", limited(64));
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
      call(limited(16) + FAIRY2_TRAIN + " tokenize --model " +
           (folder / "model").string() + " -o " + (folder / "tokens").string() +
           " " + (folder / "train.txt").string());
  EXPECT_EQ(tokens.status, 1) << tokens.text;
  EXPECT_NE(tokens.text.find("cannot write: File too large"), std::string::npos)
      << tokens.text;
  EXPECT_FALSE(std::filesystem::exists(folder / "tokens/index.json"));
}

/// Said before the first step, not when there is something to save.
TEST_F(RunFolderTest, AFolderThatCannotBeWrittenIsNamed) {
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
  refuse("closed/new", "closed: cannot create a file: Permission denied");
  refuse("train.txt", "train.txt/state: Not a directory");
}

/// Hours of training are not lost to a command given again, nor the model that
/// a run begins with.
TEST_F(RunFolderTest, AModelIsNotOverwritten) {
  EXPECT_EQ(run(output("one")).status, 0);
  const std::string before = weights("one");
  const Outcome again = run(output("one") + " train.clip=0.5");
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
TEST_F(RunFolderTest, OneRunAtATimeWritesToAFolder) {
  std::filesystem::create_directories(folder / "two/state");
  {
    const FolderLock other(folder / "two/state");
    const Outcome refused = run(output("two"));
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.text.find("two/state: another run is writing there"),
              std::string::npos)
        << refused.text;
    EXPECT_FALSE(std::filesystem::exists(folder / "two/metrics.jsonl"));
  }
  EXPECT_EQ(run(output("two") + " --nproc 2").status, 0);
}

/// On any number of ranks that do the same.
TEST_F(RunFolderTest, ARunThatIsOverSaysSo) {
  EXPECT_EQ(run(output("one")).status, 0);
  const std::string before = weights("one");
  for (const char *same :
       {"", " train.keep_last=5 export.type=BF16",
        " --nproc 2 train.batch_sequences=1 train.sharding=zero1"}) {
    const Outcome again = run(output("one") + same);
    EXPECT_EQ(again.status, 0) << again.text;
    EXPECT_NE(again.text.find("this run is over already\n"), std::string::npos)
        << again.text;
    EXPECT_EQ(again.text.find("step 1"), std::string::npos) << again.text;
  }
  EXPECT_TRUE(weights("one") == before);
}

/// A smoke test begins anew each time, and the real run after it too.
TEST_F(RunFolderTest, ASmokeTestIsNotInTheWay) {
  EXPECT_EQ(run(output("one") + " --smoke --stop-after 4").status, 3);
  for (int i = 0; i < 2; ++i) {
    const Outcome smoke = run(output("one") + " --smoke --nproc 2");
    EXPECT_EQ(smoke.status, 0) << smoke.text;
    EXPECT_EQ(smoke.text.find("going on"), std::string::npos) << smoke.text;
    EXPECT_NE(smoke.text.find("step 10/10"), std::string::npos) << smoke.text;
  }
  const Outcome real = run(output("one"));
  EXPECT_EQ(real.status, 0) << real.text;
  EXPECT_NE(real.text.find("step 20/20"), std::string::npos) << real.text;
  EXPECT_FALSE(std::filesystem::exists(folder / "one/state"));
}

/// What others put into a run's folders outlives the run, and what the run
/// would have to replace is named before it begins.
TEST_F(RunFolderTest, ForeignFilesStay) {
  const char *const kForeign[] = {"state/notes.txt", "state/step-4/notes.txt",
                                  "state/step-x", "notes.txt",
                                  "tensorboard/events.out.tfevents.1.host.2"};
  const auto writeAll = [&] {
    for (const char *name : kForeign) {
      const std::filesystem::path path = folder / ("out/" + std::string(name));
      std::filesystem::create_directories(path.parent_path());
      writeFile(path, "mine");
    }
  };
  writeAll();
  // What lies where a state is to be is not removed for it.
  const Outcome blocked = run(output("out") + " train.save_every=2");
  EXPECT_EQ(blocked.status, 1);
  EXPECT_NE(blocked.text.find("state/step-4: something that is no state of "
                              "this run has that name"),
            std::string::npos)
      << blocked.text;
  std::filesystem::remove_all(folder / "out/state/step-4");
  EXPECT_EQ(run(output("out") + " train.save_every=2 --stop-after 3").status,
            3);
  ASSERT_TRUE(std::filesystem::exists(folder / "out/state/step-4"));
  writeAll();
  const Outcome rest = run(output("out") + " train.save_every=2");
  EXPECT_EQ(rest.status, 0) << rest.text;
  for (const char *name : kForeign)
    EXPECT_EQ(readFile(folder / ("out/" + std::string(name))), "mine") << name;
  for (const char *name : {"config.json", "tokenizer.json", "metrics.jsonl",
                           "report.html", "generation_config.json"}) {
    std::filesystem::create_directories(folder / "taken");
    folder.write("taken/" + std::string(name), "mine");
    const Outcome refused = run(output("taken"));
    EXPECT_EQ(refused.status, 1) << refused.text;
    EXPECT_NE(refused.text.find("taken/" + std::string(name) +
                                " is a file that no run wrote and this one "
                                "would replace"),
              std::string::npos)
        << refused.text;
    EXPECT_EQ(readFile(folder / ("taken/" + std::string(name))), "mine");
    std::filesystem::remove_all(folder / "taken");
  }
}

TEST_F(RunFolderTest, TheLastStatesStay) {
  const auto steps = [&] {
    std::set<std::string> names;
    for (const auto &entry :
         std::filesystem::directory_iterator(folder / "out/state"))
      if (entry.is_directory())
        names.insert(entry.path().filename().string());
    return names;
  };
  const std::string often = output("out") + " train.save_every=3 ";
  EXPECT_EQ(run(often + "--stop-after 10").status, 3);
  EXPECT_EQ(steps(), (std::set<std::string>{"step-10", "step-9"}));
  // A damaged one is not passed over, but there is another.
  folder.write("out/state/step-10/rank-0.safetensors", "{}");
  const Outcome damaged = run(often);
  EXPECT_EQ(damaged.status, 1);
  EXPECT_NE(damaged.text.find("step-10 to go on after step 9"),
            std::string::npos)
      << damaged.text;
  std::filesystem::remove_all(folder / "out/state/step-10");
  const Outcome one = run(often + "train.keep_last=1 --stop-after 3");
  EXPECT_NE(one.text.find("going on after step 9"), std::string::npos);
  EXPECT_EQ(steps(), (std::set<std::string>{"step-12"}));
}

/// What a state holds is on the disk before its folder has its name, and that
/// name before an older state goes. A library in between writes down the order.
TEST_F(RunFolderTest, StatesAreDurableBeforeOlderOnesGo) {
#if defined(__has_feature) && __has_feature(address_sanitizer)
  GTEST_SKIP() << "a sanitizer wants to be loaded first";
#endif
  const std::string log = (folder / "order").string();
  const Outcome outcome = run(
      output("out") + " train.save_every=3 train.keep_last=1 --stop-after 6",
      "LD_PRELOAD=" FAIRY2_FILE_ORDER " FAIRY2_FILE_ORDER=" + log);
  EXPECT_EQ(outcome.status, 3) << outcome.text;
  std::vector<std::string> lines;
  std::ifstream stream(log);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  const std::string state = (folder / "out/state").string();
  const auto at = [&](const std::string &line) {
    const auto found = std::find(lines.begin(), lines.end(), line);
    EXPECT_NE(found, lines.end()) << line;
    return found - lines.begin();
  };
  for (const std::string step : {"/step-3", "/step-6"}) {
    const std::string temporary = state + step + ".tmp";
    const auto renamed = at("rename " + temporary + " " + state + step);
    for (const char *name :
         {"/rank-0.safetensors", "/model.safetensors.index.json", "/state.json",
          "/SHA256SUMS", ""})
      EXPECT_LT(at("fsync " + temporary + name), renamed) << name;
  }
  const auto renamed =
      at("rename " + state + "/step-6.tmp " + state + "/step-6");
  const auto removed = at("remove " + state + "/step-3/state.json");
  ASSERT_LT(renamed, removed);
  EXPECT_EQ(std::count(lines.begin() + renamed, lines.begin() + removed,
                       "fsync " + state),
            1);
}

/// Ranks on machines that share no file system, as two folders: what only rank
/// 0 reads and writes needs none, anything else says so before the first step.
TEST_F(RunFolderTest, RanksThatShareNoFolderSaySo) {
  const auto both = [&](const std::string &first, const std::string &second,
                        const std::string &rest, const char *port) {
    const std::string common = " train.batch_sequences=1 " + rest;
    const std::string ranks =
        std::string("WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=") + port;
    const std::string program =
        std::string(FAIRY2_TRAIN) + " " + (folder / "r.yaml").string() + " ";
    return call("RANK=1 " + ranks + " " + program + output(second.c_str()) +
                common + " & RANK=0 " + ranks + " " + program +
                output(first.c_str()) + common + "; wait");
  };
  const Outcome plain = both("a", "b", "--stop-after 2", "29871");
  EXPECT_EQ(plain.status, 0) << plain.text;
  EXPECT_TRUE(std::filesystem::exists(folder / "a/state/step-2"));
  EXPECT_FALSE(std::filesystem::exists(folder / "b"));
  const Outcome resumed = both("a", "b", "", "29872");
  const std::string seen =
      "output: rank 1 does not see what rank 0 writes to " +
      (folder / "b/state").string() +
      ": expected a file system that all ranks share, ";
  EXPECT_NE(resumed.text.find(seen + "to go on from a saved state"),
            std::string::npos)
      << resumed.text;
  for (const char *sharding : {"zero1", "zero3"}) {
    const Outcome divided =
        both("c", "b", std::string("train.sharding=") + sharding,
             *sharding == 'z' && sharding[4] == '1' ? "29873" : "29874");
    EXPECT_NE(divided.text.find(seen + "for states of which each rank writes "
                                       "a part"),
              std::string::npos)
        << divided.text;
    EXPECT_EQ(divided.text.find("step 1"), std::string::npos) << divided.text;
  }
}

/// A disk of 300 kB, where the kernel lets us have one.
TEST_F(RunFolderTest, ADiskThatIsTooSmallIsToldBeforeTheFirstStep) {
  EXPECT_NE(errorOf([&] {
              requireSpace(folder.path(), int64_t(1) << 60, "all of it");
            }).find(" left, expected 1099511627776 MiB for all of it"),
            std::string::npos);
  requireSpace(folder.path(), 1, "a byte");
  std::filesystem::create_directory(folder / "small");
  const std::string small = (folder / "small").string();
  const std::string mounted =
      "mount -t tmpfs -o size=300k none " + small + " && ";
  const auto inside = [&](const std::string &command) {
    return call("unshare -m sh -c '" + mounted + command + "'");
  };
  if (inside("true").status != 0)
    GTEST_SKIP() << "without a mount of its own";
  const std::string command = std::string(FAIRY2_TRAIN) + " " +
                              (folder / "r.yaml").string() + " " +
                              output("small/out");
  const Outcome outcome = inside(command);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find(" for 1 saved state and the export; "
                              "train.keep_last and export.type make it less"),
            std::string::npos)
      << outcome.text;
  EXPECT_EQ(outcome.text.find("step 1"), std::string::npos) << outcome.text;
}

} // namespace
