#include "frontend/answers/blocks.h"

#include <string_view>

#include "frontend/http/request_id.h"

namespace switchyard::frontend {

std::vector<BlockStep> Blocks::add(const Choice& choice, const Delta& delta) {
  waiting_.insert(waiting_.end(), delta.logprobs.begin(), delta.logprobs.end());
  std::vector<BlockStep> steps;
  for (const parsing::Event& event : delta.events) add_event(choice, event, steps);
  // They are those of the text, if there was any; else of what is not scored: reasoning and calls.
  if (!steps.empty()) waiting_.clear();
  return steps;
}

std::vector<BlockStep> Blocks::finish() {
  std::vector<BlockStep> steps;
  end(steps);
  return steps;
}

void Blocks::add_event(const Choice& choice, const parsing::Event& event, std::vector<BlockStep>& steps) {
  using Kind = parsing::Event::Kind;
  switch (event.kind) {
    case Kind::kContent: return text(Block::Kind::kText, event.text, steps);
    case Kind::kReasoning: return text(Block::Kind::kReasoning, event.text, steps);
    case Kind::kCallBegin:
      return begin({.kind = Block::Kind::kCall,
                    .id = {},
                    .text = {},
                    .name = event.text,
                    .call_id = new_call_id(*choice.prompt().parsing->options)},
                   steps);
    case Kind::kArguments: return piece(event.text, steps);
    case Kind::kCallEnd: return end(steps);
    case Kind::kCallBroken: break;
  }
  if (use_ == For::kStream) {
    blocks_.back().broken = true;
    end(steps);
    return text(Block::Kind::kText, std::string_view(event.text).substr(event.text.size() - event.unsent), steps);
  }
  blocks_.pop_back();
  open_ = !blocks_.empty() && blocks_.back().kind == Block::Kind::kText;  // which goes on
  text(Block::Kind::kText, event.text, steps);
}

void Blocks::begin(Block block, std::vector<BlockStep>& steps) {
  end(steps);
  block.id = random_id();
  blocks_.push_back(std::move(block));
  open_ = true;
  steps.push_back({.what = BlockStep::What::kBegin, .index = blocks_.size() - 1});
}

void Blocks::end(std::vector<BlockStep>& steps) {
  if (open_) steps.push_back({.what = BlockStep::What::kEnd, .index = blocks_.size() - 1});
  open_ = false;
}

void Blocks::piece(std::string_view text, std::vector<BlockStep>& steps) {
  if (text.empty()) return;
  Block& block = blocks_.back();
  block.text += text;
  BlockStep step{.what = BlockStep::What::kPiece, .index = blocks_.size() - 1, .piece = std::string(text)};
  if (block.kind == Block::Kind::kText) {
    block.logprobs.insert(block.logprobs.end(), waiting_.begin(), waiting_.end());
    step.logprobs = std::move(waiting_);
    waiting_.clear();
  }
  steps.push_back(std::move(step));
}

void Blocks::text(Block::Kind kind, std::string_view text, std::vector<BlockStep>& steps) {
  if (text.empty()) return;
  if (!open_ || blocks_.back().kind != kind)
    begin({.kind = kind, .id = {}, .text = {}, .name = {}, .call_id = {}}, steps);
  piece(text, steps);
}

Ending ending_of(const Choice& choice, const Blocks& blocks) {
  if (choice.finish() == Finish::kLength) return Ending::kLength;
  for (const Block& block : blocks.list())
    if (block.kind == Block::Kind::kCall && !block.broken) return Ending::kCalls;
  return std::holds_alternative<std::string>(choice.stop_reason()) ? Ending::kStopString : Ending::kDone;
}

}  // namespace switchyard::frontend
