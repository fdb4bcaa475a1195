#include "coordinator/admin_server.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <optional>
#include <unordered_set>

#include "common/base/log.h"
#include "common/net/maybe_tls_stream.h"
#include "common/net/net.h"
#include "common/net/tls.h"

namespace switchyard::coordinator {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kHeaderBytesMax = 16U << 10;
constexpr uint64_t kBodyBytesMax = 64U << 10;
constexpr size_t kConnectionsMax = 256;
constexpr std::chrono::seconds kRequestDeadline{10};
constexpr std::chrono::milliseconds kLingerDeadline{1000};
constexpr std::chrono::milliseconds kAcceptRetry{100};

// key_digest: digests have one length, and say nothing of how much of a wrong key was right.
bool authorized(std::string_view header, const std::string& key_digest) {
  constexpr std::string_view kBearer = "bearer ";
  if (header.size() < kBearer.size()) return false;
  if (!beast::iequals({header.data(), kBearer.size()}, {kBearer.data(), kBearer.size()})) return false;
  const std::string given = net::digest_of(header.substr(kBearer.size()));
  return CRYPTO_memcmp(given.data(), key_digest.data(), given.size()) == 0;
}

class Server;

class Session : public std::enable_shared_from_this<Session> {
 public:
  // ssl: null = plain.
  Session(Server& server, tcp::socket socket, SSL* ssl)
      : server_(server), stream_(beast::tcp_stream(std::move(socket)), ssl), buffer_(kHeaderBytesMax) {}
  void start();
  void close() {
    error_code ignored;
    stream_.next().socket().close(ignored);
  }
  // Whose request has been waited for longest has the lowest number; 0 = is being answered.
  uint64_t waits_since() const { return waits_since_; }
  // For newer ones.
  void drop(const std::string& why);

 private:
  void read();
  void read_body();
  void note(net::Refusal refusal, const std::string& why);
  void refuse(const beast::error_code& error);
  void answer();
  void reply(AdminReply reply, bool keep_alive, bool head);
  void half_close();
  void drain();
  void end();

  Server& server_;
  net::MaybeTlsStream<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::array<char, 4096> discarded_{};
  uint64_t waits_since_ = 0;
};

class Server final : public AdminServer {
 public:
  Server(asio::io_context& io, const std::string& api_key, AdminSecurity security, Handler handler)
      : io_(io),
        acceptor_(io),
        retry_(io),
        security_(std::move(security)),
        key_digest_(api_key.empty() ? "" : net::digest_of(api_key)),
        handler_(std::move(handler)) {}
  ~Server() override { stop(); }

  Status listen(const std::string& host, uint16_t port) {
    const auto failure = [&](const error_code& error) {
      return Error{Errc::kIo, fmt::format("coordinator.admin_host, admin_port: cannot listen on {}:{}: {}", host, port,
                                          error.message())};
    };
    error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error) return failure(error);
    if (found.empty()) return failure(asio::error::host_not_found);
    const auto endpoint = found.begin()->endpoint();
    if (acceptor_.open(endpoint.protocol(), error)) return failure(error);
    if (acceptor_.set_option(tcp::acceptor::reuse_address(true), error)) return failure(error);
    if (acceptor_.bind(endpoint, error)) return failure(error);
    if (acceptor_.listen(asio::socket_base::max_listen_connections, error)) return failure(error);
    port_ = acceptor_.local_endpoint(error).port();
    if (error) return failure(error);
    accept();
    return {};
  }

  uint16_t port() const override { return port_; }
  void stop() override {
    *alive_ = false;
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    const auto sessions = std::exchange(sessions_, {});
    for (const auto& session : sessions) session->close();
  }

  AdminReply handle(const AdminRequest& request, std::string_view authorization) const {
    if (!key_digest_.empty() && request.path != "/health" && !authorized(authorization, key_digest_)) {
      return admin_error(401, "A bearer key is needed: Authorization: Bearer KEY, as in coordinator.admin_api_key.",
                         "invalid_api_key");
    }
    return handler_(request);
  }
  const AdminSecurity& security() const { return security_; }
  void ended(const std::shared_ptr<Session>& session) { sessions_.erase(session); }
  uint64_t next_wait() { return ++waits_; }
  // False once stopped. Sessions hold it: their completions may come when the server is gone.
  const std::shared_ptr<bool>& alive() const { return alive_; }

 private:
  void accept() {
    acceptor_.async_accept([this, alive = alive_](const error_code& error, tcp::socket socket) {
      if (!*alive) return;
      if (error) {
        retry_.expires_after(kAcceptRetry);
        retry_.async_wait([this, alive](const error_code& cancelled) {
          if (*alive && !cancelled) accept();
        });
        return;
      }
      accepted(std::move(socket));
      accept();
    });
  }

  // Over the limit the one is dropped that has had the most time for its request: an honest one needs milliseconds.
  void accepted(tcp::socket socket) {
    const auto& tls = security_.tls;
    const auto session = std::make_shared<Session>(*this, std::move(socket), tls ? tls->accept() : nullptr);
    if (sessions_.size() >= kConnectionsMax) {
      const auto oldest = longest_waiting();
      if (!oldest) return session->drop(fmt::format("dropped, {} others are being answered", sessions_.size()));
      oldest->drop(fmt::format("dropped for a newer one, of {} connections", sessions_.size()));
    }
    sessions_.insert(session);
    session->start();
  }

  // Null: all are being answered.
  std::shared_ptr<Session> longest_waiting() const {
    std::shared_ptr<Session> oldest;
    for (const auto& session : sessions_) {
      if (session->waits_since() == 0) continue;
      if (!oldest || session->waits_since() < oldest->waits_since()) oldest = session;
    }
    return oldest;
  }

  asio::io_context& io_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  const AdminSecurity security_;
  const std::string key_digest_;  // "" = no key is asked for
  const Handler handler_;
  uint16_t port_ = 0;
  std::unordered_set<std::shared_ptr<Session>> sessions_;
  uint64_t waits_ = 0;  // that have begun
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void Session::start() {
  waits_since_ = server_.next_wait();
  stream_.next().expires_after(kRequestDeadline);
  stream_.async_handshake(true, [self = shared_from_this(), alive = server_.alive()](const error_code& error) {
    if (!*alive) return;
    if (!error) return self->read();
    if (error == asio::error::operation_aborted) return self->end();  // dropped, and counted
    const bool timeout = error == beast::error::timeout;
    const auto failure = net::tls_failure(
        error.category() == asio::error::get_ssl_category() ? static_cast<unsigned long>(error.value()) : 0);
    self->note(timeout ? net::Refusal::kTimeout : failure.refusal,
               timeout ? "no TLS handshake in time" : "TLS: " + failure.text);
    self->end();
  });
}

void Session::note(net::Refusal refusal, const std::string& why) {
  if (!server_.security().refusals) return;
  error_code error;
  const auto peer = stream_.next().socket().remote_endpoint(error);
  const std::string who = error ? "somebody" : fmt::format("{}:{}", peer.address().to_string(), peer.port());
  server_.security().refusals->add(refusal, fmt::format("{}: admin API: {}", who, why));
}

void Session::drop(const std::string& why) {
  note(net::Refusal::kHalfOpenLimit, why);
  end();
}

void Session::read() {
  waits_since_ = server_.next_wait();
  parser_.emplace();
  parser_->header_limit(kHeaderBytesMax);
  parser_->body_limit(kBodyBytesMax);
  stream_.next().expires_after(kRequestDeadline);
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = shared_from_this(), alive = server_.alive()](const beast::error_code& error, size_t) {
                            if (!*alive) return;
                            if (error) return self->refuse(error);
                            // Beast (1.81) fails an assertion, and with it the process,
                            // on an empty chunked one that comes in parts.
                            if (self->parser_->chunked())
                              return self->reply(admin_error(411, "A body needs a Content-Length.", "length_required"),
                                                 false, false);
                            self->read_body();
                          });
}

void Session::read_body() {
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this(), alive = server_.alive()](const beast::error_code& error, size_t) {
                     if (!*alive) return;
                     if (error) return self->refuse(error);
                     self->answer();
                   });
}

void Session::refuse(const beast::error_code& error) {
  if (error == http::error::body_limit || error == http::error::header_limit || error == http::error::buffer_overflow)
    note(net::Refusal::kOversized, error.message());
  if (error == http::error::body_limit)
    return reply(admin_error(413, "The body is too large.", "too_large"), false, false);
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return reply(admin_error(431, "The header is too large.", "too_large"), false, false);
  // A stranger's bytes are answered; a peer that is gone or slow is not.
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    note(net::Refusal::kNotAHandshake, "not HTTP: " + error.message());
    return reply(admin_error(400, "This is not HTTP: " + error.message(), "bad_request"), false, false);
  }
  end();
}

void Session::answer() {
  const auto& request = parser_->get();
  const bool head = request.method() == http::verb::head;
  AdminRequest asked{request.method() == http::verb::post, std::string(request.target()), request.body()};
  asked.path.resize(std::min(asked.path.find('?'), asked.path.size()));
  const auto authorization = request[http::field::authorization];
  AdminReply answer;
  if (request.method() != http::verb::get && !head && !asked.is_post) {
    answer = admin_error(405, "Only GET and POST are answered here.", "method_not_allowed");
  } else {
    answer = server_.handle(asked, {authorization.data(), authorization.size()});
  }
  reply(std::move(answer), request.keep_alive(), head);
}

void Session::reply(AdminReply answer, bool keep_alive, bool head) {
  waits_since_ = 0;
  auto& response = response_.emplace(http::int_to_status(answer.status), 11);
  response.set(http::field::server, "switchyard-coordinator");
  response.set(http::field::content_type, answer.content_type);
  if (answer.status == 401) response.set(http::field::www_authenticate, "Bearer");
  if (answer.status == 405) response.set(http::field::allow, "GET, HEAD, POST");
  response.keep_alive(keep_alive);
  response.content_length(answer.body.size());
  if (!head) response.body() = std::move(answer.body);
  stream_.next().expires_after(kRequestDeadline);
  http::async_write(
      stream_, response,
      [self = shared_from_this(), alive = server_.alive(), keep_alive](const beast::error_code& error, size_t) {
        if (!*alive) return;
        if (error) return self->end();
        if (!keep_alive) return self->half_close();
        self->read();
      });
}

// Closing while the client still sends would reset the connection, and the client might never see the answer.
void Session::half_close() {
  error_code error;
  stream_.next().socket().shutdown(tcp::socket::shutdown_send, error);
  if (error) return end();
  waits_since_ = server_.next_wait();  // answered: it makes room as well
  stream_.next().expires_after(kLingerDeadline);
  drain();
}

void Session::drain() {
  stream_.async_read_some(asio::buffer(discarded_),
                          [self = shared_from_this(), alive = server_.alive()](const beast::error_code& error, size_t) {
                            if (!*alive) return;
                            if (error) return self->end();
                            self->drain();
                          });
}

void Session::end() {
  const auto self = shared_from_this();
  error_code ignored;
  stream_.next().socket().shutdown(tcp::socket::shutdown_both, ignored);
  close();
  server_.ended(self);
}

}  // namespace

AdminReply admin_error(unsigned status, const std::string& message, const std::string& code) {
  boost::json::object error;
  error["message"] = message;
  error["type"] = status >= 500 ? "server_error" : "invalid_request_error";
  error["param"] = nullptr;
  error["code"] = code;
  return {status, "application/json", boost::json::serialize(boost::json::object{{"error", std::move(error)}})};
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(asio::io_context& io, const std::string& host, uint16_t port,
                                                        const std::string& api_key, Handler handler,
                                                        AdminSecurity security) {
  auto server = std::make_unique<Server>(io, api_key, std::move(security), std::move(handler));
  SWITCHYARD_TRY(server->listen(host, port));
  return std::unique_ptr<AdminServer>(std::move(server));
}

}  // namespace switchyard::coordinator
