#include "frontend/http/client_socket.h"

#include <boost/asio/buffer.hpp>

namespace switchyard::frontend {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kWantsTls =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 36\r\n\r\n"
    "This port speaks TLS: use https://.\n";

}  // namespace

void ClientSocket::open(const net::Tls* tls) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  if (tls != nullptr) tls_.emplace(tls->accept(), socket_.native_handle());
}

size_t ClientSocket::moved(const net::TlsSession::Step& step, Wait& waits, error_code& error) {
  using Moved = net::TlsSession::Moved;
  switch (step.moved) {
    case Moved::kSome: error = {}; return step.count;
    case Moved::kWantsRead:
    case Moved::kWantsWrite:
      waits = step.moved == Moved::kWantsRead ? Wait::wait_read : Wait::wait_write;
      error = asio::error::would_block;
      return 0;
    case Moved::kEnded: error = asio::error::eof; return 0;
    case Moved::kFailed: break;
  }
  error = asio::error::connection_aborted;
  if (tls_->met_plain_http()) {
    error_code ignored;
    socket_.write_some(asio::buffer(kWantsTls), ignored);
  }
  return 0;
}

size_t ClientSocket::read_some(std::span<char> to, error_code& error) {
  if (!tls_) return socket_.read_some(asio::buffer(to.data(), to.size()), error);
  read_waits_ = Wait::wait_read;
  return moved(tls_->read(to.data(), to.size()), read_waits_, error);
}

size_t ClientSocket::write_some(std::string_view from, error_code& error) {
  if (!tls_) return socket_.write_some(asio::buffer(from.data(), from.size()), error);
  write_waits_ = Wait::wait_write;
  return moved(tls_->write(from.data(), from.size()), write_waits_, error);
}

void ClientSocket::end() {
  if (tls_) tls_->end();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void ClientSocket::close() {
  error_code ignored;
  if (tls_ && socket_.is_open()) tls_->end();
  tls_.reset();
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

}  // namespace switchyard::frontend
