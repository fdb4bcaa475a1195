#include "common/text/decoder.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/byte_alphabet.h"
#include "common/text/decoders/stages.h"
#include "common/text/json_fields.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

struct Kind {
  std::string_view name;
  LoadedStage (*load)(const json::object& spec, std::string_view where);
};
constexpr std::string_view kByteLevel = "ByteLevel";
constexpr Kind kKinds[] = {
    {"BPEDecoder", load_bpe_decoder},
    {"ByteFallback", load_byte_fallback},
    {kByteLevel, load_byte_level_decoder},
    {"CTC", load_ctc},
    {"Fuse", load_fuse},
    {"Metaspace", load_metaspace_decoder},
    {"Replace", load_replace_decoder},
    {"Strip", load_strip_decoder},
    {"WordPiece", load_word_piece_decoder},
};

// Appends the stages of a decoder and their names; a Sequence is its stages one after the other.
Status load_stages(const json::value& spec, std::string_view where, std::vector<std::unique_ptr<DecoderStage>>& stages,
                   std::vector<std::string>& names) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(std::string type, string_field(*object, "type", where));
  if (type == "Sequence") {
    SWITCHYARD_ASSIGN(const auto* list, array_field(*object, "decoders", where));
    for (size_t i = 0; i < list->size(); ++i) {
      SWITCHYARD_TRY(load_stages((*list)[i], fmt::format("{}.decoders[{}]", where, i), stages, names));
    }
    return {};
  }
  for (const auto& kind : kKinds) {
    if (kind.name != type) continue;
    SWITCHYARD_ASSIGN(auto stage, kind.load(*object, where));
    stages.push_back(std::move(stage));
    names.push_back(std::move(type));
    return {};
  }
  return field_error(where, "type", fmt::format("the decoder '{}' is not supported", type));
}

}  // namespace

Result<Decoder> Decoder::load(const json::value& spec, std::string_view where) {
  Decoder out;
  if (spec.is_null()) {
    out.stages_.push_back(make_space_join());
    return out;
  }
  std::vector<std::string> names;
  SWITCHYARD_TRY(load_stages(spec, where, out.stages_, names));
  out.joins_bytes_ = names.size() == 1 && names[0] == kByteLevel;
  return out;
}

void Decoder::append_token_bytes(std::string_view token, std::string& out) const {
  if (joins_bytes_) {
    if (!text::append_token_bytes(token, out)) out += token;
    return;
  }
  std::string bytes(token);
  bool joined = false;
  for (const auto& stage : stages_) {
    bytes = stage->token_bytes(std::move(bytes), joined);
    if (!is_valid_utf8(bytes)) break;  // a part of a character, of which the later stages know nothing
    joined = joined || stage->joins();
  }
  out += bytes;
}

Decoder::Run::Run(const Decoder& decoder) {
  for (const auto& stage : decoder.stages_) flows_.push_back(stage->start());
}

void Decoder::Run::push(std::string_view token, std::string& out) {
  parts_.clear();
  parts_.push_back({std::string(token), true});
  for (const auto& flow : flows_) {
    next_.clear();
    for (auto& part : parts_) flow->push(std::move(part), next_);
    std::swap(parts_, next_);
  }
  for (const auto& part : parts_) out += part.text;
}

void Decoder::Run::peek(std::string& out) const {
  std::vector<std::unique_ptr<DecoderStage::Flow>> flows;
  flows.reserve(flows_.size());
  for (const auto& flow : flows_) flows.push_back(flow->clone());
  finish(flows, out);
}

void Decoder::Run::settle(std::string& out) {
  parts_.clear();
  for (const auto& flow : flows_) {
    next_.clear();
    for (auto& part : parts_) flow->push(std::move(part), next_);
    flow->settle(next_);
    std::swap(parts_, next_);
  }
  for (const auto& part : parts_) out += part.text;
}

void Decoder::Run::finish(std::vector<std::unique_ptr<DecoderStage::Flow>>& flows, std::string& out) {
  TokenParts parts, next;
  for (const auto& flow : flows) {
    next.clear();
    for (auto& part : parts) flow->push(std::move(part), next);
    flow->finish(next);
    std::swap(parts, next);
  }
  for (const auto& part : parts) out += part.text;
}

}  // namespace switchyard::text
