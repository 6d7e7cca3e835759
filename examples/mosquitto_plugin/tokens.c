#include "tokens.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <string.h>

tokenstore_store* tokens_open(const struct options* options) {
  tokenstore_open_options open = {.struct_size = sizeof open,
                                  .path = options->database,
                                  .path_size = strlen(options->database),
                                  .key_file = options->key_file,
                                  .key_file_size = strlen(options->key_file),
                                  .workspace = options->workspace,
                                  .workspace_size = strlen(options->workspace),
                                  .prefix = options->prefix,
                                  .prefix_size = strlen(options->prefix),
                                  /* The host that issues the tokens makes these; a broker that did would only hide
                                   * a wrong path behind an empty store. */
                                  .must_exist = 1,
                                  .workspace_must_exist = 1,
                                  /* Last uses are written here, so that the broker's one thread waits for no disk. */
                                  .upkeep_thread = 1};
  tokenstore_store* store = NULL;
  tokenstore_error* error = NULL;
  int32_t status = tokenstore_open(&open, &store, &error);
  if (status != TOKENSTORE_OK) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "tokenstore: cannot open %s: %s (%s)", options->database,
                         tokenstore_error_message(error, NULL), tokenstore_status_name(status));
    tokenstore_error_free(error);
    return NULL;
  }
  return store;
}

void tokens_ask(tokenstore_store* store, const char* token, size_t token_size, const char* scope, size_t scope_size,
                const char* address, tokenstore_verdict* out_verdict) {
  tokenstore_demand demand = {.struct_size = sizeof demand,
                              .scope = scope,
                              .scope_size = scope_size,
                              .client_address = address,
                              .client_address_size = address == NULL ? 0 : strlen(address)};
  out_verdict->struct_size = sizeof *out_verdict;
  tokenstore_validate(store, token, token_size, &demand, out_verdict, NULL);
}
