// Whether a request comes in, or is told when to come again, before anything of it is computed.
//
// A request waits for those that were let in before it and have no output yet, as far as the ranks have no place for
// them: Little's law says how long, their work over the rate at which such work begins. Work is counted in tokens of
// prompt, and kWorkOfSequence a sequence; the rate is measured, over the last kRateSeconds in which somebody waited.
// Until that is a second, or eight sequences, as many may wait as can run. Requests of a better priority are begun
// first: only those of its own and better ones are before a request, and better ones that come later go before it too,
// so that its rate is without theirs. So better priorities come in while others are refused.
//
// Who is refused is promised a moment: behind the wait itself, and behind those that were refused before, so that what
// comes again comes at the rate at which it can begin. Who comes again then (the SDKs of OpenAI and Anthropic say so: a
// header x-stainless-retry-count above 0) may wait up to the bound; those that come for the first time up to half of
// it, while a promise is due within kPromiseHorizon, or was kPromiseGrace ago. Not all come again: promises are made
// closer to each other, by the share that did of late.
//
// Pure: times are the caller's. Thread: one at a time. Bounded: kPromisesMax promises; what is let in is the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "common/base/clock.h"

namespace switchyard::frontend {

class WaitingRoom {
 public:
  static constexpr uint32_t kWorkOfSequence = 256;  // tokens, as kTokensOfWaiting
  static constexpr double kRateSeconds = 5.0;
  static constexpr std::chrono::seconds kPromiseHorizon{1};
  static constexpr std::chrono::seconds kPromiseGrace{2};
  static constexpr uint32_t kRetryAfterMax = 3600;
  static constexpr size_t kPromisesMax = 100'000;

  // What the ranks have, all together.
  struct Ranks {
    uint32_t places = 0;     // sequences that can run at once; 0: no rank is known, and all come in
    uint32_t sequences = 0;  // that are there, those on their way included
    uint32_t waiting = 0;    // of these, as the ranks said last
  };
  struct Refusal {
    uint32_t retry_after_seconds = 1;
    double wait_seconds = 0.0;  // that was expected
  };

  // wait_seconds_max: of what is let in; 0 = all are.
  explicit WaitingRoom(double wait_seconds_max) : wait_max_(wait_seconds_max) {}

  // Nothing: it comes in, and enter() follows for each of its sequences.
  std::optional<Refusal> ask(const Ranks& ranks, int32_t priority, bool comes_again, Time now);
  void enter(int32_t priority, uint32_t prompt_tokens);
  // Its first output has come.
  void begin(const Ranks& ranks, int32_t priority, uint32_t prompt_tokens, Time now);
  // It is gone without one.
  void leave(int32_t priority, uint32_t prompt_tokens);

  // Until a request of this priority begins that comes now.
  double wait_seconds(const Ranks& ranks, int32_t priority) const;
  // Work of this priority and worse ones that begins a second; nothing before it could be measured.
  std::optional<double> rate(int32_t priority) const;

 private:
  struct Pending {
    uint64_t sequences = 0;
    uint64_t work = 0;
  };
  Pending pending(int32_t priority_worst) const;
  double queued_work(const Ranks& ranks, int32_t priority) const;
  void pass_time(const Ranks& ranks, Time now);
  double mean_work() const;
  bool expects_others(int32_t priority_worst, Time now) const;
  bool redeem_promise(int32_t priority, Time now);
  uint32_t promise(const Ranks& ranks, int32_t priority, double wait, Time now);

  const double wait_max_;
  std::map<int32_t, Pending> pending_;  // by priority
  // Of the times in which somebody waited, older ones counting less.
  double busy_seconds_ = 0.0;
  // Of a rate that has just been measured: it may be that of a burst, so who comes in is let in as if there had been so
  // much time more.
  double doubt_seconds_ = 1.0;
  std::map<int32_t, double> begun_work_;  // by priority
  bool is_busy_ = false;
  std::optional<Time> waiting_since_;  // as the ranks say
  std::optional<Time> full_at_;        // when there was last no place
  Time last_{};
  std::multimap<Time, int32_t> promises_;  // when, and the priority
  Time last_promise_{};
  double return_share_ = 1.0;  // of promises that were redeemed
};

}  // namespace switchyard::frontend
