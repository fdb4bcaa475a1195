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

RankGroup::RankGroup(uint32_t group, uint32_t rank_count, uint32_t ranks_min, std::chrono::milliseconds heartbeat)
    : group_(group), ranks_min_(ranks_min), silence_limit_(kHeartbeatsMissed * heartbeat), ranks_(rank_count) {
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
  out.set_exchange_port(rank.registration.exchange_port());
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
  if (rank.member) lost_ = true;  // the same process forgets nothing, and says so in its report
  rank = Rank{};
  rank.rank_id = id;
  rank.known = true;
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
  if (report.epoch() > 0 && !rank->told) {
    // It serves, or did before we gave it up: then it is as good as one that has just loaded its weights.
    rank->told = rank->prepared = true;
    rank->member = report.epoch() >= epoch_;
    if (rank->member && !adopted_at_) adopted_at_ = now;
    log_info("rank carries on", {{"rank", rank->rank_id}, {"epoch", report.epoch()}});
  }
  if (report.epoch() > epoch_) {
    epoch_ = report.epoch();
    ++version_;
    for (auto& other : ranks_) other.member = other.member && other.report.epoch() == epoch_;
  }
  if (report.told_epoch() > epoch_) {
    // A coordinator before us has begun it, and only it knew with whom: another one must follow, for all.
    epoch_ = report.told_epoch();
    ++version_;
    lost_ = true;
    if (!adopted_at_) adopted_at_ = now;
    for (auto& other : ranks_) other.member = false;
  }
  rank->prepared = rank->prepared || report.prepared();
  if (report.drained() && !rank->drained) {
    rank->drained = true;
    lost_ = lost_ || rank->member;
    rank->member = false;
    ++version_;
  }
  // Death is ours to say.
  const auto state = report.state() == wire::RANK_DEAD ? wire::RANK_LEAVING : report.state();
  if (rank->member && epoch_ != 0 && report.left_epoch() == epoch_) lost_ = true;
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
  complete_ = std::all_of(ranks_.begin(), ranks_.end(),
                          [](const Rank& rank) { return rank.known && (rank.told || rank.state == wire::RANK_DEAD); });
  if (complete_) ++version_;
}

void RankGroup::died(Rank& rank, const std::string& cause, bool expected) {
  rank.connection = 0;
  lost_ = lost_ || rank.member || !rank.known;  // who never came back to a new coordinator may have been one
  rank.member = rank.told = rank.prepared = rank.drained = rank.released = false;
  ++version_;
  if (epoch_ == 0) {
    // The group has not begun: the place is free for another process.
    log_warn("rank left before the start", {{"rank", rank.rank_id}, {"cause", cause}});
    rank.known = false;
    return;
  }
  rank.known = true;
  rank.state = wire::RANK_DEAD;
  rank.report.set_sequences_running(0);
  rank.report.set_sequences_waiting(0);
  if (expected) {
    log_info("rank left", {{"rank", rank.rank_id}, {"epoch", epoch_}});
  } else {
    ++deaths_;
    log_error("rank dead", {{"rank", rank.rank_id}, {"cause", cause}, {"epoch", epoch_}});
  }
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

std::vector<uint32_t> RankGroup::preparations_due(Time now) const {
  std::vector<uint32_t> due;
  for (uint32_t i = 0; i < ranks_.size(); ++i) {
    const Rank& rank = ranks_[i];
    if (rank.connection == 0 || rank.told) continue;
    if (rank.reported || now - rank.registered_at >= kFirstReportGrace) due.push_back(i);
  }
  return due;
}

std::vector<bool> RankGroup::expected() const {
  std::vector<bool> expected;
  for (const auto& rank : ranks_) expected.push_back(!rank.known || rank.connection != 0);
  return expected;
}

wire::Assignment RankGroup::prepare(uint32_t index) {
  ranks_.at(index).told = true;
  check_complete();
  wire::Assignment assignment;
  assignment.set_epoch(epoch_);
  assignment.set_prepare(true);
  return assignment;
}

std::vector<uint32_t> RankGroup::releases_due() const {
  std::vector<uint32_t> due;
  for (uint32_t i = 0; i < ranks_.size(); ++i)
    if (ranks_[i].connection != 0 && ranks_[i].drained && !ranks_[i].released) due.push_back(i);
  return due;
}

wire::Assignment RankGroup::release(uint32_t index) {
  ranks_.at(index).released = true;
  wire::Assignment assignment;
  assignment.set_epoch(epoch_);
  assignment.set_release(true);
  return assignment;
}

bool RankGroup::give_up(uint32_t index, const std::string& cause) {
  if (able_count() <= std::max<size_t>(1, ranks_min_)) return false;
  died(ranks_.at(index), cause, false);
  return true;
}

bool RankGroup::can_take_part(const Rank& rank) const {
  if (rank.connection == 0 || rank.drained) return false;
  return rank.member || (rank.prepared && rank.state != wire::RANK_LEAVING);
}

size_t RankGroup::able_count() const {
  return static_cast<size_t>(
      std::count_if(ranks_.begin(), ranks_.end(), [&](const Rank& rank) { return can_take_part(rank); }));
}

std::string RankGroup::why_not_serving() const {
  const size_t able = able_count();
  const size_t needed = std::max<size_t>(1, ranks_min_);
  if (able < needed) {
    return fmt::format("group {} has {} of its {} ranks, and needs {} to hold all experts (worker.min_ranks)", group_,
                       able, ranks_.size(), needed);
  }
  const bool all_leave = std::all_of(ranks_.begin(), ranks_.end(), [&](const Rank& rank) {
    return !can_take_part(rank) || rank.state == wire::RANK_LEAVING;
  });
  return all_leave ? fmt::format("the ranks of group {} are leaving", group_) : "";
}

bool RankGroup::assignment_due() const {
  const size_t able = able_count();
  if (epoch_ == 0) return able == ranks_.size();
  if (!complete_ || able < std::max<size_t>(1, ranks_min_)) return false;
  const bool newcomer =
      std::any_of(ranks_.begin(), ranks_.end(), [&](const Rank& rank) { return can_take_part(rank) && !rank.member; });
  return lost_ || newcomer;
}

wire::Assignment RankGroup::assign() {
  for (auto& rank : ranks_) rank.member = can_take_part(rank);
  lost_ = false;
  next_epoch(deaths_ == 0 && epoch_ == 0 ? "all ranks of the group are prepared" : "members have changed");
  check_complete();
  wire::Assignment assignment;
  assignment.set_epoch(epoch_);
  for (const auto& rank : ranks_) {
    if (rank.member) fill_address(rank, *assignment.add_ranks());
  }
  return assignment;
}

std::vector<bool> RankGroup::members() const {
  std::vector<bool> members;
  for (const auto& rank : ranks_) members.push_back(rank.member);
  return members;
}

void RankGroup::add_addresses(wire::RoutingTable& table) const {
  for (const auto& rank : ranks_) {
    if (rank.known) fill_address(rank, *table.add_ranks());
  }
}

}  // namespace switchyard::coordinator
