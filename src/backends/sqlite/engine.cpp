#include "backends/sqlite/engine.hpp"

#include <fmt/format.h>

#include <limits>

namespace tokenstore::sqlite {
namespace {

constexpr int swaps_during_opening = 10;

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

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const SqliteOptions& options, std::uint64_t first_counter) {
  for (int attempt = 0; attempt < swaps_during_opening; ++attempt) {
    Result<std::optional<OpenedFile>> opened = open_file(options);
    if (!opened) return opened.error();
    if (!*opened) continue;
    OpenedFile& file = **opened;
    std::uint64_t* header = file.target.immutable ? nullptr : map_wal_index(*file.keeper);
    // Without shared memory: data_version if there are locks, and no promise at all if there are none.
    const bool trusted = !file.target.immutable && (header != nullptr || !file.target.read_only);
    auto engine = std::make_unique<Engine>(std::move(file), header, trusted, first_counter);
    // Now that the pulse is being watched: a swap after this look moves it, and one before it is found.
    if (!engine->was_swapped()) return engine;
    engine->leave_files();
  }
  return Error(Status::unavailable,
               fmt::format("'{}' was replaced again and again while it was being opened; try again", options.path));
}

Result<std::unique_ptr<Engine>> Engine::open_backup(const std::string& path, std::uint64_t first_counter) {
  Result<OpenedFile> opened = open_backup_file(path);
  if (!opened) return opened.error();
  return std::make_unique<Engine>(std::move(*opened), nullptr, false, first_counter);
}

Engine::Engine(OpenedFile opened, std::uint64_t* wal_header, bool trusted, std::uint64_t first_counter)
    : target(std::move(opened.target)),
      watch(target.path, target.immutable, opened.file),
      keeper(std::move(opened.keeper)),
      pulse(wal_header, first_counter),
      has_wal_header(wal_header != nullptr),
      pulse_trusted(trusted),
      readers([this] { return connect(target); }),
      writer(std::move(opened.writer)) {}

bool Engine::was_swapped() noexcept {
  if (keeper->has_moved() || (writer && writer->has_moved())) return true;
  const FileWatch::Finding finding = watch.look();
  return finding != FileWatch::Finding::same && finding != FileWatch::Finding::shrunk;
}

Result<std::unique_ptr<Connection>> Engine::connect(const Target& how) {
  Result<std::unique_ptr<Connection>> connection = open_configured(how);
  if (!connection) return connection;
  // It has the old file, and may have the new one's -wal; or it has the new file.
  const bool moved = (*connection)->has_moved();
  std::optional<Error> error = check_files(true);
  if (!error && moved) error = watch.error_of(FileWatch::Finding::replaced);
  if (!error) return connection;
  (*connection)->leave_wal_on_close();
  return std::move(*error);
}

void Engine::leave_files() noexcept {
  const auto leave = [](Connection& connection) { connection.leave_wal_on_close(); };
  if (keeper) leave(*keeper);
  if (writer) leave(*writer);
  if (upkeep) leave(*upkeep);
  readers.for_each_idle(leave);
}

std::optional<Error> Engine::check_files(bool always) {
  if (second_copy_.load(std::memory_order_acquire)) return two_copies(target.path, Status::unavailable);
  // Who replaces the file moves the pulse: then nobody reads on in the old one until the next look is due.
  const std::uint64_t counter = has_wal_header ? pulse.read() : 0;
  const bool moved = pulse_at_look_.load(std::memory_order_relaxed) != counter;
  const FileWatch::Finding finding = always || moved ? watch.look() : watch.glance();
  if (moved) pulse_at_look_.store(counter, std::memory_order_relaxed);
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
    Result<std::unique_ptr<Connection>> connection = connect(target);
    if (!connection) return connection.error();
    writer = std::move(*connection);
  }
  return writer.get();
}

Result<Connection*> Engine::upkeep_connection() {
  if (!upkeep) {
    Target patient = target;
    patient.busy_timeout = std::chrono::milliseconds(0);
    Result<std::unique_ptr<Connection>> connection = connect(patient);
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
