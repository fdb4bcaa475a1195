// Connections between processes (common/net/link.h): a stranger's bytes end the connection and reach nobody; those of a
// peer that proved itself become frames that do not depend on the cuts.
//
// Input: 's' for a stranger, else a peer; the cuts (a byte); then the bytes behind the handshake.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/result.h"
#include "common/net/link.h"
#include "common/wire/switchyard.pb.h"
#include "tests/fuzz/target.h"

namespace switchyard::net {
namespace {

const std::string kSecret = "the secret";
const Identity kServer{wire::ROLE_COORDINATOR, "coordinator"}, kClient{wire::ROLE_WORKER, "worker 0"};

class Conversation {
 public:
  Conversation() {
    int ends[2];
    SWITCHYARD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    client_ = ends[0];
    boost::asio::ip::tcp::socket socket(*io_);
    socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
    Options options;
    options.frame_bytes_max = 2048;
    options.handshake_frame_bytes_max = 1024;
    Link::Events events;
    events.opened = [this](const auto&) { opened = true; };
    events.frame = [this](const auto&, wire::Frame& frame) { frames += frame.SerializeAsString() + "|"; };
    events.ended = [this](const auto&, const Error& error) {
      SWITCHYARD_CHECK(!ended && !error.message.empty());
      ended = true;
    };
    link_ =
        std::make_shared<Link>(io_, std::move(socket), nullptr, options, 1,
                               Handshake::server(kServer, kSecret, kProtocolVersion), false, "host", std::move(events));
    link_->start(std::chrono::steady_clock::now() + std::chrono::hours(1));
    settle();
  }
  ~Conversation() {
    link_->fail({Errc::kUnavailable, "over"});
    settle();
    ::close(client_);
  }

  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
      if (!settle() && count <= 0) return;
    }
  }
  void shake_hands() {
    Handshake client = Handshake::client(kClient, kSecret, kProtocolVersion);
    say(framed(*client.start()));
    while (!opened) {
      wire::Frame answer;
      SWITCHYARD_CHECK(heard_.size() >= 4 && answer.ParseFromArray(heard_.data() + 4, static_cast<uint8_t>(heard_[0])));
      heard_.erase(0, 4U + static_cast<uint8_t>(heard_[0]));
      const Handshake::Step step = client.receive(answer);
      SWITCHYARD_CHECK(!step.error);
      if (step.send) say(framed(*step.send));
    }
  }

  bool opened = false, ended = false;
  std::string frames;

 private:
  static std::string framed(const wire::Frame& frame) {
    const std::string bytes = frame.SerializeAsString();
    SWITCHYARD_CHECK(bytes.size() < 256);
    return std::string{static_cast<char>(bytes.size()), 0, 0, 0} + bytes;
  }
  bool settle() {
    bool any = false;
    for (;;) {
      io_->restart();
      bool progress = io_->poll() > 0;
      char buffer[4096];
      for (ssize_t count = 0; (count = ::recv(client_, buffer, sizeof buffer, 0)) > 0; progress = true)
        heard_.append(buffer, static_cast<size_t>(count));
      if (!progress) return any;
      any = true;
    }
  }

  const std::shared_ptr<boost::asio::io_context> io_ = std::make_shared<boost::asio::io_context>(1);
  int client_ = -1;
  std::shared_ptr<Link> link_;
  std::string heard_;
};

std::string outcome_of(bool stranger, std::string_view bytes, const std::vector<size_t>& cuts) {
  Conversation conversation;
  if (!stranger) conversation.shake_hands();
  size_t from = 0;
  for (const size_t cut : cuts) {
    conversation.say(bytes.substr(from, cut - from));
    from = cut;
  }
  conversation.say(bytes.substr(from));
  SWITCHYARD_CHECK(conversation.opened != stranger && (!stranger || conversation.frames.empty()));
  return conversation.frames + (conversation.ended ? "ended" : "open");
}

}  // namespace
}  // namespace switchyard::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  static const bool quiet = (init_log("fuzz", LogLevel::kError, false), true);
  SWITCHYARD_CHECK(quiet);
  fuzz::Input input(data, size);
  const bool stranger = input.byte() == 's';
  const uint8_t seed = input.byte();
  const auto cuts = fuzz::cuts_of(input.rest().size(), seed);
  SWITCHYARD_CHECK(net::outcome_of(stranger, input.rest(), {}) == net::outcome_of(stranger, input.rest(), cuts));
  return 0;
}
