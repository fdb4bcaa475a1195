#include "common/structured/automaton.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>

#include "common/structured/rule_automaton.h"

namespace switchyard::structured {

class AutomatonCompiler {
 public:
  explicit AutomatonCompiler(const Grammar& grammar) : grammar_(grammar) {}

  Result<Automaton> run() {
    if (grammar_.overflowed()) return Grammar::too_large();
    SWITCHYARD_TRY(build());
    find_live();
    if (!live_[starts_[grammar_.root()]])
      return Error{Errc::kInvalid, fmt::format("{} matches no text", grammar_.name(grammar_.root()))};
    find_nullable();
    SWITCHYARD_TRY(refuse_left_recursion());
    flatten();
    if (automaton_.only_accepts(automaton_.start_))
      return Error{Errc::kInvalid, fmt::format("{} matches only the empty text", grammar_.name(grammar_.root()))};
    classify_bytes();
    return std::move(automaton_);
  }

 private:
  // Only what the root reaches.
  Status build() {
    const std::vector<bool> inlined = inlined_rules(grammar_);
    starts_.assign(grammar_.rule_count(), kNone);
    std::vector<Rule> order{grammar_.root()};
    std::vector<bool> known(grammar_.rule_count(), false);
    known[grammar_.root()] = true;
    size_t edges = 0;
    size_t work = Automaton::kWorkMax;
    for (size_t i = 0; i < order.size(); ++i) {
      const Rule rule = order[i];
      SWITCHYARD_ASSIGN(std::vector<RuleState> built,
                        build_rule(grammar_, rule, inlined, Automaton::kStatesMax - states_.size(), work));
      const auto base = static_cast<uint32_t>(states_.size());
      starts_[rule] = base;
      for (RuleState& state : built) {
        edges += state.bytes.size() + state.calls.size();
        for (auto& edge : state.bytes) edge.target += base;
        for (auto& call : state.calls) {
          call.target += base;
          if (!known[call.rule]) {
            known[call.rule] = true;
            order.push_back(call.rule);
          }
        }
        states_.push_back(std::move(state));
      }
      if (edges > Automaton::kEdgesMax)
        return Error{Errc::kTooLarge,
                     fmt::format("the grammar is too large: more than {} edges", Automaton::kEdgesMax)};
    }
    rules_ = std::move(order);
    return {};
  }

  // States from which an end can be reached: rounds backwards until nothing changes, by a worklist over who waits for
  // whom.
  void find_live() {
    const size_t count = states_.size();
    live_.assign(count, false);
    std::vector<std::vector<uint32_t>> waiting(count);  // states to look at again when this one comes alive
    for (uint32_t s = 0; s < count; ++s) {
      for (const auto& edge : states_[s].bytes) waiting[edge.target].push_back(s);
      for (const auto& call : states_[s].calls) {
        waiting[call.target].push_back(s);
        waiting[starts_[call.rule]].push_back(s);
      }
    }
    std::vector<uint32_t> work;
    const auto revive = [&](uint32_t s) {
      live_[s] = true;
      work.push_back(s);
    };
    for (uint32_t s = 0; s < count; ++s)
      if (states_[s].accepts) revive(s);
    while (!work.empty()) {
      const uint32_t done = work.back();
      work.pop_back();
      for (const uint32_t s : waiting[done]) {
        if (live_[s]) continue;
        const auto& state = states_[s];
        const bool alive =
            std::any_of(state.bytes.begin(), state.bytes.end(), [&](const auto& e) { return live_[e.target]; }) ||
            std::any_of(state.calls.begin(), state.calls.end(), [&](const auto& c) { return usable(c); });
        if (alive) revive(s);
      }
    }
  }
  bool usable(const RuleState::CallEdge& call) const { return live_[call.target] && live_[starts_[call.rule]]; }

  // What a rule's start reaches without a byte: through calls of rules that may be empty.
  template <typename Visit>
  void each_at_start(Rule rule, Visit visit) const {
    std::vector<uint32_t> work{starts_[rule]};
    std::vector<uint32_t> seen = work;
    while (!work.empty()) {
      const uint32_t s = work.back();
      work.pop_back();
      visit(states_[s]);
      for (const auto& call : states_[s].calls) {
        if (!usable(call) || !nullable_[call.rule] || std::find(seen.begin(), seen.end(), call.target) != seen.end())
          continue;
        seen.push_back(call.target);
        work.push_back(call.target);
      }
    }
  }

  void find_nullable() {
    nullable_.assign(grammar_.rule_count(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (const Rule rule : rules_) {
        if (nullable_[rule]) continue;
        bool accepts = false;
        each_at_start(rule, [&](const RuleState& state) { accepts |= state.accepts; });
        if (accepts) nullable_[rule] = changed = true;
      }
    }
  }

  Status refuse_left_recursion() const {
    enum class Visit : uint8_t { kNo, kNow, kDone };
    std::vector<Visit> visits(grammar_.rule_count(), Visit::kNo);
    std::vector<std::vector<Rule>> first_calls(grammar_.rule_count());
    for (const Rule rule : rules_) {
      each_at_start(rule, [&](const RuleState& state) {
        for (const auto& call : state.calls)
          if (usable(call)) first_calls[rule].push_back(call.rule);
      });
    }
    for (const Rule root : rules_) {
      if (visits[root] != Visit::kNo) continue;
      std::vector<std::pair<Rule, size_t>> path{{root, 0}};
      visits[root] = Visit::kNow;
      while (!path.empty()) {
        auto& [rule, next] = path.back();
        if (next == first_calls[rule].size()) {
          visits[rule] = Visit::kDone;
          path.pop_back();
          continue;
        }
        const Rule callee = first_calls[rule][next++];
        if (visits[callee] == Visit::kNow) {
          return Error{Errc::kInvalid, fmt::format("{} begins with itself (left recursion), which is not supported",
                                                   grammar_.name(callee))};
        }
        if (visits[callee] == Visit::kDone) continue;
        visits[callee] = Visit::kNow;
        path.emplace_back(callee, 0);
      }
    }
    return {};
  }

  // Live states alone, numbered anew, edges in one array.
  void flatten() {
    std::vector<uint32_t> number(states_.size(), kNone);
    uint32_t count = 0;
    for (size_t s = 0; s < states_.size(); ++s)
      if (live_[s]) number[s] = count++;
    auto& a = automaton_;
    a.states_.reserve(count + 1);
    for (size_t s = 0; s < states_.size(); ++s) {
      if (!live_[s]) continue;
      a.states_.push_back({static_cast<uint32_t>(a.byte_edges_.size()), static_cast<uint32_t>(a.call_edges_.size()),
                           states_[s].accepts});
      for (const auto& edge : states_[s].bytes)
        if (live_[edge.target]) a.byte_edges_.push_back({edge.first, edge.last, number[edge.target]});
      for (const auto& call : states_[s].calls)
        if (usable(call)) a.call_edges_.push_back({number[starts_[call.rule]], number[call.target]});
    }
    a.states_.push_back(
        {static_cast<uint32_t>(a.byte_edges_.size()), static_cast<uint32_t>(a.call_edges_.size()), false});
    a.start_ = number[starts_[grammar_.root()]];
  }

  void classify_bytes() {
    std::bitset<257> begins;  // bytes at which some edge begins, or has just ended
    for (const auto& edge : automaton_.byte_edges_) {
      begins.set(edge.first);
      begins.set(edge.last + 1U);
    }
    uint32_t current = 0;
    for (uint32_t b = 0; b < 256; ++b) {
      if (b != 0 && begins[b]) ++current;
      automaton_.class_of_[b] = static_cast<uint8_t>(current);
    }
    automaton_.class_count_ = current + 1;
  }

  static constexpr uint32_t kNone = UINT32_MAX;

  const Grammar& grammar_;
  std::vector<RuleState> states_;
  std::vector<uint32_t> starts_;  // by rule
  std::vector<Rule> rules_;       // that the root reaches
  std::vector<bool> live_;
  std::vector<bool> nullable_;
  Automaton automaton_;
};

Result<Automaton> Automaton::compile(const Grammar& grammar) { return AutomatonCompiler(grammar).run(); }

std::optional<State> Automaton::after(State state, uint8_t first, uint8_t last) const {
  for (const ByteEdge& edge : bytes(state))
    if (edge.first <= first && last <= edge.last) return edge.target;
  return std::nullopt;
}

std::optional<State> Automaton::after_plain_character(State state) const {
  struct Range {
    uint8_t first;
    uint8_t last;
  };
  // The well-formed sequences of UTF-8 (The Unicode Standard, table 3-7), ASCII without quote and backslash.
  static constexpr Range kTail{0x80, 0xBF};
  static const std::vector<std::vector<Range>> kForms = {
      {{0x20, 0x21}},
      {{0x23, 0x5B}},
      {{0x5D, 0x7F}},
      {{0xC2, 0xDF}, kTail},
      {{0xE0, 0xE0}, {0xA0, 0xBF}, kTail},
      {{0xE1, 0xEC}, kTail, kTail},
      {{0xED, 0xED}, {0x80, 0x9F}, kTail},
      {{0xEE, 0xEF}, kTail, kTail},
      {{0xF0, 0xF0}, {0x90, 0xBF}, kTail, kTail},
      {{0xF1, 0xF3}, kTail, kTail, kTail},
      {{0xF4, 0xF4}, {0x80, 0x8F}, kTail, kTail},
  };
  std::optional<State> common;
  for (const auto& form : kForms) {
    State at = state;
    for (const Range& range : form) {
      // A state between the bytes of a character that had another way on would be a way that is not seen here.
      if (!calls(at).empty() || (at != state && accepts(at))) return std::nullopt;
      const std::optional<State> next = after(at, range.first, range.last);
      if (!next) return std::nullopt;
      at = *next;
    }
    if (common && *common != at) return std::nullopt;
    common = at;
  }
  return common;
}

bool Automaton::takes_plain_bytes(State state) const {
  const auto edges = bytes(state);
  return std::any_of(edges.begin(), edges.end(), [](const ByteEdge& edge) {
    for (uint32_t byte = edge.first; byte <= edge.last; ++byte)
      if (byte >= 0x20 && byte != '"' && byte != '\\') return true;
    return false;
  });
}

size_t Automaton::memory_bytes() const {
  return states_.size() * sizeof(StateEntry) + byte_edges_.size() * sizeof(ByteEdge) +
         call_edges_.size() * sizeof(CallEdge);
}

}  // namespace switchyard::structured
