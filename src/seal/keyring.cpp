#include "tokenstore/keyring.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/base62.hpp"
#include "base/wipe.hpp"
#include "text/token_text.hpp"

namespace tokenstore {
namespace {

constexpr std::string_view first_key_id = "0A";

Error refuse(std::string message) {
  return Error(Status::invalid_argument, std::move(message));
}

}  // namespace

Result<Keyring> Keyring::generate(RandomSource& random) {
  base::WipedBytes<master_key_size> master;
  random.fill(master.span());
  return from_bytes(master.span(), first_key_id);
}

Result<Keyring> Keyring::from_bytes(std::span<const std::uint8_t> master, std::string_view id) {
  Keyring keyring;
  Result<void> added = keyring.add(id, KeyUse::active, master);
  if (!added) return added.error();
  return keyring;
}

Result<void> Keyring::add(std::string_view id, KeyUse use, std::span<const std::uint8_t> master) {
  if (id.size() != text::key_id_size || !base::is_base62(id)) {
    return refuse("a key id is malformed; give two of the characters 0-9 A-Z a-z");
  }
  if (master.size() != master_key_size) {
    return refuse(fmt::format("key {} has {} octets; give {}", id, master.size(), master_key_size));
  }
  if (use != KeyUse::active && use != KeyUse::verify_only && use != KeyUse::retired) {
    return refuse(fmt::format("key {} has no known use; make it active, verify-only or retired", id));
  }
  for (const Key& key : keys_) {
    if (key.id == id) return refuse(fmt::format("key {} is there already; give every key an id of its own", id));
    if (key.use == KeyUse::active && use == KeyUse::active) {
      return refuse(fmt::format("keys {} and {} are both active; make all but one verify-only", key.id, id));
    }
  }
  const std::string_view octets(reinterpret_cast<const char*>(master.data()), master.size());
  keys_.push_back(Key{std::string(id), use, SecretText(octets)});
  return {};
}

}  // namespace tokenstore
