// Stop strings against a search over the whole text, cut at every place.
#include "frontend/answers/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace switchyard::frontend {
namespace {

struct Expected {
  std::string text;
  std::string stop;  // "" = none
};

// The definition: the occurrence that ends first, of those the longest. Quadratic, and without any state.
Expected search(const std::string& text, const std::vector<std::string>& stops, bool include) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops)
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0 && stop.size() > best.size())
        best = stop;
    if (!best.empty()) return {text.substr(0, include ? end : end - best.size()), best};
  }
  return {text, ""};
}

Expected run(const std::vector<std::string>& pieces, const std::vector<std::string>& stops, bool include) {
  StopStrings matcher(stops, include);
  Expected result;
  for (const std::string& piece : pieces) {
    const auto out = matcher.push(piece);
    result.text += out.text;
    if (out.stop) {
      result.stop = matcher.stop(*out.stop);
      return result;
    }
  }
  result.text += matcher.flush();
  return result;
}

TEST(StopStrings, EverySplitOfATextGivesTheSameAnswer) {
  const std::vector<std::vector<std::string>> stop_lists = {
      {"END"}, {"aab"}, {"ab", "b"}, {"abab", "ba"}, {"aaaa"}, {"xyz", "aabaab"}, {"\n\n"}, {"\xC3\xA9t\xC3\xA9"}};
  const std::vector<std::string> texts = {"no stop here EN",      "aaab",  "xaababy", "aabaabaab", "one\n\ntwo",
                                          "l'\xC3\xA9t\xC3\xA9!", "EENEND"};
  for (const auto& stops : stop_lists) {
    for (const std::string& text : texts) {
      for (const bool include : {false, true}) {
        const Expected expected = search(text, stops, include);
        for (size_t first = 0; first <= text.size(); ++first) {
          for (size_t second = first; second <= text.size(); ++second) {
            const Expected got =
                run({text.substr(0, first), text.substr(first, second - first), text.substr(second)}, stops, include);
            ASSERT_EQ(got.text, expected.text) << text << " cut at " << first << ", " << second << "; " << stops[0];
            ASSERT_EQ(got.stop, expected.stop) << text << " cut at " << first << ", " << second << "; " << stops[0];
          }
        }
      }
    }
  }
}

TEST(StopStrings, RandomTextsOfTwoLettersAgreeWithASearch) {
  const unsigned seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto word = [&](size_t longest) {
    std::string text(1 + random() % longest, 'a');
    for (char& c : text) c = random() % 2 == 0 ? 'a' : 'b';
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops = {word(6), word(6), word(9)};
    std::vector<std::string> pieces;
    std::string text;
    for (int i = 0; i < 6; ++i) text += pieces.emplace_back(word(4));
    const Expected expected = search(text, stops, false);
    const Expected got = run(pieces, stops, false);
    ASSERT_EQ(got.text, expected.text) << text;
    ASSERT_EQ(got.stop, expected.stop) << text;
  }
}

TEST(StopStrings, WhatCannotBecomeAStopStringIsShownAtOnce) {
  StopStrings matcher({"STOP"}, false);
  EXPECT_EQ(matcher.push("abc S").text, "abc ");
  EXPECT_EQ(matcher.push("T").text, "");
  EXPECT_EQ(matcher.push("x").text, "STx");
  EXPECT_EQ(matcher.push("STO").text, "");
  EXPECT_EQ(matcher.flush(), "STO");
}

TEST(StopStrings, AStopStringThatEndsBeforeItIsArmedDoesNotCount) {
  StopStrings matcher({"ab"}, false);
  EXPECT_FALSE(matcher.push("xab", false).stop);
  EXPECT_FALSE(matcher.push("a", false).stop);
  const auto piece = matcher.push("by", true);  // began before, ends behind
  ASSERT_TRUE(piece.stop);
  EXPECT_EQ(piece.text, "");
}

}  // namespace
}  // namespace switchyard::frontend
