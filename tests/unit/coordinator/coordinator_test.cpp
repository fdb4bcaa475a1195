// Goal: ranks and frontends over real TCP get what the coordinator owes them, and the admin port tells the truth about
// it. Method: fake ranks and frontends through net::Service, and an HTTP client of plain sockets.
#include "coordinator/coordinator.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "common/net/net.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
constexpr auto kPatience = 20s;
const std::string kSecret = "secret";

// A process of the cluster that says what the test wants and keeps what it hears.
class Fake {
 public:
  Fake(wire::Role role, const std::string& name, uint16_t port, net::ReconnectPolicy policy = {}) {
    auto service = net::Service::start({role, name}, kSecret);
    SWITCHYARD_CHECK(service.ok());
    service_ = std::move(service).value();
    net::Handlers handlers;
    handlers.on_open = [this](const net::ConnectionPtr& c) {
      const std::lock_guard lock(mutex_);
      connection_ = c;
      ++opens_;
      for (const auto& frame : greeting_) c->send(frame);
      changed_.notify_all();
    };
    handlers.on_frame = [this](const net::ConnectionPtr&, wire::Frame& f) {
      const std::lock_guard lock(mutex_);
      frames_.push_back(std::move(f));
      changed_.notify_all();
    };
    handlers.on_close = [this](const net::ConnectionPtr&, const Error&) {
      const std::lock_guard lock(mutex_);
      ++closes_;
      changed_.notify_all();
    };
    service_->connect("127.0.0.1", port, std::move(handlers), policy);
  }
  ~Fake() { kill(); }
  Fake(const Fake&) = delete;
  Fake& operator=(const Fake&) = delete;

  void kill() { service_->stop(); }
  // Now, and first thing on every later connection.
  void greet(std::vector<wire::Frame> frames) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return opens_ > 0; }));
    greeting_ = std::move(frames);
    for (const auto& frame : greeting_) connection_->send(frame);
  }
  void greet_later(std::vector<wire::Frame> frames) {
    const std::lock_guard lock(mutex_);
    greeting_ = std::move(frames);
  }
  void send(const wire::Frame& frame) {
    const std::lock_guard lock(mutex_);
    connection_->send(frame);
  }
  // The next frame of a kind; others before it are dropped.
  template <typename Wanted>
  wire::Frame wait_frame(Wanted wanted) {
    std::unique_lock lock(mutex_);
    wire::Frame found;
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] {
      while (!frames_.empty()) {
        found = std::move(frames_.front());
        frames_.pop_front();
        if (wanted(found)) return true;
      }
      return false;
    })) << "the frame did not come";
    return found;
  }
  wire::Assignment wait_assignment() {
    return wait_frame([](const auto& f) { return f.has_assignment(); }).assignment();
  }
  template <typename Wanted>
  wire::RoutingTable wait_routing(Wanted wanted) {
    return wait_frame([&](const auto& f) { return f.has_routing_table() && wanted(f.routing_table()); })
        .routing_table();
  }
  bool wait_closed() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return closes_ > 0; });
  }
  // Drops what has been heard so far.
  void forget() {
    const std::lock_guard lock(mutex_);
    frames_.clear();
  }
  bool heard_assignment() {
    const std::lock_guard lock(mutex_);
    for (const auto& frame : frames_) {
      if (frame.has_assignment()) return true;
    }
    return false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  net::ConnectionPtr connection_;
  std::deque<wire::Frame> frames_;
  std::vector<wire::Frame> greeting_;
  int opens_ = 0, closes_ = 0;
  std::unique_ptr<net::Service> service_;
};

wire::Frame registration(uint32_t rank, uint32_t count, int64_t pid, const std::string& model = "tiny") {
  wire::Frame frame;
  auto& out = *frame.mutable_register_rank();
  out.set_rank_id(rank);
  out.set_rank_count(count);
  out.set_pid(pid);
  out.set_host("127.0.0.1");
  out.set_port(7000 + rank);
  out.set_device("cpu");
  out.set_backend("cpu-plain");
  out.set_model(model);
  return frame;
}

wire::Frame report(wire::RankState state, uint64_t epoch, uint32_t running = 0) {
  wire::Frame frame;
  frame.mutable_rank_report()->set_state(state);
  frame.mutable_rank_report()->set_epoch(epoch);
  frame.mutable_rank_report()->set_sequences_running(running);
  return frame;
}

wire::Frame prepared() {
  wire::Frame frame = report(wire::RANK_JOINING, 0);
  frame.mutable_rank_report()->set_prepared(true);
  return frame;
}

wire::Frame frontend_registration() {
  wire::Frame frame;
  frame.mutable_register_frontend()->set_pid(4242);
  frame.mutable_register_frontend()->set_host("127.0.0.1");
  frame.mutable_register_frontend()->set_port(8000);
  return frame;
}

config::ClusterConfig make_config(uint32_t ranks, uint32_t groups = 1) {
  config::ClusterConfig config;
  config.worker.groups = groups;
  config.name = "test <cluster>";
  config.model.path = "/models/tiny-qwen/";
  config.worker.data_parallel_size = ranks;
  config.coordinator.port = 0;
  config.coordinator.admin_port = 0;
  config.heartbeat_ms = 60000;  // tests that want silence to be noticed set it
  return config;
}

std::unique_ptr<Coordinator> start(const config::ClusterConfig& config) {
  auto coordinator = Coordinator::start(config, {"Qwen3MoeForCausalLM", 2, 10}, kSecret);
  EXPECT_TRUE(coordinator.ok()) << coordinator.error().message;
  return coordinator.ok() ? std::move(coordinator).value() : nullptr;
}

// A connection to the admin port that has sent nothing yet.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~Client() {
    if (fd_ >= 0) ::close(fd_);
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Client& operator=(Client&&) = delete;

  void send(const std::string& bytes) { (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // All bytes until the server closes, or `enough` has come.
  std::string receive(const std::string& enough = "") {
    std::string out;
    char buffer[4096];
    while (enough.empty() || out.find(enough) == std::string::npos) {
      const auto got = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      out.append(buffer, static_cast<size_t>(got));
    }
    return out;
  }

 private:
  int fd_;
};

// Bytes in, all bytes until the server closes out.
std::string http(uint16_t port, const std::string& request) {
  Client client(port);
  client.send(request);
  return client.receive();
}

std::string get(uint16_t port, const std::string& path, const std::string& headers = "") {
  return http(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
}
std::string post(uint16_t port, const std::string& path, const std::string& body) {
  return http(port, "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body);
}
int status_of(const std::string& answer) { return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3)); }
std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
json::object get_json(uint16_t port, const std::string& path) {
  const auto answer = get(port, path);
  EXPECT_EQ(status_of(answer), 200) << answer;
  return json::parse(body_of(answer)).as_object();
}
template <typename Condition>
bool eventually(Condition condition) {
  for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(2ms);
  }
  return false;
}

// The ranks of a group, assigned and live.
struct Group {
  Group(const Coordinator& coordinator, uint32_t count, uint32_t group = 0) {
    for (uint32_t i = group * count; i < (group + 1) * count; ++i) {
      ranks.push_back(std::make_unique<Fake>(wire::ROLE_WORKER, "worker " + std::to_string(i), coordinator.port()));
      ranks.back()->greet({registration(i, count, 100 + i)});
    }
    for (const auto& rank : ranks) {
      preparations.push_back(rank->wait_assignment());
      rank->send(prepared());
    }
    for (const auto& rank : ranks) assignments.push_back(rank->wait_assignment());
    for (const auto& rank : ranks) rank->send(report(wire::RANK_LIVE, assignments[0].epoch()));
  }
  std::vector<std::unique_ptr<Fake>> ranks;
  std::vector<wire::Assignment> preparations;
  std::vector<wire::Assignment> assignments;
};

TEST(Coordinator, GivesEveryRankTheSamePlacementWhenAllHaveRegistered) {
  const auto coordinator = start(make_config(3));
  const Group group(*coordinator, 3);
  for (const auto& assignment : group.assignments) {
    EXPECT_EQ(assignment.error(), "");
    EXPECT_EQ(assignment.epoch(), 1U);
    ASSERT_EQ(assignment.ranks_size(), 3);
    EXPECT_EQ(assignment.ranks(2).host(), "127.0.0.1");
    EXPECT_EQ(assignment.ranks(2).port(), 7002U);
    // 10 experts on 3 ranks: 4 3 3 in the first layer, 3 4 3 in the second.
    const std::vector<uint32_t> expected = {0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    EXPECT_EQ(std::vector<uint32_t>(assignment.placement().rank_of_expert().begin(),
                                    assignment.placement().rank_of_expert().end()),
              expected);
  }
}

TEST(Coordinator, RefusesRanksThatDoNotFitAndSaysWhy) {
  const auto coordinator = start(make_config(2));
  Fake first(wire::ROLE_WORKER, "worker 0", coordinator->port());
  first.greet({registration(0, 2, 100)});
  ASSERT_TRUE(
      eventually([&] { return get_json(coordinator->admin_port(), "/cluster")["ranks"].as_array().size() == 1; }));
  const std::pair<wire::Frame, std::string> cases[] = {
      {registration(5, 2, 101), "out of range"},
      {registration(1, 4, 101), "data_parallel_size is 2"},
      {registration(0, 2, 101), "here already"},
      {registration(1, 2, 101, "another"), "another"},
  };
  for (const auto& [frame, cause] : cases) {
    Fake bad(wire::ROLE_WORKER, "bad", coordinator->port(), {.reconnect = false});
    bad.greet({frame});
    const auto error = bad.wait_assignment().error();
    EXPECT_NE(error.find(cause), std::string::npos) << error;
    EXPECT_TRUE(bad.wait_closed());
  }
  Fake second(wire::ROLE_WORKER, "worker 1", coordinator->port());
  second.greet({registration(1, 2, 101)});
  for (Fake* rank : {&first, &second}) {
    EXPECT_TRUE(rank->wait_assignment().prepare());
    rank->send(prepared());
  }
  EXPECT_EQ(first.wait_assignment().epoch(), 1U);
}

TEST(Coordinator, ClosesConnectionsThatSpeakOutOfTurn) {
  const auto coordinator = start(make_config(1));
  Fake frontend(wire::ROLE_FRONTEND, "frontend", coordinator->port(), {.reconnect = false});
  frontend.greet({registration(0, 1, 1)});
  EXPECT_TRUE(frontend.wait_closed());
  Fake worker(wire::ROLE_WORKER, "worker", coordinator->port(), {.reconnect = false});
  worker.greet({report(wire::RANK_LIVE, 1)});
  EXPECT_TRUE(worker.wait_closed());
  // What is not a role's business is counted; a report before the registration is a mistake.
  const auto metrics = body_of(get(coordinator->admin_port(), "/metrics"));
  EXPECT_NE(metrics.find("switchyard_refused_connections_total{process=\"coordinator\",reason=\"role\"} 1\n"),
            std::string::npos)
      << metrics;
}

TEST(Coordinator, FrontendsHearOfEveryChange) {
  const auto coordinator = start(make_config(2));
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  Group group(*coordinator, 2);
  const auto both_live = frontend.wait_routing([](const auto& t) {
    return t.ranks_size() == 2 && t.ranks(0).state() == wire::RANK_LIVE && t.ranks(1).state() == wire::RANK_LIVE;
  });
  EXPECT_EQ(both_live.epoch(), 1U);
  group.ranks[1]->kill();
  const auto one_dead = frontend.wait_routing([](const auto& t) { return t.epoch() == 2; });
  EXPECT_EQ(one_dead.ranks(0).state(), wire::RANK_LIVE);
  EXPECT_EQ(one_dead.ranks(1).state(), wire::RANK_DEAD);
}

TEST(Coordinator, LoadsReachTheFrontendsWithinASecondOrSo) {
  const auto coordinator = start(make_config(1));
  Group group(*coordinator, 1);
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  frontend.wait_routing([](const auto&) { return true; });
  const auto begin = std::chrono::steady_clock::now();
  group.ranks[0]->send(report(wire::RANK_LIVE, 1, 9));
  frontend.wait_routing([](const auto& t) { return t.ranks(0).sequences_running() == 9; });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST(Coordinator, ASilentRankIsDead) {
  auto config = make_config(1);
  config.heartbeat_ms = 20;
  const auto coordinator = start(config);
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  Group group(*coordinator, 1);
  frontend.wait_routing([](const auto& t) { return t.ranks_size() == 1 && t.ranks(0).state() == wire::RANK_DEAD; });
  EXPECT_TRUE(group.ranks[0]->wait_closed());
}

TEST(Coordinator, ARestartedOneLearnsTheClusterFromItsRanks) {
  auto config = make_config(2);
  auto coordinator = start(config);
  config.coordinator.port = coordinator->port();
  Group group(*coordinator, 2);
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  const auto placement = get_json(coordinator->admin_port(), "/placement")["layers"];
  // What ranks say to a new coordinator: who they are, and right behind it what they run.
  group.ranks[0]->greet_later({registration(0, 2, 100), report(wire::RANK_LIVE, 5)});
  group.ranks[1]->greet_later({registration(1, 2, 101), report(wire::RANK_LIVE, 5)});
  coordinator.reset();
  EXPECT_TRUE(frontend.wait_closed());
  frontend.forget();
  coordinator = start(config);
  ASSERT_NE(coordinator, nullptr);
  const auto port = coordinator->admin_port();
  ASSERT_TRUE(eventually([&] {
    const auto cluster = get_json(port, "/cluster");
    const auto& ranks = cluster.at("ranks").as_array();
    return ranks.size() == 2 && ranks[0].at("state") == "live" && ranks[1].at("state") == "live" &&
           cluster.at("epoch") == 5 && cluster.at("frontends").as_array().size() == 1;
  }));
  EXPECT_EQ(get_json(port, "/placement")["layers"], placement);
  EXPECT_EQ(get_json(port, "/placement")["epoch"], 5);
  // The frontend has streams on both ranks: no table of the new coordinator may lack one.
  frontend.wait_frame([](const auto& frame) {
    if (!frame.has_routing_table()) return false;
    EXPECT_EQ(frame.routing_table().ranks_size(), 2);
    for (const auto& rank : frame.routing_table().ranks()) EXPECT_EQ(rank.state(), wire::RANK_LIVE);
    return frame.routing_table().epoch() == 5;
  });
  EXPECT_FALSE(group.ranks[0]->heard_assignment());
  EXPECT_FALSE(group.ranks[1]->heard_assignment());
}

TEST(Coordinator, ARestartedOneAdoptsEachRunningGroupWhole) {
  auto config = make_config(2, 2);
  auto coordinator = start(config);
  config.coordinator.port = coordinator->port();
  Group groups[] = {{*coordinator, 2, 0}, {*coordinator, 2, 1}};
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  for (const uint32_t i : {0U, 1U, 2U, 3U})
    groups[i / 2].ranks[i % 2]->greet_later({registration(i, 2, 100 + i), report(wire::RANK_LIVE, i < 2 ? 5 : 9)});
  coordinator.reset();
  EXPECT_TRUE(frontend.wait_closed());
  frontend.forget();
  coordinator = start(config);
  ASSERT_NE(coordinator, nullptr);
  // Streams run on all ranks: no table may have a part of a group, and none a dead rank.
  const auto both = frontend.wait_routing([](const auto& t) {
    EXPECT_TRUE(t.ranks_size() == 2 || t.ranks_size() == 4);
    for (const auto& rank : t.ranks()) EXPECT_EQ(rank.state(), wire::RANK_LIVE);
    EXPECT_EQ(t.ranks(0).group(), t.ranks(1).group());
    return t.ranks_size() == 4;
  });
  EXPECT_EQ(both.epoch(), 14U);
  const auto text = body_of(get(coordinator->admin_port(), "/metrics"));
  EXPECT_NE(text.find("switchyard_group_epoch{group=\"0\"} 5\n"), std::string::npos);
  EXPECT_NE(text.find("switchyard_group_epoch{group=\"1\"} 9\n"), std::string::npos);
  for (const auto& group : groups) {
    for (const auto& rank : group.ranks) EXPECT_FALSE(rank->heard_assignment());
  }
}

TEST(Coordinator, GroupsServeWithoutEachOther) {
  const auto coordinator = start(make_config(2, 2));
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  const Group second(*coordinator, 2, 1);  // the first is not here yet
  frontend.wait_routing([](const auto& t) {
    return t.ranks_size() == 2 && t.ranks(0).rank_id() == 2 && t.ranks(0).group() == 1 &&
           t.ranks(0).state() == wire::RANK_LIVE && t.ranks(1).state() == wire::RANK_LIVE;
  });
  Group first(*coordinator, 2, 0);
  frontend.wait_routing([](const auto& t) {
    return t.ranks_size() == 4 && t.ranks(0).state() == wire::RANK_LIVE && t.ranks(1).state() == wire::RANK_LIVE;
  });
  for (const auto& rank : first.ranks) rank->kill();
  frontend.wait_routing([](const auto& t) {
    return t.ranks(0).state() == wire::RANK_DEAD && t.ranks(1).state() == wire::RANK_DEAD &&
           t.ranks(2).state() == wire::RANK_LIVE && t.ranks(3).state() == wire::RANK_LIVE;
  });
  const auto cluster = get_json(coordinator->admin_port(), "/cluster");
  EXPECT_EQ(cluster.at("group_count"), 2);
  EXPECT_EQ(cluster.at("rank_count"), 4);
  EXPECT_EQ(cluster.at("ranks").at(3).at("rank_id"), 3);
  EXPECT_EQ(cluster.at("ranks").at(3).at("group"), 1);
  const auto text = body_of(get(coordinator->admin_port(), "/metrics"));
  for (const auto* line : {"switchyard_group_epoch{group=\"1\"} 1\n", "switchyard_ranks{state=\"live\"} 2\n",
                           "switchyard_rank_state{group=\"1\",rank=\"3\",state=\"live\"} 1\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(Coordinator, APlacementThatCannotBeIsRefusedAtTheStart) {
  const auto coordinator = Coordinator::start(make_config(11), {"Qwen3MoeForCausalLM", 2, 10}, kSecret);
  ASSERT_FALSE(coordinator.ok());
  EXPECT_NE(coordinator.error().message.find("11 ranks"), std::string::npos);
}

TEST(Coordinator, ATakenPortIsRefusedAtTheStart) {
  auto config = make_config(1);
  const auto first = start(config);
  config.coordinator.port = first->port();
  EXPECT_EQ(Coordinator::start(config, {}, kSecret).error().code, Errc::kIo);
  config.coordinator.port = 0;
  config.coordinator.admin_port = first->admin_port();
  EXPECT_EQ(Coordinator::start(config, {}, kSecret).error().code, Errc::kIo);
}

TEST(Admin, ClusterListsRanksFrontendsAndTheCoordinator) {
  const auto coordinator = start(make_config(2));
  Group group(*coordinator, 2);
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  group.ranks[1]->send(report(wire::RANK_LIVE, 1, 3));
  json::object cluster;
  ASSERT_TRUE(eventually([&] {
    cluster = get_json(coordinator->admin_port(), "/cluster");
    return cluster["frontends"].as_array().size() == 1 && cluster["ranks"].as_array().size() == 2 &&
           cluster["ranks"].at(1).at("sequences") == 3 && cluster["ranks"].at(0).at("state") == "live";
  }));
  EXPECT_EQ(cluster["epoch"], 1);
  EXPECT_EQ(cluster["model"], "tiny-qwen");
  EXPECT_EQ(cluster["coordinator"].at("pid"), getpid());
  EXPECT_EQ(cluster["frontends"].at(0).at("pid"), 4242);
  const auto& rank = cluster["ranks"].at(1);
  EXPECT_EQ(rank.at("rank_id"), 1);
  EXPECT_EQ(rank.at("pid"), 101);
  EXPECT_EQ(rank.at("host"), "127.0.0.1");
  EXPECT_EQ(rank.at("state"), "live");
  EXPECT_EQ(rank.at("device"), "cpu");
  EXPECT_EQ(rank.at("waiting"), 0);
}

TEST(Admin, PlacementListsTheRankOfEveryExpert) {
  const auto coordinator = start(make_config(3));
  const auto placement = get_json(coordinator->admin_port(), "/placement");
  EXPECT_EQ(placement.at("epoch"), 0);
  ASSERT_EQ(placement.at("layers").as_array().size(), 2U);
  EXPECT_EQ(json::serialize(placement.at("layers").at(0).at("rank_of_expert")), "[0,0,0,0,1,1,1,2,2,2]");
  EXPECT_EQ(json::serialize(placement.at("layers").at(1).at("experts_per_rank")), "[3,4,3]");
  EXPECT_EQ(json::serialize(placement.at("experts_per_rank")), "[7,7,6]");
}

TEST(Admin, MetricsAreInPrometheusText) {
  const auto coordinator = start(make_config(2));
  Group group(*coordinator, 2);
  auto frame = report(wire::RANK_LIVE, 1);
  auto& rank_report = *frame.mutable_rank_report();
  rank_report.set_kv_blocks_total(4);
  rank_report.set_kv_blocks_used(1);
  rank_report.set_prompt_tokens(77);
  // Layer 0: 5 tokens for each of the experts 0-4 (rank 0), none for rank 1; layer 1: one for each.
  for (int i = 0; i < 5; ++i) rank_report.add_expert_tokens(5);
  for (int i = 0; i < 5; ++i) rank_report.add_expert_tokens(0);
  for (int i = 0; i < 10; ++i) rank_report.add_expert_tokens(1);
  group.ranks[0]->send(frame);
  std::string text;
  ASSERT_TRUE(eventually([&] {
    text = body_of(get(coordinator->admin_port(), "/metrics"));
    return text.find("switchyard_prompt_tokens_total{model_name=\"tiny-qwen\",group=\"0\",rank=\"0\"} 77\n") !=
               std::string::npos &&
           text.find("switchyard_ranks{state=\"live\"} 2\n") != std::string::npos;
  })) << text;
  for (const auto* line : {
           "switchyard_epoch 1\n",
           "switchyard_rank_deaths_total 0\n",
           "# TYPE switchyard_rank_deaths_total counter\n",
           "switchyard_ranks{state=\"live\"} 2\n",
           "switchyard_expert_balancedness{group=\"0\",layer=\"0\"} 0.5\n",
           "switchyard_expert_balancedness{group=\"0\",layer=\"1\"} 1\n",
           "switchyard_kv_cache_usage_perc{model_name=\"tiny-qwen\",group=\"0\",rank=\"0\"} 0.25\n",
           "# TYPE switchyard_step_seconds gauge\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

TEST(Admin, HealthAnswersAndThePageListsTheRanks) {
  const auto coordinator = start(make_config(1));
  const Group group(*coordinator, 1);
  EXPECT_EQ(status_of(get(coordinator->admin_port(), "/health")), 200);
  const auto page = get(coordinator->admin_port(), "/");
  EXPECT_EQ(status_of(page), 200);
  EXPECT_NE(page.find("127.0.0.1:7000"), std::string::npos);
  EXPECT_NE(page.find("test &lt;cluster&gt;"), std::string::npos);
}

TEST(Admin, ErrorsHaveTheShapeOfOpenAi) {
  const auto coordinator = start(make_config(1));
  const auto port = coordinator->admin_port();
  const auto missing = get(port, "/nothing?x=1");
  EXPECT_EQ(status_of(missing), 404);
  const auto error = json::parse(body_of(missing)).at("error").as_object();
  for (const auto* key : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(key)) << key;
  const auto put = http(port, "PUT /cluster HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(status_of(put), 405);
  EXPECT_NE(put.find("Allow: GET, HEAD, POST\r\n"), std::string::npos);
  EXPECT_EQ(status_of(post(port, "/cluster", "{}")), 404);
  EXPECT_EQ(status_of(http(port, "\x16\x03\x01 garbage\r\n\r\n")), 400);
}

TEST(Admin, ADrainReachesTheProcessThatItNamesAndNobodyElse) {
  const auto coordinator = start(make_config(2));
  const auto port = coordinator->admin_port();
  Fake first(wire::ROLE_WORKER, "worker 0", coordinator->port()),
      second(wire::ROLE_WORKER, "worker 1", coordinator->port());
  first.greet({registration(0, 2, 100)});
  second.greet({registration(1, 2, 101)});
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  Fake launcher(wire::ROLE_LAUNCHER, "launcher", coordinator->port());
  wire::Frame processes;
  processes.mutable_launcher_report()->set_pid(77);
  launcher.greet({processes});
  EXPECT_TRUE(eventually([&] {
    const auto cluster = get_json(port, "/cluster");
    return cluster.at("ranks").as_array().size() == 2 && cluster.at("frontends").as_array().size() == 1 &&
           cluster.at("launcher").is_object();
  }));
  const auto drains = [](const wire::Frame& frame) { return frame.has_drain(); };
  EXPECT_EQ(status_of(post(port, "/drain", R"({"rank_id":1})")), 202);
  second.wait_frame(drains);
  EXPECT_EQ(status_of(post(port, "/drain", R"({"frontend_port":8000})")), 202);
  frontend.wait_frame(drains);
  EXPECT_EQ(status_of(post(port, "/drain", R"({"all":true})")), 202);
  launcher.wait_frame(drains);
  for (const char* unknown : {R"({"rank_id":2})", R"({"frontend_port":8001})"})
    EXPECT_EQ(status_of(post(port, "/drain", unknown)), 404) << unknown;
  for (const char* bad : {"", "{", "[]", "{}", R"({"rank_id":-1})", R"({"rank_id":"1"})", R"({"all":false})",
                          R"({"rank":1})", R"({"rank_id":0,"all":true})"})
    EXPECT_EQ(status_of(post(port, "/drain", bad)), 400) << bad;
}

TEST(Admin, WhatTheLauncherGivesUpIsSaid) {
  auto config = make_config(1);
  const auto coordinator = start(config);
  const auto port = coordinator->admin_port();
  EXPECT_TRUE(get_json(port, "/cluster").at("launcher").is_null());
  Fake rank(wire::ROLE_WORKER, "worker 0", coordinator->port());
  rank.greet({registration(0, 1, 100), report(wire::RANK_LIVE, 5)});
  Fake launcher(wire::ROLE_LAUNCHER, "launcher", coordinator->port());
  wire::Frame frame;
  auto& process = *frame.mutable_launcher_report()->add_processes();
  frame.mutable_launcher_report()->set_pid(77);
  process.set_name("worker rank 0");
  process.set_first_rank(0);
  process.set_rank_count(1);
  process.set_given_up(true);
  process.set_ends(8);
  process.set_cause("worker rank 0 was killed by signal 9 (Killed)");
  launcher.greet({frame});
  Fake frontend(wire::ROLE_FRONTEND, "frontend 0", coordinator->port());
  frontend.greet({frontend_registration()});
  EXPECT_TRUE(eventually([&] {
    const auto cluster = get_json(port, "/cluster");
    return cluster.at("launcher").is_object() && cluster.at("epoch").to_number<int>() == 5;
  }));
  rank.kill();
  const auto table = frontend.wait_routing([](const wire::RoutingTable& told) {
    return told.groups_size() == 1 && !told.groups(0).why_not_serving().empty();
  });
  EXPECT_EQ(table.groups(0).why_not_serving(),
            "group 0 has 0 of its 1 ranks, and needs 1 to hold all experts (worker.min_ranks)");
  EXPECT_EQ(table.groups(0).retry_after_s(), 60U);
  const auto cluster = get_json(port, "/cluster");
  EXPECT_EQ(cluster.at("ranks").at(0).at("state").as_string(), "dead");
  EXPECT_TRUE(cluster.at("ranks").at(0).at("given_up").as_bool());
  EXPECT_EQ(cluster.at("not_serving").as_array().size(), 1U);
  const auto told = cluster.at("launcher").at("processes").at(0);
  EXPECT_EQ(told.at("state").as_string(), "given_up");
  EXPECT_EQ(told.at("ends").to_number<int>(), 8);
  EXPECT_EQ(told.at("cause").as_string(), process.cause());
}

TEST(Admin, AnotherLauncherThatComesAndGoesLeavesTheFirstInView) {
  const auto coordinator = start(make_config(1));
  const auto port = coordinator->admin_port();
  const auto report_of = [](int64_t pid) {
    wire::Frame frame;
    frame.mutable_launcher_report()->set_pid(pid);
    return frame;
  };
  const auto seen = [&](int64_t pid) {
    return eventually([&] {
      const auto launcher = get_json(port, "/cluster").at("launcher");
      return launcher.is_object() && launcher.at("pid").to_number<int64_t>() == pid;
    });
  };
  Fake launcher(wire::ROLE_LAUNCHER, "launcher", coordinator->port());
  launcher.greet({report_of(77)});
  EXPECT_TRUE(seen(77));
  Fake second(wire::ROLE_LAUNCHER, "second", coordinator->port());
  second.greet({report_of(66)});
  EXPECT_TRUE(seen(66));
  second.kill();
  EXPECT_TRUE(seen(77));
  Fake third(wire::ROLE_LAUNCHER, "third", coordinator->port());
  third.greet({report_of(0)});
  EXPECT_TRUE(third.wait_closed());
  EXPECT_TRUE(seen(77));
}

TEST(Admin, LimitsOfHeaderAndBodyAreAnswered) {
  const auto coordinator = start(make_config(1));
  const auto port = coordinator->admin_port();
  EXPECT_EQ(status_of(http(port, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")), 411);
  EXPECT_EQ(status_of(get(port, "/cluster", "X: " + std::string(100000, 'x') + "\r\n")), 431);
  EXPECT_EQ(status_of(http(
                port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" + std::string(200000, 'x'))),
            413);
  EXPECT_EQ(status_of(get(port, "/cluster")), 200);
}

TEST(Admin, AKeepAliveConnectionTakesManyRequests) {
  const auto coordinator = start(make_config(1));
  const std::string one = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string last = "HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const auto answers = http(coordinator->admin_port(), one + one + last);
  size_t count = 0;
  for (size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3U);
}

TEST(Admin, ConnectionsThatSendNothingMakeRoomForThoseThatCome) {
  constexpr size_t kLimit = 256;  // of connections
  const auto coordinator = start(make_config(1));
  const auto port = coordinator->admin_port();
  const std::string ask = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<Client> silent;
  for (int i = 0; i < 10; ++i) silent.emplace_back(port);
  // One of those that came first, and has asked since: its next request is not what has been waited for longest.
  silent[3].send(ask);
  EXPECT_EQ(status_of(silent[3].receive("ok")), 200);
  while (silent.size() < kLimit + 4) silent.emplace_back(port);
  silent.back().send("GET /health HTTP/1.1\r\nHo");  // not a whole request
  EXPECT_EQ(status_of(get(port, "/health")), 200);
  silent[3].send(ask);
  EXPECT_EQ(status_of(silent[3].receive("ok")), 200);
  const std::string metrics = get(port, "/metrics");
  const std::string count = "reason=\"half_open_limit\"} ";
  ASSERT_NE(metrics.find(count), std::string::npos) << metrics;
  // Four of the silent ones, and one for whoever asked first; the next finds the place of that one free, or not yet.
  const int dropped = std::stoi(metrics.substr(metrics.find(count) + count.size()));
  EXPECT_TRUE(dropped == 5 || dropped == 6) << dropped;
  EXPECT_EQ(silent[0].receive(), "");  // closed
  silent[20].send(ask);                // and who was not among the oldest is there
  EXPECT_EQ(status_of(silent[20].receive("ok")), 200);
}

TEST(Admin, WithAKeyOnlyItsHoldersGetIn) {
  auto config = make_config(1);
  config.coordinator.admin_api_key = "s3cret";
  const auto coordinator = start(config);
  const auto port = coordinator->admin_port();
  for (const auto* path : {"/cluster", "/placement", "/metrics", "/", "/nothing"}) {
    EXPECT_EQ(status_of(get(port, path)), 401) << path;
  }
  EXPECT_EQ(status_of(get(port, "/cluster", "Authorization: Bearer s3creT\r\n")), 401);
  EXPECT_EQ(status_of(get(port, "/cluster", "Authorization: Bearer s3cret0\r\n")), 401);
  EXPECT_EQ(status_of(get(port, "/cluster", "Authorization: Basic s3cret\r\n")), 401);
  EXPECT_EQ(status_of(get(port, "/cluster", "Authorization: Bearer s3cret\r\n")), 200);
  EXPECT_EQ(status_of(get(port, "/health")), 200);
}

}  // namespace
}  // namespace switchyard::coordinator
