#include "store.hpp"

#include <chrono>
#include <thread>

#include "clock.hpp"
#include "keyring.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::python {

bool usable(const StoreObject& store) {
  if (store.handle == nullptr || store.closing) {
    PyObject* closed = state_of(store.module).closed;
    PyErr_SetString(closed == nullptr ? PyExc_ValueError : closed, "the store is closed: open it again");
    return false;
  }
  if (store.telling != 0 && store.telling == PyThread_get_thread_ident()) {
    PyErr_SetString(PyExc_RuntimeError, "a progress function may not call the store that calls it: return first");
    return false;
  }
  return true;
}

bool read_actor(PyObject* const* args, tokenstore_actor& out) {
  Text name;
  out = {};
  out.struct_size = sizeof out;
  if (!read_small_number(args[0], "the kind of the actor", out.kind) || !name.read(args[1], "the actor's name")) {
    return false;
  }
  out.name = name.data;
  out.name_size = name.size;
  return true;
}

namespace {

void free_handle(tokenstore_store* handle) {
  if (handle != nullptr) unlocked([handle] { return tokenstore_free(handle), 0; });
}

void store_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  StoreObject* store = store_from(self);
  free_handle(store->handle);
  Py_XDECREF(store->clock);
  Py_XDECREF(store->module);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyObject* store_new(PyTypeObject* /*type*/, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyErr_SetString(PyExc_TypeError, "open a store by tokenstore.open(), open_memory() or open_postgres()");
  return nullptr;
}

PyObject* store_close(PyObject* self, PyObject* /*unused*/) {
  StoreObject* store = store_from(self);
  if (store->handle != nullptr && !store->closing) {
    if (!usable(*store)) return nullptr;
    store->closing = true;
    // Closing is rare, and the calls that it waits for end by themselves: looking now and then needs no lock that a
    // fork could leave taken.
    while (store->users > 0) {
      unlocked([] { return std::this_thread::sleep_for(std::chrono::microseconds(500)), 0; });
    }
    tokenstore_store* handle = store->handle;
    store->handle = nullptr;
    free_handle(handle);
    store->closing = false;
  } else {
    // Somebody else is closing it: it is closed when this returns, as for them.
    while (store->closing) unlocked([] { return std::this_thread::sleep_for(std::chrono::microseconds(500)), 0; });
  }
  Py_INCREF(Py_None);
  return Py_None;
}

// In a forked child none of the parent's other threads goes on, so nobody has to be waited for.
PyObject* store_after_fork(PyObject* self, PyObject* /*unused*/) {
  store_from(self)->users = 0;
  store_from(self)->telling = 0;
  store_from(self)->closing = false;
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* store_is_closed(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(static_cast<long>(store_from(self)->handle == nullptr || store_from(self)->closing));
}

// (workspace, prefix, created key file)
PyObject* store_names(PyObject* self, PyObject* /*unused*/) {
  const Call call(self);
  if (!call) return nullptr;
  std::size_t workspace_size = 0;
  std::size_t prefix_size = 0;
  std::size_t key_file_size = 0;
  const char* workspace = tokenstore_workspace(call.handle(), &workspace_size);
  const char* prefix = tokenstore_prefix(call.handle(), &prefix_size);
  const char* key_file = tokenstore_created_key_file(call.handle(), &key_file_size);
  return Py_BuildValue("(NNN)", text_object(workspace, workspace_size), text_object(prefix, prefix_size),
                       text_object(key_file, key_file_size));
}

bool read_into(PyObject* object, const char* name, const char*& data, std::size_t& size) {
  Text text;
  if (!text.read_optional(object, name)) return false;
  data = text.data;
  size = text.size;
  return true;
}

constexpr Py_ssize_t open_arguments = 23;

// open_store(cls, kind, path, key_file, key_credential, keyring, workspace, prefix, vfs, clock, busy_timeout_ms,
//            use_interval_ms, cache_bytes, durability, read_only, must_exist, workspace_must_exist, upkeep_thread,
//            key_file_trust, backend, journal, journal_segment_bytes, journal_segment_age_ms)
bool read_options(PyObject* const* args, const State& state, tokenstore_open_options& options,
                  tokenstore_clock& clock) {
  options = {};
  options.struct_size = sizeof options;
  if (!read_small_number(args[1], "kind", options.backend) ||
      !read_into(args[2], "path", options.path, options.path_size) ||
      !read_into(args[3], "key_file", options.key_file, options.key_file_size) ||
      !read_into(args[4], "key_credential", options.key_credential, options.key_credential_size) ||
      !read_keyring(state, args[5], options.keyring) ||
      !read_into(args[6], "workspace", options.workspace, options.workspace_size) ||
      !read_into(args[7], "prefix", options.prefix, options.prefix_size) ||
      !read_into(args[8], "vfs", options.vfs, options.vfs_size) ||
      !read_number(args[10], "busy_timeout", options.busy_timeout_ms) ||
      !read_number(args[11], "use_interval", options.use_interval_ms) ||
      !read_number(args[12], "cache_bytes", options.cache_bytes) ||
      !read_small_number(args[13], "durability", options.durability) ||
      !read_flag(args[14], "read_only", options.read_only) || !read_flag(args[15], "must_exist", options.must_exist) ||
      !read_flag(args[16], "workspace_must_exist", options.workspace_must_exist) ||
      !read_flag(args[17], "upkeep_thread", options.upkeep_thread) ||
      !read_small_number(args[18], "key_file_trust", options.key_file_trust) ||
      !read_into(args[20], "journal", options.journal, options.journal_size) ||
      !read_number(args[21], "journal_segment_bytes", options.journal_segment_bytes) ||
      !read_number(args[22], "journal_segment_age", options.journal_segment_age_ms)) {
    return false;
  }
  if (args[9] != Py_None) {
    if (!read_clock(state, args[9], clock)) return false;
    options.clock = &clock;
  }
  return true;
}

// A capsule that holds a tokenstore_backend, made by the extension of another storage. Its `close` is ours to call
// until the library has taken the backend over; the capsule's own destructor calls it if nobody did.
bool take_backend(PyObject* capsule, tokenstore_backend*& out) {
  if (capsule == Py_None) return true;
  out = static_cast<tokenstore_backend*>(PyCapsule_GetPointer(capsule, "tokenstore.backend"));
  if (out == nullptr) return false;
  if (out->struct_size == 0) {
    PyErr_SetString(PyExc_ValueError, "this backend was opened before: make another");
    return false;
  }
  return true;
}

PyObject* open_store(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  const State& state = state_of(module);
  tokenstore_open_options options;
  tokenstore_clock clock{};
  tokenstore_backend* backend = nullptr;
  if (!takes("open_store", count, open_arguments) || !read_options(args, state, options, clock) ||
      !take_backend(args[19], backend)) {
    return nullptr;
  }
  Ref made(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(args[0]), 0));
  if (!made) return nullptr;
  StoreObject* store = store_from(made.get());
  Py_INCREF(module);
  store->module = module;
  if (args[9] != Py_None) {
    Py_INCREF(args[9]);
    store->clock = args[9];
  }
  LibraryError error;
  tokenstore_store* handle = nullptr;
  tokenstore_backend taken{};
  if (backend != nullptr) {
    taken = *backend;
    *backend = {};
  }
  const int32_t status = unlocked([&] {
    return backend != nullptr ? tokenstore_open_backend(&options, &taken, &handle, error.out())
                              : tokenstore_open(&options, &handle, error.out());
  });
  if (status != TOKENSTORE_OK) {
    raise_status(state, status, error);
    return nullptr;
  }
  store->handle = handle;
  return made.release();
}

PyMethodDef validate_method() {
  return {
      "validate", as_method(store_validate), METH_FASTCALL | METH_KEYWORDS,
      "validate($self, text, scope, *, client_address=None)\n--\n\n"
      "May the bearer of this text do what the scope names, now? The only way to ask.\n\n"
      "``text`` is what the client sent, without \"Bearer \", as a str (or a SecretText). Let the request go on if\n"
      "and only if ``valid`` of the Verdict is true."};
}

PyMethodDef try_validate_method() {
  return {"try_validate", as_method(store_try_validate), METH_FASTCALL | METH_KEYWORDS,
          "try_validate($self, text, scope, *, client_address=None)\n--\n\n"
          "The same if memory alone can answer, as it can most of the time; else None: ask validate() where waiting\n"
          "does no harm. It never waits for storage, so an event loop may call it."};
}

PyMethodDef methods[] = {
    validate_method(),
    try_validate_method(),
    plain("close", store_close,
          "close($self, /)\n--\n\n"
          "Writes out last uses and closes the store, after the calls of other threads that are under way.\n\n"
          "Every other change is durable already. Closing it twice is fine; any other call then raises Closed."),
    plain("_after_fork", store_after_fork),
    plain("_is_closed", store_is_closed),
    plain("_names", store_names),
    plain("_why_unavailable", store_why_unavailable),
    fast("_issue", store_issue),
    fast("_issue_many", store_issue_many),
    fast("_get", store_get),
    fast("_expire", store_expire),
    fast("_revoke", store_revoke),
    fast("_revoke_all", store_revoke_all),
    fast("_delete", store_delete),
    fast("_list", store_list),
    fast("_count", store_count),
    fast("_owner_get", store_owner_get),
    fast("_owner_set", store_owner_set),
    fast("_owner_suspend", store_owner_suspend),
    fast("_owner_resume", store_owner_resume),
    fast("_owner_list", store_owner_list),
    fast("_policy_get", store_policy_get),
    fast("_policy_set", store_policy_set),
    fast("_purge", store_purge),
    fast("_maintain", store_maintain),
    fast("_reseal", store_reseal),
    fast("_heal", store_heal),
    fast("_key_add", store_key_add),
    fast("_key_activate", store_key_activate),
    fast("_key_retire", store_key_retire),
    fast("_key_remove", store_key_remove),
    fast("_key_status", store_key_status),
    plain("_keys_reload", store_keys_reload),
    fast("_check", store_check),
    fast("_backup", store_backup),
    fast("_copy", store_copy),
    plain("_statistics", store_statistics),
    plain("_now", store_now),
    plain("_scanner_pattern", store_scanner_pattern),
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(store_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(store_dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore._core.Store", sizeof(StoreObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

PyMethodDef functions[] = {
    fast("open_store", open_store),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_store(PyObject* module, State& state) {
  return add_type(module, spec, "Store", state.store_type) && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tokenstore::python
