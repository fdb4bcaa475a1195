// What a template can call: filters, tests, functions, and the attributes of values. Each is an entry in a table of its
// file (filters.cpp, sequence_filters.cpp, tests.cpp, functions.cpp, methods.cpp).
//
// Thread: any; constant tables. All throw TemplateError.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

using FilterFunction = Value (*)(Interpreter&, const Value& value, Arguments& arguments);
using TestFunction = bool (*)(Interpreter&, const Value& value, Arguments& arguments);
struct NamedFilter {
  const char* name;
  FilterFunction function;
};

// Null where there is none.
FilterFunction find_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);
TestFunction find_test(std::string_view name);
std::unique_ptr<Value> find_global(std::string_view name);

// An attribute that a value has by its type (a method, a loop's index, a namespace's name), or null. What the sandbox
// forbids comes as an undefined whose use fails.
std::unique_ptr<Value> builtin_attribute(const Value& object, std::string_view name);
// "'dict object' has no attribute 'x'"
std::string missing_message(const Value& object, const Value& key);

// text % values, and text.format(...).
Value format_percent(Interpreter& interpreter, const std::string& text, const Value& values);
Value format_braces(Interpreter& interpreter, const std::string& text, const Arguments& arguments);
std::string format_time(Interpreter& interpreter, const std::string& format);

// The arguments of a call by the names of its parameters; null where one is not given. Fails for too many, unknown or
// doubled ones, and where one of the first `required` is missing.
std::vector<const Value*> bind(const char* function, const Arguments& arguments,
                               std::initializer_list<const char*> names, size_t required = 0);
// As text or number, with a fallback for a parameter that is not given.
const std::string& text_argument(const char* function, const Value& value);
bool flag(const Value* value, bool fallback);
int64_t whole(const char* function, const Value* value, int64_t fallback);

// replace(), charged before it is done.
std::string charged_replace(Interpreter& interpreter, std::string_view text, std::string_view from, std::string_view to,
                            int64_t limit);
// By dots: object.a.b, numbers as items; what map(attribute=...) takes.
Value attribute_path(Interpreter& interpreter, const Value& object, const Value& path, const Value* fallback = nullptr);
// A text in small letters, anything else as it is: how sort, unique and groupby compare by default.
Value fold_case(const Value& value, bool case_sensitive);
Value function_value(Value (*body)(Interpreter&, Arguments&));

}  // namespace switchyard::text::jinja
