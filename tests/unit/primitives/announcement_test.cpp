#include "seal/announcement.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "unit/primitives/vectors.hpp"

namespace tokenstore::seal {
namespace {

using namespace std::string_literals;

Place some_place() {
  Place place;
  place.store.fill(0xA1);
  place.workspace = "default";
  place.workspace_birth.fill(0xB2);
  return place;
}

struct Feed {
  std::unique_ptr<Sealer> sealer = test::vector_sealer(test::format_vectors(), "0A");
  Place place = some_place();
  Changes changes;

  SealedAnnouncement announcement() const { return {*sealer, place}; }
  void append(const SealedAnnouncement& announcement) {
    const std::uint64_t revision = changes.revision + 1;
    changes.link = announcement.link(revision, changes.link);
    changes.revision = revision;
    changes.entries.push_back({revision, std::string(announcement.entry()), changes.link});
  }
  void append_token(const std::string& id) {
    SealedAnnouncement one = announcement();
    one.name(RecordKind::token, id);
    append(one);
  }
  FeedReading read(std::uint64_t revision = 0, const Bytes32& link = {}) const {
    return read_on(*sealer, place, revision, link, changes);
  }
};

TEST_CASE("an announcement names each kind of record, and a text that names another kind is none") {
  Feed feed;
  for (const RecordKind kind : {RecordKind::token, RecordKind::owner, RecordKind::workspace, RecordKind::store}) {
    SealedAnnouncement one = feed.announcement();
    one.name(kind, "");
    const auto named = changes_named(one.entry());
    REQUIRE(named.has_value());
    REQUIRE(named->size() == 1);
    CHECK(named->at(0).kind == kind);
    CHECK(named->at(0).key.empty());
  }
  for (const char kind : {'\0', '\5', '\xFF'}) {
    CHECK_FALSE(changes_named("0A"s + kind + "\0\0"s).has_value());
  }
  CHECK(changes_named("0A")->empty());
  CHECK_FALSE(changes_named("0").has_value());
  CHECK(key_of_entry("0A") == "0A");
  CHECK(key_of_entry("0A\1\0\0"s) == "0A");
  CHECK(key_of_entry("0").empty());
}

TEST_CASE("an announcement names what a batch puts or removes, and not what it only checks") {
  Feed feed;
  OwnerRecord owner;
  owner.owner = "alice";
  const Mutation batch[] = {Mutation::check(RecordKind::workspace, "default", 1), Mutation::put(owner, 0),
                            Mutation::remove_token("0KMwCWK70rqyqvwn", 1)};
  SealedAnnouncement one = feed.announcement();
  one.name_changes(batch);
  const auto named = changes_named(one.entry());
  REQUIRE(named.has_value());
  REQUIRE(named->size() == 2);
  CHECK(named->at(0).kind == RecordKind::owner);
  CHECK(named->at(0).key == "alice");
  CHECK(named->at(1).kind == RecordKind::token);
}

TEST_CASE("an announcement names up to sixty thousand octets, and beyond that everything") {
  Feed feed;
  // The key's id, the kind and the length of the key take five.
  const std::string longest(59'995, 'x');
  SealedAnnouncement full = feed.announcement();
  full.name(RecordKind::owner, longest);
  const auto named = changes_named(full.entry());
  REQUIRE(named.has_value());
  REQUIRE(named->size() == 1);
  CHECK(named->at(0).key == longest);
  SealedAnnouncement beyond = feed.announcement();
  beyond.name(RecordKind::owner, longest + 'x');
  CHECK(beyond.entry() == "0A\0\0\0"s);
  // Everything and something more is everything still.
  beyond.name(RecordKind::owner, "alice");
  CHECK(beyond.entry() == "0A\0\0\0"s);
}

TEST_CASE("a reader who has read on learns what the entries name, in their order") {
  Feed feed;
  CHECK(feed.read().fits);
  CHECK(feed.read().named->empty());
  feed.append_token("first");
  feed.append_token("second");
  feed.append_token("third");
  const FeedReading all = feed.read();
  CHECK(all.fits);
  REQUIRE(all.named.has_value());
  REQUIRE(all.named->size() == 3);
  CHECK(all.named->at(0).key == "first");
  CHECK(all.named->at(2).key == "third");
  const Bytes32 second = feed.changes.entries[1].link;
  feed.changes.entries.erase(feed.changes.entries.begin(), feed.changes.entries.begin() + 2);
  const FeedReading rest = feed.read(2, second);
  CHECK(rest.fits);
  REQUIRE(rest.named->size() == 1);
  CHECK(rest.named->at(0).key == "third");
}

TEST_CASE("a reader who has read on is told of everything by an entry for everything, or by a backend without a feed") {
  Feed feed;
  feed.append_token("first");
  SealedAnnouncement everything = feed.announcement();
  everything.name(RecordKind::owner, std::string(60'000, 'x'));
  feed.append(everything);
  feed.append_token("third");
  CHECK(feed.read().fits);
  CHECK_FALSE(feed.read().named.has_value());
  feed.changes = {};
  feed.changes.everything = true;
  CHECK(feed.read(7).fits);
  CHECK_FALSE(feed.read(7).named.has_value());
}

TEST_CASE("a feed from which anything was taken, in which anything was changed or that ends elsewhere does not fit") {
  Feed whole;
  whole.append_token("first");
  whole.append_token("second");
  whole.append_token("third");
  const auto does_not_fit = [&](auto change) {
    Feed feed;
    feed.changes = whole.changes;
    change(feed.changes);
    const FeedReading reading = feed.read();
    return !reading.fits && !reading.named.has_value();
  };
  REQUIRE_FALSE(does_not_fit([](Changes&) {}));
  for (std::size_t at = 0; at < 3; ++at) {
    INFO("entry " << at);
    CHECK(does_not_fit([&](Changes& c) { c.entries.erase(c.entries.begin() + static_cast<std::ptrdiff_t>(at)); }));
    CHECK(does_not_fit([&](Changes& c) { ++c.entries[at].revision; }));
    CHECK(does_not_fit([&](Changes& c) { c.entries[at].link[31] ^= 1; }));
    CHECK(does_not_fit([&](Changes& c) { c.entries[at].text.back() ^= 1; }));
    CHECK(does_not_fit([&](Changes& c) { c.entries[at].text.clear(); }));
    CHECK(does_not_fit([&](Changes& c) { c.entries[at].text[1] = 'B'; }));
  }
  CHECK(does_not_fit([](Changes& c) { std::swap(c.entries[0], c.entries[1]); }));
  CHECK(does_not_fit([](Changes& c) { ++c.revision; }));
  CHECK(does_not_fit([](Changes& c) { --c.revision; }));
  CHECK(does_not_fit([](Changes& c) { c.link[0] ^= 1; }));
  CHECK(does_not_fit([](Changes& c) { c.entries.clear(); }));
  Bytes32 another{};
  another[0] = 1;
  CHECK_FALSE(whole.read(0, another).fits);
  CHECK_FALSE(whole.read(1).fits);
}

}  // namespace
}  // namespace tokenstore::seal
