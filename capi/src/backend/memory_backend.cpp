// Storage in memory as C functions, for hosts to wrap.
#include <memory>

#include "backend/export.hpp"
#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore_backend.h"

using namespace tokenstore;
using namespace tokenstore::capi;

int32_t tokenstore_memory_backend(tokenstore_backend* out_backend, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    // Before anything is made that a wrong size would leave behind.
    struct_size_of(out_backend, TOKENSTORE_BACKEND_SIZE_1_0, sizeof(tokenstore_backend), "the backend");
    const tokenstore_backend made = export_backend(
        "memory", TOKENSTORE_BACKEND_FORK_SAFE, []() -> Result<std::shared_ptr<Backend>> { return memory_backend(); });
    TOKENSTORE_WRITE(tokenstore_backend, BACKEND, out_backend, "the backend", made);
  });
}
