// Ids, pieces and texts against those of the library `tokenizers` 0.23.3 and of llama.cpp (tests/data/text).
#include "common/text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/text/pre_tokenizer.h"
#include "tests/support/reference.h"
#include "tests/unit/text/text_vectors.h"

namespace switchyard::text {
namespace {

class PublishedTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer_ = published_tokenizer(GetParam());
  std::string file(const char* name) const { return std::string("text/") + GetParam() + "/" + name; }
};

TEST_P(PublishedTokenizer, EncodesAsLlamaCpp) {
  for (const auto& line : read_lines(file("llamacpp.jsonl.zst"))) {
    ASSERT_EQ(tokenizer_->encode(text_of(line.at("text")), false), ids_of(line.at("ids"))) << line.at("text");
  }
}

TEST_P(PublishedTokenizer, TokenBytesJoinToTheText) {
  for (const auto& line : read_lines(file("llamacpp.jsonl.zst"))) {
    const std::string text = text_of(line.at("text"));
    std::string bytes;
    for (const int32_t id : tokenizer_->encode(text, false)) bytes += tokenizer_->token_bytes(id);
    // The letters that deepseek-llm has as added tokens come back as single bytes, as in the reference.
    ASSERT_EQ(repair_utf8(bytes), tokenizer_->decode(tokenizer_->encode(text, false), false));
  }
}

TEST_P(PublishedTokenizer, LongPiecesTakeNoQuadraticTime) {
  // Quadratic work on these would run into the test's time limit of minutes.
  const size_t length = 1'000'000;
  const std::string spaces(length, ' ');
  const std::vector<std::string> texts = {std::string(length, 'a'), spaces, spaces + "x", std::string(length, '\n'),
                                          std::string(length, '!')};
  for (const auto& text : texts) {
    const auto ids = tokenizer_->encode(text, false);
    EXPECT_EQ(tokenizer_->decode(ids, false), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PublishedTokenizer, ::testing::Values("qwen2", "deepseek-llm"), [](const auto& param) {
  return std::string(param.param) == "qwen2" ? "Qwen2" : "DeepseekLlm";
});

// The small tokenizers as well: byte-fallback (BPE without a pre-tokenizer), unigram-small, wordpiece-small.
class EveryTokenizer : public PublishedTokenizer {};

TEST_P(EveryTokenizer, EncodesAndDecodesAsTheReference) {
  const auto lines = read_lines(file("vectors.jsonl.zst"));
  ASSERT_GE(lines.size(), 400u);
  for (const auto& line : lines) {
    const std::string text = text_of(line.at("text"));
    const auto special = ids_of(line.at("ids_special"));
    ASSERT_EQ(tokenizer_->encode(text, false), ids_of(line.at("ids"))) << text;
    ASSERT_EQ(tokenizer_->encode(text, true), special) << text;
    ASSERT_EQ(tokenizer_->decode(special, false), text_of(line.at("decoded")));
    ASSERT_EQ(tokenizer_->decode(special, true), text_of(line.at("decoded_clean")));
  }
}

TEST_P(EveryTokenizer, StreamsEveryPieceWhenItIsWhole) {
  const auto lines = read_lines(file("vectors_stream.jsonl.zst"));
  ASSERT_EQ(lines.size(), 200u);
  for (const auto& line : lines) {
    StreamDecoder stream(tokenizer_, line.at("skip_special_tokens").as_bool());
    const auto ids = ids_of(line.at("ids"));
    const auto& pieces = line.at("pieces").as_array();
    std::string all;
    for (size_t i = 0; i < ids.size(); ++i) {
      const std::string piece = stream.push(ids[i]);
      ASSERT_EQ(piece, text_of(pieces[i])) << "piece " << i << " of " << line.at("text");
      all += piece;
    }
    const std::string rest = stream.flush();
    ASSERT_EQ(rest, text_of(line.at("flush")));
    ASSERT_EQ(all + rest, text_of(line.at("text")));
  }
}

TEST_P(EveryTokenizer, LongTextsTakeLinearTime) {
  // Quadratic work on these would run into the test's time limit of minutes. Words of one token come back whole.
  for (const char* unit : {"a", " ", "k", "▁", "\u0301", "<0x41>"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    const auto ids = tokenizer_->encode(text, false);
    const std::string decoded = tokenizer_->decode(ids, false);
    StreamDecoder stream(tokenizer_, false);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    streamed += stream.flush();
    EXPECT_TRUE(streamed == decoded) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryTokenizer,
                         ::testing::Values("qwen2", "deepseek-llm", "byte-fallback", "unigram-small",
                                           "wordpiece-small"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

// Random configurations of every kind (tests/tools/fuzz_tokenizers.py), with the library's answers.
TEST(Configurations, EncodeDecodeAndStreamAsTheReference) {
  const auto lines = read_lines("text/configurations.jsonl.zst");
  ASSERT_GE(lines.size(), 150u);
  size_t cases = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto result = Tokenizer::parse(boost::json::serialize(lines[i].at("tokenizer")), "");
    ASSERT_TRUE(result.ok()) << "line " << i << ": " << result.error().message;
    const auto& tokenizer = *result;
    for (const auto& value : lines[i].at("cases").as_array()) {
      const auto& one = value.as_object();
      SCOPED_TRACE("line " + std::to_string(i) + ": " + boost::json::serialize(one));
      ++cases;
      if (one.contains("text")) {
        ASSERT_EQ(tokenizer->encode(text_of(one.at("text")), false), ids_of(one.at("ids")));
        ASSERT_EQ(tokenizer->encode(text_of(one.at("text")), true), ids_of(one.at("ids_special")));
      } else if (one.contains("decoded")) {
        ASSERT_EQ(tokenizer->decode(ids_of(one.at("ids")), false), text_of(one.at("decoded")));
        ASSERT_EQ(tokenizer->decode(ids_of(one.at("ids")), true), text_of(one.at("decoded_clean")));
      } else {
        StreamDecoder stream(tokenizer, one.at("skip_special_tokens").as_bool());
        const auto ids = ids_of(one.at("ids"));
        for (size_t k = 0; k < ids.size(); ++k) ASSERT_EQ(stream.push(ids[k]), text_of(one.at("pieces").as_array()[k]));
        ASSERT_EQ(stream.flush(), text_of(one.at("flush")));
      }
    }
  }
  EXPECT_GT(cases, 3000u);
}

TEST(SmallTokenizers, TokenBytesAreThoseInTheMiddleOfAText) {
  const auto bytes = [](const char* name, std::string_view token) {
    const auto tokenizer = published_tokenizer(name);
    return std::string(tokenizer->token_bytes(tokenizer->token_to_id(token).value_or(-1)));
  };
  EXPECT_EQ(bytes("byte-fallback", "▁"), " ");
  EXPECT_EQ(bytes("byte-fallback", "<0xE2>"), "\xE2");
  EXPECT_EQ(bytes("byte-fallback", "</s>"), "</s>");
  EXPECT_EQ(bytes("unigram-small", "▁"), " ");
  EXPECT_EQ(bytes("wordpiece-small", "##e"), "e");
  EXPECT_EQ(bytes("wordpiece-small", "a"), " a");
}

TEST(GoldenTokenizer, EncodesTheReferencePrompts) {
  const std::string golden = std::string(SWITCHYARD_TEST_DATA) + "/golden";
  for (const auto& name : switchyard::testing::golden_names(golden)) {
    const auto reference = switchyard::testing::load_reference(golden, name);
    const auto tokenizer = golden_tokenizer(name);
    const auto at = reference.cases.find("text");
    ASSERT_NE(at, reference.cases.end()) << name;
    EXPECT_EQ(tokenizer->encode(reference.text_prompt, true), at->second.input_ids) << name;
    EXPECT_EQ(tokenizer->decode(at->second.input_ids, false), reference.text_prompt) << name;
  }
}

TEST(GoldenTokenizer, KnowsItsSpecialTokens) {
  const auto tokenizer = golden_tokenizer("qwen3-moe-tiny");
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_EQ(tokenizer->config().bos_token, "<|bos|>");
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_EQ(tokenizer->config().eos_token, "<|end|>");
  EXPECT_EQ(tokenizer->eos_id(), 6);
  EXPECT_TRUE(tokenizer->is_special(6));
  EXPECT_FALSE(tokenizer->is_special(8));  // <think> is added, not special
  EXPECT_EQ(tokenizer->token_text(8), "<think>");
  EXPECT_EQ(tokenizer->token_to_id("</think>"), 9);
  EXPECT_EQ(tokenizer->token_to_id("<nothing>"), std::nullopt);
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_FALSE(tokenizer->is_special(100'000));
  EXPECT_EQ(tokenizer->token_text(100'000), "");
  const std::vector<int32_t> beyond = {-5, 6, 99'999, 6};
  EXPECT_EQ(tokenizer->decode(beyond, false), "<|end|><|end|>");
  EXPECT_EQ(tokenizer->decode(beyond, true), "");
}

TEST(GoldenTokenizer, CanLeaveSpecialTokensOfATextAsText) {
  const auto tokenizer = golden_tokenizer("qwen3-moe-tiny");
  const std::string text = "a<|end|>b";
  EXPECT_EQ(tokenizer->encode(text, false)[1], 6);
  const auto plain = tokenizer->encode(text, false, Tokenizer::SpecialText::kStaysText);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 6), 0);
  EXPECT_EQ(tokenizer->decode(plain, true), text);
}

TEST(GoldenTokenizer, BrokenUtf8CountsAsReplacementCharacters) {
  const auto tokenizer = golden_tokenizer("qwen3-moe-tiny");
  EXPECT_EQ(tokenizer->encode("a\xF0\x9F\x98z\xFF", false), tokenizer->encode("a\uFFFDz\uFFFD", false));
}

TEST(GoldenTokenizer, ServesManyThreadsAtOnce) {
  const auto tokenizer = published_tokenizer("qwen2");
  const auto lines = read_lines("text/qwen2/llamacpp.jsonl.zst");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        for (const auto& line : lines)
          wrong += tokenizer->encode(text_of(line.at("text")), false) != ids_of(line.at("ids"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// The pre-tokenizers of models whose vocabulary is not among the data.
TEST(PreTokenizer, CutsAsTheReference) {
  const auto specs = boost::json::parse(read_data("text/pretokenizers.json")).as_object();
  ASSERT_EQ(specs.size(), 6u);
  std::map<std::string, PreTokenizer> loaded;
  for (const auto& spec : specs) {
    auto result = PreTokenizer::load(spec.value(), true, "pre_tokenizer");
    ASSERT_TRUE(result.ok()) << result.error().message;
    loaded.emplace(spec.key(), std::move(result).value());
  }
  const auto lines = read_lines("text/pretokenizers.jsonl.zst");
  ASSERT_EQ(lines.size(), 4200u);
  Pieces pieces;
  for (const auto& line : lines) {
    const std::string text = text_of(line.at("text"));
    const std::string name = text_of(line.at("pre_tokenizer"));
    loaded.at(name).apply(text, true, pieces);
    std::vector<std::string> wanted;
    for (const auto& piece : line.at("pieces").as_array()) wanted.push_back(text_of(piece));
    ASSERT_EQ(std::vector<std::string>(pieces.list.begin(), pieces.list.end()), wanted) << name << ": " << text;
  }
}

// A file of two tokens, with one part replaced.
std::string small_file(const std::string& part, const std::string& value) {
  boost::json::object file = boost::json::parse(R"({
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "added_tokens": [],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})")
                                 .as_object();
  file[part] = boost::json::parse(value);
  return boost::json::serialize(file);
}

std::shared_ptr<const Tokenizer> small_tokenizer(const std::string& part, const std::string& value) {
  auto result = Tokenizer::parse(small_file(part, value), "");
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : nullptr;
}

TEST(TokenizerFile, UnknownKindsAreRefusedByName) {
  const std::pair<std::string, std::string> cases[] = {
      {"normalizer", R"({"type": "Titlecase"})"}, {"pre_tokenizer", R"({"type": "UnicodeScripts"})"},
      {"model", R"({"type": "Hashes"})"},         {"post_processor", R"({"type": "PairProcessing"})"},
      {"decoder", R"({"type": "Morse"})"},
  };
  for (const auto& [part, value] : cases) {
    const auto result = Tokenizer::parse(small_file(part, value), "");
    ASSERT_FALSE(result.ok()) << part;
    const std::string kind = text_of(boost::json::parse(value).at("type"));
    EXPECT_NE(result.error().message.find(kind), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
}

TEST(TokenizerFile, MistakesAreNamed) {
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]})", "'b' is not in the vocabulary"},
      {"model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["ab"]})", "merges[0]"},
      {"model", R"({"type": "BPE", "vocab": {"a": -1}, "merges": []})", "'a'"},
      {"model", R"({"type": "BPE", "vocab": {"a": 99999999}, "merges": []})", "'a'"},
      {"model", R"({"type": "BPE", "merges": []})", "model.vocab: missing"},
      {"added_tokens", R"([{"content": "x"}])", "added_tokens[0].id: missing"},
      {"pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})",
       "pre_tokenizer.pattern.Regex"},
      {"pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Never"})", "'Never'"},
      {"post_processor",
       R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "s"}}], "special_tokens": {}})",
       "'s' is missing"},
  };
  for (const auto& [part, value, message] : cases) {
    const auto result = Tokenizer::parse(small_file(part, value), "");
    ASSERT_FALSE(result.ok()) << value;
    EXPECT_NE(result.error().message.find(message), std::string::npos) << result.error().message;
  }
}

TEST(TokenizerFile, OnlyVersion1IsRead) {
  EXPECT_TRUE(Tokenizer::parse(small_file("version", R"("1.0")"), "").ok());
  for (const char* version : {R"("2.0")", R"("1.1")", "1.0", "null", R"({"major": 1})"}) {
    const auto result = Tokenizer::parse(small_file("version", version), "");
    ASSERT_FALSE(result.ok()) << version;
    EXPECT_TRUE(result.error().message.starts_with("version: ")) << result.error().message;
  }
}

TEST(TokenizerFile, AMissingFileIsNotFound) {
  const auto result = Tokenizer::load("/nonexistent/model");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kNotFound);
  EXPECT_NE(result.error().message.find("/nonexistent/model"), std::string::npos);
}

TEST(TokenizerFile, AddedTokensObeyTheirFlags) {
  const auto tokenizer = small_tokenizer("added_tokens", R"([
    {"id": 3, "content": "<x>", "lstrip": true, "rstrip": true, "normalized": false, "special": true},
    {"id": 2, "content": "ab", "single_word": true, "normalized": false, "special": false},
    {"id": 4, "content": "<x>y", "normalized": false, "special": false},
    {"id": 5, "content": "ba", "single_word": true, "normalized": false, "special": false}])");
  ASSERT_NE(tokenizer, nullptr);
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(tokenizer->encode("a  <x> \n b", false), (Ids{0, 3, 1}));  // white space is swallowed
  EXPECT_EQ(tokenizer->encode("a<x>yb", false), (Ids{0, 4, 1}));       // the longest
  EXPECT_EQ(tokenizer->encode("ba", false), (Ids{5}));                 // a word of its own
  EXPECT_EQ(tokenizer->encode("aba", false), (Ids{2, 0}));             // not one
}

TEST(TokenizerFile, AddedTokensAreCountedOnFromTheVocabulary) {
  // What `tokenizers` 0.23.3 gives for this file: its "id" decides nothing.
  const auto tokenizer = small_tokenizer("added_tokens", R"([
    {"id": 10, "content": "<x>", "normalized": false}, {"id": 12, "content": "<y>", "normalized": false},
    {"id": 7, "content": "b", "normalized": false}])");
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("<x><y>ab b", false), (std::vector<int32_t>{3, 4, 0, 1, 1}));
}

TEST(TokenizerFile, TemplatesAddTokensOnBothSides) {
  const auto tokenizer = small_tokenizer("post_processor", R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel"},
    {"type": "TemplateProcessing",
     "single": [{"SpecialToken": {"id": "b"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "e"}}],
     "special_tokens": {"b": {"ids": [7]}, "e": {"ids": [8, 9]}}}]})");
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("ab", true), (std::vector<int32_t>{7, 2, 8, 9}));
  EXPECT_EQ(tokenizer->encode("ab", false), (std::vector<int32_t>{2}));
}

TEST(TokenizerConfig, SpecialTokensAreTextsOrObjectsAndTemplatesCanHaveNames) {
  const auto result = Tokenizer::parse(small_file("normalizer", "null"), R"({
    "bos_token": {"content": "a", "lstrip": false}, "eos_token": "ab", "unk_token": null,
    "chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]})");
  ASSERT_TRUE(result.ok()) << result.error().message;
  const auto& config = (*result)->config();
  EXPECT_EQ((*result)->bos_id(), 0);
  EXPECT_EQ((*result)->eos_id(), 2);
  EXPECT_EQ(config.unk_token, "");
  ASSERT_NE(config.chat_template(), nullptr);
  EXPECT_EQ(*config.chat_template(), "D");
  EXPECT_EQ(*config.chat_template("tool_use"), "T");
  EXPECT_EQ(config.chat_template("other"), nullptr);
}

}  // namespace
}  // namespace switchyard::text
