#include "common/text/pre_tokenizers/metaspace.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/pre_tokenizers/steps.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

class Metaspace : public PreTokenizerStep {
 public:
  explicit Metaspace(const MetaspaceOptions& options) : options_(options) {
    append_code_point(mark_, options.replacement);
  }
  bool writes() const override { return true; }

  void apply(Pieces& pieces) const override {
    bool first = pieces.at_origin;
    for (const auto piece : pieces.list) {
      const std::string_view text = marked(piece, first, pieces);
      first = false;
      if (options_.split) {
        cut(text, pieces.next);
      } else {
        pieces.next.push_back(text);
      }
    }
  }

 private:
  std::string_view marked(std::string_view piece, bool first, Pieces& pieces) const {
    std::string& text = pieces.owned.emplace_back();
    text.reserve(piece.size() + piece.size() / 2 + mark_.size());
    const bool wanted = options_.prepend == Prepend::kAlways || (options_.prepend == Prepend::kFirst && first);
    if (wanted && piece[0] != ' ' && !piece.starts_with(mark_)) text += mark_;
    for (size_t at = 0; at < piece.size();) {
      const size_t space = std::min(piece.find(' ', at), piece.size());
      text += piece.substr(at, space - at);
      if (space < piece.size()) text += mark_;
      at = space + 1;
    }
    return text;
  }

  // Before every mark.
  void cut(std::string_view text, std::vector<std::string_view>& out) const {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(mark_, begin + 1), text.size());
      out.push_back(text.substr(begin, end - begin));
      begin = end;
    }
  }

  MetaspaceOptions options_;
  std::string mark_;
};

}  // namespace

Result<MetaspaceOptions> load_metaspace_options(const json::object& spec, std::string_view where) {
  MetaspaceOptions options;
  SWITCHYARD_ASSIGN(options.replacement, character_field(spec, "replacement", where));
  SWITCHYARD_ASSIGN(options.split, bool_field(spec, "split", true, where));
  if (spec.contains("prepend_scheme")) {
    SWITCHYARD_ASSIGN(const std::string scheme, string_field(spec, "prepend_scheme", where));
    constexpr std::pair<std::string_view, Prepend> kNames[] = {
        {"always", Prepend::kAlways}, {"first", Prepend::kFirst}, {"never", Prepend::kNever}};
    const auto* found = std::find_if(std::begin(kNames), std::end(kNames), [&](auto& e) { return e.first == scheme; });
    if (found == std::end(kNames)) {
      return field_error(where, "prepend_scheme", fmt::format("'{}' is not supported", scheme));
    }
    options.prepend = found->second;
  }
  // The older form of the key.
  SWITCHYARD_ASSIGN(const bool add_prefix_space, bool_field(spec, "add_prefix_space", true, where));
  if (!add_prefix_space) {
    if (spec.contains("prepend_scheme") && options.prepend != Prepend::kNever) {
      return field_error(where, "add_prefix_space", "contradicts prepend_scheme");
    }
    options.prepend = Prepend::kNever;
  }
  return options;
}

Status load_metaspace(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const auto options, load_metaspace_options(spec, where));
  steps.push_back(std::make_unique<Metaspace>(options));
  return {};
}

}  // namespace switchyard::text
