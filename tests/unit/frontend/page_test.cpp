// Goal: the page's files come as browsers need them and as a stranger's text next to them demands. Method: a real
// socket; what is served is compared with the files of the source tree.
#include "frontend/page/page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::page {
namespace {

using frontend::Answer;
using frontend::call;
using frontend::Client;

constexpr size_t kPageBytesMax = 40U << 10;

class PageTest : public testing::Test {
 protected:
  static std::string source(const std::string& path) {
    const std::string name = path == "/" ? "index.html" : path.substr(std::string("/page/").size());
    std::ifstream file(SWITCHYARD_TEST_DATA "/../../frontend/page/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // With keys: the page itself needs none.
  frontend::FakeCluster cluster;
  frontend::TestFrontend frontend{cluster, {.api_keys = {{"key", {}}}, .open_limits = {}}};
};

TEST_F(PageTest, EveryFileComesWithoutAKeyAsItIsInTheSource) {
  size_t bytes = 0;
  for (const PageFile& file : page_files()) {
    const std::string path(file.path);
    const Answer answer = call(frontend.port(), "GET", path);
    EXPECT_EQ(answer.status, 200) << path;
    ASSERT_FALSE(answer.body.empty()) << path;
    EXPECT_EQ(answer.body, source(path)) << path;
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("referrer-policy"), "no-referrer");
    EXPECT_EQ(answer.header("cache-control"), "no-cache");
    EXPECT_EQ(answer.header("content-security-policy").find("default-src 'self';"), 0U);
    EXPECT_EQ(answer.header("content-security-policy").find("unsafe"), std::string::npos);
    bytes += answer.body.size();
  }
  EXPECT_LE(bytes, kPageBytesMax);
}

TEST_F(PageTest, ContentTypesAreThoseThatNosniffAccepts) {
  const auto type = [&](const char* path) { return call(frontend.port(), "GET", path).header("content-type"); };
  EXPECT_EQ(type("/"), "text/html; charset=utf-8");
  EXPECT_EQ(type("/?a=b"), "text/html; charset=utf-8");
  EXPECT_EQ(type("/page/chat.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(type("/page/style.css"), "text/css; charset=utf-8");
  EXPECT_EQ(type("/page/icon.svg"), "image/svg+xml");
}

TEST_F(PageTest, WhatTheFilesReferToIsServed) {
  std::set<std::string> served;
  for (const PageFile& file : page_files()) served.emplace(file.path);
  const std::regex reference(R"re((?:src|href)="([^"]+)"|from '\.(/[^']+)')re");
  size_t references = 0;
  for (const PageFile& file : page_files()) {
    const std::string body(file.body);
    for (std::sregex_iterator at(body.begin(), body.end(), reference), end; at != end; ++at, ++references)
      EXPECT_TRUE(served.contains((*at)[1].matched ? (*at)[1].str() : "/page" + (*at)[2].str())) << (*at)[0];
  }
  EXPECT_GE(references, 10U);
}

TEST_F(PageTest, HeadHasTheLengthAndNoBody) {
  for (const char* path : {"/", "/page/chat.js"}) {
    Client client(frontend.port());
    ASSERT_TRUE(client.send(frontend::request_text("HEAD", path)));
    const Answer head = client.read(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(source(path).size()));
    ASSERT_TRUE(client.send(frontend::request_text("GET", "/health")));
    EXPECT_EQ(client.read().body, "{}");  // nothing of a body came in between
  }
}

TEST_F(PageTest, AnUnchangedFileIsNotSentAgain) {
  std::set<std::string> tags;
  for (const PageFile& file : page_files()) {
    const std::string path(file.path);
    const std::string tag = call(frontend.port(), "GET", path).header("etag");
    EXPECT_TRUE(std::regex_match(tag, std::regex(R"("[0-9a-f]{16}")"))) << tag;
    tags.insert(tag);
    for (const std::string& asked : {tag, "W/" + tag, "\"other\", " + tag}) {
      Client client(frontend.port());
      ASSERT_TRUE(client.send(frontend::request_text("GET", path, {}, "If-None-Match: " + asked + "\r\n")));
      const Answer unchanged = client.read(true);
      EXPECT_EQ(unchanged.status, 304) << asked;
      EXPECT_EQ(unchanged.header("etag"), tag);
      ASSERT_TRUE(client.send(frontend::request_text("GET", "/health")));
      EXPECT_EQ(client.read().body, "{}");
    }
    EXPECT_EQ(call(frontend.port(), "GET", path, {}, "If-None-Match: \"other\"\r\n").status, 200);
  }
  EXPECT_EQ(tags.size(), page_files().size());
}

TEST_F(PageTest, NothingElseOfTheFileSystemIsThere) {
  for (const char* path : {"/page", "/page/", "/page/index.html", "/page/../chat.js", "/page/%2e%2e/chat.js",
                           "/page/page.h", "/index.html", "/page//chat.js", "/page/chat.js/"})
    EXPECT_EQ(call(frontend.port(), "GET", path).status, 404) << path;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    const Answer answer = call(frontend.port(), method, "/");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.header("allow"), "GET, HEAD");
  }
}

}  // namespace
}  // namespace switchyard::page
