// switchyard-frontend: the OpenAI API of a Switchyard cluster.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "common/base/atomic_file.h"
#include "common/base/log.h"
#include "common/base/out_of_memory.h"
#include "common/base/parent_death.h"
#include "common/config/cluster_config.h"
#include "common/config/schema.h"
#include "frontend/api/frontend.h"

namespace switchyard {
namespace {

Status serve(const std::string& file, uint32_t index, const sigset_t& ends) {
  SWITCHYARD_ASSIGN(const auto config, config::load(file));
  SWITCHYARD_TRY(config::check_exposure(config));
  init_log(fmt::format("frontend {}", index), parse_log_level(config.log.level), config.log.format == "json");
  if (config.coordinator.port == 0)
    return Error{Errc::kInvalid, file + ": coordinator.port: 0 is for the launcher, which puts a port in its place"};
  if (config.secret_file.empty())
    return Error{Errc::kInvalid, file + ": secret_file: empty is for the launcher, which makes one"};
  SWITCHYARD_ASSIGN(const auto frontend, frontend::Frontend::start(config, index));
  int signal = 0;
  sigwait(&ends, &signal);
  frontend->drain();
  return {};
}

}  // namespace
}  // namespace switchyard

int main(int argc, char** argv) {
  CLI::App app{"The OpenAI API of a Switchyard cluster: HTTP in, tokens to the worker ranks."};
  std::string config;
  uint32_t index = 0;
  pid_t parent = -1;
  app.add_option("--config", config, "CLUSTER.yaml")->required();
  app.add_option("--index", index, "Which of the cluster's frontends; listens on frontend.port + index")
      ->check(CLI::Range(0, 4095));
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
  signal(SIGPIPE, SIG_IGN);
  switchyard::ignore_file_size_signal();
  switchyard::end_when_out_of_memory(fmt::format("frontend {}", index));

  switchyard::init_log("frontend", switchyard::LogLevel::kInfo, false);
  const auto status = switchyard::serve(config, index, ends);
  if (status.ok()) return 0;
  std::fprintf(stderr, "fatal: %s\n", status.error().message.c_str());
  return 1;
}
