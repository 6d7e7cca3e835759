/// Keeps what is remembered as fresh as storage: compares the pulse, reads the change feed, and drops
/// what it names.
///
/// What processes of this host have written into the journal is read with the feed: storage may have been put back,
/// feed and all, to before an ending that nobody here has seen yet.
///
/// The feed is not believed because it is stored: each of its entries is linked to the one before by a keyed MAC
/// (seal/announcement.hpp). Where it does not fit, everything is forgotten.
///
/// The rule: nobody answers from memory unless everything up to a pulse that was read after the call
/// began has been caught up with. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/effective_clock.hpp"
#include "journal/journal.hpp"
#include "seal/announcement.hpp"
#include "tokenstore/backend.hpp"
#include "validate/cache_table.hpp"
#include "validate/generations.hpp"
#include "validate/remembered_settings.hpp"
#include "validate/use_log.hpp"

namespace tokenstore::validate {

class Freshness {
 public:
  Freshness(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
            const std::unique_ptr<journal::Journal>& journal, CacheTable& table, RememberedSettings& settings,
            Generations& tokens, Generations& owners, UseLog& uses, const std::atomic<UnixMillis>& unwritten_since)
      : backend_(backend),
        sealer_(sealer),
        clock_(clock),
        place_(place),
        journal_(journal),
        table_(table),
        settings_(settings),
        tokens_(tokens),
        owners_(owners),
        uses_(uses),
        unwritten_since_(unwritten_since) {}

  /// May this call answer from memory? Usually two loads; catches up if something has changed. Empty: no.
  /// Else the pulse's counter that the call goes by.
  std::optional<std::uint64_t> current() {
    const Pulse pulse = backend_.pulse();
    if (!lease_holds(pulse)) return std::nullopt;
    if (pulse.counter == synced_.load(std::memory_order_acquire)) return pulse.counter;
    return catch_up(pulse);
  }
  /// The same, but asks storage for nothing. Empty: it would have to.
  std::optional<std::uint64_t> caught_up() {
    const Pulse pulse = backend_.pulse();
    if (!lease_holds(pulse) || pulse.counter != synced_.load(std::memory_order_acquire)) return std::nullopt;
    return pulse.counter;
  }
  /// Has nothing been committed since current() gave `counter`? Then what was loaded in between is the state
  /// that was caught up with, and may be remembered as such.
  bool unmoved(std::uint64_t counter) noexcept { return backend_.pulse().counter == counter; }

  /// This process has committed a batch with (or without) an announcement, or may have: `revision` is then 0. Forgets
  /// what they name without asking the pulse or the feed: a backend that lies about them does not make a token outlive
  /// its end in the process that ended it.
  void committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept;

  /// What was remembered so far is not believed any more.
  void forget_everything() noexcept;
  /// Forgets what others have ended by the journal, whatever storage says.
  void read_journal();

  std::uint64_t catch_ups() const noexcept { return catch_ups_.load(std::memory_order_relaxed); }
  /// Catch-ups that met a feed which does not fit what was read of it before.
  std::uint64_t feed_mismatches() const noexcept { return feed_mismatches_.load(std::memory_order_relaxed); }
  std::uint64_t dropped_all() const noexcept { return dropped_all_.load(std::memory_order_relaxed); }

 private:
  bool lease_holds(const Pulse& pulse) noexcept {
    return pulse.trusted_until == std::numeric_limits<std::int64_t>::max() ||
           clock_.coarse_monotonic() + clock_.coarse_lag() < pulse.trusted_until;
  }
  /// The pulse's counter that was caught up with, since `seen` was read; empty: storage could not be asked.
  std::optional<std::uint64_t> catch_up(const Pulse& seen);
  bool read_feed();
  /// What the feed names since the position caught up with. Empty: everything, or it does not fit.
  std::optional<std::vector<seal::ChangedRecord>> read_on(const Changes& changes);
  void forget(const std::optional<std::vector<seal::ChangedRecord>>& named, bool exact_pulse);
  /// `owner_matters(name)` is asked of an owner alone: does the change of their record matter?
  template <typename OwnerMatters>
  void forget_one(RecordKind kind, std::string_view key, const OwnerMatters& owner_matters,
                  std::vector<Use>& displaced);
  void keep_uses(const std::vector<Use>& displaced);

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  const std::unique_ptr<journal::Journal>& journal_;
  CacheTable& table_;
  RememberedSettings& settings_;
  Generations& tokens_;
  Generations& owners_;
  UseLog& uses_;
  const std::atomic<UnixMillis>& unwritten_since_;

  /// The pulse caught up with. 0 at first is as good as any: nothing is remembered yet.
  std::atomic<std::uint64_t> synced_{0};
  std::mutex mutex_;
  std::atomic<std::uint64_t> begun_{0};  ///< readings of the feed; raised under mutex_
  std::uint64_t read_ = 0;               ///< the latest of them that was read to its end; guarded by mutex_
  /// How far the feed has been read; guarded by mutex_. At first nothing is remembered, and where the feed stands is as
  /// good a beginning as any.
  std::optional<std::uint64_t> revision_;
  Bytes32 link_{};
  std::atomic<std::uint64_t> committed_revision_{0};  ///< the highest that this process was told of
  std::atomic<std::uint64_t> catch_ups_{0}, dropped_all_{0}, feed_mismatches_{0};
};

}  // namespace tokenstore::validate
