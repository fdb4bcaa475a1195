#include "common/text/commands.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <istream>
#include <optional>
#include <ostream>
#include <unordered_map>

#include "common/text/chat_template.h"
#include "common/text/json_fields.h"
#include "common/text/tokenizer.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

json::array to_array(const std::vector<int32_t>& ids) {
  json::array out;
  out.reserve(ids.size());
  for (const int32_t id : ids) out.emplace_back(id);
  return out;
}

std::optional<std::chrono::sys_seconds> parse_date(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &used) != 3 ||
      static_cast<size_t>(used) != text.size()) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::sys_days(date));
}

Result<json::object> tokenize_line(const std::shared_ptr<const Tokenizer>& tokenizer, const json::object& line,
                                   bool decode) {
  if (!decode) {
    SWITCHYARD_ASSIGN(const std::string text, string_field(line, "text", "line"));
    return json::object{{"ids", to_array(tokenizer->encode(text, false))},
                        {"ids_special", to_array(tokenizer->encode(text, true))}};
  }
  SWITCHYARD_ASSIGN(const auto* list, array_field(line, "ids", "line"));
  std::vector<int32_t> ids;
  for (const auto& value : *list) {
    // An id that no tokenizer has is skipped like one that this one has not.
    const auto* id = value.if_int64();
    if (id == nullptr) return field_error("line", "ids", "whole numbers are expected");
    ids.push_back(*id < 0 || *id > kMaxTokenId ? -1 : static_cast<int32_t>(*id));
  }
  if (line.contains("skip_special_tokens")) {
    SWITCHYARD_ASSIGN(const bool skip, bool_field(line, "skip_special_tokens", false, "line"));
    StreamDecoder stream(tokenizer, skip);
    json::array pieces;
    for (const int32_t id : ids) pieces.emplace_back(stream.push(id));
    return json::object{{"pieces", std::move(pieces)}, {"flush", stream.flush()}};
  }
  return json::object{{"decoded", tokenizer->decode(ids, false)}, {"decoded_clean", tokenizer->decode(ids, true)}};
}

// Templates by their source, as lines often repeat them.
class Templates {
 public:
  Result<std::shared_ptr<const ChatTemplate>> get(const std::string& source) {
    const auto known = parsed_.find(source);
    if (known != parsed_.end()) return known->second;
    SWITCHYARD_ASSIGN(auto fresh, ChatTemplate::parse(source));
    if (parsed_.size() >= 256) parsed_.clear();
    parsed_.emplace(source, fresh);
    return fresh;
  }

 private:
  std::unordered_map<std::string, std::shared_ptr<const ChatTemplate>> parsed_;
};

const json::value& field_or_null(const json::object& object, std::string_view key) {
  static const json::value null;
  const auto* value = object.if_contains(key);
  return value == nullptr ? null : *value;
}

// Serves each line; false where one of them was of no use.
template <typename Serve>
bool for_each_line(std::istream& in, std::ostream& out, const Serve& serve) {
  bool good = true;
  std::string text;
  for (size_t number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("line {}", number);
    json::object answer;
    auto value = parse_json(text, where);
    const auto* object = value.ok() ? value->if_object() : nullptr;
    if (object == nullptr) {
      good = false;
      answer["error"] = value.ok() ? where + ": an object is expected" : value.error().message;
    } else {
      answer = serve(*object, good);
    }
    out << json::serialize(answer) << '\n';
  }
  out.flush();
  return good;
}

}  // namespace

int run_tokenize(std::istream& in, std::ostream& out, std::ostream& errors, const TokenizeOptions& options) {
  const auto tokenizer = Tokenizer::load(options.tokenizer);
  if (!tokenizer.ok()) {
    errors << tokenizer.error().message << '\n';
    return 1;
  }
  const bool good = for_each_line(in, out, [&](const json::object& line, bool& ok) {
    auto answer = tokenize_line(*tokenizer, line, options.decode);
    if (answer.ok()) return std::move(answer).value();
    ok = false;
    return json::object{{"error", answer.error().message}};
  });
  return good ? 0 : 1;
}

int run_template(std::istream& in, std::ostream& out, std::ostream& errors, const TemplateOptions& options) {
  std::optional<std::chrono::sys_seconds> pinned;
  if (!options.now.empty()) {
    pinned = parse_date(options.now);
    if (!pinned) {
      errors << "--now " << options.now << ": a date YYYY-MM-DD is expected\n";
      return 1;
    }
  }
  Templates templates;
  std::string source_of_file;
  if (!options.chat_template.empty()) {
    auto source = read_text_file(options.chat_template);
    if (!source.ok()) {
      errors << source.error().message << '\n';
      return 1;
    }
    source_of_file = std::move(source).value();
    if (const auto parsed = templates.get(source_of_file); !parsed.ok()) {
      errors << options.chat_template << ": " << parsed.error().message << '\n';
      return 1;
    }
  }
  const bool good = for_each_line(in, out, [&](const json::object& line, bool& ok) {
    const auto render = [&]() -> Result<std::string> {
      std::string source = source_of_file;
      if (options.chat_template.empty()) {
        auto own = string_field(line, "template", "line");
        ok = ok && own.ok();
        SWITCHYARD_ASSIGN(source, std::move(own));
      }
      SWITCHYARD_ASSIGN(const auto chat_template, templates.get(source));
      auto now = pinned;
      if (const auto* date = field_or_null(line, "now").if_string(); date != nullptr && !now)
        now = parse_date(std::string(*date));
      const auto* kwargs = field_or_null(line, "kwargs").if_object();
      return chat_template->render(field_or_null(line, "messages"), field_or_null(line, "tools"),
                                   kwargs == nullptr ? json::object() : *kwargs,
                                   now ? *now : ChatTemplate::local_now());
    };
    const auto rendered = render();
    if (rendered.ok()) return json::object{{"rendered", *rendered}};
    return json::object{{"error", rendered.error().message}};
  });
  return good ? 0 : 1;
}

}  // namespace switchyard::text
