#include "common/checkpoint/memory_plan.h"

#include <algorithm>

#include "common/base/result.h"

namespace switchyard::checkpoint {
namespace {

// Elements of weights, by the type that they are kept in.
struct Elements {
  uint64_t matrix = 0;  // in the weights' type
  uint64_t vector = 0;  // float32: norms, biases, routers
  uint64_t all() const { return matrix + vector; }
  uint64_t bytes(double bits) const {
    return static_cast<uint64_t>(static_cast<double>(matrix) * bits / 8) + vector * sizeof(float);
  }
};

Elements& operator+=(Elements& a, const Elements& b) {
  a.matrix += b.matrix;
  a.vector += b.vector;
  return a;
}

Elements mlp_elements(uint64_t hidden, uint64_t width, bool bias) {
  return {3 * hidden * width, bias ? 2 * width + hidden : 0};
}

Elements attention_elements(const ModelSpec& s) {
  const uint64_t hidden = s.hidden, heads = s.head_count, head = s.head_dim;
  Elements e;
  if (s.attention == AttentionKind::kGrouped) {
    const uint64_t q = heads * head, kv = uint64_t{s.kv_head_count} * head;
    e.matrix = hidden * (2 * q + 2 * kv);
    if (s.qkv_bias) e.vector += q + 2 * kv;
    if (s.o_bias) e.vector += hidden;
    if (s.qk_norm) e.vector += 2 * head;
    if (s.sinks) e.vector += heads;
    return e;
  }
  const uint64_t latent = s.kv_lora_rank, query = s.q_lora_rank;
  e.matrix = query == 0 ? hidden * heads * head : query * (hidden + heads * head);
  e.matrix +=
      hidden * (latent + s.rope_dim) + latent * heads * (s.nope_dim + s.v_head_dim) + hidden * heads * s.v_head_dim;
  e.vector = query + latent;
  if (s.qkv_bias) e.vector += query + latent + s.rope_dim;
  if (s.o_bias) e.vector += hidden;
  return e;
}

Elements expert_elements(const ModelSpec& s) { return mlp_elements(s.hidden, s.expert_width, s.expert_bias); }

// A layer without its routed experts.
Elements layer_elements(const ModelSpec& s, const LayerSpec& layer) {
  Elements e = attention_elements(s);
  e.vector += 2 * uint64_t{s.hidden};
  if (!layer.experts) {
    e += mlp_elements(s.hidden, s.dense_width, s.mlp_bias);
    return e;
  }
  e.vector += uint64_t{s.expert_count} * s.hidden;
  if (s.router_bias) e.vector += s.expert_count;
  if (s.correction_bias) e.vector += s.expert_count;
  if (s.shared_width != 0) e += mlp_elements(s.hidden, s.shared_width, false);
  if (s.shared_gate) e.vector += s.hidden;
  return e;
}

uint64_t expert_layers(const ModelSpec& s) {
  return static_cast<uint64_t>(
      std::count_if(s.layers.begin(), s.layers.end(), [](const LayerSpec& l) { return l.experts; }));
}

// KV elements of one position in one layer.
uint64_t kv_elements(const ModelSpec& s) {
  return s.attention == AttentionKind::kGrouped ? 2 * uint64_t{s.kv_head_count} * s.head_dim
                                                : uint64_t{s.kv_lora_rank} + s.rope_dim;
}

}  // namespace

MemoryPlan plan_memory(const ModelSpec& s, const MemoryPlanOptions& options) {
  SWITCHYARD_CHECK(options.rank_count > 0 && options.kv_block_tokens > 0);
  MemoryPlan plan;
  Elements replicated{(s.tied_embeddings ? 1 : 2) * uint64_t{s.vocab_size} * s.hidden, s.hidden};
  for (const LayerSpec& layer : s.layers) replicated += layer_elements(s, layer);
  plan.replicated_bytes = replicated.bytes(options.weight_bits);
  plan.expert_layer_count = static_cast<uint32_t>(expert_layers(s));
  if (plan.expert_layer_count != 0) plan.expert_bytes = expert_elements(s).bytes(options.expert_weight_bits);
  const uint64_t experts = uint64_t{s.expert_count} * plan.expert_layer_count;
  plan.expert_rank_bytes = (experts + options.rank_count - 1) / options.rank_count * plan.expert_bytes;

  const uint64_t kv_heads = s.attention == AttentionKind::kGrouped ? s.kv_head_count : 1;
  const uint64_t kv_scales = options.kv_element_bytes == 1 ? 2 * kv_heads * sizeof(float) : 0;
  const uint64_t token_bytes = kv_elements(s) * options.kv_element_bytes + kv_scales;
  const uint64_t block = options.kv_block_tokens;
  const uint64_t length = options.max_model_len != 0 ? options.max_model_len : s.max_position;
  const auto in_blocks = [&](uint64_t positions) { return (positions + block - 1) / block * block; };
  for (const LayerSpec& layer : s.layers) {
    (layer.window == 0 ? plan.kv_token_full_bytes : plan.kv_token_sliding_bytes) += token_bytes;
    const uint64_t kept = layer.window == 0 ? length : std::min<uint64_t>(length, layer.window + block);
    plan.kv_sequence_bytes += in_blocks(kept) * token_bytes;
  }

  // Per row: residual, normed and encoded input, attention output, answer (6 x hidden covers them); queries, keys and
  // values; both halves of the widest MLP; and per chosen expert a row sent, a row answered and the expert's two
  // halves.
  const uint64_t q = uint64_t{s.head_count} * s.head_dim;
  const uint64_t attention =
      s.attention == AttentionKind::kGrouped
          ? 2 * q + kv_elements(s)
          : q + s.q_lora_rank + uint64_t{s.head_count} * (2 * (uint64_t{s.kv_lora_rank} + s.rope_dim) + s.v_head_dim);
  const uint64_t mlp = 2 * uint64_t{std::max(s.dense_width, s.shared_width)};
  const uint64_t routed = uint64_t{s.router.top_k} * (2 * uint64_t{s.hidden} + 2 * uint64_t{s.expert_width});
  const uint64_t row =
      6 * uint64_t{s.hidden} + attention + mlp + (plan.expert_layer_count != 0 ? routed + s.expert_count : 0);
  plan.workspace_bytes = sizeof(float) * (row * options.max_step_rows + uint64_t{s.vocab_size} * options.max_num_seqs +
                                          length * s.rope.layout.rotary_dim);
  return plan;
}

uint64_t auto_kv_bytes(uint64_t sequence_bytes, uint32_t max_num_seqs, uint64_t memory_share) {
  constexpr uint64_t kSequences = 8;
  constexpr uint64_t kMinimum = uint64_t{512} << 20;
  const uint64_t wanted = sequence_bytes * std::min<uint64_t>(kSequences, max_num_seqs);
  const uint64_t bytes = std::clamp(wanted, kMinimum, std::max(memory_share / 4, kMinimum));
  return std::max(bytes, std::min(sequence_bytes, memory_share / 2));
}

uint64_t parameter_count(const ModelSpec& s) {
  uint64_t count = uint64_t{s.vocab_size} * s.hidden * (s.tied_embeddings ? 1 : 2) + s.hidden;
  for (const LayerSpec& layer : s.layers) count += layer_elements(s, layer).all();
  return count + expert_layers(s) * s.expert_count * expert_elements(s).all();
}

uint64_t active_parameter_count(const ModelSpec& s) {
  uint64_t count = uint64_t{s.vocab_size} * s.hidden + 2 * uint64_t{s.hidden};
  for (const LayerSpec& layer : s.layers) count += layer_elements(s, layer).all();
  return count + expert_layers(s) * s.router.top_k * expert_elements(s).all();
}

}  // namespace switchyard::checkpoint
