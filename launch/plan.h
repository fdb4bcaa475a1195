// Which processes a cluster consists of, on which hosts and with which command lines. Pure: nothing is started, looked
// up or opened.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/checkpoint/model_spec.h"
#include "common/config/cluster_config.h"
#include "launch/process.h"

namespace switchyard::launch {

enum class Role { kCoordinator, kWorkers, kFrontend };

struct PlannedProcess {
  Role role = Role::kCoordinator;
  std::string hosts;  // "this machine", "gpu1, gpu2"
  Program program;
  std::string directory = {};  // within the run directory, empty at each start; "" = none
  uint32_t rank_count = 0;     // that it starts
};

struct PlanSurroundings {
  std::string program_directory;  // where switchyard-worker lies
  std::string run_directory;      // holds cluster.yaml, and a directory a group (group_directory)
  bool is_root = false;           // mpirun wants to be told
};

// What starts the ranks: "mpirun", "srun" or "" (the launcher itself, over ssh on other hosts).
std::string rank_starter(const config::ClusterConfig& config);

// In the order in which they are started.
std::vector<PlannedProcess> plan_processes(const config::ClusterConfig& config, const PlanSurroundings& around);

// Where the job of a group's rank, or of it and those behind, keeps MPI's temporary files and shared memory, within the
// run directory: a directory of its own, so that nothing of one job is in another's way, and what a killed one leaves
// behind can be removed.
std::string job_directory(const config::ClusterConfig& config, uint32_t group, uint32_t rank);

// True for host names that mean this machine.
bool is_this_machine(const std::string& host);
// Hosts of the config other than this machine, without slots.
std::vector<std::string> remote_hosts(const config::ClusterConfig& config);

// The model has the context that the config asks for. The error names the key.
Status check_context(const config::ClusterConfig& config, const checkpoint::ModelSpec& spec);

// A command line as a shell would take it.
std::string shell_line(const std::vector<std::string>& argv);

}  // namespace switchyard::launch
