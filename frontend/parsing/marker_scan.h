// Finds markers in text that comes byte by byte, and holds back what may yet become one.
//
// The marker that ends first wins, of those that end together the longest (Knuth-Morris-Pratt, one automaton a marker).
// Time: bytes times markers. Holds at most the longest marker.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::parsing {

class MarkerScan {
 public:
  MarkerScan() = default;
  explicit MarkerScan(const std::vector<std::string_view>& markers);

  // The marker that c completes. What can be none any more is added to released, as is what stands before a hit.
  std::optional<size_t> push(char c, std::string& released);
  // Gives up what is held back.
  void flush(std::string& released);
  void reset();
  size_t held() const { return held_.size(); }
  bool empty() const { return markers_.empty(); }

 private:
  struct Marker {
    std::string text;
    std::vector<size_t> fallback;  // (size) longest proper border of each prefix
    size_t matched = 0;
  };

  std::vector<Marker> markers_;
  std::string held_;
};

}  // namespace switchyard::parsing
