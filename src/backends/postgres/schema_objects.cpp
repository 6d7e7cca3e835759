#include "backends/postgres/schema_objects.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace tokenstore::postgres {
namespace {

// One line for each thing, in the words of PostgreSQL's own catalogue. Constraints that say NOT NULL are with their
// column, where every version has them.
constexpr const char* objects_of_schema = R"sql(
WITH home AS (SELECT oid, pg_catalog.quote_ident(nspname) || '.' AS prefix FROM pg_catalog.pg_namespace
    WHERE nspname = $1::text),
  relation AS (SELECT c.* FROM pg_catalog.pg_class c JOIN home ON c.relnamespace = home.oid
    WHERE pg_catalog.convert_to(relname::text, 'UTF8') = ANY ($2::bytea[])),
  line(text) AS (
    SELECT pg_catalog.format('relation %s of kind %s%s%s%s%s%s', relname, relkind,
        CASE relpersistence WHEN 'p' THEN '' ELSE ', not durable' END,
        CASE WHEN relrowsecurity OR relforcerowsecurity THEN ', with row security' ELSE '' END,
        CASE WHEN relispartition THEN ', a partition' ELSE '' END,
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation.oid OR inhparent = relation.oid)
          THEN ', that inherits or is inherited' ELSE '' END,
        CASE WHEN reloftype <> 0 THEN ', of a type' ELSE '' END)
      FROM relation
    UNION ALL SELECT pg_catalog.format('column %s.%s %s%s%s%s', relname, attname,
        pg_catalog.format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' ELSE '' END,
        ' default ' || pg_catalog.pg_get_expr(adbin, adrelid),
        CASE WHEN attidentity <> '' OR attgenerated <> '' THEN ', generated' ELSE '' END)
      FROM relation JOIN pg_catalog.pg_attribute a ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_catalog.pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    UNION ALL SELECT pg_catalog.replace(pg_catalog.pg_get_indexdef(indexrelid), home.prefix, '') ||
        CASE WHEN indisvalid AND indisready THEN '' ELSE ', not valid' END
      FROM home, relation JOIN pg_catalog.pg_index ON indrelid = relation.oid
    UNION ALL SELECT pg_catalog.format('constraint %s on %s: %s%s', conname, relname,
        pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), home.prefix, ''),
        CASE WHEN condeferrable THEN ', deferrable' ELSE '' END)
      FROM home, relation JOIN pg_catalog.pg_constraint k ON conrelid = relation.oid WHERE contype <> 'n'
    UNION ALL SELECT pg_catalog.format('trigger %s on %s', tgname, relname)
      FROM relation JOIN pg_catalog.pg_trigger ON tgrelid = relation.oid WHERE NOT tgisinternal
    UNION ALL SELECT pg_catalog.format('rule %s on %s', rulename, relname)
      FROM relation JOIN pg_catalog.pg_rewrite ON ev_class = relation.oid
    UNION ALL SELECT pg_catalog.format('policy %s on %s', polname, relname)
      FROM relation JOIN pg_catalog.pg_policy ON polrelid = relation.oid)
SELECT text FROM line ORDER BY text COLLATE "C")sql";

// As PostgreSQL lists the tables that schema.cpp makes; sorted.
constexpr std::string_view expected[] = {
    "CREATE INDEX token_by_end ON token USING btree (workspace, LEAST(revoked_at, expires_at))",
    "CREATE INDEX token_by_owner ON token USING btree (workspace, owner, id)",
    "CREATE INDEX token_by_owner_and_end ON token USING btree (workspace, owner, LEAST(revoked_at, expires_at))",
    "CREATE UNIQUE INDEX about_pkey ON about USING btree (only_row)",
    "CREATE UNIQUE INDEX change_pkey ON change USING btree (workspace, revision)",
    "CREATE UNIQUE INDEX feed_pkey ON feed USING btree (workspace)",
    "CREATE UNIQUE INDEX owner_pkey ON owner USING btree (workspace, owner)",
    "CREATE UNIQUE INDEX store_pkey ON store USING btree (only_row)",
    "CREATE UNIQUE INDEX token_pkey ON token USING btree (workspace, id)",
    "CREATE UNIQUE INDEX workspace_pkey ON workspace USING btree (workspace)",
    "column about.application text not null",
    "column about.only_row boolean not null default true",
    "column about.version bigint not null",
    "column change.entry bytea not null",
    "column change.link bytea not null",
    "column change.revision bigint not null",
    "column change.workspace bytea not null",
    "column feed.feed_from bigint not null",
    "column feed.link bytea not null",
    "column feed.revision bigint not null",
    "column feed.workspace bytea not null",
    "column owner.birth bytea not null",
    "column owner.may_issue boolean not null",
    "column owner.may_use boolean not null",
    "column owner.owner bytea not null",
    "column owner.revision bigint not null",
    "column owner.revoke_all_count bigint not null",
    "column owner.seal bytea not null",
    "column owner.seal_key_id bytea not null",
    "column owner.suspend_reason bytea not null",
    "column owner.suspended_at bigint not null",
    "column owner.suspended_by bytea not null",
    "column owner.workspace bytea not null",
    "column store.created_at bigint not null",
    "column store.id bytea not null",
    "column store.only_row boolean not null default true",
    "column store.revision bigint not null",
    "column store.seal bytea not null",
    "column store.seal_key_id bytea not null",
    "column token.created_at bigint not null",
    "column token.created_by bytea not null",
    "column token.description bytea not null",
    "column token.expired_at bigint not null",
    "column token.expires_at bigint not null",
    "column token.id bytea not null",
    "column token.key_id bytea not null",
    "column token.last_used_at bigint not null",
    "column token.last_used_from bytea not null",
    "column token.metadata bytea not null",
    "column token.not_before bigint not null",
    "column token.owner bytea not null",
    "column token.owner_birth bytea not null",
    "column token.revision bigint not null",
    "column token.revoke_all_count bigint not null",
    "column token.revoke_reason bytea not null",
    "column token.revoked_at bigint not null",
    "column token.revoked_by bytea not null",
    "column token.scopes bytea not null",
    "column token.seal bytea not null",
    "column token.seal_key_id bytea not null",
    "column token.verifier bytea not null",
    "column token.workspace bytea not null",
    "column workspace.birth bytea not null",
    "column workspace.created_at bigint not null",
    "column workspace.default_lifetime bigint not null",
    "column workspace.longest_lifetime bigint not null",
    "column workspace.most_active_per_owner bigint not null",
    "column workspace.never_allowed boolean not null",
    "column workspace.revision bigint not null",
    "column workspace.seal bytea not null",
    "column workspace.seal_key_id bytea not null",
    "column workspace.tokens_enabled boolean not null",
    "column workspace.users_may_issue boolean not null",
    "column workspace.workspace bytea not null",
    "constraint about_only_row_check on about: CHECK (only_row)",
    "constraint about_pkey on about: PRIMARY KEY (only_row)",
    "constraint change_pkey on change: PRIMARY KEY (workspace, revision)",
    "constraint feed_pkey on feed: PRIMARY KEY (workspace)",
    "constraint owner_pkey on owner: PRIMARY KEY (workspace, owner)",
    "constraint store_only_row_check on store: CHECK (only_row)",
    "constraint store_pkey on store: PRIMARY KEY (only_row)",
    "constraint token_pkey on token: PRIMARY KEY (workspace, id)",
    "constraint workspace_pkey on workspace: PRIMARY KEY (workspace)",
    "relation about of kind r",
    "relation change of kind r",
    "relation feed of kind r",
    "relation owner of kind r",
    "relation store of kind r",
    "relation token of kind r",
    "relation workspace of kind r",
};

}  // namespace

Misfits misfitting_objects(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string(objects_of_schema), {}};
  step.params.octets(target.schema).all_octets(table_names);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return {reply.failure, {}};
  std::vector<std::string_view> found;
  found.reserve(static_cast<std::size_t>(reply.answers[0].rows()));
  for (int row = 0; row < reply.answers[0].rows(); ++row) found.push_back(reply.answers[0].octets(row, 0));

  Misfits misfits;
  std::vector<std::string_view> difference;
  std::set_difference(found.begin(), found.end(), std::begin(expected), std::end(expected),
                      std::back_inserter(difference));
  for (const std::string_view line : difference)
    misfits.lines.push_back(fmt::format("has what is no part of a token store: {}", line));
  difference.clear();
  std::set_difference(std::begin(expected), std::end(expected), found.begin(), found.end(),
                      std::back_inserter(difference));
  for (const std::string_view line : difference)
    misfits.lines.push_back(fmt::format("lacks a part of a token store: {}", line));
  return misfits;
}

}  // namespace tokenstore::postgres
