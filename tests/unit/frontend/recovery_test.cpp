// Goal: no request is lost with its rank. Method: fake ranks that die in the middle of answers, leave, or come back;
// what the next rank is asked, and what clients see, to the letter.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>
#include <string>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr const char* kPath = "/v1/completions";
const std::string kBody = R"({"prompt":"Q","max_tokens":5})";
const std::string kStream = R"({"prompt":"Q","max_tokens":5,"stream":true,"stream_options":{"include_usage":true}})";

std::vector<wire::Output> ok(const wire::Generate&) { return {output_of("ok", wire::FINISH_LENGTH)}; }

// The text of a stream's rest, and its usage.
struct Rest {
  std::string text;
  std::string finish_reason;
  int64_t completion_tokens = -1;
  std::string error;
  bool done = false;
};
Rest rest_of(Client& client) {
  Rest rest;
  while (const auto event = client.next_event()) {
    rest.done = *event == "[DONE]";
    if (rest.done) continue;
    const json::object chunk = json::parse(*event).as_object();
    if (chunk.contains("error")) {
      rest.error = chunk.at("error").at("message").as_string();
      continue;
    }
    for (const json::value& choice : chunk.at("choices").as_array()) {
      rest.text += std::string(choice.at("text").as_string());
      if (choice.at("finish_reason").is_string()) rest.finish_reason = choice.at("finish_reason").as_string();
    }
    if (chunk.contains("usage") && chunk.at("usage").is_object())
      rest.completion_tokens = chunk.at("usage").at("completion_tokens").as_int64();
  }
  return rest;
}

// Which of the ranks has been sent the request; each is asked once at most.
struct Found {
  size_t rank = 0;
  wire::Generate generate;
};
Found find_generate(FakeCluster& cluster, std::set<size_t> ranks) {
  Found found;
  EXPECT_TRUE(eventually([&] {
    for (const size_t i : ranks) {
      if (cluster.rank(i).generate_count() == 0) continue;
      found = {i, cluster.rank(i).wait_generate()};
      return true;
    }
    return false;
  }));
  return found;
}

TEST(Recovery, AnotherRankGoesOnWithAStreamWhereTheLostOneStopped) {
  FakeCluster cluster(2);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kStream));
  const Found first = find_generate(cluster, {0, 1});
  FakeRank& lost = cluster.rank(first.rank);
  FakeRank& other = cluster.rank(1 - first.rank);
  lost.send(first.generate.request_id(), output_of("a"));
  lost.send(first.generate.request_id(), output_of("b"));
  ASSERT_EQ(client.read_head().status, 200);
  std::string text;
  while (text != "ab") {
    const auto event = client.next_event();
    ASSERT_TRUE(event);
    text += std::string(json::parse(*event).at("choices").at(0).at("text").as_string());
  }
  lost.kill();

  const wire::Generate again = other.wait_generate();
  const auto bytes = byte_tokens("ab");
  EXPECT_EQ(std::vector<int32_t>(again.generated_token_ids().begin(), again.generated_token_ids().end()), bytes);
  // But for that it is the request that the lost rank had.
  wire::Generate same = again;
  same.clear_generated_token_ids();
  EXPECT_EQ(same.SerializeAsString(), first.generate.SerializeAsString());
  wire::Output output = output_of("c");
  output.set_cached_tokens(1);  // in a cache that has nothing to do with the first computation
  other.send(again.request_id(), output);
  other.send(again.request_id(), output_of("de", wire::FINISH_LENGTH));
  const Rest rest = rest_of(client);
  EXPECT_EQ(rest.text, "cde");
  EXPECT_EQ(rest.finish_reason, "length");
  EXPECT_EQ(rest.completion_tokens, 5);
  EXPECT_TRUE(rest.done);
  EXPECT_EQ(frontend.pool->load().replays, 1U);
  EXPECT_NE(call(frontend.port(), "GET", "/metrics").body.find("switchyard_replays_total{model_name=\"tiny\"} 1"),
            std::string::npos);
}

TEST(Recovery, ASequenceOutlivesSeveralRanksAndLogprobsComeOnce) {
  FakeCluster cluster(3);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 3; }));
  Client client(frontend.port());
  client.send(request_text("POST", kPath, R"({"prompt":"Qr","max_tokens":3,"echo":true,"logprobs":1})"));
  std::string so_far;
  std::set<size_t> living{0, 1, 2};
  for (const char* next : {"x", "y", "z"}) {
    const auto [index, generate] = find_generate(cluster, living);
    EXPECT_EQ(generate.generated_token_ids_size(), static_cast<int>(so_far.size()));
    EXPECT_EQ(generate.sampling().prompt_logprobs(), so_far.empty());
    so_far += next;
    wire::Output output = output_of(next, so_far.size() == 3 ? wire::FINISH_LENGTH : wire::FINISH_NONE);
    output.add_logprobs()->set_token_id(byte_token(static_cast<unsigned char>(*next)));
    if (so_far.size() == 1) output.add_prompt_logprobs()->set_token_id(byte_token('r'));
    cluster.rank(index).send(generate.request_id(), output);
    if (so_far.size() < 3) cluster.rank(index).kill();
    living.erase(index);
  }
  const Answer answer = client.read();
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(body.at("choices").at(0).at("text").as_string(), "Qrxyz");
  EXPECT_EQ(body.at("choices").at(0).at("logprobs").at("tokens").as_array().size(), 5U);
  EXPECT_EQ(body.at("usage").at("completion_tokens").as_int64(), 3);
}

TEST(Recovery, RequestsOldAndNewWaitForARankToComeBack) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client old(frontend.port()), fresh(frontend.port());
  old.send(request_text("POST", kPath, kBody));
  cluster.rank().send(cluster.rank().wait_generate().request_id(), output_of("o"));
  cluster.rank().kill();
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 0; }));
  EXPECT_EQ(call(frontend.port(), "GET", "/ready").status, 503);
  fresh.send(request_text("POST", kPath, kBody));
  ASSERT_TRUE(eventually([&] { return frontend.api->requests_running() == 2; }));
  cluster.restart_rank(0);
  cluster.rank().answer_with(ok);
  cluster.publish(wire::RANK_LIVE);
  EXPECT_EQ(json::parse(old.read().body).at("choices").at(0).at("text").as_string(), "ook");
  EXPECT_EQ(json::parse(fresh.read().body).at("choices").at(0).at("text").as_string(), "ok");
}

TEST(Recovery, WhenNoRankComesBackRequestsEndWithTheReasonAndNewOnesAreRefused) {
  FakeCluster cluster;
  cluster.recovery_timeout_ms = 50;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client whole(frontend.port()), streamed(frontend.port());
  whole.send(request_text("POST", kPath, kBody));
  ASSERT_NE(cluster.rank().wait_generate().request_id(), 0U);
  streamed.send(request_text("POST", kPath, kStream));
  cluster.rank().send(cluster.rank().wait_generate().request_id(), output_of("a"));
  EXPECT_EQ(streamed.read_head().status, 200);
  EXPECT_TRUE(streamed.next_event());
  cluster.rank().kill();
  const Answer answer = whole.read();
  EXPECT_EQ(answer.status, 503);
  const json::value error = json::parse(answer.body).at("error");
  EXPECT_EQ(error.at("type").as_string(), "server_error");
  EXPECT_EQ(error.at("message").as_string(),
            "No rank could go on with the request within 50 ms: not connected to any rank yet.");
  EXPECT_FALSE(rest_of(streamed).error.empty());
  ASSERT_TRUE(eventually([&] { return call(frontend.port(), "POST", kPath, kBody).status == 503; }));
  const Answer next = call(frontend.port(), "POST", kPath, kBody);
  EXPECT_EQ(next.header("retry-after"), "1");
  EXPECT_EQ(call(frontend.port(), "GET", "/health").status, 200);
  EXPECT_EQ(frontend.api->requests_running(), 0U);
}

// As the coordinator says it of a group that has too few ranks; "" = enough.
wire::RoutingTable table_of(FakeCluster& cluster, std::vector<std::string> why_not_of_groups) {
  wire::RoutingTable table;
  table.set_epoch(2);
  for (uint32_t group = 0; group < why_not_of_groups.size(); ++group) {
    auto& rank = *table.add_ranks();
    rank.set_rank_id(group);
    rank.set_group(group);
    rank.set_host("127.0.0.1");
    rank.set_port(cluster.rank(group).port());
    rank.set_state(wire::RANK_LIVE);
    auto& state = *table.add_groups();
    state.set_group(group);
    state.set_why_not_serving(why_not_of_groups[group]);
    state.set_retry_after_s(7);
  }
  return table;
}

TEST(Recovery, WithTooFewRanksNewRequestsAreRefusedAndOldOnesWait) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client waits(frontend.port());
  waits.send(request_text("POST", kPath, kBody));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  ASSERT_NE(id, 0U);
  cluster.publish(table_of(cluster, {"group 0 has 1 of its 2 ranks"}));
  ASSERT_TRUE(eventually([&] { return call(frontend.port(), "GET", "/ready").status == 503; }));
  const Answer refused = call(frontend.port(), "POST", kPath, kBody);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "7");
  EXPECT_EQ(json::parse(refused.body).at("error").at("message").as_string(),
            "No worker rank can take the request: group 0 has 1 of its 2 ranks.");
  cluster.publish(table_of(cluster, {""}));
  ASSERT_TRUE(frontend.wait_ready());
  cluster.rank().send(id, output_of("ok", wire::FINISH_LENGTH));
  EXPECT_EQ(waits.read().status, 200);  // it went on where it was
  EXPECT_EQ(cluster.rank().generate_count(), 1U);
}

TEST(Recovery, WhatWaitsForRanksTooLongEndsWithTheReason) {
  FakeCluster cluster;
  cluster.recovery_timeout_ms = 50;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kBody));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  cluster.publish(table_of(cluster, {"group 0 has 1 of its 2 ranks"}));
  const Answer ended = client.read();
  EXPECT_EQ(ended.status, 503);
  EXPECT_EQ(json::parse(ended.body).at("error").at("message").as_string(),
            "No rank could go on with the request within 50 ms: group 0 has 1 of its 2 ranks.");
  EXPECT_EQ(cluster.rank().wait_cancel(), id);
}

TEST(Recovery, WhatRunsInAGroupWithTooFewRanksGoesOnInAnother) {
  FakeCluster cluster(2);
  TestFrontend frontend(cluster);
  cluster.publish(table_of(cluster, {"", ""}));
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kStream));
  const Found first = find_generate(cluster, {0, 1});
  cluster.rank(first.rank).send(first.generate.request_id(), output_of("a"));
  ASSERT_EQ(client.read_head().status, 200);
  cluster.rank(1 - first.rank).answer_with(ok);
  std::vector<std::string> why_not(2);
  why_not[first.rank] = "too few";
  cluster.publish(table_of(cluster, why_not));
  EXPECT_EQ(rest_of(client).text, "aok");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank(first.rank).generate_count(), 1U);
}

TEST(Recovery, ARequestThatARankOnItsWayOutRefusesGoesToAnother) {
  FakeCluster cluster(2);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  cluster.rank(0).answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{error_output(503, "the rank is shutting down")}; });
  cluster.rank(1).answer_with(ok);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_GT(cluster.rank(0).generate_count(), 0U);
}

TEST(Recovery, WhenAllRanksRefuseTheirWordsReachTheClient) {
  FakeCluster cluster;
  cluster.recovery_timeout_ms = 50;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  cluster.rank().answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{error_output(503, "the rank is shutting down")}; });
  const Answer answer = call(frontend.port(), "POST", kPath, kBody);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(json::parse(answer.body).at("error").at("message").as_string(),
            "No rank could go on with the request within 50 ms: the rank is shutting down");
}

TEST(Recovery, AFullRankRefusesANewRequestButNeverOneThatItsClientHasTokensOf) {
  FakeCluster cluster(2);
  TestFrontend frontend(cluster);
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 2; }));
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kStream));
  const Found first = find_generate(cluster, {0, 1});
  FakeRank& other = cluster.rank(1 - first.rank);
  cluster.rank(first.rank).send(first.generate.request_id(), output_of("a"));
  ASSERT_EQ(client.read_head().status, 200);
  other.answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{error_output(429, "the rank's queue is full")}; });
  cluster.rank(first.rank).kill();
  ASSERT_TRUE(eventually([&] { return other.generate_count() >= 2; }));  // it is asked again and again
  EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 429);
  other.answer_with(ok);
  EXPECT_EQ(rest_of(client).text, "aok");
}

TEST(Recovery, AClientThatLeavesWhileItsRequestWaitsLeavesNothingBehind) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  Client client(frontend.port());
  client.send(request_text("POST", kPath, kBody));
  ASSERT_NE(cluster.rank().wait_generate().request_id(), 0U);
  cluster.rank().kill();
  ASSERT_TRUE(eventually([&] { return frontend.pool->load().live_ranks == 0; }));
  client.close();
  ASSERT_TRUE(eventually([&] { return frontend.api->requests_running() == 0; }));
  cluster.restart_rank(0);
  cluster.rank().answer_with(ok);
  cluster.publish(wire::RANK_LIVE);
  ASSERT_TRUE(frontend.wait_ready());
  EXPECT_EQ(call(frontend.port(), "POST", kPath, kBody).status, 200);
  EXPECT_EQ(cluster.rank().generate_count(), 1U);
}

}  // namespace
}  // namespace switchyard::frontend
