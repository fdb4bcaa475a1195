#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/text/regex.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <vector>

#include "common/text/regex_classes.h"
#include "common/text/utf8.h"

namespace switchyard::text {
namespace {

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        atom_ = out_.size();
        SWITCHYARD_TRY(escape());
      } else if (c == '[') {
        atom_ = out_.size();
        SWITCHYARD_TRY(character_class());
      } else if (c == '(') {
        groups_.push_back(out_.size());
        group();
      } else if (c == ')') {
        if (!groups_.empty()) {
          atom_ = groups_.back();
          groups_.pop_back();
        }
        out_ += in_[at_++];
      } else if (c == '{' && interval()) {
        continue;
      } else if (c == '*' || c == '+' || c == '?' || c == '|' || c == '^' || c == '$') {
        out_ += in_[at_++];
      } else {
        atom_ = out_.size();
        const size_t start = at_;
        next_code_point(in_, at_);
        out_ += in_.substr(start, at_ - start);
      }
    }
    return std::move(out_);
  }

 private:
  Error refused(std::string_view what) const {
    return Error{Errc::kInvalid, fmt::format("{} at byte {} of the pattern is not supported", what, at_)};
  }

  // {n}, {n,}, {,m}, {n,m}. In Ruby's syntax a + after it repeats, it does not make it possessive.
  bool interval() {
    size_t end = at_ + 1;
    std::string low, high;
    bool comma = false;
    for (; end < in_.size() && in_[end] != '}'; ++end) {
      if (in_[end] == ',' && !comma) {
        comma = true;
      } else if (in_[end] >= '0' && in_[end] <= '9') {
        (comma ? high : low) += in_[end];
      } else {
        return false;
      }
    }
    if (end >= in_.size() || (low.empty() && high.empty())) return false;
    if (low.empty()) low = "0";
    out_ += "{" + low + (comma ? "," + high : "") + "}";
    at_ = end + 1;
    if (at_ < in_.size() && in_[at_] == '+') {
      out_.insert(atom_, "(?:");
      out_ += ")+";
      ++at_;
    }
    return true;
  }

  void group() {
    out_ += in_[at_++];
    if (at_ >= in_.size() || in_[at_] != '?') return;
    // (?imx-imx) and (?imx-imx:...): Ruby's m is everybody's s.
    size_t end = at_ + 1;
    while (end < in_.size() && (in_[end] == '-' || in_[end] == 'i' || in_[end] == 'm' || in_[end] == 'x')) ++end;
    const bool flags = end < in_.size() && (in_[end] == ':' || in_[end] == ')');
    for (; flags && at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
  }

  // An escape outside of a class.
  Status escape() {
    if (at_ + 1 < in_.size() && (in_[at_ + 1] == 'b' || in_[at_ + 1] == 'B')) {
      const bool edge = in_[at_ + 1] == 'b';
      at_ += 2;
      const std::string word = "[" + word_class(true) + "]";
      out_ += edge ? "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))"
                   : "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
      return {};
    }
    CharacterClass one;
    SWITCHYARD_ASSIGN(const bool is_class, class_escape(one, false));
    if (is_class) {
      out_ += one.expression();
      return {};
    }
    if (at_ + 1 >= in_.size()) return refused("a lone backslash");
    out_ += '\\';
    ++at_;
    copy_character(out_);
    return {};
  }

  // What stands between brackets, or one part of an intersection.
  struct CharacterClass {
    std::string inside;               // of a class of PCRE2
    std::vector<std::string> others;  // expressions of one character that no inside can say
    bool negated = false;
    // Matches one character.
    std::string expression() const {
      if (others.empty()) {
        if (inside.empty()) return negated ? R"([\x{0}-\x{10FFFF}])" : "(?!)";
        return (negated ? "[^" : "[") + inside + "]";
      }
      std::string any;
      if (!inside.empty()) any = "[" + inside + "]";
      for (const auto& other : others) any += (any.empty() ? "" : "|") + other;
      return negated ? "(?:(?!" + any + R"()[\x{0}-\x{10FFFF}]))" : "(?:" + any + ")";
    }
  };

  // An escape that stands for a set of characters, added to a class; false, and nothing read, for another.
  Result<bool> class_escape(CharacterClass& into, bool in_brackets) {
    if (at_ + 1 >= in_.size()) return refused("a lone backslash");
    const char c = in_[at_ + 1];
    const auto put = [&](bool negated, const std::string& inside) {
      if (negated) {
        into.others.push_back("[^" + inside + "]");
      } else {
        into.inside += inside;
      }
    };
    switch (c) {
      case 's': put(false, space_class()); break;
      case 'S': put(false, not_space_class()); break;
      case 'h':
      case 'H': put(c == 'H', "0-9a-fA-F"); break;
      case 'd':
      case 'D': put(c == 'D', posix_class("digit")); break;
      case 'w':
      case 'W': put(c == 'W', word_class(!in_brackets)); break;
      case 'p':
      case 'P': {
        const size_t close = in_.find('}', at_);
        if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || close == std::string_view::npos) {
          return refused("\\p without {...}");
        }
        std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
        bool negated = c == 'P';
        if (!name.empty() && name[0] == '^') {
          negated = !negated;
          name.remove_prefix(1);
        }
        put(negated, property_class(name, in_brackets));
        at_ = close + 1;
        return true;
      }
      case 'u':
        if (at_ + 6 > in_.size()) return refused("\\u without four digits");
        into.inside += "\\x{" + std::string(in_.substr(at_ + 2, 4)) + "}";
        at_ += 6;
        return true;
      default: return false;
    }
    at_ += 2;
    return true;
  }

  void copy_character(std::string& out) {
    const size_t start = at_;
    next_code_point(in_, at_);
    out += in_.substr(start, at_ - start);
  }

  Status character_class() {
    SWITCHYARD_ASSIGN(const std::string expression, class_expression(0));
    out_ += expression;
    return {};
  }

  // From a bracket to its partner. a&&b is what both match, and binds less than anything else.
  Result<std::string> class_expression(int depth) {
    if (depth > 16) return refused("a class nested deeper than 16");
    ++at_;
    const bool negated = at_ < in_.size() && in_[at_] == '^';
    if (negated) ++at_;
    std::vector<CharacterClass> parts(1);
    for (bool first = true;; first = false) {
      CharacterClass& part = parts.back();
      if (at_ >= in_.size()) return refused("a class without its end");
      const char c = in_[at_];
      if (c == ']' && !first) break;
      if (c == '\\') {
        SWITCHYARD_ASSIGN(const bool is_class, class_escape(part, true));
        if (is_class) continue;
        part.inside += '\\';
        ++at_;
        copy_character(part.inside);
      } else if (c == '[') {
        const size_t close = in_.find(":]", at_);
        if (at_ + 1 < in_.size() && in_[at_ + 1] == ':' && close != std::string_view::npos) {
          const std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
          const std::string inside = posix_class(name.starts_with('^') ? name.substr(1) : name);
          if (inside.empty()) {
            part.inside += in_.substr(at_, close + 2 - at_);
          } else if (name.starts_with('^')) {
            part.others.push_back("[^" + inside + "]");
          } else {
            part.inside += inside;
          }
          at_ = close + 2;
        } else {
          SWITCHYARD_ASSIGN(std::string inner, class_expression(depth + 1));
          part.others.push_back(std::move(inner));
        }
      } else if (c == '&' && in_.substr(at_, 2) == "&&") {
        parts.emplace_back();
        at_ += 2;
      } else {
        if (c == ']') part.inside += '\\';
        copy_character(part.inside);
      }
    }
    ++at_;
    if (parts.size() == 1) {
      parts[0].negated = negated;
      return parts[0].expression();
    }
    std::string both = "(?:";
    for (size_t i = 1; i < parts.size(); ++i) both += "(?=" + parts[i].expression() + ")";
    both += parts[0].expression() + ")";
    return negated ? "(?:(?!" + both + R"()[\x{0}-\x{10FFFF}]))" : both;
  }

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where in out_ the last atom starts
  std::vector<size_t> groups_;  // where in out_ the open groups start
};

// What a thread needs to match: kept for its life, as making it costs more than most matches.
struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(32, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 4 << 20, nullptr);
  MatchState() {
    SWITCHYARD_CHECK(data != nullptr && context != nullptr && stack != nullptr);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

MatchState& match_state() {
  thread_local MatchState state;
  return state;
}

// `\s+$`, by hand: a backtracking matcher tries every start in a run of spaces that a letter ends, which is quadratic
// (100,000 spaces would take minutes). The match is the part of a run that reaches to the end of the text, or to the
// run's last line feed.
std::optional<Match> find_trailing_space(std::string_view subject, size_t from) {
  size_t at = from;
  while (at < subject.size()) {
    const size_t begin = at;
    size_t last_feed = begin;
    size_t end = begin;
    while (at < subject.size()) {
      const char c = subject[at];
      if (!is_white_space(next_code_point(subject, at))) break;
      if (c == '\n') last_feed = end;
      end = at;
    }
    if (end > begin && end == subject.size()) return Match{begin, end};
    if (last_feed > begin) return Match{begin, last_feed};
  }
  return std::nullopt;
}

}  // namespace

struct Regex::Impl {
  enum class Kind { kPcre, kLiteral, kTrailingSpace };
  Kind kind = Kind::kPcre;
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string text;  // of a literal
  ~Impl() { pcre2_code_free(code); }
};

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<std::string> translate_pattern(std::string_view pattern) {
  if (!is_valid_utf8(pattern)) return Error{Errc::kInvalid, "the pattern is not UTF-8"};
  return Translator(pattern).run();
}

Result<Regex> Regex::compile(std::string_view pattern) {
  auto impl = std::make_unique<Impl>();
  if (pattern == R"(\s+$)") {
    impl->kind = Impl::Kind::kTrailingSpace;
    return Regex(std::move(impl));
  }
  SWITCHYARD_ASSIGN(const std::string translated, translate_pattern(pattern));
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  SWITCHYARD_CHECK(context != nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE offset = 0;
  impl->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context);
  pcre2_compile_context_free(context);
  if (impl->code == nullptr) {
    char message[256] = "";
    pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    return Error{Errc::kInvalid, fmt::format("{} (at byte {} of the translated pattern)", message, offset)};
  }
  impl->jit = pcre2_jit_compile(impl->code, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(impl));
}

Regex Regex::literal(std::string_view text) {
  auto impl = std::make_unique<Impl>();
  impl->kind = Impl::Kind::kLiteral;
  impl->text = text;
  return Regex(std::move(impl));
}

std::optional<Match> Regex::find(std::string_view subject, size_t from) const {
  if (impl_->kind == Impl::Kind::kTrailingSpace) return find_trailing_space(subject, from);
  if (impl_->kind == Impl::Kind::kLiteral) {
    const size_t begin = subject.find(impl_->text, from);
    if (begin == std::string_view::npos) return std::nullopt;
    return Match{begin, begin + impl_->text.size()};
  }
  auto& state = match_state();
  const auto* data = reinterpret_cast<PCRE2_SPTR>(subject.data() == nullptr ? "" : subject.data());
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (impl_->jit) {
    rc = pcre2_jit_match(impl_->code, data, subject.size(), from, 0, state.data, state.context);
  }
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(impl_->code, data, subject.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data,
                     state.context);
  }
  if (rc < 0) return std::nullopt;
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data);
  // \K in a lookahead can put the start behind the end; such a match is of no use.
  if (offsets[1] < offsets[0] || offsets[0] < from) return std::nullopt;
  return Match{offsets[0], offsets[1]};
}

}  // namespace switchyard::text
