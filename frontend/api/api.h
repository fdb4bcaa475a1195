// The API's endpoints: who may call them, what they answer. The RequestHandler of a frontend's HttpServer.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/net/refusals.h"
#include "frontend/answers/served_model.h"
#include "frontend/api/api_keys.h"
#include "frontend/api/metrics.h"
#include "frontend/http/http.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {

struct ApiOptions {
  std::vector<ApiKey> api_keys;  // empty = none asked for
  KeyLimits open_limits;         // of everybody together, when no key is asked for
  uint32_t concurrent_requests_max = 4096;
  size_t stored_responses_bytes_max = 64U << 20;       // of /v1/responses, in all
  std::shared_ptr<const net::Refusals> refusals = {};  // of the server, for the metrics
};

class Api : public RequestHandler {
 public:
  static std::unique_ptr<Api> make(ApiOptions options, std::shared_ptr<const ServedModel> model);

  // Once, before any request arrives or right after: until then there is no rank.
  virtual void set_pool(RankPool* pool) = 0;
  // From now on generation is refused with 503, as is /ready.
  virtual void begin_drain() = 0;
  // Generation requests in the works.
  virtual uint32_t requests_running() const = 0;
  virtual ApiKeys& keys() = 0;
  // All of them, as "POST /v1/completions"; a path may end in a parameter, as OpenAPI writes it.
  virtual std::vector<std::string> endpoints() const = 0;
};

}  // namespace switchyard::frontend
