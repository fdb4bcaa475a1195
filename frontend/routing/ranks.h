// The ranks and their groups as a frontend knows them: from the coordinator's table, from what the ranks say with their
// outputs, and from its own connections. Which of them can take a sequence, and if none, why.
//
// Pure but for the connections that it keeps. Thread: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/net/net.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::frontend {

struct Rank {
  uint32_t id = 0;
  uint32_t group = 0;
  std::string host;
  uint16_t port = 0;
  net::Service::Id connector = 0;
  uint64_t connects = 0;          // goes up when one connector takes another's place, or ends
  net::ConnectionPtr connection;  // null while there is none
  bool live = false;              // as the coordinator says
  bool joining = false;           // likewise: between two epochs, or loading
  bool leaving = false;           // likewise: finishing what it has
  uint32_t running = 0;
  uint32_t waiting = 0;
  double kv_usage = 0;
  uint64_t load_time = 0;  // of the three above
  Time heard_at;           // outputs, or the first sequence that it owes some for

  bool usable() const { return live && connection; }
  // The load as the rank says it with its outputs, or as the coordinator passes it on, whichever is later.
  template <typename Message>
  void take_load(const Message& message) {
    if (message.load_time() < load_time) return;
    load_time = message.load_time();
    running = message.sequences_running();
    waiting = message.sequences_waiting();
    kv_usage = message.kv_usage();
  }
  void take_address(const wire::RankAddress& address);
};

class Ranks {
 public:
  // Sums over ranks that can be used; kv_usage is the fullest one's share.
  struct Load {
    uint32_t ranks = 0;
    uint32_t running = 0;
    uint32_t waiting = 0;
    double kv_usage = 0;
  };

  // one_job: a group's ranks end together (worker.exchange: mpi).
  explicit Ranks(bool one_job) : one_job_(one_job) {}

  bool empty() const { return ranks_.empty() && groups_.empty(); }
  std::map<uint32_t, Rank>& all() { return ranks_; }
  Rank& at(uint32_t id) { return ranks_[id]; }
  Rank* find(uint32_t id);
  void take_groups(const wire::RoutingTable& table);

  // Enough of the group's ranks are there, as far as is known.
  bool serves(uint32_t group) const;
  bool can_take(const Rank& rank) const { return rank.usable() && serves(rank.group); }
  bool any_can_take() const;
  // The coordinator has said so of every group.
  bool none_serves() const;
  // Somebody is connected who will soon be live.
  bool any_joins() const;
  // The group's ranks finish what they have and end.
  bool leaves(uint32_t group) const;
  // Groups that lost a rank and so step no more, ascending; none where groups go on without it.
  std::vector<uint32_t> broken_groups() const;
  // In the order in which they are to be asked: behind the last choice first.
  std::vector<const Rank*> in_turn() const;
  void chosen(const Rank& rank) { last_ = rank.id; }

  Load load() const;
  // "" when one can take a sequence.
  std::string why_not() const;
  // Until a group may serve again, as the coordinator says; 0: unknown.
  uint32_t retry_after_seconds() const;

 private:
  struct Group {
    std::string why_not;
    uint32_t retry_after = 0;  // s
    bool serves() const { return why_not.empty(); }
  };

  const bool one_job_;
  std::map<uint32_t, Rank> ranks_;
  std::map<uint32_t, Group> groups_;  // that the coordinator has told of
  uint32_t last_ = UINT32_MAX;
};

}  // namespace switchyard::frontend
