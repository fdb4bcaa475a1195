// Published templates and every feature that they use, against what transformers 5.23 renders (tests/data/text).
#include "common/text/chat_template.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "tests/support/reference.h"
#include "tests/unit/text/text_vectors.h"

namespace switchyard::text {
namespace {

namespace json = boost::json;

// The clock of all vectors: 2025-03-09, midnight.
constexpr std::chrono::sys_seconds kNow = std::chrono::sys_days(std::chrono::year(2025) / 3 / 9);

Result<std::string> render(const std::string& source, const json::object& values) {
  SWITCHYARD_ASSIGN(const auto chat_template, ChatTemplate::parse(source));
  const auto get = [&](const char* key) { return values.contains(key) ? values.at(key) : json::value(); };
  const json::value kwargs = get("kwargs");
  return chat_template->render(get("messages"), get("tools"), kwargs.is_object() ? kwargs.get_object() : json::object(),
                               kNow);
}

// The text or the message of the error.
std::string outcome(const std::string& source, const json::object& values = {}) {
  const auto result = render(source, values);
  return result.ok() ? *result : "error: " + result.error().message;
}

void check(const std::string& source, const json::object& line, const std::string& name) {
  ASSERT_EQ(line.at("now").as_string(), "2025-03-09");
  const auto result = render(source, line);
  if (line.contains("rendered")) {
    ASSERT_TRUE(result.ok()) << name << ": " << result.error().message;
    ASSERT_EQ(*result, text_of(line.at("rendered"))) << name;
  } else {
    ASSERT_FALSE(result.ok()) << name << ": " << *result;
    if (line.at("error_type") == "raise_exception") {
      EXPECT_EQ(result.error().message, text_of(line.at("error"))) << name;
    }
  }
}

TEST(ChatTemplate, RendersEveryFeatureAsTransformers) {
  const auto lines = read_lines("text/chat_templates/features.jsonl.zst");
  ASSERT_EQ(lines.size(), 95u);
  for (const auto& line : lines) check(text_of(line.at("template")), line, text_of(line.at("name")));
}

TEST(ChatTemplate, RendersThePublishedTemplatesAsTransformers) {
  const auto lines = read_lines("text/chat_templates/vectors.jsonl.zst");
  ASSERT_EQ(lines.size(), 682u);
  std::map<std::string, std::string> sources;
  for (const auto& line : lines) {
    const std::string file = text_of(line.at("template"));
    auto& source = sources[file];
    if (source.empty()) source = read_data("text/chat_templates/" + file);
    check(source, line, file + ": " + text_of(line.at("case")));
  }
}

TEST(ChatTemplate, RendersTheGoldenPrompts) {
  const std::string golden = std::string(SWITCHYARD_TEST_DATA) + "/golden";
  for (const auto& name : switchyard::testing::golden_names(golden)) {
    const auto reference = switchyard::testing::load_reference(golden, name);
    const auto tokenizer = golden_tokenizer(name);
    ASSERT_NE(tokenizer->config().chat_template(), nullptr) << name;
    const json::object values = {
        {"messages", json::parse(reference.text_messages_json)},
        {"kwargs", {{"bos_token", tokenizer->config().bos_token}, {"add_generation_prompt", true}}}};
    EXPECT_EQ(outcome(*tokenizer->config().chat_template(), values), reference.text_prompt) << name;
  }
}

TEST(ChatTemplate, ErrorsSayTheLineAndTheColumn) {
  const std::pair<const char*, const char*> cases[] = {
      // Lexing.
      {"a\n\n{{ foo( }}", "line 3, column 9: unexpected '}', expected ')'"},
      {"{# x", "line 1, column 1: Missing end of comment tag"},
      {"\xC3\xA9\xE4\xBD\xA0{{ 'x }}", "line 1, column 6: a string without its end"},
      {"a\r\nb{{ 1 ? 2 }}", "line 2, column 7: unexpected char '?'"},
      // Parsing.
      {"a\n{% if true %}\nx",
       "line 3, column 2: Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or "
       "'endif'. The innermost block that needs to be closed is 'if'."},
      {"\n{% include 'x' %}", "line 2, column 4: Encountered unknown tag 'include'."},
      {"{{ 1 2 }}", "line 1, column 6: expected end of print statement, got '2'"},
      // Rendering.
      {"a\n\n{{ nope.x }}", "line 3, column 8: 'nope' is undefined"},
      {"\n{{ 1 | nosuch }}", "line 2, column 8: No filter named 'nosuch'."},
      {"{% if 1 %}\n  {{ '\xC3\xA9' ~ (1 // 0) }}\n{% endif %}",
       "line 2, column 15: integer division or modulo by zero"},
      {"{% macro m() %}\n{{ 1 +\n 'a' }}{% endmacro %}{{ m() }}",
       "line 2, column 6: unsupported operand type(s) for +: 'int' and 'str'"},
      {"x {% for a in 5 %}{% endfor %}", "line 1, column 6: 'int' object is not iterable"},
  };
  for (const auto& [source, error] : cases) {
    EXPECT_EQ(outcome(source), std::string("error: chat template, ") + error) << source;
  }
  EXPECT_EQ(outcome("\n\n{{ raise_exception('just this') }}"), "error: just this");
}

// Programs that would run for ever, eat the memory or the stack: each must end with an error.
TEST(ChatTemplate, HostileTemplatesEndWithAnError) {
  const std::string parentheses = "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}";
  const std::string minuses = "{{ " + std::string(100'000, '-') + "1 }}";
  std::string sums = "{{ 1";
  for (int i = 0; i < 100'000; ++i) sums += " + 1";
  sums += " }}";
  std::string blocks, ends;
  for (int i = 0; i < 3000; ++i) {
    blocks += "{% if 1 %}";
    ends += "{% endif %}";
  }
  const std::string sources[] = {
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{{ range(10 ** 12) | list }}",
      "{{ 'x' * 10 ** 12 }}",
      "{{ [0] * 10 ** 12 }}",
      "{{ 9 ** 9 ** 9 ** 9 ** 9 ** 9 }}",
      "{{ 2 ** (2 ** 40) }}",
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(90) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(90) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
      "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}",
      "{{ '%999999999999d' % 1 }}",
      "{{ '{:999999999999}'.format(1) }}",
      "{{ 'x'.center(10 ** 15) }}",
      "{{ 'a' | indent(10 ** 15) }}{{ ('a\n' * 10000000) | indent(4096) }}",
      "{% for x in tree recursive %}{{ loop(tree) }}{% endfor %}",
      parentheses,
      minuses,
      sums,
      blocks + ends,
      "{{ '" + std::string(10, '\\') + " }}",
      "{{",
      "{%",
      "{#",
      "{% raw %}",
      "{{ 'abc",
      "{% set x %}",
      "{{ [1, 2][::0] }}",
      "{{ 1 // 0 }}{{ 1 % 0 }}",
      "{{ {[]: 1} }}",
  };
  for (const auto& source : sources) {
    const auto result = render(source, {{"kwargs", {{"tree", {1, 2}}}}});
    EXPECT_FALSE(result.ok()) << source.substr(0, 100);
  }
}

// Memory that a template holds is bounded, however it is made, and the error names the place.
TEST(ChatTemplate, HoldsNoMoreThan64MiB) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ range(100000) | map('string') | join('x' * 100000) | length }}", "line 1, column 36"},
      {"{{ 'x'.join(range(100000) | map('string')) }}\n{{ ('x' * 100000).join(range(100000) | map('string')) }}",
       "line 2, column 23"},
      {"{% set ns = namespace(s='xx') %}\n{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
       "line 2, column 44"},
      {"{% set ns = namespace(s='xx') %}\n{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
       "line 2, column 44"},
      {"{% set ns = namespace(l=[1]) %}\n{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
       "line 2, column 44"},
      {"{% set a = 'x' * 30000000 %}{% set b = a ~ 1 %}\n{% set c = a.replace('x', 'y') %}", "line 2, column 21"},
      {"{% set l = range(100000) | list %}\n{{ (l * 40) | length }}", "line 2, column 7"},
      {"{% set l = ['x' * 1000000] %}{% set s %}{{ l * 31 }}{% endset %}\n{% set t %}{{ s }}{{ s }}{% endset %}",
       "line 2, column 19"},
      {"{% for i in range(99999) %}{% for j in range(20) %}\n{% set x = namespace() %}{% endfor %}{% endfor %}",
       "line 2, column 21"},
      {"{{ 1 }}\n{{ ('\\n' * 30000000).splitlines() | length }}", "line 2, column 32"},
      {"{{ 1 }}\n{{ ('\\n' * 30000000) | indent | length }}", "line 2, column 24"},
      {"{{ 1 }}\n{{ {} | attr('x' * 2) }}{{ [{}] | map(attribute='.' * 30000000) | list }}", "line 2, column"},
      {"{{ 1 }}\n{{ ('[' ~ '1,' * 15000000 ~ '1]') | from_json | length }}", "line 2, column 37"},
      {"{% macro f() %}{% for i in range(100000) %}\n{{ f() }}{% endfor %}{% endmacro %}{{ f() }}", ""},
      {"{% set ns = namespace(l=[]) %}{% for i in range(9) %}\n"
       "{% set ns.l = ns.l + [range(100000) | map(attribute='nope') | list] %}{% endfor %}",
       "line 2, column"},
      {"{% set ns = namespace(l=[]) %}{% for i in range(9) %}\n"
       "{% set ns.l = ns.l + [range(100000) | map(attribute='is_integer') | list] %}{% endfor %}",
       "line 2, column"},
  };
  for (const auto& [source, place] : cases) {
    const std::string text = outcome(source);
    EXPECT_TRUE(text.starts_with(std::string("error: chat template, ") + place))
        << source << ": " << text.substr(0, 200);
    const bool by_budget = text.ends_with("MemoryError: the template holds more than 64 MiB of text and lists");
    EXPECT_TRUE(by_budget || *place == '\0') << source << ": " << text.substr(0, 200);
  }
}

// What is not held any more does not count: each of these makes more than 64 MiB on the way.
TEST(ChatTemplate, TextThatWentAwayIsNotCounted) {
  EXPECT_EQ(outcome("{% set ns = namespace(n=0) %}{% for i in range(100) %}{% set x = 'x' * 1000000 %}"
                    "{% set ns.n = ns.n + x | length %}{% endfor %}{{ ns.n }}"),
            "100000000");
  EXPECT_EQ(outcome("{% set ns = namespace(n=0) %}{% for i in range(50) %}{% set s %}{{ 'x' * 2000000 }}{% endset %}"
                    "{% set ns.n = ns.n + s | length %}{% endfor %}{{ ns.n }}"),
            "100000000");
}

TEST(ChatTemplate, ValuesThatHoldThemselvesDoNotHang) {
  EXPECT_EQ(outcome("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is sameas ns }}"), "True");
  EXPECT_EQ(outcome("{% macro m() %}x{% endmacro %}{% set ns = namespace(m=m) %}{{ ns.m() }}"), "x");
}

TEST(ChatTemplate, KeysStayInTheOrderOfTheRequest) {
  const json::object values = {{"messages", json::parse(R"([{"z": 1, "a": {"y": 2, "b": 3}, "m": null}])")}};
  EXPECT_EQ(outcome("{{ messages[0] | tojson }}", values), R"({"z": 1, "a": {"y": 2, "b": 3}, "m": null})");
}

// What CPython 3.11 gives.
TEST(ChatTemplate, ASplitWithALimitLeavesTheRestAsItIs) {
  EXPECT_EQ(outcome("{{ '  a  b '.split(none, 1) }}{{ '  a  b '.rsplit(none, 1) }}"), "['a', 'b ']['  a', 'b']");
}

// What Jinja 3.1.6 gives: each use of a name that is not there is an undefined of its own.
TEST(ChatTemplate, UndefinedsAreCallableAndTheSameOnlyAsThemselves) {
  EXPECT_EQ(outcome("{{ x is sameas x }}{% set y = x %}{{ y is sameas y }}{{ x == x }}{{ x is callable }}"),
            "FalseTrueTrueTrue");
}

TEST(ChatTemplate, StandardNamesAreDefined) {
  EXPECT_EQ(outcome("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ messages is defined }}"),
            "TrueTrueFalseTrue");
}

}  // namespace
}  // namespace switchyard::text
