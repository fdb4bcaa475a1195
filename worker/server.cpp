#include "worker/server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/net.h"
#include "common/net/refusals.h"
#include "common/wire/switchyard.pb.h"
#include "worker/burst_relay.h"
#include "worker/constraint_compiler.h"
#include "worker/core_wait.h"
#include "worker/messages.h"

namespace switchyard::worker {
namespace {

uint64_t resident_bytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    long size = 0;
    if (std::fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

uint64_t monotonic_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now().time_since_epoch()).count());
}

// A drained rank that hears nothing from the coordinator ends without its word: to the others it is then one that died.
constexpr std::chrono::milliseconds kReleaseLimit{2000};
constexpr std::chrono::milliseconds kExpertTokensInterval{1000};
constexpr std::chrono::milliseconds kResidentInterval{1000};  // reading it costs as much as the rest of a heartbeat

class ServerImpl final : public Server {
 public:
  ServerImpl(const config::ClusterConfig& config, RankIdentity identity, std::unique_ptr<net::Service> net,
             EndProcess end_process)
      : config_(config), identity_(std::move(identity)), end_process_(std::move(end_process)), net_(std::move(net)) {}
  ~ServerImpl() override {
    net_->stop();
    compiler_.reset();
  }

  Status open() {
    net::Handlers handlers;
    handlers.on_frame = [this](const net::ConnectionPtr& from, wire::Frame& frame) { on_peer_frame(from, frame); };
    handlers.on_close = [this](const net::ConnectionPtr& from, const Error&) { on_peer_gone(from); };
    bursts_ =
        std::make_unique<BurstRelay>(*net_, [this](uint64_t epoch, uint64_t burst) { begin_burst(epoch, burst); });
    SWITCHYARD_ASSIGN(port_, net_->listen(config_.worker.listen_host, 0, std::move(handlers)));
    return {};
  }

  Result<RankAssignment> join(uint32_t deadline_ms) override {
    net::Handlers handlers;
    handlers.on_open = [this](const net::ConnectionPtr& to) {
      const std::lock_guard lock(mutex_);
      coordinator_ = to;
      send_registration();
      send_report();
    };
    handlers.on_frame = [this](const net::ConnectionPtr&, wire::Frame& frame) {
      if (frame.has_assignment()) on_assignment(frame.assignment());
      if (frame.has_drain()) drain();
    };
    handlers.on_close = [this](const net::ConnectionPtr&, const Error& why) {
      log_warn("lost the coordinator; streams go on", {{"rank", identity_.rank_id}, {"why", why.message}});
      const std::lock_guard lock(mutex_);
      coordinator_ = nullptr;
    };
    handlers.on_connect_failed = [this](const Error& why) {
      const std::lock_guard lock(mutex_);
      connect_error_ = why.message;
    };
    net_->connect(config_.coordinator.host, config_.coordinator.port, std::move(handlers));
    net_->every(std::chrono::milliseconds(config_.heartbeat_ms), [this] {
      const std::lock_guard lock(mutex_);
      end_if_stuck();
      send_report();
    });

    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(deadline_ms), [this] { return to_load_ || released_; });
    if (released_)
      return Error{Errc::kUnavailable, fmt::format("rank {}: told to end while it joined", identity_.rank_id)};
    if (!to_load_) {
      return Error{Errc::kTimeout, fmt::format("rank {}: no assignment from the coordinator at {}:{} within {} ms{}",
                                               identity_.rank_id, config_.coordinator.host, config_.coordinator.port,
                                               deadline_ms, connect_error_.empty() ? "" : ": " + connect_error_)};
    }
    if (!to_load_->error().empty()) {
      return Error{Errc::kInvalid,
                   fmt::format("rank {}: refused by the coordinator: {}", identity_.rank_id, to_load_->error())};
    }
    return read(*to_load_);
  }

  void prepared() override {
    const std::lock_guard lock(mutex_);
    prepared_ = true;
    send_report();
  }

  std::optional<RankAssignment> next_epoch(uint64_t after) override {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return released_ || (next_ && next_->epoch() > after); });
      if (released_) return std::nullopt;
      auto assignment = read(*next_);
      if (assignment.ok()) return std::move(assignment).value();
      log_error("an assignment that cannot be", {{"rank", identity_.rank_id}, {"why", assignment.error().message}});
      after = next_->epoch();
    }
  }

  void drain() override {
    const std::lock_guard lock(mutex_);
    if (draining_) return finish_drain();
    draining_ = true;
    state_ = wire::RANK_LEAVING;
    log_info("rank drains", {{"rank", identity_.rank_id}, {"requests", requests_.size()}});
    send_report();
    net_->after(std::chrono::milliseconds(config_.drain_deadline_ms), [this] {
      const std::lock_guard late(mutex_);
      finish_drain();
    });
    check_drained();
  }

  Status why_released() const override {
    const std::lock_guard lock(mutex_);
    return expelled_.empty() ? Status() : Error{Errc::kUnavailable, "given up by the coordinator: " + expelled_};
  }

  const std::atomic<uint64_t>& latest_epoch() const override { return latest_epoch_; }

  void watch_loading(const LoadProgress* progress) override {
    const std::lock_guard lock(mutex_);
    progress_ = progress;
  }

  void enter(const RankAssignment& assignment, Engine* engine, uint64_t weight_bytes, uint64_t kv_bytes) override {
    const RankAssignment::Member& first = assignment.members.front();
    const bool is_first = first.index == identity_.index;
    bursts_->enter(assignment.epoch, is_first ? "" : first.host, first.port);
    const std::lock_guard lock(mutex_);
    epoch_ = assignment.epoch;
    engine_ = engine;
    weight_bytes_ = weight_bytes;
    kv_bytes_ = kv_bytes;
    if (!draining_) state_ = wire::RANK_LIVE;
    if (released_) engine->stop();
    engine->begin(pending_burst_.first, pending_burst_.second);
    send_report();
  }

  void leave(uint64_t epoch) override {
    const std::lock_guard lock(mutex_);
    left_epoch_ = epoch;
    if (!draining_) state_ = wire::RANK_JOINING;
    send_report();
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      state_ = wire::RANK_LEAVING;
      draining_ = drained_ = true;
      engine_ = nullptr;
      send_report();
    }
    net_->stop();
    compiler_.reset();  // no frame comes any more that could need it
  }

  void deliver(std::vector<EngineOutput>&& outputs) override {
    // One frame a frontend.
    std::map<net::Connection*, std::pair<net::ConnectionPtr, wire::Frame>> frames;
    const std::lock_guard lock(mutex_);
    for (EngineOutput& output : outputs) {
      const auto found = requests_.find(output.id);
      if (found == requests_.end()) continue;
      const Request request = found->second;
      if (output.finish != Finish::kNone) forget(found);
      auto& [connection, frame] = frames[request.from.get()];
      connection = request.from;
      to_wire(output, request.id, frame.mutable_outputs()->add_outputs());
    }
    if (frames.empty()) return;
    const uint64_t load_time = monotonic_ns();
    const EngineStats stats = engine_ != nullptr ? engine_->stats() : EngineStats{};
    for (auto& [key, entry] : frames) {
      wire::Outputs* to = entry.second.mutable_outputs();
      to->set_sequences_running(stats.running);
      to->set_sequences_waiting(stats.waiting);
      to->set_kv_usage(stats.kv_usage);
      to->set_load_time(load_time);
      entry.first->send(entry.second);
    }
    check_drained();
  }

  void ask_for_burst(uint64_t epoch, uint64_t burst) override { bursts_->ask(epoch, burst); }

 private:
  struct Request {
    net::ConnectionPtr from;
    uint64_t id = 0;  // the frontend's
    std::string trace_id;
  };
  using Requests = std::map<uint64_t, Request>;

  // --- leaving; all under the lock -----------------------------------------------------------------------------------

  // Once a draining rank has nothing left: the coordinator is told, and releases the rank.
  void check_drained() {
    if (!draining_ || drained_ || !requests_.empty()) return;
    drained_ = true;
    if (config_.worker.exchange == "mpi" || !coordinator_) return release();
    send_report();
    net_->after(kReleaseLimit, [this] {
      const std::lock_guard lock(mutex_);
      release();
    });
  }

  // What is not done by now, the frontends go on with elsewhere.
  void finish_drain() {
    for (auto it = requests_.begin(); it != requests_.end();) {
      const auto next = std::next(it);
      drop(it);
      it = next;
    }
    check_drained();
  }

  void release() {
    released_ = true;
    if (config_.worker.exchange == "mpi") {
      if (engine_ != nullptr) engine_->stop();
    } else {
      latest_epoch_.store(UINT64_MAX, std::memory_order_release);
      if (engine_ != nullptr) engine_->wake();
    }
    changed_.notify_all();
  }

  // A step's waits for others have a deadline each; a thread, or a device, that does not come back from its own work
  // has not. Nothing can be taken back from it, so the process ends, which the others know how to go on after.
  void end_if_stuck() const {
    const double limit = 2e-3 * config_.worker.step_deadline_ms;
    if (engine_ == nullptr || engine_->step_age_seconds() <= limit) return;
    end_process_(fmt::format("rank {}: a step has not ended within {:.1f} s (twice worker.step_deadline_ms)",
                             identity_.rank_id, limit));
  }

  // --- coordinator ---------------------------------------------------------------------------------------------------

  void send_registration() {
    wire::Frame frame;
    auto* r = frame.mutable_register_rank();
    r->set_rank_id(identity_.rank_id);
    r->set_rank_count(identity_.size);
    r->set_pid(getpid());
    r->set_host(config_.worker.listen_host == "0.0.0.0" ? net::host_name() : config_.worker.listen_host);
    r->set_port(port_);
    r->set_exchange_port(identity_.exchange_port);
    r->set_device(identity_.device);
    r->set_backend(identity_.backend);
    r->set_model(identity_.model);
    r->set_checkpoint(identity_.checkpoint);
    coordinator_->send(frame);
  }

  void send_report() {
    if (!coordinator_) return;
    wire::Frame frame;
    auto* r = frame.mutable_rank_report();
    r->set_state(state_);
    r->set_epoch(epoch_);
    r->set_prepared(prepared_);
    r->set_left_epoch(left_epoch_);
    r->set_told_epoch(next_ ? next_->epoch() : 0);
    r->set_drained(drained_);
    r->set_weight_bytes(weight_bytes_);
    r->set_kv_bytes(kv_bytes_);
    if (now() - resident_read_ >= kResidentInterval) {
      resident_read_ = now();
      resident_bytes_ = resident_bytes();
    }
    r->set_resident_bytes(resident_bytes_);
    if (progress_ != nullptr) {
      r->set_weight_bytes_loaded(progress_->bytes_done.load());
      r->set_weight_bytes_to_load(progress_->bytes_total.load());
    }
    r->set_load_time(monotonic_ns());  // before looking, so that what carries a later time is no older
    if (engine_ != nullptr) {
      const EngineStats stats = engine_->stats();
      to_wire(stats, r);
      // Tens of kilobytes for a large model: not in every heartbeat.
      if (now() - expert_tokens_reported_ >= kExpertTokensInterval) {
        expert_tokens_reported_ = now();
        r->mutable_expert_tokens()->Add(stats.expert_tokens.begin(), stats.expert_tokens.end());
        r->set_expert_layer_count(expert_layers_);
      }
      const uint64_t steps = stats.steps - reported_steps_;
      if (steps != 0) {
        r->set_step_seconds_mean((stats.step_seconds - reported_step_seconds_) / static_cast<double>(steps));
        core_wait_seconds_ = core_wait_.seconds();  // an idle rank does not look
      }
      r->set_core_wait_seconds(core_wait_seconds_);
      reported_steps_ = stats.steps;
      reported_step_seconds_ = stats.step_seconds;
    }
    for (const uint64_t count : net_->refusals()->counts()) r->add_refused_connections(count);
    coordinator_->send(frame);
  }

  void on_assignment(const wire::Assignment& assignment) {
    const std::lock_guard lock(mutex_);
    if (assignment.release()) {
      expelled_ = assignment.error();
      return release();
    }
    if (to_load_ && !assignment.error().empty()) {
      log_warn("the coordinator refuses this rank now", {{"rank", identity_.rank_id}, {"why", assignment.error()}});
      return;
    }
    if (assignment.prepare() || !assignment.error().empty()) {
      to_load_ = assignment;
    } else if (assignment.epoch() > latest_epoch_.load()) {
      next_ = assignment;
      latest_epoch_.store(assignment.epoch(), std::memory_order_release);
      if (engine_ != nullptr) engine_->wake();
    }
    changed_.notify_all();
  }

  Result<RankAssignment> read(const wire::Assignment& from) {
    expert_layers_ = from.placement().layer_count();
    return read_assignment(from, identity_.rank_id - identity_.index, identity_.size);
  }

  // --- peers ---------------------------------------------------------------------------------------------------------

  void begin_burst(uint64_t epoch, uint64_t burst) {
    const std::lock_guard lock(mutex_);
    pending_burst_ = std::max(pending_burst_, {epoch, burst});
    if (engine_ != nullptr) engine_->begin(epoch, burst);
  }

  void on_peer_frame(const net::ConnectionPtr& from, wire::Frame& frame) {
    const bool is_rank = from->peer().role == wire::ROLE_WORKER;
    switch (frame.body_case()) {
      case wire::Frame::kGenerate:
        if (!is_rank) return on_generate(from, *frame.mutable_generate());
        break;
      case wire::Frame::kCancel:
        if (!is_rank) return on_cancel(from, frame.cancel().request_id());
        break;
      case wire::Frame::kStepBegin:
        if (is_rank) return bursts_->on_step_begin(from, frame.step_begin());
        break;
      default: break;
    }
    net_->refusals()->add(net::Refusal::kRole, fmt::format("{} ({}): frame {} is not its role's", from->peer().name,
                                                           from->peer().address, static_cast<int>(frame.body_case())));
    from->close();
  }

  // --- requests ------------------------------------------------------------------------------------------------------

  void on_generate(const net::ConnectionPtr& from, wire::Generate& request) {
    auto sequence = to_sequence(request);
    const std::lock_guard lock(mutex_);
    const uint64_t id = ++next_id_;
    sequence->id = id;
    Status accepted = engine_ != nullptr && !draining_ ? check_tokens(*sequence)
                                                       : Error{Errc::kUnavailable, "the rank is not serving"};
    if (accepted.ok()) {
      requests_.emplace(id, Request{from, request.request_id(), request.trace_id()});
      by_peer_[{from.get(), request.request_id()}] = id;
      const wire::Constraint& constraint = request.sampling().constraint();
      accepted = constraint.kind() == wire::CONSTRAINT_NONE ? engine_->submit(std::move(sequence))
                                                            : compile(std::move(sequence), constraint);
      if (!accepted.ok()) forget(requests_.find(id));
    }
    if (!accepted.ok()) send_end({from, request.request_id(), {}}, wire::FINISH_ERROR, accepted.error());
  }

  // The sequence is submitted once its constraint has been compiled, on another thread.
  Status compile(std::unique_ptr<Sequence> sequence, const wire::Constraint& constraint) {
    if (!compiler_) compiler_ = std::make_unique<ConstraintCompiler>(config_.model.path, identity_.vocab_size);
    compiling_.insert(sequence->id);
    auto held = std::make_shared<std::unique_ptr<Sequence>>(std::move(sequence));
    const auto on_done = [this, held](Result<std::shared_ptr<structured::Masks>> masks) {
      on_compiled(std::move(*held), std::move(masks));
    };
    Status taken = compiler_->compile(to_constraint(constraint), on_done);
    if (!taken.ok()) compiling_.erase((*held)->id);
    return taken;
  }

  void on_compiled(std::unique_ptr<Sequence> sequence, Result<std::shared_ptr<structured::Masks>> masks) {
    const uint64_t id = sequence->id;
    Status accepted;
    if (masks.ok()) {
      sequence->constrained = std::make_unique<ConstrainedText>(std::move(*masks), sequence->params.stop_token_ids);
      for (size_t i = sequence->prompt_count; i < sequence->tokens.size(); ++i)
        sequence->constrained->accept(sequence->tokens[i]);
      accepted = sequence->constrained->status();
    } else {
      accepted = masks.error();
    }
    const std::lock_guard lock(mutex_);
    const auto found = requests_.find(id);
    if (compiling_.erase(id) == 0 || found == requests_.end()) return;  // cancelled, or the frontend is gone
    const bool is_complete = accepted.ok() && sequence->constrained->is_complete();
    if (accepted.ok() && engine_ == nullptr) accepted = Error{Errc::kUnavailable, "the rank is not serving"};
    if (accepted.ok() && !is_complete) accepted = engine_->submit(std::move(sequence));
    if (accepted.ok() && !is_complete) return;
    send_end(found->second, is_complete ? wire::FINISH_COMPLETE : wire::FINISH_ERROR,
             accepted.ok() ? Error{} : accepted.error());
    forget(found);
    check_drained();
  }

  static void send_end(const Request& request, wire::FinishReason finish, const Error& error) {
    wire::Frame frame;
    end_to_wire(finish, error, request.id, frame.mutable_outputs()->add_outputs());
    request.from->send(frame);
  }

  Status check_tokens(const Sequence& sequence) const {
    for (const int32_t token : sequence.tokens) {
      if (token < 0 || static_cast<uint32_t>(token) >= identity_.vocab_size) {
        return Error{Errc::kInvalid,
                     fmt::format("token id {} is not in the vocabulary of {}", token, identity_.vocab_size)};
      }
    }
    for (const auto& [token, bias] : sequence.params.logit_bias) {
      if (token < 0 || static_cast<uint32_t>(token) >= identity_.vocab_size) {
        return Error{Errc::kInvalid, fmt::format("logit_bias: token id {} is not in the vocabulary of {}", token,
                                                 identity_.vocab_size)};
      }
    }
    return {};
  }

  void on_cancel(const net::ConnectionPtr& from, uint64_t request_id) {
    const std::lock_guard lock(mutex_);
    const auto found = by_peer_.find({from.get(), request_id});
    if (found == by_peer_.end()) return;
    if (compiling_.erase(found->second) != 0) {
      const auto request = requests_.find(found->second);
      send_end(request->second, wire::FINISH_CANCELLED, {});
      forget(request);
      check_drained();
    } else if (engine_ != nullptr) {
      engine_->cancel(found->second);
    }
  }

  void on_peer_gone(const net::ConnectionPtr& from) {
    bursts_->on_gone(from);
    const std::lock_guard lock(mutex_);
    for (auto it = requests_.begin(); it != requests_.end();) {
      const auto next = std::next(it);
      if (it->second.from == from) drop(it);
      it = next;
    }
    check_drained();
  }

  // Nobody waits for it any more.
  void drop(Requests::iterator request) {
    if (compiling_.erase(request->first) == 0 && engine_ != nullptr) engine_->cancel(request->first);
    forget(request);
  }

  void forget(Requests::iterator request) {
    by_peer_.erase({request->second.from.get(), request->second.id});
    requests_.erase(request);
  }

  const config::ClusterConfig& config_;
  RankIdentity identity_;
  const EndProcess end_process_;
  const std::unique_ptr<net::Service> net_;
  std::unique_ptr<BurstRelay> bursts_;  // its callbacks run on the net thread
  uint16_t port_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  Condition changed_;         // what is waited for
  net::ConnectionPtr coordinator_;
  std::optional<wire::Assignment> to_load_;
  std::optional<wire::Assignment> next_;  // epoch
  std::atomic<uint64_t> latest_epoch_{0};
  bool draining_ = false;  // new requests are refused
  bool drained_ = false;   // and none are left
  bool released_ = false;  // the rank ends
  std::string expelled_;   // because of this, unless it is to
  bool prepared_ = false;
  uint64_t epoch_ = 0;       // that the rank takes part in
  uint64_t left_epoch_ = 0;  // the last one that ended here by itself
  std::string connect_error_;
  wire::RankState state_ = wire::RANK_JOINING;
  const LoadProgress* progress_ = nullptr;
  Engine* engine_ = nullptr;
  uint64_t weight_bytes_ = 0;
  uint64_t kv_bytes_ = 0;
  uint32_t expert_layers_ = 0;
  Time expert_tokens_reported_{};
  Time resident_read_{};
  uint64_t resident_bytes_ = 0;  // as read then
  CoreWait core_wait_;
  double core_wait_seconds_ = 0;
  uint64_t reported_steps_ = 0;
  double reported_step_seconds_ = 0.0;

  std::pair<uint64_t, uint64_t> pending_burst_{0, 0};  // the latest epoch and burst that has begun

  uint64_t next_id_ = 0;
  Requests requests_;
  std::map<std::pair<net::Connection*, uint64_t>, uint64_t> by_peer_;
  std::set<uint64_t> compiling_;                  // requests whose constraint is being compiled
  std::unique_ptr<ConstraintCompiler> compiler_;  // from the first constraint on
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const config::ClusterConfig& config, RankIdentity identity,
                                              std::unique_ptr<net::Service> net, EndProcess end_process) {
  auto server = std::make_unique<ServerImpl>(config, std::move(identity), std::move(net), std::move(end_process));
  SWITCHYARD_TRY(server->open());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace switchyard::worker
