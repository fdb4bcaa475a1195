# cmake -D FILES=a.html;b.js -D SOURCE=DIRECTORY -D OUTPUT=FILE.cpp -P embed.cmake: the files as the table that page.h declares.
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")

set(entries)
foreach(name IN LISTS FILES)
  file(READ ${SOURCE}/${name} body)
  file(SHA256 ${SOURCE}/${name} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  string(REGEX REPLACE ".*\\." "" extension ${name})
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "embed.cmake knows no content type for ${name}")
  endif()
  set(path /page/${name})
  if(name STREQUAL "index.html")
    set(path /)
  endif()
  string(APPEND entries "    {\"${path}\", \"${type_${extension}}\", R\"(\"${hash}\")\", R\"page(${body})page\"},\n")
endforeach()

file(WRITE ${OUTPUT} "// Made by frontend/page/embed.cmake.
#include \"frontend/page/page.h\"

namespace switchyard::page {
namespace {
constexpr PageFile kFiles[] = {
${entries}};
}  // namespace

std::span<const PageFile> page_files() { return kFiles; }

}  // namespace switchyard::page
")
