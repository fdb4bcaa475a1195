// The model as the API knows it: names, limits, defaults, tokenizer and chat template. Loaded once; constant, any
// thread.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "common/text/tokenizer.h"
#include "frontend/answers/answer_parsing.h"
#include "frontend/requests/request_parsing.h"

namespace switchyard::frontend {

// What prompts that are text are refused with when the model has no tokenizer.
inline constexpr const char* kNoTokenizer =
    "This model has no tokenizer.json; give the prompt as token ids to /v1/completions.";

class ServedModel {
 public:
  // Reads config.json, generation_config.json, tokenizer and template; blocks. Errors name the file. A model without a
  // chat template is served, and its chat endpoint refuses; so is a directory without tokenizer.json, and prompts that
  // are text are refused.
  // frontend: names the parsers of its answers.
  static Result<std::shared_ptr<const ServedModel>> load(const config::ModelConfig& config,
                                                         const config::FrontendConfig& frontend = {});
  virtual ~ServedModel() = default;

  virtual const ModelFacts& facts() const = 0;
  // One without tokens when the model has none.
  virtual std::shared_ptr<const text::Tokenizer> tokenizer() const = 0;
  // A chat as a prompt, or why the template refuses it (kInvalid). The messages take the form that the template reads.
  virtual Result<std::string> chat_text(ChatRequest& chat) const = 0;
  virtual const ModelParsing& parsing() const = 0;
  // Seconds since 1970 when it was loaded: "created" of /v1/models.
  virtual int64_t created() const = 0;

  // One token as text, special or not; broken UTF-8 as U+FFFD. "token_id:N" without a tokenizer.
  std::string token_string(int32_t id) const;
};

}  // namespace switchyard::frontend
