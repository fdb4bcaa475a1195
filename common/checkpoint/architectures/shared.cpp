#include "common/checkpoint/architectures/shared.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace switchyard::checkpoint {

void read_base(const ConfigReader& config, ModelSpec& spec) {
  spec.hidden = config.count("hidden_size", 1, kSideMax);
  spec.vocab_size = config.count("vocab_size", 1, kVocabMax);
  spec.max_position = config.count("max_position_embeddings", 1, kPositionsMax);
  spec.norm_eps = static_cast<float>(config.positive("rms_norm_eps"));
  spec.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  spec.layers.resize(config.count("num_hidden_layers", 1, kLayersMax));
  config.choice_or("hidden_act", "silu", {"silu", "swish"});
}

void read_grouped_attention(const ConfigReader& config, const GroupedDefaults& defaults, ModelSpec& spec) {
  spec.attention = AttentionKind::kGrouped;
  spec.head_count = config.count("num_attention_heads", 1, kHeadsMax);
  spec.kv_head_count = config.count_or("num_key_value_heads", spec.head_count, 1, kHeadsMax);
  if (spec.head_count != 0 && spec.kv_head_count != 0 && spec.head_count % spec.kv_head_count != 0) {
    config.problem("num_key_value_heads",
                   fmt::format("{} does not divide num_attention_heads {}", spec.kv_head_count, spec.head_count));
  }
  if (config.has("head_dim")) {
    spec.head_dim = config.count("head_dim", 1, kHeadDimMax);
  } else if (defaults.head_dim != 0 && !config.is_null("head_dim")) {
    spec.head_dim = defaults.head_dim;
  } else if (spec.hidden != 0 && spec.head_count != 0) {
    if (spec.hidden % spec.head_count != 0) {
      config.problem("num_attention_heads", fmt::format("{} does not divide hidden_size {}, and head_dim is not given",
                                                        spec.head_count, spec.hidden));
    } else {
      spec.head_dim = spec.hidden / spec.head_count;
    }
  }
  if (spec.head_dim != 0) spec.softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim)));

  const RopeConfig rope = read_rope_config(config, defaults.rope, spec.max_position);
  const auto section = config.section({"rope_parameters", "rope_scaling"});
  double partial = config.positive_or("partial_rotary_factor", defaults.partial_rotary_factor);
  if (section) partial = section->positive_or("partial_rotary_factor", partial);
  if (partial > 1) config.problem("partial_rotary_factor", "must not be above 1");
  if (partial != 1 && defaults.partial_rotary_factor == 1) {
    config.problem("partial_rotary_factor", "is not part of this architecture");
  }
  kernels::RopeSpec layout;
  layout.rotary_dim = static_cast<uint32_t>(spec.head_dim * std::min(partial, 1.0));
  if (spec.head_dim == 0) return;
  if (layout.rotary_dim == 0 || layout.rotary_dim % 2 != 0) {
    config.problem(config.has("head_dim") ? "head_dim" : "hidden_size",
                   fmt::format("the rotary embedding turns pairs, but has {} channels of a head of {}",
                               layout.rotary_dim, spec.head_dim));
    return;
  }
  spec.rope = make_rope(rope, layout);
}

void read_latent_attention(const ConfigReader& config, bool interleaved, ModelSpec& spec) {
  spec.attention = AttentionKind::kLatent;
  spec.head_count = config.count("num_attention_heads", 1, kHeadsMax);
  const uint32_t kv_heads = config.count_or("num_key_value_heads", spec.head_count, 1, kHeadsMax);
  if (spec.head_count != 0 && kv_heads != 0 && kv_heads != spec.head_count) {
    config.problem("num_key_value_heads",
                   fmt::format("{} differs from num_attention_heads {}", kv_heads, spec.head_count));
  }
  spec.q_lora_rank = config.count_or("q_lora_rank", 0, 0, kSideMax);
  spec.kv_lora_rank = config.count("kv_lora_rank", 1, kSideMax);
  spec.nope_dim = config.count("qk_nope_head_dim", 1, kHeadDimMax);
  spec.rope_dim = config.count("qk_rope_head_dim", 2, kHeadDimMax);
  spec.v_head_dim = config.count("v_head_dim", 1, kHeadDimMax);
  spec.head_dim = spec.nope_dim + spec.rope_dim;
  spec.qkv_bias = spec.o_bias = config.flag_or("attention_bias", false);

  const RopeConfig rope = read_rope_config(config, RopeConfig{}, spec.max_position);
  if (spec.nope_dim == 0 || spec.rope_dim == 0) return;
  if (spec.rope_dim % 2 != 0) {
    config.problem("qk_rope_head_dim",
                   fmt::format("the rotary embedding turns pairs, but has {} channels", spec.rope_dim));
    return;
  }
  kernels::RopeSpec layout;
  layout.rotary_dim = spec.rope_dim;
  layout.offset = spec.nope_dim;
  layout.interleaved = interleaved;
  spec.rope = make_rope(rope, layout);
  // DeepSeek's modeling code puts the square of YaRN's factor on the softmax scale: q and k would each carry it.
  double scale = 1.0 / std::sqrt(static_cast<double>(spec.head_dim));
  if (rope.kind == RopeConfig::Kind::kYarn && rope.mscale_all_dim > 0) {
    const double mscale = yarn_mscale(rope.factor, rope.mscale_all_dim);
    scale *= mscale * mscale;
  }
  spec.softmax_scale = static_cast<float>(scale);
}

bool read_layer_types(const ConfigReader& config, uint32_t window, ModelSpec& spec) {
  if (!config.has("layer_types")) return false;
  const auto types = config.texts("layer_types");
  if (types.size() != spec.layers.size()) {
    if (!spec.layers.empty() && !types.empty()) {
      config.problem("layer_types",
                     fmt::format("has {} entries, num_hidden_layers is {}", types.size(), spec.layers.size()));
    }
    return true;
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == "sliding_attention") {
      if (window == 0) {
        config.problem("layer_types", fmt::format("layer {} is sliding_attention, but there is no sliding_window", i));
        return true;
      }
      spec.layers[i].window = window;
    } else if (types[i] != "full_attention") {
      config.problem(
          "layer_types",
          fmt::format("layer {}: \"{}\" is not supported; supported: full_attention, sliding_attention", i, types[i]));
    }
  }
  return true;
}

void read_qwen_windows(const ConfigReader& config, QwenWindows which, ModelSpec& spec) {
  const bool used = config.flag_or("use_sliding_window", false);
  const uint32_t given = config.count_or("sliding_window", 0, 0, kPositionsMax);
  const uint32_t window = used ? given : 0;
  if (read_layer_types(config, window, spec) || window == 0) return;
  const uint32_t bound = config.count_or("max_window_layers", 28, 0, kLayersMax);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const bool slides = which == QwenWindows::kAll || (which == QwenWindows::kFromMaxWindowLayers && i >= bound) ||
                        (which == QwenWindows::kEvenBelowMaxWindowLayers && i % 2 == 0 && i < bound);
    if (slides) spec.layers[i].window = window;
  }
}

void read_experts(const ConfigReader& config, Key expert_count, Key expert_width, ModelSpec& spec) {
  spec.expert_count = config.count(expert_count, 1, kExpertsMax);
  spec.expert_width = config.count(expert_width, 1, kSideMax);
  spec.router.expert_count = spec.expert_count;
  spec.router.top_k = config.count({"num_experts_per_tok", "experts_per_token"}, 1, kExpertsMax);
  if (spec.expert_count != 0 && spec.router.top_k > spec.expert_count) {
    config.problem("num_experts_per_tok",
                   fmt::format("{} is more than the {} experts", spec.router.top_k, spec.expert_count));
  }
}

void read_groups(const ConfigReader& config, uint32_t best_of, uint32_t default_groups, uint32_t default_chosen,
                 ModelSpec& spec) {
  const uint32_t groups = config.count_or("n_group", default_groups, 1, kExpertsMax);
  const uint32_t chosen = config.count_or("topk_group", default_chosen, 1, kExpertsMax);
  if (groups == 0 || chosen == 0) return;
  spec.router.group_count = groups;
  spec.router.group_top_k = chosen;
  if (chosen > groups) config.problem("topk_group", fmt::format("{} is more than the {} groups", chosen, groups));
  if (spec.expert_count == 0) return;
  const uint32_t size = spec.expert_count / groups;
  if (spec.expert_count % groups != 0) {
    config.problem("n_group", fmt::format("{} does not divide the {} experts", groups, spec.expert_count));
  } else if (groups > 1 && size < best_of) {
    config.problem("n_group",
                   fmt::format("{} groups of {} experts: a group is scored by its best {}", groups, size, best_of));
  } else if (uint64_t{size} * chosen < spec.router.top_k) {
    config.problem("topk_group", fmt::format("{} groups have {} experts, num_experts_per_tok is {}", chosen,
                                             uint64_t{size} * chosen, spec.router.top_k));
  }
}

void read_first_dense(const ConfigReader& config, uint32_t default_first, ModelSpec& spec) {
  if (config.has("mlp_layer_types")) {
    const auto types = config.texts("mlp_layer_types");
    if (types.size() != spec.layers.size()) {
      config.problem("mlp_layer_types",
                     fmt::format("has {} entries, num_hidden_layers is {}", types.size(), spec.layers.size()));
      return;
    }
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i] != "sparse" && types[i] != "dense") {
        config.problem("mlp_layer_types",
                       fmt::format("layer {}: \"{}\" is not supported; supported: dense, sparse", i, types[i]));
      }
      spec.layers[i].experts = types[i] == "sparse";
    }
    return;
  }
  const uint32_t first = config.count_or("first_k_dense_replace", default_first, 0, kLayersMax);
  const uint32_t every = config.count_or("moe_layer_freq", 1, 1, kLayersMax);
  for (size_t i = first; every != 0 && i < spec.layers.size(); ++i) spec.layers[i].experts = i % every == 0;
}

void read_sparse_step(const ConfigReader& config, ModelSpec& spec) {
  const uint32_t step = config.count_or("decoder_sparse_step", 1, 1, kLayersMax);
  const auto dense = config.counts("mlp_only_layers");
  for (size_t i = 0; step != 0 && i < spec.layers.size(); ++i) {
    spec.layers[i].experts = (i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end();
  }
}

void read_dense_width(const ConfigReader& config, ModelSpec& spec) {
  const bool all_experts = !spec.layers.empty() && std::all_of(spec.layers.begin(), spec.layers.end(),
                                                               [](const LayerSpec& layer) { return layer.experts; });
  spec.dense_width = all_experts ? 0 : config.count("intermediate_size", 1, kSideMax);
}

void read_prediction_layers(const ConfigReader& config, ModelSpec& spec) {
  spec.prediction_layer_count = config.count_or({"num_nextn_predict_layers", "num_mtp_layers"}, 1, 0, kLayersMax);
}

void read_shared_experts(const ConfigReader& config, ModelSpec& spec) {
  const uint32_t count = config.count_or("n_shared_experts", 0, 0, kExpertsMax);
  const uint64_t width = uint64_t{count} * spec.expert_width;
  if (width > kSideMax)
    config.problem("n_shared_experts", fmt::format("{} of width {} are too wide", count, spec.expert_width));
  spec.shared_width = width > kSideMax ? 0 : static_cast<uint32_t>(width);
}

namespace {

void resolve_grouped(const ModelSpec& spec, TensorSource& source, const std::string& attn, LayerTensors& layer) {
  const uint32_t q_rows = spec.head_count * spec.head_dim, kv_rows = spec.kv_head_count * spec.head_dim;
  layer.q = source.linear(attn + "q_proj.weight", q_rows, spec.hidden);
  layer.k = source.linear(attn + "k_proj.weight", kv_rows, spec.hidden);
  layer.v = source.linear(attn + "v_proj.weight", kv_rows, spec.hidden);
  layer.o = source.linear(attn + "o_proj.weight", spec.hidden, q_rows);
  if (spec.qkv_bias) {
    layer.q_bias = source.vector(attn + "q_proj.bias", q_rows);
    layer.k_bias = source.vector(attn + "k_proj.bias", kv_rows);
    layer.v_bias = source.vector(attn + "v_proj.bias", kv_rows);
  }
  if (spec.o_bias) layer.o_bias = source.vector(attn + "o_proj.bias", spec.hidden);
  if (spec.qk_norm) {
    layer.q_norm = source.vector(attn + "q_norm.weight", spec.head_dim);
    layer.k_norm = source.vector(attn + "k_norm.weight", spec.head_dim);
  }
  if (spec.sinks) layer.sinks = source.vector(attn + "sinks", spec.head_count);
}

void resolve_latent(const ModelSpec& spec, TensorSource& source, const std::string& attn, LayerTensors& layer) {
  const uint32_t q_rows = spec.head_count * spec.head_dim;
  if (spec.q_lora_rank == 0) {
    layer.q = source.linear(attn + "q_proj.weight", q_rows, spec.hidden);
  } else {
    layer.q_a = source.linear(attn + "q_a_proj.weight", spec.q_lora_rank, spec.hidden);
    if (spec.qkv_bias) layer.q_a_bias = source.vector(attn + "q_a_proj.bias", spec.q_lora_rank);
    layer.q_a_norm = source.vector(attn + "q_a_layernorm.weight", spec.q_lora_rank);
    layer.q_b = source.linear(attn + "q_b_proj.weight", q_rows, spec.q_lora_rank);
  }
  layer.kv_a = source.linear(attn + "kv_a_proj_with_mqa.weight", spec.kv_lora_rank + spec.rope_dim, spec.hidden);
  if (spec.qkv_bias)
    layer.kv_a_bias = source.vector(attn + "kv_a_proj_with_mqa.bias", spec.kv_lora_rank + spec.rope_dim);
  layer.kv_a_norm = source.vector(attn + "kv_a_layernorm.weight", spec.kv_lora_rank);
  layer.kv_b =
      source.linear(attn + "kv_b_proj.weight", spec.head_count * (spec.nope_dim + spec.v_head_dim), spec.kv_lora_rank);
  layer.o = source.linear(attn + "o_proj.weight", spec.hidden, spec.head_count * spec.v_head_dim);
  if (spec.o_bias) layer.o_bias = source.vector(attn + "o_proj.bias", spec.hidden);
}

}  // namespace

void resolve_trunk(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors) {
  tensors.embed = source.matrix("model.embed_tokens.weight", spec.vocab_size, spec.hidden);
  tensors.final_norm = source.vector("model.norm.weight", spec.hidden);
  if (!spec.tied_embeddings) {
    tensors.lm_head = source.linear("lm_head.weight", spec.vocab_size, spec.hidden);
  } else {
    // Some writers store the embedding twice.
    if (source.exists("lm_head.weight")) source.matrix("lm_head.weight", spec.vocab_size, spec.hidden);
    tensors.lm_head = tensors.embed;
  }
  tensors.layers.resize(spec.layers.size());
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerTensors& layer = tensors.layers[i];
    const std::string prefix = fmt::format("model.layers.{}.", i);
    layer.input_norm = source.vector(prefix + "input_layernorm.weight", spec.hidden);
    layer.post_attention_norm = source.vector(prefix + "post_attention_layernorm.weight", spec.hidden);
    const auto resolve = spec.attention == AttentionKind::kGrouped ? resolve_grouped : resolve_latent;
    resolve(spec, source, prefix + "self_attn.", layer);
  }
}

MlpTensors resolve_mlp(TensorSource& source, const std::string& name, uint32_t hidden, uint32_t width, bool bias,
                       const ExpertNames& names) {
  MlpTensors mlp;
  mlp.gate = source.linear(fmt::format("{}.{}.weight", name, names.gate), width, hidden);
  mlp.up = source.linear(fmt::format("{}.{}.weight", name, names.up), width, hidden);
  mlp.down = source.linear(fmt::format("{}.{}.weight", name, names.down), hidden, width);
  if (bias) {
    mlp.gate_bias = source.vector(fmt::format("{}.{}.bias", name, names.gate), width);
    mlp.up_bias = source.vector(fmt::format("{}.{}.bias", name, names.up), width);
    mlp.down_bias = source.vector(fmt::format("{}.{}.bias", name, names.down), hidden);
  }
  return mlp;
}

void resolve_standard(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors, const ExpertNames& names) {
  resolve_trunk(spec, source, tensors);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerTensors& layer = tensors.layers[i];
    const std::string prefix = fmt::format("model.layers.{}.", i);
    if (!spec.layers[i].experts) {
      layer.dense = resolve_mlp(source, prefix + "mlp", spec.hidden, spec.dense_width, spec.mlp_bias, ExpertNames{});
      continue;
    }
    const std::string router = prefix + names.router;
    layer.router = source.matrix(router + ".weight", spec.expert_count, spec.hidden);
    if (spec.correction_bias)
      layer.correction_bias = source.vector(router + ".e_score_correction_bias", spec.expert_count);
    for (uint32_t e = 0; e < spec.expert_count; ++e) {
      layer.experts.push_back(resolve_mlp(source, fmt::format("{}{}.{}", prefix, names.experts, e), spec.hidden,
                                          spec.expert_width, false, names));
    }
    if (spec.shared_width != 0)
      layer.shared = resolve_mlp(source, prefix + names.shared, spec.hidden, spec.shared_width, false, names);
    if (spec.shared_gate) layer.shared_gate = source.matrix(prefix + "mlp.shared_expert_gate.weight", 1, spec.hidden);
  }
}

void resolve_usual(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors) {
  resolve_standard(spec, source, tensors, ExpertNames{});
}

}  // namespace switchyard::checkpoint
