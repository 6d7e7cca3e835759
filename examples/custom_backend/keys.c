#include "keys.h"

#include <string.h>

#include "bytes.h"

void key_add(key* to, const void* bytes, size_t size) {
  const size_t room = sizeof to->bytes - to->size;
  if (size > room) size = room;
  if (size != 0) memcpy(to->bytes + to->size, bytes, size);
  to->size += size;
}

void key_add_number(key* to, uint64_t number, size_t size) {
  uint8_t bytes[8];
  writer out = {bytes, bytes + sizeof bytes, 0};
  write_number(&out, number, size);
  key_add(to, bytes, size);
}

void key_add_time(key* to, int64_t time) {
  uint8_t bytes[8];
  writer out = {bytes, bytes + sizeof bytes, 0};
  write_time(&out, time);
  key_add(to, bytes, sizeof bytes);
}

void key_add_owner(key* to, const char* owner, size_t size) {
  key_add_number(to, size, 2);
  key_add(to, owner, size);
}

key key_space(uint32_t space) {
  key it = {.size = 0};
  key_add_number(&it, space, 4);
  return it;
}

key key_in(uint32_t space, const void* bytes, size_t size) {
  key it = key_space(space);
  key_add(&it, bytes, size);
  return it;
}

MDB_val key_value(key* from) {
  const MDB_val value = {.mv_size = from->size, .mv_data = from->bytes};
  return value;
}

int key_begins(const MDB_val* it, const key* prefix) {
  return it->mv_size >= prefix->size && memcmp(it->mv_data, prefix->bytes, prefix->size) == 0;
}

const char* key_id_after(const MDB_val* it, const key* prefix) {
  return it->mv_size == prefix->size + TOKENSTORE_ID_SIZE ? (const char*)it->mv_data + prefix->size : NULL;
}

int key_first_from(MDB_cursor* cursor, const key* prefix, key* from, MDB_val* out_key, MDB_val* out_value) {
  *out_key = key_value(from);
  const int problem = mdb_cursor_get(cursor, out_key, out_value, MDB_SET_RANGE);
  if (problem != 0) return problem;
  return key_begins(out_key, prefix) ? 0 : MDB_NOTFOUND;
}

int key_last_below(MDB_cursor* cursor, const key* prefix, key* from, MDB_val* out_key, MDB_val* out_value) {
  *out_key = key_value(from);
  int problem = mdb_cursor_get(cursor, out_key, out_value, MDB_SET_RANGE);
  if (problem != 0 && problem != MDB_NOTFOUND) return problem;
  problem = mdb_cursor_get(cursor, out_key, out_value, problem == 0 ? MDB_PREV : MDB_LAST);
  if (problem != 0) return problem;
  return key_begins(out_key, prefix) ? 0 : MDB_NOTFOUND;
}

int key_step(MDB_cursor* cursor, const key* prefix, MDB_cursor_op direction, MDB_val* out_key, MDB_val* out_value) {
  const int problem = mdb_cursor_get(cursor, out_key, out_value, direction);
  if (problem != 0) return problem;
  return key_begins(out_key, prefix) ? 0 : MDB_NOTFOUND;
}
