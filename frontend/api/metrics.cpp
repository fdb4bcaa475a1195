#include "frontend/api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <mutex>

namespace switchyard::frontend {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// vLLM's buckets, in seconds, so that dashboards carry over; the gap between tokens starts lower here.
const Buckets kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                             1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
const Buckets kBetweenTokens = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
                                0.4,   0.5,    0.75,  1,    2.5,   5,    7.5,   10,  20,   40,  80};
const Buckets kRequest = {0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};

}  // namespace

struct Metrics::Impl {
  explicit Impl(const std::string& model) : labels{{"model_name", model}} {}

  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(std::string("switchyard_") + name).Help(help).Register(registry).Add(labels);
  }
  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(std::string("switchyard_") + name).Help(help).Register(registry).Add(labels);
  }
  prometheus::Histogram& histogram(const char* name, const char* help, const Buckets& buckets) {
    return prometheus::BuildHistogram()
        .Name(std::string("switchyard_") + name)
        .Help(help)
        .Register(registry)
        .Add(labels, buckets);
  }

  const prometheus::Labels labels;
  prometheus::Registry registry;
  prometheus::Counter& prompt_tokens = counter("prompt_tokens_total", "Prompt tokens taken in");
  prometheus::Counter& generation_tokens = counter("generation_tokens_total", "Tokens generated");
  prometheus::Histogram& first_token =
      histogram("time_to_first_token_seconds", "From the request to its first token", kFirstToken);
  prometheus::Histogram& between_tokens =
      histogram("inter_token_latency_seconds", "Between two outputs of a sequence", kBetweenTokens);
  prometheus::Histogram& request = histogram("e2e_request_latency_seconds", "From the request to its end", kRequest);
  prometheus::Histogram& queue = histogram("request_queue_time_seconds", "Waiting at the rank", kRequest);
  prometheus::Histogram& prefill = histogram("request_prefill_time_seconds", "Prefill of a sequence", kRequest);
  prometheus::Histogram& decode = histogram("request_decode_time_seconds", "Decode of a sequence", kRequest);
  prometheus::Gauge& running = gauge("num_requests_running", "Sequences running on the ranks");
  prometheus::Gauge& waiting = gauge("num_requests_waiting", "Sequences waiting at the ranks");
  prometheus::Gauge& kv_usage = gauge("kv_cache_usage_perc", "KV blocks in use on the fullest rank; 1 = all");
  std::mutex pull_mutex;  // two readers at once must not both add
  prometheus::Counter& replays =
      counter("replays_total", "Sequences that another rank went on with after theirs was lost");
  prometheus::Family<prometheus::Counter>& finished = prometheus::BuildCounter()
                                                          .Name("switchyard_request_success_total")
                                                          .Help("Requests by the way they finished")
                                                          .Register(registry);
  prometheus::Family<prometheus::Counter>& refused = prometheus::BuildCounter()
                                                         .Name("switchyard_refused_connections_total")
                                                         .Help("Connections refused, by reason")
                                                         .Register(registry);
  prometheus::Family<prometheus::Counter>& http = prometheus::BuildCounter()
                                                      .Name("switchyard_http_requests_total")
                                                      .Help("HTTP answers by path and status")
                                                      .Register(registry);
};

Metrics::Metrics(const std::string& model_name) : impl_(std::make_unique<Impl>(model_name)) {
  // Series that exist from the start read 0 instead of being absent.
  for (const char* reason : {"stop", "length", "abort", "error"})
    impl_->finished.Add({{"model_name", model_name}, {"finished_reason", reason}});
}

Metrics::~Metrics() = default;

void Metrics::http_answered(const std::string& path, int status) {
  prometheus::Labels labels = impl_->labels;
  labels["path"] = path;
  labels["status"] = std::to_string(status);
  impl_->http.Add(labels).Increment();
}

void Metrics::prompt_tokens(double count) { impl_->prompt_tokens.Increment(count); }
void Metrics::generation_tokens(double count) { impl_->generation_tokens.Increment(count); }
void Metrics::time_to_first_token(double seconds) { impl_->first_token.Observe(seconds); }
void Metrics::inter_token_latency(double seconds) { impl_->between_tokens.Observe(seconds); }

void Metrics::request_finished(const std::string& reason, double e2e_seconds) {
  prometheus::Labels labels = impl_->labels;
  labels["finished_reason"] = reason;
  impl_->finished.Add(labels).Increment();
  impl_->request.Observe(e2e_seconds);
}

void Metrics::stages(double queue_seconds, double prefill_seconds, double decode_seconds) {
  impl_->queue.Observe(queue_seconds);
  impl_->prefill.Observe(prefill_seconds);
  impl_->decode.Observe(decode_seconds);
}

std::string Metrics::text(const Gauges& gauges) const {
  impl_->running.Set(gauges.requests_running);
  impl_->waiting.Set(gauges.requests_waiting);
  impl_->kv_usage.Set(gauges.kv_cache_usage);
  {
    const std::lock_guard lock(impl_->pull_mutex);
    for (size_t i = 0; i < gauges.refusals.size(); ++i) {
      prometheus::Counter& counter = impl_->refused.Add({{"reason", net::kRefusalNames[i]}});
      counter.Increment(std::max(0.0, static_cast<double>(gauges.refusals[i]) - counter.Value()));
    }
    impl_->replays.Increment(std::max(0.0, gauges.replays - impl_->replays.Value()));
  }
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace switchyard::frontend
