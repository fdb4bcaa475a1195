// Goal: /v1/embeddings asks the ranks for what the request means and answers in OpenAI's shape. Method: real sockets,
// ranks that answer what the test says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "frontend/api/embedding_job.h"
#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

wire::Output embedding_output(const std::vector<float>& values) {
  wire::Output output;
  output.set_finish(wire::FINISH_LENGTH);
  output.mutable_embedding()->Add(values.begin(), values.end());
  return output;
}

std::vector<float> floats(const json::value& list) {
  std::vector<float> values;
  for (const json::value& value : list.as_array()) values.push_back(value.to_number<float>());
  return values;
}

class EmbeddingTest : public testing::Test {
 protected:
  // The rank's embedding of a prompt: (3 x its length, 4 x its length).
  void SetUp() override {
    ASSERT_TRUE(frontend.wait_ready());
    cluster.rank().answer_with([](const wire::Generate& request) {
      const auto length = static_cast<float>(request.prompt_token_ids_size());
      return std::vector<wire::Output>{embedding_output({3 * length, 4 * length})};
    });
  }
  Answer post(const std::string& body) { return call(frontend.port(), "POST", "/v1/embeddings", body); }
  json::value ok(const std::string& body) {
    const Answer answer = post(body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }
  json::value error(const std::string& body) {
    const Answer answer = post(body);
    EXPECT_EQ(answer.status, 400) << answer.body;
    return json::parse(answer.body).at("error");
  }

  FakeCluster cluster;
  TestFrontend frontend{cluster};
};

TEST_F(EmbeddingTest, HasOpenAisShapeAndLength1) {
  const json::value answer = ok(R"({"input":"Qqq"})");
  EXPECT_EQ(answer.at("object").as_string(), "list");
  EXPECT_EQ(answer.at("data").at(0).at("object").as_string(), "embedding");
  EXPECT_EQ(answer.at("data").at(0).at("index").as_int64(), 0);
  EXPECT_EQ(floats(answer.at("data").at(0).at("embedding")), (std::vector<float>{0.6F, 0.8F}));
  EXPECT_EQ(json::serialize(answer.at("usage")), R"({"prompt_tokens":3,"total_tokens":3})");
  const wire::Generate sent = cluster.rank().wait_generate();
  EXPECT_EQ(sent.pooling(), wire::POOLING_LAST);
  EXPECT_EQ(sent.max_tokens(), 0U);
  EXPECT_EQ(std::vector<int32_t>(sent.prompt_token_ids().begin(), sent.prompt_token_ids().end()), byte_tokens("Qqq"));
}

TEST_F(EmbeddingTest, EveryFormOfInputIsOneSequenceEach) {
  EXPECT_EQ(floats(ok(R"({"input":["a","bb"],"normalize":false})").at("data").at(1).at("embedding")),
            (std::vector<float>{6, 8}));
  EXPECT_EQ(floats(ok(R"({"input":[10,11,12],"normalize":false})").at("data").at(0).at("embedding")),
            (std::vector<float>{9, 12}));
  const json::value lists = ok(R"({"input":[[10],[11,12]],"normalize":false})");
  EXPECT_EQ(floats(lists.at("data").at(0).at("embedding")), (std::vector<float>{3, 4}));
  EXPECT_EQ(lists.at("data").at(1).at("index").as_int64(), 1);
  EXPECT_EQ(lists.at("usage").at("prompt_tokens").as_int64(), 3);
}

TEST_F(EmbeddingTest, Base64IsLittleEndianFloat32) {
  // struct.pack("<2f", 3, 4) in base64.
  EXPECT_EQ(
      ok(R"({"input":"a","normalize":false,"encoding_format":"base64"})").at("data").at(0).at("embedding").as_string(),
      "AABAQAAAgEA=");
}

TEST_F(EmbeddingTest, BadFieldsAreNamed) {
  for (const auto& [body, param] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "input"},
           {R"({"input":[]})", "input"},
           {R"({"input":""})", "input"},
           {R"({"input":["a",""]})", "input"},
           {R"({"input":["a",1]})", "input"},
           {R"({"input":[[1],"a"]})", "input"},
           {R"({"input":[999999]})", "input"},
           {R"({"input":{"text":"a"}})", "input"},
           {R"({"input":")" + std::string(kContext + 1, 'a') + R"("})", "input"},
           {R"({"input":"a","encoding_format":"int8"})", "encoding_format"},
           {R"({"input":"a","dimensions":1})", "dimensions"},
           {R"({"input":"a","normalize":1})", "normalize"}}) {
    EXPECT_EQ(error(body).at("param").as_string(), param) << body;
  }
  EXPECT_EQ(post(R"({"input":"a","model":"other"})").status, 404);
  EXPECT_EQ(cluster.rank().generate_count(), 0U);
}

TEST_F(EmbeddingTest, ARanksRefusalIsTheAnswerAndTheOthersAreFreed) {
  cluster.rank().answer_with([](const wire::Generate& request) {
    if (request.prompt_token_ids_size() == 2) return std::vector<wire::Output>{error_output(429, "full")};
    return std::vector<wire::Output>{};
  });
  const Answer answer = post(R"({"input":["a","bb"]})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_NE(cluster.rank().wait_cancel(), 0U);
}

TEST(EmbeddingPooling, IsTheConfiguredOrTheModelsOwn) {
  namespace fs = std::filesystem;
  const std::string model = testing::TempDir() + "/pooling_model_" + std::to_string(getpid());
  fs::remove_all(model);
  fs::copy(model_directory(), model, fs::copy_options::recursive);
  config::ModelConfig config;
  config.path = model;
  const auto pooling = [&] {
    const auto loaded = ServedModel::load(config);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return (*loaded)->facts().pooling;
  };
  EXPECT_EQ(pooling(), wire::POOLING_LAST);
  fs::create_directories(model + "/1_Pooling");
  std::ofstream(model + "/1_Pooling/config.json") << R"({"pooling_mode_mean_tokens": true})";
  EXPECT_EQ(pooling(), wire::POOLING_MEAN);
  config.pooling_type = "last";
  EXPECT_EQ(pooling(), wire::POOLING_LAST);
  config.pooling_type = "auto";
  std::ofstream(model + "/1_Pooling/config.json") << R"({"pooling_mode_cls_token": true})";
  const auto refused = ServedModel::load(config);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("1_Pooling/config.json"), std::string::npos) << refused.error().message;
  fs::remove_all(model);
}

}  // namespace
}  // namespace switchyard::frontend
