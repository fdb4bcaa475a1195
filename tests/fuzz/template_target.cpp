// Chat templates: refused, or rendered within the interpreter's limits, to valid UTF-8.
//
// Input: the template, the border, {"messages": [...], "tools": ..., "kwargs": {...}}.
#include <boost/json/parse.hpp>

#include "common/base/result.h"
#include "common/text/chat_template.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/json_text.h"
#include "common/text/jinja/parser.h"
#include "common/text/utf8.h"
#include "tests/fuzz/target.h"

namespace switchyard::text {
namespace {

// A hundredth of what a server allows, so that an input costs milliseconds, and one that gets round a limit shows.
constexpr jinja::Limits kLimits{.steps = 200'000, .work_bytes = 8 << 20, .output_bytes = 1 << 20};

void render(std::string_view source, const boost::json::object& given) {
  try {
    const auto program = jinja::parse_template(source);
    jinja::Interpreter interpreter(*program, std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000)), kLimits);
    for (const auto& entry : given)
      interpreter.define(std::string_view(entry.key().data(), entry.key().size()), jinja::from_json(entry.value()));
    const std::string rendered = interpreter.run();
    SWITCHYARD_CHECK(rendered.size() <= kLimits.output_bytes && is_valid_utf8(rendered));
  } catch (const jinja::TemplateError& error) {
    SWITCHYARD_CHECK(error.raised || !error.message.empty());
  }
}

}  // namespace
}  // namespace switchyard::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  fuzz::Input input(data, size);
  const std::string_view source = input.until(fuzz::kBorder);
  const auto parsed = text::ChatTemplate::parse(source);
  if (!parsed.ok()) return 0;
  boost::system::error_code error;
  const boost::json::value given = boost::json::parse(input.rest(), error);
  text::render(source, !error && given.is_object() ? given.get_object() : boost::json::object{{"messages", {}}});
  return 0;
}
