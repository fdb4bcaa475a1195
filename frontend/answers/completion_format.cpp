#include <algorithm>
#include <optional>

#include "frontend/answers/answer_parts.h"
#include "frontend/http/sse.h"

namespace switchyard::frontend {
namespace {

// A token of the logprobs object; no numbers for a prompt's first one, which nothing predicts.
struct ScoredToken {
  int32_t id = 0;
  const wire::TokenLogprob* score = nullptr;
};

class CompletionFormat final : public AnswerFormat {
 public:
  CompletionFormat(AnswerHead head, std::shared_ptr<const ServedModel> model)
      : head_(std::move(head)), model_(std::move(model)) {
    JsonWriter json;
    begin_answer(json, head_, "text_completion", model_->facts().name);
    chunk_begin_ = json.take();
  }

  std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) override {
    JsonWriter json;
    begin_answer(json, head_, "text_completion", model_->facts().name);
    json.key("choices").begin_array();
    for (const auto& choice : choices) {
      json.begin_object().integer("index", choice->index());
      json.string("text", head_.echo ? choice->prompt().text + choice->text : choice->text);
      std::vector<ScoredToken> tokens;
      if (head_.echo) tokens = prompt_tokens(*choice);
      for (const auto& score : choice->logprobs) tokens.push_back({score.token_id(), &score});
      write_logprobs(json, *choice, tokens);
      write_finish(json, *choice);
      if (head_.return_token_ids) {
        if (choice->index() % head_.n == 0) write_ids(json, "prompt_token_ids", choice->prompt().ids);
        write_ids(json, "token_ids", choice->token_ids());
      }
      json.end_object();
    }
    json.end_array().key("usage");
    write_usage(json, usage);
    json.end_object();
    return json.take();
  }

  std::string opening(Choice& choice) override {
    if (!head_.echo && !head_.return_token_ids) return "";
    return chunk(choice, head_.echo ? choice.prompt().text : "",
                 head_.echo ? prompt_tokens(choice) : std::vector<ScoredToken>(), {});
  }

  std::string delta(Choice& choice, const Delta& delta) override {
    // As vLLM: a chunk for every step with new tokens, also when its text is still held back.
    if (delta.token_ids.empty() && delta.text.empty()) return "";
    std::vector<ScoredToken> tokens;
    for (const auto& score : delta.logprobs) tokens.push_back({score.token_id(), &score});
    return chunk(choice, delta.text, tokens, delta.token_ids);
  }

  std::string finish(Choice& choice) override {
    JsonWriter json = begin_choice(choice, "");
    json.null("logprobs");
    write_finish(json, choice);
    if (head_.return_token_ids) write_ids(json, "token_ids", {});
    json.end_object().end_array();
    end_chunk(json, head_);
    return sse_event(json.text());
  }

  std::string end(const Usage& usage) override {
    return end_of_chunks(head_, "text_completion", model_->facts().name, usage);
  }
  std::string failed(const ApiError& error) override { return failed_chunk(error); }

 private:
  JsonWriter begin_choice(const Choice& choice, std::string_view text) const {
    JsonWriter json(chunk_begin_);
    json.key("choices").begin_array().begin_object().integer("index", choice.index()).string("text", text);
    return json;
  }

  std::string chunk(Choice& choice, std::string_view text, const std::vector<ScoredToken>& tokens,
                    std::span<const int32_t> ids) {
    const bool first = !choice.opened;
    choice.opened = true;
    JsonWriter json = begin_choice(choice, text);
    write_logprobs(json, choice, tokens);
    write_no_finish(json);
    if (head_.return_token_ids) {
      if (first && choice.index() % head_.n == 0) write_ids(json, "prompt_token_ids", choice.prompt().ids);
      write_ids(json, "token_ids", ids);
    }
    json.end_object().end_array();
    end_chunk(json, head_);
    return sse_event(json.text());
  }

  std::vector<ScoredToken> prompt_tokens(Choice& choice) const {
    const auto& ids = choice.prompt().ids;
    const auto& scores = choice.prompt_logprobs();
    std::vector<ScoredToken> tokens;
    if (!head_.logprobs) return tokens;
    for (size_t i = 0; i < ids.size(); ++i)
      tokens.push_back({ids[i], i > 0 && i - 1 < scores.size() ? &scores[i - 1] : nullptr});
    return tokens;
  }

  // {"token": logprob}: the token itself and the likeliest. Tokens that read alike (pieces of characters) share an
  // entry, the likeliest one's.
  void write_top(JsonWriter& json, const wire::TokenLogprob& score) const {
    std::vector<std::pair<std::string, float>> entries;
    const auto add = [&](int32_t id, float logprob) {
      std::string name = model_->token_string(id);
      const auto same = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
      if (same == entries.end())
        entries.emplace_back(std::move(name), logprob);
      else
        same->second = std::max(same->second, logprob);
    };
    add(score.token_id(), score.logprob());
    const int count = std::min({static_cast<int>(head_.top_logprobs), score.top_ids_size(), score.top_logprobs_size()});
    for (int i = 0; i < count; ++i) add(score.top_ids(i), score.top_logprobs(i));
    json.begin_object();
    for (const auto& [name, logprob] : entries) json.key(name).float32(logprob);
    json.end_object();
  }

  void write_logprobs(JsonWriter& json, Choice& choice, const std::vector<ScoredToken>& tokens) const {
    json.key("logprobs");
    if (!head_.logprobs) {
      json.null();
      return;
    }
    JsonWriter names, offsets;
    names.begin_array();
    offsets.begin_array();
    json.begin_object().key("token_logprobs").begin_array();
    for (const ScoredToken& token : tokens) {
      const std::string name = model_->token_string(token.id);
      names.string(name);
      offsets.integer(static_cast<int64_t>(choice.text_offset));
      choice.text_offset += text::code_point_count(name);
      token.score == nullptr ? json.null() : json.float32(token.score->logprob());
    }
    json.end_array().key("top_logprobs").begin_array();
    for (const ScoredToken& token : tokens) {
      if (token.score == nullptr)
        json.null();
      else
        write_top(json, *token.score);
    }
    json.end_array();
    json.key("tokens").raw(names.end_array().text());
    json.key("text_offset").raw(offsets.end_array().text());
    json.end_object();
  }

  const AnswerHead head_;
  const std::shared_ptr<const ServedModel> model_;
  std::string chunk_begin_;  // of every chunk alike: id, object, created, model
};

}  // namespace

std::unique_ptr<AnswerFormat> make_completion_format(AnswerHead head, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<CompletionFormat>(std::move(head), std::move(model));
}

}  // namespace switchyard::frontend
