#include "tests/simulation/checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::simulation {
namespace {

// Of the step that is under way when the cancel comes, and of the one that notices.
constexpr uint32_t kOutputsSinceCancelled = 2;

}  // namespace

bool begins_epoch(const wire::Assignment& assignment) {
  return !assignment.prepare() && !assignment.release() && assignment.error().empty();
}

void Checks::fail(std::string what) { violations_.push_back(fmt::format("{:.6f} s: {}", world_.seconds(), what)); }

bool Checks::any_lives(const std::vector<std::string>& hosts) const {
  for (uint32_t rank = 0; rank < plan_.ranks(); ++rank) {
    const ProcessPtr& process = cluster_.process(plan_.rank_slot(rank));
    if (!process || !process->alive()) continue;
    if (std::find(hosts.begin(), hosts.end(), cluster_.host(plan_.rank_slot(rank))) != hosts.end()) return true;
  }
  return false;
}

void Checks::on_arrival(const Process& at, uint32_t from_slot, const wire::Frame& frame) {
  if (frame.has_cancel()) since_cancelled_[{&at, from_slot, frame.cancel().request_id()}] = 0;
  if (frame.has_generate()) since_cancelled_.erase({&at, from_slot, frame.generate().request_id()});
}

void Checks::on_outputs(const Process& from, uint32_t to_slot, const wire::Outputs& outputs) {
  for (const auto& output : outputs.outputs()) {
    const auto found = since_cancelled_.find({&from, to_slot, output.request_id()});
    if (found == since_cancelled_.end() || ++found->second <= kOutputsSinceCancelled) continue;
    fail(fmt::format("{} goes on with request {} of {}, although it was cancelled", from.name, output.request_id(),
                     plan_.slot_name(to_slot)));
  }
}

void Checks::on_frame(const Process& from, uint32_t to_slot, const wire::Frame& frame) {
  if (frame.has_outputs()) on_outputs(from, to_slot, frame.outputs());
  if (frame.has_assignment() && begins_epoch(frame.assignment())) on_assignment(from, frame.assignment());
  if (frame.has_rank_report()) {
    wire::RankReport& last = reports_[&from];
    if (frame.rank_report().epoch() < last.epoch())
      fail(fmt::format("{} is in epoch {} after {}", from.name, frame.rank_report().epoch(), last.epoch()));
    last = frame.rank_report();
  }
  if (frame.has_routing_table()) {
    uint64_t& last = tables_[&from];
    if (frame.routing_table().epoch() < last)
      fail(fmt::format("a routing table of epoch {} after {}", frame.routing_table().epoch(), last));
    last = frame.routing_table().epoch();
  }
}

void Checks::on_assignment(const Process& from, const wire::Assignment& assignment) {
  const auto name = [&] { return fmt::format("epoch {}", assignment.epoch()); };
  if (assignment.ranks().empty()) return fail(name() + " has no members");
  const uint32_t group = assignment.ranks(0).rank_id() / plan_.group_size;
  Begun begun;
  std::vector<bool> member(plan_.group_size, false);
  for (const auto& rank : assignment.ranks()) {
    if (rank.rank_id() / plan_.group_size != group) fail(name() + " has members of two groups");
    member[rank.rank_id() % plan_.group_size] = true;
    begun.hosts.push_back(rank.host());
  }
  // The placement is complete, and fewer than min_ranks begin nothing.
  const auto count = static_cast<uint32_t>(std::count(member.begin(), member.end(), true));
  if (count < plan_.min_ranks)
    fail(fmt::format("{} has {} members, and min_ranks is {}", name(), count, plan_.min_ranks));
  const auto& placement = assignment.placement();
  if (static_cast<uint32_t>(placement.rank_of_expert_size()) != placement.layer_count() * placement.expert_count())
    fail(name() + " has a placement of another size");
  for (const uint32_t rank : placement.rank_of_expert())
    if (rank >= plan_.group_size || !member[rank])
      fail(fmt::format("{} gives experts to rank {}, not a member", name(), rank));
  begun.rank_of_expert.assign(placement.rank_of_expert().begin(), placement.rank_of_expert().end());

  // Epochs only go up, and each is one set of members with one placement, as far as anybody lives who knows it.
  uint64_t& last = assigned_[{&from, group}];
  if (assignment.epoch() < last) fail(fmt::format("{} of group {} comes after {}", name(), group, last));
  if (assignment.epoch() > last) ++epochs_;
  last = assignment.epoch();
  Begun& known = begun_[{group, assignment.epoch()}];
  if (!known.hosts.empty() && (known.hosts != begun.hosts || known.rank_of_expert != begun.rank_of_expert) &&
      any_lives(known.hosts))
    fail(fmt::format("{} of group {} is begun twice: by {} members, and by {} others", name(), group,
                     known.hosts.size(), begun.hosts.size()));
  known = std::move(begun);
}

bool Checks::has_begun(uint32_t group, uint32_t but_rank) const {
  for (uint32_t rank = group * plan_.group_size; rank < (group + 1) * plan_.group_size; ++rank) {
    const ProcessPtr& process = cluster_.process(plan_.rank_slot(rank));
    if (rank == but_rank || !process || !process->alive()) continue;
    const auto report = reports_.find(process.get());
    if (report != reports_.end() && report->second.epoch() != 0) return true;
  }
  return false;
}

bool Checks::is_hopeless(uint32_t group) const {
  bool any_lost = false;
  for (uint32_t rank = group * plan_.group_size; rank < (group + 1) * plan_.group_size; ++rank)
    any_lost = any_lost || cluster_.lost(plan_.rank_slot(rank));
  return any_lost && !has_begun(group);
}

bool Checks::all_hopeless() const {
  for (uint32_t group = 0; group < plan_.groups; ++group)
    if (!is_hopeless(group)) return false;
  return true;
}

std::string Checks::why_not_settled() const {
  for (uint32_t group = 0; group < plan_.groups; ++group) {
    if (is_hopeless(group)) continue;
    uint64_t epoch = 0;
    for (uint32_t index = 0; index < plan_.group_size; ++index) {
      const uint32_t slot = plan_.rank_slot(group * plan_.group_size + index);
      if (cluster_.lost(slot)) continue;
      const ProcessPtr& process = cluster_.process(slot);
      const std::string& name = process->name;
      const auto report = reports_.find(process.get());
      if (!process->alive()) return name + " does not run";
      if (report == reports_.end()) return name + " has not reported";
      const wire::RankReport& r = report->second;
      if (r.state() != wire::RANK_LIVE) return fmt::format("{} is in state {}", name, static_cast<int>(r.state()));
      if (epoch != 0 && r.epoch() != epoch)
        return fmt::format("{} is in epoch {}, others in {}", name, r.epoch(), epoch);
      epoch = r.epoch();
      const auto known = begun_.find({group, epoch});
      if (known == begun_.end()) return fmt::format("nobody has begun {}'s epoch {}", name, epoch);
      const auto& hosts = known->second.hosts;
      if (std::find(hosts.begin(), hosts.end(), cluster_.host(slot)) == hosts.end())
        return fmt::format("{} is no member of its epoch {}", name, epoch);
      if (r.sequences_running() != 0 || r.sequences_waiting() != 0)
        return fmt::format("{} still has {} sequences running and {} waiting", name, r.sequences_running(),
                           r.sequences_waiting());
      if (r.kv_blocks_used() != 0) return fmt::format("{} still holds {} KV blocks", name, r.kv_blocks_used());
    }
  }
  for (uint32_t f = 0; f < plan_.frontends; ++f) {
    const auto* pool = cluster_.pool(f);
    if (pool == nullptr) return fmt::format("frontend {} does not run", f);
    uint32_t living = 0;
    for (uint32_t rank = 0; rank < plan_.ranks(); ++rank)
      living += cluster_.lost(plan_.rank_slot(rank)) || is_hopeless(rank / plan_.group_size) ? 0 : 1;
    if (pool->load().live_ranks != living)
      return fmt::format("frontend {} reaches {} of {} ranks", f, pool->load().live_ranks, living);
  }
  return "";
}

}  // namespace switchyard::simulation
