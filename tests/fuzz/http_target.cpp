// HTTP connections (frontend/http/session.h): whatever bytes come, however they are cut, the same requests are handed
// over and answered (until one is refused), and the connection ends when its client does.
//
// Input: the cuts (a byte), then what the client sends. No network: the session has one end of a pair of sockets, and
// its event loop is polled here.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <deque>

#include "common/base/log.h"
#include "common/base/result.h"
#include "frontend/http/reactor.h"
#include "tests/fuzz/target.h"

namespace switchyard::frontend {
namespace {

// /late is answered when nothing else goes on, /stream in pieces, /drop not at all; the rest at once.
class Handler final : public RequestHandler {
 public:
  void handle(HttpRequest request, const ResponderPtr& responder) override {
    seen += request.method + " " + request.path + "?" + request.query + " " + request.authorization + " " +
            request.body + "\n";
    SWITCHYARD_CHECK(!request.request_id.empty() && request.request_id.find_first_of("\r\n") == std::string::npos);
    if (request.path == "/drop") return;
    if (request.path == "/late") return late.push_back(responder);
    if (request.path == "/stream") {
      responder->begin_stream("text/event-stream");
      responder->write("data: 1\n\n");
      responder->end_stream();
      return;
    }
    responder->respond({.status = 200, .body = request.body});
  }
  void answered(const std::string& path, int status) override {
    if (!path.empty()) statuses += path + " " + std::to_string(status) + "\n";
  }
  ErrorForm error_form(const std::string& path) const override {
    SWITCHYARD_CHECK(path.find_first_of(" ?\r\n") == std::string::npos);
    return path == "/drop" ? ErrorForm::kAnthropic : ErrorForm::kOpenAi;
  }

  std::deque<ResponderPtr> late;
  std::string seen, statuses;
};

class Conversation {
 public:
  Conversation() {
    // As the limits of a server, but in the reach of a small input.
    options_.head_bytes_max = 1024;
    options_.body_bytes_max = 256;
    int ends[2];
    SWITCHYARD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    client_ = ends[0];
    boost::asio::ip::tcp::socket socket(reactor_.io_context());
    socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
    socket.non_blocking(true);
    reactor_.add(std::move(socket), false);
    settle();
  }
  ~Conversation() { ::close(client_); }

  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
      // Not taken, and nothing changes that: the connection is closed, or lingers.
      if (!settle() && count <= 0) return;
    }
  }
  void leave() {
    ::shutdown(client_, SHUT_WR);
    settle();
    SWITCHYARD_CHECK(reactor_.connection_count() == 0);
  }

  std::string heard;
  const Handler& handled() const { return handler_; }

 private:
  // Until nothing happens any more. False: nothing did.
  bool settle() {
    bool any = false;
    for (;;) {
      reactor_.io_context().restart();
      bool progress = reactor_.io_context().poll() > 0;
      char buffer[4096];
      for (ssize_t count = 0; (count = ::recv(client_, buffer, sizeof buffer, 0)) > 0; progress = true)
        heard.append(buffer, static_cast<size_t>(count));
      if (!progress && !handler_.late.empty()) {
        const ResponderPtr responder = handler_.late.front();
        handler_.late.pop_front();
        responder->post([responder] { responder->respond({.status = 200, .body = "late"}); });
        progress = true;
      }
      if (!progress) return any;
      any = true;
    }
  }

  ServerOptions options_;
  Handler handler_;
  const std::atomic<bool> draining_{false};
  ServerReactor reactor_{options_, handler_, draining_};  // not started: its loop is polled here
  int client_ = -1;
};

struct Outcome {
  std::string requests, statuses;
};

// A connection may be refused sooner or later: Beast looks at a head's bytes and length as they come, and is a byte or
// two less strict with what comes at once. What was handed over before must be the same.
bool agree(const Outcome& a, const Outcome& b) {
  const auto one_begins_other = [](const std::string& x, const std::string& y) {
    return x.starts_with(y) || y.starts_with(x);
  };
  return one_begins_other(a.requests, b.requests) && one_begins_other(a.statuses, b.statuses);
}

Outcome outcome_of(std::string_view bytes, const std::vector<size_t>& cuts) {
  Conversation conversation;
  size_t from = 0;
  for (const size_t cut : cuts) {
    conversation.say(bytes.substr(from, cut - from));
    from = cut;
  }
  conversation.say(bytes.substr(from));
  conversation.leave();
  SWITCHYARD_CHECK(conversation.heard.empty() || conversation.heard.starts_with("HTTP/1.1 "));
  return {conversation.handled().seen, conversation.handled().statuses};
}

}  // namespace
}  // namespace switchyard::frontend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  static const bool quiet = (init_log("fuzz", LogLevel::kError, false), true);
  SWITCHYARD_CHECK(quiet);
  fuzz::Input input(data, size);
  const std::vector<size_t> cuts = fuzz::cuts_of(size - (size > 0), input.byte());
  const frontend::Outcome whole = frontend::outcome_of(input.rest(), {}),
                          in_pieces = frontend::outcome_of(input.rest(), cuts);
  if (!frontend::agree(whole, in_pieces)) {
    std::fprintf(stderr, "whole:\n%s%sin pieces:\n%s%s", whole.requests.c_str(), whole.statuses.c_str(),
                 in_pieces.requests.c_str(), in_pieces.statuses.c_str());
  }
  SWITCHYARD_CHECK(frontend::agree(whole, in_pieces));
  return 0;
}
