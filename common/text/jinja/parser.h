// Tokens to a Template, by the grammar of Jinja 3.1 with loop controls and the generation block. Inheritance, imports
// and includes are refused.
#pragma once

#include <memory>
#include <string_view>

#include "common/text/jinja/ast.h"

namespace switchyard::text::jinja {

// Throws TemplateError with the position. source must be valid UTF-8.
std::unique_ptr<Template> parse_template(std::string_view source);

}  // namespace switchyard::text::jinja
