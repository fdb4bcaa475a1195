#include "worker/rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/checkpoint/memory_plan.h"
#include "common/config/memory_options.h"
#include "kernels/api/device.h"
#include "worker/engine/device_plan.h"
#include "worker/engine/kv_plan.h"
#include "worker/model/packed_cache.h"

namespace switchyard::worker {
namespace {

constexpr uint32_t kJoinDeadlineMs = 60000;

kernels::WeightForm kernel_form(const config::ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  const std::string name = config::weight_form(config, spec);
  const auto* found = std::find(std::begin(kernels::kWeightFormNames), std::end(kernels::kWeightFormNames), name);
  SWITCHYARD_CHECK(found != std::end(kernels::kWeightFormNames));
  return static_cast<kernels::WeightForm>(found - std::begin(kernels::kWeightFormNames));
}

uint32_t threads_of(const config::WorkerConfig& worker, const Place& place) {
  if (worker.threads_per_rank != 0) return worker.threads_per_rank;
  return std::max(1U, static_cast<uint32_t>(machine_cores().size()) / place.node_size);
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

}  // namespace

Rank::Rank(const config::ClusterConfig& config, const checkpoint::Checkpoint& checkpoint, const kernels::OpTable& ops,
           const Place& place, std::unique_ptr<ExchangeMaker> exchanges)
    : config_(config),
      checkpoint_(checkpoint),
      spec_(checkpoint.spec()),
      ops_(ops),
      place_(place),
      threads_(threads_of(config.worker, place)),
      max_model_len_(config.model.max_model_len != 0 ? std::min(config.model.max_model_len, spec_.max_position)
                                                     : spec_.max_position),
      forms_(WeightForms::of(kernel_form(config, spec_))),
      grouping_(KvGrouping::of(spec_)),
      exchanges_(std::move(exchanges)),
      pool_(threads_, config.worker.pin_threads ? cores_to_pin(place, threads_) : std::vector<int>{}) {}

Result<std::unique_ptr<Rank>> Rank::start(const config::ClusterConfig& config, const checkpoint::Checkpoint& checkpoint,
                                          const kernels::OpTable& ops, const Place& place,
                                          std::unique_ptr<net::Service> net, std::unique_ptr<ExchangeMaker> exchanges,
                                          EndProcess end_process) {
  std::unique_ptr<Rank> rank(new Rank(config, checkpoint, ops, place, std::move(exchanges)));
  const checkpoint::ModelSpec& spec = checkpoint.spec();
  SWITCHYARD_ASSIGN(rank->server_, Server::start(config,
                                                 {place.rank_id, place.index, place.size,
                                                  ops.is_host ? "cpu" : fmt::format("cuda:{}", place.on_node), ops.name,
                                                  spec.architecture + " " + config.model.path, checkpoint.fingerprint(),
                                                  rank->exchanges_->port(), spec.vocab_size},
                                                 std::move(net), std::move(end_process)));
  return rank;
}

// The KV plan comes before the weights: a plan that cannot work is said before anything is loaded.
Status Rank::plan(const std::vector<LayerPlacement>& placement) {
  const auto kv_type = kv_type_of(config_.worker.kv_cache_dtype, config::is_float32(config_, spec_));
  SWITCHYARD_CHECK(kv_type.has_value());  // the schema knows the names
  const kernels::KvLayout layout = kv_layout(spec_, *kv_type, config_.worker.block_size);
  KvBudget budget{config_.worker.kv_cache_memory_mib, max_model_len_, config_.worker.max_num_seqs,
                  config_.worker.max_num_batched_tokens, place_.node_size};
  if (!ops_.is_host) {
    SWITCHYARD_ASSIGN(const DevicePlan device, plan_gpu(config_, spec_, placement, place_.index));
    log_info("GPU memory", {{"rank", place_.rank_id}, {"plan", device.text}});
    budget.memory_mib = device.kv >> 20;
    budget.take_all = true;
  }
  SWITCHYARD_ASSIGN(kv_groups_, plan_kv(grouping_, layout, ops_, budget));
  std::vector<uint32_t> block_counts;
  block_counts.reserve(kv_groups_.size());
  for (const KvGroup& kv_group : kv_groups_) block_counts.push_back(kv_group.block_count);
  SWITCHYARD_ASSIGN(kv_memory_, KvMemory::allocate(spec_, layout, grouping_, block_counts, ops_));
  kv_.emplace(kv_groups_, config_.worker.block_size, config_.worker.enable_prefix_caching);
  return {};
}

Status Rank::load(const std::vector<LayerPlacement>& placement) {
  server_->watch_loading(&progress_);
  const LoadingLog loading(progress_, place_.rank_id);
  const PackedCache cache(config_.model.packed_cache, config_.model.path, ops_.name, forms_, placement, place_.index);
  SWITCHYARD_ASSIGN(weights_,
                    ModelWeights::load(checkpoint_, forms_, placement, place_.index, ops_, pool_, &progress_, &cache));
  if (weights_->from_cache) log_info("weights mapped", {{"rank", place_.rank_id}, {"file", cache.path()}});
  if (!weights_->cache_refused.empty())
    log_warn("packed weights not used; packed anew", {{"rank", place_.rank_id}, {"why", weights_->cache_refused}});
  if (!weights_->cache_error.empty())
    log_warn("packed weights not kept", {{"rank", place_.rank_id}, {"why", weights_->cache_error}});
  return {};
}

void Rank::make_engine(const std::vector<LayerPlacement>& placement, Exchange& exchange, const Epoch& epoch) {
  EngineLimits limits;
  limits.scheduler = {config_.worker.max_num_seqs, config_.worker.max_waiting, max_model_len_};
  limits.max_num_batched_tokens = config_.worker.max_num_batched_tokens;
  EngineCallbacks callbacks{[this](std::vector<EngineOutput>&& outputs) { server_->deliver(std::move(outputs)); },
                            [this](uint64_t number, uint64_t burst) { server_->ask_for_burst(number, burst); }};
  model_ = std::make_unique<Model>(spec_, *weights_, placement, ops_, pool_, exchange, *kv_memory_, grouping_,
                                   max_model_len_);
  engine_ = std::make_unique<Engine>(limits, spec_, *model_, *kv_, exchange, pool_, std::move(callbacks), epoch);
}

// Until the epoch ends or breaks, which is an error, or the rank is to end.
Status Rank::take_part(const RankAssignment& assignment, const std::vector<LayerPlacement>& placement, uint32_t here,
                       const Epoch& epoch) {
  const auto size = static_cast<uint32_t>(assignment.members.size());
  const ExchangeShape shape =
      exchange_shape(spec_, forms_, ops_, config_.worker.max_num_batched_tokens + config_.worker.max_num_seqs);
  std::vector<TcpMember> members;
  for (const auto& member : assignment.members) members.push_back({member.host, member.exchange_port});
  SWITCHYARD_ASSIGN(auto made, exchanges_->make(members, here, shape, pool_, epoch));
  // Every member has its weights before any takes a step.
  uint32_t ready = 1;
  std::vector<uint32_t> all(size);
  SWITCHYARD_TRY(made->all_gather(&ready, sizeof ready, all.data()));
  if (engine_ == nullptr) {
    make_engine(placement, *made, epoch);
  } else {
    model_->regroup(*made, placement);
    engine_->regroup(*made, epoch);
  }
  exchange_ = std::move(made);  // the old one goes when nobody uses it any more
  log_info("rank is live", {{"rank", place_.rank_id},
                            {"group", place_.group},
                            {"epoch", epoch.number},
                            {"members", size},
                            {"backend", ops_.name},
                            {"threads", threads_},
                            {"exchange", exchange_->name()},
                            {"weights_mib", weights_->bytes >> 20},
                            {"kv_mib", kv_memory_->bytes() >> 20},
                            {"max_model_len", max_model_len_}});
  server_->enter(assignment, engine_.get(), weights_->bytes, kv_memory_->bytes());
  return engine_->run();
}

Status Rank::run() {
  SWITCHYARD_ASSIGN(const RankAssignment to_load, server_->join(kJoinDeadlineMs));
  SWITCHYARD_ASSIGN(const std::vector<LayerPlacement> loaded, layer_placements(to_load, spec_, place_.size));
  SWITCHYARD_TRY(plan(loaded));
  SWITCHYARD_TRY(load(loaded));
  server_->prepared();

  Status ended;
  uint64_t after = 0;
  while (const auto next = server_->next_epoch(after)) {
    after = next->epoch;
    const Epoch epoch{next->epoch, &server_->latest_epoch(), digest(*next)};
    const RankAssignment assignment = among_members(*next);
    const auto mine = std::find_if(assignment.members.begin(), assignment.members.end(),
                                   [&](const auto& member) { return member.index == place_.index; });
    if (mine == assignment.members.end()) continue;
    const auto here = static_cast<uint32_t>(mine - assignment.members.begin());
    SWITCHYARD_ASSIGN(const std::vector<LayerPlacement> placement,
                      layer_placements(assignment, spec_, static_cast<uint32_t>(assignment.members.size())));
    SWITCHYARD_TRY(weights_->host(checkpoint_, placement, here, ops_, pool_, nullptr));
    ended = take_part(assignment, placement, here, epoch);
    // Ranks of an MPI job end together.
    if (ended.ok() || uses_mpi(config_)) break;
    // Told that it is over: nothing went wrong here.
    const LogLevel level = epoch.over() ? LogLevel::kInfo : LogLevel::kWarn;
    log(level, "left an epoch", {{"rank", place_.rank_id}, {"epoch", epoch.number}, {"why", ended.error().message}});
    if (!epoch.over()) server_->leave(epoch.number);
    ended = {};
  }
  if (ended.ok()) ended = server_->why_released();
  server_->stop();
  return ended;
}

}  // namespace switchyard::worker
