#include "worker/burst_relay.h"

#include <algorithm>

namespace switchyard::worker {

void BurstRelay::send(const net::ConnectionPtr& to, const Burst& burst) {
  if (!to) return;
  wire::Frame frame;
  frame.mutable_step_begin()->set_epoch(burst.first);
  frame.mutable_step_begin()->set_burst(burst.second);
  to->send(frame);
}

void BurstRelay::enter(uint64_t epoch, const std::string& host, uint16_t port) {
  const std::lock_guard lock(mutex_);
  epoch_ = epoch;
  is_first_ = host.empty();
  if (connector_ != 0) net_.disconnect(connector_);
  connector_ = 0;
  first_ = nullptr;
  if (is_first_) return;
  net::Handlers handlers;
  handlers.on_open = [this, epoch](const net::ConnectionPtr& to) {
    const std::lock_guard own_lock(mutex_);
    if (epoch != epoch_) return;
    first_ = to;
    send(to, asked_.first == epoch ? asked_ : Burst{epoch, 0});
  };
  handlers.on_frame = [this](const net::ConnectionPtr&, wire::Frame& frame) {
    if (frame.has_step_begin()) begin_(frame.step_begin().epoch(), frame.step_begin().burst());
  };
  handlers.on_close = [this](const net::ConnectionPtr& from, const Error&) {
    const std::lock_guard own_lock(mutex_);
    if (first_ == from) first_ = nullptr;
  };
  connector_ = net_.connect(host, port, std::move(handlers));
}

void BurstRelay::ask(uint64_t epoch, uint64_t burst) {
  std::unique_lock lock(mutex_);
  if (is_first_) return relay({epoch, burst}, lock);
  asked_ = {epoch, burst};
  send(first_, asked_);
}

// Tells everybody, once a burst.
void BurstRelay::relay(const Burst& burst, std::unique_lock<std::mutex>& lock) {
  if (burst <= told_) return;
  told_ = burst;
  for (const auto& peer : peers_) send(peer, burst);
  lock.unlock();
  begin_(burst.first, burst.second);
}

void BurstRelay::on_step_begin(const net::ConnectionPtr& from, const wire::StepBegin& frame) {
  std::unique_lock lock(mutex_);
  if (std::find(peers_.begin(), peers_.end(), from) == peers_.end()) {
    peers_.push_back(from);
    if (told_.second != 0) send(from, told_);  // of the burst that is under way
  }
  if (frame.burst() != 0) relay({frame.epoch(), frame.burst()}, lock);
}

void BurstRelay::on_gone(const net::ConnectionPtr& peer) {
  const std::lock_guard lock(mutex_);
  std::erase(peers_, peer);
}

}  // namespace switchyard::worker
