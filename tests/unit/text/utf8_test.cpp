// Repair of UTF-8 against Unicode 16, section 3.9, tables 3-8 to 3-11, and NFC by the tables of Unicode 9.
#include "common/text/utf8.h"

#include <gtest/gtest.h>

#include "common/text/unicode/forms.h"

namespace switchyard::text {
namespace {

struct Case {
  std::string bytes;
  std::string repaired;
};

const Case kCases[] = {
    {"plain", "plain"},
    {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "é€😀"},
    // Table 3-8: non-shortest forms.
    {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
    // Table 3-9: surrogates.
    {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
    // Table 3-10: other ill-formed sequences.
    {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB"},
    // Table 3-11: truncated sequences.
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\uFFFD\uFFFD\uFFFD\uFFFDA"},
    {"a\xE2\x82", "a\uFFFD"},
};

TEST(Utf8, MaximalBrokenPartsBecomeOneReplacementEach) {
  for (const auto& c : kCases) EXPECT_EQ(repair_utf8(c.bytes), c.repaired);
}

TEST(Utf8, RepairDoesNotDependOnHowTheBytesCome) {
  for (const auto& c : kCases) {
    Utf8Repair repair;
    std::string out;
    for (const char byte : c.bytes) repair.push(std::string_view(&byte, 1), out);
    repair.finish(out);
    EXPECT_EQ(out, c.repaired);
  }
}

TEST(Utf8, ValidityAgreesWithRepair) {
  for (const auto& c : kCases) EXPECT_EQ(is_valid_utf8(c.bytes), c.bytes == c.repaired) << c.repaired;
}

TEST(Nfc, ComposesAndReorders) {
  EXPECT_EQ(normalize_unicode("e\u0301", UnicodeForm::kNfc), "é");
  EXPECT_EQ(normalize_unicode("q\u0307\u0323", UnicodeForm::kNfc), "q\u0323\u0307");
  EXPECT_EQ(normalize_unicode("\u1112\u1161\u11AB", UnicodeForm::kNfc), "한");
  EXPECT_EQ(normalize_unicode("\uD558\u11AB", UnicodeForm::kNfc), "한");
  EXPECT_EQ(normalize_unicode("\u212B\u2126", UnicodeForm::kNfc), "ÅΩ");
  EXPECT_EQ(normalize_unicode("\u0958", UnicodeForm::kNfc), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(normalize_unicode("ascii, 你好, \u0301x", UnicodeForm::kNfc), "ascii, 你好, \u0301x");
}

TEST(Nfc, CharactersAfterUnicode9AreLeftAlone) {
  EXPECT_EQ(normalize_unicode("\U00011935\U00011930", UnicodeForm::kNfc),
            "\U00011935\U00011930");  // composes since Unicode 13
  EXPECT_EQ(normalize_unicode("a\u0301\u08D3\u0323", UnicodeForm::kNfc),
            "\u00E1\u08D3\u0323");  // U+08D3: class 220, since Unicode 11
}

}  // namespace
}  // namespace switchyard::text
