// The decoders, one load_ each: it gives its stage, or fails with kInvalid and the key.
//
// Thread: any.
#pragma once

#include "common/text/decoder.h"

namespace switchyard::text {

using LoadedStage = Result<std::unique_ptr<DecoderStage>>;

// Stages that look at a token's bytes (decoders/bytes.cpp).
LoadedStage load_byte_fallback(const boost::json::object& spec, std::string_view where);
LoadedStage load_byte_level_decoder(const boost::json::object& spec, std::string_view where);
LoadedStage load_fuse(const boost::json::object& spec, std::string_view where);

// Stages that look at words (decoders/words.cpp).
LoadedStage load_bpe_decoder(const boost::json::object& spec, std::string_view where);
LoadedStage load_ctc(const boost::json::object& spec, std::string_view where);
LoadedStage load_word_piece_decoder(const boost::json::object& spec, std::string_view where);
std::unique_ptr<DecoderStage> make_space_join();

// Stages that look at characters (decoders/characters.cpp).
LoadedStage load_metaspace_decoder(const boost::json::object& spec, std::string_view where);
LoadedStage load_replace_decoder(const boost::json::object& spec, std::string_view where);
LoadedStage load_strip_decoder(const boost::json::object& spec, std::string_view where);

}  // namespace switchyard::text
