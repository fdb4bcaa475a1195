// Coordinator and worker ranks as a frontend meets them on the wire (common/wire/switchyard.proto), with answers that
// the test decides.
//
// Thread: any; the answer functions run on the fake's own net thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "common/wire/switchyard.pb.h"
#include "frontend/answers/served_model.h"
#include "frontend/api/api.h"
#include "frontend/http/server.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {

// The byte tokens of the test models' tokenizer (tests/data/golden/*-tiny): one token a byte, as GPT-2's alphabet
// orders them from id 10 on.
int32_t byte_token(unsigned char byte);
std::vector<int32_t> byte_tokens(std::string_view bytes);
inline constexpr int32_t kEnd = 6;         // <|end|>, an end-of-sequence id
inline constexpr int32_t kVocab = 512;     // of the model
inline constexpr int32_t kContext = 4096;  // its positions
std::string model_directory();

// An output with these tokens; request_id is filled in by whoever sends it.
wire::Output output_of(std::string_view bytes, wire::FinishReason finish = wire::FINISH_NONE);
wire::Output output_of_ids(const std::vector<int32_t>& ids, wire::FinishReason finish = wire::FINISH_NONE);
wire::Output error_output(uint32_t status, const std::string& why);

class FakeRank {
 public:
  using Answer = std::function<std::vector<wire::Output>(const wire::Generate&)>;

  explicit FakeRank(uint32_t id);
  ~FakeRank();

  uint32_t id() const { return id_; }
  uint16_t port() const { return port_; }
  // What a Generate is answered with, at once. Without: nothing, the test sends.
  void answer_with(Answer answer);
  void send(uint64_t request_id, wire::Output output);
  void kill();

  // The next Generate; an empty one (request_id 0) when none comes.
  wire::Generate wait_generate();
  // The next Cancel's request id; 0 when none comes.
  uint64_t wait_cancel();
  size_t generate_count();

 private:
  const uint32_t id_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_;
  net::ConnectionPtr frontend_;
  std::deque<wire::Generate> generates_;
  std::deque<uint64_t> cancels_;
  size_t generate_count_ = 0;
  uint16_t port_ = 0;
  std::unique_ptr<net::Service> service_;
};

class FakeCluster {
 public:
  explicit FakeCluster(uint32_t rank_count = 1);
  ~FakeCluster();

  FakeRank& rank(size_t index = 0) { return *ranks_[index]; }
  // Another process in the place of a rank that was killed.
  void restart_rank(size_t index);
  // The coordinator tells its frontends, now and when they connect. state: of all ranks.
  void publish(wire::RankState state);
  void publish(wire::RoutingTable table);
  void kill_coordinator();
  // For a frontend of this cluster.
  config::ClusterConfig config() const;

  std::string model_path;  // that a frontend serves; qwen3-moe-tiny until it is set
  std::string tool_call_parser = "auto";
  uint32_t recovery_timeout_ms = 30000;
  std::string exchange = "auto";  // "mpi": the ranks of a group die together

 private:
  wire::Frame frame() const;

  const std::string directory_;
  std::vector<std::unique_ptr<FakeRank>> ranks_;
  std::mutex mutex_;
  wire::RoutingTable table_;
  std::vector<net::ConnectionPtr> frontends_;
  uint16_t port_ = 0;
  std::unique_ptr<net::Service> coordinator_;
};

// The API behind a server on loopback, connected to a FakeCluster; ready when constructed, unless there are no ranks.
class TestFrontend {
 public:
  explicit TestFrontend(FakeCluster& cluster, ApiOptions api_options = {}, ServerOptions server_options = {});
  ~TestFrontend();

  uint16_t port() const { return server->port(); }
  bool wait_ready();

  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<RankPool> pool;
};

// Looks again and again until it holds; for states that nothing announces.
bool eventually(const std::function<bool()>& holds);

}  // namespace switchyard::frontend
