#include "common/net/refusals.h"

#include "common/base/clock.h"
#include "common/base/log.h"

namespace switchyard::net {

void Refusals::add(Refusal refusal, const std::string& cause) {
  const auto index = static_cast<size_t>(refusal);
  counts_[index].fetch_add(1, std::memory_order_relaxed);
  const Time now = switchyard::now();
  const std::lock_guard lock(mutex_);
  if (now - window_begin_ >= kWindow) {
    window_begin_ = now;
    in_window_ = 0;
  }
  if (++in_window_ > kLinesMax) {
    ++unlogged_;
    return;
  }
  if (unlogged_ > 0) log_warn("more connections refused, without a line", {{"count", unlogged_}});
  unlogged_ = 0;
  log_warn("connection refused", {{"reason", kRefusalNames[index]}, {"cause", cause}});
}

Refusals::Counts Refusals::counts() const {
  Counts counts{};
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = counts_[i].load(std::memory_order_relaxed);
  return counts;
}

}  // namespace switchyard::net
