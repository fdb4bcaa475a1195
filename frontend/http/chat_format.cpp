#include <algorithm>

#include "frontend/http/answer_parts.h"

namespace switchyard::http {
namespace {

class ChatFormat final : public AnswerFormat {
 public:
  ChatFormat(AnswerHead head, std::shared_ptr<const ServedModel> model)
      : head_(std::move(head)), model_(std::move(model)) {}

  std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) override {
    JsonWriter json;
    begin_answer(json, head_, "chat.completion", model_->facts().name);
    json.key("choices").begin_array();
    for (const auto& choice : choices) {
      json.begin_object().integer("index", choice->index());
      json.key("message").begin_object().string("role", "assistant").string("content", choice->text);
      json.null("refusal").end_object();
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
    return json.take();
  }

  std::string delta(Choice& choice, const Delta& delta) override {
    JsonWriter json = begin_choice(choice);
    json.key("delta").begin_object().string("content", delta.text).end_object();
    write_logprobs(json, delta.logprobs);
    write_no_finish(json);
    if (head_.return_token_ids) write_ids(json, "token_ids", delta.token_ids);
    json.end_object().end_array();
    end_chunk(json, head_);
    return json.take();
  }

  std::string finish(Choice& choice) override {
    JsonWriter json = begin_choice(choice);
    json.key("delta").begin_object().end_object();
    json.null("logprobs");
    write_finish(json, choice);
    if (head_.return_token_ids) write_ids(json, "token_ids", {});
    json.end_object().end_array();
    end_chunk(json, head_);
    return json.take();
  }

  std::string usage(const Usage& usage) override {
    JsonWriter json;
    begin_answer(json, head_, "chat.completion.chunk", model_->facts().name);
    json.key("choices").begin_array().end_array().key("usage");
    write_usage(json, usage);
    json.end_object();
    return json.take();
  }

 private:
  JsonWriter begin_choice(const Choice& choice) const {
    JsonWriter json;
    begin_answer(json, head_, "chat.completion.chunk", model_->facts().name);
    json.key("choices").begin_array().begin_object().integer("index", choice.index());
    return json;
  }

  void write_token(JsonWriter& json, int32_t id, float logprob) const {
    json.string("token", model_->token_string(id));
    json.key("logprob").float32(logprob);
    json.key("bytes").begin_array();
    for (const char byte : model_->tokenizer()->token_bytes(id)) json.integer(static_cast<unsigned char>(byte));
    json.end_array();
  }

  void write_logprobs(JsonWriter& json, const std::vector<wire::TokenLogprob>& logprobs) const {
    json.key("logprobs");
    if (!head_.logprobs) {
      json.null();
      return;
    }
    json.begin_object().key("content").begin_array();
    for (const auto& token : logprobs) {
      json.begin_object();
      write_token(json, token.token_id(), token.logprob());
      json.key("top_logprobs").begin_array();
      const int count =
          std::min({static_cast<int>(head_.top_logprobs), token.top_ids_size(), token.top_logprobs_size()});
      for (int i = 0; i < count; ++i) {
        json.begin_object();
        write_token(json, token.top_ids(i), token.top_logprobs(i));
        json.end_object();
      }
      json.end_array().end_object();
    }
    json.end_array().null("refusal").end_object();
  }

  const AnswerHead head_;
  const std::shared_ptr<const ServedModel> model_;
};

}  // namespace

std::unique_ptr<AnswerFormat> make_chat_format(AnswerHead head, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<ChatFormat>(std::move(head), std::move(model));
}

}  // namespace switchyard::http
