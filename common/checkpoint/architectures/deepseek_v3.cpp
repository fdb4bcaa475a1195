// DeepSeek V3, R1 and their kin: latent attention, sigmoid router with a correction bias, groups scored by their two
// best experts.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_latent_attention(config, config.flag_or("rope_interleave", true), spec);
  read_experts(config, {"n_routed_experts", "num_local_experts"}, "moe_intermediate_size", spec);
  config.choice_or("scoring_func", "sigmoid", {"sigmoid"});
  config.choice_or("topk_method", "noaux_tc", {"noaux_tc"});
  read_groups(config, 2, 8, 4, spec);
  spec.router.score = kernels::RouterScore::kSigmoid;
  spec.router.group_score = kernels::GroupScore::kSumOfBestTwo;
  spec.router.normalize = config.flag_or("norm_topk_prob", true);
  spec.router.scaling = static_cast<float>(config.positive_or("routed_scaling_factor", 2.5));
  spec.correction_bias = true;
  read_shared_experts(config, spec);
  read_first_dense(config, 3, spec);
  read_dense_width(config, spec);
  read_prediction_layers(config, spec);
}

}  // namespace

constinit const Architecture kDeepseekV3 = {"DeepseekV3ForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
