#include "tests/simulation/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "common/base/log.h"
#include "tests/simulation/checks.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/network.h"
#include "tests/simulation/world.h"

namespace switchyard::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// After the last fault has healed and the last request been made: the longest waits on the way, one after the other,
// are a handshake (5 s), a step (3 s), a silence (1.5 s), ranks coming back to a new coordinator (3 s), a launcher's
// waits.
constexpr seconds kEndsWithin{30};
constexpr seconds kSettlesWithin{15};

// Puts the canary's bug in, frame by frame: how many of the frame are sent.
int plant(Canary canary, Random& random, wire::Frame& frame, uint64_t& last_epoch) {
  switch (canary) {
    case Canary::kFrameTwice: return frame.has_outputs() && random.chance(0.01) ? 2 : 1;
    case Canary::kFrameLost: return frame.has_outputs() && random.chance(0.01) ? 0 : 1;
    case Canary::kForgetfulReplay:
      if (frame.has_generate()) frame.mutable_generate()->clear_generated_token_ids();
      return 1;
    case Canary::kEpochAgain:
      if (frame.has_assignment() && begins_epoch(frame.assignment())) {
        if (last_epoch != 0) frame.mutable_assignment()->set_epoch(last_epoch);
        last_epoch = frame.assignment().epoch();
      }
      return 1;
    case Canary::kIncompletePlacement:
      if (frame.has_assignment() && begins_epoch(frame.assignment())) {
        const int nobody = frame.assignment().ranks_size();
        frame.mutable_assignment()->mutable_placement()->set_rank_of_expert(0, static_cast<uint32_t>(nobody));
      }
      return 1;
    case Canary::kLostEnd:
      if (frame.has_outputs())
        for (auto& output : *frame.mutable_outputs()->mutable_outputs()) output.set_finish(wire::FINISH_NONE);
      return 1;
    case Canary::kDeafToCancel:
    case Canary::kNone: return 1;
  }
  return 1;
}

std::string told(const Plan& plan, const Event& event) {
  const double at = std::chrono::duration<double>(event.at.time_since_epoch()).count();
  return fmt::format("{:.6f} s  {:<12} {} {} {} {}\n", at, plan.slot_name(event.slot), event.what, event.values[0],
                     event.values[1], event.values[2]);
}

std::vector<Reference> run(const Plan& plan, const Options& options, const std::vector<Reference>& references,
                           Outcome& outcome) {
  Random random(~Random(options.seed).next());
  Random canary_random = random.fork(1);
  World world;
  if (options.loud) world.on_note = [&](const Event& event) { std::fputs(told(plan, event).c_str(), stderr); };
  init_log("", options.loud ? LogLevel::kInfo : LogLevel::kOff, false);
  Network network(world, random.fork(2), plan.slots());
  Cluster cluster(world, network, plan, random.fork(3));
  Checks checks(plan, world, cluster);
  Clients clients(world, cluster, plan, references, checks);
  uint64_t last_epoch = 0;
  network.on_send = [&](const Process& from, uint32_t to_slot, wire::Frame& frame) {
    const int copies = plant(options.canary, canary_random, frame, last_epoch);
    checks.on_frame(from, to_slot, frame);
    return copies;
  };
  network.on_arrival = [&](const Process& at, uint32_t from_slot, const wire::Frame& frame) {
    checks.on_arrival(at, from_slot, frame);
    return options.canary != Canary::kDeafToCancel || !frame.has_cancel();
  };
  cluster.may_lose = [&](uint32_t rank) { return checks.has_begun(rank / plan.group_size, rank); };
  cluster.start();
  cluster.plan_faults();
  clients.start();

  Duration healed{};
  for (const PlannedFault& fault : plan.faults) healed = std::max(healed, fault.at + fault.length);
  Duration asked{};
  for (const PlannedRequest& request : plan.requests) asked = std::max(asked, request.at);
  const Time calm = world.now() + std::max(healed, asked);
  const auto go_on = [&](Time end, auto until) {
    while (checks.ok() && world.now() < end && !(world.now() >= calm && until())) world.step(end);
  };
  go_on(calm + kEndsWithin, [&] { return clients.all_done(); });
  if (checks.ok() && !clients.all_done() && !checks.all_hopeless())
    checks.fail("after all faults have healed, these have not ended: " + clients.why_not_done());
  go_on(world.now() + kSettlesWithin, [&] { return checks.why_not_settled().empty(); });
  if (checks.ok() && !checks.why_not_settled().empty()) checks.fail("after all is over, " + checks.why_not_settled());

  for (uint32_t f = 0; f < plan.frontends; ++f)
    if (const auto* pool = cluster.pool(f)) outcome.replays += pool->load().replays;
  outcome.hash = world.hash();
  outcome.events = world.steps();
  outcome.simulated_seconds = world.seconds() - 1000;
  outcome.tokens = clients.tokens();
  outcome.streams = clients.whole_streams();
  outcome.epochs = checks.epochs();
  outcome.faults = cluster.faults();
  if (!checks.ok()) {
    outcome.story = fmt::format("seed {}: {}\nThe latest events (time, where, what, details):\n", options.seed,
                                fmt::join(checks.violations(), "\n  "));
    for (const Event& event : world.latest()) outcome.story += told(plan, event);
  }
  return clients.streams();
}

const std::vector<Reference>& undisturbed() {
  static const std::vector<Reference> references = [] {
    Outcome outcome;
    auto streams = run(undisturbed_plan(), {}, {}, outcome);
    if (!outcome.story.empty()) std::fputs(outcome.story.c_str(), stderr);
    SWITCHYARD_CHECK(outcome.story.empty());
    return streams;
  }();
  return references;
}

}  // namespace

Outcome simulate(const Plan& plan, const Options& options) {
  Outcome outcome;
  run(plan, options, undisturbed(), outcome);
  return outcome;
}

}  // namespace switchyard::simulation
