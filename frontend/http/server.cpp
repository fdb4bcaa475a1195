#include "frontend/http/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "common/base/log.h"
#include "frontend/http/reactor.h"

namespace switchyard::frontend {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class Server final : public HttpServer {
 public:
  Server(const ServerOptions& options, RequestHandler& handler) : options_(options) {
    // The cores that this process may use, as taskset or a container leaves them.
    const uint32_t threads = options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
    for (uint32_t i = 0; i < threads; ++i)
      reactors_.push_back(std::make_unique<ServerReactor>(options_, handler, draining_));
    acceptor_.emplace(reactors_.front()->io_context());
    retry_.emplace(reactors_.front()->io_context());
  }
  ~Server() override { stop(); }

  Status listen() {
    error_code error;
    tcp::resolver resolver(reactors_.front()->io_context());
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
    acceptor_->open(endpoint.protocol(), error);
    SWITCHYARD_TRY(check("open a socket for"));
    acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_->bind(endpoint, error);
    SWITCHYARD_TRY(check("bind"));
    acceptor_->listen(4096, error);
    SWITCHYARD_TRY(check("listen on"));
    port_ = acceptor_->local_endpoint(error).port();
    reactors_.front()->post([this] { accept(); });
    for (const auto& reactor : reactors_) reactor->start();
    started_ = true;
    return {};
  }

  uint16_t port() const override { return port_; }
  uint32_t connection_count() const override {
    uint32_t count = 0;
    for (const auto& reactor : reactors_) count += reactor->connection_count();
    return count;
  }

  void begin_drain() override {
    draining_ = true;
    for (const auto& reactor : reactors_) reactor->begin_drain();
  }

  void stop() override {
    if (!started_) return;
    started_ = false;
    for (const auto& reactor : reactors_) SWITCHYARD_CHECK(!reactor->on_thread());
    std::promise<void> closed;
    reactors_.front()->post([&] {
      stopping_ = true;
      error_code ignored;
      acceptor_->close(ignored);
      retry_->cancel();
      closed.set_value();
    });
    closed.get_future().wait();  // no session begins after this
    for (const auto& reactor : reactors_) reactor->stop();
  }

 private:
  ServerReactor& least_loaded() {
    return **std::min_element(reactors_.begin(), reactors_.end(), [](const auto& a, const auto& b) {
      return a->connection_count() < b->connection_count();
    });
  }

  void accept() {
    ServerReactor& reactor = least_loaded();
    acceptor_->async_accept(reactor.io_context(), [this, &reactor](const error_code& error, tcp::socket socket) {
      if (stopping_) return;
      if (error) {
        // Out of open files, most likely: wait for some to be freed instead of spinning.
        cannot_accept(error);
        retry_->expires_after(std::chrono::milliseconds(100));
        retry_->async_wait([this](const error_code& cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      reactor.add(std::move(socket), connection_count() >= options_.connections_max);
      accept();
    });
  }

  // While it goes on, a line a minute.
  void cannot_accept(const error_code& error) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_complaint_) return;
    next_complaint_ = now + std::chrono::minutes(1);
    log_warn("cannot accept connections; they wait until others close", {{"error", error.message()}});
  }

  const ServerOptions options_;
  uint16_t port_ = 0;
  bool started_ = false;
  std::atomic<bool> draining_{false};
  std::vector<std::unique_ptr<ServerReactor>> reactors_;
  // The first reactor's.
  std::optional<tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> retry_;
  std::chrono::steady_clock::time_point next_complaint_{};
  bool stopping_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerOptions& options, RequestHandler& handler) {
  auto server = std::make_unique<Server>(options, handler);
  SWITCHYARD_TRY(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace switchyard::frontend
