// What answers may be told to look like (common/structured): refused, or an automaton that can be followed to an end.
// Where it may end, the text is JSON if it was to be; masks and accept() agree; there is no dead end.
//
// Input: the kind ('o' any object, 's' schema, 'r' expression, 'c' choice, 'g' grammar), a byte that chooses the
// tokens, then the constraint's text.
#include <boost/json/parse.hpp>
#include <random>

#include "common/base/result.h"
#include "common/structured/constraint.h"
#include "tests/fuzz/target.h"

namespace switchyard::structured {
namespace {

// Every byte, and some tokens of several.
std::shared_ptr<const Vocabulary> vocabulary() {
  static const auto kVocabulary = [] {
    static std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    for (const char* text :
         {"{\"", "\":", "\", \"", "true", "null}", "[[", "]]", "\xC3\xA9", "ab", "12", ": \"", "\n  "})
      texts.emplace_back(text);
    return std::make_shared<const Vocabulary>(std::vector<std::string_view>(texts.begin(), texts.end()));
  }();
  return kVocabulary;
}

void follow(Matcher matcher, uint8_t seed, bool json) {
  std::minstd_rand random(seed + 1U);
  std::vector<uint32_t> mask(vocabulary()->mask_words());
  std::string text;
  for (int step = 0; step < 48; ++step) {
    if (!matcher.fill_mask(mask).ok()) return;  // too ambiguous
    std::vector<int32_t> allowed;
    const auto count = static_cast<int32_t>(vocabulary()->size());
    for (int32_t id = 0; id < count; ++id)
      if ((mask[id / 32] >> (id % 32) & 1) != 0) allowed.push_back(id);
    SWITCHYARD_CHECK(!allowed.empty() || matcher.may_end());
    SWITCHYARD_CHECK(allowed.empty() == (matcher.may_end() && matcher.must_end()));
    if (matcher.may_end() && json) {
      boost::system::error_code error;
      boost::json::parse(text, error);
      SWITCHYARD_CHECK(!error);
    }
    if (allowed.empty()) return;
    const auto other = static_cast<int32_t>(random() % vocabulary()->size());
    Matcher refused = matcher;
    SWITCHYARD_CHECK(refused.accept(other).ok() == ((mask[other / 32] >> (other % 32) & 1) != 0));
    const int32_t token = allowed[random() % allowed.size()];
    SWITCHYARD_CHECK(matcher.accept(token).ok());
    text += vocabulary()->bytes(token);
  }
}

}  // namespace
}  // namespace switchyard::structured

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  using namespace switchyard::structured;
  fuzz::Input input(data, size);
  Constraint constraint;
  switch (input.byte()) {
    case 'o': constraint.kind = Constraint::Kind::kJsonObject; break;
    case 'r': constraint.kind = Constraint::Kind::kRegex; break;
    case 'c': constraint.kind = Constraint::Kind::kChoice; break;
    case 'g': constraint.kind = Constraint::Kind::kGrammar; break;
    default: constraint.kind = Constraint::Kind::kJsonSchema; break;
  }
  const uint8_t seed = input.byte();
  constraint.open_objects = (seed & 1) != 0;
  constraint.text = input.rest();
  auto automaton = compile(constraint);
  if (!automaton.ok()) {
    SWITCHYARD_CHECK(!automaton.error().message.empty());
    return 0;
  }
  const bool json =
      constraint.kind == Constraint::Kind::kJsonObject || constraint.kind == Constraint::Kind::kJsonSchema;
  follow(Matcher(std::make_shared<Masks>(std::move(automaton).value(), vocabulary())), seed, json);
  return 0;
}
