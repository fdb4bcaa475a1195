#include "coordinator/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "common/checkpoint/model_spec.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::coordinator {
namespace {

constexpr std::string_view kBalanced = "balanced";
constexpr std::string_view kRandom = "random:";

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): the same numbers on
// every machine, unlike the distributions of <random>.
uint64_t split_mix(uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

std::optional<uint64_t> parse_seed(std::string_view text) {
  uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return seed;
}

void place_balanced(ExpertPlacement& placement) {
  const uint32_t shorter = placement.expert_count / placement.rank_count;
  const uint32_t longer_count = placement.expert_count % placement.rank_count;
  // Longer runs are dealt like cards: the first rank after the last one that got one is next.
  uint32_t next = 0;
  std::vector<uint32_t> counts(placement.rank_count);
  for (uint32_t layer = 0; layer < placement.layer_count; ++layer) {
    std::fill(counts.begin(), counts.end(), shorter);
    for (uint32_t i = 0; i < longer_count; ++i) {
      ++counts[next];
      next = (next + 1) % placement.rank_count;
    }
    for (uint32_t rank = 0; rank < placement.rank_count; ++rank) {
      placement.rank_of_expert.insert(placement.rank_of_expert.end(), counts[rank], rank);
    }
  }
}

void place_at_random(ExpertPlacement& placement, uint64_t seed) {
  placement.rank_of_expert.resize(size_t{placement.layer_count} * placement.expert_count);
  for (auto& rank : placement.rank_of_expert) {
    rank = static_cast<uint32_t>((split_mix(seed) >> 32) * placement.rank_count >> 32);
  }
}

}  // namespace

std::vector<uint32_t> ExpertPlacement::experts_of(uint32_t layer, uint32_t rank) const {
  std::vector<uint32_t> experts;
  for (uint32_t expert = 0; expert < expert_count; ++expert) {
    if (rank_of(layer, expert) == rank) experts.push_back(expert);
  }
  return experts;
}

std::vector<uint32_t> ExpertPlacement::counts(uint32_t layer) const {
  std::vector<uint32_t> counts(rank_count);
  for (uint32_t expert = 0; expert < expert_count; ++expert) ++counts[rank_of(layer, expert)];
  return counts;
}

ExpertPlacement without_missing(const ExpertPlacement& placement, const std::vector<bool>& present) {
  SWITCHYARD_CHECK(present.size() == placement.rank_count);
  ExpertPlacement out = placement;
  for (uint32_t layer = 0; layer < placement.layer_count; ++layer) {
    std::vector<uint32_t> counts = placement.counts(layer);
    for (uint32_t expert = 0; expert < placement.expert_count; ++expert) {
      uint32_t& rank = out.rank_of_expert[size_t{layer} * placement.expert_count + expert];
      if (present[rank]) continue;
      uint32_t best = placement.rank_count;
      for (uint32_t r = 0; r < placement.rank_count; ++r)
        if (present[r] && (best == placement.rank_count || counts[r] < counts[best])) best = r;
      SWITCHYARD_CHECK(best < placement.rank_count);
      rank = best;
      ++counts[best];
    }
  }
  return out;
}

Result<ExpertPlacement> place_experts(const std::string& policy, uint32_t layer_count, uint32_t expert_count,
                                      uint32_t rank_count) {
  std::optional<uint64_t> seed;
  if (policy.starts_with(kRandom)) seed = parse_seed(std::string_view(policy).substr(kRandom.size()));
  if (policy != kBalanced && !seed) {
    return Error{Errc::kInvalid,
                 fmt::format("worker.placement: \"{}\" is neither \"balanced\" nor \"random:SEED\"", policy)};
  }
  if (rank_count == 0) return Error{Errc::kInvalid, "worker.data_parallel_size: no ranks"};

  ExpertPlacement placement;
  placement.rank_count = rank_count;
  if (layer_count == 0 || expert_count == 0) return placement;
  if (rank_count > expert_count) {
    return Error{Errc::kInvalid, fmt::format("worker.data_parallel_size: {} ranks for {} experts a layer; at most one "
                                             "rank per expert",
                                             rank_count, expert_count)};
  }
  placement.layer_count = layer_count;
  placement.expert_count = expert_count;
  if (seed) {
    place_at_random(placement, *seed);
  } else {
    place_balanced(placement);
  }
  return placement;
}

uint32_t expert_layer_count(const checkpoint::ModelSpec& spec) {
  return static_cast<uint32_t>(
      std::count_if(spec.layers.begin(), spec.layers.end(), [](const auto& layer) { return layer.experts; }));
}

Result<ExpertPlacement> place_experts(const std::string& policy, const checkpoint::ModelSpec& spec,
                                      uint32_t rank_count) {
  return place_experts(policy, expert_layer_count(spec), spec.expert_count, rank_count);
}

void to_wire(const ExpertPlacement& placement, wire::Placement& out) {
  out.set_expert_count(placement.expert_count);
  out.set_layer_count(placement.layer_count);
  out.mutable_rank_of_expert()->Assign(placement.rank_of_expert.begin(), placement.rank_of_expert.end());
}

Result<ExpertPlacement> from_wire(const wire::Placement& placement, uint32_t rank_count) {
  ExpertPlacement out;
  out.layer_count = placement.layer_count();
  out.expert_count = placement.expert_count();
  out.rank_count = rank_count;
  out.rank_of_expert.assign(placement.rank_of_expert().begin(), placement.rank_of_expert().end());
  if (out.rank_of_expert.size() != uint64_t{out.layer_count} * out.expert_count) {
    return Error{Errc::kInvalid, fmt::format("placement: {} entries for {} layers of {} experts",
                                             out.rank_of_expert.size(), out.layer_count, out.expert_count)};
  }
  for (size_t i = 0; i < out.rank_of_expert.size(); ++i) {
    if (out.rank_of_expert[i] < rank_count) continue;
    return Error{Errc::kInvalid, fmt::format("placement: layer {}, expert {} on rank {} of {}", i / out.expert_count,
                                             i % out.expert_count, out.rank_of_expert[i], rank_count)};
  }
  return out;
}

}  // namespace switchyard::coordinator
