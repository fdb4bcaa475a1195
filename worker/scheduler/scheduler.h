// Which sequences of this rank step, and how many tokens of each: continuous batching with chunked prefill.
//
// Every running sequence with one token left to compute on top of others (decode, or the last token of a prompt) goes
// in every step. What the prefill budget allows is given to sequences with more to compute, in order of (priority,
// arrival). A waiting request is admitted, in the same order, when its tokens and what the running ones need for their
// next block fit the KV room and a sequence slot is free. When KV runs out while sequences grow, the latest arrival of
// the worst priority is preempted: its blocks are freed and it is recomputed later from its tokens, each in its role,
// so its bits do not change. Priorities order admission and preemption; a better request never preempts a worse one in
// order to be admitted. What the KV cache holds of a sequence's tokens when it is admitted is not computed again
// (kv_cache.h): after a preemption too.
//
// No livelock: the best running sequence computes at least one token in every step that has a prefill budget, since it
// may take the blocks of all others and fits alone (add() refuses what does not). So it ends, and the next is best.
//
// Thread: the engine thread. Never blocks. The waiting queue is bounded: max_waiting, and max_running preempted ones.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "worker/sampling/constrained_text.h"
#include "worker/sampling/sampler.h"
#include "worker/scheduler/kv_cache.h"

namespace switchyard::worker {

enum class Pooling : uint8_t { kNone, kLast, kMean };

// A request as the engine carries it.
struct Sequence {
  uint64_t id = 0;  // unique on this rank, chosen by the caller
  std::string trace_id;
  int32_t priority = 0;  // lower first; fixed once added
  uint64_t arrival = 0;  // set by Scheduler::add
  SamplingParams params;
  uint32_t prompt_count = 0;  // tokens [0, prompt_count) are prompt, the rest generated
  uint32_t max_tokens = 0;    // generated tokens at most; 0 = prompt log-probabilities or an embedding only
  Pooling pooling = Pooling::kNone;
  std::vector<int32_t> tokens;

  uint32_t computed = 0;       // positions [0, computed) are in the KV cache
  uint32_t cached_tokens = 0;  // of the prompt: taken from the cache when it was first admitted
  KvTables kv;
  SamplingState sampling{params};
  std::unique_ptr<ConstrainedText> constrained;  // null: any text
  std::vector<TokenLogprob> prompt_logprobs;     // collected while prefilling
  std::vector<float> pooled;                     // (hidden), as far as pooled_count positions give it
  uint32_t pooled_count = 0;                     // positions [0, pooled_count) are in `pooled`
  double arrival_time = 0.0;                     // seconds, steady clock
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
  // The last row's logits draw a token: all of the sequence is computed with this step, and max_tokens is not 0.
  bool samples = false;
};

struct SchedulerLimits {
  uint32_t max_running = 64;  // sequences at once, > 0
  uint32_t max_waiting = 4096;
  uint32_t max_model_len = 0;  // prompt + generated; 0 = no limit
};

class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, KvCache& kv);

  // Puts a request in the queue; what it has generated already (a replay) counts in. On an error the sequence is gone.
  // kTooLarge: the context or the KV cache can never hold it; kOverloaded: max_waiting are waiting; kInvalid: an empty
  // prompt, an id in use, or nothing left to generate.
  Status add(std::unique_ptr<Sequence> sequence);
  // Takes the sequence out, running or waiting, and frees its KV at once; null when unknown (already finished). Not
  // between plan() and commit().
  std::unique_ptr<Sequence> remove(uint64_t id);
  Sequence* find(uint64_t id);  // null when unknown

  // Whether a step would compute anything.
  bool has_work() const;
  // Prompt (or recomputed) tokens that could be computed now: what this rank asks of the group's prefill budget.
  uint32_t prefill_demand() const;
  uint32_t decode_count() const;

  // The rows of the next step, decode rows first, then prefill chunks of at most prefill_budget tokens together. KV
  // room for them is reserved. Not empty when has_work() and prefill_budget > 0. Pointers stay valid until the sequence
  // is removed.
  std::vector<ScheduledRows> plan(uint32_t prefill_budget);
  // After the step: positions are computed, slid-out blocks are freed. The caller then appends drawn tokens to the
  // sequences.
  void commit(const std::vector<ScheduledRows>& rows);

  uint32_t running_count() const;
  uint32_t waiting_count() const;
  uint64_t preemption_count() const;
  // Tokens of admitted sequences, and those of them that the cache held already.
  uint64_t prefix_query_count() const;
  uint64_t prefix_hit_count() const;

 private:
  void plan_decode(std::vector<ScheduledRows>& rows);
  void plan_prefill(uint32_t budget, bool admits, std::vector<ScheduledRows>& rows);
  // Preempts the last running sequence, with its rows. False when that was `needy` itself.
  bool preempt_for(const Sequence* needy, std::vector<ScheduledRows>& rows);
  // Moves the first waiting sequence to its place in running_, which is returned.
  size_t admit_first();
  // By group: blocks that running sequences need soon (what they have yet to compute, and a block to grow), and 1 %.
  std::vector<uint64_t> reserved_blocks() const;
  // Whether a waiting sequence could run beside `running` others that need `reserved` blocks. The first always can.
  bool admissible(const Sequence& sequence, size_t running, std::span<const uint64_t> reserved) const;

  SchedulerLimits limits_;
  KvCache* kv_;
  uint64_t next_arrival_ = 0;
  uint64_t preemptions_ = 0;
  uint64_t prefix_queries_ = 0;
  uint64_t prefix_hits_ = 0;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // ordered by (priority, arrival)
  std::vector<std::unique_ptr<Sequence>> running_;  // ordered by (priority, arrival)
  std::unordered_map<uint64_t, Sequence*> by_id_;   // of both
};

}  // namespace switchyard::worker
