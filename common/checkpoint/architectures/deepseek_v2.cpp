// DeepSeek V2: latent attention, softmax router (greedy, or limited to groups scored by their best expert), weights not
// normalised.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_latent_attention(config, true, spec);
  read_experts(config, {"n_routed_experts", "num_local_experts"}, "moe_intermediate_size", spec);
  config.choice_or("scoring_func", "softmax", {"softmax"});
  if (config.choice_or("topk_method", "greedy", {"greedy", "group_limited_greedy"}) == "group_limited_greedy") {
    read_groups(config, 1, 1, 1, spec);
  }
  // Published checkpoints have false, and implementations disagree on what true does to routed_scaling_factor.
  if (config.flag_or("norm_topk_prob", false))
    config.problem("norm_topk_prob", "true is not supported in this architecture");
  spec.router.score = kernels::RouterScore::kSoftmax;
  spec.router.group_score = kernels::GroupScore::kBest;
  spec.router.scaling = static_cast<float>(config.positive_or("routed_scaling_factor", 1.0));
  read_shared_experts(config, spec);
  read_first_dense(config, 0, spec);
  read_dense_width(config, spec);
}

}  // namespace

constinit const Architecture kDeepseekV2 = {"DeepseekV2ForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
