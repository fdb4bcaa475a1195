// Checkpoints that tests take apart, break and write again. Knows the file format by itself: nothing here calls the
// reader under test.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace switchyard::testing {

struct RawTensor {
  std::string type;
  std::vector<uint64_t> shape;
  std::string bytes;
  uint64_t offset = 0;  // in the file it was read from
};
using RawTensors = std::map<std::string, RawTensor>;

std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& bytes);
RawTensors read_raw(const std::filesystem::path& path);
// Tensors in the order of their names.
void write_raw(const std::filesystem::path& path, const RawTensors& tensors);
// A file with this header text and data.
void write_raw(const std::filesystem::path& path, const std::string& header, const std::string& data);

boost::json::object read_json(const std::filesystem::path& path);
void write_json(const std::filesystem::path& path, const boost::json::value& value);

// A copy of a golden checkpoint's config and weights in a directory of its own, removed at the end.
class CheckpointCopy {
 public:
  explicit CheckpointCopy(const std::string& golden_name);
  ~CheckpointCopy();
  CheckpointCopy(const CheckpointCopy&) = delete;
  CheckpointCopy& operator=(const CheckpointCopy&) = delete;

  std::string path() const { return directory_; }
  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  // Sets keys of config.json; null removes the key.
  void configure(const boost::json::object& keys) const;

 private:
  std::filesystem::path directory_;
};

// One element decoded by the formula of its type, in double: BF16, F16, F32, F8_E4M3.
double decode_element(const RawTensor& tensor, size_t index);

}  // namespace switchyard::testing
