/// A store of a given size, and the texts of its tokens.
///
/// Token number i belongs to owner number i / 10 and grants "repo:read repo:write". The texts lie one
/// behind the other, as many octets each.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "access.hpp"
#include "tokenstore/tokenstore.hpp"

namespace bench {

inline constexpr std::string_view scope = "repo:write";
inline constexpr std::uint32_t tokens_per_owner = 10;

std::string owner_name(std::size_t token);
/// A number made of the owner's name, so that every contender must have read it and can be held to it.
inline std::uint64_t mark_of(std::string_view owner) noexcept {
  std::uint64_t mark = 0;
  std::memcpy(&mark, owner.data() + owner.size() - sizeof mark, sizeof mark);
  return mark;
}

/// The id in a token text.
inline std::string_view id_of(std::string_view text) noexcept {
  constexpr std::size_t from_end = 74;  // id, "_", secret, tag, check
  return text.substr(text.size() - from_end, tokenstore::token_id_size);
}

class Texts {
 public:
  void reserve(std::size_t count, std::size_t size) {
    size_ = size;
    octets_.reserve(count * size);
  }
  void add(std::string_view text) { octets_.insert(octets_.end(), text.begin(), text.end()); }
  std::string_view operator[](std::size_t at) const noexcept { return {octets_.data() + at * size_, size_}; }
  std::size_t count() const noexcept { return octets_.size() / size_; }

 private:
  std::size_t size_ = 1;
  std::vector<char> octets_;
};

struct Population {
  std::filesystem::path file;
  std::size_t tokens = 0;
  Texts texts;
  std::vector<std::uint64_t> marks;  ///< of each token's owner

  /// Opens the store anew with a cache that holds every token, or of the given size.
  std::unique_ptr<tokenstore::TokenStore> open(std::size_t cache_bytes) const;
  std::size_t ample_cache() const { return tokens * 224 + (std::size_t{4} << 20); }
  /// The sum of the marks of a slice: what a contender that answers rightly returns.
  std::uint64_t expected(Slice slice) const;
};

/// Issues `tokens` tokens into a new SQLite store in `directory`.
Population populate(const std::filesystem::path& directory, std::size_t tokens);
/// The same into a store of any backend. The population knows no file, and cannot be opened.
void fill(tokenstore::TokenStore& store, std::size_t tokens, Population& made);
std::vector<tokenstore::IssueRequest> issue_requests(std::size_t first, std::size_t count);

/// The value, or the end of the program with the error's message.
template <typename T>
T must(tokenstore::Result<T> result);

}  // namespace bench

#include "rounds.hpp"

template <typename T>
T bench::must(tokenstore::Result<T> result) {
  if (!result.ok()) give_up(result.error().message());
  return std::move(*result);
}
