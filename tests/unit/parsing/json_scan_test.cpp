// Goal: JsonScan and boost::json agree on what is JSON. Method: values of RFC 8259's grammar and near misses, and
// random damage to them.
#include "frontend/parsing/json_scan.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <random>

namespace switchyard::parsing {
namespace {

bool reference(const std::string& text) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = JsonScan::kDepthMax;
  boost::json::parse(text, error, {}, options);
  return !error;
}

const std::vector<std::string> kTexts = {"",
                                         " ",
                                         "1",
                                         "0",
                                         "-0",
                                         "01",
                                         "-",
                                         "1.",
                                         "1.5",
                                         ".5",
                                         "1e5",
                                         "1E+05",
                                         "1e",
                                         "1e-",
                                         "-1.5e-7 ",
                                         "true",
                                         "tru",
                                         "truex",
                                         "null",
                                         "false",
                                         "\"\"",
                                         "\"a\\u00e9\\n\"",
                                         "\"\\x\"",
                                         "\"\\u12g4\"",
                                         "\"tab\t\"",
                                         "\"open",
                                         "[]",
                                         "[1]",
                                         "[1,]",
                                         "[,1]",
                                         "[1 2]",
                                         "{}",
                                         "{\"a\":1}",
                                         "{\"a\":1,}",
                                         "{\"a\" 1}",
                                         "{a:1}",
                                         "{1:2}",
                                         "{\"a\":{\"b\":[true,null,{}]}}",
                                         "[}",
                                         "{]",
                                         "[[]",
                                         "[]]",
                                         "1 2",
                                         " { \"a\" : [ 1 , -2.5e3 , \"\\\"\" ] } ",
                                         "[1.5,2e1,0]",
                                         "{\"a\":01}",
                                         "NaN",
                                         "'a'",
                                         "[\"\\\\\"]",
                                         "\"\\ud83d\\ude00\""};

TEST(JsonScan, AgreesWithBoostOnWhatIsJson) {
  for (const std::string& text : kTexts) EXPECT_EQ(is_json(text), reference(text)) << text;
}

TEST(JsonScan, AgreesWithBoostOnDamagedTexts) {
  std::mt19937 random(11);
  int valid = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = kTexts[random() % kTexts.size()];
    for (int i = 0; i < 2; ++i) {
      const size_t at = random() % (text.size() + 1);
      if (random() % 2 == 0 && at < text.size())
        text.erase(at, 1);
      else
        text.insert(at, 1, "{}[],:\"01.-e tn\\"[random() % 15]);
    }
    // Lone halves of surrogate pairs, which boost alone refuses, cannot arise from these texts' escapes but by damage.
    if (text.find("\\u") != std::string::npos) continue;
    ASSERT_EQ(is_json(text), reference(text)) << text;
    valid += is_json(text) ? 1 : 0;
  }
  EXPECT_GT(valid, 500);
}

TEST(JsonScan, RefusesWhatIsNestedTooDeep) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(is_json(nested(JsonScan::kDepthMax)));
  EXPECT_FALSE(is_json(nested(JsonScan::kDepthMax + 1)));
}

TEST(JsonScan, FindsTheLastByte) {
  JsonScan scan;
  const std::string text = " {\"a\": \"}\"}";
  for (size_t i = 0; i + 1 < text.size(); ++i) ASSERT_EQ(scan.push(text[i]), JsonScan::State::kMore) << i;
  EXPECT_EQ(scan.push('}'), JsonScan::State::kDone);
}

}  // namespace
}  // namespace switchyard::parsing
