// Llama 2 and 3: dense, grouped-query attention, llama3 rope scaling.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {}, spec);
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  read_dense_width(config, spec);
}

}  // namespace

constinit const Architecture kLlama = {"LlamaForCausalLM", read_spec, resolve_usual};

}  // namespace switchyard::checkpoint
