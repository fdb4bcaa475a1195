#include "common/text/normalizers/replace.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

class Replace : public Normalizer {
 public:
  Replace(Regex regex, std::string content) : regex_(std::move(regex)), content_(std::move(content)) {}
  std::string normalize(std::string_view text) const override { return replace_matches(regex_, text, content_); }

 private:
  Regex regex_;
  std::string content_;
};

}  // namespace

Result<Pattern> pattern_field(const json::object& spec, std::string_view where) {
  const auto* pattern = spec.if_contains("pattern");
  if (pattern == nullptr) return field_error(where, "pattern", "missing");
  const auto* object = pattern->if_object();
  if (object == nullptr) return field_error(where, "pattern", "{\"Regex\": ...} or {\"String\": ...} is expected");
  const std::string here = fmt::format("{}.pattern", where);
  if (object->contains("String")) {
    SWITCHYARD_ASSIGN(std::string text, string_field(*object, "String", here));
    return Pattern{Regex::literal(text), std::move(text)};
  }
  SWITCHYARD_ASSIGN(const std::string source, string_field(*object, "Regex", here));
  auto regex = Regex::compile(source);
  if (!regex.ok()) return field_error(where, "pattern.Regex", regex.error().message);
  return Pattern{std::move(regex).value(), std::nullopt};
}

std::string replace_matches(const Regex& regex, std::string_view text, std::string_view content) {
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 4);
  size_t done = 0;
  for_each_match(regex, text, [&](const Match& match) {
    out += text.substr(done, match.begin - done);
    out += content;
    done = match.end;
  });
  out += text.substr(done);
  return out;
}

Status load_replace(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(auto pattern, pattern_field(spec, where));
  SWITCHYARD_ASSIGN(std::string content, string_field(spec, "content", where));
  steps.push_back(std::make_unique<Replace>(std::move(pattern.regex), std::move(content)));
  return {};
}

}  // namespace switchyard::text
