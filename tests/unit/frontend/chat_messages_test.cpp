// Goal: messages with calls and results are checked field by field and take the form that each kind of template reads.
// Method: small templates that read messages as published ones do; what they must print is written out here.
#include "frontend/requests/chat_messages.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "common/text/chat_template.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

const std::string kConversation =
    R"([{"role":"user","content":"Q"},{"role":"assistant","content":null,"reasoning":"R","tool_calls":[
  {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1.0}"}}]},
  {"role":"tool","tool_call_id":"call_1","content":"T"},{"role":"assistant","content":"A"}])";

std::string rendered(const std::string& source, std::string messages = kConversation) {
  const auto chat_template = text::ChatTemplate::parse(source);
  EXPECT_TRUE(chat_template.ok());
  const Render render = [&](const json::value& list, const json::value& tools) {
    return (*chat_template)->render(list, tools, {});
  };
  json::value list = json::parse(messages);
  shape_messages(list, form_of_template(render));
  const auto text = render(list, nullptr);
  return text.ok() ? *text : "error: " + text.error().message;
}

// {{body}} for each assistant's message, with its calls behind it.
std::string assistant(const std::string& body, const std::string& arguments) {
  return "{%- for m in messages if m.role == 'assistant' -%}[" + body +
         "]{%- for c in m.tool_calls -%}{{ c.function.name }}" + arguments + "{%- endfor -%}{%- endfor -%}";
}

TEST(ChatMessages, ArgumentsAreObjectsWhereTheTemplateTakesThem) {
  EXPECT_EQ(rendered(assistant("", "{{ c.function.arguments | tojson }}")), "[]f{\"a\": 1.0}[]");
  EXPECT_EQ(rendered(assistant("", "{%- for k, v in c.function.arguments.items() -%}{{ k }}={{ v }}{%- endfor -%}")),
            "[]fa=1.0[]");
}

TEST(ChatMessages, ArgumentsAreTextWhereTheTemplateJoinsIt) {
  EXPECT_EQ(rendered(assistant("", "{{ '```json' + c.function.arguments }}")), "[]f```json{\"a\":1.0}[]");
}

TEST(ChatMessages, AnAbsentContentIsNullOrEmptyAsTheTemplateNeedsIt) {
  // DeepSeek R1's template closes a turn only if there is content; Qwen's searches it; GLM's prints what it is.
  EXPECT_EQ(
      rendered(assistant("{{ 'none' if m.content is none else m.content }}", "{{ c.function.arguments | tojson }}")),
      "[none]f{\"a\": 1.0}[A]");
  EXPECT_EQ(
      rendered(assistant("{{ 'x' if '</think>' in m.content else m.content }}", "{{ c.function.arguments | tojson }}")),
      "[]f{\"a\": 1.0}[A]");
  EXPECT_EQ(rendered(assistant("{{ m.content }}", "{{ c.function.arguments | tojson }}")), "[]f{\"a\": 1.0}[A]");
  // A template that knows no calls.
  EXPECT_EQ(rendered("{%- for m in messages -%}{{ m.content + ';' }}{%- endfor -%}"), "Q;;T;A;");
}

TEST(ChatMessages, EarlierReasoningHasAllOfItsNames) {
  const std::string source =
      "{%- for m in messages if m.role == 'assistant' -%}{{ m.reasoning }},{{ m.reasoning_content }},{{ m.thinking "
      "}};{%- endfor -%}";
  EXPECT_EQ(rendered(source), "R,R,R;,,;");
  EXPECT_EQ(rendered(source, R"([{"role":"assistant","content":"A","reasoning_content":"C"}])"), "C,C,C;");
  // gpt-oss's template refuses thinking beside content and calls.
  EXPECT_EQ(
      rendered(
          source,
          R"([{"role":"assistant","content":"A","reasoning":"C","tool_calls":[{"function":{"name":"f","arguments":""}}]}])"),
      "C,C,;");
}

std::string wrong_message(const std::string& message) {
  json::value value = json::parse(message);
  const auto error = check_message(value, 3);
  return error ? error->param : "";
}

TEST(ChatMessages, AWrongFieldIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"role":"assistant","tool_calls":5})", "messages[3].tool_calls"},
      {R"({"role":"assistant","tool_calls":[5]})", "messages[3].tool_calls[0]"},
      {R"({"role":"assistant","tool_calls":[{"id":5,"function":{"name":"f"}}]})", "messages[3].tool_calls[0].id"},
      {R"({"role":"assistant","tool_calls":[{"id":"a"}]})", "messages[3].tool_calls[0].function"},
      {R"({"role":"assistant","tool_calls":[{"function":"f"}]})", "messages[3].tool_calls[0].function"},
      {R"({"role":"assistant","tool_calls":[{"function":{}}]})", "messages[3].tool_calls[0].function.name"},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":1}}]})", "messages[3].tool_calls[0].function.name"},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f"}},{"function":{"name":"f","arguments":"{"}}]})",
       "messages[3].tool_calls[1].function.arguments"},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]})",
       "messages[3].tool_calls[0].function.arguments"},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":7}}]})",
       "messages[3].tool_calls[0].function.arguments"},
      {R"({"role":"tool","content":"T","tool_call_id":7})", "messages[3].tool_call_id"},
      {R"({"role":"tool","tool_call_id":"a"})", "messages[3].content"},
      {R"({"role":"assistant","content":"A","reasoning":{}})", "messages[3].reasoning"},
      {R"({"role":"assistant","content":"A","reasoning_content":1})", "messages[3].reasoning_content"},
      {R"({"content":"A"})", "messages[3].role"},
      {R"({"role":"assistant","tool_calls":[]})", ""},
      {R"({"role":"assistant","content":null,"tool_calls":null})", ""},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]})", ""},
      {R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":null}}]})", ""},
  };
  for (const auto& [message, param] : cases) EXPECT_EQ(wrong_message(message), param) << message;
}

TEST(ChatMessages, AWrongToolIsNamed) {
  const auto wrong = [](const std::string& tools) {
    const auto error = check_tools(json::parse(tools).as_array());
    return error ? error->param : "";
  };
  EXPECT_EQ(wrong("[5]"), "tools[0]");
  EXPECT_EQ(wrong(R"([{"type":"function"}])"), "tools[0].function");
  EXPECT_EQ(wrong(R"([{"function":{"name":"f"}},{"function":{"parameters":{}}}])"), "tools[1].function.name");
  EXPECT_EQ(wrong(R"([{"function":{"name":""}}])"), "tools[0].function.name");
  EXPECT_EQ(wrong(R"([{"function":{"name":"f","parameters":[]}}])"), "tools[0].function.parameters");
  EXPECT_EQ(wrong(R"([{"function":{"name":"f","parameters":null}}])"), "");
}

}  // namespace
}  // namespace switchyard::frontend
