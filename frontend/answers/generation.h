// One sequence of a request while it is generated: token ids in, text out, with stop strings found and held back. A
// chat's text is read further by a parser, behind the stop strings: those act on what the model writes, not on what it
// means.
//
// Thread: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/text/tokenizer.h"
#include "common/wire/switchyard.pb.h"
#include "frontend/answers/answer_parsing.h"
#include "frontend/answers/stop_strings.h"
#include "frontend/parsing/message.h"
#include "frontend/parsing/parser.h"
#include "frontend/requests/request_parsing.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {

// A prompt, shared by the n choices made of it.
struct Prompt {
  std::vector<int32_t> ids;
  std::string text;  // when it is echoed
  uint32_t cached_tokens = 0;
  std::shared_ptr<const AnswerParsing> parsing = nullptr;  // of a chat's answers
};

// What one output of the rank adds to a choice.
struct Delta {
  std::string text;                    // of a completion
  std::vector<parsing::Event> events;  // of a chat
  std::vector<int32_t> token_ids;
  std::vector<wire::TokenLogprob> logprobs;  // one a token, when asked for
};

enum class Finish { kNone, kStop, kLength };
const char* to_string(Finish finish);  // OpenAI's words

class Choice {
 public:
  Choice(const GenerationRequest& request, std::shared_ptr<Prompt> prompt, uint32_t index,
         std::shared_ptr<const text::Tokenizer> tokenizer);

  // Takes an output that is not an error. Once finished nothing more may come; the rank must be told if stopped_here().
  Delta take(wire::Output& output);

  uint32_t index() const { return index_; }
  Prompt& prompt() const { return *prompt_; }
  Finish finish() const { return finish_; }
  // OpenAI's word for the end; a chat that stopped with complete calls ended for them.
  const char* finish_reason() const;
  // Tokens that came while reasoning was open.
  uint64_t reasoning_tokens() const { return reasoning_tokens_; }
  bool stopped_here() const { return stopped_here_; }
  // Why it stopped: nothing (end of sequence), a stop string, or one of the request's stop_token_ids.
  const std::variant<std::monostate, std::string, int32_t>& stop_reason() const { return stop_reason_; }
  // All tokens so far: what a replay on another rank needs, with the request's prompt and sampling.
  const std::vector<int32_t>& token_ids() const { return token_ids_; }
  std::vector<wire::TokenLogprob>& prompt_logprobs() { return prompt_logprobs_; }

  Ticket ticket;
  // For whole answers.
  std::string text;
  parsing::Message message;
  std::vector<wire::TokenLogprob> logprobs;
  // For streams.
  bool opened = false;     // the first chunk is out
  size_t text_offset = 0;  // code points of all tokens so far

 private:
  void stop_at_token(int32_t id, Delta& delta);
  std::string decode(int32_t id);
  void add_text(std::string_view piece, Delta& delta);
  void end_text(Delta& delta);

  const GenerationRequest& request_;
  const std::shared_ptr<Prompt> prompt_;
  const uint32_t index_;
  const std::shared_ptr<const text::Tokenizer> tokenizer_;
  text::StreamDecoder decoder_;
  StopStrings stops_;
  std::unique_ptr<parsing::Parser> parser_;  // of a chat
  uint64_t reasoning_tokens_ = 0;
  std::vector<int32_t> token_ids_;
  std::vector<wire::TokenLogprob> prompt_logprobs_;
  Finish finish_ = Finish::kNone;
  bool stopped_here_ = false;
  std::variant<std::monostate, std::string, int32_t> stop_reason_;
};

}  // namespace switchyard::frontend
