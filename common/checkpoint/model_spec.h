// What a checkpoint's config.json says, in the engine's own terms: the input of the one model graph.
//
// An architecture (common/checkpoint/architectures/) turns published keys into a ModelSpec and tensor names into a
// ModelWeights; nothing else in the project knows either. Sizes are counts of elements; ids are token ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/api/ops.h"

namespace switchyard::checkpoint {

enum class AttentionKind : uint8_t {
  kGrouped,  // multi-head, grouped-query, multi-query
  kLatent,   // MLA: DeepSeek V2, V3
};

// Rotary embedding of one kind of layer: frequencies with all scaling applied (YaRN, llama3), so that the graph only
// needs cos and sin of position * inverse_frequency, times magnitude.
struct RopeParameters {
  kernels::RopeSpec layout;  // rotary_dim, offset in the head (query and grouped key), interleaved or half-split
  std::vector<float> inverse_frequency;  // (rotary_dim / 2)
  float magnitude = 1.0F;                // factor on cos and sin (YaRN's attention factor)
};

struct LayerSpec {
  bool experts = false;  // routed experts (else one dense MLP)
  uint32_t window = 0;   // sliding window in positions; 0 = full attention
};

struct ModelSpec {
  std::string architecture;  // as in config.json: "Qwen3MoeForCausalLM"
  std::string model_type;    // "qwen3_moe"
  std::string file_dtype;    // torch_dtype or dtype: "bfloat16", "float16", "float32"; "" when absent

  uint32_t hidden = 0;
  uint32_t vocab_size = 0;
  uint32_t max_position = 0;  // max_position_embeddings
  float norm_eps = 1e-6F;
  bool tied_embeddings = false;

  AttentionKind attention = AttentionKind::kGrouped;
  uint32_t head_count = 0;
  uint32_t kv_head_count = 0;  // kGrouped
  uint32_t head_dim = 0;       // kGrouped: of q, k and v. kLatent: qk_nope + qk_rope
  float softmax_scale = 1.0F;  // YaRN's factor included
  bool qkv_bias = false;       // kLatent: of q_a and kv_a
  bool o_bias = false;
  bool qk_norm = false;  // RMS norm of q and k over head_dim, per head, before rope
  bool sinks = false;
  // kLatent only:
  uint32_t q_lora_rank = 0;  // 0 = q_proj directly
  uint32_t kv_lora_rank = 0;
  uint32_t nope_dim = 0;
  uint32_t rope_dim = 0;
  uint32_t v_head_dim = 0;
  float latent_norm_eps = 1e-6F;  // of q_a_layernorm and kv_a_layernorm

  RopeParameters rope;
  std::vector<LayerSpec> layers;
  uint32_t prediction_layer_count = 0;  // multi-token prediction: layers behind these in the files, which nobody reads

  kernels::ActivationSpec activation;  // of every MLP
  uint32_t dense_width = 0;            // intermediate size of dense layers
  bool mlp_bias = false;               // dense layers have biases
  // Experts; expert_count 0 = a dense model.
  uint32_t expert_count = 0;
  uint32_t expert_width = 0;
  uint32_t shared_width = 0;     // of all shared experts as one MLP; 0 = none
  bool shared_gate = false;      // Qwen2-MoE: shared output times sigmoid(shared_expert_gate x)
  bool expert_bias = false;      // gpt-oss: gate, up and down have biases
  bool router_bias = false;      // added to the logits (gpt-oss)
  bool correction_bias = false;  // added for choosing only (DeepSeek V3, GLM)
  kernels::RouterSpec router;

  std::vector<int32_t> eos_token_ids;  // config.json and generation_config.json, both
  int32_t bos_token_id = -1;           // -1 = none
};

}  // namespace switchyard::checkpoint
