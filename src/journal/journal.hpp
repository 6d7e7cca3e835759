/// The journal as a store uses it: what was done is appended, and what it restricts is known.
///
/// Thread-safe. What has to be durable shares one sync with whatever waits beside it; everything else waits in memory
/// for the next sync or for upkeep. What others append is read through a place of its own, so that no reader waits long
/// for a sync. A forked child reads the file anew when it first asks. Borrows keys, place, clock and randomness.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/commit_queue.hpp"
#include "base/effective_clock.hpp"
#include "base/fork_guard.hpp"
#include "journal/log.hpp"
#include "journal/restricted.hpp"
#include "journal/walk.hpp"
#include "seal/announcement.hpp"

namespace tokenstore::journal {

/// Entries of one commit, made before it, so that nothing can fail for lack of memory behind it.
class Draft {
 public:
  void add(const Entry& entry);
  bool empty() const noexcept { return kept_ == nullptr; }
  /// Whether the commit may only be acknowledged when they are durable.
  bool waits = false;

 private:
  friend class Journal;
  struct Restriction {
    RecordKind kind;
    std::string key;
    RecordRevision revision;
    UnixMillis until;
  };
  /// Entries that must not be lost, whatever fails: to keep them takes no memory.
  struct Kept {
    std::string entries;
    std::unique_ptr<Kept> next;
  };
  std::unique_ptr<Kept> kept_;
  std::vector<Restriction> restrictions_;
};

/// Who committed what is appended: this process, or somebody whose change was read in storage.
enum class Whose : std::uint8_t { own, others };

/// How far the workspace's change feed is known: everything that it named up to there is in the journal.
struct Learned {
  std::uint64_t revision = 0;
  Bytes32 link{};
  bool ever = false;
};

class Journal {
 public:
  /// A segment grows by this much, and by as much as its summary takes, before there is a new one; unless another
  /// number is asked for.
  static constexpr std::uint64_t segment_growth = std::uint64_t{64} << 20;

  struct Parts {
    Whereabouts where;
    seal::LiveSealer& keys;
    const seal::Place& place;
    base::EffectiveClock& clock;
    RandomSource& random;
    std::uint64_t segment_bytes = segment_growth;
    UnixMillis segment_age = no_end;
  };
  /// Errors as of Log::open().
  static Result<std::unique_ptr<Journal>> open(Parts parts);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// The revision that a stored record has to have at least: 0 if nothing is known, `gone` if it must not be there.
  /// Empty: it cannot be told, because this is a forked child and the file cannot be read; `trouble()` says why.
  std::optional<RecordRevision> least_revision(RecordKind kind, std::string_view key) noexcept;

  /// Reads what others have appended. What they restrict in this workspace is added to `named`; empty: it is too much.
  /// A failure is remembered as `trouble()`, and what was known stays known.
  void read_on(std::optional<std::vector<seal::ChangedRecord>>& named);

  /// After the commit that a draft was made for: what it restricts holds here at once. `not_journaled`: it could not be
  /// written, and is tried again by `write_waiting()`.
  Result<void> append(Draft draft, std::uint64_t feed_revision, Whose whose = Whose::own) noexcept;
  /// Writes what has waited, durable on return.
  Result<void> write_waiting() noexcept;
  /// Begins a new segment if the active one has grown enough, is old enough, or is written under a key that is no
  /// longer the active one, which could then not be retired. Part of upkeep.
  Result<void> tidy() noexcept;

  Learned learned();
  /// The highest revision of the workspace's change feed that the journal has heard of, since it was last healed().
  std::uint64_t highest_feed_revision();
  /// All that it restricts, from the beginning.
  Walk walk() const { return {parts_.where, parts_.keys, parts_.place.store}; }
  /// What storage shows at this revision of the change feed is no older than what the journal restricts: lower
  /// revisions are no sign of an older database from here on, and what others have ended has to be learned anew.
  Result<void> healed(std::uint64_t feed_revision) noexcept;
  /// Whether the commit of a revision of the change feed was this process's own, and so is in the journal or waits.
  bool is_own(std::uint64_t feed_revision) noexcept;
  /// Up to here nobody will ask again.
  void forget_own(std::uint64_t feed_revision) noexcept;
  /// Writes what could not be written when somebody waited for it, and waits since.
  Result<void> settle() noexcept;

  /// The latest failure to read or write, until one succeeds.
  std::optional<Error> trouble() const;
  const std::string& path() const noexcept { return parts_.where.path; }

 private:
  struct Ticket {
    std::string_view entries{};
    bool tidies = false;
    bool written = false;
  };
  struct State;
  class Intake;

  explicit Journal(Parts parts);
  static Result<std::unique_ptr<State>> read(const Parts& parts);
  /// Null in a forked child that cannot read the file.
  State* state() noexcept;
  /// Through the queue, with whatever waits. False: `trouble()` says why not.
  bool write_now(State& state, Ticket& ticket);
  bool is_due(const Position& position) const noexcept;
  void write_group(State& state, std::span<Ticket* const> group) noexcept;
  /// In frames of a bounded size. What was not written is left in `entries`.
  Result<void> write_some(State& state, std::string_view& entries);
  static void keep(State& state, std::unique_ptr<Draft::Kept> kept) noexcept;
  Result<void> begin_segment_if_due(State& state);
  void note(const std::optional<Error>& trouble) noexcept;
  Error not_journaled() const;

  const Parts parts_;
  base::ForkGuard guard_;
  std::atomic<State*> state_{nullptr};
};

/// What a record has to reach that is loaded after this call, of which 0 asks nothing. Asked before and not after: a
/// change is in storage before it is in the journal, and one that comes in between is nobody's fault. Empty: it cannot
/// be told.
inline std::optional<RecordRevision> least_revision(const std::unique_ptr<Journal>& journal, RecordKind kind,
                                                    std::string_view key) noexcept {
  return journal ? journal->least_revision(kind, key) : 0;
}

}  // namespace tokenstore::journal
