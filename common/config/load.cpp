// YAML in and out, by the table of schema.cpp. yaml-cpp throws; nothing leaves this file.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/config/schema.h"

namespace switchyard::config {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;  // a cluster of thousands of hosts fits in a tenth of it

int line_of(const YAML::Node& node) { return node.Mark().is_null() ? 1 : node.Mark().line + 1; }

const char* kind_name(const YAML::Node& node) {
  if (node.IsMap()) return "a section";
  if (node.IsSequence()) return "a list";
  return node.IsNull() ? "no value" : "text";
}

// Finds the second document of a file. YAML::LoadAll() does not come to an end of some malformed files (0.7.0 reads one
// empty document after another, until no memory is left), so no more than two are looked at.
class SecondDocument final : public YAML::EventHandler {
 public:
  // Its line; 0 = there is none. Throws as YAML::Load().
  static int line_in(const std::string& text) {
    std::istringstream in(text);
    YAML::Parser parser(in);
    SecondDocument seen;
    if (!parser.HandleNextDocument(seen)) return 0;
    seen.line_ = 0;
    return parser.HandleNextDocument(seen) ? std::max(1, seen.line_) : 0;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { begins_at(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { begins_at(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override {
    begins_at(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    begins_at(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    begins_at(mark);
  }
  void OnMapEnd() override {}

 private:
  void begins_at(const YAML::Mark& mark) {
    if (line_ == 0) line_ = mark.line + 1;
  }

  int line_ = 0;
};

// Reads one file: walks it once, and collects every problem on the way.
class Reader {
 public:
  Reader(std::string file, bool whole)
      : whole_(whole), file_(std::move(file)), directory_(std::filesystem::absolute(file_).parent_path()) {}

  void read(const YAML::Node& root) {
    if (!root.IsNull() && !root.IsMap())
      return problem(line_of(root), "", fmt::format("a file of keys is expected, not {}", kind_name(root)));
    if (root.IsMap()) read_section(root, "");
    if (!whole_) return;
    for (const Key& key : keys()) {
      if (key.required && lines_.find(key.dotted()) == lines_.end())
        problem(line_for(key.section, ""), key.dotted(), "is missing");
    }
    for (const auto& c : find_conflicts(config_)) {
      const std::string dotted = c.section.empty() ? c.name : c.section + "." + c.name;
      // A conflict of a value that could not be read, whose default stands in for it, would only confuse.
      if (!wrong_.contains(dotted)) problem(line_for(c.section, c.name), dotted, c.message);
    }
  }

  void problem(int line, const std::string& key, const std::string& message) {
    wrong_.insert(key);
    problems_.emplace_back(line, key.empty() ? fmt::format("{}:{}: {}", file_, line, message)
                                             : fmt::format("{}:{}: {}: {}", file_, line, key, message));
  }

  Result<ClusterConfig> finish() {
    if (problems_.empty()) return config_;
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string all;
    for (const auto& [line, text] : problems_) all += (all.empty() ? "" : "\n") + text;
    return Error{Errc::kInvalid, all};
  }

 private:
  void read_section(const YAML::Node& map, const std::string& section) {
    for (const auto& entry : map) {
      const int line = line_of(entry.first);
      if (!entry.first.IsScalar()) {
        problem(line, section, fmt::format("a key is {}", kind_name(entry.first)));
        continue;
      }
      const std::string written = entry.first.Scalar();
      std::string name = written;
      std::replace(name.begin(), name.end(), '-', '_');
      const std::string dotted = section.empty() ? name : section + "." + name;
      const Key* key = find_key(section, name);
      const bool opens_section = section.empty() && std::any_of(sections().begin(), sections().end(),
                                                                [&](const Section& s) { return s.name == name; });
      if (key == nullptr && !opens_section) {
        unknown(line, section, name, written);
        continue;
      }
      if (const auto [it, is_new] = lines_.emplace(dotted, line); !is_new) {
        problem(line, dotted, fmt::format("is given twice, in line {} too", it->second));
        continue;
      }
      if (key != nullptr) {
        read_value(*key, entry.second, line);
      } else if (entry.second.IsMap()) {
        read_section(entry.second, name);
      } else if (!entry.second.IsNull()) {  // "worker:" with nothing under it: all defaults
        problem(line, name, fmt::format("is a section of keys, not {}", kind_name(entry.second)));
      }
    }
  }

  void unknown(int line, const std::string& section, const std::string& name, const std::string& written) {
    std::string hint;
    std::vector<std::string_view> candidates;
    for (const Key& key : keys()) {
      if (key.section == section) candidates.push_back(key.name);
      if (key.name == name) hint += fmt::format("{}{}", hint.empty() ? "" : " or ", key.dotted());
    }
    if (section.empty()) {
      for (const Section& s : sections()) candidates.push_back(s.name);
    }
    if (!hint.empty()) {
      hint = fmt::format(" (it is {})", hint);
    } else if (const auto meant = nearest(name, candidates); !meant.empty()) {
      hint = fmt::format(" (did you mean {}?)", meant);
    }
    const std::string shown = written.size() > 80 ? written.substr(0, 80) + "..." : written;
    problem(line, section.empty() ? shown : section + "." + shown, "is not a key" + hint);
  }

  void read_value(const Key& key, const YAML::Node& node, int key_line) {
    const bool wants_list = std::holds_alternative<Field<std::vector<std::string>>>(key.field);
    const bool wants_text = std::holds_alternative<Field<std::string>>(key.field);
    if (node.IsNull()) return problem(key_line, key.dotted(), fmt::format("has no value; it takes {}", describe(key)));
    if (wants_list != node.IsSequence() || node.IsMap()) {
      return problem(line_of(node), key.dotted(), fmt::format("is {}; it takes {}", kind_name(node), describe(key)));
    }
    if (wants_list) {
      for (const auto& element : node) {
        if (!element.IsScalar()) {
          problem(line_of(element), key.dotted(),
                  fmt::format("an element is {}; it takes {}", kind_name(element), describe(key)));
        } else {
          set(key, element.Scalar(), line_of(element));
        }
      }
      return;
    }
    // "8000" in quotes is text: a person who writes that means something else.
    if (!wants_text && node.Tag() == "!") {
      return problem(line_of(node), key.dotted(),
                     fmt::format("\"{}\" is text; it takes {}", node.Scalar(), describe(key)));
    }
    std::string text = node.Scalar();
    if (key.is_path && !text.empty()) {
      const std::filesystem::path path(text);
      if (path.is_relative()) text = (directory_ / path).lexically_normal().string();
    }
    set(key, text, line_of(node));
  }

  void set(const Key& key, const std::string& text, int line) {
    if (auto status = set_from_text(key, text, config_); !status.ok())
      problem(line, key.dotted(), status.error().message);
  }

  // The line of the key, else of its section, else of the file's top.
  int line_for(std::string_view section, std::string_view name) const {
    const std::string dotted = section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
    if (const auto it = lines_.find(dotted); it != lines_.end()) return it->second;
    if (const auto it = lines_.find(section); it != lines_.end()) return it->second;
    return 1;
  }

  bool whole_;
  std::string file_;
  std::filesystem::path directory_;
  ClusterConfig config_;
  std::set<std::string> wrong_;                    // keys with a problem
  std::map<std::string, int, std::less<>> lines_;  // of each key and section that the file has
  std::vector<std::pair<int, std::string>> problems_;
};

Result<std::string> read_file(const std::string& file) {
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec))
    return Error{Errc::kInvalid, fmt::format("{}: is a directory, not a file", file)};
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return Error{Errc::kIo, fmt::format("{}: cannot be read: {}", file, std::strerror(errno))};
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes)
    return Error{Errc::kTooLarge, fmt::format("{}: is larger than {} bytes", file, kMaxFileBytes)};
  return text;
}

Result<ClusterConfig> load_file(const std::string& file, bool whole) {
  SWITCHYARD_ASSIGN(const std::string text, read_file(file));
  try {
    Reader reader(file, whole);
    try {
      if (const int line = SecondDocument::line_in(text); line > 0) {
        reader.problem(line, "", "a second document; one is expected");
      } else {
        reader.read(YAML::Load(text));
      }
    } catch (const YAML::Exception& e) {
      reader.problem(e.mark.is_null() ? 1 : e.mark.line + 1, "", "not YAML: " + e.msg);
    }
    return reader.finish();
  } catch (const std::exception& e) {
    return Error{Errc::kInvalid, fmt::format("{}:1: {}", file, e.what())};
  }
}

}  // namespace

Result<ClusterConfig> load(const std::string& file) { return load_file(file, true); }
Result<ClusterConfig> load_partial(const std::string& file) { return load_file(file, false); }

std::string to_yaml(const ClusterConfig& config) {
  YAML::Emitter out;
  auto emit = [&](std::string_view section) {
    for (const Key& key : keys()) {
      if (key.section != section) continue;
      out << YAML::Key << std::string(key.name) << YAML::Value;
      std::visit(
          [&](auto field) {
            const auto& value = field(const_cast<ClusterConfig&>(config));  // a getter: nothing is written
            using T = std::remove_cvref_t<decltype(value)>;
            if constexpr (std::is_same_v<T, std::string>) {
              out << YAML::DoubleQuoted << value;
            } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
              out << YAML::Flow << YAML::BeginSeq;
              for (const auto& element : value) out << YAML::DoubleQuoted << element;
              out << YAML::EndSeq;
            } else {
              out << fmt::format("{}", value);
            }
          },
          key.field);
    }
  };
  out << YAML::BeginMap;
  emit("");
  for (const Section& section : sections()) {
    out << YAML::Key << std::string(section.name) << YAML::Value << YAML::BeginMap;
    emit(section.name);
    out << YAML::EndMap;
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace switchyard::config
