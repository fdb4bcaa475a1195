// What most architectures have in common: keys of config.json and names of tensors.
//
// A count is 0 after a problem with its key; checks of combinations leave such counts alone.
#pragma once

#include <string>

#include "common/checkpoint/architectures/architectures.h"
#include "common/checkpoint/rope.h"

namespace switchyard::checkpoint {

inline constexpr uint32_t kSideMax = 1U << 20;  // hidden and intermediate sizes
inline constexpr uint32_t kLayersMax = 1024;
inline constexpr uint32_t kHeadsMax = 4096;
inline constexpr uint32_t kHeadDimMax = 4096;
inline constexpr uint32_t kExpertsMax = 16384;
inline constexpr uint32_t kVocabMax = 1U << 24;
inline constexpr uint32_t kPositionsMax = 1U << 30;

// Sizes, vocabulary, norm, tied embeddings, spec.layers (no experts, full attention); hidden_act must be silu.
void read_base(const ConfigReader& config, ModelSpec& spec);
// What an architecture takes for keys that config.json does not have: the defaults of transformers' configuration
// class.
struct GroupedDefaults {
  RopeConfig rope = {};
  double partial_rotary_factor = 1.0;  // 1: rotary on a part of the head is not supported
  uint32_t head_dim = 0;               // 0: hidden_size / num_attention_heads, as for a head_dim that is null
};
// Heads, head_dim, softmax_scale, and rope over partial_rotary_factor of the head, half-split.
void read_grouped_attention(const ConfigReader& config, const GroupedDefaults& defaults, ModelSpec& spec);
// MLA of DeepSeek V2 and V3, with YaRN's two factors.
void read_latent_attention(const ConfigReader& config, bool interleaved, ModelSpec& spec);

// spec.layers[i].window from layer_types, where it is given; true if it was. window: of the sliding layers, 0 = none.
bool read_layer_types(const ConfigReader& config, uint32_t window, ModelSpec& spec);
// Which layers slide in Qwen models whose config has no layer_types.
enum class QwenWindows {
  kAll,
  kFromMaxWindowLayers,       // max_window_layers and above
  kEvenBelowMaxWindowLayers,  // 0, 2, ... below max_window_layers
};
// Qwen: use_sliding_window, sliding_window, layer_types, max_window_layers.
void read_qwen_windows(const ConfigReader& config, QwenWindows which, ModelSpec& spec);

// spec.expert_count, top-k and expert_width; checks top_k <= experts. Widths of the dense layers come from
// read_dense_width().
void read_experts(const ConfigReader& config, Key expert_count, Key expert_width, ModelSpec& spec);
// n_group, topk_group: into the router, with checks. A group needs best_of experts at least.
void read_groups(const ConfigReader& config, uint32_t best_of, uint32_t default_groups, uint32_t default_chosen,
                 ModelSpec& spec);
// DeepSeek and GLM: layers from first_k_dense_replace on have experts (each moe_layer_freq-th).
void read_first_dense(const ConfigReader& config, uint32_t default_first, ModelSpec& spec);
// Qwen: every decoder_sparse_step-th layer but for mlp_only_layers has experts.
void read_sparse_step(const ConfigReader& config, ModelSpec& spec);
// intermediate_size; required when some layer has no experts. Call when spec.layers[i].experts is known.
void read_dense_width(const ConfigReader& config, ModelSpec& spec);
// DeepSeek V3 and GLM: num_nextn_predict_layers, one when it is not given.
void read_prediction_layers(const ConfigReader& config, ModelSpec& spec);
// n_shared_experts MLPs of expert_width each, as one.
void read_shared_experts(const ConfigReader& config, ModelSpec& spec);

// How an architecture calls the parts of its experts, below "model.layers.N.".
struct ExpertNames {
  const char* router = "mlp.gate";
  const char* experts = "mlp.experts";
  const char* shared = "mlp.shared_experts";
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};

// embed, final_norm, lm_head, and each layer's norms and attention; leaves the MLPs to the caller.
void resolve_trunk(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors);
// NAME.gate_proj.weight, up_proj, down_proj; with bias: NAME.gate_proj.bias, ...
MlpTensors resolve_mlp(TensorSource& source, const std::string& name, uint32_t hidden, uint32_t width, bool bias,
                       const ExpertNames& names);
// Trunk, dense layers ("mlp.gate_proj", ...), routers, experts and shared experts.
void resolve_standard(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors, const ExpertNames& names);
// resolve_standard with the names most have.
void resolve_usual(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors);

}  // namespace switchyard::checkpoint
