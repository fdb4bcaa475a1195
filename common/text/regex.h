// A regular expression of a tokenizer.json, matched as the reference does: Oniguruma's Ruby syntax, Unicode 16 tables.
//
// The pattern is translated for PCRE2 (UTF, UCP, JIT): `\s` becomes White_Space, `\p{...}` gets the characters that
// PCRE2's older tables lack, scripts are Script, not Script_Extensions, `{n,m}+` is no possessive quantifier, `$`
// matches before every line feed, `(?m)` lets the dot match line feeds; `\w`, `\b` and POSIX classes are Oniguruma's;
// classes in classes and `&&` become lookaheads. What cannot be translated is refused by compile().
//
// Thread: any; find() is const and safe to call from many threads at once. Blocks: no. Time: linear in the text for the
// published patterns. A match that runs into PCRE2's limits counts as no match.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/text/utf8.h"

namespace switchyard::text {

struct Match {
  size_t begin;
  size_t end;  // past the last byte
};

class Regex {
 public:
  // Fails with kInvalid and PCRE2's message and offset, or the name of what is not supported.
  static Result<Regex> compile(std::string_view pattern);
  // A pattern that matches the text itself.
  static Regex literal(std::string_view text);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // The first match at or after `from` (bytes, at a character's start) in subject, which must be valid UTF-8. Empty
  // matches are reported.
  std::optional<Match> find(std::string_view subject, size_t from) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The matches of a pattern in their order, as Oniguruma's callers walk them: no empty one right behind the match
// before.
template <typename Visit>
void for_each_match(const Regex& regex, std::string_view text, const Visit& visit) {
  std::optional<size_t> last_end;
  for (size_t from = 0; from <= text.size();) {
    const auto match = regex.find(text, from);
    if (!match) return;
    from = match->end;
    if (match->begin == match->end && last_end == match->end) {
      if (from == text.size()) return;
      next_code_point(text, from);
      continue;
    }
    last_end = match->end;
    visit(*match);
  }
}

// The translation alone, for tests.
Result<std::string> translate_pattern(std::string_view pattern);

}  // namespace switchyard::text
