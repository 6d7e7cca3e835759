#include "journal/journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <set>
#include <utility>

namespace tokenstore::journal {

namespace {

/// More than this in one frame would keep others waiting.
constexpr std::size_t frame_aim = std::size_t{1} << 20;
/// What waits in memory at most before somebody who adds to it writes it out: a host may never do upkeep.
constexpr std::size_t waiting_max = std::size_t{1} << 20;
/// While nothing can be written, lines that nobody waits for are left out beyond this.
constexpr std::size_t kept_max = std::size_t{8} << 20;
/// More than this without upkeep are forgotten: what is not known to be one's own is only looked at once more.
constexpr std::size_t own_max = 100'000;
/// More records than this are not named one by one.
constexpr std::size_t named_max = 10'000;

/// For a writer: the reader's place tells the same.
class Nobody final : public Listener {
 public:
  void entry(std::uint64_t, const Entry&) override {}
  void ended(std::string_view, const EndedToken&) override {}
};

}  // namespace

void Draft::add(const Entry& entry) {
  if (!kept_) kept_ = std::make_unique<Kept>();
  kept_->entries += encode_entry(entry);
  if (entry.restricts) restrictions_.push_back({entry.kind, std::string(entry.key), entry.revision, entry.until});
}

/// Of one process.
struct Journal::State {
  explicit State(RandomSource& random) : restricted(random) {}

  Restricted restricted;
  std::mutex reading;
  std::unique_ptr<Log> reader;  ///< guarded by `reading`
  Learned learned;              ///< guarded by `reading`
  std::uint64_t highest = 0;    ///< revision of the feed; guarded by `reading`

  base::CommitQueue<Ticket> queue;
  std::unique_ptr<Log> writer;  ///< the leader's of the queue

  mutable std::mutex waiting;
  std::string entries;                ///< that wait; guarded by `waiting`
  std::set<std::uint64_t> own;        ///< revisions of the feed; guarded by `waiting`
  std::unique_ptr<Draft::Kept> owed;  ///< could not be written; guarded by `waiting`
  std::optional<Error> trouble;       ///< guarded by `waiting`
};

/// Takes in what is read.
class Journal::Intake final : public Listener {
 public:
  Intake(State& state, const std::string& workspace, UnixMillis now,
         std::optional<std::vector<seal::ChangedRecord>>& named)
      : state_(state), workspace_(workspace), now_(now), named_(named) {}

  void entry(std::uint64_t, const Entry& entry) override {
    if (entry.workspace != workspace_) return;
    if (is_healing(entry)) {
      state_.learned = {};
      state_.highest = highest_in(entry);
      return;
    }
    state_.highest = std::max(state_.highest, highest_in(entry));
    if (entry.restricts) return take(entry.kind, entry.key, entry.revision, entry.until);
    if (entry.deed != Deed::learned) return;
    state_.learned.revision = entry.feed_revision;
    state_.learned.ever = true;
    if (entry.record.size() == state_.learned.link.size()) {
      std::copy(entry.record.begin(), entry.record.end(), state_.learned.link.begin());
    }
  }
  void ended(std::string_view workspace, const EndedToken& token) override {
    if (workspace == workspace_) take(RecordKind::token, token.id, token.revision, token.until);
  }

 private:
  void take(RecordKind kind, std::string_view key, RecordRevision revision, UnixMillis until) {
    state_.restricted.note(kind, key, revision, until, now_);
    if (!named_) return;
    if (named_->size() >= named_max) return named_.reset();
    named_->push_back({kind, std::string(key)});
  }

  State& state_;
  const std::string& workspace_;
  const UnixMillis now_;
  std::optional<std::vector<seal::ChangedRecord>>& named_;
};

Journal::Journal(Parts parts) : parts_(std::move(parts)) {}

Journal::~Journal() {
  // In a child that never used it, the parent's is left alone: its locks may be held.
  if (!guard_.forked()) delete state_.load();
}

Result<std::unique_ptr<Journal::State>> Journal::read(const Parts& parts) {
  auto state = std::make_unique<State>(parts.random);
  std::optional<std::vector<seal::ChangedRecord>> nothing;
  Intake intake(*state, parts.place.workspace, parts.clock.now(), nothing);
  auto log = Log::open(parts.where, parts.keys, parts.place.store, parts.clock.now(), intake);
  if (!log.ok()) return log.error();
  state->writer = (*log)->twin();
  state->reader = std::move(*log);
  return state;
}

Result<std::unique_ptr<Journal>> Journal::open(Parts parts) {
  std::unique_ptr<Journal> journal(new Journal(std::move(parts)));
  auto state = read(journal->parts_);
  if (!state.ok()) return state.error();
  journal->state_.store(state->release(), std::memory_order_release);
  return journal;
}

Journal::State* Journal::state() noexcept {
  if (!guard_.forked()) return state_.load(std::memory_order_acquire);
  const bool adopted = guard_.adopt([this] {
    try {
      auto fresh = read(parts_);
      if (!fresh.ok()) return false;
      // The inherited one is not freed: its locks may be held.
      state_.store(fresh->release(), std::memory_order_release);
      return true;
    } catch (...) {
      return false;  // no memory now, perhaps at the next call
    }
  });
  return adopted ? state_.load(std::memory_order_acquire) : nullptr;
}

std::optional<RecordRevision> Journal::least_revision(RecordKind kind, std::string_view key) noexcept {
  State* known = state();
  if (known == nullptr) return std::nullopt;
  return known->restricted.least_revision(kind, key);
}

void Journal::read_on(std::optional<std::vector<seal::ChangedRecord>>& named) {
  State* known = state();
  if (known == nullptr) return named.reset();
  std::optional<Error> failure;
  {
    const std::lock_guard lock(known->reading);
    Intake intake(*known, parts_.place.workspace, parts_.clock.now(), named);
    if (auto done = known->reader->read_on(intake); !done.ok()) failure = done.error();
  }
  if (failure) note(failure);
}

Learned Journal::learned() {
  State* known = state();
  if (known == nullptr) return {};
  const std::lock_guard lock(known->reading);
  return known->learned;
}

std::uint64_t Journal::highest_feed_revision() {
  State* known = state();
  if (known == nullptr) return 0;
  const std::lock_guard lock(known->reading);
  return known->highest;
}

Result<void> Journal::healed(std::uint64_t feed_revision) noexcept {
  try {
    Entry entry;
    entry.deed = Deed::healed;
    entry.kind = RecordKind::workspace;
    entry.at = parts_.clock.now();
    entry.workspace = parts_.place.workspace;
    Draft draft;
    draft.waits = true;
    draft.add(entry);
    return append(std::move(draft), feed_revision, Whose::others);
  } catch (...) {
    return Error(Status::out_of_memory, "out of memory");
  }
}

Result<void> Journal::append(Draft draft, std::uint64_t feed_revision, Whose whose) noexcept {
  if (draft.empty()) return {};
  try {
    State* known = state();
    if (known == nullptr) return not_journaled();
    set_feed_revision(draft.kept_->entries, feed_revision);
    const UnixMillis now = parts_.clock.now();
    // First, so that it holds here even if it cannot be written.
    for (const Draft::Restriction& one : draft.restrictions_) {
      known->restricted.note(one.kind, one.key, one.revision, one.until, now);
    }
    if (feed_revision != 0 && whose == Whose::own) {
      const std::lock_guard lock(known->waiting);
      if (known->own.size() >= own_max) known->own.clear();
      known->own.insert(feed_revision);
    }
    if (draft.waits) {
      Ticket ticket{draft.kept_->entries};
      if (write_now(*known, ticket)) return {};
      const Error said = not_journaled();
      keep(*known, std::move(draft.kept_));
      return said;
    }
    // What others did is looked at once; it must not be lost here.
    if (whose == Whose::others) {
      keep(*known, std::move(draft.kept_));
      return {};
    }
    bool much = false;
    {
      const std::lock_guard lock(known->waiting);
      if (!known->trouble || known->entries.size() < kept_max) known->entries += draft.kept_->entries;
      much = known->entries.size() > waiting_max && !known->trouble;
    }
    // It need not be durable for this call to succeed.
    if (much) static_cast<void>(write_waiting().ok());
    return {};
  } catch (...) {
    if (!draft.waits && whose == Whose::own) return {};
    // Written in upkeep, or by whoever repeats it.
    if (State* known = state(); known != nullptr && draft.kept_) keep(*known, std::move(draft.kept_));
    return Error(Status::not_journaled, "out of memory");
  }
}

Result<void> Journal::write_waiting() noexcept {
  // Of a child that has not used it nothing waits.
  if (guard_.forked()) return {};
  State* known = state();
  if (known == nullptr) return Error(Status::unavailable, "not readable");
  try {
    {
      const std::lock_guard lock(known->waiting);
      if (known->entries.empty() && !known->owed) return {};
    }
    Ticket ticket;
    if (write_now(*known, ticket)) return {};
    const auto why = trouble();
    return why ? *why : journal_error(Status::unavailable, path(), "cannot be written");
  } catch (...) {
    return Error(Status::out_of_memory, "out of memory");
  }
}

bool Journal::is_due(const Position& position) const noexcept {
  if (position.key_id != parts_.keys.now().active_key_id()) return true;
  const std::uint64_t grown = position.offset - position.summary_end;
  if (grown > parts_.segment_bytes && grown - parts_.segment_bytes > position.summary_end) return true;
  // A clock that was ahead when the segment was made only makes it last longer.
  const UnixMillis now = parts_.clock.now();
  return grown != 0 && now > position.made_at && now - position.made_at >= parts_.segment_age;
}

Result<void> Journal::tidy() noexcept {
  if (guard_.forked()) return {};
  State* known = state();
  if (known == nullptr || parts_.where.read_only) return {};
  try {
    {
      const std::lock_guard lock(known->reading);
      if (!is_due(known->reader->position())) return {};
    }
    Ticket ticket;
    ticket.tidies = true;
    if (write_now(*known, ticket)) return {};
    const auto why = trouble();
    return why ? *why : journal_error(Status::unavailable, path(), "cannot be written");
  } catch (...) {
    return Error(Status::out_of_memory, "out of memory");
  }
}

bool Journal::write_now(State& state, Ticket& ticket) {
  state.queue.submit(ticket, [&](std::span<Ticket* const> group) { write_group(state, group); });
  return ticket.written;
}

Result<void> Journal::write_some(State& state, std::string_view& entries) {
  Nobody nobody;
  while (!entries.empty()) {
    const SomeEntries some = first_entries(entries, frame_aim);
    if (auto done = state.writer->append(some.octets, some.count, nobody); !done.ok()) return done;
    entries.remove_prefix(some.octets.size());
  }
  return {};
}

void Journal::write_group(State& state, std::span<Ticket* const> group) noexcept {
  // What has waited goes first, in the order in which it was done, and shares the sync.
  std::string waited;
  std::unique_ptr<Draft::Kept> owed;
  {
    const std::lock_guard lock(state.waiting);
    waited.swap(state.entries);
    owed.swap(state.owed);
  }
  try {
    std::string all = waited;
    for (const Draft::Kept* one = owed.get(); one != nullptr; one = one->next.get()) all += one->entries;
    bool tidies = false;
    for (const Ticket* ticket : group) {
      all += ticket->entries;
      tidies = tidies || ticket->tidies;
    }
    std::string_view rest = all;
    Result<void> done = write_some(state, rest);
    if (done.ok()) {
      waited.clear();
      owed.reset();
      for (Ticket* ticket : group) ticket->written = !ticket->tidies;
      if (tidies) done = begin_segment_if_due(state);
      for (Ticket* ticket : group) ticket->written = ticket->written || done.ok();
    }
    note(done.ok() ? std::nullopt : std::optional(done.error()));
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory; the tickets say that they were not written
  }
  if (owed) keep(state, std::move(owed));
  const std::lock_guard lock(state.waiting);
  if (state.entries.empty()) state.entries.swap(waited);
}

void Journal::keep(State& state, std::unique_ptr<Draft::Kept> kept) noexcept {
  const std::lock_guard lock(state.waiting);
  try {
    if (state.owed && !kept->next) {
      state.owed->entries += kept->entries;
      return;
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): as a part of its own, which takes no memory
  }
  std::unique_ptr<Draft::Kept>* end = &state.owed;
  while (*end) end = &(*end)->next;
  *end = std::move(kept);
}

Result<void> Journal::begin_segment_if_due(State& state) {
  Nobody nobody;
  // Another process may have done it since.
  if (auto done = state.writer->read_on(nobody); !done.ok()) return done;
  if (!is_due(state.writer->position())) return {};
  return state.writer->begin_segment(parts_.clock.now(), nobody);
}

bool Journal::is_own(std::uint64_t feed_revision) noexcept {
  State* known = state();
  if (known == nullptr) return false;
  const std::lock_guard lock(known->waiting);
  return known->own.count(feed_revision) != 0;
}

void Journal::forget_own(std::uint64_t feed_revision) noexcept {
  State* known = state();
  if (known == nullptr) return;
  const std::lock_guard lock(known->waiting);
  known->own.erase(known->own.begin(), known->own.upper_bound(feed_revision));
}

Result<void> Journal::settle() noexcept {
  State* known = state();
  if (known == nullptr) return Error(Status::unavailable, "not readable");
  {
    const std::lock_guard lock(known->waiting);
    if (!known->owed) return {};
  }
  return write_waiting();
}

void Journal::note(const std::optional<Error>& trouble) noexcept {
  State* known = state();
  if (known == nullptr) return;
  try {
    const std::lock_guard lock(known->waiting);
    known->trouble = trouble;
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the line either
  }
}

std::optional<Error> Journal::trouble() const {
  const State* known = guard_.forked() ? nullptr : state_.load(std::memory_order_acquire);
  if (known == nullptr) return journal_error(Status::unavailable, path(), "cannot be read in this forked process");
  const std::lock_guard lock(known->waiting);
  return known->trouble;
}

Error Journal::not_journaled() const {
  const auto why = trouble();
  return {Status::not_journaled,
          fmt::format("the change holds, but is not in the journal: {}",
                      why ? why->message() : "no memory is left; free some, and it is written in upkeep")};
}

}  // namespace tokenstore::journal
