/// Where the command takes its keys from, as `--key-file`, `--key-credential` and `--key-file-trust` say, or the
/// variables of those names.
#pragma once

#include <string>

#include "tokenstore/keyring.hpp"

namespace tokenstore::cli {

struct KeySource {
  std::string file;        ///< empty: the database's name and .key
  std::string credential;  ///< the name of systemd's credential; empty: none
  std::string trust;       ///< as given: names with commas between them

  /// What is on the command line goes before what is in the environment. A Failure if that leaves two places.
  void complete_from_environment();

  bool named() const noexcept { return !file.empty() || !credential.empty(); }
  /// A Failure names the option, and repeats no value.
  KeyFileTrust key_file_trust() const;
  /// Whether it can be read only once, or is nothing that could be made: then it is not left to `open_sqlite`.
  bool to_be_read_first() const { return !credential.empty() || key_file_trust().inherited_descriptor; }
};

/// Reads the keys; `default_file` if no place was named. Root takes the key file of the owner of `owner_of`, too.
Keyring read_keyring(const KeySource& source, const std::string& default_file, const std::string& owner_of);

}  // namespace tokenstore::cli
