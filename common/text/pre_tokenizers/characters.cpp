// The pre-tokenizers that look at one character at a time.
#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/pre_tokenizers/spans.h"
#include "common/text/pre_tokenizers/steps.h"
#include "common/text/unicode/code_point_set.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

bool is_numeric(char32_t c) {
  static const CodePointSet set(numeric_ranges());
  return set.contains(c);
}

bool is_punctuation(char32_t c) {
  static const CodePointSet set = [] {
    CodePointSet with_symbols(punctuation_ranges());
    with_symbols.add(0x21, 0x2F);
    with_symbols.add(0x3A, 0x40);
    with_symbols.add(0x5B, 0x60);
    with_symbols.add(0x7B, 0x7E);
    return with_symbols;
  }();
  return set.contains(c);
}

bool is_word(char32_t c) {
  static const CodePointSet set(word_ranges());
  return set.contains(c);
}

// Characters of a kind, and what becomes of them.
template <typename Predicate>
class Characters : public PreTokenizerStep {
 public:
  Characters(Predicate predicate, Behavior behavior) : predicate_(predicate), behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    for (const auto piece : pieces.list) {
      character_spans(piece, predicate_, spans);
      write_spans(piece, spans, behavior_, pieces.next);
    }
  }

 private:
  Predicate predicate_;
  Behavior behavior_;
};

template <typename Predicate>
Status add_characters(Predicate predicate, Behavior behavior, PreTokenizerSteps& steps) {
  steps.push_back(std::make_unique<Characters<Predicate>>(predicate, behavior));
  return {};
}

// Runs of one class; white space goes. The classes of a character: kSpace, kAlone (a piece by itself), or any other.
constexpr int kSpace = 0;
constexpr int kAlone = 1;
template <typename Classify>
class Runs : public PreTokenizerStep {
 public:
  explicit Runs(Classify classify) : classify_(classify) {}

  void apply(Pieces& pieces) const override {
    for (const auto piece : pieces.list) {
      size_t begin = 0;
      int run = kSpace;
      for (size_t at = 0; at < piece.size();) {
        const size_t here = at;
        const int next = classify_(next_code_point(piece, at));
        if (next == run && run != kAlone) continue;
        if (run != kSpace) pieces.next.push_back(piece.substr(begin, here - begin));
        begin = here;
        run = next;
      }
      if (run != kSpace) pieces.next.push_back(piece.substr(begin));
    }
  }

 private:
  Classify classify_;
};

template <typename Classify>
Status add_runs(Classify classify, PreTokenizerSteps& steps) {
  steps.push_back(std::make_unique<Runs<Classify>>(classify));
  return {};
}

class FixedLength : public PreTokenizerStep {
 public:
  explicit FixedLength(size_t length) : length_(length) {}

  void apply(Pieces& pieces) const override {
    for (const auto piece : pieces.list) {
      for (size_t at = 0; at < piece.size();) {
        const size_t begin = at;
        for (size_t i = 0; i < length_ && at < piece.size(); ++i) next_code_point(piece, at);
        pieces.next.push_back(piece.substr(begin, at - begin));
      }
    }
  }

 private:
  size_t length_;
};

}  // namespace

Status load_digits(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const bool individual, bool_field(spec, "individual_digits", false, where));
  return add_characters(is_numeric, individual ? Behavior::kIsolated : Behavior::kContiguous, steps);
}

Status load_punctuation(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const Behavior behavior, behavior_field(spec, where, Behavior::kIsolated));
  return add_characters(is_punctuation, behavior, steps);
}

Status load_char_delimiter(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const char32_t delimiter, character_field(spec, "delimiter", where));
  return add_characters([delimiter](char32_t c) { return c == delimiter; }, Behavior::kRemoved, steps);
}

Status load_whitespace_split(const json::object&, std::string_view, PreTokenizerSteps& steps) {
  return add_characters(is_white_space, Behavior::kRemoved, steps);
}

Status load_whitespace(const json::object&, std::string_view, PreTokenizerSteps& steps) {
  return add_runs([](char32_t c) { return is_white_space(c) ? kSpace : is_word(c) ? 2 : 3; }, steps);
}

Status load_bert_pre_tokenizer(const json::object&, std::string_view, PreTokenizerSteps& steps) {
  return add_runs([](char32_t c) { return is_white_space(c) ? kSpace : is_punctuation(c) ? kAlone : 2; }, steps);
}

Status load_fixed_length(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  size_t length = 5;
  if (spec.contains("length")) {
    SWITCHYARD_ASSIGN(length, count_field(spec, "length", where));
  }
  if (length == 0) return field_error(where, "length", "a length from 1 on is expected");
  steps.push_back(std::make_unique<FixedLength>(length));
  return {};
}

}  // namespace switchyard::text
