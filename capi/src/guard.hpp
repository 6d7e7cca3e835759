/// The one place where C++ ends: every exported function runs its body in one of these guards, which
/// turn any exception into a status. Stateless; any thread.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "handles.hpp"
#include "tokenstore.h"
#include "tokenstore/status.hpp"

namespace tokenstore::capi {

#ifdef TOKENSTORE_CAPI_TEST_HOOK
/// Test builds only: called first in every guard, and may throw.
void test_hook();
#else
inline void test_hook() noexcept {}
#endif

/// How a body says that it failed. Keeps its status even if there is no memory for the message.
class Failure {
 public:
  Failure(Status status, std::string_view message) noexcept : status_(status) {
    try {
      message_ = message;
    } catch (const std::bad_alloc&) {
      message_.clear();
    }
  }

  std::int32_t status() const noexcept { return static_cast<std::int32_t>(status_); }
  const std::string& message() const noexcept { return message_; }

 private:
  Status status_;
  std::string message_;
};

[[noreturn]] inline void fail(Status status, std::string_view message) {
  throw Failure(status, message);
}

[[noreturn]] inline void refuse(std::string_view message) {
  fail(Status::invalid_argument, message);
}

/// The value of a result, or its error as a Failure.
template <typename T>
T take(Result<T> result) {
  if (!result.ok()) fail(result.error().status(), result.error().message());
  return std::move(*result);
}

inline void take(const Result<void>& result) {
  if (!result.ok()) fail(result.error().status(), result.error().message());
}

/// Gives the caller an error, or NULL if it has no use for one or there is no memory for it.
std::int32_t report(tokenstore_error** out_error, std::int32_t status, std::string_view message) noexcept;

/// For functions that answer a status.
template <typename Body>
std::int32_t guard(tokenstore_error** out_error, const Body& body) noexcept {
  if (out_error != nullptr) *out_error = nullptr;
  try {
    test_hook();
    body();
    return TOKENSTORE_OK;
  } catch (const Failure& failure) {
    return report(out_error, failure.status(), failure.message());
  } catch (const std::bad_alloc&) {
    return report(out_error, TOKENSTORE_OUT_OF_MEMORY, "no memory is left; free some and try again");
  } catch (...) {
    return report(out_error, TOKENSTORE_INTERNAL, "the library failed in a way it should not; please report it");
  }
}

/// For functions that cannot fail: answers `fallback` if they do.
template <typename Value, typename Body>
Value guard_value(Value fallback, const Body& body) noexcept {
  try {
    test_hook();
    return body();
  } catch (...) {
    return fallback;
  }
}

/// For functions that free a handle.
template <typename Handle>
void guard_free(Handle* handle) noexcept {
  guard_value(false, [handle] {
    delete handle;
    return true;
  });
}

/// Refuses a handle or an output that is missing.
template <typename T>
T& need(T* pointer, std::string_view what) {
  if (pointer == nullptr) refuse(std::string(what) + " is NULL");
  return *pointer;
}

/// An output that holds a handle: required, and NULL until the end.
template <typename Handle>
Handle*& need_output(Handle** out) {
  Handle*& place = need(out, "the pointer for the answer");
  place = nullptr;
  return place;
}

/// Is this the backend of the store, calling the store that is calling it?
inline bool is_calling_back(const tokenstore_store& store) noexcept {
  return store.guest != nullptr && store.guest->inside();
}

/// The store behind a handle, for every function that needs one.
inline TokenStore& opened_store(tokenstore_store* handle) {
  tokenstore_store& given = need(handle, "the store");
  if (is_calling_back(given)) refuse("a storage backend may not call the store that is calling it");
  return *given.store;
}

}  // namespace tokenstore::capi
