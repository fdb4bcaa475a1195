// The values of a template: Python's, as far as templates reach them.
//
// Thread: a value belongs to one render, one thread. Lists, tuples and mappings do not change once a template can see
// them (the sandbox forbids it); namespaces, generators and loops do.
// Errors: functions that can fail throw TemplateError, which ends the render and becomes a Result at chat_template.h.
// An exception, since every operator and filter can fail at any depth of the interpreter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "common/text/jinja/memory.h"
#include "common/text/jinja/number.h"

namespace switchyard::text::jinja {

// Where something stands in a template.
struct Position {
  int line = 0;    // from 1; 0: not known yet
  int column = 0;  // from 1, in characters
};

// Ends a render or a parse.
struct TemplateError {
  std::string message;
  bool raised = false;     // by the template's own raise_exception(): the message is for the user, word for word
  Position position = {};  // of the token or expression that failed
};

[[noreturn]] void fail(std::string message);

class Value;
class Interpreter;

struct Text {
  explicit Text(std::string text) : share(text.size() + kValueOverheadBytes), value(std::move(text)) {}
  MemoryShare share;
  std::string value;
};

// A name, attribute or item that is not there. Used as a value it is empty and false; anything more fails with the
// text.
struct Undefined : Text {
  using Text::Text;
};

enum class SequenceKind { kList, kTuple, kRange, kGenerator, kView };

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  size_t consumed = 0;                 // of a generator: items that were taken; it gives each once
  std::string text;                    // how a range, generator or view prints; empty: by its items
  const char* const* names = nullptr;  // of a tuple with named items: null-terminated list
  int depth = 1;                       // 1 + that of the deepest item
  MemoryShare share;
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in the order of insertion
  int depth = 1;
  MemoryShare share;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const Value* find(const std::string& key) const { return find(std::string_view(key)); }
  // Adds, or replaces the value of an equal key.
  void set(Value key, Value value);

 private:
  std::unordered_map<std::string_view, size_t> index_;  // text keys, once there are many
  void build_index();
};

// Positional and named arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Everything with behaviour: functions, macros, loops, namespaces.
class Object : public std::enable_shared_from_this<Object> {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  virtual const char* type_name() const = 0;
  virtual std::string text() const;
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& interpreter, Arguments& arguments);
  // An attribute, or null where there is none.
  virtual std::unique_ptr<Value> attribute(std::string_view name);

 private:
  MemoryShare share_{2 * kValueOverheadBytes};
};

class Value {
 public:
  Value() : data_(std::monostate{}) {}  // none
  Value(bool b) : data_(b) {}
  Value(int64_t i) : data_(i) {}
  Value(int i) : data_(static_cast<int64_t>(i)) {}
  Value(size_t i) : data_(static_cast<int64_t>(i)) {}
  Value(double d) : data_(d) {}
  Value(BigInt big);
  Value(std::string text) : data_(std::make_shared<const Text>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<Sequence> sequence) : data_(std::move(sequence)) {}
  Value(std::shared_ptr<Dict> dict) : data_(std::move(dict)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}
  static Value undefined(std::string message);

  bool is_none() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_undefined() const { return std::holds_alternative<std::shared_ptr<const Undefined>>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  // int or larger, not bool
  bool is_integer() const { return std::holds_alternative<int64_t>(data_) || is_big(); }
  bool is_big() const { return std::holds_alternative<std::shared_ptr<const BigInt>>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_text() const { return std::holds_alternative<std::shared_ptr<const Text>>(data_); }
  bool is_sequence() const { return std::holds_alternative<std::shared_ptr<Sequence>>(data_); }
  bool is_kind(SequenceKind kind) const { return is_sequence() && sequence().kind == kind; }
  bool is_dict() const { return std::holds_alternative<std::shared_ptr<Dict>>(data_); }
  bool is_object() const { return std::holds_alternative<std::shared_ptr<Object>>(data_); }

  bool boolean() const { return std::get<bool>(data_); }
  double real() const { return std::get<double>(data_); }
  const std::string& text() const { return std::get<std::shared_ptr<const Text>>(data_)->value; }
  Sequence& sequence() const { return *std::get<std::shared_ptr<Sequence>>(data_); }
  const std::shared_ptr<Sequence>& sequence_pointer() const { return std::get<std::shared_ptr<Sequence>>(data_); }
  Dict& dict() const { return *std::get<std::shared_ptr<Dict>>(data_); }
  const std::shared_ptr<Dict>& dict_pointer() const { return std::get<std::shared_ptr<Dict>>(data_); }
  const std::shared_ptr<Object>& object() const { return std::get<std::shared_ptr<Object>>(data_); }
  const std::string& undefined_message() const { return std::get<std::shared_ptr<const Undefined>>(data_)->value; }

  // A whole number or bool, whatever its size. Only for these.
  BigInt big() const;
  // A number as a double; fails where it is too large. Only for numbers.
  double as_double() const;
  // A whole number that must fit; fails with what otherwise.
  int64_t as_index(const char* what) const;

  int depth() const;
  // Whether both are the same object (Python's `is`, with equal small values counted as the same).
  bool same_as(const Value& other) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::shared_ptr<const BigInt>, std::shared_ptr<const Text>,
               std::shared_ptr<Sequence>, std::shared_ptr<Dict>, std::shared_ptr<Object>,
               std::shared_ptr<const Undefined>>
      data_;
};

// Containers may nest to here; deeper fails (their destructors recurse).
inline constexpr int kMaxValueDepth = 256;
// No text grows beyond this by printing: a list can hold one great text many times.
inline constexpr size_t kMaxTextBytes = 32 << 20;

Value make_list(std::vector<Value> items);
Value make_tuple(std::vector<Value> items);
Value make_generator(std::vector<Value> items);
Value make_sequence(SequenceKind kind, std::vector<Value> items, std::string text = {});
Value make_dict(std::vector<std::pair<Value, Value>> entries);

// Python's name of the type: "str", "NoneType", ...
std::string type_name(const Value& value);
bool truth(const Value& value);
bool equal(const Value& a, const Value& b);
// -1, 0, 1; fails where Python cannot order the two. op is for the message.
int compare(const Value& a, const Value& b, const char* op);
// str() and repr().
std::string to_text(const Value& value);
void append_text(std::string& out, const Value& value);
void append_repr(std::string& out, const Value& value);
// The items of what `for` takes; a generator is used up. Fails for what cannot be iterated.
std::vector<Value> iterate(const Value& value);
// len(); fails where there is none.
int64_t length(const Value& value);
bool contains(const Value& container, const Value& item);

// + - * / // % ** of two values, by Python's rules.
Value add(const Value& a, const Value& b);
Value subtract(const Value& a, const Value& b);
Value multiply(const Value& a, const Value& b);
Value divide(const Value& a, const Value& b);
Value floor_divide(const Value& a, const Value& b);
Value modulo(const Value& a, const Value& b);
Value power(const Value& a, const Value& b);
Value negate(const Value& a);

}  // namespace switchyard::text::jinja
