/*
 * What the scopes of a token let an MQTT client do:
 *   mqtt                      connect
 *   mqtt:publish:<filter>     publish to the topics that the filter matches
 *   mqtt:subscribe:<filter>   subscribe to filters that this one contains, and receive from topics it matches
 */
#ifndef MOSQUITTO_PLUGIN_GRANTS_H
#define MOSQUITTO_PLUGIN_GRANTS_H

#include <stddef.h>

#define GRANT_CONNECT "mqtt"

enum grant_action { GRANT_PUBLISH, GRANT_SUBSCRIBE, GRANT_RECEIVE };

/* The scope among `scopes` (single spaces between) that grants the action on `topic`, a name or for
 * GRANT_SUBSCRIBE a filter; NULL if none does. It points into `scopes`. Any thread. */
const char* grant_find(const char* scopes, enum grant_action action, const char* topic, size_t* out_size);

#endif
