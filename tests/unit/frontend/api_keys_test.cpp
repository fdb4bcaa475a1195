// Goal: a key gets what its limits say, a refusal says when to come again and keeps its word, and frontends share.
// Method: a clock that the test moves.
#include "frontend/api/api_keys.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ApiKeysTest : public testing::Test {
 protected:
  ApiKeys keys_with(const KeyLimits& limits, uint32_t requests_max = 1000) {
    return ApiKeys({{"one", limits}, {"two", {}}}, {}, requests_max, [this] { return now_; });
  }
  // The seconds to wait; 0 = let in, and gone again.
  static uint32_t wait(ApiKeys& keys, size_t key = 0) {
    const auto admitted = keys.admit(key);
    const auto* refused = std::get_if<ApiError>(&admitted);
    if (refused == nullptr) return 0;
    EXPECT_EQ(refused->status, 429);
    EXPECT_EQ(refused->code, "rate_limit_exceeded");
    return refused->retry_after_seconds;
  }
  static AdmissionPtr admit(ApiKeys& keys, size_t key = 0) { return std::get<AdmissionPtr>(keys.admit(key)); }

  ApiKeys::Time now_{seconds(1000)};
};

TEST_F(ApiKeysTest, RequestsAMinuteAreLetInAndOneMoreWhenRetryAfterSays) {
  ApiKeys keys = keys_with({.requests_per_minute = 6});
  for (int i = 0; i < 6; ++i) EXPECT_EQ(wait(keys), 0U) << i;
  EXPECT_EQ(wait(keys), 10U);
  EXPECT_EQ(wait(keys, 1), 0U) << "another key has nothing to do with it";
  now_ += milliseconds(9900);
  EXPECT_EQ(wait(keys), 1U);
  now_ += milliseconds(200);
  EXPECT_EQ(wait(keys), 0U);
  EXPECT_EQ(wait(keys), 10U);
  now_ += seconds(3600);  // a bucket holds a minute's worth, however long nobody came
  for (int i = 0; i < 6; ++i) EXPECT_EQ(wait(keys), 0U) << i;
  EXPECT_NE(wait(keys), 0U);
}

TEST_F(ApiKeysTest, TokensAreTakenAsTheyComeAndTheDebtIsWaitedFor) {
  ApiKeys keys = keys_with({.tokens_per_minute = 60});
  const AdmissionPtr running = admit(keys);
  running->take_tokens(50);
  EXPECT_EQ(wait(keys), 0U);
  running->take_tokens(30);  // 20 over: nothing is cut, and the next waits for 21
  EXPECT_EQ(wait(keys), 21U);
  now_ += seconds(21);
  EXPECT_EQ(wait(keys), 0U);
}

TEST_F(ApiKeysTest, RequestsAtOnceEndWithTheirLastOwner) {
  ApiKeys keys = keys_with({.requests_at_once = 2});
  AdmissionPtr first = admit(keys);
  const AdmissionPtr copy = first;
  const AdmissionPtr second = admit(keys);
  EXPECT_EQ(wait(keys), 1U);
  first.reset();
  EXPECT_EQ(wait(keys), 1U);
  EXPECT_EQ(keys.running(), 2U);
}

TEST_F(ApiKeysTest, AllKeysTogetherAreBoundedToo) {
  ApiKeys keys = keys_with({}, 1);
  const AdmissionPtr first = admit(keys);
  EXPECT_TRUE(std::holds_alternative<ApiError>(keys.admit(1)));
}

TEST_F(ApiKeysTest, APriorityIsTheBestThatARequestMayHave) {
  ApiKeys keys = keys_with({.priority = 2});
  EXPECT_EQ(admit(keys)->priority({}), 2);
  EXPECT_EQ(admit(keys)->priority(-5), 2);
  EXPECT_EQ(admit(keys)->priority(7), 7);
  EXPECT_EQ(admit(keys, 1)->priority(-5), -5);
  EXPECT_EQ(admit(keys, 1)->priority({}), 0);
}

TEST_F(ApiKeysTest, TwoFrontendsThatReportToEachOtherLetInWhatOneWould) {
  ApiKeys a = keys_with({.requests_per_minute = 10, .tokens_per_minute = 100, .requests_at_once = 3});
  ApiKeys b = keys_with({.requests_per_minute = 10, .tokens_per_minute = 100, .requests_at_once = 3});
  const auto exchange = [&] {
    b.others_took(1, a.take_report());
    a.others_took(2, b.take_report());
  };
  std::vector<AdmissionPtr> running = {admit(a), admit(a), admit(b)};
  exchange();
  EXPECT_NE(wait(a), 0U);
  EXPECT_NE(wait(b), 0U) << "3 at once, 2 of them there";
  running.clear();
  exchange();
  for (int i = 0; i < 7; ++i) EXPECT_EQ(wait(i % 2 == 0 ? a : b), 0U) << i;
  exchange();
  EXPECT_EQ(wait(a), 6U);
  EXPECT_EQ(wait(b), 6U);
  now_ += seconds(60);
  admit(a)->take_tokens(150);
  exchange();
  EXPECT_EQ(wait(b), 31U);
}

TEST_F(ApiKeysTest, AFrontendThatIsGoneHoldsNobodyUp) {
  ApiKeys a = keys_with({.requests_at_once = 1});
  ApiKeys gone = keys_with({.requests_at_once = 1});
  const AdmissionPtr there = admit(gone);
  a.others_took(7, gone.take_report());
  EXPECT_NE(wait(a), 0U);
  now_ += seconds(6);
  EXPECT_EQ(wait(a), 0U);
}

TEST_F(ApiKeysTest, AReportThatWaitedLongCostsAMinuteAtMost) {
  ApiKeys a = keys_with({.tokens_per_minute = 60});
  ApiKeys b = keys_with({.tokens_per_minute = 60});
  admit(b)->take_tokens(1000000);
  a.others_took(1, b.take_report());
  EXPECT_EQ(wait(a), 61U);
}

TEST(ApiKeysFile, HasAKeyALineWithItsLimits) {
  const std::string file = testing::TempDir() + "/api_keys_" + std::to_string(getpid());
  const auto read = [&](const std::string& text) {
    std::ofstream(file) << text;
    EXPECT_EQ(chmod(file.c_str(), 0600), 0);
    return read_api_keys(file, {.requests_per_minute = 5});
  };
  const auto keys =
      read("# teams\nsk-a\n\n  sk-b requests_per_minute=7 tokens_per_minute=8 requests_at_once=9 priority=-2 # x\n");
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].key, "sk-a");
  EXPECT_EQ((*keys)[0].limits.requests_per_minute, 5U);
  EXPECT_EQ((*keys)[1].limits.requests_per_minute, 7U);
  EXPECT_EQ((*keys)[1].limits.tokens_per_minute, 8U);
  EXPECT_EQ((*keys)[1].limits.requests_at_once, 9U);
  EXPECT_EQ((*keys)[1].limits.priority, -2);
  for (const std::string wrong :
       {"sk-secret rate=1\n", "sk-secret requests_per_minute=many\n", "sk-secret requests_per_minute=-1\n",
        "sk-secret requests_at_once=\n", "sk-secret\nsk-secret\n", "sk-secret 5\n", "# nothing\n"}) {
    const auto refused = read(wrong);
    ASSERT_FALSE(refused.ok()) << wrong;
    EXPECT_NE(refused.error().message.find(file + ":"), std::string::npos) << refused.error().message;
    EXPECT_EQ(refused.error().message.find("sk-secret"), std::string::npos) << "a key in a message";
  }
  EXPECT_FALSE(read_api_keys("/no/such/file", {}).ok());
  EXPECT_TRUE(read("sk-a\n").ok());
  EXPECT_EQ(chmod(file.c_str(), 0640), 0);
  const auto open_to_others = read_api_keys(file, {});
  ASSERT_FALSE(open_to_others.ok());
  EXPECT_NE(open_to_others.error().message.find("chmod 600"), std::string::npos) << open_to_others.error().message;
  std::remove(file.c_str());
}

TEST(ApiKeysOverHttp, LimitsShowInHeadersAndRefusalsSayWhenToComeAgain) {
  FakeCluster cluster;
  TestFrontend frontend(
      cluster, {.api_keys = {{"sk-a", {.requests_per_minute = 2, .tokens_per_minute = 600}}}, .open_limits = {}});
  ASSERT_TRUE(frontend.wait_ready());
  cluster.rank().answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{output_of("okay", wire::FINISH_LENGTH)}; });
  const auto post = [&] {
    return call(frontend.port(), "POST", "/v1/completions", R"({"prompt":"Q","max_tokens":4})",
                "Authorization: Bearer sk-a\r\n");
  };
  const Answer first = post();
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.header("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(first.header("x-ratelimit-limit-tokens"), "600");
  EXPECT_EQ(post().header("x-ratelimit-remaining-tokens"), "595");  // a token of prompt and four of answer
  const Answer refused = post();
  EXPECT_EQ(refused.status, 429);
  const int wait = std::stoi(refused.header("retry-after"));
  EXPECT_GE(wait, 25);
  EXPECT_LE(wait, 30);
}

}  // namespace
}  // namespace switchyard::frontend
