#include "frontend/api/frontend.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "common/base/log.h"
#include "frontend/api/api.h"
#include "frontend/http/open_files.h"
#include "frontend/http/server.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {
namespace {

constexpr std::chrono::milliseconds kLastWords{500};

using std::chrono::milliseconds;

Result<ApiOptions> api_options_of(const config::FrontendConfig& config) {
  ApiOptions options;
  options.concurrent_requests_max = config.max_concurrent_requests;
  options.open_limits = {config.requests_per_minute, config.tokens_per_minute, config.requests_at_once, {}};
  if (!config.api_keys_file.empty()) {
    SWITCHYARD_ASSIGN(options.api_keys, read_api_keys(config.api_keys_file, options.open_limits));
  }
  for (const std::string& key : config.api_keys) options.api_keys.push_back({key, options.open_limits});
  return options;
}

class FrontendImpl final : public Frontend {
 public:
  ~FrontendImpl() override { stop(); }

  Status open(const config::ClusterConfig& config, uint32_t index) {
    drain_deadline_ = milliseconds(config.drain_deadline_ms);
    SWITCHYARD_ASSIGN(const auto model, ServedModel::load(config.model, config.frontend));
    SWITCHYARD_ASSIGN(ApiOptions api_options, api_options_of(config.frontend));
    api_options.refusals = refusals_;
    api_ = Api::make(std::move(api_options), model);
    ServerOptions options;
    options.host = config.frontend.host;
    options.port = static_cast<uint16_t>(config.frontend.port == 0 ? 0 : config.frontend.port + index);
    options.threads = config.frontend.threads;
    options.connections_max = config.frontend.max_connections;
    options.body_bytes_max = uint64_t{config.frontend.max_body_mib} << 20;
    options.head_timeout = milliseconds(config.frontend.header_timeout_ms);
    options.refusals = refusals_;
    if (const auto& f = config.frontend; !f.ssl_certfile.empty()) {
      SWITCHYARD_ASSIGN(options.tls,
                        net::Tls::server({f.ssl_certfile,
                                          f.ssl_keyfile,
                                          f.ssl_ca_certs,
                                          {"frontend.ssl_certfile", "frontend.ssl_keyfile", "frontend.ssl_ca_certs"}}));
    }
    raise_open_files_limit(options.connections_max);
    SWITCHYARD_ASSIGN(server_, HttpServer::start(options, *api_));
    SWITCHYARD_ASSIGN(std::string secret, net::load_secret(config.secret_file));
    net::Options net_options;
    SWITCHYARD_ASSIGN(net_options.tls,
                      net::internal_tls(config.tls.cert_file, config.tls.key_file, config.tls.ca_file));
    SWITCHYARD_ASSIGN(auto net, net::Service::start({wire::ROLE_FRONTEND, fmt::format("frontend {}", index)},
                                                    std::move(secret), net_options));
    pool_ = RankPool::start(
        config, std::move(net), server_->port(),
        [this] {
          return RankPool::Report{api_->requests_running(), server_->connection_count(), api_->keys().take_report()};
        },
        [this](const wire::KeyUses& uses) {
          api_->keys().others_took(uses.source(), {uses.uses().begin(), uses.uses().end()});
        },
        [] { kill(getpid(), SIGTERM); });  // what that does, main.cpp says
    api_->set_pool(pool_.get());
    log_info("frontend listens", {{"host", options.host},
                                  {"port", server_->port()},
                                  {"tls", options.tls != nullptr},
                                  {"model", model->facts().name},
                                  {"max_model_len", model->facts().max_model_len}});
    return {};
  }

  uint16_t port() const override { return server_->port(); }

  void drain() override {
    const auto deadline = std::chrono::steady_clock::now() + drain_deadline_;
    api_->begin_drain();
    server_->begin_drain();
    log_info("draining", {{"requests", api_->requests_running()}});
    const auto wait_for = [](auto until, auto done) {
      while (!done() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(5));
    };
    wait_for(deadline, [this] { return api_->requests_running() == 0; });
    if (const uint32_t left = api_->requests_running(); left > 0) {
      log_warn("the drain deadline has passed; requests end with an error", {{"requests", left}});
      pool_->end_all(fmt::format("The frontend is shutting down, and the request was not done within {} ms.",
                                 drain_deadline_.count()));
    }
    // The last answers are on their way out; clients that have read them close.
    wait_for(std::chrono::steady_clock::now() + kLastWords,
             [this] { return api_->requests_running() == 0 && server_->connection_count() == 0; });
    stop();
  }

 private:
  void stop() {
    // Sessions first: they cancel what still runs. Then no rank calls back any more.
    if (server_) server_->stop();
    if (pool_) pool_->stop();
  }

  milliseconds drain_deadline_{0};
  const std::shared_ptr<net::Refusals> refusals_ = std::make_shared<net::Refusals>();
  // Destroyed in reverse: callbacks of the pool hold jobs, whose responders point into the server.
  std::unique_ptr<Api> api_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<RankPool> pool_;
};

}  // namespace

Result<std::unique_ptr<Frontend>> Frontend::start(const config::ClusterConfig& config, uint32_t index) {
  auto frontend = std::make_unique<FrontendImpl>();
  SWITCHYARD_TRY(frontend->open(config, index));
  return std::unique_ptr<Frontend>(std::move(frontend));
}

}  // namespace switchyard::frontend
