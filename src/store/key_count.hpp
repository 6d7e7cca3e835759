/// What hangs on each key, in all workspaces of a store.
///
/// Reads every record once. One thread at a time.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/store_impl.hpp"

namespace tokenstore {

class KeyCount {
 public:
  struct Of {
    std::uint64_t seals = 0;
    std::uint64_t living_tokens = 0;
    std::uint64_t outliving = 0;  ///< of the records that it seals: what does not end with it
    std::string workspace;        ///< one that holds some of those; empty: the store itself
  };

  /// What becomes of a workspace whose record was tampered with, and which denies every token for it.
  enum class Denied { refused, left_out };

  KeyCount(TokenStore::Impl& store, Denied denied, const Progress& progress)
      : store_(store), denied_(denied), progress_(progress) {}

  /// `tampered` names the workspace, unless such are left out.
  Result<void> run();
  /// By key id; the keys that anything hangs on.
  const std::map<std::string, Of, std::less<>>& keys() const noexcept { return keys_; }
  Of of(std::string_view id) const {
    const auto found = keys_.find(id);
    return found == keys_.end() ? Of{} : found->second;
  }

 private:
  Result<void> count_workspace(const WorkspaceRecord& record);
  Result<void> count_owners(const seal::Place& place);
  Result<void> count_tokens(const seal::Place& place);
  void count_token(const seal::Place& place, const TokenRecord& record, UnixMillis now);
  void count_seal(seal::SealCheck check, const std::string& key_id, const std::string& workspace);
  Result<void> go_on();

  TokenStore::Impl& store_;
  const Denied denied_;
  const Progress& progress_;
  std::map<std::string, Of, std::less<>> keys_;
  std::unordered_map<std::string, std::uint64_t> revoke_all_counts_;  ///< of the owners of the workspace at hand
  std::uint64_t done_ = 0;
};

/// Calls `act` with each workspace's record, as it is stored.
template <typename Act>
Result<void> for_each_workspace(Backend& backend, const Act& act) {
  constexpr std::size_t at_once = 100;
  std::string after;
  for (;;) {
    auto list = backend.list_workspaces(after, at_once);
    if (!list.ok()) return list.error();
    for (const WorkspaceRecord& record : *list) {
      if (auto done = act(record); !done.ok()) return done;
    }
    if (list->size() < at_once) return {};
    after = list->back().workspace;
  }
}

}  // namespace tokenstore
