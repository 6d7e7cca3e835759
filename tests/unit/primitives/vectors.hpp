/// The reference vectors of token text format 1, and the keys that they were made with.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "seal/sealer.hpp"

namespace tokenstore::test {

inline nlohmann::json format_vectors() {
  std::ifstream file(TOKENSTORE_TEST_DATA "/vectors/token-format-1.json");
  return nlohmann::json::parse(file);
}

inline Bytes32 bytes32_from_hex(const std::string& hex) {
  Bytes32 bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

/// A sealer with both keys of the vectors; one of them is active.
inline std::unique_ptr<seal::Sealer> vector_sealer(const nlohmann::json& vectors, const std::string& active) {
  Keyring keyring;
  for (const auto& [id, hex] : vectors.at("masters").items()) {
    const Bytes32 master = bytes32_from_hex(hex.get<std::string>());
    if (!keyring.add(id, id == active ? KeyUse::active : KeyUse::verify_only, master)) return nullptr;
  }
  return std::move(seal::Sealer::create(std::move(keyring))).value();
}

}  // namespace tokenstore::test
