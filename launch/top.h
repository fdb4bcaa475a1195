// The cluster in a terminal: GET /cluster of the coordinator, drawn anew every second.
#pragma once

#include <string>

#include "common/base/result.h"
#include "launch/http_client.h"

namespace switchyard::launch {

struct TopOptions {
  std::string admin_url = "http://127.0.0.1:8001";
  std::string api_key;
  Trust trust;
  bool once = false;
  double interval_seconds = 1.0;
};

// Blocks until Ctrl-C, or for one answer with `once`.
Status run_top(const TopOptions& options);

// The body of GET /cluster as lines of text. before: the totals of the picture before, for rates; seconds 0: no rates.
struct TopTotals {
  double prompt_tokens = 0;
  double generation_tokens = 0;
};
Result<std::string> render_cluster(const std::string& body, double seconds, TopTotals& totals);

}  // namespace switchyard::launch
