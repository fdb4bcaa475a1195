// A rank as the rest of the cluster sees it: registers with the coordinator, follows it from epoch to epoch, takes
// requests from frontends, tells its peers, the other ranks of its group, when a burst begins (burst_relay.h).
//
// Threads: the net thread calls the handlers; deliver() and ask_for_burst() come from the engine thread; stop_waiting()
// from any; the rest from the main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "worker/engine/engine.h"
#include "worker/model/weights.h"
#include "worker/rank_assignment.h"

namespace switchyard::worker {

struct RankIdentity {
  uint32_t rank_id = 0;        // in the cluster
  uint32_t index = 0;          // in its group, and in the placement
  uint32_t size = 1;           // of the group
  std::string device;          // "cpu"
  std::string backend;         // op table
  std::string model;           // architecture and directory
  std::string checkpoint;      // its fingerprint
  uint16_t exchange_port = 0;  // where peers reach it; 0: nowhere
  uint32_t vocab_size = 0;
};

// Ends the process at once, for this reason: its engine does not come back.
using EndProcess = std::function<void(const std::string& why)>;

class Server {
 public:
  // Listens on any free port of worker.listen_host.
  static Result<std::unique_ptr<Server>> start(const config::ClusterConfig& config, RankIdentity identity,
                                               std::unique_ptr<net::Service> net, EndProcess end_process);
  virtual ~Server() = default;

  // Registers and waits to be told what to load: without epoch and members. Blocks.
  virtual Result<RankAssignment> join(uint32_t deadline_ms) = 0;
  // The weights are there: from now on the rank can take part in an epoch.
  virtual void prepared() = 0;
  // Waits for an epoch after the given one. Nothing: the rank was released, and ends.
  virtual std::optional<RankAssignment> next_epoch(uint64_t after) = 0;
  // Not ok: the coordinator has given the rank up, and why.
  virtual Status why_released() const = 0;
  // The latest epoch that the coordinator has told of: what the ranks' waits look at (worker/exchange/epoch.h).
  virtual const std::atomic<uint64_t>& latest_epoch() const = 0;
  // Reports of weights being loaded come from here; must outlive the server.
  virtual void watch_loading(const LoadProgress* progress) = 0;
  // The rank takes part in the epoch. From the first one on requests are taken. kv_bytes, weight_bytes: for /cluster.
  virtual void enter(const RankAssignment& assignment, Engine* engine, uint64_t weight_bytes, uint64_t kv_bytes) = 0;
  // Its exchange broke, or could not be made: the rank asks for another epoch, and keeps what it has meanwhile.
  virtual void leave(uint64_t epoch) = 0;
  // From here on new requests are refused; once those that are here have ended, or after drain_deadline_ms (frontends
  // go on with the rest elsewhere), the group goes on without the rank, and next_epoch() gives nothing. Where MPI
  // carries the exchange the engine is stopped instead. A second time: at once.
  virtual void drain() = 0;
  // Requests are refused from here on; call before the engine is destroyed.
  virtual void stop() = 0;

  virtual void deliver(std::vector<EngineOutput>&& outputs) = 0;
  virtual void ask_for_burst(uint64_t epoch, uint64_t burst) = 0;
};

}  // namespace switchyard::worker
