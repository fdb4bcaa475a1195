#include "common/text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/python_text.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {

// Defined by {% macro %}, or the body of {% call %}.
class Macro : public Object {
 public:
  Macro(const MacroDefinition& definition, std::shared_ptr<Scope> scope)
      : definition_(definition), scope_(std::move(scope)) {}
  const char* type_name() const override { return "Macro"; }
  bool callable() const override { return true; }

  std::unique_ptr<Value> attribute(std::string_view name) override {
    if (name == "name") return std::make_unique<Value>(definition_.name);
    return nullptr;
  }

  Value call(Interpreter& interpreter, Arguments& arguments) override {
    auto scope = std::make_shared<Scope>(scope_);
    const auto& parameters = definition_.parameters;
    std::unordered_set<std::string_view> taken;
    std::vector<std::pair<Value, Value>> extra_named;
    Value caller = Value::undefined("No caller defined");
    for (size_t i = 0; i < parameters.size() && i < arguments.positional.size(); ++i) {
      scope->set(parameters[i].name, arguments.positional[i]);
      taken.insert(parameters[i].text);
    }
    for (auto& [name, value] : arguments.named) {
      const auto at = std::find_if(parameters.begin(), parameters.end(),
                                   [&name = name](const Parameter& p) { return p.text == name; });
      if (at != parameters.end()) {
        if (!taken.insert(at->text).second) {
          fail(fmt::format("macro '{}' got multiple values for argument '{}'", definition_.name, name));
        }
        scope->set(at->name, value);
      } else if (name == "caller" && definition_.uses_caller) {
        caller = value;
      } else if (definition_.uses_kwargs) {
        extra_named.emplace_back(name, value);
      } else if (name == "caller") {
        fail(fmt::format(
            "macro '{}' was invoked with two values for the special caller argument. This is most likely a bug.",
            definition_.name));
      } else {
        fail(fmt::format("macro '{}' takes no keyword argument '{}'", definition_.name, name));
      }
    }
    for (const auto& parameter : parameters) {
      if (taken.contains(parameter.text)) continue;
      scope->set(parameter.name,
                 parameter.fallback ? interpreter.evaluate(*parameter.fallback, scope)
                                    : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.text)));
    }
    const auto set_special = [&](const char* name, Value value) {
      const auto id = interpreter.program_.name_ids.find(name);
      if (id != interpreter.program_.name_ids.end()) scope->set(id->second, std::move(value));
    };
    if (definition_.uses_caller) set_special("caller", caller);
    if (definition_.uses_kwargs) set_special("kwargs", make_dict(std::move(extra_named)));
    if (definition_.uses_varargs) {
      const size_t used = std::min(parameters.size(), arguments.positional.size());
      set_special("varargs", make_tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                                         arguments.positional.end()}));
    } else if (arguments.positional.size() > parameters.size()) {
      fail(fmt::format("macro '{}' takes not more than {} argument(s)", definition_.name, parameters.size()));
    }
    return interpreter.capture(definition_.body, scope);
  }

 private:
  const MacroDefinition& definition_;
  std::shared_ptr<Scope> scope_;
};

// The variable `loop`.
class Loop : public Object {
 public:
  Loop(std::vector<Value> items, int depth)
      : share_(items.size() * sizeof(Value)), items_(std::move(items)), depth_(depth) {}
  const char* type_name() const override { return "LoopContext"; }
  std::string text() const override { return fmt::format("<LoopContext {}/{}>", index_ + 1, items_.size()); }
  bool callable() const override { return recurse_ != nullptr; }

  // What loop(items) of a recursive loop runs; scope is that around the loop.
  void set_recursive(const Statement* statement, std::shared_ptr<Scope> scope) {
    recurse_ = statement;
    scope_ = std::move(scope);
  }
  void move_to(size_t index) { index_ = index; }
  const std::vector<Value>& items() const { return items_; }

  Value call(Interpreter& interpreter, Arguments& arguments) override {
    if (recurse_ == nullptr) fail("The loop must have the 'recursive' marker to be called recursively.");
    if (arguments.positional.size() != 1 || !arguments.named.empty()) fail("loop() takes one argument");
    std::string outer = std::exchange(interpreter.out_, {});
    interpreter.loop_over(*recurse_, arguments.positional[0], scope_, depth_ + 1);
    return interpreter.take_output(std::move(outer));
  }

  std::unique_ptr<Value> attribute(std::string_view name) override {
    const auto give = [](Value value) { return std::make_unique<Value>(std::move(value)); };
    const size_t count = items_.size();
    if (name == "index") return give(index_ + 1);
    if (name == "index0") return give(index_);
    if (name == "revindex") return give(count - index_);
    if (name == "revindex0") return give(count - index_ - 1);
    if (name == "first") return give(index_ == 0);
    if (name == "last") return give(index_ + 1 == count);
    if (name == "length") return give(count);
    if (name == "depth") return give(depth_);
    if (name == "depth0") return give(depth_ - 1);
    if (name == "previtem")
      return give(index_ == 0 ? Value::undefined("there is no previous item") : items_[index_ - 1]);
    if (name == "nextitem")
      return give(index_ + 1 == count ? Value::undefined("there is no next item") : items_[index_ + 1]);
    if (name == "cycle")
      return give(method([](Loop& self, Arguments& arguments) {
        if (arguments.positional.empty()) fail("no items for cycling given");
        return arguments.positional[self.index_ % arguments.positional.size()];
      }));
    if (name == "changed")
      return give(method([](Loop& self, Arguments& arguments) {
        Value now = make_tuple(arguments.positional);
        const bool changed = !self.changed_set_ || !equal(self.changed_, now);
        self.changed_ = std::move(now);
        self.changed_set_ = true;
        return Value(changed);
      }));
    return nullptr;
  }

 private:
  Value method(Value (*body)(Loop&, Arguments&)) {
    auto self = std::static_pointer_cast<Loop>(shared_from_this());
    return Value(std::static_pointer_cast<Object>(std::make_shared<Function>(
        [self, body](Interpreter&, Arguments& arguments) { return body(*self, arguments); })));
  }

  MemoryShare share_;
  std::vector<Value> items_;
  size_t index_ = 0;
  int depth_;
  Value changed_;
  bool changed_set_ = false;
  const Statement* recurse_ = nullptr;
  std::shared_ptr<Scope> scope_;
};

std::string Namespace::text() const {
  // Not its values: it may hold itself.
  return "<Namespace>";
}
std::unique_ptr<Value> Namespace::attribute(std::string_view name) {
  const Value* value = values_->find(name);
  return value == nullptr ? nullptr : std::make_unique<Value>(*value);
}
void Namespace::set(const std::string& name, Value value) {
  if (name.starts_with('_')) {
    fail(fmt::format(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'. Please rename "
        "the attribute.",
        name));
  }
  values_->set(Value(name), std::move(value));
}

// ---- frame ----

Interpreter::Interpreter(const Template& program, std::chrono::sys_seconds now, Limits limits)
    : memory_(limits.held_bytes),
      program_(program),
      now_(now),
      limits_(limits),
      globals_(std::make_shared<Scope>(nullptr)) {}

Interpreter::~Interpreter() {
  // Macros hold scopes that hold macros, and a namespace can hold itself.
  for (const auto& scope : pinned_) scope->clear();
  globals_->clear();
  for (const auto& object : kept_) {
    if (auto* space = dynamic_cast<Namespace*>(object.get())) space->clear();
  }
}

void Interpreter::define(std::string_view name, Value value) {
  const auto id = program_.name_ids.find(std::string(name));
  if (id != program_.name_ids.end()) globals_->set(id->second, std::move(value));
}

std::string Interpreter::run() {
  const MemoryBudget::Use use(memory_);
  const auto top = std::make_shared<Scope>(globals_);
  execute(program_.body, top);
  return std::move(out_);
}

void Interpreter::charge_steps(size_t count) {
  steps_ += count;
  if (steps_ > limits_.steps) fail(fmt::format("the template takes more than {} steps", limits_.steps));
}

void Interpreter::charge_bytes(size_t count) {
  bytes_ += count;
  if (bytes_ > limits_.work_bytes) fail("the template makes too much text on the way");
  memory_.require(count);
}

std::vector<Value> Interpreter::items(const Value& value) {
  // A character of a text becomes a text of its own, of about 100 bytes.
  if (value.is_text()) charge_bytes(value.text().size() * 100);
  if (value.is_sequence()) charge_bytes(value.sequence().items.size() * sizeof(Value));
  auto out = iterate(value);
  charge_steps(out.size());
  return out;
}

void Interpreter::write(std::string_view text) {
  if (out_.size() + text.size() > limits_.output_bytes) fail("the template's output is too long");
  memory_.take(text.size());
  out_ += text;
}

std::string Interpreter::take_output(std::string outer) {
  memory_.give(out_.size());
  charge_bytes(out_.size());
  return std::exchange(out_, std::move(outer));
}

namespace {

// Counts the depth of nested evaluation.
class Depth {
 public:
  Depth(int& depth, int limit) : depth_(depth) {
    if (++depth_ > limit) {
      --depth_;
      fail("maximum recursion depth exceeded");
    }
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

}  // namespace

// ---- access ----

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) fail(object.undefined_message());
  if (auto value = builtin_attribute(object, name)) return std::move(*value);
  if (object.is_dict()) {
    if (const Value* value = object.dict().find(name)) return *value;
  }
  return Value::undefined(missing_message(object, Value(name)));
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is_undefined()) fail(object.undefined_message());
  if (object.is_dict()) {
    if (key.is_dict() || key.is_kind(SequenceKind::kList)) return Value::undefined(missing_message(object, key));
    if (const Value* value = object.dict().find(key)) return *value;
  } else if (key.is_integer() || key.is_bool()) {
    if (object.is_sequence() && object.sequence().kind != SequenceKind::kGenerator &&
        object.sequence().kind != SequenceKind::kView) {
      const auto& items = object.sequence().items;
      const auto count = static_cast<int64_t>(items.size());
      int64_t index = key.as_index("index");
      if (index < 0) index += count;
      if (index >= 0 && index < count) return items[static_cast<size_t>(index)];
    } else if (object.is_text()) {
      const auto count = length(object);
      int64_t index = key.as_index("index");
      if (index < 0) index += count;
      if (index >= 0 && index < count) return slice(object.text(), index, index + 1);
    }
  }
  if (key.is_text()) {
    if (auto value = builtin_attribute(object, key.text())) return std::move(*value);
  }
  return Value::undefined(missing_message(object, key));
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) fail(callee.undefined_message());
  if (!callee.is_object() || !callee.object()->callable())
    fail(fmt::format("'{}' object is not callable", type_name(callee)));
  Depth depth(depth_, limits_.depth);
  charge_steps(1);
  // The call may assign to the variable that holds the callee.
  const auto held = callee.object();  // NOLINT(performance-unnecessary-copy-initialization)
  return held->call(*this, arguments);
}

Value Interpreter::filter(const std::string& name, const Value& value, Arguments& arguments) {
  const FilterFunction function = find_filter(name);
  if (function == nullptr) fail(fmt::format("No filter named '{}'.", name));
  charge_steps(1);
  return function(*this, value, arguments);
}

bool Interpreter::test(const std::string& name, const Value& value, Arguments& arguments) {
  const TestFunction function = find_test(name);
  if (function == nullptr) fail(fmt::format("No test named '{}'.", name));
  return function(*this, value, arguments);
}

// ---- expressions ----

void Interpreter::arguments_of(const CallArguments& from, const ScopePtr& scope, Arguments& out) {
  for (const auto& e : from.positional) out.positional.push_back(evaluate(*e, scope));
  for (const auto& [name, e] : from.named) out.named.emplace_back(name, evaluate(*e, scope));
  if (from.star) {
    for (auto& value : items(evaluate(*from.star, scope))) out.positional.push_back(std::move(value));
  }
  if (from.star_star) {
    const Value named = evaluate(*from.star_star, scope);
    if (!named.is_dict()) fail("argument after ** must be a mapping");
    for (const auto& [key, value] : named.dict().entries) out.named.emplace_back(to_text(key), value);
  }
}

Value Interpreter::evaluate_call(const Expression& e, const ScopePtr& scope, const Value* caller) {
  const Value callee = evaluate(*e.children[0], scope);
  Arguments arguments;
  arguments_of(e.arguments, scope, arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, arguments);
}

Value Interpreter::apply_filters(const Expression& e, const Value& value, const ScopePtr& scope) {
  const Value inner = e.children[0] ? apply_filters(*e.children[0], value, scope) : value;
  Arguments arguments;
  arguments_of(e.arguments, scope, arguments);
  return filter(e.text, inner, arguments);
}

bool Interpreter::evaluate_comparison(const Expression& e, const ScopePtr& scope) {
  Value left = evaluate(*e.children[0], scope);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.children[i + 1], scope);
    const std::string& op = e.operators[i];
    bool holds = false;
    const bool nan =
        (left.is_float() && left.real() != left.real()) || (right.is_float() && right.real() != right.real());
    if (op == "==") {
      holds = equal(left, right);
    } else if (op == "!=") {
      holds = !equal(left, right);
    } else if (op == "in" || op == "not in") {
      if (right.is_sequence()) charge_steps(right.sequence().items.size() / 8);
      holds = contains(right, left) == (op == "in");
    } else {
      const int order = compare(left, right, op.c_str());
      holds = !nan && (op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0);
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_slice(const Expression& e, const ScopePtr& scope) {
  const Value object = evaluate(*e.children[0], scope);
  if (object.is_undefined()) fail(object.undefined_message());
  const auto bound = [&](size_t i) -> std::optional<int64_t> {
    if (!e.children[i]) return std::nullopt;
    const Value value = evaluate(*e.children[i], scope);
    if (value.is_none()) return std::nullopt;
    if (!value.is_integer() && !value.is_bool())
      fail("slice indices must be integers or None or have an __index__ method");
    return value.as_index("slice");
  };
  const auto from = bound(1), to = bound(2), by = bound(3);
  const int64_t step = by.value_or(1);
  if (step == 0) fail("slice step cannot be zero");
  const bool text = object.is_text();
  const bool items = object.is_sequence() && object.sequence().kind != SequenceKind::kGenerator &&
                     object.sequence().kind != SequenceKind::kView;
  if (!text && !items) return Value::undefined(fmt::format("'{} object' has no such slice", type_name(object)));
  const int64_t count = length(object);
  const auto clip = [&](std::optional<int64_t> i, int64_t fallback) {
    if (!i) return fallback;
    const int64_t at = *i < 0 ? *i + count : *i;
    return step > 0 ? std::clamp<int64_t>(at, 0, count) : std::clamp<int64_t>(at, -1, count - 1);
  };
  const int64_t begin = clip(from, step > 0 ? 0 : count - 1);
  const int64_t end = clip(to, step > 0 ? count : -1);
  if (text && step == 1) {
    charge_bytes(object.text().size());
    return begin < end ? Value(slice(object.text(), begin, end)) : Value("");
  }
  const std::vector<Value> all = this->items(object);
  std::vector<Value> picked;
  std::string joined;
  // Not past the ends: step may be huge.
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (text) {
      joined += all[static_cast<size_t>(i)].text();
    } else {
      picked.push_back(all[static_cast<size_t>(i)]);
    }
    if (step > 0 ? step >= end - i : step <= end - i) break;
    i += step;
  }
  if (text) return joined;
  return make_sequence(object.is_kind(SequenceKind::kTuple) ? SequenceKind::kTuple : SequenceKind::kList,
                       std::move(picked));
}

Value Interpreter::evaluate_operator(const Expression& e, const ScopePtr& scope) {
  const Value a = evaluate(*e.children[0], scope);
  const Value b = evaluate(*e.children[1], scope);
  if (a.is_text() && b.is_text()) charge_bytes(a.text().size() + b.text().size());
  if (e.text == "+") {
    if (a.is_sequence() && b.is_sequence()) {
      charge_bytes((a.sequence().items.size() + b.sequence().items.size()) * sizeof(Value));
    }
    return add(a, b);
  }
  if (e.text == "-") return subtract(a, b);
  if (e.text == "*") {
    Value out = multiply(a, b);
    if (out.is_text()) charge_bytes(out.text().size());
    if (out.is_sequence()) charge_steps(out.sequence().items.size());
    return out;
  }
  if (e.text == "/") return divide(a, b);
  if (e.text == "//") return floor_divide(a, b);
  if (e.text == "%") return a.is_text() ? format_percent(*this, a.text(), b) : modulo(a, b);
  return power(a, b);
}

Value Interpreter::evaluate(const Expression& e, const ScopePtr& scope) {
  Depth depth(depth_, limits_.depth);
  charge_steps(1);
  try {
    switch (e.kind) {
      case ExpressionKind::kConstant: return e.constant;
      case ExpressionKind::kName: {
        if (const Value* value = scope->find(e.name)) return *value;
        if (auto global = find_global(e.text)) return std::move(*global);
        return Value::undefined(fmt::format("'{}' is undefined", e.text));
      }
      case ExpressionKind::kList:
      case ExpressionKind::kTuple: {
        std::vector<Value> items;
        for (const auto& child : e.children) items.push_back(evaluate(*child, scope));
        return e.kind == ExpressionKind::kList ? make_list(std::move(items)) : make_tuple(std::move(items));
      }
      case ExpressionKind::kDict: {
        std::vector<std::pair<Value, Value>> entries;
        for (size_t i = 0; i < e.children.size(); i += 2) {
          Value key = evaluate(*e.children[i], scope);
          entries.emplace_back(std::move(key), evaluate(*e.children[i + 1], scope));
        }
        return make_dict(std::move(entries));
      }
      case ExpressionKind::kAttribute: return attribute(evaluate(*e.children[0], scope), e.text);
      case ExpressionKind::kItem: {
        const Value object = evaluate(*e.children[0], scope);
        return item(object, evaluate(*e.children[1], scope));
      }
      case ExpressionKind::kSlice: return evaluate_slice(e, scope);
      case ExpressionKind::kCall: return evaluate_call(e, scope, nullptr);
      case ExpressionKind::kFilter: {
        const Value value = evaluate(*e.children[0], scope);
        Arguments arguments;
        arguments_of(e.arguments, scope, arguments);
        return filter(e.text, value, arguments);
      }
      case ExpressionKind::kTest: {
        const Value value = evaluate(*e.children[0], scope);
        Arguments arguments;
        arguments_of(e.arguments, scope, arguments);
        return test(e.text, value, arguments);
      }
      case ExpressionKind::kNot: return !truth(evaluate(*e.children[0], scope));
      case ExpressionKind::kNegative: return negate(evaluate(*e.children[0], scope));
      case ExpressionKind::kPositive: {
        const Value value = evaluate(*e.children[0], scope);
        if (!value.is_number()) negate(value);  // fails
        return value.is_bool() ? Value(value.boolean() ? 1 : 0) : value;
      }
      case ExpressionKind::kBinary: return evaluate_operator(e, scope);
      case ExpressionKind::kConcat: {
        std::string out;
        for (const auto& child : e.children) {
          const Value part = evaluate(*child, scope);
          if (part.is_text()) require_memory(out.size() + part.text().size());
          append_text(out, part);
        }
        charge_bytes(out.size());
        return out;
      }
      case ExpressionKind::kCompare: return evaluate_comparison(e, scope);
      case ExpressionKind::kAnd:
      case ExpressionKind::kOr: {
        const bool stop_at = e.kind == ExpressionKind::kOr;
        for (size_t i = 0; i + 1 < e.children.size(); ++i) {
          Value value = evaluate(*e.children[i], scope);
          if (truth(value) == stop_at) return value;
        }
        return evaluate(*e.children.back(), scope);
      }
      case ExpressionKind::kCondition:
        if (truth(evaluate(*e.children[1], scope))) return evaluate(*e.children[0], scope);
        if (e.children[2]) return evaluate(*e.children[2], scope);
        return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
      case ExpressionKind::kNamespaceTarget: break;
    }
  } catch (TemplateError& error) {
    if (error.position.line == 0) error.position = e.position;
    throw;
  }
  fail("this cannot be evaluated");
}

// ---- statements ----

void Interpreter::assign(const Expression& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == ExpressionKind::kName) {
    scope->set(target.name, value);
  } else if (target.kind == ExpressionKind::kNamespaceTarget) {
    const Value* holder = scope->find(target.name);
    auto* space = holder != nullptr && holder->is_object() ? dynamic_cast<Namespace*>(holder->object().get()) : nullptr;
    if (holder == nullptr) fail(fmt::format("'{}' is undefined", target.operators[0]));
    if (space == nullptr) fail("cannot assign attribute on non-namespace object");
    space->set(target.text, value);
  } else {
    const std::vector<Value> items = this->items(value);
    const size_t wanted = target.children.size();
    if (items.size() > wanted) fail(fmt::format("too many values to unpack (expected {})", wanted));
    if (items.size() < wanted)
      fail(fmt::format("not enough values to unpack (expected {}, got {})", wanted, items.size()));
    for (size_t i = 0; i < wanted; ++i) assign(*target.children[i], items[i], scope);
  }
}

std::string Interpreter::capture(const Body& body, const ScopePtr& scope) {
  std::string outer = std::exchange(out_, {});
  execute(body, scope);
  return take_output(std::move(outer));
}

Value Interpreter::make_macro(const MacroDefinition& definition, const ScopePtr& scope) {
  for (ScopePtr at = scope; at && at->pin(); at = at->parent()) {
    memory_.take(4 * kValueOverheadBytes);  // to the end of the render
    pinned_.push_back(at);
  }
  return Value(std::static_pointer_cast<Object>(std::make_shared<Macro>(definition, scope)));
}

Interpreter::Flow Interpreter::execute(const Body& body, const ScopePtr& scope) {
  for (const auto& statement : body) {
    const Flow flow = execute(*statement, scope);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Statement& s, const ScopePtr& scope) {
  Depth depth(depth_, limits_.depth);
  charge_steps(1);
  try {
    switch (s.kind) {
      case StatementKind::kData: write(s.text); break;
      case StatementKind::kPrint: {
        const Value value = evaluate(*s.value, scope);
        if (value.is_text()) {
          write(value.text());
        } else {
          write(to_text(value));
        }
        break;
      }
      case StatementKind::kIf: {
        // Along a chain of elif without recursion.
        const Statement* at = &s;
        for (;;) {
          if (truth(evaluate(*at->value, scope))) return execute(at->body, scope);
          if (at->otherwise.size() == 1 && at->otherwise[0]->kind == StatementKind::kIf) {
            at = at->otherwise[0].get();
          } else {
            return execute(at->otherwise, scope);
          }
        }
      }
      case StatementKind::kFor: loop_over(s, evaluate(*s.value, scope), scope, 1); break;
      case StatementKind::kSet: assign(*s.target, evaluate(*s.value, scope), scope); break;
      case StatementKind::kSetBlock: {
        const auto inner = std::make_shared<Scope>(scope);
        const Value text(capture(s.body, inner));
        assign(*s.target, s.value ? apply_filters(*s.value, text, scope) : text, scope);
        break;
      }
      case StatementKind::kMacro: scope->set(s.name, make_macro(s.macro, scope)); break;
      case StatementKind::kCall: {
        const Value caller = make_macro(s.macro, scope);
        write(to_text(evaluate_call(*s.value, scope, &caller)));
        break;
      }
      case StatementKind::kFilter: {
        const auto inner = std::make_shared<Scope>(scope);
        const Value text(capture(s.body, inner));
        write(to_text(apply_filters(*s.value, text, scope)));
        break;
      }
      case StatementKind::kWith: {
        const auto inner = std::make_shared<Scope>(scope);
        for (const auto& [target, value] : s.assignments) assign(*target, evaluate(*value, scope), inner);
        return execute(s.body, inner);
      }
      case StatementKind::kScope: return execute(s.body, std::make_shared<Scope>(scope));
      case StatementKind::kBreak: return Flow::kBreak;
      case StatementKind::kContinue: return Flow::kContinue;
    }
  } catch (TemplateError& error) {
    if (error.position.line == 0) error.position = s.position;
    throw;
  }
  return Flow::kNext;
}

void Interpreter::loop_over(const Statement& s, const Value& over, const ScopePtr& scope, int depth) {
  std::vector<Value> items = this->items(over);
  if (s.condition) {
    std::vector<Value> passed;
    for (auto& value : items) {
      const auto inner = std::make_shared<Scope>(scope);
      assign(*s.target, value, inner);
      if (truth(evaluate(*s.condition, inner))) passed.push_back(std::move(value));
    }
    items = std::move(passed);
  }
  if (items.empty()) {
    execute(s.otherwise, std::make_shared<Scope>(scope));
    return;
  }
  static const std::string kLoop = "loop";
  const auto loop_id = program_.name_ids.find(kLoop);
  const auto loop = std::make_shared<Loop>(std::move(items), depth);
  if (s.recursive) loop->set_recursive(&s, scope);
  for (size_t i = 0; i < loop->items().size(); ++i) {
    loop->move_to(i);
    const auto inner = std::make_shared<Scope>(scope);
    if (loop_id != program_.name_ids.end()) inner->set(loop_id->second, Value(std::static_pointer_cast<Object>(loop)));
    assign(*s.target, loop->items()[i], inner);
    if (execute(s.body, inner) == Flow::kBreak) break;
  }
}

}  // namespace switchyard::text::jinja
