#include "frontend/requests/request_parsing.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <random>

#include "frontend/requests/chat_messages.h"
#include "frontend/requests/constraint_fields.h"
#include "frontend/requests/request_fields.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

// Bounds of what one request may ask for.
constexpr int64_t kChoicesMax = 128;
constexpr size_t kStopStringsMax = 16;
constexpr size_t kStopStringBytesMax = 1024;
constexpr size_t kSequencesMax = 1024;  // prompts x n
constexpr size_t kLogitBiasMax = 1024;
constexpr int64_t kTopLogprobsMax = 20;
constexpr int64_t kTokensMax = std::numeric_limits<int32_t>::max();

uint64_t random_seed() {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }()};
  return generator();
}

void read_model(RequestFields& fields, const ModelFacts& model, std::optional<ApiError>& unknown) {
  const std::optional<std::string> name = fields.string("model");
  // As vLLM: a request that names no model means the one that is served.
  if (name && *name != model.name) unknown = unknown_model(*name);
}

void read_stop(RequestFields& fields, std::vector<std::string>& stop) {
  const json::value* value = fields.find("stop");
  if (value == nullptr) return;
  const auto add = [&](const json::value& item) {
    if (!item.is_string()) return fields.wrong_type("stop", "a string or an array of strings", item);
    const auto& text = item.get_string();
    if (text.empty()) return fields.fail("Invalid 'stop': a stop string must not be empty.", "stop", "invalid_value");
    if (text.size() > kStopStringBytesMax) {
      return fields.fail(
          fmt::format("Invalid 'stop': a stop string has {} bytes, more than {}.", text.size(), kStopStringBytesMax),
          "stop", "string_above_max_length");
    }
    stop.emplace_back(text);
  };
  if (!value->is_array()) return add(*value);
  if (value->get_array().size() > kStopStringsMax) {
    return fields.fail(fmt::format("Invalid 'stop': array too long. Expected at most {} stop strings, but got {}.",
                                   kStopStringsMax, value->get_array().size()),
                       "stop", "array_above_max_length");
  }
  for (const json::value& item : value->get_array()) add(item);
}

void read_logit_bias(RequestFields& fields, const ModelFacts& model, wire::Sampling& sampling) {
  const json::value* value = fields.find("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object()) return fields.wrong_type("logit_bias", "an object of token id to bias", *value);
  if (value->get_object().size() > kLogitBiasMax) {
    return fields.fail(fmt::format("Invalid 'logit_bias': more than {} entries.", kLogitBiasMax), "logit_bias",
                       "object_above_max_properties");
  }
  for (const auto& entry : value->get_object()) {
    const std::string_view key{entry.key().data(), entry.key().size()};
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= model.vocab_size) {
      return fields.fail(fmt::format("Invalid 'logit_bias': '{}' is not a token id; the vocabulary has {} tokens.", key,
                                     model.vocab_size),
                         "logit_bias", "invalid_value");
    }
    if (!entry.value().is_number()) return fields.wrong_type("logit_bias", "decimals", entry.value());
    const double bias = entry.value().to_number<double>();
    if (!(bias >= -100 && bias <= 100)) {
      return fields.fail(
          fmt::format("Invalid 'logit_bias': the bias of token {} is {}, not within -100 and 100.", id, bias),
          "logit_bias", "invalid_value");
    }
    wire::LogitBias* out = sampling.add_logit_bias();
    out->set_token_id(id);
    out->set_bias(static_cast<float>(bias));
  }
}

void read_stream(RequestFields& fields, GenerationRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const json::value* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!options->is_object()) return fields.wrong_type("stream_options", "an object", *options);
  if (!request.stream) {
    return fields.fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options",
                       "invalid_value");
  }
  RequestFields inner(options->get_object());
  request.include_usage = inner.boolean("include_usage").value_or(false);
  if (!inner.ok()) fields.fail("stream_options: " + inner.error()->message, "stream_options", inner.error()->code);
}

// What other servers know and this one does not yet: an answer as if they had not asked would be a wrong one. Fields
// that nobody knows are ignored, as OpenAI's SDKs expect.
void refuse_unsupported(RequestFields& fields) {
  for (const char* name : {"prompt_logprobs", "allowed_token_ids", "bad_words", "truncate_prompt_tokens",
                           "use_beam_search", "continue_final_message"}) {
    const json::value* value = fields.find(name);
    if (value == nullptr) continue;
    const bool asks_for_nothing =
        (value->is_bool() && !value->get_bool()) || (value->is_array() && value->get_array().empty());
    if (!asks_for_nothing)
      return fields.fail(fmt::format("'{}' is not supported.", name), name, "unsupported_parameter");
  }
}

void read_sampling(RequestFields& fields, const ModelFacts& model, GenerationRequest& request) {
  wire::Sampling& s = request.sampling;
  const auto as_float = [](double value) { return static_cast<float>(value); };
  s.set_temperature(as_float(fields.number("temperature", 0, 2).value_or(model.temperature)));
  s.set_top_p(as_float(fields.number("top_p", 0, 1).value_or(model.top_p)));
  if (fields.ok() && s.top_p() <= 0) {
    fields.fail("Invalid 'top_p': decimal below minimum value. Expected a value > 0, but got 0 instead.", "top_p",
                "decimal_below_min_value");
  }
  const auto top_k = static_cast<int32_t>(fields.integer("top_k", -1, kTokensMax).value_or(model.top_k));
  s.set_top_k(std::max(0, top_k));
  s.set_min_p(as_float(fields.number("min_p", 0, 1).value_or(model.min_p)));
  s.set_presence_penalty(as_float(fields.number("presence_penalty", -2, 2).value_or(0)));
  s.set_frequency_penalty(as_float(fields.number("frequency_penalty", -2, 2).value_or(0)));
  s.set_repetition_penalty(as_float(fields.number("repetition_penalty", -1e6, 1e6).value_or(model.repetition_penalty)));
  if (fields.ok() && s.repetition_penalty() <= 0) {
    fields.fail(fmt::format("Invalid 'repetition_penalty': decimal below minimum value. Expected a value > 0, but got "
                            "{:g} instead.",
                            s.repetition_penalty()),
                "repetition_penalty", "decimal_below_min_value");
  }
  read_logit_bias(fields, model, s);

  // All 64 bits are welcome, signed or not.
  if (const json::value* value = fields.find("seed"); value != nullptr && value->is_uint64()) {
    request.seed = value->get_uint64();
  } else {
    constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
    const std::optional<int64_t> seed = fields.integer("seed", std::numeric_limits<int64_t>::min(), kAny);
    request.seed = seed ? static_cast<uint64_t>(*seed) : random_seed();
  }
  request.n = static_cast<uint32_t>(fields.integer("n", 1, kChoicesMax).value_or(1));
  read_stop(fields, request.stop);
  request.stop_token_ids = fields.token_ids("stop_token_ids", model.vocab_size);
  request.include_stop_str_in_output = fields.boolean("include_stop_str_in_output").value_or(false);
  request.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  if (const auto priority = fields.integer("priority", std::numeric_limits<int32_t>::min(), kTokensMax))
    request.priority = static_cast<int32_t>(*priority);

  const bool ignore_eos = fields.boolean("ignore_eos").value_or(false);
  if (!ignore_eos) s.mutable_stop_token_ids()->Add(model.eos_token_ids.begin(), model.eos_token_ids.end());
  s.mutable_stop_token_ids()->Add(request.stop_token_ids.begin(), request.stop_token_ids.end());
  request.min_tokens = static_cast<uint32_t>(fields.integer("min_tokens", 0, kTokensMax).value_or(0));
  s.set_min_tokens(request.min_tokens);
  refuse_unsupported(fields);
}

void check_min_tokens(RequestFields& fields, const GenerationRequest& request) {
  if (request.max_tokens && request.min_tokens > *request.max_tokens) {
    fields.fail(
        fmt::format("Invalid 'min_tokens': {} is more than max_tokens, {}.", request.min_tokens, *request.max_tokens),
        "min_tokens", "invalid_value");
  }
}

void read_prompts(RequestFields& fields, const ModelFacts& model, CompletionRequest& request) {
  const json::value* value = fields.find("prompt");
  if (value == nullptr)
    return fields.fail("Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter");
  constexpr const char* kExpected = "a string, an array of strings, of token ids, or of arrays of token ids";
  if (value->is_string()) {
    request.prompts.emplace_back(std::string(value->get_string()));
    return;
  }
  if (!value->is_array()) return fields.wrong_type("prompt", kExpected, *value);
  const json::array& items = value->get_array();
  if (items.empty()) return fields.fail("Invalid 'prompt': empty array.", "prompt", "empty_array");
  if (items[0].is_number()) {
    request.prompts.emplace_back(fields.token_ids("prompt", *value, model.vocab_size));
    return;
  }
  if (items.size() > kSequencesMax) {
    return fields.fail(fmt::format("Invalid 'prompt': {} prompts are more than {}.", items.size(), kSequencesMax),
                       "prompt", "array_above_max_length");
  }
  for (const json::value& item : items) {
    if (item.is_string() && items[0].is_string()) {
      request.prompts.emplace_back(std::string(item.get_string()));
    } else if (item.is_array() && items[0].is_array()) {
      request.prompts.emplace_back(fields.token_ids("prompt", item, model.vocab_size));
    } else {
      return fields.wrong_type("prompt", kExpected, item);
    }
  }
}

}  // namespace

std::optional<ApiError> parse_chat_prompt(const json::object& body, ChatRequest& request) {
  RequestFields fields(body);
  const json::value* messages = fields.find("messages");
  if (messages == nullptr)
    return invalid_request("Missing required parameter: 'messages'.", "messages", "missing_required_parameter");
  if (!messages->is_array()) {
    fields.wrong_type("messages", "an array of objects", *messages);
    return fields.error();
  }
  request.messages = *messages;
  json::array& list = request.messages.get_array();
  if (list.empty()) return invalid_request("Invalid 'messages': empty array.", "messages", "empty_array");
  for (size_t i = 0; i < list.size(); ++i)
    if (auto error = check_message(list[i], i)) return error;

  if (const json::value* tools = fields.find("tools"); tools != nullptr) {
    if (!tools->is_array())
      fields.wrong_type("tools", "an array of objects", *tools);
    else if (auto error = check_tools(tools->get_array()))
      return error;
    else if (!tools->get_array().empty())
      request.tools = *tools;
  }
  if (const json::value* choice = fields.find("tool_choice"); choice != nullptr) {
    if (!choice->is_string() && !choice->is_object())
      fields.wrong_type("tool_choice", "a string or an object", *choice);
    else if (request.tools.is_null() && (!choice->is_string() || choice->get_string() != "none"))
      fields.fail("'tool_choice' needs 'tools'.", "tool_choice", "invalid_value");
    // vLLM too leaves the tools out of the prompt then.
    else if (choice->is_string() && choice->get_string() == "none")
      request.tools = nullptr;
    else if (choice->is_string() && choice->get_string() != "auto" && choice->get_string() != "required")
      fields.fail("Invalid 'tool_choice': 'none', 'auto', 'required' or a function is expected.", "tool_choice",
                  "invalid_value");
  }
  if (const json::value* kwargs = fields.find("chat_template_kwargs"); kwargs != nullptr) {
    if (kwargs->is_object())
      request.chat_template_kwargs = kwargs->get_object();
    else
      fields.wrong_type("chat_template_kwargs", "an object", *kwargs);
    // They say how a chat is rendered, not which one.
    for (const char* own : {"messages", "tools"}) {
      if (request.chat_template_kwargs.contains(own)) {
        fields.fail(fmt::format("Invalid 'chat_template_kwargs': '{}' is a field of the request.", own),
                    "chat_template_kwargs", "invalid_value");
      }
    }
  }
  // Templates that know it read it under this name, as in vLLM.
  if (const auto effort = fields.string("reasoning_effort");
      effort && !request.chat_template_kwargs.contains("reasoning_effort"))
    request.chat_template_kwargs["reasoning_effort"] = *effort;
  const bool generate = fields.boolean("add_generation_prompt").value_or(true);
  if (!request.chat_template_kwargs.contains("add_generation_prompt"))
    request.chat_template_kwargs["add_generation_prompt"] = generate;
  return fields.error();
}

std::optional<ApiError> parse_completion(const json::object& body, const ModelFacts& model,
                                         CompletionRequest& request) {
  RequestFields fields(body);
  std::optional<ApiError> unknown;
  read_model(fields, model, unknown);
  if (unknown) return unknown;
  read_prompts(fields, model, request);
  read_stream(fields, request);
  read_sampling(fields, model, request);
  request.echo = fields.boolean("echo").value_or(false);
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  read_constraint(fields, model, request);
  if (fields.find("suffix") != nullptr)
    fields.fail("'suffix' is not supported by this model.", "suffix", "unsupported_parameter");
  if (const auto best_of = fields.integer("best_of", 1, kChoicesMax); best_of && *best_of != request.n)
    fields.fail("'best_of' other than 'n' is not supported.", "best_of", "unsupported_parameter");

  // OpenAI's default; an explicit null asks for as many as fit, as in vLLM.
  if (body.contains("max_tokens")) {
    if (const auto value = fields.integer("max_tokens", request.echo ? 0 : 1, kTokensMax))
      request.max_tokens = static_cast<uint32_t>(*value);
  } else {
    request.max_tokens_if_absent = std::max<uint32_t>(16, request.min_tokens);
  }
  check_min_tokens(fields, request);

  if (const auto count = fields.integer("logprobs", 0, kTopLogprobsMax)) {
    request.sampling.set_logprobs(true);
    request.sampling.set_top_logprobs(static_cast<uint32_t>(*count));
    request.sampling.set_prompt_logprobs(request.echo);
  }
  if (request.prompts.size() * request.n > kSequencesMax) {
    fields.fail(fmt::format("Invalid 'prompt': {} prompts with n = {} are more than {} sequences.",
                            request.prompts.size(), request.n, kSequencesMax),
                "prompt", "array_above_max_length");
  }
  return fields.error();
}

std::optional<ApiError> parse_chat(const json::object& body, const ModelFacts& model, ChatRequest& request) {
  RequestFields fields(body);
  std::optional<ApiError> unknown;
  read_model(fields, model, unknown);
  if (unknown) return unknown;
  if (auto error = parse_chat_prompt(body, request)) return error;
  read_stream(fields, request);
  read_sampling(fields, model, request);
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the second one is the newer name, and wins
    if (const auto value = fields.integer(name, 1, kTokensMax)) {
      request.max_tokens = static_cast<uint32_t>(*value);
      request.max_tokens_field = name;
    }
  }
  check_min_tokens(fields, request);
  request.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
  request.include_reasoning = fields.boolean("include_reasoning").value_or(true);

  request.sampling.set_logprobs(fields.boolean("logprobs").value_or(false));
  if (const auto count = fields.integer("top_logprobs", 0, kTopLogprobsMax)) {
    if (!request.sampling.logprobs() && *count > 0)
      fields.fail("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs", "invalid_value");
    request.sampling.set_top_logprobs(static_cast<uint32_t>(*count));
  }
  read_constraint(fields, model, request);
  read_tool_choice(fields, model, request);
  return fields.error();
}

std::optional<ApiError> resolve_max_tokens(const GenerationRequest& request, const ModelFacts& model,
                                           size_t prompt_token_count, const char* prompt_field, uint32_t& max_tokens) {
  const auto too_long = [&](std::string message, const char* field) {
    return invalid_request(std::move(message), field, "context_length_exceeded");
  };
  if (prompt_token_count == 0)
    return invalid_request(fmt::format("Invalid '{}': the prompt has no tokens.", prompt_field), prompt_field,
                           "empty_prompt");
  const size_t least = request.max_tokens == 0U ? 0 : 1;
  if (prompt_token_count + least > model.max_model_len) {
    return too_long(fmt::format("This model's maximum context length is {} tokens. However, your prompt has {} tokens. "
                                "Please reduce the length of the {}.",
                                model.max_model_len, prompt_token_count, prompt_field),
                    prompt_field);
  }
  const size_t room = model.max_model_len - prompt_token_count;
  if (request.max_tokens && *request.max_tokens > room) {
    return too_long(fmt::format("'{}' is too large: {}. This model's maximum context length is {} tokens and "
                                "your request has {} input tokens ({} > {} - {}).",
                                request.max_tokens_field, *request.max_tokens, model.max_model_len, prompt_token_count,
                                *request.max_tokens, model.max_model_len, prompt_token_count),
                    request.max_tokens_field);
  }
  max_tokens = request.max_tokens.value_or(std::min(request.max_tokens_if_absent, static_cast<uint32_t>(room)));
  if (request.min_tokens > max_tokens)
    return invalid_request(
        fmt::format("Invalid 'min_tokens': {} is more than the {} tokens that fit.", request.min_tokens, max_tokens),
        "min_tokens", "invalid_value");
  return std::nullopt;
}

}  // namespace switchyard::frontend
