// A stream of Asio's that is plain TCP, or TLS over it: what is written for one kind works over the other.
//
// Next: asio::ip::tcp::socket or beast::tcp_stream. Thread: as Next; one read and one write may be under way.
// What an operation calls at its end, and the buffers it moves, are made one type here, so that the deep templates of
// TLS are compiled once, in maybe_tls_stream.cpp, and not for every caller: that is an allocation or two for each
// operation.
#pragma once

#include <openssl/types.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream_base.hpp>
#include <functional>
#include <memory>
#include <utility>

namespace boost::asio::ssl {
template <typename Stream>
class stream;
}

namespace switchyard::net {

// The first few of a sequence of buffers: operations that move "some" bytes may leave the rest.
template <typename Buffer>
class FirstBuffers {
 public:
  using value_type = Buffer;
  using const_iterator = const Buffer*;

  template <typename Sequence>
  explicit FirstBuffers(const Sequence& all) {
    const auto end = boost::asio::buffer_sequence_end(all);
    for (auto at = boost::asio::buffer_sequence_begin(all); at != end && count_ < first_.size(); ++at)
      first_[count_++] = *at;
  }
  const_iterator begin() const { return first_.data(); }
  const_iterator end() const { return first_.data() + count_; }

 private:
  std::array<Buffer, 64> first_;  // as many as Asio gives the system in one call
  size_t count_ = 0;
};

template <typename Next>
class MaybeTlsStream {
 public:
  using executor_type = typename Next::executor_type;

  // ssl: of Tls::accept() or connect(), taken; null = plain.
  MaybeTlsStream(Next next, SSL* ssl);
  ~MaybeTlsStream();
  MaybeTlsStream(const MaybeTlsStream&) = delete;
  MaybeTlsStream& operator=(const MaybeTlsStream&) = delete;

  executor_type get_executor() { return next_.get_executor(); }
  Next& next() { return next_; }
  bool is_tls() const { return tls_ != nullptr; }
  SSL* ssl();

  // Calls handler(error) when the connection can carry bytes: at once when it is plain.
  void async_handshake(bool server, std::function<void(const boost::system::error_code&)> handler);
  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    read_some(FirstBuffers<boost::asio::mutable_buffer>(buffers), erased(std::forward<Handler>(handler)));
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    write_some(FirstBuffers<boost::asio::const_buffer>(buffers), erased(std::forward<Handler>(handler)));
  }

 private:
  using Done = std::function<void(const boost::system::error_code&, size_t)>;

  // Asio's handlers can only be moved, a std::function is copied.
  template <typename Handler>
  static Done erased(Handler&& handler) {
    return [shared = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler))](
               const boost::system::error_code& error, size_t count) { std::move (*shared)(error, count); };
  }
  void read_some(const FirstBuffers<boost::asio::mutable_buffer>& buffers, Done done);
  void write_some(const FirstBuffers<boost::asio::const_buffer>& buffers, Done done);

  Next next_;
  std::unique_ptr<boost::asio::ssl::stream<Next&>> tls_;
};

}  // namespace switchyard::net
