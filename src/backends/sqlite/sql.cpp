#include "backends/sqlite/sql.hpp"

// The columns in the order in which records.cpp reads and binds them.
#define TOKEN_COLUMNS                                                                                            \
  "id, key_id, verifier, owner, description, scopes, metadata, created_at, created_by, not_before, expires_at, " \
  "revoked_at, revoked_by, revoke_reason, revision, seal_key_id, seal, last_used_at, last_used_from"
#define OWNER_COLUMNS                                                                                                \
  "owner, may_issue, may_use, suspended_at, suspended_by, suspend_reason, revoke_all_count, revision, seal_key_id, " \
  "seal"
#define WORKSPACE_COLUMNS                                                                           \
  "workspace, tokens_enabled, users_may_issue, never_allowed, longest_lifetime, default_lifetime, " \
  "most_active_per_owner, created_at, revision, seal_key_id, seal"
// "Not revoked" as stored. Written out because a partial index is only used for the same expression.
#define NOT_REVOKED "9223372036854775807"
// By the rule revoked, else expired, else pending, else active; ?2 is now.
#define STATE_COUNTS                                        \
  "SELECT count(*) FILTER (WHERE revoked_at = " NOT_REVOKED \
  " AND expires_at > ?2 AND not_before <= ?2), "            \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED        \
  " AND expires_at > ?2 AND not_before > ?2), "             \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED        \
  " AND expires_at <= ?2), "                                \
  "count(*) FILTER (WHERE revoked_at <> " NOT_REVOKED ") FROM token "

// INDEXED BY: statistics that somebody gathered (ANALYZE), or another version of SQLite, cannot change what
// a query costs.
namespace tokenstore::sqlite {

const char* sql_text(Sql which) noexcept {
  switch (which) {
    case Sql::begin_write:
      return "BEGIN IMMEDIATE";
    case Sql::commit:
      return "COMMIT";
    case Sql::rollback:
      return "ROLLBACK";

    case Sql::load_token:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::load_owner:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = ?1 AND owner = ?2";
    case Sql::load_workspace:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace = ?1";
    case Sql::list_tokens:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    case Sql::list_tokens_of_owner:
      return "SELECT " TOKEN_COLUMNS
             " FROM token INDEXED BY token_by_owner WHERE workspace = ?1 AND owner = ?4 AND id < ?2 ORDER BY id DESC "
             "LIMIT ?3";
    case Sql::list_revoked_tokens:
      return "SELECT " TOKEN_COLUMNS
             " FROM token INDEXED BY token_revoked WHERE workspace = ?1 AND id < ?2 "
             "AND revoked_at <> " NOT_REVOKED " ORDER BY id DESC LIMIT ?3";
    case Sql::list_owners:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = ?1 AND owner > ?2 ORDER BY owner LIMIT ?3";
    case Sql::list_workspaces:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace > ?1 ORDER BY workspace LIMIT ?2";
    case Sql::count_tokens:
      return STATE_COUNTS "WHERE workspace = ?1";
    case Sql::count_tokens_of_owner:
      return STATE_COUNTS "INDEXED BY token_by_owner WHERE workspace = ?1 AND owner = ?3";
    case Sql::count_live:
      return "SELECT count(*) FROM (SELECT 1 FROM token INDEXED BY token_by_owner_and_end WHERE workspace = ?1 AND "
             "owner = ?2 AND ends_at > ?3 LIMIT ?4)";
    case Sql::list_ended:
      return "SELECT id, revision FROM token INDEXED BY token_by_end WHERE workspace = ?1 AND ends_at < ?2 ORDER BY "
             "ends_at LIMIT ?3";
    case Sql::changes:
      // One statement, so that the revision and the rows are of one moment.
      return "SELECT f.revision, f.feed_from, c.kind, c.key FROM feed f LEFT JOIN change c "
             "ON c.workspace = f.workspace AND c.revision > ?2 WHERE f.workspace = ?1 LIMIT ?3";

    case Sql::token_revision:
      return "SELECT revision FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::owner_revision:
      return "SELECT revision FROM owner WHERE workspace = ?1 AND owner = ?2";
    // ?1 = ?1 keeps the parameters of the three alike.
    case Sql::workspace_revision:
      return "SELECT revision FROM workspace WHERE ?1 = ?1 AND workspace = ?2";
    case Sql::insert_token:
      return "INSERT INTO token (workspace, " TOKEN_COLUMNS
             ", ends_at) VALUES "
             "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
    case Sql::update_token:
      // last_used_* are left as they are.
      return "UPDATE token SET key_id = ?3, verifier = ?4, owner = ?5, description = ?6, scopes = ?7, metadata = ?8, "
             "created_at = ?9, created_by = ?10, not_before = ?11, expires_at = ?12, revoked_at = ?13, "
             "revoked_by = ?14, revoke_reason = ?15, revision = ?16, seal_key_id = ?17, seal = ?18, ends_at = ?21 "
             "WHERE workspace = ?1 AND id = ?2";
    case Sql::delete_token:
      return "DELETE FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::put_owner:
      return "INSERT OR REPLACE INTO owner (workspace, " OWNER_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    case Sql::put_workspace:
      return "INSERT OR REPLACE INTO workspace (" WORKSPACE_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    case Sql::next_revision:
      return "INSERT INTO feed (workspace, revision, feed_from) VALUES (?1, 1, 0) "
             "ON CONFLICT (workspace) DO UPDATE SET revision = revision + 1 RETURNING revision";
    case Sql::current_revision:
      return "SELECT revision FROM feed WHERE workspace = ?1";
    case Sql::add_change:
      return "INSERT OR IGNORE INTO change (workspace, revision, kind, key) VALUES (?1, ?2, ?3, ?4)";
    case Sql::drop_changes:
      return "DELETE FROM change WHERE workspace = ?1 AND revision <= ?2";
    case Sql::set_feed_from:
      return "UPDATE feed SET feed_from = ?2 WHERE workspace = ?1 AND feed_from < ?2";
    case Sql::overlong_feeds:
      return "SELECT workspace, revision, feed_from FROM feed WHERE revision - feed_from > ?1";

    case Sql::note_use:
      return "UPDATE token SET last_used_at = ?3, last_used_from = ?4 "
             "WHERE workspace = ?1 AND id = ?2 AND last_used_at < ?3";
    case Sql::count_:
      break;
  }
  return "";
}

}  // namespace tokenstore::sqlite
