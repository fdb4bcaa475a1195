// gpt-oss's harmony: an answer is a row of messages, each with a channel and perhaps a recipient.
//
//   <|channel|>analysis<|message|>Let me see.<|end|>
//   <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>
//   <|start|>assistant<|channel|>final<|message|>It is so.<|return|>
//
// analysis is reasoning; a message to functions.NAME is a call; everything else (final, commentary before calls, which
// is meant for the user) is content. The recipient may stand behind the role, or behind the channel. Messages of one
// kind are joined by a newline. Text without any header is content. The first header begins behind the role, which the
// prompt has written, and the last marker may be missing: it ends the sequence.
// Source: github.com/openai/harmony, docs/format.md; gpt-oss-120b's chat template; vLLM's parsers openai and
// openai_gptoss.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "frontend/parsing/json_scan.h"
#include "frontend/parsing/marker_scan.h"
#include "frontend/parsing/output.h"
#include "frontend/parsing/stage.h"

namespace switchyard::parsing {

class HarmonyStage final : public Stage {
 public:
  static constexpr size_t kHeaderBytesMax = 1024;  // more is content

  static const std::array<std::string_view, 7>& markers();

  // Without split_reasoning the analysis is content; without parse_calls a message to a function is, header and all.
  // The references must outlive the stage; next gets the content.
  HarmonyStage(bool split_reasoning, bool parse_calls, Output& output, Stage& next);

  using Stage::push;
  void push(char c) override;
  void finish() override;
  bool in_reasoning() const override { return body_ == Body::kReasoning; }

 private:
  enum class Body { kNone, kContent, kReasoning, kCall, kBehindCall };

  void header_text(const std::string& text);
  void begin_body();
  void begin(Body body);
  void body_text(std::string_view text);
  void call_byte(char c);
  void call_failed();
  void end_body();

  const bool split_reasoning_;
  const bool parse_calls_;
  Output& output_;
  Stage& next_;
  MarkerScan scan_;
  Body body_ = Body::kNone;  // kNone: in a header
  std::string header_;
  bool reasoned_ = false, answered_ = false;  // there is text of the kind
  bool newline_due_ = false;
  // Of a call.
  std::string name_;
  std::string raw_;
  std::string held_;  // of its arguments, until it begins
  bool call_begun_ = false;
  JsonScan json_;
};

}  // namespace switchyard::parsing
