// fake_ranks: the cluster behind a frontend whose scale is measured (tests/support/scheduled_rank.h). Takes the
// coordinator's place in CLUSTER.yaml; on SIGTERM prints what it did as one line of JSON.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "common/base/log.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "tests/support/scheduled_rank.h"

namespace switchyard {
namespace {

Status run(const std::string& file, ScheduledRank::Options options, const sigset_t& ends) {
  SWITCHYARD_ASSIGN(const auto config, config::load(file));
  SWITCHYARD_ASSIGN(options.secret, net::load_secret(config.secret_file));
  options.coordinator_port = config.coordinator.port;
  options.tokenizer = config.model.path;
  SWITCHYARD_ASSIGN(const auto rank, ScheduledRank::start(options));
  fmt::print("ready\n");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  const auto stats = rank->stats();
  fmt::print(R"({{"sequences": {}, "tokens": {}, "cancelled": {}, "late_ms_mean": {:.3f}, "late_ms_max": {:.3f}}})"
             "\n",
             stats.sequences, stats.tokens, stats.cancelled, stats.late_ms_mean, stats.late_ms_max);
  return {};
}

}  // namespace
}  // namespace switchyard

int main(int argc, char** argv) {
  CLI::App app{"A coordinator and a rank that emit tokens on schedule."};
  std::string config;
  int64_t first_us = 0, interval_us = 50000, tick_us = 1000;
  app.add_option("--config", config, "CLUSTER.yaml of the frontends")->required();
  app.add_option("--first-us", first_us, "to a first output; 0: at once")->check(CLI::Range(0, 60000000));
  app.add_option("--interval-us", interval_us, "between outputs")->check(CLI::Range(1, 60000000));
  app.add_option("--tick-us", tick_us, "between frames")->check(CLI::Range(1, 60000000));
  CLI11_PARSE(app, argc, argv);

  // Before any thread starts, so that all of them leave these to sigwait().
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);

  switchyard::init_log("fake ranks", switchyard::LogLevel::kWarn, false);
  switchyard::ScheduledRank::Options options;
  options.first = std::chrono::microseconds(first_us);
  options.interval = std::chrono::microseconds(interval_us);
  options.tick = std::chrono::microseconds(tick_us);
  const auto status = switchyard::run(config, options, ends);
  if (status.ok()) return 0;
  std::fprintf(stderr, "fatal: %s\n", status.error().message.c_str());
  return 1;
}
