// The sockets under the TCP transport: closed when they go, never blocking.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace switchyard::worker {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int file) : file_(file) {}
  ~Socket() {
    if (file_ >= 0) close(file_);
  }
  Socket(Socket&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  int file() const { return file_; }

 private:
  int file_ = -1;
};

// A span of bytes on its way out or in. move() does what it can without waiting.
struct Flow {
  std::byte* at = nullptr;
  size_t left = 0;

  enum class Moved { kNothing, kSome, kClosed };
  Moved send(int file) { return take(::send(file, at, left, MSG_NOSIGNAL | MSG_DONTWAIT), false); }
  Moved receive(int file) { return take(::recv(file, at, left, MSG_DONTWAIT), true); }

 private:
  Moved take(ssize_t count, bool zero_is_end) {
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Moved::kNothing : Moved::kClosed;
    if (count == 0) return zero_is_end ? Moved::kClosed : Moved::kNothing;
    at += count;
    left -= static_cast<size_t>(count);
    return Moved::kSome;
  }
};

}  // namespace switchyard::worker
