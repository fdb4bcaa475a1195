// What stands between a model's tokens and the parser of its answers (frontend/parsing): which formats the model uses,
// which special tokens they need, and how one chat's answers are read.
//
// Thread: constant once made.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "common/text/tokenizer.h"
#include "frontend/parsing/parser.h"
#include "frontend/requests/request_parsing.h"

namespace switchyard::frontend {

struct ModelParsing {
  struct Marker {
    int32_t id = 0;
    std::string text;
    bool of_calls = false;
    bool of_reasoning = false;
  };

  const parsing::CallFormat* calls = nullptr;  // null: none
  const parsing::ReasoningFormat* reasoning = nullptr;
  std::vector<Marker> markers;  // the special tokens that the formats need, by id
};

// The formats that the configuration names, or with "auto" those that template and architecture tell.
ModelParsing parsing_of_model(const config::FrontendConfig& config, std::string_view chat_template,
                              std::string_view architecture, const text::Tokenizer& tokenizer);

// For the choices of one chat.
struct AnswerParsing {
  std::shared_ptr<const parsing::ParserOptions> options;
  // Special tokens that reach the parser as text though special tokens are skipped; sorted. The parser hides what it
  // leaves of them.
  std::vector<int32_t> kept_ids;

  bool keeps(int32_t id) const;
  // Nothing is looked for: the text is the content.
  bool is_plain() const { return options->reasoning == nullptr && options->call_mode == parsing::CallMode::kNone; }
};

// prompt: as rendered.
std::shared_ptr<const AnswerParsing> parsing_of_chat(const ModelParsing& model, const ChatRequest& chat,
                                                     std::string_view prompt);

// A new id for a call, in the form that the model's template accepts.
std::string new_call_id(const parsing::ParserOptions& options);

}  // namespace switchyard::frontend
