// Which sequences of this rank step, and how many tokens of each: continuous batching with chunked prefill.
//
// Every running sequence with one token to compute (decode) goes in every step. What the prefill budget leaves is given
// to sequences with more to compute, in order of (priority, arrival). A waiting request is admitted when its prompt
// fits the KV room and a sequence slot is free. When KV runs out while sequences grow, the latest arrival of the worst
// priority is preempted: its blocks are freed and it is recomputed later from its tokens, each in its role, so its bits
// do not change.
//
// Thread: the engine thread. Never blocks. The waiting queue is bounded by max_waiting.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/sampling/sampler.h"
#include "worker/scheduler/kv_cache.h"

namespace switchyard::worker {

// A request as the engine carries it.
struct Sequence {
  uint64_t id = 0;  // unique on this rank, chosen by the caller
  std::string trace_id;
  int32_t priority = 0;  // lower first
  uint64_t arrival = 0;  // set by Scheduler::add
  SamplingParams params;
  uint32_t prompt_count = 0;  // tokens [0, prompt_count) are prompt, the rest generated
  uint32_t max_tokens = 0;    // generated tokens at most; 0 = prompt log-probabilities only
  std::vector<int32_t> tokens;

  uint32_t computed = 0;  // positions [0, computed) are in the KV cache
  KvTables kv;
  SamplingState sampling{params};
  std::vector<TokenLogprob> prompt_logprobs;  // collected while prefilling
  double arrival_time = 0.0;                  // seconds, steady clock
  double first_scheduled_time = 0.0;
  double first_token_time = 0.0;
  uint32_t preemptions = 0;

  Sequence() = default;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;
  uint32_t generated_count() const { return static_cast<uint32_t>(tokens.size()) - prompt_count; }
};

struct ScheduledRows {
  Sequence* sequence = nullptr;
  uint32_t first_position = 0;  // = sequence->computed
  uint32_t count = 0;
  bool samples = false;  // the last row's logits draw a token: all of the sequence is computed with this step
};

struct SchedulerLimits {
  uint32_t max_running = 64;  // sequences at once
  uint32_t max_waiting = 4096;
  uint32_t max_model_len = 0;  // prompt + generated
};

class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, KvCache& kv);

  // kTooLarge: can never fit; kOverloaded: the queue is full; kInvalid: empty prompt.
  Status add(std::unique_ptr<Sequence> sequence);
  // Takes the sequence out, running or waiting, and frees its KV; null when unknown (already finished).
  std::unique_ptr<Sequence> remove(uint64_t id);
  Sequence* find(uint64_t id);

  bool has_work() const;
  // Prompt (or recomputed) tokens that could be computed now: what this rank asks of the group's prefill budget.
  uint32_t prefill_demand() const;
  uint32_t decode_count() const;

  // The rows of the next step, decode rows first, then prefill chunks of at most prefill_budget tokens together. KV
  // room for them is reserved. Pointers stay valid until the sequence is removed.
  std::vector<ScheduledRows> plan(uint32_t prefill_budget);
  // After the step: positions are computed, slid-out blocks are freed. The caller then appends drawn tokens to the
  // sequences.
  void commit(const std::vector<ScheduledRows>& rows);

  uint32_t running_count() const;
  uint32_t waiting_count() const;
  uint64_t preemption_count() const;

 private:
  bool reserve(Sequence& sequence, uint32_t end);
  void preempt(size_t index);
  void queue(std::unique_ptr<Sequence> sequence);
  void admit();

  SchedulerLimits limits_;
  KvCache* kv_;
  uint64_t next_arrival_ = 0;
  uint64_t preemptions_ = 0;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // ordered by (priority, arrival)
  std::vector<std::unique_ptr<Sequence>> running_;  // ordered by (priority, arrival)
};

}  // namespace switchyard::worker
