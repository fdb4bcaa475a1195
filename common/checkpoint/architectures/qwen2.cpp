// Qwen2 and 2.5: dense, q/k/v biases that no key of the config tells of.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {}, spec);
  spec.qkv_bias = true;
  read_qwen_windows(config, QwenWindows::kFromMaxWindowLayers, spec);
  read_dense_width(config, spec);
}

}  // namespace

constinit const Architecture kQwen2 = {"Qwen2ForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
