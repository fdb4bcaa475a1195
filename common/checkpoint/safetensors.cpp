#include "common/checkpoint/safetensors.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "common/checkpoint/config_reader.h"

namespace switchyard::checkpoint {
namespace {

struct TypeInfo {
  const char* name;
  uint32_t bytes;
};
constexpr TypeInfo kTypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
    {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
    {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"unknown", 0},
};
static_assert(std::size(kTypes) == static_cast<size_t>(DataType::kUnknown) + 1);

uintptr_t page_bytes() {
  static const uintptr_t bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::string time_text(const timespec& time) {
  return fmt::format("{:%F %T}.{:09} UTC", fmt::gmtime(time.tv_sec), time.tv_nsec);
}

}  // namespace

const char* to_string(DataType type) { return kTypes[static_cast<size_t>(type)].name; }
uint32_t element_bytes(DataType type) { return kTypes[static_cast<size_t>(type)].bytes; }

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    if (error == ENOENT) return Error{Errc::kNotFound, fmt::format("{}: no such file", path)};
    return Error{Errc::kIo, fmt::format("{}: cannot open: {}", path, std::strerror(error))};
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->descriptor_ = fd;
  file->path_ = path;
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return Error{Errc::kInvalid, fmt::format("{}: not a regular file", path)};
  file->modified_ = info.st_mtim;
  if (info.st_size > 0) {
    file->size_ = static_cast<uint64_t>(info.st_size);
    void* data = mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const int error = errno;
      file->size_ = 0;
      return Error{Errc::kIo, fmt::format("{}: cannot map {} bytes: {}", path, info.st_size, std::strerror(error))};
    }
    file->data_ = static_cast<const uint8_t*>(data);
    file->name_ = MappedName(data, file->size_, path, file->size_);
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  name_ = MappedName();
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status MappedFile::check_unchanged() const {
  struct stat now {};
  if (fstat(descriptor_, &now) != 0) return Error{Errc::kIo, fmt::format("{}: {}", path_, std::strerror(errno))};
  const auto changed = [&](const std::string& how) {
    return Error{Errc::kIo, fmt::format("{}: was changed while it was in use: {}", path_, how)};
  };
  if (static_cast<uint64_t>(now.st_size) != size_)
    return changed(fmt::format("it had {} bytes and has {}", size_, now.st_size));
  if (now.st_mtim.tv_sec != modified_.tv_sec || now.st_mtim.tv_nsec != modified_.tv_nsec) {
    return changed(fmt::format("its size is the same, {} bytes, but it was written to: at {}, before that at {}", size_,
                               time_text(now.st_mtim), time_text(modified_)));
  }
  return {};
}

void MappedFile::prefetch(const uint8_t* begin, const uint8_t* end) const {
  const size_t first = (begin - data_) & ~(page_bytes() - 1);
  madvise(const_cast<uint8_t*>(data_) + first, (end - data_) - first, MADV_WILLNEED);
}

void MappedFile::release(const uint8_t* begin, const uint8_t* end) const {
  const size_t first = (begin - data_ + page_bytes() - 1) & ~(page_bytes() - 1);
  const size_t last = (end - data_) & ~(page_bytes() - 1);
  if (first < last) madvise(const_cast<uint8_t*>(data_) + first, last - first, MADV_DONTNEED);
}

std::string shape_text(const std::vector<uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string place(const TensorEntry& tensor) {
  return fmt::format("{}: tensor {} at offset {}", tensor.file->path(), tensor.name, tensor.offset);
}

TensorFiles TensorFiles::open_file(const std::string& path, Problems& problems) {
  TensorFiles files;
  files.path_ = path;
  if (read_safetensors(path, problems, files.tensors_) && !files.tensors_.empty()) {
    files.disk_bytes_ = files.tensors_.front().file->size();
  }
  files.index_by_name(problems);
  return files;
}

TensorFiles TensorFiles::open(const std::string& directory, Problems& problems) {
  namespace fs = std::filesystem;
  std::error_code ec;
  const std::string single = directory + "/model.safetensors";
  const std::string index = directory + "/model.safetensors.index.json";
  if (fs::exists(single, ec)) return open_file(single, problems);
  TensorFiles files;
  files.path_ = index;
  if (!fs::exists(index, ec)) {
    problems.add(Errc::kNotFound,
                 fmt::format("{}: neither model.safetensors nor model.safetensors.index.json is there", directory));
    return files;
  }

  // The file that the index names for each tensor.
  const auto weight_map = read_weight_map(index, problems);
  if (!weight_map) return files;
  std::map<std::string, bool> shards;  // name, and whether its header could be read
  for (const auto& [tensor, shard] : *weight_map) {
    if (shards.contains(shard)) continue;
    if (shard.empty() || shard.find('/') != std::string::npos || shard == "." || shard == "..") {
      problems.add(
          fmt::format("{}: weight_map: {}: \"{}\" is not the name of a file in the directory", index, tensor, shard));
      shards[shard] = false;
      continue;
    }
    const std::string path = directory + "/" + shard;
    if (!fs::exists(path, ec)) {
      problems.add(Errc::kNotFound, fmt::format("{}: shard {} is missing: no such file {}", index, shard, path));
      shards[shard] = false;
      continue;
    }
    const size_t before = files.tensors_.size();
    shards[shard] = read_safetensors(path, problems, files.tensors_);
    if (files.tensors_.size() > before) files.disk_bytes_ += files.tensors_.back().file->size();
  }
  files.index_by_name(problems);

  std::vector<TensorEntry> lost;
  for (const auto& [tensor, shard] : *weight_map) {
    if (files.find(tensor)) continue;
    if (shards[shard]) {
      problems.add(fmt::format("{}/{}: tensor {} is missing, which {} lists there", directory, shard, tensor, index));
    }
    // Listed: so that nobody reports it a second time as missing.
    TensorEntry absent;
    absent.name = tensor;
    absent.damaged = true;
    lost.push_back(std::move(absent));
  }
  for (const TensorEntry& tensor : files.tensors_) {
    if (!tensor.file) continue;
    const auto listed = weight_map->find(tensor.name);
    const std::string shard = fs::path(tensor.file->path()).filename();
    if (listed == weight_map->end()) {
      problems.add(fmt::format("{}: {} does not list it", place(tensor), index));
    } else if (listed->second != shard) {
      problems.add(fmt::format("{}: {} lists it in {}", place(tensor), index, listed->second));
    }
  }
  for (TensorEntry& tensor : lost) files.tensors_.push_back(std::move(tensor));
  Problems none;  // duplicates have been reported
  files.index_by_name(none);
  return files;
}

void TensorFiles::index_by_name(Problems& problems) {
  by_name_.clear();
  by_name_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const auto [at, added] = by_name_.emplace(tensors_[i].name, i);
    if (!added) {
      problems.add(fmt::format("{}: is also in {}, at offset {}", place(tensors_[i]), tensors_[at->second].file->path(),
                               tensors_[at->second].offset));
    }
  }
}

std::optional<size_t> TensorFiles::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return std::nullopt;
  return at->second;
}

}  // namespace switchyard::checkpoint
