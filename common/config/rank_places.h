// Where the ranks of a cluster live: hosts in their order, each filled to its slots, one group after another. Pure; the
// launcher starts the ranks by it, and a rank finds by it how many others share its machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/config/cluster_config.h"

namespace switchyard::config {

struct RankPlace {
  std::string host;      // "" = this machine
  uint32_t index = 0;    // among the ranks of the host, those of all groups
  uint32_t on_host = 0;  // how many these are
  bool operator==(const RankPlace&) const = default;
};

// By rank id: group * data_parallel_size + index in the group. A host without slots has room for gpus_per_node ranks,
// or, where that is 0, for a group; when all are full the first is next (rules.cpp refuses that where slots are
// bounded).
std::vector<RankPlace> rank_places(const WorkerConfig& worker);

// The name and the slots of "h100-1:8", `otherwise` where it has none.
struct HostSlots {
  std::string host;
  uint32_t slots = 0;
};
HostSlots host_slots(const std::string& host, uint32_t otherwise);

}  // namespace switchyard::config
