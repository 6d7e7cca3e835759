#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "support/seeded_random.hpp"

namespace tokenstore::base {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The CRC as its definition has it, bit by bit.
std::uint32_t plain_crc32(std::string_view octets) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char octet : octets) {
    crc ^= static_cast<std::uint8_t>(octet);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1) ^ 0xEDB88320U : crc >> 1;
  }
  return ~crc;
}

TEST_CASE("base62 digits are 0-9 A-Z a-z and nothing else is one") {
  for (unsigned value = 0; value < 62; ++value) REQUIRE(base62_digit(value) == alphabet[value]);
  for (int octet = 0; octet < 256; ++octet) {
    const auto character = static_cast<char>(octet);
    const std::string text(1, character);
    const std::size_t value = alphabet.find(character);
    INFO("octet " << octet);
    REQUIRE(is_base62(text) == (value != std::string_view::npos));
    const auto decoded = base62_decode(text);
    REQUIRE(decoded.has_value() == (value != std::string_view::npos));
    if (decoded) REQUIRE(static_cast<std::size_t>(*decoded) == value);
  }
}

TEST_CASE("base62 text is as wide as asked for, reads back, and sorts as its number") {
  test::SeededRandom random(1);
  std::array<char, 16> last{};
  uint128 last_value = 0;
  base62_encode(0, last);
  for (int i = 0; i < 20'000; ++i) {
    const uint128 value = (uint128{random.next() >> (i % 33 + 31)} << 62) | (random.next() >> 2);
    std::array<char, 16> digits{};
    base62_encode(value, digits);
    const std::string_view text(digits.data(), digits.size());
    REQUIRE(base62_decode(text) == std::optional<uint128>(value));
    REQUIRE((text < std::string_view(last.data(), last.size())) == (value < last_value));
    last = digits;
    last_value = value;
  }
}

TEST_CASE("a base62 number with one character that is no digit is refused wherever it stands") {
  for (std::size_t at = 0; at < 16; ++at) {
    std::string text(16, '7');
    text[at] = '_';
    REQUIRE_FALSE(base62_decode(text).has_value());
    REQUIRE(base62_faults(text) != 0);
    unsigned faults = 0;
    base62_value(text.substr(at, 1), faults);
    REQUIRE(faults != 0);
  }
}

TEST_CASE("the CRC is that of zlib") {
  REQUIRE(crc32("") == 0);
  REQUIRE(crc32("123456789") == 0xCBF43926U);
  REQUIRE(crc32("The quick brown fox jumps over the lazy dog") == 0x414FA339U);
}

TEST_CASE("the CRC of every length and every octet is that of its definition") {
  test::SeededRandom random(2);
  for (std::size_t size = 0; size < 300; ++size) {
    std::string text(size, '\0');
    for (char& octet : text) octet = static_cast<char>(random.next());
    INFO("size " << size);
    REQUIRE(crc32(text) == plain_crc32(text));
  }
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text(37, static_cast<char>(octet));
    REQUIRE(crc32(text) == plain_crc32(text));
  }
}

}  // namespace
}  // namespace tokenstore::base
