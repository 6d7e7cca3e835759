// Storage in memory that fails or waits when it is told to: what tokenstore.testing opens stores on. Every entry of the
// library's own backend in memory goes through a switch; what is stored, and how, stays that backend's.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <thread>
#include <tuple>
#include <utility>

#include "arguments.hpp"
#include "state.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::python {

namespace {

constexpr const char* capsule_name = "tokenstore.backend";
constexpr char about_failing[] = "the storage was told to fail; let it work again, by leaving failing()";

// Shared by the object that is told and the backend that obeys; either may go first.
struct Switches {
  std::atomic<bool> failing = false;
  std::atomic<std::int64_t> delay_ms = 0;
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> lost = 0;  // pulses that could not be read
};

struct Wrapped {
  tokenstore_backend inner;
  std::shared_ptr<Switches> switches;
};

template <auto entry, typename Type = decltype(entry)>
struct Switched;

template <auto entry, typename... Arguments>
struct Switched<entry, std::int32_t (*tokenstore_backend::*)(void*, Arguments...)> {
  static std::int32_t call(void* context, Arguments... arguments) {
    const Wrapped& wrapped = *static_cast<Wrapped*>(context);
    wrapped.switches->calls.fetch_add(1);
    const std::int64_t delay = wrapped.switches->delay_ms.load();
    if (delay > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    if (wrapped.switches->failing.load()) {
      tokenstore_answer* answer = std::get<sizeof...(Arguments) - 1>(std::tie(arguments...));
      return answer->fail(answer, TOKENSTORE_UNAVAILABLE, about_failing, sizeof about_failing - 1);
    }
    return (wrapped.inner.*entry)(wrapped.inner.context, arguments...);
  }
};

std::int32_t open_inner(void* context, tokenstore_signal* signal, tokenstore_answer* answer) {
  const Wrapped& wrapped = *static_cast<Wrapped*>(context);
  return wrapped.inner.open == nullptr ? TOKENSTORE_OK : wrapped.inner.open(wrapped.inner.context, signal, answer);
}

void close_inner(void* context) {
  const std::unique_ptr<Wrapped> wrapped(static_cast<Wrapped*>(context));
  wrapped->inner.close(wrapped->inner.context);
}

// Storage that fails cannot say that nothing has changed, so nobody answers from memory either.
tokenstore_pulse pulse(void* context) {
  const Wrapped& wrapped = *static_cast<Wrapped*>(context);
  tokenstore_pulse read = wrapped.inner.pulse(wrapped.inner.context);
  Switches& switches = *wrapped.switches;
  read.counter += switches.failing.load() ? switches.lost.fetch_add(1) + 1 : switches.lost.load();
  return read;
}

template <auto entry>
void put_switch(tokenstore_backend& backend) {
  if (backend.*entry != nullptr) backend.*entry = Switched<entry>::call;
}

tokenstore_backend wrapping(const Wrapped& wrapped) {
  using Backend = tokenstore_backend;
  Backend backend = wrapped.inner;
  backend.name = "faulty-memory";
  backend.name_size = 13;
  backend.open = open_inner;
  backend.close = close_inner;
  backend.pulse = pulse;
  put_switch<&Backend::load_token>(backend);
  put_switch<&Backend::load_owner>(backend);
  put_switch<&Backend::load_workspace>(backend);
  put_switch<&Backend::load_store>(backend);
  put_switch<&Backend::list_tokens>(backend);
  put_switch<&Backend::list_owners>(backend);
  put_switch<&Backend::list_workspaces>(backend);
  put_switch<&Backend::count_tokens>(backend);
  put_switch<&Backend::count_live>(backend);
  put_switch<&Backend::list_ended>(backend);
  put_switch<&Backend::commit>(backend);
  put_switch<&Backend::changes>(backend);
  put_switch<&Backend::record_uses>(backend);
  put_switch<&Backend::maintain>(backend);
  put_switch<&Backend::check_integrity>(backend);
  return backend;
}

struct FaultsObject {
  PyObject_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      std::shared_ptr<Switches>
          switches;
};

Switches& switches_of(PyObject* self) {
  return *reinterpret_cast<FaultsObject*>(self)->switches;
}

PyObject* faults_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) {
  std::shared_ptr<Switches> switches;
  try {
    switches = std::make_shared<Switches>();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  PyObject* made = PyType_GenericAlloc(type, 0);
  if (made == nullptr) return nullptr;
  new (&reinterpret_cast<FaultsObject*>(made)->switches) std::shared_ptr<Switches>(std::move(switches));
  return made;
}

void faults_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<FaultsObject*>(self)->switches.~shared_ptr();
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

// What _core has taken over is all zero.
void close_unused(PyObject* capsule) {
  const std::unique_ptr<tokenstore_backend> backend(
      static_cast<tokenstore_backend*>(PyCapsule_GetPointer(capsule, capsule_name)));
  if (backend != nullptr && backend->struct_size != 0) backend->close(backend->context);
}

// For open_store(), once for each store.
PyObject* faults_backend(PyObject* self, PyObject* /*unused*/) {
  try {
    auto backend = std::make_unique<tokenstore_backend>();
    auto wrapped = std::make_unique<Wrapped>();
    wrapped->switches = reinterpret_cast<FaultsObject*>(self)->switches;
    wrapped->inner.struct_size = sizeof wrapped->inner;
    if (tokenstore_memory_backend(&wrapped->inner, nullptr) != TOKENSTORE_OK) return PyErr_NoMemory();
    *backend = wrapping(*wrapped);
    backend->context = wrapped.release();
    PyObject* capsule = PyCapsule_New(backend.get(), capsule_name, close_unused);
    if (capsule == nullptr) {
      close_inner(backend->context);
      return nullptr;
    }
    static_cast<void>(backend.release());
    return capsule;
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyObject* faults_set_failing(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  std::int32_t failing = 0;
  if (!takes("_set_failing", count, 1) || !read_flag(args[0], "failing", failing)) return nullptr;
  return PyBool_FromLong(static_cast<long>(switches_of(self).failing.exchange(failing != 0)));
}

PyObject* faults_set_delay(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  std::int64_t delay = 0;
  if (!takes("_set_delay", count, 1) || !read_number(args[0], "the delay", delay)) return nullptr;
  return PyLong_FromLongLong(switches_of(self).delay_ms.exchange(delay));
}

PyObject* faults_calls(PyObject* self, PyObject* /*unused*/) {
  return PyLong_FromUnsignedLongLong(switches_of(self).calls.load());
}

PyMethodDef methods[] = {
    plain("_backend", faults_backend), fast("_set_failing", faults_set_failing), fast("_set_delay", faults_set_delay),
    plain("_calls", faults_calls),     {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(faults_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(faults_dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore._core.Faults", sizeof(FaultsObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                    slots};

}  // namespace

bool add_faults(PyObject* module, State& state) {
  return add_type(module, spec, "Faults", state.faults_type);
}

}  // namespace tokenstore::python
