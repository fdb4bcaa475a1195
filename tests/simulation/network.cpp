#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

#include "common/base/result.h"

namespace switchyard::simulation {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// As common/net/link.cpp asks the kernel: what an end that hears nothing finds out by itself.
constexpr milliseconds kProbeAfter{10000};
constexpr milliseconds kGiveUpAfter{15000};  // without an answer
constexpr double kSlowOne = 0.005;           // messages that take far longer than others

}  // namespace

Network::Network(World& world, Random random, uint32_t slots)
    : world_(world), random_(random), slots_(slots), cuts_(size_t{slots} * slots, 0), down_(slots, false) {}

void Network::listen(const ProcessPtr& process, const std::string& host, uint16_t port, Accept accept) {
  listeners_[{host, port}] = {process, std::move(accept)};
}

void Network::stop_listening(const std::string& host, uint16_t port) { listeners_.erase({host, port}); }

StreamPtr Network::connect(const ProcessPtr& process, const std::string& host, uint16_t port,
                           std::shared_ptr<Endpoint> from) {
  auto stream = std::make_shared<Stream>(*this, random_.fork(++streams_made_));
  const auto known = slot_of_host_.find(host);
  SWITCHYARD_CHECK(known != slot_of_host_.end());
  stream->ends_[0] = {process->slot, process, from};
  stream->ends_[1].slot = known->second;
  stream->address_ = {host, port};
  if (streams_made_ % 64 == 0) prune();
  streams_.push_back(stream);
  stream->send(0, {Message::Kind::kOpen, nullptr, {}});
  return stream;
}

void Network::prune() {
  std::erase_if(streams_, [](const auto& stream) { return stream.expired(); });
}

void Network::gone(const ProcessPtr& process, bool told) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second.process == process; });
  if (!told) down_[process->slot] = true;
  for (const auto& weak : streams_) {
    const auto stream = weak.lock();
    if (!stream) continue;
    for (const int end : {0, 1}) {
      if (stream->ends_[end].process != process || stream->ends_[end].gone) continue;
      if (told) {
        stream->send(end, {Message::Kind::kEnd, nullptr, {}});
      } else {
        stream->probe(end);
      }
      stream->ends_[end].gone = true;
      stream->ends_[end].endpoint.reset();
    }
  }
}

void Network::part(uint32_t a, uint32_t b) {
  ++cuts_[a * slots_ + b];
  ++cuts_[b * slots_ + a];
}

void Network::heal(uint32_t a, uint32_t b) {
  --cuts_[a * slots_ + b];
  --cuts_[b * slots_ + a];
  for (const auto& weak : streams_)
    if (const auto stream = weak.lock()) stream->resume_stalled();
}

bool Network::cut(Random& random, bool both) {
  std::vector<StreamPtr> living;
  for (const auto& weak : streams_) {
    const auto stream = weak.lock();
    if (stream && stream->living()) living.push_back(stream);
  }
  if (living.empty()) return false;
  const StreamPtr& stream = living[random.below(living.size())];
  const int first = static_cast<int>(random.below(2));
  world_.note(both ? "stream cut" : "stream cut at one end", stream->ends_[first].slot, stream->ends_[1 - first].slot);
  stream->ends_[first].gone = true;
  if (both) stream->ends_[1 - first].gone = true;
  stream->break_off(first);
  if (both) {
    stream->break_off(1 - first);
  } else {
    stream->probe(first);
  }
  return true;
}

// --- streams

void Stream::send(int end, Message message) {
  if (ends_[end].gone) return;
  const int to = 1 - end;
  int copies = 1;
  if (message.frame && network_.on_send) copies = network_.on_send(*ends_[end].process, ends_[to].slot, *message.frame);
  for (int i = 0; i < copies; ++i) {
    to_[to].under_way.push_back(
        i + 1 < copies ? Message{message.kind, std::make_shared<wire::Frame>(*message.frame), message.bytes}
                       : std::move(message));
    schedule(to);
  }
}

void Stream::schedule(int to) {
  World& world = network_.world_;
  Duration latency = random_.between(microseconds(20), microseconds(200));
  if (random_.chance(kSlowOne)) latency += random_.between(milliseconds(1), milliseconds(20));
  double slowness = 1;
  for (const End& end : ends_)
    if (end.process) slowness = std::max(slowness, end.process->slowness);
  latency = Duration(static_cast<int64_t>(static_cast<double>(latency.count()) * slowness));
  to_[to].last = std::max(to_[to].last, world.now() + latency);
  world.after(to_[to].last - world.now(), [self = shared_from_this(), to] { self->arrive(to); });
}

void Stream::arrive(int to) {
  if (network_.parted(ends_[0].slot, ends_[1].slot)) {
    ++to_[to].stalled;
    return;
  }
  Message message = std::move(to_[to].under_way.front());
  to_[to].under_way.pop_front();
  deliver(to, std::move(message));
}

void Stream::resume_stalled() {
  if (network_.parted(ends_[0].slot, ends_[1].slot)) return;
  for (const int to : {0, 1})
    for (; to_[to].stalled > 0; --to_[to].stalled) schedule(to);
}

void Stream::deliver(int to, Message message) {
  if (message.kind == Message::Kind::kOpen) return open(message);
  End& end = ends_[to];
  if (end.gone) {
    // A machine that is down says nothing; another answers for what it does not know.
    End& sender = ends_[1 - to];
    if (network_.down_[end.slot] || sender.told || sender.gone || message.kind == Message::Kind::kEnd) return;
    sender.told = true;
    to_[1 - to].under_way.push_back({Message::Kind::kEnd, nullptr, {}});
    schedule(1 - to);
    return;
  }
  const auto shared = std::make_shared<Message>(std::move(message));
  network_.world_.in(end.process, [self = shared_from_this(), to, shared] {
    const auto endpoint = self->ends_[to].endpoint.lock();
    if (!endpoint) return;
    const auto& look = self->network_.on_arrival;
    if (shared->frame && look && !look(*self->ends_[to].process, self->ends_[1 - to].slot, *shared->frame)) return;
    endpoint->arrived(*shared);
  });
}

void Stream::open(Message&) {
  const auto listener = network_.listeners_.find(address_);
  End& end = ends_[1];
  if (listener == network_.listeners_.end()) {
    if (network_.down_[end.slot]) return;
    end.gone = true;
    break_off(0);
    return;
  }
  end.process = listener->second.process;
  network_.world_.in(end.process, [self = shared_from_this(), accept = listener->second.accept] {
    self->ends_[1].endpoint = accept(self);
  });
}

void Stream::probe(int gone_end) {
  World& world = network_.world_;
  const int end = 1 - gone_end;
  const auto find_out = [self = shared_from_this(), end] {
    if (std::exchange(self->ends_[end].told, true) || self->ends_[end].gone) return;
    self->break_off(end);
  };
  world.after(kProbeAfter, [self = shared_from_this(), gone_end, find_out] {
    if (!self->network_.down_[self->ends_[gone_end].slot]) return find_out();
    self->network_.world_.after(kGiveUpAfter, find_out);
  });
}

void Stream::break_off(int end) {
  const auto process = ends_[end].process;
  ends_[end].gone = true;
  network_.world_.after(process, microseconds(50), [self = shared_from_this(), end] {
    Message message;
    if (const auto endpoint = self->ends_[end].endpoint.lock()) endpoint->arrived(message);
  });
}

}  // namespace switchyard::simulation
