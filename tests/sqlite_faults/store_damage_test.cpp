// Damaged files, seen from the store: no damage makes a token valid that was not.
//
// What a database file knows holds under any damage to its WAL. What only the WAL knows may be lost with it,
// as SECURITY.md says of older genuine states; but then the store stands as it did after some commit.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "support/count_from.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

Result<std::unique_ptr<TokenStore>> open_store(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  auto backend = sqlite_backend(options);
  if (!backend.ok()) return backend.error();
  return TokenStore::open(*backend, one_key());
}

/// The files of a store as a crash would leave them, and what its tokens were.
struct Image {
  std::string database;
  std::string wal;
  std::vector<Kept> ended;  ///< in the order in which they ended
  Kept alive;
};

enum class Endings : std::uint8_t { in_the_database, in_the_wal };

/// Four tokens end, each in its way; a fifth lives on.
Image make_image(const std::string& path, Endings where) {
  Image image;
  auto store = open_store(path).value();
  const Actor host = Actor::host();
  for (int i = 0; i < 4; ++i) {
    image.ended.push_back(World::issue(*store, {.owner = "owner-" + std::to_string(i), .scopes = {"read"}}));
  }
  image.alive = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
  const auto checkpoint = [&path] {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &raw) == SQLITE_OK);
    REQUIRE(sqlite3_exec(raw, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
  };
  if (where == Endings::in_the_wal) checkpoint();
  REQUIRE(store->revoke(host, image.ended[0].id).ok());
  REQUIRE(store->expire(host, image.ended[1].id).ok());
  REQUIRE(store->suspend(host, "owner-2").ok());
  REQUIRE(store->remove(host, image.ended[3].id).ok());
  if (where == Endings::in_the_database) {
    checkpoint();
    // Later commits write the same pages again.
    for (int i = 0; i < 4; ++i) World::issue(*store, {.owner = "owner-1", .scopes = {"read"}});
    REQUIRE(store->revoke(host, World::issue(*store, {.owner = "alice", .scopes = {"read"}}).id).ok());
  }
  image.database = content_of(path);
  image.wal = content_of(path + "-wal");
  return image;
}

/// What a child says of one damaged image by its exit code. Anything else is a crash.
enum Finding : int { fine = 0, no_words = 3, false_valid = 10, no_such_state = 11, unreadable = 12 };

/// Denied is denied, whatever happened to the files.
int all_denied(TokenStore& store, const Image& image) {
  for (const Kept& token : image.ended) {
    if (store.validate(token.text, Demand("read")).valid()) return false_valid;
  }
  return fine;
}

/// The first so many endings have happened and the others have not.
int some_earlier_state(TokenStore& store, const Image& image) {
  bool still_valid = false;
  for (const Kept& token : image.ended) {
    const Verdict verdict = store.validate(token.text, Demand("read"));
    if (verdict.outcome() == Outcome::unavailable) return fine;
    if (verdict.outcome() == Outcome::invalid && still_valid) return no_such_state;
    still_valid = verdict.valid();
  }
  return fine;
}

using Judge = std::function<int(TokenStore&, const Image&)>;
using Damage = std::function<void(Image&, std::size_t)>;

int judge_one(const std::string& path, const Image& image, const Judge& judge) {
  write_file(path, image.database);
  if (!image.wal.empty()) write_file(path + "-wal", image.wal);
  auto opened = open_store(path);
  if (!opened.ok()) return opened.error().message().empty() ? no_words : fine;
  TokenStore* store = opened->release();  // closing would write; the process ends anyway
  for (const Kept& token : {image.alive, image.ended[0]}) (void)store->get(Actor::host(), token.id).ok();
  (void)store->list(Actor::host(), {}).ok();
  // Twice: what was loaded is not trusted more the second time.
  if (const int found = judge(*store, image); found != fine) return found;
  const int found = judge(*store, image);
  (void)store->check(Actor::host()).ok();
  return found;
}

/// Judges an image once for each `at` below `end`, in steps; in children, so that a crash is counted and not
/// suffered. How many findings were not fine.
int findings_in(const Image& whole, std::size_t end, std::size_t step, const Damage& damage, const Judge& judge) {
  const TempDirectory directory;
  constexpr std::size_t batch = 40;
  int bad = 0;
  for (std::size_t from = 0; from < end; from += batch * step) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::size_t at = from; at < std::min(end, from + batch * step); at += step) {
        Image image = whole;
        damage(image, at);
        const std::string path = directory.file("damaged-" + std::to_string(at));
        if (const int found = judge_one(path, image, judge); found != fine) ::_exit(found);
        for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
      }
      ::_exit(fine);
    }
    int status = 0;
    const bool ended = ::waitpid(child, &status, 0) == child;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == fine) continue;
    ++bad;
    UNSCOPED_INFO("in the batch from " << from << ": " << (WIFEXITED(status) ? "finding " : "signal ")
                                       << (WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)));
  }
  return bad;
}

void flip(std::string& content, std::size_t bit) {
  content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << (bit % 8)));
}

std::size_t bit_stride() {
  return static_cast<std::size_t>(count_from("TOKENSTORE_BIT_STRIDE", 1009));
}

constexpr std::size_t wal_header = 32;
constexpr std::size_t frame_header = 24;
constexpr std::size_t page = 4096;

/// Lengths to cut a WAL to: at every frame's beginning, around it, in its header and in its page.
std::vector<std::size_t> cuts_of(const Image& image) {
  std::vector<std::size_t> cuts = {0, 1, wal_header - 1};
  REQUIRE((image.wal.size() - wal_header) % (frame_header + page) == 0);
  for (std::size_t at = wal_header; at <= image.wal.size(); at += frame_header + page) {
    for (const std::size_t beyond : {std::size_t{0}, std::size_t{1}, frame_header, frame_header + page / 2}) {
      if (at + beyond <= image.wal.size()) cuts.push_back(at + beyond);
    }
    if (at > wal_header) cuts.push_back(at - 1);
  }
  return cuts;
}

struct Case {
  Endings where;
  Judge judge;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {{Endings::in_the_database, all_denied},
                                        {Endings::in_the_wal, some_earlier_state}};
  return all;
}

}  // namespace

TEST_CASE("A flipped bit anywhere in the WAL makes no token valid that was not") {
  for (const Case& tried : cases()) {
    const TempDirectory directory;
    const Image image = make_image(directory.file("store.db"), tried.where);
    REQUIRE(image.wal.size() > wal_header + 5 * (frame_header + page));
    CHECK(findings_in(
              image, image.wal.size() * 8, bit_stride(),
              [](Image& damaged, std::size_t bit) { flip(damaged.wal, bit); }, tried.judge) == 0);
    // The headers decide what is read at all: every bit of the first two.
    CHECK(findings_in(
              image, (wal_header + frame_header) * 8, 1,
              [](Image& damaged, std::size_t bit) { flip(damaged.wal, bit); }, tried.judge) == 0);
  }
}

TEST_CASE("A WAL cut at every frame, around it and within it, makes no token valid that was not") {
  for (const Case& tried : cases()) {
    const TempDirectory directory;
    const Image image = make_image(directory.file("store.db"), tried.where);
    const std::vector<std::size_t> cuts = cuts_of(image);
    CHECK(cuts.size() > 25);
    CHECK(findings_in(
              image, cuts.size(), 1, [&cuts](Image& damaged, std::size_t which) { damaged.wal.resize(cuts[which]); },
              tried.judge) == 0);
  }
}

TEST_CASE("A flipped bit or a cut anywhere in the database makes no token valid that was not") {
  for (const bool with_wal : {false, true}) {
    const TempDirectory directory;
    Image image = make_image(directory.file("store.db"), Endings::in_the_database);
    if (!with_wal) image.wal.clear();
    CHECK(findings_in(
              image, image.database.size() * 8, bit_stride(),
              [](Image& damaged, std::size_t bit) { flip(damaged.database, bit); }, all_denied) == 0);
    CHECK(findings_in(
              image, image.database.size(), 509,
              [](Image& damaged, std::size_t size) { damaged.database.resize(size); }, all_denied) == 0);
  }
}

TEST_CASE("Control: an ending that is lost with the WAL is seen, and an untouched image is right") {
  const TempDirectory directory;
  const Image image = make_image(directory.file("store.db"), Endings::in_the_wal);
  const Damage none = [](Image&, std::size_t) {};
  const Judge really_ended = [](TokenStore& store, const Image& whole) {
    if (!store.validate(whole.alive.text, Demand("read")).valid()) return int{unreadable};
    return all_denied(store, whole);
  };
  CHECK(findings_in(image, 1, 1, none, really_ended) == 0);
  CHECK(findings_in(
            image, 1, 1, [](Image& damaged, std::size_t) { damaged.wal.clear(); }, all_denied) == 1);
  CHECK(findings_in(
            image, 1, 1, [](Image& damaged, std::size_t) { damaged.database.clear(); }, really_ended) == 0);
  CHECK(findings_in(image, 1, 1, none, [](TokenStore&, const Image&) -> int {
          ::raise(SIGKILL);
          return fine;
        }) == 1);
}

TEST_CASE("A WAL or WAL-index that is taken away, cut or damaged under an open store makes nothing valid again") {
  for (int damage = 0; damage < 6; ++damage) {
    for (const bool warm : {false, true}) {
      INFO("damage " << damage << (warm ? ", warm" : ""));
      const TempDirectory directory;
      const std::string path = directory.file("store.db");
      // In a child: what the kernel does to a process that reads a mapped file beyond its end is part of the test.
      const pid_t child = ::fork();
      if (child == 0) {
        auto store = open_store(path).value();
        const Kept alive = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
        const Kept revoked = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
        if (!store->validate(revoked.text, Demand("read")).valid()) ::_exit(2);
        if (!store->revoke(Actor::host(), revoked.id).ok()) ::_exit(2);
        if (warm && !store->validate(alive.text, Demand("read")).valid()) ::_exit(2);
        if (warm && store->validate(revoked.text, Demand("read")).valid()) ::_exit(2);
        const std::string wal = path + "-wal";
        if (damage == 0) ::unlink(wal.c_str());
        if (damage == 1) ::unlink((path + "-shm").c_str());
        if (damage == 2 && ::truncate(wal.c_str(), 0) != 0) ::_exit(2);
        if (damage == 3 && ::truncate(wal.c_str(), static_cast<off_t>(std::filesystem::file_size(wal) / 2)) != 0) {
          ::_exit(2);
        }
        if (damage == 4) {
          std::string content = content_of(wal);
          for (std::size_t at = wal_header; at < content.size(); at += 97)
            content[at] = static_cast<char>(~content[at]);
          std::fstream file(wal, std::ios::binary | std::ios::in | std::ios::out);
          file << content;
        }
        if (damage == 5) {
          ::unlink(wal.c_str());
          ::unlink((path + "-shm").c_str());
        }
        bool ended = false;
        for (int again = 0; again < 3; ++again) {
          if (store->validate(revoked.text, Demand("read")).valid()) ::_exit(false_valid);
          const Verdict verdict = store->validate(alive.text, Demand("read"));
          if (ended && verdict.valid()) ::_exit(false_valid);
          // A damaged page may hold a damaged record, or none; a missing one is no reason to call a token bad.
          if (!ended && damage != 4 && verdict.outcome() == Outcome::invalid) ::_exit(no_such_state);
          const auto changed = store->revoke(Actor::host(), alive.id);
          if (!changed.ok() && changed.error().message().empty()) ::_exit(no_words);
          ended = ended || changed.ok();
          if (ended && store->validate(alive.text, Demand("read")).valid()) ::_exit(false_valid);
          std::this_thread::sleep_for(std::chrono::milliseconds(120));  // beyond the time between two looks
        }
        ::_exit(fine);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(status == fine);
    }
  }
}

TEST_CASE("A change that meets a value of the wrong type says that the file is damaged, and calls it no defect") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  Kept token;
  {
    auto store = open_store(path).value();
    token = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
  }
  const auto run = [&path](const std::string& sql) {
    sqlite3* raw = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &raw) == SQLITE_OK);
    REQUIRE(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(raw);
  };
  // What a page leaves that stands in another's place: found by fuzz_database_file.
  const auto retype = [&run](const std::string& from, const std::string& to) {
    run("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'last_used_at " + from +
        "', 'last_used_at " + to + "') WHERE name = 'token'");
  };
  retype("INTEGER", "ANY");
  run("UPDATE token SET last_used_at = 'soon'");
  retype("ANY", "INTEGER");
  auto store = open_store(path).value();
  const auto revoked = store->revoke(Actor::host(), token.id);
  CHECK(revoked.status() == Status::unavailable);
  if (!revoked.ok()) CHECK(revoked.error().message().find("damaged") != std::string::npos);
  CHECK_FALSE(store->validate(token.text, Demand("read")).valid());  // this process was asked to end it
}
