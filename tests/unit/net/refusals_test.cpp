// Goal: every refusal is counted, and however many there are, the log stays readable. Method: a clock that the test
// moves, and what is written to stderr.
#include "common/net/refusals.h"

#include <gtest/gtest.h>

namespace switchyard::net {
namespace {

using namespace std::chrono_literals;

class TestClock final : public Clock {
 public:
  TestClock() { simulated_clock = this; }
  ~TestClock() override { simulated_clock = nullptr; }
  Time now() const override { return time; }
  void wait(Condition&, std::unique_lock<std::mutex>&, std::optional<Time>) override {}
  void notify(Condition&) override {}

  Time time{1h};
};

size_t occurrences(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Refusals, TenAreLoggedASecondAndTheOthersAreCounted) {
  TestClock clock;
  Refusals refusals;
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1000; ++i) {
    refusals.add(i % 2 == 0 ? Refusal::kBadProof : Refusal::kOversized, "10.0.0.1:" + std::to_string(i));
    clock.time += 900us;
  }
  const std::string first = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(first, "connection refused"), 10U) << first;
  EXPECT_NE(first.find("reason=bad_proof cause=10.0.0.1:0"), std::string::npos) << first;
  clock.time += 1s;
  testing::internal::CaptureStderr();
  refusals.add(Refusal::kTimeout, "10.0.0.2:1");
  const std::string next = testing::internal::GetCapturedStderr();
  EXPECT_NE(next.find("more connections refused, without a line count=990"), std::string::npos) << next;
  EXPECT_EQ(occurrences(next, "connection refused"), 1U) << next;

  const Refusals::Counts counts = refusals.counts();
  EXPECT_EQ(counts[static_cast<size_t>(Refusal::kBadProof)], 500U);
  EXPECT_EQ(counts[static_cast<size_t>(Refusal::kOversized)], 500U);
  EXPECT_EQ(counts[static_cast<size_t>(Refusal::kTimeout)], 1U);
}

}  // namespace
}  // namespace switchyard::net
