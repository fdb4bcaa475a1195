#include "frontend/answers/messages_format.h"

#include <boost/json/parse.hpp>

#include "frontend/answers/blocks.h"
#include "frontend/http/json_writer.h"
#include "frontend/http/sse.h"

namespace switchyard::frontend {
namespace {

class MessagesFormat final : public AnswerFormat {
 public:
  MessagesFormat(MessagesHead head, std::shared_ptr<const ServedModel> model)
      : head_(std::move(head)),
        model_(std::move(model)),
        blocks_(head_.stream ? Blocks::For::kStream : Blocks::For::kWhole) {}

  ErrorForm errors() const override { return ErrorForm::kAnthropic; }

  void gather(Choice& choice, Delta& delta) override { read(choice, delta); }

  std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) override {
    JsonWriter json;
    begin_message(json);
    json.key("content").begin_array();
    for (const Block& block : blocks_.list()) write_block(json, block, false);
    json.end_array();
    write_stop(json, *choices.front());
    json.key("usage");
    write_usage(json, usage);
    json.end_object();
    return json.take();
  }

  std::string opening(Choice& choice) override {
    JsonWriter json = begin_event("message_start");
    json.key("message");
    begin_message(json);
    json.key("content").begin_array().end_array().null("stop_reason").null("stop_sequence").key("usage");
    write_usage(json, {.prompt_tokens = choice.prompt().ids.size(), .cached_tokens = choice.prompt().cached_tokens});
    json.end_object().end_object();
    return sse_event("message_start", json.text());
  }

  std::string delta(Choice& choice, const Delta& delta) override { return events_of(read(choice, delta)); }

  std::string finish(Choice& choice) override {
    JsonWriter json;
    json.begin_object();
    write_stop(json, choice);
    json.end_object();
    stop_ = json.take();
    return events_of(blocks_.finish());
  }

  std::string end(const Usage& usage) override {
    JsonWriter json = begin_event("message_delta");
    json.key("delta").raw(stop_).key("usage");
    write_usage(json, usage);
    json.end_object();
    return sse_event("message_delta", json.text()) + sse_event("message_stop", R"({"type":"message_stop"})");
  }

  std::string failed(const ApiError& error) override {
    return sse_event("error", error_body(error, ErrorForm::kAnthropic));
  }

 private:
  std::vector<BlockStep> read(const Choice& choice, const Delta& delta) {
    if (head_.include_reasoning) return blocks_.add(choice, delta);
    Delta shown;
    for (const parsing::Event& event : delta.events)
      if (event.kind != parsing::Event::Kind::kReasoning) shown.events.push_back(event);
    return blocks_.add(choice, shown);
  }

  static JsonWriter begin_event(std::string_view type) {
    JsonWriter json;
    json.begin_object().string("type", type);
    return json;
  }

  void begin_message(JsonWriter& json) const {
    json.begin_object().string("id", head_.id).string("type", "message").string("role", "assistant");
    json.string("model", model_->facts().name);
  }

  // begin: as a stream shows it, without what follows piece by piece.
  static void write_block(JsonWriter& json, const Block& block, bool begin) {
    json.begin_object();
    switch (block.kind) {
      case Block::Kind::kReasoning:
        // Nobody signs it: it is not checked when it comes back.
        json.string("type", "thinking").string("thinking", begin ? "" : block.text).string("signature", "");
        break;
      case Block::Kind::kText: json.string("type", "text").string("text", begin ? "" : block.text); break;
      case Block::Kind::kCall:
        json.string("type", "tool_use").string("id", block.call_id).string("name", block.name);
        json.key("input").raw(begin ? "{}" : input_of(block.text));
        break;
    }
    json.end_object();
  }

  // Arguments are a JSON object, unless an answer that had to be a call was cut by its length.
  static std::string_view input_of(const std::string& arguments) {
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(arguments, error);
    return !error && value.is_object() ? std::string_view(arguments) : "{}";
  }

  void write_stop(JsonWriter& json, const Choice& choice) const {
    const Ending ending = ending_of(choice, blocks_);
    const char* reason = ending == Ending::kCalls        ? "tool_use"
                         : ending == Ending::kLength     ? "max_tokens"
                         : ending == Ending::kStopString ? "stop_sequence"
                                                         : "end_turn";
    json.string("stop_reason", reason).key("stop_sequence");
    ending == Ending::kStopString ? json.string(std::get<std::string>(choice.stop_reason())) : json.null();
  }

  // Anthropic counts tokens that were read from the cache apart from the input.
  static void write_usage(JsonWriter& json, const Usage& usage) {
    const auto count = [](uint64_t value) { return static_cast<int64_t>(value); };
    json.begin_object().integer("input_tokens", count(usage.prompt_tokens - usage.cached_tokens));
    json.integer("cache_creation_input_tokens", 0).integer("cache_read_input_tokens", count(usage.cached_tokens));
    json.integer("output_tokens", count(usage.completion_tokens)).end_object();
  }

  std::string events_of(const std::vector<BlockStep>& steps) const {
    std::string events;
    for (const BlockStep& step : steps) {
      const Block& block = blocks_.list()[step.index];
      const char* type = step.what == BlockStep::What::kBegin   ? "content_block_start"
                         : step.what == BlockStep::What::kPiece ? "content_block_delta"
                                                                : "content_block_stop";
      JsonWriter json = begin_event(type);
      json.integer("index", static_cast<int64_t>(step.index));
      if (step.what == BlockStep::What::kBegin) {
        json.key("content_block");
        write_block(json, block, true);
      } else if (step.what == BlockStep::What::kPiece) {
        json.key("delta");
        write_piece(json, block, step.piece);
      }
      json.end_object();
      events += sse_event(type, json.text());
    }
    return events;
  }

  static void write_piece(JsonWriter& json, const Block& block, std::string_view piece) {
    json.begin_object();
    switch (block.kind) {
      case Block::Kind::kReasoning: json.string("type", "thinking_delta").string("thinking", piece); break;
      case Block::Kind::kText: json.string("type", "text_delta").string("text", piece); break;
      case Block::Kind::kCall: json.string("type", "input_json_delta").string("partial_json", piece); break;
    }
    json.end_object();
  }

  const MessagesHead head_;
  const std::shared_ptr<const ServedModel> model_;
  Blocks blocks_;
  std::string stop_;  // of a stream: why it ended, as JSON
};

}  // namespace

std::unique_ptr<AnswerFormat> make_messages_format(MessagesHead head, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<MessagesFormat>(std::move(head), std::move(model));
}

}  // namespace switchyard::frontend
