// The transport between ranks over TCP of their own: one socket a pair, which says at once when a rank has died. A new
// epoch makes new sockets, so any members can go on together: those that are left, or those with one that came back.
//
// Who connects: the rank with the higher index of the epoch's members. First TLS, if the cluster has it; then messages
// of fixed sizes:
//   Hello  (connects)  magic, version, epoch, its contents, from, to, 32 random bytes
//   Reply  (accepts)   32 random bytes, HMAC-SHA256(secret, "exchange accepts" | what Hello says | binding | nonces)
//   Proof  (connects)  HMAC-SHA256(secret, "exchange connects" | what Hello says | binding | nonces)
// The binding is TLS's for this one connection (common/net/tls.h). A Hello of another epoch is closed; whoever sent it
// tries again, and until then one of the two learns of the other's. After the handshake the stream carries what the
// calls carry: both sides know the sizes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/net/refusals.h"
#include "worker/exchange/transport.h"

namespace switchyard::net {
class Tls;
}

namespace switchyard::worker {

// Whom a rank lets in.
struct TcpTrust {
  std::string secret;
  std::shared_ptr<const net::Tls> tls = {};      // Tls::mutual(); null = plain TCP
  std::shared_ptr<net::Refusals> refusals = {};  // null = uncounted
};

// Where a rank waits for the others. Strangers cost it a file and a few bytes each, of which it keeps at most 64.
class TcpListener {
 public:
  // Port 0: any free one.
  static Result<TcpListener> open(const std::string& host, uint16_t port);
  ~TcpListener();
  TcpListener(TcpListener&& other) noexcept;
  TcpListener& operator=(TcpListener&& other) = delete;

  uint16_t port() const { return port_; }
  int file() const { return file_; }

 private:
  TcpListener() = default;
  int file_ = -1;
  uint16_t port_ = 0;
};

struct TcpMember {
  std::string host;  // a name or an address
  uint16_t port = 0;
};

// members: of the epoch, in order; rank: this one's index among them. Collective and blocking: kTimeout names who is
// not there within deadline_ms (which then bounds every call as well), kUnavailable when the epoch is over.
Result<std::unique_ptr<Transport>> make_tcp_transport(TcpListener& listener, const std::vector<TcpMember>& members,
                                                      uint32_t rank, const TcpTrust& trust, uint32_t deadline_ms,
                                                      Epoch epoch = {});

}  // namespace switchyard::worker
