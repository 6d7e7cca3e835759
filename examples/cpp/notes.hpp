/// What the example server serves: short notes, kept in memory, each owner their own.
///
/// Thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace guarded {

class Notes {
 public:
  static constexpr std::size_t most_per_owner = 100;

  std::vector<std::string> of(std::string_view owner) const;
  /// False: the owner has as many as they may.
  bool add(std::string_view owner, std::string note);
  void clear(std::string_view owner);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<std::string>, std::less<>> notes_;
};

}  // namespace guarded
