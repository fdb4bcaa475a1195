// Cuts reasoning off the beginning of an answer: <think> ... </think> answer.
//
// Only what the answer begins with (white space aside) is reasoning; a tag further on is text. White space around the
// reasoning and before the answer belongs to the tags. Reasoning that is never closed lasts to the end of the text.
#pragma once

#include <string>

#include "frontend/parsing/formats.h"
#include "frontend/parsing/marker_scan.h"
#include "frontend/parsing/output.h"
#include "frontend/parsing/stage.h"

namespace switchyard::parsing {

class ThinkStage final : public Stage {
 public:
  // inside: the text begins in reasoning; an opening tag that the model writes nevertheless is no part of it.
  // The references must outlive the stage; next gets the answer.
  ThinkStage(const ReasoningFormat& format, bool inside, Output& output, Stage& next);

  using Stage::push;
  void push(char c) override;
  void finish() override;
  bool in_reasoning() const override { return place_ == Place::kInside || (place_ == Place::kBeginning && inside_); }

 private:
  enum class Place { kBeginning, kInside, kBehind, kAnswer };

  void push_beginning(char c);
  void begin_without_tag();
  void reasoning(const std::string& text);

  const ReasoningFormat& format_;
  const bool inside_;
  Output& output_;
  Stage& next_;
  MarkerScan close_;
  Place place_ = Place::kBeginning;
  std::string read_;   // of what may be the opening tag
  std::string space_;  // at the beginning, or in the reasoning, of which it is part only if more follows
  bool empty_ = true;  // no reasoning yet
};

}  // namespace switchyard::parsing
