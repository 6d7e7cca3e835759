// What one interpreter's copy of the module holds. There is nothing outside it: two interpreters share nothing.
//
// The typed layer in Python hands its exceptions and enums over once, by register(), because they are written there.
#ifndef TOKENSTORE_PYTHON_STATE_HPP
#define TOKENSTORE_PYTHON_STATE_HPP

#include "limited.hpp"
#include "tokenstore.h"

namespace tokenstore::python {

constexpr int statuses = TOKENSTORE_NOT_JOURNALED + 1;
constexpr int outcomes = TOKENSTORE_OUTCOME_INVALID + 1;
constexpr int reasons = TOKENSTORE_REASON_ROLLED_BACK + 1;

struct State {
  PyObject* store_type;
  PyObject* verdict_type;
  PyObject* secret_type;
  PyObject* keyring_type;
  PyObject* clock_type;
  PyObject* faults_type;
  // From register(): tuples with a place for each number, a class, and a function from milliseconds to a datetime.
  PyObject* errors;
  PyObject* outcomes;
  PyObject* reasons;
  PyObject* closed;
  PyObject* to_time;
  // Interned: the names of validate's arguments.
  PyObject* text;
  PyObject* scope;
  PyObject* client_address;
};

inline State& state_of(PyObject* module) {
  return *static_cast<State*>(PyModule_GetState(module));
}

/// Owns one reference.
class Ref {
 public:
  explicit Ref(PyObject* object = nullptr) noexcept : object_(object) {}
  Ref(Ref&& other) noexcept : object_(other.release()) {}
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  Ref& operator=(Ref&&) = delete;
  ~Ref() { Py_XDECREF(object_); }

  explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  PyObject* release() noexcept {
    PyObject* object = object_;
    object_ = nullptr;
    return object;
  }

 private:
  PyObject* object_;
};

/// Lets other threads of the interpreter run while it lives.
class Unlocked {
 public:
  Unlocked() noexcept : thread_(PyEval_SaveThread()) {}
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;
  ~Unlocked() { PyEval_RestoreThread(thread_); }

 private:
  PyThreadState* thread_;
};

/// Calls it without the interpreter lock: for everything that may block.
template <typename Function>
auto unlocked(Function function) {
  const Unlocked released;
  return function();
}

/// Frees an error of the library.
class LibraryError {
 public:
  LibraryError() noexcept = default;
  LibraryError(const LibraryError&) = delete;
  LibraryError& operator=(const LibraryError&) = delete;
  ~LibraryError() { tokenstore_error_free(error_); }

  tokenstore_error** out() noexcept { return &error_; }
  [[nodiscard]] const tokenstore_error* get() const noexcept { return error_; }

 private:
  tokenstore_error* error_ = nullptr;
};

/// Sets the exception of a status, with the library's line as its text. Always false.
bool raise_status(const State& state, int32_t status, const LibraryError& error);

/// The functions of a type or module, as CPython wants them.
using FastFunction = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);
using FastKeywordFunction = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);

template <typename Function>
PyCFunction as_method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}
inline PyMethodDef fast(const char* name, FastFunction function, const char* about = nullptr) {
  return {name, as_method(function), METH_FASTCALL, about};
}
inline PyMethodDef plain(const char* name, PyCFunction function, const char* about = nullptr) {
  return {name, function, METH_NOARGS, about};
}

/// A new type of the module, kept in `place` and added under `name`. False with an exception if that failed.
bool add_type(PyObject* module, PyType_Spec& spec, const char* name, PyObject*& place);

bool add_verdict(PyObject* module, State& state);
bool add_secret_text(PyObject* module, State& state);
bool add_clock(PyObject* module, State& state);
bool add_faults(PyObject* module, State& state);
bool add_keyring(PyObject* module, State& state);
bool add_store(PyObject* module, State& state);
bool add_journal(PyObject* module);
bool add_transfer(PyObject* module);

}  // namespace tokenstore::python

#endif
