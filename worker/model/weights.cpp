#include "worker/model/weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "common/base/out_of_memory.h"
#include "worker/model/packed_cache.h"

namespace switchyard::worker {

using checkpoint::AttentionKind;
using checkpoint::LayerTensors;
using checkpoint::MlpTensors;
using checkpoint::TensorView;
using kernels::MlpWeights;
using kernels::PackedMatrix;
using kernels::WeightForm;

Result<MemoryRegion> MemoryRegion::allocate(const kernels::OpTable& ops, size_t bytes, const char* what) {
  MemoryRegion region;
  if (bytes == 0) return region;
  void* data = ops.allocate(bytes);
  if (data == nullptr) {
    return Error{Errc::kUnavailable,
                 std::string("out of memory: cannot allocate ") + std::to_string(bytes >> 20) + " MiB for " + what};
  }
  region.data_ = static_cast<std::byte*>(data);
  region.size_ = bytes;
  region.ops_ = &ops;
  return region;
}

Result<MemoryRegion> MemoryRegion::map(int file, size_t offset, size_t bytes, const std::string& path) {
  MemoryRegion region;
  if (bytes == 0) return region;
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, static_cast<off_t>(offset));
  if (data == MAP_FAILED)
    return Error{Errc::kIo, path + ": cannot map " + std::to_string(bytes) + " bytes: " + std::strerror(errno)};
  madvise(data, bytes, MADV_WILLNEED);
  region.name_ = MappedName(data, bytes, path, offset + bytes);
  region.data_ = static_cast<std::byte*>(data);
  region.size_ = bytes;
  return region;
}

MemoryRegion::~MemoryRegion() {
  if (data_ == nullptr) return;
  if (ops_ != nullptr) {
    ops_->release(data_, size_);
  } else {
    munmap(data_, size_);
  }
}

MemoryRegion::MemoryRegion(MemoryRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      ops_(other.ops_),
      name_(std::move(other.name_)) {}

MemoryRegion& MemoryRegion::operator=(MemoryRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(ops_, other.ops_);
  std::swap(name_, other.name_);
  return *this;
}

namespace {

// Float values decoded by one packing job at most: bounds a thread's scratch to 4 MiB.
constexpr size_t kJobValues = size_t{1} << 20;

// Decodes rows [begin, end) of a matrix to float32.
using RowReader = std::function<void(uint32_t begin, uint32_t end, float* out)>;

// Lays all weights out in one region: first every part says what it needs (plan), then the region is allocated, then
// the jobs fill it.
class Loader {
 public:
  Loader(const kernels::OpTable& ops, WeightForms forms) : ops_(ops), forms_(forms) {}

  void vector(const TensorView& view, const float** target) {
    if (!view.present()) return;
    const uint32_t count = view.columns * view.rows;
    const size_t at = take(count * sizeof(float));
    placements_.push_back([target, at](std::byte* base) { *target = reinterpret_cast<const float*>(base + at); });
    jobs_.push_back({view.name.c_str(), count * sizeof(float), [&view, at](std::byte* base, float*) {
                       view.read(0, view.rows, reinterpret_cast<float*>(base + at));
                     }});
  }

  // name: of a tensor of the checkpoint, which outlives the loader. A matrix of given size whose rows come from `read`;
  // bias parts, when present, stand one after the other.
  void matrix(const std::string& name, WeightForm form, uint32_t n, uint32_t k, const RowReader& read,
              const std::vector<const TensorView*>& bias, PackedMatrix* target) {
    const size_t bytes = ops_.packed_bytes(form, n, k);
    const size_t at = take(bytes);
    size_t bias_at = 0;
    bool has_bias = false;
    for (const TensorView* part : bias) has_bias |= part->present();
    if (has_bias) {
      bias_at = take(n * sizeof(float));
      size_t offset = bias_at;
      for (const TensorView* part : bias) {
        const size_t part_at = offset;
        offset += size_t{part->columns} * part->rows * sizeof(float);
        jobs_.push_back({part->name.c_str(), 0, [part, part_at](std::byte* base, float*) {
                           part->read(0, part->rows, reinterpret_cast<float*>(base + part_at));
                         }});
      }
      SWITCHYARD_CHECK(offset == bias_at + n * sizeof(float));
    }
    placements_.push_back([=](std::byte* base) {
      *target = {form, n, k, base + at, has_bias ? reinterpret_cast<const float*>(base + bias_at) : nullptr};
    });

    const uint32_t unit = ops_.pack_row_unit(form);
    const uint32_t step = std::max<uint32_t>(unit, static_cast<uint32_t>(kJobValues / k / unit * unit));
    for (uint32_t begin = 0; begin < n; begin += step) {
      const uint32_t end = std::min(n, begin + step);
      jobs_.push_back({name.c_str(), bytes * (end - begin) / n,
                       [this, form, n, k, begin, end, read, at](std::byte* base, float* scratch) {
                         read(begin, end, scratch);
                         ops_.pack_rows(form, n, k, begin, end, scratch, base + at);
                       }});
      scratch_values_ = std::max(scratch_values_, size_t{end - begin} * k);
    }
  }

  void matrix(const TensorView& view, const TensorView& bias, PackedMatrix* target) {
    matrix(forms_.dense, view, bias, target);
  }
  void matrix(WeightForm form, const TensorView& view, const TensorView& bias, PackedMatrix* target) {
    matrix(view.name, form, view.rows, view.columns, view.read, {&bias}, target);
  }

  void mlp(WeightForm form, const MlpTensors& tensors, MlpWeights* target) {
    matrix(form, tensors.gate, tensors.gate_bias, &target->gate);
    matrix(form, tensors.up, tensors.up_bias, &target->up);
    matrix(form, tensors.down, tensors.down_bias, &target->down);
  }

  size_t bytes() const { return bytes_; }
  const WeightForms& forms() const { return forms_; }

  // What the parts said they are pointed to, in memory that holds them or will.
  void place(std::byte* base) const {
    for (const auto& place : placements_) place(base);
  }

  Status fill(std::byte* base, kernels::ThreadPool& pool, LoadProgress* progress) {
    if (progress != nullptr) progress->bytes_total = bytes_;
    struct Shared {
      Loader* loader;
      std::byte* base;
      LoadProgress* progress;
      kernels::ThreadPool* pool;
      std::atomic<size_t> next{0};
    } shared{this, base, progress, &pool};
    pool.run(
        [](void* context, uint32_t member) {
          auto& s = *static_cast<Shared*>(context);
          const MemoryTask loading("loading weights");
          auto* scratch = static_cast<float*>(s.pool->scratch(member, s.loader->scratch_values_ * sizeof(float)));
          const auto& jobs = s.loader->jobs_;
          for (size_t i = s.next.fetch_add(1); i < jobs.size(); i = s.next.fetch_add(1)) {
            if (s.progress != nullptr && s.progress->cancelled.load()) return;
            const MemoryTask task("loading", jobs[i].name);
            jobs[i].fill(s.base, scratch);
            if (s.progress != nullptr) s.progress->bytes_done += jobs[i].bytes;
          }
        },
        &shared);
    if (progress != nullptr && progress->cancelled.load()) return Error{Errc::kUnavailable, "loading was cancelled"};
    return {};
  }

 private:
  struct Job {
    const char* name;  // of the tensor; the checkpoint's
    size_t bytes;
    std::function<void(std::byte* base, float* scratch)> fill;
  };

  size_t take(size_t bytes) {
    const size_t at = bytes_;
    bytes_ += (bytes + 63) / 64 * 64;
    return at;
  }

  const kernels::OpTable& ops_;
  WeightForms forms_;
  size_t bytes_ = 0;
  size_t scratch_values_ = 1;
  std::vector<std::function<void(std::byte*)>> placements_;
  std::vector<Job> jobs_;
};

// Rows of several matrices of one width, one after the other.
RowReader stacked(std::vector<const TensorView*> parts) {
  return [parts = std::move(parts)](uint32_t begin, uint32_t end, float* out) {
    uint32_t first = 0;
    for (const TensorView* part : parts) {
      const uint32_t from = std::max(begin, first);
      const uint32_t to = std::min(end, first + part->rows);
      if (from < to) part->read(from - first, to - first, out + size_t{from - begin} * part->columns);
      first += part->rows;
    }
  };
}

void plan_latent_attention(const checkpoint::ModelSpec& spec, const LayerTensors& tensors, Loader& loader,
                           LayerWeights& layer) {
  if (spec.q_lora_rank != 0) {
    loader.matrix(tensors.q_a, tensors.q_a_bias, &layer.q_a);
    loader.vector(tensors.q_a_norm, &layer.q_a_norm);
    loader.matrix(tensors.q_b, TensorView{}, &layer.q_b);
  } else {
    loader.matrix(tensors.q, TensorView{}, &layer.q_b);
  }
  loader.matrix(tensors.kv_a, tensors.kv_a_bias, &layer.kv_a);
  loader.vector(tensors.kv_a_norm, &layer.kv_a_norm);

  const uint32_t head_rows = spec.nope_dim + spec.v_head_dim;
  layer.key_up.resize(spec.head_count);
  layer.value_up.resize(spec.head_count);
  for (uint32_t h = 0; h < spec.head_count; ++h) {
    // kv_b rows of a head: [nope keys | values], each (kv_lora). key_up is the keys' part transposed.
    const TensorView& kv_b = tensors.kv_b;
    const uint32_t first = h * head_rows;
    const uint32_t nope = spec.nope_dim;
    const uint32_t lora = spec.kv_lora_rank;
    loader.matrix(
        kv_b.name, loader.forms().dense, lora, nope,
        [&kv_b, first, nope, lora](uint32_t begin, uint32_t end, float* out) {
          std::vector<float> keys(size_t{nope} * lora);
          kv_b.read(first, first + nope, keys.data());
          for (uint32_t r = begin; r < end; ++r) {
            for (uint32_t c = 0; c < nope; ++c) out[size_t{r - begin} * nope + c] = keys[size_t{c} * lora + r];
          }
        },
        {}, &layer.key_up[h]);
    loader.matrix(
        kv_b.name, loader.forms().dense, spec.v_head_dim, lora,
        [&kv_b, first, nope](uint32_t begin, uint32_t end, float* out) {
          kv_b.read(first + nope + begin, first + nope + end, out);
        },
        {}, &layer.value_up[h]);
  }
}

void plan_grouped_attention(const LayerTensors& tensors, Loader& loader, LayerWeights& layer) {
  const uint32_t rows = tensors.q.rows + tensors.k.rows + tensors.v.rows;
  loader.matrix(tensors.q.name, loader.forms().dense, rows, tensors.q.columns,
                stacked({&tensors.q, &tensors.k, &tensors.v}), {&tensors.q_bias, &tensors.k_bias, &tensors.v_bias},
                &layer.qkv);
  loader.vector(tensors.q_norm, &layer.q_norm);
  loader.vector(tensors.k_norm, &layer.k_norm);
  loader.vector(tensors.sinks, &layer.sinks);
}

}  // namespace

WeightForms WeightForms::of(WeightForm form) { return {form == WeightForm::kInt4 ? WeightForm::kInt8 : form, form}; }

Result<std::unique_ptr<ModelWeights>> ModelWeights::load(const checkpoint::Checkpoint& checkpoint, WeightForms forms,
                                                         const std::vector<LayerPlacement>& placement, uint32_t rank,
                                                         const kernels::OpTable& ops, kernels::ThreadPool& pool,
                                                         LoadProgress* progress, const PackedCache* cache) {
  const checkpoint::ModelSpec& spec = checkpoint.spec();
  const checkpoint::ModelTensors& tensors = checkpoint.tensors();
  auto weights = std::make_unique<ModelWeights>();
  SWITCHYARD_CHECK(kernels::same_encoding(forms.dense, forms.experts));
  weights->forms = forms;
  weights->layers.resize(spec.layers.size());
  weights->held_.resize(placement.size());

  Loader loader(ops, forms);
  if (!spec.tied_embeddings) loader.matrix(tensors.embed, TensorView{}, &weights->embedding);
  size_t expert_layer = 0;
  for (size_t l = 0; l < spec.layers.size(); ++l) {
    const LayerTensors& source = tensors.layers[l];
    LayerWeights& layer = weights->layers[l];
    loader.vector(source.input_norm, &layer.input_norm);
    loader.vector(source.post_attention_norm, &layer.post_attention_norm);
    if (spec.attention == AttentionKind::kLatent) {
      plan_latent_attention(spec, source, loader, layer);
    } else {
      plan_grouped_attention(source, loader, layer);
    }
    loader.matrix(source.o, source.o_bias, &layer.o);
    if (!spec.layers[l].experts) {
      loader.mlp(forms.dense, source.dense, &layer.dense);
      continue;
    }
    loader.matrix(WeightForm::kFloat32, source.router, source.router_bias, &layer.router);
    loader.vector(source.correction_bias, &layer.correction_bias);
    HeldExperts& held = weights->held_[expert_layer];
    for (const uint32_t expert : placement[expert_layer].experts[rank])
      loader.mlp(forms.experts, source.experts[expert], &held[expert]);
    ++expert_layer;
    if (spec.shared_width != 0) loader.mlp(forms.dense, source.shared, &layer.shared);
    if (spec.shared_gate) loader.matrix(WeightForm::kFloat32, source.shared_gate, TensorView{}, &layer.shared_gate);
  }
  loader.vector(tensors.final_norm, &weights->final_norm);
  loader.matrix(tensors.lm_head, TensorView{}, &weights->lm_head);

  weights->bytes = loader.bytes();
  if (!ops.is_host) cache = nullptr;  // a device reads no mapped file
  if (cache != nullptr) {
    auto mapped = cache->map(loader.bytes(), pool, progress);
    weights->from_cache = mapped.ok();
    if (mapped.ok()) {
      weights->memory_ = std::move(*mapped);
    } else if (mapped.error().code != Errc::kNotFound) {
      weights->cache_refused = mapped.error().message;
    }
  }
  if (!weights->from_cache) {
    SWITCHYARD_ASSIGN(weights->memory_, MemoryRegion::allocate(ops, loader.bytes(), "weights"));
    SWITCHYARD_TRY(loader.fill(weights->memory_.data(), pool, progress));
    SWITCHYARD_TRY(checkpoint.check_unchanged());
    if (cache != nullptr) {
      const Status saved = cache->save(weights->memory_.data(), loader.bytes(), pool);
      if (!saved.ok()) weights->cache_error = saved.error().message;
    }
  }
  loader.place(weights->memory_.data());
  if (spec.tied_embeddings) weights->embedding = weights->lm_head;
  weights->arrange(placement, rank);
  return weights;
}

void ModelWeights::arrange(const std::vector<LayerPlacement>& placement, uint32_t rank) {
  size_t expert_layer = 0;
  for (LayerWeights& layer : layers) {
    if (layer.router.n == 0) continue;
    layer.experts.clear();
    for (const uint32_t expert : placement[expert_layer].experts[rank])
      layer.experts.push_back(held_[expert_layer].at(expert));
    ++expert_layer;
  }
}

Status ModelWeights::host(const checkpoint::Checkpoint& checkpoint, const std::vector<LayerPlacement>& placement,
                          uint32_t rank, const kernels::OpTable& ops, kernels::ThreadPool& pool,
                          LoadProgress* progress) {
  Loader loader(ops, forms);
  std::vector<HeldExperts> missing(held_.size());
  size_t expert_layer = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    if (!checkpoint.spec().layers[l].experts) continue;
    for (const uint32_t expert : placement[expert_layer].experts[rank]) {
      if (held_[expert_layer].contains(expert)) continue;
      loader.mlp(forms.experts, checkpoint.tensors().layers[l].experts[expert], &missing[expert_layer][expert]);
    }
    ++expert_layer;
  }
  if (loader.bytes() != 0) {
    SWITCHYARD_TRY(checkpoint.check_unchanged());
    SWITCHYARD_ASSIGN(MemoryRegion memory, MemoryRegion::allocate(ops, loader.bytes(), "experts to take over"));
    SWITCHYARD_TRY(loader.fill(memory.data(), pool, progress));
    SWITCHYARD_TRY(checkpoint.check_unchanged());  // while it was read, too
    loader.place(memory.data());
    taken_over_.push_back(std::move(memory));
    bytes += loader.bytes();
    for (size_t i = 0; i < held_.size(); ++i) held_[i].merge(missing[i]);
  }
  arrange(placement, rank);
  return {};
}

}  // namespace switchyard::worker
