// Finds the rank of a group that computes far more slowly than it used to, and for which the others therefore wait: a
// throttled machine, a noisy neighbour, a failing device.
//
// A step's cost depends on its work, so a rank is compared with itself at like work: tokens of its own, tokens of the
// group (its experts serve all) and positions that its attention read, each by powers of two, over looks of at least
// kLook. What is usual is the least of late. Slow is who in kLooks looks one after the other took kTimesUsual as long,
// and kTimesOthers as much beyond the usual as the median of the others (a machine that all share slows all), and
// computed for kShareOfLook of the time or more (else nobody waits for it long). Waiting for others counts for nobody.
//
// Thread: one. Bounded: kKindsMax kinds of work a rank.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::coordinator {

class SlowRanks {
 public:
  static constexpr double kTimesUsual = 6;
  static constexpr double kTimesOthers = 3;
  static constexpr double kShareOfLook = 0.3;
  static constexpr std::chrono::milliseconds kLook{300};
  static constexpr uint32_t kStepsOfLook = 2;  // at least
  static constexpr uint32_t kLooks = 2;
  static constexpr uint32_t kLooksToKnow = 5;  // before a kind of work has a usual time
  static constexpr size_t kKindsMax = 512;

  explicit SlowRanks(uint32_t rank_count) : ranks_(rank_count) {}

  void report(uint32_t index, const wire::RankReport& report, Time now);
  // Another process takes its place: what is usual stays.
  void begin(uint32_t index);

  // How many times the usual its last look took; 1 while nothing is known.
  double times_usual(uint32_t index) const { return ranks_[index].ratio; }
  bool slow(uint32_t index) const;

 private:
  using Kind = std::array<uint8_t, 3>;
  struct Usual {
    double seconds = 0;  // a step
    uint32_t looks = 0;
  };
  struct Totals {
    uint64_t steps = 0;
    uint64_t tokens = 0;
    uint64_t positions = 0;
    double seconds = 0;
  };
  struct Rank {
    std::optional<Totals> seen;
    Time seen_at{};
    double tokens_a_step = 0;
    double ratio = 1;
    std::map<Kind, Usual> usual;
    uint32_t slow_looks = 0;  // one after the other
  };
  double median_of_others(uint32_t index) const;

  std::vector<Rank> ranks_;
};

}  // namespace switchyard::coordinator
