// The first stage of a tokenizer: text to normalised text. Kinds: BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC,
// NFKD, Nmt, Precompiled, Prepend, Replace, Sequence, Strip, StripAccents. Each is an entry of the list in
// normalizer.cpp; another kind is refused by its name.
//
// Thread: any; const use. Blocks: no. normalize() takes and gives valid UTF-8.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual std::string normalize(std::string_view text) const = 0;
};

using NormalizerSteps = std::vector<std::unique_ptr<Normalizer>>;

// The steps in their order, Sequences flattened; none for null.
Result<NormalizerSteps> load_normalizer(const boost::json::value& spec, std::string_view where);

}  // namespace switchyard::text
