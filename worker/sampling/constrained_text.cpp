#include "worker/sampling/constrained_text.h"

#include <algorithm>

namespace switchyard::worker {

ConstrainedText::ConstrainedText(std::shared_ptr<structured::Masks> masks, std::span<const int32_t> stop_token_ids)
    : matcher_(std::move(masks)), mask_(matcher_.masks().vocabulary().mask_words()) {
  const uint32_t size = matcher_.masks().vocabulary().size();
  for (const int32_t id : stop_token_ids)
    if (id >= 0 && static_cast<uint32_t>(id) < size) stop_token_ids_.push_back(id);
}

void ConstrainedText::accept(int32_t token) {
  if (status_.ok()) status_ = matcher_.accept(token);
}

void ConstrainedText::prepare() {
  if (!status_.ok()) return;
  status_ = matcher_.fill_mask(mask_);
  // A stop token that is a text as well ends the sequence all the same.
  for (const int32_t id : stop_token_ids_)
    matcher_.may_end() ? structured::set_bit(mask_, id) : structured::clear_bit(mask_, id);
  const bool none = std::all_of(mask_.begin(), mask_.end(), [](uint32_t word) { return word == 0; });
  if (status_.ok() && none)
    status_ =
        Error{Errc::kInvalid, "the text must go on, but no token of the vocabulary does what the constraint asks"};
}

}  // namespace switchyard::worker
