#include "launch/coordinator_link.h"

#include <utility>

namespace switchyard::launch {

Result<std::unique_ptr<CoordinatorLink>> CoordinatorLink::start(const std::string& host, uint16_t port,
                                                                const std::string& secret, net::TlsPtr tls,
                                                                std::function<void()> on_drain) {
  std::unique_ptr<CoordinatorLink> link(new CoordinatorLink());
  net::Options options;
  options.tls = std::move(tls);
  SWITCHYARD_ASSIGN(link->service_, net::Service::start({wire::ROLE_LAUNCHER, "launcher"}, secret, options));
  net::Handlers handlers;
  handlers.on_open = [self = link.get()](const net::ConnectionPtr& to) {
    const std::lock_guard lock(self->mutex_);
    self->coordinator_ = to;
    if (self->latest_.has_launcher_report()) to->send(self->latest_);
  };
  handlers.on_frame = [on_drain = std::move(on_drain)](const net::ConnectionPtr&, wire::Frame& frame) {
    if (frame.has_drain()) on_drain();
  };
  handlers.on_close = [self = link.get()](const net::ConnectionPtr&, const Error&) {
    const std::lock_guard lock(self->mutex_);
    self->coordinator_ = nullptr;
  };
  link->service_->connect(host, port, std::move(handlers));
  return link;
}

CoordinatorLink::~CoordinatorLink() {
  if (service_) service_->stop();
}

void CoordinatorLink::tell(wire::LauncherReport report) {
  const std::lock_guard lock(mutex_);
  *latest_.mutable_launcher_report() = std::move(report);
  if (coordinator_) coordinator_->send(latest_);
}

}  // namespace switchyard::launch
