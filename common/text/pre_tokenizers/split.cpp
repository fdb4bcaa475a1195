#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/normalizers/replace.h"
#include "common/text/pre_tokenizers/spans.h"
#include "common/text/pre_tokenizers/steps.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

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
      size_t done = 0;
      for_each_match(regex_, piece, [&](const Match& match) {
        if (match.begin > done) spans.push_back({done, match.begin, invert_});
        spans.push_back({match.begin, match.end, !invert_});
        done = match.end;
      });
      if (done < piece.size()) spans.push_back({done, piece.size(), invert_});
      write_spans(piece, spans, behavior_, pieces.next);
    }
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

}  // namespace

Status load_split(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(auto pattern, pattern_field(spec, where));
  SWITCHYARD_ASSIGN(const Behavior behavior, behavior_field(spec, where, std::nullopt));
  SWITCHYARD_ASSIGN(const bool invert, bool_field(spec, "invert", false, where));
  steps.push_back(std::make_unique<Split>(std::move(pattern.regex), behavior, invert));
  return {};
}

}  // namespace switchyard::text
