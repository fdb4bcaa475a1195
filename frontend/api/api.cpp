#include "frontend/api/api.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <limits>
#include <variant>

#include "frontend/api/constraint_checker.h"
#include "frontend/api/embedding_job.h"
#include "frontend/api/endpoints.h"
#include "frontend/api/generation_job.h"
#include "frontend/api/openapi.h"
#include "frontend/api/preparation.h"
#include "frontend/http/errors.h"
#include "frontend/http/json_writer.h"
#include "frontend/page/page.h"
#include "frontend/requests/request_fields.h"
#include "frontend/requests/response_store.h"
#include "frontend/requests/responses_request.h"

#ifndef SWITCHYARD_VERSION
#define SWITCHYARD_VERSION "unknown"
#endif

namespace switchyard::frontend {
namespace {

// Requests with larger bodies are parsed and tokenized on a thread of their own, so that streams do not stutter
// meanwhile (measured order: 64 KiB take some milliseconds).
constexpr size_t kLargeBodyBytes = 64U << 10;
constexpr uint32_t kLargeBodiesMax = 64;

class ApiImpl final : public Api {
 public:
  using Clock = std::chrono::steady_clock;

  ApiImpl(ApiOptions options, std::shared_ptr<const ServedModel> model)
      : keys_(std::move(options.api_keys), options.open_limits, options.concurrent_requests_max),
        model_(std::move(model)),
        metrics_(model_->facts().name),
        refusals_(std::move(options.refusals)),
        responses_(std::make_shared<ResponseStore>(options.stored_responses_bytes_max)),
        preparation_(model_, responses_),
        large_bodies_(1) {
    get("/health", false, &ApiImpl::respond_empty);
    get("/ready", false, &ApiImpl::ready);
    get("/version", false, &ApiImpl::version);
    get("/metrics", false, &ApiImpl::metrics);
    get("/openapi.json", false, &ApiImpl::openapi);
    get("/v1/models", true, &ApiImpl::models);
    get("/v1/models/{model}", true, &ApiImpl::one_model);
    generation("/v1/chat/completions", &Preparation::chat);
    generation("/v1/completions", &Preparation::completion);
    generation("/v1/responses", &Preparation::responses);
    get("/v1/responses/{response_id}", true, &ApiImpl::stored_response);
    route("DELETE", "/v1/responses/{response_id}", true, [this](Call& call) { delete_response(call); });
    generation("/v1/messages", &Preparation::messages, ErrorForm::kAnthropic);
    computation("/v1/messages/count_tokens", &Preparation::count_tokens, ErrorForm::kAnthropic);
    route("POST", "/v1/embeddings", true, [this](Call& call) { embed(call); });
    computation("/tokenize", &Preparation::tokenize);
    computation("/detokenize", &Preparation::detokenize);
    for (const page::PageFile& file : page::page_files())
      route("GET", file.path, false, [&file](Call& call) { page_file(call, file); });
  }
  ~ApiImpl() override { large_bodies_.join(); }

  void set_pool(RankPool* pool) override { pool_ = pool; }
  void begin_drain() override { draining_ = true; }
  uint32_t requests_running() const override { return keys_.running(); }
  ApiKeys& keys() override { return keys_; }

  void answered(const std::string& path, int status) override {
    metrics_.http_answered(endpoints_.label(path), status);
  }

  ErrorForm error_form(const std::string& path) const override { return endpoints_.find({}, path).errors; }

  std::vector<std::string> endpoints() const override {
    std::vector<std::string> list;
    for (const Endpoint& endpoint : endpoints_.all()) list.push_back(endpoint.method + " " + endpoint.pattern);
    return list;
  }

  void handle(HttpRequest request, const ResponderPtr& responder) override {
    Call call{.request = std::move(request), .responder = responder, .arrived = Clock::now()};
    const std::string& path = call.request.path;
    Endpoints::Match match = endpoints_.find(call.request.method, path);
    call.errors = match.errors;
    if (match.endpoint == nullptr) {
      return refuse(call, match.allowed.empty() ? unknown_path(call.request.method, path)
                                                : method_not_allowed(call.request.method, path, match.allowed));
    }
    if (match.endpoint->needs_key) {
      const auto key = key_of(call);
      if (!key) return refuse(call, unauthorized());
      call.key = *key;
    }
    call.argument = std::move(match.argument);
    match.endpoint->run(call);
  }

 private:
  void route(const char* method, std::string_view path, bool needs_key, std::function<void(Call&)> run,
             ErrorForm errors = ErrorForm::kOpenAi) {
    endpoints_.add({method, std::string(path), needs_key, std::move(run), errors});
  }
  void get(const char* path, bool needs_key, void (ApiImpl::*run)(Call&)) {
    route("GET", path, needs_key, [this, run](Call& call) { (this->*run)(call); });
  }
  void generation(const char* path, Preparation::Generation prepare, ErrorForm errors = ErrorForm::kOpenAi) {
    route(
        "POST", path, true, [this, prepare](Call& call) { generate(call, prepare); }, errors);
  }
  void computation(const char* path, Preparation::Computation function, ErrorForm errors = ErrorForm::kOpenAi) {
    route(
        "POST", path, true, [this, function](Call& call) { compute(call, function); }, errors);
  }

  static void refuse(Call& call, const ApiError& error) { respond_error(*call.responder, error, call.errors); }
  static void respond_json(Call& call, std::string body) {
    call.responder->respond({.status = 200, .body = std::move(body)});
  }

  // Anthropic's clients send their key in a header of its own.
  std::optional<size_t> key_of(const Call& call) const {
    if (call.errors == ErrorForm::kAnthropic && !call.request.api_key.empty())
      return keys_.find("Bearer " + call.request.api_key);
    return keys_.find(call.request.authorization);
  }

  // --- what needs no body --------------------------------------------------------------------------------------------

  void respond_empty(Call& call) { respond_json(call, "{}"); }

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
    respond_json(call, R"({"status":"ready"})");
  }

  void version(Call& call) {
    JsonWriter json;
    json.begin_object().string("version", SWITCHYARD_VERSION).end_object();
    respond_json(call, json.take());
  }

  void metrics(Call& call) {
    RankPool* pool = pool_;
    const RankPool::Load load = pool == nullptr ? RankPool::Load{} : pool->load();
    call.responder->respond(
        {.status = 200,
         .body = metrics_.text({static_cast<double>(load.running), static_cast<double>(load.waiting), load.kv_usage,
                                static_cast<double>(load.replays),
                                refusals_ ? refusals_->counts() : net::Refusals::Counts{}}),
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
    respond_json(call, json.take());
  }

  void one_model(Call& call) {
    if (call.argument != model_->facts().name) return refuse(call, unknown_model(call.argument));
    JsonWriter json;
    write_model(json);
    respond_json(call, json.take());
  }

  void openapi(Call& call) { respond_json(call, std::string(kOpenApi)); }

  void stored_response(Call& call) {
    const auto stored = responses_->find(call.argument, call.key);
    stored == nullptr ? refuse(call, unknown_response(call.argument)) : respond_json(call, stored->body);
  }

  void delete_response(Call& call) {
    if (!responses_->erase(call.argument, call.key)) return refuse(call, unknown_response(call.argument));
    JsonWriter json;
    json.begin_object().string("id", call.argument).string("object", "response").boolean("deleted", true).end_object();
    respond_json(call, json.take());
  }

  // --- what has one --------------------------------------------------------------------------------------------------

  // Parses the body here, or if it is large on the other thread, and lets `prepare` make of it what is done where the
  // responder may be used, or an error.
  using Done = std::function<void(const ResponderPtr&)>;
  using Prepare = std::function<std::variant<Done, ApiError>(const boost::json::object& body)>;
  void with_body(Call& call, Prepare prepare) {
    const size_t bytes = call.request.body.size();
    const auto work = [body = std::make_shared<std::string>(std::move(call.request.body)), prepare = std::move(prepare),
                       errors = call.errors]() -> Done {
      boost::json::object object;
      std::variant<Done, ApiError> result = Done();
      if (auto error = parse_object(*body, object))
        result = std::move(*error);
      else
        result = prepare(object);
      if (auto* done = std::get_if<Done>(&result)) return std::move(*done);
      return [error = std::get<ApiError>(std::move(result)), errors](const ResponderPtr& responder) {
        respond_error(*responder, error, errors);
      };
    };
    const ResponderPtr& responder = call.responder;
    if (bytes <= kLargeBodyBytes) return work()(responder);
    if (large_waiting_.fetch_add(1) >= kLargeBodiesMax) {
      --large_waiting_;
      return refuse(call, overloaded("Too many large requests are waiting to be tokenized."));
    }
    boost::asio::post(large_bodies_, [this, responder, work] {
      responder->post([responder, done = work()] { done(responder); });
      --large_waiting_;
    });
  }

  void compute(Call& call, Preparation::Computation function) {
    with_body(call, [this, function](const boost::json::object& body) -> std::variant<Done, ApiError> {
      std::string answer;
      if (auto error = (preparation_.*function)(body, answer)) return *error;
      return [answer](const ResponderPtr& responder) { responder->respond({.status = 200, .body = answer}); };
    });
  }

  // A place for the call, or its refusal and null.
  AdmissionPtr admit(Call& call) {
    if (draining_) {
      refuse(call, unavailable(why_not_ready()));
      return nullptr;
    }
    auto admitted = keys_.admit(call.key);
    if (const auto* refused = std::get_if<ApiError>(&admitted)) {
      refuse(call, *refused);
      return nullptr;
    }
    auto admission = std::get<AdmissionPtr>(std::move(admitted));
    for (auto& [name, value] : admission->headers()) call.responder->add_header(std::move(name), std::move(value));
    return admission;
  }

  // Before it costs more than its parsing. What is wrong with the priority is said by those who read the rest.
  std::optional<ApiError> turn_away(const boost::json::object& body, const Admission& admission, bool comes_again) {
    RankPool* pool = pool_;
    if (pool == nullptr) return unavailable(why_not_ready());
    std::optional<int32_t> asked;
    if (const auto* given = body.if_contains("priority"); given != nullptr && given->is_int64()) {
      asked = static_cast<int32_t>(std::clamp(given->get_int64(), int64_t{std::numeric_limits<int32_t>::min()},
                                              int64_t{std::numeric_limits<int32_t>::max()}));
    }
    const auto refusal = pool->turn_away(admission.priority(asked), comes_again);
    if (!refusal) return std::nullopt;
    ApiError error = overloaded(
        "The service is overloaded: the request would wait too long. Please retry after the time in Retry-After.");
    error.retry_after_seconds = refusal->retry_after_seconds;
    return error;
  }

  void embed(Call& call) {
    const auto admission = admit(call);
    if (!admission) return;
    with_body(call,
              [this, admission, id = call.request.request_id, arrived = call.arrived,
               again = call.request.comes_again](const boost::json::object& body) -> std::variant<Done, ApiError> {
                if (auto error = turn_away(body, *admission, again)) return *error;
                EmbeddingJob::Parts parts{model_, pool_, &metrics_, admission, arrived, id, {}};
                if (auto error = parse_embedding(body, *model_, parts.request)) return *error;
                return [job = std::make_shared<EmbeddingJob>(std::move(parts))](const ResponderPtr& responder) {
                  job->start(responder);
                };
              });
  }

  void generate(Call& call, Preparation::Generation prepare) {
    const auto admission = admit(call);
    if (!admission) return;
    with_body(call,
              [this, prepare, admission, key = call.key, id = call.request.request_id, arrived = call.arrived,
               again = call.request.comes_again](const boost::json::object& body) -> std::variant<Done, ApiError> {
                if (auto error = turn_away(body, *admission, again)) return *error;
                GenerationJob::Parts parts;
                parts.model = model_;
                parts.pool = pool_;
                parts.metrics = &metrics_;
                parts.admission = admission;
                parts.arrived = arrived;
                parts.request_id = id;
                parts.checker = &checker_;
                if (auto error = (preparation_.*prepare)(body, key, parts)) return *error;
                return [job = std::make_shared<GenerationJob>(std::move(parts))](const ResponderPtr& responder) {
                  job->start(responder);
                };
              });
  }

  ApiKeys keys_;
  const std::shared_ptr<const ServedModel> model_;
  Metrics metrics_;
  const std::shared_ptr<const net::Refusals> refusals_;
  Endpoints endpoints_;  // constant once built
  const std::shared_ptr<ResponseStore> responses_;
  const Preparation preparation_;
  std::atomic<RankPool*> pool_{nullptr};
  std::atomic<bool> draining_{false};
  std::atomic<uint32_t> large_waiting_{0};
  boost::asio::thread_pool large_bodies_;
  ConstraintChecker checker_;
};

}  // namespace

std::unique_ptr<Api> Api::make(ApiOptions options, std::shared_ptr<const ServedModel> model) {
  return std::make_unique<ApiImpl>(std::move(options), std::move(model));
}

}  // namespace switchyard::frontend
