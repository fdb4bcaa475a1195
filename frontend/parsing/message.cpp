#include "frontend/parsing/message.h"

#include <iterator>

namespace switchyard::parsing {

void append(std::vector<Event>& events, std::vector<Event> more) {
  const auto is_piece = [](const Event& event) {
    return event.kind == Event::Kind::kContent || event.kind == Event::Kind::kReasoning ||
           event.kind == Event::Kind::kArguments;
  };
  auto from = more.begin();
  if (!events.empty() && from != more.end() && is_piece(*from) && events.back().kind == from->kind)
    events.back().text += (from++)->text;
  events.insert(events.end(), std::make_move_iterator(from), std::make_move_iterator(more.end()));
}

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
