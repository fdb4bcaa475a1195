// An HTTP server on loopback for tests, with a handler that says what it was asked.
#pragma once

#include <condition_variable>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "frontend/http/server.h"
#include "tests/support/certificates.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {

// /echo answers at once with method, query and body; /hold keeps its responder for the test; /drop forgets it; /stream
// begins a stream and keeps the responder.
class TestHandler final : public RequestHandler {
 public:
  void handle(HttpRequest request, const ResponderPtr& responder) override {
    if (request.path == "/drop") return;
    if (request.path == "/hold" || request.path == "/stream") {
      responder->on_disconnect([this] {
        const std::lock_guard lock(mutex_);
        ++disconnects_;
        changed_.notify_all();
      });
      if (request.path == "/stream") responder->begin_stream("text/plain");
      const std::lock_guard lock(mutex_);
      held_.push_back(responder);
      changed_.notify_all();
      return;
    }
    responder->respond({.status = request.path == "/echo" ? 200 : 404,
                        .body = request.method + " " + request.path + "?" + request.query + " " + request.body,
                        .content_type = "text/plain"});
  }
  void answered(const std::string& path, int status) override {
    const std::lock_guard lock(mutex_);
    answered_.emplace_back(path, status);
    changed_.notify_all();
  }
  ErrorForm error_form(const std::string& path) const override {
    return path == "/anthropic" ? ErrorForm::kAnthropic : ErrorForm::kOpenAi;
  }

  ResponderPtr wait_held() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return !held_.empty(); })) return nullptr;
    ResponderPtr responder = held_.front();
    held_.pop_front();
    return responder;
  }
  bool wait_disconnects(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return disconnects_ >= count; });
  }
  bool wait_answered(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return answered_.size() >= count; });
  }
  int disconnects() {
    const std::lock_guard lock(mutex_);
    return disconnects_;
  }
  std::vector<std::pair<std::string, int>> answers() {
    const std::lock_guard lock(mutex_);
    return answered_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ResponderPtr> held_;
  int disconnects_ = 0;
  std::vector<std::pair<std::string, int>> answered_;
};

// A certificate of this process's own.
inline net::TlsPtr test_tls() {
  static const net::TlsPtr kTls = [] {
    Authority authority("tests");
    const auto files = authority.issue("server");
    auto tls = net::Tls::server({.certificate = files.certificate, .private_key = files.key});
    SWITCHYARD_CHECK(tls.ok());
    return std::move(tls).value();
  }();
  return kTls;
}

struct TestServer {
  explicit TestServer(ServerOptions options = {}) {
    if (kOverTls && options.tls == nullptr) options.tls = test_tls();
    auto started = HttpServer::start(options, handler);
    SWITCHYARD_CHECK(started.ok());
    server = std::move(started).value();
  }
  uint16_t port() const { return server->port(); }

  TestHandler handler;
  std::unique_ptr<HttpServer> server;
};

// Peak resident memory of this process, bytes.
inline size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  return 0;
}

// What a limit of memory is multiplied by: sanitizers hold freed memory back, and more beside every allocation.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr size_t kMemoryScale = 8;
#else
inline constexpr size_t kMemoryScale = 1;
#endif

}  // namespace switchyard::frontend
