#include "frontend/answers/stop_strings.h"

#include <algorithm>

#include "common/base/result.h"

namespace switchyard::frontend {

StopStrings::StopStrings(std::vector<std::string> stops, bool include) : include_(include) {
  for (std::string& stop : stops) {
    SWITCHYARD_CHECK(!stop.empty());
    std::vector<size_t> fallback(stop.size(), 0);
    for (size_t i = 1, border = 0; i < stop.size(); ++i) {
      while (border > 0 && stop[i] != stop[border]) border = fallback[border - 1];
      if (stop[i] == stop[border]) ++border;
      fallback[i] = border;
    }
    stops_.push_back({.text = std::move(stop), .fallback = std::move(fallback)});
  }
}

StopStrings::Piece StopStrings::push(std::string_view text, bool armed) {
  if (stops_.empty()) return {.text = std::string(text), .stop = std::nullopt};
  for (const char c : text) {
    held_ += c;
    std::optional<size_t> hit;
    for (size_t i = 0; i < stops_.size(); ++i) {
      Matcher& stop = stops_[i];
      while (stop.matched > 0 && stop.text[stop.matched] != c) stop.matched = stop.fallback[stop.matched - 1];
      if (stop.text[stop.matched] == c) ++stop.matched;
      if (stop.matched < stop.text.size()) continue;
      stop.matched = stop.fallback.back();
      if (armed && (!hit || stop.text.size() > stops_[*hit].text.size())) hit = i;
    }
    if (hit) {
      Piece piece{.text = std::move(held_), .stop = hit};
      held_.clear();
      // A stop string is held back from its first byte on, so all of it is here.
      if (!include_) piece.text.resize(piece.text.size() - stops_[*hit].text.size());
      return piece;
    }
  }
  size_t keep = 0;
  for (const Matcher& stop : stops_) keep = std::max(keep, stop.matched);
  Piece piece{.text = held_.substr(0, held_.size() - keep), .stop = std::nullopt};
  held_.erase(0, held_.size() - keep);
  return piece;
}

std::string StopStrings::flush() {
  std::string rest = std::move(held_);
  held_.clear();
  return rest;
}

}  // namespace switchyard::frontend
