// A template's source to tokens, with trim_blocks and lstrip_blocks on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,   // text is the value
  kInteger,  // text without underscores, with its prefix
  kFloat,    // text without underscores
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  Position position;  // of its first character
};

// Throws TemplateError. The last token is kEnd. source must be valid UTF-8.
std::vector<Token> tokenize(std::string_view source);

}  // namespace switchyard::text::jinja
