#include "common/text/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/text/jinja/python_text.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {

void fail(std::string message) { throw TemplateError{std::move(message)}; }

namespace {

// From so many entries on a mapping keeps an index of its text keys.
constexpr size_t kIndexFrom = 12;

void check_depth(int depth) {
  if (depth > kMaxValueDepth) fail(fmt::format("a value is nested deeper than {}", kMaxValueDepth));
}

// Three-way comparison of two numbers; NaN is handled by the callers.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_float() && b.is_float()) return a.real() < b.real() ? -1 : a.real() > b.real() ? 1 : 0;
  if (a.is_float()) return -b.big().compare(a.real());
  if (b.is_float()) return a.big().compare(b.real());
  return a.big().compare(b.big());
}

bool is_nan(const Value& v) { return v.is_float() && std::isnan(v.real()); }

bool plain_list(const Value& v) { return v.is_kind(SequenceKind::kList); }
bool plain_tuple(const Value& v) { return v.is_kind(SequenceKind::kTuple); }

}  // namespace

// ---- mappings ----

void Dict::build_index() {
  index_.clear();
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].first.is_text()) index_.emplace(entries[i].first.text(), i);
  }
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto at = index_.find(key);
    return at == index_.end() ? nullptr : &entries[at->second].second;
  }
  for (const auto& [k, v] : entries) {
    if (k.is_text() && k.text() == key) return &v;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_text()) return find(key.text());
  for (const auto& [k, v] : entries) {
    if (equal(k, key)) return &v;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  if (key.is_dict() || plain_list(key)) fail(fmt::format("unhashable type: '{}'", type_name(key)));
  depth = std::max(depth, 1 + std::max(key.depth(), value.depth()));
  check_depth(depth);
  if (const Value* old = find(key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  share.grow(2 * sizeof(Value) + kValueOverheadBytes);
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() == kIndexFrom) {
    build_index();
  } else if (entries.size() > kIndexFrom && entries.back().first.is_text()) {
    index_.emplace(entries.back().first.text(), entries.size() - 1);
  }
}

// ---- objects ----

std::string Object::text() const { return fmt::format("<{}>", type_name()); }
Value Object::call(Interpreter&, Arguments&) { fail(fmt::format("'{}' object is not callable", type_name())); }
std::unique_ptr<Value> Object::attribute(std::string_view) { return nullptr; }

// ---- values ----

Value::Value(BigInt big) {
  if (const auto small = big.small()) {
    data_ = *small;
  } else {
    data_ = std::make_shared<const BigInt>(std::move(big));
  }
}

Value Value::undefined(std::string message) {
  Value out;
  out.data_ = std::make_shared<const Undefined>(std::move(message));
  return out;
}

BigInt Value::big() const {
  if (is_bool()) return BigInt(boolean() ? 1 : 0);
  if (is_big()) return *std::get<std::shared_ptr<const BigInt>>(data_);
  return BigInt(std::get<int64_t>(data_));
}

double Value::as_double() const {
  if (is_float()) return real();
  if (is_bool()) return boolean() ? 1.0 : 0.0;
  if (const auto* small = std::get_if<int64_t>(&data_)) return static_cast<double>(*small);
  const double out = big().to_double();
  if (std::isinf(out)) fail("OverflowError: int too large to convert to float");
  return out;
}

int64_t Value::as_index(const char* what) const {
  if (is_bool()) return boolean() ? 1 : 0;
  if (const auto* small = std::get_if<int64_t>(&data_)) return *small;
  if (is_big()) return big().negative() ? INT64_MIN / 2 : INT64_MAX / 2;
  fail(fmt::format("{}: '{}' object cannot be interpreted as an integer", what, type_name(*this)));
}

int Value::depth() const {
  if (is_sequence()) return sequence().depth;
  if (is_dict()) return dict().depth;
  return 0;
}

bool Value::same_as(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_sequence()) return &sequence() == &other.sequence();
  if (is_dict()) return &dict() == &other.dict();
  if (is_object()) return object() == other.object();
  if (is_undefined()) return data_ == other.data_;
  return equal(*this, other);
}

Value make_sequence(SequenceKind kind, std::vector<Value> items, std::string text) {
  auto out = std::make_shared<Sequence>();
  out->share.grow(items.size() * sizeof(Value) + 2 * kValueOverheadBytes);
  for (const auto& item : items) out->depth = std::max(out->depth, 1 + item.depth());
  check_depth(out->depth);
  out->kind = kind;
  out->items = std::move(items);
  out->text = std::move(text);
  return Value(std::move(out));
}
Value make_list(std::vector<Value> items) { return make_sequence(SequenceKind::kList, std::move(items)); }
Value make_tuple(std::vector<Value> items) { return make_sequence(SequenceKind::kTuple, std::move(items)); }
Value make_generator(std::vector<Value> items) {
  return make_sequence(SequenceKind::kGenerator, std::move(items), "<generator object>");
}
Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  auto out = std::make_shared<Dict>();
  out->entries.reserve(entries.size());
  for (auto& entry : entries) out->set(std::move(entry.first), std::move(entry.second));
  return Value(std::move(out));
}

std::string type_name(const Value& value) {
  if (value.is_none()) return "NoneType";
  if (value.is_undefined()) return "Undefined";
  if (value.is_bool()) return "bool";
  if (value.is_integer()) return "int";
  if (value.is_float()) return "float";
  if (value.is_text()) return "str";
  if (value.is_dict()) return "dict";
  if (value.is_object()) return value.object()->type_name();
  switch (value.sequence().kind) {
    case SequenceKind::kList: return "list";
    case SequenceKind::kTuple: return "tuple";
    case SequenceKind::kRange: return "range";
    case SequenceKind::kGenerator: return "generator";
    case SequenceKind::kView: return "dict view";
  }
  return "object";
}

bool truth(const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_bool()) return value.boolean();
  if (value.is_float()) return value.real() != 0.0;
  if (value.is_big()) return true;
  if (value.is_integer()) return value.as_index("") != 0;
  if (value.is_text()) return !value.text().empty();
  if (value.is_dict()) return !value.dict().entries.empty();
  if (value.is_sequence()) return value.sequence().kind == SequenceKind::kGenerator || !value.sequence().items.empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return !is_nan(a) && !is_nan(b) && compare_numbers(a, b) == 0;
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_sequence() && b.is_sequence()) {
    const auto& x = a.sequence();
    const auto& y = b.sequence();
    if (&x == &y) return true;
    if (x.kind != y.kind || x.kind == SequenceKind::kGenerator || x.items.size() != y.items.size()) return false;
    return std::equal(x.items.begin(), x.items.end(), y.items.begin(), equal);
  }
  if (a.is_dict() && b.is_dict()) {
    if (a.dict().entries.size() != b.dict().entries.size()) return false;
    for (const auto& [key, value] : a.dict().entries) {
      const Value* other = b.dict().find(key);
      if (other == nullptr || !equal(value, *other)) return false;
    }
    return true;
  }
  return a.is_object() && b.is_object() && a.object() == b.object();
}

int compare(const Value& a, const Value& b, const char* op) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  // UTF-8 orders as code points do.
  if (a.is_text() && b.is_text()) return a.text() < b.text() ? -1 : a.text() == b.text() ? 0 : 1;
  if ((plain_list(a) && plain_list(b)) || (plain_tuple(a) && plain_tuple(b))) {
    const auto& x = a.sequence().items;
    const auto& y = b.sequence().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(x[i], y[i])) return compare(x[i], y[i], op);
    }
    return x.size() < y.size() ? -1 : x.size() == y.size() ? 0 : 1;
  }
  if (a.is_undefined()) fail(a.undefined_message());
  if (b.is_undefined()) fail(b.undefined_message());
  fail(fmt::format("'{}' not supported between instances of '{}' and '{}'", op, type_name(a), type_name(b)));
}

// ---- text ----

void append_text(std::string& out, const Value& value) {
  if (value.is_text()) {
    out += value.text();
  } else if (!value.is_undefined()) {
    append_repr(out, value);
  }
}

std::string to_text(const Value& value) {
  std::string out;
  append_text(out, value);
  return out;
}

void append_repr(std::string& out, const Value& value) {
  if (out.size() > kMaxTextBytes) fail("MemoryError: a text grows too long");
  if (value.is_none()) {
    out += "None";
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_bool()) {
    out += value.boolean() ? "True" : "False";
  } else if (value.is_big()) {
    out += value.big().text();
  } else if (value.is_integer()) {
    out += std::to_string(value.as_index(""));
  } else if (value.is_float()) {
    out += float_text(value.real());
  } else if (value.is_text()) {
    append_string_repr(out, value.text());
  } else if (value.is_dict()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.dict().entries) {
      if (!first) out += ", ";
      first = false;
      append_repr(out, key);
      out += ": ";
      append_repr(out, item);
    }
    out += '}';
  } else if (value.is_object()) {
    out += value.object()->text();
  } else {
    const auto& sequence = value.sequence();
    const bool tuple = sequence.kind == SequenceKind::kTuple;
    if (sequence.kind == SequenceKind::kRange || sequence.kind == SequenceKind::kGenerator) {
      out += sequence.text;
      return;
    }
    if (sequence.kind == SequenceKind::kView) out += sequence.text + "(";
    out += tuple ? '(' : '[';
    for (size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) out += ", ";
      append_repr(out, sequence.items[i]);
    }
    if (tuple && sequence.items.size() == 1) out += ',';
    out += tuple ? ')' : ']';
    if (sequence.kind == SequenceKind::kView) out += ')';
  }
}

// ---- containers ----

std::vector<Value> iterate(const Value& value) {
  std::vector<Value> out;
  if (value.is_undefined()) return out;
  if (value.is_sequence()) {
    auto& sequence = value.sequence();
    if (sequence.kind != SequenceKind::kGenerator) return sequence.items;
    out.assign(sequence.items.begin() + static_cast<std::ptrdiff_t>(sequence.consumed), sequence.items.end());
    sequence.consumed = sequence.items.size();
    return out;
  }
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().entries) out.push_back(key);
    return out;
  }
  if (value.is_text()) {
    const std::string_view text = value.text();
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      next_code_point(text, at);
      out.emplace_back(text.substr(begin, at - begin));
    }
    return out;
  }
  fail(fmt::format("'{}' object is not iterable", type_name(value)));
}

int64_t length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<int64_t>(code_point_count(value.text()));
  if (value.is_dict()) return static_cast<int64_t>(value.dict().entries.size());
  if (value.is_sequence() && value.sequence().kind != SequenceKind::kGenerator) {
    return static_cast<int64_t>(value.sequence().items.size());
  }
  fail(fmt::format("object of type '{}' has no len()", type_name(value)));
}

bool contains(const Value& container, const Value& item) {
  if (container.is_undefined()) return false;
  if (container.is_text()) {
    if (!item.is_text()) fail(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is_dict()) {
    if (item.is_dict() || plain_list(item)) fail(fmt::format("unhashable type: '{}'", type_name(item)));
    return container.dict().find(item) != nullptr;
  }
  if (container.is_sequence()) {
    auto& sequence = container.sequence();
    const auto from = sequence.items.begin() + static_cast<std::ptrdiff_t>(sequence.consumed);
    const auto at = std::find_if(from, sequence.items.end(), [&](const Value& v) { return equal(v, item); });
    // A generator is used up to the item that was looked for.
    if (sequence.kind == SequenceKind::kGenerator) {
      sequence.consumed = static_cast<size_t>(at - sequence.items.begin()) + (at == sequence.items.end() ? 0 : 1);
    }
    return at != sequence.items.end();
  }
  fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
}

// ---- arithmetic ----

namespace {

[[noreturn]] void unsupported(const char* op, const Value& a, const Value& b) {
  if (a.is_undefined()) fail(a.undefined_message());
  if (b.is_undefined()) fail(b.undefined_message());
  fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a), type_name(b)));
}

bool small_pair(const Value& a, const Value& b) { return !a.is_big() && !b.is_big() && !a.is_float() && !b.is_float(); }

bool is_zero(const Value& v) { return v.is_float() ? v.real() == 0.0 : v.big().is_zero(); }

Value repeat(const Value& value, int64_t count) {
  constexpr int64_t kMaxBytes = kMaxTextBytes;
  count = std::max<int64_t>(count, 0);
  if (value.is_text()) {
    if (!value.text().empty() && count > kMaxBytes / static_cast<int64_t>(value.text().size())) {
      fail("MemoryError: a text grows too long");
    }
    require_memory(value.text().size() * static_cast<size_t>(count));
    std::string out;
    out.reserve(value.text().size() * static_cast<size_t>(count));
    for (int64_t i = 0; i < count && !value.text().empty(); ++i) out += value.text();
    return Value(std::move(out));
  }
  const auto& sequence = value.sequence();
  if (!sequence.items.empty() && count > kMaxBytes / static_cast<int64_t>(sequence.items.size())) {
    fail("MemoryError: a list grows too long");
  }
  const size_t wanted = sequence.items.size() * static_cast<size_t>(count);
  require_memory(wanted * sizeof(Value));
  std::vector<Value> items;
  items.reserve(wanted);
  for (int64_t i = 0; i < count && !sequence.items.empty(); ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return make_sequence(sequence.kind, std::move(items));
}

bool repeatable(const Value& v) { return v.is_text() || plain_list(v) || plain_tuple(v); }

}  // namespace

Value add(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.as_double() + b.as_double();
    int64_t out = 0;
    if (small_pair(a, b) && !__builtin_add_overflow(a.as_index(""), b.as_index(""), &out)) return out;
    return a.big() + b.big();
  }
  if (a.is_text()) {
    if (b.is_text()) return a.text() + b.text();
    if (b.is_undefined()) fail(b.undefined_message());
    fail(fmt::format("can only concatenate str (not \"{}\") to str", type_name(b)));
  }
  if ((plain_list(a) && plain_list(b)) || (plain_tuple(a) && plain_tuple(b))) {
    const size_t wanted = a.sequence().items.size() + b.sequence().items.size();
    require_memory(wanted * sizeof(Value));
    std::vector<Value> items;
    items.reserve(wanted);
    items = a.sequence().items;
    items.insert(items.end(), b.sequence().items.begin(), b.sequence().items.end());
    return make_sequence(a.sequence().kind, std::move(items));
  }
  unsupported("+", a, b);
}

Value subtract(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) unsupported("-", a, b);
  if (a.is_float() || b.is_float()) return a.as_double() - b.as_double();
  int64_t out = 0;
  if (small_pair(a, b) && !__builtin_sub_overflow(a.as_index(""), b.as_index(""), &out)) return out;
  return a.big() - b.big();
}

Value multiply(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return a.as_double() * b.as_double();
    int64_t out = 0;
    if (small_pair(a, b) && !__builtin_mul_overflow(a.as_index(""), b.as_index(""), &out)) return out;
    return a.big() * b.big();
  }
  if (repeatable(a) && (b.is_integer() || b.is_bool())) return repeat(a, b.as_index(""));
  if (repeatable(b) && (a.is_integer() || a.is_bool())) return repeat(b, a.as_index(""));
  unsupported("*", a, b);
}

Value divide(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) unsupported("/", a, b);
  if (is_zero(b)) fail(a.is_float() || b.is_float() ? "float division by zero" : "division by zero");
  return a.as_double() / b.as_double();
}

Value floor_divide(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) unsupported("//", a, b);
  if (is_zero(b)) fail("integer division or modulo by zero");
  if (a.is_float() || b.is_float()) {
    // CPython's float_floor_div: from the remainder, so that it agrees with %.
    const double x = a.as_double(), y = b.as_double();
    double remainder = std::fmod(x, y);
    double quotient = (x - remainder) / y;
    if (remainder != 0.0 && (y < 0) != (remainder < 0)) quotient -= 1.0;
    if (quotient == 0.0) return std::copysign(0.0, x / y);
    const double floored = std::floor(quotient);
    return quotient - floored > 0.5 ? floored + 1.0 : floored;
  }
  return a.big().floor_divide(b.big());
}

Value modulo(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) unsupported("%", a, b);
  if (is_zero(b)) fail("integer division or modulo by zero");
  if (a.is_float() || b.is_float()) {
    const double x = a.as_double(), y = b.as_double();
    double remainder = std::fmod(x, y);
    if (remainder == 0.0) return std::copysign(0.0, y);
    if ((y < 0) != (remainder < 0)) remainder += y;
    return remainder;
  }
  return a.big().modulo(b.big());
}

Value power(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) unsupported("** or pow()", a, b);
  if (a.is_float() || b.is_float() || b.big().negative()) {
    const double x = a.as_double(), y = b.as_double();
    if (x == 0.0 && y < 0) fail("0.0 cannot be raised to a negative power");
    if (x < 0 && y != std::floor(y)) fail("complex numbers are not supported");
    const double out = std::pow(x, y);
    if (std::isinf(out) && !std::isinf(x) && !std::isinf(y)) fail("OverflowError: Numerical result out of range");
    return out;
  }
  return a.big().power(b.big());
}

Value negate(const Value& a) {
  if (!a.is_number()) {
    if (a.is_undefined()) fail(a.undefined_message());
    fail(fmt::format("bad operand type for unary -: '{}'", type_name(a)));
  }
  if (a.is_float()) return -a.real();
  return -a.big();
}

}  // namespace switchyard::text::jinja
