// Server-sent events: "data: JSON\n\n", at the end of OpenAI's chunks "data: [DONE]\n\n"; in newer dialects with the
// event's name before it, "event: NAME\n".
#pragma once

#include <string>
#include <string_view>

namespace switchyard::frontend {

inline constexpr const char* kEventStream = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kDone = "[DONE]";

// data has no line breaks: JSON as JsonWriter makes it.
inline void append_sse_event(std::string& out, std::string_view data) {
  out.append("data: ").append(data).append("\n\n");
}
inline std::string sse_event(std::string_view data) {
  std::string event;
  append_sse_event(event, data);
  return event;
}

inline std::string sse_event(std::string_view name, std::string_view data) {
  std::string event("event: ");
  event.append(name).append("\n").append(sse_event(data));
  return event;
}

}  // namespace switchyard::frontend
