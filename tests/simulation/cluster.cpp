#include "tests/simulation/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/net/net.h"
#include "kernels/api/device.h"
#include "tests/simulation/exchange.h"
#include "tests/simulation/service.h"
#include "tests/simulation/toy_model.h"
#include "worker/rank.h"

namespace switchyard::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint16_t kCoordinatorPort = 7000;
constexpr double kSlowness = 10;

const checkpoint::Checkpoint& toy_checkpoint() {
  static const auto opened = checkpoint::Checkpoint::open(write_toy_model());
  if (!opened.ok()) log_error("toy model", {{"error", opened.error().message}});
  SWITCHYARD_CHECK(opened.ok());
  return *opened;
}

}  // namespace

// A frontend's one reactor thread.
class Cluster::OneReactor final : public frontend::Reactor {
 public:
  OneReactor(World& world, ProcessPtr process) : world_(world), process_(std::move(process)) {}
  void post(std::function<void()> function) override {
    last_ = std::max(last_, world_.now() + process_->random.between(microseconds(1), microseconds(50)));
    world_.after(process_, last_ - world_.now(), std::move(function));
  }

 private:
  World& world_;
  const ProcessPtr process_;
  Time last_{};
};

Cluster::Cluster(World& world, Network& network, const Plan& plan, Random random)
    : world_(world),
      network_(network),
      plan_(plan),
      random_(random),
      checkpoint_(toy_checkpoint()),
      slots_(plan.slots()) {}

Cluster::~Cluster() {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) kill(slot, false);
}

bool Cluster::serves(uint32_t slot) const {
  const ProcessPtr& process = slots_[slot].process;
  return process && process->alive() && !process->frozen();
}

frontend::Reactor& Cluster::reactor(uint32_t frontend) const { return *slots_[plan_.frontend_slot(frontend)].reactor; }

void Cluster::start() {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot)
    world_.after(random_.between(Duration(0), milliseconds(20)), [this, slot] { start(slot); });
}

void Cluster::start(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.lost || (slot.process && slot.process->alive())) return;
  network_.revive(index);
  ++slot.lives;
  slot.process = std::make_shared<Process>(index, plan_.slot_name(index), random_.fork(index));
  lives_.push_back(slot.process);
  world_.note("starts", index, slot.lives);
  const std::string host = index == 0 ? "coordinator" : fmt::format("host-{}.{}", index, slot.lives);
  slot.host = host;
  network_.name_host("coordinator", 0);
  network_.name_host(host, index);

  slot.config = std::make_shared<config::ClusterConfig>();
  config::ClusterConfig& config = *slot.config;
  config.heartbeat_ms = plan_.heartbeat_ms;
  config.model.path = write_toy_model();
  config.coordinator.host = "coordinator";
  config.coordinator.port = kCoordinatorPort;
  config.worker.groups = plan_.groups;
  config.worker.data_parallel_size = plan_.group_size;
  config.worker.min_ranks = plan_.min_ranks;
  config.worker.threads_per_rank = 1;
  config.worker.listen_host = host;
  config.worker.max_num_seqs = plan_.max_num_seqs;
  config.worker.max_num_batched_tokens = 64;
  config.worker.kv_cache_memory_mib = 1;
  config.worker.block_size = 8;
  config.worker.step_deadline_ms = plan_.step_deadline_ms;
  config.frontend.recovery_timeout_ms = plan_.recovery_timeout_ms;
  config.frontend.host = host;
  world_.in(slot.process, [&] {
    if (index == 0) return start_coordinator(slot);
    if (index <= plan_.ranks()) return start_rank(slot, index - 1);
    start_frontend(slot);
  });
}

void Cluster::start_coordinator(Slot& slot) {
  auto started =
      coordinator::Coordinator::start(*slot.config, {"Qwen3MoeForCausalLM", kToyLayers, kToyExperts},
                                      make_service(network_, slot.process, {wire::ROLE_COORDINATOR, "coordinator"}));
  SWITCHYARD_CHECK(started.ok());
  slot.coordinator = std::move(*started);
}

void Cluster::start_rank(Slot& slot, uint32_t rank_id) {
  const ProcessPtr process = slot.process;
  world_.start_fiber(process, [this, process, config = slot.config, rank_id] {
    const worker::Place place{rank_id % plan_.group_size, plan_.group_size, rank_id / plan_.group_size, rank_id, 0, 1};
    const kernels::OpTable* ops = kernels::find_backend("auto");
    Status status;
    {
      auto rank = worker::Rank::start(*config, checkpoint_, *ops, place,
                                      make_service(network_, process, {wire::ROLE_WORKER, process->name}),
                                      make_exchanges(network_, process, config->worker.listen_host, plan_.step_time,
                                                     milliseconds(plan_.step_deadline_ms)),
                                      [this, process](const std::string& why) {
                                        world_.after(Duration(0), [this, process, why] { ends_itself(process, why); });
                                      });
      slots_[process->slot].rank = rank.ok() ? rank->get() : nullptr;
      status = rank.ok() ? (*rank)->run() : Status(rank.error());
      slots_[process->slot].rank = nullptr;
    }
    exited(process->slot, process, status);
  });
}

void Cluster::start_frontend(Slot& slot) {
  slot.reactor = std::make_unique<OneReactor>(world_, slot.process);
  slot.pool = frontend::RankPool::start(*slot.config,
                                        make_service(network_, slot.process, {wire::ROLE_FRONTEND, slot.process->name}),
                                        8000, [] { return frontend::RankPool::Report{}; });
}

void Cluster::ends_itself(const ProcessPtr& process, const std::string& why) {
  if (!process->alive()) return;
  world_.note("ends itself", process->slot);
  log_error("ends itself", {{"slot", process->slot}, {"why", why}});
  kill(process->slot, true);
  start_again(process->slot);
}

void Cluster::start_again(uint32_t index) {
  const Duration wait = milliseconds(100) * (1 << std::min(slots_[index].exits++, 8U));
  world_.after(wait, [this, index] { start(index); });
}

void Cluster::exited(uint32_t index, const ProcessPtr& process, const Status& status) {
  world_.note("exits", index);
  log_error("exits", {{"slot", index}, {"why", status.ok() ? "" : status.error().message}});
  network_.gone(process, true);
  world_.leave(process);
  start_again(index);
}

void Cluster::kill(uint32_t index, bool told) {
  Slot& slot = slots_[index];
  if (!slot.process || !slot.process->alive()) return;
  network_.gone(slot.process, told);
  world_.kill(slot.process);
  slot.rank = nullptr;
  slot.coordinator = nullptr;
  slot.pool = nullptr;
}

void Cluster::plan_faults() {
  for (const PlannedFault& fault : plan_.faults) {
    world_.after(fault.at, [this, &fault] { inject(fault); });
    world_.after(fault.at + fault.length, [this, &fault] { end(fault); });
  }
}

void Cluster::inject(const PlannedFault& fault) {
  const ProcessPtr& process = slots_[fault.slot].process;
  const bool alive = process && process->alive();
  bool happens = true;
  switch (fault.fault) {
    case Fault::kKill:
    case Fault::kPowerLoss: happens = alive; break;
    case Fault::kFreeze: happens = alive && !process->frozen(); break;
    case Fault::kSlow: happens = alive; break;
    case Fault::kDrain: happens = alive && slots_[fault.slot].rank != nullptr; break;
    default: break;
  }
  if (!happens) return;
  world_.note(fault_name(fault.fault), fault.slot, fault.other, static_cast<uint64_t>(fault.length.count()),
              fault.forever ? 1 : 0);
  switch (fault.fault) {
    case Fault::kKill:
    case Fault::kPowerLoss:
      slots_[fault.slot].lost = fault.forever && may_lose(fault.slot - 1);
      kill(fault.slot, fault.fault == Fault::kKill);
      break;
    case Fault::kFreeze: world_.freeze(process); break;
    case Fault::kSlow: process->slowness = kSlowness; break;
    case Fault::kDrain:
      world_.in(process, [this, slot = fault.slot] {
        if (slots_[slot].rank != nullptr) slots_[slot].rank->drain();
      });
      break;
    case Fault::kPart: network_.part(fault.slot, fault.other); break;
    case Fault::kIsolate:
      for (uint32_t other = 0; other < slots_.size(); ++other)
        if (other != fault.slot) network_.part(fault.slot, other);
      break;
    case Fault::kCut:
    case Fault::kHalfCut: happens = network_.cut(random_, fault.fault == Fault::kCut); break;
  }
  if (happens) ++faults_[static_cast<size_t>(fault.fault)];
}

void Cluster::end(const PlannedFault& fault) {
  const ProcessPtr& process = slots_[fault.slot].process;
  switch (fault.fault) {
    case Fault::kKill:
    case Fault::kPowerLoss: start(fault.slot); break;
    case Fault::kFreeze:
      if (process) world_.thaw(process);
      break;
    case Fault::kSlow:
      if (process) process->slowness = 1;
      break;
    case Fault::kPart: network_.heal(fault.slot, fault.other); break;
    case Fault::kIsolate:
      for (uint32_t other = 0; other < slots_.size(); ++other)
        if (other != fault.slot) network_.heal(fault.slot, other);
      break;
    default: break;
  }
}

}  // namespace switchyard::simulation
