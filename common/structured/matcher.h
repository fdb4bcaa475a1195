// Follows one sequence through a grammar, and says which tokens may come next: exactly those after which some text of
// the grammar remains possible, whatever rules or characters a token begins and ends in.
//
// A Masks is shared by all sequences of one grammar and vocabulary, and remembers what it has computed
// (configurations.h), up to about kMemoryMax bytes; then it forgets everything and begins again, which costs time
// alone.
//
// Thread: a Masks takes calls from many threads, one after the other; a Matcher one at a time. Does not block, but on
// that. Time: a mask that was asked for before is copied; a new one takes some 10 us, and 1 to 3 ms where a state is
// met for the first time that allows most of a vocabulary of 128k tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "common/base/result.h"
#include "common/structured/automaton.h"
#include "common/structured/configurations.h"
#include "common/structured/vocabulary.h"

namespace switchyard::structured {

class Masks {
 public:
  static constexpr size_t kMemoryMax = size_t{48} << 20;

  Masks(Automaton automaton, std::shared_ptr<const Vocabulary> vocabulary, size_t memory_max = kMemoryMax);

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  size_t memory_bytes() const;

 private:
  friend class Matcher;
  // The memo to use, and a configuration of `from` in it.
  void renew(std::shared_ptr<Configurations>& from, Configuration& at);

  const Automaton automaton_;
  const std::shared_ptr<const Vocabulary> vocabulary_;
  const size_t memory_max_;
  mutable std::mutex mutex_;  // guards every Configurations made here
  std::shared_ptr<Configurations> current_;
};

// A copy is a place to come back to.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Masks> masks);

  // The tokens that may come next, of vocabulary().mask_words() words. Not those that end a sequence: see may_end().
  // kTooLarge: the grammar is too ambiguous to go on with.
  Status fill_mask(MaskView mask);
  // kInvalid for a token that may not come next; nothing has changed then.
  Status accept(int32_t token);

  // What was accepted is a text of the grammar: the sequence may end here.
  bool may_end() const { return may_end_; }
  // And it must: nothing can follow.
  bool must_end() const { return may_end_ && !may_go_on_; }
  const Masks& masks() const { return *masks_; }

 private:
  void look();

  std::shared_ptr<Masks> masks_;
  std::shared_ptr<Configurations> memo_;
  Configuration at_ = Configurations::kDead;
  bool may_end_ = false;
  bool may_go_on_ = false;
};

}  // namespace switchyard::structured
