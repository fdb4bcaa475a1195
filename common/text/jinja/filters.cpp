// Filters on one value: text, numbers, JSON. Those on sequences are in sequence_filters.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/json_text.h"
#include "common/text/jinja/python_text.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {
namespace {

using Filter = Value(Interpreter&, const Value&, Arguments&);

// ---- text ----

Value trim(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("trim", a, {"chars"});
  const std::string text = to_text(value);
  if (p[0] == nullptr || p[0]->is_none()) return strip(text, Side::kBoth);
  return strip(text, Side::kBoth, text_argument("trim", *p[0]));
}

// Words of title begin after white space, -, (, {, [ and <.
Value title_filter(Interpreter&, const Value& value, Arguments&) {
  const std::string text = to_text(value);
  std::string out, word;
  const auto flush = [&] {
    size_t first = 0;
    if (!word.empty()) {
      next_code_point(word, first);
      out += upper(word.substr(0, first)) + lower(word.substr(first));
    }
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (is_python_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<') {
      flush();
      out += text.substr(begin, at - begin);
    } else {
      word += text.substr(begin, at - begin);
    }
  }
  flush();
  return out;
}

Value replace_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("replace", a, {"old", "new", "count"}, 2);
  const int64_t count = p[2] == nullptr || p[2]->is_none() ? -1 : p[2]->as_index("replace");
  return charged_replace(interpreter, to_text(value), to_text(*p[0]), to_text(*p[1]), count);
}

Value indent(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("indent", a, {"width", "first", "blank"});
  const std::string text = to_text(value);
  std::string step;
  if (p[0] != nullptr && p[0]->is_text()) {
    step = p[0]->text();
  } else {
    step.assign(static_cast<size_t>(std::clamp<int64_t>(whole("indent", p[0], 4), 0, 4096)), ' ');
  }
  std::string out;
  const auto lines = split_lines(text + "\n", false);
  const bool blank = flag(p[2], false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += step;
    out += lines[i];
    interpreter.charge_bytes(step.size());
  }
  if (flag(p[1], false)) out = step + out;
  interpreter.charge_bytes(out.size());
  return out;
}

Value truncate(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("truncate", a, {"length", "killwords", "end", "leeway"});
  const std::string text = to_text(value);
  const int64_t length = whole("truncate", p[0], 255);
  const std::string end = p[2] == nullptr ? "..." : to_text(*p[2]);
  const auto end_length = static_cast<int64_t>(code_point_count(end));
  if (length < end_length) fail(fmt::format("expected length >= {}, got {}", end_length, length));
  if (static_cast<int64_t>(code_point_count(text)) <= length + whole("truncate", p[3], 5)) return text;
  std::string cut(slice(text, 0, length - end_length));
  if (!flag(p[1], false)) cut = split(cut, " ", 1, true)[0];
  return cut + end;
}

Value center_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  const int64_t width = whole("center", bind("center", a, {"width"})[0], 80);
  if (width > (1 << 20)) fail("center: the width is too large");
  interpreter.charge_bytes(static_cast<size_t>(std::max<int64_t>(width, 0)));
  return center(to_text(value), width, " ");
}

Value word_count(Interpreter&, const Value& value, Arguments&) {
  const std::string text = to_text(value);
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool word = is_letter(c) || is_decimal_digit(c) || c == '_';
    count += word && !inside;
    inside = word;
  }
  return count;
}

std::string quote_url(std::string_view text, bool slash_is_safe) {
  std::string out;
  for (const char c : text) {
    const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                      c == '.' || c == '-' || c == '~' || (c == '/' && slash_is_safe);
    if (safe) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Value url_encode(Interpreter& interpreter, const Value& value, Arguments&) {
  if (value.is_text() || !(value.is_dict() || value.is_sequence())) return quote_url(to_text(value), true);
  std::string out;
  const auto pair = [&](const Value& key, const Value& item) {
    if (!out.empty()) out += '&';
    out += quote_url(to_text(key), false) + "=" + quote_url(to_text(item), false);
  };
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().entries) pair(key, item);
  } else {
    for (const auto& entry : interpreter.items(value)) {
      const auto sides = interpreter.items(entry);
      if (sides.size() != 2) fail("urlencode: pairs are expected");
      pair(sides[0], sides[1]);
    }
  }
  return out;
}

Value strip_tags(Interpreter&, const Value& value, Arguments&) {
  std::string text = to_text(value);
  for (const auto& [open, close] : {std::pair{"<!--", "-->"}, std::pair{"<", ">"}}) {
    std::string kept;
    size_t at = 0;
    for (;;) {
      const size_t begin = text.find(open, at);
      const size_t end = begin == std::string::npos ? begin : text.find(close, begin);
      if (end == std::string::npos) break;
      kept += text.substr(at, begin - at);
      at = end + std::string_view(close).size();
    }
    text = kept + text.substr(at);
  }
  std::string out;
  for (const auto& word : split_space(text, -1, false)) out += (out.empty() ? "" : " ") + word;
  for (const auto& [entity, character] :
       {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&#34;", "\""}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}}) {
    out = replace(out, entity, character, -1);
  }
  return out;
}

Value xml_attributes(Interpreter&, const Value& value, Arguments& a) {
  const bool space = flag(bind("xmlattr", a, {"autospace"})[0], true);
  if (!value.is_dict()) fail("xmlattr: a mapping is expected");
  std::string out;
  for (const auto& [key, item] : value.dict().entries) {
    if (item.is_none() || item.is_undefined()) continue;
    const std::string name = to_text(key);
    for (size_t at = 0; at < name.size();) {
      const char32_t c = next_code_point(name, at);
      if (is_python_space(c) || c == '/' || c == '>' || c == '=')
        fail(fmt::format("Invalid character in attribute name: '{}'", name));
    }
    if (!out.empty()) out += ' ';
    out += escape_html(name) + "=\"" + escape_html(to_text(item)) + "\"";
  }
  return space && !out.empty() ? " " + out : out;
}

// ---- numbers ----

std::optional<BigInt> whole_from_text(std::string_view text, int base) {
  text = strip(text, Side::kBoth);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto prefix = [&](char letter) { return text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == letter; };
  const int prefixed = prefix('x') ? 16 : prefix('o') ? 8 : prefix('b') ? 2 : 0;
  if (prefixed != 0 && (base == prefixed || base == 0)) {
    base = prefixed;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  }
  if (base == 0) base = 10;
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    digits += c;
  }
  if (digits.empty()) return std::nullopt;
  BigInt out = BigInt::parse(digits, base);
  return negative ? -out : out;
}

std::optional<double> real_from_text(std::string_view text) {
  text = strip(text, Side::kBoth);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t k) { return k < text.size() && text[k] >= '0' && text[k] <= '9'; };
    if (text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1)) continue;
    digits += text[i];
  }
  if (digits.empty()) return std::nullopt;
  const std::string bare = lower(digits[0] == '-' || digits[0] == '+' ? digits.substr(1) : digits);
  if (bare == "inf" || bare == "infinity" || bare == "nan") return std::strtod(digits.c_str(), nullptr);
  if (digits.find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double out = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size()) return std::nullopt;
  return out;
}

Value int_filter(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("int", a, {"default", "base"});
  Value fallback = p[0] == nullptr ? Value(0) : *p[0];
  if (value.is_bool() || value.is_integer()) return value.big();
  std::optional<double> real;
  if (value.is_float()) {
    real = value.real();
  } else if (value.is_text()) {
    if (const auto out =
            whole_from_text(value.text(), static_cast<int>(std::clamp<int64_t>(whole("int", p[1], 10), 0, 36))))
      return *out;
    real = real_from_text(value.text());
  }
  if (!real || !std::isfinite(*real)) return fallback;
  return BigInt::truncate(*real);
}

Value float_filter(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("float", a, {"default"});
  if (value.is_number()) return value.as_double();
  if (value.is_text()) {
    if (const auto out = real_from_text(value.text())) return *out;
  }
  return p[0] == nullptr ? Value(0.0) : *p[0];
}

Value round_filter(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("round", a, {"precision", "method"});
  const int64_t precision = std::clamp<int64_t>(whole("round", p[0], 0), -400, 400);
  const std::string method = p[1] == nullptr ? "common" : to_text(*p[1]);
  if (method != "common" && method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
  if (!value.is_number()) fail(fmt::format("type {} doesn't define __round__ method", type_name(value)));
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = value.as_double() * scale;
    return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
  }
  if (!value.is_float()) {
    if (precision >= 0) return value.big();
    // Half to even at a power of ten.
    const BigInt unit = BigInt(10).power(BigInt(-precision));
    const BigInt below = value.big().floor_divide(unit) * unit;
    const int half = ((value.big() - below) * BigInt(2)).compare(unit);
    const bool odd = !below.floor_divide(unit).modulo(BigInt(2)).is_zero();
    return half > 0 || (half == 0 && odd) ? below + unit : below;
  }
  if (!std::isfinite(value.real())) return value;
  if (precision >= 0) {
    // The decimal digits of a double are exact, so this rounds once, halves to even, as CPython does.
    return std::strtod(fmt::format("{:.{}f}", value.real(), precision).c_str(), nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value.real() / unit) * unit;
}

Value abs_filter(Interpreter&, const Value& value, Arguments&) {
  if (!value.is_number()) fail(fmt::format("bad operand type for abs(): '{}'", type_name(value)));
  if (value.is_float()) return std::abs(value.real());
  return value.big().negative() ? -value.big() : value.big();
}

// ---- others ----

Value to_json_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = flag(p[0], false);
  style.sort_keys = flag(p[3], false);
  if (p[1] != nullptr && !p[1]->is_none()) {
    if (p[1]->is_text()) {
      style.indent = p[1]->text();
    } else {
      style.indent = std::string(static_cast<size_t>(std::clamp<int64_t>(p[1]->as_index("tojson"), 0, 256)), ' ');
    }
    style.item_separator = ",";
  }
  if (p[2] != nullptr && !p[2]->is_none()) {
    const auto sides = interpreter.items(*p[2]);
    if (sides.size() != 2) fail("tojson: separators are two texts");
    style.item_separator = text_argument("tojson", sides[0]);
    style.key_separator = text_argument("tojson", sides[1]);
  }
  std::string out = to_json(value, style);
  interpreter.charge_bytes(out.size());
  return out;
}

Value from_json_filter(Interpreter& interpreter, const Value& value, Arguments&) {
  const std::string& text = text_argument("from_json", value);
  // A parsed "[1,1,...]" takes twelve bytes for each of its text.
  interpreter.charge_bytes(text.size());
  require_memory(text.size() * 12);
  return parse_json_text(text);
}

Value default_filter(Interpreter&, const Value& value, Arguments& a) {
  const auto p = bind("default", a, {"default_value", "boolean"});
  if (value.is_undefined() || (flag(p[1], false) && !truth(value))) return p[0] == nullptr ? Value("") : *p[0];
  return value;
}

Value attr_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  const auto p = bind("attr", a, {"name"}, 1);
  const std::string name = to_text(*p[0]);
  if (value.is_undefined()) return interpreter.attribute(value, name);
  auto found = builtin_attribute(value, name);
  return found ? std::move(*found) : Value::undefined(missing_message(value, Value(name)));
}

Value format_filter(Interpreter& interpreter, const Value& value, Arguments& a) {
  if (!a.named.empty() && !a.positional.empty()) fail("can't handle positional and keyword arguments at the same time");
  if (a.named.empty()) return format_percent(interpreter, to_text(value), make_tuple(a.positional));
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, item] : a.named) entries.emplace_back(Value(name), item);
  return format_percent(interpreter, to_text(value), make_dict(std::move(entries)));
}

Value string_filter(Interpreter&, const Value& value, Arguments&) { return to_text(value); }
Value escape_filter(Interpreter&, const Value& value, Arguments&) { return escape_html(to_text(value)); }

const NamedFilter kFilters[] = {
    {"abs", abs_filter},
    {"attr", attr_filter},
    {"capitalize", [](Interpreter&, const Value& v, Arguments&) -> Value { return capitalize(to_text(v)); }},
    {"center", center_filter},
    {"d", default_filter},
    {"default", default_filter},
    {"e", escape_filter},
    {"escape", escape_filter},
    {"float", float_filter},
    {"forceescape", escape_filter},
    {"format", format_filter},
    {"from_json", from_json_filter},
    {"indent", indent},
    {"int", int_filter},
    {"lower", [](Interpreter&, const Value& v, Arguments&) -> Value { return lower(to_text(v)); }},
    {"pprint",
     [](Interpreter&, const Value& v, Arguments&) -> Value {
       std::string out;
       append_repr(out, v);
       return out;
     }},
    {"replace", replace_filter},
    {"round", round_filter},
    {"safe", string_filter},
    {"string", string_filter},
    {"striptags", strip_tags},
    {"title", title_filter},
    {"tojson", to_json_filter},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", [](Interpreter&, const Value& v, Arguments&) -> Value { return upper(to_text(v)); }},
    {"urlencode", url_encode},
    {"wordcount", word_count},
    {"xmlattr", xml_attributes},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (const auto& entry : kFilters) {
    if (name == entry.name) return entry.function;
  }
  return find_sequence_filter(name);
}

}  // namespace switchyard::text::jinja
