/// Where a walk over records goes on, as text for the caller to keep: a mark that says what is walked over, and the key
/// of the last record of the page before.
///
/// A key that no caller could have given (a row that was written outside the library) is spelt in hexadecimal, so that
/// it stops no walk. Pure functions.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore {

enum class Walk : char { tokens = 'c', owners = 'o' };

class Cursor {
 public:
  /// Behind a record. `well_formed`: its key is one that a caller could give.
  static std::string behind(Walk walk, std::string_view key, bool well_formed) {
    std::string text{static_cast<char>(walk), well_formed ? plain : spelt};
    if (well_formed) return text.append(key);
    // Behind the empty key is where the next one that can be begins; the empty text would be the beginning itself.
    if (key.empty()) key = std::string_view("\0", 1);
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char octet : key.substr(0, spelt_max)) {
      text += digits[static_cast<unsigned char>(octet) >> 4];
      text += digits[static_cast<unsigned char>(octet) & 15];
    }
    // Owners go up: behind everything that begins so.
    if (walk == Walk::owners && key.size() > spelt_max) text += "ff";
    return text;
  }
  static bool is_of(Walk walk, std::string_view cursor) noexcept {
    return cursor.size() >= 2 && cursor[0] == static_cast<char>(walk) && (cursor[1] == plain || cursor[1] == spelt);
  }
  /// The key; empty at the beginning. `is_well_formed(key)` judges one that is not spelt.
  template <typename IsWellFormed>
  static Result<std::string> key_of(Walk walk, std::string_view cursor, const IsWellFormed& is_well_formed) {
    if (cursor.empty()) return std::string();
    if (!is_of(walk, cursor)) return unknown();
    const std::string_view rest = cursor.substr(2);
    if (cursor[1] == plain) {
      if (!rest.empty() && is_well_formed(rest)) return std::string(rest);
      return unknown();
    }
    if (rest.empty() || rest.size() % 2 != 0 || rest.size() > 2 * (spelt_max + 1)) return unknown();
    std::string key;
    for (std::size_t at = 0; at < rest.size(); at += 2) {
      const int high = digit(rest[at]);
      const int low = digit(rest[at + 1]);
      if (high < 0 || low < 0) return unknown();
      key += static_cast<char>(high * 16 + low);
    }
    return key;
  }

  static Error unknown() {
    return {Status::invalid_argument, "the cursor is unknown; pass the one that came with the page before"};
  }

 private:
  static constexpr char plain = '1';
  static constexpr char spelt = '2';
  /// Of a longer key the beginning is enough: what shares it is as malformed, and is passed over.
  static constexpr std::size_t spelt_max = 300;

  static int digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  }
};

}  // namespace tokenstore
