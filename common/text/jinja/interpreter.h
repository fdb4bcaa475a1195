// Runs a parsed template.
//
// Thread: one render, one thread; the Template is constant and may be shared. Blocks: no.
// Bounds: Limits; beyond them TemplateError.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/jinja/ast.h"
#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

struct Limits {
  uint64_t steps = 20'000'000;                // expressions and statements, and items that loops and filters touch
  uint64_t work_bytes = uint64_t{512} << 20;  // of text and lists that are made on the way
  size_t output_bytes = size_t{64} << 20;
  size_t held_bytes = size_t{64} << 20;  // of what the template made and still holds, its output with it
  int depth = 900;                       // of nested evaluation; about 1 KB of stack each
};

// Names and their values. A scope sees those around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent) : parent_(std::move(parent)) {}
  const Value* find(NameId name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& [known, value] : scope->values_) {
        if (known == name) return &value;
      }
    }
    return nullptr;
  }
  void set(NameId name, Value value) {
    for (auto& [known, old] : values_) {
      if (known == name) {
        old = std::move(value);
        return;
      }
    }
    values_.emplace_back(name, std::move(value));
  }
  void clear() { values_.clear(); }
  // True the first time: a macro holds on to this scope, which the interpreter empties at the end.
  bool pin() { return !std::exchange(pinned_, true); }
  const std::shared_ptr<Scope>& parent() const { return parent_; }

 private:
  std::shared_ptr<Scope> parent_;
  std::vector<std::pair<NameId, Value>> values_;
  bool pinned_ = false;
};

class Interpreter {
 public:
  Interpreter(const Template& program, std::chrono::sys_seconds now, Limits limits);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Sets what the template sees before it runs.
  void define(std::string_view name, Value value);
  // Throws TemplateError.
  std::string run();

  // ---- for builtins ----
  std::chrono::sys_seconds now() const { return now_; }
  // Counts work; throws beyond the limits.
  void charge_steps(size_t count);
  void charge_bytes(size_t count);
  // iterate(), charged before it is done.
  std::vector<Value> items(const Value& value);
  Value call(const Value& callee, Arguments& arguments);
  // x.name and x[key] as a template means them.
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value filter(const std::string& name, const Value& value, Arguments& arguments);
  bool test(const std::string& name, const Value& value, Arguments& arguments);
  // Objects that may hold themselves: emptied when the render ends.
  void keep(std::shared_ptr<Object> object) { kept_.push_back(std::move(object)); }

 private:
  friend class Macro;
  friend class Loop;
  enum class Flow { kNext, kBreak, kContinue };
  using ScopePtr = std::shared_ptr<Scope>;

  Value evaluate(const Expression& e, const ScopePtr& scope);
  Value evaluate_operator(const Expression& e, const ScopePtr& scope);
  Value evaluate_call(const Expression& e, const ScopePtr& scope, const Value* caller);
  Value evaluate_slice(const Expression& e, const ScopePtr& scope);
  bool evaluate_comparison(const Expression& e, const ScopePtr& scope);
  void arguments_of(const CallArguments& from, const ScopePtr& scope, Arguments& out);
  // Filters of a block, the innermost on `value`.
  Value apply_filters(const Expression& e, const Value& value, const ScopePtr& scope);
  void assign(const Expression& target, const Value& value, const ScopePtr& scope);

  Flow execute(const Body& body, const ScopePtr& scope);
  Flow execute(const Statement& s, const ScopePtr& scope);
  void loop_over(const Statement& s, const Value& over, const ScopePtr& scope, int depth);
  // What a body writes, as text.
  std::string capture(const Body& body, const ScopePtr& scope);
  void write(std::string_view text);
  Value make_macro(const MacroDefinition& definition, const ScopePtr& scope);

  // Ends a body's output, whose text comes back, and goes on with the one around it.
  std::string take_output(std::string outer);

  MemoryBudget memory_;  // the values below give theirs back
  const Template& program_;
  std::chrono::sys_seconds now_;
  Limits limits_;
  uint64_t steps_ = 0;
  uint64_t bytes_ = 0;
  int depth_ = 0;
  std::string out_;
  ScopePtr globals_;
  std::vector<ScopePtr> pinned_;  // scopes that macros hold on to
  std::vector<std::shared_ptr<Object>> kept_;
};

// namespace(...): the one thing that a template can change across loops.
class Namespace : public Object {
 public:
  const char* type_name() const override { return "Namespace"; }
  std::string text() const override;
  std::unique_ptr<Value> attribute(std::string_view name) override;
  void set(const std::string& name, Value value);
  void clear() { values_->entries.clear(); }

 private:
  std::shared_ptr<Dict> values_ = std::make_shared<Dict>();
};

// A function of C++.
class Function : public Object {
 public:
  using Body = std::function<Value(Interpreter&, Arguments&)>;
  explicit Function(Body body) : body_(std::move(body)) {}
  const char* type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override { return body_(interpreter, arguments); }

 private:
  Body body_;
};

}  // namespace switchyard::text::jinja
