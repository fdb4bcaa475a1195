#include "common/text/jinja/lexer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "common/text/jinja/python_text.h"
#include "common/text/jinja/value.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {
namespace {

constexpr size_t kMaxTokens = 1 << 20;

// CRLF and CR become LF; one LF at the end is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_name_start(char32_t c) { return c == '_' || is_letter(c); }
bool is_name_part(char32_t c) {
  if (c < 0x80) return c == '_' || (c >= '0' && c <= '9') || is_letter(c);
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return is_letter(c) || category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    emit(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_here(std::string message) const { throw TemplateError{std::move(message), false, position_}; }

  void emit(TokenKind kind, std::string text) {
    if (tokens_.size() >= kMaxTokens) fail_here("the template is too long");
    tokens_.push_back({kind, std::move(text), position_});
  }

  bool starts(std::string_view text) const { return std::string_view(source_).substr(at_, text.size()) == text; }

  void advance(size_t to) {
    const std::string_view passed = std::string_view(source_).substr(at_, to - at_);
    const size_t feed = passed.rfind('\n');
    if (feed != std::string_view::npos) {
      position_.line += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
      position_.column = 1;
    }
    position_.column += static_cast<int>(code_point_count(passed.substr(feed + 1)));  // npos + 1 is 0
    if (to > at_) line_starting_ = source_[to - 1] == '\n';
    at_ = to;
  }

  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!is_python_space(next_code_point(source_, next))) break;
      at = next;
    }
    return at;
  }

  // The text before a tag that starts at `end`, as the tag's sign and lstrip_blocks leave it.
  std::string_view text_before(size_t end, char sign, bool variable) const {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    if (sign == '-') return strip(text, Side::kRight);
    if (sign == '+' || variable) return text;
    const size_t line = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
    if ((line > 0 || line_starting_) && line < text.size() && strip(text.substr(line), Side::kLeft).empty()) {
      return text.substr(0, line);
    }
    return text;
  }

  // Text up to the next tag, and the tag.
  void data() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos) break;
      if (tag + 1 < source_.size() && (source_[tag + 1] == '{' || source_[tag + 1] == '%' || source_[tag + 1] == '#'))
        break;
    }
    if (tag == std::string::npos) {
      emit(TokenKind::kData, source_.substr(at_));
      advance(source_.size());
      return;
    }
    const char what = source_[tag + 1];
    const char after = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const char sign = after == '-' || after == '+' ? after : '\0';
    const auto text = text_before(tag, sign, what == '{');
    if (!text.empty()) emit(TokenKind::kData, std::string(text));
    advance(tag);
    const size_t inside = tag + 2 + (sign != '\0' ? 1 : 0);
    if (what == '#') {
      const size_t end = source_.find("#}", inside);
      if (end == std::string::npos) fail_here("Missing end of comment tag");
      close(end, end > inside ? source_[end - 1] : '\0');
    } else if (what == '%') {
      if (raw(inside)) return;
      emit(TokenKind::kBlockBegin, "");
      advance(inside);
      code("%}");
    } else {
      emit(TokenKind::kVariableBegin, "");
      advance(inside);
      code("}}");
    }
  }

  // Past a "%}" or "#}" at `end`; sign is what stands before it, if it is one.
  void close(size_t end, char sign) {
    size_t next = end + 2;
    if (sign == '-') {
      next = skip_space(next);
    } else if (sign != '+' && next < source_.size() && source_[next] == '\n') {
      ++next;  // trim_blocks
    }
    advance(next);
  }

  // {% raw %} ... {% endraw %}, with inside behind the opening sign.
  bool raw(size_t inside) {
    size_t at = skip_space(inside);
    if (source_.compare(at, 3, "raw") != 0) return false;
    at = skip_space(at + 3);
    bool strip_after = false;
    if (at < source_.size() && source_[at] == '-') {
      strip_after = true;
      ++at;
    }
    if (source_.compare(at, 2, "%}") != 0) return false;
    at += 2;
    if (strip_after) at = skip_space(at);
    advance(at);
    for (size_t end = at;; ++end) {
      end = source_.find("{%", end);
      if (end == std::string::npos) fail_here("Missing end of raw directive");
      size_t close_at = end + 2;
      const char after = close_at < source_.size() ? source_[close_at] : '\0';
      const char sign = after == '-' || after == '+' ? after : '\0';
      if (sign != '\0') ++close_at;
      close_at = skip_space(close_at);
      if (source_.compare(close_at, 6, "endraw") != 0) continue;
      close_at = skip_space(close_at + 6);
      char end_sign = '\0';
      if (close_at < source_.size() && (source_[close_at] == '-' || source_[close_at] == '+'))
        end_sign = source_[close_at++];
      if (source_.compare(close_at, 2, "%}") != 0) continue;
      const auto text = text_before(end, sign, false);
      if (!text.empty()) emit(TokenKind::kData, std::string(text));
      close(close_at, end_sign);
      return true;
    }
  }

  // The inside of a tag up to its end.
  void code(std::string_view end) {
    const bool block = end == "%}";
    std::string open;
    for (;;) {
      advance(skip_space(at_));
      if (at_ >= source_.size()) fail_here(fmt::format("unexpected end of template, expected '{}'", end));
      if (open.empty()) {
        const char c = source_[at_];
        const bool sign = (c == '-' || (c == '+' && block)) && source_.compare(at_ + 1, 2, end) == 0;
        if (sign || starts(end)) {
          const size_t end_at = at_ + (sign ? 1 : 0);
          emit(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
          if (block) {
            close(end_at, sign ? c : '\0');
          } else {
            advance(sign ? skip_space(end_at + 2) : end_at + 2);
          }
          return;
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    size_t next = at_;
    const char32_t c = next_code_point(source_, next);
    if (c >= '0' && c <= '9') return number();
    if (c == '\'' || c == '"') return string_literal(static_cast<char>(c));
    if (is_name_start(c)) {
      size_t end = next;
      while (end < source_.size()) {
        size_t after = end;
        if (!is_name_part(next_code_point(source_, after))) break;
        end = after;
      }
      emit(TokenKind::kName, source_.substr(at_, end - at_));
      return advance(end);
    }
    static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const auto op : kOperators) {
      if (!starts(op)) continue;
      if (op == "(" || op == "[" || op == "{") {
        if (open.size() >= 256) fail_here("brackets are nested too deeply");
        open += op == "(" ? ')' : op == "[" ? ']' : '}';
      } else if (op == ")" || op == "]" || op == "}") {
        if (open.empty()) fail_here(fmt::format("unexpected '{}'", op));
        if (open.back() != op[0]) fail_here(fmt::format("unexpected '{}', expected '{}'", op, open.back()));
        open.pop_back();
      }
      emit(TokenKind::kOperator, std::string(op));
      return advance(at_ + op.size());
    }
    std::string shown;
    append_string_repr(shown, source_.substr(at_, next - at_));
    fail_here(fmt::format("unexpected char {}", shown));
  }

  // Digits of a base with single underscores between them.
  size_t digits(size_t at, int base) const {
    const auto digit = [&](size_t i) {
      if (i >= source_.size()) return false;
      const char c = source_[i];
      const int value = c >= '0' && c <= '9'                     ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : 99;
      return value < base;
    };
    while (digit(at) || (at < source_.size() && source_[at] == '_' && digit(at + 1))) ++at;
    return at;
  }

  void number() {
    size_t end = 0;
    TokenKind kind = TokenKind::kInteger;
    const char second = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : '\0';
    const int base = source_[at_] != '0' ? 10 : second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
    if (base != 10) {
      end = digits(at_ + 2, base);
    } else {
      end = digits(at_, 10);
      size_t part = end;
      if (part < source_.size() && source_[part] == '.' && digits(part + 1, 10) > part + 1) {
        end = part = digits(part + 1, 10);
        kind = TokenKind::kFloat;
      }
      if (part < source_.size() && (source_[part] | 0x20) == 'e') {
        ++part;
        if (part < source_.size() && (source_[part] == '+' || source_[part] == '-')) ++part;
        if (digits(part, 10) > part) {
          end = digits(part, 10);
          kind = TokenKind::kFloat;
        }
      }
    }
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    emit(kind, std::move(text));
    advance(end);
  }

  void string_literal(char quote) {
    std::string value;
    size_t i = at_ + 1;
    const auto hex = [&](size_t count) {
      char32_t c = 0;
      for (size_t k = 0; k < count; ++k, ++i) {
        const char d = i < source_.size() ? source_[i] : '\0';
        const bool ok = (d >= '0' && d <= '9') || ((d | 0x20) >= 'a' && (d | 0x20) <= 'f');
        if (!ok) fail_here("a broken escape in a string");
        c = c * 16 + static_cast<char32_t>(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
      }
      if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) fail_here("an escape in a string is no character");
      append_code_point(value, c);
    };
    for (;;) {
      if (i >= source_.size()) fail_here("a string without its end");
      const char c = source_[i++];
      if (c == quote) break;
      if (c != '\\') {
        value += c;
        continue;
      }
      if (i >= source_.size()) fail_here("a string without its end");
      const char e = source_[i++];
      switch (e) {
        case '\n': break;
        case '\\':
        case '\'':
        case '"': value += e; break;
        case 'a': value += '\a'; break;
        case 'b': value += '\b'; break;
        case 'f': value += '\f'; break;
        case 'n': value += '\n'; break;
        case 'r': value += '\r'; break;
        case 't': value += '\t'; break;
        case 'v': value += '\v'; break;
        case 'x': hex(2); break;
        case 'u': hex(4); break;
        case 'U': hex(8); break;
        default:
          if (e >= '0' && e <= '7') {
            char32_t octal = static_cast<char32_t>(e - '0');
            for (int k = 0; k < 2 && i < source_.size() && source_[i] >= '0' && source_[i] <= '7'; ++k) {
              octal = octal * 8 + static_cast<char32_t>(source_[i++] - '0');
            }
            append_code_point(value, octal);
          } else {
            value += '\\';
            value += e;
          }
      }
    }
    emit(TokenKind::kString, std::move(value));
    advance(i);
  }

  std::string source_;
  size_t at_ = 0;
  Position position_{1, 1};
  bool line_starting_ = true;  // what was read last ended a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(normalize_newlines(source)).run(); }

}  // namespace switchyard::text::jinja
