// What a request may demand of its answer's text, as it goes over the wire, and the automaton of it.
//
// Thread: any. Bounds: kTextMax bytes; those of the front ends and of automaton.h. Time: up to some hundred ms at those
// bounds, under a millisecond for what people write.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/structured/automaton.h"
#include "common/structured/matcher.h"

namespace switchyard::structured {

struct Constraint {
  static constexpr size_t kTextMax = size_t{1} << 20;

  enum class Kind : uint8_t {
    kJsonObject,  // any JSON object; no text
    kJsonSchema,  // text: the schema
    kRegex,       // text: the expression that the whole answer matches
    kChoice,      // text: a JSON array of strings, one of which is the answer
    kGrammar,     // text: EBNF
  };
  Kind kind = Kind::kJsonObject;
  std::string text = {};
  bool open_objects = false;  // kJsonSchema: as the standard has them (json_schema.h)
  // The answer begins behind the first of these bytes ("</think>") and line breaks; before them anything goes.
  // "" = at once.
  std::string begins_after = {};
  // Not "": that holds for a text that begins with these bytes ("<think>"); one that does not is the answer at once.
  std::string reasoning_opens = {};
  // The answer is the text of harmony's final message, behind any number of analysis messages. The text begins behind
  // "<|start|>assistant". Source: github.com/openai/harmony, docs/format.md; before the message's text gpt-oss also
  // writes <|constrain|>json.
  bool in_harmony = false;

  bool operator==(const Constraint&) const = default;
};

// Errors name the place within the text.
Result<Automaton> compile(const Constraint& constraint);

// Masks by constraint, for one vocabulary: the last used ones are kept, while they take at most about `memory_max`
// bytes together.
//
// Thread: one at a time.
class MaskStore {
 public:
  explicit MaskStore(std::shared_ptr<const Vocabulary> vocabulary, size_t memory_max = size_t{256} << 20);
  Result<std::shared_ptr<Masks>> get(const Constraint& constraint);

 private:
  const std::shared_ptr<const Vocabulary> vocabulary_;
  const size_t memory_max_;
  std::list<std::pair<Constraint, std::shared_ptr<Masks>>> entries_;  // the last used one in front
};

}  // namespace switchyard::structured
