// Regular expressions, choices, EBNF and markers by hand; masks over a real vocabulary against its tokens one by one.
#include "common/structured/constraint.h"

#include <gtest/gtest.h>

#include "common/text/tokenizer.h"
#include "tests/unit/structured/support.h"

namespace switchyard::structured {
namespace {

using Kind = Constraint::Kind;

struct Case {
  const char* text;
  std::vector<const char*> taken;
  std::vector<const char*> refused;
};

void expect(Kind kind, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto masks = masks_of({.kind = kind, .text = c.text}, bytes_and({}));
    if (masks == nullptr) continue;
    for (const char* text : c.taken) EXPECT_TRUE(accepts(masks, text)) << c.text << "\n  " << text;
    for (const char* text : c.refused) EXPECT_FALSE(accepts(masks, text)) << c.text << "\n  " << text;
  }
}

void expect_refusals(Kind kind, const std::vector<std::pair<const char*, const char*>>& refusals) {
  for (const auto& [text, want] : refusals) {
    const auto result = compile({.kind = kind, .text = text});
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_NE(result.error().message.find(want), std::string::npos) << text << "\n  " << result.error().message;
  }
}

TEST(Regex, TakesItsLanguage) {
  expect(Kind::kRegex, {
                           {R"(a|bc*)", {"a", "b", "bccc"}, {"", "ab", "c"}},
                           {R"(^(?:ab){2,3}$)", {"abab", "ababab"}, {"ab", "abababab"}},
                           {R"([^a-c\d]+?)", {"xyz", "é", "日本"}, {"xa", "1", "\xff", ""}},
                           {R"(\w+@\w+\.(?<tld>com|org))", {"a_1@b.com"}, {"a@b.net", "é@b.com"}},
                           {R"(.{2})", {"ab", "日é", "😀x"}, {"a", "a\n", "abc"}},
                           {R"([\]\-x]+)", {"]-x"}, {"\\"}},
                           {R"([]a])", {"]", "a"}, {"b"}},
                           {R"(\u00e9\x41\u{1F600}\ud83d\ude00)", {"éA😀😀"}, {"eA"}},
                           {R"(a{,2}b{x})", {"a{,2}b{x}"}, {"aab"}},
                           {R"((a*)*b)", {"b", "aaab"}, {"a"}},
                           {R"(\s\S\W\D)", {" a!x"}, {"aa!x", " a!1"}},
                           {R"([á-ü]{1,2})", {"é", "éü"}, {"e", "ééé"}},
                           {R"(a(|b)c)", {"ac", "abc"}, {"abbc"}},
                       });
}

TEST(Regex, WhatIsNotSupportedIsRefusedByName) {
  // Few nodes, and a state for nearly every set of them.
  std::string intricate = std::string(12, '(') + std::string(400, '.');
  for (int i = 0; i < 12; ++i) intricate += "*)";
  expect_refusals(Kind::kRegex, {
                                    {"a(?=b)", "at byte 1, a lookahead"},
                                    {"(?<!b)a", "a lookbehind"},
                                    {R"((a)\1)", "a backreference"},
                                    {R"(\bword)", "a word boundary"},
                                    {R"(\p{L})", "a Unicode property"},
                                    {"(?i)a", "flags"},
                                    {"a^b", "an anchor inside"},
                                    {"(a$)b", "an anchor inside"},
                                    {"a++", "possessive"},
                                    {"*a", "nothing before it"},
                                    {"[a", "without ']'"},
                                    {"(a", "without ')'"},
                                    {"a)", "')' without '('"},
                                    {"[z-a]", "upside down"},
                                    {"a{3,2}", "upside down"},
                                    {"a{100001}", "a count above"},
                                    {"(a{1000}){1000}", "too large"},
                                    {intricate.c_str(), "too intricate"},
                                    {"[[:alpha:]]", "POSIX"},
                                    {"\\", "a backslash at its end"},
                                    {"", "only the empty text"},
                                    {"\xff", "not UTF-8"},
                                });
}

TEST(Ebnf, TakesItsLanguage) {
  const char* const nested = R"x(root ::= "(" root ")" | "x")x";
  const char* const list = R"x(root ::= (item ("," " "? item)*)? ";"
                               item ::= "\x41" | "\"" [^"\\]* "\"")x";
  const char* const expression = R"x(root ::= expr
                                     expr ::= term (("+" | "-") term)*
                                     term ::= [0-9]{1,} | "(" expr ")")x";
  const char* const comments = "root ::= \"a\" [0-9]+ # digits\n  | word\nword ::= [a-zé]{2,3}";
  expect(Kind::kGrammar, {{comments, {"a1", "a123", "éz", "abc"}, {"a", "abcd", "1"}},
                          {nested, {"x", "((x))"}, {"(x", "x)", ""}},
                          {list, {";", "A;", "A, \"é\",A;"}, {"A", "A,;", "\"\"\";"}},
                          {expression, {"1+2-(3+4)"}, {"1+", "(1"}},
                          {"root ::= \"a\" . \"b\"", {"axb", "a日b"}, {"ab", "axxb"}},
                          {"root ::= list\nlist ::= \"x\" | \"x\" \",\" list", {"x", "x,x,x"}, {"x,"}}});
}

TEST(Ebnf, WhatIsWrongIsNamed) {
  expect_refusals(Kind::kGrammar, {
                                      {"start: \"a\"", "a Lark grammar is not supported"},
                                      {"root ::= missing", "no rule 'missing'"},
                                      {"top ::= \"a\"", "no rule 'root'"},
                                      {"root ::= root \"a\" | \"b\"", "rule 'root' begins with itself"},
                                      {"root ::= a \"x\"\na ::= b*\nb ::= root | \"y\"", "begins with itself"},
                                      {"root ::= \"a\nroot2 ::= \"b\"", ""},
                                      {"root ::= \"a\"\nroot ::= \"b\"", "defined twice"},
                                      {"root ::= (\"a\"", "a '(' without ')'"},
                                      {"root ::= [a", "'[' without ']'"},
                                      {"root ::= \"a\" {", "a count must be"},
                                      {"root ::= a\na ::= \"x\" a", "matches no text"},
                                      {"root ::= \"a\" $", "line 1"},
                                      {"", "no rule 'root'"},
                                  });
}

TEST(Choice, IsOneOfItsTexts) {
  expect(Kind::kChoice, {{R"(["yes","no","yes, sir","日本"])", {"yes", "no", "yes, sir", "日本"}, {"", "ye", "nono"}}});
  expect_refusals(Kind::kChoice, {{"[]", "empty"}, {"[1]", "not a string"}, {R"([""])", "only the empty text"}});
}

TEST(Constraint, BeginsBehindTheFirstMarkerAndLineBreaks) {
  const Constraint constraint{.kind = Kind::kRegex, .text = "[0-9]+", .begins_after = "</t>"};
  const auto masks = masks_of(constraint, bytes_and({}));
  for (const char* text : {"</t>1", "so\n<</t>\n\n12", "</</t</t>7", "\"</t>3", "\xc3</t>3"})
    EXPECT_TRUE(accepts(masks, text)) << text;
  for (const char* text : {"1", "</t>", "</t>x</t>1", "a</t >1", "</t> 1", "\xff</t"})
    EXPECT_FALSE(accepts(masks, text)) << text;
}

// Tokens: the single bytes, then special tokens, of which one is a mark's beginning, then ordinary ones that hold the
// byte that stands before a special token's text inside.
TEST(Constraint, ASpecialMarkIsTakenByItsTokenAlone) {
  enum Token : int32_t { kClose = 256, kOther, kHead, kOpen, kOpenHead, kEscaped, kEscapedMark, kEscapedWhole };
  std::vector<std::string> tokens;
  std::vector<bool> specials(256, false);
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  for (const char* special : {"</t>", "<eos>", "</t", "<t>", "<t"}) {
    tokens.emplace_back(special);
    specials.push_back(true);
  }
  for (const char* ordinary : {"a\xff", "\xff</t>", "\xff<t>\xff"}) {
    tokens.emplace_back(ordinary);
    specials.push_back(false);
  }
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  const auto vocabulary = std::make_shared<const Vocabulary>(views, specials);
  const auto taken = [&](const std::shared_ptr<Masks>& masks, const std::vector<int32_t>& ids) {
    Matcher matcher(masks);
    std::vector<uint32_t> mask(vocabulary->mask_words());
    for (const int32_t id : ids) {
      EXPECT_TRUE(matcher.fill_mask(mask).ok());
      for (const int32_t never : {255, +kEscaped, +kEscapedMark, +kEscapedWhole}) EXPECT_FALSE(test_bit(mask, never));
      const bool ok = matcher.accept(id).ok();
      EXPECT_EQ(ok, test_bit(mask, id)) << id;
      if (!ok) return false;
    }
    return matcher.may_end();
  };
  const auto inside = masks_of({.kind = Kind::kRegex, .text = "[0-9]+", .begins_after = "</t>"}, vocabulary);
  EXPECT_TRUE(taken(inside, {'a', kClose, '1'}));
  EXPECT_TRUE(taken(inside, {'a', '<', '/', 't', '>', '1'}));
  EXPECT_FALSE(taken(inside, {'a', kOther, kClose, '1'}));
  EXPECT_FALSE(taken(inside, {'a', kHead, '>', '1'})) << "a mark is not put together of another special token";
  EXPECT_FALSE(taken(inside, {'a', 255, '<', '/', 't', '>', '1'}));
  EXPECT_FALSE(taken(inside, {kEscapedMark, '1'}));

  const auto before = masks_of(
      {.kind = Kind::kChoice, .text = R"(["yes"])", .begins_after = "</t>", .reasoning_opens = "<t>"}, vocabulary);
  EXPECT_TRUE(taken(before, {'y', 'e', 's'}));
  EXPECT_TRUE(taken(before, {kOpen, 'a', kClose, 'y', 'e', 's'}));
  EXPECT_FALSE(taken(before, {kOpenHead, '>', 'a', kClose, 'y', 'e', 's'}));
  EXPECT_FALSE(taken(before, {255, '<', 't', '>', 'a', kClose, 'y', 'e', 's'}));
  EXPECT_FALSE(taken(before, {kEscapedWhole, 'a', kClose, 'y', 'e', 's'}));

  const auto harmony = masks_of({.kind = Kind::kRegex, .text = "(.|\n)+", .in_harmony = true}, vocabulary);
  EXPECT_FALSE(taken(harmony, {255}));
  const auto anything = masks_of({.kind = Kind::kRegex, .text = "[^a]+"}, vocabulary);
  EXPECT_TRUE(taken(anything, {'b', 0xC3, 0xA9}));
  EXPECT_FALSE(taken(anything, {255}));
}

// The demo model's own tokens: byte-level, with parts of characters, many of several characters. At many places of
// many texts a token is in the mask exactly when it is accepted.
TEST(Masks, AgreeWithAcceptanceForEveryTokenOfARealVocabulary) {
  const auto tokenizer = text::Tokenizer::load(SWITCHYARD_TEST_DATA "/../../models/switchyard-r1-small/tokenizer.json");
  ASSERT_TRUE(tokenizer.ok());
  std::vector<std::string_view> tokens;
  for (int32_t id = 0; id < (*tokenizer)->vocab_size(); ++id) tokens.push_back((*tokenizer)->token_bytes(id));
  const auto vocabulary = std::make_shared<const Vocabulary>(tokens);
  const std::vector<Constraint> constraints = {
      {},
      {.kind = Kind::kJsonSchema,
       .text =
           R"({"type":"object","properties":{"a":{"type":"string","maxLength":9},"b":{"type":"array","items":{"type":"string","minLength":3,"maxLength":50}}},"required":["a","b"]})"},
      {.kind = Kind::kJsonSchema, .text = R"({"type":"object","additionalProperties":{"type":["number","string"]}})"},
      {.kind = Kind::kRegex, .text = R"(([^"]{3,5}"?)+)"},
      {.kind = Kind::kGrammar,
       .text = "root ::= \"<\" text \">\"\ntext ::= part*\npart ::= [^<>] [^<>]? | \"<\" text \">\" | text2\ntext2 "
               "::= [^\"\\\\\\x00-\\x1f]{2}"},
      {.kind = Kind::kRegex, .text = "[a-z]{2,}", .begins_after = "</think>"},
  };
  std::mt19937 random(3);
  std::vector<uint32_t> mask(vocabulary->mask_words());
  size_t places = 0;
  for (const Constraint& constraint : constraints) {
    const auto masks = masks_of(constraint, vocabulary);
    ASSERT_NE(masks, nullptr);
    for (int text = 0; text < 12; ++text) {
      Matcher matcher(masks);
      for (int n = 0; n < 25 && !matcher.must_end(); ++n, ++places) {
        ASSERT_TRUE(matcher.fill_mask(mask).ok());
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < static_cast<int32_t>(vocabulary->size()); ++id) {
          Matcher copy = matcher;
          const bool taken = copy.accept(id).ok();
          ASSERT_EQ(test_bit(mask, id), taken) << constraint.text << ", token \"" << vocabulary->bytes(id) << '"';
          if (taken) allowed.push_back(id);
        }
        ASSERT_FALSE(allowed.empty());
        ASSERT_TRUE(matcher.accept(allowed[random() % allowed.size()]).ok());
      }
    }
  }
  EXPECT_GT(places, 500U);
}

TEST(Masks, AreTheSameWhenTheirMemoIsForgottenAllTheTime) {
  const Constraint constraint;  // any object: stacks grow
  const auto vocabulary = bytes_and({"{\"", "\":", "[[", "]]", "}}", "],", "\":{\"", "\"}"});
  auto automaton = compile(constraint);
  ASSERT_TRUE(automaton.ok());
  const auto large = std::make_shared<Masks>(Automaton(*automaton), vocabulary);
  const auto small = std::make_shared<Masks>(std::move(*automaton), vocabulary, 0);
  std::mt19937 random(5);
  std::vector<uint32_t> want(vocabulary->mask_words());
  std::vector<uint32_t> got(vocabulary->mask_words());
  for (int text = 0; text < 20; ++text) {
    Matcher a(large);
    Matcher b(small);
    for (int n = 0; n < 60 && !a.must_end(); ++n) {
      ASSERT_TRUE(a.fill_mask(want).ok());
      ASSERT_TRUE(b.fill_mask(got).ok());
      ASSERT_EQ(want, got);
      std::vector<int32_t> allowed;
      for (uint32_t id = 0; id < vocabulary->size(); ++id)
        if (test_bit(want, static_cast<int32_t>(id))) allowed.push_back(static_cast<int32_t>(id));
      const int32_t token = random() % 2 == 0 ? allowed.back() : allowed[random() % allowed.size()];
      ASSERT_TRUE(a.accept(token).ok());
      ASSERT_TRUE(b.accept(token).ok());
      ASSERT_EQ(a.may_end(), b.may_end());
    }
  }
}

TEST(Masks, AGrammarOfTooManyReadingsEndsInAnError) {
  // Each letter opens one of many rules, and none of them can be ruled out.
  std::string text = "root ::= r0 \"!\"\n";
  for (int i = 0; i < 60; ++i) {
    text += "r" + std::to_string(i) + " ::= ";
    for (int j = 0; j < 60; ++j) text += "\"a\" r" + std::to_string(j) + " \"b" + std::to_string(j) + "\" | ";
    text += "\"c\"\n";
  }
  const auto masks = masks_of({.kind = Kind::kGrammar, .text = text}, bytes_and({"aaaa"}));
  ASSERT_NE(masks, nullptr);
  Matcher matcher(masks);
  std::vector<uint32_t> mask(masks->vocabulary().mask_words());
  Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) {
    status = matcher.accept('a');
    if (status.ok()) status = matcher.fill_mask(mask);
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::kTooLarge);
}

TEST(MaskStore, KeepsWhatWasUsedLast) {
  MaskStore store(bytes_and({}), 1);  // one at a time
  const Constraint a{.kind = Kind::kRegex, .text = "a"};
  const Constraint b{.kind = Kind::kRegex, .text = "b"};
  const auto first = store.get(a);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*store.get(a), *first);
  ASSERT_TRUE(store.get(b).ok());
  EXPECT_NE(*store.get(a), *first);
  EXPECT_FALSE(store.get({.kind = Kind::kRegex, .text = "("}).ok());
}

}  // namespace
}  // namespace switchyard::structured
