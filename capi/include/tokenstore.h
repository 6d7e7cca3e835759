/*
 * tokenstore: issue, validate, list, expire, revoke and delete a server's own access tokens.
 *
 * This is the whole C interface; reading it is enough to write a host. examples/c/first.c is a first
 * program. Begin at tokenstore_open, tokenstore_issue, tokenstore_validate and tokenstore_revoke.
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *
 * Status. Functions that can fail return an int32_t, TOKENSTORE_OK (0) or another TOKENSTORE_<status>.
 *   Decide by that number. The last parameter, `out_error`, may be NULL; otherwise it receives NULL
 *   on success and an error object with one line for people on failure (or NULL if no memory was left
 *   for it). Free it with tokenstore_error_free. Nothing is kept in thread-local or global state.
 *   Any function may answer TOKENSTORE_INVALID_ARGUMENT, TOKENSTORE_OUT_OF_MEMORY or
 *   TOKENSTORE_INTERNAL; comments list the others. No C++ exception ever leaves a function.
 * Order. The handle, the inputs, the outputs (`out_...`), then `out_error`.
 * Failure. A function that fails changes nothing, except where TOKENSTORE_UNKNOWN or its comment says
 *   that it may have. Pointers to handles are then set to NULL.
 * NULL. A handle, struct or output that is NULL is TOKENSTORE_INVALID_ARGUMENT, unless its comment
 *   says "may be NULL". A `_free` function takes NULL and does nothing.
 * Text. A pointer and a size in bytes, UTF-8, no terminator needed. NULL with size 0 is the empty
 *   text. Text that the library hands out is followed by a zero byte that its size does not count.
 * Ownership. Inputs are copied before a function returns. What comes out through a pointer to a
 *   handle is yours: give it back to the matching `_free`, once.
 * Threads. Every function that takes a tokenstore_store may be called from many threads at once on
 *   the same store, except tokenstore_free, which must come after all of them. Other handles may be
 *   read by many threads at once, and changed or freed by one. Distinct handles never interfere.
 * Stack. No function needs more than 64 KiB of the calling thread's. Storage of the host's own may add to it, as does a
 *   tokenstore_verdict (13 KiB) that the caller keeps there.
 * Fork. A store that was open before a fork works in the child too. fork() waits until no other thread is
 *   inside a store in memory or on SQLite, for a second at most; a child that it could not wait for is told
 *   TOKENSTORE_UNAVAILABLE.
 * Structs. Set `struct_size` to sizeof the struct before every call. In an input, zero everywhere
 *   else means the default. Later versions add fields at the end: a smaller struct of an older program is
 *   understood, and a larger one too as long as the part that this version does not know is zero
 *   (TOKENSTORE_INVALID_ARGUMENT otherwise). Fields named `reserved` must be zero.
 * Times. int64_t milliseconds since 1970-01-01T00:00:00Z. Fields ending in _ms are durations.
 * Flags. int32_t: 0 is no, 1 is yes; anything else is TOKENSTORE_INVALID_ARGUMENT.
 * Since. Every function and type is here since version 0.1 unless its comment names another.
 */
#ifndef TOKENSTORE_H
#define TOKENSTORE_H

/* NOLINTBEGIN(modernize-deprecated-headers): this is C, too */
#include <stddef.h>
#include <stdint.h>
/* NOLINTEND(modernize-deprecated-headers) */

/* A host that has the library in its own shared object and keeps it to itself compiles with -DTOKENSTORE_API= */
#if defined(TOKENSTORE_API)
#elif defined(__GNUC__)
#define TOKENSTORE_API __attribute__((visibility("default")))
#else
#define TOKENSTORE_API
#endif
#if defined(__GNUC__)
#define TOKENSTORE_MUST_USE __attribute__((warn_unused_result))
#else
#define TOKENSTORE_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------- */

/* Of this header. */
#define TOKENSTORE_VERSION_MAJOR 0
#define TOKENSTORE_VERSION_MINOR 1
#define TOKENSTORE_VERSION_PATCH 0
/* Grows when a program must be recompiled: the number in libtokenstore.so.<n>. */
#define TOKENSTORE_ABI_VERSION 0

/* The version of the library in use, as in "0.1.0". Static text. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_version(void);
/* The same as a number, major * 1000000 + minor * 1000 + patch. Never fails. Since 0.1. */
TOKENSTORE_API uint32_t tokenstore_version_number(void);
/* TOKENSTORE_ABI_VERSION of the library in use. Never fails. Since 0.1. */
TOKENSTORE_API uint32_t tokenstore_abi_version(void);

/* ---- Codes and limits ---------------------------------------------------------------------- */

/* Values are never reused. */
enum {
  TOKENSTORE_OK = 0,
  TOKENSTORE_INVALID_ARGUMENT = 1,  /* an argument breaks a documented rule; nothing changed */
  TOKENSTORE_NOT_FOUND = 2,         /* no such token or owner, or it is not the actor's to see */
  TOKENSTORE_PERMISSION_DENIED = 3, /* the actor may not do this to anyone */
  TOKENSTORE_REFUSED = 4,           /* policy, owner settings or a cap forbid it */
  TOKENSTORE_CONFLICT = 5,          /* somebody else changed the same thing meanwhile; ask again */
  TOKENSTORE_UNAVAILABLE = 6,       /* storage failed; nothing happened */
  TOKENSTORE_UNKNOWN = 7,           /* storage failed at the end: it may have happened; read to find out */
  TOKENSTORE_READ_ONLY = 8,         /* the store was opened, or its file can only be, read */
  TOKENSTORE_TAMPERED = 9,          /* a stored record's seal does not verify */
  TOKENSTORE_WRONG_KEY = 10,        /* the keyring is missing, malformed, or not this store's */
  TOKENSTORE_NOT_A_STORE = 11,      /* the file belongs to something else, or is damaged */
  TOKENSTORE_NEWER_SCHEMA = 12,     /* written by a newer version of this library */
  TOKENSTORE_STORAGE_FULL = 13,     /* no space left; nothing happened */
  TOKENSTORE_BUFFER_TOO_SMALL = 14, /* the caller's buffer cannot hold the answer; nothing happened */
  TOKENSTORE_OUT_OF_MEMORY = 15,    /* nothing happened */
  TOKENSTORE_CANNOT_OPEN = 16,      /* the path cannot be opened, created or used safely */
  TOKENSTORE_UNSUPPORTED = 17,      /* the backend or the platform cannot do this */
  TOKENSTORE_INTERNAL = 18,         /* a defect; please report it */
  TOKENSTORE_JOURNAL_DAMAGED = 19,  /* the journal was cut short or altered; look at it, then accept what is left */
  TOKENSTORE_NOT_JOURNALED = 20     /* the change holds, but could not be written to the journal */
};

/* The answer to "may this token do that now?" */
enum {
  TOKENSTORE_OUTCOME_UNAVAILABLE = 0, /* storage cannot be asked: refuse, and do not call the token bad */
  TOKENSTORE_OUTCOME_VALID = 1,
  TOKENSTORE_OUTCOME_INVALID = 2
};

/* Why, for your audit log alone. Tell a client the outcome, and INSUFFICIENT_SCOPE, nothing else. */
enum {
  TOKENSTORE_REASON_NONE = 0,      /* valid */
  TOKENSTORE_REASON_MALFORMED = 1, /* not a token of this store's form */
  TOKENSTORE_REASON_FORGED = 2,    /* well-formed, but not made with a key of this keyring */
  TOKENSTORE_REASON_UNKNOWN = 3,   /* never issued, deleted or purged */
  TOKENSTORE_REASON_WRONG_SECRET = 4,
  TOKENSTORE_REASON_TAMPERED = 5, /* a stored record's seal does not verify, or settings are missing */
  TOKENSTORE_REASON_RETIRED_KEY = 6,
  TOKENSTORE_REASON_REVOKED = 7,
  TOKENSTORE_REASON_EXPIRED = 8,
  TOKENSTORE_REASON_PENDING = 9,
  TOKENSTORE_REASON_OWNER_SUSPENDED = 10,
  TOKENSTORE_REASON_OWNER_MAY_NOT_USE = 11,
  TOKENSTORE_REASON_TOKENS_DISABLED = 12,
  TOKENSTORE_REASON_INSUFFICIENT_SCOPE = 13,
  TOKENSTORE_REASON_STORAGE = 14,    /* unavailable: storage failed */
  TOKENSTORE_REASON_ROLLED_BACK = 15 /* a stored record is an earlier state than the journal knows: it was put back */
};

/* State of a token: revoked, else expired, else pending, else active. */
enum {
  TOKENSTORE_STATE_ACTIVE = 1,
  TOKENSTORE_STATE_PENDING = 2, /* its not_before lies ahead */
  TOKENSTORE_STATE_EXPIRED = 3,
  TOKENSTORE_STATE_REVOKED = 4,
  TOKENSTORE_STATE_TAMPERED = 5 /* its seal does not verify: nothing but the id can be believed */
};

/* No end, said outright: a lifetime, an expires_at, or a policy's longest_lifetime_ms. */
#define TOKENSTORE_NEVER (-1)

#define TOKENSTORE_TOKEN_TEXT_MAX 102         /* bytes of the longest token text */
#define TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE 103 /* a buffer of this size is always large enough for one */
#define TOKENSTORE_ID_SIZE 16                 /* bytes of a token id, the public name of a token */
#define TOKENSTORE_OWNER_MAX 255              /* bytes; no control characters. Workspaces the same */
#define TOKENSTORE_DESCRIPTION_MAX 1024       /* bytes; no control characters. Reasons the same */
#define TOKENSTORE_METADATA_MAX 4096          /* bytes of any kind */
#define TOKENSTORE_SCOPES_MAX 64              /* scopes of one token */
#define TOKENSTORE_SCOPE_MAX 128              /* bytes of one scope: RFC 6749 section 3.3 scope-token */
#define TOKENSTORE_SCOPES_TEXT_MAX 8255       /* bytes of all scopes with a space between each two */
#define TOKENSTORE_PAGE_MAX 1000              /* entries of one page */
#define TOKENSTORE_MASTER_KEY_SIZE 32         /* bytes of a master key */

/* A literal as the two arguments that a text takes: TOKENSTORE_LITERAL("read") is "read", 4. */
#define TOKENSTORE_LITERAL(literal) ("" literal), (sizeof("" literal) - 1)

/* Names for logs: "invalid_argument", "valid", "wrong_secret", "active"... Static text, terminated by
 * a zero byte; "unrecognised" for a number that this version does not know. Never fail. Since 0.1. */
TOKENSTORE_API const char* tokenstore_status_name(int32_t status);
TOKENSTORE_API const char* tokenstore_outcome_name(int32_t outcome);
TOKENSTORE_API const char* tokenstore_reason_name(int32_t reason);
TOKENSTORE_API const char* tokenstore_state_name(int32_t state);

/* ---- Handles ------------------------------------------------------------------------------- */

typedef struct tokenstore_store tokenstore_store;               /* an open store */
typedef struct tokenstore_error tokenstore_error;               /* what went wrong, for people */
typedef struct tokenstore_keyring tokenstore_keyring;           /* secret keys */
typedef struct tokenstore_token tokenstore_token;               /* what may be shown of one token */
typedef struct tokenstore_page tokenstore_page;                 /* several of them */
typedef struct tokenstore_owner tokenstore_owner;               /* an owner's settings */
typedef struct tokenstore_owner_page tokenstore_owner_page;     /* several of them */
typedef struct tokenstore_check_report tokenstore_check_report; /* what tokenstore_check found */
typedef struct tokenstore_key_report tokenstore_key_report;     /* what hangs on each key of a store */

/* One impersonal line in English that says what to do; it never holds a token or a key. Valid until
 * the error is freed; "" for NULL. `out_size`, its size, may be NULL. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_error_message(const tokenstore_error* error, size_t* out_size);
/* Frees an error; NULL is fine. Never fails. Since 0.1. */
TOKENSTORE_API void tokenstore_error_free(tokenstore_error* error);

/* ---- Keyring --------------------------------------------------------------------------------
 * Master keys of 32 bytes, each under an id of two characters (0-9 A-Z a-z). One is active: it makes
 * what is new. A store that is opened with a key file needs none of these functions. */

enum {
  TOKENSTORE_KEY_ACTIVE = 1,
  TOKENSTORE_KEY_VERIFY_ONLY = 2, /* what it made still validates */
  TOKENSTORE_KEY_RETIRED = 3      /* its tokens have ended */
};

/* A key, without its secret. */
typedef struct tokenstore_key_info {
  size_t struct_size;
  const char* id; /* valid until the keyring is changed or freed */
  size_t id_size;
  int32_t use; /* TOKENSTORE_KEY_... */
  int32_t reserved;
} tokenstore_key_info;
#define TOKENSTORE_KEY_INFO_SIZE_1_0 (offsetof(tokenstore_key_info, reserved) + sizeof(int32_t))

/* A keyring with one new active key, "0A", from the system's random source. Free it with
 * tokenstore_keyring_free. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_generate(tokenstore_keyring** out_keyring,
                                                                       tokenstore_error** out_error);
/* A keyring with one active key of 32 bytes. `id` may be NULL with size 0: "0A". Wipe your own copy.
 * Free it with tokenstore_keyring_free. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_from_bytes(const uint8_t* master, size_t master_size,
                                                                         const char* id, size_t id_size,
                                                                         tokenstore_keyring** out_keyring,
                                                                         tokenstore_error** out_error);
/* Which files keys are taken from; any of these added up. 0 is strict: the file, which links may lead to, must be
 * regular, of the caller or root, and closed to group and others. Each weakening has a name. */
enum {
  TOKENSTORE_KEY_FILE_STRICT = 0,
  /* of root, and its group may read it: Kubernetes under fsGroup, systemd's credentials by their path */
  TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT = 1,
  /* of root, and everybody may read it: secrets in a container in which nobody else runs */
  TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT = 2,
  /* /dev/fd/N or /proc/self/fd/N: descriptor N of this process, a file, pipe or socket, whoever's it is. It is
   * read to its end and stays open */
  TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR = 4
};

/* Reads a key file by the strict rules above. Errors: WRONG_KEY if it is missing or malformed, CANNOT_OPEN if it is
 * not safe. Free the keyring with tokenstore_keyring_free. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_from_file(const char* path, size_t path_size,
                                                                        tokenstore_keyring** out_keyring,
                                                                        tokenstore_error** out_error);
/* The same with `trust`, TOKENSTORE_KEY_FILE_... added up. INVALID_ARGUMENT if it holds anything else. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_from_file_trusting(const char* path, size_t path_size,
                                                                                 int32_t trust,
                                                                                 tokenstore_keyring** out_keyring,
                                                                                 tokenstore_error** out_error);
/* Reads the key file that systemd hands to a service as a credential (LoadCredential=NAME:PATH), from the directory
 * that CREDENTIALS_DIRECTORY names. Errors as for tokenstore_keyring_from_file. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_from_credential(const char* name, size_t name_size,
                                                                              tokenstore_keyring** out_keyring,
                                                                              tokenstore_error** out_error);
/* Reads the text of a key file that came from elsewhere. Wipe your own copy. Errors: WRONG_KEY if it is
 * malformed. Free the keyring with tokenstore_keyring_free. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_from_text(const char* text, size_t text_size,
                                                                        tokenstore_keyring** out_keyring,
                                                                        tokenstore_error** out_error);
/* Adds a key; `use` is TOKENSTORE_KEY_... INVALID_ARGUMENT if the id is taken or malformed, the key is
 * not 32 bytes, or a second one would be active. One thread at a time. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_add(tokenstore_keyring* keyring, const char* id,
                                                                  size_t id_size, int32_t use, const uint8_t* master,
                                                                  size_t master_size, tokenstore_error** out_error);
/* How many keys; 0 for NULL. Never fails. Since 0.1. */
TOKENSTORE_API size_t tokenstore_keyring_count(const tokenstore_keyring* keyring);
/* Describes the key at `index`, from 0. NOT_FOUND past the last. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_key(const tokenstore_keyring* keyring, size_t index,
                                                                  tokenstore_key_info* out_info,
                                                                  tokenstore_error** out_error);
/* Writes a new key file, mode 0600, durable on return. Never overwrites: CANNOT_OPEN if the path exists.
 * Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_write_new_file(const tokenstore_keyring* keyring,
                                                                             const char* path, size_t path_size,
                                                                             tokenstore_error** out_error);
/* Writes the text of a key file, and a zero byte, into your buffer. `*out_size` is the size of the
 * text, or on BUFFER_TOO_SMALL the buffer size that is needed. Wipe the buffer after use. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keyring_reveal_text(const tokenstore_keyring* keyring,
                                                                          char* buffer, size_t buffer_size,
                                                                          size_t* out_size,
                                                                          tokenstore_error** out_error);
/* Wipes and frees a keyring; NULL is fine. Stores opened with it are not affected. Since 0.1. */
TOKENSTORE_API void tokenstore_keyring_free(tokenstore_keyring* keyring);

/* ---- Opening ------------------------------------------------------------------------------- */

enum {
  TOKENSTORE_BACKEND_SQLITE = 0, /* one file, many processes of one machine */
  TOKENSTORE_BACKEND_MEMORY = 1  /* lives and dies with the handle */
};

enum {
  TOKENSTORE_DURABILITY_FULL = 0, /* what was acknowledged survives a power cut */
  TOKENSTORE_DURABILITY_SURVIVES_CRASH_BUT_NOT_POWER_CUT = 1
};

/* A clock of your own, for tests. Both functions are called from any thread, must not throw, and get
 * `context` as it is; all of it must outlive the store. */
typedef struct tokenstore_clock {
  size_t struct_size;
  int64_t (*wall)(void* context);      /* milliseconds since 1970 */
  int64_t (*monotonic)(void* context); /* milliseconds since any start; never goes back */
  void* context;
} tokenstore_clock;
#define TOKENSTORE_CLOCK_SIZE_1_0 (offsetof(tokenstore_clock, context) + sizeof(void*))

/* Where keys come from that a store asks for: a key management service, say. `ask` is called when the store is opened,
 * perhaps more than once, and again on notice: when a key id is met that is not known, at most once in `pause_ms`; when
 * somebody announces in storage that keys have changed; and by tokenstore_keys_reload. It is called from any thread
 * that uses the store, by one at a time, must not throw, and may not call the store. It puts a keyring of its own into
 * `*out_keyring`, which the library frees, and returns TOKENSTORE_OK, or a status for why it has none: the keys then
 * stay what they are. `context` is handed on as it is; all of it must outlive the store. */
typedef struct tokenstore_key_source {
  size_t struct_size;
  int32_t (*ask)(void* context, tokenstore_keyring** out_keyring);
  void* context;
  int64_t pause_ms; /* 0: 1000 */
} tokenstore_key_source;
#define TOKENSTORE_KEY_SOURCE_SIZE_1_0 (offsetof(tokenstore_key_source, pause_ms) + sizeof(int64_t))

/* How to open a store. The key is one of `keyring`, `key_bytes`, `key_file`, `key_credential` and `key_source`; with
 * none of them SQLite takes the file "<path>.key", which is created together with a new database (see
 * tokenstore_created_key_file), and memory makes a key of its own. A key file, but an inherited descriptor, and a
 * credential are sources of keys too: when they change, the open store takes the new keys (docs/keys.md). */
typedef struct tokenstore_open_options {
  size_t struct_size;
  const char* path; /* SQLite: the database file. Required */
  size_t path_size;
  const char* key_file; /* path of a key file */
  size_t key_file_size;
  const uint8_t* key_bytes; /* one active key of 32 bytes; wipe your own copy */
  size_t key_bytes_size;
  const char* key_id; /* the id of `key_bytes`; empty: "0A" */
  size_t key_id_size;
  const tokenstore_keyring* keyring; /* copied: free yours when you like */
  const char* workspace;             /* the tenant; empty: "default". One file holds many */
  size_t workspace_size;
  const char* prefix; /* first letters of the token text, 2..24 of a-z 0-9 _; empty: "pat" */
  size_t prefix_size;
  const char* vfs; /* SQLite: VFS by name; empty: the default */
  size_t vfs_size;
  const tokenstore_clock* clock; /* NULL: the system's */
  int64_t busy_timeout_ms;       /* SQLite: how long a write waits for another process; 0: 5000, -1: not at all */
  int64_t use_interval_ms;       /* how often last uses are written out; 0: 60000 */
  int64_t cache_bytes;           /* memory for validated tokens; 0: 64 MiB, -1: none */
  int32_t backend;               /* TOKENSTORE_BACKEND_... */
  int32_t durability;            /* SQLite: TOKENSTORE_DURABILITY_... */
  int32_t read_only;             /* SQLite flag: every change answers READ_ONLY */
  int32_t must_exist;            /* SQLite flag: do not create the file */
  int32_t workspace_must_exist;  /* flag: do not create the workspace */
  int32_t upkeep_thread;         /* flag: one thread of the store's own calls tokenstore_maintain */
  const char* key_credential;    /* instead of a key file: the name of systemd's credential */
  size_t key_credential_size;
  int32_t key_file_trust; /* TOKENSTORE_KEY_FILE_... added up: which key files are taken */
  int32_t reserved;
  const tokenstore_key_source* key_source; /* instead of a key file: a function of yours */
  const char* journal; /* a file outside the database that testifies to what was ended (docs/audit.md); empty: none */
  size_t journal_size;
  int64_t journal_segment_bytes;  /* a new segment when this one has grown by so much; 0: 64 MiB */
  int64_t journal_segment_age_ms; /* and when it is so old; 0: however old it is. Earlier ones are kept */
} tokenstore_open_options;
#define TOKENSTORE_OPEN_OPTIONS_SIZE_1_0 (offsetof(tokenstore_open_options, upkeep_thread) + sizeof(int32_t))

/* Opens or creates a store. Close it with tokenstore_free. An existing database whose key is missing or
 * wrong does not open, and nothing is written. Errors: WRONG_KEY, CANNOT_OPEN, NOT_A_STORE,
 * NEWER_SCHEMA, NOT_FOUND (workspace_must_exist), READ_ONLY, TAMPERED, UNAVAILABLE, STORAGE_FULL,
 * UNSUPPORTED. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_open(const tokenstore_open_options* options,
                                                           tokenstore_store** out_store, tokenstore_error** out_error);
/* Writes out last uses, closes the store and frees it; NULL is fine. Every other change is durable
 * already. No other call on this store may be under way. Since 0.1. */
TOKENSTORE_API void tokenstore_free(tokenstore_store* store);
/* The path of the key file if tokenstore_open created it, else "". Tell the operator: without it the tokens
 * are lost, with it and the database they can be forged. Valid as long as the store; "" for NULL. `out_size`
 * may be NULL. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_created_key_file(const tokenstore_store* store, size_t* out_size);
/* The store's workspace and prefix. Valid as long as the store; "" for NULL. `out_size` may be NULL. Never
 * fail. Since 0.1. */
TOKENSTORE_API const char* tokenstore_workspace(const tokenstore_store* store, size_t* out_size);
TOKENSTORE_API const char* tokenstore_prefix(const tokenstore_store* store, size_t* out_size);
/* The store's own now, which never goes back while it is open. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_now(tokenstore_store* store, int64_t* out_now,
                                                          tokenstore_error** out_error);
/* Writes a regular expression (ERE and PCRE alike) that finds this store's tokens in any text, and a
 * zero byte, into your buffer. `*out_size` is the size of the text, or on BUFFER_TOO_SMALL the buffer
 * size that is needed. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_scanner_pattern(tokenstore_store* store, char* buffer,
                                                                      size_t buffer_size, size_t* out_size,
                                                                      tokenstore_error** out_error);

/* ---- Validating ---------------------------------------------------------------------------- */

/* What a request needs. The scope is required: there is no "just authenticate". */
typedef struct tokenstore_demand {
  size_t struct_size;
  const char* scope; /* must be one of the token's; an empty one is held by no token */
  size_t scope_size;
  const char* client_address; /* IPv4 or IPv6 text for "last used from"; empty: not recorded */
  size_t client_address_size;
} tokenstore_demand;
#define TOKENSTORE_DEMAND_SIZE_1_0 (offsetof(tokenstore_demand, client_address_size) + sizeof(size_t))

/* The answer: a plain value without pointers, yours to keep and copy. About 13 KiB, of which only what is
 * used is ever written, so set struct_size alone and leave the rest as it is:
 *     tokenstore_verdict verdict;
 *     verdict.struct_size = sizeof verdict;
 * Each text ends with a zero byte that its size does not count. They are given when the token is genuine:
 * for VALID and for INSUFFICIENT_SCOPE. Otherwise they are empty. */
typedef struct tokenstore_verdict {
  size_t struct_size;
  int32_t outcome;     /* TOKENSTORE_OUTCOME_... */
  int32_t reason;      /* TOKENSTORE_REASON_..., for the audit log alone */
  int32_t http_status; /* 200, 401, 403 or 503 (RFC 6750 section 3.1) */
  int32_t reserved;
  int64_t expires_at; /* or TOKENSTORE_NEVER */
  size_t id_size;
  size_t owner_size;
  size_t scopes_size;
  size_t metadata_size;
  char id[24];         /* the token id: name the token by it, in logs and to tokenstore_revoke */
  char owner[256];     /* whose account the token acts for */
  char scopes[8256];   /* sorted, with single spaces between */
  char metadata[4104]; /* as given to tokenstore_issue */
} tokenstore_verdict;
#define TOKENSTORE_VERDICT_SIZE_1_0 (offsetof(tokenstore_verdict, metadata) + 4104)

/* May the bearer of this text do what the demand says, now? The only way to ask. `text` is what the client
 * sent, without "Bearer "; it is not kept. A validation that starts after a revocation returned never
 * answers VALID. Allocates nothing, and on most calls does no I/O and takes no lock.
 * Returns OK whatever the verdict is; an invalid argument is the only failure, and then the verdict, if there
 * is one to write to, says UNAVAILABLE. Allow the request if and only if out_verdict->outcome is
 * TOKENSTORE_OUTCOME_VALID. Of one that is UNAVAILABLE tokenstore_why_unavailable knows more. Since 0.1. */
TOKENSTORE_API int32_t tokenstore_validate(tokenstore_store* store, const char* text, size_t text_size,
                                           const tokenstore_demand* demand, tokenstore_verdict* out_verdict,
                                           tokenstore_error** out_error);

/* The same if it can be answered without storage, as most calls can: then `*out_decided` is 1 and the verdict is the
 * answer. It asks storage for its pulse alone, which waits for nothing (but on a VFS of SQLite's without shared memory,
 * where it looks at the file), so that an event loop, or whoever holds a lock that others want, may call it.
 * 0: tokenstore_validate has to be asked, where waiting does no harm; the verdict says UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_try_validate(tokenstore_store* store, const char* text,
                                                                   size_t text_size, const tokenstore_demand* demand,
                                                                   tokenstore_verdict* out_verdict,
                                                                   int32_t* out_decided, tokenstore_error** out_error);

/* Why the store's latest validation that answered UNAVAILABLE did, for the log: `*out_why` receives an error whose
 * message is storage's own line, or NULL if no validation in this process has been UNAVAILABLE yet. It may be the line
 * of another thread's. Free it with tokenstore_error_free. `out_at`, when that was (0: never), may be NULL. Costs
 * validations nothing. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_why_unavailable(tokenstore_store* store,
                                                                      tokenstore_error** out_why, int64_t* out_at,
                                                                      tokenstore_error** out_error);

/* ---- Actors, tokens ------------------------------------------------------------------------- */

enum {
  TOKENSTORE_ACTOR_USER = 1,          /* sees and acts on their own tokens only */
  TOKENSTORE_ACTOR_ADMINISTRATOR = 2, /* lists and ends anyone's, sets policy; issues for themselves only */
  TOKENSTORE_ACTOR_HOST = 3           /* may do all */
};

/* Who asks: your decision. The kind is required. A user and an administrator have a name, which is an
 * owner's; the host has none. */
typedef struct tokenstore_actor {
  size_t struct_size;
  const char* name;
  size_t name_size;
  int32_t kind; /* TOKENSTORE_ACTOR_... */
  int32_t reserved;
} tokenstore_actor;
#define TOKENSTORE_ACTOR_SIZE_1_0 (offsetof(tokenstore_actor, reserved) + sizeof(int32_t))

typedef struct tokenstore_issue_request {
  size_t struct_size;
  const char* owner; /* required */
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes; /* with single spaces between: "read write"; empty grants nothing */
  size_t scopes_size;
  const char* metadata; /* handed back by tokenstore_validate */
  size_t metadata_size;
  int64_t lifetime_ms; /* from now; 0: the policy's default; TOKENSTORE_NEVER if policy allows it */
  int64_t not_before;  /* 0: valid at once */
} tokenstore_issue_request;
#define TOKENSTORE_ISSUE_REQUEST_SIZE_1_0 (offsetof(tokenstore_issue_request, not_before) + sizeof(int64_t))

/* What lists and logs may show. Its texts are valid until the token or page that it was read from is freed. */
typedef struct tokenstore_token_info {
  size_t struct_size;
  const char* id;
  size_t id_size;
  const char* owner;
  size_t owner_size;
  const char* description;
  size_t description_size;
  const char* scopes; /* sorted, with single spaces between; empty grants nothing */
  size_t scopes_size;
  const char* metadata;
  size_t metadata_size;
  const char* created_by; /* "user:alice", "administrator:root" or "host". revoked_by the same */
  size_t created_by_size;
  const char* revoked_by;
  size_t revoked_by_size;
  const char* revoke_reason;
  size_t revoke_reason_size;
  const char* last_used_from; /* client address; empty: not known */
  size_t last_used_from_size;
  int64_t created_at;
  int64_t not_before;   /* `created_at` if none was asked for */
  int64_t expires_at;   /* or TOKENSTORE_NEVER */
  int64_t revoked_at;   /* 0: not revoked */
  int64_t last_used_at; /* 0: not used yet */
  int32_t state;        /* TOKENSTORE_STATE_... */
  int32_t reserved;
} tokenstore_token_info;
#define TOKENSTORE_TOKEN_INFO_SIZE_1_0 (offsetof(tokenstore_token_info, reserved) + sizeof(int32_t))

/* Issues a token and writes its text, and a zero byte, into your buffer: the only copy there will ever be.
 * Give it to its owner and wipe the buffer. A buffer of TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE always
 * suffices; its size is checked before anything is stored. `*out_text_size` is the size of the text,
 * or on BUFFER_TOO_SMALL the buffer size that is needed. `out_token` may be NULL; free the token with
 * tokenstore_token_free. Errors: PERMISSION_DENIED, REFUSED, CONFLICT, BUFFER_TOO_SMALL,
 * TAMPERED, READ_ONLY, UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_issue(tokenstore_store* store, const tokenstore_actor* actor,
                                                            const tokenstore_issue_request* request, char* text_buffer,
                                                            size_t text_buffer_size, size_t* out_text_size,
                                                            tokenstore_token** out_token, tokenstore_error** out_error);
/* Issues `count` tokens, all or none, in one transaction. The requests are an array, each with the same
 * struct_size. `text_buffers` holds `count` buffers of `text_buffer_size` bytes, one after the other:
 *     char texts[10][TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
 *     tokenstore_issue_many(store, &actor, requests, 10, texts[0], sizeof texts[0], &text_size, NULL, &error);
 * Every text has the same size. `out_page`, the tokens in the order of the requests, may be NULL; free it
 * with tokenstore_page_free. Otherwise as tokenstore_issue. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_issue_many(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const tokenstore_issue_request* requests, size_t count,
                                                                 char* text_buffers, size_t text_buffer_size,
                                                                 size_t* out_text_size, tokenstore_page** out_page,
                                                                 tokenstore_error** out_error);

/* Looks up a token by id. A user gets NOT_FOUND for another's. Free it with tokenstore_token_free. Errors:
 * NOT_FOUND, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_get(tokenstore_store* store, const tokenstore_actor* actor,
                                                          const char* id, size_t id_size, tokenstore_token** out_token,
                                                          tokenstore_error** out_error);
/* Describes a token. The texts are valid until it is freed. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_token_read(const tokenstore_token* token,
                                                                 tokenstore_token_info* out_info,
                                                                 tokenstore_error** out_error);
/* Frees a token handle (the token itself lives on); NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_token_free(tokenstore_token* token);

/* Brings the end of a token forward to `at`; 0, or a time gone by, is now. INVALID_ARGUMENT if it would end
 * later than it does. A token that has ended stays as it is: OK. `out_token` may be NULL; free it with
 * tokenstore_token_free. Errors: NOT_FOUND, CONFLICT, TAMPERED, READ_ONLY, UNAVAILABLE, UNKNOWN,
 * STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_expire(tokenstore_store* store, const tokenstore_actor* actor,
                                                             const char* id, size_t id_size, int64_t at,
                                                             tokenstore_token** out_token,
                                                             tokenstore_error** out_error);
/* Ends a token for good; its record stays. Revoked already: OK, and nothing changes. `reason` may be empty,
 * `out_token` may be NULL; free it with tokenstore_token_free. Errors: as tokenstore_expire. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_revoke(tokenstore_store* store, const tokenstore_actor* actor,
                                                             const char* id, size_t id_size, const char* reason,
                                                             size_t reason_size, tokenstore_token** out_token,
                                                             tokenstore_error** out_error);
/* Revokes every token of an owner that has not ended; an issue under way is refused. Works in steps: after an
 * error some may be revoked already, so call again. `out_revoked`, how many, may be NULL. Errors: as
 * tokenstore_expire, PERMISSION_DENIED. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_revoke_all(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const char* owner, size_t owner_size,
                                                                 const char* reason, size_t reason_size,
                                                                 uint64_t* out_revoked, tokenstore_error** out_error);
/* Deletes a token's record. Cannot be undone; NOT_FOUND the second time. Errors: as tokenstore_expire. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_delete(tokenstore_store* store, const tokenstore_actor* actor,
                                                             const char* id, size_t id_size,
                                                             tokenstore_error** out_error);

/* ---- Lists ----------------------------------------------------------------------------------- */

typedef struct tokenstore_list_query {
  size_t struct_size;
  const char* owner; /* empty: everyone's (a user: their own) */
  size_t owner_size;
  const char* text; /* only descriptions that contain this, ASCII case ignored, no wildcards */
  size_t text_size;
  const char* cursor; /* tokenstore_page_next of the page before; empty: from the newest */
  size_t cursor_size;
  size_t limit;  /* 1..TOKENSTORE_PAGE_MAX; 0: 50 */
  int32_t state; /* TOKENSTORE_STATE_..., not TAMPERED; 0: any */
  int32_t reserved;
} tokenstore_list_query;
#define TOKENSTORE_LIST_QUERY_SIZE_1_0 (offsetof(tokenstore_list_query, reserved) + sizeof(int32_t))

typedef struct tokenstore_counts {
  size_t struct_size;
  uint64_t active;
  uint64_t pending;
  uint64_t expired;
  uint64_t revoked;
} tokenstore_counts;
#define TOKENSTORE_COUNTS_SIZE_1_0 (offsetof(tokenstore_counts, revoked) + sizeof(uint64_t))

/* Lists tokens, newest first. `query` may be NULL: all defaults. A page may hold fewer tokens than the limit,
 * even none, and still have a next one: go on until tokenstore_page_next is empty. Free it with
 * tokenstore_page_free. Errors: PERMISSION_DENIED, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_list(tokenstore_store* store, const tokenstore_actor* actor,
                                                           const tokenstore_list_query* query,
                                                           tokenstore_page** out_page, tokenstore_error** out_error);
/* How many tokens the page holds; 0 for NULL. Never fails. Since 0.1. */
TOKENSTORE_API size_t tokenstore_page_count(const tokenstore_page* page);
/* Describes the token at `index`, from 0. The texts are valid until the page is freed. NOT_FOUND past the
 * last. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_page_token(const tokenstore_page* page, size_t index,
                                                                 tokenstore_token_info* out_info,
                                                                 tokenstore_error** out_error);
/* The cursor of the next page, "" after the last and for NULL. Valid until the page is freed. `out_size` may be
 * NULL. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_page_next(const tokenstore_page* page, size_t* out_size);
/* Frees a page; NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_page_free(tokenstore_page* page);

/* Counts tokens by state, of one owner or (empty) of everyone. Takes longer the more it counts. Errors:
 * PERMISSION_DENIED, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_count(tokenstore_store* store, const tokenstore_actor* actor,
                                                            const char* owner, size_t owner_size,
                                                            tokenstore_counts* out_counts,
                                                            tokenstore_error** out_error);

/* ---- Owners ---------------------------------------------------------------------------------- */

/* What an owner may do, whatever their tokens say. All zero: everything. */
typedef struct tokenstore_owner_settings {
  size_t struct_size;
  int32_t may_not_issue; /* flag: gets no new tokens */
  int32_t may_not_use;   /* flag: none of their tokens validates */
} tokenstore_owner_settings;
#define TOKENSTORE_OWNER_SETTINGS_SIZE_1_0 (offsetof(tokenstore_owner_settings, may_not_use) + sizeof(int32_t))

typedef struct tokenstore_owner_info {
  size_t struct_size;
  const char* owner; /* texts are valid until the owner or page that it was read from is freed */
  size_t owner_size;
  const char* suspended_by;
  size_t suspended_by_size;
  const char* suspend_reason;
  size_t suspend_reason_size;
  int64_t suspended_at;  /* 0: not suspended */
  int32_t may_not_issue; /* flags */
  int32_t may_not_use;
  int32_t suspended;
  int32_t tampered; /* the seal does not verify: every token of theirs is denied */
} tokenstore_owner_info;
#define TOKENSTORE_OWNER_INFO_SIZE_1_0 (offsetof(tokenstore_owner_info, tampered) + sizeof(int32_t))

/* Looks up an owner. Free the handle with tokenstore_owner_free. Errors: NOT_FOUND, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_get(tokenstore_store* store, const tokenstore_actor* actor,
                                                                const char* owner, size_t owner_size,
                                                                tokenstore_owner** out_owner,
                                                                tokenstore_error** out_error);
/* Sets what an owner may do; they need not have tokens yet. `out_owner` may be NULL; free it with
 * tokenstore_owner_free. Errors: PERMISSION_DENIED, CONFLICT, TAMPERED, READ_ONLY, UNAVAILABLE, UNKNOWN,
 * STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_set(tokenstore_store* store, const tokenstore_actor* actor,
                                                                const char* owner, size_t owner_size,
                                                                const tokenstore_owner_settings* settings,
                                                                tokenstore_owner** out_owner,
                                                                tokenstore_error** out_error);
/* Stops every token of an owner at once. Repeating it changes nothing. `reason` may be empty, `out_owner`
 * may be NULL; free it with tokenstore_owner_free. Errors: as tokenstore_owner_set, NOT_FOUND. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_suspend(tokenstore_store* store,
                                                                    const tokenstore_actor* actor, const char* owner,
                                                                    size_t owner_size, const char* reason,
                                                                    size_t reason_size, tokenstore_owner** out_owner,
                                                                    tokenstore_error** out_error);
/* Lets them work again, at once. Repeating it changes nothing. `out_owner` may be NULL; free it with
 * tokenstore_owner_free. Errors: as tokenstore_owner_suspend. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_resume(tokenstore_store* store,
                                                                   const tokenstore_actor* actor, const char* owner,
                                                                   size_t owner_size, tokenstore_owner** out_owner,
                                                                   tokenstore_error** out_error);
/* Describes an owner. The texts are valid until the handle is freed. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_read(const tokenstore_owner* owner,
                                                                 tokenstore_owner_info* out_info,
                                                                 tokenstore_error** out_error);
/* Frees an owner handle; NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_owner_free(tokenstore_owner* owner);

/* Lists owners by name. `cursor` is tokenstore_owner_page_next of the page before, or empty; `limit` is
 * 1..TOKENSTORE_PAGE_MAX, 0: 50. Free the page with tokenstore_owner_page_free. Errors: PERMISSION_DENIED,
 * UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_list(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const char* cursor, size_t cursor_size, size_t limit,
                                                                 tokenstore_owner_page** out_page,
                                                                 tokenstore_error** out_error);
/* How many owners the page holds; 0 for NULL. Never fails. Since 0.1. */
TOKENSTORE_API size_t tokenstore_owner_page_count(const tokenstore_owner_page* page);
/* Describes the owner at `index`, from 0. The texts are valid until the page is freed. NOT_FOUND past the
 * last. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_owner_page_owner(const tokenstore_owner_page* page, size_t index,
                                                                       tokenstore_owner_info* out_info,
                                                                       tokenstore_error** out_error);
/* The cursor of the next page, "" after the last and for NULL. Valid until the page is freed. `out_size` may be
 * NULL. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_owner_page_next(const tokenstore_owner_page* page, size_t* out_size);
/* Frees a page; NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_owner_page_free(tokenstore_owner_page* page);

/* ---- Policy ---------------------------------------------------------------------------------- */

/* Rules of a workspace. All zero: the default policy. To change one rule, get, change and set. */
typedef struct tokenstore_policy {
  size_t struct_size;
  int64_t longest_lifetime_ms;    /* 0: 366 days; TOKENSTORE_NEVER: no limit */
  int64_t default_lifetime_ms;    /* 0: 90 days; the longest lifetime if that is shorter */
  uint32_t most_active_per_owner; /* active and pending tokens; 0: no limit */
  int32_t never_allowed;          /* flag: tokens without an end may be issued */
  int32_t users_may_not_issue;    /* flag: administrators and the host only */
  int32_t tokens_disabled;        /* flag: nothing validates, nothing is issued */
} tokenstore_policy;
#define TOKENSTORE_POLICY_SIZE_1_0 (offsetof(tokenstore_policy, tokens_disabled) + sizeof(int32_t))

/* Reads the policy. Errors: PERMISSION_DENIED, TAMPERED, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_policy_get(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 tokenstore_policy* out_policy,
                                                                 tokenstore_error** out_error);
/* Replaces the policy, for tokens to come; a token's own end stays. Errors: PERMISSION_DENIED, CONFLICT,
 * TAMPERED, READ_ONLY, UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_policy_set(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const tokenstore_policy* policy,
                                                                 tokenstore_error** out_error);

/* ---- Upkeep ---------------------------------------------------------------------------------- */

/* Deletes the records of tokens that ended before a time, in slices, for about `budget_ms` (0: 1000). Neither
 * output may be NULL; `*out_complete` 0 says that the time ran out: call again, as after an error. Errors:
 * PERMISSION_DENIED, CONFLICT, READ_ONLY, UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_purge(tokenstore_store* store, const tokenstore_actor* actor,
                                                            int64_t ended_before, int64_t budget_ms,
                                                            uint64_t* out_removed, int32_t* out_complete,
                                                            tokenstore_error** out_error);
/* Housekeeping for about `budget_ms` (0: 50): writes out last uses that are due, lets storage tidy up. A host
 * without the upkeep thread calls it every few seconds. `out_more` may be NULL; 1 says that there is more
 * to do. Errors: UNAVAILABLE, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_maintain(tokenstore_store* store, int64_t budget_ms,
                                                               int32_t* out_more, tokenstore_error** out_error);

#define TOKENSTORE_CURSOR_MAX 1024 /* bytes of any cursor */

typedef struct tokenstore_reseal_summary {
  size_t struct_size;
  uint64_t resealed; /* records that were under another key */
  uint64_t kept;     /* under the active key already */
  uint64_t refused;  /* not genuine: left as they are, for tokenstore_check to name */
  size_t next_size;  /* bytes of `next`; 0: all of the workspace is done */
  char next[TOKENSTORE_CURSOR_MAX];
} tokenstore_reseal_summary;
#define TOKENSTORE_RESEAL_SUMMARY_SIZE_1_0 (offsetof(tokenstore_reseal_summary, next) + TOKENSTORE_CURSOR_MAX)

/* Seals records anew under the active key, in slices, for about `budget_ms` (0: 1000), while the store is in use.
 * `cursor` is empty at first, then `next` of the call before: it may be kept, and used by another process. What is
 * sealed already is only read. A key that tokenstore_check finds nothing hanging on can then be retired and taken out.
 * Errors: PERMISSION_DENIED, INVALID_ARGUMENT (the cursor), CONFLICT, READ_ONLY, UNAVAILABLE, UNKNOWN, STORAGE_FULL.
 * Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_reseal(tokenstore_store* store, const tokenstore_actor* actor,
                                                             const char* cursor, size_t cursor_size, int64_t budget_ms,
                                                             tokenstore_reseal_summary* out_summary,
                                                             tokenstore_error** out_error);

/* Called now and then with records done and, if known, records in all (0: not known). Return 0 to go on,
 * anything else to stop. Must not call the store that calls it. */
typedef int32_t (*tokenstore_progress)(void* context, uint64_t done, uint64_t total);

/* What was put forward again from the journal because storage had gone back behind it. */
typedef struct tokenstore_heal_summary {
  size_t struct_size;
  uint64_t looked_at; /* lines of the journal that tell of a record's latest state */
  uint64_t ended;     /* tokens that have ended again, or end again when they were to */
  uint64_t removed;   /* tokens that had been deleted, and are deleted again */
  uint64_t settings;  /* owners and the workspace */
  uint64_t refused;   /* left as they are: not genuine, which denies them, or changed by others all the time */
} tokenstore_heal_summary;
#define TOKENSTORE_HEAL_SUMMARY_SIZE_1_0 (offsetof(tokenstore_heal_summary, refused) + sizeof(uint64_t))

/* Puts forward again what storage shows in an earlier state than the journal knows. Opening does it where the database
 * is older than its journal, and upkeep as soon as it is noticed; until then such records are denied
 * (TOKENSTORE_REASON_ROLLED_BACK). `progress` (lines looked at) and `context` may be NULL; what was put forward
 * before an error stays so. Errors: PERMISSION_DENIED, UNSUPPORTED (no journal), CONFLICT (`progress` has stopped it),
 * READ_ONLY, JOURNAL_DAMAGED, NOT_JOURNALED, UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_heal(tokenstore_store* store, const tokenstore_actor* actor,
                                                           tokenstore_progress progress, void* context,
                                                           tokenstore_heal_summary* out_summary,
                                                           tokenstore_error** out_error);

/* ---- Keys ------------------------------------------------------------------------------------
 * Changing the keys of a store while it is in use, in all of its workspaces, without a genuine token refused on the
 * way: add, activate, tokenstore_reseal in each workspace, retire, remove (docs/keys.md). They are the host's alone:
 * PERMISSION_DENIED for any other actor. Those that change keys answer UNSUPPORTED unless they are in a key file. After
 * an error the change may have happened: look, or ask again. Other processes take part as soon as they look at storage
 * again. */

/* Adds a new key, verify-only, and writes its id, two characters and a zero byte, into your buffer. `*out_size` is the
 * size of the id, or on BUFFER_TOO_SMALL the buffer size that is needed: nothing was added then. Errors:
 * PERMISSION_DENIED, READ_ONLY, UNSUPPORTED, WRONG_KEY, CANNOT_OPEN, CONFLICT, REFUSED (every id is taken),
 * UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_add(tokenstore_store* store, const tokenstore_actor* actor,
                                                              char* buffer, size_t buffer_size, size_t* out_size,
                                                              tokenstore_error** out_error);
/* Makes a key the active one, and the one that was verify-only. When it has returned OK, nobody who takes part issues
 * or seals with another one. Errors: as tokenstore_key_add; NOT_FOUND; REFUSED (it is retired). Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_activate(tokenstore_store* store,
                                                                   const tokenstore_actor* actor, const char* id,
                                                                   size_t id_size, tokenstore_error** out_error);
/* Ends the tokens of a verify-only key for good. Reads every record; a workspace whose record was tampered with, and
 * which denies everything, is left out. Errors: as tokenstore_key_add; NOT_FOUND; REFUSED (it is active, or seals what
 * outlives it). Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_retire(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const char* id, size_t id_size,
                                                                 tokenstore_error** out_error);
/* Takes a key out. Reads every record. Errors: as tokenstore_key_add; NOT_FOUND; REFUSED (it is active, or something
 * hangs on it); TAMPERED (the record of a workspace, which may need the key when it is put right). Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_remove(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 const char* id, size_t id_size,
                                                                 tokenstore_error** out_error);
/* Asks the source of the keys outright, for hosts that know that there are others. `out_changed` may be NULL; 1: others
 * are in use now. Errors say why the keys stay what they were: UNSUPPORTED (the store was opened with a keyring),
 * WRONG_KEY, CANNOT_OPEN, UNAVAILABLE, or what `ask` returned. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_keys_reload(tokenstore_store* store, int32_t* out_changed,
                                                                  tokenstore_error** out_error);

typedef struct tokenstore_check_summary {
  size_t struct_size;
  uint64_t tokens; /* records read */
  uint64_t owners;
  uint64_t problems;       /* 0: all is well */
  uint64_t problems_noted; /* those with a line to read, at most 1000 */
} tokenstore_check_summary;
#define TOKENSTORE_CHECK_SUMMARY_SIZE_1_0 (offsetof(tokenstore_check_summary, problems_noted) + sizeof(uint64_t))

/* Verifies every seal of the workspace and the storage's own integrity. May take long. `progress` and
 * `context` may be NULL. Problems are not a failure: read the report. Free it with
 * tokenstore_check_report_free. Errors: PERMISSION_DENIED, UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_check(tokenstore_store* store, const tokenstore_actor* actor,
                                                            tokenstore_progress progress, void* context,
                                                            tokenstore_check_report** out_report,
                                                            tokenstore_error** out_error);
/* What was read and found. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_check_report_read(const tokenstore_check_report* report,
                                                                        tokenstore_check_summary* out_summary,
                                                                        tokenstore_error** out_error);
/* One line about the problem at `index`, from 0; "" past the last and for NULL. Valid until the report is
 * freed. `out_size` may be NULL. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_check_report_problem(const tokenstore_check_report* report, size_t index,
                                                           size_t* out_size);
/* What hangs on a key of the keyring. A key can be taken out when both are 0 in every workspace. */
typedef struct tokenstore_key_usage {
  size_t struct_size;
  const char* key_id;
  size_t key_id_size;
  uint64_t seals;         /* genuine records of the workspace that it sealed */
  uint64_t living_tokens; /* tokens of its own that have not ended: they end with it */
} tokenstore_key_usage;
#define TOKENSTORE_KEY_USAGE_SIZE_1_0 (offsetof(tokenstore_key_usage, living_tokens) + sizeof(uint64_t))

/* The keys that anything hangs on, and the active one, in the order of their ids: the one at `index`, from 0. The text
 * is valid until the report is freed. NOT_FOUND past the last. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_check_report_key(const tokenstore_check_report* report,
                                                                       size_t index, tokenstore_key_usage* out_usage,
                                                                       tokenstore_error** out_error);
/* Frees a report; NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_check_report_free(tokenstore_check_report* report);

/* A key and what hangs on it in a whole store. */
typedef struct tokenstore_key_state {
  size_t struct_size;
  const char* key_id;
  size_t key_id_size;
  uint64_t seals;         /* records that it sealed */
  uint64_t living_tokens; /* tokens of its own that have not ended: they end with it */
  int32_t use;            /* TOKENSTORE_KEY_...; 0: the keyring does not hold it */
  int32_t reserved;
} tokenstore_key_state;
#define TOKENSTORE_KEY_STATE_SIZE_1_0 (offsetof(tokenstore_key_state, reserved) + sizeof(int32_t))

/* Counts what hangs on each key, in all workspaces. Reads every record. `progress` and `context` may be NULL. Free the
 * report with tokenstore_key_report_free. Errors: PERMISSION_DENIED, TAMPERED, CONFLICT (`progress` has stopped it),
 * UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_status(tokenstore_store* store, const tokenstore_actor* actor,
                                                                 tokenstore_progress progress, void* context,
                                                                 tokenstore_key_report** out_report,
                                                                 tokenstore_error** out_error);
/* How many keys the report holds; 0 for NULL. Never fails. Since 0.1. */
TOKENSTORE_API size_t tokenstore_key_report_count(const tokenstore_key_report* report);
/* Describes the key at `index`, from 0: those of the keyring in its order, then those that it does not hold. The text
 * is valid until the report is freed. NOT_FOUND past the last. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_key_report_key(const tokenstore_key_report* report, size_t index,
                                                                     tokenstore_key_state* out_state,
                                                                     tokenstore_error** out_error);
/* Frees a report; NULL is fine. Since 0.1. */
TOKENSTORE_API void tokenstore_key_report_free(tokenstore_key_report* report);

/* Counters of a store since it was opened, in this process. */
typedef struct tokenstore_statistics {
  size_t struct_size;
  uint64_t hits;          /* validations answered from the cache */
  uint64_t misses;        /* validations that asked storage */
  uint64_t negative_hits; /* tokens known to be gone, answered from the cache */
  uint64_t malformed;
  uint64_t forged;
  uint64_t unavailable;
  uint64_t catch_ups;   /* times the change feed was read */
  uint64_t dropped_all; /* catch-ups that had to forget everything */
  uint64_t evictions;
  uint64_t uses_written;
  uint64_t cached_tokens;
  uint64_t cache_bytes; /* memory the cache holds now */
  /* Answers that were asked of storage and not kept, because: */
  uint64_t not_kept_busy;    /* somebody else was filling the cache */
  uint64_t not_kept_changed; /* something had changed meanwhile */
  uint64_t not_kept_no_room; /* nothing could make room for them */
  /* Catch-ups that met a change feed which does not fit what was read of it before: it was changed outside the
   * library, or an older state was put back. Everything was forgotten then. */
  uint64_t feed_mismatches;
  uint64_t keys_taken;   /* times that others came into use in place of the keys */
  uint64_t keys_refused; /* times that the source of the keys gave none that could be taken */
  /* Validations that were denied, and changes that were refused, because a record is an earlier state than the journal
   * knows. */
  uint64_t rolled_back;
  uint64_t healed; /* records that were put forward again from the journal */
} tokenstore_statistics;
#define TOKENSTORE_STATISTICS_SIZE_1_0 (offsetof(tokenstore_statistics, feed_mismatches) + sizeof(uint64_t))

/* Reads the counters. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_read_statistics(tokenstore_store* store,
                                                                      tokenstore_statistics* out_statistics,
                                                                      tokenstore_error** out_error);

/* ---- Backup, restore and copy ------------------------------------------------------------------
 * Everything that a store's storage holds, every workspace of it, and no key: keep the key file elsewhere.
 * docs/backup.md says more. What is done to a whole storage is the host's to do (TOKENSTORE_ACTOR_HOST). `progress` is
 * told pages or bytes of a file, or tokens; it and `context` may be NULL. */

#define TOKENSTORE_PATH_MAX 4096 /* bytes of a path that the library hands out */

/* What a backup says of itself, under its seal. */
typedef struct tokenstore_backup_info {
  size_t struct_size;
  int64_t made_at;
  uint64_t workspaces;
  uint64_t owners;
  uint64_t tokens;
  uint64_t revision; /* of all workspaces together: how many changes were announced */
  char store[40];    /* the store's id: 32 hexadecimal digits and a zero byte */
} tokenstore_backup_info;
#define TOKENSTORE_BACKUP_INFO_SIZE_1_0 (offsetof(tokenstore_backup_info, store) + 40)

/* Writes the storage of an open store into one file, mode 0600, while it is in use, by any process. It is written
 * beside, made durable and then given its name: there is a whole backup of that name or none. Of SQLite it is one
 * moment's. Whatever was acknowledged before the call is in it. `overwrite`, a flag: an earlier backup of that name is
 * replaced; nothing else ever is. `out_info` may be NULL. Errors: PERMISSION_DENIED, CONFLICT (something is there, or
 * progress stopped it), CANNOT_OPEN, UNAVAILABLE, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_backup(tokenstore_store* store, const tokenstore_actor* actor,
                                                             const char* place, size_t place_size, int32_t overwrite,
                                                             tokenstore_progress progress, void* context,
                                                             tokenstore_backup_info* out_info,
                                                             tokenstore_error** out_error);
/* Reads a backup to its end and verifies its seal. `out_info` may be NULL. Errors: CANNOT_OPEN, NOT_A_STORE (it is no
 * backup, or was cut short), TAMPERED (it was altered, or is of another keyring's store), WRONG_KEY, UNAVAILABLE.
 * Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_verify_backup(const char* backup, size_t backup_size,
                                                                    const tokenstore_keyring* keyring,
                                                                    tokenstore_backup_info* out_info,
                                                                    tokenstore_error** out_error);

typedef struct tokenstore_restore_summary {
  size_t struct_size;
  int64_t made_at; /* of the backup */
  uint64_t tokens; /* in the backup */
  uint64_t owners;
  int32_t compared; /* 1: there was a store, and it could be read; what is lost is counted below */
  int32_t reserved;
  uint64_t lost_endings;               /* tokens that had ended or were deleted, and live again */
  uint64_t lost_suspensions;           /* owners who were suspended, or might not use tokens, and may again */
  uint64_t lost_tokens;                /* that were issued since */
  uint64_t lost_changes;               /* other records that were changed since */
  size_t kept_file_size;               /* 0: there was no database */
  char kept_file[TOKENSTORE_PATH_MAX]; /* the database that was there */
} tokenstore_restore_summary;
#define TOKENSTORE_RESTORE_SUMMARY_SIZE_1_0 (offsetof(tokenstore_restore_summary, kept_file) + TOKENSTORE_PATH_MAX)

/* Verifies a backup and puts what it holds in the place of a SQLite database, in one step, whoever uses that: whoever
 * has the old file open is told UNAVAILABLE from the next call on, and opens the store again. The old file is kept.
 * `overwrite`, a flag: a store that has what the backup has not, or cannot be read, is replaced too. Another store
 * never is. Errors: as tokenstore_verify_backup, CONFLICT (the store that is there is newer, or cannot be read),
 * REFUSED (it is another store), STORAGE_FULL, UNSUPPORTED (the file system cannot swap files). Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_restore(const char* backup, size_t backup_size,
                                                              const tokenstore_keyring* keyring, const char* database,
                                                              size_t database_size, int32_t overwrite,
                                                              tokenstore_progress progress, void* context,
                                                              tokenstore_restore_summary* out_summary,
                                                              tokenstore_error** out_error);

typedef struct tokenstore_copy_summary {
  size_t struct_size;
  uint64_t workspaces;
  uint64_t tokens; /* seen in the source */
  uint64_t owners;
  uint64_t written;   /* records put into the target, or removed there */
  uint64_t different; /* records that changed in the source meanwhile: copy again */
} tokenstore_copy_summary;
#define TOKENSTORE_COPY_SUMMARY_SIZE_1_0 (offsetof(tokenstore_copy_summary, different) + sizeof(uint64_t))

/* Makes a SQLite database hold what the storage of an open store holds, while it is in use: a new one, or an earlier
 * copy. The same store is in both afterwards, under the same keys. `delete_extra`, a flag: tokens that only the
 * target has are removed; else finding one is CONFLICT. Errors: PERMISSION_DENIED, CONFLICT (also: the target is
 * another store, or holds newer records), CANNOT_OPEN, UNAVAILABLE, UNKNOWN, STORAGE_FULL. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_copy(tokenstore_store* store, const tokenstore_actor* actor,
                                                           const char* database, size_t database_size,
                                                           int32_t delete_extra, tokenstore_progress progress,
                                                           void* context, tokenstore_copy_summary* out_summary,
                                                           tokenstore_error** out_error);

/* ---- The journal as an audit trail -------------------------------------------------------------
 * Reads the file that tokenstore_open_options.journal names, and the segments kept beside it: docs/audit.md. No store
 * need be open; stores may append meanwhile, and are not kept waiting. Nothing is told that the keyring does not vouch
 * for. Keys that are retired or gone vouch for nothing: what was written under one cannot be read. */

/* What was done. */
enum {
  TOKENSTORE_DEED_ISSUED = 1,
  TOKENSTORE_DEED_REVOKED = 2,
  TOKENSTORE_DEED_EXPIRED = 3, /* at once or, `ends_at` says, later */
  TOKENSTORE_DEED_REMOVED = 4, /* deleted by somebody */
  TOKENSTORE_DEED_PURGED = 5,  /* deleted because it had ended long ago */
  TOKENSTORE_DEED_SUSPENDED = 6,
  TOKENSTORE_DEED_RESUMED = 7,
  TOKENSTORE_DEED_OWNER_SET = 8,
  TOKENSTORE_DEED_ALL_REVOKED = 9,
  TOKENSTORE_DEED_POLICY_SET = 10,
  TOKENSTORE_DEED_WORKSPACE_MADE = 11,
  TOKENSTORE_DEED_RESEALED = 12,
  TOKENSTORE_DEED_LEARNED = 13, /* another host's change, as storage shows it */
  TOKENSTORE_DEED_HEALED = 14,  /* put forward again from the journal */
  TOKENSTORE_DEED_KEY_ADDED = 15,
  TOKENSTORE_DEED_KEY_ACTIVATED = 16,
  TOKENSTORE_DEED_KEY_RETIRED = 17,
  TOKENSTORE_DEED_KEY_REMOVED = 18,
  TOKENSTORE_DEED_ACCEPTED = 19 /* what is left of a damaged journal, by an administrator */
};
/* "issued", "revoked", ... for a number; "unrecognised" for another. Never fails. Since 0.1. */
TOKENSTORE_API const char* tokenstore_deed_name(int32_t deed);

/* What was changed. */
enum {
  TOKENSTORE_JOURNALED_TOKEN = 1,
  TOKENSTORE_JOURNALED_OWNER = 2,
  TOKENSTORE_JOURNALED_WORKSPACE = 3,
  TOKENSTORE_JOURNALED_STORE = 4
};

typedef struct tokenstore_journal_entry {
  size_t struct_size;
  uint64_t number; /* from 1 on, over all segments; 0: carried over from segments that are gone */
  uint64_t segment;
  int64_t at;        /* 0: not known */
  int64_t ends_at;   /* of a token: its end since; 0: not known, TOKENSTORE_NEVER: none */
  uint64_t revision; /* of the record since; 0: none */
  int32_t deed;      /* TOKENSTORE_DEED_... */
  int32_t record;    /* TOKENSTORE_JOURNALED_... */
  int32_t gone;      /* flag: the record was deleted */
  int32_t reserved;
  const char* workspace;
  size_t workspace_size;
  const char* token_id; /* of a token */
  size_t token_id_size;
  const char* key_id; /* of a key that was added, activated, retired or removed */
  size_t key_id_size;
  const char* owner; /* whom it concerns, if known */
  size_t owner_size;
  const char* actor; /* "host", "user:NAME" or "administrator:NAME"; empty: not known */
  size_t actor_size;
  const char* reason;
  size_t reason_size;
} tokenstore_journal_entry;
#define TOKENSTORE_JOURNAL_ENTRY_SIZE_1_0 (offsetof(tokenstore_journal_entry, reason_size) + sizeof(size_t))

/* Told of an entry, whose struct and texts are valid during the call. Return 0 to go on, anything else to stop. */
typedef int32_t (*tokenstore_journal_take)(void* context, const tokenstore_journal_entry* entry);

typedef struct tokenstore_journal_query {
  size_t struct_size;
  int64_t from; /* only what was done then or later; 0: from the beginning */
  int64_t to;   /* only what was done before then; 0: to the end */
  int32_t deed; /* TOKENSTORE_DEED_...; 0: any */
  int32_t reserved;
  const char* workspace; /* this and the following: empty: any */
  size_t workspace_size;
  const char* owner;
  size_t owner_size;
  const char* token_id;
  size_t token_id_size;
  const char* actor; /* as it is written, or the name in it alone */
  size_t actor_size;
  const char* after; /* the `next` of an earlier reading: what comes behind it. Empty: from the beginning */
  size_t after_size;
} tokenstore_journal_query;
#define TOKENSTORE_JOURNAL_QUERY_SIZE_1_0 (offsetof(tokenstore_journal_query, after_size) + sizeof(size_t))

enum {
  TOKENSTORE_PROBLEM_DAMAGED = 1, /* altered, cut short, or not what belongs there */
  TOKENSTORE_PROBLEM_MISSING = 2, /* a segment is gone, though not the earliest */
  TOKENSTORE_PROBLEM_NO_KEY = 3   /* written under a key that is retired or not in the keyring: it cannot be told */
};

typedef struct tokenstore_journal_problem {
  size_t struct_size;
  int32_t kind;     /* TOKENSTORE_PROBLEM_... */
  int32_t accepted; /* flag: an administrator has looked at it, and a later entry says so */
  uint64_t segment;
  uint64_t octet; /* where in the file; what is before it is good */
  uint64_t entry; /* the number of the last good entry before it */
  const char* file;
  size_t file_size;
  const char* what; /* one line */
  size_t what_size;
} tokenstore_journal_problem;
#define TOKENSTORE_JOURNAL_PROBLEM_SIZE_1_0 (offsetof(tokenstore_journal_problem, what_size) + sizeof(size_t))

/* Told of each problem when all was read; struct and texts are valid during the call. */
typedef void (*tokenstore_journal_found)(void* context, const tokenstore_journal_problem* problem);

typedef struct tokenstore_journal_report {
  size_t struct_size;
  uint64_t segments;      /* that are good, to the end */
  uint64_t first_segment; /* more than 1: those before it are no longer there, which is no damage */
  uint64_t entries;       /* that are good */
  uint64_t last_entry;    /* the number of the last of them */
  uint64_t torn;     /* bytes of a write at the end that did not come to its own: acknowledged to nobody, no damage */
  uint64_t problems; /* in all */
  int32_t damaged;   /* flag: something is damaged or missing that nobody has accepted */
  int32_t lacks_key; /* flag: something could not be read for lack of a key */
  char store[40];    /* the store's id: 32 hexadecimal digits and a zero byte; zeroes if nothing could be read */
} tokenstore_journal_report;
#define TOKENSTORE_JOURNAL_REPORT_SIZE_1_0 (offsetof(tokenstore_journal_report, store) + 40)

#define TOKENSTORE_JOURNAL_PLACE_MAX 200

typedef struct tokenstore_journal_reading {
  size_t struct_size;
  uint64_t told;     /* entries */
  int32_t stopped;   /* flag: `take` has stopped it */
  int32_t damaged;   /* flag: of what was read, something is damaged or missing that nobody has accepted */
  int32_t lacks_key; /* flag: of what was to be read, something could not be for lack of a key */
  int32_t reserved;
  size_t next_size;
  char next[TOKENSTORE_JOURNAL_PLACE_MAX]; /* `after` of the next reading, also in a later process */
} tokenstore_journal_reading;
#define TOKENSTORE_JOURNAL_READING_SIZE_1_0 (offsetof(tokenstore_journal_reading, next) + TOKENSTORE_JOURNAL_PLACE_MAX)

/* Tells the entries of all segments in order; `query` may be NULL: all. A damaged journal is told as far as it is good,
 * and on from the next segment. Entries that were written last may be left for the next reading, if somebody is
 * writing. `found` may be NULL. Errors: WRONG_KEY (nothing can be read with the keyring), CANNOT_OPEN, NEWER_SCHEMA,
 * UNAVAILABLE. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_journal_read(
    const char* journal, size_t journal_size, const tokenstore_keyring* keyring, const tokenstore_journal_query* query,
    tokenstore_journal_take take, tokenstore_journal_found found, void* context,
    tokenstore_journal_reading* out_reading, tokenstore_error** out_error);

/* Reads all of it: every frame, the chain from one to the next and from segment to segment, numbers without a gap, and
 * that all are one store's. Damage is in the report, and no error. Of a journal that was cut off exactly behind an
 * entry nothing shows in it: compare `last_entry` with what was known before. `found` may be NULL. Errors: as
 * tokenstore_journal_read. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_journal_verify(const char* journal, size_t journal_size,
                                                                     const tokenstore_keyring* keyring,
                                                                     tokenstore_journal_found found, void* context,
                                                                     tokenstore_journal_report* out_report,
                                                                     tokenstore_error** out_error);

typedef struct tokenstore_journal_acceptance {
  size_t struct_size;
  uint64_t segment;                    /* the new one */
  uint64_t last_entry;                 /* the last that was good */
  size_t kept_file_size;               /* 0: the file that was in use was missing */
  char kept_file[TOKENSTORE_PATH_MAX]; /* where it is now */
} tokenstore_journal_acceptance;
#define TOKENSTORE_JOURNAL_ACCEPTANCE_SIZE_1_0 \
  (offsetof(tokenstore_journal_acceptance, kept_file) + TOKENSTORE_PATH_MAX)

/* After somebody has looked: a new segment goes on from what can be verified, and begins with all that it restricts; an
 * entry in it says what was accepted, and by whom. The file that was in use is kept beside it under its number, and
 * nothing is deleted. Interrupted anywhere, the journal is as it was or as it shall be. Stores go on with it. Errors:
 * PERMISSION_DENIED (a user), REFUSED (nothing is damaged, or nothing can be verified), STORAGE_FULL, and as
 * tokenstore_journal_read. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_journal_accept(const char* journal, size_t journal_size,
                                                                     const tokenstore_keyring* keyring,
                                                                     const tokenstore_actor* actor,
                                                                     tokenstore_journal_acceptance* out_acceptance,
                                                                     tokenstore_error** out_error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOKENSTORE_H */
