/// Last uses that have not been written to storage yet.
///
/// Thread-safe. Bounded: past `most` tokens, a use of a further token is not noted until the next
/// flush, because no request may wait or grow memory for it.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::validate {

class UseLog {
 public:
  explicit UseLog(std::size_t most = std::size_t{1} << 16) : most_(most) {}

  /// Keeps the later of two uses of a token.
  void note(std::string_view id, UnixMillis at, std::string_view from);
  std::optional<Use> find(std::string_view id);
  /// Takes out the uses of up to `count` tokens, those with the lowest ids above `after`.
  std::vector<Use> take(std::size_t count, std::string_view after);

 private:
  std::mutex mutex_;
  std::size_t most_;
  std::map<std::string, Use, std::less<>> uses_;
};

}  // namespace tokenstore::validate
