/* See hook.cpp. */
#ifndef TOKENSTORE_TESTS_HOOK_H
#define TOKENSTORE_TESTS_HOOK_H

enum { HOOK_OFF, HOOK_BAD_ALLOC, HOOK_EXCEPTION, HOOK_OTHER };

#ifdef __cplusplus
extern "C" {
#endif
void hook_arm(int kind);
/* Guards entered since then. */
int hook_calls(void);
#ifdef __cplusplus
}
#endif

#endif
