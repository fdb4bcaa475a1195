#include "frontend/routing/ranks.h"

#include <algorithm>

namespace switchyard::frontend {

void Rank::take_address(const wire::RankAddress& address) {
  id = address.rank_id();
  group = address.group();
  live = address.state() == wire::RANK_LIVE;
  joining = address.state() == wire::RANK_JOINING;
  leaving = address.state() == wire::RANK_LEAVING;
  host = address.host();
  port = static_cast<uint16_t>(address.port());
  take_load(address);
}

Rank* Ranks::find(uint32_t id) {
  const auto found = ranks_.find(id);
  return found == ranks_.end() ? nullptr : &found->second;
}

void Ranks::take_groups(const wire::RoutingTable& table) {
  for (const auto& state : table.groups()) groups_[state.group()] = {state.why_not_serving(), state.retry_after_s()};
}

bool Ranks::serves(uint32_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() || found->second.serves();
}

bool Ranks::any_can_take() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [&](const auto& entry) { return can_take(entry.second); });
}

bool Ranks::none_serves() const {
  return !groups_.empty() &&
         std::none_of(groups_.begin(), groups_.end(), [](const auto& entry) { return entry.second.serves(); });
}

bool Ranks::any_joins() const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [](const auto& entry) { return entry.second.connection && entry.second.joining; });
}

bool Ranks::leaves(uint32_t group) const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [&](const auto& entry) { return entry.second.group == group && entry.second.leaving; });
}

std::vector<uint32_t> Ranks::broken_groups() const {
  std::vector<uint32_t> broken;
  if (!one_job_) return broken;
  for (const auto& [id, rank] : ranks_)  // ranks of higher ids are in higher groups
    if (!rank.usable() && (broken.empty() || broken.back() != rank.group)) broken.push_back(rank.group);
  return broken;
}

std::vector<const Rank*> Ranks::in_turn() const {
  std::vector<const Rank*> ranks;
  ranks.reserve(ranks_.size());
  auto at = ranks_.upper_bound(last_);
  for (size_t i = 0; i < ranks_.size(); ++i, ++at) {
    if (at == ranks_.end()) at = ranks_.begin();
    ranks.push_back(&at->second);
  }
  return ranks;
}

Ranks::Load Ranks::load() const {
  Load load;
  for (const auto& [id, rank] : ranks_) {
    if (!rank.usable()) continue;
    ++load.ranks;
    load.running += rank.running;
    load.waiting += rank.waiting;
    load.kv_usage = std::max(load.kv_usage, rank.kv_usage);
  }
  return load;
}

std::string Ranks::why_not() const {
  if (any_can_take()) return "";
  std::string groups;
  for (const auto& [id, group] : groups_)
    if (!group.serves()) groups += (groups.empty() ? "" : "; ") + group.why_not;
  if (!groups.empty()) return groups + ".";
  if (ranks_.empty()) return "no rank has registered yet.";
  const bool live = std::any_of(ranks_.begin(), ranks_.end(), [](const auto& entry) { return entry.second.live; });
  return live ? "not connected to any rank yet." : "no rank is live.";
}

uint32_t Ranks::retry_after_seconds() const {
  uint32_t soonest = 0;
  for (const auto& [id, group] : groups_)
    if (!group.serves() && (soonest == 0 || group.retry_after < soonest)) soonest = group.retry_after;
  return soonest;
}

}  // namespace switchyard::frontend
