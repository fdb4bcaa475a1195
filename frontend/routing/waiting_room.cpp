#include "frontend/routing/waiting_room.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace switchyard::frontend {
namespace {

using Seconds = std::chrono::duration<double>;

// A rate is measured after so long, or so many sequences.
constexpr double kMeasuredSeconds = 1.0;
constexpr double kMeasuredSequences = 8.0;
constexpr double kShortest = 1e-3;
constexpr double kShareStep = 0.02;  // what one promise tells of the share that is redeemed
constexpr double kShareMin = 0.1;
constexpr double kPromised = 0.85;  // of the rate: the rest is for what is not known exactly, and for newcomers
// What waits no longer for ranks that have room will be part of their next step, and is no queue; unless they were full
// so shortly before.
constexpr std::chrono::milliseconds kSoonBegun{250};
constexpr double kSlowestSeconds = 60.0;  // that one sequence is assumed to take to begin, when none has for long

uint64_t work_of(uint32_t prompt_tokens) { return uint64_t{prompt_tokens} + WaitingRoom::kWorkOfSequence; }

}  // namespace

WaitingRoom::Pending WaitingRoom::pending(int32_t priority_worst) const {
  Pending sum;
  for (const auto& [priority, one] : pending_) {
    if (priority > priority_worst) break;
    sum.sequences += one.sequences;
    sum.work += one.work;
  }
  return sum;
}

double WaitingRoom::queued_work(const Ranks& ranks, int32_t priority) const {
  const Pending before = pending(priority);
  if (before.sequences == 0) return 0.0;
  const uint64_t worse = pending(std::numeric_limits<int32_t>::max()).sequences - before.sequences;
  // What no place is for; or what the ranks have no memory for, and so keep waiting.
  const int64_t without_place =
      int64_t{ranks.sequences} - static_cast<int64_t>(worse) - static_cast<int64_t>(ranks.places);
  const auto queued =
      std::max<int64_t>(without_place, static_cast<int64_t>(std::min<uint64_t>(before.sequences, ranks.waiting)));
  const double share = std::clamp(static_cast<double>(queued) / static_cast<double>(before.sequences), 0.0, 1.0);
  return share * static_cast<double>(before.work);
}

double WaitingRoom::mean_work() const {
  const Pending all = pending(std::numeric_limits<int32_t>::max());
  return all.sequences == 0 ? kWorkOfSequence : static_cast<double>(all.work) / static_cast<double>(all.sequences);
}

std::optional<double> WaitingRoom::rate(int32_t priority) const {
  double all = 0.0;
  double better = 0.0;
  for (const auto& [begun, work] : begun_work_) {
    all += work;
    if (begun < priority) better += work;
  }
  if (busy_seconds_ < kMeasuredSeconds && all < kMeasuredSequences * mean_work()) return std::nullopt;
  return std::max((all - better) / std::max(busy_seconds_, kShortest), mean_work() / kSlowestSeconds);
}

double WaitingRoom::wait_seconds(const Ranks& ranks, int32_t priority) const {
  const double queued = queued_work(ranks, priority);
  if (const auto measured = rate(priority)) return queued / *measured;
  return queued < mean_work() * ranks.places ? 0.0 : std::numeric_limits<double>::infinity();
}

void WaitingRoom::pass_time(const Ranks& ranks, Time now) {
  if (is_busy_) {
    const double seconds = std::max(0.0, Seconds(now - last_).count());
    const double kept = std::exp(-seconds / kRateSeconds);
    busy_seconds_ = busy_seconds_ * kept + seconds;
    doubt_seconds_ *= kept;
    for (auto& [priority, work] : begun_work_) work *= kept;
    std::erase_if(begun_work_, [](const auto& begun) { return begun.second < 1.0; });
  }
  last_ = now;
  if (ranks.waiting == 0) waiting_since_.reset();
  if (ranks.waiting > 0 && !waiting_since_) waiting_since_ = now;
  if (ranks.sequences > ranks.places) full_at_ = now;
  const bool queues =
      (full_at_ && now - *full_at_ <= kSoonBegun) || (waiting_since_ && now - *waiting_since_ > kSoonBegun);
  is_busy_ = queues && queued_work(ranks, std::numeric_limits<int32_t>::max()) > 0.0;
  while (!promises_.empty() && promises_.begin()->first + kPromiseGrace < now) {
    promises_.erase(promises_.begin());
    return_share_ = std::max(kShareMin, return_share_ * (1 - kShareStep));
  }
}

bool WaitingRoom::expects_others(int32_t priority_worst, Time now) const {
  return std::any_of(promises_.begin(), promises_.upper_bound(now + kPromiseHorizon),
                     [&](const auto& promise) { return promise.second <= priority_worst; });
}

bool WaitingRoom::redeem_promise(int32_t priority, Time now) {
  const auto due = promises_.upper_bound(now);
  const auto found =
      std::find_if(promises_.begin(), due, [&](const auto& promise) { return promise.second == priority; });
  if (found == due) return false;
  promises_.erase(found);
  return_share_ += (1 - return_share_) * kShareStep;
  return true;
}

uint32_t WaitingRoom::promise(const Ranks& ranks, int32_t priority, double wait, Time now) {
  const auto in = [](double seconds) { return std::chrono::duration_cast<Time::duration>(Seconds(seconds)); };
  const double measured =
      rate(priority).value_or(mean_work() * std::max(ranks.places, 1U));  // a guess that holds for a moment
  const double excess = std::isfinite(wait) ? std::clamp(wait - wait_max_, 0.0, double{kRetryAfterMax}) : 0.0;
  const Time from = promises_.empty() ? now : std::max(now, last_promise_);
  const double gap = return_share_ * mean_work() / (kPromised * measured);
  last_promise_ = std::min(std::max(from, now + in(excess)) + in(gap), now + std::chrono::seconds(kRetryAfterMax));
  const double seconds = std::ceil(Seconds(last_promise_ - now).count());
  const auto whole = static_cast<uint32_t>(std::clamp(seconds, 1.0, double{kRetryAfterMax}));
  if (promises_.size() < kPromisesMax) promises_.emplace(now + std::chrono::seconds(whole), priority);
  return whole;
}

std::optional<WaitingRoom::Refusal> WaitingRoom::ask(const Ranks& ranks, int32_t priority, bool comes_again, Time now) {
  if (wait_max_ <= 0.0 || ranks.places == 0) return std::nullopt;
  pass_time(ranks, now);
  const double wait = wait_seconds(ranks, priority);
  const bool is_expected = comes_again && redeem_promise(priority, now);
  const double room = !is_expected && expects_others(priority, now) ? wait_max_ / 2 : wait_max_;
  const double doubt = rate(priority) ? doubt_seconds_ / std::max(busy_seconds_, kShortest) : 0.0;
  if (wait * (1 + doubt) <= room) return std::nullopt;
  return Refusal{promise(ranks, priority, wait, now), wait};
}

void WaitingRoom::enter(int32_t priority, uint32_t prompt_tokens) {
  Pending& pending = pending_[priority];
  ++pending.sequences;
  pending.work += work_of(prompt_tokens);
}

void WaitingRoom::begin(const Ranks& ranks, int32_t priority, uint32_t prompt_tokens, Time now) {
  if (is_busy_) begun_work_[priority] += static_cast<double>(work_of(prompt_tokens));
  leave(priority, prompt_tokens);
  pass_time(ranks, now);
}

void WaitingRoom::leave(int32_t priority, uint32_t prompt_tokens) {
  const auto found = pending_.find(priority);
  if (found == pending_.end()) return;
  found->second.work -= work_of(prompt_tokens);
  if (--found->second.sequences == 0) pending_.erase(found);
}

}  // namespace switchyard::frontend
