#include "worker/exchange/tcp_transport.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "worker/exchange/patience.h"
#include "worker/exchange/tcp_handshake.h"

namespace switchyard::worker {
namespace {

class TcpTransport final : public Transport {
 public:
  TcpTransport(std::vector<Socket> sockets, uint32_t rank, bool is_secure, uint32_t deadline_ms, Epoch epoch)
      : sockets_(std::move(sockets)),
        rank_(rank),
        is_secure_(is_secure),
        deadline_(deadline_ms),
        epoch_(epoch),
        out_(sockets_.size()),
        in_(sockets_.size()) {}

  const char* name() const override { return is_secure_ ? "tcp over TLS" : "tcp"; }
  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return static_cast<uint32_t>(sockets_.size()); }

  Status all_gather(const void* send, size_t bytes, void* recv) override {
    auto* to = static_cast<std::byte*>(recv);
    for (uint32_t r = 0; r < size(); ++r) {
      out_[r] = {const_cast<std::byte*>(static_cast<const std::byte*>(send)), r == rank_ ? 0 : bytes};
      in_[r] = {to + r * bytes, r == rank_ ? 0 : bytes};
    }
    if (bytes != 0) std::memcpy(to + rank_ * bytes, send, bytes);
    return move("step agreement");
  }

  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    auto* from = const_cast<std::byte*>(static_cast<const std::byte*>(send));
    auto* to = static_cast<std::byte*>(recv);
    for (uint32_t r = 0; r < size(); ++r) {
      const size_t leaving = (send_offsets[r + 1] - send_offsets[r]) * item_bytes;
      const size_t coming = (recv_offsets[r + 1] - recv_offsets[r]) * item_bytes;
      out_[r] = {from + send_offsets[r] * item_bytes, r == rank_ ? 0 : leaving};
      in_[r] = {to + recv_offsets[r] * item_bytes, r == rank_ ? 0 : coming};
      if (r == rank_ && leaving != 0) std::memcpy(in_[r].at, out_[r].at, leaving);
    }
    return move("exchange");
  }

 private:
  // Until all is sent and received. Begins with the next rank, so that not all send to rank 0 first.
  Status move(const char* what) {
    Patience patience(deadline_, epoch_);
    for (;;) {
      bool open = false;
      bool moved = false;
      for (uint32_t step = 1; step < size(); ++step) {
        const uint32_t r = (rank_ + step) % size();
        Socket& socket = sockets_[r];
        for (const bool sends : {true, false}) {
          Flow& flow = sends ? out_[r] : in_[r];
          if (flow.left == 0) continue;
          const Socket::Moved result = sends ? socket.send(flow) : socket.receive(flow);
          if (result == Socket::Moved::kClosed)
            return Error{Errc::kPeerLost, fmt::format("{}: rank {} is gone", what, r)};
          moved |= result == Socket::Moved::kSome;
          open |= flow.left != 0;
        }
      }
      if (!open) return {};
      if (!moved && !patience.wait()) return patience.error(what, waiting_for());
    }
  }

  std::string waiting_for() const {
    std::string names;
    for (uint32_t r = 0; r < size(); ++r) {
      if (in_[r].left != 0 || out_[r].left != 0) names += (names.empty() ? "rank " : ", rank ") + std::to_string(r);
    }
    return names;
  }

  std::vector<Socket> sockets_;  // (ranks)
  const uint32_t rank_;
  const bool is_secure_;
  const std::chrono::milliseconds deadline_;
  const Epoch epoch_;
  std::vector<Flow> out_, in_;  // (ranks)
};

}  // namespace

Result<TcpListener> TcpListener::open(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
    return Error{Errc::kIo, fmt::format("cannot listen on {}: {}", host, gai_strerror(error))};
  TcpListener listener;
  listener.file_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const bool listens =
      listener.file_ >= 0 && setsockopt(listener.file_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(listener.file_, found->ai_addr, found->ai_addrlen) == 0 && listen(listener.file_, SOMAXCONN) == 0 &&
      getsockname(listener.file_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!listens) return Error{Errc::kIo, fmt::format("cannot listen on {}:{}: {}", host, port, std::strerror(error))};
  listener.port_ = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                                       : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  return listener;
}

TcpListener::~TcpListener() {
  if (file_ >= 0) close(file_);
}

TcpListener::TcpListener(TcpListener&& other) noexcept : file_(std::exchange(other.file_, -1)), port_(other.port_) {}

Result<std::unique_ptr<Transport>> make_tcp_transport(TcpListener& listener, const std::vector<TcpMember>& members,
                                                      uint32_t rank, const TcpTrust& trust, uint32_t deadline_ms,
                                                      Epoch epoch) {
  SWITCHYARD_CHECK(rank < members.size());
  SWITCHYARD_ASSIGN(std::vector<Socket> sockets, connect_members(listener, members, rank, trust, deadline_ms, epoch));
  return std::unique_ptr<Transport>(
      std::make_unique<TcpTransport>(std::move(sockets), rank, trust.tls != nullptr, deadline_ms, epoch));
}

}  // namespace switchyard::worker
