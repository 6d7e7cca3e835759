/// The sealer of now, while the keys of an open store change.
///
/// A sealer is immutable. When the keys change another one is published, and the old ones are kept until the store is
/// closed: whoever works with one goes on, without a lock. What has to fit together (a token's key id, verifier and
/// tag) is made with one now().
///
/// Thread-safe, and usable in a forked child. `look` and `reload` may ask the host's own function, read a file, and
/// storage if `fits` does; the rest does not.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/fork_guard.hpp"
#include "seal/sealer.hpp"
#include "tokenstore/key_source.hpp"

namespace tokenstore::seal {

class LiveSealer {
 public:
  /// Without a source (null) the keys stay what they are. `mark`: the source's, as it was before the keys were read.
  explicit LiveSealer(std::unique_ptr<Sealer> first, std::shared_ptr<KeySource> source = nullptr,
                      std::optional<KeySource::Mark> mark = std::nullopt);
  ~LiveSealer();
  LiveSealer(const LiveSealer&) = delete;
  LiveSealer& operator=(const LiveSealer&) = delete;

  const Sealer& now() const noexcept { return *current_.load(std::memory_order_acquire)->sealer; }

  /// Before any other thread uses it. `fits`: are these keys, none of which is in use, those of this store? An error:
  /// it cannot be told now. `taken` is called after others were published, and may not call back.
  void watch(std::function<Result<bool>(const Sealer&)> fits, std::function<void()> taken);

  bool can_change() const noexcept { return source_ != nullptr; }
  KeySource* source() const noexcept { return source_.get(); }

  enum class Ask : std::uint8_t {
    by_mark,    ///< if the source can tell, at the cost of a system call, that something is new
    on_notice,  ///< the same; if it cannot tell, once in its pause
    outright,   ///< whatever it tells, and whatever was asked lately
  };
  /// Takes the keys that the source has by now. What a look finds that began after the call is shared by all who wait.
  /// True: others than `known` are in use, and what was remembered by those is forgotten. It never fails: what cannot
  /// be had leaves the keys as they are.
  bool look(const Sealer& known, Ask ask = Ask::on_notice) noexcept;
  /// By its mark, where the backend's pulse is another one than at the latest look: who changes keys announces it. And
  /// some times in a second, for those that nobody announces.
  void look_if_due(std::uint64_t pulse) noexcept {
    if (!source_) return;
    const bool moved = pulse_.load(std::memory_order_acquire) != pulse;
    if (moved || clock_->coarse_monotonic() >= due_.load(std::memory_order_relaxed)) look_by_mark(pulse);
  }
  /// The same, wherever the pulse stands.
  void look_by_mark(std::uint64_t pulse) noexcept {
    look(now(), Ask::by_mark);
    pulse_.store(pulse, std::memory_order_release);
    due_.store(clock_->coarse_monotonic() + between_looks, std::memory_order_relaxed);
  }
  /// Outright, and says why the source's keys were not taken. True: others were.
  Result<bool> reload();

  /// Whether a record is genuine by the keys of now; those that it needs are looked for.
  template <typename Where, typename Record>
  SealCheck verify(const Where& where, const Record& record) noexcept {
    return verify([&](const Sealer& sealer) { return sealer.verify(where, record); });
  }
  SealCheck verify(const StoreRecord& record) noexcept {
    return verify([&](const Sealer& sealer) { return sealer.verify(record); });
  }
  template <typename Where, typename Record>
  bool is_genuine(const Where& where, const Record& record) noexcept {
    return verify(where, record) == SealCheck::genuine;
  }

  /// How often others were taken, and how often the source's could not be.
  std::uint64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t between_looks = 200;  ///< milliseconds

  struct Published {
    std::unique_ptr<Sealer> sealer;
    const Published* before;
  };
  /// What one look at a time may touch.
  struct Turn {
    std::mutex mutex;
    std::uint64_t asked = 0;     ///< the latest look that asked for the keys
    std::uint64_t compared = 0;  ///< the latest that did, or saw that there is no need to
    std::optional<KeySource::Mark> mark;
    bool failed = false;          ///< the keys could not be had: tried again, mark or not
    std::int64_t not_before = 0;  ///< monotonic milliseconds
  };

  template <typename Check>
  SealCheck verify(const Check& check) noexcept {
    const Sealer& known = now();
    const SealCheck found = check(known);
    const bool may_have_changed = found == SealCheck::unknown_key || found == SealCheck::retired_key;
    return may_have_changed && look(known) ? check(now()) : found;
  }

  Turn& turn();
  Result<void> look_in_turn(Turn& turn, Ask ask);
  Result<void> take(Keyring keyring);

  const std::shared_ptr<KeySource> source_;
  const bool has_marks_;  ///< else a look by the mark finds nothing
  std::function<Result<bool>(const Sealer&)> fits_;
  std::function<void()> on_taken_;
  std::atomic<const Published*> current_;
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> pulse_{0};
  std::atomic<std::int64_t> due_{0};
  std::atomic<std::uint64_t> taken_{0}, refused_{0};
  std::shared_ptr<Clock> clock_;
  base::ForkGuard fork_guard_;
  std::atomic<Turn*> turn_;
};

}  // namespace tokenstore::seal
