// Frames of common/wire/switchyard.proto over TCP, between processes that prove to each other that they know the
// cluster's secret.
//
// One Service is one thread with an event loop. It listens, connects (again and again, if told so), shakes hands, and
// calls Handlers with frames of authenticated peers only. A peer that does not shake hands properly and in time is
// refused and logged; users never see it.
//
//   auto service = net::Service::start({wire::ROLE_WORKER, "worker 2"}, secret);
//   net::Handlers handlers;
//   handlers.on_frame = [](const net::ConnectionPtr& from, wire::Frame& frame) { ... from->send(answer); };
//   auto port = (*service)->listen("127.0.0.1", 0, handlers);
//   (*service)->connect("127.0.0.1", coordinator_port, handlers);
//
// On the wire: a 4-byte little-endian length, then that many bytes of one wire::Frame.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"

// So that a user pays for protobuf and Asio only where it looks inside a frame.
namespace switchyard::wire {
class Frame;
enum Role : int;
}  // namespace switchyard::wire
namespace boost::asio {
class io_context;
}

namespace switchyard::net {

class Refusals;
class Tls;

inline constexpr uint32_t kProtocolVersion = 1;

// Who this process is, as its peers' logs show it.
struct Identity {
  wire::Role role;
  std::string name;  // "worker 2"
};

// Who is at the other end. What the peer said of itself is cut to 256 printable characters.
struct Peer {
  wire::Role role;
  std::string name;
  int64_t pid = 0;      // 0 where we connected (a server does not tell)
  std::string host;     // the peer's own name for its machine; where we connected, the host we asked for
  std::string address;  // "127.0.0.1:41234"
};

// One authenticated connection. Thread: any, for all members.
class Connection {
 public:
  virtual ~Connection() = default;

  // Queues a frame; never blocks. Frames of one thread arrive in order. False: not queued, because the connection is
  // closed, the frame is over frame_bytes_max (logged), or the queue is full; a full queue also ends the connection,
  // with kOverloaded: a peer that does not read must not cost memory, and one that misses a frame is worse than one
  // that is gone.
  virtual bool send(const wire::Frame& frame) = 0;
  // Sends what is queued (for at most one second), then closes. on_close follows; a connect() with reconnect ends too.
  virtual void close() = 0;
  virtual bool closed() const = 0;

  virtual const Peer& peer() const = 0;
  virtual uint64_t id() const = 0;          // unique in this Service
  virtual size_t queued_bytes() const = 0;  // waiting to be sent
};

using ConnectionPtr = std::shared_ptr<Connection>;

// Called on the net thread; must not block. For each connection: on_open once, then on_frame any number of times, then
// on_close once. Any of them may be empty. A frame may be moved from. Ping is answered by the Service itself and not
// handed on.
struct Handlers {
  std::function<void(const ConnectionPtr&)> on_open;
  std::function<void(const ConnectionPtr&, wire::Frame&)> on_frame;
  // kPeerLost: the other end is gone. kOverloaded: it did not read. kTooLarge, kInvalid: it sent nonsense.
  // kUnavailable: closed from here.
  std::function<void(const ConnectionPtr&, const Error&)> on_close;
  // connect() only: one attempt failed (nobody listens, wrong secret, other version). With reconnect, the next attempt
  // follows.
  std::function<void(const Error&)> on_connect_failed;
};

// After a failed attempt or a lost connection: wait, try again; the wait doubles from first_wait to longest_wait, and
// starts over after a connection that held for longest_wait.
struct ReconnectPolicy {
  bool reconnect = true;
  std::chrono::milliseconds first_wait{50};
  std::chrono::milliseconds longest_wait{1000};
};

struct Options {
  size_t frame_bytes_max = 64U << 20;            // in both directions
  size_t handshake_frame_bytes_max = 64U << 10;  // before the peer is known
  size_t send_queue_bytes_max = 128U << 20;      // a connection
  std::chrono::milliseconds handshake_deadline{
      5000};                            // from accept, or from the start of connecting, to the end of the handshake
  size_t half_open_max = 256;           // accepted and not yet authenticated; over it the oldest one is dropped
  std::shared_ptr<const Tls> tls = {};  // Tls::mutual(), for all connections; null = plain TCP
  uint32_t protocol_version = kProtocolVersion;  // tests only
};

class Service {
 public:
  Service();
  using Id = uint64_t;
  using Milliseconds = std::chrono::milliseconds;

  // Starts the net thread. secret: not empty (load_secret()).
  static Result<std::unique_ptr<Service>> start(Identity identity, std::string secret, Options options = {});
  virtual ~Service() = default;  // stops

  // Listens; port 0 = any free one. Returns the port. kIo when the address cannot be had. Any thread; blocks for a name
  // look-up only.
  virtual Result<uint16_t> listen(const std::string& host, uint16_t port, Handlers handlers) = 0;
  // Ends the listening on a port; its open connections stay.
  virtual void stop_listening(uint16_t port) = 0;

  // Connects in the background. The id is for disconnect(). Any thread; never blocks.
  virtual Id connect(const std::string& host, uint16_t port, Handlers handlers, ReconnectPolicy policy = {}) = 0;
  // Ends a connect(): its connection is closed (as Connection::close()), no further attempts are made.
  virtual void disconnect(Id connector) = 0;

  // Runs a function on the net thread, in the order of the calls.
  virtual void post(std::function<void()> function) = 0;
  // Runs a function on the net thread, once after / every so often. The id is for cancel().
  virtual Id after(Milliseconds delay, std::function<void()> function) = 0;
  virtual Id every(Milliseconds interval, std::function<void()> function) = 0;
  // On the net thread: the function is not called any more. Elsewhere it may be running just now.
  virtual void cancel(Id timer) = 0;

  // Sends what is queued (for at most half a second), closes everything and ends the thread. When it returns no handler
  // runs or will run, and all handlers are destroyed; on_close is not called for connections that end here. Again: does
  // nothing. Not from the net thread.
  virtual void stop() = 0;

  // What was refused here; other ports of the process may count theirs in it too. Any thread; lives as long as it is
  // held.
  std::shared_ptr<Refusals> refusals() const { return refusals_; }
  // True on the net thread.
  virtual bool on_net_thread() const = 0;
  // The event loop, for other protocols on the same thread (the coordinator's HTTP).
  virtual boost::asio::io_context& io_context() = 0;

 private:
  const std::shared_ptr<Refusals> refusals_;
};

// 32 random bytes as 64 hexadecimal characters.
std::string make_secret();
// A file's text without trailing white space. Refused: a file that others than its owner can read or write (mode &
// 077), an empty one, one of more than 4 KiB.
Result<std::string> load_secret(const std::string& file);

// The same for a file of another kind, which `what` names in errors ("admin key file"), without cutting or refusing its
// text.
Result<std::string> read_private_file(const std::string& what, const std::string& file, size_t bytes_max);
// SHA-256, 32 bytes: for comparing keys in time that tells neither what they begin with nor how long they are.
std::string digest_of(std::string_view text);

// This machine's name, as Hello carries it.
std::string host_name();

}  // namespace switchyard::net
