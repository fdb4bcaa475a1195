// Safetensors files: 8 bytes of header length, a JSON header of names, types, shapes and byte ranges, then the bytes.
// Format: https://github.com/huggingface/safetensors#format
//
// Files are mapped, not read: a tensor's bytes are touched when somebody decodes them. A file that is cut short after
// it was opened raises SIGBUS on access, as any mapped file does; the process then ends with the file's name where it
// asked for that (common/base/mapped_files.h).
//
// Thread: opening from one; what is opened is read-only and may be used by any number.
#pragma once

#include <time.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/mapped_files.h"
#include "common/checkpoint/problems.h"

namespace switchyard::checkpoint {

enum class DataType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kU16,
  kI16,
  kF16,
  kBF16,
  kU32,
  kI32,
  kF32,
  kU64,
  kI64,
  kF64,
  kUnknown,  // a type this reader has no name for: fine as long as nobody asks for the tensor
};
const char* to_string(DataType type);
// Bytes of one element; 0 for kUnknown.
uint32_t element_bytes(DataType type);

// A whole file, mapped read-only.
class MappedFile {
 public:
  // kNotFound, kIo, or kInvalid for something that is not a regular file.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }
  // kIo when the file has been written to since it was opened: what has been read from it may be half of each. One that
  // was replaced by another under its name is still mapped, and is as it was.
  Status check_unchanged() const;
  // Asks the kernel to read bytes [begin, end) ahead of their use.
  void prefetch(const uint8_t* begin, const uint8_t* end) const;
  // Takes the whole pages of [begin, end) out of this process; they stay in the page cache, and come back when touched.
  void release(const uint8_t* begin, const uint8_t* end) const;

 private:
  MappedFile() = default;
  std::string path_;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
  int descriptor_ = -1;
  timespec modified_{};
  MappedName name_;
};

struct TensorEntry {
  std::string name;
  DataType type = DataType::kUnknown;
  std::string type_name;  // as the header spells it
  std::vector<uint64_t> shape;
  std::shared_ptr<const MappedFile> file;
  uint64_t offset = 0;  // in the file
  uint64_t bytes = 0;
  bool damaged = false;  // already reported: not to be read

  const uint8_t* data() const { return file->data() + offset; }
};

// "[16, 64]"
std::string shape_text(const std::vector<uint64_t>& shape);
// "DIR/model.safetensors: tensor NAME at offset N"
std::string place(const TensorEntry& tensor);

// Header limits: what the format's own library allows.
inline constexpr uint64_t kHeaderBytesMax = 100'000'000;
inline constexpr size_t kTensorDimsMax = 8;

// Reads the header of one file and appends its tensors. Everything wrong is added to problems; damaged tensors are
// appended too, marked. False when the file has no readable header.
bool read_safetensors(const std::string& path, Problems& problems, std::vector<TensorEntry>& tensors);

// All tensors of a checkpoint directory: model.safetensors, or the shards that model.safetensors.index.json lists.
class TensorFiles {
 public:
  TensorFiles() = default;
  TensorFiles(TensorFiles&&) = default;
  TensorFiles& operator=(TensorFiles&&) = default;

  static TensorFiles open(const std::string& directory, Problems& problems);
  // One file of any name.
  static TensorFiles open_file(const std::string& path, Problems& problems);

  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  // Position in tensors(), or nothing.
  std::optional<size_t> find(std::string_view name) const;
  // Where a missing tensor would be expected: the single file, or the index.
  const std::string& path() const { return path_; }
  uint64_t disk_bytes() const { return disk_bytes_; }

 private:
  void index_by_name(Problems& problems);

  std::string path_;
  uint64_t disk_bytes_ = 0;
  std::vector<TensorEntry> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace switchyard::checkpoint
