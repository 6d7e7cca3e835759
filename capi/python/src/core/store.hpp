// Store: an open store, what TokenStore is derived from. Any thread may call any function at any time; close() waits
// for the calls under way, and every later one raises Closed.
//
// The functions here take and return plain numbers and texts, one by one in a fixed order, with -1 for never as in the
// C header: the typed layer in Python gives them their names and types. Only validate() is called by hosts as it is
// here.
//
// `users`, `closing` and `handle` are read and written with the interpreter lock held, and need no other.
#ifndef TOKENSTORE_PYTHON_STORE_HPP
#define TOKENSTORE_PYTHON_STORE_HPP

#include <cstdint>

#include "arguments.hpp"
#include "state.hpp"

namespace tokenstore::python {

struct StoreObject {
  PyObject_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      PyObject* module;
  PyObject* clock;           // what the library's clock reads; NULL for the system's
  tokenstore_store* handle;  // NULL: closed
  Py_ssize_t users;          // calls under way that have let go of the interpreter lock
  unsigned long telling;     // the thread in whose progress function a check is; 0: none
  bool closing;
};

inline StoreObject* store_from(PyObject* self) {
  return reinterpret_cast<StoreObject*>(self);
}

/// True if the store may be called; else with an exception.
bool usable(const StoreObject& store);

/// A call under way: while it lives, close() waits.
class Call {
 public:
  explicit Call(PyObject* self) : store_(*store_from(self)), entered_(usable(store_)) {
    if (entered_) ++store_.users;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (entered_ && store_.users > 0) --store_.users;
  }

  explicit operator bool() const noexcept { return entered_; }
  [[nodiscard]] tokenstore_store* handle() const noexcept { return store_.handle; }
  [[nodiscard]] State& state() const { return state_of(store_.module); }
  [[nodiscard]] StoreObject& store() const noexcept { return store_; }
  LibraryError& error() noexcept { return error_; }
  /// True for OK; else the exception is set.
  bool succeeded(int32_t status) { return status == TOKENSTORE_OK || raise_status(state(), status, error_); }

 private:
  StoreObject& store_;
  bool entered_;
  LibraryError error_;
};

/// A handle of the library, and what frees it.
template <typename Type, void (*release)(Type*)>
class Handle {
 public:
  Handle() noexcept = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { release(handle_); }

  Type** out() noexcept { return &handle_; }
  [[nodiscard]] Type* get() const noexcept { return handle_; }

 private:
  Type* handle_ = nullptr;
};

/// From two arguments: kind and name.
bool read_actor(PyObject* const* args, tokenstore_actor& out);

PyObject* store_validate(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* store_try_validate(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* store_why_unavailable(PyObject* self, PyObject* unused);

PyObject* store_issue(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_issue_many(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_get(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_expire(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_revoke(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_revoke_all(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_delete(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_list(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_count(PyObject* self, PyObject* const* args, Py_ssize_t count);

PyObject* store_owner_get(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_owner_set(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_owner_suspend(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_owner_resume(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_owner_list(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_policy_get(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_policy_set(PyObject* self, PyObject* const* args, Py_ssize_t count);

PyObject* store_purge(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_maintain(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_reseal(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_heal(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_key_add(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_key_activate(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_key_retire(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_key_remove(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_key_status(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_keys_reload(PyObject* self, PyObject* unused);
PyObject* store_check(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_backup(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_copy(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* store_statistics(PyObject* self, PyObject* unused);
PyObject* store_now(PyObject* self, PyObject* unused);
PyObject* store_scanner_pattern(PyObject* self, PyObject* unused);

}  // namespace tokenstore::python

#endif
