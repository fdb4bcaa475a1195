#include "worker/scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace switchyard::worker {
namespace {

bool better(const Sequence& a, const Sequence& b) {
  return a.priority != b.priority ? a.priority < b.priority : a.arrival < b.arrival;
}

// Where a sequence is, or belongs, in an ordered queue.
template <typename Queue>
auto place_of(Queue& queue, const Sequence& sequence) {
  return std::lower_bound(queue.begin(), queue.end(), sequence,
                          [](const std::unique_ptr<Sequence>& a, const Sequence& b) { return better(*a, b); });
}

uint32_t pending(const Sequence& sequence) { return static_cast<uint32_t>(sequence.tokens.size()) - sequence.computed; }
bool decodes(const Sequence& sequence) { return sequence.computed > 0 && pending(sequence) == 1; }
bool prefills(const Sequence& sequence) { return pending(sequence) > 0 && !decodes(sequence); }

// Positions that may come out of the cache: the last token's logits are always computed, and the whole prompt is if
// all of its tokens are scored or pooled.
uint32_t reusable(const Sequence& sequence) {
  const bool scores = sequence.params.prompt_logprobs && sequence.prompt_logprobs.size() + 1 < sequence.prompt_count;
  const bool pools = sequence.pooling == Pooling::kMean && sequence.pooled_count < sequence.prompt_count;
  return scores || pools ? 0 : static_cast<uint32_t>(sequence.tokens.size()) - 1;
}

ScheduledRows rows_of(Sequence& sequence, uint32_t count) {
  const bool last = sequence.computed + count == sequence.tokens.size();
  return {&sequence, sequence.computed, count, last && sequence.max_tokens > 0};
}

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, KvCache& kv) : limits_(limits), kv_(&kv) {
  SWITCHYARD_CHECK(limits.max_running > 0);
}

Status Scheduler::add(std::unique_ptr<Sequence> sequence) {
  SWITCHYARD_CHECK(sequence != nullptr && sequence->tokens.size() >= sequence->prompt_count);
  const uint64_t id = sequence->id;
  if (sequence->prompt_count == 0) return Error{Errc::kInvalid, "the prompt has no tokens"};
  if (by_id_.contains(id)) return Error{Errc::kInvalid, fmt::format("request id {} is in use", id)};
  if (sequence->generated_count() > 0 && sequence->generated_count() >= sequence->max_tokens) {
    return Error{Errc::kInvalid, fmt::format("all of its {} tokens are generated already", sequence->max_tokens)};
  }
  const uint64_t present = sequence->tokens.size();
  const uint64_t limit = limits_.max_model_len > 0 ? limits_.max_model_len : std::numeric_limits<uint32_t>::max();
  if (present > limit || (sequence->max_tokens > 0 && present == limit)) {
    return Error{Errc::kTooLarge,
                 fmt::format("the prompt has {} tokens; this model's context is {} tokens, the answer included",
                             present, limit)};
  }
  const uint64_t end = std::min<uint64_t>(uint64_t{sequence->prompt_count} + sequence->max_tokens, limit);
  if (!kv_->could_fit(static_cast<uint32_t>(end))) {
    return Error{Errc::kTooLarge,
                 fmt::format("prompt and answer of {} tokens can never fit this rank's KV cache", end)};
  }
  if (waiting_.size() >= limits_.max_waiting) {
    return Error{Errc::kOverloaded, fmt::format("the rank's queue is full: {} requests wait", waiting_.size())};
  }
  sequence->arrival = next_arrival_++;
  sequence->computed = 0;
  sequence->kv = kv_->make_tables();
  by_id_.emplace(id, sequence.get());
  const auto place = place_of(waiting_, *sequence);
  waiting_.insert(place, std::move(sequence));
  return {};
}

std::unique_ptr<Sequence> Scheduler::remove(uint64_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  Sequence* const sequence = found->second;
  by_id_.erase(found);
  const auto take = [&](auto& queue) -> std::unique_ptr<Sequence> {
    const auto place = place_of(queue, *sequence);
    if (place == queue.end() || place->get() != sequence) return nullptr;
    std::unique_ptr<Sequence> taken = std::move(*place);
    queue.erase(place);
    return taken;
  };
  std::unique_ptr<Sequence> taken = take(running_);
  if (!taken) taken = take(waiting_);
  SWITCHYARD_CHECK(taken != nullptr);
  kv_->release(taken->kv);
  return taken;
}

Sequence* Scheduler::find(uint64_t id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

bool Scheduler::has_work() const {
  // A sequence whose tokens are all computed waits for its caller, not for a step.
  return !waiting_.empty() ||
         std::any_of(running_.begin(), running_.end(), [](const auto& s) { return pending(*s) > 0; });
}

uint32_t Scheduler::prefill_demand() const {
  uint64_t demand = 0;
  for (const auto& sequence : running_) {
    if (prefills(*sequence)) demand += pending(*sequence);
  }
  std::vector<uint64_t> reserved = reserved_blocks();
  size_t running = running_.size();
  for (const auto& sequence : waiting_) {
    if (!admissible(*sequence, running, reserved)) break;
    demand += pending(*sequence);
    ++running;
    kv_->add_needed(sequence->kv, static_cast<uint32_t>(sequence->tokens.size()) + kv_->block_tokens(), reserved);
  }
  return static_cast<uint32_t>(std::min<uint64_t>(demand, std::numeric_limits<uint32_t>::max()));
}

uint32_t Scheduler::decode_count() const {
  return static_cast<uint32_t>(
      std::count_if(running_.begin(), running_.end(), [](const auto& s) { return decodes(*s); }));
}

std::vector<ScheduledRows> Scheduler::plan(uint32_t prefill_budget) {
  std::vector<ScheduledRows> rows;
  rows.reserve(running_.size() + 1);
  const uint64_t preemptions_before = preemptions_;
  plan_decode(rows);
  // What was preempted stands before later arrivals in the queue: taking it in again at once would undo the preemption.
  plan_prefill(prefill_budget, preemptions_ == preemptions_before, rows);
  return rows;
}

void Scheduler::plan_decode(std::vector<ScheduledRows>& rows) {
  // Preemption takes from the back, so places before it stay.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!decodes(sequence)) continue;
    bool has_room = kv_->grow(sequence.kv, sequence.computed, sequence.computed + 1);
    while (!has_room && preempt_for(&sequence, rows)) {
      has_room = kv_->grow(sequence.kv, sequence.computed, sequence.computed + 1);
    }
    if (has_room) rows.push_back(rows_of(sequence, 1));
  }
}

void Scheduler::plan_prefill(uint32_t budget, bool admits, std::vector<ScheduledRows>& rows) {
  size_t i = 0;
  // Admitted in this step: it may have one token left to compute, as a decode that plan_decode() has not seen.
  const Sequence* admitted = nullptr;
  while (budget > 0) {
    while (i < running_.size() && !prefills(*running_[i]) && running_[i].get() != admitted) ++i;
    if (admits && !waiting_.empty() && (i == running_.size() || better(*waiting_.front(), *running_[i]))) {
      admits = admissible(*waiting_.front(), running_.size(), reserved_blocks());
      // Better than every prefill from i on and worse than those before: between are decodes alone.
      if (admits) {
        i = admit_first();
        admitted = running_[i].get();
      }
      continue;
    }
    if (i == running_.size()) break;
    Sequence& sequence = *running_[i];
    const uint32_t wanted = sequence.computed + std::min(pending(sequence), budget);
    uint32_t end = kv_->largest_end(sequence.kv, sequence.computed, wanted);
    while (end == sequence.computed && running_.back().get() != &sequence) {
      preempt_for(&sequence, rows);
      admits = false;
      end = kv_->largest_end(sequence.kv, sequence.computed, wanted);
    }
    // The last of all waits, with what it has, for better ones to finish; alone it always has room.
    SWITCHYARD_CHECK(end > sequence.computed || running_.size() > 1);
    if (end > sequence.computed) {
      SWITCHYARD_CHECK(kv_->grow(sequence.kv, sequence.computed, end));
      budget -= end - sequence.computed;
      rows.push_back(rows_of(sequence, end - sequence.computed));
    }
    ++i;
  }
}

void Scheduler::commit(const std::vector<ScheduledRows>& rows) {
  for (const ScheduledRows& part : rows) {
    SWITCHYARD_CHECK(part.sequence->computed == part.first_position);
    part.sequence->computed += part.count;
    kv_->slide(part.sequence->kv, part.sequence->computed);
    kv_->publish(part.sequence->kv, part.sequence->tokens, part.sequence->computed);
  }
}

bool Scheduler::preempt_for(const Sequence* needy, std::vector<ScheduledRows>& rows) {
  // One sequence alone fits (add() made sure): a shortage with nobody else running is a leak.
  SWITCHYARD_CHECK(running_.size() > 1);
  std::unique_ptr<Sequence> victim = std::move(running_.back());
  running_.pop_back();
  std::erase_if(rows, [&](const ScheduledRows& part) { return part.sequence == victim.get(); });
  kv_->release(victim->kv);
  victim->computed = 0;
  ++victim->preemptions;
  ++preemptions_;
  const bool gained = victim.get() != needy;
  const auto place = place_of(waiting_, *victim);
  waiting_.insert(place, std::move(victim));
  return gained;
}

size_t Scheduler::admit_first() {
  std::unique_ptr<Sequence> sequence = std::move(waiting_.front());
  waiting_.pop_front();
  sequence->computed = kv_->reuse(sequence->kv, sequence->tokens, reusable(*sequence));
  if (sequence->preemptions == 0) sequence->cached_tokens = std::min(sequence->computed, sequence->prompt_count);
  prefix_queries_ += sequence->tokens.size();
  prefix_hits_ += sequence->computed;
  const auto place = place_of(running_, *sequence);
  const auto index = static_cast<size_t>(place - running_.begin());
  running_.insert(place, std::move(sequence));
  return index;
}

std::vector<uint64_t> Scheduler::reserved_blocks() const {
  std::vector<uint64_t> reserved(kv_->group_count());
  for (size_t g = 0; g < reserved.size(); ++g) reserved[g] = std::max<uint64_t>(1, kv_->blocks_total(g) / 100);
  for (const auto& sequence : running_) {
    kv_->add_needed(sequence->kv, static_cast<uint32_t>(sequence->tokens.size()) + kv_->block_tokens(), reserved);
  }
  return reserved;
}

bool Scheduler::admissible(const Sequence& sequence, size_t running, std::span<const uint64_t> reserved) const {
  if (running >= limits_.max_running) return false;
  return running == 0 || kv_->has_room(static_cast<uint32_t>(sequence.tokens.size()), reserved,
                                       kv_->shared_blocks(sequence.tokens, reusable(sequence)));
}

uint32_t Scheduler::running_count() const { return static_cast<uint32_t>(running_.size()); }
uint32_t Scheduler::waiting_count() const { return static_cast<uint32_t>(waiting_.size()); }
uint64_t Scheduler::preemption_count() const { return preemptions_; }
uint64_t Scheduler::prefix_query_count() const { return prefix_queries_; }
uint64_t Scheduler::prefix_hit_count() const { return prefix_hits_; }

}  // namespace switchyard::worker
