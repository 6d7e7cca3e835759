/// Status codes, errors and results.
///
/// Every fallible call of the library returns `Result<T>`: a value, or an `Error` with a code that
/// programs act on and one line of text that people read. The text never holds a token, a secret or
/// a key. Nothing here is thread-local; a Result belongs to whoever received it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

// Xlib.h makes a macro of this word. It is set aside here, and whoever needs both says StatusCode.
#pragma push_macro("Status")
#undef Status

namespace tokenstore {

/// What went wrong. The numbers are those of the C ABI (`TOKENSTORE_<NAME>`) and are never reused.
enum class Status : std::int32_t {
  ok = 0,
  invalid_argument = 1,   ///< An argument breaks a documented rule; nothing changed.
  not_found = 2,          ///< No such token or owner, or it is not the actor's to see.
  permission_denied = 3,  ///< The actor may not do this to anyone.
  refused = 4,            ///< Policy, owner settings or a cap forbid it.
  conflict = 5,           ///< Somebody else changed the same thing meanwhile; ask again.
  unavailable = 6,        ///< Storage failed; nothing happened.
  unknown = 7,            ///< Storage failed at the end: it may have happened. Read to find out.
  read_only = 8,          ///< The store was opened, or its file can only be read.
  tampered = 9,           ///< A stored record's seal does not verify.
  wrong_key = 10,         ///< The keyring is missing, malformed, or not this store's.
  not_a_store = 11,       ///< The file or database belongs to something else, or is damaged.
  newer_schema = 12,      ///< Written by a newer version of this library.
  storage_full = 13,      ///< No space left; nothing happened.
  buffer_too_small = 14,  ///< The caller's buffer cannot hold the answer; nothing happened.
  out_of_memory = 15,     ///< Memory could not be allocated; nothing happened.
  cannot_open = 16,       ///< The path cannot be opened, created or used safely.
  unsupported = 17,       ///< The backend or the platform cannot do this.
  internal = 18,          ///< A defect in the library or a backend; please report it.
  journal_damaged = 19,   ///< The journal was cut short or altered; look at it, then accept what is left.
  not_journaled = 20,     ///< The change holds, but could not be written to the journal.
};

/// Another name, for programs in which the first is a macro (Xlib.h).
using StatusCode = Status;

/// The field's name for a status, as in `invalid_argument`. Static text; never empty.
std::string_view status_name(Status status) noexcept;

/// A failure: its code, and one impersonal line that says what to do.
class Error {
 public:
  Error(Status status, std::string message) : status_(status), message_(std::move(message)) {}

  Status status() const noexcept { return status_; }
  const std::string& message() const noexcept { return message_; }

 private:
  Status status_;
  std::string message_;
};

/// A value of type T or an Error. Asking for the one that is not there throws std::bad_variant_access.
/// Of a temporary, value() and * give the value itself: `for (auto& x : f().value())` may outlive the Result.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& value() & { return std::get<0>(content_); }
  const T& value() const& { return std::get<0>(content_); }
  T value() && { return std::get<0>(std::move(content_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { return std::get<1>(content_); }
  Status status() const noexcept { return ok() ? Status::ok : std::get_if<1>(&content_)->status(); }

 private:
  std::variant<T, Error> content_;
};

/// Success without a value, or an Error. Asking for one that is not there throws std::bad_optional_access.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const { return error_.value(); }
  Status status() const noexcept { return error_ ? error_->status() : Status::ok; }

 private:
  std::optional<Error> error_;
};

}  // namespace tokenstore

#pragma pop_macro("Status")
