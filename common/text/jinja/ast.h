// A parsed template: trees of expressions and statements. Names are numbers into Template::names.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

using NameId = int;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;       // *x
  ExpressionPtr star_star;  // **x
};

enum class ExpressionKind {
  kConstant,         // constant
  kName,             // name
  kList,             // children
  kTuple,            // children
  kDict,             // children: key, value, key, value, ...
  kAttribute,        // children[0].text
  kItem,             // children[0][children[1]]
  kSlice,            // children[0][a:b:c]; children 1 to 3 may be null
  kCall,             // children[0](arguments)
  kFilter,           // children[0] | text(arguments); children[0] is null in a filter block
  kTest,             // children[0] is text(arguments)
  kNot,              // children[0]
  kNegative,         // children[0]
  kPositive,         // children[0]
  kBinary,           // children[0] text children[1]; text: + - * / // % **
  kConcat,           // children, joined by ~
  kCompare,          // children[0] operators[0] children[1] operators[1] ...
  kAnd,              // children
  kOr,               // children
  kCondition,        // children[0] if children[1] else children[2], which may be null
  kNamespaceTarget,  // name.text as the target of a set
};

struct Expression {
  ExpressionKind kind;
  Position position;
  Value constant;
  NameId name = -1;
  std::string text;
  std::vector<ExpressionPtr> children;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  NameId name;
  std::string text;
  ExpressionPtr fallback;  // may be null
};

// What a macro or call block is called with and does.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

enum class StatementKind {
  kData,      // text
  kPrint,     // value
  kIf,        // value, body, otherwise
  kFor,       // target, value, condition, body, otherwise, recursive
  kSet,       // target = value
  kSetBlock,  // target = filter of body; value is the filter or null
  kMacro,     // macro, name
  kCall,      // value is the call, macro the body
  kFilter,    // value is the filter
  kWith,      // targets and values in children pairs, body
  kScope,     // body in a scope of its own (generation)
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind;
  Position position;
  std::string text;
  NameId name = -1;
  ExpressionPtr target;
  ExpressionPtr value;
  ExpressionPtr condition;
  bool recursive = false;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> assignments;
  Body body;
  Body otherwise;
  MacroDefinition macro;
};

struct Template {
  Body body;
  std::vector<std::string> names;  // by NameId
  std::unordered_map<std::string, NameId> name_ids;

  NameId intern(const std::string& name) {
    const auto [at, fresh] = name_ids.emplace(name, static_cast<NameId>(names.size()));
    if (fresh) names.push_back(name);
    return at->second;
  }
};

}  // namespace switchyard::text::jinja
