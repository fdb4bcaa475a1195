// Text to token ids and back, as the model's tokenizer.json (Hugging Face) says, id for id what the library
// `tokenizers` gives: normalizer, added tokens, pre-tokenizer, model, post-processor, decoder. The kinds of each stage
// are lists in the files of their names; a file with an unknown kind is refused when it is loaded. "truncation" and
// "padding" are not applied: lengths are the server's business.
//
// Thread: a loaded Tokenizer is constant, all members may be called from many threads at once. Blocks: load() reads
// files. Bounds: encode() takes time and memory linear in the text (n log n in the longest piece).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/text/decoder.h"
#include "common/text/utf8.h"

namespace switchyard::text {

// What tokenizer_config.json adds to a tokenizer.json. Absent or null keys are empty.
struct TokenizerConfig {
  std::string bos_token;
  std::string eos_token;
  std::string unk_token;
  std::string pad_token;
  // Name and source. A single template is "default"; chat_template.jinja beside the file goes before it.
  std::vector<std::pair<std::string, std::string>> chat_templates;

  // The source under a name, null for none.
  const std::string* chat_template(std::string_view name = "default") const;
};

class Tokenizer {
 public:
  // path: a model's directory or a tokenizer.json; tokenizer_config.json and chat_template.jinja are read from beside
  // it where they are. Fails with kNotFound, kIo or kInvalid; the message names file and key.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::string& path);
  // The same from texts; config_json may be empty.
  static Result<std::shared_ptr<const Tokenizer>> parse(std::string_view tokenizer_json, std::string_view config_json);

  ~Tokenizer();

  // Whether special tokens that are written in the text become their ids, as in the library, or stay text.
  enum class SpecialText { kBecomesTokens, kStaysText };
  // Bytes that are not UTF-8 count as U+FFFD. add_special_tokens: what the post-processor adds (BOS).
  std::vector<int32_t> encode(std::string_view utf8, bool add_special_tokens,
                              SpecialText special_text = SpecialText::kBecomesTokens) const;

  // Valid UTF-8, U+FFFD for what is none. Ids that do not exist are skipped.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  // The token as the vocabulary writes it; empty for an id without a token.
  std::string token_text(int32_t id) const;
  // What the token adds to the middle of a text: bytes, which need not be UTF-8. Empty for an id without a token. Where
  // decoding looks at a token's place (a first token loses its space), decode() can give other text.
  std::string_view token_bytes(int32_t id) const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  // Whether decode(skip_special_tokens) leaves it out.
  bool is_special(int32_t id) const;
  // One more than the greatest id. The model's vocabulary can be larger (padding of the embedding).
  int32_t vocab_size() const;

  const TokenizerConfig& config() const;
  // Ids of config().bos_token and eos_token, where these are tokens.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;

 private:
  friend class StreamDecoder;
  struct Impl;
  bool exists(int32_t id) const;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The text of a sequence of ids as they come. After each id, nothing while the text so far ends in U+FFFD (a character
// may be incomplete), else what it has beyond the text given out before. All that was given out, with flush(), is
// decode() of all ids, but where a decoder spoils text that it gave before (ByteFallback).
//
// Thread: one at a time. Time: linear in the bytes of the tokens; a decoder that looks for a regex, or cleans up, in
// the joined text makes it quadratic (no published one does).
class StreamDecoder {
 public:
  StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens);
  std::string push(int32_t id);
  std::string flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_tokens_;
  std::string fresh(bool all);
  // Where the decoder is the bytes of all tokens joined: the repair, and what is withheld.
  // Else: a run, and of the text what is not sent or not settled.
  Utf8Repair repair_;
  std::optional<Decoder::Run> run_;
  std::string text_;
  size_t sent_ = 0;  // of text_ and of what may follow it
};

}  // namespace switchyard::text
