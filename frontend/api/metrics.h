// What GET /metrics shows of a frontend, under vLLM's names with the prefix switchyard_. Thread: any. Bounded: labels
// are closed lists.
#pragma once

#include <memory>
#include <string>

#include "common/net/refusals.h"

namespace switchyard::frontend {

class Metrics {
 public:
  // Values that are asked for when the page is.
  struct Gauges {
    double requests_running = 0;
    double requests_waiting = 0;
    double kv_cache_usage = 0;  // 0..1
    double replays = 0;         // since the start
    net::Refusals::Counts refusals = {};
  };

  explicit Metrics(const std::string& model_name);
  ~Metrics();

  void http_answered(const std::string& path, int status);  // path: a known route, or "other"
  void prompt_tokens(double count);
  void generation_tokens(double count);
  void time_to_first_token(double seconds);
  void inter_token_latency(double seconds);
  void request_finished(const std::string& reason, double e2e_seconds);  // stop, length, abort, error
  // One sequence's stages, as its rank measured them.
  void stages(double queue_seconds, double prefill_seconds, double decode_seconds);

  std::string text(const Gauges& gauges) const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard::frontend
