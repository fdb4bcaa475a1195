#include "common/checkpoint/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/git_lfs.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {
namespace {

namespace json = boost::json;

constexpr uint64_t kJsonBytesMax = 64 << 20;

const char* kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "an integer";
    case json::kind::double_: return "a fraction";
    case json::kind::string: return "a string";
    case json::kind::array: return "a list";
    case json::kind::object: return "an object";
  }
  return "?";
}

// What a value is, short enough for a message.
std::string shown(const json::value& value) {
  if (value.is_array() || value.is_object()) return kind_name(value);
  std::string text = json::serialize(value);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

std::optional<int64_t> as_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return std::numeric_limits<int64_t>::max();
  return std::nullopt;
}

std::optional<double> as_number(const json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return std::nullopt;
}

}  // namespace

ConfigReader::ConfigReader(std::string file, std::string prefix, std::shared_ptr<const json::value> document,
                           const json::object* object, Problems* problems)
    : file_(std::move(file)),
      prefix_(std::move(prefix)),
      document_(std::move(document)),
      object_(object),
      problems_(problems) {}

std::optional<ConfigReader> ConfigReader::open(const std::string& path, Problems& problems) {
  auto mapped = MappedFile::open(path);
  if (!mapped) {
    problems.add(mapped.error().code, mapped.error().message);
    return std::nullopt;
  }
  const MappedFile& bytes = **mapped;
  if (bytes.size() > kJsonBytesMax) {
    problems.add(fmt::format("{}: {} bytes: above the limit of {}", path, bytes.size(), kJsonBytesMax));
    return std::nullopt;
  }
  if (is_git_lfs_pointer({reinterpret_cast<const char*>(bytes.data()), std::min<uint64_t>(bytes.size(), 64)})) {
    problems.add(fmt::format("{}: {}", path, kGitLfsProblem));
    return std::nullopt;
  }
  json::stream_parser parser;
  json::error_code ec;
  const size_t used = parser.write(reinterpret_cast<const char*>(bytes.data()), bytes.size(), ec);
  if (!ec) parser.finish(ec);
  if (ec) {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    const auto line = 1 + std::count(begin, begin + used, '\n');
    problems.add(fmt::format("{}: not JSON, line {}: {}", path, line, ec.message()));
    return std::nullopt;
  }
  auto document = std::make_shared<const json::value>(parser.release());
  if (!document->is_object()) {
    problems.add(fmt::format("{}: must be an object, is {}", path, kind_name(*document)));
    return std::nullopt;
  }
  const json::object* object = &document->get_object();
  return ConfigReader(path, "", std::move(document), object, &problems);
}

const json::value* ConfigReader::find(Key key) const {
  for (std::string_view name : {key.name, key.alias}) {
    if (name.empty()) continue;
    const json::value* value = object_->if_contains(json::string_view(name.data(), name.size()));
    if (value != nullptr && !value->is_null()) return value;
  }
  return nullptr;
}

std::string_view ConfigReader::spelled(Key key) const {
  if (key.alias.empty()) return key.name;
  const json::value* value = object_->if_contains(json::string_view(key.name.data(), key.name.size()));
  return value == nullptr && find(key) != nullptr ? key.alias : key.name;
}

void ConfigReader::problem(std::string_view key, std::string_view what) const {
  problems_->add(fmt::format("{}: {}{}: {}", file_, prefix_, key, what));
}

bool ConfigReader::has(Key key) const { return find(key) != nullptr; }

bool ConfigReader::is_null(Key key) const {
  return !has(key) && object_->contains(json::string_view(key.name.data(), key.name.size()));
}

uint32_t ConfigReader::count(Key key, uint32_t minimum, uint32_t maximum) const {
  if (find(key) == nullptr) {
    problem(key.name, fmt::format("missing, must be an integer from {} to {}", minimum, maximum));
    return 0;
  }
  return count_or(key, 0, minimum, maximum);
}

uint32_t ConfigReader::count_or(Key key, uint32_t fallback, uint32_t minimum, uint32_t maximum) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = as_integer(*value);
  if (!number || *number < minimum || *number > maximum) {
    problem(spelled(key), fmt::format("must be an integer from {} to {}, is {}", minimum, maximum, shown(*value)));
    return 0;
  }
  return static_cast<uint32_t>(*number);
}

double ConfigReader::positive(Key key) const {
  if (find(key) == nullptr) {
    problem(key.name, "missing, must be a number above 0");
    return 1.0;
  }
  return positive_or(key, 1.0);
}

double ConfigReader::positive_or(Key key, double fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = as_number(*value);
  if (!number || !std::isfinite(*number) || !(*number > 0)) {
    problem(spelled(key), fmt::format("must be a number above 0, is {}", shown(*value)));
    return fallback;
  }
  return *number;
}

double ConfigReader::number_or(Key key, double fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = as_number(*value);
  if (!number || !std::isfinite(*number) || *number < 0) {
    problem(spelled(key), fmt::format("must be a number of 0 or more, is {}", shown(*value)));
    return fallback;
  }
  return *number;
}

bool ConfigReader::flag_or(Key key, bool fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) {
    problem(spelled(key), fmt::format("must be true or false, is {}", shown(*value)));
    return fallback;
  }
  return value->get_bool();
}

std::string ConfigReader::text_or(Key key, const char* fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    problem(spelled(key), fmt::format("must be a string, is {}", shown(*value)));
    return fallback;
  }
  return std::string(value->get_string().data(), value->get_string().size());
}

std::string ConfigReader::choice_or(Key key, const char* fallback, std::initializer_list<const char*> allowed) const {
  std::string text = text_or(key, fallback);
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    problem(spelled(key), fmt::format("\"{}\" is not supported here; supported: {}", text, fmt::join(allowed, ", ")));
    return fallback;
  }
  return text;
}

std::vector<std::string> ConfigReader::texts(Key key) const {
  std::vector<std::string> list;
  const json::value* value = find(key);
  if (value == nullptr) return list;
  const auto* array = value->if_array();
  if (array == nullptr || !std::all_of(array->begin(), array->end(), [](const auto& v) { return v.is_string(); })) {
    problem(spelled(key), fmt::format("must be a list of strings, is {}", shown(*value)));
    return list;
  }
  for (const auto& item : *array) list.emplace_back(item.get_string().data(), item.get_string().size());
  return list;
}

std::vector<uint32_t> ConfigReader::counts(Key key) const {
  std::vector<uint32_t> list;
  const json::value* value = find(key);
  if (value == nullptr) return list;
  const auto* array = value->if_array();
  if (array == nullptr) {
    problem(spelled(key), fmt::format("must be a list of integers, is {}", shown(*value)));
    return list;
  }
  for (const auto& item : *array) {
    const auto number = as_integer(item);
    if (!number || *number < 0 || *number > std::numeric_limits<uint32_t>::max()) {
      problem(spelled(key), fmt::format("must be a list of integers, has {}", shown(item)));
      return {};
    }
    list.push_back(static_cast<uint32_t>(*number));
  }
  return list;
}

std::vector<int32_t> ConfigReader::token_ids(Key key) const {
  std::vector<int32_t> list;
  const json::value* value = find(key);
  if (value == nullptr) return list;
  const auto add = [&](const json::value& item) {
    const auto number = as_integer(item);
    const bool good = number && *number >= 0 && *number <= std::numeric_limits<int32_t>::max();
    if (good) list.push_back(static_cast<int32_t>(*number));
    if (!good) problem(spelled(key), fmt::format("must be a token id or a list of them, has {}", shown(item)));
  };
  if (const auto* array = value->if_array()) {
    for (const auto& item : *array) add(item);
  } else {
    add(*value);
  }
  return list;
}

std::optional<ConfigReader> ConfigReader::section(Key key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    problem(spelled(key), fmt::format("must be an object, is {}", shown(*value)));
    return std::nullopt;
  }
  return ConfigReader(file_, fmt::format("{}{}.", prefix_, spelled(key)), document_, &value->get_object(), problems_);
}

std::optional<std::map<std::string, std::string>> read_weight_map(const std::string& path, Problems& problems) {
  auto mapped = MappedFile::open(path);
  if (!mapped) {
    problems.add(mapped.error().code, mapped.error().message);
    return std::nullopt;
  }
  if ((*mapped)->size() > kJsonBytesMax) {
    problems.add(fmt::format("{}: {} bytes: above the limit of {}", path, (*mapped)->size(), kJsonBytesMax));
    return std::nullopt;
  }
  json::error_code ec;
  const json::value document = json::parse({reinterpret_cast<const char*>((*mapped)->data()), (*mapped)->size()}, ec);
  if (ec) {
    problems.add(fmt::format("{}: not JSON: {}", path, ec.message()));
    return std::nullopt;
  }
  const json::object* top = document.if_object();
  const json::value* map = top != nullptr ? top->if_contains("weight_map") : nullptr;
  if (map == nullptr || !map->is_object()) {
    problems.add(fmt::format("{}: weight_map: must be an object", path));
    return std::nullopt;
  }
  std::map<std::string, std::string> shards;
  for (const auto& item : map->get_object()) {
    if (!item.value().is_string()) {
      problems.add(fmt::format("{}: weight_map: {}: must be a file name", path,
                               std::string_view(item.key().data(), item.key().size())));
      return std::nullopt;
    }
    const auto& shard = item.value().get_string();
    shards.emplace(std::string(item.key().data(), item.key().size()), std::string(shard.data(), shard.size()));
  }
  return shards;
}

}  // namespace switchyard::checkpoint
