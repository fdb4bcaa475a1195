// A coordinator and a worker rank that know no model: they speak the cluster's own wire protocol to real frontends and
// emit tokens on a schedule that is known to the microsecond, so that what a frontend adds can be measured.
//
// A sequence's first output is due `first` after its Generate came, each further one `interval` later, rounded up to
// ticks; all that is due in one tick goes out in one Outputs frame, as a rank's step does. With `first` zero a first
// output goes at once, with all others that came in the same read. The text of the first output is
// "DUE INTERVAL ", both in microseconds, DUE on CLOCK_MONOTONIC, if max_tokens leaves room for it: the n-th output of
// the stream was due at DUE + n * INTERVAL, whatever lies between. Each sequence ends with its max_tokens.
//
// Thread: start() and stop() from any; runs on two threads of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/result.h"

namespace switchyard {

class ScheduledRank {
 public:
  struct Options {
    std::string secret;
    uint16_t coordinator_port = 0;  // 0 = any free one
    std::string tokenizer;          // of the model that the frontends serve
    std::chrono::microseconds first{0};
    std::chrono::microseconds interval{50000};
    std::chrono::microseconds tick{1000};
  };
  struct Stats {
    uint64_t sequences = 0;
    uint64_t tokens = 0;
    uint64_t cancelled = 0;
    // How late ticks with tokens went out, of what was due in them.
    double late_ms_mean = 0;
    double late_ms_max = 0;
  };

  static Result<std::unique_ptr<ScheduledRank>> start(const Options& options);
  virtual ~ScheduledRank() = default;  // stops

  virtual uint16_t coordinator_port() const = 0;
  virtual Stats stats() const = 0;
};

}  // namespace switchyard
