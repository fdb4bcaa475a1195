#include "common/text/tokenizer.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "common/text/added_tokens.h"
#include "common/text/decoder.h"
#include "common/text/json_fields.h"
#include "common/text/model.h"
#include "common/text/normalizer.h"
#include "common/text/post_processor.h"
#include "common/text/pre_tokenizer.h"

namespace switchyard::text {

namespace json = boost::json;

struct Tokenizer::Impl {
  NormalizerSteps normalizer;
  TokenFinder raw_tokens;         // looked for in the text as it is
  TokenFinder normalized_tokens;  // looked for in the normalised text
  PreTokenizer pre_tokenizer;
  std::unique_ptr<Model> model;
  PostProcessor post_processor;
  Decoder decoder;
  TokenizerConfig config;

  struct Added {
    AddedToken token;
    std::string decoded;  // what the decoder gets: the normalised form of a token that is looked for in one
  };
  std::vector<Added> added;  // the last of an id is its token
  // By id.
  struct Token {
    uint64_t bytes_offset = 0;
    uint32_t bytes_size = 0;
    int32_t added = -1;  // index into added
    bool exists = false;
    bool special = false;
  };
  std::vector<Token> tokens;
  std::string bytes;

  std::string normalize(std::string_view text) const {
    if (normalizer.empty()) return std::string(text);
    std::string out = normalizer[0]->normalize(text);
    for (size_t i = 1; i < normalizer.size(); ++i) out = normalizer[i]->normalize(out);
    return out;
  }

  bool keeps_first(std::string_view text) const {
    if (normalizer.empty() || text.empty()) return true;
    size_t end = 0;
    next_code_point(text, end);
    return !normalize(text.substr(0, end)).empty();
  }

  Status load(const json::object& file);
  Status load_added(std::vector<AddedToken> list);
  void index_tokens();
  // What the decoder gets for a token that exists.
  std::string_view token(int32_t id) const {
    const int32_t index = tokens[static_cast<size_t>(id)].added;
    if (index >= 0) return added[static_cast<size_t>(index)].decoded;
    return model->id_to_token(id).value_or(std::string_view());
  }
  void encode_text(std::string_view text, bool at_origin, Pieces& pieces, std::vector<int32_t>& out) const {
    pre_tokenizer.apply(text, at_origin, pieces);
    for (const auto piece : pieces.list) model->encode(piece, out);
  }
};

namespace {

// The one version of the format that there is.
constexpr std::string_view kVersion = "1.0";

Status check_version(const json::object& file) {
  const auto* version = file.if_contains("version");
  if (version == nullptr) return {};
  const auto* text = version->if_string();
  if (text != nullptr && std::string_view(*text) == kVersion) return {};
  return Error{Errc::kInvalid,
               fmt::format("version: {} is not supported, only \"{}\"", json::serialize(*version), kVersion)};
}

const json::value& field_or_null(const json::object& object, std::string_view key) {
  static const json::value null;
  const auto* value = object.if_contains(key);
  return value == nullptr ? null : *value;
}

// A special token of tokenizer_config.json: text, an object with "content", or null.
Result<std::string> special_token(const json::object& config, std::string_view key, std::string_view where) {
  const auto& value = field_or_null(config, key);
  if (value.is_null()) return std::string();
  if (const auto* text = value.if_string()) return std::string(*text);
  if (const auto* object = value.if_object()) return string_field(*object, "content", fmt::format("{}.{}", where, key));
  return field_error(where, key, "a string or an object is expected");
}

Result<TokenizerConfig> parse_config(std::string_view text, std::string_view where) {
  TokenizerConfig out;
  SWITCHYARD_ASSIGN(const json::value value, parse_json(text, where));
  SWITCHYARD_ASSIGN(const auto* object, as_object(value, where));
  SWITCHYARD_ASSIGN(out.bos_token, special_token(*object, "bos_token", where));
  SWITCHYARD_ASSIGN(out.eos_token, special_token(*object, "eos_token", where));
  SWITCHYARD_ASSIGN(out.unk_token, special_token(*object, "unk_token", where));
  SWITCHYARD_ASSIGN(out.pad_token, special_token(*object, "pad_token", where));
  const auto& source = field_or_null(*object, "chat_template");
  if (const auto* single = source.if_string()) {
    out.chat_templates.emplace_back("default", std::string(*single));
  } else if (const auto* list = source.if_array()) {
    for (size_t i = 0; i < list->size(); ++i) {
      const std::string here = fmt::format("{}.chat_template[{}]", where, i);
      SWITCHYARD_ASSIGN(const auto* entry, as_object((*list)[i], here));
      SWITCHYARD_ASSIGN(std::string name, string_field(*entry, "name", here));
      SWITCHYARD_ASSIGN(std::string body, string_field(*entry, "template", here));
      out.chat_templates.emplace_back(std::move(name), std::move(body));
    }
  } else if (!source.is_null()) {
    return field_error(where, "chat_template", "a string or a list of {name, template} is expected");
  }
  return out;
}

Error in_file(const std::string& path, const Error& error) {
  return Error{error.code, fmt::format("{}: {}", path, error.message)};
}

}  // namespace

const std::string* TokenizerConfig::chat_template(std::string_view name) const {
  for (const auto& [known, source] : chat_templates) {
    if (known == name) return &source;
  }
  return nullptr;
}

Status Tokenizer::Impl::load(const json::object& file) {
  SWITCHYARD_TRY(check_version(file));
  SWITCHYARD_ASSIGN(normalizer, load_normalizer(field_or_null(file, "normalizer"), "normalizer"));
  const auto* model_spec = file.if_contains("model");
  if (model_spec == nullptr) return Error{Errc::kInvalid, "model: missing"};
  SWITCHYARD_ASSIGN(pre_tokenizer, PreTokenizer::load(field_or_null(file, "pre_tokenizer"),
                                                      model_takes_bytes(*model_spec), "pre_tokenizer"));
  SWITCHYARD_ASSIGN(model, load_model(*model_spec, {.byte_level = pre_tokenizer.gives_bytes()}, "model"));
  SWITCHYARD_ASSIGN(post_processor, PostProcessor::load(field_or_null(file, "post_processor"), "post_processor"));
  SWITCHYARD_ASSIGN(decoder, Decoder::load(field_or_null(file, "decoder"), "decoder"));
  SWITCHYARD_ASSIGN(auto list, load_added_tokens(field_or_null(file, "added_tokens"), "added_tokens"));
  SWITCHYARD_TRY(load_added(std::move(list)));
  index_tokens();
  return {};
}

Status Tokenizer::Impl::load_added(std::vector<AddedToken> list) {
  // As in the reference, "id" is only what the file's writer saw: a token that the vocabulary has keeps that id, the
  // others are counted on from the vocabulary's size.
  auto next_id = static_cast<int32_t>(model->token_count());
  std::unordered_map<std::string, int32_t> known;
  for (auto& token : list) {
    const auto seen = known.find(token.content);
    const auto of_model = seen == known.end() ? model->token_to_id(token.content) : std::optional(seen->second);
    if (!of_model && next_id > kMaxTokenId) return Error{Errc::kInvalid, "added_tokens: too many"};
    token.id = of_model ? *of_model : next_id++;
    known[token.content] = token.id;
    std::string decoded = token.normalized ? normalize(token.content) : token.content;
    added.push_back({std::move(token), std::move(decoded)});
  }
  return {};
}

void Tokenizer::Impl::index_tokens() {
  tokens.resize(static_cast<size_t>(model->id_limit()));
  for (size_t i = 0; i < added.size(); ++i) {
    const auto id = static_cast<size_t>(added[i].token.id);
    if (id >= tokens.size()) tokens.resize(id + 1);
    tokens[id].added = static_cast<int32_t>(i);
  }
  std::unordered_set<std::string_view> special;
  for (const auto& entry : added) {
    if (entry.token.special) special.insert(entry.token.content);
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    auto& entry = tokens[i];
    const auto text = entry.added >= 0
                          ? std::optional<std::string_view>(added[static_cast<size_t>(entry.added)].decoded)
                          : model->id_to_token(id);
    entry.exists = text.has_value();
    if (!text) continue;
    entry.bytes_offset = bytes.size();
    decoder.append_token_bytes(*text, bytes);
    entry.bytes_size = static_cast<uint32_t>(bytes.size() - entry.bytes_offset);
    if (entry.added < 0) continue;
    // The reference knows a special token by the text that the decoder gets.
    entry.special = special.contains(*text);
    const Added& one = added[static_cast<size_t>(entry.added)];
    auto& finder = one.token.normalized ? normalized_tokens : raw_tokens;
    finder.add(one.decoded, one.token);
  }
  for (const auto content : special) {
    const auto id = model->token_to_id(content);
    if (id && tokens[static_cast<size_t>(*id)].added < 0) tokens[static_cast<size_t>(*id)].special = true;
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::parse(std::string_view tokenizer_json,
                                                          std::string_view config_json) {
  auto impl = std::make_unique<Impl>();
  {
    json::monotonic_resource memory;
    SWITCHYARD_ASSIGN(const json::value value, parse_json(tokenizer_json, "tokenizer.json", &memory));
    SWITCHYARD_ASSIGN(const auto* file, as_object(value, "tokenizer.json"));
    SWITCHYARD_TRY(impl->load(*file));
  }
  if (!config_json.empty()) {
    SWITCHYARD_ASSIGN(impl->config, parse_config(config_json, "tokenizer_config.json"));
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code code;
  const fs::path file = fs::is_directory(path, code) ? fs::path(path) / "tokenizer.json" : fs::path(path);
  const fs::path directory = file.parent_path();
  SWITCHYARD_ASSIGN(const std::string text, read_text_file(file.string()));
  std::string config;
  const fs::path config_file = directory / "tokenizer_config.json";
  if (fs::exists(config_file, code)) {
    SWITCHYARD_ASSIGN(config, read_text_file(config_file.string()));
  }
  auto impl = std::make_unique<Impl>();
  {
    json::monotonic_resource memory;
    auto value = parse_json(text, "not a tokenizer.json", &memory);
    if (!value.ok()) return in_file(file.string(), value.error());
    const auto* object = value->if_object();
    if (object == nullptr) return Error{Errc::kInvalid, fmt::format("{}: an object is expected", file.string())};
    if (const auto status = impl->load(*object); !status.ok()) return in_file(file.string(), status.error());
  }
  if (!config.empty()) {
    auto parsed = parse_config(config, "tokenizer_config.json");
    if (!parsed.ok()) return in_file(config_file.string(), parsed.error());
    impl->config = std::move(parsed).value();
  }
  const fs::path template_file = directory / "chat_template.jinja";
  if (fs::exists(template_file, code)) {
    SWITCHYARD_ASSIGN(std::string source, read_text_file(template_file.string()));
    auto& templates = impl->config.chat_templates;
    std::erase_if(templates, [](const auto& entry) { return entry.first == "default"; });
    templates.insert(templates.begin(), {"default", std::move(source)});
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, bool add_special_tokens, SpecialText special_text) const {
  std::string repaired;
  if (!is_valid_utf8(utf8)) {
    repaired = repair_utf8(utf8);
    utf8 = repaired;
  }
  const bool plain = special_text == SpecialText::kStaysText;
  std::vector<int32_t> out;
  out.reserve(utf8.size() / 3 + 4);
  std::vector<Segment> segments, inner;
  Pieces pieces;
  impl_->raw_tokens.split(utf8, plain, segments);
  for (const auto& segment : segments) {
    if (segment.id >= 0) {
      out.push_back(segment.id);
      continue;
    }
    // Where the normalizer drops the first character, the first piece begins behind it.
    const bool at_origin = segment.text.data() == utf8.data() && impl_->keeps_first(segment.text);
    std::string normalized;
    std::string_view text = segment.text;
    if (!impl_->normalizer.empty()) {
      normalized = impl_->normalize(text);
      text = normalized;
    }
    if (impl_->normalized_tokens.empty()) {
      impl_->encode_text(text, at_origin, pieces, out);
      continue;
    }
    inner.clear();
    impl_->normalized_tokens.split(text, plain, inner);
    for (const auto& part : inner) {
      if (part.id >= 0) {
        out.push_back(part.id);
      } else {
        impl_->encode_text(part.text, at_origin && part.text.data() == text.data(), pieces, out);
      }
    }
  }
  return impl_->post_processor.process(std::move(out), add_special_tokens);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string out;
  const auto wanted = [&](int32_t id) { return exists(id) && !(skip_special_tokens && is_special(id)); };
  if (impl_->decoder.joins_bytes()) {
    Utf8Repair repair;
    for (const int32_t id : ids) {
      if (wanted(id)) repair.push(token_bytes(id), out);
    }
    repair.finish(out);
    return out;
  }
  Decoder::Run run(impl_->decoder);
  for (const int32_t id : ids) {
    if (wanted(id)) run.push(impl_->token(id), out);
  }
  run.peek(out);
  return out;
}

bool Tokenizer::exists(int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->tokens[static_cast<size_t>(id)].exists;
}

std::string Tokenizer::token_text(int32_t id) const {
  if (!exists(id)) return {};
  const auto& token = impl_->tokens[static_cast<size_t>(id)];
  if (token.added >= 0) return impl_->added[static_cast<size_t>(token.added)].token.content;
  return std::string(impl_->model->id_to_token(id).value_or(std::string_view()));
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const auto& token = impl_->tokens[static_cast<size_t>(id)];
  return std::string_view(impl_->bytes).substr(token.bytes_offset, token.bytes_size);
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  for (const auto& added : impl_->added) {
    if (added.token.content == token) return added.token.id;
  }
  return impl_->model->token_to_id(token);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->tokens[static_cast<size_t>(id)].special;
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(impl_->tokens.size()); }

const TokenizerConfig& Tokenizer::config() const { return impl_->config; }

std::optional<int32_t> Tokenizer::bos_id() const {
  return impl_->config.bos_token.empty() ? std::nullopt : token_to_id(impl_->config.bos_token);
}

std::optional<int32_t> Tokenizer::eos_id() const {
  return impl_->config.eos_token.empty() ? std::nullopt : token_to_id(impl_->config.eos_token);
}

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {
  const Decoder& decoder = tokenizer_->impl_->decoder;
  if (!decoder.joins_bytes()) run_.emplace(decoder);
}

std::string StreamDecoder::push(int32_t id) {
  if (!tokenizer_->exists(id) || (skip_special_tokens_ && tokenizer_->is_special(id))) return {};
  if (run_) {
    run_->push(tokenizer_->impl_->token(id), text_);
    return fresh(false);
  }
  repair_.push(tokenizer_->token_bytes(id), text_);
  if (repair_.holds() || text_.ends_with(kReplacement)) return {};
  return std::exchange(text_, {});
}

std::string StreamDecoder::flush() {
  if (run_) return fresh(true);
  repair_.finish(text_);
  return std::exchange(text_, {});
}

std::string StreamDecoder::fresh(bool all) {
  // text_ is settled, what stands behind it would be the end if this were the last token.
  const size_t settled = text_.size();
  run_->peek(text_);
  std::string out;
  if (text_.size() > sent_ && (all || !text_.ends_with(kReplacement))) {
    // Bytes that broke a run can have spoiled what was sent: then the rest begins with a whole character.
    while (sent_ < text_.size() && (static_cast<unsigned char>(text_[sent_]) & 0xC0) == 0x80) ++sent_;
    out = text_.substr(sent_);
    sent_ = text_.size();
  }
  text_.resize(settled);
  if (!out.empty()) run_->settle(text_);
  const size_t done = std::min(sent_, text_.size());
  text_.erase(0, done);
  sent_ -= done;
  return out;
}

}  // namespace switchyard::text
