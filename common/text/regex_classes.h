// Oniguruma's sets of characters (Ruby's syntax, Unicode 16) as the inside of a bracketed class of PCRE2: what its
// doc/RE and the tables of onig 6.9 say, with the characters that PCRE2's older tables lack.
//
// Thread: any; free functions.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::text {

// White_Space, which is \s, and its complement.
std::string space_class();
std::string not_space_class();
// \w: Alphabetic, M, Nd, Pc, and outside of brackets, where an older table serves Latin-1, the numbers of that as well.
std::string word_class(bool latin_numbers);
// [:name:]; empty for a name that PCRE2 takes as it is.
std::string posix_class(std::string_view name);
// \p{name}. A name that is neither a category, a POSIX class nor a script is left to PCRE2, whose compile() refuses
// what it does not know.
std::string property_class(std::string_view name, bool in_brackets);

}  // namespace switchyard::text
