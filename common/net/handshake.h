// The handshake as a state machine without sockets: both ends prove that they know the secret, and neither reveals it.
//
//   client: Hello      (version, who, 32 random bytes)
//   server: HelloReply (version, who, 32 random bytes, HMAC-SHA256(secret, "server" | client nonce | server nonce |
//                       binding)), or an error
//   client: HelloProof (HMAC-SHA256(secret, "client" | client nonce | server nonce | binding))
//   server: HelloDone
// The labels differ, so that a proof cannot be played back in the other direction; the nonces are fresh, so that it
// cannot be played back later. Over TLS the binding is what this one connection has (channel_binding() in tls.h), so
// that somebody in the middle with a good certificate cannot pass proofs on; over plain TCP there is none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/net/net.h"
#include "common/net/refusals.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::net {

inline constexpr size_t kNonceBytes = 32;
inline constexpr size_t kProofBytes = 32;

// HMAC-SHA256(secret, label | client_nonce | server_nonce).
std::string proof_of(std::string_view secret, std::string_view label, std::string_view client_nonce,
                     std::string_view server_nonce);
// In time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);
const char* role_name(wire::Role role);  // "worker"

class Handshake {
 public:
  // What to do after a frame: send `send` if set; then, with an error, close; with done, the peer is who it says.
  struct Step {
    std::optional<wire::Frame> send;
    std::optional<Error> error;
    Refusal refusal = Refusal::kNotAHandshake;  // of the error
    bool done = false;
  };

  // The references must outlive the handshake.
  static Handshake client(const Identity& self, const std::string& secret, uint32_t version) {
    return Handshake(self, secret, version, State::kClientStart);
  }
  static Handshake server(const Identity& self, const std::string& secret, uint32_t version) {
    return Handshake(self, secret, version, State::kServerWaitsHello);
  }

  // Before the first frame.
  void bind(std::string channel) { binding_ = std::move(channel); }
  // Client: its first frame. Server: nothing.
  std::optional<wire::Frame> start();
  Step receive(const wire::Frame& frame);

  // Role, name, pid and host as far as the peer has told.
  const Peer& peer() const { return peer_; }
  // What it waits for, for the message of a missed deadline.
  const char* waiting_for() const;

 private:
  enum class State { kClientStart, kClientWaitsReply, kClientWaitsDone, kServerWaitsHello, kServerWaitsProof, kOver };

  Handshake(const Identity& self, const std::string& secret, uint32_t version, State state)
      : self_(&self), secret_(&secret), version_(version), state_(state) {}

  Step on_hello(const wire::Hello& hello);
  Step on_reply(const wire::HelloReply& reply);
  Step on_proof(const wire::HelloProof& given);
  Step on_done(const wire::HelloDone& done);
  std::string version_mismatch(uint32_t theirs) const;
  std::string proof(std::string_view label) const;

  const Identity* self_;
  const std::string* secret_;
  uint32_t version_;
  State state_;
  std::string client_nonce_, server_nonce_, binding_;
  Peer peer_{};
};

}  // namespace switchyard::net
