#include "common/structured/before_answer.h"

#include <algorithm>
#include <map>
#include <vector>

#include "common/structured/vocabulary.h"

namespace switchyard::structured {
namespace {

Expr marker(Grammar& grammar, const std::string& text) {
  return grammar.choice({grammar.literal(text), grammar.literal(Vocabulary::special(text))});
}

// Anything up to the first occurrence of the marker, without one of the others, of which none holds another: as the
// automaton of Aho and Corasick, a rule for each beginning of a marker that was just read. Their calls stand in last
// place, and cost no stack.
Expr up_to(Grammar& grammar, const std::string& close, const std::vector<std::string>& others) {
  std::vector<std::string> markers = others;
  markers.push_back(close);
  std::map<std::string, Rule> states;
  for (const std::string& text : markers)
    for (size_t length = 0; length < text.size(); ++length) states.emplace(text.substr(0, length), 0);
  for (auto& [begun, rule] : states) rule = grammar.add_rule("the text before the answer", Grammar::Calls::kShared);
  for (const auto& [begun, rule] : states) {
    std::map<Rule, ByteSet> targets;
    ByteSet closing;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      if (byte == static_cast<uint8_t>(Vocabulary::kSpecial)) continue;
      std::string seen = begun + static_cast<char>(byte);
      if (std::find(others.begin(), others.end(), seen) != others.end()) continue;
      if (seen == close) {
        closing.set(byte);
        continue;
      }
      while (!states.contains(seen)) seen.erase(0, 1);
      targets[states.at(seen)].set(byte);
    }
    std::vector<Expr> choices{grammar.bytes(closing), grammar.literal(Vocabulary::special(close))};
    for (const auto& [next, bytes] : targets)
      choices.push_back(grammar.sequence({grammar.bytes(bytes), grammar.call(next)}));
    grammar.define(rule, grammar.choice(std::move(choices)));
  }
  return grammar.call(states.at(""));
}

}  // namespace

Expr reasoning(Grammar& grammar, const std::string& opens, const std::string& close) {
  constexpr uint32_t kLineBreaksMax = 3;
  const Expr inside =
      grammar.sequence({up_to(grammar, close, {}), grammar.repeat(grammar.literal("\n"), 0, kLineBreaksMax)});
  return opens.empty() ? inside : grammar.optional(grammar.sequence({marker(grammar, opens), inside}));
}

Expr harmony_before_answer(Grammar& grammar) {
  auto& g = grammar;
  const std::vector<std::string> others = {"<|start|>", "<|channel|>", "<|call|>", "<|return|>"};
  const auto header = [&](std::vector<Expr> words) {
    words.insert(words.begin(), marker(g, "<|channel|>"));
    words.push_back(marker(g, "<|message|>"));
    return g.sequence(std::move(words));
  };
  const Expr analysis = g.sequence(
      {header({g.literal("analysis")}), up_to(g, "<|end|>", others), marker(g, "<|start|>"), g.literal("assistant")});
  const Expr type = g.sequence({g.optional(g.literal(" ")), marker(g, "<|constrain|>"), g.literal("json")});
  return g.sequence({g.repeat(analysis, 0, {}), header({g.literal("final"), g.optional(type)})});
}

}  // namespace switchyard::structured
