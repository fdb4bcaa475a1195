#include "frontend/text/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <boost/json.hpp>
#include <cstdlib>

#include "frontend/text/json_fields.h"
#include "frontend/text/unicode/tables.h"
#include "frontend/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

using Steps = std::vector<std::unique_ptr<Normalizer>>;

class Nfc : public Normalizer {
 public:
  std::string normalize(std::string_view text) const override { return normalize_nfc(text); }
};

// Below U+0300 nothing is changed or moved; the great scripts of syllables and ideographs are looked at first.
bool nfc_unsafe(char32_t c) {
  if (c < 0x300 || (c >= 0x3400 && c < 0xA000) || (c >= 0xAC00 && c < 0xD7A4)) return false;
  return in_ranges(nfc_unsafe_ranges(), c);
}

void append_composed(std::string_view segment, std::string& out) {
  utf8proc_uint8_t* composed = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(segment.data()),
                                 static_cast<utf8proc_ssize_t>(segment.size()), &composed,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) {
    out += segment;
  } else {
    out.append(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
  }
  std::free(composed);
}

Status load_step(const json::value& spec, std::string_view where, Steps& steps);

Status load_nfc(const json::object&, std::string_view, Steps& steps) {
  steps.push_back(std::make_unique<Nfc>());
  return {};
}

Status load_sequence(const json::object& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "normalizers", where));
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_TRY(load_step((*list)[i], fmt::format("{}.normalizers[{}]", where, i), steps));
  }
  return {};
}

struct Kind {
  std::string_view name;
  Status (*load)(const json::object& spec, std::string_view where, Steps& steps);
};
constexpr Kind kKinds[] = {
    {"NFC", load_nfc},
    {"Sequence", load_sequence},
};

Status load_step(const json::value& spec, std::string_view where, Steps& steps) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where, steps);
  }
  return field_error(where, "type", fmt::format("the normalizer '{}' is not supported", type));
}

}  // namespace

std::string normalize_nfc(std::string_view text) {
  // A segment is a starter and the unsafe characters after it; nothing in it acts on its neighbours, so that only
  // segments of more than a safe starter are worth a call.
  std::string out;
  out.reserve(text.size());
  size_t segment = 0;
  bool dirty = false;
  const auto flush = [&](size_t end) {
    if (dirty) {
      append_composed(text.substr(segment, end - segment), out);
    } else {
      out += text.substr(segment, end - segment);
    }
    segment = end;
    dirty = false;
  };
  size_t starter = 0;  // where the last safe character starts
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (nfc_unsafe(c)) {
      if (!dirty) {
        flush(starter);
        dirty = true;
      }
      continue;
    }
    if (dirty) flush(begin);
    starter = begin;
    if (c >= 0x300 && in_ranges(nfc_late_ranges(), c)) {
      flush(at);
      starter = at;
    }
  }
  flush(text.size());
  return out;
}

Result<Steps> load_normalizer(const json::value& spec, std::string_view where) {
  Steps steps;
  if (!spec.is_null()) SWITCHYARD_TRY(load_step(spec, where, steps));
  return steps;
}

}  // namespace switchyard::text
