// The module tokenstore._core: its state, its types and how exceptions are raised. Made anew for each interpreter.
#include "arguments.hpp"
#include "state.hpp"

namespace tokenstore::python {

bool raise_status(const State& state, int32_t status, const LibraryError& error) {
  PyObject* type = nullptr;
  if (state.errors != nullptr && status > 0 && status < statuses) type = PyTuple_GetItem(state.errors, status);
  if (type == nullptr) {
    PyErr_Clear();
    type = PyExc_RuntimeError;
  }
  std::size_t size = 0;
  const char* line = tokenstore_error_message(error.get(), &size);
  if (size == 0) line = tokenstore_status_name(status);
  PyErr_SetString(type, line);
  return false;
}

bool add_type(PyObject* module, PyType_Spec& spec, const char* name, PyObject*& place) {
  place = PyType_FromSpec(&spec);
  if (place == nullptr) return false;
  Py_INCREF(place);  // for the module
  if (PyModule_AddObject(module, name, place) == 0) return true;
  Py_DECREF(place);
  return false;
}

namespace {

bool keep(PyObject* value, PyObject*& place) {
  Py_INCREF(value);
  PyObject* before = place;
  place = value;
  Py_XDECREF(before);
  return true;
}

bool keep_tuple(PyObject* value, Py_ssize_t size, const char* name, PyObject*& place) {
  if (!PyTuple_Check(value) || PyTuple_Size(value) != size) {
    PyErr_Format(PyExc_TypeError, "%s must be a tuple of %zd: this is not the _core of this tokenstore", name, size);
    return false;
  }
  return keep(value, place);
}

// register(errors, outcomes, reasons, closed, to_time)
PyObject* register_types(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  State& state = state_of(module);
  if (!takes("register", count, 5) || !keep_tuple(args[0], statuses, "errors", state.errors) ||
      !keep_tuple(args[1], outcomes, "outcomes", state.outcomes) ||
      !keep_tuple(args[2], reasons, "reasons", state.reasons)) {
    return nullptr;
  }
  keep(args[3], state.closed);
  keep(args[4], state.to_time);
  Py_INCREF(Py_None);
  return Py_None;
}

using Name = const char* (*)(int32_t);

template <Name name_of>
PyObject* name_function(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count) {
  std::int32_t number = 0;
  if (!takes("a name", count, 1) || !read_small_number(args[0], "the number", number)) return nullptr;
  return PyUnicode_FromString(name_of(number));
}

PyMethodDef functions[] = {
    fast("register", register_types),
    fast("status_name", name_function<tokenstore_status_name>),
    fast("outcome_name", name_function<tokenstore_outcome_name>),
    fast("reason_name", name_function<tokenstore_reason_name>),
    fast("state_name", name_function<tokenstore_state_name>),
    fast("deed_name", name_function<tokenstore_deed_name>),
    {nullptr, nullptr, 0, nullptr},
};

template <typename Visit>
int each(State& state, Visit visit) {
  PyObject** const places[] = {&state.store_type,     &state.verdict_type, &state.secret_type, &state.keyring_type,
                               &state.clock_type,     &state.errors,       &state.outcomes,    &state.reasons,
                               &state.closed,         &state.to_time,      &state.text,        &state.scope,
                               &state.client_address, &state.faults_type};
  for (PyObject** place : places) {
    if (const int stop = visit(*place); stop != 0) return stop;
  }
  return 0;
}

int module_traverse(PyObject* module, visitproc visit, void* arg) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  if (state == nullptr) return 0;
  return each(*state, [&](PyObject* object) { return object == nullptr ? 0 : visit(object, arg); });
}

int module_clear(PyObject* module) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  if (state == nullptr) return 0;
  return each(*state, [](PyObject*& object) {
    PyObject* before = object;
    object = nullptr;
    Py_XDECREF(before);
    return 0;
  });
}

void module_free(void* module) {
  module_clear(static_cast<PyObject*>(module));
}

bool intern(const char* name, PyObject*& place) {
  place = PyUnicode_InternFromString(name);
  return place != nullptr;
}

int module_exec(PyObject* module) {
  State& state = state_of(module);
  const bool done = intern("text", state.text) && intern("scope", state.scope) &&
                    intern("client_address", state.client_address) && add_verdict(module, state) &&
                    add_secret_text(module, state) && add_clock(module, state) && add_faults(module, state) &&
                    add_keyring(module, state) && add_store(module, state) && add_transfer(module) &&
                    add_journal(module) && PyModule_AddStringConstant(module, "version", tokenstore_version()) == 0 &&
                    PyModule_AddIntConstant(module, "version_number", tokenstore_version_number()) == 0 &&
                    PyModule_AddIntConstant(module, "abi_version", tokenstore_abi_version()) == 0;
  return done ? 0 : -1;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(module_exec)},
    {0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tokenstore._core", nullptr,    sizeof(State), functions, slots,
                          module_traverse,       module_clear,       module_free};

}  // namespace

}  // namespace tokenstore::python

// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is Python's rule
PyMODINIT_FUNC PyInit__core() {
  return PyModuleDef_Init(&tokenstore::python::definition);
}
