// The normalisation forms of Unicode (UAX 15) by the tables of Unicode 9, as the reference has them: characters
// assigned later are starters that neither decompose nor join anything.
//
// Thread: any; free functions. Valid UTF-8 in and out.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::text {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

std::string normalize_unicode(std::string_view text, UnicodeForm form);

// Lower case, character by character (Unicode 17, without the rules that look at neighbours).
std::string lower_case(std::string_view text);

}  // namespace switchyard::text
