#include "backends/sqlite/engine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/create.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/location.hpp"
#include "backends/sqlite/schema.hpp"

namespace tokenstore::sqlite {
namespace {

constexpr int wal_index_region = 32768;  // SQLite maps the WAL-index in regions of this size

/// The start of the WAL-index in memory, had through the VFS: opening the -shm file ourselves would drop
/// SQLite's locks when we close it. Null if there is none.
std::uint64_t* map_wal_index(Connection& connection) noexcept {
  sqlite3_file* file = connection.file();
  if (file == nullptr || file->pMethods->iVersion < 2 || file->pMethods->xShmMap == nullptr) return nullptr;
  void volatile* memory = nullptr;
  const int code = file->pMethods->xShmMap(file, 0, wal_index_region, 0, &memory);
  if (code != SQLITE_OK && code != SQLITE_READONLY) return nullptr;
  return static_cast<std::uint64_t*>(const_cast<void*>(memory));
}

/// Attaches the connection to the WAL (which SQLite does at the first read) and recovers it if need be.
int first_read(Connection& connection) noexcept {
  int code = SQLITE_OK;
  connection.number("SELECT count(*) FROM sqlite_schema", code);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

Result<std::unique_ptr<Connection>> open_configured(const Target& target) {
  const ActingOwner owner(target.path);
  Result<std::unique_ptr<Connection>> connection = Connection::open(target);
  // The file was opened before: to whoever reads or writes now, that it cannot be is a failure of storage.
  if (!connection && connection.status() != Status::out_of_memory) {
    return Error(Status::unavailable, connection.error().message());
  }
  if (!connection) return connection;
  if (const int code = (*connection)->configure(target); code != SQLITE_OK) return error_of(code, "connecting");
  return connection;
}

Error two_copies(const std::string& path, Status status) {
  return Error(status,
               fmt::format("'{}' is open through another copy of SQLite in this process, and the two would lose each "
                           "other's locks; link one copy, or close it there",
                           path));
}

struct Closer {
  std::unique_ptr<Connection>& connection;
  bool armed = true;
  ~Closer() {
    if (armed && connection) connection->leave_wal_on_close();
  }
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const SqliteOptions& options, std::uint64_t first_counter) {
  Result<Location> location = locate(options.path);
  if (!location) return location.error();
  Target target;
  target.path = location->path;
  target.vfs = options.vfs;
  target.read_only = options.read_only;
  target.full_sync = options.durability == SqliteOptions::Durability::full;
  target.busy_timeout = options.busy_timeout;
  if (!location->exists) {
    if (!options.create || options.read_only) {
      return Error(Status::cannot_open, fmt::format("'{}' does not exist; create the store first", options.path));
    }
    if (const Result<void> created = create_database(*location, target); !created) return created.error();
  }
  const ActingOwner owner(target.path);
  if (target.read_only && is_unwritable(location->directory)) {
    // SQLite cannot make its -wal and -shm here. If somebody else has them open it can share them;
    // if there are none, nobody is writing, and FileWatch looks for them at every step.
    target.immutable = ::access((target.path + "-wal").c_str(), F_OK) != 0;
  }

  Result<std::unique_ptr<Connection>> opened = Connection::open(target);
  if (!opened) return opened.error();
  std::unique_ptr<Connection> keeper = std::move(*opened);
  Closer closer{keeper};  // a file that is refused below is left as it was
  if (const Result<void> header = check_header(*keeper, options.path, target.path); !header) return header.error();
  if (!target.read_only && sqlite3_db_readonly(keeper->handle(), "main") == 1) {
    if (std::optional<Error> denied = denied_file(options.path)) return std::move(*denied);
    return Error(Status::cannot_open,
                 fmt::format("'{}' cannot be written; change its rights, or open it read-only", options.path));
  }
  const std::string shm_path = target.path + "-shm";
  const std::size_t copies_before = target.immutable ? 0 : copies_of_sqlite_on(shm_path);
  int code = first_read(*keeper);
  if (code != SQLITE_OK) return opening_error_of(code, options.path);
  if (!target.immutable && copies_before > 0 && copies_of_sqlite_on(shm_path) > copies_before) {
    // Closing it would drop the other copy's locks as well, so it stays open: a leak is the lesser evil.
    keeper->abandon();
    return two_copies(options.path, Status::cannot_open);
  }
  if (const Result<void> schema = check_schema(*keeper, options.path, !target.read_only); !schema) {
    return schema.error();
  }
  code = keeper->configure(target);
  if (code == SQLITE_OK && !target.read_only) code = keeper->execute("PRAGMA journal_mode = WAL");
  if (code == SQLITE_OK) code = first_read(*keeper);
  if (code != SQLITE_OK) return opening_error_of(code, options.path);

  std::unique_ptr<Connection> writer;
  if (!target.read_only) {
    Result<std::unique_ptr<Connection>> connection = open_configured(target);
    if (!connection) return connection.error();
    writer = std::move(*connection);
  }
  closer.armed = false;
  std::uint64_t* header = target.immutable ? nullptr : map_wal_index(*keeper);
  // Without shared memory: data_version if there are locks, and no promise at all if there are none.
  const bool trusted = !target.immutable && (header != nullptr || !target.read_only);
  return std::make_unique<Engine>(std::move(target), std::move(keeper), std::move(writer), header, trusted,
                                  first_counter);
}

Engine::Engine(Target opened, std::unique_ptr<Connection> keeper_connection,
               std::unique_ptr<Connection> writer_connection, std::uint64_t* wal_header, bool trusted,
               std::uint64_t first_counter)
    : target(std::move(opened)),
      watch(target.path, target.immutable),
      keeper(std::move(keeper_connection)),
      pulse(wal_header, first_counter),
      has_wal_header(wal_header != nullptr),
      pulse_trusted(trusted),
      readers([this] { return open_configured(target); }),
      writer(std::move(writer_connection)) {}

void Engine::close_inherited() noexcept {
  const auto leave = [](Connection& connection) { connection.leave_wal_on_close(); };
  if (keeper) leave(*keeper);
  if (writer) leave(*writer);
  if (upkeep) leave(*upkeep);
  readers.for_each_idle(leave);
}

std::optional<Error> Engine::check_files(bool always) {
  if (second_copy_.load(std::memory_order_acquire)) return two_copies(target.path, Status::unavailable);
  const FileWatch::Finding finding = always ? watch.look() : watch.glance();
  if (finding == FileWatch::Finding::same && files_were_well_.load(std::memory_order_relaxed)) return std::nullopt;
  if (finding == FileWatch::Finding::shrunk) {
    readers.retire();
    pulse.bump();
  }
  std::optional<Error> error = watch.error_of(finding);
  // Whoever trusts an old pulse must come and ask: they get the error, or fresh data.
  if (files_were_well_.exchange(!error, std::memory_order_acq_rel) == error.has_value()) pulse.bump();
  return error;
}

void Engine::report_second_copy() {
  second_copy_.store(true, std::memory_order_release);
  pulse.bump();
}

Result<Connection*> Engine::writer_connection() {
  if (!writer) {
    Result<std::unique_ptr<Connection>> connection = open_configured(target);
    if (!connection) return connection.error();
    writer = std::move(*connection);
  }
  return writer.get();
}

Result<Connection*> Engine::upkeep_connection() {
  if (!upkeep) {
    Target patient = target;
    patient.busy_timeout = std::chrono::milliseconds(0);
    Result<std::unique_ptr<Connection>> connection = open_configured(patient);
    if (!connection) return connection.error();
    upkeep = std::move(*connection);
  }
  return upkeep.get();
}

Pulse Engine::read_pulse() noexcept {
  constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();
  if (!has_wal_header && pulse_trusted) {
    // A VFS without shared memory: SQLite's own counter, which costs a look at the file.
    const std::lock_guard lock(keeper_mutex);  // held by nobody else
    int code = SQLITE_OK;
    const std::int64_t version = keeper->number("PRAGMA data_version", code);
    if (code != SQLITE_ROW) return {pulse.read(), not_at_all};
    if (version != data_version_) pulse.bump();
    data_version_ = version;
  }
  return {pulse.read(), pulse_trusted ? for_ever : not_at_all};
}

}  // namespace tokenstore::sqlite
