#include "common/structured/formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace switchyard::structured {
namespace {

// RFC 3339, sections 5.6 and 5.7.
constexpr const char* kDate =
    "(?:[12]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|"
    "1\\d|"
    "2[0-8]))|(?:[12]\\d(?:0[48]|[2468][048]|[13579][26])|(?:1[26]|2[048])00)-02-29)";
constexpr const char* kTime =
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
// RFC 1123, section 2.1.
constexpr const char* kLabel = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
// RFC 2673, section 3.2.
constexpr const char* kByte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
constexpr const char* kPath = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*";
constexpr const char* kPointer = "(?:/(?:[^/~]|~[01])*)*";
// RFC 5322, section 3.2.3.
constexpr const char* kAtoms = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";

// RFC 4291, section 2.2: eight groups, or fewer with one "::".
std::string ipv6() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string all = fmt::format("(?:{0}:){{7}}{0}", group);
  for (int before = 0; before <= 6; ++before) {
    const std::string head = before == 0 ? "" : fmt::format("{0}(?::{0}){{{1}}}", group, before - 1);
    const int after = 6 - before;
    all += "|" + head + "::" + (after == 0 ? "" : fmt::format("(?:{0}(?::{0}){{0,{1}}})?", group, after - 1));
  }
  return all;
}

}  // namespace

bool is_free_format(std::string_view format) {
  static constexpr std::string_view kFree[] = {"password", "binary", "path", "file-path", "directory-path"};
  return std::find(std::begin(kFree), std::end(kFree), format) != std::end(kFree);
}

std::string format_regex(std::string_view format) {
  if (format == "date") return kDate;
  if (format == "time") return kTime;
  if (format == "date-time") return fmt::format("{}T{}", kDate, kTime);
  // ISO 8601, as RFC 3339's appendix A has it.
  if (format == "duration")
    return fmt::format("P(?:{0}W|(?:{0}Y(?:{0}M(?:{0}D)?)?|{0}M(?:{0}D)?|{0}D)(?:{1})?|{1})", "\\d{1,6}",
                       "T(?:\\d{1,6}H(?:\\d{1,6}M(?:\\d{1,6}S)?)?|\\d{1,6}M(?:\\d{1,6}S)?|\\d{1,6}S)");
  if (format == "email") return fmt::format("{1}(?:\\.{1}){{0,2}}@{0}(?:\\.{0}){{1,3}}", kLabel, kAtoms);
  if (format == "hostname") return fmt::format("{0}(?:\\.{0}){{0,6}}", kLabel);
  if (format == "ipv4") return fmt::format("{0}\\.{0}\\.{0}\\.{0}", kByte);
  if (format == "ipv6") return ipv6();
  if (format == "uuid") return "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
  // As pydantic names versions. RFC 9562, section 4: the version is the first digit of the third group, the variant 10
  // are the first bits of the fourth.
  if (format.size() == 5 && format.starts_with("uuid") && format[4] >= '1' && format[4] <= '8')
    return fmt::format(
        "[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-{}[0-9a-fA-F]{{3}}-[89abAB][0-9a-fA-F]{{3}}-[0-9a-fA-F]{{12}}", format[4]);
  // RFC 6901, section 3, and draft-bhutton-relative-json-pointer-00.
  if (format == "json-pointer") return kPointer;
  if (format == "relative-json-pointer") return fmt::format("(?:0|[1-9]\\d{{0,8}})(?:#|{})", kPointer);
  // OpenAPI's base64: RFC 4648, section 4.
  if (format == "byte") return "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?";
  if (format == "uri")
    return fmt::format(
        "[A-Za-z][A-Za-z0-9+.-]{{0,20}}://{0}(?:\\.{0}){{0,6}}(?::\\d{{1,4}})?(?:/{1})?(?:\\?{1})?(?:#{1})?", kLabel,
        kPath);
  return "";
}

}  // namespace switchyard::structured
