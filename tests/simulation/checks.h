// What must hold, whatever happens: looked at with every frame, every output and, once all is over, at the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/cluster.h"

namespace switchyard::simulation {

// What the request gives when nothing happens to it.
struct Reference {
  std::vector<int32_t> tokens;
  wire::FinishReason finish = wire::FINISH_NONE;
};

class Checks {
 public:
  Checks(const Plan& plan, const World& world, const Cluster& cluster)
      : plan_(plan), world_(world), cluster_(cluster) {}

  void on_frame(const Process& from, uint32_t to_slot, const wire::Frame& frame);
  // Every rank that is to live serves, in one epoch of its group with all others, and holds nothing.
  std::string why_not_settled() const;

  void fail(std::string what);
  bool ok() const { return violations_.empty(); }
  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t epochs() const { return epochs_; }

 private:
  struct Begun {
    std::vector<std::string> hosts;
    std::vector<uint32_t> rank_of_expert;
  };

  void on_assignment(const Process& from, const wire::Assignment& assignment);
  bool any_lives(const std::vector<std::string>& hosts) const;

  const Plan& plan_;
  const World& world_;
  const Cluster& cluster_;
  std::vector<std::string> violations_;
  std::map<std::pair<const Process*, uint32_t>, uint64_t> assigned_;  // by coordinator's life and group
  std::map<std::pair<uint32_t, uint64_t>, Begun> begun_;              // by group and epoch
  std::map<const Process*, wire::RankReport> reports_;                // by rank's life
  std::map<const Process*, uint64_t> tables_;                         // by coordinator's life
  uint64_t epochs_ = 0;
};

}  // namespace switchyard::simulation
