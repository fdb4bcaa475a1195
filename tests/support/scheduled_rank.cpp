#include "tests/support/scheduled_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/net/net.h"
#include "common/text/tokenizer.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using std::chrono::microseconds;

// More than a stamp of two numbers and blanks takes in any vocabulary.
constexpr uint32_t kStampTokensMax = 32;

class ScheduledRankImpl final : public ScheduledRank {
 public:
  explicit ScheduledRankImpl(const Options& options) : options_(options) {
    wheel_.resize(static_cast<size_t>(std::max(options.first, options.interval) / options.tick) + 2);
  }
  ~ScheduledRankImpl() override {
    if (rank_) rank_->stop();
    if (coordinator_) coordinator_->stop();
  }

  Status open() {
    SWITCHYARD_ASSIGN(tokenizer_, text::Tokenizer::load(options_.tokenizer));
    token_ = tokenizer_->encode("a", false).at(0);
    SWITCHYARD_ASSIGN(rank_, net::Service::start({wire::ROLE_WORKER, "worker 0"}, options_.secret));
    net::Handlers rank;
    rank.on_frame = [this](const net::ConnectionPtr& from, wire::Frame& frame) {
      if (frame.has_generate()) take(from, frame.generate());
      if (frame.has_cancel()) cancelled_.insert(frame.cancel().request_id());
    };
    SWITCHYARD_ASSIGN(const uint16_t rank_port, rank_->listen("127.0.0.1", 0, std::move(rank)));
    timer_ = std::make_unique<boost::asio::steady_timer>(rank_->io_context());
    rank_->post([this] {
      base_ = Clock::now();
      arm();
    });

    SWITCHYARD_ASSIGN(coordinator_, net::Service::start({wire::ROLE_COORDINATOR, "coordinator"}, options_.secret));
    net::Handlers coordinator;
    coordinator.on_frame = [rank_port](const net::ConnectionPtr& from, wire::Frame& frame) {
      if (!frame.has_register_frontend()) return;
      wire::Frame table;
      table.mutable_routing_table()->set_epoch(1);
      wire::RankAddress* address = table.mutable_routing_table()->add_ranks();
      address->set_host("127.0.0.1");
      address->set_port(rank_port);
      address->set_state(wire::RANK_LIVE);
      from->send(table);
    };
    SWITCHYARD_ASSIGN(port_, coordinator_->listen("127.0.0.1", options_.coordinator_port, std::move(coordinator)));
    return {};
  }

  uint16_t coordinator_port() const override { return port_; }

  Stats stats() const override {
    const std::lock_guard lock(mutex_);
    Stats stats = stats_;
    stats.late_ms_mean = stats.tokens > 0 ? late_ms_sum_ / static_cast<double>(stats.tokens) : 0;
    return stats;
  }

 private:
  struct Sequence {
    net::ConnectionPtr to;
    uint64_t id = 0;
    uint32_t left = 0;  // tokens
    bool begun = false;
  };

  uint64_t tick_of(Clock::time_point time) const { return static_cast<uint64_t>((time - base_) / options_.tick); }
  Clock::time_point time_of(uint64_t tick) const { return base_ + static_cast<int64_t>(tick) * options_.tick; }

  void put(uint64_t tick, Sequence sequence) { wheel_[tick % wheel_.size()].push_back(std::move(sequence)); }

  void take(const net::ConnectionPtr& from, const wire::Generate& generate) {
    Sequence sequence{.to = from, .id = generate.request_id(), .left = generate.max_tokens()};
    {
      const std::lock_guard lock(mutex_);
      ++stats_.sequences;
    }
    if (options_.first.count() > 0) {
      // Behind the tick that is on its way, so that it is not late already.
      return put(std::max(tick_of(Clock::now() + options_.first), tick_) + 1, std::move(sequence));
    }
    ready_.push_back(std::move(sequence));
    if (ready_.size() == 1) {
      rank_->post([this] {
        const auto now = Clock::now();
        std::vector<Sequence> ready = std::exchange(ready_, {});
        emit(ready, now, std::max(tick_of(now), tick_) + 1);
      });
    }
  }

  void arm() {
    timer_->expires_at(time_of(tick_ + 1));
    timer_->async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      while (time_of(tick_ + 1) <= Clock::now()) {
        ++tick_;
        std::vector<Sequence> due = std::exchange(wheel_[tick_ % wheel_.size()], {});
        emit(due, time_of(tick_), tick_);
      }
      arm();
    });
  }

  // One output of each, due at a time; what goes on is due again an interval after next_from.
  void emit(std::vector<Sequence>& due, Clock::time_point at, uint64_t next_from) {
    if (due.empty()) return;
    std::unordered_map<net::Connection*, wire::Frame> frames;
    uint64_t tokens = 0, cancelled = 0;
    const auto next = next_from + static_cast<uint64_t>(options_.interval / options_.tick);
    for (Sequence& sequence : due) {
      if (cancelled_.erase(sequence.id) > 0) {
        ++cancelled;
        continue;
      }
      wire::Output* output = frames[sequence.to.get()].mutable_outputs()->add_outputs();
      output->set_request_id(sequence.id);
      if (!std::exchange(sequence.begun, true) && sequence.left > kStampTokensMax) {
        const int64_t us = std::chrono::duration_cast<microseconds>(at.time_since_epoch()).count();
        const auto stamp = tokenizer_->encode(fmt::format("{} {} ", us, options_.interval.count()), false);
        output->mutable_token_ids()->Add(stamp.begin(), stamp.end());
        sequence.left -= static_cast<uint32_t>(stamp.size());
        tokens += stamp.size();
      } else if (sequence.left > 0) {
        output->add_token_ids(token_);
        --sequence.left;
        ++tokens;
      }
      if (sequence.left == 0)
        output->set_finish(wire::FINISH_LENGTH);
      else
        output->set_finish(wire::FINISH_NONE);
    }
    const auto connection_of = [&](net::Connection* wanted) {
      return std::find_if(due.begin(), due.end(), [&](const Sequence& s) { return s.to.get() == wanted; })->to;
    };
    for (const auto& [to, frame] : frames) connection_of(to)->send(frame);
    const double late_ms = std::chrono::duration<double, std::milli>(Clock::now() - at).count();
    for (Sequence& sequence : due)
      if (sequence.left > 0) put(next, std::move(sequence));
    const std::lock_guard lock(mutex_);
    stats_.tokens += tokens;
    stats_.cancelled += cancelled;
    late_ms_sum_ += late_ms * static_cast<double>(tokens);
    stats_.late_ms_max = std::max(stats_.late_ms_max, late_ms);
  }

  const Options options_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  int32_t token_ = 0;
  uint16_t port_ = 0;

  // The rank's net thread.
  Clock::time_point base_{};
  uint64_t tick_ = 0;
  std::vector<std::vector<Sequence>> wheel_;  // (ticks, modulo its size)
  std::vector<Sequence> ready_;
  std::unordered_set<uint64_t> cancelled_;

  mutable std::mutex mutex_;  // guards the two below
  Stats stats_;
  double late_ms_sum_ = 0;

  std::unique_ptr<net::Service> coordinator_;
  std::unique_ptr<net::Service> rank_;
  std::unique_ptr<boost::asio::steady_timer> timer_;  // destroyed before the rank's loop
};

}  // namespace

Result<std::unique_ptr<ScheduledRank>> ScheduledRank::start(const Options& options) {
  if (options.tick.count() <= 0 || options.interval < options.tick)
    return Error{Errc::kInvalid, "a tick takes some time, and an interval at least a tick"};
  auto rank = std::make_unique<ScheduledRankImpl>(options);
  SWITCHYARD_TRY(rank->open());
  return std::unique_ptr<ScheduledRank>(std::move(rank));
}

}  // namespace switchyard
