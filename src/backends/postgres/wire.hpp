/// Values to and from PostgreSQL in its binary format: nothing is quoted, escaped or parsed.
///
/// Not synchronised. Params owns a copy of what it is given; Answer owns the rows.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::postgres {

/// The parameters $1, $2, ... of a statement, in that order.
class Params {
 public:
  Params& octets(std::string_view value);                        ///< bytea, or text without NUL
  Params& number(std::int64_t value);                            ///< int8
  Params& counter(std::uint64_t value);                          ///< int8 of the same bits
  Params& boolean(bool value);                                   ///< boolean
  Params& octets(std::span<const std::uint8_t> value);           ///< bytea
  Params& all_octets(std::span<const std::string_view> values);  ///< bytea[]
  Params& all_numbers(std::span<const std::int64_t> values);     ///< int8[]

  int size() const noexcept { return static_cast<int>(parts_.size()); }
  /// As libpq wants them. The pointers live as long as this object is not changed.
  std::vector<const char*> values() const;
  std::vector<int> lengths() const;

 private:
  struct Part {
    std::size_t offset;
    std::size_t size;
  };
  void array_header(std::uint32_t element_type, std::size_t count);
  void big_endian(std::uint64_t value, int octets);
  void finish(std::size_t offset) { parts_.push_back({offset, bytes_.size() - offset}); }

  std::string bytes_;
  std::vector<Part> parts_;
};

struct FreeResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, FreeResult>;

/// The rows that a statement gave.
class Answer {
 public:
  Answer() = default;
  explicit Answer(ResultPointer result) : result_(std::move(result)) {}

  int rows() const noexcept { return result_ ? PQntuples(result_.get()) : 0; }
  bool is_null(int row, int column) const noexcept { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view octets(int row, int column) const noexcept;
  /// 0 if the stored value is not eight octets.
  std::int64_t number(int row, int column) const noexcept;
  std::uint64_t counter(int row, int column) const noexcept { return static_cast<std::uint64_t>(number(row, column)); }
  bool boolean(int row, int column) const noexcept;
  /// All zero if the stored value is not of that size; its seal does not verify then.
  template <typename Bytes>
  Bytes bytes(int row, int column) const noexcept {
    Bytes bytes{};
    const std::string_view value = octets(row, column);
    if (value.size() == bytes.size()) std::copy(value.begin(), value.end(), bytes.begin());
    return bytes;
  }
  /// What the server calls it: "COMMIT", "ROLLBACK", "INSERT 0 1".
  std::string_view command() const noexcept { return result_ ? PQcmdStatus(result_.get()) : ""; }

 private:
  ResultPointer result_;
};

}  // namespace tokenstore::postgres
