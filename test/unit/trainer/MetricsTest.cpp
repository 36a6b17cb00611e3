// SPDX-License-Identifier: Apache-2.0
//
// metrics.jsonl after an interruption, and times as people read them.
#include "trainer/run/Metrics.h"

#include "runtime/support/File.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

/// After a crash the steps since the last save are done again, and each is told
/// once; a line that was not written to its end does not spoil the next.
TEST(MetricsTest, GoesOnAfterTheSavedStep) {
  const TemporaryFolder folder;
  const std::string kept = "{\"recipe\":{}}\n{\"step\":1,\"loss\":5.0}\n"
                           "{\"step\":2,\"loss\":null}\n";
  folder.write("metrics.jsonl", kept + "not JSON\n{\"step\":3,\"loss\":4.0}\n"
                                       "{\"step\":4,\"lo");
  Metrics(folder.path(), 2).write({{"step", 3}});
  EXPECT_EQ(readWholeFile(folder / "metrics.jsonl"), kept + "{\"step\":3}\n");
  Metrics(folder.path(), 0).write({{"step", 1}});
  EXPECT_EQ(readWholeFile(folder / "metrics.jsonl"), "{\"step\":1}\n");
}

TEST(MetricsTest, TimesAreForPeople) {
  EXPECT_EQ(timeText(5), "0:05");
  EXPECT_EQ(timeText(3599), "59:59");
  EXPECT_EQ(timeText(3 * 3600 + 7 * 60 + 59), "3 h 07 min");
  EXPECT_EQ(timeText(26 * 3600), "1 d 02 h");
}

} // namespace
