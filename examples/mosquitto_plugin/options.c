#include "options.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>

static bool read_interval(const char* text, int64_t* out) {
  char* end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 10 || value > 3600000) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "tokenstore: plugin_opt_check_interval_ms is a number from 10 to 3600000");
    return false;
  }
  *out = value;
  return true;
}

/* The broker may leave its directory when it becomes a daemon. */
static bool is_absolute(const char* name, const char* path) {
  if (path[0] == '\0' || path[0] == '/') return true;
  mosquitto_log_printf(MOSQ_LOG_ERR, "tokenstore: plugin_opt_%s has to be an absolute path", name);
  return false;
}

bool options_read(const struct mosquitto_opt* given, int count, struct options* out) {
  *out = (struct options){.database = "", .key_file = "", .workspace = "", .prefix = "", .check_interval_ms = 1000};
  for (int i = 0; i < count; ++i) {
    const char* name = given[i].key;
    const char* value = given[i].value;
    if (strcmp(name, "database") == 0) {
      out->database = value;
    } else if (strcmp(name, "key_file") == 0) {
      out->key_file = value;
    } else if (strcmp(name, "workspace") == 0) {
      out->workspace = value;
    } else if (strcmp(name, "prefix") == 0) {
      out->prefix = value;
    } else if (strcmp(name, "check_interval_ms") == 0) {
      if (!read_interval(value, &out->check_interval_ms)) return false;
    } else {
      mosquitto_log_printf(MOSQ_LOG_ERR,
                           "tokenstore: there is no plugin_opt_%s; there are database, key_file, workspace, prefix and "
                           "check_interval_ms",
                           name);
      return false;
    }
  }
  if (out->database[0] == '\0') {
    mosquitto_log_printf(MOSQ_LOG_ERR, "tokenstore: plugin_opt_database is missing: the path of the tokens' database");
    return false;
  }
  return is_absolute("database", out->database) && is_absolute("key_file", out->key_file);
}
