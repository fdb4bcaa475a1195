// A chat's answer as blocks in the order in which the model wrote them: what messages and responses are made of.
//
// Thread: one at a time.
#pragma once

#include <string>
#include <vector>

#include "common/wire/switchyard.pb.h"
#include "frontend/answers/generation.h"
#include "frontend/parsing/event.h"

namespace switchyard::frontend {

struct Block {
  enum class Kind { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string id;                                 // random
  std::string text;                               // of a call: its arguments
  std::string name;                               // of a call: the function
  std::string call_id;                            // of a call: in the form that the model's template accepts
  bool broken = false;                            // a call that is none after all, though a stream has begun it
  std::vector<wire::TokenLogprob> logprobs = {};  // of a text
};

// What happens to a block of a stream.
struct BlockStep {
  enum class What { kBegin, kPiece, kEnd };
  What what = What::kBegin;
  size_t index = 0;  // in blocks()
  std::string piece = {};
  std::vector<wire::TokenLogprob> logprobs = {};  // of a text's piece
};

class Blocks {
 public:
  enum class For { kWhole, kStream };  // where a call has broken: what parsing/message.h says of both
  explicit Blocks(For use) : use_(use) {}

  std::vector<BlockStep> add(const Choice& choice, const Delta& delta);
  // The last block's end.
  std::vector<BlockStep> finish();
  const std::vector<Block>& list() const { return blocks_; }

 private:
  void add_event(const Choice& choice, const parsing::Event& event, std::vector<BlockStep>& steps);
  void begin(Block block, std::vector<BlockStep>& steps);
  void end(std::vector<BlockStep>& steps);
  void piece(std::string_view text, std::vector<BlockStep>& steps);
  void text(Block::Kind kind, std::string_view text, std::vector<BlockStep>& steps);

  const For use_;
  std::vector<Block> blocks_;
  bool open_ = false;                        // the last one
  std::vector<wire::TokenLogprob> waiting_;  // of tokens whose text has not come yet
};

// Why a choice has ended, as these dialects tell it: a call that the answer had to be is one as well.
enum class Ending { kDone, kLength, kStopString, kCalls };
Ending ending_of(const Choice& choice, const Blocks& blocks);

}  // namespace switchyard::frontend
