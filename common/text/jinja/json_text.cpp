#include "common/text/jinja/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "common/text/utf8.h"

namespace switchyard::text::jinja {

namespace json = boost::json;

namespace {

void append_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      case '\f': out += "\\f"; continue;
      case '\b': out += "\\b"; continue;
      default: break;
    }
    if (c < 0x20 || (ascii && c >= 0x7F && c < 0x10000)) {
      // json's ASCII form leaves U+007F as it is.
      if (c == 0x7F) {
        out += '\x7f';
      } else {
        out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
      }
    } else if (ascii && c >= 0x10000) {
      const auto rest = static_cast<uint32_t>(c) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    } else {
      out += text.substr(begin, at - begin);
    }
  }
  out += '"';
}

std::string number_text(const Value& value) {
  if (value.is_float()) {
    if (std::isnan(value.real())) return "NaN";
    if (std::isinf(value.real())) return value.real() < 0 ? "-Infinity" : "Infinity";
  }
  return to_text(value);
}

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void write(const Value& value, int level) {
    if (out.size() > kMaxTextBytes) fail("MemoryError: a text grows too long");
    if (value.is_none()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.boolean() ? "true" : "false";
    } else if (value.is_number()) {
      out += number_text(value);
    } else if (value.is_text()) {
      append_string(out, value.text(), style_.ensure_ascii);
    } else if (value.is_kind(SequenceKind::kList) || value.is_kind(SequenceKind::kTuple)) {
      const auto& items = value.sequence().items;
      if (items.empty()) {
        out += "[]";
        return;
      }
      out += '[';
      for (size_t i = 0; i < items.size(); ++i) {
        separate(i, level);
        write(items[i], level + 1);
      }
      close(level);
      out += ']';
    } else if (value.is_dict()) {
      write_dict(value.dict(), level);
    } else {
      fail(fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

  std::string out;

 private:
  void separate(size_t index, int level) {
    if (index > 0) out += style_.item_separator;
    line(level + 1);
  }
  void close(int level) { line(level); }
  void line(int level) {
    if (!style_.indent) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += *style_.indent;
  }

  static std::string key_text(const Value& key) {
    if (key.is_text()) return key.text();
    if (key.is_none()) return "null";
    if (key.is_bool()) return key.boolean() ? "true" : "false";
    if (key.is_number()) return number_text(key);
    fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) {
      out += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return compare(a->first, b->first, "<") < 0; });
    }
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      separate(i, level);
      append_string(out, key_text(entries[i]->first), style_.ensure_ascii);
      out += style_.key_separator;
      write(entries[i]->second, level + 1);
    }
    close(level);
    out += '}';
  }

  const JsonStyle& style_;
};

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style) {
  Writer writer(style);
  writer.write(value, 0);
  return std::move(writer.out);
}

Value from_json(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return {};
    case json::kind::bool_: return value.get_bool();
    case json::kind::int64: return value.get_int64();
    case json::kind::uint64: return BigInt::from_unsigned(value.get_uint64());
    case json::kind::double_: return value.get_double();
    case json::kind::string: return Value(std::string_view(value.get_string().data(), value.get_string().size()));
    case json::kind::array: {
      std::vector<Value> items;
      items.reserve(value.get_array().size());
      for (const auto& item : value.get_array()) items.push_back(from_json(item));
      return make_list(std::move(items));
    }
    case json::kind::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(value.get_object().size());
      for (const auto& entry : value.get_object()) {
        entries.emplace_back(Value(std::string_view(entry.key().data(), entry.key().size())), from_json(entry.value()));
      }
      return make_dict(std::move(entries));
    }
  }
  return {};
}

Value parse_json_text(const std::string& text) {
  json::parse_options options;
  options.max_depth = kMaxValueDepth;
  boost::system::error_code code;
  const json::value value = json::parse(text, code, {}, options);
  if (code) fail(fmt::format("JSONDecodeError: {}", code.message()));
  return from_json(value);
}

}  // namespace switchyard::text::jinja
