#include "frontend/parsing/think_stage.h"

#include <utility>

#include "frontend/parsing/json_scan.h"

namespace switchyard::parsing {

ThinkStage::ThinkStage(const ReasoningFormat& format, bool inside, Output& output, Stage& next)
    : format_(format), inside_(inside), output_(output), next_(next), close_({format.close}) {}

void ThinkStage::push(char c) {
  switch (place_) {
    case Place::kBeginning: return push_beginning(c);
    case Place::kInside: {
      std::string released;
      const bool closed = close_.push(c, released).has_value();
      reasoning(released);
      if (closed) place_ = Place::kBehind;
      return;
    }
    case Place::kBehind:
      if (is_space(c)) return;
      place_ = Place::kAnswer;
      [[fallthrough]];
    case Place::kAnswer: return next_.push(c);
  }
}

void ThinkStage::push_beginning(char c) {
  if (read_.empty() && is_space(c)) {
    space_ += c;
    return;
  }
  read_ += c;
  if (read_ == format_.open) {
    place_ = Place::kInside;
    space_.clear();
  } else if (!format_.open.starts_with(read_)) {
    begin_without_tag();
  }
}

void ThinkStage::begin_without_tag() {
  place_ = inside_ ? Place::kInside : Place::kAnswer;
  const std::string text = std::exchange(space_, {}) + std::exchange(read_, {});
  push(text);
}

void ThinkStage::reasoning(const std::string& text) {
  for (const char c : text) {
    if (is_space(c)) {
      if (!empty_) space_ += c;
      continue;
    }
    empty_ = false;
    output_.reasoning(space_);
    space_.clear();
    output_.reasoning({&c, 1});
  }
}

void ThinkStage::finish() {
  if (place_ == Place::kBeginning) begin_without_tag();
  std::string rest;
  close_.flush(rest);
  reasoning(rest);
  next_.finish();
}

}  // namespace switchyard::parsing
