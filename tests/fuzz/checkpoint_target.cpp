// config.json and the header of model.safetensors: refused with file and key named, or a checkpoint whose tensors lie
// within their file.
//
// Input: config.json, the border, then 'h' and a header (its length is put before it, zeros behind it), or the file.
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/memory_plan.h"
#include "common/checkpoint/safetensors.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  constexpr size_t kDataBytes = 1 << 20;
  static const fuzz::ScratchDirectory directory;
  fuzz::Input input(data, size);
  directory.write("config.json", input.until(fuzz::kBorder));
  std::string file(input.rest());
  size_t file_bytes = 0;
  if (file.starts_with('h')) {
    const uint64_t length = file.size() - 1;
    std::string prefix(8, '\0');
    for (size_t i = 0; i < prefix.size(); ++i) prefix[i] = static_cast<char>(length >> (8 * i) & 0xff);
    file.replace(0, 1, prefix);
    file_bytes = file.size() + kDataBytes;
  }
  const std::string tensors_file = directory.write("model.safetensors", file, file_bytes);

  checkpoint::Problems problems;
  std::vector<checkpoint::TensorEntry> tensors;
  const bool readable = checkpoint::read_safetensors(tensors_file, problems, tensors);
  SWITCHYARD_CHECK(readable || !problems.empty());
  for (const auto& tensor : tensors) {
    if (tensor.damaged) continue;
    SWITCHYARD_CHECK(tensor.bytes <= tensor.file->size() && tensor.offset <= tensor.file->size() - tensor.bytes);
  }
  const auto checkpoint = checkpoint::Checkpoint::open(directory.path());
  SWITCHYARD_CHECK(checkpoint.ok() || checkpoint.error().message.find(directory.path()) != std::string::npos);
  return 0;
}
