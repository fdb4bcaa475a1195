// The files of the page on which a person tries the model, as the build put them into the binary.
//
// Thread: any; constant. Cannot fail.
#pragma once

#include <span>
#include <string_view>

namespace switchyard::page {

struct PageFile {
  std::string_view path;  // of the URL: "/" or "/page/chat.js"
  std::string_view content_type;
  std::string_view etag;  // of the body, quoted as the header has it (RFC 9110, section 8.8.3)
  std::string_view body;
};

// What the browser is told to allow: files and requests of this origin, no inline script or style, no frame around it,
// and no text that becomes markup. A model's answer is a stranger's text.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::span<const PageFile> page_files();

}  // namespace switchyard::page
