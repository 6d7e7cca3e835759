/// An ending that was asked for holds in this process at once, even if storage could not be told. Once storage knows,
/// it need not be remembered here. One meaning for all endings.
#pragma once

#include <string_view>

#include "store/rules.hpp"
#include "validate/denials.hpp"

namespace tokenstore {

/// Of a token, asked for by somebody who may.
inline void remember_ending(validate::Denials& denials, std::string_view id, Status status) {
  if (status == Status::ok || status == Status::not_found || status == Status::tampered) {
    denials.allow_token(id);
  } else if (rules::storage_was_not_told(status)) {
    denials.deny_token(id);
  }
}

/// Of a token whose record could not be read, so that nobody knows whether it is the user's who asked.
inline void remember_unread_ending(validate::Denials& denials, std::string_view id, const Actor& user, Status status) {
  if (rules::storage_was_not_told(status)) denials.deny_token_of(id, user.name());
}

/// Of all that an owner has.
inline void remember_stop(validate::Denials& denials, std::string_view owner, validate::OwnerStop why, Status status) {
  if (status == Status::ok) {
    denials.allow_owner(owner, why);
  } else if (rules::storage_was_not_told(status)) {
    denials.deny_owner(owner, why);
  }
}

/// Of every token of the workspace.
inline void remember_switching_off(validate::Denials& denials, Status status) {
  if (rules::storage_was_not_told(status)) denials.deny_everything();
}

}  // namespace tokenstore
