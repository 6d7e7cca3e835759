/* The journal as an audit trail: what is told of it, what verifying finds, and accepting what is left. */
#include <stdio.h>
#include <tokenstore.h>

#include "check.h"

static const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
static const tokenstore_actor root = {
    .struct_size = sizeof root, .kind = TOKENSTORE_ACTOR_ADMINISTRATOR, .name = "root", .name_size = 4};
static const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {7};
static const char path[] = "audit.journal";
static const size_t path_size = sizeof path - 1;

static tokenstore_keyring* keys(void) {
  tokenstore_keyring* keyring = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_from_bytes(master, sizeof master, NULL, 0, &keyring, NULL));
  return keyring;
}

/* An issue, a revocation and a suspension. */
static void write_journal(const tokenstore_keyring* keyring) {
  const tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = "alice", .owner_size = 5, .scopes = "read", .scopes_size = 4};
  const tokenstore_open_options options = {.struct_size = sizeof options,
                                           .backend = TOKENSTORE_BACKEND_MEMORY,
                                           .keyring = keyring,
                                           .journal = path,
                                           .journal_size = path_size};
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;
  tokenstore_store* store = NULL;
  tokenstore_token* token = NULL;
  tokenstore_token_info info = {.struct_size = sizeof info};
  remove(path);
  remove("audit.journal.000001");
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &host, &request, text, sizeof text, &size, &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &info, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_revoke(store, &root, info.id, info.id_size, "lost", 4, NULL, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_suspend(store, &host, "alice", 5, "left", 4, NULL, NULL));
  tokenstore_token_free(token);
  tokenstore_free(store);
}

typedef struct told {
  uint64_t entries;
  uint64_t most;
  uint64_t last;
  int32_t revoked;
  int32_t accepted;
  uint64_t problems;
  uint64_t octet;
} told;

static int32_t take(void* context, const tokenstore_journal_entry* entry) {
  told* seen = (told*)context;
  CHECK(entry->struct_size == sizeof *entry && entry->number > seen->last && entry->at > 0);
  seen->last = entry->number;
  if (entry->deed == TOKENSTORE_DEED_REVOKED) {
    seen->revoked = 1;
    CHECK_TEXT("administrator:root", entry->actor, entry->actor_size);
    CHECK_TEXT("alice", entry->owner, entry->owner_size);
    CHECK_TEXT("lost", entry->reason, entry->reason_size);
    CHECK_TEXT("default", entry->workspace, entry->workspace_size);
    CHECK(entry->record == TOKENSTORE_JOURNALED_TOKEN && entry->token_id_size == TOKENSTORE_ID_SIZE);
    CHECK(entry->token_id[entry->token_id_size] == '\0' && entry->key_id_size == 0 && entry->gone == 0);
    CHECK(entry->revision == 2 && entry->ends_at > 0);
  }
  if (entry->deed == TOKENSTORE_DEED_ACCEPTED) seen->accepted = 1;
  return ++seen->entries == seen->most;
}

static void find(void* context, const tokenstore_journal_problem* problem) {
  told* seen = (told*)context;
  CHECK(problem->struct_size == sizeof *problem && problem->what_size > 0 && problem->file_size > 0);
  CHECK(problem->kind == TOKENSTORE_PROBLEM_DAMAGED);
  ++seen->problems;
  seen->octet = problem->octet;
}

static void reading(void) {
  tokenstore_keyring* keyring = keys();
  tokenstore_journal_query query = {.struct_size = sizeof query};
  tokenstore_journal_reading read = {.struct_size = sizeof read};
  char place[TOKENSTORE_JOURNAL_PLACE_MAX];
  told all = {0};
  write_journal(keyring);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_read(path, path_size, keyring, NULL, take, find, &all, &read, NULL));
  CHECK(all.entries >= 3 && all.revoked == 1 && read.told == all.entries && read.stopped == 0 && read.damaged == 0);
  CHECK(read.lacks_key == 0 && all.problems == 0);
  /* One at a time. */
  told some = {.most = 1};
  query.after = place;
  for (uint64_t i = 1; i <= all.entries; ++i) {
    some.entries = 0;
    CHECK_STATUS(TOKENSTORE_OK,
                 tokenstore_journal_read(path, path_size, keyring, &query, take, NULL, &some, &read, NULL));
    CHECK(read.told == 1 && read.stopped == 1 && some.last == i);
    query.after_size = read.next_size;
    memcpy(place, read.next, read.next_size);
  }
  CHECK_STATUS(TOKENSTORE_OK,
               tokenstore_journal_read(path, path_size, keyring, &query, take, NULL, &some, &read, NULL));
  CHECK(read.told == 0 && read.stopped == 0);
  const tokenstore_journal_query queries[] = {
      {.struct_size = sizeof query, .deed = TOKENSTORE_DEED_REVOKED},
      {.struct_size = sizeof query, .actor = "root", .actor_size = 4},
  };
  for (size_t i = 0; i < sizeof queries / sizeof queries[0]; ++i) {
    told found = {0};
    CHECK_STATUS(TOKENSTORE_OK,
                 tokenstore_journal_read(path, path_size, keyring, &queries[i], take, NULL, &found, &read, NULL));
    CHECK(found.entries == 1 && found.revoked == 1);
  }
  tokenstore_keyring_free(keyring);
}

static void damage(void) {
  tokenstore_keyring* keyring = keys();
  tokenstore_journal_report report = {.struct_size = sizeof report};
  tokenstore_journal_acceptance acceptance = {.struct_size = sizeof acceptance};
  tokenstore_journal_reading read = {.struct_size = sizeof read};
  told seen = {0};
  write_journal(keyring);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_verify(path, path_size, keyring, find, &seen, &report, NULL));
  CHECK(report.damaged == 0 && report.problems == 0 && report.segments == 1 && report.first_segment == 1);
  CHECK(report.entries == report.last_entry && report.torn == 0 && strlen(report.store) == 32);
  const uint64_t good = report.entries;
  CHECK_STATUS(TOKENSTORE_REFUSED, tokenstore_journal_accept(path, path_size, keyring, &host, &acceptance, NULL));
  FILE* file = fopen(path, "r+b");
  CHECK(file != NULL && fseek(file, -40, SEEK_END) == 0);
  const int octet = fgetc(file);
  CHECK(fseek(file, -1, SEEK_CUR) == 0 && fputc(octet ^ 1, file) != EOF && fclose(file) == 0);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_verify(path, path_size, keyring, find, &seen, &report, NULL));
  CHECK(report.damaged == 1 && report.problems == 1 && seen.problems == 1 && report.entries < good);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_accept(path, path_size, keyring, &root, &acceptance, NULL));
  CHECK(acceptance.segment == 2 && acceptance.last_entry == report.last_entry);
  CHECK_TEXT("audit.journal.000001", acceptance.kept_file, acceptance.kept_file_size);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_verify(path, path_size, keyring, NULL, NULL, &report, NULL));
  CHECK(report.damaged == 0 && report.problems == 1 && report.lacks_key == 0);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_journal_read(path, path_size, keyring, NULL, take, find, &seen, &read, NULL));
  CHECK(seen.accepted == 1 && read.damaged == 0);
  const tokenstore_actor user = {
      .struct_size = sizeof user, .kind = TOKENSTORE_ACTOR_USER, .name = "alice", .name_size = 5};
  CHECK_STATUS(TOKENSTORE_PERMISSION_DENIED,
               tokenstore_journal_accept(path, path_size, keyring, &user, &acceptance, NULL));
  tokenstore_keyring_free(keyring);
}

static void refusals(void) {
  tokenstore_keyring* keyring = keys();
  tokenstore_journal_query query = {.struct_size = sizeof query, .deed = 99};
  tokenstore_journal_report report = {.struct_size = sizeof report};
  tokenstore_journal_reading read = {.struct_size = sizeof read};
  told seen = {0};
  CHECK_STATUS(TOKENSTORE_CANNOT_OPEN, tokenstore_journal_verify("none", 4, keyring, NULL, NULL, &report, NULL));
  const int32_t refused[] = {
      tokenstore_journal_verify(NULL, 0, keyring, NULL, NULL, &report, NULL),
      tokenstore_journal_verify("a\0b", 3, keyring, NULL, NULL, &report, NULL),
      tokenstore_journal_verify(path, path_size, NULL, NULL, NULL, &report, NULL),
      tokenstore_journal_verify(path, path_size, keyring, NULL, NULL, NULL, NULL),
      tokenstore_journal_read(path, path_size, keyring, &query, take, NULL, &seen, &read, NULL),
      tokenstore_journal_read(path, path_size, keyring, NULL, NULL, NULL, &seen, &read, NULL),
      tokenstore_journal_read(path, path_size, keyring, NULL, take, NULL, &seen, NULL, NULL),
      tokenstore_journal_accept(path, path_size, keyring, NULL, NULL, NULL),
  };
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) CHECK(refused[i] == TOKENSTORE_INVALID_ARGUMENT);
  query.deed = 0;
  query.after = "nowhere";
  query.after_size = 7;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT,
               tokenstore_journal_read(path, path_size, keyring, &query, take, NULL, &seen, &read, NULL));
  tokenstore_keyring_free(keyring);
}

static const check_case cases[] = {
    {"all entries are told, or those that are asked for, and a reading goes on where another ended", reading},
    {"damage is reported, and accepted by an administrator", damage},
    {"what breaks a rule is refused", refusals},
};
CHECK_MAIN(cases)
