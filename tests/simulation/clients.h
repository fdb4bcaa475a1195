// Who asks the simulated frontends for tokens, and compares every stream with the undisturbed one while it comes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/checks.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/plan.h"

namespace switchyard::simulation {

class Clients {
 public:
  // references: of the pool; empty when this run is to make them.
  Clients(World& world, Cluster& cluster, const Plan& plan, const std::vector<Reference>& references, Checks& checks);

  void start();
  // Each request has ended, been cancelled, or lost its frontend.
  bool all_done() const { return open_ == 0; }
  std::string why_not_done() const;
  uint64_t tokens() const { return tokens_; }
  uint64_t whole_streams() const { return whole_; }
  // What each request got.
  std::vector<Reference> streams() const;

 private:
  struct Call {
    PlannedRequest plan;
    ProcessPtr frontend;  // that took it
    uint64_t ticket = 0;
    Reference got;
    bool cancelled = false;
    bool done = false;
  };

  void ask(size_t index);
  void ask_again(size_t index);
  void take(size_t index, const wire::Output& output);
  void close(Call& call);
  void look_for_lost();

  World& world_;
  Cluster& cluster_;
  const std::vector<Reference>& references_;
  Checks& checks_;
  std::vector<Call> calls_;
  size_t open_;
  uint64_t tokens_ = 0;
  uint64_t whole_ = 0;
};

}  // namespace switchyard::simulation
