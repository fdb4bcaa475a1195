// The ways in which a stage of decoding can look at tokens.
//
// Thread: one at a time.
#pragma once

#include <utility>

#include "common/text/decoder.h"

namespace switchyard::text {

// A flow that is a value: State has push() and finish(), and is copied where the flow is.
template <typename State>
class ValueFlow : public DecoderStage::Flow {
 public:
  explicit ValueFlow(State state) : state_(std::move(state)) {}
  std::unique_ptr<Flow> clone() const override { return std::make_unique<ValueFlow>(*this); }
  void push(TokenPart part, TokenParts& out) override { state_.push(std::move(part), out); }
  void finish(TokenParts& out) override { state_.finish(out); }
  void settle(TokenParts& out) override {
    if constexpr (requires { state_.settle(out); }) state_.settle(out);
  }

 private:
  State state_;
};

template <typename State>
std::unique_ptr<DecoderStage::Flow> make_flow(State state) {
  return std::make_unique<ValueFlow<State>>(std::move(state));
}

// Gathers the parts of a token and gives it whole to State::token(std::string, TokenParts&). A stage before it that
// joins all tokens makes this hold the whole text.
template <typename State>
class WholeTokens {
 public:
  void push(TokenPart part, TokenParts& out) {
    if (gathered_.empty()) {
      gathered_ = std::move(part.text);
    } else {
      gathered_ += part.text;
    }
    if (part.ends) static_cast<State*>(this)->token(std::exchange(gathered_, {}), out);
  }
  void finish(TokenParts&) {}

 private:
  std::string gathered_;
};

}  // namespace switchyard::text
