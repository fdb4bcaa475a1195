#include "launch/bench/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "common/text/tokenizer.h"

namespace switchyard::launch {
namespace {

namespace json = boost::json;

constexpr uint32_t kOutputTokensMax = 1U << 24;

uint32_t draw_length(uint32_t mean, double ratio, std::mt19937_64& random) {
  const auto low = static_cast<uint32_t>(std::floor(mean * (1 - ratio)));
  const auto high = static_cast<uint32_t>(std::ceil(mean * (1 + ratio)));
  return std::max(1U, std::uniform_int_distribution<uint32_t>(low, high)(random));
}

std::string words(uint32_t count, std::mt19937_64& random) {
  static constexpr std::string_view kConsonants = "bdfghklmnprstvw", kVowels = "aeiou";
  std::string text;
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    for (int syllable = 0; syllable < 2; ++syllable) {
      text += kConsonants[random() % kConsonants.size()];
      text += kVowels[random() % kVowels.size()];
    }
  }
  return text;
}

Result<std::vector<BenchPrompt>> random_prompts(const DatasetOptions& options) {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    SWITCHYARD_ASSIGN(tokenizer, text::Tokenizer::load(options.tokenizer));
  }
  std::mt19937_64 random(options.seed);
  std::vector<BenchPrompt> prompts(options.prompt_count);
  for (BenchPrompt& prompt : prompts) {
    prompt.input_len = draw_length(options.random_input_len, options.random_range_ratio, random);
    prompt.output_len = draw_length(options.random_output_len, options.random_range_ratio, random);
    const uint32_t below = tokenizer ? static_cast<uint32_t>(tokenizer->vocab_size()) : options.token_id_max;
    std::vector<int32_t> ids(prompt.input_len);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % below);
    if (tokenizer)
      prompt.json = json::serialize(json::string(tokenizer->decode(ids, true)));
    else if (options.token_ids)
      prompt.json = fmt::format("[{}]", fmt::join(ids, ","));
    else
      prompt.json = json::serialize(json::string(words(prompt.input_len, random)));
  }
  return prompts;
}

Result<BenchPrompt> prompt_of(const std::string& line, const std::string& where, int32_t default_output_len) {
  boost::system::error_code ec;
  const json::value value = json::parse(line, ec);
  if (ec || !value.is_object()) return Error{Errc::kInvalid, where + ": not a JSON object"};
  const json::value* text = value.as_object().if_contains("prompt");
  if (text == nullptr || !text->is_string()) return Error{Errc::kInvalid, where + ": prompt: a text is needed"};
  BenchPrompt prompt;
  prompt.json = json::serialize(*text);
  const json::value* length = value.as_object().if_contains("output_tokens");
  if (length != nullptr) {
    const auto number = length->to_number<uint32_t>(ec);
    if (ec || number == 0 || number > kOutputTokensMax)
      return Error{Errc::kInvalid, fmt::format("{}: output_tokens: 1 to {} are possible", where, kOutputTokensMax)};
    prompt.output_len = number;
  } else if (default_output_len > 0) {
    prompt.output_len = static_cast<uint32_t>(default_output_len);
  } else {
    return Error{Errc::kInvalid, where + ": output_tokens: missing, and --custom-output-len does not give one"};
  }
  return prompt;
}

Result<std::vector<BenchPrompt>> custom_prompts(const DatasetOptions& options) {
  if (options.path.empty()) return Error{Errc::kInvalid, "--dataset-path: the custom data set is a file"};
  std::ifstream file(options.path);
  if (!file) return Error{Errc::kIo, "--dataset-path: cannot read " + options.path};
  std::vector<BenchPrompt> prompts;
  std::string line;
  for (size_t number = 1; prompts.size() < options.prompt_count && std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    SWITCHYARD_ASSIGN(BenchPrompt prompt,
                      prompt_of(line, fmt::format("{}:{}", options.path, number), options.custom_output_len));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return Error{Errc::kInvalid, options.path + ": no prompts"};
  for (size_t i = 0; prompts.size() < options.prompt_count; ++i) prompts.push_back(BenchPrompt(prompts[i]));
  return prompts;
}

// The two texts of a ShareGPT conversation; nothing where it has fewer.
std::optional<std::pair<std::string, std::string>> first_turns(const json::value& conversation) {
  std::vector<std::string> texts;
  const json::object* object = conversation.if_object();
  const json::value* turns = object == nullptr ? nullptr : object->if_contains("conversations");
  if (turns == nullptr || !turns->is_array()) return std::nullopt;
  for (const json::value& turn : turns->get_array()) {
    const json::value* text = turn.is_object() ? turn.get_object().if_contains("value") : nullptr;
    if (text == nullptr || !text->is_string()) return std::nullopt;
    texts.emplace_back(text->get_string());
    if (texts.size() == 2) return std::pair(texts[0], texts[1]);
  }
  return std::nullopt;
}

Result<std::vector<BenchPrompt>> sharegpt_prompts(const DatasetOptions& options) {
  if (options.path.empty()) return Error{Errc::kInvalid, "--dataset-path: the sharegpt data set is a file"};
  if (options.tokenizer.empty()) return Error{Errc::kInvalid, "--tokenizer: sharegpt's prompts are chosen by tokens"};
  SWITCHYARD_ASSIGN(const std::shared_ptr<const text::Tokenizer> tokenizer, text::Tokenizer::load(options.tokenizer));
  std::ifstream file(options.path);
  if (!file) return Error{Errc::kIo, "--dataset-path: cannot read " + options.path};
  boost::system::error_code ec;
  const json::value value = json::parse(file, ec);
  if (ec || !value.is_array()) return Error{Errc::kInvalid, options.path + ": not a JSON array"};
  const json::array& conversations = value.get_array();
  std::vector<size_t> order(conversations.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(options.seed);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<BenchPrompt> prompts;
  for (const size_t i : order) {
    if (prompts.size() == options.prompt_count) break;
    const auto turns = first_turns(conversations[i]);
    if (!turns) continue;
    BenchPrompt prompt;
    prompt.input_len = static_cast<uint32_t>(tokenizer->encode(turns->first, true).size());
    prompt.output_len = options.sharegpt_output_len != 0
                            ? options.sharegpt_output_len
                            : static_cast<uint32_t>(tokenizer->encode(turns->second, true).size());
    const bool too_short = prompt.input_len < 4 || (options.sharegpt_output_len == 0 && prompt.output_len < 4);
    if (too_short || prompt.input_len > 1024 || prompt.input_len + prompt.output_len > 2048) continue;
    prompt.json = json::serialize(json::string(turns->first));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return Error{Errc::kInvalid, options.path + ": no conversations of a fitting length"};
  for (size_t i = 0; prompts.size() < options.prompt_count; ++i) prompts.push_back(BenchPrompt(prompts[i]));
  return prompts;
}

}  // namespace

Result<std::vector<BenchPrompt>> make_prompts(const DatasetOptions& options) {
  if (options.name == "random") return random_prompts(options);
  if (options.name == "custom") return custom_prompts(options);
  if (options.name == "sharegpt") return sharegpt_prompts(options);
  return Error{Errc::kInvalid, fmt::format("--dataset-name: '{}' is not random, custom or sharegpt", options.name)};
}

}  // namespace switchyard::launch
