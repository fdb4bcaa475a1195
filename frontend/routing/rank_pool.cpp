#include "frontend/routing/rank_pool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/net.h"
#include "frontend/routing/prefix_index.h"
#include "frontend/routing/rank_choice.h"
#include "frontend/routing/ranks.h"

namespace switchyard::frontend {
namespace {

// How soon sequences without a rank are looked at again.
constexpr std::chrono::milliseconds kPlaceAgain{20};

class NetRankPool final : public RankPool {
 public:
  NetRankPool(const config::ClusterConfig& config, std::unique_ptr<net::Service> net, uint16_t http_port,
              std::function<Report()> report, OnKeyUses on_key_uses, std::function<void()> on_drain)
      : config_(config),
        http_port_(http_port),
        report_(std::move(report)),
        on_key_uses_(std::move(on_key_uses)),
        on_drain_(std::move(on_drain)),
        ranks_(config.worker.exchange == "mpi"),
        waiting_room_(config.frontend.max_queue_seconds),
        net_(std::move(net)) {}
  ~NetRankPool() override { stop(); }

  void open() {
    net::Handlers handlers;
    handlers.on_open = [this](const net::ConnectionPtr& to) { on_coordinator(to); };
    handlers.on_frame = [this](const net::ConnectionPtr&, wire::Frame& frame) {
      if (frame.has_routing_table()) on_routing_table(frame.routing_table());
      if (frame.has_key_uses() && on_key_uses_) on_key_uses_(frame.key_uses());
      if (frame.has_drain() && on_drain_) on_drain_();
    };
    handlers.on_close = [this](const net::ConnectionPtr&, const Error& why) {
      log_warn("lost the coordinator; streams go on", {{"why", why.message}});
      const std::lock_guard lock(mutex_);
      coordinator_ = nullptr;
    };
    handlers.on_connect_failed = [this](const Error& why) {
      const std::lock_guard lock(mutex_);
      coordinator_error_ = why.message;
    };
    net_->connect(config_.coordinator.host, config_.coordinator.port, std::move(handlers));
    net_->every(std::chrono::milliseconds(config_.heartbeat_ms), [this] { send_report(); });
  }

  Result<Ticket> generate(wire::Generate request, Reactor& reactor, OnOutput on_output) override {
    const std::vector<uint64_t> blocks = PrefixIndex::blocks_of(
        {request.prompt_token_ids().data(), static_cast<size_t>(request.prompt_token_ids_size())});
    const Time now = switchyard::now();
    Ticket ticket;
    Sending sending;
    {
      const std::lock_guard lock(mutex_);
      const bool usable = ranks_.any_can_take();
      if (!usable && (known_not_to_serve() || !may_recover(now)))
        return Error{Errc::kUnavailable, "No worker rank can take the request: " + why_not()};
      waiting_room_.enter(request.priority(), static_cast<uint32_t>(request.prompt_token_ids_size()));
      ticket.id = sequences_.add(std::move(request), reactor, std::move(on_output), now);
      ticket.epoch = epoch_;
      if (usable) {
        sending = place(ticket.id, blocks, now);
        ticket.rank = sending.rank;
      } else {
        place_later();
      }
    }
    send(sending);
    return ticket;
  }

  void cancel(uint64_t ticket) override {
    net::ConnectionPtr connection;
    {
      const std::lock_guard lock(mutex_);
      const Sequences::Sequence sequence = take(ticket);
      if (sequence.reactor == nullptr || sequence.waits) return;
      if (const Rank* rank = ranks_.find(*sequence.rank)) connection = rank->connection;
    }
    if (!connection) return;
    connection->send(cancel_of(ticket));
  }

  void end_all(const std::string& why) override {
    std::vector<GivenUp> ended;
    Cancels cancels;
    {
      const std::lock_guard lock(mutex_);
      for (const uint64_t id : sequences_.all()) {
        const Sequences::Sequence& sequence = *sequences_.find(id);
        const Rank* rank = sequence.waits ? nullptr : ranks_.find(*sequence.rank);
        if (rank != nullptr && rank->connection) cancels.emplace_back(rank->connection, cancel_of(id));
        ended.emplace_back(take(id), end_of(why));
      }
    }
    tell(cancels, ended);
  }

  std::optional<WaitingRoom::Refusal> turn_away(int32_t priority, bool comes_again) override {
    const std::lock_guard lock(mutex_);
    return waiting_room_.ask(for_waiting_room(), priority, comes_again, now());
  }

  Load load() const override {
    const std::lock_guard lock(mutex_);
    const Ranks::Load load = ranks_.load();
    return {load.ranks, load.running, load.waiting, load.kv_usage, replays_};
  }

  std::string why_not_ready() const override {
    const std::lock_guard lock(mutex_);
    return why_not();
  }

  uint32_t retry_after_seconds() const override {
    const std::lock_guard lock(mutex_);
    return std::max(ranks_.retry_after_seconds(), 1U);
  }

  void stop() override { net_->stop(); }

 private:
  // A frame on its way to a rank: what is decided under the lock is sent outside of it.
  struct Sending {
    net::ConnectionPtr connection;  // null: nothing to send
    std::shared_ptr<const wire::Frame> frame;
    uint64_t id = 0;
    uint32_t rank = 0;
  };
  using GivenUp = std::pair<Sequences::Sequence, wire::Output>;
  using Cancels = std::vector<std::pair<net::ConnectionPtr, wire::Frame>>;
  struct Call {
    std::shared_ptr<OnOutput> on_output;
    wire::Output* output = nullptr;
  };

  bool known_not_to_serve() const { return coordinator_ && ranks_.none_serves(); }

  WaitingRoom::Ranks for_waiting_room() {
    const Ranks::Load load = ranks_.load();
    // While all are away, those are let in whom they can take when they are back.
    const auto ranks = load.ranks != 0 ? load.ranks : static_cast<uint32_t>(ranks_.all().size());
    return {ranks * config_.worker.max_num_seqs,
            std::max(load.running + load.waiting, static_cast<uint32_t>(sequences_.size())), load.waiting};
  }

  Sequences::Sequence take(uint64_t id) {
    Sequences::Sequence sequence = sequences_.take(id);
    if (sequence.reactor != nullptr && !sequence.has_begun)
      waiting_room_.leave(sequence.frame->generate().priority(), static_cast<uint32_t>(sequence.prompt().size()));
    return sequence;
  }

  // No rank can be used, but one could shortly before, or will soon.
  bool may_recover(Time now) const {
    if (last_lost_ && now - *last_lost_ < recovery_timeout_) return true;
    return ranks_.any_joins();
  }

  std::string why_not() const {
    if (!ranks_.empty() || coordinator_) return ranks_.why_not();
    return "no coordinator" + (coordinator_error_.empty() ? "." : ": " + coordinator_error_);
  }

  // A group of one MPI job that lost a rank steps no more, and MPI takes seconds to end it: what its other ranks have
  // goes to a whole group at once, if there is one. Other groups go on without the rank.
  void leave_group(uint32_t group) {
    if (config_.worker.exchange != "mpi") return;
    const auto broken = ranks_.broken_groups();
    const bool any_whole = std::any_of(ranks_.all().begin(), ranks_.all().end(), [&](const auto& entry) {
      return !std::binary_search(broken.begin(), broken.end(), entry.second.group);
    });
    for (auto& [id, rank] : ranks_.all())
      if (any_whole && rank.group == group && rank.usable()) disconnect(rank);
  }

  Rank* choose(const std::vector<uint64_t>& blocks, size_t prompt_tokens) {
    const auto matches = prefixes_.matches(blocks);
    const Time now = switchyard::now();
    const auto broken = ranks_.broken_groups();
    const auto in_turn = ranks_.in_turn();
    std::vector<RankCandidate> candidates;
    candidates.reserve(in_turn.size());
    for (const Rank* at : in_turn) {
      const Rank& rank = *at;
      if (!ranks_.can_take(rank)) continue;
      RankCandidate& candidate = candidates.emplace_back();
      candidate.rank = rank.id;
      candidate.in_broken_group = std::binary_search(broken.begin(), broken.end(), rank.group);
      // What the rank says it has may be older than what was sent there.
      const auto own = static_cast<uint32_t>(sequences_.count_on(rank.id));
      candidate.running = std::max(own, rank.running);
      candidate.waiting = rank.waiting;
      candidate.kv_usage = rank.kv_usage;
      if (own > 0) candidate.silent_seconds = std::chrono::duration<double>(now - rank.heard_at).count();
      for (const auto& match : matches)
        if (match.rank == rank.id) candidate.cached_tokens = match.tokens;
    }
    const auto best = choose_rank(candidates, prompt_tokens);
    if (!best) return nullptr;
    Rank& rank = ranks_.at(candidates[*best].rank);
    ranks_.chosen(rank);
    return &rank;
  }

  // Gives a sequence to the best rank; there must be one.
  Sending place(uint64_t id, const std::vector<uint64_t>& blocks, Time now) {
    Sequences::Sequence& sequence = *sequences_.find(id);
    Rank& rank = *choose(blocks, sequence.prompt().size() + sequence.generated.size());
    if (sequences_.count_on(rank.id) == 0) rank.heard_at = now;
    prefixes_.add(blocks, rank.id);
    sequences_.assign(id, rank.id);
    if (sequence.replays > 0) ++replays_;
    return {rank.connection, sequence.next_frame(), id, rank.id};
  }

  void send(const Sending& sending) {
    if (!sending.connection || sending.connection->send(*sending.frame)) return;
    const std::lock_guard lock(mutex_);
    const Sequences::Sequence* sequence = sequences_.find(sending.id);
    if (sequence == nullptr || sequence->waits || sequence->rank != sending.rank) return;
    sequences_.set_waiting(sending.id, now());
    place_later();
  }

  // Soon place_waiting() will be called.
  void place_later() {
    if (placing_later_) return;
    placing_later_ = true;
    net_->after(kPlaceAgain, [this] {
      {
        const std::lock_guard lock(mutex_);
        placing_later_ = false;
      }
      place_waiting();
    });
  }

  // On the net thread: gives the waiting sequences to ranks, if there are any, and ends those that have waited too
  // long.
  void place_waiting() {
    std::vector<Sending> sendings;
    std::vector<GivenUp> given_up;
    Cancels cancels;
    {
      const std::lock_guard lock(mutex_);
      const Time now = switchyard::now();
      const bool usable = ranks_.any_can_take();
      const std::vector<uint64_t> waiting(sequences_.waiting().begin(), sequences_.waiting().end());
      for (const uint64_t id : waiting) {
        const Sequences::Sequence& sequence = *sequences_.find(id);
        if (sequence.stalled_at && now - *sequence.stalled_at > recovery_timeout_) {
          wire::Output end = no_rank_took(sequence);
          given_up.emplace_back(take(id), std::move(end));
        } else if (usable) {
          sendings.push_back(place(id, PrefixIndex::blocks_of(sequence.prompt()), now));
        }
      }
      const bool paused = end_paused(now, given_up, cancels);
      if (paused || !sequences_.waiting().empty()) place_later();
    }
    for (const Sending& sending : sendings) send(sending);
    tell(cancels, given_up);
  }

  // The ranks and those who asked. Without the lock.
  static void tell(const Cancels& cancels, const std::vector<GivenUp>& given_up) {
    for (const auto& [connection, frame] : cancels) connection->send(frame);
    for (const auto& entry : given_up) {
      entry.first.reactor->post([on_output = entry.first.on_output, end = entry.second] {
        wire::Output own = end;  // a callback may take it apart
        (*on_output)(own);
      });
    }
  }

  // Of the sequences on ranks whose group waits for others, those that have waited too long. True: some still wait.
  bool end_paused(Time now, std::vector<GivenUp>& given_up, Cancels& cancels) {
    bool some_wait = false;
    for (const auto& [rank_id, rank] : ranks_.all()) {
      if (ranks_.serves(rank.group)) continue;
      for (const uint64_t id : sequences_.on(rank_id)) {
        const Sequences::Sequence& sequence = *sequences_.find(id);
        if (!sequence.stalled_at || now - *sequence.stalled_at <= recovery_timeout_) {
          some_wait = true;
          continue;
        }
        if (rank.connection) cancels.emplace_back(rank.connection, cancel_of(id));
        wire::Output end = no_rank_took(sequence);
        given_up.emplace_back(take(id), std::move(end));
      }
    }
    return some_wait;
  }

  // What runs in a group that waits for ranks goes to another one, or waits with it.
  void pause(uint32_t group) {
    const bool elsewhere = ranks_.any_can_take();
    for (auto& [id, rank] : ranks_.all()) {
      if (rank.group != group || sequences_.count_on(id) == 0) continue;
      if (elsewhere) {
        disconnect(rank);
      } else {
        sequences_.stall(id, now());
        place_later();
      }
    }
  }

  wire::Output no_rank_took(const Sequences::Sequence& sequence) const {
    const std::string why = why_not();
    return end_of(fmt::format("No rank could go on with the request within {} ms: {}", recovery_timeout_.count(),
                              why.empty() ? sequence.refusal : why));
  }

  static wire::Output end_of(const std::string& why) {
    wire::Output output;
    output.set_finish(wire::FINISH_ERROR);
    output.set_error_status(503);
    output.set_error(why);
    return output;
  }

  static wire::Frame cancel_of(uint64_t id) {
    wire::Frame frame;
    frame.mutable_cancel()->set_request_id(id);
    return frame;
  }

  // --- coordinator ---------------------------------------------------------------------------------------------------

  void on_coordinator(const net::ConnectionPtr& to) {
    wire::Frame frame;
    auto* hello = frame.mutable_register_frontend();
    hello->set_pid(getpid());
    hello->set_host(config_.frontend.host == "0.0.0.0" ? net::host_name() : config_.frontend.host);
    hello->set_port(http_port_);
    to->send(frame);
    const std::lock_guard lock(mutex_);
    coordinator_ = to;
    coordinator_error_.clear();
  }

  void send_report() {
    net::ConnectionPtr to;
    {
      const std::lock_guard lock(mutex_);
      to = coordinator_;
    }
    if (!to) return;
    const Report report = report_();
    wire::Frame frame;
    frame.mutable_frontend_report()->set_requests_running(report.requests_running);
    frame.mutable_frontend_report()->set_connections(report.connections);
    frame.mutable_frontend_report()->mutable_key_uses()->Add(report.key_uses.begin(), report.key_uses.end());
    to->send(frame);
  }

  void on_routing_table(const wire::RoutingTable& table) {
    take(table);
    place_waiting();
  }

  void take(const wire::RoutingTable& table) {
    const std::lock_guard lock(mutex_);
    epoch_ = table.epoch();
    std::map<uint32_t, const wire::RankAddress*> listed;
    for (const auto& address : table.ranks()) listed[address.rank_id()] = &address;
    for (auto& [id, rank] : ranks_.all()) {
      const auto found = listed.find(id);
      if (found == listed.end()) continue;  // of a group that the coordinator does not know yet: it goes on
      const bool moved = found->second->host() != rank.host || found->second->port() != rank.port;
      if (found->second->state() == wire::RANK_DEAD || moved) disconnect(rank);
    }
    for (const auto& [id, address] : listed) {
      Rank& rank = ranks_.at(id);
      rank.take_address(*address);
      if (rank.live && rank.connector == 0) connect(rank);
    }
    ranks_.take_groups(table);
    for (const auto& state : table.groups())
      if (!ranks_.serves(state.group()) && !ranks_.leaves(state.group())) pause(state.group());
  }

  // --- ranks ---------------------------------------------------------------------------------------------------------

  // What its connection still brings, its end included, is of no interest from here on: by then another process may be
  // there, with sequences of its own.
  void disconnect(Rank& rank) {
    rank.live = false;
    if (rank.connector == 0) return;
    net_->disconnect(rank.connector);
    rank.connector = 0;
    ++rank.connects;
    if (rank.connection) lose(rank);
  }

  // What was running there goes elsewhere.
  size_t lose(Rank& rank) {
    rank.connection = nullptr;
    rank.running = rank.waiting = 0;
    prefixes_.forget(rank.id);
    rank.load_time = 0;  // another process may take its place, with a clock of its own
    last_lost_ = now();
    return sequences_.lose(rank.id, *last_lost_);
  }

  void connect(Rank& rank) {
    const uint32_t id = rank.id;
    const uint64_t which = ++rank.connects;
    net::Handlers handlers;
    handlers.on_open = [this, id, which](const net::ConnectionPtr& to) {
      {
        const std::lock_guard lock(mutex_);
        Rank& opened = ranks_.at(id);
        if (opened.connects != which) return;
        opened.connection = to;
        log_info("connected to a rank", {{"rank", id}, {"address", to->peer().address}, {"epoch", epoch_}});
      }
      place_waiting();
    };
    handlers.on_frame = [this, id, which](const net::ConnectionPtr&, wire::Frame& frame) {
      if (frame.has_outputs()) on_outputs(id, which, frame);
    };
    handlers.on_close = [this, id, which](const net::ConnectionPtr&, const Error& why) {
      on_rank_lost(id, which, why);
    };
    handlers.on_connect_failed = [id](const Error& why) {
      log_warn("cannot connect to a rank", {{"rank", id}, {"why", why.message}});
    };
    rank.connector = net_->connect(rank.host, rank.port, std::move(handlers));
  }

  void on_outputs(uint32_t rank_id, uint64_t which, wire::Frame& received) {
    const auto frame = std::make_shared<wire::Frame>(std::move(received));
    std::vector<std::pair<Reactor*, std::vector<Call>>> messages;  // a few reactors: a list is searched fastest
    const auto calls_of = [&](Reactor* reactor) -> std::vector<Call>& {
      for (auto& [to, calls] : messages)
        if (to == reactor) return calls;
      return messages.emplace_back(reactor, std::vector<Call>()).second;
    };
    {
      const std::lock_guard lock(mutex_);
      Rank& rank = ranks_.at(rank_id);
      if (rank.connects != which) return;
      rank.take_load(frame->outputs());
      rank.heard_at = now();
      for (wire::Output& output : *frame->mutable_outputs()->mutable_outputs()) {
        const uint64_t id = output.request_id();
        Sequences::Sequence* sequence = sequences_.find(id);
        if (sequence == nullptr || sequence->waits || sequence->rank != rank_id) continue;  // cancelled
        if (another_may_take(*sequence, output)) {
          sequence->refusal = std::move(*output.mutable_error());
          sequences_.set_waiting(id, now());
          place_later();
          continue;
        }
        if (!sequence->has_begun && output.finish() != wire::FINISH_ERROR) {
          sequence->has_begun = true;
          waiting_room_.begin(for_waiting_room(), sequence->frame->generate().priority(),
                              static_cast<uint32_t>(sequence->prompt().size()), rank.heard_at);
        }
        sequences_.record(*sequence, output);
        calls_of(sequence->reactor).push_back({sequence->on_output, &output});
        if (output.finish() != wire::FINISH_NONE) take(id);
      }
    }
    for (auto& [reactor, calls] : messages) {
      reactor->post([frame, calls = std::move(calls)] {
        for (const Call& call : calls) (*call.on_output)(*call.output);
      });
    }
  }

  // A rank on its way out refuses new sequences; a full one does so too, and then a sequence that the client has tokens
  // of must not end, while a new one had better be told early.
  static bool another_may_take(const Sequences::Sequence& sequence, const wire::Output& output) {
    if (output.finish() != wire::FINISH_ERROR) return false;
    return output.error_status() == 503 || (output.error_status() == 429 && sequence.replays > 0);
  }

  void on_rank_lost(uint32_t rank_id, uint64_t which, const Error& why) {
    size_t lost = 0;
    {
      const std::lock_guard lock(mutex_);
      Rank& rank = ranks_.at(rank_id);
      if (rank.connects != which) return;
      lost = lose(rank);
      leave_group(rank.group);
    }
    log_warn("lost a rank", {{"rank", rank_id}, {"why", why.message}, {"sequences", lost}});
    place_waiting();
  }

  const config::ClusterConfig config_;
  const uint16_t http_port_;
  const std::function<Report()> report_;
  const OnKeyUses on_key_uses_;
  const std::function<void()> on_drain_;
  const std::chrono::milliseconds recovery_timeout_{config_.frontend.recovery_timeout_ms};

  mutable std::mutex mutex_;  // guards what follows
  net::ConnectionPtr coordinator_;
  std::string coordinator_error_;
  uint64_t epoch_ = 0;
  Ranks ranks_;
  Sequences sequences_;
  WaitingRoom waiting_room_;
  bool placing_later_ = false;
  std::optional<Time> last_lost_;  // a rank
  uint64_t replays_ = 0;
  PrefixIndex prefixes_;

  const std::unique_ptr<net::Service> net_;  // goes first: its thread uses the rest
};

}  // namespace

std::unique_ptr<RankPool> RankPool::start(const config::ClusterConfig& config, std::unique_ptr<net::Service> net,
                                          uint16_t http_port, std::function<Report()> report, OnKeyUses on_key_uses,
                                          std::function<void()> on_drain) {
  auto pool = std::make_unique<NetRankPool>(config, std::move(net), http_port, std::move(report),
                                            std::move(on_key_uses), std::move(on_drain));
  pool->open();
  return pool;
}

}  // namespace switchyard::frontend
