// One socket: reads frames, drives the handshake, writes the bounded queue. Users see it as a Connection once the
// handshake is done.
//
// Thread: send(), close(), closed() and queued_bytes() from any; all else on the net thread.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/net/handshake.h"
#include "common/net/maybe_tls_stream.h"
#include "common/net/net.h"

namespace switchyard::net {

class Link final : public Connection, public std::enable_shared_from_this<Link> {
 public:
  struct Events {
    std::function<void(const std::shared_ptr<Link>&)> opened;
    std::function<void(const std::shared_ptr<Link>&, wire::Frame&)> frame;
    // Once, whatever the cause; nothing is called after it.
    std::function<void(const std::shared_ptr<Link>&, const Error&)> ended;
  };

  // io is shared: a user may keep a ConnectionPtr longer than the Service.
  // ssl: null = plain TCP.
  Link(std::shared_ptr<boost::asio::io_context> io, boost::asio::ip::tcp::socket socket, SSL* ssl,
       const Options& options, uint64_t id, Handshake handshake, bool client, std::string host, Events events);

  bool send(const wire::Frame& frame) override;
  void close() override;
  bool closed() const override { return closed_.load(std::memory_order_acquire); }
  const Peer& peer() const override { return peer_; }
  uint64_t id() const override { return id_; }
  size_t queued_bytes() const override;

  // Starts the handshake on a connected socket, TLS's before ours. deadline: for all of it.
  void start(std::chrono::steady_clock::time_point deadline);
  // Sends what is queued, tells the peer, and ends when it has closed as well or time is up.
  void close_within(std::chrono::milliseconds limit, Error reason);
  // Ends at once. refusal: where the peer is to blame.
  void fail(const Error& error, std::optional<Refusal> refusal = {});

  bool open() const { return open_; }
  bool ended() const { return ended_; }
  // Why, where the peer is to blame.
  const std::optional<Refusal>& refusal() const { return refusal_; }
  // True once close() was called from this side.
  bool closed_here() const { return closed_here_.load(); }
  const std::string& address() const { return peer_.address; }

 private:
  bool enqueue(const wire::Frame& frame, size_t limit);
  void write();
  void written(const boost::system::error_code& error);
  void finish_writing();
  void begin();
  void read();
  void received(size_t count);
  bool take_frame();
  void on_handshake_frame(const wire::Frame& frame);
  std::string who() const;

  const std::shared_ptr<boost::asio::io_context> io_;
  MaybeTlsStream<boost::asio::ip::tcp::socket> stream_;
  boost::asio::steady_timer deadline_;
  const Options options_;
  const uint64_t id_;
  const bool client_;
  Handshake handshake_;
  Peer peer_;
  Events events_;

  bool open_ = false;   // the handshake is done
  bool ended_ = false;  // events_.ended was called
  bool sent_end_ = false;
  std::optional<Refusal> refusal_;
  std::optional<Error> closing_;  // close once the queue is empty, for this reason
  std::atomic<bool> closed_{false};
  std::atomic<bool> closed_here_{false};

  std::vector<char> buffer_;  // [begin_, end_) holds bytes not yet parsed
  size_t begin_ = 0, end_ = 0;

  mutable std::mutex mutex_;  // guards the four below
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;  // of queue_ and of what is being written
  bool writing_ = false;
  bool overflowed_ = false;
  std::vector<std::string> in_flight_;  // net thread
};

}  // namespace switchyard::net
