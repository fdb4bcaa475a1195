#include "frontend/parsing/parser.h"

#include "frontend/parsing/call_stage.h"
#include "frontend/parsing/harmony_stage.h"
#include "frontend/parsing/think_stage.h"

namespace switchyard::parsing {
namespace {

class TextStage final : public Stage {
 public:
  explicit TextStage(Output& output) : output_(output) {}
  void push(char c) override { output_.content({&c, 1}); }
  void finish() override {}

 private:
  Output& output_;
};

}  // namespace

bool begins_inside(const ReasoningFormat& format, std::string_view prompt) {
  if (format.open.empty()) return false;
  while (!prompt.empty() && is_space(prompt.back())) prompt.remove_suffix(1);
  return prompt.ends_with(format.open) || (format.begins_inside && !prompt.ends_with(format.close));
}

Parser::Parser(std::shared_ptr<const ParserOptions> options)
    : options_(std::move(options)), output_(options_->hidden, options_->one_call_only) {
  const ParserOptions& o = *options_;
  const bool written = o.call_mode == CallMode::kWritten && o.calls != nullptr;
  const bool harmony_calls = written && o.calls->grammar == nullptr;
  const bool harmony_reasoning = o.reasoning != nullptr && o.reasoning->open.empty();

  const CallGrammar* grammar = nullptr;
  if (written) grammar = o.calls->grammar;
  if (o.call_mode == CallMode::kRequired) grammar = &call_list_grammar();
  if (o.call_mode == CallMode::kNamed) grammar = &arguments_grammar();
  if (grammar == nullptr)
    stages_.push_back(std::make_unique<TextStage>(output_));
  else
    stages_.push_back(std::make_unique<CallStage>(*grammar, o.types, o.function, output_));

  const auto next = [&]() -> Stage& { return *stages_.back(); };
  if (harmony_calls || harmony_reasoning)
    stages_.push_back(std::make_unique<HarmonyStage>(harmony_reasoning, harmony_calls, output_, next()));
  if (o.reasoning != nullptr && !harmony_reasoning)
    stages_.push_back(std::make_unique<ThinkStage>(*o.reasoning, o.inside_reasoning, output_, next()));
}

Parser::~Parser() = default;

std::vector<Event> Parser::push(std::string_view text) {
  stages_.back()->push(text);
  return output_.take();
}

std::vector<Event> Parser::finish() {
  stages_.back()->finish();
  return output_.finish();
}

bool Parser::in_reasoning() const { return stages_.back()->in_reasoning(); }

}  // namespace switchyard::parsing
