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

/* What a reading of the journal tells, kept in C until Go has it: a call from C to Go and back for each entry would
 * cost more than the entry. Each entry's and problem's texts are one piece of memory, where the first of them begins.
 */
typedef struct tokenstore_go_journal {
  tokenstore_journal_entry* entries;
  tokenstore_journal_problem* problems;
  size_t entry_count;
  size_t entry_room;
  size_t problem_count;
  size_t problem_room;
  size_t most; /* entries at once */
  int32_t out_of_memory;
} tokenstore_go_journal;

/* Room for one more; NULL if there is no memory. */
static inline void* tokenstore_go_room(void* items, size_t count, size_t* room, size_t size) {
  if (count < *room) return items;
  const size_t wanted = *room == 0 ? 16 : 2 * *room;
  void* more = realloc(items, wanted * size);
  if (more != NULL) *room = wanted;
  return more;
}

static inline char* tokenstore_go_put(char* at, const char** text, size_t size) {
  if (size != 0) memcpy(at, *text, size);
  *text = at;
  return at + size;
}

static inline int32_t tokenstore_go_take(void* context, const tokenstore_journal_entry* told) {
  tokenstore_go_journal* journal = (tokenstore_go_journal*)context;
  const size_t size = told->workspace_size + told->token_id_size + told->key_id_size + told->owner_size +
                      told->actor_size + told->reason_size;
  void* entries = tokenstore_go_room(journal->entries, journal->entry_count, &journal->entry_room, sizeof *told);
  char* at = (char*)malloc(size + 1);
  if (entries != NULL) journal->entries = (tokenstore_journal_entry*)entries;
  if (entries == NULL || at == NULL) {
    free(at);
    journal->out_of_memory = 1;
    return 1;
  }
  tokenstore_journal_entry* entry = &journal->entries[journal->entry_count++];
  *entry = *told;
  at = tokenstore_go_put(at, &entry->workspace, entry->workspace_size);
  at = tokenstore_go_put(at, &entry->token_id, entry->token_id_size);
  at = tokenstore_go_put(at, &entry->key_id, entry->key_id_size);
  at = tokenstore_go_put(at, &entry->owner, entry->owner_size);
  at = tokenstore_go_put(at, &entry->actor, entry->actor_size);
  tokenstore_go_put(at, &entry->reason, entry->reason_size);
  return journal->entry_count == journal->most;
}

static inline void tokenstore_go_found(void* context, const tokenstore_journal_problem* told) {
  tokenstore_go_journal* journal = (tokenstore_go_journal*)context;
  void* problems = tokenstore_go_room(journal->problems, journal->problem_count, &journal->problem_room, sizeof *told);
  char* at = (char*)malloc(told->file_size + told->what_size + 1);
  if (problems != NULL) journal->problems = (tokenstore_journal_problem*)problems;
  if (problems == NULL || at == NULL) {
    free(at);
    journal->out_of_memory = 1;
    return;
  }
  tokenstore_journal_problem* problem = &journal->problems[journal->problem_count++];
  *problem = *told;
  at = tokenstore_go_put(at, &problem->file, problem->file_size);
  tokenstore_go_put(at, &problem->what, problem->what_size);
}

static inline void tokenstore_go_journal_free(tokenstore_go_journal* journal) {
  for (size_t i = 0; i < journal->entry_count; ++i) free((void*)journal->entries[i].workspace);
  for (size_t i = 0; i < journal->problem_count; ++i) free((void*)journal->problems[i].file);
  free(journal->entries);
  free(journal->problems);
}

static inline int32_t tokenstore_go_journal_read(const char* path, size_t path_size, const tokenstore_keyring* keyring,
                                                 const tokenstore_journal_query* query, tokenstore_go_journal* journal,
                                                 tokenstore_journal_reading* out_reading,
                                                 tokenstore_error** out_error) {
  const int32_t status = tokenstore_journal_read(path, path_size, keyring, query, tokenstore_go_take,
                                                 tokenstore_go_found, journal, out_reading, out_error);
  return status == TOKENSTORE_OK && journal->out_of_memory != 0 ? TOKENSTORE_OUT_OF_MEMORY : status;
}

static inline int32_t tokenstore_go_journal_verify(const char* path, size_t path_size,
                                                   const tokenstore_keyring* keyring, tokenstore_go_journal* journal,
                                                   tokenstore_journal_report* out_report,
                                                   tokenstore_error** out_error) {
  const int32_t status =
      tokenstore_journal_verify(path, path_size, keyring, tokenstore_go_found, journal, out_report, out_error);
  return status == TOKENSTORE_OK && journal->out_of_memory != 0 ? TOKENSTORE_OUT_OF_MEMORY : status;
}

#endif
