// Our headers after others that make macros of common words, and a use of what they hide.
#include <Python.h>
// After Python.h, which wants to be the first.
#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/keysym.h>

// The standard library itself does not compile after macros of these names: whoever has them includes it first.
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// As <windows.h> and headers beside it define them.
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define CONST const
#define DELETE 0x00010000L
#define DOMAIN 1
#define ERROR 0
#define ERROR_SUCCESS 0
#define IN
#define NO_ERROR 0
#define OPTIONAL
#define OUT
#define OVERFLOW 3
#define STRICT 1
#define far
#define interface struct
#define near
#define small char

#include <tokenstore.h>
#include <tokenstore_backend.h>
#include <tokenstore_conformance.h>
#include <tokenstore_postgres.h>

#include <tokenstore/backend.hpp>
#include <tokenstore/backends/memory.hpp>
#include <tokenstore/backends/postgres.hpp>
#include <tokenstore/backends/sqlite.hpp>
#include <tokenstore/tokenstore.hpp>

// What was a macro still is one.
static_assert(Success == 0 && None == 0 && sizeof(Status) == sizeof(int));
static_assert(tokenstore::StatusCode::not_found != tokenstore::StatusCode::ok);

bool is_gone(const tokenstore::Result<void>& result) {
  return result.status() == tokenstore::StatusCode::not_found;
}
