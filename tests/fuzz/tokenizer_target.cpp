// tokenizer.json: refused, or a tokenizer that encodes and decodes any text.
//
// Input: the file, the border, tokenizer_config.json, the border, a text.
#include "common/text/tokenizer.h"
#include "common/text/utf8.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  fuzz::Input input(data, size);
  const std::string_view tokenizer_json = input.until(fuzz::kBorder);
  const auto parsed = text::Tokenizer::parse(tokenizer_json, input.until(fuzz::kBorder));
  if (!parsed.ok()) {
    SWITCHYARD_CHECK(!parsed.error().message.empty());
    return 0;
  }
  const text::Tokenizer& tokenizer = **parsed;
  for (const std::string_view text :
       {input.rest(), std::string_view("Hello <|end|> w\xC3\xB6rld 123\n\n \xFF\xE2\x80")}) {
    for (const auto special :
         {text::Tokenizer::SpecialText::kBecomesTokens, text::Tokenizer::SpecialText::kStaysText}) {
      // With special tokens, ids that are no token's may come: as in the library, a post-processor's are taken as
      // written.
      const std::vector<int32_t> ids = tokenizer.encode(text, true, special);
      for (const int32_t id : tokenizer.encode(text, false, special))
        SWITCHYARD_CHECK(id >= 0 && id < tokenizer.vocab_size());
      const std::string decoded = tokenizer.decode(ids, false);
      SWITCHYARD_CHECK(text::is_valid_utf8(decoded));
      text::StreamDecoder stream(*parsed, false);
      std::string streamed;
      for (const int32_t id : ids) streamed += stream.push(id);
      SWITCHYARD_CHECK(streamed + stream.flush() == decoded);
    }
  }
  for (const int32_t id : {-1, 0, tokenizer.vocab_size() - 1, tokenizer.vocab_size(), INT32_MAX, INT32_MIN}) {
    tokenizer.token_text(id);
    tokenizer.token_bytes(id);
    tokenizer.is_special(id);
    tokenizer.decode(std::vector<int32_t>{id}, true);
  }
  return 0;
}
