/* The one file that needs the library: everything else is called by it. */
#include "lmdb_backend.h"

int32_t lmdb_tokenstore_open(const char* directory, const tokenstore_open_options* options,
                             tokenstore_store** out_store, tokenstore_error** out_error) {
  tokenstore_backend backend;
  const int32_t made = lmdb_backend(directory, 0, &backend);
  if (made != TOKENSTORE_OK) {
    if (out_error != NULL) *out_error = NULL;
    return made;
  }
  /* The context is the library's from here on, whatever the answer. */
  return tokenstore_open_backend(options, &backend, out_store, out_error);
}
