// Tokens as a vocabulary writes them, by id and by text.
//
// Thread: any; constant once made.
#pragma once

#include <boost/json/fwd.hpp>

#include "common/base/result.h"
#include "common/text/token_table.h"

namespace switchyard::text {

class Vocabulary {
 public:
  // tokens: complete; where an id stands twice, the last text is its text.
  explicit Vocabulary(TokenTable tokens);
  // The object "vocab" of a model: texts and their ids. Fails with kInvalid and the token.
  static Result<Vocabulary> load(const boost::json::object& spec, std::string_view where);

  std::optional<int32_t> find(std::string_view text) const {
    const int32_t entry = tokens_.find(text);
    return entry < 0 ? std::nullopt : std::optional(tokens_.id(entry));
  }
  std::optional<std::string_view> text(int32_t id) const;
  const TokenTable& tokens() const { return tokens_; }
  // One more than the greatest id; 0 for none.
  int32_t id_limit() const { return static_cast<int32_t>(entry_of_id_.size()); }

 private:
  TokenTable tokens_;
  std::vector<int32_t> entry_of_id_;  // -1: none
};

}  // namespace switchyard::text
