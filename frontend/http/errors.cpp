#include "frontend/http/errors.h"

#include "frontend/http/json_writer.h"

namespace switchyard::frontend {
namespace {

constexpr int kAnthropicOverloaded = 529;

const char* anthropic_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

ApiError invalid_request(std::string message, std::string param, std::string code) {
  return {.status = 400, .message = std::move(message), .param = std::move(param), .code = std::move(code)};
}

ApiError unauthorized() {
  return {.status = 401,
          .message = "Incorrect or missing API key. Give one as 'Authorization: Bearer KEY'.",
          .param = {},
          .code = "invalid_api_key"};
}

ApiError unknown_path(const std::string& method, const std::string& path) {
  return {.status = 404, .message = "Unknown request URL: " + method + " " + path, .param = {}, .code = "unknown_url"};
}

ApiError method_not_allowed(const std::string& method, const std::string& path, const std::string& allowed) {
  return {.status = 405,
          .message = "Not allowed to " + method + " on " + path,
          .param = {},
          .code = "method_not_supported",
          .allow = allowed};
}

ApiError unknown_model(const std::string& model) {
  return {.status = 404,
          .message = "The model '" + model + "' does not exist.",
          .param = "model",
          .code = "model_not_found"};
}

ApiError body_too_large(uint64_t limit_bytes) {
  return {.status = 413,
          .message = "The request body is larger than " + std::to_string(limit_bytes) + " bytes.",
          .param = {},
          .code = "request_too_large"};
}

ApiError overloaded(std::string message) { return error_of_status(429, std::move(message)); }
ApiError unavailable(std::string message) { return error_of_status(503, std::move(message)); }
ApiError internal_error(std::string message) { return error_of_status(500, std::move(message)); }

ApiError error_of_status(int status, std::string message) {
  if (status < 400 || status > 599) status = 500;
  ApiError error{.status = status, .message = std::move(message), .param = {}, .code = {}};
  if (status == 429) {
    error.type = "rate_limit_error";
    error.code = "rate_limit_exceeded";
  } else if (status == 503) {
    error.type = "server_error";
    error.code = "service_unavailable";
  } else if (status >= 500) {
    error.type = "server_error";
    error.code = "internal_error";
  }
  return error;
}

ApiError error_of(const Error& error, std::string param) {
  const auto status = [&] {
    switch (error.code) {
      case Errc::kInvalid: return 400;
      case Errc::kNotFound: return 404;
      case Errc::kUnauthorized: return 401;
      case Errc::kTooLarge: return 413;
      case Errc::kOverloaded: return 429;
      case Errc::kUnavailable:
      case Errc::kTimeout:
      case Errc::kPeerLost: return 503;
      case Errc::kIo: return 500;
    }
    return 500;
  }();
  ApiError result = error_of_status(status, error.message);
  result.param = std::move(param);
  return result;
}

std::string error_body(const ApiError& error, ErrorForm form) {
  JsonWriter json;
  if (form == ErrorForm::kAnthropic) {
    json.begin_object().string("type", "error").key("error").begin_object();
    json.string("type", anthropic_type(error.status)).string("message", error.message).end_object().end_object();
    return json.take();
  }
  const auto text_or_null = [&](const char* name, const std::string& value) {
    json.key(name);
    value.empty() ? json.null() : json.string(value);
  };
  json.begin_object().key("error").begin_object();
  json.string("message", error.message).string("type", error.type);
  text_or_null("param", error.param);
  text_or_null("code", error.code);
  json.end_object().end_object();
  return json.take();
}

HttpResponse error_response(const ApiError& error, ErrorForm form) {
  HttpResponse response{.status = error.status, .body = error_body(error, form), .why_refused = error.message};
  if (form == ErrorForm::kAnthropic && error.status == 503) response.status = kAnthropicOverloaded;
  if (error.status == 429 || error.status == 503)
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (!error.allow.empty()) response.headers.emplace_back("Allow", error.allow);
  return response;
}

void respond_error(Responder& responder, const ApiError& error, ErrorForm form) {
  responder.respond(error_response(error, form));
}

}  // namespace switchyard::frontend
