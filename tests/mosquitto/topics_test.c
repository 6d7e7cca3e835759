/*
 * The matching rules of examples/mosquitto_plugin: cases from section 4.7 of the MQTT standard, and every pair of
 * short filters against the definition of "contained".
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grants.h"
#include "topics.h"

static int failures = 0;

static void expect(bool right, const char* what, const char* one, const char* other) {
  if (right) return;
  ++failures;
  fprintf(stderr, "wrong: %s: '%s', '%s'\n", what, one, other);
}

static bool contains(const char* granted, const char* requested) {
  return topic_filter_contains(granted, strlen(granted), requested, strlen(requested));
}

struct pair {
  const char* granted;
  const char* requested;
};

static const struct pair contained[] = {
    {"sport/tennis/player1/#", "sport/tennis/player1"},
    {"sport/tennis/player1/#", "sport/tennis/player1/ranking"},
    {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"},
    {"sport/#", "sport"},
    {"#", "a"},
    {"#", "/"},
    {"#", "#"},
    {"#", "+"},
    {"#", "+/#"},
    {"+/#", "#"},
    {"+", "a"},
    {"+", "+"},
    {"sport/tennis/+", "sport/tennis/player1"},
    {"sport/+", "sport/"},
    {"+/+", "/finance"},
    {"/+", "/finance"},
    {"+/tennis/#", "+/tennis/#"},
    {"+/tennis/#", "a/tennis/+/b"},
    {"a/+/c", "a/+/c"},
    {"a/+/c", "a/b/c"},
    {"a/#", "a/#"},
    {"a/#", "a/+/#"},
    {"a/#", "a/+/b/#"},
    {"a//b", "a//b"},
    {"a/+/b", "a//b"},
    {"$SYS/#", "$SYS/"},
    {"$SYS/#", "$SYS"},
    {"$SYS/monitor/+", "$SYS/monitor/Clients"},
    {"a/+", "a/$b"},
    {"\xC3\xA9/+", "\xC3\xA9/\xE2\x82\xAC"},
};

static const struct pair not_contained[] = {
    {"sport/tennis/+", "sport/tennis/player1/ranking"},
    {"sport/+", "sport"},
    {"+", "/finance"},
    {"+", "#"},
    {"a", "+"},
    {"a", "#"},
    {"a", "a/#"},
    {"a", "a/"},
    {"a/", "a"},
    {"a/b", "a"},
    {"a", "b"},
    {"a", "A"},
    {"ACCOUNTS", "Accounts"},
    {"ab", "a"},
    {"a", "ab"},
    {"a/+", "a/#"},
    {"a/+/#", "a/#"},
    {"a/+/#", "a"},
    {"a/+/c", "a/+/+"},
    {"a/+/c", "a/#"},
    {"+/b", "#"},
    {"#", "$SYS"},
    {"#", "$SYS/#"},
    {"+/monitor/Clients", "$SYS/monitor/Clients"},
    {"+/#", "$SYS/a"},
    {"$SYS/#", "#"},
    {"$SYS/+", "+/+"},
    /* Neither side may be something else than a filter. */
    {"", ""},
    {"", "a"},
    {"a", ""},
    {"a#", "a#"},
    {"a#", "ab"},
    {"a/#/b", "a/#/b"},
    {"a/#/b", "a/c/b"},
    {"#/", "a/"},
    {"a+", "ab"},
    {"+a", "ba"},
    {"a/b+/c", "a/b+/c"},
    {"##", "a"},
    {"++", "a"},
    {"#", "a#"},
    {"#", "a/+b"},
};

static void check_table(void) {
  for (size_t i = 0; i < sizeof contained / sizeof contained[0]; ++i) {
    expect(contains(contained[i].granted, contained[i].requested), "contained", contained[i].granted,
           contained[i].requested);
  }
  for (size_t i = 0; i < sizeof not_contained / sizeof not_contained[0]; ++i) {
    expect(!contains(not_contained[i].granted, not_contained[i].requested), "not contained", not_contained[i].granted,
           not_contained[i].requested);
  }
  expect(!topic_filter_contains("#", 1, "a\0b", 3), "a zero byte is in no topic", "#", "a\\0b");
  expect(!topic_is_name("a/+", 3) && !topic_is_name("a/#", 3) && !topic_is_name("", 0), "names", "", "");
  char* longest = malloc(65536);
  if (longest == NULL) exit(1);
  memset(longest, 'a', 65536);
  expect(topic_is_name(longest, 65535) && topic_filter_contains("+", 1, longest, 65535), "longest", "+", "a...");
  expect(!topic_is_name(longest, 65536) && !topic_filter_contains("+", 1, longest, 65536), "too long", "+", "a...");
  free(longest);
}

/* ---- Every pair of short filters, against the definition ---- */

enum { filter_levels_max = 3, topic_levels_max = 4, many = 2000 };

struct levels {
  const char* level[topic_levels_max];
  int count;
  char text[32];
};

static struct levels filters[many];
static struct levels topics[many];
static bool matched[many][many];

static void add(struct levels* all, int* count, const struct levels* one) {
  struct levels* added = &all[(*count)++];
  *added = *one;
  added->text[0] = '\0';
  for (int i = 0; i < one->count; ++i) {
    size_t used = strlen(added->text);
    snprintf(added->text + used, sizeof added->text - used, "%s%s", i == 0 ? "" : "/", one->level[i]);
  }
}

/* All texts of up to `deepest` of these levels. */
static void make(const char* const* alphabet, int letters, int deepest, struct levels* begun, struct levels* all,
                 int* count) {
  if (begun->count == deepest) return;
  for (int i = 0; i < letters; ++i) {
    begun->level[begun->count++] = alphabet[i];
    bool is_empty_text = begun->count == 1 && alphabet[i][0] == '\0';
    if (!is_empty_text) add(all, count, begun);
    if (strcmp(alphabet[i], "#") != 0) make(alphabet, letters, deepest, begun, all, count);
    --begun->count;
  }
}

/* Section 4.7, read once more and written another way. */
static bool matches(const struct levels* filter, const struct levels* topic) {
  bool wild_beginning = strcmp(filter->level[0], "#") == 0 || strcmp(filter->level[0], "+") == 0;
  if (topic->level[0][0] == '$' && wild_beginning) return false;
  for (int i = 0; i < filter->count; ++i) {
    if (strcmp(filter->level[i], "#") == 0) return topic->count >= i;
    if (i >= topic->count) return false;
    if (strcmp(filter->level[i], "+") != 0 && strcmp(filter->level[i], topic->level[i]) != 0) return false;
  }
  return filter->count == topic->count;
}

static void check_all_pairs(void) {
  static const char* const in_filters[] = {"", "a", "b", "$x", "+", "#"};
  /* With letters that are in no filter, and a level more than any has: so few topics stand for all. */
  static const char* const in_topics[] = {"", "a", "b", "c", "$x", "$y"};
  int filter_count = 0;
  int topic_count = 0;
  struct levels begun = {{NULL}, 0, ""};
  make(in_filters, 6, filter_levels_max, &begun, filters, &filter_count);
  make(in_topics, 6, topic_levels_max, &begun, topics, &topic_count);
  expect(filter_count > 180 && topic_count > 1500, "enough of them", "", "");

  long contained_pairs = 0;
  for (int f = 0; f < filter_count; ++f) {
    for (int t = 0; t < topic_count; ++t) {
      matched[f][t] = matches(&filters[f], &topics[t]);
      expect(matched[f][t] == contains(filters[f].text, topics[t].text), "matches", filters[f].text, topics[t].text);
    }
  }
  for (int granted = 0; granted < filter_count; ++granted) {
    for (int requested = 0; requested < filter_count; ++requested) {
      bool all = true;
      for (int t = 0; t < topic_count && all; ++t) all = !matched[requested][t] || matched[granted][t];
      contained_pairs += all ? 1 : 0;
      expect(all == contains(filters[granted].text, filters[requested].text), "contains", filters[granted].text,
             filters[requested].text);
    }
  }
  expect(contained_pairs > filter_count, "some are contained in others", "", "");
  printf("%d filters, %d topics, %ld contained pairs\n", filter_count, topic_count, contained_pairs);
}

/* ---- Scopes ---- */

struct grant_case {
  const char* scopes;
  enum grant_action action;
  const char* topic;
  const char* granting; /* the scope that grants it, or "" */
};

static const struct grant_case grant_cases[] = {
    {"mqtt mqtt:publish:a/#", GRANT_PUBLISH, "a/b", "mqtt:publish:a/#"},
    {"mqtt:publish:a/# mqtt:publish:b", GRANT_PUBLISH, "b", "mqtt:publish:b"},
    {"mqtt:publish:a/#", GRANT_PUBLISH, "a/+", ""},
    {"mqtt:publish:a/#", GRANT_PUBLISH, "a/#", ""},
    {"mqtt:publish:#", GRANT_PUBLISH, "$SYS/a", ""},
    {"mqtt:publish:#", GRANT_SUBSCRIBE, "a", ""},
    {"mqtt:publish:#", GRANT_RECEIVE, "a", ""},
    {"mqtt:subscribe:#", GRANT_PUBLISH, "a", ""},
    {"mqtt:subscribe:a/+", GRANT_RECEIVE, "a/b", "mqtt:subscribe:a/+"},
    {"mqtt:subscribe:a/+", GRANT_RECEIVE, "a/b/c", ""},
    {"mqtt:subscribe:a/+", GRANT_SUBSCRIBE, "a/+", "mqtt:subscribe:a/+"},
    {"mqtt:subscribe:a/+", GRANT_SUBSCRIBE, "a/#", ""},
    {"mqtt:subscribe:a/+", GRANT_SUBSCRIBE, "$share/group/a/+", "mqtt:subscribe:a/+"},
    {"mqtt:subscribe:a/+", GRANT_SUBSCRIBE, "$share/group/a/#", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/group/#", "mqtt:subscribe:#"},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/group/$SYS/#", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/group/", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/group", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share//a", ""},
    {"mqtt:subscribe:#", GRANT_SUBSCRIBE, "$share/+/a", ""},
    {"mqtt:subscribe:$share/group/a", GRANT_SUBSCRIBE, "$share/group/a", ""},
    {"mqtt:subscribe:$shared/a", GRANT_SUBSCRIBE, "$shared/a", "mqtt:subscribe:$shared/a"},
    {"", GRANT_PUBLISH, "a", ""},
    {"mqtt", GRANT_PUBLISH, "a", ""},
    {"mqtt:publish", GRANT_PUBLISH, "a", ""},
    {"mqtt:publish:", GRANT_PUBLISH, "a", ""},
    {"mqtt:publish:", GRANT_PUBLISH, "", ""},
    {"mqtt:publish:a#", GRANT_PUBLISH, "ab", ""},
    {"MQTT:publish:#", GRANT_PUBLISH, "a", ""},
    {"xmqtt:publish:#", GRANT_PUBLISH, "a", ""},
    {"mqtt:publish:a mqtt:publish:ab", GRANT_PUBLISH, "ab", "mqtt:publish:ab"},
};

static void check_grants(void) {
  for (size_t i = 0; i < sizeof grant_cases / sizeof grant_cases[0]; ++i) {
    const struct grant_case* one = &grant_cases[i];
    size_t size = 0;
    const char* scope = grant_find(one->scopes, one->action, one->topic, &size);
    bool right = scope == NULL ? one->granting[0] == '\0'
                               : size == strlen(one->granting) && strncmp(scope, one->granting, size) == 0;
    expect(right, "grant", one->scopes, one->topic);
  }
}

int main(void) {
  check_table();
  check_all_pairs();
  check_grants();
  if (failures != 0) fprintf(stderr, "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
