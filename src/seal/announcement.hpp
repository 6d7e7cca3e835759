/// The entries of the change feed: which records a commit changed, under whose key, linked to what came before.
///
/// An entry is the id of a key, then for each record its kind (one octet), the length of its key (two, big-endian) and
/// the key. Kind 0 stands for everything. Immutable once it is committed; a reader is a pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "seal/sealer.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::seal {

struct ChangedRecord {
  RecordKind kind;
  std::string key;
};

/// Borrows sealer and place until it is committed.
class SealedAnnouncement final : public Announcement {
 public:
  SealedAnnouncement(const Sealer& sealer, const Place& place);

  void name(RecordKind kind, std::string_view key);
  /// Every record that a step puts or removes.
  void name_changes(std::span<const Mutation> batch);

  std::string_view entry() const noexcept override { return entry_; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override;

 private:
  void add(std::uint8_t kind, std::string_view key);

  const Sealer& sealer_;
  const Place& place_;
  std::string entry_;
  bool everything_ = false;
};

/// What an entry names. Empty if it names everything, or is not one.
std::optional<std::vector<ChangedRecord>> changes_named(std::string_view entry);

/// The id of the key that linked an entry; empty if it is not one.
std::string_view key_of_entry(std::string_view entry) noexcept;

/// Whether an entry stands where it was put: `previous` is the link of the revision before it.
bool is_linked(const Sealer& sealer, const Place& place, const Changes::Entry& entry, const Bytes32& previous) noexcept;
/// The same by a key that is retired since: the entry cannot be believed, and is as that key left it.
bool is_linked_by_retired(const Sealer& sealer, const Place& place, const Changes::Entry& entry,
                          const Bytes32& previous) noexcept;

/// Beyond every revision that can be: asks a feed only where it stands.
inline constexpr std::uint64_t far_ahead = std::uint64_t{1} << 62U;

/// What a reader learns who has read on from a revision and its link.
struct FeedReading {
  /// Each entry is linked to the one before, up to the head. What a key linked that is retired since is not believed,
  /// and no sign that somebody changed it.
  bool fits = true;
  /// Empty: it names everything, or does not fit.
  std::optional<std::vector<ChangedRecord>> named;
};
FeedReading read_on(const Sealer& sealer, const Place& place, std::uint64_t revision, Bytes32 link,
                    const Changes& changes);

}  // namespace tokenstore::seal
