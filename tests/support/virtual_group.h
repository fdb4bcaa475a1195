// A group of worker ranks as threads of one process: the real model, scheduler and engine over the local transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "kernels/api/ops.h"
#include "worker/engine/engine.h"
#include "worker/model/model.h"

namespace switchyard::testing {

struct GroupOptions {
  uint32_t ranks = 1;
  uint32_t threads = 1;
  kernels::WeightForm form = kernels::WeightForm::kFloat32;
  std::string backend = "auto";
  uint64_t placement_seed = 0;  // 0: balanced by expert id; else experts on random ranks
  uint32_t max_num_batched_tokens = 512;
  uint32_t max_num_seqs = 64;
  uint32_t max_model_len = 1024;
  uint32_t kv_blocks = 0;  // of each group; 0 = enough for everything
  uint32_t block_size = 16;
};

// One rank's model and what it stands on.
struct RankModel {
  RankModel(const checkpoint::Checkpoint& checkpoint, const GroupOptions& options,
            const std::vector<worker::LayerPlacement>& placement, std::unique_ptr<worker::Transport> transport);

  const checkpoint::Checkpoint& checkpoint;
  const kernels::OpTable& ops;
  kernels::ThreadPool pool;
  worker::KvGrouping grouping;
  std::unique_ptr<worker::ModelWeights> weights;
  std::unique_ptr<worker::Exchange> exchange;
  std::vector<worker::KvGroup> groups;
  worker::KvMemory kv_memory;
  std::unique_ptr<worker::Model> model;
};

std::vector<worker::LayerPlacement> make_placement(const checkpoint::ModelSpec& spec, uint32_t ranks, uint64_t seed);

struct TestRequest {
  std::vector<int32_t> prompt;
  std::vector<int32_t> generated;  // tokens of a replay
  uint32_t max_tokens = 0;
  worker::SamplingParams params;
};

struct TestAnswer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;         // of tokens
  std::vector<float> prompt_logprobs;  // of prompt tokens 1 ..
  worker::Finish finish = worker::Finish::kNone;
  std::string error;
  bool operator==(const TestAnswer&) const = default;
};

struct GroupRun {
  std::vector<TestAnswer> answers;
  uint64_t preemptions = 0;
  std::vector<uint64_t> blocks_used;  // of each rank, at the end
};

// Request i goes to rank i % ranks; all are submitted before the first step.
GroupRun run_group(const checkpoint::Checkpoint& checkpoint, const GroupOptions& options,
                   const std::vector<TestRequest>& requests);

}  // namespace switchyard::testing
