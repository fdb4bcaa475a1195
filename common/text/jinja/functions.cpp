// Functions that every template sees, and what builtins share.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/python_text.h"

namespace switchyard::text::jinja {

std::vector<const Value*> bind(const char* function, const Arguments& arguments,
                               std::initializer_list<const char*> names, size_t required) {
  if (arguments.positional.size() > names.size()) {
    fail(fmt::format("{}() takes at most {} argument(s)", function, names.size()));
  }
  std::vector<const Value*> out(names.size(), nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) out[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at =
        std::find_if(names.begin(), names.end(), [&name = name](const char* known) { return name == known; });
    if (at == names.end()) fail(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    auto& slot = out[static_cast<size_t>(at - names.begin())];
    if (slot != nullptr) fail(fmt::format("{}() got multiple values for argument '{}'", function, name));
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (out[i] == nullptr) fail(fmt::format("{}() missing required argument: '{}'", function, names.begin()[i]));
  }
  return out;
}

const std::string& text_argument(const char* function, const Value& value) {
  if (value.is_undefined()) fail(value.undefined_message());
  if (!value.is_text()) fail(fmt::format("{}: a str is expected, not '{}'", function, type_name(value)));
  return value.text();
}
bool flag(const Value* value, bool fallback) { return value == nullptr ? fallback : truth(*value); }
int64_t whole(const char* function, const Value* value, int64_t fallback) {
  return value == nullptr ? fallback : value->as_index(function);
}

Value attribute_path(Interpreter& interpreter, const Value& object, const Value& path, const Value* fallback) {
  Value out = object;
  if (!path.is_text()) return interpreter.item(out, path);
  for (const auto& part : split(path.text(), ".", -1, false)) {
    const bool index =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    out = interpreter.item(out, index ? Value(BigInt::parse(part, 10)) : Value(part));
    if (out.is_undefined() && fallback != nullptr) out = *fallback;
  }
  return out;
}

std::string charged_replace(Interpreter& interpreter, std::string_view text, std::string_view from, std::string_view to,
                            int64_t limit) {
  size_t count = 0;
  if (from.empty()) {
    count = text.size() + 1;
  } else {
    for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, at + from.size())) ++count;
  }
  if (limit >= 0) count = std::min(count, static_cast<size_t>(limit));
  interpreter.charge_bytes(text.size());
  if (!to.empty() && count > kMaxTextBytes / to.size()) fail("MemoryError: a text grows too long");
  interpreter.charge_bytes(count * to.size());
  require_memory(text.size() + count * to.size());
  return replace(text, from, to, limit);
}

Value fold_case(const Value& value, bool case_sensitive) {
  return !case_sensitive && value.is_text() ? Value(lower(value.text())) : value;
}

Value function_value(Value (*body)(Interpreter&, Arguments&)) {
  return Value(std::static_pointer_cast<Object>(std::make_shared<Function>(body)));
}

namespace {

// The sandbox's own limit.
constexpr int64_t kMaxRange = 100'000;

Value range(Interpreter& interpreter, Arguments& a) {
  const auto p = bind("range", a, {"start", "stop", "step"}, 1);
  const int64_t start = p[1] == nullptr ? 0 : p[0]->as_index("range");
  const int64_t stop = p[1] == nullptr ? p[0]->as_index("range") : p[1]->as_index("range");
  const int64_t step = whole("range", p[2], 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      fail(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  interpreter.charge_steps(items.size());
  std::string text =
      step == 1 ? fmt::format("range({}, {})", start, stop) : fmt::format("range({}, {}, {})", start, stop, step);
  return make_sequence(SequenceKind::kRange, std::move(items), std::move(text));
}

// dict(), dict(mapping), dict(pairs), with named values after.
std::vector<std::pair<Value, Value>> dict_entries(Interpreter& interpreter, const char* function, Arguments& a) {
  if (a.positional.size() > 1)
    fail(fmt::format("{} expected at most 1 argument, got {}", function, a.positional.size()));
  std::vector<std::pair<Value, Value>> entries;
  if (!a.positional.empty()) {
    const Value& from = a.positional[0];
    if (from.is_dict()) {
      entries = from.dict().entries;
    } else {
      for (const auto& pair : interpreter.items(from)) {
        const auto sides = interpreter.items(pair);
        if (sides.size() != 2) fail("dictionary update sequence element has not length 2");
        entries.emplace_back(sides[0], sides[1]);
      }
    }
  }
  for (auto& [name, value] : a.named) entries.emplace_back(Value(name), std::move(value));
  return entries;
}

Value make_namespace(Interpreter& interpreter, Arguments& a) {
  auto out = std::make_shared<Namespace>();
  for (const auto& [key, value] : dict_entries(interpreter, "namespace", a)) out->set(to_text(key), value);
  interpreter.keep(out);
  return Value(std::static_pointer_cast<Object>(out));
}

class Cycler : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  const char* type_name() const override { return "Cycler"; }
  std::unique_ptr<Value> attribute(std::string_view name) override {
    if (name == "current") return std::make_unique<Value>(items_[at_]);
    if (name != "next" && name != "reset") return nullptr;
    const bool next = name == "next";
    auto self = std::static_pointer_cast<Cycler>(shared_from_this());
    return std::make_unique<Value>(
        std::static_pointer_cast<Object>(std::make_shared<Function>([self, next](Interpreter&, Arguments&) {
          Value now = next ? self->items_[self->at_] : Value();
          self->at_ = next ? (self->at_ + 1) % self->items_.size() : 0;
          return now;
        })));
  }

 private:
  std::vector<Value> items_;
  size_t at_ = 0;
};

class Joiner : public Object {
 public:
  explicit Joiner(std::string separator) : separator_(std::move(separator)) {}
  const char* type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Interpreter&, Arguments&) override { return std::exchange(used_, true) ? Value(separator_) : Value(""); }

 private:
  std::string separator_;
  bool used_ = false;
};

}  // namespace

std::unique_ptr<Value> find_global(std::string_view name) {
  const auto give = [](Value (*body)(Interpreter&, Arguments&)) {
    return std::make_unique<Value>(function_value(body));
  };
  if (name == "range") return give(range);
  if (name == "namespace") return give(make_namespace);
  if (name == "dict")
    return give([](Interpreter& interpreter, Arguments& a) { return make_dict(dict_entries(interpreter, "dict", a)); });
  if (name == "raise_exception") {
    return give([](Interpreter&, Arguments& a) -> Value {
      throw TemplateError{to_text(*bind("raise_exception", a, {"message"}, 1)[0]), true};
    });
  }
  if (name == "strftime_now") {
    return give([](Interpreter& interpreter, Arguments& a) {
      return Value(format_time(interpreter, text_argument("strftime_now", *bind("strftime_now", a, {"format"}, 1)[0])));
    });
  }
  if (name == "cycler") {
    return give([](Interpreter&, Arguments& a) {
      if (a.positional.empty()) fail("at least one item has to be provided");
      return Value(std::static_pointer_cast<Object>(std::make_shared<Cycler>(a.positional)));
    });
  }
  if (name == "joiner") {
    return give([](Interpreter&, Arguments& a) {
      const auto p = bind("joiner", a, {"sep"});
      return Value(std::static_pointer_cast<Object>(std::make_shared<Joiner>(p[0] == nullptr ? ", " : to_text(*p[0]))));
    });
  }
  return nullptr;
}

}  // namespace switchyard::text::jinja
