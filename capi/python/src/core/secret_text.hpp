// SecretText: the text of a token, which nothing shows by accident. Wiped when it goes, or by wipe(). Any thread may
// use it; what reveal() returns is an ordinary str, which nobody can wipe.
#ifndef TOKENSTORE_PYTHON_SECRET_TEXT_HPP
#define TOKENSTORE_PYTHON_SECRET_TEXT_HPP

#include "arguments.hpp"
#include "state.hpp"

namespace tokenstore::python {

PyObject* new_secret_text(const State& state, const char* data, std::size_t size);

/// The text of a SecretText. False with ValueError if it was wiped.
bool read_secret_text(PyObject* secret, Text& out);

inline bool is_secret_text(const State& state, PyObject* object) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == state.secret_type;
}

}  // namespace tokenstore::python

#endif
