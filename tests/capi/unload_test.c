/* A plugin that uses the library may be unloaded: the process then forks as if it had never been there. */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tokenstore.h"

typedef int32_t open_function(const tokenstore_open_options*, tokenstore_store**, tokenstore_error**);
typedef void free_function(tokenstore_store*);

static int fork_once(void) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) _exit(7);
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  for (int round = 0; round < 3; ++round) {
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 3;
    open_function* open_store;
    free_function* free_store;
    *(void**)&open_store = dlsym(library, "tokenstore_open");
    *(void**)&free_store = dlsym(library, "tokenstore_free");
    if (open_store == NULL || free_store == NULL) return 4;
    static const uint8_t key[32] = {1, 2, 3};
    tokenstore_open_options options = {0};
    options.struct_size = sizeof options;
    options.backend = TOKENSTORE_BACKEND_MEMORY;
    options.key_bytes = key;
    options.key_bytes_size = sizeof key;
    options.upkeep_thread = 1;
    tokenstore_store* store = NULL;
    if (open_store(&options, &store, NULL) != TOKENSTORE_OK) return 5;
    if (!fork_once()) return 6;
    free_store(store);
    if (dlclose(library) != 0) return 7;
    if (!fork_once()) return 8;
  }
  return 0;
}
