// Which endpoint a request is for: by its method and path.
//
// Thread: constant once built. Nothing blocks.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/http/errors.h"
#include "frontend/http/http.h"

namespace switchyard::frontend {

// A request on its way through an endpoint.
struct Call {
  HttpRequest request;
  ResponderPtr responder;
  std::chrono::steady_clock::time_point arrived;
  std::string argument = {};              // what stands in the path for the pattern's {...}
  size_t key = 0;                         // in the ApiKeys, where the endpoint needs one
  ErrorForm errors = ErrorForm::kOpenAi;  // as the endpoint's
};

struct Endpoint {
  std::string method;  // GET is HEAD as well
  std::string
      pattern;  // "/v1/models/{model}": what is in braces ends the pattern and may be any text, slashes included
  bool needs_key = false;
  std::function<void(Call&)> run;
  ErrorForm errors = ErrorForm::kOpenAi;
};

class Endpoints {
 public:
  void add(Endpoint endpoint) { endpoints_.push_back(std::move(endpoint)); }

  struct Match {
    const Endpoint* endpoint = nullptr;  // null: there is none
    std::string argument;                // with %XX unescaped: a model's name may have a slash, which clients escape
    std::string allowed;                 // the methods that the path knows; "" = it is no path of ours
    ErrorForm errors = ErrorForm::kOpenAi;
  };
  Match find(std::string_view method, std::string_view path) const;
  // The path as its pattern, or "other": a closed list, for metrics.
  std::string label(std::string_view path) const;
  const std::vector<Endpoint>& all() const { return endpoints_; }

 private:
  std::vector<Endpoint> endpoints_;
};

}  // namespace switchyard::frontend
