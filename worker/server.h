// A rank as the rest of the cluster sees it: registers with the coordinator, takes requests from frontends, tells its
// peers, the other ranks of its group, when a burst begins.
//
// Threads: the net thread calls the handlers; deliver() and ask_for_burst() come from the engine thread; the rest from
// the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "worker/engine/engine.h"
#include "worker/model/weights.h"

namespace switchyard::worker {

struct RankIdentity {
  uint32_t rank_id = 0;  // in the cluster
  uint32_t index = 0;    // in its group, and in the placement
  uint32_t size = 1;     // of the group
  std::string device;    // "cpu"
  std::string backend;   // op table
  std::string model;     // architecture and directory
  uint32_t vocab_size = 0;
};

// What the coordinator decided for this rank.
struct RankAssignment {
  uint64_t epoch = 0;
  std::vector<std::vector<uint32_t>> rank_of_expert;  // (expert layers, experts)
  std::string first_rank_host;                        // of the group's first rank
  uint16_t first_rank_port = 0;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(const config::ClusterConfig& config, RankIdentity identity);
  virtual ~Server() = default;

  // Registers and waits for the assignment. Blocks.
  virtual Result<RankAssignment> join(uint32_t deadline_ms) = 0;
  // Reports of weights being loaded come from here; must outlive the server.
  virtual void watch_loading(const LoadProgress* progress) = 0;
  // From now on requests are taken and the rank is live. kv_bytes, weight_bytes: for /cluster.
  virtual void go_live(Engine* engine, uint64_t weight_bytes, uint64_t kv_bytes) = 0;
  // Requests are refused from here on; call before the engine is destroyed.
  virtual void stop() = 0;

  virtual void deliver(std::vector<EngineOutput>&& outputs) = 0;
  virtual void ask_for_burst(uint64_t burst) = 0;
};

}  // namespace switchyard::worker
