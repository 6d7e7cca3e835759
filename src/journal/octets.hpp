/// Numbers and texts as octets, big-endian, and back: what the journal's file is written in.
///
/// One thread at a time. A reader borrows what it reads; what it hands out are views into that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tokenstore::journal {

class OctetWriter {
 public:
  explicit OctetWriter(std::string& out) noexcept : out_(out) {}

  void number(std::uint64_t value, std::size_t size) {
    for (std::size_t i = size; i-- > 0;) out_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void octet(std::uint8_t value) { number(value, 1); }
  void count(std::uint64_t value) { number(value, 8); }
  void time(std::int64_t value) { number(static_cast<std::uint64_t>(value), 8); }
  template <std::size_t Size>
  void octets(const std::array<std::uint8_t, Size>& value) {
    for (const std::uint8_t one : value) octet(one);
  }
  /// Its length in two octets, then the text; longer than 65,535 octets it is cut, which no limit of the model allows.
  void text(std::string_view value) {
    value = value.substr(0, std::numeric_limits<std::uint16_t>::max());
    number(value.size(), 2);
    out_.append(value);
  }

 private:
  std::string& out_;
};

/// Past the end everything reads as zero and empty, and `ok()` is false from then on.
class OctetReader {
 public:
  explicit OctetReader(std::string_view in) noexcept : in_(in) {}

  std::uint64_t number(std::size_t size) noexcept {
    std::uint64_t value = 0;
    for (const char one : take(size)) value = value << 8 | static_cast<std::uint8_t>(one);
    return value;
  }
  std::uint8_t octet() noexcept { return static_cast<std::uint8_t>(number(1)); }
  std::uint64_t count() noexcept { return number(8); }
  std::int64_t time() noexcept { return static_cast<std::int64_t>(number(8)); }
  template <std::size_t Size>
  void octets(std::array<std::uint8_t, Size>& value) noexcept {
    for (std::uint8_t& one : value) one = octet();
  }
  std::string_view text() noexcept { return take(number(2)); }

  bool ok() const noexcept { return ok_; }
  /// All of it was read, and nothing past it.
  bool finished() const noexcept { return ok_ && in_.empty(); }
  bool empty() const noexcept { return in_.empty(); }

 private:
  std::string_view take(std::size_t size) noexcept {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    const std::string_view taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace tokenstore::journal
