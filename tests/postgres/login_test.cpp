// TLS, passwords and client certificates, as libpq's connection string says.
#include <limits>

#include "postgres_support.hpp"
#include "support/canary.hpp"

namespace tokenstore::test {
namespace {

constexpr const char* password = "Kanarienvogel-7391";
constexpr const char* wrong_password = "Zaunkoenig-8264-xy";

/// A server that lets in: `app` by TLS and a password, `plain` by a password without TLS, `certified` by TLS and a
/// certificate. Its own certificate is for the name db.test. On an address of this process's own, so that the port may
/// be the usual one.
class SecureServer {
 public:
  SecureServer()
      : address_("127.213." + std::to_string(::getpid() / 250 % 250) + "." + std::to_string(1 + ::getpid() % 250)),
        cluster_({"listen_addresses=" + address_}) {
    make_authority("ca");
    make_authority("other-ca");
    make_certificate("server", "/CN=db.test", "subjectAltName=DNS:db.test");
    make_certificate("client", "/CN=certified", "subjectAltName=DNS:client.test");
    cluster_.sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE app LOGIN PASSWORD '" + std::string(password) +
                 "'; CREATE ROLE plain LOGIN PASSWORD '" + password + "'; CREATE ROLE certified LOGIN");
    cluster_.sql("GRANT CREATE ON DATABASE postgres TO app");
    cluster_.sql("GRANT app TO plain, certified");
    std::ofstream(cluster_.data() + "/pg_hba.conf") << "local all postgres trust\n"
                                                       "hostssl all app 0.0.0.0/0 scram-sha-256\n"
                                                       "hostnossl all plain 0.0.0.0/0 scram-sha-256\n"
                                                       "hostssl all certified 0.0.0.0/0 cert\n";
    for (const auto& [name, value] : {std::pair{"ssl_cert_file", "server.crt"},
                                      {"ssl_key_file", "server.key"},
                                      {"ssl_ca_file", "ca.crt"},
                                      {"ssl", "on"}}) {
      cluster_.sql(std::string("ALTER SYSTEM SET ") + name + " = '" + value + "'");
    }
    cluster_.sql("SELECT pg_reload_conf()");
    for (int attempt = 0; !trusted(); ++attempt) {
      if (attempt == 400) throw std::runtime_error("the server does not take up TLS:\n" + cluster_.log());
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
  }

  PostgresCluster& cluster() noexcept { return cluster_; }
  std::string file(const std::string& name) const { return cluster_.data() + "/" + name; }
  /// Where it is, without how to log in.
  std::string address(const std::string& name = "db.test") const {
    return "host=" + name + " hostaddr=" + address_ + " dbname=postgres";
  }
  /// As `app`, with everything right.
  std::string conninfo(const std::string& more = "") const {
    return address() + " user=app sslmode=verify-full sslrootcert=" + file("ca.crt") + " password=" + password + " " +
           more;
  }

 private:
  bool trusted() const {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo().c_str()), &PQfinish);
    return PQstatus(connection.get()) == CONNECTION_OK;
  }
  void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/openssl");
    cluster_.run(arguments);  // as the server's user, so that the keys are the server's
  }
  void make_authority(const std::string& name) {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out", file(name + ".crt")});
  }
  void make_certificate(const std::string& name, const std::string& subject, const std::string& extension) {
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-addext",
             extension, "-keyout", file(name + ".key"), "-out", file(name + ".csr")});
    openssl({"x509", "-req", "-days", "2", "-in", file(name + ".csr"), "-copy_extensions", "copy", "-CA",
             file("ca.crt"), "-CAkey", file("ca.key"), "-CAcreateserial", "-out", file(name + ".crt")});
  }

  std::string address_;
  PostgresCluster cluster_;
};

/// `cannot_open`, with these words and without a piece of either password.
void check_refused(const std::string& conninfo, std::string_view words) {
  const Error error = refused(options_for(conninfo));
  INFO(error.message());
  CHECK(error.status() == Status::cannot_open);
  CHECK(mentions(error, words));
  CHECK_FALSE(leaks(error.message(), password));
  CHECK_FALSE(leaks(error.message(), wrong_password));
}

TEST_CASE("with TLS the server's certificate and name are checked, as the connection string asks") {
  SecureServer server;
  const std::string login = std::string(" user=app password=") + password;
  const auto backend = open_backend(options_for(server.conninfo()));
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  const auto start = Steady::now();
  while (server.cluster().sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") < "2") {  // the listener's
    REQUIRE(millis_since(start) <= 10'000);
  }
  CHECK(server.cluster().sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = "
                             "'app'") == "t");

  check_refused(server.address() + login + " sslmode=verify-full sslrootcert=" + server.file("other-ca.crt"),
                "certificate verify failed");
  check_refused(server.address("impostor.test") + login + " sslmode=verify-full sslrootcert=" + server.file("ca.crt"),
                "does not match host name");
  check_refused(server.address() + login + " sslmode=verify-full sslrootcert=/nowhere/ca.crt", "/nowhere/ca.crt");
  check_refused(server.address() + login + " sslmode=disable", "no encryption");
  CHECK(open_backend(options_for(server.address("impostor.test") + login +
                                 " sslmode=verify-ca sslrootcert=" + server.file("ca.crt")))
            ->load_workspace("default")
            .ok());
}

TEST_CASE("a wrong or missing password is a clear error that names no secret") {
  SecureServer server;
  const std::string tls = " sslmode=verify-full sslrootcert=" + server.file("ca.crt");
  check_refused(server.address() + " user=app" + tls + " password=" + wrong_password,
                "password authentication failed for user \"app\"");
  check_refused(server.address() + " user=app" + tls + " passfile=/nowhere/pgpass", "no password supplied");
  check_refused(server.address() + " user=nobody" + tls + " password=" + password, "nobody");
  const std::string passfile = server.file("pgpass");
  std::ofstream(passfile) << "db.test:*:*:app:" << password << '\n';
  REQUIRE(::chmod(passfile.c_str(), 0600) == 0);
  CHECK(postgres_backend(options_for(server.address() + " user=app" + tls + " passfile=" + passfile)).ok());
  CHECK_FALSE(leaks(server.cluster().log(), password));
}

TEST_CASE("a password that changes meanwhile makes the store unavailable and nothing worse") {
  SecureServer server;
  PostgresOptions options = options_for(server.conninfo());
  options.max_staleness = std::chrono::milliseconds(0);
  const auto backend = open_backend(options);
  const auto store = open_store(backend);
  const Issued issued = issue_one(*store);
  REQUIRE(store->validate(issued.text.reveal(), Demand("read")).valid());
  server.cluster().sql(std::string("ALTER ROLE app PASSWORD '") + wrong_password + "'");
  server.cluster().sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'");
  CHECK(store->validate(issued.text.reveal(), Demand("read")).outcome() == Outcome::unavailable);
  const auto read = backend->load_workspace("default");
  REQUIRE(read.status() == Status::unavailable);
  CHECK(mentions(read.error(), "password authentication failed"));
  CHECK_FALSE(leaks(read.error().message(), password));
  server.cluster().sql(std::string("ALTER ROLE app PASSWORD '") + password + "'");
  CHECK(store->validate(issued.text.reveal(), Demand("read")).valid());
}

TEST_CASE("channel binding is used or insisted on, as the connection string asks") {
  SecureServer server;
  CHECK(postgres_backend(options_for(server.conninfo("channel_binding=require"))).ok());
  CHECK(postgres_backend(options_for(server.conninfo("channel_binding=disable"))).ok());
  const std::string plain = server.address() + " user=plain sslmode=disable password=" + password;
  CHECK(postgres_backend(options_for(plain)).ok());
  check_refused(plain + " channel_binding=require", "channel binding");
}

TEST_CASE("a client certificate stands for a password") {
  SecureServer server;
  open_backend(options_for(server.conninfo()));  // makes the tables
  const std::string tls = server.address() + " user=certified sslmode=verify-full sslrootcert=" + server.file("ca.crt");
  const std::string own = server.file("own.key");
  std::filesystem::copy_file(server.file("client.key"), own);  // libpq wants it to be the user's own
  REQUIRE(::chmod(own.c_str(), 0600) == 0);
  const std::string with = " sslcert=" + server.file("client.crt") + " sslkey=" + own;
  CHECK(open_backend(options_for(tls + with))->load_workspace("default").ok());
  check_refused(tls + " sslcert=/nowhere/client.crt", "certificate");
  check_refused(server.address() + " user=app sslmode=verify-full sslrootcert=" + server.file("ca.crt") + with +
                    " password=" + wrong_password,
                "password authentication failed");
}

TEST_CASE(
    "over TLS large answers arrive whole, changes are heard of, and a forked child leaves the parent's connections") {
  SecureServer server;
  const auto backend = open_backend(options_for(server.conninfo()));
  const auto other = open_backend(options_for(server.conninfo()));
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  for (int at = 0; at < 1'000; at += 100) {
    std::vector<Mutation> batch;
    for (int more = at; more < at + 100; ++more) {
      TokenRecord token = sample_token("t" + std::to_string(more));
      token.metadata.assign(4'096, static_cast<char>('a' + more % 26));
      batch.push_back(Mutation::put(token, 0));
    }
    REQUIRE(test::commit_plainly(*backend, "default", batch).outcome == CommitOutcome::committed);
  }
  TokenQuery query;
  query.limit = 1'000;
  const auto list = backend->list_tokens("default", query);
  REQUIRE(list.ok());
  REQUIRE(list->tokens.size() == 1'000);
  CHECK(std::all_of(list->tokens.begin(), list->tokens.end(),
                    [](const TokenRecord& token) { return token.metadata.size() == 4'096; }));

  const Pulse before = backend->pulse();
  REQUIRE(put(*other, sample_token("news")).outcome == CommitOutcome::committed);
  const auto start = Steady::now();
  while (backend->pulse().counter == before.counter) {
    REQUIRE(millis_since(start) <= 10'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  const std::string sessions = server.cluster().sql(
      "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE usename = 'app'");
  for (int round = 0; round < 5; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto read = backend->load_token("default", sample_token("news").id);
      ::_exit(read.ok() && read->has_value() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(put(*backend, sample_token("parent" + std::to_string(round))).outcome == CommitOutcome::committed);
  }
  // The parent's sessions are the same as before: a child that had taken part in one would have broken its cipher.
  CHECK(server.cluster().sql("SELECT string_agg(pid::text, ',' ORDER BY pid) FROM (SELECT pid FROM pg_stat_activity "
                             "WHERE pid IN (" +
                             sessions + ") AND usename = 'app') AS kept") == sessions);
}

TEST_CASE("a server that stops in the middle of logging in is given up at the deadline") {
  SecureServer server;
  PostgresOptions options = options_for(server.conninfo());
  options.deadline = std::chrono::milliseconds(1'000);
  server.cluster().freeze();
  const Error error = refused(options);
  server.cluster().thaw();
  CHECK(error.status() == Status::unavailable);
  CHECK_FALSE(leaks(error.message(), password));
}

}  // namespace
}  // namespace tokenstore::test
