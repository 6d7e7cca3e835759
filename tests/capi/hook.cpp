// Throws inside an exported function, on demand: the shims are compiled once more with a call to this.
#include "hook.h"

#include <new>
#include <stdexcept>

namespace {
int armed = HOOK_OFF;
int calls = 0;
struct NotAnException {};
}  // namespace

extern "C" void hook_arm(int kind) {
  armed = kind;
  calls = 0;
}
extern "C" int hook_calls(void) {
  return calls;
}

namespace tokenstore::capi {
void test_hook();
void test_hook() {
  ++calls;
  switch (armed) {
    case HOOK_BAD_ALLOC:
      throw std::bad_alloc();
    case HOOK_EXCEPTION:
      throw std::runtime_error("thrown by a test");
    case HOOK_OTHER:
      throw NotAnException();
    default:
      break;
  }
}
}  // namespace tokenstore::capi
