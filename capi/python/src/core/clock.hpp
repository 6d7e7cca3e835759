// ManualClock: a clock for tests that moves only when it is told to. The library reads it from any thread, without the
// interpreter lock, so nothing of Python is called.
#ifndef TOKENSTORE_PYTHON_CLOCK_HPP
#define TOKENSTORE_PYTHON_CLOCK_HPP

#include "state.hpp"

namespace tokenstore::python {

/// The library's view of a ManualClock; valid as long as the object. False with TypeError for anything else.
bool read_clock(const State& state, PyObject* object, tokenstore_clock& out);

}  // namespace tokenstore::python

#endif
