// Who is in the cluster: the groups of ranks, and the frontends.
//
// A state machine without sockets and clocks, as its groups are (rank_group.h): callers say what happened and when.
//
// Epochs are counted by each group for itself, so that one that dies or joins leaves the others' alone. The cluster's
// epoch is their sum: it goes up by one with each change of any group, and with one group it is that group's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/wire/switchyard.pb.h"
#include "coordinator/placement.h"
#include "coordinator/rank_group.h"

namespace switchyard::coordinator {

struct Frontend {
  wire::RegisterFrontend registration;
  wire::FrontendReport report;
};

class Membership {
 public:
  // The placement is that of each group when all of its ranks are there. ranks_min: of a group (rank_group.h).
  Membership(ExpertPlacement placement, uint32_t group_count, uint32_t ranks_min, std::chrono::milliseconds heartbeat);

  // Refused: an id out of range, another rank count, model or checkpoint, an id whose holder is alive, a connection
  // that is another rank already.
  Status register_rank(ConnectionId connection, const wire::RegisterRank& registration, Time now);
  // kNotFound: no rank has registered on the connection.
  Status report(ConnectionId connection, const wire::RankReport& report, Time now);
  void register_frontend(ConnectionId connection, const wire::RegisterFrontend& registration);
  Status report(ConnectionId connection, const wire::FrontendReport& report);
  // kInvalid: of nobody, without a pid.
  Status report(ConnectionId connection, const wire::LauncherReport& report);
  void disconnected(ConnectionId connection);
  // Finds the silent and the missing. Returns connections that are to be closed.
  std::vector<ConnectionId> tick(Time now);

  // The ranks that are to be told what to load, and what they are told.
  std::vector<std::pair<ConnectionId, wire::Assignment>> prepare(Time now);
  // The ranks that are to be told that they may end, and what they are told.
  std::vector<std::pair<ConnectionId, wire::Assignment>> release();
  // As RankGroup::give_up().
  bool give_up(uint32_t rank_id, const std::string& cause);
  // The groups whose next epoch can begin.
  std::vector<uint32_t> assignments_due() const;
  // Begins it: for the connections of its members.
  wire::Assignment assign(uint32_t group);

  // False until some group is complete.
  bool complete() const;
  // The ranks of the groups that are complete.
  wire::RoutingTable routing_table() const;
  // Goes up with each change of the routing table other than loads.
  uint64_t version() const;
  uint64_t epoch() const;
  uint64_t deaths() const;
  // With all ranks; and as a group has it now.
  const ExpertPlacement& placement() const { return placement_; }
  const ExpertPlacement& placement(uint32_t group) const { return placements_[group]; }
  const std::vector<RankGroup>& groups() const { return groups_; }
  const std::map<ConnectionId, Frontend>& frontends() const { return frontends_; }
  // By the launcher's word, of those connected the one that reported last; without a pid, and 0, while there is none.
  const wire::LauncherReport& launcher() const;
  ConnectionId launcher_connection() const { return launchers_.empty() ? 0 : launchers_.back().first; }
  const Rank* rank(uint32_t rank_id) const;  // null: out of range
  const Rank* rank_of(ConnectionId connection) const;

 private:
  RankGroup* group_of(ConnectionId connection);
  void forget_launcher(ConnectionId connection);
  uint32_t retry_after_seconds(const RankGroup& group) const;

  const ExpertPlacement placement_;
  std::vector<ExpertPlacement> placements_;  // by group
  std::vector<RankGroup> groups_;
  std::unordered_map<ConnectionId, uint32_t> group_of_;  // of connections that a rank has registered on
  std::map<ConnectionId, Frontend> frontends_;
  // What each said last, in the order in which they did: a launcher reports changes only.
  std::vector<std::pair<ConnectionId, wire::LauncherReport>> launchers_;
};

}  // namespace switchyard::coordinator
