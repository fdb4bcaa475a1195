#include "common/structured/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

namespace switchyard::structured {
namespace {

constexpr uint32_t kRepeatMax = 100000;

CharacterSet digits() { return {'0', '9'}; }
CharacterSet word_characters() {
  CharacterSet set{'0', '9'};
  set.add('A', 'Z');
  set.add('a', 'z');
  set.add('_', '_');
  return set;
}
CharacterSet spaces() {
  CharacterSet set{'\t', '\r'};  // \t \n \v \f \r
  // ECMA-262, WhiteSpace and LineTerminator; the general category Zs of The Unicode Standard.
  for (const uint32_t c : {0x20U, 0xA0U, 0x1680U, 0x2028U, 0x2029U, 0x202FU, 0x205FU, 0x3000U, 0xFEFFU}) set.add(c, c);
  set.add(0x2000, 0x200A);
  return set;
}

CharacterSet line_terminators() {
  CharacterSet set{'\n', '\n'};
  set.add('\r', '\r');
  set.add(0x2028, 0x2029);
  return set;
}

class RegexParser {
 public:
  RegexParser(Grammar& grammar, std::string_view pattern, WriteCharacter write)
      : grammar_(grammar), pattern_(pattern), write_(write) {}

  Result<Expr> run(RegexMatch match) {
    if (!is_utf8(pattern_)) return Error{Errc::kInvalid, "the regular expression is not UTF-8"};
    const Expr any = grammar_.repeat(write_(grammar_, CharacterSet::all()), 0, {});
    std::vector<Expr> alternatives;
    do {
      const bool from_start = take('^');
      SWITCHYARD_ASSIGN(const Expr body, sequence(0));
      const bool to_end = take('$');
      if (match == RegexMatch::kWhole) {
        alternatives.push_back(body);
      } else {
        std::vector<Expr> parts;
        if (!from_start) parts.push_back(any);
        parts.push_back(body);
        if (!to_end) parts.push_back(any);
        alternatives.push_back(grammar_.sequence(std::move(parts)));
      }
    } while (take('|'));
    if (at_ < pattern_.size()) return fail(pattern_[at_] == ')' ? "a ')' without '('" : "an anchor inside it");
    return grammar_.choice(std::move(alternatives));
  }

 private:
  Error fail(std::string_view what) const {
    return Error{Errc::kInvalid, fmt::format("the regular expression has, at byte {}, {}", at_, what)};
  }
  Error unsupported(std::string_view what) const { return fail(fmt::format("{}, which is not supported", what)); }

  bool more() const { return at_ < pattern_.size(); }
  bool take(char c) {
    if (!more() || pattern_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  // Up to '|', ')', '$' or the end.
  Result<Expr> sequence(uint32_t depth) {
    std::vector<Expr> parts;
    while (more() && pattern_[at_] != '|' && pattern_[at_] != ')' && pattern_[at_] != '$') {
      SWITCHYARD_ASSIGN(Expr part, atom(depth));
      SWITCHYARD_ASSIGN(part, quantified(part));
      parts.push_back(part);
    }
    return grammar_.sequence(std::move(parts));
  }

  Result<Expr> atom(uint32_t depth) {
    switch (pattern_[at_]) {
      case '(': return group(depth);
      case '[': {
        SWITCHYARD_ASSIGN(const CharacterSet set, character_class());
        return write_(grammar_, set);
      }
      case '.': ++at_; return write_(grammar_, line_terminators().complement());
      case '\\': {
        SWITCHYARD_ASSIGN(const CharacterSet set, escape(false));
        return write_(grammar_, set);
      }
      case '^': return unsupported("an anchor inside it");
      case '*':
      case '+':
      case '?': return fail("a quantifier with nothing before it");
      default: {
        const uint32_t c = next_character(pattern_, at_);
        return write_(grammar_, {c, c});
      }
    }
  }

  Result<Expr> group(uint32_t depth) {
    if (depth >= kRegexDepthMax) return fail("groups nested too deep");
    const size_t begin = at_++;
    if (more() && pattern_[at_] == '?') {
      const auto is_name_start = [&](size_t i) {
        return i < pattern_.size() &&
               (std::isalpha(static_cast<unsigned char>(pattern_[i])) != 0 || pattern_[i] == '_');
      };
      if (take("?:")) {
      } else if ((pattern_.substr(at_).starts_with("?<") && is_name_start(at_ + 2)) ||
                 (pattern_.substr(at_).starts_with("?P<") && is_name_start(at_ + 3))) {
        const size_t end = pattern_.find('>', at_);
        if (end == std::string_view::npos) return fail("a group name without '>'");
        at_ = end + 1;
      } else {
        at_ = begin;
        const std::string_view rest = pattern_.substr(begin);
        if (rest.starts_with("(?=") || rest.starts_with("(?!")) return unsupported("a lookahead");
        if (rest.starts_with("(?<=") || rest.starts_with("(?<!")) return unsupported("a lookbehind");
        if (rest.starts_with("(?P=")) return unsupported("a backreference");
        if (rest.starts_with("(?>")) return unsupported("an atomic group");
        return unsupported("flags or an unknown kind of group");
      }
    }
    std::vector<Expr> alternatives;
    do {
      SWITCHYARD_ASSIGN(const Expr part, sequence(depth + 1));
      alternatives.push_back(part);
    } while (take('|'));
    if (more() && pattern_[at_] == '$') return unsupported("an anchor inside it");
    if (!take(')')) return fail("a '(' without ')'");
    return grammar_.choice(std::move(alternatives));
  }

  Result<Expr> quantified(Expr part) {
    uint32_t least = 1;
    std::optional<uint32_t> most = 1;
    if (take('*')) {
      least = 0;
      most.reset();
    } else if (take('+')) {
      most.reset();
    } else if (take('?')) {
      least = 0;
    } else if (!take_counts(least, most)) {
      return part;
    }
    if (take('?')) {  // lazy: the same language
    } else if (more() && pattern_[at_] == '+') {
      return unsupported("a possessive quantifier");
    } else if (more() && (pattern_[at_] == '*')) {
      return fail("two quantifiers in a row");
    }
    if (least > kRepeatMax || most.value_or(0) > kRepeatMax) return fail(fmt::format("a count above {}", kRepeatMax));
    if (most && *most < least) return fail("a range of counts that is upside down");
    return grammar_.repeat(part, least, most);
  }

  // {n}, {n,}, {n,m}; anything else is text.
  bool take_counts(uint32_t& least, std::optional<uint32_t>& most) {
    if (!more() || pattern_[at_] != '{') return false;
    size_t i = at_ + 1;
    const auto number = [&]() -> std::optional<uint32_t> {
      const size_t begin = i;
      uint64_t value = 0;
      while (i < pattern_.size() && pattern_[i] >= '0' && pattern_[i] <= '9') {
        value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(pattern_[i] - '0'), kRepeatMax + 1);
        ++i;
      }
      if (i == begin) return std::nullopt;
      return static_cast<uint32_t>(value);
    };
    const auto first = number();
    if (!first) return false;
    std::optional<uint32_t> second = first;
    if (i < pattern_.size() && pattern_[i] == ',') {
      ++i;
      second = number();
    }
    if (i >= pattern_.size() || pattern_[i] != '}') return false;
    at_ = i + 1;
    least = *first;
    most = second;
    return true;
  }

  std::optional<uint32_t> hex(size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (!more() || std::isxdigit(static_cast<unsigned char>(pattern_[at_])) == 0) return std::nullopt;
      const char c = pattern_[at_++];
      value = value * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
  }

  // From the backslash on.
  Result<CharacterSet> escape(bool in_class) {
    const auto one = [](uint32_t c) { return CharacterSet(c, c); };
    ++at_;
    if (!more()) return fail("a backslash at its end");
    const uint32_t c = next_character(pattern_, at_);
    switch (c) {
      case 'd': return digits();
      case 'D': return digits().complement();
      case 'w': return word_characters();
      case 'W': return word_characters().complement();
      case 's': return spaces();
      case 'S': return spaces().complement();
      case 'n': return one('\n');
      case 't': return one('\t');
      case 'r': return one('\r');
      case 'f': return one('\f');
      case 'v': return one('\v');
      case '0': return one(0);
      case 'b':
        if (in_class) return one('\b');
        return unsupported("a word boundary (\\b)");
      case 'B': return unsupported("a word boundary (\\B)");
      case 'p':
      case 'P': return unsupported("a Unicode property (\\p)");
      case 'k': return unsupported("a backreference");
      case 'A':
      case 'Z':
      case 'z':
      case 'G': return unsupported("an anchor other than ^ and $");
      case 'c': {
        if (!more() || std::isalpha(static_cast<unsigned char>(pattern_[at_])) == 0)
          return fail("\\c without a letter");
        return one(static_cast<uint32_t>(pattern_[at_++]) & 31U);
      }
      case 'x':
      case 'u': return code_point(c == 'x' ? 2 : 4);
      default: break;
    }
    if (c >= '1' && c <= '9') return unsupported("a backreference");
    if (c < 128 && std::isalpha(static_cast<int>(c)) != 0)
      return unsupported(fmt::format("the escape \\{}", static_cast<char>(c)));
    return one(c);
  }

  Result<CharacterSet> code_point(size_t hex_digits) {
    std::optional<uint32_t> value;
    if (take('{')) {
      const size_t end = pattern_.find('}', at_);
      if (end == std::string_view::npos || end - at_ > 6 || end == at_) return fail("a code point without '}'");
      value = hex(end - at_);
      if (value && !take('}')) value.reset();
    } else {
      value = hex(hex_digits);
      // A pair of surrogates is one character.
      if (value && *value >= 0xD800 && *value < 0xDC00 && take("\\u")) {
        const auto low = hex(4);
        if (low && *low >= 0xDC00 && *low < 0xE000) value = 0x10000 + ((*value - 0xD800) << 10) + (*low - 0xDC00);
      }
    }
    if (!value) return fail("an escape that lacks hexadecimal digits");
    if (*value > kCodePointLast || (*value >= 0xD800 && *value < 0xE000)) return fail("a code point that is none");
    return CharacterSet(*value, *value);
  }

  Result<CharacterSet> character_class() {
    ++at_;
    const bool negated = take('^');
    CharacterSet set;
    for (bool first = true;; first = false) {
      if (!more()) return fail("a '[' without ']'");
      if (pattern_[at_] == ']' && !first) break;
      if (pattern_[at_] == ']') {  // ECMAScript: the empty class; elsewhere: the character
        if (pattern_.find(']', at_ + 1) == std::string_view::npos) break;
      }
      if (pattern_.substr(at_).starts_with("[:")) return unsupported("a POSIX class");
      SWITCHYARD_ASSIGN(const CharacterSet low, class_member());
      const bool is_one = low.ranges().size() == 1 && low.ranges()[0].first == low.ranges()[0].second;
      if (is_one && more() && pattern_[at_] == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']') {
        ++at_;
        SWITCHYARD_ASSIGN(const CharacterSet high, class_member());
        const bool also_one = high.ranges().size() == 1 && high.ranges()[0].first == high.ranges()[0].second;
        if (!also_one) return fail("a range that ends in a class");
        if (high.ranges()[0].first < low.ranges()[0].first) return fail("a range that is upside down");
        set.add(low.ranges()[0].first, high.ranges()[0].first);
      } else {
        set.add(low);
      }
    }
    ++at_;
    return negated ? set.complement() : set;
  }
  Result<CharacterSet> class_member() {
    if (pattern_[at_] == '\\') return escape(true);
    const uint32_t c = next_character(pattern_, at_);
    return CharacterSet(c, c);
  }

  Grammar& grammar_;
  const std::string_view pattern_;
  const WriteCharacter write_;
  size_t at_ = 0;
};

}  // namespace

Result<Expr> parse_regex(Grammar& grammar, std::string_view pattern, RegexMatch match, WriteCharacter write) {
  return RegexParser(grammar, pattern, write).run(match);
}

}  // namespace switchyard::structured
