#include "topics.h"

#include <string.h>

enum { longest_topic = 65535 };

/* What is left of a topic or filter; `text` is NULL after the last level. */
struct levels {
  const char* text;
  size_t size;
};

struct level {
  const char* text;
  size_t size;
};

/* Takes the next level, which may be empty: "/a" has an empty one, then "a". */
static bool take(struct levels* rest, struct level* out) {
  if (rest->text == NULL) return false;
  const char* slash = memchr(rest->text, '/', rest->size);
  out->text = rest->text;
  out->size = slash == NULL ? rest->size : (size_t)(slash - rest->text);
  rest->text = slash == NULL ? NULL : slash + 1;
  rest->size = slash == NULL ? 0 : rest->size - out->size - 1;
  return true;
}

static bool is(const struct level* level, char wildcard) {
  return level->size == 1 && level->text[0] == wildcard;
}

static bool equal(const struct level* one, const struct level* other) {
  return one->size == other->size && memcmp(one->text, other->text, one->size) == 0;
}

static bool has(const char* text, size_t size, char wanted) {
  return memchr(text, wanted, size) != NULL;
}

bool topic_is_name(const char* text, size_t size) {
  return size > 0 && size <= longest_topic && !has(text, size, '+') && !has(text, size, '#') && !has(text, size, '\0');
}

bool topic_is_filter(const char* text, size_t size) {
  if (size == 0 || size > longest_topic || has(text, size, '\0')) return false;
  struct levels rest = {text, size};
  struct level level;
  while (take(&rest, &level)) {
    if (is(&level, '+')) continue;
    if (is(&level, '#')) return rest.text == NULL;
    if (has(level.text, level.size, '+') || has(level.text, level.size, '#')) return false;
  }
  return true;
}

bool topic_filter_contains(const char* granted, size_t granted_size, const char* requested, size_t requested_size) {
  if (!topic_is_filter(granted, granted_size) || !topic_is_filter(requested, requested_size)) return false;
  /* A wildcard at the beginning never matches a topic that begins with `$`. */
  if (requested[0] == '$' && (granted[0] == '+' || granted[0] == '#')) return false;

  struct levels granted_rest = {granted, granted_size};
  struct levels requested_rest = {requested, requested_size};
  /* `a/#` matches `a` too, but there is no empty topic: `#` asks for exactly what `+/#` does, `/#` for `/+/#`. */
  if (requested_size == 1 && requested[0] == '#') requested_rest = (struct levels){"+/#", 3};
  if (requested_size == 2 && memcmp(requested, "/#", 2) == 0) requested_rest = (struct levels){"/+/#", 4};

  struct level allowed;
  struct level wanted;
  while (take(&granted_rest, &allowed)) {
    /* Before looking at what is wanted: `a/#` matches `a` as well. */
    if (is(&allowed, '#')) return true;
    if (!take(&requested_rest, &wanted) || is(&wanted, '#')) return false;
    if (is(&allowed, '+')) continue;
    if (is(&wanted, '+') || !equal(&allowed, &wanted)) return false;
  }
  return requested_rest.text == NULL;
}

bool topic_of_subscription(const char* text, size_t size, const char** out_filter, size_t* out_size) {
  struct levels rest = {text, size};
  struct level first;
  *out_filter = text;
  *out_size = size;
  if (!take(&rest, &first) || first.size != 6 || memcmp(first.text, "$share", 6) != 0) return true;

  struct level group;
  if (!take(&rest, &group) || !topic_is_name(group.text, group.size) || rest.size == 0) return false;
  *out_filter = rest.text;
  *out_size = rest.size;
  return true;
}
