// The smallest model that goes all the ways of a large one: two layers of attention and experts, random weights. Its
// tokens depend on all tokens before them, so that a wrong replay shows.
#pragma once

#include <cstdint>
#include <string>

namespace switchyard::simulation {

inline constexpr uint32_t kToyVocabulary = 96;
inline constexpr uint32_t kToyExperts = 6;
inline constexpr uint32_t kToyLayers = 2;

// Writes its checkpoint into a directory of this process, which goes at the process's end.
std::string write_toy_model();

}  // namespace switchyard::simulation
