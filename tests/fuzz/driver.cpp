// Runs a fuzz target without libFuzzer: the kept inputs as they are, then damaged forms of them, as many as told. Same
// arguments, same inputs, whatever the machine, so that a test can be made of it.
//
//   fuzz_NAME CORPUS_DIRECTORY_OR_FILE... [--runs N] [--first K] [--seed S] [--bytes N] [--seconds N] [--memory-mib N]
//
// Run K is a function of (seed, K) and the corpus: `--first K --runs 1` repeats it. An input that crashes, breaks an
// invariant, or takes more processor time or memory than allowed ends the process with its bytes in ./finding-NAME-K.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/target.h"

namespace {

struct Options {
  uint64_t runs = 0, first = 0, seed = 1;
  size_t bytes_max = 4096;  // of damaged inputs
  time_t seconds = 2;       // of one input
  uint64_t memory_mib = 0;  // of the process; 0 = no limit
};

// For the signal handler.
char finding_file[256];
const char* input_data = nullptr;
size_t input_size = 0;

void on_signal(int signal) {
  const int fd = open(finding_file, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  bool kept = fd >= 0;
  for (size_t done = 0; kept && done < input_size;) {
    const ssize_t count = write(fd, input_data + done, input_size - done);
    kept = count > 0;
    if (kept) done += static_cast<size_t>(count);
  }
  const char* what = signal == SIGVTALRM ? "fuzz: too slow: " : "fuzz: stopped by: ";
  for (const char* text : {what, static_cast<const char*>(finding_file), "\n"}) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) break;
  }
  std::signal(signal == SIGVTALRM ? SIGABRT : signal, SIG_DFL);
  std::raise(signal == SIGVTALRM ? SIGABRT : signal);
}

void run(const std::string& name, const std::string& input, const Options& options) {
  std::snprintf(finding_file, sizeof finding_file, "finding-%s", name.c_str());
  // A copy of the very size, so that a sanitizer sees a read past its end.
  const std::vector<char> copy(input.begin(), input.end());
  input_data = copy.data();
  input_size = copy.size();
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = options.seconds, .tv_usec = 0}};
  setitimer(ITIMER_VIRTUAL, &limit, nullptr);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(copy.data()), copy.size());
  const itimerval none{};
  setitimer(ITIMER_VIRTUAL, &none, nullptr);
}

class Damage {
 public:
  Damage(const std::vector<std::string>& corpus, uint64_t seed, uint64_t run, size_t bytes_max)
      : corpus_(corpus), random_(seed * 0x9E3779B97F4A7C15 + run), bytes_max_(bytes_max) {}

  std::string input() {
    text_ = any();
    const size_t changes = 1 + below(below(4) == 0 ? 16 : 4);
    for (size_t i = 0; i < changes; ++i) change();
    if (text_.size() > bytes_max_) text_.resize(bytes_max_);
    return std::move(text_);
  }

 private:
  size_t below(size_t count) { return count == 0 ? 0 : static_cast<size_t>(random_() % count); }
  const std::string& any() { return corpus_[below(corpus_.size())]; }
  // Mostly short, at times anything up to `most`.
  size_t length(size_t most) { return std::min(most, 1 + below(below(4) == 0 ? most : 12)); }

  void change() {
    // What parsers have gone wrong at, in all formats.
    static constexpr std::string_view kTokens[] = {"0",
                                                   "-1",
                                                   "1e400",
                                                   "1e-400",
                                                   "NaN",
                                                   "18446744073709551615",
                                                   "-9223372036854775808",
                                                   "4294967296",
                                                   "2147483648",
                                                   "{}",
                                                   "[]",
                                                   "null",
                                                   "\"",
                                                   "\\",
                                                   "\\ud800",
                                                   "\\u0000",
                                                   "\xC0\xAF",
                                                   "\xED\xA0\x80",
                                                   "\n",
                                                   "\r\n",
                                                   "\t",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   "<",
                                                   "|>",
                                                   "{{",
                                                   "{%",
                                                   "(",
                                                   ")",
                                                   "(?:",
                                                   "*",
                                                   "{1,99}",
                                                   "&",
                                                   ": ",
                                                   "%",
                                                   "\xF4\x90\x80\x80",
                                                   "\xEF\xBF\xBD",
                                                   "\xE2\x80\x8D",
                                                   "0.1",
                                                   "true",
                                                   ","};
    const size_t at = below(text_.size() + 1);
    const size_t here = text_.size() - at;  // bytes from there on
    switch (below(10)) {
      case 0:
        if (here > 0) text_[at] = static_cast<char>(random_());
        break;
      case 1:
        if (here > 0) text_[at] = static_cast<char>(text_[at] ^ (1 << below(8)));
        break;
      case 2: text_.erase(at, length(here)); break;
      case 3: text_.insert(at, 1 + below(3), static_cast<char>(random_())); break;
      case 4: text_.insert(at, std::string(text_.substr(below(text_.size() + 1), length(64)))); break;
      case 5: text_.insert(at, kTokens[below(std::size(kTokens))]); break;
      case 6: {  // a part of another input
        const std::string& other = any();
        const size_t from = below(other.size() + 1);
        text_.replace(at, below(2) * length(here), other.substr(from, length(other.size() - from)));
        break;
      }
      case 7: {  // the same thing very often: depth, and time that is not linear
        const std::string unit = text_.substr(at, length(std::min<size_t>(here, 8)));
        std::string many;
        for (size_t count = 1 + below(512); count > 0 && many.size() < bytes_max_; --count) many += unit;
        text_.insert(at, many);
        break;
      }
      case 8: {  // another number
        const size_t digit = text_.find_first_of("0123456789", at);
        if (digit == std::string::npos) break;
        const size_t end = std::min(text_.find_first_not_of("0123456789", digit), text_.size());
        text_.replace(digit, end - digit, below(2) == 0 ? std::to_string(below(1000)) : std::to_string(random_()));
        break;
      }
      default: text_.resize(at); break;
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
  const size_t bytes_max_;
  std::string text_;
};

// The files, in the order of their names.
std::vector<std::string> files_of(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "fuzz: cannot read %s\n", file.c_str());
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

uint64_t number(const char* text) {
  char* end = nullptr;
  const uint64_t value = text == nullptr ? 0 : std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') {
    std::fprintf(stderr, "fuzz: a number is expected, not %s\n", text == nullptr ? "nothing" : text);
    std::exit(2);
  }
  return value;
}

}  // namespace

int main(int, char** arguments) {
  const std::string name = std::filesystem::path(arguments[0]).filename();
  Options options;
  std::vector<std::string> files;
  for (char** argument = arguments + 1; *argument != nullptr; ++argument) {
    const std::string_view option = *argument;
    if (!option.starts_with("--")) {
      for (std::string& file : files_of(*argument)) files.push_back(std::move(file));
      continue;
    }
    const uint64_t value = number(*++argument);
    if (option == "--runs")
      options.runs = value;
    else if (option == "--first")
      options.first = value;
    else if (option == "--seed")
      options.seed = value;
    else if (option == "--bytes")
      options.bytes_max = value;
    else if (option == "--seconds")
      options.seconds = static_cast<time_t>(value);
    else if (option == "--memory-mib")
      options.memory_mib = value;
    else
      std::fprintf(stderr, "fuzz: unknown option %s\n", argument[-1]), std::exit(2);
  }
  if (options.memory_mib > 0) {
    const rlimit limit{options.memory_mib << 20, options.memory_mib << 20};
    setrlimit(RLIMIT_DATA, &limit);
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGVTALRM}) std::signal(signal, on_signal);

  std::vector<std::string> corpus;
  for (const std::string& file : files) {
    corpus.push_back(read(file));
    run(name + "-kept", corpus.back(), options);
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "fuzz: no inputs\n");
    return 2;
  }
  for (uint64_t i = options.first; i < options.first + options.runs; ++i)
    run(name + "-" + std::to_string(i), Damage(corpus, options.seed, i, options.bytes_max).input(), options);
  std::printf("%s: %zu kept inputs and %llu damaged ones (seed %llu)\n", name.c_str(), corpus.size(),
              static_cast<unsigned long long>(options.runs), static_cast<unsigned long long>(options.seed));
  return 0;
}
