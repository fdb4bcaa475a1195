// The first stage of a tokenizer: text to normalised text. Kinds: NFC, Sequence. Each is an entry of the list in
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

// The steps in their order, Sequences flattened; none for null.
Result<std::vector<std::unique_ptr<Normalizer>>> load_normalizer(const boost::json::value& spec,
                                                                 std::string_view where);

// NFC by the tables of Unicode 9, as the reference has it: characters assigned later are starters that join nothing.
std::string normalize_nfc(std::string_view text);

}  // namespace switchyard::text
