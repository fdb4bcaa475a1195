// A whole answer, folded from events.
//
// It is what a stream's pieces are when joined, but for broken calls: a stream has shown the beginning of the call, a
// whole answer has its text as content.
#pragma once

#include <string>
#include <vector>

#include "frontend/parsing/event.h"

namespace switchyard::parsing {

struct Call {
  std::string name;
  std::string arguments;  // JSON text as the model wrote it, or for forms that are not JSON, put together
  bool complete = false;
};

struct Message {
  std::string content;
  std::string reasoning;
  std::vector<Call> calls;

  void add(const Event& event);
};

}  // namespace switchyard::parsing
