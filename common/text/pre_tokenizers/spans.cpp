#include "common/text/pre_tokenizers/spans.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

void write_spans(std::string_view text, const std::vector<Span>& spans, Behavior behavior,
                 std::vector<std::string_view>& out) {
  const auto put = [&](size_t begin, size_t end) {
    if (end > begin) out.push_back(text.substr(begin, end - begin));
  };
  switch (behavior) {
    case Behavior::kIsolated:
      for (const auto& span : spans) put(span.begin, span.end);
      return;
    case Behavior::kRemoved:
      for (const auto& span : spans) {
        if (!span.match) put(span.begin, span.end);
      }
      return;
    case Behavior::kContiguous:
      for (size_t i = 0; i < spans.size();) {
        size_t j = i + 1;
        while (j < spans.size() && spans[j].match == spans[i].match) ++j;
        put(spans[i].begin, spans[j - 1].end);
        i = j;
      }
      return;
    case Behavior::kMergedWithPrevious:
      // A match joins the piece before it, unless that is a match too.
      for (size_t i = 0; i < spans.size();) {
        size_t j = i + 1;
        if (!spans[i].match && j < spans.size() && spans[j].match) ++j;
        put(spans[i].begin, spans[j - 1].end);
        i = j;
      }
      return;
    case Behavior::kMergedWithNext:
      for (size_t i = 0; i < spans.size();) {
        size_t j = i + 1;
        if (spans[i].match && j < spans.size() && !spans[j].match) ++j;
        put(spans[i].begin, spans[j - 1].end);
        i = j;
      }
      return;
  }
}

Result<Behavior> behavior_field(const json::object& spec, std::string_view where, std::optional<Behavior> fallback) {
  if (fallback && !spec.contains("behavior")) return *fallback;
  SWITCHYARD_ASSIGN(const std::string name, string_field(spec, "behavior", where));
  constexpr std::pair<std::string_view, Behavior> kNames[] = {{"Removed", Behavior::kRemoved},
                                                              {"Isolated", Behavior::kIsolated},
                                                              {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                                              {"MergedWithNext", Behavior::kMergedWithNext},
                                                              {"Contiguous", Behavior::kContiguous}};
  for (const auto& [known, behavior] : kNames) {
    if (known == name) return behavior;
  }
  return field_error(where, "behavior", fmt::format("'{}' is not supported", name));
}

}  // namespace switchyard::text
