#include <boost/json.hpp>

#include "common/text/decoders/flows.h"
#include "common/text/decoders/stages.h"
#include "common/text/json_fields.h"
#include "common/text/normalizers/replace.h"
#include "common/text/pre_tokenizers/metaspace.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// Marks become spaces; those of the first token go where the pre-tokenizer put one before it.
class Metaspace : public DecoderStage {
 public:
  explicit Metaspace(const MetaspaceOptions& options) : drops_first_(options.prepend != Prepend::kNever) {
    append_code_point(mark_, options.replacement);
  }
  std::unique_ptr<Flow> start() const override { return make_flow(State{this, true}); }
  std::string token_bytes(std::string token, bool joined) const override { return decoded(token, joined); }

 private:
  struct State {
    const Metaspace* stage;
    bool first;
    void push(TokenPart part, TokenParts& out) {
      out.push_back({stage->decoded(part.text, first), part.ends});
      if (part.ends) first = false;
    }
    void finish(TokenParts&) {}
  };

  std::string decoded(std::string_view token, bool first) const {
    std::string out;
    size_t at = 0;
    for (size_t found = token.find(mark_); found != std::string_view::npos; found = token.find(mark_, at)) {
      out += token.substr(at, found - at);
      if (!first || !drops_first_) out += ' ';
      at = found + mark_.size();
    }
    out += token.substr(at);
    return out;
  }

  bool drops_first_;
  std::string mark_;
};

// Takes some of one character off both ends of each token.
class Strip : public DecoderStage {
 public:
  Strip(std::string content, size_t start_count, size_t stop_count)
      : content_(std::move(content)), start_count_(start_count), stop_count_(stop_count) {}
  std::unique_ptr<Flow> start() const override { return make_flow(State{this}); }
  std::string token_bytes(std::string token, bool joined) const override {
    if (joined) return token;
    State state{this};
    TokenParts out;
    state.push({std::move(token), true}, out);
    return out[0].text;
  }

 private:
  struct State {
    const Strip* stage;
    bool leading = true;
    size_t cut = 0;   // at the start
    size_t held = 0;  // at the end, perhaps to be cut
    void push(TokenPart part, TokenParts& out) {
      std::string text;
      for (size_t at = 0; at < part.text.size();) {
        const size_t begin = at;
        next_code_point(part.text, at);
        const auto character = std::string_view(part.text).substr(begin, at - begin);
        const bool content = character == stage->content_;
        leading = leading && content && cut < stage->start_count_;
        if (leading) {
          ++cut;
        } else if (content && held < stage->stop_count_) {
          ++held;
        } else if (content) {
          text += character;
        } else {
          for (; held > 0; --held) text += stage->content_;
          text += character;
        }
      }
      out.push_back({std::move(text), part.ends});
      if (part.ends) *this = State{stage};
    }
    void finish(TokenParts&) {}
  };

  std::string content_;
  size_t start_count_;
  size_t stop_count_;
};

class Replace : public DecoderStage {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::unique_ptr<Flow> start() const override { return make_flow(State{this, {}}); }
  std::string token_bytes(std::string token, bool) const override {
    return replace_matches(pattern_.regex, token, content_);
  }

 private:
  struct State {
    const Replace* stage;
    std::string held;  // what a match may begin in
    void push(TokenPart part, TokenParts& out) {
      held += part.text;
      // Of a token that goes on, a text to find settles all but its own beginnings; a regex settles nothing.
      const size_t kept = part.ends ? 0 : stage->unsettled(held);
      if (!part.ends && kept == held.size()) return;
      const std::string settled = held.substr(0, held.size() - kept);
      out.push_back({replace_matches(stage->pattern_.regex, settled, stage->content_), part.ends});
      held.erase(0, settled.size());
    }
    void finish(TokenParts&) {}
  };

  size_t unsettled(std::string_view text) const {
    if (!pattern_.literal || pattern_.literal->empty()) return text.size();
    const std::string_view literal = *pattern_.literal;
    size_t done = 0;
    for (size_t found = text.find(literal); found != std::string_view::npos; found = text.find(literal, done)) {
      done = found + literal.size();
    }
    for (size_t kept = std::min(literal.size() - 1, text.size() - done); kept > 0; --kept) {
      if (text.ends_with(literal.substr(0, kept))) return kept;
    }
    return 0;
  }

  Pattern pattern_;
  std::string content_;
};

}  // namespace

LoadedStage load_metaspace_decoder(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto options, load_metaspace_options(spec, where));
  return std::unique_ptr<DecoderStage>(std::make_unique<Metaspace>(options));
}

LoadedStage load_strip_decoder(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(const char32_t content, character_field(spec, "content", where));
  SWITCHYARD_ASSIGN(const size_t start_count, count_field(spec, "start", where));
  SWITCHYARD_ASSIGN(const size_t stop_count, count_field(spec, "stop", where));
  std::string character;
  append_code_point(character, content);
  return std::unique_ptr<DecoderStage>(std::make_unique<Strip>(std::move(character), start_count, stop_count));
}

LoadedStage load_replace_decoder(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(auto pattern, pattern_field(spec, where));
  SWITCHYARD_ASSIGN(std::string content, string_field(spec, "content", where));
  return std::unique_ptr<DecoderStage>(std::make_unique<Replace>(std::move(pattern), std::move(content)));
}

}  // namespace switchyard::text
