#include <algorithm>

#include "frontend/answers/answer_parts.h"
#include "frontend/http/sse.h"

namespace switchyard::frontend {
namespace {

class ChatFormat final : public AnswerFormat {
 public:
  ChatFormat(AnswerHead head, std::shared_ptr<const ServedModel> model)
      : head_(std::move(head)), model_(std::move(model)) {
    JsonWriter json;
    begin_answer(json, head_, "chat.completion.chunk", model_->facts().name);
    chunk_begin_ = json.take();
  }

  std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) override {
    JsonWriter json;
    begin_answer(json, head_, "chat.completion", model_->facts().name);
    json.key("choices").begin_array();
    for (const auto& choice : choices) {
      json.begin_object().integer("index", choice->index());
      json.key("message");
      write_message(json, *choice);
      write_logprobs(json, choice->logprobs);
      write_finish(json, *choice);
      if (head_.return_token_ids) {
        if (choice->index() == 0) write_ids(json, "prompt_token_ids", choice->prompt().ids);
        write_ids(json, "token_ids", choice->token_ids());
      }
      json.end_object();
    }
    json.end_array();
    json.key("usage");
    write_usage(json, usage);
    // vLLM's place for them.
    if (head_.return_token_ids) write_ids(json, "prompt_token_ids", choices.front()->prompt().ids);
    json.end_object();
    return json.take();
  }

  std::string opening(Choice& choice) override {
    JsonWriter json = begin_choice(choice);
    json.key("delta").begin_object().string("role", "assistant").string("content", "").end_object();
    json.null("logprobs");
    write_no_finish(json);
    const bool prompt = head_.return_token_ids && choice.index() == 0;
    if (prompt) write_ids(json, "prompt_token_ids", choice.prompt().ids);
    if (head_.return_token_ids) write_ids(json, "token_ids", {});
    json.end_object().end_array();
    if (prompt) write_ids(json, "prompt_token_ids", choice.prompt().ids);
    end_chunk(json, head_);
    return sse_event(json.text());
  }

  std::string delta(Choice& choice, const Delta& delta) override {
    std::vector<std::string> pieces;
    for (const parsing::Event& event : delta.events)
      if (std::string piece = delta_of(choice, event); !piece.empty()) pieces.push_back(std::move(piece));
    if (pieces.empty() && !delta.token_ids.empty()) {
      // As vLLM: a chunk for every step of a plain text, also when it is still held back; where an answer is parsed,
      // only if there is something to say of the tokens.
      if (choice.prompt().parsing->is_plain())
        pieces.emplace_back(R"({"content":""})");
      else if (head_.logprobs || head_.return_token_ids)
        pieces.emplace_back("{}");
    }
    std::string chunks;
    for (const std::string& piece : pieces) {
      const bool first = chunks.empty();  // what is said of the tokens is said once
      JsonWriter json = begin_choice(choice);
      json.key("delta").raw(piece);
      first ? write_logprobs(json, delta.logprobs) : static_cast<void>(json.null("logprobs"));
      write_no_finish(json);
      if (head_.return_token_ids) write_ids(json, "token_ids", first ? delta.token_ids : std::vector<int32_t>());
      json.end_object().end_array();
      end_chunk(json, head_);
      append_sse_event(chunks, json.text());
    }
    return chunks;
  }

  std::string finish(Choice& choice) override {
    JsonWriter json = begin_choice(choice);
    json.key("delta").begin_object().end_object();
    json.null("logprobs");
    write_finish(json, choice);
    if (head_.return_token_ids) write_ids(json, "token_ids", {});
    json.end_object().end_array();
    end_chunk(json, head_);
    return sse_event(json.text());
  }

  std::string end(const Usage& usage) override {
    return end_of_chunks(head_, "chat.completion.chunk", model_->facts().name, usage);
  }
  std::string failed(const ApiError& error) override { return failed_chunk(error); }

 private:
  // reasoning_content is the older name, reasoning vLLM's newer one.
  static void write_reasoning(JsonWriter& json, std::string_view text) {
    json.string("reasoning_content", text).string("reasoning", text);
  }

  void write_message(JsonWriter& json, const Choice& choice) const {
    const parsing::Message& message = choice.message;
    json.begin_object().string("role", "assistant");
    if (message.content.empty() && (!message.calls.empty() || !message.reasoning.empty()))
      json.null("content");
    else
      json.string("content", message.content);
    json.null("refusal");
    if (head_.include_reasoning && !message.reasoning.empty()) write_reasoning(json, message.reasoning);
    if (!message.calls.empty()) {
      json.key("tool_calls").begin_array();
      for (const parsing::Call& call : message.calls) {
        json.begin_object().string("id", new_call_id(*choice.prompt().parsing->options)).string("type", "function");
        json.key("function").begin_object().string("name", call.name).string("arguments", call.arguments).end_object();
        json.end_object();
      }
      json.end_array();
    }
    json.end_object();
  }

  // The "delta" of a chunk; "" for what a stream does not show.
  std::string delta_of(const Choice& choice, const parsing::Event& event) const {
    using Kind = parsing::Event::Kind;
    JsonWriter json;
    json.begin_object();
    const auto begin_call = [&] { json.key("tool_calls").begin_array().begin_object().integer("index", event.call); };
    switch (event.kind) {
      case Kind::kContent: json.string("content", event.text); break;
      case Kind::kReasoning:
        if (!head_.include_reasoning) return "";
        write_reasoning(json, event.text);
        break;
      case Kind::kCallBegin:
        begin_call();
        json.string("id", new_call_id(*choice.prompt().parsing->options)).string("type", "function");
        json.key("function").begin_object().string("name", event.text).string("arguments", "").end_object();
        json.end_object().end_array();
        break;
      case Kind::kArguments:
        begin_call();
        json.key("function").begin_object().string("arguments", event.text).end_object();
        json.end_object().end_array();
        break;
      case Kind::kCallEnd: return "";
      case Kind::kCallBroken:
        if (event.unsent == 0) return "";
        json.string("content", std::string_view(event.text).substr(event.text.size() - event.unsent));
        break;
    }
    json.end_object();
    return json.take();
  }

  JsonWriter begin_choice(const Choice& choice) const {
    JsonWriter json(chunk_begin_);
    json.key("choices").begin_array().begin_object().integer("index", choice.index());
    return json;
  }

  void write_logprobs(JsonWriter& json, const std::vector<wire::TokenLogprob>& logprobs) const {
    json.key("logprobs");
    if (!head_.logprobs) {
      json.null();
      return;
    }
    json.begin_object().key("content").begin_array();
    write_token_logprobs(json, *model_, logprobs, head_.top_logprobs);
    json.end_array().null("refusal").end_object();
  }

  const AnswerHead head_;
  const std::shared_ptr<const ServedModel> model_;
  std::string chunk_begin_;  // of every chunk alike: id, object, created, model
};

}  // namespace

std::unique_ptr<AnswerFormat> make_chat_format(AnswerHead head, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<ChatFormat>(std::move(head), std::move(model));
}

}  // namespace switchyard::frontend
