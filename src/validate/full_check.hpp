/// The whole check of a token against storage: what a validation costs when nothing is remembered.
///
/// The order is part of the promise (docs/token-format.md): who cannot show the secret learns nothing
/// about the token, and only a genuine record's owner, policy and state are looked at.
#pragma once

#include <memory>
#include <string>

#include "base/effective_clock.hpp"
#include "journal/journal.hpp"
#include "seal/live_sealer.hpp"
#include "text/token_text.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/failures.hpp"

namespace tokenstore::validate {

/// What an owner's sealed record says of using tokens, and what their tokens are bound to.
struct OwnerStanding {
  /// `none`, `owner_suspended`, `owner_may_not_use`, `tampered` (also if missing), `retired_key`, `rolled_back` or
  /// `storage`.
  Reason reason = Reason::storage;
  Bytes16 birth{};
  std::uint64_t revoke_all_count = 0;

  friend bool operator==(const OwnerStanding&, const OwnerStanding&) = default;
};

/// Where the settings that a decision needs come from: storage, or what is remembered of it.
class SettingsSource {
 public:
  virtual ~SettingsSource() = default;
  virtual OwnerStanding owner_standing(std::string_view owner) = 0;
  /// `none`, `tokens_disabled`, `tampered` (also if missing), `retired_key`, `rolled_back` or `storage`.
  virtual Reason workspace_permits() = 0;
};

/// Reads the settings from storage each time.
class StoredSettings final : public SettingsSource {
 public:
  StoredSettings(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
                 const std::unique_ptr<journal::Journal>& journal, Failures& failures)
      : backend_(backend), sealer_(sealer), clock_(clock), place_(place), journal_(journal), failures_(failures) {}
  OwnerStanding owner_standing(std::string_view owner) override;
  Reason workspace_permits() override;
  /// What a genuine record says.
  static OwnerStanding standing_in(const OwnerRecord& record) noexcept;

 private:
  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  const std::unique_ptr<journal::Journal>& journal_;
  Failures& failures_;
};

struct CheckedToken {
  Reason reason = Reason::storage;  ///< `none`: valid for every scope it holds
  TokenRecord record;               ///< meaningful unless `unknown` or `storage`
};

/// Thread-safe as long as its parts are.
class FullCheck {
 public:
  FullCheck(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
            const std::unique_ptr<journal::Journal>& journal, Failures& failures);

  /// `token` has passed parse() and its tag is right.
  CheckedToken run(const text::ParsedToken& token, SettingsSource& settings) const;

  /// The outcome that a reason stands for.
  static Outcome outcome_of(Reason reason) noexcept;
  static Reason state_reason(const TokenRecord& record, UnixMillis now) noexcept;

 private:
  /// Whether a key is retired, or was taken out, by the keys of now.
  bool has_ended(std::string_view key_id) const noexcept;
  Reason judge(const text::ParsedToken& token, const TokenRecord& record, std::optional<RecordRevision> least,
               SettingsSource& settings) const;

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  const std::unique_ptr<journal::Journal>& journal_;
  Failures& failures_;
  TokenRecord nobody_;  ///< what a missing record is compared with, so that its absence costs what its presence does
};

}  // namespace tokenstore::validate
