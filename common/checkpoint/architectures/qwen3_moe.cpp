// Qwen3-MoE: softmax router, q/k norm, no shared expert.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {}, spec);
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);
  spec.qk_norm = true;
  read_qwen_windows(config, QwenWindows::kAll, spec);
  read_experts(config, {"num_experts", "num_local_experts"}, "moe_intermediate_size", spec);
  spec.router.score = kernels::RouterScore::kSoftmax;
  spec.router.normalize = config.flag_or("norm_topk_prob", false);
  read_sparse_step(config, spec);
  read_dense_width(config, spec);
}

}  // namespace

constinit const Architecture kQwen3Moe = {"Qwen3MoeForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
