/// A way to find out whose token this is. One for each contender.
///
/// Thread use: run() may be called from several threads at once unless the contender says otherwise.
#pragma once

#include <cstdint>
#include <memory>

#include "requests.hpp"

namespace bench {

class LookUp {
 public:
  virtual ~LookUp() = default;
  /// Answers every request and returns the sum of the owners' marks.
  virtual std::uint64_t run(const Requests& requests) = 0;
};

inline Answer answer_of(LookUp& way) {
  return [&way](const Requests& requests) { return way.run(requests); };
}

std::unique_ptr<LookUp> our_look_up(tokenstore::TokenStore& store, bool with_address);

enum class Pages { small, huge };
/// SipHash of the text and one probe of a table of 64-octet slots. Does not know the owner.
std::unique_ptr<LookUp> floor_look_up(const Population& population, Pages pages);

enum class MapKind { std_unordered, absl_flat };
std::unique_ptr<LookUp> map_look_up(const Population& population, MapKind kind);
/// One thread only, as the two below.
std::unique_ptr<LookUp> sqlite_look_up(const Population& population, const std::filesystem::path& directory);
std::unique_ptr<LookUp> lmdb_look_up(const Population& population, const std::filesystem::path& directory);
std::unique_ptr<LookUp> redis_look_up(const Population& population, const std::filesystem::path& directory);
/// Have tokens of their own, `count` of them, one for each of the first tokens: index modulo count.
std::unique_ptr<LookUp> jwt_look_up(const Population& population, std::size_t count);
/// Null: not available.
std::unique_ptr<LookUp> scitokens_look_up(const Population& population, const std::filesystem::path& directory,
                                          std::size_t count);

}  // namespace bench
