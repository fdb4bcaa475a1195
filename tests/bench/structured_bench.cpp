// What a token under a constraint costs: microseconds of mask and acceptance, mean, 99th percentile and largest, on
// texts that were not seen before, after a warm-up on others; and the same for the very first text, with compilation.
//
//   structured_bench [--tokenizer DIR_OR_FILE] [--texts N] [--dump FILE]
//
// Without --tokenizer: 128,256 tokens made up of words, digits, punctuation, indents, characters and parts of
// characters in about the shares of large byte-level vocabularies. Texts are drawn through the masks, each allowed
// token alike, up to 200 tokens. --dump writes cases, vocabulary and texts as JSON, for
// tests/bench/structured_peers.py.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <set>

#include "common/structured/constraint.h"
#include "common/text/tokenizer.h"

namespace switchyard::structured {
namespace {

using Clock = std::chrono::steady_clock;
double microseconds(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

std::vector<std::string> made_up_vocabulary() {
  constexpr size_t kSize = 128256;
  std::mt19937 random(1);
  std::set<std::string> known;
  std::vector<std::string> tokens;
  const auto add = [&](const std::string& token) {
    if (tokens.size() < kSize && known.insert(token).second) tokens.push_back(token);
  };
  for (int b = 0; b < 256; ++b) add(std::string(1, static_cast<char>(b)));
  for (int i = 0; i < 1000; ++i) {
    add(fmt::format("{}", i));
    add(fmt::format("{:03}", i));
  }
  for (size_t n = 1; n < 80; ++n)
    for (const char* end : {"", "}", "{", "\"", "]"}) {
      add(std::string(n, ' ') + end);
      add("\n" + std::string(n, ' ') + end);
    }
  const std::string marks = "{}[]\":,.;()<>=+-*/\\!?#$%&'|_~`^@\n\t";
  for (int i = 0; i < 12000; ++i) {
    std::string token = random() % 4 == 0 ? " " : "";
    const size_t length = 1 + random() % 4;
    for (size_t n = 0; n < length; ++n) token += marks[random() % marks.size()];
    if (random() % 4 == 0) token += static_cast<char>('a' + random() % 26);
    add(token);
  }
  while (tokens.size() < kSize) {
    std::string token = random() % 2 == 0 ? " " : "";
    if (random() % 6 == 0) {  // other scripts, some characters cut short
      const size_t length = 1 + random() % 3;
      for (size_t n = 0; n < length; ++n) {
        const uint32_t c = 0x400 + static_cast<uint32_t>(random() % 0x9000);
        token += static_cast<char>(c < 0x800 ? 0xC0 | (c >> 6) : 0xE0 | (c >> 12));
        if (c >= 0x800) token += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
        token += static_cast<char>(0x80 | (c & 0x3F));
      }
      if (random() % 5 == 0) token.pop_back();
    } else {
      const size_t length = 2 + random() % 9;
      for (size_t n = 0; n < length; ++n) token += static_cast<char>('a' + random() % 26);
      if (random() % 4 == 0) token[token[0] == ' ' ? 1 : 0] &= ~0x20;
    }
    add(token);
  }
  return tokens;
}

struct Case {
  const char* name;
  Constraint constraint;
};

std::vector<Case> cases() {
  using Kind = Constraint::Kind;
  const auto schema = [](const char* text) { return Constraint{.kind = Kind::kJsonSchema, .text = text}; };
  std::string wide = R"({"type":"object","properties":{)";
  for (int i = 0; i < 60; ++i)
    wide += fmt::format(R"({}"field_{}":{{"type":["string","null"]}})", i == 0 ? "" : ",", i);
  wide += "}}";
  return {
      {"json object", {}},
      {"schema, flat",
       schema(
           R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
        "email":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","email","tags"]})")},
      {"schema, nested",
       schema(
           R"({"$defs":{"address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"},
        "geo":{"type":"object","properties":{"lat":{"type":"number"},"lon":{"type":"number"}},"required":["lat","lon"]}},"required":["street","city"]}},
        "type":"object","properties":{"user":{"type":"object","properties":{"id":{"type":"integer"},"home":{"$ref":"#/$defs/address"},
        "work":{"anyOf":[{"$ref":"#/$defs/address"},{"type":"null"}]}},"required":["id","home","work"]},"status":{"enum":["active","away","gone"]},
        "score":{"type":"number","minimum":0,"maximum":1}},"required":["user","status","score"]})")},
      {"schema, recursive",
       schema(R"({"$defs":{"tree":{"type":"object","properties":{"value":{"type":"string"},"children":{"type":"array",
        "items":{"$ref":"#/$defs/tree"}}},"required":["value","children"]}},"$ref":"#/$defs/tree"})")},
      {"schema, lengths",
       schema(
           R"({"type":"object","properties":{"title":{"type":"string","maxLength":80},"body":{"type":"string","minLength":20,"maxLength":400}},
        "required":["title","body"]})")},
      {"schema, 60 optional", schema(wide.c_str())},
      {"schema, tool calls",
       schema(
           R"({"type":"array","minItems":1,"items":{"anyOf":[{"type":"object","properties":{"name":{"const":"search"},
        "parameters":{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"}},"required":["query"]}},"required":["name","parameters"]},
        {"type":"object","properties":{"name":{"const":"weather"},"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}},
        "required":["name","parameters"]}]}})")},
      {"regex",
       {.kind = Kind::kRegex,
        .text = R"([A-Z][a-z]+ [A-Z][a-z]+, born (19|20)\d{2}-\d{2}-\d{2}, \w+@\w+\.(com|org)(; [^;]{5,60}){0,3})"}},
      {"grammar",
       {.kind = Kind::kGrammar, .text = R"x(root ::= "SELECT " columns " FROM " name (" WHERE " condition)? ";"
        columns ::= "*" | name (", " name)*
        condition ::= term (" AND " term | " OR " term)*
        term ::= name " " ("=" | "<" | ">") " " value | "(" condition ")"
        value ::= [0-9]{1,9} | "'" [^'\n]* "'"
        name ::= [a-z_]+)x"}},
  };
}

struct Text {
  std::vector<int32_t> tokens;
};

Text drawn(const std::shared_ptr<Masks>& masks, std::mt19937& random) {
  constexpr size_t kTokensMax = 200;
  Matcher matcher(masks);
  Text text;
  std::vector<uint32_t> mask(masks->vocabulary().mask_words());
  while (text.tokens.size() < kTokensMax && !matcher.must_end()) {
    if (!matcher.fill_mask(mask).ok()) std::abort();
    std::vector<int32_t> allowed;
    for (uint32_t id = 0; id < masks->vocabulary().size(); ++id)
      if (test_bit(mask, static_cast<int32_t>(id))) allowed.push_back(static_cast<int32_t>(id));
    // A quarter of the tokens are such that close or separate: texts of uniform tokens would be one long string.
    if (random() % 4 == 0) {
      std::vector<int32_t> closing;
      for (const int32_t id : allowed)
        if (masks->vocabulary().bytes(id).find_first_of("\"]},;'") != std::string_view::npos) closing.push_back(id);
      if (!closing.empty()) allowed = std::move(closing);
    }
    if (allowed.empty()) break;
    const int32_t token = allowed[random() % allowed.size()];
    if (!matcher.accept(token).ok()) std::abort();
    text.tokens.push_back(token);
  }
  return text;
}

void follow(const std::shared_ptr<Masks>& masks, const Text& text, std::vector<double>& times) {
  Matcher matcher(masks);
  std::vector<uint32_t> mask(masks->vocabulary().mask_words());
  for (const int32_t token : text.tokens) {
    const auto start = Clock::now();
    const bool ok = matcher.fill_mask(mask).ok() && test_bit(mask, token) && matcher.accept(token).ok();
    times.push_back(microseconds(Clock::now() - start));
    if (!ok) std::abort();
  }
}

int run(int argc, char** argv) {
  CLI::App app("Time of token masks.");
  std::string tokenizer_path;
  std::string dump_path;
  size_t text_count = 40;
  app.add_option("--tokenizer", tokenizer_path);
  app.add_option("--texts", text_count);
  app.add_option("--dump", dump_path);
  CLI11_PARSE(app, argc, argv);

  std::vector<std::string> tokens;
  if (tokenizer_path.empty()) {
    tokens = made_up_vocabulary();
  } else {
    const auto tokenizer = text::Tokenizer::load(tokenizer_path);
    if (!tokenizer.ok()) {
      std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
      return 1;
    }
    for (int32_t id = 0; id < (*tokenizer)->vocab_size(); ++id)
      tokens.emplace_back((*tokenizer)->is_special(id) ? std::string_view() : (*tokenizer)->token_bytes(id));
  }
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  const auto begin = Clock::now();
  const auto vocabulary = std::make_shared<const Vocabulary>(views);
  std::printf("# vocabulary %u tokens, %zu nodes, built in %.0f ms\n", vocabulary->size(),
              vocabulary->all().nodes().size(), microseconds(Clock::now() - begin) / 1000);
  std::printf("case,compile_ms,first_text_us,first_text_us_max,us_mean,us_p50,us_p99,us_max,tokens,kib\n");

  boost::json::array dumped;
  for (const Case& c : cases()) {
    std::mt19937 random(7);
    const auto start = Clock::now();
    auto automaton = compile(c.constraint);
    if (!automaton.ok()) {
      std::fprintf(stderr, "%s: %s\n", c.name, automaton.error().message.c_str());
      return 1;
    }
    const double compile_ms = microseconds(Clock::now() - start) / 1000;
    // Texts come from a memo of their own.
    const auto scratch = std::make_shared<Masks>(Automaton(*automaton), vocabulary);
    std::vector<Text> texts;
    for (size_t i = 0; i < 2 * text_count; ++i) texts.push_back(drawn(scratch, random));
    const auto masks = std::make_shared<Masks>(std::move(*automaton), vocabulary);
    std::vector<double> first;
    follow(masks, texts[0], first);
    std::vector<double> times;
    for (size_t i = 1; i < text_count; ++i) follow(masks, texts[i], times);
    times.clear();
    for (size_t i = text_count; i < texts.size(); ++i) follow(masks, texts[i], times);
    const auto mean = [](const std::vector<double>& v) {
      double sum = 0.0;
      for (const double x : v) sum += x;
      return sum / static_cast<double>(v.size());
    };
    std::sort(times.begin(), times.end());
    std::printf("\"%s\",%.2f,%.1f,%.0f,%.2f,%.2f,%.1f,%.0f,%zu,%zu\n", c.name, compile_ms, mean(first),
                *std::max_element(first.begin(), first.end()), mean(times), times[times.size() / 2],
                times[times.size() * 99 / 100], times.back(), times.size(), masks->memory_bytes() >> 10);
    std::fflush(stdout);
    boost::json::array all;
    for (const Text& text : texts) all.push_back(boost::json::value_from(text.tokens));
    dumped.push_back({{"name", c.name},
                      {"kind", static_cast<int>(c.constraint.kind)},
                      {"text", c.constraint.text},
                      {"texts", std::move(all)}});
  }
  if (!dump_path.empty()) {
    boost::json::array hex;
    for (const std::string& token : tokens) {
      std::string digits;
      for (const char byte : token) digits += fmt::format("{:02x}", static_cast<uint8_t>(byte));
      hex.push_back(boost::json::string(digits));
    }
    std::ofstream(dump_path) << boost::json::object{{"vocabulary", std::move(hex)}, {"cases", std::move(dumped)}};
  }
  return 0;
}

}  // namespace
}  // namespace switchyard::structured

int main(int argc, char** argv) { return switchyard::structured::run(argc, argv); }
