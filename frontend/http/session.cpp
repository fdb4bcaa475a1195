#include "frontend/http/session.h"

#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "common/base/log.h"
#include "frontend/http/reactor.h"
#include "frontend/http/request_id.h"
#include "frontend/http/target.h"

namespace switchyard::frontend {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

// Pipelined bytes that are taken in while an answer is in the making; beyond it the client has to wait (and is not
// noticed leaving).
constexpr size_t kReadAheadBytes = 64U << 10;
// Beast (1.81) fails an assertion, and with it the process, on a chunked body that is empty and of whose last chunk it
// sees less than the five bytes that there are ("0\r\n\r\n"). No chunked body can end with fewer, so it waits for them.
constexpr size_t kChunkedBytesMin = 5;
// An output buffer that is larger is given back when it is empty: streams of short events are what there are many of.
constexpr size_t kKeptQueueBytes = 4U << 10;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr Session::Clock::time_point kNoDeadline{};

std::string to_string(boost::core::string_view text) { return {text.data(), text.size()}; }

}  // namespace

Session::Session(ServerReactor& reactor, boost::asio::ip::tcp::socket socket)
    : reactor_(reactor), client_(std::move(socket)) {}

void Session::post(std::function<void()> function) {
  asio::post(client_.socket().get_executor(), [self = shared_from_this(), f = std::move(function)] { f(); });
}

void Session::start(uint64_t id, bool full) {
  id_ = id;
  client_.open(reactor_.options().tls.get());
  if (full) {
    note(net::Refusal::kHalfOpenLimit, "too many connections");
    close_when_sent_ = true;
    refuse(unavailable("Too many connections (frontend.max_connections)."));
    return;
  }
  phase_ = Phase::kHead;
  set_read_deadline(reactor_.options().head_timeout);
  watch();
}

void Session::start_closed(uint64_t id) {
  id_ = id;
  close_now();
}

void Session::drain() {
  if (phase_ == Phase::kIdle) close_now();
}

void Session::close() { client_gone(); }

void Session::set_read_deadline(std::chrono::milliseconds wait) { read_deadline_ = Clock::now() + wait; }

bool Session::is_late(Clock::time_point now) const {
  const auto passed = [&](Clock::time_point deadline) { return deadline != kNoDeadline && deadline < now; };
  return passed(read_deadline_) || passed(write_deadline_);
}

void Session::deadline_passed() {
  const auto now = Clock::now();
  if (write_deadline_ != kNoDeadline && write_deadline_ < now) return client_gone();
  if (read_deadline_ == kNoDeadline || read_deadline_ >= now) return;
  read_deadline_ = kNoDeadline;
  if (phase_ == Phase::kIdle || phase_ == Phase::kLingering) return close_now();
  if (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    note(net::Refusal::kTimeout, client_.established() ? "no request in time" : "no TLS handshake in time");
    close_when_sent_ = true;
    ApiError error = invalid_request("The request did not arrive in time.", {}, "request_timeout");
    error.status = 408;
    refuse(error, unparsed_);
  }
}

// --- reading
// -------------------------------------------------------------------------------------------------------------------

void Session::next_request() {
  parser_.reset();
  path_.clear();
  streaming_ = answered_ = false;
  disconnect_ = nullptr;
  if (input_ended_ && unparsed_.empty()) return close_now();
  phase_ = unparsed_.empty() ? Phase::kIdle : Phase::kHead;
  set_read_deadline(unparsed_.empty() ? reactor_.options().idle_timeout : reactor_.options().head_timeout);
  if (unparsed_.empty()) return watch();
  // Not from here: requests that wait in a row would each be answered inside the one before. And no more is read before
  // it is known that these bytes are not a request yet, or every answer would let in as much as one read brings.
  post([this] {
    parse({});
    watch();
  });
}

// No buffer hangs on the wait: bytes are read into the reactor's, and only what is left of them is kept.
void Session::watch() {
  if (watching_ || input_ended_ || phase_ == Phase::kClosed ||
      (phase_ == Phase::kAnswering && unparsed_.size() >= kReadAheadBytes))
    return;
  watching_ = true;
  client_.async_wait_read([self = shared_from_this()](const error_code& error) {
    self->watching_ = false;
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->on_read_error(error);
    self->on_readable();
  });
}

void Session::on_readable() {
  error_code error;
  const std::span<char> space = reactor_.read_space();
  const size_t count = client_.read_some(space, error);
  if (error == asio::error::would_block) return watch();
  if (error) return on_read_error(error);
  const std::string_view bytes(space.data(), count);
  switch (phase_) {
    case Phase::kIdle:
      phase_ = Phase::kHead;
      set_read_deadline(reactor_.options().head_timeout);
      [[fallthrough]];
    case Phase::kHead:
    case Phase::kBody: parse(bytes); break;
    case Phase::kAnswering: unparsed_ += bytes; break;
    case Phase::kLingering:
    case Phase::kClosed: break;
  }
  watch();
}

void Session::on_read_error(const error_code& error) {
  if (!client_.established()) {
    const net::TlsFailure failure = client_.failure();
    note(failure.refusal, "TLS: " + failure.text);
  }
  if (error == asio::error::eof && (phase_ == Phase::kAnswering || !unparsed_.empty())) return on_half_close();
  client_gone();
}

void Session::on_half_close() {
  input_ended_ = true;
  client_.socket().async_wait(asio::ip::tcp::socket::wait_error, [self = shared_from_this()](const error_code&) {
    if (self->phase_ != Phase::kClosed) self->client_gone();
  });
  phase_ == Phase::kAnswering ? probe() : parse({});
}

// A client that half-closed waits for its answer; one that has left looks the same until something is sent to it, which
// its system answers with a reset. So it is sent what changes nothing: an interim answer, which every client of
// HTTP/1.1 skips (RFC 9110, section 15.2), or a leading zero of the next chunk's length (RFC 9112, section 7.1).
void Session::probe() {
  if (phase_ != Phase::kAnswering || answered_) return;
  if (http_1_0_) return client_gone();
  queue_ += streaming_ ? "0" : kContinue;
  flush_later();
}

// bytes: behind unparsed_.
void Session::parse(std::string_view bytes) {
  if (phase_ != Phase::kHead && phase_ != Phase::kBody) return;
  if (unparsed_.empty()) {
    bytes.remove_prefix(parse_some(bytes));
    unparsed_ = bytes;
  } else {
    unparsed_ += bytes;
    unparsed_.erase(0, parse_some(unparsed_));
  }
  if (unparsed_.empty()) std::string().swap(unparsed_);
  if (input_ended_ && (phase_ == Phase::kHead || phase_ == Phase::kBody)) close_now();  // the rest never comes
}

// How much of it the parser has taken; of a request that is complete, its end.
size_t Session::parse_some(std::string_view bytes) {
  size_t used = 0;
  while (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    if (!parser_) {
      parser_ = std::make_unique<Parser>();
      parser_->header_limit(reactor_.options().head_bytes_max);
      parser_->body_limit(reactor_.options().body_bytes_max);
    }
    if (parser_->is_header_done() && parser_->chunked() && bytes.size() - used < kChunkedBytesMin) break;
    error_code error;
    const size_t count = parser_->put(asio::buffer(bytes.data() + used, bytes.size() - used), error);
    used += count;
    if (error && error != bhttp::error::need_more) {
      refuse_read(error, bytes.substr(used));
      break;
    }
    if (phase_ == Phase::kHead && parser_->is_header_done()) {
      if (!check_head()) break;
      if (used < bytes.size() && !parser_->is_done()) continue;
    }
    if (parser_->is_done()) {
      hand_over();
      break;
    }
    if (error || count == 0 || used == bytes.size()) break;
  }
  // Beast takes the head of a chunk and the fields behind the last one when they are whole, and has no limit for them.
  if (phase_ == Phase::kBody && bytes.size() - used > reactor_.options().head_bytes_max)
    refuse_read(bhttp::error::header_limit, {});
  return used;
}

// False: it was refused.
bool Session::check_head() {
  phase_ = Phase::kBody;
  set_read_deadline(reactor_.options().body_timeout);
  parser_->eager(true);
  const auto& head = parser_->get();
  http_1_0_ = head.version() < 11;
  if (head.method() == bhttp::verb::connect) {  // and what follows it would be no requests
    refuse(method_not_allowed("CONNECT", to_string(head.target()), "GET, HEAD, POST, DELETE"));
    return false;
  }
  // What proxies in front of us could read differently is refused (RFC 9112, sections 3.2 and 6.1).
  if (!http_1_0_ && head.count(bhttp::field::host) != 1) {
    refuse(invalid_request("Malformed HTTP request: there must be exactly one Host header."));
    return false;
  }
  const auto encodings = head.count(bhttp::field::transfer_encoding);
  if (encodings > 1 ||
      (encodings == 1 && (http_1_0_ || !beast::iequals(head[bhttp::field::transfer_encoding], "chunked")))) {
    refuse(invalid_request("Malformed HTTP request: only 'chunked' is known as a Transfer-Encoding, and to HTTP/1.1."));
    return false;
  }
  if (!http_1_0_ && !parser_->is_done() && beast::iequals(head[bhttp::field::expect], "100-continue")) {
    queue_ += kContinue;
    flush_later();
  }
  return true;
}

void Session::refuse_read(const error_code& error, std::string_view unread) {
  if (error == bhttp::error::body_limit) {
    note(net::Refusal::kOversized, "a body beyond frontend.max_body_mib");
    return refuse(body_too_large(reactor_.options().body_bytes_max));
  }
  if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
    note(net::Refusal::kOversized, "a head that is too long");
    ApiError too_long = invalid_request("The request's head is longer than " +
                                        std::to_string(reactor_.options().head_bytes_max) + " bytes.");
    too_long.status = 431;
    return refuse(too_long, unread);
  }
  if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message || error == asio::error::eof)
    return close_now();
  note(net::Refusal::kNotAHandshake, "not HTTP: " + error.message());
  refuse(invalid_request("Malformed HTTP request: " + error.message()), unread);
}

void Session::note(net::Refusal refusal, const std::string& why) {
  if (!reactor_.options().refusals) return;
  error_code error;
  const auto peer = client_.socket().remote_endpoint(error);
  const std::string who = error ? "somebody" : peer.address().to_string() + ":" + std::to_string(peer.port());
  reactor_.options().refusals->add(refusal, who + ": " + why);
}

void Session::hand_over() {
  phase_ = Phase::kAnswering;
  read_deadline_ = kNoDeadline;
  ++request_;
  auto message = parser_->release();
  parser_.reset();
  HttpRequest request;
  request.method = to_string(message.method_string());
  const std::string target = origin_form(to_string(message.target()));
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  request.authorization = to_string(message[bhttp::field::authorization]);
  request.if_none_match = to_string(message[bhttp::field::if_none_match]);
  request.api_key = to_string(message["X-Api-Key"]);
  const std::string retries = to_string(message["X-Stainless-Retry-Count"]);
  request.comes_again = !retries.empty() && retries != "0";
  request.request_id = request_id_ = request_id_of(to_string(message["X-Request-Id"]));
  request.body = std::move(message.body());
  keep_alive_ = message.keep_alive() && !reactor_.draining();
  head_only_ = message.method() == bhttp::verb::head;
  path_ = request.path;
  reactor_.handler().handle(std::move(request), make_responder(shared_from_this(), request_));
  if (input_ended_) probe();
}

// --- ends
// ----------------------------------------------------------------------------------------------------------------------

void Session::refuse(const ApiError& error, std::string_view unread) {
  if (!client_.established()) return close_now();  // there is no way yet to tell it
  phase_ = Phase::kAnswering;
  read_deadline_ = kNoDeadline;
  ++request_;
  keep_alive_ = head_only_ = answered_ = false;
  path_.clear();
  std::string target{target_in(unread)}, id;
  if (parser_ && !parser_->get().target().empty()) {
    target = to_string(parser_->get().target());
    id = to_string(parser_->get()["X-Request-Id"]);
  }
  request_id_ = request_id_of(std::move(id));
  respond(request_, error_response(error, reactor_.handler().error_form(path_of(target))));
}

ErrorForm Session::error_form() const { return reactor_.handler().error_form(path_); }

void Session::client_gone() {
  const std::function<void()> disconnect =
      phase_ == Phase::kAnswering && !answered_ ? std::move(disconnect_) : std::function<void()>();
  close_now();
  if (disconnect) disconnect();
}

void Session::answer_done() {
  if (close_when_sent_) return close_now();
  if (!keep_alive_ || reactor_.draining()) return input_ended_ ? close_now() : linger();
  next_request();
}

// A socket that is closed with unread input resets the connection, and the client may never see the answer: so say that
// this was all, and read on for a while.
void Session::linger() {
  phase_ = Phase::kLingering;
  set_read_deadline(reactor_.options().linger);
  client_.end();
  std::string().swap(unparsed_);
  watch();
}

void Session::close_now() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  closed_ = true;
  read_deadline_ = write_deadline_ = kNoDeadline;
  disconnect_ = nullptr;
  client_.close();
  reactor_.ended(id_);
}

// --- answering
// -----------------------------------------------------------------------------------------------------------------

void Session::append_head(int status, const std::string& content_type, std::optional<size_t> length,
                          const std::vector<std::pair<std::string, std::string>>& headers) {
  const auto reason = bhttp::obsolete_reason(bhttp::int_to_status(static_cast<unsigned>(status)));
  queue_ += "HTTP/1.1 " + std::to_string(status) + " " + to_string(reason) + "\r\nContent-Type: " + content_type +
            "\r\nX-Request-Id: " + request_id_;
  if (length)
    queue_ += "\r\nContent-Length: " + std::to_string(*length);
  else if (!http_1_0_)
    queue_ += "\r\nTransfer-Encoding: chunked";
  else
    keep_alive_ = false;
  if (reactor_.draining()) keep_alive_ = false;
  if (!keep_alive_)
    queue_ += "\r\nConnection: close";
  else if (http_1_0_)
    queue_ += "\r\nConnection: keep-alive";
  for (const auto& [name, value] : headers) queue_ += "\r\n" + name + ": " + value;
  queue_ += "\r\n\r\n";
  reactor_.handler().answered(path_, status);
}

void Session::respond(uint64_t request, const HttpResponse& response) {
  if (!answering(request) || streaming_) return;
  if (!response.why_refused.empty()) {
    log_info("request refused",
             {{"request", request_id_}, {"path", path_}, {"status", response.status}, {"why", response.why_refused}});
  }
  append_head(response.status, response.content_type, response.body.size(), response.headers);
  if (!head_only_ && response.status != 304) queue_ += response.body;
  answered_ = true;
  disconnect_ = nullptr;
  flush_later();
}

void Session::begin_stream(uint64_t request, const std::string& content_type,
                           const std::vector<std::pair<std::string, std::string>>& headers) {
  if (!answering(request) || streaming_) return;
  streaming_ = true;
  append_head(200, content_type, std::nullopt, headers);
  flush_later();
}

void Session::write_stream(uint64_t request, std::string_view data) {
  if (!answering(request) || !streaming_ || data.empty()) return;
  if (http_1_0_) {
    queue_ += data;
  } else {
    char length[20];
    const auto end = std::to_chars(length, length + sizeof length, data.size(), 16);
    queue_.append(length, end.ptr).append("\r\n").append(data).append("\r\n");
  }
  if (unsent_bytes() > reactor_.options().unsent_bytes_max) {
    log_warn("a client does not read its stream", {{"path", path_}, {"unsent_bytes", unsent_bytes()}});
    return client_gone();
  }
  flush_later();
}

void Session::end_stream(uint64_t request) {
  if (!answering(request) || !streaming_) return;
  if (!http_1_0_) queue_ += "0\r\n\r\n";
  answered_ = true;
  disconnect_ = nullptr;
  flush_later();
}

void Session::on_disconnect(uint64_t request, std::function<void()> callback) {
  if (answering(request))
    disconnect_ = std::move(callback);
  else
    callback();
}

void Session::flush_later() {
  if (flush_waits_ || blocked_ || phase_ == Phase::kClosed) return;
  flush_waits_ = true;
  reactor_.flush_later(shared_from_this());
}

// Written directly: a completion for each of 200000 events a second would cost more than it says, for nearly always the
// socket takes all at once.
void Session::flush() {
  flush_waits_ = false;
  if (blocked_ || phase_ == Phase::kClosed) return;
  while (sent_ < queue_.size()) {
    error_code error;
    const size_t count = client_.write_some(std::string_view(queue_).substr(sent_), error);
    if (error == asio::error::would_block) {
      queue_.erase(0, sent_);
      sent_ = 0;
      blocked_ = true;
      write_deadline_ = Clock::now() + reactor_.options().write_timeout;
      client_.async_wait_write([self = shared_from_this()](const error_code&) {
        self->blocked_ = false;
        self->write_deadline_ = kNoDeadline;
        self->flush();
      });
      return;
    }
    if (error) return client_gone();
    sent_ += count;
  }
  queue_.clear();
  sent_ = 0;
  if (queue_.capacity() > kKeptQueueBytes) queue_.shrink_to_fit();
  if (phase_ == Phase::kAnswering && answered_) answer_done();
}

}  // namespace switchyard::frontend
