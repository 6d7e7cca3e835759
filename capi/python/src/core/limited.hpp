// Python.h as this extension uses it: the limited API of CPython 3.9, so that one build serves every later version.
#ifndef TOKENSTORE_PYTHON_LIMITED_HPP
#define TOKENSTORE_PYTHON_LIMITED_HPP

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x03090000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "tokenstore needs CPython's interpreter lock: use a build of Python that is not free-threaded"
#endif

// Two things that every CPython since 3.7 has as they are here, and that the limited API names since 3.10 only. Without
// them a validation would copy each text, and put its arguments into a tuple and a dict.
#if Py_LIMITED_API < 0x030A0000
extern "C" PyAPI_FUNC(const char*) PyUnicode_AsUTF8AndSize(PyObject* unicode, Py_ssize_t* size);
#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080
#endif
#endif

#endif
