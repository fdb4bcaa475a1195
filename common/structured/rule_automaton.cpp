#include "common/structured/rule_automaton.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/structured/automaton.h"

namespace switchyard::structured {
namespace {

using Kind = Grammar::Kind;

constexpr size_t kInlineSizeMax = 300;  // expressions, those of inlined rules within included

// Expressions of each rule with everything inlined, or more than kInlineSizeMax for what is larger or recursive.
class RuleSizes {
 public:
  explicit RuleSizes(const Grammar& grammar)
      : grammar_(grammar), sizes_(grammar.rule_count(), 0), visited_(grammar.rule_count(), Visit::kNo) {}

  size_t of(Rule rule) {
    if (visited_[rule] == Visit::kNow) return kInlineSizeMax + 1;
    if (visited_[rule] == Visit::kDone) return sizes_[rule];
    visited_[rule] = Visit::kNow;
    sizes_[rule] = of_expression(grammar_.body(rule));
    visited_[rule] = Visit::kDone;
    return sizes_[rule];
  }

 private:
  enum class Visit : uint8_t { kNo, kNow, kDone };

  size_t of_expression(Expr expr) {
    const auto& e = grammar_.at(expr);
    if (e.kind == Kind::kCall) return grammar_.calls(e.rule) == Grammar::Calls::kInlined ? of(e.rule) : 1;
    size_t size = 1;
    for (const Expr part : e.parts) {
      if (size <= kInlineSizeMax) size += of_expression(part);
    }
    const uint32_t times = e.kind == Kind::kRepeat ? std::max(e.least, e.most.value_or(1)) : 1;
    return std::min(size * times, kInlineSizeMax + 1);
  }

  const Grammar& grammar_;
  std::vector<size_t> sizes_;
  std::vector<Visit> visited_;
};

// Nondeterministic, with empty edges.
class RuleNfa {
 public:
  struct Node {
    std::vector<uint32_t> empty;
    std::vector<RuleState::ByteEdge> bytes;
    std::vector<RuleState::CallEdge> calls;
  };

  RuleNfa(const Grammar& grammar, const std::vector<bool>& inlined, size_t nodes_max)
      : grammar_(grammar), inlined_(inlined), nodes_max_(nodes_max) {}

  uint32_t add_node() {
    nodes_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  bool overflowed() const { return nodes_.size() > nodes_max_; }
  const Node& at(uint32_t node) const { return nodes_[node]; }
  size_t size() const { return nodes_.size(); }

  // From node `from`; gives the node at its end.
  uint32_t build(Expr expr, uint32_t from) {
    if (overflowed()) return from;
    const auto& e = grammar_.at(expr);
    switch (e.kind) {
      case Kind::kEmpty: return from;
      case Kind::kNever: return add_node();
      case Kind::kBytes: return build_bytes(e.bytes, from);
      case Kind::kSequence:
        for (const Expr part : e.parts) from = build(part, from);
        return from;
      case Kind::kChoice: {
        const uint32_t end = add_node();
        for (const Expr part : e.parts) {
          const uint32_t begin = add_node();
          nodes_[from].empty.push_back(begin);
          const uint32_t last = build(part, begin);
          nodes_[last].empty.push_back(end);
        }
        return end;
      }
      case Kind::kRepeat: return build_repeat(e.parts.front(), e.least, e.most, from);
      case Kind::kCall: {
        if (inlined_[e.rule]) return build(grammar_.body(e.rule), from);
        const uint32_t to = add_node();
        nodes_[from].calls.push_back({e.rule, to});
        return to;
      }
    }
    return from;
  }

 private:
  uint32_t build_bytes(const ByteSet& set, uint32_t from) {
    const uint32_t to = add_node();
    for (uint32_t b = 0; b < 256; ++b) {
      if (!set[b]) continue;
      const uint32_t first = b;
      while (b + 1 < 256 && set[b + 1]) ++b;
      nodes_[from].bytes.push_back({static_cast<uint8_t>(first), static_cast<uint8_t>(b), to});
    }
    return to;
  }

  uint32_t build_repeat(Expr part, uint32_t least, std::optional<uint32_t> most, uint32_t from) {
    for (uint32_t i = 0; i < least && !overflowed(); ++i) from = build(part, from);
    const uint32_t end = add_node();
    if (!most) {
      const uint32_t loop = add_node();
      nodes_[from].empty.push_back(loop);
      nodes_[build(part, loop)].empty.push_back(loop);
      nodes_[loop].empty.push_back(end);
      return end;
    }
    for (uint32_t i = least; i < *most && !overflowed(); ++i) {
      nodes_[from].empty.push_back(end);
      from = build(part, from);
    }
    nodes_[from].empty.push_back(end);
    return end;
  }

  const Grammar& grammar_;
  const std::vector<bool>& inlined_;
  const size_t nodes_max_;
  std::vector<Node> nodes_;
};

class SubsetConstruction {
 public:
  SubsetConstruction(const RuleNfa& nfa, uint32_t end, size_t states_max, size_t& work)
      : nfa_(nfa), end_(end), states_max_(states_max), work_(work), marks_(nfa.size(), 0) {}

  bool run(uint32_t start) {
    intern({start});
    for (size_t i = 0; i < sets_.size(); ++i) {
      if (sets_.size() > states_max_ || work_ == 0) return false;
      expand(static_cast<uint32_t>(i));
    }
    return true;
  }
  std::vector<RuleState> take() { return std::move(states_); }

 private:
  using Set = std::vector<uint32_t>;

  uint32_t intern(const Set& kernel) {
    Set set;
    ++mark_;
    for (const uint32_t node : kernel) visit(node, set);
    for (size_t i = 0; i < set.size(); ++i)
      for (const uint32_t next : nfa_.at(set[i]).empty) visit(next, set);
    work_ -= std::min(work_, set.size());
    // Nodes with nothing but empty edges make no difference.
    std::erase_if(
        set, [&](uint32_t node) { return node != end_ && nfa_.at(node).bytes.empty() && nfa_.at(node).calls.empty(); });
    std::sort(set.begin(), set.end());
    const auto [found, added] = ids_.emplace(std::move(set), static_cast<uint32_t>(states_.size()));
    if (added) {
      sets_.push_back(&found->first);
      states_.emplace_back();
      states_.back().accepts = std::binary_search(found->first.begin(), found->first.end(), end_);
    }
    return found->second;
  }
  void visit(uint32_t node, Set& set) {
    if (marks_[node] == mark_) return;
    marks_[node] = mark_;
    set.push_back(node);
  }

  void expand(uint32_t id) {
    const Set& set = *sets_[id];
    std::vector<RuleState::ByteEdge> edges;
    std::map<Rule, Set> calls;
    for (const uint32_t node : set) {
      edges.insert(edges.end(), nfa_.at(node).bytes.begin(), nfa_.at(node).bytes.end());
      for (const auto& call : nfa_.at(node).calls) calls[call.rule].push_back(call.target);
    }
    std::vector<uint32_t> bounds;
    for (const auto& edge : edges) {
      bounds.push_back(edge.first);
      bounds.push_back(edge.last + 1U);
    }
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    Set before;
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
      Set targets;
      for (const auto& edge : edges) {
        if (edge.first > bounds[i]) break;
        if (bounds[i] <= edge.last) targets.push_back(edge.target);
      }
      std::sort(targets.begin(), targets.end());
      targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
      const auto first = static_cast<uint8_t>(bounds[i]);
      const auto last = static_cast<uint8_t>(bounds[i + 1] - 1);
      if (!targets.empty()) {
        if (targets == before) {
          states_[id].bytes.back().last = last;
        } else {
          const uint32_t target = intern(targets);
          auto& out = states_[id].bytes;
          if (!out.empty() && out.back().target == target && out.back().last + 1 == first) {
            out.back().last = last;
          } else {
            out.push_back({first, last, target});
          }
        }
      }
      before = std::move(targets);
    }
    for (const auto& [rule, targets] : calls) {
      const uint32_t target = intern(targets);
      states_[id].calls.push_back({rule, target});
    }
  }

  const RuleNfa& nfa_;
  const uint32_t end_;
  const size_t states_max_;
  size_t& work_;
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 0;
  std::map<Set, uint32_t> ids_;
  std::vector<const Set*> sets_;  // keys of ids_, by id
  std::vector<RuleState> states_;
};

}  // namespace

std::vector<bool> inlined_rules(const Grammar& grammar) {
  RuleSizes sizes(grammar);
  std::vector<bool> inlined(grammar.rule_count());
  for (Rule rule = 0; rule < grammar.rule_count(); ++rule)
    inlined[rule] = grammar.calls(rule) == Grammar::Calls::kInlined && sizes.of(rule) <= kInlineSizeMax;
  return inlined;
}

Result<std::vector<RuleState>> build_rule(const Grammar& grammar, Rule rule, const std::vector<bool>& inlined,
                                          size_t states_max, size_t& work) {
  // A state stands for one to a few nodes in what people write.
  RuleNfa nfa(grammar, inlined, 8 * states_max);
  const uint32_t start = nfa.add_node();
  const uint32_t end = nfa.build(grammar.body(rule), start);
  const auto too_large = [&] {
    // The limit is of all rules together; what the others have left of it tells nobody anything.
    return Error{Errc::kTooLarge, fmt::format("the grammar is too large: more than {} states, reached in {}",
                                              Automaton::kStatesMax, grammar.name(rule))};
  };
  if (nfa.overflowed()) return too_large();
  SubsetConstruction construction(nfa, end, states_max, work);
  if (!construction.run(start)) {
    if (work == 0) return Error{Errc::kTooLarge, fmt::format("{} is too intricate to compile", grammar.name(rule))};
    return too_large();
  }
  return construction.take();
}

}  // namespace switchyard::structured
