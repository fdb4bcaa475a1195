// Qwen3: dense, RMS norm of q and k per head.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {.head_dim = 128}, spec);
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);
  spec.qk_norm = true;
  read_qwen_windows(config, QwenWindows::kFromMaxWindowLayers, spec);
  read_dense_width(config, spec);
}

}  // namespace

constinit const Architecture kQwen3 = {"Qwen3ForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
