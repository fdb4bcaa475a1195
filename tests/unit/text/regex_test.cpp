// Where Oniguruma (Ruby's syntax, Unicode 16) and PCRE2 differ, the answer is Oniguruma's.
#include "common/text/regex.h"

#include <gtest/gtest.h>

namespace switchyard::text {
namespace {

// The matches of a pattern, one after the other.
std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  const auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << pattern << ": " << (regex.ok() ? "" : regex.error().message);
  std::vector<std::string> out;
  if (!regex.ok()) return out;
  for (size_t at = 0; at <= text.size();) {
    const auto match = regex->find(text, at);
    if (!match || match->end == match->begin) break;
    out.push_back(text.substr(match->begin, match->end - match->begin));
    at = match->end;
  }
  return out;
}

using Texts = std::vector<std::string>;

TEST(Regex, SpaceIsWhiteSpaceOfUnicode) {
  EXPECT_EQ(matches(R"(\s+)", "a\u0085\u00A0\u3000b\u200B\u180E\uFEFF\x1C"), (Texts{"\u0085\u00A0\u3000"}));
  EXPECT_EQ(matches(R"([^\S\n]+)", "a \u00A0\nb"), (Texts{" \u00A0"}));
}

TEST(Regex, DollarStandsBeforeEveryLineFeed) {
  EXPECT_EQ(matches(R"(a$)", "a\nab\na"), (Texts{"a", "a"}));
  EXPECT_EQ(matches(R"(\s+$)", "a  \n \nb  c  "), (Texts{"  \n ", "  "}));
  EXPECT_EQ(matches(R"(\s+$)", "\nb"), (Texts{}));
}

TEST(Regex, LettersOfUnicode16AreLetters) {
  EXPECT_EQ(matches(R"(\p{L}+)", "a\U00010D4A\U0002EBF0."), (Texts{"a\U00010D4A\U0002EBF0"}));
  EXPECT_EQ(matches(R"([^\p{L}]+)", "\U00010D4A."), (Texts{"."}));
  EXPECT_EQ(matches(R"(\p{Lu}+)", "\U00010D50\U00010D70"), (Texts{"\U00010D50"}));  // Garay, capital and small
}

TEST(Regex, CaseFoldsByUnicode) { EXPECT_EQ(matches(R"((?i:'s))", "'s'S'\u017F"), (Texts{"'s", "'S", "'\u017F"})); }

TEST(Regex, PlusAfterAnIntervalRepeats) {
  // Possessive, it could not give back the last digit.
  EXPECT_EQ(matches(R"(\d{1,2}+\d)", "12345"), (Texts{"12345"}));
  EXPECT_EQ(matches(R"((?:ab){2}+c)", "ababababc"), (Texts{"ababababc"}));
}

TEST(Regex, MultilineLetsTheDotMatchLineFeeds) {
  EXPECT_EQ(matches(R"((?m:a.b))", "a\nb"), (Texts{"a\nb"}));
  EXPECT_EQ(matches(R"(a.b)", "a\nb"), (Texts{}));
}

TEST(Regex, WhatCannotBeTranslatedIsRefused) {
  for (const char* pattern : {"[", "[a[b]", "[a&&", "(", "a\\", R"(\p{Nonsense})", "\xFF"}) {
    EXPECT_FALSE(Regex::compile(pattern).ok()) << pattern;
  }
}

// What onig 6.9 (in tokenizers 0.22.1) gives: which of these characters a property has, bare and in brackets.
TEST(Regex, PropertiesAreOnigurumas) {
  constexpr std::string_view kCharacters =
      " \t\n\u0085\u00A0\u2028\u2029+"
      "\u20AC\u200B\u00AD\uE000\u0378\u24B6\u00B2\u00BD\u3001\u4F60\u0661\uFFFE\x1C\u2160_\u0301"
      "\uFF21\u30FCgaF7\u3042";
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"Word", "\u24B6\u00B2\u00BD\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042",
       "\u24B6\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042"},
      {"Alnum", "\u24B6\u4F60\u0661\u2160\uFF21\u30FCgaF7\u3042", "\u24B6\u4F60\u0661\u2160\uFF21\u30FCgaF7\u3042"},
      {"Digit", "\u06617", "\u06617"},
      {"XDigit", "aF7", "aF7"},
      {"Cntrl",
       "\t\n\u0085\x1C"
       "",
       "\t\n\u0085\x1C"
       ""},
      {"Graph", "+\u20AC\u200B\u00AD\uE000\u24B6\u00B2\u00BD\u3001\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042",
       "+\u20AC\u200B\u00AD\uE000\u24B6\u00B2\u00BD\u3001\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042"},
      {"Print",
       " \u00A0+\u20AC\u200B\u00AD\uE000\u24B6\u00B2\u00BD\u3001\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042",
       " \u00A0+\u20AC\u200B\u00AD\uE000\u24B6\u00B2\u00BD\u3001\u4F60\u0661\u2160_\u0301\uFF21\u30FCgaF7\u3042"},
      {"Blank", " \t\u00A0", " \t\u00A0"},
      {"Punct", "\u3001_", "\u3001_"},
      {"Punctuation", "\u3001_", "\u3001_"},
      {"Space", " \t\n\u0085\u00A0\u2028\u2029", " \t\n\u0085\u00A0\u2028\u2029"},
      {"Alpha", "\u24B6\u4F60\u2160\uFF21\u30FCgaF\u3042", "\u24B6\u4F60\u2160\uFF21\u30FCgaF\u3042"},
      {"Upper", "\u24B6\u2160\uFF21F", "\u24B6\u2160\uFF21F"},
      {"Lower", "ga", "ga"},
      {"Han", "\u4F60", "\u4F60"},
      {"Hiragana", "\u3042", "\u3042"},
      {"Katakana", "", ""},
      {"Common",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\u24B6\u00B2\u00BD\u3001\x1C"
       "_\u30FC7",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\u24B6\u00B2\u00BD\u3001\x1C"
       "_\u30FC7"},
      {"aLnum", "\u24B6\u4F60\u0661\u2160\uFF21\u30FCgaF7\u3042", "\u24B6\u4F60\u0661\u2160\uFF21\u30FCgaF7\u3042"},
      {"X_Digit", "aF7", "aF7"},
      {"LU", "\uFF21F", "\uFF21F"},
      {"^Word",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\uE000\u0378\u3001\uFFFE\x1C"
       "",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\uE000\u0378\u00B2\u00BD\u3001\uFFFE\x1C"
       ""},
      {"^Han",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\uE000\u0378\u24B6\u00B2\u00BD\u3001\u0661\uFFFE\x1C"
       "\u2160_\u0301\uFF21\u30FCgaF7\u3042",
       " \t\n\u0085\u00A0\u2028\u2029+\u20AC\u200B\u00AD\uE000\u0378\u24B6\u00B2\u00BD\u3001\u0661\uFFFE\x1C"
       "\u2160_\u0301\uFF21\u30FCgaF7\u3042"},
  };
  for (const auto& [name, bare, in_brackets] : cases) {
    const std::string property = "p{" + std::string(name) + "}";
    const auto joined = [&](const std::string& pattern) {
      std::string out;
      for (size_t at = 0; at < kCharacters.size();) {
        const size_t begin = at;
        next_code_point(kCharacters, at);
        for (const auto& match : matches(pattern, std::string(kCharacters.substr(begin, at - begin)))) out += match;
      }
      return out;
    };
    EXPECT_EQ(joined("\\" + property), bare) << name;
    EXPECT_EQ(joined("[\\" + property + "]"), in_brackets) << name;
    EXPECT_EQ(joined("[^\\P" + property.substr(1) + "]"), in_brackets) << name;
  }
}

// What onig 6.9 (in tokenizers 0.23.3) gives for the first match.
TEST(Regex, SetsOfCharactersAreOnigurumas) {
  const std::tuple<const char*, const char*, std::string_view> cases[] = {
      {R"([a[bc]]+)", "xxabcx", "abc"},
      {R"([\p{L}&&[^\p{Han}]]+)", "你ab好", "ab"},
      {R"([^a-c&&\w]+)", "abcx-", "x-"},
      {R"([\W\d]+)", "ab1-2c", "1-2"},
      {R"([^\P{L}x]+)", "12xyz", "yz"},
      {R"([[:alpha:]]+)", "1\u24B6b2", "\u24B6b"},
      {R"(\w+)", "\u2460\u00B2a\u00BD", "\u00B2a\u00BD"},
      {R"(\b.)", "  ab", "a"},
  };
  for (const auto& [pattern, text, wanted] : cases) {
    const auto regex = Regex::compile(pattern);
    ASSERT_TRUE(regex.ok()) << regex.error().message;
    const auto match = regex->find(text, 0);
    ASSERT_TRUE(match.has_value()) << pattern;
    EXPECT_EQ(std::string_view(text).substr(match->begin, match->end - match->begin), wanted) << pattern;
  }
}

}  // namespace
}  // namespace switchyard::text
