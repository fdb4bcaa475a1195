// Mixtral: softmax router, always normalised; a sliding window on every layer or on none.
#include "common/checkpoint/architectures/shared.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  read_grouped_attention(config, {.rope = {.theta = 1e6}}, spec);
  read_experts(config, {"num_local_experts", "num_experts"}, "intermediate_size", spec);
  spec.router.score = kernels::RouterScore::kSoftmax;
  spec.router.normalize = true;
  const uint32_t window = config.count_or("sliding_window", 0, 0, kPositionsMax);
  for (LayerSpec& layer : spec.layers) {
    layer.experts = true;
    layer.window = window;
  }
}

void resolve(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors) {
  ExpertNames names;
  names.router = "block_sparse_moe.gate";
  names.experts = "block_sparse_moe.experts";
  names.gate = "w1";
  names.up = "w3";
  names.down = "w2";
  resolve_standard(spec, source, tensors, names);
}

}  // namespace

constinit const Architecture kMixtral = {"MixtralForCausalLM", read_spec, resolve};

}  // namespace switchyard::checkpoint
