// Goal: a rank that has become slow is found, and no healthy one is taken for it. Method: reports of made-up steps, a
// clock of our own.
#include "coordinator/slow_ranks.h"

#include <gtest/gtest.h>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;

struct Work {
  double seconds = 0.001;  // a step
  uint64_t tokens = 4;     // likewise
  uint64_t positions = 400;
  uint64_t steps = 10;   // a report, of 150 ms
  double core_wait = 0;  // a step
};

class SlowRanksTest : public testing::Test {
 protected:
  using Verdict = SlowRanks::Verdict;
  using Verdicts = std::vector<Verdict>;

  // A report of each rank, every 150 ms; what was said of rank 1.
  Verdicts pass(const std::vector<Work>& work, int reports) {
    Verdicts verdicts;
    for (int i = 0; i < reports; ++i) {
      for (uint32_t rank = 0; rank < work.size(); ++rank) {
        wire::RankReport& report = reports_[rank];
        report.set_steps(report.steps() + work[rank].steps);
        report.set_generation_tokens(report.generation_tokens() + work[rank].steps * work[rank].tokens);
        report.set_attended_positions(report.attended_positions() + work[rank].steps * work[rank].positions);
        report.set_compute_seconds(report.compute_seconds() +
                                   static_cast<double>(work[rank].steps) * work[rank].seconds);
        report.set_core_wait_seconds(report.core_wait_seconds() +
                                     static_cast<double>(work[rank].steps) * work[rank].core_wait);
        const Verdict verdict = ranks_.report(rank, report, now_);
        if (rank == 1) {
          verdicts.push_back(verdict);
        } else {
          EXPECT_EQ(verdict, Verdict::kNone);
        }
      }
      now_ += 150ms;
    }
    return verdicts;
  }
  std::vector<bool> slow() const { return {ranks_.slow(0), ranks_.slow(1), ranks_.slow(2)}; }

  Time now_{1h};
  SlowRanks ranks_{3};
  std::vector<wire::RankReport> reports_{3};
};

using Slow = std::vector<bool>;
constexpr int kUsually = 50;  // reports, until all is known and nobody is new

TEST_F(SlowRanksTest, TheOneThatTakesTenTimesAsLongIsFoundWithinASecondAndLostWithinTwo) {
  pass({{}, {}, {}}, kUsually);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {.seconds = 0.01}, {}}, 1);
  EXPECT_EQ(slow(), (Slow{false, false, false}));  // it may pass
  pass({{}, {}, {}}, 2);
  const Verdicts verdicts = pass({{}, {.seconds = 0.01}, {}}, 9);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
  EXPECT_NEAR(ranks_.times_usual(1), 10, 1);
  constexpr auto kNone = Verdict::kNone;
  EXPECT_EQ(verdicts,
            (Verdicts{kNone, Verdict::kSlow, kNone, kNone, kNone, kNone, kNone, Verdict::kLost, Verdict::kLost}));
  pass({{}, {}, {}}, 1);
  EXPECT_EQ(slow(), (Slow{false, true, false}));  // one good look among slow ones
  pass({{}, {}, {}}, 1);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
}

TEST_F(SlowRanksTest, ItIsFoundAtWorkThatItHasNotMetBefore) {
  pass({{}, {}, {}}, kUsually);
  // Four times the tokens, of which all may be dearer by as much.
  pass({{.tokens = 16}, {.seconds = 0.04, .tokens = 16}, {.tokens = 16}}, 3);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
  // Half the work, which may cost as much as the whole.
  pass({{.positions = 200}, {.seconds = 0.01, .positions = 200}, {.positions = 200}}, 3);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, OneThatIsSlowFromItsFirstStepOnIsFoundByWhatOthersTake) {
  pass({{}, {.seconds = 0.01}, {}}, kUsually);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, ANewProcessMayTakeItsTime) {
  pass({{}, {.seconds = 0.02}, {}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {}, {}}, kUsually);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
}

TEST_F(SlowRanksTest, WhoComputesLittleOfTheTimeKeepsNobodyWaiting) {
  pass({{}, {}, {}}, kUsually);
  pass({{}, {.seconds = 0.01, .steps = 3}, {}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  EXPECT_NEAR(ranks_.times_usual(1), 10, 1);
}

TEST_F(SlowRanksTest, WhoWaitsForACoreIsNotSlow) {
  pass({{}, {}, {}}, kUsually);
  pass({{}, {.seconds = 0.02, .core_wait = 0.018}, {}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {.seconds = 0.02, .core_wait = 0.002}, {}}, 2);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, AMachineThatSlowsAllSlowsNobody) {
  pass({{}, {}, {}}, kUsually);
  pass({{.seconds = 0.02}, {.seconds = 0.01}, {.seconds = 0.02}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
}

TEST_F(SlowRanksTest, WhatHasMoreToDoIsNotSlow) {
  pass({{}, {}, {}}, kUsually);
  // One rank attends to long contexts, then computes long prompts, then all tokens come from it.
  pass({{}, {.seconds = 0.02, .positions = 100000}, {}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {.seconds = 0.05, .tokens = 300}, {}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{.tokens = 0}, {.seconds = 0.01, .tokens = 64}, {.tokens = 0}}, 20);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  // But what it does slowly then is seen too.
  pass({{.tokens = 0}, {.seconds = 0.1, .tokens = 64}, {.tokens = 0}}, 6);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, AReportWithoutAStepIsLookedAtWithTheNext) {
  pass({{}, {}, {}}, kUsually);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(slow(), (Slow{false, false, false}));
    pass({{.steps = 0}, {.steps = 0}, {.steps = 0}}, 1);
    pass({{.steps = 1}, {.seconds = 0.2, .steps = 1}, {.steps = 1}}, 1);
  }
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, CountersThatGoBackBeginAnew) {
  pass({{}, {}, {}}, kUsually);
  reports_[1].set_generation_tokens(0);
  reports_[1].set_attended_positions(0);
  pass({{}, {}, {}}, 4);
  EXPECT_NEAR(ranks_.times_usual(1), 1, 0.1);
  pass({{}, {.seconds = 0.01}, {}}, 6);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

TEST_F(SlowRanksTest, AnotherProcessIsMeasuredAgainstWhatItsPlaceWasUsedTo) {
  pass({{}, {}, {}}, kUsually);
  pass({{}, {.seconds = 0.01}, {}}, 6);
  ranks_.begin(1);
  reports_[1].Clear();
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {}, {}}, kUsually);
  EXPECT_EQ(slow(), (Slow{false, false, false}));
  pass({{}, {.seconds = 0.01}, {}}, 6);
  EXPECT_EQ(slow(), (Slow{false, true, false}));
}

}  // namespace
}  // namespace switchyard::coordinator
