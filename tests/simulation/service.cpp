#include "tests/simulation/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/wire/switchyard.pb.h"

namespace switchyard::simulation {
namespace {

using std::chrono::milliseconds;

constexpr Duration kPost = std::chrono::microseconds(2);  // until what was posted runs
constexpr milliseconds kHandshakeDeadline{5000};          // as net::Options says
constexpr milliseconds kCloseDeadline{1000};

class SimulatedService;

struct Connector {
  uint64_t id = 0;
  std::string host;
  uint16_t port = 0;
  net::Handlers handlers;
  net::ReconnectPolicy policy;
  milliseconds wait{0};
  Time opened_at{};
  uint64_t attempt = 0;
};

class SimulatedConnection final : public net::Connection,
                                  public Endpoint,
                                  public std::enable_shared_from_this<SimulatedConnection> {
 public:
  SimulatedConnection(SimulatedService& service, World& world, ProcessPtr process, uint64_t id, int end,
                      net::Handlers handlers, std::shared_ptr<Connector> connector)
      : service_(service),
        world_(world),
        process_(std::move(process)),
        id_(id),
        end_(end),
        handlers_(std::move(handlers)),
        connector_(std::move(connector)) {}

  bool send(const wire::Frame& frame) override {
    if (closed_) return false;
    Message message;
    message.kind = Message::Kind::kFrame;
    message.frame = std::make_shared<wire::Frame>(frame);
    stream_->send(end_, std::move(message));
    return true;
  }
  void close() override;
  bool closed() const override { return closed_; }
  const net::Peer& peer() const override { return peer_; }
  uint64_t id() const override { return id_; }
  size_t queued_bytes() const override { return 0; }

  void arrived(Message& message) override;
  void begin(StreamPtr stream) { stream_ = std::move(stream); }
  void open();
  void end(const Error& error);
  // Ends without a word to its user; the other end learns of it.
  void drop() {
    handlers_ = {};
    closed_ = ended_ = true;
    if (stream_) stream_->send(end_, {Message::Kind::kEnd, nullptr, {}});
  }
  bool is_open() const { return open_; }
  const std::shared_ptr<Connector>& connector() const { return connector_; }

 private:
  SimulatedService& service_;  // gone once this has ended
  World& world_;
  const ProcessPtr process_;
  const uint64_t id_;
  const int end_;
  net::Handlers handlers_;
  const std::shared_ptr<Connector> connector_;  // null where it was accepted
  StreamPtr stream_;
  net::Peer peer_{};
  bool open_ = false;
  bool closed_ = false;
  bool closed_here_ = false;
  bool ended_ = false;
};

class SimulatedService final : public net::Service {
 public:
  SimulatedService(Network& network, ProcessPtr process, net::Identity identity)
      : network_(network), process_(std::move(process)), identity_(std::move(identity)) {}
  ~SimulatedService() override { stop(); }

  Result<uint16_t> listen(const std::string& host, uint16_t port, net::Handlers handlers) override {
    const uint16_t chosen = port != 0 ? port : 10000;
    listening_.emplace_back(host, chosen);
    network_.listen(process_, host, chosen, [this, handlers](const StreamPtr& stream) {
      auto connection =
          std::make_shared<SimulatedConnection>(*this, network_.world(), process_, next_id_++, 1, handlers, nullptr);
      connection->begin(stream);
      connections_[connection->id()] = connection;
      stream->send(1, {Message::Kind::kOpened, nullptr, {}});
      connection->open();
      return connection;
    });
    return chosen;
  }
  void stop_listening(uint16_t port) override {
    for (const auto& [host, listened] : listening_)
      if (listened == port) network_.stop_listening(host, port);
  }

  Id connect(const std::string& host, uint16_t port, net::Handlers handlers, net::ReconnectPolicy policy) override {
    auto connector = std::make_shared<Connector>();
    connector->id = next_id_++;
    connector->host = host;
    connector->port = port;
    connector->handlers = std::move(handlers);
    connector->policy = policy;
    connector->wait = policy.first_wait;
    post([this, connector] {
      connectors_[connector->id] = connector;
      attempt(connector);
    });
    return connector->id;
  }
  void disconnect(Id id) override {
    post([this, id] {
      if (connectors_.erase(id) == 0) return;
      const auto of_it = [id](const auto& entry) {
        return entry.second->connector() && entry.second->connector()->id == id;
      };
      const auto found = std::find_if(connections_.begin(), connections_.end(), of_it);
      if (found == connections_.end()) return;
      const auto connection = found->second;
      if (connection->is_open()) return connection->close();
      connections_.erase(found);
      connection->drop();
    });
  }

  void post(std::function<void()> function) override {
    network_.world().after(process_, kPost, [this, run = std::move(function)] {
      if (!stopped_) run();
    });
  }
  Id after(Milliseconds delay, std::function<void()> function) override {
    const Id id = next_id_++;
    timers_[id] = true;
    network_.world().after(process_, delay, [this, id, run = std::move(function)] {
      if (!stopped_ && timers_.erase(id) != 0) run();
    });
    return id;
  }
  Id every(Milliseconds interval, std::function<void()> function) override {
    const Id id = next_id_++;
    timers_[id] = true;
    repeat(id, now() + interval, interval, std::make_shared<std::function<void()>>(std::move(function)));
    return id;
  }
  void cancel(Id timer) override { timers_.erase(timer); }

  void stop() override {
    if (std::exchange(stopped_, true)) return;
    for (const auto& [host, port] : listening_) network_.stop_listening(host, port);
    connectors_.clear();
    for (const auto& [id, connection] : std::exchange(connections_, {})) connection->drop();
    timers_.clear();
  }

  bool on_net_thread() const override { return Fiber::running() == nullptr; }
  boost::asio::io_context& io_context() override {
    SWITCHYARD_CHECK(false);  // nothing else runs on a simulated event loop
    std::abort();
  }

  void ended(const std::shared_ptr<SimulatedConnection>& connection, const net::Handlers& handlers, bool closed_here,
             const Error& error) {
    connections_.erase(connection->id());
    const auto& connector = connection->connector();
    if (!connection->is_open()) return attempt_failed(connector, error);
    if (handlers.on_close) handlers.on_close(connection, error);
    if (!connector || !connectors_.contains(connector->id)) return;
    if (closed_here) {
      connectors_.erase(connector->id);
      return;
    }
    if (now() - connector->opened_at >= connector->policy.longest_wait) connector->wait = connector->policy.first_wait;
    retry(connector);
  }

 private:
  void repeat(Id id, Time at, Milliseconds interval, const std::shared_ptr<std::function<void()>>& function) {
    network_.world().after(process_, std::max(at, now()) - now(), [this, id, at, interval, function] {
      if (stopped_ || !timers_.contains(id)) return;
      (*function)();
      if (!stopped_ && timers_.contains(id)) repeat(id, std::max(at + interval, now()), interval, function);
    });
  }

  void attempt(const std::shared_ptr<Connector>& connector) {
    const uint64_t number = ++connector->attempt;
    auto connection = std::make_shared<SimulatedConnection>(*this, network_.world(), process_, next_id_++, 0,
                                                            connector->handlers, connector);
    connections_[connection->id()] = connection;
    connection->begin(network_.connect(process_, connector->host, connector->port, connection));
    network_.world().after(process_, kHandshakeDeadline, [this, connector, number, id = connection->id()] {
      const auto found = connections_.find(id);
      if (stopped_ || number != connector->attempt || found == connections_.end()) return;
      const auto late = found->second;
      if (late->is_open()) return;
      connections_.erase(found);
      late->drop();
      attempt_failed(connector, {Errc::kTimeout, fmt::format("{}: no connection in time", connector->host)});
    });
  }
  void attempt_failed(const std::shared_ptr<Connector>& connector, const Error& error) {
    ++connector->attempt;
    if (!connectors_.contains(connector->id)) return;
    if (connector->handlers.on_connect_failed) connector->handlers.on_connect_failed(error);
    if (connectors_.contains(connector->id)) retry(connector);
  }
  void retry(const std::shared_ptr<Connector>& connector) {
    if (!connector->policy.reconnect) {
      connectors_.erase(connector->id);
      return;
    }
    const uint64_t number = ++connector->attempt;
    network_.world().after(process_, connector->wait, [this, connector, number] {
      if (!stopped_ && number == connector->attempt && connectors_.contains(connector->id)) attempt(connector);
    });
    connector->wait = std::min(connector->wait * 2, connector->policy.longest_wait);
  }

  Network& network_;
  const ProcessPtr process_;
  const net::Identity identity_;
  bool stopped_ = false;
  Id next_id_ = 1;
  std::vector<std::pair<std::string, uint16_t>> listening_;
  std::map<Id, std::shared_ptr<Connector>> connectors_;
  std::map<Id, std::shared_ptr<SimulatedConnection>> connections_;
  std::map<Id, bool> timers_;
};

void SimulatedConnection::open() {
  open_ = true;
  const Process& other = stream_->process(1 - end_);
  peer_.role = other.name.starts_with("coordinator") ? wire::ROLE_COORDINATOR
               : other.name.starts_with("frontend")  ? wire::ROLE_FRONTEND
                                                     : wire::ROLE_WORKER;
  peer_.name = other.name;
  if (connector_) connector_->opened_at = now();
  if (handlers_.on_open) handlers_.on_open(shared_from_this());
}

void SimulatedConnection::arrived(Message& message) {
  if (ended_) return;
  const auto self = shared_from_this();  // what is called may forget it
  switch (message.kind) {
    case Message::Kind::kOpened: return open();
    case Message::Kind::kFrame: {
      if (closed_ || !handlers_.on_frame) return;
      world_.note("frame", process_->slot, stream_->slot(1 - end_), static_cast<uint64_t>(message.frame->body_case()));
      return handlers_.on_frame(self, *message.frame);
    }
    case Message::Kind::kEnd:
      stream_->send(end_, {Message::Kind::kEnd, nullptr, {}});
      return end(closed_here_ ? Error{Errc::kUnavailable, "closed from this side"}
                              : Error{Errc::kPeerLost, "closed by the peer"});
    default: SWITCHYARD_CHECK(false);
  }
}

void SimulatedConnection::close() {
  closed_here_ = true;
  if (std::exchange(closed_, true)) return;
  stream_->send(end_, {Message::Kind::kEnd, nullptr, {}});
  world_.after(process_, kCloseDeadline, [self = shared_from_this()] {
    self->end({Errc::kUnavailable, "closed from this side"});
  });
}

void SimulatedConnection::end(const Error& error) {
  if (ended_) return;
  ended_ = closed_ = true;
  stream_->leave(end_);
  const net::Handlers handlers = std::exchange(handlers_, {});
  service_.ended(shared_from_this(), handlers, closed_here_, error);
}

}  // namespace

std::unique_ptr<net::Service> make_service(Network& network, ProcessPtr process, net::Identity identity) {
  return std::make_unique<SimulatedService>(network, std::move(process), std::move(identity));
}

}  // namespace switchyard::simulation
