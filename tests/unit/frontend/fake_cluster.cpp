#include "tests/unit/frontend/fake_cluster.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/frontend/http_client.h"
#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

const std::string kSecret = "the secret of the tests";

std::string make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "switchyard-http-XXXXXX").string();
  SWITCHYARD_CHECK(::mkdtemp(name.data()) != nullptr);
  const std::string file = name + "/secret";
  std::ofstream(file) << kSecret;
  SWITCHYARD_CHECK(::chmod(file.c_str(), 0600) == 0);
  return name;
}

}  // namespace

int32_t byte_token(unsigned char byte) {
  // GPT-2's alphabet: '!'..'~', then 0xA1..0xAC and 0xAE..0xFF stand for themselves and come first; the others follow.
  if (byte >= 0x21 && byte <= 0x7E) return 10 + byte - 0x21;
  if (byte >= 0xA1 && byte <= 0xAC) return 104 + byte - 0xA1;
  if (byte >= 0xAE) return 116 + byte - 0xAE;
  if (byte <= 0x20) return 198 + byte;
  if (byte == 0xAD) return 265;
  return 231 + byte - 0x7F;
}

std::vector<int32_t> byte_tokens(std::string_view bytes) {
  std::vector<int32_t> ids;
  for (const char byte : bytes) ids.push_back(byte_token(static_cast<unsigned char>(byte)));
  return ids;
}

std::string model_directory() { return std::string(SWITCHYARD_TEST_DATA) + "/golden/qwen3-moe-tiny"; }

wire::Output output_of_ids(const std::vector<int32_t>& ids, wire::FinishReason finish) {
  wire::Output output;
  output.mutable_token_ids()->Add(ids.begin(), ids.end());
  output.set_finish(finish);
  return output;
}

wire::Output output_of(std::string_view bytes, wire::FinishReason finish) {
  return output_of_ids(byte_tokens(bytes), finish);
}

wire::Output error_output(uint32_t status, const std::string& why) {
  wire::Output output;
  output.set_finish(wire::FINISH_ERROR);
  output.set_error(why);
  output.set_error_status(status);
  return output;
}

// --- rank ------------------------------------------------------------------------------------------------------------

FakeRank::FakeRank(uint32_t id) : id_(id) {
  auto service = net::Service::start({wire::ROLE_WORKER, fmt::format("worker {}", id)}, kSecret);
  SWITCHYARD_CHECK(service.ok());
  service_ = std::move(service).value();
  net::Handlers handlers;
  handlers.on_frame = [this](const net::ConnectionPtr& from, wire::Frame& frame) {
    std::unique_lock lock(mutex_);
    frontend_ = from;
    if (frame.has_cancel()) cancels_.push_back(frame.cancel().request_id());
    const Answer answer = answer_;
    if (frame.has_generate()) {
      generates_.push_back(frame.generate());
      ++generate_count_;
    }
    changed_.notify_all();
    lock.unlock();
    if (!frame.has_generate() || !answer) return;
    // One frame each, as one step of the engine after another.
    for (wire::Output& output : answer(frame.generate())) {
      if (output.request_id() == 0) output.set_request_id(frame.generate().request_id());
      wire::Frame out;
      *out.mutable_outputs()->add_outputs() = output;
      from->send(out);
    }
  };
  auto port = service_->listen("127.0.0.1", 0, std::move(handlers));
  SWITCHYARD_CHECK(port.ok());
  port_ = *port;
}

FakeRank::~FakeRank() { kill(); }

void FakeRank::kill() { service_->stop(); }

void FakeRank::answer_with(Answer answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

void FakeRank::send(uint64_t request_id, wire::Output output) {
  output.set_request_id(request_id);
  wire::Frame frame;
  *frame.mutable_outputs()->add_outputs() = std::move(output);
  const std::lock_guard lock(mutex_);
  SWITCHYARD_CHECK(frontend_ != nullptr);
  frontend_->send(frame);
}

wire::Generate FakeRank::wait_generate() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return !generates_.empty(); })) return {};
  wire::Generate generate = std::move(generates_.front());
  generates_.pop_front();
  return generate;
}

uint64_t FakeRank::wait_cancel() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return !cancels_.empty(); })) return 0;
  const uint64_t id = cancels_.front();
  cancels_.pop_front();
  return id;
}

size_t FakeRank::generate_count() {
  const std::lock_guard lock(mutex_);
  return generate_count_;
}

// --- cluster ---------------------------------------------------------------------------------------------------------

FakeCluster::FakeCluster(uint32_t rank_count) : directory_(make_directory()) {
  for (uint32_t i = 0; i < rank_count; ++i) ranks_.push_back(std::make_unique<FakeRank>(i));
  auto service = net::Service::start({wire::ROLE_COORDINATOR, "coordinator"}, kSecret);
  SWITCHYARD_CHECK(service.ok());
  coordinator_ = std::move(service).value();
  publish(wire::RANK_LIVE);
  net::Handlers handlers;
  handlers.on_frame = [this](const net::ConnectionPtr& from, wire::Frame& received) {
    if (!received.has_register_frontend()) return;
    const std::lock_guard lock(mutex_);
    frontends_.push_back(from);
    from->send(frame());
  };
  auto port = coordinator_->listen("127.0.0.1", 0, std::move(handlers));
  SWITCHYARD_CHECK(port.ok());
  port_ = *port;
}

FakeCluster::~FakeCluster() {
  kill_coordinator();
  ranks_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

wire::Frame FakeCluster::frame() const {
  wire::Frame frame;
  *frame.mutable_routing_table() = table_;
  return frame;
}

void FakeCluster::publish(wire::RankState state) {
  wire::RoutingTable table;
  table.set_epoch(1);
  for (const auto& rank : ranks_) {
    wire::RankAddress* address = table.add_ranks();
    address->set_rank_id(rank->id());
    address->set_host("127.0.0.1");
    address->set_port(rank->port());
    address->set_state(state);
  }
  publish(std::move(table));
}

void FakeCluster::publish(wire::RoutingTable table) {
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  for (const auto& frontend : frontends_) frontend->send(frame());
}

void FakeCluster::restart_rank(size_t index) {
  ranks_[index] = std::make_unique<FakeRank>(static_cast<uint32_t>(index));
}

void FakeCluster::kill_coordinator() { coordinator_->stop(); }

config::ClusterConfig FakeCluster::config() const {
  config::ClusterConfig config;
  config.secret_file = directory_ + "/secret";
  config.model.path = model_path.empty() ? model_directory() : model_path;
  config.model.served_model_name = "tiny";
  config.coordinator.port = port_;
  config.frontend.port = 0;
  config.frontend.tool_call_parser = tool_call_parser;
  config.frontend.recovery_timeout_ms = recovery_timeout_ms;
  config.worker.exchange = exchange;
  config.heartbeat_ms = 60000;
  return config;
}

// --- frontend --------------------------------------------------------------------------------------------------------

TestFrontend::TestFrontend(FakeCluster& cluster, ApiOptions api_options, ServerOptions server_options) {
  const config::ClusterConfig config = cluster.config();
  const auto model = ServedModel::load(config.model, config.frontend);
  SWITCHYARD_CHECK(model.ok());
  api = Api::make(std::move(api_options), *model);
  if (kOverTls) server_options.tls = test_tls();
  auto started = HttpServer::start(server_options, *api);
  SWITCHYARD_CHECK(started.ok());
  server = std::move(started).value();
  auto secret = net::load_secret(config.secret_file);
  SWITCHYARD_CHECK(secret.ok());
  auto net = net::Service::start({wire::ROLE_FRONTEND, "frontend 0"}, std::move(*secret));
  SWITCHYARD_CHECK(net.ok());
  pool = RankPool::start(config, std::move(*net), server->port(), [] { return RankPool::Report{}; });
  api->set_pool(pool.get());
}

TestFrontend::~TestFrontend() {
  server->stop();
  pool->stop();
}

bool TestFrontend::wait_ready() {
  return eventually([this] { return pool->why_not_ready().empty(); });
}

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace switchyard::frontend
