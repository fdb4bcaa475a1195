#include "launch/restarts.h"

#include <algorithm>

namespace switchyard::launch {

std::optional<std::chrono::milliseconds> Restarts::ended(size_t index, Time now, bool in_order) {
  Process& process = processes_.at(index);
  const bool ran = !process.started || now - *process.started >= kRunsAtLeast;
  if (in_order && ran) {
    process.due = now + kDelayFirst;
    return kDelayFirst;
  }
  while (!process.ends.empty() && now - process.ends.front() >= kMemory) process.ends.pop_front();
  if (process.ends.empty()) process.delay = kDelayFirst;
  process.ends.push_back(now);
  process.given_up = process.ends.size() >= kEndsMax;
  if (process.given_up) return std::nullopt;
  const auto delay = process.delay;
  process.delay = std::min(2 * delay, kDelayMax);
  process.due = now + delay;
  return delay;
}

std::optional<size_t> Restarts::take_due(Time now) {
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i].due || *processes_[i].due > now) continue;
    processes_[i].due.reset();
    processes_[i].started = now;
    return i;
  }
  return std::nullopt;
}

std::optional<Restarts::Time> Restarts::next() const {
  std::optional<Time> next;
  for (const auto& process : processes_) {
    if (process.due && (!next || *process.due < *next)) next = process.due;
  }
  return next;
}

}  // namespace switchyard::launch
