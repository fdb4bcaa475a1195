// One request to /v1/embeddings: its inputs as token ids, a sequence each on the ranks, one answer.
//
// Shapes: platform.openai.com/docs/api-reference/embeddings; `normalize`, `add_special_tokens` and `priority` as vLLM.
// An embedding is the pooled hidden state of the model's last layer (ModelFacts::pooling), scaled to length 1 unless
// `normalize` is false.
//
// Thread: where the responder may be used. Nothing blocks. Exactly one end: the answer, an error, or the client's
// leaving; each frees the sequences that still run.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/answers/served_model.h"
#include "frontend/api/api_keys.h"
#include "frontend/api/metrics.h"
#include "frontend/http/http.h"
#include "frontend/routing/rank_pool.h"

namespace switchyard::frontend {

struct EmbeddingRequest {
  std::vector<std::vector<int32_t>> inputs;  // token ids, none empty or longer than the model's context
  bool base64 = false;                       // little-endian float32 in base64, as OpenAI's SDK asks for
  bool normalize = true;
  std::optional<int32_t> priority;
};

// The first problem, or none.
std::optional<ApiError> parse_embedding(const boost::json::object& body, const ServedModel& model,
                                        EmbeddingRequest& request);

class EmbeddingJob : public std::enable_shared_from_this<EmbeddingJob> {
 public:
  struct Parts {
    std::shared_ptr<const ServedModel> model;
    RankPool* pool = nullptr;
    Metrics* metrics = nullptr;
    AdmissionPtr admission;
    std::chrono::steady_clock::time_point arrived;
    std::string request_id;
    EmbeddingRequest request;
  };

  explicit EmbeddingJob(Parts parts);
  ~EmbeddingJob();
  void start(ResponderPtr responder);

 private:
  void on_output(size_t index, const wire::Output& output);
  void fail(const ApiError& error);
  void end(const char* reason);
  std::string answer() const;

  Parts parts_;
  ResponderPtr responder_;
  std::vector<Ticket> tickets_;                 // (inputs); id 0 when done
  std::vector<std::vector<float>> embeddings_;  // (inputs)
  size_t open_ = 0;
  uint64_t prompt_tokens_ = 0;
  bool ended_ = false;
};

}  // namespace switchyard::frontend
