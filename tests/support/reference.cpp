#include "tests/support/reference.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/support/zstd_file.h"

namespace switchyard::testing {
namespace {

namespace json = boost::json;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot open");
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

// A safetensors file in memory.
class Tensors {
 public:
  Tensors(std::string path, std::string bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {
    uint64_t header = 0;
    if (bytes_.size() < 8) throw std::runtime_error(path_ + ": too short");
    std::memcpy(&header, bytes_.data(), 8);
    if (header > bytes_.size() - 8) throw std::runtime_error(path_ + ": truncated");
    header_ = json::parse(json::string_view(bytes_.data() + 8, header)).as_object();
    begin_ = 8 + header;
  }

  const json::object& header() const { return header_; }

  template <typename Disk, typename T>
  std::vector<T> read(const std::string& name, const char* type, std::vector<uint32_t>* shape = nullptr) const {
    const json::value* entry = header_.if_contains(name);
    if (entry == nullptr) throw std::runtime_error(path_ + ": no tensor " + name);
    if (entry->at("dtype").as_string() != type) throw std::runtime_error(path_ + ": " + name + " is not " + type);
    const auto first = begin_ + entry->at("data_offsets").at(0).to_number<uint64_t>();
    const auto last = begin_ + entry->at("data_offsets").at(1).to_number<uint64_t>();
    if (first > last || last > bytes_.size()) throw std::runtime_error(path_ + ": " + name + ": truncated");
    if (shape != nullptr) {
      for (const auto& side : entry->at("shape").as_array()) shape->push_back(side.to_number<uint32_t>());
    }
    std::vector<Disk> disk((last - first) / sizeof(Disk));
    if (!disk.empty()) std::memcpy(disk.data(), bytes_.data() + first, disk.size() * sizeof(Disk));
    std::vector<T> out(disk.size());
    std::transform(disk.begin(), disk.end(), out.begin(), [](Disk value) { return static_cast<T>(value); });
    return out;
  }
  std::vector<int32_t> ids(const std::string& name) const { return read<int64_t, int32_t>(name, "I64"); }
  std::vector<float> floats(const std::string& name, std::vector<uint32_t>* shape = nullptr) const {
    return read<float, float>(name, "F32", shape);
  }

 private:
  std::string path_;
  std::string bytes_;
  json::object header_;
  uint64_t begin_ = 0;
};

std::string text(const json::value& value) { return std::string(value.as_string().data(), value.as_string().size()); }

Reference load(const std::string& directory, const std::string& name) {
  Reference out;
  out.name = name;
  out.directory = directory;
  const json::value manifest = json::parse(read_file(directory + "/reference.json"));
  const std::string packed = directory + "/reference.safetensors.zst";
  const Tensors tensors(packed, read_zstd_file(packed));
  out.architecture = text(manifest.at("architecture"));
  out.logit_abs_max = manifest.at("logit_abs_max").to_number<double>();
  const json::value& tolerance = manifest.at("tolerance");
  const json::value& bf16 = tolerance.at("bfloat16");
  out.tolerance.float32_max_abs_diff = tolerance.at("float32").at("max_abs_diff").to_number<double>();
  out.tolerance.bfloat16_short_max_abs_diff = bf16.at("short").at("max_abs_diff").to_number<double>();
  out.tolerance.bfloat16_mid_mean_abs_diff = bf16.at("mid").at("mean_abs_diff").to_number<double>();
  out.tolerance.bfloat16_mid_argmax_agreement = bf16.at("mid").at("argmax_agreement").to_number<double>();

  for (const auto& item : manifest.at("cases").as_object()) {
    const std::string key(item.key().data(), item.key().size());
    ReferenceCase& c = out.cases[key];
    std::vector<uint32_t> shape;
    c.input_ids = tensors.ids(key + ".input_ids");
    c.logits = tensors.floats(key + ".logits", &shape);
    c.logits_first_position = item.value().at("logits_first_position").to_number<uint32_t>();
    c.rows = shape.at(0);
    out.vocab = shape.at(1);
    if (c.logits_first_position + c.rows != c.input_ids.size()) throw std::runtime_error(key + ": rows do not fit");
  }
  const json::value& chat = manifest.at("cases").at("text");
  out.text_prompt = text(chat.at("prompt"));
  out.text_messages_json = json::serialize(chat.at("messages"));

  for (size_t i = 0; i < manifest.at("greedy").as_object().size(); ++i) {
    const std::string key = "greedy." + std::to_string(i);
    out.greedy.push_back(
        {tensors.ids(key + ".prompt"), tensors.ids(key + ".tokens"), tensors.floats(key + ".margins")});
  }
  if (const json::value* layers = manifest.as_object().if_contains("router_layers")) {
    for (const auto& item : layers->as_array()) {
      ReferenceRouter router;
      router.layer = item.to_number<uint32_t>();
      const std::string key = "router.mid.layer" + std::to_string(router.layer);
      std::vector<uint32_t> shape;
      router.experts = tensors.read<int32_t, int32_t>(key + ".experts", "I32");
      router.weights = tensors.floats(key + ".weights", &shape);
      router.rows = shape.at(0);
      router.top_k = shape.at(1);
      if (router.experts.size() != router.weights.size()) throw std::runtime_error(key + ": sizes differ");
      out.routers.push_back(std::move(router));
    }
  }
  const std::string layer_file = directory + "/layers.safetensors";
  if (manifest.as_object().contains("layers_tensors")) {
    const Tensors layers(layer_file, read_file(layer_file));
    for (const auto& item : manifest.at("layers_tensors").as_object()) {
      const std::string key(item.key().data(), item.key().size());
      std::vector<uint32_t> shape;
      ReferenceTensor& tensor = out.layers[key];
      tensor.values = layers.floats(key, &shape);
      tensor.rows = shape.at(0);
      tensor.columns = shape.at(1);
    }
  }
  return out;
}

}  // namespace

Reference load_reference(const std::string& golden, const std::string& name) {
  const std::string directory = golden + "/" + name;
  try {
    return load(directory, name);
  } catch (const std::exception& error) {
    throw std::runtime_error("reference of " + directory + ": " + error.what());
  }
}

std::vector<std::string> golden_names(const std::string& golden) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden)) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  if (names.empty()) throw std::runtime_error(golden + ": no golden checkpoints");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace switchyard::testing
