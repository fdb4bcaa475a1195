// The fields of a request that say what form its answer must have: OpenAI's response_format and tool_choice, vLLM's
// structured_outputs and its older guided_* names. At most one of them may ask for something.
//
// Thread: any. Nothing here looks into a constraint's text: the request's `check` says what is still to be done.
#pragma once

#include <string_view>

#include "common/wire/switchyard.pb.h"
#include "frontend/parsing/formats.h"
#include "frontend/requests/request_fields.h"
#include "frontend/requests/request_parsing.h"

namespace switchyard::frontend {

// All of them but tool_choice, into sampling.constraint and check.
void read_constraint(RequestFields& fields, const ModelFacts& model, GenerationRequest& request);

// tool_choice "required": a JSON array of {"name","parameters"} of its tools, as vLLM; a named function: its arguments
// as a JSON object. Other values are not looked at. After read_constraint().
void read_tool_choice(RequestFields& fields, const ModelFacts& model, ChatRequest& request);

// The constraint, if there is one, is about the answer behind the model's reasoning, which the prompt has opened, or
// closed, or left to the model. prompt: as rendered.
void begin_behind_reasoning(const parsing::ReasoningFormat& format, std::string_view prompt, wire::Sampling& sampling);

}  // namespace switchyard::frontend
