#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "base/uint128.hpp"
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

#ifdef __SIZEOF_INT128__
TEST_CASE("numbers of two words calculate as the compiler's own of 128 bits do") {
  test::SeededRandom random(3);
  const auto same = [](TwoWords ours, uint128 theirs) {
    return static_cast<std::uint64_t>(ours) == static_cast<std::uint64_t>(theirs) &&
           static_cast<std::uint64_t>(ours >> 64) == static_cast<std::uint64_t>(theirs >> 64);
  };
  const auto word = [&random](int shape) -> std::uint64_t {
    // Edges carry: words of zeros, of ones, and of few bits come as often as any other.
    switch (shape & 3) {
      case 0:
        return random.next();
      case 1:
        return ~std::uint64_t{0};
      case 2:
        return std::uint64_t{1} << (random.next() % 64);
      default:
        return 0;
    }
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t words[] = {word(i), word(i >> 2), word(i >> 4), word(i >> 6)};
    const uint128 a = uint128{words[0]} << 64 | words[1];
    const uint128 b = uint128{words[2]} << 64 | words[3];
    const TwoWords x = TwoWords(words[0]) << 64 | words[1];
    const TwoWords y = TwoWords(words[2]) << 64 | words[3];
    const auto by = static_cast<std::uint32_t>(random.next() | 1U);
    const auto bits = static_cast<unsigned>(random.next() % 128);
    REQUIRE(same(x, a));
    REQUIRE(same(x + y, a + b));
    REQUIRE(same(x * y, a * b));
    REQUIRE(same(x | y, a | b));
    REQUIRE(same(x / by, a / by));
    REQUIRE(same(x % by, a % by));
    REQUIRE(same(x / 62, a / 62));
    REQUIRE(same(x << bits, a << bits));
    REQUIRE(same(x >> bits, a >> bits));
    REQUIRE((x < y) == (a < b));
    REQUIRE((x > y) == (a > b));
    REQUIRE((x == y) == (a == b));
  }
}
#endif

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
