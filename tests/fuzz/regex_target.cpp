// Regular expressions of tokenizer.json files: refused or matched, and matches lie within the text, between characters,
// in order.
//
// Input: the pattern, the border, the text.
#include "common/text/regex.h"
#include "common/text/utf8.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  fuzz::Input input(data, size);
  const auto regex = text::Regex::compile(input.until(fuzz::kBorder));
  if (!regex.ok()) {
    SWITCHYARD_CHECK(!regex.error().message.empty());
    return 0;
  }
  const std::string subject = text::repair_utf8(input.rest());
  const auto at_character = [&](size_t at) { return at >= subject.size() || (subject[at] & 0xC0) != 0x80; };
  for (size_t from = 0; from <= subject.size();) {
    const auto match = regex->find(subject, from);
    if (!match) break;
    SWITCHYARD_CHECK(match->begin <= match->end && match->end <= subject.size());
    SWITCHYARD_CHECK(at_character(match->begin) && at_character(match->end));
    from = match->end > from ? match->end : from + 1;
    while (!at_character(from)) ++from;
  }
  return 0;
}
