// Reads what a model writes: its reasoning, its calls of tools, and the text that is neither.
//
// The text comes in pieces, cut anywhere between characters; the events, neighbours of one kind joined, do not depend
// on the cuts. So one parser serves streams and whole answers (message.h), and both say the same.
//
// Malformed calls: what does not have the format's form up to the arguments' first key is text. If a call turns out
// broken later (arguments that are no JSON, an answer that ends within them), its pieces are already out: kCallBroken
// says so. Streams leave the pieces standing and go on with the rest as content; whole answers have the call's text as
// content.
//
// Thread: one at a time. Time: linear in the text. Memory: the current call's text, or what can yet become a marker.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/parsing/event.h"
#include "frontend/parsing/formats.h"
#include "frontend/parsing/output.h"
#include "frontend/parsing/parameter_types.h"
#include "frontend/parsing/stage.h"

namespace switchyard::parsing {

enum class CallMode {
  kNone,      // calls stay text
  kWritten,   // as the model's format writes them
  kRequired,  // the answer is a JSON list of calls
  kNamed,     // the answer is the arguments of one call
};

struct ParserOptions {
  const ReasoningFormat* reasoning = nullptr;  // null: no reasoning is looked for
  bool inside_reasoning = false;               // where the prompt has left the answer to begin (see begins_inside())
  const CallFormat* calls = nullptr;
  CallMode call_mode = CallMode::kNone;
  std::string function;  // kNamed: whose arguments
  bool one_call_only = false;
  ParameterTypes types;
  // Texts of special tokens that are in the text for the parser's sake alone: no client sees them, wherever they stand.
  std::vector<std::string> hidden;
};

// Whether an answer to this prompt begins in reasoning: the prompt's last word is the opening tag, or the format always
// begins so and the last word is not the closing one.
bool begins_inside(const ReasoningFormat& format, std::string_view prompt);

class Parser {
 public:
  explicit Parser(std::shared_ptr<const ParserOptions> options);
  ~Parser();

  std::vector<Event> push(std::string_view text);
  // The end of the text. Nothing may be pushed afterwards.
  std::vector<Event> finish();

  bool in_reasoning() const;
  // Calls whose arguments are complete.
  uint32_t complete_calls() const { return output_.complete_calls(); }

 private:
  const std::shared_ptr<const ParserOptions> options_;
  Output output_;
  std::vector<std::unique_ptr<Stage>> stages_;  // the last one takes the text first
};

}  // namespace switchyard::parsing
