// The module tokenstore._postgres: makes a backend of the library's for PostgreSQL, which _core opens a store on. It is
// an extension of its own so that nobody needs libpq who does not use it, and holds nothing.
#include "../core/limited.hpp"
#include "tokenstore_postgres.h"

namespace {

constexpr const char* capsule_name = "tokenstore.backend";

// What _core has taken over is all zero.
void close_unused(PyObject* capsule) {
  auto* backend = static_cast<tokenstore_backend*>(PyCapsule_GetPointer(capsule, capsule_name));
  if (backend == nullptr) return;
  if (backend->struct_size != 0 && backend->close != nullptr) backend->close(backend->context);
  PyMem_Free(backend);
}

// backend(conninfo, schema, max_staleness, deadline, pool_size, must_exist, read_only, no_listener_thread)
PyObject* make_backend(PyObject* /*module*/, PyObject* args) {
  tokenstore_postgres_options options{};
  options.struct_size = sizeof options;
  PyObject* conninfo = nullptr;
  PyObject* schema = nullptr;
  long long max_staleness = 0;
  long long deadline = 0;
  Py_ssize_t pool_size = 0;
  int must_exist = 0;
  int read_only = 0;
  int no_listener_thread = 0;
  if (PyArg_ParseTuple(args, "UULLnppp", &conninfo, &schema, &max_staleness, &deadline, &pool_size, &must_exist,
                       &read_only, &no_listener_thread) == 0) {
    return nullptr;
  }
  Py_ssize_t conninfo_size = 0;
  Py_ssize_t schema_size = 0;
  options.conninfo = PyUnicode_AsUTF8AndSize(conninfo, &conninfo_size);
  options.schema = options.conninfo == nullptr ? nullptr : PyUnicode_AsUTF8AndSize(schema, &schema_size);
  if (options.schema == nullptr || pool_size < 0) {
    // Python's own error would hold the whole text, which may have a password in it.
    PyErr_Clear();
    PyErr_SetString(PyExc_ValueError, pool_size < 0
                                          ? "pool_size must be 1 or more"
                                          : "conninfo and schema hold half of a surrogate pair: pass text that UTF-8 "
                                            "can express");
    return nullptr;
  }
  options.conninfo_size = static_cast<size_t>(conninfo_size);
  options.schema_size = static_cast<size_t>(schema_size);
  options.max_staleness_ms = max_staleness;
  options.deadline_ms = deadline;
  options.pool_size = static_cast<uint64_t>(pool_size);
  options.must_exist = must_exist;
  options.read_only = read_only;
  options.no_listener_thread = no_listener_thread;
  auto* backend = static_cast<tokenstore_backend*>(PyMem_Calloc(1, sizeof(tokenstore_backend)));
  if (backend == nullptr) return PyErr_NoMemory();
  backend->struct_size = sizeof *backend;
  const int32_t status = tokenstore_postgres_backend(&options, backend);
  PyObject* capsule = status == TOKENSTORE_OK ? PyCapsule_New(backend, capsule_name, close_unused) : nullptr;
  if (capsule == nullptr) {
    if (status == TOKENSTORE_OK) {
      backend->close(backend->context);
    } else if (status == TOKENSTORE_OUT_OF_MEMORY) {
      PyErr_NoMemory();
    } else {
      PyErr_SetString(PyExc_ValueError, "the options for PostgreSQL are malformed: see open_postgres()");
    }
    PyMem_Free(backend);
  }
  return capsule;
}

PyMethodDef functions[] = {
    {"backend", make_backend, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {{0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "tokenstore._postgres", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace

// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is Python's rule
PyMODINIT_FUNC PyInit__postgres() {
  return PyModuleDef_Init(&definition);
}
