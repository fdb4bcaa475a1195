#include "worker/exchange/tcp_handshake.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <list>
#include <string_view>

#include "common/net/handshake.h"
#include "common/net/tls.h"

namespace switchyard::worker {
namespace {

using Clock = std::chrono::steady_clock;
using net::kNonceBytes;
using net::kProofBytes;
using net::Refusal;

constexpr uint32_t kMagic = 0x78657773;  // "swex"
constexpr uint32_t kVersion = 2;
constexpr size_t kHalfOpenMax = 64;
constexpr std::chrono::milliseconds kTryAgain{20};
// A listener whose queue strangers have filled lets the first packet fall, and TCP sends it again after a second.
constexpr std::chrono::milliseconds kConnectsWithin{100};
constexpr std::chrono::milliseconds kSpeaksWithin{5000};
constexpr int kPollMs = 5;  // how soon an epoch's end is noticed

struct Hello {
  uint32_t magic = kMagic;
  uint32_t version = kVersion;
  uint64_t epoch = 0;
  uint64_t contents = 0;
  uint32_t from = 0;
  uint32_t to = 0;
  char nonce[kNonceBytes];
};
struct Reply {
  char nonce[kNonceBytes];
  char proof[kProofBytes];
};
struct Proof {
  char proof[kProofBytes];
};

void fill_nonce(char* nonce) {
  SWITCHYARD_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(nonce), kNonceBytes) == 1);
}

constexpr const char* kAccepts = "exchange accepts";
constexpr const char* kConnects = "exchange connects";

bool equals(const char* given, const std::string& wanted) {
  return net::equal_in_constant_time({given, kProofBytes}, wanted);
}

void set_up(int file) {
  const int on = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// One connection on its way: what it waits to receive comes whole, or it ends. Messages are small and the socket's
// buffer is empty, so sending never waits.
struct Half {
  enum class State { kConnecting, kSecuring, kWaitsReply, kWaitsHello, kWaitsProof };
  Socket socket{};
  bool incoming = false;
  State state = State::kConnecting;
  Clock::time_point begun = Clock::now();
  short waits_for = POLLIN;
  uint32_t peer = 0;
  std::string address = {};  // of an incoming one
  std::string binding = {};  // of its TLS
  Hello hello;
  Reply reply;
  Proof proof;
  Flow flow;

  template <typename Message>
  void expect(State next, Message& message) {
    state = next;
    waits_for = POLLIN;
    flow = {reinterpret_cast<std::byte*>(&message), sizeof message};
  }
  template <typename Message>
  bool send(Message& message) {
    Flow out{reinterpret_cast<std::byte*>(&message), sizeof message};
    return socket.send(out) == Socket::Moved::kSome && out.left == 0;
  }
  std::string proof_of(const std::string& secret, const char* label) const {
    const std::string what =
        fmt::format("{}|{}|{}|{}|{}|{}|", label, hello.epoch, hello.contents, hello.from, hello.to, binding);
    return net::proof_of(secret, what, {hello.nonce, kNonceBytes}, {reply.nonce, kNonceBytes});
  }
};

std::string address_of(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  const int flags = NI_NUMERICHOST | NI_NUMERICSERV;
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port, sizeof port, flags) != 0)
    return "somebody";
  return fmt::format("{}:{}", host, port);
}

class Meeting {
 public:
  Meeting(TcpListener& listener, const std::vector<TcpMember>& members, uint32_t rank, const TcpTrust& trust,
          const Epoch& epoch)
      : listener_(listener),
        members_(members),
        rank_(rank),
        trust_(trust),
        epoch_(epoch),
        ready_(members.size()),
        outgoing_(rank),
        try_at_(rank) {}

  Result<std::vector<Socket>> run(uint32_t deadline_ms) {
    const auto end = Clock::now() + std::chrono::milliseconds(deadline_ms);
    while (missing() != "") {
      if (epoch_.over()) return epoch_.end();
      if (Clock::now() > end)
        return Error{Errc::kTimeout, fmt::format("epoch {}: {} did not connect in time", epoch_.number, missing())};
      connect();
      wait();
    }
    for (const Half& half : incoming_) {
      if (half.socket.file() >= 0) refuse(half, Refusal::kTimeout, "silent while the group met");
    }
    return std::move(ready_);
  }

 private:
  std::string missing() const {
    std::string names;
    for (uint32_t r = 0; r < ready_.size(); ++r) {
      if (r != rank_ && ready_[r].file() < 0) names += (names.empty() ? "rank " : ", rank ") + std::to_string(r);
    }
    return names;
  }

  // Begins what is to be begun, or begun again.
  void connect() {
    for (uint32_t r = 0; r < rank_; ++r) {
      const auto now = Clock::now();
      const bool under_way = outgoing_[r].socket.file() >= 0 && (outgoing_[r].state != Half::State::kConnecting ||
                                                                 now < outgoing_[r].begun + kConnectsWithin);
      if (ready_[r].file() >= 0 || under_way || now < try_at_[r]) continue;
      try_at_[r] = now + kTryAgain;
      addrinfo hints{};
      hints.ai_socktype = SOCK_STREAM;
      addrinfo* found = nullptr;
      if (getaddrinfo(members_[r].host.c_str(), std::to_string(members_[r].port).c_str(), &hints, &found) != 0)
        continue;
      Half& half = outgoing_[r];
      half = Half{};
      half.socket = Socket(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      half.peer = r;
      half.waits_for = POLLOUT;
      const bool begun =
          half.socket.file() >= 0 &&
          (::connect(half.socket.file(), found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS);
      freeaddrinfo(found);
      if (!begun) half.socket = Socket();
    }
  }

  void wait() {
    std::vector<pollfd> files{{listener_.file(), POLLIN, 0}};
    std::vector<Half*> halves{nullptr};
    const auto add = [&](Half& half) {
      if (half.socket.file() < 0) return;
      files.push_back({half.socket.file(), half.waits_for, 0});
      halves.push_back(&half);
    };
    for (Half& half : outgoing_) add(half);
    for (Half& half : incoming_) add(half);
    if (poll(files.data(), files.size(), kPollMs) < 0) return;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents != 0 && !step(*halves[i])) halves[i]->socket = Socket();
    }
    const auto speaks_after = Clock::now() - kSpeaksWithin;
    for (Half& half : incoming_) {
      if (half.socket.file() < 0 || half.begun > speaks_after) continue;
      refuse(half, Refusal::kTimeout, "silent");
      half.socket = Socket();
    }
    incoming_.remove_if([](const Half& half) { return half.socket.file() < 0; });
    if (files[0].revents != 0) accept();
  }

  void accept() {
    for (;;) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      Socket socket(
          accept4(listener_.file(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.file() < 0) return;
      if (incoming_.size() == kHalfOpenMax) {
        if (incoming_.front().socket.file() >= 0)  // or it has become a member's
          refuse(incoming_.front(), Refusal::kHalfOpenLimit, "silent, and others have come");
        incoming_.pop_front();
      }
      Half& half = incoming_.emplace_back();
      half.socket = std::move(socket);
      half.incoming = true;
      half.address = address_of(address, size);
      // What has come already is taken, so that those who speak need not fear those who do not.
      if (!begin(half)) incoming_.pop_back();
    }
  }

  // What happens when a connection can carry bytes. False, here and below: it is over. One that has become a member's
  // socket has been moved from.
  bool begin(Half& half) {
    if (trust_.tls) {
      half.socket.secure(half.incoming ? trust_.tls->accept() : trust_.tls->connect(members_[half.peer].host));
      half.state = Half::State::kSecuring;
      return step(half);
    }
    return half.incoming ? wait_for_hello(half) : say_hello(half);
  }

  bool wait_for_hello(Half& half) {
    half.expect(Half::State::kWaitsHello, half.hello);
    return step(half);
  }

  bool say_hello(Half& half) {
    half.hello.epoch = epoch_.number;
    half.hello.contents = epoch_.contents;
    half.hello.from = rank_;
    half.hello.to = half.peer;
    fill_nonce(half.hello.nonce);
    if (!half.send(half.hello)) return false;
    half.expect(Half::State::kWaitsReply, half.reply);
    return true;
  }

  bool step(Half& half) {
    if (half.state == Half::State::kConnecting) {
      int error = 0;
      socklen_t size = sizeof error;
      if (getsockopt(half.socket.file(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return false;
      return begin(half);
    }
    if (half.state == Half::State::kSecuring) return secure(half);
    for (;;) {
      const Socket::Moved moved = half.socket.receive(half.flow);
      if (moved == Socket::Moved::kClosed) {
        return refuse(half, Refusal::kTruncated,
                      half.state == Half::State::kWaitsProof ? "closed before its proof" : "closed before its hello");
      }
      if (half.flow.left == 0) break;
      if (moved == Socket::Moved::kNothing) return true;
    }
    switch (half.state) {
      case Half::State::kWaitsReply: return on_reply(half);
      case Half::State::kWaitsHello: return on_hello(half);
      case Half::State::kWaitsProof: return on_proof(half);
      default: return false;
    }
  }

  bool secure(Half& half) {
    net::TlsSession& tls = *half.socket.tls();
    const auto moved = tls.shake_hands().moved;
    if (tls.established()) {
      half.binding = net::channel_binding(tls.ssl());
      return half.incoming ? wait_for_hello(half) : say_hello(half);
    }
    half.waits_for = moved == net::TlsSession::Moved::kWantsWrite ? POLLOUT : POLLIN;
    if (moved == net::TlsSession::Moved::kWantsRead || moved == net::TlsSession::Moved::kWantsWrite) return true;
    const net::TlsFailure failure = tls.failure();
    return refuse(half, failure.refusal, "TLS: " + failure.text);
  }

  bool on_reply(Half& half) {
    if (!equals(half.reply.proof, half.proof_of(trust_.secret, kAccepts)))
      return refuse(half, Refusal::kBadProof, "does not know the secret");
    const std::string mine = half.proof_of(trust_.secret, kConnects);
    std::memcpy(half.proof.proof, mine.data(), kProofBytes);
    if (!half.send(half.proof)) return false;
    keep(half);
    return true;
  }

  bool on_hello(Half& half) {
    const Hello& hello = half.hello;
    if (hello.magic != kMagic) return refuse(half, Refusal::kNotAHandshake, "not a rank's hello");
    if (hello.version != kVersion) {
      return refuse(half, Refusal::kBadVersion,
                    fmt::format("speaks version {}, this rank {}", hello.version, kVersion));
    }
    // No stranger's fault: one of the two has still to hear of the other's.
    if (hello.epoch != epoch_.number || hello.contents != epoch_.contents) return false;
    if (hello.to != rank_ || hello.from <= rank_ || hello.from >= members_.size())
      return refuse(half, Refusal::kNotAHandshake, "a hello that no member would send here");
    half.peer = hello.from;
    fill_nonce(half.reply.nonce);
    const std::string mine = half.proof_of(trust_.secret, kAccepts);
    std::memcpy(half.reply.proof, mine.data(), kProofBytes);
    if (!half.send(half.reply)) return false;
    half.expect(Half::State::kWaitsProof, half.proof);
    return true;
  }

  bool on_proof(Half& half) {
    if (!equals(half.proof.proof, half.proof_of(trust_.secret, kConnects)))
      return refuse(half, Refusal::kBadProof, "does not know the secret");
    keep(half);
    return true;
  }

  // Counted where they came to us, or show that they are not what we looked for. False, for callers to return.
  bool refuse(const Half& half, Refusal refusal, const std::string& why) const {
    if (!trust_.refusals || (!half.incoming && refusal != Refusal::kBadProof)) return false;
    const std::string who =
        half.incoming ? half.address : fmt::format("{}:{}", members_[half.peer].host, members_[half.peer].port);
    trust_.refusals->add(refusal, fmt::format("{}: exchange of ranks: {}", who, why));
    return false;
  }

  void keep(Half& half) {
    set_up(half.socket.file());
    ready_[half.peer] = std::move(half.socket);
    half.socket = Socket();
  }

  TcpListener& listener_;
  const std::vector<TcpMember>& members_;
  const uint32_t rank_;
  const TcpTrust& trust_;
  const Epoch& epoch_;
  std::vector<Socket> ready_;              // (members)
  std::vector<Half> outgoing_;             // to lower ranks
  std::vector<Clock::time_point> try_at_;  // likewise
  std::list<Half> incoming_;               // the oldest first; none moves, since a flow points into it
};

}  // namespace

Result<std::vector<Socket>> connect_members(TcpListener& listener, const std::vector<TcpMember>& members, uint32_t rank,
                                            const TcpTrust& trust, uint32_t deadline_ms, const Epoch& epoch) {
  return Meeting(listener, members, rank, trust, epoch).run(deadline_ms);
}

}  // namespace switchyard::worker
