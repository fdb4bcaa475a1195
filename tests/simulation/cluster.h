// The processes of a simulated cluster: the real coordinator, ranks and routing of frontends, each on a slot of its
// own, where it is started again after it has died, as the launcher does it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/config/cluster_config.h"
#include "coordinator/coordinator.h"
#include "frontend/routing/rank_pool.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/world.h"

namespace switchyard::worker {
class Rank;
}

namespace switchyard::simulation {

class Cluster {
 public:
  Cluster(World& world, Network& network, const Plan& plan, Random random);
  ~Cluster();  // kills all

  // Whether a rank may be lost for good now.
  std::function<bool(uint32_t rank)> may_lose = [](uint32_t) { return true; };

  // All processes, within a few milliseconds.
  void start();
  // The plan's faults, from now on.
  void plan_faults();

  // The life on a slot; null before the first.
  const ProcessPtr& process(uint32_t slot) const { return slots_[slot].process; }
  const std::string& host(uint32_t slot) const { return slots_[slot].host; }  // of that life
  bool serves(uint32_t slot) const;                                           // is alive, and not frozen
  bool lost(uint32_t slot) const { return slots_[slot].lost; }                // for good
  const ProcessPtr& current_frontend(uint32_t frontend) const { return process(plan_.frontend_slot(frontend)); }
  // Null where the slot has none now.
  frontend::RankPool* pool(uint32_t frontend) const { return slots_[plan_.frontend_slot(frontend)].pool.get(); }
  frontend::Reactor& reactor(uint32_t frontend) const;
  // How many faults of each kind have happened.
  const std::array<uint64_t, kFaultKinds>& faults() const { return faults_; }

 private:
  class OneReactor;
  struct Slot {
    ProcessPtr process;
    std::string host;
    uint32_t lives = 0;
    uint32_t exits = 0;  // by itself
    bool lost = false;
    std::shared_ptr<config::ClusterConfig> config;
    std::unique_ptr<coordinator::Coordinator> coordinator;
    worker::Rank* rank = nullptr;  // its fiber's
    std::unique_ptr<OneReactor> reactor;
    std::unique_ptr<frontend::RankPool> pool;
  };

  void start(uint32_t slot);
  void start_coordinator(Slot& slot);
  void start_rank(Slot& slot, uint32_t rank);
  void start_frontend(Slot& slot);
  void kill(uint32_t slot, bool told);
  void ends_itself(const ProcessPtr& process, const std::string& why);
  void start_again(uint32_t slot);  // as the launcher does it: after 100 ms, doubling
  void exited(uint32_t slot, const ProcessPtr& process, const Status& status);
  void inject(const PlannedFault& fault);
  void end(const PlannedFault& fault);

  World& world_;
  Network& network_;
  const Plan& plan_;
  Random random_;
  const checkpoint::Checkpoint& checkpoint_;
  std::vector<Slot> slots_;
  std::vector<ProcessPtr> lives_;  // all there have been: checks tell them apart by their addresses
  std::array<uint64_t, kFaultKinds> faults_{};
};

}  // namespace switchyard::simulation
