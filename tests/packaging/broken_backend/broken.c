/* The LMDB backend of the examples, but that it forgets last uses: the kit has to notice. */
#include <tokenstore_conformance.h>

#include "lmdb_backend.h"

static int32_t forget_uses(void* context, const char* workspace, size_t workspace_size,
                           const tokenstore_use* const* uses, size_t count, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)uses, (void)count, (void)answer;
  return TOKENSTORE_OK;
}

static int32_t make(const tokenstore_conformance_place* place, tokenstore_backend* out_backend) {
  const int32_t made = lmdb_backend(place->directory, place->how == TOKENSTORE_CONFORMANCE_READ_ONLY, out_backend);
  out_backend->record_uses = forget_uses;
  return made;
}

const tokenstore_conformance_subject tokenstore_conformance = {.struct_size = sizeof tokenstore_conformance,
                                                               .make = make,
                                                               .feed_bound = 10000,
                                                               .contract = TOKENSTORE_BACKEND_CONTRACT};
