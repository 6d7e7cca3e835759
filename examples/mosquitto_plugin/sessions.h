/*
 * The clients that this plugin let in, by the broker's pointer, which is a key and is never followed. A
 * session holds the token text, so that the token can be asked about again; it is wiped when the client has gone. For
 * the broker's one thread.
 *
 * The broker does not say when it ends an MQTT session of a client that is away. What is kept of that is small, and is
 * replaced when the broker uses its pointer for another client.
 */
#ifndef MOSQUITTO_PLUGIN_SESSIONS_H
#define MOSQUITTO_PLUGIN_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <tokenstore.h>

enum session_state {
  SESSION_CONNECTED,
  SESSION_LEAVING, /* its connection has ended; the broker may send its last will now */
  SESSION_AWAY     /* the broker may keep messages for it. Holds no token, and no scopes */
};

struct session {
  struct session* next;
  const void* client;
  enum session_state state;
  bool may_return; /* the broker may keep the MQTT session when the connection ends */
  size_t token_size;
  char token[TOKENSTORE_TOKEN_TEXT_MAX];
  char id[TOKENSTORE_ID_SIZE + 1]; /* of the token */
  char* scopes;                    /* single spaces between */
  char* client_id;                 /* copied, to disconnect the client by */
};

struct sessions {
  struct session* buckets[1024];
  size_t leaving;
};

/* The client's session, or NULL. */
struct session* sessions_find(struct sessions* sessions, const void* client);

/* Begins a session in place of any older one of the client; copies the token, the client id and what the verdict
 * says. False if there is no memory; the client then has no session. */
bool sessions_begin(struct sessions* sessions, const void* client, const char* client_id, const char* token,
                    size_t token_size, const tokenstore_verdict* verdict);

/* The connection has ended. A session that was away is over. */
void sessions_leave(struct sessions* sessions, const void* client, bool may_return);

/* Wipes the tokens of those that left, after the broker is done with them. */
void sessions_sweep(struct sessions* sessions);

/* Calls `visit` for each session; it may call sessions_leave for connected ones, and nothing else of this file. */
void sessions_each(struct sessions* sessions, void (*visit)(struct session* session, void* context), void* context);

/* Wipes and forgets them all. */
void sessions_clear(struct sessions* sessions);

#endif
