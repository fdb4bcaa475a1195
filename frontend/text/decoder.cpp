#include "frontend/text/decoder.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "frontend/text/byte_alphabet.h"
#include "frontend/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

using Loaded = Result<std::unique_ptr<Decoder>>;

class ByteLevel : public Decoder {
 public:
  // A token with a character outside of the alphabet (most special tokens) is its own UTF-8.
  std::string token_bytes(std::string_view token) const override {
    auto bytes = token_to_bytes(token);
    return bytes ? std::move(*bytes) : std::string(token);
  }
};

Loaded load_byte_level(const json::object&, std::string_view) {
  return std::unique_ptr<Decoder>(std::make_unique<ByteLevel>());
}

Loaded load_sequence(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "decoders", where));
  if (list->size() != 1) return field_error(where, "decoders", "only a sequence of one decoder is supported");
  return load_decoder((*list)[0], fmt::format("{}.decoders[0]", where));
}

struct Kind {
  std::string_view name;
  Loaded (*load)(const json::object& spec, std::string_view where);
};
constexpr Kind kKinds[] = {
    {"ByteLevel", load_byte_level},
    {"Sequence", load_sequence},
};

}  // namespace

Loaded load_decoder(const json::value& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where);
  }
  return field_error(where, "type", fmt::format("the decoder '{}' is not supported", type));
}

}  // namespace switchyard::text
