#include "coordinator/coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <future>
#include <map>
#include <utility>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/net.h"
#include "common/net/refusals.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"
#include "coordinator/admin_server.h"
#include "coordinator/expert_load.h"
#include "coordinator/membership.h"
#include "coordinator/placement.h"
#include "coordinator/slow_ranks.h"
#include "coordinator/views.h"

namespace switchyard::coordinator {
namespace {

using std::chrono::milliseconds;

// Loads reach the frontends at least this often.
constexpr milliseconds kRoutingInterval{1000};

std::string model_name(const config::ModelConfig& model) {
  if (!model.served_model_name.empty()) return model.served_model_name;
  auto path = model.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.find_last_of('/') + 1);
}

// Ranks of one MPI job end together: a group of them begins anew or not at all.
uint32_t ranks_min(const config::WorkerConfig& worker) {
  return worker.exchange == "mpi" ? worker.data_parallel_size : std::min(worker.min_ranks, worker.data_parallel_size);
}

std::vector<ExpertLoad> loads_of(const Membership& membership) {
  std::vector<ExpertLoad> loads;
  for (const auto& group : membership.groups()) loads.emplace_back(membership.placement(group.group()));
  return loads;
}

class CoordinatorImpl final : public Coordinator {
 public:
  CoordinatorImpl(const config::ClusterConfig& config, const ModelFacts& model, ExpertPlacement placement,
                  std::unique_ptr<net::Service> service)
      : config_(config),
        model_(model),
        heartbeat_(std::max<uint32_t>(config.heartbeat_ms, 10)),
        service_(std::move(service)),
        membership_(std::move(placement), config.worker.groups, ranks_min(config.worker), heartbeat_),
        loads_(loads_of(membership_)),
        slow_(config.worker.groups, SlowRanks(config.worker.data_parallel_size)) {}

  ~CoordinatorImpl() override {
    // The handlers use what is below: nothing of it may go before they have ended.
    if (admin_) {
      std::promise<void> closed;
      service_->post([&] {
        admin_->stop();
        closed.set_value();
      });
      closed.get_future().wait();
    }
    service_->stop();
  }

  Status open_admin();
  Status open();
  uint16_t port() const override { return port_; }
  uint16_t admin_port() const override { return admin_ ? admin_->port() : 0; }

 private:
  void on_frame(const net::ConnectionPtr& from, wire::Frame& frame);
  void on_register_rank(const net::ConnectionPtr& from, const wire::RegisterRank& registration);
  void on_rank_report(const net::ConnectionPtr& from, const wire::RankReport& report);
  void on_register_frontend(const net::ConnectionPtr& from, const wire::RegisterFrontend& registration);
  // So that frontends keep their clients' limits together.
  void pass_on_key_uses(const net::ConnectionPtr& from, const wire::FrontendReport& report);
  void on_close(const net::ConnectionPtr& connection);
  // A rank for which all wait is better lost, when it can be spared.
  void look_for_slowness(const Rank& rank);
  // Ranks of an MPI job end together: when one leaves, all drain.
  void drain_with(const Rank& leaving);
  void tick();
  void settle();
  void send_routing(bool always);
  bool send_drain(ConnectionId connection) const;
  AdminReply answer(const AdminRequest& request) const;
  AdminReply drain(const std::string& body) const;

  const config::ClusterConfig config_;
  const ModelFacts model_;
  const milliseconds heartbeat_;
  const Time started_ = now();
  uint16_t port_ = 0;
  const std::unique_ptr<net::Service> service_;
  std::unique_ptr<AdminServer> admin_;

  // The net thread's own.
  Membership membership_;
  std::vector<ExpertLoad> loads_;  // by group
  std::vector<SlowRanks> slow_;    // by group
  std::map<ConnectionId, net::ConnectionPtr> connections_;
  uint64_t sent_version_ = 0;
};

// On the net thread, whose data its handler reads.
Status CoordinatorImpl::open_admin() {
  net::TlsPtr tls;
  if (const auto& c = config_.coordinator; !c.admin_ssl_certfile.empty()) {
    SWITCHYARD_ASSIGN(tls, net::Tls::server({c.admin_ssl_certfile,
                                             c.admin_ssl_keyfile,
                                             "",
                                             {"coordinator.admin_ssl_certfile", "coordinator.admin_ssl_keyfile", ""}}));
  }
  std::promise<Status> listening;
  service_->post([&] {
    auto admin = AdminServer::start(service_->io_context(), config_.coordinator.admin_host,
                                    config_.coordinator.admin_port, config_.coordinator.admin_api_key,
                                    [this](const AdminRequest& request) { return answer(request); },
                                    {tls, service_->refusals()});
    if (!admin.ok()) return listening.set_value(admin.error());
    admin_ = std::move(admin).value();
    listening.set_value({});
  });
  return listening.get_future().get();
}

Status CoordinatorImpl::open() {
  net::Handlers handlers;
  handlers.on_open = [this](const net::ConnectionPtr& connection) { connections_[connection->id()] = connection; };
  handlers.on_frame = [this](const net::ConnectionPtr& from, wire::Frame& frame) { on_frame(from, frame); };
  handlers.on_close = [this](const net::ConnectionPtr& connection, const Error&) { on_close(connection); };
  SWITCHYARD_ASSIGN(port_, service_->listen(config_.coordinator.host, config_.coordinator.port, std::move(handlers)));
  service_->every(std::min(heartbeat_, kRoutingInterval), [this] { tick(); });
  return {};
}

void CoordinatorImpl::on_frame(const net::ConnectionPtr& from, wire::Frame& frame) {
  const auto role = from->peer().role;
  switch (frame.body_case()) {
    case wire::Frame::kRegisterRank:
      if (role == wire::ROLE_WORKER) return on_register_rank(from, frame.register_rank());
      break;
    case wire::Frame::kRankReport:
      if (role == wire::ROLE_WORKER) return on_rank_report(from, frame.rank_report());
      break;
    case wire::Frame::kRegisterFrontend:
      if (role == wire::ROLE_FRONTEND) return on_register_frontend(from, frame.register_frontend());
      break;
    case wire::Frame::kFrontendReport:
      if (role == wire::ROLE_FRONTEND && membership_.report(from->id(), frame.frontend_report()).ok())
        return pass_on_key_uses(from, frame.frontend_report());
      break;
    case wire::Frame::kLauncherReport:
      if (role == wire::ROLE_LAUNCHER && membership_.report(from->id(), frame.launcher_report()).ok()) return;
      break;
    default: break;
  }
  service_->refusals()->add(net::Refusal::kRole,
                            fmt::format("{} ({}): frame {} is not its role's", from->peer().name, from->peer().address,
                                        static_cast<int>(frame.body_case())));
  from->close();
}

void CoordinatorImpl::on_register_rank(const net::ConnectionPtr& from, const wire::RegisterRank& registration) {
  const Time now = switchyard::now();
  const auto* replaced = membership_.rank(registration.rank_id());
  const ConnectionId old_connection = replaced != nullptr ? replaced->connection : 0;
  if (const auto status = membership_.register_rank(from->id(), registration, now); !status.ok()) {
    log_warn("rank refused", {{"rank", registration.rank_id()},
                              {"pid", registration.pid()},
                              {"address", from->peer().address},
                              {"cause", status.error().message}});
    wire::Frame frame;
    frame.mutable_assignment()->set_error(status.error().message);
    from->send(frame);
    from->close();
    return;
  }
  if (old_connection != 0 && connections_.contains(old_connection)) connections_[old_connection]->close();
  slow_[registration.rank_id() / membership_.placement().rank_count].begin(registration.rank_id() %
                                                                           membership_.placement().rank_count);
  log_info("rank registered", {{"rank", registration.rank_id()},
                               {"pid", registration.pid()},
                               {"address", fmt::format("{}:{}", registration.host(), registration.port())},
                               {"device", registration.device()},
                               {"backend", registration.backend()},
                               {"epoch", membership_.epoch()}});
  // Its first report may be right behind.
  service_->after(kFirstReportGrace + milliseconds(1), [this] { settle(); });
  settle();
}

void CoordinatorImpl::on_rank_report(const net::ConnectionPtr& from, const wire::RankReport& report) {
  const Time now = switchyard::now();
  const Rank* rank = membership_.rank_of(from->id());
  const bool leaves = report.state() == wire::RANK_LEAVING && rank != nullptr && rank->state != wire::RANK_LEAVING;
  if (!membership_.report(from->id(), report, now).ok()) {
    // A rank that was found dead and went on, or a rank that was replaced: it shall register again.
    from->close();
    return;
  }
  if (leaves) drain_with(*rank);
  look_for_slowness(*rank);
  const uint32_t rank_id = rank->rank_id;
  const uint32_t group_size = membership_.placement().rank_count;
  if (!report.expert_tokens().empty() &&
      !loads_[rank_id / group_size].update(
          rank_id % group_size, {report.expert_tokens().data(), static_cast<size_t>(report.expert_tokens_size())},
          now)) {
    log_debug("expert counts of another shape ignored", {{"rank", rank_id}, {"count", report.expert_tokens_size()}});
  }
  settle();
}

void CoordinatorImpl::on_register_frontend(const net::ConnectionPtr& from, const wire::RegisterFrontend& registration) {
  membership_.register_frontend(from->id(), registration);
  log_info("frontend registered",
           {{"pid", registration.pid()}, {"address", fmt::format("{}:{}", registration.host(), registration.port())}});
  if (!membership_.complete()) return;
  wire::Frame frame;
  *frame.mutable_routing_table() = membership_.routing_table();
  from->send(frame);
}

void CoordinatorImpl::pass_on_key_uses(const net::ConnectionPtr& from, const wire::FrontendReport& report) {
  if (report.key_uses().empty() || membership_.frontends().size() < 2) return;
  wire::Frame frame;
  frame.mutable_key_uses()->set_source(from->id());
  *frame.mutable_key_uses()->mutable_uses() = report.key_uses();
  for (const auto& [connection, frontend] : membership_.frontends()) {
    const auto to = connections_.find(connection);
    if (connection != from->id() && to != connections_.end()) to->second->send(frame);
  }
}

void CoordinatorImpl::on_close(const net::ConnectionPtr& connection) {
  connections_.erase(connection->id());
  if (membership_.frontends().contains(connection->id())) log_info("frontend gone", {{"pid", connection->peer().pid}});
  membership_.disconnected(connection->id());
  settle();
}

bool CoordinatorImpl::send_drain(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return false;
  wire::Frame frame;
  frame.mutable_drain();
  return found->second->send(frame);
}

void CoordinatorImpl::look_for_slowness(const Rank& rank) {
  const uint32_t group_size = membership_.placement().rank_count;
  const uint32_t index = rank.rank_id % group_size;
  SlowRanks& slow = slow_[rank.rank_id / group_size];
  if (!rank.member) return;
  const SlowRanks::Verdict verdict = slow.report(index, rank.report, now());
  if (verdict == SlowRanks::Verdict::kNone) return;
  const std::string cause =
      fmt::format("its steps take {:.0f} times as long as usual, and the others wait for it", slow.times_usual(index));
  if (verdict == SlowRanks::Verdict::kSlow) return log_warn("rank is slow", {{"rank", rank.rank_id}, {"cause", cause}});
  const ConnectionId connection = rank.connection;
  if (!config_.worker.give_up_slow_ranks || !membership_.give_up(rank.rank_id, cause)) return;
  slow.begin(index);
  wire::Frame frame;
  frame.mutable_assignment()->set_release(true);
  frame.mutable_assignment()->set_error(cause);
  connections_.at(connection)->send(frame);
  connections_.at(connection)->close();
}

void CoordinatorImpl::drain_with(const Rank& leaving) {
  if (config_.worker.exchange != "mpi") return;
  for (const auto& rank : membership_.groups()[leaving.rank_id / membership_.placement().rank_count].ranks())
    if (rank.connection != 0 && rank.state == wire::RANK_LIVE) send_drain(rank.connection);
}

void CoordinatorImpl::tick() {
  for (const auto id : membership_.tick(now())) {
    if (const auto found = connections_.find(id); found != connections_.end()) found->second->close();
  }
  settle();
  send_routing(true);
}

// After every event: hand out placements whose time has come, and tell the frontends of changes.
void CoordinatorImpl::settle() {
  const auto send = [&](ConnectionId connection, const wire::Frame& frame) {
    if (const auto found = connections_.find(connection); found != connections_.end()) found->second->send(frame);
  };
  const auto send_all = [&](std::vector<std::pair<ConnectionId, wire::Assignment>> assignments) {
    for (auto& [connection, assignment] : assignments) {
      wire::Frame frame;
      *frame.mutable_assignment() = std::move(assignment);
      send(connection, frame);
    }
  };
  send_all(membership_.prepare(now()));
  send_all(membership_.release());
  for (const uint32_t group : membership_.assignments_due()) {
    wire::Frame frame;
    *frame.mutable_assignment() = membership_.assign(group);
    for (const auto& rank : membership_.groups()[group].ranks())
      if (rank.member) send(rank.connection, frame);
  }
  send_routing(false);
}

void CoordinatorImpl::send_routing(bool always) {
  if (!always && membership_.version() == sent_version_) return;
  sent_version_ = membership_.version();
  if (membership_.frontends().empty() || !membership_.complete()) return;
  wire::Frame frame;
  *frame.mutable_routing_table() = membership_.routing_table();
  for (const auto& [id, frontend] : membership_.frontends()) {
    if (const auto found = connections_.find(id); found != connections_.end()) found->second->send(frame);
  }
}

AdminReply CoordinatorImpl::answer(const AdminRequest& request) const {
  const std::string& path = request.path;
  if (request.is_post) {
    if (path == "/drain") return drain(request.body);
    return admin_error(404, "Nothing takes a POST there: try /drain.", "not_found");
  }
  const View view{membership_,
                  loads_,
                  slow_,
                  config_.name,
                  model_name(config_.model),
                  model_.architecture,
                  started_,
                  now(),
                  service_->refusals()->counts()};
  if (path == "/cluster") return {200, "application/json", cluster_json(view)};
  if (path == "/placement") return {200, "application/json", placement_json(view)};
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(view)};
  if (path == "/health") return {200, "application/json", R"({"status":"ok"})"};
  if (path == "/") return {200, "text/html; charset=utf-8", page_html(view)};
  return admin_error(404, "There is no such page: try /cluster, /placement, /metrics or /health.", "not_found");
}

// {"rank_id": 2}, {"frontend_port": 8001} or {"all": true}: that process, or the cluster, ends as after SIGTERM; a
// single process is started again by the launcher.
AdminReply CoordinatorImpl::drain(const std::string& body) const {
  namespace json = boost::json;
  boost::system::error_code ec;
  const json::value parsed = json::parse(body, ec);
  const json::object* fields = ec ? nullptr : parsed.if_object();
  if (fields == nullptr || fields->size() != 1) {
    return admin_error(400,
                       R"(The body names what is to drain: {"rank_id": 0}, {"frontend_port": 8000} or {"all": true}.)",
                       "invalid_request");
  }
  const auto& [key, value] = *fields->begin();
  const auto number = value.to_number<uint32_t>(ec);
  ConnectionId target = 0;
  if (key == "rank_id" && !ec) {
    const Rank* rank = membership_.rank(number);
    if (rank != nullptr) target = rank->connection;
  } else if (key == "frontend_port" && !ec) {
    for (const auto& [connection, frontend] : membership_.frontends())
      if (frontend.registration.port() == number) target = connection;
  } else if (key == "all" && value.is_bool() && value.get_bool()) {
    target = membership_.launcher_connection();
  } else {
    return admin_error(400, fmt::format("{}: is not a thing to drain, or has no such value.", std::string(key)),
                       "invalid_request");
  }
  if (!send_drain(target))
    return admin_error(
        404, fmt::format("{}: nothing of that is here now: {}", std::string(key), json::serialize(value)), "not_found");
  log_info("drain asked for", {{"what", body}});
  return {202, "application/json", R"({"status":"draining"})"};
}

Result<std::unique_ptr<CoordinatorImpl>> make(const config::ClusterConfig& config, const ModelFacts& model,
                                              std::unique_ptr<net::Service> service) {
  SWITCHYARD_ASSIGN(auto placement, place_experts(config.worker.placement, model.expert_layer_count, model.expert_count,
                                                  config.worker.data_parallel_size));
  return std::make_unique<CoordinatorImpl>(config, model, std::move(placement), std::move(service));
}

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::start(const config::ClusterConfig& config, const ModelFacts& model,
                                                        const std::string& secret) {
  net::Options options;
  SWITCHYARD_ASSIGN(options.tls, net::internal_tls(config.tls.cert_file, config.tls.key_file, config.tls.ca_file));
  SWITCHYARD_ASSIGN(auto service, net::Service::start({wire::ROLE_COORDINATOR, "coordinator"}, secret, options));
  SWITCHYARD_ASSIGN(auto coordinator, make(config, model, std::move(service)));
  SWITCHYARD_TRY(coordinator->open_admin());  // first: when ranks can come in, both ports are there
  SWITCHYARD_TRY(coordinator->open());
  return std::unique_ptr<Coordinator>(std::move(coordinator));
}

Result<std::unique_ptr<Coordinator>> Coordinator::start(const config::ClusterConfig& config, const ModelFacts& model,
                                                        std::unique_ptr<net::Service> service) {
  SWITCHYARD_ASSIGN(auto coordinator, make(config, model, std::move(service)));
  SWITCHYARD_TRY(coordinator->open());
  return std::unique_ptr<Coordinator>(std::move(coordinator));
}

}  // namespace switchyard::coordinator
