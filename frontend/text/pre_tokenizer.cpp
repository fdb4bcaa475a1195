#include "frontend/text/pre_tokenizer.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "frontend/text/byte_alphabet.h"
#include "frontend/text/json_fields.h"
#include "frontend/text/regex.h"
#include "frontend/text/unicode/tables.h"
#include "frontend/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

using Steps = std::vector<std::unique_ptr<PreTokenizerStep>>;

// GPT-2's pattern, built into ByteLevel.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What becomes of the matches.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Span {
  size_t begin;
  size_t end;
  bool match;
};

// Joins spans as the behaviour says and writes the pieces.
void write_spans(std::string_view text, std::vector<Span>& spans, Behavior behavior,
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

// Gives the matches of a pattern and the gaps between them to put(begin, end, match); none is empty.
template <typename Put>
void for_each_span(const Regex& regex, std::string_view text, const Put& put) {
  size_t previous = 0;
  size_t from = 0;
  while (from < text.size()) {
    const auto match = regex.find(text, from);
    if (!match) break;
    // An empty match cuts the gap that it stands in.
    if (match->begin > previous) put(previous, match->begin, false);
    if (match->end > match->begin) put(match->begin, match->end, true);
    previous = from = match->end;
    if (match->end == match->begin && from < text.size()) next_code_point(text, from);
  }
  if (previous < text.size()) put(previous, text.size(), false);
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

// The common case, without a list of spans.
void isolate(const Regex& regex, std::string_view piece, std::vector<std::string_view>& out) {
  for_each_span(regex, piece, [&](size_t begin, size_t end, bool) { out.push_back(piece.substr(begin, end - begin)); });
}

class Split : public PreTokenizerStep {
 public:
  Split(Regex regex, Behavior behavior, bool invert) : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    for (const auto piece : pieces.list) {
      if (behavior_ == Behavior::kIsolated) {
        isolate(regex_, piece, pieces.next);
        continue;
      }
      spans.clear();
      for_each_span(regex_, piece, [&](size_t begin, size_t end, bool match) {
        spans.push_back({begin, end, match != invert_});
      });
      write_spans(piece, spans, behavior_, pieces.next);
    }
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

class Digits : public PreTokenizerStep {
 public:
  explicit Digits(bool individual) : individual_(individual) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    const auto numeric = [](char32_t c) {
      if (c < 0x80) return c >= '0' && c <= '9';
      return in_ranges(numeric_ranges(), c);
    };
    for (const auto piece : pieces.list) {
      character_spans(piece, numeric, spans);
      write_spans(piece, spans, individual_ ? Behavior::kIsolated : Behavior::kContiguous, pieces.next);
    }
  }

 private:
  bool individual_;
};

class Punctuation : public PreTokenizerStep {
 public:
  explicit Punctuation(Behavior behavior) : behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    const auto punctuation = [](char32_t c) {
      if (c < 0x80)
        return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
               (c >= 0x7B && c <= 0x7E);
      return in_ranges(punctuation_ranges(), c);
    };
    for (const auto piece : pieces.list) {
      character_spans(piece, punctuation, spans);
      write_spans(piece, spans, behavior_, pieces.next);
    }
  }

 private:
  Behavior behavior_;
};

class ByteLevel : public PreTokenizerStep {
 public:
  ByteLevel(std::optional<Regex> regex, bool add_prefix_space)
      : regex_(std::move(regex)), add_prefix_space_(add_prefix_space) {}

  // As the last step: the model takes bytes.
  void leave_bytes() { write_characters_ = false; }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      for (auto& piece : pieces.list) {
        if (!piece.empty() && piece[0] != ' ') piece = pieces.owned.emplace_back(" " + std::string(piece));
      }
    }
    if (regex_) {
      for (const auto piece : pieces.list) isolate(*regex_, piece, pieces.next);
    } else {
      pieces.next = pieces.list;
    }
    if (write_characters_) {
      for (auto& piece : pieces.next) piece = pieces.owned.emplace_back(bytes_to_token(piece));
    }
  }

 private:
  std::optional<Regex> regex_;
  bool add_prefix_space_;
  bool write_characters_ = true;  // the bytes become characters here, and not in the model
};

Status load_step(const json::value& spec, std::string_view where, Steps& steps);

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

Status load_split(const json::object& spec, std::string_view where, Steps& steps) {
  const auto* pattern = spec.if_contains("pattern");
  if (pattern == nullptr) return field_error(where, "pattern", "missing");
  const auto* object = pattern->if_object();
  if (object == nullptr) return field_error(where, "pattern", "{\"Regex\": ...} or {\"String\": ...} is expected");
  SWITCHYARD_ASSIGN(const Behavior behavior, behavior_field(spec, where, std::nullopt));
  SWITCHYARD_ASSIGN(const bool invert, bool_field(spec, "invert", false, where));
  if (object->contains("String")) {
    SWITCHYARD_ASSIGN(const std::string text, string_field(*object, "String", where));
    steps.push_back(std::make_unique<Split>(Regex::literal(text), behavior, invert));
    return {};
  }
  SWITCHYARD_ASSIGN(const std::string source, string_field(*object, "Regex", fmt::format("{}.pattern", where)));
  auto regex = Regex::compile(source);
  if (!regex.ok()) return field_error(where, "pattern.Regex", regex.error().message);
  steps.push_back(std::make_unique<Split>(std::move(regex).value(), behavior, invert));
  return {};
}

Status load_digits(const json::object& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const bool individual, bool_field(spec, "individual_digits", false, where));
  steps.push_back(std::make_unique<Digits>(individual));
  return {};
}

Status load_punctuation(const json::object& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const Behavior behavior, behavior_field(spec, where, Behavior::kIsolated));
  steps.push_back(std::make_unique<Punctuation>(behavior));
  return {};
}

Status load_byte_level(const json::object& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const bool add_prefix_space, bool_field(spec, "add_prefix_space", true, where));
  SWITCHYARD_ASSIGN(const bool use_regex, bool_field(spec, "use_regex", true, where));
  std::optional<Regex> regex;
  if (use_regex) {
    SWITCHYARD_ASSIGN(regex, Regex::compile(kByteLevelPattern));
  }
  steps.push_back(std::make_unique<ByteLevel>(std::move(regex), add_prefix_space));
  return {};
}

Status load_sequence(const json::object& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "pretokenizers", where));
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_TRY(load_step((*list)[i], fmt::format("{}.pretokenizers[{}]", where, i), steps));
  }
  return {};
}

struct Kind {
  std::string_view name;
  Status (*load)(const json::object& spec, std::string_view where, Steps& steps);
};
constexpr Kind kKinds[] = {
    {"ByteLevel", load_byte_level}, {"Digits", load_digits}, {"Punctuation", load_punctuation},
    {"Sequence", load_sequence},    {"Split", load_split},
};

Status load_step(const json::value& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where, steps);
  }
  return field_error(where, "type", fmt::format("the pre-tokenizer '{}' is not supported", type));
}

}  // namespace

Result<PreTokenizer> PreTokenizer::load(const json::value& spec, std::string_view where) {
  PreTokenizer out;
  if (!spec.is_null()) SWITCHYARD_TRY(load_step(spec, where, out.steps_));
  if (!out.steps_.empty()) {
    if (auto* last = dynamic_cast<ByteLevel*>(out.steps_.back().get())) {
      last->leave_bytes();
      out.gives_bytes_ = true;
    }
  }
  return out;
}

void PreTokenizer::apply(std::string_view text, Pieces& pieces) const {
  pieces.list.clear();
  pieces.owned.clear();
  if (text.empty()) return;
  pieces.list.push_back(text);
  for (const auto& step : steps_) {
    pieces.next.clear();
    step->apply(pieces);
    std::swap(pieces.list, pieces.next);
  }
}

}  // namespace switchyard::text
