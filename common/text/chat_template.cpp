#include "common/text/chat_template.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <ctime>

#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/json_text.h"
#include "common/text/jinja/parser.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace {

// A template is text of a checkpoint; the greatest published ones have 20 KB.
constexpr size_t kMaxSourceBytes = 4 << 20;

Error to_error(const jinja::TemplateError& error) {
  if (error.raised) return Error{Errc::kInvalid, error.message};
  // What is read before the template runs has no place in it.
  if (error.position.line == 0) return Error{Errc::kInvalid, fmt::format("chat template: {}", error.message)};
  return Error{Errc::kInvalid, fmt::format("chat template, line {}, column {}: {}", error.position.line,
                                           error.position.column, error.message)};
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const jinja::Template> program) : program_(std::move(program)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return Error{Errc::kTooLarge,
                 fmt::format("chat template: {} bytes are more than {}", source.size(), kMaxSourceBytes)};
  }
  if (!is_valid_utf8(source)) return Error{Errc::kInvalid, "chat template: not UTF-8"};
  try {
    return std::shared_ptr<const ChatTemplate>(new ChatTemplate(jinja::parse_template(source)));
  } catch (const jinja::TemplateError& error) {
    return to_error(error);
  }
}

Result<std::string> ChatTemplate::render(const boost::json::value& messages, const boost::json::value& tools,
                                         const boost::json::object& kwargs, std::chrono::sys_seconds now) const {
  try {
    jinja::Interpreter interpreter(*program_, now, jinja::Limits{});
    interpreter.define("messages", jinja::from_json(messages));
    interpreter.define("tools", jinja::from_json(tools));
    interpreter.define("documents", jinja::Value());
    interpreter.define("add_generation_prompt", jinja::Value(false));
    for (const auto& entry : kwargs) {
      interpreter.define(std::string_view(entry.key().data(), entry.key().size()), jinja::from_json(entry.value()));
    }
    return interpreter.run();
  } catch (const jinja::TemplateError& error) {
    return to_error(error);
  }
}

std::chrono::sys_seconds ChatTemplate::local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
}

}  // namespace switchyard::text
