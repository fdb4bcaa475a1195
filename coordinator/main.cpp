// switchyard-coordinator: see coordinator.h.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "common/base/atomic_file.h"
#include "common/base/log.h"
#include "common/base/out_of_memory.h"
#include "common/base/parent_death.h"
#include "common/checkpoint/checkpoint.h"
#include "common/config/cluster_config.h"
#include "common/config/schema.h"
#include "common/net/net.h"
#include "coordinator/coordinator.h"
#include "coordinator/placement.h"

namespace switchyard::coordinator {
namespace {

Status serve(const std::string& file, const sigset_t& ends) {
  SWITCHYARD_ASSIGN(auto config, config::load(file));
  if (auto& c = config.coordinator; !c.admin_api_key_file.empty()) {
    SWITCHYARD_ASSIGN(c.admin_api_key, net::load_secret(c.admin_api_key_file));
  }
  SWITCHYARD_TRY(config::check_exposure(config));
  init_log("coordinator", parse_log_level(config.log.level), config.log.format == "json");
  if (config.coordinator.port == 0) {
    return Error{Errc::kInvalid, file + ": coordinator.port: 0 is for the launcher, which puts a port in its place"};
  }
  if (config.secret_file.empty()) {
    return Error{Errc::kInvalid, file + ": secret_file: empty is for the launcher, which makes one"};
  }
  SWITCHYARD_ASSIGN(const auto secret, net::load_secret(config.secret_file));
  SWITCHYARD_ASSIGN(const auto spec, checkpoint::Checkpoint::read_spec(config.model.path));
  const ModelFacts model{spec.architecture, expert_layer_count(spec), spec.expert_count};
  SWITCHYARD_ASSIGN(const auto coordinator, Coordinator::start(config, model, secret));
  log_info("coordinator ready",
           {{"pid", getpid()},
            {"port", coordinator->port()},
            {"admin", config.coordinator.admin_host + ":" + std::to_string(coordinator->admin_port())},
            {"groups", config.worker.groups},
            {"ranks", config.worker.groups * config.worker.data_parallel_size}});
  int signal = 0;
  sigwait(&ends, &signal);
  log_info("coordinator stops", {{"signal", signal}});
  return {};
}

}  // namespace
}  // namespace switchyard::coordinator

int main(int argc, char** argv) {
  CLI::App app{"The control plane of a Switchyard cluster."};
  std::string config;
  app.add_option("--config", config, "CLUSTER.yaml")->required();
  pid_t parent = -1;
  app.add_option("--die-with-parent", parent, "End when the process that started this one ends; PID, or 0 for any")
      ->expected(0, 1)
      ->default_str("0");
  CLI11_PARSE(app, argc, argv);
  if (app.count("--die-with-parent") > 0) switchyard::die_with_parent(parent > 0 ? parent : 0);

  // Before any thread starts, so that all of them leave these to sigwait().
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  switchyard::ignore_file_size_signal();
  switchyard::end_when_out_of_memory("coordinator");

  switchyard::init_log("coordinator", switchyard::LogLevel::kInfo, false);
  const auto status = switchyard::coordinator::serve(config, ends);
  if (status.ok()) return 0;
  std::fprintf(stderr, "switchyard-coordinator: %s\n", status.error().message.c_str());
  return 1;
}
