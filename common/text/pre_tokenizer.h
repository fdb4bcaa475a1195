// The stage that cuts normalised text into the pieces that the model encodes one by one. Kinds: BertPreTokenizer,
// ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, Sequence, Split, Whitespace,
// WhitespaceSplit. Each is an entry of the list in pre_tokenizer.cpp; another kind is refused by its name.
//
// Thread: any; const use. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

// The pieces of one text: views into it, or into texts that a step had to write.
struct Pieces {
  std::vector<std::string_view> list;
  std::vector<std::string_view> next;  // what a step writes before it becomes the list
  std::deque<std::string> owned;
  bool at_origin = false;  // the first piece begins where the whole text begins
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  // Replaces each piece by its parts, none of them empty. Each piece is a text of its own.
  virtual void apply(Pieces& pieces) const = 0;
  // Whether pieces are written anew, and do not only lie within those before.
  virtual bool writes() const { return false; }
  // Asks for bytes instead of characters of the byte alphabet; false where the step gives neither.
  virtual bool leave_bytes() { return false; }
};

using PreTokenizerSteps = std::vector<std::unique_ptr<PreTokenizerStep>>;

class PreTokenizer {
 public:
  // Fails with kInvalid, naming the kind, the pattern or the key.
  static Result<PreTokenizer> load(const boost::json::value& spec, bool may_give_bytes, std::string_view where);

  // The pieces of a text, valid UTF-8, in pieces.list. at_origin: it is the beginning of what is encoded.
  void apply(std::string_view text, bool at_origin, Pieces& pieces) const;

  // True where the last step is ByteLevel and that was allowed: then the pieces are bytes, and the model maps them to
  // the alphabet of the vocabulary itself, which saves writing every text a second time. A ByteLevel before the last
  // step writes it.
  bool gives_bytes() const { return gives_bytes_; }

 private:
  PreTokenizerSteps steps_;
  bool gives_bytes_ = false;
};

}  // namespace switchyard::text
