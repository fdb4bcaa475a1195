// A whole cluster on its way through life: checked, started, ready, serving, stopped.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/cluster_config.h"

namespace switchyard::launch {

struct RunOptions {
  std::string program_directory;  // where switchyard-worker and its siblings lie
  std::string run_base;           // where the run directory is made; "" = a good place
  std::string secret;             // of the internal ports, where the configuration has no file; "" = made anew
  bool demo = false;              // send a first chat request once ready, print its answer and a line to try
};

// Everything that can be known before a process starts: programs, files of keys, the checkpoint's headers, ranks
// against experts, ports. All problems, one a line; else the model's fingerprint.
Result<std::string> check_start(const config::ClusterConfig& config, const RunOptions& options);

// Fills in what "automatic" leaves open: ports, threads of a rank, the name of the model.
Result<config::ClusterConfig> resolve(config::ClusterConfig config);

// Runs the cluster until SIGINT, SIGTERM or SIGHUP; stops all of it. While it starts, the end of a process is its end.
// Once it serves, a process that ends is started again (restarts.h), until one keeps ending that it cannot do without:
// the coordinator, the last worker group, the last frontend.
// Prints "ready http://HOST:PORT" on stdout when it serves. The error is the cause of a failed start or of an
// unexpected end.
Status run_cluster(const config::ClusterConfig& config, const RunOptions& options);

}  // namespace switchyard::launch
