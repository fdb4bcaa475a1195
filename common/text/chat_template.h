// A model's chat template: messages to the text that the model was trained on, as transformers renders it.
//
// Jinja 3.1 in transformers' sandbox (trim_blocks, lstrip_blocks, loop controls, generation blocks, raise_exception,
// strftime_now, its tojson, and from_json). Inheritance, imports and includes are refused when the template is parsed.
//
// Thread: a ChatTemplate is constant; render() may be called from many threads at once. Blocks: no.
// Bounds: jinja::Limits (steps, text on the way, what is held, output, depth); beyond them an error, and no input makes
// it hang.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace switchyard::text {

namespace jinja {
struct Template;
}

class ChatTemplate {
 public:
  // Fails with kInvalid: "chat template, line 12, column 3: ...".
  static Result<std::shared_ptr<const ChatTemplate>> parse(std::string_view source);
  ~ChatTemplate();

  // The template sees messages, tools (null is none), documents (none), add_generation_prompt (false unless in kwargs)
  // and every key of kwargs, among them bos_token and eos_token where the model has them. now is the wall clock of
  // strftime_now().
  // Fails with kInvalid: the message of raise_exception() word for word, else "chat template, line 12, column 3: ...".
  Result<std::string> render(const boost::json::value& messages, const boost::json::value& tools,
                             const boost::json::object& kwargs, std::chrono::sys_seconds now = local_now()) const;

  // The local wall clock, as if it were UTC.
  static std::chrono::sys_seconds local_now();

 private:
  explicit ChatTemplate(std::unique_ptr<const jinja::Template> program);
  std::unique_ptr<const jinja::Template> program_;
};

}  // namespace switchyard::text
