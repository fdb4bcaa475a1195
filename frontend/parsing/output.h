// Where stages write to: events, neighbours of one kind joined.
//
// Two rules that hold for every format live here: markers that are hidden never reach a client as text, and calls
// behind the first are dropped when only one is wanted.
//
// Thread: one at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/parsing/event.h"
#include "frontend/parsing/marker_scan.h"

namespace switchyard::parsing {

class Output {
 public:
  // hidden: texts that are left out of content and reasoning.
  Output(const std::vector<std::string>& hidden, bool one_call_only);

  void content(std::string_view text) { add_text(Event::Kind::kContent, text); }
  void reasoning(std::string_view text) { add_text(Event::Kind::kReasoning, text); }
  void call_begin(std::string_view name);
  void arguments(std::string_view piece);
  void call_end();
  // text, unsent: as in Event.
  void call_broken(std::string_view text, size_t unsent);

  std::vector<Event> take();
  // The same at the end of the text.
  std::vector<Event> finish();
  uint32_t complete_calls() const { return complete_calls_; }

 private:
  void add_text(Event::Kind kind, std::string_view text);
  void settle();
  void append(Event::Kind kind, std::string_view text);
  std::string without_hidden(std::string_view text) const;

  std::vector<Event> events_;
  MarkerScan hidden_;
  Event::Kind kind_ = Event::Kind::kContent;  // of what hidden_ holds
  const bool one_call_only_;
  bool dropping_ = false;  // the call that has begun is not wanted
  uint32_t calls_ = 0;
  uint32_t complete_calls_ = 0;
};

}  // namespace switchyard::parsing
