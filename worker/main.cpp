// switchyard-worker: one rank of a group. Started by the launcher, mpirun or srun, one process a rank.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/log.h"
#include "common/base/mapped_files.h"
#include "common/base/out_of_memory.h"
#include "common/base/parent_death.h"
#include "common/checkpoint/checkpoint.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"
#include "worker/exchange/mpi_transport.h"
#include "worker/place.h"
#include "worker/rank.h"

namespace switchyard::worker {
namespace {

Status serve(const config::ClusterConfig& config, const MpiWorld& world, uint32_t group, const sigset_t& signals) {
  SWITCHYARD_ASSIGN(const Place place, find_place(config, group, world.rank, world.size));
  SWITCHYARD_ASSIGN(const kernels::OpTable* ops, choose_backend(config.worker, place));
  SWITCHYARD_ASSIGN(const checkpoint::Checkpoint checkpoint, checkpoint::Checkpoint::open(config.model.path));
  const std::string& wanted = config.model.fingerprint;
  if (!wanted.empty() && checkpoint.fingerprint() != wanted) {
    return Error{Errc::kInvalid,
                 fmt::format("model.path: the files of \"{}\" are others (fingerprint {}) than those that the cluster "
                             "was started with ({}): start it anew to serve these",
                             config.model.path, checkpoint.fingerprint(), wanted)};
  }
  SWITCHYARD_ASSIGN(const std::string secret, net::load_secret(config.secret_file));
  net::Options options;
  SWITCHYARD_ASSIGN(options.tls, net::internal_tls(config.tls.cert_file, config.tls.key_file, config.tls.ca_file));
  SWITCHYARD_ASSIGN(auto service,
                    net::Service::start({wire::ROLE_WORKER, fmt::format("worker {}", place.rank_id)}, secret, options));
  const uint32_t deadline = config.worker.step_deadline_ms;
  std::unique_ptr<ExchangeMaker> exchanges;
  if (uses_mpi(config)) {
    exchanges = make_mpi_exchanges(deadline);
  } else {
    SWITCHYARD_ASSIGN(
        exchanges, make_tcp_exchanges(config.worker.listen_host, {secret, options.tls, service->refusals()}, deadline));
  }
  SWITCHYARD_ASSIGN(auto started, Rank::start(config, checkpoint, *ops, place, std::move(service), std::move(exchanges),
                                              [](const std::string& why) {
                                                std::fprintf(stderr, "fatal: %s\n", why.c_str());
                                                std::fflush(stderr);
                                                std::_Exit(1);
                                              }));
  Rank* rank = started.release();  // as long as the process, for the thread below, which nobody joins
  std::thread([rank, signals] {
    for (int signal = 0; sigwait(&signals, &signal) == 0;) rank->drain();
  }).detach();
  return rank->run();
}

int run(int argc, char** argv) {
  CLI::App app("One worker rank of a Switchyard cluster; started by switchyard, mpirun or srun.");
  std::string config_file;
  int parent = -1;
  app.add_option("--config", config_file, "the cluster's YAML")->required();
  uint32_t group = 0;
  uint32_t rank = 0;
  app.add_option("--group", group, "which of the cluster's groups the rank belongs to");
  app.add_option("--rank", rank, "which rank of the group it is, unless MPI says so (worker.exchange: mpi)");
  app.add_option("--die-with-parent", parent, "end when the process that started this one ends; its pid, or 0");
  CLI11_PARSE(app, argc, argv);
  if (parent >= 0) die_with_parent(parent);

  // Blocked before any thread starts, so that only sigwait() sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  ignore_file_size_signal();

  auto config = config::load(config_file);
  const bool mpi = config.ok() && uses_mpi(*config) && started_by_launcher();
  const MpiWorld world = mpi ? mpi_init() : MpiWorld{rank, config.ok() ? config->worker.data_parallel_size : 1};
  std::string who;  // says it, and what ranks it counts; "" in a cluster of one group
  const auto fatal = [&](const Error& error) {
    // Ranks of a job that fail alike (a bad checkpoint) say it once.
    if (!mpi || world.rank == 0 || error.code == Errc::kTimeout || error.code == Errc::kPeerLost) {
      std::fprintf(stderr, "fatal: %s%s\n", who.c_str(), error.message.c_str());
      std::fflush(stderr);
    }
    if (mpi) mpi_abort(1);
    std::_Exit(1);
  };
  if (!config.ok()) fatal(config.error());
  if (config->worker.groups > 1) who = fmt::format("group {}: ", group);
  const uint32_t rank_id = group * world.size + world.rank;
  end_when_out_of_memory(fmt::format("rank {}", rank_id));
  end_with_file_name(fmt::format("rank {}", rank_id));
  init_log(fmt::format("worker {}", rank_id), parse_log_level(config->log.level), config->log.format == "json");
  if (const Status ended = serve(*config, world, group, signals); !ended.ok()) fatal(ended.error());
  log_info("rank ends", {{"rank", rank_id}});
  if (mpi) mpi_finalize();
  std::fflush(nullptr);
  std::_Exit(0);  // the signal thread may still wait
}

}  // namespace
}  // namespace switchyard::worker

int main(int argc, char** argv) { return switchyard::worker::run(argc, argv); }
