// One rank, from joining the cluster to its end: it is told what to load, loads it, and goes with its group from epoch
// to epoch. How it reaches the others is given to it: the frames by a net::Service, the exchanges by an ExchangeMaker.
//
// Threads: start() and run() on one thread, which becomes the engine's; drain() on any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/checkpoint.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"
#include "worker/engine/engine.h"
#include "worker/exchange/exchange_maker.h"
#include "worker/model/model.h"
#include "worker/place.h"
#include "worker/server.h"

namespace switchyard::worker {

class Rank {
 public:
  // Listens for frontends and other ranks. config, checkpoint and ops must outlive it.
  static Result<std::unique_ptr<Rank>> start(const config::ClusterConfig& config,
                                             const checkpoint::Checkpoint& checkpoint, const kernels::OpTable& ops,
                                             const Place& place, std::unique_ptr<net::Service> net,
                                             std::unique_ptr<ExchangeMaker> exchanges, EndProcess end_process);

  // Returns after drain(), or with the cause of a start that failed, or of an MPI group's end; other groups' ranks wait
  // for the epoch that goes on without who was lost.
  Status run();
  // As Server::drain(); before the first epoch, the rank leaves once it has loaded.
  void drain() { server_->drain(); }

 private:
  Rank(const config::ClusterConfig& config, const checkpoint::Checkpoint& checkpoint, const kernels::OpTable& ops,
       const Place& place, std::unique_ptr<ExchangeMaker> exchanges);

  Status load(const std::vector<LayerPlacement>& placement);
  Status plan(const std::vector<LayerPlacement>& placement);
  Status take_part(const RankAssignment& assignment, const std::vector<LayerPlacement>& placement, uint32_t here,
                   const Epoch& epoch);
  void make_engine(const std::vector<LayerPlacement>& placement, Exchange& exchange, const Epoch& epoch);

  const config::ClusterConfig& config_;
  const checkpoint::Checkpoint& checkpoint_;
  const checkpoint::ModelSpec& spec_;
  const kernels::OpTable& ops_;
  const Place place_;
  const uint32_t threads_;
  const uint32_t max_model_len_;
  const WeightForms forms_;
  const KvGrouping grouping_;
  const std::unique_ptr<ExchangeMaker> exchanges_;
  kernels::ThreadPool pool_;

  std::vector<KvGroup> kv_groups_;
  std::optional<KvMemory> kv_memory_;
  std::optional<KvCache> kv_;
  LoadProgress progress_;
  std::unique_ptr<ModelWeights> weights_;
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;  // goes first: its net thread uses the engine
};

}  // namespace switchyard::worker
