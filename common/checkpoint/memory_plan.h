// How much memory a model takes on a rank, from its ModelSpec alone: what a dry run prints and a start is refused by.
//
// Weights and KV are exact up to the padding of packed panels (below 1 % for sides of 512 and more); the workspace is
// an estimate from above.
//
// Thread: any; pure functions.
#pragma once

#include <cstdint>

#include "common/checkpoint/model_spec.h"

namespace switchyard::checkpoint {

struct MemoryPlanOptions {
  // Bits of a weight, scales included: 16 = bfloat16, 32 = float32, 8 = int8 (a scale an output: below 1 % more), 4.5 =
  // int4 with its scales. Norms, biases and routers are float32 in all.
  double weight_bits = 16;
  double expert_weight_bits = 16;
  uint32_t kv_element_bytes = 2;  // 1: two fp32 scales a position and KV head beside them
  uint32_t rank_count = 1;
  uint32_t kv_block_tokens = 16;
  uint32_t max_model_len = 0;    // positions of a sequence; 0 = max_position of the model
  uint32_t max_num_seqs = 32;    // sequences computed at once, a rank
  uint32_t max_step_rows = 512;  // tokens computed at once, a rank
};

struct MemoryPlan {
  // Weights.
  uint64_t replicated_bytes = 0;  // a rank: embedding, attention, dense and shared MLPs, routers, norms, lm_head
  uint64_t expert_bytes = 0;      // one expert of one layer
  uint32_t expert_layer_count = 0;
  uint64_t expert_rank_bytes = 0;  // the fullest rank: ceil(experts * layers / ranks) of them, without replicas
  // KV of one position, and of one sequence of max_model_len positions; in whole blocks, a sliding layer's window and
  // one block more.
  uint64_t kv_token_full_bytes = 0;     // all full-attention layers together
  uint64_t kv_token_sliding_bytes = 0;  // all sliding layers together
  uint64_t kv_sequence_bytes = 0;
  // Activations of a step, logits, rope table, rows on their way to experts and back.
  uint64_t workspace_bytes = 0;

  // Of one rank, but for KV.
  uint64_t fixed_bytes() const { return replicated_bytes + expert_rank_bytes + workspace_bytes; }
};

MemoryPlan plan_memory(const ModelSpec& spec, const MemoryPlanOptions& options);

// KV memory of a rank when none is configured: room for 8 sequences of full length (max_num_seqs if that is less), from
// 512 MiB up to a quarter of memory_share, and half of it when one sequence needs that. Pages are touched only as
// sequences use them. sequence_bytes: KV of one sequence of max_model_len positions; memory_share: the machine's memory
// over its ranks, bytes.
uint64_t auto_kv_bytes(uint64_t sequence_bytes, uint32_t max_num_seqs, uint64_t memory_share);

// Parameters of the model, and of those that one token touches (its top-k experts; the embedding as one row).
uint64_t parameter_count(const ModelSpec& spec);
uint64_t active_parameter_count(const ModelSpec& spec);

}  // namespace switchyard::checkpoint
