#include "backends/postgres/sql.hpp"

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
#define ENDS_AT "LEAST(revoked_at, expires_at)"
#define NOT_REVOKED "9223372036854775807"
#define NOT_EXPIRED_BY_HAND "expired_at = 9223372036854775807"
// By the rule revoked, else expired, else pending, else active; $2 is now.
#define STATE_COUNTS                                                                    \
  "SELECT count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND \
  " AND expires_at > $2 AND not_before <= $2), "                                        \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND        \
  " AND expires_at > $2 AND not_before > $2), "                                         \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND NOT (" NOT_EXPIRED_BY_HAND   \
  " AND expires_at > $2)), "                                                            \
  "count(*) FILTER (WHERE revoked_at <> " NOT_REVOKED ") FROM token WHERE workspace = $1"

namespace tokenstore::postgres {

const char* sql_text(Sql which) noexcept {
  switch (which) {
    case Sql::begin:
      // Each statement sees what was committed before it began: those behind the lock see all of it.
      return "BEGIN ISOLATION LEVEL READ COMMITTED";
    case Sql::commit:
      return "COMMIT";
    case Sql::rollback:
      return "ROLLBACK";

    case Sql::load_token:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = $1 AND id = $2";
    case Sql::load_owner:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = $1 AND owner = $2";
    case Sql::load_workspace:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace = $1";
    case Sql::load_store:
      return "SELECT " STORE_COLUMNS " FROM store";
    case Sql::list_tokens:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    case Sql::list_tokens_of_owner:
      return "SELECT " TOKEN_COLUMNS
             " FROM token WHERE workspace = $1 AND owner = $4 AND id < $2 ORDER BY id DESC LIMIT $3";
    case Sql::list_owners:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = $1 AND owner > $2 ORDER BY owner LIMIT $3";
    case Sql::list_workspaces:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace > $1 ORDER BY workspace LIMIT $2";
    case Sql::count_tokens:
      return STATE_COUNTS;
    case Sql::count_tokens_of_owner:
      return STATE_COUNTS " AND owner = $3";
    case Sql::count_live:
      return "SELECT count(*) FROM (SELECT 1 FROM token WHERE workspace = $1 AND owner = $2 AND " ENDS_AT
             " > $3 LIMIT $4) "
             "live";
    case Sql::list_ended:
      return "SELECT id, revision FROM token WHERE workspace = $1 AND " ENDS_AT " < $2 ORDER BY " ENDS_AT " LIMIT $3";
    case Sql::changes:
      // One statement, so that the revision and the rows are of one moment.
      return "SELECT f.revision, f.link, f.feed_from, c.revision, c.entry, c.link FROM feed f LEFT JOIN change c "
             "ON c.workspace = f.workspace AND c.revision > $2 WHERE f.workspace = $1 ORDER BY c.revision LIMIT $3";
    case Sql::watch:
      // Grows with every commit to any workspace.
      return "SELECT (count(*) + coalesce(sum(revision), 0))::int8 FROM feed";

    case Sql::lock_feed:
      return "SELECT revision, link FROM feed WHERE workspace = $1 FOR UPDATE";
    case Sql::add_feed:
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES ($1, 0, '', 0) ON CONFLICT (workspace) DO "
             "NOTHING";
    case Sql::wait_for_feed:
      // Waits for whoever holds the row, and for whoever is about to make it. Always rolled back.
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES ($1, 0, '', 0) "
             "ON CONFLICT (workspace) DO UPDATE SET revision = feed.revision";
    case Sql::token_revisions:
      return "SELECT id, revision FROM token WHERE workspace = $1 AND id = ANY($2)";
    case Sql::owner_revisions:
      return "SELECT owner, revision FROM owner WHERE workspace = $1 AND owner = ANY($2)";
    case Sql::workspace_revision:
      return "SELECT revision FROM workspace WHERE workspace = $1";
    case Sql::store_revision:
      return "SELECT revision FROM store";
    case Sql::insert_token:
      return "INSERT INTO token (workspace, " TOKEN_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, "
             "$21, "
             "$22, $23)";
    case Sql::update_token:
      // last_used_* are left as they are.
      return "UPDATE token SET key_id = $3, verifier = $4, owner = $5, owner_birth = $6, revoke_all_count = $7, "
             "description = $8, scopes = $9, metadata = $10, created_at = $11, created_by = $12, not_before = $13, "
             "expires_at = $14, expired_at = $15, revoked_at = $16, revoked_by = $17, revoke_reason = $18, "
             "revision = $19, seal_key_id = $20, seal = $21 WHERE workspace = $1 AND id = $2";
    case Sql::delete_token:
      return "DELETE FROM token WHERE workspace = $1 AND id = $2";
    case Sql::put_owner:
      return "INSERT INTO owner (workspace, " OWNER_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (workspace, owner) DO UPDATE "
             "SET "
             "birth = excluded.birth, may_issue = excluded.may_issue, may_use = excluded.may_use, suspended_at = "
             "excluded.suspended_at, "
             "suspended_by = excluded.suspended_by, suspend_reason = excluded.suspend_reason, "
             "revoke_all_count = excluded.revoke_all_count, revision = excluded.revision, "
             "seal_key_id = excluded.seal_key_id, seal = excluded.seal";
    case Sql::put_workspace:
      return "INSERT INTO workspace (" WORKSPACE_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (workspace) DO UPDATE SET "
             "birth = excluded.birth, tokens_enabled = excluded.tokens_enabled, users_may_issue = "
             "excluded.users_may_issue, "
             "never_allowed = excluded.never_allowed, longest_lifetime = excluded.longest_lifetime, "
             "default_lifetime = excluded.default_lifetime, most_active_per_owner = excluded.most_active_per_owner, "
             "created_at = excluded.created_at, revision = excluded.revision, seal_key_id = excluded.seal_key_id, "
             "seal = excluded.seal";
    case Sql::insert_store:
      return "INSERT INTO store (" STORE_COLUMNS ") VALUES ($1, $2, $3, $4, $5)";
    case Sql::update_store:
      return "UPDATE store SET id = $1, created_at = $2, revision = $3, seal_key_id = $4, seal = $5 "
             "WHERE revision = $3::int8 - 1";
    case Sql::add_change:
      return "INSERT INTO change (workspace, revision, entry, link) VALUES ($1, $2, $3, $4)";
    case Sql::set_feed_head:
      return "UPDATE feed SET revision = $2, link = $3 WHERE workspace = $1";
    case Sql::note_uses:
      // The rows are locked in the order of their ids, so that two hosts do not wait for each other.
      return "WITH used AS (SELECT * FROM unnest($2::bytea[], $3::int8[], $4::bytea[]) AS u (id, used_at, used_from)), "
             "locked AS (SELECT token.id FROM token JOIN used ON token.id = used.id WHERE workspace = $1 "
             "AND last_used_at < used_at ORDER BY token.id FOR NO KEY UPDATE OF token) "
             "UPDATE token SET last_used_at = used_at, last_used_from = used_from FROM used JOIN locked "
             "ON used.id = locked.id WHERE workspace = $1 AND token.id = used.id AND last_used_at < used_at";
    case Sql::overlong_feeds:
      return "SELECT workspace, revision, feed_from FROM feed WHERE revision - feed_from > $1 LIMIT 100";
    case Sql::trim_feed:
      return "WITH moved AS (UPDATE feed SET feed_from = $2 WHERE workspace = $1 AND feed_from < $2) "
             "DELETE FROM change WHERE workspace = $1 AND revision <= $2";
    case Sql::scan_tokens:
      // Reads every octet of a slice.
      return "SELECT workspace, id, count(*) OVER (), (sum(weight) OVER ())::int8 FROM (SELECT workspace, id, "
             "octet_length("
             "key_id || verifier || owner || owner_birth || description || scopes || metadata || created_by || "
             "revoked_by || "
             "revoke_reason || seal_key_id || seal || last_used_from)::int8 AS weight FROM token "
             "WHERE (workspace, id) > ($1, $2) ORDER BY workspace, id LIMIT $3) slice ORDER BY workspace DESC, id DESC "
             "LIMIT 1";
    case Sql::stray_changes:
      return "SELECT count(*) FROM (SELECT DISTINCT c.workspace FROM change c LEFT JOIN feed f "
             "ON f.workspace = c.workspace WHERE f.revision IS NULL OR c.revision > f.revision) stray";

    case Sql::notify:
      return "SELECT pg_notify($1::text, '')";
    case Sql::count_:
      break;
  }
  return "";
}

}  // namespace tokenstore::postgres
