// The stage that adds a model's special tokens around the ids of a text. Kinds: BertProcessing, RobertaProcessing,
// TemplateProcessing, ByteLevel (which moves offsets and no ids), Sequence. Each is an entry of the list in
// post_processor.cpp; another kind is refused.
//
// Thread: any; const use. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

class PostProcessor {
 public:
  // Null adds nothing. Fails with kInvalid, naming the kind or the key.
  static Result<PostProcessor> load(const boost::json::value& spec, std::string_view where);

  // The ids of the whole text from those of its tokens.
  std::vector<int32_t> process(std::vector<int32_t> ids, bool add_special_tokens) const;

 private:
  // Ids in order, with kText where those of the text stand: once as a rule, but a template may repeat or leave them
  // out.
  static constexpr int32_t kText = -1;
  std::vector<int32_t> special_ = {kText};  // with special tokens
  std::vector<int32_t> plain_ = {kText};    // without
};

}  // namespace switchyard::text
