#include "launch/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>

#include "common/config/rank_places.h"

namespace switchyard::launch {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

// Frontends first, so that they finish what runs on the ranks; the coordinator last.
enum StopOrder { kStopFrontends, kStopWorkers, kStopCoordinator };

std::string host_name(const std::string& host) { return config::host_slots(host, 0).host; }

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

std::string hosts_text(const std::vector<config::HostSlots>& hosts) {
  Words names;
  for (const auto& host : hosts) names.push_back(host.host);
  return names.empty() ? "this machine" : fmt::format("{}", fmt::join(names, ", "));
}

// The hosts of a group with their slots there: one group may use them all, several share them out rank by rank.
std::vector<config::HostSlots> hosts_of_group(const config::WorkerConfig& w, uint32_t group) {
  std::vector<config::HostSlots> hosts;
  if (w.hosts.empty()) return hosts;
  if (w.groups == 1) {
    for (const auto& host : w.hosts)
      hosts.push_back(config::host_slots(host, w.gpus_per_node != 0 ? w.gpus_per_node : w.data_parallel_size));
    return hosts;
  }
  const auto places = config::rank_places(w);
  for (uint32_t i = 0; i < w.data_parallel_size; ++i) {
    const auto& host = places[size_t{group} * w.data_parallel_size + i].host;
    if (hosts.empty() || hosts.back().host != host) hosts.push_back({host, 0});
    ++hosts.back().slots;
  }
  return hosts;
}

// The ranks that are started as one: all of a group where MPI carries the exchange, else one, so that each can
// die and come back by itself.
struct Job {
  uint32_t group = 0;
  uint32_t first = 0;  // index in the group
  uint32_t count = 1;
  std::vector<config::HostSlots> hosts;
};

std::vector<Job> jobs_of(const config::WorkerConfig& w) {
  std::vector<Job> jobs;
  const auto places = config::rank_places(w);
  for (uint32_t group = 0; group < w.groups; ++group) {
    if (w.exchange == "mpi") {
      jobs.push_back({group, 0, w.data_parallel_size, hosts_of_group(w, group)});
      continue;
    }
    for (uint32_t i = 0; i < w.data_parallel_size; ++i) {
      const std::string& host = places[size_t{group} * w.data_parallel_size + i].host;
      std::vector<config::HostSlots> hosts;
      if (!host.empty()) hosts.push_back({host, 1});
      jobs.push_back({group, i, 1, std::move(hosts)});
    }
  }
  return jobs;
}

std::string job_name(const config::WorkerConfig& w, const Job& job) {
  if (job.count < w.data_parallel_size || w.exchange != "mpi")
    return fmt::format("worker rank {}", job.group * w.data_parallel_size + job.first);
  return w.groups == 1 ? "worker ranks" : fmt::format("worker group {}", job.group);
}

// What starts a rank. parent: as worker/main.cpp takes it; "": a child of the launcher.
Words worker_line(const PlanSurroundings& around, const Job& job, const std::string& parent) {
  Words line{around.program_directory + "/switchyard-worker",
             "--config",
             around.run_directory + "/cluster.yaml",
             "--group",
             std::to_string(job.group),
             "--rank",
             std::to_string(job.first)};
  if (!parent.empty()) append(line, {"--die-with-parent", parent});
  return line;
}

// mpirun, for ranks on this machine alone or on hosts reached by ssh.
Words mpirun_line(const config::ClusterConfig& config, const PlanSurroundings& around, const Job& job) {
  const auto& w = config.worker;
  const auto& hosts = job.hosts;
  Words line{"mpirun", "-n", std::to_string(job.count), "--bind-to", "none", "--oversubscribe"};
  if (around.is_root) line.push_back("--allow-run-as-root");
  bool all_here = true;
  if (!hosts.empty()) {
    Words list;
    for (const auto& host : hosts) {
      list.push_back(fmt::format("{}:{}", host.host, host.slots));
      all_here = all_here && is_this_machine(host.host);
    }
    append(line, {"--host", fmt::format("{}", fmt::join(list, ","))});
  }
  // pml ob1 over btl self, vader and, between machines, tcp: looking for other fabrics doubles the time to start (0.38
  // s against 0.19 s, two ranks, Open MPI 4.1.4), and exchanges of a rank's size gain nothing from them. CMA needs
  // ptrace rights that containers lack.
  append(line, {"--mca", "pml", "ob1", "--mca", "btl", all_here ? "self,vader" : "self,vader,tcp", "--mca",
                "btl_vader_single_copy_mechanism", "none"});
  if (all_here) {
    // No daemons on other machines, shared memory alone between ranks, no other interface than loopback; temporary
    // files go with the run directory.
    const std::string directory = around.run_directory + "/" + job_directory(config, job.group, job.first);
    append(line, {"--mca", "plm", "isolated", "--mca", "oob_tcp_if_include", "lo", "--mca", "orte_tmpdir_base",
                  directory, "--mca", "btl_vader_backing_directory", directory});
  }
  append(line, w.mpirun_args);
  append(line, worker_line(around, job, all_here ? std::string(kOwnPid) : "0"));
  return line;
}

Words srun_line(const config::ClusterConfig& config, const PlanSurroundings& around, const Job& job) {
  const auto& w = config.worker;
  const auto& hosts = job.hosts;
  Words line{"srun", "--mpi=pmix", "--kill-on-bad-exit=1", "-n", std::to_string(job.count)};
  if (w.gpus_per_node != 0) {
    append(line, {fmt::format("--ntasks-per-node={}", std::min(w.gpus_per_node, job.count)), "--gpus-per-task=1"});
  }
  // A step takes its nodes whole unless told otherwise, and the jobs are a step each: with GPUs each keeps to those
  // that it asks for, and needs the cores of its threads; without, all share.
  const bool several = w.groups > 1 || job.count < w.data_parallel_size;
  if (several && w.gpus_per_node == 0) line.push_back("--overlap");
  if (several && w.gpus_per_node != 0) {
    line.push_back("--exact");
    if (w.threads_per_rank != 0) line.push_back(fmt::format("--cpus-per-task={}", w.threads_per_rank));
  }
  if (!hosts.empty()) {
    Words names;
    for (const auto& host : hosts) names.push_back(host.host);
    line.push_back(fmt::format("--nodelist={}", fmt::join(names, ",")));
  }
  append(line, worker_line(around, job, "0"));
  return line;
}

// A program on another machine. -tt: when the launcher and with it ssh end, the far side gets SIGHUP.
Words on_host(const config::ClusterConfig& config, const std::string& host, const Words& line) {
  if (is_this_machine(host)) return line;
  if (config.launcher == "srun") {
    Words srun{"srun", "-N", "1", "-n", "1", "--overlap", "--nodelist=" + host};
    append(srun, line);
    return srun;
  }
  return {"ssh", "-tt", "-o", "BatchMode=yes", host, shell_line(line)};
}

}  // namespace

std::string rank_starter(const config::ClusterConfig& config) {
  if (config.launcher != "auto") return config.launcher;
  return config.worker.exchange == "mpi" || !config.worker.mpirun_args.empty() ? "mpirun" : "";
}

std::string job_directory(const config::ClusterConfig& config, uint32_t group, uint32_t rank) {
  return fmt::format("ranks-{}", group * config.worker.data_parallel_size + rank);
}

bool is_this_machine(const std::string& host) {
  return host.empty() || host == "localhost" || host == "::1" || host == "0.0.0.0" || host == "::" ||
         host.starts_with("127.");
}

std::vector<std::string> remote_hosts(const config::ClusterConfig& config) {
  Words found;
  auto look = [&](const Words& hosts) {
    for (const auto& host : hosts) {
      const std::string name = host_name(host);
      if (!is_this_machine(name) && std::find(found.begin(), found.end(), name) == found.end()) found.push_back(name);
    }
  };
  look(config.worker.hosts);
  look(config.frontend.hosts);
  return found;
}

Status check_context(const config::ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  if (config.model.max_model_len <= spec.max_position) return {};
  return Error{Errc::kInvalid, fmt::format("model.max_model_len: is {}, and the model's context is {} (config.json: "
                                           "max_position_embeddings)",
                                           config.model.max_model_len, spec.max_position)};
}

std::string shell_line(const std::vector<std::string>& argv) {
  std::string line;
  for (const auto& argument : argv) {
    if (!line.empty()) line += ' ';
    const bool plain = !argument.empty() && std::all_of(argument.begin(), argument.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 ||
             std::string_view("_-+=./,:@%{}").find(static_cast<char>(c)) != std::string_view::npos;
    });
    if (plain) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

std::vector<PlannedProcess> plan_processes(const config::ClusterConfig& config, const PlanSurroundings& around) {
  const std::string yaml = around.run_directory + "/cluster.yaml";
  std::vector<PlannedProcess> plan;

  Program coordinator;
  coordinator.name = "coordinator";
  coordinator.argv = {around.program_directory + "/switchyard-coordinator", "--config", yaml};
  coordinator.stop_order = kStopCoordinator;
  coordinator.stop_deadline = milliseconds(2000);
  plan.push_back({Role::kCoordinator, "this machine", coordinator});

  const std::string starter = rank_starter(config);
  const bool has_remote = !remote_hosts(config).empty();
  for (const Job& job : jobs_of(config.worker)) {
    Program workers;
    workers.name = job_name(config.worker, job);
    workers.stop_order = kStopWorkers;
    workers.stop_deadline = milliseconds(5000);
    PlannedProcess planned{Role::kWorkers, hosts_text(job.hosts), {}, "", job.count};
    if (starter == "srun") {
      workers.argv = srun_line(config, around, job);
      workers.death_signal = SIGTERM;  // it ends its ranks then
    } else if (starter == "mpirun") {
      workers.argv = mpirun_line(config, around, job);
      // SIGTERM: mpirun ends ranks on other machines then. Here the kernel does that for them, at once (mpirun would
      // take 3 s).
      workers.death_signal = has_remote ? SIGTERM : SIGKILL;
      workers.stop_children = !has_remote;
      workers.is_mpirun = true;
      workers.first_rank = job.group * config.worker.data_parallel_size + job.first;
      planned.directory = job_directory(config, job.group, job.first);
    } else {
      workers.argv = on_host(config, job.hosts.empty() ? "" : job.hosts.front().host, worker_line(around, job, ""));
    }
    planned.program = std::move(workers);
    plan.push_back(std::move(planned));
  }

  for (uint32_t i = 0; i < config.frontend.count; ++i) {
    const std::string host =
        config.frontend.hosts.empty() ? "" : config.frontend.hosts[i % config.frontend.hosts.size()];
    Program frontend;
    frontend.name = fmt::format("frontend {}", i);
    frontend.argv =
        on_host(config, host,
                {around.program_directory + "/switchyard-frontend", "--config", yaml, "--index", std::to_string(i)});
    frontend.stop_order = kStopFrontends;
    // It keeps the drain deadline itself; the rest is for saying goodbye.
    frontend.stop_deadline = milliseconds(config.drain_deadline_ms) + milliseconds(2000);
    plan.push_back({Role::kFrontend, host.empty() ? "this machine" : host, frontend});
  }
  return plan;
}

}  // namespace switchyard::launch
