#include "tests/fuzz/target.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "common/base/result.h"

namespace switchyard::fuzz {

uint8_t Input::byte() {
  if (rest_.empty()) return 0;
  const char first = rest_.front();
  rest_.remove_prefix(1);
  return static_cast<uint8_t>(first);
}

std::string_view Input::until(std::string_view mark) {
  const size_t at = rest_.find(mark);
  const std::string_view part = rest_.substr(0, at);
  rest_ = at == std::string_view::npos ? std::string_view() : rest_.substr(at + mark.size());
  return part;
}

std::vector<size_t> cuts_of(size_t size, uint8_t seed) {
  std::vector<size_t> cuts;
  if (size == 0) return cuts;
  std::minstd_rand random(seed + 1U);
  const size_t count = seed % 64;
  for (size_t i = 0; i < count; ++i) cuts.push_back(random() % size);
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

ScratchDirectory::ScratchDirectory() {
  std::error_code error;
  const bool in_memory = std::filesystem::is_directory("/dev/shm", error) && access("/dev/shm", W_OK) == 0;
  path_ = (in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/switchyard-fuzz-XXXXXX";
  SWITCHYARD_CHECK(mkdtemp(path_.data()) != nullptr);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchDirectory::write(const std::string& name, std::string_view bytes, size_t size) const {
  const std::string file = path_ + "/" + name;
  const int fd = open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  SWITCHYARD_CHECK(fd >= 0);
  SWITCHYARD_CHECK(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  if (size > bytes.size()) SWITCHYARD_CHECK(ftruncate(fd, static_cast<off_t>(size)) == 0);
  close(fd);
  return file;
}

}  // namespace switchyard::fuzz
