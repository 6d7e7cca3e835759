/// Every SQL text that runs while a store is open. Each is prepared once per connection and kept.
///
/// Parameters are always bound, never pasted in. `?1` is the workspace throughout.
#pragma once

#include <cstddef>

namespace tokenstore::sqlite {

enum class Sql : unsigned {
  begin_write,
  commit,
  rollback,

  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,           ///< id below ?2, newest first, at most ?3 rows looked at
  list_tokens_of_owner,  ///< the same for owner ?4
  list_revoked_tokens,   ///< the same for revoked tokens only
  list_owners,
  list_workspaces,
  count_tokens,
  count_tokens_of_owner,
  count_live,
  list_ended,
  changes,

  token_revision,
  owner_revision,
  workspace_revision,
  store_revision,
  insert_token,
  update_token,
  delete_token,
  put_owner,
  put_workspace,
  put_store,
  feed_head,      ///< revision and link
  set_feed_head,  ///< to revision ?2 and link ?3
  add_change,
  drop_changes,
  set_feed_from,
  overlong_feeds,

  schema_objects,  ///< type, name and text of each, in the order of the names
  schema_cookie,

  note_use,

  count_,
};

inline constexpr std::size_t sql_count = static_cast<std::size_t>(Sql::count_);

const char* sql_text(Sql which) noexcept;

/// How many revisions of a workspace its change feed goes back, and by how many it may grow beyond.
inline constexpr int feed_revisions = 4'000;
inline constexpr int feed_slack = 500;
/// The most that changes() hands out; beyond, it answers "everything".
inline constexpr int feed_entries_max = 5'000;
inline constexpr std::size_t feed_octets_max = std::size_t{8} << 20;

}  // namespace tokenstore::sqlite
