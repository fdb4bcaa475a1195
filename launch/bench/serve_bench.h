// `switchyard bench serve`: how a served model keeps up with many clients. Flags and output as `vllm bench serve`.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "launch/bench/dataset.h"
#include "launch/http_client.h"

namespace switchyard::launch {

struct BenchOptions {
  std::string base_url;  // http://HOST:PORT of the next two when empty
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string backend = "openai";  // what is asked: openai and vllm completions, openai-chat chats
  std::string endpoint;            // the backend's own when empty
  std::string model;               // the first of /v1/models when empty
  Trust trust;                     // of an https base_url
  std::string api_key;             // SWITCHYARD_API_KEY or OPENAI_API_KEY of the environment when empty
  DatasetOptions dataset;
  double request_rate = std::numeric_limits<double>::infinity();  // a second; inf = all at once
  double burstiness = 1;                                          // shape of the gamma distribution of the gaps
  uint32_t max_concurrency = 0;                                   // 0 = no limit
  uint32_t num_warmups = 0;
  bool ignore_eos = false;
  bool stream = true;
  double temperature = 0;
  double request_timeout_s = 6 * 3600;
  std::vector<std::string> percentile_metrics = {"ttft", "tpot", "itl"};
  std::vector<double> metric_percentiles = {99};
  std::vector<std::string> goodput;  // "ttft:200"
  bool save_result = false;
  bool save_detailed = false;
  std::string result_dir;
  std::string result_filename;
  std::string label;
  bool disable_tqdm = false;  // no progress on stderr
};

// Prints the block on stdout. Thread: any; blocks until all is done. Fails when options are wrong, no request succeeded
// (the first one's error), or the result cannot be written.
Status run_bench(const BenchOptions& options);

}  // namespace switchyard::launch
