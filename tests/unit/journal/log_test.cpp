// The journal's file: appending by several, new segments, and which files are taken.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "support/count_from.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;
using test::Told;
using test::World;

template <typename T>
void check_refused(const Result<T>& result, Status status, const std::string& words) {
  REQUIRE(result.status() == status);
  INFO(result.error().message());
  CHECK(result.error().message().find(words) != std::string::npos);
  CHECK(result.error().message().find('\n') == std::string::npos);
}

TEST_CASE("what was appended is there when the journal is opened again, in order and numbered") {
  const World world;
  {
    auto first = world.open();
    CHECK(first.log->made());
    REQUIRE(World::revoke(*first.log, first.told, 1, 3).ok());
    REQUIRE(World::revoke(*first.log, first.told, 4, 4).ok());
    CHECK(first.told.keys.empty());  // one's own entries are told to nobody
  }
  struct stat facts {};
  REQUIRE(::stat(world.path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777) == 0600);
  const auto again = world.open();
  CHECK_FALSE(again.log->made());
  CHECK(again.told.numbers == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK(again.told.keys == std::vector<std::string>{id_of(1), id_of(2), id_of(3), id_of(4)});
  CHECK(again.log->position().number == 5);
}

TEST_CASE("two who append in turns are told of each other's entries and continue one chain") {
  const World world;
  auto a = world.open();
  auto b = world.open();
  for (std::uint64_t number = 1; number <= 20; ++number) {
    auto& one = number % 2 == 0 ? a : b;
    REQUIRE(World::revoke(*one.log, one.told, number, number).ok());
  }
  REQUIRE(a.log->read_on(a.told).ok());
  REQUIRE(b.log->read_on(b.told).ok());
  CHECK(a.told.keys.size() == 10);
  CHECK(b.told.keys.size() == 10);
  CHECK(a.log->position().mac == b.log->position().mac);
  CHECK(world.open().told.numbers.size() == 20);
}

TEST_CASE("processes that append and are killed lose nothing that they acknowledged") {
  const World world;
  static_cast<void>(world.open());
  const int rounds = tokenstore::test::count_from("TOKENSTORE_JOURNAL_KILLS", 10);
  std::uint64_t next = 1;
  std::vector<std::uint64_t> acknowledged;
  for (int round = 0; round < rounds; ++round) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    std::vector<pid_t> children;
    for (std::uint64_t child = 0; child < 3; ++child) {
      const pid_t pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) {
        Told told;
        auto log = world.try_open(told);
        if (!log.ok()) ::_exit(1);
        for (std::uint64_t number = next + child * 100'000;; ++number) {
          if (!World::revoke(**log, told, number, number).ok()) ::_exit(2);
          if (::write(ends[1], &number, sizeof number) != sizeof number) ::_exit(3);
        }
      }
      children.push_back(pid);
    }
    ::close(ends[1]);
    // Each round at least one, however slow the disk is.
    std::uint64_t number = 0;
    REQUIRE(::read(ends[0], &number, sizeof number) == sizeof number);
    acknowledged.push_back(number);
    ::usleep(static_cast<useconds_t>(1000 * round));
    for (const pid_t pid : children) ::kill(pid, SIGKILL);
    while (::read(ends[0], &number, sizeof number) == sizeof number) acknowledged.push_back(number);
    ::close(ends[0]);
    for (const pid_t pid : children) {
      int status = 0;
      REQUIRE(::waitpid(pid, &status, 0) == pid);
      CHECK(WIFSIGNALED(status));
    }
    next += 1'000'000;
  }
  const auto after = world.open();
  CHECK(acknowledged.size() >= static_cast<std::size_t>(rounds));
  std::size_t lost = 0;
  for (const std::uint64_t number : acknowledged) lost += after.told.knows(id_of(number)) ? 0U : 1U;
  CHECK(lost == 0);
}

TEST_CASE("a new segment carries over what still restricts, and the earlier one is kept") {
  const World world;
  {
    auto opened = world.open();
    REQUIRE(World::revoke(*opened.log, opened.told, 1, 3).ok());
    const std::string long_gone = id_of(4);
    Entry entry = test::revocation(long_gone);
    entry.until = now - 2 * clock_tolerance;
    REQUIRE(opened.log->append(encode_entry(entry), 1, opened.told).ok());
    const std::string alice = "alice";
    Entry owner = test::revocation(alice);
    owner.kind = RecordKind::owner;
    owner.deed = Deed::suspended;
    owner.revision = 8;
    REQUIRE(opened.log->append(encode_entry(owner), 1, opened.told).ok());
    Entry learned;
    learned.deed = Deed::learned;
    learned.kind = RecordKind::workspace;
    learned.workspace = "default";
    learned.feed_revision = 41;
    REQUIRE(opened.log->append(encode_entry(learned), 1, opened.told).ok());
    auto other = world.open();
    REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    CHECK(opened.log->position().segment == 2);
    REQUIRE(World::revoke(*opened.log, opened.told, 5, 5).ok());
    // Who was behind reads the new segment, and writes into it.
    REQUIRE(World::revoke(*other.log, other.told, 6, 6).ok());
    CHECK(other.log->position().segment == 2);
  }
  CHECK(std::filesystem::exists(Log::path_of_segment(world.path, 1)));
  CHECK_FALSE(std::filesystem::exists(world.path + ".new"));
  const auto again = world.open();
  CHECK(again.told.numbers == std::vector<std::uint64_t>{7, 8});
  for (const std::uint64_t number : {1U, 2U, 3U, 5U, 6U}) CHECK(again.told.least.at(id_of(number)) == 2);
  CHECK_FALSE(again.told.knows(id_of(4)));
  CHECK(again.told.least.at("alice") == 8);
  CHECK(std::count(again.told.deeds.begin(), again.told.deeds.end(), Deed::learned) == 1);
  {
    auto twice = world.open();
    REQUIRE(twice.log->begin_segment(now, twice.told).ok());
  }
  CHECK(world.open().told.least == again.told.least);
}

TEST_CASE("a summary keeps the highest revision of a token and the latest end of its earlier states") {
  const World world;
  const std::string id = id_of(1);
  {
    auto opened = world.open();
    Entry first = test::revocation(id);
    first.deed = Deed::expired;
    Entry second = test::revocation(id);
    second.revision = 3;
    second.until = now - 3 * clock_tolerance;  // what the first left of it
    REQUIRE(opened.log->append(encode_entry(first) + encode_entry(second), 2, opened.told).ok());
    REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  }
  CHECK(world.open().told.least.at(id) == 3);
}

TEST_CASE("a journal of another store, or of another keyring, is refused") {
  World world;
  {
    auto opened = world.open();
    REQUIRE(World::revoke(*opened.log, opened.told, 1, 1).ok());
  }
  Told told;
  world.store = test::store_of(0x23);
  check_refused(world.try_open(told), Status::not_a_store, "belongs to another store");
  world.store = test::store_of(0x22);
  world.sealer = test::sealer_of(0x11, "0B");
  check_refused(world.try_open(told), Status::wrong_key, "under key 0A, which is not in the keyring");
  world.sealer = test::sealer_of(0x12);
  check_refused(world.try_open(told), Status::journal_damaged, "at octet 0");
  CHECK(told.keys.empty());
}

TEST_CASE("a journal under a key that was retired since vouches for nothing, and the error says what to do") {
  World world;
  static_cast<void>(world.open());
  std::array<std::uint8_t, master_key_size> old_master{};
  old_master.fill(0x11);
  std::array<std::uint8_t, master_key_size> new_master{};
  new_master.fill(0x12);
  Keyring keyring;
  REQUIRE(keyring.add("0A", KeyUse::retired, old_master).ok());
  REQUIRE(keyring.add("0B", KeyUse::active, new_master).ok());
  world.sealer = std::make_unique<seal::LiveSealer>(std::move(seal::Sealer::create(std::move(keyring))).value());
  Told told;
  check_refused(world.try_open(told), Status::wrong_key, "which is retired; make it verify-only");
}

TEST_CASE("only a regular file of one's own that is closed to others is taken, and never through a link") {
  const World world;
  static_cast<void>(world.open());
  Told told;
  REQUIRE(::chmod(world.path.c_str(), 0640) == 0);
  check_refused(world.try_open(told), Status::cannot_open, "set its mode to 0600");
  REQUIRE(::chmod(world.path.c_str(), 0600) == 0);
  World link;
  REQUIRE(::symlink(world.path.c_str(), link.path.c_str()) == 0);
  check_refused(link.try_open(told), Status::cannot_open, "is a symbolic link");
  const World pipe;
  REQUIRE(::mkfifo(pipe.path.c_str(), 0600) == 0);
  check_refused(pipe.try_open(told), Status::cannot_open, "is not a regular file");
  const World nothing;
  check_refused(nothing.try_open(told, true), Status::cannot_open, "is missing");
  CHECK_FALSE(std::filesystem::exists(nothing.path));
  if (::geteuid() == 0) {
    REQUIRE(::chown(world.path.c_str(), 4242, static_cast<gid_t>(-1)) == 0);
    check_refused(world.try_open(told), Status::cannot_open, "belongs to user 4242");
    // Root may work for whom the database belongs to, and what it makes is theirs.
    REQUIRE(::chown(world.directory.path().c_str(), 4242, static_cast<gid_t>(-1)) == 0);
    const std::string directory = world.directory.path().string();
    CHECK(Log::open({world.path, directory}, *world.sealer, world.store, now, told).ok());
    const std::string fresh = world.directory.file("fresh.journal");
    REQUIRE(Log::open({fresh, directory}, *world.sealer, world.store, now, told).ok());
    struct stat facts {};
    REQUIRE(::stat(fresh.c_str(), &facts) == 0);
    CHECK(facts.st_uid == 4242);
  }
}

TEST_CASE("a journal that is only read is never written") {
  const World world;
  static_cast<void>(world.open());
  Told told;
  const auto log = world.try_open(told, true);
  REQUIRE(log.ok());
  check_refused(World::revoke(**log, told, 1, 1), Status::read_only, "for reading only");
  check_refused((*log)->begin_segment(now, told), Status::read_only, "for reading only");
}

TEST_CASE("a journal that was removed, put back or cut under those who use it is noticed") {
  const World world;
  auto opened = world.open();
  REQUIRE(World::revoke(*opened.log, opened.told, 1, 1).ok());
  const std::string earlier = tokenstore::test::file_content(world.path);
  REQUIRE(World::revoke(*opened.log, opened.told, 2, 2).ok());
  const std::string whole = tokenstore::test::file_content(world.path);

  test::write_content(world.path, earlier);
  check_refused(opened.log->read_on(opened.told), Status::journal_damaged, "was cut short");
  check_refused(World::revoke(*opened.log, opened.told, 3, 3), Status::journal_damaged, "was cut short");
  // Kept under another name, so that no other file gets its number.
  REQUIRE(::rename(world.path.c_str(), world.directory.file("kept").c_str()) == 0);
  check_refused(opened.log->read_on(opened.told), Status::not_found, "is missing");
  check_refused(World::revoke(*opened.log, opened.told, 3, 3), Status::not_found, "is missing");
  test::write_content(world.path, earlier);
  REQUIRE(::chmod(world.path.c_str(), 0600) == 0);
  check_refused(opened.log->read_on(opened.told), Status::journal_damaged, "an earlier state was put back");
  REQUIRE(::rename(world.path.c_str(), world.directory.file("kept too").c_str()) == 0);
  // The whole of it in another file is as good as it was.
  test::write_content(world.path, whole);
  REQUIRE(::chmod(world.path.c_str(), 0600) == 0);
  CHECK(opened.log->read_on(opened.told).ok());
  CHECK(World::revoke(*opened.log, opened.told, 3, 3).ok());
}

TEST_CASE("an earlier segment in the place of the active one is noticed") {
  const World world;
  auto opened = world.open();
  REQUIRE(World::revoke(*opened.log, opened.told, 1, 1).ok());
  REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  REQUIRE(::rename(Log::path_of_segment(world.path, 1).c_str(), world.path.c_str()) == 0);
  check_refused(opened.log->read_on(opened.told), Status::journal_damaged, "an earlier state was put back");
}

}  // namespace
}  // namespace tokenstore::journal
