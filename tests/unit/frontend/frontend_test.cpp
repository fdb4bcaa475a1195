// Goal: a frontend's whole life: it starts, finds its ranks, spreads requests over them, outlives its coordinator, and
// drains. Method: Frontend as the executable runs it, with a coordinator and ranks of the test's own.
#include "frontend/api/frontend.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kPath = "/v1/completions";
const std::string kBody = R"({"prompt":"Q","max_tokens":5})";
const std::string kStream = R"({"prompt":"Q","max_tokens":5,"stream":true})";

std::unique_ptr<Frontend> start(const config::ClusterConfig& config) {
  auto frontend = Frontend::start(config, 0);
  EXPECT_TRUE(frontend.ok()) << frontend.error().message;
  return frontend.ok() ? std::move(frontend).value() : nullptr;
}

bool wait_ready(const Frontend& frontend) {
  return eventually([&] { return call(frontend.port(), "GET", "/ready").status == 200; });
}

std::vector<wire::Output> ok(const wire::Generate&) { return {output_of("ok", wire::FINISH_LENGTH)}; }

TEST(Frontend, ADrainLetsStreamsFinishAndRefusesNewRequests) {
  FakeCluster cluster;
  const auto frontend = start(cluster.config());
  ASSERT_TRUE(frontend && wait_ready(*frontend));
  const uint16_t port = frontend->port();
  Client client(port);
  client.send(request_text("POST", kPath, kStream));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  cluster.rank().send(id, output_of("a"));
  ASSERT_EQ(client.read_head().status, 200);
  ASSERT_TRUE(client.next_event());

  std::thread draining([&] { frontend->drain(); });
  ASSERT_TRUE(eventually([&] { return call(port, "GET", "/ready").status == 503; }));
  const Answer refused = call(port, "POST", kPath, kBody);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_NE(refused.body.find("shutting down"), std::string::npos) << refused.body;

  cluster.rank().send(id, output_of("b", wire::FINISH_LENGTH));
  std::string last;
  while (const auto event = client.next_event()) last = *event;
  EXPECT_EQ(last, "[DONE]");
  EXPECT_TRUE(client.stream_complete());
  EXPECT_TRUE(client.wait_closed());
  client.close();
  draining.join();
}

TEST(Frontend, ADrainWithoutRequestsIsDoneAtOnce) {
  FakeCluster cluster;
  const auto frontend = start(cluster.config());
  ASSERT_TRUE(frontend && wait_ready(*frontend));
  Client idle(frontend->port());
  idle.send(request_text("GET", "/health"));
  ASSERT_EQ(idle.read().status, 200);
  const auto begin = Clock::now();
  frontend->drain();
  EXPECT_LT(Clock::now() - begin, 5s);  // of a deadline of 30
  EXPECT_TRUE(idle.wait_closed());
}

TEST(Frontend, WhatTheDeadlineOfADrainFindsRunningEndsWithAnError) {
  FakeCluster cluster;
  auto config = cluster.config();
  config.drain_deadline_ms = 200;
  const auto frontend = start(config);
  ASSERT_TRUE(frontend && wait_ready(*frontend));
  Client stream(frontend->port()), whole(frontend->port());
  stream.send(request_text("POST", kPath, kStream));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  cluster.rank().send(id, output_of("a"));
  ASSERT_EQ(stream.read_head().status, 200);
  whole.send(request_text("POST", kPath, kBody));
  std::set<uint64_t> running{id, cluster.rank().wait_generate().request_id()};
  const auto begin = Clock::now();
  std::thread draining([&] { frontend->drain(); });
  std::string last;
  while (const auto event = stream.next_event()) last = *event;
  EXPECT_NE(last.find("The frontend is shutting down, and the request was not done within 200 ms."), std::string::npos)
      << last;
  EXPECT_NE(last.find("service_unavailable"), std::string::npos) << last;
  const Answer answer = whole.read();
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.body.find("was not done within 200 ms."), std::string::npos) << answer.body;
  stream.close();
  whole.close();
  draining.join();
  EXPECT_GE(Clock::now() - begin, 200ms);
  running.erase(cluster.rank().wait_cancel());
  running.erase(cluster.rank().wait_cancel());
  EXPECT_TRUE(running.empty());
}

TEST(Frontend, AStartThatCannotSucceedNamesTheCause) {
  FakeCluster cluster(0);
  auto config = cluster.config();
  config.model.path = "/no/such/model";
  auto result = Frontend::start(config, 0);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("/no/such/model"), std::string::npos) << result.error().message;
  config = cluster.config();
  config.secret_file = "/no/such/secret";
  result = Frontend::start(config, 0);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("/no/such/secret"), std::string::npos) << result.error().message;
  const auto first = start(cluster.config());
  ASSERT_TRUE(first);
  config = cluster.config();
  config.frontend.port = first->port();
  result = Frontend::start(config, 0);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find(std::to_string(first->port())), std::string::npos) << result.error().message;
}

// Outputs are of no interest where it is used.
struct NoReactor final : Reactor {
  void post(std::function<void()>) override {}
};

TEST(RankPool, PromptsFollowTheirBeginningUntilItsRankIsGone) {
  FakeCluster cluster(3);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 3; }));
  NoReactor reactor;
  const auto rank_of = [&](int32_t beginning, int32_t end) {
    wire::Generate request;
    for (int i = 0; i < 300; ++i) request.add_prompt_token_ids(beginning);
    request.add_prompt_token_ids(end);
    return static_cast<uint32_t>(frontend.pool->generate(std::move(request), reactor, [](wire::Output&) {})->rank);
  };
  std::set<uint32_t> ranks;
  for (int32_t conversation = 10; conversation < 13; ++conversation) {
    const uint32_t first = rank_of(conversation, 100);
    ranks.insert(first);
    for (int32_t turn = 101; turn < 104; ++turn) EXPECT_EQ(rank_of(conversation, turn), first);
  }
  EXPECT_EQ(ranks.size(), 3U) << "conversations spread";
  const uint32_t lost = rank_of(10, 110);
  cluster.rank(lost).kill();
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  const uint32_t next = rank_of(10, 111);
  EXPECT_NE(next, lost);
  EXPECT_EQ(rank_of(10, 112), next);
}

TEST(RankPool, RequestsGoToTheRankWithTheFewestSequences) {
  FakeCluster cluster(3);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 3; }));
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(frontend.port());
    clients.back().send(request_text("POST", kPath, kBody));
  }
  ASSERT_TRUE(eventually([&] {
    return cluster.rank(0).generate_count() + cluster.rank(1).generate_count() + cluster.rank(2).generate_count() == 6;
  }));
  for (const size_t i : {0U, 1U, 2U}) EXPECT_EQ(cluster.rank(i).generate_count(), 2U);
  // Rank 1 becomes free: the next two are its own.
  for (int i = 0; i < 2; ++i)
    cluster.rank(1).send(cluster.rank(1).wait_generate().request_id(), output_of("x", wire::FINISH_LENGTH));
  EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() == 4; }));
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(frontend.port());
    clients.back().send(request_text("POST", kPath, kBody));
    EXPECT_NE(cluster.rank(1).wait_generate().request_id(), 0U);
  }
}

TEST(RankPool, ARankThatLeavesGetsNothingNewAndFinishesWhatItHas) {
  FakeCluster cluster(2);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  Client first(frontend.port()), second(frontend.port());
  first.send(request_text("POST", kPath, kBody));
  second.send(request_text("POST", kPath, kBody));
  const uint64_t old = cluster.rank(0).wait_generate().request_id();
  const uint64_t other = cluster.rank(1).wait_generate().request_id();
  wire::RoutingTable table;
  table.set_epoch(2);
  for (const uint32_t i : {0U, 1U}) {
    wire::RankAddress* address = table.add_ranks();
    address->set_rank_id(i);
    address->set_host("127.0.0.1");
    address->set_port(cluster.rank(i).port());
    address->set_state(i == 0 ? wire::RANK_LEAVING : wire::RANK_LIVE);
  }
  cluster.publish(table);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 1; }));
  cluster.rank(1).answer_with(ok);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank(0).generate_count(), 1U);
  cluster.rank(0).send(old, output_of("x", wire::FINISH_LENGTH));
  cluster.rank(1).send(other, output_of("x", wire::FINISH_LENGTH));
  EXPECT_EQ(first.read().status, 200);
  EXPECT_EQ(second.read().status, 200);
}

// What a coordinator says of ranks 0 and 1, group 0, and 2 and 3, group 1.
wire::RoutingTable two_groups(FakeCluster& cluster, const std::vector<uint32_t>& listed) {
  wire::RoutingTable table;
  for (const uint32_t i : listed) {
    wire::RankAddress* address = table.add_ranks();
    address->set_rank_id(i);
    address->set_group(i / 2);
    address->set_host("127.0.0.1");
    address->set_port(cluster.rank(i).port());
    address->set_state(wire::RANK_LIVE);
  }
  return table;
}

TEST(RankPool, AGroupThatLostARankGetsNothingNewWhileAnotherLives) {
  FakeCluster cluster(4);
  cluster.exchange = "mpi";
  cluster.publish(two_groups(cluster, {0, 1, 2, 3}));
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 4; }));
  for (const size_t i : {0U, 1U, 2U, 3U}) cluster.rank(i).answer_with(ok);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank(2).generate_count(), 1U);  // all of them are candidates
  EXPECT_EQ(cluster.rank(3).generate_count(), 1U);
  cluster.rank(3).kill();  // the frontend leaves the group before the coordinator says anything
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  cluster.publish(two_groups(cluster, {0, 1, 2, 3}));  // whose rank 2 is live, as far as that knows
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 3; }));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank(2).generate_count(), 1U);
  EXPECT_EQ(cluster.rank(0).generate_count() + cluster.rank(1).generate_count(), 8U);
  // Without the other group, what is left is better than nothing.
  cluster.rank(0).kill();
  cluster.rank(1).kill();
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 1; }));
  EXPECT_EQ(call(frontend.port(), "GET", "/ready").status, 200);
  EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank(2).generate_count(), 2U);
}

TEST(RankPool, WhatTheOtherRanksOfABrokenGroupHaveGoesToAWholeOneAtOnce) {
  FakeCluster cluster(4);
  cluster.exchange = "mpi";
  cluster.publish(two_groups(cluster, {0, 1, 2, 3}));
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 4; }));
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) {  // one a rank
    clients.emplace_back(frontend.port());
    clients.back().send(request_text("POST", kPath, kBody));
  }
  std::vector<uint64_t> ids;
  for (const size_t i : {0U, 1U, 2U, 3U}) ids.push_back(cluster.rank(i).wait_generate().request_id());
  cluster.rank(3).kill();  // rank 2 lives and says nothing
  // One each, as nobody's end changes the loads meanwhile.
  ASSERT_TRUE(
      eventually([&] { return cluster.rank(0).generate_count() == 2 && cluster.rank(1).generate_count() == 2; }));
  std::set<uint64_t> moved;
  for (const size_t i : {0U, 1U}) {
    const uint64_t id = cluster.rank(i).wait_generate().request_id();
    moved.insert(id);
    cluster.rank(i).send(id, output_of("x", wire::FINISH_LENGTH));
    cluster.rank(i).send(ids[i], output_of("x", wire::FINISH_LENGTH));
  }
  EXPECT_EQ(moved, (std::set<uint64_t>{ids[2], ids[3]}));
  for (auto& client : clients) EXPECT_EQ(client.read().status, 200);
}

TEST(RankPool, AGroupThatANewCoordinatorDoesNotListYetGoesOn) {
  FakeCluster cluster(4);
  cluster.publish(two_groups(cluster, {0, 1, 2, 3}));
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 4; }));
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(frontend.port());
    clients.back().send(request_text("POST", kPath, kBody));
  }
  std::vector<uint64_t> ids;
  for (const size_t i : {0U, 1U, 2U, 3U}) ids.push_back(cluster.rank(i).wait_generate().request_id());
  auto table = two_groups(cluster, {0, 1});
  table.mutable_ranks(0)->set_state(wire::RANK_LEAVING);  // so that it shows when the table is in force
  cluster.publish(table);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 3; }));
  for (const size_t i : {0U, 1U, 2U, 3U}) cluster.rank(i).send(ids[i], output_of("x", wire::FINISH_LENGTH));
  for (auto& client : clients) EXPECT_EQ(client.read().status, 200);
}

TEST(RankPool, StreamsAndNewRequestsOutliveTheCoordinator) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kBody));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  cluster.kill_coordinator();
  cluster.rank().send(id, output_of("x", wire::FINISH_LENGTH));
  EXPECT_EQ(client.read().status, 200);
  cluster.rank().answer_with(ok);
  EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
}

}  // namespace
}  // namespace switchyard::frontend
