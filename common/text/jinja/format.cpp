// '%s' % x, '{}'.format(x) and strftime.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/python_text.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

// One conversion, of either syntax.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =, 0: by the type
  char sign = 0;   // + or space
  bool alternate = false;
  char grouping = 0;  // , or _
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

int64_t checked_width(int64_t n) {
  if (n > kMaxWidth) fail("ValueError: a width in a format is too large");
  return n;
}

std::string grouped(const std::string& digits, char separator) {
  std::string out;
  const size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

std::string padded(const std::string& sign, const std::string& body, const Spec& spec, char default_align) {
  const char align = spec.align != 0 ? spec.align : default_align;
  const auto length = static_cast<int64_t>(code_point_count(sign) + code_point_count(body));
  const int64_t pad = std::max<int64_t>(0, spec.width - length);
  const auto fill = [&](int64_t n) {
    std::string out;
    for (int64_t i = 0; i < n; ++i) out += spec.fill;
    return out;
  };
  switch (align) {
    case '<': return sign + body + fill(pad);
    case '^': return fill(pad / 2) + sign + body + fill(pad - pad / 2);
    case '=': return sign + fill(pad) + body;
    default: return fill(pad) + sign + body;
  }
}

std::string format_float(double value, const Spec& spec) {
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : std::min<int64_t>(spec.precision, 1000));
  const double magnitude = std::abs(value);
  switch (spec.type) {
    case 'e': return fmt::format("{:.{}e}", magnitude, precision);
    case 'E': return fmt::format("{:.{}E}", magnitude, precision);
    case 'g':
      return spec.alternate ? fmt::format("{:#.{}g}", magnitude, precision)
                            : fmt::format("{:.{}g}", magnitude, precision);
    case 'G': return fmt::format("{:.{}G}", magnitude, precision);
    case '%': return fmt::format("{:.{}f}%", magnitude * 100, precision);
    case 'F': return fmt::format("{:.{}F}", magnitude, precision);
    default: return fmt::format("{:.{}f}", magnitude, precision);
  }
}

std::string format_number(const Value& value, const Spec& spec, bool percent_style) {
  bool negative = false;
  std::string body;
  const bool as_float = value.is_float() || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (as_float && spec.type != 0 &&
      !(percent_style && std::string_view("diuxXo").find(spec.type) != std::string_view::npos)) {
    const double number = value.as_double();
    negative = std::signbit(number);
    body = format_float(number, spec);
  } else if (value.is_float() && !percent_style) {
    negative = std::signbit(value.real());
    body = spec.precision >= 0 ? fmt::format("{:.{}g}", std::abs(value.real()),
                                             static_cast<int>(std::min<int64_t>(spec.precision, 1000)))
                               : float_text(std::abs(value.real()));
  } else {
    if (value.is_float() && !std::isfinite(value.real())) fail("cannot convert float infinity or NaN to integer");
    const BigInt whole = value.is_float() ? BigInt::truncate(value.real()) : value.big();
    negative = whole.negative();
    const BigInt magnitude = negative ? -whole : whole;
    const int base = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
    body = magnitude.text(base);
    if (spec.type == 'X')
      std::transform(body.begin(), body.end(), body.begin(),
                     [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
    if (percent_style && spec.precision > static_cast<int64_t>(body.size())) {
      body.insert(0, static_cast<size_t>(checked_width(spec.precision)) - body.size(), '0');
    }
    if (spec.alternate && base == 16) body = (spec.type == 'X' ? "0X" : "0x") + body;
    if (spec.alternate && base == 8) body = "0o" + body;
    if (spec.alternate && base == 2) body = "0b" + body;
  }
  if (spec.grouping != 0) body = grouped(body, spec.grouping);
  const std::string sign = negative ? "-" : spec.sign != 0 ? std::string(1, spec.sign) : "";
  return padded(sign, body, spec, '>');
}

}  // namespace

Value format_percent(Interpreter& interpreter, const std::string& text, const Value& values) {
  std::string out;
  const bool tuple = values.is_kind(SequenceKind::kTuple);
  size_t used = 0;
  const size_t given = tuple ? values.sequence().items.size() : 1;
  const auto next = [&]() -> Value {
    if (used >= given) fail("not enough arguments for format string");
    ++used;
    return tuple ? values.sequence().items[used - 1] : values;
  };
  bool by_name = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    ++i;
    const auto at = [&] { return i < text.size() ? text[i] : '\0'; };
    Spec spec;
    Value named;
    bool has_name = false;
    if (at() == '(') {
      const size_t close = text.find(')', i);
      if (close == std::string::npos) fail("incomplete format key");
      if (!values.is_dict()) fail("format requires a mapping");
      const std::string key = text.substr(i + 1, close - i - 1);
      const Value* found = values.dict().find(key);
      if (found == nullptr) fail(fmt::format("KeyError: '{}'", key));
      named = *found;
      has_name = by_name = true;
      i = close + 1;
    }
    for (;; ++i) {
      if (at() == '-') {
        spec.align = '<';
      } else if (at() == '0') {
        if (spec.align == 0) {
          spec.align = '=';
          spec.fill = "0";
        }
      } else if (at() == '+' || (at() == ' ' && spec.sign != '+')) {
        spec.sign = at();
      } else if (at() == '#') {
        spec.alternate = true;
      } else if (at() != ' ') {
        break;
      }
    }
    if (spec.align == '<') spec.fill = " ";
    const auto number = [&]() -> int64_t {
      if (at() == '*') {
        ++i;
        return checked_width(next().as_index("%"));
      }
      int64_t n = 0;
      for (; at() >= '0' && at() <= '9'; ++i) n = checked_width(n * 10 + (at() - '0'));
      return n;
    };
    spec.width = number();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (at() == '.') {
      ++i;
      spec.precision = number();
    }
    spec.type = at();
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (spec.type == '\0') fail("incomplete format");
    const Value value = has_name ? named : next();
    switch (spec.type) {
      case 's':
      case 'r': {
        std::string shown;
        if (spec.type == 's') {
          append_text(shown, value);
        } else {
          append_repr(shown, value);
        }
        if (spec.precision >= 0) shown = slice(shown, 0, spec.precision);
        spec.fill = " ";
        if (spec.align == '=') spec.align = '>';
        out += padded("", shown, spec, '>');
        break;
      }
      case 'c':
        out += padded("", value.is_text() ? value.text() : [&] {
          std::string c;
          const int64_t code = value.as_index("%c");
          if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail("%c arg not in range(0x110000)");
          append_code_point(c, static_cast<char32_t>(code));
          return c;
        }(), spec, '>');
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!value.is_number())
          fail(fmt::format("%{} format: a number is required, not {}", spec.type, type_name(value)));
        out += format_number(value, spec, true);
        break;
      default: fail(fmt::format("unsupported format character '{}'", spec.type));
    }
    interpreter.charge_bytes(out.size() / 16);
  }
  if (!by_name && tuple && used < given) fail("not all arguments converted during string formatting");
  if (!by_name && !tuple && used == 0 && !values.is_dict() && !values.is_kind(SequenceKind::kList)) {
    fail("not all arguments converted during string formatting");
  }
  interpreter.charge_bytes(out.size());
  return out;
}

namespace {

std::string format_with_spec(const Value& value, const std::string& source) {
  if (source.empty()) return to_text(value);
  Spec spec;
  size_t i = 0;
  const auto at = [&] { return i < source.size() ? source[i] : '\0'; };
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t after_fill = 0;
  next_code_point(source, after_fill);
  if (after_fill < source.size() && is_align(source[after_fill])) {
    spec.fill = source.substr(0, after_fill);
    spec.align = source[after_fill];
    i = after_fill + 1;
  } else if (is_align(at())) {
    spec.align = source[i++];
  }
  if (at() == '+' || at() == '-' || at() == ' ') {
    spec.sign = at() == '-' ? '\0' : at();
    ++i;
  }
  if (at() == '#') {
    spec.alternate = true;
    ++i;
  }
  if (at() == '0') {
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    ++i;
  }
  for (; at() >= '0' && at() <= '9'; ++i) spec.width = checked_width(spec.width * 10 + (at() - '0'));
  if (at() == ',' || at() == '_') spec.grouping = source[i++];
  if (at() == '.') {
    ++i;
    spec.precision = 0;
    for (; at() >= '0' && at() <= '9'; ++i) spec.precision = checked_width(spec.precision * 10 + (at() - '0'));
  }
  if (i < source.size()) spec.type = source[i++];
  if (i < source.size()) fail("Invalid format specifier");
  const bool number = value.is_number() && !(value.is_bool() && spec.type == 0);
  const std::string_view allowed = number ? (value.is_float() ? "eEfFgG%n" : "bcdeEfFgGnoxX%") : "s";
  if (spec.type != 0 && allowed.find(spec.type) == std::string_view::npos) {
    fail(fmt::format("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value)));
  }
  if (number) return format_number(value, spec, false);
  if (!value.is_text() && !value.is_bool())
    fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  std::string text = to_text(value);
  if (spec.precision >= 0) text = slice(text, 0, spec.precision);
  if (spec.align == '=') fail("'=' alignment not allowed in string format specifier");
  return padded("", text, spec, '<');
}

}  // namespace

Value format_braces(Interpreter& interpreter, const std::string& text, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      out += c;
      ++i;
      continue;
    }
    if (c == '}') fail("Single '}' encountered in format string");
    if (c != '{') {
      out += c;
      continue;
    }
    const size_t close = text.find('}', i);
    if (close == std::string::npos) fail("expected '}' before end of string");
    std::string field = text.substr(i + 1, close - i - 1);
    i = close;
    if (field.find('{') != std::string::npos) fail("nested fields in a format are not supported");
    std::string spec;
    if (const size_t colon = field.find(':'); colon != std::string::npos) {
      spec = field.substr(colon + 1);
      field.resize(colon);
    }
    char conversion = 0;
    if (field.size() >= 2 && field[field.size() - 2] == '!') {
      conversion = field.back();
      field.resize(field.size() - 2);
    }
    const size_t name_end = std::min(field.find_first_of(".["), field.size());
    const std::string name = field.substr(0, name_end);
    Value value;
    const bool digits = std::all_of(name.begin(), name.end(), [](char d) { return d >= '0' && d <= '9'; });
    if (digits) {
      const size_t index = name.empty() ? automatic++ : name.size() > 6 ? SIZE_MAX : std::stoul(name);
      if (index >= arguments.positional.size()) fail("Replacement index out of range for positional args tuple");
      value = arguments.positional[index];
    } else {
      const auto at =
          std::find_if(arguments.named.begin(), arguments.named.end(), [&](const auto& e) { return e.first == name; });
      if (at == arguments.named.end()) fail(fmt::format("KeyError: '{}'", name));
      value = at->second;
    }
    for (size_t p = name_end; p < field.size();) {
      if (field[p] == '.') {
        const size_t end = std::min(field.find_first_of(".[", p + 1), field.size());
        value = interpreter.attribute(value, field.substr(p + 1, end - p - 1));
        p = end;
      } else {
        const size_t end = field.find(']', p);
        if (end == std::string::npos) fail("Missing ']' in format string");
        const std::string key = field.substr(p + 1, end - p - 1);
        const bool index =
            !key.empty() && std::all_of(key.begin(), key.end(), [](char d) { return d >= '0' && d <= '9'; });
        value = interpreter.item(value, index ? Value(BigInt::parse(key, 10)) : Value(key));
        p = end + 1;
      }
      if (value.is_undefined()) fail(value.undefined_message());
    }
    if (conversion == 'r') {
      std::string shown;
      append_repr(shown, value);
      value = Value(std::move(shown));
    } else if (conversion == 's') {
      value = Value(to_text(value));
    }
    out += format_with_spec(value, spec);
    interpreter.charge_bytes(out.size() / 16);
  }
  interpreter.charge_bytes(out.size());
  return out;
}

std::string format_time(Interpreter& interpreter, const std::string& format) {
  if (format.empty()) return {};
  if (format.size() > 4096) fail("a time format is too long");
  const std::time_t seconds = interpreter.now().time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  // A space more, as strftime gives 0 for both an empty text and a buffer that is too small.
  const std::string with_mark = format + " ";
  std::string out(64, '\0');
  for (;;) {
    const size_t size = std::strftime(out.data(), out.size(), with_mark.c_str(), &parts);
    if (size > 0) {
      out.resize(size - 1);
      return out;
    }
    if (out.size() > (1 << 20)) fail("a time format is too long");
    out.resize(out.size() * 2);
  }
}

}  // namespace switchyard::text::jinja
