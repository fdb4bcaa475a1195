// What a parser makes of a model's text, in the order in which it was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace switchyard::parsing {

struct Event {
  enum class Kind {
    kContent,     // text of the answer
    kReasoning,   // text of the reasoning before it
    kCallBegin,   // text is the function's name
    kArguments,   // text is a piece of the call's arguments; all pieces together are one JSON object
    kCallEnd,     // the arguments are complete
    kCallBroken,  // the call that has begun is none after all; what follows of it comes as content
  };

  Kind kind = Kind::kContent;
  uint32_t call = 0;  // which call, counted from 0 in the order of kCallBegin
  std::string text;   // kCallBroken: all that was written of the call, its opening marker included
  // kCallBroken: bytes at the end of text that no piece of arguments stands for. A stream, which cannot take the pieces
  // back, goes on with them as content.
  size_t unsent = 0;
};

// Adds events that came later; pieces of one text or one call's arguments become one event.
void append(std::vector<Event>& events, std::vector<Event> more);

}  // namespace switchyard::parsing
