#include "launch/ports.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace switchyard::launch {

Status check_port_free(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* addresses = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses);
  if (failed != 0) return Error{Errc::kInvalid, fmt::format("{}: {}", host, gai_strerror(failed))};
  int cause = EADDRNOTAVAIL;
  for (const addrinfo* a = addresses; a != nullptr && cause != 0; a = a->ai_next) {
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      cause = errno;
      continue;
    }
    // As servers do: connections of an earlier run in TIME_WAIT are no hindrance, a listening socket is.
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    cause = bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1) == 0 ? 0 : errno;
    close(fd);
  }
  freeaddrinfo(addresses);
  if (cause == 0) return {};
  return Error{Errc::kUnavailable, fmt::format("{}:{}: {}", host, port, std::strerror(cause))};
}

Result<uint16_t> find_free_ports(const std::string& host, uint32_t count) {
  constexpr uint32_t kFirst = 10000;
  constexpr uint32_t kLast = 32767;  // Linux hands out 32768 and up
  Status status;
  for (int attempt = 0; attempt < 200; ++attempt) {
    uint32_t random = 0;
    SWITCHYARD_CHECK(getrandom(&random, sizeof random, 0) == static_cast<ssize_t>(sizeof random));
    const uint32_t first = kFirst + random % (kLast - kFirst + 1 - count);
    status = {};
    for (uint32_t i = 0; i < count && status.ok(); ++i)
      status = check_port_free(host, static_cast<uint16_t>(first + i));
    if (status.ok()) return static_cast<uint16_t>(first);
    if (status.error().code == Errc::kInvalid) break;
  }
  return Error{Errc::kUnavailable, fmt::format("no {} free ports found: {}", count, status.error().message)};
}

}  // namespace switchyard::launch
