// One HTTP connection of HttpServer (server.h): a state machine on its own strand.
//
//   idle -> head -> body -> answering -> idle ...            and from anywhere -> lingering -> closed
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "frontend/http/errors.h"
#include "frontend/http/http.h"
#include "frontend/http/server.h"

namespace switchyard::http {

class Session;

// What a session needs of its server. Outlives the session. Thread: any.
class SessionOwner {
 public:
  virtual const ServerOptions& options() const = 0;
  virtual RequestHandler& handler() = 0;
  virtual bool draining() const = 0;
  virtual void ended(uint64_t id) = 0;  // forget it

 protected:
  ~SessionOwner() = default;
};

// Thread: the five calls on top from any; everything else on the strand.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  using Clock = std::chrono::steady_clock;

  Session(SessionOwner& owner, uint64_t id, boost::asio::ip::tcp::socket socket);

  // full: says 503 and closes.
  void start(bool full);
  void drain();
  void close();
  void check_deadlines(Clock::time_point now);
  void post(std::function<void()> function);

  // For the Responder of request number `request`; other numbers do nothing.
  bool answering(uint64_t request) const { return phase_ == Phase::kAnswering && request == request_ && !answered_; }
  void respond(uint64_t request, const HttpResponse& response);
  void begin_stream(uint64_t request, const std::string& content_type,
                    const std::vector<std::pair<std::string, std::string>>& headers);
  void write_stream(uint64_t request, std::string_view data);
  void end_stream(uint64_t request);
  void on_disconnect(uint64_t request, std::function<void()> callback);
  bool is_closed() const { return closed_.load(); }

 private:
  enum class Phase { kIdle, kHead, kBody, kAnswering, kLingering, kClosed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void next_request();
  void read_head();
  void on_head(const boost::system::error_code& error);
  void on_body(const boost::system::error_code& error);
  void hand_over();
  void watch();
  void on_watched(const boost::system::error_code& error, size_t count);
  void refuse(const ApiError& error);
  void refuse_read(const boost::system::error_code& error);
  void deadline_passed();
  void answer_done();
  void linger();
  void client_gone();
  void close_now();

  void append_head(int status, const std::string& content_type, std::optional<size_t> length,
                   const std::vector<std::pair<std::string, std::string>>& headers);
  void flush();
  void on_written(const boost::system::error_code& error, size_t count);
  void set_read_deadline(std::chrono::milliseconds wait);

  SessionOwner& owner_;
  const uint64_t id_;
  boost::asio::ip::tcp::socket socket_;
  std::atomic<bool> closed_{false};
  std::atomic<Clock::rep> read_deadline_{0};   // 0 = none
  std::atomic<Clock::rep> write_deadline_{0};  // 0 = none

  Phase phase_ = Phase::kIdle;
  bool watching_ = false;  // a read of our own (not Beast's) is under way
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::string path_;
  std::string request_id_;  // of the request being read or answered
  uint64_t request_ = 0;
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool head_only_ = false;  // HEAD
  bool streaming_ = false;  // begin_stream() was called
  bool answered_ = false;   // all of the answer is in the queue
  bool close_when_sent_ = false;
  std::function<void()> disconnect_;

  std::string queue_;  // to be sent after in_flight_
  std::string in_flight_;
  size_t sent_ = 0;  // of in_flight_
  bool writing_ = false;
};

ResponderPtr make_responder(const std::shared_ptr<Session>& session, uint64_t request);

}  // namespace switchyard::http
