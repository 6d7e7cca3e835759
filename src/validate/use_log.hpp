/// Last uses that have not been written to storage yet.
///
/// Thread-safe. Bounded: past `most` tokens, a use of a further token is not noted until the next
/// flush, because no request may wait or grow memory for it.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::validate {

class UseLog {
 public:
  explicit UseLog(std::size_t most = std::size_t{1} << 16) : most_(most) {}

  /// Keeps the later of two uses of a token.
  void note(std::string_view id, UnixMillis at, std::string_view from);
  std::optional<Use> find(std::string_view id);
  /// Takes everything out.
  std::vector<Use> take();

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  std::mutex mutex_;
  std::size_t most_;
  std::unordered_map<std::string, Use, Hash, std::equal_to<>> uses_;
};

}  // namespace tokenstore::validate
