#include "launch/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/config/schema.h"
#include "common/net/net.h"

namespace switchyard::launch {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string taken(const char* variable) {
  char* text = std::getenv(variable);
  if (text == nullptr) return "";
  const std::string value(trimmed(text));
  std::fill(text, text + std::strlen(text), 'x');  // unsetenv() alone leaves it in /proc/PID/environ
  unsetenv(variable);
  return value;
}

bool is_key_flag(std::string_view flag) {
  const auto schema = config::keys();
  return flag == "--api-key" || std::any_of(schema.begin(), schema.end(),
                                            [&](const config::Key& key) { return key.secret && key.flag == flag; });
}

Status check_length(const std::string& where, size_t bytes) {
  if (bytes >= kSecretBytesMin) return {};
  return Error{Errc::kInvalid, fmt::format("{}: a secret of {} bytes can be guessed; at least {}, as `openssl rand "
                                           "-hex 32` makes",
                                           where, bytes, kSecretBytesMin)};
}

}  // namespace

Result<std::string> take_environment(config::ClusterConfig& config) {
  const std::string keys = taken(kApiKeyVariable);
  if (config.frontend.api_keys.empty()) {
    for (std::string_view rest = keys; !rest.empty();) {
      const auto comma = rest.find(',');
      if (const auto key = trimmed(rest.substr(0, comma)); !key.empty()) config.frontend.api_keys.emplace_back(key);
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
    if (!keys.empty() && config.frontend.api_keys.empty())
      return Error{Errc::kInvalid, fmt::format("{}: has commas and no key", kApiKeyVariable)};
  }
  const std::string admin = taken(kAdminKeyVariable);
  if (config.coordinator.admin_api_key.empty() && config.coordinator.admin_api_key_file.empty())
    config.coordinator.admin_api_key = admin;
  std::string secret = taken(kSecretVariable);
  if (!config.secret_file.empty()) return std::string();
  if (!secret.empty()) SWITCHYARD_TRY(check_length(kSecretVariable, secret.size()));
  return secret;
}

Status read_key_files(config::ClusterConfig& config) {
  std::string problems;
  const auto problem = [&](const std::string& key, const Error& error) {
    problems += fmt::format("{}{}: {}", problems.empty() ? "" : "\n", key, error.message);
  };
  auto& c = config.coordinator;
  if (!c.admin_api_key_file.empty()) {
    if (auto key = net::load_secret(c.admin_api_key_file); key.ok()) {
      c.admin_api_key = std::move(key).value();
      c.admin_api_key_file.clear();
    } else {
      problem("coordinator.admin_api_key_file", key.error());
    }
  }
  if (!config.secret_file.empty()) {
    const auto secret = net::load_secret(config.secret_file);
    Status good = secret.ok() ? check_length(config.secret_file, secret->size()) : Status(secret.error());
    if (!good.ok()) problem("secret_file", good.error());
  }
  if (problems.empty()) return {};
  return Error{Errc::kInvalid, problems};
}

std::vector<std::string> take_arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  bool is_key = false;
  for (int i = 1; i < argc; ++i) {
    char* argument = argv[i];
    arguments.emplace_back(argument);
    char* value = is_key ? argument : std::strchr(argument, '=');
    if (!is_key && value != nullptr && is_key_flag({argument, static_cast<size_t>(value - argument)})) {
      ++value;
    } else if (!is_key) {
      value = nullptr;
    }
    if (value != nullptr) std::fill(value, value + std::strlen(value), 'x');
    is_key = !is_key && is_key_flag(arguments.back());
  }
  return arguments;
}

}  // namespace switchyard::launch
