// What one seed stands for: a cluster, its requests, and the faults that happen to it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/wire/switchyard.pb.h"
#include "tests/simulation/random.h"

namespace switchyard::simulation {

enum class Fault {
  kKill,       // SIGKILL: its machine closes its streams
  kPowerLoss,  // nobody says anything until the machine is back
  kFreeze,     // SIGSTOP, and later SIGCONT
  kSlow,       // ten times
  kPart,       // two machines do not reach each other; streams stay, and what is sent waits
  kIsolate,    // one machine reaches no other
  kCut,        // a stream breaks
  kHalfCut,    // a stream breaks, of which one end learns only when it sends
  kDrain,      // SIGTERM to a rank: it finishes what it has, and is started again
};
inline constexpr size_t kFaultKinds = 9;
const char* fault_name(Fault fault);

struct PlannedFault {
  Fault fault = Fault::kKill;
  Duration at{};  // since the start
  uint32_t slot = 0;
  uint32_t other = 0;    // kPart
  Duration length{};     // until it is healed, or the process starts again
  bool forever = false;  // kKill, kPowerLoss: of a rank that its group can do without
};

struct PlannedRequest {
  size_t request = 0;  // which of the pool
  Duration at{};
  uint32_t frontend = 0;
  uint32_t cancel_after = UINT32_MAX;  // tokens
};

struct Plan {
  uint32_t groups = 1;
  uint32_t group_size = 2;
  uint32_t min_ranks = 1;
  uint32_t frontends = 1;
  uint32_t heartbeat_ms = 200;
  uint32_t step_deadline_ms = 2000;
  uint32_t recovery_timeout_ms = 60000;
  uint32_t max_num_seqs = 16;
  Duration step_time{};
  std::vector<PlannedRequest> requests;
  std::vector<PlannedFault> faults;

  // Slots: the coordinator's is 0, then ranks, then frontends.
  uint32_t ranks() const { return groups * group_size; }
  uint32_t rank_slot(uint32_t rank) const { return 1 + rank; }
  uint32_t frontend_slot(uint32_t frontend) const { return 1 + ranks() + frontend; }
  uint32_t slots() const { return 1 + ranks() + frontends; }
  std::string slot_name(uint32_t slot) const;
};

inline constexpr size_t kRequestPool = 48;
// The same in every run: what seeds draw from.
const std::vector<wire::Generate>& request_pool();

Plan make_plan(uint64_t seed);
// One rank, no faults, all of the pool one after the other.
Plan undisturbed_plan();

}  // namespace switchyard::simulation
