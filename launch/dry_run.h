// What a cluster would be, without starting anything: processes and hosts, expert placement, memory per rank.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/cluster_config.h"

namespace switchyard::launch {

// The report, as `up --dry-run` prints it; only config.json of the model is read. Errors: the model directory, more
// ranks than experts, a rank whose memory does not hold its part.
Result<std::string> dry_run_report(const config::ClusterConfig& config, const std::string& program_directory);

}  // namespace switchyard::launch
