// A grammar over bytes as front ends build it: rules whose bodies are expressions of byte sets, sequences, choices,
// repetitions and calls of rules. Compiled by automaton.h.
//
// Thread: any, on data of its own. Bounds: kExpressionsMax expressions; adding more gives never() and sets
// overflowed(), which the compiler reports.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::structured {

using ByteSet = std::bitset<256>;
using Expr = uint32_t;  // index into a Grammar's expressions
using Rule = uint32_t;

class Grammar {
 public:
  static constexpr size_t kExpressionsMax = 500000;

  enum class Kind : uint8_t { kEmpty, kNever, kBytes, kSequence, kChoice, kRepeat, kCall };
  struct Expression {
    Kind kind = Kind::kEmpty;
    ByteSet bytes = {};                 // kBytes
    std::vector<Expr> parts = {};       // kSequence, kChoice; the one of kRepeat
    uint32_t least = 0;                 // kRepeat
    std::optional<uint32_t> most = {};  // kRepeat; none = no bound
    Rule rule = 0;                      // kCall
  };
  // What a call of a rule becomes. kShared keeps one copy of the rule: token masks of its inside are then shared by all
  // its callers. kInlined copies a small rule into its caller, unless it is recursive.
  enum class Calls : uint8_t { kShared, kInlined };

  Expr empty() { return add({Kind::kEmpty}); }
  Expr never() { return add({Kind::kNever}); }
  Expr bytes(uint8_t first, uint8_t last);
  Expr bytes(const ByteSet& set);
  Expr literal(std::string_view text);
  Expr sequence(std::vector<Expr> parts);
  Expr choice(std::vector<Expr> parts);
  // An upper bound below `least` matches nothing.
  Expr repeat(Expr part, uint32_t least, std::optional<uint32_t> most);
  Expr optional(Expr part) { return repeat(part, 0, 1); }
  Expr call(Rule rule);

  // The name is for messages. A rule that is never defined matches nothing.
  Rule add_rule(std::string name, Calls calls);
  void define(Rule rule, Expr body);
  void set_root(Rule rule) { root_ = rule; }

  Rule root() const { return root_; }
  size_t rule_count() const { return rules_.size(); }
  const std::string& name(Rule rule) const { return rules_[rule].name; }
  Calls calls(Rule rule) const { return rules_[rule].calls; }
  Expr body(Rule rule) const { return rules_[rule].body; }
  const Expression& at(Expr expr) const { return expressions_[expr]; }
  bool overflowed() const { return overflowed_; }
  static Error too_large();  // what to say of one that has overflowed

 private:
  struct RuleBody {
    std::string name;
    Calls calls;
    Expr body;
  };
  Expr add(Expression expression);

  std::vector<Expression> expressions_{{Kind::kNever}};  // 0: what an overflow gives
  std::vector<RuleBody> rules_;
  Rule root_ = 0;
  bool overflowed_ = false;
};

}  // namespace switchyard::structured
