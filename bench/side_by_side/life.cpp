// Misses and forgeries, and the writing side: issue, bulk issue, purge.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "lookup.hpp"
#include "sql.hpp"
#include "suite.hpp"

namespace bench {

namespace {

using tokenstore::Actor;

constexpr std::size_t check_size = 6;

constexpr const char* select_token =
    "SELECT id, key_id, verifier, owner, owner_birth, revoke_all_count, description, scopes, metadata, created_at, "
    "created_by, not_before, expires_at, expired_at, revoked_at, revoked_by, revoke_reason, revision, seal_key_id, "
    "seal, last_used_at, last_used_from "
    "FROM token WHERE workspace = 'default' AND id = ?1";

std::unique_ptr<tokenstore::TokenStore> open_store(const std::filesystem::path& file) {
  return std::move(must(tokenstore::open_sqlite(file.string())).store);
}

std::filesystem::path fresh(const std::filesystem::path& file) {
  for (const char* end : {"", "-wal", "-shm", ".key"}) std::filesystem::remove(file.string() + end);
  return file;
}

/// The rows of our table of tokens, out of the file, so that writing them costs nothing but the writing.
class Rows {
 public:
  Rows(const std::filesystem::path& file, std::size_t most) {
    Database from(file);
    Statement tables(from, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid");
    while (tables.step()) schema_ += std::string(tables.text_at(0)) + ";";
    Statement rows(from, "SELECT * FROM token LIMIT " + std::to_string(most));
    while (rows.step()) {
      columns_ = sqlite3_column_count(rows.handle());
      for (int i = 0; i < columns_; ++i) values_.push_back(sqlite3_value_dup(sqlite3_column_value(rows.handle(), i)));
    }
  }
  ~Rows() {
    for (sqlite3_value* value : values_) sqlite3_value_free(value);
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  std::size_t count() const { return values_.size() / static_cast<std::size_t>(columns_); }
  const std::string& schema() const { return schema_; }
  std::string insert_sql() const {
    std::string sql = "INSERT INTO token VALUES (?";
    for (int i = 1; i < columns_; ++i) sql += ", ?";
    return sql + ")";
  }
  void insert(Statement& statement, std::size_t row) const {
    const auto columns = static_cast<std::size_t>(columns_);
    for (std::size_t i = 0; i < columns; ++i) statement.value(static_cast<int>(i) + 1, values_[row * columns + i]);
    statement.step();
    statement.reset();
  }

 private:
  std::string schema_;
  int columns_ = 0;
  std::vector<sqlite3_value*> values_;
};

/// A plausible text that no key of the keyring made: another secret under a right check.
std::string forge(std::string_view text, std::size_t at) {
  std::string forged(text.substr(0, text.size() - check_size));
  char& changed = forged[forged.size() - 20 - at % 20];
  changed = changed == 'x' ? 'y' : 'x';
  std::array<char, check_size> check{};
  tokenstore::base::base62_encode(tokenstore::base::crc32(forged), check);
  return forged.append(check.data(), check.size());
}

}  // namespace

void measure_misses(const Settings& settings, const Population& population, Report& report) {
  progress("misses");
  // Not the first token of an owner: that one makes the owner known where that is wanted.
  Order order = shuffled_order(population.tokens, 21);
  std::erase_if(order, [](std::uint32_t token) { return token % tokens_per_owner == 0; });
  const std::size_t calls = std::min(order.size() / (settings.rounds + 1), settings.calls / 20);
  const auto strangers = population.open(population.ample_cache());
  const auto acquainted = population.open(population.ample_cache());
  const auto with_owner = our_look_up(*strangers, false);
  const auto token_alone = our_look_up(*acquainted, false);
  Database database(population.file);
  Statement select(database, select_token);
  const auto bare = [&](const Requests& requests) {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      select.text(1, id_of(request.text));
      if (select.step()) sum += mark_of(select.text_at(3));
      select.reset();
    }
    return sum;
  };
  const auto timed = [&](std::size_t round, const Answer& answer) {
    return time_right_requests(population, slice_of_round(order, round, calls), answer, "misses");
  };
  const auto make_owners_known = [&](std::size_t round) {
    Order firsts;
    for (const std::uint32_t token : slice_of_round(order, round, calls)) {
      firsts.push_back(token - token % tokens_per_owner);
    }
    ask_about(population, firsts, answer_of(*token_alone));
  };
  const auto group =
      take_turns({{"tokenstore, a token not in the cache",
                   [&](std::size_t round) {
                     make_owners_known(round);
                     return timed(round, answer_of(*token_alone));
                   }},
                  {"bare SQLite point select in the same file", [&](std::size_t round) { return timed(round, bare); }},
                  {"tokenstore, neither token nor owner in the cache",
                   [&](std::size_t round) { return timed(round, answer_of(*with_owner)); }}},
                 settings.rounds);
  for (const auto* store : {&strangers, &acquainted}) {
    if ((*store)->statistics().misses < calls * settings.rounds) give_up("the misses were no misses");
  }
  report.add("Misses (SQLite)", population.tokens, 1, group);
  report.require({fmt::format("miss at {} tokens, against a bare SQLite point select", population.tokens),
                  Requirement::Sense::at_most, 1.6, 1 / ratio(group[1], group[0])});
  report.require({"the same, owner not known either (two selects), against two", Requirement::Sense::at_most, 2,
                  ratio(group[2], group[1]) / 2});
}

void measure_forgeries(const Settings& settings, const Population& population, Report& report) {
  progress("forgeries");
  const auto store = population.open(population.ample_cache());
  std::vector<std::string> forged;
  for (std::size_t i = 0; i < std::min<std::size_t>(population.tokens, 20'000); ++i) {
    forged.push_back(forge(population.texts[i], i));
  }
  const auto group = take_turns(
      {{"tokenstore, forged token refused",
        [&](std::size_t) {
          return time_parts(
              forged.size(), [](std::size_t, std::size_t) {},
              [&](std::size_t first, std::size_t count) {
                for (std::size_t i = first; i < first + count; ++i) {
                  if (store->validate(forged[i], tokenstore::Demand(scope)).reason() != tokenstore::Reason::forged) {
                    give_up("a forged token was not recognised as forged");
                  }
                }
              });
        }}},
      settings.rounds);
  if (store->statistics().misses != 0) give_up("a forged token reached storage");
  report.add("Forged tokens", population.tokens, 1, group);
  report.require({"forged token", Requirement::Sense::at_most, 2000, group.front().median(), "ns"});
}

void measure_memory(const Settings&, const Population& population, Report& report) {
  progress("memory of the cache");
  // A quarter of what all would need: full, and evicting.
  const std::size_t budget = population.tokens * 32;
  const auto store = population.open(budget);
  const auto ours = our_look_up(*store, false);
  ask_about(population, shuffled_order(population.tokens, 31), answer_of(*ours));
  const auto figures = store->statistics();
  report.require({"octets of cache for each hot token, cache full", Requirement::Sense::at_most, 128,
                  static_cast<double>(figures.cache_bytes) / static_cast<double>(figures.cached_tokens), "octets"});
  report.require({"octets of cache against the budget", Requirement::Sense::at_most, 1,
                  static_cast<double>(figures.cache_bytes) / static_cast<double>(budget)});
}

void measure_issue(const Settings& settings, Report& report) {
  progress("durable issue");
  const auto store = open_store(fresh(settings.directory / "issue.db"));
  must(store->issue_many(Actor::host(), issue_requests(0, 1000)));
  const Rows rows(settings.directory / "issue.db", 1000);
  Database bare(fresh(settings.directory / "issue-bare.db"));
  bare.run(rows.schema());
  Statement insert(bare, rows.insert_sql());
  std::size_t inserted = 0;
  const auto several = [&](unsigned threads) {
    return [&, threads](std::size_t) {
      return time_threads(threads, settings.single_issues * threads, [&](unsigned thread) {
        for (std::size_t i = 0; i < settings.single_issues; ++i) {
          must(store->issue(Actor::host(), issue_requests(thread * tokens_per_owner, 1).front()));
        }
      });
    };
  };
  const auto group = take_turns({{"tokenstore, one thread", several(1)},
                                 {"tokenstore, eight threads", several(8)},
                                 {"bare SQLite insert, a transaction each",
                                  [&](std::size_t) {
                                    return time_per_call(settings.single_issues, [&] {
                                      for (std::size_t i = 0; i < settings.single_issues; ++i) {
                                        if (inserted == rows.count()) {
                                          bare.run("DELETE FROM token");
                                          inserted = 0;
                                        }
                                        rows.insert(insert, inserted++);
                                      }
                                    });
                                  }}},
                                settings.rounds);
  for (std::size_t i = 0; i < group.size(); ++i) {
    report.add(Row{"Durable issue (SQLite, synchronous=FULL)", group[i].name, 0, i == 1 ? 8U : 1U, group[i].median(),
                   group[i].best(), ratio(group[i], group[0])});
  }
  report.require({"durable issues a second from eight threads, against one", Requirement::Sense::at_least, 3,
                  ratio(group[0], group[1])});
  report.require({"durable issue, one thread, against the bare SQLite insert", Requirement::Sense::at_most, 1.6,
                  ratio(group[0], group[2])});
}

void measure_bulk_issue(const Settings& settings, Report& report) {
  progress("bulk issue");
  const auto ours = [&](std::size_t) {
    const auto store = open_store(fresh(settings.directory / "bulk.db"));
    const auto wanted = issue_requests(0, settings.bulk);
    return time_per_call(settings.bulk, [&] { must(store->issue_many(Actor::host(), wanted)); });
  };
  ours(0);
  const Rows rows(settings.directory / "bulk.db", settings.bulk);
  // As issued: shuffled within a millisecond. The table is in order of id.
  const Order order = shuffled_order(rows.count(), 3);
  const auto bare = [&](std::size_t, const std::string& schema) {
    Database database(fresh(settings.directory / "bulk-bare.db"));
    database.run(schema);
    Statement insert(database, rows.insert_sql());
    return time_per_call(settings.bulk, [&] {
      database.run("BEGIN IMMEDIATE");
      for (const std::uint32_t row : order) rows.insert(insert, row);
      database.run("COMMIT");
    });
  };
  std::string without_indexes = rows.schema();
  for (std::size_t at = without_indexes.find("CREATE INDEX"); at != std::string::npos;
       at = without_indexes.find("CREATE INDEX")) {
    without_indexes.erase(at, without_indexes.find(';', at) + 1 - at);
  }
  const auto group = take_turns({{"tokenstore, bulk issue", ours},
                                 {"bare SQLite inserts, the same table and indexes",
                                  [&](std::size_t round) { return bare(round, rows.schema()); }},
                                 {"bare SQLite inserts, the same table without indexes",
                                  [&](std::size_t round) { return bare(round, without_indexes); }}},
                                std::max<std::size_t>(settings.rounds / 3, 2));
  report.add("Bulk issue in one transaction (SQLite)", settings.bulk, 1, group);
  report.require({fmt::format("bulk issue of {}, against the bare SQLite inserts", settings.bulk),
                  Requirement::Sense::at_most, 3, 1 / ratio(group[1], group[0])});
}

void measure_purge(const Settings& settings, Report& report) {
  progress("purge");
  using namespace std::chrono_literals;
  Samples samples{"tokenstore, purge", {}};
  for (std::size_t round = 0; round < 2; ++round) {
    const auto store = open_store(fresh(settings.directory / "purge.db"));
    auto wanted = issue_requests(0, settings.bulk);
    for (tokenstore::IssueRequest& one : wanted) one.lifetime = tokenstore::Lifetime::millis(1);
    must(store->issue_many(Actor::host(), wanted));
    std::this_thread::sleep_for(20ms);
    std::uint64_t removed = 0;
    samples.ns.push_back(time_per_call(settings.bulk, [&] {
      while (removed < settings.bulk) {
        const std::uint64_t now = must(store->purge(Actor::host(), store->now(), 1000ms)).removed;
        if (now == 0) give_up("purge removes nothing");
        removed += now;
      }
    }));
  }
  report.add("Purge (SQLite)", settings.bulk, 1, {samples});
}

}  // namespace bench
