#include "secret_text.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tokenstore::python {

namespace {

struct SecretObject {
  PyObject_VAR_HEAD  // NOLINT(readability-misleading-indentation): the macro brings its own semicolon
      bool wiped;
  char text[1];
};

SecretObject* from(PyObject* self) {
  return reinterpret_cast<SecretObject*>(self);
}
std::size_t size_of(PyObject* self) {
  return static_cast<std::size_t>(Py_SIZE(self));
}

void secret_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  wipe(from(self)->text, size_of(self));
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* secret_new(PyTypeObject* /*type*/, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyErr_SetString(PyExc_TypeError, "a SecretText is not made by hand: issue() returns one");
  return nullptr;
}

PyObject* secret_reveal(PyObject* self, PyObject* /*unused*/) {
  Text text;
  return read_secret_text(self, text) ? text_object(text.data, text.size) : nullptr;
}

PyObject* secret_wipe(PyObject* self, PyObject* /*unused*/) {
  wipe(from(self)->text, size_of(self));
  from(self)->wiped = true;
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* secret_repr(PyObject* /*self*/) {
  return PyUnicode_FromString("<SecretText: reveal() shows it>");
}

PyObject* secret_format(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*count*/) {
  return secret_repr(self);
}

PyObject* secret_refuse_pickle(PyObject* /*self*/, PyObject* const* /*args*/, Py_ssize_t /*count*/) {
  PyErr_SetString(PyExc_TypeError, "a SecretText is neither copied nor pickled: reveal() it where it is needed");
  return nullptr;
}

PyObject* secret_compare(PyObject* self, PyObject* other, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || PyUnicode_Check(other) || PyBytes_Check(other)) {
    PyErr_SetString(PyExc_TypeError, "a SecretText is not compared: ask TokenStore.validate() about a text");
    return nullptr;
  }
  PyObject* answer = (self == other) == (operation == Py_EQ) ? Py_True : Py_False;
  Py_INCREF(answer);
  return answer;
}

Py_hash_t secret_hash(PyObject* self) {
  const auto place = static_cast<Py_hash_t>(reinterpret_cast<std::uintptr_t>(self) >> 4);
  return place == -1 ? -2 : place;
}

PyMethodDef methods[] = {
    plain("reveal", secret_reveal,
          "reveal($self, /)\n--\n\nThe text as a str: hand it to its owner now, it is kept nowhere else."),
    plain("wipe", secret_wipe, "wipe($self, /)\n--\n\nOverwrites the text. reveal() then raises ValueError."),
    fast("__format__", secret_format),
    fast("__reduce__", secret_refuse_pickle),
    fast("__reduce_ex__", secret_refuse_pickle),
    {nullptr, nullptr, 0, nullptr},
};

constexpr const char about[] =
    "A secret that nothing shows by accident: neither print, format, logging nor a traceback.\n\n"
    "``reveal()`` returns it. It is wiped when the object goes, or by ``wipe()``.";

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>(about)},
    {Py_tp_new, reinterpret_cast<void*>(secret_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(secret_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(secret_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(secret_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(secret_compare)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"tokenstore.SecretText", offsetof(SecretObject, text), 1, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyObject* new_secret_text(const State& state, const char* data, std::size_t size) {
  auto* made = reinterpret_cast<SecretObject*>(
      PyObject_NewVar(SecretObject, reinterpret_cast<PyTypeObject*>(state.secret_type), static_cast<Py_ssize_t>(size)));
  if (made == nullptr) return nullptr;
  made->wiped = false;
  std::memcpy(made->text, data, size);
  return reinterpret_cast<PyObject*>(made);
}

bool read_secret_text(PyObject* secret, Text& out) {
  if (from(secret)->wiped) {
    PyErr_SetString(PyExc_ValueError, "the text was wiped: it is kept nowhere, so issue another token");
    return false;
  }
  out.data = from(secret)->text;
  out.size = size_of(secret);
  return true;
}

bool add_secret_text(PyObject* module, State& state) {
  return add_type(module, spec, "SecretText", state.secret_type);
}

}  // namespace tokenstore::python
