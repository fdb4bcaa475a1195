// An HTTP client of plain sockets that can also misbehave: sends any bytes, reads answers piece by piece, leaves when
// told. Nothing of it comes from the code under test.
//
// Threads: one a client, or one that sends beside one that reads. Blocks, for at most kPatience a read; then the test
// fails by what the read returns.
// Built with SWITCHYARD_HTTP_OVER_TLS, all of it happens over TLS: the same test bodies for both kinds of port.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::frontend {

// For what must come. A machine that is busy with other things can hold a handshake up for longer than ten seconds.
inline constexpr std::chrono::seconds kPatience{60};

struct Answer {
  int status = 0;  // 0: the connection ended, or nothing came in time
  std::string version;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool complete = false;  // all of the body that the head promises

  std::string header(const std::string& name) const;
};

#ifdef SWITCHYARD_HTTP_OVER_TLS
inline constexpr bool kOverTls = true;
#else
inline constexpr bool kOverTls = false;
#endif

class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;

  bool send(std::string_view bytes);  // false: the server does not take them any more
  // The next answer, all of it. head_only: it answers a HEAD.
  Answer read(bool head_only = false);
  // The same in two steps, for streams: the head; then what the stream carries, event by event. nullopt = its end.
  Answer read_head();
  std::optional<std::string> next_event();                       // without "data: "
  const std::string& event_name() const { return event_name_; }  // of the last one; "" = it had none
  bool stream_complete() const { return stream_complete_; }
  // True when the server has closed its end and nothing is left to read.
  bool wait_closed();
  // Interim and other raw bytes, up to and with a mark.
  std::string read_until(std::string_view mark);

  void half_close();  // no more will be sent
  void close();
  void reset();  // as a process that was killed with data unread

 private:
  struct Tls;

  bool fill();
  long receive(char* to, size_t size);
  bool read_chunk(std::string& to);

  int fd_ = -1;
  std::unique_ptr<Tls> tls_;  // null: plain
  std::string buffer_;
  std::string events_;
  std::string event_name_;
  bool chunked_ = false;
  bool stream_complete_ = false;
};

// A request as clients send it, with Content-Length when there is a body.
std::string request_text(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view extra_headers = {});
// One request on a connection of its own.
Answer call(uint16_t port, std::string_view method, std::string_view path, std::string_view body = {},
            std::string_view extra_headers = {});

}  // namespace switchyard::frontend
