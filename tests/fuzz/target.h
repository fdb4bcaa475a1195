// What the fuzz targets share. A target is one function over bytes, LLVMFuzzerTestOneInput, which aborts when an
// invariant does not hold; libFuzzer and our own driver (driver.cpp) run the same function.
//
// Inputs are texts that a person can write: a choice in a byte or a line, then what is parsed. Same input, same course:
// no clock, no chance, no network.
//
// Thread: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace switchyard::fuzz {

// Takes an input apart from its beginning.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  // Of nothing: 0.
  uint8_t byte();
  // Without its end.
  std::string_view line() { return until("\n"); }
  // What stands before a mark, or all.
  std::string_view until(std::string_view mark);
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Between the parts of an input that has several.
inline constexpr std::string_view kBorder = "\n====\n";

// Where to cut a text of so many bytes into at most 64 pieces: ascending, within it, a function of the seed alone.
std::vector<size_t> cuts_of(size_t size, uint8_t seed);

// A file in memory (where there is such a directory) that is removed at the end of the process.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }
  // The file with these bytes, then zeros up to size.
  std::string write(const std::string& name, std::string_view bytes, size_t size = 0) const;

 private:
  std::string path_;
};

}  // namespace switchyard::fuzz
