// The one-file form in one translation unit with a host's own code, as in a unity build. The host has a namespace,
// types, functions and macros of the same names, before and after.
#define Status int
#define READ 1

namespace tokenstore {
struct Error {
  int code;
};
}  // namespace tokenstore

namespace {
int refuse(const char* message) {
  return message == nullptr ? 0 : 1;
}
}  // namespace

#include "tokenstore.cpp"
#include "tokenstore_postgres.cpp"

#if defined(tokenstore) || defined(TOKEN_COLUMNS) || defined(TOKENSTORE_READ) || defined(TOKENSTORE_SPELL)
#error "a macro of the library is left over"
#endif

namespace {
// A name of ours that were still in sight would make these ambiguous.
struct Verdict {
  Status status;
};
using text = Verdict;
}  // namespace

namespace tokenstore {
struct TokenStore : Error {
  text verdict;
};
}  // namespace tokenstore

extern "C" int unity_host(void);
extern "C" int unity_host(void) {
  const tokenstore::TokenStore store{{1}, {READ}};
  return refuse("it") + store.code + store.verdict.status;
}
