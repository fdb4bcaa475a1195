#include "tests/unit/frontend/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <mutex>
#include <utility>

#include "common/base/result.h"

namespace switchyard::frontend {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

// Both directions share OpenSSL's state, which takes one thread at a time. So its calls do not block: what they wait
// for is waited for outside the lock.
struct Client::Tls {
  SSL* ssl;
  int fd;
  std::mutex mutex;

  Tls(SSL* owned, int socket) : ssl(owned), fd(socket) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);  // the handshake is made by the first bytes
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
  ~Tls() { SSL_free(ssl); }

  // call(ssl) until it has moved bytes: how many; 0 = the peer has ended the session, -1 = it broke, or kPatience is
  // over.
  template <typename Call>
  int move_bytes(Call call) {
    while (true) {
      int error;
      {
        const std::lock_guard lock(mutex);
        ERR_clear_error();  // this thread's, of other connections too: SSL_get_error() would take one for this call's
        const int moved = call(ssl);
        if (moved > 0) return moved;
        error = SSL_get_error(ssl, moved);
      }
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
      pollfd ready{fd, static_cast<short>(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
      if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0) return -1;
    }
  }
};

std::string Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

Client::Client(uint16_t port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SWITCHYARD_CHECK(fd_ >= 0);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval limit{kPatience.count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SWITCHYARD_CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  if (!kOverTls) return;
  static SSL_CTX* const kContext = SSL_CTX_new(TLS_client_method());  // trusts whoever answers
  ::signal(SIGPIPE, SIG_IGN);
  tls_ = std::make_unique<Tls>(SSL_new(kContext), fd_);
}

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      tls_(std::move(other.tls_)),
      buffer_(std::move(other.buffer_)),
      events_(std::move(other.events_)),
      chunked_(other.chunked_),
      stream_complete_(other.stream_complete_) {}

Client::~Client() { close(); }

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto write = [&](SSL* ssl) {
      return SSL_write(ssl, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1U << 20)));
    };
    const ssize_t sent = tls_ ? tls_->move_bytes(write) : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// As recv(): 0 at the end, which is the peer's word where there is TLS, or the socket's.
long Client::receive(char* to, size_t size) {
  if (!tls_) return ::recv(fd_, to, size, 0);
  const int got = tls_->move_bytes([&](SSL* ssl) { return SSL_read(ssl, to, static_cast<int>(size)); });
  char byte;
  return got < 0 && ::recv(fd_, &byte, 1, 0) == 0 ? 0 : got;
}

bool Client::fill() {
  char bytes[65536];
  const ssize_t got = receive(bytes, sizeof bytes);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string Client::read_until(std::string_view mark) {
  size_t at = 0;
  while ((at = buffer_.find(mark)) == std::string::npos)
    if (!fill()) return "";
  std::string text = buffer_.substr(0, at + mark.size());
  buffer_.erase(0, at + mark.size());
  return text;
}

Answer Client::read_head() {
  Answer answer;
  const std::string head = read_until("\r\n\r\n");
  if (head.size() < 12 || !head.starts_with("HTTP/1.")) return answer;
  answer.version = head.substr(0, 8);
  answer.status = std::stoi(head.substr(9, 3));
  for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const size_t end = head.find("\r\n", at);
    const std::string line = head.substr(at, end - at);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) answer.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    at = end + 2;
  }
  chunked_ = lower(answer.header("transfer-encoding")) == "chunked";
  events_.clear();
  stream_complete_ = false;
  return answer;
}

// False at the end of the body (stream_complete_ says whether it was the proper one).
bool Client::read_chunk(std::string& to) {
  if (!chunked_) {
    if (buffer_.empty() && !fill()) {
      stream_complete_ = true;  // HTTP/1.0: the close is the end
      return false;
    }
    to += std::exchange(buffer_, "");
    return true;
  }
  const std::string length = read_until("\r\n");
  if (length.empty()) return false;
  const size_t size = std::stoul(length, nullptr, 16);
  while (buffer_.size() < size + 2)
    if (!fill()) return false;
  to += buffer_.substr(0, size);
  if (buffer_.compare(size, 2, "\r\n") != 0) return false;
  buffer_.erase(0, size + 2);
  stream_complete_ = size == 0;
  return size > 0;
}

Answer Client::read(bool head_only) {
  Answer answer = read_head();
  if (answer.status == 0) return answer;
  if (head_only) {
    answer.complete = true;
  } else if (answer.headers.contains("content-length")) {
    const size_t size = std::stoul(answer.header("content-length"));
    while (buffer_.size() < size && fill()) {
    }
    answer.complete = buffer_.size() >= size;
    answer.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
  } else {
    while (read_chunk(answer.body)) {
    }
    answer.complete = stream_complete_;
  }
  return answer;
}

std::optional<std::string> Client::next_event() {
  size_t end = 0;
  while ((end = events_.find("\n\n")) == std::string::npos)
    if (stream_complete_ || !read_chunk(events_)) return std::nullopt;
  std::string event = events_.substr(0, end);
  events_.erase(0, end + 2);
  event_name_.clear();
  if (event.starts_with("event: ") && event.find('\n') != std::string::npos) {
    event_name_ = event.substr(7, event.find('\n') - 7);
    event.erase(0, event.find('\n') + 1);
  }
  if (!event.starts_with("data: ") || event.find('\n') != std::string::npos) return "NOT AN EVENT: " + event;
  return event.substr(6);
}

bool Client::wait_closed() {
  char byte;
  return buffer_.empty() && receive(&byte, 1) == 0;
}

void Client::half_close() {
  if (tls_) SSL_shutdown(tls_->ssl);
  ::shutdown(fd_, SHUT_WR);
}

void Client::close() {
  tls_.reset();
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Client::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

std::string request_text(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view extra_headers) {
  std::string text;
  text.append(method).append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n").append(extra_headers);
  if (!body.empty() || method == "POST")
    text.append("Content-Type: application/json\r\nContent-Length: ")
        .append(std::to_string(body.size()))
        .append("\r\n");
  text.append("\r\n").append(body);
  return text;
}

Answer call(uint16_t port, std::string_view method, std::string_view path, std::string_view body,
            std::string_view extra_headers) {
  Client client(port);
  client.send(request_text(method, path, body, extra_headers));
  return client.read(method == "HEAD");
}

}  // namespace switchyard::frontend
