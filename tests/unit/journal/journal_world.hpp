/// A journal in a directory of its own, and what a reader was told of it.
#pragma once

#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "journal/log.hpp"
#include "journal/summary.hpp"
#include "support/canary.hpp"
#include "support/temp_directory.hpp"

namespace tokenstore::journal::test {

inline constexpr UnixMillis now = 1'800'000'000'000;

inline std::unique_ptr<seal::LiveSealer> sealer_of(std::uint8_t octet, std::string_view id = "0A") {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(octet);
  auto sealer = seal::Sealer::create(std::move(Keyring::from_bytes(master, id)).value());
  return std::make_unique<seal::LiveSealer>(std::move(sealer).value());
}

inline Bytes16 store_of(std::uint8_t octet) {
  Bytes16 store;
  store.fill(octet);
  return store;
}

/// A token id of its own for each number.
inline std::string id_of(std::uint64_t number) {
  return text::make_id(now, number);
}

/// The revocation of a token that would have lived for another year.
Entry revocation(std::string&& id) = delete;  // the entry is a view into it
inline Entry revocation(const std::string& id) {
  Entry entry;
  entry.deed = Deed::revoked;
  entry.restricts = true;
  entry.at = now;
  entry.revision = 2;
  entry.feed_revision = 1;
  entry.until = now + 365LL * 86'400'000;
  entry.ends_at = now;
  entry.workspace = "default";
  entry.key = id;
  entry.actor = "administrator:root";
  entry.reason = "the laptop was lost";
  return entry;
}

/// Remembers what it is told.
class Told final : public Listener {
 public:
  void entry(std::uint64_t number, const Entry& entry) override {
    if (number != 0) numbers.push_back(number);
    keys.emplace_back(entry.key);
    deeds.push_back(entry.deed);
    if (entry.restricts) least[std::string(entry.key)] = entry.revision;
  }
  void ended(std::string_view, const EndedToken& token) override {
    keys.emplace_back(token.id);
    deeds.push_back(token.deed);
    least[std::string(token.id)] = token.revision;
  }
  bool knows(const std::string& key) const { return least.count(key) != 0; }

  std::vector<std::uint64_t> numbers;
  std::vector<std::string> keys;
  std::vector<Deed> deeds;
  std::map<std::string, RecordRevision> least;
};

struct Opened {
  std::unique_ptr<Log> log;
  Told told;
};

struct World {
  tokenstore::test::TempDirectory directory;
  std::unique_ptr<seal::LiveSealer> sealer = sealer_of(0x11);
  Bytes16 store = store_of(0x22);
  const std::string path = directory.file("store.journal");

  Result<std::unique_ptr<Log>> try_open(Told& told, bool read_only = false) const {
    return Log::open({path, {}, read_only}, *sealer, store, now, told);
  }
  Opened open() const {
    Opened opened;
    auto log = try_open(opened.told);
    if (!log.ok()) FAIL(log.error().message());
    opened.log = std::move(*log);
    return opened;
  }
  /// Appends the revocation of the token of each number.
  static Result<void> revoke(Log& log, Told& told, std::uint64_t from, std::uint64_t to) {
    std::string entries;
    for (std::uint64_t number = from; number <= to; ++number) {
      const std::string id = id_of(number);
      entries += encode_entry(revocation(id));
    }
    return log.append(entries, static_cast<std::uint32_t>(to - from + 1), told);
  }
};

/// Into the file that is there, so that its mode and its identity stay. Never cut to nothing first: some file systems
/// then sync what is written.
inline void write_content(const std::string& path, std::string_view content) {
  if (!std::filesystem::exists(path)) std::ofstream(path, std::ios::binary).flush();
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << content;
  std::filesystem::resize_file(path, content.size());
}

}  // namespace tokenstore::journal::test
