/// Looking for a secret where it must not be.
#pragma once

#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace tokenstore::test {

inline constexpr std::size_t canary_piece = 8;

/// Whether any 8-character piece of `secret` is in `text`.
inline bool leaks(std::string_view text, std::string_view secret) {
  for (std::size_t at = 0; at + canary_piece <= secret.size(); ++at) {
    if (text.find(secret.substr(at, canary_piece)) != std::string_view::npos) return true;
  }
  return false;
}

/// The secret of a token text: 43 characters before tag and check. The rest of a token is public.
inline std::string_view secret_of(std::string_view token) {
  return token.substr(token.size() - 57, 43);
}

/// All of a file; empty if it does not exist.
inline std::string file_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace tokenstore::test
