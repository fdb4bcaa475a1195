#include "frontend/routing/rank_choice.h"

#include <algorithm>
#include <tuple>

namespace switchyard::frontend {

std::optional<size_t> choose_rank(const std::vector<RankCandidate>& candidates, size_t prompt_tokens) {
  // Smaller is better: avoided or not, then the cost.
  const auto cost = [&](const RankCandidate& c) {
    const bool slow = c.silent_seconds > kSilentSeconds || (c.waiting > 0 && c.kv_usage > kFullKv);
    const uint64_t own = prompt_tokens - std::min<size_t>(c.cached_tokens, prompt_tokens);
    const uint64_t before = uint64_t{c.running} * kTokensOfRunning + uint64_t{c.waiting} * kTokensOfWaiting;
    return std::tuple(c.in_broken_group, slow, own + before);
  };
  std::optional<size_t> best;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (!best || cost(candidates[i]) < cost(candidates[*best])) best = i;
  return best;
}

}  // namespace switchyard::frontend
