// Backup, restore and copy.
#include "arguments.hpp"
#include "keyring.hpp"
#include "progress.hpp"

namespace tokenstore::python {

namespace {

// (made at, workspaces, owners, tokens, revision, store)
PyObject* described(const tokenstore_backup_info& info) {
  return Py_BuildValue("(LKKKKs)", static_cast<long long>(info.made_at),
                       static_cast<unsigned long long>(info.workspaces), static_cast<unsigned long long>(info.owners),
                       static_cast<unsigned long long>(info.tokens), static_cast<unsigned long long>(info.revision),
                       info.store);
}

// verify_backup(backup, keyring): see described()
PyObject* verify_backup(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  Text backup;
  const tokenstore_keyring* keyring = nullptr;
  if (!takes("verify_backup", count, 2) || !backup.read(args[0], "backup") || !read_keyring(state, args[1], keyring)) {
    return nullptr;
  }
  tokenstore_backup_info info{};
  info.struct_size = sizeof info;
  LibraryError error;
  const int32_t status =
      unlocked([&] { return tokenstore_verify_backup(backup.data, backup.size, keyring, &info, error.out()); });
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return described(info);
}

// restore(backup, keyring, database, overwrite, progress or None): (made at, tokens, owners, compared, lost endings,
// lost suspensions, lost tokens, lost changes, kept file)
PyObject* restore(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  Text backup;
  Text database;
  const tokenstore_keyring* keyring = nullptr;
  std::int32_t overwrite = 0;
  Progress progress;
  if (!takes("restore", count, 5) || !backup.read(args[0], "backup") || !read_keyring(state, args[1], keyring) ||
      !database.read(args[2], "path") || !read_flag(args[3], "overwrite", overwrite) || !progress.read(args[4])) {
    return nullptr;
  }
  tokenstore_restore_summary summary{};
  summary.struct_size = sizeof summary;
  LibraryError error;
  const int32_t status = progress.run(nullptr, [&] {
    return tokenstore_restore(backup.data, backup.size, keyring, database.data, database.size, overwrite,
                              progress.function(), &progress, &summary, error.out());
  });
  if (progress.raised()) return nullptr;
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  return Py_BuildValue(
      "(LKKNKKKKN)", static_cast<long long>(summary.made_at), static_cast<unsigned long long>(summary.tokens),
      static_cast<unsigned long long>(summary.owners), PyBool_FromLong(summary.compared),
      static_cast<unsigned long long>(summary.lost_endings), static_cast<unsigned long long>(summary.lost_suspensions),
      static_cast<unsigned long long>(summary.lost_tokens), static_cast<unsigned long long>(summary.lost_changes),
      text_object(summary.kept_file, summary.kept_file_size));
}

PyMethodDef functions[] = {
    fast("verify_backup", verify_backup),
    fast("restore", restore),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

// _backup(kind, name, place, overwrite, progress or None): see described()
PyObject* store_backup(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text place;
  std::int32_t overwrite = 0;
  Progress progress;
  if (!call || !takes("_backup", count, 5) || !read_actor(args, actor) || !place.read(args[2], "path") ||
      !read_flag(args[3], "overwrite", overwrite) || !progress.read(args[4])) {
    return nullptr;
  }
  tokenstore_backup_info info{};
  info.struct_size = sizeof info;
  const int32_t status = progress.run(&call.store(), [&] {
    return tokenstore_backup(call.handle(), &actor, place.data, place.size, overwrite, progress.function(), &progress,
                             &info, call.error().out());
  });
  if (progress.raised() || !call.succeeded(status)) return nullptr;
  return described(info);
}

// _copy(kind, name, path, delete extra, progress or None): (workspaces, tokens, owners, written, different)
PyObject* store_copy(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text database;
  std::int32_t delete_extra = 0;
  Progress progress;
  if (!call || !takes("_copy", count, 5) || !read_actor(args, actor) || !database.read(args[2], "path") ||
      !read_flag(args[3], "delete_extra", delete_extra) || !progress.read(args[4])) {
    return nullptr;
  }
  tokenstore_copy_summary summary{};
  summary.struct_size = sizeof summary;
  const int32_t status = progress.run(&call.store(), [&] {
    return tokenstore_copy(call.handle(), &actor, database.data, database.size, delete_extra, progress.function(),
                           &progress, &summary, call.error().out());
  });
  if (progress.raised() || !call.succeeded(status)) return nullptr;
  return Py_BuildValue("(KKKKK)", static_cast<unsigned long long>(summary.workspaces),
                       static_cast<unsigned long long>(summary.tokens), static_cast<unsigned long long>(summary.owners),
                       static_cast<unsigned long long>(summary.written),
                       static_cast<unsigned long long>(summary.different));
}

bool add_transfer(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tokenstore::python
