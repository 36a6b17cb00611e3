// SPDX-License-Identifier: Apache-2.0
//
// How the distances of the weights' prefetch are chosen.
#include "runtime/Prefetch.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <limits>

using namespace fairy2;

namespace {

const CpuModel kZen4{"AuthenticAMD", 25, 17}, kZen5{"AuthenticAMD", 26, 2},
    kUnknown{"GenuineIntel", 6, 207};

TEST(PrefetchTest, KnowsMeasuredCpus) {
  EXPECT_EQ(knownPrefetch(kZen4), (Prefetch{1536, 8192}));
  EXPECT_EQ(knownPrefetch(kZen5), (Prefetch{8192, 0}));
  EXPECT_EQ(knownPrefetch({"AuthenticAMD", 25, 1}), std::nullopt); // Zen 3
  EXPECT_EQ(knownPrefetch({"GenuineIntel", 25, 17}), std::nullopt);
  EXPECT_EQ(knownPrefetch(kUnknown), std::nullopt);
}

TEST(PrefetchTest, TheEnvironmentComesFirstThenTheTable) {
  const auto never = [](const Prefetch &) -> double {
    ADD_FAILURE() << "nothing needs to be measured";
    return 0;
  };
  const auto given = choosePrefetch(kZen4, "512,0", never);
  EXPECT_EQ(given.distances, (Prefetch{512, 0}));
  EXPECT_EQ(given.source, PrefetchSource::Environment);
  const auto known = choosePrefetch(kZen4, nullptr, never);
  EXPECT_EQ(known.distances, (Prefetch{1536, 8192}));
  EXPECT_EQ(known.source, PrefetchSource::Table);
}

TEST(PrefetchTest, UnknownCpusTakeTheFastest) {
  for (const Prefetch &fastest : prefetchCandidates()) {
    const auto chosen =
        choosePrefetch(kUnknown, nullptr, [&](const Prefetch &p) {
          return p == fastest ? 1.0 : 2.0;
        });
    EXPECT_EQ(chosen.distances, fastest);
    EXPECT_EQ(chosen.source, PrefetchSource::Measured);
  }
  const auto unmeasured = choosePrefetch(kUnknown, nullptr, nullptr);
  EXPECT_EQ(unmeasured.distances, prefetchCandidates().front());
  EXPECT_EQ(unmeasured.source, PrefetchSource::Default);
}

TEST(PrefetchTest, AMeasurementThatIsAskedForPassesOverTheTable) {
  const Prefetch fastest = prefetchCandidates().back();
  const auto chosen = choosePrefetch(kZen4, "measure", [&](const Prefetch &p) {
    return p == fastest ? 1.0 : 2.0;
  });
  EXPECT_EQ(chosen.distances, fastest);
  EXPECT_EQ(chosen.source, PrefetchSource::Measured);
  EXPECT_EQ(choosePrefetch(kZen4, "measure", nullptr).source,
            PrefetchSource::Default);
}

/// What was not measured in time is as slow as can be.
TEST(PrefetchTest, TheFirstCandidateStandsWhereNoneIsTimed) {
  const auto chosen = choosePrefetch(kUnknown, nullptr, [](const Prefetch &) {
    return std::numeric_limits<double>::infinity();
  });
  EXPECT_EQ(chosen.distances, prefetchCandidates().front());
}

TEST(PrefetchTest, ReadsTwoDistances) {
  EXPECT_EQ(parsePrefetch("0,0"), (Prefetch{0, 0}));
  EXPECT_EQ(parsePrefetch("1536,1048576"), (Prefetch{1536, 1048576}));
  for (const char *wrong :
       {"", "8192", "8192,", ",8192", "1,2,3", "-1,0", "0,1048577", "1 ,2",
        "a,b", "measured", "99999999999999999999,0"})
    EXPECT_EQ(errorOf([&] { parsePrefetch(wrong); }),
              std::string("FAIRY2_PREFETCH: expected the distances for L1 and "
                          "L2 in bytes, such as 1536,8192, each at most "
                          "1048576, or measure, found '") +
                  wrong + "'");
}

} // namespace
