#include "common/structured/grammar.h"

#include <fmt/format.h>

#include <utility>

namespace switchyard::structured {

Error Grammar::too_large() {
  return {Errc::kTooLarge, fmt::format("the grammar is too large: more than {} expressions", kExpressionsMax)};
}

Expr Grammar::add(Expression expression) {
  if (expressions_.size() >= kExpressionsMax) {
    overflowed_ = true;
    return 0;
  }
  expressions_.push_back(std::move(expression));
  return static_cast<Expr>(expressions_.size() - 1);
}

Expr Grammar::bytes(uint8_t first, uint8_t last) {
  ByteSet set;
  for (uint32_t b = first; b <= last; ++b) set.set(b);
  return bytes(set);
}

Expr Grammar::bytes(const ByteSet& set) {
  if (set.none()) return never();
  Expression expression{Kind::kBytes};
  expression.bytes = set;
  return add(std::move(expression));
}

Expr Grammar::literal(std::string_view text) {
  std::vector<Expr> parts;
  parts.reserve(text.size());
  for (const char c : text) parts.push_back(bytes(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
  return sequence(std::move(parts));
}

Expr Grammar::sequence(std::vector<Expr> parts) {
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts.front();
  Expression expression{Kind::kSequence};
  expression.parts = std::move(parts);
  return add(std::move(expression));
}

Expr Grammar::choice(std::vector<Expr> parts) {
  if (parts.empty()) return never();
  if (parts.size() == 1) return parts.front();
  Expression expression{Kind::kChoice};
  expression.parts = std::move(parts);
  return add(std::move(expression));
}

Expr Grammar::repeat(Expr part, uint32_t least, std::optional<uint32_t> most) {
  if (most && *most < least) return never();
  if (most == 0U) return empty();
  Expression expression{Kind::kRepeat};
  expression.parts = {part};
  expression.least = least;
  expression.most = most;
  return add(std::move(expression));
}

Expr Grammar::call(Rule rule) {
  Expression expression{Kind::kCall};
  expression.rule = rule;
  return add(std::move(expression));
}

Rule Grammar::add_rule(std::string name, Calls calls) {
  rules_.push_back({std::move(name), calls, 0});
  return static_cast<Rule>(rules_.size() - 1);
}

void Grammar::define(Rule rule, Expr body) { rules_[rule].body = body; }

}  // namespace switchyard::structured
