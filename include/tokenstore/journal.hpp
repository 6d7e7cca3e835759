/// The journal as an audit trail (docs/audit.md): reading it, verifying it, and accepting what is left of a damaged
/// one.
///
/// No store need be open; stores may append meanwhile, and are not kept waiting. Nothing is told that the keys do not
/// vouch for. Thread use: any thread, nothing is shared between calls. A keyring is the store's; keys that are retired
/// or gone vouch for nothing, so a segment that was written under one cannot be read.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"
#include "tokenstore/environment.hpp"
#include "tokenstore/keyring.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore {

/// What was done. The numbers are those of the C ABI and of the file, and are never reused.
enum class JournalDeed : std::uint8_t {
  issued = 1,
  revoked = 2,
  expired = 3,    ///< at once or, `ends_at` says, later
  removed = 4,    ///< deleted by somebody
  purged = 5,     ///< deleted because it had ended long ago
  suspended = 6,  ///< an owner
  resumed = 7,
  owner_set = 8,
  all_revoked = 9,  ///< of an owner
  policy_set = 10,
  workspace_made = 11,
  resealed = 12,
  learned = 13,  ///< another host's change, as storage shows it
  healed = 14,   ///< put forward again from the journal
  key_added = 15,
  key_activated = 16,
  key_retired = 17,
  key_removed = 18,
  accepted = 19,  ///< what is left of a damaged journal, by an administrator
};
/// The field's name, as in `all_revoked`. Static text; never empty.
std::string_view journal_deed_name(JournalDeed deed) noexcept;

/// One change. The texts are as they were given, and last as long as the call that tells it.
struct JournalEntry {
  /// Counts from 1 on over all segments. 0: carried over into the first segment that is left, from those before it; of
  /// a token then its id, its end and what ended it are all that is known.
  std::uint64_t number = 0;
  std::uint64_t segment = 0;
  UnixMillis at = 0;  ///< 0: not known
  JournalDeed deed = JournalDeed::issued;
  RecordKind kind = RecordKind::token;  ///< of the record that was changed
  bool gone = false;                    ///< the record was deleted; else `revision` is its since, and 0 is none
  RecordRevision revision = 0;
  UnixMillis ends_at = never;  ///< of a token: its end since; 0: it had ended, and when is not known
  std::string_view workspace{};
  std::string_view token_id{};  ///< of a token
  std::string_view key_id{};    ///< of a key that was added, activated, retired or removed
  std::string_view owner{};     ///< whom it concerns, if known
  std::string_view actor{};     ///< "host", "user:NAME" or "administrator:NAME"; empty: not known
  std::string_view reason{};
};

/// Which entries are told; what is empty leaves nothing out.
struct JournalQuery {
  std::optional<UnixMillis> from{};  ///< done then or later
  std::optional<UnixMillis> to{};    ///< done before then
  std::string workspace{};
  std::string owner{};
  std::string token_id{};
  std::string actor{};  ///< as it is written, or the name in it alone
  std::optional<JournalDeed> deed{};
  /// The `next` of an earlier reading: what comes after it is told. Empty: from the beginning.
  std::string after{};
};

/// Something about a journal that is not as it was written.
struct JournalProblem {
  enum class Kind : std::uint8_t {
    damaged = 1,  ///< altered, cut short, or not what belongs there
    missing = 2,  ///< a segment is gone, though not the earliest
    no_key = 3,   ///< written under a key that is retired or not in the keyring: it cannot be told
  };
  Kind kind = Kind::damaged;
  bool accepted = false;  ///< an administrator has looked at it, and a later entry says so
  std::string file;
  std::uint64_t segment = 0;
  std::uint64_t octet = 0;  ///< where in the file; what is before it is good
  std::uint64_t entry = 0;  ///< the number of the last good entry before it
  std::string what;         ///< one line
};

struct JournalReport {
  Bytes16 store{};                  ///< StoreRecord::id; zeroes if nothing could be read
  std::uint64_t segments = 0;       ///< that are good, to the end
  std::uint64_t first_segment = 0;  ///< more than 1: those before it are no longer there, which is no damage
  std::uint64_t entries = 0;        ///< that are good
  std::uint64_t last_entry = 0;     ///< the number of the last of them
  /// Octets of a write at the end that did not come to its own: it was acknowledged to nobody, and the next writer cuts
  /// it off. No damage.
  std::uint64_t torn = 0;
  std::vector<JournalProblem> problems;

  /// Whether anything is damaged or missing that nobody has accepted.
  bool damaged() const noexcept;
  /// Whether anything could not be read for lack of a key.
  bool lacks_key() const noexcept;
};

struct JournalReading {
  std::uint64_t told = 0;  ///< entries
  std::string next;        ///< JournalQuery::after of the next reading, also in a later process
  bool stopped = false;    ///< the function has said so
  /// Of what was read: a damaged journal is told as far as it is good, and on from the next segment.
  JournalReport report;
};

/// Tells the entries of all segments in order. Entries that were written last may be left for the next reading, if
/// somebody is writing. `take` returns false to stop; it may take its time, and what it throws is passed on.
/// `wrong_key` if nothing can be read with the keys, `cannot_open` if a file is missing or not to be taken,
/// `newer_schema`, `unavailable`, `invalid_argument`.
Result<JournalReading> read_journal(const std::string& path, Keyring keyring, const JournalQuery& query,
                                    const std::function<bool(const JournalEntry&)>& take);

/// Reads all of it: every frame, the chain from one to the next and from segment to segment, numbers without a gap, and
/// that all are one store's. What is wrong is in the report, and no error. Of a journal that was cut off exactly behind
/// an entry nothing shows in it: compare `last_entry` with what was known before. Errors as above.
Result<JournalReport> verify_journal(const std::string& path, Keyring keyring);

struct JournalAcceptance {
  JournalReport found;    ///< how it was before
  std::string kept_file;  ///< where the file that was in use is now; empty: it was missing
  std::uint64_t segment = 0;
};

/// After somebody has looked: a new segment goes on from what can be verified, and begins with all that it restricts;
/// an entry in it says what was accepted, and by whom. The file that was in use is kept beside it under its number, and
/// nothing is deleted. Interrupted anywhere, the journal is as it was or as it shall be. Stores go on with it. What was
/// journaled behind the damage alone is lost here; what the database still shows of it is learned from there.
/// `permission_denied` for a user, `refused` if nothing is damaged or nothing can be verified. `now`: 0 stands for the
/// system's clock.
Result<JournalAcceptance> accept_journal(const std::string& path, Keyring keyring, const Actor& actor,
                                         UnixMillis now = 0);

}  // namespace tokenstore
