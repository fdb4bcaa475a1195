// Damaged files: each is refused or works, none stops the process. Seeds are printed, so that a failure repeats.
#include <gtest/gtest.h>

#include <random>

#include "common/text/chat_template.h"
#include "tests/unit/text/text_vectors.h"

namespace switchyard::text {
namespace {

// A few bytes changed, left out or doubled.
std::string damaged(std::string text, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const size_t changes = 1 + below(4);
  for (size_t i = 0; i < changes && !text.empty(); ++i) {
    const size_t at = below(text.size());
    const size_t count = std::min<size_t>(1 + below(12), text.size() - at);
    switch (below(4)) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.erase(at, count); break;
      case 2: text.insert(at, text.substr(below(text.size()), count)); break;
      default: text.resize(std::max<size_t>(at, 1)); break;
    }
  }
  return text;
}

TEST(HostileInput, DamagedTokenizerFilesAreRefusedOrWork) {
  const std::string file = read_data("golden/qwen3-moe-tiny/tokenizer.json");
  size_t loaded = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto result = Tokenizer::parse(damaged(file, random), "");
    if (!result.ok()) {
      EXPECT_FALSE(result.error().message.empty());
      continue;
    }
    ++loaded;
    const auto ids = (*result)->encode("Hello <|end|> wörld 123 \xFF", true);
    (*result)->decode(ids, true);
  }
  EXPECT_GT(loaded, 0u);
  EXPECT_LT(loaded, 400u);
}

TEST(HostileInput, DamagedTemplatesAreRefusedOrEnd) {
  const auto messages = boost::json::parse(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b",
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}, {"role": "tool", "content": "c"}])");
  size_t rendered = 0;
  for (const char* name : {"deepseek-ai-DeepSeek-V3.1.jinja", "Qwen-Qwen3-0.6B.jinja", "openai-gpt-oss-120b.jinja"}) {
    const std::string source = read_data(std::string("text/chat_templates/") + name);
    for (uint64_t seed = 1; seed <= 400; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937_64 random(seed);
      const auto parsed = ChatTemplate::parse(damaged(source, random));
      if (!parsed.ok()) {
        EXPECT_FALSE(parsed.error().message.empty());
        continue;
      }
      const auto result = (*parsed)->render(messages, boost::json::value(), boost::json::object{{"bos_token", "<s>"}});
      rendered += result.ok();
    }
  }
  EXPECT_GT(rendered, 0u);
}

}  // namespace
}  // namespace switchyard::text
