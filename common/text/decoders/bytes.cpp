#include <boost/json.hpp>
#include <optional>

#include "common/text/byte_alphabet.h"
#include "common/text/decoders/flows.h"
#include "common/text/decoders/stages.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// The byte of a token "<0xNN>". A sign instead of the first digit is taken too, as in the reference.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

// A run of byte tokens is a text, or where it is not UTF-8 as a whole, one U+FFFD a byte.
class ByteFallback : public DecoderStage {
 public:
  std::unique_ptr<Flow> start() const override { return make_flow(State()); }
  std::string token_bytes(std::string token, bool) const override {
    const auto byte = byte_of(token);
    return byte ? std::string(1, *byte) : token;
  }

 private:
  struct State : WholeTokens<State> {
    std::string run;        // bytes that are not given out
    bool given = false;     // the run's beginning is, as a part of its token
    bool broken = false;    // the run can become no text: its bytes are given out as they come
    Utf8Repair check;       // of the run's last character
    std::string character;  // its bytes

    void token(std::string token, TokenParts& out) {
      const auto byte = byte_of(token);
      if (!byte) {
        finish(out);
        out.push_back({std::move(token), true});
        return;
      }
      run += *byte;
      character += *byte;
      std::string repaired;
      check.push({&*byte, 1}, repaired);
      if (!broken && !check.holds()) {
        broken = character.size() > 4 || !is_valid_utf8(character);
        character.clear();
      }
      if (broken) give_broken(out);
    }
    void give_broken(TokenParts& out) {
      if (given) out.push_back({std::string(), true});
      given = false;
      for (size_t i = 0; i < run.size(); ++i) out.push_back({std::string(kReplacement), true});
      run.clear();
    }
    void finish(TokenParts& out) {
      if (check.holds() || broken) {
        give_broken(out);
      } else if (given || !run.empty()) {
        out.push_back({run, true});
      }
      *this = State();
    }
    void settle(TokenParts& out) {
      if (run.empty() || broken || check.holds()) return;
      out.push_back({std::exchange(run, {}), false});
      given = true;
    }
  };
};

// Characters of the alphabet are bytes; a token with a character outside of it (most special tokens) is its own UTF-8.
class ByteLevel : public DecoderStage {
 public:
  std::unique_ptr<Flow> start() const override { return make_flow(State()); }
  std::string token_bytes(std::string token, bool) const override {
    auto bytes = token_to_bytes(token);
    return bytes ? std::move(*bytes) : std::move(token);
  }

  bool joins() const override { return true; }

 private:
  struct State : WholeTokens<State> {
    Utf8Repair repair;
    void token(const std::string& token, TokenParts& out) {
      const auto bytes = token_to_bytes(token);
      std::string text;
      repair.push(bytes ? *bytes : token, text);
      if (!text.empty()) out.push_back({std::move(text), false});
    }
    void finish(TokenParts& out) {
      std::string text;
      repair.finish(text);
      out.push_back({std::move(text), true});
    }
  };
};

class Fuse : public DecoderStage {
 public:
  std::unique_ptr<Flow> start() const override { return make_flow(State()); }
  std::string token_bytes(std::string token, bool) const override { return token; }

  bool joins() const override { return true; }

 private:
  struct State {
    void push(TokenPart part, TokenParts& out) {
      part.ends = false;
      out.push_back(std::move(part));
    }
    void finish(TokenParts& out) { out.push_back({std::string(), true}); }
  };
};

}  // namespace

LoadedStage load_byte_fallback(const json::object&, std::string_view) {
  return std::unique_ptr<DecoderStage>(std::make_unique<ByteFallback>());
}
LoadedStage load_byte_level_decoder(const json::object&, std::string_view) {
  return std::unique_ptr<DecoderStage>(std::make_unique<ByteLevel>());
}
LoadedStage load_fuse(const json::object&, std::string_view) {
  return std::unique_ptr<DecoderStage>(std::make_unique<Fuse>());
}

}  // namespace switchyard::text
