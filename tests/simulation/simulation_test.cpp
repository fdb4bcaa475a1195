// Goal: whatever happens to a cluster's processes and streams, every request ends once, with the tokens it would have
// had alone; nothing stays behind; and the checks that say so would notice if it were not so. Method: whole clusters
// from seeds. SWITCHYARD_SEED=N runs that seed alone, SWITCHYARD_SEEDS=N that many.
#include "tests/simulation/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace switchyard::simulation {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

Outcome run(uint64_t seed, Canary canary = Canary::kNone) { return simulate(make_plan(seed), {seed, canary}); }

std::string again(uint64_t seed) { return fmt::format("repeat it with: build/bin/simulate --seed={} --loud", seed); }

TEST(Simulation, WhateverHappensEveryRequestEndsOnceAsItWouldAlone) {
  const uint64_t one = from_environment("SWITCHYARD_SEED", 0);
  const uint64_t first = one != 0 ? one : 1;
  const uint64_t count = one != 0 ? 1 : from_environment("SWITCHYARD_SEEDS", 200);
  Outcome sum;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Outcome outcome = run(seed);
    EXPECT_EQ(outcome.story, "") << again(seed);
    sum.streams += outcome.streams;
    sum.replays += outcome.replays;
    sum.epochs += outcome.epochs;
    for (size_t k = 0; k < kFaultKinds; ++k) sum.faults[k] += outcome.faults[k];
  }
  if (count < 200) return;
  // What the seeds are for has happened.
  EXPECT_GT(sum.streams, 10 * count);
  EXPECT_GT(sum.replays, count / 2);
  EXPECT_GT(sum.epochs, 2 * count);
  for (size_t k = 0; k < kFaultKinds; ++k) EXPECT_GT(sum.faults[k], count / 20) << fault_name(static_cast<Fault>(k));
}

// Each broke an invariant once.
TEST(Simulation, SeedsThatFoundBugsFindNoneAnyMore) {
  for (const uint64_t seed : {30, 119, 281, 499, 561, 865, 892, 975}) EXPECT_EQ(run(seed).story, "") << again(seed);
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Outcome one = run(seed);
    const Outcome other = run(seed);
    EXPECT_EQ(one.hash, other.hash) << again(seed);
    EXPECT_EQ(one.events, other.events);
  }
  EXPECT_NE(run(1).hash, run(2).hash);
}

// A bug that is put in is found, within so many seeds, and told with the invariant that it breaks.
class PlantedBug : public testing::TestWithParam<std::pair<Canary, const char*>> {};

TEST_P(PlantedBug, IsFound) {
  constexpr uint64_t kSeeds = 40;
  const auto& [canary, what] = GetParam();
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome outcome = run(seed, canary);
    if (outcome.story.empty()) continue;
    EXPECT_NE(outcome.story.find(what), std::string::npos) << outcome.story;
    EXPECT_NE(outcome.story.find("The latest events"), std::string::npos);
    return;
  }
  FAIL() << "not in " << kSeeds << " seeds";
}

const char* name_of(Canary canary) {
  switch (canary) {
    case Canary::kFrameTwice: return "FrameTwice";
    case Canary::kFrameLost: return "FrameLost";
    case Canary::kForgetfulReplay: return "ForgetfulReplay";
    case Canary::kEpochAgain: return "EpochAgain";
    case Canary::kIncompletePlacement: return "IncompletePlacement";
    case Canary::kLostEnd: return "LostEnd";
    case Canary::kDeafToCancel: return "DeafToCancel";
    case Canary::kNone: break;
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Canaries, PlantedBug,
                         testing::Values(std::pair(Canary::kFrameTwice, "has other tokens than undisturbed"),
                                         std::pair(Canary::kFrameLost, "has other tokens than undisturbed"),
                                         std::pair(Canary::kForgetfulReplay, "has other tokens than undisturbed"),
                                         std::pair(Canary::kEpochAgain, "is begun twice"),
                                         std::pair(Canary::kIncompletePlacement, "gives experts to"),
                                         std::pair(Canary::kLostEnd, "request"),
                                         std::pair(Canary::kDeafToCancel, "although it was cancelled")),
                         [](const auto& i) { return name_of(i.param.first); });

}  // namespace
}  // namespace switchyard::simulation
