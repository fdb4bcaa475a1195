// Attributes that values have by their type: methods of text, lists and mappings.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/python_text.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {
namespace {

using Method = Value (*)(Interpreter&, const Value& self, Arguments&);

struct Entry {
  std::string_view name;
  Method method;
};

// ---- text ----

Value list_of(const std::vector<std::string>& texts) {
  std::vector<Value> items;
  items.reserve(texts.size());
  for (const auto& text : texts) items.emplace_back(text);
  return make_list(std::move(items));
}

Value strip_method(const Value& self, Arguments& a, Side side) {
  const auto p = bind("strip", a, {"chars"});
  if (p[0] == nullptr || p[0]->is_none()) return strip(self.text(), side);
  return strip(self.text(), side, text_argument("strip", *p[0]));
}

// Before a text is cut: each part becomes a text of its own, of about 128 bytes.
void charge_parts(Interpreter& interpreter, std::string_view text, std::string_view separator) {
  size_t parts = 1;
  if (separator.empty()) {
    for (size_t at = 0; at < text.size();) parts += is_python_space(next_code_point(text, at));
  } else {
    for (size_t at = text.find(separator); at != std::string_view::npos;
         at = text.find(separator, at + separator.size()))
      ++parts;
  }
  interpreter.charge_bytes(text.size() + parts * 128);
}

Value split_method(Interpreter& interpreter, const Value& self, Arguments& a, bool from_right) {
  const auto p = bind("split", a, {"sep", "maxsplit"});
  const int64_t limit = whole("split", p[1], -1);
  std::vector<std::string> parts;
  if (p[0] == nullptr || p[0]->is_none()) {
    charge_parts(interpreter, self.text(), "");
    parts = split_space(self.text(), limit, from_right);
  } else {
    const std::string& separator = text_argument("split", *p[0]);
    if (separator.empty()) fail("empty separator");
    charge_parts(interpreter, self.text(), separator);
    parts = split(self.text(), separator, limit, from_right);
  }
  interpreter.charge_steps(parts.size());
  return list_of(parts);
}

// text[start:end] for the methods that take such bounds, and where it starts in code points.
std::string_view bounded(const Value& self, const Value* start, const Value* end, int64_t& offset) {
  const auto count = length(self);
  const auto at = [&](const Value* v, int64_t fallback) {
    return v == nullptr || v->is_none() ? fallback : v->as_index("index");
  };
  const int64_t from = at(start, 0);
  offset = std::clamp<int64_t>(from < 0 ? from + count : from, 0, count);
  return slice(self.text(), from, at(end, count));
}

Value affix_method(const Value& self, Arguments& a, bool prefix) {
  const auto p = bind(prefix ? "startswith" : "endswith", a, {"prefix", "start", "end"}, 1);
  int64_t offset = 0;
  const std::string_view text = bounded(self, p[1], p[2], offset);
  const auto has = [&](const Value& affix) {
    const std::string& wanted = text_argument(prefix ? "startswith" : "endswith", affix);
    return prefix ? text.starts_with(wanted) : text.ends_with(wanted);
  };
  if (p[0]->is_kind(SequenceKind::kTuple)) {
    const auto& items = p[0]->sequence().items;
    return std::any_of(items.begin(), items.end(), has);
  }
  return has(*p[0]);
}

Value find_method(const Value& self, Arguments& a, bool last, bool must) {
  const auto p = bind("find", a, {"sub", "start", "end"}, 1);
  int64_t offset = 0;
  const std::string_view text = bounded(self, p[1], p[2], offset);
  const std::string& wanted = text_argument("find", *p[0]);
  const size_t at = last ? text.rfind(wanted) : text.find(wanted);
  if (at == std::string_view::npos) {
    if (must) fail("substring not found");
    return -1;
  }
  return offset + static_cast<int64_t>(code_point_count(text.substr(0, at)));
}

Value count_method(Interpreter&, const Value& self, Arguments& a) {
  const auto p = bind("count", a, {"sub", "start", "end"}, 1);
  int64_t offset = 0;
  const std::string_view text = bounded(self, p[1], p[2], offset);
  const std::string& wanted = text_argument("count", *p[0]);
  if (wanted.empty()) return code_point_count(text) + 1;
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != std::string_view::npos; at = text.find(wanted, at + wanted.size())) ++count;
  return count;
}

Value partition_method(const Value& self, Arguments& a, bool last) {
  const auto p = bind("partition", a, {"sep"}, 1);
  const std::string& text = self.text();
  const std::string& separator = text_argument("partition", *p[0]);
  if (separator.empty()) fail("empty separator");
  const size_t at = last ? text.rfind(separator) : text.find(separator);
  if (at == std::string::npos)
    return last ? make_tuple({Value(""), Value(""), self}) : make_tuple({self, Value(""), Value("")});
  return make_tuple({Value(text.substr(0, at)), Value(separator), Value(text.substr(at + separator.size()))});
}

// ljust, rjust and center.
Value pad_method(Interpreter& interpreter, const Value& self, Arguments& a, char side) {
  const auto p = bind("ljust", a, {"width", "fillchar"}, 1);
  const std::string fill = p[1] == nullptr ? " " : text_argument("ljust", *p[1]);
  if (code_point_count(fill) != 1) fail("The fill character must be exactly one character long");
  const int64_t width = p[0]->as_index("ljust");
  if (width > (1 << 20)) fail("the width is too large");
  interpreter.charge_bytes(static_cast<size_t>(std::max<int64_t>(width, 0)) * fill.size());
  if (side == 'c') return center(self.text(), width, fill);
  std::string pad;
  for (int64_t i = length(self); i < width; ++i) pad += fill;
  return side == 'l' ? self.text() + pad : pad + self.text();
}

Value zero_fill(Interpreter& interpreter, const Value& self, Arguments& a) {
  const int64_t width = bind("zfill", a, {"width"}, 1)[0]->as_index("zfill");
  if (width > (1 << 20)) fail("the width is too large");
  interpreter.charge_bytes(static_cast<size_t>(std::max<int64_t>(width, 0)));
  std::string text = self.text();
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  const int64_t missing = width - length(self);
  if (missing > 0) text.insert(sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return text;
}

template <typename Predicate>
bool all_characters(const std::string& text, const Predicate& predicate) {
  for (size_t at = 0; at < text.size();) {
    if (!predicate(next_code_point(text, at))) return false;
  }
  return !text.empty();
}

bool is_title_text(const std::string& text) {
  return !text.empty() && title(text) == text && (upper(text) != text || lower(text) != text);
}

Value join_method(Interpreter& interpreter, const Value& self, Arguments& a) {
  const auto items = interpreter.items(*bind("join", a, {"iterable"}, 1)[0]);
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_text())
      fail(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(items[i])));
    require_memory(out.size() + self.text().size() + items[i].text().size());
    if (i > 0) out += self.text();
    out += items[i].text();
    interpreter.charge_bytes(self.text().size() + items[i].text().size());
  }
  return out;
}

Value replace_method(Interpreter& interpreter, const Value& self, Arguments& a) {
  const auto p = bind("replace", a, {"old", "new", "count"}, 2);
  return charged_replace(interpreter, self.text(), text_argument("replace", *p[0]), text_argument("replace", *p[1]),
                         whole("replace", p[2], -1));
}

Value remove_affix(const Value& self, Arguments& a, bool prefix) {
  const std::string& affix = text_argument("removeprefix", *bind("removeprefix", a, {"prefix"}, 1)[0]);
  const std::string_view text = self.text();
  if (affix.empty() || !(prefix ? text.starts_with(affix) : text.ends_with(affix))) return self;
  return prefix ? text.substr(affix.size()) : text.substr(0, text.size() - affix.size());
}

#define SWITCHYARD_METHOD \
  [](Interpreter & interpreter [[maybe_unused]], const Value& self, Arguments& a [[maybe_unused]]) -> Value

const Entry kTextMethods[] = {{"capitalize", SWITCHYARD_METHOD{return capitalize(self.text());
}  // namespace
}  // namespace switchyard::text::jinja
, {"casefold", SWITCHYARD_METHOD{return lower(self.text());
}
}
, {"center", SWITCHYARD_METHOD{return pad_method(interpreter, self, a, 'c');
}
}
, {"count", count_method}, {"endswith", SWITCHYARD_METHOD{return affix_method(self, a, false);
}
}
, {"find", SWITCHYARD_METHOD{return find_method(self, a, false, false);
}
}
, {"format", SWITCHYARD_METHOD{return format_braces(interpreter, self.text(), a);
}
}
, {"index", SWITCHYARD_METHOD{return find_method(self, a, false, true);
}
}
, {"isalnum",
   SWITCHYARD_METHOD{return all_characters(self.text(), [](char32_t c) { return is_letter(c) || is_decimal_digit(c); });
}
}
, {"isalpha", SWITCHYARD_METHOD{return all_characters(self.text(), is_letter);
}
}
, {"isascii",
   SWITCHYARD_METHOD{return self.text().empty() || all_characters(self.text(), [](char32_t c) { return c < 0x80; });
}
}
, {"isdecimal", SWITCHYARD_METHOD{return all_characters(self.text(), is_decimal_digit);
}
}
, {"isdigit", SWITCHYARD_METHOD{return all_characters(self.text(), is_decimal_digit);
}
}
, {"islower", SWITCHYARD_METHOD{return is_lower_text(self.text());
}
}
, {"isnumeric", SWITCHYARD_METHOD{return all_characters(self.text(), is_decimal_digit);
}
}
, {"isspace", SWITCHYARD_METHOD{return all_characters(self.text(), is_python_space);
}
}
, {"istitle", SWITCHYARD_METHOD{return is_title_text(self.text());
}
}
, {"isupper", SWITCHYARD_METHOD{return is_upper_text(self.text());
}
}
, {"join", join_method}, {"ljust", SWITCHYARD_METHOD{return pad_method(interpreter, self, a, 'l');
}
}
, {"lower", SWITCHYARD_METHOD{return lower(self.text());
}
}
, {"lstrip", SWITCHYARD_METHOD{return strip_method(self, a, Side::kLeft);
}
}
, {"partition", SWITCHYARD_METHOD{return partition_method(self, a, false);
}
}
, {"removeprefix", SWITCHYARD_METHOD{return remove_affix(self, a, true);
}
}
, {"removesuffix", SWITCHYARD_METHOD{return remove_affix(self, a, false);
}
}
, {"replace", replace_method}, {"rfind", SWITCHYARD_METHOD{return find_method(self, a, true, false);
}
}
, {"rindex", SWITCHYARD_METHOD{return find_method(self, a, true, true);
}
}
, {"rjust", SWITCHYARD_METHOD{return pad_method(interpreter, self, a, 'r');
}
}
, {"rpartition", SWITCHYARD_METHOD{return partition_method(self, a, true);
}
}
, {"rsplit", SWITCHYARD_METHOD{return split_method(interpreter, self, a, true);
}
}
, {"rstrip", SWITCHYARD_METHOD{return strip_method(self, a, Side::kRight);
}
}
, {"split", SWITCHYARD_METHOD{return split_method(interpreter, self, a, false);
}
}
, {"splitlines",
   SWITCHYARD_METHOD{return list_of(split_lines(self.text(), flag(bind("splitlines", a, {"keepends"})[0], false)));
}
}
, {"startswith", SWITCHYARD_METHOD{return affix_method(self, a, true);
}
}
, {"strip", SWITCHYARD_METHOD{return strip_method(self, a, Side::kBoth);
}
}
, {"swapcase", SWITCHYARD_METHOD{return swap_case(self.text());
}
}
, {"title", SWITCHYARD_METHOD{return title(self.text());
}
}
, {"upper", SWITCHYARD_METHOD{return upper(self.text());
}
}
, {"zfill", zero_fill},
}
;

// ---- mappings ----

Value view(const char* name, std::vector<Value> items) {
  return make_sequence(SequenceKind::kView, std::move(items), name);
}

const Entry kDictMethods[] = {{"copy", SWITCHYARD_METHOD{return make_dict(self.dict().entries);
}
}
, {"get", SWITCHYARD_METHOD{const auto p = bind("get", a, {"key", "default"}, 1);
if (p[0]->is_dict() || p[0]->is_kind(SequenceKind::kList)) fail(fmt::format("unhashable type: '{}'", type_name(*p[0])));
const Value* found = self.dict().find(*p[0]);
return found != nullptr ? *found : p[1] != nullptr ? *p[1] : Value();
}
}
, {"items", SWITCHYARD_METHOD{std::vector<Value> out;
for (const auto& [key, value] : self.dict().entries) out.push_back(make_tuple({key, value}));
interpreter.charge_steps(out.size());
return view("dict_items", std::move(out));
}
}
, {"keys", SWITCHYARD_METHOD{std::vector<Value> out;
for (const auto& [key, value] : self.dict().entries) out.push_back(key);
interpreter.charge_steps(out.size());
return view("dict_keys", std::move(out));
}
}
, {"values", SWITCHYARD_METHOD{std::vector<Value> out;
for (const auto& [key, value] : self.dict().entries) out.push_back(value);
interpreter.charge_steps(out.size());
return view("dict_values", std::move(out));
}
}
,
}
;

// ---- lists ----

const Entry kListMethods[] = {{"copy", SWITCHYARD_METHOD{return make_list(self.sequence().items);
}
}
, {"count", SWITCHYARD_METHOD{const Value& wanted = *bind("count", a, {"value"}, 1)[0];
const auto& items = self.sequence().items;
return static_cast<int64_t>(
    std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, wanted); }));
}
}
, {"index", SWITCHYARD_METHOD{const Value& wanted = *bind("index", a, {"value"}, 1)[0];
const auto& items = self.sequence().items;
const auto at = std::find_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, wanted); });
if (at == items.end()) fail("the value is not in the list");
return static_cast<int64_t>(at - items.begin());
}
}
,
}
;

// What would change a value that other holders share.
constexpr std::string_view kListChangers[] = {"append", "clear",  "extend",  "insert",
                                              "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kDictChangers[] = {"clear", "pop", "popitem", "setdefault", "update"};

const Entry kNumberMethods[] = {
    {"is_integer", SWITCHYARD_METHOD{return !self.is_float() || std::floor(self.real()) == self.real();
}
}
,
}
;

// A method with the value that it belongs to.
class BoundMethod : public Object {
 public:
  BoundMethod(Value self, Method method) : self_(std::move(self)), method_(method) {}
  const char* type_name() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override { return method_(interpreter, self_, arguments); }

 private:
  Value self_;
  Method method_;
};

std::string object_name(const Value& value) {
  if (value.is_none()) return "None";
  return type_name(value) + " object";
}

}  // namespace

std::string missing_message(const Value& object, const Value& key) {
  std::string shown;
  append_repr(shown, key);
  if (!key.is_text()) return fmt::format("{} has no element {}", object_name(object), shown);
  return fmt::format("'{}' has no attribute {}", object_name(object), shown);
}

std::unique_ptr<Value> builtin_attribute(const Value& object, std::string_view name) {
  const auto unsafe = [&] {
    return std::make_unique<Value>(
        Value::undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object))));
  };
  if (name.size() > 4 && name.starts_with("__") && name.ends_with("__")) return unsafe();
  const auto find = [&](const auto& table) -> std::unique_ptr<Value> {
    for (const auto& entry : table) {
      if (entry.name == name) {
        return std::make_unique<Value>(
            std::static_pointer_cast<Object>(std::make_shared<BoundMethod>(object, entry.method)));
      }
    }
    return nullptr;
  };
  if (object.is_text()) return find(kTextMethods);
  if (object.is_dict()) {
    if (std::find(std::begin(kDictChangers), std::end(kDictChangers), name) != std::end(kDictChangers)) return unsafe();
    return find(kDictMethods);
  }
  if (object.is_number()) return find(kNumberMethods);
  if (object.is_sequence()) {
    const auto& sequence = object.sequence();
    for (size_t i = 0; sequence.names != nullptr && sequence.names[i] != nullptr; ++i) {
      if (name == sequence.names[i]) return std::make_unique<Value>(sequence.items[i]);
    }
    if (sequence.kind == SequenceKind::kList) {
      if (std::find(std::begin(kListChangers), std::end(kListChangers), name) != std::end(kListChangers))
        return unsafe();
      return find(kListMethods);
    }
    if (sequence.kind == SequenceKind::kTuple && name != "copy") return find(kListMethods);
    return nullptr;
  }
  if (object.is_object()) {
    if (name.starts_with('_')) return unsafe();
    return object.object()->attribute(name);
  }
  return nullptr;
}

}  // namespace switchyard::text::jinja
