// A new segment that goes on from what is left of a damaged journal.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/new_file.hpp"
#include "base/text_rules.hpp"
#include "journal/fork_pause.hpp"
#include "journal/new_segment.hpp"
#include "journal/summary.hpp"
#include "journal/trail.hpp"

namespace tokenstore {
namespace journal {
namespace {

/// So that the entry which accepts them can hold their places.
constexpr std::size_t most_problems = 4000;
constexpr std::size_t longest_reason = 1000;

Result<std::string> label_of(const Actor& actor) {
  if (actor.kind() == Actor::Kind::host) return std::string("host");
  if (actor.kind() == Actor::Kind::user) {
    return Error(Status::permission_denied, "a user may not accept a damaged journal; ask an administrator");
  }
  if (auto good = base::check_text("the administrator's name", actor.name(), 1, owner_max); !good.ok()) {
    return good.error();
  }
  return "administrator:" + actor.name();
}

/// Everything that can be verified, of older segments too: the summary of one may be what was damaged.
class Gathering final : public Audience {
 public:
  explicit Gathering(Summary& summary) : summary_(summary) {}
  bool entry(std::uint64_t, std::uint64_t number, const Entry& entry) override {
    summary_.entry(number, entry);
    return true;
  }
  bool ended(std::uint64_t, std::string_view workspace, const EndedToken& token) override {
    summary_.ended(workspace, token);
    return true;
  }

 private:
  Summary& summary_;
};

class Acceptance {
 public:
  Acceptance(const std::string& path, seal::LiveSealer& keys, std::string actor, UnixMillis now)
      : where_{path, path, false}, keys_(keys), actor_(std::move(actor)), now_(now), summary_(now) {}

  Result<JournalAcceptance> run() {
    const ForkPause::Call call(fork_pause_);
    if (auto done = look(); !done.ok()) return done.error();
    if (auto why = objection()) return *why;
    if (auto done = settle_active(); !done.ok()) return done.error();
    const std::string aside = where_.path + ".new";
    ::unlink(aside.c_str());
    auto fresh = SafeFile::create(where_, aside);
    if (!fresh.ok()) return fresh.error();
    auto done = write(*fresh);
    if (done.ok()) done = put_in_place(aside);
    if (!done.ok()) {
      ::unlink(aside.c_str());
      return done.error();
    }
    JournalAcceptance acceptance;
    acceptance.segment = trail_.active + 1;
    if (active_) acceptance.kept_file = path_of_segment(where_.path, trail_.active);
    acceptance.found = std::move(trail_.report);
    return acceptance;
  }

 private:
  Result<void> look() {
    auto active = SafeFile::open_locked(where_);
    if (active.ok()) {
      active_ = std::make_unique<SafeFile>(std::move(*active));
    } else if (active.status() != Status::not_found) {
      return active.error();
    }
    Gathering gathering(summary_);
    auto trail = trail_of(where_.path, keys_, {}, gathering, Summaries::all, Lock::held);
    if (!trail.ok()) return trail.error();
    trail_ = std::move(*trail);
    return {};
  }

  std::optional<Error> objection() const {
    const JournalReport& report = trail_.report;
    for (const JournalProblem& problem : report.problems) {
      // What can be read once its key is back is not given up.
      if (problem.kind == JournalProblem::Kind::no_key && problem.segment == trail_.active) {
        return journal_error(Status::wrong_key, where_.path, "cannot be read: " + problem.what);
      }
    }
    if (!report.damaged()) {
      return journal_error(Status::refused, where_.path, "is not damaged: there is nothing to accept");
    }
    if (trail_.end.segment == 0) {
      return journal_error(Status::refused, where_.path,
                           "holds nothing that can be verified; move it away, and a new one takes over what the "
                           "database shows");
    }
    if (report.problems.size() > most_problems) {
      return journal_error(Status::refused, where_.path,
                           "is damaged in too many segments; move the earliest of them away");
    }
    return std::nullopt;
  }

  /// As whoever writes next would leave it: what was written to its end is durable, and nothing else stands there.
  Result<void> settle_active() {
    if (!active_) return {};
    if (trail_.report.torn != 0) return active_->cut(where_.path, trail_.end.offset);
    return active_->sync(where_.path);
  }

  Result<void> write(SafeFile& file) {
    NewSegment segment(file, where_.path, keys_.now(), trail_.end.mac, trail_.end.number);
    if (auto done = segment.begin(trail_.report.store, trail_.active + 1, now_); !done.ok()) return done;
    auto done = summary_.write([&](FrameType type, std::uint32_t count, std::string_view payload) {
      return segment.write(type, count, payload);
    });
    if (!done.ok()) return done;
    std::vector<JournalProblem> accepted = trail_.report.problems;
    std::erase_if(accepted, [](const JournalProblem& problem) { return problem.kind == JournalProblem::Kind::no_key; });
    const std::string places = encode_places(accepted);
    const std::string reason = reason_of(accepted);
    Entry entry;
    entry.deed = Deed::accepted;
    entry.kind = RecordKind::store;
    entry.at = now_;
    entry.actor = actor_;
    entry.reason = reason;
    entry.record = places;
    return segment.write(FrameType::entries, 1, encode_entry(entry));
  }

  static std::string reason_of(const std::vector<JournalProblem>& problems) {
    std::string reason;
    std::size_t named = 0;
    for (const JournalProblem& problem : problems) {
      if (problem.accepted) continue;
      std::string one = fmt::format("segment {}, octet {}, behind entry {}: {}", problem.segment, problem.octet,
                                    problem.entry, problem.what);
      if (!reason.empty() && reason.size() + one.size() > longest_reason) return reason + "; and more";
      reason += (named++ == 0 ? "" : "; ") + one;
    }
    return reason;
  }

  Result<void> put_in_place(const std::string& aside) {
    if (active_) return take_the_place(aside, where_.path, trail_.active, active_->identity());
    int number = base::put_in_place(aside, where_.path);
    if (number == EEXIST) {
      return journal_error(Status::conflict, where_.path, "was begun anew by somebody meanwhile; look at it again");
    }
    if (number == 0) number = base::sync_directory_of(where_.path);
    if (number != 0) return failed_call(where_.path, "created", number);
    ::unlink(aside.c_str());
    return {};
  }

  const Whereabouts where_;
  seal::LiveSealer& keys_;
  const std::string actor_;
  const UnixMillis now_;
  ForkPause fork_pause_;
  Summary summary_;
  std::unique_ptr<SafeFile> active_;  ///< locked; null: it is missing
  Trail trail_;
};

}  // namespace
}  // namespace journal

Result<JournalAcceptance> accept_journal(const std::string& path, Keyring keyring, const Actor& actor, UnixMillis now) {
  auto label = journal::label_of(actor);
  if (!label.ok()) return label.error();
  if (path.empty() || path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the journal is empty or holds a NUL; name a file");
  }
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  seal::LiveSealer keys(*std::move(sealer));
  if (now == 0) now = system_clock()->wall();
  return journal::Acceptance(path, keys, *std::move(label), now).run();
}

}  // namespace tokenstore
