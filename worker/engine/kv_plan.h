// How many KV blocks each group of layers gets out of a rank's KV memory.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "kernels/api/ops.h"
#include "worker/model/model.h"
#include "worker/scheduler/kv_cache.h"

namespace switchyard::worker {

struct KvBudget {
  uint64_t memory_mib = 0;     // 0 = checkpoint::auto_kv_bytes
  uint32_t max_model_len = 0;  // positions
  uint32_t max_num_seqs = 0;
  uint32_t max_chunk = 0;  // positions computed at once, at most
  uint32_t ranks_on_node = 1;
  bool take_all =
      false;  // blocks for all of memory_mib, also beyond what running sequences can use: for the prefix cache
};

// Full-attention groups get room for as many positions as the memory holds, sliding groups what max_num_seqs windows
// need and no more than half. An error when one sequence of max_model_len positions would not fit, with the figures.
Result<std::vector<KvGroup>> plan_kv(const KvGrouping& grouping, const kernels::KvLayout& layout,
                                     const kernels::OpTable& ops, const KvBudget& budget);

}  // namespace switchyard::worker
