#include <boost/json.hpp>

#include "common/text/byte_alphabet.h"
#include "common/text/json_fields.h"
#include "common/text/pre_tokenizers/spans.h"
#include "common/text/pre_tokenizers/steps.h"
#include "common/text/regex.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// GPT-2's pattern, built into ByteLevel.
constexpr std::string_view kPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevel : public PreTokenizerStep {
 public:
  ByteLevel(std::optional<Regex> regex, bool add_prefix_space)
      : regex_(std::move(regex)), add_prefix_space_(add_prefix_space) {}

  bool leave_bytes() override {
    write_characters_ = false;
    return true;
  }
  bool writes() const override { return true; }

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

}  // namespace

Status load_byte_level_step(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const bool add_prefix_space, bool_field(spec, "add_prefix_space", true, where));
  SWITCHYARD_ASSIGN(const bool use_regex, bool_field(spec, "use_regex", true, where));
  std::optional<Regex> regex;
  if (use_regex) {
    SWITCHYARD_ASSIGN(regex, Regex::compile(kPattern));
  }
  steps.push_back(std::make_unique<ByteLevel>(std::move(regex), add_prefix_space));
  return {};
}

}  // namespace switchyard::text
