/* The rules of `struct_size`: old programs, programs of a later version, and garbage. */
#include <stdlib.h>

#include <tokenstore_conformance.h>
#include <tokenstore_postgres.h>

#include "frozen_1_0.h"
#include "host.h"

#define SAME_FIELD(type, field) CHECK(offsetof(tokenstore_##type, field) == offsetof(frozen_##type, field))
/* The constant is the frozen size, and nothing was left for the compiler to pad: on any machine in the first line,
 * and where pointers are as wide as times, not even between two versions. */
#define SAME_SIZE(type, NAME)                                       \
  CHECK(sizeof(frozen_##type) == TOKENSTORE_##NAME##_SIZE_1_0);     \
  CHECK(sizeof(tokenstore_##type) >= TOKENSTORE_##NAME##_SIZE_1_0); \
  CHECK(sizeof(frozen_##type) % sizeof(void*) == 0)

static void frozen_copies_of_backends(void) {
  SAME_SIZE(token_record, TOKEN_RECORD);
  SAME_FIELD(token_record, struct_size);
  SAME_FIELD(token_record, id);
  SAME_FIELD(token_record, id_size);
  SAME_FIELD(token_record, key_id);
  SAME_FIELD(token_record, key_id_size);
  SAME_FIELD(token_record, owner);
  SAME_FIELD(token_record, owner_size);
  SAME_FIELD(token_record, description);
  SAME_FIELD(token_record, description_size);
  SAME_FIELD(token_record, scopes);
  SAME_FIELD(token_record, scopes_size);
  SAME_FIELD(token_record, metadata);
  SAME_FIELD(token_record, metadata_size);
  SAME_FIELD(token_record, created_by);
  SAME_FIELD(token_record, created_by_size);
  SAME_FIELD(token_record, revoked_by);
  SAME_FIELD(token_record, revoked_by_size);
  SAME_FIELD(token_record, revoke_reason);
  SAME_FIELD(token_record, revoke_reason_size);
  SAME_FIELD(token_record, seal_key_id);
  SAME_FIELD(token_record, seal_key_id_size);
  SAME_FIELD(token_record, last_used_from);
  SAME_FIELD(token_record, last_used_from_size);
  SAME_FIELD(token_record, created_at);
  SAME_FIELD(token_record, not_before);
  SAME_FIELD(token_record, expires_at);
  SAME_FIELD(token_record, expired_at);
  SAME_FIELD(token_record, revoked_at);
  SAME_FIELD(token_record, last_used_at);
  SAME_FIELD(token_record, revoke_all_count);
  SAME_FIELD(token_record, revision);
  SAME_FIELD(token_record, owner_birth);
  SAME_FIELD(token_record, verifier);
  SAME_FIELD(token_record, seal);
  SAME_SIZE(owner_record, OWNER_RECORD);
  SAME_FIELD(owner_record, struct_size);
  SAME_FIELD(owner_record, owner);
  SAME_FIELD(owner_record, owner_size);
  SAME_FIELD(owner_record, suspended_by);
  SAME_FIELD(owner_record, suspended_by_size);
  SAME_FIELD(owner_record, suspend_reason);
  SAME_FIELD(owner_record, suspend_reason_size);
  SAME_FIELD(owner_record, seal_key_id);
  SAME_FIELD(owner_record, seal_key_id_size);
  SAME_FIELD(owner_record, suspended_at);
  SAME_FIELD(owner_record, revoke_all_count);
  SAME_FIELD(owner_record, revision);
  SAME_FIELD(owner_record, may_issue);
  SAME_FIELD(owner_record, may_use);
  SAME_FIELD(owner_record, birth);
  SAME_FIELD(owner_record, seal);
  SAME_SIZE(workspace_record, WORKSPACE_RECORD);
  SAME_FIELD(workspace_record, struct_size);
  SAME_FIELD(workspace_record, workspace);
  SAME_FIELD(workspace_record, workspace_size);
  SAME_FIELD(workspace_record, seal_key_id);
  SAME_FIELD(workspace_record, seal_key_id_size);
  SAME_FIELD(workspace_record, longest_lifetime);
  SAME_FIELD(workspace_record, default_lifetime);
  SAME_FIELD(workspace_record, created_at);
  SAME_FIELD(workspace_record, revision);
  SAME_FIELD(workspace_record, most_active_per_owner);
  SAME_FIELD(workspace_record, tokens_enabled);
  SAME_FIELD(workspace_record, users_may_issue);
  SAME_FIELD(workspace_record, never_allowed);
  SAME_FIELD(workspace_record, birth);
  SAME_FIELD(workspace_record, seal);
  SAME_SIZE(store_record, STORE_RECORD);
  SAME_FIELD(store_record, struct_size);
  SAME_FIELD(store_record, seal_key_id);
  SAME_FIELD(store_record, seal_key_id_size);
  SAME_FIELD(store_record, created_at);
  SAME_FIELD(store_record, revision);
  SAME_FIELD(store_record, id);
  SAME_FIELD(store_record, seal);
  SAME_SIZE(mutation, MUTATION);
  SAME_FIELD(mutation, struct_size);
  SAME_FIELD(mutation, key);
  SAME_FIELD(mutation, key_size);
  SAME_FIELD(mutation, token);
  SAME_FIELD(mutation, owner);
  SAME_FIELD(mutation, workspace);
  SAME_FIELD(mutation, store);
  SAME_FIELD(mutation, expected);
  SAME_FIELD(mutation, step);
  SAME_FIELD(mutation, kind);
  SAME_SIZE(announcement, ANNOUNCEMENT);
  SAME_FIELD(announcement, struct_size);
  SAME_FIELD(announcement, entry);
  SAME_FIELD(announcement, entry_size);
  SAME_FIELD(announcement, link);
  SAME_SIZE(token_query, TOKEN_QUERY);
  SAME_FIELD(token_query, struct_size);
  SAME_FIELD(token_query, owner);
  SAME_FIELD(token_query, owner_size);
  SAME_FIELD(token_query, text);
  SAME_FIELD(token_query, text_size);
  SAME_FIELD(token_query, before_id);
  SAME_FIELD(token_query, before_id_size);
  SAME_FIELD(token_query, limit);
  SAME_FIELD(token_query, scan_limit);
  SAME_FIELD(token_query, now);
  SAME_FIELD(token_query, state);
  SAME_FIELD(token_query, reserved);
  SAME_SIZE(use, USE);
  SAME_FIELD(use, struct_size);
  SAME_FIELD(use, id);
  SAME_FIELD(use, id_size);
  SAME_FIELD(use, used_from);
  SAME_FIELD(use, used_from_size);
  SAME_FIELD(use, used_at);
  SAME_SIZE(answer, ANSWER);
  SAME_FIELD(answer, struct_size);
  SAME_FIELD(answer, emit_token);
  SAME_FIELD(answer, emit_owner);
  SAME_FIELD(answer, emit_workspace);
  SAME_FIELD(answer, emit_store);
  SAME_FIELD(answer, emit_ended);
  SAME_FIELD(answer, emit_head);
  SAME_FIELD(answer, emit_entry);
  SAME_FIELD(answer, emit_everything);
  SAME_FIELD(answer, emit_number);
  SAME_FIELD(answer, emit_counts);
  SAME_FIELD(answer, emit_next);
  SAME_FIELD(answer, emit_problem);
  SAME_FIELD(answer, progress);
  SAME_FIELD(answer, fail);
  SAME_SIZE(signal, SIGNAL);
  SAME_FIELD(signal, struct_size);
  SAME_FIELD(signal, changed);
  SAME_FIELD(signal, trust_until);
  CHECK(sizeof(frozen_pulse) == sizeof(tokenstore_pulse)); /* returned by value: it cannot grow */
  SAME_FIELD(pulse, counter);
  SAME_FIELD(pulse, trusted_until);
  SAME_SIZE(backend, BACKEND);
  SAME_FIELD(backend, struct_size);
  SAME_FIELD(backend, context);
  SAME_FIELD(backend, name);
  SAME_FIELD(backend, name_size);
  SAME_FIELD(backend, contract);
  SAME_FIELD(backend, capabilities);
  SAME_FIELD(backend, open);
  SAME_FIELD(backend, close);
  SAME_FIELD(backend, load_token);
  SAME_FIELD(backend, load_owner);
  SAME_FIELD(backend, load_workspace);
  SAME_FIELD(backend, load_store);
  SAME_FIELD(backend, list_tokens);
  SAME_FIELD(backend, list_owners);
  SAME_FIELD(backend, list_workspaces);
  SAME_FIELD(backend, count_tokens);
  SAME_FIELD(backend, count_live);
  SAME_FIELD(backend, list_ended);
  SAME_FIELD(backend, commit);
  SAME_FIELD(backend, changes);
  SAME_FIELD(backend, pulse);
  SAME_FIELD(backend, record_uses);
  SAME_FIELD(backend, maintain);
  SAME_FIELD(backend, check_integrity);
  SAME_SIZE(postgres_options, POSTGRES_OPTIONS);
  SAME_FIELD(postgres_options, struct_size);
  SAME_FIELD(postgres_options, conninfo);
  SAME_FIELD(postgres_options, conninfo_size);
  SAME_FIELD(postgres_options, schema);
  SAME_FIELD(postgres_options, schema_size);
  SAME_FIELD(postgres_options, max_staleness_ms);
  SAME_FIELD(postgres_options, deadline_ms);
  SAME_FIELD(postgres_options, pool_size);
  SAME_FIELD(postgres_options, must_exist);
  SAME_FIELD(postgres_options, read_only);
  SAME_FIELD(postgres_options, no_listener_thread);
  SAME_SIZE(conformance_place, CONFORMANCE_PLACE);
  SAME_FIELD(conformance_place, struct_size);
  SAME_FIELD(conformance_place, directory);
  SAME_FIELD(conformance_place, directory_size);
  SAME_FIELD(conformance_place, how);
  SAME_SIZE(conformance_subject, CONFORMANCE_SUBJECT);
  SAME_FIELD(conformance_subject, struct_size);
  SAME_FIELD(conformance_subject, make);
  SAME_FIELD(conformance_subject, discard);
  SAME_FIELD(conformance_subject, feed_bound);
  SAME_FIELD(conformance_subject, contract);
  SAME_FIELD(conformance_subject, exemptions);
}

static void frozen_copies(void) {
  SAME_SIZE(key_info, KEY_INFO);
  SAME_FIELD(key_info, struct_size);
  SAME_FIELD(key_info, id);
  SAME_FIELD(key_info, id_size);
  SAME_FIELD(key_info, use);
  SAME_FIELD(key_info, reserved);
  SAME_SIZE(clock, CLOCK);
  SAME_FIELD(clock, struct_size);
  SAME_FIELD(clock, wall);
  SAME_FIELD(clock, monotonic);
  SAME_FIELD(clock, context);
  SAME_SIZE(open_options, OPEN_OPTIONS);
  SAME_FIELD(open_options, struct_size);
  SAME_FIELD(open_options, path);
  SAME_FIELD(open_options, path_size);
  SAME_FIELD(open_options, key_file);
  SAME_FIELD(open_options, key_file_size);
  SAME_FIELD(open_options, key_bytes);
  SAME_FIELD(open_options, key_bytes_size);
  SAME_FIELD(open_options, key_id);
  SAME_FIELD(open_options, key_id_size);
  SAME_FIELD(open_options, keyring);
  SAME_FIELD(open_options, workspace);
  SAME_FIELD(open_options, workspace_size);
  SAME_FIELD(open_options, prefix);
  SAME_FIELD(open_options, prefix_size);
  SAME_FIELD(open_options, vfs);
  SAME_FIELD(open_options, vfs_size);
  SAME_FIELD(open_options, clock);
  SAME_FIELD(open_options, busy_timeout_ms);
  SAME_FIELD(open_options, use_interval_ms);
  SAME_FIELD(open_options, cache_bytes);
  SAME_FIELD(open_options, backend);
  SAME_FIELD(open_options, durability);
  SAME_FIELD(open_options, read_only);
  SAME_FIELD(open_options, must_exist);
  SAME_FIELD(open_options, workspace_must_exist);
  SAME_FIELD(open_options, upkeep_thread);
  SAME_SIZE(demand, DEMAND);
  SAME_FIELD(demand, struct_size);
  SAME_FIELD(demand, scope);
  SAME_FIELD(demand, scope_size);
  SAME_FIELD(demand, client_address);
  SAME_FIELD(demand, client_address_size);
  SAME_SIZE(verdict, VERDICT);
  SAME_FIELD(verdict, struct_size);
  SAME_FIELD(verdict, outcome);
  SAME_FIELD(verdict, reason);
  SAME_FIELD(verdict, http_status);
  SAME_FIELD(verdict, reserved);
  SAME_FIELD(verdict, expires_at);
  SAME_FIELD(verdict, id_size);
  SAME_FIELD(verdict, owner_size);
  SAME_FIELD(verdict, scopes_size);
  SAME_FIELD(verdict, metadata_size);
  SAME_FIELD(verdict, id);
  SAME_FIELD(verdict, owner);
  SAME_FIELD(verdict, scopes);
  SAME_FIELD(verdict, metadata);
  SAME_SIZE(actor, ACTOR);
  SAME_FIELD(actor, struct_size);
  SAME_FIELD(actor, name);
  SAME_FIELD(actor, name_size);
  SAME_FIELD(actor, kind);
  SAME_FIELD(actor, reserved);
  SAME_SIZE(issue_request, ISSUE_REQUEST);
  SAME_FIELD(issue_request, struct_size);
  SAME_FIELD(issue_request, owner);
  SAME_FIELD(issue_request, owner_size);
  SAME_FIELD(issue_request, description);
  SAME_FIELD(issue_request, description_size);
  SAME_FIELD(issue_request, scopes);
  SAME_FIELD(issue_request, scopes_size);
  SAME_FIELD(issue_request, metadata);
  SAME_FIELD(issue_request, metadata_size);
  SAME_FIELD(issue_request, lifetime_ms);
  SAME_FIELD(issue_request, not_before);
  SAME_SIZE(token_info, TOKEN_INFO);
  SAME_FIELD(token_info, struct_size);
  SAME_FIELD(token_info, id);
  SAME_FIELD(token_info, id_size);
  SAME_FIELD(token_info, owner);
  SAME_FIELD(token_info, owner_size);
  SAME_FIELD(token_info, description);
  SAME_FIELD(token_info, description_size);
  SAME_FIELD(token_info, scopes);
  SAME_FIELD(token_info, scopes_size);
  SAME_FIELD(token_info, metadata);
  SAME_FIELD(token_info, metadata_size);
  SAME_FIELD(token_info, created_by);
  SAME_FIELD(token_info, created_by_size);
  SAME_FIELD(token_info, revoked_by);
  SAME_FIELD(token_info, revoked_by_size);
  SAME_FIELD(token_info, revoke_reason);
  SAME_FIELD(token_info, revoke_reason_size);
  SAME_FIELD(token_info, last_used_from);
  SAME_FIELD(token_info, last_used_from_size);
  SAME_FIELD(token_info, created_at);
  SAME_FIELD(token_info, not_before);
  SAME_FIELD(token_info, expires_at);
  SAME_FIELD(token_info, revoked_at);
  SAME_FIELD(token_info, last_used_at);
  SAME_FIELD(token_info, state);
  SAME_FIELD(token_info, reserved);
  SAME_SIZE(list_query, LIST_QUERY);
  SAME_FIELD(list_query, struct_size);
  SAME_FIELD(list_query, owner);
  SAME_FIELD(list_query, owner_size);
  SAME_FIELD(list_query, text);
  SAME_FIELD(list_query, text_size);
  SAME_FIELD(list_query, cursor);
  SAME_FIELD(list_query, cursor_size);
  SAME_FIELD(list_query, limit);
  SAME_FIELD(list_query, state);
  SAME_FIELD(list_query, reserved);
  SAME_SIZE(counts, COUNTS);
  SAME_FIELD(counts, struct_size);
  SAME_FIELD(counts, active);
  SAME_FIELD(counts, pending);
  SAME_FIELD(counts, expired);
  SAME_FIELD(counts, revoked);
  SAME_SIZE(owner_settings, OWNER_SETTINGS);
  SAME_FIELD(owner_settings, struct_size);
  SAME_FIELD(owner_settings, may_not_issue);
  SAME_FIELD(owner_settings, may_not_use);
  SAME_SIZE(owner_info, OWNER_INFO);
  SAME_FIELD(owner_info, struct_size);
  SAME_FIELD(owner_info, owner);
  SAME_FIELD(owner_info, owner_size);
  SAME_FIELD(owner_info, suspended_by);
  SAME_FIELD(owner_info, suspended_by_size);
  SAME_FIELD(owner_info, suspend_reason);
  SAME_FIELD(owner_info, suspend_reason_size);
  SAME_FIELD(owner_info, suspended_at);
  SAME_FIELD(owner_info, may_not_issue);
  SAME_FIELD(owner_info, may_not_use);
  SAME_FIELD(owner_info, suspended);
  SAME_FIELD(owner_info, tampered);
  SAME_SIZE(policy, POLICY);
  SAME_FIELD(policy, struct_size);
  SAME_FIELD(policy, longest_lifetime_ms);
  SAME_FIELD(policy, default_lifetime_ms);
  SAME_FIELD(policy, most_active_per_owner);
  SAME_FIELD(policy, never_allowed);
  SAME_FIELD(policy, users_may_not_issue);
  SAME_FIELD(policy, tokens_disabled);
  SAME_SIZE(check_summary, CHECK_SUMMARY);
  SAME_FIELD(check_summary, struct_size);
  SAME_FIELD(check_summary, tokens);
  SAME_FIELD(check_summary, owners);
  SAME_FIELD(check_summary, problems);
  SAME_FIELD(check_summary, problems_noted);
  SAME_SIZE(key_usage, KEY_USAGE);
  SAME_FIELD(key_usage, struct_size);
  SAME_FIELD(key_usage, key_id);
  SAME_FIELD(key_usage, key_id_size);
  SAME_FIELD(key_usage, seals);
  SAME_FIELD(key_usage, living_tokens);
  SAME_SIZE(backup_info, BACKUP_INFO);
  SAME_FIELD(backup_info, struct_size);
  SAME_FIELD(backup_info, made_at);
  SAME_FIELD(backup_info, workspaces);
  SAME_FIELD(backup_info, owners);
  SAME_FIELD(backup_info, tokens);
  SAME_FIELD(backup_info, revision);
  SAME_FIELD(backup_info, store);
  SAME_SIZE(restore_summary, RESTORE_SUMMARY);
  SAME_FIELD(restore_summary, struct_size);
  SAME_FIELD(restore_summary, made_at);
  SAME_FIELD(restore_summary, tokens);
  SAME_FIELD(restore_summary, owners);
  SAME_FIELD(restore_summary, compared);
  SAME_FIELD(restore_summary, reserved);
  SAME_FIELD(restore_summary, lost_endings);
  SAME_FIELD(restore_summary, lost_suspensions);
  SAME_FIELD(restore_summary, lost_tokens);
  SAME_FIELD(restore_summary, lost_changes);
  SAME_FIELD(restore_summary, kept_file_size);
  SAME_FIELD(restore_summary, kept_file);
  SAME_SIZE(copy_summary, COPY_SUMMARY);
  SAME_FIELD(copy_summary, struct_size);
  SAME_FIELD(copy_summary, workspaces);
  SAME_FIELD(copy_summary, tokens);
  SAME_FIELD(copy_summary, owners);
  SAME_FIELD(copy_summary, written);
  SAME_FIELD(copy_summary, different);
  SAME_SIZE(reseal_summary, RESEAL_SUMMARY);
  SAME_FIELD(reseal_summary, struct_size);
  SAME_FIELD(reseal_summary, resealed);
  SAME_FIELD(reseal_summary, kept);
  SAME_FIELD(reseal_summary, refused);
  SAME_FIELD(reseal_summary, next_size);
  SAME_FIELD(reseal_summary, next);
  SAME_SIZE(heal_summary, HEAL_SUMMARY);
  SAME_FIELD(heal_summary, struct_size);
  SAME_FIELD(heal_summary, looked_at);
  SAME_FIELD(heal_summary, ended);
  SAME_FIELD(heal_summary, removed);
  SAME_FIELD(heal_summary, settings);
  SAME_FIELD(heal_summary, refused);
  SAME_SIZE(key_source, KEY_SOURCE);
  SAME_FIELD(key_source, struct_size);
  SAME_FIELD(key_source, ask);
  SAME_FIELD(key_source, context);
  SAME_FIELD(key_source, pause_ms);
  SAME_SIZE(key_state, KEY_STATE);
  SAME_FIELD(key_state, struct_size);
  SAME_FIELD(key_state, key_id);
  SAME_FIELD(key_state, key_id_size);
  SAME_FIELD(key_state, seals);
  SAME_FIELD(key_state, living_tokens);
  SAME_FIELD(key_state, use);
  SAME_FIELD(key_state, reserved);
  SAME_SIZE(statistics, STATISTICS);
  SAME_FIELD(statistics, struct_size);
  SAME_FIELD(statistics, hits);
  SAME_FIELD(statistics, misses);
  SAME_FIELD(statistics, negative_hits);
  SAME_FIELD(statistics, malformed);
  SAME_FIELD(statistics, forged);
  SAME_FIELD(statistics, unavailable);
  SAME_FIELD(statistics, catch_ups);
  SAME_FIELD(statistics, dropped_all);
  SAME_FIELD(statistics, evictions);
  SAME_FIELD(statistics, uses_written);
  SAME_FIELD(statistics, cached_tokens);
  SAME_FIELD(statistics, cache_bytes);
  SAME_FIELD(statistics, not_kept_busy);
  SAME_FIELD(statistics, not_kept_changed);
  SAME_FIELD(statistics, not_kept_no_room);
  SAME_FIELD(statistics, feed_mismatches);
}

static void frozen_copies_of_the_journal(void) {
  SAME_SIZE(journal_entry, JOURNAL_ENTRY);
  SAME_FIELD(journal_entry, struct_size);
  SAME_FIELD(journal_entry, number);
  SAME_FIELD(journal_entry, segment);
  SAME_FIELD(journal_entry, at);
  SAME_FIELD(journal_entry, ends_at);
  SAME_FIELD(journal_entry, revision);
  SAME_FIELD(journal_entry, deed);
  SAME_FIELD(journal_entry, record);
  SAME_FIELD(journal_entry, gone);
  SAME_FIELD(journal_entry, reserved);
  SAME_FIELD(journal_entry, workspace);
  SAME_FIELD(journal_entry, workspace_size);
  SAME_FIELD(journal_entry, token_id);
  SAME_FIELD(journal_entry, token_id_size);
  SAME_FIELD(journal_entry, key_id);
  SAME_FIELD(journal_entry, key_id_size);
  SAME_FIELD(journal_entry, owner);
  SAME_FIELD(journal_entry, owner_size);
  SAME_FIELD(journal_entry, actor);
  SAME_FIELD(journal_entry, actor_size);
  SAME_FIELD(journal_entry, reason);
  SAME_FIELD(journal_entry, reason_size);
  SAME_SIZE(journal_query, JOURNAL_QUERY);
  SAME_FIELD(journal_query, struct_size);
  SAME_FIELD(journal_query, from);
  SAME_FIELD(journal_query, to);
  SAME_FIELD(journal_query, deed);
  SAME_FIELD(journal_query, reserved);
  SAME_FIELD(journal_query, workspace);
  SAME_FIELD(journal_query, workspace_size);
  SAME_FIELD(journal_query, owner);
  SAME_FIELD(journal_query, owner_size);
  SAME_FIELD(journal_query, token_id);
  SAME_FIELD(journal_query, token_id_size);
  SAME_FIELD(journal_query, actor);
  SAME_FIELD(journal_query, actor_size);
  SAME_FIELD(journal_query, after);
  SAME_FIELD(journal_query, after_size);
  SAME_SIZE(journal_problem, JOURNAL_PROBLEM);
  SAME_FIELD(journal_problem, struct_size);
  SAME_FIELD(journal_problem, kind);
  SAME_FIELD(journal_problem, accepted);
  SAME_FIELD(journal_problem, segment);
  SAME_FIELD(journal_problem, octet);
  SAME_FIELD(journal_problem, entry);
  SAME_FIELD(journal_problem, file);
  SAME_FIELD(journal_problem, file_size);
  SAME_FIELD(journal_problem, what);
  SAME_FIELD(journal_problem, what_size);
  SAME_SIZE(journal_report, JOURNAL_REPORT);
  SAME_FIELD(journal_report, struct_size);
  SAME_FIELD(journal_report, segments);
  SAME_FIELD(journal_report, first_segment);
  SAME_FIELD(journal_report, entries);
  SAME_FIELD(journal_report, last_entry);
  SAME_FIELD(journal_report, torn);
  SAME_FIELD(journal_report, problems);
  SAME_FIELD(journal_report, damaged);
  SAME_FIELD(journal_report, lacks_key);
  SAME_FIELD(journal_report, store);
  SAME_SIZE(journal_reading, JOURNAL_READING);
  SAME_FIELD(journal_reading, struct_size);
  SAME_FIELD(journal_reading, told);
  SAME_FIELD(journal_reading, stopped);
  SAME_FIELD(journal_reading, damaged);
  SAME_FIELD(journal_reading, lacks_key);
  SAME_FIELD(journal_reading, reserved);
  SAME_FIELD(journal_reading, next_size);
  SAME_FIELD(journal_reading, next);
  SAME_SIZE(journal_acceptance, JOURNAL_ACCEPTANCE);
  SAME_FIELD(journal_acceptance, struct_size);
  SAME_FIELD(journal_acceptance, segment);
  SAME_FIELD(journal_acceptance, last_entry);
  SAME_FIELD(journal_acceptance, kept_file_size);
  SAME_FIELD(journal_acceptance, kept_file);
}

/* Room for a struct and what a later version might put behind it. */
typedef union roomy {
  tokenstore_token_info token;
  tokenstore_open_options options;
  tokenstore_actor actor;
  tokenstore_policy policy;
  tokenstore_counts counts;
  size_t struct_size;
  unsigned char bytes[sizeof(tokenstore_open_options) + 8192];
} roomy;

static int32_t count_as(tokenstore_store* store, const roomy* actor) {
  tokenstore_counts counts = {.struct_size = sizeof counts};
  return tokenstore_count(store, &actor->actor, NULL, 0, &counts, NULL);
}

static void input_sizes(void) {
  tokenstore_store* store = open_in_memory();
  roomy actor;
  memset(&actor, 0, sizeof actor);
  actor.actor.kind = TOKENSTORE_ACTOR_HOST;

  const size_t good[] = {sizeof actor.actor, sizeof actor.actor + 8, sizeof actor.actor + 4096};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) {
    actor.struct_size = good[i];
    CHECK_STATUS(TOKENSTORE_OK, count_as(store, &actor));
  }
  const size_t wrong[] = {0, 1, sizeof actor.actor - 1, sizeof actor.actor + 4097, SIZE_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    actor.struct_size = wrong[i];
    CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, count_as(store, &actor));
  }
  tokenstore_free(store);
}

static void unknown_tail(void) {
  tokenstore_store* store = open_in_memory();
  for (size_t at = sizeof(tokenstore_actor); at < sizeof(tokenstore_actor) + 16; ++at) {
    roomy actor;
    memset(&actor, 0, sizeof actor);
    actor.actor.kind = TOKENSTORE_ACTOR_HOST;
    actor.struct_size = sizeof(tokenstore_actor) + 16;
    actor.bytes[at] = 1;
    CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, count_as(store, &actor));
    actor.bytes[at] = 0;
    actor.bytes[sizeof(tokenstore_actor) + 16] = 1; /* not the struct's any more */
    CHECK_STATUS(TOKENSTORE_OK, count_as(store, &actor));
  }
  roomy options;
  memset(&options, 0, sizeof options);
  options.options.struct_size = sizeof options.options + 8;
  options.options.backend = TOKENSTORE_BACKEND_MEMORY;
  options.bytes[sizeof options.options] = 1;
  tokenstore_store* other = store;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options.options, &other, NULL));
  CHECK(other == NULL);
  tokenstore_free(store);
}

static void output_tail(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  roomy counts;
  memset(&counts, 0xA5, sizeof counts);
  counts.counts.struct_size = sizeof counts.counts + 24;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_count(store, &host, NULL, 0, &counts.counts, NULL));
  CHECK(counts.struct_size == sizeof counts.counts + 24);
  CHECK(counts.counts.active == 0);
  for (size_t i = sizeof counts.counts; i < sizeof counts.counts + 24; ++i) CHECK(counts.bytes[i] == 0);
  CHECK(counts.bytes[sizeof counts.counts + 24] == 0xA5);

  counts.counts.struct_size = sizeof counts.counts - 8;
  counts.counts.active = 77;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_count(store, &host, NULL, 0, &counts.counts, NULL));
  CHECK(counts.counts.active == 77);
  tokenstore_free(store);
}

static void verdict_sizes(void) {
  tokenstore_store* store = open_in_memory();
  token_text text;
  const size_t size = issue_for(store, "alice", "read", text, NULL);
  const tokenstore_demand demand = demand_of("read");
  tokenstore_verdict* verdict = malloc(sizeof *verdict + 64);
  CHECK(verdict != NULL);
  unsigned char* bytes = (unsigned char*)verdict;
  memset(bytes, 0xA5, sizeof *verdict + 64);

  verdict->struct_size = sizeof *verdict + 32;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, text, size, &demand, verdict, NULL));
  CHECK(verdict->outcome == TOKENSTORE_OUTCOME_VALID);
  for (size_t i = sizeof *verdict; i < sizeof *verdict + 32; ++i) CHECK(bytes[i] == 0);
  CHECK(bytes[sizeof *verdict + 32] == 0xA5);

  verdict->outcome = -7;
  verdict->struct_size = sizeof *verdict - 1;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_validate(store, text, size, &demand, verdict, NULL));
  CHECK(verdict->outcome == -7);
  free(verdict);
  tokenstore_free(store);
}

static void old_requests(void) {
  /* An array of requests is laid out by the size that the program was compiled with. */
  struct later_request {
    tokenstore_issue_request request;
    uint64_t unknown;
  } requests[3];
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  token_text texts[3];
  size_t size = 0;
  memset(requests, 0, sizeof requests);
  for (size_t i = 0; i < 3; ++i) {
    requests[i].request = request_for(i == 1 ? "bob" : "alice", "read");
    requests[i].request.struct_size = sizeof requests[i];
  }
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue_many(store, &host, &requests[0].request, 3, texts[0], sizeof texts[0],
                                                    &size, NULL, NULL));
  CHECK(counts_of(store).active == 3);
  requests[2].unknown = 1;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_issue_many(store, &host, &requests[0].request, 3, texts[0],
                                                                  sizeof texts[0], &size, NULL, NULL));
  requests[2].unknown = 0;
  requests[1].request.struct_size = sizeof requests[1].request;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_issue_many(store, &host, &requests[0].request, 3, texts[0],
                                                                  sizeof texts[0], &size, NULL, NULL));
  CHECK(counts_of(store).active == 3);
  tokenstore_free(store);
}

static const check_case cases[] = {
    {"sizes and fields are those of the frozen copies", frozen_copies},
    {"those that backends see as well", frozen_copies_of_backends},
    {"those of the journal", frozen_copies_of_the_journal},
    {"an input smaller than 1.0 or far too large is refused", input_sizes},
    {"a field that this version does not know is refused unless it is zero", unknown_tail},
    {"an output larger than this version knows is zero there, and not a byte further", output_tail},
    {"a verdict follows the same rules", verdict_sizes},
    {"an array of requests of another version is read by its own size", old_requests},
};
CHECK_MAIN(cases)
