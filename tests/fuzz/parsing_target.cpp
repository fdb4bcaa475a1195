// Reasoning and calls of tools (frontend/parsing): no text stops a parser, and the events do not depend on the cuts.
//
// Input: the format of calls, that of reasoning, the cuts (a byte each), then the text.
#include <boost/json/parse.hpp>

#include "common/base/result.h"
#include "common/text/utf8.h"
#include "frontend/parsing/message.h"
#include "frontend/parsing/parser.h"
#include "tests/fuzz/target.h"

namespace switchyard::parsing {
namespace {

const ParameterTypes& types() {
  static const ParameterTypes kTypes(boost::json::parse(R"([
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
      "s": {"type": "string"}, "i": {"type": "integer"}, "b": {"type": "boolean"}, "a": {"type": "array"}, "o": {"type": "object"}}}}},
    {"type": "function", "function": {"name": "g"}}])"));
  return kTypes;
}

// Some format or none.
template <typename Format>
const Format* choose(std::span<const Format> formats, uint8_t choice) {
  const size_t index = choice % (formats.size() + 1);
  return index == formats.size() ? nullptr : &formats[index];
}

std::vector<Event> events_of(const std::shared_ptr<const ParserOptions>& options, std::string_view text,
                             const std::vector<size_t>& cuts) {
  Parser parser(options);
  std::vector<Event> all;
  size_t from = 0;
  for (size_t cut : cuts) {
    while (cut < text.size() && (text[cut] & 0xC0) == 0x80) ++cut;  // between characters
    append(all, parser.push(text.substr(from, cut - from)));
    from = cut;
  }
  append(all, parser.push(text.substr(from)));
  append(all, parser.finish());
  return all;
}

bool same(const std::vector<Event>& a, const std::vector<Event>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Event& x, const Event& y) {
    return x.kind == y.kind && x.call == y.call && x.text == y.text && x.unsent == y.unsent;
  });
}

// Calls begin and end in order, and complete arguments are JSON.
void check_calls(const std::vector<Event>& events) {
  Message message;
  bool open = false;
  uint32_t begun = 0;
  for (const Event& event : events) {
    switch (event.kind) {
      case Event::Kind::kCallBegin:
        SWITCHYARD_CHECK(!open && event.call == begun);
        open = true;
        ++begun;
        break;
      case Event::Kind::kArguments: SWITCHYARD_CHECK(open && event.call + 1 == begun); break;
      case Event::Kind::kCallEnd:
        SWITCHYARD_CHECK(open && event.call + 1 == begun);
        open = false;
        break;
      case Event::Kind::kCallBroken:
        SWITCHYARD_CHECK(open && event.unsent <= event.text.size());
        open = false;
        break;
      default: break;
    }
    message.add(event);
  }
  SWITCHYARD_CHECK(!open);
  for (const Call& call : message.calls) {
    boost::json::parse_options deep;
    deep.max_depth = 100000;
    boost::system::error_code error;
    if (call.complete) SWITCHYARD_CHECK(boost::json::parse(call.arguments, error, {}, deep).is_object() && !error);
  }
}

}  // namespace
}  // namespace switchyard::parsing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  using namespace switchyard::parsing;
  fuzz::Input input(data, size);
  auto options = std::make_shared<ParserOptions>();
  const uint8_t calls = input.byte();
  options->calls = choose(call_formats(), calls);
  options->call_mode = options->calls == nullptr ? CallMode::kNone : CallMode::kWritten;
  if ((calls & 0x80) != 0) options->call_mode = (calls & 1) != 0 ? CallMode::kRequired : CallMode::kNamed;
  options->function = std::string("f");  // g++ 12 warns of an assignment without it
  const uint8_t reasoning = input.byte();
  options->reasoning = choose(reasoning_formats(), reasoning);
  options->inside_reasoning = options->reasoning != nullptr && (reasoning & 0x80) != 0;
  options->one_call_only = (reasoning & 0x40) != 0;
  options->types = types();
  if ((reasoning & 0x20) != 0) options->hidden = {"<|im_end|>", "[/TOOL_CALLS]"};
  const uint8_t seed = input.byte();
  const std::string text = text::repair_utf8(input.rest());

  const std::vector<Event> whole = events_of(options, text, {});
  check_calls(whole);
  SWITCHYARD_CHECK(same(whole, events_of(options, text, fuzz::cuts_of(text.size(), seed))));
  std::vector<size_t> everywhere(text.size());
  for (size_t i = 0; i < text.size(); ++i) everywhere[i] = i;
  SWITCHYARD_CHECK(same(whole, events_of(options, text, everywhere)));
  return 0;
}
