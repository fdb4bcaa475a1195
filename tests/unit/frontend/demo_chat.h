// A frontend of the demo model, whose markers of reasoning and calls are special tokens, and a rank that says what the
// test writes: one token an output, so that a stream has as many pieces as it can have.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {

inline const std::string kTwoCalls =
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"北京\"}<｜tool▁call▁end｜>"
    "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>";

inline std::string text_of(const boost::json::value& value) { return boost::json::value_to<std::string>(value); }

inline ApiOptions with_keys(const std::vector<std::string>& keys) {
  ApiOptions options;
  for (const std::string& key : keys) options.api_keys.push_back({.key = key, .limits = {}});
  return options;
}

class DemoChat : public testing::Test {
 protected:
  explicit DemoChat(const std::string& parser = "auto", ApiOptions options = {}) {
    const std::string model = SWITCHYARD_TEST_DATA "/../../models/switchyard-r1-small";
    cluster.model_path = model;
    cluster.tool_call_parser = parser;
    frontend = std::make_unique<TestFrontend>(cluster, std::move(options));
    const auto loaded = text::Tokenizer::load(model);
    SWITCHYARD_CHECK(loaded.ok());
    tokenizer = *loaded;
  }
  void SetUp() override { ASSERT_TRUE(frontend->wait_ready()); }

  // The end of sequence closes it. Every token has the log-probability -1.
  void rank_says(const std::string& text, wire::FinishReason finish = wire::FINISH_STOP) {
    std::vector<int32_t> ids = tokenizer->encode(text, false);
    if (finish == wire::FINISH_STOP) ids.push_back(*tokenizer->eos_id());
    token_count = ids.size();
    std::vector<wire::Output> outputs;
    for (const int32_t id : ids) {
      outputs.push_back(output_of_ids({id}));
      wire::TokenLogprob* score = outputs.back().add_logprobs();
      score->set_token_id(id);
      score->set_logprob(-1.0F);
    }
    outputs.back().set_finish(finish);
    cluster.rank().answer_with([outputs](const wire::Generate&) { return outputs; });
  }

  Answer post(const std::string& path, const std::string& body, const std::string& headers = "") {
    return call(frontend->port(), "POST", path, body, headers);
  }
  // The prompt of the next request that reaches the rank.
  std::string prompt() {
    const wire::Generate sent = cluster.rank().wait_generate();
    return tokenizer->decode(std::vector<int32_t>(sent.prompt_token_ids().begin(), sent.prompt_token_ids().end()),
                             false);
  }

  struct Event {
    std::string name;
    boost::json::value data;
  };
  // A stream of named events; each name is also its data's type.
  std::vector<Event> events(const std::string& path, const std::string& body) {
    Client client(frontend->port());
    client.send(request_text("POST", path, body));
    const Answer head = client.read_head();
    EXPECT_EQ(head.status, 200);
    EXPECT_TRUE(head.header("content-type").starts_with("text/event-stream"));
    std::vector<Event> all;
    while (const auto event = client.next_event()) {
      boost::system::error_code error;
      all.push_back({client.event_name(), boost::json::parse(*event, error)});
      EXPECT_FALSE(error) << *event;
      if (error) break;
      EXPECT_EQ(text_of(all.back().data.at("type")), all.back().name);
    }
    EXPECT_TRUE(client.stream_complete());
    return all;
  }

  FakeCluster cluster;
  std::unique_ptr<TestFrontend> frontend;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  size_t token_count = 0;
};

}  // namespace switchyard::frontend
