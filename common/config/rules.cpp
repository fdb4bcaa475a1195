// Combinations of keys that cannot work. Each rule is a few lines; all of them are looked at, so that a person hears of
// all at once.
#include <fmt/format.h>

#include <algorithm>

#include "common/config/rank_places.h"
#include "common/config/schema.h"

namespace switchyard::config {
namespace {

std::string_view host_name(std::string_view host_and_slots) {
  return host_and_slots.substr(0, host_and_slots.find(':'));
}

bool any_remote(const std::vector<std::string>& hosts) {
  return std::any_of(hosts.begin(), hosts.end(), [](const std::string& h) { return !is_loopback(host_name(h)); });
}

}  // namespace

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

Status check_exposure(const ClusterConfig& config) {
  const auto& f = config.frontend;
  const auto& c = config.coordinator;
  std::string problems;
  if (!is_loopback(f.host) && f.api_keys.empty() && f.api_keys_file.empty() && !f.allow_unauthenticated) {
    problems = fmt::format(
        "frontend.host: {} is open to other machines, and no key is asked for: give keys (--api-key, "
        "frontend.api_keys, api_keys_file or SWITCHYARD_API_KEY), or, in a network that you trust, "
        "--allow-unauthenticated (frontend.allow_unauthenticated: true)",
        f.host);
  }
  if (!is_loopback(c.admin_host) && c.admin_api_key.empty() && c.admin_api_key_file.empty()) {
    problems += fmt::format(
        "{}coordinator.admin_host: {} is open to other machines, and no key is asked for: give one (--admin-api-key, "
        "coordinator.admin_api_key, admin_api_key_file or SWITCHYARD_ADMIN_API_KEY), or listen on 127.0.0.1",
        problems.empty() ? "" : "\n", c.admin_host);
  }
  if (problems.empty()) return {};
  return Error{Errc::kInvalid, problems};
}

std::vector<Conflict> find_conflicts(const ClusterConfig& config) {
  std::vector<Conflict> found;
  auto conflict = [&](std::string section, std::string name, std::string message) {
    found.push_back({std::move(section), std::move(name), std::move(message)});
  };
  const auto& w = config.worker;
  const auto& f = config.frontend;
  const auto& c = config.coordinator;

  if (w.exchange == "local" && w.data_parallel_size > 1) {
    conflict("worker", "exchange",
             fmt::format("local joins one rank, and data_parallel_size is {}", w.data_parallel_size));
  }
  if (w.device == "cpu" && (w.exchange == "nccl" || w.exchange == "staged")) {
    conflict("worker", "exchange", fmt::format("{} moves GPU memory, and device is cpu", w.exchange));
  }
  if (w.device == "cpu" && !w.gpu_model.empty()) conflict("worker", "gpu_model", "is given, and device is cpu");
  if (w.gpu_model.empty() != (w.gpus_per_node == 0)) {
    conflict("worker", w.gpu_model.empty() ? "gpus_per_node" : "gpu_model",
             "gpu_model and gpus_per_node are given together or not at all");
  }

  // Of each rank the coordinator keeps four sets of token counts (0.5 MB with 58 layers of 256 experts), and frontends
  // hear of every rank each second.
  constexpr uint64_t kRanksMax = 4096;
  const uint64_t ranks = uint64_t{w.groups} * w.data_parallel_size;
  const std::string ranks_text =
      w.groups == 1 ? fmt::format("data_parallel_size is {}", w.data_parallel_size)
                    : fmt::format("{} groups of {} ranks are {}", w.groups, w.data_parallel_size, ranks);
  if (ranks > kRanksMax)
    conflict("worker", "groups", fmt::format("a cluster has at most {} ranks, and {}", kRanksMax, ranks_text));
  if (w.min_ranks > w.data_parallel_size) {
    conflict("worker", "min_ranks",
             fmt::format("is {}, and a group has {} ranks (data_parallel_size)", w.min_ranks, w.data_parallel_size));
  }

  // Room for the ranks: a host without a count of slots holds as many as it has GPUs, or any number of CPU ranks.
  if (!w.hosts.empty()) {
    uint64_t slots = 0;
    bool bounded = true;
    for (const auto& host : w.hosts) {
      if (w.gpus_per_node == 0 && host.find(':') == std::string::npos) bounded = false;
      const uint32_t here = host_slots(host, w.gpus_per_node).slots;
      if (w.gpus_per_node > 0 && here > w.gpus_per_node) {
        conflict("worker", "hosts",
                 fmt::format("{} asks for {} ranks, and gpus_per_node is {}", host_name(host), here, w.gpus_per_node));
      }
      slots += here;
    }
    if (bounded && slots < ranks) {
      conflict("worker", "hosts", fmt::format("have room for {} ranks, and {}", slots, ranks_text));
    }
  } else if (w.gpus_per_node > 0 && w.data_parallel_size > w.gpus_per_node) {
    conflict("worker", "data_parallel_size",
             fmt::format("is {}, and this machine has {} GPUs (gpus_per_node)", w.data_parallel_size, w.gpus_per_node));
  } else if (w.gpus_per_node > 0 && ranks > w.gpus_per_node) {
    conflict("worker", "groups",
             fmt::format("{}, and this machine has {} GPUs (gpus_per_node)", ranks_text, w.gpus_per_node));
  }
  if (config.launcher == "srun" && !w.mpirun_args.empty())
    conflict("worker", "mpirun_args", "are given, and launcher is srun");
  if (w.step_deadline_ms <= config.heartbeat_ms) {
    conflict("worker", "step_deadline_ms", fmt::format("must be longer than heartbeat_ms, {}", config.heartbeat_ms));
  }

  // Addresses that other machines must reach.
  if (any_remote(w.hosts)) {
    if (is_loopback(w.listen_host)) {
      conflict("worker", "listen_host",
               fmt::format("{} cannot be reached from other machines, and worker.hosts names some", w.listen_host));
    }
    if (is_loopback(c.host)) {
      conflict("coordinator", "host",
               fmt::format("{} cannot be reached from other machines, and worker.hosts names some", c.host));
    }
  }
  if (any_remote(f.hosts) && is_loopback(c.host) && !any_remote(w.hosts)) {
    conflict("coordinator", "host",
             fmt::format("{} cannot be reached from other machines, and frontend.hosts names some", c.host));
  }

  if ((any_remote(w.hosts) || any_remote(f.hosts)) && (c.host == "0.0.0.0" || c.host == "::")) {
    conflict("coordinator", "host",
             fmt::format("{} is every address of one machine; the others need a name to connect to", c.host));
  }

  // TLS.
  if (f.ssl_certfile.empty() != f.ssl_keyfile.empty()) {
    conflict("frontend", f.ssl_certfile.empty() ? "ssl_certfile" : "ssl_keyfile",
             "ssl_certfile and ssl_keyfile are given together or not at all");
  }
  if (!f.ssl_ca_certs.empty() && f.ssl_certfile.empty())
    conflict("frontend", "ssl_ca_certs", "asks clients for certificates, and there is no ssl_certfile");
  if (c.admin_ssl_certfile.empty() != c.admin_ssl_keyfile.empty()) {
    conflict("coordinator", c.admin_ssl_certfile.empty() ? "admin_ssl_certfile" : "admin_ssl_keyfile",
             "admin_ssl_certfile and admin_ssl_keyfile are given together or not at all");
  }
  if (!c.admin_api_key.empty() && !c.admin_api_key_file.empty())
    conflict("coordinator", "admin_api_key_file", "admin_api_key is given as well");
  if (!c.admin_api_key.empty() && std::find(f.api_keys.begin(), f.api_keys.end(), c.admin_api_key) != f.api_keys.end())
    conflict("coordinator", "admin_api_key",
             "is one of frontend.api_keys as well: who may use the model could end the cluster with it");
  const auto& t = config.tls;
  const bool all = !t.cert_file.empty() && !t.key_file.empty() && !t.ca_file.empty();
  const bool none = t.cert_file.empty() && t.key_file.empty() && t.ca_file.empty();
  if (!all && !none) {
    conflict("tls",
             t.cert_file.empty()  ? "cert_file"
             : t.key_file.empty() ? "key_file"
                                  : "ca_file",
             "cert_file, key_file and ca_file are given together or not at all");
  }
  if (all && w.exchange == "mpi")
    conflict("worker", "exchange", "MPI's messages between ranks are not encrypted, and tls is given");

  // Ports.
  if (f.port != 0 && f.port + f.count - 1 > 65535) {
    conflict("frontend", "port", fmt::format("{} frontends from port {} on go beyond 65535", f.count, f.port));
  }
  auto is_frontend_port = [&](uint16_t port) { return f.port != 0 && port >= f.port && port < f.port + f.count; };
  if (c.admin_port != 0 && is_frontend_port(c.admin_port)) {
    conflict("coordinator", "admin_port", fmt::format("{} is a frontend's port as well", c.admin_port));
  }
  if (c.port != 0 && is_frontend_port(c.port))
    conflict("coordinator", "port", fmt::format("{} is a frontend's port as well", c.port));
  if (c.port != 0 && c.port == c.admin_port)
    conflict("coordinator", "port", fmt::format("{} is admin_port as well", c.port));
  return found;
}

}  // namespace switchyard::config
