// One API request while it is generated: its sequences on the ranks, its one answer.
//
// Exactly one end: an answer, a stream's [DONE] or error event, or the client's leaving; each of them frees the
// sequences that still run.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/answers/answer_format.h"
#include "frontend/answers/generation.h"
#include "frontend/api/api_keys.h"
#include "frontend/api/constraint_checker.h"
#include "frontend/api/metrics.h"
#include "frontend/http/http.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {

class GenerationJob : public std::enable_shared_from_this<GenerationJob> {
 public:
  using Clock = std::chrono::steady_clock;

  struct Parts {
    std::shared_ptr<const ServedModel> model;
    RankPool* pool = nullptr;
    Metrics* metrics = nullptr;
    AdmissionPtr admission;
    Clock::time_point arrived;
    std::string request_id;
    std::shared_ptr<const GenerationRequest> request;
    std::vector<std::shared_ptr<Prompt>> prompts;
    std::vector<uint32_t> max_tokens;  // (prompts)
    std::unique_ptr<AnswerFormat> format;
    ConstraintChecker* checker = nullptr;
    std::optional<ConstraintCheck> check;  // of the request's constraint, to be done first
  };

  explicit GenerationJob(Parts parts);
  ~GenerationJob();

  // Sends the sequences out, once their constraint has been checked, and answers when they come back. Thread: where the
  // responder may be used; so is everything below.
  void start(ResponderPtr responder);

 private:
  void on_checked(const Status& verdict);
  void send();
  void on_output(uint32_t index, wire::Output& output);
  void stream(Choice& choice, const Delta& delta);
  void write(const std::string& events);
  void refuse(const ApiError& error);
  void fail(const ApiError& error);
  void complete();
  void end(const char* reason, int status);
  void cancel_rest();
  Usage usage() const;
  double seconds_since_arrival() const;

  Parts parts_;
  ResponderPtr responder_;
  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<Clock::time_point> last_output_;  // (choices)
  size_t open_choices_ = 0;
  bool streaming_ = false;  // the head is out
  bool ended_ = false;
};

}  // namespace switchyard::frontend
