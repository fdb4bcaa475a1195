#include "worker/exchange/tcp_sockets.h"

#include <cerrno>

namespace switchyard::worker {
namespace {

using Moved = Socket::Moved;

Moved advance(Flow& flow, size_t count) {
  flow.at += count;
  flow.left -= count;
  return Moved::kSome;
}

Moved advance(Flow& flow, const net::TlsSession::Step& step) {
  using Tls = net::TlsSession::Moved;
  switch (step.moved) {
    case Tls::kSome: return advance(flow, step.count);
    case Tls::kWantsRead:
    case Tls::kWantsWrite: return Moved::kNothing;
    default: return Moved::kClosed;
  }
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Moved Socket::send(Flow& flow) {
  if (tls_) return advance(flow, tls_->write(flow.at, flow.left));
  const ssize_t count = ::send(file_, flow.at, flow.left, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count < 0) return would_wait() ? Moved::kNothing : Moved::kClosed;
  return count == 0 ? Moved::kNothing : advance(flow, static_cast<size_t>(count));
}

Moved Socket::receive(Flow& flow) {
  if (tls_) return advance(flow, tls_->read(flow.at, flow.left));
  const ssize_t count = ::recv(file_, flow.at, flow.left, MSG_DONTWAIT);
  if (count < 0) return would_wait() ? Moved::kNothing : Moved::kClosed;
  return count == 0 ? Moved::kClosed : advance(flow, static_cast<size_t>(count));
}

}  // namespace switchyard::worker
