#include "worker/rank_assignment.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace switchyard::worker {

Result<RankAssignment> read_assignment(const wire::Assignment& from, uint32_t first_rank_id, uint32_t group_size) {
  RankAssignment to;
  to.epoch = from.epoch();
  const wire::Placement& placement = from.placement();
  const size_t entries = size_t{placement.layer_count()} * placement.expert_count();
  if (static_cast<size_t>(placement.rank_of_expert_size()) != entries) {
    return Error{Errc::kInvalid,
                 fmt::format("the coordinator's placement has {} entries, not {} layers x {} experts",
                             placement.rank_of_expert_size(), placement.layer_count(), placement.expert_count())};
  }
  for (uint32_t layer = 0; layer < placement.layer_count(); ++layer) {
    const auto begin = placement.rank_of_expert().begin() + static_cast<int>(layer * placement.expert_count());
    to.rank_of_expert.emplace_back(begin, begin + static_cast<int>(placement.expert_count()));
    for (const uint32_t rank : to.rank_of_expert.back()) {
      if (rank >= group_size)
        return Error{Errc::kInvalid, fmt::format("the coordinator's placement names rank {}", rank)};
    }
  }
  for (const auto& rank : from.ranks()) {
    to.members.push_back({rank.rank_id() - first_rank_id, rank.host(), static_cast<uint16_t>(rank.port()),
                          static_cast<uint16_t>(rank.exchange_port())});
  }
  if (from.prepare()) return to;
  for (const auto& layer : to.rank_of_expert) {
    for (const uint32_t index : layer) {
      const bool there = std::any_of(to.members.begin(), to.members.end(),
                                     [&](const RankAssignment::Member& member) { return member.index == index; });
      if (!there) {
        return Error{Errc::kInvalid, fmt::format("epoch {} gives experts to rank {}, who takes no part", to.epoch,
                                                 first_rank_id + index)};
      }
    }
  }
  return to;
}

uint64_t digest(const RankAssignment& assignment) {
  std::string text;
  for (const auto& member : assignment.members)
    text += fmt::format("{} {} {} {},", member.index, member.host, member.port, member.exchange_port);
  for (const auto& layer : assignment.rank_of_expert) text += fmt::format("{};", fmt::join(layer, " "));
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace switchyard::worker
