// Every key of a cluster's configuration, declared once (schema.cpp): where it lands, its unit, its check, its help and
// its command line flag.
//
// Reading a YAML file, writing one, the flags of `switchyard serve` and `--help-config` all walk this table. A key's
// default is the initial value of its field in cluster_config.h.
//
// Thread: any; all functions are pure. Nothing here throws.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"

namespace switchyard::config {

// What a value must satisfy beyond its type. An empty check lets everything through.
struct Check {
  double minimum = 0;  // numbers: both ends included; a check with minimum == maximum == 0 has no range
  double maximum = 0;
  std::vector<std::string_view> choices = {};       // text: one of these
  std::string (*rule)(std::string_view) = nullptr;  // text and each element of a list: "" or what is wrong with it
};

template <typename T>
using Field = T& (*)(ClusterConfig&);
using AnyField = std::variant<Field<std::string>, Field<bool>, Field<uint16_t>, Field<uint32_t>, Field<uint64_t>,
                              Field<double>, Field<std::vector<std::string>>>;

struct Key {
  std::string_view section;  // "" = the top of the file
  std::string_view name;     // snake_case
  AnyField field;
  Check check;
  std::string_view unit;  // "" = none
  std::string_view flag;  // of `switchyard serve`, "--port"; "" = a file's only
  std::string_view help;
  bool required = false;
  bool is_path = false;  // relative paths mean relative to the file that they stand in
  bool secret = false;   // never printed
  bool bare = false;     // true or false, of which the flag alone says true

  std::string dotted() const;  // "worker.data_parallel_size"
};

struct Section {
  std::string_view name;
  std::string_view help;
};

std::span<const Key> keys();
std::span<const Section> sections();
const Key* find_key(std::string_view section, std::string_view name);

// "a whole number from 1 to 1024", "one of auto, cpu, cuda", "a list of texts": what the key takes, for messages and
// help.
std::string describe(const Key& key);
// The key's value as a person would type it.
std::string value_text(const Key& key, const ClusterConfig& config);

// Sets a key from one text as a command line gives it (a list takes one element a call, and adds it). The error says
// what is wrong with the value, without the key's name: the caller knows whether that was a flag or a line.
Status set_from_text(const Key& key, std::string_view text, ClusterConfig& config);
// The key's own check on the value that the config holds.
Status check_value(const Key& key, const ClusterConfig& config);

// A combination of keys that cannot work: the key that a person should look at first, and why.
struct Conflict {
  std::string section, name;
  std::string message;
};
std::vector<Conflict> find_conflicts(const ClusterConfig& config);

// True for names and addresses that no other machine reaches.
bool is_loopback(std::string_view host);

// An HTTP port that other machines reach must ask for a key. Apart from the rules above, since keys may also come from
// the environment, which is not read here. Errors name every such key, and the ways out. (The internal ports need no
// such rule: no process listens there without a secret.)
Status check_exposure(const ClusterConfig& config);

// Checks a config that was put together in memory: "KEY: what is wrong", one a line.
Status validate(const ClusterConfig& config);

// All keys with default, unit and help: `--help-config`.
std::string help_text();

// As load(), for a command line that adds to a file: keys that every file must have may be absent, and combinations are
// left to validate().
Result<ClusterConfig> load_partial(const std::string& file);

// The word of `words` that a person who typed `typed` meant, or "".
std::string_view nearest(std::string_view typed, std::span<const std::string_view> words);

}  // namespace switchyard::config
