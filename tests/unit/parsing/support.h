// Texts as models write them, and ways to feed them to a parser.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/parsing/message.h"
#include "frontend/parsing/parser.h"

namespace switchyard::parsing {

struct Sample {
  std::string name;
  std::string calls;  // names of formats; "" = none
  std::string reasoning;
  bool inside = false;  // where the prompt leaves the answer to begin
  std::string text;
  Message expected;
};

// Written by hand after the published templates and documents of each format (named in frontend/parsing/formats/).
const std::vector<Sample>& samples();

// Two tools: get_weather(city: string, days: integer, metric: boolean, tags: array) and get_time().
const ParameterTypes& tool_types();

std::shared_ptr<ParserOptions> options_for(std::string_view calls, std::string_view reasoning, bool inside = false);
std::shared_ptr<ParserOptions> options_for(const Sample& sample);

// The events of text pushed in pieces that end at cuts, neighbours of a kind joined, and the message they make.
std::vector<Event> events_of(const std::shared_ptr<const ParserOptions>& options, std::string_view text,
                             const std::vector<size_t>& cuts = {});
Message message_of(const std::shared_ptr<const ParserOptions>& options, std::string_view text);
// What a client that joins a stream's pieces has in the end.
Message streamed(const std::vector<Event>& events);

std::string to_text(const Message& message);
std::string to_text(const std::vector<Event>& events);

}  // namespace switchyard::parsing
