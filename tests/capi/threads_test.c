/* Many threads validate with one store while tokens are revoked: what starts after a revocation is never valid. */
#include <pthread.h>

#include "host.h"

enum { THREADS = 8, TOKENS = 40 };

static tokenstore_store* store;
static token_text texts[TOKENS];
static char ids[TOKENS][TOKENSTORE_ID_SIZE];
static size_t text_size;
static int revoked[TOKENS]; /* set after revoke returned; read and written by __atomic builtins */
static int done;

static void* validate_all(void* context) {
  long* stale = context;
  const tokenstore_demand demand = demand_of("read");
  tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
    for (int i = 0; i < TOKENS; ++i) {
      const int was_revoked = __atomic_load_n(&revoked[i], __ATOMIC_ACQUIRE);
      if (tokenstore_validate(store, texts[i], text_size, &demand, &verdict, NULL) != TOKENSTORE_OK) ++*stale;
      if (was_revoked && verdict.outcome != TOKENSTORE_OUTCOME_INVALID) ++*stale;
      if (verdict.outcome == TOKENSTORE_OUTCOME_VALID && memcmp(verdict.id, ids[i], sizeof ids[i]) != 0) ++*stale;
    }
  }
  return NULL;
}

static void threads_and_revocations(void) {
  pthread_t threads[THREADS];
  long stale[THREADS] = {0};
  const tokenstore_actor host = host_actor();
  store = open_in_memory();
  for (int i = 0; i < TOKENS; ++i) text_size = issue_for(store, "alice", "read", texts[i], ids[i]);
  for (int i = 0; i < THREADS; ++i) CHECK(pthread_create(&threads[i], NULL, validate_all, &stale[i]) == 0);
  for (int i = 0; i < TOKENS; ++i) {
    for (int j = 0; j < 50; ++j) CHECK(reason_for(store, texts[i], text_size, "read") == TOKENSTORE_REASON_NONE);
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_revoke(store, &host, ids[i], sizeof ids[i], NULL, 0, NULL, NULL));
    __atomic_store_n(&revoked[i], 1, __ATOMIC_RELEASE);
  }
  __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(stale[i] == 0);
  }
  tokenstore_statistics statistics = {.struct_size = sizeof statistics};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_read_statistics(store, &statistics, NULL));
  CHECK(statistics.hits > 0 && statistics.misses > 0 && statistics.unavailable == 0);
  tokenstore_free(store);
}

static const check_case cases[] = {
    {"threads that validate see every revocation at once", threads_and_revocations},
};
CHECK_MAIN(cases)
