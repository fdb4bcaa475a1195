// switchyard-worker: one rank of a group. Started by mpirun or srun, one process a rank.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/parent_death.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/memory_plan.h"
#include "common/config/cluster_config.h"
#include "common/config/memory_options.h"
#include "common/config/rank_places.h"
#include "common/net/net.h"
#include "kernels/api/device.h"
#include "worker/engine/device_plan.h"
#include "worker/engine/engine.h"
#include "worker/engine/kv_plan.h"
#include "worker/exchange/mpi_transport.h"
#include "worker/exchange/tcp_transport.h"
#include "worker/model/model.h"
#include "worker/model/packed_cache.h"
#include "worker/server.h"

namespace switchyard::worker {
namespace {

constexpr uint32_t kJoinDeadlineMs = 60000;

bool uses_mpi(const config::ClusterConfig& config) { return config.worker.exchange == "mpi"; }

// What a launcher tells a process about its place, also before MPI is up (for messages).
bool started_by_launcher() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr;
}

uint32_t number_from_launcher(const char* name, uint32_t otherwise) {
  const char* text = std::getenv(name);
  const int value = text != nullptr ? std::atoi(text) : -1;
  return value >= 0 ? static_cast<uint32_t>(value) : otherwise;
}

// Where the rank stands: in its job, in the cluster, and among the ranks of its machine.
struct Place {
  uint32_t index = 0;  // in its group; the rank in MPI, where that is used
  uint32_t size = 1;   // of the group
  uint32_t group = 0;
  uint32_t rank_id = 0;  // in the cluster
  uint32_t on_node = 0;  // among the ranks of the machine
  uint32_t node_size = 1;
};

// What a launcher knows of the machine ends with its job: of other jobs there the plan tells.
Place place_of(const config::ClusterConfig& config, const MpiWorld& world, uint32_t group) {
  Place place{world.rank, world.size, group, group * world.size + world.rank, 0, 1};
  place.on_node = number_from_launcher("OMPI_COMM_WORLD_LOCAL_RANK", 0);
  place.node_size = std::max(1U, number_from_launcher("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  if (uses_mpi(config) && (config.worker.groups == 1 || config.launcher != "mpirun")) return place;
  const config::RankPlace planned = config::rank_places(config.worker)[place.rank_id];
  place.on_node = planned.index;
  place.node_size = planned.on_host;
  return place;
}

// The rank's own cores, one a thread: the ranks of a node share out what they may use, unless the launcher has done so
// (each then sees a set of its own). None when there are too few.
std::vector<int> cores_to_pin(const Place& place, uint32_t threads) {
  const std::vector<int> cores = machine_cores();
  const bool shared = cores.size() >= size_t{place.node_size} * threads;
  const uint32_t first = shared ? place.on_node * threads : 0;
  if (cores.size() < size_t{first} + threads) return {};
  return {cores.begin() + first, cores.begin() + first + threads};
}

kernels::WeightForm kernel_form(const config::ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  const std::string name = config::weight_form(config, spec);
  const auto* found = std::find(std::begin(kernels::kWeightFormNames), std::end(kernels::kWeightFormNames), name);
  SWITCHYARD_CHECK(found != std::end(kernels::kWeightFormNames));
  return static_cast<kernels::WeightForm>(found - std::begin(kernels::kWeightFormNames));
}

// Says every two seconds how far loading is, until told to end.
class LoadingLog {
 public:
  LoadingLog(const LoadProgress& progress, uint32_t rank) : thread_([this, &progress, rank] { run(progress, rank); }) {}
  ~LoadingLog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  void run(const LoadProgress& progress, uint32_t rank) {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(2), [this] { return done_; })) {
      const uint64_t total = std::max<uint64_t>(1, progress.bytes_total.load());
      log_info("loading weights", {{"rank", rank},
                                   {"percent", 100 * progress.bytes_done.load() / total},
                                   {"mib", progress.bytes_done.load() >> 20},
                                   {"of_mib", total >> 20}});
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

Result<std::vector<LayerPlacement>> layer_placements(const RankAssignment& assignment,
                                                     const checkpoint::ModelSpec& spec, uint32_t ranks) {
  const auto expert_layers = static_cast<size_t>(
      std::count_if(spec.layers.begin(), spec.layers.end(), [](const auto& layer) { return layer.experts; }));
  if (assignment.rank_of_expert.size() != expert_layers) {
    return Error{Errc::kInvalid, fmt::format("the placement has {} expert layers, the model {}",
                                             assignment.rank_of_expert.size(), expert_layers)};
  }
  std::vector<LayerPlacement> placements;
  for (const auto& layer : assignment.rank_of_expert) {
    if (layer.size() != spec.expert_count) {
      return Error{Errc::kInvalid,
                   fmt::format("the placement has {} experts a layer, the model {}", layer.size(), spec.expert_count)};
    }
    placements.push_back(LayerPlacement::from_ranks(layer, ranks));
  }
  return placements;
}

// Everything from here on returns the cause of a failed start, or of a group's end.
Result<const kernels::OpTable*> choose_backend(const config::WorkerConfig& worker, const Place& place) {
  if (worker.device == "cuda") {
    auto ops = kernels::cuda_backend(place.on_node);
    if (!ops.ok()) return Error{ops.error().code, "worker.device: " + ops.error().message};
    return ops;
  }
  const kernels::OpTable* ops = kernels::find_backend(worker.backend.c_str());
  if (ops == nullptr) {
    std::string names;
    const kernels::BackendList list = kernels::cpu_backends();
    for (size_t i = 0; i < list.count; ++i) names += std::string(" ") + list.tables[i]->name;
    return Error{Errc::kInvalid,
                 fmt::format("worker.backend: this machine has no op table '{}', but auto{}", worker.backend, names)};
  }
  return ops;
}

// Between the members of an epoch. `here` = this rank's place among them.
Result<std::unique_ptr<Exchange>> make_epochs_exchange(const config::ClusterConfig& config,
                                                       const RankAssignment& assignment, uint32_t here,
                                                       TcpListener& listener, const std::string& secret,
                                                       const ExchangeShape& shape, kernels::ThreadPool& pool,
                                                       const Epoch& epoch) {
  const uint32_t deadline = config.worker.step_deadline_ms;
  if (uses_mpi(config)) return make_message_exchange(make_mpi_transport(deadline, epoch), shape);
  std::unique_ptr<Transport> transport = make_single_transport();
  if (assignment.members.size() > 1) {
    std::vector<TcpMember> members;
    for (const auto& member : assignment.members) members.push_back({member.host, member.exchange_port});
    SWITCHYARD_ASSIGN(transport, make_tcp_transport(listener, members, here, secret, deadline, epoch));
  }
  return make_exchange(std::move(transport), shape, pool, deadline, epoch);
}

// The placement in terms of the epoch's members instead of the group's ranks.
RankAssignment among_members(RankAssignment assignment) {
  std::map<uint32_t, uint32_t> place;
  for (const auto& member : assignment.members) place.emplace(member.index, static_cast<uint32_t>(place.size()));
  for (auto& layer : assignment.rank_of_expert)
    for (uint32_t& rank : layer) rank = place.at(rank);
  return assignment;
}

// Of this rank's GPU.
Result<DevicePlan> plan_gpu(const config::ClusterConfig& config, const checkpoint::ModelSpec& spec,
                            const std::vector<LayerPlacement>& placement, uint32_t rank) {
  const checkpoint::MemoryPlan plan = checkpoint::plan_memory(spec, config::memory_options(config, spec));
  const kernels::DeviceMemory memory = kernels::cuda_memory();
  uint64_t experts = 0;
  for (const LayerPlacement& layer : placement) experts += layer.experts[rank].size();
  return plan_device({plan.replicated_bytes + experts * plan.expert_bytes, plan.workspace_bytes + memory.ops,
                      plan.kv_sequence_bytes, config.worker.kv_cache_memory_mib << 20},
                     memory.total, memory.free, config.worker.gpu_memory_utilization);
}

Status serve(const config::ClusterConfig& config, const MpiWorld& world, uint32_t group, const sigset_t& signals) {
  if (world.size != config.worker.data_parallel_size) {
    return Error{Errc::kInvalid, fmt::format("started with {} ranks, but worker.data_parallel_size is {}", world.size,
                                             config.worker.data_parallel_size)};
  }
  if (world.rank >= world.size) {
    return Error{Errc::kInvalid,
                 fmt::format("started as rank {}, but worker.data_parallel_size is {}", world.rank, world.size)};
  }
  if (group >= config.worker.groups) {
    return Error{Errc::kInvalid,
                 fmt::format("started as group {}, but worker.groups is {}", group, config.worker.groups)};
  }
  const Place place = place_of(config, world, group);
  SWITCHYARD_ASSIGN(const kernels::OpTable* ops, choose_backend(config.worker, place));
  SWITCHYARD_ASSIGN(const checkpoint::Checkpoint checkpoint, checkpoint::Checkpoint::open(config.model.path));
  const checkpoint::ModelSpec& spec = checkpoint.spec();

  SWITCHYARD_ASSIGN(const std::string secret, net::load_secret(config.secret_file));
  SWITCHYARD_ASSIGN(TcpListener listener, TcpListener::open(config.worker.listen_host, 0));
  SWITCHYARD_ASSIGN(
      const std::unique_ptr<Server> server,
      Server::start(
          config, {place.rank_id, place.index, place.size, ops->is_host ? "cpu" : fmt::format("cuda:{}", place.on_node),
                   ops->name, spec.architecture + " " + config.model.path, listener.port(), spec.vocab_size}));
  SWITCHYARD_ASSIGN(const RankAssignment to_load, server->join(kJoinDeadlineMs));
  SWITCHYARD_ASSIGN(const std::vector<LayerPlacement> loaded, layer_placements(to_load, spec, place.size));

  const auto cores = static_cast<uint32_t>(machine_cores().size());
  const uint32_t threads =
      config.worker.threads_per_rank != 0 ? config.worker.threads_per_rank : std::max(1U, cores / place.node_size);
  kernels::ThreadPool pool(threads, config.worker.pin_threads ? cores_to_pin(place, threads) : std::vector<int>{});
  const WeightForms forms = WeightForms::of(kernel_form(config, spec));

  // The KV plan comes before the weights: a plan that cannot work is said before anything is loaded.
  const uint32_t max_model_len =
      config.model.max_model_len != 0 ? std::min(config.model.max_model_len, spec.max_position) : spec.max_position;
  const KvGrouping grouping = KvGrouping::of(spec);
  const auto kv_type = kv_type_of(config.worker.kv_cache_dtype, config::is_float32(config, spec));
  SWITCHYARD_CHECK(kv_type.has_value());  // the schema knows the names
  const kernels::KvLayout layout = kv_layout(spec, *kv_type, config.worker.block_size);
  KvBudget budget{config.worker.kv_cache_memory_mib, max_model_len, config.worker.max_num_seqs,
                  config.worker.max_num_batched_tokens, place.node_size};
  if (!ops->is_host) {
    SWITCHYARD_ASSIGN(const DevicePlan device, plan_gpu(config, spec, loaded, place.index));
    log_info("GPU memory", {{"rank", place.rank_id}, {"plan", device.text}});
    budget.memory_mib = device.kv >> 20;
    budget.take_all = true;
  }
  SWITCHYARD_ASSIGN(const std::vector<KvGroup> groups, plan_kv(grouping, layout, *ops, budget));
  std::vector<uint32_t> block_counts;
  block_counts.reserve(groups.size());
  for (const KvGroup& kv_group : groups) block_counts.push_back(kv_group.block_count);
  SWITCHYARD_ASSIGN(const KvMemory kv_memory, KvMemory::allocate(spec, layout, grouping, block_counts, *ops));

  LoadProgress progress;
  server->watch_loading(&progress);
  std::unique_ptr<ModelWeights> weights;
  {
    const LoadingLog loading(progress, place.rank_id);
    const PackedCache cache(config.model.packed_cache, config.model.path, ops->name, forms, loaded, place.index);
    SWITCHYARD_ASSIGN(weights,
                      ModelWeights::load(checkpoint, forms, loaded, place.index, *ops, pool, &progress, &cache));
    if (weights->from_cache) log_info("weights mapped", {{"rank", place.rank_id}, {"file", cache.path()}});
    if (!weights->cache_error.empty())
      log_warn("packed weights not kept", {{"rank", place.rank_id}, {"why", weights->cache_error}});
  }

  server->prepared();

  std::thread([&server, signals] {
    for (int signal = 0; sigwait(&signals, &signal) == 0;) server->drain();
  }).detach();

  const ExchangeShape shape =
      exchange_shape(spec, forms, *ops, config.worker.max_num_batched_tokens + config.worker.max_num_seqs);
  KvCache kv(groups, config.worker.block_size, config.worker.enable_prefix_caching);
  EngineLimits limits;
  limits.scheduler = {config.worker.max_num_seqs, config.worker.max_waiting, max_model_len};
  limits.max_num_batched_tokens = config.worker.max_num_batched_tokens;
  const EngineCallbacks callbacks{[&](std::vector<EngineOutput>&& outputs) { server->deliver(std::move(outputs)); },
                                  [&](uint64_t epoch, uint64_t burst) { server->ask_for_burst(epoch, burst); }};

  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  Status ended;
  uint64_t after = 0;
  while (const auto next = server->next_epoch(after)) {
    after = next->epoch;
    const Epoch epoch{next->epoch, &server->latest_epoch()};
    const RankAssignment assignment = among_members(*next);
    const auto size = static_cast<uint32_t>(assignment.members.size());
    const auto mine = std::find_if(assignment.members.begin(), assignment.members.end(),
                                   [&](const auto& member) { return member.index == place.index; });
    if (mine == assignment.members.end()) continue;
    const auto here = static_cast<uint32_t>(mine - assignment.members.begin());
    SWITCHYARD_ASSIGN(const std::vector<LayerPlacement> placement, layer_placements(assignment, spec, size));
    SWITCHYARD_TRY(weights->host(checkpoint, placement, here, *ops, pool, nullptr));

    // The old exchange goes when nobody uses it any more.
    auto made = make_epochs_exchange(config, assignment, here, listener, secret, shape, pool, epoch);
    ended = made.ok() ? Status() : Status(made.error());
    if (made.ok()) {
      // Every member has its weights before any takes a step.
      uint32_t ready = 1;
      std::vector<uint32_t> all(size);
      ended = (*made)->all_gather(&ready, sizeof ready, all.data());
    }
    if (ended.ok()) {
      if (engine == nullptr) {
        model =
            std::make_unique<Model>(spec, *weights, placement, *ops, pool, **made, kv_memory, grouping, max_model_len);
        engine = std::make_unique<Engine>(limits, spec, *model, kv, **made, pool, callbacks, epoch);
      } else {
        model->regroup(**made, placement);
        engine->regroup(**made, epoch);
      }
      exchange = std::move(*made);
      log_info("rank is live", {{"rank", place.rank_id},
                                {"group", place.group},
                                {"epoch", epoch.number},
                                {"members", size},
                                {"backend", ops->name},
                                {"threads", threads},
                                {"exchange", exchange->name()},
                                {"weights_mib", weights->bytes >> 20},
                                {"kv_mib", kv_memory.bytes() >> 20},
                                {"max_model_len", max_model_len}});
      server->enter(assignment, engine.get(), weights->bytes, kv_memory.bytes());
      ended = engine->run();
      if (ended.ok()) break;
    }
    // Ranks of an MPI job end together; others wait for the epoch that goes on without who was lost.
    if (uses_mpi(config)) break;
    log_warn("left an epoch", {{"rank", place.rank_id}, {"epoch", epoch.number}, {"why", ended.error().message}});
    if (!epoch.over()) server->leave(epoch.number);
    ended = {};
  }
  server->stop();
  return ended;
}

int run(int argc, char** argv) {
  CLI::App app("One worker rank of a Switchyard cluster; started by mpirun or srun.");
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
