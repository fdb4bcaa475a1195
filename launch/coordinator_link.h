// What the launcher and the coordinator say to each other: which processes run, wait to be started again or are given
// up, for /cluster; and that the cluster is to stop.
//
// Thread: one, for start() and tell(). A coordinator that comes back is told the latest.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/result.h"
#include "common/net/net.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::launch {

class CoordinatorLink {
 public:
  // Connects in the background, again and again. on_drain: the whole cluster is to stop; on a thread of its own.
  static Result<std::unique_ptr<CoordinatorLink>> start(const std::string& host, uint16_t port,
                                                        const std::string& secret, net::TlsPtr tls,
                                                        std::function<void()> on_drain);
  ~CoordinatorLink();

  void tell(wire::LauncherReport report);

 private:
  CoordinatorLink() = default;

  std::mutex mutex_;  // guards the two below
  net::ConnectionPtr coordinator_;
  wire::Frame latest_;
  std::unique_ptr<net::Service> service_;
};

}  // namespace switchyard::launch
