#include "frontend/http/server.h"

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/base/log.h"
#include "frontend/http/session.h"

namespace switchyard::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// How often deadlines are looked at: a twentieth of the shortest sensible one, and nothing for 10000 connections.
constexpr std::chrono::milliseconds kSweep{100};

class Server final : public HttpServer, public SessionOwner {
 public:
  Server(const ServerOptions& options, RequestHandler& handler)
      : options_(options),
        handler_(handler),
        io_(static_cast<int>(options.threads)),
        work_(io_.get_executor()),
        strand_(asio::make_strand(io_)),
        acceptor_(strand_),
        retry_(strand_),
        sweeper_(strand_) {}
  ~Server() override { stop(); }

  Status listen() {
    error_code error;
    tcp::resolver resolver(io_);
    const auto addresses =
        resolver.resolve(options_.host, std::to_string(options_.port), tcp::resolver::passive, error);
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    if (error || addresses.empty())
      return Error{Errc::kIo, "frontend.host: cannot resolve " + options_.host + ": " + error.message()};
    const tcp::endpoint endpoint = addresses.begin()->endpoint();
    const auto check = [&](const char* what) -> Status {
      if (error) return Error{Errc::kIo, "cannot " + std::string(what) + " " + where + ": " + error.message()};
      return {};
    };
    acceptor_.open(endpoint.protocol(), error);
    SWITCHYARD_TRY(check("open a socket for"));
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_.bind(endpoint, error);
    SWITCHYARD_TRY(check("bind"));
    acceptor_.listen(4096, error);
    SWITCHYARD_TRY(check("listen on"));
    port_ = acceptor_.local_endpoint(error).port();
    asio::post(strand_, [this] {
      accept();
      sweep();
    });
    for (uint32_t i = 0; i < std::max(1U, options_.threads); ++i) threads_.emplace_back([this] { io_.run(); });
    return {};
  }

  uint16_t port() const override { return port_; }
  uint32_t connection_count() const override { return connections_.load(); }

  void begin_drain() override {
    draining_ = true;
    for (const auto& session : sessions()) session->drain();
  }

  void stop() override {
    if (threads_.empty()) return;
    SWITCHYARD_CHECK(!on_server_thread());
    stopping_ = true;
    std::promise<void> closed;
    asio::post(strand_, [&] {
      error_code ignored;
      acceptor_.close(ignored);
      sweeper_.cancel();
      retry_.cancel();
      closed.set_value();
    });
    closed.get_future().wait();  // no session begins after this
    for (const auto& session : sessions()) session->close();
    // Not only connections hold sessions: whoever answers does for a moment, and so does what was posted to one. An
    // answer in the making holds none (its Responder is a weak handle). The threads run until the last one is freed: it
    // must not outlive the io_context, and what is posted must find a thread.
    {
      std::unique_lock lock(mutex_);
      gone_.wait(lock, [this] { return alive_ == 0; });
    }
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // SessionOwner.
  const ServerOptions& options() const override { return options_; }
  RequestHandler& handler() override { return handler_; }
  bool draining() const override { return draining_; }
  void ended(uint64_t id) override {
    decltype(sessions_)::node_type ended;  // freed after the lock, which freeing takes
    const std::lock_guard lock(mutex_);
    ended = sessions_.extract(id);
    if (!ended.empty()) --connections_;
  }

 private:
  std::vector<std::shared_ptr<Session>> sessions() {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Session>> result;
    result.reserve(sessions_.size());
    for (const auto& [id, session] : sessions_) result.push_back(session);
    return result;
  }

  bool on_server_thread() const {
    for (const std::thread& thread : threads_)
      if (thread.get_id() == std::this_thread::get_id()) return true;
    return false;
  }

  void accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](const error_code& error, auto socket) {
      if (stopping_) return;
      if (error) {
        // Out of file descriptors, most likely: wait for some to be freed instead of spinning.
        log_warn("cannot accept a connection", {{"error", error.message()}});
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](const error_code& cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      add(tcp::socket(std::move(socket)));
      accept();
    });
  }

  void add(tcp::socket socket) {
    const bool full = connections_.load() >= options_.connections_max;
    std::shared_ptr<Session> session;
    {
      const std::lock_guard lock(mutex_);
      const uint64_t id = next_id_++;
      session = std::shared_ptr<Session>(new Session(*this, id, std::move(socket)), [this](Session* last) {
        delete last;
        const std::lock_guard freed(mutex_);
        --alive_;
        gone_.notify_all();
      });
      ++alive_;
      sessions_.emplace(id, session);
      ++connections_;
    }
    session->start(full);
  }

  void sweep() {
    sweeper_.expires_after(kSweep);
    sweeper_.async_wait([this](const error_code& cancelled) {
      if (cancelled || stopping_) return;
      const auto now = std::chrono::steady_clock::now();
      for (const auto& session : sessions()) session->check_deadlines(now);
      sweep();
    });
  }

  const ServerOptions options_;
  RequestHandler& handler_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;  // until stop() has seen every session freed
  asio::strand<asio::io_context::executor_type> strand_;  // of the three below
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::steady_timer sweeper_;
  uint16_t port_ = 0;
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> connections_{0};
  std::mutex mutex_;  // guards the three below
  size_t alive_ = 0;  // sessions that somebody still holds
  std::unordered_map<uint64_t, std::shared_ptr<Session>> sessions_;
  uint64_t next_id_ = 1;
  std::condition_variable gone_;  // alive_ went down
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerOptions& options, RequestHandler& handler) {
  auto server = std::make_unique<Server>(options, handler);
  SWITCHYARD_TRY(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace switchyard::http
