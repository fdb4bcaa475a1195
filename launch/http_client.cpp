#include "launch/http_client.h"

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url.hpp>

#include "common/net/maybe_tls_stream.h"
#include "common/net/tls.h"

namespace switchyard::launch {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint64_t kMaxAnswerBytes = 256 << 20;

// One connection, used from one thread: each step starts an asynchronous operation and waits for it under the deadline.
class Connection {
 public:
  Connection(const HttpRequest& request, SSL* tls, std::function<bool()> is_stopped)
      : deadline_(Clock::now() + request.deadline),
        is_stopped_(std::move(is_stopped)),
        stream_(beast::tcp_stream(context_), tls) {}

  Status open(const Url& url) {
    asio::ip::tcp::resolver resolver(context_);
    beast::error_code ec;
    const auto addresses = resolver.resolve(url.host, std::to_string(url.port), ec);
    if (ec) return failed(url, ec);
    SWITCHYARD_TRY(step(ec, [&](auto done) {
      stream_.next().async_connect(addresses, [done](beast::error_code e, const auto&) { done(e); });
    }));
    if (ec) return failed(url, ec);
    SWITCHYARD_TRY(
        step(ec, [&](auto done) { stream_.async_handshake(false, [done](beast::error_code e) { done(e); }); }));
    if (ec) return Error{Errc::kPeerLost, fmt::format("{}: TLS: {}", address_of(url), why(ec))};
    return {};
  }

  // Runs one operation to its end. start gets the handler to call with the operation's error.
  template <typename Start>
  Status step(beast::error_code& ec, Start start) {
    bool ended = false;
    start([&](beast::error_code e) {
      ec = e;
      ended = true;
    });
    context_.restart();
    while (!ended) {
      context_.run_for(milliseconds(100));
      const bool stopped = is_stopped_ && is_stopped_();
      if (ended) break;
      if (stopped || Clock::now() >= deadline_) {
        beast::error_code ignored;
        stream_.next().socket().close(ignored);
        while (!ended && context_.run_one() > 0) {  // the handler refers to this frame
        }
        return Error{Errc::kTimeout, stopped ? "stopped" : "no answer in time"};
      }
    }
    return {};
  }

  static Error failed(const Url& url, const beast::error_code& ec) {
    return {Errc::kPeerLost, fmt::format("{}: {}", address_of(url), ec.message())};
  }

  net::MaybeTlsStream<beast::tcp_stream>& stream() { return stream_; }
  // Each piece of a stream moves it on: an answer may take as long as it likes while it comes.
  void extend(milliseconds by) { deadline_ = Clock::now() + by; }

 private:
  static std::string address_of(const Url& url) { return url_text(url.host, url.port, url.tls != nullptr); }
  // "certificate verify failed" alone does not say what a person can do about it.
  std::string why(const beast::error_code& ec) {
    const long verdict = SSL_get_verify_result(stream_.ssl());
    if (verdict == X509_V_OK) return ec.message();
    return fmt::format("{} ({}); --ca-file says whom to trust", ec.message(), X509_verify_cert_error_string(verdict));
  }

  Clock::time_point deadline_;
  std::function<bool()> is_stopped_;
  asio::io_context context_;
  net::MaybeTlsStream<beast::tcp_stream> stream_;
};

Result<HttpAnswer> exchange(const Url& url, const HttpRequest& wanted,
                            const std::function<bool(std::string_view)>* on_event,
                            const std::function<bool()>& is_stopped) {
  try {
    Connection connection(wanted, url.tls ? url.tls->connect(url.host) : nullptr, is_stopped);
    SWITCHYARD_TRY(connection.open(url));
    http::request<http::string_body> request(http::string_to_verb(wanted.method), url.prefix + wanted.target, 11);
    request.set(http::field::host, fmt::format("{}:{}", url.host, url.port));
    request.set(http::field::user_agent, "switchyard");
    request.set(http::field::connection, "close");
    if (!wanted.bearer.empty()) request.set(http::field::authorization, "Bearer " + wanted.bearer);
    if (!wanted.body.empty()) {
      request.set(http::field::content_type, "application/json");
      request.body() = wanted.body;
    }
    request.prepare_payload();
    beast::error_code ec;
    SWITCHYARD_TRY(connection.step(ec, [&](auto done) {
      http::async_write(connection.stream(), request, [done](beast::error_code e, size_t) { done(e); });
    }));
    if (ec) return Connection::failed(url, ec);

    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswerBytes);
    SWITCHYARD_TRY(connection.step(ec, [&](auto done) {
      http::async_read_header(connection.stream(), buffer, parser, [done](beast::error_code e, size_t) { done(e); });
    }));
    if (ec) return Connection::failed(url, ec);
    HttpAnswer answer;
    answer.status = parser.get().result_int();
    const bool has_events =
        on_event != nullptr && parser.get()[http::field::content_type].starts_with("text/event-stream");
    std::string pending;
    while (!parser.is_done()) {
      SWITCHYARD_TRY(connection.step(ec, [&](auto done) {
        http::async_read_some(connection.stream(), buffer, parser, [done](beast::error_code e, size_t) { done(e); });
      }));
      if (ec) return Connection::failed(url, ec);
      if (!has_events) continue;
      connection.extend(wanted.deadline);
      pending += parser.get().body();
      parser.get().body().clear();
      size_t begin = 0;
      for (size_t end; (end = pending.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string_view line(pending.data() + begin, end - begin);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.starts_with("data:")) continue;
        line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
        if (!(*on_event)(line)) return answer;
      }
      pending.erase(0, begin);
    }
    answer.body = parser.get().body();
    return answer;
  } catch (const std::exception& e) {  // Asio and Beast throw where a handler cannot be told, and on bad_alloc
    return Error{Errc::kIo, e.what()};
  }
}

}  // namespace

Result<Url> parse_url(std::string_view text, const Trust& trust) {
  std::string full(text);
  if (full.find("://") == std::string::npos) full = "http://" + full;
  const auto parsed = boost::urls::parse_uri(full);
  if (parsed.has_error() || parsed->host().empty()) {
    return Error{Errc::kInvalid, fmt::format("'{}' is not a URL like http://127.0.0.1:8000", text)};
  }
  if (parsed->scheme() != "http" && parsed->scheme() != "https")
    return Error{Errc::kInvalid, fmt::format("'{}': only http and https are spoken", text)};
  Url url;
  if (parsed->scheme() == "https") {
    SWITCHYARD_ASSIGN(url.tls, net::Tls::client({"", "", trust.ca_file, {"", "", "--ca-file"}}, !trust.insecure));
  }
  url.host = std::string(parsed->encoded_host());
  if (url.host.starts_with('[') && url.host.ends_with(']')) url.host = url.host.substr(1, url.host.size() - 2);
  url.port = parsed->has_port() && parsed->port_number() != 0 ? parsed->port_number() : uint16_t(url.tls ? 443 : 80);
  url.prefix = std::string(parsed->encoded_path());
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  return url;
}

std::string url_text(const std::string& host, uint16_t port, bool tls) {
  const char* scheme = tls ? "https" : "http";
  return host.find(':') == std::string::npos ? fmt::format("{}://{}:{}", scheme, host, port)
                                             : fmt::format("{}://[{}]:{}", scheme, host, port);
}

std::string reachable_host(const std::string& listen_host) {
  if (listen_host == "0.0.0.0") return "127.0.0.1";
  return listen_host == "::" ? "::1" : listen_host;
}

Result<HttpAnswer> http_request(const Url& url, const HttpRequest& request) {
  return exchange(url, request, nullptr, {});
}

Result<HttpAnswer> http_events(const Url& url, const HttpRequest& request,
                               const std::function<bool(std::string_view data)>& on_event,
                               const std::function<bool()>& is_stopped) {
  return exchange(url, request, &on_event, is_stopped);
}

}  // namespace switchyard::launch
