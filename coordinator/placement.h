// Which rank of a group holds which expert: pure functions, the same answer in every process that asks.
//
// A placement is a function of (policy, expert layers, experts, ranks) alone. So a restarted coordinator finds the
// placement that its ranks are running, and a dry run shows the one that will be used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::wire {
class Placement;
}
namespace switchyard::checkpoint {
struct ModelSpec;
}

namespace switchyard::coordinator {

// Ranks are counted within a group, 0 to rank_count - 1; all groups have the same placement.
// layer: index among the layers that have experts, in model order (0-based). Every expert has one rank.
struct ExpertPlacement {
  uint32_t layer_count = 0;  // expert layers only; 0 = a dense model
  uint32_t expert_count = 0;
  uint32_t rank_count = 1;
  std::vector<uint32_t> rank_of_expert;  // (layer_count, expert_count)

  uint32_t rank_of(uint32_t layer, uint32_t expert) const {
    SWITCHYARD_CHECK(layer < layer_count && expert < expert_count);
    return rank_of_expert[size_t{layer} * expert_count + expert];
  }
  // The experts of a rank in a layer, ascending.
  std::vector<uint32_t> experts_of(uint32_t layer, uint32_t rank) const;
  // Experts per rank in a layer: (rank_count).
  std::vector<uint32_t> counts(uint32_t layer) const;

  bool operator==(const ExpertPlacement&) const = default;
};

// policy:
//   "balanced"     Every rank holds one contiguous run of experts per layer, all runs equally long or one longer. Which
//   ranks hold the longer ones
//                  moves on from layer to layer, so that the totals over all layers differ by one at most as well.
//   "random:SEED"  Every expert on a rank drawn at random; a rank may hold none. For tests: results must not depend on
//   the placement.
// Refused: another policy; no ranks; more ranks than experts, unless the model is dense (layer_count or expert_count 0:
// an empty placement).
Result<ExpertPlacement> place_experts(const std::string& policy, uint32_t layer_count, uint32_t expert_count,
                                      uint32_t rank_count);
// The same experts on the ranks that are there: each of the others' goes to the one that has the fewest of its layer,
// the lowest among equals. present: (rank_count), one of them true. A function of the two alone, as above.
ExpertPlacement without_missing(const ExpertPlacement& placement, const std::vector<bool>& present);
// The same for a model.
Result<ExpertPlacement> place_experts(const std::string& policy, const checkpoint::ModelSpec& spec,
                                      uint32_t rank_count);
uint32_t expert_layer_count(const checkpoint::ModelSpec& spec);

void to_wire(const ExpertPlacement& placement, wire::Placement& out);
// Refused: a size that does not fit, a rank that is not there.
Result<ExpertPlacement> from_wire(const wire::Placement& placement, uint32_t rank_count);

}  // namespace switchyard::coordinator
