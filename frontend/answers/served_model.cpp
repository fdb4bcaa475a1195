#include "frontend/answers/served_model.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/base/log.h"
#include "common/checkpoint/checkpoint.h"
#include "common/text/chat_template.h"
#include "frontend/requests/chat_messages.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr const char* kNoTokens =
    R"({"model": {"type": "BPE", "vocab": {}, "merges": []}, "decoder": {"type": "ByteLevel"}, "added_tokens": []})";

Result<std::string> read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Error{Errc::kIo, "cannot read " + file};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The values that requests leave open, as vLLM's --generation-config auto takes them. An absent file changes nothing.
Status read_generation_config(const std::string& file, ModelFacts& facts) {
  if (!std::filesystem::exists(file)) return {};
  SWITCHYARD_ASSIGN(const std::string text, read_text(file));
  boost::system::error_code error;
  const json::value root = json::parse(text, error);
  if (error || !root.is_object()) return Error{Errc::kInvalid, file + ": not a JSON object"};
  Status status;
  const auto read = [&](const char* key, double least, double most, double& to) {
    const json::value* value = root.get_object().if_contains(key);
    if (value == nullptr || value->is_null() || !status.ok()) return;
    if (!value->is_number() || !(value->to_number<double>() >= least && value->to_number<double>() <= most)) {
      status = Error{Errc::kInvalid, fmt::format("{}: {}: not a number from {} to {}", file, key, least, most)};
      return;
    }
    to = value->to_number<double>();
  };
  double top_k = facts.top_k;
  read("temperature", 0, 100, facts.temperature);
  read("top_p", 0, 1, facts.top_p);
  read("top_k", -1, 1e9, top_k);
  read("min_p", 0, 1, facts.min_p);
  read("repetition_penalty", 1e-6, 1e6, facts.repetition_penalty);
  facts.top_k = static_cast<int32_t>(top_k);
  return status;
}

// pooling_type as configured; auto: what the model's own 1_Pooling/config.json says (sentence-transformers), else the
// last token, as vLLM for decoders.
Result<wire::Pooling> pooling_of(const config::ModelConfig& config) {
  if (config.pooling_type == "last") return wire::POOLING_LAST;
  if (config.pooling_type == "mean") return wire::POOLING_MEAN;
  const std::string file = config.path + "/1_Pooling/config.json";
  if (!std::filesystem::exists(file)) return wire::POOLING_LAST;
  SWITCHYARD_ASSIGN(const std::string text, read_text(file));
  boost::system::error_code error;
  const json::value root = json::parse(text, error);
  if (error || !root.is_object()) return Error{Errc::kInvalid, file + ": not a JSON object"};
  const auto is_on = [&](const char* key) {
    const json::value* value = root.get_object().if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
  };
  if (is_on("pooling_mode_mean_tokens")) return wire::POOLING_MEAN;
  if (is_on("pooling_mode_lasttoken")) return wire::POOLING_LAST;
  return Error{Errc::kInvalid, file + ": neither the mean nor the last token is pooled; model.pooling_type can say so"};
}

class LoadedModel final : public ServedModel {
 public:
  Status load(const config::ModelConfig& config, const config::FrontendConfig& frontend) {
    SWITCHYARD_ASSIGN(const checkpoint::ModelSpec spec, checkpoint::Checkpoint::read_spec(config.path));
    facts_.name = config.served_model_name;
    if (facts_.name.empty()) {
      const auto path = std::filesystem::path(config.path).lexically_normal();
      facts_.name = (path.has_filename() ? path : path.parent_path()).filename().string();
    }
    facts_.vocab_size = static_cast<int32_t>(spec.vocab_size);
    facts_.max_model_len =
        config.max_model_len == 0 ? spec.max_position : std::min(config.max_model_len, spec.max_position);
    facts_.eos_token_ids = spec.eos_token_ids;
    SWITCHYARD_TRY(read_generation_config(config.path + "/generation_config.json", facts_));
    SWITCHYARD_ASSIGN(facts_.pooling, pooling_of(config));
    if (!std::filesystem::exists(config.path + "/tokenizer.json")) {
      log_warn("the model has no tokenizer.json: prompts must be token ids, and answers have no text",
               {{"model", facts_.name}});
      facts_.has_tokenizer = false;
      SWITCHYARD_ASSIGN(tokenizer_, text::Tokenizer::parse(kNoTokens, ""));
      return {};
    }
    SWITCHYARD_ASSIGN(tokenizer_, text::Tokenizer::load(config.path));

    std::string source;
    if (!config.chat_template.empty()) {
      SWITCHYARD_ASSIGN(source, read_text(config.chat_template));
    } else if (const std::string* own = tokenizer_->config().chat_template()) {
      source = *own;
    }
    if (source.empty()) {
      log_warn("the model has no chat template; /v1/chat/completions will refuse", {{"model", facts_.name}});
      return {};
    }
    SWITCHYARD_ASSIGN(template_, text::ChatTemplate::parse(source));
    form_ = form_of_template([this](const json::value& messages, const json::value& tools) {
      return render(messages, tools, {{"add_generation_prompt", true}});
    });
    parsing_ = parsing_of_model(frontend, source, spec.architecture, *tokenizer_);
    log_info("answers are parsed", {{"tool_calls", parsing_.calls == nullptr ? "none" : parsing_.calls->name},
                                    {"reasoning", parsing_.reasoning == nullptr ? "none" : parsing_.reasoning->name}});
    return {};
  }

  const ModelFacts& facts() const override { return facts_; }
  std::shared_ptr<const text::Tokenizer> tokenizer() const override { return tokenizer_; }
  int64_t created() const override { return created_; }

  const ModelParsing& parsing() const override { return parsing_; }

  Result<std::string> chat_text(ChatRequest& chat) const override {
    if (!facts_.has_tokenizer) return Error{Errc::kInvalid, kNoTokenizer};
    if (!template_)
      return Error{Errc::kInvalid,
                   "This model has no chat template (model.chat_template sets one); use /v1/completions."};
    shape_messages(chat.messages, form_);
    return render(chat.messages, chat.tools, chat.chat_template_kwargs);
  }

 private:
  Result<std::string> render(const json::value& messages, const json::value& tools, json::object kwargs) const {
    const text::TokenizerConfig& config = tokenizer_->config();
    const auto set = [&](const char* name, const std::string& token) {
      if (!token.empty() && !kwargs.contains(name)) kwargs[name] = token;
    };
    set("bos_token", config.bos_token);
    set("eos_token", config.eos_token);
    set("unk_token", config.unk_token);
    set("pad_token", config.pad_token);
    return template_->render(messages, tools, kwargs);
  }

  ModelFacts facts_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::ChatTemplate> template_;
  TemplateForm form_;
  ModelParsing parsing_;
  const int64_t created_ =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
};

}  // namespace

std::string ServedModel::token_string(int32_t id) const {
  if (!facts().has_tokenizer) return fmt::format("token_id:{}", id);
  return tokenizer()->decode(std::span(&id, 1), false);
}

Result<std::shared_ptr<const ServedModel>> ServedModel::load(const config::ModelConfig& config,
                                                             const config::FrontendConfig& frontend) {
  auto model = std::make_shared<LoadedModel>();
  SWITCHYARD_TRY(model->load(config, frontend));
  return std::shared_ptr<const ServedModel>(std::move(model));
}

}  // namespace switchyard::frontend
