// Goal: `switchyard bench serve` counts what was sent and generated, keeps to its schedule, and says what failed.
// Method: a real frontend in front of a rank that emits tokens on a schedule; expected counts follow from the flags.
#include "launch/bench/serve_bench.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "frontend/api/frontend.h"
#include "launch/bench/answer_reader.h"
#include "launch/http_client.h"
#include "tests/support/scheduled_rank.h"

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

const std::string kModel = std::string(SWITCHYARD_TEST_DATA) + "/golden/qwen3-moe-tiny";

class ServeBench : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "switchyard-bench-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    std::ofstream(directory_ + "/secret") << "of the test";
    ASSERT_EQ(::chmod((directory_ + "/secret").c_str(), 0600), 0);
    ScheduledRank::Options options;
    options.secret = "of the test";
    options.tokenizer = kModel;
    options.interval = std::chrono::milliseconds(5);
    auto rank = ScheduledRank::start(options);
    ASSERT_TRUE(rank.ok()) << rank.error().message;
    rank_ = std::move(rank).value();
    config::ClusterConfig config;
    config.secret_file = directory_ + "/secret";
    config.model.path = kModel;
    config.coordinator.port = rank_->coordinator_port();
    config.frontend.port = 0;
    config.frontend.threads = 2;
    auto frontend = frontend::Frontend::start(config, 0);
    ASSERT_TRUE(frontend.ok()) << frontend.error().message;
    frontend_ = std::move(frontend).value();
    bench_.base_url = "http://127.0.0.1:" + std::to_string(frontend_->port());
    bench_.result_filename = directory_ + "/result.json";
    bench_.save_detailed = true;
    bench_.disable_tqdm = true;
    bench_.dataset.tokenizer = kModel;
    bench_.dataset.random_input_len = 8;
    HttpRequest ready;
    ready.target = "/ready";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      const auto answer = http_request(*parse_url(bench_.base_url), ready);
      if (answer.ok() && answer->status == 200) return;
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "the frontend is not ready";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void TearDown() override {
    frontend_.reset();
    rank_.reset();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  json::object result() const {
    std::ifstream file(bench_.result_filename);
    std::stringstream text;
    text << file.rdbuf();
    return json::parse(text.str()).as_object();
  }
  std::string run(bool succeeds = true) {
    testing::internal::CaptureStdout();
    const Status status = run_bench(bench_);
    std::string out = testing::internal::GetCapturedStdout();
    EXPECT_EQ(status.ok(), succeeds) << (status.ok() ? out : status.error().message);
    return out;
  }

  std::string directory_;
  std::unique_ptr<ScheduledRank> rank_;
  std::unique_ptr<frontend::Frontend> frontend_;
  BenchOptions bench_;
};

TEST_F(ServeBench, StreamsAreCountedInTheBlockAndInTheFile) {
  bench_.dataset.prompt_count = 20;
  bench_.dataset.random_output_len = 50;
  bench_.num_warmups = 3;
  bench_.goodput = {"e2el:60000"};
  const std::string out = run();
  EXPECT_NE(out.find("Successful requests:                     20 "), std::string::npos) << out;
  EXPECT_NE(out.find("Failed requests:                         0 "), std::string::npos) << out;
  EXPECT_NE(out.find("Total generated tokens:                  1000 "), std::string::npos) << out;
  EXPECT_NE(out.find("P99 ITL (ms): "), std::string::npos) << out;
  const json::object saved = result();
  EXPECT_EQ(saved.at("completed").to_number<int>(), 20);
  EXPECT_EQ(saved.at("total_output_tokens").to_number<int>(), 1000);
  EXPECT_EQ(saved.at("request_goodput"), saved.at("request_throughput"));
  for (const char* key :
       {"date", "backend", "model_id", "num_prompts", "request_rate", "duration", "total_input_tokens",
        "output_throughput", "total_token_throughput", "mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_itl_ms",
        "input_lens", "output_lens", "ttfts", "itls", "generated_texts", "errors"})
    EXPECT_TRUE(saved.contains(key)) << key;
  EXPECT_EQ(rank_->stats().sequences, 23U);  // warm-ups are sent, and not counted
}

TEST_F(ServeBench, NoTokenArrivesBeforeItsTime) {
  bench_.dataset.prompt_count = 8;
  bench_.dataset.random_output_len = 60;
  bench_.endpoint = "/v1/chat/completions";
  run();
  const json::object saved = result();
  for (size_t i = 0; i < 8; ++i) {
    // The first output is its own due time and the interval, in us on the clock of start_times.
    std::istringstream text(saved.at("generated_texts").as_array()[i].as_string().c_str());
    double due = 0, interval = 0;
    text >> due >> interval;
    EXPECT_EQ(interval, 5000);
    double at =
        saved.at("start_times").as_array()[i].to_number<double>() + saved.at("ttfts").as_array()[i].to_number<double>();
    EXPECT_GE(at + 1e-4, due / 1e6);
    for (const auto& gap : saved.at("itls").as_array()[i].as_array()) {
      at += gap.to_number<double>();
      due += interval;
      EXPECT_GE(at + 1e-4, due / 1e6);
    }
  }
}

TEST_F(ServeBench, ShareGptsConversationsOfFittingLengthAreAsked) {
  bench_.dataset.name = "sharegpt";
  bench_.dataset.path = directory_ + "/sharegpt.json";
  std::ofstream(bench_.dataset.path) << R"([{"conversations": [{"from": "human", "value": "one two three four five"},
                                                               {"from": "gpt", "value": "six seven eight nine"}]},
                                            {"conversations": [{"value": "a"}, {"value": "too short a prompt"}]},
                                            {"conversations": [{"value": "nobody answers this prompt"}]},
                                            {"conversations": "none"}, 7])";
  bench_.dataset.prompt_count = 3;
  bench_.base_url.clear();  // host, port and backend say as much
  bench_.port = frontend_->port();
  bench_.backend = "openai-chat";
  run();
  const json::object saved = result();
  EXPECT_EQ(saved.at("completed").to_number<int>(), 3);  // the one that fits, three times
  EXPECT_EQ(saved.at("endpoint_type").as_string(), "openai-chat");
  const std::set<int64_t> lengths = {saved.at("output_lens").at(0).as_int64(),
                                     saved.at("output_lens").at(2).as_int64()};
  EXPECT_EQ(lengths.size(), 1U);
  EXPECT_GE(*lengths.begin(), 4);
  // Without a file, a tokenizer, or anything that fits, nothing is asked.
  bench_.dataset.tokenizer.clear();
  run(false);
  bench_.dataset.tokenizer = kModel;
  std::ofstream(bench_.dataset.path) << "[]";
  run(false);
  bench_.dataset.path += ".not";
  run(false);
}

TEST_F(ServeBench, WholeAnswersKeepTheirConnections) {
  bench_.dataset.prompt_count = 40;
  bench_.dataset.random_output_len = 1;
  bench_.stream = false;
  bench_.max_concurrency = 4;
  run();
  EXPECT_EQ(result().at("completed").to_number<int>(), 40);
  EXPECT_EQ(result().at("max_concurrent_requests").to_number<int>(), 4);
}

TEST_F(ServeBench, AServerThatRefusesIsReportedWithItsReason) {
  bench_.dataset.prompt_count = 5;
  bench_.model = "another";
  testing::internal::CaptureStdout();
  const Status status = run_bench(bench_);
  const std::string out = testing::internal::GetCapturedStdout();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("HTTP 404"), std::string::npos) << status.error().message;
  EXPECT_NE(out.find("Failed requests:                         5 "), std::string::npos) << out;
}

TEST(AnswerReader, AStreamReadsTheSameHoweverItIsCut) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "d\r\ndata: {\"a\":1}\r\n5\r\n\n\ndat\r\n9;x=y\r\na: [DONE]\r\n2\r\n\n\n\r\n0\r\n\r\n";
  for (size_t cut = 0; cut <= answer.size(); ++cut) {
    AnswerReader reader;
    std::vector<std::string> events;
    const auto on_data = [&](std::string_view data) { events.emplace_back(data); };
    reader.feed(std::string_view(answer).substr(0, cut), on_data);
    reader.feed(std::string_view(answer).substr(cut), on_data);
    EXPECT_EQ(events, (std::vector<std::string>{"{\"a\":1}", "[DONE]"})) << cut;
    EXPECT_EQ(reader.feed_end(on_data), AnswerReader::State::kDone) << cut;
  }
}

}  // namespace
}  // namespace switchyard::launch
