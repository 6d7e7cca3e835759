#include "sqlite_faults/fault_vfs.hpp"

#include <new>
#include <stdexcept>

namespace tokenstore::test {
namespace {

struct File {
  sqlite3_file base;
  FaultPlan* plan;
  const char* path;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File& file_of(sqlite3_file* file) {
  return *reinterpret_cast<File*>(file);
}
FaultPlan& plan_of(sqlite3_vfs* vfs) {
  return *static_cast<FaultPlan*>(vfs->pAppData);
}
sqlite3_vfs* real_vfs() {
  return sqlite3_vfs_find("unix");
}

template <typename Call>
int guarded(FaultPlan& plan, const FileEvent& event, Call call) {
  int code = plan.before(event);
  if (code != SQLITE_OK) return code;
  code = call();
  if (code == SQLITE_OK) plan.after(event);
  return code;
}

template <typename Call>
int guarded(File& file, FileCall kind, sqlite3_int64 offset, const void* data, int size, Call call) {
  return guarded(*file.plan, FileEvent{kind, file.path == nullptr ? "" : file.path, offset, data, size}, call);
}

int x_close(sqlite3_file* f) {
  return file_of(f).real()->pMethods->xClose(file_of(f).real());
}
int x_read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
  File& file = file_of(f);
  return guarded(file, FileCall::read, at, nullptr, size,
                 [&] { return file.real()->pMethods->xRead(file.real(), to, size, at); });
}
int x_write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
  File& file = file_of(f);
  return guarded(file, FileCall::write, at, from, size,
                 [&] { return file.real()->pMethods->xWrite(file.real(), from, size, at); });
}
int x_truncate(sqlite3_file* f, sqlite3_int64 size) {
  File& file = file_of(f);
  return guarded(file, FileCall::truncate, size, nullptr, 0,
                 [&] { return file.real()->pMethods->xTruncate(file.real(), size); });
}
int x_sync(sqlite3_file* f, int flags) {
  File& file = file_of(f);
  return guarded(file, FileCall::sync, 0, nullptr, 0, [&] { return file.real()->pMethods->xSync(file.real(), flags); });
}
int x_size(sqlite3_file* f, sqlite3_int64* size) {
  File& file = file_of(f);
  return guarded(file, FileCall::size, 0, nullptr, 0,
                 [&] { return file.real()->pMethods->xFileSize(file.real(), size); });
}
int x_lock(sqlite3_file* f, int level) {
  File& file = file_of(f);
  return guarded(file, FileCall::lock, 0, nullptr, 0, [&] { return file.real()->pMethods->xLock(file.real(), level); });
}
int x_unlock(sqlite3_file* f, int level) {
  return file_of(f).real()->pMethods->xUnlock(file_of(f).real(), level);
}
int x_check_lock(sqlite3_file* f, int* out) {
  return file_of(f).real()->pMethods->xCheckReservedLock(file_of(f).real(), out);
}
int x_control(sqlite3_file* f, int op, void* argument) {
  return file_of(f).real()->pMethods->xFileControl(file_of(f).real(), op, argument);
}
int x_sector(sqlite3_file* f) {
  return file_of(f).real()->pMethods->xSectorSize(file_of(f).real());
}
int x_traits(sqlite3_file* f) {
  return file_of(f).real()->pMethods->xDeviceCharacteristics(file_of(f).real());
}
int x_shm_map(sqlite3_file* f, int region, int size, int extend, void volatile** out) {
  File& file = file_of(f);
  return guarded(file, FileCall::shm_map, 0, nullptr, 0,
                 [&] { return file.real()->pMethods->xShmMap(file.real(), region, size, extend, out); });
}
int x_shm_lock(sqlite3_file* f, int offset, int count, int flags) {
  File& file = file_of(f);
  const auto call = [&] { return file.real()->pMethods->xShmLock(file.real(), offset, count, flags); };
  return (flags & SQLITE_SHM_UNLOCK) != 0 ? call() : guarded(file, FileCall::shm_lock, 0, nullptr, 0, call);
}
void x_shm_barrier(sqlite3_file* f) {
  file_of(f).real()->pMethods->xShmBarrier(file_of(f).real());
}
int x_shm_unmap(sqlite3_file* f, int remove) {
  return file_of(f).real()->pMethods->xShmUnmap(file_of(f).real(), remove);
}

const sqlite3_io_methods methods = {2,          x_close,       x_read,       x_write,   x_truncate, x_sync,   x_size,
                                    x_lock,     x_unlock,      x_check_lock, x_control, x_sector,   x_traits, x_shm_map,
                                    x_shm_lock, x_shm_barrier, x_shm_unmap,  nullptr,   nullptr};

int v_open(sqlite3_vfs* vfs, const char* path, sqlite3_file* f, int flags, int* out_flags) {
  File& file = *new (f) File{};
  file.plan = &plan_of(vfs);
  file.path = path;
  const int code = guarded(file, FileCall::open, 0, nullptr, 0,
                           [&] { return real_vfs()->xOpen(real_vfs(), path, file.real(), flags, out_flags); });
  if (code == SQLITE_OK) file.base.pMethods = &methods;
  return code;
}
int v_delete(sqlite3_vfs* vfs, const char* path, int sync) {
  return guarded(plan_of(vfs), FileEvent{FileCall::remove, path},
                 [&] { return real_vfs()->xDelete(real_vfs(), path, sync); });
}
int v_access(sqlite3_vfs* vfs, const char* path, int flags, int* out) {
  return guarded(plan_of(vfs), FileEvent{FileCall::access, path},
                 [&] { return real_vfs()->xAccess(real_vfs(), path, flags, out); });
}
int v_full_path(sqlite3_vfs*, const char* path, int size, char* out) {
  return real_vfs()->xFullPathname(real_vfs(), path, size, out);
}
int v_random(sqlite3_vfs*, int size, char* out) {
  return real_vfs()->xRandomness(real_vfs(), size, out);
}
int v_sleep(sqlite3_vfs*, int micros) {
  return real_vfs()->xSleep(real_vfs(), micros);
}
int v_time(sqlite3_vfs*, double* out) {
  return real_vfs()->xCurrentTime(real_vfs(), out);
}
int v_last_error(sqlite3_vfs*, int size, char* out) {
  return real_vfs()->xGetLastError(real_vfs(), size, out);
}
int v_time64(sqlite3_vfs*, sqlite3_int64* out) {
  return real_vfs()->xCurrentTimeInt64(real_vfs(), out);
}

int failure_of(FileCall call) {
  switch (call) {
    case FileCall::open:
      return SQLITE_CANTOPEN;
    case FileCall::close:
      return SQLITE_IOERR_CLOSE;
    case FileCall::read:
      return SQLITE_IOERR_READ;
    case FileCall::write:
      return SQLITE_IOERR_WRITE;
    case FileCall::truncate:
      return SQLITE_IOERR_TRUNCATE;
    case FileCall::sync:
      return SQLITE_IOERR_FSYNC;
    case FileCall::size:
      return SQLITE_IOERR_FSTAT;
    case FileCall::lock:
      return SQLITE_IOERR_LOCK;
    case FileCall::remove:
      return SQLITE_IOERR_DELETE;
    case FileCall::access:
      return SQLITE_IOERR_ACCESS;
    case FileCall::shm_map:
      return SQLITE_IOERR_SHMMAP;
    case FileCall::shm_lock:
      return SQLITE_IOERR_SHMLOCK;
  }
  return SQLITE_IOERR;
}

std::atomic<int> registered{0};

}  // namespace

int FailNth::before(const FileEvent& event) {
  if (relented_) return SQLITE_OK;
  const std::int64_t call = ++calls_;
  const bool fails = for_ever_ ? call >= nth_ : call == nth_;
  return fails ? failure_of(event.call) : SQLITE_OK;
}

FaultVfs::FaultVfs(FaultPlan& plan) : name_("faults-" + std::to_string(++registered)) {
  sqlite3_vfs* real = real_vfs();
  if (real == nullptr) throw std::runtime_error("no unix VFS");
  vfs_.iVersion = 2;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  vfs_.mxPathname = real->mxPathname;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = &plan;
  vfs_.xOpen = v_open;
  vfs_.xDelete = v_delete;
  vfs_.xAccess = v_access;
  vfs_.xFullPathname = v_full_path;
  vfs_.xRandomness = v_random;
  vfs_.xSleep = v_sleep;
  vfs_.xCurrentTime = v_time;
  vfs_.xGetLastError = v_last_error;
  vfs_.xCurrentTimeInt64 = v_time64;
  if (sqlite3_vfs_register(&vfs_, 0) != SQLITE_OK) throw std::runtime_error("the VFS cannot be registered");
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

}  // namespace tokenstore::test
