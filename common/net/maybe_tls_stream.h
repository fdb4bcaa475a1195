// A stream of Asio's that is plain TCP, or TLS over it: what is written for one kind works over the other.
//
// Next: asio::ip::tcp::socket or beast::tcp_stream. Thread: as Next; one read and one write may be under way.
#pragma once

#include <boost/asio/ssl/stream.hpp>
#include <optional>
#include <utility>

#include "common/net/tls.h"

namespace switchyard::net {

template <typename Next>
class MaybeTlsStream {
 public:
  using executor_type = typename Next::executor_type;

  // ssl: of Tls::accept() or connect(), taken; null = plain.
  MaybeTlsStream(Next next, SSL* ssl) : next_(std::move(next)) {
    if (ssl != nullptr) tls_.emplace(next_, ssl);
  }
  MaybeTlsStream(const MaybeTlsStream&) = delete;
  MaybeTlsStream& operator=(const MaybeTlsStream&) = delete;

  executor_type get_executor() { return next_.get_executor(); }
  Next& next() { return next_; }
  bool is_tls() const { return tls_.has_value(); }
  SSL* ssl() { return tls_->native_handle(); }

  // Calls handler(error) when the connection can carry bytes: at once when it is plain.
  template <typename Handler>
  void async_handshake(bool server, Handler&& handler) {
    if (!tls_) return handler(boost::system::error_code());
    tls_->async_handshake(server ? boost::asio::ssl::stream_base::server : boost::asio::ssl::stream_base::client,
                          std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_)
      tls_->async_read_some(buffers, std::forward<Handler>(handler));
    else
      next_.async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_)
      tls_->async_write_some(buffers, std::forward<Handler>(handler));
    else
      next_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  Next next_;
  std::optional<boost::asio::ssl::stream<Next&>> tls_;
};

}  // namespace switchyard::net
