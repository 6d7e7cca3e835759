// Verdict: the answer to one validation. Immutable; any thread may read it. It keeps a compact copy of the texts and
// makes Python's objects when they are asked for, because most hosts read one or two of them.
#ifndef TOKENSTORE_PYTHON_VERDICT_HPP
#define TOKENSTORE_PYTHON_VERDICT_HPP

#include "state.hpp"

namespace tokenstore::python {

/// A new Verdict with what the library answered.
PyObject* new_verdict(PyObject* module, const State& state, const tokenstore_verdict& verdict);

}  // namespace tokenstore::python

#endif
