#include "tests/simulation/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tests/simulation/toy_model.h"

namespace switchyard::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// By weight, so that what happens most in life happens most here.
Fault draw_fault(Random& random) {
  constexpr Fault kDrawn[] = {Fault::kKill,    Fault::kKill, Fault::kKill,    Fault::kPowerLoss, Fault::kFreeze,
                              Fault::kFreeze,  Fault::kPart, Fault::kIsolate, Fault::kCut,       Fault::kCut,
                              Fault::kHalfCut, Fault::kSlow, Fault::kDrain};
  return kDrawn[random.below(std::size(kDrawn))];
}

// Mostly ranks; the coordinator more often than its share.
uint32_t draw_slot(Random& random, const Plan& plan) {
  const uint64_t where = random.below(10);
  if (where < 6) return plan.rank_slot(static_cast<uint32_t>(random.below(plan.ranks())));
  if (where < 8) return 0;
  return plan.frontend_slot(static_cast<uint32_t>(random.below(plan.frontends)));
}

void plan_faults(Random random, Plan& plan) {
  const uint64_t count = random.between(1, 6);
  std::vector<uint32_t> lost(plan.groups, 0);
  Duration at = random.between(milliseconds(50), milliseconds(2500));
  for (uint64_t i = 0; i < count; ++i) {
    PlannedFault fault;
    fault.fault = draw_fault(random);
    fault.at = at;
    fault.slot = draw_slot(random, plan);
    fault.other = static_cast<uint32_t>(random.below(plan.slots() - 1));
    if (fault.other >= fault.slot) ++fault.other;
    fault.length = random.chance(0.3) ? random.between(milliseconds(1), milliseconds(100))
                                      : random.between(milliseconds(100), milliseconds(3000));
    const bool is_rank = fault.slot >= 1 && fault.slot <= plan.ranks();
    const uint32_t group = is_rank ? (fault.slot - 1) / plan.group_size : 0;
    const bool ends = fault.fault == Fault::kKill || fault.fault == Fault::kPowerLoss;
    if (is_rank && ends && lost[group] + plan.min_ranks < plan.group_size && random.chance(0.2)) {
      fault.forever = true;
      ++lost[group];
    }
    plan.faults.push_back(fault);
    // Often while the cluster is still busy with the one before.
    at += random.chance(0.5) ? random.between(microseconds(100), milliseconds(300))
                             : random.between(milliseconds(100), milliseconds(2000));
  }
}

std::vector<wire::Generate> make_pool() {
  Random random(4711);
  std::vector<wire::Generate> pool(kRequestPool);
  for (size_t i = 0; i < pool.size(); ++i) {
    wire::Generate& request = pool[i];
    const uint64_t length = random.between(1, 40);
    // A third begins alike, for the prefix cache.
    for (uint64_t t = 0; t < length; ++t) {
      const bool shared = i % 3 == 0 && t < 32;
      request.add_prompt_token_ids(static_cast<int32_t>(shared ? 1 + t * 7 % 90 : random.below(kToyVocabulary)));
    }
    request.set_max_tokens(static_cast<uint32_t>(random.between(1, 32)));
    wire::Sampling* sampling = request.mutable_sampling();
    sampling->set_temperature(i % 2 == 0 ? 0.0F : 0.8F);
    sampling->set_top_p(i % 5 == 3 ? 0.9F : 1.0F);
    sampling->set_seed(1000 + i);
    sampling->set_presence_penalty(i % 4 == 2 ? 0.7F : 0.0F);
    if (i % 6 == 1) sampling->add_stop_token_ids(static_cast<int32_t>(random.below(kToyVocabulary)));
    request.set_trace_id(fmt::format("request {}", i));
  }
  return pool;
}

}  // namespace

const char* fault_name(Fault fault) {
  constexpr const char* kNames[kFaultKinds] = {"kill",      "power loss", "freeze",   "slow", "partition",
                                               "isolation", "cut",        "half cut", "drain"};
  return kNames[static_cast<size_t>(fault)];
}

std::string Plan::slot_name(uint32_t slot) const {
  if (slot == 0) return "coordinator";
  if (slot <= ranks()) return fmt::format("rank {}", slot - 1);
  return fmt::format("frontend {}", slot - 1 - ranks());
}

const std::vector<wire::Generate>& request_pool() {
  static const std::vector<wire::Generate> pool = make_pool();
  return pool;
}

Plan make_plan(uint64_t seed) {
  Random random(Random(seed).next());
  Plan plan;
  plan.groups = random.chance(0.3) ? 2 : 1;
  plan.group_size = static_cast<uint32_t>(plan.groups == 2 ? random.between(1, 2) : random.between(2, 4));
  plan.min_ranks = static_cast<uint32_t>(random.between(1, plan.group_size));
  plan.frontends = static_cast<uint32_t>(random.between(1, 2));
  plan.heartbeat_ms = static_cast<uint32_t>(random.between(50, 300));
  plan.step_deadline_ms = static_cast<uint32_t>(random.between(500, 3000));
  plan.max_num_seqs = static_cast<uint32_t>(random.between(2, 16));
  plan.step_time = random.between(milliseconds(2), milliseconds(20));
  const uint64_t count = random.between(12, 36);
  for (uint64_t i = 0; i < count; ++i) {
    PlannedRequest request;
    request.request = random.below(kRequestPool);
    request.at = random.between(milliseconds(20), milliseconds(4000));
    request.frontend = static_cast<uint32_t>(random.below(plan.frontends));
    if (random.chance(0.15)) request.cancel_after = static_cast<uint32_t>(random.below(12));
    plan.requests.push_back(request);
  }
  plan_faults(random.fork(1), plan);
  return plan;
}

Plan undisturbed_plan() {
  Plan plan;
  plan.group_size = 1;
  plan.step_time = milliseconds(1);
  for (size_t i = 0; i < kRequestPool; ++i) {
    PlannedRequest request;
    request.request = i;
    request.at = milliseconds(200 + 100 * i);
    plan.requests.push_back(request);
  }
  return plan;
}

}  // namespace switchyard::simulation
