/* Parts of a list. Cost grows with what is looked at, never with what is stored. */
#include <string.h>

#include "entries.h"
#include "keys.h"
#include "tokens.h"

/* Higher than any id, and longer than one: nothing needs to be compared beyond that. */
#define BEYOND_SIZE (TOKENSTORE_ID_SIZE + 1)
static const char beyond[BEYOND_SIZE] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

static uint8_t folded(char octet) {
  return (uint8_t)(octet >= 'A' && octet <= 'Z' ? octet + ('a' - 'A') : octet);
}

static int contains(const char* text, size_t size, const char* part, size_t part_size) {
  for (size_t at = 0; part_size <= size && at <= size - part_size; ++at) {
    size_t same = 0;
    while (same < part_size && folded(text[at + same]) == folded(part[same])) ++same;
    if (same == part_size) return 1;
  }
  return 0;
}

static int matches(const tokenstore_token_record* token, const tokenstore_token_query* query) {
  const token_times times = times_of(token);
  if (query->state != 0 && query->state != token_state(&times, query->now)) return 0;
  return contains(token->description, token->description_size, query->text, query->text_size);
}

static int list_tokens(const environment* in, look* at, MDB_cursor* cursor, const tokenstore_token_query* query,
                       tokenstore_answer* answer) {
  key prefix = key_space(at->space.number);
  if (query->owner_size != 0) key_add_owner(&prefix, query->owner, query->owner_size);
  key below = prefix;
  if (query->before_id_size == 0) {
    key_add(&below, beyond, BEYOND_SIZE);
  } else {
    key_add(&below, query->before_id, query->before_id_size < BEYOND_SIZE ? query->before_id_size : BEYOND_SIZE);
  }
  char last[TOKENSTORE_ID_SIZE];
  uint64_t looked_at = 0;
  uint64_t emitted = 0;
  MDB_val found;
  MDB_val value;
  int problem = key_last_below(cursor, &prefix, &below, &found, &value);
  for (; problem == 0; problem = key_step(cursor, &prefix, MDB_PREV, &found, &value)) {
    if (emitted == query->limit || looked_at == query->scan_limit) {
      if (looked_at != 0) answer->emit_next(answer, last, sizeof last);
      return 0;
    }
    const char* id = key_id_after(&found, &prefix);
    if (id == NULL) return MDB_CORRUPTED;
    memcpy(last, id, sizeof last);
    ++looked_at;
    tokenstore_token_record token;
    problem = token_load(at->txn, in, at->space.number, last, sizeof last, &token);
    if (problem != 0) return problem == MDB_NOTFOUND ? MDB_CORRUPTED : problem;
    if (!matches(&token, query)) continue;
    if (!answer->emit_token(answer, &token)) return 0;
    ++emitted;
  }
  return problem;
}

int32_t lmdb_list_tokens(void* context, const char* workspace, size_t workspace_size,
                         const tokenstore_token_query* query, tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == 0 && query->owner_size > TOKENSTORE_OWNER_MAX) problem = MDB_NOTFOUND;
  if (problem == 0) {
    problem = mdb_cursor_open(at.txn, query->owner_size != 0 ? in->by_owner : in->tokens, &cursor);
    if (problem == 0) {
      problem = list_tokens(in, &at, cursor, query, answer);
      mdb_cursor_close(cursor);
    }
  }
  return look_end(&at, problem, answer);
}

/* A list begins above the name that it is asked to begin after: if that one is there, it is stepped over. */
static int is_name(const MDB_val* it, size_t skip, const char* name, size_t size) {
  return it->mv_size == skip + size && (size == 0 || memcmp((const char*)it->mv_data + skip, name, size) == 0);
}

static int list_owners(look* at, MDB_cursor* cursor, const char* after, size_t after_size, uint64_t limit,
                       tokenstore_answer* answer) {
  key prefix = key_space(at->space.number);
  key from = key_in(at->space.number, after, after_size);
  MDB_val found;
  MDB_val value;
  uint64_t emitted = 0;
  int problem = key_first_from(cursor, &prefix, &from, &found, &value);
  if (problem == 0 && is_name(&found, prefix.size, after, after_size)) {
    problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value);
  }
  for (; problem == 0; problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value)) {
    if (emitted == limit) {
      answer->emit_number(answer, 1);
      return 0;
    }
    tokenstore_owner_record owner;
    problem = owner_from_bytes(&value, &owner);
    if (problem != 0) return problem;
    if (!answer->emit_owner(answer, &owner)) return 0;
    ++emitted;
  }
  return problem;
}

int32_t lmdb_list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, tokenstore_answer* answer) {
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == 0) problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->owners, &cursor);
  if (problem == 0) {
    problem = list_owners(&at, cursor, after, after_size, limit, answer);
    mdb_cursor_close(cursor);
  }
  return look_end(&at, problem, answer);
}

static int list_workspaces(MDB_cursor* cursor, const char* after, size_t after_size, uint64_t limit,
                           tokenstore_answer* answer) {
  MDB_val found = {.mv_size = after_size, .mv_data = (void*)after};
  MDB_val value;
  uint64_t emitted = 0;
  int problem = mdb_cursor_get(cursor, &found, &value, after_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
  if (problem == 0 && is_name(&found, 0, after, after_size)) problem = mdb_cursor_get(cursor, &found, &value, MDB_NEXT);
  for (; problem == 0 && emitted < limit; problem = mdb_cursor_get(cursor, &found, &value, MDB_NEXT)) {
    space one;
    tokenstore_workspace_record workspace;
    problem = space_from_bytes(&value, &one);
    if (problem == 0) problem = space_record(&one, &workspace);
    if (problem == MDB_NOTFOUND) continue;
    if (problem != 0) return problem;
    if (!answer->emit_workspace(answer, &workspace)) return 0;
    ++emitted;
  }
  return problem;
}

int32_t lmdb_list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                             tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  look at;
  MDB_cursor* cursor;
  int problem = mdb_txn_begin(in->lmdb, NULL, MDB_RDONLY, &at.txn);
  if (problem != 0) return fail_with(answer, problem);
  problem = mdb_cursor_open(at.txn, in->spaces, &cursor);
  if (problem == 0) {
    problem = list_workspaces(cursor, after, after_size, limit, answer);
    mdb_cursor_close(cursor);
  }
  return look_end(&at, problem, answer);
}
