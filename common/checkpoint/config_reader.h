// Typed access to the JSON files of a checkpoint. Every problem is kept with its file and key, and reading goes on with
// a harmless value, so that one run shows all of them.
//
// Thread: one.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/checkpoint/problems.h"

namespace switchyard::checkpoint {

// A key, with another name that some writers give it.
struct Key {
  Key(const char* n) : name(n) {}
  Key(const char* n, const char* a) : name(n), alias(a) {}
  std::string_view name;
  std::string_view alias;
};

class ConfigReader {
 public:
  // Reads the whole file; nothing when it is not there, not JSON or not an object (then that is in problems). JSON
  // files are limited to 64 MB.
  static std::optional<ConfigReader> open(const std::string& path, Problems& problems);

  // Is there, and not null.
  bool has(Key key) const;
  bool is_null(Key key) const;
  // An integer in [minimum, maximum]; 0 after a problem. Required, unless there is a fallback for absent or null.
  uint32_t count(Key key, uint32_t minimum, uint32_t maximum) const;
  uint32_t count_or(Key key, uint32_t fallback, uint32_t minimum, uint32_t maximum) const;
  // A finite number > 0 (integers too).
  double positive(Key key) const;
  double positive_or(Key key, double fallback) const;
  // A finite number >= 0.
  double number_or(Key key, double fallback) const;
  bool flag_or(Key key, bool fallback) const;
  std::string text_or(Key key, const char* fallback) const;
  // Like text_or; a text that is not among the allowed ones is a problem.
  std::string choice_or(Key key, const char* fallback, std::initializer_list<const char*> allowed) const;
  // Lists; empty when absent or null.
  std::vector<std::string> texts(Key key) const;
  std::vector<uint32_t> counts(Key key) const;
  // Token ids: an integer or a list of integers in [0, 2^31); empty when absent or null.
  std::vector<int32_t> token_ids(Key key) const;
  // An object inside; nothing when absent or null.
  std::optional<ConfigReader> section(Key key) const;

  // "FILE: KEY: what"
  void problem(std::string_view key, std::string_view what) const;
  const std::string& file() const { return file_; }

 private:
  ConfigReader(std::string file, std::string prefix, std::shared_ptr<const boost::json::value> document,
               const boost::json::object* object, Problems* problems);
  const boost::json::value* find(Key key) const;
  std::string_view spelled(Key key) const;

  std::string file_;
  std::string prefix_;  // "rope_scaling."
  std::shared_ptr<const boost::json::value> document_;
  const boost::json::object* object_;
  Problems* problems_;
};

// Tensor name -> shard of model.safetensors.index.json; nothing after a problem.
std::optional<std::map<std::string, std::string>> read_weight_map(const std::string& path, Problems& problems);

}  // namespace switchyard::checkpoint
