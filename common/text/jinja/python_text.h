// Python's str: repr, case, white space, splitting. All texts are valid UTF-8; positions are in code points where said.
//
// Thread: any; free functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::text::jinja {

// str.isspace() of one character: White_Space and U+001C to U+001F.
bool is_python_space(char32_t c);
void append_string_repr(std::string& out, std::string_view text);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);       // str.title()
std::string capitalize(std::string_view text);  // str.capitalize()
std::string swap_case(std::string_view text);
bool is_cased(char32_t c);
bool is_letter(char32_t c);
bool is_decimal_digit(char32_t c);
bool is_lower_text(std::string_view text);  // str.islower()
bool is_upper_text(std::string_view text);

enum class Side { kLeft, kRight, kBoth };
// Without white space at the sides.
std::string_view strip(std::string_view text, Side side);
// Without the characters of a set.
std::string_view strip(std::string_view text, Side side, std::string_view characters);

// str.split() and rsplit(): limit < 0 is none. All three fail where the parts are more than a render may hold.
std::vector<std::string> split_space(std::string_view text, int64_t limit, bool from_right);
std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit, bool from_right);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);
// str.replace(): limit < 0 is none.
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit);
// str.center(), in code points.
std::string center(std::string_view text, int64_t width, std::string_view fill);
// Positions from..to in code points, negative ones from the end, both cut to the text; what text[from:to] gives.
std::string_view slice(std::string_view text, int64_t from, int64_t to);
// &<>"' as HTML entities, as markupsafe does.
std::string escape_html(std::string_view text);

}  // namespace switchyard::text::jinja
