/*
 * tokenstore: the conformance kit, for authors of storage backends (tokenstore_backend.h).
 *
 *     tokenstore-conformance ./acme_backend.so
 *
 * runs every case of the library's own suite on a backend of yours: each case in a process of its own, so that one that
 * crashes or hangs fails alone. The module is a shared object that defines one variable:
 *
 *     static int32_t make(const tokenstore_conformance_place* place, tokenstore_backend* out_backend) {
 *       return acme_backend(place->directory, place->how == TOKENSTORE_CONFORMANCE_READ_ONLY, out_backend);
 *     }
 *
 *     const tokenstore_conformance_subject tokenstore_conformance = {
 *         .struct_size = sizeof tokenstore_conformance, .contract = TOKENSTORE_BACKEND_CONTRACT, .make = make};
 *
 * It needs this header and nothing else: no C++, no test framework, and no library of ours.
 */
#ifndef TOKENSTORE_CONFORMANCE_H
#define TOKENSTORE_CONFORMANCE_H

#include "tokenstore_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a case wants a handle on. */
enum {
  TOKENSTORE_CONFORMANCE_FRESH = 1,    /* new, empty storage, in a directory that is empty */
  TOKENSTORE_CONFORMANCE_REOPEN = 2,   /* what is in the directory, as another process would open it */
  TOKENSTORE_CONFORMANCE_READ_ONLY = 3 /* the same, by a backend with TOKENSTORE_BACKEND_READ_ONLY */
};

/* What a backend is excused from; bits. Each leaves out the cases that it names, and what it names a host will miss. */
#define TOKENSTORE_CONFORMANCE_VOLATILE 1u   /* what was committed is gone when the storage is closed */
#define TOKENSTORE_CONFORMANCE_ONE_HANDLE 2u /* one handle at a time, in one process; includes NO_READ_ONLY */
#define TOKENSTORE_CONFORMANCE_NO_READ_ONLY 4u
#define TOKENSTORE_CONFORMANCE_NO_FEED 8u /* `changes` may always answer "everything" */
/* The pulse may move though nothing was committed: each time, hosts read the feed for nothing. */
#define TOKENSTORE_CONFORMANCE_RESTLESS_PULSE 16u

/* Where a backend is to keep its data. */
typedef struct tokenstore_conformance_place {
  size_t struct_size;
  const char* directory; /* absolute, with a terminator; exists, and is removed after the case. No two are the same */
  size_t directory_size; /* without the terminator */
  int32_t how;           /* TOKENSTORE_CONFORMANCE_FRESH to READ_ONLY */
  int32_t reserved;
} tokenstore_conformance_place;
#define TOKENSTORE_CONFORMANCE_PLACE_SIZE_1_0 (offsetof(tokenstore_conformance_place, reserved) + sizeof(int32_t))

/* What is to be judged. */
typedef struct tokenstore_conformance_subject {
  size_t struct_size;
  /* Required. Fills in a backend on that place, as for tokenstore_open_backend; the kit opens and closes it. All of
   * `out_backend` is zero but for struct_size. Anything but TOKENSTORE_OK fails the case. Called by one thread. What
   * can fail for a reason to be read belongs into the backend's `open`. */
  int32_t (*make)(const tokenstore_conformance_place* place, tokenstore_backend* out_backend);
  /* Optional. The case is over: remove what was kept outside the directory (a schema on a server, say). */
  void (*discard)(const char* directory, size_t directory_size);
  /* After so many changed records the feed answers "everything" to who has read none of them, housekeeping included;
   * 0: it never forgets. */
  uint64_t feed_bound;
  uint32_t contract;   /* TOKENSTORE_BACKEND_CONTRACT */
  uint32_t exemptions; /* TOKENSTORE_CONFORMANCE_VOLATILE to RESTLESS_PULSE; 0: none */
} tokenstore_conformance_subject;
#define TOKENSTORE_CONFORMANCE_SUBJECT_SIZE_1_0 \
  (offsetof(tokenstore_conformance_subject, exemptions) + sizeof(uint32_t))

#if defined(__GNUC__) || defined(__clang__)
__attribute__((visibility("default")))
#endif
/* The module's: what the kit looks for by its name. Since 0.1. */
extern const tokenstore_conformance_subject tokenstore_conformance;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOKENSTORE_CONFORMANCE_H */
