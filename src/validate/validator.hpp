/// Decides whether a token text may do what a request demands.
///
/// A text that passed the whole check before, and about which nothing has changed since, is recognised
/// by its fingerprint: no storage, no allocation, no system call, no lock that readers share. Anything
/// else takes the whole check (full_check.hpp).
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
#include "seal/sealer.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/statistics.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/counters.hpp"
#include "validate/full_check.hpp"
#include "validate/memory.hpp"

namespace tokenstore::validate {

struct ValidatorParts {
  Backend& backend;
  const seal::Sealer& sealer;
  base::EffectiveClock& clock;
  RandomSource& random;
  const seal::Place& place;
  const std::string& prefix;
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

  /// This process has committed a batch with an announcement (`entry`; empty: none), or may have (`revision` 0): what
  /// they name is forgotten when this returns.
  void committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept;

  /// Endings that storage could not be told of.
  Denials& denials() { return memory().denials; }

  /// The latest use of a token that may not be in storage yet.
  std::optional<Use> pending_use(std::string_view id);
  /// Writes out last uses for about `budget`, if they are due or some were left. True: there is more to write.
  Result<bool> write_due_uses(std::chrono::milliseconds budget);
  Result<void> write_all_uses();

  Statistics statistics() const noexcept;
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

  /// Pulse and generations as they were before storage was read: if one has moved, what was loaded is not
  /// remembered.
  struct Seen {
    std::uint64_t pulse = 0;
    std::uint32_t token = 0;
    std::uint32_t owner = 0;  ///< of the owner's group; until they are asked for, of the group of the token's id
    std::uint32_t workspace = 0;
  };

  class SettingsOfCall;

  void note_exception() noexcept;
  void check(std::string_view text, const Demand& demand, Verdict& verdict);
  /// `pulse`: what the call goes by; empty: it may neither use nor make memories.
  void check_fully(Memory& memory, std::string_view text, const Demand& demand, std::optional<std::uint64_t> pulse,
                   Verdict& verdict);
  /// What of the answer needs no token: done while memory is waited for.
  struct Asked {
    ScopeSets::Wanted scope;
    PackedAddress from;
    UnixMillis coarse_now;  ///< effective now, slightly behind
  };
  /// False: memory does not decide it, whatever the verdict now holds.
  bool answer_from_memory(Memory& memory, const Found& found, std::uint64_t place, std::string_view id,
                          const Asked& asked, Verdict& verdict);
  /// Effective now, exact where it matters, if it lies before an end.
  std::optional<UnixMillis> before_end(UnixMillis expires_at, const Asked& asked) noexcept;
  /// What is known to be denied.
  [[gnu::noinline]] bool refuse_from_memory(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict);
  /// Who and what, of an entry that does not fit into its slot. Apart, because it takes much of the stack.
  [[gnu::noinline]] static bool identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked,
                                                 UnixMillis expires_at, bool& in_scope, Verdict& verdict);
  /// The whole check against one state of storage. `pulse` moves on with what the call goes by.
  CheckedToken check_at_once(Memory& memory, const text::ParsedToken& token, std::optional<std::uint64_t>& pulse,
                             Seen& seen);
  void remember(Memory& memory, const text::ParsedToken& token, std::string_view text, const CheckedToken& checked,
                const Demand& demand, bool used, const Seen& seen);

  const ValidatorParts parts_;
  const std::size_t id_at_;      ///< where the id starts in a text of this store
  const std::size_t text_size_;  ///< octets of every text of this store
  Failures failures_;
  FullCheck full_check_;
  StoredSettings stored_settings_;
  base::ForkGuard fork_guard_;
  std::atomic<int> adopting_{0};  ///< process whose thread is at start_afresh()
  std::atomic<Memory*> memory_;
  Counters counters_;
};

}  // namespace tokenstore::validate
