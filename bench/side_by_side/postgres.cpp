// PostgreSQL: a throw-away server of Debian's, two hosts on it, and the same statements written by hand.
#include <fmt/format.h>
#include <libpq-fe.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>

#include "lookup.hpp"
#include "suite.hpp"
#include "support/postgres_cluster.hpp"
#include "tokenstore/backends/postgres.hpp"

namespace bench {

namespace {

using tokenstore::Actor;

/// A connection of a careful host: prepared statements, parameters and results in binary.
class Bare {
 public:
  explicit Bare(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) give_up(PQerrorMessage(connection_));
  }
  ~Bare() { PQfinish(connection_); }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  void prepare(const char* name, const std::string& sql) {
    check(PQprepare(connection_, name, sql.c_str(), 0, nullptr));
  }
  /// The caller clears the result.
  PGresult* run(const char* name, std::span<const std::string_view> values) {
    if (values.size() > most_values) give_up("more values than a statement of this benchmark takes");
    std::array<const char*, most_values> data{};
    std::array<int, most_values> sizes{};
    std::array<int, most_values> binary{};
    for (std::size_t i = 0; i < values.size(); ++i) {
      data[i] = values[i].data();
      sizes[i] = static_cast<int>(values[i].size());
      binary[i] = 1;
    }
    return checked(PQexecPrepared(connection_, name, static_cast<int>(values.size()), data.data(), sizes.data(),
                                  binary.data(), 1));
  }
  void execute(const std::string& sql) { check(PQexec(connection_, sql.c_str())); }

 private:
  PGresult* checked(PGresult* result) {
    const auto status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) give_up(PQerrorMessage(connection_));
    return result;
  }
  void check(PGresult* result) { PQclear(checked(result)); }

  static constexpr std::size_t most_values = 32;

  PGconn* connection_;
};

std::string_view value_of(const PGresult* row, int column) {
  return {PQgetvalue(row, 0, column), static_cast<std::size_t>(PQgetlength(row, 0, column))};
}

/// One machine of several: a backend, connections and a cache of its own, and the keys of all.
struct Host {
  explicit Host(const std::string& conninfo) {
    tokenstore::PostgresOptions options;
    options.conninfo = conninfo;
    std::array<std::uint8_t, tokenstore::master_key_size> key{};
    key.fill(7);
    store = must(tokenstore::TokenStore::open(must(tokenstore::postgres_backend(options)),
                                              must(tokenstore::Keyring::from_bytes(key))));
  }
  std::unique_ptr<tokenstore::TokenStore> store;
};

/// While one lives, this thread and every connection that the server then takes in share a processor: whether one
/// that sleeps has to be woken for each question is chance, and costs several times what the question does.
class OneProcessor {
 public:
  explicit OneProcessor(const tokenstore::test::PostgresCluster& cluster) {
    if (!(std::ifstream(cluster.data() + "/postmaster.pid") >> server_)) give_up("the server has no process id");
    CPU_ZERO(&before_);
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
    bind(here);
  }
  ~OneProcessor() { bind(before_); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  void bind(const cpu_set_t& processors) const {
    if (sched_setaffinity(0, sizeof processors, &processors) != 0 ||
        sched_setaffinity(server_, sizeof processors, &processors) != 0) {
      give_up("cannot bind the server to a processor");
    }
  }

  cpu_set_t before_;
  pid_t server_ = 0;
};

void compare_hot(const Settings& settings, const Population& here, const Population& on_sqlite,
                 const std::string& conninfo, Report& report) {
  const Host host(conninfo);
  const auto embedded = on_sqlite.open(on_sqlite.ample_cache());
  const auto ours = our_look_up(*host.store, false);
  const auto sqlite = our_look_up(*embedded, false);
  const Order all = shuffled_order(here.tokens, 11);
  ask_about(here, all, answer_of(*ours));
  ask_about(on_sqlite, all, answer_of(*sqlite));
  const Order order = uniform_order(here.tokens, settings.calls * (settings.rounds + 1), 5);
  const auto hot = [&](const Population& population, LookUp& way) {
    return [&](std::size_t round) {
      return time_right_requests(population, slice_of_round(order, round, settings.calls), answer_of(way),
                                 "PostgreSQL");
    };
  };
  const auto group =
      take_turns({{"tokenstore on PostgreSQL", hot(here, *ours)}, {"tokenstore on SQLite", hot(on_sqlite, *sqlite)}},
                 settings.rounds);
  report.add("PostgreSQL: hot look-ups, uniform", here.tokens, 1, group);
  report.require(
      {"hot on PostgreSQL, against SQLite", Requirement::Sense::at_most, 1.2, 1 / ratio(group[1], group[0])});
}

void compare_misses(const Settings& settings, const Population& here, const tokenstore::test::PostgresCluster& cluster,
                    Report& report) {
  const OneProcessor bound(cluster);
  const std::string conninfo = cluster.conninfo();
  const Host host(conninfo);
  const auto ours = our_look_up(*host.store, false);
  Bare bare(conninfo);
  bare.prepare("select", "SELECT * FROM tokenstore.token WHERE workspace = $1 AND id = $2");
  const auto select = [&](const Requests& requests) {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      PGresult* row = bare.run("select", std::array<std::string_view, 2>{"default", id_of(request.text)});
      if (PQntuples(row) == 1) sum += mark_of(value_of(row, 4));
      PQclear(row);
    }
    return sum;
  };
  Order order = shuffled_order(here.tokens, 21);
  std::erase_if(order, [](std::uint32_t token) { return token % tokens_per_owner == 0; });
  Order firsts;
  for (std::uint32_t token = 0; token < here.tokens; token += tokens_per_owner) firsts.push_back(token);
  ask_about(here, firsts, answer_of(*ours));
  const std::size_t calls = order.size() / (settings.rounds + 1);
  const auto missed = [&](const Answer& answer) {
    return [&, answer](std::size_t round) {
      return time_right_requests(here, slice_of_round(order, round, calls), answer, "misses on PostgreSQL");
    };
  };
  const auto group = take_turns(
      {{"tokenstore, a token not in the cache", missed(answer_of(*ours))}, {"bare prepared select", missed(select)}},
      settings.rounds);
  if (host.store->statistics().misses < calls * settings.rounds) give_up("the misses were no misses");
  report.add("PostgreSQL: misses", here.tokens, 1, group);
  report.require({"miss on PostgreSQL, against a bare prepared select", Requirement::Sense::at_most, 1.3,
                  1 / ratio(group[1], group[0])});
}

void compare_issue(const Settings& settings, const std::string& conninfo, Report& report) {
  const Host host(conninfo);
  Bare bare(conninfo);
  bare.execute("CREATE TABLE bare (LIKE tokenstore.token INCLUDING ALL)");
  bare.prepare("any", "SELECT * FROM tokenstore.token LIMIT 1");
  PGresult* row = bare.run("any", {});
  std::vector<std::string_view> values;
  std::string places;
  for (int i = 0; i < PQnfields(row); ++i) {
    values.push_back(value_of(row, i));
    places += fmt::format("{}${}", i == 0 ? "" : ", ", i + 1);
  }
  bare.prepare("insert", fmt::format("INSERT INTO bare VALUES ({})", places));
  std::size_t inserted = 0;
  const std::size_t calls = settings.single_issues;
  const auto several = [&](unsigned threads) {
    return [&, threads](std::size_t) {
      return time_threads(threads, calls * threads, [&](unsigned thread) {
        for (std::size_t i = 0; i < calls; ++i) {
          must(host.store->issue(Actor::host(), issue_requests(thread * tokens_per_owner, 1).front()));
        }
      });
    };
  };
  const auto group = take_turns({{"tokenstore, one thread", several(1)},
                                 {"tokenstore, eight threads", several(8)},
                                 {"bare insert, a transaction each",
                                  [&](std::size_t) {
                                    return time_per_call(calls, [&] {
                                      for (std::size_t i = 0; i < calls; ++i) {
                                        const std::string id = fmt::format("{:016}", inserted++);
                                        values[1] = id;
                                        PQclear(bare.run("insert", values));
                                      }
                                    });
                                  }}},
                                settings.rounds);
  PQclear(row);
  for (std::size_t i = 0; i < group.size(); ++i) {
    report.add(Row{"PostgreSQL: durable issue (synchronous_commit=on)", group[i].name, 0, i == 1 ? 8U : 1U,
                   group[i].median(), group[i].best(), ratio(group[i], group[0])});
  }
  report.require({"PostgreSQL: durable issue, one thread, against the bare insert", Requirement::Sense::at_most, 2.5,
                  ratio(group[0], group[2])});
}

void measure_lag(const Population& here, const std::string& conninfo, Report& report) {
  const Host one(conninfo);
  const Host other(conninfo);
  const tokenstore::Demand demand(scope);
  Samples lags{"revoked by one host, refused by the other", {}};
  for (std::size_t token = 0; token < std::min<std::size_t>(here.tokens, 1000); ++token) {
    const std::string_view text = here.texts[token];
    if (!other.store->validate(text, demand).valid()) give_up("a token on PostgreSQL did not validate");
    must(one.store->revoke(Actor::host(), std::string(id_of(text))));
    lags.ns.push_back(time_per_call(1, [&] {
      while (other.store->validate(text, demand).valid()) {
      }
    }));
  }
  const double worst = *std::max_element(lags.ns.begin(), lags.ns.end());
  report.add("PostgreSQL: from the return of revoke to the refusal", here.tokens, 1, {lags});
  report.require(
      {"revoke to refusal on another host, worst of 1,000", Requirement::Sense::at_most, 1000, worst / 1e6, "ms"});
  report.note(fmt::format("revoke to refusal on another host: median {:.2f} ms, worst {:.2f} ms", lags.median() / 1e6,
                          worst / 1e6));
}

}  // namespace

void measure_postgres(const Settings& settings, const Population& on_sqlite, Report& report) {
  progress("starting a throw-away PostgreSQL");
  try {
    const tokenstore::test::PostgresCluster cluster;
    const std::string conninfo = cluster.conninfo();
    Population here;
    fill(*Host(conninfo).store, on_sqlite.tokens, here);
    cluster.sql("VACUUM ANALYZE");
    progress("PostgreSQL: hot look-ups");
    compare_hot(settings, here, on_sqlite, conninfo, report);
    progress("PostgreSQL: misses");
    compare_misses(settings, here, cluster, report);
    progress("PostgreSQL: durable issue");
    compare_issue(settings, conninfo, report);
    progress("PostgreSQL: revoke on one host, refused by another");
    measure_lag(here, conninfo, report);
  } catch (const std::exception& error) {
    give_up(error.what());
  }
}

}  // namespace bench
