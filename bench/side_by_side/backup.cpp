// A backup of a store in use, beside SQLite's own ways to copy a database.
#include <fmt/format.h>

#include <map>

#include "sql.hpp"
#include "suite.hpp"

namespace bench {

namespace {

/// As the sqlite3 shell's `.backup` does it.
void copy_pages(Database& from, const std::filesystem::path& to) {
  sqlite3* copy = nullptr;
  if (sqlite3_open(to.c_str(), &copy) != SQLITE_OK) give_up("cannot write " + to.string());
  sqlite3_backup* backup = sqlite3_backup_init(copy, "main", from.handle(), "main");
  const bool done = backup != nullptr && sqlite3_backup_step(backup, -1) == SQLITE_DONE;
  if (sqlite3_backup_finish(backup) != SQLITE_OK || !done) give_up("SQLite's backup failed");
  sqlite3_close(copy);
}

}  // namespace

void measure_backup(const Settings& settings, Report& report) {
  progress("backup");
  const auto file = settings.directory / "backup.db";
  const auto store = std::move(must(tokenstore::open_sqlite(file.string())).store);
  must(store->issue_many(tokenstore::Actor::host(), issue_requests(0, settings.bulk)));
  Database database(file);
  const auto place = settings.directory / "backup.copy";
  std::map<std::string, double> octets;
  const auto contender = [&](const std::string& name, const std::function<void()>& copy) {
    return Contender{name, [&, name, copy](std::size_t) {
                       std::filesystem::remove(place);
                       const double ns = time_per_call(settings.bulk, copy);
                       octets[name] = static_cast<double>(std::filesystem::file_size(place));
                       return ns;
                     }};
  };
  const auto group =
      take_turns({contender("tokenstore, sealed backup",
                            [&] {
                              const auto made = must(store->backup(tokenstore::Actor::host(), place.string()));
                              if (made.tokens != settings.bulk) give_up("the backup is incomplete");
                            }),
                  contender("SQLite's VACUUM INTO", [&] { database.run("VACUUM INTO '" + place.string() + "'"); }),
                  contender("SQLite's .backup", [&] { copy_pages(database, place); })},
                 settings.rounds);
  report.add("Backup of a store in use (SQLite), a token", settings.bulk, 1, group);
  for (const Samples& one : group) {
    const double seconds = one.median() * static_cast<double>(settings.bulk) / 1e9;
    report.note(fmt::format("{}: {} tokens in {:.0f} ms, {:.0f} MB a second", one.name, settings.bulk, seconds * 1e3,
                            octets[one.name] / seconds / 1e6));
  }
}

}  // namespace bench
