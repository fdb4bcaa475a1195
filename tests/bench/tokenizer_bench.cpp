// Speed of one tokenizer: documents one by one, the whole text as one string, loading. One line of CSV.
//
//   tokenizer_bench TOKENIZER TEXT [PASSES]
//
// TEXT: documents separated by form feeds. Best of PASSES (3), as the reference is measured beside it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "common/text/tokenizer.h"

namespace {

double best_seconds(int passes, const std::function<void()>& work) {
  double best = 1e30;
  for (int i = 0; i < passes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  using switchyard::text::Tokenizer;
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER TEXT [PASSES]\n");
    return 2;
  }
  const int passes = argc > 3 ? std::max(1, std::atoi(argv[3])) : 3;
  std::ifstream file(argv[2], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> documents;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\f', at), text.size());
    documents.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  const auto tokenizer = Tokenizer::load(argv[1]);
  if (!tokenizer.ok() || documents.empty()) {
    std::fprintf(stderr, "%s\n", tokenizer.ok() ? "no documents" : tokenizer.error().message.c_str());
    return 1;
  }
  const double load = best_seconds(passes, [&] { (void)Tokenizer::load(argv[1]); });
  size_t tokens = 0;
  const double one_by_one = best_seconds(passes, [&] {
    tokens = 0;
    for (const auto& document : documents) tokens += (*tokenizer)->encode(document, false).size();
  });
  std::vector<int32_t> ids;
  const double whole = best_seconds(passes, [&] { ids = (*tokenizer)->encode(text, false); });
  std::string decoded;
  const double decode = best_seconds(passes, [&] { decoded = (*tokenizer)->decode(ids, false); });
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf("documents_mb_per_s,whole_mb_per_s,decode_mb_per_s,load_ms,tokens\n%.3f,%.3f,%.3f,%.1f,%zu\n",
              megabytes / one_by_one, megabytes / whole, megabytes / decode, load * 1e3, tokens);
  return 0;
}
