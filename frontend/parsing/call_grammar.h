// How a format writes calls, as data: a few states, each of which reads one thing and says what comes next. CallStage
// runs it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace switchyard::parsing {

// What it means that an edge is taken; "captured" is what its state has read before the edge's literal.
enum class CallAction : uint8_t {
  kNone,
  kName,     // captured is the function's name: the call begins
  kKey,      // captured is a parameter's name, its type is the tool's affair
  kTextKey,  // the same, and the value is a string
  kJsonKey,  // the same, and the value is JSON
  kValue,    // captured is the parameter's value
  kEnd,      // the call's arguments are complete
};

struct CallEdge {
  std::string_view literal;  // empty in kLiteral: any other byte, which the next state reads
  uint8_t next = 0;
  CallAction action = CallAction::kNone;
  bool again = false;  // the next state reads the literal once more
};

struct CallState {
  enum class Kind : uint8_t {
    kLiteral,    // white space, then the literal of one of the edges; none may begin another
    kName,       // anything, up to a literal; bounded
    kValue,      // anything, up to a literal
    kArguments,  // white space, then the arguments as a JSON object; edge 0 follows
    kObject,     // the call as a JSON object (CallObject); edge 0 follows
  };
  Kind kind = Kind::kLiteral;
  std::vector<CallEdge> edges;
};

struct CallGrammar {
  // Where a call, or a list of them, opens in the text, and the state that follows. None: the text is nothing but
  // calls, from states[0] on.
  struct Opening {
    std::string_view literal;
    uint8_t next = 0;
  };
  static constexpr uint8_t kOutside = 255;  // as a next: back to text

  std::vector<Opening> openings;
  std::vector<CallState> states;
  bool untyped_is_text = false;  // a parameter whose type the tool does not tell is a string, whatever it looks like
  bool value_has_own_lines = false;  // one newline at each end of a value belongs to the markers
};

}  // namespace switchyard::parsing
