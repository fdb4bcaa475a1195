// HTTP as the API sees it: a request that is there as a whole, and a Responder for its one answer. No Beast in sight.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace switchyard::frontend {

struct HttpRequest {
  std::string method;         // "GET"
  std::string path;           // without the query
  std::string query;          // behind '?'
  std::string authorization;  // the header's value; "" = absent
  std::string if_none_match;  // likewise
  std::string api_key;        // of the header X-Api-Key; "" = absent
  bool comes_again = false;  // the header x-stainless-retry-count, which OpenAI's and Anthropic's SDKs send, is above 0
  std::string request_id;    // as the answer's X-Request-Id says; never ""
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;  // of a 304 its length alone is sent, as RFC 9110, section 8.6, has it
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string why_refused = {};  // for the log
};

// A thread of the server with the connections that are its own. Nothing of one is shared with another.
class Reactor {
 public:
  // Any thread: runs the function on the reactor's thread, in the order of the calls; not after the server has stopped.
  // What is written to connections while functions wait goes out behind the last of them, once for each connection.
  // There is no limit but its callers': what waits is one function a connection, and the outputs that admitted requests
  // may still get, 230 bytes a token (580 with 20 log-probabilities): 94 MB if a reactor stood still while 4096
  // sequences got 100 tokens each.
  virtual void post(std::function<void()> function) = 0;

 protected:
  ~Reactor() = default;
};

// The answer to one request: respond() once, or begin_stream(), write() any number of times, end_stream().
//
// Thread: everything but post() and reactor() only on the connection's reactor: from functions that post() runs, and
// from RequestHandler::handle(). Nothing blocks. After the client has left, calls do nothing. A Responder that is
// destroyed without an answer sends 500.
class Responder {
 public:
  virtual ~Responder() = default;

  // A header of the answer, whichever way it goes.
  virtual void add_header(std::string name, std::string value) = 0;
  virtual void respond(HttpResponse response) = 0;

  virtual void begin_stream(std::string content_type) = 0;
  virtual void write(std::string_view data) = 0;
  virtual void end_stream() = 0;

  // Called once, if the client leaves (or reads so slowly that it is dropped) before the answer is complete.
  virtual void on_disconnect(std::function<void()> callback) = 0;
  // Any thread: runs the function where the calls above are allowed, if the connection is still there.
  virtual void post(std::function<void()> function) = 0;
  // Lives as long as the server.
  virtual Reactor& reactor() const = 0;
};

using ResponderPtr = std::shared_ptr<Responder>;

// Whose form an error has (errors.h).
enum class ErrorForm { kOpenAi, kAnthropic };

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // A request is complete. Must not block: an answer that takes longer keeps the responder and comes back by post().
  virtual void handle(HttpRequest request, const ResponderPtr& responder) = 0;
  // Any thread: an answer's status is known. path is "" when the request could not be read.
  virtual void answered(const std::string& path, int status) = 0;
  // Any thread: the form of a path's errors, for requests that are refused before handle() has them. "" = no path
  // known.
  virtual ErrorForm error_form(const std::string& path) const = 0;
};

}  // namespace switchyard::frontend
