#include "clock.hpp"

#include <atomic>
#include <cstdint>
#include <new>

#include "arguments.hpp"

namespace tokenstore::python {

namespace {

struct ClockObject {
  PyObject_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      std::atomic<std::int64_t>
          wall;
  std::atomic<std::int64_t> monotonic;
};

ClockObject* from(PyObject* self) {
  return reinterpret_cast<ClockObject*>(self);
}

int64_t read_wall(void* context) {
  return static_cast<ClockObject*>(context)->wall.load();
}
int64_t read_monotonic(void* context) {
  return static_cast<ClockObject*>(context)->monotonic.load();
}

PyObject* clock_new(PyTypeObject* type, PyObject* args, PyObject* /*kwargs*/) {
  std::int64_t wall = 0;
  PyObject* start = PyTuple_Size(args) == 1 ? PyTuple_GetItem(args, 0) : nullptr;
  if (start == nullptr) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_TypeError, "a clock takes milliseconds since 1970");
    return nullptr;
  }
  if (!read_number(start, "start", wall)) return nullptr;
  PyObject* made = PyType_GenericAlloc(type, 0);
  if (made == nullptr) return nullptr;
  new (&from(made)->wall) std::atomic<std::int64_t>(wall);
  new (&from(made)->monotonic) std::atomic<std::int64_t>(1);
  return made;
}

void clock_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyObject* clock_wall(PyObject* self, PyObject* /*unused*/) {
  return PyLong_FromLongLong(from(self)->wall.load());
}

PyObject* clock_advance(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  std::int64_t by = 0;
  if (!takes("_advance", count, 1) || !read_number(args[0], "the step", by)) return nullptr;
  std::int64_t sum = 0;
  if (by < 0 || __builtin_add_overflow(from(self)->wall.load(), by, &sum) ||
      __builtin_add_overflow(from(self)->monotonic.load(), by, &sum)) {
    PyErr_SetString(PyExc_ValueError, "a clock advances by a time that is not negative, and not beyond 64 bits");
    return nullptr;
  }
  from(self)->wall.fetch_add(by);
  from(self)->monotonic.fetch_add(by);
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* clock_set(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  std::int64_t wall = 0;
  if (!takes("_set", count, 1) || !read_number(args[0], "the time", wall)) return nullptr;
  from(self)->wall.store(wall);
  Py_INCREF(Py_None);
  return Py_None;
}

PyMethodDef methods[] = {
    plain("_wall", clock_wall),
    fast("_advance", clock_advance),
    fast("_set", clock_set),
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(clock_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(clock_dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore._core.Clock", sizeof(ClockObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

bool read_clock(const State& state, PyObject* object, tokenstore_clock& out) {
  const int is_clock = PyObject_IsInstance(object, state.clock_type);
  if (is_clock <= 0) return is_clock == 0 && refuse_type(object, "clock", "a ManualClock or None");
  out = {sizeof out, read_wall, read_monotonic, object};
  return true;
}

bool add_clock(PyObject* module, State& state) {
  return add_type(module, spec, "Clock", state.clock_type);
}

}  // namespace tokenstore::python
