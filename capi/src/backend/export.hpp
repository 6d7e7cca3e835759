/// A C++ backend as the C functions of tokenstore_backend.h, for libraries that ship one and see nothing of
/// libtokenstore but its C interface; and for tests that run ours through that interface.
///
/// Thread use: as the backend's. No exception leaves a function.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tokenstore/backend.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::capi {

/// `make` is called by `open`, once, and its error is what the host reads. `capabilities` are
/// TOKENSTORE_BACKEND_... bits: THREAD_SAFE, which every Backend is, is added. The context belongs to whoever has the
/// answer: hand it to tokenstore_open_backend, or call its `close`.
tokenstore_backend export_backend(std::string name, std::uint32_t capabilities,
                                  std::function<Result<std::shared_ptr<Backend>>()> make);

}  // namespace tokenstore::capi
