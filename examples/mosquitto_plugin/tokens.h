/* Asking the library about tokens. For the broker's one thread. */
#ifndef MOSQUITTO_PLUGIN_TOKENS_H
#define MOSQUITTO_PLUGIN_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <tokenstore.h>

#include "options.h"

/* Opens the database, which has to exist. NULL after writing to the broker's log what is wrong. Close it with
 * tokenstore_free. */
tokenstore_store* tokens_open(const struct options* options);

/* May the bearer of this token do what the scope grants, now? `address` may be NULL. The verdict is what to go by. */
void tokens_ask(tokenstore_store* store, const char* token, size_t token_size, const char* scope, size_t scope_size,
                const char* address, tokenstore_verdict* out_verdict);

#endif
