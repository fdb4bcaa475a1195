#include "common/net/handshake.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>

#include "common/base/printable.h"

namespace switchyard::net {
namespace {

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  // Without entropy there is no safe way on.
  SWITCHYARD_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

Handshake::Step refuse(Errc code, std::string message, Refusal refusal = Refusal::kNotAHandshake) {
  Handshake::Step step;
  step.refusal = refusal;
  step.error = Error{code, std::move(message)};
  return step;
}

}  // namespace

std::string proof_of(std::string_view secret, std::string_view label, std::string_view client_nonce,
                     std::string_view server_nonce) {
  std::string message;
  message.append(label).append(client_nonce).append(server_nonce);
  std::string out(kProofBytes, '\0');
  unsigned int length = 0;
  const auto* done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          reinterpret_cast<unsigned char*>(out.data()), &length);
  SWITCHYARD_CHECK(done != nullptr && length == kProofBytes);
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

const char* role_name(wire::Role role) {
  switch (role) {
    case wire::ROLE_COORDINATOR: return "coordinator";
    case wire::ROLE_WORKER: return "worker";
    case wire::ROLE_FRONTEND: return "frontend";
    case wire::ROLE_LAUNCHER: return "launcher";
    case wire::ROLE_CLI: return "cli";
    default: return "unknown";
  }
}

const char* Handshake::waiting_for() const {
  switch (state_) {
    case State::kClientStart: return "Hello to be sent";
    case State::kClientWaitsReply: return "HelloReply";
    case State::kClientWaitsDone: return "HelloDone";
    case State::kServerWaitsHello: return "Hello";
    case State::kServerWaitsProof: return "HelloProof (does the peer know the cluster's secret?)";
    case State::kOver: return "nothing";
  }
  return "nothing";
}

std::optional<wire::Frame> Handshake::start() {
  if (state_ != State::kClientStart) return std::nullopt;
  client_nonce_ = random_bytes(kNonceBytes);
  wire::Frame frame;
  auto& hello = *frame.mutable_hello();
  hello.set_version(version_);
  hello.set_role(self_->role);
  hello.set_name(self_->name);
  hello.set_nonce(client_nonce_);
  hello.set_pid(getpid());
  hello.set_host(host_name());
  state_ = State::kClientWaitsReply;
  return frame;
}

Handshake::Step Handshake::receive(const wire::Frame& frame) {
  switch (state_) {
    case State::kServerWaitsHello:
      if (frame.has_hello()) return on_hello(frame.hello());
      break;
    case State::kServerWaitsProof:
      if (frame.has_hello_proof()) return on_proof(frame.hello_proof());
      break;
    case State::kClientWaitsReply:
      if (frame.has_hello_reply()) return on_reply(frame.hello_reply());
      break;
    case State::kClientWaitsDone:
      if (frame.has_hello_done()) return on_done(frame.hello_done());
      break;
    default: break;
  }
  const auto message =
      fmt::format("handshake: frame {} instead of {}", static_cast<int>(frame.body_case()), waiting_for());
  state_ = State::kOver;
  return refuse(Errc::kInvalid, message);
}

std::string Handshake::version_mismatch(uint32_t theirs) const {
  return fmt::format("protocol versions differ: {} speaks {}, {} speaks {}", self_->name, version_, peer_.name, theirs);
}

std::string Handshake::proof(std::string_view label) const {
  return proof_of(*secret_, label, client_nonce_, server_nonce_ + binding_);
}

Handshake::Step Handshake::on_hello(const wire::Hello& hello) {
  state_ = State::kOver;
  peer_.role = hello.role();
  peer_.name = printable(hello.name());
  peer_.pid = hello.pid();
  peer_.host = printable(hello.host());

  Step step;
  auto& reply = *step.send.emplace().mutable_hello_reply();
  reply.set_version(version_);
  reply.set_role(self_->role);
  reply.set_name(self_->name);
  if (hello.version() != version_) {
    step.error = Error{Errc::kInvalid, version_mismatch(hello.version())};
    step.refusal = Refusal::kBadVersion;
  } else if (hello.nonce().size() != kNonceBytes) {
    step.error = Error{Errc::kInvalid,
                       fmt::format("handshake: a nonce of {} bytes instead of {}", hello.nonce().size(), kNonceBytes)};
  }
  if (step.error) {
    reply.set_error(step.error->message);
    return step;
  }
  client_nonce_ = hello.nonce();
  server_nonce_ = random_bytes(kNonceBytes);
  reply.set_nonce(server_nonce_);
  reply.set_proof(proof("server"));
  state_ = State::kServerWaitsProof;
  return step;
}

Handshake::Step Handshake::on_reply(const wire::HelloReply& reply) {
  state_ = State::kOver;
  peer_.role = reply.role();
  peer_.name = printable(reply.name());
  if (reply.version() != version_)
    return refuse(Errc::kInvalid, version_mismatch(reply.version()), Refusal::kBadVersion);
  if (!reply.error().empty()) return refuse(Errc::kUnauthorized, "refused: " + printable(reply.error()));
  if (reply.nonce().size() != kNonceBytes) return refuse(Errc::kInvalid, "handshake: HelloReply without a nonce");
  server_nonce_ = reply.nonce();
  if (!equal_in_constant_time(reply.proof(), proof("server"))) {
    return refuse(Errc::kUnauthorized, fmt::format("{} does not know the cluster's secret", peer_.name),
                  Refusal::kBadProof);
  }
  Step step;
  step.send.emplace().mutable_hello_proof()->set_proof(proof("client"));
  state_ = State::kClientWaitsDone;
  return step;
}

Handshake::Step Handshake::on_proof(const wire::HelloProof& given) {
  state_ = State::kOver;
  Step step;
  auto& done = *step.send.emplace().mutable_hello_done();
  if (!equal_in_constant_time(given.proof(), proof("client"))) {
    done.set_error("wrong cluster secret");
    step.refusal = Refusal::kBadProof;
    step.error = Error{Errc::kUnauthorized, fmt::format("{} does not know the cluster's secret", peer_.name)};
    return step;
  }
  step.done = true;
  return step;
}

Handshake::Step Handshake::on_done(const wire::HelloDone& done) {
  state_ = State::kOver;
  if (!done.error().empty()) return refuse(Errc::kUnauthorized, "refused: " + printable(done.error()));
  Step step;
  step.done = true;
  return step;
}

}  // namespace switchyard::net
