/* The plugin's options: the lines `plugin_opt_<name> <value>` of mosquitto.conf. */
#ifndef MOSQUITTO_PLUGIN_OPTIONS_H
#define MOSQUITTO_PLUGIN_OPTIONS_H

#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <stdint.h>

/* The texts belong to the broker and live as long as the plugin. */
struct options {
  const char* database;      /* absolute path; required */
  const char* key_file;      /* absolute path; "": <database>.key */
  const char* workspace;     /* "": the default one */
  const char* prefix;        /* of the token text; "": the library's default */
  int64_t check_interval_ms; /* how often open connections are checked: 10 ms to an hour */
};

/* False after writing to the broker's log what is wrong. */
bool options_read(const struct mosquitto_opt* given, int count, struct options* out);

#endif
