// HTTP/1.1 requests of the command line: whole answers, and answers that come as server-sent events.
//
// Thread: any; blocks until the answer is there or the deadline passed. Errors: kPeerLost (nobody answers), kTimeout,
// kInvalid (the URL).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/net/tls.h"

namespace switchyard::launch {

struct Url {
  std::string host;  // without brackets
  uint16_t port = 80;
  std::string prefix;    // path before every target, without a slash at its end
  net::TlsPtr tls = {};  // https; null = http
};

// What a server's certificate must be for https.
struct Trust {
  std::string ca_file;    // PEM of whom to trust, or of the certificate itself; "" = whom the system trusts
  bool insecure = false;  // anything
};

// http[s]://HOST[:PORT][/prefix]; the scheme may be left out.
Result<Url> parse_url(std::string_view text, const Trust& trust = {});
// http://HOST:PORT, with brackets around an IPv6 address.
std::string url_text(const std::string& host, uint16_t port, bool tls = false);
// A listening address as one to connect to: 0.0.0.0 becomes 127.0.0.1.
std::string reachable_host(const std::string& listen_host);

struct HttpRequest {
  std::string method = "GET";
  std::string target;  // "/v1/models"
  std::string body;    // JSON; "" = none
  std::string bearer;  // "" = none
  std::chrono::milliseconds deadline{10000};
};

struct HttpAnswer {
  unsigned status = 0;
  std::string body;  // with events: what was no event, so of an error all of it
};

Result<HttpAnswer> http_request(const Url& url, const HttpRequest& request);

// Calls on_event with the data of each event ("[DONE]" included) until the answer ends or on_event returns false.
// is_stopped is asked some ten times a second; true closes the connection.
Result<HttpAnswer> http_events(const Url& url, const HttpRequest& request,
                               const std::function<bool(std::string_view data)>& on_event,
                               const std::function<bool()>& is_stopped);

}  // namespace switchyard::launch
