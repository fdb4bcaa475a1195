#include "tests/simulation/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <utility>

#include "tests/simulation/toy_model.h"
#include "worker/exchange/exchange.h"

namespace switchyard::simulation {
namespace {

constexpr uint16_t kPort = 20000;
constexpr std::chrono::milliseconds kTryAgain{20};

// The first message of who connects.
struct Hello {
  uint64_t epoch = 0;
  uint32_t from = 0;
  uint32_t to = 0;
};

// One end of the stream between two ranks.
class Channel final : public Endpoint {
 public:
  explicit Channel(int end) : end_(end) {}
  ~Channel() override { close(); }

  void arrived(Message& message) override {
    switch (message.kind) {
      case Message::Kind::kOpened: accepted = true; return;
      case Message::Kind::kBytes: inbox.push_back(std::move(message.bytes)); return;
      default: ended = true;
    }
  }
  void send(std::vector<std::byte> bytes) { stream->send(end_, {Message::Kind::kBytes, nullptr, std::move(bytes)}); }
  void accept() { stream->send(end_, {Message::Kind::kOpened, nullptr, {}}); }
  void close() {
    if (stream) stream->send(end_, {Message::Kind::kEnd, nullptr, {}});
    stream = nullptr;
  }

  StreamPtr stream;
  std::deque<std::vector<std::byte>> inbox;
  bool accepted = false;
  bool ended = false;

 private:
  const int end_;
};
using ChannelPtr = std::shared_ptr<Channel>;

class SimulatedTransport final : public worker::Transport {
 public:
  SimulatedTransport(World& world, std::vector<ChannelPtr> channels, uint32_t rank, Duration deadline,
                     worker::Epoch epoch)
      : world_(world), channels_(std::move(channels)), rank_(rank), deadline_(deadline), epoch_(epoch) {}

  const char* name() const override { return "simulated"; }
  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return static_cast<uint32_t>(channels_.size()); }

  Status all_gather(const void* send, size_t bytes, void* recv) override {
    const auto* from = static_cast<const std::byte*>(send);
    auto* to = static_cast<std::byte*>(recv);
    if (bytes != 0) std::memcpy(to + rank_ * bytes, from, bytes);
    for (uint32_t r = 0; r < size(); ++r)
      if (r != rank_) channels_[r]->send({from, from + bytes});
    for (uint32_t r = 0; r < size(); ++r)
      if (r != rank_) SWITCHYARD_TRY(receive(r, to + r * bytes, bytes));
    return {};
  }

  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    const auto* from = static_cast<const std::byte*>(send);
    auto* to = static_cast<std::byte*>(recv);
    const auto part = [item_bytes](const uint32_t* offsets, uint32_t r) {
      return std::pair(offsets[r] * item_bytes, (offsets[r + 1] - offsets[r]) * item_bytes);
    };
    for (uint32_t r = 0; r < size(); ++r) {
      const auto [at, bytes] = part(send_offsets, r);
      if (bytes == 0) continue;
      if (r == rank_) {
        std::memcpy(to + part(recv_offsets, r).first, from + at, bytes);
      } else {
        channels_[r]->send({from + at, from + at + bytes});
      }
    }
    for (uint32_t r = 0; r < size(); ++r) {
      const auto [at, bytes] = part(recv_offsets, r);
      if (r != rank_ && bytes != 0) SWITCHYARD_TRY(receive(r, to + at, bytes));
    }
    return {};
  }

 private:
  Status receive(uint32_t r, std::byte* to, size_t bytes) {
    Channel& channel = *channels_[r];
    const auto moves = [&] { return !channel.inbox.empty() || channel.ended || epoch_.over(); };
    const bool in_time = world_.wait_until(moves, world_.now() + deadline_);
    if (channel.inbox.empty()) {
      if (epoch_.over()) return epoch_.end();
      if (!in_time) return Error{Errc::kTimeout, fmt::format("rank {} did not answer in time", r)};
      return Error{Errc::kPeerLost, fmt::format("rank {} is gone", r)};
    }
    SWITCHYARD_CHECK(channel.inbox.front().size() == bytes);  // both sides know the sizes
    std::memcpy(to, channel.inbox.front().data(), bytes);
    channel.inbox.pop_front();
    return {};
  }

  World& world_;
  const std::vector<ChannelPtr> channels_;  // (ranks), null for this one
  const uint32_t rank_;
  const Duration deadline_;
  const worker::Epoch epoch_;
};

// Computing takes its time before each layer's exchange.
class Computing final : public worker::Exchange {
 public:
  Computing(World& world, std::unique_ptr<worker::Exchange> inner, Duration layer_time)
      : world_(world), inner_(std::move(inner)), layer_time_(layer_time) {}
  const char* name() const override { return "simulated"; }
  uint32_t rank() const override { return inner_->rank(); }
  uint32_t size() const override { return inner_->size(); }
  Result<worker::ReceivedRows> dispatch(const worker::LayerPlacement& placement, const void* rows, uint32_t row_count,
                                        const int32_t* experts) override {
    world_.sleep(world_.current()->random.between(layer_time_ / 2, layer_time_ * 3 / 2));
    return inner_->dispatch(placement, rows, row_count, experts);
  }
  Result<const float* const*> combine() override { return inner_->combine(); }
  Status all_gather(const void* mine, size_t bytes, void* all) override { return inner_->all_gather(mine, bytes, all); }
  worker::ExchangeStats stats() const override { return inner_->stats(); }

 private:
  World& world_;
  const std::unique_ptr<worker::Exchange> inner_;
  const Duration layer_time_;
};

class SimulatedExchanges final : public worker::ExchangeMaker {
 public:
  SimulatedExchanges(Network& network, ProcessPtr process, std::string host, Duration step_time, Duration deadline)
      : network_(network),
        process_(std::move(process)),
        host_(std::move(host)),
        step_time_(step_time),
        deadline_(deadline) {
    network_.listen(process_, host_, kPort, [this](const StreamPtr& stream) {
      auto channel = std::make_shared<Channel>(1);
      channel->stream = stream;
      waiting_.push_back(channel);
      return channel;
    });
  }
  ~SimulatedExchanges() override { network_.stop_listening(host_, kPort); }

  uint16_t port() const override { return kPort; }

  Result<std::unique_ptr<worker::Exchange>> make(const std::vector<worker::TcpMember>& members, uint32_t here,
                                                 const worker::ExchangeShape& shape, kernels::ThreadPool&,
                                                 worker::Epoch epoch) override {
    World& world = network_.world();
    const Time end = world.now() + deadline_;
    std::vector<ChannelPtr> ready(members.size());
    std::vector<ChannelPtr> outgoing(here);
    std::vector<Time> try_at(here);
    for (;;) {
      size_t missing = 0;
      for (uint32_t r = 0; r < here; ++r) {
        if (ready[r]) continue;
        if (outgoing[r] && outgoing[r]->accepted) {
          ready[r] = std::move(outgoing[r]);
          continue;
        }
        ++missing;
        if (outgoing[r] && outgoing[r]->ended) outgoing[r] = nullptr;
        if (!outgoing[r] && world.now() >= try_at[r]) {
          try_at[r] = world.now() + kTryAgain;
          outgoing[r] = call(members[r], {epoch.number, here, r});
        }
      }
      take_calls(epoch, here, ready);
      for (uint32_t r = here + 1; r < members.size(); ++r) missing += ready[r] ? 0 : 1;
      if (missing == 0) break;
      if (epoch.over()) return epoch.end();
      if (world.now() > end) return Error{Errc::kTimeout, fmt::format("{} ranks did not connect in time", missing)};
      world.wait_until([] { return false; }, world.now() + std::chrono::milliseconds(1));
    }
    auto transport = std::make_unique<SimulatedTransport>(world, std::move(ready), here, deadline_, epoch);
    return std::unique_ptr<worker::Exchange>(std::make_unique<Computing>(
        world, worker::make_message_exchange(std::move(transport), shape), step_time_ / kToyLayers));
  }

 private:
  ChannelPtr call(const worker::TcpMember& member, const Hello& hello) {
    auto channel = std::make_shared<Channel>(0);
    channel->stream = network_.connect(process_, member.host, member.port, channel);
    const auto* bytes = reinterpret_cast<const std::byte*>(&hello);
    channel->send({bytes, bytes + sizeof hello});
    return channel;
  }

  // Those of another epoch are sent away, and try again if they still want to.
  void take_calls(const worker::Epoch& epoch, uint32_t here, std::vector<ChannelPtr>& ready) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const ChannelPtr channel = *at;
      if (channel->inbox.empty() && !channel->ended) {
        ++at;
        continue;
      }
      at = waiting_.erase(at);
      if (channel->ended) continue;
      Hello hello;
      SWITCHYARD_CHECK(channel->inbox.front().size() == sizeof hello);
      std::memcpy(&hello, channel->inbox.front().data(), sizeof hello);
      channel->inbox.pop_front();
      if (hello.epoch != epoch.number || hello.to != here || hello.from <= here || hello.from >= ready.size()) continue;
      channel->accept();
      ready[hello.from] = channel;
    }
  }

  Network& network_;
  const ProcessPtr process_;
  const std::string host_;
  const Duration step_time_;
  const Duration deadline_;
  std::list<ChannelPtr> waiting_;  // that others have begun
};

}  // namespace

std::unique_ptr<worker::ExchangeMaker> make_exchanges(Network& network, ProcessPtr process, std::string host,
                                                      Duration step_time, Duration deadline) {
  return std::make_unique<SimulatedExchanges>(network, std::move(process), std::move(host), step_time, deadline);
}

}  // namespace switchyard::simulation
