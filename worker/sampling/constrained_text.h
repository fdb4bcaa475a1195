// The text of a sequence under a constraint: which tokens may come next, and when it is complete.
//
// Thread: one at a time. Bounds: a mask of a bit a token.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "common/structured/matcher.h"

namespace switchyard::worker {

class ConstrainedText {
 public:
  // `stop_token_ids` may be drawn where the text may end.
  ConstrainedText(std::shared_ptr<structured::Masks> masks, std::span<const int32_t> stop_token_ids);

  // A token of the text; not one that stops it. What does not fit gives a status that is not ok.
  void accept(int32_t token);
  // Computes the mask for the next token; mask() is valid until the next call.
  void prepare();
  std::span<const uint32_t> mask() const { return mask_; }

  // Nothing can follow.
  bool is_complete() const { return status_.ok() && matcher_.must_end(); }
  // kTooLarge: the grammar is too ambiguous; kInvalid: a token that does not fit, or no token of the vocabulary goes
  // on. Once it is not ok it stays so.
  const Status& status() const { return status_; }

 private:
  structured::Matcher matcher_;
  std::vector<int32_t> stop_token_ids_;
  std::vector<uint32_t> mask_;
  Status status_;
};

}  // namespace switchyard::worker
