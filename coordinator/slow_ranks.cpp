#include "coordinator/slow_ranks.h"

#include <algorithm>
#include <bit>

namespace switchyard::coordinator {
namespace {

// What is usual follows a rank that has become a little slower for good: it doubles in a thousand looks.
constexpr double kUsualRises = 1.0007;

uint8_t magnitude(double value) { return static_cast<uint8_t>(std::bit_width(static_cast<uint64_t>(value))); }

}  // namespace

void SlowRanks::begin(uint32_t index) {
  Rank& rank = ranks_.at(index);
  rank.seen.reset();
  rank.slow_looks = 0;
  rank.ratio = 1;
  rank.tokens_a_step = 0;
}

void SlowRanks::report(uint32_t index, const wire::RankReport& report, Time now) {
  Rank& rank = ranks_.at(index);
  const Totals totals{report.steps(), report.prompt_tokens() + report.generation_tokens(), report.attended_positions(),
                      report.compute_seconds()};
  const auto less = [](const Totals& a, const Totals& b) {
    return a.steps < b.steps || a.tokens < b.tokens || a.positions < b.positions || a.seconds < b.seconds;
  };
  if (!rank.seen || less(totals, *rank.seen)) {  // another process, or one that counts anew
    rank.seen = totals;
    rank.seen_at = now;
    return;
  }
  const uint64_t count = totals.steps - rank.seen->steps;
  const auto span = now - rank.seen_at;
  if (count < kStepsOfLook || span < kLook) return;
  const auto steps = static_cast<double>(count);
  const double seconds = (totals.seconds - rank.seen->seconds) / steps;
  rank.tokens_a_step = static_cast<double>(totals.tokens - rank.seen->tokens) / steps;
  const double positions = static_cast<double>(totals.positions - rank.seen->positions) / steps;
  rank.seen = totals;
  rank.seen_at = now;
  double of_group = 0;
  for (const Rank& each : ranks_) of_group += each.tokens_a_step;

  const Kind kind{magnitude(rank.tokens_a_step), magnitude(of_group), magnitude(positions)};
  if (!rank.usual.contains(kind) && rank.usual.size() >= kKindsMax) return;
  Usual& usual = rank.usual[kind];
  rank.ratio = usual.looks < kLooksToKnow || usual.seconds <= 0 ? 1 : seconds / usual.seconds;
  const bool awaited = seconds * steps >= kShareOfLook * std::chrono::duration<double>(span).count();
  if (awaited && rank.ratio >= kTimesUsual && rank.ratio >= kTimesOthers * median_of_others(index)) {
    ++rank.slow_looks;
    return;  // no part of what is usual
  }
  rank.slow_looks = 0;
  usual.seconds = usual.looks == 0 ? seconds : std::min(seconds, usual.seconds * kUsualRises);
  ++usual.looks;
}

double SlowRanks::median_of_others(uint32_t index) const {
  std::vector<double> others;
  for (uint32_t i = 0; i < ranks_.size(); ++i)
    if (i != index && ranks_[i].seen) others.push_back(ranks_[i].ratio);
  if (others.empty()) return 1;
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
  std::nth_element(others.begin(), middle, others.end());
  return *middle;
}

bool SlowRanks::slow(uint32_t index) const { return ranks_.at(index).slow_looks >= kLooks; }

}  // namespace switchyard::coordinator
