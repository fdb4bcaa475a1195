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
      const bool usable = any_usable();
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
      const auto rank = ranks_.find(*sequence.rank);
      if (rank != ranks_.end()) connection = rank->second.connection;
    }
    if (!connection) return;
    wire::Frame frame;
    frame.mutable_cancel()->set_request_id(ticket);
    connection->send(frame);
  }

  std::optional<WaitingRoom::Refusal> turn_away(int32_t priority, bool comes_again) override {
    const std::lock_guard lock(mutex_);
    return waiting_room_.ask(for_waiting_room(), priority, comes_again, now());
  }

  Load load() const override {
    Load load;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, rank] : ranks_) {
      if (!rank.usable()) continue;
      ++load.live_ranks;
      load.running += rank.running;
      load.waiting += rank.waiting;
      load.kv_usage = std::max(load.kv_usage, rank.kv_usage);
    }
    load.replays = replays_;
    return load;
  }

  std::string why_not_ready() const override {
    const std::lock_guard lock(mutex_);
    return why_not();
  }

  uint32_t retry_after_seconds() const override {
    const std::lock_guard lock(mutex_);
    uint32_t soonest = 0;
    for (const auto& [id, group] : groups_)
      if (!group.serves() && (soonest == 0 || group.retry_after < soonest)) soonest = group.retry_after;
    return std::max(soonest, 1U);
  }

  void stop() override { net_->stop(); }

 private:
  // As the coordinator says.
  struct Group {
    std::string why_not;
    uint32_t retry_after = 0;  // s
    bool serves() const { return why_not.empty(); }
  };
  struct Rank {
    uint32_t id = 0;
    uint32_t group = 0;
    std::string host;
    uint16_t port = 0;
    net::Service::Id connector = 0;
    uint64_t connects = 0;          // goes up when one connector takes another's place, or ends
    net::ConnectionPtr connection;  // null while there is none
    bool live = false;              // as the coordinator says
    bool joining = false;           // likewise: between two epochs, or loading
    bool leaving = false;           // likewise: finishing what it has
    uint32_t running = 0;
    uint32_t waiting = 0;
    double kv_usage = 0;
    uint64_t load_time = 0;  // of the three above
    Time heard_at;           // outputs, or the first sequence that it owes some for

    // The load as the rank says it with its outputs, or as the coordinator passes it on, whichever is later.
    template <typename Message>
    void take_load(const Message& message) {
      if (message.load_time() < load_time) return;
      load_time = message.load_time();
      running = message.sequences_running();
      waiting = message.sequences_waiting();
      kv_usage = message.kv_usage();
    }
    bool usable() const { return live && connection; }
  };
  // A frame on its way to a rank: what is decided under the lock is sent outside of it.
  struct Sending {
    net::ConnectionPtr connection;  // null: nothing to send
    std::shared_ptr<const wire::Frame> frame;
    uint64_t id = 0;
    uint32_t rank = 0;
  };
  using GivenUp = std::pair<Sequences::Sequence, wire::Output>;
  struct Call {
    std::shared_ptr<OnOutput> on_output;
    wire::Output* output = nullptr;
  };

  bool serves(uint32_t group) const {
    const auto found = groups_.find(group);
    return found == groups_.end() || found->second.serves();
  }
  bool can_take(const Rank& rank) const { return rank.usable() && serves(rank.group); }

  bool any_usable() const {
    return std::any_of(ranks_.begin(), ranks_.end(), [&](const auto& entry) { return can_take(entry.second); });
  }

  bool known_not_to_serve() const {
    return !groups_.empty() && coordinator_ &&
           std::none_of(groups_.begin(), groups_.end(), [](const auto& entry) { return entry.second.serves(); });
  }

  WaitingRoom::Ranks for_waiting_room() const {
    WaitingRoom::Ranks all;
    uint32_t theirs = 0;
    for (const auto& [id, rank] : ranks_) {
      if (!rank.usable()) continue;
      all.places += config_.worker.max_num_seqs;
      all.waiting += rank.waiting;
      theirs += rank.running + rank.waiting;
    }
    all.sequences = std::max(theirs, static_cast<uint32_t>(sequences_.size()));
    return all;
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
    return std::any_of(ranks_.begin(), ranks_.end(),
                       [](const auto& entry) { return entry.second.connection && entry.second.joining; });
  }

  std::string why_not() const {
    bool live = false;
    for (const auto& [id, rank] : ranks_) {
      if (can_take(rank)) return "";
      live = live || rank.live;
    }
    std::string groups;
    for (const auto& [id, group] : groups_)
      if (!group.serves()) groups += (groups.empty() ? "" : "; ") + group.why_not;
    if (!groups.empty()) return groups + ".";
    if (live) return "not connected to any rank yet.";
    if (!ranks_.empty()) return "no rank is live.";
    if (coordinator_) return "no rank has registered yet.";
    return "no coordinator" + (coordinator_error_.empty() ? "." : ": " + coordinator_error_);
  }

  // Those with a rank that cannot be used, ascending, as ranks of higher ids are in higher groups; almost always none.
  std::vector<uint32_t> broken_groups() const {
    std::vector<uint32_t> broken;
    if (config_.worker.exchange != "mpi") return broken;
    for (const auto& [id, rank] : ranks_)
      if (!rank.usable() && (broken.empty() || broken.back() != rank.group)) broken.push_back(rank.group);
    return broken;
  }

  // A group of one MPI job that lost a rank steps no more, and MPI takes seconds to end it: what its other ranks have
  // goes to a whole group at once, if there is one. Other groups go on without the rank.
  void leave_group(uint32_t group) {
    if (config_.worker.exchange != "mpi") return;
    const auto broken = broken_groups();
    const bool any_whole = std::any_of(ranks_.begin(), ranks_.end(), [&](const auto& entry) {
      return !std::binary_search(broken.begin(), broken.end(), entry.second.group);
    });
    for (auto& [id, rank] : ranks_)
      if (any_whole && rank.group == group && rank.usable()) disconnect(rank);
  }

  Rank* choose(const std::vector<uint64_t>& blocks, size_t prompt_tokens) {
    const auto matches = prefixes_.matches(blocks);
    const Time now = switchyard::now();
    const auto broken = broken_groups();
    std::vector<RankCandidate> candidates;
    candidates.reserve(ranks_.size());
    auto at = ranks_.upper_bound(last_rank_);  // the one behind the last choice comes first among equals
    for (size_t i = 0; i < ranks_.size(); ++i, ++at) {
      if (at == ranks_.end()) at = ranks_.begin();
      const Rank& rank = at->second;
      if (!can_take(rank)) continue;
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
    last_rank_ = candidates[*best].rank;
    return &ranks_[last_rank_];
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
    std::vector<std::pair<net::ConnectionPtr, wire::Frame>> cancels;
    {
      const std::lock_guard lock(mutex_);
      const Time now = switchyard::now();
      const bool usable = any_usable();
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
    for (const auto& [connection, frame] : cancels) connection->send(frame);
    for (const Sending& sending : sendings) send(sending);
    for (const auto& entry : given_up) {
      entry.first.reactor->post([on_output = entry.first.on_output, end = entry.second] {
        wire::Output own = end;  // a callback may take it apart
        (*on_output)(own);
      });
    }
  }

  // Of the sequences on ranks whose group waits for others, those that have waited too long. True: some still wait.
  bool end_paused(Time now, std::vector<GivenUp>& given_up,
                  std::vector<std::pair<net::ConnectionPtr, wire::Frame>>& cancels) {
    bool some_wait = false;
    for (const auto& [rank_id, rank] : ranks_) {
      if (serves(rank.group)) continue;
      for (const uint64_t id : sequences_.on(rank_id)) {
        const Sequences::Sequence& sequence = *sequences_.find(id);
        if (!sequence.stalled_at || now - *sequence.stalled_at <= recovery_timeout_) {
          some_wait = true;
          continue;
        }
        if (rank.connection) {
          auto& [to, frame] = cancels.emplace_back(rank.connection, wire::Frame());
          frame.mutable_cancel()->set_request_id(id);
        }
        wire::Output end = no_rank_took(sequence);
        given_up.emplace_back(take(id), std::move(end));
      }
    }
    return some_wait;
  }

  // What runs in a group that waits for ranks goes to another one, or waits with it.
  void pause(uint32_t group) {
    const bool elsewhere = any_usable();
    for (auto& [id, rank] : ranks_) {
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
    wire::Output output;
    output.set_finish(wire::FINISH_ERROR);
    output.set_error_status(503);
    const std::string why = why_not();
    output.set_error(fmt::format("No rank could go on with the request within {} ms: {}", recovery_timeout_.count(),
                                 why.empty() ? sequence.refusal : why));
    return output;
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
    for (auto& [id, rank] : ranks_) {
      const auto found = listed.find(id);
      if (found == listed.end()) continue;  // of a group that the coordinator does not know yet: it goes on
      const bool moved = found->second->host() != rank.host || found->second->port() != rank.port;
      if (found->second->state() == wire::RANK_DEAD || moved) disconnect(rank);
    }
    for (const auto& [id, address] : listed) {
      Rank& rank = ranks_[id];
      rank.id = id;
      rank.group = address->group();
      rank.live = address->state() == wire::RANK_LIVE;
      rank.joining = address->state() == wire::RANK_JOINING;
      rank.leaving = address->state() == wire::RANK_LEAVING;
      rank.host = address->host();
      rank.port = static_cast<uint16_t>(address->port());
      rank.take_load(*address);
      if (rank.live && rank.connector == 0) connect(rank);
    }
    for (const auto& state : table.groups()) groups_[state.group()] = {state.why_not_serving(), state.retry_after_s()};
    for (const auto& state : table.groups())
      if (!state.why_not_serving().empty() && !only_leaves(state.group())) pause(state.group());
  }

  // The group does not serve because its ranks finish what they have and end.
  bool only_leaves(uint32_t group) const {
    return std::any_of(ranks_.begin(), ranks_.end(),
                       [&](const auto& entry) { return entry.second.group == group && entry.second.leaving; });
  }

  // --- ranks
  // -----------------------------------------------------------------------------------------------------------

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
        if (ranks_[id].connects != which) return;
        ranks_[id].connection = to;
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
      Rank& rank = ranks_[rank_id];
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
      Rank& rank = ranks_[rank_id];
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
  std::map<uint32_t, Rank> ranks_;
  std::map<uint32_t, Group> groups_;  // that the coordinator has told of
  uint32_t last_rank_ = UINT32_MAX;
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
