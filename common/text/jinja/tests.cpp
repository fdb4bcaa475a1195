// The tests of `x is ...`.
#include <fmt/format.h>

#include <algorithm>

#include "common/text/jinja/builtins.h"
#include "common/text/jinja/interpreter.h"
#include "common/text/jinja/python_text.h"

namespace switchyard::text::jinja {
namespace {

using Test = bool(Interpreter&, const Value&, Arguments&);

const Value& one(const char* name, Arguments& a) { return *bind(name, a, {"other"}, 1)[0]; }

Test is_equal, is_not_equal, is_less, is_less_equal, is_greater, is_greater_equal;

bool is_equal(Interpreter&, const Value& v, Arguments& a) { return equal(v, one("eq", a)); }
bool is_not_equal(Interpreter&, const Value& v, Arguments& a) { return !equal(v, one("ne", a)); }
bool is_less(Interpreter&, const Value& v, Arguments& a) { return compare(v, one("lt", a), "<") < 0; }
bool is_less_equal(Interpreter&, const Value& v, Arguments& a) { return compare(v, one("le", a), "<=") <= 0; }
bool is_greater(Interpreter&, const Value& v, Arguments& a) { return compare(v, one("gt", a), ">") > 0; }
bool is_greater_equal(Interpreter&, const Value& v, Arguments& a) { return compare(v, one("ge", a), ">=") >= 0; }

bool remainder_is(const Value& v, int divisor, int remainder) {
  return equal(modulo(v, Value(divisor)), Value(remainder));
}

struct Entry {
  std::string_view name;
  TestFunction function;
};

const Entry kTests[] = {
    {"!=", is_not_equal},
    {"<", is_less},
    {"<=", is_less_equal},
    {"==", is_equal},
    {">", is_greater},
    {">=", is_greater_equal},
    {"boolean", [](Interpreter&, const Value& v, Arguments&) { return v.is_bool(); }},
    // An undefined has a call, which fails.
    {"callable", [](Interpreter&, const Value& v,
                    Arguments&) { return v.is_undefined() || (v.is_object() && v.object()->callable()); }},
    {"defined", [](Interpreter&, const Value& v, Arguments&) { return !v.is_undefined(); }},
    {"divisibleby", [](Interpreter&, const Value& v,
                       Arguments& a) { return equal(modulo(v, *bind("divisibleby", a, {"num"}, 1)[0]), Value(0)); }},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", [](Interpreter&, const Value&, Arguments&) { return false; }},
    {"even", [](Interpreter&, const Value& v, Arguments&) { return remainder_is(v, 2, 0); }},
    {"false", [](Interpreter&, const Value& v, Arguments&) { return v.is_bool() && !v.boolean(); }},
    {"filter",
     [](Interpreter&, const Value& v, Arguments&) { return v.is_text() && find_filter(v.text()) != nullptr; }},
    {"float", [](Interpreter&, const Value& v, Arguments&) { return v.is_float(); }},
    {"ge", is_greater_equal},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", [](Interpreter&, const Value& v, Arguments& a) { return contains(*bind("in", a, {"seq"}, 1)[0], v); }},
    {"integer", [](Interpreter&, const Value& v, Arguments&) { return v.is_integer(); }},
    {"iterable", [](Interpreter&, const Value& v,
                    Arguments&) { return v.is_text() || v.is_dict() || v.is_sequence() || v.is_undefined(); }},
    {"le", is_less_equal},
    {"lessthan", is_less},
    {"lower", [](Interpreter&, const Value& v, Arguments&) { return is_lower_text(to_text(v)); }},
    {"lt", is_less},
    {"mapping", [](Interpreter&, const Value& v, Arguments&) { return v.is_dict(); }},
    {"ne", is_not_equal},
    {"none", [](Interpreter&, const Value& v, Arguments&) { return v.is_none(); }},
    {"number", [](Interpreter&, const Value& v, Arguments&) { return v.is_number(); }},
    {"odd", [](Interpreter&, const Value& v, Arguments&) { return remainder_is(v, 2, 1); }},
    {"sameas", [](Interpreter&, const Value& v, Arguments& a) { return v.same_as(one("sameas", a)); }},
    {"sequence",
     [](Interpreter&, const Value& v, Arguments&) {
       // What has a length and items by index or key.
       return v.is_text() || v.is_dict() || v.is_undefined() ||
              (v.is_sequence() && v.sequence().kind != SequenceKind::kGenerator &&
               v.sequence().kind != SequenceKind::kView);
     }},
    {"string", [](Interpreter&, const Value& v, Arguments&) { return v.is_text(); }},
    {"test", [](Interpreter&, const Value& v, Arguments&) { return v.is_text() && find_test(v.text()) != nullptr; }},
    {"true", [](Interpreter&, const Value& v, Arguments&) { return v.is_bool() && v.boolean(); }},
    {"undefined", [](Interpreter&, const Value& v, Arguments&) { return v.is_undefined(); }},
    {"upper", [](Interpreter&, const Value& v, Arguments&) { return is_upper_text(to_text(v)); }},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const auto& entry : kTests) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

}  // namespace switchyard::text::jinja
