#include "launch/bench/load.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "launch/bench/answer_reader.h"

namespace switchyard::launch {
namespace {

constexpr size_t kReadBytes = 256U << 10;
constexpr size_t kErrorBytesMax = 500;
constexpr uint32_t kConnectingMax = 256;  // a listen backlog is often 4096, and on some machines 128
constexpr rlim_t kOtherFiles = 64;        // descriptors that are not connections

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double now_s() { return seconds_of(CLOCK_MONOTONIC); }

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Result<Address> resolve(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (error != 0) return Error{Errc::kPeerLost, fmt::format("{}: {}", url.host, ::gai_strerror(error))};
  Address address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

class Load {
 public:
  Load(const LoadOptions& options, const std::vector<LoadRequest>& requests, const Address& address)
      : options_(options), requests_(requests), address_(address), bytes_(kReadBytes), epoll_(::epoll_create1(0)) {
    SWITCHYARD_CHECK(epoll_ >= 0);
    result_.records.resize(requests.size());
    head_ = fmt::format("POST {}{} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\n", options.url.prefix,
                        options.endpoint, options.url.host, options.url.port);
    if (!options.bearer.empty()) head_ += fmt::format("Authorization: Bearer {}\r\n", options.bearer);
  }
  ~Load() {
    for (const auto& connection : connections_)
      if (connection->fd >= 0) ::close(connection->fd);
    ::close(epoll_);
  }

  LoadResult run() {
    const double cpu_begin = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    begin_ = now_s();
    double looked = begin_;
    while (done_ < requests_.size()) {
      const double now = now_s();
      begin_due(now);
      if (now - looked >= 1) {
        looked = now;
        if (options_.on_progress) options_.on_progress(done_);
        drop_late(now);
      }
      wait(now);
    }
    result_.duration = now_s() - begin_;
    result_.cpu_seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu_begin;
    return std::move(result_);
  }

 private:
  struct Connection {
    int fd = -1;
    bool connecting = false;
    bool used = false;  // it has carried an answer: the server may have closed it meanwhile
    bool waiting_to_write = false;
    std::optional<size_t> request;  // in the works
    std::string out;
    size_t sent = 0;
    double last_output = 0;
    AnswerReader reader;
    std::optional<net::TlsSession> tls;  // of https, while open
  };

  RequestRecord& record(const Connection& connection) { return result_.records[*connection.request]; }

  bool may_begin() const {
    return next_ < requests_.size() && connecting_ < kConnectingMax &&
           (options_.max_concurrency == 0 || running_ < options_.max_concurrency);
  }

  void begin_due(double now) {
    while (may_begin() && requests_[next_].send_at <= now - begin_) begin(next_++);
  }

  void begin(size_t request) {
    Connection* connection = nullptr;
    if (!idle_.empty()) {
      connection = idle_.back();
      idle_.pop_back();
    } else {
      connections_.push_back(std::make_unique<Connection>());
      connection = connections_.back().get();
    }
    connection->request = request;
    ++running_;
    result_.concurrency_max = std::max(result_.concurrency_max, running_);
    send(*connection);
  }

  void send(Connection& connection) {
    const std::string& body = requests_[*connection.request].body;
    connection.out = fmt::format("{}Content-Length: {}\r\n\r\n{}", head_, body.size(), body);
    connection.sent = 0;
    connection.reader.reset();
    record(connection) = {};
    record(connection).start = now_s();
    if (connection.fd < 0 && !connect(connection)) return;
    if (!connection.connecting) flush(connection);
  }

  bool connect(Connection& connection) {
    connection.fd = ::socket(address_.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) return fail(connection, fmt::format("socket: {}", std::strerror(errno)));
    const int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.used = false;
    if (options_.url.tls) connection.tls.emplace(options_.url.tls->connect(options_.url.host), connection.fd);
    const auto* address = reinterpret_cast<const sockaddr*>(&address_.storage);
    const bool connected = ::connect(connection.fd, address, address_.length) == 0;
    if (!connected && errno != EINPROGRESS)
      return fail(connection, fmt::format("cannot connect: {}", std::strerror(errno)));
    connection.connecting = !connected;
    if (!connected) ++connecting_;
    connection.waiting_to_write = !connected;
    watch(connection, EPOLL_CTL_ADD);
    return true;
  }

  // Level-triggered: an event that leaves bytes unread comes again, so one read an event is enough.
  void watch(Connection& connection, int operation) {
    epoll_event event{};
    event.events = EPOLLIN | (connection.waiting_to_write ? EPOLLOUT : 0U);
    event.data.ptr = &connection;
    ::epoll_ctl(epoll_, operation, connection.fd, &event);
  }

  void flush(Connection& connection) {
    while (connection.sent < connection.out.size()) {
      const ssize_t count = write(connection, std::string_view(connection.out).substr(connection.sent));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno != EAGAIN) return lost(connection, why(connection));
      if (count < 0) break;
      connection.sent += static_cast<size_t>(count);
    }
    // What TLS has to read before it can send comes as an event of its own.
    const bool sends = !connection.tls || connection.tls->established();
    const bool unsent = connection.sent < connection.out.size() && sends;
    if (unsent != connection.waiting_to_write) {
      connection.waiting_to_write = unsent;
      watch(connection, EPOLL_CTL_MOD);
    }
    if (connection.sent == connection.out.size()) std::string().swap(connection.out);
  }

  // As send() and recv(), over TLS too.
  static ssize_t write(Connection& connection, std::string_view bytes) {
    if (!connection.tls) return ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return moved(connection.tls->write(bytes.data(), bytes.size()));
  }
  ssize_t receive(Connection& connection) {
    if (!connection.tls) return ::recv(connection.fd, bytes_.data(), bytes_.size(), 0);
    return moved(connection.tls->read(bytes_.data(), bytes_.size()));
  }
  static ssize_t moved(const net::TlsSession::Step& step) {
    using Moved = net::TlsSession::Moved;
    if (step.moved == Moved::kSome) return static_cast<ssize_t>(step.count);
    if (step.moved == Moved::kEnded) return 0;
    errno = step.moved == Moved::kFailed ? EPROTO : EAGAIN;
    return -1;
  }
  static std::string why(const Connection& connection) {
    return connection.tls && errno == EPROTO ? "TLS: " + connection.tls->failure().text : std::strerror(errno);
  }

  void wait(double now) {
    double seconds = 1;
    if (may_begin()) seconds = std::clamp(requests_[next_].send_at - (now - begin_), 0.0, 1.0);
    const timespec timeout{static_cast<time_t>(seconds), static_cast<long>((seconds - std::floor(seconds)) * 1e9)};
    epoll_event events[512];
    const int count = ::epoll_pwait2(epoll_, events, 512, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (connection.fd < 0) continue;  // it ended through an event before
      if (connection.connecting && !on_connected(connection, events[i].events)) continue;
      const bool may_write = (events[i].events & EPOLLOUT) != 0 || (connection.tls && !connection.out.empty());
      if (may_write && connection.request) flush(connection);
      if (connection.fd >= 0 && (events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) read(connection);
    }
  }

  bool on_connected(Connection& connection, uint32_t events) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return false;
    connection.connecting = false;
    --connecting_;
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error == 0 || fail(connection, fmt::format("cannot connect: {}", std::strerror(error)));
  }

  void read(Connection& connection) {
    const ssize_t count = receive(connection);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (!connection.request) return close(connection);  // the server ends an idle connection
    const double now = now_s();
    const auto on_data = [&](std::string_view data) { take(connection, data, now); };
    if (count <= 0) {
      const std::string cause = count < 0 ? why(connection) : "the connection was closed before the answer's end";
      if (connection.reader.feed_end(on_data) == AnswerReader::State::kDone) return done(connection, now);
      return lost(connection, cause);
    }
    switch (connection.reader.feed({bytes_.data(), static_cast<size_t>(count)}, on_data)) {
      case AnswerReader::State::kReading: break;
      case AnswerReader::State::kDone: done(connection, now); break;
      case AnswerReader::State::kBroken: fail(connection, "the answer is not HTTP as it should be"); break;
    }
  }

  void take(Connection& connection, std::string_view data, double now) {
    if (data == "[DONE]") return;
    RequestRecord& to = record(connection);
    const auto facts = read_facts(data, options_.keep_texts);
    if (!facts) {
      to.error = std::string(data.substr(0, kErrorBytesMax));
      return;
    }
    if (!facts->error.empty()) to.error = facts->error.substr(0, kErrorBytesMax);
    if (facts->prompt_tokens) to.prompt_tokens = static_cast<int64_t>(*facts->prompt_tokens);
    if (facts->completion_tokens) to.completion_tokens = static_cast<int64_t>(*facts->completion_tokens);
    to.text += facts->text;
    const bool whole = facts->has_choice && facts->completion_tokens;
    if (!facts->is_output() && !whole) return;
    if (to.output_count++ == 0)
      to.ttft = now - to.start;
    else
      to.itls.push_back(static_cast<float>(now - connection.last_output));
    to.latency = now - to.start;
    connection.last_output = now;
  }

  void done(Connection& connection, double now) {
    RequestRecord& to = record(connection);
    const int status = connection.reader.status();
    if (status != 200)
      to.error = to.error.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {}: {}", status, to.error);
    else if (to.error.empty() && to.output_count == 0)
      to.error = "the answer has no output";
    to.ok = to.error.empty();
    if (to.latency == 0) to.latency = now - to.start;
    end(connection);
    connection.used = true;
    if (connection.reader.keep_alive())
      idle_.push_back(&connection);
    else
      close(connection, true);
  }

  // A kept connection that the server closed just when it was used again costs no request.
  void lost(Connection& connection, const std::string& cause) {
    if (connection.used && connection.reader.status() == 0) {
      connection.tls.reset();
      ::close(connection.fd);
      connection.fd = -1;
      return send(connection);
    }
    fail(connection, cause);
  }

  // Returns false, for whoever has to say that it failed.
  bool fail(Connection& connection, const std::string& cause) {
    record(connection).ok = false;
    if (record(connection).error.empty()) record(connection).error = cause;
    end(connection);
    close(connection, true);
    return false;
  }

  void end(Connection& connection) {
    connection.request.reset();
    --running_;
    ++done_;
  }

  // is_used: it is not in idle_, and shall be, to be opened again.
  void close(Connection& connection, bool is_used = false) {
    if (connection.connecting) --connecting_;
    connection.connecting = connection.used = connection.waiting_to_write = false;
    connection.tls.reset();
    if (connection.fd >= 0) ::close(connection.fd);
    connection.fd = -1;
    if (is_used) idle_.push_back(&connection);
  }

  void drop_late(double now) {
    for (const auto& connection : connections_) {
      if (connection->request && now - record(*connection).start > options_.request_timeout_s)
        fail(*connection, fmt::format("no end of the answer within {} s", options_.request_timeout_s));
    }
  }

  const LoadOptions& options_;
  const std::vector<LoadRequest>& requests_;
  const Address address_;
  std::string head_;
  std::vector<char> bytes_;
  const int epoll_;
  double begin_ = 0;
  size_t next_ = 0;
  size_t done_ = 0;
  uint32_t running_ = 0;
  uint32_t connecting_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;
  LoadResult result_;
};

// The limit of open files, raised as far as the system lets us.
uint64_t raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace

Result<LoadResult> run_load(const LoadOptions& options, const std::vector<LoadRequest>& requests) {
  const uint64_t most =
      std::min<uint64_t>(requests.size(), options.max_concurrency == 0 ? requests.size() : options.max_concurrency);
  const uint64_t files = raise_file_limit();
  if (options.max_concurrency != 0 && most + kOtherFiles > files)
    return Error{Errc::kInvalid,
                 fmt::format("--max-concurrency: {} connections do not fit the limit of {} open files", most, files)};
  LoadOptions bounded = options;
  if (most + kOtherFiles > files) bounded.max_concurrency = static_cast<uint32_t>(files - kOtherFiles);
  SWITCHYARD_ASSIGN(const Address address, resolve(options.url));
  return Load(bounded, requests, address).run();
}

}  // namespace switchyard::launch
