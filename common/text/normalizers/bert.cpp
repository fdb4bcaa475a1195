#include "common/text/normalizers/bert.h"

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/unicode/code_point_set.h"
#include "common/text/unicode/forms.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

class Bert : public Normalizer {
 public:
  Bert(bool clean, bool space_ideographs, bool strip_accents, bool lowercase)
      : clean_(clean), space_ideographs_(space_ideographs), strip_accents_(strip_accents), lowercase_(lowercase) {}

  std::string normalize(std::string_view text) const override {
    std::string out = clean_and_space(text);
    if (strip_accents_) out = without_accents(out);
    if (lowercase_) out = lower_case(out);
    return out;
  }

 private:
  std::string clean_and_space(std::string_view text) const {
    static const CodePointSet controls(control_ranges());
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      const char32_t c = next_code_point(text, at);
      if (c >= 0x20 && c < 0x7F) {
        out += static_cast<char>(c);
        continue;
      }
      if (clean_) {
        const bool space = c == '\t' || c == '\n' || c == '\r';
        if (!space && (c == 0xFFFD || controls.contains(c))) continue;
        if (space || is_white_space(c)) {
          out += ' ';
          continue;
        }
      }
      const bool apart = space_ideographs_ && is_ideograph(c);
      if (apart) out += ' ';
      out += text.substr(begin, at - begin);
      if (apart) out += ' ';
    }
    return out;
  }

  static std::string without_accents(std::string_view text) {
    static const CodePointSet accents(nonspacing_ranges());
    const std::string decomposed = normalize_unicode(text, UnicodeForm::kNfd);
    std::string out;
    out.reserve(decomposed.size());
    for (size_t at = 0; at < decomposed.size();) {
      const size_t begin = at;
      const char32_t c = next_code_point(decomposed, at);
      if (c < 0x300 || !accents.contains(c)) out.append(decomposed, begin, at - begin);
    }
    return out;
  }

  bool clean_;
  bool space_ideographs_;
  bool strip_accents_;
  bool lowercase_;
};

}  // namespace

Status load_bert_normalizer(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(const bool clean, bool_field(spec, "clean_text", true, where));
  SWITCHYARD_ASSIGN(const bool ideographs, bool_field(spec, "handle_chinese_chars", true, where));
  SWITCHYARD_ASSIGN(const bool lowercase, bool_field(spec, "lowercase", true, where));
  SWITCHYARD_ASSIGN(const bool accents, bool_field(spec, "strip_accents", lowercase, where));
  steps.push_back(std::make_unique<Bert>(clean, ideographs, accents, lowercase));
  return {};
}

}  // namespace switchyard::text
