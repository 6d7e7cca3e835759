/*
 * The structs as programs of the first version were compiled with them. Never change these: a struct that grows
 * gets another copy beside them.
 */
#ifndef TOKENSTORE_TESTS_FROZEN_1_0_H
#define TOKENSTORE_TESTS_FROZEN_1_0_H

#include <stddef.h>
#include <stdint.h>

typedef struct frozen_key_info {
  size_t struct_size;
  const char* id;
  size_t id_size;
  int32_t use;
  int32_t reserved;
} frozen_key_info;

typedef struct frozen_clock {
  size_t struct_size;
  int64_t (*wall)(void* context);
  int64_t (*monotonic)(void* context);
  void* context;
} frozen_clock;

typedef struct frozen_open_options {
  size_t struct_size;
  const char* path;
  size_t path_size;
  const char* key_file;
  size_t key_file_size;
  const uint8_t* key_bytes;
  size_t key_bytes_size;
  const char* key_id;
  size_t key_id_size;
  const void* keyring;
  const char* workspace;
  size_t workspace_size;
  const char* prefix;
  size_t prefix_size;
  const char* vfs;
  size_t vfs_size;
  const frozen_clock* clock;
  int64_t busy_timeout_ms;
  int64_t use_interval_ms;
  int64_t cache_bytes;
  int32_t backend;
  int32_t durability;
  int32_t read_only;
  int32_t must_exist;
  int32_t workspace_must_exist;
  int32_t upkeep_thread;
} frozen_open_options;

typedef struct frozen_demand {
  size_t struct_size;
  const char* scope;
  size_t scope_size;
  const char* client_address;
  size_t client_address_size;
} frozen_demand;

typedef struct frozen_verdict {
  size_t struct_size;
  int32_t outcome;
  int32_t reason;
  int32_t http_status;
  int32_t reserved;
  int64_t expires_at;
  size_t id_size;
  size_t owner_size;
  size_t scopes_size;
  size_t metadata_size;
  char id[24];
  char owner[256];
  char scopes[8256];
  char metadata[4104];
} frozen_verdict;

typedef struct frozen_actor {
  size_t struct_size;
  const char* name;
  size_t name_size;
  int32_t kind;
  int32_t reserved;
} frozen_actor;

typedef struct frozen_issue_request {
  size_t struct_size;
  const char* owner;
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes;
  size_t scopes_size;
  const char* metadata;
  size_t metadata_size;
  int64_t lifetime_ms;
  int64_t not_before;
} frozen_issue_request;

typedef struct frozen_token_info {
  size_t struct_size;
  const char* id;
  size_t id_size;
  const char* owner;
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes;
  size_t scopes_size;
  const char* metadata;
  size_t metadata_size;
  const char* created_by;
  size_t created_by_size;
  const char* revoked_by;
  size_t revoked_by_size;
  const char* revoke_reason;
  size_t revoke_reason_size;
  const char* last_used_from;
  size_t last_used_from_size;
  int64_t created_at;
  int64_t not_before;
  int64_t expires_at;
  int64_t revoked_at;
  int64_t last_used_at;
  int32_t state;
  int32_t reserved;
} frozen_token_info;

typedef struct frozen_list_query {
  size_t struct_size;
  const char* owner;
  size_t owner_size;
  const char* text;
  size_t text_size;
  const char* cursor;
  size_t cursor_size;
  size_t limit;
  int32_t state;
  int32_t reserved;
} frozen_list_query;

typedef struct frozen_counts {
  size_t struct_size;
  uint64_t active;
  uint64_t pending;
  uint64_t expired;
  uint64_t revoked;
} frozen_counts;

typedef struct frozen_owner_settings {
  size_t struct_size;
  int32_t may_not_issue;
  int32_t may_not_use;
} frozen_owner_settings;

typedef struct frozen_owner_info {
  size_t struct_size;
  const char* owner;
  size_t owner_size;
  const char* suspended_by;
  size_t suspended_by_size;
  const char* suspend_reason;
  size_t suspend_reason_size;
  int64_t suspended_at;
  int32_t may_not_issue;
  int32_t may_not_use;
  int32_t suspended;
  int32_t tampered;
} frozen_owner_info;

typedef struct frozen_policy {
  size_t struct_size;
  int64_t longest_lifetime_ms;
  int64_t default_lifetime_ms;
  uint32_t most_active_per_owner;
  int32_t never_allowed;
  int32_t users_may_not_issue;
  int32_t tokens_disabled;
} frozen_policy;

typedef struct frozen_check_summary {
  size_t struct_size;
  uint64_t tokens;
  uint64_t owners;
  uint64_t problems;
  uint64_t problems_noted;
} frozen_check_summary;

typedef struct frozen_key_usage {
  size_t struct_size;
  const char* key_id;
  size_t key_id_size;
  uint64_t seals;
  uint64_t living_tokens;
} frozen_key_usage;

typedef struct frozen_reseal_summary {
  size_t struct_size;
  uint64_t resealed;
  uint64_t kept;
  uint64_t refused;
  size_t next_size;
  char next[1024];
} frozen_reseal_summary;

typedef struct frozen_heal_summary {
  size_t struct_size;
  uint64_t looked_at;
  uint64_t ended;
  uint64_t removed;
  uint64_t settings;
  uint64_t refused;
} frozen_heal_summary;

typedef struct frozen_key_source {
  size_t struct_size;
  int32_t (*ask)(void* context, tokenstore_keyring** out_keyring);
  void* context;
  int64_t pause_ms;
} frozen_key_source;

typedef struct frozen_key_state {
  size_t struct_size;
  const char* key_id;
  size_t key_id_size;
  uint64_t seals;
  uint64_t living_tokens;
  int32_t use;
  int32_t reserved;
} frozen_key_state;

typedef struct frozen_statistics {
  size_t struct_size;
  uint64_t hits;
  uint64_t misses;
  uint64_t negative_hits;
  uint64_t malformed;
  uint64_t forged;
  uint64_t unavailable;
  uint64_t catch_ups;
  uint64_t dropped_all;
  uint64_t evictions;
  uint64_t uses_written;
  uint64_t cached_tokens;
  uint64_t cache_bytes;
  uint64_t not_kept_busy;
  uint64_t not_kept_changed;
  uint64_t not_kept_no_room;
  uint64_t feed_mismatches;
} frozen_statistics;

typedef struct frozen_token_record {
  size_t struct_size;
  const char* id;
  size_t id_size;
  const char* key_id;
  size_t key_id_size;
  const char* owner;
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes;
  size_t scopes_size;
  const char* metadata;
  size_t metadata_size;
  const char* created_by;
  size_t created_by_size;
  const char* revoked_by;
  size_t revoked_by_size;
  const char* revoke_reason;
  size_t revoke_reason_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  const char* last_used_from;
  size_t last_used_from_size;
  int64_t created_at;
  int64_t not_before;
  int64_t expires_at;
  int64_t expired_at;
  int64_t revoked_at;
  int64_t last_used_at;
  uint64_t revoke_all_count;
  uint64_t revision;
  uint8_t owner_birth[16];
  uint8_t verifier[32];
  uint8_t seal[32];
} frozen_token_record;

typedef struct frozen_owner_record {
  size_t struct_size;
  const char* owner;
  size_t owner_size;
  const char* suspended_by;
  size_t suspended_by_size;
  const char* suspend_reason;
  size_t suspend_reason_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t suspended_at;
  uint64_t revoke_all_count;
  uint64_t revision;
  int32_t may_issue;
  int32_t may_use;
  uint8_t birth[16];
  uint8_t seal[32];
} frozen_owner_record;

typedef struct frozen_workspace_record {
  size_t struct_size;
  const char* workspace;
  size_t workspace_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t longest_lifetime;
  int64_t default_lifetime;
  int64_t created_at;
  uint64_t revision;
  uint32_t most_active_per_owner;
  int32_t tokens_enabled;
  int32_t users_may_issue;
  int32_t never_allowed;
  uint8_t birth[16];
  uint8_t seal[32];
} frozen_workspace_record;

typedef struct frozen_store_record {
  size_t struct_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t created_at;
  uint64_t revision;
  uint8_t id[16];
  uint8_t seal[32];
} frozen_store_record;

typedef struct frozen_mutation {
  size_t struct_size;
  const char* key;
  size_t key_size;
  const frozen_token_record* token;
  const frozen_owner_record* owner;
  const frozen_workspace_record* workspace;
  const frozen_store_record* store;
  uint64_t expected;
  int32_t step;
  int32_t kind;
} frozen_mutation;

typedef struct frozen_announcement frozen_announcement;
struct frozen_announcement {
  size_t struct_size;
  const char* entry;
  size_t entry_size;
  void (*link)(const frozen_announcement* announcement, uint64_t revision, const uint8_t previous[32],
               uint8_t out_link[32]);
};

typedef struct frozen_token_query {
  size_t struct_size;
  const char* owner;
  size_t owner_size;
  const char* text;
  size_t text_size;
  const char* before_id;
  size_t before_id_size;
  uint64_t limit;
  uint64_t scan_limit;
  int64_t now;
  int32_t state;
  int32_t reserved;
} frozen_token_query;

typedef struct frozen_use {
  size_t struct_size;
  const char* id;
  size_t id_size;
  const char* used_from;
  size_t used_from_size;
  int64_t used_at;
} frozen_use;

typedef struct frozen_answer frozen_answer;
struct frozen_answer {
  size_t struct_size;
  int32_t (*emit_token)(frozen_answer* answer, const frozen_token_record* record);
  int32_t (*emit_owner)(frozen_answer* answer, const frozen_owner_record* record);
  int32_t (*emit_workspace)(frozen_answer* answer, const frozen_workspace_record* record);
  int32_t (*emit_store)(frozen_answer* answer, const frozen_store_record* record);
  int32_t (*emit_ended)(frozen_answer* answer, const char* id, size_t id_size, uint64_t revision);
  int32_t (*emit_head)(frozen_answer* answer, uint64_t revision, const uint8_t link[32], uint64_t complete_from);
  int32_t (*emit_entry)(frozen_answer* answer, uint64_t revision, const char* entry, size_t entry_size,
                        const uint8_t link[32]);
  int32_t (*emit_everything)(frozen_answer* answer);
  int32_t (*emit_number)(frozen_answer* answer, uint64_t number);
  int32_t (*emit_counts)(frozen_answer* answer, uint64_t active, uint64_t pending, uint64_t expired, uint64_t revoked);
  int32_t (*emit_next)(frozen_answer* answer, const char* id, size_t id_size);
  int32_t (*emit_problem)(frozen_answer* answer, const char* line, size_t line_size);
  int32_t (*progress)(frozen_answer* answer, uint64_t done, uint64_t total);
  int32_t (*fail)(frozen_answer* answer, int32_t status, const char* message, size_t message_size);
};

typedef struct frozen_signal frozen_signal;
struct frozen_signal {
  size_t struct_size;
  void (*changed)(frozen_signal* signal);
  void (*trust_until)(frozen_signal* signal, int64_t monotonic);
};

typedef struct frozen_pulse {
  uint64_t counter;
  int64_t trusted_until;
} frozen_pulse;

typedef struct frozen_backend {
  size_t struct_size;
  void* context;
  const char* name;
  size_t name_size;
  uint32_t contract;
  uint32_t capabilities;
  int32_t (*open)(void* context, frozen_signal* signal, frozen_answer* answer);
  void (*close)(void* context);
  int32_t (*load_token)(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        frozen_answer* answer);
  int32_t (*load_owner)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, frozen_answer* answer);
  int32_t (*load_workspace)(void* context, const char* workspace, size_t workspace_size, frozen_answer* answer);
  int32_t (*load_store)(void* context, frozen_answer* answer);
  int32_t (*list_tokens)(void* context, const char* workspace, size_t workspace_size, const frozen_token_query* query,
                         frozen_answer* answer);
  int32_t (*list_owners)(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, frozen_answer* answer);
  int32_t (*list_workspaces)(void* context, const char* after, size_t after_size, uint64_t limit,
                             frozen_answer* answer);
  int32_t (*count_tokens)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, frozen_answer* answer);
  int32_t (*count_live)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, frozen_answer* answer);
  int32_t (*list_ended)(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, frozen_answer* answer);
  int32_t (*commit)(void* context, const char* workspace, size_t workspace_size, const frozen_mutation* const* batch,
                    size_t count, const frozen_announcement* announcement, frozen_answer* answer);
  int32_t (*changes)(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     frozen_answer* answer);
  frozen_pulse (*pulse)(void* context);
  int32_t (*record_uses)(void* context, const char* workspace, size_t workspace_size, const frozen_use* const* uses,
                         size_t count, frozen_answer* answer);
  int32_t (*maintain)(void* context, int64_t budget_ms, frozen_answer* answer);
  int32_t (*check_integrity)(void* context, uint64_t most, frozen_answer* answer);
} frozen_backend;

typedef struct frozen_postgres_options {
  size_t struct_size;
  const char* conninfo;
  size_t conninfo_size;
  const char* schema;
  size_t schema_size;
  int64_t max_staleness_ms;
  int64_t deadline_ms;
  uint64_t pool_size;
  int32_t must_exist;
  int32_t read_only;
  int32_t no_listener_thread;
  int32_t reserved;
} frozen_postgres_options;

typedef struct frozen_conformance_place {
  size_t struct_size;
  const char* directory;
  size_t directory_size;
  int32_t how;
  int32_t reserved;
} frozen_conformance_place;

typedef struct frozen_conformance_subject {
  size_t struct_size;
  int32_t (*make)(const frozen_conformance_place* place, frozen_backend* out_backend);
  void (*discard)(const char* directory, size_t directory_size);
  uint64_t feed_bound;
  uint32_t contract;
  uint32_t exemptions;
} frozen_conformance_subject;

typedef struct frozen_backup_info {
  size_t struct_size;
  int64_t made_at;
  uint64_t workspaces;
  uint64_t owners;
  uint64_t tokens;
  uint64_t revision;
  char store[40];
} frozen_backup_info;

typedef struct frozen_restore_summary {
  size_t struct_size;
  int64_t made_at;
  uint64_t tokens;
  uint64_t owners;
  int32_t compared;
  int32_t reserved;
  uint64_t lost_endings;
  uint64_t lost_suspensions;
  uint64_t lost_tokens;
  uint64_t lost_changes;
  size_t kept_file_size;
  char kept_file[4096];
} frozen_restore_summary;

typedef struct frozen_copy_summary {
  size_t struct_size;
  uint64_t workspaces;
  uint64_t tokens;
  uint64_t owners;
  uint64_t written;
  uint64_t different;
} frozen_copy_summary;

typedef struct frozen_journal_entry {
  size_t struct_size;
  uint64_t number;
  uint64_t segment;
  int64_t at;
  int64_t ends_at;
  uint64_t revision;
  int32_t deed;
  int32_t record;
  int32_t gone;
  int32_t reserved;
  const char* workspace;
  size_t workspace_size;
  const char* token_id;
  size_t token_id_size;
  const char* key_id;
  size_t key_id_size;
  const char* owner;
  size_t owner_size;
  const char* actor;
  size_t actor_size;
  const char* reason;
  size_t reason_size;
} frozen_journal_entry;

typedef struct frozen_journal_query {
  size_t struct_size;
  int64_t from;
  int64_t to;
  int32_t deed;
  int32_t reserved;
  const char* workspace;
  size_t workspace_size;
  const char* owner;
  size_t owner_size;
  const char* token_id;
  size_t token_id_size;
  const char* actor;
  size_t actor_size;
  const char* after;
  size_t after_size;
} frozen_journal_query;

typedef struct frozen_journal_problem {
  size_t struct_size;
  int32_t kind;
  int32_t accepted;
  uint64_t segment;
  uint64_t octet;
  uint64_t entry;
  const char* file;
  size_t file_size;
  const char* what;
  size_t what_size;
} frozen_journal_problem;

typedef struct frozen_journal_report {
  size_t struct_size;
  uint64_t segments;
  uint64_t first_segment;
  uint64_t entries;
  uint64_t last_entry;
  uint64_t torn;
  uint64_t problems;
  int32_t damaged;
  int32_t lacks_key;
  char store[40];
} frozen_journal_report;

typedef struct frozen_journal_reading {
  size_t struct_size;
  uint64_t told;
  int32_t stopped;
  int32_t damaged;
  int32_t lacks_key;
  int32_t reserved;
  size_t next_size;
  char next[200];
} frozen_journal_reading;

typedef struct frozen_journal_acceptance {
  size_t struct_size;
  uint64_t segment;
  uint64_t last_entry;
  size_t kept_file_size;
  char kept_file[4096];
} frozen_journal_acceptance;

#endif
