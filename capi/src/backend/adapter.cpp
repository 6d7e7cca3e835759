#include "backend/adapter.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "backend/records.hpp"
#include "base/mutation.hpp"
#include "guard.hpp"
#include "structs.hpp"
#include "values.hpp"

namespace tokenstore::capi {
namespace {

constexpr std::uint32_t known_capabilities = TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_FORK_SAFE |
                                             TOKENSTORE_BACKEND_SOLE_WRITER | TOKENSTORE_BACKEND_READ_ONLY;
constexpr std::size_t name_max = 64;
/// A longer feed is answered as "everything": cheaper than reading it, and a bound on what a backend can make us keep.
constexpr std::uint64_t feed_max = 1'000'000;
constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();

/// Is the status a backend's to give for a call that failed and changed nothing?
bool is_failure(std::int32_t status) noexcept {
  switch (status) {
    case TOKENSTORE_INVALID_ARGUMENT:
    case TOKENSTORE_UNAVAILABLE:
    case TOKENSTORE_READ_ONLY:
    case TOKENSTORE_NOT_A_STORE:
    case TOKENSTORE_NEWER_SCHEMA:
    case TOKENSTORE_STORAGE_FULL:
    case TOKENSTORE_OUT_OF_MEMORY:
    case TOKENSTORE_CANNOT_OPEN:
    case TOKENSTORE_UNSUPPORTED:
    case TOKENSTORE_INTERNAL:
      return true;
    default:
      return false;
  }
}

Error opened_for_reading() {
  return Error(Status::read_only, "the storage is open for reading only; nothing was changed");
}

/// A batch as the backend sees it: pointers, so that a step may grow in later versions.
class Steps {
 public:
  explicit Steps(std::span<const Mutation> batch) {
    steps_.reserve(batch.size());
    records_.reserve(batch.size());
    pointers_.reserve(batch.size());
    for (const Mutation& one : batch) {
      tokenstore_mutation& step = steps_.emplace_back();
      step.struct_size = sizeof step;
      step.key = one.key.data();
      step.key_size = one.key.size();
      step.expected = one.expected;
      step.step = step_of(one.action);
      step.kind = static_cast<std::int32_t>(one.kind);
      if (one.action == Mutation::Action::put) point(step, one.record);
      pointers_.push_back(&step);
    }
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  const tokenstore_mutation* const* data() const noexcept { return pointers_.data(); }
  std::size_t size() const noexcept { return pointers_.size(); }

 private:
  using View = std::variant<tokenstore_token_record, tokenstore_owner_record, tokenstore_workspace_record,
                            tokenstore_store_record>;

  static std::int32_t step_of(Mutation::Action action) noexcept {
    switch (action) {
      case Mutation::Action::put:
        return TOKENSTORE_STEP_PUT;
      case Mutation::Action::remove:
        return TOKENSTORE_STEP_REMOVE;
      case Mutation::Action::check:
        break;
    }
    return TOKENSTORE_STEP_CHECK;
  }
  void point(tokenstore_mutation& step, const Record& record) {
    const View& shown = records_.emplace_back(std::visit([](const auto& one) -> View { return view(one); }, record));
    step.token = std::get_if<tokenstore_token_record>(&shown);
    step.owner = std::get_if<tokenstore_owner_record>(&shown);
    step.workspace = std::get_if<tokenstore_workspace_record>(&shown);
    step.store = std::get_if<tokenstore_store_record>(&shown);
  }

  std::vector<tokenstore_mutation> steps_;
  std::vector<View> records_;
  std::vector<const tokenstore_mutation*> pointers_;
};

/// An announcement as the backend sees it. The C struct is the first base, so that `link` finds its way back.
struct ShownAnnouncement : tokenstore_announcement {
  explicit ShownAnnouncement(const Announcement& given) noexcept : tokenstore_announcement{}, announcement(given) {
    struct_size = sizeof(tokenstore_announcement);
    entry = given.entry().data();
    entry_size = given.entry().size();
    link = [](const tokenstore_announcement* shown, uint64_t revision, const uint8_t* previous, uint8_t* out_link) {
      if (shown == nullptr || previous == nullptr || out_link == nullptr) return;
      Bytes32 before;
      std::copy_n(previous, before.size(), before.begin());
      const Bytes32 linked = static_cast<const ShownAnnouncement*>(shown)->announcement.link(revision, before);
      std::copy(linked.begin(), linked.end(), out_link);
    };
  }
  const Announcement& announcement;
};

void close_quietly(const tokenstore_backend& entries) noexcept {
  try {
    entries.close(entries.context);
  } catch (...) {  // NOLINT(bugprone-empty-catch): nobody is left to tell
  }
}

template <typename Record>
std::optional<Record> first_of(std::vector<Record>& records) {
  if (records.empty()) return std::nullopt;
  return std::move(records.front());
}

}  // namespace

std::shared_ptr<AdaptedBackend> AdaptedBackend::adopt(const tokenstore_backend* backend) {
  const auto entries = TOKENSTORE_READ(tokenstore_backend, BACKEND, backend, "the backend");
  std::unique_ptr<AdaptedBackend> made;
  try {
    made.reset(new AdaptedBackend(entries));
  } catch (const std::bad_alloc&) {
    if (entries.close != nullptr) close_quietly(entries);
    throw;
  }
  std::shared_ptr<AdaptedBackend> adapted = std::move(made);
  adapted->check();
  return adapted;
}

AdaptedBackend::AdaptedBackend(const tokenstore_backend& entries) : entries_(entries) {
  signal_.struct_size = sizeof(tokenstore_signal);
  signal_.changed = [](tokenstore_signal* signal) {
    if (signal != nullptr) static_cast<Signal*>(signal)->counter.fetch_add(1, std::memory_order_acq_rel);
  };
  signal_.trust_until = [](tokenstore_signal* signal, int64_t monotonic) {
    if (signal != nullptr) static_cast<Signal*>(signal)->trusted_until.store(monotonic, std::memory_order_release);
  };
  signal_.trusted_until = has(TOKENSTORE_BACKEND_SOLE_WRITER) ? for_ever : not_at_all;
}

AdaptedBackend::~AdaptedBackend() {
  close();
}

void AdaptedBackend::check() const {
  if (entries_.contract != TOKENSTORE_BACKEND_CONTRACT) {
    fail(Status::unsupported,
         "the backend was written for another contract than this version of the library knows: set contract to "
         "TOKENSTORE_BACKEND_CONTRACT, or use a later version of the library");
  }
  if ((entries_.capabilities & ~known_capabilities) != 0) {
    fail(Status::unsupported, "the backend has a capability that this version of the library does not know");
  }
  if (has(TOKENSTORE_BACKEND_FORK_SAFE) && !has(TOKENSTORE_BACKEND_THREAD_SAFE)) {
    refuse("a backend that is FORK_SAFE has to be THREAD_SAFE, too");
  }
  if (has(TOKENSTORE_BACKEND_SOLE_WRITER) && entries_.pulse != nullptr) {
    refuse("a backend that is SOLE_WRITER needs no pulse: leave one of them out");
  }
  const auto need_entry = [](bool there, std::string_view entry) {
    if (!there) refuse("the backend has no " + std::string(entry) + ", which is required");
  };
  need_entry(entries_.load_token != nullptr, "load_token");
  need_entry(entries_.load_owner != nullptr, "load_owner");
  need_entry(entries_.load_workspace != nullptr, "load_workspace");
  need_entry(entries_.load_store != nullptr, "load_store");
  need_entry(entries_.list_tokens != nullptr, "list_tokens");
  need_entry(entries_.list_owners != nullptr, "list_owners");
  need_entry(entries_.list_workspaces != nullptr, "list_workspaces");
  need_entry(entries_.count_tokens != nullptr, "count_tokens");
  need_entry(entries_.count_live != nullptr, "count_live");
  need_entry(entries_.list_ended != nullptr, "list_ended");
  need_entry(entries_.changes != nullptr, "changes");
  need_entry(read_only() || entries_.commit != nullptr, "commit");
  need_entry(read_only() || entries_.record_uses != nullptr, "record_uses");
}

Result<void> AdaptedBackend::open() {
  const std::string_view given = text(entries_.name, entries_.name_size, "the name of the backend");
  const bool printable = std::all_of(given.begin(), given.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (given.empty() || given.size() > name_max || !printable) {
    refuse("the name of the backend is not 1 to 64 printable characters without a space");
  }
  name_ = given;
  if (entries_.open == nullptr) return {};
  Answered answered(Answers::nothing);
  return ask("open", answered,
             [&](tokenstore_answer* answer) { return entries_.open(entries_.context, &signal_, answer); });
}

void AdaptedBackend::close() noexcept {
  if (std::exchange(closed_, true) || entries_.close == nullptr || left_behind()) return;
  const Calls::Call here(calls_);
  close_quietly(entries_);
}

Error AdaptedBackend::fault(std::string_view entry, std::string_view what) const {
  return Error(Status::unavailable, "the storage backend '" + name_ + "' broke its contract in " + std::string(entry) +
                                        (what.empty() ? "" : ": ") + std::string(what) + "; it must be repaired");
}

Error AdaptedBackend::failure(std::string_view entry, std::int32_t status, const Answered& answered) const {
  if (!is_failure(status)) return fault(entry, "it returned a status that is not a backend's to give");
  if (!answered.message.empty()) return Error(static_cast<Status>(status), answered.message);
  return Error(static_cast<Status>(status),
               "the storage backend '" + name_ + "' failed in " + std::string(entry) + "; ask whoever runs it");
}

template <typename Run>
Result<AdaptedBackend::Called> AdaptedBackend::call(Answered& answered, const Run& run) {
  if (left_behind()) {
    return Error(Status::unavailable,
                 "the process was forked after the store was opened; open a new store in the child");
  }
  if (inside()) return Error(Status::unavailable, "the storage backend called the store that was calling it");
  std::unique_lock lock(one_at_a_time_, std::defer_lock);
  if (!has(TOKENSTORE_BACKEND_THREAD_SAFE)) lock.lock();
  const Calls::Call here(calls_, answered);
  Called called;
  try {
    called.status = run(here.answer());
    called.ending = Ending::returned;
  } catch (...) {
    called.ending = Ending::threw;
  }
  return called;
}

template <typename Run>
Result<void> AdaptedBackend::ask(std::string_view entry, Answered& answered, const Run& run) {
  const Result<Called> called = call(answered, run);
  if (!called.ok()) return called.error();
  if (called->ending == Ending::threw) return fault(entry, "an exception left it");
  if (answered.no_memory) throw std::bad_alloc();
  if (answered.at_fault) return fault(entry, answered.fault);
  if (called->status != TOKENSTORE_OK) return failure(entry, called->status, answered);
  if (answered.failed) return fault(entry, "it called fail and returned OK");
  return {};
}

Result<std::optional<TokenRecord>> AdaptedBackend::load_token(std::string_view workspace, std::string_view id) {
  Answered answered(Answers::token);
  const auto asked = ask("load_token", answered, [&](tokenstore_answer* answer) {
    return entries_.load_token(entries_.context, workspace.data(), workspace.size(), id.data(), id.size(), answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.tokens);
}

Result<std::optional<OwnerRecord>> AdaptedBackend::load_owner(std::string_view workspace, std::string_view owner) {
  Answered answered(Answers::owner);
  const auto asked = ask("load_owner", answered, [&](tokenstore_answer* answer) {
    return entries_.load_owner(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(),
                               answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.owners);
}

Result<std::optional<WorkspaceRecord>> AdaptedBackend::load_workspace(std::string_view workspace) {
  Answered answered(Answers::workspace);
  const auto asked = ask("load_workspace", answered, [&](tokenstore_answer* answer) {
    return entries_.load_workspace(entries_.context, workspace.data(), workspace.size(), answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.workspaces);
}

Result<std::optional<StoreRecord>> AdaptedBackend::load_store() {
  Answered answered(Answers::store);
  const auto asked = ask("load_store", answered,
                         [&](tokenstore_answer* answer) { return entries_.load_store(entries_.context, answer); });
  if (!asked.ok()) return asked.error();
  return first_of(answered.stores);
}

Result<TokenList> AdaptedBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  tokenstore_token_query part{};
  part.struct_size = sizeof part;
  part.owner = query.owner.data();
  part.owner_size = query.owner.size();
  part.text = query.text.data();
  part.text_size = query.text.size();
  part.before_id = query.before_id.data();
  part.before_id_size = query.before_id.size();
  part.limit = query.limit;
  part.scan_limit = query.scan_limit;
  part.now = query.now;
  part.state = state_filter(query.state);
  Answered answered(Answers::token | Answers::next, query.limit);
  const auto asked = ask("list_tokens", answered, [&](tokenstore_answer* answer) {
    return entries_.list_tokens(entries_.context, workspace.data(), workspace.size(), &part, answer);
  });
  if (!asked.ok()) return asked.error();
  return TokenList{std::move(answered.tokens), std::move(answered.next).value_or(std::string())};
}

Result<OwnerList> AdaptedBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  Answered answered(Answers::owner | Answers::number, limit);
  const auto asked = ask("list_owners", answered, [&](tokenstore_answer* answer) {
    return entries_.list_owners(entries_.context, workspace.data(), workspace.size(), after.data(), after.size(), limit,
                                answer);
  });
  if (!asked.ok()) return asked.error();
  return OwnerList{std::move(answered.owners), answered.number.value_or(0) != 0};
}

Result<std::vector<WorkspaceRecord>> AdaptedBackend::list_workspaces(std::string_view after, std::size_t limit) {
  Answered answered(Answers::workspace, limit);
  const auto asked = ask("list_workspaces", answered, [&](tokenstore_answer* answer) {
    return entries_.list_workspaces(entries_.context, after.data(), after.size(), limit, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.workspaces);
}

Result<TokenCounts> AdaptedBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  Answered answered(Answers::counts);
  const auto asked = ask("count_tokens", answered, [&](tokenstore_answer* answer) {
    return entries_.count_tokens(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(), now,
                                 answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.counts) return fault("count_tokens", "it emitted no counts");
  return *answered.counts;
}

Result<std::uint64_t> AdaptedBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                 std::uint64_t at_most) {
  Answered answered(Answers::number);
  const auto asked = ask("count_live", answered, [&](tokenstore_answer* answer) {
    return entries_.count_live(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(), now,
                               at_most, answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.number) return fault("count_live", "it emitted no number");
  if (*answered.number > at_most) return fault("count_live", "it counted further than it was asked to");
  return *answered.number;
}

Result<std::vector<EndedToken>> AdaptedBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                           std::size_t limit) {
  Answered answered(Answers::ended, limit);
  const auto asked = ask("list_ended", answered, [&](tokenstore_answer* answer) {
    return entries_.list_ended(entries_.context, workspace.data(), workspace.size(), ended_before, limit, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.ended);
}

CommitResult AdaptedBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                    const Announcement* announcement) {
  if (read_only()) return {CommitOutcome::failed, 0, opened_for_reading()};
  if (!base::is_well_formed(workspace, batch)) return {CommitOutcome::failed, 0, base::misfit()};
  const Steps steps(batch);
  std::optional<ShownAnnouncement> shown;
  if (announcement != nullptr) shown.emplace(*announcement);
  Answered answered(Answers::number);
  const Result<Called> called = call(answered, [&](tokenstore_answer* answer) {
    return entries_.commit(entries_.context, workspace.data(), workspace.size(), steps.data(), steps.size(),
                           shown ? &*shown : nullptr, answer);
  });
  if (!called.ok()) return {CommitOutcome::failed, 0, called.error()};
  const bool returned = called->ending == Ending::returned;
  if (returned && called->status == TOKENSTORE_CONFLICT) return {CommitOutcome::conflict, 0, {}};

  // Raised before anybody can know of the outcome, and also if nobody knows it.
  if (announcement != nullptr) signal_.counter.fetch_add(1, std::memory_order_acq_rel);

  if (returned && is_failure(called->status)) {
    return {CommitOutcome::failed, 0, failure("commit", called->status, answered)};
  }
  const bool sound = returned && !answered.at_fault && !answered.no_memory && !answered.failed;
  if (sound && called->status == TOKENSTORE_OK && answered.number) {
    return {CommitOutcome::committed, *answered.number, {}};
  }
  // Whatever the backend meant by it, it may have happened.
  std::string message = "the storage backend '" + name_ + "' failed in commit; read to find out whether it happened";
  if (returned && called->status == TOKENSTORE_UNKNOWN && !answered.message.empty()) message = answered.message;
  return {CommitOutcome::unknown, 0, Error(Status::unknown, std::move(message))};
}

Result<Changes> AdaptedBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  Answered answered(Answers::change, feed_max);
  const auto asked = ask("changes", answered, [&](tokenstore_answer* answer) {
    return entries_.changes(entries_.context, workspace.data(), workspace.size(), after_revision, answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.head) return fault("changes", "it emitted no head");
  Changes changes = *std::move(answered.head);
  // A feed that went back cannot say what it lost.
  changes.everything = answered.everything || changes.revision < after_revision;
  if (!changes.everything) changes.entries = std::move(answered.entries);
  return changes;
}

Pulse AdaptedBackend::pulse() noexcept {
  if (entries_.pulse != nullptr && !left_behind()) {
    const Calls::Call here(calls_);
    try {
      const tokenstore_pulse pulse = entries_.pulse(entries_.context);
      return {pulse.counter, pulse.trusted_until};
    } catch (...) {
      return {0, not_at_all};
    }
  }
  const std::uint64_t counter = signal_.counter.load(std::memory_order_acquire);
  // A child has a counter that nobody raises.
  if (fork_.forked() || entries_.pulse != nullptr) return {counter, not_at_all};
  return {counter, signal_.trusted_until.load(std::memory_order_acquire)};
}

Result<void> AdaptedBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  if (read_only()) return opened_for_reading();
  std::vector<tokenstore_use> shown;
  std::vector<const tokenstore_use*> pointers;
  shown.reserve(uses.size());
  pointers.reserve(uses.size());
  for (const Use& use : uses) {
    shown.push_back({sizeof(tokenstore_use), use.id.data(), use.id.size(), use.used_from.data(), use.used_from.size(),
                     use.used_at});
    pointers.push_back(&shown.back());
  }
  Answered answered(Answers::nothing);
  return ask("record_uses", answered, [&](tokenstore_answer* answer) {
    return entries_.record_uses(entries_.context, workspace.data(), workspace.size(), pointers.data(), pointers.size(),
                                answer);
  });
}

Result<bool> AdaptedBackend::maintain(std::chrono::milliseconds budget) {
  if (entries_.maintain == nullptr) return false;
  Answered answered(Answers::number);
  const auto asked = ask("maintain", answered, [&](tokenstore_answer* answer) {
    return entries_.maintain(entries_.context, budget.count(), answer);
  });
  if (!asked.ok()) return asked.error();
  return answered.number.value_or(0) != 0;
}

Result<std::vector<std::string>> AdaptedBackend::check_integrity(std::size_t most, const Progress& progress) {
  if (entries_.check_integrity == nullptr) return std::vector<std::string>{};
  Answered answered(Answers::problem, most);
  answered.report = &progress;
  const auto asked = ask("check_integrity", answered, [&](tokenstore_answer* answer) {
    return entries_.check_integrity(entries_.context, most, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.problems);
}

}  // namespace tokenstore::capi
