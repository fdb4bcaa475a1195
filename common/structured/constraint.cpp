#include "common/structured/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <optional>

#include "common/structured/before_answer.h"
#include "common/structured/ebnf.h"
#include "common/structured/json_schema.h"
#include "common/structured/regex.h"

namespace switchyard::structured {
namespace {

namespace json = boost::json;

Result<json::value> parse_json(const std::string& text) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 200;
  json::value value = json::parse(text, error, {}, options);
  if (error) return Error{Errc::kInvalid, fmt::format("not valid JSON: {}", error.message())};
  return value;
}

Result<Grammar> choice_grammar(const std::string& text) {
  SWITCHYARD_ASSIGN(const json::value list, parse_json(text));
  if (!list.is_array() || list.get_array().empty()) return Error{Errc::kInvalid, "a list of choices is empty, or none"};
  Grammar grammar;
  std::vector<Expr> choices;
  for (const json::value& choice : list.get_array()) {
    if (!choice.is_string()) return Error{Errc::kInvalid, "a choice is not a string"};
    choices.push_back(grammar.literal(std::string_view(choice.get_string())));
  }
  const Rule rule = grammar.add_rule("the choice", Grammar::Calls::kShared);
  grammar.define(rule, grammar.choice(std::move(choices)));
  grammar.set_root(rule);
  return grammar;
}

Result<Grammar> regex_grammar(const std::string& text) {
  Grammar grammar;
  SWITCHYARD_ASSIGN(const Expr body, parse_regex(grammar, text, RegexMatch::kWhole, &utf8_character));
  const Rule rule = grammar.add_rule("the regular expression", Grammar::Calls::kShared);
  grammar.define(rule, body);
  grammar.set_root(rule);
  return grammar;
}

Result<Grammar> grammar_of(const Constraint& constraint) {
  switch (constraint.kind) {
    case Constraint::Kind::kJsonObject: return any_json_object();
    case Constraint::Kind::kJsonSchema: {
      SWITCHYARD_ASSIGN(const json::value schema, parse_json(constraint.text));
      return parse_json_schema(schema, {.closed = !constraint.open_objects});
    }
    case Constraint::Kind::kRegex: return regex_grammar(constraint.text);
    case Constraint::Kind::kChoice: return choice_grammar(constraint.text);
    case Constraint::Kind::kGrammar: return parse_ebnf(constraint.text);
  }
  return Error{Errc::kInvalid, "a kind of constraint that is not known"};
}

}  // namespace

Result<Automaton> compile(const Constraint& constraint) {
  if (constraint.text.size() > Constraint::kTextMax)
    return Error{Errc::kTooLarge,
                 fmt::format("{} bytes are more than {}", constraint.text.size(), Constraint::kTextMax)};
  if (constraint.begins_after.size() > kMarkerMax || constraint.reasoning_opens.size() > kMarkerMax)
    return Error{Errc::kTooLarge, "the marker before the answer is too long"};
  SWITCHYARD_ASSIGN(Grammar grammar, grammar_of(constraint));
  std::optional<Expr> before;
  if (constraint.in_harmony) {
    before = harmony_before_answer(grammar);
  } else if (!constraint.begins_after.empty()) {
    before = reasoning(grammar, constraint.reasoning_opens, constraint.begins_after);
  }
  if (before) {
    const Rule answer = grammar.root();
    const Rule all = grammar.add_rule("the answer", Grammar::Calls::kShared);
    grammar.define(all, grammar.sequence({*before, grammar.call(answer)}));
    grammar.set_root(all);
  }
  return Automaton::compile(grammar);
}

MaskStore::MaskStore(std::shared_ptr<const Vocabulary> vocabulary, size_t memory_max)
    : vocabulary_(std::move(vocabulary)), memory_max_(memory_max) {}

Result<std::shared_ptr<Masks>> MaskStore::get(const Constraint& constraint) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == constraint; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().second;
  }
  SWITCHYARD_ASSIGN(Automaton automaton, compile(constraint));
  entries_.emplace_front(constraint, std::make_shared<Masks>(std::move(automaton), vocabulary_));
  size_t total = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    total += entry->second->memory_bytes() + 2 * entry->first.text.size();
    entry = total > memory_max_ && entry != entries_.begin() ? entries_.erase(entry) : std::next(entry);
  }
  return entries_.front().second;
}

}  // namespace switchyard::structured
