// A change feed that lies, by whoever can write the database, to a store that remembers tokens: what another store has
// revoked is never valid again, and the lie is counted.
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

using Link = std::array<std::uint8_t, TOKENSTORE_SEAL_SIZE>;

/// What the feed said, to be said otherwise.
struct Said {
  std::uint64_t revision = 0;
  std::string bytes{};
  Link link{};

  explicit Said(const FeedEntry& entry) : revision(entry.revision), bytes(entry.bytes) {
    std::copy_n(entry.link, link.size(), link.begin());
  }
  std::int32_t emit(tokenstore_answer* answer) const {
    return answer->emit_entry(answer, revision, bytes.data(), bytes.size(), link.data());
  }
};

/// One store writes, and another one, with a cache and a feed that can lie, remembers.
struct WriterAndReader {
  HostileHost writer{};
  HostileHost reader{TOKENSTORE_BACKEND_THREAD_SAFE, 0,
                     [this](tokenstore_backend&) { reader.backend.memory = writer.backend.memory; }};

  HostileHost::Token known() {
    auto token = writer.issue();
    for (int round = 0; round < 2; ++round) REQUIRE(reader.validate(token.text) == valid);
    return token;
  }
  tokenstore_statistics statistics() const {
    tokenstore_statistics out{};
    out.struct_size = sizeof out;
    REQUIRE(tokenstore_read_statistics(reader.store, &out, nullptr) == TOKENSTORE_OK);
    return out;
  }
};

/// Revokes two tokens that the reader remembers, lets the feed lie about it, and asks the reader for both.
void revoked_under(const std::function<void(HostileBackend&)>& lie) {
  WriterAndReader hosts;
  const auto first = hosts.known();
  const auto second = hosts.known();
  const std::uint64_t hits = hosts.statistics().hits;
  REQUIRE(hosts.reader.validate(second.text) == valid);
  REQUIRE(hosts.statistics().hits == hits + 1);  // the cache is warm
  REQUIRE(hosts.statistics().feed_mismatches == 0);
  REQUIRE(hosts.writer.revoke(first.id) == TOKENSTORE_OK);
  REQUIRE(hosts.writer.revoke(second.id) == TOKENSTORE_OK);
  lie(hosts.reader.backend);
  for (int round = 0; round < 2; ++round) {
    CHECK(hosts.reader.validate(first.text).reason == TOKENSTORE_REASON_REVOKED);
    CHECK(hosts.reader.validate(second.text).reason == TOKENSTORE_REASON_REVOKED);
  }
  CHECK(hosts.statistics().feed_mismatches >= 1);
}

}  // namespace

TEST_CASE("feed: the control is an honest one, which ends what was revoked and keeps the rest") {
  WriterAndReader hosts;
  const auto revoked = hosts.known();
  const auto kept = hosts.known();
  REQUIRE(hosts.writer.revoke(revoked.id) == TOKENSTORE_OK);
  const auto before = hosts.statistics();
  CHECK(hosts.reader.validate(kept.text) == valid);
  CHECK(hosts.reader.validate(revoked.text).reason == TOKENSTORE_REASON_REVOKED);
  const auto after = hosts.statistics();
  CHECK(after.catch_ups == before.catch_ups + 1);
  CHECK(after.hits == before.hits + 1);
  CHECK(after.dropped_all == before.dropped_all);
  CHECK(after.feed_mismatches == 0);
}

TEST_CASE("feed: an entry with another link leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_entry = [](tokenstore_answer* answer, const FeedEntry& entry) {
      Said said(entry);
      said.link[0] ^= 1;
      return said.emit(answer);
    };
  });
}

TEST_CASE("feed: an entry that names less under its link leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_entry = [](tokenstore_answer* answer, const FeedEntry& entry) {
      Said said(entry);
      said.bytes.resize(said.bytes.size() / 2);
      return said.emit(answer);
    };
  });
}

TEST_CASE("feed: an entry that names another token leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_entry = [](tokenstore_answer* answer, const FeedEntry& entry) {
      Said said(entry);
      said.bytes.back() = static_cast<char>(said.bytes.back() ^ 1);
      return said.emit(answer);
    };
  });
}

TEST_CASE("feed: a head with another link leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_head = [](tokenstore_answer* answer, const FeedHead& head) {
      Link link{};
      std::copy_n(head.link, link.size(), link.begin());
      link[31] ^= 1;
      return answer->emit_head(answer, head.revision, link.data(), head.complete_from);
    };
  });
}

TEST_CASE("feed: an entry under another revision leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_entry = [](tokenstore_answer* answer, const FeedEntry& entry) {
      Said said(entry);
      ++said.revision;
      return said.emit(answer);
    };
  });
}

TEST_CASE("feed: an entry that is missing leaves nothing valid that was revoked, and is counted") {
  for (const int missing : {0, 1}) {
    revoked_under([missing](HostileBackend& backend) {
      backend.emit_entry = [missing, seen = 0](tokenstore_answer* answer, const FeedEntry& entry) mutable {
        return seen++ == missing ? 1 : Said(entry).emit(answer);
      };
    });
  }
}

TEST_CASE("feed: entries that have changed places leave nothing valid that was revoked, and are counted") {
  for (const bool numbered_anew : {false, true}) {
    revoked_under([numbered_anew](HostileBackend& backend) {
      backend.emit_entry = [numbered_anew, held = std::optional<Said>()](tokenstore_answer* answer,
                                                                         const FeedEntry& entry) mutable {
        Said said(entry);
        if (!held) {
          held = std::move(said);
          return 1;
        }
        if (numbered_anew) std::swap(said.revision, held->revision);
        return said.emit(answer) & held->emit(answer);
      };
    });
  }
}

TEST_CASE("feed: a head that was put back leaves nothing valid that was revoked, and is counted") {
  revoked_under([](HostileBackend& backend) {
    backend.emit_head = [](tokenstore_answer* answer, const FeedHead& head) {
      return answer->emit_head(answer, head.revision - 3, head.link, head.complete_from);
    };
    backend.emit_entry = [](tokenstore_answer*, const FeedEntry&) { return 1; };
  });
}
