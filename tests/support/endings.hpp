/// The ways in which a token that is its owner's only one can be ended.
#pragma once

#include <array>
#include <string>

#include "tokenstore/store.hpp"

namespace tokenstore::test {

enum class Ending { revoke, expire, remove, revoke_all, suspend, forbid, switch_off };
/// But the last one, which ends those of all owners.
inline constexpr std::array endings_of_one{Ending::revoke,     Ending::expire,  Ending::remove,
                                           Ending::revoke_all, Ending::suspend, Ending::forbid};

/// True: it was acknowledged.
inline bool end(TokenStore& store, Ending ending, const std::string& id, const std::string& owner) {
  const Actor host = Actor::host();
  switch (ending) {
    case Ending::revoke:
      return store.revoke(host, id, "lost").ok();
    case Ending::expire:
      return store.expire(host, id).ok();
    case Ending::remove:
      return store.remove(host, id).ok();
    case Ending::revoke_all:
      return store.revoke_all(host, owner).ok();
    case Ending::suspend:
      return store.suspend(host, owner, "left").ok();
    case Ending::forbid:
      return store.set_owner(host, owner, {true, false}).ok();
    case Ending::switch_off: {
      auto policy = store.policy(host);
      if (!policy.ok()) return false;
      policy->tokens_enabled = false;
      return store.set_policy(host, *policy).ok();
    }
  }
  return false;
}

}  // namespace tokenstore::test
