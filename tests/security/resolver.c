// A resolver of names that lead where they say, for LD_PRELOAD: to-A-B-C-D.test and six-X-Y.test are that address;
// both-A-B-C-D-and-E-F-G-H.test are both; turn-A-B-C-D-to-E-F-G-H-N.test is the first when it is asked for the first
// time, and the second ever after. All others are asked for where they always are.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef int lookup_t(const char *, const char *, const struct addrinfo *, struct addrinfo **);

enum { SEEN_MOST = 4096, NAME_MOST = 128 };
static char seen[SEEN_MOST][NAME_MOST];
static int seen_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int was_seen(const char *name) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < seen_count && !found; i++) found = strcasecmp(seen[i], name) == 0;
  if (!found && seen_count < SEEN_MOST) snprintf(seen[seen_count++], NAME_MOST, "%s", name);
  pthread_mutex_unlock(&lock);
  return found;
}

static int numbers(lookup_t *lookup, const int *at, const char *service, const struct addrinfo *hints,
                   struct addrinfo **found) {
  char text[64];
  snprintf(text, sizeof text, "%d.%d.%d.%d", at[0], at[1], at[2], at[3]);
  return lookup(text, service, hints, found);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  lookup_t *lookup = (lookup_t *)dlsym(RTLD_NEXT, "getaddrinfo");
  size_t length = name == NULL ? 0 : strcspn(name, "/");
  while (length > 0 && name[length - 1] == '.') length--;
  if (length < 5 || length >= NAME_MOST || strncasecmp(name + length - 5, ".test", 5) != 0)
    return lookup(name, service, hints, found);
  char host[NAME_MOST] = "";
  memcpy(host, name, length - 5);
  const char *own = strrchr(host, '.') == NULL ? host : strrchr(host, '.') + 1;
  int at[8];
  if (strncasecmp(own, "six-", 4) == 0) {
    char text[NAME_MOST];
    snprintf(text, sizeof text, "%s", own + 4);
    for (char *c = text; *c != 0; c++)
      if (*c == '-') *c = ':';
    return lookup(text, service, hints, found);
  }
  if (sscanf(own, "%*[tT]%*[oO]-%d-%d-%d-%d", at, at + 1, at + 2, at + 3) == 4)
    return numbers(lookup, at, service, hints, found);
  if (sscanf(own, "both-%d-%d-%d-%d-and-%d-%d-%d-%d", at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7) == 8) {
    struct addrinfo *second = NULL;
    int failed = numbers(lookup, at, service, hints, found);
    if (failed == 0) failed = numbers(lookup, at + 4, service, hints, &second);
    if (failed != 0) return failed;
    struct addrinfo *last = *found;
    while (last->ai_next != NULL) last = last->ai_next;
    last->ai_next = second;
    return 0;
  }
  if (sscanf(own, "turn-%d-%d-%d-%d-to-%d-%d-%d-%d", at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7) == 8)
    return numbers(lookup, was_seen(own) ? at + 4 : at, service, hints, found);
  return EAI_NONAME;
}
