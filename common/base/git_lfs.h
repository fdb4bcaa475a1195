// Files that were cloned without their content: a text of three lines stands in their place.
// Format: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
#pragma once

#include <string_view>

namespace switchyard {

// beginning: of the file, 64 bytes or more where it has them.
inline bool is_git_lfs_pointer(std::string_view beginning) {
  return beginning.starts_with("version https://git-lfs.github.com/spec/");
}

// What a message says after the file's name.
inline constexpr const char* kGitLfsProblem = "is a Git LFS pointer, not the file itself: git lfs pull";

}  // namespace switchyard
