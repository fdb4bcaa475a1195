// Which texts a schema takes, by hand from the standard, and what is refused by which name.
#include "common/structured/json_schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cmath>
#include <random>

#include "tests/unit/structured/support.h"

namespace switchyard::structured {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> valid;
  std::vector<const char*> invalid;
};

Constraint schema(const char* text, bool open = false) {
  Constraint constraint{Constraint::Kind::kJsonSchema, text};
  constraint.open_objects = open;
  return constraint;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {R"({"type":"string"})",
       {R"("")", R"("a b")", R"("\n\"\\\/é")", "\"é日😀\"", R"("😀")", R"("\uD83D\uDE00")"},
       {"\"", "1", "\"\n\"", R"("\x")", R"("\ud83d")", R"("\ude00")", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
        "\"a\" "}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", "\"日本語\"", R"("\n\u00e9")", R"("\ud83d\ude00a")"},
       {R"("a")", R"("abcd")", R"("\ud83d\ude00")"}},
      {R"({"type":"integer"})",
       {"0", "-1", "123456789012345678"},
       {"01", "-", "1.0", "1e1", "+1", "1234567890123456789"}},
      {R"({"type":"number"})", {"0", "-0.5", "1e10", "1.25E-3", "12"}, {".5", "1.", "1e", "00", "NaN"}},
      {R"({"type":["boolean","null"]})", {"true", "false", "null"}, {"True", "0", "nul"}},
      {R"({"type":"integer","minimum":-3,"maximum":120})",
       {"-3", "-1", "0", "7", "99", "100", "120"},
       {"-4", "121", "-10", "-0", "1000", "130"}},
      {R"({"type":"integer","exclusiveMinimum":9,"exclusiveMaximum":12})", {"10", "11"}, {"9", "12", "1", "100"}},
      {R"({"type":"integer","minimum":1e20,"maximum":1e21})",
       {"100000000000000000000", "999999999999999999999"},
       {"99999999999999999999", "1000000000000000000001", "1", "0"}},
      {R"({"type":"number","minimum":1e20,"maximum":1e21})",
       {"100000000000000000000", "123456789012345678901.5"},
       {"99999999999999999999.5", "1000000000000000000000.5", "0.5"}},
      {R"({"type":"integer","exclusiveMaximum":-999999999999999999})",
       {"-1000000000000000000"},
       {"-999999999999999999", "-1", "1000000000000000000"}},
      {R"({"type":"integer","minimum":1e20,"multipleOf":7})",
       {"100000000000000000005"},
       {"100000000000000000000", "7"}},
      {R"({"type":"number","exclusiveMinimum":1e-20,"exclusiveMaximum":2e-20})",
       {"0.000000000000000000015"},
       {"0.00000000000000000001", "0.00000000000000000002", "0", "0.5"}},
      {R"({"type":"integer","maximum":1e21})", {"999999999999999999", "-5"}, {"1000000000000000000001"}},
      {R"({"type":"integer","minimum":2.5})", {"3", "10", "999999999999999999"}, {"2", "-3", "0"}},
      {R"({"type":"integer","maximum":-17})", {"-17", "-18", "-20", "-100"}, {"-16", "0", "17", "-2"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "1", "0.5", "0.999", "1.0", "0.0"},
       {"-0.1", "1.1", "1.01", "2", "1e0"}},
      {R"({"type":"number","exclusiveMinimum":-1.25,"maximum":3.5})",
       {"-1.24", "-1", "-0.3", "0", "3.5", "3.49", "3.50", "-1.2499"},
       {"-1.25", "-1.250", "-2", "3.51", "3.6", "4", "-1.3"}},
      {R"({"type":"number","minimum":1.25,"exclusiveMaximum":1.5})",
       {"1.25", "1.3", "1.49", "1.250"},
       {"1", "1.2", "1.24", "1.5", "1.50", "1.51", "2", "1."}},
      {R"({"enum":["a",1,null,{"x":[1,2]},true]})",
       {"\"a\"", "1", "null", R"({"x":[1,2]})", "true"},
       {"2", "\"b\"", "false", "{}"}},
      {R"({"type":"string","enum":["a",1]})", {"\"a\""}, {"1"}},
      {R"({"const":1.5})", {"1.5"}, {"1.50", "1"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"}},"required":["a","b"]})",
       {R"({"a":1,"b":true})", R"({ "a": 1, "b": true })", "{\n  \"a\": 1,\n  \"b\": true\n}"},
       {R"({"a":1})", R"({"b":true,"a":1})", R"({"a":1,"b":true,"c":1})", R"({"a":1,"b":true,})", "{}",
        R"({"a":1 ,"b":true})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"required":["b"]})",
       {R"({"b":null})", R"({"a":null,"b":null})", R"({"b":null,"c":null})", R"({"a":null,"b":null,"c":null})"},
       {"{}", R"({"a":null})", R"({"c":null,"b":null})", R"({"a":null,"c":null})", R"({,"b":null})"}},
      {R"({"type":"object","properties":{"a":{},"b":{}}})",
       {"{}", R"({"a":[1,{"x":"y"}]})", R"({"b":null})", R"({"a":1,"b":2})"},
       {R"({"c":1})", R"({"a":})"}},
      {R"({"type":"object","properties":{"ab":{"type":"null"}},"additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1})", R"({"a":1})", R"({"abc":1})", R"({"ab":null,"x":1,"y":2})", R"({"":1})", R"({"ac":1})",
        R"({"x\n":1})"},
       {R"({"ab":1})", R"({"x":null})", R"({"a\u0062":1})", R"({"\u0061b":1})"}},
      {R"({"type":"object","patternProperties":{"^x[0-9]+$":{"type":"boolean"}},"minProperties":1,"maxProperties":2})",
       {R"({"x1":true})", R"({"x1":true,"x22":false})"},
       {"{}", R"({"y":true})", R"({"x1":1})", R"({"x1":true,"x2":true,"x3":true})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":2})",
       {R"({"a":null,"b":null})", R"({"a":null,"c":null})", R"({"b":null,"c":null})",
        R"({"a":null,"b":null,"c":null})"},
       {"{}", R"({"a":null})", R"({"c":null})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}},"maxProperties":1})",
       {"{}", R"({"a":null})", R"({"b":null})"},
       {R"({"a":null,"b":null})"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1,2]", "[ 1, 2, 3 ]"},
       {"[]", "[1,2,3,4]", "[1,]", "[true]", "[1 2]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":1})",
       {"[1]", "[1,\"a\"]"},
       {"[]", "[\"a\"]", "[1,\"a\",2]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"null"},"minItems":2})",
       {"[1,null]", "[1,null,null]"},
       {"[1]", "[null]", "[1,1]", "[]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"integer"}}]})",
       {"1", "[1]", "[]"},
       {"\"\"", "[[1]]"}},
      {R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},
                    {"type":"object","properties":{"k":{"const":"b"},"y":{"type":"string"}},"required":["k","y"]}]})",
       {R"({"k":"a","x":1})", R"({"k":"b","y":""})"},
       {R"({"k":"a","y":""})", R"({"k":"c"})"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                    {"properties":{"b":{"type":"string"},"a":{"minimum":5}},"required":["b"]}]})",
       {R"({"a":5,"b":"x"})"},
       {R"({"a":4,"b":"x"})", R"({"a":5})"}},
      {R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},
           "required":["v","next"]}},"$ref":"#/$defs/node"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":{"v":2}})"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]", "["}},
      {R"({"$defs":{"a":{"type":"integer"}},"$ref":"#/$defs/a","minimum":3,"title":"x"})", {"3", "4"}, {"2", "\"\""}},
      {R"({"type":"string","pattern":"^[a-c]+$"})", {"\"abc\""}, {"\"\"", "\"abd\""}},
      {R"({"type":"string","pattern":"b\"+"})", {R"("b\"")", R"("xxb\"\"y")"}, {R"("b")", R"("b"")"}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-28\"", "\"1999-12-31\""},
       {"\"2023-02-30\"", "\"2023-13-01\"", "\"23-01-01\""}},
      {R"({"type":"string","format":"date-time"})",
       {"\"2024-02-28T23:59:59Z\"", "\"2024-02-28T00:00:00.123+01:00\""},
       {"\"2024-02-28\""}},
      {R"({"type":"string","format":"uuid4"})",
       {"\"123e4567-e89b-42d3-a456-426614174000\""},
       {"\"123e4567-e89b-12d3-a456-426614174000\"", "\"123e4567-e89b-42d3-c456-426614174000\""}},
      {R"({"type":"string","format":"byte"})", {"\"\"", "\"QQ==\"", "\"QUJD\""}, {"\"QQ=\"", "\"Q\""}},
      {R"({"type":"string","format":"password","maxLength":2})", {"\"é\""}, {"\"abc\"", "1"}},
      {R"({"type":"integer","format":"int64"})", {"12"}, {"\"12\""}},
      {R"({"type":"string","format":"uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567\""}},
      {R"({"type":"string","format":"ipv4"})", {"\"255.1.0.99\""}, {"\"256.1.0.9\"", "\"1.2.3\"", "\"01.2.3.4\""}},
      {R"({"type":"string","format":"ipv6"})",
       {"\"::\"", "\"::1\"", "\"2001:db8::1:2\"", "\"1:2:3:4:5:6:7:8\"", "\"1::\""},
       {"\"1:2\"", "\":::\"", "\"1:2:3:4:5:6:7:8:9\""}},
      {R"({"type":"string","format":"email"})", {"\"a.b@example.com\""}, {"\"a@\"", "\"a.b\""}},
      {R"({"type":"object"})", {"{}", R"({"a":{"b":[null]}})"}, {"[]"}},
      {R"(true)", {"1", "[]", "\"\""}, {"x"}},
      {R"({"type":"integer","multipleOf":1})", {"4"}, {"4.5"}},
      {R"({"properties":{"card":{},"name":{},"street":{}},"dependentRequired":{"card":["street","name"],"street":["card"]}})",
       {"{}", R"({"name":1})", R"({"card":1,"name":2,"street":3})"},
       {R"({"card":1})", R"({"street":3})", R"({"card":1,"name":2})", R"({"card":1,"street":3})",
        R"({"name":1,"street":3})"}},
      {R"({"properties":{"a":{}},"required":["a"],"dependentRequired":{"a":["b"],"b":["c"]}})",
       {R"({"a":1,"b":2,"c":3})"},
       {R"({"a":1})", R"({"a":1,"b":2})"}},
      {R"({"properties":{"a":{},"c":{}},"additionalProperties":false,"dependentRequired":{"a":["b"]}})",
       {"{}", R"({"c":1})"},
       {R"({"a":1})", R"({"a":1,"b":2})"}},
      {R"({"additionalProperties":{"type":"integer"},"propertyNames":{"pattern":"^[a-c]$"}})",
       {"{}", R"({"a":1,"c":2})"},
       {R"({"d":1})", R"({"a":"1"})"}},
      {R"({"additionalProperties":{"type":"integer"},"propertyNames":{"$ref":"#/$defs/color"},"$defs":{"color":{"enum":["red","green"]}}})",
       {"{}", R"({"green":2})", R"({"red":1,"green":2})"},
       {R"({"blue":1})", R"({"red":1,"red":2})"}},
      {R"({"properties":{"a":{},"b":{}},"propertyNames":{"enum":["b"]}})", {R"({"b":1})"}, {R"({"a":1})"}},
      {R"({"allOf":[{"prefixItems":[{"minimum":3}]}],"items":{"type":"integer","minimum":5}})",
       {"[5,5]", "[]"},
       {"[4]", "[5,4]"}},
      {R"({"type":"number","multipleOf":0.01})", {"4", "4.5", "-0.25"}, {"4.505", "1e-3"}},
      {R"({"type":"number","multipleOf":1000})", {"0", "-3000", "12000"}, {"500", "1001", "-0"}},
      {R"({"type":"object","properties":{"a/b \"c":{"type":"null"}},"required":["a/b \"c"]})",
       {R"({"a/b \"c":null})"},
       {"{}"}},
      {R"({"type":"object","required":["a"]})", {R"({"a":1})", R"({"a":1,"b":2})"}, {"{}", R"({"b":1})"}},
  };
  return all;
}

TEST(JsonSchema, TakesTextsThatAreValidAndNoOthers) {
  for (const Case& c : cases()) {
    const auto masks = masks_of(schema(c.schema), bytes_and({}));
    if (masks == nullptr) continue;
    for (const char* text : c.valid) EXPECT_TRUE(accepts(masks, text)) << c.schema << "\n  " << text;
    for (const char* text : c.invalid) EXPECT_FALSE(accepts(masks, text)) << c.schema << "\n  " << text;
  }
}

TEST(JsonSchema, TextsDrawnThroughMasksAreJson) {
  std::mt19937 random(7);
  const auto vocabulary = bytes_and(
      {"{\"", "\":", "\",\"", "\"}", "}}", "],", "[[", "true", "null", " \"", "12", "é", "\xe6\x97", "\\u00"});
  size_t finished = 0;
  for (const Case& c : cases()) {
    const auto masks = masks_of(schema(c.schema), vocabulary);
    if (masks == nullptr) continue;
    for (int i = 0; i < 20; ++i) {
      const std::string text = drawn(masks, random, 300);
      if (text.empty()) continue;
      ++finished;
      boost::system::error_code error;
      boost::json::parse(text, error);
      EXPECT_FALSE(error) << c.schema << "\n  " << text;
    }
  }
  EXPECT_GT(finished, 500U);
}

// Against arithmetic, on every number around the bounds.
TEST(JsonSchema, MultiplesWithinBoundsAreExact) {
  const auto vocabulary = bytes_and({});
  for (const int factor : {2, 3, 5, 7, 10, 20, 60, 99, 100, 360, 500}) {
    for (const auto& [least, most] : {std::pair(0, 0), std::pair(-7, 11), std::pair(1, 1000), std::pair(-999, -1),
                                      std::pair(37, 1234), std::pair(-1005, 10)}) {
      const std::string text =
          fmt::format(R"({{"type":"integer","multipleOf":{},"minimum":{},"maximum":{}}})", factor, least, most);
      const auto compiled = compile(schema(text.c_str()));
      const auto masks = compiled.ok() ? masks_of(schema(text.c_str()), vocabulary) : nullptr;
      for (int n = least - 120; n <= most + 120; ++n) {
        const bool valid = n >= least && n <= most && n % factor == 0;
        EXPECT_EQ(masks != nullptr && accepts(masks, std::to_string(n)), valid) << text << "\n  " << n;
      }
    }
  }
  const auto open = masks_of(schema(R"({"type":"integer","multipleOf":7})"), vocabulary);
  std::mt19937_64 random(9);
  for (int i = 0; i < 2000; ++i) {
    const auto n = static_cast<int64_t>(random() % 1'000'000'000'000'000'000U);
    EXPECT_EQ(accepts(open, std::to_string(n)), n % 7 == 0) << n;
    EXPECT_TRUE(accepts(open, std::to_string(n - n % 7))) << n;
  }
}

TEST(JsonSchema, NumbersOfSomeDecimalsWithinBoundsAreExact) {
  const auto vocabulary = bytes_and({});
  for (const int digits : {1, 2, 3}) {
    for (const auto& [least, most] :
         {std::pair(-1250, 1333), std::pair(0, 999), std::pair(125, 126), std::pair(1001, 2000)}) {  // thousandths
      for (const bool exclusive : {false, true}) {
        const std::string text = fmt::format(R"({{"type":"number","multipleOf":{},"{}":{},"{}":{}}})",
                                             std::pow(10, -digits), exclusive ? "exclusiveMinimum" : "minimum",
                                             least / 1000.0, exclusive ? "exclusiveMaximum" : "maximum", most / 1000.0);
        const auto compiled = compile(schema(text.c_str()));
        const auto masks = compiled.ok() ? masks_of(schema(text.c_str()), vocabulary) : nullptr;
        for (int n = least - 30; n <= most + 30; ++n) {
          if (n == 0) continue;  // "-0" is left out
          const bool within = exclusive ? n > least && n < most : n >= least && n <= most;
          const int size = std::abs(n);
          const char* sign = n < 0 ? "-" : "";
          for (int written = 1, unit = 100; written <= 3; ++written, unit /= 10) {
            if (size % unit != 0) continue;  // it has more decimals
            const std::string number = fmt::format("{}{}.{:0{}}", sign, size / 1000, size % 1000 / unit, written);
            EXPECT_EQ(masks != nullptr && accepts(masks, number), within && written <= digits)
                << text << "\n  " << number;
          }
        }
      }
    }
  }
}

TEST(JsonSchema, AnOpenSchemaTakesWhatTheStandardTakes) {
  const auto object = schema(R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})", true);
  EXPECT_TRUE(accepts(object, R"({"a":1,"b":[]})"));
  EXPECT_FALSE(accepts(object, R"({"b":[]})"));
  EXPECT_TRUE(accepts(schema(R"({"type":"array","prefixItems":[{"type":"null"}]})", true), "[null,1]"));
}

TEST(JsonSchema, ARefusalNamesTheKeywordAndItsPlace) {
  const std::vector<std::pair<const char*, const char*>> refusals = {
      {R"({"properties":{"x":{"not":{"type":"null"}}}})", "/properties/x/not: \"not\" is not supported"},
      {R"({"if":{},"then":{}})", "/if: \"if\" is not supported"},
      {R"({"type":"array","items":{"contains":{}}})", "/items/contains: \"contains\" is not supported"},
      {R"({"dependentSchemas":{}})", "/dependentSchemas:"},
      {R"({"unevaluatedProperties":false})", "/unevaluatedProperties:"},
      {R"({"properties":{"b":{}},"propertyNames":{"pattern":"a"}})", "/propertyNames:"},
      {R"({"properties":{"a":{}},"patternProperties":{"b":{}},"dependentRequired":{"a":["c"]}})",
       "/dependentRequired:"},
      {R"({"dependentRequired":{"a":[1]}})", "/dependentRequired: \"dependentRequired\" must be"},
      {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"patternProperties":{"b":{}}}]})",
       "additionalProperties"},
      {R"({"patternProperties":{"b":{}},"propertyNames":{"enum":["a"]}})", "/propertyNames:"},
      {R"({"type":"array","prefixItems":[{},{}],"minItems":2,"maxItems":1})", "matches no text"},
      {R"({"multipleOf":0})", "/multipleOf:"},
      {R"({"multipleOf":501})", "/multipleOf:"},
      {R"({"$id":"http://a","$defs":{"x":{"$id":"http://b","items":{"$ref":"#"}}},"$ref":"#/$defs/x"})", "$id:"},
      {R"({"type":"array","uniqueItems":true})", "/uniqueItems:"},
      {R"({"type":"number","multipleOf":0.5})", "/multipleOf:"},
      {R"({"type":"string","format":"iri"})", "/format: \"format\" of \"iri\" is not supported"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "/pattern: the regular expression has, at byte 0, a lookahead"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "/maxLength:"},
      {R"({"type":"text"})", "\"type\""},
      {R"({"type":"string","minLength":-1})", "/minLength:"},
      {R"({"type":"string","maxLength":1000000})", "/maxLength:"},
      {R"({"$ref":"http://example.com/x"})", "/$ref:"},
      {R"({"$ref":"#/$defs/none"})", "leads nowhere"},
      {R"({"$ref":"#"})", "matches no text"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})",
       "/oneOf: \"oneOf\" whose alternatives 0 and 1 may both hold"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})", "\"pattern\" in both"},
      {R"({"properties":{"a":1}})", "/properties/a: a schema must be an object or a boolean"},
      {R"({"type":"object","properties":{"x1":{}},"patternProperties":{"^x":{}}})", "that match the property \"x1\""},
      {R"({"type":"object","minProperties":2})", "minProperties"},
      {R"({"type":"object","properties":{},"additionalProperties":false,"required":["a"]})", "/required:"},
      {R"(false)", "matches no text"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "matches no text"},
      {R"({)", "not valid JSON"},
      {R"(3)", "a schema must be an object or a boolean"},
      {R"({"anyOf":[]})", "/anyOf:"},
      {R"({"enum":1})", "/enum:"},
  };
  for (const auto& [text, want] : refusals) {
    const auto result = compile(schema(text));
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_NE(result.error().message.find(want), std::string::npos) << text << "\n  " << result.error().message;
  }
}

TEST(JsonSchema, HostileSchemasEndInAnError) {
  std::string deep = "{}";
  for (int i = 0; i < 60; ++i) deep = R"({"items":)" + deep + "}";
  std::string product = R"({"type":"null"})";
  for (int i = 0; i < 8; ++i) product = R"({"type":"array","minItems":1000,"items":)" + product + "}";
  std::string loop =
      R"({"$defs":{"a":{"$ref":"#/$defs/b","type":"object"},"b":{"$ref":"#/$defs/a","type":"object"}},"$ref":"#/$defs/a","type":"object"})";
  std::string chain = R"({"allOf":[{"$ref":"#"},{"type":"null"}]})";
  const std::string long_string = R"({"type":"array","prefixItems":[)" + [] {
    std::string many;
    for (int i = 0; i < 100; ++i) many += std::string(i == 0 ? "" : ",") + R"({"type":"string","maxLength":20000})";
    return many;
  }() + "]}";
  std::string many_names = R"({"required":["0")";
  for (int i = 1; i < 60000; ++i) many_names += ",\"" + std::to_string(i) + '"';
  many_names += "]}";
  std::string many_dependencies = R"({"dependentRequired":{"0":["1"])";
  for (int i = 1; i < 3000; ++i) many_dependencies += fmt::format(R"(,"{}":["{}"])", i, i + 1);
  many_dependencies += "}}";
  std::string knot = R"({"dependentRequired":{)";  // each half decides on the other
  for (int i = 0; i < 60; ++i) knot += fmt::format(R"({}"a{}":["b{}"])", i == 0 ? "" : ",", i, i * 37 % 60);
  knot += R"(},"properties":{)";
  for (int i = 0; i < 120; ++i) knot += fmt::format(R"({}"{}{}":{{}})", i == 0 ? "" : ",", i < 60 ? 'a' : 'b', i % 60);
  knot += "}}";
  for (const std::string& text : {deep, loop, chain, long_string, many_names, many_dependencies, knot})
    EXPECT_FALSE(compile(schema(text.c_str())).ok()) << text.substr(0, 100);
  EXPECT_TRUE(compile(schema(product.c_str())).ok());
}

TEST(JsonSchema, ARefusalOfWhatIsTooLargeNamesTheWholeLimit) {
  std::string flat = R"({"type":"object","properties":{)";
  for (int i = 0; i < 10000; ++i) flat += fmt::format(R"({}"p{}":{{"type":"string"}})", i == 0 ? "" : ",", i);
  flat += "}}";
  std::string nested = R"({"type":"object","properties":{)";
  for (int i = 0; i < 12; ++i) {
    nested += fmt::format(R"({}"o{}":{{"type":"object","properties":{{)", i == 0 ? "" : ",", i);
    for (int j = 0; j < 600; ++j)
      nested += fmt::format(R"({}"a_property_of_a_long_name_{}":{{"type":"null"}})", j == 0 ? "" : ",", j);
    nested += "}}";
  }
  nested += "}}";
  for (const auto& [text, want] :
       {std::pair(flat, "more than 2000 properties"), std::pair(nested, "more than 200000 states")}) {
    const auto result = compile(schema(text.c_str()));
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find(want), std::string::npos) << result.error().message;
  }
}

}  // namespace
}  // namespace switchyard::structured
