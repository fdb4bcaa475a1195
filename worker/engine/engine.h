// One rank's engine: takes requests in, steps the model in lockstep with the group, puts tokens out.
//
// Lockstep: ranks of a group meet at every expert layer, so all of them step or none. While no rank has work, every
// engine thread sleeps. A rank that gets work asks for the next *burst* (on_work); once begin() has been called on
// every rank, all step together until they agree, at the start of a step, that no rank has work left. Bursts are
// counted alike on all ranks.
//
// Epochs: when a rank is lost, or one comes back, run() returns; regroup() gives the engine the new epoch's exchange,
// and run() goes on. A step that was broken off is done again: what it wrote into the KV cache it writes once more, the
// same bits. Its sequences notice nothing.
//
// The group shares one prefill budget a step (max_num_batched_tokens), in proportion to what each rank has waiting;
// decode rows always go.
//
// Threads: run() is the engine thread, and so is regroup(). The other members from any thread; they do not block on a
// step. The callbacks come on the engine thread and must not block.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "worker/engine/mask_thread.h"
#include "worker/exchange/exchange.h"
#include "worker/model/model.h"
#include "worker/sampling/sampler.h"
#include "worker/scheduler/scheduler.h"

namespace switchyard::worker {

// kComplete: the constraint is fulfilled, and nothing can follow.
enum class Finish : uint8_t { kNone, kStop, kLength, kCancelled, kError, kComplete };

// What one step gave one sequence.
struct EngineOutput {
  uint64_t id = 0;
  std::vector<int32_t> tokens;
  std::vector<TokenLogprob> logprobs;         // one a token, when asked for
  std::vector<TokenLogprob> prompt_logprobs;  // once, with the first token (or the end)
  std::vector<float> embedding;               // (hidden), with the finish of a sequence that pools
  Finish finish = Finish::kNone;
  uint32_t cached_tokens = 0;  // of the prompt: not computed, but found in the KV cache; with the first token
  Error error;                 // kError
  double queue_seconds = 0.0;  // with the finish
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;
};

struct EngineLimits {
  SchedulerLimits scheduler;
  uint32_t max_num_batched_tokens = 512;
};

struct EngineStats {
  uint32_t running = 0;
  uint32_t waiting = 0;
  uint64_t kv_blocks_total = 0;
  uint64_t kv_blocks_used = 0;
  double kv_usage = 0.0;
  uint64_t steps = 0;
  uint64_t prompt_tokens = 0;  // computed, recomputation included
  uint64_t generation_tokens = 0;
  uint64_t preemptions = 0;
  uint64_t prefix_queries = 0;      // tokens of admitted sequences
  uint64_t prefix_hits = 0;         // those of them that the KV cache held
  double step_seconds = 0.0;        // in steps since start
  double compute_seconds = 0.0;     // of these, not in exchanges
  uint64_t attended_positions = 0;  // that attention read for the tokens computed
  ExchangeStats exchange;
  std::vector<uint64_t> expert_tokens;  // (expert layers, experts): choices of this rank's tokens
};

struct EngineCallbacks {
  // Tokens of one step, and ends. Never empty.
  std::function<void(std::vector<EngineOutput>&& outputs)> on_outputs;
  // This rank has work and asks that the epoch's burst `burst` begin; called at most once a burst.
  std::function<void(uint64_t epoch, uint64_t burst)> on_work;
};

class Engine {
 public:
  Engine(EngineLimits limits, const checkpoint::ModelSpec& spec, Model& model, KvCache& kv, Exchange& exchange,
         kernels::ThreadPool& pool, EngineCallbacks callbacks, Epoch epoch = {});

  // kOverloaded when the inbox is full; other refusals (too long, never fits) come as an output with kError.
  Status submit(std::unique_ptr<Sequence> sequence);
  // The sequence ends with kCancelled at the next step, unless it has ended before.
  void cancel(uint64_t id);
  // A burst of another epoch than the engine's is kept for that one, or forgotten if it is over.
  void begin(uint64_t epoch, uint64_t burst);
  // Looks whether the epoch is over; to be called when it is.
  void wake();
  // The group ends once no rank has work. One rank's word is enough.
  void stop();

  // Returns after stop(), or with the exchange's error, or with kUnavailable once the epoch is over.
  Status run();
  // After run() has returned an error: with other ranks, or another placement. The model must have been regrouped too.
  void regroup(Exchange& exchange, Epoch epoch);

  EngineStats stats() const;
  // How long the step that is being computed has taken so far; 0 between steps. One that takes far longer than the
  // waits in it may is a thread that will not come back.
  double step_age_seconds() const;

 private:
  struct StepInfo;

  Status wait_for_burst();
  void take_inbox(std::vector<EngineOutput>& outputs);
  Status step(uint32_t prefill_budget, std::vector<EngineOutput>& outputs);
  void build_batch(const std::vector<ScheduledRows>& rows);
  void draw(const std::vector<ScheduledRows>& rows, std::vector<EngineOutput>& outputs);
  void score_prompts(const std::vector<ScheduledRows>& rows);
  void pool_prompts(const std::vector<ScheduledRows>& rows);
  void finish(Sequence& sequence, Finish reason, EngineOutput& output);
  void publish_stats();

  EngineLimits limits_;
  const checkpoint::ModelSpec& spec_;
  Model& model_;
  KvCache& kv_;
  Exchange* exchange_;
  kernels::ThreadPool& pool_;
  EngineCallbacks callbacks_;
  Scheduler scheduler_;
  std::unique_ptr<ForwardObserver> observer_;
  std::vector<uint64_t> expert_tokens_;

  mutable std::mutex mutex_;  // guards what follows
  Condition changed_;
  std::vector<std::unique_ptr<Sequence>> inbox_;
  std::vector<uint64_t> cancels_;
  Epoch epoch_;
  uint64_t begun_epoch_ = 0;  // what begun_ counts in
  uint64_t begun_ = 0;
  bool stopping_ = false;
  EngineStats stats_;
  std::atomic<double> step_began_{0.0};  // 0: no step is being computed

  // The engine thread's own.
  uint64_t bursts_done_ = 0;
  uint64_t asked_ = 0;
  StepBatch batch_;
  MaskThread masks_;
  EngineStats own_stats_;
  ExchangeStats earlier_exchanges_;
};

}  // namespace switchyard::worker
