#include "tests/unit/text/text_vectors.h"

#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

#include "tests/support/zstd_file.h"

namespace switchyard::text {

std::string read_data(const std::string& name) {
  const std::string path = std::string(SWITCHYARD_TEST_DATA) + "/" + name;
  if (name.ends_with(".zst")) return switchyard::testing::read_zstd_file(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot open");
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::vector<boost::json::object> read_lines(const std::string& name) {
  std::vector<boost::json::object> out;
  const std::string all = read_data(name);
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    if (end > at) out.push_back(boost::json::parse(all.substr(at, end - at)).as_object());
    at = end + 1;
  }
  if (out.empty()) throw std::runtime_error(name + ": no lines");
  return out;
}

std::shared_ptr<const Tokenizer> published_tokenizer(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const Tokenizer>> loaded;
  auto& tokenizer = loaded[name];
  if (!tokenizer) {
    auto result = Tokenizer::parse(read_data("text/" + name + "/tokenizer.json.zst"),
                                   read_data("text/" + name + "/tokenizer_config.json"));
    if (!result.ok()) throw std::runtime_error(name + ": " + result.error().message);
    tokenizer = *result;
  }
  return tokenizer;
}

std::shared_ptr<const Tokenizer> golden_tokenizer(const std::string& name) {
  auto result = Tokenizer::load(std::string(SWITCHYARD_TEST_DATA) + "/golden/" + name);
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return *result;
}

std::vector<int32_t> ids_of(const boost::json::value& list) {
  std::vector<int32_t> out;
  for (const auto& id : list.as_array()) out.push_back(static_cast<int32_t>(id.as_int64()));
  return out;
}

std::string text_of(const boost::json::value& text) { return std::string(text.as_string()); }

}  // namespace switchyard::text
