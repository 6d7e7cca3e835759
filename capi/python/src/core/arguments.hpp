// Reading arguments: the exact type or an exception that says what to pass. A bool is no number here, and bytes are
// no text. What is read is borrowed from the object, which the caller of the function keeps.
#ifndef TOKENSTORE_PYTHON_ARGUMENTS_HPP
#define TOKENSTORE_PYTHON_ARGUMENTS_HPP

#include <cstddef>
#include <cstdint>

#include "limited.hpp"

namespace tokenstore::python {

/// Sets TypeError "NAME must be WANTED, not TYPE". Always false.
bool refuse_type(PyObject* object, const char* name, const char* wanted);

/// True if a function was given so many arguments; else TypeError.
bool takes(const char* function, Py_ssize_t given, Py_ssize_t wanted);

struct Text {
  const char* data = nullptr;
  std::size_t size = 0;

  /// From a str that UTF-8 can express.
  bool read(PyObject* object, const char* name);
  /// The same; None is empty.
  bool read_optional(PyObject* object, const char* name);
};

/// From bytes; None is empty.
bool read_bytes(PyObject* object, const char* name, Text& out);
/// From bytes or a bytearray. Valid as long as the interpreter lock is held.
bool read_secret_bytes(PyObject* object, const char* name, Text& out);

bool read_number(PyObject* object, const char* name, std::int64_t& out);
bool read_small_number(PyObject* object, const char* name, std::int32_t& out);
bool read_flag(PyObject* object, const char* name, std::int32_t& out);

/// Text of the library's: always UTF-8, unless somebody changed the database.
PyObject* text_object(const char* data, std::size_t size);

/// Overwrites it, whatever the compiler thinks of that.
void wipe(void* memory, std::size_t size);

}  // namespace tokenstore::python

#endif
