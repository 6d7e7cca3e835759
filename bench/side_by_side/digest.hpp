/// SHA-256 of a token: what hand-written servers store instead of it.
#pragma once

#include <sodium.h>

#include <array>
#include <cstring>
#include <string_view>

namespace bench {

using Digest = std::array<unsigned char, crypto_hash_sha256_BYTES>;

inline Digest digest_of(std::string_view text) noexcept {
  Digest digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return digest;
}

/// A digest is random already.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const noexcept {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

}  // namespace bench
