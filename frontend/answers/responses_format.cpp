#include "frontend/answers/responses_format.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "frontend/answers/answer_parts.h"
#include "frontend/answers/blocks.h"
#include "frontend/http/json_writer.h"
#include "frontend/http/sse.h"
#include "frontend/requests/dialect.h"

namespace switchyard::frontend {
namespace {

class ResponsesFormat final : public AnswerFormat {
 public:
  ResponsesFormat(ResponsesHead head, std::shared_ptr<const ServedModel> model)
      : head_(std::move(head)),
        model_(std::move(model)),
        blocks_(head_.request->stream ? Blocks::For::kStream : Blocks::For::kWhole) {}

  void gather(Choice& choice, Delta& delta) override { blocks_.add(choice, delta); }

  std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) override {
    cut_ = choices.front()->finish() == Finish::kLength;
    std::string answer = response(end_status(), &usage);
    keep(answer);
    return answer;
  }

  std::string opening(Choice&) override {
    const std::string begun = response("in_progress", nullptr);
    std::string events = with_response("response.created", begun);
    return events += with_response("response.in_progress", begun);
  }

  std::string delta(Choice& choice, const Delta& delta) override { return events_of(blocks_.add(choice, delta)); }

  std::string finish(Choice& choice) override {
    cut_ = choice.finish() == Finish::kLength;
    return events_of(blocks_.finish());
  }

  std::string end(const Usage& usage) override {
    const std::string answer = response(end_status(), &usage);
    keep(answer);
    return with_response(cut_ ? "response.incomplete" : "response.completed", answer);
  }

  std::string failed(const ApiError& error) override {
    error_ = error;
    return with_response("response.failed", response("failed", nullptr));
  }

 private:
  using What = BlockStep::What;
  using Kind = Block::Kind;

  const char* end_status() const { return cut_ ? "incomplete" : "completed"; }

  std::string response(std::string_view status, const Usage* usage) const {
    JsonWriter json;
    json.begin_object().string("id", head_.id).string("object", "response").integer("created_at", head_.created);
    json.string("status", status).string("model", model_->facts().name);
    json.key("error");
    write_error(json);
    json.key("incomplete_details");
    status == "incomplete" ? json.raw(R"({"reason":"max_output_tokens"})") : json.null();
    for (const auto& [name, value] : head_.request->said)
      json.key({name.data(), name.size()}).raw(boost::json::serialize(value));
    json.key("output").begin_array();
    for (size_t i = 0; status != "in_progress" && i < blocks_.list().size(); ++i) {
      const bool last = i + 1 == blocks_.list().size();
      write_item(json, blocks_.list()[i], last && status != "completed" ? "incomplete" : "completed");
    }
    json.end_array().key("usage");
    usage == nullptr ? static_cast<void>(json.null()) : write_usage(json, *usage);
    json.end_object();
    return json.take();
  }

  void write_error(JsonWriter& json) const {
    if (!error_) {
      json.null();
      return;
    }
    json.begin_object().string("code", error_->status == 429 ? "rate_limit_exceeded" : "server_error");
    json.string("message", error_->message).end_object();
  }

  static void write_usage(JsonWriter& json, const Usage& usage) {
    const auto count = [](uint64_t value) { return static_cast<int64_t>(value); };
    json.begin_object().integer("input_tokens", count(usage.prompt_tokens));
    json.key("input_tokens_details").begin_object().integer("cached_tokens", count(usage.cached_tokens));
    json.integer("cache_write_tokens", 0).end_object();
    json.integer("output_tokens", count(usage.completion_tokens)).key("output_tokens_details").begin_object();
    json.integer("reasoning_tokens", count(usage.reasoning_tokens)).end_object();
    json.integer("total_tokens", count(usage.prompt_tokens + usage.completion_tokens)).end_object();
  }

  static std::string item_id(const Block& block) {
    switch (block.kind) {
      case Kind::kReasoning: return "rs_" + block.id;
      case Kind::kText: return "msg_" + block.id;
      case Kind::kCall: return "fc_" + block.id;
    }
    return block.id;
  }

  // status: "in_progress" without what a stream tells later.
  void write_item(JsonWriter& json, const Block& block, std::string_view status) const {
    const bool begin = status == "in_progress";
    if (block.broken) status = "incomplete";
    json.begin_object().string("id", item_id(block));
    if (block.kind == Kind::kCall) {
      json.string("type", "function_call").string("status", status).string("call_id", block.call_id);
      json.string("name", block.name).string("arguments", begin ? "" : block.text).end_object();
      return;
    }
    json.string("type", block.kind == Kind::kText ? "message" : "reasoning").string("status", status);
    if (block.kind == Kind::kText)
      json.string("role", "assistant");
    else
      json.key("summary").begin_array().end_array();
    json.key("content").begin_array();
    if (!begin) write_part(json, block, false);
    json.end_array().end_object();
  }

  void write_part(JsonWriter& json, const Block& block, bool begin) const {
    json.begin_object().string("type", block.kind == Kind::kText ? "output_text" : "reasoning_text");
    json.string("text", begin ? "" : block.text);
    if (block.kind == Kind::kText) {
      json.key("annotations").begin_array().end_array();
      write_logprobs(json, begin ? std::vector<wire::TokenLogprob>() : block.logprobs);
    }
    json.end_object();
  }

  void write_logprobs(JsonWriter& json, const std::vector<wire::TokenLogprob>& logprobs) const {
    json.key("logprobs").begin_array();
    if (head_.request->sampling.logprobs())
      write_token_logprobs(json, *model_, logprobs, head_.request->sampling.top_logprobs());
    json.end_array();
  }

  // --- events ------------------------------------------------------------------------------------------------------

  JsonWriter begin_event(std::string_view type) {
    JsonWriter json;
    json.begin_object().string("type", type).integer("sequence_number", sequence_++);
    return json;
  }

  std::string with_response(std::string_view type, std::string_view response) {
    JsonWriter json = begin_event(type);
    json.key("response").raw(response).end_object();
    return sse_event(type, json.text());
  }

  std::string with_item(std::string_view type, size_t index, std::string_view status) {
    JsonWriter json = begin_event(type);
    json.integer("output_index", static_cast<int64_t>(index)).key("item");
    write_item(json, blocks_.list()[index], status);
    json.end_object();
    return sse_event(type, json.text());
  }

  // An event about the content of an item, with whatever `rest` writes.
  template <typename Rest>
  std::string within_item(std::string_view type, size_t index, Rest rest) {
    const Block& block = blocks_.list()[index];
    JsonWriter json = begin_event(type);
    json.string("item_id", item_id(block)).integer("output_index", static_cast<int64_t>(index));
    if (block.kind != Kind::kCall) json.integer("content_index", 0);
    rest(json, block);
    json.end_object();
    return sse_event(type, json.text());
  }

  std::string with_part(std::string_view type, size_t index, bool begin) {
    return within_item(type, index, [&](JsonWriter& json, const Block& block) {
      json.key("part");
      write_part(json, block, begin);
    });
  }

  static std::string text_event(const Block& block, const char* end) {
    switch (block.kind) {
      case Kind::kReasoning: return std::string("response.reasoning_text.") + end;
      case Kind::kText: return std::string("response.output_text.") + end;
      case Kind::kCall: return std::string("response.function_call_arguments.") + end;
    }
    return end;
  }

  std::string events_of(const std::vector<BlockStep>& steps) {
    std::string events;
    for (const BlockStep& step : steps) {
      switch (step.what) {
        case What::kBegin: events += begin_item(step.index); break;
        case What::kPiece: events += grow_item(step); break;
        case What::kEnd: events += end_item(step.index); break;
      }
    }
    return events;
  }

  std::string begin_item(size_t index) {
    std::string events = with_item("response.output_item.added", index, "in_progress");
    if (blocks_.list()[index].kind != Kind::kCall) events += with_part("response.content_part.added", index, true);
    return events;
  }

  std::string grow_item(const BlockStep& step) {
    return within_item(text_event(blocks_.list()[step.index], "delta"), step.index,
                       [&](JsonWriter& json, const Block& block) {
                         json.string("delta", step.piece);
                         if (block.kind == Kind::kText) write_logprobs(json, step.logprobs);
                       });
  }

  std::string end_item(size_t index) {
    const Block& block = blocks_.list()[index];
    std::string events = within_item(text_event(block, "done"), index, [&](JsonWriter& json, const Block&) {
      if (block.kind == Kind::kCall) json.string("name", block.name);
      json.string(block.kind == Kind::kCall ? "arguments" : "text", block.text);
      if (block.kind == Kind::kText) write_logprobs(json, block.logprobs);
    });
    if (block.kind != Kind::kCall) events += with_part("response.content_part.done", index, false);
    const bool last = index + 1 == blocks_.list().size();
    return events + with_item("response.output_item.done", index, last && cut_ ? "incomplete" : "completed");
  }

  // --- what is kept ------------------------------------------------------------------------------------------------

  void keep(const std::string& answer) const {
    if (!head_.request->store) return;
    Conversation conversation(head_.request->conversation);
    for (const Block& block : blocks_.list()) {
      if (block.kind == Kind::kText) conversation.add_assistant_text({text_part(block.text)});
      if (block.kind == Kind::kReasoning) conversation.add_reasoning(block.text);
      if (block.kind != Kind::kCall || block.broken) continue;
      boost::system::error_code error;
      boost::json::value arguments = boost::json::parse(block.text.empty() ? "{}" : block.text, error);
      // A call that the answer's length has cut is none that can be gone on from.
      if (!error && arguments.is_object()) conversation.add_call(block.call_id, block.name, std::move(arguments));
    }
    head_.store->put({.id = head_.id,
                      .key = head_.key,
                      .body = answer,
                      .conversation = boost::json::serialize(conversation.messages())});
  }

  const ResponsesHead head_;
  const std::shared_ptr<const ServedModel> model_;
  Blocks blocks_;
  bool cut_ = false;  // by its length
  int64_t sequence_ = 0;
  std::optional<ApiError> error_;
};

}  // namespace

std::unique_ptr<AnswerFormat> make_responses_format(ResponsesHead head, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<ResponsesFormat>(std::move(head), std::move(model));
}

}  // namespace switchyard::frontend
