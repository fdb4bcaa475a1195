#include "common/text/normalizer.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/normalizers/bert.h"
#include "common/text/normalizers/precompiled.h"
#include "common/text/normalizers/replace.h"
#include "common/text/normalizers/simple.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

Status load_step(const json::value& spec, std::string_view where, NormalizerSteps& steps);

Status load_sequence(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "normalizers", where));
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_TRY(load_step((*list)[i], fmt::format("{}.normalizers[{}]", where, i), steps));
  }
  return {};
}

struct Kind {
  std::string_view name;
  Status (*load)(const json::object& spec, std::string_view where, NormalizerSteps& steps);
};
constexpr Kind kKinds[] = {
    {"BertNormalizer", load_bert_normalizer},
    {"ByteLevel", load_byte_level_normalizer},
    {"Lowercase", load_lowercase},
    {"NFC", load_nfc},
    {"NFD", load_nfd},
    {"NFKC", load_nfkc},
    {"NFKD", load_nfkd},
    {"Nmt", load_nmt},
    {"Precompiled", load_precompiled},
    {"Prepend", load_prepend},
    {"Replace", load_replace},
    {"Sequence", load_sequence},
    {"Strip", load_strip},
    {"StripAccents", load_strip_accents},
};

Status load_step(const json::value& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where, steps);
  }
  return field_error(where, "type", fmt::format("the normalizer '{}' is not supported", type));
}

}  // namespace

Result<NormalizerSteps> load_normalizer(const json::value& spec, std::string_view where) {
  NormalizerSteps steps;
  if (!spec.is_null()) SWITCHYARD_TRY(load_step(spec, where, steps));
  return steps;
}

}  // namespace switchyard::text
