#include "common/structured/configurations.h"

#include <algorithm>

namespace switchyard::structured {
namespace {

uint64_t pair_key(uint32_t high, uint32_t low) { return (uint64_t{high} << 32) | low; }

}  // namespace

size_t Configurations::ItemsHash::operator()(const std::pair<std::vector<Item>, bool>& key) const {
  uint64_t hash = key.second ? 1 : 0;
  for (const Item& item : key.first) {
    hash = (hash ^ pair_key(item.state, item.stack)) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

Configurations::Configurations(const Automaton& automaton, const Vocabulary& vocabulary)
    : automaton_(automaton), vocabulary_(vocabulary), stacks_{{0, kBottom, std::nullopt}} {
  begin_closure();
  end_closure();  // kDead
  begin_closure();
  close_over(automaton.start(), kBottom);
  start_ = end_closure();
}

Configurations::Stack Configurations::push(State state, Stack below) {
  if (automaton_.only_accepts(state)) return below;  // a call in last place returns to whoever called this rule
  const auto [found, added] = stack_ids_.emplace(pair_key(state, below), static_cast<Stack>(stacks_.size()));
  if (added) {
    stacks_.push_back({state, below, std::nullopt});
    account(sizeof(StackCell) + 48);
  }
  return found->second;
}

void Configurations::begin_closure() {
  items_.clear();
  seen_.clear();
  ends_ = false;
}

// Adds what can be read next in `state` on top of `stack`: through ends of rules and calls, which take no byte. Ends
// because a rule cannot begin with itself (automaton.h).
void Configurations::close_over(State state, Stack stack) {
  pending_.push_back({state, stack});
  while (!pending_.empty()) {
    const Item item = pending_.back();
    pending_.pop_back();
    if (!seen_.emplace(pair_key(item.state, item.stack), true).second) continue;
    if (seen_.size() > kItemsMax) {
      too_many_items_ = true;
      pending_.clear();
      return;
    }
    if (!automaton_.bytes(item.state).empty()) items_.push_back(item);
    for (const auto& call : automaton_.calls(item.state))
      pending_.push_back({call.callee, push(call.target, item.stack)});
    if (!automaton_.accepts(item.state)) continue;
    if (item.stack == kBottom) {
      ends_ = true;
    } else {
      pending_.push_back({stacks_[item.stack].state, stacks_[item.stack].below});
    }
  }
}

Configuration Configurations::end_closure() {
  std::sort(items_.begin(), items_.end());
  const auto [found, added] =
      ids_.emplace(std::pair(items_, ends_), static_cast<Configuration>(configurations_.size()));
  if (added) {
    Entry entry;
    entry.items = items_;
    entry.ends = ends_;
    configurations_.push_back(std::move(entry));
    account(sizeof(Entry) + 2 * items_.size() * sizeof(Item) + 96);
  }
  return found->second;
}

Configuration Configurations::step(Configuration from, uint8_t byte) {
  const size_t index = automaton_.byte_class(byte);
  {
    Entry& entry = configurations_[from];
    if (entry.next.empty()) {
      if (entry.items.empty()) return kDead;
      entry.next.assign(automaton_.class_count(), kUnknown);
      account(entry.next.size() * sizeof(Configuration));
    }
    if (entry.next[index] != kUnknown) return entry.next[index];
  }
  begin_closure();
  const size_t count = configurations_[from].items.size();
  for (size_t i = 0; i < count; ++i) {
    const Item item = configurations_[from].items[i];
    ++steps_;
    for (const auto& edge : automaton_.bytes(item.state)) {
      if (byte < edge.first) break;
      if (byte <= edge.last) close_over(edge.target, item.stack);
    }
  }
  steps_ += seen_.size();
  if (too_many_items_) return kDead;
  const Configuration to = end_closure();
  configurations_[from].next[index] = to;
  return to;
}

Configuration Configurations::popped(Stack stack) {
  if (!stacks_[stack].popped) {
    begin_closure();
    close_over(stacks_[stack].state, stacks_[stack].below);
    steps_ += seen_.size();
    if (too_many_items_) return kDead;
    const Configuration configuration = end_closure();
    stacks_[stack].popped = configuration;
  }
  return *stacks_[stack].popped;
}

uint32_t Configurations::plain_run(State state) const {
  uint32_t run = 0;
  for (; run < Vocabulary::kPlainCharactersMax; ++run) {
    const std::optional<State> next = automaton_.after_plain_character(state);
    if (!next || automaton_.accepts(*next) || !automaton_.calls(*next).empty()) break;
    state = *next;
  }
  if (run == Vocabulary::kPlainCharactersMax) return run;
  return automaton_.takes_plain_bytes(state) ? 0 : run;
}

template <typename Visit>
void Configurations::walk(const Trie& trie, uint32_t node, Configuration from, Visit visit) {
  const auto nodes = trie.nodes();
  const uint32_t end = nodes[node].end;
  const uint32_t depth = nodes[node].depth;
  std::vector<Configuration> path{from};  // by depth below the node
  for (uint32_t at = node + 1; at < end;) {
    ++nodes_;
    const uint32_t level = nodes[at].depth - depth;
    const Configuration next = step(path[level - 1], nodes[at].byte);
    if (next == kDead) {
      at = nodes[at].end;
      continue;
    }
    if (path.size() == level) path.push_back(next);
    path[level] = next;
    visit(at, next);
    ++at;
    if (over_costs()) return;
  }
}

const Configurations::Base& Configurations::base(State state) {
  auto& kept = bases_[state];
  if (kept) return *kept;
  begin_closure();
  items_.push_back({state, kBottom});
  const Configuration alone = end_closure();
  kept = std::make_unique<Base>();
  std::vector<uint32_t> mask(vocabulary_.mask_words());
  const uint32_t run = plain_run(state);
  const Trie& trie = run > 0 ? vocabulary_.not_plain() : vocabulary_.all();
  kept->trie = &trie;
  if (run > 0) {
    const auto plain = vocabulary_.plain(run);
    std::copy(plain.begin(), plain.end(), mask.begin());
  }
  const auto nodes = trie.nodes();
  walk(trie, 0, alone, [&](uint32_t node, Configuration at) {
    for (const int32_t id : trie.ids_at(node)) set_bit(mask, id);
    if (configurations_[at].ends && nodes[node].end > node + 1) kept->exits.push_back(node);
  });
  kept->inside = TokenSet::of(mask);
  account(kept->inside.memory_bytes() + kept->exits.size() * sizeof(uint32_t) + 128);
  return *kept;
}

Status Configurations::check_costs() {
  const bool failed = over_costs();
  nodes_ = steps_ = 0;
  too_many_items_ = false;
  if (!failed) return {};
  return Error{Errc::kTooLarge, "the grammar is too ambiguous: too many ways to read what was generated"};
}

Result<Configuration> Configurations::advance(Configuration from, std::string_view bytes) {
  for (const char byte : bytes) from = step(from, static_cast<uint8_t>(byte));
  SWITCHYARD_TRY(check_costs());
  return from;
}

Status Configurations::fill_mask(Configuration at, MaskView mask) {
  std::fill(mask.begin(), mask.end(), 0U);
  if (configurations_[at].mask) {
    configurations_[at].mask->add_to(mask);
    return {};
  }
  const std::vector<Item> items = configurations_[at].items;
  for (const Item& item : items) {
    const Base& own = base(item.state);
    if (over_costs()) {
      bases_.erase(item.state);
      break;
    }
    own.inside.add_to(mask);
    if (item.stack == kBottom || own.exits.empty()) continue;
    const Configuration after = popped(item.stack);
    if (configurations_[after].items.empty()) continue;
    for (const uint32_t exit : own.exits) {
      walk(*own.trie, exit, after, [&](uint32_t node, Configuration) {
        for (const int32_t id : own.trie->ids_at(node)) set_bit(mask, id);
      });
    }
  }
  SWITCHYARD_TRY(check_costs());
  TokenSet set = TokenSet::of(mask);
  account(set.memory_bytes());
  configurations_[at].mask = std::move(set);
  return {};
}

Configuration Configurations::import(const Configurations& from, Configuration configuration) {
  const Entry& entry = from.configurations_[configuration];
  std::vector<Item> items;
  for (const Item& item : entry.items) {
    std::vector<State> states;  // from the top down
    for (Stack stack = item.stack; stack != kBottom; stack = from.stacks_[stack].below)
      states.push_back(from.stacks_[stack].state);
    Stack stack = kBottom;
    for (auto state = states.rbegin(); state != states.rend(); ++state) stack = push(*state, stack);
    items.push_back({item.state, stack});
  }
  begin_closure();
  items_ = std::move(items);
  ends_ = entry.ends;
  return end_closure();
}

}  // namespace switchyard::structured
