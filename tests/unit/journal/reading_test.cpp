// The journal as an audit trail: what is told of it, and that verifying finds whatever was done to it.
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "support/canary.hpp"
#include "tokenstore/journal.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;
using test::World;
using test::write_content;
using tokenstore::test::file_content;

Keyring keyring_of(std::uint8_t octet) {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(octet);
  return std::move(Keyring::from_bytes(master, "0A")).value();
}

/// A copy of what is told, whose views end with the call.
struct Line {
  std::uint64_t number;
  std::uint64_t segment;
  UnixMillis at;
  JournalDeed deed;
  std::string token;
  std::string owner;
  std::string actor;
  std::string reason;
};

struct Read {
  std::vector<Line> lines;
  JournalReading reading;
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    for (const Line& line : lines) all.push_back(line.number);
    return all;
  }
};

Read read(const World& world, const JournalQuery& query = {}, std::size_t most = SIZE_MAX) {
  Read read;
  auto done = read_journal(world.path, keyring_of(0x11), query, [&](const JournalEntry& entry) {
    read.lines.push_back({entry.number, entry.segment, entry.at, entry.deed, std::string(entry.token_id),
                          std::string(entry.owner), std::string(entry.actor), std::string(entry.reason)});
    return read.lines.size() < most;
  });
  if (!done.ok()) FAIL(done.error().message());
  read.reading = *std::move(done);
  return read;
}

JournalReport verify(const World& world) {
  auto report = verify_journal(world.path, keyring_of(0x11));
  if (!report.ok()) FAIL(report.error().message());
  return *std::move(report);
}

/// Two entries and two, with a new segment between them, one frame each.
void write_two_segments(const World& world, std::uint64_t first = 1) {
  auto opened = world.open();
  for (std::uint64_t number = first; number < first + 4; ++number) {
    if (number == first + 2) REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    REQUIRE(World::revoke(*opened.log, opened.told, number, number).ok());
  }
}

/// Where the frames of a file begin, and where it ends.
std::vector<std::size_t> borders_of(const std::string& content) {
  std::vector<std::size_t> borders{0};
  while (const auto header = parse_header(std::string_view(content).substr(borders.back()))) {
    borders.push_back(borders.back() + header->frame_size());
  }
  return borders;
}

std::size_t border_before(const std::vector<std::size_t>& borders, std::size_t octet) {
  return *std::prev(std::upper_bound(borders.begin(), borders.end(), octet));
}

std::string first_file(const World& world) {
  return Log::path_of_segment(world.path, 1);
}

TEST_CASE("all segments are told in order, and what a later one carries over is not told twice") {
  const World world;
  write_two_segments(world);
  const Read all = read(world);
  CHECK(all.numbers() == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK(all.lines[2].segment == 2);
  CHECK(all.lines[0].token == id_of(1));
  CHECK(all.lines[0].actor == "administrator:root");
  CHECK(all.lines[0].reason == "the laptop was lost");
  CHECK(all.reading.told == 4);
  CHECK(all.reading.report.problems.empty());
  const JournalReport report = verify(world);
  CHECK(report.problems.empty());
  CHECK(report.segments == 2);
  CHECK(report.entries == 4);
  CHECK(report.last_entry == 4);
  CHECK(report.first_segment == 1);
  CHECK(report.store == world.store);
}

TEST_CASE(
    "segments that were taken away at the beginning are no damage, and what they restrict is told as carried over") {
  const World world;
  write_two_segments(world);
  std::filesystem::remove(first_file(world));
  const Read all = read(world);
  REQUIRE(all.numbers() == std::vector<std::uint64_t>{0, 0, 3, 4});
  CHECK(std::set<std::string>{all.lines[0].token, all.lines[1].token} == std::set<std::string>{id_of(1), id_of(2)});
  CHECK(all.lines[0].at == 0);
  const JournalReport report = verify(world);
  CHECK_FALSE(report.damaged());
  CHECK(report.problems.empty());
  CHECK(report.first_segment == 2);
}

TEST_CASE("what was asked for is told, and nothing else") {
  const World world;
  auto opened = world.open();
  const std::string first = id_of(1), second = id_of(2);
  std::string entries;
  Entry entry = test::revocation(first);
  entry.owner = "alice";
  entries += encode_entry(entry);
  entry = test::revocation(second);
  entry.owner = "bob";
  entry.at = now + 1000;
  entry.actor = "user:bob";
  entry.deed = Deed::expired;
  entry.workspace = "other";
  entries += encode_entry(entry);
  entry = {};
  entry.deed = Deed::suspended;
  entry.kind = RecordKind::owner;
  entry.restricts = true;
  entry.at = now + 2000;
  entry.workspace = "default";
  entry.key = "alice";
  entry.actor = "host";
  entries += encode_entry(entry);
  REQUIRE(opened.log->append(entries, 3, opened.told).ok());
  using Numbers = std::vector<std::uint64_t>;
  JournalQuery query;
  query.owner = "alice";
  CHECK(read(world, query).numbers() == Numbers{1, 3});
  query = {};
  query.token_id = second;
  CHECK(read(world, query).numbers() == Numbers{2});
  query = {};
  query.actor = "bob";
  CHECK(read(world, query).numbers() == Numbers{2});
  query.actor = "user:bob";
  CHECK(read(world, query).numbers() == Numbers{2});
  query.actor = "administrator:bob";
  CHECK(read(world, query).numbers().empty());
  query.actor = "host";
  CHECK(read(world, query).numbers() == Numbers{3});
  query = {};
  query.deed = JournalDeed::expired;
  CHECK(read(world, query).numbers() == Numbers{2});
  query = {};
  query.workspace = "other";
  CHECK(read(world, query).numbers() == Numbers{2});
  query = {};
  query.from = now + 1000;
  CHECK(read(world, query).numbers() == Numbers{2, 3});
  query.to = now + 2000;
  CHECK(read(world, query).numbers() == Numbers{2});
}

TEST_CASE("a reading goes on where another one ended, within a frame, between frames and over a new segment") {
  const World world;
  auto opened = world.open();
  std::uint64_t written = 0;
  const auto revoke = [&](std::uint64_t count) {
    REQUIRE(World::revoke(*opened.log, opened.told, written + 1, written + count).ok());
    written += count;
  };
  for (const std::uint64_t count : {3U, 1U, 2U}) revoke(count);
  REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  for (const std::uint64_t count : {1U, 4U}) revoke(count);
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
    std::vector<std::uint64_t> numbers;
    JournalQuery query;
    for (int i = 0; i < 20; ++i) {
      const Read some = read(world, query, at_once);
      CHECK(some.reading.report.problems.empty());
      CHECK(some.reading.told == some.lines.size());
      for (const std::uint64_t number : some.numbers()) numbers.push_back(number);
      query.after = some.reading.next;
    }
    std::vector<std::uint64_t> expected;
    for (std::uint64_t number = 1; number <= written; ++number) expected.push_back(number);
    CHECK(numbers == expected);
  }
  JournalQuery query;
  query.after = read(world).reading.next;
  CHECK(read(world, query).lines.empty());
  REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  CHECK(read(world, query).lines.empty());
  revoke(2);
  REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  revoke(1);
  CHECK(read(world, query).numbers() == std::vector<std::uint64_t>{written - 2, written - 1, written});
}

TEST_CASE("what is carried over can be read a piece at a time as well") {
  const World world;
  write_two_segments(world);
  std::filesystem::remove(first_file(world));
  JournalQuery query;
  std::vector<std::uint64_t> numbers;
  std::set<std::string> tokens;
  for (int i = 0; i < 6; ++i) {
    const Read some = read(world, query, 1);
    for (const Line& line : some.lines) tokens.insert(line.token);
    for (const std::uint64_t number : some.numbers()) numbers.push_back(number);
    query.after = some.reading.next;
  }
  CHECK(numbers == std::vector<std::uint64_t>{0, 0, 3, 4});
  CHECK(tokens.size() == 4);
}

TEST_CASE("where to go on is refused if it is no place, and found if the journal is another one since") {
  const World world;
  write_two_segments(world);
  JournalQuery query;
  for (const char* text : {"x", "1", "1-2-3-4-5", "1-2-3-4-0-", "0-2-3-4-0-aa", "-1-2-3-4-0-aa"}) {
    query.after = text;
    const auto refused = read_journal(world.path, keyring_of(0x11), query, [](const JournalEntry&) { return true; });
    CHECK(refused.status() == Status::invalid_argument);
  }
  const std::string place = read(world).reading.next;
  query.after = place;
  // Cut short behind an entry: nothing shows but to who has read further.
  const std::string whole = file_content(world.path);
  const std::vector<std::size_t> borders = borders_of(whole);
  write_content(world.path, whole.substr(0, borders[borders.size() - 2]));
  CHECK_FALSE(verify(world).damaged());
  const Read cut = read(world, query);
  CHECK(cut.lines.empty());
  CHECK(cut.reading.report.damaged());
  CHECK(cut.reading.next == place);
  // An earlier state put back.
  std::filesystem::remove(world.path);
  std::filesystem::rename(first_file(world), world.path);
  const Read back = read(world, query);
  CHECK(back.lines.empty());
  CHECK(back.reading.report.damaged());
  CHECK(back.reading.next == place);
}

/// The problem that is found first, for a journal of which a file was changed.
struct Finding {
  bool damaged = false;
  std::uint64_t segment = 0;
  std::uint64_t octet = 0;
  std::uint64_t entries = 0;
  std::uint64_t torn = 0;
};

Finding verified_with(const World& world, const std::string& file, std::string_view content) {
  write_content(file, content);
  const JournalReport report = verify(world);
  Finding finding;
  finding.damaged = report.damaged();
  finding.entries = report.entries;
  finding.torn = report.torn;
  if (!report.problems.empty()) {
    finding.segment = report.problems.front().segment;
    finding.octet = report.problems.front().octet;
  }
  return finding;
}

TEST_CASE("a bit flipped anywhere in two segments is found by verifying, with the frame in which it is") {
  const World world;
  write_two_segments(world);
  std::uint64_t segment = 0;
  for (const std::string& file : {first_file(world), world.path}) {
    ++segment;
    const std::string whole = file_content(file);
    const std::vector<std::size_t> borders = borders_of(whole);
    REQUIRE(borders.back() == whole.size());
    int missed = 0;
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      const Finding found = verified_with(world, file, flipped);
      if (!found.damaged || found.segment != segment || found.octet != border_before(borders, bit / 8)) ++missed;
    }
    CHECK(missed == 0);
    const Finding whole_again = verified_with(world, file, whole);
    CHECK_FALSE(whole_again.damaged);
    CHECK(whole_again.entries == 4);
  }
}

TEST_CASE("a segment that was cut is found, wherever it was, but for the end of the one in use") {
  const World world;
  write_two_segments(world);
  const std::string first = file_content(first_file(world));
  std::vector<std::size_t> borders = borders_of(first);
  for (std::size_t size = 0; size < first.size(); ++size) {
    INFO("the first cut to " << size);
    const Finding found = verified_with(world, first_file(world), std::string_view(first).substr(0, size));
    CHECK(found.damaged);
    CHECK(found.segment == 1);
    CHECK(found.octet == border_before(borders, size));
  }
  write_content(first_file(world), first);
  const std::string second = file_content(world.path);
  borders = borders_of(second);
  for (std::size_t size = 0; size < second.size(); ++size) {
    INFO("the second cut to " << size);
    const Finding found = verified_with(world, world.path, std::string_view(second).substr(0, size));
    const std::size_t border = border_before(borders, size);
    // Its head is put in place whole. Behind that a write that did not come to its end looks like this.
    CHECK(found.damaged == (size < borders[1]));
    CHECK(found.torn == (size < borders[1] ? 0 : size - border));
  }
}

TEST_CASE("two journals spliced, an entry of another store, and segments that are gone or exchanged are found") {
  const World world;
  write_two_segments(world);
  const World other;
  write_two_segments(other, 100);
  World stranger;
  stranger.store = test::store_of(0x77);
  write_two_segments(stranger, 200);
  const std::string first = file_content(first_file(world)), second = file_content(world.path);
  const auto border = [](const std::string& content, std::size_t back) {
    const std::vector<std::size_t> borders = borders_of(content);
    return borders[borders.size() - 1 - back];
  };
  const auto last_of = [&](const World& of) {
    const std::string content = file_content(of.path);
    return content.substr(border(content, 1));
  };
  for (const World* from : {&other, static_cast<const World*>(&stranger)}) {
    const Finding spliced = verified_with(world, world.path, second.substr(0, border(second, 1)) + last_of(*from));
    CHECK(spliced.damaged);
    CHECK(spliced.segment == 2);
    CHECK(spliced.octet == border(second, 1));
    CHECK(verified_with(world, world.path, second + last_of(*from)).octet == second.size());
    // A whole segment of theirs: the second does not follow our first, nor ours theirs.
    const Finding whole = verified_with(world, world.path, file_content(from->path));
    CHECK(whole.damaged);
    write_content(world.path, second);
    CHECK(verified_with(world, first_file(world), file_content(first_file(*from))).damaged);
    write_content(first_file(world), first);
  }
  CHECK_FALSE(verify(world).damaged());
  // The earlier one in the place of the later one, and the other way round.
  CHECK(verified_with(world, world.path, first).damaged);
  write_content(world.path, second);
  CHECK(verified_with(world, first_file(world), second).damaged);
  write_content(first_file(world), first);
  std::filesystem::remove(world.path);
  const JournalReport without = verify(world);
  CHECK(without.damaged());
  CHECK(without.problems.at(0).kind == JournalProblem::Kind::missing);
  CHECK(without.entries == 2);
}

TEST_CASE("a segment that is gone in the midst is found, and named") {
  const World world;
  {
    auto opened = world.open();
    for (std::uint64_t number = 1; number <= 5; ++number) {
      REQUIRE(World::revoke(*opened.log, opened.told, number, number).ok());
      if (number < 5) REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    }
  }
  CHECK(verify(world).segments == 5);
  std::filesystem::remove(Log::path_of_segment(world.path, 3));
  const JournalReport report = verify(world);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].kind == JournalProblem::Kind::missing);
  CHECK(report.problems[0].segment == 3);
  CHECK(report.problems[0].file == Log::path_of_segment(world.path, 3));
  CHECK(report.damaged());
  CHECK(report.entries == 4);
  // And all the others are told.
  CHECK(read(world).numbers() == std::vector<std::uint64_t>{1, 2, 4, 5});
}

TEST_CASE("a journal that was begun anew beside earlier segments gets the next number, and verifying says so") {
  const World world;
  write_two_segments(world);
  std::filesystem::rename(world.path, world.directory.file("elsewhere"));
  {
    auto anew = world.open();
    REQUIRE(World::revoke(*anew.log, anew.told, 7, 7).ok());
    CHECK(anew.log->position().segment == 2);
    REQUIRE(anew.log->begin_segment(now, anew.told).ok());
  }
  const JournalReport report = verify(world);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.damaged());
  CHECK(report.problems[0].segment == 1);
  CHECK(report.problems[0].octet == file_content(first_file(world)).size());
}

TEST_CASE("what is under a key that is not held is said to be, and is no damage") {
  const World world;
  write_two_segments(world);
  CHECK(verify_journal(world.path, keyring_of(0x99)).status() ==
        Status::ok);  // same id, another key: it does not begin
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x33);
  const auto refused = verify_journal(world.path, std::move(Keyring::from_bytes(master, "0B")).value());
  CHECK(refused.status() == Status::wrong_key);
  // A segment under a new key, behind those of a key that is gone.
  Keyring both = keyring_of(0x11);
  REQUIRE(both.add("0B", KeyUse::verify_only, master).ok());
  REQUIRE(both.activate("0B").ok());
  seal::LiveSealer sealer(std::move(seal::Sealer::create(std::move(both))).value());
  test::Told told;
  auto log = Log::open({world.path, {}, false}, sealer, world.store, now, told);
  REQUIRE(log.ok());
  REQUIRE((*log)->begin_segment(now, told).ok());
  REQUIRE(World::revoke(**log, told, 5, 5).ok());
  const auto report = verify_journal(world.path, std::move(Keyring::from_bytes(master, "0B")).value());
  REQUIRE(report.ok());
  CHECK_FALSE(report->damaged());
  CHECK(report->lacks_key());
  CHECK(report->problems.size() == 2);
  CHECK(report->entries == 1);
  CHECK(report->problems[0].what.find("0A") != std::string::npos);
}

TEST_CASE("a journal of somebody else's making is refused as an error, and one that is missing") {
  const World world;
  CHECK(verify_journal(world.path, keyring_of(0x11)).status() == Status::cannot_open);
  CHECK(verify_journal("", keyring_of(0x11)).status() == Status::invalid_argument);
  write_content(world.path, "not a journal at all");
  std::filesystem::permissions(world.path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const JournalReport report = verify(world);
  CHECK(report.damaged());
  CHECK(report.store == Bytes16{});
  std::filesystem::permissions(world.path, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  CHECK(verify_journal(world.path, keyring_of(0x11)).status() == Status::cannot_open);
}

TEST_CASE("who follows a journal is told each entry once, while another process writes and begins new segments") {
  const World world;
  world.open();
  constexpr std::uint64_t count = 400;
  const pid_t writer = ::fork();
  REQUIRE(writer >= 0);
  if (writer == 0) {
    auto opened = world.open();
    for (std::uint64_t number = 1; number <= count; ++number) {
      if (!World::revoke(*opened.log, opened.told, number, number).ok()) ::_exit(1);
      if (number % 50 == 0 && !opened.log->begin_segment(now, opened.told).ok()) ::_exit(2);
    }
    ::_exit(0);
  }
  std::vector<std::uint64_t> numbers;
  JournalQuery query;
  bool ended = false;
  for (bool last = false; !last;) {
    last = ended;
    const Read some = read(world, query);
    CHECK(some.reading.report.problems.empty());
    for (const std::uint64_t number : some.numbers()) numbers.push_back(number);
    query.after = some.reading.next;
    int status = 0;
    if (!ended && ::waitpid(writer, &status, WNOHANG) == writer) {
      REQUIRE(status == 0);
      ended = true;
    }
  }
  REQUIRE(numbers.size() == count);
  for (std::uint64_t number = 1; number <= count; ++number) CHECK(numbers[number - 1] == number);
  CHECK(verify(world).segments == 9);
}

}  // namespace
}  // namespace tokenstore::journal
