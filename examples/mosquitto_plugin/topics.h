/*
 * MQTT topic names and topic filters, as section 4.7 of MQTT 3.1.1 and MQTT 5 has them. Texts are a pointer
 * and a size in bytes. Pure functions: no state, no allocation, safe from any thread.
 */
#ifndef MOSQUITTO_PLUGIN_TOPICS_H
#define MOSQUITTO_PLUGIN_TOPICS_H

#include <stdbool.h>
#include <stddef.h>

/* A topic that a message is published to: not empty, at most 65535 bytes, no wildcard, no zero byte. */
bool topic_is_name(const char* text, size_t size);

/* The same, but a level may be `+`, and the last one `#`. */
bool topic_is_filter(const char* text, size_t size);

/* Whether every topic that `requested` matches is matched by `granted` too. A topic name is a filter that matches
 * itself alone, so this also answers whether a filter matches a topic. False if either is not a filter. */
bool topic_filter_contains(const char* granted, size_t granted_size, const char* requested, size_t requested_size);

/* The filter within a subscription: what follows `$share/<group>/` in a shared one, otherwise all of it. False
 * if the text begins as a shared subscription and is not one. */
bool topic_of_subscription(const char* text, size_t size, const char** out_filter, size_t* out_size);

#endif
