// One thread of HttpServer (server.h): an event loop, its connections, and what is to be sent when the functions that
// wait have run.
//
// Thread: start(), stop(), post(), add(), begin_drain() and connection_count() from any, all else its own.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "frontend/http/http.h"
#include "frontend/http/server.h"

namespace switchyard::frontend {

class Session;

class ServerReactor final : public Reactor {
 public:
  ServerReactor(const ServerOptions& options, RequestHandler& handler, const std::atomic<bool>& draining);
  ~ServerReactor() { stop(); }

  void start();
  // No session begins after it. Closes all, and joins the thread when the last one is freed. Not from a server thread.
  void stop();
  void post(std::function<void()> function) override;
  // full: the connection is told so and closed.
  void add(boost::asio::ip::tcp::socket socket, bool full);
  void begin_drain();
  uint32_t connection_count() const { return connections_.load(std::memory_order_relaxed); }
  bool on_thread() const { return thread_.get_id() == std::this_thread::get_id(); }
  boost::asio::io_context& io_context() { return io_; }

  // For its sessions.
  const ServerOptions& options() const { return options_; }
  RequestHandler& handler() const { return handler_; }
  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  void ended(uint64_t id);  // forget it
  // Calls its flush() when the functions that are posted by now have run.
  void flush_later(std::shared_ptr<Session> session);
  // For bytes on their way from a socket: no connection needs room for itself.
  std::span<char> read_space() { return read_space_; }

 private:
  void flush_all();
  void sweep();

  const ServerOptions& options_;
  RequestHandler& handler_;
  const std::atomic<bool>& draining_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;  // until every session is freed
  boost::asio::steady_timer sweeper_;
  bool sweeping_ = false;  // while there are sessions
  std::thread thread_;
  std::atomic<uint32_t> connections_{0};

  std::unordered_map<uint64_t, std::shared_ptr<Session>> sessions_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::vector<std::shared_ptr<Session>> to_flush_;
  std::vector<std::shared_ptr<Session>> flushing_;  // kept for its room
  std::array<char, 64U << 10> read_space_;

  std::mutex mutex_;              // guards alive_
  size_t alive_ = 0;              // sessions that somebody still holds
  std::condition_variable gone_;  // alive_ went down
};

}  // namespace switchyard::frontend
