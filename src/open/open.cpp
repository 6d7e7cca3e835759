#include "tokenstore/open.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "seal/key_file_lock.hpp"
#include "tokenstore/backends/memory.hpp"

namespace tokenstore {
namespace {

enum class FileState { missing, empty, present };

/// `present` also if it cannot be told: whatever is there is not ours to replace.
FileState state_of(const std::string& path) noexcept {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return errno == ENOENT ? FileState::missing : FileState::present;
  return S_ISREG(facts.st_mode) && facts.st_size == 0 ? FileState::empty : FileState::present;
}

/// What says whose the store is: the database, or the directory that a new one is to lie in.
std::string owner_of(const std::string& database) {
  if (state_of(database) != FileState::missing) return database;
  const std::size_t slash = database.rfind('/');
  return slash == std::string::npos ? "." : database.substr(0, slash + 1);
}

bool is_descriptor(const std::string& key_file) noexcept {
  return key_file.starts_with("/dev/fd/") || key_file.starts_with("/proc/self/fd/");
}

Error key_missing(const std::string& key_file) {
  return Error(Status::wrong_key,
               fmt::format("the key file '{}' is missing, and without it the database cannot be used; put it back or "
                           "name the right one",
                           key_file));
}

Result<Keyring> new_keyring(const StoreOptions& options) {
  const std::shared_ptr<RandomSource> random = options.random ? options.random : system_random();
  return Keyring::generate(*random);
}

/// The store over a backend; `opened` keeps the backend for whoever has to clean up.
template <typename Keys>
Result<Opened> open_store(const OpenSqlite& options, Keys keys, std::shared_ptr<Backend>& opened) {
  Result<std::shared_ptr<Backend>> backend = sqlite_backend(options.sqlite);
  if (!backend.ok()) return backend.error();
  opened = *std::move(backend);
  Result<std::unique_ptr<TokenStore>> store = TokenStore::open(opened, std::move(keys), options.store);
  if (!store.ok()) return store.error();
  return Opened{*std::move(store), {}};
}

/// Takes back a database that was not there before and that nobody has begun to use. Caller's part: the
/// exclusive lock.
void take_back_database(const std::string& path, std::shared_ptr<Backend>& backend) {
  if (!backend) return;
  const auto workspaces = backend->list_workspaces({}, 1);
  const bool unused = workspaces.ok() && workspaces->empty();
  backend.reset();
  if (!unused) return;
  for (const char* suffix : {"-wal", "-shm", ""}) ::unlink((path + suffix).c_str());
}

/// How often an opening that others get in the way of is begun again.
constexpr int most_attempts = 10;

/// True if this call made the key file; false if it was there, or somebody else was faster.
Result<bool> create_key_file(const OpenSqlite& options, const std::string& key_file) {
  for (int attempt = 1; state_of(key_file) == FileState::missing; ++attempt) {
    const FileState database = state_of(options.sqlite.path);
    if (options.sqlite.read_only || !options.sqlite.create || database != FileState::missing) {
      // Somebody may have made both since the key was looked for.
      if (state_of(key_file) != FileState::missing) return false;
      // A database that is missing too, or empty (cut off, perhaps: not to be taken for a new one), is the
      // greater trouble, and the backend says what to do.
      if (database != FileState::present) {
        if (const auto backend = sqlite_backend(options.sqlite); !backend.ok()) return backend.error();
      }
      return key_missing(key_file);
    }
    const Result<Keyring> keyring = new_keyring(options.store);
    if (!keyring.ok()) return keyring.error();
    const Result<void> written = keyring->write_new_file(key_file, owner_of(options.sqlite.path));
    if (written.ok()) return true;
    // Still missing: somebody else made it and has taken it back, or this fails for a reason that stays.
    if (attempt == most_attempts && state_of(key_file) == FileState::missing) return written.error();
  }
  return false;
}

Result<Opened> open_with_key_file(const OpenSqlite& options) {
  const std::string& database = options.sqlite.path;
  const std::string key_file = options.key_file.empty() ? database + ".key" : options.key_file;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const Result<bool> created = create_key_file(options, key_file);
    if (!created.ok()) return created.error();

    using seal::KeyFileLock;
    const bool fresh = state_of(database) != FileState::present;
    const KeyFileLock lock(key_file, fresh ? KeyFileLock::Mode::exclusive : KeyFileLock::Mode::shared);
    if (!lock.current()) continue;  // whoever made it has taken it back

    const bool database_is_ours = state_of(database) == FileState::missing;
    KeyFileTrust trust = options.key_file_trust;
    if (trust.owner_of.empty()) trust.owner_of = owner_of(database);
    const std::shared_ptr<KeySource> keys = key_file_source(key_file, trust);
    std::shared_ptr<Backend> backend;
    // A key file that cannot be used is said before anything is looked at in the database.
    const Result<Keyring> usable = keys->keyring();
    Result<Opened> opened = usable.ok() ? open_store(options, keys, backend) : Result<Opened>(usable.error());
    if (opened.ok()) {
      if (*created) opened->created_key_file = key_file;
      return opened;
    }
    if (database_is_ours && lock.exclusive()) take_back_database(database, backend);
    backend.reset();
    // A key goes only if there is no database that it may have sealed.
    if (*created && lock.exclusive() && state_of(database) != FileState::present) ::unlink(key_file.c_str());
    return opened;
  }
  return Error(Status::conflict, "other processes keep making and removing this store; try again");
}

}  // namespace

Result<Opened> open_sqlite(OpenSqlite options) {
  if (options.sqlite.path.empty() || options.sqlite.path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the database is empty or holds a NUL; name a file");
  }
  if (options.store.journal_owner_of.empty()) options.store.journal_owner_of = owner_of(options.sqlite.path);
  const bool has_keyring = options.keyring.has_value();
  const bool has_credential = !options.key_credential.empty();
  const bool has_source = options.key_source != nullptr;
  if (int{has_keyring} + int{has_credential} + int{has_source} + int{!options.key_file.empty()} > 1) {
    return Error(Status::invalid_argument,
                 "more than one of keyring, key source, key file and credential was given; give one");
  }
  if (has_credential) {
    Result<std::shared_ptr<KeySource>> credential = key_credential_source(options.key_credential);
    if (!credential.ok()) return credential.error();
    options.key_source = *std::move(credential);
  } else if (is_descriptor(options.key_file) && options.key_file_trust.inherited_descriptor) {
    // Read once, never made and never locked: it may be a pipe.
    Result<Keyring> keyring = Keyring::from_file(options.key_file, options.key_file_trust);
    if (!keyring.ok()) return keyring.error();
    options.keyring = *std::move(keyring);
  }
  std::shared_ptr<Backend> backend;
  if (options.key_source) {
    // As a key file: one that gives no keys is said first.
    if (const Result<Keyring> usable = options.key_source->keyring(); !usable.ok()) return usable.error();
    return open_store(options, options.key_source, backend);
  }
  if (!options.keyring) return open_with_key_file(options);
  return open_store(options, *std::move(options.keyring), backend);
}

Result<Opened> open_sqlite(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  return open_sqlite(std::move(options));
}

Result<Opened> open_memory(StoreOptions options, std::optional<Keyring> keyring) {
  if (!keyring) {
    Result<Keyring> fresh = new_keyring(options);
    if (!fresh.ok()) return fresh.error();
    keyring = *std::move(fresh);
  }
  Result<std::unique_ptr<TokenStore>> store =
      TokenStore::open(memory_backend(), *std::move(keyring), std::move(options));
  if (!store.ok()) return store.error();
  return Opened{*std::move(store), {}};
}

}  // namespace tokenstore
