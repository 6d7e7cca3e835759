// The words for the numbers of the public enumerations.
#include "tokenstore/journal.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"
#include "tokenstore/verdict.hpp"

namespace tokenstore {

std::string_view status_name(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::invalid_argument:
      return "invalid_argument";
    case Status::not_found:
      return "not_found";
    case Status::permission_denied:
      return "permission_denied";
    case Status::refused:
      return "refused";
    case Status::conflict:
      return "conflict";
    case Status::unavailable:
      return "unavailable";
    case Status::unknown:
      return "unknown";
    case Status::read_only:
      return "read_only";
    case Status::tampered:
      return "tampered";
    case Status::wrong_key:
      return "wrong_key";
    case Status::not_a_store:
      return "not_a_store";
    case Status::newer_schema:
      return "newer_schema";
    case Status::storage_full:
      return "storage_full";
    case Status::buffer_too_small:
      return "buffer_too_small";
    case Status::out_of_memory:
      return "out_of_memory";
    case Status::cannot_open:
      return "cannot_open";
    case Status::unsupported:
      return "unsupported";
    case Status::internal:
      return "internal";
    case Status::journal_damaged:
      return "journal_damaged";
    case Status::not_journaled:
      return "not_journaled";
  }
  return "unrecognised";
}

std::string_view state_name(TokenState state) noexcept {
  switch (state) {
    case TokenState::active:
      return "active";
    case TokenState::pending:
      return "pending";
    case TokenState::expired:
      return "expired";
    case TokenState::revoked:
      return "revoked";
    case TokenState::tampered:
      return "tampered";
  }
  return "unrecognised";
}

std::string_view outcome_name(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::unavailable:
      return "unavailable";
    case Outcome::valid:
      return "valid";
    case Outcome::invalid:
      return "invalid";
  }
  return "unrecognised";
}

std::string_view reason_name(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::malformed:
      return "malformed";
    case Reason::forged:
      return "forged";
    case Reason::unknown:
      return "unknown";
    case Reason::wrong_secret:
      return "wrong_secret";
    case Reason::tampered:
      return "tampered";
    case Reason::retired_key:
      return "retired_key";
    case Reason::revoked:
      return "revoked";
    case Reason::expired:
      return "expired";
    case Reason::pending:
      return "pending";
    case Reason::owner_suspended:
      return "owner_suspended";
    case Reason::owner_may_not_use:
      return "owner_may_not_use";
    case Reason::tokens_disabled:
      return "tokens_disabled";
    case Reason::insufficient_scope:
      return "insufficient_scope";
    case Reason::storage:
      return "storage";
    case Reason::rolled_back:
      return "rolled_back";
  }
  return "unrecognised";
}

std::string_view journal_deed_name(JournalDeed deed) noexcept {
  switch (deed) {
    case JournalDeed::issued:
      return "issued";
    case JournalDeed::revoked:
      return "revoked";
    case JournalDeed::expired:
      return "expired";
    case JournalDeed::removed:
      return "removed";
    case JournalDeed::purged:
      return "purged";
    case JournalDeed::suspended:
      return "suspended";
    case JournalDeed::resumed:
      return "resumed";
    case JournalDeed::owner_set:
      return "owner_set";
    case JournalDeed::all_revoked:
      return "all_revoked";
    case JournalDeed::policy_set:
      return "policy_set";
    case JournalDeed::workspace_made:
      return "workspace_made";
    case JournalDeed::resealed:
      return "resealed";
    case JournalDeed::learned:
      return "learned";
    case JournalDeed::healed:
      return "healed";
    case JournalDeed::key_added:
      return "key_added";
    case JournalDeed::key_activated:
      return "key_activated";
    case JournalDeed::key_retired:
      return "key_retired";
    case JournalDeed::key_removed:
      return "key_removed";
    case JournalDeed::accepted:
      return "accepted";
  }
  return "unrecognised";
}

}  // namespace tokenstore
