/*
 * tokenstore: storage of your own. A backend is a struct of C functions; tokenstore_open_backend opens a store on
 * it.
 *
 * A backend stores sealed records and answers look-ups. It decides nothing: policy, states, seals and verdicts
 * are the library's, so that a wrong or hostile backend can deny or replay, never forge.
 *
 * RULES THAT HOLD FOR EVERY ENTRY
 *
 * Required. Each entry's comment begins with "Required." or "Optional."; an optional one may be NULL.
 * Answers. Everything comes back through the `answer` that an entry is given: records and numbers by its emit
 *   functions, as often as the entry's comment says, and an error by `fail`. They copy what they are given before
 *   they return, so that no memory changes hands and no allocator crosses. An answer may be used by the thread
 *   that was called and until the entry returns; otherwise it does nothing and returns 0.
 * Status. An entry returns TOKENSTORE_OK, or what `fail` returned, or another TOKENSTORE_<status>. Those that are
 *   a backend's to give are INVALID_ARGUMENT, UNAVAILABLE, READ_ONLY, NOT_A_STORE, NEWER_SCHEMA, STORAGE_FULL,
 *   OUT_OF_MEMORY, CANNOT_OPEN, UNSUPPORTED and INTERNAL, and CONFLICT and UNKNOWN from `commit` alone. Any other is
 *   taken for UNAVAILABLE. What is absent is no error: return OK and emit nothing.
 * Faults. An answer that breaks a rule makes the call fail with UNAVAILABLE: too many records, one of the wrong kind,
 *   a struct_size that is wrong, OK after `fail`. A record that is not what was sealed is found out above the backend.
 *   An exception that leaves an entry is caught, and is UNAVAILABLE; in `commit` it is UNKNOWN. Never leave one by
 *   longjmp or by ending its thread: nobody could go on after that.
 * Ownership. Pointers that an entry is given are the library's, and valid until it returns. Pointers that are given
 *   to an emit function are the backend's, and need to be valid until that returns.
 * Text. A pointer and a size, without a terminator. Octets: they may hold quotes, wildcards and NUL, and are always
 *   literal. Ids, names and order are compared octet by octet, as unsigned. NULL with size 0 is empty.
 * Threads. With TOKENSTORE_BACKEND_THREAD_SAFE every entry but `open` and `close` may be called from many threads at
 *   once; without it one call at a time, from any thread. `pulse` alone is never held back.
 * Calling back. An entry may not call the store that calls it: INVALID_ARGUMENT, and a verdict that says UNAVAILABLE.
 * Fork. Without TOKENSTORE_BACKEND_FORK_SAFE no entry is called in a forked child, `close` included.
 * Times. int64_t milliseconds since 1970-01-01T00:00:00Z; INT64_MAX is never. Any value can come and must come back.
 * Structs. As in tokenstore.h. What the library hands over may grow at its end; never copy it by its size. A record
 *   that is emitted has the size that this header gives it.
 * Since. Everything is here since version 0.1.
 *
 * HANDING A BACKEND OVER
 *
 * A library that ships a backend exports one function, which fills a tokenstore_backend, its `open` included, and ends
 * in tokenstore_open_backend:
 *
 *     int32_t acme_tokenstore_open(const acme_tokenstore_options* acme, const tokenstore_open_options* options,
 *                                  tokenstore_store** out_store, tokenstore_error** out_error) {
 *       tokenstore_backend backend = {.struct_size = sizeof backend, .contract = TOKENSTORE_BACKEND_CONTRACT};
 *       backend.context = acme_copy(acme);
 *       backend.open = acme_open;
 *       ...
 *       return tokenstore_open_backend(options, &backend, out_store, out_error);
 *     }
 *
 * What can fail (connecting, say) happens in `open`, whose `fail` is the error that the host reads; and `close` comes
 * in any case, so there is nothing to clean up after it. Or it leaves the last line to the host, as
 * tokenstore_postgres.h does, and then links nothing of this library.
 */
#ifndef TOKENSTORE_BACKEND_H
#define TOKENSTORE_BACKEND_H

#include "tokenstore.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Codes ----------------------------------------------------------------------------------- */

/* Of this header: the clauses below, and the fields of its records. Set tokenstore_backend.contract to it. A library
 * that knows a later one goes on serving backends of this one, and never hands them a field that they would lose. */
#define TOKENSTORE_BACKEND_CONTRACT 1

/* What a backend can do; bits. */
#define TOKENSTORE_BACKEND_THREAD_SAFE 1u /* entries may be called from many threads at once */
#define TOKENSTORE_BACKEND_FORK_SAFE 2u   /* entries work in a child that was forked later; needs THREAD_SAFE */
/* Nobody but this handle changes the storage as long as it is open, so what this handle did not change can be
 * trusted for ever. For backends without `pulse`. A backend that says so has to see to it (by a lock, say). */
#define TOKENSTORE_BACKEND_SOLE_WRITER 4u
#define TOKENSTORE_BACKEND_READ_ONLY 8u /* nothing is ever written: `commit` and `record_uses` may be NULL */

/* Kinds of records. */
enum {
  TOKENSTORE_RECORD_TOKEN = 1,
  TOKENSTORE_RECORD_OWNER = 2,
  TOKENSTORE_RECORD_WORKSPACE = 3,
  TOKENSTORE_RECORD_STORE = 4 /* one for all workspaces; its key is empty */
};

/* What a step of a batch does. */
enum {
  TOKENSTORE_STEP_PUT = 1,    /* insert or replace. The stored last use of a token is kept on replace */
  TOKENSTORE_STEP_REMOVE = 2, /* delete a token; never another record */
  TOKENSTORE_STEP_CHECK = 3   /* only check the precondition */
};

#define TOKENSTORE_SEAL_SIZE 32     /* bytes of a seal, of a verifier, and of a link of the change feed */
#define TOKENSTORE_BIRTH_SIZE 16    /* bytes of a birth, and of the id of a store */
#define TOKENSTORE_KEY_ID_SIZE 2    /* bytes of a key id */
#define TOKENSTORE_ACTOR_MAX 270    /* bytes of created_by, revoked_by and suspended_by */
#define TOKENSTORE_USED_FROM_MAX 45 /* bytes of last_used_from */

/* ---- Records ---------------------------------------------------------------------------------
 * Store every field as it is, and give it back so: `seal` covers all but the last use. The key of a record is its
 * workspace, its kind, and the field marked as the key. `revision` counts the changes of one record, from 1;
 * 0 stands for "absent". Sizes are at most those of tokenstore.h; what is emitted beyond them is cut off. */

typedef struct tokenstore_token_record {
  size_t struct_size;
  const char* id; /* the key: TOKENSTORE_ID_SIZE bytes */
  size_t id_size;
  const char* key_id; /* TOKENSTORE_KEY_ID_SIZE bytes */
  size_t key_id_size;
  const char* owner; /* 1..TOKENSTORE_OWNER_MAX bytes */
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes; /* at most TOKENSTORE_SCOPES_TEXT_MAX bytes */
  size_t scopes_size;
  const char* metadata;
  size_t metadata_size;
  const char* created_by;
  size_t created_by_size;
  const char* revoked_by;
  size_t revoked_by_size;
  const char* revoke_reason;
  size_t revoke_reason_size;
  const char* seal_key_id; /* TOKENSTORE_KEY_ID_SIZE bytes */
  size_t seal_key_id_size;
  const char* last_used_from; /* not sealed; written by record_uses alone */
  size_t last_used_from_size;
  int64_t created_at;
  int64_t not_before;        /* 0: none */
  int64_t expires_at;        /* INT64_MAX: never */
  int64_t expired_at;        /* INT64_MAX: nobody has expired it by hand */
  int64_t revoked_at;        /* INT64_MAX: not revoked */
  int64_t last_used_at;      /* 0: not used yet. Not sealed; written by record_uses alone */
  uint64_t revoke_all_count; /* of the owner's record when it was issued */
  uint64_t revision;
  uint8_t owner_birth[TOKENSTORE_BIRTH_SIZE]; /* of the owner's record when it was issued */
  uint8_t verifier[TOKENSTORE_SEAL_SIZE];
  uint8_t seal[TOKENSTORE_SEAL_SIZE];
} tokenstore_token_record;
#define TOKENSTORE_TOKEN_RECORD_SIZE_1_0 (offsetof(tokenstore_token_record, seal) + TOKENSTORE_SEAL_SIZE)

typedef struct tokenstore_owner_record {
  size_t struct_size;
  const char* owner; /* the key: 1..TOKENSTORE_OWNER_MAX bytes */
  size_t owner_size;
  const char* suspended_by;
  size_t suspended_by_size;
  const char* suspend_reason;
  size_t suspend_reason_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t suspended_at; /* INT64_MAX: not suspended */
  uint64_t revoke_all_count;
  uint64_t revision;
  int32_t may_issue; /* flags */
  int32_t may_use;
  uint8_t birth[TOKENSTORE_BIRTH_SIZE];
  uint8_t seal[TOKENSTORE_SEAL_SIZE];
} tokenstore_owner_record;
#define TOKENSTORE_OWNER_RECORD_SIZE_1_0 (offsetof(tokenstore_owner_record, seal) + TOKENSTORE_SEAL_SIZE)

typedef struct tokenstore_workspace_record {
  size_t struct_size;
  const char* workspace; /* the key: 1..TOKENSTORE_OWNER_MAX bytes */
  size_t workspace_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t longest_lifetime;
  int64_t default_lifetime;
  int64_t created_at;
  uint64_t revision;
  uint32_t most_active_per_owner;
  int32_t tokens_enabled; /* flags */
  int32_t users_may_issue;
  int32_t never_allowed;
  uint8_t birth[TOKENSTORE_BIRTH_SIZE];
  uint8_t seal[TOKENSTORE_SEAL_SIZE];
} tokenstore_workspace_record;
#define TOKENSTORE_WORKSPACE_RECORD_SIZE_1_0 (offsetof(tokenstore_workspace_record, seal) + TOKENSTORE_SEAL_SIZE)

/* The store itself: one record, whatever the workspace of the batch that puts it. */
typedef struct tokenstore_store_record {
  size_t struct_size;
  const char* seal_key_id;
  size_t seal_key_id_size;
  int64_t created_at;
  uint64_t revision;
  uint8_t id[TOKENSTORE_BIRTH_SIZE];
  uint8_t seal[TOKENSTORE_SEAL_SIZE];
} tokenstore_store_record;
#define TOKENSTORE_STORE_RECORD_SIZE_1_0 (offsetof(tokenstore_store_record, seal) + TOKENSTORE_SEAL_SIZE)

/* One step of a batch. Its precondition: the record is absent (`expected` 0), or at record revision `expected`. A step
 * is always well-formed: the record of `kind` has this `key`, a workspace is the batch's own, and no two steps of a
 * batch name the same record. */
typedef struct tokenstore_mutation {
  size_t struct_size;
  const char* key; /* token id, owner or workspace; of the store: empty */
  size_t key_size;
  const tokenstore_token_record*
      token; /* PUT: the one that `kind` names is not NULL; its revision is above `expected` */
  const tokenstore_owner_record* owner;
  const tokenstore_workspace_record* workspace;
  const tokenstore_store_record* store;
  uint64_t expected;
  int32_t step; /* TOKENSTORE_STEP_... */
  int32_t kind; /* TOKENSTORE_RECORD_... */
} tokenstore_mutation;
#define TOKENSTORE_MUTATION_SIZE_1_0 (offsetof(tokenstore_mutation, kind) + sizeof(int32_t))

/* What a batch tells those who remember what it changes: one entry of the workspace's change feed, to be kept as it is.
 * It can be used until `commit` returns. */
typedef struct tokenstore_announcement tokenstore_announcement;
struct tokenstore_announcement {
  size_t struct_size;
  const char* entry; /* octets, of any size; most are below a hundred bytes */
  size_t entry_size;
  /* The link of the entry: to be asked inside the transaction, where the revision is settled. `previous`: the link of
   * the revision before it, zeroes for revision 0. Pure; does not block. Whoever reads on from a revision notices by
   * the links an entry that is missing, changed or moved. */
  void (*link)(const tokenstore_announcement* announcement, uint64_t revision,
               const uint8_t previous[TOKENSTORE_SEAL_SIZE], uint8_t out_link[TOKENSTORE_SEAL_SIZE]);
};
#define TOKENSTORE_ANNOUNCEMENT_SIZE_1_0     \
  (offsetof(tokenstore_announcement, link) + \
   sizeof(void (*)(const tokenstore_announcement*, uint64_t, const uint8_t*, uint8_t*)))

/* A part of the list of tokens, in order of id from high to low. */
typedef struct tokenstore_token_query {
  size_t struct_size;
  const char* owner; /* empty: any */
  size_t owner_size;
  const char* text; /* empty: any. Part of the description; ASCII letters in either case, every other octet literal */
  size_t text_size;
  const char* before_id; /* empty: from the highest. Else only ids below it, whether or not it exists */
  size_t before_id_size;
  uint64_t limit;      /* the most tokens to emit; may be 0 */
  uint64_t scan_limit; /* the most records to look at, those that do not match included; 1 or more */
  int64_t now;         /* at which `state` is meant */
  /* 0: any; else TOKENSTORE_STATE_ACTIVE to REVOKED. The first that holds: revoked (revoked_at is not INT64_MAX),
   * expired (expired_at is not INT64_MAX, or expires_at <= now), pending (not_before > now), active. */
  int32_t state;
  int32_t reserved;
} tokenstore_token_query;
#define TOKENSTORE_TOKEN_QUERY_SIZE_1_0 (offsetof(tokenstore_token_query, reserved) + sizeof(int32_t))

/* A token was used. */
typedef struct tokenstore_use {
  size_t struct_size;
  const char* id;
  size_t id_size;
  const char* used_from; /* for last_used_from; at most TOKENSTORE_USED_FROM_MAX bytes, or empty */
  size_t used_from_size;
  int64_t used_at; /* for last_used_at */
} tokenstore_use;
#define TOKENSTORE_USE_SIZE_1_0 (offsetof(tokenstore_use, used_at) + sizeof(int64_t))

/* ---- Answering -------------------------------------------------------------------------------- */

/* How an entry answers. The library's; pass it to its own functions. The emit functions return 1, or 0 to say that
 * the entry may as well return: the answer is refused, or there is enough of it. */
typedef struct tokenstore_answer tokenstore_answer;
struct tokenstore_answer {
  size_t struct_size;
  int32_t (*emit_token)(tokenstore_answer* answer, const tokenstore_token_record* record);
  int32_t (*emit_owner)(tokenstore_answer* answer, const tokenstore_owner_record* record);
  int32_t (*emit_workspace)(tokenstore_answer* answer, const tokenstore_workspace_record* record);
  int32_t (*emit_store)(tokenstore_answer* answer, const tokenstore_store_record* record);
  /* A token that has ended, for list_ended. */
  int32_t (*emit_ended)(tokenstore_answer* answer, const char* id, size_t id_size, uint64_t revision);
  /* For `changes`: the workspace's revision and the link of that revision (zeroes for 0), and the lowest revision that
   * could be asked for. */
  int32_t (*emit_head)(tokenstore_answer* answer, uint64_t revision, const uint8_t link[TOKENSTORE_SEAL_SIZE],
                       uint64_t complete_from);
  /* For `changes`: an announcement's entry and its link, as they were given to `commit`. */
  int32_t (*emit_entry)(tokenstore_answer* answer, uint64_t revision, const char* entry, size_t entry_size,
                        const uint8_t link[TOKENSTORE_SEAL_SIZE]);
  /* For `changes`: the feed cannot tell. Then no emit_entry is needed. */
  int32_t (*emit_everything)(tokenstore_answer* answer);
  /* The number that the entry's comment speaks of. */
  int32_t (*emit_number)(tokenstore_answer* answer, uint64_t number);
  int32_t (*emit_counts)(tokenstore_answer* answer, uint64_t active, uint64_t pending, uint64_t expired,
                         uint64_t revoked);
  /* Where the next part of a list begins, for list_tokens: the lowest id looked at. */
  int32_t (*emit_next)(tokenstore_answer* answer, const char* id, size_t id_size);
  /* One line about a defect of the storage, for check_integrity. */
  int32_t (*emit_problem)(tokenstore_answer* answer, const char* line, size_t line_size);
  /* For check_integrity, now and then: done, and in all (0: not known). 0 asks to stop. */
  int32_t (*progress)(tokenstore_answer* answer, uint64_t done, uint64_t total);
  /* The call fails. `message`: one impersonal line that says what to do, without secrets; may be NULL with size 0. It
   * is cut after 500 bytes, and what is not printable ASCII is replaced. Returns `status`. */
  int32_t (*fail)(tokenstore_answer* answer, int32_t status, const char* message, size_t message_size);
};
#define TOKENSTORE_ANSWER_SIZE_1_0 \
  (offsetof(tokenstore_answer, fail) + sizeof(int32_t(*)(tokenstore_answer*, int32_t, const char*, size_t)))

/* How a backend without `pulse` says what it has heard of others. Given to `open`; may be used from any thread, in or
 * out of a call, until `close` returns. Neither function takes a lock or calls back. */
typedef struct tokenstore_signal tokenstore_signal;
struct tokenstore_signal {
  size_t struct_size;
  /* Somebody else has committed something, or may have. What this handle commits needs no such call. */
  void (*changed)(tokenstore_signal* signal);
  /* Until then what was read may be remembered, unless `changed` is called: as long as others' changes are heard of
   * soon enough. Milliseconds of the store's monotonic clock, which is CLOCK_BOOTTIME unless the host gave one in its
   * options; INT64_MAX: for ever. INT64_MIN, as at first without SOLE_WRITER: do not remember. */
  void (*trust_until)(tokenstore_signal* signal, int64_t monotonic);
};
#define TOKENSTORE_SIGNAL_SIZE_1_0 \
  (offsetof(tokenstore_signal, trust_until) + sizeof(void (*)(tokenstore_signal*, int64_t)))

/* The answer of `pulse`. */
typedef struct tokenstore_pulse {
  uint64_t counter;      /* differs from every one returned before the last announced commit by anybody */
  int64_t trusted_until; /* as in tokenstore_signal: until then the counter can be relied on */
} tokenstore_pulse;

/* ---- The backend ------------------------------------------------------------------------------ */

typedef struct tokenstore_backend {
  size_t struct_size;
  void* context;    /* first argument of every entry. The library's from tokenstore_open_backend to `close` */
  const char* name; /* "lmdb": for messages; 1..64 bytes of printable ASCII, copied */
  size_t name_size;
  uint32_t contract;     /* TOKENSTORE_BACKEND_CONTRACT */
  uint32_t capabilities; /* TOKENSTORE_BACKEND_... */

  /* Optional. Called once, before any other entry: connect, create, migrate. `signal` may be kept. */
  int32_t (*open)(void* context, tokenstore_signal* signal, tokenstore_answer* answer);
  /* Optional. Called once and last, also if `open` failed or was never called: free `context`. */
  void (*close)(void* context);

  /* Look-ups. Each sees everything whose `commit` returned before the call. */

  /* Required. emit_token once, or not at all if there is none. */
  int32_t (*load_token)(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        tokenstore_answer* answer);
  /* Required. emit_owner once, or not at all. */
  int32_t (*load_owner)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, tokenstore_answer* answer);
  /* Required. emit_workspace once, or not at all. */
  int32_t (*load_workspace)(void* context, const char* workspace, size_t workspace_size, tokenstore_answer* answer);
  /* Required. emit_store once, or not at all. */
  int32_t (*load_store)(void* context, tokenstore_answer* answer);
  /* Required. emit_token for each that matches, from the highest id down; emit_next with the lowest id that was
   * looked at, if a limit was reached and there are records below. */
  int32_t (*list_tokens)(void* context, const char* workspace, size_t workspace_size,
                         const tokenstore_token_query* query, tokenstore_answer* answer);
  /* Required. emit_owner for each name above `after` (empty: from the first) in order, at most `limit`; emit_number 1
   * if there are more. */
  int32_t (*list_owners)(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, tokenstore_answer* answer);
  /* Required. emit_workspace for each name above `after` (empty: from the first) in order, at most `limit`. */
  int32_t (*list_workspaces)(void* context, const char* after, size_t after_size, uint64_t limit,
                             tokenstore_answer* answer);
  /* Required. emit_counts once: tokens by state at `now`, of one owner or (empty) of all. */
  int32_t (*count_tokens)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, tokenstore_answer* answer);
  /* Required. emit_number once: how many tokens of the owner end after `now`, counted up to `at_most`. A token ends
   * at revoked_at or expires_at, whichever is less. */
  int32_t (*count_live)(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer);
  /* Required. emit_ended for each token that ended before `ended_before`, the longest ended first, at most `limit`. */
  int32_t (*list_ended)(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, tokenstore_answer* answer);

  /* Required, unless READ_ONLY. Checks each step's precondition, then does all of the steps or none, durable on return.
   * With an announcement, raises the workspace's revision by one and appends its entry and link to the feed in the same
   * transaction, also if the batch is empty. Without one (NULL) raises nothing and appends nothing. TOKENSTORE_OK and
   * emit_number with the workspace's revision after it: committed. CONFLICT: a precondition did not hold, and nothing
   * happened. UNKNOWN: it may have happened. Any other status: it failed, and nothing happened. */
  int32_t (*commit)(void* context, const char* workspace, size_t workspace_size,
                    const tokenstore_mutation* const* batch, size_t count, const tokenstore_announcement* announcement,
                    tokenstore_answer* answer);
  /* Required. emit_head once, and emit_entry for each revision after `after`, in order, none left out.
   * emit_everything instead of entries if the feed does not reach back so far, if `after` lies ahead (an older state
   * was put back), or always, for a backend without a feed. */
  int32_t (*changes)(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer);
  /* Optional. Called for every validation, beside any other call even if the backend is not THREAD_SAFE: no I/O, and no
   * lock that somebody holds during I/O. Without it the library counts what this handle commits, and goes by the
   * `signal` for the rest; if that trusts nothing either, each validation asks storage. */
  tokenstore_pulse (*pulse)(void* context);
  /* Required, unless READ_ONLY. Notes last uses; one that is older than the stored one, or of a token that is not
   * there, is ignored. Need not be durable; raises no revision and enters no feed. */
  int32_t (*record_uses)(void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                         size_t count, tokenstore_answer* answer);
  /* Optional. Housekeeping (trimming the feed, say) for about `budget_ms`. emit_number 1 if there is more to do. */
  int32_t (*maintain)(void* context, int64_t budget_ms, tokenstore_answer* answer);
  /* Optional. The storage's own check. emit_problem for each defect, at most `most`; `progress` now and then. */
  int32_t (*check_integrity)(void* context, uint64_t most, tokenstore_answer* answer);
} tokenstore_backend;
#define TOKENSTORE_BACKEND_SIZE_1_0 \
  (offsetof(tokenstore_backend, check_integrity) + sizeof(int32_t(*)(void*, uint64_t, tokenstore_answer*)))

/* Opens a store on a backend. `options` as for tokenstore_open, but for what is about SQLite, which must be zero, and
 * `backend`, which is not looked at: one of keyring, key_bytes and key_file is required, and the key file must exist
 * (tokenstore_keyring_write_new_file makes one). `backend` is copied. Its context is the library's from now on,
 * whatever this function answers: `close` is called by tokenstore_free, or before this function returns if it fails.
 * (Not if `backend` is NULL, or its struct_size is wrong or covers a field that this version does not know: then
 * nothing in it can be believed.) Close the store with tokenstore_free. Errors: WRONG_KEY, CANNOT_OPEN, NOT_FOUND
 * (workspace_must_exist), READ_ONLY, TAMPERED, UNAVAILABLE, UNKNOWN, UNSUPPORTED (a contract or capability that this
 * version does not know), and what `open` fails with. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_open_backend(const tokenstore_open_options* options,
                                                                   const tokenstore_backend* backend,
                                                                   tokenstore_store** out_store,
                                                                   tokenstore_error** out_error);

/* Fills in a backend that keeps everything in memory, as TOKENSTORE_BACKEND_MEMORY does. It is there to be wrapped: a
 * host that tests itself puts entries of its own before these, which fail, wait or count, and passes the rest on with
 * this one's context. Set struct_size before. THREAD_SAFE and FORK_SAFE. If it is not handed to
 * tokenstore_open_backend, itself or wrapped, call out_backend->close(out_backend->context). Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_memory_backend(tokenstore_backend* out_backend,
                                                                     tokenstore_error** out_error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOKENSTORE_BACKEND_H */
