/// A batch worked out against a workspace's tables, to be published as a whole or dropped.
///
/// The batch is well-formed, so that no two steps name the same record. The tables must not change
/// meanwhile. Not synchronised.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "backends/memory/tables.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::memory {

class Draft {
 public:
  Draft(const Tables& tables, const std::optional<StoreRecord>& store) : tables_(tables), store_(store) {}

  /// False: the precondition does not hold.
  bool apply(const Mutation& mutation);

  /// False if every step was a check.
  bool changes_anything() const noexcept { return changes_anything_; }
  /// After the last step: allocates what publish() needs.
  void prepare();
  /// Puts the batch into `tables` and `store`, the ones that the draft was made from. Cannot fail.
  void publish(Tables& tables, std::optional<StoreRecord>& store) noexcept;

 private:
  RecordRevision revision_of(RecordKind kind, const std::string& key) const;

  const Tables& tables_;
  const std::optional<StoreRecord>& store_;
  bool changes_anything_ = false;
  std::map<std::string, std::optional<TokenRecord>> tokens_;  ///< empty: removed
  std::map<std::string, OwnerRecord, std::less<>> owners_;
  std::optional<WorkspaceRecord> settings_;
  std::optional<StoreRecord> new_store_;
  TokenTable new_tokens_;
};

}  // namespace tokenstore::memory
