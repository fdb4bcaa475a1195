// Finds calls in text as a CallGrammar says and writes text and calls to an Output.
//
// - What does not follow the grammar is text, and is searched for calls again: nothing the model wrote is lost. If the
//   call had begun, it is broken (event.h). It begins with the first key of its arguments, or with their end: most of
//   what is malformed shows before. A call whose arguments are complete stays one, whatever follows.
// - A call whose arguments are complete when the text ends is complete, also without its closing marker: the token that
//   ends the sequence often stands in its place.
// - White space before an opening marker, between calls and behind them is layout, not content.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/parsing/call_grammar.h"
#include "frontend/parsing/call_object.h"
#include "frontend/parsing/json_scan.h"
#include "frontend/parsing/marker_scan.h"
#include "frontend/parsing/output.h"
#include "frontend/parsing/parameter_types.h"
#include "frontend/parsing/stage.h"

namespace switchyard::parsing {

class CallStage final : public Stage {
 public:
  // name: of the function whose arguments the text is, for a grammar that writes no name; else empty. The references
  // must outlive the stage.
  CallStage(const CallGrammar& grammar, const ParameterTypes& types, std::string name, Output& output);

  using Stage::push;
  void push(char c) override;
  void finish() override;

 private:
  void push_outside(char c);
  void push_literal(char c);
  void push_captured(char c);
  void push_arguments(char c);
  void push_object(char c);
  void take(const CallEdge& edge);
  bool act(CallAction action);
  void enter(uint8_t state);
  void begin_call();
  void add_json(std::string_view piece);
  void add_arguments(std::string_view piece);
  void add_parameter();
  void end_call();
  void give_up(size_t again_bytes);
  void read_again(size_t bytes);
  void text(std::string_view text);

  const CallGrammar& grammar_;
  const ParameterTypes& types_;
  Output& output_;
  std::vector<MarkerScan> scans_;  // (states) of those that capture
  MarkerScan openings_;

  uint8_t state_ = CallGrammar::kOutside;
  // Outside.
  std::string space_;        // white space that is content only if text follows
  bool after_call_ = false;  // and not even then
  // Inside: what was written since text ended, to be text if it turns out to be no call.
  std::string raw_;
  std::string read_;  // by the state: a literal's beginning, or what is captured
  JsonScan json_;
  CallObject object_;
  std::string held_;  // JSON arguments of a call that has not begun
  // Of the call, which begins for the output with the first key of its arguments, or their end.
  bool begun_ = false;
  bool complete_ = false;
  size_t sent_ = 0;  // bytes of raw_ that the output knows
  std::string name_;
  std::string key_;
  CallAction key_kind_ = CallAction::kKey;
  size_t parameter_count_ = 0;
};

}  // namespace switchyard::parsing
