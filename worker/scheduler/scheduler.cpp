#include "worker/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

namespace switchyard::worker {
namespace {

// Who goes first, and who is preempted last.
bool before(const Sequence& a, const Sequence& b) {
  return a.priority != b.priority ? a.priority < b.priority : a.arrival < b.arrival;
}

uint32_t pending(const Sequence& sequence) { return static_cast<uint32_t>(sequence.tokens.size()) - sequence.computed; }

// One new token on top of a computed history: the rows that every step takes.
bool decodes(const Sequence& sequence) { return sequence.computed != 0 && pending(sequence) == 1; }

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, KvCache& kv) : limits_(limits), kv_(&kv) {}

Status Scheduler::add(std::unique_ptr<Sequence> sequence) {
  if (sequence->prompt_count == 0 || sequence->tokens.size() < sequence->prompt_count) {
    return Error{Errc::kInvalid, "the prompt has no tokens"};
  }
  const uint64_t known = sequence->tokens.size();
  if (known > limits_.max_model_len || (sequence->max_tokens != 0 && known >= limits_.max_model_len)) {
    return Error{Errc::kTooLarge, "the prompt has " + std::to_string(known) + " tokens; this model's context is " +
                                      std::to_string(limits_.max_model_len) + " tokens, the answer included"};
  }
  const uint64_t most =
      std::min<uint64_t>(uint64_t{sequence->prompt_count} + sequence->max_tokens, limits_.max_model_len);
  if (!kv_->could_fit(static_cast<uint32_t>(std::max(most, known)))) {
    return Error{Errc::kTooLarge,
                 "prompt and answer of " + std::to_string(most) + " tokens can never fit this rank's KV cache"};
  }
  if (waiting_.size() >= limits_.max_waiting) return Error{Errc::kOverloaded, "the rank's queue is full"};
  sequence->arrival = next_arrival_++;
  sequence->kv = kv_->make_tables();
  queue(std::move(sequence));
  return {};
}

void Scheduler::queue(std::unique_ptr<Sequence> sequence) {
  const auto at =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& other) { return before(*sequence, *other); });
  waiting_.insert(at, std::move(sequence));
}

std::unique_ptr<Sequence> Scheduler::remove(uint64_t id) {
  const auto has_id = [id](const auto& sequence) { return sequence->id == id; };
  if (const auto found = std::find_if(running_.begin(), running_.end(), has_id); found != running_.end()) {
    std::unique_ptr<Sequence> sequence = std::move(*found);
    running_.erase(found);
    kv_->release(sequence->kv);
    return sequence;
  }
  if (const auto found = std::find_if(waiting_.begin(), waiting_.end(), has_id); found != waiting_.end()) {
    std::unique_ptr<Sequence> sequence = std::move(*found);
    waiting_.erase(found);
    return sequence;
  }
  return nullptr;
}

Sequence* Scheduler::find(uint64_t id) {
  for (auto& sequence : running_) {
    if (sequence->id == id) return sequence.get();
  }
  for (auto& sequence : waiting_) {
    if (sequence->id == id) return sequence.get();
  }
  return nullptr;
}

bool Scheduler::has_work() const { return !running_.empty() || !waiting_.empty(); }

uint32_t Scheduler::prefill_demand() const {
  uint64_t demand = 0;
  for (const auto& sequence : running_) {
    if (!decodes(*sequence)) demand += pending(*sequence);
  }
  const size_t slots = limits_.max_running - std::min<size_t>(limits_.max_running, running_.size());
  for (size_t i = 0; i < std::min(slots, waiting_.size()); ++i) demand += pending(*waiting_[i]);
  return static_cast<uint32_t>(std::min<uint64_t>(demand, UINT32_MAX));
}

uint32_t Scheduler::decode_count() const {
  return static_cast<uint32_t>(
      std::count_if(running_.begin(), running_.end(), [](const auto& s) { return decodes(*s); }));
}

// Moves waiting sequences to running while slots and KV room last.
void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < limits_.max_running) {
    Sequence& next = *waiting_.front();
    const auto spare = static_cast<uint32_t>(
        std::max<uint64_t>(1, kv_->blocks_total() / 100 / std::max<size_t>(1, kv_->group_count())));
    // Alone it always fits: add() has seen to that.
    if (!running_.empty() && !kv_->has_room(static_cast<uint32_t>(next.tokens.size()), spare)) return;
    std::unique_ptr<Sequence> sequence = std::move(waiting_.front());
    waiting_.pop_front();
    const auto at =
        std::find_if(running_.begin(), running_.end(), [&](const auto& other) { return before(*sequence, *other); });
    running_.insert(at, std::move(sequence));
  }
}

void Scheduler::preempt(size_t index) {
  std::unique_ptr<Sequence> sequence = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  kv_->release(sequence->kv);
  sequence->computed = 0;
  ++sequence->preemptions;
  ++preemptions_;
  queue(std::move(sequence));
}

// Room for positions [0, end) of a running sequence, at the cost of those that come after it. False: it has to wait
// itself.
bool Scheduler::reserve(Sequence& sequence, uint32_t end) {
  while (!kv_->grow(sequence.kv, sequence.computed, end)) {
    if (running_.back().get() == &sequence) return false;
    preempt(running_.size() - 1);
  }
  return true;
}

std::vector<ScheduledRows> Scheduler::plan(uint32_t prefill_budget) {
  admit();
  std::vector<ScheduledRows> decode;
  std::vector<ScheduledRows> prefill;
  // running_ is in (priority, arrival) order, and room is only ever taken from the back: nothing planned is preempted
  // after.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    uint32_t count = pending(sequence);
    const bool decoding = decodes(sequence);
    if (!decoding) {
      count = std::min(count, prefill_budget);
      if (count == 0) continue;
    }
    bool reserved = reserve(sequence, sequence.computed + count);
    // Alone and still short: windows slide as it advances, so a smaller piece finds room.
    while (!reserved && running_.size() == 1 && count > 1) {
      count /= 2;
      reserved = reserve(sequence, sequence.computed + count);
    }
    if (!reserved) {
      // The last in line gives way, and is recomputed when there is room.
      preempt(i);
      break;
    }
    if (!decoding) prefill_budget -= count;
    const bool whole = sequence.computed + count == sequence.tokens.size();
    (decoding ? decode : prefill).push_back({&sequence, sequence.computed, count, whole && sequence.max_tokens != 0});
  }
  decode.insert(decode.end(), prefill.begin(), prefill.end());
  return decode;
}

void Scheduler::commit(const std::vector<ScheduledRows>& rows) {
  for (const ScheduledRows& part : rows) {
    part.sequence->computed = part.first_position + part.count;
    kv_->slide(part.sequence->kv, part.sequence->computed);
  }
}

uint32_t Scheduler::running_count() const { return static_cast<uint32_t>(running_.size()); }
uint32_t Scheduler::waiting_count() const { return static_cast<uint32_t>(waiting_.size()); }
uint64_t Scheduler::preemption_count() const { return preemptions_; }

}  // namespace switchyard::worker
