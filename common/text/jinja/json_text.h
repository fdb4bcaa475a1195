// JSON to values and back, as Python's json module writes it.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>

#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one step of it
  std::string item_separator = ", ";  // without the line break of an indent
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// json.dumps(). Throws TemplateError for what JSON cannot say.
std::string to_json(const Value& value, const JsonStyle& style);
// Keys in their order.
Value from_json(const boost::json::value& value);
// json.loads(); throws TemplateError.
Value parse_json_text(const std::string& text);

}  // namespace switchyard::text::jinja
