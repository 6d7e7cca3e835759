#include "arguments.hpp"

#include <limits>

namespace tokenstore::python {

bool refuse_type(PyObject* object, const char* name, const char* wanted) {
  PyObject* type_name = PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__");
  if (type_name != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s must be %s, not %U", name, wanted, type_name);
    Py_DECREF(type_name);
  }
  return false;
}

bool takes(const char* function, Py_ssize_t given, Py_ssize_t wanted) {
  if (given == wanted) return true;
  PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", function, wanted, given);
  return false;
}

bool Text::read(PyObject* object, const char* name) {
  if (!PyUnicode_Check(object)) return refuse_type(object, name, "a str");
  Py_ssize_t octets = 0;
  data = PyUnicode_AsUTF8AndSize(object, &octets);
  if (data == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) return false;
    // Python's own error would hold the whole text, which may be a secret.
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s holds half of a surrogate pair: pass text that UTF-8 can express", name);
    return false;
  }
  size = static_cast<std::size_t>(octets);
  return true;
}

bool Text::read_optional(PyObject* object, const char* name) {
  if (object == Py_None) return true;
  if (!PyUnicode_Check(object)) return refuse_type(object, name, "a str or None");
  return read(object, name);
}

bool read_bytes(PyObject* object, const char* name, Text& out) {
  if (object == Py_None) return true;
  if (!PyBytes_Check(object)) return refuse_type(object, name, "bytes");
  out.data = PyBytes_AsString(object);
  out.size = static_cast<std::size_t>(PyBytes_Size(object));
  return true;
}

bool read_secret_bytes(PyObject* object, const char* name, Text& out) {
  if (PyBytes_Check(object)) return read_bytes(object, name, out);
  if (!PyByteArray_Check(object)) return refuse_type(object, name, "bytes or a bytearray");
  out.data = PyByteArray_AsString(object);
  out.size = static_cast<std::size_t>(PyByteArray_Size(object));
  return true;
}

bool read_number(PyObject* object, const char* name, std::int64_t& out) {
  if (!PyLong_Check(object) || PyBool_Check(object)) return refuse_type(object, name, "an int");
  int overflow = 0;
  out = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow != 0) {
    PyErr_Format(PyExc_ValueError, "%s does not fit into 64 bits: pass a smaller number", name);
    return false;
  }
  return PyErr_Occurred() == nullptr;
}

bool read_small_number(PyObject* object, const char* name, std::int32_t& out) {
  std::int64_t number = 0;
  if (!read_number(object, name, number)) return false;
  if (number < std::numeric_limits<std::int32_t>::min() || number > std::numeric_limits<std::int32_t>::max()) {
    PyErr_Format(PyExc_ValueError, "%s does not fit into 32 bits: pass a smaller number", name);
    return false;
  }
  out = static_cast<std::int32_t>(number);
  return true;
}

bool read_flag(PyObject* object, const char* name, std::int32_t& out) {
  if (!PyBool_Check(object)) return refuse_type(object, name, "a bool");
  out = object == Py_True ? 1 : 0;
  return true;
}

PyObject* text_object(const char* data, std::size_t size) {
  return PyUnicode_DecodeUTF8(size == 0 ? "" : data, static_cast<Py_ssize_t>(size), "replace");
}

void wipe(void* memory, std::size_t size) {
  volatile unsigned char* place = static_cast<volatile unsigned char*>(memory);
  for (std::size_t i = 0; i < size; ++i) place[i] = 0;
}

}  // namespace tokenstore::python
