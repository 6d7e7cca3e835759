/// How the cache recognises a token text that it has seen: SipHash-2-4-128 under a random key of this
/// process, so that no client can aim at another token's place.
///
/// Immutable once made, thread-safe, allocates nothing.
#pragma once

#include <sodium/crypto_shorthash_siphash24.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/uint128.hpp"
#include "base/wipe.hpp"
#include "text/token_text.hpp"
#include "tokenstore/environment.hpp"

namespace tokenstore::validate {

/// A token id as two words, for comparing and storing without allocation.
struct IdWords {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// Precondition: 16 octets.
  static IdWords of(const char* id) noexcept {
    IdWords words;
    std::memcpy(&words.high, id, sizeof words.high);
    std::memcpy(&words.low, id + sizeof words.high, sizeof words.low);
    return words;
  }
  void write(char* id) const noexcept {
    std::memcpy(id, &high, sizeof high);
    std::memcpy(id + sizeof high, &low, sizeof low);
  }
  friend bool operator==(const IdWords&, const IdWords&) = default;
};

struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

class Fingerprinter {
 public:
  explicit Fingerprinter(RandomSource& random) noexcept {
    random.fill(sip_key_.span());
    std::array<std::uint8_t, 16> odd{};
    random.fill(odd);
    std::memcpy(id_key_.data(), odd.data(), odd.size());
  }

  Fingerprint fingerprint(std::string_view text) const noexcept {
    std::array<unsigned char, crypto_shorthash_siphashx24_BYTES> out;
    crypto_shorthash_siphashx24(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                sip_key_.data());
    Fingerprint print;
    std::memcpy(&print.high, out.data(), sizeof print.high);
    std::memcpy(&print.low, out.data() + sizeof print.high, sizeof print.low);
    return print;
  }

  /// The group of a name (an owner, a token id). Keyed too: nobody chooses a name that shares another's.
  static constexpr std::size_t groups = 4096;
  std::uint16_t group(std::string_view name) const noexcept {
    return static_cast<std::uint16_t>(fingerprint(name).high % groups);
  }

  /// Where an id's entry lives. Keyed, and much cheaper than the fingerprint, so that memory can be
  /// fetched while the fingerprint is being computed. An attacker who hit a chosen place would gain an
  /// eviction, never an answer: the fingerprint alone decides whose entry it is.
  std::uint64_t place(IdWords id) const noexcept {
    using wide = base::uint128;
    const wide first = wide{id.high ^ id_key_[0]} * (id.low ^ id_key_[1]);
    const std::uint64_t folded = static_cast<std::uint64_t>(first) ^ static_cast<std::uint64_t>(first >> 64);
    const wide second = wide{folded ^ id_key_[1]} * 0x9E37'79B9'7F4A'7C15U;
    return static_cast<std::uint64_t>(second) ^ static_cast<std::uint64_t>(second >> 64);
  }

 private:
  base::WipedBytes<crypto_shorthash_siphashx24_KEYBYTES> sip_key_;
  std::array<std::uint64_t, 2> id_key_{};
};

}  // namespace tokenstore::validate
