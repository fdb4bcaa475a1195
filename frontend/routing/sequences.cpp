#include "frontend/routing/sequences.h"

#include <utility>

namespace switchyard::frontend {

std::span<const int32_t> Sequences::Sequence::prompt() const {
  const auto& ids = frame->generate().prompt_token_ids();
  return {ids.data(), static_cast<size_t>(ids.size())};
}

std::shared_ptr<const wire::Frame> Sequences::Sequence::next_frame() const {
  if (generated.empty()) return frame;
  const auto again = std::make_shared<wire::Frame>(*frame);
  wire::Generate* request = again->mutable_generate();
  request->mutable_generated_token_ids()->Add(generated.begin(), generated.end());
  request->mutable_sampling()->set_prompt_logprobs(false);  // they came with the first token
  return again;
}

uint64_t Sequences::add(wire::Generate request, Reactor& reactor, OnOutput on_output, Time now) {
  const uint64_t id = ++next_id_;
  const auto frame = std::make_shared<wire::Frame>();
  *frame->mutable_generate() = std::move(request);
  frame->mutable_generate()->set_request_id(id);
  Sequence& sequence = sequences_[id];
  sequence.reactor = &reactor;
  sequence.on_output = std::make_shared<OnOutput>(std::move(on_output));
  sequence.frame = frame;
  sequence.stalled_at = now;
  waiting_.insert(id);
  return id;
}

void Sequences::leave(const Sequence& sequence, uint64_t id) {
  if (sequence.waits) {
    waiting_.erase(id);
  } else if (--counts_[*sequence.rank] == 0) {
    counts_.erase(*sequence.rank);
  }
}

void Sequences::assign(uint64_t id, uint32_t rank) {
  Sequence& sequence = sequences_.at(id);
  leave(sequence, id);
  if (sequence.rank) ++sequence.replays;
  sequence.waits = false;
  sequence.rank = rank;
  ++counts_[rank];
}

void Sequences::record(Sequence& sequence, wire::Output& output) {
  // The cache of the rank that took it over has nothing to do with the prompt's first computation.
  if (sequence.replays > 0) output.set_cached_tokens(0);
  sequence.stalled_at.reset();
  sequence.generated.insert(sequence.generated.end(), output.token_ids().begin(), output.token_ids().end());
}

void Sequences::set_waiting(uint64_t id, Time now) {
  Sequence& sequence = sequences_.at(id);
  if (sequence.waits) return;
  leave(sequence, id);
  sequence.waits = true;
  if (!sequence.stalled_at) sequence.stalled_at = now;
  waiting_.insert(id);
}

std::vector<uint64_t> Sequences::all() const {
  std::vector<uint64_t> ids;
  ids.reserve(sequences_.size());
  for (const auto& [id, sequence] : sequences_) ids.push_back(id);
  return ids;
}

std::vector<uint64_t> Sequences::on(uint32_t rank) const {
  std::vector<uint64_t> ids;
  if (count_on(rank) == 0) return ids;
  for (const auto& [id, sequence] : sequences_)
    if (!sequence.waits && sequence.rank == rank) ids.push_back(id);
  return ids;
}

void Sequences::stall(uint32_t rank, Time now) {
  for (const uint64_t id : on(rank)) {
    Sequence& sequence = sequences_.at(id);
    if (!sequence.stalled_at) sequence.stalled_at = now;
  }
}

size_t Sequences::lose(uint32_t rank, Time now) {
  const std::vector<uint64_t> lost = on(rank);
  for (const uint64_t id : lost) set_waiting(id, now);
  return lost.size();
}

Sequences::Sequence* Sequences::find(uint64_t id) {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? nullptr : &found->second;
}

Sequences::Sequence Sequences::take(uint64_t id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return {};
  leave(found->second, id);
  Sequence sequence = std::move(found->second);
  sequences_.erase(found);
  return sequence;
}

size_t Sequences::count_on(uint32_t rank) const {
  const auto found = counts_.find(rank);
  return found == counts_.end() ? 0 : found->second;
}

}  // namespace switchyard::frontend
