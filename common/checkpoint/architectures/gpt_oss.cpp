// gpt-oss: attention sinks, alternating sliding and full layers, biases everywhere, clamped GLU, router with bias and
// softmax over the chosen.
//
// Experts are fused. bf16: gate_up_proj (expert, in, 2 width), down_proj (expert, in, out), y = x W + b. MXFP4:
// *_blocks (expert, out, in / 32, 16) with *_scales (expert, out, in / 32). In both, even outputs of gate_up are gate,
// odd ones up.
#include <fmt/format.h>

#include "common/checkpoint/architectures/shared.h"
#include "common/checkpoint/views.h"

namespace switchyard::checkpoint {
namespace {

void read_spec(const ConfigReader& config, ModelSpec& spec) {
  read_base(config, spec);
  GroupedDefaults defaults;
  defaults.head_dim = 64;
  defaults.rope.kind = RopeConfig::Kind::kYarn;
  defaults.rope.theta = 150000;
  defaults.rope.factor = 32;
  defaults.rope.original_max_position = 4096;
  defaults.rope.truncate = false;
  read_grouped_attention(config, defaults, spec);
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", true);
  spec.sinks = true;
  read_experts(config, {"num_local_experts", "num_experts"}, "intermediate_size", spec);
  spec.router.score = kernels::RouterScore::kSoftmaxOfTopK;
  spec.router_bias = true;
  spec.expert_bias = true;
  spec.activation.kind = kernels::Activation::kGptOssGlu;
  spec.activation.limit = static_cast<float>(config.positive_or("swiglu_limit", 7.0));
  spec.activation.alpha = static_cast<float>(config.positive_or("swiglu_alpha", 1.702));
  const uint32_t window = config.count_or("sliding_window", 128, 1, kPositionsMax);
  const bool typed = read_layer_types(config, window, spec);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    spec.layers[i].experts = true;
    if (!typed && i % 2 == 0) spec.layers[i].window = window;
  }
}

constexpr std::initializer_list<DataType> kFloats = {DataType::kBF16, DataType::kF16, DataType::kF32};

void resolve_bf16(const ModelSpec& spec, TensorSource& source, const std::string& prefix,
                  std::vector<MlpTensors>& experts) {
  const uint32_t hidden = spec.hidden, width = spec.expert_width;
  const TensorEntry* gate_up = source.require(prefix + "gate_up_proj", {spec.expert_count, hidden, 2 * width}, kFloats);
  const TensorEntry* down = source.require(prefix + "down_proj", {spec.expert_count, width, hidden}, kFloats);
  for (uint64_t e = 0; e < spec.expert_count; ++e) {
    if (gate_up != nullptr) {
      const uint64_t first = e * hidden * 2 * width;
      experts[e].gate = transposed_view(*gate_up, width, hidden, first, 2, 2 * width);
      experts[e].up = transposed_view(*gate_up, width, hidden, first + 1, 2, 2 * width);
    }
    if (down != nullptr) experts[e].down = transposed_view(*down, hidden, width, e * width * hidden, 1, hidden);
  }
}

void resolve_mxfp4(const ModelSpec& spec, TensorSource& source, const std::string& prefix,
                   std::vector<MlpTensors>& experts) {
  const uint32_t hidden = spec.hidden, width = spec.expert_width, count = spec.expert_count;
  if (hidden % 32 != 0 || width % 32 != 0) {
    source.problem(
        fmt::format("{}*: MXFP4 needs sides that are multiples of 32, hidden_size is {} and intermediate_size {}",
                    prefix, hidden, width));
    for (const char* name : {"gate_up_proj_blocks", "gate_up_proj_scales", "down_proj_blocks", "down_proj_scales"}) {
      source.ignore(prefix + name);
    }
    return;
  }
  const uint64_t hidden_blocks = hidden / 32, width_blocks = width / 32;
  const auto u8 = {DataType::kU8};
  const TensorEntry* gate_up =
      source.require(prefix + "gate_up_proj_blocks", {count, 2 * width, hidden_blocks, 16}, u8);
  const TensorEntry* gate_up_scales =
      source.require(prefix + "gate_up_proj_scales", {count, 2 * width, hidden_blocks}, u8);
  const TensorEntry* down = source.require(prefix + "down_proj_blocks", {count, hidden, width_blocks, 16}, u8);
  const TensorEntry* down_scales = source.require(prefix + "down_proj_scales", {count, hidden, width_blocks}, u8);
  for (uint64_t e = 0; e < count; ++e) {
    if (gate_up != nullptr && gate_up_scales != nullptr) {
      experts[e].gate = mxfp4_view(*gate_up, *gate_up_scales, width, hidden, e * 2 * width, 2);
      experts[e].up = mxfp4_view(*gate_up, *gate_up_scales, width, hidden, e * 2 * width + 1, 2);
    }
    if (down != nullptr && down_scales != nullptr) {
      experts[e].down = mxfp4_view(*down, *down_scales, hidden, width, e * hidden, 1);
    }
  }
}

void resolve(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors) {
  resolve_trunk(spec, source, tensors);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerTensors& layer = tensors.layers[i];
    const std::string mlp = fmt::format("model.layers.{}.mlp.", i), prefix = mlp + "experts.";
    layer.router = source.matrix(mlp + "router.weight", spec.expert_count, spec.hidden);
    layer.router_bias = source.vector(mlp + "router.bias", spec.expert_count);
    layer.experts.resize(spec.expert_count);
    const bool blocks =
        source.exists(prefix + "gate_up_proj_blocks") ||
        (source.quantization().kind == Quantization::Kind::kMxfp4 && !source.exists(prefix + "gate_up_proj"));
    (blocks ? resolve_mxfp4 : resolve_bf16)(spec, source, prefix, layer.experts);
    const TensorEntry* gate_up =
        source.require(prefix + "gate_up_proj_bias", {spec.expert_count, 2 * spec.expert_width}, kFloats);
    const TensorEntry* down = source.require(prefix + "down_proj_bias", {spec.expert_count, spec.hidden}, kFloats);
    for (uint64_t e = 0; e < spec.expert_count; ++e) {
      if (gate_up != nullptr) {
        const uint64_t first = e * 2 * spec.expert_width;
        layer.experts[e].gate_bias = strided_vector_view(*gate_up, spec.expert_width, first, 2);
        layer.experts[e].up_bias = strided_vector_view(*gate_up, spec.expert_width, first + 1, 2);
      }
      if (down != nullptr) layer.experts[e].down_bias = rows_view(*down, 1, spec.hidden, e * spec.hidden, spec.hidden);
    }
  }
}

}  // namespace

constinit const Architecture kGptOss = {"GptOssForCausalLM", read_spec, resolve};

}  // namespace switchyard::checkpoint
