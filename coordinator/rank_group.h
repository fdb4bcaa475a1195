// One group of ranks: who of it is here, and its epoch, which goes up with each change of the ranks that take part.
//
// A rank that comes is told what to load; once it has, it is prepared. The first epoch begins when all ranks are
// prepared; from then on another one begins as soon as a member is lost, with those that are left, or a rank that came
// later is prepared, with it as well. Fewer than ranks_min wait for others.
//
// A rank that leaves stays a member until it has nothing left to finish; then it is released, and the next epoch is
// without it.
//
// A state machine without sockets and clocks: callers say what happened and when. Connections are opaque ids (not 0).
// A group knows nothing of others: each has epochs of its own, and what happens to one changes no number of another.
//
// All of it is soft. A coordinator that starts while ranks are serving learns them from their registrations: a rank
// whose report carries an epoch is running a placement already, and since placements are a function of the config the
// coordinator has the same one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::coordinator {

using Time = std::chrono::steady_clock::time_point;
using ConnectionId = uint64_t;

// A rank that says nothing for this many heartbeats is dead.
inline constexpr int kHeartbeatsMissed = 5;
// How long a rank may take to its first report, for which it may still be reading weights.
inline constexpr std::chrono::seconds kFirstReportLimit{60};
// A serving rank's epoch comes with its report, right behind its registration: so long a decision waits for it.
inline constexpr std::chrono::milliseconds kFirstReportGrace{20};
// After a restart of the coordinator, ranks have this long to come back: their longest wait between attempts (1 s), and
// then some.
inline constexpr std::chrono::milliseconds kReturnGrace{3000};

struct Rank {
  uint32_t rank_id = 0;   // in the cluster
  bool known = false;     // has registered, or was found dead; else nothing below means anything
  bool reported = false;  // since it registered
  bool told = false;      // what to load
  bool prepared = false;  // has loaded it
  bool member = false;    // takes part in the epoch
  bool drained = false;   // is leaving, and has nothing left to finish
  bool released = false;  // was told that it may end
  wire::RankState state = wire::RANK_JOINING;
  ConnectionId connection = 0;  // 0 = none
  wire::RegisterRank registration;
  wire::RankReport report;
  Time registered_at{};
  Time heard_at{};
};

class RankGroup {
 public:
  // Its ranks have the ids group * rank_count and on. ranks_min: the fewest that an epoch begins with; rank_count when
  // the ranks of a group live and die together.
  RankGroup(uint32_t group, uint32_t rank_count, uint32_t ranks_min, std::chrono::milliseconds heartbeat);

  // The registration is one of this group, and the connection no other rank's. Refused: an id whose holder is alive.
  Status register_rank(ConnectionId connection, const wire::RegisterRank& registration, Time now);
  // kNotFound: no rank has registered on the connection.
  Status report(ConnectionId connection, const wire::RankReport& report, Time now);
  void disconnected(ConnectionId connection);
  // Finds the silent and the missing. Adds connections that are to be closed.
  void tick(Time now, std::vector<ConnectionId>& close);

  // Indices of the ranks that are to be told what to load, now.
  std::vector<uint32_t> preparations_due(Time now) const;
  // Who is, or will be, in the next epoch as far as one can see: (rank_count). Placements are made for these.
  std::vector<bool> expected() const;
  // What such a rank is told. The placement is the caller's to add.
  wire::Assignment prepare(uint32_t index);

  // Indices of the ranks that may end, and what such a rank is told.
  std::vector<uint32_t> releases_due() const;
  wire::Assignment release(uint32_t index);

  // Takes a rank that is here for dead. False: it cannot be spared.
  bool give_up(uint32_t index, const std::string& cause);

  bool assignment_due() const;
  // Begins the next epoch: for the connections of its members. The placement is the caller's to add.
  wire::Assignment assign();
  // Of the epoch: (rank_count).
  std::vector<bool> members() const;

  // False until an epoch has begun, and all ranks of the group are known; then true for good. A
  // restarted coordinator tells frontends nothing of the group before: they would take the ranks that it has not seen
  // yet for gone, and give up the streams there.
  bool complete() const { return complete_; }
  // The ranks that are known.
  void add_addresses(wire::RoutingTable& table) const;
  // "" when those that are here can serve; else what they wait for.
  std::string why_not_serving() const;
  // Goes up with each change of what add_addresses() says, other than loads.
  uint64_t version() const { return version_; }
  uint64_t epoch() const { return epoch_; }
  uint64_t deaths() const { return deaths_; }
  uint32_t group() const { return group_; }
  const std::vector<Rank>& ranks() const { return ranks_; }  // by index in the group
  const Rank* rank_of(ConnectionId connection) const;

 private:
  Rank* find(ConnectionId connection);
  void fill_address(const Rank& rank, wire::RankAddress& out) const;
  bool can_take_part(const Rank& rank) const;
  size_t able_count() const;  // that can
  void died(Rank& rank, const std::string& cause, bool expected);
  void next_epoch(const std::string& cause);
  void check_complete();

  const uint32_t group_;
  const uint32_t ranks_min_;
  const std::chrono::milliseconds silence_limit_;
  std::vector<Rank> ranks_;
  uint64_t epoch_ = 0;
  uint64_t version_ = 1;
  uint64_t deaths_ = 0;
  bool complete_ = false;
  bool lost_ = false;               // a member died or left the epoch
  std::optional<Time> adopted_at_;  // when the first rank came back with an epoch of a coordinator before us
};

// Usage of the KV cache, 0 .. 1.
double kv_usage(const wire::RankReport& report);
const char* state_name(wire::RankState state);  // "live"

}  // namespace switchyard::coordinator
