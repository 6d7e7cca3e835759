/// What the incomplete types of tokenstore.h are. Owned by the caller, who frees them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "guest.hpp"
#include "tokenstore.h"
#include "tokenstore/keyring.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/store.hpp"

struct tokenstore_store {
  std::shared_ptr<tokenstore::capi::Guest> guest;  ///< storage of the host's own; else null
  std::unique_ptr<tokenstore::TokenStore> store;
  std::string created_key_file;
};

struct tokenstore_error {
  std::string message;
};

struct tokenstore_keyring {
  tokenstore::Keyring keyring;
};

struct tokenstore_token {
  tokenstore_token() = default;
  explicit tokenstore_token(tokenstore::TokenInfo token);

  /// Makes room for the scopes of any token, or of one whose request spells them in `scopes_size` bytes, so
  /// that set() needs no memory: called before a change, which must not be reported as failed once
  /// it is done.
  void reserve(std::size_t scopes_size = TOKENSTORE_SCOPES_TEXT_MAX) { scopes.reserve(scopes_size); }
  void set(tokenstore::TokenInfo token);
  void describe(tokenstore_token_info* out_info) const;

  tokenstore::TokenInfo info;
  std::string scopes;  ///< joined, with single spaces between
};

struct tokenstore_page {
  std::vector<tokenstore_token> tokens;
  std::string next;
};

struct tokenstore_owner {
  void describe(tokenstore_owner_info* out_info) const;

  tokenstore::OwnerInfo info;
};

struct tokenstore_owner_page {
  std::vector<tokenstore_owner> owners;
  std::string next;
};

struct tokenstore_check_report {
  tokenstore::CheckReport report;
};

struct tokenstore_key_report {
  std::vector<tokenstore::KeyStatus> keys;
};
