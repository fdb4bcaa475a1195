// Sends requests to a model server on a schedule and notes when each piece of their answers arrives.
//
// One thread and one epoll set for all connections, so that many thousands of streams cost one process little: a read
// system call an event, and no allocation for it. Connections are kept and used again, as aiohttp does for vLLM's tool.
//
// Thread: the caller's; blocks until every request has ended. Bounded: open connections by max_concurrency and the
// process's limit of open files (kInvalid when that is too low), connections in the making by 256.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "launch/http_client.h"

namespace switchyard::launch {

struct LoadRequest {
  double send_at = 0;  // seconds from the start; a request waits longer when max_concurrency are in the works
  std::string body;    // JSON
};

struct LoadOptions {
  Url url;
  std::string endpoint;                 // "/v1/completions"
  std::string bearer;                   // "" = none
  uint32_t max_concurrency = 0;         // 0 = no limit
  double request_timeout_s = 6 * 3600;  // from sending a request to its answer's end
  bool keep_texts = false;
  std::function<void(size_t done)> on_progress;  // about once a second; may be empty
};

// Times are of CLOCK_MONOTONIC, in seconds.
struct RequestRecord {
  bool ok = false;
  double start = 0;            // when it was sent
  double ttft = 0;             // to the first output
  double latency = 0;          // to the last output
  std::vector<float> itls;     // gaps between outputs
  uint64_t output_count = 0;   // chunks that were outputs
  int64_t prompt_tokens = -1;  // by the server's usage; -1 = not told
  int64_t completion_tokens = -1;
  std::string text;   // when keep_texts
  std::string error;  // when not ok
};

struct LoadResult {
  double duration = 0;     // from the first request to the last one's end
  double cpu_seconds = 0;  // of this thread
  uint32_t concurrency_max = 0;
  std::vector<RequestRecord> records;  // in the order of the requests
};

// requests: ordered by send_at.
Result<LoadResult> run_load(const LoadOptions& options, const std::vector<LoadRequest>& requests);

}  // namespace switchyard::launch
