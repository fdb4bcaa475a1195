// The stage that turns a piece of text into token ids.
//
// Thread: any; const use. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of one piece: bytes where the pre-tokenizer gives bytes, else valid UTF-8.
  virtual void encode(std::string_view piece, std::vector<int32_t>& out) const = 0;
  virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
  // The token as the vocabulary writes it; none for an id without a token.
  virtual std::optional<std::string_view> id_to_token(int32_t id) const = 0;
  // One more than the greatest id; 0 for an empty vocabulary.
  virtual int32_t id_limit() const = 0;
  // Entries of the vocabulary: the first id of an added token that the vocabulary has not.
  virtual size_t token_count() const = 0;
};

struct ModelOptions {
  bool byte_level = false;  // the pieces are bytes, the vocabulary is in the byte alphabet
};

// Whether a model can take bytes: it is a BPE without affixes, and without a fallback to the bytes of a character
// (which would be one of the alphabet).
bool model_takes_bytes(const boost::json::value& spec);

// Kinds: BPE, Unigram, WordLevel, WordPiece. Each is an entry of the list in model.cpp; another kind is refused by its
// name.
Result<std::unique_ptr<Model>> load_model(const boost::json::value& spec, const ModelOptions& options,
                                          std::string_view where);

}  // namespace switchyard::text
