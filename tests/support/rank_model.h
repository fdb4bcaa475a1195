// One worker rank's model on the golden checkpoints, without scheduler or processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "kernels/api/ops.h"
#include "worker/model/model.h"
#include "worker/scheduler/kv_cache.h"

namespace switchyard::testing {

struct GroupOptions {
  uint32_t ranks = 1;
  uint32_t threads = 1;
  kernels::WeightForm form = kernels::WeightForm::kFloat32;
  std::string kv_cache_dtype = "auto";
  std::string backend = "auto";
  bool messages = false;        // exchange messages where ranks could share memory
  uint64_t placement_seed = 0;  // 0: balanced by expert id; else experts on random ranks
  uint32_t max_num_batched_tokens = 512;
  uint32_t max_num_seqs = 64;
  uint32_t max_model_len = 1024;
  uint32_t kv_blocks = 0;  // of each group; 0 = enough for everything
  uint32_t block_size = 16;
  bool share_prefixes = true;
};

// One rank's model and what it stands on.
struct RankModel {
  RankModel(const checkpoint::Checkpoint& checkpoint, const GroupOptions& options,
            const std::vector<worker::LayerPlacement>& placement, std::unique_ptr<worker::Transport> transport,
            worker::Epoch epoch = {});
  // Another epoch: the model goes on with other ranks and another placement.
  void regroup(const std::vector<worker::LayerPlacement>& placement, std::unique_ptr<worker::Transport> transport,
               worker::Epoch epoch);

  const GroupOptions options;
  const checkpoint::Checkpoint& checkpoint;
  const kernels::OpTable& ops;
  kernels::ThreadPool pool;
  worker::KvGrouping grouping;
  std::unique_ptr<worker::ModelWeights> weights;
  std::unique_ptr<worker::Exchange> exchange;
  std::vector<worker::KvGroup> groups;
  worker::KvMemory kv_memory;
  std::unique_ptr<worker::Model> model;

 private:
  void make_exchange(std::unique_ptr<worker::Transport> transport, worker::Epoch epoch);
};

std::vector<worker::LayerPlacement> make_placement(const checkpoint::ModelSpec& spec, uint32_t ranks, uint64_t seed);

}  // namespace switchyard::testing
