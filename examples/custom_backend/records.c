#include "records.h"

#include "bytes.h"

static size_t written(const writer* to, const uint8_t* from) {
  return to->overflow ? 0 : (size_t)(to->at - from);
}

static reader reader_of(const MDB_val* value) {
  const uint8_t* bytes = value->mv_data;
  const reader from = {bytes, bytes + value->mv_size, 0};
  return from;
}

/* Everything was there, and nothing else. */
static int ended(const reader* from) {
  return from->damaged || from->at != from->end ? MDB_CORRUPTED : 0;
}

static void read_fixed(reader* from, uint8_t* out, size_t size) {
  const void* bytes = read_bytes(from, size);
  if (bytes != NULL) memcpy(out, bytes, size);
}

size_t token_to_bytes(const tokenstore_token_record* record, uint8_t* bytes, size_t size) {
  writer to = {bytes, bytes + size, 0};
  write_text(&to, record->id, record->id_size);
  write_text(&to, record->key_id, record->key_id_size);
  write_text(&to, record->owner, record->owner_size);
  write_text(&to, record->description, record->description_size);
  write_text(&to, record->scopes, record->scopes_size);
  write_text(&to, record->metadata, record->metadata_size);
  write_text(&to, record->created_by, record->created_by_size);
  write_text(&to, record->revoked_by, record->revoked_by_size);
  write_text(&to, record->revoke_reason, record->revoke_reason_size);
  write_text(&to, record->seal_key_id, record->seal_key_id_size);
  write_time(&to, record->created_at);
  write_time(&to, record->not_before);
  write_time(&to, record->expires_at);
  write_time(&to, record->expired_at);
  write_time(&to, record->revoked_at);
  write_number(&to, record->revoke_all_count, 8);
  write_number(&to, record->revision, 8);
  write_bytes(&to, record->owner_birth, sizeof record->owner_birth);
  write_bytes(&to, record->verifier, sizeof record->verifier);
  write_bytes(&to, record->seal, sizeof record->seal);
  return written(&to, bytes);
}

int token_from_bytes(const MDB_val* value, tokenstore_token_record* out_record) {
  reader from = reader_of(value);
  const tokenstore_token_record empty = {.struct_size = sizeof *out_record};
  *out_record = empty;
  read_text(&from, &out_record->id, &out_record->id_size);
  read_text(&from, &out_record->key_id, &out_record->key_id_size);
  read_text(&from, &out_record->owner, &out_record->owner_size);
  read_text(&from, &out_record->description, &out_record->description_size);
  read_text(&from, &out_record->scopes, &out_record->scopes_size);
  read_text(&from, &out_record->metadata, &out_record->metadata_size);
  read_text(&from, &out_record->created_by, &out_record->created_by_size);
  read_text(&from, &out_record->revoked_by, &out_record->revoked_by_size);
  read_text(&from, &out_record->revoke_reason, &out_record->revoke_reason_size);
  read_text(&from, &out_record->seal_key_id, &out_record->seal_key_id_size);
  out_record->created_at = read_time(&from);
  out_record->not_before = read_time(&from);
  out_record->expires_at = read_time(&from);
  out_record->expired_at = read_time(&from);
  out_record->revoked_at = read_time(&from);
  out_record->revoke_all_count = read_number(&from, 8);
  out_record->revision = read_number(&from, 8);
  read_fixed(&from, out_record->owner_birth, sizeof out_record->owner_birth);
  read_fixed(&from, out_record->verifier, sizeof out_record->verifier);
  read_fixed(&from, out_record->seal, sizeof out_record->seal);
  return ended(&from);
}

size_t owner_to_bytes(const tokenstore_owner_record* record, uint8_t* bytes, size_t size) {
  writer to = {bytes, bytes + size, 0};
  write_text(&to, record->owner, record->owner_size);
  write_text(&to, record->suspended_by, record->suspended_by_size);
  write_text(&to, record->suspend_reason, record->suspend_reason_size);
  write_text(&to, record->seal_key_id, record->seal_key_id_size);
  write_time(&to, record->suspended_at);
  write_number(&to, record->revoke_all_count, 8);
  write_number(&to, record->revision, 8);
  write_number(&to, record->may_issue != 0, 1);
  write_number(&to, record->may_use != 0, 1);
  write_bytes(&to, record->birth, sizeof record->birth);
  write_bytes(&to, record->seal, sizeof record->seal);
  return written(&to, bytes);
}

int owner_from_bytes(const MDB_val* value, tokenstore_owner_record* out_record) {
  reader from = reader_of(value);
  const tokenstore_owner_record empty = {.struct_size = sizeof *out_record};
  *out_record = empty;
  read_text(&from, &out_record->owner, &out_record->owner_size);
  read_text(&from, &out_record->suspended_by, &out_record->suspended_by_size);
  read_text(&from, &out_record->suspend_reason, &out_record->suspend_reason_size);
  read_text(&from, &out_record->seal_key_id, &out_record->seal_key_id_size);
  out_record->suspended_at = read_time(&from);
  out_record->revoke_all_count = read_number(&from, 8);
  out_record->revision = read_number(&from, 8);
  out_record->may_issue = (int32_t)read_number(&from, 1);
  out_record->may_use = (int32_t)read_number(&from, 1);
  read_fixed(&from, out_record->birth, sizeof out_record->birth);
  read_fixed(&from, out_record->seal, sizeof out_record->seal);
  return ended(&from);
}

size_t workspace_to_bytes(const tokenstore_workspace_record* record, uint8_t* bytes, size_t size) {
  writer to = {bytes, bytes + size, 0};
  write_text(&to, record->workspace, record->workspace_size);
  write_text(&to, record->seal_key_id, record->seal_key_id_size);
  write_time(&to, record->longest_lifetime);
  write_time(&to, record->default_lifetime);
  write_time(&to, record->created_at);
  write_number(&to, record->revision, 8);
  write_number(&to, record->most_active_per_owner, 4);
  write_number(&to, record->tokens_enabled != 0, 1);
  write_number(&to, record->users_may_issue != 0, 1);
  write_number(&to, record->never_allowed != 0, 1);
  write_bytes(&to, record->birth, sizeof record->birth);
  write_bytes(&to, record->seal, sizeof record->seal);
  return written(&to, bytes);
}

int workspace_from_bytes(const MDB_val* value, tokenstore_workspace_record* out_record) {
  reader from = reader_of(value);
  const tokenstore_workspace_record empty = {.struct_size = sizeof *out_record};
  *out_record = empty;
  read_text(&from, &out_record->workspace, &out_record->workspace_size);
  read_text(&from, &out_record->seal_key_id, &out_record->seal_key_id_size);
  out_record->longest_lifetime = read_time(&from);
  out_record->default_lifetime = read_time(&from);
  out_record->created_at = read_time(&from);
  out_record->revision = read_number(&from, 8);
  out_record->most_active_per_owner = (uint32_t)read_number(&from, 4);
  out_record->tokens_enabled = (int32_t)read_number(&from, 1);
  out_record->users_may_issue = (int32_t)read_number(&from, 1);
  out_record->never_allowed = (int32_t)read_number(&from, 1);
  read_fixed(&from, out_record->birth, sizeof out_record->birth);
  read_fixed(&from, out_record->seal, sizeof out_record->seal);
  return ended(&from);
}

size_t store_to_bytes(const tokenstore_store_record* record, uint8_t* bytes, size_t size) {
  writer to = {bytes, bytes + size, 0};
  write_text(&to, record->seal_key_id, record->seal_key_id_size);
  write_time(&to, record->created_at);
  write_number(&to, record->revision, 8);
  write_bytes(&to, record->id, sizeof record->id);
  write_bytes(&to, record->seal, sizeof record->seal);
  return written(&to, bytes);
}

int store_from_bytes(const MDB_val* value, tokenstore_store_record* out_record) {
  reader from = reader_of(value);
  const tokenstore_store_record empty = {.struct_size = sizeof *out_record};
  *out_record = empty;
  read_text(&from, &out_record->seal_key_id, &out_record->seal_key_id_size);
  out_record->created_at = read_time(&from);
  out_record->revision = read_number(&from, 8);
  read_fixed(&from, out_record->id, sizeof out_record->id);
  read_fixed(&from, out_record->seal, sizeof out_record->seal);
  return ended(&from);
}

int64_t token_end(const tokenstore_token_record* token) {
  return token->revoked_at < token->expires_at ? token->revoked_at : token->expires_at;
}

token_times times_of(const tokenstore_token_record* token) {
  const token_times times = {token->not_before, token->expires_at, token->expired_at, token->revoked_at};
  return times;
}

int32_t token_state(const token_times* times, int64_t now) {
  if (times->revoked_at != INT64_MAX) return TOKENSTORE_STATE_REVOKED;
  if (times->expired_at != INT64_MAX || times->expires_at <= now) return TOKENSTORE_STATE_EXPIRED;
  return times->not_before > now ? TOKENSTORE_STATE_PENDING : TOKENSTORE_STATE_ACTIVE;
}
