/* For the conformance kit: tokenstore-conformance ./custom_backend_conformance.so */
#include <tokenstore_conformance.h>

#include "lmdb_backend.h"

static int32_t make(const tokenstore_conformance_place* place, tokenstore_backend* out_backend) {
  return lmdb_backend(place->directory, place->how == TOKENSTORE_CONFORMANCE_READ_ONLY, out_backend);
}

const tokenstore_conformance_subject tokenstore_conformance = {
    .struct_size = sizeof tokenstore_conformance,
    .make = make,
    .feed_bound = LMDB_FEED_KEPT,
    .contract = TOKENSTORE_BACKEND_CONTRACT,
};
