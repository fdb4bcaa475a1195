// What must hold, whatever happens: looked at with every frame, every output and, once all is over, at the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/simulation/cluster.h"

namespace switchyard::simulation {

// What the request gives when nothing happens to it.
struct Reference {
  std::vector<int32_t> tokens;
  wire::FinishReason finish = wire::FINISH_NONE;
};

// Rather than to tell a rank what to load, that it is refused, or that it may go.
bool begins_epoch(const wire::Assignment& assignment);

class Checks {
 public:
  Checks(const Plan& plan, const World& world, const Cluster& cluster)
      : plan_(plan), world_(world), cluster_(cluster) {}

  void on_frame(const Process& from, uint32_t to_slot, const wire::Frame& frame);
  void on_arrival(const Process& at, uint32_t from_slot, const wire::Frame& frame);
  // Every rank that is to live serves, in one epoch of its group with all others, and holds nothing.
  std::string why_not_settled() const;

  // A rank other than this one knows an epoch of the group: else the group begins with all of its ranks or not at all.
  bool has_begun(uint32_t group, uint32_t but_rank = UINT32_MAX) const;
  // It never begins: a rank is lost for good, and whoever knew that the others can do without it has died as well.
  bool is_hopeless(uint32_t group) const;
  bool all_hopeless() const;

  void fail(std::string what);
  bool ok() const { return violations_.empty(); }
  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t epochs() const { return epochs_; }

 private:
  struct Begun {
    std::vector<std::string> hosts;
    std::vector<uint32_t> rank_of_expert;
  };

  // A request at a rank: the rank's life, the frontend's slot, the number that the frontend gave it.
  using AtRank = std::tuple<const Process*, uint32_t, uint64_t>;

  void on_outputs(const Process& from, uint32_t to_slot, const wire::Outputs& outputs);
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
  std::map<AtRank, uint32_t> since_cancelled_;                        // outputs
  uint64_t epochs_ = 0;
};

}  // namespace switchyard::simulation
