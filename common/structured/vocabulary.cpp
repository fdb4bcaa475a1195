#include "common/structured/vocabulary.h"

#include <algorithm>
#include <limits>

namespace switchyard::structured {

Vocabulary::Vocabulary(const std::vector<std::string_view>& tokens) {
  offsets_.reserve(tokens.size() + 1);
  for (const std::string_view token : tokens) {
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
    bytes_ += token;
  }
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));

  for (size_t id = 0; id < tokens.size(); ++id)
    if (!tokens[id].empty() && tokens[id].size() < std::numeric_limits<uint16_t>::max())
      ids_.push_back(static_cast<int32_t>(id));
  std::sort(ids_.begin(), ids_.end(), [&](int32_t a, int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });

  std::vector<uint32_t> path{0};  // nodes from the root to where the last token ends
  nodes_.push_back({0, 0, 0, 0});
  std::string_view last;
  for (size_t i = 0; i < ids_.size(); ++i) {
    const std::string_view token = bytes(ids_[i]);
    const auto [differs, unused] = std::mismatch(last.begin(), last.end(), token.begin(), token.end());
    const auto shared = static_cast<size_t>(differs - last.begin());
    while (path.size() > shared + 1) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
    for (size_t depth = shared; depth < token.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back(
          {0, static_cast<uint32_t>(i), static_cast<uint16_t>(depth + 1), static_cast<uint8_t>(token[depth])});
    }
    last = token;
  }
  for (const uint32_t node : path) nodes_[node].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<uint32_t>(ids_.size()), 0, 0});
}

std::string_view Vocabulary::bytes(int32_t id) const {
  const auto i = static_cast<size_t>(id);
  if (id < 0 || i + 1 >= offsets_.size()) return {};
  return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

size_t Vocabulary::memory_bytes() const {
  return bytes_.size() + offsets_.size() * sizeof(uint32_t) + nodes_.size() * sizeof(Node) +
         ids_.size() * sizeof(int32_t);
}

}  // namespace switchyard::structured
