// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-train writes, keeps and refuses in a run's folder.
#include "test/unit/trainer/CommandLine.h"
#include "trainer/run/Folders.h"

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class RunFolderTest : public CommandLine {};

/// A write that fails, as on a full disk, is one sentence, and what was saved
/// before is still good. The limit on a file's size stands for the disk's.
TEST_F(RunFolderTest, AFullDiskKeepsTheStateBefore) {
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
  refuse("closed/new", "output: cannot write to ");
  refuse("train.txt", "train.txt/state: Not a directory");
}

/// Hours of training are not lost to a command given again, nor the model that
/// a run begins with.
TEST_F(RunFolderTest, AModelIsNotOverwritten) {
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
TEST_F(RunFolderTest, OneRunAtATimeWritesToAFolder) {
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

} // namespace
