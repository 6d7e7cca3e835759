#include "cli/key_source.hpp"

#include <cstdlib>
#include <string_view>

#include "cli/exit_code.hpp"

namespace tokenstore::cli {
namespace {

/// Empty if it is not set: an empty variable is one that was not meant.
std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

void KeySource::complete_from_environment() {
  if (!named()) {
    file = variable("TOKENSTORE_KEY_FILE");
    credential = variable("TOKENSTORE_KEY_CREDENTIAL");
  }
  if (!file.empty() && !credential.empty()) {
    throw usage_failure("both a key file and a credential are named: give one of --key-file and --key-credential");
  }
  if (trust.empty()) trust = variable("TOKENSTORE_KEY_FILE_TRUST");
}

KeyFileTrust KeySource::key_file_trust() const {
  KeyFileTrust result;
  std::string_view rest = trust;
  for (bool more = !rest.empty(); more;) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    if (name == "group-readable-of-root") {
      result.group_readable_of_root = true;
    } else if (name == "world-readable-of-root") {
      result.world_readable_of_root = true;
    } else if (name == "inherited-descriptor") {
      result.inherited_descriptor = true;
    } else {
      throw usage_failure(
          "--key-file-trust takes group-readable-of-root, world-readable-of-root and inherited-descriptor, with "
          "commas between them");
    }
    more = comma != std::string_view::npos;
    if (more) rest = rest.substr(comma + 1);
  }
  return result;
}

Keyring read_keyring(const KeySource& source, const std::string& default_file, const std::string& owner_of) {
  if (!source.credential.empty()) return take(Keyring::from_credential(source.credential));
  const std::string& file = source.file.empty() ? default_file : source.file;
  if (file.empty()) throw usage_failure("no key file: give --key-file PATH");
  KeyFileTrust trust = source.key_file_trust();
  trust.owner_of = owner_of;
  return take(Keyring::from_file(file, trust));
}

}  // namespace tokenstore::cli
