#include "journal/trail.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include "journal/fork_pause.hpp"
#include "journal/new_segment.hpp"
#include "journal/octets.hpp"

namespace tokenstore::journal {

namespace {

/// How long the last frame is waited for, before it is left to the next reading.
constexpr std::chrono::milliseconds longest_wait_for_writer{500};
constexpr std::chrono::microseconds look_pause{200};
/// More segments that are missing in one place are not named one by one.
constexpr std::uint64_t most_named = 1000;

/// "it WHY", of an error that says "the journal PATH WHY".
std::string without_path(const Error& error, const std::string& path) {
  const std::string whole = journal_error(error.status(), path, {}).message();
  return error.message().starts_with(whole) ? "it " + error.message().substr(whole.size()) : error.message();
}

/// Hands on what it is told while nothing is locked, and keeps what it is told under the lock until then.
class Handing final : public Listener {
 public:
  Handing(Audience& audience, const Footing& from, Summaries summaries)
      : audience_(audience), from_(from), summaries_(summaries) {}

  /// What is told from now on is read from this place, which moves on behind each frame.
  void begin(const Position& at, bool tells_summary) {
    at_ = &at;
    tells_summary_ = tells_summary;
  }
  void keep() { keeping_ = true; }
  void hand_on_kept() {
    keeping_ = false;
    const Position* live = std::exchange(at_, nullptr);
    for (const Kept& one : kept_) {
      at_ = &one.at;
      std::string_view octets = one.encoded;
      if (octets.empty()) {
        EndedToken token = one.token;
        token.id = one.id;
        ended(one.workspace, token);
      } else if (const auto entry = take_entry(octets)) {
        this->entry(one.number, *entry);
      }
    }
    kept_.clear();
    at_ = live;
  }
  /// From now on only what was accepted is of interest.
  void fall_silent() { silent_ = true; }

  void entry(std::uint64_t number, const Entry& entry) override {
    if (keeping_) return kept_.push_back({*at_, number, encode_entry(entry), {}, {}, {}});
    if (number != 0 && entry.deed == Deed::accepted) note_accepted(entry.record);
    if (has_stopped() || !is_due(number != 0)) return;
    if (number != 0) ++entries_;
    give([&] { return audience_.entry(at_->segment, number, entry); });
  }
  void ended(std::string_view workspace, const EndedToken& token) override {
    if (keeping_) return kept_.push_back({*at_, 0, {}, std::string(workspace), std::string(token.id), token});
    if (has_stopped() || !is_due(false)) return;
    give([&] { return audience_.ended(at_->segment, workspace, token); });
  }
  bool has_enough() const override { return stopped_ && !silent_; }

  bool has_stopped() const noexcept { return stopped_; }
  const Footing& next() const noexcept { return next_; }
  std::uint64_t entries() const noexcept { return entries_; }
  bool is_accepted(const JournalProblem& problem) const {
    return accepted_.count({problem.segment, problem.octet}) != 0;
  }

 private:
  struct Kept {
    Position at;
    std::uint64_t number;
    std::string encoded;  ///< empty: an ended token
    std::string workspace;
    std::string id;
    EndedToken token;
  };

  /// Counts within the frame, and leaves out what an earlier reading has told.
  bool is_due(bool numbered) {
    if (at_->segment != frame_.segment || at_->offset != frame_.offset) {
      frame_ = {at_->segment, at_->offset, at_->number, 0, tells_summary_, at_->mac};
    }
    ++frame_.told;
    const bool told = frame_.segment == from_.segment && frame_.offset == from_.offset && frame_.told <= from_.told;
    return !told && (numbered || tells_summary_ || summaries_ == Summaries::all);
  }
  template <typename Tell>
  void give(const Tell& tell) {
    if (tell()) return;
    stopped_ = true;
    next_ = frame_;
  }
  void note_accepted(std::string_view record) {
    OctetReader octets(record);
    while (!octets.empty()) {
      const std::uint64_t segment = octets.count();
      accepted_.insert({segment, octets.count()});
    }
  }

  Audience& audience_;
  const Footing from_;
  const Summaries summaries_;
  const Position* at_ = nullptr;
  bool tells_summary_ = false;
  bool keeping_ = false;
  bool silent_ = false;
  bool stopped_ = false;
  std::uint64_t entries_ = 0;
  Footing frame_{};
  Footing next_{};
  std::vector<Kept> kept_;
  std::set<Place> accepted_;
};

class Tracer {
 public:
  Tracer(const std::string& path, seal::LiveSealer& keys, const Footing& from, Audience& audience, Summaries summaries,
         Lock lock)
      : path_(path), keys_(keys), from_(from), lock_(lock), handing_(audience, from, summaries) {
    trail_.end.segment = from.segment;
    trail_.end.offset = from.offset;
    trail_.end.number = from.number;
    trail_.end.mac = from.mac;
    tells_summary_ = from.tells_summary;
  }

  Result<Trail> run() {
    if (auto found = find(); !found.ok()) return found.error();
    for (const std::uint64_t number : kept_) {
      if (number < from_.segment) continue;
      if (auto done = visit_kept(number); !done.ok()) return done.error();
      if (is_over()) return finish();
    }
    if (auto done = visit_active(); !done.ok()) return done.error();
    return finish();
  }

 private:
  /// What is there, and whose it is. What takes the active one's place from now on is for the next time.
  Result<void> find() {
    if (path_.empty() || path_.find('\0') != std::string::npos) {
      return Error(Status::invalid_argument, "the path of the journal is empty or holds a NUL; name a file");
    }
    auto active = SafeFile::open(reading_of(path_));
    if (active.ok()) {
      active_ = std::make_unique<SafeFile>(std::move(*active));
    } else if (active.status() != Status::not_found) {
      return active.error();
    }
    auto kept = kept_segments(path_);
    if (!kept.ok()) return kept.error();
    kept_ = std::move(*kept);
    if (!active_ && kept_.empty()) return Error(Status::cannot_open, active.error().message());
    // The active one has a number too if its place was being taken, or has been since it was opened.
    for (std::size_t i = kept_.size(); active_ && i-- > 0 && kept_[i] >= from_.segment;) {
      const auto facts = facts_of(path_of_segment(path_, kept_[i]));
      if (!facts.ok() || facts->identity != active_->identity()) continue;
      kept_.resize(i);
      break;
    }
    return find_store();
  }

  /// The latest that can be read says whose journal it is, for there a store goes on.
  Result<void> find_store() {
    std::optional<Error> no_key;
    const auto look = [&](const std::string& path, const SafeFile& file) -> Result<bool> {
      auto beginning = read_beginning(keys_, path, file);
      if (beginning.ok() && *beginning) trail_.report.store = (*beginning)->head.store;
      if (beginning.status() == Status::wrong_key) {
        no_key = beginning.error();
        return false;
      }
      return beginning.ok() ? Result<bool>(beginning->has_value()) : beginning.error();
    };
    if (active_) {
      const auto found = look(path_, *active_);
      if (!found.ok()) return found.error();
      if (*found) return {};
    }
    for (auto number = kept_.rbegin(); number != kept_.rend(); ++number) {
      const std::string path = path_of_segment(path_, *number);
      const auto file = SafeFile::open(reading_of(path));
      if (file.status() == Status::not_found) continue;
      if (!file.ok()) return file.error();
      const auto found = look(path, *file);
      if (!found.ok()) return found.error();
      if (*found) return {};
    }
    return no_key ? Result<void>(*no_key) : Result<void>();
  }

  Result<void> visit_kept(std::uint64_t number) {
    const std::string path = path_of_segment(path_, number);
    const auto file = SafeFile::open(reading_of(path));
    if (file.status() == Status::not_found) return {};  // taken away just now
    if (!file.ok()) return file.error();
    auto at = enter(path, *file, number);
    if (!at.ok()) return at.error();
    if (!*at) return {};
    return count_if_good(read(path, *file, **at, [&](const std::string& tail) { judge(path, **at, tail); }));
  }

  Result<void> visit_active() {
    const std::uint64_t last = kept_.empty() ? 0 : kept_.back();
    trail_.active = last + 1;
    if (!active_) {
      note(JournalProblem::Kind::missing, path_, {last + 1, 0}, "the segment that was in use is gone; put it back");
      return {};
    }
    auto beginning = read_beginning(keys_, path_, *active_);
    if (beginning.ok() && *beginning && (*beginning)->head.segment > last) {
      trail_.active = (*beginning)->head.segment;
    }
    auto at = enter(path_, *active_, trail_.active);
    if (!at.ok()) return at.error();
    if (!*at) return {};
    if (lock_ == Lock::taken_when_needed) return count_if_good(read_live(**at));
    return count_if_good(
        read(path_, *active_, **at, [&](const std::string& tail) { judge_end(*active_, **at, tail); }));
  }
  Result<void> count_if_good(Result<void> done) {
    if (done.ok() && !broken_ && !handing_.has_stopped()) ++trail_.report.segments;
    return done;
  }

  /// Compares how a segment begins with how the one before has ended. Empty: nothing in it can be told.
  Result<std::optional<Position>> enter(const std::string& path, const SafeFile& file, std::uint64_t number) {
    std::optional<Position> nothing;
    auto beginning = read_beginning(keys_, path, file);
    if (!beginning.ok() && beginning.status() != Status::wrong_key) return beginning.error();
    const bool first = trail_.report.first_segment == 0;
    if (first) trail_.report.first_segment = number;
    const std::uint64_t before = first ? from_.segment : latest_;
    latest_ = number;
    if (before != 0 && number > before + 1) note_missing(before + 1, number - 1);
    const bool unbroken = std::exchange(unbroken_, false);
    if (!beginning.ok()) {
      note(JournalProblem::Kind::no_key, path, {number, 0}, without_path(beginning.error(), path));
      return nothing;
    }
    const auto refuse = [&](std::string_view what) {
      note(JournalProblem::Kind::damaged, path, {number, 0}, what);
      return nothing;
    };
    if (!*beginning) return refuse("it does not begin as a journal");
    if ((*beginning)->head.store != trail_.report.store) return refuse("it belongs to another store");
    if ((*beginning)->head.segment != number) {
      return refuse(fmt::format("it holds segment {}, not segment {}", (*beginning)->head.segment, number));
    }
    if (number < from_.segment) return refuse("it is older than what was read last: an earlier state was put back");
    Position at = (*beginning)->behind;
    if (first && number == from_.segment) return resume(path, file, at);
    const Position& end = trail_.end;
    const bool goes_on = (*beginning)->previous == end.mac && at.number == end.number;
    if ((!first || from_.segment != 0) && unbroken && !goes_on) {
      note(JournalProblem::Kind::damaged, path_of_segment(path_, end.segment), {end.segment, end.offset},
           fmt::format("it ends here, and segment {} goes on behind entry {} of another end", number, at.number - 1));
    }
    begin_telling(at, first && from_.segment == 0);
    return std::optional(at);
  }

  /// At the place where an earlier reading has ended.
  Result<std::optional<Position>> resume(const std::string& path, const SafeFile& file, Position at) {
    Bytes32 mac{};
    std::array<char, frame_mac_size> octets{};
    if (from_.offset >= at.offset) {
      const auto got = file.read(path, from_.offset - octets.size(), octets);
      if (!got.ok()) return got.error();
      if (*got == octets.size()) OctetReader({octets.data(), octets.size()}).octets(mac);
    }
    if (mac != from_.mac) {
      note(JournalProblem::Kind::damaged, path, {at.segment, at.offset},
           "it is not what it was when it was read last, or was cut short since");
      return std::optional<Position>();
    }
    at.offset = from_.offset;
    at.mac = from_.mac;
    at.number = from_.number;
    begin_telling(at, from_.tells_summary);
    return std::optional(at);
  }

  void begin_telling(const Position& at, bool tells_summary) {
    trail_.end = at;
    tells_summary_ = tells_summary;
  }

  /// `judge` is called if something that is no frame stands behind what is good.
  template <typename Judge>
  Result<void> read(const std::string& path, const SafeFile& file, Position& at, const Judge& judge) {
    handing_.begin(at, tells_summary_);
    std::string tail;
    Result<bool> done = read_frames(path, file, at, LastFrame::taken, tail);
    if (done.ok() && handing_.has_enough() && !is_over()) done = read_frames(path, file, at, LastFrame::taken, tail);
    if (!done.ok()) return done.error();
    if (!broken_ && !*done) judge(tail);
    unbroken_ = !broken_;
    return {};
  }

  /// As read_on(), but what is damaged is noted; then `broken_`.
  Result<bool> read_frames(const std::string& path, const SafeFile& file, Position& at, LastFrame last,
                           std::string& tail) {
    broken_ = false;
    std::string damage;
    const Reader reader{keys_, trail_.report.store, path, &damage};
    auto done = read_on(reader, file, at, handing_, tail, last);
    trail_.end = at;
    if (done.ok()) return done;
    if (done.status() == Status::journal_damaged) {
      note(JournalProblem::Kind::damaged, path, {at.segment, at.offset}, damage);
    } else if (done.status() == Status::wrong_key) {
      note(JournalProblem::Kind::no_key, path, {at.segment, at.offset}, without_path(done.error(), path));
    } else {
      return done;
    }
    broken_ = true;
    return false;
  }

  /// Of the segment in use, whose last frame may be one that its writer still takes back.
  Result<void> read_live(Position& at) {
    handing_.begin(at, tells_summary_);
    const auto give_up_at = std::chrono::steady_clock::now() + longest_wait_for_writer;
    std::optional<std::uint64_t> first_size;
    for (;;) {
      const auto size = active_->size(path_);
      if (!size.ok()) return size.error();
      std::string tail;
      const auto done = read_frames(path_, *active_, at, LastFrame::left, tail);
      if (!done.ok()) return done.error();
      if (broken_ || (handing_.has_stopped() && is_over())) return {};
      // What is there since is left for the next time.
      if (first_size && at.offset >= *first_size) return {};
      if (!first_size) first_size = *size;
      const auto judged = read_last(at);
      if (!judged.ok()) return judged.error();
      handing_.hand_on_kept();
      if (*judged || std::chrono::steady_clock::now() >= give_up_at) return {};
      std::this_thread::sleep_for(look_pause);
    }
  }

  /// While nobody writes: what is told meanwhile is kept, so that nobody waits for who is told. False: somebody does.
  Result<bool> read_last(Position& at) {
    const ForkPause::Call call(fork_pause_);
    auto file = SafeFile::open(reading_of(path_));
    const bool replaced = file.ok() ? file->identity() != active_->identity() : file.status() == Status::not_found;
    if (!file.ok() && !replaced) return file.error();
    if (!replaced) {
      const auto nobody_writes = file->share(path_);
      if (!nobody_writes.ok()) return nobody_writes.error();
      if (!*nobody_writes) return false;
    }
    handing_.keep();
    std::string tail;
    const auto done = read_frames(path_, *active_, at, LastFrame::taken, tail);
    if (!done.ok()) return done.error();
    if (!broken_ && !*done) judge_end(*active_, at, tail);
    unbroken_ = !broken_;
    return true;
  }

  /// What stands behind the last good frame of a segment that nobody writes to any more.
  void judge(const std::string& path, const Position& at, const std::string& tail) {
    broken_ = true;
    note(JournalProblem::Kind::damaged, path, {at.segment, at.offset},
         judge_tail(keys_.now(), tail, at.offset) == Tail::torn ? "it was cut off within an entry"
                                                                : "what stands there is not what was written");
  }

  /// The same of the one in use.
  void judge_end(const SafeFile& file, const Position& at, const std::string& tail) {
    if (judge_tail(keys_.now(), tail, at.offset) == Tail::damaged) return judge(path_, at, tail);
    const auto size = file.size(path_);
    trail_.report.torn = size.ok() && *size > at.offset ? *size - at.offset : tail.size();
  }

  /// One by one, so that one that was accepted says nothing of another.
  void note_missing(std::uint64_t from, std::uint64_t to) {
    unbroken_ = false;
    for (std::uint64_t number = from; number <= to; ++number) {
      const bool all = number - from == most_named;
      note(JournalProblem::Kind::missing, path_of_segment(path_, number), {number, 0},
           all ? fmt::format("segments {} to {} are gone; put them back", number, to)
               : fmt::format("segment {} is gone; put it back", number));
      if (all) return;
    }
  }

  /// Behind the last good place.
  void note(JournalProblem::Kind kind, const std::string& file, const Place& place, std::string_view what) {
    JournalProblem problem;
    problem.kind = kind;
    problem.file = file;
    problem.segment = place.first;
    problem.octet = place.second;
    problem.entry = trail_.end.number - 1;
    problem.what = what;
    problems_.push_back({std::move(problem), handing_.has_stopped()});
  }

  /// Whoever has stopped is told whether what was found until then was accepted later.
  bool is_over() {
    if (!handing_.has_stopped()) return false;
    handing_.fall_silent();
    return std::all_of(problems_.begin(), problems_.end(),
                       [&](const Found& found) { return found.afterwards || handing_.is_accepted(found.problem); });
  }

  Trail finish() {
    JournalReport& report = trail_.report;
    for (Found& found : problems_) {
      if (found.afterwards) continue;
      found.problem.accepted = handing_.is_accepted(found.problem);
      report.problems.push_back(std::move(found.problem));
    }
    trail_.stopped = handing_.has_stopped();
    report.entries = handing_.entries();
    report.last_entry = trail_.end.segment == 0 ? 0 : trail_.end.number - 1;
    trail_.next =
        trail_.stopped ? handing_.next() : Footing{trail_.end.segment, trail_.end.offset, trail_.end.number, 0,
                                                   tells_summary_,     trail_.end.mac};
    return std::move(trail_);
  }

  struct Found {
    JournalProblem problem;
    bool afterwards;  ///< somebody had stopped before
  };

  const std::string& path_;
  seal::LiveSealer& keys_;
  const Footing from_;
  const Lock lock_;
  ForkPause fork_pause_;
  Handing handing_;
  std::unique_ptr<SafeFile> active_;
  std::vector<std::uint64_t> kept_;
  std::uint64_t latest_ = 0;    ///< the segment that was visited last
  bool unbroken_ = true;        ///< it was good to its end
  bool broken_ = false;         ///< what is being read was damaged
  bool tells_summary_ = false;  ///< of the segment that is being read
  std::vector<Found> problems_;
  Trail trail_;
};

}  // namespace

std::string encode_places(const std::vector<JournalProblem>& problems) {
  std::string octets;
  OctetWriter writer(octets);
  for (const JournalProblem& problem : problems) {
    writer.count(problem.segment);
    writer.count(problem.octet);
  }
  return octets;
}

Whereabouts reading_of(const std::string& path) {
  return {path, path, true};
}

Result<Trail> trail_of(const std::string& path, seal::LiveSealer& keys, const Footing& from, Audience& audience,
                       Summaries summaries, Lock lock) {
  return Tracer(path, keys, from, audience, summaries, lock).run();
}

}  // namespace tokenstore::journal
