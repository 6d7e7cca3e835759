#include "backends/sqlite/sql.hpp"

// The columns in the order in which records.cpp reads and binds them.
#define TOKEN_COLUMNS                                                                                        \
  "id, key_id, verifier, owner, owner_birth, revoke_all_count, description, scopes, metadata, created_at, "  \
  "created_by, "                                                                                             \
  "not_before, expires_at, expired_at, revoked_at, revoked_by, revoke_reason, revision, seal_key_id, seal, " \
  "last_used_at, "                                                                                           \
  "last_used_from"
#define OWNER_COLUMNS                                                                                          \
  "owner, birth, may_issue, may_use, suspended_at, suspended_by, suspend_reason, revoke_all_count, revision, " \
  "seal_key_id, "                                                                                              \
  "seal"
#define WORKSPACE_COLUMNS                                                                                  \
  "workspace, birth, tokens_enabled, users_may_issue, never_allowed, longest_lifetime, default_lifetime, " \
  "most_active_per_owner, created_at, revision, seal_key_id, seal"
#define STORE_COLUMNS "id, created_at, revision, seal_key_id, seal"
// As in the indexes (schema.cpp), which are only used for the same expression.
#define ENDS_AT "min(revoked_at, expires_at)"
// "Not revoked" and "not expired by hand" as stored. Written out because a partial index is only used for the same
// expression.
#define NOT_REVOKED "9223372036854775807"
#define NOT_EXPIRED_BY_HAND "expired_at = 9223372036854775807"
// By the rule revoked, else expired, else pending, else active; ?2 is now.
#define STATE_COUNTS                                                                    \
  "SELECT count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND \
  " AND expires_at > ?2 AND not_before <= ?2), "                                        \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND        \
  " AND expires_at > ?2 AND not_before > ?2), "                                         \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND NOT (" NOT_EXPIRED_BY_HAND   \
  " AND expires_at > ?2)), "                                                            \
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
    case Sql::load_store:
      return "SELECT " STORE_COLUMNS " FROM store WHERE only_row = 1";
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
             "owner = ?2 AND " ENDS_AT " > ?3 LIMIT ?4)";
    case Sql::list_ended:
      return "SELECT id, revision FROM token INDEXED BY token_by_end WHERE workspace = ?1 AND " ENDS_AT
             " < ?2 ORDER BY " ENDS_AT " LIMIT ?3";
    case Sql::changes:
      // One statement, so that the revision and the rows are of one moment.
      return "SELECT f.revision, f.link, f.feed_from, c.revision, c.entry, c.link FROM feed f LEFT JOIN change c "
             "ON c.workspace = f.workspace AND c.revision > ?2 WHERE f.workspace = ?1 ORDER BY c.revision LIMIT ?3";

    case Sql::token_revision:
      return "SELECT revision FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::owner_revision:
      return "SELECT revision FROM owner WHERE workspace = ?1 AND owner = ?2";
    // ?1 = ?1 keeps the parameters of the four alike.
    case Sql::workspace_revision:
      return "SELECT revision FROM workspace WHERE ?1 = ?1 AND workspace = ?2";
    case Sql::store_revision:
      return "SELECT revision FROM store WHERE ?1 = ?1 AND ?2 = '' AND only_row = 1";
    case Sql::insert_token:
      return "INSERT INTO token (workspace, " TOKEN_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "
             "?21, "
             "?22, ?23)";
    case Sql::update_token:
      // last_used_* are left as they are.
      return "UPDATE token SET key_id = ?3, verifier = ?4, owner = ?5, owner_birth = ?6, revoke_all_count = ?7, "
             "description = ?8, scopes = ?9, metadata = ?10, created_at = ?11, created_by = ?12, not_before = ?13, "
             "expires_at = ?14, expired_at = ?15, revoked_at = ?16, revoked_by = ?17, revoke_reason = ?18, "
             "revision = ?19, seal_key_id = ?20, seal = ?21 WHERE workspace = ?1 AND id = ?2";
    case Sql::delete_token:
      return "DELETE FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::put_owner:
      return "INSERT OR REPLACE INTO owner (workspace, " OWNER_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    case Sql::put_workspace:
      return "INSERT OR REPLACE INTO workspace (" WORKSPACE_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    case Sql::put_store:
      return "INSERT OR REPLACE INTO store (only_row, " STORE_COLUMNS ") VALUES (1, ?1, ?2, ?3, ?4, ?5)";
    case Sql::feed_head:
      return "SELECT revision, link FROM feed WHERE workspace = ?1";
    case Sql::set_feed_head:
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES (?1, ?2, ?3, 0) "
             "ON CONFLICT (workspace) DO UPDATE SET revision = ?2, link = ?3";
    case Sql::add_change:
      return "INSERT INTO change (workspace, revision, entry, link) VALUES (?1, ?2, ?3, ?4)";
    case Sql::drop_changes:
      return "DELETE FROM change WHERE workspace = ?1 AND revision <= ?2";
    case Sql::set_feed_from:
      return "UPDATE feed SET feed_from = ?2 WHERE workspace = ?1 AND feed_from < ?2";
    case Sql::overlong_feeds:
      return "SELECT workspace, revision, feed_from FROM feed WHERE revision - feed_from > ?1";

    case Sql::schema_objects:
      // Names that begin so are SQLite's own: the tables of ANALYZE.
      return "SELECT type, name, sql FROM sqlite_schema WHERE name NOT IN ('sqlite_stat1', 'sqlite_stat4') ORDER BY "
             "name";
    case Sql::schema_cookie:
      return "PRAGMA schema_version";

    case Sql::note_use:
      return "UPDATE token SET last_used_at = ?3, last_used_from = ?4 "
             "WHERE workspace = ?1 AND id = ?2 AND last_used_at < ?3";
    case Sql::count_:
      break;
  }
  return "";
}

}  // namespace tokenstore::sqlite
