// A conversation with a served model in a terminal.
#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"
#include "launch/http_client.h"

namespace switchyard::launch {

struct ChatOptions {
  std::string url = "http://127.0.0.1:8000";
  std::string api_key;
  Trust trust;
  std::string model;                  // "" = the first of /v1/models
  std::string system;                 // system message; "" = none
  std::optional<std::string> prompt;  // one question, then the end; without it, lines of standard input
  uint32_t max_tokens = 0;            // 0 = the server's own limit
  std::optional<double> temperature;
};

// Blocks until the conversation ends (end of input, /exit). Ctrl-C ends an answer under way, else the conversation.
Status run_chat(const ChatOptions& options);

}  // namespace switchyard::launch
