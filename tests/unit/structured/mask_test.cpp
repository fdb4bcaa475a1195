// Masks against brute force: a slow recogniser that works on the grammar's expressions alone, tried on every text of a
// small alphabet.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "common/structured/automaton.h"
#include "common/structured/matcher.h"
#include "tests/unit/structured/support.h"

namespace switchyard::structured {
namespace {

constexpr std::string_view kAlphabet = "abc";
constexpr size_t kLengthMax = 8;  // 3^8 texts

// All texts of a grammar up to a length, by growing the sets of its rules until nothing changes.
class Language {
 public:
  explicit Language(const Grammar& grammar) : grammar_(grammar), rules_(grammar.rule_count()) {
    for (bool changed = true; changed;) {
      changed = false;
      for (Rule rule = 0; rule < rules_.size(); ++rule) {
        std::set<std::string> texts = of(grammar.body(rule));
        changed |= texts.size() > rules_[rule].size();
        rules_[rule] = std::move(texts);
      }
    }
  }
  const std::set<std::string>& texts() const { return rules_[grammar_.root()]; }

 private:
  using Texts = std::set<std::string>;
  static Texts joined(const Texts& a, const Texts& b) {
    Texts out;
    for (const auto& x : a)
      for (const auto& y : b)
        if (x.size() + y.size() <= kLengthMax) out.insert(x + y);
    return out;
  }
  Texts of(Expr expr) {
    const auto& e = grammar_.at(expr);
    switch (e.kind) {
      case Grammar::Kind::kEmpty: return {""};
      case Grammar::Kind::kNever: return {};
      case Grammar::Kind::kBytes: {
        Texts out;
        for (const char c : kAlphabet)
          if (e.bytes[static_cast<uint8_t>(c)]) out.insert(std::string(1, c));
        return out;
      }
      case Grammar::Kind::kSequence: {
        Texts out{""};
        for (const Expr part : e.parts) out = joined(out, of(part));
        return out;
      }
      case Grammar::Kind::kChoice: {
        Texts out;
        for (const Expr part : e.parts) out.merge(of(part));
        return out;
      }
      case Grammar::Kind::kRepeat: {
        const Texts one = of(e.parts.front());
        Texts now{""};
        Texts out;
        for (uint32_t i = 0; i <= e.most.value_or(e.least + kLengthMax + 1); ++i) {
          if (i >= e.least) out.insert(now.begin(), now.end());
          now = joined(now, one);
        }
        return out;
      }
      case Grammar::Kind::kCall: return rules_[e.rule];
    }
    return {};
  }

  const Grammar& grammar_;
  std::vector<Texts> rules_;
};

class RandomGrammar {
 public:
  explicit RandomGrammar(uint32_t seed) : random_(seed) {
    const size_t count = 1 + random_() % 4;
    for (size_t i = 0; i < count; ++i)
      rules_.push_back(grammar.add_rule("rule " + std::to_string(i),
                                        random_() % 2 == 0 ? Grammar::Calls::kShared : Grammar::Calls::kInlined));
    for (const Rule rule : rules_) grammar.define(rule, expression(3));
    grammar.set_root(rules_[0]);
  }
  Grammar grammar;

 private:
  Expr expression(int depth) {
    switch (random_() % (depth == 0 ? 3U : 8U)) {
      case 0:
      case 1: {
        ByteSet set;
        for (const char c : kAlphabet)
          if (random_() % 2 == 0) set.set(static_cast<uint8_t>(c));
        return grammar.bytes(set);
      }
      case 2: {
        std::string text(random_() % 3, 'a');
        for (char& c : text) c = kAlphabet[random_() % kAlphabet.size()];
        return grammar.literal(text);
      }
      case 3:
      case 4: return grammar.sequence({expression(depth - 1), expression(depth - 1)});
      case 5: return grammar.choice({expression(depth - 1), expression(depth - 1)});
      case 6: {
        const auto least = static_cast<uint32_t>(random_() % 3);
        return grammar.repeat(
            expression(depth - 1), least,
            random_() % 2 == 0 ? std::nullopt : std::optional(least + static_cast<uint32_t>(random_() % 3)));
      }
      default: return grammar.call(rules_[random_() % rules_.size()]);
    }
  }

  std::mt19937 random_;
  std::vector<Rule> rules_;
};

std::vector<std::string> random_tokens(std::mt19937& random, size_t count) {
  std::vector<std::string> tokens;
  for (size_t i = 0; i < count; ++i) {
    std::string token(1 + random() % 4, 'a');
    for (char& c : token) c = kAlphabet[random() % kAlphabet.size()];
    tokens.push_back(token);
  }
  return tokens;
}

// Whether a matcher can end within some more bytes.
bool ends_within(const Matcher& matcher, size_t bytes) {
  if (matcher.may_end()) return true;
  if (bytes == 0) return false;
  return std::any_of(kAlphabet.begin(), kAlphabet.end(), [&](char c) {
    Matcher copy = matcher;
    return copy.accept(static_cast<uint8_t>(c)).ok() && ends_within(copy, bytes - 1);
  });
}

// Every text of up to 2 bytes that can be completed within kLengthMax is met; each token is allowed exactly when some
// text of the language goes on with it.
TEST(Masks, AllowATokenExactlyWhenSomeTextOfTheGrammarGoesOnWithIt) {
  size_t compiled = 0;
  size_t allowed_count = 0;
  size_t refused_count = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const RandomGrammar random(seed);
    const Language language(random.grammar);
    auto automaton = Automaton::compile(random.grammar);
    if (!automaton.ok()) {
      // Left recursion, or no text.
      const bool trivial = language.texts().empty() || language.texts() == std::set<std::string>{""};
      EXPECT_TRUE(trivial || automaton.error().message.find("left recursion") != std::string::npos)
          << seed << ": " << automaton.error().message;
      continue;
    }
    ++compiled;
    std::mt19937 engine(seed);
    const auto vocabulary = bytes_and(random_tokens(engine, 30));
    const auto masks = std::make_shared<Masks>(std::move(*automaton), vocabulary);
    std::set<std::string> beginnings;
    for (const std::string& text : language.texts())
      for (size_t n = 0; n <= text.size(); ++n) beginnings.insert(text.substr(0, n));
    std::vector<uint32_t> mask(vocabulary->mask_words());
    for (const std::string& text : beginnings) {
      if (text.size() > 2) continue;
      Matcher matcher(masks);
      for (const char c : text) ASSERT_TRUE(matcher.accept(static_cast<uint8_t>(c)).ok()) << seed << ' ' << text;
      EXPECT_EQ(matcher.may_end(), language.texts().contains(text)) << seed << ' ' << text;
      ASSERT_TRUE(matcher.fill_mask(mask).ok());
      for (uint32_t id = 0; id < vocabulary->size(); ++id) {
        const std::string_view token = vocabulary->bytes(static_cast<int32_t>(id));
        const std::string next = text + std::string(token);
        const bool may = !token.empty() && beginnings.contains(next);
        const bool allowed = test_bit(mask, static_cast<int32_t>(id));
        Matcher copy = matcher;
        EXPECT_EQ(copy.accept(static_cast<int32_t>(id)).ok(), allowed);
        // What is allowed may be completed only beyond the length that was tried; then nothing shorter completes it.
        if (allowed && !may && next.size() <= kLengthMax) {
          EXPECT_FALSE(ends_within(copy, kLengthMax - next.size())) << seed << ' ' << next;
          continue;
        }
        if (next.size() > kLengthMax) continue;
        EXPECT_EQ(allowed, may) << "seed " << seed << ", after \"" << text << "\", token \"" << next << '"';
        (may ? allowed_count : refused_count) += 1;
      }
    }
  }
  EXPECT_GT(compiled, 100U);
  EXPECT_GT(allowed_count, 1000U);
  EXPECT_GT(refused_count, 1000U);
}

}  // namespace
}  // namespace switchyard::structured
