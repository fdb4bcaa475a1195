// Where a text stands in an automaton, and what it may go on with: the memo that makes masks cheap.
//
// A *configuration* is the set of all stacks that an automaton may be in after some bytes: pairs of a state and a stack
// of states to return to. Configurations and stacks are kept once each (hash-consed), and so are the steps between
// configurations, so that the pushdown automaton turns into a deterministic one while it is used, as far as it is used.
//
// A mask is computed from parts. What a state allows within its own rule depends on nothing else: the *base* of a state
// holds those tokens, and the places in the vocabulary's trie where the rule's end is reached. Only from those places
// on does the stack matter, and the trie below them is walked with it. (The split is that of Dong et al.: "XGrammar:
// Flexible and Efficient Structured Generation Engine", 2024, section 3.1; there the second kind is checked token by
// token.) Where a state takes plain text of any kind, as inside of a JSON string, the plain tokens need no walk at all.
//
// Thread: one at a time. Bounds: memory_bytes() is for the owner to look at: it grows with every new configuration.
// kTooLarge where a text has more than kItemsMax stacks, or one mask costs more than kStepsMax or kNodesMax.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "common/structured/automaton.h"
#include "common/structured/token_set.h"
#include "common/structured/vocabulary.h"

namespace switchyard::structured {

using Configuration = uint32_t;

class Configurations {
 public:
  static constexpr size_t kItemsMax = 2048;
  static constexpr uint64_t kStepsMax = 4'000'000;   // edges followed that no memo held
  static constexpr uint64_t kNodesMax = 64'000'000;  // of the trie

  // The configuration that nothing leads on from.
  static constexpr Configuration kDead = 0;

  // Both must outlive it.
  Configurations(const Automaton& automaton, const Vocabulary& vocabulary);

  Configuration start() const { return start_; }
  // kDead when the bytes do not fit.
  Result<Configuration> advance(Configuration from, std::string_view bytes);
  // The text so far is one of the grammar.
  bool may_end(Configuration at) const { return configurations_[at].ends; }
  // Some byte may follow.
  bool may_go_on(Configuration at) const { return !configurations_[at].items.empty(); }
  // Sets the bits of the tokens that some text of the grammar goes on with; clears the others.
  Status fill_mask(Configuration at, MaskView mask);

  // The same configuration of another memo of the same automaton.
  Configuration import(const Configurations& from, Configuration configuration);
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  using Stack = uint32_t;
  static constexpr Stack kBottom = 0;
  struct StackCell {
    State state;  // where to go on when the called rule ends
    Stack below;
    std::optional<Configuration> popped;  // what follows when it has
  };
  struct Item {
    State state;
    Stack stack;
    bool operator==(const Item&) const = default;
    auto operator<=>(const Item&) const = default;
  };
  struct Entry {
    std::vector<Item> items;          // sorted; states that have edges of bytes
    bool ends = false;                // the bottom of the stack was reached
    std::vector<Configuration> next;  // by byte class, once a step was asked for; kUnknown: not computed
    std::optional<TokenSet> mask;
  };
  struct Base {
    TokenSet inside;
    const Trie* trie = nullptr;
    std::vector<uint32_t> exits;  // nodes of that trie that have more below them
  };
  struct ItemsHash {
    size_t operator()(const std::pair<std::vector<Item>, bool>& key) const;
  };
  static constexpr Configuration kUnknown = UINT32_MAX;

  Stack push(State state, Stack below);
  bool over_costs() const { return nodes_ > kNodesMax || steps_ > kStepsMax || too_many_items_; }
  // The end of a call: whether it cost too much. What it could not finish is not in the memo.
  Status check_costs();
  Configuration step(Configuration from, uint8_t byte);
  void begin_closure();
  void close_over(State state, Stack stack);
  Configuration end_closure();
  Configuration popped(Stack stack);
  const Base& base(State state);
  // Of plain characters that `state` takes one after the other, all alike and within its rule, as many as
  // Vocabulary::kPlainCharactersMax; and none more than these. 0 where that is not so.
  uint32_t plain_run(State state) const;
  // Walks the trie below `node` and calls visit(node, configuration) for all that fits.
  template <typename Visit>
  void walk(const Trie& trie, uint32_t node, Configuration from, Visit visit);
  void account(size_t bytes) { memory_bytes_ += bytes; }

  const Automaton& automaton_;
  const Vocabulary& vocabulary_;
  std::vector<StackCell> stacks_;
  std::unordered_map<uint64_t, Stack> stack_ids_;
  std::vector<Entry> configurations_;
  std::unordered_map<std::pair<std::vector<Item>, bool>, Configuration, ItemsHash> ids_;
  std::unordered_map<State, std::unique_ptr<Base>> bases_;
  Configuration start_ = kDead;
  size_t memory_bytes_ = 0;
  uint64_t steps_ = 0;  // of the call under way
  uint64_t nodes_ = 0;
  bool too_many_items_ = false;

  // Of the closure under way.
  std::vector<Item> items_;
  std::vector<Item> pending_;
  std::unordered_map<uint64_t, bool> seen_;
  bool ends_ = false;
};

}  // namespace switchyard::structured
