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
  rank.first_report.reset();
  rank.seen.reset();
  rank.slow_looks = 0;
  rank.ratio = 1;
  rank.tokens_a_step = 0;
}

SlowRanks::Verdict SlowRanks::report(uint32_t index, const wire::RankReport& report, Time now) {
  Rank& rank = ranks_.at(index);
  const Totals totals{report.steps(), report.prompt_tokens() + report.generation_tokens(), report.attended_positions(),
                      report.compute_seconds(), report.core_wait_seconds()};
  const auto less = [](const Totals& a, const Totals& b) {
    return a.steps < b.steps || a.tokens < b.tokens || a.positions < b.positions || a.seconds < b.seconds ||
           a.core_wait < b.core_wait;
  };
  const auto look_from_here = [&] {
    rank.seen = totals;
    rank.seen_at = now;
    return Verdict::kNone;
  };
  if (!rank.first_report) rank.first_report = now;
  if (!rank.seen || less(totals, *rank.seen)) return look_from_here();  // another process, or one that counts anew
  const uint64_t count = totals.steps - rank.seen->steps;
  const auto begun = rank.seen_at;
  const auto span = now - begun;
  if (count == 0 || span < kLook) return Verdict::kNone;
  const auto steps = static_cast<double>(count);
  const double seconds = (totals.seconds - rank.seen->seconds) / steps;
  const double own_seconds = std::max(0.0, seconds - (totals.core_wait - rank.seen->core_wait) / steps);
  rank.tokens_a_step = static_cast<double>(totals.tokens - rank.seen->tokens) / steps;
  const double positions = static_cast<double>(totals.positions - rank.seen->positions) / steps;
  look_from_here();
  if (now - *rank.first_report < kWarmUp) return Verdict::kNone;
  double of_group = 0;
  for (const Rank& each : ranks_) of_group += each.tokens_a_step;

  const Kind kind{magnitude(rank.tokens_a_step), magnitude(of_group), magnitude(positions)};
  auto usual = rank.looks >= kLooksToKnow ? usual_seconds(rank, kind) : std::nullopt;
  if (!usual) usual = usual_of_others(index, kind);
  rank.ratio = usual ? own_seconds / *usual : 1;
  const bool awaited = own_seconds * steps >= kShareOfLook * std::chrono::duration<double>(span).count();
  if (awaited && rank.ratio >= kTimesUsual && rank.ratio >= kTimesOthers * median_of_others(index)) {
    rank.good_looks = 0;
    if (++rank.slow_looks == 1) rank.slow_since = begun;
    if (rank.slow_looks == kLooks) return Verdict::kSlow;
    return slow(index) && now - rank.slow_since >= kLostAfter ? Verdict::kLost : Verdict::kNone;
  }
  // Only what is not slow becomes part of what is usual.
  if (++rank.good_looks >= kLooks) rank.slow_looks = 0;
  ++rank.looks;
  const auto known = rank.usual.find(kind);
  if (known != rank.usual.end())
    known->second = std::min(seconds, known->second * kUsualRises);
  else if (rank.usual.size() < kKindsMax)
    rank.usual.emplace(kind, seconds);
  return Verdict::kNone;
}

std::optional<double> SlowRanks::usual_seconds(const Rank& rank, const Kind& kind) const {
  std::optional<double> least;
  for (const auto& [met, seconds] : rank.usual) {
    int doublings = 0;
    bool bounds = seconds > 0;
    for (size_t i = 0; i < kind.size(); ++i) {
      bounds = bounds && (met[i] > 0 || kind[i] == 0);  // of what there was none, nothing is known
      doublings = std::max(doublings, kind[i] - met[i]);
    }
    if (bounds) least = std::min(least.value_or(1e9), seconds * static_cast<double>(1ULL << std::min(doublings, 40)));
  }
  return least;
}

std::optional<double> SlowRanks::usual_of_others(uint32_t index, const Kind& kind) const {
  std::optional<double> most;
  for (uint32_t i = 0; i < ranks_.size(); ++i) {
    if (i == index || ranks_[i].looks < kLooksToKnow) continue;
    if (const auto usual = usual_seconds(ranks_[i], kind)) most = std::max(most.value_or(0), *usual);
  }
  return most;
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

}  // namespace switchyard::coordinator
