#include "grants.h"

#include <string.h>

#include "topics.h"

static const char* prefix_of(enum grant_action action) {
  return action == GRANT_PUBLISH ? "mqtt:publish:" : "mqtt:subscribe:";
}

const char* grant_find(const char* scopes, enum grant_action action, const char* topic, size_t* out_size) {
  const char* wanted = topic;
  size_t wanted_size = strlen(topic);
  if (action == GRANT_SUBSCRIBE) {
    if (!topic_of_subscription(topic, wanted_size, &wanted, &wanted_size)) return NULL;
  } else if (!topic_is_name(topic, wanted_size)) {
    return NULL;
  }

  const char* prefix = prefix_of(action);
  size_t prefix_size = strlen(prefix);
  for (const char* scope = scopes; *scope != '\0';) {
    size_t size = strcspn(scope, " ");
    if (size > prefix_size && memcmp(scope, prefix, prefix_size) == 0 &&
        topic_filter_contains(scope + prefix_size, size - prefix_size, wanted, wanted_size)) {
      *out_size = size;
      return scope;
    }
    scope += size;
    scope += strspn(scope, " ");
  }
  return NULL;
}
