// What a client is told when its request fails: an error body in the form of the endpoint's dialect, and the HTTP
// status.
//
//   {"error":{"message":"...","type":"invalid_request_error","param":"temperature","code":"invalid_type"}}
//   {"type":"error","error":{"type":"invalid_request_error","message":"..."}}
//
// Forms: platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors.
#pragma once

#include <string>

#include "common/base/result.h"
#include "frontend/http/http.h"

namespace switchyard::frontend {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;                 // the field at fault; "" = null
  std::string code;                  // "" = null
  std::string allow = {};            // 405: the methods that the path knows
  uint32_t retry_after_seconds = 1;  // 429 and 503
};

ApiError invalid_request(std::string message, std::string param = {}, std::string code = {});
ApiError unauthorized();
ApiError unknown_path(const std::string& method, const std::string& path);
ApiError method_not_allowed(const std::string& method, const std::string& path, const std::string& allowed);
ApiError unknown_model(const std::string& model);
ApiError body_too_large(uint64_t limit_bytes);
ApiError overloaded(std::string message);
ApiError unavailable(std::string message);
ApiError internal_error(std::string message);

// The error that a rank's HTTP status stands for; statuses outside 400..599 mean 500.
ApiError error_of_status(int status, std::string message);
// The error that a Result's code stands for.
ApiError error_of(const Error& error, std::string param = {});

std::string error_body(const ApiError& error, ErrorForm form = ErrorForm::kOpenAi);
// The answer; with Retry-After where coming again helps. Anthropic's status of an overloaded service is 529, not 503.
HttpResponse error_response(const ApiError& error, ErrorForm form = ErrorForm::kOpenAi);
void respond_error(Responder& responder, const ApiError& error, ErrorForm form = ErrorForm::kOpenAi);

}  // namespace switchyard::frontend
