/// A cache table with tokens made by number.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/base62.hpp"
#include "support/seeded_random.hpp"
#include "validate/cache_table.hpp"

namespace tokenstore::test {

using validate::CacheTable;
using validate::EntryKind;
using validate::Found;
using validate::LongTextCopy;
using validate::Slot;

/// Of a token made from a number; every field follows from the number, so that a mixed entry shows.
struct Made {
  explicit Made(std::uint64_t number) : text(102 - 24 + 4, 'x') {
    id.resize(16);
    base::base62_encode(base::uint128{number * 0x9E37'79B9'7F4A'7C15U}, id);
    text += id;
    owner = "owner-" + std::to_string(number);
    expires_at = static_cast<UnixMillis>(1'000'000 + number);
  }
  std::string id, text, owner, metadata;
  std::string scopes = "read write";
  UnixMillis expires_at;
};

struct Read {
  bool hit = false;
  EntryKind kind = EntryKind::none;
  std::string owner, scopes, metadata;
  UnixMillis expires_at = 0;
};

struct TableWorld {
  explicit TableWorld(std::size_t bytes)
      : random(7), fingerprinter(random), budget(bytes), table(bytes, fingerprinter) {}

  bool put(const Made& token, UnixMillis used_at = 0, EntryKind kind = EntryKind::live, std::string_view from = {}) {
    validate::NewEntry entry;
    entry.print = fingerprinter.fingerprint(token.text);
    entry.kind = kind;
    entry.reason = kind == EntryKind::gone ? Reason::unknown : Reason::none;
    entry.id = token.id;
    entry.owner = token.owner;
    entry.scopes = token.scopes;
    entry.metadata = token.metadata;
    entry.expires_at = token.expires_at;
    entry.used_at = used_at;
    entry.used_from = validate::PackedAddress::parse(from);
    return table.try_put(entry, unwritten_since, displaced, [] { return true; }) == validate::Kept::yes;
  }
  bool look(const Made& token, Found& found) const {
    const auto home = table.locate(fingerprinter.place(validate::IdWords::of(token.id.data())));
    return table.find(home, fingerprinter.fingerprint(token.text), found);
  }
  Read read(const Made& token) const {
    Found found;
    Read answer;
    if (!look(token, found)) return answer;
    const auto traits = validate::EntryTraits::unpack(found.slot.load(Slot::traits));
    answer.kind = traits.kind;
    answer.expires_at = static_cast<UnixMillis>(found.slot.load(Slot::expires_at));
    if (found.slot.load(Slot::generation_and_text) >> 32 != 0) {
      LongTextCopy copy;
      if (!table.copy_text(found.slot, copy)) return {};
      answer.owner = copy.text().owner;
      answer.scopes = copy.text().scopes;
      answer.metadata = copy.text().metadata;
    } else if (answer.kind == EntryKind::live) {
      std::array<std::uint64_t, validate::slot_owner_words> owner;
      for (std::size_t word = 0; word < owner.size(); ++word) owner[word] = found.slot.load(Slot::owner + word);
      answer.owner.assign(reinterpret_cast<const char*>(owner.data()), traits.owner_size);
      answer.scopes = table.scope_sets().at(traits.scope_set).text();
    }
    answer.hit = found.unchanged();
    return answer;
  }
  bool at_home(const Made& token) const {
    const auto home = table.locate(fingerprinter.place(validate::IdWords::of(token.id.data())));
    Found found;
    return look(token, found) && found.slot.at == home.slot.at;
  }
  bool has(const Made& token) const { return read(token).hit; }
  /// As a validation would: finds, and books a use.
  bool use(const Made& token, UnixMillis now, std::string_view from = {}) {
    Found found;
    if (!look(token, found) || read(token).kind != EntryKind::live) return false;
    validate::note_use(found.slot, found.slot.use_word(), now, validate::PackedAddress::parse(from));
    return true;
  }

  SeededRandom random;
  validate::Fingerprinter fingerprinter;
  std::size_t budget;
  CacheTable table;
  UnixMillis unwritten_since = 0;
  std::vector<Use> displaced;
};

}  // namespace tokenstore::test
