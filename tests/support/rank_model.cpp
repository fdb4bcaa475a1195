#include "tests/support/rank_model.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include "kernels/cuda/table.h"

namespace switchyard::testing {
namespace {

constexpr uint32_t kDeadlineMs = 60000;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::abort();
  }
  return std::move(result).value();
}

// This machine's, and CUDA's: on an emulation of the grid, but in tests/gpu.
const kernels::OpTable& backend(const std::string& name) {
  if (name == kernels::cuda::kTable.name) return kernels::cuda::kTable;
  const kernels::OpTable* ops = kernels::find_backend(name.c_str());
  SWITCHYARD_CHECK(ops != nullptr);
  return *ops;
}

}  // namespace

std::vector<worker::LayerPlacement> make_placement(const checkpoint::ModelSpec& spec, uint32_t ranks, uint64_t seed) {
  std::vector<worker::LayerPlacement> placement;
  std::mt19937_64 random(seed);
  for (const auto& layer : spec.layers) {
    if (!layer.experts) continue;
    std::vector<uint32_t> rank_of(spec.expert_count);
    for (uint32_t e = 0; e < spec.expert_count; ++e) {
      rank_of[e] = seed == 0 ? e * ranks / spec.expert_count : static_cast<uint32_t>(random() % ranks);
    }
    placement.push_back(worker::LayerPlacement::from_ranks(rank_of, ranks));
  }
  return placement;
}

RankModel::RankModel(const checkpoint::Checkpoint& c, const GroupOptions& o,
                     const std::vector<worker::LayerPlacement>& placement, std::unique_ptr<worker::Transport> transport,
                     worker::Epoch epoch)
    : options(o),
      checkpoint(c),
      ops(backend(options.backend)),
      pool(options.threads),
      grouping(worker::KvGrouping::of(c.spec())) {
  const auto& spec = checkpoint.spec();
  make_exchange(std::move(transport), epoch);
  weights = must(worker::ModelWeights::load(checkpoint, worker::WeightForms::of(options.form), placement,
                                            exchange->rank(), ops, pool, nullptr));
  const auto kv_type = worker::kv_type_of(options.kv_cache_dtype, options.form == kernels::WeightForm::kFloat32);
  const auto layout = worker::kv_layout(spec, kv_type.value(), options.block_size);
  const uint32_t whole = (options.max_model_len + options.block_size - 1) / options.block_size + 1;
  std::vector<uint32_t> counts;
  for (const uint32_t window : grouping.windows) {
    groups.push_back({window, options.kv_blocks != 0 ? options.kv_blocks : whole * options.max_num_seqs});
    counts.push_back(groups.back().block_count);
  }
  kv_memory = must(worker::KvMemory::allocate(spec, layout, grouping, counts, ops));
  model = std::make_unique<worker::Model>(spec, *weights, placement, ops, pool, *exchange, kv_memory, grouping,
                                          options.max_model_len);
}

void RankModel::make_exchange(std::unique_ptr<worker::Transport> transport, worker::Epoch epoch) {
  const auto shape = worker::exchange_shape(checkpoint.spec(), worker::WeightForms::of(options.form), ops,
                                            options.max_num_batched_tokens + options.max_num_seqs);
  exchange = options.messages ? worker::make_message_exchange(std::move(transport), shape)
                              : must(worker::make_exchange(std::move(transport), shape, pool, kDeadlineMs, epoch));
}

void RankModel::regroup(const std::vector<worker::LayerPlacement>& placement,
                        std::unique_ptr<worker::Transport> transport, worker::Epoch epoch) {
  make_exchange(std::move(transport), epoch);
  const Status hosted = weights->host(checkpoint, placement, exchange->rank(), ops, pool, nullptr);
  SWITCHYARD_CHECK(hosted.ok());
  model->regroup(*exchange, placement);
}

}  // namespace switchyard::testing
