// SHA-256 checksums of a checkpoint's files, where its publisher or owner gave some.
//
// They are found, in this order, for each file by itself:
//   SHA256SUMS or checksums.sha256 in the directory, as sha256sum(1) writes them (also with --tag);
//   NAME.sha256 beside the file, in the same format or the digits alone;
//   the file's own name in Hugging Face's cache, a link to blobs/DIGEST;
//   .cache/huggingface/download/NAME.metadata, which `hf download --local-dir` leaves: its second line.
// Both of Hugging Face's are for files in LFS, as weights are: https://huggingface.co/docs/huggingface_hub (cache).
//
// Thread: one, which waits for threads of its own. Bounded: lists of checksums have 16 MiB at most; a thread reads 4
// MiB at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::checkpoint {

struct GivenChecksum {
  std::string file;    // relative to the directory
  std::string sha256;  // 64 digits, lower case
  std::string source;  // the file that says so; of a link: "its name in the cache"
};

// Of the directory's own safetensors files, and whatever else a list names. kInvalid: a list that is none, with its
// line.
Result<std::vector<GivenChecksum>> given_checksums(const std::string& directory);

struct CheckedFile {
  GivenChecksum given;  // sha256 "": none is given, for a file of weights
  std::string problem;  // "": it is what it should be
};

// Hashes what checksums are given for. on_file: called by one thread at a time, in any order.
Result<std::vector<CheckedFile>> check_files(const std::string& directory, size_t thread_count,
                                             const std::function<void(const CheckedFile&)>& on_file);

// The first problems of check_files(), all in one error; kNotFound when not one checksum is given.
Status verify_checksums(const std::string& directory, size_t thread_count,
                        const std::function<void(const CheckedFile&)>& on_file);

// Writes SHA256SUMS of the directory's own files as they are now, itself and hidden ones aside.
Status write_checksums(const std::string& directory, size_t thread_count);

// 64 digits. kIo with file and cause; kInvalid for what is no regular file.
Result<std::string> sha256_of_file(const std::string& path);

}  // namespace switchyard::checkpoint
