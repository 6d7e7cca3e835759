/// One change in the journal: what was done to which record, by whom, when and why.
///
/// Views into what it was read from, or into what the writer holds. Every function is pure and thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/backend.hpp"
#include "tokenstore/journal.hpp"

namespace tokenstore::journal {

using Deed = JournalDeed;
inline std::string_view deed_name(Deed deed) noexcept {
  return journal_deed_name(deed);
}

/// The revision that nothing stored reaches: the record is gone for good.
inline constexpr RecordRevision gone = std::numeric_limits<RecordRevision>::max();
inline constexpr UnixMillis no_end = std::numeric_limits<UnixMillis>::max();

struct Entry {
  Deed deed = Deed::issued;
  RecordKind kind = RecordKind::token;
  /// A stored record of a lower revision than `revision` is an older state, which must not come back.
  bool restricts = false;
  UnixMillis at = 0;
  RecordRevision revision = 0;  ///< of the record since; `gone` if it was removed
  /// The workspace's, of the commit; 0: it was not announced. Of `learned`: up to where the change feed is known. Of
  /// what ends a healing: where the feed was.
  std::uint64_t feed_revision = 0;
  UnixMillis until = no_end;    ///< when the latest of its earlier states would have ended by itself
  UnixMillis ends_at = no_end;  ///< of a token: its end since
  std::string_view workspace{};
  std::string_view key{};    ///< token id, owner name or id of a key; of what concerns no record: empty
  std::string_view owner{};  ///< of a token, if known
  std::string_view actor{};
  std::string_view reason{};
  /// Of what restricts and can no longer be used: encode_record(). Of what is learned up to a revision: its link. Of
  /// what is accepted: encode_places().
  std::string_view record{};
};

/// The line behind a healing: storage shows again what the journal restricts.
inline bool is_healing(const Entry& entry) noexcept {
  return entry.deed == Deed::healed && !entry.restricts;
}
/// Up to where the change feed is known.
inline bool is_learning(const Entry& entry) noexcept {
  return entry.deed == Deed::learned && !entry.restricts;
}
/// The highest revision of the change feed that an entry tells of. Those two lines have no revision of their own: where
/// they are carried over, they have that of the lines which are left out.
inline std::uint64_t highest_in(const Entry& entry) noexcept {
  const bool carries = is_healing(entry) || is_learning(entry);
  return carries && entry.revision > entry.feed_revision ? entry.revision : entry.feed_revision;
}

std::string encode_entry(const Entry& entry);
/// Of every entry in a row of them: it is known last.
void set_feed_revision(std::string& encoded, std::uint64_t revision) noexcept;
/// As much of a row of entries as `most` octets hold, but at least one, and how many that are.
struct SomeEntries {
  std::string_view octets{};
  std::uint32_t count = 0;
};
SomeEntries first_entries(std::string_view encoded, std::size_t most) noexcept;
/// Takes an entry off the front of `octets`. Empty if there is none.
std::optional<Entry> take_entry(std::string_view& octets);

/// A sealed record as octets. What is not sealed (the last use) is left out.
std::string encode_record(const Record& record);
/// Empty if it is none.
std::optional<Record> decode_record(std::string_view octets);

}  // namespace tokenstore::journal
