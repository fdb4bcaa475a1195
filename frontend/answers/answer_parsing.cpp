#include "frontend/answers/answer_parsing.h"

#include <algorithm>

#include "frontend/http/request_id.h"

namespace switchyard::frontend {

ModelParsing parsing_of_model(const config::FrontendConfig& config, std::string_view chat_template,
                              std::string_view architecture, const text::Tokenizer& tokenizer) {
  ModelParsing model;
  // Names that are neither are formats: the configuration has been checked (common/config/schema.cpp).
  model.calls = config.tool_call_parser == "auto" ? parsing::detect_call_format(chat_template, architecture)
                                                  : parsing::find_call_format(config.tool_call_parser);
  model.reasoning = config.reasoning_parser == "auto" ? parsing::detect_reasoning_format(chat_template, architecture)
                                                      : parsing::find_reasoning_format(config.reasoning_parser);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) continue;
    const std::string text = tokenizer.token_text(id);
    if (text.empty()) continue;
    const bool of_calls = model.calls != nullptr && parsing::needs_marker(*model.calls, text);
    const bool of_reasoning = model.reasoning != nullptr && parsing::needs_marker(*model.reasoning, text);
    if (of_calls || of_reasoning) model.markers.push_back({id, text, of_calls, of_reasoning});
  }
  return model;
}

bool AnswerParsing::keeps(int32_t id) const { return std::binary_search(kept_ids.begin(), kept_ids.end(), id); }

std::shared_ptr<const AnswerParsing> parsing_of_chat(const ModelParsing& model, const ChatRequest& chat,
                                                     std::string_view prompt) {
  auto options = std::make_shared<parsing::ParserOptions>();
  options->reasoning = model.reasoning;
  options->inside_reasoning = model.reasoning != nullptr && parsing::begins_inside(*model.reasoning, prompt);
  options->calls = model.calls;
  // A text of a given form has no calls, whatever it says.
  if (model.calls != nullptr && !chat.tools.is_null() && !chat.sampling.has_constraint()) {
    options->call_mode = parsing::CallMode::kWritten;
    options->types = parsing::ParameterTypes(chat.tools);
  }
  if (chat.must_call) {
    options->call_mode = chat.must_call_function.empty() ? parsing::CallMode::kRequired : parsing::CallMode::kNamed;
    options->function = chat.must_call_function;
  }
  options->one_call_only = !chat.parallel_tool_calls;

  auto answer = std::make_shared<AnswerParsing>();
  for (const ModelParsing::Marker& marker : model.markers) {
    if (!marker.of_reasoning && options->call_mode != parsing::CallMode::kWritten) continue;
    options->hidden.push_back(marker.text);
    answer->kept_ids.push_back(marker.id);
  }
  answer->options = std::move(options);
  return answer;
}

std::string new_call_id(const parsing::ParserOptions& options) {
  constexpr size_t kShortIdLength = 9;
  if (options.calls != nullptr && options.calls->short_ids) return random_id().substr(0, kShortIdLength);
  return "call_" + random_id();
}

}  // namespace switchyard::frontend
