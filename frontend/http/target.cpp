#include "frontend/http/target.h"

namespace switchyard::frontend {

std::string origin_form(std::string target) {
  const size_t scheme = target.find("://");
  if (scheme == std::string::npos || target.front() == '/') return target;
  const size_t end = target.find_first_of("/?", scheme + 3);
  if (end == std::string::npos) return "/";
  return target[end] == '/' ? target.substr(end) : "/" + target.substr(end);
}

std::string path_of(const std::string& target) {
  const std::string path = origin_form(target);
  return path.substr(0, path.find('?'));
}

std::string_view target_in(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const size_t begin = line.find(' ');
  const size_t end = begin == std::string_view::npos ? begin : line.find(' ', begin + 1);
  return end == std::string_view::npos ? "" : line.substr(begin + 1, end - begin - 1);
}

}  // namespace switchyard::frontend
