#include "backends/postgres/schema.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "backends/postgres/schema_objects.hpp"

namespace tokenstore::postgres {
namespace {

// bytea throughout: ids and names are octets and are compared as octets, whatever collation the
// database or a later version of the operating system has. The views at the end are for people.
// Times are Unix milliseconds; 9223372036854775807 means never. Counters are int8 of the same bits.
constexpr const char* statements[] = {
    R"sql(CREATE TABLE about (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  application text NOT NULL,
  version int8 NOT NULL
))sql",
    R"sql(INSERT INTO about (application, version) VALUES ('tokenstore', 1))sql",
    R"sql(CREATE TABLE store (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id bytea NOT NULL,
  created_at int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL
))sql",
    R"sql(CREATE TABLE workspace (
  workspace bytea PRIMARY KEY,
  birth bytea NOT NULL,
  tokens_enabled boolean NOT NULL,
  users_may_issue boolean NOT NULL,
  never_allowed boolean NOT NULL,
  longest_lifetime int8 NOT NULL,
  default_lifetime int8 NOT NULL,
  most_active_per_owner int8 NOT NULL,
  created_at int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL
))sql",
    R"sql(CREATE TABLE owner (
  workspace bytea NOT NULL,
  owner bytea NOT NULL,
  birth bytea NOT NULL,
  may_issue boolean NOT NULL,
  may_use boolean NOT NULL,
  suspended_at int8 NOT NULL,
  suspended_by bytea NOT NULL,
  suspend_reason bytea NOT NULL,
  revoke_all_count int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL,
  PRIMARY KEY (workspace, owner)
))sql",
    // Room in each page, so that a last use (in no index) is written beside the row it replaces.
    R"sql(CREATE TABLE token (
  workspace bytea NOT NULL,
  id bytea NOT NULL,
  key_id bytea NOT NULL,
  verifier bytea NOT NULL,
  owner bytea NOT NULL,
  owner_birth bytea NOT NULL,
  revoke_all_count int8 NOT NULL,
  description bytea NOT NULL,
  scopes bytea NOT NULL,
  metadata bytea NOT NULL,
  created_at int8 NOT NULL,
  created_by bytea NOT NULL,
  not_before int8 NOT NULL,
  expires_at int8 NOT NULL,
  expired_at int8 NOT NULL,
  revoked_at int8 NOT NULL,
  revoked_by bytea NOT NULL,
  revoke_reason bytea NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL,
  last_used_at int8 NOT NULL,
  last_used_from bytea NOT NULL,
  PRIMARY KEY (workspace, id)
) WITH (fillfactor = 90))sql",
    R"sql(CREATE INDEX token_by_owner ON token (workspace, owner, id))sql",
    R"sql(CREATE INDEX token_by_owner_and_end ON token (workspace, owner, LEAST(revoked_at, expires_at)))sql",
    R"sql(CREATE INDEX token_by_end ON token (workspace, LEAST(revoked_at, expires_at)))sql",
    // The revision of a workspace, its link, and the oldest revision from which `change` is complete. Whoever
    // writes to a workspace holds its row here until the transaction ends.
    R"sql(CREATE TABLE feed (
  workspace bytea PRIMARY KEY,
  revision int8 NOT NULL,
  link bytea NOT NULL,
  feed_from int8 NOT NULL
) WITH (fillfactor = 50))sql",
    // One row for each announced revision: what it named, and the link to the revision before.
    R"sql(CREATE TABLE change (
  workspace bytea NOT NULL,
  revision int8 NOT NULL,
  entry bytea NOT NULL,
  link bytea NOT NULL,
  PRIMARY KEY (workspace, revision)
))sql",
    R"sql(CREATE VIEW readable_token AS SELECT
  encode(workspace, 'escape') AS workspace, encode(id, 'escape') AS id, encode(owner, 'escape') AS owner,
  encode(description, 'escape') AS description, encode(scopes, 'escape') AS scopes,
  CASE WHEN created_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(created_at / 1000.0) END AS created_at,
  CASE WHEN not_before BETWEEN 0 AND 253402300799999 THEN to_timestamp(not_before / 1000.0) END AS not_before,
  CASE WHEN expires_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(expires_at / 1000.0) END AS expires_at,
  CASE WHEN revoked_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(revoked_at / 1000.0) END AS revoked_at,
  encode(revoked_by, 'escape') AS revoked_by, encode(revoke_reason, 'escape') AS revoke_reason,
  CASE WHEN last_used_at BETWEEN 1 AND 253402300799999 THEN to_timestamp(last_used_at / 1000.0) END AS last_used_at,
  encode(last_used_from, 'escape') AS last_used_from
FROM token)sql",
};

Error damaged(const std::string& schema) {
  return Error(Status::not_a_store,
               fmt::format("the schema '{}' holds only a part of a token store; restore a backup, or name another "
                           "schema",
                           schema));
}

Error schema_error(const Failure& failure, std::string_view doing) {
  if (failure.kind == Failure::Kind::refused && failure.state == "42501") {
    return Error(Status::cannot_open, fmt::format("{} failed: {}; grant the role its rights, or let another role "
                                                  "create the schema",
                                                  doing, failure.text));
  }
  return error_of(failure, doing);
}

struct Found {
  std::size_t tables = 0;  ///< how many of ours
  bool about = false;
};

Result<Found> look(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string("SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                        "ON n.oid = c.relnamespace WHERE n.nspname = $1::text"),
            {}};
  step.params.octets(target.schema);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "looking for the tables");
  Found found;
  for (int row = 0; row < reply.answers[0].rows(); ++row) {
    const std::string_view name = reply.answers[0].octets(row, 0);
    if (std::find(std::begin(table_names), std::end(table_names), name) != std::end(table_names)) ++found.tables;
    if (name == "about") found.about = true;
  }
  return found;
}

/// One transaction, under a lock that another host that opens at the same time waits for.
Result<void> create_tables(Session& session, const Target& target, Deadline deadline) {
  std::vector<Step> begin;
  begin.push_back({Sql::begin, {}});
  begin.push_back({std::string("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1::text)::int8)"), {}});
  begin.back().params.octets("tokenstore schema " + target.schema);
  Reply reply = session.run(begin, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "creating the tables");

  const Result<Found> found = look(session, target, deadline);
  if (!found) return found.error();
  std::vector<Step> steps;
  if (found->tables == 0) {
    // Not IF NOT EXISTS: that asks for the right to create schemas even if this one is there.
    Step exists{std::string("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::text"), {}};
    exists.params.octets(target.schema);
    reply = session.run({&exists, 1}, deadline);
    if (!reply.ok()) return schema_error(*reply.failure, "creating the tables");
    if (reply.answers[0].rows() == 0) steps.push_back({fmt::format("CREATE SCHEMA \"{}\"", target.schema), {}});
    for (const char* statement : statements) steps.push_back({std::string(statement), {}});
  }
  steps.push_back({Sql::commit, {}});
  reply = session.run(steps, deadline);
  if (!reply.ok()) {
    if (session.usable()) session.run(Sql::rollback, {}, deadline);
    return schema_error(*reply.failure, "creating the tables");
  }
  return {};
}

Result<void> check_version(Session& session, const Target& target, Deadline deadline) {
  const Reply reply = session.run("SELECT application, version FROM about", deadline);
  if (!reply.ok()) {
    if (reply.failure->is_missing_object()) return damaged(target.schema);
    return schema_error(*reply.failure, "reading the version of the tables");
  }
  if (reply.answers[0].rows() != 1) return damaged(target.schema);
  if (reply.answers[0].octets(0, 0) != "tokenstore") {
    return Error(Status::not_a_store,
                 fmt::format("the schema '{}' belongs to another application; name another one", target.schema));
  }
  const std::int64_t version = reply.answers[0].number(0, 1);
  if (version > schema_version) {
    return Error(Status::newer_schema,
                 fmt::format("the schema '{}' has version {}, this library knows up to {}; upgrade the library",
                             target.schema, version, schema_version));
  }
  // There is no older version yet: the first migration goes here, in create_tables()'s transaction.
  if (version != schema_version) return damaged(target.schema);
  return {};
}

/// Every statement can be prepared only if every table, column and right to see them is there.
Result<void> check_statements(Session& session, const Target& target, Deadline deadline) {
  for (std::size_t at = 0; at < static_cast<std::size_t>(Sql::notify); ++at) {
    const auto which = static_cast<Sql>(at);
    if (which == Sql::begin || which == Sql::commit || which == Sql::rollback) continue;
    const Reply reply = session.run(fmt::format("PREPARE ts_check AS {}", sql_text(which)), deadline);
    if (!reply.ok()) {
      if (reply.failure->is_missing_object()) return damaged(target.schema);
      return schema_error(*reply.failure, "checking the tables");
    }
    const Reply done = session.run("DEALLOCATE ts_check", deadline);
    if (!done.ok()) return schema_error(*done.failure, "checking the tables");
  }
  return {};
}

/// Without it the tables seem not to be there.
Result<void> check_usage(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string("SELECT pg_catalog.has_schema_privilege($1::text, 'USAGE')"), {}};
  step.params.octets(target.schema);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "checking the role's rights");
  if (reply.answers[0].boolean(0, 0)) return {};
  return Error(Status::cannot_open, fmt::format("the role may not use the schema '{}'; grant it USAGE", target.schema));
}

/// Rights are only looked at when a statement runs, so they are asked for.
Result<void> check_rights(Session& session, const Target& target, Deadline deadline) {
  std::string missing;
  for (const std::string_view table : table_names) {
    const char* needed = target.read_only || table == "about" ? "SELECT" : "SELECT, INSERT, UPDATE, DELETE";
    // Of a list the function asks for any one, so each is asked for by itself.
    for (std::string_view rest = needed; !rest.empty();) {
      const std::size_t comma = rest.find(", ");
      const std::string right(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 2);
      Step step{std::string("SELECT pg_catalog.has_table_privilege($1::text, $2::text)"), {}};
      step.params.octets(fmt::format("\"{}\".\"{}\"", target.schema, table)).octets(right);
      const Reply reply = session.run({&step, 1}, deadline);
      if (!reply.ok()) return schema_error(*reply.failure, "checking the role's rights");
      if (!reply.answers[0].boolean(0, 0))
        missing += fmt::format("{}{} on {}", missing.empty() ? "" : ", ", right, table);
    }
  }
  if (missing.empty()) return {};
  return Error(Status::cannot_open,
               fmt::format("the role lacks rights in the schema '{}': {}; grant them", target.schema, missing));
}

/// Whatever could keep a write from happening, or from being found, was made by somebody else.
Result<void> check_objects(Session& session, const Target& target, Deadline deadline) {
  const Misfits misfits = misfitting_objects(session, target, deadline);
  if (misfits.failure) return schema_error(*misfits.failure, "comparing the tables");
  if (misfits.lines.empty()) return {};
  return Error(Status::not_a_store, fmt::format("the schema '{}' {}; put it right, or restore a backup", target.schema,
                                                misfits.lines.front()));
}

}  // namespace

bool is_schema_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 40 || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

std::string channel_of(const std::string& schema) {
  return "tokenstore_of_" + schema;
}

Result<void> prepare_schema(Session& session, const Target& target, bool create, Deadline deadline) {
  const std::string encoding = session.parameter("server_encoding");
  if (encoding != "UTF8") {
    return Error(Status::cannot_open, fmt::format("the database has encoding {}; create one with ENCODING 'UTF8'",
                                                  encoding.empty() ? "unknown" : encoding));
  }
  Result<Found> found = look(session, target, deadline);
  if (!found) return found.error();
  if (found->tables == 0) {
    if (!create || target.read_only) {
      return Error(Status::cannot_open,
                   fmt::format("there is no token store in the schema '{}'; create it first", target.schema));
    }
    if (Result<void> created = create_tables(session, target, deadline); !created) return created;
  } else if (!found->about) {
    return damaged(target.schema);
  } else if (Result<void> usable = check_usage(session, target, deadline); !usable) {
    return usable;
  }
  if (Result<void> version = check_version(session, target, deadline); !version) return version;
  if (Result<void> rights = check_rights(session, target, deadline); !rights) return rights;
  if (Result<void> usable = check_statements(session, target, deadline); !usable) return usable;
  return check_objects(session, target, deadline);
}

}  // namespace tokenstore::postgres
