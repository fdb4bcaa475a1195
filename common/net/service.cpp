#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>
#include <unordered_map>
#include <utility>

#include "common/base/log.h"
#include "common/net/link.h"
#include "common/net/net.h"
#include "common/net/tls.h"

namespace switchyard::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 1024;
constexpr milliseconds kAcceptRetry{100};  // after accept() failed, as for lack of descriptors
constexpr milliseconds kStopFlush{500};

struct Listener {
  tcp::acceptor acceptor;
  asio::steady_timer retry;
  std::shared_ptr<Handlers> handlers;
};

struct Connector {
  Connector(asio::io_context& io, uint64_t connector_id, std::string h, uint16_t p, Handlers hs, ReconnectPolicy po)
      : id(connector_id),
        host(std::move(h)),
        port(p),
        handlers(std::make_shared<Handlers>(std::move(hs))),
        policy(po),
        wait(po.first_wait),
        resolver(io),
        timer(io) {}
  const uint64_t id;
  const std::string host;
  const uint16_t port;
  const std::shared_ptr<Handlers> handlers;
  const ReconnectPolicy policy;
  milliseconds wait;
  tcp::resolver resolver;
  asio::steady_timer timer;             // between attempts, and the deadline of resolving and connecting
  std::shared_ptr<tcp::socket> socket;  // while connecting
  std::shared_ptr<Link> link;           // from the start of the handshake
  Clock::time_point opened_at{};
  uint64_t attempt = 0;    // completions of an earlier attempt are stale
  std::string last_error;  // one log line per cause, not per attempt
};

class ServiceImpl final : public Service {
 public:
  ServiceImpl(Identity identity, std::string secret, Options options)
      : identity_(std::move(identity)),
        secret_(std::move(secret)),
        options_(options),
        io_(std::make_shared<asio::io_context>(1)),
        work_(asio::make_work_guard(*io_)) {}

  ~ServiceImpl() override { stop(); }

  void run();

  Result<uint16_t> listen(const std::string& host, uint16_t port, Handlers handlers) override;
  void stop_listening(uint16_t port) override;
  Id connect(const std::string& host, uint16_t port, Handlers handlers, ReconnectPolicy policy) override;
  void disconnect(Id connector) override;
  void post(std::function<void()> function) override;
  Id after(Milliseconds delay, std::function<void()> function) override;
  Id every(Milliseconds interval, std::function<void()> function) override;
  void cancel(Id timer) override;
  void stop() override;
  bool on_net_thread() const override { return std::this_thread::get_id() == thread_.get_id(); }
  asio::io_context& io_context() override { return *io_; }

 private:
  struct Timer {
    explicit Timer(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;
    std::function<void()> function;
    milliseconds interval{0};  // 0 = once
  };

  Id next_id() { return ids_.fetch_add(1, std::memory_order_relaxed); }
  Id add_timer(milliseconds delay, milliseconds interval, std::function<void()> function);
  void arm(Id id, const std::shared_ptr<Timer>& timer);

  void accept(const std::shared_ptr<Listener>& listener);
  void accepted(const std::shared_ptr<Listener>& listener, tcp::socket socket);
  void attempt(const std::shared_ptr<Connector>& connector);
  void connect_to(const std::shared_ptr<Connector>& connector, std::vector<tcp::endpoint> endpoints,
                  Clock::time_point deadline);
  void connected(const std::shared_ptr<Connector>& connector, Clock::time_point deadline);
  void attempt_failed(const std::shared_ptr<Connector>& connector, Error error);
  void retry_or_end(const std::shared_ptr<Connector>& connector);
  std::shared_ptr<Link> make_link(tcp::socket socket, bool client, std::string host,
                                  const std::shared_ptr<Handlers>& handlers, const std::weak_ptr<Connector>& connector);
  void link_ended(const std::shared_ptr<Link>& link, const Error& error, Handlers& handlers,
                  const std::shared_ptr<Connector>& connector);
  void begin_stop();

  const Identity identity_;
  const std::string secret_;
  const Options options_;
  const std::shared_ptr<asio::io_context> io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
  std::atomic<uint64_t> ids_{1};
  std::atomic<bool> finished_{false};
  std::atomic<bool> stop_called_{false};

  // The net thread's own.
  bool stopping_ = false;
  std::unordered_map<uint16_t, std::shared_ptr<Listener>> listeners_;
  std::unordered_map<Id, std::shared_ptr<Connector>> connectors_;
  std::unordered_map<Id, std::shared_ptr<Timer>> timers_;
  std::unordered_map<Id, std::shared_ptr<Link>> links_;
  std::map<Id, std::shared_ptr<Link>> half_open_;  // accepted, no handshake yet; oldest first
};

void ServiceImpl::run() {
  thread_ = std::thread([this] {
    // Signals are for the thread that waits for them.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "net");
    io_->run();
  });
}

// --- posts and timers

void ServiceImpl::post(std::function<void()> function) {
  if (finished_.load()) return;
  asio::post(*io_, [this, run = std::move(function)] {
    if (!stopping_) run();
  });
}

Service::Id ServiceImpl::after(Milliseconds delay, std::function<void()> function) {
  return add_timer(delay, milliseconds{0}, std::move(function));
}

Service::Id ServiceImpl::every(Milliseconds interval, std::function<void()> function) {
  SWITCHYARD_CHECK(interval.count() > 0);
  return add_timer(interval, interval, std::move(function));
}

Service::Id ServiceImpl::add_timer(milliseconds delay, milliseconds interval, std::function<void()> function) {
  const Id id = next_id();
  auto timer = std::make_shared<Timer>(*io_);
  timer->function = std::move(function);
  timer->interval = interval;
  timer->timer.expires_after(delay);
  post([this, id, timer] {
    timers_.emplace(id, timer);
    arm(id, timer);
  });
  return id;
}

void ServiceImpl::arm(Id id, const std::shared_ptr<Timer>& timer) {
  timer->timer.async_wait([this, id, timer](const error_code& error) {
    if (error || stopping_ || !timers_.contains(id)) return;
    if (timer->interval.count() == 0) timers_.erase(id);
    timer->function();
    if (timer->interval.count() == 0 || stopping_ || !timers_.contains(id)) return;
    // From the planned moment, so that the rate holds; from now where we have fallen behind.
    timer->timer.expires_at(std::max(timer->timer.expiry() + timer->interval, Clock::now()));
    arm(id, timer);
  });
}

void ServiceImpl::cancel(Id id) {
  const auto remove = [this, id] {
    if (const auto found = timers_.find(id); found != timers_.end()) {
      found->second->timer.cancel();
      timers_.erase(found);
    }
  };
  // On the net thread at once, unless the timer's own post() is still to come; a second removal does no harm.
  if (on_net_thread()) remove();
  post(remove);
}

// --- listening

Result<uint16_t> ServiceImpl::listen(const std::string& host, uint16_t port, Handlers handlers) {
  if (finished_.load()) return Error{Errc::kUnavailable, "the net service has stopped"};
  const auto failure = [&](const error_code& error) {
    return Error{Errc::kIo, fmt::format("cannot listen on {}:{}: {}", host, port, error.message())};
  };
  error_code error;
  tcp::endpoint endpoint;
  if (const auto address = asio::ip::make_address(host, error); !error) {
    endpoint = tcp::endpoint(address, port);
  } else {
    tcp::resolver resolver(*io_);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error) return failure(error);
    if (found.empty()) return failure(asio::error::host_not_found);
    endpoint = *found.begin();
  }
  auto listener = std::make_shared<Listener>(
      Listener{tcp::acceptor(*io_), asio::steady_timer(*io_), std::make_shared<Handlers>(std::move(handlers))});
  auto& acceptor = listener->acceptor;
  if (acceptor.open(endpoint.protocol(), error)) return failure(error);
  if (acceptor.set_option(tcp::acceptor::reuse_address(true), error)) return failure(error);
  if (acceptor.bind(endpoint, error)) return failure(error);
  if (acceptor.listen(kBacklog, error)) return failure(error);
  const uint16_t chosen = acceptor.local_endpoint(error).port();
  if (error) return failure(error);
  post([this, listener, chosen] {
    listeners_[chosen] = listener;
    accept(listener);
  });
  return chosen;
}

void ServiceImpl::stop_listening(uint16_t port) {
  post([this, port] {
    const auto found = listeners_.find(port);
    if (found == listeners_.end()) return;
    found->second->acceptor.close();
    found->second->retry.cancel();
    listeners_.erase(found);
  });
}

void ServiceImpl::accept(const std::shared_ptr<Listener>& listener) {
  listener->acceptor.async_accept([this, listener](const error_code& error, tcp::socket socket) {
    if (stopping_ || !listener->acceptor.is_open()) return;
    if (error) {
      log_warn("accept failed", {{"cause", error.message()}});
      listener->retry.expires_after(kAcceptRetry);
      listener->retry.async_wait([this, listener](const error_code& cancelled) {
        if (!cancelled && !stopping_ && listener->acceptor.is_open()) accept(listener);
      });
      return;
    }
    accepted(listener, std::move(socket));
    accept(listener);
  });
}

void ServiceImpl::accepted(const std::shared_ptr<Listener>& listener, tcp::socket socket) {
  if (half_open_.size() >= options_.half_open_max) {
    // The newest is as likely an honest peer as any, and honest ones need a millisecond: the oldest has had the most
    // time.
    const auto oldest = half_open_.begin()->second;
    oldest->fail({Errc::kOverloaded, fmt::format("{}: dropped, {} connections are waiting for their handshake",
                                                 oldest->address(), half_open_.size())},
                 Refusal::kHalfOpenLimit);
  }
  const auto link = make_link(std::move(socket), false, "", listener->handlers, {});
  half_open_.emplace(link->id(), link);
  link->start(Clock::now() + options_.handshake_deadline);
}

// --- links

std::shared_ptr<Link> ServiceImpl::make_link(tcp::socket socket, bool client, std::string host,
                                             const std::shared_ptr<Handlers>& handlers,
                                             const std::weak_ptr<Connector>& connector) {
  Link::Events events;
  events.opened = [this, handlers, connector](const std::shared_ptr<Link>& link) {
    half_open_.erase(link->id());
    if (const auto owner = connector.lock()) {
      owner->opened_at = Clock::now();
      owner->last_error.clear();
    }
    log_debug("connection open", {{"peer", link->peer().name}, {"address", link->address()}});
    if (handlers->on_open) handlers->on_open(link);
  };
  events.frame = [this, handlers](const std::shared_ptr<Link>& link, wire::Frame& frame) {
    if (!stopping_ && handlers->on_frame) handlers->on_frame(link, frame);
  };
  events.ended = [this, handlers, connector](const std::shared_ptr<Link>& link, const Error& error) {
    link_ended(link, error, *handlers, connector.lock());
  };
  auto handshake = client ? Handshake::client(identity_, secret_, options_.protocol_version)
                          : Handshake::server(identity_, secret_, options_.protocol_version);
  SSL* ssl = nullptr;
  if (options_.tls) ssl = client ? options_.tls->connect(host) : options_.tls->accept();
  auto link = std::make_shared<Link>(io_, std::move(socket), ssl, options_, next_id(), std::move(handshake), client,
                                     std::move(host), std::move(events));
  links_.emplace(link->id(), link);
  return link;
}

void ServiceImpl::link_ended(const std::shared_ptr<Link>& link, const Error& error, Handlers& handlers,
                             const std::shared_ptr<Connector>& connector) {
  links_.erase(link->id());
  half_open_.erase(link->id());
  if (stopping_) {
    if (links_.empty()) io_->stop();
    return;
  }
  if (!connector && link->refusal()) refusals()->add(*link->refusal(), error.message);
  if (!link->open()) {
    if (!connector) return;
    connector->link.reset();
    return attempt_failed(connector, error);
  }
  log_debug("connection closed", {{"peer", link->peer().name}, {"cause", error.message}});
  if (connector) connector->link.reset();
  if (handlers.on_close) handlers.on_close(link, error);
  if (!connector || !connectors_.contains(connector->id)) return;
  if (link->closed_here()) {
    connectors_.erase(connector->id);
  } else {
    // A peer that takes us in and throws us out at once is not to be asked twenty times a second.
    if (Clock::now() - connector->opened_at >= connector->policy.longest_wait) {
      connector->wait = connector->policy.first_wait;
    }
    retry_or_end(connector);
  }
}

// --- connecting

Service::Id ServiceImpl::connect(const std::string& host, uint16_t port, Handlers handlers, ReconnectPolicy policy) {
  const Id id = next_id();
  auto connector = std::make_shared<Connector>(*io_, id, host, port, std::move(handlers), policy);
  post([this, connector] {
    connectors_.emplace(connector->id, connector);
    attempt(connector);
  });
  return id;
}

void ServiceImpl::disconnect(Id id) {
  post([this, id] {
    const auto found = connectors_.find(id);
    if (found == connectors_.end()) return;
    const auto connector = found->second;
    connectors_.erase(found);
    ++connector->attempt;
    connector->timer.cancel();
    connector->resolver.cancel();
    error_code ignored;
    if (connector->socket) connector->socket->close(ignored);
    if (connector->link) connector->link->close();
  });
}

void ServiceImpl::attempt(const std::shared_ptr<Connector>& connector) {
  const uint64_t number = ++connector->attempt;
  const auto deadline = Clock::now() + options_.handshake_deadline;
  connector->timer.expires_at(deadline);
  connector->timer.async_wait([this, connector, number](const error_code& error) {
    if (error || stopping_ || number != connector->attempt) return;
    connector->resolver.cancel();
    error_code ignored;
    if (connector->socket) connector->socket->close(ignored);
    attempt_failed(connector, {Errc::kTimeout, fmt::format("{}:{}: no connection within {} ms", connector->host,
                                                           connector->port, options_.handshake_deadline.count())});
  });

  error_code error;
  // An address needs no look-up, and so no resolver thread.
  if (const auto address = asio::ip::make_address(connector->host, error); !error) {
    return connect_to(connector, {tcp::endpoint(address, connector->port)}, deadline);
  }
  connector->resolver.async_resolve(
      connector->host, std::to_string(connector->port),
      [this, connector, number, deadline](const error_code& failure, const tcp::resolver::results_type& found) {
        if (stopping_ || number != connector->attempt) return;
        if (failure) {
          return attempt_failed(connector,
                                {Errc::kPeerLost, fmt::format("{}:{}: cannot resolve the name: {}", connector->host,
                                                              connector->port, failure.message())});
        }
        connect_to(connector, {found.begin(), found.end()}, deadline);
      });
}

void ServiceImpl::connect_to(const std::shared_ptr<Connector>& connector, std::vector<tcp::endpoint> endpoints,
                             Clock::time_point deadline) {
  connector->socket = std::make_shared<tcp::socket>(*io_);
  const auto list = std::make_shared<std::vector<tcp::endpoint>>(std::move(endpoints));
  asio::async_connect(
      *connector->socket, *list,
      [this, connector, list, deadline, number = connector->attempt](const error_code& error, const tcp::endpoint&) {
        if (stopping_ || number != connector->attempt) return;
        if (error) {
          return attempt_failed(connector, {Errc::kPeerLost, fmt::format("cannot connect to {}:{}: {}", connector->host,
                                                                         connector->port, error.message())});
        }
        connected(connector, deadline);
      });
}

void ServiceImpl::connected(const std::shared_ptr<Connector>& connector, Clock::time_point deadline) {
  ++connector->attempt;  // the deadline of connecting is over; the link has its own
  connector->timer.cancel();
  const auto socket = std::exchange(connector->socket, nullptr);
  connector->link = make_link(std::move(*socket), true, connector->host, connector->handlers, connector);
  connector->link->start(deadline);
}

void ServiceImpl::attempt_failed(const std::shared_ptr<Connector>& connector, Error error) {
  ++connector->attempt;
  connector->socket.reset();
  if (!connectors_.contains(connector->id)) return;
  if (error.message != connector->last_error) {
    connector->last_error = error.message;
    // Nobody there yet is the normal course of a start; a refusal is not.
    log(error.code == Errc::kPeerLost ? LogLevel::kInfo : LogLevel::kWarn,
        connector->policy.reconnect ? "no connection; trying again" : "no connection",
        {{"to", fmt::format("{}:{}", connector->host, connector->port)}, {"cause", error.message}});
  }
  if (connector->handlers->on_connect_failed) connector->handlers->on_connect_failed(error);
  if (connectors_.contains(connector->id)) retry_or_end(connector);
}

void ServiceImpl::retry_or_end(const std::shared_ptr<Connector>& connector) {
  if (!connector->policy.reconnect) {
    connectors_.erase(connector->id);
    return;
  }
  const uint64_t number = ++connector->attempt;
  connector->timer.expires_after(connector->wait);
  connector->wait = std::min(connector->wait * 2, connector->policy.longest_wait);
  connector->timer.async_wait([this, connector, number](const error_code& error) {
    if (!error && !stopping_ && number == connector->attempt) attempt(connector);
  });
}

// --- the end

void ServiceImpl::begin_stop() {
  stopping_ = true;
  error_code ignored;
  for (auto& [port, listener] : listeners_) {
    listener->acceptor.close(ignored);
    listener->retry.cancel();
  }
  listeners_.clear();
  for (auto& [id, connector] : connectors_) {
    connector->timer.cancel();
    connector->resolver.cancel();
    if (connector->socket) connector->socket->close(ignored);
    connector->link.reset();
  }
  connectors_.clear();
  for (auto& [id, timer] : timers_) timer->timer.cancel();
  timers_.clear();
  half_open_.clear();

  const Error reason{Errc::kUnavailable, "stopped"};
  const auto links = links_;  // ending a link takes it out of links_
  for (const auto& [id, link] : links) {
    if (link->open()) {
      link->close_within(kStopFlush, reason);
    } else {
      link->fail(reason);
    }
  }
  work_.reset();
  // Else the last link_ended() stops the loop. What others run on it does not hold it up.
  if (links_.empty()) io_->stop();
}

void ServiceImpl::stop() {
  if (stop_called_.exchange(true)) return;
  SWITCHYARD_CHECK(!on_net_thread());
  finished_.store(true);
  asio::post(*io_, [this] { begin_stop(); });
  thread_.join();
  // Cancelled operations still hold handlers: let them run off, here, where stopping_ makes them do nothing.
  io_->restart();
  io_->poll();
}

}  // namespace

Service::Service() : refusals_(std::make_shared<Refusals>()) {}

Result<std::unique_ptr<Service>> Service::start(Identity identity, std::string secret, Options options) {
  if (secret.empty()) return Error{Errc::kInvalid, "the cluster's secret is empty"};
  auto service = std::make_unique<ServiceImpl>(std::move(identity), std::move(secret), options);
  service->run();
  return std::unique_ptr<Service>(std::move(service));
}

}  // namespace switchyard::net
