// Finds stop strings in text that arrives in pieces, and holds back what may yet become one.
//
// The answer does not depend on how the text was cut: the match that ends first wins, of those that end together the
// longest.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::frontend {

class StopStrings {
 public:
  struct Piece {
    std::string text;            // may be shown now
    std::optional<size_t> stop;  // the stop string that was hit; nothing is shown after it
  };

  StopStrings() = default;
  // Stop strings are UTF-8 and not empty. include: the shown text ends with the stop string instead of before it.
  StopStrings(std::vector<std::string> stops, bool include);

  // armed = false (min_tokens not reached): a stop string that ends within this piece does not count.
  // text: whole code points. Not to be called after a stop.
  Piece push(std::string_view text, bool armed = true);
  // The end of the text: what was held back.
  std::string flush();

  const std::string& stop(size_t index) const { return stops_[index].text; }
  bool empty() const { return stops_.empty(); }

 private:
  // Knuth-Morris-Pratt: how much of the text's end is a beginning of the stop string.
  struct Matcher {
    std::string text;
    std::vector<size_t> fallback;  // (size) longest proper border of each prefix
    size_t matched = 0;
  };

  std::vector<Matcher> stops_;
  bool include_ = false;
  std::string held_;
};

}  // namespace switchyard::frontend
