// A grammar as a pushdown automaton over bytes: for each rule a deterministic automaton whose edges are byte ranges and
// calls of rules. What cannot lead to an end is cut off, so that whatever has been followed so far can be completed:
// that makes token masks exact.
//
// A state with more than one way on (a call beside bytes, or several calls) is the matcher's to follow in parallel.
//
// Thread: a compiled automaton is constant. Bounds: kStatesMax, kEdgesMax and kWorkMax.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

using State = uint32_t;

class Automaton {
 public:
  static constexpr size_t kStatesMax = 200000;
  static constexpr size_t kWorkMax = 5'000'000;  // nodes in state sets while it is built: some tenths of a second
  static constexpr size_t kEdgesMax = 4000000;

  struct ByteEdge {
    uint8_t first;
    uint8_t last;
    State target;
  };
  struct CallEdge {
    State callee;  // the called rule's start
    State target;  // where it returns to
  };

  // kTooLarge: over the bounds. kInvalid: a rule that begins with itself, so that it never gets to a byte; or a grammar
  // that matches no text, or no text but the empty one. The message names the rule.
  static Result<Automaton> compile(const Grammar& grammar);

  State start() const { return start_; }
  bool accepts(State state) const { return states_[state].accepts; }
  // By ascending byte, disjoint.
  std::span<const ByteEdge> bytes(State state) const {
    return {byte_edges_.data() + states_[state].bytes, byte_edges_.data() + states_[state + 1].bytes};
  }
  std::span<const CallEdge> calls(State state) const {
    return {call_edges_.data() + states_[state].calls, call_edges_.data() + states_[state + 1].calls};
  }
  // Accepts, and there is nothing else to do.
  bool only_accepts(State state) const { return accepts(state) && bytes(state).empty() && calls(state).empty(); }
  // Where every plain character (vocabulary.h) leads alike, by its bytes alone; none where they differ.
  std::optional<State> after_plain_character(State state) const;
  // Whether some byte of plain characters leads on.
  bool takes_plain_bytes(State state) const;
  size_t state_count() const { return states_.size() - 1; }
  // Bytes of one class are alike in every state.
  uint8_t byte_class(uint8_t byte) const { return class_of_[byte]; }
  uint32_t class_count() const { return class_count_; }
  size_t memory_bytes() const;

 private:
  struct StateEntry {
    uint32_t bytes = 0;  // where its edges begin; they end where the next state's begin
    uint32_t calls = 0;
    bool accepts = false;
  };
  friend class AutomatonCompiler;
  // Where all bytes of a range lead alike.
  std::optional<State> after(State state, uint8_t first, uint8_t last) const;

  std::vector<StateEntry> states_;  // and one more, the end
  std::vector<ByteEdge> byte_edges_;
  std::vector<CallEdge> call_edges_;
  State start_ = 0;
  std::array<uint8_t, 256> class_of_{};
  uint32_t class_count_ = 1;
};

}  // namespace switchyard::structured
