// A group of worker ranks as threads of one process: the real model, scheduler and engine over the local transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/rank_model.h"
#include "worker/engine/engine.h"

namespace switchyard::testing {

struct TestRequest {
  std::vector<int32_t> prompt;
  std::vector<int32_t> generated;  // tokens of a replay
  uint32_t max_tokens = 0;
  worker::Pooling pooling = worker::Pooling::kNone;
  worker::SamplingParams params;
  std::shared_ptr<structured::Masks> masks;  // null: any text
};

struct TestAnswer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;         // of tokens
  std::vector<float> prompt_logprobs;  // of prompt tokens 1 ..
  std::vector<float> embedding;        // (hidden)
  worker::Finish finish = worker::Finish::kNone;
  std::string error;
  bool operator==(const TestAnswer&) const = default;
};

struct GroupRun {
  std::vector<TestAnswer> answers;
  uint64_t preemptions = 0;
  uint64_t prefix_hits = 0;           // tokens
  std::vector<uint64_t> blocks_used;  // of each rank, at the end
};

// Request i goes to rank i % ranks; all are submitted before the first step.
GroupRun run_group(const checkpoint::Checkpoint& checkpoint, const GroupOptions& options,
                   const std::vector<TestRequest>& requests);

}  // namespace switchyard::testing
