// Goal: markers are found wherever a plain search finds them, and the rest comes through. Method: short markers over
// two letters, which overlap themselves and each other in every way, against std::string_view::find.
#include "frontend/parsing/marker_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace switchyard::parsing {
namespace {

// The text with markers in brackets: of those that end first, the longest.
std::string reference(const std::vector<std::string_view>& markers, std::string_view text) {
  std::string out;
  size_t from = 0;
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string_view best;
    for (const std::string_view marker : markers)
      if (text.substr(from, end - from).ends_with(marker) && marker.size() > best.size()) best = marker;
    if (best.empty()) continue;
    out += text.substr(from, end - from - best.size());
    out += "[" + std::string(best) + "]";
    from = end;
  }
  return out + std::string(text.substr(from));
}

std::string scanned(const std::vector<std::string_view>& markers, std::string_view text) {
  MarkerScan scan(markers);
  const size_t longest = std::max(markers[0].size(), markers[1].size());
  std::string out;
  for (const char c : text) {
    if (const auto hit = scan.push(c, out)) out += "[" + std::string(markers[*hit]) + "]";
    EXPECT_LT(scan.held(), longest);
  }
  scan.flush(out);
  return out;
}

TEST(MarkerScan, FindsWhatAPlainSearchFinds) {
  std::mt19937 random(5);
  const auto letters = [&](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += random() % 3 == 0 ? 'b' : 'a';
    return text;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::string first = letters(1 + random() % 5), second = letters(1 + random() % 5), text = letters(24);
    ASSERT_EQ(scanned({first, second}, text), reference({first, second}, text))
        << first << " " << second << " " << text;
  }
}

}  // namespace
}  // namespace switchyard::parsing
