/// Rounds upon rounds of putting a database back under processes that use it: whatever was ended is accepted by none
/// that has the journal, and by each that has not, until it is healed.
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "support/child_process.hpp"
#include "support/count_from.hpp"
#include "support/endings.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"

using namespace tokenstore;
using test::Child;
using test::Ending;
using test::SeededRandom;

namespace {

constexpr std::size_t rounds_of_a_site = 40;  ///< so that copies of its database stay small
constexpr std::size_t most_tokens = 256;
constexpr std::size_t asked_about = 32;  ///< the latest
constexpr std::size_t most_a_round = 5;
constexpr std::size_t small_cache = std::size_t{1} << 20;

enum class State { living, ended, gone };

struct Token {
  std::array<char, 104> text;
  std::array<char, token_id_size + 1> id;
  State state;
  Ending ending;
  bool ends_now;  ///< in this round
};

/// What the test tells its processes, and what they have counted.
struct Shared {
  std::array<Token, most_tokens> tokens;
  std::size_t count, count_before;  ///< of tokens; and before this round
  std::size_t accepted;             ///< valid verdicts on what had ended
  std::size_t accepted_now;         ///< of them, on what was ended in this round
  std::size_t refused;              ///< other verdicts on what lives
};

std::string owner_of(std::size_t token) {
  return "owner-" + std::to_string(token);
}

struct Opening {
  std::string database{}, journal{};
  std::size_t cache = small_cache;
  bool read_only = false;
};

std::unique_ptr<TokenStore> open_store(const Opening& opening) {
  OpenSqlite options;
  options.sqlite.path = opening.database;
  options.sqlite.read_only = opening.read_only;
  options.sqlite.create = !opening.read_only;
  options.sqlite.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x31);
  options.keyring = std::move(Keyring::from_bytes(master)).value();
  options.store.journal = opening.journal;
  options.store.cache_bytes = opening.cache;
  auto opened = open_sqlite(std::move(options));
  return opened.ok() ? std::move(opened->store) : nullptr;
}

/// What a process can be told to do, by one letter.
enum class Order : char { issue = 'i', end = 'e', keep_house = 'k', ask = 'a', heal = 'h' };

/// In the process that has the store. False: it could not be done.
bool obey(Order order, TokenStore& store, Shared& shared) {
  switch (order) {
    case Order::issue: {
      std::vector<IssueRequest> requests;
      for (std::size_t i = shared.count_before; i < shared.count; ++i) {
        requests.push_back({.owner = owner_of(i), .scopes = {"read"}});
      }
      const auto issued = store.issue_many(Actor::host(), requests);
      for (std::size_t i = shared.count_before; issued.ok() && i < shared.count; ++i) {
        const Issued& one = (*issued)[i - shared.count_before];
        Token& token = shared.tokens[i];
        token = {};
        std::memcpy(token.text.data(), one.text.reveal().data(), one.text.reveal().size());
        std::memcpy(token.id.data(), one.info.id.data(), token_id_size);
      }
      return issued.ok();
    }
    case Order::end:
      for (std::size_t i = 0; i < shared.count; ++i) {
        const Token& token = shared.tokens[i];
        if (token.ends_now && !test::end(store, token.ending, token.id.data(), owner_of(i))) return false;
      }
      return true;
    case Order::keep_house:
      return store.maintain().ok();
    case Order::ask:
      for (std::size_t i = shared.count - std::min(shared.count, asked_about); i < shared.count; ++i) {
        const Token& token = shared.tokens[i];
        const bool valid = store.validate(token.text.data(), Demand("read")).valid();
        if (token.state == State::ended && valid) ++shared.accepted;
        if (token.ends_now && valid) ++shared.accepted_now;
        if (token.state == State::living && !valid) ++shared.refused;
      }
      return true;
    case Order::heal:
      return store.heal(Actor::host()).ok();
  }
  return false;
}

/// A process that has the store open, and does what it is told. Ends with this, without closing anything.
class Worker {
 public:
  Worker(const Opening& opening, Shared& shared) : ends_(open_pair()), child_([&] { return work(opening, shared); }) {
    ::close(ends_[1]);
    if (hear() != 'y') throw std::runtime_error("a process could not open the store");
  }
  ~Worker() { ::close(ends_[0]); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  bool does(Order order) {
    const char letter = static_cast<char>(order);
    return ::send(ends_[0], &letter, 1, MSG_NOSIGNAL) == 1 && hear() == 'y';
  }

 private:
  static std::array<int, 2> open_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) throw std::runtime_error("no socket pair");
    return ends;
  }
  int work(const Opening& opening, Shared& shared) const {
    const auto store = open_store(opening);
    say(store != nullptr);
    char letter = 0;
    while (store && ::recv(ends_[1], &letter, 1, 0) == 1) say(obey(static_cast<Order>(letter), *store, shared));
    return 1;
  }
  void say(bool yes) const { static_cast<void>(::send(ends_[1], yes ? "y" : "n", 1, MSG_NOSIGNAL)); }
  char hear() const {
    char answer = 0;
    return ::recv(ends_[0], &answer, 1, 0) == 1 ? answer : '\0';
  }

  const std::array<int, 2> ends_;
  const Child child_;
};

/// How the database becomes an earlier one.
enum class Way { rows, all_rows, pages, file };
constexpr std::array all_ways{Way::rows, Way::all_rows, Way::pages, Way::file};

struct Counted {
  std::size_t asked = 0;
  std::size_t accepted = 0;  ///< of what had ended, by processes that have a journal
  std::size_t refused = 0;   ///< of what lives, by the same
  std::size_t accepted_after_healing = 0;
  std::size_t could_be_accepted = 0;    ///< endings that were undone
  std::size_t accepted_by_control = 0;  ///< of them
};

/// Of the test, which has no store open, because it forks.
class Connection {
 public:
  explicit Connection(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &handle_) == SQLITE_OK);
    sqlite3_busy_timeout(handle_, 5000);
    run("PRAGMA synchronous = OFF");
  }
  ~Connection() { sqlite3_close(handle_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void run(const std::string& statements) {
    const int code = sqlite3_exec(handle_, statements.c_str(), nullptr, nullptr, nullptr);
    CAPTURE(statements, sqlite3_errmsg(handle_));
    REQUIRE(code == SQLITE_OK);
  }
  /// Makes this database, page by page, what another one is.
  void take(const Connection& from) {
    sqlite3_backup* backup = sqlite3_backup_init(handle_, "main", from.handle_, "main");
    REQUIRE(backup != nullptr);
    REQUIRE(sqlite3_backup_step(backup, -1) == SQLITE_DONE);
    REQUIRE(sqlite3_backup_finish(backup) == SQLITE_OK);
  }

 private:
  sqlite3* handle_ = nullptr;
};

/// One database, and those who use it.
class Site {
 public:
  Site(SeededRandom& random, Shared& shared) : random_(random), shared_(shared) {
    shared_ = {};
    start();
  }

  /// False: here everything has ended, or there has been enough.
  bool round(Counted& counted) {
    // An old state may have been put back since.
    REQUIRE(apart_->does(Order::keep_house));
    issue(counted);
    if (kept_ == 0 || random_.below(3) != 0) keep();
    const bool everything = random_.below(40) == 0;
    choose(everything ? 1 : 1 + random_.below(most_a_round));
    counted.could_be_accepted += end(everything);
    // So this one has heard of it.
    REQUIRE(apart_->does(Order::keep_house));
    if (random_.below(2) == 0) REQUIRE(one_of_us().does(Order::keep_house));

    const Way way = all_ways[random_.below(all_ways.size())];
    put_back(way);
    ask_control(way, counted);
    // Who has a file open that another one stands in the place of may refuse everything.
    for (Worker* worker : all()) ask(*worker, counted, way == Way::file ? Living::unknown : Living::works);
    if (way == Way::file) {
      start();
      for (Worker* worker : all()) ask(*worker, counted, Living::works);
    }
    if (random_.below(4) == 0) {
      const Opening opening{database_, random_.below(2) == 0 ? journal_ : other_journal_,
                            random_.below(2) == 0 ? small_cache : 0, random_.below(2) == 0};
      Worker fresh(opening, shared_);
      ask(fresh, counted, Living::works);
    }
    if (random_.below(8) == 0) heal(counted);
    for (Token& token : shared_.tokens) token.ends_now = false;
    return !everything && ++rounds_ < rounds_of_a_site && shared_.count + most_a_round <= most_tokens;
  }

 private:
  enum class Living { works, unknown };

  void start() {
    for (auto* worker : {&warm_, &other_, &cold_, &apart_, &control_}) worker->reset();
    const auto open = [&](const std::string& journal, std::size_t cache) {
      return std::make_unique<Worker>(Opening{database_, journal, cache, false}, shared_);
    };
    warm_ = open(journal_, small_cache);
    other_ = open(journal_, small_cache);
    cold_ = open(journal_, 0);
    apart_ = open(other_journal_, small_cache);
    control_ = open({}, small_cache);
  }
  std::array<Worker*, 4> all() const { return {warm_.get(), other_.get(), cold_.get(), apart_.get()}; }
  Worker& one_of_us() { return *all()[random_.below(3)]; }

  void issue(Counted& counted) {
    shared_.count_before = shared_.count;
    shared_.count += 1 + random_.below(most_a_round);
    REQUIRE(one_of_us().does(Order::issue));
    for (Worker* worker : all()) ask(*worker, counted, Living::works);
    REQUIRE(control_->does(Order::ask));
  }

  void keep() {
    std::filesystem::remove(earlier_);
    Connection(database_).run("VACUUM INTO '" + earlier_ + "'");
    kept_ = shared_.count;
  }

  /// What ends in this round. One of them, at least, is in the copy.
  void choose(std::size_t wanted) {
    const std::size_t first = shared_.count - std::min(shared_.count, asked_about);
    std::vector<std::size_t> living;
    for (std::size_t i = first; i < shared_.count; ++i) {
      if (shared_.tokens[i].state == State::living) living.push_back(i);
    }
    bool kept = false;
    for (; wanted > 0 && !living.empty(); --wanted) {
      const auto at = living.begin() + static_cast<std::ptrdiff_t>(random_.below(living.size()));
      Token& token = shared_.tokens[*at];
      token.ends_now = true;
      token.ending = test::endings_of_one[random_.below(test::endings_of_one.size())];
      kept = kept || *at < kept_;
      living.erase(at);
    }
    if (!kept) keep();
  }

  /// How many of them would live again.
  std::size_t end(bool everything) {
    for (Token& token : shared_.tokens) {
      if (token.ends_now && everything) token.ending = Ending::switch_off;
    }
    REQUIRE(one_of_us().does(Order::end));
    std::size_t could_live = 0;
    for (std::size_t i = 0; i < shared_.count; ++i) {
      Token& token = shared_.tokens[i];
      if (token.ends_now && i < kept_) ++could_live;
      if (token.ends_now || (everything && token.state == State::living)) token.state = State::ended;
    }
    return could_live;
  }

  void put_back(Way way) {
    switch (way) {
      case Way::rows:
        return put_rows_back();
      case Way::all_rows: {
        std::string statements = "ATTACH '" + earlier_ + "' AS earlier; BEGIN IMMEDIATE;";
        for (const std::string table : {"token", "owner", "workspace", "feed", "change"}) {
          statements.append("DELETE FROM main.").append(table).append("; INSERT INTO main.").append(table);
          statements.append(" SELECT * FROM earlier.").append(table).append(";");
        }
        Connection(database_).run(statements + "COMMIT");
        break;
      }
      case Way::pages: {
        const Connection copy(earlier_);
        Connection(database_).take(copy);
        break;
      }
      case Way::file:
        for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(database_ + suffix);
        std::filesystem::copy_file(earlier_, database_);
        REQUIRE(::chmod(database_.c_str(), 0600) == 0);
        break;
    }
    for (std::size_t i = kept_; i < shared_.count; ++i) {
      if (shared_.tokens[i].state == State::living) shared_.tokens[i].state = State::gone;
    }
  }

  /// Only what ended, as it was; what was deleted is inserted again.
  void put_rows_back() const {
    std::string statements = "ATTACH '" + earlier_ + "' AS earlier; BEGIN IMMEDIATE;";
    const auto copy = [&](const std::string& table, const std::string& rows) {
      statements.append("INSERT OR REPLACE INTO main.").append(table).append(" SELECT * FROM earlier.").append(table);
      statements.append(" WHERE ").append(rows).append(";");
    };
    for (std::size_t i = 0; i < shared_.count; ++i) {
      const Token& token = shared_.tokens[i];
      if (!token.ends_now) continue;
      copy("token", "id = '" + std::string(token.id.data()) + "'");
      copy("owner", "owner = '" + owner_of(i) + "'");
      if (token.ending == Ending::switch_off) copy("workspace", "true");
    }
    Connection(database_).run(statements + "COMMIT");
  }

  void ask_control(Way way, Counted& counted) {
    shared_.accepted_now = 0;
    if (way == Way::rows || way == Way::file) {
      // What no feed tells of, a cache need not notice.
      Worker fresh({database_, {}, small_cache, false}, shared_);
      REQUIRE(fresh.does(Order::ask));
    } else {
      REQUIRE(control_->does(Order::ask));
    }
    counted.accepted_by_control += shared_.accepted_now;
  }

  /// Then those deny it, too, who have no journal.
  void heal(Counted& counted) {
    REQUIRE(one_of_us().does(Order::heal));
    shared_.accepted = 0;
    Worker stranger({database_, {}, small_cache, false}, shared_);
    REQUIRE(stranger.does(Order::ask));
    counted.accepted_after_healing += shared_.accepted;
  }

  void ask(Worker& worker, Counted& counted, Living living) {
    shared_.accepted = shared_.refused = 0;
    REQUIRE(worker.does(Order::ask));
    counted.accepted += shared_.accepted;
    if (living == Living::works) counted.refused += shared_.refused;
    counted.asked += std::min(shared_.count, asked_about);
  }

  SeededRandom& random_;
  Shared& shared_;
  const test::TempDirectory directory_;
  const std::string database_ = directory_.file("tokens.db");
  const std::string earlier_ = directory_.file("earlier.db");
  const std::string journal_ = directory_.file("tokens.journal");
  const std::string other_journal_ = directory_.file("other.journal");  ///< as of another machine
  std::unique_ptr<Worker> warm_, other_, cold_, apart_, control_;
  std::size_t kept_ = 0;  ///< tokens that the copy has
  std::size_t rounds_ = 0;
};

TEST_CASE("in no round of putting a database back, by rows, pages or files, does anything that was ended come back") {
  const int rounds = test::count_from("TOKENSTORE_JOURNAL_ROUNDS", 1000);
  const test::SharedMemory<Shared> memory;
  SeededRandom random(static_cast<std::uint64_t>(test::count_from("TOKENSTORE_JOURNAL_SEED", 1)));
  Counted counted;
  std::unique_ptr<Site> site;
  for (int round = 0; round < rounds; ++round) {
    INFO("round " << round);
    if (!site) site = std::make_unique<Site>(random, *memory);
    if (!site->round(counted)) site.reset();
  }
  INFO(counted.could_be_accepted << " endings undone; " << counted.asked << " verdicts");
  CHECK(counted.accepted == 0);
  CHECK(counted.refused == 0);
  CHECK(counted.accepted_after_healing == 0);
  // The control: to whoever has no journal each of them is undone.
  CHECK(counted.could_be_accepted >= static_cast<std::size_t>(rounds));
  CHECK(counted.accepted_by_control == counted.could_be_accepted);
}

}  // namespace
