#include "frontend/api/preparation.h"

#include <chrono>
#include <utility>

#include "frontend/answers/messages_format.h"
#include "frontend/answers/responses_format.h"
#include "frontend/http/json_writer.h"
#include "frontend/http/request_id.h"
#include "frontend/requests/constraint_fields.h"
#include "frontend/requests/messages_request.h"
#include "frontend/requests/request_fields.h"
#include "frontend/requests/request_parsing.h"
#include "frontend/requests/responses_request.h"

namespace switchyard::frontend {
namespace {

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

AnswerHead head_of(const GenerationRequest& request, const char* prefix) {
  AnswerHead head;
  head.id = prefix + random_id();
  head.created = unix_seconds();
  head.include_usage = request.include_usage;
  head.return_token_ids = request.return_token_ids;
  head.logprobs = request.sampling.logprobs();
  head.top_logprobs = request.sampling.top_logprobs();
  head.n = request.n;
  return head;
}

}  // namespace

std::optional<ApiError> Preparation::chat(const boost::json::object& body, size_t, GenerationJob::Parts& parts) const {
  auto request = std::make_shared<ChatRequest>();
  if (auto error = parse_chat(body, model_->facts(), *request)) return error;
  if (auto error = add_chat(*request, "messages", parts)) return error;
  AnswerHead head = head_of(*request, "chatcmpl-");
  head.include_reasoning = request->include_reasoning;
  parts.format = make_chat_format(std::move(head), model_);
  parts.request = std::move(request);
  return std::nullopt;
}

std::optional<ApiError> Preparation::messages(const boost::json::object& body, size_t,
                                              GenerationJob::Parts& parts) const {
  auto request = std::make_shared<ChatRequest>();
  if (auto error = parse_messages(body, model_->facts(), *request)) return error;
  if (auto error = add_chat(*request, "messages", parts)) return error;
  parts.format = make_messages_format(
      {.id = "msg_" + random_id(), .stream = request->stream, .include_reasoning = request->include_reasoning}, model_);
  parts.request = std::move(request);
  return std::nullopt;
}

std::optional<ApiError> Preparation::responses(const boost::json::object& body, size_t key,
                                               GenerationJob::Parts& parts) const {
  auto request = std::make_shared<ResponsesRequest>();
  if (auto error = parse_responses(body, model_->facts(), *responses_, key, *request)) return error;
  if (auto error = add_chat(*request, "input", parts)) return error;
  parts.format = make_responses_format(
      {.id = "resp_" + random_id(), .created = unix_seconds(), .request = request, .store = responses_, .key = key},
      model_);
  parts.request = std::move(request);
  return std::nullopt;
}

// vLLM's order of checks: the model's name and the fields first, which are behind us here, then the length. field:
// what the conversation is called. The request gives up what the prompt has been made of.
std::optional<ApiError> Preparation::add_chat(ChatRequest& request, const char* field,
                                              GenerationJob::Parts& parts) const {
  const auto text = model_->chat_text(request);
  if (!text.ok()) return error_of(text.error(), field);
  auto ids = model_->tokenizer()->encode(*text, false);
  if (auto error = add_prompt(request, field, std::move(ids), "", parts)) return error;
  parts.prompts.back()->parsing = parsing_of_chat(model_->parsing(), request, *text);
  if (const auto* reasoning = model_->parsing().reasoning) begin_behind_reasoning(*reasoning, *text, request.sampling);
  request.messages = request.tools = nullptr;
  parts.check = std::exchange(request.check, std::nullopt);
  return std::nullopt;
}

std::optional<ApiError> Preparation::completion(const boost::json::object& body, size_t,
                                                GenerationJob::Parts& parts) const {
  auto request = std::make_shared<CompletionRequest>();
  if (auto error = parse_completion(body, model_->facts(), *request)) return error;
  const auto tokenizer = model_->tokenizer();
  for (auto& prompt : request->prompts) {
    std::vector<int32_t> ids;
    std::string text;
    if (auto* given = std::get_if<std::string>(&prompt)) {
      if (!model_->facts().has_tokenizer) return invalid_request(kNoTokenizer, "prompt");
      ids = tokenizer->encode(*given, request->add_special_tokens);
      if (request->echo) text = std::move(*given);
    } else {
      ids = std::move(std::get<std::vector<int32_t>>(prompt));
      if (request->echo) text = tokenizer->decode(ids, false);
    }
    if (auto error = add_prompt(*request, "prompt", std::move(ids), std::move(text), parts)) return error;
  }
  AnswerHead head = head_of(*request, "cmpl-");
  head.echo = request->echo;
  parts.format = make_completion_format(std::move(head), model_);
  request->prompts.clear();
  parts.check = std::exchange(request->check, std::nullopt);
  parts.request = std::move(request);
  return std::nullopt;
}

std::optional<ApiError> Preparation::add_prompt(const GenerationRequest& request, const char* field,
                                                std::vector<int32_t> ids, std::string text,
                                                GenerationJob::Parts& parts) const {
  uint32_t max_tokens = 0;
  if (auto error = resolve_max_tokens(request, model_->facts(), ids.size(), field, max_tokens)) return error;
  parts.prompts.push_back(std::make_shared<Prompt>(Prompt{.ids = std::move(ids), .text = std::move(text)}));
  parts.max_tokens.push_back(max_tokens);
  return std::nullopt;
}

std::optional<ApiError> Preparation::check_model(RequestFields& fields) const {
  const auto name = fields.string("model");
  if (name && *name != model_->facts().name) return unknown_model(*name);
  return fields.error();
}

std::optional<ApiError> Preparation::tokenize(const boost::json::object& body, std::string& answer) const {
  RequestFields fields(body);
  if (auto error = check_model(fields)) return error;
  std::vector<int32_t> ids;
  if (fields.find("messages") != nullptr) {
    ChatRequest chat;
    if (auto error = parse_chat_prompt(body, chat)) return error;
    const bool add_special = fields.boolean("add_special_tokens").value_or(false);
    if (!fields.ok()) return fields.error();
    const auto text = model_->chat_text(chat);
    if (!text.ok()) return error_of(text.error(), "messages");
    ids = model_->tokenizer()->encode(*text, add_special);
  } else {
    const auto prompt = fields.string("prompt");
    const bool add_special = fields.boolean("add_special_tokens").value_or(true);
    if (!fields.ok()) return fields.error();
    if (!prompt)
      return invalid_request("Missing required parameter: 'prompt' or 'messages'.", "prompt",
                             "missing_required_parameter");
    if (!model_->facts().has_tokenizer) return invalid_request(kNoTokenizer, "prompt");
    ids = model_->tokenizer()->encode(*prompt, add_special);
  }
  JsonWriter json;
  json.begin_object().key("tokens").begin_array();
  for (const int32_t id : ids) json.integer(id);
  json.end_array().integer("count", static_cast<int64_t>(ids.size()));
  json.integer("max_model_len", model_->facts().max_model_len).end_object();
  answer = json.take();
  return std::nullopt;
}

std::optional<ApiError> Preparation::detokenize(const boost::json::object& body, std::string& answer) const {
  RequestFields fields(body);
  if (auto error = check_model(fields)) return error;
  if (fields.find("tokens") == nullptr)
    return invalid_request("Missing required parameter: 'tokens'.", "tokens", "missing_required_parameter");
  const std::vector<int32_t> ids = fields.token_ids("tokens", model_->facts().vocab_size);
  if (!fields.ok()) return fields.error();
  JsonWriter json;
  json.begin_object().string("prompt", model_->tokenizer()->decode(ids, false)).end_object();
  answer = json.take();
  return std::nullopt;
}

std::optional<ApiError> Preparation::count_tokens(const boost::json::object& body, std::string& answer) const {
  RequestFields fields(body);
  if (auto error = check_model(fields)) return error;
  ChatRequest chat;
  if (auto error = parse_messages_prompt(body, chat)) return error;
  const auto text = model_->chat_text(chat);
  if (!text.ok()) return error_of(text.error(), "messages");
  JsonWriter json;
  json.begin_object();
  json.integer("input_tokens", static_cast<int64_t>(model_->tokenizer()->encode(*text, false).size())).end_object();
  answer = json.take();
  return std::nullopt;
}

}  // namespace switchyard::frontend
