#include "common/structured/ebnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "common/structured/characters.h"

namespace switchyard::structured {
namespace {

constexpr uint32_t kRepeatMax = 100000;

class EbnfParser {
 public:
  explicit EbnfParser(std::string_view text) : text_(text) {}

  Result<Grammar> run() {
    if (!is_utf8(text_)) return Error{Errc::kInvalid, "the grammar is not UTF-8"};
    skip_space();
    while (more()) {
      const std::string name(identifier());
      if (name.empty()) return fail("a rule's name is expected");
      skip_space();
      if (!take("::=")) {
        if (take(":")) return fail("a Lark grammar is not supported; write EBNF: root ::= ...");
        return fail(fmt::format("'::=' is expected after '{}'", name));
      }
      SWITCHYARD_ASSIGN(const Rule rule, rule_of(name));
      if (defined_[rule]) return fail(fmt::format("rule '{}' is defined twice", name));
      defined_[rule] = true;
      SWITCHYARD_ASSIGN(const Expr body, alternatives(0));
      grammar_.define(rule, body);
      if (more() && text_[at_] == ')') return fail("a ')' without '('");
    }
    for (const auto& [name, rule] : rules_)
      if (!defined_[rule]) return Error{Errc::kInvalid, fmt::format("the grammar has no rule '{}'", name)};
    const auto root = rules_.find("root");
    if (root == rules_.end()) return Error{Errc::kInvalid, "the grammar has no rule 'root'"};
    grammar_.set_root(root->second);
    return std::move(grammar_);
  }

 private:
  Error fail(std::string_view what) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, text_.size())), '\n');
    return Error{Errc::kInvalid, fmt::format("the grammar's line {}: {}", line, what)};
  }
  bool more() const { return at_ < text_.size(); }
  bool take(std::string_view text) {
    if (!text_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  void skip_space() {
    while (more()) {
      if (text_[at_] == '#') {
        while (more() && text_[at_] != '\n') ++at_;
      } else if (std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return;
      }
    }
  }
  static bool in_name(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' ||
           c == '.';
  }
  std::string_view identifier() {
    const size_t begin = at_;
    if (!more() || text_[at_] == '.') return {};  // any character
    while (more() && in_name(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  Result<Rule> rule_of(const std::string& name) {
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second;
    if (rules_.size() >= kRulesMax) return fail(fmt::format("more than {} rules", kRulesMax));
    const Rule rule = grammar_.add_rule(fmt::format("rule '{}'", name), Grammar::Calls::kInlined);
    rules_.emplace(name, rule);
    defined_.push_back(false);
    return rule;
  }

  // Up to ')', the end, or the next rule.
  Result<Expr> alternatives(uint32_t depth) {
    std::vector<Expr> choices;
    do {
      std::vector<Expr> parts;
      for (skip_space(); more() && text_[at_] != '|' && text_[at_] != ')'; skip_space()) {
        const size_t begin = at_;
        const std::string name(identifier());
        if (!name.empty()) {
          skip_space();
          const bool next_rule = take("::=");
          if (next_rule || (depth == 0 && more() && text_[at_] == ':')) {
            at_ = begin;
            if (depth != 0) return fail("a '(' without ')'");
            choices.push_back(grammar_.sequence(std::move(parts)));
            return grammar_.choice(std::move(choices));
          }
          at_ = begin + name.size();
        }
        Expr part = 0;
        if (!name.empty()) {
          SWITCHYARD_ASSIGN(const Rule rule, rule_of(name));
          part = grammar_.call(rule);
        } else {
          SWITCHYARD_ASSIGN(part, atom(depth));
        }
        SWITCHYARD_ASSIGN(part, quantified(part));
        parts.push_back(part);
      }
      choices.push_back(grammar_.sequence(std::move(parts)));
    } while (take("|"));
    return grammar_.choice(std::move(choices));
  }

  Result<Expr> atom(uint32_t depth) {
    const char c = text_[at_];
    if (c == '"') return string();
    if (c == '[') return character_class();
    if (take(".")) return utf8_character(grammar_, CharacterSet::all());
    if (c == '(') {
      ++at_;
      if (more() && (text_[at_] == '=' || text_[at_] == '!' || text_[at_] == '?'))
        return fail("a lookahead is not supported");
      if (depth >= kEbnfDepthMax) return fail("groups nested too deep");
      SWITCHYARD_ASSIGN(const Expr inner, alternatives(depth + 1));
      if (!take(")")) return fail("a '(' without ')'");
      return inner;
    }
    return fail(fmt::format("'{}' is not expected", std::string_view(&text_[at_], 1)));
  }

  Result<Expr> quantified(Expr part) {
    // A quantifier stands right behind what it repeats, or, as in llama.cpp, behind white space.
    for (;;) {
      const size_t before = at_;
      while (more() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
      if (take("*")) {
        part = grammar_.repeat(part, 0, {});
      } else if (take("+")) {
        part = grammar_.repeat(part, 1, {});
      } else if (take("?")) {
        part = grammar_.optional(part);
      } else if (take("{")) {
        SWITCHYARD_ASSIGN(part, counted(part));
      } else {
        at_ = before;
        return part;
      }
    }
  }
  std::optional<uint32_t> number() {
    const size_t begin = at_;
    uint64_t value = 0;
    for (; more() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(text_[at_] - '0'), kRepeatMax + 1);
    if (at_ == begin) return std::nullopt;
    return static_cast<uint32_t>(value);
  }
  Result<Expr> counted(Expr part) {
    skip_space();
    const auto least = number();
    skip_space();
    std::optional<uint32_t> most = least;
    if (take(",")) {
      skip_space();
      most = number();
      skip_space();
    }
    if (!take("}") || !least) return fail("a count must be {n}, {n,} or {n,m}");
    if (*least > kRepeatMax || most.value_or(0) > kRepeatMax) return fail(fmt::format("a count above {}", kRepeatMax));
    if (most && *most < *least) return fail("a range of counts that is upside down");
    return grammar_.repeat(part, *least, most);
  }

  // One character of a string or class, with its escapes.
  Result<uint32_t> character() {
    if (!more()) return fail("a string or class without its end");
    if (text_[at_] != '\\') return next_character(text_, at_);
    if (++at_ >= text_.size()) return fail("a backslash at the end");
    const uint32_t c = next_character(text_, at_);
    size_t digits = 0;
    switch (c) {
      case 'n': return uint32_t{'\n'};
      case 'r': return uint32_t{'\r'};
      case 't': return uint32_t{'\t'};
      case 'f': return uint32_t{'\f'};
      case 'v': return uint32_t{'\v'};
      case 'b': return uint32_t{'\b'};
      case '0': return uint32_t{0};
      case 'x': digits = 2; break;
      case 'u': digits = 4; break;
      case 'U': digits = 8; break;
      default:
        if (c < 128 && std::isalnum(static_cast<int>(c)) != 0)
          return fail(fmt::format("the escape \\{} is not supported", static_cast<char>(c)));
        return c;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      if (!more() || std::isxdigit(static_cast<unsigned char>(text_[at_])) == 0)
        return fail("an escape that lacks hexadecimal digits");
      const char h = text_[at_];
      value = value * 16 + static_cast<uint64_t>(h <= '9' ? h - '0' : (h | 32) - 'a' + 10);
    }
    if (value > kCodePointLast || (value >= 0xD800 && value < 0xE000)) return fail("a code point that is none");
    return static_cast<uint32_t>(value);
  }
  Result<Expr> string() {
    ++at_;
    std::string bytes;
    while (more() && text_[at_] != '"') {
      SWITCHYARD_ASSIGN(const uint32_t c, character());
      append_utf8(bytes, c);
    }
    if (!take("\"")) return fail("a string without its end");
    return grammar_.literal(bytes);
  }
  Result<Expr> character_class() {
    ++at_;
    const bool negated = take("^");
    CharacterSet set;
    while (more() && text_[at_] != ']') {
      SWITCHYARD_ASSIGN(const uint32_t low, character());
      uint32_t high = low;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        SWITCHYARD_ASSIGN(high, character());
        if (high < low) return fail("a range that is upside down");
      }
      set.add(low, high);
    }
    if (!take("]")) return fail("a '[' without ']'");
    return utf8_character(grammar_, negated ? set.complement() : set);
  }

  const std::string_view text_;
  size_t at_ = 0;
  Grammar grammar_;
  std::map<std::string, Rule> rules_;
  std::vector<bool> defined_;
};

}  // namespace

Result<Grammar> parse_ebnf(std::string_view text) { return EbnfParser(text).run(); }

}  // namespace switchyard::structured
