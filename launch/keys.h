// API keys and the cluster's secret on their way from the environment and the command line into the configuration, and
// out of where others could read them.
//
// They reach the other processes in the run directory alone (files of mode 0600 in a directory of mode 0700), never on
// a command line or in an environment: ssh and srun would carry that to other machines, and into a scheduler's records.
//
// Thread: before any other is started, since the environment is changed.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"

namespace switchyard::launch {

inline constexpr const char* kApiKeyVariable = "SWITCHYARD_API_KEY";  // several: separated by commas
inline constexpr const char* kAdminKeyVariable = "SWITCHYARD_ADMIN_API_KEY";
inline constexpr const char* kSecretVariable = "SWITCHYARD_SECRET";

// What a secret that a person chose must have, lest it can be guessed from a recorded handshake: 16 bytes, the output
// of `openssl rand -hex 8`.
inline constexpr size_t kSecretBytesMin = 16;

// Takes the three variables out of the environment. A key goes into the configuration where that has none (of
// frontend.api_keys; of admin_api_key and its file); the secret is given back, "" = none or the configuration has a
// secret_file. The error names the variable.
Result<std::string> take_environment(config::ClusterConfig& config);

// Reads the files that the configuration names and that only their owner may read: coordinator.admin_api_key_file
// becomes admin_api_key, and the secret file is looked at. All problems, one a line, with the key's name.
Status read_key_files(config::ClusterConfig& config);

// The arguments (without the program's name), in which what stands behind a flag of a key is then hidden from
// /proc/PID/cmdline.
std::vector<std::string> take_arguments(int argc, char** argv);

}  // namespace switchyard::launch
