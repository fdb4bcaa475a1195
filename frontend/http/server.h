// The HTTP/1.1 server: reads requests within limits and deadlines, hands them to a RequestHandler, sends what its
// Responders say.
//
// One reactor thread a core. One of them accepts, and gives each connection to the reactor with the fewest; from then
// on the connection lives there alone. (SO_REUSEPORT would accept on all of them, but deals by a hash: few long streams
// end up on few cores, and a second process on the same port goes unnoticed.)
//
// One connection carries one request at a time; up to 64 KiB of pipelined ones wait in its buffer, the rest in the
// network. While an answer is in the making the socket is still read, so that a client that leaves is noticed at once.
// One that only half-closes its end gets its answers, and then the connection is closed.
//
// Limits: connections, head and body size, time for a head, for a body, between requests and for taking what is sent,
// unread output. Whoever breaks one gets 408, 413, 431 or 503 if it is still able to read, and is closed. Connections
// for which the process has no open file left wait in the kernel until others close (open_files.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/net/refusals.h"
#include "common/net/tls.h"
#include "frontend/http/http.h"

namespace switchyard::frontend {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;     // 0 = any free one
  uint32_t threads = 1;  // reactors; 0 = one for each core that the process may use
  uint32_t connections_max = 10000;
  uint64_t body_bytes_max = 10U << 20;
  uint32_t head_bytes_max = 32U << 10;
  std::chrono::milliseconds head_timeout{10000};   // from accept or a request's first byte to the end of its head
  std::chrono::milliseconds body_timeout{60000};   // from the head to the end of the body
  std::chrono::milliseconds idle_timeout{75000};   // between requests
  std::chrono::milliseconds write_timeout{60000};  // no byte was taken for so long
  std::chrono::milliseconds linger{5000};          // reading on after a refusal, so that the client sees it
  uint64_t unsent_bytes_max = 16U << 20;           // a connection, beyond what one respond() brings
  net::TlsPtr tls = {};                            // null = plain; head_timeout is the handshake's as well
  std::shared_ptr<net::Refusals> refusals = {};  // of connections that end before their first request; null = uncounted
};

class HttpServer {
 public:
  // Listens and serves on threads of its own. handler must outlive the server. kIo when the address cannot be had.
  static Result<std::unique_ptr<HttpServer>> start(const ServerOptions& options, RequestHandler& handler);
  virtual ~HttpServer() = default;  // stops

  virtual uint16_t port() const = 0;
  virtual uint32_t connection_count() const = 0;
  // From now on every answer closes its connection, idle connections are closed. New connections are still accepted, so
  // that they get an answer.
  virtual void begin_drain() = 0;
  // Closes everything and joins the threads. Outstanding on_disconnect callbacks run before it returns. Not from a
  // server thread.
  virtual void stop() = 0;
};

}  // namespace switchyard::frontend
