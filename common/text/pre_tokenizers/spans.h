// What a pre-tokenizer does with the matches in a piece and the gaps between them.
//
// Thread: any; free functions.
#pragma once

#include <optional>

#include "common/text/pre_tokenizer.h"
#include "common/text/regex.h"
#include "common/text/utf8.h"

namespace switchyard::text {

// What becomes of the matches.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// A match or a gap; an empty one is no piece, but parts its neighbours.
struct Span {
  size_t begin;
  size_t end;
  bool match;
};

// Joins spans as the behaviour says and writes the pieces that are not empty.
void write_spans(std::string_view text, const std::vector<Span>& spans, Behavior behavior,
                 std::vector<std::string_view>& out);

// The key "behavior"; a missing one is the fallback, or an error where there is none.
Result<Behavior> behavior_field(const boost::json::object& spec, std::string_view where,
                                std::optional<Behavior> fallback);

// The matches of a pattern and the gaps, all as pieces.
inline void isolate(const Regex& regex, std::string_view piece, std::vector<std::string_view>& out) {
  size_t done = 0;
  for_each_match(regex, piece, [&](const Match& match) {
    if (match.begin > done) out.push_back(piece.substr(done, match.begin - done));
    if (match.end > match.begin) out.push_back(piece.substr(match.begin, match.end - match.begin));
    done = match.end;
  });
  if (done < piece.size()) out.push_back(piece.substr(done));
}

// Where every character is a match or not by itself.
template <typename Predicate>
void character_spans(std::string_view text, const Predicate& predicate, std::vector<Span>& spans) {
  spans.clear();
  size_t gap = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (!predicate(next_code_point(text, at))) continue;
    if (begin > gap) spans.push_back({gap, begin, false});
    spans.push_back({begin, at, true});
    gap = at;
  }
  if (gap < text.size()) spans.push_back({gap, text.size(), false});
}

}  // namespace switchyard::text
