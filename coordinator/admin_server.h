// A small HTTP/1.1 server for people, scripts and Prometheus.
//
// Thread: the handler runs on the given event loop's thread and must not block. Bounded: header and body bytes, time
// per request, and connections: over their limit the one whose request has been waited for longest is dropped for the
// new one (Refusal::kHalfOpenLimit).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"

namespace boost::asio {
class io_context;
}
namespace switchyard::net {
class Refusals;
class Tls;
}  // namespace switchyard::net

namespace switchyard::coordinator {

struct AdminRequest {
  bool is_post = false;  // else GET or HEAD; others are not handed on
  std::string path;      // without the query
  std::string body;
};
struct AdminReply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
};

// OpenAI's error shape.
AdminReply admin_error(unsigned status, const std::string& message, const std::string& code);

struct AdminSecurity {
  std::shared_ptr<const net::Tls> tls = {};      // null = plain
  std::shared_ptr<net::Refusals> refusals = {};  // null = uncounted
};

class AdminServer {
 public:
  using Handler = std::function<AdminReply(const AdminRequest& request)>;

  // Port 0 = any free one. api_key: if not empty, all paths but /health want "Authorization: Bearer KEY" and answer 401
  // without. Call before the loop's thread can be in the handler's data, or from that thread.
  static Result<std::unique_ptr<AdminServer>> start(boost::asio::io_context& io, const std::string& host, uint16_t port,
                                                    const std::string& api_key, Handler handler,
                                                    AdminSecurity security = {});
  virtual ~AdminServer() = default;
  virtual uint16_t port() const = 0;
  // Closes everything; the handler is not called any more. On the loop's thread, or when that has ended.
  virtual void stop() = 0;
};

}  // namespace switchyard::coordinator
