#define _DEFAULT_SOURCE /* explicit_bzero, which a compiler does not leave out */
#include "sessions.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct session** bucket_of(struct sessions* sessions, const void* client) {
  uint64_t hash = (uint64_t)(uintptr_t)client * UINT64_C(0x9E3779B97F4A7C15);
  return &sessions->buckets[hash >> 54];
}

/* The pointer that points to the client's session, or to NULL at the end of its bucket. */
static struct session** place_of(struct sessions* sessions, const void* client) {
  struct session** place = bucket_of(sessions, client);
  while (*place != NULL && (*place)->client != client) place = &(*place)->next;
  return place;
}

/* Wipes and frees everything but the fact that there was a session. */
static void forget_who(struct session* session) {
  explicit_bzero(session->token, sizeof session->token);
  session->token_size = 0;
  free(session->scopes);
  session->scopes = NULL;
  free(session->client_id);
  session->client_id = NULL;
}

static void end(struct sessions* sessions, struct session** place) {
  struct session* session = *place;
  if (session->state == SESSION_LEAVING) --sessions->leaving;
  *place = session->next;
  forget_who(session);
  free(session);
}

struct session* sessions_find(struct sessions* sessions, const void* client) {
  return *place_of(sessions, client);
}

static char* copy_of(const char* text, size_t size) {
  char* copy = malloc(size + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

bool sessions_begin(struct sessions* sessions, const void* client, const char* client_id, const char* token,
                    size_t token_size, const tokenstore_verdict* verdict) {
  struct session** place = place_of(sessions, client);
  if (*place != NULL) end(sessions, place);

  struct session* session = calloc(1, sizeof *session);
  if (session == NULL) return false;
  session->scopes = copy_of(verdict->scopes, verdict->scopes_size);
  session->client_id = copy_of(client_id, strlen(client_id));
  if (session->scopes == NULL || session->client_id == NULL || token_size > sizeof session->token ||
      verdict->id_size >= sizeof session->id) {
    forget_who(session);
    free(session);
    return false;
  }
  memcpy(session->id, verdict->id, verdict->id_size);
  memcpy(session->token, token, token_size);
  session->token_size = token_size;
  session->client = client;
  session->state = SESSION_CONNECTED;
  place = bucket_of(sessions, client);
  session->next = *place;
  *place = session;
  return true;
}

void sessions_leave(struct sessions* sessions, const void* client, bool may_return) {
  struct session** place = place_of(sessions, client);
  if (*place == NULL) return;
  if ((*place)->state == SESSION_AWAY) {
    end(sessions, place);
  } else if ((*place)->state == SESSION_CONNECTED) {
    (*place)->state = SESSION_LEAVING;
    (*place)->may_return = may_return;
    ++sessions->leaving;
  }
}

void sessions_sweep(struct sessions* sessions) {
  size_t buckets = sizeof sessions->buckets / sizeof sessions->buckets[0];
  for (size_t i = 0; i < buckets && sessions->leaving > 0; ++i) {
    for (struct session** place = &sessions->buckets[i]; *place != NULL;) {
      struct session* session = *place;
      if (session->state == SESSION_LEAVING && session->may_return) {
        session->state = SESSION_AWAY;
        --sessions->leaving;
        forget_who(session);
      }
      if (session->state == SESSION_LEAVING) {
        end(sessions, place);
      } else {
        place = &session->next;
      }
    }
  }
}

void sessions_each(struct sessions* sessions, void (*visit)(struct session* session, void* context), void* context) {
  for (size_t i = 0; i < sizeof sessions->buckets / sizeof sessions->buckets[0]; ++i) {
    for (struct session* session = sessions->buckets[i]; session != NULL; session = session->next) {
      visit(session, context);
    }
  }
}

void sessions_clear(struct sessions* sessions) {
  for (size_t i = 0; i < sizeof sessions->buckets / sizeof sessions->buckets[0]; ++i) {
    while (sessions->buckets[i] != NULL) end(sessions, &sessions->buckets[i]);
  }
}
