// What the bodies of requests turn into: prompts as tokens and the format of their answer, or an answer at once.
//
// Thread: any; const use, but for the ResponseStore, which any thread may use. Nothing blocks.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>

#include "frontend/answers/served_model.h"
#include "frontend/api/generation_job.h"
#include "frontend/http/errors.h"
#include "frontend/requests/response_store.h"

namespace switchyard::frontend {

class Preparation {
 public:
  Preparation(std::shared_ptr<const ServedModel> model, std::shared_ptr<ResponseStore> responses)
      : model_(std::move(model)), responses_(std::move(responses)) {}

  // Fills in parts' request, prompts, max_tokens and format. key: whose request it is. The first problem, or none.
  using Generation = std::optional<ApiError> (Preparation::*)(const boost::json::object& body, size_t key,
                                                              GenerationJob::Parts& parts) const;
  std::optional<ApiError> chat(const boost::json::object& body, size_t key, GenerationJob::Parts& parts) const;
  std::optional<ApiError> completion(const boost::json::object& body, size_t key, GenerationJob::Parts& parts) const;
  std::optional<ApiError> messages(const boost::json::object& body, size_t key, GenerationJob::Parts& parts) const;
  std::optional<ApiError> responses(const boost::json::object& body, size_t key, GenerationJob::Parts& parts) const;

  // Answers without a rank.
  using Computation = std::optional<ApiError> (Preparation::*)(const boost::json::object& body,
                                                               std::string& answer) const;
  std::optional<ApiError> tokenize(const boost::json::object& body, std::string& answer) const;
  std::optional<ApiError> detokenize(const boost::json::object& body, std::string& answer) const;
  std::optional<ApiError> count_tokens(const boost::json::object& body, std::string& answer) const;

 private:
  std::optional<ApiError> add_chat(ChatRequest& request, const char* field, GenerationJob::Parts& parts) const;
  std::optional<ApiError> add_prompt(const GenerationRequest& request, const char* field, std::vector<int32_t> ids,
                                     std::string text, GenerationJob::Parts& parts) const;
  std::optional<ApiError> check_model(class RequestFields& fields) const;

  const std::shared_ptr<const ServedModel> model_;
  const std::shared_ptr<ResponseStore> responses_;
};

}  // namespace switchyard::frontend
