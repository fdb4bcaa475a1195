// Finds the rank of a group that computes far more slowly than it used to, and for which the others therefore wait: a
// throttled machine, a noisy neighbour, a failing device.
//
// A step's cost depends on its work, so a rank is compared with itself at like work: tokens of its own, tokens of the
// group (its experts serve all) and positions that its attention read, each by powers of two, over looks of at least
// kLook and a step. What is usual is the least of late. What a kind of work takes that was not met yet is
// bounded by those that were: a step costs at most 2^d times as much when each of the three grew by 2^d at most, since
// its time is a sum of what is fixed and what is proportional to one of them. A rank that has met nothing yet is
// compared with the slowest of the others.
//
// A look is slow when it took kTimesUsual as long, and kTimesOthers as much beyond the usual as the median of the
// others (a machine that all share slows all), and the rank computed for kShareOfLook of the time or more (else nobody
// waits for it long). Waiting for other ranks counts for nobody. Waiting for a core that others had is taken off before
// a look is judged: that is the machine's slowness, which another process in its place would meet as well. A process is
// not judged in its first kWarmUp.
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
  static constexpr std::chrono::milliseconds kLook{140};        // a report, if they come as they should
  static constexpr uint32_t kLooks = 2;                         // to be slow; one after the other, not to be
  static constexpr std::chrono::milliseconds kLostAfter{1200};  // of slowness, to be given up
  static constexpr uint32_t kLooksToKnow = 5;                   // before a rank's own past counts
  static constexpr std::chrono::milliseconds kWarmUp{3000};
  static constexpr size_t kKindsMax = 512;

  enum class Verdict {
    kNone,
    kSlow,  // since this report: said once
    kLost,  // it has been slow for kLostAfter
  };

  explicit SlowRanks(uint32_t rank_count) : ranks_(rank_count) {}

  Verdict report(uint32_t index, const wire::RankReport& report, Time now);
  // Another process takes its place: what is usual stays.
  void begin(uint32_t index);

  // How many times the usual its last look took; 1 while nothing is known.
  double times_usual(uint32_t index) const { return ranks_[index].ratio; }
  bool slow(uint32_t index) const { return ranks_[index].slow_looks >= kLooks; }

 private:
  using Kind = std::array<uint8_t, 3>;
  struct Totals {
    uint64_t steps = 0;
    uint64_t tokens = 0;
    uint64_t positions = 0;
    double seconds = 0;  // of computing
    double core_wait = 0;
  };
  struct Rank {
    std::optional<Time> first_report;
    std::optional<Totals> seen;
    Time seen_at{};
    double tokens_a_step = 0;
    double ratio = 1;
    uint32_t looks = 0;
    std::map<Kind, double> usual;  // seconds a step
    uint32_t slow_looks = 0;       // since kLooks were good one after the other
    uint32_t good_looks = 0;       // one after the other
    Time slow_since{};
  };
  std::optional<double> usual_seconds(const Rank& rank, const Kind& kind) const;
  std::optional<double> usual_of_others(uint32_t index, const Kind& kind) const;
  double median_of_others(uint32_t index) const;

  std::vector<Rank> ranks_;
};

}  // namespace switchyard::coordinator
