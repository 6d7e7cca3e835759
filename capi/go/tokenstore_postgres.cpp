//go:build tokenstore_postgres && !tokenstore_system

// tokenstore_postgres.cpp: tokenstore 0.1.0 in one file, made by capi/one_file/one_file.py. Do not edit: change the tree it is
// made of, whose files are named where they begin. Compile it as C++20 and link libpq, libsodium and fmt.
//
// Its C++ names are in a namespace of this copy and are not exported. What is exported are the C functions; a host that
// wants to keep those to itself as well compiles it with -DTOKENSTORE_API= (see docs/embedding.md).

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <bitset>
#include <cerrno>
#include <chrono>
#include <compare>
#include <concepts>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <functional>
#include <iosfwd>
#include <iterator>
#include <libpq-fe.h>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <set>
#include <sodium.h>
#include <span>
#include <stddef.h>
#include <stdint.h>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

// Names that the host or its other headers may have as macros.
#pragma push_macro("Status")
#undef Status
#pragma push_macro("tokenstore")
#undef tokenstore
#define tokenstore tokenstore_postgres_0_1_0_01c8de9773d8
#pragma GCC visibility push(hidden)

// ---- capi/include/tokenstore.h -------------------------------------------------------------------------------

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

// ---- capi/include/tokenstore_backend.h -----------------------------------------------------------------------

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

// ---- capi/include/tokenstore_postgres.h ----------------------------------------------------------------------

/*
 * tokenstore: PostgreSQL, for a store that several machines share. A library of its own, libtokenstore-postgres, so
 * that nobody links libpq who does not use it.
 *
 *     tokenstore_postgres_options postgres = {.struct_size = sizeof postgres, .conninfo = ..., .conninfo_size = ...};
 *     tokenstore_backend backend;
 *     if (tokenstore_postgres_backend(&postgres, &backend) != TOKENSTORE_OK) ...
 *     if (tokenstore_open_backend(&options, &backend, &store, &error) != TOKENSTORE_OK) ...
 */
#ifndef TOKENSTORE_POSTGRES_H
#define TOKENSTORE_POSTGRES_H


#ifdef __cplusplus
extern "C" {
#endif

typedef struct tokenstore_postgres_options {
  size_t struct_size;
  /* As libpq takes it: "host=db1,db2 dbname=app user=app sslmode=verify-full", or a postgresql:// URI.
   * target_session_attrs=read-write is added if it says nothing about it. */
  const char* conninfo;
  size_t conninfo_size;
  /* The schema that holds the tables: [a-z_][a-z0-9_]*, at most 40 octets. Empty: tokenstore. */
  const char* schema;
  size_t schema_size;
  /* For how many milliseconds after another host's change this one may still answer from its cache. 0: 1,000.
   * -1: for none; the server is asked on every call. */
  int64_t max_staleness_ms;
  int64_t deadline_ms;        /* every call returns within so many milliseconds. 0: 5,000 */
  uint64_t pool_size;         /* the most connections besides the listener's. 0: 8 */
  int32_t must_exist;         /* flag: the tables must be there; else they are made, or migrated */
  int32_t read_only;          /* flag: nothing is written. Still reads from the primary */
  int32_t no_listener_thread; /* flag: tokenstore_maintain asks the server for changes, instead of a thread */
  int32_t reserved;
} tokenstore_postgres_options;
#define TOKENSTORE_POSTGRES_OPTIONS_SIZE_1_0 (offsetof(tokenstore_postgres_options, reserved) + sizeof(int32_t))

/* Fills in a backend for tokenstore_open_backend, which connects. Nothing is kept of `options`. What is wrong with
 * them, and everything that goes wrong with the server, is an error of tokenstore_open_backend: INVALID_ARGUMENT,
 * CANNOT_OPEN (not to be reached, no rights, settings that do not fit), NOT_A_STORE, NEWER_SCHEMA. The store's clock
 * has to be the system's: leases of the server go by that. The backend is THREAD_SAFE and FORK_SAFE. If it is not
 * handed to tokenstore_open_backend, call backend.close(backend.context). Errors: INVALID_ARGUMENT (a pointer is NULL),
 * OUT_OF_MEMORY. Any thread. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_postgres_backend(const tokenstore_postgres_options* options,
                                                                       tokenstore_backend* out_backend);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOKENSTORE_POSTGRES_H */
#define tokenstore_store tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_store
#define tokenstore_error tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_error
#define tokenstore_keyring tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_keyring
#define tokenstore_token tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_token
#define tokenstore_page tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_page
#define tokenstore_owner tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_owner
#define tokenstore_owner_page tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_owner_page
#define tokenstore_check_report tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_check_report
#define tokenstore_key_report tokenstore_postgres_0_1_0_01c8de9773d8_tokenstore_key_report

// ---- src/base/at_fork.hpp ------------------------------------------------------------------------------------

/// Brings things to rest before the process forks, so that a child never inherits them half changed.
///
/// A child has none of its parent's other threads: what one of them was in the middle of stays like that
/// for ever, and some of it (SQLite's own mutexes) is nobody's to repair. Only a handler that runs before
/// the fork can help, and handlers are the process's. So this keeps the library's one global: a list of
/// what takes part, empty unless stores are open. The handlers go when the library is unloaded.
///
/// A fork by other means (_Fork, clone) runs no handler; whoever takes part has to notice that it was not
/// at rest.


namespace tokenstore::base {

class AtFork {
 public:
  /// A fork waits for all that take part together no longer than this, then goes ahead.
  static constexpr std::chrono::milliseconds longest_wait{1000};

  virtual ~AtFork() = default;
  AtFork() = default;
  AtFork(const AtFork&) = delete;
  AtFork& operator=(const AtFork&) = delete;

  /// Keeps further calls out and waits for those under way, until `deadline`.
  virtual void rest(std::chrono::steady_clock::time_point deadline) noexcept = 0;
  /// After the fork, in parent and child: lets calls in again.
  virtual void resume(bool in_child) noexcept = 0;
};

/// While one lives, its subject takes part in every fork. The subject must outlive it. Who came last rests first, so
/// that whatever uses a subject is through with it before it lets no more calls in.
class AtForkEntry {
 public:
  /// Throws std::bad_alloc if the handlers cannot be installed.
  explicit AtForkEntry(AtFork& subject);
  ~AtForkEntry();
  AtForkEntry(const AtForkEntry&) = delete;
  AtForkEntry& operator=(const AtForkEntry&) = delete;

 private:
  friend struct AtForkHandlers;
  AtFork& subject_;
  AtForkEntry* next_ = nullptr;
  AtForkEntry* previous_ = nullptr;
};

}  // namespace tokenstore::base

// ---- src/base/at_fork.cpp ------------------------------------------------------------------------------------

namespace tokenstore::base {

// Made at compile time and never destroyed: a fork may come before main() and after exit().
struct AtForkHandlers {
  std::mutex mutex;
  bool installed = false;
  AtForkEntry* first = nullptr;

  void prepare() noexcept;
  void resume(bool in_child) noexcept {
    for (AtForkEntry* entry = first; entry != nullptr; entry = entry->next_) entry->subject_.resume(in_child);
    mutex.unlock();
  }
};

namespace {

constinit AtForkHandlers handlers;

}  // namespace

// The mutex stays locked over the fork: nothing comes or goes meanwhile, and the child's one thread is the
// one that holds it.
void AtForkHandlers::prepare() noexcept {
  mutex.lock();
  const auto deadline = std::chrono::steady_clock::now() + AtFork::longest_wait;
  for (AtForkEntry* entry = first; entry != nullptr; entry = entry->next_) entry->subject_.rest(deadline);
}

AtForkEntry::AtForkEntry(AtFork& subject) : subject_(subject) {
  const std::lock_guard lock(handlers.mutex);
  if (!handlers.installed) {
    const int code =
        pthread_atfork([] { handlers.prepare(); }, [] { handlers.resume(false); }, [] { handlers.resume(true); });
    if (code != 0) throw std::bad_alloc();
    handlers.installed = true;
  }
  next_ = handlers.first;
  if (next_ != nullptr) next_->previous_ = this;
  handlers.first = this;
}

AtForkEntry::~AtForkEntry() {
  const std::lock_guard lock(handlers.mutex);
  (previous_ != nullptr ? previous_->next_ : handlers.first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

}  // namespace tokenstore::base

// ---- src/base/uint128.hpp ------------------------------------------------------------------------------------

/// Numbers of 128 bits: the compiler's own where it has them, else two words. Plain values; any thread.


namespace tokenstore::base {

/// What this library does with such numbers, for compilers that have none (32-bit machines). Compiled and tested
/// everywhere, so that it cannot rot where nobody needs it.
class TwoWords {
 public:
  constexpr TwoWords(std::uint64_t value = 0) noexcept : low_(value) {}  // NOLINT(google-explicit-constructor)

  template <std::unsigned_integral Number>
  constexpr explicit operator Number() const noexcept {
    return static_cast<Number>(low_);
  }
  constexpr explicit operator std::int64_t() const noexcept { return static_cast<std::int64_t>(low_); }

  friend constexpr bool operator==(TwoWords, TwoWords) noexcept = default;
  friend constexpr auto operator<=>(TwoWords, TwoWords) noexcept = default;

  friend constexpr TwoWords operator|(TwoWords a, TwoWords b) noexcept { return {a.high_ | b.high_, a.low_ | b.low_}; }
  friend constexpr TwoWords operator+(TwoWords a, TwoWords b) noexcept {
    const std::uint64_t low = a.low_ + b.low_;
    return {a.high_ + b.high_ + (low < a.low_ ? 1 : 0), low};
  }
  friend constexpr TwoWords operator<<(TwoWords a, unsigned bits) noexcept {
    if (bits == 0) return a;
    if (bits >= 64) return {a.low_ << (bits - 64), 0};
    return {a.high_ << bits | a.low_ >> (64 - bits), a.low_ << bits};
  }
  friend constexpr TwoWords operator>>(TwoWords a, unsigned bits) noexcept {
    if (bits == 0) return a;
    if (bits >= 64) return {0, a.high_ >> (bits - 64)};
    return {a.high_ >> bits, a.low_ >> bits | a.high_ << (64 - bits)};
  }
  friend constexpr TwoWords operator*(TwoWords a, TwoWords b) noexcept {
    TwoWords product = whole_product(a.low_, b.low_);
    product.high_ += a.high_ * b.low_ + a.low_ * b.high_;
    return product;
  }
  friend constexpr TwoWords operator/(TwoWords a, std::uint32_t by) noexcept { return a.divided(by).quotient(); }
  friend constexpr TwoWords operator%(TwoWords a, std::uint32_t by) noexcept { return a.divided(by).rest; }
  constexpr TwoWords& operator/=(std::uint32_t by) noexcept { return *this = *this / by; }

 private:
  constexpr TwoWords(std::uint64_t high, std::uint64_t low) noexcept : high_(high), low_(low) {}

  static constexpr std::uint64_t half(std::uint64_t word) noexcept { return word & 0xFFFF'FFFFU; }

  /// As on paper, with halves of words for digits.
  static constexpr TwoWords whole_product(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t low = half(a) * half(b);
    const std::uint64_t middle = (a >> 32) * half(b) + (low >> 32);
    const std::uint64_t other = half(a) * (b >> 32) + half(middle);
    return {(a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), other << 32 | half(low)};
  }

  struct Division {
    std::uint64_t digits[4];
    std::uint64_t rest;
    constexpr TwoWords quotient() const noexcept { return {digits[0] << 32 | digits[1], digits[2] << 32 | digits[3]}; }
  };
  constexpr Division divided(std::uint32_t by) const noexcept {
    Division result{{high_ >> 32, half(high_), low_ >> 32, half(low_)}, 0};
    for (std::uint64_t& digit : result.digits) {
      const std::uint64_t dividend = result.rest << 32 | digit;
      digit = dividend / by;
      result.rest = dividend % by;
    }
    return result;
  }

  std::uint64_t high_ = 0;  // first, so that the order of members is the order of numbers
  std::uint64_t low_ = 0;
};

#ifdef __SIZEOF_INT128__
__extension__ using uint128 = unsigned __int128;
#else
using uint128 = TwoWords;
#endif

}  // namespace tokenstore::base

// ---- src/base/base62.hpp -------------------------------------------------------------------------------------

/// Fixed-width base62, big-endian, digits in the order 0-9 A-Z a-z, so that text order is number order.



namespace tokenstore::base {

/// 128 bits suffice for 21 digits; the widest number here has 16 (a token id).
/// Writes `value` with leading zeros. Precondition: it fits, value < 62^digits.size().
void base62_encode(uint128 value, std::span<char> digits) noexcept;
/// Empty if a character is no digit. Precondition: at most 21 digits.
std::optional<uint128> base62_decode(std::string_view digits) noexcept;
bool is_base62(std::string_view text) noexcept;
/// As the two above for text that holds a secret: no branch and no table look-up depends on it, and the
/// finding comes back as a number for the caller to collect. 0: every character is a digit.
unsigned base62_faults(std::string_view text) noexcept;
/// The number that at most 10 digits spell; sets bits in `bad` if a character is no digit.
std::uint64_t base62_value(std::string_view digits, unsigned& bad) noexcept;
/// The digit for 0..61. No branch, no table.
char base62_digit(unsigned value) noexcept;

}  // namespace tokenstore::base

// ---- src/base/base62.cpp -------------------------------------------------------------------------------------

namespace tokenstore::base {
namespace {

/// 1 if low <= c <= high, else 0; no branch, because tokens' secrets pass through here.
constexpr unsigned in_range(unsigned c, unsigned low, unsigned high) noexcept {
  return ((c - low) | (high - c)) >> 31 ^ 1U;
}

/// 0..61, or 64 or more if `character` is no digit. No branch and no table.
constexpr unsigned digit_value(char character) noexcept {
  const unsigned c = static_cast<unsigned char>(character);
  const unsigned decimal = in_range(c, '0', '9');
  const unsigned upper = in_range(c, 'A', 'Z');
  const unsigned lower = in_range(c, 'a', 'z');
  const unsigned value = (0U - decimal) & (c - '0');
  const unsigned upper_value = (0U - upper) & (c - 'A' + 10U);
  const unsigned lower_value = (0U - lower) & (c - 'a' + 36U);
  return value | upper_value | lower_value | ((decimal | upper | lower) ^ 1U) << 6;
}

}  // namespace

char base62_digit(unsigned value) noexcept {
  // '0' + value, then over the gaps between '9' and 'A' and between 'Z' and 'a'.
  const unsigned past_nine = (9U - value) >> 31;
  const unsigned past_upper = (35U - value) >> 31;
  return static_cast<char>('0' + value + past_nine * 7U + past_upper * 6U);
}

void base62_encode(uint128 value, std::span<char> digits) noexcept {
  std::size_t at = digits.size();
  // 64-bit division is a multiplication by a constant; only the widest numbers need more.
  while (at > 0 && value > UINT64_MAX) {
    digits[--at] = base62_digit(static_cast<unsigned>(value % 62));
    value /= 62;
  }
  auto rest = static_cast<std::uint64_t>(value);
  while (at > 0) {
    digits[--at] = base62_digit(static_cast<unsigned>(rest % 62));
    rest /= 62;
  }
}

std::optional<uint128> base62_decode(std::string_view digits) noexcept {
  uint128 value = 0;
  unsigned bad = 0;
  for (const char digit : digits) {
    const unsigned one = digit_value(digit);
    bad |= one & 64U;
    value = value * 62 + (one & 63U);
  }
  if (bad != 0) return std::nullopt;
  return value;
}

std::uint64_t base62_value(std::string_view digits, unsigned& bad) noexcept {
  std::uint64_t value = 0;
  for (const char digit : digits) {
    const unsigned one = digit_value(digit);
    bad |= one & 64U;
    value = value * 62 + (one & 63U);
  }
  return value;
}

unsigned base62_faults(std::string_view text) noexcept {
  unsigned bad = 0;
  for (const char digit : text) bad |= digit_value(digit) & 64U;
  return bad;
}

bool is_base62(std::string_view text) noexcept {
  return base62_faults(text) == 0;
}

}  // namespace tokenstore::base

// ---- include/tokenstore/environment.hpp ----------------------------------------------------------------------

/// What the library takes from the world besides storage: time and randomness.
///
/// Both can be replaced, for tests and for hosts with their own sources. Implementations must be
/// safe to call from several threads at once and must not throw.


namespace tokenstore {

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. All times of the library.
using UnixMillis = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  /// The wall clock.
  virtual UnixMillis wall() noexcept = 0;
  /// Milliseconds since an arbitrary start; never goes back while the process lives.
  virtual std::int64_t monotonic() noexcept = 0;
  /// As the two above, but may lag behind them by up to `coarse_lag` milliseconds, and costs less.
  virtual UnixMillis coarse_wall() noexcept { return wall(); }
  virtual std::int64_t coarse_monotonic() noexcept { return monotonic(); }
  struct Reading {
    UnixMillis wall;
    std::int64_t monotonic;
  };
  /// Both coarse readings in one call, for whoever asks a million times a second.
  virtual Reading coarse() noexcept { return {coarse_wall(), coarse_monotonic()}; }
  /// A number that is the same only as long as coarse() answers the same, and never comes back; for
  /// clocks that advance in steps. Negative: this clock has no such number.
  virtual std::int64_t coarse_tick() noexcept { return -1; }
  virtual std::int64_t coarse_lag() noexcept { return 0; }
};

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  /// Fills `out` with bytes that nobody can predict. Must give different bytes after a fork.
  virtual void fill(std::span<std::uint8_t> out) noexcept = 0;
};

/// The system's clocks: CLOCK_REALTIME, and CLOCK_BOOTTIME, which goes on while the machine sleeps. The
/// coarse ones are the kernel's of the last tick, at most 10 ms behind.
std::shared_ptr<Clock> system_clock();
/// libsodium's generator, which is the kernel's.
std::shared_ptr<RandomSource> system_random();

}  // namespace tokenstore

// ---- src/base/clock.cpp --------------------------------------------------------------------------------------

// The system's clocks.
//
// Exact: CLOCK_REALTIME, and CLOCK_BOOTTIME because a lease must run out while the machine sleeps,
// when CLOCK_MONOTONIC stands still.
//
// Coarse: the kernel has no CLOCK_BOOTTIME_COARSE, so the coarse monotonic reading is
// CLOCK_MONOTONIC_COARSE plus the time slept. Sleeping moves CLOCK_REALTIME against CLOCK_MONOTONIC,
// and so does setting the clock, and nothing else does: adjtime and NTP slew both alike. While the
// distance between the two coarse clocks is to the nanosecond what it was, the time slept is, too; when
// it differs, it is measured anew.


namespace tokenstore {
namespace {

constexpr std::int64_t nanos_per_milli = 1'000'000;
constexpr std::int64_t nanos_per_second = 1'000'000'000;
constexpr std::int64_t system_coarse_lag = 10;

std::int64_t nanos(clockid_t clock) noexcept {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * nanos_per_second + time.tv_nsec;
}

/// Rounds down, before 1970 as well.
std::int64_t millis(std::int64_t value) noexcept {
  const std::int64_t quotient = value / nanos_per_milli;
  return value % nanos_per_milli < 0 ? quotient - 1 : quotient;
}

class SystemClock final : public Clock {
 public:
  SystemClock() noexcept {
    timespec tick{};
    // A kernel that ticks slower than twice per lag cannot keep the promise of coarse_lag().
    has_coarse_ = clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0 && tick.tv_sec == 0 &&
                  tick.tv_nsec * 2 <= system_coarse_lag * nanos_per_milli;
    if (has_coarse_) measure();
  }

  UnixMillis wall() noexcept override { return millis(nanos(CLOCK_REALTIME)); }
  std::int64_t monotonic() noexcept override { return millis(nanos(CLOCK_BOOTTIME)); }

  UnixMillis coarse_wall() noexcept override { return has_coarse_ ? millis(nanos(CLOCK_REALTIME_COARSE)) : wall(); }

  std::int64_t coarse_monotonic() noexcept override { return coarse().monotonic; }

  Reading coarse() noexcept override {
    if (!has_coarse_) return {wall(), monotonic()};
    for (int attempt = 0; attempt < 3; ++attempt) {
      const std::int64_t awake = nanos(CLOCK_MONOTONIC_COARSE);
      const std::int64_t real = nanos(CLOCK_REALTIME_COARSE);
      if (real - awake == distance_.load(std::memory_order_acquire)) {
        return {millis(real), millis(awake + slept_.load(std::memory_order_relaxed))};
      }
      // A tick between the two readings is rare: they agree the next time. An exact reading instead would
      // be ahead of the coarse one after it, and time would seem to go back.
      if (nanos(CLOCK_MONOTONIC_COARSE) == awake) measure();
    }
    return {millis(nanos(CLOCK_REALTIME_COARSE)), monotonic()};
  }

  /// Both coarse clocks move at the same tick of the kernel. To the nanosecond, so that a clock set back
  /// does not meet the same number again.
  std::int64_t coarse_tick() noexcept override { return has_coarse_ ? nanos(CLOCK_REALTIME_COARSE) : -1; }

  std::int64_t coarse_lag() noexcept override { return system_coarse_lag; }

 private:
  struct Measured {
    std::int64_t distance;  ///< CLOCK_REALTIME_COARSE - CLOCK_MONOTONIC_COARSE
    std::int64_t slept;     ///< CLOCK_BOOTTIME - CLOCK_MONOTONIC, rather less than more
  };

  /// Empty if this thread was interrupted meanwhile, or the clock was moved.
  static std::optional<Measured> try_measure() noexcept {
    const std::int64_t tick = nanos(CLOCK_MONOTONIC_COARSE);
    const std::int64_t distance = nanos(CLOCK_REALTIME_COARSE) - tick;
    const std::int64_t before = nanos(CLOCK_MONOTONIC);
    const std::int64_t with_sleep = nanos(CLOCK_BOOTTIME);
    const std::int64_t after = nanos(CLOCK_MONOTONIC);
    const std::int64_t again = nanos(CLOCK_REALTIME_COARSE) - nanos(CLOCK_MONOTONIC_COARSE);
    if (nanos(CLOCK_MONOTONIC_COARSE) != tick || again != distance || after - before > nanos_per_milli) return {};
    return Measured{distance, with_sleep - after};
  }

  /// Remembers both numbers. If it does not succeed the next coarse reading tries again.
  void measure() noexcept {
    const std::optional<Measured> measured = try_measure();
    if (!measured) return;
    // The time slept only grows, so of two threads that measure at once the later one prevails; a reader
    // that sees the new distance sees the time slept that goes with it, or a later one.
    std::int64_t slept = slept_.load(std::memory_order_relaxed);
    while (measured->slept > slept &&
           !slept_.compare_exchange_weak(slept, measured->slept, std::memory_order_relaxed)) {
    }
    distance_.store(measured->distance, std::memory_order_release);
  }

  bool has_coarse_ = false;
  std::atomic<std::int64_t> slept_ = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> distance_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace

std::shared_ptr<Clock> system_clock() {
  return std::make_shared<SystemClock>();
}

}  // namespace tokenstore

// ---- src/base/crc32.hpp --------------------------------------------------------------------------------------

/// CRC-32/ISO-HDLC (the CRC of zlib, PNG and Ethernet).


namespace tokenstore::base {

std::uint32_t crc32(std::string_view octets) noexcept;

}  // namespace tokenstore::base

// ---- src/base/wipe.hpp ---------------------------------------------------------------------------------------

/// Secrets in memory: comparing without leaking time, and wiping.


namespace tokenstore::base {

/// Compares in a time that depends on the sizes alone. False if the sizes differ.
bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept;

void wipe(void* data, std::size_t size) noexcept;
/// Wipes what the string holds, then empties it.
void wipe(std::string& text) noexcept;

/// An array that is wiped when it dies.
template <std::size_t Size>
class WipedBytes {
 public:
  WipedBytes() = default;
  WipedBytes(const WipedBytes&) = delete;
  WipedBytes& operator=(const WipedBytes&) = delete;
  ~WipedBytes() { wipe(bytes_, Size); }
  std::uint8_t* data() noexcept { return bytes_; }
  const std::uint8_t* data() const noexcept { return bytes_; }
  static constexpr std::size_t size() noexcept { return Size; }
  std::span<std::uint8_t, Size> span() noexcept { return std::span<std::uint8_t, Size>(bytes_); }

 private:
  std::uint8_t bytes_[Size] = {};
};

}  // namespace tokenstore::base

// ---- src/base/crc32.cpp --------------------------------------------------------------------------------------

namespace tokenstore::base {
namespace {

constexpr std::uint32_t polynomial = 0xEDB88320U;
constexpr std::uint32_t initial = 0xFFFFFFFFU;
constexpr std::size_t word_count = 4;
constexpr std::size_t block_size = word_count * sizeof(std::uint32_t);

/// Four words that are worked on at once, whatever the machine has for that.
using Words = std::uint32_t __attribute__((vector_size(block_size)));
using SignedWords = std::int32_t __attribute__((vector_size(block_size)));

constexpr std::uint32_t after_bit(std::uint32_t crc) noexcept {
  return (crc >> 1) ^ (polynomial & (0U - (crc & 1U)));
}
constexpr std::uint32_t before_zero_bit(std::uint32_t crc) noexcept {
  return (crc >> 31) != 0 ? (crc ^ polynomial) << 1 | 1U : crc << 1;
}

/// bit_effects[bit][word]: what this bit of this word of a block adds to the CRC at the block's end. A
/// CRC is linear, so a block's CRC is the exclusive or of the entries of the bits that are set. Every
/// entry is read for every block: the usual table of 256 entries is indexed by the data, and that shows
/// a secret in the cache.
constexpr auto bit_effects = [] {
  std::array<std::array<std::uint32_t, word_count>, 32> effects{};
  for (unsigned bit = 0; bit < 32; ++bit) {
    for (std::size_t word = 0; word < word_count; ++word) {
      std::uint32_t crc = 1U << bit;
      for (std::size_t step = 0; step < 32 * (word_count - word); ++step) crc = after_bit(crc);
      effects[bit][word] = crc;
    }
  }
  return effects;
}();

/// start[n]: the state that n zero octets turn into the initial one, so that a text can be filled up in
/// front to whole blocks.
constexpr auto start = [] {
  std::array<std::uint32_t, block_size> states{};
  std::uint32_t crc = initial;
  for (std::uint32_t& state : states) {
    state = crc;
    for (int bit = 0; bit < 8; ++bit) crc = before_zero_bit(crc);
  }
  return states;
}();

using Block = std::array<std::uint8_t, block_size>;

std::uint32_t word_at(const Block& block, std::size_t at) noexcept {
  return std::uint32_t{block[at]} | std::uint32_t{block[at + 1]} << 8 | std::uint32_t{block[at + 2]} << 16 |
         std::uint32_t{block[at + 3]} << 24;
}

std::uint32_t after_block(std::uint32_t crc, const Block& block) noexcept {
  const Words words = {word_at(block, 0) ^ crc, word_at(block, 4), word_at(block, 8), word_at(block, 12)};
  Words sum = {0, 0, 0, 0};
  for (int bit = 0; bit < 32; ++bit) {
    // All ones in the words that have this bit, by shifting it to the sign.
    const auto selected = reinterpret_cast<Words>(reinterpret_cast<SignedWords>(words << (31 - bit)) >> 31);
    const auto& effect = bit_effects[static_cast<std::size_t>(bit)];
    sum ^= selected & Words{effect[0], effect[1], effect[2], effect[3]};
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

}  // namespace

std::uint32_t crc32(std::string_view octets) noexcept {
  Block block{};
  std::size_t filled = (block_size - octets.size() % block_size) % block_size;
  std::uint32_t crc = start[filled];
  for (std::size_t at = 0; at < octets.size(); filled = 0) {
    for (; filled < block_size; ++filled) block[filled] = static_cast<std::uint8_t>(octets[at++]);
    crc = after_block(crc, block);
  }
  wipe(block.data(), block.size());
  return ~crc;
}

}  // namespace tokenstore::base

// ---- src/base/effective_clock.hpp ----------------------------------------------------------------------------

/// Time that never goes back: max(wall clock, anchor + monotonic). A clock set back revives nothing.



namespace tokenstore::base {

/// Thread-safe. The anchor follows the wall clock forward, so that time moved forward (NTP, an
/// administrator) and then back stays where it was furthest.
class EffectiveClock {
 public:
  explicit EffectiveClock(std::shared_ptr<Clock> clock) noexcept;

  /// Effective now. Exact. At most INT64_MAX - 1: INT64_MAX is "never" in records.
  UnixMillis now() noexcept;
  /// Effective now, behind by at most coarse_lag() ms; cheaper. Never ahead of now().
  UnixMillis coarse_now() noexcept;
  std::int64_t coarse_lag() const noexcept { return coarse_lag_; }
  /// The clock's monotonic reading, for leases.
  std::int64_t monotonic() noexcept { return clock_->monotonic(); }
  std::int64_t coarse_monotonic() noexcept { return clock_->coarse_monotonic(); }

 private:
  UnixMillis advance(UnixMillis wall, std::int64_t monotonic) noexcept;
  UnixMillis read_coarse() noexcept;

  std::shared_ptr<Clock> clock_;
  std::int64_t coarse_lag_;
  std::atomic<std::int64_t> anchor_;  ///< greatest (effective now - monotonic) seen
  // What the coarse clocks said at a tick, so that all but the first question in a tick ask one clock.
  std::atomic<std::int64_t> tick_{-1};
  std::atomic<UnixMillis> at_tick_;
};

}  // namespace tokenstore::base

// ---- src/base/effective_clock.cpp ----------------------------------------------------------------------------

namespace tokenstore::base {
namespace {

constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
/// INT64_MAX stands for "never" in records, so no time may be equal to it.
constexpr UnixMillis end_of_time = highest - 1;
constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();

std::int64_t add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? highest : lowest;
}

std::int64_t subtract(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? highest : lowest;
}

/// An anchor at the end of time stays there, whatever the monotonic clock says.
std::int64_t time_at(std::int64_t anchor, std::int64_t monotonic) noexcept {
  return anchor == highest ? highest : add(anchor, monotonic);
}

}  // namespace

EffectiveClock::EffectiveClock(std::shared_ptr<Clock> clock) noexcept
    : clock_(std::move(clock)),
      coarse_lag_(std::max<std::int64_t>(clock_->coarse_lag(), 0)),
      anchor_(lowest),
      at_tick_(lowest) {
  now();
}

UnixMillis EffectiveClock::now() noexcept {
  // The wall first: a thread that is interrupted between the two reads then finds too small a distance,
  // never one that moves the anchor ahead of the time.
  const UnixMillis wall = clock_->wall();
  return advance(wall, clock_->monotonic());
}

UnixMillis EffectiveClock::coarse_now() noexcept {
  const std::int64_t tick = clock_->coarse_tick();
  // Time at an earlier tick than the one remembered may come out later by that much: it is past already.
  if (tick >= 0 && tick_.load(std::memory_order_acquire) == tick) return at_tick_.load(std::memory_order_relaxed);
  const UnixMillis now = read_coarse();
  UnixMillis known = at_tick_.load(std::memory_order_relaxed);
  while (now > known && !at_tick_.compare_exchange_weak(known, now, std::memory_order_relaxed)) {
  }
  tick_.store(tick, std::memory_order_release);
  return std::max(now, known);
}

UnixMillis EffectiveClock::read_coarse() noexcept {
  const auto [wall, monotonic] = clock_->coarse();
  const std::int64_t anchor = anchor_.load(std::memory_order_relaxed);
  // Two coarse readings may lag by different amounts, so they never move the anchor. If they hint that
  // the wall clock was moved forward, the exact clocks decide; otherwise nothing shared is written.
  if (subtract(wall, monotonic) > anchor) return now();
  return std::min(time_at(anchor, monotonic), end_of_time);
}

UnixMillis EffectiveClock::advance(UnixMillis wall, std::int64_t monotonic) noexcept {
  const std::int64_t distance = subtract(wall, monotonic);
  std::int64_t anchor = anchor_.load(std::memory_order_relaxed);
  while (distance > anchor && !anchor_.compare_exchange_weak(anchor, distance, std::memory_order_relaxed)) {
  }
  return std::min(std::max(wall, time_at(std::max(anchor, distance), monotonic)), end_of_time);
}

}  // namespace tokenstore::base

// ---- src/base/file.hpp ---------------------------------------------------------------------------------------

/// Open files: what the system's calls leave to whoever calls them.
///
/// Any thread. Functions that answer an int answer 0 or the error's number.



namespace tokenstore::base {

/// A descriptor that is closed when it dies.
class File {
 public:
  explicit File(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  bool is_open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  int close() noexcept {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

/// All of the text, where the file stands.
int write_all(int file, std::string_view text) noexcept;
/// Octets from a place on, up to the buffer's size; `got` is less at the end of the file alone.
int read_at(int file, std::uint64_t from, std::span<char> buffer, std::size_t& got) noexcept;

}  // namespace tokenstore::base

// ---- src/base/file.cpp ---------------------------------------------------------------------------------------

namespace tokenstore::base {

int write_all(int file, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int read_at(int file, std::uint64_t from, std::span<char> buffer, std::size_t& got) noexcept {
  for (got = 0; got < buffer.size();) {
    const ssize_t more = ::pread(file, buffer.data() + got, buffer.size() - got, static_cast<off_t>(from + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return errno;
    if (more == 0) break;
    got += static_cast<std::size_t>(more);
  }
  return 0;
}

}  // namespace tokenstore::base

// ---- src/base/file_owner.hpp ---------------------------------------------------------------------------------

/// Whose a file may be: theirs who runs the program, and if that is root, theirs to whom a file or directory that is
/// named belongs. Any thread.



namespace tokenstore::base {

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

/// Of what is named; empty unless root runs the program and it is there.
std::optional<FileOwner> owner_for_root(const std::string& named) noexcept;

/// What a user is told whose program is given the file of somebody else.
std::string belongs_to_another(uid_t user);

}  // namespace tokenstore::base

// ---- src/base/file_owner.cpp ---------------------------------------------------------------------------------

namespace tokenstore::base {

std::optional<FileOwner> owner_for_root(const std::string& named) noexcept {
  struct stat facts {};
  if (::geteuid() != 0 || named.empty() || ::stat(named.c_str(), &facts) != 0) return std::nullopt;
  return FileOwner{facts.st_uid, facts.st_gid};
}

std::string belongs_to_another(uid_t user) {
  return fmt::format("belongs to user {}, and this program runs as user {}; give the file to that user", user,
                     ::geteuid());
}

}  // namespace tokenstore::base

// ---- src/base/fork_guard.hpp ---------------------------------------------------------------------------------

/// Notices that the process is a forked child, at the price of one memory load.
///
/// A page of memory that the kernel hands to a child as zeroes (madvise MADV_WIPEONFORK, Linux 4.14).
/// No process id is asked for, no handler is registered, nothing global is kept.


namespace tokenstore::base {

class ForkGuard {
 public:
  /// Throws std::bad_alloc if the page cannot be had.
  ForkGuard();
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  /// True in a child of the process that made the guard or adopted it last, until the child
  /// adopts it itself.
  bool forked() const noexcept { return mark_->load(std::memory_order_acquire) == 0; }
  /// In a child: one of its threads makes what is guarded its own by `work()`, and the guard with it if that returns
  /// true; the others wait for it, and where it failed or threw try themselves. Returns whether the guard is this
  /// process's now. Nothing that another thread can have locked at the fork is used.
  template <typename Work>
  bool adopt(Work&& work) {
    while (forked()) {
      const Turn turn(*this);
      if (!forked()) break;
      if (!work()) return false;
      mark_->store(1, std::memory_order_release);
    }
    return true;
  }

 private:
  /// Of the threads of a process one has it at a time.
  class Turn {
   public:
    explicit Turn(ForkGuard& guard) noexcept;
    ~Turn() { guard_.adopting_.store(0, std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    ForkGuard& guard_;
  };

  std::atomic<std::uint64_t>* mark_;
  /// Process whose thread has the turn; 0: nobody. A parent's that was under way at the fork counts for nothing.
  std::atomic<int> adopting_{0};
};

}  // namespace tokenstore::base

// ---- src/base/fork_guard.cpp ---------------------------------------------------------------------------------

namespace tokenstore::base {
namespace {

// The kernel rounds up to a page.
constexpr std::size_t mark_size = sizeof(std::atomic<std::uint64_t>);

}  // namespace

ForkGuard::ForkGuard() {
  void* page = mmap(nullptr, mark_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::bad_alloc();
  if (madvise(page, mark_size, MADV_WIPEONFORK) != 0) {
    munmap(page, mark_size);
    throw std::bad_alloc();
  }
  mark_ = new (page) std::atomic<std::uint64_t>(1);
}

ForkGuard::~ForkGuard() {
  munmap(mark_, mark_size);
}

ForkGuard::Turn::Turn(ForkGuard& guard) noexcept : guard_(guard) {
  const int self = static_cast<int>(::getpid());
  for (;;) {
    int at_it = guard_.adopting_.load(std::memory_order_acquire);
    if (at_it == self) {
      std::this_thread::yield();
    } else if (guard_.adopting_.compare_exchange_weak(at_it, self, std::memory_order_acq_rel)) {
      return;
    }
  }
}

}  // namespace tokenstore::base

// ---- include/tokenstore/status.hpp ---------------------------------------------------------------------------

/// Status codes, errors and results.
///
/// Every fallible call of the library returns `Result<T>`: a value, or an `Error` with a code that
/// programs act on and one line of text that people read. The text never holds a token, a secret or
/// a key. Nothing here is thread-local; a Result belongs to whoever received it.


// Xlib.h makes a macro of this word. It is set aside here, and whoever needs both says StatusCode.
#pragma push_macro("Status")
#undef Status

namespace tokenstore {

/// What went wrong. The numbers are those of the C ABI (`TOKENSTORE_<NAME>`) and are never reused.
enum class Status : std::int32_t {
  ok = 0,
  invalid_argument = 1,   ///< An argument breaks a documented rule; nothing changed.
  not_found = 2,          ///< No such token or owner, or it is not the actor's to see.
  permission_denied = 3,  ///< The actor may not do this to anyone.
  refused = 4,            ///< Policy, owner settings or a cap forbid it.
  conflict = 5,           ///< Somebody else changed the same thing meanwhile; ask again.
  unavailable = 6,        ///< Storage failed; nothing happened.
  unknown = 7,            ///< Storage failed at the end: it may have happened. Read to find out.
  read_only = 8,          ///< The store was opened, or its file can only be read.
  tampered = 9,           ///< A stored record's seal does not verify.
  wrong_key = 10,         ///< The keyring is missing, malformed, or not this store's.
  not_a_store = 11,       ///< The file or database belongs to something else, or is damaged.
  newer_schema = 12,      ///< Written by a newer version of this library.
  storage_full = 13,      ///< No space left; nothing happened.
  buffer_too_small = 14,  ///< The caller's buffer cannot hold the answer; nothing happened.
  out_of_memory = 15,     ///< Memory could not be allocated; nothing happened.
  cannot_open = 16,       ///< The path cannot be opened, created or used safely.
  unsupported = 17,       ///< The backend or the platform cannot do this.
  internal = 18,          ///< A defect in the library or a backend; please report it.
  journal_damaged = 19,   ///< The journal was cut short or altered; look at it, then accept what is left.
  not_journaled = 20,     ///< The change holds, but could not be written to the journal.
};

/// Another name, for programs in which the first is a macro (Xlib.h).
using StatusCode = Status;

/// The field's name for a status, as in `invalid_argument`. Static text; never empty.
std::string_view status_name(Status status) noexcept;

/// A failure: its code, and one impersonal line that says what to do.
class Error {
 public:
  Error(Status status, std::string message) : status_(status), message_(std::move(message)) {}

  Status status() const noexcept { return status_; }
  const std::string& message() const noexcept { return message_; }

 private:
  Status status_;
  std::string message_;
};

/// A value of type T or an Error. Asking for the one that is not there throws std::bad_variant_access.
/// Of a temporary, value() and * give the value itself: `for (auto& x : f().value())` may outlive the Result.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& value() & { return std::get<0>(content_); }
  const T& value() const& { return std::get<0>(content_); }
  T value() && { return std::get<0>(std::move(content_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { return std::get<1>(content_); }
  Status status() const noexcept { return ok() ? Status::ok : std::get_if<1>(&content_)->status(); }

 private:
  std::variant<T, Error> content_;
};

/// Success without a value, or an Error. Asking for one that is not there throws std::bad_optional_access.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const { return error_.value(); }
  Status status() const noexcept { return error_ ? error_->status() : Status::ok; }

 private:
  std::optional<Error> error_;
};

}  // namespace tokenstore

#pragma pop_macro("Status")

// ---- include/tokenstore/backend.hpp --------------------------------------------------------------------------

/// What every storage backend implements.
///
/// A backend stores sealed records and answers look-ups. It decides nothing: policy, states, seals
/// and verdicts are above it, so that a wrong or hostile backend can deny or replay, never forge.
///
/// Thread use: every method may be called from several threads at once. Every method except pulse()
/// may block and do I/O. No method may call back into a store. A method may throw std::bad_alloc and
/// nothing else; every other failure is a Result.
///
/// Text arguments are octets: they may hold quotes, wildcards and NUL, and are always literal. Ids,
/// names and order are compared octet by octet.



namespace tokenstore {

using Bytes16 = std::array<std::uint8_t, 16>;
using Bytes32 = std::array<std::uint8_t, 32>;

/// A record's own count of changes: 1 when it is put for the first time. 0 means "absent".
using RecordRevision = std::uint64_t;

/// A token as stored. Everything but the last use is covered by the seal.
struct TokenRecord {
  std::string id;      ///< 16 octets; the primary key within its workspace
  std::string key_id;  ///< 2 octets; key of the token text's tag and of the verifier
  Bytes32 verifier{};
  std::string owner;
  Bytes16 owner_birth{};               ///< of the owner's record under which it was issued
  std::uint64_t revoke_all_count = 0;  ///< of that record, then: a later "revoke all" has ended the token
  std::string description;
  std::string scopes;  ///< sorted, separated by single spaces; empty grants nothing
  std::string metadata;
  UnixMillis created_at = 0;
  std::string created_by;
  UnixMillis not_before = 0;  ///< 0: none. Not the creation: other hosts' clocks may be a little behind
  UnixMillis expires_at = 0;  ///< INT64_MAX: never
  /// INT64_MAX: nobody has expired it by hand. Else it has ended, whatever anybody's clock says.
  UnixMillis expired_at = (std::numeric_limits<UnixMillis>::max)();
  UnixMillis revoked_at = (std::numeric_limits<UnixMillis>::max)();  ///< INT64_MAX: not revoked
  std::string revoked_by;
  std::string revoke_reason;
  RecordRevision revision = 0;
  std::string seal_key_id;  ///< 2 octets; key of the seal
  Bytes32 seal{};

  UnixMillis last_used_at = 0;  ///< 0: not used yet. Not sealed.
  std::string last_used_from;   ///< Not sealed.

  /// When the token stops for good: the order of purge, and what counts as live against a cap.
  UnixMillis ends_at() const noexcept { return revoked_at < expires_at ? revoked_at : expires_at; }
};

/// An owner's settings as stored.
struct OwnerRecord {
  std::string owner;  ///< the primary key within its workspace
  Bytes16 birth{};    ///< random, drawn when the record was made: what tokens are bound to
  bool may_issue = true;
  bool may_use = true;
  UnixMillis suspended_at = (std::numeric_limits<UnixMillis>::max)();  ///< INT64_MAX: not suspended
  std::string suspended_by;
  std::string suspend_reason;
  std::uint64_t revoke_all_count = 0;  ///< grows with every "revoke all"
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

/// A workspace and its policy as stored.
struct WorkspaceRecord {
  std::string workspace;  ///< the primary key
  Bytes16 birth{};        ///< random, drawn when the record was made: every seal in the workspace covers it
  bool tokens_enabled = true;
  bool users_may_issue = true;
  bool never_allowed = false;
  std::int64_t longest_lifetime = 0;
  std::int64_t default_lifetime = 0;
  std::uint32_t most_active_per_owner = 0;
  UnixMillis created_at = 0;
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

/// The store itself: one record for all of its workspaces, born with the first.
struct StoreRecord {
  Bytes16
      id{};  ///< random: every seal in the store covers it, so that no row of another store is taken for one of its own
  UnixMillis created_at = 0;
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

using Record = std::variant<TokenRecord, OwnerRecord, WorkspaceRecord, StoreRecord>;

enum class RecordKind : std::uint8_t { token = 1, owner = 2, workspace = 3, store = 4 };

/// One step of a batch. The precondition is that the record is absent (`expected` 0) or at record
/// revision `expected`; for `put`, the record's own `revision` is then higher: by one, or by more where it is copied,
/// or put forward again from a journal. A step whose kind and key are not its record's, that names another workspace
/// than the batch is committed to, that removes anything but a token, or that names the same record as another step,
/// fails the batch with `invalid_argument`.
struct Mutation {
  enum class Action : std::uint8_t {
    put,     ///< insert or replace. The stored last use of a token is kept on replace.
    remove,  ///< delete a token (never another record)
    check,   ///< only check the precondition
  };

  static Mutation put(Record record, RecordRevision expected);
  static Mutation remove_token(std::string id, RecordRevision expected);
  static Mutation check(RecordKind kind, std::string key, RecordRevision expected);

  Action action = Action::check;
  RecordKind kind = RecordKind::token;
  std::string key;  ///< token id, owner name, workspace name; of the store: empty
  RecordRevision expected = 0;
  Record record;  ///< for `put`
};

/// What a commit tells those who remember what it changes: one entry of the workspace's change feed.
///
/// A backend keeps `entry` and `link` as they are. The link is a keyed MAC over the entry, its revision and the
/// link before it, so that whoever reads on from a revision notices an entry that is missing, changed or moved.
class Announcement {
 public:
  virtual ~Announcement() = default;
  virtual std::string_view entry() const noexcept = 0;
  /// Pure; does not block. To be asked inside the transaction, where the revision is settled.
  virtual Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept = 0;
};

enum class CommitOutcome : std::uint8_t {
  committed,  ///< all of it is durable
  conflict,   ///< a precondition did not hold; nothing happened
  failed,     ///< nothing happened
  unknown,    ///< it may have happened
};

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::failed;
  std::uint64_t revision = 0;  ///< of the workspace after this batch, if committed
  std::optional<Error> error;  ///< if failed or unknown; its status says why (read_only, storage_full, unavailable...)
};

/// A cheap sign that something has changed.
struct Pulse {
  /// Differs from every counter returned before the last announced commit by anybody, in any process.
  std::uint64_t counter = 0;
  /// Clock::monotonic() until which `counter` can be relied on; INT64_MAX: for ever. Past it, the
  /// store reads through to the backend.
  std::int64_t trusted_until = 0;
};

/// What has been announced in a workspace after a revision.
struct Changes {
  struct Entry {
    std::uint64_t revision = 0;
    std::string text;  ///< Announcement::entry()
    Bytes32 link{};
  };
  std::uint64_t revision = 0;       ///< the workspace's; 0: nothing was announced yet
  Bytes32 link{};                   ///< of that revision; zeroes for 0
  std::uint64_t complete_from = 0;  ///< the lowest revision that could be asked for
  bool everything = false;          ///< too far behind or ahead (an older state was put back), or no feed
  std::vector<Entry> entries;       ///< one for each revision after the one asked for, in order
};

/// A part of the list of tokens, in order of id from high to low.
struct TokenQuery {
  enum class State : std::uint8_t { any, active, pending, expired, revoked };

  std::string owner;         ///< empty: any
  State state = State::any;  ///< at `now`; by the rule revoked, else expired, else pending, else active
  UnixMillis now = 0;
  std::string text;                 ///< empty: any. In the description; ASCII letters in either case.
  std::string before_id;            ///< empty: from the highest. Else only ids below it.
  std::size_t limit = 50;           ///< the most tokens to return
  std::size_t scan_limit = 10'000;  ///< the most records to look at
};

struct TokenList {
  std::vector<TokenRecord> tokens;
  /// Empty: no more. Else the lowest id looked at: `before_id` of the next part.
  std::string next_before_id;
};

struct OwnerList {
  std::vector<OwnerRecord> owners;  ///< in order of name
  bool more = false;
};

struct TokenCounts {
  std::uint64_t active = 0;
  std::uint64_t pending = 0;
  std::uint64_t expired = 0;
  std::uint64_t revoked = 0;
};

/// An ended token, as purge wants it.
struct EndedToken {
  std::string id;
  RecordRevision revision = 0;
};

struct Use {
  std::string id;
  UnixMillis used_at = 0;
  std::string used_from;
};

/// Called now and then with records done and, if known, records in all (0: not known). Returning
/// false asks to stop.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

class Backend {
 public:
  virtual ~Backend() = default;

  /// "memory", "sqlite", "postgres" or the host's own name, for messages and statistics.
  virtual std::string_view name() const noexcept = 0;
  virtual bool read_only() const noexcept = 0;

  // Look-ups. Each sees everything whose commit returned before the call. Absent: an empty optional.
  virtual Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) = 0;
  virtual Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) = 0;
  virtual Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) = 0;
  virtual Result<std::optional<StoreRecord>> load_store() = 0;

  virtual Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) = 0;
  /// Owners by name above `after` (empty: from the first), at most `limit`.
  virtual Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) = 0;
  /// Workspaces by name above `after` (empty: from the first), at most `limit`.
  virtual Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) = 0;
  /// Tokens per state at `now`; of one owner, or of all (empty). Cost grows with what it counts.
  virtual Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) = 0;
  /// Tokens of an owner with ends_at() > now, counted up to `at_most`.
  virtual Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                           std::uint64_t at_most) = 0;
  /// Tokens with ends_at() < ended_before, the longest ended first, at most `limit`.
  virtual Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                                     std::size_t limit) = 0;

  /// All or nothing, durable on return. With an announcement, raises the workspace's revision by one and appends
  /// the entry to its change feed, together with the batch, which may then be empty. Without one nobody can have
  /// remembered what the batch changes: no revision is raised and nothing is appended.
  virtual CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                              const Announcement* announcement) = 0;

  /// See Changes. A backend without a feed answers "everything".
  virtual Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) = 0;

  /// Does no I/O and takes no lock that a writer holds during I/O. Called on every validation.
  virtual Pulse pulse() noexcept = 0;

  /// Notes last uses; a use older than the stored one, or of a token that is gone, is ignored. Need
  /// not be durable; raises no revision and enters no change feed.
  virtual Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) = 0;

  /// Housekeeping (checkpoints, trimming the feed) for about `budget`. True: there is more to do.
  virtual Result<bool> maintain(std::chrono::milliseconds budget) = 0;

  /// The storage's own integrity check. One line for each problem, at most `most`; empty: none.
  virtual Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) = 0;

  /// Optional, for backups: writes everything, as it is at one moment, into an empty file of this name, as
  /// sqlite_backup_backend() reads it. `conflict` if `progress` asked to stop. False: this storage cannot, and it is
  /// read record by record instead.
  virtual Result<bool> write_snapshot(const std::string& /*path*/, const Progress& /*progress*/) { return false; }
};

}  // namespace tokenstore

// ---- src/base/mutation.hpp -----------------------------------------------------------------------------------

/// What every backend asks of a batch before anything else. Pure functions.



namespace tokenstore::base {

/// Does the step fit the workspace that it is committed to, and its record?
bool is_well_formed(std::string_view workspace, const Mutation& mutation) noexcept;
/// Does every step, and does no two name the same record? A batch that is not so answers `failed` with
/// `misfit()`. Throws std::bad_alloc for a large batch.
bool is_well_formed(std::string_view workspace, std::span<const Mutation> batch);
Error misfit();

}  // namespace tokenstore::base

// ---- src/base/mutation.cpp -----------------------------------------------------------------------------------

namespace tokenstore {
namespace {

RecordKind kind_of(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index() + 1);
}

std::string key_of(const Record& record) {
  if (const auto* token = std::get_if<TokenRecord>(&record)) return token->id;
  if (const auto* owner = std::get_if<OwnerRecord>(&record)) return owner->owner;
  if (const auto* workspace = std::get_if<WorkspaceRecord>(&record)) return workspace->workspace;
  return {};
}

}  // namespace

Mutation Mutation::put(Record record, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::put;
  mutation.kind = kind_of(record);
  mutation.key = key_of(record);
  mutation.expected = expected;
  mutation.record = std::move(record);
  return mutation;
}

Mutation Mutation::remove_token(std::string id, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::remove;
  mutation.kind = RecordKind::token;
  mutation.key = std::move(id);
  mutation.expected = expected;
  return mutation;
}

Mutation Mutation::check(RecordKind kind, std::string key, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::check;
  mutation.kind = kind;
  mutation.key = std::move(key);
  mutation.expected = expected;
  return mutation;
}

namespace base {

bool is_well_formed(std::string_view workspace, const Mutation& mutation) noexcept {
  if (mutation.kind == RecordKind::workspace && mutation.key != workspace) return false;
  if (mutation.kind == RecordKind::store && !mutation.key.empty()) return false;
  switch (mutation.action) {
    case Mutation::Action::check:
      return true;
    case Mutation::Action::remove:
      return mutation.kind == RecordKind::token;
    case Mutation::Action::put:
      if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::token && token->id == mutation.key;
      }
      if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::owner && owner->owner == mutation.key;
      }
      if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::workspace && settings->workspace == mutation.key;
      }
      return mutation.kind == RecordKind::store && std::holds_alternative<StoreRecord>(mutation.record);
  }
  return false;
}

bool is_well_formed(std::string_view workspace, std::span<const Mutation> batch) {
  for (const Mutation& mutation : batch) {
    if (!is_well_formed(workspace, mutation)) return false;
  }
  // Most batches are of a few steps; those need no memory.
  constexpr std::size_t few = 8;
  if (batch.size() <= few) {
    for (std::size_t i = 1; i < batch.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (batch[i].kind == batch[j].kind && batch[i].key == batch[j].key) return false;
      }
    }
    return true;
  }
  std::vector<const Mutation*> in_order;
  in_order.reserve(batch.size());
  for (const Mutation& mutation : batch) in_order.push_back(&mutation);
  const auto before = [](const Mutation* left, const Mutation* right) {
    return left->kind != right->kind ? left->kind < right->kind : left->key < right->key;
  };
  std::sort(in_order.begin(), in_order.end(), before);
  return std::adjacent_find(in_order.begin(), in_order.end(), [&](const Mutation* left, const Mutation* right) {
           return !before(left, right);
         }) == in_order.end();
}

Error misfit() {
  return Error(Status::invalid_argument, "a batch's step does not fit its record or workspace, or repeats another");
}

}  // namespace base

}  // namespace tokenstore

// ---- include/tokenstore/secret.hpp ---------------------------------------------------------------------------

/// A text that must not leak: the token text, or a key.
///
/// Move-only, wiped when it dies, and impossible to print, copy or compare with `==` (each of them
/// does not compile). Reading it takes a call with `reveal` in its name, which a reviewer can grep.
/// Not synchronised: one thread at a time.


namespace tokenstore {

class SecretText {
 public:
  SecretText() noexcept = default;
  /// Copies `text`; the caller still has to wipe its own copy.
  explicit SecretText(std::string_view text);
  SecretText(SecretText&& other) noexcept;
  SecretText& operator=(SecretText&& other) noexcept;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText();

  /// Valid until this object is moved from or destroyed.
  std::string_view reveal() const noexcept { return {data_.get(), size_}; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  void wipe() noexcept;

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
};

bool operator==(const SecretText&, const SecretText&) = delete;
bool operator==(const SecretText&, std::string_view) = delete;
std::ostream& operator<<(std::ostream&, const SecretText&) = delete;

}  // namespace tokenstore

// ---- include/tokenstore/keyring.hpp --------------------------------------------------------------------------

/// The host's secret keys, outside the database.
///
/// A keyring holds master keys of 256 bits under two-character ids (0-9 A-Z a-z). One is active: it
/// signs and seals what is new. Verify-only keys still open what they made. A retired key ends its
/// tokens; it only remains to recognise them. Move-only; keys are wiped when it dies. Not
/// synchronised: fill it, then hand it to a store.



namespace tokenstore {

inline constexpr std::size_t master_key_size = 32;

enum class KeyUse : std::uint8_t { active = 1, verify_only = 2, retired = 3 };

/// Which files keys are taken from. Strict unless something is set; each weakening has a name.
struct KeyFileTrust {
  /// A file of root's that its group may read and nobody else: what Kubernetes makes of a secret under `fsGroup`, and
  /// systemd of a credential. Whoever is in that group can read the keys.
  bool group_readable_of_root = false;
  /// A file of root's that everybody may read, as Docker and Kubernetes lay secrets out by default. Only in a container
  /// in which nobody else runs: every user there can read the keys.
  bool world_readable_of_root = false;
  /// A path /dev/fd/N or /proc/self/fd/N stands for descriptor N of this process: a file, a pipe or a socket, whoever's
  /// it is and whatever its mode, because whoever handed it over vouches for it. It is read to its end and stays open.
  bool inherited_descriptor = false;
  /// Of no meaning unless root runs the program: a file of the user who owns this one too. For root at work on a
  /// database of somebody else's: who owns that may name its keys. `open_sqlite` sets it.
  std::string owner_of{};
};

/// A key and what hangs on it in a whole store, in all of its workspaces.
struct KeyStatus {
  std::string id;
  std::optional<KeyUse> use;        ///< absent: the keyring does not hold it
  std::uint64_t seals = 0;          ///< records that it sealed
  std::uint64_t living_tokens = 0;  ///< tokens of its own that have not ended: they end with it
};

class Keyring {
 public:
  struct Key {
    std::string id;
    KeyUse use = KeyUse::active;
    SecretText master;  ///< 32 octets
  };

  Keyring() = default;

  /// One new active key, "0A".
  static Result<Keyring> generate(RandomSource& random);
  /// One active key, `id`, of 32 octets. The caller still has to wipe its own copy.
  static Result<Keyring> from_bytes(std::span<const std::uint8_t> master, std::string_view id = "0A");
  /// Reads a key file (docs/keys.md). Links are followed; the file that they lead to must be regular, of the
  /// caller or root, and closed to group and others, unless `trust` says otherwise. `wrong_key` if it is
  /// missing or malformed, `cannot_open` if it is not safe.
  static Result<Keyring> from_file(const std::string& path, const KeyFileTrust& trust = {});
  /// Reads the key file that systemd hands to a service as a credential (`LoadCredential=NAME:PATH`), from the
  /// directory that CREDENTIALS_DIRECTORY names. Errors as above.
  static Result<Keyring> from_credential(std::string_view name);
  /// Parses the text of a key file, for hosts that fetch it from elsewhere.
  static Result<Keyring> from_text(std::string_view text);

  /// Adds a key. `invalid_argument` if the id is taken or malformed, the key is not 32 octets, or a
  /// second one would be active.
  Result<void> add(std::string_view id, KeyUse use, std::span<const std::uint8_t> master);
  /// Adds a new verify-only key of the next id that is free, and returns the id. `refused` if none is left.
  Result<std::string> add_new(RandomSource& random);
  /// Makes this key the active one, and the one that was verify-only. Active already: OK. `refused` if it is retired,
  /// `not_found` if there is no such key.
  Result<void> activate(std::string_view id);
  /// Retires a verify-only key. Retired already: OK. `refused` if it is active.
  Result<void> retire(std::string_view id);
  /// Takes a key out. `refused` if it is active.
  Result<void> remove(std::string_view id);

  /// Writes a new key file, mode 0600, synced. Never overwrites: `cannot_open` if the path exists. If root runs
  /// the program, the file is given to the owner of `owner_of`, a file or directory; empty: it stays root's.
  Result<void> write_new_file(const std::string& path, const std::string& owner_of = {}) const;
  /// The text of a key file.
  SecretText reveal_text() const;

  const std::vector<Key>& keys() const noexcept { return keys_; }

 private:
  std::vector<Key> keys_;
};

}  // namespace tokenstore

// ---- include/tokenstore/model.hpp ----------------------------------------------------------------------------

/// The words of the library as types: tokens, owners, policy, actors, lifetimes, and the requests
/// and answers of TokenStore. Plain values: copy and share them as you like.
///
/// Times are UnixMillis. Text is UTF-8. Limits are constants below; exceeding one is
/// `invalid_argument` and changes nothing.



namespace tokenstore {

inline constexpr std::size_t token_id_size = 16;
inline constexpr std::size_t token_text_min = 80;   ///< octets, with a prefix of 2
inline constexpr std::size_t token_text_max = 102;  ///< octets, with a prefix of 24
inline constexpr std::size_t prefix_min = 2;
inline constexpr std::size_t prefix_max = 24;
inline constexpr std::size_t owner_max = 255;          ///< octets of UTF-8, no control characters
inline constexpr std::size_t workspace_max = 255;      ///< as an owner's name
inline constexpr std::size_t description_max = 1024;   ///< octets of UTF-8, no control characters
inline constexpr std::size_t reason_max = 1024;        ///< as a description
inline constexpr std::size_t metadata_max = 4096;      ///< opaque octets
inline constexpr std::size_t scopes_max = 64;          ///< scopes of one token
inline constexpr std::size_t scope_max = 128;          ///< octets, RFC 6749 section 3.3 scope-token
inline constexpr std::size_t client_address_max = 45;  ///< octets: the longest IPv6 text form
inline constexpr std::size_t page_max = 1000;          ///< tokens in one page of a list

inline constexpr std::int64_t millis_per_day = 86'400'000;
/// `expires_at` of a token that never expires, and `longest_lifetime` of a policy without a limit.
inline constexpr std::int64_t never = (std::numeric_limits<std::int64_t>::max)();
/// Every other time must be before the year 10000, so that it can be written down as RFC 3339.
inline constexpr UnixMillis latest_time = 253'402'300'799'999;

/// How long a token shall live, counted from its creation.
class Lifetime {
 public:
  /// What the workspace's policy says.
  static constexpr Lifetime policy_default() noexcept { return Lifetime(0); }
  /// No end. Refused unless policy allows it.
  static constexpr Lifetime never() noexcept { return Lifetime(-1); }
  /// `count` milliseconds, 1 or more. 0 asks for the policy's default; a negative count is refused
  /// by issue, so that "never" is never the by-product of a subtraction.
  static constexpr Lifetime millis(std::int64_t count) noexcept { return Lifetime(count < 0 ? invalid : count); }
  static constexpr Lifetime days(std::int64_t count) noexcept {
    if (count < 0 || count > (std::numeric_limits<std::int64_t>::max)() / millis_per_day) return Lifetime(invalid);
    return Lifetime(count * millis_per_day);
  }

  constexpr bool is_default() const noexcept { return value_ == 0; }
  constexpr bool is_never() const noexcept { return value_ == -1; }
  constexpr bool is_valid() const noexcept { return value_ >= -1; }
  /// Milliseconds; meaningful when neither of the above.
  constexpr std::int64_t count() const noexcept { return value_; }

 private:
  static constexpr std::int64_t invalid = -2;
  constexpr explicit Lifetime(std::int64_t value) noexcept : value_(value) {}
  std::int64_t value_;
};

/// Who asks. The host decides that; the library decides what they may do.
class Actor {
 public:
  enum class Kind : std::uint8_t { user, administrator, host };

  /// Sees and acts on their own tokens only.
  static Actor user(std::string name) { return Actor(Kind::user, std::move(name)); }
  /// Lists and ends anyone's tokens, sets policy; issues for themselves only.
  static Actor administrator(std::string name) { return Actor(Kind::administrator, std::move(name)); }
  /// May do all; issues for anyone.
  static Actor host() { return Actor(Kind::host, {}); }

  Kind kind() const noexcept { return kind_; }
  const std::string& name() const noexcept { return name_; }

 private:
  Actor(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  Kind kind_;
  std::string name_;
};

/// State of a token at a time: revoked, else expired, else pending, else active.
enum class TokenState : std::uint8_t {
  active = 1,
  pending = 2,  ///< its not-before lies ahead
  expired = 3,
  revoked = 4,
  tampered = 5,  ///< its seal does not verify: nothing but the id can be believed
};

/// "active", "pending", ...
std::string_view state_name(TokenState state) noexcept;

/// What lists and logs may show of a token.
struct TokenInfo {
  std::string id;
  std::string owner;
  std::string description;
  std::vector<std::string> scopes;  ///< sorted, without repeats; empty grants nothing
  std::string metadata;
  TokenState state = TokenState::active;
  UnixMillis created_at = 0;
  std::string created_by;     ///< "user:alice", "administrator:root" or "host"
  UnixMillis not_before = 0;  ///< its creation if none was asked for
  UnixMillis expires_at = never;
  std::optional<UnixMillis> revoked_at;
  std::string revoked_by;
  std::string revoke_reason;
  std::optional<UnixMillis> last_used_at;
  std::string last_used_from;  ///< client address, empty if the host gave none
};

/// Fields have initialisers so that `{.owner = "alice", .scopes = {"read"}}` compiles without warnings.
struct IssueRequest {
  std::string owner{};
  std::string description{};
  std::vector<std::string> scopes{};
  std::string metadata{};
  Lifetime lifetime = Lifetime::policy_default();
  std::optional<UnixMillis> not_before{};  ///< from its creation if absent
};

/// A new token. `text` is the only copy there will ever be.
struct Issued {
  SecretText text;
  TokenInfo info;
};

struct ListQuery {
  std::string owner{};                ///< empty: everyone's (a user: their own)
  std::optional<TokenState> state{};  ///< only tokens in this state; not `tampered`
  std::string text{};                 ///< only descriptions that contain this, ASCII case ignored; no wildcards
  std::string cursor{};               ///< `next` of the page before; empty: from the newest
  std::size_t limit = 50;             ///< 1..page_max
};

/// A page, newest first. A page may hold fewer than `limit` tokens, even none, and still have a
/// `next`: a filter that matches little is answered in steps of bounded cost.
struct TokenPage {
  std::vector<TokenInfo> tokens;
  std::string next;  ///< empty: this was the last page
};

struct StateCounts {
  std::uint64_t active = 0;
  std::uint64_t pending = 0;
  std::uint64_t expired = 0;
  std::uint64_t revoked = 0;
};

/// Rules of a workspace.
struct Policy {
  bool tokens_enabled = true;                            ///< false: nothing validates, nothing is issued
  bool users_may_issue = true;                           ///< false: administrators and the host only
  bool never_allowed = false;                            ///< may a token have no end?
  std::int64_t longest_lifetime = 366 * millis_per_day;  ///< ms, 1..; `never`: no limit
  std::int64_t default_lifetime = 90 * millis_per_day;   ///< ms, 1..; the longest lifetime if that is shorter
  std::uint32_t most_active_per_owner = 0;               ///< active and pending tokens; 0: no limit
};

/// What an owner may do, whatever their tokens say.
struct OwnerSettings {
  bool may_issue = true;
  bool may_use = true;
};

struct OwnerInfo {
  std::string owner;
  OwnerSettings settings;
  bool suspended = false;
  std::optional<UnixMillis> suspended_at;
  std::string suspended_by;
  std::string suspend_reason;
  bool tampered = false;  ///< the seal does not verify: every token of theirs is denied
};

struct OwnerPage {
  std::vector<OwnerInfo> owners;  ///< by name, in octet order
  std::string next;
};

struct PurgeResult {
  std::uint64_t removed = 0;
  bool complete = false;  ///< false: the time budget ran out, call again
};

/// How far sealing anew under the active key has come.
struct ResealResult {
  std::uint64_t resealed = 0;  ///< records that were under another key
  std::uint64_t kept = 0;      ///< under the active key already
  std::uint64_t refused = 0;   ///< not genuine: left as they are, for check() to name
  std::string next;            ///< cursor for the next call; empty: all of the workspace is done
};

/// What was put forward again from the journal because storage had gone back behind it.
struct HealReport {
  std::uint64_t looked_at = 0;  ///< lines of the journal that tell of a record's latest state
  std::uint64_t ended = 0;      ///< tokens that have ended again, or end again when they were to
  std::uint64_t removed = 0;    ///< tokens that had been deleted, and are deleted again
  std::uint64_t settings = 0;   ///< owners and the workspace
  std::uint64_t refused = 0;    ///< left as they are: not genuine, which denies them, or changed by others all the time
};

/// What hangs on a key of the keyring. A key can be taken out when both are 0 in every workspace.
struct KeyUsage {
  std::string key_id;
  std::uint64_t seals = 0;          ///< genuine records of the workspace that it sealed
  std::uint64_t living_tokens = 0;  ///< tokens of its own that have not ended: they end with it
};

/// What the check of a whole store found.
struct CheckReport {
  std::uint64_t tokens = 0;  ///< records read
  std::uint64_t owners = 0;
  std::vector<KeyUsage> keys;         ///< by key id; the keys that anything hangs on, and the active one
  std::vector<std::string> problems;  ///< one line each, at most 1,000; empty: all is well
  std::uint64_t problem_count = 0;
};

}  // namespace tokenstore

// ---- include/tokenstore/journal.hpp --------------------------------------------------------------------------

/// The journal as an audit trail (docs/audit.md): reading it, verifying it, and accepting what is left of a damaged
/// one.
///
/// No store need be open; stores may append meanwhile, and are not kept waiting. Nothing is told that the keys do not
/// vouch for. Thread use: any thread, nothing is shared between calls. A keyring is the store's; keys that are retired
/// or gone vouch for nothing, so a segment that was written under one cannot be read.



namespace tokenstore {

/// What was done. The numbers are those of the C ABI and of the file, and are never reused.
enum class JournalDeed : std::uint8_t {
  issued = 1,
  revoked = 2,
  expired = 3,    ///< at once or, `ends_at` says, later
  removed = 4,    ///< deleted by somebody
  purged = 5,     ///< deleted because it had ended long ago
  suspended = 6,  ///< an owner
  resumed = 7,
  owner_set = 8,
  all_revoked = 9,  ///< of an owner
  policy_set = 10,
  workspace_made = 11,
  resealed = 12,
  learned = 13,  ///< another host's change, as storage shows it
  healed = 14,   ///< put forward again from the journal
  key_added = 15,
  key_activated = 16,
  key_retired = 17,
  key_removed = 18,
  accepted = 19,  ///< what is left of a damaged journal, by an administrator
};
/// The field's name, as in `all_revoked`. Static text; never empty.
std::string_view journal_deed_name(JournalDeed deed) noexcept;

/// One change. The texts are as they were given, and last as long as the call that tells it.
struct JournalEntry {
  /// Counts from 1 on over all segments. 0: carried over into the first segment that is left, from those before it; of
  /// a token then its id, its end and what ended it are all that is known.
  std::uint64_t number = 0;
  std::uint64_t segment = 0;
  UnixMillis at = 0;  ///< 0: not known
  JournalDeed deed = JournalDeed::issued;
  RecordKind kind = RecordKind::token;  ///< of the record that was changed
  bool gone = false;                    ///< the record was deleted; else `revision` is its since, and 0 is none
  RecordRevision revision = 0;
  UnixMillis ends_at = never;  ///< of a token: its end since; 0: it had ended, and when is not known
  std::string_view workspace{};
  std::string_view token_id{};  ///< of a token
  std::string_view key_id{};    ///< of a key that was added, activated, retired or removed
  std::string_view owner{};     ///< whom it concerns, if known
  std::string_view actor{};     ///< "host", "user:NAME" or "administrator:NAME"; empty: not known
  std::string_view reason{};
};

/// Which entries are told; what is empty leaves nothing out.
struct JournalQuery {
  std::optional<UnixMillis> from{};  ///< done then or later
  std::optional<UnixMillis> to{};    ///< done before then
  std::string workspace{};
  std::string owner{};
  std::string token_id{};
  std::string actor{};  ///< as it is written, or the name in it alone
  std::optional<JournalDeed> deed{};
  /// The `next` of an earlier reading: what comes after it is told. Empty: from the beginning.
  std::string after{};
};

/// Something about a journal that is not as it was written.
struct JournalProblem {
  enum class Kind : std::uint8_t {
    damaged = 1,  ///< altered, cut short, or not what belongs there
    missing = 2,  ///< a segment is gone, though not the earliest
    no_key = 3,   ///< written under a key that is retired or not in the keyring: it cannot be told
  };
  Kind kind = Kind::damaged;
  bool accepted = false;  ///< an administrator has looked at it, and a later entry says so
  std::string file;
  std::uint64_t segment = 0;
  std::uint64_t octet = 0;  ///< where in the file; what is before it is good
  std::uint64_t entry = 0;  ///< the number of the last good entry before it
  std::string what;         ///< one line
};

struct JournalReport {
  Bytes16 store{};                  ///< StoreRecord::id; zeroes if nothing could be read
  std::uint64_t segments = 0;       ///< that are good, to the end
  std::uint64_t first_segment = 0;  ///< more than 1: those before it are no longer there, which is no damage
  std::uint64_t entries = 0;        ///< that are good
  std::uint64_t last_entry = 0;     ///< the number of the last of them
  /// Octets of a write at the end that did not come to its own: it was acknowledged to nobody, and the next writer cuts
  /// it off. No damage.
  std::uint64_t torn = 0;
  std::vector<JournalProblem> problems;

  /// Whether anything is damaged or missing that nobody has accepted.
  bool damaged() const noexcept;
  /// Whether anything could not be read for lack of a key.
  bool lacks_key() const noexcept;
};

struct JournalReading {
  std::uint64_t told = 0;  ///< entries
  std::string next;        ///< JournalQuery::after of the next reading, also in a later process
  bool stopped = false;    ///< the function has said so
  /// Of what was read: a damaged journal is told as far as it is good, and on from the next segment.
  JournalReport report;
};

/// Tells the entries of all segments in order. Entries that were written last may be left for the next reading, if
/// somebody is writing. `take` returns false to stop; it may take its time, and what it throws is passed on.
/// `wrong_key` if nothing can be read with the keys, `cannot_open` if a file is missing or not to be taken,
/// `newer_schema`, `unavailable`, `invalid_argument`.
Result<JournalReading> read_journal(const std::string& path, Keyring keyring, const JournalQuery& query,
                                    const std::function<bool(const JournalEntry&)>& take);

/// Reads all of it: every frame, the chain from one to the next and from segment to segment, numbers without a gap, and
/// that all are one store's. What is wrong is in the report, and no error. Of a journal that was cut off exactly behind
/// an entry nothing shows in it: compare `last_entry` with what was known before. Errors as above.
Result<JournalReport> verify_journal(const std::string& path, Keyring keyring);

struct JournalAcceptance {
  JournalReport found;    ///< how it was before
  std::string kept_file;  ///< where the file that was in use is now; empty: it was missing
  std::uint64_t segment = 0;
};

/// After somebody has looked: a new segment goes on from what can be verified, and begins with all that it restricts;
/// an entry in it says what was accepted, and by whom. The file that was in use is kept beside it under its number, and
/// nothing is deleted. Interrupted anywhere, the journal is as it was or as it shall be. Stores go on with it. What was
/// journaled behind the damage alone is lost here; what the database still shows of it is learned from there.
/// `permission_denied` for a user, `refused` if nothing is damaged or nothing can be verified. `now`: 0 stands for the
/// system's clock.
Result<JournalAcceptance> accept_journal(const std::string& path, Keyring keyring, const Actor& actor,
                                         UnixMillis now = 0);

}  // namespace tokenstore

// ---- include/tokenstore/verdict.hpp --------------------------------------------------------------------------

/// The question a host asks on every request, and the answer.



namespace tokenstore {

/// What a request needs. The scope is required: there is no "just authenticate".
struct Demand {
  /// `scope` must be one of the token's. An empty or malformed scope is held by no token.
  constexpr explicit Demand(std::string_view scope_needed, std::string_view from = {}) noexcept
      : scope(scope_needed), client_address(from) {}

  std::string_view scope;
  std::string_view client_address;  ///< IPv4 or IPv6 text for "last used from"; anything else is not recorded
};

enum class Outcome : std::uint8_t {
  unavailable = 0,  ///< Storage cannot be asked. Refuse the request, and do not call the token bad (HTTP 503).
  valid = 1,
  invalid = 2,
};

/// Why, for the host's audit log alone: a client is told the outcome, and whether the scope was
/// missing (HTTP 403), nothing else.
enum class Reason : std::uint8_t {
  none = 0,       ///< valid
  malformed = 1,  ///< not a token of this store's form
  forged = 2,     ///< well-formed, but not made with a key of this keyring
  unknown = 3,    ///< no such token: never issued, deleted or purged
  wrong_secret = 4,
  tampered = 5,  ///< a stored record's seal does not verify, or a settings record is missing
  retired_key = 6,
  revoked = 7,
  expired = 8,
  pending = 9,
  owner_suspended = 10,
  owner_may_not_use = 11,
  tokens_disabled = 12,
  insufficient_scope = 13,
  storage = 14,      ///< unavailable: storage failed
  rolled_back = 15,  ///< a stored record is an earlier state than the journal knows: it was put back
};

std::string_view outcome_name(Outcome outcome) noexcept;
std::string_view reason_name(Reason reason) noexcept;

/// The answer. Self-contained: every view that it returns points into the Verdict itself and lives
/// as long as it does. About 13 KiB, of which only what is used is ever touched.
///
/// Who and what (`id` and so on) are given when the token is genuine: for `valid`, and for
/// `insufficient_scope`. Otherwise they are empty.
class Verdict {
 public:
  Verdict() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the text uninitialised
  Verdict(const Verdict& other) noexcept { *this = other; }
  Verdict& operator=(const Verdict& other) noexcept;

  Outcome outcome() const noexcept { return outcome_; }
  Reason reason() const noexcept { return reason_; }
  bool valid() const noexcept { return outcome_ == Outcome::valid; }
  /// 200, 401, 403 or 503 (RFC 6750 section 3.1).
  int http_status() const noexcept;

  std::string_view id() const noexcept { return {text_.data(), id_size_}; }
  std::string_view owner() const noexcept { return {text_.data() + token_id_size, owner_size_}; }
  /// Separated by single spaces and sorted, as in RFC 6749 section 3.3.
  std::string_view scopes() const noexcept { return {text_.data() + token_id_size + owner_size_, scopes_size_}; }
  std::string_view metadata() const noexcept {
    return {text_.data() + token_id_size + owner_size_ + scopes_size_, metadata_size_};
  }
  UnixMillis expires_at() const noexcept { return expires_at_; }

 private:
  friend class VerdictWriter;

  Outcome outcome_ = Outcome::unavailable;
  Reason reason_ = Reason::storage;
  std::uint16_t id_size_ = 0;
  std::uint16_t owner_size_ = 0;
  std::uint16_t scopes_size_ = 0;
  std::uint16_t metadata_size_ = 0;
  UnixMillis expires_at_ = 0;
  std::array<char, token_id_size + owner_max + scopes_max*(scope_max + 1) + metadata_max> text_;
};

}  // namespace tokenstore

// ---- src/base/names.cpp --------------------------------------------------------------------------------------

// The words for the numbers of the public enumerations.

namespace tokenstore {

std::string_view status_name(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::invalid_argument:
      return "invalid_argument";
    case Status::not_found:
      return "not_found";
    case Status::permission_denied:
      return "permission_denied";
    case Status::refused:
      return "refused";
    case Status::conflict:
      return "conflict";
    case Status::unavailable:
      return "unavailable";
    case Status::unknown:
      return "unknown";
    case Status::read_only:
      return "read_only";
    case Status::tampered:
      return "tampered";
    case Status::wrong_key:
      return "wrong_key";
    case Status::not_a_store:
      return "not_a_store";
    case Status::newer_schema:
      return "newer_schema";
    case Status::storage_full:
      return "storage_full";
    case Status::buffer_too_small:
      return "buffer_too_small";
    case Status::out_of_memory:
      return "out_of_memory";
    case Status::cannot_open:
      return "cannot_open";
    case Status::unsupported:
      return "unsupported";
    case Status::internal:
      return "internal";
    case Status::journal_damaged:
      return "journal_damaged";
    case Status::not_journaled:
      return "not_journaled";
  }
  return "unrecognised";
}

std::string_view state_name(TokenState state) noexcept {
  switch (state) {
    case TokenState::active:
      return "active";
    case TokenState::pending:
      return "pending";
    case TokenState::expired:
      return "expired";
    case TokenState::revoked:
      return "revoked";
    case TokenState::tampered:
      return "tampered";
  }
  return "unrecognised";
}

std::string_view outcome_name(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::unavailable:
      return "unavailable";
    case Outcome::valid:
      return "valid";
    case Outcome::invalid:
      return "invalid";
  }
  return "unrecognised";
}

std::string_view reason_name(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::malformed:
      return "malformed";
    case Reason::forged:
      return "forged";
    case Reason::unknown:
      return "unknown";
    case Reason::wrong_secret:
      return "wrong_secret";
    case Reason::tampered:
      return "tampered";
    case Reason::retired_key:
      return "retired_key";
    case Reason::revoked:
      return "revoked";
    case Reason::expired:
      return "expired";
    case Reason::pending:
      return "pending";
    case Reason::owner_suspended:
      return "owner_suspended";
    case Reason::owner_may_not_use:
      return "owner_may_not_use";
    case Reason::tokens_disabled:
      return "tokens_disabled";
    case Reason::insufficient_scope:
      return "insufficient_scope";
    case Reason::storage:
      return "storage";
    case Reason::rolled_back:
      return "rolled_back";
  }
  return "unrecognised";
}

std::string_view journal_deed_name(JournalDeed deed) noexcept {
  switch (deed) {
    case JournalDeed::issued:
      return "issued";
    case JournalDeed::revoked:
      return "revoked";
    case JournalDeed::expired:
      return "expired";
    case JournalDeed::removed:
      return "removed";
    case JournalDeed::purged:
      return "purged";
    case JournalDeed::suspended:
      return "suspended";
    case JournalDeed::resumed:
      return "resumed";
    case JournalDeed::owner_set:
      return "owner_set";
    case JournalDeed::all_revoked:
      return "all_revoked";
    case JournalDeed::policy_set:
      return "policy_set";
    case JournalDeed::workspace_made:
      return "workspace_made";
    case JournalDeed::resealed:
      return "resealed";
    case JournalDeed::learned:
      return "learned";
    case JournalDeed::healed:
      return "healed";
    case JournalDeed::key_added:
      return "key_added";
    case JournalDeed::key_activated:
      return "key_activated";
    case JournalDeed::key_retired:
      return "key_retired";
    case JournalDeed::key_removed:
      return "key_removed";
    case JournalDeed::accepted:
      return "accepted";
  }
  return "unrecognised";
}

}  // namespace tokenstore

// ---- src/base/new_file.hpp -----------------------------------------------------------------------------------

/// Giving a file that was written aside its name: all of it or nothing, and never in another's place.
///
/// Any thread. Every function answers 0 or the error's number.


namespace tokenstore::base {

/// EEXIST if something is there already. Afterwards `from` may still be there as well, and is the caller's to remove.
/// EOPNOTSUPP on a file system that can neither rename without replacing nor link.
int put_in_place(const std::string& from, const std::string& to) noexcept;

/// Makes the names in the file's directory durable, where the file system can.
int sync_directory_of(const std::string& path);

/// The same for whoever must not fail for want of memory once a file is in place. Owns a descriptor.
class DirectoryOf {
 public:
  explicit DirectoryOf(const std::string& path);
  ~DirectoryOf();
  DirectoryOf(const DirectoryOf&) = delete;
  DirectoryOf& operator=(const DirectoryOf&) = delete;

  int sync() const noexcept;

 private:
  int descriptor_;
  int code_;  ///< why it could not be opened
};

}  // namespace tokenstore::base

// ---- src/base/new_file.cpp -----------------------------------------------------------------------------------

namespace tokenstore::base {

int put_in_place(const std::string& from, const std::string& to) noexcept {
  // A rename never shows the file under two names, whenever the process is killed.
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  const auto unsupported = [](int code) {
    return code == EINVAL || code == ENOSYS || code == EPERM || code == EOPNOTSUPP || code == EMLINK;
  };
  if (!unsupported(errno)) return errno;
  if (::link(from.c_str(), to.c_str()) == 0) return 0;
  return unsupported(errno) ? EOPNOTSUPP : errno;
}

DirectoryOf::DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  descriptor_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  code_ = descriptor_ < 0 ? errno : 0;
}

DirectoryOf::~DirectoryOf() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int DirectoryOf::sync() const noexcept {
  if (descriptor_ < 0) return code_;
  const int code = ::fsync(descriptor_) == 0 ? 0 : errno;
  // Some file systems cannot sync a directory and say so; there is nothing more to be done there.
  return code == EINVAL ? 0 : code;
}

int sync_directory_of(const std::string& path) {
  return DirectoryOf(path).sync();
}

}  // namespace tokenstore::base

// ---- src/base/random.cpp -------------------------------------------------------------------------------------

namespace tokenstore {
namespace {

/// libsodium asks the kernel for every call, so that a forked child draws other bytes than its parent.
class SystemRandom final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> out) noexcept override { randombytes_buf(out.data(), out.size()); }
};

}  // namespace

std::shared_ptr<RandomSource> system_random() {
  // Safe to repeat and from several threads. It fails only where the kernel has no generator at all.
  if (sodium_init() < 0) throw std::bad_alloc();
  return std::make_shared<SystemRandom>();
}

}  // namespace tokenstore

// ---- src/base/secret.cpp -------------------------------------------------------------------------------------

namespace tokenstore {

SecretText::SecretText(std::string_view text) : size_(text.size()) {
  if (size_ == 0) return;
  data_.reset(new char[size_]);
  std::copy(text.begin(), text.end(), data_.get());
}

SecretText::SecretText(SecretText&& other) noexcept
    : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  data_ = std::move(other.data_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

SecretText::~SecretText() {
  wipe();
}

void SecretText::wipe() noexcept {
  if (data_) base::wipe(data_.get(), size_);
}

}  // namespace tokenstore

// ---- src/base/temporary_file.hpp -----------------------------------------------------------------------------

/// A file under a name of its own beside another, until it is given that one's place. One thread.
///
/// It is of mode 0600 from its first moment, whatever the umask, and removed with all that SQLite puts beside it
/// unless it was kept. A process that is killed leaves it: "<path>.new-<16 digits>".


namespace tokenstore::base {

class TemporaryFile {
 public:
  /// Nothing is made yet.
  explicit TemporaryFile(const std::string& beside);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  /// Makes it. 0 or the error's number.
  int create() const noexcept;
  /// Makes what was written to it durable. 0 or the error's number.
  int sync() const noexcept;
  /// Empty if the system had no random octets for it.
  const std::string& path() const noexcept { return names_.back(); }
  /// It has another name now, or is somebody else's.
  void keep() noexcept { kept_ = true; }

 private:
  std::array<std::string, 4> names_;  ///< those that SQLite may put beside it, then its own
  bool kept_ = false;
};

}  // namespace tokenstore::base

// ---- src/base/temporary_file.cpp -----------------------------------------------------------------------------

namespace tokenstore::base {

TemporaryFile::TemporaryFile(const std::string& beside) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return;
  names_.back() = fmt::format("{}.new-{:016x}", beside, random);
  // Here, because whoever removes them may have no memory left.
  constexpr std::array<const char*, 3> suffixes = {"-journal", "-wal", "-shm"};
  for (std::size_t i = 0; i < suffixes.size(); ++i) names_[i] = path() + suffixes[i];
}

TemporaryFile::~TemporaryFile() {
  if (kept_ || path().empty()) return;
  for (const std::string& name : names_) ::unlink(name.c_str());
}

int TemporaryFile::create() const noexcept {
  if (path().empty()) return EIO;
  const File file(::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  return file.is_open() && ::fchmod(file.descriptor(), 0600) == 0 ? 0 : errno;
}

int TemporaryFile::sync() const noexcept {
  const File file(::open(path().c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() && ::fsync(file.descriptor()) == 0 ? 0 : errno;
}

}  // namespace tokenstore::base

// ---- src/base/text_rules.hpp ---------------------------------------------------------------------------------

/// What text may look like: shared by every limit of the model.



namespace tokenstore::base {

/// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms) without control characters (C0,
/// DEL, C1).
bool is_plain_text(std::string_view text) noexcept;
/// Checks a name or description: `what` names it in the error; `min`..`max` octets.
Result<void> check_text(std::string_view what, std::string_view text, std::size_t min, std::size_t max);
/// RFC 6749 section 3.3 scope-token, 1..scope_max octets.
bool is_scope(std::string_view text) noexcept;
/// True if `scope` is one of the words of the canonical (space separated) `scopes`.
bool has_scope(std::string_view scopes, std::string_view scope) noexcept;
/// ASCII-case-insensitive, literal containment.
bool contains_ignoring_ascii_case(std::string_view text, std::string_view part) noexcept;
/// For an error message: what may hold anything, with a question mark for each control character (C0, DEL).
std::string on_one_line(std::string_view text);
/// IPv4 or IPv6 text form, without a zone.
bool is_client_address(std::string_view text) noexcept;

}  // namespace tokenstore::base

// ---- src/base/text_rules.cpp ---------------------------------------------------------------------------------

namespace tokenstore::base {
namespace {

constexpr std::uint8_t octet(char character) noexcept {
  return static_cast<std::uint8_t>(character);
}

/// The size of the well-formed sequence at the front of `text`, or 0. RFC 3629, section 4.
std::size_t sequence_size(std::string_view text) noexcept {
  const std::uint8_t lead = octet(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < size) return 0;
  // The second octet alone decides about overlong forms, surrogates and what lies above U+10FFFF.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (octet(text[1]) < low || octet(text[1]) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (octet(text[i]) < 0x80 || octet(text[i]) > 0xBF) return 0;
  }
  return size;
}

bool starts_with_control(std::string_view sequence) noexcept {
  const std::uint8_t lead = octet(sequence[0]);
  if (lead < 0x20 || lead == 0x7F) return true;
  return lead == 0xC2 && octet(sequence[1]) < 0xA0;  // C1: U+0080..U+009F
}

constexpr char lower_ascii(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool is_plain_text(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = sequence_size(text);
    if (size == 0 || starts_with_control(text)) return false;
    text.remove_prefix(size);
  }
  return true;
}

Result<void> check_text(std::string_view what, std::string_view text, std::size_t min, std::size_t max) {
  if (text.size() < min) {
    if (text.empty()) return Error(Status::invalid_argument, fmt::format("the {} is empty; give one", what));
    return Error(Status::invalid_argument,
                 fmt::format("the {} has {} octets; give at least {}", what, text.size(), min));
  }
  if (text.size() > max) {
    return Error(Status::invalid_argument,
                 fmt::format("the {} has {} octets; give at most {}", what, text.size(), max));
  }
  if (!is_plain_text(text)) {
    return Error(Status::invalid_argument,
                 fmt::format("the {} is not UTF-8 text without control characters; give such text", what));
  }
  return {};
}

bool is_scope(std::string_view text) noexcept {
  if (text.empty() || text.size() > scope_max) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7E && c != '"' && c != '\\'; });
}

bool has_scope(std::string_view scopes, std::string_view scope) noexcept {
  if (scope.empty()) return false;
  // Word by word without library calls: words are few and short, and this is asked on every request.
  for (std::size_t word = 0; word + scope.size() <= scopes.size(); ++word) {
    const std::size_t end = word + scope.size();
    if (scopes[word] == scope[0] && (end == scopes.size() || scopes[end] == ' ') &&
        scopes.substr(word, scope.size()) == scope) {
      // Two neighbours are not one scope with a space in it.
      return scope.find(' ') == std::string_view::npos;
    }
    while (word < scopes.size() && scopes[word] != ' ') ++word;
  }
  return false;
}

bool contains_ignoring_ascii_case(std::string_view text, std::string_view part) noexcept {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower_ascii(a) == lower_ascii(b); }) != text.end() ||
         part.empty();
}

std::string on_one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return line;
}

bool is_client_address(std::string_view text) noexcept {
  std::array<char, client_address_max + 1> name{};
  if (text.empty() || text.size() > client_address_max || text.find('\0') != std::string_view::npos) return false;
  std::copy(text.begin(), text.end(), name.begin());
  std::array<std::uint8_t, sizeof(in6_addr)> address;
  return inet_pton(AF_INET, name.data(), address.data()) == 1 || inet_pton(AF_INET6, name.data(), address.data()) == 1;
}

}  // namespace tokenstore::base

// ---- src/base/declassify.hpp ---------------------------------------------------------------------------------

/// Where a finding about a secret becomes public, as "malformed" or "wrong": nowhere else may the flow
/// of control or an address depend on a secret.
///
/// Nothing happens here in the library. The test of constant time compiles the same sources with
/// TOKENSTORE_MEMCHECK, runs them under valgrind with the secrets marked undefined, and these are the
/// only places where it is told to look away.

#ifdef TOKENSTORE_MEMCHECK
#include <valgrind/memcheck.h>
#endif

namespace tokenstore::base {

inline bool declassify(bool finding) noexcept {
#ifdef TOKENSTORE_MEMCHECK
  (void)VALGRIND_MAKE_MEM_DEFINED(&finding, sizeof(finding));
#endif
  return finding;
}

}  // namespace tokenstore::base

// ---- src/base/wipe.cpp ---------------------------------------------------------------------------------------

namespace tokenstore::base {

bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept {
  if (a.size() != b.size()) return false;
  return declassify(sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

void wipe(void* data, std::size_t size) noexcept {
  if (size > 0) sodium_memzero(data, size);
}

void wipe(std::string& text) noexcept {
  // The whole capacity: a longer text may have been there before. Growing within it never allocates.
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

}  // namespace tokenstore::base

// ---- src/backends/postgres/conninfo.hpp ----------------------------------------------------------------------

/// What has to be known of a connection string before libpq uses it. Functions only; any thread.


namespace tokenstore::postgres {

struct ConninfoFacts {
  /// False: libpq would refuse it, or would take a piece of the password for something that its errors repeat (in a URI
  /// the @ or the / of a password has to be percent-encoded).
  bool well_formed = false;
  bool says_session_attrs = false;  ///< target_session_attrs is given
};

ConninfoFacts facts_of(const std::string& conninfo);

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/conninfo.cpp ----------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

struct FreeConninfo {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

/// Empty if it is not given.
std::string_view value_of(const PQconninfoOption* options, std::string_view keyword) {
  for (const auto* option = options; option->keyword != nullptr; ++option) {
    if (option->keyword == keyword) return option->val != nullptr ? option->val : "";
  }
  return {};
}

/// libpq ends user and password at the first @ or /. A second @ before the parameters means that this one was a part of
/// the password, and the rest of it has become the host, the port or the database.
bool may_split_a_password(std::string_view conninfo) {
  constexpr std::string_view schemes[] = {"postgresql://", "postgres://"};
  const auto* scheme =
      std::find_if(std::begin(schemes), std::end(schemes), [&](auto each) { return conninfo.starts_with(each); });
  if (scheme == std::end(schemes)) return false;
  const std::string_view rest = conninfo.substr(scheme->size());
  const std::size_t first = rest.find_first_of("@/");
  if (first == std::string_view::npos) return false;
  const std::string_view behind = rest.substr(first + 1);
  return behind.substr(0, behind.find('?')).find('@') != std::string_view::npos;
}

/// One for each host, separated by commas; an empty one is the usual one.
bool are_ports(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == ',' || c == ' '; });
}

}  // namespace

ConninfoFacts facts_of(const std::string& conninfo) {
  char* complaint = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeConninfo> given(PQconninfoParse(conninfo.c_str(), &complaint));
  PQfreemem(complaint);  // it would quote a piece of the string
  ConninfoFacts facts;
  if (!given) return facts;
  facts.well_formed = are_ports(value_of(given.get(), "port")) && !may_split_a_password(conninfo);
  facts.says_session_attrs = !value_of(given.get(), "target_session_attrs").empty();
  return facts;
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/doubts.hpp ------------------------------------------------------------------------

/// Commits whose outcome nobody knows yet.
///
/// The server may still be at work on such a commit (waiting for a standby, say) and show the old state
/// meanwhile. Until that is settled, what the commit touched is not read: see Engine::settle().
///
/// Thread-safe.



namespace tokenstore::postgres {

class Doubts {
 public:
  bool any() const noexcept { return any_.load(std::memory_order_acquire); }

  void add(std::string_view workspace, const Mutation& mutation) {
    const std::lock_guard lock(mutex_);
    // First, so that running out of memory below errs on the side of doubt.
    any_.store(true, std::memory_order_release);
    Entry& entry = doubts_[std::string(workspace)];
    ++entry.additions;
    entry.keys.emplace(mutation.kind, mutation.key);
  }

  /// 0: there is no doubt. Else what to hand to settled().
  std::uint64_t about(std::string_view workspace) const {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    return found == doubts_.end() ? 0 : found->second.additions;
  }
  std::uint64_t about(std::string_view workspace, RecordKind kind, std::string_view key) const {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    if (found == doubts_.end()) return 0;
    return found->second.keys.contains({kind, std::string(key)}) ? found->second.additions : 0;
  }

  /// Everything up to then is settled; what was added since is not.
  void settled(std::string_view workspace, std::uint64_t additions) {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    if (found != doubts_.end() && found->second.additions == additions) doubts_.erase(found);
    any_.store(!doubts_.empty(), std::memory_order_release);
  }

 private:
  struct Entry {
    std::uint64_t additions = 0;
    std::set<std::pair<RecordKind, std::string>> keys;
  };

  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> doubts_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/history.hpp -----------------------------------------------------------------------

/// Notices that the server's history has another branch: a standby was promoted that lacked the last
/// commits, or a backup was restored. Revisions then count on from an earlier one, and the feed alone
/// would not tell those who had seen the lost ones.
///
/// Thread-safe.


namespace tokenstore::postgres {

class History {
 public:
  /// Notes that a server of this timeline gave this revision. False: whoever knows the workspace as of
  /// `after` may know a branch that is gone, and has to forget everything.
  bool note(std::string_view workspace, const std::string& timeline, std::uint64_t revision, std::uint64_t after) {
    const std::lock_guard lock(mutex_);
    auto found = branches_.find(workspace);
    if (found == branches_.end()) found = branches_.emplace(std::string(workspace), Branch{timeline, 0, 0}).first;
    Branch& branch = found->second;
    if (branch.timeline != timeline) {
      branch.timeline = timeline;
      branch.doubtful_up_to = std::max(branch.highest, revision);
    }
    branch.highest = std::max(branch.highest, revision);
    return branch.doubtful_up_to == 0 || after > branch.doubtful_up_to;
  }

 private:
  struct Branch {
    std::string timeline;
    std::uint64_t highest;         ///< ever given
    std::uint64_t doubtful_up_to;  ///< revisions up to this one may be of another branch
  };

  std::mutex mutex_;
  std::map<std::string, Branch, std::less<>> branches_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/deadline.hpp ----------------------------------------------------------------------

/// A point in time by which something has to be over.


namespace tokenstore::postgres {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  /// A wait as long as anybody has a use for; keeps the sum within the clock's range.
  static constexpr std::chrono::milliseconds longest = std::chrono::hours(24);

  static Deadline in(std::chrono::milliseconds wait) {
    return Deadline(Clock::now() + std::clamp(wait, std::chrono::milliseconds(0), longest));
  }
  explicit Deadline(Clock::time_point at) noexcept : at_(at) {}

  Clock::time_point at() const noexcept { return at_; }
  bool over() const noexcept { return Clock::now() >= at_; }
  /// Rounded up, so that a wait does not end just before the deadline; 0 when it is over.
  std::chrono::milliseconds left() const noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

 private:
  Clock::time_point at_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/errors.hpp ------------------------------------------------------------------------

/// What the server and libpq say, as the library's errors.




namespace tokenstore::postgres {

/// What became of a call on a connection that did not succeed.
struct Failure {
  enum class Kind : std::uint8_t {
    refused,      ///< the server said no: the transaction is over and changed nothing
    lost,         ///< the connection ended or was ended: nobody knows what the server did last
    timed_out,    ///< the deadline passed; the connection has been given up
    interrupted,  ///< the owner of the connection wants to stop
  };
  Kind kind = Kind::lost;
  std::string state{};  ///< SQLSTATE, if the server gave one
  std::string text{};   ///< one line; never holds a parameter's value

  bool connection_is_usable() const noexcept { return kind == Kind::refused; }
  /// Deadlock or serialisation failure: the same again may succeed.
  bool is_retryable() const noexcept { return state == "40P01" || state == "40001"; }
  /// The server is not the primary any more.
  bool is_read_only_server() const noexcept { return state == "25006"; }
  /// A table, column or function that should be there is not.
  bool is_missing_object() const noexcept;
};

Failure failure_of(const PGresult* result);
/// For a connection that broke.
Failure lost_connection(PGconn* connection);
Failure timed_out();

/// `doing` completes "<doing> failed".
Error error_of(const Failure& failure, std::string_view doing);
/// For a connection that could not be made.
Error connecting_error(const Failure& failure);

/// The first line, without what follows it.
std::string one_line(std::string_view text);

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/socket_table.hpp ------------------------------------------------------------------

/// The sockets of a backend, readable after a fork whatever the parent's threads were doing.
///
/// Thread use: any. A child calls close_all() before it has threads of its own.



namespace tokenstore::postgres {

class SocketTable {
 public:
  static constexpr std::size_t size = 128;

  SocketTable() noexcept {
    for (auto& slot : slots_) slot.store(-1, std::memory_order_relaxed);
  }

  /// The slot it was put in; -1: no room.
  int add(int socket) noexcept {
    for (std::size_t at = 0; at < size; ++at) {
      int empty = -1;
      if (slots_[at].compare_exchange_strong(empty, socket)) return static_cast<int>(at);
    }
    return -1;
  }
  void remove(int slot) noexcept {
    if (slot >= 0) slots_[static_cast<std::size_t>(slot)].store(-1);
  }

  /// In a child: the parent's connections stay open, because a socket lives until its last holder closes it.
  void close_all() noexcept {
    for (auto& slot : slots_) {
      if (const int socket = slot.exchange(-1); socket >= 0) ::close(socket);
    }
  }

 private:
  std::array<std::atomic<int>, size> slots_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/sql.hpp ---------------------------------------------------------------------------

/// Every statement that runs against the tables, by name. Values are bound, never written into the text.


namespace tokenstore::postgres {

enum class Sql : std::uint8_t {
  begin,
  commit,
  rollback,

  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,
  list_tokens_of_owner,
  list_owners,
  list_workspaces,
  count_tokens,
  count_tokens_of_owner,
  count_live,
  list_ended,
  changes,
  watch,

  lock_feed,
  add_feed,
  wait_for_feed,
  token_revisions,
  owner_revisions,
  workspace_revision,
  store_revision,
  insert_token,
  update_token,
  delete_token,
  put_owner,
  put_workspace,
  insert_store,
  update_store,
  add_change,
  set_feed_head,
  note_uses,
  overlong_feeds,
  trim_feed,
  scan_tokens,
  stray_changes,

  notify,  // the one that a server without LISTEN may not know
  count_,
};

inline constexpr std::size_t sql_count = static_cast<std::size_t>(Sql::count_);

const char* sql_text(Sql which) noexcept;

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/wire.hpp --------------------------------------------------------------------------

/// Values to and from PostgreSQL in its binary format: nothing is quoted, escaped or parsed.
///
/// Not synchronised. Params owns a copy of what it is given; Answer owns the rows.




namespace tokenstore::postgres {

/// The parameters $1, $2, ... of a statement, in that order.
class Params {
 public:
  Params& octets(std::string_view value);                        ///< bytea, or text without NUL
  Params& number(std::int64_t value);                            ///< int8
  Params& counter(std::uint64_t value);                          ///< int8 of the same bits
  Params& boolean(bool value);                                   ///< boolean
  Params& octets(std::span<const std::uint8_t> value);           ///< bytea
  Params& all_octets(std::span<const std::string_view> values);  ///< bytea[]
  Params& all_numbers(std::span<const std::int64_t> values);     ///< int8[]

  int size() const noexcept { return static_cast<int>(parts_.size()); }
  /// As libpq wants them. The pointers live as long as this object is not changed.
  std::vector<const char*> values() const;
  std::vector<int> lengths() const;

 private:
  struct Part {
    std::size_t offset;
    std::size_t size;
  };
  void array_header(std::uint32_t element_type, std::size_t count);
  void big_endian(std::uint64_t value, int octets);
  void finish(std::size_t offset) { parts_.push_back({offset, bytes_.size() - offset}); }

  std::string bytes_;
  std::vector<Part> parts_;
};

struct FreeResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, FreeResult>;

/// The rows that a statement gave.
class Answer {
 public:
  Answer() = default;
  explicit Answer(ResultPointer result) : result_(std::move(result)) {}

  int rows() const noexcept { return result_ ? PQntuples(result_.get()) : 0; }
  bool is_null(int row, int column) const noexcept { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view octets(int row, int column) const noexcept;
  /// 0 if the stored value is not eight octets.
  std::int64_t number(int row, int column) const noexcept;
  std::uint64_t counter(int row, int column) const noexcept { return static_cast<std::uint64_t>(number(row, column)); }
  bool boolean(int row, int column) const noexcept;
  /// All zero if the stored value is not of that size; its seal does not verify then.
  template <typename Bytes>
  Bytes bytes(int row, int column) const noexcept {
    Bytes bytes{};
    const std::string_view value = octets(row, column);
    if (value.size() == bytes.size()) std::copy(value.begin(), value.end(), bytes.begin());
    return bytes;
  }
  /// What the server calls it: "COMMIT", "ROLLBACK", "INSERT 0 1".
  std::string_view command() const noexcept { return result_ ? PQcmdStatus(result_.get()) : ""; }

 private:
  ResultPointer result_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/session.hpp -----------------------------------------------------------------------

/// One connection, on which every step ends by a deadline.
///
/// libpq in its non-blocking form, always in pipeline mode: a batch of statements is one round trip.
/// What goes past its deadline leaves a connection in an unknown state, so the connection is closed.
///
/// Thread use: one thread at a time. Ownership: owns the connection; registers its socket in the
/// table it was given, so that a forked child can close what it inherited without a word to the server.




namespace tokenstore::postgres {

/// What every connection of a backend is opened with.
struct Target {
  std::string conninfo;
  std::string schema;
  bool read_only = false;
  std::chrono::milliseconds deadline{5000};
};

/// A statement with its values: one of Sql, or text of its own that is not prepared.
struct Step {
  std::variant<Sql, std::string> statement;
  Params params{};
};

/// What a batch gave: an answer for each step, or the first failure.
struct Reply {
  std::vector<Answer> answers;
  std::optional<Failure> failure;
  bool ok() const noexcept { return !failure; }
};

class Session {
 public:
  struct Opened {
    std::unique_ptr<Session> session;
    std::optional<Failure> failure;
  };
  /// `interrupt`: a file descriptor that ends any wait when it becomes readable; -1: none.
  static Opened open(const Target& target, SocketTable& sockets, Deadline deadline, int interrupt = -1);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Sends all steps at once and waits for all answers. If one fails the rest is skipped by the server.
  Reply run(std::span<const Step> steps, Deadline deadline);
  Reply run(Sql which, Params params, Deadline deadline);
  Reply run(std::string statement, Deadline deadline);

  /// After a failure: may it be used again?
  bool usable() const noexcept { return usable_; }
  /// A warning that came with the last run(). Empty: none.
  const std::string& warning() const noexcept { return warning_; }

  enum class Woken : std::uint8_t { nothing, notified, broken, interrupted };
  /// Waits for a notification.
  Woken wait_for_notification(Deadline deadline);
  /// Takes those that have arrived. True: there was one.
  bool take_notifications() noexcept;

  /// Which history of the server this is: changes when a standby was promoted or a backup restored.
  const std::string& timeline() const noexcept { return timeline_; }
  bool in_recovery() const noexcept { return in_recovery_; }
  std::string parameter(const char* name) const;

 private:
  enum class Waited : std::uint8_t { ready, timed_out, interrupted, broken };

  Session(PGconn* connection, SocketTable& sockets, int interrupt) noexcept;
  std::optional<Failure> connect(Deadline deadline);
  std::optional<Failure> set_up(const Target& target, Deadline deadline);
  bool send(const Step& step);
  std::optional<Failure> receive(std::size_t steps, Reply& reply, Deadline deadline);
  Waited wait(bool for_writing, Deadline deadline) noexcept;
  Failure give_up(Failure failure) noexcept;
  static void on_notice(void* self, const PGresult* notice);

  PGconn* connection_;
  SocketTable& sockets_;
  int interrupt_;
  int slot_ = -1;
  bool usable_ = true;
  bool in_recovery_ = false;
  std::string warning_;
  std::string timeline_;
  std::bitset<sql_count> prepared_;
  std::vector<bool> sent_prepares_;  ///< of the batch under way: whether a step's answer follows that of a prepare
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/listener.hpp ----------------------------------------------------------------------

/// Hears of other hosts' commits, and holds the lease under which the pulse may be trusted.
///
/// With a thread: LISTEN, then ask the server three times per max_staleness; each answer renews the lease,
/// counted from when the question was sent. A notification only moves the pulse sooner. A server
/// without LISTEN is asked all the same. Without a thread, renew() is that question.
///
/// Thread use: pulse() and moved() from any; renew() from one at a time. Ownership: owns its connection.



namespace tokenstore::postgres {

class Listener {
 public:
  Listener(const Target& target, SocketTable& sockets, std::shared_ptr<Clock> clock,
           std::chrono::milliseconds max_staleness, std::uint64_t first_counter);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start_thread();
  bool has_thread() const noexcept { return thread_.joinable(); }

  Pulse pulse() noexcept;
  /// This process has changed something, or may have.
  void moved() noexcept { counter_.fetch_add(1, std::memory_order_acq_rel); }
  /// Asks the server once and renews the lease.
  std::optional<Failure> renew(Deadline deadline);

  std::uint64_t counter() const noexcept { return counter_.load(std::memory_order_acquire); }

 private:
  static constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();

  void listen_until_stopped() noexcept;
  /// Connects if need be, listens, and raises the pulse so that everything is read again.
  std::optional<Failure> attach(Deadline deadline);
  std::optional<Failure> ask(Deadline deadline);
  bool sleep(std::chrono::milliseconds wait) const noexcept;

  const Target& target_;
  SocketTable& sockets_;
  const std::shared_ptr<Clock> clock_;
  const std::chrono::milliseconds max_staleness_;
  std::atomic<std::uint64_t> counter_;
  std::atomic<std::int64_t> trusted_until_{not_at_all};
  std::unique_ptr<Session> session_;
  std::int64_t seen_ = 0;
  int stop_ = -1;  ///< an eventfd
  std::thread thread_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/pool.hpp --------------------------------------------------------------------------

/// Connections for look-ups and commits, opened as they are needed, up to a bound.
///
/// Thread use: any number of threads; a Lease belongs to one. Ownership: the pool owns idle
/// connections, a Lease the one it holds; leases must die before the pool.



namespace tokenstore::postgres {

class Pool {
 public:
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Session> session, bool fresh, std::uint64_t generation) noexcept
        : pool_(&pool), session_(std::move(session)), fresh_(fresh), generation_(generation) {}
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          session_(std::move(other.session_)),
          fresh_(other.fresh_),
          generation_(other.generation_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->give_back(std::move(session_), generation_);
    }
    Session& operator*() const noexcept { return *session_; }
    Session* operator->() const noexcept { return session_.get(); }
    /// Opened for this lease: a failure is not that of a connection that had died while idle.
    bool fresh() const noexcept { return fresh_; }

   private:
    Pool* pool_;
    std::unique_ptr<Session> session_;
    bool fresh_;
    std::uint64_t generation_;
  };

  struct Taken {
    std::optional<Lease> lease;
    std::optional<Failure> failure;
  };

  Pool(const Target& target, SocketTable& sockets, std::size_t most) : target_(target), sockets_(sockets), most_(most) {
    idle_.reserve(most);
  }

  Taken take(Deadline deadline);
  /// Puts an open connection in, if there is room.
  void put(std::unique_ptr<Session> session);
  /// Closes every connection that is idle now, and the others when they come back: their server is gone.
  void retire();

 private:
  void give_back(std::unique_ptr<Session> session, std::uint64_t generation) noexcept;

  const Target& target_;
  SocketTable& sockets_;
  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Session>> idle_;
  std::size_t open_ = 0;  ///< idle, leased, and being opened
  std::uint64_t generation_ = 0;
};

}  // namespace tokenstore::postgres

// ---- src/base/commit_queue.hpp -------------------------------------------------------------------------------

/// Group commit: threads that want to write at the same time share one transaction.
///
/// Whoever finds nobody at work becomes the leader, takes all that waits, and runs it in one go, so that
/// the cost of making it durable is paid once for all of them. The others sleep until theirs is done, or until
/// they are first in the queue and lead.
///
/// Thread use: submit() from any number of threads; the work itself runs in one thread at a time.
/// Ownership: tickets stay the caller's; the queue holds pointers to them only until submit() returns.
/// Nothing here allocates.



namespace tokenstore::base {

/// What one thread sleeps on until another wakes it, once. A semaphore, because whoever wakes neither holds nor needs a
/// lock that the sleeper then waits for, as with a condition variable. It may end as soon as its sleeper is awake, even
/// if ring() has not returned: POSIX lets a semaphore be destroyed once nobody is blocked on it (sem_destroy(3p)), and
/// glibc's sem_post() does not touch it after the wake-up.
class Bell {
 public:
  Bell() noexcept { ::sem_init(&semaphore_, 0, 0); }
  ~Bell() { ::sem_destroy(&semaphore_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  void ring() noexcept { ::sem_post(&semaphore_); }
  void wait() noexcept {
    while (::sem_wait(&semaphore_) != 0) {  // a signal
    }
  }

 private:
  ::sem_t semaphore_;
};

template <typename Ticket>
class CommitQueue {
 public:
  /// The most tickets that one leader takes: a bound on how long the first of them waits.
  static constexpr std::size_t group_max = 256;
  /// How long a leader waits at most for those who were there a moment ago and are about to come back.
  static constexpr std::chrono::microseconds gather_max{500};

  /// Returns when `ticket` has been through `work(std::span<Ticket* const>)`, which must not throw.
  template <typename Work>
  void submit(Ticket& ticket, Work&& work) {
    Waiter self{&ticket};
    if (!joins_a_leader(self)) return lead(work);
    self.bell.wait();
    if (self.leads) lead(work);
  }

 private:
  struct Waiter {
    Ticket* ticket;
    bool leads = false;  ///< woken to lead, not because its ticket is done
    Waiter* next = nullptr;
    Bell bell{};
  };

  /// False: nobody is at work, and the caller, alone in the queue, leads.
  bool joins_a_leader(Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    (last_ == nullptr ? first_ : last_->next) = &waiter;
    last_ = &waiter;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    return std::exchange(busy_, true);
  }

  /// By whoever is first in the queue.
  template <typename Work>
  void lead(Work& work) {
    gather();
    std::array<Waiter*, group_max> group;
    std::array<Ticket*, group_max> tickets;
    std::size_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      for (; count < group_max && first_ != nullptr; ++count) {
        group[count] = first_;
        tickets[count] = first_->ticket;
        first_ = first_->next;
      }
      if (first_ == nullptr) last_ = nullptr;
      waiting_.fetch_sub(count, std::memory_order_relaxed);
    }
    const auto started = std::chrono::steady_clock::now();
    work(std::span<Ticket* const>(tickets.data(), count));
    const auto took = std::chrono::steady_clock::now() - started;
    Waiter* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      expected_ = count + waiting_.load(std::memory_order_relaxed);
      patience_ = std::min<std::chrono::steady_clock::duration>(took, gather_max);
      next = first_;
      busy_ = next != nullptr;
    }
    if (next != nullptr) {
      next->leads = true;
      next->bell.ring();
    }
    for (std::size_t i = 1; i < count; ++i) group[i]->bell.ring();
  }

  // Without this, the threads that just woke up would find a leader gone off with those who had been waiting, and
  // there would be two groups in turns, half as large as they could be. Waiting costs no more than it can save:
  // as long as the last group took.
  void gather() {
    const std::size_t expected = expected_;
    if (expected < 2 || waiting_.load(std::memory_order_relaxed) >= expected) return;
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    while (waiting_.load(std::memory_order_relaxed) < expected && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
  }

  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::atomic<std::size_t> waiting_{0};
  // The leader's alone, handed on with the lead.
  std::size_t expected_ = 0;  ///< who was in the last group or waited behind it
  std::chrono::steady_clock::duration patience_{};
  bool busy_ = false;
};

}  // namespace tokenstore::base

// ---- include/tokenstore/backends/postgres.hpp ----------------------------------------------------------------

/// PostgreSQL, for a store that several machines share. Link tokenstore::postgres; docs/postgres.md.



namespace tokenstore {

struct PostgresOptions {
  /// As libpq takes it: "host=db1,db2 dbname=app user=app sslmode=verify-full", or a postgresql:// URI.
  /// target_session_attrs=read-write is added if it says nothing about it.
  std::string conninfo{};
  /// The schema that holds the tables: [a-z_][a-z0-9_]*, at most 40 octets. Several stores can share a
  /// database in schemas of their own.
  std::string schema = "tokenstore";
  bool create = true;      ///< create or migrate the tables if need be; false: they must be there
  bool read_only = false;  ///< every write answers `read_only`. Still reads from the primary.

  /// How long after another host's change this one may still answer from its cache. 0 asks the server
  /// on every call.
  std::chrono::milliseconds max_staleness{1000};
  /// Listen for changes in a thread of the backend's own: making such a backend is asking for one
  /// thread. Without it, maintain() asks the server instead, and between two calls that are further
  /// apart than max_staleness every validation reads through. Not started if max_staleness is 0.
  bool listener_thread = true;

  /// Every call returns within this, whatever the server and the network do.
  std::chrono::milliseconds deadline{5000};
  /// The most connections besides the listener's, which are opened as they are needed.
  std::size_t pool_size = 8;

  std::shared_ptr<Clock> clock{};  ///< of the leases; the same as the store's. Null: the system's.
};

/// Connects, and creates or migrates the tables if need be. `cannot_open`: not to be reached, no rights,
/// or settings that do not fit. `not_a_store`: the schema is damaged or somebody else's.
Result<std::shared_ptr<Backend>> postgres_backend(const PostgresOptions& options);

}  // namespace tokenstore

// ---- src/backends/postgres/engine.hpp ------------------------------------------------------------------------

/// Everything that a connected backend consists of in one process: pool, listener, commit queues.
///
/// Thread use: any number of threads. Ownership: owns all its connections and the listener's thread. An
/// engine belongs to the process that made it: a forked child leaves it alone and makes its own.



namespace tokenstore::postgres {

/// One caller's batch on its way through the queue.
struct CommitTicket {
  std::string_view workspace;
  std::span<const Mutation> batch;
  const Announcement* announcement;
  Deadline deadline;
  CommitResult result{};
};

class Engine {
 public:
  /// Connects and prepares the schema.
  static Result<std::unique_ptr<Engine>> open(const PostgresOptions& options, std::uint64_t first_counter);
  Engine(const PostgresOptions& options, std::uint64_t first_counter);

  using Action = std::function<std::optional<Failure>(Session& session, Deadline deadline)>;
  /// Runs something that may be run twice: once more on a new connection if the first had died while idle
  /// or its server is no primary any more, and again after a deadlock.
  std::optional<Failure> repeatable(Deadline deadline, const Action& action);
  /// One statement that only reads.
  std::optional<Failure> query(Sql which, const Params& params, Deadline deadline, Answer& answer);

  /// Before reading what a commit of unknown outcome touched: waits until the server is done with it.
  std::optional<Failure> settle(std::string_view workspace, std::uint64_t doubt, Deadline deadline);

  /// For a backend without the listener's thread.
  std::optional<Failure> renew_lease(Deadline deadline) {
    const std::lock_guard lock(renewing_);
    return listener.renew(deadline);
  }

  /// In the queue of its workspace, together with others that come at the same time.
  void commit(CommitTicket& ticket);

  /// In a child, which has no other thread yet.
  void abandon() noexcept { sockets.close_all(); }

  const Target target;
  Doubts doubts;
  History history;
  SocketTable sockets;
  Pool pool;
  Listener listener;

 private:
  /// Workspaces in different queues do not wait for each other.
  static constexpr std::size_t queue_count = 8;
  std::mutex renewing_;
  std::array<base::CommitQueue<CommitTicket>, queue_count> queues_;
};

/// Runs a group of batches in one transaction. Never throws.
void commit_group(Engine& engine, std::span<CommitTicket* const> group) noexcept;

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/schema.hpp ------------------------------------------------------------------------

/// The tables: created and migrated in one transaction, and refused if they are not what they should be.


namespace tokenstore::postgres {

inline constexpr std::int64_t schema_version = 1;
/// The feed keeps this many revisions of each workspace; whoever is further behind forgets everything.
inline constexpr std::int64_t feed_revisions = 4'000;
/// A trim is worth its while when so many more have gathered.
inline constexpr std::int64_t feed_slack = 500;
/// The most changed records that one answer names.
inline constexpr std::int64_t feed_entries_max = 5'000;

bool is_schema_name(std::string_view name) noexcept;
/// The channel on which commits to a schema are announced.
std::string channel_of(const std::string& schema);

/// Checks encoding, identity, version and tables; creates what is missing altogether if `create`.
Result<void> prepare_schema(Session& session, const Target& target, bool create, Deadline deadline);

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/engine.cpp ------------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

constexpr int most_read_attempts = 4;

}  // namespace

Engine::Engine(const PostgresOptions& options, std::uint64_t first_counter)
    : target{options.conninfo, options.schema, options.read_only, options.deadline},
      pool(target, sockets, options.pool_size),
      listener(target, sockets, options.clock ? options.clock : system_clock(), options.max_staleness, first_counter) {}

Result<std::unique_ptr<Engine>> Engine::open(const PostgresOptions& options, std::uint64_t first_counter) {
  auto engine = std::make_unique<Engine>(options, first_counter);
  const Deadline deadline = Deadline::in(options.deadline);
  Session::Opened opened = Session::open(engine->target, engine->sockets, deadline);
  if (!opened.session) return connecting_error(*opened.failure);
  if (const Result<void> ready = prepare_schema(*opened.session, engine->target, options.create, deadline); !ready) {
    return ready.error();
  }
  engine->pool.put(std::move(opened.session));
  if (options.listener_thread && options.max_staleness.count() > 0) engine->listener.start_thread();
  return engine;
}

std::optional<Failure> Engine::repeatable(Deadline deadline, const Action& action) {
  for (int attempt = 1;; ++attempt) {
    Pool::Taken taken = pool.take(deadline);
    if (!taken.lease) return taken.failure;
    Session& session = **taken.lease;
    std::optional<Failure> failure = action(session, deadline);
    if (!failure || attempt >= most_read_attempts || deadline.over()) return failure;
    if (failure->is_read_only_server() && !target.read_only) {
      pool.retire();
      continue;
    }
    if (failure->is_retryable()) continue;
    if (failure->kind == Failure::Kind::lost && !taken.lease->fresh()) {
      pool.retire();  // the others have most likely died of the same
      continue;
    }
    return failure;
  }
}

std::optional<Failure> Engine::query(Sql which, const Params& params, Deadline deadline, Answer& answer) {
  return repeatable(deadline, [&](Session& session, Deadline by) -> std::optional<Failure> {
    Reply reply = session.run(which, params, by);
    if (!reply.ok()) return reply.failure;
    answer = std::move(reply.answers[0]);
    return std::nullopt;
  });
}

std::optional<Failure> Engine::settle(std::string_view workspace, std::uint64_t doubt, Deadline deadline) {
  std::vector<Step> steps(3);
  steps[0].statement = Sql::begin;
  steps[1].statement = Sql::wait_for_feed;
  steps[1].params.octets(workspace);
  steps[2].statement = Sql::rollback;
  auto failure = repeatable(deadline, [&](Session& session, Deadline by) {
    Reply reply = session.run(steps, by);
    if (!reply.ok() && session.usable()) session.run(Sql::rollback, {}, by);
    return reply.failure;
  });
  if (failure) {
    failure->text = "the outcome of an earlier change is still open: " + failure->text;
    return failure;
  }
  doubts.settled(workspace, doubt);
  return std::nullopt;
}

void Engine::commit(CommitTicket& ticket) {
  const std::size_t at = std::hash<std::string_view>{}(ticket.workspace) % queue_count;
  queues_[at].submit(ticket, [this](std::span<CommitTicket* const> group) { commit_group(*this, group); });
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/errors.cpp ------------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : std::string(text);
}

bool in_class(const std::string& state, std::string_view code_class) noexcept {
  return state.size() == 5 && std::string_view(state).substr(0, 2) == code_class;
}

}  // namespace

bool Failure::is_missing_object() const noexcept {
  return state == "42P01" || state == "42703" || state == "42883" || state == "3F000" || state == "42804";
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  constexpr std::size_t longest = 300;
  if (line.size() > longest) line.resize(longest);
  return line;
}

Failure failure_of(const PGresult* result) {
  Failure failure;
  failure.state = field(result, PG_DIAG_SQLSTATE);
  // The primary message alone: the detail may quote values.
  failure.text = one_line(field(result, PG_DIAG_MESSAGE_PRIMARY));
  const std::string severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  failure.kind = severity == "ERROR" ? Failure::Kind::refused : Failure::Kind::lost;
  if (failure.text.empty()) failure.text = "the connection was lost";
  return failure;
}

Failure lost_connection(PGconn* connection) {
  Failure failure;
  failure.text = connection != nullptr ? one_line(PQerrorMessage(connection)) : std::string();
  if (failure.text.empty()) failure.text = "the connection was lost";
  return failure;
}

Failure timed_out() {
  return {Failure::Kind::timed_out, {}, "the server did not answer before the deadline"};
}

Error error_of(const Failure& failure, std::string_view doing) {
  const std::string text = fmt::format("{} failed: {}", doing, failure.text);
  if (failure.kind == Failure::Kind::refused) {
    if (failure.state == "53100") return Error(Status::storage_full, text);
    if (failure.is_read_only_server()) return Error(Status::read_only, text);
    if (failure.state == "42501") {
      return Error(Status::unavailable, text + "; grant the role its rights on the schema");
    }
    if (failure.is_missing_object()) return Error(Status::not_a_store, text + "; the schema is damaged");
  }
  return Error(Status::unavailable, text);
}

Error connecting_error(const Failure& failure) {
  if (failure.kind == Failure::Kind::timed_out || failure.kind == Failure::Kind::interrupted ||
      in_class(failure.state, "57") || in_class(failure.state, "53") || in_class(failure.state, "08")) {
    return Error(Status::unavailable, fmt::format("cannot connect to PostgreSQL: {}", failure.text));
  }
  return Error(
      Status::cannot_open,
      fmt::format("cannot connect to PostgreSQL: {}; check the connection string and the server", failure.text));
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/listener.cpp ----------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

constexpr std::chrono::milliseconds shortest_interval{10};
constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{500};

/// The host's signal handlers do not run in our thread.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Listener::Listener(const Target& target, SocketTable& sockets, std::shared_ptr<Clock> clock,
                   std::chrono::milliseconds max_staleness, std::uint64_t first_counter)
    : target_(target),
      sockets_(sockets),
      clock_(std::move(clock)),
      max_staleness_(max_staleness),
      counter_(first_counter) {}

Listener::~Listener() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    while (::write(stop_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  session_.reset();
  if (stop_ >= 0) ::close(stop_);
}

void Listener::start_thread() {
  stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_ < 0) throw std::bad_alloc();
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { listen_until_stopped(); });
  } catch (const std::system_error&) {
    throw std::bad_alloc();
  }
}

Pulse Listener::pulse() noexcept {
  if (max_staleness_.count() <= 0) return {counter_.fetch_add(1, std::memory_order_acq_rel) + 1, not_at_all};
  // The lease first: who sees a renewed one sees the counter that goes with it, or a later one.
  const std::int64_t until = trusted_until_.load(std::memory_order_acquire);
  return {counter(), until};
}

std::optional<Failure> Listener::attach(Deadline deadline) {
  if (session_ && session_->usable()) return std::nullopt;
  session_.reset();
  Session::Opened opened = Session::open(target_, sockets_, deadline, stop_);
  if (!opened.session) return opened.failure;
  session_ = std::move(opened.session);
  const Reply reply = session_->run("LISTEN \"" + channel_of(target_.schema) + '"', deadline);
  // A server that has no LISTEN says so; it is asked often enough all the same.
  if (!reply.ok() && reply.failure->kind != Failure::Kind::refused) return reply.failure;
  // Whatever was missed, everybody reads the feed again before anything is answered from a cache.
  moved();
  return std::nullopt;
}

std::optional<Failure> Listener::ask(Deadline deadline) {
  const std::int64_t sent = clock_->monotonic();
  const Reply reply = session_->run(Sql::watch, {}, deadline);
  if (!reply.ok()) return reply.failure;
  const std::int64_t seen = reply.answers[0].number(0, 0);
  if (seen != seen_) moved();
  seen_ = seen;
  if (session_->take_notifications()) moved();
  // A standby may be behind its primary by any time, so what it says is no reason to trust anything.
  if (!session_->in_recovery()) trusted_until_.store(sent + max_staleness_.count(), std::memory_order_release);
  return std::nullopt;
}

std::optional<Failure> Listener::renew(Deadline deadline) {
  if (max_staleness_.count() <= 0) return std::nullopt;
  if (auto failure = attach(deadline)) return failure;
  return ask(deadline);
}

bool Listener::sleep(std::chrono::milliseconds wait) const noexcept {
  pollfd stop{stop_, POLLIN, 0};
  return poll(&stop, 1, static_cast<int>(wait.count())) == 0;
}

void Listener::listen_until_stopped() noexcept {
  const auto interval = std::max(max_staleness_ / 3, shortest_interval);
  auto pause = first_pause;
  for (;;) {
    try {
      std::optional<Failure> failure = renew(Deadline::in(target_.deadline));
      const Deadline next = Deadline::in(interval);
      while (!failure && !next.over()) {
        switch (session_->wait_for_notification(next)) {
          case Session::Woken::notified:
            moved();
            break;
          case Session::Woken::nothing:
            break;
          case Session::Woken::interrupted:
            return;
          case Session::Woken::broken:
            failure = lost_connection(nullptr);
        }
      }
      if (!failure) {
        pause = first_pause;
        continue;
      }
      if (failure->kind == Failure::Kind::interrupted) return;
    } catch (const std::bad_alloc&) {
      // The lease ends by itself; try again.
    }
    if (!sleep(pause)) return;
    pause = std::min(pause * 2, longest_pause);
  }
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/postgres_backend.hpp --------------------------------------------------------------

/// The Backend over a PostgreSQL database.
///
/// Every method goes through enter(), which notices a fork: a child leaves the inherited connections alone
/// and makes its own.



namespace tokenstore::postgres {

class PostgresBackend final : public Backend {
 public:
  PostgresBackend(PostgresOptions options, std::unique_ptr<Engine> engine);
  ~PostgresBackend() override;

  std::string_view name() const noexcept override { return "postgres"; }
  bool read_only() const noexcept override { return options_.read_only; }

  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override;
  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override;
  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override;
  Result<std::optional<StoreRecord>> load_store() override;
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override;
  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override;
  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override;
  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override;
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override;
  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override;
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override;
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override;
  Pulse pulse() noexcept override;
  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override;
  Result<bool> maintain(std::chrono::milliseconds budget) override;
  Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) override;

 private:
  /// The engine of this process. An error: a child could not make one.
  Result<Engine*> enter();
  Result<Engine*> adopt();
  /// Runs a query on the workspace, after settling any doubt about it.
  Result<Answer> ask(std::string_view workspace, Sql which, const Params& params, std::string_view doing);
  Result<Answer> ask_about(std::string_view workspace, RecordKind kind, std::string_view key, Sql which,
                           const Params& params, std::string_view doing);
  Result<Answer> ask(Engine& engine, std::string_view workspace, std::uint64_t doubt, Sql which, const Params& params,
                     std::string_view doing, Deadline deadline);

  const PostgresOptions options_;
  base::ForkGuard guard_;
  std::atomic<Engine*> engine_;
};

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/schema_objects.hpp ----------------------------------------------------------------

/// Everything about our tables that could keep a write from happening, or from being found: compared with how they were
/// made, to the letter. Other tables and views in the schema are the host's own matter.



namespace tokenstore::postgres {

inline constexpr std::string_view table_names[] = {"about", "store", "workspace", "owner", "token", "feed", "change"};

struct Misfits {
  std::optional<Failure> failure;
  /// What the schema has and should not have, or lacks. None: all is as it was made.
  std::vector<std::string> lines;
};
Misfits misfitting_objects(Session& session, const Target& target, Deadline deadline);

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/maintenance.cpp -------------------------------------------------------------------

// Last uses, housekeeping, and the storage's own check.



namespace tokenstore::postgres {
namespace {

constexpr std::size_t uses_slice = 1'000;
constexpr std::int64_t trim_slice = 1'000;
constexpr std::int64_t scan_slice = 5'000;

/// The newest use of each token, in order of id.
std::map<std::string_view, const Use*> newest_of(std::span<const Use> uses) {
  std::map<std::string_view, const Use*> newest;
  for (const Use& use : uses) {
    const Use*& kept = newest[use.id];
    if (kept == nullptr || kept->used_at < use.used_at) kept = &use;
  }
  return newest;
}

}  // namespace

Result<void> PostgresBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  if (options_.read_only) return Error(Status::read_only, "the store was opened read-only; nothing was changed");
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  while (!uses.empty()) {
    const std::span<const Use> slice = uses.first(std::min(uses.size(), uses_slice));
    uses = uses.subspan(slice.size());
    std::vector<std::string_view> ids;
    std::vector<std::string_view> from;
    std::vector<std::int64_t> at;
    for (const auto& [id, use] : newest_of(slice)) {
      ids.push_back(id);
      at.push_back(use->used_at);
      from.push_back(use->used_from);
    }
    Params params;
    params.octets(workspace).all_octets(ids).all_numbers(at).all_octets(from);
    Answer ignored;
    if (auto failure = (*engine)->query(Sql::note_uses, params, deadline, ignored)) {
      return error_of(*failure, "writing last uses");
    }
  }
  return {};
}

Result<bool> PostgresBackend::maintain(std::chrono::milliseconds budget) {
  const Deadline call = Deadline::in(options_.deadline);
  const Deadline wanted = Deadline::in(budget);
  const Result<Engine*> entered = enter();
  if (!entered) return entered.error();
  Engine& engine = **entered;
  if (!engine.listener.has_thread()) {
    if (auto failure = engine.renew_lease(call)) return error_of(*failure, "asking for changes");
  }
  if (options_.read_only) return false;
  Params longer_than;
  longer_than.number(feed_revisions + feed_slack);
  Answer feeds;
  if (auto failure = engine.query(Sql::overlong_feeds, longer_than, call, feeds)) {
    return error_of(*failure, "tidying up");
  }
  for (int row = 0; row < feeds.rows(); ++row) {
    const std::int64_t target = feeds.number(row, 1) - feed_revisions;
    // In steps, each of which holds the workspace's row briefly.
    for (std::int64_t from = feeds.number(row, 2); from < target;) {
      if (wanted.over() || call.over()) return true;
      from = std::min(from + trim_slice, target);
      Params params;
      params.octets(feeds.octets(row, 0)).number(from);
      Answer ignored;
      if (auto failure = engine.query(Sql::trim_feed, params, call, ignored)) return error_of(*failure, "tidying up");
    }
  }
  return false;
}

Result<std::vector<std::string>> PostgresBackend::check_integrity(std::size_t most, const Progress& progress) {
  const Result<Engine*> entered = enter();
  if (!entered) return entered.error();
  Engine& engine = **entered;
  std::vector<std::string> problems;
  const auto note = [&](std::string problem) {
    if (problems.size() < most) problems.push_back(std::move(problem));
  };
  // Damage is what was asked about; any other failure ends the check.
  const auto is_damage = [](const Failure& failure) { return failure.state.starts_with("XX"); };
  const auto deadline = [this] { return Deadline::in(options_.deadline); };

  Answer stray;
  if (auto failure = engine.query(Sql::stray_changes, {}, deadline(), stray)) {
    if (!is_damage(*failure)) return error_of(*failure, "checking integrity");
    note("the change feed cannot be read: " + failure->text);
  } else if (stray.number(0, 0) != 0) {
    note(fmt::format("the change feed of {} workspaces is ahead of its revision", stray.number(0, 0)));
  }

  const auto compare = [&](Session& session, Deadline by) {
    Misfits misfits = misfitting_objects(session, engine.target, by);
    for (const std::string& line : misfits.lines) note(fmt::format("the schema '{}' {}", engine.target.schema, line));
    return std::move(misfits.failure);
  };
  if (auto failure = engine.repeatable(deadline(), compare)) return error_of(*failure, "checking integrity");

  std::string workspace;
  std::string id;
  std::uint64_t done = 0;
  for (;;) {
    if (progress && !progress(done, 0)) return problems;
    Params params;
    params.octets(workspace).octets(id).number(scan_slice);
    Answer slice;
    if (auto failure = engine.query(Sql::scan_tokens, params, deadline(), slice)) {
      if (!is_damage(*failure)) return error_of(*failure, "checking integrity");
      note(fmt::format("the tokens after the first {} cannot be read: {}", done, failure->text));
      return problems;
    }
    if (slice.rows() == 0) return problems;
    workspace = slice.octets(0, 0);
    id = slice.octets(0, 1);
    done += slice.counter(0, 2);
    if (slice.number(0, 2) < scan_slice) return problems;
  }
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/pool.cpp --------------------------------------------------------------------------

namespace tokenstore::postgres {

Pool::Taken Pool::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!idle_.empty()) {
      std::unique_ptr<Session> session = std::move(idle_.back());
      idle_.pop_back();
      return {Lease(*this, std::move(session), false, generation_), std::nullopt};
    }
    if (open_ < most_) {
      ++open_;
      const std::uint64_t generation = generation_;
      lock.unlock();
      Session::Opened opened;
      try {
        opened = Session::open(target_, sockets_, deadline);
      } catch (...) {
        give_back(nullptr, generation);
        throw;
      }
      if (opened.session) return {Lease(*this, std::move(opened.session), true, generation), std::nullopt};
      lock.lock();
      --open_;
      returned_.notify_one();
      // If the server has no connection left for us, one of our own will be free soon; if it is gone, the
      // others find out as well, and the last of them says so.
      if (open_ == 0 || deadline.over() || opened.failure->kind == Failure::Kind::timed_out) {
        return {std::nullopt, std::move(opened.failure)};
      }
    }
    // One that came back while we were connecting has already been announced: nobody announces it again.
    if (idle_.empty() && returned_.wait_until(lock, deadline.at()) == std::cv_status::timeout && idle_.empty()) {
      return {std::nullopt, Failure{Failure::Kind::timed_out, {}, "every connection was busy until the deadline"}};
    }
  }
}

void Pool::put(std::unique_ptr<Session> session) {
  const std::lock_guard lock(mutex_);
  if (open_ >= most_) return;  // the caller's argument outlives the lock
  ++open_;
  idle_.push_back(std::move(session));
}

void Pool::give_back(std::unique_ptr<Session> session, std::uint64_t generation) noexcept {
  // What is not kept is closed first, without the lock: a farewell to the server may take its time, and until it has
  // been said the connection counts.
  if (session && !session->usable()) session.reset();
  std::unique_lock lock(mutex_);
  if (session && generation != generation_) {
    lock.unlock();
    session.reset();
    lock.lock();
  }
  if (session) {
    idle_.push_back(std::move(session));  // room was reserved
  } else {
    --open_;
  }
  returned_.notify_one();
}

void Pool::retire() {
  std::vector<std::unique_ptr<Session>> retired;
  retired.reserve(most_);
  const std::lock_guard lock(mutex_);  // let go of before they are closed
  ++generation_;
  open_ -= idle_.size();
  retired.swap(idle_);
  returned_.notify_all();
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/postgres_backend.cpp --------------------------------------------------------------

namespace tokenstore {
namespace postgres {

PostgresBackend::PostgresBackend(PostgresOptions options, std::unique_ptr<Engine> engine)
    : options_(std::move(options)), engine_(engine.release()) {}

PostgresBackend::~PostgresBackend() {
  Engine* engine = engine_.load();
  if (guard_.forked()) {
    // Its thread and locks are the parent's: it can be left, not destroyed.
    engine->abandon();
  } else {
    delete engine;
  }
}

Result<Engine*> PostgresBackend::enter() {
  if (guard_.forked()) return adopt();
  return engine_.load(std::memory_order_acquire);
}

Result<Engine*> PostgresBackend::adopt() {
  std::optional<Error> error;
  guard_.adopt([&] {
    // The inherited engine is leaked: its mutexes may be held by threads that do not exist here.
    Engine* inherited = engine_.load();
    inherited->abandon();
    Result<std::unique_ptr<Engine>> made = Engine::open(options_, inherited->listener.counter() + 1);
    if (made) engine_.store(made->release());
    if (!made) error = made.error();
    return !error;
  });
  if (error) return *error;
  return engine_.load(std::memory_order_acquire);
}

Pulse PostgresBackend::pulse() noexcept {
  Pulse pulse = engine_.load(std::memory_order_acquire)->listener.pulse();
  // A child has no listener until its first look-up.
  if (guard_.forked()) pulse.trusted_until = std::numeric_limits<std::int64_t>::min();
  return pulse;
}

CommitResult PostgresBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                     const Announcement* announcement) {
  if (options_.read_only) {
    return {CommitOutcome::failed, 0, Error(Status::read_only, "the store was opened read-only; nothing was changed")};
  }
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return {CommitOutcome::failed, 0, engine.error()};
  CommitTicket ticket{workspace, batch, announcement, deadline};
  (*engine)->commit(ticket);
  return ticket.result;
}

}  // namespace postgres

Result<std::shared_ptr<Backend>> postgres_backend(const PostgresOptions& options) {
  if (!postgres::is_schema_name(options.schema)) {
    return Error(Status::invalid_argument,
                 "the schema's name must be 1 to 40 of a-z, 0-9 and _, and not begin with a digit");
  }
  if (options.deadline.count() <= 0) return Error(Status::invalid_argument, "the deadline must be longer than 0");
  if (options.max_staleness.count() < 0) return Error(Status::invalid_argument, "max_staleness must not be negative");
  if (options.deadline > postgres::Deadline::longest || options.max_staleness > postgres::Deadline::longest) {
    return Error(Status::invalid_argument, "the deadline and max_staleness must be at most a day");
  }
  if (options.pool_size == 0 || options.pool_size > 100) {
    return Error(Status::invalid_argument, "the size of the pool must be 1 to 100");
  }
  Result<std::unique_ptr<postgres::Engine>> engine = postgres::Engine::open(options, 1);
  if (!engine) return engine.error();
  return std::shared_ptr<Backend>(std::make_shared<postgres::PostgresBackend>(options, std::move(*engine)));
}

}  // namespace tokenstore

// ---- src/backends/postgres/records.hpp -----------------------------------------------------------------------

/// Records to and from rows, in the order of the columns in sql.cpp.
///
/// A stored value of the wrong size is not an error here: it reads as something that the seal above
/// does not cover, so that the record is found to be tampered with.


namespace tokenstore::postgres {

TokenRecord read_token(const Answer& answer, int row);
OwnerRecord read_owner(const Answer& answer, int row);
WorkspaceRecord read_workspace(const Answer& answer, int row);
StoreRecord read_store(const Answer& answer, int row);

/// For insert_token.
Params new_token(std::string_view workspace, const TokenRecord& token);
/// For update_token: without the last use.
Params changed_token(std::string_view workspace, const TokenRecord& token);
Params owner_row(std::string_view workspace, const OwnerRecord& owner);
Params workspace_row(const WorkspaceRecord& workspace);
Params store_row(const StoreRecord& store);

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/reads.cpp -------------------------------------------------------------------------

// Look-ups, lists and the change feed.


namespace tokenstore::postgres {
namespace {

/// No id is above this: ids have 16 octets.
const std::string& above_every_id() {
  static const std::string bound(64, '\xff');
  return bound;
}

std::int64_t row_limit(std::size_t limit) noexcept {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max() - 1);
  return static_cast<std::int64_t>(std::min(limit, most));
}

TokenQuery::State state_at(const TokenRecord& token, UnixMillis now) noexcept {
  if (token.revoked_at != std::numeric_limits<UnixMillis>::max()) return TokenQuery::State::revoked;
  if (token.expired_at != std::numeric_limits<UnixMillis>::max() || token.expires_at <= now) {
    return TokenQuery::State::expired;
  }
  if (token.not_before > now) return TokenQuery::State::pending;
  return TokenQuery::State::active;
}

bool matches(const TokenRecord& token, const TokenQuery& query) {
  if (query.state != TokenQuery::State::any && state_at(token, query.now) != query.state) return false;
  return query.text.empty() || base::contains_ignoring_ascii_case(token.description, query.text);
}

}  // namespace

Result<Answer> PostgresBackend::ask(Engine& engine, std::string_view workspace, std::uint64_t doubt, Sql which,
                                    const Params& params, std::string_view doing, Deadline deadline) {
  if (doubt != 0) {
    if (auto failure = engine.settle(workspace, doubt, deadline)) return error_of(*failure, doing);
  }
  Answer answer;
  if (auto failure = engine.query(which, params, deadline, answer)) return error_of(*failure, doing);
  return answer;
}

Result<Answer> PostgresBackend::ask(std::string_view workspace, Sql which, const Params& params,
                                    std::string_view doing) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  const std::uint64_t doubt = (*engine)->doubts.any() ? (*engine)->doubts.about(workspace) : 0;
  return ask(**engine, workspace, doubt, which, params, doing, deadline);
}

Result<Answer> PostgresBackend::ask_about(std::string_view workspace, RecordKind kind, std::string_view key, Sql which,
                                          const Params& params, std::string_view doing) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  const std::uint64_t doubt = (*engine)->doubts.any() ? (*engine)->doubts.about(workspace, kind, key) : 0;
  return ask(**engine, workspace, doubt, which, params, doing, deadline);
}

Result<std::optional<TokenRecord>> PostgresBackend::load_token(std::string_view workspace, std::string_view id) {
  Params params;
  params.octets(workspace).octets(id);
  const Result<Answer> answer = ask_about(workspace, RecordKind::token, id, Sql::load_token, params, "reading a token");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<TokenRecord>();
  return std::optional<TokenRecord>(read_token(*answer, 0));
}

Result<std::optional<OwnerRecord>> PostgresBackend::load_owner(std::string_view workspace, std::string_view owner) {
  Params params;
  params.octets(workspace).octets(owner);
  const Result<Answer> answer =
      ask_about(workspace, RecordKind::owner, owner, Sql::load_owner, params, "reading an owner");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<OwnerRecord>();
  return std::optional<OwnerRecord>(read_owner(*answer, 0));
}

Result<std::optional<WorkspaceRecord>> PostgresBackend::load_workspace(std::string_view workspace) {
  Params params;
  params.octets(workspace);
  const Result<Answer> answer =
      ask_about(workspace, RecordKind::workspace, workspace, Sql::load_workspace, params, "reading a workspace");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<WorkspaceRecord>();
  return std::optional<WorkspaceRecord>(read_workspace(*answer, 0));
}

Result<std::optional<StoreRecord>> PostgresBackend::load_store() {
  const Result<Answer> answer = ask({}, Sql::load_store, {}, "reading the store's record");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<StoreRecord>();
  return std::optional<StoreRecord>(read_store(*answer, 0));
}

Result<TokenList> PostgresBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  constexpr std::size_t largest_slice = 1'000;
  TokenList list;
  if (query.limit == 0 || query.scan_limit == 0) return list;
  std::string before = query.before_id.empty() ? above_every_id() : query.before_id;
  std::size_t looked_at = 0;
  // One row more than is wanted tells whether there is more. A filter that finds little takes larger slices.
  std::size_t slice = std::min({query.limit, query.scan_limit, largest_slice}) + 1;
  for (;;) {
    Params params;
    params.octets(workspace).octets(before).number(row_limit(slice));
    if (!query.owner.empty()) params.octets(query.owner);
    const Result<Answer> answer =
        ask(workspace, query.owner.empty() ? Sql::list_tokens : Sql::list_tokens_of_owner, params, "listing tokens");
    if (!answer) return answer.error();
    for (int row = 0; row < answer->rows(); ++row) {
      if (list.tokens.size() >= query.limit || looked_at >= query.scan_limit) {
        list.next_before_id = before;
        return list;
      }
      TokenRecord token = read_token(*answer, row);
      ++looked_at;
      before = token.id;
      if (matches(token, query)) list.tokens.push_back(std::move(token));
    }
    if (static_cast<std::size_t>(answer->rows()) < slice) return list;
    slice = std::min(slice * 2, largest_slice);
  }
}

Result<OwnerList> PostgresBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  Params params;
  params.octets(workspace).octets(after).number(row_limit(limit) + 1);
  const Result<Answer> answer = ask(workspace, Sql::list_owners, params, "listing owners");
  if (!answer) return answer.error();
  OwnerList list;
  for (int row = 0; row < answer->rows(); ++row) {
    if (list.owners.size() >= limit) {
      list.more = true;
      break;
    }
    list.owners.push_back(read_owner(*answer, row));
  }
  return list;
}

Result<std::vector<WorkspaceRecord>> PostgresBackend::list_workspaces(std::string_view after, std::size_t limit) {
  Params params;
  params.octets(after).number(row_limit(limit));
  const Result<Answer> answer = ask({}, Sql::list_workspaces, params, "listing workspaces");
  if (!answer) return answer.error();
  std::vector<WorkspaceRecord> list;
  list.reserve(static_cast<std::size_t>(answer->rows()));
  for (int row = 0; row < answer->rows(); ++row) list.push_back(read_workspace(*answer, row));
  return list;
}

Result<TokenCounts> PostgresBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  Params params;
  params.octets(workspace).number(now);
  if (!owner.empty()) params.octets(owner);
  const Result<Answer> answer =
      ask(workspace, owner.empty() ? Sql::count_tokens : Sql::count_tokens_of_owner, params, "counting tokens");
  if (!answer) return answer.error();
  TokenCounts counts;
  counts.active = answer->counter(0, 0);
  counts.pending = answer->counter(0, 1);
  counts.expired = answer->counter(0, 2);
  counts.revoked = answer->counter(0, 3);
  return counts;
}

Result<std::uint64_t> PostgresBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                  std::uint64_t at_most) {
  Params params;
  params.octets(workspace).octets(owner).number(now).number(row_limit(at_most));
  const Result<Answer> answer = ask(workspace, Sql::count_live, params, "counting tokens");
  if (!answer) return answer.error();
  return answer->counter(0, 0);
}

Result<std::vector<EndedToken>> PostgresBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                            std::size_t limit) {
  Params params;
  params.octets(workspace).number(ended_before).number(row_limit(limit));
  const Result<Answer> answer = ask(workspace, Sql::list_ended, params, "listing ended tokens");
  if (!answer) return answer.error();
  std::vector<EndedToken> ended;
  ended.reserve(static_cast<std::size_t>(answer->rows()));
  for (int row = 0; row < answer->rows(); ++row) {
    ended.push_back({std::string(answer->octets(row, 0)), answer->counter(row, 1)});
  }
  return ended;
}

Result<Changes> PostgresBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  Params params;
  // A revision beyond any that can be: nothing lies after it.
  const auto after =
      static_cast<std::int64_t>(std::min<std::uint64_t>(after_revision, std::numeric_limits<std::int64_t>::max()));
  params.octets(workspace).number(after).number(feed_entries_max + 1);
  Answer answer;
  std::string timeline;
  const auto failure = (*engine)->repeatable(deadline, [&](Session& session, Deadline by) -> std::optional<Failure> {
    Reply reply = session.run(Sql::changes, params, by);
    if (!reply.ok()) return reply.failure;
    answer = std::move(reply.answers[0]);
    timeline = session.timeline();
    return std::nullopt;
  });
  if (failure) return error_of(*failure, "reading the change feed");
  Changes changes;
  if (answer.rows() > 0) {
    changes.revision = answer.counter(0, 0);
    changes.link = answer.bytes<Bytes32>(0, 1);
    changes.complete_from = answer.counter(0, 2);
  }
  const bool same_history = (*engine)->history.note(workspace, timeline, changes.revision, after_revision);
  // A revision that lies ahead was seen in another history than this one.
  changes.everything = !same_history || after_revision > changes.revision || after_revision < changes.complete_from ||
                       answer.rows() > feed_entries_max;
  if (changes.everything) return changes;
  for (int row = 0; row < answer.rows(); ++row) {
    if (answer.is_null(row, 3)) continue;  // the head alone
    changes.entries.push_back(
        {answer.counter(row, 3), std::string(answer.octets(row, 4)), answer.bytes<Bytes32>(row, 5)});
  }
  return changes;
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/records.cpp -----------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

/// Hands out the columns of one row from left to right.
class Columns {
 public:
  Columns(const Answer& answer, int row) noexcept : answer_(answer), row_(row) {}
  std::string octets() { return std::string(answer_.octets(row_, at_++)); }
  std::int64_t number() noexcept { return answer_.number(row_, at_++); }
  std::uint64_t counter() noexcept { return answer_.counter(row_, at_++); }
  bool boolean() noexcept { return answer_.boolean(row_, at_++); }
  template <typename Bytes>
  Bytes bytes() noexcept {
    return answer_.bytes<Bytes>(row_, at_++);
  }

 private:
  const Answer& answer_;
  int row_;
  int at_ = 0;
};

}  // namespace

TokenRecord read_token(const Answer& answer, int row) {
  Columns column(answer, row);
  TokenRecord token;
  token.id = column.octets();
  token.key_id = column.octets();
  token.verifier = column.bytes<Bytes32>();
  token.owner = column.octets();
  token.owner_birth = column.bytes<Bytes16>();
  token.revoke_all_count = column.counter();
  token.description = column.octets();
  token.scopes = column.octets();
  token.metadata = column.octets();
  token.created_at = column.number();
  token.created_by = column.octets();
  token.not_before = column.number();
  token.expires_at = column.number();
  token.expired_at = column.number();
  token.revoked_at = column.number();
  token.revoked_by = column.octets();
  token.revoke_reason = column.octets();
  token.revision = column.counter();
  token.seal_key_id = column.octets();
  token.seal = column.bytes<Bytes32>();
  token.last_used_at = column.number();
  token.last_used_from = column.octets();
  return token;
}

OwnerRecord read_owner(const Answer& answer, int row) {
  Columns column(answer, row);
  OwnerRecord owner;
  owner.owner = column.octets();
  owner.birth = column.bytes<Bytes16>();
  owner.may_issue = column.boolean();
  owner.may_use = column.boolean();
  owner.suspended_at = column.number();
  owner.suspended_by = column.octets();
  owner.suspend_reason = column.octets();
  owner.revoke_all_count = column.counter();
  owner.revision = column.counter();
  owner.seal_key_id = column.octets();
  owner.seal = column.bytes<Bytes32>();
  return owner;
}

WorkspaceRecord read_workspace(const Answer& answer, int row) {
  Columns column(answer, row);
  WorkspaceRecord workspace;
  workspace.workspace = column.octets();
  workspace.birth = column.bytes<Bytes16>();
  workspace.tokens_enabled = column.boolean();
  workspace.users_may_issue = column.boolean();
  workspace.never_allowed = column.boolean();
  workspace.longest_lifetime = column.number();
  workspace.default_lifetime = column.number();
  // The column is wider than the field; a number that does not fit was not written by this library.
  const std::int64_t most = column.number();
  workspace.most_active_per_owner = static_cast<std::uint32_t>(most);
  workspace.created_at = column.number();
  workspace.revision = column.counter();
  workspace.seal_key_id = column.octets();
  workspace.seal = column.bytes<Bytes32>();
  if (most != static_cast<std::int64_t>(workspace.most_active_per_owner)) workspace.seal = {};
  return workspace;
}

StoreRecord read_store(const Answer& answer, int row) {
  Columns column(answer, row);
  StoreRecord store;
  store.id = column.bytes<Bytes16>();
  store.created_at = column.number();
  store.revision = column.counter();
  store.seal_key_id = column.octets();
  store.seal = column.bytes<Bytes32>();
  return store;
}

Params changed_token(std::string_view workspace, const TokenRecord& token) {
  Params params;
  params.octets(workspace).octets(token.id).octets(token.key_id).octets(token.verifier).octets(token.owner);
  params.octets(token.owner_birth).counter(token.revoke_all_count);
  params.octets(token.description).octets(token.scopes).octets(token.metadata);
  params.number(token.created_at).octets(token.created_by).number(token.not_before).number(token.expires_at);
  params.number(token.expired_at)
      .number(token.revoked_at)
      .octets(token.revoked_by)
      .octets(token.revoke_reason)
      .counter(token.revision);
  params.octets(token.seal_key_id).octets(token.seal);
  return params;
}

Params new_token(std::string_view workspace, const TokenRecord& token) {
  Params params = changed_token(workspace, token);
  params.number(token.last_used_at).octets(token.last_used_from);
  return params;
}

Params owner_row(std::string_view workspace, const OwnerRecord& owner) {
  Params params;
  params.octets(workspace).octets(owner.owner).octets(owner.birth).boolean(owner.may_issue).boolean(owner.may_use);
  params.number(owner.suspended_at).octets(owner.suspended_by).octets(owner.suspend_reason);
  params.counter(owner.revoke_all_count).counter(owner.revision).octets(owner.seal_key_id).octets(owner.seal);
  return params;
}

Params workspace_row(const WorkspaceRecord& workspace) {
  Params params;
  params.octets(workspace.workspace)
      .octets(workspace.birth)
      .boolean(workspace.tokens_enabled)
      .boolean(workspace.users_may_issue);
  params.boolean(workspace.never_allowed).number(workspace.longest_lifetime).number(workspace.default_lifetime);
  params.number(workspace.most_active_per_owner).number(workspace.created_at).counter(workspace.revision);
  params.octets(workspace.seal_key_id).octets(workspace.seal);
  return params;
}

Params store_row(const StoreRecord& store) {
  Params params;
  params.octets(store.id).number(store.created_at).counter(store.revision);
  params.octets(store.seal_key_id).octets(store.seal);
  return params;
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/schema.cpp ------------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

// bytea throughout: ids and names are octets and are compared as octets, whatever collation the
// database or a later version of the operating system has. The views at the end are for people.
// Times are Unix milliseconds; 9223372036854775807 means never. Counters are int8 of the same bits.
constexpr const char* statements[] = {
    R"sql(CREATE TABLE about (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  application text NOT NULL,
  version int8 NOT NULL
))sql",
    R"sql(INSERT INTO about (application, version) VALUES ('tokenstore', 1))sql",
    R"sql(CREATE TABLE store (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id bytea NOT NULL,
  created_at int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL
))sql",
    R"sql(CREATE TABLE workspace (
  workspace bytea PRIMARY KEY,
  birth bytea NOT NULL,
  tokens_enabled boolean NOT NULL,
  users_may_issue boolean NOT NULL,
  never_allowed boolean NOT NULL,
  longest_lifetime int8 NOT NULL,
  default_lifetime int8 NOT NULL,
  most_active_per_owner int8 NOT NULL,
  created_at int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL
))sql",
    R"sql(CREATE TABLE owner (
  workspace bytea NOT NULL,
  owner bytea NOT NULL,
  birth bytea NOT NULL,
  may_issue boolean NOT NULL,
  may_use boolean NOT NULL,
  suspended_at int8 NOT NULL,
  suspended_by bytea NOT NULL,
  suspend_reason bytea NOT NULL,
  revoke_all_count int8 NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL,
  PRIMARY KEY (workspace, owner)
))sql",
    // Room in each page, so that a last use (in no index) is written beside the row it replaces.
    R"sql(CREATE TABLE token (
  workspace bytea NOT NULL,
  id bytea NOT NULL,
  key_id bytea NOT NULL,
  verifier bytea NOT NULL,
  owner bytea NOT NULL,
  owner_birth bytea NOT NULL,
  revoke_all_count int8 NOT NULL,
  description bytea NOT NULL,
  scopes bytea NOT NULL,
  metadata bytea NOT NULL,
  created_at int8 NOT NULL,
  created_by bytea NOT NULL,
  not_before int8 NOT NULL,
  expires_at int8 NOT NULL,
  expired_at int8 NOT NULL,
  revoked_at int8 NOT NULL,
  revoked_by bytea NOT NULL,
  revoke_reason bytea NOT NULL,
  revision int8 NOT NULL,
  seal_key_id bytea NOT NULL,
  seal bytea NOT NULL,
  last_used_at int8 NOT NULL,
  last_used_from bytea NOT NULL,
  PRIMARY KEY (workspace, id)
) WITH (fillfactor = 90))sql",
    R"sql(CREATE INDEX token_by_owner ON token (workspace, owner, id))sql",
    R"sql(CREATE INDEX token_by_owner_and_end ON token (workspace, owner, LEAST(revoked_at, expires_at)))sql",
    R"sql(CREATE INDEX token_by_end ON token (workspace, LEAST(revoked_at, expires_at)))sql",
    // The revision of a workspace, its link, and the oldest revision from which `change` is complete. Whoever
    // writes to a workspace holds its row here until the transaction ends.
    R"sql(CREATE TABLE feed (
  workspace bytea PRIMARY KEY,
  revision int8 NOT NULL,
  link bytea NOT NULL,
  feed_from int8 NOT NULL
) WITH (fillfactor = 50))sql",
    // One row for each announced revision: what it named, and the link to the revision before.
    R"sql(CREATE TABLE change (
  workspace bytea NOT NULL,
  revision int8 NOT NULL,
  entry bytea NOT NULL,
  link bytea NOT NULL,
  PRIMARY KEY (workspace, revision)
))sql",
    R"sql(CREATE VIEW readable_token AS SELECT
  encode(workspace, 'escape') AS workspace, encode(id, 'escape') AS id, encode(owner, 'escape') AS owner,
  encode(description, 'escape') AS description, encode(scopes, 'escape') AS scopes,
  CASE WHEN created_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(created_at / 1000.0) END AS created_at,
  CASE WHEN not_before BETWEEN 0 AND 253402300799999 THEN to_timestamp(not_before / 1000.0) END AS not_before,
  CASE WHEN expires_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(expires_at / 1000.0) END AS expires_at,
  CASE WHEN revoked_at BETWEEN 0 AND 253402300799999 THEN to_timestamp(revoked_at / 1000.0) END AS revoked_at,
  encode(revoked_by, 'escape') AS revoked_by, encode(revoke_reason, 'escape') AS revoke_reason,
  CASE WHEN last_used_at BETWEEN 1 AND 253402300799999 THEN to_timestamp(last_used_at / 1000.0) END AS last_used_at,
  encode(last_used_from, 'escape') AS last_used_from
FROM token)sql",
};

Error damaged(const std::string& schema) {
  return Error(Status::not_a_store,
               fmt::format("the schema '{}' holds only a part of a token store; restore a backup, or name another "
                           "schema",
                           schema));
}

Error schema_error(const Failure& failure, std::string_view doing) {
  if (failure.kind == Failure::Kind::refused && failure.state == "42501") {
    return Error(Status::cannot_open, fmt::format("{} failed: {}; grant the role its rights, or let another role "
                                                  "create the schema",
                                                  doing, failure.text));
  }
  return error_of(failure, doing);
}

struct Found {
  std::size_t tables = 0;  ///< how many of ours
  bool about = false;
};

Result<Found> look(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string("SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                        "ON n.oid = c.relnamespace WHERE n.nspname = $1::text"),
            {}};
  step.params.octets(target.schema);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "looking for the tables");
  Found found;
  for (int row = 0; row < reply.answers[0].rows(); ++row) {
    const std::string_view name = reply.answers[0].octets(row, 0);
    if (std::find(std::begin(table_names), std::end(table_names), name) != std::end(table_names)) ++found.tables;
    if (name == "about") found.about = true;
  }
  return found;
}

/// One transaction, under a lock that another host that opens at the same time waits for.
Result<void> create_tables(Session& session, const Target& target, Deadline deadline) {
  std::vector<Step> begin;
  begin.push_back({Sql::begin, {}});
  begin.push_back({std::string("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1::text)::int8)"), {}});
  begin.back().params.octets("tokenstore schema " + target.schema);
  Reply reply = session.run(begin, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "creating the tables");

  const Result<Found> found = look(session, target, deadline);
  if (!found) return found.error();
  std::vector<Step> steps;
  if (found->tables == 0) {
    // Not IF NOT EXISTS: that asks for the right to create schemas even if this one is there.
    Step exists{std::string("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::text"), {}};
    exists.params.octets(target.schema);
    reply = session.run({&exists, 1}, deadline);
    if (!reply.ok()) return schema_error(*reply.failure, "creating the tables");
    if (reply.answers[0].rows() == 0) steps.push_back({fmt::format("CREATE SCHEMA \"{}\"", target.schema), {}});
    for (const char* statement : statements) steps.push_back({std::string(statement), {}});
  }
  steps.push_back({Sql::commit, {}});
  reply = session.run(steps, deadline);
  if (!reply.ok()) {
    if (session.usable()) session.run(Sql::rollback, {}, deadline);
    return schema_error(*reply.failure, "creating the tables");
  }
  return {};
}

Result<void> check_version(Session& session, const Target& target, Deadline deadline) {
  const Reply reply = session.run("SELECT application, version FROM about", deadline);
  if (!reply.ok()) {
    if (reply.failure->is_missing_object()) return damaged(target.schema);
    return schema_error(*reply.failure, "reading the version of the tables");
  }
  if (reply.answers[0].rows() != 1) return damaged(target.schema);
  if (reply.answers[0].octets(0, 0) != "tokenstore") {
    return Error(Status::not_a_store,
                 fmt::format("the schema '{}' belongs to another application; name another one", target.schema));
  }
  const std::int64_t version = reply.answers[0].number(0, 1);
  if (version > schema_version) {
    return Error(Status::newer_schema,
                 fmt::format("the schema '{}' has version {}, this library knows up to {}; upgrade the library",
                             target.schema, version, schema_version));
  }
  // There is no older version yet: the first migration goes here, in create_tables()'s transaction.
  if (version != schema_version) return damaged(target.schema);
  return {};
}

/// Every statement can be prepared only if every table, column and right to see them is there.
Result<void> check_statements(Session& session, const Target& target, Deadline deadline) {
  for (std::size_t at = 0; at < static_cast<std::size_t>(Sql::notify); ++at) {
    const auto which = static_cast<Sql>(at);
    if (which == Sql::begin || which == Sql::commit || which == Sql::rollback) continue;
    const Reply reply = session.run(fmt::format("PREPARE ts_check AS {}", sql_text(which)), deadline);
    if (!reply.ok()) {
      if (reply.failure->is_missing_object()) return damaged(target.schema);
      return schema_error(*reply.failure, "checking the tables");
    }
    const Reply done = session.run("DEALLOCATE ts_check", deadline);
    if (!done.ok()) return schema_error(*done.failure, "checking the tables");
  }
  return {};
}

/// Without it the tables seem not to be there.
Result<void> check_usage(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string("SELECT pg_catalog.has_schema_privilege($1::text, 'USAGE')"), {}};
  step.params.octets(target.schema);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return schema_error(*reply.failure, "checking the role's rights");
  if (reply.answers[0].boolean(0, 0)) return {};
  return Error(Status::cannot_open, fmt::format("the role may not use the schema '{}'; grant it USAGE", target.schema));
}

/// Rights are only looked at when a statement runs, so they are asked for.
Result<void> check_rights(Session& session, const Target& target, Deadline deadline) {
  std::string missing;
  for (const std::string_view table : table_names) {
    const char* needed = target.read_only || table == "about" ? "SELECT" : "SELECT, INSERT, UPDATE, DELETE";
    // Of a list the function asks for any one, so each is asked for by itself.
    for (std::string_view rest = needed; !rest.empty();) {
      const std::size_t comma = rest.find(", ");
      const std::string right(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 2);
      Step step{std::string("SELECT pg_catalog.has_table_privilege($1::text, $2::text)"), {}};
      step.params.octets(fmt::format("\"{}\".\"{}\"", target.schema, table)).octets(right);
      const Reply reply = session.run({&step, 1}, deadline);
      if (!reply.ok()) return schema_error(*reply.failure, "checking the role's rights");
      if (!reply.answers[0].boolean(0, 0))
        missing += fmt::format("{}{} on {}", missing.empty() ? "" : ", ", right, table);
    }
  }
  if (missing.empty()) return {};
  return Error(Status::cannot_open,
               fmt::format("the role lacks rights in the schema '{}': {}; grant them", target.schema, missing));
}

/// Whatever could keep a write from happening, or from being found, was made by somebody else.
Result<void> check_objects(Session& session, const Target& target, Deadline deadline) {
  const Misfits misfits = misfitting_objects(session, target, deadline);
  if (misfits.failure) return schema_error(*misfits.failure, "comparing the tables");
  if (misfits.lines.empty()) return {};
  return Error(Status::not_a_store, fmt::format("the schema '{}' {}; put it right, or restore a backup", target.schema,
                                                misfits.lines.front()));
}

}  // namespace

bool is_schema_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 40 || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

std::string channel_of(const std::string& schema) {
  return "tokenstore_of_" + schema;
}

Result<void> prepare_schema(Session& session, const Target& target, bool create, Deadline deadline) {
  const std::string encoding = session.parameter("server_encoding");
  if (encoding != "UTF8") {
    return Error(Status::cannot_open, fmt::format("the database has encoding {}; create one with ENCODING 'UTF8'",
                                                  encoding.empty() ? "unknown" : encoding));
  }
  Result<Found> found = look(session, target, deadline);
  if (!found) return found.error();
  if (found->tables == 0) {
    if (!create || target.read_only) {
      return Error(Status::cannot_open,
                   fmt::format("there is no token store in the schema '{}'; create it first", target.schema));
    }
    if (Result<void> created = create_tables(session, target, deadline); !created) return created;
  } else if (!found->about) {
    return damaged(target.schema);
  } else if (Result<void> usable = check_usage(session, target, deadline); !usable) {
    return usable;
  }
  if (Result<void> version = check_version(session, target, deadline); !version) return version;
  if (Result<void> rights = check_rights(session, target, deadline); !rights) return rights;
  if (Result<void> usable = check_statements(session, target, deadline); !usable) return usable;
  return check_objects(session, target, deadline);
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/schema_objects.cpp ----------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

// One line for each thing, in the words of PostgreSQL's own catalogue. Constraints that say NOT NULL are with their
// column, where every version has them.
constexpr const char* objects_of_schema = R"sql(
WITH home AS (SELECT oid, pg_catalog.quote_ident(nspname) || '.' AS prefix FROM pg_catalog.pg_namespace
    WHERE nspname = $1::text),
  relation AS (SELECT c.* FROM pg_catalog.pg_class c JOIN home ON c.relnamespace = home.oid
    WHERE pg_catalog.convert_to(relname::text, 'UTF8') = ANY ($2::bytea[])),
  line(text) AS (
    SELECT pg_catalog.format('relation %s of kind %s%s%s%s%s%s', relname, relkind,
        CASE relpersistence WHEN 'p' THEN '' ELSE ', not durable' END,
        CASE WHEN relrowsecurity OR relforcerowsecurity THEN ', with row security' ELSE '' END,
        CASE WHEN relispartition THEN ', a partition' ELSE '' END,
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation.oid OR inhparent = relation.oid)
          THEN ', that inherits or is inherited' ELSE '' END,
        CASE WHEN reloftype <> 0 THEN ', of a type' ELSE '' END)
      FROM relation
    UNION ALL SELECT pg_catalog.format('column %s.%s %s%s%s%s', relname, attname,
        pg_catalog.format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' ELSE '' END,
        ' default ' || pg_catalog.pg_get_expr(adbin, adrelid),
        CASE WHEN attidentity <> '' OR attgenerated <> '' THEN ', generated' ELSE '' END)
      FROM relation JOIN pg_catalog.pg_attribute a ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_catalog.pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    UNION ALL SELECT pg_catalog.replace(pg_catalog.pg_get_indexdef(indexrelid), home.prefix, '') ||
        CASE WHEN indisvalid AND indisready THEN '' ELSE ', not valid' END
      FROM home, relation JOIN pg_catalog.pg_index ON indrelid = relation.oid
    UNION ALL SELECT pg_catalog.format('constraint %s on %s: %s%s', conname, relname,
        pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), home.prefix, ''),
        CASE WHEN condeferrable THEN ', deferrable' ELSE '' END)
      FROM home, relation JOIN pg_catalog.pg_constraint k ON conrelid = relation.oid WHERE contype <> 'n'
    UNION ALL SELECT pg_catalog.format('trigger %s on %s', tgname, relname)
      FROM relation JOIN pg_catalog.pg_trigger ON tgrelid = relation.oid WHERE NOT tgisinternal
    UNION ALL SELECT pg_catalog.format('rule %s on %s', rulename, relname)
      FROM relation JOIN pg_catalog.pg_rewrite ON ev_class = relation.oid
    UNION ALL SELECT pg_catalog.format('policy %s on %s', polname, relname)
      FROM relation JOIN pg_catalog.pg_policy ON polrelid = relation.oid)
SELECT text FROM line ORDER BY text COLLATE "C")sql";

// As PostgreSQL lists the tables that schema.cpp makes; sorted.
constexpr std::string_view expected[] = {
    "CREATE INDEX token_by_end ON token USING btree (workspace, LEAST(revoked_at, expires_at))",
    "CREATE INDEX token_by_owner ON token USING btree (workspace, owner, id)",
    "CREATE INDEX token_by_owner_and_end ON token USING btree (workspace, owner, LEAST(revoked_at, expires_at))",
    "CREATE UNIQUE INDEX about_pkey ON about USING btree (only_row)",
    "CREATE UNIQUE INDEX change_pkey ON change USING btree (workspace, revision)",
    "CREATE UNIQUE INDEX feed_pkey ON feed USING btree (workspace)",
    "CREATE UNIQUE INDEX owner_pkey ON owner USING btree (workspace, owner)",
    "CREATE UNIQUE INDEX store_pkey ON store USING btree (only_row)",
    "CREATE UNIQUE INDEX token_pkey ON token USING btree (workspace, id)",
    "CREATE UNIQUE INDEX workspace_pkey ON workspace USING btree (workspace)",
    "column about.application text not null",
    "column about.only_row boolean not null default true",
    "column about.version bigint not null",
    "column change.entry bytea not null",
    "column change.link bytea not null",
    "column change.revision bigint not null",
    "column change.workspace bytea not null",
    "column feed.feed_from bigint not null",
    "column feed.link bytea not null",
    "column feed.revision bigint not null",
    "column feed.workspace bytea not null",
    "column owner.birth bytea not null",
    "column owner.may_issue boolean not null",
    "column owner.may_use boolean not null",
    "column owner.owner bytea not null",
    "column owner.revision bigint not null",
    "column owner.revoke_all_count bigint not null",
    "column owner.seal bytea not null",
    "column owner.seal_key_id bytea not null",
    "column owner.suspend_reason bytea not null",
    "column owner.suspended_at bigint not null",
    "column owner.suspended_by bytea not null",
    "column owner.workspace bytea not null",
    "column store.created_at bigint not null",
    "column store.id bytea not null",
    "column store.only_row boolean not null default true",
    "column store.revision bigint not null",
    "column store.seal bytea not null",
    "column store.seal_key_id bytea not null",
    "column token.created_at bigint not null",
    "column token.created_by bytea not null",
    "column token.description bytea not null",
    "column token.expired_at bigint not null",
    "column token.expires_at bigint not null",
    "column token.id bytea not null",
    "column token.key_id bytea not null",
    "column token.last_used_at bigint not null",
    "column token.last_used_from bytea not null",
    "column token.metadata bytea not null",
    "column token.not_before bigint not null",
    "column token.owner bytea not null",
    "column token.owner_birth bytea not null",
    "column token.revision bigint not null",
    "column token.revoke_all_count bigint not null",
    "column token.revoke_reason bytea not null",
    "column token.revoked_at bigint not null",
    "column token.revoked_by bytea not null",
    "column token.scopes bytea not null",
    "column token.seal bytea not null",
    "column token.seal_key_id bytea not null",
    "column token.verifier bytea not null",
    "column token.workspace bytea not null",
    "column workspace.birth bytea not null",
    "column workspace.created_at bigint not null",
    "column workspace.default_lifetime bigint not null",
    "column workspace.longest_lifetime bigint not null",
    "column workspace.most_active_per_owner bigint not null",
    "column workspace.never_allowed boolean not null",
    "column workspace.revision bigint not null",
    "column workspace.seal bytea not null",
    "column workspace.seal_key_id bytea not null",
    "column workspace.tokens_enabled boolean not null",
    "column workspace.users_may_issue boolean not null",
    "column workspace.workspace bytea not null",
    "constraint about_only_row_check on about: CHECK (only_row)",
    "constraint about_pkey on about: PRIMARY KEY (only_row)",
    "constraint change_pkey on change: PRIMARY KEY (workspace, revision)",
    "constraint feed_pkey on feed: PRIMARY KEY (workspace)",
    "constraint owner_pkey on owner: PRIMARY KEY (workspace, owner)",
    "constraint store_only_row_check on store: CHECK (only_row)",
    "constraint store_pkey on store: PRIMARY KEY (only_row)",
    "constraint token_pkey on token: PRIMARY KEY (workspace, id)",
    "constraint workspace_pkey on workspace: PRIMARY KEY (workspace)",
    "relation about of kind r",
    "relation change of kind r",
    "relation feed of kind r",
    "relation owner of kind r",
    "relation store of kind r",
    "relation token of kind r",
    "relation workspace of kind r",
};

}  // namespace

Misfits misfitting_objects(Session& session, const Target& target, Deadline deadline) {
  Step step{std::string(objects_of_schema), {}};
  step.params.octets(target.schema).all_octets(table_names);
  const Reply reply = session.run({&step, 1}, deadline);
  if (!reply.ok()) return {reply.failure, {}};
  std::vector<std::string_view> found;
  found.reserve(static_cast<std::size_t>(reply.answers[0].rows()));
  for (int row = 0; row < reply.answers[0].rows(); ++row) found.push_back(reply.answers[0].octets(row, 0));

  Misfits misfits;
  std::vector<std::string_view> difference;
  std::set_difference(found.begin(), found.end(), std::begin(expected), std::end(expected),
                      std::back_inserter(difference));
  for (const std::string_view line : difference)
    misfits.lines.push_back(fmt::format("has what is no part of a token store: {}", line));
  difference.clear();
  std::set_difference(std::begin(expected), std::end(expected), found.begin(), found.end(),
                      std::back_inserter(difference));
  for (const std::string_view line : difference)
    misfits.lines.push_back(fmt::format("lacks a part of a token store: {}", line));
  return misfits;
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/session.cpp -----------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

/// The longest sleep without a look at what libpq holds: with TLS, an answer may sit in OpenSSL's buffer
/// while the socket is silent.
constexpr std::chrono::milliseconds longest_sleep{100};

/// How long the server keeps a transaction, and with it locks, whose client has vanished.
constexpr std::chrono::milliseconds vanished_client_grace{1000};

std::string statement_name(Sql which) {
  return "ts" + std::to_string(static_cast<int>(which));
}

}  // namespace

Session::Session(PGconn* connection, SocketTable& sockets, int interrupt) noexcept
    : connection_(connection), sockets_(sockets), interrupt_(interrupt) {}

Session::~Session() {
  sockets_.remove(slot_);
  PQfinish(connection_);
}

Failure Session::give_up(Failure failure) noexcept {
  usable_ = false;
  return failure;
}

void Session::on_notice(void* self, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "WARNING") return;
  const char* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  try {
    static_cast<Session*>(self)->warning_ = one_line(text != nullptr && *text != '\0' ? text : "a warning");
  } catch (...) {
    static_cast<Session*>(self)->usable_ = false;  // called from C: nothing may be thrown
  }
}

Session::Opened Session::open(const Target& target, SocketTable& sockets, Deadline deadline, int interrupt) {
  const ConninfoFacts given = facts_of(target.conninfo);
  if (!given.well_formed) {
    // libpq's own words would quote a piece of the string, which may be the password.
    return {nullptr, Failure{Failure::Kind::refused,
                             {},
                             "the connection string is malformed (in a URI, special characters of a password are "
                             "percent-encoded: %40 for @, %2F for /)"}};
  }
  // The last mention of a keyword counts; what `dbname` expands to counts where it stands.
  std::vector<const char*> keywords = {"dbname", "client_encoding", "fallback_application_name"};
  std::vector<const char*> values = {target.conninfo.c_str(), "UTF8", "tokenstore"};
  if (!given.says_session_attrs) {
    keywords.push_back("target_session_attrs");
    values.push_back("read-write");
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* connection = PQconnectStartParams(keywords.data(), values.data(), 1);
  if (connection == nullptr) throw std::bad_alloc();
  std::unique_ptr<Session> session(new Session(connection, sockets, interrupt));
  PQsetNoticeReceiver(connection, &Session::on_notice, session.get());
  if (auto failure = session->connect(deadline)) return {nullptr, std::move(failure)};
  if (auto failure = session->set_up(target, deadline)) return {nullptr, std::move(failure)};
  return {std::move(session), std::nullopt};
}

std::optional<Failure> Session::connect(Deadline deadline) {
  if (PQstatus(connection_) == CONNECTION_BAD) return lost_connection(connection_);
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection_)) {
    if (next == PGRES_POLLING_FAILED) {
      Failure failure = lost_connection(connection_);
      failure.kind = Failure::Kind::refused;
      return failure;
    }
    pollfd ready[2] = {{PQsocket(connection_), static_cast<short>(next == PGRES_POLLING_WRITING ? POLLOUT : POLLIN), 0},
                       {interrupt_, POLLIN, 0}};
    int count = 0;
    do {
      count = poll(ready, 2, static_cast<int>(deadline.left().count()));
    } while (count < 0 && errno == EINTR && !deadline.over());
    if (count <= 0) return timed_out();
    if (ready[1].revents != 0) return Failure{Failure::Kind::interrupted, {}, "the backend is being closed"};
  }
  slot_ = sockets_.add(PQsocket(connection_));
  if (slot_ < 0) return Failure{Failure::Kind::lost, {}, "too many connections in one backend"};
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) {
    return lost_connection(connection_);
  }
  return std::nullopt;
}

std::optional<Failure> Session::set_up(const Target& target, Deadline deadline) {
  // The names below are found in pg_catalog and in our schema, and nowhere else.
  const auto set = [](const char* name, const std::string& value) {
    Step step{std::string("SELECT pg_catalog.set_config($1::text, $2::text, false)"), {}};
    step.params.octets(name).octets(value);
    return step;
  };
  const auto grace = target.deadline + vanished_client_grace;
  std::vector<Step> steps;
  steps.push_back(set("search_path", '"' + target.schema + '"'));
  steps.push_back(set("statement_timeout", std::to_string(target.deadline.count())));
  steps.push_back(set("idle_in_transaction_session_timeout", std::to_string(grace.count())));
  if (target.read_only) steps.push_back(set("default_transaction_read_only", "on"));
  // A change that was acknowledged is durable: a server that does not wait by default is asked to.
  steps.push_back({std::string("SELECT pg_catalog.set_config('synchronous_commit', 'on', false) "
                               "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"),
                   {}});
  if (Reply reply = run(steps, deadline); !reply.ok()) return reply.failure;

  // Servers that only speak the protocol do not know this; their history is then taken to be one.
  Reply reply =
      run("SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE "
          "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END",
          deadline);
  if (reply.ok()) {
    in_recovery_ = reply.answers[0].boolean(0, 0);
    timeline_ = std::string(reply.answers[0].octets(0, 1));
  } else if (reply.failure->kind != Failure::Kind::refused) {
    return reply.failure;
  }
  return std::nullopt;
}

std::string Session::parameter(const char* name) const {
  const char* value = PQparameterStatus(connection_, name);
  return value == nullptr ? std::string() : std::string(value);
}

bool Session::send(const Step& step) {
  const std::vector<const char*> values = step.params.values();
  const std::vector<int> lengths = step.params.lengths();
  const std::vector<int> formats(values.size(), 1);
  const int count = step.params.size();
  if (const auto* text = std::get_if<std::string>(&step.statement)) {
    sent_prepares_.push_back(false);
    return PQsendQueryParams(connection_, text->c_str(), count, nullptr, values.data(), lengths.data(), formats.data(),
                             1) == 1;
  }
  const Sql which = std::get<Sql>(step.statement);
  const auto at = static_cast<std::size_t>(which);
  const std::string name = statement_name(which);
  sent_prepares_.push_back(!prepared_[at]);
  if (!prepared_[at]) {
    if (PQsendPrepare(connection_, name.c_str(), sql_text(which), 0, nullptr) != 1) return false;
    prepared_[at] = true;
  }
  return PQsendQueryPrepared(connection_, name.c_str(), count, values.data(), lengths.data(), formats.data(), 1) == 1;
}

Reply Session::run(std::span<const Step> steps, Deadline deadline) {
  Reply reply;
  if (!usable_) {
    reply.failure = lost_connection(nullptr);
    return reply;
  }
  warning_.clear();
  sent_prepares_.clear();
  const std::bitset<sql_count> prepared_before = prepared_;
  for (const Step& step : steps) {
    if (!send(step)) {
      reply.failure = give_up(lost_connection(connection_));
      return reply;
    }
  }
  if (PQpipelineSync(connection_) != 1) {
    reply.failure = give_up(lost_connection(connection_));
    return reply;
  }
  reply.failure = receive(steps.size(), reply, deadline);
  // After a failure it is not known which of the prepares took place before it.
  if (reply.failure && prepared_ != prepared_before) usable_ = false;
  return reply;
}

Reply Session::run(Sql which, Params params, Deadline deadline) {
  const Step step{which, std::move(params)};
  return run({&step, 1}, deadline);
}

Reply Session::run(std::string statement, Deadline deadline) {
  const Step step{std::move(statement), {}};
  return run({&step, 1}, deadline);
}

std::optional<Failure> Session::receive(std::size_t steps, Reply& reply, Deadline deadline) {
  std::optional<Failure> first;
  std::size_t step = 0;
  bool prepare_expected = steps > 0 && sent_prepares_[0];
  bool flushing = true;
  for (;;) {
    if (flushing) {
      const int flushed = PQflush(connection_);
      if (flushed < 0) return give_up(lost_connection(connection_));
      flushing = flushed == 1;
    }
    while (PQisBusy(connection_) == 0) {
      ResultPointer result(PQgetResult(connection_));
      if (!result) {
        if (PQstatus(connection_) == CONNECTION_BAD) return give_up(first ? *first : lost_connection(connection_));
        continue;  // between the answers of two statements
      }
      switch (PQresultStatus(result.get())) {
        case PGRES_PIPELINE_SYNC:
          if (!first && step != steps) return give_up(Failure{Failure::Kind::lost, {}, "an answer is missing"});
          return first;
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
          if (prepare_expected) {
            prepare_expected = false;
            break;
          }
          reply.answers.emplace_back(std::move(result));
          if (++step < steps) prepare_expected = sent_prepares_[step];
          break;
        case PGRES_PIPELINE_ABORTED:
          break;
        default:
          if (!first) first = failure_of(result.get());
          // FATAL: the connection ends with it, and no more answers come.
          if (first->kind != Failure::Kind::refused) return give_up(*first);
      }
    }
    switch (wait(flushing, deadline)) {
      case Waited::ready:
        break;
      case Waited::timed_out:
        return give_up(timed_out());
      case Waited::interrupted:
        return give_up(Failure{Failure::Kind::interrupted, {}, "the backend is being closed"});
      case Waited::broken:
        // What the server said last may be waiting in libpq's buffer.
        if (PQisBusy(connection_) != 0) return give_up(first ? *first : lost_connection(connection_));
    }
  }
}

Session::Waited Session::wait(bool for_writing, Deadline deadline) noexcept {
  const auto left = std::min(deadline.left(), longest_sleep);
  if (left.count() == 0) return Waited::timed_out;
  pollfd ready[2] = {{PQsocket(connection_), static_cast<short>(POLLIN | (for_writing ? POLLOUT : 0)), 0},
                     {interrupt_, POLLIN, 0}};
  const int count = poll(ready, 2, static_cast<int>(left.count()));
  if (count < 0 && errno != EINTR) return Waited::broken;
  if (count > 0 && ready[1].revents != 0) return Waited::interrupted;
  // Also after a silent wait: see longest_sleep.
  return PQconsumeInput(connection_) == 1 ? Waited::ready : Waited::broken;
}

bool Session::take_notifications() noexcept {
  bool any = false;
  while (PGnotify* notification = PQnotifies(connection_)) {
    PQfreemem(notification);
    any = true;
  }
  return any;
}

Session::Woken Session::wait_for_notification(Deadline deadline) {
  for (;;) {
    if (take_notifications()) return Woken::notified;
    switch (wait(false, deadline)) {
      case Waited::ready:
        break;
      case Waited::timed_out:
        return Woken::nothing;
      case Waited::interrupted:
        return Woken::interrupted;
      case Waited::broken:
        usable_ = false;
        return Woken::broken;
    }
  }
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/sql.cpp ---------------------------------------------------------------------------

// The columns in the order in which records.cpp reads and binds them.
#define TOKEN_COLUMNS                                                                                        \
  "id, key_id, verifier, owner, owner_birth, revoke_all_count, description, scopes, metadata, created_at, "  \
  "created_by, "                                                                                             \
  "not_before, expires_at, expired_at, revoked_at, revoked_by, revoke_reason, revision, seal_key_id, seal, " \
  "last_used_at, "                                                                                           \
  "last_used_from"
#define OWNER_COLUMNS                                                                                          \
  "owner, birth, may_issue, may_use, suspended_at, suspended_by, suspend_reason, revoke_all_count, revision, " \
  "seal_key_id, "                                                                                              \
  "seal"
#define WORKSPACE_COLUMNS                                                                                  \
  "workspace, birth, tokens_enabled, users_may_issue, never_allowed, longest_lifetime, default_lifetime, " \
  "most_active_per_owner, created_at, revision, seal_key_id, seal"
#define STORE_COLUMNS "id, created_at, revision, seal_key_id, seal"
// As in the indexes (schema.cpp), which are only used for the same expression.
#define ENDS_AT "LEAST(revoked_at, expires_at)"
#define NOT_REVOKED "9223372036854775807"
#define NOT_EXPIRED_BY_HAND "expired_at = 9223372036854775807"
// By the rule revoked, else expired, else pending, else active; $2 is now.
#define STATE_COUNTS                                                                    \
  "SELECT count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND \
  " AND expires_at > $2 AND not_before <= $2), "                                        \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND        \
  " AND expires_at > $2 AND not_before > $2), "                                         \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND NOT (" NOT_EXPIRED_BY_HAND   \
  " AND expires_at > $2)), "                                                            \
  "count(*) FILTER (WHERE revoked_at <> " NOT_REVOKED ") FROM token WHERE workspace = $1"

namespace tokenstore::postgres {

const char* sql_text(Sql which) noexcept {
  switch (which) {
    case Sql::begin:
      // Each statement sees what was committed before it began: those behind the lock see all of it.
      return "BEGIN ISOLATION LEVEL READ COMMITTED";
    case Sql::commit:
      return "COMMIT";
    case Sql::rollback:
      return "ROLLBACK";

    case Sql::load_token:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = $1 AND id = $2";
    case Sql::load_owner:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = $1 AND owner = $2";
    case Sql::load_workspace:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace = $1";
    case Sql::load_store:
      return "SELECT " STORE_COLUMNS " FROM store";
    case Sql::list_tokens:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    case Sql::list_tokens_of_owner:
      return "SELECT " TOKEN_COLUMNS
             " FROM token WHERE workspace = $1 AND owner = $4 AND id < $2 ORDER BY id DESC LIMIT $3";
    case Sql::list_owners:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = $1 AND owner > $2 ORDER BY owner LIMIT $3";
    case Sql::list_workspaces:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace > $1 ORDER BY workspace LIMIT $2";
    case Sql::count_tokens:
      return STATE_COUNTS;
    case Sql::count_tokens_of_owner:
      return STATE_COUNTS " AND owner = $3";
    case Sql::count_live:
      return "SELECT count(*) FROM (SELECT 1 FROM token WHERE workspace = $1 AND owner = $2 AND " ENDS_AT
             " > $3 LIMIT $4) "
             "live";
    case Sql::list_ended:
      return "SELECT id, revision FROM token WHERE workspace = $1 AND " ENDS_AT " < $2 ORDER BY " ENDS_AT " LIMIT $3";
    case Sql::changes:
      // One statement, so that the revision and the rows are of one moment.
      return "SELECT f.revision, f.link, f.feed_from, c.revision, c.entry, c.link FROM feed f LEFT JOIN change c "
             "ON c.workspace = f.workspace AND c.revision > $2 WHERE f.workspace = $1 ORDER BY c.revision LIMIT $3";
    case Sql::watch:
      // Grows with every commit to any workspace.
      return "SELECT (count(*) + coalesce(sum(revision), 0))::int8 FROM feed";

    case Sql::lock_feed:
      return "SELECT revision, link FROM feed WHERE workspace = $1 FOR UPDATE";
    case Sql::add_feed:
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES ($1, 0, '', 0) ON CONFLICT (workspace) DO "
             "NOTHING";
    case Sql::wait_for_feed:
      // Waits for whoever holds the row, and for whoever is about to make it. Always rolled back.
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES ($1, 0, '', 0) "
             "ON CONFLICT (workspace) DO UPDATE SET revision = feed.revision";
    case Sql::token_revisions:
      return "SELECT id, revision FROM token WHERE workspace = $1 AND id = ANY($2)";
    case Sql::owner_revisions:
      return "SELECT owner, revision FROM owner WHERE workspace = $1 AND owner = ANY($2)";
    case Sql::workspace_revision:
      return "SELECT revision FROM workspace WHERE workspace = $1";
    case Sql::store_revision:
      return "SELECT revision FROM store";
    case Sql::insert_token:
      return "INSERT INTO token (workspace, " TOKEN_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, "
             "$21, "
             "$22, $23)";
    case Sql::update_token:
      // last_used_* are left as they are.
      return "UPDATE token SET key_id = $3, verifier = $4, owner = $5, owner_birth = $6, revoke_all_count = $7, "
             "description = $8, scopes = $9, metadata = $10, created_at = $11, created_by = $12, not_before = $13, "
             "expires_at = $14, expired_at = $15, revoked_at = $16, revoked_by = $17, revoke_reason = $18, "
             "revision = $19, seal_key_id = $20, seal = $21 WHERE workspace = $1 AND id = $2";
    case Sql::delete_token:
      return "DELETE FROM token WHERE workspace = $1 AND id = $2";
    case Sql::put_owner:
      return "INSERT INTO owner (workspace, " OWNER_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (workspace, owner) DO UPDATE "
             "SET "
             "birth = excluded.birth, may_issue = excluded.may_issue, may_use = excluded.may_use, suspended_at = "
             "excluded.suspended_at, "
             "suspended_by = excluded.suspended_by, suspend_reason = excluded.suspend_reason, "
             "revoke_all_count = excluded.revoke_all_count, revision = excluded.revision, "
             "seal_key_id = excluded.seal_key_id, seal = excluded.seal";
    case Sql::put_workspace:
      return "INSERT INTO workspace (" WORKSPACE_COLUMNS
             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (workspace) DO UPDATE SET "
             "birth = excluded.birth, tokens_enabled = excluded.tokens_enabled, users_may_issue = "
             "excluded.users_may_issue, "
             "never_allowed = excluded.never_allowed, longest_lifetime = excluded.longest_lifetime, "
             "default_lifetime = excluded.default_lifetime, most_active_per_owner = excluded.most_active_per_owner, "
             "created_at = excluded.created_at, revision = excluded.revision, seal_key_id = excluded.seal_key_id, "
             "seal = excluded.seal";
    case Sql::insert_store:
      return "INSERT INTO store (" STORE_COLUMNS ") VALUES ($1, $2, $3, $4, $5)";
    case Sql::update_store:
      return "UPDATE store SET id = $1, created_at = $2, revision = $3, seal_key_id = $4, seal = $5 "
             "WHERE revision = $3::int8 - 1";
    case Sql::add_change:
      return "INSERT INTO change (workspace, revision, entry, link) VALUES ($1, $2, $3, $4)";
    case Sql::set_feed_head:
      return "UPDATE feed SET revision = $2, link = $3 WHERE workspace = $1";
    case Sql::note_uses:
      // The rows are locked in the order of their ids, so that two hosts do not wait for each other.
      return "WITH used AS (SELECT * FROM unnest($2::bytea[], $3::int8[], $4::bytea[]) AS u (id, used_at, used_from)), "
             "locked AS (SELECT token.id FROM token JOIN used ON token.id = used.id WHERE workspace = $1 "
             "AND last_used_at < used_at ORDER BY token.id FOR NO KEY UPDATE OF token) "
             "UPDATE token SET last_used_at = used_at, last_used_from = used_from FROM used JOIN locked "
             "ON used.id = locked.id WHERE workspace = $1 AND token.id = used.id AND last_used_at < used_at";
    case Sql::overlong_feeds:
      return "SELECT workspace, revision, feed_from FROM feed WHERE revision - feed_from > $1 LIMIT 100";
    case Sql::trim_feed:
      return "WITH moved AS (UPDATE feed SET feed_from = $2 WHERE workspace = $1 AND feed_from < $2) "
             "DELETE FROM change WHERE workspace = $1 AND revision <= $2";
    case Sql::scan_tokens:
      // Reads every octet of a slice.
      return "SELECT workspace, id, count(*) OVER (), (sum(weight) OVER ())::int8 FROM (SELECT workspace, id, "
             "octet_length("
             "key_id || verifier || owner || owner_birth || description || scopes || metadata || created_by || "
             "revoked_by || "
             "revoke_reason || seal_key_id || seal || last_used_from)::int8 AS weight FROM token "
             "WHERE (workspace, id) > ($1, $2) ORDER BY workspace, id LIMIT $3) slice ORDER BY workspace DESC, id DESC "
             "LIMIT 1";
    case Sql::stray_changes:
      return "SELECT count(*) FROM (SELECT DISTINCT c.workspace FROM change c LEFT JOIN feed f "
             "ON f.workspace = c.workspace WHERE f.revision IS NULL OR c.revision > f.revision) stray";

    case Sql::notify:
      return "SELECT pg_notify($1::text, '')";
    case Sql::count_:
      break;
  }
  return "";
}

}  // namespace tokenstore::postgres
#undef TOKEN_COLUMNS
#undef OWNER_COLUMNS
#undef WORKSPACE_COLUMNS
#undef STORE_COLUMNS
#undef ENDS_AT
#undef NOT_REVOKED
#undef NOT_EXPIRED_BY_HAND
#undef STATE_COUNTS

// ---- src/backends/postgres/wire.cpp --------------------------------------------------------------------------

namespace tokenstore::postgres {
namespace {

// Types of the system catalogue; their numbers are part of the protocol and never change.
constexpr std::uint32_t bytea_type = 17;
constexpr std::uint32_t int8_type = 20;

std::string_view view_of(std::span<const std::uint8_t> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Params::big_endian(std::uint64_t value, int octets) {
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) {
    bytes_ += static_cast<char>(static_cast<unsigned char>((value >> shift) & 0xff));
  }
}

Params& Params::octets(std::string_view value) {
  const std::size_t offset = bytes_.size();
  bytes_ += value;
  finish(offset);
  return *this;
}

Params& Params::octets(std::span<const std::uint8_t> value) {
  return octets(view_of(value));
}

Params& Params::counter(std::uint64_t value) {
  const std::size_t offset = bytes_.size();
  big_endian(value, 8);
  finish(offset);
  return *this;
}

Params& Params::number(std::int64_t value) {
  return counter(static_cast<std::uint64_t>(value));
}

Params& Params::boolean(bool value) {
  return octets(value ? std::string_view("\1", 1) : std::string_view("\0", 1));
}

void Params::array_header(std::uint32_t element_type, std::size_t count) {
  big_endian(count == 0 ? 0 : 1, 4);  // dimensions
  big_endian(0, 4);                   // no NULLs
  big_endian(element_type, 4);
  if (count == 0) return;
  big_endian(count, 4);
  big_endian(1, 4);  // the first index
}

Params& Params::all_octets(std::span<const std::string_view> values) {
  const std::size_t offset = bytes_.size();
  array_header(bytea_type, values.size());
  for (const std::string_view value : values) {
    big_endian(value.size(), 4);
    bytes_ += value;
  }
  finish(offset);
  return *this;
}

Params& Params::all_numbers(std::span<const std::int64_t> values) {
  const std::size_t offset = bytes_.size();
  array_header(int8_type, values.size());
  for (const std::int64_t value : values) {
    big_endian(8, 4);
    big_endian(static_cast<std::uint64_t>(value), 8);
  }
  finish(offset);
  return *this;
}

std::vector<const char*> Params::values() const {
  std::vector<const char*> values;
  values.reserve(parts_.size());
  for (const Part& part : parts_) values.push_back(bytes_.data() + part.offset);
  return values;
}

std::vector<int> Params::lengths() const {
  std::vector<int> lengths;
  lengths.reserve(parts_.size());
  for (const Part& part : parts_) lengths.push_back(static_cast<int>(part.size));
  return lengths;
}

std::string_view Answer::octets(int row, int column) const noexcept {
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Answer::number(int row, int column) const noexcept {
  const std::string_view value = octets(row, column);
  if (value.size() != 8) return 0;
  std::uint64_t number = 0;
  for (const char octet : value) number = (number << 8) | static_cast<unsigned char>(octet);
  return static_cast<std::int64_t>(number);
}

bool Answer::boolean(int row, int column) const noexcept {
  const std::string_view value = octets(row, column);
  return value.size() == 1 && value[0] != 0;
}

}  // namespace tokenstore::postgres

// ---- src/backends/postgres/writes.cpp ------------------------------------------------------------------------

// Commits: several callers' batches in one transaction, in two round trips.
//
// The first locks the workspaces' rows in the feed and reads the revisions of every record that is named.
// Whoever writes to a workspace holds its row, so these stay true until the end. The second writes, announces
// and commits. Until it is sent, a failure means that nothing happened.


namespace tokenstore::postgres {
namespace {

using Key = std::tuple<std::string_view, RecordKind, std::string_view>;  // views into the batches

/// A transaction over a group of tickets that has not sent its writes yet.
class GroupCommit {
 public:
  GroupCommit(Engine& engine, Session& session, std::span<CommitTicket* const> group, Deadline deadline)
      : engine_(engine), session_(session), group_(group), deadline_(deadline) {}

  /// The first round trip. The order of the locks is that of the names, so that hosts do not deadlock.
  std::optional<Failure> read() {
    for (const CommitTicket* ticket : group_) {
      spaces_.try_emplace(ticket->workspace);
      for (const Mutation& mutation : ticket->batch) {
        Space& space = spaces_[ticket->workspace];
        if (mutation.kind == RecordKind::token) space.tokens.insert(mutation.key);
        if (mutation.kind == RecordKind::owner) space.owners.insert(mutation.key);
        if (mutation.kind == RecordKind::store) names_store_ = true;
      }
    }
    if (auto failure = read_once()) return failure;
    if (!new_spaces_) return std::nullopt;
    // A workspace's first commit: its row has to be there before it can be locked.
    std::vector<Step> steps;
    for (const auto& [name, space] : spaces_) {
      steps.push_back({Sql::add_feed, {}});
      steps.back().params.octets(name);
    }
    if (Reply reply = session_.run(steps, deadline_); !reply.ok()) return reply.failure;
    return read_once();
  }

  /// Decides about every ticket and collects what is to be written.
  void decide() {
    for (CommitTicket* ticket : group_) decide(*ticket);
  }
  bool anything_to_write() const noexcept { return !writes_.empty(); }

  bool announces_anything() const noexcept { return announces_; }

  /// The second round trip. Empty: it is committed.
  std::optional<Failure> write(std::string& warning) {
    for (const auto& [name, space] : spaces_) {
      if (!space.announced) continue;
      writes_.push_back({Sql::set_feed_head, {}});
      writes_.back().params.octets(name).counter(space.revision).octets(space.link);
    }
    // NOTIFY takes a lock of the whole database until the transaction ends: only where somebody has to hear.
    if (announces_) {
      writes_.push_back({Sql::notify, {}});
      writes_.back().params.octets(channel_of(engine_.target.schema));
    }
    writes_.push_back({Sql::commit, {}});
    Reply reply = session_.run(writes_, deadline_);
    warning = session_.warning();
    if (!reply.ok()) return reply.failure;
    if (reply.answers.back().command() != "COMMIT") {
      return Failure{Failure::Kind::refused, {}, "the server rolled the transaction back"};
    }
    return std::nullopt;
  }

 private:
  struct Space {
    std::set<std::string_view> tokens;
    std::set<std::string_view> owners;
    std::uint64_t revision = 0;
    Bytes32 link{};
    bool announced = false;
  };

  std::optional<Failure> read_once() {
    std::vector<Step> steps;
    if (!begun_) steps.push_back({Sql::begin, {}});
    for (const auto& [name, space] : spaces_) {
      steps.push_back({Sql::lock_feed, {}});
      steps.back().params.octets(name);
    }
    for (const auto& [name, space] : spaces_) {
      const std::vector<std::string_view> tokens(space.tokens.begin(), space.tokens.end());
      const std::vector<std::string_view> owners(space.owners.begin(), space.owners.end());
      steps.push_back({Sql::token_revisions, {}});
      steps.back().params.octets(name).all_octets(tokens);
      steps.push_back({Sql::owner_revisions, {}});
      steps.back().params.octets(name).all_octets(owners);
      steps.push_back({Sql::workspace_revision, {}});
      steps.back().params.octets(name);
    }
    if (names_store_) steps.push_back({Sql::store_revision, {}});
    Reply reply = session_.run(steps, deadline_);
    if (!reply.ok()) return reply.failure;
    std::size_t at = begun_ ? 0 : 1;
    begun_ = true;
    new_spaces_ = false;
    revisions_.clear();
    for (auto& [name, space] : spaces_) {
      const Answer& feed = reply.answers[at++];
      if (feed.rows() == 0) new_spaces_ = true;
      space.revision = feed.rows() == 0 ? 0 : feed.counter(0, 0);
      if (feed.rows() != 0) space.link = feed.bytes<Bytes32>(0, 1);
    }
    for (auto& [name, space] : spaces_) {
      note(name, RecordKind::token, space.tokens, reply.answers[at++]);
      note(name, RecordKind::owner, space.owners, reply.answers[at++]);
      const Answer& settings = reply.answers[at++];
      revisions_[{name, RecordKind::workspace, name}] = settings.rows() == 0 ? 0 : settings.counter(0, 0);
    }
    if (names_store_) {
      const Answer& store = reply.answers[at];
      revisions_[Key{std::string_view(), RecordKind::store, std::string_view()}] =
          store.rows() == 0 ? 0 : store.counter(0, 0);
    }
    return std::nullopt;
  }

  void note(std::string_view workspace, RecordKind kind, const std::set<std::string_view>& asked,
            const Answer& answer) {
    for (int row = 0; row < answer.rows(); ++row) {
      // The key of the map is the batch's text, which outlives the answer.
      const auto key = asked.find(answer.octets(row, 0));
      if (key != asked.end()) revisions_[{workspace, kind, *key}] = answer.counter(row, 1);
    }
  }

  void decide(CommitTicket& ticket) {
    if (!base::is_well_formed(ticket.workspace, ticket.batch)) {
      ticket.result = {CommitOutcome::failed, 0, base::misfit()};
      return;
    }
    std::map<Key, RecordRevision> after;  // of this ticket alone, until all of its steps hold
    std::vector<Step> writes;
    for (const Mutation& mutation : ticket.batch) {
      const Key key = key_of(ticket, mutation);
      const auto found = revisions_.find(key);
      const RecordRevision now = found == revisions_.end() ? 0 : found->second;
      if (now != mutation.expected) {
        ticket.result = {CommitOutcome::conflict, 0, std::nullopt};
        return;
      }
      if (mutation.action == Mutation::Action::check) continue;
      add_write(writes, ticket.workspace, mutation, now);
      after[key] = mutation.action == Mutation::Action::remove ? 0 : revision_in(mutation.record);
    }
    for (const auto& [key, revision] : after) revisions_[key] = revision;
    Space& space = spaces_.find(ticket.workspace)->second;
    if (ticket.announcement != nullptr) announce(writes, ticket, space);
    writes_.insert(writes_.end(), std::make_move_iterator(writes.begin()), std::make_move_iterator(writes.end()));
    ticket.result = {CommitOutcome::committed, space.revision, std::nullopt};
  }

  /// All workspaces share the store's record; the key of the others begins with theirs.
  static Key key_of(const CommitTicket& ticket, const Mutation& mutation) noexcept {
    const std::string_view workspace = mutation.kind == RecordKind::store ? std::string_view() : ticket.workspace;
    return {workspace, mutation.kind, mutation.key};
  }

  void announce(std::vector<Step>& writes, const CommitTicket& ticket, Space& space) {
    ++space.revision;
    space.link = ticket.announcement->link(space.revision, space.link);
    space.announced = true;
    announces_ = true;
    writes.push_back({Sql::add_change, {}});
    writes.back().params.octets(ticket.workspace).counter(space.revision);
    writes.back().params.octets(ticket.announcement->entry()).octets(space.link);
  }

  static RecordRevision revision_in(const Record& record) {
    return std::visit([](const auto& one) { return one.revision; }, record);
  }

  static void add_write(std::vector<Step>& writes, std::string_view workspace, const Mutation& mutation,
                        RecordRevision now) {
    if (mutation.action == Mutation::Action::remove) {
      writes.push_back({Sql::delete_token, {}});
      writes.back().params.octets(workspace).octets(mutation.key);
    } else if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
      if (now == 0) {
        writes.push_back({Sql::insert_token, new_token(workspace, *token)});
      } else {
        writes.push_back({Sql::update_token, changed_token(workspace, *token)});
      }
    } else if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
      writes.push_back({Sql::put_owner, owner_row(workspace, *owner)});
    } else if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
      writes.push_back({Sql::put_workspace, workspace_row(*settings)});
    } else {
      // No row is locked that would keep two hosts from making it at once: the second must fail, not replace it.
      writes.push_back(
          {now == 0 ? Sql::insert_store : Sql::update_store, store_row(std::get<StoreRecord>(mutation.record))});
    }
  }

  Engine& engine_;
  Session& session_;
  std::span<CommitTicket* const> group_;
  Deadline deadline_;
  bool begun_ = false;
  bool new_spaces_ = false;
  bool names_store_ = false;
  bool announces_ = false;
  std::map<std::string_view, Space> spaces_;
  std::map<Key, RecordRevision> revisions_;
  std::vector<Step> writes_;
};

/// What has been decided but did not happen, or may not have.
void settle_tickets(Engine& engine, std::span<CommitTicket* const> group, CommitOutcome outcome, const Error& error) {
  for (CommitTicket* ticket : group) {
    if (ticket->result.outcome != CommitOutcome::committed && !ticket->batch.empty()) {
      if (ticket->result.outcome == CommitOutcome::conflict) continue;
      if (ticket->result.error && ticket->result.error->status() == Status::invalid_argument) continue;
    }
    if (outcome == CommitOutcome::unknown) {
      for (const Mutation& mutation : ticket->batch) {
        if (mutation.action != Mutation::Action::check) engine.doubts.add(ticket->workspace, mutation);
      }
    }
    ticket->result = {outcome, 0, error};
  }
}

enum class Try : std::uint8_t { done, again, one_by_one };

/// Forgets what a ticket was told by an attempt that came to nothing.
void reset(std::span<CommitTicket* const> group) {
  for (CommitTicket* ticket : group) ticket->result = {};
}

Try try_group(Engine& engine, std::span<CommitTicket* const> group, Deadline deadline, bool may_repeat) {
  reset(group);
  Pool::Taken taken = engine.pool.take(deadline);
  if (!taken.lease) {
    settle_tickets(engine, group, CommitOutcome::failed, error_of(*taken.failure, "connecting to write"));
    return Try::done;
  }
  Session& session = **taken.lease;
  GroupCommit transaction(engine, session, group, deadline);
  std::optional<Failure> failure = transaction.read();
  bool sent = false;
  std::string warning;
  if (!failure) {
    transaction.decide();
    if (!transaction.anything_to_write()) {
      session.run(Sql::rollback, {}, deadline);
      return Try::done;
    }
    sent = true;
    failure = transaction.write(warning);
    // Before anybody is told, and also if it only may have happened.
    if (transaction.announces_anything()) engine.listener.moved();
  }
  if (!failure) {
    for (const CommitTicket* ticket : group) {
      if (ticket->result.outcome == CommitOutcome::committed) {
        engine.history.note(ticket->workspace, session.timeline(), ticket->result.revision, 0);
      }
    }
    if (!warning.empty()) {
      // The commit is local only: the wait for a synchronous standby was cancelled.
      settle_tickets(engine, group, CommitOutcome::unknown,
                     Error(Status::unknown,
                           "the change is on the primary, but it is not certain that a standby has "
                           "it: " +
                               warning));
    }
    return Try::done;
  }

  const bool refused = failure->kind == Failure::Kind::refused;
  if (refused && session.usable()) session.run(Sql::rollback, {}, deadline);
  if (!sent || refused) {
    const bool server_changed =
        failure->is_read_only_server() || (failure->kind == Failure::Kind::lost && !taken.lease->fresh());
    if (server_changed) engine.pool.retire();
    if (may_repeat && (server_changed || failure->is_retryable()) && !deadline.over()) return Try::again;
    if (group.size() > 1 && refused && !deadline.over()) return Try::one_by_one;
    if (group.size() == 1 && failure->state == "23505") {
      group[0]->result = {CommitOutcome::conflict, 0, std::nullopt};
      return Try::done;
    }
    settle_tickets(engine, group, CommitOutcome::failed, error_of(*failure, "writing"));
    return Try::done;
  }
  settle_tickets(engine, group, CommitOutcome::unknown,
                 Error(Status::unknown, "it is not known whether the change was made: " + failure->text));
  return Try::done;
}

void run_group(Engine& engine, std::span<CommitTicket* const> group, Deadline deadline) {
  constexpr int most_attempts = 4;
  for (int attempt = 1;; ++attempt) {
    switch (try_group(engine, group, deadline, attempt < most_attempts)) {
      case Try::done:
        return;
      case Try::again:
        break;
      case Try::one_by_one:
        for (std::size_t at = 0; at < group.size(); ++at) {
          run_group(engine, group.subspan(at, 1), group[at]->deadline);
        }
        return;
    }
  }
}

}  // namespace

void commit_group(Engine& engine, std::span<CommitTicket* const> group) noexcept {
  try {
    std::vector<CommitTicket*> in_time;
    in_time.reserve(group.size());
    Deadline first = Deadline::in(Deadline::longest);
    for (CommitTicket* ticket : group) {
      if (ticket->deadline.over()) {
        ticket->result = {CommitOutcome::failed, 0,
                          Error(Status::unavailable, "earlier changes kept the server busy until the deadline")};
        continue;
      }
      in_time.push_back(ticket);
      if (ticket->deadline.at() < first.at()) first = ticket->deadline;
    }
    if (!in_time.empty()) run_group(engine, in_time, first);
  } catch (...) {
    // Out of memory, possibly after the commit was sent.
    for (CommitTicket* ticket : group) {
      ticket->result = {CommitOutcome::unknown, 0, std::nullopt};
    }
    engine.listener.moved();
  }
}

}  // namespace tokenstore::postgres

// ---- capi/src/values.hpp -------------------------------------------------------------------------------------

/// C values to C++ and back. What breaks a rule of tokenstore.h is a Failure. Stateless; any thread.



namespace tokenstore::capi {

/// A text; NULL with size 0 is the empty one, wherever a text is asked for. Whoever needs more than that says so.
std::string_view text(const char* data, std::size_t size, std::string_view what);
/// A path: a text that the system will read up to a zero byte, so it may not hold one.
std::string path(const char* data, std::size_t size, std::string_view what);
std::span<const std::uint8_t> bytes(const std::uint8_t* data, std::size_t size, std::string_view what);

bool flag(std::int32_t value, std::string_view what);
inline std::int32_t flag(bool value) noexcept {
  return value ? 1 : 0;
}
void need_zero(std::int32_t reserved, std::string_view what);
/// A time budget: 0 asks for `standard`.
std::chrono::milliseconds budget(std::int64_t milliseconds, std::int64_t standard);

inline std::int64_t end_time(std::int64_t time) noexcept {
  return time == never ? TOKENSTORE_NEVER : time;
}
inline std::int64_t zero_if_absent(const std::optional<UnixMillis>& time) noexcept {
  return time.value_or(0);
}

Actor actor(const tokenstore_actor* given);

/// Empty of NULL.
Progress progress_of(tokenstore_progress progress, void* context);

/// Writes `text` and a zero byte into the caller's buffer. `*out_size` becomes its size, or the buffer size
/// that is needed if this one is too small.
void write_text(std::string_view text, char* buffer, std::size_t buffer_size, std::size_t* out_size);
/// As write_text, before there is a text: fails unless one of `size` bytes will fit.
void need_room(std::size_t size, const char* buffer, std::size_t buffer_size, std::size_t* out_size);

/// For functions that return a text: its size goes to `out_size`, if the caller wants it.
inline const char* returned_text(const std::string& text, std::size_t* out_size) noexcept {
  if (out_size != nullptr) *out_size = text.size();
  return text.c_str();
}
/// The answer of such a function when there is nothing to return.
inline const char* no_text(std::size_t* out_size) noexcept {
  if (out_size != nullptr) *out_size = 0;
  return "";
}

}  // namespace tokenstore::capi

// ---- capi/src/guest.hpp --------------------------------------------------------------------------------------

/// What the C interface has to know of storage that is not ours. Any thread.

namespace tokenstore::capi {

class Guest {
 public:
  virtual ~Guest() = default;
  /// Is this thread in one of its calls, so that calling the store would be calling back?
  virtual bool inside() const noexcept = 0;
  /// After any other call; again, it does nothing.
  virtual void close() noexcept = 0;

 protected:
  Guest() = default;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
};

}  // namespace tokenstore::capi

// ---- include/tokenstore/key_source.hpp -----------------------------------------------------------------------

/// Where an open store has its keys from, and how it learns that they have changed.
///
/// A store asks its source when it is opened, and again when it notices something: a changed file, a key id that it
/// does not know, another process that has caught its eye in storage, or reload_keys(). Thread-safe; may be shared by
/// several stores. Keys are handed over and not kept.



namespace tokenstore {

class KeySource {
 public:
  /// What differs whenever the keys do.
  using Mark = std::array<std::uint64_t, 7>;

  virtual ~KeySource() = default;
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  /// The keys of now.
  virtual Result<Keyring> keyring() = 0;
  /// At the cost of one system call. Empty: it cannot be told but by asking for the keys, which is then done once in
  /// `pause` at most, unless the host itself says that they have changed.
  virtual std::optional<Mark> mark() noexcept { return std::nullopt; }
  virtual std::chrono::milliseconds pause() const noexcept { return std::chrono::milliseconds{1000}; }
  /// Replaces the keys by what `change` makes of them, durable on return; one change at a time. `unsupported` unless
  /// it is a key file.
  virtual Result<void> replace(const std::function<Result<void>(Keyring&)>& change);

 protected:
  KeySource() = default;
};

/// A key file (docs/keys.md). Its directory must be writable for whoever changes the keys, not for whoever uses them.
std::shared_ptr<KeySource> key_file_source(std::string path, KeyFileTrust trust = {});
/// The credential of systemd's of this name.
Result<std::shared_ptr<KeySource>> key_credential_source(std::string_view name);
/// A function of the host's: a key management service, say. It is called from any thread that uses the store, by one
/// at a time, and whoever waits for the keys waits for it. What it throws is a failure to give the keys.
std::shared_ptr<KeySource> key_callback_source(std::function<Result<Keyring>()> ask,
                                               std::chrono::milliseconds pause = std::chrono::milliseconds{1000});

}  // namespace tokenstore

// ---- include/tokenstore/statistics.hpp -----------------------------------------------------------------------

/// Counters of a store since it was opened, in this process.



namespace tokenstore {

struct Statistics {
  std::uint64_t hits = 0;           ///< validations answered from the cache
  std::uint64_t misses = 0;         ///< validations that asked storage
  std::uint64_t negative_hits = 0;  ///< tokens known to be gone, answered from the cache
  std::uint64_t malformed = 0;
  std::uint64_t forged = 0;
  std::uint64_t unavailable = 0;
  std::uint64_t catch_ups = 0;    ///< times the change feed was read
  std::uint64_t dropped_all = 0;  ///< catch-ups that had to forget everything
  std::uint64_t evictions = 0;
  std::uint64_t uses_written = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t cache_bytes = 0;  ///< memory the cache holds now
  /// Answers that were asked of storage and not kept: somebody else was filling the cache,
  std::uint64_t not_kept_busy = 0;
  std::uint64_t not_kept_changed = 0;  ///< something had changed meanwhile,
  std::uint64_t not_kept_no_room = 0;  ///< nothing could make room for them
  /// Catch-ups that met a change feed which does not fit what was read of it before: it was changed outside the
  /// library, or an older state was put back. Everything was forgotten then.
  std::uint64_t feed_mismatches = 0;
  std::uint64_t keys_taken = 0;    ///< times that others came into use in place of the keys
  std::uint64_t keys_refused = 0;  ///< times that the source of the keys gave none that could be taken
  /// Validations that were denied, and changes that were refused, because a record is an earlier state than the journal
  /// knows.
  std::uint64_t rolled_back = 0;
  std::uint64_t healed = 0;  ///< records that were put forward again from the journal
};

/// Why a validation was `unavailable`.
struct Unavailability {
  Error error;  ///< storage's own: its line is for the log
  UnixMillis at = 0;
};

}  // namespace tokenstore

// ---- include/tokenstore/backends/sqlite.hpp ------------------------------------------------------------------

/// The embedded default: one SQLite file, for one machine and many processes.



namespace tokenstore {

struct SqliteOptions {
  std::string path{};
  bool create = true;      ///< create the file (mode 0600) if it is missing
  bool read_only = false;  ///< works on a read-only file system too; every write answers `read_only`
  std::chrono::milliseconds busy_timeout{5000};  ///< how long a write waits for another process's
  /// What commit() waits for. `full`: a power cut loses nothing. Weakening it has a name on purpose.
  enum class Durability : std::uint8_t { full, survives_crash_but_not_power_cut } durability = Durability::full;
  std::string vfs{};  ///< SQLite VFS name; empty: the default. For tests.
};

/// Opens or creates the file. Checks that it is ours, of a schema this version knows, and on a local
/// file system; costs the same at ten tokens and at ten million.
Result<std::shared_ptr<Backend>> sqlite_backend(const SqliteOptions& options);

// What backup and restore (tokenstore/transfer.hpp) need of SQLite. A host calls those instead.

/// Makes of a database, which nobody else has open, what a backup holds: one file, which is not opened as a store.
Result<void> make_sqlite_backup(const std::string& path);
/// What a backup holds, to be read. Its seal is not looked at. Nobody may write the file meanwhile.
Result<std::shared_ptr<Backend>> sqlite_backup_backend(const std::string& path);

/// How a database is replaced by what a backup holds.
struct SqliteReplacement {
  /// Writes the backup, without what follows the database in it, to an open file.
  std::function<Result<void>(int file)> write{};
  /// If set: may change the new database, which nobody else knows yet.
  std::function<Result<void>(const std::string& path)> prepare{};
  /// Asked before the change, with the path of the new database as it will be, and again, while nobody can write, if
  /// the old one has changed since. Its answer, if not OK, ends the replacement, and nothing has happened. Not asked if
  /// there is no old one, or it cannot be read.
  std::function<Result<void>(const std::string& path)> judge{};
  /// Replace what is damaged as well; else that is a `conflict`. A database of another application, or a backup, is
  /// `refused` in any case.
  bool replace_damaged = false;
};
/// Writes a database beside another and swaps the two in one step: at no time is there half a database, or none.
/// The old one is kept, with all that was committed in it. Who has it open gets `unavailable` from the next call that
/// looks at storage, and has to open it again. Answers the name of the old file, empty if there was none. `unknown`: it
/// was done, but may not outlive a power cut.
Result<std::string> replace_sqlite(const SqliteOptions& options, const SqliteReplacement& replacement);

}  // namespace tokenstore

// ---- include/tokenstore/transfer.hpp -------------------------------------------------------------------------

/// A whole store on its way from one storage to another: copy, backup, restore. Every workspace, owner and token, and
/// the store's own record, as they are: it is the same store afterwards, and every seal in it verifies.
///
/// Thread use: one thread calls; every backend may be used by others meanwhile. Nothing is owned. A keyring is the
/// store's.



namespace tokenstore {

struct CopyOptions {
  /// Tokens that only the target has are removed; else finding one is a `conflict`.
  bool delete_extra = false;
  /// Called now and then with the tokens of the workspace that were looked at. Returning false stops with `conflict`.
  std::function<bool(const std::string& workspace, std::uint64_t tokens)> progress{};
};

struct CopyReport {
  std::vector<std::string> workspaces;
  std::uint64_t tokens = 0;     ///< seen in the source
  std::uint64_t owners = 0;     ///< seen in the source
  std::uint64_t written = 0;    ///< records put into the target, or removed there
  std::uint64_t different = 0;  ///< records that changed in the source meanwhile: copy again
};

/// Makes `to` hold what `from` holds: an empty storage, or an earlier copy. The source's change feed is only followed
/// where it is genuine, and the target's is told of what changes there. `wrong_key` if the keyring is not the store's,
/// `conflict` if the target is another store, holds newer records or more tokens than the source.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options = {});

struct BackupOptions {
  /// An earlier backup of this name is replaced; else that is a `conflict`. Anything else is never replaced.
  bool overwrite = false;
  /// With what is done and, if known, what there is to do. Returning false stops with `conflict`.
  Progress progress{};
};

/// What a backup says of itself, under its seal.
struct BackupInfo {
  Bytes16 store{};         ///< StoreRecord::id
  UnixMillis made_at = 0;  ///< when it was begun: what is later may be missing
  std::uint64_t workspaces = 0;
  std::uint64_t owners = 0;
  std::uint64_t tokens = 0;
  std::uint64_t revision = 0;  ///< of all workspaces together: how many changes were announced
  std::uint64_t size = 0;      ///< octets of the database in it
};

/// Writes a store into one file, mode 0600, while it is in use. It is written beside, made durable and then given its
/// name: there is a whole backup of that name or none. Of SQLite it is one moment's; of other storage each record is as
/// it was at some moment during the backup, and whatever was acknowledged before it began is in it. The keys are not:
/// keep them elsewhere. `wrong_key` if the keyring is not the store's.
Result<BackupInfo> backup_store(Backend& from, Keyring keyring, const std::string& path,
                                const BackupOptions& options = {});
/// Reads a backup to its end and verifies its seal. `not_a_store` if it is none, or was cut short; `tampered` if it was
/// altered, or is of another keyring's store; `wrong_key` if the keyring has not the key of its seal.
Result<BackupInfo> verify_backup(const std::string& path, Keyring keyring, const Progress& progress = {});

/// What a store has and its backup does not: what is undone by restoring.
struct Losses {
  std::uint64_t endings = 0;      ///< tokens that had ended or were deleted, and live in the backup
  std::uint64_t suspensions = 0;  ///< owners who were suspended, or might not use tokens, and may in the backup
  std::uint64_t tokens = 0;       ///< that were issued since
  std::uint64_t changes = 0;      ///< other records that were changed since
  bool any() const noexcept { return endings + suspensions + tokens + changes != 0; }
};

struct RestoreOptions {
  /// Where to; its `read_only`, `durability` and `create` are not looked at. A database that is there is replaced.
  SqliteOptions sqlite{};
  /// A store that has what the backup has not, or that is damaged, is replaced too; else that is a `conflict`. Another
  /// store, or another application's database, never is.
  bool overwrite = false;
  /// Called with what the backup holds, before it takes its place: what is changed there is in place from the first
  /// moment. An error ends the restoring, and nothing has happened.
  std::function<Result<void>(Backend& restored)> heal{};
  Progress progress{};
};

struct RestoreReport {
  BackupInfo backup;
  std::string kept_file;  ///< the database that was there; empty: there was none
  bool compared = false;  ///< `lost` is known: there was a store, and it could be read
  Losses lost;
};

/// Puts what a backup holds in the place of a SQLite database, once its seal is verified. It is written beside and
/// swapped in one step; who has the old one open gets `unavailable`, and opens it again. `unknown`: it was done, but
/// may not outlive a power cut.
Result<RestoreReport> restore_sqlite(const std::string& backup, Keyring keyring, const RestoreOptions& options);
/// The same into other storage: an empty one, or an earlier copy of the store, as copy_store().
Result<CopyReport> restore_into(const std::string& backup, Backend& to, Keyring keyring,
                                const CopyOptions& options = {});

}  // namespace tokenstore

// ---- include/tokenstore/store.hpp ----------------------------------------------------------------------------

/// TokenStore: issue, validate, list, expire, revoke and delete the tokens of one workspace.
///
/// Thread use: every method may be called from several threads at once. Ownership: a store owns its
/// keyring and shares its backend; destroy it when no call is under way. A method that returns OK for
/// a change has made it durable. With a journal a change can fail with `not_journaled`: it holds all the same. Every
/// method may throw std::bad_alloc except validate; nothing else is ever thrown.



namespace tokenstore {

struct StoreOptions {
  std::string workspace = "default";                ///< 1..255 octets of UTF-8, no control characters
  std::string prefix = "pat";                       ///< lower *(lower / DIGIT) *("_" 1*(lower / DIGIT)), 2..24 octets
  bool create_workspace = true;                     ///< make it, with the default policy, if it does not exist
  std::size_t cache_bytes = std::size_t{64} << 20;  ///< the validator's budget; 0: no cache
  std::chrono::milliseconds use_interval{60'000};   ///< how often last uses are written out
  bool upkeep_thread = false;                       ///< run maintain() in a thread of the store's own
  /// A file outside the database that testifies to what was ended, so that an older database brings nothing back
  /// (docs/audit.md). Made if it is missing; shared by the processes of this machine. Empty: none.
  std::string journal{};
  /// When the journal begins a new segment, in upkeep: when this one has grown by so many octets since it began, and by
  /// as many as it began with (0: 64 MiB), or is so old and holds anything (0: however old it is). Earlier segments are
  /// kept until an administrator removes them.
  std::uint64_t journal_segment_bytes = 0;
  std::chrono::milliseconds journal_segment_age{0};
  /// Of meaning if root runs the program: the journal may belong to whom this file or directory belongs to.
  std::string journal_owner_of{};
  std::shared_ptr<Clock> clock{};          ///< null: the system's
  std::shared_ptr<RandomSource> random{};  ///< null: the system's
};

class TokenStore {
 public:
  /// Opens a workspace of a backend. `wrong_key` if the keyring is not the one that sealed it. Of the journal:
  /// `journal_damaged`, `not_a_store` if it is another store's, `cannot_open` if its file is not to be taken.
  static Result<std::unique_ptr<TokenStore>> open(std::shared_ptr<Backend> backend, Keyring keyring,
                                                  StoreOptions options = {});
  /// The same with keys that may change while the store is open: whenever the source has others, they are taken.
  static Result<std::unique_ptr<TokenStore>> open(std::shared_ptr<Backend> backend, std::shared_ptr<KeySource> keys,
                                                  StoreOptions options = {});
  /// Writes out last uses. Anything else is already durable.
  ~TokenStore();
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;

  /// Is this text a token that may do this now? The only way to ask. Never throws, never writes.
  /// `text` is what the client sent, without "Bearer ". It is not kept.
  Verdict validate(std::string_view text, const Demand& demand) noexcept;
  /// The same into a verdict of the caller's, which may be used again and again.
  void validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;
  /// The same if it can be answered without storage, as most can: then true. It asks storage for its pulse alone, which
  /// waits for nothing (but on a VFS of SQLite's without shared memory, where it looks at the file), so that an event
  /// loop may call it. False: validate() has to be asked, and the verdict says `unavailable`.
  [[nodiscard]] bool try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;

  Result<Issued> issue(const Actor& actor, const IssueRequest& request);
  /// All or none of them, in one commit. In the order of the requests.
  Result<std::vector<Issued>> issue_many(const Actor& actor, std::span<const IssueRequest> requests);

  Result<TokenInfo> get(const Actor& actor, std::string_view id);
  Result<TokenPage> list(const Actor& actor, const ListQuery& query);
  /// Tokens per state, of one owner or (empty) of everyone. Cost grows with what it counts.
  Result<StateCounts> count(const Actor& actor, std::string_view owner = {});

  /// Brings the end forward to `at`, or to now (absent, or a time gone by). Never later: a later time
  /// than the token has is `invalid_argument`. Ended already: OK, and nothing changes.
  Result<TokenInfo> expire(const Actor& actor, std::string_view id, std::optional<UnixMillis> at = {});
  /// Ends the token for good. The record stays. Revoked already: OK, and nothing changes.
  Result<TokenInfo> revoke(const Actor& actor, std::string_view id, std::string_view reason = {});
  /// Revokes every token of an owner that has not ended. An issue that was under way is refused.
  /// Returns how many. Works in several commits: an error, or no memory, may come after some tokens were
  /// revoked; ask again for the others, or suspend the owner, which stops all at once.
  Result<std::uint64_t> revoke_all(const Actor& actor, std::string_view owner, std::string_view reason = {});
  /// Deletes the record. Cannot be undone; `not_found` the second time.
  Result<void> remove(const Actor& actor, std::string_view id);

  Result<OwnerInfo> owner(const Actor& actor, std::string_view owner);
  Result<OwnerPage> list_owners(const Actor& actor, std::string_view cursor = {}, std::size_t limit = 50);
  /// Sets what an owner may do; the owner need not have tokens yet.
  Result<OwnerInfo> set_owner(const Actor& actor, std::string_view owner, const OwnerSettings& settings);
  /// Every token of theirs stops at once / works again. Repeating it changes nothing.
  Result<OwnerInfo> suspend(const Actor& actor, std::string_view owner, std::string_view reason = {});
  Result<OwnerInfo> resume(const Actor& actor, std::string_view owner);

  Result<Policy> policy(const Actor& actor);
  Result<Policy> set_policy(const Actor& actor, const Policy& policy);

  /// Deletes tokens that ended before a time, in slices, for about `budget`. An error may come after some of
  /// them; ask again.
  Result<PurgeResult> purge(const Actor& actor, UnixMillis ended_before,
                            std::chrono::milliseconds budget = std::chrono::milliseconds{1000});

  /// Seals records anew under the active key, in slices, for about `budget`, while the store is in use. `cursor` is
  /// empty at first, then the `next` of the call before: it may be kept, and used by another process. What is sealed
  /// already is only read. A key that check() finds nothing hanging on can then be retired and taken out.
  Result<ResealResult> reseal(const Actor& actor, std::string_view cursor = {},
                              std::chrono::milliseconds budget = std::chrono::milliseconds{1000});
  // Keys, which are the whole store's: `permission_denied` for anybody but the host. Those that change some answer
  // `unsupported` unless the keys are in a key file, and can be asked for again after any error. Other processes take
  // part as soon as they look at storage again.

  /// The keys and what hangs on each, in the order of the keyring; then those that it does not hold. Reads every
  /// record.
  Result<std::vector<KeyStatus>> key_status(const Actor& actor, const Progress& progress = {});
  /// Adds a new key, verify-only, and returns its id.
  Result<std::string> add_key(const Actor& actor);
  /// Makes a key the active one: when this has returned, nobody who takes part issues or seals with another one.
  Result<void> activate_key(const Actor& actor, std::string_view id);
  /// Ends the tokens of a verify-only key. `refused` if it is active, or seals anything that outlives it: reseal()
  /// first, in every workspace. Reads every record.
  Result<void> retire_key(const Actor& actor, std::string_view id);
  /// Takes a key out. `refused` if it is active, or if anything hangs on it. Reads every record.
  Result<void> remove_key(const Actor& actor, std::string_view id);
  /// Asks the source of the keys outright, for hosts that know that there are others. True: there were. `unsupported`
  /// if the store was opened with a keyring; other errors say why the keys stay what they were.
  Result<bool> reload_keys();

  /// Puts forward again what storage shows in an earlier state than the journal knows: it ends, is deleted or is set as
  /// it was. Opening does it where the database is older than the journal, and upkeep as soon as it is noticed; until
  /// then such records are denied (`rolled_back`). For an administrator or the host; `unsupported` without a journal.
  Result<HealReport> heal(const Actor& actor, const Progress& progress = {});

  /// Verifies every seal of the workspace, its change feed and the storage's own integrity. May take long.
  Result<CheckReport> check(const Actor& actor, const Progress& progress = {});

  /// Writes everything that the storage holds, every workspace of it, into one file, as backup_store() does. For the
  /// host alone. restore_sqlite() makes a store of it again.
  Result<BackupInfo> backup(const Actor& actor, const std::string& path, const BackupOptions& options = {});
  /// Makes other storage hold what this one holds, as copy_store() does. For the host alone.
  Result<CopyReport> copy_to(const Actor& actor, Backend& to, const CopyOptions& options = {});

  /// Housekeeping for about `budget`: writes out last uses that are due, lets the backend tidy up.
  /// True: there is more to do. A host without the upkeep thread calls it every few seconds.
  Result<bool> maintain(std::chrono::milliseconds budget = std::chrono::milliseconds{50});

  Statistics statistics() const noexcept;
  /// Why the latest validation in this process that was `unavailable` was: a line for the log. Absent: none was.
  std::optional<Unavailability> why_unavailable() const;
  /// A regular expression (ERE, and PCRE alike) that finds this store's tokens in any text.
  std::string scanner_pattern() const;
  const std::string& workspace() const noexcept;
  const std::string& prefix() const noexcept;
  /// Effective now: never goes back while the store is open.
  UnixMillis now() noexcept;

  /// The library's own.
  class Impl;

 private:
  explicit TokenStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Heals every workspace of a storage from the journal that `options` name, before anybody uses it, and answers how
/// many records were put forward: what RestoreOptions::heal is for. `keys` is asked for each workspace; of the options
/// only the journal, its owner and the clock are looked at. Errors as of TokenStore::open() and heal().
Result<std::uint64_t> heal_from_journal(Backend& storage, const std::function<Result<Keyring>()>& keys,
                                        const StoreOptions& options);

}  // namespace tokenstore

// ---- capi/src/handles.hpp ------------------------------------------------------------------------------------

/// What the incomplete types of tokenstore.h are. Owned by the caller, who frees them.



struct tokenstore_store {
  std::shared_ptr<tokenstore::capi::Guest> guest;  ///< storage of the host's own; else null
  std::unique_ptr<tokenstore::TokenStore> store;
  std::string created_key_file;
};

struct tokenstore_error {
  std::string message;
};

struct tokenstore_keyring {
  tokenstore::Keyring keyring;
};

struct tokenstore_token {
  tokenstore_token() = default;
  explicit tokenstore_token(tokenstore::TokenInfo token);

  /// Makes room for the scopes of any token, or of one whose request spells them in `scopes_size` bytes, so
  /// that set() needs no memory: called before a change, which must not be reported as failed once
  /// it is done.
  void reserve(std::size_t scopes_size = TOKENSTORE_SCOPES_TEXT_MAX) { scopes.reserve(scopes_size); }
  void set(tokenstore::TokenInfo token);
  void describe(tokenstore_token_info* out_info) const;

  tokenstore::TokenInfo info;
  std::string scopes;  ///< joined, with single spaces between
};

struct tokenstore_page {
  std::vector<tokenstore_token> tokens;
  std::string next;
};

struct tokenstore_owner {
  void describe(tokenstore_owner_info* out_info) const;

  tokenstore::OwnerInfo info;
};

struct tokenstore_owner_page {
  std::vector<tokenstore_owner> owners;
  std::string next;
};

struct tokenstore_check_report {
  tokenstore::CheckReport report;
};

struct tokenstore_key_report {
  std::vector<tokenstore::KeyStatus> keys;
};

// ---- capi/src/guard.hpp --------------------------------------------------------------------------------------

/// The one place where C++ ends: every exported function runs its body in one of these guards, which
/// turn any exception into a status. Stateless; any thread.



namespace tokenstore::capi {

#ifdef TOKENSTORE_CAPI_TEST_HOOK
/// Test builds only: called first in every guard, and may throw.
void test_hook();
#else
inline void test_hook() noexcept {}
#endif

/// How a body says that it failed. Keeps its status even if there is no memory for the message.
class Failure {
 public:
  Failure(Status status, std::string_view message) noexcept : status_(status) {
    try {
      message_ = message;
    } catch (const std::bad_alloc&) {
      message_.clear();
    }
  }

  std::int32_t status() const noexcept { return static_cast<std::int32_t>(status_); }
  const std::string& message() const noexcept { return message_; }

 private:
  Status status_;
  std::string message_;
};

[[noreturn]] inline void fail(Status status, std::string_view message) {
  throw Failure(status, message);
}

[[noreturn]] inline void refuse(std::string_view message) {
  fail(Status::invalid_argument, message);
}

/// The value of a result, or its error as a Failure.
template <typename T>
T take(Result<T> result) {
  if (!result.ok()) fail(result.error().status(), result.error().message());
  return std::move(*result);
}

inline void take(const Result<void>& result) {
  if (!result.ok()) fail(result.error().status(), result.error().message());
}

/// Gives the caller an error, or NULL if it has no use for one or there is no memory for it.
std::int32_t report(tokenstore_error** out_error, std::int32_t status, std::string_view message) noexcept;

/// For functions that answer a status.
template <typename Body>
std::int32_t guard(tokenstore_error** out_error, const Body& body) noexcept {
  if (out_error != nullptr) *out_error = nullptr;
  try {
    test_hook();
    body();
    return TOKENSTORE_OK;
  } catch (const Failure& failure) {
    return report(out_error, failure.status(), failure.message());
  } catch (const std::bad_alloc&) {
    return report(out_error, TOKENSTORE_OUT_OF_MEMORY, "no memory is left; free some and try again");
  } catch (...) {
    return report(out_error, TOKENSTORE_INTERNAL, "the library failed in a way it should not; please report it");
  }
}

/// For functions that cannot fail: answers `fallback` if they do.
template <typename Value, typename Body>
Value guard_value(Value fallback, const Body& body) noexcept {
  try {
    test_hook();
    return body();
  } catch (...) {
    return fallback;
  }
}

/// For functions that free a handle.
template <typename Handle>
void guard_free(Handle* handle) noexcept {
  guard_value(false, [handle] {
    delete handle;
    return true;
  });
}

/// Refuses a handle or an output that is missing.
template <typename T>
T& need(T* pointer, std::string_view what) {
  if (pointer == nullptr) refuse(std::string(what) + " is NULL");
  return *pointer;
}

/// An output that holds a handle: required, and NULL until the end.
template <typename Handle>
Handle*& need_output(Handle** out) {
  Handle*& place = need(out, "the pointer for the answer");
  place = nullptr;
  return place;
}

/// Is this the backend of the store, calling the store that is calling it?
inline bool is_calling_back(const tokenstore_store& store) noexcept {
  return store.guest != nullptr && store.guest->inside();
}

/// The store behind a handle, for every function that needs one.
inline TokenStore& opened_store(tokenstore_store* handle) {
  tokenstore_store& given = need(handle, "the store");
  if (is_calling_back(given)) refuse("a storage backend may not call the store that is calling it");
  return *given.store;
}

}  // namespace tokenstore::capi

// ---- capi/src/structs.hpp ------------------------------------------------------------------------------------

/// Structs of the C ABI on their way in and out, whatever version of the header the caller was compiled
/// with: the `struct_size` rules of tokenstore.h. Stateless; any thread.



namespace tokenstore::capi {

/// What later versions may add to a struct before this one takes the size for garbage.
inline constexpr std::size_t longest_tail = 4096;

/// The caller's sizeof, if it is one of a version since 1.0.
inline std::size_t struct_size_of(const void* given, std::size_t size_1_0, std::size_t size_here,
                                  std::string_view what) {
  if (given == nullptr) refuse(std::string(what) + " is NULL");
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < size_1_0 || size > size_here + longest_tail) {
    refuse("struct_size of " + std::string(what) + " is wrong: set it to sizeof the struct");
  }
  return size;
}

/// A copy of an input: fields that the caller does not know are zero.
template <typename Struct>
Struct read_struct(const Struct* given, std::size_t size_1_0, std::string_view what) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = struct_size_of(given, size_1_0, sizeof(Struct), what);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  const auto known = std::min(size, sizeof(Struct));
  if (std::any_of(bytes + known, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    refuse(std::string(what) + " has a field that this version of the library does not know");
  }
  Struct copy{};
  std::memcpy(&copy, bytes, known);
  return copy;
}

/// Writes an output: as much of it as the caller knows, and zero where this version knows less.
template <typename Struct>
void write_struct(Struct* out, std::size_t size_1_0, std::string_view what, Struct answer) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  const std::size_t size = struct_size_of(out, size_1_0, sizeof(Struct), what);
  auto* bytes = reinterpret_cast<unsigned char*>(out);
  const auto known = std::min(size, sizeof(Struct));
  answer.struct_size = size;
  std::memcpy(bytes, &answer, known);
  std::memset(bytes + known, 0, size - known);
}

}  // namespace tokenstore::capi

/// Both take the size of version 1.0 by the struct's name.
#define TOKENSTORE_READ(type, NAME, given, what) \
  ::tokenstore::capi::read_struct<type>(given, TOKENSTORE_##NAME##_SIZE_1_0, what)
#define TOKENSTORE_WRITE(type, NAME, out, what, answer) \
  ::tokenstore::capi::write_struct<type>(out, TOKENSTORE_##NAME##_SIZE_1_0, what, answer)

// ---- capi/src/values.cpp -------------------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

constexpr std::int64_t longest_budget = millis_per_day;

void check_pointer(const void* data, std::size_t size, std::string_view what) {
  if (data == nullptr && size != 0) refuse(std::string(what) + " is NULL, but its size is not 0");
  if (size > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
    refuse("the size of " + std::string(what) + " is impossible");
  }
}

}  // namespace

std::string_view text(const char* data, std::size_t size, std::string_view what) {
  check_pointer(data, size, what);
  return data == nullptr ? std::string_view() : std::string_view(data, size);
}

std::string path(const char* data, std::size_t size, std::string_view what) {
  const std::string_view given = text(data, size, what);
  if (given.find('\0') != std::string_view::npos) refuse(std::string(what) + " holds a zero byte");
  return std::string(given);
}

std::span<const std::uint8_t> bytes(const std::uint8_t* data, std::size_t size, std::string_view what) {
  check_pointer(data, size, what);
  return {data, size};
}

bool flag(std::int32_t value, std::string_view what) {
  if (value != 0 && value != 1) refuse(std::string(what) + " is a flag: set it to 0 or 1");
  return value == 1;
}

void need_zero(std::int32_t reserved, std::string_view what) {
  if (reserved != 0) refuse("the reserved field of " + std::string(what) + " is not 0");
}

std::chrono::milliseconds budget(std::int64_t milliseconds, std::int64_t standard) {
  if (milliseconds < 0) refuse("the time budget is negative");
  return std::chrono::milliseconds(milliseconds == 0 ? standard : std::min(milliseconds, longest_budget));
}

Actor actor(const tokenstore_actor* given) {
  const auto known = TOKENSTORE_READ(tokenstore_actor, ACTOR, given, "the actor");
  need_zero(known.reserved, "the actor");
  const std::string_view name = text(known.name, known.name_size, "the actor's name");
  switch (known.kind) {
    case TOKENSTORE_ACTOR_USER:
      return Actor::user(std::string(name));
    case TOKENSTORE_ACTOR_ADMINISTRATOR:
      return Actor::administrator(std::string(name));
    case TOKENSTORE_ACTOR_HOST:
      if (!name.empty()) refuse("an actor that is the host has no name");
      return Actor::host();
    default:
      refuse("the actor's kind is missing or not known: set it to one of TOKENSTORE_ACTOR_...");
  }
}

Progress progress_of(tokenstore_progress progress, void* context) {
  if (progress == nullptr) return {};
  return [progress, context](std::uint64_t done, std::uint64_t total) { return progress(context, done, total) == 0; };
}

void need_room(std::size_t size, const char* buffer, std::size_t buffer_size, std::size_t* out_size) {
  std::size_t& needed = need(out_size, "the pointer for the size");
  needed = size + 1;
  if (buffer == nullptr && buffer_size != 0) refuse("the buffer is NULL, but its size is not 0");
  if (buffer_size < needed) {
    fail(Status::buffer_too_small, "the buffer is too small: " + std::to_string(needed) + " bytes are needed");
  }
}

void write_text(std::string_view text, char* buffer, std::size_t buffer_size, std::size_t* out_size) {
  need_room(text.size(), buffer, buffer_size, out_size);
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  *out_size = text.size();
}

}  // namespace tokenstore::capi

// ---- capi/src/backend/records.hpp ----------------------------------------------------------------------------

/// Records of storage as the structs of tokenstore_backend.h, and back. Stateless; any thread.
///
/// `view`: a struct whose pointers are the record's own, valid as long as it is. `copy`: an owned record, its
/// texts cut to the largest size that is legal; what is malformed beyond that is a Failure.


namespace tokenstore::capi {

tokenstore_token_record view(const TokenRecord& record) noexcept;
tokenstore_owner_record view(const OwnerRecord& record) noexcept;
tokenstore_workspace_record view(const WorkspaceRecord& record) noexcept;
tokenstore_store_record view(const StoreRecord& record) noexcept;

TokenRecord copy(const tokenstore_token_record* record);
OwnerRecord copy(const tokenstore_owner_record* record);
WorkspaceRecord copy(const tokenstore_workspace_record* record);
StoreRecord copy(const tokenstore_store_record* record);

/// A text of `record`, no longer than `most`.
std::string cut_text(const char* data, std::size_t size, std::size_t most, std::string_view what);
RecordKind record_kind(std::int32_t kind);

/// The header's numbers and the library's; both directions go by the same table of the state filter.
std::int32_t state_filter(TokenQuery::State state) noexcept;
TokenQuery::State state_filter(std::int32_t state);

}  // namespace tokenstore::capi

// ---- capi/src/backend/records.cpp ----------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

static_assert(TOKENSTORE_SEAL_SIZE == std::tuple_size_v<Bytes32> &&
              TOKENSTORE_BIRTH_SIZE == std::tuple_size_v<Bytes16>);
static_assert(TOKENSTORE_OWNER_MAX == owner_max && TOKENSTORE_OWNER_MAX == workspace_max);
static_assert(TOKENSTORE_DESCRIPTION_MAX == description_max && TOKENSTORE_DESCRIPTION_MAX == reason_max);
static_assert(TOKENSTORE_METADATA_MAX == metadata_max && TOKENSTORE_ID_SIZE == token_id_size);
static_assert(TOKENSTORE_USED_FROM_MAX == client_address_max);

void show(const std::string& text, const char*& data, std::size_t& size) noexcept {
  data = text.data();
  size = text.size();
}

template <std::size_t size>
void show(const std::array<std::uint8_t, size>& bytes, std::uint8_t (&place)[size]) noexcept {
  std::memcpy(place, bytes.data(), size);
}

template <std::size_t size>
std::array<std::uint8_t, size> copy_bytes(const std::uint8_t (&place)[size]) noexcept {
  std::array<std::uint8_t, size> bytes;
  std::memcpy(bytes.data(), place, size);
  return bytes;
}

}  // namespace

std::string cut_text(const char* data, std::size_t size, std::size_t most, std::string_view what) {
  return std::string(text(data, size, what).substr(0, most));
}

tokenstore_token_record view(const TokenRecord& record) noexcept {
  tokenstore_token_record out{};
  out.struct_size = sizeof out;
  show(record.id, out.id, out.id_size);
  show(record.key_id, out.key_id, out.key_id_size);
  show(record.owner, out.owner, out.owner_size);
  show(record.description, out.description, out.description_size);
  show(record.scopes, out.scopes, out.scopes_size);
  show(record.metadata, out.metadata, out.metadata_size);
  show(record.created_by, out.created_by, out.created_by_size);
  show(record.revoked_by, out.revoked_by, out.revoked_by_size);
  show(record.revoke_reason, out.revoke_reason, out.revoke_reason_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  show(record.last_used_from, out.last_used_from, out.last_used_from_size);
  out.created_at = record.created_at;
  out.not_before = record.not_before;
  out.expires_at = record.expires_at;
  out.expired_at = record.expired_at;
  out.revoked_at = record.revoked_at;
  out.revoke_all_count = record.revoke_all_count;
  show(record.owner_birth, out.owner_birth);
  out.last_used_at = record.last_used_at;
  out.revision = record.revision;
  show(record.verifier, out.verifier);
  show(record.seal, out.seal);
  return out;
}

TokenRecord copy(const tokenstore_token_record* record) {
  constexpr std::string_view what = "a text of a token's record";
  const auto in = TOKENSTORE_READ(tokenstore_token_record, TOKEN_RECORD, record, "a token's record");
  TokenRecord out;
  out.id = cut_text(in.id, in.id_size, TOKENSTORE_ID_SIZE, what);
  out.key_id = cut_text(in.key_id, in.key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.owner = cut_text(in.owner, in.owner_size, TOKENSTORE_OWNER_MAX, what);
  out.description = cut_text(in.description, in.description_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.scopes = cut_text(in.scopes, in.scopes_size, TOKENSTORE_SCOPES_TEXT_MAX, what);
  out.metadata = cut_text(in.metadata, in.metadata_size, TOKENSTORE_METADATA_MAX, what);
  out.created_by = cut_text(in.created_by, in.created_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.revoked_by = cut_text(in.revoked_by, in.revoked_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.revoke_reason = cut_text(in.revoke_reason, in.revoke_reason_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.last_used_from = cut_text(in.last_used_from, in.last_used_from_size, TOKENSTORE_USED_FROM_MAX, what);
  out.created_at = in.created_at;
  out.not_before = in.not_before;
  out.expires_at = in.expires_at;
  out.expired_at = in.expired_at;
  out.revoked_at = in.revoked_at;
  out.revoke_all_count = in.revoke_all_count;
  out.owner_birth = copy_bytes(in.owner_birth);
  out.last_used_at = in.last_used_at;
  out.revision = in.revision;
  out.verifier = copy_bytes(in.verifier);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_owner_record view(const OwnerRecord& record) noexcept {
  tokenstore_owner_record out{};
  out.struct_size = sizeof out;
  show(record.owner, out.owner, out.owner_size);
  show(record.suspended_by, out.suspended_by, out.suspended_by_size);
  show(record.suspend_reason, out.suspend_reason, out.suspend_reason_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.suspended_at = record.suspended_at;
  out.revoke_all_count = record.revoke_all_count;
  out.revision = record.revision;
  out.may_issue = flag(record.may_issue);
  out.may_use = flag(record.may_use);
  show(record.birth, out.birth);
  show(record.seal, out.seal);
  return out;
}

OwnerRecord copy(const tokenstore_owner_record* record) {
  constexpr std::string_view what = "a text of an owner's record";
  const auto in = TOKENSTORE_READ(tokenstore_owner_record, OWNER_RECORD, record, "an owner's record");
  OwnerRecord out;
  out.owner = cut_text(in.owner, in.owner_size, TOKENSTORE_OWNER_MAX, what);
  out.suspended_by = cut_text(in.suspended_by, in.suspended_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.suspend_reason = cut_text(in.suspend_reason, in.suspend_reason_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.suspended_at = in.suspended_at;
  out.revoke_all_count = in.revoke_all_count;
  out.revision = in.revision;
  out.may_issue = flag(in.may_issue, "may_issue");
  out.may_use = flag(in.may_use, "may_use");
  out.birth = copy_bytes(in.birth);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_workspace_record view(const WorkspaceRecord& record) noexcept {
  tokenstore_workspace_record out{};
  out.struct_size = sizeof out;
  show(record.workspace, out.workspace, out.workspace_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.longest_lifetime = record.longest_lifetime;
  out.default_lifetime = record.default_lifetime;
  out.created_at = record.created_at;
  out.revision = record.revision;
  out.most_active_per_owner = record.most_active_per_owner;
  out.tokens_enabled = flag(record.tokens_enabled);
  out.users_may_issue = flag(record.users_may_issue);
  out.never_allowed = flag(record.never_allowed);
  show(record.birth, out.birth);
  show(record.seal, out.seal);
  return out;
}

WorkspaceRecord copy(const tokenstore_workspace_record* record) {
  constexpr std::string_view what = "a text of a workspace's record";
  const auto in = TOKENSTORE_READ(tokenstore_workspace_record, WORKSPACE_RECORD, record, "a workspace's record");
  WorkspaceRecord out;
  out.workspace = cut_text(in.workspace, in.workspace_size, TOKENSTORE_OWNER_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.longest_lifetime = in.longest_lifetime;
  out.default_lifetime = in.default_lifetime;
  out.created_at = in.created_at;
  out.revision = in.revision;
  out.most_active_per_owner = in.most_active_per_owner;
  out.tokens_enabled = flag(in.tokens_enabled, "tokens_enabled");
  out.users_may_issue = flag(in.users_may_issue, "users_may_issue");
  out.never_allowed = flag(in.never_allowed, "never_allowed");
  out.birth = copy_bytes(in.birth);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_store_record view(const StoreRecord& record) noexcept {
  tokenstore_store_record out{};
  out.struct_size = sizeof out;
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.created_at = record.created_at;
  out.revision = record.revision;
  show(record.id, out.id);
  show(record.seal, out.seal);
  return out;
}

StoreRecord copy(const tokenstore_store_record* record) {
  const auto in = TOKENSTORE_READ(tokenstore_store_record, STORE_RECORD, record, "the store's record");
  StoreRecord out;
  out.seal_key_id =
      cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, "a text of the store's record");
  out.created_at = in.created_at;
  out.revision = in.revision;
  out.id = copy_bytes(in.id);
  out.seal = copy_bytes(in.seal);
  return out;
}

RecordKind record_kind(std::int32_t kind) {
  if (kind < TOKENSTORE_RECORD_TOKEN || kind > TOKENSTORE_RECORD_STORE) refuse("the kind of a record is not known");
  return static_cast<RecordKind>(kind);
}

std::int32_t state_filter(TokenQuery::State state) noexcept {
  switch (state) {
    case TokenQuery::State::any:
      break;
    case TokenQuery::State::active:
      return TOKENSTORE_STATE_ACTIVE;
    case TokenQuery::State::pending:
      return TOKENSTORE_STATE_PENDING;
    case TokenQuery::State::expired:
      return TOKENSTORE_STATE_EXPIRED;
    case TokenQuery::State::revoked:
      return TOKENSTORE_STATE_REVOKED;
  }
  return 0;
}

TokenQuery::State state_filter(std::int32_t state) {
  for (const auto one : {TokenQuery::State::any, TokenQuery::State::active, TokenQuery::State::pending,
                         TokenQuery::State::expired, TokenQuery::State::revoked}) {
    if (state_filter(one) == state) return one;
  }
  refuse("the state is not known");
}

}  // namespace tokenstore::capi

// ---- capi/src/backend/export.hpp -----------------------------------------------------------------------------

/// A C++ backend as the C functions of tokenstore_backend.h, for libraries that ship one and see nothing of
/// libtokenstore but its C interface; and for tests that run ours through that interface.
///
/// Thread use: as the backend's. No exception leaves a function.



namespace tokenstore::capi {

/// `make` is called by `open`, once, and its error is what the host reads. `capabilities` are
/// TOKENSTORE_BACKEND_... bits: THREAD_SAFE, which every Backend is, is added. The context belongs to whoever has the
/// answer: hand it to tokenstore_open_backend, or call its `close`.
tokenstore_backend export_backend(std::string name, std::uint32_t capabilities,
                                  std::function<Result<std::shared_ptr<Backend>>()> make);

}  // namespace tokenstore::capi

// ---- capi/src/backend/export.cpp -----------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

struct Exported {
  std::string name;
  std::function<Result<std::shared_ptr<Backend>>()> make;
  std::shared_ptr<Backend> backend{};
};

std::int32_t fail(tokenstore_answer* answer, Status status, std::string_view message) noexcept {
  return answer->fail(answer, static_cast<std::int32_t>(status), message.data(), message.size());
}
std::int32_t fail(tokenstore_answer* answer, const Error& error) noexcept {
  return fail(answer, error.status(), error.message());
}

/// Runs `body(backend)`, which answers a status; whatever it throws is a failure.
template <typename Body>
std::int32_t run(void* context, tokenstore_answer* answer, const Body& body) noexcept {
  try {
    return body(*static_cast<Exported*>(context)->backend);
  } catch (const std::bad_alloc&) {
    return fail(answer, Status::out_of_memory, "no memory is left; free some and try again");
  } catch (const Failure& failure) {
    return fail(answer, Status::invalid_argument, failure.message());
  } catch (...) {
    return fail(answer, Status::internal, "the storage failed in a way it should not; please report it");
  }
}

/// The same for an entry that emits the value of a Result.
template <typename Ask, typename Emit>
std::int32_t reply(void* context, tokenstore_answer* answer, const Ask& ask, const Emit& emit) noexcept {
  return run(context, answer, [&](Backend& backend) -> std::int32_t {
    const auto result = ask(backend);
    if (!result.ok()) return fail(answer, result.error());
    emit(*result);
    return TOKENSTORE_OK;
  });
}

std::string_view octets(const char* data, std::size_t size) {
  return text(data, size, "a text");
}

std::int32_t emit(tokenstore_answer* answer, const TokenRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_token(answer, &shown);
}
std::int32_t emit(tokenstore_answer* answer, const OwnerRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_owner(answer, &shown);
}
std::int32_t emit(tokenstore_answer* answer, const WorkspaceRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_workspace(answer, &shown);
}

std::int32_t emit(tokenstore_answer* answer, const StoreRecord& record) noexcept {
  const auto shown = view(record);
  return answer->emit_store(answer, &shown);
}

/// The library's announcement, for a backend that lies behind the C functions.
class GivenAnnouncement final : public Announcement {
 public:
  explicit GivenAnnouncement(const tokenstore_announcement& given) noexcept : given_(given) {}
  std::string_view entry() const noexcept override { return {given_.entry, given_.entry_size}; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override {
    Bytes32 linked{};
    given_.link(&given_, revision, previous.data(), linked.data());
    return linked;
  }

 private:
  const tokenstore_announcement& given_;
};

Mutation mutation_of(const tokenstore_mutation& step) {
  Mutation one;
  one.kind = record_kind(step.kind);
  one.key = octets(step.key, step.key_size);
  one.expected = step.expected;
  switch (step.step) {
    case TOKENSTORE_STEP_PUT:
      one.action = Mutation::Action::put;
      if (step.token != nullptr) one.record = copy(step.token);
      if (step.owner != nullptr) one.record = copy(step.owner);
      if (step.workspace != nullptr) one.record = copy(step.workspace);
      if (step.store != nullptr) one.record = copy(step.store);
      break;
    case TOKENSTORE_STEP_REMOVE:
      one.action = Mutation::Action::remove;
      break;
    case TOKENSTORE_STEP_CHECK:
      one.action = Mutation::Action::check;
      break;
    default:
      refuse("a batch has a step that is not known");
  }
  return one;
}

TokenQuery query_of(const tokenstore_token_query& part) {
  TokenQuery query;
  query.owner = octets(part.owner, part.owner_size);
  query.state = state_filter(part.state);
  query.now = part.now;
  query.text = octets(part.text, part.text_size);
  query.before_id = octets(part.before_id, part.before_id_size);
  query.limit = part.limit;
  query.scan_limit = part.scan_limit;
  return query;
}

std::int32_t open(void* context, tokenstore_signal*, tokenstore_answer* answer) noexcept {
  auto& exported = *static_cast<Exported*>(context);
  try {
    auto made = exported.make();
    if (!made.ok()) return fail(answer, made.error());
    exported.backend = *std::move(made);
    return TOKENSTORE_OK;
  } catch (...) {
    return fail(answer, Status::out_of_memory, "no memory is left; free some and try again");
  }
}

void close(void* context) noexcept {
  delete static_cast<Exported*>(context);
}

std::int32_t load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.load_token(octets(workspace, workspace_size), octets(id, id_size)); },
      [&](const auto& token) { token&& emit(answer, *token); });
}

std::int32_t load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.load_owner(octets(workspace, workspace_size), octets(owner, owner_size));
      },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t load_workspace(void* context, const char* workspace, size_t workspace_size,
                            tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.load_workspace(octets(workspace, workspace_size)); },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t load_store(void* context, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [](Backend& backend) { return backend.load_store(); },
      [&](const auto& record) { record&& emit(answer, *record); });
}

std::int32_t list_tokens(void* context, const char* workspace, size_t workspace_size,
                         const tokenstore_token_query* query, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.list_tokens(octets(workspace, workspace_size), query_of(*query)); },
      [&](const TokenList& list) {
        for (const TokenRecord& token : list.tokens) emit(answer, token);
        if (!list.next_before_id.empty()) {
          answer->emit_next(answer, list.next_before_id.data(), list.next_before_id.size());
        }
      });
}

std::int32_t list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.list_owners(octets(workspace, workspace_size), octets(after, after_size), limit);
      },
      [&](const OwnerList& list) {
        for (const OwnerRecord& owner : list.owners) emit(answer, owner);
        if (list.more) answer->emit_number(answer, 1);
      });
}

std::int32_t list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                             tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.list_workspaces(octets(after, after_size), limit); },
      [&](const auto& list) {
        for (const WorkspaceRecord& workspace : list) emit(answer, workspace);
      });
}

std::int32_t count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.count_tokens(octets(workspace, workspace_size), octets(owner, owner_size), now);
      },
      [&](const TokenCounts& counts) {
        answer->emit_counts(answer, counts.active, counts.pending, counts.expired, counts.revoked);
      });
}

std::int32_t count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.count_live(octets(workspace, workspace_size), octets(owner, owner_size), now, at_most);
      },
      [&](std::uint64_t live) { answer->emit_number(answer, live); });
}

std::int32_t list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) { return backend.list_ended(octets(workspace, workspace_size), ended_before, limit); },
      [&](const auto& list) {
        for (const EndedToken& one : list) answer->emit_ended(answer, one.id.data(), one.id.size(), one.revision);
      });
}

std::int32_t commit(void* context, const char* workspace, size_t workspace_size,
                    const tokenstore_mutation* const* batch, size_t count, const tokenstore_announcement* announcement,
                    tokenstore_answer* answer) noexcept {
  std::vector<Mutation> steps;
  const std::int32_t read = run(context, answer, [&](Backend&) -> std::int32_t {
    steps.reserve(count);
    for (const tokenstore_mutation* step : std::span(batch, count)) steps.push_back(mutation_of(*step));
    return TOKENSTORE_OK;
  });
  if (read != TOKENSTORE_OK) return read;
  try {
    std::optional<GivenAnnouncement> given;
    if (announcement != nullptr) given.emplace(*announcement);
    const CommitResult result = static_cast<Exported*>(context)->backend->commit(octets(workspace, workspace_size),
                                                                                 steps, given ? &*given : nullptr);
    switch (result.outcome) {
      case CommitOutcome::committed:
        answer->emit_number(answer, result.revision);
        return TOKENSTORE_OK;
      case CommitOutcome::conflict:
        return TOKENSTORE_CONFLICT;
      case CommitOutcome::failed:
        return result.error ? fail(answer, *result.error) : TOKENSTORE_UNAVAILABLE;
      case CommitOutcome::unknown:
        return fail(answer, Status::unknown, result.error ? result.error->message() : std::string());
    }
  } catch (...) {
    // Not to be told from one that came too late to undo anything.
  }
  return TOKENSTORE_UNKNOWN;
}

std::int32_t changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.changes(octets(workspace, workspace_size), after); },
      [&](const Changes& changes) {
        answer->emit_head(answer, changes.revision, changes.link.data(), changes.complete_from);
        if (changes.everything) answer->emit_everything(answer);
        for (const Changes::Entry& entry : changes.entries) {
          answer->emit_entry(answer, entry.revision, entry.text.data(), entry.text.size(), entry.link.data());
        }
      });
}

tokenstore_pulse pulse(void* context) noexcept {
  const Pulse pulse = static_cast<Exported*>(context)->backend->pulse();
  return {pulse.counter, pulse.trusted_until};
}

std::int32_t record_uses(void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                         size_t count, tokenstore_answer* answer) noexcept {
  return run(context, answer, [&](Backend& backend) -> std::int32_t {
    std::vector<Use> given;
    given.reserve(count);
    for (const tokenstore_use* use : std::span(uses, count)) {
      given.push_back({std::string(octets(use->id, use->id_size)), use->used_at,
                       std::string(octets(use->used_from, use->used_from_size))});
    }
    const Result<void> result = backend.record_uses(octets(workspace, workspace_size), given);
    return result.ok() ? TOKENSTORE_OK : fail(answer, result.error());
  });
}

std::int32_t maintain(void* context, int64_t budget_ms, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer, [&](Backend& backend) { return backend.maintain(std::chrono::milliseconds(budget_ms)); },
      [&](bool more) { answer->emit_number(answer, more ? 1 : 0); });
}

std::int32_t check_integrity(void* context, uint64_t most, tokenstore_answer* answer) noexcept {
  return reply(
      context, answer,
      [&](Backend& backend) {
        return backend.check_integrity(
            most, [&](std::uint64_t done, std::uint64_t total) { return answer->progress(answer, done, total) != 0; });
      },
      [&](const auto& problems) {
        for (const std::string& problem : problems) answer->emit_problem(answer, problem.data(), problem.size());
      });
}

}  // namespace

tokenstore_backend export_backend(std::string name, std::uint32_t capabilities,
                                  std::function<Result<std::shared_ptr<Backend>>()> make) {
  auto exported = std::make_unique<Exported>();
  exported->name = std::move(name);
  exported->make = std::move(make);
  tokenstore_backend backend{};
  backend.struct_size = sizeof backend;
  backend.contract = TOKENSTORE_BACKEND_CONTRACT;
  backend.capabilities = capabilities | TOKENSTORE_BACKEND_THREAD_SAFE;
  backend.name = exported->name.data();
  backend.name_size = exported->name.size();
  backend.open = open;
  backend.close = close;
  backend.load_token = load_token;
  backend.load_owner = load_owner;
  backend.load_workspace = load_workspace;
  backend.load_store = load_store;
  backend.list_tokens = list_tokens;
  backend.list_owners = list_owners;
  backend.list_workspaces = list_workspaces;
  backend.count_tokens = count_tokens;
  backend.count_live = count_live;
  backend.list_ended = list_ended;
  backend.commit = commit;
  backend.changes = changes;
  backend.pulse = pulse;
  backend.record_uses = record_uses;
  backend.maintain = maintain;
  backend.check_integrity = check_integrity;
  backend.context = exported.release();
  return backend;
}

}  // namespace tokenstore::capi

// ---- capi/src/postgres/postgres_backend.cpp ------------------------------------------------------------------

// The PostgreSQL backend as C functions: all that libtokenstore-postgres exports.





namespace tokenstore::capi {

namespace {

constexpr std::int64_t longest_milliseconds = std::int64_t{1} << 40;

std::chrono::milliseconds milliseconds_of(std::int64_t given, std::chrono::milliseconds otherwise,
                                          std::string_view what) {
  if (given == 0) return otherwise;
  if (given < 0 || given > longest_milliseconds) refuse(std::string(what) + " is not a number of milliseconds");
  return std::chrono::milliseconds(given);
}

/// Throws a Failure.
PostgresOptions options_of(const tokenstore_postgres_options& given) {
  PostgresOptions options;
  options.conninfo = text(given.conninfo, given.conninfo_size, "conninfo");
  const std::string_view schema = text(given.schema, given.schema_size, "the schema");
  if (!schema.empty()) options.schema = schema;
  if (given.max_staleness_ms == -1) {
    options.max_staleness = std::chrono::milliseconds(0);
  } else {
    options.max_staleness = milliseconds_of(given.max_staleness_ms, options.max_staleness, "max_staleness_ms");
  }
  options.deadline = milliseconds_of(given.deadline_ms, options.deadline, "deadline_ms");
  if (given.pool_size != 0) options.pool_size = static_cast<std::size_t>(given.pool_size);
  options.create = given.must_exist == 0;
  options.read_only = given.read_only != 0;
  options.listener_thread = given.no_listener_thread == 0;
  return options;
}

/// What `open` will do: connect, or say what is wrong with the options.
std::function<Result<std::shared_ptr<Backend>>()> opener_of(const tokenstore_postgres_options* given) {
  try {
    const auto known = TOKENSTORE_READ(tokenstore_postgres_options, POSTGRES_OPTIONS, given, "the options");
    return [options = options_of(known)] { return postgres_backend(options); };
  } catch (const Failure& failure) {
    return [error = Error(static_cast<Status>(failure.status()),
                          failure.message())]() -> Result<std::shared_ptr<Backend>> { return error; };
  }
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_postgres_backend(const tokenstore_postgres_options* options, tokenstore_backend* out_backend) {
  if (options == nullptr || out_backend == nullptr) return TOKENSTORE_INVALID_ARGUMENT;
  try {
    const bool reads = options->struct_size >= TOKENSTORE_POSTGRES_OPTIONS_SIZE_1_0 && options->read_only != 0;
    *out_backend = export_backend(
        "postgres", TOKENSTORE_BACKEND_FORK_SAFE | (reads ? TOKENSTORE_BACKEND_READ_ONLY : 0U), opener_of(options));
    return TOKENSTORE_OK;
  } catch (const std::bad_alloc&) {
    return TOKENSTORE_OUT_OF_MEMORY;
  } catch (...) {
    return TOKENSTORE_INTERNAL;
  }
}

}  // namespace tokenstore::capi

#pragma GCC visibility pop
#undef tokenstore_key_report
#undef tokenstore_check_report
#undef tokenstore_owner_page
#undef tokenstore_owner
#undef tokenstore_page
#undef tokenstore_token
#undef tokenstore_keyring
#undef tokenstore_error
#undef tokenstore_store
#undef TOKENSTORE_WRITE
#undef TOKENSTORE_READ
#pragma pop_macro("tokenstore")
#pragma pop_macro("Status")
