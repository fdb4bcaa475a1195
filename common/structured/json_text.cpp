#include "common/structured/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>

namespace switchyard::structured {
namespace {

namespace json = boost::json;

CharacterSet specials() {
  CharacterSet set{0, 0x1F};
  set.add('"', '"');
  set.add('\\', '\\');
  return set;
}

Expr one_of(Grammar& grammar, std::string_view characters) {
  ByteSet set;
  for (const char c : characters) set.set(static_cast<uint8_t>(c));
  return grammar.bytes(set);
}
Expr hex_digit(Grammar& grammar) { return one_of(grammar, "0123456789abcdefABCDEF"); }
Expr digit(Grammar& grammar) { return grammar.bytes('0', '9'); }

// A Unicode escape of a scalar value: two of surrogates count as one character.
Expr unicode_escape(Grammar& g) {
  const Expr hex = hex_digit(g);
  const Expr d = one_of(g, "dD");
  const Expr plain =
      g.choice({g.sequence({one_of(g, "0123456789abcefABCEF"), hex}), g.sequence({d, g.bytes('0', '7')})});
  const Expr high = g.sequence({d, one_of(g, "89abAB")});
  const Expr low = g.sequence({d, one_of(g, "cdefCDEF")});
  return g.sequence({g.literal("\\u"), g.choice({g.sequence({plain, hex, hex}),
                                                 g.sequence({high, hex, hex, g.literal("\\u"), low, hex, hex})})});
}

}  // namespace

Expr json_character(Grammar& grammar, const CharacterSet& set) {
  static constexpr std::string_view kShort = "\"\"\\\\\bb\ff\nn\rr\tt";  // character and letter, in turn
  std::vector<Expr> choices{utf8_character(grammar, set.minus(specials()))};
  for (size_t i = 0; i < kShort.size(); i += 2) {
    if (set.contains(static_cast<uint8_t>(kShort[i])))
      choices.push_back(grammar.literal(std::string("\\") + kShort[i + 1]));
  }
  for (uint32_t c = 0; c < 0x20; ++c) {
    const bool has_short = c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t';
    if (set.contains(c) && !has_short) choices.push_back(grammar.literal(fmt::format("\\u{:04x}", c)));
  }
  std::erase_if(choices, [&](Expr e) { return grammar.at(e).kind == Grammar::Kind::kNever; });
  return grammar.choice(std::move(choices));
}

std::string json_literal(const json::value& value) {
  std::string text;
  const auto list = [&](char open, char close, const auto& items, const auto& write) {
    text += open;
    for (auto item = items.begin(); item != items.end(); ++item) {
      if (item != items.begin()) text += ',';
      write(*item);
    }
    text += close;
  };
  if (value.is_object()) {
    list('{', '}', value.get_object(), [&](const auto& member) {
      text += json::serialize(json::value(member.key())) + ":" + json_literal(member.value());
    });
  } else if (value.is_array()) {
    list('[', ']', value.get_array(), [&](const json::value& item) { text += json_literal(item); });
  } else if (value.is_double()) {
    text = fmt::format("{}", value.get_double());
  } else {
    text = json::serialize(value);
  }
  return text;
}

JsonText::JsonText(Grammar& grammar) : grammar_(grammar) {}

Expr JsonText::shared(std::optional<Rule>& slot, const char* name, Expr (JsonText::*build)()) {
  if (!slot) {
    slot = grammar_.add_rule(name, Grammar::Calls::kShared);
    const Rule rule = *slot;  // known before its body, which may call it
    grammar_.define(rule, (this->*build)());
  }
  return grammar_.call(*slot);
}

Expr JsonText::space() { return grammar_.optional(shared(space_, "white space", &JsonText::build_space)); }
Expr JsonText::value() { return shared(value_, "any value", &JsonText::build_value); }
Expr JsonText::object() { return shared(object_, "any object", &JsonText::build_object); }
Expr JsonText::array() { return shared(array_, "any array", &JsonText::build_array); }
Expr JsonText::string() { return shared(string_, "any string", &JsonText::build_string); }
Expr JsonText::number() { return shared(number_, "any number", &JsonText::build_number); }
Expr JsonText::integer() { return shared(integer_, "any integer", &JsonText::build_integer); }
Expr JsonText::boolean() { return grammar_.choice({grammar_.literal("true"), grammar_.literal("false")}); }

Expr JsonText::build_space() {
  return grammar_.choice(
      {grammar_.literal(" "),
       grammar_.sequence({grammar_.literal("\n"), grammar_.repeat(one_of(grammar_, " \t"), 0, kIndentMax)})});
}

Expr JsonText::build_value() { return grammar_.choice({object(), array(), string(), number(), boolean(), null()}); }

Expr JsonText::build_object() {
  auto& g = grammar_;
  const Expr member = g.sequence({string(), g.literal(":"), space(), value()});
  const Expr more = g.repeat(g.sequence({g.literal(","), space(), member}), 0, {});
  return g.sequence({g.literal("{"), space(), g.optional(g.sequence({member, more, space()})), g.literal("}")});
}

Expr JsonText::build_array() {
  auto& g = grammar_;
  const Expr more = g.repeat(g.sequence({g.literal(","), space(), value()}), 0, {});
  return g.sequence({g.literal("["), space(), g.optional(g.sequence({value(), more, space()})), g.literal("]")});
}

Expr JsonText::character() {
  auto& g = grammar_;
  return g.choice({utf8_character(g, specials().complement()), g.sequence({g.literal("\\"), one_of(g, "\"\\/bfnrt")}),
                   unicode_escape(g)});
}

Expr JsonText::build_string() { return string(0, std::nullopt); }

Expr JsonText::string(uint32_t least, std::optional<uint32_t> most) {
  return grammar_.sequence({grammar_.literal("\""), grammar_.repeat(character(), least, most), grammar_.literal("\"")});
}

Expr JsonText::build_integer() {
  auto& g = grammar_;
  return g.sequence(
      {g.optional(g.literal("-")),
       g.choice({g.literal("0"), g.sequence({g.bytes('1', '9'), g.repeat(digit(g), 0, kIntegerDigits - 1)})})});
}

Expr JsonText::build_number() {
  auto& g = grammar_;
  return g.sequence(
      {build_integer(), g.optional(g.sequence({g.literal("."), g.repeat(digit(g), 1, kFractionDigits)})),
       g.optional(g.sequence({one_of(g, "eE"), g.optional(one_of(g, "+-")), g.repeat(digit(g), 1, kExponentDigits)}))});
}

// Along the trie of the names: while a text may still become one of them it is written plainly, so that an escape is
// not another way to write the name; where it has left them all, anything goes.
Expr JsonText::string_but(const std::vector<std::string>& names) {
  struct Node {
    std::map<uint32_t, size_t> children;
    bool is_name = false;
  };
  std::vector<Node> nodes(1);
  for (const std::string& name : names) {
    size_t node = 0;
    for (size_t at = 0; at < name.size();) {
      const uint32_t c = next_character(name, at);
      const auto [found, added] = nodes[node].children.emplace(c, nodes.size());
      const size_t next = found->second;
      if (added) nodes.emplace_back();
      node = next;
    }
    nodes[node].is_name = true;
  }
  auto& g = grammar_;
  const Expr rest = g.sequence({g.repeat(character(), 0, {}), g.literal("\"")});
  const Rule anything = g.add_rule("the rest of a name", Grammar::Calls::kShared);
  g.define(anything, rest);
  std::vector<Expr> built(nodes.size());
  for (size_t i = nodes.size(); i-- > 0;) {  // children come after their parents
    std::vector<Expr> choices;
    CharacterSet known;
    for (const auto& [c, child] : nodes[i].children) {
      known.add(c, c);
      choices.push_back(g.sequence({json_character(g, {c, c}), built[child]}));
    }
    choices.push_back(g.sequence({json_character(g, known.complement()), g.call(anything)}));
    if (!nodes[i].is_name) choices.push_back(g.literal("\""));
    built[i] = g.choice(std::move(choices));
  }
  return g.sequence({g.literal("\""), built[0]});
}

}  // namespace switchyard::structured
