#include "frontend/http/session.h"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "common/base/log.h"
#include "frontend/http/request_id.h"

namespace switchyard::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

// Pipelined bytes that are taken in while an answer is in the making; beyond it the client has to wait (and is not
// noticed leaving).
constexpr size_t kReadAheadBytes = 64U << 10;

Session::Clock::rep ticks(Session::Clock::time_point time) { return time.time_since_epoch().count(); }

std::string to_string(boost::core::string_view text) { return {text.data(), text.size()}; }

}  // namespace

Session::Session(SessionOwner& owner, uint64_t id, boost::asio::ip::tcp::socket socket)
    : owner_(owner),
      id_(id),
      socket_(std::move(socket)),
      buffer_(owner.options().head_bytes_max + 2 * kReadAheadBytes) {}

void Session::post(std::function<void()> function) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), f = std::move(function)] { f(); });
}

void Session::start(bool full) {
  post([this, full] {
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    if (full) {
      close_when_sent_ = true;
      refuse(unavailable("Too many connections (frontend.max_connections)."));
      return;
    }
    phase_ = Phase::kHead;
    set_read_deadline(owner_.options().head_timeout);
    watch();
  });
}

void Session::drain() {
  post([this] {
    if (phase_ == Phase::kIdle) close_now();
  });
}

void Session::close() {
  post([this] { client_gone(); });
}

void Session::set_read_deadline(std::chrono::milliseconds wait) { read_deadline_ = ticks(Clock::now() + wait); }

void Session::check_deadlines(Clock::time_point now) {
  const auto passed = [&](const std::atomic<Clock::rep>& deadline) {
    const Clock::rep at = deadline.load(std::memory_order_relaxed);
    return at != 0 && at < ticks(now);
  };
  if (passed(read_deadline_) || passed(write_deadline_)) post([this] { deadline_passed(); });
}

void Session::deadline_passed() {
  const Clock::rep now = ticks(Clock::now());
  if (write_deadline_ != 0 && write_deadline_ < now) return client_gone();
  if (read_deadline_ == 0 || read_deadline_ >= now) return;
  read_deadline_ = 0;
  if (phase_ == Phase::kIdle || phase_ == Phase::kLingering) return close_now();
  if (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    // Beast's read still hangs on the socket: no lingering, the close ends it.
    close_when_sent_ = true;
    ApiError error = invalid_request("The request did not arrive in time.", {}, "request_timeout");
    error.status = 408;
    refuse(error);
  }
}

// --- reading
// -------------------------------------------------------------------------------------------------------------------

void Session::next_request() {
  parser_.reset();
  path_.clear();
  streaming_ = answered_ = false;
  disconnect_ = nullptr;
  if (buffer_.size() > 0) {
    if (!watching_) return read_head();
    // The next request, or a part of it, came with the last answer under way, and one more read hangs on the socket. It
    // may wait for ever: all of the request may be here. on_watched() goes on, whether the read was cancelled or not.
    phase_ = Phase::kHead;
    set_read_deadline(owner_.options().head_timeout);
    error_code ignored;
    socket_.cancel(ignored);
    return;
  }
  phase_ = Phase::kIdle;
  set_read_deadline(owner_.options().idle_timeout);
  watch();
}

void Session::watch() {
  if (watching_ || phase_ == Phase::kClosed || buffer_.size() >= kReadAheadBytes) return;
  watching_ = true;
  socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](const error_code& error, size_t count) {
    self->watching_ = false;
    self->on_watched(error, count);
  });
}

void Session::on_watched(const error_code& error, size_t count) {
  if (phase_ == Phase::kClosed) return;
  if (error == asio::error::operation_aborted && phase_ == Phase::kHead) return read_head();  // next_request() did it
  if (error) {
    // An answer that is complete still goes out; nobody waits for one that is not.
    if (phase_ == Phase::kAnswering && answered_ && error == asio::error::eof) {
      close_when_sent_ = true;
      return;
    }
    return client_gone();
  }
  if (phase_ == Phase::kLingering) {
    buffer_.clear();
    return watch();
  }
  buffer_.commit(count);
  if (phase_ == Phase::kAnswering) return watch();
  read_head();
}

void Session::read_head() {
  if (phase_ != Phase::kHead) set_read_deadline(owner_.options().head_timeout);
  phase_ = Phase::kHead;
  parser_.emplace();
  parser_->header_limit(owner_.options().head_bytes_max);
  parser_->body_limit(owner_.options().body_bytes_max);
  bhttp::async_read_header(socket_, buffer_, *parser_,
                           [self = shared_from_this()](const error_code& error, size_t) { self->on_head(error); });
}

void Session::on_head(const error_code& error) {
  if (phase_ != Phase::kHead) return;  // its deadline passed, or it was closed
  if (error) return refuse_read(error);
  phase_ = Phase::kBody;
  set_read_deadline(owner_.options().body_timeout);
  const auto& head = parser_->get();
  http_1_0_ = head.version() < 11;
  // What proxies in front of us could read differently is refused (RFC 9112, sections 3.2 and 6.1).
  if (!http_1_0_ && head.count(bhttp::field::host) != 1)
    return refuse(invalid_request("Malformed HTTP request: there must be exactly one Host header."));
  if (head.count(bhttp::field::transfer_encoding) > 1 ||
      (head.count(bhttp::field::transfer_encoding) == 1 &&
       !beast::iequals(head[bhttp::field::transfer_encoding], "chunked")))
    return refuse(invalid_request("Malformed HTTP request: only 'chunked' is known as a Transfer-Encoding."));
  if (!parser_->is_done() && beast::iequals(head[bhttp::field::expect], "100-continue")) {
    queue_ += "HTTP/1.1 100 Continue\r\n\r\n";
    flush();
  }
  if (parser_->is_done()) return hand_over();
  bhttp::async_read(socket_, buffer_, *parser_,
                    [self = shared_from_this()](const error_code& body_error, size_t) { self->on_body(body_error); });
}

void Session::on_body(const error_code& error) {
  if (phase_ != Phase::kBody) return;
  if (error) return refuse_read(error);
  hand_over();
}

void Session::refuse_read(const error_code& error) {
  if (error == bhttp::error::body_limit) return refuse(body_too_large(owner_.options().body_bytes_max));
  if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
    ApiError too_long = invalid_request("The request's head is longer than " +
                                        std::to_string(owner_.options().head_bytes_max) + " bytes.");
    too_long.status = 431;
    return refuse(too_long);
  }
  if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message || error == asio::error::eof ||
      error.category() == boost::system::system_category() || error == asio::error::operation_aborted)
    return close_now();
  refuse(invalid_request("Malformed HTTP request: " + error.message()));
}

void Session::hand_over() {
  phase_ = Phase::kAnswering;
  read_deadline_ = 0;
  ++request_;
  auto message = parser_->release();
  HttpRequest request;
  request.method = to_string(message.method_string());
  std::string target = to_string(message.target());
  if (const size_t scheme = target.find("://"); scheme != std::string::npos && target.front() != '/') {
    const size_t slash = target.find('/', scheme + 3);  // absolute form, as proxies send it
    target = slash == std::string::npos ? "/" : target.substr(slash);
  }
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  request.authorization = to_string(message[bhttp::field::authorization]);
  request.request_id = request_id_ = request_id_of(to_string(message["X-Request-Id"]));
  request.body = std::move(message.body());
  keep_alive_ = message.keep_alive() && !owner_.draining();
  head_only_ = message.method() == bhttp::verb::head;
  path_ = request.path;
  watch();
  owner_.handler().handle(std::move(request), make_responder(shared_from_this(), request_));
}

// --- ends
// ----------------------------------------------------------------------------------------------------------------------

void Session::refuse(const ApiError& error) {
  phase_ = Phase::kAnswering;
  read_deadline_ = 0;
  ++request_;
  keep_alive_ = head_only_ = answered_ = false;
  path_.clear();
  request_id_ = random_id();
  respond(request_, error_response(error));
}

void Session::client_gone() {
  const std::function<void()> disconnect =
      phase_ == Phase::kAnswering && !answered_ ? std::move(disconnect_) : std::function<void()>();
  close_now();
  if (disconnect) disconnect();
}

void Session::answer_done() {
  if (close_when_sent_) return close_now();
  if (!keep_alive_ || owner_.draining()) return linger();
  next_request();
}

// A socket that is closed with unread input resets the connection, and the client may never see the answer: so say that
// this was all, and read on for a while.
void Session::linger() {
  phase_ = Phase::kLingering;
  set_read_deadline(owner_.options().linger);
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  buffer_.clear();
  watch();
}

void Session::close_now() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  closed_ = true;
  read_deadline_ = write_deadline_ = 0;
  disconnect_ = nullptr;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  owner_.ended(id_);
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
  if (owner_.draining()) keep_alive_ = false;
  if (!keep_alive_)
    queue_ += "\r\nConnection: close";
  else if (http_1_0_)
    queue_ += "\r\nConnection: keep-alive";
  for (const auto& [name, value] : headers) queue_ += "\r\n" + name + ": " + value;
  queue_ += "\r\n\r\n";
  owner_.handler().answered(path_, status);
}

void Session::respond(uint64_t request, const HttpResponse& response) {
  if (!answering(request) || streaming_) return;
  if (!response.why_refused.empty()) {
    log_info("request refused",
             {{"request", request_id_}, {"path", path_}, {"status", response.status}, {"why", response.why_refused}});
  }
  append_head(response.status, response.content_type, response.body.size(), response.headers);
  if (!head_only_) queue_ += response.body;
  answered_ = true;
  disconnect_ = nullptr;
  flush();
}

void Session::begin_stream(uint64_t request, const std::string& content_type,
                           const std::vector<std::pair<std::string, std::string>>& headers) {
  if (!answering(request) || streaming_) return;
  streaming_ = true;
  append_head(200, content_type, std::nullopt, headers);
  flush();
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
  if (queue_.size() > owner_.options().unsent_bytes_max) {
    log_warn("a client does not read its stream", {{"path", path_}, {"unsent_bytes", queue_.size()}});
    return client_gone();
  }
  flush();
}

void Session::end_stream(uint64_t request) {
  if (!answering(request) || !streaming_) return;
  if (!http_1_0_) queue_ += "0\r\n\r\n";
  answered_ = true;
  disconnect_ = nullptr;
  flush();
}

void Session::on_disconnect(uint64_t request, std::function<void()> callback) {
  if (answering(request))
    disconnect_ = std::move(callback);
  else
    callback();
}

void Session::flush() {
  if (writing_ || phase_ == Phase::kClosed) return;
  if (sent_ == in_flight_.size()) {
    in_flight_.clear();
    sent_ = 0;
    std::swap(in_flight_, queue_);
  }
  if (in_flight_.empty()) return;
  writing_ = true;
  write_deadline_ = ticks(Clock::now() + owner_.options().write_timeout);
  socket_.async_write_some(
      asio::buffer(in_flight_.data() + sent_, in_flight_.size() - sent_),
      [self = shared_from_this()](const error_code& error, size_t count) { self->on_written(error, count); });
}

void Session::on_written(const error_code& error, size_t count) {
  writing_ = false;
  write_deadline_ = 0;
  if (phase_ == Phase::kClosed) return;
  if (error) return client_gone();
  sent_ += count;
  if (sent_ < in_flight_.size() || !queue_.empty()) return flush();
  if (phase_ == Phase::kAnswering && answered_) answer_done();
}

// --- the Responder
// -------------------------------------------------------------------------------------------------------------

namespace {

class SessionResponder final : public Responder {
 public:
  SessionResponder(const std::shared_ptr<Session>& session, uint64_t request) : session_(session), request_(request) {}

  ~SessionResponder() override {
    if (answered_) return;
    const auto session = session_.lock();
    if (!session || session->is_closed()) return;
    HttpResponse response{.status = 500, .body = error_body(internal_error("The request was dropped."))};
    response.headers = headers_;
    // Nothing else runs after this on behalf of the request; a stream that was begun is cut off, which the client sees.
    Session* raw = session.get();
    session->post([raw, request = request_, answer = std::move(response)] {
      raw->respond(request, answer);
      if (raw->answering(request)) raw->close();
    });
  }

  void add_header(std::string name, std::string value) override {
    headers_.emplace_back(std::move(name), std::move(value));
  }

  void respond(HttpResponse response) override {
    answered_ = true;
    for (auto& header : headers_) response.headers.push_back(header);
    if (const auto session = session_.lock()) session->respond(request_, response);
  }

  void begin_stream(std::string content_type) override {
    if (const auto session = session_.lock()) session->begin_stream(request_, content_type, headers_);
  }

  void write(std::string_view data) override {
    if (const auto session = session_.lock()) session->write_stream(request_, data);
  }

  void end_stream() override {
    answered_ = true;
    if (const auto session = session_.lock()) session->end_stream(request_);
  }

  void on_disconnect(std::function<void()> callback) override {
    if (const auto session = session_.lock())
      session->on_disconnect(request_, std::move(callback));
    else
      callback();
  }

  void post(std::function<void()> function) override {
    if (const auto session = session_.lock()) session->post(std::move(function));
  }

 private:
  const std::weak_ptr<Session> session_;
  const uint64_t request_;
  std::vector<std::pair<std::string, std::string>> headers_;
  bool answered_ = false;
};

}  // namespace

ResponderPtr make_responder(const std::shared_ptr<Session>& session, uint64_t request) {
  return std::make_shared<SessionResponder>(session, request);
}

}  // namespace switchyard::http
