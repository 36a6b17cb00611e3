// SPDX-License-Identifier: Apache-2.0
//
// The page of a short run, and what bad metrics lead to.
#include "trainer/run/Report.h"

#include "test/unit/trainer/TinyModels.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

size_t count(const std::string &text, const std::string &part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at)
    ++n;
  return n;
}

TEST(ReportTest, HasACurveForEachSeries) {
  const TemporaryFolder folder;
  std::string lines =
      "{\"recipe\": {\"model\": \"<m>\"}, \"parameters\": 12}\n";
  for (int step = 1; step <= 1000; ++step)
    lines += "{\"step\": " + std::to_string(step) +
             ", \"loss\": " + std::to_string(1000 - step) +
             ", \"learning_rate\": 0.5}\n";
  lines += "{\"step\": 1000, \"validation_loss\": 7}\n";
  // Step 1000 again, after an interruption.
  lines += "{\"recipe\": {\"model\": \"<m>\"}}\n{\"step\": 1000, "
           "\"loss\": 2.5}\n";
  const std::string file = folder.write("metrics.jsonl", lines);
  const std::string page = reportOf(file, "a<b");
  EXPECT_EQ(count(page, "<svg"), 2u);
  EXPECT_EQ(count(page, "<polyline"), 3u);
  EXPECT_EQ(count(page, "validation, last 7"), 1u);
  EXPECT_NE(page.find("<title>a&lt;b</title>"), std::string::npos);
  EXPECT_NE(page.find("&lt;m&gt;"), std::string::npos);
  EXPECT_EQ(count(page, "training, last 2.5"), 1u);
  for (const char *outside : {"http", "src=", "<script", "@import"})
    EXPECT_EQ(page.find(outside), std::string::npos);
}

TEST(ReportTest, BrokenLinesAreNamed) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("metrics.jsonl", "{\"step\": 1}\n{\"step\": \n");
  EXPECT_NE(errorOf([&] { reportOf(file, ""); }).find("metrics.jsonl:2"),
            std::string::npos);
}

} // namespace
