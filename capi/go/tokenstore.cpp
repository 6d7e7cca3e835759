//go:build !tokenstore_system

// tokenstore.cpp: tokenstore 0.1.0 in one file, made by capi/one_file/one_file.py. Do not edit: change the tree it is
// made of, whose files are named where they begin. Compile it as C++20 and link libsodium, SQLite and fmt.
//
// Its C++ names are in a namespace of this copy and are not exported. What is exported are the C functions; a host that
// wants to keep those to itself as well compiles it with -DTOKENSTORE_API= (see docs/embedding.md).

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <compare>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fmt/core.h>
#include <fmt/format.h>
#include <forward_list>
#include <fstream>
#include <functional>
#include <iosfwd>
#include <istream>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <set>
#include <shared_mutex>
#include <sodium.h>
#include <sodium/crypto_shorthash.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <span>
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>
#include <string>
#include <string_view>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

// Names that the host or its other headers may have as macros.
#pragma push_macro("Status")
#undef Status
#pragma push_macro("tokenstore")
#undef tokenstore
#define tokenstore tokenstore_0_1_0_a55aee54ffdb
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

/* How to open a store. The key is one of `keyring`, `key_bytes`, `key_file` and `key_credential`; with none of them
 * SQLite takes the file "<path>.key", which is created together with a new database (see tokenstore_created_key_file),
 * and memory makes a key of its own. */
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
} tokenstore_statistics;
#define TOKENSTORE_STATISTICS_SIZE_1_0 (offsetof(tokenstore_statistics, feed_mismatches) + sizeof(uint64_t))

/* Reads the counters. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_read_statistics(tokenstore_store* store,
                                                                      tokenstore_statistics* out_statistics,
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
  const tokenstore_token_record* token; /* PUT: the one that `kind` names is not NULL; its revision is expected + 1 */
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
/// revision `expected`; for `put`, the record's own `revision` is then expected + 1. A step whose kind and
/// key are not its record's, that names another workspace than the batch is committed to, that removes
/// anything but a token, or that names the same record as another step, fails the batch with
/// `invalid_argument`.
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

}  // namespace tokenstore

// ---- src/base/new_file.hpp -----------------------------------------------------------------------------------

/// Giving a file that was written aside its name: all of it or nothing, and never in another's place.
///
/// Stateless; any thread. Every function answers 0 or the error's number.


namespace tokenstore::base {

/// EEXIST if something is there already. Afterwards `from` may still be there as well, and is the caller's to remove.
/// EOPNOTSUPP on a file system that can neither rename without replacing nor link.
int put_in_place(const std::string& from, const std::string& to) noexcept;

/// Makes the names in the file's directory durable, where the file system can.
int sync_directory_of(const std::string& path);

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

int sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int code = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems cannot sync a directory and say so; there is nothing more to be done there.
  return code == EINVAL ? 0 : code;
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

// ---- src/text/token_text.hpp ---------------------------------------------------------------------------------

/// Token text, format 1: composing and parsing. See docs/token-format.md.
///
///     token = prefix "_" handle "_" secret tag check      handle = "1" key-id id
///
/// Nothing here knows a key: the tag's value is handed in or handed out.



namespace tokenstore::text {

inline constexpr std::size_t key_id_size = 2;
inline constexpr std::size_t id_size = 16;
inline constexpr std::size_t handle_size = 19;
inline constexpr std::size_t secret_size = 43;
inline constexpr std::size_t tag_size = 8;
inline constexpr std::size_t check_size = 6;
/// Octets of a token besides its prefix.
inline constexpr std::size_t size_without_prefix = 1 + handle_size + 1 + secret_size + tag_size + check_size;

/// Views into the text that was parsed.
struct ParsedToken {
  std::string_view handle;
  std::string_view key_id;
  std::string_view id;
  std::string_view secret;
  std::string_view tagged;  ///< all octets before the tag: what the tag authenticates
  std::string_view tag;
};

/// Parses `text` for a store of prefix `prefix`, up to and with the CRC: length, ASCII, fixed offsets
/// from the right, exact prefix, version, base62, CRC. Empty if malformed. No allocation. Does not
/// branch on the secret beyond "is it base62".
std::optional<ParsedToken> parse(std::string_view text, std::string_view prefix) noexcept;

/// prefix "_" handle "_" secret: what the tag is computed over.
std::string compose_tagged(std::string_view prefix, std::string_view key_id, std::string_view id,
                           std::string_view secret);
/// The whole token. `tagged` is wiped.
SecretText compose(std::string tagged, std::string_view tag);

/// 48-bit Unix milliseconds and 47 random bits as 16 digits.
std::string make_id(UnixMillis created_at, std::uint64_t random47);
/// The creation time in an id. Precondition: 16 base62 digits. Empty if the number is too large.
std::optional<UnixMillis> id_time(std::string_view id) noexcept;
bool is_id(std::string_view text) noexcept;

/// 43 base62 characters by rejection sampling: 256 bits.
SecretText make_secret(RandomSource& random);

/// lower *(lower / DIGIT) *("_" 1*(lower / DIGIT)), 2..24 octets.
bool is_prefix(std::string_view text) noexcept;

/// A regular expression (ERE and PCRE) that finds tokens of this prefix.
std::string scanner_pattern(std::string_view prefix);

}  // namespace tokenstore::text

// ---- src/text/token_text.cpp ---------------------------------------------------------------------------------

namespace tokenstore::text {
namespace {

constexpr char separator = '_';
constexpr char version = '1';
constexpr unsigned random_bits = 47;
constexpr std::uint64_t random_mask = (std::uint64_t{1} << random_bits) - 1;
constexpr UnixMillis last_id_time = (UnixMillis{1} << 48) - 1;

static_assert(token_text_min == prefix_min + size_without_prefix);
static_assert(token_text_max == prefix_max + size_without_prefix);
static_assert(token_id_size == id_size);

constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_decimal(char c) noexcept {
  return c >= '0' && c <= '9';
}

}  // namespace

std::optional<ParsedToken> parse(std::string_view text, std::string_view prefix) noexcept {
  if (text.size() < token_text_min || text.size() > token_text_max) return std::nullopt;
  if (text.size() != prefix.size() + size_without_prefix) return std::nullopt;

  // The public part.
  const std::string_view handle = text.substr(prefix.size() + 1, handle_size);
  if (text.substr(0, prefix.size()) != prefix) return std::nullopt;
  if (text[prefix.size()] != separator || text[prefix.size() + 1 + handle_size] != separator) return std::nullopt;
  if (handle[0] != version || !base::is_base62(handle)) return std::nullopt;

  // The secret part, and the check that depends on it: all findings are collected, then told at once.
  const std::string_view checked = text.substr(0, text.size() - check_size);
  const std::string_view tagged = checked.substr(0, checked.size() - tag_size);
  const std::string_view check = text.substr(checked.size());
  unsigned faults = base::base62_faults(checked.substr(checked.size() - tag_size - secret_size));
  const std::uint64_t claimed = base::base62_value(check, faults);
  // A check above 2^32 - 1 differs from every CRC.
  const std::uint64_t difference = claimed ^ base::crc32(checked);
  if (base::declassify((faults | difference) != 0)) return std::nullopt;

  ParsedToken parsed;
  parsed.handle = handle;
  parsed.key_id = handle.substr(1, key_id_size);
  parsed.id = handle.substr(1 + key_id_size);
  parsed.secret = tagged.substr(tagged.size() - secret_size);
  parsed.tagged = tagged;
  parsed.tag = checked.substr(tagged.size());
  return parsed;
}

std::string compose_tagged(std::string_view prefix, std::string_view key_id, std::string_view id,
                           std::string_view secret) {
  std::string tagged;
  // Enough for the whole token: growing would leave a copy of the secret behind.
  tagged.reserve(prefix.size() + size_without_prefix);
  tagged += prefix;
  tagged += separator;
  tagged += version;
  tagged += key_id;
  tagged += id;
  tagged += separator;
  tagged += secret;
  return tagged;
}

SecretText compose(std::string tagged, std::string_view tag) {
  std::string token;
  token.reserve(tagged.size() + tag.size() + check_size);
  token += tagged;
  base::wipe(tagged);
  token += tag;
  std::array<char, check_size> check;
  base::base62_encode(base::crc32(token), check);
  token.append(check.data(), check.size());
  SecretText text(token);
  base::wipe(token);
  return text;
}

std::string make_id(UnixMillis created_at, std::uint64_t random47) {
  const auto time = static_cast<std::uint64_t>(std::clamp<UnixMillis>(created_at, 0, last_id_time));
  std::string id(id_size, '0');
  base::base62_encode(base::uint128{time} << random_bits | (random47 & random_mask), id);
  return id;
}

std::optional<UnixMillis> id_time(std::string_view id) noexcept {
  const std::optional<base::uint128> number = base::base62_decode(id.substr(0, id_size));
  if (!number) return std::nullopt;
  const base::uint128 time = *number >> random_bits;
  if (time > static_cast<base::uint128>(last_id_time)) return std::nullopt;
  return static_cast<UnixMillis>(time);
}

bool is_id(std::string_view text) noexcept {
  return text.size() == id_size && base::is_base62(text);
}

SecretText make_secret(RandomSource& random) {
  // Six bits at a time, and a new draw for 62 and 63: every digit is equally likely.
  base::WipedBytes<64> drawn;
  base::WipedBytes<secret_size> digits;
  std::size_t count = 0;
  while (count < secret_size) {
    random.fill(drawn.span());
    for (std::size_t i = 0; i < drawn.size() && count < secret_size; ++i) {
      const unsigned value = drawn.data()[i] & 63U;
      if (value < 62) digits.data()[count++] = static_cast<std::uint8_t>(base::base62_digit(value));
    }
  }
  return SecretText(std::string_view(reinterpret_cast<const char*>(digits.data()), secret_size));
}

bool is_prefix(std::string_view text) noexcept {
  if (text.size() < prefix_min || text.size() > prefix_max || !is_lower(text[0])) return false;
  if (text.back() == separator || text.find("__") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_lower(c) || is_decimal(c) || c == separator; });
}

std::string scanner_pattern(std::string_view prefix) {
  // A number of 95 bits begins with 0..p, one of 32 bits with 0..4.
  return fmt::format("{}_1[0-9A-Za-z]{{{}}}[0-9A-Za-p][0-9A-Za-z]{{{}}}_[0-9A-Za-z]{{{}}}[0-4][0-9A-Za-z]{{{}}}",
                     prefix, key_id_size, id_size - 1, secret_size + tag_size, check_size - 1);
}

}  // namespace tokenstore::text

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

// ---- src/seal/sealer.hpp -------------------------------------------------------------------------------------

/// The keyed checks of section "Keys, verifier, seal" (docs/keys.md): tag, verifier, record seal.
///
/// Built once from a keyring, then immutable: every method is thread-safe and allocates nothing,
/// except where it says so. HMAC-SHA-256 (RFC 2104, FIPS 198-1) under sub-keys
/// K_x = HMAC-SHA-256(master, "tokenstore/1/" x 0x01).



namespace tokenstore::seal {

enum class SealCheck : std::uint8_t {
  genuine,
  tampered,
  unknown_key,  ///< sealed with a key that the keyring does not hold
  retired_key,  ///< sealed with a retired key, which vouches for nothing but tokens of a retired key
};

/// Where a record belongs. Every seal covers it, so that a record is genuine in its own place alone.
struct Place {
  Bytes16 store{};  ///< StoreRecord::id
  std::string workspace;
  Bytes16 workspace_birth{};  ///< WorkspaceRecord::birth
};

class Sealer {
 public:
  /// `wrong_key` unless exactly one key is active.
  static Result<std::unique_ptr<Sealer>> create(Keyring keyring);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  const std::string& active_key_id() const noexcept;
  /// Ids and uses, in the order of the keyring.
  std::vector<std::pair<std::string, KeyUse>> keys() const;
  /// Whether another one was made from the same keys, in the same order and of the same use.
  bool has_keys_of(const Sealer& other) const noexcept;
  /// What the keyring says of a key; empty if it does not hold it.
  std::optional<KeyUse> key_use(std::string_view key_id) const noexcept;

  /// The 8 digits of a tag over `tagged` under the active key.
  std::array<char, text::tag_size> make_tag(std::string_view tagged) const noexcept;
  /// Whether a parsed token carries the right tag, in constant time. False if its key is not held.
  bool tag_matches(const text::ParsedToken& token) const noexcept;

  /// The verifier of a secret under the active key, for a new token.
  Bytes32 make_verifier(std::string_view workspace, std::string_view handle, std::string_view secret) const noexcept;
  /// Whether a parsed token's secret belongs to `expected`, in constant time.
  bool verifier_matches(std::string_view workspace, const text::ParsedToken& token,
                        const Bytes32& expected) const noexcept;

  /// Fills in seal_key_id (the active key) and seal. The record's other fields are final by then.
  /// May allocate.
  void seal(const Place& place, TokenRecord& record) const;
  void seal(const Place& place, OwnerRecord& record) const;
  void seal(const Bytes16& store, WorkspaceRecord& record) const;
  void seal(StoreRecord& record) const;

  /// Whether a record is as it was sealed, and where.
  SealCheck verify(const Place& place, const TokenRecord& record) const noexcept;
  SealCheck verify(const Place& place, const OwnerRecord& record) const noexcept;
  SealCheck verify(const Bytes16& store, const WorkspaceRecord& record) const noexcept;
  SealCheck verify(const StoreRecord& record) const noexcept;
  template <typename Where, typename Record>
  bool is_genuine(const Where& where, const Record& record) const noexcept {
    return verify(where, record) == SealCheck::genuine;
  }

  /// The work of verify() on a record of the active key, for one that is not there.
  void work_like_verify(const Place& place, const TokenRecord& record) const noexcept;

  /// The link of an entry of the change feed (announcement.hpp) under a key. Empty if the key is not held or retired.
  std::optional<Bytes32> feed_link(const Place& place, std::string_view key_id, std::uint64_t revision,
                                   const Bytes32& previous, std::string_view entry) const noexcept;
  /// What vouches for a frame of the journal (journal/frame.hpp), under a key. Empty if the key is not held or retired.
  std::optional<Bytes32> journal_mac(std::string_view key_id, std::string_view octets) const noexcept;

 private:
  struct Impl;
  explicit Sealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tokenstore::seal

// ---- src/seal/announcement.hpp -------------------------------------------------------------------------------

/// The entries of the change feed: which records a commit changed, under whose key, linked to what came before.
///
/// An entry is the id of a key, then for each record its kind (one octet), the length of its key (two, big-endian) and
/// the key. Kind 0 stands for everything. Immutable once it is committed; a reader is a pure function.



namespace tokenstore::seal {

struct ChangedRecord {
  RecordKind kind;
  std::string key;
};

/// Borrows sealer and place until it is committed.
class SealedAnnouncement final : public Announcement {
 public:
  SealedAnnouncement(const Sealer& sealer, const Place& place);

  void name(RecordKind kind, std::string_view key);
  /// Every record that a step puts or removes.
  void name_changes(std::span<const Mutation> batch);

  std::string_view entry() const noexcept override { return entry_; }
  Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept override;

 private:
  void add(std::uint8_t kind, std::string_view key);

  const Sealer& sealer_;
  const Place& place_;
  std::string entry_;
  bool everything_ = false;
};

/// What an entry names. Empty if it names everything, or is not one.
std::optional<std::vector<ChangedRecord>> changes_named(std::string_view entry);

/// The id of the key that linked an entry; empty if it is not one.
std::string_view key_of_entry(std::string_view entry) noexcept;

/// Whether an entry stands where it was put: `previous` is the link of the revision before it.
bool is_linked(const Sealer& sealer, const Place& place, const Changes::Entry& entry, const Bytes32& previous) noexcept;

/// Beyond every revision that can be: asks a feed only where it stands.
inline constexpr std::uint64_t far_ahead = std::uint64_t{1} << 62U;

/// What a reader learns who has read on from a revision and its link.
struct FeedReading {
  /// Each entry is linked to the one before, up to the head. What a key linked that is retired since cannot be judged:
  /// it is not believed, and no sign that somebody changed it.
  bool fits = true;
  /// Empty: it names everything, or does not fit.
  std::optional<std::vector<ChangedRecord>> named;
};
FeedReading read_on(const Sealer& sealer, const Place& place, std::uint64_t revision, Bytes32 link,
                    const Changes& changes);

}  // namespace tokenstore::seal

// ---- src/seal/announcement.cpp -------------------------------------------------------------------------------

namespace tokenstore::seal {

namespace {

constexpr std::uint8_t kind_of_everything = 0;
/// Well below what a link can cover. Whoever names more than this changes what most others remember.
constexpr std::size_t entry_max = 60'000;

bool is_kind(std::uint8_t kind) noexcept {
  return kind >= static_cast<std::uint8_t>(RecordKind::token) && kind <= static_cast<std::uint8_t>(RecordKind::store);
}

}  // namespace

SealedAnnouncement::SealedAnnouncement(const Sealer& sealer, const Place& place)
    : sealer_(sealer), place_(place), entry_(sealer.active_key_id()) {}

void SealedAnnouncement::add(std::uint8_t kind, std::string_view key) {
  entry_.push_back(static_cast<char>(kind));
  entry_.push_back(static_cast<char>(key.size() >> 8));
  entry_.push_back(static_cast<char>(key.size()));
  entry_.append(key);
}

void SealedAnnouncement::name(RecordKind kind, std::string_view key) {
  if (everything_) return;
  if (entry_.size() + key.size() + 3 > entry_max) {
    everything_ = true;
    entry_ = sealer_.active_key_id();
    return add(kind_of_everything, {});
  }
  add(static_cast<std::uint8_t>(kind), key);
}

void SealedAnnouncement::name_changes(std::span<const Mutation> batch) {
  for (const Mutation& step : batch) {
    if (step.action != Mutation::Action::check) name(step.kind, step.key);
  }
}

Bytes32 SealedAnnouncement::link(std::uint64_t revision, const Bytes32& previous) const noexcept {
  // The active key is held and not retired, so there always is one.
  return sealer_.feed_link(place_, sealer_.active_key_id(), revision, previous, entry_).value_or(Bytes32{});
}

std::optional<std::vector<ChangedRecord>> changes_named(std::string_view entry) {
  if (entry.size() < text::key_id_size) return std::nullopt;
  entry.remove_prefix(text::key_id_size);
  std::vector<ChangedRecord> named;
  while (!entry.empty()) {
    if (entry.size() < 3) return std::nullopt;
    const auto kind = static_cast<std::uint8_t>(entry[0]);
    const std::size_t size =
        static_cast<std::size_t>(static_cast<std::uint8_t>(entry[1])) << 8 | static_cast<std::uint8_t>(entry[2]);
    entry.remove_prefix(3);
    if (!is_kind(kind) || size > entry.size()) return std::nullopt;
    named.push_back({static_cast<RecordKind>(kind), std::string(entry.substr(0, size))});
    entry.remove_prefix(size);
  }
  return named;
}

std::string_view key_of_entry(std::string_view entry) noexcept {
  return entry.size() < text::key_id_size ? std::string_view() : entry.substr(0, text::key_id_size);
}

bool is_linked(const Sealer& sealer, const Place& place, const Changes::Entry& entry,
               const Bytes32& previous) noexcept {
  const auto expected = sealer.feed_link(place, key_of_entry(entry.text), entry.revision, previous, entry.text);
  return expected && base::equal_constant_time(*expected, entry.link);
}

FeedReading read_on(const Sealer& sealer, const Place& place, std::uint64_t revision, Bytes32 link,
                    const Changes& changes) {
  if (changes.everything) return {};
  std::vector<ChangedRecord> all;
  bool everything = false;
  for (const Changes::Entry& entry : changes.entries) {
    if (entry.revision != revision + 1 || !is_linked(sealer, place, entry, link)) {
      return {sealer.key_use(key_of_entry(entry.text)) == KeyUse::retired, std::nullopt};
    }
    revision = entry.revision;
    link = entry.link;
    auto named = changes_named(entry.text);
    everything = everything || !named;
    if (named) std::move(named->begin(), named->end(), std::back_inserter(all));
  }
  if (revision != changes.revision || link != changes.link) return {false, std::nullopt};
  if (everything) return {};
  return {true, std::move(all)};
}

}  // namespace tokenstore::seal

// ---- src/seal/key_file_parts.hpp -----------------------------------------------------------------------------

/// What reading and writing key files have in common. Stateless; any thread.




namespace tokenstore::key_file {

/// A name in an error message: one line, whatever it holds.
std::string shown(std::string_view path);
Error refused(const std::string& path, std::string_view why);
Error cannot(std::string_view act, const std::string& path, int number);

/// A descriptor that is closed when it dies.
class File {
 public:
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  bool open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  /// 0, or the error's number.
  int close() noexcept {
    if (descriptor_ < 0) return 0;
    const int result = ::close(descriptor_);
    descriptor_ = -1;
    return result == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

}  // namespace tokenstore::key_file

// ---- src/seal/key_file.cpp -----------------------------------------------------------------------------------

// Key files: which of them keys are taken from, and reading them.



namespace tokenstore {
namespace {

/// Room for some hundreds of keys with comments.
constexpr std::size_t file_size_max = 65'536;

// ---- Which files ---------------------------------------------------------------------------------------------

/// Whether root may take this file because it belongs to the owner of what `trust` names.
bool is_the_owners(const struct stat& facts, const KeyFileTrust& trust) noexcept {
  struct stat owned {};
  return ::geteuid() == 0 && !trust.owner_of.empty() && ::stat(trust.owner_of.c_str(), &owned) == 0 &&
         owned.st_uid == facts.st_uid;
}

/// Why a file is not safe to take keys from; empty if it is.
std::string unsafe(const struct stat& facts, const KeyFileTrust& trust) {
  if (!S_ISREG(facts.st_mode)) {
    return S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)
               ? "is not a regular file; give the file itself, or allow inherited-descriptor for a /dev/fd/N"
               : "is not a regular file; give the file itself";
  }
  const bool of_root = facts.st_uid == 0;
  if (facts.st_uid != ::geteuid() && !of_root && !is_the_owners(facts, trust)) {
    return fmt::format("belongs to user {}, and this program runs as user {}; give the file to that user", facts.st_uid,
                       ::geteuid());
  }
  const mode_t open_to_others = facts.st_mode & (S_IRWXG | S_IRWXO);
  constexpr mode_t readable = S_IRGRP | S_IROTH;
  mode_t allowed = 0;
  if (of_root && trust.group_readable_of_root) allowed |= S_IRGRP;
  if (of_root && trust.world_readable_of_root) allowed |= readable;
  if ((open_to_others & ~allowed) == 0) return {};
  constexpr std::string_view strict = "set its mode to 0600";
  if (of_root && open_to_others == S_IRGRP) {
    return fmt::format(
        "can be read by group {}; {}, or allow group-readable-of-root if a container or a service "
        "manager has put it there",
        facts.st_gid, strict);
  }
  if (of_root && (open_to_others & ~readable) == 0) {
    return fmt::format(
        "can be read by every user; {}, or allow world-readable-of-root if nobody else is in this "
        "container",
        strict);
  }
  return fmt::format("is open to group or others (mode {:04o}); {}", facts.st_mode & 07777U, strict);
}

/// The file cannot be opened: why, and whose it is.
Error cannot_open(const std::string& path, int number) {
  struct stat facts {};
  if (number == ENOENT && ::lstat(path.c_str(), &facts) == 0) {
    return key_file::refused(path, "is a symbolic link that leads nowhere; correct it, or give the file itself");
  }
  if (number == ENOENT) {
    return Error(Status::wrong_key,
                 fmt::format("the key file {} is missing; restore it from a backup", key_file::shown(path)));
  }
  if (number == EACCES && ::stat(path.c_str(), &facts) == 0) {
    return key_file::refused(
        path, fmt::format("belongs to user {} (mode {:04o}), and user {}, who runs this program, may not "
                          "read it; give the file to that user",
                          facts.st_uid, facts.st_mode & 07777U, ::geteuid()));
  }
  if (number == EACCES) {
    return key_file::refused(
        path, fmt::format("lies in a directory that user {}, who runs this program, may not enter; change "
                          "the directory's rights",
                          ::geteuid()));
  }
  return key_file::cannot("opened", path, number);
}

/// N of /dev/fd/N or /proc/self/fd/N.
std::optional<int> descriptor_named(std::string_view path) noexcept {
  for (const std::string_view place : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(place)) continue;
    const std::string_view number = path.substr(place.size());
    int descriptor = -1;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
    if (failed == std::errc() && end == number.data() + number.size() && descriptor >= 0) return descriptor;
  }
  return std::nullopt;
}

// ---- Reading -------------------------------------------------------------------------------------------------

/// The next octets: 0 at the end, -1 and errno on failure. A file is read from its beginning whatever its position,
/// which others may share; a pipe is waited for.
ssize_t read_some(int descriptor, bool regular, std::size_t from, std::span<char> buffer) noexcept {
  for (;;) {
    const ssize_t got = regular ? ::pread(descriptor, buffer.data(), buffer.size(), static_cast<off_t>(from))
                                : ::read(descriptor, buffer.data(), buffer.size());
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    if (errno == EAGAIN) {
      pollfd waited{descriptor, POLLIN, 0};
      if (::poll(&waited, 1, -1) < 0 && errno != EINTR) return -1;
    }
  }
}

Result<Keyring> read_keyring(int descriptor, bool regular, const std::string& path) {
  std::string text(file_size_max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read_some(descriptor, regular, size, std::span(text).subspan(size));
    if (got < 0) {
      const int number = errno;
      base::wipe(text);
      return key_file::cannot("read", path, number);
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size == 0) {
    return Error(Status::wrong_key,
                 fmt::format("the key file {} is empty{}", key_file::shown(path),
                             regular ? "; restore it from a backup" : "; a pipe can be read only once"));
  }
  Result<Keyring> keyring =
      size > file_size_max
          ? Result<Keyring>(Error(Status::wrong_key, fmt::format("it is longer than {} octets", file_size_max)))
          : Keyring::from_text(std::string_view(text).substr(0, size));
  base::wipe(text);
  if (!keyring) {
    return Error(keyring.error().status(),
                 fmt::format("the key file {} is malformed: {}", key_file::shown(path), keyring.error().message()));
  }
  return keyring;
}

/// Whoever handed the descriptor over vouches for it: neither owner nor mode is looked at. It stays open.
Result<Keyring> read_inherited(int descriptor, const std::string& path) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0)
    return key_file::refused(path, "is not open in this program; hand the descriptor over");
  const bool regular = S_ISREG(facts.st_mode);
  if (!regular && !S_ISFIFO(facts.st_mode) && !S_ISSOCK(facts.st_mode)) {
    return key_file::refused(path, "is neither a file nor a pipe; hand over one of them");
  }
  return read_keyring(descriptor, regular, path);
}

}  // namespace

Result<Keyring> Keyring::from_file(const std::string& path, const KeyFileTrust& trust) {
  if (trust.inherited_descriptor) {
    if (const std::optional<int> descriptor = descriptor_named(path)) return read_inherited(*descriptor, path);
  }
  // Links are followed: what counts is what was opened. O_NONBLOCK: opening a named pipe must not wait for a writer.
  key_file::File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.open()) return cannot_open(path, errno);
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return key_file::cannot("examined", path, errno);
  if (const std::string why = unsafe(facts, trust); !why.empty()) return key_file::refused(path, why);
  return read_keyring(file.descriptor(), true, path);
}

Result<Keyring> Keyring::from_credential(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/:\0", 3)) != std::string_view::npos) {
    return Error(Status::invalid_argument,
                 "the name of the credential is malformed; give the one that LoadCredential= has before its colon");
  }
  const char* directory = ::secure_getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || directory[0] != '/') {
    return Error(Status::wrong_key,
                 fmt::format("there is no credential {}: CREDENTIALS_DIRECTORY is not set; start the program by a "
                             "systemd unit with LoadCredential={}:PATH",
                             key_file::shown(name), key_file::shown(name)));
  }
  // A file of root's with an entry for the service's user in its access list, which its mode shows as the group's.
  KeyFileTrust laid_out_by_systemd;
  laid_out_by_systemd.group_readable_of_root = true;
  return from_file(fmt::format("{}/{}", directory, name), laid_out_by_systemd);
}

}  // namespace tokenstore

// ---- src/seal/key_file_lock.hpp ------------------------------------------------------------------------------

/// Keeps processes that open one store apart while one of them is making it.
///
/// Whoever creates the database holds its key file exclusively, whoever opens it shares it, and nobody
/// holds it for longer than the opening takes. So a process that fails to create a store can take back
/// what it made without taking it from another that has begun to use it. Advisory (flock); where the
/// file system knows no such lock, nothing is held and nothing is taken back. One thread at a time.


namespace tokenstore::seal {

class KeyFileLock {
 public:
  enum class Mode { shared, exclusive };

  /// Waits until the lock is had.
  KeyFileLock(const std::string& path, Mode mode);
  ~KeyFileLock();
  KeyFileLock(const KeyFileLock&) = delete;
  KeyFileLock& operator=(const KeyFileLock&) = delete;

  /// Whether the path still names the file that was opened. True also of one that is there and could not be opened:
  /// reading it says why.
  bool current() const noexcept;
  bool exclusive() const noexcept { return held_ && mode_ == Mode::exclusive; }

 private:
  std::string path_;
  Mode mode_;
  int descriptor_ = -1;
  bool missing_ = false;
  bool held_ = false;
};

}  // namespace tokenstore::seal

// ---- src/seal/key_file_lock.cpp ------------------------------------------------------------------------------

namespace tokenstore::seal {

KeyFileLock::KeyFileLock(const std::string& path, Mode mode) : path_(path), mode_(mode) {
  // Not to wait for a writer, should somebody have put a FIFO there; reading the keys refuses it.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  missing_ = descriptor_ < 0 && errno == ENOENT;
  if (descriptor_ < 0) return;
  int result = 0;
  do {
    result = ::flock(descriptor_, mode == Mode::exclusive ? LOCK_EX : LOCK_SH);
  } while (result != 0 && errno == EINTR);
  held_ = result == 0;
}

KeyFileLock::~KeyFileLock() {
  if (descriptor_ < 0) return;
  // Said outright: a child forked meanwhile has a copy of the descriptor, and would keep the lock.
  if (held_) ::flock(descriptor_, LOCK_UN);
  ::close(descriptor_);
}

bool KeyFileLock::current() const noexcept {
  if (descriptor_ < 0) return !missing_;
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace tokenstore::seal

// ---- src/seal/key_file_replacing.hpp -------------------------------------------------------------------------

/// Changing a key file that processes have open.
///
/// One change at a time, under the file's lock; whoever reads the file meanwhile sees all of the old or all of the new.
/// Stateless; any thread and any process.



namespace tokenstore::key_file {

/// Replaces the file by what `change` makes of its keys, with the same owner and rights, durable on return. Links are
/// followed. Nothing happens if `change` fails or changes nothing. `unknown`: the new file is in place, and the old one
/// may be there again after a power cut. Comments are not kept.
Result<void> replace(const std::string& path, const KeyFileTrust& trust,
                     const std::function<Result<void>(Keyring&)>& change);

}  // namespace tokenstore::key_file

// ---- src/seal/key_file_writing.cpp ---------------------------------------------------------------------------

// Key files: writing a new one, and replacing one by what somebody has changed.



namespace tokenstore {

namespace key_file {

std::string shown(std::string_view path) {
  std::string text(path);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text;
}

Error refused(const std::string& path, std::string_view why) {
  return Error(Status::cannot_open, fmt::format("the key file {} {}", shown(path), why));
}

Error cannot(std::string_view act, const std::string& path, int number) {
  return refused(path, fmt::format("cannot be {}: {}", act, std::generic_category().message(number)));
}

}  // namespace key_file

namespace {

std::span<const std::uint8_t> octets_in(const SecretText& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.reveal().data()), text.size()};
}

/// 0, or the error's number.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// Whose a new file is to be, and who may read it. The defaults: nobody but who makes it.
struct Rights {
  std::optional<uid_t> user;
  gid_t group = 0;
  mode_t mode = S_IRUSR | S_IWUSR;
};

/// Of what belongs to the owner of another file, if root makes it.
Rights rights_like(const std::string& owner_of) noexcept {
  Rights rights;
  struct stat owned {};
  if (::geteuid() == 0 && !owner_of.empty() && ::stat(owner_of.c_str(), &owned) == 0 && owned.st_uid != 0) {
    rights.user = owned.st_uid;
    rights.group = owned.st_gid;
  }
  return rights;
}

/// Makes a file that was not there, closed to others, with this text, durable. 0, or the error's number.
int write_new(const std::string& path, std::string_view text, const Rights& rights) noexcept {
  key_file::File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.open()) return errno;
  int failed = 0;
  // The umask may have taken away the owner's own permission.
  if (::fchmod(file.descriptor(), S_IRUSR | S_IWUSR) != 0) failed = errno;
  if (failed == 0) failed = write_all(file.descriptor(), text);
  if (failed == 0 && rights.user && ::fchown(file.descriptor(), *rights.user, rights.group) != 0) failed = errno;
  if (failed == 0 && rights.mode != (S_IRUSR | S_IWUSR) && ::fchmod(file.descriptor(), rights.mode) != 0) {
    failed = errno;
  }
  if (failed == 0 && ::fsync(file.descriptor()) != 0) failed = errno;
  if (const int closed = file.close(); failed == 0) failed = closed;
  if (failed != 0) ::unlink(path.c_str());
  return failed;
}

/// The file itself, where the path leads to it by links; the path if it leads nowhere.
std::string followed(const std::string& path) {
  std::array<char, PATH_MAX> resolved;
  if (::realpath(path.c_str(), resolved.data()) == nullptr) return path;
  return resolved.data();
}

/// Puts a text in the place of a file, by the one step of a rename: whoever reads it sees all of the old or all of the
/// new, also after a crash.
Result<void> put_over(const std::string& path, std::string_view text) {
  struct stat old {};
  if (::stat(path.c_str(), &old) != 0) return key_file::cannot("examined", path, errno);
  Rights rights;
  if (::geteuid() == 0) {
    rights.user = old.st_uid;
    rights.group = old.st_gid;
  }
  rights.mode = old.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
  // One name, and the lock is had: what is there was left by somebody who was killed.
  const std::string aside = path + ".new";
  ::unlink(aside.c_str());
  if (const int failed = write_new(aside, text, rights); failed != 0) {
    return key_file::cannot("replaced by one beside it", path, failed);
  }
  if (std::rename(aside.c_str(), path.c_str()) != 0) {
    const int number = errno;
    ::unlink(aside.c_str());
    return key_file::cannot("replaced", path, number);
  }
  // It is in place, but after a power cut the old one may be there again.
  if (const int failed = base::sync_directory_of(path); failed != 0) {
    return Error(Status::unknown, fmt::format("the key file {} was replaced and may be the old one again after a power "
                                              "cut: {}; read it",
                                              key_file::shown(path), std::generic_category().message(failed)));
  }
  return {};
}

}  // namespace

Result<void> key_file::replace(const std::string& path, const KeyFileTrust& trust,
                               const std::function<Result<void>(Keyring&)>& change) {
  // Whoever was faster has put another file there.
  constexpr int most_attempts = 1000;
  const std::string file = followed(path);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const seal::KeyFileLock lock(file, seal::KeyFileLock::Mode::exclusive);
    if (!lock.current()) {
      if (::access(file.c_str(), F_OK) == 0 || errno != ENOENT) continue;
      if (const auto missing = Keyring::from_file(file, trust); !missing) return missing.error();
      continue;
    }
    auto keyring = Keyring::from_file(file, trust);
    if (!keyring) return keyring.error();
    if (!lock.exclusive()) return refused(path, "cannot be locked, so it cannot be changed safely; edit a copy of it");
    const SecretText before = keyring->reveal_text();
    if (auto changed = change(*keyring); !changed) return changed;
    const SecretText text = keyring->reveal_text();
    if (base::equal_constant_time(octets_in(text), octets_in(before))) return {};
    return put_over(file, text.reveal());
  }
  return Error(Status::conflict, "other processes keep changing the key file; try again");
}

Result<void> Keyring::write_new_file(const std::string& path, const std::string& owner_of) const {
  // Written aside, then put in place: a crash leaves the whole file or none, and nothing is ever replaced.
  const SecretText text = reveal_text();
  const Rights rights = rights_like(owner_of);
  std::array<std::uint8_t, 8> drawn;
  system_random()->fill(drawn);
  std::string aside = path + ".new-";
  for (const std::uint8_t octet : drawn) aside += fmt::format("{:02x}", octet);

  if (const int failed = write_new(aside, text.reveal(), rights); failed != 0) {
    return key_file::cannot("created", path, failed);
  }
  int failed = base::put_in_place(aside, path);
  // A file system that can do neither: still nothing is replaced, but a crash may leave a file that was cut off.
  if (failed == EOPNOTSUPP) failed = write_new(path, text.reveal(), rights);
  ::unlink(aside.c_str());
  if (failed == EEXIST) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) {
      return key_file::refused(path, "is a symbolic link that leads nowhere; remove it or give another name");
    }
    return key_file::refused(path, "exists already; move it away or give another name");
  }
  if (failed != 0) return key_file::cannot("written", path, failed);
  failed = base::sync_directory_of(path);
  if (failed != 0) {
    ::unlink(path.c_str());
    return key_file::cannot("made durable", path, failed);
  }
  return {};
}

}  // namespace tokenstore

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

// ---- src/seal/key_source.cpp ---------------------------------------------------------------------------------

namespace tokenstore {
namespace {

std::uint64_t nanoseconds(const timespec& time) noexcept {
  constexpr std::uint64_t in_a_second = 1'000'000'000;
  return static_cast<std::uint64_t>(time.tv_sec) * in_a_second + static_cast<std::uint64_t>(time.tv_nsec);
}

class KeyFileSource final : public KeySource {
 public:
  KeyFileSource(std::string path, KeyFileTrust trust) : path_(std::move(path)), trust_(std::move(trust)) {}

  Result<Keyring> keyring() override { return Keyring::from_file(path_, trust_); }

  std::optional<Mark> mark() noexcept override {
    struct stat facts {};
    // A file that is gone, or that cannot be looked at, differs from one that was there, and says why when it is read.
    if (::stat(path_.c_str(), &facts) != 0) return Mark{};
    Mark mark{facts.st_dev,
              facts.st_ino,
              static_cast<std::uint64_t>(facts.st_size),
              nanoseconds(facts.st_mtim),
              nanoseconds(facts.st_ctim),
              std::uint64_t{facts.st_mode} << 32 | facts.st_uid,
              0};
    // Times advance in steps: what was changed just now may be changed once more without any of this telling.
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (nanoseconds(now) < mark[4] + step) mark[6] = looks_.fetch_add(1, std::memory_order_relaxed) + 1;
    return mark;
  }

  Result<void> replace(const std::function<Result<void>(Keyring&)>& change) override {
    return key_file::replace(path_, trust_, change);
  }

 private:
  /// Longer than any step of a clock that files get their times from (10 ms).
  static constexpr std::uint64_t step = 100'000'000;

  const std::string path_;
  const KeyFileTrust trust_;
  std::atomic<std::uint64_t> looks_{0};
};

/// It is read as a file and put there by systemd: nobody else changes it.
class CredentialSource final : public KeySource {
 public:
  explicit CredentialSource(std::string name) : name_(std::move(name)) {}
  Result<Keyring> keyring() override { return Keyring::from_credential(name_); }

 private:
  const std::string name_;
};

class CallbackSource final : public KeySource {
 public:
  CallbackSource(std::function<Result<Keyring>()> ask, std::chrono::milliseconds pause)
      : ask_(std::move(ask)), pause_(pause) {}

  Result<Keyring> keyring() override {
    try {
      return ask_();
    } catch (const std::bad_alloc&) {
      throw;
    } catch (...) {
      return Error(Status::unavailable, "the host's function that gives the keys has thrown an exception: see its log");
    }
  }
  std::chrono::milliseconds pause() const noexcept override { return pause_; }

 private:
  const std::function<Result<Keyring>()> ask_;
  const std::chrono::milliseconds pause_;
};

}  // namespace

Result<void> KeySource::replace(const std::function<Result<void>(Keyring&)>&) {
  return Error(Status::unsupported,
               "the keys of this store are in no key file; change them where they come from, then have them reloaded");
}

std::shared_ptr<KeySource> key_file_source(std::string path, KeyFileTrust trust) {
  return std::make_shared<KeyFileSource>(std::move(path), std::move(trust));
}

Result<std::shared_ptr<KeySource>> key_credential_source(std::string_view name) {
  return std::shared_ptr<KeySource>(std::make_shared<CredentialSource>(std::string(name)));
}

std::shared_ptr<KeySource> key_callback_source(std::function<Result<Keyring>()> ask, std::chrono::milliseconds pause) {
  return std::make_shared<CallbackSource>(std::move(ask), pause);
}

}  // namespace tokenstore

// ---- src/seal/key_text.cpp -----------------------------------------------------------------------------------

// The text of a keyring (docs/keys.md): reading and writing it, without a copy of a key left behind.



namespace tokenstore {
namespace {

constexpr std::string_view heading = "tokenstore keyring 1";
constexpr std::size_t hex_size = 2 * master_key_size;

struct UseName {
  KeyUse use;
  std::string_view name;
};
constexpr std::array<UseName, 3> use_names = {
    {{KeyUse::active, "active"}, {KeyUse::verify_only, "verify-only"}, {KeyUse::retired, "retired"}}};

std::string_view use_name(KeyUse use) noexcept {
  for (const UseName& known : use_names) {
    if (known.use == use) return known.name;
  }
  return "";
}

std::optional<KeyUse> use_named(std::string_view name) noexcept {
  for (const UseName& known : use_names) {
    if (known.name == name) return known.use;
  }
  return std::nullopt;
}

Error malformed(std::size_t line, std::string_view what) {
  return Error(Status::wrong_key, fmt::format("line {} of the keyring {}", line, what));
}

/// Lower-case hexadecimal digits to octets. No branch and no table depends on them.
bool decode_hex(std::string_view digits, std::span<std::uint8_t> octets) noexcept {
  unsigned faults = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const unsigned c = static_cast<unsigned char>(digits[i]);
    const unsigned decimal = ((c - '0') | ('9' - c)) >> 31 ^ 1U;
    const unsigned letter = ((c - 'a') | ('f' - c)) >> 31 ^ 1U;
    const unsigned value = ((0U - decimal) & (c - '0')) | ((0U - letter) & (c - 'a' + 10U));
    faults |= (decimal | letter) ^ 1U;
    octets[i / 2] = static_cast<std::uint8_t>(unsigned{octets[i / 2]} << 4 | value);
  }
  return faults == 0;
}

/// One line of a keyring that describes a key.
Result<void> add_line(Keyring& keyring, std::string_view line, std::size_t number) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return malformed(number, "is not \"<key id> <use> <64 hexadecimal digits>\"; correct it");
  }
  const std::string_view id = line.substr(0, first);
  const std::string_view digits = line.substr(second + 1);
  if (id.size() != text::key_id_size || !base::is_base62(id)) {
    return malformed(number, "has a malformed key id; give two of the characters 0-9 A-Z a-z");
  }
  const std::optional<KeyUse> use = use_named(line.substr(first + 1, second - first - 1));
  if (!use) return malformed(number, "has an unknown use; give active, verify-only or retired");
  base::WipedBytes<master_key_size> master;
  if (digits.size() != hex_size || !decode_hex(digits, master.span())) {
    return malformed(number, "does not end in 64 lower-case hexadecimal digits; restore it from a backup");
  }
  Result<void> added = keyring.add(id, *use, master.span());
  if (!added) return malformed(number, fmt::format("cannot be taken: {}", added.error().message()));
  return {};
}

}  // namespace

Result<Keyring> Keyring::from_text(std::string_view text) {
  Keyring keyring;
  for (std::size_t number = 1; !text.empty() || number == 1; ++number) {
    const std::size_t end = text.find('\n');
    if (number == 1 && text.substr(0, end) != heading) {
      return malformed(number, fmt::format("is not \"{}\"; give a keyring file", heading));
    }
    if (end == std::string_view::npos) {
      return malformed(number, "has no end; the text was cut off, restore it from a backup");
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1 || line.starts_with('#')) continue;
    Result<void> added = add_line(keyring, line, number);
    if (!added) return added.error();
  }
  if (keyring.keys().empty()) return Error(Status::wrong_key, "the keyring holds no key; restore it from a backup");
  return keyring;
}

SecretText Keyring::reveal_text() const {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string text;
  // Growing would leave copies of the keys behind. 24: id, longest use, separators.
  text.reserve(heading.size() + 1 + keys_.size() * (hex_size + 24));
  text += heading;
  text += '\n';
  for (const Key& key : keys_) {
    text += key.id;
    text += ' ';
    text += use_name(key.use);
    text += ' ';
    for (const char character : key.master.reveal()) {
      const auto octet = static_cast<unsigned char>(character);
      text += hex[octet >> 4];
      text += hex[octet & 15];
    }
    text += '\n';
  }
  SecretText revealed(text);
  base::wipe(text);
  return revealed;
}

}  // namespace tokenstore

// ---- src/seal/keyring.cpp ------------------------------------------------------------------------------------

namespace tokenstore {
namespace {

constexpr std::string_view first_key_id = "0A";

Error refuse(std::string message) {
  return Error(Status::invalid_argument, std::move(message));
}

Result<Keyring::Key*> find(std::vector<Keyring::Key>& keys, std::string_view id) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Keyring::Key& key) { return key.id == id; });
  if (found != keys.end()) return &*found;
  // An id that was mistyped may be anything, a key even.
  return Error(Status::not_found, "there is no key of this id in the keyring; list them");
}

/// The id after this one, and after the last the first.
std::string id_after(const std::string& id) {
  constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string next = id;
  for (std::size_t place = next.size(); place-- > 0;) {
    const std::size_t digit = digits.find(next[place]) + 1;
    next[place] = digits[digit % digits.size()];
    if (digit < digits.size()) break;
  }
  return next;
}

}  // namespace

Result<Keyring> Keyring::generate(RandomSource& random) {
  base::WipedBytes<master_key_size> master;
  random.fill(master.span());
  return from_bytes(master.span(), first_key_id);
}

Result<Keyring> Keyring::from_bytes(std::span<const std::uint8_t> master, std::string_view id) {
  Keyring keyring;
  Result<void> added = keyring.add(id, KeyUse::active, master);
  if (!added) return added.error();
  return keyring;
}

Result<void> Keyring::add(std::string_view id, KeyUse use, std::span<const std::uint8_t> master) {
  if (id.size() != text::key_id_size || !base::is_base62(id)) {
    return refuse("a key id is malformed; give two of the characters 0-9 A-Z a-z");
  }
  if (master.size() != master_key_size) {
    return refuse(fmt::format("key {} has {} octets; give {}", id, master.size(), master_key_size));
  }
  if (use != KeyUse::active && use != KeyUse::verify_only && use != KeyUse::retired) {
    return refuse(fmt::format("key {} has no known use; make it active, verify-only or retired", id));
  }
  for (const Key& key : keys_) {
    if (key.id == id) return refuse(fmt::format("key {} is there already; give every key an id of its own", id));
    if (key.use == KeyUse::active && use == KeyUse::active) {
      return refuse(fmt::format("keys {} and {} are both active; make all but one verify-only", key.id, id));
    }
  }
  const std::string_view octets(reinterpret_cast<const char*>(master.data()), master.size());
  keys_.push_back(Key{std::string(id), use, SecretText(octets)});
  return {};
}

// From the latest key on, so that the id of one that was taken out does not come back soon: who has not noticed yet
// would take its tokens for forged.
Result<std::string> Keyring::add_new(RandomSource& random) {
  const std::string latest = keys_.empty() ? std::string(first_key_id) : keys_.back().id;
  std::string id = keys_.empty() ? latest : id_after(latest);
  while (find(keys_, id).ok()) {
    id = id_after(id);
    if (id == latest) return Error(Status::refused, "every key id is taken; remove a key first");
  }
  base::WipedBytes<master_key_size> master;
  random.fill(master.span());
  if (auto added = add(id, KeyUse::verify_only, master.span()); !added) return added.error();
  return id;
}

Result<void> Keyring::activate(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::retired) {
    return Error(Status::refused, fmt::format("key {} is retired; add a new one and activate that", id));
  }
  for (Key& other : keys_) {
    if (other.use == KeyUse::active) other.use = KeyUse::verify_only;
  }
  (*key)->use = KeyUse::active;
  return {};
}

Result<void> Keyring::retire(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  (*key)->use = KeyUse::retired;
  return {};
}

Result<void> Keyring::remove(std::string_view id) {
  auto key = find(keys_, id);
  if (!key) return key.error();
  if ((*key)->use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  keys_.erase(keys_.begin() + (*key - keys_.data()));
  return {};
}

}  // namespace tokenstore

// ---- src/seal/live_sealer.hpp --------------------------------------------------------------------------------

/// The sealer of now, while the keys of an open store change.
///
/// A sealer is immutable. When the keys change another one is published, and the old ones are kept until the store is
/// closed: whoever works with one goes on, without a lock. What has to fit together (a token's key id, verifier and
/// tag) is made with one now().
///
/// Thread-safe, and usable in a forked child. `look` may ask the host's own function or read a file; the rest does not.



namespace tokenstore::seal {

class LiveSealer {
 public:
  /// Without a source (null) the keys stay what they are. `mark`: the source's, as it was before the keys were read.
  explicit LiveSealer(std::unique_ptr<Sealer> first, std::shared_ptr<KeySource> source = nullptr,
                      std::optional<KeySource::Mark> mark = std::nullopt);
  ~LiveSealer();
  LiveSealer(const LiveSealer&) = delete;
  LiveSealer& operator=(const LiveSealer&) = delete;

  const Sealer& now() const noexcept { return *current_.load(std::memory_order_acquire)->sealer; }

  /// Before any other thread uses it. `fits`: may these keys be taken for those of this store? `taken` is called after
  /// others were published, and may not call back.
  void watch(std::function<bool(const Sealer&)> fits, std::function<void()> taken);

  bool can_change() const noexcept { return source_ != nullptr; }
  KeySource* source() const noexcept { return source_.get(); }

  enum class Ask : std::uint8_t {
    by_mark,    ///< if the source can tell, at the cost of a system call, that something is new
    on_notice,  ///< the same; if it cannot tell, once in its pause
    outright,   ///< whatever it tells, and whatever was asked lately
  };
  /// Takes the keys that the source has by now. What a look finds that began after the call is shared by all who wait.
  /// True: others than `known` are in use. It never fails: what cannot be had leaves the keys as they are.
  bool look(const Sealer& known, Ask ask = Ask::on_notice) noexcept;
  /// By its mark, where the backend's pulse is another one than at the latest look: who changes keys announces it. And
  /// some times in a second, for those that nobody announces.
  void look_if_due(std::uint64_t pulse) noexcept {
    if (!source_) return;
    const bool moved = pulse_.load(std::memory_order_acquire) != pulse;
    if (moved || clock_->coarse_monotonic() >= due_.load(std::memory_order_relaxed)) look_by_mark(pulse);
  }
  /// The same, wherever the pulse stands.
  void look_by_mark(std::uint64_t pulse) noexcept {
    look(now(), Ask::by_mark);
    pulse_.store(pulse, std::memory_order_release);
    due_.store(clock_->coarse_monotonic() + between_looks, std::memory_order_relaxed);
  }
  /// Outright, and says why the source's keys were not taken. True: others were.
  Result<bool> reload();

  /// Whether a record is genuine by the keys of now; those that it needs are looked for.
  template <typename Where, typename Record>
  SealCheck verify(const Where& where, const Record& record) noexcept {
    return verify([&](const Sealer& sealer) { return sealer.verify(where, record); });
  }
  SealCheck verify(const StoreRecord& record) noexcept {
    return verify([&](const Sealer& sealer) { return sealer.verify(record); });
  }
  template <typename Where, typename Record>
  bool is_genuine(const Where& where, const Record& record) noexcept {
    return verify(where, record) == SealCheck::genuine;
  }

  /// How often others were taken, and how often the source's could not be.
  std::uint64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t between_looks = 200;  ///< milliseconds

  struct Published {
    std::unique_ptr<Sealer> sealer;
    const Published* before;
  };
  /// What one look at a time may touch.
  struct Turn {
    std::mutex mutex;
    std::uint64_t read = 0;  ///< the latest look that was made to its end
    std::optional<KeySource::Mark> mark;
    bool failed = false;          ///< the keys could not be had: tried again, mark or not
    std::int64_t not_before = 0;  ///< monotonic milliseconds
  };

  template <typename Check>
  SealCheck verify(const Check& check) noexcept {
    const Sealer& known = now();
    const SealCheck found = check(known);
    const bool may_have_changed = found == SealCheck::unknown_key || found == SealCheck::retired_key;
    return may_have_changed && look(known) ? check(now()) : found;
  }

  Turn& turn();
  Result<void> look_in_turn(Turn& turn, Ask ask);
  Result<void> take(Keyring keyring);

  const std::shared_ptr<KeySource> source_;
  std::function<bool(const Sealer&)> fits_;
  std::function<void()> on_taken_;
  std::atomic<const Published*> current_;
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> pulse_{0};
  std::atomic<std::int64_t> due_{0};
  std::atomic<std::uint64_t> taken_{0}, refused_{0};
  std::shared_ptr<Clock> clock_;
  base::ForkGuard fork_guard_;
  std::atomic<Turn*> turn_;
};

}  // namespace tokenstore::seal

// ---- src/seal/live_sealer.cpp --------------------------------------------------------------------------------

namespace tokenstore::seal {

LiveSealer::LiveSealer(std::unique_ptr<Sealer> first, std::shared_ptr<KeySource> source,
                       std::optional<KeySource::Mark> mark)
    : source_(std::move(source)),
      current_(new Published{std::move(first), nullptr}),
      clock_(system_clock()),
      turn_(new Turn) {
  Turn& own = *turn_.load();
  own.mark = mark;
  if (source_) own.not_before = clock_->coarse_monotonic() + source_->pause().count();
}

LiveSealer::~LiveSealer() {
  // In a child that never used it the lock may be held by nobody who is there.
  if (!fork_guard_.forked()) delete turn_.load();
  for (const Published* each = current_.load(); each != nullptr;) {
    const Published* const before = each->before;
    delete each;
    each = before;
  }
}

void LiveSealer::watch(std::function<bool(const Sealer&)> fits, std::function<void()> taken) {
  fits_ = std::move(fits);
  on_taken_ = std::move(taken);
}

LiveSealer::Turn& LiveSealer::turn() {
  if (fork_guard_.forked()) {
    fork_guard_.adopt([&] {
      // The parent's is left alone: a thread of the parent's may have held its lock.
      auto fresh = std::make_unique<Turn>();
      fresh->read = begun_.load();
      turn_.store(fresh.release(), std::memory_order_release);
      return true;
    });
  }
  return *turn_.load(std::memory_order_acquire);
}

bool LiveSealer::look(const Sealer& known, Ask ask) noexcept {
  if (&now() != &known) return true;
  if (!source_) return false;
  try {
    const std::uint64_t begun = begun_.load(std::memory_order_acquire);
    Turn& own = turn();
    const std::lock_guard lock(own.mutex);
    if (own.read <= begun) static_cast<void>(look_in_turn(own, ask).ok());
  } catch (...) {
    refused_.fetch_add(1, std::memory_order_relaxed);  // no memory now; the next look tries again
  }
  return &now() != &known;
}

Result<bool> LiveSealer::reload() {
  if (!source_) {
    return Error(Status::unsupported, "this store was opened with keys that nothing can change; open it with a source");
  }
  Turn& own = turn();
  const std::lock_guard lock(own.mutex);
  const Sealer& known = now();
  if (auto looked = look_in_turn(own, Ask::outright); !looked.ok()) return looked.error();
  return &now() != &known;
}

Result<void> LiveSealer::look_in_turn(Turn& turn, Ask ask) {
  const std::uint64_t this_look = begun_.fetch_add(1, std::memory_order_acq_rel) + 1;
  // Read before the keys are: a change in between is found by the next look.
  const std::optional<KeySource::Mark> mark = source_->mark();
  const bool pause_is_over = clock_->coarse_monotonic() >= turn.not_before;
  const bool worth_it = mark ? mark != turn.mark || (turn.failed && pause_is_over)  //
                             : ask == Ask::on_notice && pause_is_over;
  if (!worth_it && ask != Ask::outright) {
    turn.read = this_look;
    return {};
  }
  turn.not_before = clock_->coarse_monotonic() + source_->pause().count();
  auto keyring = source_->keyring();
  auto taken = keyring.ok() ? take(*std::move(keyring)) : Result<void>(keyring.error());
  turn.failed = !taken.ok();
  if (turn.failed) refused_.fetch_add(1, std::memory_order_relaxed);
  turn.mark = mark;
  turn.read = this_look;
  return taken;
}

Result<void> LiveSealer::take(Keyring keyring) {
  auto made = Sealer::create(std::move(keyring));
  if (!made.ok()) return made.error();
  if ((*made)->has_keys_of(now())) return {};
  if (fits_ && !fits_(**made)) {
    return Error(Status::wrong_key,
                 "the keys are now those of another store, and were not taken; put those of this one back");
  }
  auto next = std::make_unique<Published>(Published{*std::move(made), current_.load(std::memory_order_relaxed)});
  current_.store(next.release(), std::memory_order_release);
  taken_.fetch_add(1, std::memory_order_relaxed);
  if (on_taken_) on_taken_();
  return {};
}

}  // namespace tokenstore::seal

// ---- src/seal/sealer.cpp -------------------------------------------------------------------------------------

namespace tokenstore::seal {
namespace {

using MacState = crypto_auth_hmacsha256_state;

constexpr std::uint64_t tag_space = 62ULL * 62 * 62 * 62 * 62 * 62 * 62 * 62;
constexpr std::string_view record_label = "row";
constexpr std::string_view feed_label = "feed";
constexpr std::uint8_t record_schema = 2;
constexpr std::size_t field_max = std::numeric_limits<std::uint16_t>::max();

/// Each sub-key's state after it has taken in the key: copying it saves every MAC two compressions.
struct SubKeys {
  MacState tag;
  MacState verifier;
  MacState row;
  MacState journal;
};

/// Memory for keys: locked, left out of core dumps, between guard pages, wiped when freed.
struct FreeLocked {
  void operator()(SubKeys* keys) const noexcept { sodium_free(keys); }
};
using LockedKeys = std::unique_ptr<SubKeys[], FreeLocked>;

struct KeyEntry {
  std::string id;
  KeyUse use;
};

/// One computation. Gathers small fields before it hashes; wipes itself.
class Mac {
 public:
  explicit Mac(const MacState& keyed) noexcept : state_(keyed) {}
  Mac(const Mac&) = delete;
  Mac& operator=(const Mac&) = delete;
  ~Mac() {
    base::wipe(&state_, sizeof(state_));
    base::wipe(gathered_.data(), highest_);
  }

  void add(const void* data, std::size_t size) noexcept {
    const auto* octets = static_cast<const std::uint8_t*>(data);
    if (size > gathered_.size() - count_) flush();
    if (size > gathered_.size()) {
      crypto_auth_hmacsha256_update(&state_, octets, size);
      return;
    }
    std::copy_n(octets, size, gathered_.data() + count_);
    count_ += size;
  }
  void add_octets(std::string_view octets) noexcept { add(octets.data(), octets.size()); }

  /// Length, then the octets. Sets overlong() if the length cannot be said.
  void add_field(std::string_view field) noexcept {
    overlong_ = overlong_ || field.size() > field_max;
    const std::uint8_t length[2] = {static_cast<std::uint8_t>(field.size() >> 8),
                                    static_cast<std::uint8_t>(field.size())};
    add(length, sizeof(length));
    add_octets(field);
  }
  void add_number(std::uint64_t number) noexcept {
    std::uint8_t octets[8];
    for (unsigned i = 0; i < 8; ++i) octets[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
    add(octets, sizeof(octets));
  }
  void add_time(UnixMillis time) noexcept { add_number(static_cast<std::uint64_t>(time)); }
  void add_octet(std::uint8_t octet) noexcept { add(&octet, 1); }

  bool overlong() const noexcept { return overlong_; }

  void finish(Bytes32& out) noexcept {
    flush();
    crypto_auth_hmacsha256_final(&state_, out.data());
  }

 private:
  void flush() noexcept {
    crypto_auth_hmacsha256_update(&state_, gathered_.data(), count_);
    highest_ = std::max(highest_, count_);
    count_ = 0;
  }

  MacState state_;
  std::array<std::uint8_t, 512> gathered_;
  std::size_t count_ = 0;
  std::size_t highest_ = 0;  ///< how much of `gathered_` was ever used
  bool overlong_ = false;
};

/// What every record's encoding begins with. No two records of different kind, schema or place have the same
/// encoding: every field has a fixed size or says its own, and the kind says which fields follow.
void add_heading(Mac& mac, RecordKind kind, std::string_view seal_key_id) noexcept {
  mac.add_octets(record_label);
  mac.add_octet(record_schema);
  mac.add_octet(static_cast<std::uint8_t>(kind));
  mac.add_field(seal_key_id);
}

void add_birth(Mac& mac, const Bytes16& birth) noexcept {
  mac.add(birth.data(), birth.size());
}

void add_place(Mac& mac, const Place& place) noexcept {
  add_birth(mac, place.store);
  add_birth(mac, place.workspace_birth);
  mac.add_field(place.workspace);
}

void add_record(Mac& mac, const Place& place, const TokenRecord& record) noexcept {
  add_heading(mac, RecordKind::token, record.seal_key_id);
  add_place(mac, place);
  mac.add_field(record.id);
  mac.add_field(record.key_id);
  mac.add(record.verifier.data(), record.verifier.size());
  mac.add_field(record.owner);
  add_birth(mac, record.owner_birth);
  mac.add_number(record.revoke_all_count);
  mac.add_field(record.description);
  mac.add_field(record.scopes);
  mac.add_field(record.metadata);
  mac.add_time(record.created_at);
  mac.add_field(record.created_by);
  mac.add_time(record.not_before);
  mac.add_time(record.expires_at);
  mac.add_time(record.expired_at);
  mac.add_time(record.revoked_at);
  mac.add_field(record.revoked_by);
  mac.add_field(record.revoke_reason);
  mac.add_number(record.revision);
}

void add_record(Mac& mac, const Place& place, const OwnerRecord& record) noexcept {
  add_heading(mac, RecordKind::owner, record.seal_key_id);
  add_place(mac, place);
  mac.add_field(record.owner);
  add_birth(mac, record.birth);
  mac.add_octet(record.may_issue ? 1 : 0);
  mac.add_octet(record.may_use ? 1 : 0);
  mac.add_time(record.suspended_at);
  mac.add_field(record.suspended_by);
  mac.add_field(record.suspend_reason);
  mac.add_number(record.revoke_all_count);
  mac.add_number(record.revision);
}

void add_record(Mac& mac, const Bytes16& store, const WorkspaceRecord& record) noexcept {
  add_heading(mac, RecordKind::workspace, record.seal_key_id);
  add_birth(mac, store);
  mac.add_field(record.workspace);
  add_birth(mac, record.birth);
  mac.add_octet(record.tokens_enabled ? 1 : 0);
  mac.add_octet(record.users_may_issue ? 1 : 0);
  mac.add_octet(record.never_allowed ? 1 : 0);
  mac.add_time(record.longest_lifetime);
  mac.add_time(record.default_lifetime);
  mac.add_number(record.most_active_per_owner);
  mac.add_time(record.created_at);
  mac.add_number(record.revision);
}

/// The store's own record belongs nowhere else.
struct Anywhere {};

void add_record(Mac& mac, Anywhere, const StoreRecord& record) noexcept {
  add_heading(mac, RecordKind::store, record.seal_key_id);
  add_birth(mac, record.id);
  mac.add_time(record.created_at);
  mac.add_number(record.revision);
}

void set_sub_key(MacState& state, std::string_view master, std::string_view label) noexcept {
  const auto* key = reinterpret_cast<const std::uint8_t*>(master.data());
  base::WipedBytes<crypto_auth_hmacsha256_BYTES> sub_key;
  MacState derivation;
  crypto_auth_hmacsha256_init(&derivation, key, master.size());
  const auto derive = [&](std::string_view octets) {
    crypto_auth_hmacsha256_update(&derivation, reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  };
  derive("tokenstore/1/");
  derive(label);
  derive("\x01");
  crypto_auth_hmacsha256_final(&derivation, sub_key.data());
  base::wipe(&derivation, sizeof(derivation));
  crypto_auth_hmacsha256_init(&state, sub_key.data(), sub_key.size());
}

std::span<const std::uint8_t> octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

struct Sealer::Impl {
  std::vector<KeyEntry> entries;
  LockedKeys keys;  ///< in the order of `entries`
  std::size_t active = 0;

  const SubKeys& active_keys() const noexcept { return keys[active]; }
  const KeyEntry* entry(std::string_view key_id) const noexcept {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const KeyEntry& known) { return known.id == key_id; });
    return found == entries.end() ? nullptr : &*found;
  }
  const SubKeys& keys_of(const KeyEntry& known) const noexcept {
    return keys[static_cast<std::size_t>(&known - entries.data())];
  }
  const SubKeys* find(std::string_view key_id) const noexcept {
    const KeyEntry* found = entry(key_id);
    return found == nullptr ? nullptr : &keys_of(*found);
  }
  bool is_retired(std::string_view key_id) const noexcept {
    const KeyEntry* found = entry(key_id);
    return found != nullptr && found->use == KeyUse::retired;
  }

  // A retired key may have been stolen: whoever holds it may seal what they like. So it vouches for what is denied in
  // any case, a token of a retired key, and for nothing else.
  bool may_carry_retired_seal(const TokenRecord& record) const noexcept { return is_retired(record.key_id); }
  template <typename Settings>
  static bool may_carry_retired_seal(const Settings&) noexcept {
    return false;
  }

  static void tag(const SubKeys& keys, std::string_view tagged, std::span<char, text::tag_size> digits) noexcept {
    Bytes32 whole;
    Mac mac(keys.tag);
    mac.add_octets(tagged);
    mac.finish(whole);
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = number << 8 | whole[i];
    base::wipe(whole.data(), whole.size());
    base::base62_encode(number % tag_space, digits);
  }

  static void verifier(const SubKeys& keys, std::string_view workspace, std::string_view handle,
                       std::string_view secret, Bytes32& out) noexcept {
    Mac mac(keys.verifier);
    mac.add_field(workspace);
    mac.add_field(handle);
    mac.add_field(secret);
    mac.finish(out);
  }

  template <typename Where, typename Record>
  void seal(const Where& where, Record& record) const {
    record.seal_key_id = entries[active].id;
    Mac mac(active_keys().row);
    add_record(mac, where, record);
    mac.finish(record.seal);
    // No limit of the model allows such a field. Without a key's name the seal is nobody's.
    if (mac.overlong()) record.seal_key_id.clear();
  }

  template <typename Where, typename Record>
  SealCheck verify(const Where& where, const Record& record) const noexcept {
    const KeyEntry* held = entry(record.seal_key_id);
    if (held == nullptr) return SealCheck::unknown_key;
    Bytes32 seal;
    Mac mac(keys_of(*held).row);
    add_record(mac, where, record);
    mac.finish(seal);
    const bool genuine = base::equal_constant_time(seal, record.seal) && !mac.overlong();
    base::wipe(seal.data(), seal.size());
    if (!genuine) return SealCheck::tampered;
    if (held->use == KeyUse::retired && !may_carry_retired_seal(record)) return SealCheck::retired_key;
    return SealCheck::genuine;
  }
};

// Taken by value: the master keys are wiped with it when this returns.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<std::unique_ptr<Sealer>> Sealer::create(Keyring keyring) {
  const auto is_active = [](const Keyring::Key& key) { return key.use == KeyUse::active; };
  const std::vector<Keyring::Key>& given = keyring.keys();
  const auto active = std::find_if(given.begin(), given.end(), is_active);
  if (active == given.end()) {
    return Error(Status::wrong_key, "the keyring has no active key; make one of its keys active");
  }
  if (sodium_init() < 0) return Error(Status::unsupported, "the system has no source of randomness; provide one");

  auto impl = std::make_unique<Impl>();
  impl->active = static_cast<std::size_t>(active - given.begin());
  impl->keys.reset(static_cast<SubKeys*>(sodium_allocarray(given.size(), sizeof(SubKeys))));
  if (!impl->keys) throw std::bad_alloc();
  impl->entries.reserve(given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    impl->entries.push_back({given[i].id, given[i].use});
    SubKeys* keys = new (&impl->keys[i]) SubKeys;
    const std::string_view master = given[i].master.reveal();
    set_sub_key(keys->tag, master, "tag");
    set_sub_key(keys->verifier, master, "verifier");
    set_sub_key(keys->row, master, "row");
    set_sub_key(keys->journal, master, "journal");
  }
  return std::unique_ptr<Sealer>(new Sealer(std::move(impl)));
}

Sealer::Sealer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sealer::~Sealer() = default;

const std::string& Sealer::active_key_id() const noexcept {
  return impl_->entries[impl_->active].id;
}

std::vector<std::pair<std::string, KeyUse>> Sealer::keys() const {
  std::vector<std::pair<std::string, KeyUse>> listed;
  for (const KeyEntry& entry : impl_->entries) listed.emplace_back(entry.id, entry.use);
  return listed;
}

bool Sealer::has_keys_of(const Sealer& other) const noexcept {
  const std::vector<KeyEntry>& ours = impl_->entries;
  const std::vector<KeyEntry>& theirs = other.impl_->entries;
  bool same = ours.size() == theirs.size();
  for (std::size_t i = 0; same && i < ours.size(); ++i) {
    // Equal keys say the same of the same text.
    Bytes32 left;
    Bytes32 right;
    Impl::verifier(impl_->keys[i], {}, {}, {}, left);
    Impl::verifier(other.impl_->keys[i], {}, {}, {}, right);
    same = ours[i].id == theirs[i].id && ours[i].use == theirs[i].use && base::equal_constant_time(left, right);
    base::wipe(left.data(), left.size());
    base::wipe(right.data(), right.size());
  }
  return same;
}

std::optional<KeyUse> Sealer::key_use(std::string_view key_id) const noexcept {
  const KeyEntry* found = impl_->entry(key_id);
  if (found == nullptr) return std::nullopt;
  return found->use;
}

std::array<char, text::tag_size> Sealer::make_tag(std::string_view tagged) const noexcept {
  std::array<char, text::tag_size> digits;
  Impl::tag(impl_->active_keys(), tagged, digits);
  return digits;
}

bool Sealer::tag_matches(const text::ParsedToken& token) const noexcept {
  const SubKeys* held = impl_->find(token.key_id);
  if (held == nullptr) return false;
  std::array<char, text::tag_size> expected;
  Impl::tag(*held, token.tagged, expected);
  const bool matches = base::equal_constant_time(octets_of({expected.data(), expected.size()}), octets_of(token.tag));
  base::wipe(expected.data(), expected.size());
  return matches;
}

Bytes32 Sealer::make_verifier(std::string_view workspace, std::string_view handle,
                              std::string_view secret) const noexcept {
  Bytes32 verifier;
  Impl::verifier(impl_->active_keys(), workspace, handle, secret, verifier);
  return verifier;
}

bool Sealer::verifier_matches(std::string_view workspace, const text::ParsedToken& token,
                              const Bytes32& expected) const noexcept {
  const SubKeys* held = impl_->find(token.key_id);
  if (held == nullptr) return false;
  Bytes32 verifier;
  Impl::verifier(*held, workspace, token.handle, token.secret, verifier);
  const bool matches = base::equal_constant_time(verifier, expected);
  base::wipe(verifier.data(), verifier.size());
  return matches;
}

void Sealer::seal(const Place& place, TokenRecord& record) const {
  impl_->seal(place, record);
}
void Sealer::seal(const Place& place, OwnerRecord& record) const {
  impl_->seal(place, record);
}
void Sealer::seal(const Bytes16& store, WorkspaceRecord& record) const {
  impl_->seal(store, record);
}
void Sealer::seal(StoreRecord& record) const {
  impl_->seal(Anywhere{}, record);
}

SealCheck Sealer::verify(const Place& place, const TokenRecord& record) const noexcept {
  return impl_->verify(place, record);
}
SealCheck Sealer::verify(const Place& place, const OwnerRecord& record) const noexcept {
  return impl_->verify(place, record);
}
SealCheck Sealer::verify(const Bytes16& store, const WorkspaceRecord& record) const noexcept {
  return impl_->verify(store, record);
}
SealCheck Sealer::verify(const StoreRecord& record) const noexcept {
  return impl_->verify(Anywhere{}, record);
}

void Sealer::work_like_verify(const Place& place, const TokenRecord& record) const noexcept {
  Bytes32 seal;
  Mac mac(impl_->active_keys().row);
  add_record(mac, place, record);
  mac.finish(seal);
  static_cast<void>(base::equal_constant_time(seal, record.seal));
  base::wipe(seal.data(), seal.size());
}

std::optional<Bytes32> Sealer::feed_link(const Place& place, std::string_view key_id, std::uint64_t revision,
                                         const Bytes32& previous, std::string_view entry) const noexcept {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use == KeyUse::retired) return std::nullopt;
  Bytes32 link;
  Mac mac(impl_->keys_of(*held).row);
  mac.add_octets(feed_label);
  add_place(mac, place);
  mac.add_number(revision);
  mac.add(previous.data(), previous.size());
  mac.add_field(entry);
  mac.finish(link);
  if (mac.overlong()) return std::nullopt;
  return link;
}

std::optional<Bytes32> Sealer::journal_mac(std::string_view key_id, std::string_view octets) const noexcept {
  const KeyEntry* held = impl_->entry(key_id);
  if (held == nullptr || held->use == KeyUse::retired) return std::nullopt;
  Bytes32 whole;
  Mac mac(impl_->keys_of(*held).journal);
  mac.add_octets(octets);
  mac.finish(whole);
  return whole;
}

}  // namespace tokenstore::seal

// ---- src/journal/entry.hpp -----------------------------------------------------------------------------------

/// One change in the journal: what was done to which record, by whom, when and why.
///
/// Views into what it was read from, or into what the writer holds. Every function is pure and thread-safe.



namespace tokenstore::journal {

enum class Deed : std::uint8_t {
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
};
/// "issued", "revoked", ... Static text; never empty.
std::string_view deed_name(Deed deed) noexcept;

/// The revision that nothing stored reaches: the record is gone for good.
inline constexpr RecordRevision gone = std::numeric_limits<RecordRevision>::max();
inline constexpr UnixMillis no_end = std::numeric_limits<UnixMillis>::max();

struct Entry {
  Deed deed = Deed::issued;
  RecordKind kind = RecordKind::token;
  /// A stored record of a lower revision than `revision` is an older state, which must not come back.
  bool restricts = false;
  UnixMillis at = 0;
  RecordRevision revision = 0;  ///< of the record since; `gone` if it was removed
  /// The workspace's, of the commit; 0: it was not announced. Of `learned`: up to where the change feed is known.
  std::uint64_t feed_revision = 0;
  UnixMillis until = no_end;    ///< when the latest of its earlier states would have ended by itself
  UnixMillis ends_at = no_end;  ///< of a token: its end since
  std::string_view workspace{};
  std::string_view key{};  ///< token id or owner name; of what concerns no record: empty
  std::string_view actor{};
  std::string_view reason{};
  std::string_view record{};  ///< of what restricts and can no longer be used: encode_record()
};

std::string encode_entry(const Entry& entry);
/// Where `feed_revision` stands in an entry that was encoded: it is known last.
void set_feed_revision(std::string& encoded, std::uint64_t revision) noexcept;
/// Takes an entry off the front of `octets`. Empty if there is none.
std::optional<Entry> take_entry(std::string_view& octets);

/// A sealed record as octets. What is not sealed (the last use) is left out.
std::string encode_record(const Record& record);
/// Empty if it is none.
std::optional<Record> decode_record(std::string_view octets);

}  // namespace tokenstore::journal

// ---- src/journal/octets.hpp ----------------------------------------------------------------------------------

/// Numbers and texts as octets, big-endian, and back: what the journal's file is written in.
///
/// One thread at a time. A reader borrows what it reads; what it hands out are views into that.


namespace tokenstore::journal {

class OctetWriter {
 public:
  explicit OctetWriter(std::string& out) noexcept : out_(out) {}

  void number(std::uint64_t value, std::size_t size) {
    for (std::size_t i = size; i-- > 0;) out_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void octet(std::uint8_t value) { number(value, 1); }
  void count(std::uint64_t value) { number(value, 8); }
  void time(std::int64_t value) { number(static_cast<std::uint64_t>(value), 8); }
  template <std::size_t Size>
  void octets(const std::array<std::uint8_t, Size>& value) {
    for (const std::uint8_t one : value) octet(one);
  }
  /// Its length in two octets, then the text; longer than 65,535 octets it is cut, which no limit of the model allows.
  void text(std::string_view value) {
    value = value.substr(0, std::numeric_limits<std::uint16_t>::max());
    number(value.size(), 2);
    out_.append(value);
  }

 private:
  std::string& out_;
};

/// Past the end everything reads as zero and empty, and `ok()` is false from then on.
class OctetReader {
 public:
  explicit OctetReader(std::string_view in) noexcept : in_(in) {}

  std::uint64_t number(std::size_t size) noexcept {
    std::uint64_t value = 0;
    for (const char one : take(size)) value = value << 8 | static_cast<std::uint8_t>(one);
    return value;
  }
  std::uint8_t octet() noexcept { return static_cast<std::uint8_t>(number(1)); }
  std::uint64_t count() noexcept { return number(8); }
  std::int64_t time() noexcept { return static_cast<std::int64_t>(number(8)); }
  template <std::size_t Size>
  void octets(std::array<std::uint8_t, Size>& value) noexcept {
    for (std::uint8_t& one : value) one = octet();
  }
  std::string_view text() noexcept { return take(number(2)); }

  bool ok() const noexcept { return ok_; }
  /// All of it was read, and nothing past it.
  bool finished() const noexcept { return ok_ && in_.empty(); }
  bool empty() const noexcept { return in_.empty(); }

 private:
  std::string_view take(std::size_t size) noexcept {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    const std::string_view taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace tokenstore::journal

// ---- src/journal/entry.cpp -----------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

constexpr std::size_t feed_revision_at = 4 + 1 + 1 + 1 + 8 + 8;

bool is_deed(std::uint8_t deed) noexcept {
  return deed >= static_cast<std::uint8_t>(Deed::issued) && deed <= static_cast<std::uint8_t>(Deed::healed);
}

}  // namespace

std::string_view deed_name(Deed deed) noexcept {
  switch (deed) {
    case Deed::issued:
      return "issued";
    case Deed::revoked:
      return "revoked";
    case Deed::expired:
      return "expired";
    case Deed::removed:
      return "removed";
    case Deed::purged:
      return "purged";
    case Deed::suspended:
      return "suspended";
    case Deed::resumed:
      return "resumed";
    case Deed::owner_set:
      return "owner_set";
    case Deed::all_revoked:
      return "all_revoked";
    case Deed::policy_set:
      return "policy_set";
    case Deed::workspace_made:
      return "workspace_made";
    case Deed::resealed:
      return "resealed";
    case Deed::learned:
      return "learned";
    case Deed::healed:
      return "healed";
  }
  return "unknown";
}

std::string encode_entry(const Entry& entry) {
  std::string octets(4, '\0');
  OctetWriter writer(octets);
  writer.octet(static_cast<std::uint8_t>(entry.deed));
  writer.octet(static_cast<std::uint8_t>(entry.kind));
  writer.octet(entry.restricts ? 1 : 0);
  writer.time(entry.at);
  writer.count(entry.revision);
  writer.count(entry.feed_revision);
  writer.time(entry.until);
  writer.time(entry.ends_at);
  for (const std::string_view text : {entry.workspace, entry.key, entry.actor, entry.reason, entry.record}) {
    writer.text(text);
  }
  std::string size;
  OctetWriter(size).number(octets.size() - 4, 4);
  octets.replace(0, 4, size);
  return octets;
}

void set_feed_revision(std::string& encoded, std::uint64_t revision) noexcept {
  for (unsigned i = 0; i < 8; ++i) encoded[feed_revision_at + i] = static_cast<char>(revision >> (56 - 8 * i));
}

std::optional<Entry> take_entry(std::string_view& octets) {
  OctetReader outer(octets);
  const std::size_t size = outer.number(4);
  if (!outer.ok() || size > octets.size() - 4) return std::nullopt;
  OctetReader reader(octets.substr(4, size));
  Entry entry;
  const std::uint8_t deed = reader.octet();
  const std::uint8_t kind = reader.octet();
  const std::uint8_t restricts = reader.octet();
  entry.at = reader.time();
  entry.revision = reader.count();
  entry.feed_revision = reader.count();
  entry.until = reader.time();
  entry.ends_at = reader.time();
  for (std::string_view* text : {&entry.workspace, &entry.key, &entry.actor, &entry.reason, &entry.record}) {
    *text = reader.text();
  }
  if (!reader.finished() || !is_deed(deed) || kind < 1 || kind > 4 || restricts > 1) return std::nullopt;
  entry.deed = static_cast<Deed>(deed);
  entry.kind = static_cast<RecordKind>(kind);
  entry.restricts = restricts == 1;
  octets.remove_prefix(4 + size);
  return entry;
}

}  // namespace tokenstore::journal

// ---- src/journal/frame.hpp -----------------------------------------------------------------------------------

/// The frames that a journal's file is made of: what is written in one go, chained to the frame before by a MAC.
///
///     frame   = magic size number count type key-id previous check payload mac
///     magic   = "TSJ1"       size = 4 octets, of the payload        number = 8, of its first entry
///     count   = 4, entries   type = 1 octet                         key-id = 2, of the MAC's key
///     previous = 32, the MAC of the frame before                    check = 4, CRC-32 of all before it
///     mac     = HMAC-SHA-256(K_journal, all before it)
///
/// The check is for accidents alone: it tells a frame that was not written to its end from one that was changed.
/// Every function is pure and thread-safe.



namespace tokenstore::journal {

inline constexpr std::size_t frame_header_size = 59;
inline constexpr std::size_t frame_mac_size = 32;
inline constexpr std::size_t payload_max = std::size_t{16} << 20;
inline constexpr std::size_t frame_max = frame_header_size + payload_max + frame_mac_size;

enum class FrameType : std::uint8_t {
  head = 1,     ///< opens a segment
  entries = 2,  ///< changes, each with a number of its own
  ended = 3,    ///< of the summary that a segment begins with: tokens
  carried = 4,  ///< of that summary: the latest entry of whatever else is restricted
};

struct FrameHeader {
  std::size_t payload_size = 0;
  std::uint64_t number = 0;
  std::uint32_t count = 0;
  FrameType type = FrameType::entries;
  std::string key_id{};
  Bytes32 previous{};

  std::size_t frame_size() const noexcept { return frame_header_size + payload_size + frame_mac_size; }
};

/// A whole frame, under the active key. Its type, number, count and previous are the header's. The payload is at most
/// `payload_max` octets long.
std::string compose_frame(const seal::Sealer& sealer, const FrameHeader& header, std::string_view payload);

/// What the first octets of `text` say, as long as they are a header; empty if they are none.
std::optional<FrameHeader> parse_header(std::string_view text);
/// `frame` is as long as its header says.
bool is_genuine(const seal::Sealer& sealer, const FrameHeader& header, std::string_view frame) noexcept;
Bytes32 mac_of(std::string_view frame) noexcept;
inline std::string_view payload_of(std::string_view frame) noexcept {
  return frame.substr(frame_header_size, frame.size() - frame_header_size - frame_mac_size);
}

/// What stands behind the last good frame of a file and is none.
enum class Tail : std::uint8_t {
  torn,     ///< a write that did not come to its end: by a full disk, a killed process or a power cut
  damaged,  ///< anything else
};
/// `tail` is the rest of the file from `offset` on, and not empty. There is never more than one frame that was not
/// synced, and it is written where the file ended. So it is torn if the file ends within it, or if one of the disk's
/// sectors in it was never written; and if another genuine frame follows, something was changed.
Tail judge_tail(const seal::Sealer& sealer, std::string_view tail, std::uint64_t offset);

}  // namespace tokenstore::journal

// ---- src/journal/frame.cpp -----------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

constexpr std::string_view frame_magic = "TSJ1";
constexpr std::size_t check_at = frame_header_size - 4;
/// What a disk writes whole or not at all.
constexpr std::size_t sector_size = 512;
/// A tail with more beginnings of frames than this was made by somebody.
constexpr int most_beginnings = 1000;

bool is_type(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(FrameType::head) && type <= static_cast<std::uint8_t>(FrameType::carried);
}

/// Whether a sector in the first `size` octets of the tail holds nothing but zeroes there.
bool has_unwritten_sector(std::string_view tail, std::uint64_t offset, std::size_t size) noexcept {
  size = std::min(size, tail.size());
  for (std::size_t at = 0; at < size;) {
    const std::size_t rest_of_sector = sector_size - static_cast<std::size_t>((offset + at) % sector_size);
    const std::string_view part = tail.substr(at, std::min(rest_of_sector, size - at));
    if (part.find_first_not_of('\0') == std::string_view::npos) return true;
    at += part.size();
  }
  return false;
}

/// Whether a genuine frame begins anywhere in `tail`, or so many seem to that this is no accident.
bool holds_another_frame(const seal::Sealer& sealer, std::string_view tail) {
  int beginnings = 0;
  for (std::size_t at = tail.find(frame_magic); at != std::string_view::npos; at = tail.find(frame_magic, at + 1)) {
    const auto header = parse_header(tail.substr(at));
    if (!header || header->frame_size() > tail.size() - at) continue;
    if (++beginnings > most_beginnings) return true;
    if (is_genuine(sealer, *header, tail.substr(at, header->frame_size()))) return true;
  }
  return false;
}

}  // namespace

std::string compose_frame(const seal::Sealer& sealer, const FrameHeader& header, std::string_view payload) {
  std::string frame;
  frame.reserve(frame_header_size + payload.size() + frame_mac_size);
  OctetWriter writer(frame);
  frame.append(frame_magic);
  writer.number(payload.size(), 4);
  writer.count(header.number);
  writer.number(header.count, 4);
  writer.octet(static_cast<std::uint8_t>(header.type));
  frame.append(sealer.active_key_id());
  writer.octets(header.previous);
  writer.number(base::crc32(frame), 4);
  frame.append(payload);
  // The active key is held and not retired, so there always is a MAC.
  writer.octets(sealer.journal_mac(sealer.active_key_id(), frame).value_or(Bytes32{}));
  return frame;
}

std::optional<FrameHeader> parse_header(std::string_view text) {
  if (text.size() < frame_header_size || !text.starts_with(frame_magic)) return std::nullopt;
  OctetReader reader(text.substr(frame_magic.size(), frame_header_size - frame_magic.size()));
  FrameHeader header;
  header.payload_size = reader.number(4);
  header.number = reader.count();
  header.count = static_cast<std::uint32_t>(reader.number(4));
  const std::uint8_t type = reader.octet();
  for (std::size_t i = 0; i < text::key_id_size; ++i) header.key_id.push_back(static_cast<char>(reader.octet()));
  reader.octets(header.previous);
  if (reader.number(4) != base::crc32(text.substr(0, check_at))) return std::nullopt;
  if (!is_type(type) || header.payload_size > payload_max) return std::nullopt;
  header.type = static_cast<FrameType>(type);
  return header;
}

bool is_genuine(const seal::Sealer& sealer, const FrameHeader& header, std::string_view frame) noexcept {
  const auto expected = sealer.journal_mac(header.key_id, frame.substr(0, frame.size() - frame_mac_size));
  return expected && base::equal_constant_time(*expected, mac_of(frame));
}

Bytes32 mac_of(std::string_view frame) noexcept {
  Bytes32 mac;
  OctetReader(frame.substr(frame.size() - frame_mac_size)).octets(mac);
  return mac;
}

Tail judge_tail(const seal::Sealer& sealer, std::string_view tail, std::uint64_t offset) {
  if (tail.size() > frame_max || holds_another_frame(sealer, tail.substr(1))) return Tail::damaged;
  if (tail.size() < frame_header_size) return Tail::torn;
  const auto header = parse_header(tail);
  if (!header) return has_unwritten_sector(tail, offset, frame_header_size) ? Tail::torn : Tail::damaged;
  const std::size_t size = header->frame_size();
  if (tail.size() < size) return Tail::torn;
  return tail.size() == size && has_unwritten_sector(tail, offset, size) ? Tail::torn : Tail::damaged;
}

}  // namespace tokenstore::journal

// ---- src/journal/safe_file.hpp -------------------------------------------------------------------------------

/// The file of a journal: which files are taken, its lock, and reading and writing it whole.
///
/// Only a regular file that nobody else can write is taken, never through a symbolic link. The lock is advisory
/// (flock), held by an opening of the file, and so by one writer at a time among the threads of all processes; a
/// forked child opens the file itself. One thread at a time uses an object.




namespace tokenstore::journal {

/// "the journal PATH WHY", on one line whatever the path holds.
Error journal_error(Status status, const std::string& path, std::string_view why);
/// The same for a call that failed with this number.
Error failed_call(const std::string& path, std::string_view act, int number);

struct Whereabouts {
  std::string path;
  /// Of meaning to root alone: the file may belong to whom this file or directory belongs to, and a new one is theirs.
  std::string owner_of{};
  bool read_only = false;
};

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class SafeFile {
 public:
  SafeFile() = default;
  ~SafeFile();
  SafeFile(SafeFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), identity_(other.identity_) {}
  SafeFile& operator=(SafeFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(identity_, other.identity_);
    return *this;
  }

  /// `not_found` if there is none, `cannot_open` if it is not to be taken.
  static Result<SafeFile> open(const Whereabouts& where);
  /// The same, and nobody else writes while it lives. `unavailable` if another process keeps the lock too long.
  static Result<SafeFile> open_locked(const Whereabouts& where);
  /// A new file beside the journal, of the name given.
  static Result<SafeFile> create(const Whereabouts& where, const std::string& name);

  const FileIdentity& identity() const noexcept { return identity_; }
  Result<std::uint64_t> size(const std::string& path) const;
  /// Octets from a place on, up to the buffer's size; fewer at the end of the file alone.
  Result<std::size_t> read(const std::string& path, std::uint64_t from, std::span<char> buffer) const;
  /// All of `text` at the end `at` and durable, or an error and the file as it was.
  Result<void> append(const std::string& path, std::uint64_t at, std::string_view text);
  /// Cuts the file to `size` and makes that durable.
  Result<void> cut(const std::string& path, std::uint64_t size);

 private:
  int descriptor_ = -1;
  FileIdentity identity_{};
};

/// What a path leads to now: its identity and size. `not_found` if there is nothing.
struct FileFacts {
  FileIdentity identity;
  std::uint64_t size = 0;
};
Result<FileFacts> facts_of(const std::string& path);

}  // namespace tokenstore::journal

// ---- src/journal/segment.hpp ---------------------------------------------------------------------------------

/// Reading a segment: the frames of one file, from a position on, each verified before anybody is told what is in it.
///
/// One thread at a time. Nothing is owned.



namespace tokenstore::journal {

/// A token in the summary that a segment begins with.
struct EndedToken {
  std::string_view id{};
  RecordRevision revision = 0;  ///< `gone` if it was removed
  UnixMillis until = no_end;
  UnixMillis ends_at = no_end;
  Deed deed = Deed::revoked;
};

/// Is told of what the journal holds, in order. The views last as long as the call.
class Listener {
 public:
  virtual ~Listener() = default;
  /// `number` counts from 1 on over all segments; 0: carried over from an earlier segment.
  virtual void entry(std::uint64_t number, const Entry& entry) = 0;
  virtual void ended(std::string_view workspace, const EndedToken& token) = 0;
};

/// Whose journal is read.
struct Reader {
  const seal::Sealer& sealer;
  const Bytes16& store;
  const std::string& path;
};

/// How far a segment has been read: behind its last good frame.
struct Position {
  FileIdentity file{};
  std::uint64_t offset = 0;
  Bytes32 mac{};             ///< of that frame
  std::uint64_t number = 1;  ///< of the next entry
  std::uint64_t segment = 0;
  UnixMillis made_at = 0;  ///< of the segment
  Bytes32 head{};          ///< MAC of its first frame: no other segment has it
};

struct SegmentHead {
  Bytes16 store{};
  std::uint64_t segment = 1;
  UnixMillis made_at = 0;
  Bytes16 birth{};  ///< random: no two segments begin alike
};
std::string encode_head(const SegmentHead& head);
/// Whether the file begins with the segment that `position` is in. Another file may have got its number in the file
/// system.
Result<bool> is_same_segment(const std::string& path, const SafeFile& file, const Position& position);
/// A payload of ended tokens of one workspace.
std::string encode_ended(std::string_view workspace);
void add_ended(std::string& payload, const EndedToken& token);

/// Reads on from a position to the end of the file. True: all of it is good. False: behind the position there is
/// something that is no frame, and `tail` holds it, or its beginning if it is longer than a frame can be.
/// `journal_damaged`: a frame that the journal's keys vouch for stands where it does not belong; `not_a_store`: it is
/// another store's; `wrong_key`: it was made with a key that is not held, or retired.
Result<bool> read_on(const Reader& reader, const SafeFile& file, Position& position, Listener& listener,
                     std::string& tail);

/// The error for a place in the journal.
Error damaged_at(const Reader& reader, const Position& position, std::string_view what);

}  // namespace tokenstore::journal

// ---- src/journal/log.hpp -------------------------------------------------------------------------------------

/// A journal: its active file, and the segments before it.
///
/// The file at the path is the active segment. Earlier ones are kept beside it as PATH.000001 and so on, until an
/// administrator removes them; the active one begins with a summary of all that they restrict, so nothing needs them
/// but an audit. The file is opened for each call and held by nobody in between: so a new segment, a file put in
/// another's place and a forked child are all seen, and a call costs a few microseconds more.
///
/// One thread at a time; any number of processes. Borrows the sealer.



namespace tokenstore::journal {

class Log {
 public:
  /// Reads all of the journal; makes it if there is none and it may be written, and says so in `made()`.
  /// `journal_damaged`, `not_a_store` (of another store), `wrong_key`, `cannot_open` (a file not to be taken, or
  /// missing where it is only read).
  static Result<std::unique_ptr<Log>> open(Whereabouts where, const seal::Sealer& sealer, const Bytes16& store,
                                           UnixMillis now, Listener& listener);

  /// Tells the listener what others have appended since. Without a lock: what somebody is writing now is left for
  /// later.
  Result<void> read_on(Listener& listener);
  /// Appends entries (encode_entry(), one behind the other) in one frame, durable on return; what others have appended
  /// before is told first. An error: nothing of it is in the journal.
  Result<void> append(std::string_view entries, std::uint32_t count, Listener& listener);
  /// Begins a new segment with a summary of what this one restricts at `now`. Interrupted anywhere, the journal is as
  /// it was or as it shall be.
  Result<void> begin_segment(UnixMillis now, Listener& listener);

  const Position& position() const noexcept { return position_; }
  bool made() const noexcept { return made_; }
  /// Octets of writes that did not come to their end, which were cut off; and of one that stands at the end now.
  std::uint64_t cut() const noexcept { return cut_; }
  std::uint64_t torn() const noexcept { return torn_; }
  const std::string& path() const noexcept { return where_.path; }

  /// Where a segment that is no longer the active one is kept.
  static std::string path_of_segment(const std::string& path, std::uint64_t segment);

 private:
  Log(Whereabouts where, const seal::Sealer& sealer, const Bytes16& store)
      : where_(std::move(where)), sealer_(sealer), store_(store) {}

  Reader reader() const noexcept { return {sealer_, store_, where_.path}; }
  Result<void> make(UnixMillis now);
  /// Under the lock: reads to the end and cuts a write that did not come to its.
  Result<void> catch_up(SafeFile& file, Listener& listener);
  /// Begins anew with a file that is not the one read before.
  Result<bool> read_file(const SafeFile& file, Listener& listener, std::string& tail);
  Result<void> write_segment(SafeFile& file, UnixMillis now);
  /// Gives the segment at `aside` the path, and the one that is there its number.
  Result<void> take_the_place(const std::string& aside);

  Whereabouts where_;
  const seal::Sealer& sealer_;
  const Bytes16 store_;
  Position position_;
  bool made_ = false;
  std::uint64_t cut_ = 0;
  std::uint64_t torn_ = 0;
};

}  // namespace tokenstore::journal

// ---- src/journal/summary.hpp ---------------------------------------------------------------------------------

/// What a segment restricts, gathered for the one after it: of each record the highest revision that was journaled.
///
/// A token that has ended by itself is dropped: no earlier state of it could be used. One thread at a time.



namespace tokenstore::journal {

/// Hosts' clocks may differ by this much, and none of them may take an ending for forgotten too early.
inline constexpr UnixMillis clock_tolerance = 24LL * 60 * 60 * 1000;

/// Whether an earlier state of a token can still be used by anybody.
inline bool can_still_live(UnixMillis until, UnixMillis now) noexcept {
  if (until >= now) return true;
  const std::uint64_t over_for = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(until);
  return over_for < static_cast<std::uint64_t>(clock_tolerance);
}

class Summary final : public Listener {
 public:
  explicit Summary(UnixMillis now) noexcept : now_(now) {}

  void entry(std::uint64_t number, const Entry& entry) override;
  void ended(std::string_view workspace, const EndedToken& token) override;

  using Write = std::function<Result<void>(FrameType type, std::uint32_t count, std::string_view payload)>;
  /// As the frames of a new segment.
  Result<void> write(const Write& write) const;

 private:
  struct Token {
    RecordRevision revision = 0;
    UnixMillis until = no_end;
    UnixMillis ends_at = no_end;
    Deed deed = Deed::revoked;
  };
  struct Settings {
    RecordRevision revision = 0;
    std::string encoded;
  };
  using Tokens = std::unordered_map<std::string, Token>;

  Result<void> write_tokens(const Write& write) const;
  Result<void> write_settings(const Write& write) const;

  const UnixMillis now_;
  std::map<std::string, Tokens, std::less<>> tokens_;  ///< by workspace
  /// Owners and workspaces, by kind, workspace and name.
  std::map<std::pair<RecordKind, std::pair<std::string, std::string>>, Settings> settings_;
  /// How far each workspace's change feed is known.
  std::map<std::string, std::uint64_t, std::less<>> learned_;
};

}  // namespace tokenstore::journal

// ---- src/journal/log.cpp -------------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

/// How often an opening that others get in the way of is begun again.
constexpr int most_openings = 10;

Bytes16 drawn_birth() {
  Bytes16 birth;
  system_random()->fill(birth);
  return birth;
}

std::string name_aside(const std::string& path) {
  std::array<std::uint8_t, 8> drawn;
  system_random()->fill(drawn);
  std::string aside = path + ".new-";
  for (const std::uint8_t octet : drawn) aside += fmt::format("{:02x}", octet);
  return aside;
}

}  // namespace

std::string Log::path_of_segment(const std::string& path, std::uint64_t segment) {
  return fmt::format("{}.{:06}", path, segment);
}

Result<std::unique_ptr<Log>> Log::open(Whereabouts where, const seal::Sealer& sealer, const Bytes16& store,
                                       UnixMillis now, Listener& listener) {
  std::unique_ptr<Log> log(new Log(std::move(where), sealer, store));
  if (log->where_.path.empty() || log->where_.path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the journal is empty or holds a NUL; name a file");
  }
  for (int attempt = 1;; ++attempt) {
    auto read = log->read_on(listener);
    if (read.ok()) return log;
    if (read.status() != Status::not_found) return read.error();
    if (log->where_.read_only) return Error(Status::cannot_open, read.error().message());
    if (attempt == most_openings) return read.error();
    if (auto made = log->make(now); !made.ok()) return made.error();
  }
}

Result<void> Log::make(UnixMillis now) {
  // Written aside, then put in place: a crash leaves the whole file or none, and nothing is ever replaced.
  const std::string aside = name_aside(where_.path);
  auto file = SafeFile::create(where_, aside);
  if (!file.ok()) return file.error();
  FrameHeader header;
  header.type = FrameType::head;
  header.number = 1;
  const std::string head = encode_head({store_, 1, now, drawn_birth()});
  auto written = file->append(where_.path, 0, compose_frame(sealer_, header, head));
  int number = written.ok() ? base::put_in_place(aside, where_.path) : 0;
  ::unlink(aside.c_str());
  if (!written.ok()) return written.error();
  if (number == EEXIST) return {};  // somebody else was faster
  if (number == 0) number = base::sync_directory_of(where_.path);
  if (number != 0) return failed_call(where_.path, "created", number);
  made_ = true;
  return {};
}

Result<bool> Log::read_file(const SafeFile& file, Listener& listener, std::string& tail) {
  const auto same = is_same_segment(where_.path, file, position_);
  if (!same.ok()) return same.error();
  if (*same) {
    const auto size = file.size(where_.path);
    if (!size.ok()) return size.error();
    if (*size >= position_.offset) return journal::read_on(reader(), file, position_, listener, tail);
    return damaged_at(reader(), position_, "it ended later when it was last read, and was cut short");
  }
  Position anew;
  anew.file = file.identity();
  auto all_good = journal::read_on(reader(), file, anew, listener, tail);
  if (!all_good.ok()) return all_good;
  // Another file: a new segment goes on where the last one ended, or further.
  if (anew.number < position_.number || anew.segment < position_.segment) {
    return damaged_at(reader(), anew, "it went on further when it was last read, and an earlier state was put back");
  }
  if (anew.offset != 0) position_ = anew;
  return all_good;
}

Result<void> Log::read_on(Listener& listener) {
  const auto facts = facts_of(where_.path);
  if (!facts.ok()) return facts.error();
  if (facts->identity == position_.file && facts->size == position_.offset) return {};
  std::string tail;
  {
    const auto file = SafeFile::open(where_);
    if (!file.ok()) return file.error();
    const auto all_good = read_file(*file, listener, tail);
    if (!all_good.ok()) return all_good.error();
    if (*all_good && position_.offset != 0) return {};
  }
  // Somebody is writing, or did not come to the end of it. Under the lock nobody is.
  auto file = SafeFile::open_locked(where_);
  if (!file.ok()) return file.error();
  tail.clear();
  const auto all_good = read_file(*file, listener, tail);
  if (!all_good.ok()) return all_good.error();
  torn_ = tail.size();
  const std::uint64_t from = position_.file == file->identity() ? position_.offset : 0;
  if (from == 0) return damaged_at(reader(), Position{}, "it does not begin as a journal");
  if (*all_good) return {};
  if (judge_tail(sealer_, tail, from) == Tail::torn) return {};
  return damaged_at(reader(), position_, "what stands there is not what was written");
}

Result<void> Log::catch_up(SafeFile& file, Listener& listener) {
  std::string tail;
  const auto all_good = read_file(file, listener, tail);
  if (!all_good.ok()) return all_good.error();
  if (position_.file != file.identity()) return damaged_at(reader(), Position{}, "it does not begin as a journal");
  if (*all_good) return {};
  if (judge_tail(sealer_, tail, position_.offset) == Tail::damaged) {
    return damaged_at(reader(), position_, "what stands there is not what was written");
  }
  // Durable before anything is written in its place: a sector that is never written must show.
  if (auto done = file.cut(where_.path, position_.offset); !done.ok()) return done;
  cut_ += tail.size();
  torn_ = 0;
  return {};
}

Result<void> Log::append(std::string_view entries, std::uint32_t count, Listener& listener) {
  if (where_.read_only) return journal_error(Status::read_only, where_.path, "is open for reading only");
  if (entries.size() > payload_max)
    return journal_error(Status::invalid_argument, where_.path, "takes no frame so long");
  auto file = SafeFile::open_locked(where_);
  if (!file.ok()) return file.error();
  if (auto done = catch_up(*file, listener); !done.ok()) return done;
  FrameHeader header;
  header.type = FrameType::entries;
  header.number = position_.number;
  header.count = count;
  header.previous = position_.mac;
  const std::string frame = compose_frame(sealer_, header, entries);
  if (auto done = file->append(where_.path, position_.offset, frame); !done.ok()) return done;
  position_.offset += frame.size();
  position_.mac = mac_of(frame);
  position_.number += count;
  return {};
}

Result<void> Log::write_segment(SafeFile& file, UnixMillis now) {
  Summary summary(now);
  {
    // The whole of the active segment, which this one is to replace.
    const auto active = SafeFile::open(where_);
    if (!active.ok()) return active.error();
    Position from_start;
    std::string tail;
    const auto all_good = journal::read_on(reader(), *active, from_start, summary, tail);
    if (!all_good.ok()) return all_good.error();
    if (from_start.offset != position_.offset || from_start.mac != position_.mac) {
      return damaged_at(reader(), from_start, "what stands there is not what was written");
    }
  }
  Position at;
  at.mac = position_.mac;
  const auto write = [&](FrameType type, std::uint32_t count, std::string_view payload) -> Result<void> {
    FrameHeader header;
    header.type = type;
    header.number = position_.number;
    header.count = count;
    header.previous = at.mac;
    const std::string frame = compose_frame(sealer_, header, payload);
    if (auto done = file.append(where_.path, at.offset, frame); !done.ok()) return done;
    at.offset += frame.size();
    at.mac = mac_of(frame);
    return {};
  };
  const SegmentHead head{store_, position_.segment + 1, now, drawn_birth()};
  if (auto done = write(FrameType::head, 0, encode_head(head)); !done.ok()) return done;
  return summary.write(write);
}

Result<void> Log::take_the_place(const std::string& aside) {
  const std::string kept = path_of_segment(where_.path, position_.segment);
  // The earlier segment keeps a name at every moment, and the path always leads to a whole one.
  if (::link(where_.path.c_str(), kept.c_str()) != 0) {
    const int number = errno;
    const auto there = facts_of(kept);
    // Begun before, and interrupted behind this step.
    const bool done_before = number == EEXIST && there.ok() && there->identity == position_.file;
    if (!done_before) return failed_call(where_.path, fmt::format("kept as {}", kept), number);
  }
  if (::rename(aside.c_str(), where_.path.c_str()) != 0) return failed_call(where_.path, "replaced", errno);
  if (const int number = base::sync_directory_of(where_.path); number != 0) {
    return failed_call(where_.path, "made durable", number);
  }
  return {};
}

Result<void> Log::begin_segment(UnixMillis now, Listener& listener) {
  if (where_.read_only) return journal_error(Status::read_only, where_.path, "is open for reading only");
  auto file = SafeFile::open_locked(where_);
  if (!file.ok()) return file.error();
  if (auto done = catch_up(*file, listener); !done.ok()) return done;
  // One name for all, whose turn it is under the lock: what an interrupted call left is taken away.
  const std::string aside = where_.path + ".new";
  ::unlink(aside.c_str());
  auto fresh = SafeFile::create(where_, aside);
  if (!fresh.ok()) return fresh.error();
  auto done = write_segment(*fresh, now);
  if (done.ok()) done = take_the_place(aside);
  if (!done.ok()) {
    ::unlink(aside.c_str());
    return done;
  }
  // Whoever waits for the lock of the earlier file finds that the path leads elsewhere.
  return read_on(listener);
}

}  // namespace tokenstore::journal

// ---- src/journal/record_octets.cpp ---------------------------------------------------------------------------

/// Sealed records as octets. The fields stand in the order of include/tokenstore/backend.hpp; what is not sealed is
/// left out.


namespace tokenstore::journal {

namespace {

/// Writes what it is given.
class RecordWriter {
 public:
  explicit RecordWriter(std::string& out) : writer_(out) {}
  void number(std::uint64_t value) { writer_.count(value); }
  void time(UnixMillis value) { writer_.time(value); }
  void flag(bool value) { writer_.octet(value ? 1 : 0); }
  void text(const std::string& value) { writer_.text(value); }
  template <std::size_t Size>
  void octets(const std::array<std::uint8_t, Size>& value) {
    writer_.octets(value);
  }

 private:
  OctetWriter writer_;
};

/// Fills what it is given.
class RecordReader {
 public:
  explicit RecordReader(std::string_view in) : reader_(in) {}
  template <typename Number>
  void number(Number& value) {
    value = static_cast<Number>(reader_.count());
  }
  void time(UnixMillis& value) { value = reader_.time(); }
  void flag(bool& value) { value = reader_.octet() != 0; }
  void text(std::string& value) { value = reader_.text(); }
  template <std::size_t Size>
  void octets(std::array<std::uint8_t, Size>& value) {
    reader_.octets(value);
  }
  bool finished() const noexcept { return reader_.finished(); }

 private:
  OctetReader reader_;
};

// One list of fields for both ways, so that they cannot differ.

template <typename Fields, typename Token>
void pass_token(Fields& fields, Token& record) {
  fields.text(record.id);
  fields.text(record.key_id);
  fields.octets(record.verifier);
  fields.text(record.owner);
  fields.octets(record.owner_birth);
  fields.number(record.revoke_all_count);
  fields.text(record.description);
  fields.text(record.scopes);
  fields.text(record.metadata);
  fields.time(record.created_at);
  fields.text(record.created_by);
  fields.time(record.not_before);
  fields.time(record.expires_at);
  fields.time(record.expired_at);
  fields.time(record.revoked_at);
  fields.text(record.revoked_by);
  fields.text(record.revoke_reason);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Owner>
void pass_owner(Fields& fields, Owner& record) {
  fields.text(record.owner);
  fields.octets(record.birth);
  fields.flag(record.may_issue);
  fields.flag(record.may_use);
  fields.time(record.suspended_at);
  fields.text(record.suspended_by);
  fields.text(record.suspend_reason);
  fields.number(record.revoke_all_count);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Workspace>
void pass_workspace(Fields& fields, Workspace& record) {
  fields.text(record.workspace);
  fields.octets(record.birth);
  fields.flag(record.tokens_enabled);
  fields.flag(record.users_may_issue);
  fields.flag(record.never_allowed);
  fields.time(record.longest_lifetime);
  fields.time(record.default_lifetime);
  fields.number(record.most_active_per_owner);
  fields.time(record.created_at);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Store>
void pass_store(Fields& fields, Store& record) {
  fields.octets(record.id);
  fields.time(record.created_at);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields>
struct Pass {
  Fields& fields;
  template <typename Each>
  void operator()(Each& record) const {
    using Plain = std::remove_const_t<Each>;
    if constexpr (std::is_same_v<Plain, TokenRecord>) pass_token(fields, record);
    if constexpr (std::is_same_v<Plain, OwnerRecord>) pass_owner(fields, record);
    if constexpr (std::is_same_v<Plain, WorkspaceRecord>) pass_workspace(fields, record);
    if constexpr (std::is_same_v<Plain, StoreRecord>) pass_store(fields, record);
  }
};

RecordKind kind_of_record(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index() + 1);
}

Record empty_record(RecordKind kind) {
  switch (kind) {
    case RecordKind::token:
      break;
    case RecordKind::owner:
      return OwnerRecord{};
    case RecordKind::workspace:
      return WorkspaceRecord{};
    case RecordKind::store:
      return StoreRecord{};
  }
  return TokenRecord{};
}

}  // namespace

std::string encode_record(const Record& record) {
  std::string octets;
  octets.push_back(static_cast<char>(kind_of_record(record)));
  RecordWriter writer(octets);
  std::visit(Pass<RecordWriter>{writer}, record);
  return octets;
}

std::optional<Record> decode_record(std::string_view octets) {
  if (octets.empty() || octets[0] < 1 || octets[0] > 4) return std::nullopt;
  Record record = empty_record(static_cast<RecordKind>(octets[0]));
  RecordReader reader(octets.substr(1));
  std::visit(Pass<RecordReader>{reader}, record);
  if (!reader.finished()) return std::nullopt;
  return record;
}

}  // namespace tokenstore::journal

// ---- src/journal/restricted.hpp ------------------------------------------------------------------------------

/// What the journal restricts, in memory: for each record the revision below which a stored one is an older state.
///
/// 16 octets a record: a keyed hash of its name, its revision, and when it would have ended by itself, after which it
/// is dropped. Two names of one hash would share the higher revision: nobody can choose such names, and by chance it
/// needs billions of records. Thread-safe; whoever looks takes one of many locks for a moment.




namespace tokenstore::journal {

class Restricted {
 public:
  explicit Restricted(RandomSource& random) noexcept;

  /// Never lowers what is known. Throws std::bad_alloc, and then knows what it knew before.
  void note(RecordKind kind, std::string_view key, RecordRevision revision, UnixMillis until, UnixMillis now);
  /// The revision that a stored record has to have at least: 0 if nothing is known of it, `gone` if it must not be
  /// there.
  RecordRevision least_revision(RecordKind kind, std::string_view key) const noexcept;

  bool empty() const noexcept { return size_.load(std::memory_order_acquire) == 0; }
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::uint64_t hash = 0;  ///< 0: free
    std::uint64_t word = 0;  ///< revision and end, see restricted.cpp
  };
  struct Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;
    std::size_t used = 0;
  };
  static constexpr std::size_t shards = 64;

  std::uint64_t hash_of(RecordKind kind, std::string_view key) const noexcept;
  /// Where a record is, or could be. There is always a free slot.
  static std::size_t place_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept;
  void make_room(Shard& shard, UnixMillis now);

  base::WipedBytes<crypto_shorthash_KEYBYTES> hash_key_;
  std::array<Shard, shards> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace tokenstore::journal

// ---- src/journal/restricted.cpp ------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

// A word: 36 bits of revision, then 28 bits of the minute in which the record ends by itself. A revision that does not
// fit is as good as the highest that does; a minute that does not fit lies after the year 2480 and is no end.
constexpr unsigned minute_bits = 28;
constexpr std::uint64_t minute_mask = (std::uint64_t{1} << minute_bits) - 1;
constexpr std::uint64_t revision_gone = (std::uint64_t{1} << (64 - minute_bits)) - 1;
constexpr UnixMillis minute = 60'000;

std::uint64_t minute_of(UnixMillis until) noexcept {
  if (until <= 0) return 0;
  const std::uint64_t whole = static_cast<std::uint64_t>(until - 1) / minute + 1;
  return std::min(whole, minute_mask);
}

UnixMillis end_of(std::uint64_t word) noexcept {
  const std::uint64_t end = word & minute_mask;
  return end == minute_mask ? no_end : static_cast<UnixMillis>(end) * minute;
}

std::uint64_t word_of(RecordRevision revision, UnixMillis until) noexcept {
  const std::uint64_t bounded = revision == gone ? revision_gone : std::min(revision, revision_gone - 1);
  return bounded << minute_bits | minute_of(until);
}

RecordRevision revision_in(std::uint64_t word) noexcept {
  const std::uint64_t revision = word >> minute_bits;
  return revision == revision_gone ? gone : revision;
}

/// The higher of two revisions, and the later of two ends.
std::uint64_t merged(std::uint64_t known, std::uint64_t fresh) noexcept {
  const std::uint64_t revision = std::max(known >> minute_bits, fresh >> minute_bits);
  return revision << minute_bits | std::max(known & minute_mask, fresh & minute_mask);
}

/// How full a shard may be, and by how much it then grows: between 1.2 and 1.5 slots a record.
constexpr std::size_t most_used_percent = 85;
constexpr std::size_t growth_percent = 125;
constexpr std::size_t least_slots = 16;

bool is_full(std::size_t used, std::size_t slots) noexcept {
  return (used + 1) * 100 > slots * most_used_percent;
}

}  // namespace

Restricted::Restricted(RandomSource& random) noexcept {
  random.fill(hash_key_.span());
}

std::uint64_t Restricted::hash_of(RecordKind kind, std::string_view key) const noexcept {
  // The kind goes in front, so that an owner who is called as a token is another record. A name's length is bounded.
  std::array<unsigned char, 1 + 1024> octets;
  octets[0] = static_cast<unsigned char>(kind);
  const std::size_t size = std::min(key.size(), octets.size() - 1);
  if (size != 0) std::memcpy(octets.data() + 1, key.data(), size);
  std::uint64_t hash = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), octets.data(), size + 1, hash_key_.data());
  return hash == 0 ? 1 : hash;
}

// The low bits choose the shard, the high ones the place: the same names do not crowd in both.
std::size_t Restricted::place_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept {
  auto at = static_cast<std::size_t>(base::uint128{hash} * slots.size() >> 64);
  while (slots[at].hash != hash && slots[at].hash != 0) at = at + 1 == slots.size() ? 0 : at + 1;
  return at;
}

void Restricted::make_room(Shard& shard, UnixMillis now) {
  if (!is_full(shard.used, shard.slots.size())) return;
  const auto still_counts = [&](const Slot& slot) { return slot.hash != 0 && can_still_live(end_of(slot.word), now); };
  const auto kept = static_cast<std::size_t>(std::count_if(shard.slots.begin(), shard.slots.end(), still_counts));
  std::size_t wanted = std::max(least_slots, shard.slots.size());
  while (is_full(kept, wanted)) wanted = wanted * growth_percent / 100;
  std::vector<Slot> roomier(wanted);
  for (const Slot& slot : shard.slots) {
    if (still_counts(slot)) roomier[place_of(roomier, slot.hash)] = slot;
  }
  size_.fetch_sub(shard.used - kept, std::memory_order_relaxed);
  bytes_.fetch_add((roomier.size() - shard.slots.size()) * sizeof(Slot), std::memory_order_relaxed);
  shard.slots.swap(roomier);
  shard.used = kept;
}

void Restricted::note(RecordKind kind, std::string_view key, RecordRevision revision, UnixMillis until,
                      UnixMillis now) {
  if (!can_still_live(until, now)) return;
  const std::uint64_t hash = hash_of(kind, key);
  Shard& shard = shards_[hash % shards];
  const std::lock_guard lock(shard.mutex);
  make_room(shard, now);
  Slot& slot = shard.slots[place_of(shard.slots, hash)];
  if (slot.hash == 0) {
    slot = {hash, word_of(revision, until)};
    ++shard.used;
    size_.fetch_add(1, std::memory_order_release);
  } else {
    slot.word = merged(slot.word, word_of(revision, until));
  }
}

RecordRevision Restricted::least_revision(RecordKind kind, std::string_view key) const noexcept {
  if (empty()) return 0;
  const std::uint64_t hash = hash_of(kind, key);
  const Shard& shard = shards_[hash % shards];
  const std::lock_guard lock(shard.mutex);
  if (shard.slots.empty()) return 0;
  const Slot& slot = shard.slots[place_of(shard.slots, hash)];
  return slot.hash == 0 ? 0 : revision_in(slot.word);
}

}  // namespace tokenstore::journal

// ---- src/journal/safe_file.cpp -------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

/// Whoever writes holds the lock for one sync; a process that was stopped meanwhile must not stop everybody.
constexpr std::chrono::seconds longest_lock_wait{10};
constexpr std::chrono::microseconds shortest_pause{20};
constexpr std::chrono::microseconds longest_pause{1000};

Status status_of(int number) noexcept {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status::storage_full;
    case EROFS:
      return Status::read_only;
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENOTDIR:
      return Status::cannot_open;
    default:
      return Status::unavailable;
  }
}

/// Whose the journal is to be if root runs the program: nobody's but root's, unless something is named.
uid_t rightful_owner(const Whereabouts& where) noexcept {
  struct stat owned {};
  const bool of_another = ::geteuid() == 0 && !where.owner_of.empty() && ::stat(where.owner_of.c_str(), &owned) == 0;
  return of_another ? owned.st_uid : ::geteuid();
}

/// Why a file is not to be taken; empty if it is.
std::string objection(const struct stat& facts, const Whereabouts& where) {
  if (!S_ISREG(facts.st_mode)) return "is not a regular file; give another name";
  if (facts.st_uid != ::geteuid() && facts.st_uid != rightful_owner(where)) {
    return fmt::format("belongs to user {}, and this program runs as user {}; give the file to that user", facts.st_uid,
                       ::geteuid());
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fmt::format("is open to group or others (mode {:04o}); set its mode to 0600", facts.st_mode & 07777U);
  }
  return {};
}

int sync_content(int descriptor) noexcept {
  int result = 0;
  do {
    result = ::fdatasync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

int cut_and_sync(int descriptor, std::uint64_t size) noexcept {
  if (::ftruncate(descriptor, static_cast<off_t>(size)) != 0) return errno;
  return sync_content(descriptor);
}

/// 0, or the error's number.
int write_at(int descriptor, std::uint64_t at, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::pwrite(descriptor, text.data(), text.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
  return 0;
}

/// False: somebody else kept it until the end of the wait. An error's number in `number` if it cannot be locked at all.
bool lock(int descriptor, int& number) noexcept {
  const auto give_up_at = std::chrono::steady_clock::now() + longest_lock_wait;
  auto pause = shortest_pause;
  for (;;) {
    number = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (number == 0) return true;
    if (number == EINTR) continue;
    if (number != EWOULDBLOCK) return false;
    if (std::chrono::steady_clock::now() >= give_up_at) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest_pause);
  }
}

}  // namespace

Error journal_error(Status status, const std::string& path, std::string_view why) {
  std::string shown = path;
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return {status, fmt::format("the journal {} {}", shown, why)};
}

Error failed_call(const std::string& path, std::string_view act, int number) {
  return journal_error(status_of(number), path,
                       fmt::format("cannot be {}: {}", act, std::generic_category().message(number)));
}

SafeFile::~SafeFile() {
  if (descriptor_ < 0) return;
  // Said outright: a child forked meanwhile has a copy of the descriptor, and would keep the lock.
  ::flock(descriptor_, LOCK_UN);
  ::close(descriptor_);
}

Result<SafeFile> SafeFile::open(const Whereabouts& where) {
  SafeFile file;
  const int access = where.read_only ? O_RDONLY : O_RDWR;
  // O_NONBLOCK: not to wait for a writer, should somebody have put a FIFO there.
  file.descriptor_ = ::open(where.path.c_str(), access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file.descriptor_ < 0) {
    if (errno == ENOENT) {
      return journal_error(Status::not_found, where.path, "is missing; put it back");
    }
    if (errno == ELOOP) {
      return journal_error(Status::cannot_open, where.path, "is a symbolic link; give the file itself");
    }
    return failed_call(where.path, "opened", errno);
  }
  struct stat facts {};
  if (::fstat(file.descriptor_, &facts) != 0) return failed_call(where.path, "examined", errno);
  if (const std::string why = objection(facts, where); !why.empty()) {
    return journal_error(Status::cannot_open, where.path, why);
  }
  file.identity_ = {facts.st_dev, facts.st_ino};
  return file;
}

Result<SafeFile> SafeFile::open_locked(const Whereabouts& where) {
  for (;;) {
    auto file = open(where);
    if (!file.ok()) return file;
    int number = 0;
    if (!lock(file->descriptor_, number)) {
      if (number != EWOULDBLOCK) return failed_call(where.path, "locked", number);
      return journal_error(Status::unavailable, where.path,
                           "is held by another process for too long; look for one that hangs");
    }
    // Whoever held the lock may have begun a new segment, and the path leads there by now.
    const auto named = facts_of(where.path);
    if (!named.ok()) return named.error();
    if (named->identity == file->identity_) return file;
  }
}

Result<SafeFile> SafeFile::create(const Whereabouts& where, const std::string& name) {
  SafeFile file;
  file.descriptor_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file.descriptor_ < 0) return failed_call(where.path, "created", errno);
  const auto give_up = [&](int number) {
    ::unlink(name.c_str());
    return failed_call(where.path, "created", number);
  };
  // The umask may have taken away the owner's own permission.
  if (::fchmod(file.descriptor_, S_IRUSR | S_IWUSR) != 0) return give_up(errno);
  const uid_t owner = rightful_owner(where);
  if (owner != ::geteuid() && ::fchown(file.descriptor_, owner, static_cast<gid_t>(-1)) != 0) return give_up(errno);
  struct stat facts {};
  if (::fstat(file.descriptor_, &facts) != 0) return give_up(errno);
  file.identity_ = {facts.st_dev, facts.st_ino};
  return file;
}

Result<std::uint64_t> SafeFile::size(const std::string& path) const {
  struct stat facts {};
  if (::fstat(descriptor_, &facts) != 0) return failed_call(path, "examined", errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

Result<std::size_t> SafeFile::read(const std::string& path, std::uint64_t from, std::span<char> buffer) const {
  std::size_t got = 0;
  while (got < buffer.size()) {
    const ssize_t more = ::pread(descriptor_, buffer.data() + got, buffer.size() - got, static_cast<off_t>(from + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return failed_call(path, "read", errno);
    if (more == 0) break;
    got += static_cast<std::size_t>(more);
  }
  return got;
}

Result<void> SafeFile::append(const std::string& path, std::uint64_t at, std::string_view text) {
  int number = write_at(descriptor_, at, text);
  if (number == 0) number = sync_content(descriptor_);
  if (number == 0) return {};
  // What is there by halves is cut off again. If that fails too, whoever writes next cuts it.
  static_cast<void>(cut_and_sync(descriptor_, at));
  return failed_call(path, "written", number);
}

Result<void> SafeFile::cut(const std::string& path, std::uint64_t size) {
  if (const int number = cut_and_sync(descriptor_, size); number != 0) return failed_call(path, "written", number);
  return {};
}

Result<FileFacts> facts_of(const std::string& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return journal_error(Status::not_found, path, "is missing; put it back");
    return failed_call(path, "examined", errno);
  }
  return FileFacts{{facts.st_dev, facts.st_ino}, static_cast<std::uint64_t>(facts.st_size)};
}

}  // namespace tokenstore::journal

// ---- src/journal/segment.cpp ---------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

constexpr std::uint8_t segment_format = 1;
constexpr std::size_t head_size = frame_header_size + 1 + 16 + 8 + 8 + 16 + frame_mac_size;
constexpr std::size_t read_size = std::size_t{1} << 20;

/// What a frame's payload says, told to the listener. False: it is malformed.
bool tell_entries(std::string_view payload, const FrameHeader& header, Position& position, Listener& listener) {
  const bool numbered = header.type == FrameType::entries;
  std::uint32_t count = 0;
  while (!payload.empty()) {
    const auto entry = take_entry(payload);
    if (!entry) return false;
    listener.entry(numbered ? position.number + count : 0, *entry);
    ++count;
  }
  if (count != header.count) return false;
  if (numbered) position.number += count;
  return true;
}

bool tell_ended(std::string_view payload, std::uint32_t count, Listener& listener) {
  OctetReader reader(payload);
  const std::string_view workspace = reader.text();
  for (; count > 0; --count) {
    EndedToken token;
    token.id = reader.text();
    token.revision = reader.count();
    token.until = reader.time();
    token.ends_at = reader.time();
    token.deed = static_cast<Deed>(reader.octet());
    if (!reader.ok()) return false;
    listener.ended(workspace, token);
  }
  return reader.finished();
}

/// Judges the frames of one segment.
class Segment {
 public:
  Segment(const Reader& reader, Position& position, Listener& listener)
      : reader_(reader), position_(position), listener_(listener) {}

  /// A frame that is as long as its header says. False: it is not genuine.
  Result<bool> take(const FrameHeader& header, std::string_view frame) {
    if (!is_genuine(reader_.sealer, header, frame)) {
      if (auto no = key_refused(header)) return *no;
      return false;
    }
    if (header.type == FrameType::head) {
      if (position_.offset != 0)
        return damaged_at(reader_, position_, "the head of a segment stands among its entries");
      if (auto good = open(header, payload_of(frame)); !good.ok()) return good.error();
      position_.head = mac_of(frame);
    } else {
      if (position_.offset == 0) return damaged_at(reader_, position_, "its beginning is missing");
      if (header.previous != position_.mac || header.number != position_.number) {
        return damaged_at(reader_, position_, "what follows was written behind something else");
      }
      const std::string_view payload = payload_of(frame);
      const bool well = header.type == FrameType::ended ? tell_ended(payload, header.count, listener_)
                                                        : tell_entries(payload, header, position_, listener_);
      if (!well) return damaged_at(reader_, position_, "an entry is malformed");
    }
    position_.offset += frame.size();
    position_.mac = mac_of(frame);
    return true;
  }

 private:
  std::optional<Error> key_refused(const FrameHeader& header) const {
    const auto use = reader_.sealer.key_use(header.key_id);
    if (use && *use != KeyUse::retired) return std::nullopt;
    return journal_error(
        Status::wrong_key, reader_.path,
        fmt::format("is written under key {}, which is {}; make it verify-only, and open the store once with it",
                    is_name(header.key_id) ? header.key_id : "??", use ? "retired" : "not in the keyring"));
  }
  static bool is_name(const std::string& key_id) noexcept {
    for (const char c : key_id) {
      if (c <= ' ' || c > '~') return false;
    }
    return true;
  }

  Result<void> open(const FrameHeader& header, std::string_view payload) {
    OctetReader octets(payload);
    if (octets.octet() != segment_format) {
      return journal_error(Status::newer_schema, reader_.path,
                           "was written by a newer version of this library; use that one");
    }
    SegmentHead head;
    octets.octets(head.store);
    head.segment = octets.count();
    head.made_at = octets.time();
    octets.octets(head.birth);
    if (!octets.finished()) return damaged_at(reader_, position_, "its beginning is malformed");
    if (head.store != reader_.store) {
      return journal_error(Status::not_a_store, reader_.path, "belongs to another store; give this store's own");
    }
    position_.number = header.number;
    position_.segment = head.segment;
    position_.made_at = head.made_at;
    return {};
  }

  const Reader& reader_;
  Position& position_;
  Listener& listener_;
};

}  // namespace

std::string encode_head(const SegmentHead& head) {
  std::string payload;
  OctetWriter writer(payload);
  writer.octet(segment_format);
  writer.octets(head.store);
  writer.count(head.segment);
  writer.time(head.made_at);
  writer.octets(head.birth);
  return payload;
}

Result<bool> is_same_segment(const std::string& path, const SafeFile& file, const Position& position) {
  if (file.identity() != position.file) return false;
  std::array<char, head_size> begins;
  const auto got = file.read(path, 0, begins);
  if (!got.ok()) return got.error();
  return *got == head_size && mac_of({begins.data(), begins.size()}) == position.head;
}

std::string encode_ended(std::string_view workspace) {
  std::string payload;
  OctetWriter(payload).text(workspace);
  return payload;
}

void add_ended(std::string& payload, const EndedToken& token) {
  OctetWriter writer(payload);
  writer.text(token.id);
  writer.count(token.revision);
  writer.time(token.until);
  writer.time(token.ends_at);
  writer.octet(static_cast<std::uint8_t>(token.deed));
}

Result<bool> read_on(const Reader& reader, const SafeFile& file, Position& position, Listener& listener,
                     std::string& tail) {
  Segment segment(reader, position, listener);
  std::string buffer;
  std::size_t done = 0;  // of the buffer
  for (bool at_end = false;;) {
    const std::string_view rest = std::string_view(buffer).substr(done);
    const auto header = parse_header(rest);
    if (header && header->frame_size() <= rest.size()) {
      auto good = segment.take(*header, rest.substr(0, header->frame_size()));
      if (!good.ok()) return good.error();
      if (*good) {
        done += header->frame_size();
        continue;
      }
    }
    // Not a frame, or not yet: more is read, unless there is no more, or more than a frame was.
    if (at_end || rest.size() > frame_max) {
      tail = rest;
      return rest.empty();
    }
    const bool bad = rest.size() >= frame_header_size && (!header || header->frame_size() <= rest.size());
    const std::size_t wanted = bad ? frame_max + 1 : std::max(header ? header->frame_size() : 0, read_size);
    buffer.erase(0, done);
    done = 0;
    const std::size_t held = buffer.size();
    buffer.resize(held + wanted);
    auto got = file.read(reader.path, position.offset + held, {buffer.data() + held, wanted});
    if (!got.ok()) return got.error();
    buffer.resize(held + *got);
    at_end = *got < wanted;
  }
}

Error damaged_at(const Reader& reader, const Position& position, std::string_view what) {
  return journal_error(
      Status::journal_damaged, reader.path,
      fmt::format("is damaged at octet {}, behind entry {}: {}; look at it (tokenstore journal verify), then go on "
                  "without what is lost (tokenstore journal accept)",
                  position.offset, position.number - 1, what));
}

}  // namespace tokenstore::journal

// ---- src/journal/summary.cpp ---------------------------------------------------------------------------------

namespace tokenstore::journal {

namespace {

/// Small enough to be written and read in one go.
constexpr std::size_t payload_aim = std::size_t{1} << 20;

}  // namespace

void Summary::entry(std::uint64_t, const Entry& entry) {
  if (entry.deed == Deed::learned) {
    auto& known = learned_[std::string(entry.workspace)];
    known = std::max(known, entry.feed_revision);
  }
  if (!entry.restricts) return;
  if (entry.kind == RecordKind::token) {
    return ended(entry.workspace, {entry.key, entry.revision, entry.until, entry.ends_at, entry.deed});
  }
  Settings& latest = settings_[{entry.kind, {std::string(entry.workspace), std::string(entry.key)}}];
  if (entry.revision < latest.revision) return;
  latest = {entry.revision, encode_entry(entry)};
}

void Summary::ended(std::string_view workspace, const EndedToken& token) {
  auto at = tokens_.find(workspace);
  if (at == tokens_.end()) at = tokens_.emplace(std::string(workspace), Tokens()).first;
  const auto [found, added] = at->second.try_emplace(std::string(token.id));
  Token& known = found->second;
  // The latest of its earlier states may have been the first: its end is what counts.
  const UnixMillis until = added ? token.until : std::max(known.until, token.until);
  if (added || token.revision >= known.revision) known = {token.revision, until, token.ends_at, token.deed};
  known.until = until;
}

Result<void> Summary::write(const Write& write) const {
  if (auto done = write_tokens(write); !done.ok()) return done;
  return write_settings(write);
}

Result<void> Summary::write_tokens(const Write& write) const {
  for (const auto& in_workspace : tokens_) {
    const std::string& workspace = in_workspace.first;
    std::string payload = encode_ended(workspace);
    std::uint32_t count = 0;
    const auto flush = [&]() -> Result<void> {
      if (count == 0) return {};
      auto done = write(FrameType::ended, count, payload);
      payload = encode_ended(workspace);
      count = 0;
      return done;
    };
    for (const auto& [id, token] : in_workspace.second) {
      if (!can_still_live(token.until, now_)) continue;
      add_ended(payload, {id, token.revision, token.until, token.ends_at, token.deed});
      ++count;
      if (payload.size() < payload_aim) continue;
      if (auto done = flush(); !done.ok()) return done;
    }
    if (auto done = flush(); !done.ok()) return done;
  }
  return {};
}

Result<void> Summary::write_settings(const Write& write) const {
  std::string payload;
  std::uint32_t count = 0;
  const auto add = [&](std::string_view encoded) -> Result<void> {
    payload.append(encoded);
    ++count;
    if (payload.size() < payload_aim) return {};
    auto done = write(FrameType::carried, count, payload);
    payload.clear();
    count = 0;
    return done;
  };
  for (const auto& [name, latest] : settings_) {
    if (auto done = add(latest.encoded); !done.ok()) return done;
  }
  for (const auto& [workspace, revision] : learned_) {
    Entry known;
    known.deed = Deed::learned;
    known.kind = RecordKind::workspace;
    known.at = now_;
    known.workspace = workspace;
    known.feed_revision = revision;
    if (auto done = add(encode_entry(known)); !done.ok()) return done;
  }
  return count == 0 ? Result<void>{} : write(FrameType::carried, count, payload);
}

}  // namespace tokenstore::journal

// ---- src/validate/pages.hpp ----------------------------------------------------------------------------------

/// Zeroed memory straight from the kernel, in huge pages where the kernel has them.
///
/// Memory that readers may still look at is never unmapped while the owner lives, only given back:
/// discard() frees the pages and leaves zeroes, so that a late reader finds nothing instead of
/// crashing.


namespace tokenstore::validate {

class Pages {
 public:
  /// Null `words()` if the kernel has no memory.
  explicit Pages(std::size_t bytes) noexcept;
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::atomic<std::uint64_t>* words() const noexcept { return words_; }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Frees the whole pages within a range.
  void discard(std::size_t offset, std::size_t size) noexcept;

 private:
  std::atomic<std::uint64_t>* words_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tokenstore::validate

// ---- src/validate/fingerprint.hpp ----------------------------------------------------------------------------

/// How the cache recognises a token text that it has seen: SipHash-2-4-128 under a random key of this
/// process, so that no client can aim at another token's place.
///
/// Immutable once made, thread-safe, allocates nothing.




namespace tokenstore::validate {

/// A token id as two words, for comparing and storing without allocation.
struct IdWords {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// Precondition: 16 octets.
  static IdWords of(const char* id) noexcept {
    IdWords words;
    std::memcpy(&words.high, id, sizeof words.high);
    std::memcpy(&words.low, id + sizeof words.high, sizeof words.low);
    return words;
  }
  void write(char* id) const noexcept {
    std::memcpy(id, &high, sizeof high);
    std::memcpy(id + sizeof high, &low, sizeof low);
  }
  friend bool operator==(const IdWords&, const IdWords&) = default;
};

struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

class Fingerprinter {
 public:
  explicit Fingerprinter(RandomSource& random) noexcept {
    random.fill(sip_key_.span());
    std::array<std::uint8_t, 16> odd{};
    random.fill(odd);
    std::memcpy(id_key_.data(), odd.data(), odd.size());
  }

  Fingerprint fingerprint(std::string_view text) const noexcept {
    std::array<unsigned char, crypto_shorthash_siphashx24_BYTES> out;
    crypto_shorthash_siphashx24(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                sip_key_.data());
    Fingerprint print;
    std::memcpy(&print.high, out.data(), sizeof print.high);
    std::memcpy(&print.low, out.data() + sizeof print.high, sizeof print.low);
    return print;
  }

  /// The group of a name (an owner, a token id). Keyed too: nobody chooses a name that shares another's.
  static constexpr std::size_t groups = 4096;
  std::uint16_t group(std::string_view name) const noexcept {
    return static_cast<std::uint16_t>(fingerprint(name).high % groups);
  }

  /// Where an id's entry lives. Keyed, and much cheaper than the fingerprint, so that memory can be
  /// fetched while the fingerprint is being computed. An attacker who hit a chosen place would gain an
  /// eviction, never an answer: the fingerprint alone decides whose entry it is.
  std::uint64_t place(IdWords id) const noexcept {
    using wide = base::uint128;
    const wide first = wide{id.high ^ id_key_[0]} * (id.low ^ id_key_[1]);
    const std::uint64_t folded = static_cast<std::uint64_t>(first) ^ static_cast<std::uint64_t>(first >> 64);
    const wide second = wide{folded ^ id_key_[1]} * 0x9E37'79B9'7F4A'7C15U;
    return static_cast<std::uint64_t>(second) ^ static_cast<std::uint64_t>(second >> 64);
  }

 private:
  base::WipedBytes<crypto_shorthash_siphashx24_KEYBYTES> sip_key_;
  std::array<std::uint64_t, 2> id_key_{};
};

}  // namespace tokenstore::validate

// ---- src/validate/packed_address.hpp -------------------------------------------------------------------------

/// A client address in two words and a kind, as a cache entry keeps it.


namespace tokenstore::validate {

struct PackedAddress {
  enum class Kind : std::uint8_t { none = 0, ipv4 = 1, ipv6 = 2 };

  Kind kind = Kind::none;
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// `none` if the text is not an IPv4 or IPv6 address.
  static PackedAddress parse(std::string_view text) noexcept;
  /// RFC 5952 form; empty for `none`.
  std::string text() const;
  friend bool operator==(const PackedAddress&, const PackedAddress&) = default;
};

}  // namespace tokenstore::validate

// ---- src/validate/packed_id.hpp ------------------------------------------------------------------------------

/// A token id as a number of 96 bits: what a cache entry has room for.



namespace tokenstore::validate {

struct PackedId {
  std::uint64_t high = 0;
  std::uint32_t low = 0;

  /// Precondition: a token id.
  static PackedId of(std::string_view id) noexcept {
    const auto number = base::base62_decode(id).value_or(0);
    return {static_cast<std::uint64_t>(number >> 32), static_cast<std::uint32_t>(number)};
  }
  std::array<char, text::id_size> text() const noexcept {
    std::array<char, text::id_size> digits;
    base::base62_encode(base::uint128{high} << 32 | low, digits);
    return digits;
  }

  friend bool operator==(const PackedId&, const PackedId&) = default;
  /// As their texts are ordered.
  friend bool operator<(const PackedId& one, const PackedId& other) noexcept {
    return one.high != other.high ? one.high < other.high : one.low < other.low;
  }
};

}  // namespace tokenstore::validate

// ---- src/validate/slot.hpp -----------------------------------------------------------------------------------

/// One slot of the validator's cache: fifteen words, read without a lock. It holds an entry, or a part of an entry's
/// long text (long_text.hpp).
///
/// A slot is a sequence lock over atomic words. The one writer (who holds the table's mutex) makes the
/// sequence odd, stores, and makes it even again; a reader copies and then looks whether the sequence
/// moved. Words are stored with release and loaded with acquire, so that a reader who saw any new word
/// also sees the sequence that announced it; on x86-64 both are plain moves.
///
/// The word `use` is apart: readers write it. It holds when the token was last used and how often of
/// late, and its version bits change whenever the slot is given to another token, so that a late
/// reader's compare-and-swap cannot book a use on a stranger.



namespace tokenstore::validate {

enum class EntryKind : std::uint8_t {
  none = 0,
  live = 1,     ///< valid while its owner's generation stands, until `expires_at`
  gone = 2,     ///< denied while its id's generation stands
  refused = 3,  ///< denied while its owner's generation stands, until `expires_at`
};

/// The part of an entry that fits into a word.
struct EntryTraits {
  EntryKind kind = EntryKind::none;
  std::uint8_t owner_size = 0;    ///< octets of `owner`, if it is in the slot
  std::uint16_t scope_set = 0;    ///< index into ScopeSets
  std::uint16_t owner_group = 0;  ///< index into the owners' generations
  Reason reason = Reason::none;   ///< why a token that is not live is denied

  std::uint64_t pack() const noexcept {
    return std::uint64_t{static_cast<std::uint8_t>(kind)} | std::uint64_t{owner_size} << 8 |
           std::uint64_t{scope_set} << 16 | std::uint64_t{owner_group} << 32 |
           std::uint64_t{static_cast<std::uint8_t>(reason)} << 48;
  }
  static EntryTraits unpack(std::uint64_t word) noexcept {
    EntryTraits traits;
    traits.kind = static_cast<EntryKind>(word & 0xFF);
    traits.owner_size = static_cast<std::uint8_t>(word >> 8);
    traits.scope_set = static_cast<std::uint16_t>(word >> 16);
    traits.owner_group = static_cast<std::uint16_t>(word >> 32);
    traits.reason = static_cast<Reason>(word >> 48 & 0xFF);
    return traits;
  }
};

/// The word that readers write.
struct UseWord {
  static constexpr unsigned kind_bits = 2, lock_bits = 1, heat_bits = 2, version_bits = 11;
  static constexpr unsigned lock_at = kind_bits, heat_at = lock_at + lock_bits, version_at = heat_at + heat_bits,
                            time_at = version_at + version_bits;
  static constexpr std::uint64_t lock = std::uint64_t{1} << lock_at;
  static constexpr std::uint64_t hottest = (1U << heat_bits) - 1;

  std::uint64_t word = 0;

  UnixMillis time() const noexcept { return static_cast<UnixMillis>(word >> time_at); }
  bool locked() const noexcept { return (word & lock) != 0; }
  unsigned heat() const noexcept { return static_cast<unsigned>(word >> heat_at & hottest); }
  unsigned version() const noexcept { return static_cast<unsigned>(word >> version_at & ((1U << version_bits) - 1)); }
  PackedAddress::Kind address_kind() const noexcept { return static_cast<PackedAddress::Kind>(word & 3); }

  static std::uint64_t pack(UnixMillis time, unsigned version, std::uint64_t heat, PackedAddress::Kind kind) noexcept {
    return static_cast<std::uint64_t>(time) << time_at |
           std::uint64_t{version & ((1U << version_bits) - 1)} << version_at | heat << heat_at |
           std::uint64_t{static_cast<std::uint8_t>(kind)};
  }
};

inline constexpr std::size_t slot_owner_max = 36;   ///< octets: a UUID's text form fits
inline constexpr std::size_t slot_owner_words = 5;  ///< with 32 bits of the id at the end

/// The words of a slot, in the order in which a hit needs them.
struct Slot {
  enum Word : std::size_t {
    sequence,
    print_high,
    print_low,
    expires_at,
    traits,
    generation_and_text,  ///< the lower half; where its long text begins, as a number of a slot plus one, or 0
    use,
    owner,  ///< 36 octets, then the low 32 bits of the id; the first word is the sizes of its long text, if it has one
    owner_end = owner + slot_owner_words,
    address_high = owner_end,
    address_low,
    id_high,
    words
  };
  static constexpr std::size_t bytes = words * sizeof(std::uint64_t);

  std::atomic<std::uint64_t>* at = nullptr;

  std::uint64_t load(std::size_t word) const noexcept { return at[word].load(std::memory_order_acquire); }
  void store(std::size_t word, std::uint64_t value) const noexcept { at[word].store(value, std::memory_order_release); }

  /// All lines that a hit reads, unless the request says where it comes from.
  void prefetch() const noexcept {
    __builtin_prefetch(at);
    __builtin_prefetch(at + use);
    __builtin_prefetch(at + owner_end - 1);
  }
  void prefetch_address() const noexcept { __builtin_prefetch(at + address_low); }

  PackedId id() const noexcept { return {load(id_high), static_cast<std::uint32_t>(load(owner_end - 1) >> 32)}; }
  UseWord use_word() const noexcept { return {load(use)}; }
  /// Where the use came from. Belongs to it only if the use word is still the same, and not locked.
  PackedAddress address(UseWord of) const noexcept {
    return {of.address_kind(), load(address_high), load(address_low)};
  }
  void begin_write() const noexcept { store(sequence, load(sequence) + 1); }
  void end_write() const noexcept { store(sequence, load(sequence) + 1); }
};
static_assert(Slot::bytes == 120);

}  // namespace tokenstore::validate

// ---- src/validate/cache_bank.hpp -----------------------------------------------------------------------------

/// One size of the validator's cache: sets of sixteen slots, each behind a directory of its own.
///
/// The words of this cache, all of which come from keyed hashes, so that no client can aim at one:
///   print   the fingerprint of a token's text; alone decides whose entry it is
///   place   64 bits made from a token's id: says where its entry may stand
///   set     of the two that the place gives, one
///   way     one of the sixteen slots of a set
///   home    the first set, and the way that the place gives: where a reader looks first
///   guest   an entry in its first set, on a way that is another's home; or in its second set
///   mark    sixteen bits of the place, odd, kept in the set's directory: finds guests. 0: the slot is empty;
///           `text_mark`: it holds a part of a long text
///   group   of an owner or an id, one of a few thousand; what is remembered counts while its group's generation stands
///
/// A set is one piece of memory, so that all of it is mostly on one page: to learn where a page is costs as much as
/// to fetch from it. Reading is lock-free; writers serialise themselves.



namespace tokenstore::validate {

struct Position {
  static constexpr std::size_t ways = 16;
  std::size_t set = 0;
  std::size_t way = ways;  ///< `ways`: none
  explicit operator bool() const noexcept { return way != ways; }
  friend bool operator==(const Position&, const Position&) = default;
};

class CacheBank {
 public:
  static constexpr std::size_t ways = Position::ways;
  static constexpr unsigned marks_per_word = 4;
  static constexpr std::size_t directory_words = ways / marks_per_word;
  static constexpr std::size_t set_words = directory_words + ways * Slot::words;
  static constexpr std::size_t set_bytes = set_words * sizeof(std::uint64_t);
  static constexpr std::uint16_t text_mark = 2;

  explicit CacheBank(std::size_t set_count) : sets(set_count), memory(sets * set_bytes) {}
  /// False: there was no memory.
  bool usable() const noexcept { return memory.words() != nullptr; }

  std::size_t first_set(std::uint64_t place) const noexcept { return scale(place); }
  std::size_t second_set(std::uint64_t place) const noexcept {
    return scale(std::rotl(place, 29) * 0x9E37'79B9'7F4A'7C15U);
  }

  /// The way of its first set where an id lives if it can. Of other bits than the set and the mark.
  static std::size_t home_way(std::uint64_t place) noexcept { return place >> 16 & (ways - 1); }

  static std::uint16_t mark_of(std::uint64_t place) noexcept { return static_cast<std::uint16_t>(place) | 1U; }
  Position home(std::uint64_t place) const noexcept { return {first_set(place), home_way(place)}; }
  /// Slots as numbers, for entries to refer to.
  static std::uint32_t number(Position at) noexcept { return static_cast<std::uint32_t>(at.set * ways + at.way); }
  static Position position(std::uint32_t number) noexcept { return {number / ways, number % ways}; }

  Slot slot(std::size_t set, std::size_t way) const noexcept {
    return {memory.words() + set * set_words + directory_words + way * Slot::words};
  }
  Slot slot(Position at) const noexcept { return slot(at.set, at.way); }
  /// Not empty, and not text.
  bool holds_entry(Position at) const noexcept { return mark(at) % 2 == 1; }
  std::uint16_t mark(Position at) const noexcept { return mark(at.set, at.way); }
  void set_mark(Position at, std::uint16_t mark) const noexcept { set_mark(at.set, at.way, mark); }
  std::uint16_t mark(std::size_t set, std::size_t way) const noexcept {
    const std::uint64_t word = directory_word(set, way / marks_per_word).load(std::memory_order_relaxed);
    return static_cast<std::uint16_t>(word >> way % marks_per_word * 16);
  }
  void set_mark(std::size_t set, std::size_t way, std::uint16_t mark) const noexcept {
    std::atomic<std::uint64_t>& word = directory_word(set, way / marks_per_word);
    const std::size_t shift = way % marks_per_word * 16;
    const std::uint64_t others = word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xFFFF} << shift);
    word.store(others | std::uint64_t{mark} << shift, std::memory_order_release);
  }

  /// Bit w set: way w may hold `mark`. Never misses one, seldom reports one too many.
  std::uint32_t candidates(std::size_t set, std::uint16_t mark) const noexcept {
    std::uint32_t found = 0;
    for (std::size_t word = 0; word < directory_words; ++word) {
      for (std::uint64_t match = matches(set, word, mark); match != 0; match &= match - 1) {
        found |= 1U << way_of(word, match);
      }
    }
    return found;
  }
  /// For writers: where an id's entry stands.
  Position find(std::uint64_t place, const PackedId& id) const noexcept {
    const std::uint16_t mark = mark_of(place);
    for (const std::size_t set : {first_set(place), second_set(place)}) {
      for (std::uint32_t left = candidates(set, mark); left != 0; left &= left - 1) {
        const Position at{set, static_cast<std::size_t>(std::countr_zero(left))};
        if (this->mark(at) == mark && slot(at).id() == id) return at;
      }
    }
    return {};
  }
  /// For writers: may it be filled? A reader may still be booking a use on what was here.
  bool is_free(Position at) const noexcept { return mark(at) == 0 && !slot(at).use_word().locked(); }
  Position free_way(std::size_t set) const noexcept {
    for (std::size_t way = 0; way < ways; ++way)
      if (is_free({set, way})) return {set, way};
    return {};
  }
  void prefetch(std::size_t set) const noexcept { __builtin_prefetch(&directory_word(set, 0)); }

  const std::size_t sets;
  Pages memory;

 private:
  std::atomic<std::uint64_t>& directory_word(std::size_t set, std::size_t word) const noexcept {
    return memory.words()[set * set_words + word];
  }
  /// The top bit of each sixteen that match. The subtraction's borrow can only add matches above one.
  std::uint64_t matches(std::size_t set, std::size_t word, std::uint16_t mark) const noexcept {
    constexpr std::uint64_t every = 0x0001'0001'0001'0001U;
    const std::uint64_t lanes = directory_word(set, word).load(std::memory_order_acquire) ^ mark * every;
    return (lanes - every) & ~lanes & every << 15;
  }
  static std::size_t way_of(std::size_t word, std::uint64_t match) noexcept {
    return word * marks_per_word + static_cast<std::size_t>(std::countr_zero(match)) / 16;
  }
  std::size_t scale(std::uint64_t number) const noexcept {
    return static_cast<std::size_t>(base::uint128{number} * sets >> 64);
  }
};

}  // namespace tokenstore::validate

// ---- src/validate/evicted.hpp --------------------------------------------------------------------------------

/// Which entries had to go of late, and when they were last used.
///
/// Whatever comes back after it had to go is in use now; whatever stands in its way and was not used in between is not,
/// however hot it once was. A stranger, who never was here, has no such claim, so that a flood of strangers
/// costs those in use nothing. Four octets a memory, one memory for four slots; a quarter of what is evicted takes the
/// place of what is remembered already, so that a part of it lasts until a long round comes back to it.
/// Guarded by the table's mutex.



namespace tokenstore::validate {

class Evicted {
 public:
  static constexpr std::size_t slots_per_memory = 4;
  static constexpr std::size_t bytes_for(std::size_t slots) noexcept {
    return slots / slots_per_memory * sizeof(std::uint32_t);
  }

  explicit Evicted(std::size_t slots) : memories_(slots / slots_per_memory) {}

  void note(std::uint64_t place, UnixMillis last_used) noexcept {
    if (last_used <= 0) return;
    std::uint32_t& memory = memory_of(place);
    if (memory != 0 && ++noted_ % 4 != 0) return;
    memory = tag_of(place) | (static_cast<std::uint32_t>(last_used) & time_mask);
    latest_ = latest_ < last_used ? last_used : latest_;
  }
  /// It has come back: when was it last used before it had to go? 0: not known. Forgets it.
  UnixMillis take(std::uint64_t place) noexcept {
    std::uint32_t& memory = memory_of(place);
    if (memory == 0 || (memory & ~time_mask) != tag_of(place)) return 0;
    // The upper bits of the time: as late as it can be. A memory of more than an hour ago looks younger than it is.
    const auto low = static_cast<UnixMillis>(memory & time_mask);
    UnixMillis time = (latest_ & ~UnixMillis{time_mask}) | low;
    if (time > latest_) time -= UnixMillis{time_mask} + 1;
    memory = 0;
    return time;
  }

 private:
  static constexpr std::uint32_t time_mask = (1U << 22) - 1;  ///< milliseconds: seventy minutes
  /// Never 0, so that a memory is not, either.
  static std::uint32_t tag_of(std::uint64_t place) noexcept {
    return (static_cast<std::uint32_t>(place >> 20) | 1U << 22) & ~time_mask;
  }
  std::uint32_t& memory_of(std::uint64_t place) noexcept {
    return memories_[static_cast<std::size_t>((place * 0xD6E8'FEB8'6659'FD93U >> 32) * memories_.size() >> 32)];
  }

  std::vector<std::uint32_t> memories_;
  UnixMillis latest_ = 0;
  std::uint32_t noted_ = 0;
};

}  // namespace tokenstore::validate

// ---- src/validate/long_text.hpp ------------------------------------------------------------------------------

/// What does not fit into an entry's slot: long owner names, scope sets that few tokens have, metadata.
///
/// It stands in slots of the same bank as its entry: one kind of room for everything, so that whatever is cold makes
/// room for whatever comes. Such a slot holds twelve words of text, and where the next is. Its sequence stays
/// odd, so that no reader takes it for an entry, and its use word belongs to nobody.
///
/// Reading takes no lock: whoever reads a text that is being given up reads rubbish, sees by the sequence of the
/// entry's slot that it is, and drops it. Writers hold the table's mutex.



namespace tokenstore::validate {

struct LongText {
  std::string_view owner, scopes, metadata;

  static constexpr std::size_t slot_words = 12;
  static constexpr std::size_t slot_octets = slot_words * sizeof(std::uint64_t);
  static constexpr std::size_t most_octets = owner_max + scopes_max * (scope_max + 1) + metadata_max;
  static constexpr std::size_t most_slots = (most_octets + slot_octets - 1) / slot_octets;

  std::size_t octets() const noexcept { return owner.size() + scopes.size() + metadata.size(); }
  /// How many slots it takes: one at least.
  std::size_t slots() const noexcept { return octets() == 0 ? 1 : (octets() + slot_octets - 1) / slot_octets; }
  /// For the entry's slot.
  std::uint64_t packed_sizes() const noexcept {
    return std::uint64_t{owner.size()} | std::uint64_t{scopes.size()} << 16 | std::uint64_t{metadata.size()} << 32;
  }
};

/// A reader's copy. Meaningful once copy_long_text() has filled it.
struct LongTextCopy {
  std::uint64_t sizes;
  std::array<std::uint64_t, LongText::most_slots * LongText::slot_words> words;
  /// What it says; rubbish if the text was given up meanwhile, but never more than there is.
  LongText text() const noexcept;
};

/// Writes a text into empty slots of a bank, for the entry in `head`. Precondition: text.slots() of them.
void write_long_text(const CacheBank& bank, std::span<const Position> slots, Position head, const LongText& text);
/// Copies the text of an entry. False if it is impossible: it has been given up meanwhile.
bool copy_long_text(const CacheBank& bank, Slot head, LongTextCopy& to) noexcept;
/// The entry that a slot with text belongs to.
Position head_of_text(const CacheBank& bank, Position at) noexcept;
/// Calls `visit` with every slot of the text of an entry, whose word `generation_and_text` is given. Only for writers.
template <typename Visit>
void for_each_text_slot(const CacheBank& bank, std::uint64_t generation_and_text, const Visit& visit);

namespace detail {
// The words of a slot with text: all but `sequence` and `use`. The first is where the next is, and the entry.
inline constexpr std::size_t text_link = Slot::print_high;
inline constexpr std::array<std::size_t, LongText::slot_words> text_words = {2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14};
static_assert(text_words.back() == Slot::words - 1 && Slot::use == 6);
}  // namespace detail

template <typename Visit>
void for_each_text_slot(const CacheBank& bank, std::uint64_t generation_and_text, const Visit& visit) {
  for (auto number = static_cast<std::uint32_t>(generation_and_text >> 32); number != 0;) {
    const Position at = CacheBank::position(number - 1);
    number = static_cast<std::uint32_t>(bank.slot(at).load(detail::text_link));
    visit(at);
  }
}

}  // namespace tokenstore::validate

// ---- src/validate/scope_sets.hpp -----------------------------------------------------------------------------

/// The scope sets that many tokens share, kept once, and a bit for each of the scopes that are in them.
///
/// Whether a token has the demanded scope is then one test of a bit. It is not the search that costs: a
/// search whose course depends on the token's entry is guessed wrongly by the processor, which then throws
/// away all that it had begun while memory was waited for.
///
/// There are only so many places. A set that finds none is kept with its token instead. One that no entry uses any more
/// makes room; and if a set that finds none is asked for more often than another is used, that one retires:
/// its entries are given their own text (BankWriter), and then its place is free. Bits are never given to another
/// scope, because a reader may hold one; a scope that gets none is searched for.
///
/// at() and wanted() by any thread. What at() gives belongs to an entry as long as its slot has not changed. The others
/// under the table's mutex.



namespace tokenstore::validate {

class ScopeSets {
 public:
  /// No set: empty, so that a reader whose entry is just being replaced may look at it.
  static constexpr std::uint16_t none = 0;
  static constexpr std::size_t most_sets = 1024;
  static constexpr std::size_t place_words = 32;
  static constexpr std::size_t place_bytes = place_words * sizeof(std::uint64_t);
  static constexpr std::size_t most_bytes = most_sets * place_bytes;
  static constexpr std::size_t least_bytes = 16 * place_bytes;
  static constexpr std::size_t longest = place_bytes - 2 * sizeof(std::uint64_t);  ///< octets of a set's text
  static constexpr std::size_t most_bits = 64;

  /// A scope that is asked for.
  struct Wanted {
    std::string_view scope;
    std::uint64_t bit = 0;  ///< 0: it has none, or had none yet. Given before the first set with the scope was added.
  };
  /// A set as a reader sees it: its text, scopes separated by single spaces, in words.
  struct Set {
    const std::atomic<std::uint64_t>* at;
    std::uint64_t bits() const noexcept { return at[0].load(std::memory_order_acquire); }
    std::size_t size() const noexcept { return static_cast<std::size_t>(at[1].load(std::memory_order_acquire)); }
    std::uint64_t word(std::size_t number) const noexcept { return at[2 + number].load(std::memory_order_acquire); }
    std::string text() const;
  };

  explicit ScopeSets(std::size_t bytes = most_bytes);

  Set at(std::uint16_t index) const noexcept { return {places_.words() + index * place_words}; }
  Wanted wanted(std::string_view scope) const noexcept {
    for (std::size_t at = hash(scope);; ++at) {
      const Bit* known = bits_[at % bits_.size()].load(std::memory_order_acquire);
      if (known == nullptr) return {scope, 0};
      if (known->scope == scope) return {scope, known->bit};
    }
  }

  /// The place of a set. `none` if there is no room for it, or it is empty.
  std::uint16_t add(std::string_view scopes);
  /// An entry with the set has come, and has gone.
  void hold(std::uint16_t index) noexcept { ++uses_[index].entries; }
  void release(std::uint16_t index) noexcept;
  /// Is there a set whose entries have to get texts of their own?
  bool any_retiring() const noexcept { return retiring_ != 0; }
  bool retiring(std::uint16_t index) const noexcept { return uses_[index].retiring; }

  /// Memory that has been touched.
  std::size_t bytes() const noexcept { return begun_ * place_bytes; }
  /// What bytes() never exceeds.
  std::size_t limit() const noexcept { return places_.bytes(); }

 private:
  struct Bit {
    std::string scope;
    std::uint64_t bit;
  };
  struct Uses {
    const std::string* text = nullptr;  ///< in index_. Null: the place is free
    std::uint32_t entries = 0;
    bool retiring = false;
  };
  struct Waiting {
    std::size_t set = 0;  ///< hash of its text
    std::uint32_t asked = 0;
  };

  static std::size_t hash(std::string_view scope) noexcept {
    // Scopes are the host's, so an honest spread is enough.
    const std::size_t size = scope.size();
    if (size == 0) return 0;
    const auto octet = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(scope[at])); };
    return size + octet(0) * 3 + octet(size / 2) * 5 + octet(size - 1) * 7;
  }
  std::uint64_t bit_for(std::string_view scope);
  std::uint16_t free_place(std::string_view scopes);
  std::uint16_t least_used() const noexcept;
  void give_up(std::uint16_t index) noexcept;
  void write(std::uint16_t index, std::string_view scopes);

  Pages places_;
  std::size_t begun_ = 1;  ///< places that were ever used, with `none`
  std::map<std::string, std::uint16_t, std::less<>> index_;
  std::vector<Uses> uses_;
  std::size_t retiring_ = 0;
  std::array<Waiting, 64> waiting_{};                          ///< sets that found no room, by their hash
  std::array<std::atomic<const Bit*>, 2 * most_bits> bits_{};  ///< open addressing; half of it stays empty
  std::array<std::unique_ptr<const Bit>, most_bits> owned_bits_;
  std::size_t bit_count_ = 0;
};

}  // namespace tokenstore::validate

// ---- src/validate/bank_writer.hpp ----------------------------------------------------------------------------

/// The writer's half of a bank: where an entry goes, who moves aside for it, and who has to go.
///
/// Every id has two sets where it may live, so that a bank fills up to 97 per cent before anything is evicted: a full
/// set may move an entry to that entry's other set. Long texts go to free slots of the sets after their entry's.
///
/// Eviction is by heat, in the manner of S3-FIFO with the sets as queues: a new entry is cold and goes first; one that
/// was used again in a later clock tick is kept until its heat is spent. What comes back after it had to go takes the
/// place of what was not used in between, whatever its heat (evicted.hpp). What is known to be denied never takes
/// more than two ways of a set and never pushes out a live token, so that a flood of dead tokens costs the ones in
/// use nothing. Chosen over W-TinyLFU because it needs no counters beside the entries, and over plain CLOCK because one
/// pass of strangers does not clear it.
///
/// Guarded by the table's mutex; readers of the bank need nothing.



namespace tokenstore::validate {

/// What a writer puts in.
struct NewEntry {
  Fingerprint print;
  EntryKind kind = EntryKind::live;
  Reason reason = Reason::none;  ///< of a token that is not live
  std::string_view id;
  std::string_view owner;
  std::string_view scopes;
  std::string_view metadata;
  std::uint16_t owner_group = 0;
  std::uint32_t owner_generation = 0;
  UnixMillis expires_at = 0;
  UnixMillis used_at = 0;  ///< 0: not used
  PackedAddress used_from;
};

/// Where uses go whose entries go.
struct Departures {
  UnixMillis unwritten_since;  ///< earlier uses are in storage
  std::vector<Use>& displaced;
};

/// Of all banks of a table. Read by anybody.
struct CacheFigures {
  std::atomic<std::uint64_t> live{0}, evictions{0}, bytes{0};
};

class BankWriter {
 public:
  BankWriter(std::size_t sets, const Fingerprinter& fingerprinter, ScopeSets& scope_sets, CacheFigures& figures)
      : bank_(sets),
        fingerprinter_(fingerprinter),
        scope_sets_(scope_sets),
        figures_(figures),
        evicted_(sets * CacheBank::ways) {}

  /// Memory for each set.
  static constexpr std::size_t set_bytes = CacheBank::set_bytes + Evicted::bytes_for(CacheBank::ways);
  std::size_t bytes() const noexcept { return bank_.sets * set_bytes; }

  CacheBank& bank() noexcept { return bank_; }
  /// So full that making room for so many slots more is mostly in vain.
  bool crowded(std::size_t more) const noexcept { return (used_ + more) * 100 >= bank_.sets * CacheBank::ways * 97; }

  /// Puts an entry in; nothing with its id is there. `scope_set`: of its scopes; its text, if it needs one, is long.
  /// False: there is no room, or none without evicting somebody.
  bool put(const NewEntry& entry, std::uint16_t scope_set, const LongText* text, bool may_evict,
           Departures& departures);
  /// Takes the entry of another bank, which is read and not written. False: no room without evicting somebody.
  bool adopt(Slot entry, UseWord use, const LongText* text);
  /// Empties a slot, and those of its text. False: a reader is still booking a use on it, so it cannot be filled yet.
  bool remove(Position at, Departures& departures);
  Position find(std::uint64_t place, const PackedId& id) const noexcept { return bank_.find(place, id); }
  std::uint64_t place_of(const PackedId& id) const noexcept {
    return fingerprinter_.place(IdWords::of(id.text().data()));
  }
  /// Goes a little further through the bank and gives entries texts of their own whose set of scopes retires.
  void replace_retiring_scopes(Departures& departures);

  /// Its entries are another's by now, and readers see nothing of them: what can be given back is.
  void retire() noexcept { evicted_ = Evicted(0); }

  /// How often entries have moved within the bank, and the latest that did, for whoever goes through it meanwhile.
  std::uint64_t moves() const noexcept { return moves_; }
  static constexpr std::size_t remembered_moves = 256;
  const PackedId& moved(std::uint64_t number) const noexcept { return moved_[number % remembered_moves]; }

 private:
  static constexpr std::size_t ways = CacheBank::ways;
  static constexpr std::size_t most_gone = 2;  ///< ways of a set
  using TextSlots = std::array<Position, LongText::most_slots>;

  /// Who goes first: the lowest. `returned`: when what comes now was last used before it had to go, or 0.
  std::uint64_t rank(Position head, UnixMillis returned) const noexcept;
  /// The entry that a slot belongs to. Empty: none, or one that nobody may move now.
  Position owner_of(Position at) const noexcept;
  Position coldest(std::uint64_t place, UnixMillis returned) const noexcept;
  Position room_for_live(std::uint64_t place, UnixMillis returned, bool may_evict, Departures& departures);
  Position room_for_gone(std::uint64_t place, Departures& departures);
  /// Free slots for the text of an entry that will stand at `head`.
  bool room_for_text(Position head, std::span<Position> slots, UnixMillis returned, bool may_evict,
                     Departures& departures);
  std::size_t gather_free(Position head, std::size_t sets, bool leave_some, std::span<Position> slots) const noexcept;
  void evict_near(Position head, std::size_t sets, std::size_t wanted, UnixMillis returned, Departures& departures);
  bool evict(Position at, Departures& departures);
  void write(Position at, const NewEntry& entry, std::uint16_t scope_set, std::span<const Position> text_slots,
             const LongText* text, std::uint64_t place);
  void give_own_text(Position at, Departures& departures);
  /// Moves an entry of a full set to its other set. The freed way, if any.
  Position make_room(std::size_t set);
  /// Moves an entry to a free way. False: a reader is still booking a use on the old one, so it cannot be filled.
  bool move(Position from, Position to);
  /// The home of a place if it is free or a guest there can go to `room`; else `room`.
  Position home_or(std::uint64_t place, Position room);
  /// Leaves nothing in a slot whose write has begun, and ends the write.
  void clear(Position at) const noexcept;
  void cool(std::size_t set) const noexcept;
  bool has_text(Position at) const noexcept { return bank_.slot(at).load(Slot::generation_and_text) >> 32 != 0; }

  CacheBank bank_;
  const Fingerprinter& fingerprinter_;
  ScopeSets& scope_sets_;
  CacheFigures& figures_;
  Evicted evicted_;
  std::size_t used_ = 0;  ///< slots with entries or texts
  std::size_t hand_ = 0;  ///< set at which replace_retiring_scopes() goes on
  std::array<PackedId, remembered_moves> moved_{};
  std::uint64_t moves_ = 0;
};

/// Whoever moves a bank's entries from its first set to its last may give back what lies so many sets behind: no entry
/// further on has text there.
inline constexpr std::size_t text_reach = 64;  // sets

}  // namespace tokenstore::validate

// ---- src/validate/slot_use.hpp -------------------------------------------------------------------------------

/// Booking the use of a token on its slot, and reading it back.
///
/// Booking takes no lock: of two readers at one moment one books, which says as much. The version in the use word
/// changes whenever the slot is given up, so that a late reader books nothing on the slot's next token, and learns it.



namespace tokenstore::validate {

/// Of a use that comes from another address than the last, or at the same moment as another.
bool note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept;

/// Books a use on a slot whose use word was `before`, unless another use at the same moment does. False: the slot
/// has been given up meanwhile, and the use must be noted elsewhere.
inline bool note_use(Slot slot, UseWord before, UnixMillis now, const PackedAddress& from) noexcept {
  // In the same tick another use says the same: what is hot writes seldom.
  if (now <= before.time() || before.locked()) return true;
  const std::uint64_t heat = std::min<std::uint64_t>(before.heat() + 1U, UseWord::hottest);
  const std::uint64_t after = UseWord::pack(now, before.version(), heat, from.kind);
  // Clients seldom move. If one does, or another books meanwhile, the use word is another than `before` was.
  if (from.kind != PackedAddress::Kind::none && from != slot.address(before)) {
    return note_use_from(slot, before, after, from);
  }
  std::uint64_t expected = before.word;
  return slot.at[Slot::use].compare_exchange_strong(expected, after, std::memory_order_acq_rel,
                                                    std::memory_order_acquire) ||
         UseWord{expected}.version() == before.version();
}

/// Takes the use out of a slot that is given up; from here on readers fail to book on it.
UseWord take_use(Slot slot) noexcept;
/// What a use word of a slot says. Empty: not used.
std::optional<Use> use_in(Slot slot, UseWord use);
/// The latest use, whole, although readers may be booking another.
std::optional<Use> current_use(Slot slot);

}  // namespace tokenstore::validate

// ---- src/validate/bank_writer.cpp ----------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {

/// Sets in which room for a long text is made by evicting.
constexpr std::size_t near_by = 16;
static_assert(near_by * CacheBank::ways > LongText::most_slots && near_by <= text_reach);

EntryTraits traits_of(Slot slot) noexcept {
  return EntryTraits::unpack(slot.load(Slot::traits));
}

}  // namespace

// --- who goes ---

Position BankWriter::owner_of(Position at) const noexcept {
  if (bank_.mark(at) == 0) return {};
  const Position head = bank_.holds_entry(at) ? at : head_of_text(bank_, at);
  return bank_.slot(head).use_word().locked() ? Position{} : head;
}

std::uint64_t BankWriter::rank(Position head, UnixMillis returned) const noexcept {
  const Slot slot = bank_.slot(head);
  const UseWord use = slot.use_word();
  // The gone first, then what has not been used since what comes back was, then by heat. Of the same, by age.
  std::uint64_t first = 2 + std::uint64_t{use.heat()};
  if (use.time() < returned) first = 1;
  if (traits_of(slot).kind != EntryKind::live) first = 0;
  return first << 48 | static_cast<std::uint64_t>(use.time());
}

Position BankWriter::coldest(std::uint64_t place, UnixMillis returned) const noexcept {
  Position victim;
  std::uint64_t lowest = ~std::uint64_t{0};
  for (const std::size_t set : {bank_.first_set(place), bank_.second_set(place)}) {
    for (std::size_t way = 0; way < ways; ++way) {
      const Position head = owner_of({set, way});
      const std::uint64_t found = head ? rank(head, returned) : lowest;
      if (found >= lowest) continue;
      lowest = found;
      victim = {set, way};
    }
  }
  return victim;
}

void BankWriter::cool(std::size_t set) const noexcept {
  for (std::size_t way = 0; way < ways; ++way) {
    if (!bank_.holds_entry({set, way})) continue;
    const Slot slot = bank_.slot(set, way);
    std::uint64_t before = slot.load(Slot::use);
    const UseWord use{before};
    if (use.locked() || use.heat() == 0) continue;
    slot.at[Slot::use].compare_exchange_strong(before, before - (std::uint64_t{1} << UseWord::heat_at));
  }
}

bool BankWriter::evict(Position at, Departures& departures) {
  const Slot slot = bank_.slot(at);
  if (traits_of(slot).kind == EntryKind::live) evicted_.note(place_of(slot.id()), slot.use_word().time());
  figures_.evictions.fetch_add(1, std::memory_order_relaxed);
  return remove(at, departures);
}

void BankWriter::clear(Position at) const noexcept {
  const Slot slot = bank_.slot(at);
  slot.store(Slot::print_high, 0);
  slot.store(Slot::print_low, 0);
  slot.store(Slot::traits, 0);
  slot.store(Slot::generation_and_text, 0);
  slot.end_write();
  bank_.set_mark(at, 0);
}

bool BankWriter::remove(Position at, Departures& departures) {
  // Nothing below may fail half-way.
  std::vector<Use>& displaced = departures.displaced;
  if (displaced.size() == displaced.capacity()) displaced.reserve(2 * displaced.size() + 1);
  const Slot slot = bank_.slot(at);
  const EntryTraits traits = traits_of(slot);
  const std::uint64_t text = slot.load(Slot::generation_and_text);
  slot.begin_write();
  clear(at);
  for_each_text_slot(bank_, text, [this](Position part) {
    clear(part);
    --used_;
  });
  scope_sets_.release(traits.scope_set);
  --used_;
  if (traits.kind == EntryKind::live) figures_.live.fetch_sub(1, std::memory_order_relaxed);
  // After the entry, so that whoever found it before either has booked his use or fails to.
  const UseWord use = take_use(slot);
  if (traits.kind == EntryKind::live && use.time() >= departures.unwritten_since) {
    if (auto noted = use_in(slot, use)) displaced.push_back(std::move(*noted));
  }
  return !use.locked();
}

// --- where to ---

bool BankWriter::put(const NewEntry& entry, std::uint16_t scope_set, const LongText* text, bool may_evict,
                     Departures& departures) {
  const std::uint64_t place = fingerprinter_.place(IdWords::of(entry.id.data()));
  if (entry.kind != EntryKind::live) {
    const Position room = room_for_gone(place, departures);
    if (room) write(room, entry, ScopeSets::none, {}, nullptr, place);
    return static_cast<bool>(room);
  }
  const UnixMillis returned = may_evict ? evicted_.take(place) : 0;
  const Position room = room_for_live(place, returned, may_evict, departures);
  if (!room) return false;
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text != nullptr ? text->slots() : 0);
  if (!room_for_text(room, wanted, returned, may_evict, departures)) return false;
  write(room, entry, scope_set, wanted, text, place);
  return true;
}

void BankWriter::write(Position at, const NewEntry& entry, std::uint16_t scope_set,
                       std::span<const Position> text_slots, const LongText* text, std::uint64_t place) {
  EntryTraits traits;
  traits.kind = entry.kind;
  traits.reason = entry.reason;
  traits.owner_group = entry.owner_group;
  const PackedId id = PackedId::of(entry.id);
  std::array<std::uint64_t, slot_owner_words> owner{};
  std::uint64_t text_at = 0;
  if (text != nullptr) {
    write_long_text(bank_, text_slots, at, *text);
    owner[0] = text->packed_sizes();
    text_at = std::uint64_t{CacheBank::number(text_slots.front())} + 1;
  } else if (entry.kind == EntryKind::live) {
    traits.scope_set = scope_set;
    traits.owner_size = static_cast<std::uint8_t>(entry.owner.size());
    std::memcpy(owner.data(), entry.owner.data(), entry.owner.size());
  }
  owner.back() = (owner.back() & 0xFFFF'FFFFU) | std::uint64_t{id.low} << 32;

  const Slot slot = bank_.slot(at);
  slot.begin_write();
  slot.store(Slot::print_high, entry.print.high);
  slot.store(Slot::print_low, entry.print.low);
  slot.store(Slot::expires_at, static_cast<std::uint64_t>(entry.expires_at));
  slot.store(Slot::traits, traits.pack());
  slot.store(Slot::generation_and_text, std::uint64_t{entry.owner_generation} | text_at << 32);
  for (std::size_t word = 0; word < owner.size(); ++word) slot.store(Slot::owner + word, owner[word]);
  slot.store(Slot::address_high, entry.used_from.high);
  slot.store(Slot::address_low, entry.used_from.low);
  slot.store(Slot::id_high, id.high);
  slot.store(Slot::use, UseWord::pack(entry.used_at, slot.use_word().version() + 1, 0, entry.used_from.kind));
  slot.end_write();
  bank_.set_mark(at, CacheBank::mark_of(place));
  scope_sets_.hold(traits.scope_set);
  used_ += 1 + text_slots.size();
  if (entry.kind == EntryKind::live) figures_.live.fetch_add(1, std::memory_order_relaxed);
}

Position BankWriter::room_for_live(std::uint64_t place, UnixMillis returned, bool may_evict, Departures& departures) {
  const std::array<std::size_t, 2> sets{bank_.first_set(place), bank_.second_set(place)};
  for (const std::size_t set : sets) {
    if (const Position found = bank_.free_way(set)) return home_or(place, found);
  }
  // In a bank as full as it gets, looking for another set's room is mostly in vain.
  if (!crowded(1)) {
    for (const std::size_t set : sets) {
      if (const Position freed = make_room(set)) return home_or(place, freed);
    }
  }
  if (!may_evict) return {};
  const Position victim = coldest(place, returned);
  if (!victim) return {};
  const Position head = owner_of(victim);
  if (bank_.slot(head).use_word().heat() != 0 && bank_.slot(head).use_word().time() >= returned) {
    // Everybody here was in use of late: all of them cool by one, so that the idle come to light.
    for (const std::size_t set : sets) cool(set);
  }
  return evict(head, departures) && bank_.is_free(victim) ? home_or(place, victim) : Position{};
}

Position BankWriter::room_for_gone(std::uint64_t place, Departures& departures) {
  const std::size_t set = bank_.first_set(place);
  std::size_t gone = 0;
  Position oldest;
  for (std::size_t way = 0; way < ways; ++way) {
    const Position at{set, way};
    if (!bank_.holds_entry(at) || traits_of(bank_.slot(at)).kind == EntryKind::live) continue;
    ++gone;
    if (!oldest || bank_.slot(at).use_word().time() < bank_.slot(oldest).use_word().time()) oldest = at;
  }
  if (gone < most_gone) return bank_.free_way(set);
  return remove(oldest, departures) ? oldest : Position{};
}

bool BankWriter::room_for_text(Position head, std::span<Position> slots, UnixMillis returned, bool may_evict,
                               Departures& departures) {
  if (slots.empty() || gather_free(head, text_reach, true, slots) == slots.size()) return true;
  if (!may_evict) return false;
  evict_near(head, near_by, slots.size(), returned, departures);
  return gather_free(head, near_by, false, slots) == slots.size();
}

std::size_t BankWriter::gather_free(Position head, std::size_t sets, bool leave_some,
                                    std::span<Position> slots) const noexcept {
  sets = std::min(sets, bank_.sets);
  const std::size_t first = std::min(head.set, bank_.sets - sets);
  std::size_t found = 0;
  for (std::size_t step = 0; step < sets && found < slots.size(); ++step) {
    const std::size_t set = first + (head.set - first + step) % sets;
    std::array<std::size_t, ways> free;
    std::size_t count = 0;
    for (std::size_t way = 0; way < ways; ++way)
      if (bank_.is_free({set, way}) && Position{set, way} != head) free[count++] = way;
    // Entries have two sets alone to go to.
    if (leave_some) count = (count + 1) / 2;
    for (std::size_t i = 0; i < count && found < slots.size(); ++i) slots[found++] = {set, free[i]};
  }
  return found;
}

void BankWriter::evict_near(Position head, std::size_t sets, std::size_t wanted, UnixMillis returned,
                            Departures& departures) {
  sets = std::min(sets, bank_.sets);
  const std::size_t first = std::min(head.set, bank_.sets - sets);
  std::array<std::pair<std::uint64_t, Position>, near_by * ways> found;
  std::size_t count = 0;
  std::size_t free = 0;
  for (std::size_t set = first; set < first + sets; ++set) {
    for (std::size_t way = 0; way < ways; ++way) {
      const Position at{set, way};
      if (bank_.is_free(at) && at != head) ++free;
      if (const Position entry = owner_of(at)) found[count++] = {rank(entry, returned), at};
    }
  }
  std::sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  const std::uint64_t hot = (std::uint64_t{3} << 48);
  for (std::size_t i = 0; i < count && free < wanted; ++i) {
    if (i == 0 && found[i].first >= hot) {
      for (std::size_t set = first; set < first + sets; ++set) cool(set);
    }
    // A text stands in several slots: it went with the first of them.
    const Position entry = owner_of(found[i].second);
    if (!entry) continue;
    const auto counts = [&](Position at) {
      if (at.set >= first && at.set < first + sets) ++free;
    };
    for_each_text_slot(bank_, bank_.slot(entry).load(Slot::generation_and_text), counts);
    if (evict(entry, departures)) counts(entry);
  }
}

// --- moving ---

bool BankWriter::move(Position from, Position to) {
  // A reader who comes in between finds it in neither and asks storage.
  const Slot slot = bank_.slot(from);
  const Slot target = bank_.slot(to);
  target.begin_write();
  slot.begin_write();
  const UseWord use = take_use(slot);
  for (std::size_t word = Slot::print_high; word < Slot::words; ++word) {
    if (word != Slot::use) target.store(word, slot.load(word));
  }
  const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
  target.store(Slot::use, UseWord::pack(use.time(), target.use_word().version() + 1, use.heat(), kind));
  target.end_write();
  bank_.set_mark(to, bank_.mark(from));
  moved_[moves_++ % moved_.size()] = target.id();
  clear(from);
  return !use.locked();
}

Position BankWriter::make_room(std::size_t set) {
  for (std::size_t way = 0; way < ways; ++way) {
    const Position from{set, way};
    // A text stays near its entry.
    if (!bank_.holds_entry(from) || bank_.slot(from).use_word().locked() || has_text(from)) continue;
    const std::uint64_t place = place_of(bank_.slot(from).id());
    const std::size_t first = bank_.first_set(place);
    const std::size_t other = first == set ? bank_.second_set(place) : first;
    if (other == set) continue;
    const Position to = bank_.free_way(other);
    if (to && move(from, to)) return from;
  }
  return {};
}

Position BankWriter::home_or(std::uint64_t place, Position room) {
  const Position home = bank_.home(place);
  if (room == home || bank_.is_free(home)) return home;
  if (!bank_.holds_entry(home) || bank_.slot(home).use_word().locked() || has_text(home)) return room;
  const bool lives_there = bank_.home(place_of(bank_.slot(home).id())) == home;
  if (lives_there || room.set != home.set) return room;
  return move(home, room) ? home : Position{};
}

bool BankWriter::adopt(Slot entry, UseWord use, const LongText* text) {
  std::vector<Use> none;
  Departures departures{0, none};
  const std::uint64_t place = place_of(entry.id());
  const Position room = room_for_live(place, 0, false, departures);
  if (!room) return false;
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text != nullptr ? text->slots() : 0);
  if (!room_for_text(room, wanted, 0, false, departures)) return false;
  std::uint64_t generation_and_text = entry.load(Slot::generation_and_text) & 0xFFFF'FFFFU;
  if (text != nullptr) {
    write_long_text(bank_, wanted, room, *text);
    generation_and_text |= (std::uint64_t{CacheBank::number(wanted.front())} + 1) << 32;
  }
  const Slot target = bank_.slot(room);
  target.begin_write();
  for (std::size_t word = Slot::print_high; word < Slot::words; ++word) target.store(word, entry.load(word));
  target.store(Slot::generation_and_text, generation_and_text);
  const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
  target.store(Slot::use, UseWord::pack(use.time(), use.version() + 1, use.heat(), kind));
  target.end_write();
  bank_.set_mark(room, CacheBank::mark_of(place));
  used_ += 1 + wanted.size();
  return true;
}

// --- scopes ---

void BankWriter::replace_retiring_scopes(Departures& departures) {
  // So much with every entry that comes that all of them are seen before as many have come.
  constexpr std::size_t step = 4;
  for (std::size_t i = 0; i < step && scope_sets_.any_retiring(); ++i, ++hand_) {
    if (hand_ >= bank_.sets) hand_ = 0;
    for (std::size_t way = 0; way < ways; ++way) {
      const Position at{hand_, way};
      if (bank_.holds_entry(at) && scope_sets_.retiring(traits_of(bank_.slot(at)).scope_set))
        give_own_text(at, departures);
    }
  }
}

void BankWriter::give_own_text(Position at, Departures& departures) {
  const Slot slot = bank_.slot(at);
  EntryTraits traits = traits_of(slot);
  std::array<std::uint64_t, slot_owner_words> owner;
  for (std::size_t word = 0; word < owner.size(); ++word) owner[word] = slot.load(Slot::owner + word);
  const std::string scopes = scope_sets_.at(traits.scope_set).text();
  const LongText text{{reinterpret_cast<const char*>(owner.data()), traits.owner_size}, scopes, {}};
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text.slots());
  if (gather_free(at, text_reach, false, wanted) != wanted.size()) {
    static_cast<void>(evict(at, departures));
    return;
  }
  write_long_text(bank_, wanted, at, text);
  slot.begin_write();
  slot.store(Slot::owner, text.packed_sizes());
  for (std::size_t word = 1; word + 1 < owner.size(); ++word) slot.store(Slot::owner + word, 0);
  slot.store(Slot::owner_end - 1, owner.back() & ~std::uint64_t{0xFFFF'FFFF});
  scope_sets_.release(std::exchange(traits.scope_set, ScopeSets::none));
  traits.owner_size = 0;
  slot.store(Slot::traits, traits.pack());
  slot.store(Slot::generation_and_text, (slot.load(Slot::generation_and_text) & 0xFFFF'FFFFU) |
                                            (std::uint64_t{CacheBank::number(wanted.front())} + 1) << 32);
  slot.end_write();
  used_ += wanted.size();
}

}  // namespace tokenstore::validate

// ---- src/validate/cache_table.hpp ----------------------------------------------------------------------------

/// The validator's cache: token ids to entries, within a budget of octets.
///
/// One bank of slots at a time (cache_bank.hpp says what its words mean), which grows by half as it fills, up
/// to the budget. Entries and the texts that do not fit into them stand in the same slots, so that no mixture of them
/// that fits into the budget is short of room, whatever came before.
///
/// Readers (locate, find, copy_text) take no lock and write nothing. A lookup fetches the home's memory before it
/// computes the fingerprint, and only if another token is there asks the set's directory: two of three entries and
/// more stand at their home. Writers serialise themselves on one mutex, which a filling reader only tries for.



namespace tokenstore::validate {

/// What a reader found: the slot, as it was when the fingerprint matched. What is read out of it belongs together
/// only if unchanged() says so afterwards.
struct Found {
  Slot slot;
  std::uint64_t sequence = 0;
  bool unchanged() const noexcept { return slot.load(Slot::sequence) == sequence; }
};

/// What became of an entry.
enum class Kept : std::uint8_t {
  yes,
  busy,     ///< somebody else was writing
  changed,  ///< it is not true any more
  no_room,  ///< nothing near by may be moved or evicted, or the text is longer than any that the library writes
};

class CacheTable {
 public:
  static constexpr std::size_t first_sets = 16;
  static constexpr std::size_t smallest_budget = first_sets * BankWriter::set_bytes + 8192;

  /// A smaller budget than `smallest_budget` is taken as that.
  CacheTable(std::size_t budget, const Fingerprinter& fingerprinter);
  ~CacheTable();

  /// Where a token's entry lives if it can.
  struct Home {
    std::uint64_t place = 0;
    Slot slot;
  };
  /// The first half of a lookup: fetches the home's memory, so that the fingerprint can be computed meanwhile.
  Home locate(std::uint64_t place) const noexcept;
  /// The second half. False: not in the cache.
  bool find(const Home& home, const Fingerprint& print, Found& found) const noexcept;
  /// Copies the text of an entry that has its own. False: it has been given up meanwhile.
  bool copy_text(Slot entry, LongTextCopy& text) const noexcept {
    return copy_long_text(*bank_.load(std::memory_order_acquire), entry, text);
  }
  const ScopeSets& scope_sets() const noexcept { return scope_sets_; }

  /// Puts an entry in unless somebody else is writing, or `still_true` (asked under the lock) denies.
  /// What it pushes out with unwritten uses (at or after `unwritten_since`) goes to `displaced`.
  template <typename Predicate>
  Kept try_put(const NewEntry& entry, UnixMillis unwritten_since, std::vector<Use>& displaced, Predicate still_true) {
    const std::unique_lock lock(writer_mutex_, std::try_to_lock);
    const Kept kept = !lock.owns_lock() ? Kept::busy
                      : !still_true()   ? Kept::changed
                                        : put(entry, {unwritten_since, displaced});
    if (kept != Kept::yes) not_kept_[static_cast<std::size_t>(kept)].fetch_add(1, std::memory_order_relaxed);
    return kept;
  }
  /// Takes an id out. Its use, if it may be unwritten, goes to `displaced`.
  void drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced);

  std::optional<Use> use_of(std::string_view id) { return use_of(PackedId::of(id)); }
  std::optional<Use> use_of(const PackedId& id);
  /// The tokens that were used at or after a time, in the order of their ids.
  std::vector<PackedId> used_since(UnixMillis since);

  std::uint64_t live() const noexcept { return figures_.live.load(std::memory_order_relaxed); }
  std::uint64_t evictions() const noexcept { return figures_.evictions.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const noexcept { return figures_.bytes.load(std::memory_order_relaxed); }
  /// Entries that were not kept, by the reason.
  std::uint64_t not_kept(Kept why) const noexcept {
    return not_kept_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
  }

 private:
  static bool matches(Slot slot, const Fingerprint& print, Found& found) noexcept;
  bool find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept;

  BankWriter& writer() noexcept { return *writers_.back(); }
  Kept put(const NewEntry& entry, Departures departures);
  bool grow();
  void move_all(CacheBank& from, BankWriter& to);
  void account() noexcept;

  const std::size_t budget_;
  const Fingerprinter& fingerprinter_;
  CacheFigures figures_;
  std::array<std::atomic<std::uint64_t>, 4> not_kept_{};  ///< by Kept
  std::mutex writer_mutex_;
  ScopeSets scope_sets_;
  std::atomic<CacheBank*> bank_;
  /// The last is the one in use. A reader may still look at the others, whose memory has been given back.
  std::vector<std::unique_ptr<BankWriter>> writers_;
};

// The readers' half is defined here so that it is compiled into the one place that calls it.

inline CacheTable::Home CacheTable::locate(std::uint64_t place) const noexcept {
  const CacheBank& bank = *bank_.load(std::memory_order_acquire);
  const Position home = bank.home(place);
  const Home found{place, bank.slot(home)};
  found.slot.prefetch();
  bank.prefetch(home.set);
  return found;
}

inline bool CacheTable::matches(Slot slot, const Fingerprint& print, Found& found) noexcept {
  found = {slot, slot.load(Slot::sequence)};
  return found.sequence % 2 == 0 && slot.load(Slot::print_high) == print.high &&
         slot.load(Slot::print_low) == print.low;
}

inline bool CacheTable::find(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  return matches(home.slot, print, found) || find_elsewhere(home, print, found);
}

}  // namespace tokenstore::validate

// ---- src/validate/cache_table.cpp ----------------------------------------------------------------------------

namespace tokenstore::validate {

CacheTable::CacheTable(std::size_t budget, const Fingerprinter& fingerprinter)
    : budget_(std::max(budget, smallest_budget)),
      fingerprinter_(fingerprinter),
      // The more tokens, the less each costs: a little is room enough for the sets that many share.
      scope_sets_(budget_ / 128) {
  writers_.push_back(std::make_unique<BankWriter>(first_sets, fingerprinter_, scope_sets_, figures_));
  if (!writer().bank().usable()) throw std::bad_alloc();
  bank_.store(&writer().bank());
  account();
}

CacheTable::~CacheTable() = default;

bool CacheTable::find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  const CacheBank& bank = *bank_.load(std::memory_order_acquire);
  const std::uint16_t mark = CacheBank::mark_of(home.place);
  for (const std::size_t set : {bank.first_set(home.place), bank.second_set(home.place)}) {
    for (std::uint32_t left = bank.candidates(set, mark); left != 0; left &= left - 1) {
      const Slot slot = bank.slot(set, static_cast<std::size_t>(std::countr_zero(left)));
      if (matches(slot, print, found)) return true;
    }
  }
  return false;
}

Kept CacheTable::put(const NewEntry& entry, Departures departures) {
  const PackedId id = PackedId::of(entry.id);
  const std::uint64_t place = writer().place_of(id);
  if (const Position old = writer().find(place, id)) static_cast<void>(writer().remove(old, departures));
  if (scope_sets_.any_retiring()) writer().replace_retiring_scopes(departures);

  const bool live = entry.kind == EntryKind::live;
  const LongText text{entry.owner, entry.scopes, entry.metadata};
  if (live && text.octets() > LongText::most_octets) return Kept::no_room;
  const std::uint16_t scope_set = live ? scope_sets_.add(entry.scopes) : ScopeSets::none;
  const bool fits = !live || (entry.metadata.empty() && entry.owner.size() <= slot_owner_max &&
                              (scope_set != ScopeSets::none || entry.scopes.empty()));
  const LongText* const long_text = fits ? nullptr : &text;
  const std::size_t slots = fits ? 1 : 1 + text.slots();

  while (live && writer().crowded(slots) && grow()) continue;
  bool written = writer().put(entry, scope_set, long_text, false, departures);
  if (!written && live) {
    // A small bank may have to grow more than once for a long text.
    for (int step = 0; !written && step < 4 && grow(); ++step) {
      written = writer().put(entry, scope_set, long_text, false, departures);
    }
    if (!written) written = writer().put(entry, scope_set, long_text, true, departures);
  }
  account();
  return written ? Kept::yes : Kept::no_room;
}

bool CacheTable::grow() {
  BankWriter& old = writer();
  const std::size_t for_sets = budget_ - scope_sets_.limit();
  const std::size_t sets = std::min(old.bank().sets + old.bank().sets / 2, for_sets / BankWriter::set_bytes);
  // Less than a twentieth more is not worth moving everything.
  if (sets < old.bank().sets + old.bank().sets / 20 + 1) return false;
  auto made = std::make_unique<BankWriter>(sets, fingerprinter_, scope_sets_, figures_);
  if (!made->bank().usable()) return false;
  writers_.reserve(writers_.size() + 1);
  move_all(old.bank(), *made);
  bank_.store(&made->bank(), std::memory_order_release);
  old.retire();
  writers_.push_back(std::move(made));
  return true;
}

void CacheTable::move_all(CacheBank& from, BankWriter& to) {
  // What has been moved is given back as the work goes on, so that both banks together stay within the
  // budget; a reader of the old one finds nothing there and asks storage.
  constexpr std::size_t step = 4096;
  LongTextCopy copy;  // NOLINT(cppcoreguidelines-pro-type-member-init): only read where it was written
  for (std::size_t set = 0; set < from.sets; ++set) {
    if (set % step == text_reach && set > step) {
      from.memory.discard((set - text_reach - step) * CacheBank::set_bytes, step * CacheBank::set_bytes);
    }
    for (std::size_t way = 0; way < CacheBank::ways; ++way) {
      if (!from.holds_entry({set, way})) continue;
      const Slot slot = from.slot(set, way);
      // Odd for good: a reader between two pages of which one has been given back must not take the rest for whole.
      slot.begin_write();
      const UseWord use = take_use(slot);
      const bool has_text = slot.load(Slot::generation_and_text) >> 32 != 0;
      if (has_text && !copy_long_text(from, slot, copy)) continue;
      const LongText text = has_text ? copy.text() : LongText{};
      if (to.adopt(slot, use, has_text ? &text : nullptr)) continue;
      // Not seen with half as many sets again; the token is then simply asked of storage.
      const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
      scope_sets_.release(traits.scope_set);
      if (traits.kind == EntryKind::live) figures_.live.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  from.memory.discard(0, from.memory.bytes());
}

void CacheTable::drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced) {
  const PackedId packed = PackedId::of(id);
  const std::lock_guard lock(writer_mutex_);
  Departures departures{unwritten_since, displaced};
  if (const Position found = writer().find(writer().place_of(packed), packed)) {
    static_cast<void>(writer().remove(found, departures));
  }
}

void CacheTable::account() noexcept {
  figures_.bytes.store(writer().bytes() + scope_sets_.bytes(), std::memory_order_relaxed);
}

}  // namespace tokenstore::validate

// ---- src/validate/cache_table_uses.cpp -----------------------------------------------------------------------

// Collecting the uses that the entries hold, while entries come, go and move.


namespace tokenstore::validate {

namespace {

bool used_in(const CacheBank& bank, Position at, UnixMillis since) noexcept {
  if (!bank.holds_entry(at)) return false;
  const Slot slot = bank.slot(at);
  const UseWord word = slot.use_word();
  return word.time() != 0 && word.time() >= since &&
         EntryTraits::unpack(slot.load(Slot::traits)).kind == EntryKind::live;
}

}  // namespace

std::optional<Use> CacheTable::use_of(const PackedId& id) {
  const std::lock_guard lock(writer_mutex_);
  const Position found = writer().find(writer().place_of(id), id);
  if (!found || !used_in(writer().bank(), found, 0)) return std::nullopt;
  return current_use(writer().bank().slot(found));
}

std::vector<PackedId> CacheTable::used_since(UnixMillis since) {
  // In steps, so that whoever has to drop an entry meanwhile does not wait for the whole table.
  constexpr std::size_t step = 512;
  std::vector<PackedId> ids;
  const BankWriter* seen = nullptr;
  std::uint64_t moves_seen = 0;
  for (std::size_t set = 0;;) {
    const std::lock_guard lock(writer_mutex_);
    const BankWriter& current = writer();
    const CacheBank& bank = writer().bank();
    if (&current != seen || current.moves() - moves_seen > BankWriter::remembered_moves) {
      set = 0;  // it grew, or more moved than is known: what was read is read again
    } else {
      // From a set that is still to be read into one that was.
      for (; moves_seen != current.moves(); ++moves_seen) {
        const PackedId& id = current.moved(moves_seen);
        if (const Position at = current.find(current.place_of(id), id); at && used_in(bank, at, since))
          ids.push_back(id);
      }
    }
    seen = &current;
    moves_seen = current.moves();
    const std::size_t end = std::min(set + step, bank.sets);
    for (; set < end; ++set) {
      for (std::size_t way = 0; way < CacheBank::ways; ++way) {
        if (used_in(bank, {set, way}, since)) ids.push_back(bank.slot(set, way).id());
      }
    }
    if (set == bank.sets) break;
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace tokenstore::validate

// ---- src/validate/denials.hpp --------------------------------------------------------------------------------

/// What this process denies although storage could not be told: an ending that failed on a full disk still ends
/// here, at once, until it is repeated with success or known to be in storage.
///
/// One meaning for all endings: of a token (revoke, expire, delete), of an owner (suspend, may not use, revoke all:
/// every token of theirs, also one that is issued until it succeeds) and of the workspace (tokens disabled).
///
/// Thread-safe. Reading takes no lock, so that a hit that something else is denied beside costs two loads more, and a
/// forked child can take over what its parent denied, whatever another thread was doing at the fork. What has
/// been denied once stays in memory, switched off, as long as this lives.



namespace tokenstore::validate {

/// What stops an owner: storage can know of one and not of the other.
enum class OwnerStop : std::uint8_t { suspension = 1, may_not_use = 2, revoke_all = 4 };

class Denials {
 public:
  explicit Denials(const Fingerprinter& fingerprinter) noexcept : fingerprinter_(fingerprinter) {}

  void deny_token(std::string_view id) { deny_token_of(id, {}); }
  /// A user asked for the end of a token whose record could not be read: it is denied if it turns out to be theirs.
  /// Past `most_unread` of these no more are remembered, so that nobody fills the memory with ids.
  void deny_token_of(std::string_view id, std::string_view owner);
  void deny_owner(std::string_view owner, OwnerStop why);
  void deny_everything() noexcept;
  /// Storage knows by now.
  void allow_token(std::string_view id);
  void allow_owner(std::string_view owner, OwnerStop why);
  void allow_everything() noexcept;
  /// In a forked child: takes over what its parent denied. A repetition in the parent does not reach it.
  void inherit(const Denials& parent);

  bool any() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  /// False: surely not denied. `place` is the id's, `group` the owner's.
  bool may_deny(std::uint64_t place, std::uint16_t group) const noexcept {
    return everything_.load(std::memory_order_acquire) || head(tokens_, place) != nullptr ||
           head(owners_, group) != nullptr;
  }
  bool denies(std::string_view id, std::string_view owner) const noexcept;

  static constexpr std::size_t most_unread = std::size_t{1} << 16;

 private:
  /// Never changes but for `why`, and never goes.
  struct Denial {
    std::string name;                      ///< a token id or an owner
    std::string owner;                     ///< of a token: denied only if it is this owner's; empty: anyway
    mutable std::atomic<unsigned> why{0};  ///< 0: switched off. Of an owner: OwnerStop bits
    const Denial* next = nullptr;
  };
  static constexpr std::size_t chains = 256;
  using Chains = std::array<std::atomic<const Denial*>, chains>;

  static const Denial* head(const Chains& in, std::uint64_t key) noexcept {
    return in[key % chains].load(std::memory_order_acquire);
  }
  std::uint64_t place_of(std::string_view id) const noexcept { return fingerprinter_.place(IdWords::of(id.data())); }
  void add(Chains& to, std::uint64_t key, std::string_view name, std::string_view owner, unsigned why);
  void remove(Chains& from, std::uint64_t key, std::string_view name, unsigned why);

  const Fingerprinter& fingerprinter_;
  Chains tokens_{}, owners_{};
  std::atomic<bool> everything_{false};
  std::atomic<std::size_t> count_{0};  ///< denials that are not switched off
  std::mutex mutex_;                   ///< of writers
  std::forward_list<Denial> denials_;
  std::size_t unread_ = 0;
};

}  // namespace tokenstore::validate

// ---- src/validate/denials.cpp --------------------------------------------------------------------------------

namespace tokenstore::validate {

void Denials::add(Chains& to, std::uint64_t key, std::string_view name, std::string_view owner, unsigned why) {
  std::atomic<const Denial*>& chain = to[key % chains];
  for (const Denial* known = chain.load(); known != nullptr; known = known->next) {
    if (known->name != name || known->owner != owner) continue;
    if (known->why.fetch_or(why) == 0) count_.fetch_add(1);
    return;
  }
  if (!owner.empty() && ++unread_ > most_unread) return;
  Denial& made = denials_.emplace_front();
  made.name = name;
  made.owner = owner;
  made.why = why;
  made.next = chain.load();
  chain.store(&made, std::memory_order_release);
  count_.fetch_add(1);
}

void Denials::remove(Chains& from, std::uint64_t key, std::string_view name, unsigned why) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  for (const Denial* known = head(from, key); known != nullptr; known = known->next) {
    if (known->name != name) continue;
    const unsigned before = known->why.fetch_and(~why);
    if (before != 0 && (before & ~why) == 0) count_.fetch_sub(1);
  }
}

void Denials::deny_token_of(std::string_view id, std::string_view owner) {
  if (!text::is_id(id)) return;
  const std::lock_guard lock(mutex_);
  add(tokens_, place_of(id), id, owner, 1);
}

void Denials::deny_owner(std::string_view owner, OwnerStop why) {
  const std::lock_guard lock(mutex_);
  add(owners_, fingerprinter_.group(owner), owner, {}, static_cast<unsigned>(why));
}

void Denials::deny_everything() noexcept {
  if (!everything_.exchange(true)) count_.fetch_add(1);
}

void Denials::allow_token(std::string_view id) {
  if (text::is_id(id)) remove(tokens_, place_of(id), id, ~0U);
}

void Denials::allow_owner(std::string_view owner, OwnerStop why) {
  remove(owners_, fingerprinter_.group(owner), owner, static_cast<unsigned>(why));
}

void Denials::allow_everything() noexcept {
  if (everything_.exchange(false)) count_.fetch_sub(1);
}

void Denials::inherit(const Denials& parent) {
  // The parent's mutex may be held for ever by a thread that is not here. Whatever a chain shows is whole.
  const std::lock_guard lock(mutex_);
  const auto each = [](const Chains& from, const auto& take) {
    for (const auto& chain : from)
      for (const Denial* known = chain.load(std::memory_order_acquire); known != nullptr; known = known->next)
        if (const unsigned why = known->why.load(); why != 0) take(*known, why);
  };
  each(parent.tokens_,
       [this](const Denial& known, unsigned why) { add(tokens_, place_of(known.name), known.name, known.owner, why); });
  each(parent.owners_, [this](const Denial& known, unsigned why) {
    add(owners_, fingerprinter_.group(known.name), known.name, {}, why);
  });
  if (parent.everything_.load()) deny_everything();
}

bool Denials::denies(std::string_view id, std::string_view owner) const noexcept {
  if (everything_.load(std::memory_order_acquire)) return true;
  for (const Denial* known = text::is_id(id) ? head(tokens_, place_of(id)) : nullptr; known; known = known->next) {
    if (known->why.load(std::memory_order_acquire) != 0 && known->name == id &&
        (known->owner.empty() || known->owner == owner))
      return true;
  }
  for (const Denial* known = head(owners_, fingerprinter_.group(owner)); known != nullptr; known = known->next) {
    if (known->why.load(std::memory_order_acquire) != 0 && known->name == owner) return true;
  }
  return false;
}

}  // namespace tokenstore::validate

// ---- src/validate/generations.hpp ----------------------------------------------------------------------------

/// What has changed since an entry was made, in counters that a reader can compare at no cost.
///
/// Names (token ids, owners) fall into groups; a change raises the group's counter, and whatever was
/// remembered under the old count is no longer believed. Two names in one group cost a needless look
/// at storage, never a wrong answer; nobody can choose a name that shares another's. Thread-safe.



namespace tokenstore::validate {

class Generations {
 public:
  static constexpr std::size_t groups = Fingerprinter::groups;

  explicit Generations(const Fingerprinter& fingerprinter)
      : fingerprinter_(fingerprinter),
        memory_(groups * sizeof(std::uint32_t)),
        counts_(reinterpret_cast<std::atomic<std::uint32_t>*>(memory_.words())) {
    if (counts_ == nullptr) throw std::bad_alloc();
  }

  std::uint16_t group_of(std::string_view name) const noexcept { return fingerprinter_.group(name); }
  std::uint32_t of(std::uint16_t group) const noexcept { return counts_[group].load(std::memory_order_acquire); }
  void raise(std::uint16_t group) noexcept { counts_[group].fetch_add(1, std::memory_order_acq_rel); }
  void raise_all() noexcept {
    for (std::size_t group = 0; group < groups; ++group) counts_[group].fetch_add(1, std::memory_order_acq_rel);
  }

 private:
  const Fingerprinter& fingerprinter_;
  Pages memory_;  ///< takes none until something changes
  std::atomic<std::uint32_t>* const counts_;
};

}  // namespace tokenstore::validate

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
};

/// Why a validation was `unavailable`.
struct Unavailability {
  Error error;  ///< storage's own: its line is for the log
  UnixMillis at = 0;
};

}  // namespace tokenstore

// ---- src/validate/failures.hpp -------------------------------------------------------------------------------

/// Why validations were unavailable: the latest line that storage gave, for the host's log.
///
/// Thread-safe without waiting: of two failures at once one is kept, and in a forked child, which may inherit a turn
/// that nobody will end, start_afresh() comes first. A validation that storage answers never comes here.



namespace tokenstore::validate {

class Failures {
 public:
  void note(const Error& error, UnixMillis now) noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return;
    try {
      latest_ = Unavailability{error, now};
    } catch (...) {  // NOLINT(bugprone-empty-catch): without memory the line before it stays
    }
    busy_.clear(std::memory_order_release);
  }

  std::optional<Unavailability> latest() const {
    struct Turn {
      std::atomic_flag& busy;
      explicit Turn(std::atomic_flag& flag) : busy(flag) {
        while (busy.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
      }
      ~Turn() { busy.clear(std::memory_order_release); }
    } const turn{busy_};
    return latest_;
  }

  void start_afresh() noexcept {
    // What the parent may have been in the middle of writing is not looked at, nor freed.
    new (&latest_) std::optional<Unavailability>();
    busy_.clear(std::memory_order_release);
  }

 private:
  mutable std::atomic_flag busy_;
  std::optional<Unavailability> latest_;
};

}  // namespace tokenstore::validate

// ---- src/validate/full_check.hpp -----------------------------------------------------------------------------

/// The whole check of a token against storage: what a validation costs when nothing is remembered.
///
/// The order is part of the promise (docs/token-format.md): who cannot show the secret learns nothing
/// about the token, and only a genuine record's owner, policy and state are looked at.



namespace tokenstore::validate {

/// What an owner's sealed record says of using tokens, and what their tokens are bound to.
struct OwnerStanding {
  /// `none`, `owner_suspended`, `owner_may_not_use`, `tampered` (also if missing), `retired_key` or `storage`.
  Reason reason = Reason::storage;
  Bytes16 birth{};
  std::uint64_t revoke_all_count = 0;

  friend bool operator==(const OwnerStanding&, const OwnerStanding&) = default;
};

/// Where the settings that a decision needs come from: storage, or what is remembered of it.
class SettingsSource {
 public:
  virtual ~SettingsSource() = default;
  virtual OwnerStanding owner_standing(std::string_view owner) = 0;
  /// `none`, `tokens_disabled`, `tampered` (also if missing), `retired_key` or `storage`.
  virtual Reason workspace_permits() = 0;
};

/// Reads the settings from storage each time.
class StoredSettings final : public SettingsSource {
 public:
  StoredSettings(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
                 Failures& failures)
      : backend_(backend), sealer_(sealer), clock_(clock), place_(place), failures_(failures) {}
  OwnerStanding owner_standing(std::string_view owner) override;
  Reason workspace_permits() override;
  /// What a genuine record says.
  static OwnerStanding standing_in(const OwnerRecord& record) noexcept;

 private:
  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  Failures& failures_;
};

struct CheckedToken {
  Reason reason = Reason::storage;  ///< `none`: valid for every scope it holds
  TokenRecord record;               ///< meaningful unless `unknown` or `storage`
};

/// Thread-safe as long as its parts are.
class FullCheck {
 public:
  FullCheck(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
            Failures& failures);

  /// `token` has passed parse() and its tag is right.
  CheckedToken run(const text::ParsedToken& token, SettingsSource& settings) const;

  /// The outcome that a reason stands for.
  static Outcome outcome_of(Reason reason) noexcept;
  static Reason state_reason(const TokenRecord& record, UnixMillis now) noexcept;

 private:
  /// Whether a key is retired, or was taken out, by the keys of now.
  bool has_ended(std::string_view key_id) const noexcept;
  Reason judge(const text::ParsedToken& token, const TokenRecord& record, SettingsSource& settings) const;

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  Failures& failures_;
  TokenRecord nobody_;  ///< what a missing record is compared with, so that its absence costs what its presence does
};

}  // namespace tokenstore::validate

// ---- src/validate/remembered_settings.hpp --------------------------------------------------------------------

/// What owners' and the workspace's sealed records say, remembered between misses.
///
/// An answer is believed while its generation stands. What is remembered must be the state of storage that
/// was caught up with, neither older nor newer: owner_changed() tells by it whether entries made under the
/// same generation still hold. Whoever remembers makes sure of that. Bounded: each owner has the one place that
/// its name gives, and is told from others there by its fingerprint, which nobody can aim at. Thread-safe.



namespace tokenstore::validate {

class RememberedSettings {
 public:
  /// Takes a share of the cache's budget.
  RememberedSettings(StoredSettings& stored, Generations& owners, const Fingerprinter& fingerprinter,
                     std::size_t cache_bytes)
      : stored_(stored),
        owners_(owners),
        fingerprinter_(fingerprinter),
        answers_(std::clamp(cache_bytes / 64, least_bytes, most_bytes) / sizeof(Answer) * sizeof(Answer)) {
    if (answers_.words() == nullptr) throw std::bad_alloc();
  }

  /// Empty: not remembered under this generation.
  std::optional<OwnerStanding> recall_owner(std::string_view owner, std::uint32_t generation) noexcept;
  void remember_owner(std::string_view owner, std::uint32_t generation, const OwnerStanding& standing) noexcept;
  std::optional<Reason> recall_workspace(std::uint32_t generation) const noexcept;
  void remember_workspace(std::uint32_t generation, Reason reason) noexcept;

  /// The feed says that an owner's record changed. True: in a way that matters, or nobody knows.
  bool owner_changed(std::string_view owner);
  /// The same, where it is known what the record says by now.
  bool owner_changed(std::string_view owner, const OwnerStanding& now) noexcept;
  void forget_workspace() noexcept { workspace_generation_.fetch_add(1, std::memory_order_acq_rel); }
  /// Moves whenever the workspace's record has changed.
  std::uint32_t workspace_generation() const noexcept { return workspace_generation_.load(std::memory_order_acquire); }

  std::size_t bytes() const noexcept { return answers_.bytes(); }

 private:
  struct Answer {
    Fingerprint owner;
    std::uint32_t generation = 0;
    OwnerStanding standing;
    bool known = false;  ///< of zeroes: nothing remembered
  };
  static constexpr std::size_t least_bytes = 128 * sizeof(Answer);
  static constexpr std::size_t most_bytes = std::size_t{4} << 20;

  Answer& place_of(const Fingerprint& owner) noexcept {
    return reinterpret_cast<Answer*>(answers_.words())[owner.high % (answers_.bytes() / sizeof(Answer))];
  }

  StoredSettings& stored_;
  Generations& owners_;
  const Fingerprinter& fingerprinter_;
  std::mutex mutex_;
  Pages answers_;  ///< takes no memory until something is remembered
  std::atomic<std::uint32_t> workspace_generation_{0};
  /// Generation in the upper half, reason in the lower; 0: nothing remembered.
  std::atomic<std::uint64_t> workspace_answer_{0};
};

}  // namespace tokenstore::validate

// ---- src/validate/use_log.hpp --------------------------------------------------------------------------------

/// Last uses that have not been written to storage yet.
///
/// Thread-safe. Bounded: past `most` tokens, a use of a further token is not noted until the next
/// flush, because no request may wait or grow memory for it.



namespace tokenstore::validate {

class UseLog {
 public:
  explicit UseLog(std::size_t most = std::size_t{1} << 16) : most_(most) {}

  /// Keeps the later of two uses of a token.
  void note(std::string_view id, UnixMillis at, std::string_view from);
  std::optional<Use> find(std::string_view id);
  /// Takes out the uses of up to `count` tokens, those with the lowest ids above `after`.
  std::vector<Use> take(std::size_t count, std::string_view after);

 private:
  std::mutex mutex_;
  std::size_t most_;
  std::map<std::string, Use, std::less<>> uses_;
};

}  // namespace tokenstore::validate

// ---- src/validate/freshness.hpp ------------------------------------------------------------------------------

/// Keeps what is remembered as fresh as storage: compares the pulse, reads the change feed, and drops
/// what it names.
///
/// The feed is not believed because it is stored: each of its entries is linked to the one before by a keyed MAC
/// (seal/announcement.hpp). Where it does not fit, everything is forgotten.
///
/// The rule: nobody answers from memory unless everything up to a pulse that was read after the call
/// began has been caught up with. Thread-safe.



namespace tokenstore::validate {

class Freshness {
 public:
  Freshness(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
            CacheTable& table, RememberedSettings& settings, Generations& tokens, Generations& owners, UseLog& uses,
            const std::atomic<UnixMillis>& unwritten_since)
      : backend_(backend),
        sealer_(sealer),
        clock_(clock),
        place_(place),
        table_(table),
        settings_(settings),
        tokens_(tokens),
        owners_(owners),
        uses_(uses),
        unwritten_since_(unwritten_since) {}

  /// May this call answer from memory? Usually two loads; catches up if something has changed. Empty: no.
  /// Else the pulse's counter that the call goes by.
  std::optional<std::uint64_t> current() {
    const Pulse pulse = backend_.pulse();
    if (!lease_holds(pulse)) return std::nullopt;
    if (pulse.counter == synced_.load(std::memory_order_acquire)) return pulse.counter;
    return catch_up(pulse);
  }
  /// The same, but asks storage for nothing. Empty: it would have to.
  std::optional<std::uint64_t> caught_up() {
    const Pulse pulse = backend_.pulse();
    if (!lease_holds(pulse) || pulse.counter != synced_.load(std::memory_order_acquire)) return std::nullopt;
    return pulse.counter;
  }
  /// Has nothing been committed since current() gave `counter`? Then what was loaded in between is the state
  /// that was caught up with, and may be remembered as such.
  bool unmoved(std::uint64_t counter) noexcept { return backend_.pulse().counter == counter; }

  /// This process has committed a batch with (or without) an announcement, or may have: `revision` is then 0. Forgets
  /// what they name without asking the pulse or the feed: a backend that lies about them does not make a token outlive
  /// its end in the process that ended it.
  void committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept;

  /// What was remembered so far is not believed any more.
  void forget_everything() noexcept;

  std::uint64_t catch_ups() const noexcept { return catch_ups_.load(std::memory_order_relaxed); }
  /// Catch-ups that met a feed which does not fit what was read of it before.
  std::uint64_t feed_mismatches() const noexcept { return feed_mismatches_.load(std::memory_order_relaxed); }
  std::uint64_t dropped_all() const noexcept { return dropped_all_.load(std::memory_order_relaxed); }

 private:
  bool lease_holds(const Pulse& pulse) noexcept {
    return pulse.trusted_until == std::numeric_limits<std::int64_t>::max() ||
           clock_.coarse_monotonic() + clock_.coarse_lag() < pulse.trusted_until;
  }
  /// The pulse's counter that was caught up with, since `seen` was read; empty: storage could not be asked.
  std::optional<std::uint64_t> catch_up(const Pulse& seen);
  bool read_feed();
  /// What the feed names since the position caught up with. Empty: everything, or it does not fit.
  std::optional<std::vector<seal::ChangedRecord>> read_on(const Changes& changes);
  void forget(const std::optional<std::vector<seal::ChangedRecord>>& named, bool exact_pulse);
  /// `owner_matters(name)` is asked of an owner alone: does the change of their record matter?
  template <typename OwnerMatters>
  void forget_one(RecordKind kind, std::string_view key, const OwnerMatters& owner_matters,
                  std::vector<Use>& displaced);
  void keep_uses(const std::vector<Use>& displaced);

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  const seal::Place& place_;
  CacheTable& table_;
  RememberedSettings& settings_;
  Generations& tokens_;
  Generations& owners_;
  UseLog& uses_;
  const std::atomic<UnixMillis>& unwritten_since_;

  /// The pulse caught up with. 0 at first is as good as any: nothing is remembered yet.
  std::atomic<std::uint64_t> synced_{0};
  std::mutex mutex_;
  std::atomic<std::uint64_t> begun_{0};  ///< readings of the feed; raised under mutex_
  std::uint64_t read_ = 0;               ///< the latest of them that was read to its end; guarded by mutex_
  /// How far the feed has been read; guarded by mutex_. At first nothing is remembered, and where the feed stands is as
  /// good a beginning as any.
  std::optional<std::uint64_t> revision_;
  Bytes32 link_{};
  std::atomic<std::uint64_t> committed_revision_{0};  ///< the highest that this process was told of
  std::atomic<std::uint64_t> catch_ups_{0}, dropped_all_{0}, feed_mismatches_{0};
};

}  // namespace tokenstore::validate

// ---- src/validate/freshness.cpp ------------------------------------------------------------------------------

namespace tokenstore::validate {

std::optional<std::uint64_t> Freshness::catch_up(const Pulse& seen) {
  const std::uint64_t begun = begun_.load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  // Who waited for a reading that began after their call did has no need of another one, however often the pulse has
  // moved since: under many commits the threads share one.
  const std::uint64_t synced = synced_.load(std::memory_order_relaxed);
  const bool read_meanwhile = read_ > begun;
  if (synced == seen.counter || read_meanwhile) return synced;
  begun_.fetch_add(1, std::memory_order_acq_rel);
  if (!read_feed()) return std::nullopt;
  read_ = begun_.load(std::memory_order_relaxed);
  return synced_.load(std::memory_order_relaxed);
}

bool Freshness::read_feed() {
  // Read before the feed: a commit in between costs one more catch-up instead of being missed.
  const Pulse before = backend_.pulse();
  // Who changes keys announces it, and the pulse that was moved by it has just been read.
  sealer_.look_by_mark(before.counter);
  const std::uint64_t committed = committed_revision_.load(std::memory_order_acquire);
  auto changes = backend_.changes(place_.workspace, revision_.value_or(seal::far_ahead));
  if (!changes.ok()) return false;
  catch_ups_.fetch_add(1, std::memory_order_relaxed);
  if (!revision_) {
    // Nothing can be remembered yet but by a pulse that began at 0.
    forget_everything();
    revision_ = changes->revision;
    link_ = changes->link;
    synced_.store(before.counter, std::memory_order_release);
    return true;
  }
  auto named = read_on(*changes);
  if (changes->revision < std::max(committed, *revision_)) {
    // The feed was put back behind what this process has announced or read.
    named.reset();
    feed_mismatches_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t known = committed;
    committed_revision_.compare_exchange_strong(known, changes->revision, std::memory_order_acq_rel);
  }
  forget(named, before.trusted_until == std::numeric_limits<std::int64_t>::max());
  revision_ = changes->revision;
  link_ = changes->link;
  synced_.store(before.counter, std::memory_order_release);
  return true;
}

std::optional<std::vector<seal::ChangedRecord>> Freshness::read_on(const Changes& changes) {
  const auto is_unknown = [this](const Changes::Entry& entry) {
    return !sealer_.now().key_use(seal::key_of_entry(entry.text));
  };
  if (std::any_of(changes.entries.begin(), changes.entries.end(), is_unknown)) sealer_.look(sealer_.now());
  auto reading = seal::read_on(sealer_.now(), place_, *revision_, link_, changes);
  const auto tells_of_keys = [](const seal::ChangedRecord& changed) { return changed.kind == RecordKind::store; };
  if (reading.named && std::any_of(reading.named->begin(), reading.named->end(), tells_of_keys)) {
    sealer_.look(sealer_.now(), seal::LiveSealer::Ask::outright);
  }
  if (!reading.fits) feed_mismatches_.fetch_add(1, std::memory_order_relaxed);
  return std::move(reading.named);
}

void Freshness::forget(const std::optional<std::vector<seal::ChangedRecord>>& named, bool exact_pulse) {
  if (!named) {
    dropped_all_.fetch_add(1, std::memory_order_relaxed);
    return forget_everything();
  }
  // A pulse that lags behind storage cannot tell that what is remembered is not newer than it.
  const auto owner_matters = [&](std::string_view owner) { return !exact_pulse || settings_.owner_changed(owner); };
  std::vector<Use> displaced;
  for (const seal::ChangedRecord& changed : *named) forget_one(changed.kind, changed.key, owner_matters, displaced);
  keep_uses(displaced);
}

void Freshness::committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept {
  const bool surely = revision != 0;
  std::uint64_t known = committed_revision_.load(std::memory_order_relaxed);
  while (surely && !entry.empty() && known < revision &&
         !committed_revision_.compare_exchange_weak(known, revision, std::memory_order_acq_rel)) {
  }
  try {
    std::vector<Use> displaced;
    for (const Mutation& step : batch) {
      if (step.action == Mutation::Action::check) continue;
      // Whatever stops an owner counts: what is remembered of them came by the pulse, which is not relied on here. An
      // issue under a cap changes their record too, and is told from that without asking storage.
      const auto owner_matters = [&](std::string_view owner) {
        const auto* record = std::get_if<OwnerRecord>(&step.record);
        if (!surely || record == nullptr) return true;
        const OwnerStanding now = StoredSettings::standing_in(*record);
        return now.reason != Reason::none || settings_.owner_changed(owner, now);
      };
      forget_one(step.kind, step.key, owner_matters, displaced);
    }
    // An ending is announced also where there was nothing left to change.
    if (batch.empty() && !entry.empty()) {
      const auto named = seal::changes_named(entry);
      if (!named) return forget_everything();
      for (const seal::ChangedRecord& changed : *named) {
        forget_one(
            changed.kind, changed.key, [](std::string_view) { return true; }, displaced);
      }
    }
    keep_uses(displaced);
  } catch (...) {
    // The batch is in storage: a lack of memory may cost what is remembered, not make it a failure.
    forget_everything();
  }
}

template <typename OwnerMatters>
void Freshness::forget_one(RecordKind kind, std::string_view key, const OwnerMatters& owner_matters,
                           std::vector<Use>& displaced) {
  switch (kind) {
    case RecordKind::token:
      // Raised before the entry is dropped: a load that began earlier can no longer fill it in.
      tokens_.raise(tokens_.group_of(key));
      if (text::is_id(key)) table_.drop(key, unwritten_since_.load(), displaced);
      break;
    case RecordKind::owner:
      if (owner_matters(key)) owners_.raise(owners_.group_of(key));
      break;
    case RecordKind::workspace:
      // In this order: see Validator::remember.
      settings_.forget_workspace();
      owners_.raise_all();
      break;
    case RecordKind::store:
      break;  // sealed anew, or named for the sake of keys
  }
}

void Freshness::forget_everything() noexcept {
  settings_.forget_workspace();
  tokens_.raise_all();
  owners_.raise_all();
}

void Freshness::keep_uses(const std::vector<Use>& displaced) {
  for (const Use& use : displaced) uses_.note(use.id, use.used_at, use.used_from);
}

}  // namespace tokenstore::validate

// ---- src/validate/full_check.cpp -----------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {

constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

/// Why a record with this seal decides nothing; `none` if it is genuine.
Reason distrust(seal::SealCheck check) noexcept {
  switch (check) {
    case seal::SealCheck::genuine:
      return Reason::none;
    case seal::SealCheck::retired_key:
      return Reason::retired_key;
    case seal::SealCheck::tampered:
    case seal::SealCheck::unknown_key:
      break;
  }
  return Reason::tampered;
}

TokenRecord record_of_nobody(const seal::Sealer& sealer, const seal::Place& place) {
  TokenRecord record;
  record.id = std::string(text::id_size, '0');
  record.key_id = sealer.active_key_id();
  record.owner = "nobody.in.particular";
  record.scopes = "none";
  record.created_by = "user:nobody.in.particular";
  sealer.seal(place, record);
  return record;
}

}  // namespace

OwnerStanding StoredSettings::owner_standing(std::string_view owner) {
  const auto loaded = backend_.load_owner(place_.workspace, owner);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return {Reason::storage};
  }
  if (!loaded->has_value() || (*loaded)->owner != owner) return {Reason::tampered};
  const OwnerRecord& record = **loaded;
  if (const Reason why = distrust(sealer_.verify(place_, record)); why != Reason::none) return {why};
  return standing_in(record);
}

OwnerStanding StoredSettings::standing_in(const OwnerRecord& record) noexcept {
  Reason reason = record.may_use ? Reason::none : Reason::owner_may_not_use;
  if (record.suspended_at != not_ended) reason = Reason::owner_suspended;
  return {reason, record.birth, record.revoke_all_count};
}

Reason StoredSettings::workspace_permits() {
  const auto loaded = backend_.load_workspace(place_.workspace);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return Reason::storage;
  }
  if (!loaded->has_value()) return Reason::tampered;
  const WorkspaceRecord& record = **loaded;
  // One that was born later is another workspace of the same name.
  if (record.workspace != place_.workspace || record.birth != place_.workspace_birth) return Reason::tampered;
  if (const Reason why = distrust(sealer_.verify(place_.store, record)); why != Reason::none) return why;
  return record.tokens_enabled ? Reason::none : Reason::tokens_disabled;
}

FullCheck::FullCheck(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
                     Failures& failures)
    : backend_(backend),
      sealer_(sealer),
      clock_(clock),
      place_(place),
      failures_(failures),
      nobody_(record_of_nobody(sealer.now(), place)) {}

CheckedToken FullCheck::run(const text::ParsedToken& token, SettingsSource& settings) const {
  CheckedToken checked;
  auto loaded = backend_.load_token(place_.workspace, token.id);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return checked;
  }

  const bool found = loaded->has_value();
  if (found) checked.record = std::move(**loaded);
  const TokenRecord& record = found ? checked.record : nobody_;
  // Both MACs whatever comes out, so that the time does not tell what was found.
  const bool right_secret = sealer_.now().verifier_matches(place_.workspace, token, record.verifier);
  Reason seal = Reason::none;
  if (found) {
    seal = distrust(sealer_.verify(place_, record));
  } else {
    sealer_.now().work_like_verify(place_, record);
  }

  if (!found) {
    checked.reason = Reason::unknown;
  } else if (!right_secret) {
    // A key that was taken out since the tag was checked compares with nothing.
    checked.reason = sealer_.now().key_use(token.key_id) ? Reason::wrong_secret : Reason::forged;
  } else if (record.id != token.id || record.key_id != token.key_id) {
    checked.reason = Reason::tampered;
  } else if (seal != Reason::none) {
    checked.reason = seal;
  } else {
    checked.reason = judge(token, record, settings);
  }
  return checked;
}

Reason FullCheck::judge(const text::ParsedToken& token, const TokenRecord& record, SettingsSource& settings) const {
  if (has_ended(token.key_id)) return Reason::retired_key;
  if (const Reason workspace = settings.workspace_permits(); workspace != Reason::none) return workspace;
  const OwnerStanding owner = settings.owner_standing(record.owner);
  if (owner.reason == Reason::storage || owner.reason == Reason::tampered || owner.reason == Reason::retired_key) {
    return owner.reason;
  }
  // Bound to an owner's record that is gone, or to a later state of this one: somebody put records back or away.
  if (record.owner_birth != owner.birth || record.revoke_all_count > owner.revoke_all_count) return Reason::tampered;
  if (owner.reason != Reason::none) return owner.reason;
  const Reason state = state_reason(record, clock_.now());
  const bool has_ended = state != Reason::none && state != Reason::pending;
  return !has_ended && record.revoke_all_count < owner.revoke_all_count ? Reason::revoked : state;
}

bool FullCheck::has_ended(std::string_view key_id) const noexcept {
  const auto ended_in = [key_id](const seal::Sealer& keys) {
    const std::optional<KeyUse> use = keys.key_use(key_id);
    return !use || *use == KeyUse::retired;
  };
  const seal::Sealer& known = sealer_.now();
  return ended_in(known) && (!sealer_.look(known) || ended_in(sealer_.now()));
}

Outcome FullCheck::outcome_of(Reason reason) noexcept {
  if (reason == Reason::none) return Outcome::valid;
  return reason == Reason::storage ? Outcome::unavailable : Outcome::invalid;
}

Reason FullCheck::state_reason(const TokenRecord& record, UnixMillis now) noexcept {
  if (record.revoked_at != not_ended) return Reason::revoked;
  if (record.expired_at != not_ended || record.expires_at <= now) return Reason::expired;
  if (record.not_before > now) return Reason::pending;
  return Reason::none;
}

}  // namespace tokenstore::validate

// ---- src/validate/counters.hpp -------------------------------------------------------------------------------

/// Counters that many threads raise without getting in each other's way: a line of memory for each
/// processor, summed up when somebody asks.



namespace tokenstore::validate {

enum class Count : std::uint8_t { hits, gone_hits, misses, malformed, forged, unavailable };

class Counters {
 public:
  void raise(Count which) noexcept {
    const auto processor = static_cast<unsigned>(sched_getcpu());
    lines_[processor % lines].counts[static_cast<std::size_t>(which)].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t sum(Count which) const noexcept {
    std::uint64_t total = 0;
    for (const Line& line : lines_)
      total += line.counts[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr std::size_t lines = 64;
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, 8> counts{};
  };
  std::array<Line, lines> lines_{};
};

}  // namespace tokenstore::validate

// ---- src/validate/use_writer.hpp -----------------------------------------------------------------------------

/// Writes last uses to storage: all of them once an interval, in small parts.
///
/// A part ends when the caller's time is over, and the next call goes on where it stopped: with a million tokens in use
/// one writing takes seconds, and neither a host that calls maintain() between two requests nor a fork that waits for
/// the upkeep thread's turn can wait that long. Thread-safe; of several threads one writes.



namespace tokenstore::validate {

class UseWriter {
 public:
  /// Borrows everything; `table` may be null. `unwritten_since` is moved on when all before it is written.
  UseWriter(Backend& backend, base::EffectiveClock& clock, const std::string& workspace,
            std::chrono::milliseconds interval, UseLog& log, CacheTable* table,
            std::atomic<UnixMillis>& unwritten_since);

  /// Writes for about `budget` if the interval is over or something was left. True: there is more to write.
  Result<bool> write_due(std::chrono::milliseconds budget);
  Result<void> write_all();
  std::uint64_t written() const noexcept { return written_.load(std::memory_order_relaxed); }

 private:
  void begin(std::int64_t now);
  Result<bool> go_on(std::int64_t until);
  Result<void> write_logged();
  Result<void> write_cached();

  Backend& backend_;
  base::EffectiveClock& clock_;
  const std::string& workspace_;
  const std::int64_t interval_;
  UseLog& log_;
  CacheTable* const table_;
  std::atomic<UnixMillis>& unwritten_since_;
  std::atomic<std::uint64_t> written_{0};

  std::mutex turn_;          ///< guards what follows
  std::int64_t last_begun_;  ///< monotonic
  bool under_way_ = false;
  UnixMillis next_unwritten_ = 0;  ///< `unwritten_since_` once this writing is done
  bool logged_left_ = false;
  std::string logged_to_;         ///< the id up to which the log was gone through; what is used again comes next time
  std::vector<PackedId> cached_;  ///< the cached tokens to write, in the order of their ids
  std::size_t next_cached_ = 0;
};

}  // namespace tokenstore::validate

// ---- src/validate/memory.hpp ---------------------------------------------------------------------------------

/// Everything that a validator remembers, in one piece, so that a forked child can start afresh: it
/// must not touch locks that another thread of its parent may have held, nor write out its uses.



namespace tokenstore::validate {

struct Memory {
  /// `cache_bytes` 0: remembers no tokens, only uses and denials.
  Memory(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, RandomSource& random,
         const seal::Place& place, StoredSettings& stored, std::size_t cache_bytes,
         std::chrono::milliseconds use_interval)
      : fingerprinter(random),
        tokens(fingerprinter),
        owners(fingerprinter),
        settings(stored, owners, fingerprinter, cache_bytes),
        denials(fingerprinter),
        table(new_table(cache_bytes)),
        use_writer(backend, clock, place.workspace, use_interval, uses, table.get(), unwritten_since) {
    if (!table) return;
    freshness = std::make_unique<Freshness>(backend, sealer, clock, place, *table, settings, tokens, owners, uses,
                                            unwritten_since);
  }

  const Fingerprinter fingerprinter;
  Generations tokens;
  Generations owners;
  RememberedSettings settings;
  Denials denials;
  UseLog uses;
  std::unique_ptr<CacheTable> table;
  std::unique_ptr<Freshness> freshness;
  std::atomic<UnixMillis> unwritten_since{0};  ///< uses of cached tokens from here on are not in storage
  UseWriter use_writer;

 private:
  std::unique_ptr<CacheTable> new_table(std::size_t cache_bytes) const {
    if (cache_bytes == 0) return nullptr;
    return std::make_unique<CacheTable>(cache_bytes - std::min(cache_bytes, settings.bytes()), fingerprinter);
  }
};

}  // namespace tokenstore::validate

// ---- src/validate/hits.hpp -----------------------------------------------------------------------------------

/// Answers from memory: what is decided by a text that passed the whole check before, and about which nothing has
/// changed since. No storage unless something has, no allocation, no system call, no lock that readers share.
///
/// Thread-safe. Borrows what it is made from.



namespace tokenstore::validate {

class Hits {
 public:
  Hits(const std::string& prefix, base::EffectiveClock& clock, Counters& counters);

  /// What to do where something has been committed: read the change feed, which asks storage, or give up.
  enum class CatchUp : bool { no, yes };

  /// True: the verdict is the answer. False: memory does not decide it, whatever the verdict now holds, and `pulse` is
  /// what the call goes by (empty: it may neither use nor make memories). `text` has the length of this store's.
  bool answer(Memory& memory, std::string_view text, const Demand& demand, CatchUp catch_up,
              std::optional<std::uint64_t>& pulse, Verdict& verdict);

 private:
  /// What of the answer needs no token: done while memory is waited for.
  struct Asked {
    ScopeSets::Wanted scope;
    PackedAddress from;
    UnixMillis coarse_now;  ///< effective now, slightly behind
  };
  bool answer_from(Memory& memory, const Found& found, std::uint64_t place, std::string_view id, const Asked& asked,
                   Verdict& verdict);
  /// Effective now, exact where it matters, if it lies before an end.
  std::optional<UnixMillis> before_end(UnixMillis expires_at, const Asked& asked) noexcept;
  /// What is known to be denied.
  [[gnu::noinline]] bool refuse(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict);
  /// Who and what, of an entry that does not fit into its slot. Apart, because it takes much of the stack.
  [[gnu::noinline]] static bool identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked,
                                                 UnixMillis expires_at, bool& in_scope, Verdict& verdict);

  const std::size_t id_at_;  ///< where the id starts in a text of this store
  base::EffectiveClock& clock_;
  Counters& counters_;
};

}  // namespace tokenstore::validate

// ---- src/validate/verdict_writer.hpp -------------------------------------------------------------------------

/// The one writer of Verdicts.



namespace tokenstore {

class VerdictWriter {
 public:
  explicit VerdictWriter(Verdict& verdict) noexcept : verdict_(verdict) {}

  /// A refusal that says nothing of who and what.
  void refuse(Outcome outcome, Reason reason) noexcept;
  /// The answer about a genuine token: valid, or insufficient_scope.
  void identify(Reason reason, std::string_view id, std::string_view owner, std::string_view scopes,
                std::string_view metadata, UnixMillis expires_at) noexcept;
  /// The same of what the library has kept in words, which holds its limits; without metadata. `owner_word(i)` and
  /// `scope_word(i)` give the words of the texts, which are written whole, beyond their ends too. One by one: gathered
  /// in an array, they could be copied on only once the processor's store buffer has let go of them.
  template <std::size_t words, typename OwnerWord, typename ScopeWord>
  void identify(Reason reason, std::string_view id, const OwnerWord& owner_word, std::size_t owner_size,
                const ScopeWord& scope_word, std::size_t scopes_size, UnixMillis expires_at) noexcept;
  /// Of an answer that said nothing of the demand yet.
  void lack_scope() noexcept {
    verdict_.outcome_ = Outcome::invalid;
    verdict_.reason_ = Reason::insufficient_scope;
  }

 private:
  void begin(Reason reason, std::size_t owner_size, std::size_t scopes_size, std::size_t metadata_size,
             UnixMillis expires_at) noexcept;

  /// Most parts are short, and a call of the library for each would be half of the work.
  static char* append(char* to, std::string_view part) noexcept {
    const std::size_t size = part.size();
    if (size > 32) return std::copy_n(part.data(), size, to);
    if (size >= 16) {
      copy_ends<16>(to, part);
    } else if (size >= 8) {
      copy_ends<8>(to, part);
    } else {
      for (std::size_t at = 0; at < size; ++at) to[at] = part[at];
    }
    return to + size;
  }
  /// The first and the last `width` octets, which may overlap. Precondition: width to 2 * width octets.
  template <std::size_t width>
  static void copy_ends(char* to, std::string_view part) noexcept {
    std::array<char, width> begin, end;
    std::memcpy(begin.data(), part.data(), width);
    std::memcpy(end.data(), part.data() + part.size() - width, width);
    std::memcpy(to, begin.data(), width);
    std::memcpy(to + part.size() - width, end.data(), width);
  }

  Verdict& verdict_;
};

// Defined here because they are the last step of every validation.

inline void VerdictWriter::refuse(Outcome outcome, Reason reason) noexcept {
  verdict_.outcome_ = outcome;
  verdict_.reason_ = reason;
  verdict_.id_size_ = 0;
  verdict_.owner_size_ = 0;
  verdict_.scopes_size_ = 0;
  verdict_.metadata_size_ = 0;
  verdict_.expires_at_ = 0;
}

inline void VerdictWriter::begin(Reason reason, std::size_t owner_size, std::size_t scopes_size,
                                 std::size_t metadata_size, UnixMillis expires_at) noexcept {
  verdict_.outcome_ = reason == Reason::none ? Outcome::valid : Outcome::invalid;
  verdict_.reason_ = reason;
  verdict_.id_size_ = token_id_size;
  verdict_.owner_size_ = static_cast<std::uint16_t>(owner_size);
  verdict_.scopes_size_ = static_cast<std::uint16_t>(scopes_size);
  verdict_.metadata_size_ = static_cast<std::uint16_t>(metadata_size);
  verdict_.expires_at_ = expires_at;
}

inline void VerdictWriter::identify(Reason reason, std::string_view id, std::string_view owner, std::string_view scopes,
                                    std::string_view metadata, UnixMillis expires_at) noexcept {
  // What does not fit was not written by this library: a backend made it up.
  const bool fits = id.size() == token_id_size && owner.size() <= owner_max &&
                    scopes.size() <= scopes_max * (scope_max + 1) && metadata.size() <= metadata_max;
  if (!fits) return refuse(Outcome::invalid, Reason::tampered);
  begin(reason, owner.size(), scopes.size(), metadata.size(), expires_at);
  char* to = verdict_.text_.data();
  for (const std::string_view part : {id, owner, scopes, metadata}) to = append(to, part);
}

template <std::size_t words, typename OwnerWord, typename ScopeWord>
inline void VerdictWriter::identify(Reason reason, std::string_view id, const OwnerWord& owner_word,
                                    std::size_t owner_size, const ScopeWord& scope_word, std::size_t scopes_size,
                                    UnixMillis expires_at) noexcept {
  static_assert(words * sizeof(std::uint64_t) <= owner_max);
  begin(reason, owner_size, scopes_size, 0, expires_at);
  char* const to = verdict_.text_.data();
  std::memcpy(to, id.data(), token_id_size);
  const auto put = [](char* at, std::uint64_t word) { std::memcpy(at, &word, sizeof word); };
  [&]<std::size_t... at>(std::index_sequence<at...>) {
    (put(to + token_id_size + at * sizeof(std::uint64_t), owner_word(at)), ...);
  }
  (std::make_index_sequence<words>());
  // Most sets are short; a loop that ends elsewhere each time would be guessed wrongly.
  char* const scopes = to + token_id_size + owner_size;
  constexpr std::size_t mostly = 4;
  [&]<std::size_t... at>(std::index_sequence<at...>) {
    (put(scopes + at * sizeof(std::uint64_t), scope_word(at)), ...);
  }
  (std::make_index_sequence<mostly>());
  for (std::size_t at = mostly; at * sizeof(std::uint64_t) < scopes_size; ++at)
    put(scopes + at * sizeof(std::uint64_t), scope_word(at));
}

}  // namespace tokenstore

// ---- src/validate/hits.cpp -----------------------------------------------------------------------------------

namespace tokenstore::validate {

Hits::Hits(const std::string& prefix, base::EffectiveClock& clock, Counters& counters)
    : id_at_(prefix.size() + 1 + (text::handle_size - text::id_size)), clock_(clock), counters_(counters) {}

bool Hits::answer(Memory& memory, std::string_view text, const Demand& demand, CatchUp catch_up,
                  std::optional<std::uint64_t>& pulse, Verdict& verdict) {
  // What is needed from memory is asked for first, and what needs none is done while it is on its way.
  __builtin_prefetch(text.data());
  __builtin_prefetch(text.data() + text.size() - 1);
  if (!memory.table) return false;

  const std::string_view id = text.substr(id_at_, text::id_size);
  const CacheTable::Home home = memory.table->locate(memory.fingerprinter.place(IdWords::of(id.data())));
  if (!demand.client_address.empty()) home.slot.prefetch_address();
  pulse = catch_up == CatchUp::yes ? memory.freshness->current() : memory.freshness->caught_up();
  const Asked asked{memory.table->scope_sets().wanted(demand.scope),
                    demand.client_address.empty() ? PackedAddress{} : PackedAddress::parse(demand.client_address),
                    clock_.coarse_now()};
  if (!pulse) return false;
  const Fingerprint print = memory.fingerprinter.fingerprint(text);
  Found found;
  return memory.table->find(home, print, found) && answer_from(memory, found, home.place, id, asked, verdict);
}

// Short on purpose: what depends on the slot waits for memory, and while little waits the processor goes on to the
// next call.
bool Hits::answer_from(Memory& memory, const Found& found, std::uint64_t place, std::string_view id, const Asked& asked,
                       Verdict& verdict) {
  const Slot slot = found.slot;
  const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
  const std::uint64_t generation_and_text = slot.load(Slot::generation_and_text);
  if (traits.kind != EntryKind::live) return refuse(memory, found, asked, verdict);
  if (memory.owners.of(traits.owner_group) != static_cast<std::uint32_t>(generation_and_text)) return false;
  const auto expires_at = static_cast<UnixMillis>(slot.load(Slot::expires_at));
  const std::optional<UnixMillis> now = before_end(expires_at, asked);
  if (!now) return false;

  VerdictWriter answer(verdict);
  bool in_scope = false;
  if (generation_and_text >> 32 == 0) {
    const ScopeSets::Set scopes = memory.table->scope_sets().at(traits.scope_set);
    in_scope = asked.scope.bit == 0 || (scopes.bits() & asked.scope.bit) != 0;
    answer.identify<slot_owner_words>(
        in_scope ? Reason::none : Reason::insufficient_scope, id,
        [&slot](std::size_t word) { return slot.load(Slot::owner + word); }, traits.owner_size,
        [&scopes](std::size_t word) { return scopes.word(word); }, scopes.size(), expires_at);
    // The set may be another's by now: only the copy is searched.
    if (asked.scope.bit == 0) in_scope = base::has_scope(verdict.scopes(), asked.scope.scope);
    if (!in_scope) answer.lack_scope();
  } else if (!identify_by_text(memory, slot, id, asked, expires_at, in_scope, verdict)) {
    return false;
  }
  const UseWord use = slot.use_word();
  // Unchanged: everything read above belongs together.
  if (!found.unchanged()) return false;
  if (memory.denials.any() && memory.denials.may_deny(place, traits.owner_group) &&
      memory.denials.denies(id, verdict.owner())) {
    answer.refuse(Outcome::invalid, Reason::revoked);
    return true;
  }
  counters_.raise(Count::hits);
  if (in_scope && !note_use(slot, use, *now, asked.from)) memory.uses.note(id, *now, asked.from.text());
  return true;
}

std::optional<UnixMillis> Hits::before_end(UnixMillis expires_at, const Asked& asked) noexcept {
  // The exact time is asked only where the end is near. Before 1970 it always is: no lag can be taken from
  // such an end without overflow.
  if (expires_at > 0 && asked.coarse_now < expires_at - clock_.coarse_lag()) return asked.coarse_now;
  const UnixMillis now = clock_.now();
  return now < expires_at ? std::optional(now) : std::nullopt;
}

bool Hits::refuse(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict) {
  const EntryTraits traits = EntryTraits::unpack(found.slot.load(Slot::traits));
  const auto generation = static_cast<std::uint32_t>(found.slot.load(Slot::generation_and_text));
  if (traits.kind == EntryKind::none) return false;
  const Generations& generations = traits.kind == EntryKind::gone ? memory.tokens : memory.owners;
  if (generations.of(traits.owner_group) != generation) return false;
  const auto until = static_cast<UnixMillis>(found.slot.load(Slot::expires_at));
  if (traits.kind == EntryKind::refused && !before_end(until, asked)) return false;
  if (!found.unchanged()) return false;
  counters_.raise(Count::gone_hits);
  VerdictWriter(verdict).refuse(Outcome::invalid, traits.reason);
  return true;
}

bool Hits::identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked, UnixMillis expires_at,
                            bool& in_scope, Verdict& verdict) {
  LongTextCopy copy;  // NOLINT(cppcoreguidelines-pro-type-member-init): only written where it is read
  if (!memory.table->copy_text(entry, copy)) return false;
  const LongText text = copy.text();
  in_scope = base::has_scope(text.scopes, asked.scope.scope);
  VerdictWriter(verdict).identify(in_scope ? Reason::none : Reason::insufficient_scope, id, text.owner, text.scopes,
                                  text.metadata, expires_at);
  return true;
}

}  // namespace tokenstore::validate

// ---- src/validate/long_text.cpp ------------------------------------------------------------------------------

namespace tokenstore::validate {

LongText LongTextCopy::text() const noexcept {
  const char* from = reinterpret_cast<const char*>(words.data());
  LongText text;
  text.owner = std::string_view(from, sizes & 0xFFFF);
  text.scopes = std::string_view(from + text.owner.size(), sizes >> 16 & 0xFFFF);
  text.metadata = std::string_view(text.scopes.data() + text.scopes.size(), sizes >> 32 & 0xFFFF);
  return text;
}

void write_long_text(const CacheBank& bank, std::span<const Position> slots, Position head, const LongText& text) {
  std::array<std::uint64_t, LongText::most_slots * LongText::slot_words> image;
  std::fill_n(image.begin(), slots.size() * LongText::slot_words, 0);
  char* to = reinterpret_cast<char*>(image.data());
  for (const std::string_view part : {text.owner, text.scopes, text.metadata})
    to = std::copy(part.begin(), part.end(), to);
  const std::uint64_t belongs_to = std::uint64_t{CacheBank::number(head)} << 32;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Slot slot = bank.slot(slots[i]);
    const std::uint64_t next = i + 1 < slots.size() ? CacheBank::number(slots[i + 1]) + 1U : 0U;
    slot.begin_write();  // and never ended while it holds text
    slot.store(Slot::use, UseWord::pack(0, slot.use_word().version() + 1, 0, PackedAddress::Kind::none));
    slot.store(detail::text_link, belongs_to | next);
    for (std::size_t word = 0; word < LongText::slot_words; ++word)
      slot.store(detail::text_words[word], image[i * LongText::slot_words + word]);
    bank.set_mark(slots[i], CacheBank::text_mark);
  }
}

bool copy_long_text(const CacheBank& bank, Slot head, LongTextCopy& to) noexcept {
  to.sizes = head.load(Slot::owner);
  const std::size_t octets = (to.sizes & 0xFFFF) + (to.sizes >> 16 & 0xFFFF) + (to.sizes >> 32 & 0xFFFF);
  if (octets > LongText::most_octets) return false;
  auto number = static_cast<std::uint32_t>(head.load(Slot::generation_and_text) >> 32);
  for (std::size_t done = 0; done * sizeof(std::uint64_t) < octets; done += LongText::slot_words) {
    if (number == 0 || number > bank.sets * CacheBank::ways) return false;
    const Slot slot = bank.slot(CacheBank::position(number - 1));
    number = static_cast<std::uint32_t>(slot.load(detail::text_link));
    for (std::size_t word = 0; word < LongText::slot_words; ++word)
      to.words[done + word] = slot.load(detail::text_words[word]);
  }
  return true;
}

Position head_of_text(const CacheBank& bank, Position at) noexcept {
  return CacheBank::position(static_cast<std::uint32_t>(bank.slot(at).load(detail::text_link) >> 32));
}

}  // namespace tokenstore::validate

// ---- src/validate/misses.hpp ---------------------------------------------------------------------------------

/// Answers from storage by the whole check (full_check.hpp), and puts the answer into memory.
///
/// Thread-safe. Borrows what it is made from.



namespace tokenstore::validate {

class Misses {
 public:
  Misses(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
         Failures& failures);

  /// `token` is what `text` says, and its tag is right. `pulse`: what the call goes by; empty: it may neither use nor
  /// make memories.
  void answer(Memory& memory, const text::ParsedToken& token, std::string_view text, const Demand& demand,
              std::optional<std::uint64_t> pulse, Verdict& verdict);

  /// For the memory that is to remember them.
  StoredSettings& stored_settings() noexcept { return stored_settings_; }

 private:
  /// Pulse and generations as they were before storage was read: if one has moved, what was loaded is not
  /// remembered.
  struct Seen {
    std::uint64_t pulse = 0;
    std::uint32_t token = 0;
    std::uint32_t owner = 0;  ///< of the owner's group; until they are asked for, of the group of the token's id
    std::uint32_t workspace = 0;
  };

  class SettingsOfCall;

  /// The whole check against one state of storage. `pulse` moves on with what the call goes by.
  CheckedToken check_at_once(Memory& memory, const text::ParsedToken& token, std::optional<std::uint64_t>& pulse,
                             Seen& seen);
  void remember(Memory& memory, const text::ParsedToken& token, std::string_view text, const CheckedToken& checked,
                const Demand& demand, bool used, const Seen& seen);

  Backend& backend_;
  seal::LiveSealer& sealer_;
  base::EffectiveClock& clock_;
  FullCheck full_check_;
  StoredSettings stored_settings_;
};

}  // namespace tokenstore::validate

// ---- src/validate/misses.cpp ---------------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {

/// As what an answer is remembered. `none`: not at all.
EntryKind kind_of(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return EntryKind::live;
    // They stay true of a text until its token's record changes, which the feed would tell.
    case Reason::unknown:
    case Reason::revoked:
    case Reason::expired:
    case Reason::retired_key:
      return EntryKind::gone;
    // Until its time comes, or its owner's or workspace's record changes.
    case Reason::pending:
    case Reason::owner_suspended:
    case Reason::owner_may_not_use:
    case Reason::tokens_disabled:
      return EntryKind::refused;
    default:
      return EntryKind::none;
  }
}

}  // namespace

Misses::Misses(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
               Failures& failures)
    : backend_(backend),
      sealer_(sealer),
      clock_(clock),
      full_check_(backend, sealer, clock, place, failures),
      stored_settings_(backend, sealer, clock, place, failures) {}

/// Settings as remembered, else from storage, for one call.
class Misses::SettingsOfCall final : public SettingsSource {
 public:
  SettingsOfCall(Memory& memory, StoredSettings& stored, Seen& seen) : memory_(memory), stored_(stored), seen_(seen) {}

  OwnerStanding owner_standing(std::string_view owner) override {
    seen_.owner = memory_.owners.of(memory_.owners.group_of(owner));
    if (const auto known = memory_.settings.recall_owner(owner, seen_.owner)) return *known;
    const OwnerStanding standing = stored_.owner_standing(owner);
    if (standing.reason != Reason::storage && memory_.freshness->unmoved(seen_.pulse)) {
      memory_.settings.remember_owner(owner, seen_.owner, standing);
    }
    return standing;
  }
  Reason workspace_permits() override {
    if (const auto known = memory_.settings.recall_workspace(seen_.workspace)) return *known;
    const Reason reason = stored_.workspace_permits();
    memory_.settings.remember_workspace(seen_.workspace, reason);
    return reason;
  }

 private:
  Memory& memory_;
  StoredSettings& stored_;
  Seen& seen_;
};

void Misses::answer(Memory& memory, const text::ParsedToken& token, std::string_view text, const Demand& demand,
                    std::optional<std::uint64_t> pulse, Verdict& verdict) {
  VerdictWriter answer(verdict);
  Seen seen;
  const CheckedToken checked = check_at_once(memory, token, pulse, seen);
  const TokenRecord& record = checked.record;
  bool used = false;
  if (checked.reason != Reason::none) {
    answer.refuse(FullCheck::outcome_of(checked.reason), checked.reason);
    if (kind_of(checked.reason) == EntryKind::none) return;
  } else if (memory.denials.any() && memory.denials.denies(record.id, record.owner)) {
    return answer.refuse(Outcome::invalid, Reason::revoked);
  } else {
    used = base::has_scope(record.scopes, demand.scope);
    answer.identify(used ? Reason::none : Reason::insufficient_scope, record.id, record.owner, record.scopes,
                    record.metadata, record.expires_at);
  }
  if (pulse) {
    remember(memory, token, text, checked, demand, used, seen);
  } else if (used) {
    const bool known_address = base::is_client_address(demand.client_address);
    memory.uses.note(record.id, clock_.now(), known_address ? demand.client_address : std::string_view());
  }
}

CheckedToken Misses::check_at_once(Memory& memory, const text::ParsedToken& token, std::optional<std::uint64_t>& pulse,
                                   Seen& seen) {
  // Record and settings are loaded one after the other. If both say "valid" but something was committed in between,
  // there may never have been a moment at which both did. A refusal was true when it was loaded.
  constexpr int most_repeats = 3;
  for (int repeats = 0;; ++repeats) {
    // Read before storage is: whatever changes from here on forbids remembering what is loaded.
    seen.pulse = pulse ? *pulse : backend_.pulse().counter;
    sealer_.look_if_due(seen.pulse);
    const std::uint16_t group = memory.tokens.group_of(token.id);
    seen.token = memory.tokens.of(group);
    seen.owner = memory.owners.of(group);
    seen.workspace = memory.settings.workspace_generation();
    SettingsOfCall remembered(memory, stored_settings_, seen);
    CheckedToken checked = full_check_.run(token, pulse ? static_cast<SettingsSource&>(remembered) : stored_settings_);
    const bool certain = checked.reason != Reason::none || backend_.pulse().counter == seen.pulse;
    if (certain || repeats == most_repeats) return checked;
    if (memory.freshness) pulse = memory.freshness->current();
  }
}

void Misses::remember(Memory& memory, const text::ParsedToken& token, std::string_view text,
                      const CheckedToken& checked, const Demand& demand, bool used, const Seen& seen) {
  const std::uint16_t token_group = memory.tokens.group_of(token.id);
  const EntryKind kind = kind_of(checked.reason);
  const bool live = kind == EntryKind::live;
  NewEntry entry;
  entry.print = memory.fingerprinter.fingerprint(text);
  entry.kind = kind;
  entry.reason = checked.reason;
  entry.id = token.id;
  entry.owner_group = token_group;
  entry.owner_generation = seen.token;
  if (live) {
    entry.owner = checked.record.owner;
    entry.scopes = checked.record.scopes;
    entry.metadata = checked.record.metadata;
    entry.owner_group = memory.owners.group_of(checked.record.owner);
    entry.owner_generation = seen.owner;
    entry.expires_at = checked.record.expires_at;
  }
  if (kind == EntryKind::refused) {
    // Where the workspace denies, the owner was not asked: any group's generation moves with the workspace's record.
    if (checked.reason != Reason::tokens_disabled) entry.owner_group = memory.owners.group_of(checked.record.owner);
    entry.owner_generation = seen.owner;
    entry.expires_at = checked.reason == Reason::pending ? checked.record.not_before : never;
  }
  if (used || !live) entry.used_at = clock_.now();
  if (used) entry.used_from = PackedAddress::parse(demand.client_address);

  std::vector<Use> displaced;
  // The workspace's record was read before the owner's generation was, so a change of it in between does
  // not show in the entry. A change from here on raises the generation that the entry holds.
  const Kept kept = memory.table->try_put(entry, memory.unwritten_since.load(), displaced, [&] {
    return memory.freshness->unmoved(seen.pulse) && memory.tokens.of(token_group) == seen.token &&
           memory.settings.workspace_generation() == seen.workspace;
  });
  for (const Use& use : displaced) memory.uses.note(use.id, use.used_at, use.used_from);
  if (used && kept != Kept::yes) memory.uses.note(token.id, entry.used_at, entry.used_from.text());
}

}  // namespace tokenstore::validate

// ---- src/validate/packed_address.cpp -------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {

/// Four decimal numbers without leading zeros. By hand: this is on the path of every validation that
/// names its client, and inet_pton costs three times as much.
std::optional<std::uint32_t> parse_ipv4(std::string_view text) noexcept {
  std::uint32_t address = 0;
  std::uint32_t number = 0;
  int digits = 0;
  int dots = 0;
  for (const char octet : text) {
    if (octet == '.') {
      if (digits == 0 || ++dots > 3) return std::nullopt;
      address = address << 8 | number;
      number = 0;
      digits = 0;
      continue;
    }
    if (octet < '0' || octet > '9' || (digits > 0 && number == 0)) return std::nullopt;
    number = number * 10 + static_cast<std::uint32_t>(octet - '0');
    if (++digits > 3 || number > 255) return std::nullopt;
  }
  if (dots != 3 || digits == 0) return std::nullopt;
  return address << 8 | number;
}

}  // namespace

PackedAddress PackedAddress::parse(std::string_view text) noexcept {
  PackedAddress packed;
  if (text.empty() || text.size() > client_address_max) return packed;
  if (const auto ipv4 = parse_ipv4(text)) {
    packed.kind = Kind::ipv4;
    packed.low = *ipv4;
    return packed;
  }
  std::array<char, client_address_max + 1> terminated{};
  std::copy(text.begin(), text.end(), terminated.begin());
  std::array<std::uint8_t, 16> octets;
  if (text.find('\0') != std::string_view::npos || inet_pton(AF_INET6, terminated.data(), octets.data()) != 1) {
    return packed;
  }
  packed.kind = Kind::ipv6;
  std::memcpy(&packed.high, octets.data(), sizeof packed.high);
  std::memcpy(&packed.low, octets.data() + sizeof packed.high, sizeof packed.low);
  return packed;
}

std::string PackedAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (kind == Kind::ipv4) {
    const std::uint32_t network = htonl(static_cast<std::uint32_t>(low));
    if (inet_ntop(AF_INET, &network, text.data(), text.size()) == nullptr) return {};
  } else if (kind == Kind::ipv6) {
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), &high, sizeof high);
    std::memcpy(octets.data() + sizeof high, &low, sizeof low);
    if (inet_ntop(AF_INET6, octets.data(), text.data(), text.size()) == nullptr) return {};
  }
  return text.data();
}

}  // namespace tokenstore::validate

// ---- src/validate/pages.cpp ----------------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {
constexpr std::size_t huge_page = std::size_t{2} << 20;
}

Pages::Pages(std::size_t bytes) noexcept : bytes_(bytes) {
  if (bytes == 0) return;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    bytes_ = 0;
    return;
  }
  // A probe at random costs a page-table walk for every small page; a hint, so its failure is none.
  if (bytes >= huge_page) static_cast<void>(madvise(mapped, bytes, MADV_HUGEPAGE));
  // What a token's use looks like does not belong in a core file.
  static_cast<void>(madvise(mapped, bytes, MADV_DONTDUMP));
  words_ = static_cast<std::atomic<std::uint64_t>*>(mapped);
}

Pages::~Pages() {
  if (words_ != nullptr) munmap(words_, bytes_);
}

void Pages::discard(std::size_t offset, std::size_t size) noexcept {
  constexpr std::size_t page = 4096;
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = offset + size == bytes_ ? bytes_ : (offset + size) / page * page;
  if (words_ == nullptr || end <= begin) return;
  static_cast<void>(madvise(reinterpret_cast<char*>(words_) + begin, end - begin, MADV_DONTNEED));
}

}  // namespace tokenstore::validate

// ---- src/validate/remembered_settings.cpp --------------------------------------------------------------------

namespace tokenstore::validate {

namespace {
constexpr std::uint64_t known_mark = 0x100;
}

std::optional<OwnerStanding> RememberedSettings::recall_owner(std::string_view owner,
                                                              std::uint32_t generation) noexcept {
  const Fingerprint print = fingerprinter_.fingerprint(owner);
  const std::lock_guard lock(mutex_);
  const Answer& answer = place_of(print);
  if (!answer.known || answer.generation != generation || answer.owner != print) return std::nullopt;
  return answer.standing;
}

void RememberedSettings::remember_owner(std::string_view owner, std::uint32_t generation,
                                        const OwnerStanding& standing) noexcept {
  const Fingerprint print = fingerprinter_.fingerprint(owner);
  const std::lock_guard lock(mutex_);
  place_of(print) = {print, generation, standing, true};
}

std::optional<Reason> RememberedSettings::recall_workspace(std::uint32_t generation) const noexcept {
  const std::uint64_t answer = workspace_answer_.load(std::memory_order_acquire);
  if ((answer & known_mark) == 0 || answer >> 32 != generation) return std::nullopt;
  return static_cast<Reason>(answer & 0xFF);
}

void RememberedSettings::remember_workspace(std::uint32_t generation, Reason reason) noexcept {
  if (reason == Reason::storage) return;
  workspace_answer_.store(std::uint64_t{generation} << 32 | known_mark | static_cast<std::uint8_t>(reason),
                          std::memory_order_release);
}

bool RememberedSettings::owner_changed(std::string_view owner) {
  const auto before = recall_owner(owner, owners_.of(owners_.group_of(owner)));
  // An issue under a cap changes its owner's record too, and must not cost their tokens a miss each.
  return !before || stored_.owner_standing(owner) != *before;
}

bool RememberedSettings::owner_changed(std::string_view owner, const OwnerStanding& now) noexcept {
  return recall_owner(owner, owners_.of(owners_.group_of(owner))) != now;
}

}  // namespace tokenstore::validate

// ---- src/validate/scope_sets.cpp -----------------------------------------------------------------------------

namespace tokenstore::validate {

std::string ScopeSets::Set::text() const {
  std::string text(size(), ' ');
  for (std::size_t from = 0; from < text.size(); from += sizeof(std::uint64_t)) {
    const std::uint64_t octets = word(from / sizeof octets);
    std::memcpy(text.data() + from, &octets, std::min(sizeof octets, text.size() - from));
  }
  return text;
}

ScopeSets::ScopeSets(std::size_t bytes)
    : places_(std::clamp(bytes, least_bytes, most_bytes) / place_bytes * place_bytes) {
  if (places_.words() == nullptr) throw std::bad_alloc();
  uses_.resize(1);
}

std::uint16_t ScopeSets::add(std::string_view scopes) {
  if (scopes.empty() || scopes.size() > longest) return none;
  if (const auto found = index_.find(scopes); found != index_.end())
    return uses_[found->second].retiring ? none : found->second;
  const std::uint16_t place = free_place(scopes);
  if (place != none) write(place, scopes);
  return place;
}

std::uint16_t ScopeSets::free_place(std::string_view scopes) {
  if (begun_ < limit() / place_bytes) {
    uses_.resize(begun_ + 1);
    return static_cast<std::uint16_t>(begun_++);
  }
  const std::uint16_t victim = least_used();
  if (victim == none) return none;
  if (uses_[victim].entries == 0) {
    give_up(victim);
    return victim;
  }
  const std::size_t set = std::hash<std::string_view>{}(scopes);
  Waiting& waiting = waiting_[set % waiting_.size()];
  if (waiting.set != set) {
    // Whoever is asked for more often holds the place.
    if (waiting.asked != 0) --waiting.asked;
    if (waiting.asked == 0) waiting = {set, 1};
    return none;
  }
  // Clearly more often, so that sets that are used alike do not take turns.
  constexpr std::uint32_t margin = 8;
  if (++waiting.asked <= 2 * uses_[victim].entries + margin) return none;
  waiting = {};
  uses_[victim].retiring = true;
  ++retiring_;
  return none;
}

std::uint16_t ScopeSets::least_used() const noexcept {
  std::uint16_t found = none;
  for (std::size_t index = 1; index < begun_; ++index) {
    if (uses_[index].retiring) continue;
    if (found == none || uses_[index].entries < uses_[found].entries) found = static_cast<std::uint16_t>(index);
    if (uses_[found].entries == 0) break;
  }
  return found;
}

void ScopeSets::give_up(std::uint16_t index) noexcept {
  Uses& uses = uses_[index];
  if (uses.text != nullptr) index_.erase(index_.find(*uses.text));
  if (uses.retiring) --retiring_;
  uses = {};
}

void ScopeSets::release(std::uint16_t index) noexcept {
  if (index == none) return;
  Uses& uses = uses_[index];
  --uses.entries;
  if (uses.retiring && uses.entries == 0) give_up(index);
}

void ScopeSets::write(std::uint16_t index, std::string_view scopes) {
  std::uint64_t bits = 0;
  for (std::string_view left = scopes; !left.empty();) {
    const std::string_view scope = left.substr(0, left.find(' '));
    bits |= bit_for(scope);
    left.remove_prefix(std::min(left.size(), scope.size() + 1));
  }
  uses_[index].text = &index_.emplace(scopes, index).first->first;
  std::atomic<std::uint64_t>* const place = places_.words() + index * place_words;
  place[0].store(bits, std::memory_order_release);
  place[1].store(scopes.size(), std::memory_order_release);
  for (std::size_t from = 0; from < scopes.size(); from += sizeof(std::uint64_t)) {
    std::uint64_t octets = 0;
    std::memcpy(&octets, scopes.data() + from, std::min(sizeof octets, scopes.size() - from));
    place[2 + from / sizeof octets].store(octets, std::memory_order_release);
  }
}

std::uint64_t ScopeSets::bit_for(std::string_view scope) {
  if (const Wanted known = wanted(scope); known.bit != 0) return known.bit;
  if (bit_count_ == most_bits || scope.empty()) return 0;
  auto& owned = owned_bits_[bit_count_];
  owned = std::make_unique<Bit>(Bit{std::string(scope), std::uint64_t{1} << bit_count_});
  ++bit_count_;
  std::size_t at = hash(scope);
  while (bits_[at % bits_.size()].load(std::memory_order_relaxed) != nullptr) ++at;
  bits_[at % bits_.size()].store(owned.get(), std::memory_order_release);
  return owned->bit;
}

}  // namespace tokenstore::validate

// ---- src/validate/slot_use.cpp -------------------------------------------------------------------------------

namespace tokenstore::validate {

bool note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept {
  // Three words that belong together: the one who sets the lock bit writes, others let it be.
  std::atomic<std::uint64_t>& use = slot.at[Slot::use];
  std::uint64_t expected = before.word;
  std::uint64_t held = after | UseWord::lock;
  if (!use.compare_exchange_strong(expected, held, std::memory_order_acq_rel, std::memory_order_acquire)) {
    return UseWord{expected}.version() == before.version();
  }
  slot.store(Slot::address_high, from.high);
  slot.store(Slot::address_low, from.low);
  use.compare_exchange_strong(held, after, std::memory_order_acq_rel, std::memory_order_relaxed);
  return true;
}

UseWord take_use(Slot slot) noexcept {
  std::uint64_t word = slot.load(Slot::use);
  for (;;) {
    const UseWord use{word};
    // Its reader unlocks it in a moment; nobody else can book on it any more.
    if (use.locked()) return use;
    const std::uint64_t given_up = UseWord::pack(0, use.version() + 1, 0, PackedAddress::Kind::none);
    if (slot.at[Slot::use].compare_exchange_weak(word, given_up, std::memory_order_acq_rel)) return use;
  }
}

std::optional<Use> use_in(Slot slot, UseWord use) {
  if (use.time() == 0) return std::nullopt;
  const PackedAddress address = slot.address(use);
  const auto id = slot.id().text();
  Use noted;
  noted.id.assign(id.data(), id.size());
  noted.used_at = use.time();
  // An address that is being written is left to the next time.
  if (!use.locked()) noted.used_from = address.text();
  return noted;
}

std::optional<Use> current_use(Slot slot) {
  // Somebody may be booking another: the words of an address belong together only if the use is still the same.
  for (;;) {
    const UseWord use = slot.use_word();
    std::optional<Use> noted = use_in(slot, use);
    if (slot.use_word().word == use.word) return noted;
  }
}

}  // namespace tokenstore::validate

// ---- src/validate/use_log.cpp --------------------------------------------------------------------------------

namespace tokenstore::validate {

void UseLog::note(std::string_view id, UnixMillis at, std::string_view from) {
  const std::lock_guard lock(mutex_);
  auto found = uses_.find(id);
  if (found == uses_.end()) {
    if (uses_.size() >= most_) return;
    found = uses_.emplace(std::string(id), Use{std::string(id), at, std::string(from)}).first;
  }
  if (found->second.used_at > at) return;
  found->second.used_at = at;
  found->second.used_from.assign(from);  // of this very use: no address says that none was given
}

std::optional<Use> UseLog::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = uses_.find(id);
  if (found == uses_.end()) return std::nullopt;
  return found->second;
}

std::vector<Use> UseLog::take(std::size_t count, std::string_view after) {
  std::vector<Use> taken;
  const std::lock_guard lock(mutex_);
  taken.reserve(std::min(count, uses_.size()));
  for (auto next = uses_.upper_bound(after); next != uses_.end() && taken.size() < count; next = uses_.erase(next)) {
    taken.push_back(std::move(next->second));
  }
  return taken;
}

}  // namespace tokenstore::validate

// ---- src/validate/use_writer.cpp -----------------------------------------------------------------------------

namespace tokenstore::validate {

namespace {
constexpr std::size_t slice = 1000;
}

UseWriter::UseWriter(Backend& backend, base::EffectiveClock& clock, const std::string& workspace,
                     std::chrono::milliseconds interval, UseLog& log, CacheTable* table,
                     std::atomic<UnixMillis>& unwritten_since)
    : backend_(backend),
      clock_(clock),
      workspace_(workspace),
      interval_(interval.count()),
      log_(log),
      table_(table),
      unwritten_since_(unwritten_since),
      last_begun_(clock.monotonic()) {}

Result<bool> UseWriter::write_due(std::chrono::milliseconds budget) {
  const std::unique_lock turn(turn_, std::try_to_lock);
  if (!turn.owns_lock()) return false;
  const std::int64_t now = clock_.monotonic();
  if (!under_way_) {
    if (now - last_begun_ < interval_) return false;
    begin(now);
  }
  return go_on(now + budget.count());
}

Result<void> UseWriter::write_all() {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  const std::lock_guard turn(turn_);
  if (under_way_) {  // and knows nothing of the uses since it began
    if (auto done = go_on(never); !done.ok()) return done.error();
  }
  begin(clock_.monotonic());
  if (auto done = go_on(never); !done.ok()) return done.error();
  return {};
}

void UseWriter::begin(std::int64_t now) {
  last_begun_ = now;
  // Uses are noted with a clock that lags: what is noted from here on must count as unwritten.
  next_unwritten_ = clock_.now() - clock_.coarse_lag() - 1;
  logged_left_ = true;
  logged_to_.clear();
  next_cached_ = 0;
  cached_ = {};
  // In the order of storage, in which neighbours share its pages. Ids alone: the uses of all would take as much memory
  // as the cache.
  if (table_ != nullptr) cached_ = table_->used_since(unwritten_since_.load());
  under_way_ = true;
}

Result<bool> UseWriter::go_on(std::int64_t until) {
  const auto left = [this] { return logged_left_ || next_cached_ < cached_.size(); };
  while (left()) {
    if (auto written = logged_left_ ? write_logged() : write_cached(); !written.ok()) {
      // What is cached is still there, and still counts as unwritten: an interval later all of it is tried again.
      under_way_ = false;
      return written.error();
    }
    if (left() && clock_.monotonic() >= until) return true;
  }
  under_way_ = false;
  cached_ = {};
  unwritten_since_.store(next_unwritten_);
  return false;
}

Result<void> UseWriter::write_logged() {
  const std::vector<Use> uses = log_.take(slice, logged_to_);
  logged_left_ = uses.size() == slice;
  if (uses.empty()) return {};
  logged_to_ = uses.back().id;
  auto written = backend_.record_uses(workspace_, uses);
  if (!written.ok()) {
    for (const Use& use : uses) log_.note(use.id, use.used_at, use.used_from);
    return written;
  }
  written_.fetch_add(uses.size(), std::memory_order_relaxed);
  return {};
}

Result<void> UseWriter::write_cached() {
  std::vector<Use> uses;
  std::size_t next = next_cached_;
  const UnixMillis since = unwritten_since_.load();
  while (next < cached_.size() && uses.size() < slice) {
    // What has left the cache meanwhile is in the log.
    auto use = table_->use_of(cached_[next++]);
    if (use && use->used_at >= since) uses.push_back(std::move(*use));
  }
  if (!uses.empty()) {
    if (auto written = backend_.record_uses(workspace_, uses); !written.ok()) return written;
  }
  next_cached_ = next;
  written_.fetch_add(uses.size(), std::memory_order_relaxed);
  return {};
}

}  // namespace tokenstore::validate

// ---- src/validate/validator.hpp ------------------------------------------------------------------------------

/// Decides whether a token text may do what a request demands.
///
/// From memory (hits.hpp), else from storage (misses.hpp). Here is what both share, what a fork does to it, and the way
/// in for everybody else.
///
/// Thread-safe, and usable in a forked child. Borrows what it is made from, which must outlive it.



namespace tokenstore::validate {

struct ValidatorParts {
  Backend& backend;
  seal::LiveSealer& sealer;
  base::EffectiveClock& clock;
  RandomSource& random;
  const seal::Place& place;
  const std::string& prefix;
  std::size_t cache_bytes;
  std::chrono::milliseconds use_interval;
  /// Called once in a forked child, when it first uses the validator. May be empty.
  std::function<void()> after_fork;
};

class Validator {
 public:
  explicit Validator(ValidatorParts parts);
  ~Validator();
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  void validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;
  /// The same where storage need not be asked. False: it would have to be, and the verdict says `unavailable`.
  bool try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;

  /// This process has committed a batch with an announcement (`entry`; empty: none), or may have (`revision` 0): what
  /// they name is forgotten when this returns.
  void committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept;

  /// The keys are others now: what was decided by the old ones is forgotten when this returns.
  void keys_changed() noexcept;

  /// Endings that storage could not be told of.
  Denials& denials() { return memory().denials; }

  /// The latest use of a token that may not be in storage yet.
  std::optional<Use> pending_use(std::string_view id);
  /// Writes out last uses for about `budget`, if they are due or some were left. True: there is more to write.
  Result<bool> write_due_uses(std::chrono::milliseconds budget);
  Result<void> write_all_uses();

  Statistics statistics() const noexcept;
  std::optional<Unavailability> why_unavailable() const {
    return fork_guard_.forked() ? std::nullopt : failures_.latest();
  }

 private:
  Memory& memory() {
    if (fork_guard_.forked()) start_afresh();
    return *memory_.load(std::memory_order_acquire);
  }
  void start_afresh();
  std::unique_ptr<Memory> new_memory();

  /// Whom a call may ask, and so whether it may wait.
  enum class Asking : bool { memory_alone, storage_too };

  void note_exception() noexcept;
  /// False: not decided, because storage would have had to be asked.
  bool decide(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) noexcept;
  bool check(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict);
  /// Whether the token's tag is right; keys that it needs are looked for, if the call may wait. Empty: it would have
  /// to.
  std::optional<bool> has_right_tag(const text::ParsedToken& token, bool may_wait) noexcept;
  bool deny(Count which, Reason reason, Verdict& verdict);

  const ValidatorParts parts_;
  const std::size_t text_size_;  ///< octets of every text of this store
  Failures failures_;
  Counters counters_;
  Hits hits_;
  Misses misses_;
  base::ForkGuard fork_guard_;
  std::atomic<Memory*> memory_;
};

}  // namespace tokenstore::validate

// ---- src/validate/validator.cpp ------------------------------------------------------------------------------

namespace tokenstore::validate {

Validator::Validator(ValidatorParts parts)
    : parts_(std::move(parts)),
      text_size_(parts_.prefix.size() + text::size_without_prefix),
      hits_(parts_.prefix, parts_.clock, counters_),
      misses_(parts_.backend, parts_.sealer, parts_.clock, parts_.place, failures_),
      memory_(new_memory().release()) {}

Validator::~Validator() {
  // In a child that never used it, the parent's memory is left alone: its locks may be held.
  if (!fork_guard_.forked()) delete memory_.load();
}

std::unique_ptr<Memory> Validator::new_memory() {
  return std::make_unique<Memory>(parts_.backend, parts_.sealer, parts_.clock, parts_.random, parts_.place,
                                  misses_.stored_settings(), parts_.cache_bytes, parts_.use_interval);
}

void Validator::start_afresh() {
  bool by_this_thread = false;
  fork_guard_.adopt([&] {
    // The inherited memory is not freed, for the same reason as above.
    auto fresh = new_memory();
    fresh->denials.inherit(memory_.load(std::memory_order_acquire)->denials);
    memory_.store(fresh.release(), std::memory_order_release);
    failures_.start_afresh();
    return by_this_thread = true;
  });
  if (by_this_thread && parts_.after_fork) parts_.after_fork();
}

/// Of the exception that is being handled.
void Validator::note_exception() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      failures_.note(Error(Status::out_of_memory, "no memory is left; free some and try again"), parts_.clock.now());
    } catch (...) {
      failures_.note(Error(Status::internal, "storage has thrown an exception: see its own log"), parts_.clock.now());
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the line either
  }
}

void Validator::validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  decide(text, demand, Asking::storage_too, verdict);
  if (verdict.outcome() == Outcome::unavailable) counters_.raise(Count::unavailable);
}

bool Validator::try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  // The memory of a forked child is made by whoever may wait.
  const bool decided = !fork_guard_.forked() && decide(text, demand, Asking::memory_alone, verdict);
  if (!decided) VerdictWriter(verdict).refuse(Outcome::unavailable, Reason::storage);
  return decided;
}

bool Validator::decide(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) noexcept {
  try {
    return check(text, demand, asking, verdict);
  } catch (...) {
    // No memory, or a backend that broke its contract: not a reason to call a token bad.
    VerdictWriter(verdict).refuse(Outcome::unavailable, Reason::storage);
    note_exception();
    return asking == Asking::storage_too;
  }
}

bool Validator::check(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) {
  if (text.size() != text_size_) return deny(Count::malformed, Reason::malformed, verdict);
  Memory& known = memory();
  const bool may_wait = asking == Asking::storage_too;
  std::optional<std::uint64_t> pulse;
  if (hits_.answer(known, text, demand, may_wait ? Hits::CatchUp::yes : Hits::CatchUp::no, pulse, verdict)) return true;

  const auto token = text::parse(text, parts_.prefix);
  if (!token) return deny(Count::malformed, Reason::malformed, verdict);
  const std::optional<bool> tagged = has_right_tag(*token, may_wait);
  if (!tagged) return false;
  if (!*tagged) return deny(Count::forged, Reason::forged, verdict);
  if (!may_wait) return false;
  counters_.raise(Count::misses);
  misses_.answer(known, *token, text, demand, pulse, verdict);
  return true;
}

std::optional<bool> Validator::has_right_tag(const text::ParsedToken& token, bool may_wait) noexcept {
  const seal::Sealer& sealer = parts_.sealer.now();
  if (sealer.tag_matches(token)) return true;
  // Made with a key that this process has not heard of yet, perhaps.
  if (!parts_.sealer.can_change() || sealer.key_use(token.key_id)) return false;
  if (!may_wait) return std::nullopt;
  return parts_.sealer.look(sealer) && parts_.sealer.now().tag_matches(token);
}

bool Validator::deny(Count which, Reason reason, Verdict& verdict) {
  counters_.raise(which);
  VerdictWriter(verdict).refuse(Outcome::invalid, reason);
  return true;
}

void Validator::committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept {
  // A child that has not used it remembers nothing, and must not touch what its parent did.
  if (fork_guard_.forked()) return;
  const Memory& known = *memory_.load(std::memory_order_acquire);
  if (known.freshness) known.freshness->committed(batch, entry, revision);
}

void Validator::keys_changed() noexcept {
  // As above.
  if (fork_guard_.forked()) return;
  const Memory& known = *memory_.load(std::memory_order_acquire);
  if (known.freshness) known.freshness->forget_everything();
}

std::optional<Use> Validator::pending_use(std::string_view id) {
  Memory& known = memory();
  auto logged = known.uses.find(id);
  auto cached = known.table ? known.table->use_of(id) : std::nullopt;
  if (!logged || !cached) return logged ? logged : cached;
  return logged->used_at > cached->used_at ? logged : cached;
}

Result<bool> Validator::write_due_uses(std::chrono::milliseconds budget) {
  // A child that did not use the store has nothing of its own to write.
  if (parts_.backend.read_only() || fork_guard_.forked()) return false;
  return memory().use_writer.write_due(budget);
}

Result<void> Validator::write_all_uses() {
  if (parts_.backend.read_only() || fork_guard_.forked()) return {};
  return memory().use_writer.write_all();
}

Statistics Validator::statistics() const noexcept {
  Statistics figures;
  figures.hits = counters_.sum(Count::hits);
  figures.negative_hits = counters_.sum(Count::gone_hits);
  figures.misses = counters_.sum(Count::misses);
  figures.malformed = counters_.sum(Count::malformed);
  figures.forged = counters_.sum(Count::forged);
  figures.unavailable = counters_.sum(Count::unavailable);
  const Memory& known = *memory_.load(std::memory_order_acquire);
  figures.uses_written = known.use_writer.written();
  if (known.table) {
    figures.catch_ups = known.freshness->catch_ups();
    figures.dropped_all = known.freshness->dropped_all();
    figures.feed_mismatches = known.freshness->feed_mismatches();
    figures.evictions = known.table->evictions();
    figures.cached_tokens = known.table->live();
    figures.cache_bytes = known.table->bytes() + known.settings.bytes();
    figures.not_kept_busy = known.table->not_kept(Kept::busy);
    figures.not_kept_changed = known.table->not_kept(Kept::changed);
    figures.not_kept_no_room = known.table->not_kept(Kept::no_room);
  }
  return figures;
}

}  // namespace tokenstore::validate

// ---- src/validate/verdict.cpp --------------------------------------------------------------------------------

namespace tokenstore {

Verdict& Verdict::operator=(const Verdict& other) noexcept {
  if (this == &other) return *this;
  outcome_ = other.outcome_;
  reason_ = other.reason_;
  id_size_ = other.id_size_;
  owner_size_ = other.owner_size_;
  scopes_size_ = other.scopes_size_;
  metadata_size_ = other.metadata_size_;
  expires_at_ = other.expires_at_;
  if (id_size_ != 0) {
    const std::size_t used = token_id_size + std::size_t{owner_size_} + scopes_size_ + metadata_size_;
    std::copy_n(other.text_.data(), used, text_.data());
  }
  return *this;
}

int Verdict::http_status() const noexcept {
  if (outcome_ == Outcome::valid) return 200;
  if (outcome_ == Outcome::unavailable) return 503;
  return reason_ == Reason::insufficient_scope ? 403 : 401;
}

}  // namespace tokenstore

// ---- src/store/rules.hpp -------------------------------------------------------------------------------------

/// Rules of the model that need no storage: limits of arguments, who may do what, states, and what of
/// a record may be shown. Pure functions.



namespace tokenstore::rules {

Result<void> check_actor(const Actor& actor);
/// "user:alice", "administrator:root" or "host": who did it, in records.
std::string actor_label(const Actor& actor);
/// May the actor see and end tokens of `owner`?
bool may_act_on(const Actor& actor, std::string_view owner) noexcept;
/// `permission_denied` for a user.
Result<void> require_administrator(const Actor& actor);

Result<void> check_owner_name(std::string_view owner);
Result<void> check_workspace_name(std::string_view workspace);
Result<void> check_reason(std::string_view reason);
/// Everything of a request that can be judged without storage.
Result<void> check_request(const IssueRequest& request);
Result<void> check_policy(const Policy& policy);

/// Sorted, without repeats, separated by single spaces.
std::string canonical_scopes(std::vector<std::string> scopes);

/// When a token created now ends, by policy. `refused` if the policy forbids that lifetime.
Result<UnixMillis> end_of_life(const Policy& policy, Lifetime lifetime, UnixMillis now);

TokenState state_at(const TokenRecord& record, UnixMillis now) noexcept;

TokenInfo describe(const TokenRecord& record, UnixMillis now);
/// What may be said of a record whose seal does not verify: its id.
TokenInfo describe_tampered(const TokenRecord& record);
OwnerInfo describe(const OwnerRecord& record);
Policy policy_of(const WorkspaceRecord& record) noexcept;
void set_policy(WorkspaceRecord& record, const Policy& policy) noexcept;

/// Whether a change failed in a way that may leave storage saying what it said before.
bool storage_was_not_told(Status status) noexcept;

Error no_such_token();
Error no_such_owner();
/// `what` as in "the record of this token".
Error tampered(std::string_view what);

}  // namespace tokenstore::rules

// ---- src/store/recent_settings.hpp ---------------------------------------------------------------------------

/// The workspace's and owners' records as an issue has just read or written them, so that the next one need not ask
/// storage again.
///
/// Nothing is decided by them alone: an issue commits under the precondition that each is at the revision that it went
/// by, and what they would refuse is read again. They are given back only while the backend's pulse stands where it
/// stood when they were read, or when an issue that went by them had just been committed. Bounded. Thread-safe; in a
/// forked child whose parent was inside, it remembers nothing.



namespace tokenstore {

class RecentSettings {
 public:
  std::optional<WorkspaceRecord> workspace(std::uint64_t pulse) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock && pulse == pulse_ ? workspace_ : std::nullopt;
  }
  std::optional<OwnerRecord> owner(std::uint64_t pulse, std::string_view name) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock || pulse != pulse_) return std::nullopt;
    const auto found = owners_.find(name);
    return found == owners_.end() ? std::nullopt : std::optional(found->second);
  }
  /// Read after the pulse was.
  void remember(std::uint64_t pulse, const WorkspaceRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    // Copied first: what memory runs out for is not remembered by halves.
    WorkspaceRecord copy(record);
    begin(pulse);
    workspace_ = std::move(copy);
  }
  void remember(std::uint64_t pulse, const OwnerRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    OwnerRecord copy(record);
    begin(pulse);
    if (owners_.size() >= most_owners) owners_.clear();
    owners_.insert_or_assign(record.owner, std::move(copy));
  }

 private:
  static constexpr std::size_t most_owners = 1000;

  /// What was remembered under another pulse is gone.
  void begin(std::uint64_t pulse) {
    if (pulse == pulse_) return;
    workspace_.reset();
    owners_.clear();
    pulse_ = pulse;
  }

  std::mutex mutex_;
  std::uint64_t pulse_ = 0;
  std::optional<WorkspaceRecord> workspace_;
  std::map<std::string, OwnerRecord, std::less<>> owners_;
};

}  // namespace tokenstore

// ---- src/store/upkeep_thread.hpp -----------------------------------------------------------------------------

/// The one thread of a store, for hosts that asked for it.



namespace tokenstore {

/// Calls `work` every `interval`, or soon after a turn that says with `true` that it left some, until destroyed; the
/// destructor waits for a call under way. A fork waits for it too (AtFork), so that a child inherits nothing that
/// `work` had half done. A forked child has no such thread: there the object is inert.
class UpkeepThread final : private base::AtFork {
 public:
  UpkeepThread(std::chrono::milliseconds interval, std::function<bool()> work)
      : state_(std::make_unique<State>(interval, std::move(work))) {}
  ~UpkeepThread() override {
    at_fork_.reset();
    // Joining a thread that is not here, or destroying what it waits on, would hang.
    if (guard_.forked()) static_cast<void>(state_.release());
  }
  UpkeepThread(const UpkeepThread&) = delete;
  UpkeepThread& operator=(const UpkeepThread&) = delete;

 private:
  struct State {
    State(std::chrono::milliseconds interval, std::function<bool()> task)
        : pause(interval), work(std::move(task)), thread([this] { run(); }) {}
    ~State() {
      {
        const std::lock_guard lock(mutex);
        stopping = true;
      }
      wake.notify_all();
      thread.join();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void run() {
      std::unique_lock lock(mutex);
      self = std::this_thread::get_id();
      busy = false;
      bool more = false;
      while (!wake.wait_for(lock, more ? std::min(pause, short_pause) : pause, [this] { return stopping; })) {
        lock.unlock();
        more = take_turn();
        lock.lock();
      }
    }

    // With sequentially consistent stores, either this sees that a fork has begun, or the fork sees this busy.
    bool take_turn() {
      busy = true;
      const bool more = !forking && work();
      busy = false;
      return more;
    }

    /// Others want the storage too.
    static constexpr std::chrono::milliseconds short_pause{20};

    const std::chrono::milliseconds pause;
    const std::function<bool()> work;
    std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false;
    std::atomic<bool> busy{true};  // until it has come up
    std::atomic<bool> forking{false};
    std::atomic<std::thread::id> self{};
    std::thread thread;
  };

  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    state_->forking = true;
    // A host's own storage may fork from the turn itself, which is then not what to wait for.
    if (state_->self.load() == std::this_thread::get_id()) return;
    while (state_->busy && !guard_.forked() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  void resume(bool) noexcept override { state_->forking = false; }

  base::ForkGuard guard_;
  std::unique_ptr<State> state_;
  std::optional<base::AtForkEntry> at_fork_{std::in_place, static_cast<base::AtFork&>(*this)};
};

}  // namespace tokenstore

// ---- include/tokenstore/store.hpp ----------------------------------------------------------------------------

/// TokenStore: issue, validate, list, expire, revoke and delete the tokens of one workspace.
///
/// Thread use: every method may be called from several threads at once. Ownership: a store owns its
/// keyring and shares its backend; destroy it when no call is under way. A method that returns OK for
/// a change has made it durable. Every method may throw std::bad_alloc except validate; nothing else
/// is ever thrown.



namespace tokenstore {

struct StoreOptions {
  std::string workspace = "default";                ///< 1..255 octets of UTF-8, no control characters
  std::string prefix = "pat";                       ///< lower *(lower / DIGIT) *("_" 1*(lower / DIGIT)), 2..24 octets
  bool create_workspace = true;                     ///< make it, with the default policy, if it does not exist
  std::size_t cache_bytes = std::size_t{64} << 20;  ///< the validator's budget; 0: no cache
  std::chrono::milliseconds use_interval{60'000};   ///< how often last uses are written out
  bool upkeep_thread = false;                       ///< run maintain() in a thread of the store's own
  std::shared_ptr<Clock> clock{};                   ///< null: the system's
  std::shared_ptr<RandomSource> random{};           ///< null: the system's
};

class TokenStore {
 public:
  /// Opens a workspace of a backend. `wrong_key` if the keyring is not the one that sealed it.
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
  // Keys, of the whole store. Those that change some answer `unsupported` unless the keys are in a key file, and can be
  // asked for again after any error. Other processes take part as soon as they look at storage again.

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

  /// Verifies every seal of the workspace, its change feed and the storage's own integrity. May take long.
  Result<CheckReport> check(const Actor& actor, const Progress& progress = {});

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

}  // namespace tokenstore

// ---- src/store/store_impl.hpp --------------------------------------------------------------------------------

/// What a TokenStore is made of, and the steps that its operations share.
///
/// The operations themselves are in issue.cpp, lifecycle.cpp, listing.cpp, owners.cpp, policy.cpp,
/// resealing.cpp, checking.cpp and upkeep.cpp; opening.cpp makes the store. Thread-safe: everything here is immutable
/// or synchronises itself.



namespace tokenstore {

/// `revoked_at` and `suspended_at` of what is neither.
inline constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

/// A time budget beyond a lifetime of the process is no limit, and must not overflow.
inline constexpr std::chrono::milliseconds longest_budget = std::chrono::hours{24 * 366 * 100};

class TokenStore::Impl {
 public:
  Impl(std::shared_ptr<Backend> storage, std::unique_ptr<seal::LiveSealer> seals, seal::Place where,
       StoreOptions options);

  std::shared_ptr<Backend> backend;
  std::unique_ptr<seal::LiveSealer> sealer;
  std::shared_ptr<RandomSource> random;
  base::EffectiveClock clock;
  const seal::Place place;
  const std::string& workspace = place.workspace;
  const std::string prefix;
  validate::Validator validator;
  RecentSettings recent;
  std::unique_ptr<UpkeepThread> upkeep;
  std::chrono::milliseconds upkeep_pause{0};

  // Look-ups that believe nothing unsealed.

  Result<WorkspaceRecord> load_workspace();
  /// Empty if the owner has no record. `tampered` if its seal does not verify.
  Result<std::optional<OwnerRecord>> load_owner(std::string_view owner);
  /// The same, or a new record (revision 0). Its birth is new too: tokens of an earlier record, which somebody must
  /// have removed, stay denied.
  Result<OwnerRecord> load_or_start_owner(std::string_view owner);
  /// A token that the actor may see; else `not_found`, as for an id that never was. `tampered` if its
  /// seal does not verify.
  Result<TokenRecord> load_visible_token(const Actor& actor, std::string_view id);

  /// A part of the list, not verified. `internal` if the backend's parts do not go down: a walk over them
  /// would never end.
  Result<TokenList> list_part(const TokenQuery& query);

  /// The sealer for what is written after a record was read that this key has sealed (empty: it is new). If it is not
  /// the active one of this process, others may use newer keys already, which are then taken first: so a record never
  /// goes back to a key that has been left, once the records have been sealed anew.
  const seal::Sealer& sealer_after(std::string_view sealed_with) noexcept;
  /// Seals `record` as its next revision and makes the mutation that stores it.
  Mutation next_revision(TokenRecord record);
  Mutation next_revision(OwnerRecord record);
  Mutation next_revision(WorkspaceRecord record);

  /// Commits and announces every record that the batch changes; anything but committed is an Error.
  Result<void> commit(std::span<const Mutation> batch);
  /// Commits what nobody can have remembered: new tokens.
  Result<void> commit_unannounced(std::span<const Mutation> batch);
  /// Has every process look at a record again before it believes anything of it: for an ending that found nothing it
  /// could change, because the record was changed or removed outside the library.
  Result<void> announce(RecordKind kind, std::string_view key);
  /// What became of a commit; anything but committed is an Error.
  static Result<void> outcome_of(const CommitResult& done);
  /// After an ending by somebody who may end it, which `met` this: whatever it was, nobody goes on by what is
  /// remembered. An error: others could not be told.
  Result<void> end_for_others(Status met, RecordKind kind, std::string_view key) {
    const bool found_nothing_to_change = met == Status::tampered || met == Status::not_found;
    return found_nothing_to_change ? announce(kind, key) : Result<void>{};
  }

  Bytes16 new_birth() const;

  /// Runs `attempt` again while it answers `conflict`: somebody else changed what it had read.
  template <typename T>
  Result<T> retrying(const std::function<Result<T>()>& attempt) {
    for (int tries = 1; tries < most_attempts; ++tries) {
      Result<T> answer = attempt();
      if (answer.status() != Status::conflict) return answer;
    }
    return attempt();
  }

  /// What a call of maintain() had no time for.
  struct Left {
    bool uses = false;
    bool storage = false;
  };
  Result<Left> maintain(std::chrono::milliseconds budget);
  /// Starts the upkeep thread, or starts it again in a forked child.
  void start_upkeep(std::chrono::milliseconds pause);

 private:
  Result<void> commit(std::span<const Mutation> batch, const seal::SealedAnnouncement* announcement);

  /// Each lost race means that somebody else won it, so many in a row are progress, not a fault.
  static constexpr int most_attempts = 1000;
};

}  // namespace tokenstore

// ---- src/store/checking.cpp ----------------------------------------------------------------------------------

/// Checking a whole store: every seal, what tokens are bound to, the change feed, and the storage itself.



namespace tokenstore {

namespace {

constexpr std::size_t check_page = 1000;
constexpr std::size_t most_problems = 1000;

/// What follows from a seal that is not genuine.
std::string complaint(seal::SealCheck check, const std::string& key_id) {
  switch (check) {
    case seal::SealCheck::unknown_key:
      return "is sealed with a key that is not in the keyring";
    case seal::SealCheck::retired_key:
      return fmt::format("is sealed with key {}, which is retired; make it verify-only and seal everything anew",
                         key_id);
    case seal::SealCheck::genuine:
    case seal::SealCheck::tampered:
      break;
  }
  return "has a seal that does not verify";
}

class Check {
 public:
  Check(TokenStore::Impl& store, const Progress& progress) : store_(store), progress_(progress) {}

  Result<CheckReport> run() {
    usage_.try_emplace(store_.sealer->now().active_key_id());
    if (auto done = check_settings(); !done.ok()) return done.error();
    if (auto done = check_owners(); !done.ok()) return done.error();
    if (auto done = check_tokens(); !done.ok()) return done.error();
    if (auto done = check_feed(); !done.ok()) return done.error();
    auto storage = store_.backend->check_integrity(most_problems, progress_);
    if (!storage.ok()) return storage.error();
    for (std::string& line : *storage) problem("storage: " + std::move(line));
    for (auto& [key_id, usage] : usage_) {
      usage.key_id = key_id;
      report_.keys.push_back(std::move(usage));
    }
    return std::move(report_);
  }

 private:
  struct Owner {
    Bytes16 birth;
    std::uint64_t revoke_all_count;
  };

  void problem(std::string line) {
    ++report_.problem_count;
    if (report_.problems.size() < most_problems) report_.problems.push_back(std::move(line));
  }

  Result<void> go_on() {
    if (!progress_ || progress_(report_.owners + report_.tokens, 0)) return {};
    return Error(Status::conflict, "the check was stopped before its end");
  }

  /// Counts a genuine seal; complains of any other.
  template <typename Where, typename Record>
  bool seal_holds(const Where& where, const Record& record, const std::string& what, std::string_view consequence) {
    return seal_holds(store_.sealer->verify(where, record), record.seal_key_id, what, consequence);
  }
  bool seal_holds(seal::SealCheck check, const std::string& key_id, const std::string& what,
                  std::string_view consequence) {
    if (check == seal::SealCheck::genuine) {
      ++usage_[key_id].seals;
      return true;
    }
    problem(fmt::format("{} {}: {}", what, complaint(check, key_id), consequence));
    return false;
  }

  Result<void> check_settings() {
    auto store = store_.backend->load_store();
    if (!store.ok()) return store.error();
    if (!store->has_value()) {
      problem("the record of the store is missing: it cannot be opened again");
    } else if (seal_holds(store_.sealer->verify(**store), (*store)->seal_key_id, "the record of the store",
                          "it cannot be opened again") &&
               (*store)->id != store_.place.store) {
      problem("the record of the store is another store's: it cannot be opened again");
    }
    auto workspace = store_.backend->load_workspace(store_.workspace);
    if (!workspace.ok()) return workspace.error();
    if (!workspace->has_value()) {
      problem("the record of the workspace is missing: every token is denied");
    } else if (seal_holds(store_.place.store, **workspace, "the record of the workspace", "every token is denied") &&
               ((*workspace)->workspace != store_.workspace || (*workspace)->birth != store_.place.workspace_birth)) {
      problem("the record of the workspace is another one's: every token is denied");
    }
    return {};
  }

  Result<void> check_owners() {
    for (std::string after;;) {
      auto list = store_.backend->list_owners(store_.workspace, after, check_page);
      if (!list.ok()) return list.error();
      for (const OwnerRecord& record : list->owners) {
        ++report_.owners;
        if (!rules::check_owner_name(record.owner).ok()) {
          problem("an owner's name is malformed: nobody can act on the record");
        }
        if (seal_holds(store_.place, record, fmt::format("owner \"{}\"", record.owner),
                       "every token of theirs is denied")) {
          owners_.insert_or_assign(record.owner, Owner{record.birth, record.revoke_all_count});
        }
      }
      if (!list->more || list->owners.empty()) return {};
      after = list->owners.back().owner;
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
    }
  }

  Result<void> check_tokens() {
    TokenQuery query;
    query.limit = check_page;
    query.now = store_.clock.now();
    do {
      auto list = store_.list_part(query);
      if (!list.ok()) return list.error();
      for (const TokenRecord& record : list->tokens) check_token(record, query.now);
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
      query.before_id = std::move(list->next_before_id);
    } while (!query.before_id.empty());
    return {};
  }

  void check_token(const TokenRecord& record, UnixMillis now) {
    ++report_.tokens;
    if (!text::is_id(record.id)) problem("a token's id is malformed: nobody can show or end it");
    const std::string what = fmt::format("token {}", record.id);
    if (!seal_holds(store_.place, record, what, "it is denied")) return;
    const std::optional<Owner> owner = owner_of(record);
    if (!owner) return problem(fmt::format("{} has no genuine record of its owner: it is denied", what));
    if (owner->birth != record.owner_birth || owner->revoke_all_count < record.revoke_all_count) {
      return problem(
          fmt::format("{} belongs to a record of its owner that was removed or put back: it is denied", what));
    }
    const TokenState state = rules::state_at(record, now);
    const bool living = state == TokenState::active || state == TokenState::pending;
    if (living && owner->revoke_all_count == record.revoke_all_count) ++usage_[record.key_id].living_tokens;
  }

  std::optional<Owner> owner_of(const TokenRecord& record) {
    const auto known = owners_.find(record.owner);
    if (known != owners_.end() && known->second.birth == record.owner_birth &&
        known->second.revoke_all_count >= record.revoke_all_count) {
      return known->second;
    }
    // Written or changed since the owners were read, if it fits now.
    auto owner = store_.load_owner(record.owner);
    if (!owner.ok() || !owner->has_value()) return std::nullopt;
    return Owner{(*owner)->birth, (*owner)->revoke_all_count};
  }

  /// Every entry that the feed still has is linked to the one before it. That of the first is known only where the feed
  /// begins at the beginning.
  Result<void> check_feed() {
    auto head = store_.backend->changes(store_.workspace, seal::far_ahead);
    if (!head.ok()) return head.error();
    auto feed = store_.backend->changes(store_.workspace, head->complete_from);
    if (!feed.ok()) return feed.error();
    // Trimmed meanwhile, or a backend without a feed.
    if (feed->everything) return {};
    std::uint64_t revision = feed->complete_from;
    std::optional<Bytes32> link;
    if (revision == 0) link = Bytes32{};
    const seal::Sealer& sealer = store_.sealer->now();
    // What a key linked that has ended since can no longer be judged; but an entry of another key that follows it is
    // linked to it, and whoever linked that had read it.
    std::optional<std::uint64_t> not_judged;
    for (const Changes::Entry& entry : feed->entries) {
      const auto use = sealer.key_use(seal::key_of_entry(entry.text));
      const bool ended = !use || *use == KeyUse::retired;
      const bool linked = !link || ended || seal::is_linked(sealer, store_.place, entry, *link);
      if (entry.revision != revision + 1 || !linked) return feed_does_not_fit(revision + 1);
      revision = entry.revision;
      link = entry.link;
      if (!ended) {
        not_judged.reset();
      } else if (!use && !not_judged) {
        not_judged = revision;
      }
    }
    if (not_judged) return feed_does_not_fit(*not_judged);
    if (revision != feed->revision || (link && *link != feed->link)) return feed_does_not_fit(revision + 1);
    return {};
  }

  Result<void> feed_does_not_fit(std::uint64_t revision) {
    problem(fmt::format(
        "the change feed does not fit at revision {}: it was changed outside the library, and whoever reads "
        "it forgets everything",
        revision));
    return {};
  }

  TokenStore::Impl& store_;
  const Progress& progress_;
  CheckReport report_;
  std::unordered_map<std::string, Owner> owners_;
  std::map<std::string, KeyUsage, std::less<>> usage_;
};

}  // namespace

Result<CheckReport> TokenStore::check(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  return Check(*impl_, progress).run();
}

}  // namespace tokenstore

// ---- src/store/issue.cpp -------------------------------------------------------------------------------------

/// Issuing tokens.



namespace tokenstore {

namespace {

/// One owner's part of an issue: their record as read, and how many tokens they are to get.
struct OwnerShare {
  OwnerRecord record;  ///< revision 0: they have none yet
  std::uint64_t tokens = 0;
};
using OwnerShares = std::map<std::string, OwnerShare, std::less<>>;

/// A user and an administrator issue for themselves, whatever else the request says.
Result<void> check_owner(const Actor& actor, const IssueRequest& request) {
  if (actor.kind() == Actor::Kind::host || request.owner == actor.name()) return {};
  return Error(Status::permission_denied,
               "a token can only be issued for the one who asks; leave the owner to the host");
}

Result<void> check_owner_settings(const Actor& actor, const Policy& policy, const OwnerRecord& owner) {
  if (!policy.tokens_enabled) return Error(Status::refused, "access tokens are switched off in this workspace");
  if (owner.suspended_at != not_ended) return Error(Status::refused, "the owner is suspended; resume them first");
  if (actor.kind() == Actor::Kind::user && !policy.users_may_issue) {
    return Error(Status::refused, "only administrators may issue tokens in this workspace");
  }
  if (actor.kind() != Actor::Kind::host && !owner.may_issue) {
    return Error(Status::refused, "this owner may not issue tokens; an administrator can allow it");
  }
  return {};
}

bool has_equal_ids(std::span<const Issued> issued) {
  if (issued.size() < 2) return false;
  std::vector<std::string_view> ids;
  ids.reserve(issued.size());
  for (const Issued& token : issued) ids.push_back(token.info.id);
  std::sort(ids.begin(), ids.end());
  return std::adjacent_find(ids.begin(), ids.end()) != ids.end();
}

struct Draft {
  TokenRecord record;
  SecretText text;
};

class Issue {
 public:
  Issue(TokenStore::Impl& store, const Actor& actor, std::span<const IssueRequest> requests)
      : store_(store), actor_(actor), requests_(requests) {}

  /// One try: read, judge, compose, commit. `conflict`: what was read has changed.
  Result<std::vector<Issued>> attempt() {
    const bool first = std::exchange(first_, false);
    if (!first) return attempt(Settings::from_storage);
    auto issued = attempt(Settings::recent_too);
    // Settings that were remembered are no reason to refuse anything. Only of a "revoke all" since then it cannot be
    // told whether it overtook this issue: rather one that has to be asked for again (where the pulse lags, as on
    // PostgreSQL) than a token that survives.
    const bool refused = issued.status() == Status::refused || issued.status() == Status::invalid_argument ||
                         issued.status() == Status::conflict;
    if (!used_recent_ || !refused) return issued;
    return attempt(Settings::from_storage);
  }

 private:
  enum class Settings : std::uint8_t { recent_too, from_storage };

  Result<std::vector<Issued>> attempt(Settings settings);
  Result<WorkspaceRecord> read_workspace(Settings settings);
  Result<OwnerRecord> read_owner(Settings settings, std::string_view owner);
  Result<OwnerShares> read_owners(Settings settings);
  void remember(const WorkspaceRecord& workspace, const OwnerShares& shares, std::span<const Mutation> batch) noexcept;
  Result<void> check_cap(const Policy& policy, const OwnerShares& shares, UnixMillis now);
  Result<Draft> draft(const seal::Sealer& sealer, const Policy& policy, const IssueRequest& request,
                      const OwnerRecord& owner, UnixMillis now);

  TokenStore::Impl& store_;
  const Actor& actor_;
  std::span<const IssueRequest> requests_;
  /// "Revoke all" counts seen at the first try: an issue that such a call overtakes is not tried again.
  std::map<std::string, std::uint64_t, std::less<>> revoke_all_counts_;
  bool first_ = true;
  bool used_recent_ = false;
  std::uint64_t pulse_ = 0;  ///< as it was before anything was read
};

Result<WorkspaceRecord> Issue::read_workspace(Settings settings) {
  if (settings == Settings::recent_too) {
    if (auto recent = store_.recent.workspace(pulse_)) {
      used_recent_ = true;
      return std::move(*recent);
    }
  }
  auto loaded = store_.load_workspace();
  if (loaded.ok()) store_.recent.remember(pulse_, *loaded);
  return loaded;
}

Result<OwnerRecord> Issue::read_owner(Settings settings, std::string_view owner) {
  if (settings == Settings::recent_too) {
    if (auto recent = store_.recent.owner(pulse_, owner)) {
      used_recent_ = true;
      return std::move(*recent);
    }
  }
  auto loaded = store_.load_or_start_owner(owner);
  if (loaded.ok() && loaded->revision != 0) store_.recent.remember(pulse_, *loaded);
  return loaded;
}

Result<OwnerShares> Issue::read_owners(Settings settings) {
  OwnerShares shares;
  for (const IssueRequest& request : requests_) {
    auto [at, inserted] = shares.try_emplace(request.owner);
    ++at->second.tokens;
    if (!inserted) continue;
    auto loaded = read_owner(settings, request.owner);
    if (!loaded.ok()) return loaded.error();
    at->second.record = std::move(*loaded);
    const std::uint64_t count = at->second.record.revoke_all_count;
    if (revoke_all_counts_.try_emplace(request.owner, count).first->second != count) {
      return Error(Status::refused, "every token of this owner was revoked meanwhile; ask again if it is still wanted");
    }
  }
  return shares;
}

Result<void> Issue::check_cap(const Policy& policy, const OwnerShares& shares, UnixMillis now) {
  const std::uint64_t most = policy.most_active_per_owner;
  if (most == 0) return {};
  for (const auto& [owner, share] : shares) {
    auto live = store_.backend->count_live(store_.workspace, owner, now, most);
    if (!live.ok()) return live.error();
    if (share.tokens > most || *live > most - share.tokens) {
      return Error(Status::refused,
                   fmt::format("the owner would have more than {} active tokens; end or delete one first", most));
    }
  }
  return {};
}

Result<Draft> Issue::draft(const seal::Sealer& sealer, const Policy& policy, const IssueRequest& request,
                           const OwnerRecord& owner, UnixMillis now) {
  auto end = rules::end_of_life(policy, request.lifetime, now);
  if (!end.ok()) return end.error();
  if (request.not_before && *request.not_before >= *end) {
    return Error(Status::invalid_argument, "the token would expire before it becomes valid; give a longer lifetime");
  }

  std::array<std::uint8_t, 8> random_octets{};
  store_.random->fill(random_octets);
  std::uint64_t random47 = 0;
  for (const std::uint8_t octet : random_octets) random47 = random47 << 8 | octet;

  Draft made;
  TokenRecord& record = made.record;
  record.id = text::make_id(now, random47 >> 17);
  record.key_id = sealer.active_key_id();
  record.owner = request.owner;
  record.owner_birth = owner.birth;
  record.revoke_all_count = owner.revoke_all_count;
  record.description = request.description;
  record.scopes = rules::canonical_scopes(request.scopes);
  record.metadata = request.metadata;
  record.created_at = now;
  record.created_by = rules::actor_label(actor_);
  if (request.not_before) record.not_before = *request.not_before;
  record.expires_at = *end;

  const SecretText secret = text::make_secret(*store_.random);
  const std::string handle = "1" + record.key_id + record.id;
  record.verifier = sealer.make_verifier(store_.workspace, handle, secret.reveal());
  std::string tagged = text::compose_tagged(store_.prefix, record.key_id, record.id, secret.reveal());
  const auto tag = sealer.make_tag(tagged);
  made.text = text::compose(std::move(tagged), std::string_view(tag.data(), tag.size()));
  return made;
}

void Issue::remember(const WorkspaceRecord& workspace, const OwnerShares& shares,
                     std::span<const Mutation> batch) noexcept {
  // This commit has moved the pulse, and its preconditions have shown that these records are the latest.
  const std::uint64_t pulse = store_.backend->pulse().counter;
  try {
    store_.recent.remember(pulse, workspace);
    for (const Mutation& step : batch) {
      if (step.kind != RecordKind::owner) continue;
      const auto* written = std::get_if<OwnerRecord>(&step.record);
      store_.recent.remember(pulse, written != nullptr ? *written : shares.find(step.key)->second.record);
    }
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the tokens are issued; the next issue reads again
  }
}

Result<std::vector<Issued>> Issue::attempt(Settings settings) {
  pulse_ = store_.backend->pulse().counter;
  auto workspace = read_workspace(settings);
  if (!workspace.ok()) return workspace.error();
  // The workspace's record is a precondition of the commit, and changes when another key becomes the active one.
  const seal::Sealer& sealer = store_.sealer_after(workspace->seal_key_id);
  const Policy policy = rules::policy_of(*workspace);
  auto shares = read_owners(settings);
  if (!shares.ok()) return shares.error();
  for (const auto& [owner, share] : *shares) {
    if (auto good = check_owner_settings(actor_, policy, share.record); !good.ok()) return good.error();
  }
  const UnixMillis now = store_.clock.now();
  if (auto good = check_cap(policy, *shares, now); !good.ok()) return good.error();

  std::vector<Mutation> batch;
  batch.reserve(requests_.size() + shares->size() + 1);
  std::vector<Issued> issued;
  issued.reserve(requests_.size());
  for (const IssueRequest& request : requests_) {
    auto made = draft(sealer, policy, request, shares->find(request.owner)->second.record, now);
    if (!made.ok()) return made.error();
    issued.push_back({std::move(made->text), rules::describe(made->record, now)});
    batch.push_back(store_.next_revision(std::move(made->record)));
  }
  // By chance two tokens of one millisecond may have got the same id; others are drawn then.
  if (has_equal_ids(issued)) return Error(Status::conflict, "two new tokens got the same id; ask again");

  bool first_tokens = false;
  batch.push_back(Mutation::check(RecordKind::workspace, store_.workspace, workspace->revision));
  for (auto& [owner, share] : *shares) {
    first_tokens = first_tokens || share.record.revision == 0;
    // Under a cap every issue changes its owner's record, so that of two that counted the same tokens
    // only one can commit.
    if (share.record.revision == 0 || policy.most_active_per_owner != 0) {
      batch.push_back(store_.next_revision(std::move(share.record)));
    } else {
      batch.push_back(Mutation::check(RecordKind::owner, owner, share.record.revision));
    }
  }
  // A new token's text is known to nobody yet, and nothing that is remembered of an owner changes with a new token.
  // That an owner had no record may be remembered.
  const auto done = first_tokens ? store_.commit(batch) : store_.commit_unannounced(batch);
  if (!done.ok()) return done.error();
  remember(*workspace, *shares, batch);
  return issued;
}

}  // namespace

Result<std::vector<Issued>> TokenStore::issue_many(const Actor& actor, std::span<const IssueRequest> requests) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  for (const IssueRequest& request : requests) {
    if (auto good = rules::check_request(request); !good.ok()) return good.error();
    if (auto good = check_owner(actor, request); !good.ok()) return good.error();
  }
  if (requests.empty()) return std::vector<Issued>{};
  Issue issue(*impl_, actor, requests);
  return impl_->retrying<std::vector<Issued>>([&] { return issue.attempt(); });
}

Result<Issued> TokenStore::issue(const Actor& actor, const IssueRequest& request) {
  auto issued = issue_many(actor, {&request, 1});
  if (!issued.ok()) return issued.error();
  return std::move(issued->front());
}

}  // namespace tokenstore

// ---- src/store/key_count.hpp ---------------------------------------------------------------------------------

/// What hangs on each key, in all workspaces of a store.
///
/// Reads every record once. One thread at a time.



namespace tokenstore {

class KeyCount {
 public:
  struct Of {
    std::uint64_t seals = 0;
    std::uint64_t living_tokens = 0;
    std::uint64_t outliving = 0;  ///< of the records that it seals: what does not end with it
    std::string workspace;        ///< one that holds some of those; empty: the store itself
  };

  KeyCount(TokenStore::Impl& store, const Progress& progress) : store_(store), progress_(progress) {}

  Result<void> run();
  /// By key id; the keys that anything hangs on.
  const std::map<std::string, Of, std::less<>>& keys() const noexcept { return keys_; }
  Of of(std::string_view id) const {
    const auto found = keys_.find(id);
    return found == keys_.end() ? Of{} : found->second;
  }

 private:
  Result<void> count_workspace(const WorkspaceRecord& record);
  Result<void> count_owners(const seal::Place& place);
  Result<void> count_tokens(const seal::Place& place);
  void count_token(const seal::Place& place, const TokenRecord& record, UnixMillis now);
  void count_seal(seal::SealCheck check, const std::string& key_id, const std::string& workspace);
  Result<void> go_on();

  TokenStore::Impl& store_;
  const Progress& progress_;
  std::map<std::string, Of, std::less<>> keys_;
  std::unordered_map<std::string, std::uint64_t> revoke_all_counts_;  ///< of the owners of the workspace at hand
  std::uint64_t done_ = 0;
};

/// Calls `act` with each workspace's record, as it is stored.
template <typename Act>
Result<void> for_each_workspace(Backend& backend, const Act& act) {
  constexpr std::size_t at_once = 100;
  std::string after;
  for (;;) {
    auto list = backend.list_workspaces(after, at_once);
    if (!list.ok()) return list.error();
    for (const WorkspaceRecord& record : *list) {
      if (auto done = act(record); !done.ok()) return done;
    }
    if (list->size() < at_once) return {};
    after = list->back().workspace;
  }
}

}  // namespace tokenstore

// ---- src/store/key_count.cpp ---------------------------------------------------------------------------------

namespace tokenstore {

namespace {
constexpr std::size_t count_page = 1000;
}  // namespace

Result<void> KeyCount::run() {
  auto store = store_.backend->load_store();
  if (!store.ok()) return store.error();
  if (store->has_value()) count_seal(store_.sealer->verify(**store), (*store)->seal_key_id, {});
  return for_each_workspace(*store_.backend, [this](const WorkspaceRecord& record) { return count_workspace(record); });
}

Result<void> KeyCount::count_workspace(const WorkspaceRecord& record) {
  const Bytes16& id = store_.place.store;
  const seal::SealCheck check = store_.sealer->verify(id, record);
  // What it holds cannot be judged: its birth may not be what it was.
  if (check == seal::SealCheck::tampered) return rules::tampered("the record of a workspace");
  count_seal(check, record.seal_key_id, record.workspace);
  const seal::Place place{id, record.workspace, record.birth};
  revoke_all_counts_.clear();
  if (auto done = count_owners(place); !done.ok()) return done;
  return count_tokens(place);
}

Result<void> KeyCount::count_owners(const seal::Place& place) {
  for (std::string after;;) {
    auto list = store_.backend->list_owners(place.workspace, after, count_page);
    if (!list.ok()) return list.error();
    for (const OwnerRecord& record : list->owners) {
      count_seal(store_.sealer->verify(place, record), record.seal_key_id, place.workspace);
      revoke_all_counts_.insert_or_assign(record.owner, record.revoke_all_count);
    }
    done_ += list->owners.size();
    if (!list->more || list->owners.empty()) return {};
    after = list->owners.back().owner;
    if (auto wanted = go_on(); !wanted.ok()) return wanted;
  }
}

Result<void> KeyCount::count_tokens(const seal::Place& place) {
  TokenQuery query;
  query.limit = count_page;
  query.now = store_.clock.now();
  do {
    auto list = store_.backend->list_tokens(place.workspace, query);
    if (!list.ok()) return list.error();
    if (!query.before_id.empty() && list->next_before_id >= query.before_id) {
      return Error(Status::internal, "the storage backend lists the same tokens again and again; it must be repaired");
    }
    for (const TokenRecord& record : list->tokens) count_token(place, record, query.now);
    done_ += list->tokens.size();
    if (auto wanted = go_on(); !wanted.ok()) return wanted;
    query.before_id = std::move(list->next_before_id);
  } while (!query.before_id.empty());
  return {};
}

void KeyCount::count_token(const seal::Place& place, const TokenRecord& record, UnixMillis now) {
  const seal::SealCheck check = store_.sealer->verify(place, record);
  if (check == seal::SealCheck::tampered) return;
  ++keys_[record.seal_key_id].seals;
  if (record.key_id != record.seal_key_id) {
    Of& seal = keys_[record.seal_key_id];
    ++seal.outliving;
    seal.workspace = place.workspace;
  }
  const TokenState state = rules::state_at(record, now);
  const bool living = state == TokenState::active || state == TokenState::pending;
  // An owner who came after the owners were read has revoked nothing.
  const auto owner = revoke_all_counts_.find(record.owner);
  const bool revoked = owner != revoke_all_counts_.end() && owner->second > record.revoke_all_count;
  if (living && !revoked && store_.sealer->now().key_use(record.key_id) != KeyUse::retired) {
    ++keys_[record.key_id].living_tokens;
  }
}

void KeyCount::count_seal(seal::SealCheck check, const std::string& key_id, const std::string& workspace) {
  if (check == seal::SealCheck::tampered) return;
  Of& seal = keys_[key_id];
  ++seal.seals;
  ++seal.outliving;
  seal.workspace = workspace;
}

Result<void> KeyCount::go_on() {
  if (!progress_ || progress_(done_, 0)) return {};
  return Error(Status::conflict, "counting was stopped before its end");
}

}  // namespace tokenstore

// ---- src/store/keys.cpp --------------------------------------------------------------------------------------

/// The keys of an open store: what hangs on each, and changing them while everybody works.


namespace tokenstore {

namespace {

/// Whoever may change keys, on a store that can be written.
Result<void> may_change_keys(const TokenStore::Impl& store, const Actor& actor) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good;
  if (store.backend->read_only()) {
    return Error(Status::read_only, "the store is open for reading only; open it for writing");
  }
  if (!store.sealer->can_change()) {
    return Error(Status::unsupported,
                 "this store was opened with keys that nothing can change; open it with a key file");
  }
  return {};
}

/// Changes the key file, and has this process take what it holds then.
Result<void> replace_keys(TokenStore::Impl& store, const std::function<Result<void>(Keyring&)>& change) {
  if (auto done = store.sealer->source()->replace(change); !done.ok()) return done;
  if (auto taken = store.sealer->reload(); !taken.ok()) return taken.error();
  return {};
}

/// A commit in a workspace of the store, perhaps not the one that is open.
Result<void> commit_in(TokenStore::Impl& store, const seal::Place& place, std::span<const Mutation> batch) {
  seal::SealedAnnouncement announcement(store.sealer->now(), place);
  announcement.name_changes(batch);
  announcement.name(RecordKind::store, {});
  return TokenStore::Impl::outcome_of(store.backend->commit(place.workspace, batch, &announcement));
}

seal::Place place_of(const TokenStore::Impl& store, const WorkspaceRecord& record) {
  return {store.place.store, record.workspace, record.birth};
}

/// Has every process look at its keys, whatever workspace it has open.
Result<void> tell_everybody(TokenStore::Impl& store) {
  return for_each_workspace(*store.backend, [&](const WorkspaceRecord& record) -> Result<void> {
    // One that was tampered with denies everything, and has no place that could be believed.
    if (!store.sealer->is_genuine(store.place.store, record)) return {};
    return commit_in(store, place_of(store, record), {});
  });
}

/// Seals the store's record under the active key, unless it is.
Result<void> seal_store_anew(TokenStore::Impl& store) {
  auto done = store.retrying<bool>([&]() -> Result<bool> {
    auto loaded = store.backend->load_store();
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value()) return true;
    StoreRecord& record = **loaded;
    const seal::Sealer& sealer = store.sealer->now();
    if (record.seal_key_id == sealer.active_key_id() || store.sealer->verify(record) != seal::SealCheck::genuine) {
      return true;
    }
    const RecordRevision expected = record.revision++;
    sealer.seal(record);
    const Mutation batch[] = {Mutation::put(std::move(record), expected)};
    if (auto committed = store.commit(batch); !committed.ok()) return committed.error();
    return true;
  });
  if (!done.ok()) return done.error();
  return {};
}

/// Writes a workspace's record again, whatever key it is under: an issue that is under way goes by its revision, loses
/// against this, and takes the keys of now.
Result<void> overtake(TokenStore::Impl& store, const std::string& workspace) {
  auto done = store.retrying<bool>([&]() -> Result<bool> {
    auto loaded = store.backend->load_workspace(workspace);
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value() || !store.sealer->is_genuine(store.place.store, **loaded)) return true;
    WorkspaceRecord& record = **loaded;
    const seal::Place place = place_of(store, record);
    const RecordRevision expected = record.revision++;
    store.sealer->now().seal(store.place.store, record);
    const Mutation batch[] = {Mutation::put(std::move(record), expected)};
    if (auto committed = commit_in(store, place, batch); !committed.ok()) return committed.error();
    return true;
  });
  if (!done.ok()) return done.error();
  return {};
}

Result<KeyCount::Of> count_of(TokenStore::Impl& store, std::string_view id) {
  const Progress silent;
  KeyCount counted(store, silent);
  if (auto done = counted.run(); !done.ok()) return done.error();
  return counted.of(id);
}

/// What another process has put into the key file counts. `refused` if this is the active key.
Result<void> look_at_leaving_key(TokenStore::Impl& store, std::string_view id) {
  if (auto taken = store.sealer->reload(); !taken.ok()) return taken.error();
  const auto use = store.sealer->now().key_use(id);
  if (!use) return Error(Status::not_found, "there is no key of this id in the keyring; list them");
  if (*use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  return {};
}

}  // namespace

Result<std::vector<KeyStatus>> TokenStore::key_status(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  impl_->sealer->look(impl_->sealer->now());
  KeyCount counted(*impl_, progress);
  if (auto done = counted.run(); !done.ok()) return done.error();
  const seal::Sealer& sealer = impl_->sealer->now();
  std::vector<KeyStatus> keys;
  for (const auto& [id, use] : sealer.keys()) {
    const KeyCount::Of of = counted.of(id);
    keys.push_back({id, use, of.seals, of.living_tokens});
  }
  for (const auto& [id, of] : counted.keys()) {
    if (!sealer.key_use(id)) keys.push_back({id, std::nullopt, of.seals, of.living_tokens});
  }
  return keys;
}

Result<std::string> TokenStore::add_key(const Actor& actor) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  std::string id;
  auto done = replace_keys(*impl_, [&](Keyring& keyring) -> Result<void> {
    auto added = keyring.add_new(*impl_->random);
    if (!added.ok()) return added.error();
    id = *std::move(added);
    return {};
  });
  if (!done.ok()) return done.error();
  if (auto told = tell_everybody(*impl_); !told.ok()) return told.error();
  return id;
}

Result<void> TokenStore::activate_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.activate(id); });
  if (!done.ok()) return done;
  if (auto sealed = seal_store_anew(*impl_); !sealed.ok()) return sealed;
  return for_each_workspace(*impl_->backend,
                            [&](const WorkspaceRecord& record) { return overtake(*impl_, record.workspace); });
}

Result<void> TokenStore::retire_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  if (auto good = look_at_leaving_key(*impl_, id); !good.ok()) return good;
  // Retired already: told again, in case somebody has not been.
  if (impl_->sealer->now().key_use(id) != KeyUse::retired) {
    auto of = count_of(*impl_, id);
    if (!of.ok()) return of.error();
    if (of->outliving != 0) {
      return Error(Status::refused, fmt::format("key {} seals {} records that outlive it, some in workspace '{}'; seal "
                                                "every workspace anew first",
                                                id, of->outliving, of->workspace));
    }
    auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.retire(id); });
    if (!done.ok()) return done;
  }
  return tell_everybody(*impl_);
}

Result<void> TokenStore::remove_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  if (auto good = look_at_leaving_key(*impl_, id); !good.ok()) return good;
  auto of = count_of(*impl_, id);
  if (!of.ok()) return of.error();
  if (of->seals != 0 || of->living_tokens != 0) {
    return Error(Status::refused,
                 fmt::format("{} records and {} living tokens hang on key {}; seal every workspace anew "
                             "and let its tokens end, or retire it, first",
                             of->seals, of->living_tokens, id));
  }
  auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.remove(id); });
  if (!done.ok()) return done;
  return tell_everybody(*impl_);
}

Result<bool> TokenStore::reload_keys() {
  return impl_->sealer->reload();
}

}  // namespace tokenstore

// ---- src/store/refused_endings.hpp ---------------------------------------------------------------------------

/// An ending that was asked for holds in this process at once, even if storage could not be told. Once storage knows,
/// it need not be remembered here. One meaning for all endings.



namespace tokenstore {

/// Of a token, asked for by somebody who may.
inline void remember_ending(validate::Denials& denials, std::string_view id, Status status) {
  if (status == Status::ok || status == Status::not_found || status == Status::tampered) {
    denials.allow_token(id);
  } else if (rules::storage_was_not_told(status)) {
    denials.deny_token(id);
  }
}

/// Of a token whose record could not be read, so that nobody knows whether it is the user's who asked.
inline void remember_unread_ending(validate::Denials& denials, std::string_view id, const Actor& user, Status status) {
  if (rules::storage_was_not_told(status)) denials.deny_token_of(id, user.name());
}

/// Of all that an owner has.
inline void remember_stop(validate::Denials& denials, std::string_view owner, validate::OwnerStop why, Status status) {
  if (status == Status::ok) {
    denials.allow_owner(owner, why);
  } else if (rules::storage_was_not_told(status)) {
    denials.deny_owner(owner, why);
  }
}

/// Of every token of the workspace.
inline void remember_switching_off(validate::Denials& denials, Status status) {
  if (rules::storage_was_not_told(status)) denials.deny_everything();
}

}  // namespace tokenstore

// ---- src/store/lifecycle.cpp ---------------------------------------------------------------------------------

/// Ending tokens: expire, revoke, revoke all, delete.


namespace tokenstore {

namespace {

enum class Ends : std::uint8_t { at_once, later };

/// What all endings of one token have in common: tries until nobody was faster, and sees to it that afterwards nobody
/// accepts the token, whatever the attempt met. `attempt` loads the record by the function that it is given.
template <typename T>
Result<T> end_token(TokenStore::Impl& store, const Actor& actor, std::string_view id, Ends ends,
                    const std::function<Result<T>(TokenRecord&)>& attempt) {
  // Only for who was seen to be allowed: a record that cannot be read tells nobody whose token it is.
  bool allowed = actor.kind() != Actor::Kind::user;
  Result<T> answer = store.retrying<T>([&]() -> Result<T> {
    auto record = store.load_visible_token(actor, id);
    allowed = allowed || record.ok() || record.status() == Status::tampered;
    if (!record.ok()) return record.error();
    return attempt(*record);
  });
  if (!text::is_id(id)) return answer;
  if (!allowed) {
    if (ends == Ends::at_once) remember_unread_ending(store.validator.denials(), id, actor, answer.status());
    return answer;
  }
  const auto told = store.end_for_others(answer.status(), RecordKind::token, id);
  if (ends == Ends::at_once) {
    remember_ending(store.validator.denials(), id, told.ok() ? answer.status() : told.status());
  }
  if (!told.ok()) return told.error();
  return answer;
}

constexpr std::size_t revoke_slice = 500;

/// What "revoke all" has ended already by its count gets its mark, so that lists show it. Of the tokens that this
/// host's clock holds for expired, the latest too: another's clock may be behind.
constexpr std::int64_t clocks_may_differ = millis_per_day;

/// Marks up to a slice of an owner's tokens in one state. Returns how many had not ended; `conflict` if one of
/// them was changed meanwhile.
Result<std::uint64_t> revoke_some(TokenStore::Impl& store, const TokenQuery& query, UnixMillis now, const Actor& actor,
                                  std::string_view reason, std::string& next) {
  auto list = store.list_part(query);
  if (!list.ok()) return list.error();
  std::vector<Mutation> batch;
  std::vector<std::string> ids;
  std::uint64_t living = 0;
  for (TokenRecord& record : list->tokens) {
    // A record that does not verify is denied already, and a seal must not bless it.
    if (!store.sealer->is_genuine(store.place, record)) continue;
    if (record.owner != query.owner || record.revoked_at != not_ended) continue;
    if (rules::state_at(record, now) != TokenState::expired) ++living;
    ids.push_back(record.id);
    record.revoked_at = now;
    record.revoked_by = rules::actor_label(actor);
    record.revoke_reason = reason;
    batch.push_back(store.next_revision(std::move(record)));
  }
  if (!batch.empty()) {
    auto done = store.commit(batch);
    for (const std::string& id : ids) remember_ending(store.validator.denials(), id, done.status());
    if (!done.ok()) return done.error();
  }
  next = list->next_before_id;
  return living;
}

/// An owner without a record may have had one, and tokens that somebody remembers. A name is only written down if it
/// stands in a token already: it may be anything, even a token that was given in its place. Else everybody looks at
/// everything, which a user must not be able to bring about.
Result<void> forget_missing_owner(TokenStore::Impl& store, const Actor& actor, std::string_view owner) {
  TokenQuery any;
  any.owner = owner;
  any.limit = 1;
  auto tokens = store.list_part(any);
  if (!tokens.ok()) return tokens.error();
  if (!tokens->tokens.empty()) return store.announce(RecordKind::owner, owner);
  if (actor.kind() == Actor::Kind::user) return {};
  return store.announce(RecordKind::workspace, store.workspace);
}

}  // namespace

Result<TokenInfo> TokenStore::expire(const Actor& actor, std::string_view id, std::optional<UnixMillis> at) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  const Ends ends = !at || *at <= impl_->clock.now() ? Ends::at_once : Ends::later;
  return end_token<TokenInfo>(*impl_, actor, id, ends, [&](TokenRecord& record) -> Result<TokenInfo> {
    const UnixMillis now = impl_->clock.now();
    if (at && *at > record.expires_at) {
      return Error(Status::invalid_argument,
                   "the new end is later than the token's; an end can only be brought forward");
    }
    if (at && *at > latest_time && *at != record.expires_at) {
      return Error(Status::invalid_argument, "the new end is after the year 9999; give an earlier one");
    }
    if (record.revoked_at != not_ended || record.expired_at != not_ended) return rules::describe(record, now);
    if (ends == Ends::at_once) {
      // Marked as ended, also if it is over by this host's clock: another's may be behind.
      record.expired_at = now;
      record.expires_at = std::min(record.expires_at, now);
    } else {
      if (record.expires_at <= now || *at == record.expires_at) return rules::describe(record, now);
      record.expires_at = *at;
    }
    TokenInfo info = rules::describe(record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return info;
  });
}

Result<TokenInfo> TokenStore::revoke(const Actor& actor, std::string_view id, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  return end_token<TokenInfo>(*impl_, actor, id, Ends::at_once, [&](TokenRecord& record) -> Result<TokenInfo> {
    const UnixMillis now = impl_->clock.now();
    if (record.revoked_at != not_ended) return rules::describe(record, now);
    record.revoked_at = now;
    record.revoked_by = rules::actor_label(actor);
    record.revoke_reason = reason;
    TokenInfo info = rules::describe(record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return info;
  });
}

Result<std::uint64_t> TokenStore::revoke_all(const Actor& actor, std::string_view owner, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  if (!rules::may_act_on(actor, owner)) return rules::no_such_owner();

  // The owner's record counts, and every token of theirs knows the count it was issued under: with this commit all of
  // them have ended, whatever their own records or anybody's clock say, and an issue under way cannot commit behind it.
  auto ended = impl_->retrying<bool>([&]() -> Result<bool> {
    auto record = impl_->load_owner(owner);
    if (!record.ok()) return record.error();
    if (!record->has_value()) return rules::no_such_owner();
    ++(*record)->revoke_all_count;
    const Mutation batch[] = {impl_->next_revision(std::move(**record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return true;
  });
  const auto told = ended.status() == Status::not_found
                        ? forget_missing_owner(*impl_, actor, owner)
                        : impl_->end_for_others(ended.status(), RecordKind::owner, owner);
  // What is issued until it succeeds is denied here too: nobody can tell which came first.
  remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::revoke_all,
                told.ok() ? ended.status() : told.status());
  if (!told.ok()) return told.error();
  if (!ended.ok()) return ended.error();

  std::uint64_t revoked = 0;
  // One time for both: what is pending in the first list must not become active before the second.
  const UnixMillis now = impl_->clock.now();
  for (const auto state : {TokenQuery::State::active, TokenQuery::State::pending}) {
    TokenQuery query;
    query.owner = owner;
    query.state = state;
    query.now = now - std::min(clocks_may_differ, now);
    query.limit = revoke_slice;
    do {
      std::string next;
      auto some = impl_->retrying<std::uint64_t>([&] { return revoke_some(*impl_, query, now, actor, reason, next); });
      if (!some.ok()) return some.error();
      revoked += *some;
      query.before_id = std::move(next);
    } while (!query.before_id.empty());
  }
  return revoked;
}

Result<void> TokenStore::remove(const Actor& actor, std::string_view id) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (!text::is_id(id)) return rules::no_such_token();
  bool allowed = actor.kind() != Actor::Kind::user;
  auto answer = impl_->retrying<bool>([&]() -> Result<bool> {
    auto loaded = impl_->backend->load_token(impl_->workspace, id);
    if (!loaded.ok()) return loaded.error();
    // A record that does not verify can be deleted too: that is the way to be rid of it.
    if (!loaded->has_value() || !rules::may_act_on(actor, (*loaded)->owner)) return rules::no_such_token();
    // Whose the token is can only be believed of the record that was asked for.
    if ((*loaded)->id != id) return rules::tampered("the record of this token");
    allowed = true;
    const Mutation batch[] = {Mutation::remove_token(std::string(id), (*loaded)->revision)};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return true;
  });
  if (allowed) {
    const auto told = impl_->end_for_others(answer.status(), RecordKind::token, id);
    remember_ending(impl_->validator.denials(), id, told.ok() ? answer.status() : told.status());
    if (!told.ok()) return told.error();
  } else {
    remember_unread_ending(impl_->validator.denials(), id, actor, answer.status());
  }
  if (!answer.ok()) return answer.error();
  return {};
}

}  // namespace tokenstore

// ---- src/store/cursor.hpp ------------------------------------------------------------------------------------

/// Where a walk over records goes on, as text for the caller to keep: a mark that says what is walked over, and the key
/// of the last record of the page before.
///
/// A key that no caller could have given (a row that was written outside the library) is spelt in hexadecimal, so that
/// it stops no walk. Pure functions.



namespace tokenstore {

enum class Walk : char { tokens = 'c', owners = 'o' };

class Cursor {
 public:
  /// Behind a record. `well_formed`: its key is one that a caller could give.
  static std::string behind(Walk walk, std::string_view key, bool well_formed) {
    std::string text{static_cast<char>(walk), well_formed ? plain : spelt};
    if (well_formed) return text.append(key);
    // Behind the empty key is where the next one that can be begins; the empty text would be the beginning itself.
    if (key.empty()) key = std::string_view("\0", 1);
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char octet : key.substr(0, spelt_max)) {
      text += digits[static_cast<unsigned char>(octet) >> 4];
      text += digits[static_cast<unsigned char>(octet) & 15];
    }
    // Owners go up: behind everything that begins so.
    if (walk == Walk::owners && key.size() > spelt_max) text += "ff";
    return text;
  }
  static bool is_of(Walk walk, std::string_view cursor) noexcept {
    return cursor.size() >= 2 && cursor[0] == static_cast<char>(walk) && (cursor[1] == plain || cursor[1] == spelt);
  }
  /// The key; empty at the beginning. `is_well_formed(key)` judges one that is not spelt.
  template <typename IsWellFormed>
  static Result<std::string> key_of(Walk walk, std::string_view cursor, const IsWellFormed& is_well_formed) {
    if (cursor.empty()) return std::string();
    if (!is_of(walk, cursor)) return unknown();
    const std::string_view rest = cursor.substr(2);
    if (cursor[1] == plain) {
      if (!rest.empty() && is_well_formed(rest)) return std::string(rest);
      return unknown();
    }
    if (rest.empty() || rest.size() % 2 != 0 || rest.size() > 2 * (spelt_max + 1)) return unknown();
    std::string key;
    for (std::size_t at = 0; at < rest.size(); at += 2) {
      const int high = digit(rest[at]);
      const int low = digit(rest[at + 1]);
      if (high < 0 || low < 0) return unknown();
      key += static_cast<char>(high * 16 + low);
    }
    return key;
  }

  static Error unknown() {
    return {Status::invalid_argument, "the cursor is unknown; pass the one that came with the page before"};
  }

 private:
  static constexpr char plain = '1';
  static constexpr char spelt = '2';
  /// Of a longer key the beginning is enough: what shares it is as malformed, and is passed over.
  static constexpr std::size_t spelt_max = 300;

  static int digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  }
};

}  // namespace tokenstore

// ---- src/store/listing.cpp -----------------------------------------------------------------------------------

/// Looking at tokens: get, list, count.


namespace tokenstore {

namespace {

Result<TokenQuery::State> state_filter(std::optional<TokenState> state) {
  if (!state) return TokenQuery::State::any;
  switch (*state) {
    case TokenState::active:
      return TokenQuery::State::active;
    case TokenState::pending:
      return TokenQuery::State::pending;
    case TokenState::expired:
      return TokenQuery::State::expired;
    case TokenState::revoked:
      return TokenQuery::State::revoked;
    case TokenState::tampered:
      break;
  }
  return Error(Status::invalid_argument, "tokens can be listed by the states active, pending, expired and revoked");
}

/// What is in storage, brought up to date with uses that this process has not written yet.
TokenInfo with_latest_use(TokenInfo info, validate::Validator& validator) {
  const auto use = validator.pending_use(info.id);
  if (!use || (info.last_used_at && *info.last_used_at > use->used_at)) return info;
  info.last_used_at = use->used_at;
  info.last_used_from = use->used_from;
  return info;
}

}  // namespace

Result<TokenInfo> TokenStore::get(const Actor& actor, std::string_view id) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  auto record = impl_->load_visible_token(actor, id);
  if (!record.ok()) return record.error();
  return with_latest_use(rules::describe(*record, impl_->clock.now()), impl_->validator);
}

Result<TokenPage> TokenStore::list(const Actor& actor, const ListQuery& query) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (query.limit < 1 || query.limit > page_max) {
    return Error(Status::invalid_argument, fmt::format("a page holds 1 to {} tokens", page_max));
  }
  auto before = Cursor::key_of(Walk::tokens, query.cursor, text::is_id);
  if (!before.ok()) return before.error();
  auto state = state_filter(query.state);
  if (!state.ok()) return state.error();

  TokenQuery part;
  part.owner = query.owner;
  if (actor.kind() == Actor::Kind::user) {
    // Somebody else's tokens look like nobody's.
    if (!query.owner.empty() && query.owner != actor.name()) return TokenPage{};
    part.owner = actor.name();
  }
  part.state = *state;
  part.now = impl_->clock.now();
  part.text = query.text;
  part.before_id = std::move(*before);
  part.limit = query.limit;
  auto list = impl_->list_part(part);
  if (!list.ok()) return list.error();

  TokenPage page;
  for (const TokenRecord& record : list->tokens) {
    // Nobody could act on it by its id; check() names it.
    if (!text::is_id(record.id)) continue;
    if (!impl_->sealer->is_genuine(impl_->place, record)) {
      page.tokens.push_back(rules::describe_tampered(record));
      continue;
    }
    // A genuine record that was not asked for: the backend is wrong, and the filter is a promise.
    if (!part.owner.empty() && record.owner != part.owner) continue;
    TokenInfo info = rules::describe(record, part.now);
    if (query.state && info.state != *query.state) continue;
    page.tokens.push_back(with_latest_use(std::move(info), impl_->validator));
  }
  if (!list->next_before_id.empty()) {
    page.next = Cursor::behind(Walk::tokens, list->next_before_id, text::is_id(list->next_before_id));
  }
  return page;
}

Result<StateCounts> TokenStore::count(const Actor& actor, std::string_view owner) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (actor.kind() == Actor::Kind::user) {
    if (!owner.empty() && owner != actor.name()) return StateCounts{};
    owner = actor.name();
  }
  auto counted = impl_->backend->count_tokens(impl_->workspace, owner, impl_->clock.now());
  if (!counted.ok()) return counted.error();
  return StateCounts{counted->active, counted->pending, counted->expired, counted->revoked};
}

}  // namespace tokenstore

// ---- src/store/opening.cpp -----------------------------------------------------------------------------------

/// Opening and closing a store, and the calls that only pass on.



namespace tokenstore {

namespace {

constexpr std::chrono::milliseconds longest_upkeep_pause{1000};

Error not_this_key() {
  return {Status::wrong_key,
          "the keyring does not fit this store: its settings were sealed with another key, or changed outside the "
          "library; give the key file that was made with it"};
}

/// A seal that does not open the store, as an error; empty if it is genuine.
std::optional<Error> refusal(seal::SealCheck check, const std::string& key_id) {
  switch (check) {
    case seal::SealCheck::genuine:
      return std::nullopt;
    case seal::SealCheck::retired_key:
      return Error(Status::wrong_key,
                   fmt::format("the store's settings are sealed with key {}, which is retired; make it verify-only, "
                               "seal everything anew, then retire it",
                               key_id));
    case seal::SealCheck::tampered:
    case seal::SealCheck::unknown_key:
      break;
  }
  return not_this_key();
}

/// A workspace whose record was deleted must not come back with default settings.
Result<void> check_never_used(Backend& backend, const std::string& workspace) {
  TokenQuery any_token;
  any_token.limit = 1;
  any_token.scan_limit = 1;
  auto tokens = backend.list_tokens(workspace, any_token);
  if (!tokens.ok()) return tokens.error();
  auto owners = backend.list_owners(workspace, {}, 1);
  if (!owners.ok()) return owners.error();
  if (tokens->tokens.empty() && tokens->next_before_id.empty() && owners->owners.empty()) return {};
  return rules::tampered("the record of this workspace is missing although it has owners or tokens: the store");
}

/// The records that say where a store's records belong. Absent: not made yet.
struct Found {
  std::optional<StoreRecord> store;
  std::optional<WorkspaceRecord> workspace;
};

/// Reads them, and believes neither before its seal is verified.
Result<Found> look(Backend& backend, const seal::Sealer& sealer, const std::string& workspace) {
  Found found;
  auto store = backend.load_store();
  if (!store.ok()) return store.error();
  found.store = std::move(*store);
  auto settings = backend.load_workspace(workspace);
  if (!settings.ok()) return settings.error();
  found.workspace = std::move(*settings);

  if (!found.store) {
    auto others = backend.list_workspaces({}, 1);
    if (!others.ok()) return others.error();
    if (found.workspace || !others->empty()) {
      return rules::tampered("the record of the store is missing although it has workspaces: the store");
    }
    return found;
  }
  if (auto no = refusal(sealer.verify(*found.store), found.store->seal_key_id)) return *no;
  if (found.workspace) {
    const WorkspaceRecord& record = *found.workspace;
    if (record.workspace != workspace) return not_this_key();
    if (auto no = refusal(sealer.verify(found.store->id, record), record.seal_key_id)) return *no;
  }
  return found;
}

Bytes16 drawn(RandomSource& random) {
  Bytes16 birth;
  random.fill(birth);
  return birth;
}

/// Makes the workspace, and the store with the first of them. `conflict`: somebody else did.
Result<void> create(Backend& backend, const seal::Sealer& sealer, RandomSource& random, UnixMillis now,
                    const std::string& workspace, std::optional<StoreRecord> store) {
  if (auto good = check_never_used(backend, workspace); !good.ok()) return good;
  std::vector<Mutation> batch;
  if (store) {
    batch.push_back(Mutation::check(RecordKind::store, {}, store->revision));
  } else {
    store.emplace();
    store->id = drawn(random);
    store->created_at = now;
    store->revision = 1;
    sealer.seal(*store);
    batch.push_back(Mutation::put(*store, 0));
  }
  WorkspaceRecord fresh;
  fresh.workspace = workspace;
  fresh.birth = drawn(random);
  fresh.created_at = now;
  fresh.revision = 1;
  rules::set_policy(fresh, Policy{});
  sealer.seal(store->id, fresh);
  const seal::Place place{store->id, workspace, fresh.birth};
  batch.push_back(Mutation::put(std::move(fresh), 0));
  seal::SealedAnnouncement announcement(sealer, place);
  announcement.name_changes(batch);
  const CommitResult done = backend.commit(workspace, batch, &announcement);
  switch (done.outcome) {
    case CommitOutcome::committed:
      return {};
    case CommitOutcome::conflict:
      return Error(Status::conflict, "somebody else makes the same workspace");
    case CommitOutcome::failed:
    case CommitOutcome::unknown:
      break;
  }
  return done.error.value_or(Error(Status::unavailable, "storage failed while the workspace was made; open it again"));
}

/// Where the records of a workspace belong, which is made first if it has to be.
Result<seal::Place> find_place(Backend& backend, const seal::Sealer& sealer, const StoreOptions& options) {
  auto found = look(backend, sealer, options.workspace);
  if (found.ok() && !found->workspace) {
    if (!options.create_workspace || backend.read_only()) {
      return Error(Status::not_found, "there is no workspace of this name; open it for writing once to create it");
    }
    const auto random = options.random ? options.random : system_random();
    const auto clock = options.clock ? options.clock : system_clock();
    auto made = create(backend, sealer, *random, clock->wall(), options.workspace, std::move(found->store));
    // Whoever was faster made what is read now.
    if (!made.ok() && made.status() != Status::conflict) return made.error();
    found = look(backend, sealer, options.workspace);
  }
  if (!found.ok()) return found.error();
  if (!found->workspace) {
    return Error(Status::unavailable, "the workspace that was just made cannot be read; check the storage");
  }
  return seal::Place{found->store->id, options.workspace, found->workspace->birth};
}

}  // namespace

TokenStore::TokenStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TokenStore::~TokenStore() {
  impl_->upkeep.reset();
  try {
    // Nobody is left to tell: a last use that cannot be written is lost, as it is in a crash.
    static_cast<void>(impl_->validator.write_all_uses().ok());
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }
}

namespace {

/// The keys that a store is opened with, and what they are watched by.
struct Keys {
  std::unique_ptr<seal::Sealer> sealer;
  std::shared_ptr<KeySource> source;
  std::optional<KeySource::Mark> mark;
};

Result<Keys> ask_for_keys(const std::shared_ptr<KeySource>& source) {
  Keys keys;
  keys.source = source;
  keys.mark = source->mark();
  auto keyring = source->keyring();
  if (!keyring.ok()) return keyring.error();
  auto sealer = seal::Sealer::create(*std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  keys.sealer = *std::move(sealer);
  return keys;
}

/// The same, and asks once more if the keys may have changed under it.
Result<seal::Place> find_place(Backend& backend, Keys& keys, const StoreOptions& options) {
  auto place = find_place(backend, *keys.sealer, options);
  if (place.ok() || place.status() != Status::wrong_key || !keys.source) return place;
  auto later = ask_for_keys(keys.source);
  if (!later.ok() || later->sealer->has_keys_of(*keys.sealer)) return place;
  keys = *std::move(later);
  return find_place(backend, *keys.sealer, options);
}

Result<void> check_opening(const std::shared_ptr<Backend>& backend, const StoreOptions& options) {
  if (!backend) return Error(Status::invalid_argument, "no backend was given");
  if (auto good = rules::check_workspace_name(options.workspace); !good.ok()) return good.error();
  if (!text::is_prefix(options.prefix)) {
    return Error(Status::invalid_argument,
                 "the prefix is not 2 to 24 lower-case letters, digits and single underscores, letter first");
  }
  if (options.use_interval.count() < 1) {
    return Error(Status::invalid_argument, "the interval for writing last uses is below 1 ms");
  }
  return {};
}

Result<std::unique_ptr<TokenStore::Impl>> make(std::shared_ptr<Backend> backend, Keys keys, StoreOptions options) {
  auto place = find_place(*backend, keys, options);
  if (!place.ok()) return place.error();
  const auto pause = std::min(options.use_interval, longest_upkeep_pause);
  const bool upkeep_thread = options.upkeep_thread;
  auto sealer = std::make_unique<seal::LiveSealer>(std::move(keys.sealer), std::move(keys.source), keys.mark);
  auto impl =
      std::make_unique<TokenStore::Impl>(std::move(backend), std::move(sealer), *std::move(place), std::move(options));
  if (upkeep_thread) impl->start_upkeep(pause);
  return impl;
}

}  // namespace

Result<std::unique_ptr<TokenStore>> TokenStore::open(std::shared_ptr<Backend> backend, Keyring keyring,
                                                     StoreOptions options) {
  if (auto good = check_opening(backend, options); !good.ok()) return good.error();
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  auto impl = make(std::move(backend), Keys{*std::move(sealer), nullptr, {}}, std::move(options));
  if (!impl.ok()) return impl.error();
  return std::unique_ptr<TokenStore>(new TokenStore(*std::move(impl)));
}

Result<std::unique_ptr<TokenStore>> TokenStore::open(std::shared_ptr<Backend> backend, std::shared_ptr<KeySource> keys,
                                                     StoreOptions options) {
  if (auto good = check_opening(backend, options); !good.ok()) return good.error();
  if (!keys) return Error(Status::invalid_argument, "no source of keys was given");
  auto asked = ask_for_keys(keys);
  if (!asked.ok()) return asked.error();
  auto impl = make(std::move(backend), *std::move(asked), std::move(options));
  if (!impl.ok()) return impl.error();
  return std::unique_ptr<TokenStore>(new TokenStore(*std::move(impl)));
}

Verdict TokenStore::validate(std::string_view text, const Demand& demand) noexcept {
  Verdict verdict;
  impl_->validator.validate(text, demand, verdict);
  return verdict;
}

void TokenStore::validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  impl_->validator.validate(text, demand, verdict);
}

bool TokenStore::try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  return impl_->validator.try_validate(text, demand, verdict);
}

Result<bool> TokenStore::maintain(std::chrono::milliseconds budget) {
  const auto left = impl_->maintain(budget);
  if (!left.ok()) return left.error();
  return left->uses || left->storage;
}
Statistics TokenStore::statistics() const noexcept {
  Statistics figures = impl_->validator.statistics();
  figures.keys_taken = impl_->sealer->taken();
  figures.keys_refused = impl_->sealer->refused();
  return figures;
}

std::optional<Unavailability> TokenStore::why_unavailable() const {
  return impl_->validator.why_unavailable();
}
std::string TokenStore::scanner_pattern() const {
  return text::scanner_pattern(impl_->prefix);
}
const std::string& TokenStore::workspace() const noexcept {
  return impl_->workspace;
}
const std::string& TokenStore::prefix() const noexcept {
  return impl_->prefix;
}
UnixMillis TokenStore::now() noexcept {
  return impl_->clock.now();
}

}  // namespace tokenstore

// ---- src/store/owners.cpp ------------------------------------------------------------------------------------

/// Owners: settings, suspending and resuming.


namespace tokenstore {

namespace {

/// Reads the owner's record (or starts one), lets `change` alter it, and stores it unless `change`
/// says that it is as it should be.
Result<OwnerInfo> change_owner(TokenStore::Impl& store, const Actor& actor, std::string_view owner,
                               const std::function<bool(OwnerRecord&)>& change) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  auto answer = store.retrying<OwnerInfo>([&]() -> Result<OwnerInfo> {
    auto record = store.load_or_start_owner(owner);
    if (!record.ok()) return record.error();
    const bool changed = change(*record);
    OwnerInfo info = rules::describe(*record);
    if (!changed && record->revision != 0) return info;
    std::vector<Mutation> batch;
    if (record->revision == 0) {
      // As in an issue: of a record that is new, nothing else says by which key it is to be sealed.
      auto workspace = store.load_workspace();
      // One that denies everything is no reason not to stop somebody.
      if (!workspace.ok() && workspace.status() != Status::tampered) return workspace.error();
      if (workspace.ok()) {
        store.sealer_after(workspace->seal_key_id);
        batch.push_back(Mutation::check(RecordKind::workspace, store.workspace, workspace->revision));
      }
    }
    batch.push_back(store.next_revision(std::move(*record)));
    if (auto done = store.commit(batch); !done.ok()) return done.error();
    return info;
  });
  // A record that does not verify denies the owner: everybody has to look.
  if (auto told = store.end_for_others(answer.status(), RecordKind::owner, owner); !told.ok()) return told.error();
  return answer;
}

}  // namespace

Result<OwnerInfo> TokenStore::owner(const Actor& actor, std::string_view owner) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  if (!rules::may_act_on(actor, owner)) return rules::no_such_owner();
  auto loaded = impl_->load_owner(owner);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::no_such_owner();
  return rules::describe(**loaded);
}

Result<OwnerPage> TokenStore::list_owners(const Actor& actor, std::string_view cursor, std::size_t limit) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (limit < 1 || limit > page_max) {
    return Error(Status::invalid_argument, fmt::format("a page holds 1 to {} owners", page_max));
  }
  const auto is_name = [](std::string_view name) { return rules::check_owner_name(name).ok(); };
  auto after = Cursor::key_of(Walk::owners, cursor, is_name);
  if (!after.ok()) return after.error();
  auto list = impl_->backend->list_owners(impl_->workspace, *after, limit);
  if (!list.ok()) return list.error();
  OwnerPage page;
  for (const OwnerRecord& record : list->owners) {
    // Nobody could act on it by its name; check() names it.
    if (!is_name(record.owner)) continue;
    if (impl_->sealer->is_genuine(impl_->place, record)) {
      page.owners.push_back(rules::describe(record));
    } else {
      OwnerInfo info;
      info.owner = record.owner;
      info.settings = {false, false};
      info.tampered = true;
      page.owners.push_back(std::move(info));
    }
  }
  if (list->more && !list->owners.empty()) {
    const std::string& last = list->owners.back().owner;
    page.next = Cursor::behind(Walk::owners, last, is_name(last));
  }
  return page;
}

Result<OwnerInfo> TokenStore::set_owner(const Actor& actor, std::string_view owner, const OwnerSettings& settings) {
  auto answer = change_owner(*impl_, actor, owner, [&](OwnerRecord& record) {
    if (record.may_issue == settings.may_issue && record.may_use == settings.may_use) return false;
    record.may_issue = settings.may_issue;
    record.may_use = settings.may_use;
    return true;
  });
  if (answer.ok() || !settings.may_use) {
    remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::may_not_use, answer.status());
  }
  return answer;
}

Result<OwnerInfo> TokenStore::suspend(const Actor& actor, std::string_view owner, std::string_view reason) {
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  const auto stop = [&](OwnerRecord& record) {
    if (record.suspended_at != not_ended) return false;
    record.suspended_at = impl_->clock.now();
    record.suspended_by = rules::actor_label(actor);
    record.suspend_reason = reason;
    return true;
  };
  auto answer = change_owner(*impl_, actor, owner, stop);
  remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::suspension, answer.status());
  return answer;
}

Result<OwnerInfo> TokenStore::resume(const Actor& actor, std::string_view owner) {
  auto answer = change_owner(*impl_, actor, owner, [](OwnerRecord& record) {
    if (record.suspended_at == not_ended) return false;
    record.suspended_at = not_ended;
    record.suspended_by.clear();
    record.suspend_reason.clear();
    return true;
  });
  if (answer.ok()) impl_->validator.denials().allow_owner(owner, validate::OwnerStop::suspension);
  return answer;
}

}  // namespace tokenstore

// ---- src/store/policy.cpp ------------------------------------------------------------------------------------

/// The workspace's policy.

namespace tokenstore {

Result<Policy> TokenStore::policy(const Actor& actor) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  auto record = impl_->load_workspace();
  if (!record.ok()) return record.error();
  return rules::policy_of(*record);
}

Result<Policy> TokenStore::set_policy(const Actor& actor, const Policy& policy) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (auto good = rules::check_policy(policy); !good.ok()) return good.error();
  auto answer = impl_->retrying<Policy>([&]() -> Result<Policy> {
    auto record = impl_->load_workspace();
    if (!record.ok()) return record.error();
    rules::set_policy(*record, policy);
    const Mutation batch[] = {impl_->next_revision(std::move(*record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return policy;
  });
  validate::Denials& denials = impl_->validator.denials();
  if (answer.ok()) {
    denials.allow_everything();
  } else if (!policy.tokens_enabled) {
    remember_switching_off(denials, answer.status());
  }
  return answer;
}

}  // namespace tokenstore

// ---- src/store/purging.cpp -----------------------------------------------------------------------------------

/// Purging what ended.


namespace tokenstore {

namespace {

/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t purge_slice = 500;
}  // namespace

Result<PurgeResult> TokenStore::purge(const Actor& actor, UnixMillis ended_before, std::chrono::milliseconds budget) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (ended_before > impl_->clock.now()) {
    return Error(Status::invalid_argument,
                 "tokens can be purged that ended before a time gone by; the time lies ahead");
  }
  if (budget.count() < 1) return Error(Status::invalid_argument, "the time budget is below 1 ms");
  const std::int64_t stop_at = impl_->clock.monotonic() + std::min(budget, longest_budget).count();
  PurgeResult result;
  do {
    auto ended = impl_->backend->list_ended(impl_->workspace, ended_before, purge_slice);
    if (!ended.ok()) return ended.error();
    if (ended->empty()) {
      result.complete = true;
      return result;
    }
    std::vector<Mutation> batch;
    for (EndedToken& token : *ended) batch.push_back(Mutation::remove_token(std::move(token.id), token.revision));
    auto done = impl_->commit(batch);
    if (done.ok()) {
      result.removed += batch.size();
    } else if (done.status() != Status::conflict) {
      return done.error();
    }
    // A conflict is somebody else ending or purging the same tokens: look again.
  } while (impl_->clock.monotonic() < stop_at);
  return result;
}

}  // namespace tokenstore

// ---- src/store/resealing.cpp ---------------------------------------------------------------------------------

/// Sealing records anew under the active key, so that another one can be taken out of the keyring.


namespace tokenstore {

namespace {

/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t slice = 200;

class Reseal {
 public:
  Reseal(TokenStore::Impl& store, std::int64_t stop_at) : store_(store), stop_at_(stop_at) {}

  Result<ResealResult> run(std::string_view cursor) {
    store_.sealer->look(store_.sealer->now());
    std::string after;
    if (cursor.empty()) {
      if (auto done = settings(); !done.ok()) return done.error();
    } else if (Cursor::is_of(Walk::owners, cursor)) {
      auto key = Cursor::key_of(Walk::owners, cursor,
                                [](std::string_view name) { return rules::check_owner_name(name).ok(); });
      if (!key.ok()) return key.error();
      after = std::move(*key);
    }
    std::string before;
    if (Cursor::is_of(Walk::tokens, cursor)) {
      auto key = Cursor::key_of(Walk::tokens, cursor, text::is_id);
      if (!key.ok()) return key.error();
      before = std::move(*key);
    } else if (cursor.empty() || Cursor::is_of(Walk::owners, cursor)) {
      auto done = owners(std::move(after));
      if (!done.ok()) return done.error();
      if (!*done) return std::move(result_);
    } else {
      return Cursor::unknown();
    }
    if (auto done = tokens(std::move(before)); !done.ok()) return done.error();
    return std::move(result_);
  }

 private:
  bool time_is_over() { return store_.clock.monotonic() >= stop_at_; }

  /// Adds a step that seals a record anew, if it is to be.
  template <typename Where, typename Record>
  void consider(const Where& where, Record record, std::vector<Mutation>& batch) {
    if (!store_.sealer->is_genuine(where, record)) {
      ++result_.refused;
    } else if (record.seal_key_id == store_.sealer->now().active_key_id()) {
      ++result_.kept;
    } else {
      const RecordRevision expected = record.revision++;
      store_.sealer->now().seal(where, record);
      batch.push_back(Mutation::put(std::move(record), expected));
    }
  }

  /// Whoever changed one of the records meanwhile has sealed it anew; the others are tried again.
  Result<void> commit(const std::vector<Mutation>& batch) {
    if (batch.empty()) return {};
    auto done = store_.commit(batch);
    if (done.ok()) result_.resealed += batch.size();
    return done;
  }

  /// Reads a slice and commits it until nobody came in between. What was counted of a try that failed does not count.
  template <typename Attempt>
  Result<bool> retrying(const Attempt& attempt) {
    return store_.retrying<bool>([&]() -> Result<bool> {
      const ResealResult before = result_;
      auto done = attempt();
      if (!done.ok()) result_ = before;
      return done;
    });
  }

  Result<void> settings() {
    auto done = retrying([&]() -> Result<bool> {
      std::vector<Mutation> batch;
      auto store = store_.backend->load_store();
      if (!store.ok()) return store.error();
      if (store->has_value()) {
        StoreRecord& record = **store;
        if (store_.sealer->verify(record) != seal::SealCheck::genuine) {
          ++result_.refused;
        } else if (record.seal_key_id == store_.sealer->now().active_key_id()) {
          ++result_.kept;
        } else {
          const RecordRevision expected = record.revision++;
          store_.sealer->now().seal(record);
          batch.push_back(Mutation::put(std::move(record), expected));
        }
      }
      auto workspace = store_.backend->load_workspace(store_.workspace);
      if (!workspace.ok()) return workspace.error();
      if (workspace->has_value()) consider(store_.place.store, std::move(**workspace), batch);
      if (auto committed = commit(batch); !committed.ok()) return committed.error();
      return true;
    });
    if (!done.ok()) return done.error();
    return {};
  }

  /// False: the time was over.
  Result<bool> owners(std::string after) {
    for (;;) {
      bool more = false;
      std::string last;
      auto done = retrying([&]() -> Result<bool> {
        auto list = store_.backend->list_owners(store_.workspace, after, slice);
        if (!list.ok()) return list.error();
        more = list->more && !list->owners.empty();
        if (more) last = list->owners.back().owner;
        std::vector<Mutation> batch;
        for (OwnerRecord& record : list->owners) consider(store_.place, std::move(record), batch);
        if (auto committed = commit(batch); !committed.ok()) return committed.error();
        return true;
      });
      if (!done.ok()) return done;
      if (!more) return true;
      after = std::move(last);
      if (time_is_over()) {
        result_.next = Cursor::behind(Walk::owners, after, rules::check_owner_name(after).ok());
        return false;
      }
    }
  }

  Result<void> tokens(std::string before) {
    TokenQuery query;
    query.limit = slice;
    query.before_id = std::move(before);
    for (;;) {
      std::string next;
      auto done = retrying([&]() -> Result<bool> {
        auto list = store_.list_part(query);
        if (!list.ok()) return list.error();
        next = std::move(list->next_before_id);
        std::vector<Mutation> batch;
        for (TokenRecord& record : list->tokens) consider(store_.place, std::move(record), batch);
        if (auto committed = commit(batch); !committed.ok()) return committed.error();
        return true;
      });
      if (!done.ok()) return done.error();
      if (next.empty()) return {};
      query.before_id = std::move(next);
      if (time_is_over()) {
        result_.next = Cursor::behind(Walk::tokens, query.before_id, text::is_id(query.before_id));
        return {};
      }
    }
  }

  TokenStore::Impl& store_;
  const std::int64_t stop_at_;
  ResealResult result_;
};

}  // namespace

Result<ResealResult> TokenStore::reseal(const Actor& actor, std::string_view cursor, std::chrono::milliseconds budget) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (budget.count() < 1) return Error(Status::invalid_argument, "the time budget is below 1 ms");
  if (impl_->backend->read_only()) {
    return Error(Status::read_only, "the store is open for reading only; open it for writing");
  }
  return Reseal(*impl_, impl_->clock.monotonic() + std::min(budget, longest_budget).count()).run(cursor);
}

}  // namespace tokenstore

// ---- src/store/rules.cpp -------------------------------------------------------------------------------------

namespace tokenstore::rules {

namespace {

Error invalid(std::string message) {
  return {Status::invalid_argument, std::move(message)};
}

/// A length of time for people: exact, in the largest unit that divides it.
std::string duration_text(std::int64_t millis) {
  if (millis % millis_per_day == 0) return fmt::format("{} days", millis / millis_per_day);
  if (millis % 1000 == 0) return fmt::format("{} seconds", millis / 1000);
  return fmt::format("{} ms", millis);
}

}  // namespace

Result<void> check_actor(const Actor& actor) {
  if (actor.kind() == Actor::Kind::host) return {};
  return base::check_text("actor's name", actor.name(), 1, owner_max);
}

std::string actor_label(const Actor& actor) {
  switch (actor.kind()) {
    case Actor::Kind::user:
      return "user:" + actor.name();
    case Actor::Kind::administrator:
      return "administrator:" + actor.name();
    case Actor::Kind::host:
      break;
  }
  return "host";
}

bool may_act_on(const Actor& actor, std::string_view owner) noexcept {
  return actor.kind() != Actor::Kind::user || actor.name() == owner;
}

Result<void> require_administrator(const Actor& actor) {
  if (auto known = check_actor(actor); !known.ok()) return known;
  if (actor.kind() != Actor::Kind::user) return {};
  return Error(Status::permission_denied, "only an administrator or the host may do this");
}

Result<void> check_owner_name(std::string_view owner) {
  return base::check_text("owner's name", owner, 1, owner_max);
}

Result<void> check_workspace_name(std::string_view workspace) {
  return base::check_text("workspace's name", workspace, 1, workspace_max);
}

Result<void> check_reason(std::string_view reason) {
  return base::check_text("reason", reason, 0, reason_max);
}

Result<void> check_request(const IssueRequest& request) {
  if (auto good = check_owner_name(request.owner); !good.ok()) return good;
  if (auto good = base::check_text("description", request.description, 0, description_max); !good.ok()) return good;
  if (request.metadata.size() > metadata_max) {
    return invalid(
        fmt::format("the metadata is {} octets long; give at most {}", request.metadata.size(), metadata_max));
  }
  if (request.scopes.size() > scopes_max) {
    return invalid(fmt::format("{} scopes were given; give at most {}", request.scopes.size(), scopes_max));
  }
  for (const std::string& scope : request.scopes) {
    if (!base::is_scope(scope)) {
      return invalid(fmt::format(
          "a scope is not 1 to {} characters of printable ASCII without space, quote and backslash (RFC 6749, "
          "section 3.3)",
          scope_max));
    }
  }
  if (!request.lifetime.is_valid()) {
    return invalid(
        "the lifetime is negative or too large; give milliseconds above 0, 0 for the policy's default, or never");
  }
  if (request.not_before && (*request.not_before < 0 || *request.not_before > latest_time)) {
    return invalid("the not-before time is outside the years 1970 to 9999");
  }
  return {};
}

Result<void> check_policy(const Policy& policy) {
  if (policy.longest_lifetime < 1) return invalid("the longest lifetime is below 1 ms; give a longer one, or no limit");
  if (policy.default_lifetime < 1 || policy.default_lifetime > latest_time) {
    return invalid("the default lifetime is not between 1 ms and the year 9999");
  }
  return {};
}

std::string canonical_scopes(std::vector<std::string> scopes) {
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return fmt::format("{}", fmt::join(scopes, " "));
}

Result<UnixMillis> end_of_life(const Policy& policy, Lifetime lifetime, UnixMillis now) {
  if (!lifetime.is_valid()) return invalid("the lifetime is negative");
  // A creation time that cannot be written down, and sums that would overflow.
  if (now < 0 || now > latest_time) {
    return invalid("the clock is outside the years 1970 to 9999; set it right before issuing tokens");
  }
  if (lifetime.is_never()) {
    if (policy.never_allowed) return never;
    return Error(Status::refused, "the workspace's policy does not allow tokens that never expire; give a lifetime");
  }
  const std::int64_t length =
      lifetime.is_default() ? std::min(policy.default_lifetime, policy.longest_lifetime) : lifetime.count();
  if (length > policy.longest_lifetime) {
    return Error(Status::refused,
                 fmt::format("a lifetime of {} is longer than the workspace's policy allows; give at most {}",
                             duration_text(length), duration_text(policy.longest_lifetime)));
  }
  if (length > latest_time - now) {
    return invalid("the token would expire after the year 9999; give a shorter lifetime");
  }
  return now + length;
}

TokenState state_at(const TokenRecord& record, UnixMillis now) noexcept {
  if (record.revoked_at != not_ended) return TokenState::revoked;
  if (record.expired_at != not_ended || record.expires_at <= now) return TokenState::expired;
  if (record.not_before > now) return TokenState::pending;
  return TokenState::active;
}

TokenInfo describe(const TokenRecord& record, UnixMillis now) {
  TokenInfo info;
  info.id = record.id;
  info.owner = record.owner;
  info.description = record.description;
  for (std::size_t from = 0; from < record.scopes.size();) {
    const std::size_t to = std::min(record.scopes.find(' ', from), record.scopes.size());
    info.scopes.push_back(record.scopes.substr(from, to - from));
    from = to + 1;
  }
  info.metadata = record.metadata;
  info.state = state_at(record, now);
  info.created_at = record.created_at;
  info.created_by = record.created_by;
  info.not_before = record.not_before == 0 ? record.created_at : record.not_before;
  info.expires_at = record.expires_at;
  if (record.revoked_at != not_ended) info.revoked_at = record.revoked_at;
  info.revoked_by = record.revoked_by;
  info.revoke_reason = record.revoke_reason;
  if (record.last_used_at != 0) info.last_used_at = record.last_used_at;
  info.last_used_from = record.last_used_from;
  return info;
}

TokenInfo describe_tampered(const TokenRecord& record) {
  TokenInfo info;
  info.id = record.id;
  info.state = TokenState::tampered;
  return info;
}

OwnerInfo describe(const OwnerRecord& record) {
  OwnerInfo info;
  info.owner = record.owner;
  info.settings = {record.may_issue, record.may_use};
  info.suspended = record.suspended_at != not_ended;
  if (info.suspended) info.suspended_at = record.suspended_at;
  info.suspended_by = record.suspended_by;
  info.suspend_reason = record.suspend_reason;
  return info;
}

Policy policy_of(const WorkspaceRecord& record) noexcept {
  Policy policy;
  policy.tokens_enabled = record.tokens_enabled;
  policy.users_may_issue = record.users_may_issue;
  policy.never_allowed = record.never_allowed;
  policy.longest_lifetime = record.longest_lifetime;
  policy.default_lifetime = record.default_lifetime;
  policy.most_active_per_owner = record.most_active_per_owner;
  return policy;
}

void set_policy(WorkspaceRecord& record, const Policy& policy) noexcept {
  record.tokens_enabled = policy.tokens_enabled;
  record.users_may_issue = policy.users_may_issue;
  record.never_allowed = policy.never_allowed;
  record.longest_lifetime = policy.longest_lifetime;
  record.default_lifetime = policy.default_lifetime;
  record.most_active_per_owner = policy.most_active_per_owner;
}

bool storage_was_not_told(Status status) noexcept {
  return status == Status::unavailable || status == Status::unknown || status == Status::storage_full ||
         status == Status::cannot_open || status == Status::not_a_store || status == Status::newer_schema ||
         status == Status::out_of_memory || status == Status::internal;
}

Error no_such_token() {
  return {Status::not_found, "there is no token with this id"};
}
Error no_such_owner() {
  return {Status::not_found, "there are no settings of an owner of this name"};
}

Error tampered(std::string_view what) {
  return {Status::tampered, fmt::format("{} was changed outside the library; run a check of the store", what)};
}

}  // namespace tokenstore::rules

// ---- src/store/store_impl.cpp --------------------------------------------------------------------------------

namespace tokenstore {

namespace {

constexpr std::chrono::milliseconds upkeep_budget{50};

template <typename T>
std::shared_ptr<T> or_else(std::shared_ptr<T> given, std::shared_ptr<T> (*make)()) {
  return given ? std::move(given) : make();
}

}  // namespace

TokenStore::Impl::Impl(std::shared_ptr<Backend> storage, std::unique_ptr<seal::LiveSealer> seals, seal::Place where,
                       StoreOptions options)
    : backend(std::move(storage)),
      sealer(std::move(seals)),
      random(or_else(std::move(options.random), system_random)),
      clock(or_else(std::move(options.clock), system_clock)),
      place(std::move(where)),
      prefix(std::move(options.prefix)),
      validator({*backend, *sealer, clock, *random, place, prefix, options.cache_bytes, options.use_interval, [this] {
                   if (upkeep) start_upkeep(upkeep_pause);
                 }}) {
  const auto fits = [this](const seal::Sealer& others) {
    const auto store = backend->load_store();
    // What cannot be read now denies by itself. A retired key is this store's too, and must not be kept in use.
    if (!store.ok() || !store->has_value()) return true;
    const seal::SealCheck check = others.verify(**store);
    return check == seal::SealCheck::genuine || check == seal::SealCheck::retired_key;
  };
  sealer->watch(fits, [this] { validator.keys_changed(); });
}

const seal::Sealer& TokenStore::Impl::sealer_after(std::string_view sealed_with) noexcept {
  const seal::Sealer& known = sealer->now();
  if (sealed_with.empty() || sealed_with == known.active_key_id()) return known;
  sealer->look(known);
  return sealer->now();
}

Result<WorkspaceRecord> TokenStore::Impl::load_workspace() {
  auto loaded = backend->load_workspace(workspace);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::tampered("the record of this workspace is missing: the store");
  WorkspaceRecord& record = **loaded;
  if (record.workspace != workspace || record.birth != place.workspace_birth ||
      !sealer->is_genuine(place.store, record)) {
    return rules::tampered("the record of this workspace");
  }
  return std::move(record);
}

Result<std::optional<OwnerRecord>> TokenStore::Impl::load_owner(std::string_view owner) {
  auto loaded = backend->load_owner(workspace, owner);
  if (!loaded.ok() || !loaded->has_value()) return loaded;
  const OwnerRecord& record = **loaded;
  if (record.owner != owner || !sealer->is_genuine(place, record)) {
    return rules::tampered("the record of this owner");
  }
  return loaded;
}

Result<OwnerRecord> TokenStore::Impl::load_or_start_owner(std::string_view owner) {
  auto loaded = load_owner(owner);
  if (!loaded.ok()) return loaded.error();
  if (loaded->has_value()) return std::move(**loaded);
  OwnerRecord fresh;
  fresh.owner = owner;
  fresh.birth = new_birth();
  return fresh;
}

Result<TokenRecord> TokenStore::Impl::load_visible_token(const Actor& actor, std::string_view id) {
  if (!text::is_id(id)) return rules::no_such_token();
  auto loaded = backend->load_token(workspace, id);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::no_such_token();
  TokenRecord& record = **loaded;
  // Before the seal: a user learns nothing of a record that does not even claim to be theirs.
  if (!rules::may_act_on(actor, record.owner)) return rules::no_such_token();
  if (record.id != id || !sealer->is_genuine(place, record)) {
    return rules::tampered("the record of this token");
  }
  return std::move(record);
}

Result<TokenList> TokenStore::Impl::list_part(const TokenQuery& query) {
  auto list = backend->list_tokens(workspace, query);
  if (list.ok() && !query.before_id.empty() && list->next_before_id >= query.before_id) {
    return Error(Status::internal, "the storage backend lists the same tokens again and again; it must be repaired");
  }
  return list;
}

Mutation TokenStore::Impl::next_revision(TokenRecord record) {
  const RecordRevision expected = record.revision++;
  sealer_after(record.seal_key_id).seal(place, record);
  return Mutation::put(std::move(record), expected);
}

Mutation TokenStore::Impl::next_revision(OwnerRecord record) {
  const RecordRevision expected = record.revision++;
  sealer_after(record.seal_key_id).seal(place, record);
  return Mutation::put(std::move(record), expected);
}

Mutation TokenStore::Impl::next_revision(WorkspaceRecord record) {
  const RecordRevision expected = record.revision++;
  sealer_after(record.seal_key_id).seal(place.store, record);
  return Mutation::put(std::move(record), expected);
}

Bytes16 TokenStore::Impl::new_birth() const {
  Bytes16 birth;
  random->fill(birth);
  return birth;
}

Result<void> TokenStore::Impl::commit(std::span<const Mutation> batch) {
  seal::SealedAnnouncement announcement(sealer->now(), place);
  announcement.name_changes(batch);
  return commit(batch, &announcement);
}

Result<void> TokenStore::Impl::commit_unannounced(std::span<const Mutation> batch) {
  return commit(batch, nullptr);
}

Result<void> TokenStore::Impl::announce(RecordKind kind, std::string_view key) {
  seal::SealedAnnouncement announcement(sealer->now(), place);
  announcement.name(kind, key);
  return commit({}, &announcement);
}

Result<void> TokenStore::Impl::commit(std::span<const Mutation> batch, const seal::SealedAnnouncement* announcement) {
  if (backend->read_only()) return Error(Status::read_only, "the store is open for reading only; open it for writing");
  const CommitResult done = backend->commit(workspace, batch, announcement);
  // Before the caller is told, and whether or not the backend's pulse moves.
  const bool committed = done.outcome == CommitOutcome::committed;
  if (committed || done.outcome == CommitOutcome::unknown) {
    const std::string_view entry = announcement != nullptr ? announcement->entry() : std::string_view();
    validator.committed(batch, entry, committed ? done.revision : 0);
  }
  return outcome_of(done);
}

Result<void> TokenStore::Impl::outcome_of(const CommitResult& done) {
  switch (done.outcome) {
    case CommitOutcome::committed:
      return {};
    case CommitOutcome::conflict:
      return Error(Status::conflict, "somebody else changed the same record at the same time; ask again");
    case CommitOutcome::unknown:
      return Error(Status::unknown, done.error
                                        ? done.error->message()
                                        : "storage failed while committing; read to find out whether it happened");
    case CommitOutcome::failed:
      break;
  }
  // A backend that fails in a way it has no word for must not look like "committed" or "conflict".
  const bool worded = done.error && done.error->status() != Status::ok && done.error->status() != Status::conflict;
  return worded ? *done.error : Error(Status::unavailable, "storage failed; nothing was changed");
}

Result<TokenStore::Impl::Left> TokenStore::Impl::maintain(std::chrono::milliseconds budget) {
  sealer->look(sealer->now(), seal::LiveSealer::Ask::by_mark);
  if (backend->read_only()) return Left{};
  budget = std::clamp(budget, std::chrono::milliseconds(0), longest_budget);
  const std::int64_t start = clock.monotonic();
  auto uses = validator.write_due_uses(budget);
  // The backend's turn comes in any case: a lease may depend on it.
  const std::chrono::milliseconds spent(clock.monotonic() - start);
  auto rest = backend->maintain(budget - std::min(budget, spent));
  if (!uses.ok() || !rest.ok()) return uses.ok() ? rest.error() : uses.error();
  return Left{*uses, *rest};
}

void TokenStore::Impl::start_upkeep(std::chrono::milliseconds pause) {
  upkeep_pause = pause;
  upkeep = std::make_unique<UpkeepThread>(pause, [this] {
    try {
      // A failure shows in the statistics and is tried again at the next turn.
      const auto left = maintain(upkeep_budget);
      // What storage leaves (somebody still reads the log) is not done sooner by asking more often.
      return left.ok() && left->uses;
    } catch (...) {
      return false;  // no memory now, perhaps at the next turn
    }
  });
}

}  // namespace tokenstore

// ---- include/tokenstore/transfer.hpp -------------------------------------------------------------------------

/// Copying a whole store from one storage to another while the first is in use: every workspace, owner and token, and
/// the store's own record, so that the copy is the same store and every seal in it verifies.
///
/// Thread use: one thread calls; both backends may be used by others meanwhile. Nothing is owned.



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

/// Makes `to` hold what `from` holds: an empty storage, or an earlier copy. The keyring is the store's: the source's
/// change feed is only followed where it is genuine, and the target's is told of what changes there. `wrong_key` if it
/// is not, `conflict` if the target is another store, holds newer records or more tokens than the source.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options = {});

}  // namespace tokenstore

// ---- src/transfer/mirror.hpp ---------------------------------------------------------------------------------

/// Makes one workspace of a storage hold what it holds in another, while the other is in use. Sealed records are
/// copied as they are, so their seals stay valid.
///
/// One thread; borrows everything.



namespace tokenstore::transfer {

struct MirrorCounts {
  std::uint64_t tokens = 0;     ///< seen in the source
  std::uint64_t owners = 0;     ///< seen in the source
  std::uint64_t written = 0;    ///< records put or removed
  std::uint64_t different = 0;  ///< records that differed when they were compared last
};

class Mirror {
 public:
  /// `delete_extra`: what only the target has goes; else finding such a thing is a `conflict`. `progress(tokens)`:
  /// false asks to stop.
  Mirror(Backend& from, Backend& to, const seal::Sealer& sealer, const seal::Place& place, bool delete_extra,
         std::function<bool(std::uint64_t)> progress)
      : from_(from),
        to_(to),
        sealer_(sealer),
        place_(place),
        delete_extra_(delete_extra),
        progress_(std::move(progress)) {}

  /// Copies the workspace, then follows the source's change feed until nothing changes any more.
  Result<MirrorCounts> copy();
  /// Counts what differs; changes nothing.
  Result<std::uint64_t> differences();

 private:
  struct Pages;

  Result<void> copy_settings();
  Result<void> copy_owners();
  /// Walks both lists side by side.
  Result<void> walk_tokens(bool only_count);
  Result<void> walk_owners(const std::function<Result<void>(const OwnerRecord&)>& each);
  Result<void> take_extra(const TokenRecord& extra);
  Result<void> take_wanted(const TokenRecord& wanted, const TokenRecord* there);
  Result<void> follow(Changes position);
  Result<void> apply(const seal::ChangedRecord& changed);
  Result<void> add(Mutation mutation);
  Result<void> flush();

  const std::string& workspace() const noexcept { return place_.workspace; }

  Backend& from_;
  Backend& to_;
  const seal::Sealer& sealer_;
  const seal::Place& place_;
  const bool delete_extra_;
  std::function<bool(std::uint64_t)> progress_;
  MirrorCounts counts_;
  std::uint64_t different_ = 0;
  std::vector<Mutation> batch_;
  std::vector<Use> uses_;
};

}  // namespace tokenstore::transfer

// ---- src/transfer/copy.cpp -----------------------------------------------------------------------------------

// Every workspace of a store, one after the other.


namespace tokenstore {
namespace {

constexpr std::size_t workspaces_at_once = 100;

Error not_this_key(std::string_view what) {
  return {Status::wrong_key,
          fmt::format("{} does not verify under this keyring; give the keyring that the store was made with", what)};
}

/// The record that makes both the same store, as it stands in the target afterwards.
Result<StoreRecord> copy_record(Backend& from, Backend& to, const seal::Sealer& sealer,
                                std::optional<Mutation>& to_put) {
  auto source = from.load_store();
  if (!source.ok()) return source.error();
  if (!source->has_value()) return Error(Status::not_found, "the source holds no store; name another one");
  if (sealer.verify(**source) != seal::SealCheck::genuine) return not_this_key("the source's record");
  auto target = to.load_store();
  if (!target.ok()) return target.error();
  if (!target->has_value()) {
    to_put = Mutation::put(**source, 0);
    return std::move(**source);
  }
  if ((*target)->id != (*source)->id) {
    return Error(Status::conflict, "the target is another store; name an empty target");
  }
  if ((*target)->revision < (*source)->revision) to_put = Mutation::put(**source, (*target)->revision);
  return std::move(**source);
}

/// New tokens are announced to nobody, so those that came while the others were read are found by comparing.
Result<transfer::MirrorCounts> copy_until_equal(transfer::Mirror& mirror) {
  constexpr int most_rounds = 5;
  std::uint64_t written = 0;
  for (int round = 1;; ++round) {
    auto counts = mirror.copy();
    if (!counts.ok()) return counts;
    counts->written += written;
    auto different = mirror.differences();
    if (!different.ok()) return different.error();
    counts->different = *different;
    if (*different == 0 || round == most_rounds) return counts;
    written = counts->written;
  }
}

}  // namespace

// By value: the sealer takes the keys over.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  std::optional<Mutation> record;
  auto store = copy_record(from, to, **sealer, record);
  if (!store.ok()) return store.error();

  CopyReport report;
  for (std::string after;;) {
    auto page = from.list_workspaces(after, workspaces_at_once);
    if (!page.ok()) return page.error();
    if (page->empty()) return report;
    for (const WorkspaceRecord& workspace : *page) {
      after = workspace.workspace;
      if (!(*sealer)->is_genuine(store->id, workspace)) {
        return not_this_key(fmt::format("the record of the workspace \"{}\"", workspace.workspace));
      }
      const seal::Place place{store->id, workspace.workspace, workspace.birth};
      if (record) {
        // With the first workspace, in whose feed it is named.
        seal::SealedAnnouncement announcement(**sealer, place);
        announcement.name(RecordKind::store, {});
        const CommitResult done = to.commit(place.workspace, {&*record, 1}, &announcement);
        if (done.outcome != CommitOutcome::committed) {
          return done.error.value_or(Error(Status::conflict, "the target is in use by somebody else; copy again"));
        }
        ++report.written;
        record.reset();
      }
      transfer::Mirror mirror(from, to, **sealer, place, options.delete_extra, [&](std::uint64_t tokens) {
        return !options.progress || options.progress(place.workspace, tokens);
      });
      auto counts = copy_until_equal(mirror);
      if (!counts.ok()) return counts.error();
      report.workspaces.push_back(place.workspace);
      report.tokens += counts->tokens;
      report.owners += counts->owners;
      report.written += counts->written;
      report.different += counts->different;
    }
  }
}

}  // namespace tokenstore

// ---- src/transfer/mirror.cpp ---------------------------------------------------------------------------------

namespace tokenstore::transfer {
namespace {

constexpr std::size_t page_size = 500;

Error used_by_another() {
  return {Status::conflict,
          "the target holds newer records than the source: it is in use; name an empty target, or copy the other way"};
}

template <typename Stored>
bool equal(const Stored& one, const Stored& other) {
  return one.revision == other.revision && one.seal == other.seal && one.seal_key_id == other.seal_key_id;
}

/// The step that makes the target's record the source's; none if it is already.
template <typename Stored>
Result<std::optional<Mutation>> step_for(const Stored& source, const Stored* target) {
  if (target == nullptr) return std::optional(Mutation::put(source, 0));
  if (equal(source, *target)) return std::optional<Mutation>();
  if (target->revision >= source.revision) return used_by_another();
  return std::optional(Mutation::put(source, target->revision));
}

template <typename Stored>
const Stored* pointer(const std::optional<Stored>& record) {
  return record ? &*record : nullptr;
}

}  // namespace

/// The tokens of a workspace from the highest id down, a page at a time.
struct Mirror::Pages {
  Pages(Backend& from, const std::string& name) : backend(from), workspace(name) { query.limit = page_size; }

  /// Null: no more.
  Result<const TokenRecord*> current() {
    while (at == page.tokens.size()) {
      if (started && page.next_before_id.empty()) return static_cast<const TokenRecord*>(nullptr);
      query.before_id = page.next_before_id;
      auto next = backend.list_tokens(workspace, query);
      if (!next.ok()) return next.error();
      page = std::move(*next);
      started = true;
      at = 0;
    }
    return static_cast<const TokenRecord*>(&page.tokens[at]);
  }

  Backend& backend;
  const std::string& workspace;
  TokenQuery query{};
  TokenList page{};
  std::size_t at = 0;
  bool started = false;
};

Result<void> Mirror::flush() {
  if (!batch_.empty()) {
    seal::SealedAnnouncement announcement(sealer_, place_);
    announcement.name_changes(batch_);
    CommitResult result = to_.commit(workspace(), batch_, &announcement);
    if (result.outcome == CommitOutcome::conflict) return used_by_another();
    if (result.outcome != CommitOutcome::committed) {
      return result.error.value_or(Error(Status::unavailable, "the target could not be written; copy again"));
    }
    counts_.written += batch_.size();
    batch_.clear();
  }
  if (!uses_.empty()) {
    if (auto noted = to_.record_uses(workspace(), uses_); !noted.ok()) return noted;
  }
  uses_.clear();
  return {};
}

Result<void> Mirror::add(Mutation mutation) {
  batch_.push_back(std::move(mutation));
  if (batch_.size() < page_size) return {};
  return flush();
}

Result<void> Mirror::copy_settings() {
  auto source = from_.load_workspace(workspace());
  if (!source.ok()) return source.error();
  if (!source->has_value()) return {};
  auto target = to_.load_workspace(workspace());
  if (!target.ok()) return target.error();
  auto step = step_for(**source, pointer(*target));
  if (!step.ok()) return step.error();
  return *step ? add(std::move(**step)) : Result<void>{};
}

Result<void> Mirror::walk_owners(const std::function<Result<void>(const OwnerRecord&)>& each) {
  std::string after;
  for (bool more = true; more;) {
    auto page = from_.list_owners(workspace(), after, page_size);
    if (!page.ok()) return page.error();
    more = page->more && !page->owners.empty();
    for (const OwnerRecord& owner : page->owners) {
      if (auto done = each(owner); !done.ok()) return done;
    }
    if (more) after = page->owners.back().owner;
  }
  return {};
}

Result<void> Mirror::copy_owners() {
  auto walked = walk_owners([&](const OwnerRecord& owner) -> Result<void> {
    ++counts_.owners;
    auto target = to_.load_owner(workspace(), owner.owner);
    if (!target.ok()) return target.error();
    auto step = step_for(owner, pointer(*target));
    if (!step.ok()) return step.error();
    return *step ? add(std::move(**step)) : Result<void>{};
  });
  return walked.ok() ? flush() : walked;
}

Result<void> Mirror::take_extra(const TokenRecord& extra) {
  if (delete_extra_) return add(Mutation::remove_token(extra.id, extra.revision));
  return Error(Status::conflict,
               "the target holds tokens that the source does not; have them deleted, or name an "
               "empty target");
}

Result<void> Mirror::take_wanted(const TokenRecord& wanted, const TokenRecord* there) {
  // A new record takes its last use with it.
  if (there != nullptr && wanted.last_used_at > there->last_used_at) {
    uses_.push_back({wanted.id, wanted.last_used_at, wanted.last_used_from});
  }
  auto step = step_for(wanted, there);
  if (!step.ok()) return step.error();
  return *step ? add(std::move(**step)) : Result<void>{};
}

Result<void> Mirror::walk_tokens(bool only_count) {
  Pages source(from_, workspace());
  Pages target(to_, workspace());
  for (;;) {
    auto next = source.current();
    if (!next.ok()) return next.error();
    auto present = target.current();
    if (!present.ok()) return present.error();
    const TokenRecord* wanted = *next;
    const TokenRecord* there = *present;
    if (wanted == nullptr && there == nullptr) break;
    if (wanted == nullptr || (there != nullptr && there->id > wanted->id)) {
      ++different_;
      if (!only_count) {
        if (auto done = take_extra(*there); !done.ok()) return done;
      }
      ++target.at;
      continue;
    }
    if (there != nullptr && wanted->id > there->id) there = nullptr;
    if (there == nullptr || !equal(*wanted, *there)) ++different_;
    if (!only_count) {
      if (auto done = take_wanted(*wanted, there); !done.ok()) return done;
      ++counts_.tokens;
      if (progress_ && !progress_(counts_.tokens))
        return Error(Status::conflict, "the copy was stopped before its end");
    }
    ++source.at;
    if (there != nullptr) ++target.at;
  }
  return flush();
}

Result<void> Mirror::apply(const seal::ChangedRecord& changed) {
  switch (changed.kind) {
    case RecordKind::store:
      return {};  // sealed anew: the record says what it said
    case RecordKind::workspace:
      return copy_settings();
    case RecordKind::owner: {
      auto source = from_.load_owner(workspace(), changed.key);
      if (!source.ok()) return source.error();
      if (!source->has_value()) return {};
      auto target = to_.load_owner(workspace(), changed.key);
      if (!target.ok()) return target.error();
      auto step = step_for(**source, pointer(*target));
      if (!step.ok()) return step.error();
      return *step ? add(std::move(**step)) : Result<void>{};
    }
    case RecordKind::token:
      break;
  }
  auto source = from_.load_token(workspace(), changed.key);
  if (!source.ok()) return source.error();
  auto target = to_.load_token(workspace(), changed.key);
  if (!target.ok()) return target.error();
  if (source->has_value()) return take_wanted(**source, pointer(*target));
  if (!target->has_value()) return {};
  return add(Mutation::remove_token((*target)->id, (*target)->revision));
}

Result<void> Mirror::follow(Changes position) {
  for (;;) {
    auto changes = from_.changes(workspace(), position.revision);
    if (!changes.ok()) return changes.error();
    const auto named = seal::read_on(sealer_, place_, position.revision, position.link, *changes).named;
    if (named && named->empty()) break;
    if (!named) {
      if (auto done = copy_settings(); !done.ok()) return done;
      if (auto done = copy_owners(); !done.ok()) return done;
      if (auto done = walk_tokens(false); !done.ok()) return done;
    } else {
      // What is named twice is read twice; it has to be written before it is compared again.
      for (const seal::ChangedRecord& changed : *named) {
        if (auto done = apply(changed); !done.ok()) return done;
        if (auto done = flush(); !done.ok()) return done;
      }
    }
    position = std::move(*changes);
  }
  return {};
}

Result<MirrorCounts> Mirror::copy() {
  counts_ = {};
  // Asked before the walk: whatever is announced meanwhile is in the feed after it.
  auto position = from_.changes(workspace(), seal::far_ahead);
  if (!position.ok()) return position.error();
  if (auto done = copy_settings(); !done.ok()) return done.error();
  if (auto done = copy_owners(); !done.ok()) return done.error();
  if (auto done = walk_tokens(false); !done.ok()) return done.error();
  if (auto done = follow(std::move(*position)); !done.ok()) return done.error();
  return counts_;
}

Result<std::uint64_t> Mirror::differences() {
  different_ = 0;
  if (auto walked = walk_tokens(true); !walked.ok()) return walked.error();
  auto source = from_.load_workspace(workspace());
  if (!source.ok()) return source.error();
  auto target = to_.load_workspace(workspace());
  if (!target.ok()) return target.error();
  if (source->has_value() != target->has_value() || (source->has_value() && !equal(**source, **target))) ++different_;
  auto walked = walk_owners([&](const OwnerRecord& owner) -> Result<void> {
    auto there = to_.load_owner(workspace(), owner.owner);
    if (!there.ok()) return there.error();
    if (!there->has_value() || !equal(owner, **there)) ++different_;
    return {};
  });
  if (!walked.ok()) return walked.error();
  return different_;
}

}  // namespace tokenstore::transfer

// ---- src/backends/memory/tables.hpp --------------------------------------------------------------------------

/// The records of one workspace in memory, with the orders in which they are asked for.
///
/// Not synchronised: MemoryBackend locks around it. A change is made in two steps: Draft prepares it
/// (and may run out of memory, leaving nothing behind), publish() puts it in place and cannot fail.



namespace tokenstore::memory {

/// Where a walk over an owner's tokens, or over ended tokens, begins.
struct OwnerIdBound {
  std::string_view owner;
  std::string_view id;
};
struct OwnerEndBound {
  std::string_view owner;
  UnixMillis ends_at;
};

/// By owner, then id.
struct ByOwner {
  using is_transparent = void;
  static std::tuple<std::string_view, std::string_view> key(const TokenRecord* token) noexcept {
    return {token->owner, token->id};
  }
  static std::tuple<std::string_view, std::string_view> key(const OwnerIdBound& bound) noexcept {
    return {bound.owner, bound.id};
  }
  template <typename Left, typename Right>
  bool operator()(const Left& left, const Right& right) const noexcept {
    return key(left) < key(right);
  }
};

/// By owner, then end, then id.
struct ByOwnerAndEnd {
  using is_transparent = void;
  bool operator()(const TokenRecord* left, const TokenRecord* right) const noexcept {
    return std::tuple<std::string_view, UnixMillis, std::string_view>(left->owner, left->ends_at(), left->id) <
           std::tuple<std::string_view, UnixMillis, std::string_view>(right->owner, right->ends_at(), right->id);
  }
  bool operator()(const TokenRecord* left, const OwnerEndBound& right) const noexcept {
    return std::tuple<std::string_view, UnixMillis>(left->owner, left->ends_at()) <
           std::tuple<std::string_view, UnixMillis>(right.owner, right.ends_at);
  }
  bool operator()(const OwnerEndBound& left, const TokenRecord* right) const noexcept {
    return std::tuple<std::string_view, UnixMillis>(left.owner, left.ends_at) <
           std::tuple<std::string_view, UnixMillis>(right->owner, right->ends_at());
  }
};

/// By end, then id.
struct ByEnd {
  bool operator()(const TokenRecord* left, const TokenRecord* right) const noexcept {
    return std::tuple<UnixMillis, std::string_view>(left->ends_at(), left->id) <
           std::tuple<UnixMillis, std::string_view>(right->ends_at(), right->id);
  }
};

/// Tokens by id, and pointers into them in three more orders.
class TokenTable {
 public:
  const TokenRecord* find(std::string_view id) const noexcept;
  TokenList list(const TokenQuery& query) const;
  TokenCounts count(std::string_view owner, UnixMillis now) const noexcept;
  std::uint64_t count_live(std::string_view owner, UnixMillis now, std::uint64_t at_most) const noexcept;
  std::vector<EndedToken> list_ended(UnixMillis ended_before, std::size_t limit) const;

  /// Adds a copy. Precondition: its id is not there.
  void add(const TokenRecord& token);
  /// Moves everything in `others` here, over tokens of the same id. Cannot fail.
  void absorb(TokenTable& others) noexcept;
  void remove(std::string_view id) noexcept;
  void note_use(const Use& use);

 private:
  template <typename Iterator>
  static TokenList walk(Iterator from, Iterator to, const TokenQuery& query);

  std::map<std::string, TokenRecord, std::less<>> by_id_;
  std::set<const TokenRecord*, ByOwner> by_owner_;
  std::set<const TokenRecord*, ByOwnerAndEnd> by_owner_and_end_;
  std::set<const TokenRecord*, ByEnd> by_end_;
};

struct Tables {
  TokenTable tokens;
  std::map<std::string, OwnerRecord, std::less<>> owners;
  std::optional<WorkspaceRecord> settings;
};

}  // namespace tokenstore::memory

// ---- src/backends/memory/draft.hpp ---------------------------------------------------------------------------

/// A batch worked out against a workspace's tables, to be published as a whole or dropped.
///
/// The batch is well-formed, so that no two steps name the same record. The tables must not change
/// meanwhile. Not synchronised.



namespace tokenstore::memory {

class Draft {
 public:
  Draft(const Tables& tables, const std::optional<StoreRecord>& store) : tables_(tables), store_(store) {}

  /// False: the precondition does not hold.
  bool apply(const Mutation& mutation);

  /// False if every step was a check.
  bool changes_anything() const noexcept { return changes_anything_; }
  /// After the last step: allocates what publish() needs.
  void prepare();
  /// Puts the batch into `tables` and `store`, the ones that the draft was made from. Cannot fail.
  void publish(Tables& tables, std::optional<StoreRecord>& store) noexcept;

 private:
  RecordRevision revision_of(RecordKind kind, const std::string& key) const;

  const Tables& tables_;
  const std::optional<StoreRecord>& store_;
  bool changes_anything_ = false;
  std::map<std::string, std::optional<TokenRecord>> tokens_;  ///< empty: removed
  std::map<std::string, OwnerRecord, std::less<>> owners_;
  std::optional<WorkspaceRecord> settings_;
  std::optional<StoreRecord> new_store_;
  TokenTable new_tokens_;
};

}  // namespace tokenstore::memory

// ---- src/backends/memory/draft.cpp ---------------------------------------------------------------------------

namespace tokenstore::memory {

RecordRevision Draft::revision_of(RecordKind kind, const std::string& key) const {
  if (kind == RecordKind::token) {
    const TokenRecord* token = tables_.tokens.find(key);
    return token != nullptr ? token->revision : 0;
  }
  if (kind == RecordKind::owner) {
    const auto owner = tables_.owners.find(key);
    return owner != tables_.owners.end() ? owner->second.revision : 0;
  }
  if (kind == RecordKind::store) return store_ ? store_->revision : 0;
  return tables_.settings ? tables_.settings->revision : 0;
}

bool Draft::apply(const Mutation& mutation) {
  if (revision_of(mutation.kind, mutation.key) != mutation.expected) return false;
  if (mutation.action == Mutation::Action::check) return true;

  changes_anything_ = true;
  if (mutation.action == Mutation::Action::remove) {
    tokens_.insert_or_assign(mutation.key, std::nullopt);
  } else if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
    TokenRecord record = *token;
    if (mutation.expected != 0) {
      const TokenRecord* before = tables_.tokens.find(mutation.key);
      record.last_used_at = before->last_used_at;
      record.last_used_from = before->last_used_from;
    }
    tokens_.insert_or_assign(mutation.key, std::move(record));
  } else if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
    owners_.insert_or_assign(mutation.key, *owner);
  } else if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
    settings_ = *settings;
  } else {
    new_store_ = std::get<StoreRecord>(mutation.record);
  }
  return true;
}

void Draft::prepare() {
  for (const auto& [id, token] : tokens_) {
    if (token) new_tokens_.add(*token);
  }
}

void Draft::publish(Tables& tables, std::optional<StoreRecord>& store) noexcept {
  for (const auto& [id, token] : tokens_) {
    if (!token) tables.tokens.remove(id);
  }
  tables.tokens.absorb(new_tokens_);
  for (const auto& [name, owner] : owners_) {
    if (const auto old = tables.owners.find(name); old != tables.owners.end()) tables.owners.erase(old);
  }
  tables.owners.merge(owners_);
  if (settings_) tables.settings = std::move(settings_);
  if (new_store_) store = std::move(new_store_);
}

}  // namespace tokenstore::memory

// ---- include/tokenstore/backends/memory.hpp ------------------------------------------------------------------

/// A backend that keeps everything in memory: for tests, and for tokens that may die with the process.



namespace tokenstore {

std::shared_ptr<Backend> memory_backend();

}  // namespace tokenstore

// ---- src/backends/memory/fork_safe_lock.hpp ------------------------------------------------------------------

/// A reader-writer lock that a forked child finds open, whatever the parent's threads held.
///
/// It lives in a page that the kernel hands to a child as zeroes (madvise MADV_WIPEONFORK, Linux 4.14),
/// and an unlocked rwlock of glibc and musl is all zeroes. No handler is registered and no process id
/// asked for. Where the page cannot be had so, it is an ordinary lock: a fork while another thread
/// holds it then leaves the child with a lock that never opens.
///
/// Whether the data behind it was being written at the fork is for the user to notice: see
/// MemoryBackend. Fits std::shared_lock and std::unique_lock.



namespace tokenstore::memory {

class ForkSafeLock {
 public:
  /// Throws std::bad_alloc if the page cannot be had. Writers go first where the C library can do that:
  /// a revocation does not wait for a stream of readers to pause. (Not so in a child.)
  ForkSafeLock() : size_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* page = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::bad_alloc();
    wiped_on_fork_ = madvise(page, size_, MADV_WIPEONFORK) == 0;
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
    lock_ = new (page) pthread_rwlock_t(PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP);
#else
    lock_ = new (page) pthread_rwlock_t(PTHREAD_RWLOCK_INITIALIZER);
#endif
  }
  ~ForkSafeLock() {
    pthread_rwlock_destroy(lock_);
    munmap(lock_, size_);
  }
  ForkSafeLock(const ForkSafeLock&) = delete;
  ForkSafeLock& operator=(const ForkSafeLock&) = delete;

  void lock() noexcept {
    pthread_rwlock_wrlock(lock_);
  }
  void unlock() noexcept {
    pthread_rwlock_unlock(lock_);
  }
  /// False: it could not be had before then.
  bool try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept {
    const auto left = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration(0));
    const auto until = std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::system_clock::now() + left);
    const std::int64_t nanos = until.time_since_epoch().count();
    const timespec time{static_cast<time_t>(nanos / 1'000'000'000), static_cast<long>(nanos % 1'000'000'000)};
    return pthread_rwlock_timedwrlock(lock_, &time) == 0;
  }
  /// In a child whose one thread held it when it forked.
  void unlock_in_child() noexcept {
    if (!wiped_on_fork_) pthread_rwlock_unlock(lock_);
  }
  void lock_shared() noexcept {
    // The only failure that can happen is EAGAIN: too many readers. It passes.
    while (pthread_rwlock_rdlock(lock_) != 0) {
    }
  }
  void unlock_shared() noexcept {
    pthread_rwlock_unlock(lock_);
  }

 private:
  std::size_t size_;
  bool wiped_on_fork_ = false;
  pthread_rwlock_t* lock_ = nullptr;
};

}  // namespace tokenstore::memory

// ---- src/backends/memory/memory_backend.cpp ------------------------------------------------------------------

namespace tokenstore {
namespace memory {
namespace {

/// What a workspace's feed remembers at most. Whoever is further behind forgets everything.
constexpr std::size_t feed_entries_max = 4'000;
constexpr std::size_t feed_octets_max = std::size_t{4} << 20;

struct Workspace {
  Tables tables;
  std::uint64_t revision = 0;
  Bytes32 link{};
  std::uint64_t feed_starts_after = 0;  ///< the feed has every entry after this revision
  std::size_t feed_octets = 0;
  std::list<Changes::Entry> feed;

  /// Appends the one entry of `newest`, dropping old ones beyond the bound.
  void append_to_feed(std::list<Changes::Entry>& newest) noexcept {
    revision = newest.front().revision;
    link = newest.front().link;
    feed_octets += newest.front().text.size();
    feed.splice(feed.end(), newest);
    while (feed.size() > feed_entries_max || feed_octets > feed_octets_max) {
      feed_starts_after = feed.front().revision;
      feed_octets -= feed.front().text.size();
      feed.pop_front();
    }
  }
};

/// A fork waits for the exclusive lock, so that a child inherits whole tables. Where it could not wait
/// (AtFork), a flag that is set during every change tells: whoever takes the lock and finds it set is a
/// child that was forked in the middle of a change, holds half of it, and answers nothing.
class MemoryBackend final : public Backend, private base::AtFork {
 public:
  std::string_view name() const noexcept override { return "memory"; }
  bool read_only() const noexcept override { return false; }

  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    return read<std::optional<TokenRecord>>(workspace, [&](const Workspace& found) {
      const TokenRecord* token = found.tables.tokens.find(id);
      return token != nullptr ? std::optional<TokenRecord>(*token) : std::nullopt;
    });
  }

  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override {
    return read<std::optional<OwnerRecord>>(workspace, [&](const Workspace& found) {
      const auto entry = found.tables.owners.find(owner);
      return entry != found.tables.owners.end() ? std::optional<OwnerRecord>(entry->second) : std::nullopt;
    });
  }

  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override {
    return read<std::optional<WorkspaceRecord>>(workspace,
                                                [](const Workspace& found) { return found.tables.settings; });
  }

  Result<std::optional<StoreRecord>> load_store() override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    return store_;
  }

  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    return read<TokenList>(workspace, [&](const Workspace& found) { return found.tables.tokens.list(query); });
  }

  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override {
    return read<OwnerList>(workspace, [&](const Workspace& found) {
      OwnerList list;
      const auto& owners = found.tables.owners;
      auto at = after.empty() ? owners.begin() : owners.upper_bound(after);
      for (; at != owners.end() && list.owners.size() < limit; ++at) list.owners.push_back(at->second);
      list.more = at != owners.end();
      return list;
    });
  }

  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    std::vector<WorkspaceRecord> list;
    auto at = after.empty() ? workspaces_.begin() : workspaces_.upper_bound(after);
    for (; at != workspaces_.end() && list.size() < limit; ++at) {
      if (at->second.tables.settings) list.push_back(*at->second.tables.settings);
    }
    return list;
  }

  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override {
    return read<TokenCounts>(workspace, [&](const Workspace& found) { return found.tables.tokens.count(owner, now); });
  }

  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override {
    return read<std::uint64_t>(
        workspace, [&](const Workspace& found) { return found.tables.tokens.count_live(owner, now, at_most); });
  }

  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override {
    return read<std::vector<EndedToken>>(
        workspace, [&](const Workspace& found) { return found.tables.tokens.list_ended(ended_before, limit); });
  }

  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    if (!base::is_well_formed(workspace, batch)) return {CommitOutcome::failed, 0, base::misfit()};
    const std::unique_lock guard(lock_);
    if (torn()) return {CommitOutcome::failed, 0, torn_error()};

    // All that can run out of memory comes first, on the side.
    std::map<std::string, Workspace, std::less<>> fresh;
    auto found = workspaces_.find(workspace);
    Workspace& space = found != workspaces_.end() ? found->second : fresh[std::string(workspace)];
    Draft draft(space.tables, store_);
    for (const Mutation& mutation : batch) {
      if (!draft.apply(mutation)) return {CommitOutcome::conflict, 0, {}};
    }
    if (!draft.changes_anything() && announcement == nullptr) return {CommitOutcome::committed, space.revision, {}};
    draft.prepare();
    std::list<Changes::Entry> entry;
    if (announcement != nullptr) {
      const std::uint64_t next = space.revision + 1;
      entry.push_back({next, std::string(announcement->entry()), announcement->link(next, space.link)});
    }

    const Change change(*this);
    workspaces_.merge(fresh);
    draft.publish(space.tables, store_);
    if (!entry.empty()) {
      space.append_to_feed(entry);
      pulse_.fetch_add(1, std::memory_order_release);
    }
    return {CommitOutcome::committed, space.revision, {}};
  }

  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    Changes changes;
    const auto found = workspaces_.find(workspace);
    if (found != workspaces_.end()) {
      const Workspace& space = found->second;
      changes.revision = space.revision;
      changes.link = space.link;
      changes.complete_from = space.feed_starts_after;
      changes.everything = after_revision < space.feed_starts_after;
      if (!changes.everything) {
        // From the end: whoever asks is seldom far behind.
        auto from = space.feed.end();
        while (from != space.feed.begin() && std::prev(from)->revision > after_revision) --from;
        changes.entries.assign(from, space.feed.end());
      }
    }
    // A revision that lies ahead was seen in another store than this one.
    if (after_revision > changes.revision) changes.everything = true;
    return changes;
  }

  Pulse pulse() noexcept override {
    return {pulse_.load(std::memory_order_acquire), std::numeric_limits<std::int64_t>::max()};
  }

  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override {
    const std::unique_lock guard(lock_);
    if (torn()) return torn_error();
    const auto found = workspaces_.find(workspace);
    if (found == workspaces_.end()) return {};
    const Change change(*this);
    for (const Use& use : uses) found->second.tables.tokens.note_use(use);
    return {};
  }

  Result<bool> maintain(std::chrono::milliseconds) override { return false; }

  Result<std::vector<std::string>> check_integrity(std::size_t, const Progress&) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    return std::vector<std::string>{};
  }

 private:
  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    resting_ = lock_.try_lock_until(deadline);
  }
  void resume(bool in_child) noexcept override {
    if (!resting_) return;
    in_child ? lock_.unlock_in_child() : lock_.unlock();
  }

  /// Flags a change while it lasts.
  class Change {
   public:
    explicit Change(MemoryBackend& backend) noexcept : backend_(backend) {
      backend_.changing_.store(true, std::memory_order_seq_cst);
    }
    ~Change() { backend_.changing_.store(false, std::memory_order_seq_cst); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    MemoryBackend& backend_;
  };

  bool torn() const noexcept { return changing_.load(std::memory_order_seq_cst); }
  static Error torn_error() {
    return Error(Status::unavailable,
                 "the process was forked in the middle of a change; open a new store in the child");
  }

  /// What `look` answers of a workspace; of one that is not there, an empty answer.
  template <typename Answer, typename Look>
  Result<Answer> read(std::string_view workspace, Look&& look) {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    const auto found = workspaces_.find(workspace);
    if (found == workspaces_.end()) return Answer{};
    return Result<Answer>(look(found->second));
  }

  ForkSafeLock lock_;
  std::atomic<bool> changing_{false};
  std::atomic<std::uint64_t> pulse_{1};
  std::map<std::string, Workspace, std::less<>> workspaces_;
  std::optional<StoreRecord> store_;
  bool resting_ = false;  ///< the lock was taken for a fork
  const base::AtForkEntry at_fork_{*this};
};

}  // namespace
}  // namespace memory

std::shared_ptr<Backend> memory_backend() {
  return std::make_shared<memory::MemoryBackend>();
}

}  // namespace tokenstore

// ---- src/backends/memory/tables.cpp --------------------------------------------------------------------------

namespace tokenstore::memory {
namespace {

TokenQuery::State state_at(const TokenRecord& token, UnixMillis now) noexcept {
  if (token.revoked_at != std::numeric_limits<UnixMillis>::max()) return TokenQuery::State::revoked;
  if (token.expired_at != std::numeric_limits<UnixMillis>::max() || token.expires_at <= now) {
    return TokenQuery::State::expired;
  }
  if (token.not_before > now) return TokenQuery::State::pending;
  return TokenQuery::State::active;
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains(std::string_view text, std::string_view part) noexcept {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end() ||
         part.empty();
}

bool matches(const TokenRecord& token, const TokenQuery& query) noexcept {
  if (query.state != TokenQuery::State::any && state_at(token, query.now) != query.state) return false;
  return query.text.empty() || contains(token.description, query.text);
}

const TokenRecord& token_of(const std::pair<const std::string, TokenRecord>& entry) noexcept {
  return entry.second;
}
const TokenRecord& token_of(const TokenRecord* entry) noexcept {
  return *entry;
}

void tally(TokenCounts& counts, const TokenRecord& token, UnixMillis now) noexcept {
  switch (state_at(token, now)) {
    case TokenQuery::State::revoked:
      ++counts.revoked;
      break;
    case TokenQuery::State::expired:
      ++counts.expired;
      break;
    case TokenQuery::State::pending:
      ++counts.pending;
      break;
    case TokenQuery::State::active:
    case TokenQuery::State::any:
      ++counts.active;
      break;
  }
}

}  // namespace

const TokenRecord* TokenTable::find(std::string_view id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

template <typename Iterator>
TokenList TokenTable::walk(Iterator from, Iterator to, const TokenQuery& query) {
  TokenList list;
  if (query.limit == 0) return list;
  std::size_t looked_at = 0;
  while (to != from) {
    --to;
    const TokenRecord& token = token_of(*to);
    if (matches(token, query)) list.tokens.push_back(token);
    ++looked_at;
    if (list.tokens.size() >= query.limit || looked_at >= query.scan_limit) {
      if (to != from) list.next_before_id = token.id;
      break;
    }
  }
  return list;
}

TokenList TokenTable::list(const TokenQuery& query) const {
  if (query.owner.empty()) {
    const auto end = query.before_id.empty() ? by_id_.end() : by_id_.lower_bound(query.before_id);
    return walk(by_id_.begin(), end, query);
  }
  const auto begin = by_owner_.lower_bound(OwnerIdBound{query.owner, {}});
  if (!query.before_id.empty()) {
    return walk(begin, by_owner_.lower_bound(OwnerIdBound{query.owner, query.before_id}), query);
  }
  // No octet string lies between a name and the same name with a NUL behind it.
  const std::string next_owner = query.owner + '\0';
  return walk(begin, by_owner_.lower_bound(OwnerIdBound{next_owner, {}}), query);
}

TokenCounts TokenTable::count(std::string_view owner, UnixMillis now) const noexcept {
  TokenCounts counts;
  if (owner.empty()) {
    for (const auto& [id, token] : by_id_) tally(counts, token, now);
    return counts;
  }
  for (auto at = by_owner_.lower_bound(OwnerIdBound{owner, {}}); at != by_owner_.end() && (*at)->owner == owner; ++at) {
    tally(counts, **at, now);
  }
  return counts;
}

std::uint64_t TokenTable::count_live(std::string_view owner, UnixMillis now, std::uint64_t at_most) const noexcept {
  std::uint64_t live = 0;
  auto at = by_owner_and_end_.upper_bound(OwnerEndBound{owner, now});
  for (; live < at_most && at != by_owner_and_end_.end() && (*at)->owner == owner; ++at) ++live;
  return live;
}

std::vector<EndedToken> TokenTable::list_ended(UnixMillis ended_before, std::size_t limit) const {
  std::vector<EndedToken> ended;
  for (const TokenRecord* token : by_end_) {
    if (ended.size() >= limit || token->ends_at() >= ended_before) break;
    ended.push_back({token->id, token->revision});
  }
  return ended;
}

void TokenTable::add(const TokenRecord& token) {
  const TokenRecord* stored = &by_id_.emplace(token.id, token).first->second;
  by_owner_.insert(stored);
  by_owner_and_end_.insert(stored);
  by_end_.insert(stored);
}

void TokenTable::absorb(TokenTable& others) noexcept {
  for (const auto& [id, token] : others.by_id_) remove(id);
  by_id_.merge(others.by_id_);
  by_owner_.merge(others.by_owner_);
  by_owner_and_end_.merge(others.by_owner_and_end_);
  by_end_.merge(others.by_end_);
}

void TokenTable::remove(std::string_view id) noexcept {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  by_owner_.erase(&found->second);
  by_owner_and_end_.erase(&found->second);
  by_end_.erase(&found->second);
  by_id_.erase(found);
}

void TokenTable::note_use(const Use& use) {
  const auto found = by_id_.find(use.id);
  if (found == by_id_.end() || use.used_at < found->second.last_used_at) return;
  found->second.last_used_from = use.used_from;
  found->second.last_used_at = use.used_at;
}

}  // namespace tokenstore::memory

// ---- src/backends/sqlite/acting_owner.hpp --------------------------------------------------------------------

/// For as long as it lives, files that this thread makes belong to the owner of a database, if root runs the program.
///
/// SQLite makes -wal and -shm when it needs them and gives them to the database's owner a moment later. Root's command
/// that is killed in between would leave a file that locks the owner out of their own store. Made in their name from
/// the start, there is no such moment. It is the identity for the file system alone (setfsuid), of this thread alone.
///
/// Thread use: lives and dies in one thread. Does nothing unless the effective user is root and the owner another one,
/// nor where the kernel does not allow it; then it is as SQLite does it.



namespace tokenstore::sqlite {

class ActingOwner {
 public:
  /// The owner of this file or directory.
  explicit ActingOwner(const std::string& of) noexcept;
  ~ActingOwner();
  ActingOwner(const ActingOwner&) = delete;
  ActingOwner& operator=(const ActingOwner&) = delete;

 private:
  bool acting_ = false;
  uid_t user_ = 0;
  gid_t group_ = 0;
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/acting_owner.cpp --------------------------------------------------------------------

namespace tokenstore::sqlite {

ActingOwner::ActingOwner(const std::string& of) noexcept {
  struct stat owned {};
  if (::geteuid() != 0 || ::stat(of.c_str(), &owned) != 0 || owned.st_uid == 0) return;
  // Both return what was there before, whether or not they could change it.
  group_ = static_cast<gid_t>(::setfsgid(owned.st_gid));
  user_ = static_cast<uid_t>(::setfsuid(owned.st_uid));
  acting_ = true;
}

ActingOwner::~ActingOwner() {
  if (!acting_) return;
  ::setfsuid(user_);
  ::setfsgid(group_);
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/sql.hpp -----------------------------------------------------------------------------

/// Every SQL text that runs while a store is open. Each is prepared once per connection and kept.
///
/// Parameters are always bound, never pasted in. `?1` is the workspace throughout.


namespace tokenstore::sqlite {

enum class Sql : unsigned {
  begin_write,
  commit,
  rollback,

  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,           ///< id below ?2, newest first, at most ?3 rows looked at
  list_tokens_of_owner,  ///< the same for owner ?4
  list_revoked_tokens,   ///< the same for revoked tokens only
  list_owners,
  list_workspaces,
  count_tokens,
  count_tokens_of_owner,
  count_live,
  list_ended,
  changes,

  token_revision,
  owner_revision,
  workspace_revision,
  store_revision,
  insert_token,
  update_token,
  delete_token,
  put_owner,
  put_workspace,
  put_store,
  feed_head,      ///< revision and link
  set_feed_head,  ///< to revision ?2 and link ?3
  add_change,
  drop_changes,
  set_feed_from,
  overlong_feeds,

  schema_objects,  ///< type, name and text of each, in the order of the names
  schema_cookie,

  note_use,

  count_,
};

inline constexpr std::size_t sql_count = static_cast<std::size_t>(Sql::count_);

const char* sql_text(Sql which) noexcept;

/// How many revisions of a workspace its change feed goes back, and by how many it may grow beyond.
inline constexpr int feed_revisions = 4'000;
inline constexpr int feed_slack = 500;
/// The most that changes() hands out; beyond, it answers "everything".
inline constexpr int feed_entries_max = 5'000;
inline constexpr std::size_t feed_octets_max = std::size_t{8} << 20;

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/connection.hpp ----------------------------------------------------------------------

/// One SQLite connection with its prepared statements, and a statement in use.
///
/// Thread use: one thread at a time. Ownership: a Connection owns its handle and statements; a Query
/// borrows the connection and, until it dies, the octets bound to it.




namespace tokenstore::sqlite {

/// How a connection is to be opened.
struct Target {
  std::string path;  ///< absolute, without symbolic links
  std::string vfs;   ///< empty: SQLite's default
  bool read_only = false;
  bool immutable = false;  ///< no locks, no shared memory: nobody can be writing
  bool full_sync = true;   ///< a commit waits for the disk
  std::chrono::milliseconds busy_timeout{5000};
};

class Connection {
 public:
  /// Opens the file without reading more than its first page header, taking no lock and writing nothing.
  static Result<std::unique_ptr<Connection>> open(const Target& target);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The settings that every use needs. Reads the file, so only once it is known to be ours.
  int configure(const Target& target);

  sqlite3* handle() noexcept { return handle_; }
  /// Runs statements without parameters or results.
  int execute(const char* sql) noexcept;
  /// The first column of the first row as a number; `code` is SQLITE_ROW if there was one.
  std::int64_t number(const char* sql, int& code) noexcept;
  /// The prepared statement, or null and a `code`.
  sqlite3_stmt* statement(Sql which, int& code) noexcept;

  /// Closing this connection will neither checkpoint nor delete the WAL.
  void leave_wal_on_close() noexcept;
  /// Lets go of the handle without closing it: for when closing would do harm.
  void abandon() noexcept { handle_ = nullptr; }
  bool in_transaction() noexcept { return sqlite3_get_autocommit(handle_) == 0; }
  /// SQLite's own file object; null if there is none.
  sqlite3_file* file() noexcept;

  /// SQLite's schema cookie when the schema was last seen to be ours (schema.hpp).
  std::optional<std::int64_t> known_schema{};

 private:
  explicit Connection(sqlite3* handle) noexcept : handle_(handle) {}
  static int on_busy(void* self, int count) noexcept;

  sqlite3* handle_;
  std::array<sqlite3_stmt*, sql_count> statements_{};
  std::chrono::milliseconds busy_timeout_{0};
  std::chrono::steady_clock::time_point busy_until_{};
  std::uint32_t jitter_ = 0;
};

class Query {
 public:
  Query(Connection& connection, Sql which) noexcept : statement_(connection.statement(which, code_)) {}
  ~Query() {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& text(int index, std::string_view value) noexcept;
  Query& blob(int index, std::span<const std::uint8_t> value) noexcept;
  Query& number(int index, std::int64_t value) noexcept;

  /// SQLITE_ROW, SQLITE_DONE or an error, which may be that of an earlier step.
  int step() noexcept;
  /// For a statement without rows: SQLITE_OK or an error.
  int run() noexcept;
  /// Makes it ready for other parameters.
  void reset() noexcept {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }

  std::int64_t number_at(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  std::string_view text_at(int column) const noexcept;
  bool is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  void keep(int code) noexcept {
    if (code_ == SQLITE_OK) code_ = code;
  }

  int code_ = SQLITE_OK;
  sqlite3_stmt* statement_;
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/errors.hpp --------------------------------------------------------------------------

/// What SQLite's result codes mean to a caller of the library.



namespace tokenstore::sqlite {

/// `doing` completes "the database failed while ...". The text names the code, never a value.
Error error_of(int code, std::string_view doing);
/// As above while opening: a damaged or foreign file is `not_a_store`, an unreachable one `cannot_open`.
Error opening_error_of(int code, const std::string& path);

/// If a file of the database is somebody else's and may not be written: which, whose, and what to do.
std::optional<Error> denied_file(const std::string& path);

/// After these a connection's cached state is not to be relied on.
bool spoils_connection(int code) noexcept;

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/connection.cpp ----------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

/// "file:" URI for a path. Only for `immutable`, which has no other spelling.
std::string immutable_uri(std::string_view path) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : path) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                       c == '.' || c == '-' || c == '_';
    if (plain) {
      uri += c;
    } else {
      uri += '%';
      uri += digits[octet >> 4];
      uri += digits[octet & 15];
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const Target& target) {
  // NOMUTEX: a connection is only ever used by the thread that holds it.
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  flags |= target.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (target.immutable) flags |= SQLITE_OPEN_URI;
  sqlite3* handle = nullptr;
  const std::string name = target.immutable ? immutable_uri(target.path) : target.path;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, target.vfs.empty() ? nullptr : target.vfs.c_str());
  std::unique_ptr<Connection> connection(new Connection(handle));
  if (code != SQLITE_OK) return opening_error_of(code, target.path);
  connection->busy_timeout_ = target.busy_timeout;
  connection->jitter_ = static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count()) | 1U;
  sqlite3_busy_handler(handle, &Connection::on_busy, connection.get());

  // Whatever a hostile file holds: its triggers and views do not run, and its schema is not trusted.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  return connection;
}

Connection::~Connection() {
  if (handle_ == nullptr) return;
  for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

int Connection::configure(const Target& target) {
  // temp_store: nothing that was read goes to a temporary file.
  int code = execute(
      "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"
      "PRAGMA journal_size_limit = 8388608; PRAGMA wal_autocheckpoint = 1000;");
  if (code == SQLITE_OK) code = execute(target.full_sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  return code;
}

int Connection::execute(const char* sql) noexcept {
  return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
}

std::int64_t Connection::number(const char* sql, int& code) noexcept {
  sqlite3_stmt* statement = nullptr;
  code = sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return 0;
  code = sqlite3_step(statement);
  const std::int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return value;
}

sqlite3_stmt* Connection::statement(Sql which, int& code) noexcept {
  sqlite3_stmt*& statement = statements_[static_cast<std::size_t>(which)];
  if (statement == nullptr) {
    code = sqlite3_prepare_v3(handle_, sql_text(which), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  }
  return statement;
}

void Connection::leave_wal_on_close() noexcept {
  if (handle_ == nullptr) return;  // abandoned
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

sqlite3_file* Connection::file() noexcept {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return nullptr;
  return file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

// SQLite's own busy timeout sleeps in fixed steps of up to 100 ms; with several writers the unlucky ones
// starve. Short sleeps of random length share the lock evenly.
int Connection::on_busy(void* self, int count) noexcept {
  auto& connection = *static_cast<Connection*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (count == 0) connection.busy_until_ = now + connection.busy_timeout_;
  if (now >= connection.busy_until_) return 0;
  connection.jitter_ ^= connection.jitter_ << 13;
  connection.jitter_ ^= connection.jitter_ >> 17;
  connection.jitter_ ^= connection.jitter_ << 5;
  const std::uint32_t step = 100U * static_cast<std::uint32_t>(std::min(count + 1, 20));
  std::this_thread::sleep_for(std::chrono::microseconds(step / 2 + connection.jitter_ % step));
  return 1;
}

// SQLITE_STATIC throughout: what is bound outlives the Query.
Query& Query::text(int index, std::string_view value) noexcept {
  if (statement_ != nullptr) {
    keep(sqlite3_bind_text64(statement_, index, value.data() == nullptr ? "" : value.data(), value.size(),
                             SQLITE_STATIC, SQLITE_UTF8));
  }
  return *this;
}

Query& Query::blob(int index, std::span<const std::uint8_t> value) noexcept {
  if (statement_ != nullptr) {
    keep(value.empty() ? sqlite3_bind_zeroblob(statement_, index, 0)
                       : sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_STATIC));
  }
  return *this;
}

Query& Query::number(int index, std::int64_t value) noexcept {
  if (statement_ != nullptr) keep(sqlite3_bind_int64(statement_, index, value));
  return *this;
}

int Query::step() noexcept {
  if (code_ != SQLITE_OK) return code_;
  return sqlite3_step(statement_);
}

int Query::run() noexcept {
  int code = step();
  while (code == SQLITE_ROW) code = step();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::string_view Query::text_at(int column) const noexcept {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/location.hpp ------------------------------------------------------------------------

/// Where the database lies, and whether it can safely lie there.



namespace tokenstore::sqlite {

struct Location {
  std::string path;       ///< absolute, without symbolic links
  std::string directory;  ///< absolute
  bool exists = false;
};

/// Resolves a path. `cannot_open` if it names no place for a file, something else than a regular file, one that has
/// other names too or is mounted alone, or a file system that is reached over a network or shared with a host.
Result<Location> locate(const std::string& path);

/// Whether nobody can write there through this mount, or this user may not write there.
bool is_unwritable(const std::string& directory) noexcept;

/// How many copies of SQLite have this -shm file mapped in this process: 1 when all is well. A second
/// copy (a host that links its own) would make both lose their locks. 0 if it cannot be told.
std::size_t copies_of_sqlite_on(const std::string& shm_path);

/// Whether this process really holds SQLite's shared lock on a database that it has open. True if the
/// kernel does not say. After a fork SQLite may believe in locks that only the parent has.
bool holds_shared_lock(const std::string& path);

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/create.hpp --------------------------------------------------------------------------

/// Making a new database file.


namespace tokenstore::sqlite {

/// Makes a complete database, mode 0600 from its first moment, and puts it at the path in one step: at
/// no time is there half a database. If somebody else was faster, theirs stays and this is success.
Result<void> create_database(const Location& location, const Target& target);

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/schema.hpp --------------------------------------------------------------------------

/// The tables, and how a file is recognised as ours. docs/sqlite.md describes them for operators.


namespace tokenstore::sqlite {

/// In the file's header (PRAGMA application_id): "tkst".
inline constexpr std::int64_t application_id = 0x746b7374;
/// In the file's header (PRAGMA user_version). 1 was the first.
inline constexpr std::int64_t schema_version = 1;

/// Makes the tables in an empty file and switches it to WAL. The file is complete on return.
int create_schema(Connection& connection);

/// Reads the header alone, without a lock and without waking SQLite's recovery: a file that is refused
/// here has not been touched. Answers `not_a_store` or `newer_schema`.
/// `path` as the caller knows it, `resolved` as it is.
Result<void> check_header(Connection& connection, const std::string& path, const std::string& resolved);

/// Whether the committed state (the WAL included) is a schema that this version can work with, after
/// bringing it up to date if `may_write`.
Result<void> check_schema(Connection& connection, const std::string& path, bool may_write);

/// Whether the schema is this version's to the letter: an index, constraint, trigger, view or column that is not ours
/// could swallow what is written. What ANALYZE gathers is let be. `not_a_store` names what is not ours.
Result<void> check_objects(Connection& connection, const std::string& path);

/// The same, once for each change that SQLite's schema cookie tells of: cheap enough for every commit.
Result<void> check_unchanged(Connection& connection, const std::string& path);

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/create.cpp --------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

Error creation_error(const std::string& path, int code) {
  if (code == ENOSPC || code == EDQUOT) {
    return Error(Status::storage_full, fmt::format("no space to create '{}'; free some and try again", path));
  }
  return Error(Status::cannot_open,
               fmt::format("'{}' cannot be created ({}); its directory must be writable", path,
                           std::strerror(code)));  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe here
}

/// A file under a name of its own, removed with all that SQLite puts beside it.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    for (const char* suffix : {"-journal", "-wal", "-shm", ""}) ::unlink((path_ + suffix).c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  /// 0 or errno. Mode 0600 whatever the umask.
  int create() const noexcept {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return errno;
    const int code = ::fchmod(file, 0600) == 0 ? 0 : errno;
    ::close(file);
    return code;
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace

Result<void> create_database(const Location& location, const Target& target) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return creation_error(location.path, errno);
  }
  // Made by root in somebody's directory, it is theirs: they could replace it, and could not use it otherwise.
  const ActingOwner owner(location.directory);
  const TemporaryFile temporary(fmt::format("{}.new-{:016x}", location.path, random));
  if (const int code = temporary.create(); code != 0) return creation_error(location.path, code);
  {
    Target building = target;
    building.path = temporary.path();
    building.read_only = false;
    building.immutable = false;
    Result<std::unique_ptr<Connection>> connection = Connection::open(building);
    if (!connection) return connection.error();
    if (const int code = create_schema(**connection); code != SQLITE_OK) return error_of(code, "creating its tables");
  }
  const int placed = base::put_in_place(temporary.path(), location.path);
  if (placed != 0 && placed != EEXIST) return creation_error(location.path, placed);
  if (const int code = base::sync_directory_of(location.path); code != 0) return creation_error(location.path, code);
  return {};
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/file_watch.hpp ----------------------------------------------------------------------

/// Notices that the files were replaced, removed or cut short while a store is open.
///
/// SQLite goes on reading the file that it has opened, even when the path leads elsewhere by now, and
/// would answer from a state that nobody else sees. It costs three stat calls, so look-ups check every
/// `interval` and everything else checks each time. What is answered from memory checks nothing: whoever finds the
/// files changed moves the pulse, so that such answers end too, with the next upkeep at the latest.
///
/// Thread use: any number of threads.




namespace tokenstore::sqlite {

class FileWatch {
 public:
  static constexpr std::int64_t interval_millis = 100;

  enum class Finding : std::uint8_t {
    same,
    shrunk,        ///< smaller than before, still a database: caches of its pages are void
    gone,          ///< no file at the path
    replaced,      ///< another file at the path
    cut_short,     ///< too short to be a database
    wal_replaced,  ///< the -wal or -shm file is not the one in use
    written,       ///< opened as unchanging, and changed all the same
  };

  /// Remembers the files as they are. `immutable`: opened without locks, so nobody may write.
  FileWatch(std::string path, bool immutable);

  /// Now.
  Finding look() noexcept;
  /// Now if the last look was long enough ago, or always if nothing else protects the reader.
  Finding glance() noexcept;
  std::uint64_t wal_size() const noexcept;

  /// What to answer; empty for findings that a caller can live with.
  std::optional<Error> error_of(Finding finding) const;

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t changed = 0;  ///< nanoseconds; known only of a file opened as unchanging
    bool exists = false;
  };
  Identity identify(const std::string& path) const noexcept;

  std::string path_;
  std::string wal_path_;
  std::string shm_path_;
  bool immutable_;
  Identity file_;
  Identity wal_;
  Identity shm_;
  std::atomic<std::int64_t> size_;
  std::atomic<std::int64_t> looked_at_{0};
  std::atomic<Finding> last_{Finding::same};
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/pool.hpp ----------------------------------------------------------------------------

/// Read connections, as many as there are threads reading at once.
///
/// Thread use: any number of threads; a Lease belongs to one. Ownership: the pool owns idle
/// connections, a Lease the one it holds; leases must die before the pool.



namespace tokenstore::sqlite {

class ReadPool {
 public:
  /// More idle connections than this are closed.
  static constexpr std::size_t idle_max = 32;
  using Opener = std::function<Result<std::unique_ptr<Connection>>()>;

  class Lease {
   public:
    Lease(ReadPool& pool, std::unique_ptr<Connection> connection, std::uint64_t generation) noexcept
        : pool_(&pool), connection_(std::move(connection)), generation_(generation) {}
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_), generation_);
    }
    Connection& operator*() const noexcept { return *connection_; }
    Connection* operator->() const noexcept { return connection_.get(); }
    /// Closes the connection instead of keeping it for others.
    void discard() noexcept { connection_.reset(); }

   private:
    ReadPool* pool_;
    std::unique_ptr<Connection> connection_;
    std::uint64_t generation_;
  };

  explicit ReadPool(Opener opener) : opener_(std::move(opener)) { idle_.reserve(idle_max); }

  Result<Lease> take() {
    std::uint64_t generation = 0;
    {
      const std::lock_guard lock(mutex_);
      generation = generation_;
      if (!idle_.empty()) {
        // The last one given back: its pages are the warmest.
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return Lease(*this, std::move(connection), generation);
      }
    }
    Result<std::unique_ptr<Connection>> opened = opener_();
    if (!opened) return opened.error();
    return Lease(*this, std::move(*opened), generation);
  }

  /// Closes every connection that is idle now, and the others when they come back.
  void retire() {
    std::vector<std::unique_ptr<Connection>> retired;
    const std::lock_guard lock(mutex_);
    ++generation_;
    retired.swap(idle_);
    idle_.reserve(idle_max);
  }

  /// For each idle connection; nobody else may be using the pool.
  template <typename Action>
  void for_each_idle(Action action) {
    for (const std::unique_ptr<Connection>& connection : idle_) action(*connection);
  }

 private:
  void give_back(std::unique_ptr<Connection> connection, std::uint64_t generation) noexcept {
    const std::lock_guard lock(mutex_);
    // Room was reserved, so nothing here can throw.
    if (generation == generation_ && idle_.size() < idle_.capacity()) idle_.push_back(std::move(connection));
  }

  Opener opener_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::uint64_t generation_ = 0;
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/wal_pulse.hpp -----------------------------------------------------------------------

/// A counter that moves whenever the database was changed, by anybody, in any process.
///
/// It compares the first 48 bytes of SQLite's WAL-index (change counter, salts, checksums; the file
/// format documents them) with what they were when last looked at. SQLite writes them as the last act
/// of making a commit visible, so whoever reads an unchanged header has missed nothing. A torn read
/// differs from both the old and the new header and only costs one more look.
///
/// Thread use: read() and bump() from any number of threads. No I/O, no system call; the mutex is
/// taken only when something has changed, for a few dozen nanoseconds. Ownership: the memory is the
/// pulse connection's, which must outlive this.


namespace tokenstore::sqlite {

class WalPulse {
 public:
  static constexpr std::size_t words = 6;  ///< 48 bytes

  /// `header`: 48 bytes, aligned to 8, written by other processes. Null: only bump() moves the counter.
  WalPulse(std::uint64_t* header, std::uint64_t first_counter) noexcept;

  std::uint64_t read() noexcept {
    const std::uint64_t sequence = sequence_.load(std::memory_order_acquire);
    std::uint64_t difference = sequence & 1;
    if (header_ != nullptr) {
      for (std::size_t i = 0; i < words; ++i) difference |= live(i) ^ seen_[i].load(std::memory_order_acquire);
    }
    if (difference == 0 && sequence_.load(std::memory_order_relaxed) == sequence) return sequence / 2;
    return catch_up();
  }

  /// A counter that was not returned yet. For a child that inherited this: takes no lock, which a thread
  /// of the parent may have held.
  std::uint64_t beyond() const noexcept { return sequence_.load(std::memory_order_acquire) / 2 + 2; }

  /// Moves the counter for a reason that the WAL-index does not show.
  void bump() noexcept;

 private:
  std::uint64_t live(std::size_t word) const noexcept {
    // Other processes write here through plain stores of SQLite's; words are read whole.
    return std::atomic_ref<std::uint64_t>(header_[word]).load(std::memory_order_acquire);
  }
  std::uint64_t catch_up() noexcept;

  std::uint64_t* header_;
  // A sequence lock: twice the counter, and odd while `seen_` is being replaced.
  alignas(64) std::atomic<std::uint64_t> sequence_;
  std::array<std::atomic<std::uint64_t>, words> seen_{};
  alignas(64) std::mutex mutex_;
};

}  // namespace tokenstore::sqlite

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

}  // namespace tokenstore

// ---- src/backends/sqlite/engine.hpp --------------------------------------------------------------------------

/// Everything that an open database consists of in one process: connections, queue, pulse, watch.
///
/// Thread use: as each member says; the writer only under `writer_mutex`, upkeep under `upkeep_mutex`.
/// Ownership: owns all its connections. An engine belongs to the process that opened it: after a fork
/// the child closes what it inherited and opens an engine of its own.



namespace tokenstore::sqlite {

/// One caller's batch on its way through the queue.
struct CommitTicket {
  std::string_view workspace;
  std::span<const Mutation> batch;
  const Announcement* announcement;
  CommitResult result{};
  bool wrote = false;  ///< the group's transaction holds something of it
};

class Engine {
 public:
  /// Opens an existing or (if the options say so) new database. `first_counter` is the pulse's.
  static Result<std::unique_ptr<Engine>> open(const SqliteOptions& options, std::uint64_t first_counter);

  Engine(Target target, std::unique_ptr<Connection> keeper, std::unique_ptr<Connection> writer,
         std::uint64_t* wal_header, bool pulse_trusted, std::uint64_t first_counter);

  /// In a child that inherited this engine: closes every connection without touching the parent's files.
  void close_inherited() noexcept;

  /// Has anything happened to the files? `always`: look now. An error means: answer nothing.
  std::optional<Error> check_files(bool always);

  /// Another copy of SQLite was found to have the file open: from now on nothing is answered.
  void report_second_copy();

  /// The writer's connection, opened anew if it was spoilt. Under `writer_mutex`.
  Result<Connection*> writer_connection();
  void discard_writer() noexcept { writer.reset(); }
  Result<Connection*> upkeep_connection();

  /// Runs a group of batches in one transaction. Never throws; called by one thread at a time.
  void commit_group(std::span<CommitTicket* const> group) noexcept;

  Pulse read_pulse() noexcept;

  const Target target;
  FileWatch watch;
  std::mutex keeper_mutex;
  /// Kept open for as long as the engine: it holds the WAL-index in memory and the files in place.
  std::unique_ptr<Connection> keeper;
  WalPulse pulse;
  const bool has_wal_header;
  const bool pulse_trusted;
  ReadPool readers;
  base::CommitQueue<CommitTicket> queue;
  std::mutex writer_mutex;
  std::unique_ptr<Connection> writer;
  std::mutex upkeep_mutex;
  std::unique_ptr<Connection> upkeep;
  std::chrono::steady_clock::time_point copies_counted_at{};

 private:
  bool run_group(std::span<CommitTicket* const> group) noexcept;

  std::atomic<bool> second_copy_{false};
  std::int64_t data_version_ = 0;
  std::atomic<bool> files_were_well_{true};
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/opening.hpp -------------------------------------------------------------------------

/// Opening the file of a store, in steps that each refuse something. A file that is refused is left as it was.



namespace tokenstore::sqlite {

struct OpenedFile {
  Target target;
  std::unique_ptr<Connection> keeper;  ///< attached to the WAL
  std::unique_ptr<Connection> writer;  ///< none if the file may only be read
};

/// Opens the database that the options name, and makes it if they say so and there is none.
Result<OpenedFile> open_file(const SqliteOptions& options);

/// One more connection to a file that is open.
Result<std::unique_ptr<Connection>> open_configured(const Target& target);

/// The file is open through another copy of SQLite in this process.
Error two_copies(const std::string& path, Status status);

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/engine.cpp --------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

constexpr int wal_index_region = 32768;  // SQLite maps the WAL-index in regions of this size

/// The start of the WAL-index in memory, had through the VFS: opening the -shm file ourselves would drop
/// SQLite's locks when we close it. Null if there is none.
std::uint64_t* map_wal_index(Connection& connection) noexcept {
  sqlite3_file* file = connection.file();
  if (file == nullptr || file->pMethods->iVersion < 2 || file->pMethods->xShmMap == nullptr) return nullptr;
  void volatile* memory = nullptr;
  const int code = file->pMethods->xShmMap(file, 0, wal_index_region, 0, &memory);
  if (code != SQLITE_OK && code != SQLITE_READONLY) return nullptr;
  return static_cast<std::uint64_t*>(const_cast<void*>(memory));
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const SqliteOptions& options, std::uint64_t first_counter) {
  Result<OpenedFile> opened = open_file(options);
  if (!opened) return opened.error();
  OpenedFile& file = *opened;
  std::uint64_t* header = file.target.immutable ? nullptr : map_wal_index(*file.keeper);
  // Without shared memory: data_version if there are locks, and no promise at all if there are none.
  const bool trusted = !file.target.immutable && (header != nullptr || !file.target.read_only);
  return std::make_unique<Engine>(std::move(file.target), std::move(file.keeper), std::move(file.writer), header,
                                  trusted, first_counter);
}

Engine::Engine(Target opened, std::unique_ptr<Connection> keeper_connection,
               std::unique_ptr<Connection> writer_connection, std::uint64_t* wal_header, bool trusted,
               std::uint64_t first_counter)
    : target(std::move(opened)),
      watch(target.path, target.immutable),
      keeper(std::move(keeper_connection)),
      pulse(wal_header, first_counter),
      has_wal_header(wal_header != nullptr),
      pulse_trusted(trusted),
      readers([this] { return open_configured(target); }),
      writer(std::move(writer_connection)) {}

void Engine::close_inherited() noexcept {
  const auto leave = [](Connection& connection) { connection.leave_wal_on_close(); };
  if (keeper) leave(*keeper);
  if (writer) leave(*writer);
  if (upkeep) leave(*upkeep);
  readers.for_each_idle(leave);
}

std::optional<Error> Engine::check_files(bool always) {
  if (second_copy_.load(std::memory_order_acquire)) return two_copies(target.path, Status::unavailable);
  const FileWatch::Finding finding = always ? watch.look() : watch.glance();
  if (finding == FileWatch::Finding::same && files_were_well_.load(std::memory_order_relaxed)) return std::nullopt;
  if (finding == FileWatch::Finding::shrunk) {
    readers.retire();
    pulse.bump();
  }
  std::optional<Error> error = watch.error_of(finding);
  // Whoever trusts an old pulse must come and ask: they get the error, or fresh data.
  if (files_were_well_.exchange(!error, std::memory_order_acq_rel) == error.has_value()) pulse.bump();
  return error;
}

void Engine::report_second_copy() {
  second_copy_.store(true, std::memory_order_release);
  pulse.bump();
}

Result<Connection*> Engine::writer_connection() {
  if (!writer) {
    Result<std::unique_ptr<Connection>> connection = open_configured(target);
    if (!connection) return connection.error();
    writer = std::move(*connection);
  }
  return writer.get();
}

Result<Connection*> Engine::upkeep_connection() {
  if (!upkeep) {
    Target patient = target;
    patient.busy_timeout = std::chrono::milliseconds(0);
    Result<std::unique_ptr<Connection>> connection = open_configured(patient);
    if (!connection) return connection.error();
    upkeep = std::move(*connection);
  }
  return upkeep.get();
}

Pulse Engine::read_pulse() noexcept {
  constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();
  if (!has_wal_header && pulse_trusted) {
    // A VFS without shared memory: SQLite's own counter, which costs a look at the file.
    const std::lock_guard lock(keeper_mutex);  // held by nobody else
    int code = SQLITE_OK;
    const std::int64_t version = keeper->number("PRAGMA data_version", code);
    if (code != SQLITE_ROW) return {pulse.read(), not_at_all};
    if (version != data_version_) pulse.bump();
    data_version_ = version;
  }
  return {pulse.read(), pulse_trusted ? for_ever : not_at_all};
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/errors.cpp --------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

int primary(int code) {
  return code == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : code & 0xff;
}

struct Meaning {
  Status status;
  std::string_view advice;
};

Meaning meaning_of(int code) {
  if (code == SQLITE_IOERR_SHORT_READ) {
    return {Status::unavailable,
            "the -wal file was cut short; close the store in every process and open it again: what was committed since "
            "the last checkpoint is lost, and a backup may have it"};
  }
  switch (primary(code)) {
    case SQLITE_NOMEM:
      return {Status::out_of_memory, "free memory and try again"};
    case SQLITE_FULL:
      return {Status::storage_full, "free space on the file system and try again"};
    case SQLITE_READONLY:
      return {Status::read_only, "make the file and its directory writable, or open it read-only"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Status::unavailable, "another process held it longer than the busy timeout; try again"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    // Every value that is written has its column's type: one that breaks a constraint was read from a damaged page.
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return {Status::unavailable, "the file is damaged; check its integrity and restore a backup"};
    case SQLITE_CANTOPEN:
      return {Status::unavailable, "check that the file and its directory exist and can be used"};
    case SQLITE_IOERR:
      return {Status::unavailable, "check the disk and the file system"};
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return {Status::internal, "please report this as a defect"};
    default:
      return {Status::unavailable, "check the file's integrity"};
  }
}

}  // namespace

Error error_of(int code, std::string_view doing) {
  // Short enough for the string to need no memory of its own.
  if (primary(code) == SQLITE_NOMEM) return Error(Status::out_of_memory, "out of memory");
  const Meaning meaning = meaning_of(code);
  return Error(meaning.status, fmt::format("the database failed while {} (SQLite {}: {}); {}", doing, code,
                                           sqlite3_errstr(code), meaning.advice));
}

std::optional<Error> denied_file(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  struct stat database {};
  if (!resolved || ::stat(resolved.get(), &database) != 0) return std::nullopt;
  // Whom the file system takes this thread for: asked by a change that is none.
  const int user = ::setfsuid(static_cast<uid_t>(-1));
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    const std::string file = resolved.get() + std::string(suffix);
    struct stat facts {};
    if (::stat(file.c_str(), &facts) != 0 || facts.st_uid == static_cast<uid_t>(user)) continue;
    if (::faccessat(AT_FDCWD, file.c_str(), R_OK | W_OK, AT_EACCESS) == 0 || errno != EACCES) continue;
    const std::string whose =
        fmt::format("'{}' belongs to user {} (mode {:04o}), and user {}, who runs this program, may not write it", file,
                    facts.st_uid, facts.st_mode & 07777U, user);
    return Error(
        Status::cannot_open,
        suffix[0] == '\0'
            ? fmt::format("{}; run it as user {}, change the file's rights, or open it read-only", whose, facts.st_uid)
            : fmt::format("{}; give it to the database's owner: chown {} '{}'", whose, database.st_uid, file));
  }
  return std::nullopt;
}

Error opening_error_of(int code, const std::string& path) {
  const int kind = primary(code);
  if (kind == SQLITE_CANTOPEN || kind == SQLITE_PERM || kind == SQLITE_READONLY) {
    if (std::optional<Error> denied = denied_file(path)) return std::move(*denied);
  }
  switch (primary(code)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(Status::not_a_store,
                   fmt::format("'{}' is no database, or is damaged; name another path or restore a backup", path));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return Error(Status::cannot_open,
                   fmt::format("'{}' cannot be opened; its directory must exist, and be writable for SQLite's -wal and "
                               "-shm files unless the file system is read-only",
                               path));
    case SQLITE_READONLY:
      return Error(Status::cannot_open,
                   fmt::format("'{}' or its directory cannot be written; change that, or open it read-only", path));
    default:
      return error_of(code, "opening");
  }
}

bool spoils_connection(int code) noexcept {
  switch (primary(code)) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return true;
    default:
      return false;
  }
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/file_system.hpp ---------------------------------------------------------------------

/// What the kernel says about the file system that a file lies on. Stateless; any thread.



namespace tokenstore::sqlite {

/// From where else the files of a file system can be opened. SQLite's locks and shared memory hold on one machine, and
/// in WAL mode it relies on both.
enum class Reach : std::uint8_t {
  local,
  network,
  shared_folder,  ///< a virtual machine's, whose other side is its host
};

/// Of a file system of this statfs() type, mounted under this name ("ext4", "fuse.sshfs").
Reach reach_of(long type, std::string_view name) noexcept;

/// The name under which the file system of a device is mounted; empty if unknown.
std::string mounted_as(dev_t device);

/// Whether something is mounted on this path: absolute, without symbolic links.
bool is_mount_point(const std::string& path);
/// The same, as the lines of mountinfo (proc(5)) say.
bool is_mount_point_in(std::istream& mountinfo, std::string_view path);

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/file_system.cpp ---------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

bool is_octal(char c) noexcept {
  return c >= '0' && c <= '7';
}

/// A path as mountinfo writes it: blank, tab, line feed and backslash as three octal digits.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool begins_with_one_of(std::string_view name, const auto& names) noexcept {
  return std::any_of(names.begin(), names.end(), [name](std::string_view each) { return name.starts_with(each); });
}

}  // namespace

/// The name under which the file system of a device is mounted ("ext4", "fuse.sshfs"); empty if unknown.
std::string mounted_as(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string wanted = fmt::format(" {}:{} ", major(device), minor(device));
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    const std::size_t found = line.find(wanted);
    if (dash == std::string::npos || found == std::string::npos || found > dash) continue;
    return line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
  }
  return {};
}

bool is_mount_point_in(std::istream& mountinfo, std::string_view path) {
  // "36 35 98:0 /root /mount/point options ..."
  for (std::string line; std::getline(mountinfo, line);) {
    std::size_t at = 0;
    for (int field = 0; field < 4 && at != std::string::npos; ++field) {
      at = line.find(' ', at);
      if (at != std::string::npos) ++at;
    }
    if (at == std::string::npos) continue;
    if (unescaped(std::string_view(line).substr(at, line.find(' ', at) - at)) == path) return true;
  }
  return false;
}

bool is_mount_point(const std::string& path) {
  // Not by comparing devices: a bind mount of the same device has the same, and in an overlay a file has another than
  // its directory.
  struct statx facts {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &facts) == 0 &&
      (facts.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (facts.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  std::ifstream mounts("/proc/self/mountinfo");  // a kernel before 5.8
  return is_mount_point_in(mounts, path);
}

Reach reach_of(long type, std::string_view name) noexcept {
  // statfs(2) types.
  static constexpr std::array<unsigned long, 11> network_types = {
      0x6969,      // NFS
      0x517B,      // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB2
      0x5346414F,  // AFS
      0x6B414653,  // kAFS
      0x73757245,  // Coda
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0x19830326,  // BeeGFS
  };
  static constexpr std::array<unsigned long, 3> shared_types = {
      0x01021997,  // 9p: QEMU, WSL
      0x786F4256,  // vboxsf: VirtualBox
      0xBACBACBC,  // vmhgfs: VMware, as a kernel module
  };
  // FUSE carries local file systems too (ntfs-3g, encfs, containers' fuse-overlayfs), so only those that are clearly
  // reached over a network or shared with a host are refused. virtiofs has the type of FUSE as well.
  static constexpr std::array<std::string_view, 14> network_names = {
      "fuse.sshfs",     "fuse.glusterfs", "fuse.s3fs",    "fuse.rclone", "fuse.gcsfuse", "fuse.blobfuse", "fuse.davfs",
      "fuse.curlftpfs", "fuse.juicefs",   "fuse.moosefs", "fuse.mfs",    "fuse.ceph",    "fuse.goofys",   "fuse.nfs"};
  static constexpr std::array<std::string_view, 12> shared_names = {
      "virtiofs",       // QEMU, Kata, Docker Desktop, Lima
      "9p",             // QEMU, WSL 2
      "drvfs",          // WSL 1
      "vboxsf",         // VirtualBox
      "prl_fs",         // Parallels
      "fuse.prl",       // Parallels
      "vmhgfs",         // VMware
      "fuse.vmhgfs",    // VMware: fuse.vmhgfs-fuse
      "fuse.grpcfuse",  // Docker Desktop
      "grpcfuse",       // Docker Desktop
      "fuse.osxfs",     // Docker Desktop, older
      "fakeowner",      // Docker Desktop, over one of the others
  };
  const unsigned long wanted = static_cast<unsigned long>(type) & 0xFFFFFFFFUL;
  const auto is_of = [wanted](const auto& types) {
    return std::find(types.begin(), types.end(), wanted) != types.end();
  };
  if (is_of(shared_types) || begins_with_one_of(name, shared_names)) return Reach::shared_folder;
  if (is_of(network_types) || begins_with_one_of(name, network_names)) return Reach::network;
  return Reach::local;
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/file_watch.cpp ----------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

constexpr off_t smallest_database = 512;  // one page of the smallest size

std::int64_t coarse_millis() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

FileWatch::FileWatch(std::string path, bool immutable)
    : path_(std::move(path)),
      wal_path_(path_ + "-wal"),
      shm_path_(path_ + "-shm"),
      immutable_(immutable),
      file_(identify(path_)),
      wal_(identify(wal_path_)),
      shm_(identify(shm_path_)),
      size_(file_.size),
      looked_at_(coarse_millis()) {}

// Not stat(): it asks for the times as well, and a file whose times somebody has seen gets new ones with the next write
// (Linux 6.13), so that every commit would sync an inode too.
FileWatch::Identity FileWatch::identify(const std::string& path) const noexcept {
  Identity identity;
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_SIZE | (immutable_ ? STATX_MTIME : 0U), &found) == 0) {
    identity.device = makedev(found.stx_dev_major, found.stx_dev_minor);
    identity.inode = found.stx_ino;
    identity.size = static_cast<off_t>(found.stx_size);
    identity.changed = found.stx_mtime.tv_sec * 1'000'000'000 + found.stx_mtime.tv_nsec;
    identity.exists = true;
  } else if (struct stat plain{}; errno == EPERM && ::stat(path.c_str(), &plain) == 0) {
    // In a sandbox that does not know the other call.
    identity.device = plain.st_dev;
    identity.inode = plain.st_ino;
    identity.size = plain.st_size;
    identity.changed = std::int64_t{plain.st_mtim.tv_sec} * 1'000'000'000 + plain.st_mtim.tv_nsec;
    identity.exists = true;
  }
  if (!immutable_) identity.changed = 0;
  return identity;
}

FileWatch::Finding FileWatch::look() noexcept {
  const auto judge = [this] {
    const Identity file = identify(path_);
    if (!file.exists) return Finding::gone;
    if (file.device != file_.device || file.inode != file_.inode) return Finding::replaced;
    if (file.size < smallest_database) return Finding::cut_short;
    if (immutable_) {
      const bool untouched = file.size == file_.size && file.changed == file_.changed && !identify(wal_path_).exists;
      return untouched ? Finding::same : Finding::written;
    }
    const auto differs = [](const Identity& was, const Identity& is) {
      return was.exists && (!is.exists || was.device != is.device || was.inode != is.inode);
    };
    if (differs(wal_, identify(wal_path_)) || differs(shm_, identify(shm_path_))) return Finding::wal_replaced;
    const std::int64_t before = size_.exchange(file.size, std::memory_order_relaxed);
    return file.size < before ? Finding::shrunk : Finding::same;
  };
  const Finding finding = judge();
  last_.store(finding == Finding::shrunk ? Finding::same : finding, std::memory_order_relaxed);
  looked_at_.store(coarse_millis(), std::memory_order_relaxed);
  return finding;
}

FileWatch::Finding FileWatch::glance() noexcept {
  if (immutable_) return look();
  const Finding last = last_.load(std::memory_order_relaxed);
  if (last == Finding::same && coarse_millis() - looked_at_.load(std::memory_order_relaxed) < interval_millis) {
    return last;
  }
  return look();
}

std::uint64_t FileWatch::wal_size() const noexcept {
  return static_cast<std::uint64_t>(identify(wal_path_).size);
}

std::optional<Error> FileWatch::error_of(Finding finding) const {
  const auto say = [this](std::string_view what) {
    return Error(Status::unavailable, fmt::format("'{}' {}", path_, what));
  };
  switch (finding) {
    case Finding::same:
    case Finding::shrunk:
      return std::nullopt;
    case Finding::gone:
      return say("was removed while open; put it back or open the store again");
    case Finding::replaced:
      return say("was replaced while open; open the store again");
    case Finding::cut_short:
      return say("was cut short while open; close the store and restore a backup");
    case Finding::wal_replaced:
      return say("lost its -wal or -shm file while open; close the store in every process");
    case Finding::written:
      return say("was opened as unchanging but is being written; open the store again");
  }
  return std::nullopt;
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/location.cpp ------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

Error cannot_open(const std::string& path, std::string_view why) {
  return Error(Status::cannot_open, fmt::format("'{}' cannot be opened: {}", path, why));
}

std::string reason_of(int code) {
  switch (code) {
    case ENOENT:
      return "its directory does not exist; create it first";
    case ENOTDIR:
      return "a part of the path is not a directory";
    case EACCES:
      return "permission denied; check the rights of its directories";
    case ELOOP:
      return "too many symbolic links";
    case ENAMETOOLONG:
      return "the name is too long";
    default:
      return std::strerror(code);  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe for known codes
  }
}

/// The absolute path, or errno.
std::string resolve(const std::string& path, int& code) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  code = resolved ? 0 : errno;
  return resolved ? std::string(resolved.get()) : std::string();
}

Result<void> check_file_system(const std::string& path, const std::string& directory) {
  struct statfs system {};
  struct stat place {};
  if (::statfs(directory.c_str(), &system) != 0 || ::stat(directory.c_str(), &place) != 0) {
    return cannot_open(path, reason_of(errno));
  }
  const std::string name = mounted_as(place.st_dev);
  switch (reach_of(static_cast<long>(system.f_type), name)) {
    case Reach::local:
      return {};
    case Reach::network:
      return cannot_open(path, "it is on a network file system, where SQLite's locks do not hold; use a local one");
    case Reach::shared_folder:
      return cannot_open(path,
                         fmt::format("it is in a folder that a virtual machine shares with its host ({}), where "
                                     "SQLite's locks do not hold; use a disk of the machine's own, such as a named "
                                     "volume",
                                     name));
  }
  return {};
}

/// Removes the names that a file's making left when it was killed, "<path>.new-<16 digits>", and answers how many of
/// them cannot be removed.
nlink_t remove_leftover_names(const Location& location, const struct stat& file) {
  const std::string start = location.path.substr(location.directory.size()) + ".new-";
  nlink_t kept = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(location.directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    struct stat other {};
    if (!entry->path().filename().string().starts_with(start)) continue;
    if (::lstat(entry->path().c_str(), &other) != 0 || other.st_dev != file.st_dev || other.st_ino != file.st_ino) {
      continue;
    }
    if (::unlink(entry->path().c_str()) != 0 && errno != ENOENT) ++kept;
  }
  return kept;
}

/// -wal and -shm lie beside the name by which the database was opened. Where it has another one too, here or in
/// another mount, whoever opens it by that one sees neither.
Result<void> check_name_is_the_only_one(const std::string& path, const Location& location, const struct stat& file) {
  if (is_mount_point(location.path)) {
    return cannot_open(path,
                       "it is mounted alone, and its -wal file would lie elsewhere and be lost; mount the directory "
                       "that holds it");
  }
  if (file.st_nlink <= 1) return {};
  const nlink_t kept = remove_leftover_names(location, file);
  struct stat now {};
  if (::stat(location.path.c_str(), &now) != 0) return cannot_open(path, reason_of(errno));
  if (now.st_nlink <= 1 + kept) return {};
  return cannot_open(path,
                     fmt::format("it has {} names (hard links), and each would get a -wal file of its own; remove the "
                                 "others, or copy the file",
                                 now.st_nlink - kept));
}

/// Whether the lines of a descriptor's fdinfo (proc(5)) name a lock where SQLite has its shared one.
bool names_shared_lock(std::istream& fdinfo) {
  constexpr long long shared_first = 0x40000000 + 2;  // SQLite's file format: the lock-byte page
  // "lock: 1: POSIX  ADVISORY  READ pid major:minor:inode start end"
  for (std::string line; std::getline(fdinfo, line);) {
    long long start = 0;
    const int found = std::sscanf(line.c_str(), "lock: %*s POSIX %*s %*s %*d %*x:%*x:%*u %lld", &start);
    if (found == 1 && start == shared_first) return true;
  }
  return false;
}

}  // namespace

Result<Location> locate(const std::string& path) {
  if (path.empty()) return Error(Status::invalid_argument, "the path of the database is empty; name a file");
  if (path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the database holds a NUL; name a file");
  }
  Location location;
  int code = 0;
  location.path = resolve(path, code);
  if (code == 0) {
    struct stat found {};
    if (::stat(location.path.c_str(), &found) != 0) return cannot_open(path, reason_of(errno));
    if (S_ISDIR(found.st_mode)) return cannot_open(path, "it is a directory; name a file in it");
    if (!S_ISREG(found.st_mode)) return cannot_open(path, "it is not a regular file");
    location.exists = true;
    location.directory = location.path.substr(0, location.path.rfind('/') + 1);
    if (const Result<void> only = check_name_is_the_only_one(path, location, found); !only) return only.error();
  } else {
    if (code != ENOENT) return cannot_open(path, reason_of(code));
    struct stat link {};
    if (::lstat(path.c_str(), &link) == 0) return cannot_open(path, "it is a symbolic link that leads nowhere");
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name.empty()) return cannot_open(path, "its directory does not exist; create it, and name a file in it");
    location.directory = resolve(slash == std::string::npos ? "." : path.substr(0, slash + 1), code);
    if (code != 0) return cannot_open(path, reason_of(code));
    if (location.directory.back() != '/') location.directory += '/';
    location.path = location.directory + name;
  }
  if (const Result<void> checked = check_file_system(path, location.directory); !checked) return checked.error();
  return location;
}

bool is_unwritable(const std::string& directory) noexcept {
  struct statvfs system {};
  if (::statvfs(directory.c_str(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0) return true;
  return ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

std::size_t copies_of_sqlite_on(const std::string& shm_path) {
  struct stat shm {};
  if (::stat(shm_path.c_str(), &shm) != 0) return 0;
  std::ifstream maps("/proc/self/maps");
  std::size_t copies = 0;
  // "start-end perms offset major:minor inode path": one copy of SQLite maps offset 0 once, whatever the
  // number of its connections.
  for (std::string line; std::getline(maps, line);) {
    unsigned long offset = 0;
    unsigned int device_major = 0;
    unsigned int device_minor = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%*x-%*x %*s %lx %x:%x %lu", &offset, &device_major, &device_minor, &inode) != 4) {
      continue;
    }
    if (offset == 0 && inode == shm.st_ino && makedev(device_major, device_minor) == shm.st_dev) ++copies;
  }
  return copies;
}

bool holds_shared_lock(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0 || ::access("/proc/locks", F_OK) != 0) return true;
  // What each of our descriptors of the file holds. Not /proc/locks itself: it comes in pages, between which
  // whatever the other processes of the machine lock or unlock moves its lines, and ours can be missed.
  std::error_code failed;
  for (std::filesystem::directory_iterator descriptor("/proc/self/fd", failed), end; descriptor != end;
       descriptor.increment(failed)) {
    struct stat opened {};
    if (::stat(descriptor->path().c_str(), &opened) != 0) continue;
    if (opened.st_dev != file.st_dev || opened.st_ino != file.st_ino) continue;
    std::ifstream held("/proc/self/fdinfo/" + descriptor->path().filename().string());
    if (!held || names_shared_lock(held)) return true;
  }
  return bool(failed);
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/sqlite_backend.hpp ------------------------------------------------------------------

/// The Backend over a SQLite file.
///
/// Every method goes through enter(), which notices a fork, and counts who is inside: a fork waits until
/// nobody is, and a child knows whether what it inherited was at rest.



namespace tokenstore::sqlite {

class SqliteBackend final : public Backend, private base::AtFork {
 public:
  static Result<std::shared_ptr<Backend>> open(const SqliteOptions& options);
  /// Only open() makes one: it has no engine yet.
  explicit SqliteBackend(SqliteOptions options) : options_(std::move(options)) {}
  ~SqliteBackend() override;

  std::string_view name() const noexcept override { return "sqlite"; }
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
  void rest(std::chrono::steady_clock::time_point deadline) noexcept override;
  void resume(bool in_child) noexcept override;

  /// While one lives, a thread is inside.
  class Visit {
   public:
    Visit(std::atomic<int>& inside, Engine* engine) noexcept : inside_(&inside), engine_(engine) {}
    explicit Visit(Error error) : error_(std::in_place, std::move(error)) {}
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() {
      if (inside_ != nullptr) inside_->fetch_sub(1, std::memory_order_release);
    }
    Engine* operator->() const noexcept { return engine_; }
    Engine& operator*() const noexcept { return *engine_; }
    const std::optional<Error>& error() const noexcept { return error_; }

   private:
    std::atomic<int>* inside_ = nullptr;
    Engine* engine_ = nullptr;
    std::optional<Error> error_;
  };

  Visit enter();
  /// As enter(), whatever the engine is.
  Visit come_in() noexcept;
  /// In a forked child, once: replaces the inherited engine. An error if it cannot be had.
  std::optional<Error> adopt();
  std::optional<Error> adopt_engine();

  template <typename T, typename Action>
  Result<T> look_up(bool always_check_files, std::string_view doing, Action action);

  SqliteOptions options_;
  base::ForkGuard guard_;
  std::atomic<Engine*> engine_{nullptr};
  std::atomic<int> inside_{0};
  std::atomic<bool> forking_{false};  ///< nobody may come in
  bool resting_ = false;              ///< nobody was inside when the fork began
  std::atomic<bool> orphaned_{false};
  std::atomic<std::uint64_t> counter_{1};  ///< where a child's pulse goes on
  const base::AtForkEntry at_fork_{*this};
};

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/look_up.hpp -------------------------------------------------------------------------

/// The way of every look-up: enter, check the files, borrow a connection, ask, and check that the
/// answer can be trusted.


namespace tokenstore::sqlite {

/// `action(Connection&, T& answer)` returns a SQLite code: SQLITE_OK or what went wrong.
template <typename T, typename Action>
Result<T> SqliteBackend::look_up(bool always_check_files, std::string_view doing, Action action) {
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  if (std::optional<Error> error = visit->check_files(always_check_files)) return std::move(*error);
  Result<ReadPool::Lease> lease = visit->readers.take();
  if (!lease) return lease.error();
  T answer{};
  const int code = action(**lease, answer);
  if (code != SQLITE_OK) {
    if (spoils_connection(code)) lease->discard();
    return error_of(code, doing);
  }
  // Without locks, only the files can tell that nobody wrote while we read.
  if (visit->target.immutable) {
    if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  }
  return answer;
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/maintenance.cpp ---------------------------------------------------------------------

// Housekeeping and the storage's own check.



namespace tokenstore::sqlite {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// A WAL of this size is emptied when no reader needs it any more.
constexpr std::uint64_t wal_size_wanted = 4 << 20;
constexpr std::chrono::seconds copies_interval{10};

struct OverlongFeed {
  std::string workspace;
  std::int64_t revision;
  std::int64_t feed_from;
};

/// Copies what is committed from the WAL into the database file, as far as readers allow, and cuts the
/// WAL when it has grown and nobody needs it. Never waits: a writer or reader in the way means later.
int checkpoint(Connection& connection, std::uint64_t wal_size, bool& more) {
  int frames = 0;
  int copied = 0;
  int code = sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  if (code == SQLITE_OK && frames == copied && wal_size > wal_size_wanted) {
    code = sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &frames, &copied);
  }
  if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) {
    more = true;
    return SQLITE_OK;
  }
  if (code == SQLITE_OK && frames > copied) more = true;
  return code;
}

int trim_one(Connection& connection, const OverlongFeed& feed, std::int64_t from) {
  int code = Query(connection, Sql::begin_write).run();
  if (code != SQLITE_OK) return code;
  code = Query(connection, Sql::drop_changes).text(1, feed.workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::set_feed_from).text(1, feed.workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::commit).run();
  if (code != SQLITE_OK && connection.in_transaction()) Query(connection, Sql::rollback).run();
  return code;
}

/// Commits trim their own feed as they go; this is for what they left, in steps that hold the lock briefly.
int trim_feeds(Connection& connection, SteadyClock::time_point deadline, bool& more) {
  std::vector<OverlongFeed> feeds;
  {
    Query row(connection, Sql::overlong_feeds);
    row.number(1, feed_revisions + feed_slack);
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      feeds.push_back({std::string(row.text_at(0)), row.number_at(1), row.number_at(2)});
    }
    if (code != SQLITE_DONE) return code;
  }
  for (const OverlongFeed& feed : feeds) {
    const std::int64_t target = feed.revision - feed_revisions;
    for (std::int64_t from = feed.feed_from; from < target;) {
      if (SteadyClock::now() >= deadline) {
        more = true;
        return SQLITE_OK;
      }
      from = std::min<std::int64_t>(from + feed_slack, target);
      const int code = trim_one(connection, feed, from);
      if (code != SQLITE_OK) return code;
    }
  }
  return SQLITE_OK;
}

/// Passes SQLite's progress on to the caller's.
int on_progress(void* context) {
  try {
    return (*static_cast<const Progress*>(context))(0, 0) ? 0 : 1;
  } catch (...) {
    return 1;
  }
}

}  // namespace

Result<bool> SqliteBackend::maintain(std::chrono::milliseconds budget) {
  const auto deadline = SteadyClock::now() + budget;
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  if (options_.read_only) return false;
  const std::lock_guard lock(visit->upkeep_mutex);

  const auto now = SteadyClock::now();
  if (now - visit->copies_counted_at >= copies_interval) {
    visit->copies_counted_at = now;
    if (copies_of_sqlite_on(visit->target.path + "-shm") > 1) {
      visit->report_second_copy();
      return *visit->check_files(true);
    }
  }

  const Result<Connection*> connection = visit->upkeep_connection();
  if (!connection) return connection.error();
  bool more = false;
  int code = trim_feeds(**connection, deadline, more);
  if ((code & 0xff) == SQLITE_BUSY) {
    more = true;
    code = SQLITE_OK;
  }
  if (code == SQLITE_OK) code = checkpoint(**connection, visit->watch.wal_size(), more);
  if (code == SQLITE_OK) return more;
  if (spoils_connection(code)) visit->upkeep.reset();
  return error_of(code, "tidying up");
}

Result<std::vector<std::string>> SqliteBackend::check_integrity(std::size_t most, const Progress& progress) {
  constexpr int steps_between_reports = 100'000;
  return look_up<std::vector<std::string>>(true, "checking integrity", [&](Connection& connection, auto& problems) {
    Progress report = progress;
    if (const Result<void> ours = check_objects(connection, options_.path); !ours) {
      problems.push_back(ours.error().message());
    }
    if (report) sqlite3_progress_handler(connection.handle(), steps_between_reports, &on_progress, &report);
    const std::string sql = fmt::format("PRAGMA integrity_check({})", std::clamp<std::size_t>(most, 1, 1'000'000));
    sqlite3_stmt* raw = nullptr;
    int code = sqlite3_prepare_v2(connection.handle(), sql.c_str(), -1, &raw, nullptr);
    const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(raw, &sqlite3_finalize);
    while (code == SQLITE_OK && (code = sqlite3_step(raw)) == SQLITE_ROW) {
      const auto* text = static_cast<const char*>(sqlite3_column_blob(raw, 0));
      const std::string line(text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_column_bytes(raw, 0)));
      if (line != "ok" && problems.size() < most) problems.push_back(line);
      code = SQLITE_OK;
    }
    sqlite3_progress_handler(connection.handle(), 0, nullptr, nullptr);
    // Damage that keeps the check itself from running is what was asked about.
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
      if (problems.size() < most) problems.emplace_back("the file is too damaged for its check to be completed");
      return SQLITE_OK;
    }
    // Asked to stop: what was found so far.
    return code == SQLITE_DONE || code == SQLITE_INTERRUPT ? SQLITE_OK : code;
  });
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/opening.cpp -------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

class Opening {
 public:
  explicit Opening(const SqliteOptions& options) : options_(options) {}
  /// What was refused on the way is left as it was.
  ~Opening() {
    if (keeper_) keeper_->leave_wal_on_close();
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  Result<OpenedFile> run();

 private:
  Result<void> find_or_create();
  Result<void> open_if_ours();
  Result<void> check_writable();
  Result<void> attach_unless_open_through_another_copy();
  Result<void> keep_a_wal();
  Result<std::unique_ptr<Connection>> open_writer();
  /// Attaches the connection to the WAL (which SQLite does at the first read) and recovers it if need be.
  int first_read() noexcept;

  const SqliteOptions& options_;
  Target target_;
  std::unique_ptr<Connection> keeper_;
};

Result<void> Opening::find_or_create() {
  const Result<Location> location = locate(options_.path);
  if (!location) return location.error();
  target_.path = location->path;
  target_.vfs = options_.vfs;
  target_.read_only = options_.read_only;
  target_.full_sync = options_.durability == SqliteOptions::Durability::full;
  target_.busy_timeout = options_.busy_timeout;
  if (!location->exists) {
    if (!options_.create || options_.read_only) {
      return Error(Status::cannot_open, fmt::format("'{}' does not exist; create the store first", options_.path));
    }
    if (const Result<void> created = create_database(*location, target_); !created) return created.error();
  }
  if (target_.read_only && is_unwritable(location->directory)) {
    // SQLite cannot make its -wal and -shm here. If somebody else has them open it can share them;
    // if there are none, nobody is writing, and FileWatch looks for them at every step.
    target_.immutable = ::access((target_.path + "-wal").c_str(), F_OK) != 0;
  }
  return {};
}

Result<void> Opening::open_if_ours() {
  Result<std::unique_ptr<Connection>> opened = Connection::open(target_);
  if (!opened) return opened.error();
  keeper_ = std::move(*opened);
  return check_header(*keeper_, options_.path, target_.path);
}

Result<void> Opening::check_writable() {
  if (target_.read_only || sqlite3_db_readonly(keeper_->handle(), "main") != 1) return {};
  if (std::optional<Error> denied = denied_file(options_.path)) return std::move(*denied);
  return Error(Status::cannot_open,
               fmt::format("'{}' cannot be written; change its rights, or open it read-only", options_.path));
}

Result<void> Opening::attach_unless_open_through_another_copy() {
  const std::string shm_path = target_.path + "-shm";
  const std::size_t copies_before = target_.immutable ? 0 : copies_of_sqlite_on(shm_path);
  if (const int code = first_read(); code != SQLITE_OK) return opening_error_of(code, options_.path);
  if (!target_.immutable && copies_before > 0 && copies_of_sqlite_on(shm_path) > copies_before) {
    // Closing it would drop the other copy's locks as well, so it stays open: a leak is the lesser evil.
    keeper_->abandon();
    return two_copies(options_.path, Status::cannot_open);
  }
  return {};
}

Result<void> Opening::keep_a_wal() {
  int code = keeper_->configure(target_);
  if (code == SQLITE_OK && !target_.read_only) code = keeper_->execute("PRAGMA journal_mode = WAL");
  if (code == SQLITE_OK) code = first_read();
  if (code != SQLITE_OK) return opening_error_of(code, options_.path);
  return {};
}

Result<std::unique_ptr<Connection>> Opening::open_writer() {
  if (target_.read_only) return std::unique_ptr<Connection>();
  return open_configured(target_);
}

int Opening::first_read() noexcept {
  int code = SQLITE_OK;
  keeper_->number("SELECT count(*) FROM sqlite_schema", code);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

Result<OpenedFile> Opening::run() {
  if (const Result<void> found = find_or_create(); !found) return found.error();
  const ActingOwner owner(target_.path);
  if (const Result<void> ours = open_if_ours(); !ours) return ours.error();
  if (const Result<void> writable = check_writable(); !writable) return writable.error();
  if (const Result<void> alone = attach_unless_open_through_another_copy(); !alone) return alone.error();
  if (const Result<void> known = check_schema(*keeper_, options_.path, !target_.read_only); !known) {
    return known.error();
  }
  if (const Result<void> kept = keep_a_wal(); !kept) return kept.error();
  Result<std::unique_ptr<Connection>> writer = open_writer();
  if (!writer) return writer.error();
  return OpenedFile{std::move(target_), std::move(keeper_), std::move(*writer)};
}

}  // namespace

Result<OpenedFile> open_file(const SqliteOptions& options) {
  return Opening(options).run();
}

Result<std::unique_ptr<Connection>> open_configured(const Target& target) {
  const ActingOwner owner(target.path);
  Result<std::unique_ptr<Connection>> connection = Connection::open(target);
  // The file was opened before: to whoever reads or writes now, that it cannot be is a failure of storage.
  if (!connection && connection.status() != Status::out_of_memory) {
    return Error(Status::unavailable, connection.error().message());
  }
  if (!connection) return connection;
  if (const int code = (*connection)->configure(target); code != SQLITE_OK) return error_of(code, "connecting");
  return connection;
}

Error two_copies(const std::string& path, Status status) {
  return {status,
          fmt::format("'{}' is open through another copy of SQLite in this process, and the two would lose each "
                      "other's locks; link one copy, or close it there",
                      path)};
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/records.hpp -------------------------------------------------------------------------

/// Records to and from rows, in the order of the columns in sql.cpp.
///
/// A stored value of the wrong size or kind is not an error here: it reads as something that the seal
/// above does not cover, so that the record is found to be tampered with.


namespace tokenstore::sqlite {

TokenRecord read_token(const Query& row);
OwnerRecord read_owner(const Query& row);
WorkspaceRecord read_workspace(const Query& row);
StoreRecord read_store(const Query& row);
Bytes32 read_link(const Query& row, int column) noexcept;

/// Only what list_tokens needs to decide whether it wants the row.
TokenQuery::State read_state(const Query& row, UnixMillis now) noexcept;
std::string_view read_id(const Query& row) noexcept;
std::string_view read_description(const Query& row) noexcept;

/// For insert_token and update_token.
void bind_token(Query& query, std::string_view workspace, const TokenRecord& token) noexcept;
/// For insert_token besides: the last use that comes with a copied record.
void bind_new_uses(Query& query, const TokenRecord& token) noexcept;
void bind_owner(Query& query, std::string_view workspace, const OwnerRecord& owner) noexcept;
void bind_workspace(Query& query, const WorkspaceRecord& workspace) noexcept;
void bind_store(Query& query, const StoreRecord& store) noexcept;

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/reads.cpp ---------------------------------------------------------------------------

// Look-ups and lists.


namespace tokenstore::sqlite {
namespace {

int done_or(int code) {
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::int64_t bounded(std::uint64_t count) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  return static_cast<std::int64_t>(std::min(count, most));
}

Sql list_statement(const TokenQuery& query) {
  if (!query.owner.empty()) return Sql::list_tokens_of_owner;
  if (query.state == TokenQuery::State::revoked) return Sql::list_revoked_tokens;
  return Sql::list_tokens;
}

bool wanted(const Query& row, const TokenQuery& query) {
  if (query.state != TokenQuery::State::any && read_state(row, query.now) != query.state) return false;
  return query.text.empty() || base::contains_ignoring_ascii_case(read_description(row), query.text);
}

template <typename T, typename Read>
int load_one(Query& row, std::optional<T>& answer, Read read) {
  const int code = row.step();
  if (code == SQLITE_ROW) answer = read(row);
  return code == SQLITE_ROW ? SQLITE_OK : done_or(code);
}

}  // namespace

Result<std::optional<TokenRecord>> SqliteBackend::load_token(std::string_view workspace, std::string_view id) {
  return look_up<std::optional<TokenRecord>>(false, "reading a token", [&](Connection& connection, auto& answer) {
    Query row(connection, Sql::load_token);
    row.text(1, workspace).text(2, id);
    return load_one(row, answer, read_token);
  });
}

Result<std::optional<OwnerRecord>> SqliteBackend::load_owner(std::string_view workspace, std::string_view owner) {
  return look_up<std::optional<OwnerRecord>>(false, "reading an owner", [&](Connection& connection, auto& answer) {
    Query row(connection, Sql::load_owner);
    row.text(1, workspace).text(2, owner);
    return load_one(row, answer, read_owner);
  });
}

Result<std::optional<WorkspaceRecord>> SqliteBackend::load_workspace(std::string_view workspace) {
  return look_up<std::optional<WorkspaceRecord>>(false, "reading a workspace",
                                                 [&](Connection& connection, auto& answer) {
                                                   Query row(connection, Sql::load_workspace);
                                                   row.text(1, workspace);
                                                   return load_one(row, answer, read_workspace);
                                                 });
}

Result<std::optional<StoreRecord>> SqliteBackend::load_store() {
  return look_up<std::optional<StoreRecord>>(false, "reading the store's record",
                                             [&](Connection& connection, auto& answer) {
                                               Query row(connection, Sql::load_store);
                                               return load_one(row, answer, read_store);
                                             });
}

Result<TokenList> SqliteBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  return look_up<TokenList>(false, "listing tokens", [&](Connection& connection, TokenList& list) {
    const std::int64_t scan_limit = std::max<std::int64_t>(bounded(query.scan_limit), 1);
    Query row(connection, list_statement(query));
    row.text(1, workspace);
    // In SQLite every text is below every blob, so an empty blob is a bound above all ids.
    if (query.before_id.empty()) {
      row.blob(2, {});
    } else {
      row.text(2, query.before_id);
    }
    row.number(3, scan_limit + 1);
    if (!query.owner.empty()) row.text(4, query.owner);

    std::string lowest;
    std::int64_t looked_at = 0;
    int code = SQLITE_DONE;
    while (list.tokens.size() < query.limit && looked_at < scan_limit) {
      code = row.step();
      if (code != SQLITE_ROW) return done_or(code);
      ++looked_at;
      lowest.assign(read_id(row));
      if (wanted(row, query)) list.tokens.push_back(read_token(row));
    }
    // One more row tells whether there is a next part.
    code = row.step();
    if (code == SQLITE_ROW) {
      list.next_before_id = std::move(lowest);
      code = SQLITE_OK;
    }
    return done_or(code);
  });
}

Result<OwnerList> SqliteBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  return look_up<OwnerList>(false, "listing owners", [&](Connection& connection, OwnerList& list) {
    Query row(connection, Sql::list_owners);
    row.text(1, workspace).text(2, after).number(3, bounded(limit) + 1);
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      if (list.owners.size() == limit) {
        list.more = true;
        return SQLITE_OK;
      }
      list.owners.push_back(read_owner(row));
    }
    return done_or(code);
  });
}

Result<std::vector<WorkspaceRecord>> SqliteBackend::list_workspaces(std::string_view after, std::size_t limit) {
  return look_up<std::vector<WorkspaceRecord>>(false, "listing workspaces", [&](Connection& connection, auto& list) {
    Query row(connection, Sql::list_workspaces);
    row.text(1, after).number(2, bounded(limit));
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) list.push_back(read_workspace(row));
    return done_or(code);
  });
}

Result<TokenCounts> SqliteBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  return look_up<TokenCounts>(false, "counting tokens", [&](Connection& connection, TokenCounts& counts) {
    Query row(connection, owner.empty() ? Sql::count_tokens : Sql::count_tokens_of_owner);
    row.text(1, workspace).number(2, now);
    if (!owner.empty()) row.text(3, owner);
    const int code = row.step();
    if (code != SQLITE_ROW) return done_or(code);
    counts.active = static_cast<std::uint64_t>(row.number_at(0));
    counts.pending = static_cast<std::uint64_t>(row.number_at(1));
    counts.expired = static_cast<std::uint64_t>(row.number_at(2));
    counts.revoked = static_cast<std::uint64_t>(row.number_at(3));
    return SQLITE_OK;
  });
}

Result<std::uint64_t> SqliteBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                std::uint64_t at_most) {
  return look_up<std::uint64_t>(false, "counting live tokens", [&](Connection& connection, std::uint64_t& count) {
    Query row(connection, Sql::count_live);
    row.text(1, workspace).text(2, owner).number(3, now).number(4, bounded(at_most));
    const int code = row.step();
    if (code != SQLITE_ROW) return done_or(code);
    count = static_cast<std::uint64_t>(row.number_at(0));
    return SQLITE_OK;
  });
}

Result<std::vector<EndedToken>> SqliteBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                          std::size_t limit) {
  return look_up<std::vector<EndedToken>>(false, "listing ended tokens", [&](Connection& connection, auto& list) {
    Query row(connection, Sql::list_ended);
    row.text(1, workspace).number(2, ended_before).number(3, bounded(limit));
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      list.push_back({std::string(row.text_at(0)), static_cast<RecordRevision>(row.number_at(1))});
    }
    return done_or(code);
  });
}

Result<Changes> SqliteBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  std::optional<Error> altered;
  auto answer = look_up<Changes>(true, "reading the change feed", [&](Connection& connection, Changes& changes) {
    if (const Result<void> ours = check_unchanged(connection, options_.path); !ours) {
      altered = ours.error();
      return SQLITE_OK;
    }
    Query row(connection, Sql::changes);
    const auto after =
        static_cast<std::int64_t>(std::min<std::uint64_t>(after_revision, std::numeric_limits<std::int64_t>::max()));
    row.text(1, workspace).number(2, after).number(3, feed_entries_max + 1);
    int code = row.step();
    std::size_t octets = 0;
    for (; code == SQLITE_ROW; code = row.step()) {
      changes.revision = static_cast<std::uint64_t>(row.number_at(0));
      changes.link = read_link(row, 1);
      changes.complete_from = static_cast<std::uint64_t>(row.number_at(2));
      if (after_revision > changes.revision || after_revision < changes.complete_from) changes.everything = true;
      if (row.is_null(3)) continue;
      octets += row.text_at(4).size();
      if (changes.entries.size() == feed_entries_max || octets > feed_octets_max) changes.everything = true;
      if (changes.everything) break;
      changes.entries.push_back(
          {static_cast<std::uint64_t>(row.number_at(3)), std::string(row.text_at(4)), read_link(row, 5)});
    }
    // A revision from before the file was put back, or of another file.
    if (after_revision > changes.revision) changes.everything = true;
    if (changes.everything) changes.entries.clear();
    return code == SQLITE_ROW ? SQLITE_OK : done_or(code);
  });
  if (altered) return *altered;
  return answer;
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/records.cpp -------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

template <typename Bytes>
Bytes bytes_at(const Query& row, int column) noexcept {
  Bytes bytes{};
  const std::string_view stored = row.text_at(column);
  if (stored.size() == bytes.size()) std::copy(stored.begin(), stored.end(), bytes.begin());
  return bytes;
}

std::string string_at(const Query& row, int column) {
  return std::string(row.text_at(column));
}

std::uint64_t unsigned_at(const Query& row, int column) noexcept {
  return static_cast<std::uint64_t>(row.number_at(column));
}

std::int64_t stored(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(value);
}

std::span<const std::uint8_t> octets(const std::string& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TokenRecord read_token(const Query& row) {
  TokenRecord token;
  token.id = string_at(row, 0);
  token.key_id = string_at(row, 1);
  token.verifier = bytes_at<Bytes32>(row, 2);
  token.owner = string_at(row, 3);
  token.owner_birth = bytes_at<Bytes16>(row, 4);
  token.revoke_all_count = unsigned_at(row, 5);
  token.description = string_at(row, 6);
  token.scopes = string_at(row, 7);
  token.metadata = string_at(row, 8);
  token.created_at = row.number_at(9);
  token.created_by = string_at(row, 10);
  token.not_before = row.number_at(11);
  token.expires_at = row.number_at(12);
  token.expired_at = row.number_at(13);
  token.revoked_at = row.number_at(14);
  token.revoked_by = string_at(row, 15);
  token.revoke_reason = string_at(row, 16);
  token.revision = unsigned_at(row, 17);
  token.seal_key_id = string_at(row, 18);
  token.seal = bytes_at<Bytes32>(row, 19);
  token.last_used_at = row.number_at(20);
  token.last_used_from = string_at(row, 21);
  return token;
}

OwnerRecord read_owner(const Query& row) {
  OwnerRecord owner;
  owner.owner = string_at(row, 0);
  owner.birth = bytes_at<Bytes16>(row, 1);
  owner.may_issue = row.number_at(2) == 1;
  owner.may_use = row.number_at(3) == 1;
  owner.suspended_at = row.number_at(4);
  owner.suspended_by = string_at(row, 5);
  owner.suspend_reason = string_at(row, 6);
  owner.revoke_all_count = unsigned_at(row, 7);
  owner.revision = unsigned_at(row, 8);
  owner.seal_key_id = string_at(row, 9);
  owner.seal = bytes_at<Bytes32>(row, 10);
  return owner;
}

WorkspaceRecord read_workspace(const Query& row) {
  WorkspaceRecord workspace;
  workspace.workspace = string_at(row, 0);
  workspace.birth = bytes_at<Bytes16>(row, 1);
  workspace.tokens_enabled = row.number_at(2) == 1;
  workspace.users_may_issue = row.number_at(3) == 1;
  workspace.never_allowed = row.number_at(4) == 1;
  workspace.longest_lifetime = row.number_at(5);
  workspace.default_lifetime = row.number_at(6);
  // The column is wider than the field; a number that does not fit was not written by this library.
  const std::int64_t most = row.number_at(7);
  workspace.most_active_per_owner = static_cast<std::uint32_t>(most);
  workspace.created_at = row.number_at(8);
  workspace.revision = unsigned_at(row, 9);
  workspace.seal_key_id = string_at(row, 10);
  workspace.seal = bytes_at<Bytes32>(row, 11);
  if (most != static_cast<std::int64_t>(workspace.most_active_per_owner)) workspace.seal = {};
  return workspace;
}

StoreRecord read_store(const Query& row) {
  StoreRecord store;
  store.id = bytes_at<Bytes16>(row, 0);
  store.created_at = row.number_at(1);
  store.revision = unsigned_at(row, 2);
  store.seal_key_id = string_at(row, 3);
  store.seal = bytes_at<Bytes32>(row, 4);
  return store;
}

Bytes32 read_link(const Query& row, int column) noexcept {
  return bytes_at<Bytes32>(row, column);
}

TokenQuery::State read_state(const Query& row, UnixMillis now) noexcept {
  if (row.number_at(14) != not_ended) return TokenQuery::State::revoked;
  if (row.number_at(13) != not_ended || row.number_at(12) <= now) return TokenQuery::State::expired;
  return row.number_at(11) > now ? TokenQuery::State::pending : TokenQuery::State::active;
}

std::string_view read_id(const Query& row) noexcept {
  return row.text_at(0);
}
std::string_view read_description(const Query& row) noexcept {
  return row.text_at(6);
}

void bind_token(Query& query, std::string_view workspace, const TokenRecord& token) noexcept {
  query.text(1, workspace)
      .text(2, token.id)
      .text(3, token.key_id)
      .blob(4, token.verifier)
      .text(5, token.owner)
      .blob(6, token.owner_birth)
      .number(7, stored(token.revoke_all_count))
      .text(8, token.description)
      .text(9, token.scopes)
      .blob(10, octets(token.metadata))
      .number(11, token.created_at)
      .text(12, token.created_by)
      .number(13, token.not_before)
      .number(14, token.expires_at)
      .number(15, token.expired_at)
      .number(16, token.revoked_at)
      .text(17, token.revoked_by)
      .text(18, token.revoke_reason)
      .number(19, stored(token.revision))
      .text(20, token.seal_key_id)
      .blob(21, token.seal);
}

void bind_new_uses(Query& query, const TokenRecord& token) noexcept {
  query.number(22, token.last_used_at).text(23, token.last_used_from);
}

void bind_owner(Query& query, std::string_view workspace, const OwnerRecord& owner) noexcept {
  query.text(1, workspace)
      .text(2, owner.owner)
      .blob(3, owner.birth)
      .number(4, owner.may_issue ? 1 : 0)
      .number(5, owner.may_use ? 1 : 0)
      .number(6, owner.suspended_at)
      .text(7, owner.suspended_by)
      .text(8, owner.suspend_reason)
      .number(9, stored(owner.revoke_all_count))
      .number(10, stored(owner.revision))
      .text(11, owner.seal_key_id)
      .blob(12, owner.seal);
}

void bind_workspace(Query& query, const WorkspaceRecord& workspace) noexcept {
  query.text(1, workspace.workspace)
      .blob(2, workspace.birth)
      .number(3, workspace.tokens_enabled ? 1 : 0)
      .number(4, workspace.users_may_issue ? 1 : 0)
      .number(5, workspace.never_allowed ? 1 : 0)
      .number(6, workspace.longest_lifetime)
      .number(7, workspace.default_lifetime)
      .number(8, workspace.most_active_per_owner)
      .number(9, workspace.created_at)
      .number(10, stored(workspace.revision))
      .text(11, workspace.seal_key_id)
      .blob(12, workspace.seal);
}

void bind_store(Query& query, const StoreRecord& store) noexcept {
  query.blob(1, store.id)
      .number(2, store.created_at)
      .number(3, stored(store.revision))
      .text(4, store.seal_key_id)
      .blob(5, store.seal);
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/schema.cpp --------------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

struct SchemaObject {
  std::string_view type;
  std::string_view name;
  std::string_view sql;  ///< to the letter as SQLite keeps it
};

// WITHOUT ROWID: one tree per table, found by the key that is asked for. STRICT: a value has its
// column's type. Times are Unix milliseconds; 9223372036854775807 means never. In the order of their names.
constexpr SchemaObject schema_objects[] = {
    // One row for each announced revision: what it named, and the link to the revision before.
    {"table", "change", R"sql(CREATE TABLE change (
  workspace TEXT NOT NULL,
  revision INTEGER NOT NULL,
  entry BLOB NOT NULL,
  link BLOB NOT NULL,
  PRIMARY KEY (workspace, revision)
) STRICT, WITHOUT ROWID)sql"},
    // The revision of a workspace, its link, and the oldest revision from which `change` is complete.
    {"table", "feed", R"sql(CREATE TABLE feed (
  workspace TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  link BLOB NOT NULL,
  feed_from INTEGER NOT NULL
) STRICT, WITHOUT ROWID)sql"},
    {"table", "owner", R"sql(CREATE TABLE owner (
  workspace TEXT NOT NULL,
  owner TEXT NOT NULL,
  birth BLOB NOT NULL,
  may_issue INTEGER NOT NULL,
  may_use INTEGER NOT NULL,
  suspended_at INTEGER NOT NULL,
  suspended_by TEXT NOT NULL,
  suspend_reason TEXT NOT NULL,
  revoke_all_count INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL,
  PRIMARY KEY (workspace, owner)
) STRICT, WITHOUT ROWID)sql"},
    {"table", "store", R"sql(CREATE TABLE store (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID)sql"},
    {"table", "token", R"sql(CREATE TABLE token (
  workspace TEXT NOT NULL,
  id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  verifier BLOB NOT NULL,
  owner TEXT NOT NULL,
  owner_birth BLOB NOT NULL,
  revoke_all_count INTEGER NOT NULL,
  description TEXT NOT NULL,
  scopes TEXT NOT NULL,
  metadata BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  expired_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  revoked_by TEXT NOT NULL,
  revoke_reason TEXT NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL,
  last_used_at INTEGER NOT NULL,
  last_used_from TEXT NOT NULL,
  PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID)sql"},
    // The end is computed, never stored: what no seal covers decides nothing.
    {"index", "token_by_end", "CREATE INDEX token_by_end ON token (workspace, min(revoked_at, expires_at))"},
    {"index", "token_by_owner", "CREATE INDEX token_by_owner ON token (workspace, owner, id)"},
    {"index", "token_by_owner_and_end",
     "CREATE INDEX token_by_owner_and_end ON token (workspace, owner, min(revoked_at, expires_at))"},
    {"index", "token_revoked",
     "CREATE INDEX token_revoked ON token (workspace, id) WHERE revoked_at <> 9223372036854775807"},
    {"table", "workspace", R"sql(CREATE TABLE workspace (
  workspace TEXT NOT NULL PRIMARY KEY,
  birth BLOB NOT NULL,
  tokens_enabled INTEGER NOT NULL,
  users_may_issue INTEGER NOT NULL,
  never_allowed INTEGER NOT NULL,
  longest_lifetime INTEGER NOT NULL,
  default_lifetime INTEGER NOT NULL,
  most_active_per_owner INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID)sql"},
};

Error altered(const std::string& path, std::string_view name) {
  return Error(Status::not_a_store,
               fmt::format("the schema of '{}' was changed outside the library ({}); undo that, or restore a backup",
                           path, name));
}

int create_objects(Connection& connection) {
  const auto create = [&](std::string_view type) {
    for (const SchemaObject& object : schema_objects) {
      if (object.type != type) continue;
      const int code = connection.execute(std::string(object.sql).c_str());
      if (code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
  };
  const int code = create("table");
  return code == SQLITE_OK ? create("index") : code;
}

Error foreign(const std::string& path) {
  return Error(Status::not_a_store, fmt::format("'{}' belongs to another application; name another path", path));
}

Error newer(const std::string& path, std::int64_t version) {
  return Error(Status::newer_schema, fmt::format("'{}' has schema {}, this version knows up to {}; upgrade the library",
                                                 path, version, schema_version));
}

Error damaged(const std::string& path) {
  return Error(Status::not_a_store, fmt::format("'{}' is damaged or incomplete; restore a backup", path));
}

std::int64_t big_endian_32(const unsigned char* at) {
  return (std::int64_t{at[0]} << 24) | (std::int64_t{at[1]} << 16) | (std::int64_t{at[2]} << 8) | std::int64_t{at[3]};
}

}  // namespace

int create_schema(Connection& connection) {
  // In a rollback journal, so that the header of the file itself says whose it is from the first moment.
  const std::string identity =
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", application_id, schema_version);
  int code = connection.execute(
      "PRAGMA auto_vacuum = NONE; PRAGMA encoding = 'UTF-8'; PRAGMA journal_mode = DELETE;"
      "PRAGMA synchronous = FULL; BEGIN EXCLUSIVE;");
  if (code == SQLITE_OK) code = connection.execute(identity.c_str());
  if (code == SQLITE_OK) code = create_objects(connection);
  if (code == SQLITE_OK) code = connection.execute("COMMIT");
  // A VFS without shared memory stays with the rollback journal.
  if (code == SQLITE_OK) code = connection.execute("PRAGMA journal_mode = WAL");
  return code;
}

Result<void> check_header(Connection& connection, const std::string& path, const std::string& resolved) {
  sqlite3_file* file = connection.file();
  if (file == nullptr) return opening_error_of(SQLITE_CANTOPEN, path);
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK) return opening_error_of(code, path);
  if (size == 0) {
    return Error(Status::not_a_store,
                 fmt::format("'{}' is empty; remove it, and it will be created closed to other users", path));
  }
  std::array<unsigned char, 100> header{};
  code = file->pMethods->xRead(file, header.data(), static_cast<int>(header.size()), 0);
  if (code == SQLITE_IOERR_SHORT_READ) code = SQLITE_NOTADB;
  if (code != SQLITE_OK) return opening_error_of(code, path);
  constexpr std::string_view magic("SQLite format 3\0", 16);
  if (!std::equal(magic.begin(), magic.end(), header.begin())) return opening_error_of(SQLITE_NOTADB, path);
  if (big_endian_32(&header[68]) != application_id) return foreign(path);
  const std::int64_t version = big_endian_32(&header[60]);
  if (version > schema_version) return newer(path, version);
  if (version < 1) return damaged(path);
  // A page cut in two: SQLite would take the rest for zeroes. With a WAL it may be a checkpoint under way.
  const std::int64_t page = std::int64_t{header[16]} << 8 | std::int64_t{header[17]};
  const std::int64_t page_size = page == 1 ? 65536 : page;
  struct stat wal {};
  const bool has_wal = ::stat((resolved + "-wal").c_str(), &wal) == 0 && wal.st_size > 0;
  if (page_size < 512 || (size % page_size != 0 && !has_wal)) return damaged(path);
  return {};
}

Result<void> check_schema(Connection& connection, const std::string& path, bool may_write) {
  int code = SQLITE_OK;
  const std::int64_t id = connection.number("PRAGMA application_id", code);
  if (code != SQLITE_ROW) return opening_error_of(code, path);
  if (id != application_id) return foreign(path);
  const std::int64_t version = connection.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return opening_error_of(code, path);
  if (version > schema_version) return newer(path, version);
  // There is no older schema yet: the first migration goes here, in a transaction of its own.
  if (version != schema_version) return damaged(path);
  (void)may_write;
  if (Result<void> ours = check_objects(connection, path); !ours) return ours;
  // Every statement compiles: this version of SQLite knows what they ask for.
  for (std::size_t i = 0; i < sql_count; ++i) {
    code = SQLITE_OK;
    if (connection.statement(static_cast<Sql>(i), code) == nullptr) {
      if ((code & 0xff) == SQLITE_ERROR) return damaged(path);
      return opening_error_of(code, path);
    }
  }
  return {};
}

Result<void> check_objects(Connection& connection, const std::string& path) {
  Query row(connection, Sql::schema_objects);
  const SchemaObject* wanted = std::begin(schema_objects);
  int code = row.step();
  for (; code == SQLITE_ROW; code = row.step()) {
    const std::string_view name = row.text_at(1);
    if (wanted == std::end(schema_objects) || name < wanted->name) return altered(path, name);
    if (name != wanted->name) return altered(path, wanted->name);
    if (row.text_at(0) != wanted->type || row.text_at(2) != wanted->sql) return altered(path, name);
    ++wanted;
  }
  if (code != SQLITE_DONE) return opening_error_of(code, path);
  if (wanted != std::end(schema_objects)) return altered(path, wanted->name);
  return {};
}

Result<void> check_unchanged(Connection& connection, const std::string& path) {
  Query cookie(connection, Sql::schema_cookie);
  if (const int code = cookie.step(); code != SQLITE_ROW) return error_of(code, "looking at the schema");
  const std::int64_t now = cookie.number_at(0);
  if (connection.known_schema == now) return {};
  if (Result<void> ours = check_objects(connection, path); !ours) return ours;
  connection.known_schema = now;
  return {};
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/sql.cpp -----------------------------------------------------------------------------

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
#define ENDS_AT "min(revoked_at, expires_at)"
// "Not revoked" and "not expired by hand" as stored. Written out because a partial index is only used for the same
// expression.
#define NOT_REVOKED "9223372036854775807"
#define NOT_EXPIRED_BY_HAND "expired_at = 9223372036854775807"
// By the rule revoked, else expired, else pending, else active; ?2 is now.
#define STATE_COUNTS                                                                    \
  "SELECT count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND \
  " AND expires_at > ?2 AND not_before <= ?2), "                                        \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND " NOT_EXPIRED_BY_HAND        \
  " AND expires_at > ?2 AND not_before > ?2), "                                         \
  "count(*) FILTER (WHERE revoked_at = " NOT_REVOKED " AND NOT (" NOT_EXPIRED_BY_HAND   \
  " AND expires_at > ?2)), "                                                            \
  "count(*) FILTER (WHERE revoked_at <> " NOT_REVOKED ") FROM token "

// INDEXED BY: statistics that somebody gathered (ANALYZE), or another version of SQLite, cannot change what
// a query costs.
namespace tokenstore::sqlite {

const char* sql_text(Sql which) noexcept {
  switch (which) {
    case Sql::begin_write:
      return "BEGIN IMMEDIATE";
    case Sql::commit:
      return "COMMIT";
    case Sql::rollback:
      return "ROLLBACK";

    case Sql::load_token:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::load_owner:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = ?1 AND owner = ?2";
    case Sql::load_workspace:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace = ?1";
    case Sql::load_store:
      return "SELECT " STORE_COLUMNS " FROM store WHERE only_row = 1";
    case Sql::list_tokens:
      return "SELECT " TOKEN_COLUMNS " FROM token WHERE workspace = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    case Sql::list_tokens_of_owner:
      return "SELECT " TOKEN_COLUMNS
             " FROM token INDEXED BY token_by_owner WHERE workspace = ?1 AND owner = ?4 AND id < ?2 ORDER BY id DESC "
             "LIMIT ?3";
    case Sql::list_revoked_tokens:
      return "SELECT " TOKEN_COLUMNS
             " FROM token INDEXED BY token_revoked WHERE workspace = ?1 AND id < ?2 "
             "AND revoked_at <> " NOT_REVOKED " ORDER BY id DESC LIMIT ?3";
    case Sql::list_owners:
      return "SELECT " OWNER_COLUMNS " FROM owner WHERE workspace = ?1 AND owner > ?2 ORDER BY owner LIMIT ?3";
    case Sql::list_workspaces:
      return "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE workspace > ?1 ORDER BY workspace LIMIT ?2";
    case Sql::count_tokens:
      return STATE_COUNTS "WHERE workspace = ?1";
    case Sql::count_tokens_of_owner:
      return STATE_COUNTS "INDEXED BY token_by_owner WHERE workspace = ?1 AND owner = ?3";
    case Sql::count_live:
      return "SELECT count(*) FROM (SELECT 1 FROM token INDEXED BY token_by_owner_and_end WHERE workspace = ?1 AND "
             "owner = ?2 AND " ENDS_AT " > ?3 LIMIT ?4)";
    case Sql::list_ended:
      return "SELECT id, revision FROM token INDEXED BY token_by_end WHERE workspace = ?1 AND " ENDS_AT
             " < ?2 ORDER BY " ENDS_AT " LIMIT ?3";
    case Sql::changes:
      // One statement, so that the revision and the rows are of one moment.
      return "SELECT f.revision, f.link, f.feed_from, c.revision, c.entry, c.link FROM feed f LEFT JOIN change c "
             "ON c.workspace = f.workspace AND c.revision > ?2 WHERE f.workspace = ?1 ORDER BY c.revision LIMIT ?3";

    case Sql::token_revision:
      return "SELECT revision FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::owner_revision:
      return "SELECT revision FROM owner WHERE workspace = ?1 AND owner = ?2";
    // ?1 = ?1 keeps the parameters of the four alike.
    case Sql::workspace_revision:
      return "SELECT revision FROM workspace WHERE ?1 = ?1 AND workspace = ?2";
    case Sql::store_revision:
      return "SELECT revision FROM store WHERE ?1 = ?1 AND ?2 = '' AND only_row = 1";
    case Sql::insert_token:
      return "INSERT INTO token (workspace, " TOKEN_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "
             "?21, "
             "?22, ?23)";
    case Sql::update_token:
      // last_used_* are left as they are.
      return "UPDATE token SET key_id = ?3, verifier = ?4, owner = ?5, owner_birth = ?6, revoke_all_count = ?7, "
             "description = ?8, scopes = ?9, metadata = ?10, created_at = ?11, created_by = ?12, not_before = ?13, "
             "expires_at = ?14, expired_at = ?15, revoked_at = ?16, revoked_by = ?17, revoke_reason = ?18, "
             "revision = ?19, seal_key_id = ?20, seal = ?21 WHERE workspace = ?1 AND id = ?2";
    case Sql::delete_token:
      return "DELETE FROM token WHERE workspace = ?1 AND id = ?2";
    case Sql::put_owner:
      return "INSERT OR REPLACE INTO owner (workspace, " OWNER_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    case Sql::put_workspace:
      return "INSERT OR REPLACE INTO workspace (" WORKSPACE_COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    case Sql::put_store:
      return "INSERT OR REPLACE INTO store (only_row, " STORE_COLUMNS ") VALUES (1, ?1, ?2, ?3, ?4, ?5)";
    case Sql::feed_head:
      return "SELECT revision, link FROM feed WHERE workspace = ?1";
    case Sql::set_feed_head:
      return "INSERT INTO feed (workspace, revision, link, feed_from) VALUES (?1, ?2, ?3, 0) "
             "ON CONFLICT (workspace) DO UPDATE SET revision = ?2, link = ?3";
    case Sql::add_change:
      return "INSERT INTO change (workspace, revision, entry, link) VALUES (?1, ?2, ?3, ?4)";
    case Sql::drop_changes:
      return "DELETE FROM change WHERE workspace = ?1 AND revision <= ?2";
    case Sql::set_feed_from:
      return "UPDATE feed SET feed_from = ?2 WHERE workspace = ?1 AND feed_from < ?2";
    case Sql::overlong_feeds:
      return "SELECT workspace, revision, feed_from FROM feed WHERE revision - feed_from > ?1";

    case Sql::schema_objects:
      // Names that begin so are SQLite's own: the tables of ANALYZE.
      return "SELECT type, name, sql FROM sqlite_schema WHERE name NOT IN ('sqlite_stat1', 'sqlite_stat4') ORDER BY "
             "name";
    case Sql::schema_cookie:
      return "PRAGMA schema_version";

    case Sql::note_use:
      return "UPDATE token SET last_used_at = ?3, last_used_from = ?4 "
             "WHERE workspace = ?1 AND id = ?2 AND last_used_at < ?3";
    case Sql::count_:
      break;
  }
  return "";
}

}  // namespace tokenstore::sqlite
#undef TOKEN_COLUMNS
#undef OWNER_COLUMNS
#undef WORKSPACE_COLUMNS
#undef STORE_COLUMNS
#undef ENDS_AT
#undef NOT_REVOKED
#undef NOT_EXPIRED_BY_HAND
#undef STATE_COUNTS

// ---- src/backends/sqlite/sqlite_backend.cpp ------------------------------------------------------------------

namespace tokenstore::sqlite {
namespace {

/// Polled: what sleeps on a lock at a fork may sleep for ever in the child.
void wait_a_little() noexcept {
  std::this_thread::sleep_for(std::chrono::microseconds(50));
}

Error orphaned() {
  return {Status::unavailable,
          "the process was forked while another of its threads was using the store; open the store again in the child"};
}

}  // namespace

Result<std::shared_ptr<Backend>> SqliteBackend::open(const SqliteOptions& options) {
  auto backend = std::make_shared<SqliteBackend>(options);
  const Visit visit = backend->come_in();
  Result<std::unique_ptr<Engine>> engine = Engine::open(options, 1);
  if (!engine) return engine.error();
  // A relative path means the directory of now, also for a child that opens the file anew later.
  backend->options_.path = (*engine)->target.path;
  backend->engine_.store(engine->release(), std::memory_order_release);
  return std::shared_ptr<Backend>(std::move(backend));
}

SqliteBackend::~SqliteBackend() {
  Engine* engine = engine_.load(std::memory_order_acquire);
  if (guard_.forked() || orphaned_.load(std::memory_order_acquire)) {
    // A child that never used the store. If a thread of the parent was inside at the fork, SQLite's
    // state is not ours to touch: it is left where it is.
    if (orphaned_.load(std::memory_order_acquire) || inside_.load(std::memory_order_acquire) != 0) return;
    if (engine != nullptr) engine->close_inherited();
    delete engine;
    return;
  }
  const Visit visit = come_in();
  delete engine;
}

SqliteBackend::Visit SqliteBackend::enter() {
  if (guard_.forked()) {
    if (std::optional<Error> error = adopt()) return Visit(std::move(*error));
  }
  return come_in();
}

SqliteBackend::Visit SqliteBackend::come_in() noexcept {
  for (;;) {
    // Counted before anything is touched: a fork from now on finds us inside. Against rest() one of the
    // two sees the other, whatever the order.
    inside_.fetch_add(1, std::memory_order_seq_cst);
    if (!forking_.load(std::memory_order_seq_cst)) return {inside_, engine_.load(std::memory_order_acquire)};
    inside_.fetch_sub(1, std::memory_order_release);
    while (forking_.load(std::memory_order_acquire)) wait_a_little();
  }
}

void SqliteBackend::rest(std::chrono::steady_clock::time_point deadline) noexcept {
  forking_.store(true, std::memory_order_seq_cst);
  for (;;) {
    resting_ = inside_.load(std::memory_order_seq_cst) == 0;
    if (resting_ || std::chrono::steady_clock::now() >= deadline) return;
    wait_a_little();
  }
}

void SqliteBackend::resume(bool in_child) noexcept {
  // Whoever was turned away at the door may still be counted, and in the child never leaves.
  if (in_child && resting_) inside_.store(0, std::memory_order_release);
  forking_.store(false, std::memory_order_release);
}

std::optional<Error> SqliteBackend::adopt() {
  if (orphaned_.load(std::memory_order_acquire)) return orphaned();
  std::optional<Error> error;
  guard_.adopt([&] { return !(error = adopt_engine()); });
  return error;
}

std::optional<Error> SqliteBackend::adopt_engine() {
  if (inside_.load(std::memory_order_acquire) != 0) {
    orphaned_.store(true, std::memory_order_release);
    return orphaned();
  }
  // The inherited connections are at rest. Closing them releases SQLite's bookkeeping of locks that this
  // process does not have (locks are not inherited), so that the new ones really take theirs.
  Engine* inherited = engine_.exchange(nullptr, std::memory_order_acq_rel);
  if (inherited != nullptr) {
    counter_.store(inherited->pulse.beyond(), std::memory_order_release);
    inherited->close_inherited();
    delete inherited;
  }
  SqliteOptions options = options_;
  options.create = false;
  Result<std::unique_ptr<Engine>> engine = Engine::open(options, counter_.load(std::memory_order_acquire));
  if (!engine) return engine.error();
  if (!(*engine)->target.immutable && !holds_shared_lock((*engine)->target.path)) {
    // Another store on this file is still as it was inherited, so SQLite took no locks of its own.
    (*engine)->close_inherited();
    return Error(Status::unavailable,
                 "another store on the same file was open at the fork and has not been used or closed in the child "
                 "since; do so, and try again");
  }
  engine_.store(engine->release(), std::memory_order_release);
  return std::nullopt;
}

Pulse SqliteBackend::pulse() noexcept {
  if (guard_.forked()) return {0, std::numeric_limits<std::int64_t>::min()};
  return engine_.load(std::memory_order_acquire)->read_pulse();
}

CommitResult SqliteBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                   const Announcement* announcement) {
  const Visit visit = enter();
  CommitResult refused;
  if (visit.error()) {
    refused.error.emplace(*visit.error());
    return refused;
  }
  if (options_.read_only) {
    refused.error.emplace(Status::read_only, "the store was opened read-only; nothing was changed");
    return refused;
  }
  CommitTicket ticket{workspace, batch, announcement, {}};
  Engine& engine = *visit;
  engine.queue.submit(ticket, [&engine](std::span<CommitTicket* const> group) { engine.commit_group(group); });
  return std::move(ticket.result);
}

}  // namespace tokenstore::sqlite

namespace tokenstore {

Result<std::shared_ptr<Backend>> sqlite_backend(const SqliteOptions& options) {
  return sqlite::SqliteBackend::open(options);
}

}  // namespace tokenstore

// ---- src/backends/sqlite/wal_pulse.cpp -----------------------------------------------------------------------

namespace tokenstore::sqlite {

WalPulse::WalPulse(std::uint64_t* header, std::uint64_t first_counter) noexcept
    : header_(header), sequence_(2 * first_counter) {
  if (header_ == nullptr) return;
  for (std::size_t i = 0; i < words; ++i) seen_[i].store(live(i), std::memory_order_relaxed);
}

std::uint64_t WalPulse::catch_up() noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t sequence = sequence_.load(std::memory_order_relaxed);
  if (header_ == nullptr) return sequence / 2;
  std::array<std::uint64_t, words> now;
  std::uint64_t difference = 0;
  for (std::size_t i = 0; i < words; ++i) {
    now[i] = live(i);
    difference |= now[i] ^ seen_[i].load(std::memory_order_relaxed);
  }
  if (difference == 0) return sequence / 2;  // another thread has been here
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  // Release on each: none of these may be seen before the odd sequence number.
  for (std::size_t i = 0; i < words; ++i) seen_[i].store(now[i], std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
  return sequence / 2 + 1;
}

void WalPulse::bump() noexcept {
  const std::lock_guard lock(mutex_);
  sequence_.store(sequence_.load(std::memory_order_relaxed) + 2, std::memory_order_release);
}

}  // namespace tokenstore::sqlite

// ---- src/backends/sqlite/writes.cpp --------------------------------------------------------------------------

// Group commit and last uses.


namespace tokenstore::sqlite {
namespace {

/// A write transaction: rolled back unless it was committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection) noexcept : connection_(connection) {}
  ~Transaction() { roll_back(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  int begin() noexcept { return Query(connection_, Sql::begin_write).run(); }
  int commit() noexcept { return Query(connection_, Sql::commit).run(); }
  void roll_back() noexcept {
    // SQLite has done it itself after some errors.
    if (connection_.in_transaction()) Query(connection_, Sql::rollback).run();
  }

 private:
  Connection& connection_;
};

void answer(CommitTicket& ticket, CommitOutcome outcome, std::uint64_t revision) noexcept {
  ticket.result.outcome = outcome;
  ticket.result.revision = revision;
  ticket.result.error.reset();
}

void fail(CommitTicket& ticket, CommitOutcome outcome, const Error& error) {
  ticket.result.outcome = outcome;
  ticket.result.revision = 0;
  ticket.result.error.emplace(error);
}

enum class Held : std::uint8_t { yes, no };

Sql revision_statement(RecordKind kind) {
  switch (kind) {
    case RecordKind::owner:
      return Sql::owner_revision;
    case RecordKind::workspace:
      return Sql::workspace_revision;
    case RecordKind::store:
      return Sql::store_revision;
    case RecordKind::token:
      break;
  }
  return Sql::token_revision;
}

/// The stored revision of the record that a step names; 0: absent.
int read_revision(Connection& connection, std::string_view workspace, const Mutation& mutation,
                  RecordRevision& found) noexcept {
  Query row(connection, revision_statement(mutation.kind));
  row.text(1, workspace).text(2, mutation.key);
  const int code = row.step();
  if (code == SQLITE_ROW) found = static_cast<RecordRevision>(row.number_at(0));
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int check_precondition(Connection& connection, std::string_view workspace, const Mutation& mutation, Held& held) {
  RecordRevision found = 0;
  const int code = read_revision(connection, workspace, mutation, found);
  held = found == mutation.expected ? Held::yes : Held::no;
  return code;
}

int put(Connection& connection, std::string_view workspace, const Mutation& mutation) {
  if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
    Query query(connection, mutation.expected == 0 ? Sql::insert_token : Sql::update_token);
    bind_token(query, workspace, *token);
    if (mutation.expected == 0) bind_new_uses(query, *token);
    return query.run();
  }
  if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
    Query query(connection, Sql::put_owner);
    bind_owner(query, workspace, *owner);
    return query.run();
  }
  if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
    Query query(connection, Sql::put_workspace);
    bind_workspace(query, *settings);
    return query.run();
  }
  Query query(connection, Sql::put_store);
  bind_store(query, std::get<StoreRecord>(mutation.record));
  return query.run();
}

int apply(Connection& connection, std::string_view workspace, const Mutation& mutation) {
  switch (mutation.action) {
    case Mutation::Action::check:
      return SQLITE_OK;
    case Mutation::Action::put:
      return put(connection, workspace, mutation);
    case Mutation::Action::remove:
      return Query(connection, Sql::delete_token).text(1, workspace).text(2, mutation.key).run();
  }
  return SQLITE_MISUSE;
}

/// Revision and link of a workspace's feed. 0 and zeroes: nothing was announced yet.
int read_head(Connection& connection, std::string_view workspace, std::int64_t& revision, Bytes32& link) {
  Query head(connection, Sql::feed_head);
  const int code = head.text(1, workspace).step();
  if (code == SQLITE_ROW) {
    revision = head.number_at(0);
    link = read_link(head, 1);
    return SQLITE_OK;
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/// Appends an announcement. `revision` and `link` are of the head before.
int announce(Connection& connection, std::string_view workspace, const Announcement& announcement,
             std::int64_t revision, const Bytes32& link) {
  const Bytes32 next = announcement.link(static_cast<std::uint64_t>(revision), link);
  const std::string_view entry = announcement.entry();
  Query head(connection, Sql::set_feed_head);
  int code = head.text(1, workspace).number(2, revision).blob(3, next).run();
  if (code != SQLITE_OK) return code;
  Query change(connection, Sql::add_change);
  change.text(1, workspace).number(2, revision);
  change.blob(3, {reinterpret_cast<const std::uint8_t*>(entry.data()), entry.size()}).blob(4, next);
  return change.run();
}

int trim_feed(Connection& connection, std::string_view workspace, std::int64_t revision) {
  const std::int64_t from = revision - feed_revisions;
  int code = Query(connection, Sql::drop_changes).text(1, workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::set_feed_from).text(1, workspace).number(2, from).run();
  return code;
}

bool only_checks(std::span<const Mutation> batch) {
  for (const Mutation& mutation : batch) {
    if (mutation.action != Mutation::Action::check) return false;
  }
  return true;
}

/// Runs one batch inside the open transaction. All preconditions come first, so that a batch that does
/// not hold has not changed anything and its neighbours go on.
int run_batch(Connection& connection, CommitTicket& ticket, bool& wrote) {
  if (!base::is_well_formed(ticket.workspace, ticket.batch)) {
    fail(ticket, CommitOutcome::failed, base::misfit());
    return SQLITE_OK;
  }
  for (const Mutation& mutation : ticket.batch) {
    Held held = Held::no;
    const int code = check_precondition(connection, ticket.workspace, mutation, held);
    if (code != SQLITE_OK) return code;
    if (held == Held::no) {
      answer(ticket, CommitOutcome::conflict, 0);
      return SQLITE_OK;
    }
  }
  std::int64_t revision = 0;
  Bytes32 link{};
  int code = read_head(connection, ticket.workspace, revision, link);
  if (code != SQLITE_OK) return code;
  if (ticket.announcement != nullptr || !only_checks(ticket.batch)) {
    for (const Mutation& mutation : ticket.batch) {
      code = apply(connection, ticket.workspace, mutation);
      if (code != SQLITE_OK) return code;
    }
    if (ticket.announcement != nullptr) {
      ++revision;
      code = announce(connection, ticket.workspace, *ticket.announcement, revision, link);
      if (code == SQLITE_OK && revision > feed_revisions && revision % feed_slack == 0) {
        code = trim_feed(connection, ticket.workspace, revision);
      }
      if (code != SQLITE_OK) return code;
    }
    ticket.wrote = true;
    wrote = true;
  }
  answer(ticket, CommitOutcome::committed, static_cast<std::uint64_t>(revision));
  return SQLITE_OK;
}

void fail_all(std::span<CommitTicket* const> group, CommitOutcome outcome, const Error& error) {
  for (CommitTicket* ticket : group) fail(*ticket, outcome, error);
}

/// What a step would have left behind, were its batch committed.
bool shows(const Mutation& mutation, RecordRevision found) noexcept {
  if (mutation.action == Mutation::Action::put) return found > mutation.expected;
  return found == 0 || found > mutation.expected;
}

/// Is there no trace of a batch that was not committed? `revision`: what it would have reached.
int look_for_traces(Connection& connection, const CommitTicket& ticket, bool& found) noexcept {
  if (ticket.announcement != nullptr) {
    std::int64_t revision = 0;
    Bytes32 link{};
    if (const int code = read_head(connection, ticket.workspace, revision, link); code != SQLITE_OK) return code;
    if (static_cast<std::uint64_t>(revision) >= ticket.result.revision) found = true;
  }
  for (const Mutation& mutation : ticket.batch) {
    if (mutation.action == Mutation::Action::check) continue;
    RecordRevision now = 0;
    if (const int code = read_revision(connection, ticket.workspace, mutation, now); code != SQLITE_OK) return code;
    if (shows(mutation, now)) found = true;
  }
  return SQLITE_OK;
}

/// After a COMMIT that failed: may the transaction come back? A commit record can have reached the WAL
/// although syncing it failed, and recovery after a crash would then find it. A durable commit after it
/// overwrites it; only if that succeeds is it certain that nothing happened.
CommitOutcome settle(Connection& connection, std::span<CommitTicket* const> group) noexcept {
  Transaction barrier(connection);
  if (barrier.begin() != SQLITE_OK) return CommitOutcome::unknown;
  for (const CommitTicket* ticket : group) {
    if (!ticket->wrote) continue;
    bool found = false;
    // Ours, or somebody else's since: it cannot be told.
    if (look_for_traces(connection, *ticket, found) != SQLITE_OK || found) return CommitOutcome::unknown;
  }
  // Writing the same number again makes a frame all the same.
  int code = SQLITE_OK;
  const std::int64_t version = connection.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return CommitOutcome::unknown;
  if (connection.execute(("PRAGMA user_version = " + std::to_string(version)).c_str()) != SQLITE_OK) {
    return CommitOutcome::unknown;
  }
  return barrier.commit() == SQLITE_OK ? CommitOutcome::failed : CommitOutcome::unknown;
}

/// The whole group in one transaction. False: one of several batches could not be run, and nothing
/// happened; each is to be tried by itself.
bool try_group(Connection& connection, const std::string& path, std::span<CommitTicket* const> group,
               int& spoiling_code, CommitOutcome& if_memory_runs_out) {
  Transaction transaction(connection);
  int code = transaction.begin();
  if (code != SQLITE_OK) {
    spoiling_code = code;
    fail_all(group, CommitOutcome::failed, error_of(code, "waiting to write"));
    return true;
  }
  if (const Result<void> ours = check_unchanged(connection, path); !ours) {
    fail_all(group, CommitOutcome::failed, ours.error());
    return true;
  }
  bool wrote = false;
  for (CommitTicket* ticket : group) {
    ticket->wrote = false;
    code = run_batch(connection, *ticket, wrote);
    if (code == SQLITE_OK) continue;
    transaction.roll_back();
    if (group.size() > 1) return false;
    spoiling_code = code;
    fail(*ticket, CommitOutcome::failed, error_of(code, "writing"));
    return true;
  }
  if (!wrote) return true;

  if_memory_runs_out = CommitOutcome::unknown;
  code = transaction.commit();
  if (code == SQLITE_OK) return true;
  spoiling_code = code;
  transaction.roll_back();
  // A full disk leaves the commit record unwritten; anything else is less clear.
  CommitOutcome outcome = CommitOutcome::failed;
  const int primary = code & 0xff;
  if (primary != SQLITE_FULL && primary != SQLITE_BUSY) outcome = settle(connection, group);
  const Error error = error_of(code, "making a change durable");
  for (CommitTicket* ticket : group) {
    if (ticket->wrote) fail(*ticket, outcome, error);
  }
  return true;
}

int note_uses(Connection& connection, std::string_view workspace, std::span<const Use> uses) {
  Transaction transaction(connection);
  if (const int code = transaction.begin(); code != SQLITE_OK) return code;
  for (const Use& use : uses) {
    Query query(connection, Sql::note_use);
    query.text(1, workspace).text(2, use.id).number(3, use.used_at).text(4, use.used_from);
    if (const int code = query.run(); code != SQLITE_OK) return code;
  }
  return transaction.commit();
}

}  // namespace

void Engine::commit_group(std::span<CommitTicket* const> group) noexcept {
  if (run_group(group)) return;
  for (std::size_t i = 0; i < group.size(); ++i) run_group(group.subspan(i, 1));
}

// False: try each batch by itself.
bool Engine::run_group(std::span<CommitTicket* const> group) noexcept {
  // Every ticket starts out as what it is if nothing more can be done for it.
  CommitOutcome if_memory_runs_out = CommitOutcome::failed;
  try {
    if (std::optional<Error> error = check_files(true)) {
      fail_all(group, CommitOutcome::failed, *error);
      return true;
    }
    const std::lock_guard lock(writer_mutex);
    const Result<Connection*> connection = writer_connection();
    if (!connection) {
      fail_all(group, CommitOutcome::failed, connection.error());
      return true;
    }
    int code = SQLITE_OK;
    const bool settled = try_group(**connection, target.path, group, code, if_memory_runs_out);
    if (spoils_connection(code)) discard_writer();
    return settled;
  } catch (const std::bad_alloc&) {
    for (CommitTicket* ticket : group) {
      // Short enough for the text to need no memory.
      fail(*ticket, if_memory_runs_out, Error(Status::out_of_memory, "out of memory"));
    }
    return true;
  }
}

Result<void> SqliteBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  if (options_.read_only) return Error(Status::read_only, "the store was opened read-only; nothing was changed");
  if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  // In slices, so that commits do not wait long for the lock.
  constexpr std::size_t slice_max = 1000;
  while (!uses.empty()) {
    const std::span<const Use> slice = uses.first(std::min(uses.size(), slice_max));
    uses = uses.subspan(slice.size());
    const std::lock_guard lock(visit->writer_mutex);
    const Result<Connection*> connection = visit->writer_connection();
    if (!connection) return connection.error();
    const int code = note_uses(**connection, workspace, slice);
    if (code != SQLITE_OK) {
      if (spoils_connection(code)) visit->discard_writer();
      return error_of(code, "writing last uses");
    }
  }
  return {};
}

}  // namespace tokenstore::sqlite

// ---- include/tokenstore/open.hpp -----------------------------------------------------------------------------

/// The short way in: a store with its backend and keyring in one call.



namespace tokenstore {

struct Opened {
  std::unique_ptr<TokenStore> store;
  /// Path of the key file, if this call created it. Tell the operator: without it the tokens are lost,
  /// with it and the database they can be forged. Back it up apart from the database.
  std::string created_key_file;
};

struct OpenSqlite {
  SqliteOptions sqlite{};
  std::optional<Keyring> keyring{};  ///< absent: from `key_file`
  std::string key_file{};            ///< empty: "<database>.key", created (O_EXCL, 0600) with a new database
  KeyFileTrust key_file_trust{};     ///< which key files are taken; strict unless something is set
  std::string key_credential{};      ///< instead of a key file: the name of systemd's credential
  /// Instead of all of these: where the keys come from, which may change while the store is open. A key file, where it
  /// is a regular one, and a credential are such sources by themselves.
  std::shared_ptr<KeySource> key_source{};
  StoreOptions store{};
};

/// Opens or creates a store in a SQLite file. An existing database whose key is missing or wrong does
/// not open, and nothing is written. Run by root, it works for the owner of the database, and of a new one's
/// directory: what is made belongs to them, and their key file is taken (docs/sqlite.md).
Result<Opened> open_sqlite(OpenSqlite options);
/// As above, with every default.
Result<Opened> open_sqlite(const std::string& path);

/// A store that lives and dies with this process. Without a keyring it makes one.
Result<Opened> open_memory(StoreOptions options = {}, std::optional<Keyring> keyring = {});

}  // namespace tokenstore

// ---- src/open/open.cpp ---------------------------------------------------------------------------------------

namespace tokenstore {
namespace {

enum class FileState { missing, empty, present };

/// `present` also if it cannot be told: whatever is there is not ours to replace.
FileState state_of(const std::string& path) noexcept {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return errno == ENOENT ? FileState::missing : FileState::present;
  return S_ISREG(facts.st_mode) && facts.st_size == 0 ? FileState::empty : FileState::present;
}

/// What says whose the store is: the database, or the directory that a new one is to lie in.
std::string owner_of(const std::string& database) {
  if (state_of(database) != FileState::missing) return database;
  const std::size_t slash = database.rfind('/');
  return slash == std::string::npos ? "." : database.substr(0, slash + 1);
}

bool is_descriptor(const std::string& key_file) noexcept {
  return key_file.starts_with("/dev/fd/") || key_file.starts_with("/proc/self/fd/");
}

Error key_missing(const std::string& key_file) {
  return Error(Status::wrong_key,
               fmt::format("the key file '{}' is missing, and without it the database cannot be used; put it back or "
                           "name the right one",
                           key_file));
}

Result<Keyring> new_keyring(const StoreOptions& options) {
  const std::shared_ptr<RandomSource> random = options.random ? options.random : system_random();
  return Keyring::generate(*random);
}

/// The store over a backend; `opened` keeps the backend for whoever has to clean up.
template <typename Keys>
Result<Opened> open_store(const OpenSqlite& options, Keys keys, std::shared_ptr<Backend>& opened) {
  Result<std::shared_ptr<Backend>> backend = sqlite_backend(options.sqlite);
  if (!backend.ok()) return backend.error();
  opened = *std::move(backend);
  Result<std::unique_ptr<TokenStore>> store = TokenStore::open(opened, std::move(keys), options.store);
  if (!store.ok()) return store.error();
  return Opened{*std::move(store), {}};
}

/// Takes back a database that was not there before and that nobody has begun to use. Caller's part: the
/// exclusive lock.
void take_back_database(const std::string& path, std::shared_ptr<Backend>& backend) {
  if (!backend) return;
  const auto workspaces = backend->list_workspaces({}, 1);
  const bool unused = workspaces.ok() && workspaces->empty();
  backend.reset();
  if (!unused) return;
  for (const char* suffix : {"-wal", "-shm", ""}) ::unlink((path + suffix).c_str());
}

/// How often an opening that others get in the way of is begun again.
constexpr int most_attempts = 10;

/// True if this call made the key file; false if it was there, or somebody else was faster.
Result<bool> create_key_file(const OpenSqlite& options, const std::string& key_file) {
  for (int attempt = 1; state_of(key_file) == FileState::missing; ++attempt) {
    const FileState database = state_of(options.sqlite.path);
    if (options.sqlite.read_only || !options.sqlite.create || database != FileState::missing) {
      // Somebody may have made both since the key was looked for.
      if (state_of(key_file) != FileState::missing) return false;
      // A database that is missing too, or empty (cut off, perhaps: not to be taken for a new one), is the
      // greater trouble, and the backend says what to do.
      if (database != FileState::present) {
        if (const auto backend = sqlite_backend(options.sqlite); !backend.ok()) return backend.error();
      }
      return key_missing(key_file);
    }
    const Result<Keyring> keyring = new_keyring(options.store);
    if (!keyring.ok()) return keyring.error();
    const Result<void> written = keyring->write_new_file(key_file, owner_of(options.sqlite.path));
    if (written.ok()) return true;
    // Still missing: somebody else made it and has taken it back, or this fails for a reason that stays.
    if (attempt == most_attempts && state_of(key_file) == FileState::missing) return written.error();
  }
  return false;
}

Result<Opened> open_with_key_file(const OpenSqlite& options) {
  const std::string& database = options.sqlite.path;
  const std::string key_file = options.key_file.empty() ? database + ".key" : options.key_file;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const Result<bool> created = create_key_file(options, key_file);
    if (!created.ok()) return created.error();

    using seal::KeyFileLock;
    const bool fresh = state_of(database) != FileState::present;
    const KeyFileLock lock(key_file, fresh ? KeyFileLock::Mode::exclusive : KeyFileLock::Mode::shared);
    if (!lock.current()) continue;  // whoever made it has taken it back

    const bool database_is_ours = state_of(database) == FileState::missing;
    KeyFileTrust trust = options.key_file_trust;
    if (trust.owner_of.empty()) trust.owner_of = owner_of(database);
    const std::shared_ptr<KeySource> keys = key_file_source(key_file, trust);
    std::shared_ptr<Backend> backend;
    // A key file that cannot be used is said before anything is looked at in the database.
    const Result<Keyring> usable = keys->keyring();
    Result<Opened> opened = usable.ok() ? open_store(options, keys, backend) : Result<Opened>(usable.error());
    if (opened.ok()) {
      if (*created) opened->created_key_file = key_file;
      return opened;
    }
    if (database_is_ours && lock.exclusive()) take_back_database(database, backend);
    backend.reset();
    // A key goes only if there is no database that it may have sealed.
    if (*created && lock.exclusive() && state_of(database) != FileState::present) ::unlink(key_file.c_str());
    return opened;
  }
  return Error(Status::conflict, "other processes keep making and removing this store; try again");
}

}  // namespace

Result<Opened> open_sqlite(OpenSqlite options) {
  if (options.sqlite.path.empty() || options.sqlite.path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the database is empty or holds a NUL; name a file");
  }
  const bool has_keyring = options.keyring.has_value();
  const bool has_credential = !options.key_credential.empty();
  const bool has_source = options.key_source != nullptr;
  if (int{has_keyring} + int{has_credential} + int{has_source} + int{!options.key_file.empty()} > 1) {
    return Error(Status::invalid_argument,
                 "more than one of keyring, key source, key file and credential was given; give one");
  }
  if (has_credential) {
    Result<std::shared_ptr<KeySource>> credential = key_credential_source(options.key_credential);
    if (!credential.ok()) return credential.error();
    options.key_source = *std::move(credential);
  } else if (is_descriptor(options.key_file) && options.key_file_trust.inherited_descriptor) {
    // Read once, never made and never locked: it may be a pipe.
    Result<Keyring> keyring = Keyring::from_file(options.key_file, options.key_file_trust);
    if (!keyring.ok()) return keyring.error();
    options.keyring = *std::move(keyring);
  }
  std::shared_ptr<Backend> backend;
  if (options.key_source) {
    // As a key file: one that gives no keys is said first.
    if (const Result<Keyring> usable = options.key_source->keyring(); !usable.ok()) return usable.error();
    return open_store(options, options.key_source, backend);
  }
  if (!options.keyring) return open_with_key_file(options);
  return open_store(options, *std::move(options.keyring), backend);
}

Result<Opened> open_sqlite(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  return open_sqlite(std::move(options));
}

Result<Opened> open_memory(StoreOptions options, std::optional<Keyring> keyring) {
  if (!keyring) {
    Result<Keyring> fresh = new_keyring(options);
    if (!fresh.ok()) return fresh.error();
    keyring = *std::move(fresh);
  }
  Result<std::unique_ptr<TokenStore>> store =
      TokenStore::open(memory_backend(), *std::move(keyring), std::move(options));
  if (!store.ok()) return store.error();
  return Opened{*std::move(store), {}};
}

}  // namespace tokenstore

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

// ---- capi/src/error.cpp --------------------------------------------------------------------------------------

namespace tokenstore::capi {

std::int32_t report(tokenstore_error** out_error, std::int32_t status, std::string_view message) noexcept {
  if (out_error == nullptr) return status;
  try {
    *out_error = new tokenstore_error{std::string(message)};
  } catch (...) {
    *out_error = nullptr;
  }
  return status;
}

}  // namespace tokenstore::capi



namespace tokenstore::capi {

extern "C" TOKENSTORE_API const char* tokenstore_error_message(const tokenstore_error* error, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return error == nullptr ? no_text(out_size) : returned_text(error->message, out_size); });
}

extern "C" TOKENSTORE_API void tokenstore_error_free(tokenstore_error* error) {
  guard_free(error);
}

}  // namespace tokenstore::capi

// ---- capi/src/open_options.hpp -------------------------------------------------------------------------------

/// What tokenstore_open_options says about a store, whatever its storage. What breaks a rule is a Failure.
/// Stateless; any thread.



namespace tokenstore::capi {

/// The keyring that the options hold, if they hold one; files and credentials are left to those below.
std::optional<Keyring> keyring_of(const tokenstore_open_options& options);
/// The path of the key file, or empty.
std::string key_file_of(const tokenstore_open_options& options);
/// From TOKENSTORE_KEY_FILE_... added up.
KeyFileTrust key_file_trust_of(std::int32_t trust);
/// The name of systemd's credential; empty if the options name none.
std::string key_credential_of(const tokenstore_open_options& options);
/// The keyring that the options hold or name a file of, for storage that keeps no key file beside it.
std::optional<Keyring> keyring_or_file_of(const tokenstore_open_options& options);
StoreOptions store_options_of(const tokenstore_open_options& options);
/// Refuses what only SQLite understands.
void refuse_sqlite_options(const tokenstore_open_options& options, std::string_view instead);

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

// ---- capi/src/keyring.cpp ------------------------------------------------------------------------------------

// The keyring, for hosts that keep their keys elsewhere than in a file beside the database.






namespace tokenstore::capi {

namespace {

tokenstore_keyring* handle(Keyring keyring) {
  return std::make_unique<tokenstore_keyring>(tokenstore_keyring{std::move(keyring)}).release();
}

KeyUse key_use(std::int32_t use) {
  switch (use) {
    case TOKENSTORE_KEY_ACTIVE:
      return KeyUse::active;
    case TOKENSTORE_KEY_VERIFY_ONLY:
      return KeyUse::verify_only;
    case TOKENSTORE_KEY_RETIRED:
      return KeyUse::retired;
    default:
      refuse("the use of the key is not known: set it to one of TOKENSTORE_KEY_...");
  }
}

std::string key_file_path(const char* data, std::size_t size) {
  std::string result = path(data, size, "the path");
  if (result.empty()) refuse("the path is empty: name the key file");
  return result;
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_generate(tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::generate(*system_random())));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_from_bytes(const uint8_t* master, size_t master_size, const char* id, size_t id_size,
                                      tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    const auto key = bytes(&need(master, "the key"), master_size, "the key");
    const auto name = text(id, id_size, "the key id");
    out = handle(take(name.empty() ? Keyring::from_bytes(key) : Keyring::from_bytes(key, name)));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_from_file(const char* path, size_t path_size, tokenstore_keyring** out_keyring,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_file(key_file_path(path, path_size))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_from_file_trusting(const char* path, size_t path_size, int32_t trust,
                                              tokenstore_keyring** out_keyring, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_file(key_file_path(path, path_size), key_file_trust_of(trust))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_from_credential(const char* name, size_t name_size, tokenstore_keyring** out_keyring,
                                           tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_credential(text(name, name_size, "the name of the credential"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_from_text(const char* text, size_t text_size, tokenstore_keyring** out_keyring,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_keyring);
    out = handle(take(Keyring::from_text(capi::text(text, text_size, "the text"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_add(tokenstore_keyring* keyring, const char* id, size_t id_size, int32_t use,
                               const uint8_t* master, size_t master_size, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(keyring, "the keyring");
    const auto name = text(id, id_size, "the key id");
    const auto key = bytes(&need(master, "the key"), master_size, "the key");
    take(keyring->keyring.add(name, key_use(use), key));
  });
}

extern "C" TOKENSTORE_API size_t tokenstore_keyring_count(const tokenstore_keyring* keyring) {
  return guard_value(std::size_t{0}, [&] { return keyring == nullptr ? 0 : keyring->keyring.keys().size(); });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_key(const tokenstore_keyring* keyring, size_t index, tokenstore_key_info* out_info,
                               tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& keys = need(keyring, "the keyring").keyring.keys();
    if (index >= keys.size()) fail(Status::not_found, "the keyring has no key at this index");
    tokenstore_key_info info{};
    info.id = keys[index].id.c_str();
    info.id_size = keys[index].id.size();
    info.use = static_cast<std::int32_t>(keys[index].use);
    TOKENSTORE_WRITE(tokenstore_key_info, KEY_INFO, out_info, "the key info", info);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_write_new_file(const tokenstore_keyring* keyring, const char* path, size_t path_size,
                                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(keyring, "the keyring");
    take(keyring->keyring.write_new_file(key_file_path(path, path_size)));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_keyring_reveal_text(const tokenstore_keyring* keyring, char* buffer, size_t buffer_size,
                                       size_t* out_size, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const SecretText text = need(keyring, "the keyring").keyring.reveal_text();
    write_text(text.reveal(), buffer, buffer_size, out_size);
  });
}

extern "C" TOKENSTORE_API void tokenstore_keyring_free(tokenstore_keyring* keyring) {
  guard_free(keyring);
}

}  // namespace tokenstore::capi

// ---- capi/src/lists.cpp --------------------------------------------------------------------------------------

// Lists of tokens, and what a list shows of one.





tokenstore_token::tokenstore_token(tokenstore::TokenInfo token) { using namespace tokenstore; using namespace tokenstore::capi;
  set(std::move(token));
}

void tokenstore_token::set(tokenstore::TokenInfo token) { using namespace tokenstore; using namespace tokenstore::capi;
  info = std::move(token);
  scopes.clear();
  for (const std::string& scope : info.scopes) {
    if (!scopes.empty()) scopes += ' ';
    scopes += scope;
  }
}

void tokenstore_token::describe(tokenstore_token_info* out_info) const { using namespace tokenstore; using namespace tokenstore::capi;
  tokenstore_token_info out{};
  out.id = returned_text(info.id, &out.id_size);
  out.owner = returned_text(info.owner, &out.owner_size);
  out.description = returned_text(info.description, &out.description_size);
  out.scopes = returned_text(scopes, &out.scopes_size);
  out.metadata = returned_text(info.metadata, &out.metadata_size);
  out.created_by = returned_text(info.created_by, &out.created_by_size);
  out.revoked_by = returned_text(info.revoked_by, &out.revoked_by_size);
  out.revoke_reason = returned_text(info.revoke_reason, &out.revoke_reason_size);
  out.last_used_from = returned_text(info.last_used_from, &out.last_used_from_size);
  out.created_at = info.created_at;
  out.not_before = info.not_before;
  out.expires_at = end_time(info.expires_at);
  out.revoked_at = zero_if_absent(info.revoked_at);
  out.last_used_at = zero_if_absent(info.last_used_at);
  out.state = static_cast<std::int32_t>(info.state);
  TOKENSTORE_WRITE(tokenstore_token_info, TOKEN_INFO, out_info, "the token info", out);
}

namespace tokenstore::capi {

namespace {

std::optional<TokenState> state_of(std::int32_t state) {
  switch (state) {
    case 0:
      return std::nullopt;
    case TOKENSTORE_STATE_ACTIVE:
      return TokenState::active;
    case TOKENSTORE_STATE_PENDING:
      return TokenState::pending;
    case TOKENSTORE_STATE_EXPIRED:
      return TokenState::expired;
    case TOKENSTORE_STATE_REVOKED:
      return TokenState::revoked;
    default:
      refuse("the state of the query is not known: set it to 0 or one of TOKENSTORE_STATE_...");
  }
}

ListQuery query_of(const tokenstore_list_query* given) {
  ListQuery query;
  if (given == nullptr) return query;
  const auto known = TOKENSTORE_READ(tokenstore_list_query, LIST_QUERY, given, "the query");
  need_zero(known.reserved, "the query");
  query.owner = text(known.owner, known.owner_size, "the owner");
  query.text = text(known.text, known.text_size, "the text");
  query.cursor = text(known.cursor, known.cursor_size, "the cursor");
  query.state = state_of(known.state);
  if (known.limit != 0) query.limit = known.limit;
  return query;
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_list(tokenstore_store* store, const tokenstore_actor* actor, const tokenstore_list_query* query,
                        tokenstore_page** out_page, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_page);
    TokenStore& opened = opened_store(store);
    TokenPage found = take(opened.list(capi::actor(actor), query_of(query)));
    auto page = std::make_unique<tokenstore_page>();
    page->tokens.reserve(found.tokens.size());
    for (TokenInfo& token : found.tokens) page->tokens.emplace_back(std::move(token));
    page->next = std::move(found.next);
    out = page.release();
  });
}

extern "C" TOKENSTORE_API size_t tokenstore_page_count(const tokenstore_page* page) {
  return guard_value(std::size_t{0}, [&] { return page == nullptr ? 0 : page->tokens.size(); });
}

extern "C" TOKENSTORE_API int32_t tokenstore_page_token(const tokenstore_page* page, size_t index, tokenstore_token_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& tokens = need(page, "the page").tokens;
    if (index >= tokens.size()) fail(Status::not_found, "the page has no token at this index");
    tokens[index].describe(out_info);
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_page_next(const tokenstore_page* page, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return page == nullptr ? no_text(out_size) : returned_text(page->next, out_size); });
}

extern "C" TOKENSTORE_API void tokenstore_page_free(tokenstore_page* page) {
  guard_free(page);
}

extern "C" TOKENSTORE_API int32_t tokenstore_count(tokenstore_store* store, const tokenstore_actor* actor, const char* owner, size_t owner_size,
                         tokenstore_counts* out_counts, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    need(out_counts, "the pointer for the answer");
    const StateCounts counts = take(opened.count(capi::actor(actor), text(owner, owner_size, "the owner")));
    const tokenstore_counts out{0, counts.active, counts.pending, counts.expired, counts.revoked};
    TOKENSTORE_WRITE(tokenstore_counts, COUNTS, out_counts, "the counts", out);
  });
}

}  // namespace tokenstore::capi

// ---- capi/src/names.cpp --------------------------------------------------------------------------------------

// Version and names: texts that live as long as the library.





#define TOKENSTORE_SPELL_OUT(number) #number
#define TOKENSTORE_SPELL(number) TOKENSTORE_SPELL_OUT(number)


namespace tokenstore::capi {
namespace {

constexpr const char* unrecognised = "unrecognised";

/// The C++ names are literals, so a zero byte follows them. A number that does not fit the enumeration
/// must not be cut down to one that does.
template <typename Enumeration>
const char* name_of(std::int32_t number, std::string_view (*name)(Enumeration) noexcept) noexcept {
  using Number = std::underlying_type_t<Enumeration>;
  return guard_value(unrecognised, [&] {
    if (number < 0 || number > std::int64_t{std::numeric_limits<Number>::max()}) return unrecognised;
    return name(static_cast<Enumeration>(number)).data();
  });
}

}  // namespace

extern "C" TOKENSTORE_API const char* tokenstore_version(void) {
  return guard_value(unrecognised, [] {
    return TOKENSTORE_SPELL(TOKENSTORE_VERSION_MAJOR) "." TOKENSTORE_SPELL(
        TOKENSTORE_VERSION_MINOR) "." TOKENSTORE_SPELL(TOKENSTORE_VERSION_PATCH);
  });
}

extern "C" TOKENSTORE_API uint32_t tokenstore_version_number(void) {
  return guard_value(std::uint32_t{0}, [] {
    return std::uint32_t{TOKENSTORE_VERSION_MAJOR} * 1'000'000 + std::uint32_t{TOKENSTORE_VERSION_MINOR} * 1'000 +
           std::uint32_t{TOKENSTORE_VERSION_PATCH};
  });
}

extern "C" TOKENSTORE_API uint32_t tokenstore_abi_version(void) {
  return guard_value(std::uint32_t{0}, [] { return std::uint32_t{TOKENSTORE_ABI_VERSION}; });
}

extern "C" TOKENSTORE_API const char* tokenstore_status_name(int32_t status) {
  return name_of<Status>(status, status_name);
}
extern "C" TOKENSTORE_API const char* tokenstore_outcome_name(int32_t outcome) {
  return name_of<Outcome>(outcome, outcome_name);
}
extern "C" TOKENSTORE_API const char* tokenstore_reason_name(int32_t reason) {
  return name_of<Reason>(reason, reason_name);
}
extern "C" TOKENSTORE_API const char* tokenstore_state_name(int32_t state) {
  return name_of<TokenState>(state, state_name);
}

}  // namespace tokenstore::capi
#undef TOKENSTORE_SPELL_OUT
#undef TOKENSTORE_SPELL

// ---- capi/src/open.cpp ---------------------------------------------------------------------------------------

// Opening and closing a store, and what can be asked of it without an actor.






namespace tokenstore::capi {

namespace {

SqliteOptions sqlite_options_of(const tokenstore_open_options& options) {
  SqliteOptions result;
  result.path = path(options.path, options.path_size, "the path");
  if (result.path.empty()) refuse("the path is empty: name the database file");
  result.vfs = path(options.vfs, options.vfs_size, "the VFS");
  result.read_only = flag(options.read_only, "read_only");
  result.create = !flag(options.must_exist, "must_exist") && !result.read_only;
  if (options.busy_timeout_ms < -1 || options.busy_timeout_ms > std::numeric_limits<std::int32_t>::max()) {
    refuse("busy_timeout_ms is out of range");
  }
  if (options.busy_timeout_ms == -1) result.busy_timeout = std::chrono::milliseconds(0);
  if (options.busy_timeout_ms > 0) result.busy_timeout = std::chrono::milliseconds(options.busy_timeout_ms);
  switch (options.durability) {
    case TOKENSTORE_DURABILITY_FULL:
      break;
    case TOKENSTORE_DURABILITY_SURVIVES_CRASH_BUT_NOT_POWER_CUT:
      result.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
      break;
    default:
      refuse("the durability is not known: set it to one of TOKENSTORE_DURABILITY_...");
  }
  return result;
}

Opened open_of_sqlite(const tokenstore_open_options& options) {
  OpenSqlite request;
  request.sqlite = sqlite_options_of(options);
  request.store = store_options_of(options);
  request.keyring = keyring_of(options);
  request.key_file = key_file_of(options);
  request.key_file_trust = key_file_trust_of(options.key_file_trust);
  request.key_credential = key_credential_of(options);
  return take(open_sqlite(std::move(request)));
}

Opened open_of_memory(const tokenstore_open_options& options) {
  refuse_sqlite_options(options, "in memory");
  auto keyring = keyring_or_file_of(options);
  return take(open_memory(store_options_of(options), std::move(keyring)));
}

Opened open_of(const tokenstore_open_options& options) {
  switch (options.backend) {
    case TOKENSTORE_BACKEND_SQLITE:
      return open_of_sqlite(options);
    case TOKENSTORE_BACKEND_MEMORY:
      return open_of_memory(options);
    default:
      refuse("the backend is not known: set it to one of TOKENSTORE_BACKEND_...");
  }
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_open(const tokenstore_open_options* options, tokenstore_store** out_store,
                        tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_store);
    const auto known = TOKENSTORE_READ(tokenstore_open_options, OPEN_OPTIONS, options, "the options");
    auto handle = std::make_unique<tokenstore_store>();
    Opened opened = open_of(known);
    handle->store = std::move(opened.store);
    handle->created_key_file = std::move(opened.created_key_file);
    out = handle.release();
  });
}

extern "C" TOKENSTORE_API void tokenstore_free(tokenstore_store* store) {
  guard_value(false, [store] {
    // Called by the backend that the store is calling: the store has to outlive the call.
    if (store == nullptr || is_calling_back(*store)) return false;
    store->store.reset();
    if (store->guest != nullptr) store->guest->close();
    delete store;
    return true;
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_created_key_file(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    return store == nullptr ? no_text(out_size) : returned_text(store->created_key_file, out_size);
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_workspace(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    const bool open = store != nullptr && store->store != nullptr;  // a backend may ask while it is being closed
    return open ? returned_text(store->store->workspace(), out_size) : no_text(out_size);
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_prefix(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    const bool open = store != nullptr && store->store != nullptr;  // a backend may ask while it is being closed
    return open ? returned_text(store->store->prefix(), out_size) : no_text(out_size);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_now(tokenstore_store* store, int64_t* out_now, tokenstore_error** out_error) {
  return guard(out_error, [&] { need(out_now, "the pointer for the answer") = opened_store(store).now(); });
}

extern "C" TOKENSTORE_API int32_t tokenstore_scanner_pattern(tokenstore_store* store, char* buffer, size_t buffer_size, size_t* out_size,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] { write_text(opened_store(store).scanner_pattern(), buffer, buffer_size, out_size); });
}

}  // namespace tokenstore::capi

// ---- capi/src/open_options.cpp -------------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

class CallbackClock final : public Clock {
 public:
  explicit CallbackClock(const tokenstore_clock& callbacks) : callbacks_(callbacks) {}
  UnixMillis wall() noexcept override { return callbacks_.wall(callbacks_.context); }
  std::int64_t monotonic() noexcept override { return callbacks_.monotonic(callbacks_.context); }

 private:
  tokenstore_clock callbacks_;
};

std::shared_ptr<Clock> clock_of(const tokenstore_clock* given) {
  if (given == nullptr) return nullptr;
  const auto known = TOKENSTORE_READ(tokenstore_clock, CLOCK, given, "the clock");
  if (known.wall == nullptr || known.monotonic == nullptr) refuse("a function of the clock is NULL");
  return std::make_shared<CallbackClock>(known);
}

std::span<const std::uint8_t> master_of(const Keyring::Key& key) {
  const std::string_view master = key.master.reveal();
  return {reinterpret_cast<const std::uint8_t*>(master.data()), master.size()};
}

Keyring copy_of(const Keyring& keyring) {
  Keyring copy;
  for (const Keyring::Key& key : keyring.keys()) take(copy.add(key.id, key.use, master_of(key)));
  return copy;
}

}  // namespace

std::optional<Keyring> keyring_of(const tokenstore_open_options& options) {
  const auto master = bytes(options.key_bytes, options.key_bytes_size, "key_bytes");
  const auto id = text(options.key_id, options.key_id_size, "key_id");
  const bool has_bytes = options.key_bytes != nullptr;
  const bool has_file = options.key_file_size != 0;
  const bool has_keyring = options.keyring != nullptr;
  const bool has_credential = options.key_credential_size != 0;
  if (flag(has_bytes) + flag(has_file) + flag(has_keyring) + flag(has_credential) > 1) {
    refuse("the key is given twice: set one of keyring, key_bytes, key_file and key_credential");
  }
  need_zero(options.reserved, "the options");
  if (!id.empty() && !has_bytes) refuse("key_id is set without key_bytes");
  if (has_keyring) return copy_of(options.keyring->keyring);
  if (has_bytes) return take(id.empty() ? Keyring::from_bytes(master) : Keyring::from_bytes(master, id));
  return std::nullopt;
}

StoreOptions store_options_of(const tokenstore_open_options& options) {
  StoreOptions result;
  const auto workspace = text(options.workspace, options.workspace_size, "the workspace");
  const auto prefix = text(options.prefix, options.prefix_size, "the prefix");
  if (!workspace.empty()) result.workspace = workspace;
  if (!prefix.empty()) result.prefix = prefix;
  if (options.cache_bytes < -1) refuse("cache_bytes is negative");
  if (options.cache_bytes != 0) {
    result.cache_bytes = options.cache_bytes == -1 ? 0 : static_cast<std::size_t>(options.cache_bytes);
  }
  if (options.use_interval_ms < 0 || options.use_interval_ms > latest_time) refuse("use_interval_ms is out of range");
  if (options.use_interval_ms != 0) result.use_interval = std::chrono::milliseconds(options.use_interval_ms);
  result.create_workspace = !flag(options.workspace_must_exist, "workspace_must_exist");
  result.upkeep_thread = flag(options.upkeep_thread, "upkeep_thread");
  result.clock = clock_of(options.clock);
  return result;
}

std::string key_file_of(const tokenstore_open_options& options) {
  return path(options.key_file, options.key_file_size, "the path of the key file");
}

KeyFileTrust key_file_trust_of(std::int32_t trust) {
  constexpr std::int32_t known = TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT |
                                 TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT | TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR;
  if ((trust & ~known) != 0) refuse("the trust in key files is not known: add up some of TOKENSTORE_KEY_FILE_...");
  KeyFileTrust result;
  result.group_readable_of_root = (trust & TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT) != 0;
  result.world_readable_of_root = (trust & TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT) != 0;
  result.inherited_descriptor = (trust & TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR) != 0;
  return result;
}

std::string key_credential_of(const tokenstore_open_options& options) {
  return path(options.key_credential, options.key_credential_size, "the name of the credential");
}

std::optional<Keyring> keyring_or_file_of(const tokenstore_open_options& options) {
  auto keyring = keyring_of(options);
  const KeyFileTrust trust = key_file_trust_of(options.key_file_trust);
  const std::string key_file = key_file_of(options);
  const std::string credential = key_credential_of(options);
  if (!key_file.empty()) keyring = take(Keyring::from_file(key_file, trust));
  if (!credential.empty()) keyring = take(Keyring::from_credential(credential));
  return keyring;
}

void refuse_sqlite_options(const tokenstore_open_options& options, std::string_view instead) {
  if (options.path_size != 0 || options.vfs_size != 0 || options.busy_timeout_ms != 0 || options.durability != 0 ||
      options.read_only != 0 || options.must_exist != 0) {
    refuse("an option of SQLite is set, but the store is to live " + std::string(instead));
  }
}

}  // namespace tokenstore::capi

// ---- capi/src/owners.cpp -------------------------------------------------------------------------------------

// Owners: what each may do, and stopping all of their tokens at once.





void tokenstore_owner::describe(tokenstore_owner_info* out_info) const { using namespace tokenstore; using namespace tokenstore::capi;
  tokenstore_owner_info out{};
  out.owner = returned_text(info.owner, &out.owner_size);
  out.suspended_by = returned_text(info.suspended_by, &out.suspended_by_size);
  out.suspend_reason = returned_text(info.suspend_reason, &out.suspend_reason_size);
  out.suspended_at = zero_if_absent(info.suspended_at);
  out.may_not_issue = flag(!info.settings.may_issue);
  out.may_not_use = flag(!info.settings.may_use);
  out.suspended = flag(info.suspended);
  out.tampered = flag(info.tampered);
  TOKENSTORE_WRITE(tokenstore_owner_info, OWNER_INFO, out_info, "the owner info", out);
}

namespace tokenstore::capi {

namespace {

OwnerSettings settings_of(const tokenstore_owner_settings* given) {
  const auto known = TOKENSTORE_READ(tokenstore_owner_settings, OWNER_SETTINGS, given, "the settings");
  OwnerSettings settings;
  settings.may_issue = !flag(known.may_not_issue, "may_not_issue");
  settings.may_use = !flag(known.may_not_use, "may_not_use");
  return settings;
}

/// For an owner that the caller may not want: made before the change, so that nothing can fail after it.
class OptionalOwner {
 public:
  explicit OptionalOwner(tokenstore_owner** out) : out_(out) {
    if (out_ == nullptr) return;
    *out_ = nullptr;
    owner_ = std::make_unique<tokenstore_owner>();
  }
  void give(OwnerInfo info) noexcept {
    if (out_ == nullptr) return;
    owner_->info = std::move(info);
    *out_ = owner_.release();
  }

 private:
  tokenstore_owner** out_;
  std::unique_ptr<tokenstore_owner> owner_;
};

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_owner_get(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                             size_t owner_size, tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need_output(out_owner);
    OptionalOwner found(out_owner);
    TokenStore& opened = opened_store(store);
    found.give(take(opened.owner(capi::actor(actor), text(owner, owner_size, "the owner"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_set(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                             size_t owner_size, const tokenstore_owner_settings* settings, tokenstore_owner** out_owner,
                             tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(
        take(opened.set_owner(capi::actor(actor), text(owner, owner_size, "the owner"), settings_of(settings))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_suspend(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                                 size_t owner_size, const char* reason, size_t reason_size,
                                 tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(take(opened.suspend(capi::actor(actor), text(owner, owner_size, "the owner"),
                                     text(reason, reason_size, "the reason"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_resume(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                                size_t owner_size, tokenstore_owner** out_owner, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalOwner changed(out_owner);
    TokenStore& opened = opened_store(store);
    changed.give(take(opened.resume(capi::actor(actor), text(owner, owner_size, "the owner"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_read(const tokenstore_owner* owner, tokenstore_owner_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] { need(owner, "the owner").describe(out_info); });
}

extern "C" TOKENSTORE_API void tokenstore_owner_free(tokenstore_owner* owner) {
  guard_free(owner);
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_list(tokenstore_store* store, const tokenstore_actor* actor, const char* cursor,
                              size_t cursor_size, size_t limit, tokenstore_owner_page** out_page,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_page);
    TokenStore& opened = opened_store(store);
    constexpr std::size_t standard_limit = 50;
    OwnerPage found = take(opened.list_owners(capi::actor(actor), text(cursor, cursor_size, "the cursor"),
                                              limit == 0 ? standard_limit : limit));
    auto page = std::make_unique<tokenstore_owner_page>();
    page->owners.reserve(found.owners.size());
    for (OwnerInfo& owner : found.owners) page->owners.push_back({std::move(owner)});
    page->next = std::move(found.next);
    out = page.release();
  });
}

extern "C" TOKENSTORE_API size_t tokenstore_owner_page_count(const tokenstore_owner_page* page) {
  return guard_value(std::size_t{0}, [&] { return page == nullptr ? 0 : page->owners.size(); });
}

extern "C" TOKENSTORE_API int32_t tokenstore_owner_page_owner(const tokenstore_owner_page* page, size_t index, tokenstore_owner_info* out_info,
                                    tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& owners = need(page, "the page").owners;
    if (index >= owners.size()) fail(Status::not_found, "the page has no owner at this index");
    owners[index].describe(out_info);
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_owner_page_next(const tokenstore_owner_page* page, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return page == nullptr ? no_text(out_size) : returned_text(page->next, out_size); });
}

extern "C" TOKENSTORE_API void tokenstore_owner_page_free(tokenstore_owner_page* page) {
  guard_free(page);
}

}  // namespace tokenstore::capi

// ---- capi/src/policy.cpp -------------------------------------------------------------------------------------

// The rules of a workspace.




namespace tokenstore::capi {

namespace {

Policy policy_of(const tokenstore_policy* given) {
  const auto known = TOKENSTORE_READ(tokenstore_policy, POLICY, given, "the policy");
  Policy policy;
  if (known.longest_lifetime_ms == TOKENSTORE_NEVER) {
    policy.longest_lifetime = never;
  } else if (known.longest_lifetime_ms != 0) {
    policy.longest_lifetime = known.longest_lifetime_ms;
  }
  if (known.default_lifetime_ms != 0) policy.default_lifetime = known.default_lifetime_ms;
  policy.most_active_per_owner = known.most_active_per_owner;
  policy.never_allowed = flag(known.never_allowed, "never_allowed");
  policy.users_may_issue = !flag(known.users_may_not_issue, "users_may_not_issue");
  policy.tokens_enabled = !flag(known.tokens_disabled, "tokens_disabled");
  return policy;
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_policy_get(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_policy* out_policy,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const Policy policy = take(opened_store(store).policy(capi::actor(actor)));
    tokenstore_policy out{};
    out.longest_lifetime_ms = end_time(policy.longest_lifetime);
    out.default_lifetime_ms = policy.default_lifetime;
    out.most_active_per_owner = policy.most_active_per_owner;
    out.never_allowed = flag(policy.never_allowed);
    out.users_may_not_issue = flag(!policy.users_may_issue);
    out.tokens_disabled = flag(!policy.tokens_enabled);
    TOKENSTORE_WRITE(tokenstore_policy, POLICY, out_policy, "the policy", out);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_policy_set(tokenstore_store* store, const tokenstore_actor* actor, const tokenstore_policy* policy,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    static_cast<void>(take(opened.set_policy(capi::actor(actor), policy_of(policy))));
  });
}

}  // namespace tokenstore::capi

// ---- capi/src/tokens.cpp -------------------------------------------------------------------------------------

// Issuing, and what is done to one token or to all of an owner's.





namespace tokenstore::capi {

namespace {

/// Split at single spaces; where there are two, a scope between them is empty, and refused by the store.
std::vector<std::string> scopes_of(std::string_view scopes) {
  std::vector<std::string> result;
  if (scopes.empty()) return result;
  for (;;) {
    const std::size_t space = scopes.find(' ');
    result.emplace_back(scopes.substr(0, space));
    if (space == std::string_view::npos) return result;
    scopes.remove_prefix(space + 1);
  }
}

Lifetime lifetime_of(std::int64_t milliseconds) {
  return milliseconds == TOKENSTORE_NEVER ? Lifetime::never() : Lifetime::millis(milliseconds);
}

IssueRequest request_of(const tokenstore_issue_request* given) {
  const auto known = TOKENSTORE_READ(tokenstore_issue_request, ISSUE_REQUEST, given, "the request");
  IssueRequest request;
  request.owner = text(known.owner, known.owner_size, "the owner");
  request.description = text(known.description, known.description_size, "the description");
  request.scopes = scopes_of(text(known.scopes, known.scopes_size, "the scopes"));
  request.metadata = text(known.metadata, known.metadata_size, "the metadata");
  request.lifetime = lifetime_of(known.lifetime_ms);
  if (known.not_before != 0) request.not_before = known.not_before;
  return request;
}

/// An array of structs is laid out by the caller's sizeof, which is the first one's struct_size.
std::vector<IssueRequest> requests_of(const tokenstore_issue_request* given, std::size_t count) {
  std::vector<IssueRequest> requests;
  if (count == 0) return requests;
  const std::size_t stride =
      struct_size_of(given, TOKENSTORE_ISSUE_REQUEST_SIZE_1_0, sizeof(tokenstore_issue_request), "the request");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = 0; i != count; ++i, bytes += stride) {
    const auto* request = reinterpret_cast<const tokenstore_issue_request*>(bytes);
    if (request->struct_size != stride) refuse("the requests differ in struct_size");
    requests.push_back(request_of(request));
  }
  return requests;
}

/// Every token text of a store has the same size, and it is known before the token is.
std::size_t token_text_size(const TokenStore& store) {
  return token_text_max - prefix_max + store.prefix().size();
}

void write_token(const Issued& issued, char* buffer) noexcept {
  const std::string_view text = issued.text.reveal();
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
}

/// For a token that the caller may not want: made ready before the change, so that nothing can fail after it.
class OptionalToken {
 public:
  explicit OptionalToken(tokenstore_token** out) : out_(out) {
    if (out_ == nullptr) return;
    *out_ = nullptr;
    token_ = std::make_unique<tokenstore_token>();
    token_->reserve();
  }
  void give(TokenInfo info) {
    if (out_ == nullptr) return;
    token_->set(std::move(info));
    *out_ = token_.release();
  }

 private:
  tokenstore_token** out_;
  std::unique_ptr<tokenstore_token> token_;
};

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_issue(tokenstore_store* store, const tokenstore_actor* actor,
                         const tokenstore_issue_request* request, char* text_buffer, size_t text_buffer_size,
                         size_t* out_text_size, tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    const IssueRequest wanted = request_of(request);
    const Actor asking = capi::actor(actor);
    need_room(token_text_size(opened), text_buffer, text_buffer_size, out_text_size);
    Issued issued = take(opened.issue(asking, wanted));
    write_token(issued, text_buffer);
    *out_text_size = issued.text.size();
    token.give(std::move(issued.info));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_issue_many(tokenstore_store* store, const tokenstore_actor* actor,
                              const tokenstore_issue_request* requests, size_t count, char* text_buffers,
                              size_t text_buffer_size, size_t* out_text_size, tokenstore_page** out_page,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_page != nullptr) *out_page = nullptr;
    TokenStore& opened = opened_store(store);
    const std::size_t text_size = token_text_size(opened);
    need_room(text_size, text_buffers, text_buffer_size, out_text_size);
    const Actor asking = capi::actor(actor);
    const std::vector<IssueRequest> wanted = requests_of(requests, count);
    auto page = std::make_unique<tokenstore_page>();
    if (out_page != nullptr) {
      page->tokens.resize(count);
      for (tokenstore_token& token : page->tokens) token.reserve();
    }
    std::vector<Issued> issued = take(opened.issue_many(asking, wanted));
    for (std::size_t i = 0; i != issued.size(); ++i) {
      write_token(issued[i], text_buffers + i * text_buffer_size);
      if (out_page != nullptr) page->tokens[i].set(std::move(issued[i].info));
    }
    *out_text_size = text_size;
    if (out_page != nullptr) *out_page = page.release();
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_get(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                       tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_token);
    TokenStore& opened = opened_store(store);
    TokenInfo info = take(opened.get(capi::actor(actor), text(id, id_size, "the id")));
    out = std::make_unique<tokenstore_token>(std::move(info)).release();
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_token_read(const tokenstore_token* token, tokenstore_token_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] { need(token, "the token").describe(out_info); });
}

extern "C" TOKENSTORE_API void tokenstore_token_free(tokenstore_token* token) {
  guard_free(token);
}

extern "C" TOKENSTORE_API int32_t tokenstore_expire(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          int64_t at, tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    std::optional<UnixMillis> end;
    if (at != 0) end = at;
    token.give(take(opened.expire(capi::actor(actor), text(id, id_size, "the id"), end)));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_revoke(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          const char* reason, size_t reason_size, tokenstore_token** out_token,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    token.give(
        take(opened.revoke(capi::actor(actor), text(id, id_size, "the id"), text(reason, reason_size, "the reason"))));
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_revoke_all(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                              size_t owner_size, const char* reason, size_t reason_size, uint64_t* out_revoked,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_revoked != nullptr) *out_revoked = 0;
    TokenStore& opened = opened_store(store);
    const std::uint64_t revoked = take(opened.revoke_all(capi::actor(actor), text(owner, owner_size, "the owner"),
                                                         text(reason, reason_size, "the reason")));
    if (out_revoked != nullptr) *out_revoked = revoked;
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_delete(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    take(opened.remove(capi::actor(actor), text(id, id_size, "the id")));
  });
}

}  // namespace tokenstore::capi

// ---- capi/src/upkeep.cpp -------------------------------------------------------------------------------------

// Purging, housekeeping, checking and counting.





namespace tokenstore::capi {

extern "C" TOKENSTORE_API int32_t tokenstore_purge(tokenstore_store* store, const tokenstore_actor* actor, int64_t ended_before,
                         int64_t budget_ms, uint64_t* out_removed, int32_t* out_complete,
                         tokenstore_error** out_error) {
  return guard(out_error, [&] {
    need(out_removed, "the pointer for the number removed") = 0;
    need(out_complete, "the pointer for whether it is complete") = 0;
    TokenStore& opened = opened_store(store);
    const PurgeResult result = take(opened.purge(capi::actor(actor), ended_before, budget(budget_ms, 1000)));
    *out_removed = result.removed;
    *out_complete = flag(result.complete);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_reseal(tokenstore_store* store, const tokenstore_actor* actor, const char* cursor,
                          size_t cursor_size, int64_t budget_ms, tokenstore_reseal_summary* out_summary,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    const std::string_view from = text(cursor, cursor_size, "the cursor");
    const ResealResult result = take(opened.reseal(capi::actor(actor), from, budget(budget_ms, 1000)));
    tokenstore_reseal_summary out{0, result.resealed, result.kept, result.refused, result.next.size(), {}};
    result.next.copy(out.next, sizeof out.next);
    TOKENSTORE_WRITE(tokenstore_reseal_summary, RESEAL_SUMMARY, out_summary, "the summary", out);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_maintain(tokenstore_store* store, int64_t budget_ms, int32_t* out_more,
                            tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_more != nullptr) *out_more = 0;
    const bool more = take(opened_store(store).maintain(budget(budget_ms, 50)));
    if (out_more != nullptr) *out_more = flag(more);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_check(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_progress progress,
                         void* context, tokenstore_check_report** out_report, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_report);
    TokenStore& opened = opened_store(store);
    Progress tell;
    if (progress != nullptr) {
      tell = [progress, context](std::uint64_t done, std::uint64_t total) {
        return progress(context, done, total) == 0;
      };
    }
    auto report = std::make_unique<tokenstore_check_report>();
    report->report = take(opened.check(capi::actor(actor), tell));
    out = report.release();
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_check_report_read(const tokenstore_check_report* report, tokenstore_check_summary* out_summary,
                                     tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const CheckReport& found = need(report, "the report").report;
    const tokenstore_check_summary out{0, found.tokens, found.owners, found.problem_count, found.problems.size()};
    TOKENSTORE_WRITE(tokenstore_check_summary, CHECK_SUMMARY, out_summary, "the summary", out);
  });
}

extern "C" TOKENSTORE_API const char* tokenstore_check_report_problem(const tokenstore_check_report* report, size_t index, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    if (report == nullptr || index >= report->report.problems.size()) return no_text(out_size);
    return returned_text(report->report.problems[index], out_size);
  });
}

extern "C" TOKENSTORE_API int32_t tokenstore_check_report_key(const tokenstore_check_report* report, size_t index,
                                    tokenstore_key_usage* out_usage, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const std::vector<KeyUsage>& keys = need(report, "the report").report.keys;
    if (index >= keys.size()) fail(Status::not_found, "the report has no key at this index");
    const KeyUsage& key = keys[index];
    const tokenstore_key_usage out{0, key.key_id.data(), key.key_id.size(), key.seals, key.living_tokens};
    TOKENSTORE_WRITE(tokenstore_key_usage, KEY_USAGE, out_usage, "the usage", out);
  });
}

extern "C" TOKENSTORE_API void tokenstore_check_report_free(tokenstore_check_report* report) {
  guard_free(report);
}

extern "C" TOKENSTORE_API int32_t tokenstore_read_statistics(tokenstore_store* store, tokenstore_statistics* out_statistics,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const Statistics counted = opened_store(store).statistics();
    const tokenstore_statistics out{0,
                                    counted.hits,
                                    counted.misses,
                                    counted.negative_hits,
                                    counted.malformed,
                                    counted.forged,
                                    counted.unavailable,
                                    counted.catch_ups,
                                    counted.dropped_all,
                                    counted.evictions,
                                    counted.uses_written,
                                    counted.cached_tokens,
                                    counted.cache_bytes,
                                    counted.not_kept_busy,
                                    counted.not_kept_changed,
                                    counted.not_kept_no_room,
                                    counted.feed_mismatches};
    TOKENSTORE_WRITE(tokenstore_statistics, STATISTICS, out_statistics, "the statistics", out);
  });
}

}  // namespace tokenstore::capi

// ---- capi/src/validate.cpp -----------------------------------------------------------------------------------

// The hot path: one call, no allocation, no more bytes written than the answer has.





namespace tokenstore::capi {

static_assert(sizeof(tokenstore_verdict::id) > token_id_size);
static_assert(sizeof(tokenstore_verdict::owner) > owner_max);
static_assert(sizeof(tokenstore_verdict::scopes) > TOKENSTORE_SCOPES_TEXT_MAX);
static_assert(TOKENSTORE_SCOPES_TEXT_MAX == scopes_max * (scope_max + 1) - 1);
static_assert(sizeof(tokenstore_verdict::metadata) > metadata_max);

namespace {

constexpr std::string_view name = "the verdict";

void put(char* place, std::size_t& size, std::string_view text) noexcept {
  std::memcpy(place, text.data(), text.size());
  place[text.size()] = '\0';
  size = text.size();
}

/// What the caller reads unless everything went well.
void deny(tokenstore_verdict& verdict) noexcept {
  verdict.outcome = TOKENSTORE_OUTCOME_UNAVAILABLE;
  verdict.reason = TOKENSTORE_REASON_STORAGE;
  verdict.http_status = 503;
  verdict.reserved = 0;
  verdict.expires_at = 0;
  verdict.id_size = verdict.owner_size = verdict.scopes_size = verdict.metadata_size = 0;
  verdict.id[0] = verdict.owner[0] = verdict.scopes[0] = verdict.metadata[0] = '\0';
}

void write(tokenstore_verdict& out, const Verdict& verdict) noexcept {
  put(out.id, out.id_size, verdict.id());
  put(out.owner, out.owner_size, verdict.owner());
  put(out.scopes, out.scopes_size, verdict.scopes());
  put(out.metadata, out.metadata_size, verdict.metadata());
  out.expires_at = end_time(verdict.expires_at());
  out.http_status = verdict.http_status();
  out.reason = static_cast<std::int32_t>(verdict.reason());
  out.outcome = static_cast<std::int32_t>(verdict.outcome());
}

/// `ask(store, text, demand, verdict)` decides, or leaves the verdict as it was made.
template <typename Ask>
int32_t decide(tokenstore_store* store, const char* text, size_t text_size, const tokenstore_demand* demand,
               tokenstore_verdict* out_verdict, tokenstore_error** out_error, const Ask& ask) {
  // A verdict of the caller's may hold the answer to another question: it is overwritten first.
  const bool writable = out_verdict != nullptr && out_verdict->struct_size >= TOKENSTORE_VERDICT_SIZE_1_0 &&
                        out_verdict->struct_size <= sizeof(tokenstore_verdict) + longest_tail;
  if (writable) deny(*out_verdict);
  return guard(out_error, [&] {
    const std::size_t size = struct_size_of(out_verdict, TOKENSTORE_VERDICT_SIZE_1_0, sizeof(tokenstore_verdict), name);
    const auto known = TOKENSTORE_READ(tokenstore_demand, DEMAND, demand, "the demand");
    const auto scope = capi::text(known.scope, known.scope_size, "the scope of the demand");
    const auto address = capi::text(known.client_address, known.client_address_size, "the client address");
    const auto token = capi::text(text, text_size, "the token text");
    Verdict verdict;
    ask(opened_store(store), token, Demand(scope, address), verdict);
    write(*out_verdict, verdict);
    if (size > sizeof(tokenstore_verdict)) {
      std::memset(reinterpret_cast<unsigned char*>(out_verdict) + sizeof(tokenstore_verdict), 0,
                  size - sizeof(tokenstore_verdict));
    }
  });
}

}  // namespace

extern "C" TOKENSTORE_API int32_t tokenstore_validate(tokenstore_store* store, const char* text, size_t text_size,
                            const tokenstore_demand* demand, tokenstore_verdict* out_verdict,
                            tokenstore_error** out_error) {
  return decide(store, text, text_size, demand, out_verdict, out_error,
                [](TokenStore& opened, std::string_view token, const Demand& wanted, Verdict& verdict) {
                  opened.validate(token, wanted, verdict);
                });
}

extern "C" TOKENSTORE_API int32_t tokenstore_try_validate(tokenstore_store* store, const char* text, size_t text_size,
                                const tokenstore_demand* demand, tokenstore_verdict* out_verdict, int32_t* out_decided,
                                tokenstore_error** out_error) {
  if (out_decided != nullptr) *out_decided = 0;
  return decide(store, text, text_size, demand, out_verdict, out_error,
                [out_decided](TokenStore& opened, std::string_view token, const Demand& wanted, Verdict& verdict) {
                  std::int32_t& decided = need(out_decided, "the pointer for the answer");
                  decided = opened.try_validate(token, wanted, verdict) ? 1 : 0;
                });
}

extern "C" TOKENSTORE_API int32_t tokenstore_why_unavailable(tokenstore_store* store, tokenstore_error** out_why, int64_t* out_at,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_why);
    if (out_at != nullptr) *out_at = 0;
    const std::optional<Unavailability> why = opened_store(store).why_unavailable();
    if (!why) return;
    out = new tokenstore_error{why->error.message()};
    if (out_at != nullptr) *out_at = why->at;
  });
}

}  // namespace tokenstore::capi

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

// ---- capi/src/backend/calls.hpp ------------------------------------------------------------------------------

/// The calls of a backend's entries that are under way, and what they have answered: the library's side of
/// tokenstore_answer.
///
/// A backend may be wrong in any way that does not corrupt memory. So an answer object lives as long as the
/// backend, and is deaf unless the thread that was called uses it while the call lasts.
///
/// Thread use: any number of threads may open calls at once; an Answered belongs to the thread that opened one.



namespace tokenstore::capi {

/// What an entry may answer with, as bits.
enum class Answers : unsigned {
  nothing = 0,
  token = 1,
  owner = 2,
  workspace = 4,
  ended = 8,
  change = 16,
  number = 32,
  counts = 64,
  next = 128,
  problem = 256,
  store = 512,
};
constexpr Answers operator|(Answers a, Answers b) noexcept {
  return static_cast<Answers>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool includes(Answers all, Answers one) noexcept {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0;
}

/// What one call has answered so far.
struct Answered {
  explicit Answered(Answers may_answer, std::uint64_t most_records = 1) : expected(may_answer), most(most_records) {}

  const Answers expected;
  const std::uint64_t most;  ///< records; what comes beyond is a fault
  const Progress* report = nullptr;

  std::vector<TokenRecord> tokens;
  std::vector<OwnerRecord> owners;
  std::vector<WorkspaceRecord> workspaces;
  std::vector<EndedToken> ended;
  std::vector<StoreRecord> stores;
  std::optional<Changes> head;  ///< without its entries
  std::vector<Changes::Entry> entries;
  std::size_t entry_octets = 0;
  bool everything = false;
  std::vector<std::string> problems;
  std::optional<std::uint64_t> number;
  std::optional<TokenCounts> counts;
  std::optional<std::string> next;

  bool failed = false;  ///< `fail` was called
  std::string message;
  std::string fault;  ///< how the backend broke a rule; empty: it did not
  bool at_fault = false;
  bool no_memory = false;
};

class Calls {
  struct Slot;

 public:
  Calls() = default;
  ~Calls();
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  /// Is this thread in a call of this backend?
  bool inside() const noexcept;

  /// A call of this thread, as long as this object lives.
  class Call {
   public:
    /// A call that answers nothing: `pulse` and `close`.
    explicit Call(const Calls& calls) noexcept;
    /// Throws std::bad_alloc.
    Call(Calls& calls, Answered& answered);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    tokenstore_answer* answer() const noexcept;

   private:
    friend class Calls;
    const Calls& calls_;
    Slot* slot_ = nullptr;
    Answered* answered_ = nullptr;
    Call* outer_;  ///< the call of this thread in which this one was made
  };

 private:
  /// The call of this thread that `answer` belongs to, or null.
  static Call* here(tokenstore_answer* answer) noexcept;
  template <typename Body>
  static std::int32_t accept(tokenstore_answer* answer, Answers kind, const Body& body) noexcept;
  static void wire(tokenstore_answer& answer) noexcept;
  Slot* take_slot();

  /// Slots are only ever added, so that the list can be walked without a lock.
  std::atomic<Slot*> slots_{nullptr};
};

}  // namespace tokenstore::capi

// ---- capi/src/backend/adapter.hpp ----------------------------------------------------------------------------

/// A Backend over the C functions of tokenstore_backend.h. Believes nothing: see that header's "Faults".
///
/// Thread use: as every Backend; one that is not thread-safe is called by one thread at a time. Ownership: has
/// the context from its construction on, and closes it.



namespace tokenstore::capi {

class AdaptedBackend final : public Backend, public Guest {
 public:
  /// Refuses (by a Failure) what is not a backend of a contract that is known here. Closes the context then, too,
  /// unless `backend` cannot be believed to be one at all.
  static std::shared_ptr<AdaptedBackend> adopt(const tokenstore_backend* backend);
  ~AdaptedBackend() override;

  /// Before any other call.
  Result<void> open();
  void close() noexcept override;
  bool inside() const noexcept override { return calls_.inside(); }

  std::string_view name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return has(TOKENSTORE_BACKEND_READ_ONLY); }

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
  /// What others' changes are heard by. Handed to the backend.
  struct Signal : tokenstore_signal {
    std::atomic<std::uint64_t> counter{1};
    std::atomic<std::int64_t> trusted_until{};
  };
  enum class Ending : std::uint8_t { returned, threw, not_called };
  struct Called {
    Ending ending = Ending::not_called;
    std::int32_t status = 0;
  };

  explicit AdaptedBackend(const tokenstore_backend& entries);
  void check() const;
  bool has(std::uint32_t capability) const noexcept { return (entries_.capabilities & capability) != 0; }
  /// In a child of a process that opened a backend which does not go along.
  bool left_behind() const noexcept { return fork_.forked() && !has(TOKENSTORE_BACKEND_FORK_SAFE); }

  /// One call of an entry, `run(answer)`. An error: it could not be called at all.
  template <typename Run>
  Result<Called> call(Answered& answered, const Run& run);
  /// The same for an entry other than `commit`: whatever went wrong is an error.
  template <typename Run>
  Result<void> ask(std::string_view entry, Answered& answered, const Run& run);
  Error fault(std::string_view entry, std::string_view what) const;
  Error failure(std::string_view entry, std::int32_t status, const Answered& answered) const;

  tokenstore_backend entries_;
  std::string name_;
  base::ForkGuard fork_;
  Calls calls_;
  std::mutex one_at_a_time_;
  Signal signal_;
  bool closed_ = false;
};

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

// ---- capi/src/backend/adapter.cpp ----------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

constexpr std::uint32_t known_capabilities = TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_FORK_SAFE |
                                             TOKENSTORE_BACKEND_SOLE_WRITER | TOKENSTORE_BACKEND_READ_ONLY;
constexpr std::size_t name_max = 64;
/// A longer feed is answered as "everything": cheaper than reading it, and a bound on what a backend can make us keep.
constexpr std::uint64_t feed_max = 1'000'000;
constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();

/// Is the status a backend's to give for a call that failed and changed nothing?
bool is_failure(std::int32_t status) noexcept {
  switch (status) {
    case TOKENSTORE_INVALID_ARGUMENT:
    case TOKENSTORE_UNAVAILABLE:
    case TOKENSTORE_READ_ONLY:
    case TOKENSTORE_NOT_A_STORE:
    case TOKENSTORE_NEWER_SCHEMA:
    case TOKENSTORE_STORAGE_FULL:
    case TOKENSTORE_OUT_OF_MEMORY:
    case TOKENSTORE_CANNOT_OPEN:
    case TOKENSTORE_UNSUPPORTED:
    case TOKENSTORE_INTERNAL:
      return true;
    default:
      return false;
  }
}

Error opened_for_reading() {
  return Error(Status::read_only, "the storage is open for reading only; nothing was changed");
}

/// A batch as the backend sees it: pointers, so that a step may grow in later versions.
class Steps {
 public:
  explicit Steps(std::span<const Mutation> batch) {
    steps_.reserve(batch.size());
    records_.reserve(batch.size());
    pointers_.reserve(batch.size());
    for (const Mutation& one : batch) {
      tokenstore_mutation& step = steps_.emplace_back();
      step.struct_size = sizeof step;
      step.key = one.key.data();
      step.key_size = one.key.size();
      step.expected = one.expected;
      step.step = step_of(one.action);
      step.kind = static_cast<std::int32_t>(one.kind);
      if (one.action == Mutation::Action::put) point(step, one.record);
      pointers_.push_back(&step);
    }
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  const tokenstore_mutation* const* data() const noexcept { return pointers_.data(); }
  std::size_t size() const noexcept { return pointers_.size(); }

 private:
  using View = std::variant<tokenstore_token_record, tokenstore_owner_record, tokenstore_workspace_record,
                            tokenstore_store_record>;

  static std::int32_t step_of(Mutation::Action action) noexcept {
    switch (action) {
      case Mutation::Action::put:
        return TOKENSTORE_STEP_PUT;
      case Mutation::Action::remove:
        return TOKENSTORE_STEP_REMOVE;
      case Mutation::Action::check:
        break;
    }
    return TOKENSTORE_STEP_CHECK;
  }
  void point(tokenstore_mutation& step, const Record& record) {
    const View& shown = records_.emplace_back(std::visit([](const auto& one) -> View { return view(one); }, record));
    step.token = std::get_if<tokenstore_token_record>(&shown);
    step.owner = std::get_if<tokenstore_owner_record>(&shown);
    step.workspace = std::get_if<tokenstore_workspace_record>(&shown);
    step.store = std::get_if<tokenstore_store_record>(&shown);
  }

  std::vector<tokenstore_mutation> steps_;
  std::vector<View> records_;
  std::vector<const tokenstore_mutation*> pointers_;
};

/// An announcement as the backend sees it. The C struct is the first base, so that `link` finds its way back.
struct ShownAnnouncement : tokenstore_announcement {
  explicit ShownAnnouncement(const Announcement& given) noexcept : tokenstore_announcement{}, announcement(given) {
    struct_size = sizeof(tokenstore_announcement);
    entry = given.entry().data();
    entry_size = given.entry().size();
    link = [](const tokenstore_announcement* shown, uint64_t revision, const uint8_t* previous, uint8_t* out_link) {
      if (shown == nullptr || previous == nullptr || out_link == nullptr) return;
      Bytes32 before;
      std::copy_n(previous, before.size(), before.begin());
      const Bytes32 linked = static_cast<const ShownAnnouncement*>(shown)->announcement.link(revision, before);
      std::copy(linked.begin(), linked.end(), out_link);
    };
  }
  const Announcement& announcement;
};

void close_quietly(const tokenstore_backend& entries) noexcept {
  try {
    entries.close(entries.context);
  } catch (...) {  // NOLINT(bugprone-empty-catch): nobody is left to tell
  }
}

template <typename Record>
std::optional<Record> first_of(std::vector<Record>& records) {
  if (records.empty()) return std::nullopt;
  return std::move(records.front());
}

}  // namespace

std::shared_ptr<AdaptedBackend> AdaptedBackend::adopt(const tokenstore_backend* backend) {
  const auto entries = TOKENSTORE_READ(tokenstore_backend, BACKEND, backend, "the backend");
  std::unique_ptr<AdaptedBackend> made;
  try {
    made.reset(new AdaptedBackend(entries));
  } catch (const std::bad_alloc&) {
    if (entries.close != nullptr) close_quietly(entries);
    throw;
  }
  std::shared_ptr<AdaptedBackend> adapted = std::move(made);
  adapted->check();
  return adapted;
}

AdaptedBackend::AdaptedBackend(const tokenstore_backend& entries) : entries_(entries) {
  signal_.struct_size = sizeof(tokenstore_signal);
  signal_.changed = [](tokenstore_signal* signal) {
    if (signal != nullptr) static_cast<Signal*>(signal)->counter.fetch_add(1, std::memory_order_acq_rel);
  };
  signal_.trust_until = [](tokenstore_signal* signal, int64_t monotonic) {
    if (signal != nullptr) static_cast<Signal*>(signal)->trusted_until.store(monotonic, std::memory_order_release);
  };
  signal_.trusted_until = has(TOKENSTORE_BACKEND_SOLE_WRITER) ? for_ever : not_at_all;
}

AdaptedBackend::~AdaptedBackend() {
  close();
}

void AdaptedBackend::check() const {
  if (entries_.contract != TOKENSTORE_BACKEND_CONTRACT) {
    fail(Status::unsupported,
         "the backend was written for another contract than this version of the library knows: set contract to "
         "TOKENSTORE_BACKEND_CONTRACT, or use a later version of the library");
  }
  if ((entries_.capabilities & ~known_capabilities) != 0) {
    fail(Status::unsupported, "the backend has a capability that this version of the library does not know");
  }
  if (has(TOKENSTORE_BACKEND_FORK_SAFE) && !has(TOKENSTORE_BACKEND_THREAD_SAFE)) {
    refuse("a backend that is FORK_SAFE has to be THREAD_SAFE, too");
  }
  if (has(TOKENSTORE_BACKEND_SOLE_WRITER) && entries_.pulse != nullptr) {
    refuse("a backend that is SOLE_WRITER needs no pulse: leave one of them out");
  }
  const auto need_entry = [](bool there, std::string_view entry) {
    if (!there) refuse("the backend has no " + std::string(entry) + ", which is required");
  };
  need_entry(entries_.load_token != nullptr, "load_token");
  need_entry(entries_.load_owner != nullptr, "load_owner");
  need_entry(entries_.load_workspace != nullptr, "load_workspace");
  need_entry(entries_.load_store != nullptr, "load_store");
  need_entry(entries_.list_tokens != nullptr, "list_tokens");
  need_entry(entries_.list_owners != nullptr, "list_owners");
  need_entry(entries_.list_workspaces != nullptr, "list_workspaces");
  need_entry(entries_.count_tokens != nullptr, "count_tokens");
  need_entry(entries_.count_live != nullptr, "count_live");
  need_entry(entries_.list_ended != nullptr, "list_ended");
  need_entry(entries_.changes != nullptr, "changes");
  need_entry(read_only() || entries_.commit != nullptr, "commit");
  need_entry(read_only() || entries_.record_uses != nullptr, "record_uses");
}

Result<void> AdaptedBackend::open() {
  const std::string_view given = text(entries_.name, entries_.name_size, "the name of the backend");
  const bool printable = std::all_of(given.begin(), given.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (given.empty() || given.size() > name_max || !printable) {
    refuse("the name of the backend is not 1 to 64 printable characters without a space");
  }
  name_ = given;
  if (entries_.open == nullptr) return {};
  Answered answered(Answers::nothing);
  return ask("open", answered,
             [&](tokenstore_answer* answer) { return entries_.open(entries_.context, &signal_, answer); });
}

void AdaptedBackend::close() noexcept {
  if (std::exchange(closed_, true) || entries_.close == nullptr || left_behind()) return;
  const Calls::Call here(calls_);
  close_quietly(entries_);
}

Error AdaptedBackend::fault(std::string_view entry, std::string_view what) const {
  return Error(Status::unavailable, "the storage backend '" + name_ + "' broke its contract in " + std::string(entry) +
                                        (what.empty() ? "" : ": ") + std::string(what) + "; it must be repaired");
}

Error AdaptedBackend::failure(std::string_view entry, std::int32_t status, const Answered& answered) const {
  if (!is_failure(status)) return fault(entry, "it returned a status that is not a backend's to give");
  if (!answered.message.empty()) return Error(static_cast<Status>(status), answered.message);
  return Error(static_cast<Status>(status),
               "the storage backend '" + name_ + "' failed in " + std::string(entry) + "; ask whoever runs it");
}

template <typename Run>
Result<AdaptedBackend::Called> AdaptedBackend::call(Answered& answered, const Run& run) {
  if (left_behind()) {
    return Error(Status::unavailable,
                 "the process was forked after the store was opened; open a new store in the child");
  }
  if (inside()) return Error(Status::unavailable, "the storage backend called the store that was calling it");
  std::unique_lock lock(one_at_a_time_, std::defer_lock);
  if (!has(TOKENSTORE_BACKEND_THREAD_SAFE)) lock.lock();
  const Calls::Call here(calls_, answered);
  Called called;
  try {
    called.status = run(here.answer());
    called.ending = Ending::returned;
  } catch (...) {
    called.ending = Ending::threw;
  }
  return called;
}

template <typename Run>
Result<void> AdaptedBackend::ask(std::string_view entry, Answered& answered, const Run& run) {
  const Result<Called> called = call(answered, run);
  if (!called.ok()) return called.error();
  if (called->ending == Ending::threw) return fault(entry, "an exception left it");
  if (answered.no_memory) throw std::bad_alloc();
  if (answered.at_fault) return fault(entry, answered.fault);
  if (called->status != TOKENSTORE_OK) return failure(entry, called->status, answered);
  if (answered.failed) return fault(entry, "it called fail and returned OK");
  return {};
}

Result<std::optional<TokenRecord>> AdaptedBackend::load_token(std::string_view workspace, std::string_view id) {
  Answered answered(Answers::token);
  const auto asked = ask("load_token", answered, [&](tokenstore_answer* answer) {
    return entries_.load_token(entries_.context, workspace.data(), workspace.size(), id.data(), id.size(), answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.tokens);
}

Result<std::optional<OwnerRecord>> AdaptedBackend::load_owner(std::string_view workspace, std::string_view owner) {
  Answered answered(Answers::owner);
  const auto asked = ask("load_owner", answered, [&](tokenstore_answer* answer) {
    return entries_.load_owner(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(),
                               answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.owners);
}

Result<std::optional<WorkspaceRecord>> AdaptedBackend::load_workspace(std::string_view workspace) {
  Answered answered(Answers::workspace);
  const auto asked = ask("load_workspace", answered, [&](tokenstore_answer* answer) {
    return entries_.load_workspace(entries_.context, workspace.data(), workspace.size(), answer);
  });
  if (!asked.ok()) return asked.error();
  return first_of(answered.workspaces);
}

Result<std::optional<StoreRecord>> AdaptedBackend::load_store() {
  Answered answered(Answers::store);
  const auto asked = ask("load_store", answered,
                         [&](tokenstore_answer* answer) { return entries_.load_store(entries_.context, answer); });
  if (!asked.ok()) return asked.error();
  return first_of(answered.stores);
}

Result<TokenList> AdaptedBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  tokenstore_token_query part{};
  part.struct_size = sizeof part;
  part.owner = query.owner.data();
  part.owner_size = query.owner.size();
  part.text = query.text.data();
  part.text_size = query.text.size();
  part.before_id = query.before_id.data();
  part.before_id_size = query.before_id.size();
  part.limit = query.limit;
  part.scan_limit = query.scan_limit;
  part.now = query.now;
  part.state = state_filter(query.state);
  Answered answered(Answers::token | Answers::next, query.limit);
  const auto asked = ask("list_tokens", answered, [&](tokenstore_answer* answer) {
    return entries_.list_tokens(entries_.context, workspace.data(), workspace.size(), &part, answer);
  });
  if (!asked.ok()) return asked.error();
  return TokenList{std::move(answered.tokens), std::move(answered.next).value_or(std::string())};
}

Result<OwnerList> AdaptedBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  Answered answered(Answers::owner | Answers::number, limit);
  const auto asked = ask("list_owners", answered, [&](tokenstore_answer* answer) {
    return entries_.list_owners(entries_.context, workspace.data(), workspace.size(), after.data(), after.size(), limit,
                                answer);
  });
  if (!asked.ok()) return asked.error();
  return OwnerList{std::move(answered.owners), answered.number.value_or(0) != 0};
}

Result<std::vector<WorkspaceRecord>> AdaptedBackend::list_workspaces(std::string_view after, std::size_t limit) {
  Answered answered(Answers::workspace, limit);
  const auto asked = ask("list_workspaces", answered, [&](tokenstore_answer* answer) {
    return entries_.list_workspaces(entries_.context, after.data(), after.size(), limit, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.workspaces);
}

Result<TokenCounts> AdaptedBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  Answered answered(Answers::counts);
  const auto asked = ask("count_tokens", answered, [&](tokenstore_answer* answer) {
    return entries_.count_tokens(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(), now,
                                 answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.counts) return fault("count_tokens", "it emitted no counts");
  return *answered.counts;
}

Result<std::uint64_t> AdaptedBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                 std::uint64_t at_most) {
  Answered answered(Answers::number);
  const auto asked = ask("count_live", answered, [&](tokenstore_answer* answer) {
    return entries_.count_live(entries_.context, workspace.data(), workspace.size(), owner.data(), owner.size(), now,
                               at_most, answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.number) return fault("count_live", "it emitted no number");
  if (*answered.number > at_most) return fault("count_live", "it counted further than it was asked to");
  return *answered.number;
}

Result<std::vector<EndedToken>> AdaptedBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                           std::size_t limit) {
  Answered answered(Answers::ended, limit);
  const auto asked = ask("list_ended", answered, [&](tokenstore_answer* answer) {
    return entries_.list_ended(entries_.context, workspace.data(), workspace.size(), ended_before, limit, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.ended);
}

CommitResult AdaptedBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                    const Announcement* announcement) {
  if (read_only()) return {CommitOutcome::failed, 0, opened_for_reading()};
  if (!base::is_well_formed(workspace, batch)) return {CommitOutcome::failed, 0, base::misfit()};
  const Steps steps(batch);
  std::optional<ShownAnnouncement> shown;
  if (announcement != nullptr) shown.emplace(*announcement);
  Answered answered(Answers::number);
  const Result<Called> called = call(answered, [&](tokenstore_answer* answer) {
    return entries_.commit(entries_.context, workspace.data(), workspace.size(), steps.data(), steps.size(),
                           shown ? &*shown : nullptr, answer);
  });
  if (!called.ok()) return {CommitOutcome::failed, 0, called.error()};
  const bool returned = called->ending == Ending::returned;
  if (returned && called->status == TOKENSTORE_CONFLICT) return {CommitOutcome::conflict, 0, {}};

  // Raised before anybody can know of the outcome, and also if nobody knows it.
  if (announcement != nullptr) signal_.counter.fetch_add(1, std::memory_order_acq_rel);

  if (returned && is_failure(called->status)) {
    return {CommitOutcome::failed, 0, failure("commit", called->status, answered)};
  }
  const bool sound = returned && !answered.at_fault && !answered.no_memory && !answered.failed;
  if (sound && called->status == TOKENSTORE_OK && answered.number) {
    return {CommitOutcome::committed, *answered.number, {}};
  }
  // Whatever the backend meant by it, it may have happened.
  std::string message = "the storage backend '" + name_ + "' failed in commit; read to find out whether it happened";
  if (returned && called->status == TOKENSTORE_UNKNOWN && !answered.message.empty()) message = answered.message;
  return {CommitOutcome::unknown, 0, Error(Status::unknown, std::move(message))};
}

Result<Changes> AdaptedBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  Answered answered(Answers::change, feed_max);
  const auto asked = ask("changes", answered, [&](tokenstore_answer* answer) {
    return entries_.changes(entries_.context, workspace.data(), workspace.size(), after_revision, answer);
  });
  if (!asked.ok()) return asked.error();
  if (!answered.head) return fault("changes", "it emitted no head");
  Changes changes = *std::move(answered.head);
  // A feed that went back cannot say what it lost.
  changes.everything = answered.everything || changes.revision < after_revision;
  if (!changes.everything) changes.entries = std::move(answered.entries);
  return changes;
}

Pulse AdaptedBackend::pulse() noexcept {
  if (entries_.pulse != nullptr && !left_behind()) {
    const Calls::Call here(calls_);
    try {
      const tokenstore_pulse pulse = entries_.pulse(entries_.context);
      return {pulse.counter, pulse.trusted_until};
    } catch (...) {
      return {0, not_at_all};
    }
  }
  const std::uint64_t counter = signal_.counter.load(std::memory_order_acquire);
  // A child has a counter that nobody raises.
  if (fork_.forked() || entries_.pulse != nullptr) return {counter, not_at_all};
  return {counter, signal_.trusted_until.load(std::memory_order_acquire)};
}

Result<void> AdaptedBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  if (read_only()) return opened_for_reading();
  std::vector<tokenstore_use> shown;
  std::vector<const tokenstore_use*> pointers;
  shown.reserve(uses.size());
  pointers.reserve(uses.size());
  for (const Use& use : uses) {
    shown.push_back({sizeof(tokenstore_use), use.id.data(), use.id.size(), use.used_from.data(), use.used_from.size(),
                     use.used_at});
    pointers.push_back(&shown.back());
  }
  Answered answered(Answers::nothing);
  return ask("record_uses", answered, [&](tokenstore_answer* answer) {
    return entries_.record_uses(entries_.context, workspace.data(), workspace.size(), pointers.data(), pointers.size(),
                                answer);
  });
}

Result<bool> AdaptedBackend::maintain(std::chrono::milliseconds budget) {
  if (entries_.maintain == nullptr) return false;
  Answered answered(Answers::number);
  const auto asked = ask("maintain", answered, [&](tokenstore_answer* answer) {
    return entries_.maintain(entries_.context, budget.count(), answer);
  });
  if (!asked.ok()) return asked.error();
  return answered.number.value_or(0) != 0;
}

Result<std::vector<std::string>> AdaptedBackend::check_integrity(std::size_t most, const Progress& progress) {
  if (entries_.check_integrity == nullptr) return std::vector<std::string>{};
  Answered answered(Answers::problem, most);
  answered.report = &progress;
  const auto asked = ask("check_integrity", answered, [&](tokenstore_answer* answer) {
    return entries_.check_integrity(entries_.context, most, answer);
  });
  if (!asked.ok()) return asked.error();
  return std::move(answered.problems);
}

}  // namespace tokenstore::capi

// ---- capi/src/backend/calls.cpp ------------------------------------------------------------------------------

namespace tokenstore::capi {
namespace {

constexpr std::size_t message_max = 500;
constexpr std::string_view emitted_too_much = "it emitted more than was asked for";

/// One line of printable ASCII, whatever came.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, message_max));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return line;
}

}  // namespace

/// What a backend holds of a call. Outlives it.
struct Calls::Slot : tokenstore_answer {
  std::atomic<bool> taken{true};
  std::atomic<bool> used_elsewhere{false};  ///< by another thread, while the call lasts
  Slot* next = nullptr;
};

namespace {

/// The calls that this thread is in, innermost first: null whenever it is in none. In the thread itself, because
/// a backend that calls back has nothing to be recognised by but the thread it comes in; and in the static
/// block, which needs no memory at first use.
__attribute__((tls_model("initial-exec"))) thread_local Calls::Call* innermost = nullptr;

}  // namespace

Calls::~Calls() {
  for (Slot* slot = slots_.load(); slot != nullptr;) delete std::exchange(slot, slot->next);
}

bool Calls::inside() const noexcept {
  for (const Call* call = innermost; call != nullptr; call = call->outer_) {
    if (&call->calls_ == this) return true;
  }
  return false;
}

Calls::Slot* Calls::take_slot() {
  for (Slot* slot = slots_.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    if (!slot->taken.load(std::memory_order_relaxed) && !slot->taken.exchange(true, std::memory_order_acquire)) {
      slot->used_elsewhere.store(false);
      return slot;
    }
  }
  auto fresh = std::make_unique<Slot>();
  wire(*fresh);
  fresh->next = slots_.load(std::memory_order_relaxed);
  while (!slots_.compare_exchange_weak(fresh->next, fresh.get(), std::memory_order_release)) {
  }
  return fresh.release();
}

Calls::Call::Call(const Calls& calls) noexcept : calls_(calls), outer_(innermost) {
  innermost = this;
}

Calls::Call::Call(Calls& calls, Answered& answered)
    : calls_(calls), slot_(calls.take_slot()), answered_(&answered), outer_(innermost) {
  innermost = this;
}

Calls::Call::~Call() {
  innermost = outer_;
  if (slot_ == nullptr) return;
  // What another thread was told is lost to the caller: better no answer than half of one.
  if (slot_->used_elsewhere.load()) {
    answered_->at_fault = true;
    answered_->fault.clear();
  }
  slot_->taken.store(false, std::memory_order_release);
}

tokenstore_answer* Calls::Call::answer() const noexcept {
  return slot_;
}

Calls::Call* Calls::here(tokenstore_answer* answer) noexcept {
  if (answer == nullptr) return nullptr;
  for (Call* call = innermost; call != nullptr; call = call->outer_) {
    if (call->slot_ == answer) return call;
  }
  static_cast<Slot*>(answer)->used_elsewhere.store(true);
  return nullptr;
}

/// Runs `body` on what the call has answered so far, if the answer may be used here and may be of this kind.
template <typename Body>
std::int32_t Calls::accept(tokenstore_answer* answer, Answers kind, const Body& body) noexcept {
  Call* call = here(answer);
  if (call == nullptr) return 0;
  Answered& to = *call->answered_;
  try {
    if (to.at_fault || to.no_memory) return 0;
    if (kind != Answers::nothing && !includes(to.expected, kind)) refuse("it emitted what was not asked for");
    return body(to) ? 1 : 0;
  } catch (const Failure& failure) {
    to.at_fault = true;
    try {
      to.fault = failure.message();
    } catch (const std::bad_alloc&) {
      to.no_memory = true;
    }
  } catch (const std::bad_alloc&) {
    to.no_memory = true;
  } catch (...) {
    to.at_fault = true;
  }
  return 0;
}

namespace {

/// Keeps one more record; a backend that does not stop at the limit is not believed at all.
template <typename Record, typename Make>
bool keep(std::vector<Record>& records, std::uint64_t most, const Make& make) {
  if (records.size() >= most) refuse(emitted_too_much);
  records.push_back(make());
  return true;
}

/// A record that a backend emits. Its contract says which fields it has: a size beyond them is a lie, and nothing is
/// read that may not be there.
template <typename Record>
auto copy_emitted(const Record* record) {
  if (record != nullptr && record->struct_size > sizeof *record) refuse("it emitted a struct_size that is wrong");
  return copy(record);
}

constexpr std::size_t entry_octets_max = std::size_t{64} << 20;

Bytes32 link_of(const std::uint8_t* link) {
  if (link == nullptr) refuse("it emitted no link");
  Bytes32 copied;
  std::copy_n(link, copied.size(), copied.begin());
  return copied;
}

template <typename Value>
bool keep_once(std::optional<Value>& place, Value value) {
  if (place) refuse(emitted_too_much);
  place = std::move(value);
  return true;
}

}  // namespace

void Calls::wire(tokenstore_answer& answer) noexcept {
  answer.struct_size = sizeof answer;
  answer.emit_token = [](tokenstore_answer* to, const tokenstore_token_record* record) -> std::int32_t {
    return accept(to, Answers::token,
                  [&](Answered& it) { return keep(it.tokens, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_owner = [](tokenstore_answer* to, const tokenstore_owner_record* record) -> std::int32_t {
    return accept(to, Answers::owner,
                  [&](Answered& it) { return keep(it.owners, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_workspace = [](tokenstore_answer* to, const tokenstore_workspace_record* record) -> std::int32_t {
    return accept(to, Answers::workspace,
                  [&](Answered& it) { return keep(it.workspaces, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_ended = [](tokenstore_answer* to, const char* id, size_t id_size, uint64_t revision) -> std::int32_t {
    return accept(to, Answers::ended, [&](Answered& it) {
      return keep(it.ended, it.most, [&] {
        return EndedToken{cut_text(id, id_size, TOKENSTORE_ID_SIZE, "the id"), revision};
      });
    });
  };
  answer.emit_store = [](tokenstore_answer* to, const tokenstore_store_record* record) -> std::int32_t {
    return accept(to, Answers::store,
                  [&](Answered& it) { return keep(it.stores, it.most, [&] { return copy_emitted(record); }); });
  };
  answer.emit_head = [](tokenstore_answer* to, uint64_t revision, const uint8_t* link,
                        uint64_t complete_from) -> std::int32_t {
    return accept(to, Answers::change, [&](Answered& it) {
      Changes head;
      head.revision = revision;
      head.link = link_of(link);
      head.complete_from = complete_from;
      return keep_once(it.head, std::move(head));
    });
  };
  answer.emit_entry = [](tokenstore_answer* to, uint64_t revision, const char* entry, size_t entry_size,
                         const uint8_t* link) -> std::int32_t {
    return accept(to, Answers::change, [&](Answered& it) {
      const std::string_view octets = text(entry, entry_size, "the entry");
      // A longer feed is answered as "everything": cheaper than reading it, and a bound on what is kept.
      it.everything =
          it.everything || it.entries.size() >= it.most || octets.size() > entry_octets_max - it.entry_octets;
      if (it.everything) {
        it.entries.clear();
        return false;
      }
      it.entry_octets += octets.size();
      it.entries.push_back({revision, std::string(octets), link_of(link)});
      return true;
    });
  };
  answer.emit_everything = [](tokenstore_answer* to) -> std::int32_t {
    return accept(to, Answers::change, [](Answered& it) { return it.everything = true; });
  };
  answer.emit_number = [](tokenstore_answer* to, uint64_t number) -> std::int32_t {
    return accept(to, Answers::number, [&](Answered& it) { return keep_once(it.number, std::uint64_t{number}); });
  };
  answer.emit_counts = [](tokenstore_answer* to, uint64_t active, uint64_t pending, uint64_t expired,
                          uint64_t revoked) -> std::int32_t {
    return accept(to, Answers::counts, [&](Answered& it) {
      return keep_once(it.counts, TokenCounts{active, pending, expired, revoked});
    });
  };
  answer.emit_next = [](tokenstore_answer* to, const char* id, size_t id_size) -> std::int32_t {
    return accept(to, Answers::next, [&](Answered& it) {
      if (text(id, id_size, "the id").size() != TOKENSTORE_ID_SIZE) refuse("it emitted an id that is not 16 bytes");
      return keep_once(it.next, std::string(id, id_size));
    });
  };
  answer.emit_problem = [](tokenstore_answer* to, const char* line, size_t line_size) -> std::int32_t {
    return accept(to, Answers::problem, [&](Answered& it) {
      if (it.problems.size() >= it.most) return false;
      it.problems.push_back(one_line(text(line, line_size, "the line")));
      return true;
    });
  };
  answer.progress = [](tokenstore_answer* to, uint64_t done, uint64_t total) -> std::int32_t {
    return accept(to, Answers::nothing,
                  [&](Answered& it) { return it.report == nullptr || !*it.report || (*it.report)(done, total); });
  };
  answer.fail = [](tokenstore_answer* to, int32_t status, const char* message, size_t message_size) -> std::int32_t {
    accept(to, Answers::nothing, [&](Answered& it) {
      it.failed = true;
      try {
        it.message = one_line(text(message, message_size, "the message"));
      } catch (const std::bad_alloc&) {
        it.message.clear();  // the status is what counts
      }
      return true;
    });
    return status;
  };
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

// ---- capi/src/backend/memory_backend.cpp ---------------------------------------------------------------------

// Storage in memory as C functions, for hosts to wrap.





namespace tokenstore::capi {

extern "C" TOKENSTORE_API int32_t tokenstore_memory_backend(tokenstore_backend* out_backend, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    // Before anything is made that a wrong size would leave behind.
    struct_size_of(out_backend, TOKENSTORE_BACKEND_SIZE_1_0, sizeof(tokenstore_backend), "the backend");
    const tokenstore_backend made = export_backend(
        "memory", TOKENSTORE_BACKEND_FORK_SAFE, []() -> Result<std::shared_ptr<Backend>> { return memory_backend(); });
    TOKENSTORE_WRITE(tokenstore_backend, BACKEND, out_backend, "the backend", made);
  });
}

}  // namespace tokenstore::capi

// ---- capi/src/backend/open_backend.cpp -----------------------------------------------------------------------

// Opening a store on storage of the host's own.





namespace tokenstore::capi {

extern "C" TOKENSTORE_API int32_t tokenstore_open_backend(const tokenstore_open_options* options, const tokenstore_backend* backend,
                                tokenstore_store** out_store, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_store != nullptr) *out_store = nullptr;
    // Before all that can be wrong, so that the context is closed whatever it is.
    std::shared_ptr<AdaptedBackend> adapted = AdaptedBackend::adopt(backend);
    auto*& out = need_output(out_store);
    const auto known = TOKENSTORE_READ(tokenstore_open_options, OPEN_OPTIONS, options, "the options");
    refuse_sqlite_options(known, "on a backend of its own");
    StoreOptions store_options = store_options_of(known);
    std::optional<Keyring> keyring = keyring_or_file_of(known);
    if (!keyring)
      refuse("a store on a backend of its own needs a key: set one of keyring, key_bytes, key_file and key_credential");

    auto handle = std::make_unique<tokenstore_store>();
    take(adapted->open());
    handle->store = take(TokenStore::open(adapted, *std::move(keyring), std::move(store_options)));
    handle->guest = std::move(adapted);
    out = handle.release();
  });
}

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

#pragma GCC visibility pop
#undef TOKENSTORE_WRITE
#undef TOKENSTORE_READ
#pragma pop_macro("tokenstore")
#pragma pop_macro("Status")
