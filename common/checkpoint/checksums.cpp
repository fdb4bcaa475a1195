#include "common/checkpoint/checksums.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "common/base/atomic_file.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kListNames[] = {"SHA256SUMS", "checksums.sha256"};
constexpr uint64_t kListBytesMax = 16 << 20;
constexpr size_t kReadBytes = size_t{4} << 20;
constexpr size_t kProblemsShown = 20;

// Lower case; nothing if these are not the digits of a SHA-256.
std::optional<std::string> as_digest(std::string_view text) {
  if (text.size() != 64) return std::nullopt;
  std::string digest(text);
  for (char& c : digest) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return std::nullopt;
  }
  return digest;
}

// "HEX  NAME", "HEX *NAME" or "SHA256 (NAME) = HEX"; a leading backslash says that the name has escapes.
std::optional<GivenChecksum> parse_line(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  std::string_view name;
  std::optional<std::string> digest;
  if (constexpr std::string_view tag = "SHA256 ("; line.starts_with(tag)) {
    const size_t end = line.rfind(") = ");
    if (end == std::string_view::npos || end < tag.size()) return std::nullopt;
    name = line.substr(tag.size(), end - tag.size());
    digest = as_digest(line.substr(end + 4));
  } else {
    if (line.size() < 67 || line[64] != ' ' || (line[65] != ' ' && line[65] != '*')) return std::nullopt;
    digest = as_digest(line.substr(0, 64));
    name = line.substr(66);
  }
  if (!digest || name.empty()) return std::nullopt;
  GivenChecksum given{"", *digest, ""};
  for (size_t i = 0; i < name.size(); ++i) {
    const bool is_escape = escaped && name[i] == '\\' && i + 1 < name.size();
    if (is_escape) ++i;
    given.file += is_escape && name[i] == 'n' ? '\n' : name[i];
  }
  given.file = fs::path(given.file).lexically_normal().string();
  return given;
}

bool is_inside(const std::string& file) { return !file.starts_with('/') && file != ".." && !file.starts_with("../"); }

Result<std::string> read_list(const std::string& path) {
  SWITCHYARD_ASSIGN(const auto mapped, MappedFile::open(path));
  if (mapped->size() > kListBytesMax) {
    return Error{Errc::kTooLarge,
                 fmt::format("{}: {} bytes: above the limit of {}", path, mapped->size(), kListBytesMax)};
  }
  return std::string(reinterpret_cast<const char*>(mapped->data()), mapped->size());
}

Result<std::vector<GivenChecksum>> parse_list(const std::string& path, std::string_view text) {
  std::vector<GivenChecksum> all;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    auto given = parse_line(line);
    if (!given) return Error{Errc::kInvalid, fmt::format("{}: line {} is not one of sha256sum's", path, number)};
    if (!is_inside(given->file)) {
      return Error{Errc::kInvalid,
                   fmt::format("{}: line {}: {} is not in the checkpoint's directory", path, number, given->file)};
    }
    given->source = path;
    all.push_back(std::move(*given));
  }
  return all;
}

// NAME.sha256.
Result<std::optional<GivenChecksum>> read_own_list(const std::string& directory, const std::string& file) {
  const std::string path = directory + "/" + file + ".sha256";
  std::error_code ec;
  if (!fs::exists(path, ec)) return std::optional<GivenChecksum>();
  SWITCHYARD_ASSIGN(const std::string text, read_list(path));
  const std::string_view word = std::string_view(text).substr(0, text.find_first_of(" \r\n"));
  const auto digest = as_digest(word);
  if (!digest) return Error{Errc::kInvalid, fmt::format("{}: line 1 is not one of sha256sum's", path)};
  return std::optional<GivenChecksum>({file, *digest, path});
}

std::optional<GivenChecksum> from_hugging_face(const std::string& directory, const std::string& file) {
  std::error_code ec;
  const fs::path target = fs::read_symlink(directory + "/" + file, ec);
  if (!ec && target.parent_path().filename() == "blobs") {
    if (const auto digest = as_digest(target.filename().string()))
      return GivenChecksum{file, *digest, "its name in the cache"};
  }
  const std::string metadata = fmt::format("{}/.cache/huggingface/download/{}.metadata", directory, file);
  if (!fs::exists(metadata, ec)) return std::nullopt;
  const auto text = read_list(metadata);
  if (!text.ok()) return std::nullopt;
  const size_t begin = text->find('\n');
  if (begin == std::string::npos) return std::nullopt;
  const size_t end = text->find_first_of("\r\n", begin + 1);
  const auto digest = as_digest(std::string_view(*text).substr(begin + 1, end - begin - 1));
  if (!digest) return std::nullopt;
  return GivenChecksum{file, *digest, metadata};
}

Result<std::vector<std::string>> files_of(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code ec;
  for (fs::directory_iterator at(directory, ec), end; !ec && at != end; at.increment(ec)) {
    std::error_code unknown;
    if (at->is_regular_file(unknown)) files.push_back(at->path().filename().string());
  }
  if (ec) return Error{Errc::kIo, fmt::format("{}: {}", directory, ec.message())};
  std::sort(files.begin(), files.end());
  return files;
}

// Calls work(i) for every i below count.
void in_parallel(size_t count, size_t thread_count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < std::clamp(thread_count, size_t{1}, std::max(count, size_t{1})); ++t) {
    threads.emplace_back([&] {
      for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::string problem_of(const std::string& directory, const GivenChecksum& given) {
  const std::string path = directory + "/" + given.file;
  if (given.sha256.empty()) return fmt::format("{}: no checksum is given", path);
  const auto found = sha256_of_file(path);
  if (!found.ok()) return found.error().message;
  if (*found == given.sha256) return "";
  return fmt::format("{}: damaged or another file: its SHA-256 is {}, not {} ({})", path, *found, given.sha256,
                     given.source);
}

}  // namespace

Result<std::string> sha256_of_file(const std::string& path) {
  const auto failed = [&](int cause) { return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(cause))}; };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed(errno);
  struct stat info {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(file);
    return Error{Errc::kInvalid, path + ": not a regular file"};
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  SWITCHYARD_CHECK(hash != nullptr && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1);
  std::string piece(kReadBytes, '\0');
  ssize_t got = 0;
  int cause = 0;
  do {
    got = read(file, piece.data(), piece.size());
    cause = errno;
    if (got > 0) SWITCHYARD_CHECK(EVP_DigestUpdate(hash.get(), piece.data(), static_cast<size_t>(got)) == 1);
  } while (got > 0 || (got < 0 && cause == EINTR));
  close(file);
  if (got < 0) return failed(cause);
  unsigned char digest[32];
  SWITCHYARD_CHECK(EVP_DigestFinal_ex(hash.get(), digest, nullptr) == 1);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

Result<std::vector<GivenChecksum>> given_checksums(const std::string& directory) {
  std::map<std::string, GivenChecksum> all;
  std::error_code ec;
  for (const char* name : kListNames) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (!fs::exists(path, ec)) continue;
    SWITCHYARD_ASSIGN(const std::string text, read_list(path));
    SWITCHYARD_ASSIGN(const auto list, parse_list(path, text));
    for (const GivenChecksum& given : list) all.emplace(given.file, given);
  }
  SWITCHYARD_ASSIGN(const auto files, files_of(directory));
  for (const std::string& file : files) {
    if (!file.ends_with(".safetensors") || all.contains(file)) continue;
    SWITCHYARD_ASSIGN(auto given, read_own_list(directory, file));
    if (!given) given = from_hugging_face(directory, file);
    if (given) all.emplace(file, *given);
  }
  std::vector<GivenChecksum> list;
  for (auto& [file, given] : all) list.push_back(std::move(given));
  return list;
}

Result<std::vector<CheckedFile>> check_files(const std::string& directory, size_t thread_count,
                                             const std::function<void(const CheckedFile&)>& on_file) {
  SWITCHYARD_ASSIGN(const auto given, given_checksums(directory));
  SWITCHYARD_ASSIGN(const auto files, files_of(directory));
  std::vector<CheckedFile> checked;
  for (const GivenChecksum& one : given) checked.push_back({one, ""});
  for (const std::string& file : files) {
    const bool is_listed =
        std::any_of(given.begin(), given.end(), [&](const GivenChecksum& one) { return one.file == file; });
    if (file.ends_with(".safetensors") && !is_listed) checked.push_back({{file, "", ""}, ""});
  }
  std::mutex mutex;
  in_parallel(checked.size(), thread_count, [&](size_t i) {
    checked[i].problem = problem_of(directory, checked[i].given);
    const std::lock_guard lock(mutex);
    if (on_file) on_file(checked[i]);
  });
  return checked;
}

Status verify_checksums(const std::string& directory, size_t thread_count,
                        const std::function<void(const CheckedFile&)>& on_file) {
  SWITCHYARD_ASSIGN(const auto given, given_checksums(directory));
  if (given.empty()) {
    return Error{
        Errc::kNotFound,
        fmt::format("{}: no checksums are given: neither SHA256SUMS, checksums.sha256 or NAME.sha256, nor Hugging "
                    "Face's (`switchyard verify --write` makes SHA256SUMS of the files as they are)",
                    directory)};
  }
  SWITCHYARD_ASSIGN(const auto checked, check_files(directory, thread_count, on_file));
  std::string problems;
  size_t count = 0;
  for (const CheckedFile& file : checked) {
    if (file.problem.empty() || ++count > kProblemsShown) continue;
    problems += (count == 1 ? "" : "\n") + file.problem;
  }
  if (count == 0) return {};
  if (count > kProblemsShown) problems += fmt::format("\nand {} more", count - kProblemsShown);
  return Error{Errc::kInvalid, problems};
}

Status write_checksums(const std::string& directory, size_t thread_count) {
  SWITCHYARD_ASSIGN(std::vector<std::string> files, files_of(directory));
  std::erase_if(files, [](const std::string& file) {
    return file == kListNames[0] || file.starts_with('.') || file.find_first_of("\\\n\r") != std::string::npos;
  });
  if (files.empty()) return Error{Errc::kNotFound, directory + ": has no files"};
  std::vector<Result<std::string>> digests(files.size(), Result<std::string>(std::string()));
  in_parallel(files.size(), thread_count, [&](size_t i) { digests[i] = sha256_of_file(directory + "/" + files[i]); });
  std::string list;
  for (size_t i = 0; i < files.size(); ++i) {
    SWITCHYARD_TRY(digests[i]);
    list += fmt::format("{}  {}\n", *digests[i], files[i]);
  }
  return write_file(fmt::format("{}/{}", directory, kListNames[0]), list);
}

}  // namespace switchyard::checkpoint
