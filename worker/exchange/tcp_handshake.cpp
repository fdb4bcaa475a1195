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

namespace switchyard::worker {
namespace {

using Clock = std::chrono::steady_clock;
using net::kNonceBytes;
using net::kProofBytes;

constexpr uint32_t kMagic = 0x78657773;  // "swex"
constexpr uint32_t kVersion = 1;
constexpr size_t kHalfOpenMax = 64;
constexpr std::chrono::milliseconds kTryAgain{20};
constexpr int kPollMs = 5;  // how soon an epoch's end is noticed

struct Hello {
  uint32_t magic = kMagic;
  uint32_t version = kVersion;
  uint64_t epoch = 0;
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

std::string proof(const std::string& secret, const char* label, const Hello& hello, const Reply& reply) {
  return net::proof_of(secret, fmt::format("{}|{}|{}|{}|", label, hello.epoch, hello.from, hello.to),
                       {hello.nonce, kNonceBytes}, {reply.nonce, kNonceBytes});
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
  enum class State { kConnecting, kWaitsReply, kWaitsHello, kWaitsProof };
  Socket socket{};
  State state = State::kWaitsHello;
  uint32_t peer = 0;
  Hello hello;
  Reply reply;
  Proof proof;
  Flow flow;

  template <typename Message>
  void expect(State next, Message& message) {
    state = next;
    flow = {reinterpret_cast<std::byte*>(&message), sizeof message};
  }
  template <typename Message>
  bool send(Message& message) {
    Flow out{reinterpret_cast<std::byte*>(&message), sizeof message};
    return out.send(socket.file()) == Flow::Moved::kSome && out.left == 0;
  }
};

class Meeting {
 public:
  Meeting(TcpListener& listener, const std::vector<TcpMember>& members, uint32_t rank, const std::string& secret,
          const Epoch& epoch)
      : listener_(listener),
        members_(members),
        rank_(rank),
        secret_(secret),
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
      if (ready_[r].file() >= 0 || outgoing_[r].socket.file() >= 0 || Clock::now() < try_at_[r]) continue;
      try_at_[r] = Clock::now() + kTryAgain;
      addrinfo hints{};
      hints.ai_socktype = SOCK_STREAM;
      addrinfo* found = nullptr;
      if (getaddrinfo(members_[r].host.c_str(), std::to_string(members_[r].port).c_str(), &hints, &found) != 0)
        continue;
      Half& half = outgoing_[r];
      half = Half{};
      half.socket = Socket(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      half.peer = r;
      half.state = Half::State::kConnecting;
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
      files.push_back(
          {half.socket.file(), static_cast<short>(half.state == Half::State::kConnecting ? POLLOUT : POLLIN), 0});
      halves.push_back(&half);
    };
    for (Half& half : outgoing_) add(half);
    for (Half& half : incoming_) add(half);
    if (poll(files.data(), files.size(), kPollMs) <= 0) return;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents != 0 && !step(*halves[i])) halves[i]->socket = Socket();
    }
    incoming_.remove_if([](const Half& half) { return half.socket.file() < 0; });
    if (files[0].revents != 0) accept();
  }

  void accept() {
    for (;;) {
      Socket socket(accept4(listener_.file(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.file() < 0) return;
      if (incoming_.size() == kHalfOpenMax) incoming_.pop_front();
      Half& half = incoming_.emplace_back();
      half.socket = std::move(socket);
      half.expect(Half::State::kWaitsHello, half.hello);
    }
  }

  // False: this connection is over. One that has become a member's socket has been moved from.
  bool step(Half& half) {
    if (half.state == Half::State::kConnecting) {
      int error = 0;
      socklen_t size = sizeof error;
      if (getsockopt(half.socket.file(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return false;
      half.hello.epoch = epoch_.number;
      half.hello.from = rank_;
      half.hello.to = half.peer;
      fill_nonce(half.hello.nonce);
      if (!half.send(half.hello)) return false;
      half.expect(Half::State::kWaitsReply, half.reply);
      return true;
    }
    const Flow::Moved moved = half.flow.receive(half.socket.file());
    if (moved == Flow::Moved::kClosed) return false;
    if (half.flow.left != 0) return true;
    switch (half.state) {
      case Half::State::kWaitsReply: return on_reply(half);
      case Half::State::kWaitsHello: return on_hello(half);
      case Half::State::kWaitsProof: return on_proof(half);
      default: return false;
    }
  }

  bool on_reply(Half& half) {
    if (!equals(half.reply.proof, proof(secret_, kAccepts, half.hello, half.reply))) return false;
    const std::string mine = proof(secret_, kConnects, half.hello, half.reply);
    std::memcpy(half.proof.proof, mine.data(), kProofBytes);
    if (!half.send(half.proof)) return false;
    keep(half);
    return true;
  }

  bool on_hello(Half& half) {
    const Hello& hello = half.hello;
    if (hello.magic != kMagic || hello.version != kVersion || hello.epoch != epoch_.number || hello.to != rank_ ||
        hello.from <= rank_ || hello.from >= members_.size())
      return false;
    half.peer = hello.from;
    fill_nonce(half.reply.nonce);
    const std::string mine = proof(secret_, kAccepts, hello, half.reply);
    std::memcpy(half.reply.proof, mine.data(), kProofBytes);
    if (!half.send(half.reply)) return false;
    half.expect(Half::State::kWaitsProof, half.proof);
    return true;
  }

  bool on_proof(Half& half) {
    if (!equals(half.proof.proof, proof(secret_, kConnects, half.hello, half.reply))) return false;
    keep(half);
    return true;
  }

  void keep(Half& half) {
    set_up(half.socket.file());
    ready_[half.peer] = std::move(half.socket);
    half.socket = Socket();
  }

  TcpListener& listener_;
  const std::vector<TcpMember>& members_;
  const uint32_t rank_;
  const std::string& secret_;
  const Epoch& epoch_;
  std::vector<Socket> ready_;              // (members)
  std::vector<Half> outgoing_;             // to lower ranks
  std::vector<Clock::time_point> try_at_;  // likewise
  std::list<Half> incoming_;               // the oldest first; none moves, since a flow points into it
};

}  // namespace

Result<std::vector<Socket>> connect_members(TcpListener& listener, const std::vector<TcpMember>& members, uint32_t rank,
                                            const std::string& secret, uint32_t deadline_ms, const Epoch& epoch) {
  return Meeting(listener, members, rank, secret, epoch).run(deadline_ms);
}

}  // namespace switchyard::worker
