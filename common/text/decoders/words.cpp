#include <boost/json.hpp>

#include "common/text/decoders/flows.h"
#include "common/text/decoders/stages.h"
#include "common/text/json_fields.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// Every occurrence of `what`; an empty one stands before each character and at the end.
std::string replaced(std::string_view text, std::string_view what, std::string_view content) {
  std::string out;
  size_t at = 0;
  if (what.empty()) {
    while (at < text.size()) {
      const size_t begin = at;
      next_code_point(text, at);
      out += content;
      out += text.substr(begin, at - begin);
    }
    out += content;
    return out;
  }
  for (size_t found = text.find(what); found != std::string_view::npos; found = text.find(what, at)) {
    out += text.substr(at, found - at);
    out += content;
    at = found + what.size();
  }
  out += text.substr(at);
  return out;
}

// The spaces that tokenizers for English leave: transformers' clean_up_tokenization, as the reference has it.
std::string cleaned(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [what, content] : kRules) {
    if (text.find(what) != std::string::npos) text = replaced(text, what, content);
  }
  return text;
}

class SpaceJoin : public DecoderStage {
 public:
  std::unique_ptr<Flow> start() const override { return make_flow(State()); }
  std::string token_bytes(std::string token, bool) const override { return " " + token; }

 private:
  struct State : WholeTokens<State> {
    bool first = true;
    void token(std::string token, TokenParts& out) {
      out.push_back({first ? std::move(token) : " " + token, true});
      first = false;
    }
  };
};

class WordPiece : public DecoderStage {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  std::unique_ptr<Flow> start() const override { return make_flow(State(this)); }
  std::string token_bytes(std::string token, bool joined) const override { return decoded(std::move(token), joined); }

 private:
  struct State : WholeTokens<State> {
    explicit State(const WordPiece* of) : stage(of) {}
    const WordPiece* stage;
    bool first = true;
    void token(std::string token, TokenParts& out) {
      out.push_back({stage->decoded(std::move(token), first), true});
      first = false;
    }
  };

  std::string decoded(std::string token, bool first) const {
    if (!first) token = token.starts_with(prefix_) ? token.substr(prefix_.size()) : " " + token;
    return cleanup_ ? cleaned(std::move(token)) : token;
  }

  std::string prefix_;
  bool cleanup_;
};

// The mark at the end of a word becomes a space, but for the last token's.
class BpeSuffix : public DecoderStage {
 public:
  explicit BpeSuffix(std::string suffix) : suffix_(std::move(suffix)) {}
  std::unique_ptr<Flow> start() const override { return make_flow(State(this)); }
  std::string token_bytes(std::string token, bool joined) const override {
    return replaced(token, suffix_, joined ? "" : " ");
  }

 private:
  struct State : WholeTokens<State> {
    explicit State(const BpeSuffix* of) : stage(of) {}
    const BpeSuffix* stage;
    bool holds = false;
    std::string held;
    void token(std::string token, TokenParts& out) {
      if (holds) out.push_back({replaced(held, stage->suffix_, " "), true});
      held = std::move(token);
      holds = true;
    }
    void finish(TokenParts& out) {
      if (holds) out.push_back({replaced(held, stage->suffix_, ""), true});
      holds = false;
    }
  };

  std::string suffix_;
};

// Connectionist temporal classification: a token again is the same token, pads are nothing.
class Ctc : public DecoderStage {
 public:
  Ctc(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}
  std::unique_ptr<Flow> start() const override { return make_flow(State(this)); }
  std::string token_bytes(std::string token, bool) const override { return decoded(token); }

 private:
  struct State : WholeTokens<State> {
    explicit State(const Ctc* of) : stage(of) {}
    const Ctc* stage;
    bool first = true;
    std::string before;
    void token(std::string token, TokenParts& out) {
      const bool again = !first && token == before;
      first = false;
      if (again) return;
      std::string text = stage->decoded(token);
      before = std::move(token);
      if (!text.empty()) out.push_back({std::move(text), true});
    }
  };

  std::string decoded(std::string_view token) const {
    std::string text = replaced(token, pad_, "");
    return cleanup_ ? replaced(cleaned(std::move(text)), delimiter_, " ") : text;
  }

  std::string pad_;
  std::string delimiter_;
  bool cleanup_;
};

}  // namespace

std::unique_ptr<DecoderStage> make_space_join() { return std::make_unique<SpaceJoin>(); }

LoadedStage load_word_piece_decoder(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(std::string prefix, string_field(spec, "prefix", where));
  SWITCHYARD_ASSIGN(const bool cleanup, bool_field(spec, "cleanup", true, where));
  return std::unique_ptr<DecoderStage>(std::make_unique<WordPiece>(std::move(prefix), cleanup));
}

LoadedStage load_bpe_decoder(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(std::string suffix, string_field(spec, "suffix", where));
  return std::unique_ptr<DecoderStage>(std::make_unique<BpeSuffix>(std::move(suffix)));
}

LoadedStage load_ctc(const json::object& spec, std::string_view where) {
  SWITCHYARD_ASSIGN(std::string pad, string_field(spec, "pad_token", where));
  SWITCHYARD_ASSIGN(std::string delimiter, string_field(spec, "word_delimiter_token", where));
  SWITCHYARD_ASSIGN(const bool cleanup, bool_field(spec, "cleanup", true, where));
  return std::unique_ptr<DecoderStage>(std::make_unique<Ctc>(std::move(pad), std::move(delimiter), cleanup));
}

}  // namespace switchyard::text
