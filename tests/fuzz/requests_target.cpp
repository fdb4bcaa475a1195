// Bodies of requests, through the API: each gets one answer, which is JSON or a stream of JSON and never a 500.
//
// Input: which model (a digit), method and path in a line, then the body. Ranks answer at once with the prompt's own
// tokens, so that what is generated is as odd as what was asked.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "common/base/log.h"
#include "common/base/result.h"
#include "frontend/api/api.h"
#include "tests/fuzz/target.h"

namespace switchyard::frontend {
namespace {

class EchoPool final : public RankPool {
 public:
  Result<Ticket> generate(wire::Generate request, Reactor&, OnOutput on_output) override {
    const uint64_t id = ++last_id_;
    // At most 64 tokens, in two outputs.
    const int count = std::min<int>({64, request.prompt_token_ids_size(), static_cast<int>(request.max_tokens())});
    const bool scored = request.sampling().logprobs();
    for (const bool last : {false, true}) {
      wire::Output output;
      const int from = last ? count / 2 : 0, to = last ? count : count / 2;
      for (int i = from; i < to; ++i) {
        output.add_token_ids(request.prompt_token_ids(i));
        if (scored) output.add_logprobs()->set_token_id(request.prompt_token_ids(i));
      }
      if (last) {
        output.set_finish(wire::FINISH_LENGTH);
        output.mutable_embedding()->Resize(4, 0.5F);
        if (request.sampling().prompt_logprobs())
          for (int i = 1; i < request.prompt_token_ids_size(); ++i)
            output.add_prompt_logprobs()->set_token_id(request.prompt_token_ids(i));
      }
      outputs_.emplace_back(id, on_output, std::move(output));
    }
    return Ticket{.id = id};
  }
  void end_all(const std::string&) override {}
  std::optional<WaitingRoom::Refusal> turn_away(int32_t, bool) override { return std::nullopt; }
  void cancel(uint64_t ticket) override {
    std::erase_if(outputs_, [&](const Waiting& waiting) { return waiting.id == ticket; });
  }
  Load load() const override { return {.live_ranks = 1}; }
  std::string why_not_ready() const override { return ""; }
  void stop() override {}

  bool deliver() {
    if (outputs_.empty()) return false;
    Waiting next = std::move(outputs_.front());
    outputs_.pop_front();
    next.on_output(next.output);
    return true;
  }

 private:
  struct Waiting {
    Waiting(uint64_t i, OnOutput f, wire::Output o) : id(i), on_output(std::move(f)), output(std::move(o)) {}
    uint64_t id;
    OnOutput on_output;
    wire::Output output;
  };
  uint64_t last_id_ = 0;
  std::deque<Waiting> outputs_;
};

// What is posted, from any thread, runs when the target says.
class Loop final : public Reactor {
 public:
  void post(std::function<void()> function) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
    changed_.notify_one();
  }
  // Waits for something if need be; false when nothing comes.
  bool run_one(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return !posted_.empty(); })) return false;
    const auto next = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    next();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> posted_;
};

// Takes one answer.
class Listener final : public Responder {
 public:
  explicit Listener(Loop& loop) : loop_(loop) {}
  void add_header(std::string name, std::string value) override {
    SWITCHYARD_CHECK((name + value).find_first_of("\r\n") == std::string::npos);
  }
  void respond(HttpResponse response) override {
    SWITCHYARD_CHECK(!complete && !streaming_);
    complete = true;
    SWITCHYARD_CHECK(response.status >= 200 && response.status < 600 && response.status != 500);
    if (response.content_type == "application/json") check_json(response.body);
  }
  void begin_stream(std::string) override {
    SWITCHYARD_CHECK(!complete && !streaming_);
    streaming_ = true;
  }
  void write(std::string_view data) override {
    SWITCHYARD_CHECK(streaming_ && !complete);
    // Whole events: "data: JSON", before it perhaps "event: NAME".
    while (!data.empty()) {
      const size_t end = data.find("\n\n");
      const size_t at = data.find("data: ");
      SWITCHYARD_CHECK(end != std::string_view::npos && at < end);
      const std::string_view event = data.substr(at + 6, end - at - 6);
      if (event != "[DONE]") check_json(event);
      data.remove_prefix(end + 2);
    }
  }
  void end_stream() override {
    SWITCHYARD_CHECK(streaming_ && !complete);
    complete = true;
  }
  void on_disconnect(std::function<void()> callback) override { on_disconnect_ = std::move(callback); }
  void post(std::function<void()> function) override { loop_.post(std::move(function)); }

  Reactor& reactor() const override { return loop_; }

  void leave() { on_disconnect_ = nullptr; }

  bool complete = false;

 private:
  static void check_json(std::string_view text) {
    boost::system::error_code error;
    boost::json::parse({text.data(), text.size()}, error);
    SWITCHYARD_CHECK(!error);
  }

  Loop& loop_;
  bool streaming_ = false;
  std::function<void()> on_disconnect_;  // holds a job that waits for its grammar
};

struct Server {
  Server(const char* model, const char* chat_template) {
    config::ModelConfig config;
    config.path = std::string(SWITCHYARD_TEST_DATA "/golden/") + model;
    config.served_model_name = "m";
    if (chat_template != nullptr)
      config.chat_template = std::string(SWITCHYARD_TEST_DATA "/text/chat_templates/") + chat_template;
    const auto loaded = ServedModel::load(config);
    SWITCHYARD_CHECK(loaded.ok());
    api = Api::make({}, *loaded);
    api->set_pool(&pool);
  }
  EchoPool pool;
  std::unique_ptr<Api> api;
};

Server& server(uint8_t choice) {
  static Server servers[] = {{"qwen3-moe-tiny", nullptr},
                             {"qwen3-moe-tiny", "Qwen-Qwen3-0.6B.jinja"},
                             {"gpt-oss-tiny", "openai-gpt-oss-120b.jinja"},
                             {"deepseek-v3-tiny", "deepseek-ai-DeepSeek-V3.2.jinja"},
                             {"glm4-moe-tiny", "GLM-4.6.jinja"},
                             {"llama3-tiny", "mistralai-Mistral-Nemo-Instruct-2407.jinja"}};
  return servers[choice % std::size(servers)];
}

}  // namespace
}  // namespace switchyard::frontend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  using namespace std::chrono_literals;
  static const bool quiet = (init_log("fuzz", LogLevel::kError, false), true);
  SWITCHYARD_CHECK(quiet);
  // Larger bodies go to a thread of their own.
  if (size > (64U << 10)) return 0;
  fuzz::Input input(data, size);
  frontend::Server& server = frontend::server(static_cast<uint8_t>(input.byte() - '0'));
  const std::string_view line = input.line();
  const size_t space = line.find(' ');
  frontend::HttpRequest request;
  request.method = line.substr(0, space);
  if (space != std::string_view::npos) request.path = line.substr(space + 1);
  request.request_id = "id";
  request.body = input.rest();

  frontend::Loop loop;
  const auto listener = std::make_shared<frontend::Listener>(loop);
  server.api->handle(std::move(request), listener);
  // Grammars are compiled on another thread: an answer may be a while in coming.
  while (loop.run_one(0ms) || server.pool.deliver() || (!listener->complete && loop.run_one(20s))) {
  }
  SWITCHYARD_CHECK(listener->complete);
  listener->leave();
  SWITCHYARD_CHECK(server.api->requests_running() == 0);
  return 0;
}
