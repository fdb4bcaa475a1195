// Goal: values that are written without quotes get the type that the tool's schema gives them. Method: expected JSON
// written out, after what vLLM's parsers qwen3_coder and glm45 make of the same values.
#include "frontend/parsing/parameter_types.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace switchyard::parsing {
namespace {

using T = ParameterTypes;

TEST(ParameterTypes, AreReadFromTheTools) {
  const T types(boost::json::parse(R"([
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
      "a": {"type": "string"}, "b": {"type": ["integer", "null"]}, "c": {"anyOf": [{"type": "array"}, {"type": "string"}]},
      "d": {"enum": ["x", 1]}, "e": {}, "f": {"$ref": "#/$defs/X"}, "g": 5}}}},
    {"type": "function", "function": {"name": "g"}}, 7, {"function": {"parameters": {}}}])"));
  EXPECT_EQ(types.of("f", "a"), T::kString);
  EXPECT_EQ(types.of("f", "b"), T::kNumber | T::kNull);
  EXPECT_EQ(types.of("f", "c"), T::kArray | T::kString);
  EXPECT_EQ(types.of("f", "d"), T::kString | T::kNumber);
  for (const char* name : {"e", "f", "g", "h"}) EXPECT_EQ(types.of("f", name), T::kAny) << name;
  EXPECT_EQ(types.of("g", "a"), T::kAny);
  EXPECT_EQ(T(boost::json::value(nullptr)).of("f", "a"), T::kAny);
}

TEST(ParameterTypes, GiveValuesTheirForm) {
  EXPECT_EQ(json_of_parameter("42", T::kString, false), "\"42\"");
  EXPECT_EQ(json_of_parameter(" a\"\n", T::kString, false), "\" a\\\"\\n\"");
  EXPECT_EQ(json_of_parameter(" 42\n", T::kNumber, false), "42");
  EXPECT_EQ(json_of_parameter("1.50", T::kNumber, false), "1.50");
  EXPECT_EQ(json_of_parameter("about 3", T::kNumber, false), "\"about 3\"");
  EXPECT_EQ(json_of_parameter("TRUE", T::kBoolean, false), "true");
  EXPECT_EQ(json_of_parameter("null", T::kNumber, false), "null");
  EXPECT_EQ(json_of_parameter("None", T::kNumber, false), "null");
  EXPECT_EQ(json_of_parameter("{\"a\": [1]}", T::kObject, false), "{\"a\": [1]}");
  EXPECT_EQ(json_of_parameter("{'a': 1}", T::kObject, false), "\"{'a': 1}\"");
  EXPECT_EQ(json_of_parameter("5", T::kString | T::kNumber, false), "5");
  EXPECT_EQ(json_of_parameter("[5]", T::kString | T::kNumber, false), "\"[5]\"");
  EXPECT_EQ(json_of_parameter("5", T::kAny, false), "5");
  EXPECT_EQ(json_of_parameter("5", T::kAny, true), "\"5\"");
  EXPECT_EQ(json_of_parameter("", T::kAny, false), "\"\"");
}

}  // namespace
}  // namespace switchyard::parsing
