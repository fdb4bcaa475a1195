// `switchyard tokenize` and `switchyard template` by their library functions.
#include "common/text/commands.h"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/text/text_vectors.h"

namespace switchyard::text {
namespace {

struct Run {
  int status = 0;
  std::string out;
  std::string errors;
};

template <typename Command, typename Options>
Run run(const Command& command, const std::string& input, const Options& options) {
  std::istringstream in(input);
  std::ostringstream out, errors;
  Run result;
  result.status = command(in, out, errors, options);
  result.out = out.str();
  result.errors = errors.str();
  return result;
}

const std::string kGolden = std::string(SWITCHYARD_TEST_DATA) + "/golden/qwen3-moe-tiny";
const std::string kTemplates = std::string(SWITCHYARD_TEST_DATA) + "/text/chat_templates/";

TEST(TokenizeCommand, GivesIdsAndTextsALineEach) {
  const auto encoded =
      run(run_tokenize, "{\"text\":\"<|user|>\"}\n\n{\"text\":\"\"}\n", TokenizeOptions{kGolden, false});
  EXPECT_EQ(encoded.status, 0);
  EXPECT_EQ(encoded.out, "{\"ids\":[4],\"ids_special\":[4]}\n{\"ids\":[],\"ids_special\":[]}\n");
  const auto decoded = run(run_tokenize, "{\"ids\":[4,8,-1,100000,4000000000]}\n", TokenizeOptions{kGolden, true});
  EXPECT_EQ(decoded.status, 0);
  EXPECT_EQ(decoded.out, "{\"decoded\":\"<|user|><think>\",\"decoded_clean\":\"<think>\"}\n");
}

TEST(TokenizeCommand, ABadLineIsAnsweredAndTheOthersGoOn) {
  const auto result =
      run(run_tokenize, "nonsense\n[]\n{\"text\":1}\n{\"text\":\"<|user|>\"}", TokenizeOptions{kGolden, false});
  EXPECT_EQ(result.status, 1);
  std::istringstream lines(result.out);
  std::string line;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(line.find("{\"error\":"), 0u) << line;
  }
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "{\"ids\":[4],\"ids_special\":[4]}");
}

TEST(TokenizeCommand, AMissingTokenizerIsNamed) {
  const auto result = run(run_tokenize, "", TokenizeOptions{"/nonexistent", false});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.errors.find("/nonexistent"), std::string::npos);
}

TEST(TemplateCommand, RendersWithAFileAndWithTheLinesOwnTemplate) {
  const auto lines = read_lines("text/chat_templates/vectors.jsonl.zst");
  const std::string file = "Qwen-Qwen3-0.6B.jinja";
  std::string input, wanted;
  for (const auto& line : lines) {
    if (line.at("template") != boost::json::string_view(file) || !line.contains("rendered")) continue;
    input += boost::json::serialize(boost::json::object{
                 {"messages", line.at("messages")}, {"tools", line.at("tools")}, {"kwargs", line.at("kwargs")}}) +
             "\n";
    wanted += boost::json::serialize(boost::json::object{{"rendered", line.at("rendered")}}) + "\n";
  }
  ASSERT_FALSE(wanted.empty());
  const auto result = run(run_template, input, TemplateOptions{kTemplates + file, "2025-03-09"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(result.out, wanted);

  const auto own =
      run(run_template, R"({"template":"{{ messages[0] }}{{ strftime_now('%d.%m.%Y') }}","messages":["a"]})",
          TemplateOptions{"", "2024-02-29"});
  EXPECT_EQ(own.status, 0);
  EXPECT_EQ(own.out, "{\"rendered\":\"a29.02.2024\"}\n");
}

TEST(TemplateCommand, ErrorsOfATemplateAreAnswers) {
  const auto result = run(run_template, R"({"template":"{{ raise_exception('no') }}"})", TemplateOptions{});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, "{\"error\":\"no\"}\n");
  EXPECT_EQ(run(run_template, "", TemplateOptions{"", "2024-02-30"}).status, 1);
  EXPECT_EQ(run(run_template, "", TemplateOptions{"/nonexistent.jinja", ""}).status, 1);
}

}  // namespace
}  // namespace switchyard::text
