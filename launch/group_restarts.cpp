#include "launch/group_restarts.h"

#include <algorithm>

namespace switchyard::launch {

std::optional<std::chrono::milliseconds> GroupRestarts::ended(uint32_t index, Time now) {
  Group& group = groups_.at(index);
  group.runs = false;
  while (!group.ends.empty() && now - group.ends.front() >= kMemory) group.ends.pop_front();
  if (group.ends.empty()) group.delay = kDelayFirst;
  group.ends.push_back(now);
  if (group.ends.size() >= kEndsMax) return std::nullopt;
  const auto delay = group.delay;
  group.delay = std::min(2 * delay, kDelayMax);
  group.due = now + delay;
  return delay;
}

std::optional<uint32_t> GroupRestarts::take_due(Time now) {
  for (uint32_t i = 0; i < groups_.size(); ++i) {
    if (!groups_[i].due || *groups_[i].due > now) continue;
    groups_[i].due.reset();
    groups_[i].runs = true;
    return i;
  }
  return std::nullopt;
}

std::optional<GroupRestarts::Time> GroupRestarts::next() const {
  std::optional<Time> next;
  for (const auto& group : groups_) {
    if (group.due && (!next || *group.due < *next)) next = group.due;
  }
  return next;
}

bool GroupRestarts::any_runs() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const Group& group) { return group.runs; });
}

}  // namespace switchyard::launch
