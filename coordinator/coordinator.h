// The control plane of one cluster: takes registrations, hands out placement and epochs, tells frontends where the
// ranks are, shows it all over HTTP. It never touches a tensor, and is never on the way of a token: ranks and frontends
// go on without it.
//
// Thread: start() and the destructor from one thread, not the net thread; everything runs on its net thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"

namespace switchyard::coordinator {

// What of the model matters here.
struct ModelFacts {
  std::string architecture;
  uint32_t expert_layer_count = 0;
  uint32_t expert_count = 0;
};

class Coordinator {
 public:
  // Listens on both ports when it returns; port 0 = any free one. Fails on a placement that cannot be, or a port that
  // cannot be had.
  static Result<std::unique_ptr<Coordinator>> start(const config::ClusterConfig& config, const ModelFacts& model,
                                                    const std::string& secret);
  // Over a given service and without the admin port, of which admin_port() then says 0.
  static Result<std::unique_ptr<Coordinator>> start(const config::ClusterConfig& config, const ModelFacts& model,
                                                    std::unique_ptr<net::Service> service);
  virtual ~Coordinator() = default;  // stops

  virtual uint16_t port() const = 0;
  virtual uint16_t admin_port() const = 0;
};

}  // namespace switchyard::coordinator
