/* What Go needs besides tokenstore.h: calls that take a struct with pointers get its fields instead, because Go may
 * hand over a pointer of its own, but no memory that holds one. */
#ifndef TOKENSTORE_GO_SHIM_H
#define TOKENSTORE_GO_SHIM_H

#include <stdlib.h>
#include <string.h>

#include "tokenstore.h"

/* Besides the statuses: memory cannot tell. */
enum { TOKENSTORE_GO_UNDECIDED = 1 << 16 };

/* One call for each validation. The store is a number, because Go looks at each pointer that it hands over, and on the
 * way puts one to an incomplete type on the heap. */

static inline int32_t tokenstore_go_validate(uintptr_t store, const char* text, size_t text_size, const char* scope,
                                             size_t scope_size, const char* address, size_t address_size,
                                             tokenstore_verdict* out_verdict) {
  tokenstore_demand demand;
  memset(&demand, 0, sizeof demand);
  demand.struct_size = sizeof demand;
  demand.scope = scope;
  demand.scope_size = scope_size;
  demand.client_address = address;
  demand.client_address_size = address_size;
  return tokenstore_validate((tokenstore_store*)store, text, text_size, &demand, out_verdict, NULL);
}

/* The same, from memory alone. */
static inline int32_t tokenstore_go_try_validate(uintptr_t store, const char* text, size_t text_size, const char* scope,
                                                 size_t scope_size, const char* address, size_t address_size,
                                                 tokenstore_verdict* out_verdict) {
  tokenstore_demand demand;
  int32_t decided = 0;
  memset(&demand, 0, sizeof demand);
  demand.struct_size = sizeof demand;
  demand.scope = scope;
  demand.scope_size = scope_size;
  demand.client_address = address;
  demand.client_address_size = address_size;
  const int32_t status =
      tokenstore_try_validate((tokenstore_store*)store, text, text_size, &demand, out_verdict, &decided, NULL);
  return decided != 0 || status != TOKENSTORE_OK ? status : TOKENSTORE_GO_UNDECIDED;
}

/* Why a call of the above was refused, once more with an error. */
static inline int32_t tokenstore_go_why(tokenstore_store* store, const char* text, size_t text_size, const char* scope,
                                        size_t scope_size, const char* address, size_t address_size,
                                        tokenstore_verdict* out_verdict, tokenstore_error** out_error) {
  tokenstore_demand demand;
  memset(&demand, 0, sizeof demand);
  demand.struct_size = sizeof demand;
  demand.scope = scope;
  demand.scope_size = scope_size;
  demand.client_address = address;
  demand.client_address_size = address_size;
  return tokenstore_validate(store, text, text_size, &demand, out_verdict, out_error);
}

/* Memory that may have held a secret. A compiler may not leave this out. */
static inline void tokenstore_go_free(void* memory, size_t size) {
  volatile unsigned char* bytes = (volatile unsigned char*)memory;
  for (size_t i = 0; i < size; ++i) bytes[i] = 0;
  free(memory);
}

#endif
