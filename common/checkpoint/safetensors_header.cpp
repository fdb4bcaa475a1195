// The header's JSON is parsed by events, not into a document: that is how a name that occurs twice is seen, and a
// header of 100 MB costs no tree of values.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <cstring>
#include <unordered_set>

#include "common/base/git_lfs.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {
namespace {

using boost::json::string_view;
using ErrorCode = boost::json::error_code;

DataType parse_type(std::string_view name) {
  for (int i = 0; i < static_cast<int>(DataType::kUnknown); ++i) {
    if (name == to_string(static_cast<DataType>(i))) return static_cast<DataType>(i);
  }
  return DataType::kUnknown;
}

struct HeaderTensor {
  std::string name;
  std::string type_name;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> range;
  bool has_type = false, has_shape = false, has_range = false;
};

// Expects {"NAME": {"dtype": "BF16", "shape": [..], "data_offsets": [begin, end]}, ..., "__metadata__": {..}}.
struct HeaderHandler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = 4096;
  static constexpr std::size_t max_string_size = 1 << 20;

  std::vector<HeaderTensor> tensors;
  std::string problem;  // set when parsing stops for a reason of ours

  int depth = 0;
  bool metadata = false;
  bool in_array = false;
  std::string key, text;
  std::unordered_set<std::string> names;

  bool fail(std::string what, ErrorCode& ec) {
    problem = std::move(what);
    ec = boost::json::make_error_code(boost::json::error::exception);
    return false;
  }
  std::string where() const { return tensors.empty() ? std::string("header") : "tensor " + tensors.back().name; }
  bool unexpected(const char* what, ErrorCode& ec) {
    if (metadata && depth >= 2) return true;
    if (depth == 0) return fail(fmt::format("the header is {}, not an object", what), ec);
    if (depth == 1) return fail(fmt::format("the header's entry {} is {}, not an object", key, what), ec);
    return fail(fmt::format("{}: {} is {}", where(), key, what), ec);
  }

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode& ec) {
    if (metadata && depth >= 2) return ++depth, true;
    if (depth >= 2 || in_array) return unexpected("an object", ec);
    if (depth == 1) {
      metadata = key == "__metadata__";
      if (!metadata) {
        if (!names.insert(key).second) return fail(fmt::format("tensor {} occurs twice in the header", key), ec);
        tensors.emplace_back();
        tensors.back().name = key;
      }
    }
    ++depth;
    return true;
  }
  bool on_object_end(std::size_t, ErrorCode& ec) {
    --depth;
    if (depth != 1) return true;
    if (metadata) {
      metadata = false;
      return true;
    }
    const HeaderTensor& t = tensors.back();
    if (!t.has_type) return fail(fmt::format("tensor {}: dtype is missing", t.name), ec);
    if (!t.has_shape) return fail(fmt::format("tensor {}: shape is missing", t.name), ec);
    if (!t.has_range || t.range.size() != 2) {
      return fail(fmt::format("tensor {}: data_offsets must be two integers", t.name), ec);
    }
    return true;
  }
  bool on_array_begin(ErrorCode& ec) {
    if (metadata && depth >= 2) return true;
    if (depth != 2 || in_array || (key != "shape" && key != "data_offsets")) return unexpected("an array", ec);
    HeaderTensor& t = tensors.back();
    bool& seen = key == "shape" ? t.has_shape : t.has_range;
    if (seen) return fail(fmt::format("tensor {}: {} occurs twice", t.name, key), ec);
    seen = in_array = true;
    return true;
  }
  bool on_array_end(std::size_t, ErrorCode&) {
    if (!metadata) in_array = false;
    return true;
  }
  bool on_key_part(string_view part, std::size_t, ErrorCode&) { return text.append(part.data(), part.size()), true; }
  bool on_key(string_view part, std::size_t, ErrorCode&) {
    text.append(part.data(), part.size());
    if (!metadata) key = text;
    text.clear();
    return true;
  }
  bool on_string_part(string_view part, std::size_t, ErrorCode&) { return text.append(part.data(), part.size()), true; }
  bool on_string(string_view part, std::size_t, ErrorCode& ec) {
    text.append(part.data(), part.size());
    const std::string value = std::move(text);
    text.clear();
    if (metadata && depth >= 2) return true;
    if (depth != 2 || in_array || key != "dtype") return unexpected("a string", ec);
    HeaderTensor& t = tensors.back();
    if (t.has_type) return fail(fmt::format("tensor {}: dtype occurs twice", t.name), ec);
    t.has_type = true;
    t.type_name = value;
    return true;
  }
  bool on_number_part(string_view, ErrorCode&) { return true; }
  bool on_int64(std::int64_t value, string_view, ErrorCode& ec) {
    if (value < 0) return unexpected("negative", ec);
    return on_uint64(static_cast<std::uint64_t>(value), {}, ec);
  }
  bool on_uint64(std::uint64_t value, string_view, ErrorCode& ec) {
    if (metadata && depth >= 2) return true;
    if (depth != 2 || !in_array) return unexpected("a number", ec);
    HeaderTensor& t = tensors.back();
    std::vector<uint64_t>& list = key == "shape" ? t.shape : t.range;
    if (list.size() == kTensorDimsMax) return fail(fmt::format("tensor {}: {} is too long", t.name, key), ec);
    list.push_back(value);
    return true;
  }
  bool on_double(double, string_view, ErrorCode& ec) { return unexpected("a fraction", ec); }
  bool on_bool(bool, ErrorCode& ec) { return unexpected("a boolean", ec); }
  bool on_null(ErrorCode& ec) { return unexpected("null", ec); }
  bool on_comment_part(string_view, ErrorCode&) { return true; }
  bool on_comment(string_view, ErrorCode&) { return true; }
};

// Elements of a shape, or nothing when they overflow 64 bits.
std::optional<uint64_t> element_count(const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (uint64_t side : shape) {
    if (__builtin_mul_overflow(count, side, &count)) return std::nullopt;
  }
  return count;
}

}  // namespace

bool read_safetensors(const std::string& path, Problems& problems, std::vector<TensorEntry>& tensors) {
  auto opened = MappedFile::open(path);
  if (!opened) {
    problems.add(opened.error().code, opened.error().message);
    return false;
  }
  const std::shared_ptr<const MappedFile> file = std::move(opened).value();
  const auto* text = reinterpret_cast<const char*>(file->data());
  if (is_git_lfs_pointer({text, std::min<uint64_t>(file->size(), 64)})) {
    problems.add(fmt::format("{}: {}", path, kGitLfsProblem));
    return false;
  }
  if (file->size() < 8) {
    problems.add(fmt::format("{}: {} bytes: too short for a safetensors file", path, file->size()));
    return false;
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file->data(), 8);
  if (header_bytes > kHeaderBytesMax) {
    problems.add(fmt::format("{}: header length {} at offset 0 is above the limit of {}: not a safetensors file?", path,
                             header_bytes, kHeaderBytesMax));
    return false;
  }
  if (header_bytes > file->size() - 8) {
    problems.add(fmt::format("{}: truncated: the header needs {} bytes at offset 8, the file has {} bytes", path,
                             header_bytes, file->size()));
    return false;
  }

  boost::json::basic_parser<HeaderHandler> parser{boost::json::parse_options{}};
  ErrorCode ec;
  const char* json = reinterpret_cast<const char*>(file->data()) + 8;
  const size_t used = parser.write_some(false, json, header_bytes, ec);
  HeaderHandler& header = parser.handler();
  if (!header.problem.empty()) {
    problems.add(fmt::format("{}: {} (header, near offset {})", path, header.problem, 8 + used));
    return false;
  }
  // The header may be padded with spaces at its end.
  if (!ec && std::any_of(json + used, json + header_bytes, [](char c) { return c != ' ' && c != '\n'; })) {
    ec = boost::json::make_error_code(boost::json::error::extra_data);
  }
  if (ec) {
    problems.add(fmt::format("{}: the header is not JSON at offset {}: {}", path, 8 + used, ec.message()));
    return false;
  }

  const uint64_t data_begin = 8 + header_bytes;
  const uint64_t data_bytes = file->size() - data_begin;
  const size_t first = tensors.size();
  for (HeaderTensor& t : header.tensors) {
    TensorEntry entry;
    entry.name = std::move(t.name);
    entry.type = parse_type(t.type_name);
    entry.type_name = std::move(t.type_name);
    entry.shape = std::move(t.shape);
    entry.file = file;
    const uint64_t begin = t.range[0], end = t.range[1];
    // Nonsense offsets must not overflow what is computed from them.
    const bool sane = begin <= end && end <= (uint64_t{1} << 62);
    entry.offset = sane ? data_begin + begin : data_begin;
    entry.bytes = sane ? end - begin : 0;
    const auto count = element_count(entry.shape);
    uint64_t expected = 0;
    const bool known = entry.type != DataType::kUnknown;
    const bool fits = count && !__builtin_mul_overflow(*count, uint64_t{element_bytes(entry.type)}, &expected);
    if (!sane) {
      entry.damaged = true;
      problems.add(fmt::format("{}: data_offsets [{}, {}] are no range", place(entry), begin, end));
    } else if (end > data_bytes) {
      entry.damaged = true;
      problems.add(fmt::format("{}: {} {} needs {} bytes, up to offset {}, but the file has only {} bytes: truncated?",
                               place(entry), entry.type_name, shape_text(entry.shape), entry.bytes, data_begin + end,
                               file->size()));
    } else if (known && (!fits || expected != entry.bytes)) {
      entry.damaged = true;
      problems.add(fmt::format("{}: {} {} is {} bytes, but data_offsets give it {}", place(entry), entry.type_name,
                               shape_text(entry.shape), fits ? std::to_string(expected) : "more than 2^64",
                               entry.bytes));
    }
    tensors.push_back(std::move(entry));
  }

  // The tensors must tile the data: no two overlap, nothing is left between them or behind.
  std::vector<TensorEntry*> order;
  for (size_t i = first; i < tensors.size(); ++i) {
    if (!tensors[i].damaged) order.push_back(&tensors[i]);
  }
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  const bool complete = order.size() == tensors.size() - first;
  uint64_t end = data_begin;
  const TensorEntry* previous = nullptr;
  for (TensorEntry* t : order) {
    if (t->offset < end) {
      t->damaged = true;
      problems.add(fmt::format("{}: overlaps tensor {}, which ends at offset {}", place(*t), previous->name, end));
    } else if (t->offset > end && complete) {
      problems.add_minor(
          fmt::format("{}: {} bytes at offset {} before it belong to no tensor", place(*t), t->offset - end, end));
    }
    if (t->offset + t->bytes >= end) {
      end = t->offset + t->bytes;
      previous = t;
    }
  }
  if (complete && end < file->size()) {
    problems.add_minor(fmt::format("{}: {} bytes at offset {} belong to no tensor", path, file->size() - end, end));
  }
  return true;
}

}  // namespace switchyard::checkpoint
