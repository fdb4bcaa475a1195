// One rule of a grammar as a deterministic automaton over bytes and calls: Thompson's construction, then the subset
// construction (Aho, Lam, Sethi, Ullman: Compilers, section 3.7).
//
// Thread: any, on data of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

struct RuleState {
  struct ByteEdge {
    uint8_t first;
    uint8_t last;
    uint32_t target;
  };
  struct CallEdge {
    Rule rule;
    uint32_t target;
  };
  std::vector<ByteEdge> bytes;  // by ascending byte, disjoint
  std::vector<CallEdge> calls;  // at most one a rule
  bool accepts = false;
};

// Which rules are copied into their callers: those marked so that are small and not recursive.
std::vector<bool> inlined_rules(const Grammar& grammar);

// State 0 is the start. kTooLarge: more states, on the way too, than `states_max` allows, or more work: `work` is what
// may still be done, in nodes of state sets, and is taken from. (Few nodes have many sets: ((a*)*)* of some depth.)
Result<std::vector<RuleState>> build_rule(const Grammar& grammar, Rule rule, const std::vector<bool>& inlined,
                                          size_t states_max, size_t& work);

}  // namespace switchyard::structured
