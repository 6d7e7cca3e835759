/// Every statement that runs against the tables, by name. Values are bound, never written into the text.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tokenstore::postgres {

enum class Sql : std::uint8_t {
  begin,
  commit,
  rollback,

  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,
  list_tokens_of_owner,
  list_owners,
  list_workspaces,
  count_tokens,
  count_tokens_of_owner,
  count_live,
  list_ended,
  changes,
  watch,

  lock_feed,
  add_feed,
  wait_for_feed,
  token_revisions,
  owner_revisions,
  workspace_revision,
  store_revision,
  insert_token,
  update_token,
  delete_token,
  put_owner,
  put_workspace,
  insert_store,
  update_store,
  add_change,
  set_feed_head,
  note_uses,
  overlong_feeds,
  trim_feed,
  scan_tokens,
  stray_changes,

  notify,  // the one that a server without LISTEN may not know
  count_,
};

inline constexpr std::size_t sql_count = static_cast<std::size_t>(Sql::count_);

const char* sql_text(Sql which) noexcept;

}  // namespace tokenstore::postgres
