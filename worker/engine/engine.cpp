#include "worker/engine/engine.h"

#include <algorithm>
#include <utility>

namespace switchyard::worker {
namespace {

// Rows whose logits are held at once while scoring a prompt: 64 rows of a 150k vocabulary are 38 MB.
constexpr uint32_t kScoreRows = 64;

bool is_stop(const Sequence& sequence, int32_t token) {
  const auto& stops = sequence.params.stop_token_ids;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

// Counts which experts this rank's tokens chose.
class LoadCounter final : public ForwardObserver {
 public:
  LoadCounter(std::vector<uint64_t>& counts, uint32_t experts) : counts_(counts), experts_(experts) {}
  void on_route(uint32_t index, const int32_t* ids, const float*, uint32_t rows, uint32_t top_k) override {
    for (uint32_t i = 0; i < rows * top_k; ++i) ++counts_[size_t{index} * experts_ + static_cast<uint32_t>(ids[i])];
  }
  void on_values(const char*, uint32_t, const float*, uint32_t) override {}

 private:
  std::vector<uint64_t>& counts_;
  uint32_t experts_;
};

}  // namespace

// What each rank tells the others at the start of a step.
struct Engine::StepInfo {
  uint32_t has_work = 0;
  uint32_t prefill_demand = 0;
  uint32_t stopping = 0;
};

Engine::Engine(EngineLimits limits, const checkpoint::ModelSpec& spec, Model& model, KvCache& kv, Exchange& exchange,
               kernels::ThreadPool& pool, EngineCallbacks callbacks, Epoch epoch)
    : limits_(limits),
      spec_(spec),
      model_(model),
      kv_(kv),
      exchange_(&exchange),
      pool_(pool),
      callbacks_(std::move(callbacks)),
      scheduler_(limits.scheduler, kv),
      epoch_(epoch) {
  const auto layers = static_cast<size_t>(
      std::count_if(spec.layers.begin(), spec.layers.end(), [](const auto& l) { return l.experts; }));
  expert_tokens_.assign(layers * spec.expert_count, 0);
  observer_ = std::make_unique<LoadCounter>(expert_tokens_, spec.expert_count);
  batch_.sequences.resize(kv.group_count());
  publish_stats();
}

Status Engine::submit(std::unique_ptr<Sequence> sequence) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Error{Errc::kUnavailable, "the rank is shutting down"};
  if (inbox_.size() >= limits_.scheduler.max_waiting) return Error{Errc::kOverloaded, "the rank's queue is full"};
  sequence->arrival_time = now_seconds();
  inbox_.push_back(std::move(sequence));
  changed_.notify_all();
  return {};
}

void Engine::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  cancels_.push_back(id);
  changed_.notify_all();
}

void Engine::begin(uint64_t epoch, uint64_t burst) {
  const std::lock_guard lock(mutex_);
  if (epoch < begun_epoch_) return;
  begun_ = epoch == begun_epoch_ ? std::max(begun_, burst) : burst;
  begun_epoch_ = epoch;
  changed_.notify_all();
}

void Engine::wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void Engine::regroup(Exchange& exchange, Epoch epoch) {
  earlier_exchanges_ = own_stats_.exchange;  // the old exchange may be gone
  exchange_ = &exchange;
  bursts_done_ = asked_ = 0;
  const std::lock_guard lock(mutex_);
  epoch_ = epoch;
}

void Engine::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

// Sleeps until the next burst begins; asks for it when this rank has a reason.
Status Engine::wait_for_burst() {
  std::unique_lock lock(mutex_);
  const uint64_t next = bursts_done_ + 1;
  while (begun_epoch_ != epoch_.number || begun_ < next) {
    if (epoch_.over()) return epoch_.end();
    // After an epoch's change there may be sequences. Without any, cancels are of some that have ended already.
    const bool has_work = scheduler_.has_work() || !inbox_.empty();
    if (!has_work) cancels_.clear();
    if (asked_ < next && (has_work || stopping_)) {
      asked_ = next;
      lock.unlock();
      callbacks_.on_work(epoch_.number, next);
      lock.lock();
      continue;
    }
    changed_.wait(lock);
  }
  return {};
}

void Engine::take_inbox(std::vector<EngineOutput>& outputs) {
  std::vector<std::unique_ptr<Sequence>> arrived;
  std::vector<uint64_t> cancels;
  {
    const std::lock_guard lock(mutex_);
    arrived.swap(inbox_);
    cancels.swap(cancels_);
  }
  for (auto& sequence : arrived) {
    const uint64_t id = sequence->id;
    sequence->sampling.add_prompt(std::span(sequence->tokens).first(sequence->prompt_count));
    for (size_t i = sequence->prompt_count; i < sequence->tokens.size(); ++i)
      sequence->sampling.add_generated(sequence->tokens[i]);
    if (const Status added = scheduler_.add(std::move(sequence)); !added.ok()) {
      EngineOutput output;
      output.id = id;
      output.finish = Finish::kError;
      output.error = added.error();
      outputs.push_back(std::move(output));
    }
  }
  for (const uint64_t id : cancels) {
    if (const auto sequence = scheduler_.remove(id)) {
      EngineOutput output;
      output.id = id;
      output.finish = Finish::kCancelled;
      outputs.push_back(std::move(output));
    }
  }
}

Status Engine::run() {
  std::vector<StepInfo> all(exchange_->size());
  for (;;) {
    SWITCHYARD_TRY(wait_for_burst());
    for (;;) {
      if (epoch_.over()) return epoch_.end();  // a rank alone waits for nobody, and would not notice
      std::vector<EngineOutput> outputs;
      take_inbox(outputs);
      StepInfo mine;
      mine.has_work = scheduler_.has_work() ? 1 : 0;
      mine.prefill_demand = scheduler_.prefill_demand();
      {
        const std::lock_guard lock(mutex_);
        mine.stopping = stopping_ ? 1 : 0;
      }
      Status met = exchange_->all_gather(&mine, sizeof mine, all.data());
      bool any_work = false;
      bool any_stopping = false;
      uint64_t demand = 0;
      for (const StepInfo& info : all) {
        any_work |= info.has_work != 0;
        any_stopping |= info.stopping != 0;
        demand += info.prefill_demand;
      }
      if (met.ok() && any_work) {
        const uint64_t budget = limits_.max_num_batched_tokens;
        uint64_t share = mine.prefill_demand;
        if (demand > budget)
          share = std::max<uint64_t>(budget * mine.prefill_demand / demand, mine.prefill_demand != 0 ? 1 : 0);
        met = step(static_cast<uint32_t>(share), outputs);
        step_began_ = 0.0;
      }
      publish_stats();
      if (!outputs.empty()) callbacks_.on_outputs(std::move(outputs));
      SWITCHYARD_TRY(std::move(met));
      if (!any_work) {
        if (any_stopping) return {};
        break;
      }
    }
    ++bursts_done_;
  }
}

void Engine::build_batch(const std::vector<ScheduledRows>& rows) {
  batch_.ids.clear();
  batch_.positions.clear();
  for (auto& group : batch_.sequences) group.clear();
  for (const ScheduledRows& part : rows) {
    const auto begin = static_cast<uint32_t>(batch_.ids.size());
    for (uint32_t i = 0; i < part.count; ++i) {
      batch_.ids.push_back(part.sequence->tokens[part.first_position + i]);
      batch_.positions.push_back(part.first_position + i);
    }
    for (size_t g = 0; g < batch_.sequences.size(); ++g) {
      batch_.sequences[g].push_back(
          {begin, begin + part.count, part.first_position, part.sequence->kv.tables[g].data()});
    }
  }
}

Status Engine::step(uint32_t prefill_budget, std::vector<EngineOutput>& outputs) {
  const double start = now_seconds();
  step_began_ = start;
  const std::vector<ScheduledRows> rows = scheduler_.plan(prefill_budget);
  build_batch(rows);
  for (const ScheduledRows& part : rows) {
    if (part.sequence->first_scheduled_time == 0.0) part.sequence->first_scheduled_time = start;
    if (part.first_position < part.sequence->prompt_count) own_stats_.prompt_tokens += part.count;
    own_stats_.attended_positions +=
        uint64_t{part.count} * part.first_position + uint64_t{part.count} * (part.count + 1) / 2;
  }
  std::vector<ConstrainedText*> constrained;
  for (const ScheduledRows& part : rows)
    if (part.samples && part.sequence->constrained) constrained.push_back(part.sequence->constrained.get());
  {
    const MaskThread::Round round(masks_, std::move(constrained));
    SWITCHYARD_TRY(model_.forward(batch_, observer_.get()));
  }
  score_prompts(rows);
  pool_prompts(rows);
  scheduler_.commit(rows);
  draw(rows, outputs);
  ++own_stats_.steps;
  own_stats_.step_seconds += now_seconds() - start;
  return {};
}

// Log-probabilities of prompt tokens whose predecessor was computed in this step.
void Engine::score_prompts(const std::vector<ScheduledRows>& rows) {
  uint32_t first_row = 0;
  for (const ScheduledRows& part : rows) {
    Sequence& sequence = *part.sequence;
    const uint32_t scored = static_cast<uint32_t>(sequence.prompt_logprobs.size());  // tokens 1 .. scored are done
    const uint32_t begin = std::max(part.first_position, scored);
    const uint32_t end = std::min(part.first_position + part.count, sequence.prompt_count - 1);
    if (sequence.params.prompt_logprobs && begin < end) {
      for (uint32_t at = begin; at < end; at += kScoreRows) {
        const uint32_t count = std::min(kScoreRows, end - at);
        std::vector<uint32_t> wanted(count);
        for (uint32_t i = 0; i < count; ++i) wanted[i] = first_row + (at - part.first_position) + i;
        const float* logits = model_.logits(wanted);
        sequence.prompt_logprobs.resize(at + count);
        pool_.parallel_for(count, 1, [&](size_t from, size_t to) {
          for (size_t i = from; i < to; ++i) {
            sequence.prompt_logprobs[at + i] = token_logprob({logits + i * spec_.vocab_size, spec_.vocab_size},
                                                             sequence.tokens[at + i + 1], sequence.params.top_logprobs);
          }
        });
      }
    }
    first_row += part.count;
  }
}

// Hidden states of prompt tokens computed in this step, into their sequences' embeddings. A sum goes in the order of
// positions, whatever the chunks.
void Engine::pool_prompts(const std::vector<ScheduledRows>& rows) {
  uint32_t first_row = 0;
  for (const ScheduledRows& part : rows) {
    Sequence& sequence = *part.sequence;
    const bool mean = sequence.pooling == Pooling::kMean;
    const uint32_t end = part.first_position + part.count;
    const uint32_t begin = std::max(part.first_position, mean ? sequence.pooled_count : sequence.prompt_count - 1);
    if (sequence.pooling != Pooling::kNone && begin < end) {
      std::vector<uint32_t> wanted(end - begin);
      for (uint32_t i = 0; i < wanted.size(); ++i) wanted[i] = first_row + (begin - part.first_position) + i;
      const float* states = model_.hidden_states(wanted);
      sequence.pooled.resize(spec_.hidden, 0.0F);
      for (size_t i = 0; i < wanted.size(); ++i) {
        for (uint32_t d = 0; d < spec_.hidden; ++d) sequence.pooled[d] += states[i * spec_.hidden + d];
      }
      sequence.pooled_count = end;
      if (mean && end == sequence.prompt_count) {
        for (float& value : sequence.pooled) value /= static_cast<float>(sequence.prompt_count);
      }
    }
    first_row += part.count;
  }
}

void Engine::draw(const std::vector<ScheduledRows>& rows, std::vector<EngineOutput>& outputs) {
  std::vector<uint32_t> wanted;
  std::vector<Sequence*> drawing;
  std::vector<Sequence*> scored_only;
  uint32_t next_row = 0;
  for (const ScheduledRows& part : rows) {
    next_row += part.count;
    if (part.samples) {
      wanted.push_back(next_row - 1);
      drawing.push_back(part.sequence);
    } else if (part.sequence->max_tokens == 0 && part.first_position + part.count == part.sequence->tokens.size()) {
      scored_only.push_back(part.sequence);
    }
  }
  std::vector<int32_t> tokens(drawing.size());
  std::vector<TokenLogprob> logprobs(drawing.size());
  if (!drawing.empty()) {
    const float* logits = model_.logits(wanted);
    pool_.parallel_for(drawing.size(), 1, [&](size_t from, size_t to) {
      std::vector<float> scratch;
      for (size_t i = from; i < to; ++i) {
        const Sequence& sequence = *drawing[i];
        ConstrainedText* constrained = sequence.constrained.get();
        if (constrained != nullptr && !constrained->status().ok()) continue;
        const std::span<const float> row(logits + i * spec_.vocab_size, spec_.vocab_size);
        tokens[i] =
            sequence.sampling.sample(row, sequence.tokens.size(), scratch,
                                     constrained != nullptr ? constrained->mask() : std::span<const uint32_t>());
        if (constrained != nullptr && !is_stop(sequence, tokens[i])) constrained->accept(tokens[i]);
        if (sequence.params.logprobs) logprobs[i] = token_logprob(row, tokens[i], sequence.params.top_logprobs);
      }
    });
  }
  const double now = now_seconds();
  for (size_t i = 0; i < drawing.size(); ++i) {
    Sequence& sequence = *drawing[i];
    EngineOutput output;
    output.id = sequence.id;
    const ConstrainedText* constrained = sequence.constrained.get();
    if (constrained != nullptr && !constrained->status().ok()) {
      output.error = constrained->status().error();
      finish(sequence, Finish::kError, output);
      outputs.push_back(std::move(output));
      continue;
    }
    output.tokens.push_back(tokens[i]);
    if (sequence.params.logprobs) output.logprobs.push_back(std::move(logprobs[i]));
    if (sequence.first_token_time == 0.0) {
      sequence.first_token_time = now;
      output.cached_tokens = sequence.cached_tokens;
      output.prompt_logprobs = std::move(sequence.prompt_logprobs);
    }
    sequence.tokens.push_back(tokens[i]);
    sequence.sampling.add_generated(tokens[i]);
    ++own_stats_.generation_tokens;
    if (is_stop(sequence, tokens[i])) {
      finish(sequence, Finish::kStop, output);
    } else if (constrained != nullptr && constrained->is_complete()) {
      finish(sequence, Finish::kComplete, output);
    } else if (sequence.generated_count() >= sequence.max_tokens ||
               sequence.tokens.size() >= limits_.scheduler.max_model_len) {
      finish(sequence, Finish::kLength, output);
    }
    outputs.push_back(std::move(output));
  }
  for (Sequence* sequence : scored_only) {
    EngineOutput output;
    output.id = sequence->id;
    output.prompt_logprobs = std::move(sequence->prompt_logprobs);
    output.embedding = std::move(sequence->pooled);
    output.cached_tokens = sequence->cached_tokens;
    sequence->first_token_time = now;
    finish(*sequence, Finish::kLength, output);
    outputs.push_back(std::move(output));
  }
}

void Engine::finish(Sequence& sequence, Finish reason, EngineOutput& output) {
  output.finish = reason;
  output.queue_seconds = sequence.first_scheduled_time - sequence.arrival_time;
  output.prefill_seconds = sequence.first_token_time - sequence.first_scheduled_time;
  output.decode_seconds = now_seconds() - sequence.first_token_time;
  scheduler_.remove(sequence.id);
}

void Engine::publish_stats() {
  own_stats_.running = scheduler_.running_count();
  own_stats_.waiting = scheduler_.waiting_count();
  own_stats_.kv_blocks_total = kv_.blocks_total();
  own_stats_.kv_blocks_used = kv_.blocks_used();
  own_stats_.kv_usage = kv_.usage();
  own_stats_.preemptions = scheduler_.preemption_count();
  own_stats_.prefix_queries = scheduler_.prefix_query_count();
  own_stats_.prefix_hits = scheduler_.prefix_hit_count();
  own_stats_.exchange = exchange_->stats();
  own_stats_.exchange.bytes_sent += earlier_exchanges_.bytes_sent;
  own_stats_.exchange.dispatch_seconds += earlier_exchanges_.dispatch_seconds;
  own_stats_.exchange.combine_seconds += earlier_exchanges_.combine_seconds;
  own_stats_.compute_seconds =
      own_stats_.step_seconds - own_stats_.exchange.dispatch_seconds - own_stats_.exchange.combine_seconds;
  own_stats_.expert_tokens = expert_tokens_;
  const std::lock_guard lock(mutex_);
  stats_ = own_stats_;
}

double Engine::step_age_seconds() const {
  const double began = step_began_;
  return began == 0.0 ? 0.0 : now_seconds() - began;
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = stats_;
  stats.waiting += static_cast<uint32_t>(inbox_.size());
  return stats;
}

}  // namespace switchyard::worker
