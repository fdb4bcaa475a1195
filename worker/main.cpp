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
#include "kernels/api/device.h"
#include "worker/engine/device_plan.h"
#include "worker/engine/engine.h"
#include "worker/engine/kv_plan.h"
#include "worker/exchange/mpi_transport.h"
#include "worker/model/model.h"
#include "worker/model/packed_cache.h"
#include "worker/server.h"

namespace switchyard::worker {
namespace {

constexpr uint32_t kJoinDeadlineMs = 60000;

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
  uint32_t index = 0;  // in its group: the rank in MPI
  uint32_t size = 1;   // of the group
  uint32_t group = 0;
  uint32_t rank_id = 0;  // in the cluster
  uint32_t on_node = 0;  // among the ranks of the machine
  uint32_t node_size = 1;
};

// What a launcher knows of the machine ends with its job: of the other groups there the plan tells.
Place place_of(const config::ClusterConfig& config, const MpiWorld& world, uint32_t group) {
  Place place{world.rank, world.size, group, group * world.size + world.rank, 0, 1};
  place.on_node = number_from_launcher("OMPI_COMM_WORLD_LOCAL_RANK", 0);
  place.node_size = std::max(1U, number_from_launcher("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  if (config.worker.groups == 1 || config.launcher != "mpirun") return place;
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

Result<std::unique_ptr<Exchange>> choose_exchange(const config::ClusterConfig& config, const Place& place,
                                                  const checkpoint::ModelSpec& spec, const WeightForms& forms,
                                                  const kernels::OpTable& ops, kernels::ThreadPool& pool) {
  const uint32_t deadline = config.worker.step_deadline_ms;
  const ExchangeShape shape =
      exchange_shape(spec, forms, ops, config.worker.max_num_batched_tokens + config.worker.max_num_seqs);
  if (config.worker.exchange == "mpi") return make_message_exchange(make_mpi_transport(deadline), shape);
  return make_exchange(place.size == 1 ? make_single_transport() : make_mpi_transport(deadline), shape, pool, deadline);
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
  if (group >= config.worker.groups) {
    return Error{Errc::kInvalid,
                 fmt::format("started as group {}, but worker.groups is {}", group, config.worker.groups)};
  }
  const Place place = place_of(config, world, group);
  SWITCHYARD_ASSIGN(const kernels::OpTable* ops, choose_backend(config.worker, place));
  SWITCHYARD_ASSIGN(const checkpoint::Checkpoint checkpoint, checkpoint::Checkpoint::open(config.model.path));
  const checkpoint::ModelSpec& spec = checkpoint.spec();

  SWITCHYARD_ASSIGN(const std::unique_ptr<Server> server,
                    Server::start(config, {place.rank_id, place.index, place.size,
                                           ops->is_host ? "cpu" : fmt::format("cuda:{}", place.on_node), ops->name,
                                           spec.architecture + " " + config.model.path, spec.vocab_size}));
  SWITCHYARD_ASSIGN(const RankAssignment assignment, server->join(kJoinDeadlineMs));
  SWITCHYARD_ASSIGN(const std::vector<LayerPlacement> placement, layer_placements(assignment, spec, place.size));

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
    SWITCHYARD_ASSIGN(const DevicePlan device, plan_gpu(config, spec, placement, place.index));
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
    const PackedCache cache(config.model.packed_cache, config.model.path, ops->name, forms, placement, place.index);
    SWITCHYARD_ASSIGN(weights,
                      ModelWeights::load(checkpoint, forms, placement, place.index, *ops, pool, &progress, &cache));
    if (weights->from_cache) log_info("weights mapped", {{"rank", place.rank_id}, {"file", cache.path()}});
    if (!weights->cache_error.empty())
      log_warn("packed weights not kept", {{"rank", place.rank_id}, {"why", weights->cache_error}});
  }

  SWITCHYARD_ASSIGN(const std::unique_ptr<Exchange> exchange, choose_exchange(config, place, spec, forms, *ops, pool));
  Model model(spec, *weights, placement, *ops, pool, *exchange, kv_memory, grouping, max_model_len);
  KvCache kv(groups, config.worker.block_size, config.worker.enable_prefix_caching);
  EngineLimits limits;
  limits.scheduler = {config.worker.max_num_seqs, config.worker.max_waiting, max_model_len};
  limits.max_num_batched_tokens = config.worker.max_num_batched_tokens;
  Engine engine(limits, spec, model, kv, *exchange, pool,
                {[&](std::vector<EngineOutput>&& outputs) { server->deliver(std::move(outputs)); },
                 [&](uint64_t, uint64_t burst) { server->ask_for_burst(burst); }});

  // Every rank of the group has its weights before any takes a request.
  uint32_t here = 1;
  std::vector<uint32_t> all(place.size);
  SWITCHYARD_TRY(exchange->all_gather(&here, sizeof here, all.data()));

  log_info("rank is live", {{"rank", place.rank_id},
                            {"group", place.group},
                            {"epoch", assignment.epoch},
                            {"backend", ops->name},
                            {"threads", threads},
                            {"exchange", exchange->name()},
                            {"weights_mib", weights->bytes >> 20},
                            {"kv_mib", kv_memory.bytes() >> 20},
                            {"max_model_len", max_model_len}});
  server->go_live(&engine, weights->bytes, kv_memory.bytes());
  std::thread([&engine, signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    engine.stop();
  }).detach();

  Status ended = engine.run();
  server->stop();
  return ended;
}

int run(int argc, char** argv) {
  CLI::App app("One worker rank of a Switchyard cluster; started by mpirun or srun.");
  std::string config_file;
  int parent = -1;
  app.add_option("--config", config_file, "the cluster's YAML")->required();
  uint32_t group = 0;
  app.add_option("--group", group, "which of the cluster's groups the job is");
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

  const MpiWorld world = started_by_launcher() ? mpi_init() : MpiWorld{};
  std::string who;  // says it, and what ranks it counts; "" in a cluster of one group
  const auto fatal = [&](const Error& error) {
    // Ranks that fail alike (a bad checkpoint) say it once.
    if (world.rank == 0 || error.code == Errc::kTimeout || error.code == Errc::kPeerLost) {
      std::fprintf(stderr, "fatal: %s%s\n", who.c_str(), error.message.c_str());
      std::fflush(stderr);
    }
    if (started_by_launcher()) mpi_abort(1);
    std::_Exit(1);
  };
  auto config = config::load(config_file);
  if (!config.ok()) fatal(config.error());
  if (config->worker.groups > 1) who = fmt::format("group {}: ", group);
  const uint32_t rank_id = group * world.size + world.rank;
  init_log(fmt::format("worker {}", rank_id), parse_log_level(config->log.level), config->log.format == "json");
  if (const Status ended = serve(*config, world, group, signals); !ended.ok()) fatal(ended.error());
  log_info("rank ends", {{"rank", rank_id}});
  if (started_by_launcher()) mpi_finalize();
  std::fflush(nullptr);
  std::_Exit(0);  // the signal thread may still wait
}

}  // namespace
}  // namespace switchyard::worker

int main(int argc, char** argv) { return switchyard::worker::run(argc, argv); }
