#include "common/net/link.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "common/base/log.h"
#include "common/net/tls.h"

namespace switchyard::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kHeaderBytes = 4;
constexpr size_t kReadBytes = 16U << 10;         // room offered to each read
constexpr size_t kKeptBufferBytes = 256U << 10;  // a larger read buffer is given back when it is empty
constexpr size_t kFramesInOneWrite = 256;
constexpr std::chrono::milliseconds kCloseDeadline{1000};

uint32_t little_endian(const char* bytes) {
  std::array<unsigned char, 4> b{};
  std::memcpy(b.data(), bytes, b.size());
  return uint32_t{b[0]} | uint32_t{b[1]} << 8 | uint32_t{b[2]} << 16 | uint32_t{b[3]} << 24;
}

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof(value)); }

// Small frames go at once. A machine that vanishes without a word is noticed after about 10 + 3 * 5 seconds; heartbeats
// above this notice sooner.
void tune(asio::ip::tcp::socket& socket) {
  const int fd = socket.native_handle();
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

Link::Link(std::shared_ptr<asio::io_context> io, asio::ip::tcp::socket socket, SSL* ssl, const Options& options,
           uint64_t id, Handshake handshake, bool client, std::string host, Events events)
    : io_(std::move(io)),
      stream_(std::move(socket), ssl),
      deadline_(*io_),
      options_(options),
      id_(id),
      client_(client),
      handshake_(std::move(handshake)),
      events_(std::move(events)) {
  peer_.role = wire::ROLE_UNKNOWN;
  peer_.host = std::move(host);
  error_code error;
  const auto remote = stream_.next().remote_endpoint(error);
  if (!error) {
    const auto ip = remote.address().to_string();
    peer_.address = fmt::format("{}:{}", remote.address().is_v6() ? "[" + ip + "]" : ip, remote.port());
  }
}

size_t Link::queued_bytes() const {
  const std::lock_guard lock(mutex_);
  return queued_bytes_;
}

std::string Link::who() const {
  return peer_.name.empty() ? peer_.address : fmt::format("{} ({})", peer_.name, peer_.address);
}

bool Link::send(const wire::Frame& frame) { return enqueue(frame, options_.frame_bytes_max); }

bool Link::enqueue(const wire::Frame& frame, size_t limit) {
  if (closed()) return false;
  const size_t size = frame.ByteSizeLong();
  if (size > limit) {
    log_error("frame not sent: too large", {{"peer", who()}, {"bytes", size}, {"bytes_max", limit}});
    return false;
  }
  std::string bytes(kHeaderBytes + size, '\0');
  for (size_t i = 0; i < kHeaderBytes; ++i) bytes[i] = static_cast<char>(size >> (8 * i) & 0xff);
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(bytes.data() + kHeaderBytes));

  const std::lock_guard lock(mutex_);
  if (closed() || overflowed_) return false;
  if (queued_bytes_ + bytes.size() > options_.send_queue_bytes_max) {
    overflowed_ = true;
    closed_.store(true, std::memory_order_release);
    asio::post(*io_, [self = shared_from_this(), queued = queued_bytes_] {
      self->fail({Errc::kOverloaded, fmt::format("{} does not read: {} bytes wait to be sent, at most {} may",
                                                 self->who(), queued, self->options_.send_queue_bytes_max)});
    });
    return false;
  }
  queued_bytes_ += bytes.size();
  queue_.push_back(std::move(bytes));
  if (!writing_) {
    writing_ = true;
    asio::post(*io_, [self = shared_from_this()] { self->write(); });
  }
  return true;
}

void Link::write() {
  if (ended_) return;
  {
    const std::lock_guard lock(mutex_);
    while (!queue_.empty() && in_flight_.size() < kFramesInOneWrite) {
      in_flight_.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (in_flight_.empty()) writing_ = false;
  }
  if (in_flight_.empty()) {
    if (closing_) finish_writing();
    return;
  }
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(in_flight_.size());
  for (const auto& bytes : in_flight_) buffers.emplace_back(bytes.data(), bytes.size());
  asio::async_write(stream_, buffers,
                    [self = shared_from_this()](const error_code& error, size_t) { self->written(error); });
}

void Link::written(const error_code& error) {
  if (ended_) return;
  if (error) return fail({Errc::kPeerLost, fmt::format("{}: {}", who(), error.message())});
  {
    const std::lock_guard lock(mutex_);
    for (const auto& bytes : in_flight_) queued_bytes_ -= bytes.size();
  }
  in_flight_.clear();
  write();
}

void Link::close() {
  closed_here_.store(true);
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  asio::post(*io_, [self = shared_from_this()] {
    self->close_within(kCloseDeadline, {Errc::kUnavailable, "closed from this side"});
  });
}

void Link::close_within(std::chrono::milliseconds limit, Error reason) {
  closed_.store(true, std::memory_order_release);
  if (ended_) return;
  if (!closing_) closing_ = std::move(reason);
  deadline_.expires_after(limit);
  deadline_.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error && !self->ended_) self->fail(*self->closing_);
  });
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    idle = !writing_;
  }
  if (idle) finish_writing();
}

// Everything is sent. Half a close lets the peer read it all and close in turn; closing outright while its bytes are
// unread would reset the connection and could throw away what we sent.
void Link::finish_writing() {
  if (ended_ || sent_end_) return;
  sent_end_ = true;
  error_code error;
  stream_.next().shutdown(asio::ip::tcp::socket::shutdown_send, error);
  if (error) fail(*closing_);
}

void Link::fail(const Error& error, std::optional<Refusal> refusal) {
  if (ended_) return;
  ended_ = true;
  if (refusal) refusal_ = refusal;
  closed_.store(true, std::memory_order_release);
  const auto self = shared_from_this();
  deadline_.cancel();
  error_code ignored;
  stream_.next().close(ignored);
  {
    const std::lock_guard lock(mutex_);
    queue_.clear();
    queued_bytes_ = 0;
  }
  // Moved out: they may hold what holds us.
  const auto events = std::exchange(events_, Events{});
  if (events.ended) events.ended(self, error);
}

void Link::start(std::chrono::steady_clock::time_point deadline) {
  tune(stream_.next());
  deadline_.expires_at(deadline);
  deadline_.async_wait([self = shared_from_this()](const error_code& error) {
    if (error || self->ended_ || self->open_ || self->closing_) return;
    self->fail({Errc::kTimeout, fmt::format("{}: no handshake in time: still waiting for {}", self->who(),
                                            self->handshake_.waiting_for())},
               Refusal::kTimeout);
  });
  stream_.async_handshake(!client_, [self = shared_from_this()](const error_code& error) {
    if (self->ended_) return;
    if (!error) return self->begin();
    const auto failure = tls_failure(
        error.category() == asio::error::get_ssl_category() ? static_cast<unsigned long>(error.value()) : 0);
    self->fail({failure.refusal == Refusal::kBadProof ? Errc::kUnauthorized : Errc::kInvalid,
                fmt::format("{}: TLS: {}", self->who(), failure.text)},
               failure.refusal);
  });
}

void Link::begin() {
  if (stream_.is_tls()) handshake_.bind(channel_binding(stream_.ssl()));
  if (const auto frame = handshake_.start()) enqueue(*frame, options_.handshake_frame_bytes_max);
  read();
}

void Link::read() {
  if (ended_) return;
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > kKeptBufferBytes) std::vector<char>().swap(buffer_);
  }
  if (buffer_.size() - end_ < kReadBytes) {
    if (begin_ < end_) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);  // no buffer, no pointer
    end_ -= begin_;
    begin_ = 0;
    // Doubling as bytes arrive: a header that announces 64 MiB costs nothing before they come.
    if (buffer_.size() - end_ < kReadBytes) buffer_.resize(std::max(2 * end_, end_ + kReadBytes));
  }
  stream_.async_read_some(
      asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
      [self = shared_from_this()](const error_code& error, size_t count) {
        if (self->ended_) return;
        if (!error) return self->received(count);
        if (self->closing_) return self->fail(*self->closing_);
        const bool end = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
        const auto why = end ? std::string("closed by the peer") : error.message();
        const bool in_frame = self->begin_ != self->end_;
        self->fail({Errc::kPeerLost,
                    self->open_
                        ? fmt::format("{}: {}{}", self->who(), why, in_frame ? " in the middle of a frame" : "")
                        : fmt::format("{}: {} while waiting for {}", self->who(), why, self->handshake_.waiting_for())},
                   self->open_ && !in_frame ? std::nullopt : std::optional(Refusal::kTruncated));
      });
}

void Link::received(size_t count) {
  end_ += count;
  while (!ended_ && !closing_ && !closed_here() && take_frame()) {
  }
  // Closing: what still comes is of no interest, only its end.
  if (closing_ || closed_here()) begin_ = end_ = 0;
  read();
}

// False: a frame is not complete yet.
bool Link::take_frame() {
  const size_t available = end_ - begin_;
  if (available < kHeaderBytes) return false;
  const size_t size = little_endian(buffer_.data() + begin_);
  const size_t limit = open_ ? options_.frame_bytes_max : options_.handshake_frame_bytes_max;
  if (size > limit) {
    fail({Errc::kTooLarge, fmt::format("{}: a frame of {} bytes, at most {} are allowed", who(), size, limit)},
         Refusal::kOversized);
    return false;
  }
  if (available < kHeaderBytes + size) return false;

  wire::Frame frame;
  const bool parsed = frame.ParseFromArray(buffer_.data() + begin_ + kHeaderBytes, static_cast<int>(size));
  begin_ += kHeaderBytes + size;
  if (!parsed) {
    fail({Errc::kInvalid, fmt::format("{}: {} bytes that are not a frame", who(), size)}, Refusal::kNotAHandshake);
    return false;
  }
  if (!open_) {
    on_handshake_frame(frame);
    return true;
  }
  switch (frame.body_case()) {
    case wire::Frame::BODY_NOT_SET: break;  // a body of a newer minor version
    case wire::Frame::kHello:
    case wire::Frame::kHelloReply:
    case wire::Frame::kHelloProof:
    case wire::Frame::kHelloDone:
      fail({Errc::kInvalid, fmt::format("{}: a second handshake", who())}, Refusal::kNotAHandshake);
      break;
    case wire::Frame::kPing: {
      wire::Frame pong;
      pong.mutable_pong()->set_id(frame.ping().id());
      send(pong);
      break;
    }
    default:
      if (events_.frame) events_.frame(shared_from_this(), frame);
  }
  return true;
}

void Link::on_handshake_frame(const wire::Frame& frame) {
  auto step = handshake_.receive(frame);
  auto peer = handshake_.peer();
  peer.address = std::move(peer_.address);
  if (peer.host.empty()) peer.host = std::move(peer_.host);
  peer_ = std::move(peer);

  if (step.send) enqueue(*step.send, options_.handshake_frame_bytes_max);
  if (step.error) {
    step.error->message = fmt::format("{}: {}", peer_.address, step.error->message);
    refusal_ = step.refusal;
    if (!step.send) return fail(*step.error);
    return close_within(kCloseDeadline, std::move(*step.error));
  }
  if (!step.done) return;
  open_ = true;
  deadline_.cancel();
  if (events_.opened) events_.opened(shared_from_this());
}

}  // namespace switchyard::net
