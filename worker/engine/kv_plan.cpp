#include "worker/engine/kv_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/machine.h"
#include "common/checkpoint/memory_plan.h"

namespace switchyard::worker {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

uint64_t blocks_for(uint64_t positions, uint32_t block_tokens) { return (positions + block_tokens - 1) / block_tokens; }

}  // namespace

Result<std::vector<KvGroup>> plan_kv(const KvGrouping& grouping, const kernels::KvLayout& layout,
                                     const kernels::OpTable& ops, const KvBudget& budget) {
  const size_t groups = grouping.windows.size();
  std::vector<uint64_t> bytes(groups, 0);       // of one block id of the group
  std::vector<uint64_t> a_sequence(groups, 0);  // blocks that one sequence of full length holds at most
  uint64_t sequence_bytes = 0;
  for (const uint32_t group : grouping.group_of_layer) bytes[group] += ops.kv_block_bytes(layout);
  for (size_t g = 0; g < groups; ++g) {
    const uint64_t whole = blocks_for(budget.max_model_len, layout.block_tokens);
    const uint64_t window = grouping.windows[g];
    // A window that starts inside a block and a chunk that ends inside one: one block more at each end.
    a_sequence[g] =
        window == 0 ? whole : std::min(whole, blocks_for(window + budget.max_chunk, layout.block_tokens) + 2);
    sequence_bytes += a_sequence[g] * bytes[g];
  }

  uint64_t memory = budget.memory_mib * kMiB;
  if (memory == 0) {
    memory = checkpoint::auto_kv_bytes(sequence_bytes, budget.max_num_seqs,
                                       machine_memory_bytes() / std::max(1U, budget.ranks_on_node));
  }
  if (sequence_bytes > memory) {
    return Error{
        Errc::kInvalid,
        fmt::format(
            "a sequence of max_model_len {} needs {} MiB of KV cache, and a rank has {} MiB: lower max_model_len or "
            "raise kv_cache_memory_mib",
            budget.max_model_len, (sequence_bytes + kMiB - 1) / kMiB, memory / kMiB)};
  }

  const uint64_t sequences = std::max<uint64_t>(1, budget.max_num_seqs);
  std::vector<uint64_t> counts(groups);
  uint64_t full_bytes = 0;
  uint64_t sliding_bytes = 0;
  for (size_t g = 0; g < groups; ++g) {
    counts[g] = a_sequence[g] * sequences;  // nobody could use more
    (grouping.windows[g] == 0 ? full_bytes : sliding_bytes) += counts[g] * bytes[g];
  }
  if (full_bytes + sliding_bytes > memory) {
    // One sequence fits whole; what is left is shared: half to windows (all of it when there is nothing else), the rest
    // to full attention.
    const uint64_t left = memory - sequence_bytes;
    const uint64_t for_sliding = full_bytes == 0 ? left : std::min(left / 2, sliding_bytes);
    const uint64_t for_full = left - for_sliding;
    uint64_t full_unit = 0;
    uint64_t sliding_unit = 0;
    for (size_t g = 0; g < groups; ++g)
      (grouping.windows[g] == 0 ? full_unit : sliding_unit) += a_sequence[g] * bytes[g];
    for (size_t g = 0; g < groups; ++g) {
      const bool full = grouping.windows[g] == 0;
      const double more =
          static_cast<double>(full ? for_full : for_sliding) / static_cast<double>(full ? full_unit : sliding_unit);
      counts[g] = std::min(counts[g], a_sequence[g] + static_cast<uint64_t>(more * static_cast<double>(a_sequence[g])));
    }
  }
  if (budget.take_all) {
    uint64_t used = 0;
    for (size_t g = 0; g < groups; ++g) used += counts[g] * bytes[g];
    for (size_t g = 0; g < groups; ++g) {  // layers without a window are one group
      if (grouping.windows[g] == 0 && used < memory) counts[g] += (memory - used) / bytes[g];
    }
  }
  std::vector<KvGroup> plan;
  for (size_t g = 0; g < groups; ++g) {
    plan.push_back({grouping.windows[g], static_cast<uint32_t>(std::min<uint64_t>(counts[g], INT32_MAX))});
  }
  return plan;
}

}  // namespace switchyard::worker
