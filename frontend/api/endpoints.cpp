#include "frontend/api/endpoints.h"

namespace switchyard::frontend {
namespace {

// %XX as the byte it means.
std::string unescape(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      result += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The pattern up to its {...}, or all of it.
std::string_view fixed_part(std::string_view pattern) { return pattern.substr(0, pattern.find('{')); }

bool matches(std::string_view pattern, std::string_view path) {
  const std::string_view fixed = fixed_part(pattern);
  return fixed.size() == pattern.size() ? path == pattern : path.starts_with(fixed);
}

}  // namespace

Endpoints::Match Endpoints::find(std::string_view method, std::string_view path) const {
  Match match;
  for (const Endpoint& endpoint : endpoints_) {
    if (!matches(endpoint.pattern, path)) continue;
    const bool get = endpoint.method == "GET";
    // An exact path comes before a pattern, whatever their order: patterns only fill gaps.
    if (method == endpoint.method || (get && method == "HEAD")) {
      if (match.endpoint == nullptr || endpoint.pattern == path) match.endpoint = &endpoint;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += get ? "GET, HEAD" : endpoint.method;
    match.errors = endpoint.errors;
  }
  if (match.endpoint != nullptr) {
    match.argument = unescape(path.substr(std::min(path.size(), fixed_part(match.endpoint->pattern).size())));
    match.errors = match.endpoint->errors;
  }
  return match;
}

std::string Endpoints::label(std::string_view path) const {
  const Endpoint* found = nullptr;
  for (const Endpoint& endpoint : endpoints_)
    if (matches(endpoint.pattern, path) && (found == nullptr || endpoint.pattern == path)) found = &endpoint;
  return found == nullptr ? "other" : found->pattern;
}

}  // namespace switchyard::frontend
