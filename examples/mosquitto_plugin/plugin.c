/*
 * A plugin for mosquitto 2: MQTT clients show an access token as their password, its scopes say which topics they
 * may use, and a client whose token has ended is disconnected. README.md says how to set it up.
 *
 * The broker calls everything here from its one thread, after it has become a daemon and another user, so that
 * what is opened in mosquitto_plugin_init is opened by the process that uses it.
 *
 * No line in the log holds anything that a client sent: a token may be anywhere in it, by mistake.
 */
#define _DEFAULT_SOURCE /* clock_gettime */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tokenstore.h>

#include "grants.h"
#include "options.h"
#include "sessions.h"
#include "tokens.h"

#define EXPORTED __attribute__((visibility("default")))

struct plugin {
  mosquitto_plugin_id_t* identifier;
  struct options options;
  tokenstore_store* store;
  struct sessions sessions;
  int64_t next_check; /* milliseconds of the monotonic clock */
  bool storage_failed;
};

static const char* or_unknown(const char* address) {
  return address == NULL ? "an unknown address" : address;
}

/* Asks, and says once when storage begins to fail and once when it works again. */
static int32_t ask(struct plugin* plugin, const char* token, size_t token_size, const char* scope, size_t scope_size,
                   const char* address, tokenstore_verdict* verdict) {
  tokens_ask(plugin->store, token, token_size, scope, scope_size, address, verdict);
  bool failed = verdict->outcome == TOKENSTORE_OUTCOME_UNAVAILABLE;
  if (failed != plugin->storage_failed) {
    plugin->storage_failed = failed;
    mosquitto_log_printf(failed ? MOSQ_LOG_ERR : MOSQ_LOG_NOTICE,
                         failed ? "tokenstore: the tokens' storage cannot be read: nobody connects, and nothing passes"
                                : "tokenstore: the tokens' storage can be read again");
  }
  return verdict->outcome;
}

static int refuse(const char* address, const char* why, int answer) {
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "tokenstore: refused a client from %s: %s", or_unknown(address), why);
  return answer;
}

/* At SIGHUP, as after a rotation of its log, the broker asks about the open connections as if they were new. */
static bool is_connected(struct plugin* plugin, const struct mosquitto_evt_basic_auth* connect) {
  const struct session* session = sessions_find(&plugin->sessions, connect->client);
  return session != NULL && session->state == SESSION_CONNECTED &&
         strcmp(session->client_id, mosquitto_client_id(connect->client)) == 0 &&
         session->token_size == strlen(connect->password) &&
         memcmp(session->token, connect->password, session->token_size) == 0;
}

/* Without a username a client is anonymous to the broker, which would drop it at the next SIGHUP. */
static bool give_username(const struct mosquitto_evt_basic_auth* connect, const char* owner) {
  bool has_one = connect->username != NULL && connect->username[0] != '\0';
  return has_one || mosquitto_set_username(connect->client, owner) == MOSQ_ERR_SUCCESS;
}

static int on_basic_auth(int event, void* event_data, void* userdata) {
  (void)event;
  struct plugin* plugin = userdata;
  struct mosquitto_evt_basic_auth* connect = event_data;
  const char* address = mosquitto_client_address(connect->client);
  sessions_sweep(&plugin->sessions);
  if (connect->password == NULL) return refuse(address, "no password", MOSQ_ERR_AUTH);

  tokenstore_verdict verdict;
  size_t size = strlen(connect->password);
  switch (ask(plugin, connect->password, size, TOKENSTORE_LITERAL(GRANT_CONNECT), address, &verdict)) {
    case TOKENSTORE_OUTCOME_VALID:
      break;
    case TOKENSTORE_OUTCOME_INVALID:
      return refuse(address, tokenstore_reason_name(verdict.reason), MOSQ_ERR_AUTH);
    default:
      if (is_connected(plugin, connect)) return MOSQ_ERR_SUCCESS; /* and nothing passes meanwhile */
      /* The token may well be good: the connection is closed without "not authorised", and the client tries again. */
      return refuse(address, "storage", MOSQ_ERR_UNKNOWN);
  }
  if (connect->username != NULL && connect->username[0] != '\0' && strcmp(connect->username, verdict.owner) != 0) {
    return refuse(address, "the username is neither empty nor the token's owner", MOSQ_ERR_AUTH);
  }
  if (!sessions_begin(&plugin->sessions, connect->client, mosquitto_client_id(connect->client), connect->password, size,
                      &verdict) ||
      !give_username(connect, verdict.owner)) {
    return refuse(address, "no memory", MOSQ_ERR_NOMEM);
  }
  mosquitto_log_printf(MOSQ_LOG_INFO, "tokenstore: let in a client from %s with token %s of %s", or_unknown(address),
                       verdict.id, verdict.owner);
  return MOSQ_ERR_SUCCESS;
}

static int on_acl_check(int event, void* event_data, void* userdata) {
  (void)event;
  struct plugin* plugin = userdata;
  struct mosquitto_evt_acl_check* check = event_data;
  struct session* session = sessions_find(&plugin->sessions, check->client);
  if (session == NULL) return MOSQ_ERR_ACL_DENIED;
  bool receiving = check->access == MOSQ_ACL_READ;
  if (session->state == SESSION_AWAY) {
    /* Kept for later. When the client is back, the broker asks about each kept message again, with its token. */
    return receiving ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
  }

  enum grant_action action = GRANT_RECEIVE;
  if (check->access == MOSQ_ACL_UNSUBSCRIBE) return MOSQ_ERR_SUCCESS;
  if (check->access == MOSQ_ACL_WRITE) action = GRANT_PUBLISH;
  if (check->access == MOSQ_ACL_SUBSCRIBE) action = GRANT_SUBSCRIBE;
  size_t scope_size = 0;
  const char* scope = grant_find(session->scopes, action, check->topic, &scope_size);
  if (scope == NULL) return MOSQ_ERR_ACL_DENIED;

  /* A token's scopes never change, but whether it is still good is asked for each message. */
  tokenstore_verdict verdict;
  switch (ask(plugin, session->token, session->token_size, scope, scope_size, mosquitto_client_address(check->client),
              &verdict)) {
    case TOKENSTORE_OUTCOME_VALID:
      return MOSQ_ERR_SUCCESS;
    case TOKENSTORE_OUTCOME_INVALID:
      /* Anything but "denied" makes the broker close the connection. That is for the one who sends: when this is
       * the receiver, it would be somebody else's. */
      return receiving ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_AUTH;
    default:
      /* Not "denied", which MQTT 3.1.1 acknowledges: the message would be lost. So it will be sent again. */
      return receiving ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_UNKNOWN;
  }
}

static int on_disconnect(int event, void* event_data, void* userdata) {
  (void)event;
  struct plugin* plugin = userdata;
  struct mosquitto_evt_disconnect* disconnect = event_data;
  bool is_mqtt5 = mosquitto_client_protocol_version(disconnect->client) == 5;
  /* In MQTT 5 a session's end is an interval of its own, which the broker does not tell. */
  bool may_return = is_mqtt5 || !mosquitto_client_clean_session(disconnect->client);
  sessions_leave(&plugin->sessions, disconnect->client, may_return);
  return MOSQ_ERR_SUCCESS;
}

struct same_id {
  const struct session* session;
  bool found;
};

static void look_for_same_id(struct session* session, void* context) {
  struct same_id* wanted = context;
  if (session != wanted->session && session->state == SESSION_CONNECTED &&
      strcmp(session->client_id, wanted->session->client_id) == 0) {
    wanted->found = true;
  }
}

static void check_session(struct session* session, void* context) {
  struct plugin* plugin = context;
  if (session->state != SESSION_CONNECTED) return;
  tokenstore_verdict verdict;
  if (ask(plugin, session->token, session->token_size, TOKENSTORE_LITERAL(GRANT_CONNECT), NULL, &verdict) !=
      TOKENSTORE_OUTCOME_INVALID) {
    return;
  }
  /* A websocket that another connection of the same client has replaced lives on for a moment; the broker is
   * closing it, and would now take its name for the other's. */
  struct same_id other = {session, false};
  sessions_each(&plugin->sessions, look_for_same_id, &other);
  if (other.found) return;
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "tokenstore: disconnecting the client with token %s: %s", session->id,
                       tokenstore_reason_name(verdict.reason));
  mosquitto_kick_client_by_clientid(session->client_id, false);
}

static int64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The broker calls this several times a second. */
static int on_tick(int event, void* event_data, void* userdata) {
  (void)event;
  (void)event_data;
  struct plugin* plugin = userdata;
  sessions_sweep(&plugin->sessions);
  int64_t now = monotonic_ms();
  if (now < plugin->next_check) return MOSQ_ERR_SUCCESS;
  plugin->next_check = now + plugin->options.check_interval_ms;
  sessions_each(&plugin->sessions, check_session, plugin);
  return MOSQ_ERR_SUCCESS;
}

static const struct {
  int event;
  MOSQ_FUNC_generic_callback callback;
} callbacks[] = {{MOSQ_EVT_BASIC_AUTH, on_basic_auth},
                 {MOSQ_EVT_ACL_CHECK, on_acl_check},
                 {MOSQ_EVT_DISCONNECT, on_disconnect},
                 {MOSQ_EVT_TICK, on_tick}};
enum { callback_count = sizeof callbacks / sizeof callbacks[0] };

static void close_plugin(struct plugin* plugin) {
  for (int i = 0; i < callback_count; ++i) {
    mosquitto_callback_unregister(plugin->identifier, callbacks[i].event, callbacks[i].callback, NULL);
  }
  sessions_clear(&plugin->sessions);
  tokenstore_free(plugin->store);
  free(plugin);
}

EXPORTED int mosquitto_plugin_version(int supported_version_count, const int* supported_versions) {
  for (int i = 0; i < supported_version_count; ++i) {
    if (supported_versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
  }
  return -1;
}

EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t* identifier, void** userdata, struct mosquitto_opt* options,
                                   int option_count) {
  struct options read;
  if (!options_read(options, option_count, &read)) return MOSQ_ERR_INVAL;
  struct plugin* plugin = calloc(1, sizeof *plugin);
  if (plugin == NULL) return MOSQ_ERR_NOMEM;
  plugin->identifier = identifier;
  plugin->options = read;
  plugin->store = tokens_open(&plugin->options);
  if (plugin->store == NULL) {
    close_plugin(plugin);
    return MOSQ_ERR_INVAL;
  }
  for (int i = 0; i < callback_count; ++i) {
    int status = mosquitto_callback_register(identifier, callbacks[i].event, callbacks[i].callback, NULL, plugin);
    if (status != MOSQ_ERR_SUCCESS) {
      mosquitto_log_printf(MOSQ_LOG_ERR, "tokenstore: the broker does not take the plugin: it is not mosquitto 2");
      close_plugin(plugin);
      return status;
    }
  }
  *userdata = plugin;
  mosquitto_log_printf(MOSQ_LOG_INFO, "tokenstore: reading tokens from %s", plugin->options.database);
  return MOSQ_ERR_SUCCESS;
}

EXPORTED int mosquitto_plugin_cleanup(void* userdata, struct mosquitto_opt* options, int option_count) {
  (void)options;
  (void)option_count;
  if (userdata != NULL) close_plugin(userdata);
  return MOSQ_ERR_SUCCESS;
}
