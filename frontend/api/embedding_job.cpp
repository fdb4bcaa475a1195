#include "frontend/api/embedding_job.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "common/base/log.h"
#include "frontend/http/json_writer.h"
#include "frontend/requests/request_fields.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr size_t kInputsMax = 2048;  // OpenAI's

class InputReader {
 public:
  InputReader(RequestFields& fields, const ServedModel& model, bool add_special_tokens, EmbeddingRequest& request)
      : fields_(fields), model_(model), add_special_tokens_(add_special_tokens), request_(request) {}

  void read() {
    const json::value* value = fields_.find("input");
    constexpr const char* kExpected = "a string, an array of strings, of token ids, or of arrays of token ids";
    if (value == nullptr)
      return fields_.fail("Missing required parameter: 'input'.", "input", "missing_required_parameter");
    if (value->is_string()) return add_text(*value);
    if (!value->is_array()) return fields_.wrong_type("input", kExpected, *value);
    const json::array& items = value->get_array();
    if (items.empty()) return fields_.fail("Invalid 'input': empty array.", "input", "empty_array");
    if (items[0].is_number()) return add_ids(*value);
    if (items.size() > kInputsMax) {
      return fields_.fail(fmt::format("Invalid 'input': {} inputs are more than {}.", items.size(), kInputsMax),
                          "input", "array_above_max_length");
    }
    for (const json::value& item : items) {
      if (item.is_string() && items[0].is_string()) {
        add_text(item);
      } else if (item.is_array() && items[0].is_array()) {
        add_ids(item);
      } else {
        return fields_.wrong_type("input", kExpected, item);
      }
      if (!fields_.ok()) return;
    }
  }

 private:
  void add_text(const json::value& text) {
    if (!model_.facts().has_tokenizer)
      return fields_.fail("This model has no tokenizer.json; give the input as token ids.", "input");
    add(model_.tokenizer()->encode(std::string(text.get_string()), add_special_tokens_));
  }

  void add_ids(const json::value& ids) { add(fields_.token_ids("input", ids, model_.facts().vocab_size)); }

  void add(std::vector<int32_t> ids) {
    if (!fields_.ok()) return;
    const size_t index = request_.inputs.size();
    if (ids.empty()) {
      return fields_.fail(fmt::format("Invalid 'input': input {} has no tokens.", index), "input", "empty_prompt");
    }
    if (ids.size() > model_.facts().max_model_len) {
      return fields_.fail(fmt::format("This model's maximum context length is {} tokens. However, input {} has {} "
                                      "tokens. Please reduce its length.",
                                      model_.facts().max_model_len, index, ids.size()),
                          "input", "context_length_exceeded");
    }
    request_.inputs.push_back(std::move(ids));
  }

  RequestFields& fields_;
  const ServedModel& model_;
  const bool add_special_tokens_;
  EmbeddingRequest& request_;
};

// Little-endian float32, as every machine with our op tables has them in memory.
std::string base64_of(const std::vector<float>& values) {
  const size_t bytes = values.size() * sizeof(float);
  std::string text((bytes + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a zero
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(values.data()), static_cast<int>(bytes));
  text.resize(static_cast<size_t>(length));
  return text;
}

void scale_to_length_1(std::vector<float>& values) {
  double squares = 0.0;
  for (const float value : values) squares += double{value} * double{value};
  if (squares == 0.0) return;
  const double scale = 1.0 / std::sqrt(squares);
  for (float& value : values) value = static_cast<float>(double{value} * scale);
}

}  // namespace

std::optional<ApiError> parse_embedding(const json::object& body, const ServedModel& model, EmbeddingRequest& request) {
  RequestFields fields(body);
  const auto name = fields.string("model");
  if (name && *name != model.facts().name) return unknown_model(*name);
  const std::string format = fields.string("encoding_format").value_or("float");
  if (format != "float" && format != "base64") {
    fields.fail(fmt::format("Invalid 'encoding_format': expected 'float' or 'base64', but got '{}'.", format),
                "encoding_format", "invalid_value");
  }
  request.base64 = format == "base64";
  request.normalize = fields.boolean("normalize").value_or(true);
  if (const auto priority = fields.integer("priority", INT32_MIN, INT32_MAX))
    request.priority = static_cast<int32_t>(*priority);
  // As vLLM for models that were not trained for it: cutting an embedding short would make it a worse one unsaid.
  if (const auto dimensions = fields.integer("dimensions", 1, INT32_MAX); dimensions) {
    fields.fail("'dimensions' is not supported by this model: its embeddings have one length.", "dimensions",
                "unsupported_parameter");
  }
  if (fields.find("truncate_prompt_tokens") != nullptr) {
    fields.fail("'truncate_prompt_tokens' is not supported.", "truncate_prompt_tokens", "unsupported_parameter");
  }
  const bool add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  if (fields.ok()) InputReader(fields, model, add_special_tokens, request).read();
  return fields.error();
}

EmbeddingJob::EmbeddingJob(Parts parts) : parts_(std::move(parts)) {}

EmbeddingJob::~EmbeddingJob() {
  if (!ended_) end("abort");
}

void EmbeddingJob::start(ResponderPtr responder) {
  responder_ = std::move(responder);
  const auto& inputs = parts_.request.inputs;
  tickets_.resize(inputs.size());
  embeddings_.resize(inputs.size());
  open_ = inputs.size();
  responder_->on_disconnect([job = shared_from_this()] {
    if (!job->ended_) job->end("abort");
  });
  for (size_t i = 0; i < inputs.size() && !ended_; ++i) {
    wire::Generate generate;
    generate.mutable_prompt_token_ids()->Add(inputs[i].begin(), inputs[i].end());
    generate.set_pooling(parts_.model->facts().pooling);
    generate.set_trace_id(parts_.request_id);
    generate.set_priority(parts_.admission->priority(parts_.request.priority));
    prompt_tokens_ += inputs[i].size();
    auto ticket =
        parts_.pool->generate(std::move(generate), responder_->reactor(),
                              [job = shared_from_this(), i](wire::Output& output) { job->on_output(i, output); });
    if (!ticket.ok()) {
      ApiError error = error_of(ticket.error());
      error.retry_after_seconds = parts_.pool->retry_after_seconds();
      return fail(error);
    }
    tickets_[i] = *ticket;
  }
  if (ended_) return;
  parts_.metrics->prompt_tokens(static_cast<double>(prompt_tokens_));
  parts_.admission->take_tokens(prompt_tokens_);
}

void EmbeddingJob::on_output(size_t index, const wire::Output& output) {
  if (ended_) return;
  if (output.finish() == wire::FINISH_ERROR)
    return fail(error_of_status(static_cast<int>(output.error_status()), output.error()));
  if (output.finish() == wire::FINISH_CANCELLED) return fail(unavailable("The request was cancelled by its rank."));
  if (output.finish() == wire::FINISH_NONE) return;
  if (output.embedding_size() == 0) return fail(internal_error("The rank sent no embedding."));
  parts_.metrics->stages(output.queue_seconds(), output.prefill_seconds(), output.decode_seconds());
  embeddings_[index].assign(output.embedding().begin(), output.embedding().end());
  if (parts_.request.normalize) scale_to_length_1(embeddings_[index]);
  tickets_[index] = {};
  if (--open_ != 0) return;
  responder_->respond({.status = 200, .body = answer()});
  end("stop");
}

std::string EmbeddingJob::answer() const {
  JsonWriter json;
  json.begin_object().string("object", "list").string("model", parts_.model->facts().name);
  json.key("data").begin_array();
  for (size_t i = 0; i < embeddings_.size(); ++i) {
    json.begin_object().string("object", "embedding").integer("index", static_cast<int64_t>(i));
    if (parts_.request.base64) {
      json.string("embedding", base64_of(embeddings_[i]));
    } else {
      json.key("embedding").begin_array();
      for (const float value : embeddings_[i]) json.float32(value);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  const auto tokens = static_cast<int64_t>(prompt_tokens_);
  json.key("usage").begin_object().integer("prompt_tokens", tokens).integer("total_tokens", tokens).end_object();
  json.end_object();
  return json.take();
}

void EmbeddingJob::fail(const ApiError& error) {
  if (ended_) return;
  respond_error(*responder_, error);
  end("error");
}

void EmbeddingJob::end(const char* reason) {
  ended_ = true;
  for (const Ticket& ticket : tickets_)
    if (ticket.id != 0) parts_.pool->cancel(ticket.id);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - parts_.arrived).count();
  parts_.metrics->request_finished(reason, seconds);
  log_info("embeddings", {{"request", parts_.request_id},
                          {"inputs", parts_.request.inputs.size()},
                          {"prompt_tokens", prompt_tokens_},
                          {"reason", reason},
                          {"ms", static_cast<int64_t>(seconds * 1000)}});
  parts_.admission.reset();
}

}  // namespace switchyard::frontend
