// What may be wrong with a server, a database or a role: a clear error, and nothing lost.
#include "backends/postgres/sql.hpp"
#include "postgres_support.hpp"

namespace tokenstore::test {
namespace {

TEST_CASE("a wrong connection string is refused without quoting a piece of it") {
  for (const char* wrong : {"host=/tmp password='canary-one", "canary-one",
                            "postgresql://user:canary-one@[::", "host=/tmp nonsense=canary-one"}) {
    const Error error = refused(options_for(wrong));
    CHECK(error.status() == Status::cannot_open);
    CHECK_FALSE(mentions(error, "canary"));
  }
  // Special characters of a password that somebody forgot to encode: libpq takes what follows for a host or a port.
  for (const char* wrong :
       {"postgresql://user:can@canary-one@127.0.0.1/db", "postgres://user:canary-one/x@127.0.0.1/db",
        "postgresql://user:canary-one/db", "postgresql://user:1/canary-one@127.0.0.1:1/db",
        "postgresql://user@127.0.0.1:canary-one/db", "host=127.0.0.1 port=canary-one"}) {
    const Error error = refused(options_for(wrong));
    CHECK(error.status() == Status::cannot_open);
    CHECK(mentions(error, "malformed"));
    CHECK_FALSE(mentions(error, "canary"));
  }
  CHECK_FALSE(
      mentions(refused(options_for("postgresql://user:a%40b@127.0.0.1:1/db?application_name=x@y")), "malformed"));
  CHECK(refused(options_for("host=/nowhere/at/all dbname=postgres")).status() == Status::cannot_open);
  CHECK(refused(options_for("hostaddr=127.0.0.1 port=1 password=canary-two")).status() == Status::cannot_open);
}

TEST_CASE("options out of range are refused") {
  PostgresOptions options = options_for("host=/nowhere");
  for (const char* schema :
       {"", "Upper", "with space", "quote\"", "1st", "toolong_toolong_toolong_toolong_toolong_x"}) {
    options.schema = schema;
    CHECK(refused(options).status() == Status::invalid_argument);
  }
  options.schema = "tokenstore";
  options.pool_size = 0;
  CHECK(refused(options).status() == Status::invalid_argument);
  options.pool_size = 8;
  options.deadline = std::chrono::milliseconds(0);
  CHECK(refused(options).status() == Status::invalid_argument);
  options.deadline = std::chrono::milliseconds(5000);
  options.max_staleness = std::chrono::milliseconds(-1);
  CHECK(refused(options).status() == Status::invalid_argument);
}

TEST_CASE("a database of another encoding, a missing one and a role without rights are refused") {
  const PostgresCluster cluster;
  cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
  const Error latin = refused(options_for(cluster.conninfo("latin")));
  CHECK(latin.status() == Status::cannot_open);
  CHECK(mentions(latin, "LATIN1"));

  const Error missing = refused(options_for(cluster.conninfo("missing")));
  CHECK(missing.status() == Status::cannot_open);
  CHECK(mentions(missing, "missing"));
  CHECK(refused(options_for(cluster.conninfo("postgres", "nobody"))).status() == Status::cannot_open);

  cluster.sql("CREATE ROLE guest LOGIN");
  const Error no_create = refused(options_for(cluster.conninfo("postgres", "guest")));
  CHECK(no_create.status() == Status::cannot_open);
  CHECK(mentions(no_create, "permission denied"));
  CHECK(cluster.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tokenstore'") == "0");

  open_backend(options_for(cluster.conninfo()));
  const Error no_usage = refused(options_for(cluster.conninfo("postgres", "guest")));
  CHECK(no_usage.status() == Status::cannot_open);
  cluster.sql("GRANT USAGE ON SCHEMA tokenstore TO guest");
  cluster.sql("GRANT SELECT ON ALL TABLES IN SCHEMA tokenstore TO guest");
  const Error no_write = refused(options_for(cluster.conninfo("postgres", "guest")));
  CHECK(no_write.status() == Status::cannot_open);
  CHECK(mentions(no_write, "INSERT on token"));

  PostgresOptions reading = options_for(cluster.conninfo("postgres", "guest"));
  reading.read_only = true;
  CHECK(open_backend(reading)->load_token("default", "x").ok());
}

TEST_CASE("a schema that is newer, foreign or half there is refused and left as it is") {
  const PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  options.create = false;
  CHECK(refused(options).status() == Status::cannot_open);
  options.create = true;
  put(*open_backend(options), sample_workspace());

  cluster.sql("UPDATE tokenstore.about SET version = 2");
  CHECK(refused(options).status() == Status::newer_schema);
  CHECK(cluster.sql("SELECT version FROM tokenstore.about") == "2");
  cluster.sql("UPDATE tokenstore.about SET version = 1, application = 'another'");
  CHECK(refused(options).status() == Status::not_a_store);
  cluster.sql("UPDATE tokenstore.about SET application = 'tokenstore'");

  for (const char* change :
       {"ALTER TABLE tokenstore.token RENAME COLUMN owner TO other", "ALTER TABLE tokenstore.change RENAME TO moved",
        "ALTER TABLE tokenstore.about RENAME TO moved", "DELETE FROM tokenstore.about",
        "ALTER TABLE tokenstore.feed DROP COLUMN feed_from"}) {
    INFO(change);
    cluster.sql("CREATE DATABASE copy TEMPLATE postgres");
    sql(cluster.conninfo("copy"), change);
    PostgresOptions broken = options;
    broken.conninfo = cluster.conninfo("copy");
    CHECK(refused(broken).status() == Status::not_a_store);
    CHECK(sql(cluster.conninfo("copy"), "SELECT count(*) FROM tokenstore.workspace") == "1");
    cluster.sql("DROP DATABASE copy WITH (FORCE)");
  }
  // The host's own tables in the same schema are no obstacle.
  cluster.sql("CREATE SCHEMA shared");
  cluster.sql("CREATE TABLE shared.customers (name text)");
  options.schema = "shared";
  CHECK(put(*open_backend(options), sample_workspace()).outcome == CommitOutcome::committed);
}

TEST_CASE("whatever somebody added to the tables is named, by opening and by check, until it is gone") {
  const PostgresCluster cluster;
  const PostgresOptions options = options_for(cluster.conninfo());
  const auto open_meanwhile = open_store(open_backend(options));
  const auto problems = [&] { return open_meanwhile->check(Actor::host()).value().problems; };
  REQUIRE(problems().empty());
  cluster.sql("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  struct Change {
    std::string there;
    std::string back;
    std::string named;
  };
  for (const Change& change : {
           Change{"CREATE UNIQUE INDEX one ON tokenstore.change (workspace)", "DROP INDEX tokenstore.one", "one"},
           Change{"CREATE TRIGGER two BEFORE INSERT ON tokenstore.change FOR EACH ROW EXECUTE FUNCTION swallow()",
                  "DROP TRIGGER two ON tokenstore.change", "trigger two"},
           Change{"ALTER TABLE tokenstore.token ADD CONSTRAINT three CHECK (revoked_at > 5)",
                  "ALTER TABLE tokenstore.token DROP CONSTRAINT three", "three"},
           Change{"CREATE RULE four AS ON DELETE TO tokenstore.token DO INSTEAD NOTHING",
                  "DROP RULE four ON tokenstore.token", "rule four"},
           Change{"ALTER TABLE tokenstore.owner ENABLE ROW LEVEL SECURITY",
                  "ALTER TABLE tokenstore.owner DISABLE ROW LEVEL SECURITY", "row security"},
           Change{"CREATE POLICY five ON tokenstore.owner USING (false)", "DROP POLICY five ON tokenstore.owner",
                  "policy five"},
           Change{"ALTER TABLE tokenstore.token ADD COLUMN six int8", "ALTER TABLE tokenstore.token DROP COLUMN six",
                  "six"},
           Change{"ALTER TABLE tokenstore.token ALTER COLUMN revoked_at SET DEFAULT 7",
                  "ALTER TABLE tokenstore.token ALTER COLUMN revoked_at DROP DEFAULT", "default 7"},
           Change{"ALTER TABLE tokenstore.feed SET UNLOGGED", "ALTER TABLE tokenstore.feed SET LOGGED", "not durable"},
           Change{"CREATE TABLE tokenstore.seven () INHERITS (tokenstore.token)", "DROP TABLE tokenstore.seven",
                  "inherit"},
           Change{"DROP INDEX tokenstore.token_by_end",
                  "CREATE INDEX token_by_end ON tokenstore.token (workspace, LEAST(revoked_at, expires_at))",
                  "lacks a part of a token store: CREATE INDEX token_by_end"},
       }) {
    INFO(change.there);
    cluster.sql(change.there);
    const Error error = refused(options);
    CHECK(error.status() == Status::not_a_store);
    CHECK(mentions(error, change.named));
    const auto found = problems();
    REQUIRE_FALSE(found.empty());
    CHECK(found.front().find(change.named) != std::string::npos);
    cluster.sql(change.back);
    // A default that was taken back, an inheritance that has ended: nothing is left of them.
    CHECK(postgres_backend(options).ok());
    CHECK(problems().empty());
  }
}

TEST_CASE("a server that restarts loses nothing and is found again") {
  PostgresCluster cluster;
  const auto backend = open_backend(options_for(cluster.conninfo()));
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  for (int round = 0; round < 3; ++round) {
    const std::string id = "t" + std::to_string(round);
    REQUIRE(put(*backend, sample_token(id)).outcome == CommitOutcome::committed);
    cluster.stop(round == 0 ? SIGINT : SIGQUIT);
    const auto down = backend->load_token("default", sample_token(id).id);
    CHECK(down.status() == Status::unavailable);
    const CommitResult refused_commit = put(*backend, sample_token("lost"));
    CHECK(refused_commit.outcome == CommitOutcome::failed);
    cluster.start();
    // Every pooled connection is dead; no call shows it.
    const auto found = backend->load_token("default", sample_token(id).id);
    REQUIRE(found.ok());
    CHECK(found->has_value());
    CHECK_FALSE(backend->load_token("default", sample_token("lost").id)->has_value());
  }
  // Dead connections in the pool, a server that is there: the first call is a commit.
  cluster.stop();
  cluster.start();
  CHECK(put(*backend, sample_token("after")).outcome == CommitOutcome::committed);
}

TEST_CASE("server notices and errors stay inside, and a forked child has connections of its own") {
  const PostgresCluster cluster;
  const auto backend = open_backend(options_for(cluster.conninfo()));
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  for (int round = 0; round < 20; ++round) {
    const std::string id = "child" + std::to_string(round);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool wrote = put(*backend, sample_token(id)).outcome == CommitOutcome::committed;
      const auto read = backend->load_token("default", sample_token(id).id);
      ::_exit(wrote && read.ok() && read->has_value() ? 0 : 1);
    }
    CHECK(put(*backend, sample_token("parent" + std::to_string(round))).outcome == CommitOutcome::committed);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(backend->load_token("default", sample_token(id).id)->has_value());
  }
  // The parent's connections were left alone: the server saw none of them end.
  CHECK(cluster.log().find("SSL") == std::string::npos);
  CHECK(cluster.log().find("unexpected EOF") == std::string::npos);
}

}  // namespace
}  // namespace tokenstore::test
