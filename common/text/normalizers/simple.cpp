#include "common/text/normalizers/simple.h"

#include <boost/json.hpp>

#include "common/text/byte_alphabet.h"
#include "common/text/json_fields.h"
#include "common/text/unicode/code_point_set.h"
#include "common/text/unicode/forms.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

class Form : public Normalizer {
 public:
  explicit Form(UnicodeForm form) : form_(form) {}
  std::string normalize(std::string_view text) const override { return normalize_unicode(text, form_); }

 private:
  UnicodeForm form_;
};

// A function of a text.
class Function : public Normalizer {
 public:
  explicit Function(std::string (*function)(std::string_view)) : function_(function) {}
  std::string normalize(std::string_view text) const override { return function_(text); }

 private:
  std::string (*function_)(std::string_view);
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string normalize(std::string_view text) const override {
    if (left_) text.remove_prefix(end_of_leading_space(text));
    if (right_) text = text.substr(0, start_of_trailing_space(text));
    return std::string(text);
  }

 private:
  bool left_;
  bool right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  std::string normalize(std::string_view text) const override {
    return text.empty() ? std::string() : text_ + std::string(text);
  }

 private:
  std::string text_;
};

std::string strip_accents(std::string_view text) {
  static const CodePointSet marks(mark_ranges());
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c < 0x300 || !marks.contains(c)) out += text.substr(begin, at - begin);
  }
  return out;
}

// The two lists: SentencePiece, "nmt_nfkc" (src/builder.cc), as the reference has them.
std::string nmt(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const bool removed =
        (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    if (removed) continue;
    const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    if (space) {
      out += ' ';
    } else {
      out += text.substr(begin, at - begin);
    }
  }
  return out;
}

Status add_form(UnicodeForm form, NormalizerSteps& steps) {
  steps.push_back(std::make_unique<Form>(form));
  return {};
}

Status add_function(std::string (*function)(std::string_view), NormalizerSteps& steps) {
  steps.push_back(std::make_unique<Function>(function));
  return {};
}

}  // namespace

Status load_nfc(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_form(UnicodeForm::kNfc, steps);
}
Status load_nfd(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_form(UnicodeForm::kNfd, steps);
}
Status load_nfkc(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_form(UnicodeForm::kNfkc, steps);
}
Status load_nfkd(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_form(UnicodeForm::kNfkd, steps);
}
Status load_lowercase(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_function(lower_case, steps);
}
Status load_strip_accents(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_function(strip_accents, steps);
}
Status load_nmt(const json::object&, std::string_view, NormalizerSteps& steps) { return add_function(nmt, steps); }
Status load_byte_level_normalizer(const json::object&, std::string_view, NormalizerSteps& steps) {
  return add_function(bytes_to_token, steps);
}

Status load_strip(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(const bool left, bool_field(spec, "strip_left", true, where));
  SWITCHYARD_ASSIGN(const bool right, bool_field(spec, "strip_right", true, where));
  steps.push_back(std::make_unique<Strip>(left, right));
  return {};
}

Status load_prepend(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(std::string text, string_field(spec, "prepend", where));
  steps.push_back(std::make_unique<Prepend>(std::move(text)));
  return {};
}

}  // namespace switchyard::text
