#include "worker/model/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace switchyard::worker {

using checkpoint::AttentionKind;
using checkpoint::ModelSpec;
using kernels::WeightForm;

KvGrouping KvGrouping::of(const ModelSpec& spec) {
  KvGrouping grouping;
  for (const auto& layer : spec.layers) {
    const auto found = std::find(grouping.windows.begin(), grouping.windows.end(), layer.window);
    grouping.group_of_layer.push_back(static_cast<uint32_t>(found - grouping.windows.begin()));
    if (found == grouping.windows.end()) grouping.windows.push_back(layer.window);
  }
  return grouping;
}

std::optional<kernels::KvType> kv_type_of(const std::string& kv_cache_dtype, bool float32_model) {
  if (kv_cache_dtype == "auto") return float32_model ? kernels::KvType::kFloat32 : kernels::KvType::kBfloat16;
  const auto* found = std::find(std::begin(kernels::kKvTypeNames), std::end(kernels::kKvTypeNames), kv_cache_dtype);
  if (found == std::end(kernels::kKvTypeNames)) return std::nullopt;
  return static_cast<kernels::KvType>(found - std::begin(kernels::kKvTypeNames));
}

kernels::KvLayout kv_layout(const ModelSpec& spec, kernels::KvType type, uint32_t block_tokens) {
  if (spec.attention == AttentionKind::kLatent) {
    return {type, 1, spec.kv_lora_rank + spec.rope_dim, spec.kv_lora_rank, true, block_tokens};
  }
  return {type, spec.kv_head_count, spec.head_dim, spec.head_dim, false, block_tokens};
}

ExchangeShape exchange_shape(const ModelSpec& spec, const WeightForms& forms, const kernels::OpTable& ops,
                             uint32_t rows_max) {
  return {rows_max, spec.expert_count, spec.expert_count == 0 ? 0 : spec.router.top_k,
          ops.encoded_row_bytes(forms.dense, spec.hidden), spec.hidden};
}

Result<KvMemory> KvMemory::allocate(const ModelSpec& spec, const kernels::KvLayout& layout, const KvGrouping& grouping,
                                    const std::vector<uint32_t>& block_counts, const kernels::OpTable& ops) {
  KvMemory memory;
  memory.layout_ = layout;
  const size_t block_bytes = ops.kv_block_bytes(layout);
  size_t total = 0;
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    memory.offsets_.push_back(total);
    total += (block_bytes * block_counts[grouping.group_of_layer[l]] + 63) / 64 * 64;
  }
  SWITCHYARD_ASSIGN(memory.memory_, MemoryRegion::allocate(ops, total, "the KV cache"));
  return memory;
}

Model::Model(const ModelSpec& spec, const ModelWeights& weights, const std::vector<LayerPlacement>& placement,
             const kernels::OpTable& ops, kernels::ThreadPool& pool, Exchange& exchange, const KvMemory& kv,
             const KvGrouping& grouping, uint32_t max_position)
    : spec_(spec),
      weights_(weights),
      placement_(placement),
      ops_(ops),
      pool_(pool),
      exchange_(&exchange),
      kv_(kv),
      grouping_(grouping) {
  uint32_t experts = 0;
  for (const auto& layer : spec.layers) expert_layer_.push_back(layer.experts ? experts++ : 0);

  // The angle is a float32 product, as the reference implementations compute it: at large positions its rounding is
  // visible.
  const uint32_t dim = spec.rope.layout.rotary_dim;
  float* table = cos_sin_.reserve(size_t{max_position} * dim);
  for (uint32_t position = 0; position < max_position; ++position) {
    float* row = table + size_t{position} * dim;
    for (uint32_t pair = 0; pair < dim / 2; ++pair) {
      const double angle = static_cast<float>(position) * spec.rope.inverse_frequency[pair];
      row[pair] = static_cast<float>(std::cos(angle)) * spec.rope.magnitude;
      row[dim / 2 + pair] = static_cast<float>(std::sin(angle)) * spec.rope.magnitude;
    }
  }
}

void Model::regroup(Exchange& exchange, std::vector<LayerPlacement> placement) {
  exchange_ = &exchange;
  placement_ = std::move(placement);
}

const void* Model::encode(const float* x, size_t stride, uint32_t rows, uint32_t k, WeightForm form,
                          DeviceArray<std::byte>& buffer) {
  const size_t row_bytes = ops_.encoded_row_bytes(form, k);
  std::byte* out = buffer.reserve(std::max<size_t>(row_bytes * rows, 64));
  ops_.encode_rows(pool_, form, x, stride, rows, k, out);
  return out;
}

kernels::AttentionSpec Model::attention_spec(size_t layer) const {
  return {spec_.head_count, spec_.softmax_scale, spec_.layers[layer].window, weights_.layers[layer].sinks};
}

// norm_ -> delta_ (rows, hidden).
void Model::grouped_attention(size_t layer, const StepBatch& batch) {
  const LayerWeights& w = weights_.layers[layer];
  const auto rows = static_cast<uint32_t>(batch.ids.size());
  const uint32_t d = spec_.head_dim;
  const uint32_t q_width = spec_.head_count * d;
  const uint32_t kv_width = spec_.kv_head_count * d;
  const uint32_t width = q_width + 2 * kv_width;

  float* qkv = qkv_.reserve(size_t{rows} * width);
  ops_.gemm(pool_, encode(norm_.data(), spec_.hidden, rows, spec_.hidden, weights_.forms.dense, encoded_), rows, w.qkv,
            qkv, width);
  float* q = qkv;
  float* k = qkv + q_width;
  float* v = k + kv_width;
  if (spec_.qk_norm) {
    for (uint32_t h = 0; h < spec_.head_count; ++h) {
      ops_.rms_norm(pool_, q + h * d, width, rows, d, w.q_norm, spec_.norm_eps, q + h * d, width);
    }
    for (uint32_t h = 0; h < spec_.kv_head_count; ++h) {
      ops_.rms_norm(pool_, k + h * d, width, rows, d, w.k_norm, spec_.norm_eps, k + h * d, width);
    }
  }
  ops_.rope(pool_, spec_.rope.layout, cos_sin_.data(), batch.positions.data(), q, width, rows, spec_.head_count, d);
  ops_.rope(pool_, spec_.rope.layout, cos_sin_.data(), batch.positions.data(), k, width, rows, spec_.kv_head_count, d);

  const auto& sequences = batch.sequences[grouping_.group_of_layer[layer]];
  const auto sequence_count = static_cast<uint32_t>(sequences.size());
  ops_.kv_write(pool_, kv_.layout(), sequences.data(), sequence_count, k, width, v, width, kv_.layer(layer));
  float* attended = attended_.reserve(size_t{rows} * q_width);
  ops_.attention(pool_, kv_.layout(), attention_spec(layer), sequences.data(), sequence_count, q, width,
                 kv_.layer(layer), attended);
  ops_.gemm(pool_, encode(attended, q_width, rows, q_width, weights_.forms.dense, attention_encoded_), rows, w.o,
            delta_.data(), spec_.hidden);
}

// MLA in its absorbed form: queries go into the latent space, attention runs over the cached latents, values come out
// per head. One form for every token, so that a token's bits do not depend on its role.
void Model::latent_attention(size_t layer, const StepBatch& batch) {
  const LayerWeights& w = weights_.layers[layer];
  const auto rows = static_cast<uint32_t>(batch.ids.size());
  const uint32_t heads = spec_.head_count;
  const uint32_t nope = spec_.nope_dim;
  const uint32_t rope = spec_.rope_dim;
  const uint32_t lora = spec_.kv_lora_rank;
  const uint32_t q_head = nope + rope;
  const uint32_t q_width = heads * q_head;
  const uint32_t latent_width = lora + rope;

  const void* x = encode(norm_.data(), spec_.hidden, rows, spec_.hidden, weights_.forms.dense, encoded_);
  float* q = q_.reserve(size_t{rows} * q_width);
  float* latent = latent_.reserve(size_t{rows} * latent_width);
  ops_.gemm(pool_, x, rows, w.kv_a, latent, latent_width);
  if (spec_.q_lora_rank != 0) {
    float* q_a = qkv_.reserve(size_t{rows} * spec_.q_lora_rank);
    ops_.gemm(pool_, x, rows, w.q_a, q_a, spec_.q_lora_rank);
    ops_.rms_norm(pool_, q_a, spec_.q_lora_rank, rows, spec_.q_lora_rank, w.q_a_norm, spec_.latent_norm_eps, q_a,
                  spec_.q_lora_rank);
    x = encode(q_a, spec_.q_lora_rank, rows, spec_.q_lora_rank, weights_.forms.dense, attention_encoded_);
  }
  ops_.gemm(pool_, x, rows, w.q_b, q, q_width);

  kernels::RopeSpec q_rope = spec_.rope.layout;
  q_rope.offset = nope;
  kernels::RopeSpec k_rope = spec_.rope.layout;
  k_rope.offset = lora;
  ops_.rope(pool_, q_rope, cos_sin_.data(), batch.positions.data(), q, q_width, rows, heads, q_head);
  ops_.rope(pool_, k_rope, cos_sin_.data(), batch.positions.data(), latent, latent_width, rows, 1, latent_width);
  ops_.rms_norm(pool_, latent, latent_width, rows, lora, w.kv_a_norm, spec_.latent_norm_eps, latent, latent_width);

  const size_t absorbed_width = size_t{heads} * latent_width;
  float* absorbed = q_absorbed_.reserve(rows * absorbed_width);
  ops_.gemm_heads(pool_, q, q_width, q_head, rows, w.key_up.data(), heads, absorbed, absorbed_width, latent_width);
  ops_.copy(pool_, q + nope, q_width, q_head, rows, heads, rope, absorbed + lora, absorbed_width, latent_width);

  const auto& sequences = batch.sequences[grouping_.group_of_layer[layer]];
  const auto sequence_count = static_cast<uint32_t>(sequences.size());
  ops_.kv_write(pool_, kv_.layout(), sequences.data(), sequence_count, latent, latent_width, nullptr, 0,
                kv_.layer(layer));
  float* attended = attended_.reserve(size_t{rows} * heads * lora);
  ops_.attention(pool_, kv_.layout(), attention_spec(layer), sequences.data(), sequence_count, absorbed, absorbed_width,
                 kv_.layer(layer), attended);
  const uint32_t v_width = heads * spec_.v_head_dim;
  float* values = values_.reserve(size_t{rows} * v_width);
  ops_.gemm_heads(pool_, attended, size_t{heads} * lora, lora, rows, w.value_up.data(), heads, values, v_width,
                  spec_.v_head_dim);
  ops_.gemm(pool_, encode(values, v_width, rows, v_width, weights_.forms.dense, attention_encoded_), rows, w.o,
            delta_.data(), spec_.hidden);
}

void Model::run_experts(const LayerWeights& weights, const ReceivedRows& received) {
  if (received.row_count == 0) return;
  const void* rows = received.rows;
  float* answers = received.answers;
  const size_t count = size_t{received.row_count} * spec_.hidden;
  if (!ops_.is_host) {
    const size_t bytes = received.row_count * ops_.encoded_row_bytes(weights_.forms.dense, spec_.hidden);
    rows = std::memcpy(received_.reserve(bytes), received.rows, bytes);
    answers = answers_.reserve(count);
  }
  ops_.grouped_mlp(pool_, rows, received.slot_offsets.data(), weights.experts.data(),
                   static_cast<uint32_t>(weights.experts.size()), spec_.activation, answers);
  ops_.finish();
  if (!ops_.is_host) std::memcpy(received.answers, answers, count * sizeof(float));
}

const float* const* Model::on_device(const float* const* answers, size_t count) {
  if (ops_.is_host) return answers;
  const size_t hidden = spec_.hidden;
  float* home = home_.reserve(count * hidden);
  home_rows_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(home + i * hidden, answers[i], hidden * sizeof(float));
    home_rows_[i] = home + i * hidden;
  }
  return home_rows_.data();
}

// norm_ -> delta_. Collective: also with no rows of its own a rank serves the others' rows.
Status Model::expert_mlp(size_t layer, uint32_t rows, ForwardObserver* observer) {
  const LayerWeights& w = weights_.layers[layer];
  const uint32_t hidden = spec_.hidden;
  const uint32_t top_k = spec_.router.top_k;
  expert_ids_.resize(size_t{rows} * top_k);
  expert_weights_.resize(size_t{rows} * top_k);

  const void* x = encoded_.reserve(64);
  if (rows != 0) {
    x = encode(norm_.data(), hidden, rows, hidden, weights_.forms.dense, encoded_);
    // The router runs in float32 whatever the dtype.
    const void* router_x = weights_.forms.dense == WeightForm::kFloat32
                               ? x
                               : encode(norm_.data(), hidden, rows, hidden, WeightForm::kFloat32, router_encoded_);
    float* logits = router_logits_.reserve(size_t{rows} * spec_.expert_count);
    ops_.gemm(pool_, router_x, rows, w.router, logits, spec_.expert_count);
    ops_.route(pool_, spec_.router, logits, w.correction_bias, rows, expert_ids_.data(), expert_weights_.data());
    if (spec_.shared_gate) ops_.gemm(pool_, router_x, rows, w.shared_gate, gate_.reserve(rows), 1);
    if (observer != nullptr)
      observer->on_route(expert_layer_[layer], expert_ids_.data(), expert_weights_.data(), rows, top_k);
  }

  ops_.finish();  // the exchange reads the rows
  SWITCHYARD_ASSIGN(const ReceivedRows received,
                    exchange_->dispatch(placement_[expert_layer_[layer]], x, rows, expert_ids_.data()));
  run_experts(w, received);
  SWITCHYARD_ASSIGN(const float* const* answers, exchange_->combine());
  if (rows == 0) return {};

  std::memset(delta_.data(), 0, size_t{rows} * hidden * sizeof(float));
  ops_.combine(pool_, on_device(answers, size_t{rows} * top_k), expert_weights_.data(), rows, top_k, hidden,
               delta_.data());
  if (spec_.shared_width != 0) {
    const uint32_t offsets[2] = {0, rows};
    float* shared = shared_.reserve(size_t{rows} * hidden);
    ops_.grouped_mlp(pool_, x, offsets, &w.shared, 1, spec_.activation, shared);
    if (spec_.shared_gate) {
      ops_.add_gated(pool_, delta_.data(), shared, gate_.data(), rows, hidden);
    } else {
      ops_.add(pool_, delta_.data(), shared, size_t{rows} * hidden);
    }
  }
  return {};
}

Status Model::forward(const StepBatch& batch, ForwardObserver* observer) {
  const auto rows = static_cast<uint32_t>(batch.ids.size());
  const uint32_t hidden = spec_.hidden;
  const size_t values = std::max<size_t>(size_t{rows} * hidden, 16);
  float* h = hidden_.reserve(values);
  float* norm = norm_.reserve(values);
  float* delta = delta_.reserve(values);
  const auto watch = [&](const char* what, size_t layer, const float* x) {
    if (observer == nullptr) return;
    ops_.finish();
    observer->on_values(what, static_cast<uint32_t>(layer), x, rows);
  };

  if (rows != 0) ops_.embed(pool_, weights_.embedding, batch.ids.data(), rows, h);
  watch("embed", 0, h);
  for (size_t l = 0; l < spec_.layers.size(); ++l) {
    const LayerWeights& w = weights_.layers[l];
    if (rows != 0) {
      ops_.rms_norm(pool_, h, hidden, rows, hidden, w.input_norm, spec_.norm_eps, norm, hidden);
      watch("input_norm", l, norm);
      if (spec_.attention == AttentionKind::kLatent) {
        latent_attention(l, batch);
      } else {
        grouped_attention(l, batch);
      }
      watch("attention", l, delta);
      ops_.add(pool_, h, delta, size_t{rows} * hidden);
      ops_.rms_norm(pool_, h, hidden, rows, hidden, w.post_attention_norm, spec_.norm_eps, norm, hidden);
      watch("post_attention_norm", l, norm);
    }
    if (spec_.layers[l].experts) {
      SWITCHYARD_TRY(expert_mlp(l, rows, observer));
    } else if (rows != 0) {
      const uint32_t offsets[2] = {0, rows};
      const void* x = encode(norm, hidden, rows, hidden, weights_.forms.dense, encoded_);
      ops_.grouped_mlp(pool_, x, offsets, &w.dense, 1, spec_.activation, delta);
    }
    if (rows != 0) {
      watch("mlp", l, delta);
      ops_.add(pool_, h, delta, size_t{rows} * hidden);
      watch("output", l, h);
    }
  }
  return {};
}

// Rows of hidden_ after the final norm, in logit_hidden_.
float* Model::normed(std::span<const uint32_t> rows, ForwardObserver* observer) {
  const auto count = static_cast<uint32_t>(rows.size());
  const uint32_t hidden = spec_.hidden;
  float* gathered = logit_hidden_.reserve(std::max<size_t>(size_t{count} * hidden, 16));
  for (uint32_t i = 0; i < count; ++i) {
    ops_.copy(pool_, hidden_.data() + size_t{rows[i]} * hidden, hidden, hidden, 1, 1, hidden,
              gathered + size_t{i} * hidden, hidden, hidden);
  }
  ops_.rms_norm(pool_, gathered, hidden, count, hidden, weights_.final_norm, spec_.norm_eps, gathered, hidden);
  if (observer != nullptr) {
    ops_.finish();
    observer->on_values("final_norm", 0, gathered, count);
  }
  return gathered;
}

const float* Model::hidden_states(std::span<const uint32_t> rows, ForwardObserver* observer) {
  const float* states = normed(rows, observer);
  ops_.finish();
  return states;
}

const float* Model::logits(std::span<const uint32_t> rows, ForwardObserver* observer) {
  const auto count = static_cast<uint32_t>(rows.size());
  const uint32_t hidden = spec_.hidden;
  const float* gathered = normed(rows, observer);
  float* logits = logits_.reserve(std::max<size_t>(size_t{count} * spec_.vocab_size, 16));
  if (count != 0) {
    ops_.gemm(pool_, encode(gathered, hidden, count, hidden, weights_.forms.dense, encoded_), count, weights_.lm_head,
              logits, spec_.vocab_size);
  }
  ops_.finish();
  return logits;
}

}  // namespace switchyard::worker
