// Which rank a prompt goes to: the one where it costs least.
//
// The cost is counted in tokens to compute before the prompt's last: the prompt itself, less what the rank's KV cache
// holds of its beginning; and for what is before it on the rank, kTokensOfRunning a running sequence (it slows every
// step) and kTokensOfWaiting a waiting one (it is prefilled first). So a prompt follows its beginning until the rank is
// busier than the others by more than that saves, and prompts without a known beginning go to the least loaded.
// A rank that is full or does not answer is taken only when all are, and one whose group has lost a rank only when
// there are no others: its next step is likely to be the group's last.
//
// Pure: no clock, no state. Ties go to the candidate that comes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace switchyard::frontend {

struct RankCandidate {
  uint32_t rank = 0;
  uint32_t running = 0;  // sequences, those under way to it included
  uint32_t waiting = 0;
  double kv_usage = 0;           // 0 .. 1
  double silent_seconds = 0;     // that it owes an output for
  bool in_broken_group = false;  // not all ranks of its group can be reached
  uint32_t cached_tokens = 0;    // of the prompt's beginning
};

inline constexpr uint32_t kTokensOfRunning = 32;
inline constexpr uint32_t kTokensOfWaiting = 256;
inline constexpr double kFullKv = 0.98;
inline constexpr double kSilentSeconds = 0.75;

// The index of the best; nothing when there are none.
std::optional<size_t> choose_rank(const std::vector<RankCandidate>& candidates, size_t prompt_tokens);

}  // namespace switchyard::frontend
