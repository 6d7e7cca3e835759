/// Answers from memory: what is decided by a text that passed the whole check before, and about which nothing has
/// changed since. No storage unless something has, no allocation, no system call, no lock that readers share.
///
/// Thread-safe. Borrows what it is made from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/effective_clock.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/counters.hpp"
#include "validate/memory.hpp"
#include "validate/packed_address.hpp"

namespace tokenstore::validate {

class Hits {
 public:
  Hits(const std::string& prefix, base::EffectiveClock& clock, Counters& counters);

  /// What to do where something has been committed: read the change feed, which asks storage, or give up.
  enum class CatchUp : bool { no, yes };

  /// True: the verdict is the answer. False: memory does not decide it, whatever the verdict now holds, and `pulse` is
  /// what the call goes by (empty: it may neither use nor make memories). `text` has the length of this store's.
  bool answer(Memory& memory, std::string_view text, const Demand& demand, CatchUp catch_up,
              std::optional<std::uint64_t>& pulse, Verdict& verdict);

 private:
  /// What of the answer needs no token: done while memory is waited for.
  struct Asked {
    ScopeSets::Wanted scope;
    PackedAddress from;
    UnixMillis coarse_now;  ///< effective now, slightly behind
  };
  bool answer_from(Memory& memory, const Found& found, std::uint64_t place, std::string_view id, const Asked& asked,
                   Verdict& verdict);
  /// Effective now, exact where it matters, if it lies before an end.
  std::optional<UnixMillis> before_end(UnixMillis expires_at, const Asked& asked) noexcept;
  /// What is known to be denied.
  [[gnu::noinline]] bool refuse(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict);
  /// Who and what, of an entry that does not fit into its slot. Apart, because it takes much of the stack.
  [[gnu::noinline]] static bool identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked,
                                                 UnixMillis expires_at, bool& in_scope, Verdict& verdict);

  const std::size_t id_at_;  ///< where the id starts in a text of this store
  base::EffectiveClock& clock_;
  Counters& counters_;
};

}  // namespace tokenstore::validate
