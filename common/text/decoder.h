// The last stage: tokens back to text. Kinds: BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace,
// Sequence, Strip, WordPiece; none at all joins the tokens with spaces. Each is an entry of the list in decoder.cpp;
// another kind is refused by its name.
//
// A decoder is a chain of stages, each of which turns a list of tokens into another; the text is the last list, joined.
// What a token becomes can depend on its place (first, last) and on its neighbours, so that a text goes through a flow
// that remembers what it must; the same flows serve whole texts and streams.
//
// Thread: any; const use. A Flow or a Run belongs to one thread. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

// A piece of a token on its way; ends: the token's last. A stage that joins tokens gives one token in many parts.
struct TokenPart {
  std::string text;
  bool ends = true;
};
using TokenParts = std::vector<TokenPart>;

class DecoderStage {
 public:
  class Flow {
   public:
    virtual ~Flow() = default;
    virtual std::unique_ptr<Flow> clone() const = 0;
    // Appends what is settled now that this part has come.
    virtual void push(TokenPart part, TokenParts& out) = 0;
    // The end of the tokens.
    virtual void finish(TokenParts& out) = 0;
    // What finish() would give now has been used, and is not to change: may append it for good.
    virtual void settle(TokenParts& out) = 0;
  };
  virtual ~DecoderStage() = default;
  // The stage must outlive the flow.
  virtual std::unique_ptr<Flow> start() const = 0;
  // Whether it gives one token, whatever it gets.
  virtual bool joins() const { return false; }
  // What becomes of a token in the middle of a text, valid UTF-8: bytes, which need not be. joined: a stage before has
  // made one token of all, and this is in the middle of that.
  virtual std::string token_bytes(std::string token, bool joined) const = 0;
};

class Decoder {
 public:
  // Null joins with spaces. Fails with kInvalid, naming the kind or the key.
  static Result<Decoder> load(const boost::json::value& spec, std::string_view where);

  // Appends what a token adds to the middle of a text.
  void append_token_bytes(std::string_view token, std::string& out) const;
  // True where the text is the bytes of all tokens joined, then repaired (utf8.h): then no run is needed.
  bool joins_bytes() const { return joins_bytes_; }

  // One text on its way through all stages.
  class Run {
   public:
    explicit Run(const Decoder& decoder);
    // Appends the text that is settled with this token.
    void push(std::string_view token, std::string& out);
    // Appends what the text would end with if this were its end.
    void peek(std::string& out) const;
    // Appends what the last peek() gave, as far as it must be remembered no more. Without this a stream could not be
    // linear: a run of byte tokens is a text or not as a whole.
    void settle(std::string& out);

   private:
    static void finish(std::vector<std::unique_ptr<DecoderStage::Flow>>& flows, std::string& out);
    std::vector<std::unique_ptr<DecoderStage::Flow>> flows_;
    TokenParts parts_, next_;  // kept for their memory
  };

 private:
  std::vector<std::unique_ptr<DecoderStage>> stages_;
  bool joins_bytes_ = false;
};

}  // namespace switchyard::text
