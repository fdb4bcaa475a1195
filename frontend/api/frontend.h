// A whole frontend: model, API, HTTP server and the ranks behind it, from start to drained.
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/result.h"
#include "common/config/cluster_config.h"

namespace switchyard::frontend {

class Frontend {
 public:
  // Listens on frontend.port + index (port 0: any free one) when it returns; ranks are found in the background. Blocks
  // while the tokenizer loads.
  static Result<std::unique_ptr<Frontend>> start(const config::ClusterConfig& config, uint32_t index);
  virtual ~Frontend() = default;  // stops at once

  virtual uint16_t port() const = 0;
  // Refuses new requests and waits until the running ones are done, for at most drain_deadline_ms; then stops. Blocks.
  virtual void drain() = 0;
};

}  // namespace switchyard::frontend
