/// Decides whether a token text may do what a request demands.
///
/// From memory (hits.hpp), else from storage (misses.hpp). Here is what both share, what a fork does to it, and the way
/// in for everybody else.
///
/// Thread-safe, and usable in a forked child. Borrows what it is made from, which must outlive it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/effective_clock.hpp"
#include "base/fork_guard.hpp"
#include "journal/journal.hpp"
#include "seal/live_sealer.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/statistics.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/counters.hpp"
#include "validate/failures.hpp"
#include "validate/hits.hpp"
#include "validate/memory.hpp"
#include "validate/misses.hpp"

namespace tokenstore::validate {

struct ValidatorParts {
  Backend& backend;
  seal::LiveSealer& sealer;
  base::EffectiveClock& clock;
  RandomSource& random;
  const seal::Place& place;
  const std::string& prefix;
  const std::unique_ptr<journal::Journal>& journal;  ///< null: none is kept
  std::size_t cache_bytes;
  std::chrono::milliseconds use_interval;
  /// Called once in a forked child, when it first uses the validator. May be empty.
  std::function<void()> after_fork;
};

class Validator {
 public:
  explicit Validator(ValidatorParts parts);
  ~Validator();
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  void validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;
  /// The same where storage need not be asked. False: it would have to be, and the verdict says `unavailable`.
  bool try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;

  /// This process has committed a batch with an announcement (`entry`; empty: none), or may have (`revision` 0): what
  /// they name is forgotten when this returns.
  void committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept;

  /// The keys are others now: what was decided by the old ones is forgotten when this returns.
  void keys_changed() noexcept;

  /// Reads what others have written into the journal, and forgets what it names.
  void read_journal();

  /// Endings that storage could not be told of.
  Denials& denials() { return memory().denials; }

  /// The latest use of a token that may not be in storage yet.
  std::optional<Use> pending_use(std::string_view id);
  /// Writes out last uses for about `budget`, if they are due or some were left. True: there is more to write.
  Result<bool> write_due_uses(std::chrono::milliseconds budget);
  Result<void> write_all_uses();

  Statistics statistics() const noexcept;
  /// Validations that met a record which is an earlier state than the journal knows.
  std::uint64_t rolled_back() const noexcept { return counters_.sum(Count::rolled_back); }
  std::optional<Unavailability> why_unavailable() const {
    return fork_guard_.forked() ? std::nullopt : failures_.latest();
  }

 private:
  Memory& memory() {
    if (fork_guard_.forked()) start_afresh();
    return *memory_.load(std::memory_order_acquire);
  }
  void start_afresh();
  std::unique_ptr<Memory> new_memory();

  /// Whom a call may ask, and so whether it may wait.
  enum class Asking : bool { memory_alone, storage_too };

  void note_exception() noexcept;
  /// False: not decided, because storage would have had to be asked.
  bool decide(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) noexcept;
  bool check(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict);
  /// Whether the token's tag is right; keys that it needs are looked for, if the call may wait. Empty: it would have
  /// to.
  std::optional<bool> has_right_tag(const text::ParsedToken& token, bool may_wait) noexcept;
  bool deny(Count which, Reason reason, Verdict& verdict);

  const ValidatorParts parts_;
  const std::size_t text_size_;  ///< octets of every text of this store
  Failures failures_;
  Counters counters_;
  Hits hits_;
  Misses misses_;
  base::ForkGuard fork_guard_;
  std::atomic<Memory*> memory_;
};

}  // namespace tokenstore::validate
