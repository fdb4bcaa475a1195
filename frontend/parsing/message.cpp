#include "frontend/parsing/message.h"

namespace switchyard::parsing {

void Message::add(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kContent: content += event.text; break;
    case Event::Kind::kReasoning: reasoning += event.text; break;
    case Event::Kind::kCallBegin: calls.push_back({.name = event.text, .arguments = {}}); break;
    case Event::Kind::kArguments: calls.back().arguments += event.text; break;
    case Event::Kind::kCallEnd: calls.back().complete = true; break;
    case Event::Kind::kCallBroken:
      calls.pop_back();
      content += event.text;
      break;
  }
}

}  // namespace switchyard::parsing
