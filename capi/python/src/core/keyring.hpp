// Keyring: the secret keys of a store. Changed by one thread at a time, which the interpreter lock sees to.
#ifndef TOKENSTORE_PYTHON_KEYRING_HPP
#define TOKENSTORE_PYTHON_KEYRING_HPP

#include "state.hpp"

namespace tokenstore::python {

/// The library's keyring of a Keyring; NULL for None. False with TypeError for anything else.
bool read_keyring(const State& state, PyObject* object, const tokenstore_keyring*& out);

}  // namespace tokenstore::python

#endif
