#include "seal/live_sealer.hpp"

#include <algorithm>
#include <new>

namespace tokenstore::seal {

LiveSealer::LiveSealer(std::unique_ptr<Sealer> first, std::shared_ptr<KeySource> source,
                       std::optional<KeySource::Mark> mark)
    : source_(std::move(source)),
      has_marks_(mark.has_value()),
      current_(nullptr),
      clock_(system_clock()),
      turn_(nullptr) {
  auto published = std::make_unique<Published>(Published{std::move(first), nullptr});
  auto turn = std::make_unique<Turn>();
  turn->mark = mark;
  if (source_) turn->not_before = clock_->coarse_monotonic() + source_->pause().count();
  current_.store(published.release());
  turn_.store(turn.release());
}

LiveSealer::~LiveSealer() {
  // In a child that never used it the lock may be held by nobody who is there.
  if (!fork_guard_.forked()) delete turn_.load();
  for (const Published* each = current_.load(); each != nullptr;) {
    const Published* const before = each->before;
    delete each;
    each = before;
  }
}

void LiveSealer::watch(std::function<Result<bool>(const Sealer&)> fits, std::function<void()> taken) {
  fits_ = std::move(fits);
  on_taken_ = std::move(taken);
}

LiveSealer::Turn& LiveSealer::turn() {
  if (fork_guard_.forked()) {
    fork_guard_.adopt([&] {
      // The parent's is left alone: a thread of the parent's may have held its lock.
      auto fresh = std::make_unique<Turn>();
      fresh->asked = fresh->compared = begun_.load();
      turn_.store(fresh.release(), std::memory_order_release);
      return true;
    });
  }
  return *turn_.load(std::memory_order_acquire);
}

bool LiveSealer::look(const Sealer& known, Ask ask) noexcept {
  if (!source_) return false;
  // Whoever asks the host's function may keep the turn for long, and nobody waits for that who would not ask it.
  if (ask == Ask::by_mark && !has_marks_) return &now() != &known;
  try {
    const std::uint64_t begun = begun_.load(std::memory_order_acquire);
    Turn& own = turn();
    // Also where others are in use by now: whoever has published them may not have forgotten everything yet.
    const std::lock_guard lock(own.mutex);
    const std::uint64_t latest = ask == Ask::outright ? own.asked : own.compared;
    if (&now() == &known && latest <= begun) static_cast<void>(look_in_turn(own, ask).ok());
  } catch (...) {
    refused_.fetch_add(1, std::memory_order_relaxed);  // no memory now; the next look tries again
  }
  return &now() != &known;
}

Result<bool> LiveSealer::reload() {
  if (!source_) {
    return Error(Status::unsupported, "this store was opened with keys that nothing can change; open it with a source");
  }
  Turn& own = turn();
  const std::lock_guard lock(own.mutex);
  const Sealer& known = now();
  if (auto looked = look_in_turn(own, Ask::outright); !looked.ok()) return looked.error();
  return &now() != &known;
}

Result<void> LiveSealer::look_in_turn(Turn& turn, Ask ask) {
  const std::uint64_t this_look = begun_.fetch_add(1, std::memory_order_acq_rel) + 1;
  // Read before the keys are: a change in between is found by the next look.
  const std::optional<KeySource::Mark> mark = source_->mark();
  const bool pause_is_over = clock_->coarse_monotonic() >= turn.not_before;
  const bool worth_it = mark ? mark != turn.mark || (turn.failed && pause_is_over)  //
                             : ask == Ask::on_notice && pause_is_over;
  turn.compared = this_look;
  if (!worth_it && ask != Ask::outright) return {};
  turn.not_before = clock_->coarse_monotonic() + source_->pause().count();
  auto keyring = source_->keyring();
  auto taken = keyring.ok() ? take(*std::move(keyring)) : Result<void>(keyring.error());
  turn.failed = !taken.ok();
  if (turn.failed) refused_.fetch_add(1, std::memory_order_relaxed);
  turn.mark = mark;
  turn.asked = this_look;
  return taken;
}

Result<void> LiveSealer::take(Keyring keyring) {
  auto made = Sealer::create(std::move(keyring));
  if (!made.ok()) return made.error();
  if ((*made)->has_keys_of(now())) return {};
  // Whoever can write storage must not be able to keep a store at its keys: it is asked only where the keys alone do
  // not tell that they are the same store's.
  if (!(*made)->shares_key_with(now()) && fits_) {
    const Result<bool> fits = fits_(**made);
    if (!fits.ok()) return fits.error();
    if (!*fits) {
      return Error(Status::wrong_key,
                   "the keys are now those of another store, and were not taken; put those of this one back");
    }
  }
  auto next = std::make_unique<Published>(Published{*std::move(made), current_.load(std::memory_order_relaxed)});
  current_.store(next.release(), std::memory_order_release);
  taken_.fetch_add(1, std::memory_order_relaxed);
  if (on_taken_) on_taken_();
  return {};
}

}  // namespace tokenstore::seal
