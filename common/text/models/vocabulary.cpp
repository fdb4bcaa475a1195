#include "common/text/models/vocabulary.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

Vocabulary::Vocabulary(TokenTable tokens) : tokens_(std::move(tokens)) {
  for (size_t entry = 0; entry < tokens_.size(); ++entry) {
    const auto id = static_cast<size_t>(tokens_.id(static_cast<int32_t>(entry)));
    if (id >= entry_of_id_.size()) entry_of_id_.resize(id + 1, -1);
    entry_of_id_[id] = static_cast<int32_t>(entry);
  }
}

std::optional<std::string_view> Vocabulary::text(int32_t id) const {
  if (id < 0 || id >= id_limit() || entry_of_id_[static_cast<size_t>(id)] < 0) return std::nullopt;
  return tokens_.text(entry_of_id_[static_cast<size_t>(id)]);
}

Result<Vocabulary> Vocabulary::load(const json::object& spec, std::string_view where) {
  const auto* value = spec.if_contains("vocab");
  if (value == nullptr) return field_error(where, "vocab", "missing");
  const auto* vocab = value->if_object();
  if (vocab == nullptr) return field_error(where, "vocab", "an object is expected");
  size_t text_bytes = 0;
  for (const auto& entry : *vocab) text_bytes += entry.key().size();
  if (text_bytes > (1u << 30)) return field_error(where, "vocab", "more than 1 GiB of tokens");
  TokenTable tokens(vocab->size(), text_bytes);
  for (const auto& entry : *vocab) {
    const std::string_view text(entry.key().data(), entry.key().size());
    const auto id = as_id(entry.value(), "");
    if (!id.ok()) return field_error(where, "vocab", fmt::format("'{}'{}", text, id.error().message));
    tokens.add(text, *id);
  }
  return Vocabulary(std::move(tokens));
}

}  // namespace switchyard::text
