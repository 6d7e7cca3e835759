#include "backends/postgres/wire.hpp"

#include <algorithm>

namespace tokenstore::postgres {
namespace {

// Types of the system catalogue; their numbers are part of the protocol and never change.
constexpr std::uint32_t bytea_type = 17;
constexpr std::uint32_t int8_type = 20;

std::string_view view_of(std::span<const std::uint8_t> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Params::big_endian(std::uint64_t value, int octets) {
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) {
    bytes_ += static_cast<char>(static_cast<unsigned char>((value >> shift) & 0xff));
  }
}

Params& Params::octets(std::string_view value) {
  const std::size_t offset = bytes_.size();
  bytes_ += value;
  finish(offset);
  return *this;
}

Params& Params::octets(std::span<const std::uint8_t> value) {
  return octets(view_of(value));
}

Params& Params::counter(std::uint64_t value) {
  const std::size_t offset = bytes_.size();
  big_endian(value, 8);
  finish(offset);
  return *this;
}

Params& Params::number(std::int64_t value) {
  return counter(static_cast<std::uint64_t>(value));
}

Params& Params::boolean(bool value) {
  return octets(value ? std::string_view("\1", 1) : std::string_view("\0", 1));
}

void Params::array_header(std::uint32_t element_type, std::size_t count) {
  big_endian(count == 0 ? 0 : 1, 4);  // dimensions
  big_endian(0, 4);                   // no NULLs
  big_endian(element_type, 4);
  if (count == 0) return;
  big_endian(count, 4);
  big_endian(1, 4);  // the first index
}

Params& Params::all_octets(std::span<const std::string_view> values) {
  const std::size_t offset = bytes_.size();
  array_header(bytea_type, values.size());
  for (const std::string_view value : values) {
    big_endian(value.size(), 4);
    bytes_ += value;
  }
  finish(offset);
  return *this;
}

Params& Params::all_numbers(std::span<const std::int64_t> values) {
  const std::size_t offset = bytes_.size();
  array_header(int8_type, values.size());
  for (const std::int64_t value : values) {
    big_endian(8, 4);
    big_endian(static_cast<std::uint64_t>(value), 8);
  }
  finish(offset);
  return *this;
}

std::vector<const char*> Params::values() const {
  std::vector<const char*> values;
  values.reserve(parts_.size());
  for (const Part& part : parts_) values.push_back(bytes_.data() + part.offset);
  return values;
}

std::vector<int> Params::lengths() const {
  std::vector<int> lengths;
  lengths.reserve(parts_.size());
  for (const Part& part : parts_) lengths.push_back(static_cast<int>(part.size));
  return lengths;
}

std::string_view Answer::octets(int row, int column) const noexcept {
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Answer::number(int row, int column) const noexcept {
  const std::string_view value = octets(row, column);
  if (value.size() != 8) return 0;
  std::uint64_t number = 0;
  for (const char octet : value) number = (number << 8) | static_cast<unsigned char>(octet);
  return static_cast<std::int64_t>(number);
}

bool Answer::boolean(int row, int column) const noexcept {
  const std::string_view value = octets(row, column);
  return value.size() == 1 && value[0] != 0;
}

}  // namespace tokenstore::postgres
