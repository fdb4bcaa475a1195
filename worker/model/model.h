// The one model graph: every architecture is a ModelSpec, every device an op table.
//
// A forward pass takes the rows of one step of this rank (any mix of sequences and chunk sizes, also none) through all
// layers, in lockstep with the group's other ranks at every expert layer. A row's result depends on its own sequence,
// the weights and nothing else.
//
// Thread: the engine thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/model_spec.h"
#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"
#include "worker/exchange/exchange.h"
#include "worker/model/device_array.h"
#include "worker/model/weights.h"

namespace switchyard::worker {

// Layers of one window share block tables; see worker/scheduler/kv_cache.h.
struct KvGrouping {
  std::vector<uint32_t> windows;         // of each group; 0 = full attention
  std::vector<uint32_t> group_of_layer;  // (layers)
  static KvGrouping of(const checkpoint::ModelSpec& spec);
};

// The KV cache's type for `kv_cache_dtype` (a name of kernels::kKvTypeNames, or auto); nothing for another name.
std::optional<kernels::KvType> kv_type_of(const std::string& kv_cache_dtype, bool float32_model);

// How one layer's KV is kept for a spec and type.
kernels::KvLayout kv_layout(const checkpoint::ModelSpec& spec, kernels::KvType type, uint32_t block_tokens);

// What a model's expert layers exchange; rows_max: of one rank in one step.
ExchangeShape exchange_shape(const checkpoint::ModelSpec& spec, const WeightForms& forms, const kernels::OpTable& ops,
                             uint32_t rows_max);

// The KV blocks of all layers of this rank.
class KvMemory {
 public:
  // block_counts: blocks of each group.
  static Result<KvMemory> allocate(const checkpoint::ModelSpec& spec, const kernels::KvLayout& layout,
                                   const KvGrouping& grouping, const std::vector<uint32_t>& block_counts,
                                   const kernels::OpTable& ops);
  std::byte* layer(size_t index) const { return memory_.data() + offsets_[index]; }
  const kernels::KvLayout& layout() const { return layout_; }
  size_t bytes() const { return memory_.size(); }

 private:
  kernels::KvLayout layout_;
  MemoryRegion memory_;
  std::vector<size_t> offsets_;
};

// The rows of one step, grouped by sequence.
struct StepBatch {
  std::vector<int32_t> ids;         // (rows)
  std::vector<uint32_t> positions;  // (rows)
  std::vector<std::vector<kernels::SequenceRows>>
      sequences;  // per KV group, the same rows with that group's block tables
};

// Watches a forward pass: tests compare layers, the engine counts loads.
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  // Expert layer `index` (counted among expert layers): ids and weights (rows, top_k).
  virtual void on_route(uint32_t index, const int32_t* ids, const float* weights, uint32_t rows, uint32_t top_k) = 0;
  // "embed", "input_norm", "attention", "post_attention_norm", "mlp", "output", "final_norm": values (rows, hidden).
  virtual void on_values(const char* what, uint32_t layer, const float* values, uint32_t rows) = 0;
};

class Model {
 public:
  // placement: one entry an expert layer. max_position: positions the rope table covers.
  Model(const checkpoint::ModelSpec& spec, const ModelWeights& weights, const std::vector<LayerPlacement>& placement,
        const kernels::OpTable& ops, kernels::ThreadPool& pool, Exchange& exchange, const KvMemory& kv,
        const KvGrouping& grouping, uint32_t max_position);

  // With other ranks or another placement from now on; the weights must host this rank's experts of it.
  void regroup(Exchange& exchange, std::vector<LayerPlacement> placement);

  // Fails only when the exchange does; what of the KV cache has been written by then is what a second try writes.
  Status forward(const StepBatch& batch, ForwardObserver* observer = nullptr);

  // Rows of the last forward pass after the final norm: (rows.size(), hidden) float32, valid until the next call.
  const float* hidden_states(std::span<const uint32_t> rows, ForwardObserver* observer = nullptr);
  // Logits of such rows: (rows.size(), vocab) float32, valid until the next call.
  const float* logits(std::span<const uint32_t> rows, ForwardObserver* observer = nullptr);

 private:
  void grouped_attention(size_t layer, const StepBatch& batch);
  void latent_attention(size_t layer, const StepBatch& batch);
  float* normed(std::span<const uint32_t> rows, ForwardObserver* observer);
  Status expert_mlp(size_t layer, uint32_t rows, ForwardObserver* observer);
  // Encodes (rows, k) for GEMMs of `form`.
  const void* encode(const float* x, size_t stride, uint32_t rows, uint32_t k, kernels::WeightForm form,
                     DeviceArray<std::byte>& buffer);
  // The received rows through this rank's experts.
  void run_experts(const LayerWeights& weights, const ReceivedRows& received);
  // The answers where ops can read them.
  const float* const* on_device(const float* const* answers, size_t count);
  kernels::AttentionSpec attention_spec(size_t layer) const;

  const checkpoint::ModelSpec& spec_;
  const ModelWeights& weights_;
  std::vector<LayerPlacement> placement_;
  std::vector<uint32_t> expert_layer_;  // (layers): index among expert layers
  const kernels::OpTable& ops_;
  kernels::ThreadPool& pool_;
  Exchange* exchange_;
  const KvMemory& kv_;
  KvGrouping grouping_;
  DeviceArray<float> cos_sin_{ops_};  // (max_position, rotary_dim)

  DeviceArray<float> hidden_{ops_}, norm_{ops_}, delta_{ops_}, qkv_{ops_}, q_{ops_}, q_absorbed_{ops_}, latent_{ops_},
      attended_{ops_}, values_{ops_}, router_logits_{ops_}, shared_{ops_}, gate_{ops_}, logit_hidden_{ops_},
      logits_{ops_};
  DeviceArray<std::byte> encoded_{ops_}, router_encoded_{ops_}, attention_encoded_{ops_};
  // Where the exchange's memory is not the device's: what was received, the answers to it, the answers from the others.
  DeviceArray<std::byte> received_{ops_};
  DeviceArray<float> answers_{ops_}, home_{ops_};
  std::vector<const float*> home_rows_;
  std::vector<int32_t> expert_ids_;
  std::vector<float> expert_weights_;
};

}  // namespace switchyard::worker
