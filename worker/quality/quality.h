// `switchyard quality`: what a weight form costs in quality, measured against another form of the same checkpoint.
//
// Both models run in this process, on one rank and all its threads, over the same tokens; the next-token distributions
// of every position are compared.
//
// Thread: the caller's, and a pool of its own. Memory: both models, and the logits of 64 positions of each.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::worker {

struct QualityOptions {
  std::string model;                    // Hugging Face checkpoint directory
  std::string reference = "float32";    // a form, as those of `forms`
  std::vector<std::string> forms;       // "float32", "bfloat16", "int8", "int4"
  std::string kv_cache_dtype = "auto";  // of `forms`, as of serve
  std::string tokens;                   // file of JSON Lines with "ids"; empty: random tokens
  uint32_t max_tokens = 8192;           // compared at most
  uint32_t threads = 0;                 // 0 = all cores
  std::string backend = "auto";         // op table
};

struct FormQuality {
  std::string form;
  uint64_t weight_bytes = 0;    // as packed in memory
  double mean_kl = 0.0;         // KL(reference || form) of a position's distribution, nats
  double top1_agreement = 0.0;  // share of positions with the same most likely token
};

struct QualityReport {
  uint64_t file_bytes = 0;  // of the checkpoint's tensors on disk
  uint64_t tokens = 0;
  uint64_t sequences = 0;
  uint64_t reference_bytes = 0;
  std::vector<FormQuality> forms;
};

// Errors name the option, the file and line.
Result<QualityReport> measure_quality(const QualityOptions& options);

// The report as a table.
std::string quality_text(const QualityOptions& options, const QualityReport& report);

}  // namespace switchyard::worker
