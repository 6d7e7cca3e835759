// What a host writes on SQLite: a table of SHA-256 digests, one prepared select for each request.
#include <chrono>

#include "digest.hpp"
#include "lookup.hpp"
#include "sql.hpp"

namespace bench {

namespace {

class HandwrittenSqlite final : public LookUp {
 public:
  HandwrittenSqlite(const Population& population, const std::filesystem::path& file)
      : database_(fill(population, file)), select_(database_, query) {}

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    for (const Request& request : requests) {
      using namespace std::chrono;
      const Digest digest = digest_of(request.text);
      select_.blob(1, digest);
      const std::int64_t now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
      if (select_.step() && select_.number_at(2) > now && select_.number_at(3) == 0 &&
          select_.text_at(1).find(scope) != std::string_view::npos) {
        sum += mark_of(select_.text_at(0));
      }
      select_.reset();
    }
    return sum;
  }

 private:
  static constexpr const char* query = "SELECT owner, scopes, expires_at, revoked FROM token WHERE digest = ?1";

  static const std::filesystem::path& fill(const Population& population, const std::filesystem::path& file) {
    Database database(file);
    database.run(
        "CREATE TABLE token (digest BLOB PRIMARY KEY, owner TEXT NOT NULL, scopes TEXT NOT NULL, "
        "expires_at INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID; BEGIN");
    Statement insert(database, "INSERT INTO token VALUES (?1, ?2, 'repo:read repo:write', 9000000000000, 0)");
    for (std::size_t i = 0; i < population.tokens; ++i) {
      const Digest digest = digest_of(population.texts[i]);
      const std::string owner = owner_name(i);
      insert.blob(1, digest).text(2, owner).step();
      insert.reset();
    }
    database.run("COMMIT");
    return file;
  }

  Database database_;
  Statement select_;
};

}  // namespace

std::unique_ptr<LookUp> sqlite_look_up(const Population& population, const std::filesystem::path& directory) {
  return std::make_unique<HandwrittenSqlite>(population,
                                             directory / ("handwritten-" + std::to_string(population.tokens) + ".db"));
}

}  // namespace bench
