#include "coordinator/rank_group.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"

namespace switchyard::coordinator {

double kv_usage(const wire::RankReport& report) {
  if (report.kv_blocks_total() == 0) return 0.0;
  return static_cast<double>(report.kv_blocks_used()) / static_cast<double>(report.kv_blocks_total());
}

const char* state_name(wire::RankState state) {
  switch (state) {
    case wire::RANK_JOINING: return "joining";
    case wire::RANK_LIVE: return "live";
    case wire::RANK_LEAVING: return "leaving";
    default: return "dead";
  }
}

RankGroup::RankGroup(uint32_t group, uint32_t rank_count, std::chrono::milliseconds heartbeat)
    : group_(group), silence_limit_(kHeartbeatsMissed * heartbeat), ranks_(rank_count) {
  for (uint32_t i = 0; i < rank_count; ++i) ranks_[i].rank_id = group * rank_count + i;
}

Rank* RankGroup::find(ConnectionId connection) {
  for (auto& rank : ranks_) {
    if (rank.connection == connection && connection != 0) return &rank;
  }
  return nullptr;
}

void RankGroup::fill_address(const Rank& rank, wire::RankAddress& out) const {
  out.set_rank_id(rank.rank_id);
  out.set_group(group_);
  out.set_host(rank.registration.host());
  out.set_port(rank.registration.port());
  out.set_state(rank.state);
  out.set_sequences_running(rank.report.sequences_running());
  out.set_sequences_waiting(rank.report.sequences_waiting());
  out.set_kv_usage(kv_usage(rank.report));
  out.set_load_time(rank.report.load_time());
}

const Rank* RankGroup::rank_of(ConnectionId connection) const { return const_cast<RankGroup*>(this)->find(connection); }

Status RankGroup::register_rank(ConnectionId connection, const wire::RegisterRank& registration, Time now) {
  const uint32_t id = registration.rank_id();
  SWITCHYARD_CHECK(id / ranks_.size() == group_);
  auto& rank = ranks_[id % ranks_.size()];
  if (rank.connection != 0) {
    const bool same_process =
        rank.registration.pid() == registration.pid() && rank.registration.host() == registration.host();
    // The same process again: it has noticed the loss of its connection before we have.
    if (!same_process) {
      return Error{Errc::kInvalid, fmt::format("rank {} is here already: pid {} on {}", id, rank.registration.pid(),
                                               rank.registration.host())};
    }
  }
  const bool was_dead = rank.known && rank.state == wire::RANK_DEAD;
  rank = Rank{};
  rank.rank_id = id;
  rank.known = true;
  rank.returning = was_dead;
  rank.connection = connection;
  rank.registration = registration;
  rank.registered_at = rank.heard_at = now;
  ++version_;
  return {};
}

Status RankGroup::report(ConnectionId connection, const wire::RankReport& report, Time now) {
  auto* rank = find(connection);
  if (rank == nullptr) return Error{Errc::kNotFound, "a report without a registration"};
  rank->heard_at = now;
  rank->reported = true;
  rank->report = report;
  if (report.epoch() > 0 && !rank->assigned) {
    rank->assigned = true;
    if (!adopted_at_) adopted_at_ = now;
    log_info("rank carries on", {{"rank", rank->rank_id}, {"epoch", report.epoch()}});
    if (report.epoch() <= epoch_ && rank->returning) next_epoch(fmt::format("rank {} is back", rank->rank_id));
    rank->returning = false;
  }
  if (report.epoch() > epoch_) {
    epoch_ = report.epoch();
    ++version_;
  }
  // Death is ours to say.
  const auto state = report.state() == wire::RANK_DEAD ? wire::RANK_LEAVING : report.state();
  if (state != rank->state) {
    rank->state = state;
    ++version_;
    log_info("rank state", {{"rank", rank->rank_id}, {"state", state_name(state)}, {"epoch", epoch_}});
  }
  check_complete();
  return {};
}

void RankGroup::next_epoch(const std::string& cause) {
  ++epoch_;
  ++version_;
  log_info("epoch", {{"group", group_}, {"epoch", epoch_}, {"cause", cause}});
}

void RankGroup::check_complete() {
  if (complete_ || epoch_ == 0) return;
  complete_ = std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) {
    return rank.known && (rank.assigned || rank.state == wire::RANK_DEAD);
  });
  if (complete_) ++version_;
}

void RankGroup::died(Rank& rank, const std::string& cause, bool expected) {
  rank.connection = 0;
  ++version_;
  if (epoch_ == 0) {
    // The group has not begun: the place is free for another process.
    log_warn("rank left before the start", {{"rank", rank.rank_id}, {"cause", cause}});
    rank.known = false;
    return;
  }
  rank.known = true;
  rank.state = wire::RANK_DEAD;
  rank.assigned = false;
  rank.report.set_sequences_running(0);
  rank.report.set_sequences_waiting(0);
  if (expected) {
    log_info("rank left", {{"rank", rank.rank_id}, {"epoch", epoch_ + 1}});
  } else {
    ++deaths_;
    log_error("rank dead", {{"rank", rank.rank_id}, {"cause", cause}, {"epoch", epoch_ + 1}});
  }
  next_epoch(fmt::format("rank {} is gone", rank.rank_id));
  check_complete();
}

void RankGroup::disconnected(ConnectionId connection) {
  if (auto* rank = find(connection)) died(*rank, "connection lost", rank->state == wire::RANK_LEAVING);
}

void RankGroup::tick(Time now, std::vector<ConnectionId>& close) {
  for (auto& rank : ranks_) {
    if (rank.connection == 0) {
      const bool missing = !rank.known && adopted_at_ && now - *adopted_at_ > std::max(silence_limit_, kReturnGrace);
      if (missing) died(rank, "did not come back to the restarted coordinator", false);
      continue;
    }
    const auto limit = rank.reported ? silence_limit_ : std::chrono::milliseconds(kFirstReportLimit);
    const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - rank.heard_at);
    if (silence <= limit) continue;
    close.push_back(rank.connection);
    died(rank, fmt::format("silent for {} ms", silence.count()), false);
  }
}

bool RankGroup::assignment_due(Time now) const {
  bool waiting = false;
  for (const auto& rank : ranks_) {
    if (rank.connection == 0) return false;
    if (rank.assigned) continue;
    waiting = true;
    if (!rank.reported && now - rank.registered_at < kFirstReportGrace) return false;
  }
  return waiting;
}

wire::Assignment RankGroup::assign() {
  for (auto& rank : ranks_) {
    rank.assigned = true;
    rank.returning = false;
  }
  next_epoch("all ranks of the group have registered");
  check_complete();
  wire::Assignment assignment;
  assignment.set_epoch(epoch_);
  for (const auto& rank : ranks_) fill_address(rank, *assignment.add_ranks());
  return assignment;
}

void RankGroup::add_addresses(wire::RoutingTable& table) const {
  for (const auto& rank : ranks_) {
    if (rank.known) fill_address(rank, *table.add_ranks());
  }
}

}  // namespace switchyard::coordinator
