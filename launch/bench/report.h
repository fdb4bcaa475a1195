// What a benchmark says: the block and the JSON keys of `vllm bench serve` (vllm/benchmarks/serve.py), so that scripts
// that read those read these.
//
// TTFT: from sending to the first output. TPOT = (latency - TTFT) / (output tokens - 1). ITL: gaps between outputs.
// E2EL: from sending to the last output. Percentiles are linear between ranks, as numpy's. Times in ms.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "launch/bench/load.h"

namespace switchyard::launch {

struct ReportOptions {
  std::vector<std::string> metrics = {"ttft", "tpot", "itl"};  // of ttft, tpot, itl, e2el
  std::vector<double> percentiles = {99};
  std::map<std::string, double> goodput;  // metric -> ms; empty = not asked for
  double request_rate = 0;                // 0 = all at once
  uint32_t max_concurrency = 0;
};

struct Spread {
  double mean = 0, median = 0, std = 0;
  std::vector<double> percentiles;  // (ReportOptions::percentiles)
};

struct BenchReport {
  uint64_t completed = 0;
  uint64_t failed = 0;
  double duration_s = 0;
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0;
  uint64_t good = 0;                      // requests that keep every goodput limit
  std::map<std::string, Spread> spreads;  // of every metric
  double client_cpu_s = 0;
  uint32_t concurrency_max = 0;

  double per_second(uint64_t count) const { return duration_s > 0 ? static_cast<double>(count) / duration_s : 0; }
};

// Checks the lists of names: kInvalid names the flag.
Status check(const ReportOptions& options);

// input_lens: (requests) used where the server told no usage.
BenchReport make_report(const ReportOptions& options, const LoadResult& load, const std::vector<uint32_t>& input_lens);
std::string report_text(const ReportOptions& options, const BenchReport& report);
// The members, without braces around them, so that a caller can put its own before them: "duration": 1.5, ... With
// detailed those of each request: input_lens, output_lens, start_times, ttfts, itls, generated_texts, errors.
std::string report_json(const ReportOptions& options, const BenchReport& report, const LoadResult& load,
                        const std::vector<uint32_t>& input_lens, bool detailed);

}  // namespace switchyard::launch
