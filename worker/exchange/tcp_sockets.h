// The sockets under the TCP transport: closed when they go, never blocking, plain or with TLS.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "common/net/tls.h"

namespace switchyard::worker {

// A span of bytes on its way out or in.
struct Flow {
  std::byte* at = nullptr;
  size_t left = 0;
};

class Socket {
 public:
  enum class Moved { kNothing, kSome, kClosed };

  Socket() = default;
  explicit Socket(int file) : file_(file) {}
  ~Socket() {
    if (file_ >= 0) close(file_);
  }
  Socket(Socket&& other) noexcept : file_(std::exchange(other.file_, -1)), tls_(std::move(other.tls_)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(tls_, other.tls_);
    return *this;
  }
  int file() const { return file_; }

  // From here on TLS, whose handshake comes first. Takes the SSL of Tls::accept() or connect().
  void secure(SSL* ssl) { tls_ = std::make_unique<net::TlsSession>(ssl, file_); }
  net::TlsSession* tls() { return tls_.get(); }  // null: plain

  // Do what they can without waiting. A flow that was sent in part is to be sent on before another.
  Moved send(Flow& flow);
  Moved receive(Flow& flow);

 private:
  int file_ = -1;
  std::unique_ptr<net::TlsSession> tls_;
};

}  // namespace switchyard::worker
