#include "spaces.h"

#include "bytes.h"

#define HEADER_SIZE (4 + 8 + 8 + TOKENSTORE_SEAL_SIZE)

int space_from_bytes(const MDB_val* value, space* out_space) {
  const uint8_t* bytes = value->mv_data;
  reader from = {bytes, bytes + value->mv_size, 0};
  out_space->number = (uint32_t)read_number(&from, 4);
  out_space->revision = read_number(&from, 8);
  out_space->feed_from = read_number(&from, 8);
  const void* link = read_bytes(&from, sizeof out_space->link);
  out_space->record_size = (size_t)(from.end - from.at);
  if (from.damaged || out_space->record_size > sizeof out_space->record) return MDB_CORRUPTED;
  memcpy(out_space->link, link, sizeof out_space->link);
  memcpy(out_space->record, from.at, out_space->record_size);
  return 0;
}

int space_find(MDB_txn* txn, const environment* in, const char* name, size_t name_size, space* out_space) {
  if (name_size == 0 || name_size > TOKENSTORE_OWNER_MAX) return MDB_NOTFOUND;
  MDB_val found = {.mv_size = name_size, .mv_data = (void*)name};
  MDB_val value;
  const int problem = mdb_get(txn, in->spaces, &found, &value);
  return problem == 0 ? space_from_bytes(&value, out_space) : problem;
}

/* One more than were given out. */
static int next_number(MDB_txn* txn, const environment* in, uint32_t* out_number) {
  uint8_t bytes[4];
  MDB_val counter = {.mv_size = strlen("spaces"), .mv_data = "spaces"};
  MDB_val value;
  *out_number = 1;
  int problem = mdb_get(txn, in->about, &counter, &value);
  if (problem == 0) {
    const uint8_t* last = value.mv_data;
    reader from = {last, last + value.mv_size, 0};
    *out_number = (uint32_t)read_number(&from, 4) + 1;
    if (from.damaged || *out_number == 0) return MDB_CORRUPTED;
  } else if (problem != MDB_NOTFOUND) {
    return problem;
  }
  writer to = {bytes, bytes + sizeof bytes, 0};
  write_number(&to, *out_number, 4);
  value.mv_size = sizeof bytes;
  value.mv_data = bytes;
  return mdb_put(txn, in->about, &counter, &value, 0);
}

int space_find_or_number(MDB_txn* txn, const environment* in, const char* name, size_t name_size, space* out_space) {
  const int problem = space_find(txn, in, name, name_size, out_space);
  if (problem != MDB_NOTFOUND) return problem;
  const space fresh = {.number = 0};
  *out_space = fresh;
  return next_number(txn, in, &out_space->number);
}

int space_put(MDB_txn* txn, const environment* in, const char* name, size_t name_size, const space* it) {
  uint8_t bytes[HEADER_SIZE + LONGEST_WORKSPACE_RECORD];
  writer to = {bytes, bytes + sizeof bytes, 0};
  write_number(&to, it->number, 4);
  write_number(&to, it->revision, 8);
  write_number(&to, it->feed_from, 8);
  write_bytes(&to, it->link, sizeof it->link);
  write_bytes(&to, it->record, it->record_size);
  MDB_val place = {.mv_size = name_size, .mv_data = (void*)name};
  MDB_val value = {.mv_size = (size_t)(to.at - bytes), .mv_data = bytes};
  return mdb_put(txn, in->spaces, &place, &value, 0);
}

int space_record(const space* it, tokenstore_workspace_record* out_record) {
  if (it->record_size == 0) return MDB_NOTFOUND;
  const MDB_val value = {.mv_size = it->record_size, .mv_data = (void*)it->record};
  return workspace_from_bytes(&value, out_record);
}
