#include "environment.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How large the file may grow. It is address space and nothing else until it is used. */
#define MOST_BYTES ((size_t)64 << 30)
#define MOST_READERS 1024 /* calls that read at the same time, over all processes */
#define SCHEMA "1"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static environment* all_open;

static int32_t fail_text(tokenstore_answer* answer, int32_t status, const char* text) {
  return answer->fail(answer, status, text, strlen(text));
}

int32_t fail_with(tokenstore_answer* answer, int problem) {
  char text[300];
  switch (problem) {
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
      return fail_text(answer, TOKENSTORE_STORAGE_FULL, "there is no room left in the LMDB directory; make some");
    case ENOMEM:
      return fail_text(answer, TOKENSTORE_OUT_OF_MEMORY, "no memory is left; free some and try again");
    case MDB_READERS_FULL:
      return fail_text(answer, TOKENSTORE_UNAVAILABLE, "too many calls read at the same time; try again");
    default:
      snprintf(text, sizeof text, "LMDB: %s; look at the directory and its disk", mdb_strerror(problem));
      return fail_text(answer, TOKENSTORE_UNAVAILABLE, text);
  }
}

/* Is this directory ours to use? With an empty one it becomes so. */
static int check_schema(environment* it, MDB_txn* txn, int may_create) {
  MDB_dbi main;
  MDB_stat content;
  int problem = mdb_dbi_open(txn, NULL, 0, &main);
  if (problem == 0) problem = mdb_stat(txn, main, &content);
  if (problem != 0) return problem;
  const int create = may_create && content.ms_entries == 0;
  problem = mdb_dbi_open(txn, "about", create ? MDB_CREATE : 0, &it->about);
  if (problem != 0) return problem;
  MDB_val key = {.mv_size = strlen("schema"), .mv_data = "schema"};
  MDB_val value = {.mv_size = strlen(SCHEMA), .mv_data = SCHEMA};
  if (create) return mdb_put(txn, it->about, &key, &value, 0);
  problem = mdb_get(txn, it->about, &key, &value);
  if (problem != 0) return problem;
  return value.mv_size == strlen(SCHEMA) && memcmp(value.mv_data, SCHEMA, value.mv_size) == 0 ? 0
                                                                                              : MDB_VERSION_MISMATCH;
}

static int open_databases(environment* it, MDB_txn* txn, int may_create) {
  const struct {
    const char* name;
    MDB_dbi* database;
  } databases[] = {{"spaces", &it->spaces},     {"owners", &it->owners},
                   {"tokens", &it->tokens},     {"uses", &it->uses},
                   {"by_owner", &it->by_owner}, {"by_end", &it->by_end},
                   {"feed", &it->feed},         {"by_owner_end", &it->by_owner_end}};
  int problem = check_schema(it, txn, may_create);
  for (size_t i = 0; problem == 0 && i < sizeof databases / sizeof *databases; ++i) {
    problem = mdb_dbi_open(txn, databases[i].name, may_create ? MDB_CREATE : 0, databases[i].database);
  }
  return problem;
}

static int prepare(environment* it, int may_write) {
  MDB_txn* txn;
  int problem = mdb_txn_begin(it->lmdb, NULL, may_write ? 0 : MDB_RDONLY, &txn);
  if (problem != 0) return problem;
  problem = open_databases(it, txn, may_write);
  if (problem != 0) {
    mdb_txn_abort(txn);
    return problem;
  }
  /* Nobody else commits now: if the word is odd, its writer is dead. */
  if (may_write && pulse_read(&it->pulse).counter % 2 != 0) pulse_end(&it->pulse);
  return mdb_txn_commit(txn);
}

static int try_open(environment* it, const char* directory, int may_write) {
  int problem = mdb_env_create(&it->lmdb);
  if (problem == 0) problem = mdb_env_set_mapsize(it->lmdb, MOST_BYTES);
  if (problem == 0) problem = mdb_env_set_maxreaders(it->lmdb, MOST_READERS);
  if (problem == 0) problem = mdb_env_set_maxdbs(it->lmdb, 16);
  /* NOTLS: a reader's place is taken for a call, not for as long as its thread lives. Nothing that would make commits
   * less durable: an acknowledged revocation has to survive a power cut. */
  if (problem == 0) problem = mdb_env_open(it->lmdb, directory, MDB_NOTLS | (may_write ? 0 : MDB_RDONLY), 0600);
  /* Gives back the places of readers that were killed. */
  if (problem == 0 && may_write) problem = mdb_reader_check(it->lmdb, NULL);
  if (problem == 0) problem = pulse_open(&it->pulse, directory, !may_write);
  if (problem == 0) problem = prepare(it, may_write);
  if (problem != 0) {
    pulse_close(&it->pulse);
    mdb_env_close(it->lmdb);
    it->lmdb = NULL;
  }
  return problem;
}

static int32_t open_new(environment* it, const char* directory, int read_only, tokenstore_answer* answer) {
  char data[4096];
  struct stat ignored;
  if ((size_t)snprintf(data, sizeof data, "%s/data.mdb", directory) >= sizeof data) {
    return fail_text(answer, TOKENSTORE_CANNOT_OPEN, "the name of the LMDB directory is too long");
  }
  if (read_only && stat(data, &ignored) != 0) {
    return fail_text(answer, TOKENSTORE_CANNOT_OPEN, "there is no store in the LMDB directory to be read");
  }
  int problem = try_open(it, directory, 1);
  /* For a backend that only reads, it is enough to be allowed to. */
  if (read_only && (problem == EACCES || problem == EROFS)) problem = try_open(it, directory, 0);
  switch (problem) {
    case 0:
      return TOKENSTORE_OK;
    case MDB_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_INVALID:
      return fail_text(answer, TOKENSTORE_NOT_A_STORE, "the LMDB directory holds something else than a store");
    case MDB_VERSION_MISMATCH:
      return fail_text(answer, TOKENSTORE_NEWER_SCHEMA, "a later version made this store; open it with that one");
    case EACCES:
    case EPERM:
    case EROFS:
      return fail_text(answer, TOKENSTORE_CANNOT_OPEN, "the LMDB directory may not be written to; check its owner");
    default:
      return fail_with(answer, problem);
  }
}

static environment* find_open(const struct stat* directory) {
  for (environment* it = all_open; it != NULL; it = it->next) {
    /* What a parent had open at a fork is not for its child. */
    if (it->device == directory->st_dev && it->inode == directory->st_ino && it->process == getpid()) return it;
  }
  return NULL;
}

int32_t environment_open(const char* directory, int read_only, environment** out_environment,
                         tokenstore_answer* answer) {
  struct stat status;
  if (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
    return fail_text(answer, TOKENSTORE_CANNOT_OPEN, "the LMDB directory does not exist; make it");
  }
  int32_t result = TOKENSTORE_OK;
  pthread_mutex_lock(&lock);
  environment* it = find_open(&status);
  if (it == NULL) {
    it = calloc(1, sizeof *it);
    result = it == NULL ? fail_with(answer, ENOMEM) : open_new(it, directory, read_only, answer);
    if (result == TOKENSTORE_OK) {
      it->device = status.st_dev;
      it->inode = status.st_ino;
      it->process = getpid();
      it->next = all_open;
      all_open = it;
    } else {
      free(it);
    }
  }
  if (result == TOKENSTORE_OK) {
    ++it->users;
    *out_environment = it;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

void environment_close(environment* it) {
  pthread_mutex_lock(&lock);
  if (--it->users == 0) {
    environment** place = &all_open;
    while (*place != it) place = &(*place)->next;
    *place = it->next;
    pulse_close(&it->pulse);
    mdb_env_close(it->lmdb);
    free(it);
  }
  pthread_mutex_unlock(&lock);
}
