// Goal: /openapi.json describes what is served, all of it and nothing else. Method: its paths against the API's own
// list. (That the answers are as it says is checked where they come from a model: tests/cluster/openai_api.)
#include "frontend/api/openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

TEST(OpenApi, HasEveryEndpointAndNoOther) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  const Answer answer = call(frontend.port(), "GET", "/openapi.json");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  const json::value description = json::parse(answer.body);
  std::set<std::string> described;
  for (const auto& [path, item] : description.at("paths").as_object()) {
    for (const auto& [method, operation] : item.as_object()) {
      if (method == "parameters") continue;
      std::string name(method);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
      described.insert(name + " " + std::string(path));
    }
  }
  std::set<std::string> served;
  for (const std::string& endpoint : frontend.api->endpoints())
    served.insert(endpoint.starts_with("GET /page/") ? "GET /page/{file}"
                                                     : endpoint);  // the page's parts are one entry
  EXPECT_EQ(described, served);
  EXPECT_GE(served.size(), 15U);
}

TEST(OpenApi, HasTheVersionThatTheServerTells) {
  FakeCluster cluster;
  TestFrontend frontend(cluster);
  EXPECT_EQ(json::parse({kOpenApi.data(), kOpenApi.size()}).at("info").at("version"),
            json::parse(call(frontend.port(), "GET", "/version").body).at("version"));
}

}  // namespace
}  // namespace switchyard::frontend
