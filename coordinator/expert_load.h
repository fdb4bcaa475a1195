// How evenly the experts' work falls on the ranks of a group, from the ranks' token counts.
//
// Thread: one. Bounded: three sets of counters a rank.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "coordinator/placement.h"

namespace switchyard::coordinator {

class ExpertLoad {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // What balancedness() looks back at: between one and two of these.
  static constexpr std::chrono::seconds kInterval{5};

  // The placement must outlive this.
  explicit ExpertLoad(const ExpertPlacement& placement);

  // A rank's totals since its start: tokens that it sent to each expert, (layer_count, expert_count). Another size is
  // ignored: false.
  bool update(uint32_t rank_index, std::span<const uint64_t> tokens, Time now);

  // Per expert layer: mean over ranks ÷ most of one rank, of tokens that reached the rank's experts lately. 1 = even,
  // and where no token came.
  std::vector<double> balancedness() const;

 private:
  const ExpertPlacement& placement_;
  // (rank_count) of (layer_count x expert_count); empty until a rank has reported.
  std::vector<std::vector<uint64_t>> now_, middle_, old_;
  Time middle_at_{};
  bool begun_ = false;
};

}  // namespace switchyard::coordinator
