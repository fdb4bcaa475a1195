// Where a rank stands: in its group, in the cluster, and among the ranks of its machine; and what it computes with
// there.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "kernels/api/ops.h"

namespace switchyard::worker {

struct Place {
  uint32_t index = 0;  // in its group; the rank in MPI, where that is used
  uint32_t size = 1;   // of the group
  uint32_t group = 0;
  uint32_t rank_id = 0;  // in the cluster
  uint32_t on_node = 0;  // among the ranks of the machine
  uint32_t node_size = 1;
};

inline bool uses_mpi(const config::ClusterConfig& config) { return config.worker.exchange == "mpi"; }

// What a launcher tells a process about its place, also before MPI is up (for messages).
bool started_by_launcher();

// Reads what the launcher of an MPI job knows of the machine. kInvalid: a group, an index or a size that the config
// does not have.
Result<Place> find_place(const config::ClusterConfig& config, uint32_t group, uint32_t index, uint32_t size);

// The rank's own cores, one a thread: the ranks of a node share out what they may use, unless the launcher has done so
// (each then sees a set of its own). None when there are too few.
std::vector<int> cores_to_pin(const Place& place, uint32_t threads);

// worker.device, worker.backend; the error names which of them cannot be had.
Result<const kernels::OpTable*> choose_backend(const config::WorkerConfig& worker, const Place& place);

}  // namespace switchyard::worker
