// One HTTP connection of HttpServer (server.h): a state machine on its reactor.
//
//   idle -> head -> body -> answering -> idle ...            and from anywhere -> lingering -> closed
#pragma once

#include <atomic>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "frontend/http/client_socket.h"
#include "frontend/http/errors.h"
#include "frontend/http/http.h"
#include "frontend/http/server.h"

namespace switchyard::frontend {

class ServerReactor;

// Thread: its reactor's; post() and is_closed() from any.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  using Clock = std::chrono::steady_clock;

  Session(ServerReactor& reactor, boost::asio::ip::tcp::socket socket);

  // id: what the reactor knows it by. full: says 503 and closes.
  void start(uint64_t id, bool full);
  void start_closed(uint64_t id);
  void drain();
  void close();
  bool is_late(Clock::time_point now) const;
  void deadline_passed();
  void post(std::function<void()> function);
  ServerReactor& reactor() const { return reactor_; }
  // Sends what is queued, as far as the client takes it.
  void flush();

  // For the Responder of request number `request`; other numbers do nothing.
  bool answering(uint64_t request) const { return phase_ == Phase::kAnswering && request == request_ && !answered_; }
  void respond(uint64_t request, const HttpResponse& response);
  void begin_stream(uint64_t request, const std::string& content_type,
                    const std::vector<std::pair<std::string, std::string>>& headers);
  void write_stream(uint64_t request, std::string_view data);
  void end_stream(uint64_t request);
  void on_disconnect(uint64_t request, std::function<void()> callback);
  bool is_closed() const { return closed_.load(); }
  ErrorForm error_form() const;

 private:
  enum class Phase { kIdle, kHead, kBody, kAnswering, kLingering, kClosed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void next_request();
  void watch();
  void on_readable();
  void on_read_error(const boost::system::error_code& error);
  void on_half_close();
  void probe();
  void parse(std::string_view bytes);
  size_t parse_some(std::string_view bytes);
  bool check_head();
  void hand_over();
  // unread: what the parser has not taken.
  void refuse(const ApiError& error, std::string_view unread = {});
  void refuse_read(const boost::system::error_code& error, std::string_view unread);
  // Not a request: counted and logged.
  void note(net::Refusal refusal, const std::string& why);
  void answer_done();
  void linger();
  void client_gone();
  void close_now();

  void append_head(int status, const std::string& content_type, std::optional<size_t> length,
                   const std::vector<std::pair<std::string, std::string>>& headers);
  void flush_later();
  size_t unsent_bytes() const { return queue_.size() - sent_; }
  void set_read_deadline(std::chrono::milliseconds wait);

  ServerReactor& reactor_;
  uint64_t id_ = 0;
  ClientSocket client_;
  std::atomic<bool> closed_{false};
  Clock::time_point read_deadline_{};   // zero = none
  Clock::time_point write_deadline_{};  // zero = none

  Phase phase_ = Phase::kIdle;
  bool watching_ = false;  // waits for the socket to be readable
  std::string unparsed_;   // bytes of a request that is not complete, and of those behind it
  std::unique_ptr<Parser> parser_;
  std::string path_;
  std::string request_id_;  // of the request being read or answered
  uint64_t request_ = 0;
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool head_only_ = false;  // HEAD
  bool streaming_ = false;  // begin_stream() was called
  bool answered_ = false;   // all of the answer is in the queue
  bool close_when_sent_ = false;
  bool input_ended_ = false;  // the client has half-closed its end
  std::function<void()> disconnect_;

  std::string queue_;  // to be sent from sent_ on
  size_t sent_ = 0;
  bool flush_waits_ = false;  // flush() will be called
  bool blocked_ = false;      // waits for the client to take more
};

ResponderPtr make_responder(const std::shared_ptr<Session>& session, uint64_t request);

}  // namespace switchyard::frontend
