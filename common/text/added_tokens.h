// The tokens that are cut out of a text before anything else looks at it: those of "added_tokens".
//
// Thread: any; const use. Blocks: no. Time: linear in the text times the length of the longest token.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // not beside a letter, digit or underscore
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalised text
  bool special = false;      // left out by decode(skip_special_tokens)
};

// The value of "added_tokens"; null is none.
Result<std::vector<AddedToken>> load_added_tokens(const boost::json::value& spec, std::string_view where);

// A stretch of text, and the token that it is, or -1 for text.
struct Segment {
  std::string_view text;
  int32_t id;
};

// Finds tokens in a text: the leftmost first, then the longest.
class TokenFinder {
 public:
  TokenFinder();
  // pattern: what is looked for; flags and id are those of token. The same pattern again replaces the first.
  void add(std::string_view pattern, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }
  // The segments of text in their order, no text segment empty. plain_special: special tokens are text.
  void split(std::string_view text, bool plain_special, std::vector<Segment>& out) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, uint32_t>> next;  // sorted by byte
    int32_t token = -1;                                    // index into tokens_
  };
  std::vector<Node> nodes_;
  std::vector<AddedToken> tokens_;
  uint32_t first_[256] = {};  // node after this byte; 0: no token starts so
};

}  // namespace switchyard::text
