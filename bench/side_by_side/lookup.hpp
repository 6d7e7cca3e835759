/// A way to find out whose token this is. One for each contender.
///
/// Thread use: run() may be called from several threads at once unless the contender says otherwise.
#pragma once

#include <cstdint>
#include <memory>

#include "access.hpp"
#include "population.hpp"

namespace bench {

class LookUp {
 public:
  virtual ~LookUp() = default;
  /// Asks about every token of the slice and returns the sum of the owners' marks.
  virtual std::uint64_t run(Slice slice) = 0;
};

std::unique_ptr<LookUp> our_look_up(const Population& population, tokenstore::TokenStore& store, bool with_address);

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
