// A client's socket, which never blocks: plain, or under TLS, whose handshake the first reads and writes make.
//
// Thread: its reactor's.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "common/net/tls.h"

namespace switchyard::frontend {

class ClientSocket {
 public:
  using error_code = boost::system::error_code;

  explicit ClientSocket(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  // tls: null = plain.
  void open(const net::Tls* tls);
  // False while nothing can be said to the client yet.
  bool established() const { return !tls_ || tls_->established(); }

  // As the socket's: would_block, eof and other errors. to: of at least 16 KiB.
  size_t read_some(std::span<char> to, error_code& error);
  size_t write_some(std::string_view from, error_code& error);
  // Until what would have blocked might not.
  template <typename Handler>
  void async_wait_read(Handler&& handler) {
    socket_.async_wait(read_waits_, std::forward<Handler>(handler));
  }
  template <typename Handler>
  void async_wait_write(Handler&& handler) {
    socket_.async_wait(write_waits_, std::forward<Handler>(handler));
  }

  // Nothing more will be sent; reading goes on.
  void end();
  void close();
  // Why TLS failed; not for a plain socket.
  net::TlsFailure failure() const { return tls_->failure(); }
  boost::asio::ip::tcp::socket& socket() { return socket_; }

 private:
  using Wait = boost::asio::ip::tcp::socket::wait_type;
  size_t moved(const net::TlsSession::Step& step, Wait& waits, error_code& error);

  boost::asio::ip::tcp::socket socket_;
  std::optional<net::TlsSession> tls_;
  Wait read_waits_ = Wait::wait_read;
  Wait write_waits_ = Wait::wait_write;
};

}  // namespace switchyard::frontend
