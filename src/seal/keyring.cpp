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

Result<Keyring::Key*> find(std::vector<Keyring::Key>& keys, std::string_view id) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Keyring::Key& key) { return key.id == id; });
  if (found != keys.end()) return &*found;
  // An id that was mistyped may be anything, a key even.
  return Error(Status::not_found, "there is no key of this id in the keyring; list them");
}

/// The id after this one, and after the last the first.
std::string id_after(const std::string& id) {
  constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string next = id;
  for (std::size_t place = next.size(); place-- > 0;) {
    const std::size_t digit = digits.find(next[place]) + 1;
    next[place] = digits[digit % digits.size()];
    if (digit < digits.size()) break;
  }
  return next;
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

// From the latest key on, so that the id of one that was taken out does not come back soon: who has not noticed yet
// would take its tokens for forged.
Result<std::string> Keyring::add_new(RandomSource& random) {
  const std::string latest = keys_.empty() ? std::string(first_key_id) : keys_.back().id;
  std::string id = keys_.empty() ? latest : id_after(latest);
  while (find(keys_, id).ok()) {
    id = id_after(id);
    if (id == latest) return Error(Status::refused, "every key id is taken; remove a key first");
  }
  base::WipedBytes<master_key_size> master;
  random.fill(master.span());
  if (auto added = add(id, KeyUse::verify_only, master.span()); !added) return added.error();
  return id;
}

Result<void> Keyring::activate(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::retired) {
    return Error(Status::refused, fmt::format("key {} is retired; add a new one and activate that", id));
  }
  for (Key& other : keys_) {
    if (other.use == KeyUse::active) other.use = KeyUse::verify_only;
  }
  (*key)->use = KeyUse::active;
  return {};
}

Result<void> Keyring::retire(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  (*key)->use = KeyUse::retired;
  return {};
}

Result<void> Keyring::remove(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  keys_.erase(keys_.begin() + (*key - keys_.data()));
  return {};
}

}  // namespace tokenstore
