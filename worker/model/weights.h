// The weights that one rank holds, packed for its op table: everything replicated, and its own experts.
//
// Thread: load() uses the given pool's threads; afterwards read-only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mapped_files.h"
#include "common/base/result.h"
#include "common/checkpoint/checkpoint.h"
#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"
#include "worker/exchange/exchange.h"

namespace switchyard::worker {

// Memory of an op table's device, zeroed; or a mapped file.
class MemoryRegion {
 public:
  MemoryRegion() = default;
  static Result<MemoryRegion> allocate(const kernels::OpTable& ops, size_t bytes, const char* what);
  // Of a file, up to its end, read-only and shared with other processes; offset in whole pages. path: for messages.
  static Result<MemoryRegion> map(int file, size_t offset, size_t bytes, const std::string& path);
  ~MemoryRegion();
  MemoryRegion(MemoryRegion&& other) noexcept;
  MemoryRegion& operator=(MemoryRegion&& other) noexcept;
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  const kernels::OpTable* ops_ = nullptr;  // null: a mapped file
  MappedName name_;                        // of such a one
};

struct LayerWeights {
  const float* input_norm = nullptr;           // (hidden)
  const float* post_attention_norm = nullptr;  // (hidden)

  // Grouped attention: q, k and v as one matrix, rows q | k | v.
  kernels::PackedMatrix qkv;
  const float* q_norm = nullptr;  // (head_dim) or null
  const float* k_norm = nullptr;
  const float* sinks = nullptr;  // (heads) or null

  // Latent attention (MLA), absorbed: key_up[h] maps a query's nope part into the latent (kv_lora, nope); value_up[h]
  // maps an attended latent to values (v_head_dim, kv_lora). Both are parts of kv_b_proj.
  kernels::PackedMatrix q_a, q_b, kv_a;  // q_b is the whole q_proj when there is no query LoRA
  const float* q_a_norm = nullptr;
  const float* kv_a_norm = nullptr;
  std::vector<kernels::PackedMatrix> key_up, value_up;  // (heads)

  kernels::PackedMatrix o;

  kernels::MlpWeights dense;                 // layers without experts
  kernels::PackedMatrix router;              // float32 in every dtype
  const float* correction_bias = nullptr;    // (experts) or null
  std::vector<kernels::MlpWeights> experts;  // (this rank's slots of the layer)
  kernels::MlpWeights shared;                // width 0 when there is none
  kernels::PackedMatrix shared_gate;         // (1, hidden), float32
};

// How a model's matrices are kept; routers are float32 always. Both forms take the same encoded rows.
struct WeightForms {
  kernels::WeightForm dense = kernels::WeightForm::kFloat32;    // attention, dense and shared MLPs, embedding, LM head
  kernels::WeightForm experts = kernels::WeightForm::kFloat32;  // routed experts

  // All in one form; int4 for experts alone, with the rest in int8.
  static WeightForms of(kernels::WeightForm form);
};

class PackedCache;

struct LoadProgress {
  std::atomic<uint64_t> bytes_done{0};  // of packed weights
  std::atomic<uint64_t> bytes_total{0};
  std::atomic<bool> cancelled{false};  // set by another thread: load() returns early with kUnavailable
};

class ModelWeights {
 public:
  // placement: one entry an expert layer, in order. cache, if any: mapped from it, or packed and then saved to it.
  static Result<std::unique_ptr<ModelWeights>> load(const checkpoint::Checkpoint& checkpoint, WeightForms forms,
                                                    const std::vector<LayerPlacement>& placement, uint32_t rank,
                                                    const kernels::OpTable& ops, kernels::ThreadPool& pool,
                                                    LoadProgress* progress, const PackedCache* cache = nullptr);

  // Makes the layers' experts those that the rank has in another placement. What it holds already it keeps, also what
  // that placement gives to others: a rank that takes over for a lost one for the second time reads nothing. On an
  // error the layers are as they were.
  Status host(const checkpoint::Checkpoint& checkpoint, const std::vector<LayerPlacement>& placement, uint32_t rank,
              const kernels::OpTable& ops, kernels::ThreadPool& pool, LoadProgress* progress);

  WeightForms forms;
  kernels::PackedMatrix embedding;  // (vocab, hidden); the LM head's memory where they are tied
  const float* final_norm = nullptr;
  kernels::PackedMatrix lm_head;
  std::vector<LayerWeights> layers;
  uint64_t bytes = 0;
  bool from_cache = false;
  std::string cache_refused;  // why the file that the cache had was not used
  std::string cache_error;    // why they could not be saved

 private:
  using HeldExperts = std::map<uint32_t, kernels::MlpWeights>;  // by expert id
  void arrange(const std::vector<LayerPlacement>& placement, uint32_t rank);

  std::vector<HeldExperts> held_;  // (expert layers)
  MemoryRegion memory_;
  std::vector<MemoryRegion> taken_over_;  // since
};

}  // namespace switchyard::worker
