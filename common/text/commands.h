// `switchyard tokenize` and `switchyard template`: JSON Lines in, JSON Lines out.
//
// Thread: the caller's. Blocks: on the streams. Memory: one line at a time.
#pragma once

#include <iosfwd>
#include <string>

namespace switchyard::text {

struct TokenizeOptions {
  std::string tokenizer;  // directory or tokenizer.json
  // {"ids"} to {"decoded","decoded_clean"}, or with "skip_special_tokens" to {"pieces","flush"}: what a stream gives
  // after each id and at the end. Else {"text"} to {"ids","ids_special"}.
  bool decode = false;
};

struct TemplateOptions {
  std::string chat_template;  // file; empty: each line has its {"template": source}
  std::string now;            // YYYY-MM-DD at midnight; empty: the line's "now", else the clock
};

// One line out for each line in that is not empty; a line that cannot be served gives {"error": ...}.
// Returns the exit status: 0; 1 where options are wrong (the cause is on errors) or a line was not JSON of the right
// shape.
int run_tokenize(std::istream& in, std::ostream& out, std::ostream& errors, const TokenizeOptions& options);
// {"messages","tools","kwargs"} to {"rendered"} or {"error"}. An error of the template is an answer: status 0.
int run_template(std::istream& in, std::ostream& out, std::ostream& errors, const TemplateOptions& options);

}  // namespace switchyard::text
