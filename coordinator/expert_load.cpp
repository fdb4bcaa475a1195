#include "coordinator/expert_load.h"

#include <algorithm>

namespace switchyard::coordinator {

ExpertLoad::ExpertLoad(const ExpertPlacement& placement)
    : placement_(placement), now_(placement.rank_count), middle_(now_), old_(now_) {}

bool ExpertLoad::update(uint32_t rank_index, std::span<const uint64_t> tokens, Time now) {
  SWITCHYARD_CHECK(rank_index < now_.size());
  if (tokens.size() != placement_.rank_of_expert.size()) return false;
  if (!begun_ || now - middle_at_ >= kInterval) {
    old_ = std::exchange(middle_, now_);
    middle_at_ = now;
    begun_ = true;
  }
  now_[rank_index].assign(tokens.begin(), tokens.end());
  return true;
}

std::vector<double> ExpertLoad::balancedness() const {
  std::vector<double> out;
  std::vector<uint64_t> received(placement_.rank_count);
  for (uint32_t layer = 0; layer < placement_.layer_count; ++layer) {
    std::fill(received.begin(), received.end(), 0);
    const size_t row = size_t{layer} * placement_.expert_count;
    for (size_t source = 0; source < now_.size(); ++source) {
      if (now_[source].empty()) continue;
      for (size_t at = row; at < row + placement_.expert_count; ++at) {
        const uint64_t before = old_[source].empty() ? 0 : old_[source][at];
        // Less than before: the rank has started anew.
        const uint64_t count = now_[source][at] >= before ? now_[source][at] - before : now_[source][at];
        received[placement_.rank_of_expert[at]] += count;
      }
    }
    uint64_t sum = 0, most = 0;
    for (const auto count : received) {
      sum += count;
      most = std::max(most, count);
    }
    out.push_back(
        most == 0 ? 1.0 : static_cast<double>(sum) / static_cast<double>(received.size()) / static_cast<double>(most));
  }
  return out;
}

}  // namespace switchyard::coordinator
