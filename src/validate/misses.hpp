/// Answers from storage by the whole check (full_check.hpp), and puts the answer into memory.
///
/// Thread-safe. Borrows what it is made from.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/effective_clock.hpp"
#include "seal/live_sealer.hpp"
#include "text/token_text.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/failures.hpp"
#include "validate/full_check.hpp"
#include "validate/memory.hpp"

namespace tokenstore::validate {

class Misses {
 public:
  Misses(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
         const std::unique_ptr<journal::Journal>& journal, Failures& failures);

  /// `token` is what `text` says, and its tag is right. `pulse`: what the call goes by; empty: it may neither use nor
  /// make memories.
  void answer(Memory& memory, const text::ParsedToken& token, std::string_view text, const Demand& demand,
              std::optional<std::uint64_t> pulse, Verdict& verdict);

  /// For the memory that is to remember them.
  StoredSettings& stored_settings() noexcept { return stored_settings_; }

 private:
  /// Pulse and generations as they were before storage was read: if one has moved, what was loaded is not
  /// remembered.
  struct Seen {
    std::uint64_t pulse = 0;
    std::uint32_t token = 0;
    std::uint32_t owner = 0;  ///< of the owner's group; until they are asked for, of the group of the token's id
    std::uint32_t workspace = 0;
  };

  class SettingsOfCall;

  /// The whole check against one state of storage. `pulse` moves on with what the call goes by.
  CheckedToken check_at_once(Memory& memory, const text::ParsedToken& token, std::optional<std::uint64_t>& pulse,
                             Seen& seen);
  void remember(Memory& memory, const text::ParsedToken& token, std::string_view text, const CheckedToken& checked,
                const Demand& demand, bool used, const Seen& seen);

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const std::unique_ptr<journal::Journal>& journal_;
  FullCheck full_check_;
  StoredSettings stored_settings_;
};

}  // namespace tokenstore::validate
