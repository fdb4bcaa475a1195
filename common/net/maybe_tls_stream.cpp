#include "common/net/maybe_tls_stream.h"

#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>

namespace switchyard::net {

using boost::system::error_code;

template <typename Next>
MaybeTlsStream<Next>::MaybeTlsStream(Next next, SSL* ssl) : next_(std::move(next)) {
  if (ssl != nullptr) tls_ = std::make_unique<boost::asio::ssl::stream<Next&>>(next_, ssl);
}

template <typename Next>
MaybeTlsStream<Next>::~MaybeTlsStream() = default;

template <typename Next>
SSL* MaybeTlsStream<Next>::ssl() {
  return tls_->native_handle();
}

template <typename Next>
void MaybeTlsStream<Next>::async_handshake(bool server, std::function<void(const error_code&)> handler) {
  if (!tls_) return handler(error_code());
  using boost::asio::ssl::stream_base;
  tls_->async_handshake(server ? stream_base::server : stream_base::client, std::move(handler));
}

template <typename Next>
void MaybeTlsStream<Next>::read_some(const FirstBuffers<boost::asio::mutable_buffer>& buffers, Done done) {
  if (tls_)
    tls_->async_read_some(buffers, std::move(done));
  else
    next_.async_read_some(buffers, std::move(done));
}

template <typename Next>
void MaybeTlsStream<Next>::write_some(const FirstBuffers<boost::asio::const_buffer>& buffers, Done done) {
  if (tls_)
    tls_->async_write_some(buffers, std::move(done));
  else
    next_.async_write_some(buffers, std::move(done));
}

template class MaybeTlsStream<boost::asio::ip::tcp::socket>;
template class MaybeTlsStream<boost::beast::tcp_stream>;

}  // namespace switchyard::net
