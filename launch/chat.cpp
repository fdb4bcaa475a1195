#include "launch/chat.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <iostream>

#include "launch/http_client.h"

namespace switchyard::launch {
namespace {

namespace json = boost::json;

volatile sig_atomic_t interrupted = 0;

void on_interrupt(int) { interrupted = 1; }

// What a model says must not move the terminal's cursor or set its title: control characters but newline and tab are
// dropped.
std::string printable(std::string_view text, bool is_terminal) {
  if (!is_terminal) return std::string(text);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t') out += c;
  }
  return out;
}

// The error's words of an OpenAI error body, or the body.
std::string error_text(const HttpAnswer& answer) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(answer.body, ec);
  if (!ec) {
    const json::value* message = parsed.find_pointer("/error/message", ec);
    if (message != nullptr && message->is_string())
      return fmt::format("{}: {}", answer.status, message->as_string().c_str());
  }
  return fmt::format("{}: {}", answer.status, answer.body);
}

class Chat {
 public:
  Chat(const ChatOptions& options, Url url)
      : options_(options), url_(std::move(url)), terminal_(isatty(STDOUT_FILENO) == 1) {
    clear();
  }

  Status find_model() {
    model_ = options_.model;
    if (!model_.empty()) return {};
    HttpRequest request;
    request.target = "/v1/models";
    request.bearer = options_.api_key;
    SWITCHYARD_ASSIGN(const HttpAnswer answer, http_request(url_, request));
    if (answer.status != 200) return Error{Errc::kUnavailable, error_text(answer)};
    boost::system::error_code ec;
    const json::value parsed = json::parse(answer.body, ec);
    const json::value* id = ec ? nullptr : parsed.find_pointer("/data/0/id", ec);
    if (id == nullptr || !id->is_string()) return Error{Errc::kInvalid, "/v1/models names no model"};
    model_ = id->as_string().c_str();
    return {};
  }

  void clear() {
    messages_.clear();
    if (!options_.system.empty()) messages_.push_back(json::object{{"role", "system"}, {"content", options_.system}});
  }

  const std::string& model() const { return model_; }

  // Asks, prints the answer as it comes, and remembers both.
  Status ask(const std::string& question) {
    messages_.push_back(json::object{{"role", "user"}, {"content", question}});
    json::object body;
    body["model"] = model_;
    body["messages"] = messages_;
    body["stream"] = true;
    if (options_.max_tokens != 0) body["max_tokens"] = options_.max_tokens;
    if (options_.temperature) body["temperature"] = *options_.temperature;
    HttpRequest request;
    request.method = "POST";
    request.target = "/v1/chat/completions";
    request.body = json::serialize(body);
    request.bearer = options_.api_key;
    request.deadline = std::chrono::minutes(10);  // between two tokens

    std::string said;
    std::string stream_error;
    bool dim = false;
    interrupted = 0;
    const auto answer = http_events(
        url_, request,
        [&](std::string_view data) {
          if (data == "[DONE]") return false;
          boost::system::error_code ec;
          const json::value chunk = json::parse(data, ec);
          if (ec) return true;
          if (const json::value* error = chunk.find_pointer("/error/message", ec);
              error != nullptr && error->is_string()) {
            stream_error = error->as_string().c_str();
            return false;
          }
          const auto print = [&](const char* pointer, bool is_thought) {
            boost::system::error_code missing;
            const json::value* piece = chunk.find_pointer(pointer, missing);
            if (piece == nullptr || !piece->is_string() || piece->as_string().empty()) return;
            if (terminal_ && is_thought != dim) std::fputs(is_thought ? "\033[2m" : "\033[0m\n", stdout);
            dim = is_thought;
            const std::string_view text(piece->as_string().data(), piece->as_string().size());
            if (!is_thought) said += text;
            if (!is_thought || terminal_) std::fputs(printable(text, terminal_).c_str(), stdout);
            std::fflush(stdout);
          };
          print("/choices/0/delta/reasoning_content", true);
          print("/choices/0/delta/content", false);
          return true;
        },
        [] { return interrupted != 0; });
    if (terminal_ && dim) std::fputs("\033[0m", stdout);
    std::puts("");
    std::fflush(stdout);
    const bool was_stopped = !answer.ok() && interrupted != 0;
    Status status;
    if (!answer.ok() && !was_stopped) status = answer.error();
    if (answer.ok() && answer->status != 200) status = Error{Errc::kUnavailable, error_text(*answer)};
    if (!stream_error.empty()) status = Error{Errc::kUnavailable, stream_error};
    if (!status.ok()) {
      messages_.pop_back();  // a question without an answer would spoil the next one's template
      return status;
    }
    messages_.push_back(json::object{{"role", "assistant"}, {"content", said}});
    return {};
  }

 private:
  const ChatOptions& options_;
  Url url_;
  bool terminal_;
  std::string model_;
  json::array messages_;
};

}  // namespace

Status run_chat(const ChatOptions& options) {
  SWITCHYARD_ASSIGN(const Url url, parse_url(options.url, options.trust));
  // Without SA_RESTART: a line being waited for ends as well.
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  Chat chat(options, url);
  SWITCHYARD_TRY(chat.find_model());
  if (options.prompt) return chat.ask(*options.prompt);

  const bool is_terminal = isatty(STDIN_FILENO) == 1;
  if (is_terminal)
    fmt::print("{} at {}; /clear starts anew, /exit or Ctrl-D ends\n", chat.model(),
               url_text(url.host, url.port, url.tls != nullptr));
  for (std::string line;;) {
    interrupted = 0;
    if (is_terminal) {
      std::fputs("> ", stdout);
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line) || line == "/exit") break;
    if (line.empty()) continue;
    if (line == "/clear") {
      chat.clear();
      continue;
    }
    if (auto status = chat.ask(line); !status.ok()) {
      if (!is_terminal) return status;
      fmt::print(stderr, "{}\n", status.error().message);
    }
  }
  if (is_terminal) std::puts("");
  return {};
}

}  // namespace switchyard::launch
