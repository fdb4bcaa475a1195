// What the admin port shows: pure functions of the cluster's state.
#pragma once

#include <chrono>
#include <string>

#include "common/net/refusals.h"
#include "coordinator/expert_load.h"
#include "coordinator/membership.h"
#include "coordinator/slow_ranks.h"

namespace switchyard::coordinator {

struct View {
  const Membership& membership;
  const std::vector<ExpertLoad>& loads;  // by group
  const std::vector<SlowRanks>& slow;    // by group
  std::string cluster_name;
  std::string model_name;
  std::string architecture;
  std::chrono::steady_clock::time_point started;
  std::chrono::steady_clock::time_point now;
  net::Refusals::Counts refusals;  // of the coordinator's own ports
};

std::string cluster_json(const View& view);
std::string placement_json(const View& view);
std::string metrics_text(const View& view);  // Prometheus text format 0.0.4
std::string page_html(const View& view);

}  // namespace switchyard::coordinator
