// What becomes of a journal that was flipped, cut or spliced: it is found, and no ending is ignored in silence.
#include <sys/stat.h>

#include <random>

#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::Told;
using test::World;

/// What an opening makes of a journal with this content.
struct Finding {
  Status status = Status::ok;
  std::string message;
  std::uint64_t torn = 0;
  Told told;
};

Finding opened_with(const World& world, std::string_view content) {
  test::write_content(world.path, content);
  Finding finding;
  auto log = world.try_open(finding.told);
  finding.status = log.status();
  if (!log.ok()) finding.message = log.error().message();
  if (log.ok()) finding.torn = (*log)->torn();
  return finding;
}

/// A small journal: the content after each frame, the empty one first.
std::vector<std::string> small_journal(const World& world, std::uint64_t first_number = 1) {
  auto opened = world.open();
  std::vector<std::string> states{tokenstore::test::file_content(world.path)};
  for (std::uint64_t number = first_number; number < first_number + 4; ++number) {
    REQUIRE(World::revoke(*opened.log, opened.told, number, number).ok());
    states.push_back(tokenstore::test::file_content(world.path));
  }
  return states;
}

TEST_CASE("a bit flipped anywhere is found, and the place is named") {
  const World world;
  const std::vector<std::string> states = small_journal(world);
  const std::string& whole = states.back();
  CHECK(opened_with(world, whole).told.keys.size() == 4);
  std::size_t missed = 0;
  std::size_t taken_for_torn = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const Finding finding = opened_with(world, flipped);
    // The last frame that ends before the bit.
    std::size_t frame = states.size() - 1;
    while (frame > 0 && states[frame - 1].size() > bit / 8) --frame;
    const std::size_t place = frame == 0 ? 0 : states[frame - 1].size();
    const bool named = finding.message.find("is damaged at octet " + std::to_string(place) + ",") != std::string::npos;
    if (finding.status == Status::ok && finding.torn != 0 && frame == states.size() - 1) ++taken_for_torn;
    if (finding.status != Status::journal_damaged || !named) ++missed;
  }
  CHECK(missed == taken_for_torn);
  CHECK(taken_for_torn == 0);
}

TEST_CASE("a journal cut anywhere within an entry goes on from the entry before, and says how much was cut") {
  const World world;
  const std::vector<std::string> states = small_journal(world);
  const std::string& whole = states.back();
  for (std::size_t size = states[0].size(); size < whole.size(); ++size) {
    INFO("cut to " << size);
    std::size_t entries = 0;
    while (entries + 1 < states.size() && states[entries + 1].size() <= size) ++entries;
    const Finding finding = opened_with(world, whole.substr(0, size));
    REQUIRE(finding.status == Status::ok);
    CHECK(finding.told.keys.size() == entries);
    CHECK(finding.torn == size - states[entries].size());
    // And whoever writes next cuts it off. Not each time: it is synced.
    if (size % 16 != 5) continue;
    Told told;
    auto log = world.try_open(told);
    REQUIRE(World::revoke(**log, told, 9, 9).ok());
    CHECK((*log)->cut() == finding.torn);
    CHECK(world.open().told.keys.size() == entries + 1);
  }
  // Its head was made at one go and put in place whole: that is never torn.
  for (std::size_t size = 0; size < states[0].size(); ++size) {
    CHECK(opened_with(world, whole.substr(0, size)).status == Status::journal_damaged);
  }
}

TEST_CASE("a journal that was cut at the border of an entry is found by whoever has read further") {
  const World world;
  const std::vector<std::string> states = small_journal(world);
  auto reader = world.open();
  test::write_content(world.path, states[2]);
  CHECK(reader.log->read_on(reader.told).status() == Status::journal_damaged);
  // Nobody else can tell: the database's revision is what tells it then.
  CHECK(opened_with(world, states[2]).status == Status::ok);
}

TEST_CASE("an entry that is left out, doubled, moved, or another journal's is found") {
  const World world;
  const std::vector<std::string> states = small_journal(world);
  const World other;
  const std::vector<std::string> others = small_journal(other, 100);
  const auto frame = [](const std::vector<std::string>& of, std::size_t number) {
    return of[number].substr(of[number - 1].size());
  };
  const std::string a = frame(states, 1), b = frame(states, 2), c = frame(states, 3);
  const std::string& head = states[0];
  const std::size_t after_first = states[1].size();
  const std::vector<std::string> spliced{head + a + c,
                                         head + a + a,
                                         head + a + c + b,
                                         head + a + frame(others, 2),
                                         head + a + others[1].substr(0),
                                         head + a + frame(others, 1) + b};
  for (const std::string& content : spliced) {
    const Finding finding = opened_with(world, content);
    CHECK(finding.status == Status::journal_damaged);
    CHECK(finding.message.find("at octet " + std::to_string(after_first) + ", behind entry 1:") != std::string::npos);
  }
  // The other's head with these entries, and entries without a head.
  CHECK(opened_with(world, others[0] + a).status == Status::journal_damaged);
  CHECK(opened_with(world, a + b).status == Status::journal_damaged);
  // Another store's entries, chained to nothing here, under the same keyring.
  World stranger;
  stranger.store = test::store_of(0x77);
  const std::vector<std::string> strange = small_journal(stranger);
  CHECK(opened_with(world, head + a + frame(strange, 2)).status == Status::journal_damaged);
  CHECK(opened_with(world, strange.back()).status == Status::not_a_store);
}

TEST_CASE("zeroes where the last entry should be are a torn write, and anywhere else they are damage") {
  const World world;
  std::vector<std::string> states = small_journal(world);
  const std::string id = id_of(5);
  const std::string reason(1000, 'x');
  Entry long_one = test::revocation(id);
  long_one.reason = reason;
  {
    auto opened = world.open();
    REQUIRE(opened.log->append(encode_entry(long_one), 1, opened.told).ok());
  }
  states.push_back(tokenstore::test::file_content(world.path));
  const std::string whole = states.back();
  const std::size_t last = states[4].size();
  const std::size_t sector_border = (last / 512 + 1) * 512;
  REQUIRE(sector_border < whole.size());
  std::string unwritten = whole;
  std::fill(unwritten.begin() + static_cast<std::ptrdiff_t>(last),
            unwritten.begin() + static_cast<std::ptrdiff_t>(sector_border), '\0');
  const Finding torn = opened_with(world, unwritten);
  CHECK(torn.status == Status::ok);
  CHECK(torn.torn == whole.size() - last);
  CHECK(torn.told.keys.size() == 4);
  std::string earlier = whole;
  std::fill(earlier.begin() + static_cast<std::ptrdiff_t>(states[1].size()),
            earlier.begin() + static_cast<std::ptrdiff_t>(states[2].size()), '\0');
  CHECK(opened_with(world, earlier).status == Status::journal_damaged);
  // More than one write can leave is nothing that a crash can do.
  CHECK(opened_with(world, states.back() + std::string(frame_max + 1, '\0')).status == Status::journal_damaged);
}

TEST_CASE("any octets at all are read without a crash, and never as entries") {
  const World world;
  const std::vector<std::string> states = small_journal(world);
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string content = states[random() % states.size()];
    const std::size_t from = random() % (content.size() + 1);
    std::string noise(random() % 300, '\0');
    for (char& octet : noise) octet = static_cast<char>(random());
    content.replace(from, std::min<std::size_t>(content.size() - from, random() % 80), noise);
    const Finding finding = opened_with(world, content);
    for (const std::string& key : finding.told.keys) {
      CHECK((key == id_of(1) || key == id_of(2) || key == id_of(3) || key == id_of(4)));
    }
  }
}

}  // namespace
}  // namespace tokenstore::journal
