// GLM-4.5: rotary embedding on a part of the head, DeepSeek V3's router, q/k/v biases, q/k norm where use_qk_norm says
// so.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {.partial_rotary_factor = 0.5}, spec);
  spec.qkv_bias = config.flag_or("attention_bias", false);  // o_proj never has one
  spec.qk_norm = config.flag_or("use_qk_norm", false);
  read_experts(config, {"n_routed_experts", "num_local_experts"}, "moe_intermediate_size", spec);
  read_groups(config, 2, 1, 1, spec);
  spec.router.score = kernels::RouterScore::kSigmoid;
  spec.router.group_score = kernels::GroupScore::kSumOfBestTwo;
  spec.router.normalize = config.flag_or("norm_topk_prob", true);
  spec.router.scaling = static_cast<float>(config.positive_or("routed_scaling_factor", 1.0));
  spec.correction_bias = true;
  read_shared_experts(config, spec);
  read_first_dense(config, 1, spec);
  read_dense_width(config, spec);
  read_prediction_layers(config, spec);
}

}  // namespace

constinit const Architecture kGlm4Moe = {"Glm4MoeForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
