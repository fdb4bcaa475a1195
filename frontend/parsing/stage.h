// One of the stages that a text passes on its way to events: reasoning is cut off first, then calls.
//
// Stages take the text byte by byte, so what they make of it cannot depend on how it was cut into pieces. Whatever they
// hold back is either bounded or part of the answer (a call's text, a parameter's value).
//
// Thread: one at a time. Time: linear in the text.
#pragma once

#include <string_view>

namespace switchyard::parsing {

class Stage {
 public:
  virtual ~Stage() = default;
  virtual void push(char c) = 0;
  // The end of the text: what was held back is decided.
  virtual void finish() = 0;
  virtual bool in_reasoning() const { return false; }

  void push(std::string_view text) {
    for (const char c : text) push(c);
  }
};

}  // namespace switchyard::parsing
