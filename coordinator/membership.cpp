#include "coordinator/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace switchyard::coordinator {
namespace {

// What a rank takes from its start to its first step, beside reading weights, which nobody can tell.
constexpr uint32_t kStartSeconds = 3;
// Of what will not come back by itself.
constexpr uint32_t kGivenUpSeconds = 60;

}  // namespace

Membership::Membership(ExpertPlacement placement, uint32_t group_count, uint32_t ranks_min,
                       std::chrono::milliseconds heartbeat)
    : placement_(std::move(placement)), placements_(group_count, placement_) {
  groups_.reserve(group_count);
  for (uint32_t group = 0; group < group_count; ++group)
    groups_.emplace_back(group, placement_.rank_count, ranks_min, heartbeat);
}

RankGroup* Membership::group_of(ConnectionId connection) {
  const auto found = group_of_.find(connection);
  return found == group_of_.end() ? nullptr : &groups_[found->second];
}

const Rank* Membership::rank_of(ConnectionId connection) const {
  const auto* group = const_cast<Membership*>(this)->group_of(connection);
  return group == nullptr ? nullptr : group->rank_of(connection);
}

const Rank* Membership::rank(uint32_t rank_id) const {
  const uint32_t group = rank_id / placement_.rank_count;
  return group < groups_.size() ? &groups_[group].ranks()[rank_id % placement_.rank_count] : nullptr;
}

Status Membership::register_rank(ConnectionId connection, const wire::RegisterRank& registration, Time now) {
  const uint32_t id = registration.rank_id();
  const auto refuse = [](std::string message) { return Error{Errc::kInvalid, std::move(message)}; };
  if (registration.rank_count() != placement_.rank_count) {
    return refuse(fmt::format("rank {} is one of {} ranks, but worker.data_parallel_size is {}", id,
                              registration.rank_count(), placement_.rank_count));
  }
  if (rank(id) == nullptr) {
    return refuse(
        fmt::format("rank id {} is out of range: there are {} ranks", id, groups_.size() * placement_.rank_count));
  }
  if (registration.port() == 0 || registration.port() > 65535 || registration.host().empty()) {
    return refuse(fmt::format("rank {} has no address: \"{}:{}\"", id, registration.host(), registration.port()));
  }
  if (const auto* other = rank_of(connection)) {
    return refuse(fmt::format("this connection has already registered as rank {}", other->rank_id));
  }
  for (const auto& group : groups_) {
    for (const auto& other : group.ranks()) {
      if (other.connection == 0 || other.rank_id == id) continue;
      const wire::RegisterRank& theirs = other.registration;
      if (theirs.model() != registration.model()) {
        return refuse(fmt::format("rank {} serves the model \"{}\", rank {} serves \"{}\"", id, registration.model(),
                                  other.rank_id, theirs.model()));
      }
      if (theirs.checkpoint() == registration.checkpoint()) continue;
      return refuse(
          fmt::format("the files of \"{}\" are others for rank {} (fingerprint {}) than for rank {} ({}): was the "
                      "model replaced while it was served?",
                      registration.model(), id, registration.checkpoint(), other.rank_id, theirs.checkpoint()));
    }
  }
  const uint32_t group = id / placement_.rank_count;
  SWITCHYARD_TRY(groups_[group].register_rank(connection, registration, now));
  group_of_[connection] = group;
  return {};
}

Status Membership::report(ConnectionId connection, const wire::RankReport& report, Time now) {
  auto* group = group_of(connection);
  if (group == nullptr) return Error{Errc::kNotFound, "a report without a registration"};
  const bool was_complete = group->complete();
  SWITCHYARD_TRY(group->report(connection, report, now));
  // A group that was found running: what it runs is told by who takes part. Nobody does while its next epoch is due.
  const std::vector<bool> members = group->members();
  const bool any_member = std::find(members.begin(), members.end(), true) != members.end();
  if (!was_complete && group->complete() && group->epoch() > 0 && any_member)
    placements_[group->group()] = without_missing(placement_, members);
  return {};
}

void Membership::register_frontend(ConnectionId connection, const wire::RegisterFrontend& registration) {
  frontends_[connection].registration = registration;
}

Status Membership::report(ConnectionId connection, const wire::FrontendReport& report) {
  const auto found = frontends_.find(connection);
  if (found == frontends_.end()) return Error{Errc::kNotFound, "a report without a registration"};
  found->second.report = report;
  return {};
}

Status Membership::report(ConnectionId connection, const wire::LauncherReport& report) {
  if (report.pid() == 0) return Error{Errc::kInvalid, "a launcher's report without its pid"};
  forget_launcher(connection);
  launchers_.emplace_back(connection, report);
  return {};
}

void Membership::forget_launcher(ConnectionId connection) {
  std::erase_if(launchers_, [&](const auto& launcher) { return launcher.first == connection; });
}

const wire::LauncherReport& Membership::launcher() const {
  return launchers_.empty() ? wire::LauncherReport::default_instance() : launchers_.back().second;
}

void Membership::disconnected(ConnectionId connection) {
  frontends_.erase(connection);
  forget_launcher(connection);
  if (auto* group = group_of(connection)) group->disconnected(connection);
  group_of_.erase(connection);
}

std::vector<ConnectionId> Membership::tick(Time now) {
  std::vector<ConnectionId> close;
  for (auto& group : groups_) group.tick(now, close);
  return close;
}

std::vector<std::pair<ConnectionId, wire::Assignment>> Membership::prepare(Time now) {
  std::vector<std::pair<ConnectionId, wire::Assignment>> told;
  for (auto& group : groups_) {
    for (const uint32_t index : group.preparations_due(now)) {
      auto& [connection, assignment] = told.emplace_back(group.ranks()[index].connection, group.prepare(index));
      to_wire(without_missing(placement_, group.expected()), *assignment.mutable_placement());
    }
  }
  return told;
}

std::vector<std::pair<ConnectionId, wire::Assignment>> Membership::release() {
  std::vector<std::pair<ConnectionId, wire::Assignment>> told;
  for (auto& group : groups_)
    for (const uint32_t index : group.releases_due())
      told.emplace_back(group.ranks()[index].connection, group.release(index));
  return told;
}

bool Membership::give_up(uint32_t rank_id, const std::string& cause) {
  return groups_.at(rank_id / placement_.rank_count).give_up(rank_id % placement_.rank_count, cause);
}

std::vector<uint32_t> Membership::assignments_due() const {
  std::vector<uint32_t> due;
  for (const auto& group : groups_) {
    if (group.assignment_due()) due.push_back(group.group());
  }
  return due;
}

wire::Assignment Membership::assign(uint32_t group) {
  wire::Assignment assignment = groups_[group].assign();
  placements_[group] = without_missing(placement_, groups_[group].members());
  to_wire(placements_[group], *assignment.mutable_placement());
  return assignment;
}

bool Membership::complete() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const RankGroup& group) { return group.complete(); });
}

wire::RoutingTable Membership::routing_table() const {
  wire::RoutingTable table;
  table.set_epoch(epoch());
  for (const auto& group : groups_) {
    if (!group.complete()) continue;
    group.add_addresses(table);
    wire::GroupState& state = *table.add_groups();
    state.set_group(group.group());
    state.set_why_not_serving(group.why_not_serving());
    if (!state.why_not_serving().empty()) state.set_retry_after_s(retry_after_seconds(group));
  }
  return table;
}

uint32_t Membership::retry_after_seconds(const RankGroup& group) const {
  uint32_t seconds = kStartSeconds;
  for (const auto& process : launcher().processes()) {
    const bool missing = std::any_of(group.ranks().begin(), group.ranks().end(), [&](const Rank& rank) {
      return rank.connection == 0 && rank.rank_id >= process.first_rank() &&
             rank.rank_id < process.first_rank() + process.rank_count();
    });
    if (!missing) continue;
    const uint32_t wait = process.starts_again_in_ms() / 1000 + kStartSeconds;
    seconds = std::max(seconds, process.given_up() ? kGivenUpSeconds : wait);
  }
  return seconds;
}

uint64_t Membership::version() const {
  uint64_t sum = 0;
  for (const auto& group : groups_) sum += group.version();
  return sum;
}

uint64_t Membership::epoch() const {
  uint64_t sum = 0;
  for (const auto& group : groups_) sum += group.epoch();
  return sum;
}

uint64_t Membership::deaths() const {
  uint64_t sum = 0;
  for (const auto& group : groups_) sum += group.deaths();
  return sum;
}

}  // namespace switchyard::coordinator
