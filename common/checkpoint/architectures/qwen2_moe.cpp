// Qwen2-MoE (and Qwen1.5-MoE): softmax router without normalisation as a rule, one shared expert behind a sigmoid gate,
// q/k/v biases.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {}, spec);
  spec.qkv_bias = config.flag_or("qkv_bias", true);
  read_qwen_windows(config, QwenWindows::kEvenBelowMaxWindowLayers, spec);
  read_experts(config, {"num_experts", "num_local_experts"}, "moe_intermediate_size", spec);
  spec.router.score = kernels::RouterScore::kSoftmax;
  spec.router.normalize = config.flag_or("norm_topk_prob", false);
  spec.shared_width = config.count("shared_expert_intermediate_size", 1, kSideMax);
  spec.shared_gate = true;
  read_sparse_step(config, spec);
  read_dense_width(config, spec);
}

void resolve(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors) {
  ExpertNames names;
  names.shared = "mlp.shared_expert";
  resolve_standard(spec, source, tensors, names);
}

}  // namespace

constinit const Architecture kQwen2Moe = {"Qwen2MoeForCausalLM", read_spec, resolve};

}  // namespace switchyard::checkpoint
