#include "tests/unit/checkpoint/raw_checkpoint.h"

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace switchyard::testing {

namespace fs = std::filesystem;
namespace json = boost::json;

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": cannot open");
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush()) throw std::runtime_error(path.string() + ": cannot write");
}

RawTensors read_raw(const fs::path& path) {
  const std::string bytes = read_bytes(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  RawTensors out;
  const json::object header = json::parse(bytes.substr(8, length)).as_object();
  for (const auto& item : header) {
    if (item.key() == "__metadata__") continue;
    RawTensor tensor;
    tensor.type = item.value().at("dtype").as_string().c_str();
    for (const auto& side : item.value().at("shape").as_array()) tensor.shape.push_back(side.to_number<uint64_t>());
    const auto begin = item.value().at("data_offsets").at(0).to_number<uint64_t>();
    const auto end = item.value().at("data_offsets").at(1).to_number<uint64_t>();
    tensor.offset = 8 + length + begin;
    tensor.bytes = bytes.substr(tensor.offset, end - begin);
    out[std::string(item.key().data(), item.key().size())] = std::move(tensor);
  }
  return out;
}

void write_raw(const fs::path& path, const RawTensors& tensors) {
  json::object header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    json::array shape;
    for (uint64_t side : tensor.shape) shape.emplace_back(side);
    header[name] = {{"dtype", tensor.type},
                    {"shape", std::move(shape)},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  write_raw(path, json::serialize(header), data);
}

void write_raw(const fs::path& path, const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  write_bytes(path, bytes + header + data);
}

json::object read_json(const fs::path& path) { return json::parse(read_bytes(path)).as_object(); }

void write_json(const fs::path& path, const json::value& value) { write_bytes(path, json::serialize(value)); }

CheckpointCopy::CheckpointCopy(const std::string& golden_name) {
  std::string pattern = (fs::temp_directory_path() / "switchyard-checkpoint-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  directory_ = pattern;
  for (const auto& entry : fs::directory_iterator(fs::path(SWITCHYARD_TEST_DATA) / "golden" / golden_name)) {
    const std::string name = entry.path().filename();
    if (name == "config.json" || name == "generation_config.json" || name.starts_with("model")) {
      fs::copy(entry.path(), directory_ / name);
    }
  }
}

CheckpointCopy::~CheckpointCopy() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void CheckpointCopy::configure(const json::object& keys) const {
  json::object config = read_json(file("config.json"));
  for (const auto& item : keys) {
    if (item.value().is_null()) {
      config.erase(item.key());
    } else {
      config[item.key()] = item.value();
    }
  }
  write_json(file("config.json"), config);
}

double decode_element(const RawTensor& tensor, size_t index) {
  const auto byte = [&](size_t at) { return static_cast<unsigned>(static_cast<unsigned char>(tensor.bytes.at(at))); };
  // sign, exponent and mantissa fields of a small float; all finite
  const auto decode = [](unsigned bits, int exponent_bits, int mantissa_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const double fraction = static_cast<double>(bits & ((1U << mantissa_bits) - 1)) / (1 << mantissa_bits);
    const double value = exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
    return (bits >> (exponent_bits + mantissa_bits) & 1) != 0 ? -value : value;
  };
  if (tensor.type == "F8_E4M3") return decode(byte(index), 4, 3);
  if (tensor.type == "F16") return decode(byte(2 * index) | byte(2 * index + 1) << 8, 5, 10);
  if (tensor.type == "BF16") return decode(byte(2 * index) | byte(2 * index + 1) << 8, 8, 7);
  if (tensor.type == "F32") {
    float value = 0;
    std::memcpy(&value, tensor.bytes.data() + 4 * index, 4);
    return value;
  }
  throw std::runtime_error("no decoding of " + tensor.type);
}

}  // namespace switchyard::testing
