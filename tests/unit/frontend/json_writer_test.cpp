// Answers' JSON: numbers that come back as the same float32, strings that are JSON whatever the bytes, error bodies,
// stream events.
#include "frontend/http/json_writer.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "frontend/http/errors.h"
#include "frontend/http/sse.h"

namespace switchyard::frontend {
namespace {

std::string float_text(float value) {
  std::string out;
  append_json_float(out, value);
  return out;
}

TEST(JsonWriter, AFloat32ComesBackExactlyAlsoThroughADouble) {
  const unsigned seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    float value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value) || value < -9999.0F) continue;
    const std::string text = float_text(value);
    // Python, numpy and JavaScript read a double and narrow it.
    ASSERT_EQ(static_cast<float>(std::strtod(text.c_str(), nullptr)), value) << text;
    ASSERT_EQ(std::strtof(text.c_str(), nullptr), value) << text;
  }
}

TEST(JsonWriter, FloatsAreShortAndValidJson) {
  EXPECT_EQ(float_text(-0.1F), "-0.1");
  EXPECT_EQ(float_text(0.0F), "0.0");
  EXPECT_EQ(float_text(-3.0F), "-3.0");
  EXPECT_EQ(float_text(-std::numeric_limits<float>::infinity()), "-9999.0");
  EXPECT_EQ(float_text(std::nanf("")), "-9999.0");
  for (const float value : {1e-30F, 1e30F, -1.5e-8F}) {
    boost::system::error_code error;
    boost::json::parse(float_text(value), error);
    EXPECT_FALSE(error) << float_text(value);
  }
}

TEST(JsonWriter, StringsAreValidJsonWhateverTheBytes) {
  const auto written = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return std::string(boost::json::parse(out).as_string());
  };
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  EXPECT_EQ(written(all), all);
  EXPECT_EQ(written("\xC3\xA9 \xF0\x9F\x98\x80 \xE4\xBD\xA0"), "\xC3\xA9 \xF0\x9F\x98\x80 \xE4\xBD\xA0");
  EXPECT_EQ(written("a\xFF"
                    "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(written("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  EXPECT_EQ(written("x\xE4\xBD"), "x\xEF\xBF\xBD\xEF\xBF\xBD");                // cut short
}

TEST(JsonWriter, NestingAndCommas) {
  JsonWriter json;
  json.begin_object().integer("a", 1).key("b").begin_array().integer(1).begin_object().end_object().null().end_array();
  json.key("c").begin_object().string("d", "e").end_object().boolean("f", false).end_object();
  EXPECT_EQ(json.text(), R"({"a":1,"b":[1,{},null],"c":{"d":"e"},"f":false})");
}

TEST(ErrorBody, HasOpenAIsFourFields) {
  EXPECT_EQ(
      error_body(invalid_request("no \"x\"", "temperature", "invalid_type")),
      R"({"error":{"message":"no \"x\"","type":"invalid_request_error","param":"temperature","code":"invalid_type"}})");
  EXPECT_EQ(error_body(unavailable("later")),
            R"({"error":{"message":"later","type":"server_error","param":null,"code":"service_unavailable"}})");
}

TEST(Sse, AnEventIsOneDataLineAndABlankOne) {
  EXPECT_EQ(sse_event("{}"), "data: {}\n\n");
  EXPECT_EQ(sse_event(kDone), "data: [DONE]\n\n");
}

}  // namespace
}  // namespace switchyard::frontend
