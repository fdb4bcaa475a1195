#include "frontend/http/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <map>

#include "common/base/log.h"
#include "frontend/http/constraint_fields.h"
#include "frontend/http/embedding_job.h"
#include "frontend/http/errors.h"
#include "frontend/http/generation_job.h"
#include "frontend/http/json_writer.h"
#include "frontend/http/request_fields.h"
#include "frontend/http/request_id.h"
#include "frontend/http/request_parsing.h"
#include "frontend/page/page.h"

#ifndef SWITCHYARD_VERSION
#define SWITCHYARD_VERSION "unknown"
#endif

namespace switchyard::http {
namespace {

// Requests with larger bodies are parsed and tokenized on a thread of their own, so that streams do not stutter
// meanwhile (measured order: 64 KiB take some milliseconds).
constexpr size_t kLargeBodyBytes = 64U << 10;
constexpr uint32_t kLargeBodiesMax = 64;

// %XX as the byte it means: a model's name may have a slash, which clients escape.
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

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

class ApiImpl final : public Api {
 public:
  using Clock = std::chrono::steady_clock;

  ApiImpl(ApiOptions options, std::shared_ptr<const ServedModel> model)
      : keys_(std::move(options.api_keys), options.open_limits, options.concurrent_requests_max),
        model_(std::move(model)),
        metrics_(model_->facts().name),
        large_bodies_(1) {
    route("GET", "/health", false, [this](Call& call) { respond_empty(call); });
    route("GET", "/ready", false, [this](Call& call) { ready(call); });
    route("GET", "/version", false, [this](Call& call) { version(call); });
    route("GET", "/metrics", false, [this](Call& call) { metrics(call); });
    route("GET", "/v1/models", true, [this](Call& call) { models(call); });
    route("POST", "/v1/chat/completions", true, [this](Call& call) { generate(call, &ApiImpl::prepare_chat); });
    route("POST", "/v1/completions", true, [this](Call& call) { generate(call, &ApiImpl::prepare_completion); });
    route("POST", "/v1/embeddings", true, [this](Call& call) { embed(call); });
    route("POST", "/tokenize", true, [this](Call& call) { compute(call, &ApiImpl::tokenize); });
    route("POST", "/detokenize", true, [this](Call& call) { compute(call, &ApiImpl::detokenize); });
    for (const page::PageFile& file : page::page_files())
      route("GET", file.path, false, [&file](Call& call) { page_file(call, file); });
  }
  ~ApiImpl() override { large_bodies_.join(); }

  void set_pool(RankPool* pool) override { pool_ = pool; }
  void begin_drain() override { draining_ = true; }
  uint32_t requests_running() const override { return keys_.running(); }
  ApiKeys& keys() override { return keys_; }

  void answered(const std::string& path, int status) override {
    metrics_.http_answered(routes_.contains(path) ? path : "other", status);
  }

  void handle(HttpRequest request, const ResponderPtr& responder) override {
    Call call{.request = std::move(request), .responder = responder, .arrived = Clock::now()};
    const std::string& path = call.request.path;
    const auto found = routes_.find(path);
    if (found == routes_.end()) {
      if (path.starts_with("/v1/models/") && call.request.method == "GET") return one_model(call);
      return respond_error(*responder, unknown_path(call.request.method, path));
    }
    const Route& where = found->second;
    const bool head = call.request.method == "HEAD" && where.method == "GET";
    if (call.request.method != where.method && !head)
      return respond_error(*responder, method_not_allowed(call.request.method, path,
                                                          where.method == "GET" ? "GET, HEAD" : where.method));
    if (where.needs_key) {
      const auto key = keys_.find(call.request.authorization);
      if (!key) return respond_error(*responder, unauthorized());
      call.key = *key;
    }
    where.run(call);
  }

 private:
  struct Call {
    HttpRequest request;
    ResponderPtr responder;
    Clock::time_point arrived;
    size_t key = 0;  // in keys_, where the route needs one
  };
  struct Route {
    std::string method;
    bool needs_key = false;
    std::function<void(Call&)> run;
  };
  // What a body turns into, off the connection's strand if it is large. Const: touches nothing but the model.
  using Prepare = std::optional<ApiError> (ApiImpl::*)(const boost::json::object&, GenerationJob::Parts&) const;
  using Compute = std::optional<ApiError> (ApiImpl::*)(const boost::json::object&, std::string& answer) const;

  void route(const char* method, std::string_view path, bool needs_key, std::function<void(Call&)> run) {
    routes_[std::string(path)] = {method, needs_key, std::move(run)};
  }

  // --- what needs no body --------------------------------------------------------------------------------------------

  static void respond_empty(Call& call) { call.responder->respond({.status = 200, .body = "{}"}); }

  // Browsers ask each time whether it changed: a frontend that was replaced is met with its own page.
  static void page_file(Call& call, const page::PageFile& file) {
    const bool known = call.request.if_none_match.find(file.etag) != std::string::npos;
    call.responder->respond({.status = known ? 304 : 200,
                             .body = std::string(file.body),
                             .content_type = std::string(file.content_type),
                             .headers = {{"Cache-Control", "no-cache"},
                                         {"ETag", std::string(file.etag)},
                                         {"Content-Security-Policy", std::string(page::kContentSecurityPolicy)},
                                         {"X-Content-Type-Options", "nosniff"},
                                         {"Referrer-Policy", "no-referrer"}}});
  }

  std::string why_not_ready() const {
    if (draining_) return "The frontend is shutting down.";
    RankPool* pool = pool_;
    const std::string why = pool == nullptr ? "the frontend is starting." : pool->why_not_ready();
    return why.empty() ? "" : "Not ready: " + why;
  }

  void ready(Call& call) {
    const std::string why = why_not_ready();
    if (!why.empty()) {
      HttpResponse not_yet = error_response(unavailable(why));
      not_yet.why_refused.clear();  // whoever asks does so many times a second
      return call.responder->respond(std::move(not_yet));
    }
    call.responder->respond({.status = 200, .body = R"({"status":"ready"})"});
  }

  void version(Call& call) {
    JsonWriter json;
    json.begin_object().string("version", SWITCHYARD_VERSION).end_object();
    call.responder->respond({.status = 200, .body = json.take()});
  }

  void metrics(Call& call) {
    RankPool* pool = pool_;
    const RankPool::Load load = pool == nullptr ? RankPool::Load{} : pool->load();
    call.responder->respond(
        {.status = 200,
         .body = metrics_.text({static_cast<double>(load.running), static_cast<double>(load.waiting), load.kv_usage}),
         .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  }

  void write_model(JsonWriter& json) const {
    json.begin_object().string("id", model_->facts().name).string("object", "model");
    json.integer("created", model_->created()).string("owned_by", "switchyard");
    json.string("root", model_->facts().name).null("parent");
    json.integer("max_model_len", model_->facts().max_model_len).end_object();
  }

  void models(Call& call) {
    JsonWriter json;
    json.begin_object().string("object", "list").key("data").begin_array();
    write_model(json);
    json.end_array().end_object();
    call.responder->respond({.status = 200, .body = json.take()});
  }

  void one_model(Call& call) {
    if (!keys_.find(call.request.authorization)) return respond_error(*call.responder, unauthorized());
    const std::string name =
        unescape(std::string_view(call.request.path).substr(std::string_view("/v1/models/").size()));
    if (name != model_->facts().name) return respond_error(*call.responder, unknown_model(name));
    JsonWriter json;
    write_model(json);
    call.responder->respond({.status = 200, .body = json.take()});
  }

  // --- what has one --------------------------------------------------------------------------------------------------

  // Runs work() here, or for a large body on the other thread, and then done() where the responder may be used.
  void run_body(const ResponderPtr& responder, size_t body_bytes, std::function<std::function<void()>()> work) {
    if (body_bytes <= kLargeBodyBytes) return work()();
    if (large_waiting_.fetch_add(1) >= kLargeBodiesMax) {
      --large_waiting_;
      return respond_error(*responder, overloaded("Too many large requests are waiting to be tokenized."));
    }
    boost::asio::post(large_bodies_, [this, responder, work = std::move(work)] {
      responder->post(work());
      --large_waiting_;
    });
  }

  void compute(Call& call, Compute function) {
    auto body = std::make_shared<std::string>(std::move(call.request.body));
    run_body(call.responder, body->size(),
             [this, function, body, responder = call.responder]() -> std::function<void()> {
               boost::json::object object;
               std::string answer;
               std::optional<ApiError> error = parse_object(*body, object);
               if (!error) error = (this->*function)(object, answer);
               if (error) return [responder, error] { respond_error(*responder, *error); };
               return [responder, answer] { responder->respond({.status = 200, .body = answer}); };
             });
  }

  // A place for the call, or its refusal and null.
  AdmissionPtr admit(Call& call) {
    if (draining_) {
      respond_error(*call.responder, unavailable(why_not_ready()));
      return nullptr;
    }
    auto admitted = keys_.admit(call.key);
    if (const auto* refused = std::get_if<ApiError>(&admitted)) {
      respond_error(*call.responder, *refused);
      return nullptr;
    }
    auto admission = std::get<AdmissionPtr>(std::move(admitted));
    for (auto& [name, value] : admission->headers()) call.responder->add_header(std::move(name), std::move(value));
    return admission;
  }

  void embed(Call& call) {
    const auto admission = admit(call);
    if (!admission) return;
    auto body = std::make_shared<std::string>(std::move(call.request.body));
    run_body(call.responder, body->size(),
             [this, body, admission, responder = call.responder, id = call.request.request_id,
              arrived = call.arrived]() -> std::function<void()> {
               boost::json::object object;
               std::optional<ApiError> error = parse_object(*body, object);
               EmbeddingJob::Parts parts{model_, pool_, &metrics_, admission, arrived, id, {}};
               if (!error) error = parse_embedding(object, *model_, parts.request);
               if (!error && pool_ == nullptr) error = unavailable(why_not_ready());
               if (error) return [responder, error] { respond_error(*responder, *error); };
               auto job = std::make_shared<EmbeddingJob>(std::move(parts));
               return [responder, job] { job->start(responder); };
             });
  }

  void generate(Call& call, Prepare prepare) {
    const auto admission = admit(call);
    if (!admission) return;
    auto body = std::make_shared<std::string>(std::move(call.request.body));
    run_body(call.responder, body->size(),
             [this, prepare, body, admission, responder = call.responder, id = call.request.request_id,
              arrived = call.arrived]() -> std::function<void()> {
               boost::json::object object;
               std::optional<ApiError> error = parse_object(*body, object);
               GenerationJob::Parts parts;
               parts.model = model_;
               parts.pool = pool_;
               parts.metrics = &metrics_;
               parts.admission = admission;
               parts.arrived = arrived;
               parts.request_id = id;
               if (!error) error = (this->*prepare)(object, parts);
               if (!error && pool_ == nullptr) error = unavailable(why_not_ready());
               if (error) return [responder, error] { respond_error(*responder, *error); };
               auto job = std::make_shared<GenerationJob>(std::move(parts));
               return [responder, job] { job->start(responder); };
             });
  }

  AnswerHead head_of(const GenerationRequest& request, const char* prefix) const {
    AnswerHead head;
    head.id = prefix + random_id();
    head.created = unix_seconds();
    head.include_usage = request.include_usage;
    head.return_token_ids = request.return_token_ids;
    head.logprobs = request.sampling.logprobs();
    head.top_logprobs = request.sampling.top_logprobs();
    head.n = request.n;
    return head;
  }

  // vLLM's order of checks: the model's name and the fields first, then the length.
  std::optional<ApiError> prepare_chat(const boost::json::object& body, GenerationJob::Parts& parts) const {
    auto request = std::make_shared<ChatRequest>();
    if (auto error = parse_chat(body, model_->facts(), *request)) return error;
    const auto text = model_->chat_text(*request);
    if (!text.ok()) return error_of(text.error(), "messages");
    auto ids = model_->tokenizer()->encode(*text, false);
    if (auto error = add_prompt(*request, "messages", std::move(ids), "", parts)) return error;
    parts.prompts.back()->parsing = parsing_of_chat(model_->parsing(), *request, *text);
    // The form that is asked for is that of the answer, behind the reasoning that the prompt has opened.
    const parsing::ParserOptions& reading = *parts.prompts.back()->parsing->options;
    if (reading.inside_reasoning) begin_after(reading.reasoning->close, request->sampling);
    AnswerHead head = head_of(*request, "chatcmpl-");
    head.include_reasoning = request->include_reasoning;
    parts.format = make_chat_format(std::move(head), model_);
    request->messages = request->tools = nullptr;
    parts.request = std::move(request);
    return std::nullopt;
  }

  std::optional<ApiError> prepare_completion(const boost::json::object& body, GenerationJob::Parts& parts) const {
    auto request = std::make_shared<CompletionRequest>();
    if (auto error = parse_completion(body, model_->facts(), *request)) return error;
    const auto tokenizer = model_->tokenizer();
    for (auto& prompt : request->prompts) {
      std::vector<int32_t> ids;
      std::string text;
      if (auto* given = std::get_if<std::string>(&prompt)) {
        if (!model_->facts().has_tokenizer) return invalid_request(kNoTokenizer, "prompt");
        ids = tokenizer->encode(*given, request->add_special_tokens);
        if (request->echo) text = std::move(*given);
      } else {
        ids = std::move(std::get<std::vector<int32_t>>(prompt));
        if (request->echo) text = tokenizer->decode(ids, false);
      }
      if (auto error = add_prompt(*request, "prompt", std::move(ids), std::move(text), parts)) return error;
    }
    AnswerHead head = head_of(*request, "cmpl-");
    head.echo = request->echo;
    parts.format = make_completion_format(std::move(head), model_);
    request->prompts.clear();
    parts.request = std::move(request);
    return std::nullopt;
  }

  std::optional<ApiError> add_prompt(const GenerationRequest& request, const char* field, std::vector<int32_t> ids,
                                     std::string text, GenerationJob::Parts& parts) const {
    uint32_t max_tokens = 0;
    if (auto error = resolve_max_tokens(request, model_->facts(), ids.size(), field, max_tokens)) return error;
    parts.prompts.push_back(std::make_shared<Prompt>(Prompt{.ids = std::move(ids), .text = std::move(text)}));
    parts.max_tokens.push_back(max_tokens);
    return std::nullopt;
  }

  std::optional<ApiError> check_model(RequestFields& fields) const {
    const auto name = fields.string("model");
    if (name && *name != model_->facts().name) return unknown_model(*name);
    return fields.error();
  }

  std::optional<ApiError> tokenize(const boost::json::object& body, std::string& answer) const {
    RequestFields fields(body);
    if (auto error = check_model(fields)) return error;
    std::vector<int32_t> ids;
    if (fields.find("messages") != nullptr) {
      ChatRequest chat;
      if (auto error = parse_chat_prompt(body, chat)) return error;
      const bool add_special = fields.boolean("add_special_tokens").value_or(false);
      if (!fields.ok()) return fields.error();
      const auto text = model_->chat_text(chat);
      if (!text.ok()) return error_of(text.error(), "messages");
      ids = model_->tokenizer()->encode(*text, add_special);
    } else {
      const auto prompt = fields.string("prompt");
      const bool add_special = fields.boolean("add_special_tokens").value_or(true);
      if (!fields.ok()) return fields.error();
      if (!prompt)
        return invalid_request("Missing required parameter: 'prompt' or 'messages'.", "prompt",
                               "missing_required_parameter");
      if (!model_->facts().has_tokenizer) return invalid_request(kNoTokenizer, "prompt");
      ids = model_->tokenizer()->encode(*prompt, add_special);
    }
    JsonWriter json;
    json.begin_object().key("tokens").begin_array();
    for (const int32_t id : ids) json.integer(id);
    json.end_array().integer("count", static_cast<int64_t>(ids.size()));
    json.integer("max_model_len", model_->facts().max_model_len).end_object();
    answer = json.take();
    return std::nullopt;
  }

  std::optional<ApiError> detokenize(const boost::json::object& body, std::string& answer) const {
    RequestFields fields(body);
    if (auto error = check_model(fields)) return error;
    if (fields.find("tokens") == nullptr)
      return invalid_request("Missing required parameter: 'tokens'.", "tokens", "missing_required_parameter");
    const std::vector<int32_t> ids = fields.token_ids("tokens", model_->facts().vocab_size);
    if (!fields.ok()) return fields.error();
    JsonWriter json;
    json.begin_object().string("prompt", model_->tokenizer()->decode(ids, false)).end_object();
    answer = json.take();
    return std::nullopt;
  }

  ApiKeys keys_;
  const std::shared_ptr<const ServedModel> model_;
  Metrics metrics_;
  std::map<std::string, Route> routes_;  // constant once built
  std::atomic<RankPool*> pool_{nullptr};
  std::atomic<bool> draining_{false};
  std::atomic<uint32_t> large_waiting_{0};
  boost::asio::thread_pool large_bodies_;
};

}  // namespace

std::unique_ptr<Api> Api::make(ApiOptions options, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<ApiImpl>(std::move(options), std::move(model));
}

}  // namespace switchyard::http
