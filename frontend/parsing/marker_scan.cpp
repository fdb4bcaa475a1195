#include "frontend/parsing/marker_scan.h"

#include <algorithm>

#include "common/base/result.h"

namespace switchyard::parsing {

MarkerScan::MarkerScan(const std::vector<std::string_view>& markers) {
  for (const std::string_view text : markers) {
    SWITCHYARD_CHECK(!text.empty());
    std::vector<size_t> fallback(text.size(), 0);
    for (size_t i = 1, border = 0; i < text.size(); ++i) {
      while (border > 0 && text[i] != text[border]) border = fallback[border - 1];
      if (text[i] == text[border]) ++border;
      fallback[i] = border;
    }
    markers_.push_back({.text = std::string(text), .fallback = std::move(fallback)});
  }
}

std::optional<size_t> MarkerScan::push(char c, std::string& released) {
  held_ += c;
  std::optional<size_t> hit;
  size_t keep = 0;
  for (size_t i = 0; i < markers_.size(); ++i) {
    Marker& marker = markers_[i];
    while (marker.matched > 0 && marker.text[marker.matched] != c) marker.matched = marker.fallback[marker.matched - 1];
    if (marker.text[marker.matched] == c) ++marker.matched;
    if (marker.matched == marker.text.size()) {
      marker.matched = 0;
      if (!hit || marker.text.size() > markers_[*hit].text.size()) hit = i;
    }
    keep = std::max(keep, marker.matched);
  }
  if (hit) {
    released.append(held_, 0, held_.size() - markers_[*hit].text.size());
    reset();
    return hit;
  }
  released.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return std::nullopt;
}

void MarkerScan::flush(std::string& released) {
  released += held_;
  reset();
}

void MarkerScan::reset() {
  held_.clear();
  for (Marker& marker : markers_) marker.matched = 0;
}

}  // namespace switchyard::parsing
