#include "tests/unit/parsing/support.h"

#include <boost/json/parse.hpp>

#include "common/base/result.h"

namespace switchyard::parsing {

const std::vector<Sample>& samples() {
  const auto call = [](std::string name, std::string arguments) {
    return Call{.name = std::move(name), .arguments = std::move(arguments), .complete = true};
  };
  static const std::vector<Sample> kSamples = {
      {"deepseek_v3, two calls",
       "deepseek_v3",
       "deepseek_r1",
       true,
       "I need the weather.\n</think>\n\nOne moment.\n"
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Zürich\"}\n"
       "```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<"
       "｜tool▁call▁end｜>"
       "<｜tool▁calls▁end｜>",
       {"One moment.", "I need the weather.", {call("get_weather", "{\"city\": \"Zürich\"}"), call("get_time", "{}")}}},
      {"deepseek_v31, and the demo model",
       "deepseek_v31",
       "deepseek_v3",
       false,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"巴黎\", \"days\": 3}"
       "<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       {"", "", {call("get_weather", "{\"city\": \"巴黎\", \"days\": 3}"), call("get_time", "{}")}}},
      {"deepseek_v32",
       "deepseek_v32",
       "deepseek_v3",
       true,
       "Hm.</think>Both at once.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n"
       "<｜DSML｜parameter name=\"city\" string=\"true\">Paris \"sur\" Seine\n</｜DSML｜parameter>\n"
       "<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
       "<｜DSML｜invoke name=\"get_time\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
       {"Both at once.",
        "Hm.",
        {call("get_weather", "{\"city\": \"Paris \\\"sur\\\" Seine\\n\", \"days\": 3}"), call("get_time", "{}")}}},
      {"deepseek_v4",
       "deepseek_v4",
       "deepseek_v3",
       false,
       "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"a\" string=\"false\">[1, null]"
       "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
       {"", "", {call("f", "{\"a\": [1, null]}")}}},
      {"hermes, two calls",
       "hermes",
       "qwen3",
       false,
       "<think>\nThe user asks.\n\nI call.\n</think>\n\nChecking both.\n<tool_call>\n{\"name\": \"get_weather\", "
       "\"arguments\": {\"city\": \"a}\\\"</tool_call>\", \"deep\": {\"x\": [1, {\"y\": -2.5e3}]}}}\n</tool_call>\n"
       "<tool_call>\n{\"arguments\": {\"z\":1}, \"id\": 7, \"name\": \"get_time\"}\n</tool_call>",
       {"Checking both.",
        "The user asks.\n\nI call.",
        {call("get_weather", "{\"city\": \"a}\\\"</tool_call>\", \"deep\": {\"x\": [1, {\"y\": -2.5e3}]}}"),
         call("get_time", "{\"z\":1}")}}},
      {"qwen3_coder",
       "qwen3_coder",
       "",
       false,
       "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\n42\nof two lines </b>\n</parameter>\n"
       "<parameter=days>\n3\n</parameter>\n<parameter=metric>\nTrue\n</parameter>\n<parameter=other>\n7\n</parameter>\n"
       "</function>\n</tool_call>\n<tool_call>\n<function=get_time>\n</function>\n</tool_call>",
       {"I look.",
        "",
        {call("get_weather", "{\"city\": \"42\\nof two lines </b>\", \"days\": 3, \"metric\": true, \"other\": \"7\"}"),
         call("get_time", "{}")}}},
      {"mistral, list",
       "mistral",
       "",
       false,
       "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": \"abc123xyz\"}, "
       "{\"name\": \"get_time\", \"arguments\": {}}]",
       {"", "", {call("get_weather", "{\"city\": \"Paris\"}"), call("get_time", "{}")}}},
      {"mistral, names",
       "mistral",
       "mistral",
       false,
       "[THINK]Let me see.[/THINK]Now.[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Paris\"}[TOOL_CALLS]get_time{}"
       "[TOOL_CALLS]f[CALL_ID]abc123xyz[ARGS]{\"a\": 1}",
       {"Now.",
        "Let me see.",
        {call("get_weather", "{\"city\": \"Paris\"}"), call("get_time", "{}"), call("f", "{\"a\": 1}")}}},
      {"glm45",
       "glm45",
       "glm45",
       false,
       "\n<think>Which city?</think>\nI look it up.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n"
       "<arg_value>12</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n<arg_key>tags</arg_key>\n"
       "<arg_value>[\"a\", {\"b\": 1}]</arg_value>\n</tool_call>\n<tool_call>get_time</tool_call>",
       {"I look it up.",
        "Which city?",
        {call("get_weather", "{\"city\": \"12\", \"days\": 3, \"tags\": [\"a\", {\"b\": 1}]}"),
         call("get_time", "{}")}}},
      {"gpt-oss, a call",
       "openai",
       "openai_gptoss",
       false,
       "<|channel|>analysis<|message|>Need the weather.<|end|><|start|>assistant<|channel|>commentary<|message|>I will "
       "look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
       "{\"city\":\"Paris\"}<|call|>",
       {"I will look.", "Need the weather.", {call("get_weather", "{\"city\":\"Paris\"}")}}},
      {"gpt-oss, recipient behind the role, end of sequence for the last marker",
       "openai",
       "openai_gptoss",
       false,
       "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|>"
       "<|start|>assistant to=functions.get_time<|channel|>commentary json<|message|>{}",
       {"", "One.\nTwo.", {call("get_time", "{}")}}},
      {"gpt-oss, an answer",
       "openai",
       "openai_gptoss",
       false,
       "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is <|b| 4.<|return|>",
       {"It is <|b| 4.", "Easy.", {}}},
      {"no call",
       "hermes",
       "qwen3",
       false,
       "Just <tool text, 中文 and </think>.\n",
       {"Just <tool text, 中文 and </think>.\n", "", {}}},
  };
  return kSamples;
}

const ParameterTypes& tool_types() {
  static const ParameterTypes kTypes(boost::json::parse(R"([
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
      "city": {"type": "string"}, "days": {"type": "integer"}, "metric": {"type": "boolean"},
      "tags": {"type": "array"}}}}},
    {"type": "function", "function": {"name": "get_time"}}])"));
  return kTypes;
}

std::shared_ptr<ParserOptions> options_for(std::string_view calls, std::string_view reasoning, bool inside) {
  auto options = std::make_shared<ParserOptions>();
  if (!calls.empty()) {
    options->calls = find_call_format(calls);
    SWITCHYARD_CHECK(options->calls != nullptr);
    options->call_mode = CallMode::kWritten;
  }
  if (!reasoning.empty()) {
    options->reasoning = find_reasoning_format(reasoning);
    SWITCHYARD_CHECK(options->reasoning != nullptr);
  }
  options->inside_reasoning = inside;
  options->types = tool_types();
  return options;
}

std::shared_ptr<ParserOptions> options_for(const Sample& sample) {
  return options_for(sample.calls, sample.reasoning, sample.inside);
}

std::vector<Event> events_of(const std::shared_ptr<const ParserOptions>& options, std::string_view text,
                             const std::vector<size_t>& cuts) {
  Parser parser(options);
  std::vector<Event> all;
  size_t from = 0;
  for (const size_t cut : cuts) {
    append(all, parser.push(text.substr(from, cut - from)));
    from = cut;
  }
  append(all, parser.push(text.substr(from)));
  append(all, parser.finish());
  return all;
}

Message message_of(const std::shared_ptr<const ParserOptions>& options, std::string_view text) {
  Message message;
  for (const Event& event : events_of(options, text)) message.add(event);
  return message;
}

Message streamed(const std::vector<Event>& events) {
  Message message;
  for (const Event& event : events) {
    if (event.kind == Event::Kind::kCallBroken)
      message.content += event.text.substr(event.text.size() - event.unsent);
    else
      message.add(event);
  }
  return message;
}

std::string to_text(const Message& message) {
  std::string text = "content [" + message.content + "] reasoning [" + message.reasoning + "]";
  for (const Call& call : message.calls)
    text += " " + call.name + " (" + call.arguments + ")" + (call.complete ? "" : " incomplete");
  return text;
}

std::string to_text(const std::vector<Event>& events) {
  constexpr const char* kNames[] = {"content", "reasoning", "begin", "arguments", "end", "broken"};
  std::string text;
  for (const Event& event : events) {
    text += kNames[static_cast<size_t>(event.kind)];
    text += " " + std::to_string(event.call) + " [" + event.text + "] " + std::to_string(event.unsent) + "\n";
  }
  return text;
}

}  // namespace switchyard::parsing
