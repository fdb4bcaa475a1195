#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/text/regex_classes.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <utility>

#include "common/text/unicode/tables.h"

namespace switchyard::text {
namespace {

// White_Space, and its complement, as the inside of a class.
constexpr std::string_view kSpace =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E})"
    R"(\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";

std::string added_ranges(std::string_view property) {
  std::string out;
  for (const auto& added : categories_added_since_14()) {
    if (added.category.substr(0, property.size()) != property) continue;
    for (const auto& range : added.ranges) {
      out += fmt::format("\\x{{{:X}}}", static_cast<uint32_t>(range.first));
      if (range.last != range.first) out += fmt::format("-\\x{{{:X}}}", static_cast<uint32_t>(range.last));
    }
  }
  return out;
}

// A name of a property without its case, spaces, hyphens and underscores, none of which Oniguruma looks at.
std::string plain_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  return out;
}

bool is_known_to_pcre2(const std::string& pattern) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
  pcre2_code_free(compiled);
  return compiled != nullptr;
}

}  // namespace

std::string space_class() { return std::string(kSpace); }
std::string not_space_class() { return std::string(kNotSpace); }

std::string word_class(bool latin_numbers) {
  return std::string(latin_numbers ? R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})" : "") + R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})" +
         added_ranges("L") + added_ranges("M") + added_ranges("Nd") + added_ranges("Nl") + added_ranges("Pc");
}

std::string posix_class(std::string_view name) {
  const std::string alpha = R"(\p{Alphabetic})" + added_ranges("L") + added_ranges("Nl");
  const std::string digit = R"(\p{Nd})" + added_ranges("Nd");
  if (name == "alpha") return alpha;
  if (name == "digit") return digit;
  if (name == "alnum") return alpha + digit;
  if (name == "word") return word_class(false);
  if (name == "space") return std::string(kSpace);
  if (name == "upper") return R"(\p{Uppercase})" + added_ranges("Lu");
  if (name == "lower") return R"(\p{Lowercase})" + added_ranges("Ll");
  if (name == "punct") return R"(\p{P}\p{S})" + added_ranges("P") + added_ranges("S");
  if (name == "cntrl") return R"(\x{0}-\x{1F}\x{7F}-\x{9F})";
  if (name == "xdigit") return "0-9A-Fa-f";
  if (name == "blank") return R"(\p{Zs}\x{9})";
  // All but spaces, controls, surrogates and what is not assigned.
  const std::string graph = R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co})" + added_ranges("");
  if (name == "graph") return graph;
  if (name == "print") return graph + R"(\p{Zs})";
  return {};
}

std::string property_class(std::string_view name, bool in_brackets) {
  static constexpr std::pair<std::string_view, std::string_view> kCategories[] = {
      {"letter", "L"}, {"mark", "M"}, {"number", "N"}, {"punct", "P"}, {"punctuation", "P"}, {"symbol", "S"}};
  std::string plain = plain_name(name);
  for (const auto& [known, category] : kCategories) {
    if (plain == known) plain = category;
  }
  if (plain == "word") return word_class(!in_brackets);
  if (std::string inside = posix_class(plain); !inside.empty()) return inside;
  if (plain.size() <= 2) {
    if (!plain.empty() && plain[0] >= 'a' && plain[0] <= 'z') plain[0] = static_cast<char>(plain[0] - ('a' - 'A'));
    return "\\p{" + plain + "}" + added_ranges(plain);
  }
  // A script is Oniguruma's Script; PCRE2's own reading of the bare name is Script_Extensions.
  const std::string script = "\\p{sc:" + std::string(name) + "}";
  return is_known_to_pcre2(script) ? script : "\\p{" + std::string(name) + "}";
}

}  // namespace switchyard::text
